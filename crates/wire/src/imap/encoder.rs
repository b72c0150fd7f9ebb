//! Where `encode` writes to: bytes, the name mode, and the places where a client must wait for `+`.

use super::limits::LITERAL_MINUS_BYTES_MAX;

/// How an encoder may write literals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literals {
    /// A server: `{n}` and never a wait.
    Server,
    /// A client whose server has neither LITERAL+ nor LITERAL-: every literal waits.
    Synchronising,
    /// LITERAL-: those up to 4096 octets do not wait (RFC 7888).
    Minus,
    /// LITERAL+: none waits.
    Plus,
}

/// Output of `encode`.
#[derive(Debug)]
pub struct Encoder {
    /// What is written so far.
    pub bytes: Vec<u8>,
    /// Offsets in `bytes` before which a client waits for a continuation request.
    pub waits: Vec<usize>,
    /// UTF-8 in quoted strings and mailbox names (after ENABLE UTF8=ACCEPT or IMAP4rev2).
    pub utf8: bool,
    /// How literals are written.
    pub literals: Literals,
}

impl Encoder {
    /// A server's, that writes on at the end of `bytes`.
    pub fn server(bytes: Vec<u8>, utf8: bool) -> Encoder {
        Encoder { bytes, waits: Vec::new(), utf8, literals: Literals::Server }
    }
    /// A client's.
    pub fn client(literals: Literals, utf8: bool) -> Encoder {
        Encoder { bytes: Vec::new(), waits: Vec::new(), utf8, literals }
    }
    /// As it is.
    pub(crate) fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(bytes.as_ref());
    }
    /// Decimal.
    pub(crate) fn number(&mut self, number: impl Into<u64>) {
        push_number(&mut self.bytes, number.into());
    }
    /// `(a b c)`
    pub(crate) fn list<T>(&mut self, items: impl IntoIterator<Item = T>, item: impl FnMut(&mut Encoder, T)) {
        self.raw("(");
        self.spaced(items, item);
        self.raw(")");
    }
    /// `a b c`
    pub(crate) fn spaced<T>(&mut self, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Encoder, T)) {
        for (n, value) in items.into_iter().enumerate() {
            if n > 0 {
                self.raw(" ");
            }
            item(self, value);
        }
    }
    /// `{n}CRLF`, with the wait or the `+` that the mode asks for.
    pub(crate) fn literal_header(&mut self, len: u64) {
        self.raw("{");
        self.number(len);
        let waits = match self.literals {
            Literals::Server => false,
            Literals::Synchronising => true,
            Literals::Minus => len > LITERAL_MINUS_BYTES_MAX,
            Literals::Plus => false,
        };
        let plus = !waits && self.literals != Literals::Server;
        self.raw(if plus { "+}\r\n" } else { "}\r\n" });
        if waits {
            self.waits.push(self.bytes.len());
        }
    }
}

/// Appends `number` in decimal, without an allocation.
pub(crate) fn push_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (number % 10) as u8;
        at -= 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for n in [0, 1, 9, 10, 4_294_967_295, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, n);
            assert_eq!(out, n.to_string().into_bytes());
        }
    }

    #[test]
    fn literals_wait_as_the_mode_says() {
        let header = |literals, len| {
            let mut e = Encoder::client(literals, false);
            e.literal_header(len);
            (String::from_utf8_lossy(&e.bytes).into_owned(), e.waits.len())
        };
        assert_eq!(header(Literals::Server, 5), ("{5}\r\n".into(), 0));
        assert_eq!(header(Literals::Synchronising, 5), ("{5}\r\n".into(), 1));
        assert_eq!(header(Literals::Minus, 4096), ("{4096+}\r\n".into(), 0));
        assert_eq!(header(Literals::Minus, 4097), ("{4097}\r\n".into(), 1));
        assert_eq!(header(Literals::Plus, 99999), ("{99999+}\r\n".into(), 0));
    }
}

//! Atoms, astrings, quoted strings, literals and nstrings (RFC 9051 §4, §9).
//!
//! ```abnf
//! ATOM-CHAR       = <any CHAR except "(" / ")" / "{" / SP / CTL / "%" / "*" / DQUOTE / "\" / "]">
//! astring         = 1*ASTRING-CHAR / string          ; ASTRING-CHAR = ATOM-CHAR / "]"
//! string          = quoted / literal                 ; nstring = string / "NIL"
//! quoted          = DQUOTE *QUOTED-CHAR DQUOTE
//! literal         = "{" number64 ["+"] "}" CRLF *CHAR8
//! literal8        = "~{" number64 ["+"] "}" CRLF *OCTET
//! list-mailbox    = 1*list-char / string             ; list-char = ATOM-CHAR / "%" / "*" / "]"
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use std::borrow::Cow;

/// May stand in an atom.
pub(crate) fn is_atom_char(b: u8) -> bool {
    b > b' ' && b < 0x7f && !matches!(b, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// May stand in an astring without quotes.
pub(crate) fn is_astring_char(b: u8) -> bool {
    b == b']' || is_atom_char(b)
}

fn is_list_char(b: u8) -> bool {
    matches!(b, b'%' | b'*') || is_astring_char(b)
}

/// The head of a literal at the end of a line: `{n}`, `{n+}`, `~{n}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LiteralHead {
    /// Octets announced; saturated.
    pub(crate) len: u64,
    /// `+`: the peer does not wait.
    pub(crate) non_synchronising: bool,
    /// Octets of the head itself, `~` included.
    pub(crate) head_len: usize,
}

/// Does this line (without CRLF) end in the head of a literal?
pub(crate) fn literal_head_at_end(line: &[u8]) -> Option<LiteralHead> {
    let body = line.strip_suffix(b"}")?;
    let (body, non_synchronising) = match body.strip_suffix(b"+") {
        Some(body) => (body, true),
        None => (body, false),
    };
    let digits = body.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let start = body.len().checked_sub(digits)?;
    let before = body.get(..start)?.strip_suffix(b"{")?;
    if digits == 0 {
        return None;
    }
    let len = body.get(start..)?.iter().fold(0u64, |n, d| n.saturating_mul(10).saturating_add(u64::from(d - b'0')));
    let tilde = usize::from(before.last() == Some(&b'~'));
    Some(LiteralHead { len, non_synchronising, head_len: line.len() - before.len() + tilde })
}

/// Octets of a string as they stand in the input.
pub(crate) enum Text<'a> {
    Octets(Cow<'a, [u8]>),
    /// They went elsewhere.
    Streamed(u64),
}

impl<'a> Cursor<'a> {
    /// `atom`
    pub(crate) fn atom(&mut self) -> Parsed<&'a str> {
        let word = self.take_while(is_atom_char);
        if word.is_empty() {
            return self.error("a word is missing");
        }
        // Atom characters are ASCII.
        std::str::from_utf8(word).or_else(|_| self.error("a word is not ASCII"))
    }

    /// `quoted`; 8-bit octets are let through, whoever wants text checks them.
    fn quoted(&mut self) -> Parsed<Cow<'a, [u8]>> {
        self.expect(b'"', "a quoted string is missing")?;
        let plain = self.take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0));
        if self.eat(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(b) if !matches!(b, b'\r' | b'\n' | 0) => text.push(b),
                        _ => return self.error("a quoted string is not closed"),
                    }
                    self.at += 1;
                }
                Some(b'\r' | b'\n' | 0) | None => return self.error("a quoted string is not closed"),
                Some(_) => text.extend_from_slice(self.take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0))),
            }
        }
    }

    /// `literal` or `literal8`
    fn literal(&mut self) -> Parsed<Text<'a>> {
        let eight = self.eat(b'~');
        self.expect(b'{', "a literal is missing")?;
        let len = self.number64()?;
        self.eat(b'+');
        self.expect(b'}', "} is missing in a literal")?;
        self.eat(b'\r');
        if !self.eat(b'\n') {
            return self.error("a line must end after a literal's }");
        }
        if let Some(&(_, len)) = self.streamed.iter().find(|(at, _)| *at == self.at) {
            return Ok(Text::Streamed(len));
        }
        let len = usize::try_from(len).or_else(|_| self.error("a literal is too large"))?;
        let octets = self.take(len, "a literal is cut short")?;
        if !eight && octets.contains(&0) {
            return self.error("NUL is not allowed in a literal");
        }
        Ok(Text::Octets(Cow::Borrowed(octets)))
    }

    /// `string`, wherever its octets are.
    pub(crate) fn string_text(&mut self) -> Parsed<Text<'a>> {
        match self.peek() {
            Some(b'"') => self.quoted().map(Text::Octets),
            Some(b'{' | b'~') => self.literal(),
            _ => self.error("a string is missing"),
        }
    }

    /// `string`
    pub(crate) fn string(&mut self) -> Parsed<Cow<'a, [u8]>> {
        match self.string_text()? {
            Text::Octets(octets) => Ok(octets),
            Text::Streamed(_) => self.error("a literal is too large here"),
        }
    }

    /// Is a quoted string or a literal next?
    pub(crate) fn string_ahead(&self) -> bool {
        matches!((self.peek(), self.peek_at(1)), (Some(b'"' | b'{'), _) | (Some(b'~'), Some(b'{')))
    }

    /// `astring`
    pub(crate) fn astring(&mut self) -> Parsed<Cow<'a, [u8]>> {
        if self.string_ahead() {
            return self.string();
        }
        let word = self.take_while(is_astring_char);
        if word.is_empty() { self.error("a string is missing") } else { Ok(Cow::Borrowed(word)) }
    }

    /// `list-mailbox`
    pub(crate) fn list_mailbox(&mut self) -> Parsed<Cow<'a, [u8]>> {
        if self.string_ahead() {
            return self.string();
        }
        let word = self.take_while(is_list_char);
        if word.is_empty() { self.error("a mailbox pattern is missing") } else { Ok(Cow::Borrowed(word)) }
    }

    /// `nstring`
    pub(crate) fn nstring(&mut self) -> Parsed<Option<Cow<'a, [u8]>>> {
        if self.eat_nil() { Ok(None) } else { self.string().map(Some) }
    }

    /// `NIL`, as a word of its own.
    pub(crate) fn eat_nil(&mut self) -> bool {
        let alone = !self.peek_at(3).is_some_and(is_astring_char);
        alone && self.eat_text("NIL")
    }

    /// A number, or what bad servers send for one: NIL is 0 (lessons C21).
    pub(crate) fn tolerant_number(&mut self) -> Parsed<u64> {
        if self.eat_nil() { Ok(0) } else { self.number64() }
    }

    /// Steps over any value: a word, a string, a parenthesised list of values. Gives it as written.
    pub(crate) fn skip_value(&mut self) -> Parsed<&'a [u8]> {
        let start = self.at;
        let depth = self.depth;
        loop {
            match self.peek() {
                Some(b'(') => self.open()?,
                Some(b')') if self.depth > depth => self.close()?,
                Some(b' ') if self.depth > depth => self.skip_spaces(),
                _ if self.string_ahead() => drop(self.string_text()?),
                _ => {
                    let word = self.take_while(|b| !matches!(b, b'(' | b')' | b' ' | b'"' | b'\r' | b'\n'));
                    if word.is_empty() {
                        return self.error("a value is missing");
                    }
                }
            }
            if self.depth == depth {
                return Ok(self.input.get(start..self.at).unwrap_or_default());
            }
        }
    }

    /// An astring that is text in UTF-8 (which ASCII is, too).
    pub(crate) fn astring_text(&mut self) -> Parsed<String> {
        let octets = self.astring()?.into_owned();
        String::from_utf8(octets).or_else(|_| self.error("a string is not UTF-8"))
    }
}

impl Encoder {
    /// `astring`, in the shortest form that holds it.
    pub(crate) fn astring(&mut self, octets: &[u8]) {
        let atom = !octets.is_empty() && octets.iter().all(|&b| is_astring_char(b)) && !octets.eq_ignore_ascii_case(b"NIL");
        if atom { self.raw(octets) } else { self.string(octets) }
    }
    /// `string`
    pub(crate) fn string(&mut self, octets: &[u8]) {
        let eight = octets.iter().any(|&b| b >= 0x80);
        let quotable = octets.len() <= 2000
            && !octets.iter().any(|&b| matches!(b, 0 | b'\r' | b'\n'))
            && (!eight || (self.utf8 && std::str::from_utf8(octets).is_ok()));
        if quotable {
            self.quoted(octets);
        } else {
            if octets.contains(&0) {
                self.raw("~");
            }
            self.literal_header(octets.len() as u64);
            self.raw(octets);
        }
    }
    /// `nstring`
    pub(crate) fn nstring(&mut self, octets: Option<&[u8]>) {
        match octets {
            Some(octets) => self.string(octets),
            None => self.raw("NIL"),
        }
    }
    fn quoted(&mut self, octets: &[u8]) {
        self.raw("\"");
        for &b in octets {
            if matches!(b, b'"' | b'\\') {
                self.bytes.push(b'\\');
            }
            self.bytes.push(b);
        }
        self.raw("\"");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::encoder::Literals;
    use super::*;
    use proptest::prelude::*;

    fn read(input: &[u8]) -> Option<Vec<u8>> {
        let mut c = Cursor::new(input);
        let octets = c.astring().ok()?.into_owned();
        c.at_end().then_some(octets)
    }

    #[test]
    fn the_three_forms() {
        for (wire, octets) in [
            (&b"abc"[..], &b"abc"[..]),
            (b"a]b", b"a]b"),
            (b"\"\"", b""),
            (b"\"a b\"", b"a b"),
            (b"\"a\\\"b\\\\\"", b"a\"b\\"),
            (b"{3}\r\na\r\n", b"a\r\n"),
        ] {
            assert_eq!(read(wire).unwrap(), octets);
            let mut e = Encoder::server(Vec::new(), false);
            e.astring(octets);
            assert_eq!(e.bytes, wire);
        }
        for bad in [&b""[..], b"\"abc", b"\"a\\", b"\"a\rb\"", b"{4}\r\nabc", b"{3}abc", b"{}\r\n", b"{1}\r\n\0", b"a\"b", b"(a)"]
        {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert_eq!(read(b"~{1}\r\n\0").unwrap(), b"\0");
        assert_eq!(read(b"{3+}\r\nabc").unwrap(), b"abc");
    }

    #[test]
    fn nil_is_a_word_of_its_own() {
        assert_eq!(Cursor::new(b"nil").nstring().unwrap(), None);
        assert!(Cursor::new(b"NILS").nstring().is_err());
        assert_eq!(Cursor::new(b"\"NIL\"").nstring().unwrap().unwrap(), &b"NIL"[..]);
    }

    #[test]
    fn heads_of_literals() {
        let head = |line: &str| literal_head_at_end(line.as_bytes()).map(|h| (h.len, h.non_synchronising, h.head_len));
        assert_eq!(head("a LOGIN {5}"), Some((5, false, 3)));
        assert_eq!(head("a LOGIN {5+}"), Some((5, true, 4)));
        assert_eq!(head("a APPEND x ~{5+}"), Some((5, true, 5)));
        assert_eq!(head("{99999999999999999999999}"), Some((u64::MAX, false, 25)));
        assert_eq!(head("a {}"), None);
        assert_eq!(head("a {x}"), None);
        assert_eq!(head("a 5}"), None);
        assert_eq!(head(""), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn any_octets_come_back(octets in proptest::collection::vec(any::<u8>(), 0..40), utf8: bool) {
            let mut e = Encoder::client(Literals::Plus, utf8);
            e.astring(&octets);
            prop_assert_eq!(read(&e.bytes), Some(octets));
        }
    }
}

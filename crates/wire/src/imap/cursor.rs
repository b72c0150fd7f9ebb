//! A place in the bytes of one command or response, and why it could not be read further.
//!
//! The input is one whole command or response without its last CRLF; literals stand inline after their `{n}CRLF`,
//! except those of `streamed`, whose octets went elsewhere. Invariant: no method reads past the end or panics.

use super::limits::{LIST_ITEMS_MAX, PAREN_DEPTH_MAX};

/// What is wrong with the peer's words; `what` goes into the text of a BAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyntaxError {
    /// Offset in the input.
    pub at: usize,
    /// What was expected, for people.
    pub what: &'static str,
}

/// What every `parse` gives.
pub type Parsed<T> = Result<T, SyntaxError>;

/// Reads one whole command or response.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    pub(crate) input: &'a [u8],
    pub(crate) at: usize,
    pub(crate) utf8: bool,
    pub(crate) depth: usize,
    /// Search keys read so far.
    pub(crate) terms: usize,
    /// What texts of search keys are in, when that is neither UTF-8 nor unknown.
    pub(crate) charset: Option<smol_str::SmolStr>,
    /// Offsets (just after a literal's CRLF) where octets were left out, with their number.
    pub(crate) streamed: &'a [(usize, u64)],
}

impl<'a> Cursor<'a> {
    /// At the beginning; names are modified UTF-7.
    pub fn new(input: &'a [u8]) -> Cursor<'a> {
        Cursor { input, at: 0, utf8: false, depth: 0, terms: 0, charset: None, streamed: &[] }
    }
    /// The same with UTF-8 names.
    pub fn with_utf8(input: &'a [u8], utf8: bool) -> Cursor<'a> {
        Cursor { utf8, ..Cursor::new(input) }
    }
    /// A syntax error here.
    pub(crate) fn error<T>(&self, what: &'static str) -> Parsed<T> {
        Err(SyntaxError { at: self.at, what })
    }
    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }
    pub(crate) fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }
    pub(crate) fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.input.get(self.at.saturating_add(ahead)).copied()
    }
    pub(crate) fn at_end(&self) -> bool {
        self.at >= self.input.len()
    }
    /// Steps over `byte` if it is next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        if next {
            self.at += 1;
        }
        next
    }
    pub(crate) fn expect(&mut self, byte: u8, what: &'static str) -> Parsed<()> {
        if self.eat(byte) { Ok(()) } else { self.error(what) }
    }
    /// One space, or more (tolerated).
    pub(crate) fn space(&mut self) -> Parsed<()> {
        self.expect(b' ', "a space is missing")?;
        self.skip_spaces();
        Ok(())
    }
    /// A space, if there is one and something other than the end follows.
    pub(crate) fn eat_space(&mut self) -> bool {
        let before = self.at;
        self.skip_spaces();
        if self.at_end() {
            self.at = before;
        }
        self.at > before
    }
    pub(crate) fn skip_spaces(&mut self) {
        while self.eat(b' ') {}
    }
    /// The end; superfluous spaces before it are tolerated.
    pub(crate) fn end(&mut self) -> Parsed<()> {
        self.skip_spaces();
        if self.at_end() { Ok(()) } else { self.error("something stands after the end of the command") }
    }
    /// Steps over `text` (ASCII, any case) if it is next.
    pub(crate) fn eat_text(&mut self, text: &str) -> bool {
        let next = self.rest().get(..text.len()).is_some_and(|head| head.eq_ignore_ascii_case(text.as_bytes()));
        if next {
            self.at += text.len();
        }
        next
    }
    /// Bytes while `keep` says so; may be none.
    pub(crate) fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let len = rest.iter().position(|&b| !keep(b)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }
    /// Exactly `len` octets.
    pub(crate) fn take(&mut self, len: usize, what: &'static str) -> Parsed<&'a [u8]> {
        match self.rest().get(..len) {
            Some(taken) => {
                self.at += len;
                Ok(taken)
            }
            None => self.error(what),
        }
    }
    /// `( item *(SP item) )`; `()` only when `empty` is allowed.
    pub(crate) fn list<T>(&mut self, empty: bool, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.open()?;
        self.skip_spaces();
        let mut items = Vec::new();
        if self.eat(b')') {
            self.depth -= 1;
            return if empty { Ok(items) } else { self.error("an empty list is not allowed here") };
        }
        loop {
            if items.len() >= LIST_ITEMS_MAX {
                return self.error("too many items in a list");
            }
            items.push(item(self)?);
            let spaced = self.eat(b' ');
            self.skip_spaces();
            if self.eat(b')') {
                self.depth -= 1;
                return Ok(items);
            }
            if !spaced {
                return self.error("a space or ) is missing in a list");
            }
        }
    }
    /// `(`, counted.
    pub(crate) fn open(&mut self) -> Parsed<()> {
        self.expect(b'(', "( is missing")?;
        self.depth += 1;
        if self.depth > PAREN_DEPTH_MAX { self.error("too many parentheses within each other") } else { Ok(()) }
    }
    /// `)`, counted.
    pub(crate) fn close(&mut self) -> Parsed<()> {
        self.expect(b')', ") is missing")?;
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }
    /// A number below 2^64.
    pub(crate) fn number64(&mut self) -> Parsed<u64> {
        let digits = self.take_while(|b| b.is_ascii_digit());
        if digits.is_empty() {
            return self.error("a number is missing");
        }
        let mut value = 0u64;
        for digit in digits {
            value = match value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit - b'0'))) {
                Some(v) => v,
                None => return self.error("a number is too large"),
            };
        }
        Ok(value)
    }
    /// `number`: below 2^32.
    pub(crate) fn number(&mut self) -> Parsed<u32> {
        let value = self.number64()?;
        u32::try_from(value).or_else(|_| self.error("a number is too large"))
    }
    /// `nz-number`
    pub(crate) fn nz_number(&mut self) -> Parsed<u32> {
        match self.number()? {
            0 => self.error("0 is not allowed here"),
            n => Ok(n),
        }
    }
    /// `mod-sequence-valzer`: below 2^63.
    pub(crate) fn mod_seq(&mut self) -> Parsed<u64> {
        match self.number64()? {
            n if n >> 63 == 0 => Ok(n),
            _ => self.error("a number is too large"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_end_where_their_type_ends() {
        assert_eq!(Cursor::new(b"4294967295").number().unwrap(), u32::MAX);
        assert!(Cursor::new(b"4294967296").number().is_err());
        assert_eq!(Cursor::new(b"18446744073709551615").number64().unwrap(), u64::MAX);
        assert!(Cursor::new(b"18446744073709551616").number64().is_err());
        assert_eq!(Cursor::new(b"9223372036854775807").mod_seq().unwrap(), (1 << 63) - 1);
        assert!(Cursor::new(b"9223372036854775808").mod_seq().is_err());
        assert!(Cursor::new(b"0").nz_number().is_err());
        assert!(Cursor::new(b"").number().is_err());
    }

    #[test]
    fn lists_forgive_spaces_and_end_at_the_limit() {
        assert_eq!(Cursor::new(b"( 1 2  3 )").list(false, Cursor::number).unwrap(), [1, 2, 3]);
        assert!(Cursor::new(b"()").list(false, Cursor::number).is_err());
        assert!(Cursor::new(b"()").list(true, Cursor::number).unwrap().is_empty());
        assert!(Cursor::new(b"(1,2)").list(true, Cursor::number).is_err());
        let of = |n: usize| format!("({})", vec!["1"; n].join(" "));
        assert_eq!(Cursor::new(of(LIST_ITEMS_MAX).as_bytes()).list(false, Cursor::number).unwrap().len(), LIST_ITEMS_MAX);
        assert!(Cursor::new(of(LIST_ITEMS_MAX + 1).as_bytes()).list(false, Cursor::number).is_err());
    }
}

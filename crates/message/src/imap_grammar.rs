//! A strict reader of `envelope` and `body` (RFC 9051 §9), for the tests: whatever the message, the facts are valid.

use proptest::prelude::*;

use crate::facts::Facts;
use crate::test_messages::hostile;

type Read<T> = Result<T, String>;

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn peek(&self, text: &[u8]) -> bool {
        self.rest.starts_with(text)
    }

    fn eat(&mut self, text: &[u8]) -> Read<()> {
        let shown = || String::from_utf8_lossy(&self.rest[..self.rest.len().min(60)]).into_owned();
        self.rest = self
            .rest
            .strip_prefix(text)
            .ok_or_else(|| format!("{:?} expected at {:?}", String::from_utf8_lossy(text), shown()))?;
        Ok(())
    }

    fn string(&mut self) -> Read<Vec<u8>> {
        if self.peek(b"{") {
            return self.literal();
        }
        self.eat(b"\"")?;
        let mut out = Vec::new();
        loop {
            let (byte, after) = self.rest.split_first().ok_or("open string")?;
            self.rest = after;
            match byte {
                b'"' => return Ok(out),
                b'\\' => {
                    let (next, after) = self.rest.split_first().ok_or("open escape")?;
                    if !b"\"\\".contains(next) {
                        return Err("bad escape".into());
                    }
                    out.push(*next);
                    self.rest = after;
                }
                0 | b'\r' | b'\n' | 0x80.. => return Err("bad octet in a quoted string".into()),
                other => out.push(*other),
            }
        }
    }

    fn literal(&mut self) -> Read<Vec<u8>> {
        self.eat(b"{")?;
        let len = self.number()? as usize;
        self.eat(b"}\r\n")?;
        if self.rest.len() < len || self.rest[..len].contains(&0) {
            return Err("bad literal".into());
        }
        let (text, after) = self.rest.split_at(len);
        self.rest = after;
        Ok(text.to_vec())
    }

    fn nstring(&mut self) -> Read<Option<Vec<u8>>> {
        if self.peek(b"NIL") {
            return self.eat(b"NIL").map(|()| None);
        }
        self.string().map(Some)
    }

    fn number(&mut self) -> Read<u64> {
        let len = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.rest[..len]).map_err(|e| e.to_string())?;
        self.rest = &self.rest[len..];
        text.parse().map_err(|_| "number expected".to_owned())
    }

    fn addresses(&mut self, nil: bool) -> Read<()> {
        if nil && self.peek(b"NIL") {
            return self.eat(b"NIL");
        }
        self.eat(b"(")?;
        let mut open_group = false;
        while self.peek(b"(") {
            self.eat(b"(")?;
            self.nstring()?;
            self.eat(b" ")?;
            self.nstring()?;
            self.eat(b" ")?;
            let mailbox = self.nstring()?;
            self.eat(b" ")?;
            let host = self.nstring()?;
            self.eat(b")")?;
            match (mailbox, host) {
                (Some(_), None) if !open_group => open_group = true,
                (None, None) if open_group => open_group = false,
                (Some(_), Some(_)) => {}
                other => return Err(format!("address {other:?}, in a group: {open_group}")),
            }
        }
        if open_group {
            return Err("open group".into());
        }
        self.eat(b")")
    }

    fn envelope(&mut self) -> Read<()> {
        self.eat(b"(")?;
        self.nstring()?;
        self.eat(b" ")?;
        self.nstring()?;
        for nil in [false, false, false, true, true, true] {
            self.eat(b" ")?;
            self.addresses(nil)?;
        }
        self.eat(b" ")?;
        self.nstring()?;
        self.eat(b" ")?;
        self.nstring()?;
        self.eat(b")")
    }

    fn parameters(&mut self) -> Read<()> {
        if self.peek(b"NIL") {
            return self.eat(b"NIL");
        }
        self.eat(b"(")?;
        loop {
            self.string()?;
            self.eat(b" ")?;
            self.string()?;
            if !self.peek(b" ") {
                return self.eat(b")");
            }
            self.eat(b" ")?;
        }
    }

    fn disposition_language_location(&mut self) -> Read<()> {
        self.eat(b" ")?;
        if self.peek(b"(") {
            self.eat(b"(")?;
            self.string()?;
            self.eat(b" ")?;
            self.parameters()?;
            self.eat(b")")?;
        } else {
            self.eat(b"NIL")?;
        }
        self.eat(b" ")?;
        if self.peek(b"(") {
            self.eat(b"(")?;
            self.string()?;
            while self.peek(b" ") {
                self.eat(b" ")?;
                self.string()?;
            }
            self.eat(b")")?;
        } else {
            self.nstring()?;
        }
        self.eat(b" ")?;
        self.nstring().map(|_| ())
    }

    /// The number of entities in it.
    fn body(&mut self, extended: bool) -> Read<usize> {
        self.eat(b"(")?;
        let mut entities = 1;
        if self.peek(b"(") {
            while self.peek(b"(") {
                entities += self.body(extended)?;
            }
            self.eat(b" ")?;
            self.string()?;
            if extended {
                self.eat(b" ")?;
                self.parameters()?;
                self.disposition_language_location()?;
            }
            self.eat(b")")?;
            return Ok(entities);
        }
        let main = self.string()?;
        self.eat(b" ")?;
        let sub = self.string()?;
        self.eat(b" ")?;
        self.parameters()?;
        for _ in 0..2 {
            self.eat(b" ")?;
            self.nstring()?;
        }
        self.eat(b" ")?;
        self.string()?;
        self.eat(b" ")?;
        self.number()?;
        if main == b"MESSAGE" && (sub == b"RFC822" || sub == b"GLOBAL") {
            self.eat(b" ")?;
            self.envelope()?;
            self.eat(b" ")?;
            entities += self.body(extended)?;
            self.eat(b" ")?;
            self.number()?;
        } else if main == b"TEXT" {
            self.eat(b" ")?;
            self.number()?;
        } else if main == b"MULTIPART" {
            return Err("a multipart without parts".into());
        }
        if extended {
            self.eat(b" ")?;
            self.nstring()?;
            self.disposition_language_location()?;
        }
        self.eat(b")")?;
        Ok(entities)
    }
}

fn check(text: &[u8]) -> Read<()> {
    let facts = Facts::compute(text);
    let mut reader = Reader { rest: &facts.envelope };
    reader.envelope()?;
    reader.eat_end()?;
    for (rendered, extended) in [(&facts.body_structure, true), (&facts.body, false)] {
        let mut reader = Reader { rest: rendered };
        let entities = reader.body(extended)?;
        reader.eat_end()?;
        if entities != facts.parts.len() {
            return Err(format!("{entities} entities of {}", facts.parts.len()));
        }
    }
    Ok(())
}

impl Reader<'_> {
    fn eat_end(&self) -> Read<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(format!("{} octets behind the end", self.rest.len())) }
    }
}

#[test]
fn deep_and_wide() {
    let deep = b"Content-Type: message/rfc822\r\n\r\n".repeat(150);
    assert_eq!(check(&deep), Ok(()));
    let wide = [
        b"Content-Type: multipart/digest; boundary=b\r\n\r\n".to_vec(),
        b"--b\r\n\r\nTo: g: a;\r\n\r\nx\r\n".repeat(crate::limits::PARTS_MAX),
    ]
    .concat();
    assert_eq!(check(&wide), Ok(()));
    let list = [b"From: g: ".to_vec(), b"a@b,".repeat(crate::limits::ADDRESSES_MAX + 10)].concat();
    assert_eq!(check(&list), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn facts_are_valid_imap(text in hostile()) {
        prop_assert_eq!(check(&text), Ok(()));
    }
    #[test]
    fn envelopes_of_any_header_are_valid(lists in proptest::collection::vec("[<>()@,;:\"\\\\\\[\\] =?.ab\u{e4}\u{0}\t]{0,30}", 8)) {
        let names = ["From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Subject", "Content-Type"];
        let header: String = names.iter().zip(&lists).map(|(n, l)| format!("{n}: {l}\r\n")).collect();
        prop_assert_eq!(check(header.as_bytes()), Ok(()));
    }
}

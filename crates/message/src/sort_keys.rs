//! What a message is sorted and threaded by (RFC 5256 §2, §3; RFC 5957), taken from its facts: nothing is parsed again.
//!
//! Texts come out mapped for a collation, usually i;unicode-casemap ([`crate::casemap`]), so comparing is comparing octets.
//! Must not know: mailboxes, who asks.

use std::borrow::Cow;

use crate::base_subject;
use crate::casemap::unicode_casemap;
use crate::encoded_word;
use crate::facts::Facts;

/// The texts one message is sorted by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SortKeys {
    /// SUBJECT: the base subject.
    pub subject: String,
    /// The subject says that it answers or forwards.
    pub is_reply: bool,
    /// FROM: the mailbox (left of the at sign) of the first address.
    pub from: String,
    /// TO
    pub to: String,
    /// CC
    pub cc: String,
    /// DISPLAYFROM (RFC 5957 §3): the first address's name, else the address.
    pub display_from: String,
    /// DISPLAYTO
    pub display_to: String,
}

impl SortKeys {
    /// From the facts of one message.
    ///
    /// ```
    /// use message::{facts::Facts, sort_keys::SortKeys};
    /// let facts = Facts::compute(b"From: =?utf-8?q?=C3=A4nne?= <Zoe@here.test>\r\nSubject: Re: boat\r\n\r\n");
    /// let keys = SortKeys::of(&facts);
    /// assert_eq!((keys.subject.as_str(), keys.is_reply, keys.from.as_str()), ("BOAT", true, "ZOE"));
    /// assert_eq!(keys.display_from, "A\u{308}NNE");
    /// ```
    pub fn of(facts: &Facts) -> SortKeys {
        SortKeys::mapped(facts, unicode_casemap)
    }

    /// The same, for another collation: the texts as `map` gives them.
    ///
    /// ```
    /// use message::{facts::Facts, sort_keys::SortKeys};
    /// let facts = Facts::compute(b"From: ann <Zoe@here.test>\r\nSubject: Re: boat\r\n\r\n");
    /// let keys = SortKeys::mapped(&facts, str::to_owned);
    /// assert_eq!((keys.subject.as_str(), keys.display_from.as_str()), ("boat", "ann"));
    /// ```
    pub fn mapped(facts: &Facts, map: impl Fn(&str) -> String) -> SortKeys {
        let base = base_subject::of_text(&facts.subject);
        let mut scanner = Scanner { rest: facts.envelope.get(1..).unwrap_or_default() };
        // Date and Subject; then From, with Sender and Reply-To behind it.
        scanner.skip_items(2);
        let from = scanner.first_address();
        scanner.skip_items(2);
        let (to, cc) = (scanner.first_address(), scanner.first_address());
        SortKeys {
            subject: map(&base.text),
            is_reply: base.is_reply,
            from: from.mailbox(&map),
            to: to.mailbox(&map),
            cc: cc.mailbox(&map),
            display_from: from.display(&map),
            display_to: to.display(&map),
        }
    }
}

/// `addr-name`, `addr-mailbox` and `addr-host` of an address as ENVELOPE has it.
#[derive(Default)]
struct First<'a> {
    name: Cow<'a, [u8]>,
    mailbox: Cow<'a, [u8]>,
    host: Cow<'a, [u8]>,
}

impl First<'_> {
    fn mailbox(&self, map: impl Fn(&str) -> String) -> String {
        map(&encoded_word::decode(&self.mailbox))
    }

    fn display(&self, map: impl Fn(&str) -> String) -> String {
        let name = encoded_word::decode(&self.name);
        if !name.trim().is_empty() {
            return map(name.trim());
        }
        let mut address = encoded_word::decode(&self.mailbox);
        if !self.host.is_empty() {
            address.push('@');
            address.push_str(&encoded_word::decode(&self.host));
        }
        map(&address)
    }
}

/// Reads a rendered ENVELOPE ([`crate::envelope_item`]): strings, NIL, and lists of lists of them.
struct Scanner<'a> {
    rest: &'a [u8],
}

impl<'a> Scanner<'a> {
    fn eat(&mut self, octet: u8) -> bool {
        let left = self.rest.split_first().filter(|(first, _)| **first == octet).map(|(_, rest)| rest);
        self.rest = left.unwrap_or(self.rest);
        left.is_some()
    }

    /// An `nstring`; empty for NIL, and for whatever is none.
    fn string(&mut self) -> Cow<'a, [u8]> {
        self.eat(b' ');
        if self.eat(b'"') {
            return self.quoted();
        }
        if self.eat(b'{') {
            let end = memchr::memchr(b'\n', self.rest).map_or(self.rest.len(), |at| at + 1);
            let (head, rest) = self.rest.split_at(end);
            let digits = head.iter().take_while(|b| b.is_ascii_digit());
            let len = digits.fold(0usize, |len, digit| len.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
            let (text, rest) = rest.split_at(len.min(rest.len()));
            self.rest = rest;
            return Cow::Borrowed(text);
        }
        let end = self.rest.iter().position(|b| matches!(b, b' ' | b'(' | b')')).unwrap_or(self.rest.len());
        self.rest = self.rest.get(end..).unwrap_or_default();
        Cow::Borrowed(&[])
    }

    fn quoted(&mut self) -> Cow<'a, [u8]> {
        let plain = memchr::memchr2(b'"', b'\\', self.rest).unwrap_or(self.rest.len());
        if self.rest.get(plain) == Some(&b'"') {
            let (text, rest) = self.rest.split_at(plain);
            self.rest = rest.get(1..).unwrap_or_default();
            return Cow::Borrowed(text);
        }
        let mut text = Vec::new();
        while let Some((&octet, rest)) = self.rest.split_first() {
            self.rest = rest;
            match octet {
                b'"' => break,
                b'\\' => {
                    text.extend(self.rest.first());
                    self.rest = self.rest.get(1..).unwrap_or_default();
                }
                other => text.push(other),
            }
        }
        Cow::Owned(text)
    }

    /// The first of a list of addresses; the list is left behind.
    fn first_address(&mut self) -> First<'a> {
        self.eat(b' ');
        if !self.eat(b'(') {
            self.string();
            return First::default();
        }
        let mut first = None;
        while self.eat(b'(') {
            let [name, _, mailbox, host] = [self.string(), self.string(), self.string(), self.string()];
            first.get_or_insert(First { name, mailbox, host });
            if !self.eat(b')') {
                break;
            }
        }
        self.eat(b')');
        first.unwrap_or_default()
    }

    /// Strings or address lists.
    fn skip_items(&mut self, count: usize) {
        for _ in 0..count {
            self.first_address();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(header: &str) -> SortKeys {
        SortKeys::of(&Facts::compute(format!("{header}\r\n\r\nx").as_bytes()))
    }

    #[test]
    fn the_first_address_counts() {
        let one = keys("From: \"Doe \\\"J\\\"\" <j.d@x.test>, b@y.test\r\nTo: A@here.test\r\nCc: list:c@z.test,d@z.test;");
        assert_eq!((one.from.as_str(), one.to.as_str(), one.cc.as_str()), ("J.D", "A", "LIST"));
        assert_eq!((one.display_from.as_str(), one.display_to.as_str()), ("DOE \"J\"", "A@HERE.TEST"));
        let none = keys("Subject: [x] Fwd: boat");
        assert_eq!(none, SortKeys { subject: "BOAT".into(), is_reply: true, ..SortKeys::default() });
    }

    #[test]
    fn literals_and_encoded_words_are_read() {
        let one = keys("From: Gr\u{fc}n <\u{e4}@x.test>\r\nTo: =?utf-8?b?w6k=?= <a@b>");
        assert_eq!((one.from.as_str(), one.display_from.as_str()), ("A\u{308}", "GRU\u{308}N"));
        assert_eq!((one.to.as_str(), one.display_to.as_str()), ("A", "E\u{301}"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// What the envelope's scanner reads is what the fields say.
        #[test]
        fn as_the_field_says(local in "[a-z]{1,8}", name in "[ -~é]{0,12}", before in "[ -~]{0,20}") {
            let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
            let found = keys(&format!("Date: {before}\r\nSubject: {before}\r\nFrom: x@y\r\nTo: \"{quoted}\" <{local}@here.test>"));
            prop_assert_eq!(&found.to, &local.to_ascii_uppercase());
            prop_assert_eq!(&found.from, "X");
        }
    }
}

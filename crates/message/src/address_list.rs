//! Address lists of header fields (RFC 5322 §3.4, with the obsolete syntax of §4.4), read as they are found.
//!
//! A flat list, groups as marks around their members, which is the order ENVELOPE wants (RFC 9051 §7.5.2).
//! One pass, no recursion. Text stays raw; [`HeaderAddress::display`] is for people.

use std::borrow::Cow;

use crate::defect::DefectKind;
use crate::encoded_word;
use crate::limits::{ADDRESSES_MAX, ENCODED_WORD_BYTES_MAX};
use crate::parameter::{comment_end, quoted_string};

/// One entry of an address list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderAddress<'a> {
    /// An address.
    Mailbox {
        /// Display name without quotes, encoded-words raw; else what a comment behind the address says.
        name: Option<Cow<'a, [u8]>>,
        /// Source route `@a,@b` (RFC 5322 §4.4 obs-route).
        route: Option<Cow<'a, [u8]>>,
        /// Without quotes.
        local: Cow<'a, [u8]>,
        /// Empty when there was no at sign.
        domain: Cow<'a, [u8]>,
    },
    /// `name:`
    Group(Cow<'a, [u8]>),
    /// `;`
    GroupEnd,
}

impl HeaderAddress<'_> {
    /// `Ann <ann@here.test>`, decoded; `None` for a group's marks.
    ///
    /// ```
    /// let list = message::address_list::parse(b"=?utf-8?Q?=C3=84nne?= <aenne@here.test>");
    /// assert_eq!(list[0].display().as_deref(), Some("Änne <aenne@here.test>"));
    /// ```
    pub fn display(&self) -> Option<String> {
        let HeaderAddress::Mailbox { .. } = self else { return None };
        let address = self.address()?;
        match self.name() {
            Some(name) if !name.trim().is_empty() => Some(format!("{} <{address}>", name.trim())),
            _ => Some(address),
        }
    }

    /// `local@domain` as text, the local part unquoted; `None` for a group's marks.
    ///
    /// ```
    /// let list = message::address_list::parse(b"\"a b\"@here.test");
    /// assert_eq!(list[0].address().as_deref(), Some("a b@here.test"));
    /// ```
    pub fn address(&self) -> Option<String> {
        let HeaderAddress::Mailbox { local, domain, .. } = self else { return None };
        let mut out = String::with_capacity(local.len() + 1 + domain.len());
        out.push_str(&String::from_utf8_lossy(local));
        if !domain.is_empty() {
            out.push('@');
            out.push_str(&String::from_utf8_lossy(domain));
        }
        Some(out)
    }

    /// The display name, decoded.
    ///
    /// ```
    /// let list = message::address_list::parse(b"ann@here.test (Ann B.)");
    /// assert_eq!(list[0].name().as_deref(), Some("Ann B."));
    /// ```
    pub fn name(&self) -> Option<Cow<'_, str>> {
        match self {
            HeaderAddress::Mailbox { name, .. } => name.as_deref().map(|n| encoded_word::decode_cow(Cow::Borrowed(n), None)),
            HeaderAddress::Group(name) => Some(encoded_word::decode_cow(Cow::Borrowed(name), None)),
            HeaderAddress::GroupEnd => None,
        }
    }
}

/// Parses the body of an address field, folded or not.
///
/// ```
/// let list = message::address_list::parse(b"Ann B. <ann@here.test>, \"Doe, J\" <j@x.test>");
/// assert_eq!(list.len(), 2);
/// assert_eq!(list[0].display().as_deref(), Some("Ann B. <ann@here.test>"));
/// ```
pub fn parse(value: &[u8]) -> Vec<HeaderAddress<'_>> {
    run(value).out
}

fn run(value: &[u8]) -> Parser<'_> {
    let mut parser = Parser {
        value,
        at: 0,
        out: Vec::new(),
        item: Item::default(),
        in_group: false,
        comment_open: false,
        quote_open: false,
        found: Vec::new(),
    };
    parser.run();
    parser
}

/// Tells what is wrong with the list that [`parse`] reads.
pub(crate) fn check(value: &[u8], tell: &mut dyn FnMut(DefectKind)) {
    for kind in run(value).found {
        tell(kind);
    }
}

/// A word, and whether a blank stands before it.
#[derive(Debug)]
struct Word<'a> {
    text: Cow<'a, [u8]>,
    spaced: bool,
    /// Where it stands in the value, if it stands there as it is.
    start: Option<usize>,
}

/// Where an address stands apart from its name.
#[derive(Debug, Default)]
struct AddrSpec<'a> {
    route: Option<Cow<'a, [u8]>>,
    local: Cow<'a, [u8]>,
    domain: Cow<'a, [u8]>,
}

/// What has been read since the last comma.
#[derive(Debug, Default)]
struct Item<'a> {
    value: &'a [u8],
    words: Vec<Word<'a>>,
    /// Number of words before the first at sign.
    at_sign: Option<usize>,
    /// A blank stands before that at sign.
    at_sign_spaced: bool,
    comment: Option<Vec<u8>>,
    /// What stood in `<...>`.
    angle: Option<AddrSpec<'a>>,
    /// A blank has been seen since the last word.
    spaced: bool,
}

impl<'a> Item<'a> {
    fn push(&mut self, text: Cow<'a, [u8]>, start: Option<usize>) {
        let spaced = std::mem::take(&mut self.spaced);
        self.words.push(Word { text, spaced, start });
    }

    /// As it was in the beginning, but keeps the room for words.
    fn clear(&mut self) {
        self.words.clear();
        let words = std::mem::take(&mut self.words);
        *self = Item { value: self.value, words, ..Item::default() };
    }

    /// Words with one blank where there are some.
    fn phrase(&self, words: &[Word<'a>]) -> Option<Cow<'a, [u8]>> {
        self.join(words, true).filter(|text| !text.is_empty())
    }

    /// Words joined; a piece of the value itself where it reads the same.
    fn join(&self, words: &[Word<'a>], blanks: bool) -> Option<Cow<'a, [u8]>> {
        let (first, rest) = words.split_first()?;
        if rest.is_empty() {
            return Some(first.text.clone());
        }
        let mut end = first.start.map(|start| start + first.text.len());
        for word in rest {
            let gap = usize::from(word.spaced && blanks);
            end = end
                .zip(word.start)
                .filter(|(end, start)| end + gap == *start && (gap == 0 || self.value.get(*end) == Some(&b' ')))
                .map(|(_, start)| start + word.text.len());
        }
        if let Some(piece) = first.start.zip(end).and_then(|(start, end)| self.value.get(start..end)) {
            return Some(Cow::Borrowed(piece));
        }
        let mut out = Vec::new();
        for word in words {
            if blanks && word.spaced && !out.is_empty() {
                out.push(b' ');
            }
            out.extend_from_slice(&word.text);
        }
        Some(Cow::Owned(out))
    }

    /// `name local@domain` without brackets: the local part is the words that stand together before the at sign.
    fn bare(&self) -> Option<(Option<Cow<'a, [u8]>>, AddrSpec<'a>)> {
        let Some(at_sign) = self.at_sign else {
            let local = self.phrase(&self.words)?;
            return Some((None, AddrSpec { local, ..AddrSpec::default() }));
        };
        let (before, after) = self.words.split_at_checked(at_sign)?;
        let mut start = before.len();
        while start > 0 {
            start -= 1;
            let joins_dot = |w: Option<&Word<'_>>, end: bool| {
                w.is_some_and(|w| if end { w.text.ends_with(b".") } else { w.text.starts_with(b".") })
            };
            let joined = before.get(start).is_some_and(|w| !w.spaced)
                || joins_dot(before.get(start), false)
                || joins_dot(start.checked_sub(1).and_then(|i| before.get(i)), true);
            if !joined {
                break;
            }
        }
        let (name, local) = before.split_at_checked(start)?;
        let local = self.join(local, false).unwrap_or_default();
        let domain = self.join(after, false).unwrap_or_default();
        Some((self.phrase(name), AddrSpec { route: None, local, domain }))
    }
}

struct Parser<'a> {
    value: &'a [u8],
    at: usize,
    out: Vec<HeaderAddress<'a>>,
    item: Item<'a>,
    in_group: bool,
    /// A comment, or a quoted string, that is never closed has been met.
    comment_open: bool,
    quote_open: bool,
    /// Each kind of defect once.
    found: Vec<DefectKind>,
}

impl<'a> Parser<'a> {
    fn note(&mut self, kind: DefectKind) {
        if !self.found.contains(&kind) {
            self.found.push(kind);
        }
    }

    fn run(&mut self) {
        while let Some(byte) = self.value.get(self.at).copied() {
            if self.out.len() >= ADDRESSES_MAX {
                // An open group still needs its end.
                self.note(DefectKind::TooManyAddresses);
                self.item.clear();
                break;
            }
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {
                    self.item.spaced = true;
                    self.at += 1;
                }
                b'(' => self.comment(),
                b'"' => self.quoted(),
                b'<' => self.angle(),
                b',' => {
                    self.at += 1;
                    self.end_item();
                }
                b';' => {
                    self.at += 1;
                    self.end_item();
                    if !self.in_group {
                        self.note(DefectKind::AddressSemicolon);
                    }
                    self.end_group();
                }
                b':' if !self.in_group => self.begin_group(),
                b'@' => {
                    self.at += 1;
                    // The first at sign parts; others stay where they are.
                    if self.item.at_sign.is_some() {
                        self.item.push(Cow::Borrowed(b"@"), Some(self.at - 1));
                    } else {
                        self.item.at_sign = Some(self.item.words.len());
                        self.item.at_sign_spaced = self.item.spaced;
                    }
                    self.item.spaced = false;
                }
                b'[' => self.until(b']'),
                _ => self.atom(),
            }
        }
        self.end_item();
        self.end_group();
    }

    /// A quoted string; of one that is never closed only the quote is dropped.
    fn quoted(&mut self) {
        if !self.quote_open {
            let (text, next) = quoted_string(self.value, self.at);
            if next > self.at + 1 && is_closed(self.value, self.at, next) {
                self.at = next;
                return self.item.push(text, None);
            }
        }
        self.note(DefectKind::AddressQuoteOpen);
        self.quote_open = true;
        self.at += 1;
    }

    fn comment(&mut self) {
        // One that is never closed has been met: looking for more ends would cost the square of their number.
        let end = if self.comment_open { self.value.len() + 1 } else { comment_end(self.value, self.at) };
        if end > self.value.len() || (end == self.value.len() && !comment_is_closed(self.value, self.at)) {
            self.note(DefectKind::AddressQuoteOpen);
            self.comment_open = true;
            self.item.spaced = true;
            self.at += 1;
            return;
        }
        let inner = self.value.get(self.at + 1..end).unwrap_or_default();
        let inner = inner.strip_suffix(b")").unwrap_or(inner).trim_ascii();
        if !inner.is_empty() {
            let mut text = Vec::with_capacity(inner.len());
            let mut escaped = false;
            for byte in inner {
                if *byte == b'\\' && !escaped {
                    escaped = true;
                    continue;
                }
                escaped = false;
                if *byte != b'\r' && *byte != b'\n' {
                    text.push(*byte);
                }
            }
            // What stands behind the address is its name (RFC 5322 §A.5 has it so); one before it only for want of that.
            let behind = self.item.at_sign.is_some_and(|at| self.item.words.len() > at);
            if behind || self.item.comment.is_none() {
                self.item.comment = Some(text);
            }
        }
        self.item.spaced = true;
        self.at = end;
    }

    fn begin_group(&mut self) {
        self.at += 1;
        let name = self.item.phrase(&self.item.words).unwrap_or_default();
        self.item.clear();
        self.out.push(HeaderAddress::Group(name));
        self.in_group = true;
    }

    fn end_group(&mut self) {
        if std::mem::take(&mut self.in_group) {
            self.out.push(HeaderAddress::GroupEnd);
        }
    }

    fn end_item(&mut self) {
        let item = &mut self.item;
        let found = match item.angle.take() {
            Some(spec) => Some((item.phrase(&item.words), spec)),
            None => item.bare(),
        };
        let comment = item.comment.take();
        item.clear();
        let Some((name, AddrSpec { route, local, domain })) = found else { return };
        if domain.is_empty() && !local.is_empty() {
            self.note(DefectKind::AddressWithoutDomain);
        }
        let name = name.or(comment.map(Cow::Owned));
        if name.is_none() && local.is_empty() && domain.is_empty() {
            return;
        }
        self.out.push(HeaderAddress::Mailbox { name, route, local, domain });
    }

    /// Everything up to and with `close` as one word.
    fn until(&mut self, close: u8) {
        let value: &'a [u8] = self.value;
        let rest = value.get(self.at..).unwrap_or_default();
        let len = memchr::memchr(close, rest).map_or(rest.len(), |i| i + 1);
        self.item.push(Cow::Borrowed(rest.get(..len).unwrap_or_default()), Some(self.at));
        self.at += len;
    }

    fn atom(&mut self) {
        let value: &'a [u8] = self.value;
        let rest = value.get(self.at..).unwrap_or_default();
        let len = encoded_word_len(rest).unwrap_or_else(|| rest.iter().position(|b| is_special(*b)).unwrap_or(rest.len()).max(1));
        let text = rest.get(..len).unwrap_or_default();
        // A special that is not one here (`)`, `>`, `]`, `:` in a group) is dropped.
        if !(len == 1 && b")>]:".contains(text.first().unwrap_or(&b' '))) {
            self.item.push(Cow::Borrowed(text), Some(self.at));
        }
        self.at += len;
    }

    /// `<@route:local@domain>`; a missing `>` ends with the field or at a comma behind an at sign.
    fn angle(&mut self) {
        let value: &'a [u8] = self.value;
        let rest = value.get(self.at + 1..).unwrap_or_default();
        let (spec, used, closed) = plain_angle(rest).unwrap_or_else(|| odd_angle(rest));
        if !closed {
            self.note(DefectKind::AddressAngleOpen);
        }
        self.at += 1 + used;
        if self.item.angle.is_none() {
            if self.item.at_sign.is_some() {
                // `ann@here.test <ann@here.test>`: the name has an unquoted at sign.
                self.note(DefectKind::AddressNotQuoted);
                let at = self.item.at_sign.take().unwrap_or(0).min(self.item.words.len());
                let spaced = self.item.at_sign_spaced;
                if let Some(next) = self.item.words.get_mut(at) {
                    next.spaced |= spaced;
                }
                self.item.words.insert(at, Word { text: Cow::Borrowed(b"@"), spaced, start: None });
            }
            self.item.angle = Some(spec);
        }
    }
}

/// What is left of `<...>`, how many octets it took, and whether it was closed.
type Angle<'a> = (AddrSpec<'a>, usize, bool);

/// `local@domain>` as nearly all write it.
fn plain_angle(rest: &[u8]) -> Option<Angle<'_>> {
    let end = rest.iter().position(|b| is_special(*b) && *b != b'@')?;
    let inner = rest.get(..end).filter(|_| rest.get(end) == Some(&b'>'))?;
    let at = memchr::memrchr(b'@', inner)?;
    let (local, domain) = (inner.get(..at)?, inner.get(at + 1..)?);
    Some((AddrSpec { route: None, local: Cow::Borrowed(local), domain: Cow::Borrowed(domain) }, end + 1, true))
}

fn odd_angle<'a>(rest: &[u8]) -> Angle<'a> {
    let mut inner = Vec::new();
    let mut route = None;
    let mut at_sign: Option<usize> = None;
    let mut i = 0;
    while let Some(byte) = rest.get(i).copied() {
        match byte {
            b'>' => break,
            b'"' => {
                let (text, next) = quoted_string(rest, i);
                inner.extend_from_slice(&text);
                i = next;
                continue;
            }
            b'(' => {
                i = comment_end(rest, i);
                continue;
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b':' if inner.first() == Some(&b'@') && route.is_none() => {
                route = Some(Cow::Owned(std::mem::take(&mut inner)));
                at_sign = None;
            }
            b',' | b';' if at_sign.is_some_and(|a| a > 0) => break,
            other => {
                if other == b'@' {
                    at_sign = Some(inner.len());
                }
                inner.push(other);
            }
        }
        i += 1;
    }
    let closed = rest.get(i) == Some(&b'>');
    let (local, domain) = match at_sign.and_then(|a| inner.split_at_checked(a)) {
        Some((local, domain)) => (local.to_vec(), domain.get(1..).unwrap_or_default().to_vec()),
        None => (inner, Vec::new()),
    };
    (AddrSpec { route, local: local.into(), domain: domain.into() }, i + usize::from(closed), closed)
}

/// What ends an atom here.
const fn is_special(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'(' | b')' | b'<' | b'>' | b'[' | b']' | b':' | b';' | b'@' | b',' | b'"')
}

/// True where the quoted string from `start` to `end` ends with its own quote.
fn is_closed(value: &[u8], start: usize, end: usize) -> bool {
    let inner = value.get(start + 1..end).and_then(|s| s.strip_suffix(b"\""));
    // An escaped quote at the end closes nothing.
    inner.is_some_and(|inner| inner.iter().rev().take_while(|b| **b == b'\\').count() % 2 == 0)
}

/// True where the comment that starts at `start`, and reaches to the end, is closed there.
fn comment_is_closed(value: &[u8], start: usize) -> bool {
    let mut depth = 0usize;
    let mut escaped = false;
    for byte in value.get(start..).unwrap_or_default() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    depth == 0
}

/// Length of an encoded-word at the start: it may hold specials that broken writers left in it.
fn encoded_word_len(rest: &[u8]) -> Option<usize> {
    if !rest.starts_with(b"=?") {
        return None;
    }
    let window = rest.get(..ENCODED_WORD_BYTES_MAX).unwrap_or(rest);
    let blank = window.iter().position(|b| b" \t\r\n".contains(b)).unwrap_or(window.len());
    let window = window.get(..blank)?;
    // Past `=?charset?q?`.
    let mut marks = memchr::memchr_iter(b'?', window).skip(2);
    let text = marks.next()? + 1;
    memchr::memmem::find(window.get(text..)?, b"?=").map(|i| text + i + 2)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> Vec<String> {
        parse(text.as_bytes())
            .into_iter()
            .map(|a| match a {
                HeaderAddress::Mailbox { name, route, local, domain } => format!(
                    "{}|{}|{}|{}",
                    name.map_or("-".into(), |n| String::from_utf8(n.into_owned()).unwrap()),
                    route.map_or("-".into(), |n| String::from_utf8(n.into_owned()).unwrap()),
                    String::from_utf8(local.into_owned()).unwrap(),
                    String::from_utf8(domain.into_owned()).unwrap()
                ),
                HeaderAddress::Group(name) => format!("{{{}", String::from_utf8(name.into_owned()).unwrap()),
                HeaderAddress::GroupEnd => "}".into(),
            })
            .collect()
    }

    #[test]
    fn rfc_5322_appendix_a() {
        assert_eq!(shown("\"Joe Q. Public\" <john.q.public@example.com>"), ["Joe Q. Public|-|john.q.public|example.com"]);
        assert_eq!(
            shown("Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>"),
            ["Mary Smith|-|mary|x.test", "-|-|jdoe|example.org", "Who?|-|one|y.test"]
        );
        assert_eq!(
            shown("<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>"),
            ["-|-|boss|nil.test", "Giant; \"Big\" Box|-|sysservices|example.net"]
        );
        assert_eq!(
            shown("A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;"),
            ["{A Group", "Ed Jones|-|c|a.test", "-|-|joe|where.test", "John|-|jdoe|one.test", "}"]
        );
        assert_eq!(shown("Undisclosed recipients:;"), ["{Undisclosed recipients", "}"]);
        assert_eq!(shown("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>"), ["Pete|-|pete|silly.test"]);
        assert_eq!(
            shown(
                "A Group(Some people)\n     :Chris Jones <c@(Chris's host.)public.example>,\n joe@example.org,\n  John <jdoe@one.test> (my dear friend); (the end of the group)"
            ),
            ["{A Group", "Chris Jones|-|c|public.example", "-|-|joe|example.org", "John|-|jdoe|one.test", "}"]
        );
        assert_eq!(
            shown("Mary Smith <@node.test:mary@example.net>, , jdoe@test   . example"),
            ["Mary Smith|@node.test|mary|example.net", "-|-|jdoe|test.example"]
        );
        assert_eq!(shown("Joe Q. Public <john . q . public@example.com>"), ["Joe Q. Public|-|john.q.public|example.com"]);
    }

    #[test]
    fn in_the_wild() {
        assert_eq!(shown("ann@here.test (Ann Bee)"), ["Ann Bee|-|ann|here.test"]);
        assert_eq!(shown("ann@here.test <ann@here.test>"), ["ann@here.test|-|ann|here.test"]);
        assert_eq!(shown("Ann ann@here.test"), ["Ann|-|ann|here.test"]);
        assert_eq!(shown("=?utf-8?Q?Doe,_John?= <j@x.test>"), ["=?utf-8?Q?Doe,_John?=|-|j|x.test"]);
        assert_eq!(shown("postmaster"), ["-|-|postmaster|"]);
        assert_eq!(shown("<ann@here.test, bob@here.test"), ["-|-|ann|here.test", "-|-|bob|here.test"]);
        assert_eq!(shown("\"john doe\"@x.test, a@[127.0.0.1]"), ["-|-|john doe|x.test", "-|-|a|[127.0.0.1]"]);
        assert_eq!(shown("<>"), Vec::<String>::new());
        assert_eq!(shown("a@b;c@d"), ["-|-|a|b", "-|-|c|d"]);
    }

    #[test]
    fn display_is_decoded() {
        let list = parse("=?utf-8?Q?=C3=84nn?= <a@b.test>, g: x@y.test;".as_bytes());
        assert_eq!(list[0].display().unwrap(), "Änn <a@b.test>");
        assert_eq!(list[1].display(), None);
        assert_eq!(list[2].display().unwrap(), "x@y.test");
    }

    #[test]
    fn the_list_is_bounded() {
        assert!(parse(&b"a@b,".repeat(20_000)).len() <= ADDRESSES_MAX + 1);
        assert!(parse(&b"g:;".repeat(20_000)).len() <= ADDRESSES_MAX + 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn never_panics(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(b"<>()@,;:\"\\[] =?.a".to_vec())], 0..120)) {
            for address in parse(&bytes) { let _ = (address.display(), address.name()); }
        }
    }
}

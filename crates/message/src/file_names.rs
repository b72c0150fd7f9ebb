//! The names of a message's files, told by its BODYSTRUCTURE: nothing of the message need be read.
//!
//! Invariant: what [`crate::attachment::names`] says of the parts that are files by themselves, pictures inside the HTML apart;
//! what is packed into a text or into winmail.dat has no name here. Must not know: where the BODYSTRUCTURE was kept.

use std::borrow::Cow;

use smol_str::SmolStr;

use crate::attachment::{self, AttachmentKind, Role};
use crate::content::{ContentType, Disposition};
use crate::limits::DEPTH_MAX;
use crate::parameter::Parameters;
use crate::parse::{Message, Part, PartKind};
use crate::transfer::TransferEncoding;

/// Lists in one another: of each part a few, of the deepest part as many as there are parts around it.
const LISTS_MAX: usize = DEPTH_MAX + 8;

/// Of a message's files, in its order, from what [`crate::body_structure::render`] made with `extended`. What is no
/// BODYSTRUCTURE has none.
///
/// ```
/// use message::{Facts, file_names};
/// let letter = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nHi\r\n--a\r\nContent-Type: image/png; name=cat.png\r\n\r\n--a--\r\n";
/// assert_eq!(file_names::of(&Facts::compute(letter).body_structure), ["cat.png"]);
/// assert!(file_names::of(b"(nonsense").is_empty());
/// ```
pub fn of(body_structure: &[u8]) -> Vec<String> {
    let Some(Item::List(root)) = (Reader { rest: body_structure }).item(0) else { return Vec::new() };
    let mut message = Message { bytes: &[], parts: Vec::new(), defects: Vec::new() };
    push(&root, None, true, &mut message.parts);
    let name = |(index, part): (usize, &Part<'_>)| match attachment::role(&message, index, part) {
        Role::Body | Role::Hidden | Role::Attachment(AttachmentKind::Inline) => None,
        Role::Attachment(_) => part.file_name().filter(|name| !name.is_empty()),
    };
    message.parts.iter().enumerate().filter_map(name).collect()
}

/// A value as it stands in an answer of IMAP.
enum Item<'a> {
    List(Vec<Item<'a>>),
    Text(Cow<'a, [u8]>),
    /// NIL, or a number.
    Atom,
}

impl<'a> Item<'a> {
    fn list(&self) -> Option<&[Item<'a>]> {
        if let Item::List(items) = self { Some(items) } else { None }
    }

    fn text(&self) -> Option<&Cow<'a, [u8]>> {
        if let Item::Text(text) = self { Some(text) } else { None }
    }

    fn word(&self) -> SmolStr {
        self.text().map(|text| String::from_utf8_lossy(text).to_ascii_lowercase().into()).unwrap_or_default()
    }

    fn parameters(&self) -> Parameters<'a> {
        let pair = |two: &[Item<'a>]| Some((two.first()?.word(), two.get(1)?.text()?.clone()));
        Parameters(self.list().unwrap_or_default().chunks(2).filter_map(pair).collect())
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn item(&mut self, depth: usize) -> Option<Item<'a>> {
        match self.rest.first()? {
            b'(' => self.items(depth),
            b'"' => self.quoted(),
            b'{' => {
                let end = memchr::memchr(b'\n', self.rest)?;
                let head = self.take(end + 1)?.strip_prefix(b"{")?.strip_suffix(b"}\r\n")?;
                let len = std::str::from_utf8(head).ok()?.parse().ok()?;
                Some(Item::Text(Cow::Borrowed(self.take(len)?)))
            }
            _ => {
                let len = self.rest.iter().position(|b| matches!(b, b' ' | b'(' | b')')).unwrap_or(self.rest.len());
                self.take(len.max(1)).map(|_| Item::Atom)
            }
        }
    }

    fn items(&mut self, depth: usize) -> Option<Item<'a>> {
        self.take(1)?;
        let mut items = Vec::new();
        loop {
            match self.rest.first()? {
                b' ' => self.rest = self.rest.get(1..)?,
                b')' => return self.take(1).map(|_| Item::List(items)),
                _ if depth < LISTS_MAX => items.push(self.item(depth + 1)?),
                _ => return None,
            }
        }
    }

    fn quoted(&mut self) -> Option<Item<'a>> {
        self.take(1)?;
        let end = memchr::memchr2(b'"', b'\\', self.rest)?;
        let mut text = Cow::Borrowed(self.take(end)?);
        loop {
            match self.take(1)? {
                b"\\" => {
                    let text = text.to_mut();
                    text.extend_from_slice(self.take(1)?);
                    let end = memchr::memchr2(b'"', b'\\', self.rest)?;
                    text.extend_from_slice(self.take(end)?);
                }
                _ => return Some(Item::Text(text)),
            }
        }
    }
}

/// A part and what is in it, as far as what a file is depends on it.
fn push<'a>(items: &[Item<'a>], parent: Option<usize>, is_entire_message: bool, parts: &mut Vec<Part<'a>>) {
    let at = parts.len();
    let inside = items.iter().take_while(|item| item.list().is_some()).count();
    let mut part = blank(parent, is_entire_message);
    if inside > 0 {
        part.kind = PartKind::Multipart;
        part.content_type = ContentType { main: "multipart".into(), sub: word(items, inside), parameters: Parameters::default() };
        parts.push(part);
        for child in items.iter().take(inside).filter_map(Item::list) {
            add(child, at, false, parts);
        }
        return;
    }
    let parameters = items.get(2).map(Item::parameters).unwrap_or_default();
    part.content_type = ContentType { main: word(items, 0), sub: word(items, 1), parameters };
    part.id = items.get(3).and_then(Item::text).cloned();
    // Behind the fields that every part has, the lines of a text, and envelope, body and lines of a message, stands the MD5.
    let (is_message, is_text) = (part.content_type.is_message(), part.content_type.main == "text");
    let md5 = 7 + if is_message { 3 } else { usize::from(is_text) };
    part.disposition = items.get(md5 + 1).and_then(Item::list).map(|disposition| Disposition {
        kind: word(disposition, 0),
        parameters: disposition.get(1).map(Item::parameters).unwrap_or_default(),
    });
    part.location = items.get(md5 + 3).and_then(Item::text).cloned();
    part.kind = if is_message { PartKind::Message } else { PartKind::Leaf };
    parts.push(part);
    if let Some(inner) = items.get(8).filter(|_| is_message).and_then(Item::list) {
        add(inner, at, true, parts);
    }
}

fn add<'a>(items: &[Item<'a>], parent: usize, is_entire_message: bool, parts: &mut Vec<Part<'a>>) {
    let child = parts.len();
    if let Some(parent) = parts.get_mut(parent) {
        parent.children.push(child);
    }
    push(items, Some(parent), is_entire_message, parts);
}

fn word(items: &[Item<'_>], at: usize) -> SmolStr {
    items.get(at).map(Item::word).unwrap_or_default()
}

fn blank<'a>(parent: Option<usize>, is_entire_message: bool) -> Part<'a> {
    Part {
        bytes: &[],
        parent,
        children: Vec::new(),
        kind: PartKind::Leaf,
        is_entire_message,
        header: 0..0,
        body: 0..0,
        lines: 0,
        content_type: ContentType::new("", ""),
        encoding: TransferEncoding::SevenBit,
        encoding_word: None,
        disposition: None,
        id: None,
        description: None,
        md5: None,
        location: None,
        language: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::attachment::Place;
    use crate::facts::Facts;
    use crate::parse::parse;
    use crate::test_messages::hostile;
    use proptest::prelude::*;

    fn by_facts(message: &[u8]) -> Vec<String> {
        of(&Facts::compute(message).body_structure)
    }

    /// The same, from the message. An IMAP string has no NUL.
    fn by_reading(octets: &[u8]) -> Vec<String> {
        let message = parse(octets);
        let of_parts = attachment::names(&message).into_iter().filter(|one| one.place == Place::Part);
        let files = of_parts.filter(|one| one.kind != AttachmentKind::Inline);
        files.filter_map(|one| message.parts.get(one.part)?.file_name()).filter(|name| !name.is_empty()).collect()
    }

    fn part(head: &str) -> String {
        format!("--b\r\n{head}\r\n\r\nx\r\n")
    }

    #[test]
    fn files_have_names_and_the_rest_has_none() {
        let long = "n".repeat(1_200);
        let parts = [
            "Content-Type: text/plain; name=letter.txt".to_owned(),
            "Content-Type: application/pdf; name=\"a \\\"quoted\\\" (1).pdf\"".to_owned(),
            "Content-Disposition: attachment; filename*=utf-8''R%C3%A9sum%C3%A9.doc".to_owned(),
            "Content-Type: image/png\r\nContent-Disposition: attachment; filename=\"=?utf-8?B?w6RwZmVsLnBuZw==?=\"".to_owned(),
            format!("Content-Type: text/plain\r\nContent-Disposition: attachment; filename={long}"),
            "Content-Type: text/calendar; name=invite.ics".to_owned(),
            "Content-Type: application/pgp-signature; name=signature.asc".to_owned(),
        ];
        let related = "--b\r\nContent-Type: multipart/related; boundary=c\r\n\r\n--c\r\nContent-Type: text/html\r\n\r\nx\r\n\
            --c\r\nContent-Type: image/gif; name=logo.gif\r\nContent-ID: <l@x>\r\n\r\nx\r\n--c--\r\n";
        let inner = "--b\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment; filename=passed.eml\r\n\r\n\
            Subject: (in) \"it\"\r\nContent-Type: multipart/mixed; boundary=d\r\n\r\n--d\r\n\r\nx\r\n--d\r\nContent-Type: audio/wav; name=deep.wav\r\n\r\nx\r\n--d--\r\n";
        let parts: String = parts.iter().map(|head| part(head)).collect();
        let message = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}{related}{inner}--b--\r\n");
        let names = by_facts(message.as_bytes());
        let right =
            ["a \"quoted\" (1).pdf", "Résumé.doc", "äpfel.png", &long, "invite.ics", "signature.asc", "passed.eml", "deep.wav"];
        assert_eq!(names, right);
        assert_eq!(by_reading(message.as_bytes()), right);
        assert_eq!(by_facts(b"Content-Type: application/zip; name=all.zip\r\n\r\nx"), ["all.zip"]);
        assert!(by_facts(b"Content-Type: text/html; name=page.html\r\n\r\nx").is_empty());
    }

    #[test]
    fn what_is_no_structure_has_none_however_deep() {
        let deep = "(".repeat(100_000);
        for broken in ["", "(", "NIL", "(\"TEXT\" \"PLAIN\" (\"NAME\"", "({999999999}\r\nx)", "({x}\r\n)", &deep] {
            assert!(of(broken.as_bytes()).is_empty(), "{broken:.40}");
        }
        let message: String =
            (0..DEPTH_MAX).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")).collect();
        let message = format!("{message}Content-Type: image/png; name=deepest.png\r\n\r\nx\r\n");
        assert_eq!(by_facts(message.as_bytes()), by_reading(message.as_bytes()));
    }

    proptest! {
        #[test]
        fn as_reading_it_tells(message in hostile()) {
            let without_nul = |names: Vec<String>| names.into_iter().map(|name| name.replace('\0', "")).collect::<Vec<_>>();
            prop_assert_eq!(without_nul(by_facts(&message)), without_nul(by_reading(&message)));
        }

        #[test]
        fn never_panics(octets in proptest::collection::vec(prop_oneof![Just(b'('), Just(b')'), Just(b'"'), Just(b'\\'), Just(b'{'), any::<u8>()], 0..200)) {
            of(&octets);
        }
    }
}

//! Builds messages: text, HTML with inline parts, attachments (RFC 5322, RFC 2045-2049, RFC 2183, RFC 2387, RFC 6532).
//!
//! Invariant: lines end in CRLF and are at most 998 octets; a boundary never occurs in what it parts; no text given can
//! add a field. Date and Message-ID are arguments: there is no clock and no chance here.

use std::fmt::Write as _;

use crate::address::Address;
use crate::date;
use crate::encoded_word;
use crate::limits::{LINE_BYTES_MAX, LINE_BYTES_WANTED};
use crate::parameter;
use crate::transfer;

/// An address with a name for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Display name.
    pub name: Option<String>,
    /// The address.
    pub address: Address,
}

impl Mailbox {
    /// With a name.
    pub fn named(name: &str, address: Address) -> Mailbox {
        Mailbox { name: Some(name.to_owned()), address }
    }

    /// `Name <local@domain>` as a field shows it, starting at `column` of its line.
    fn encode(&self, column: usize) -> String {
        // Where the domain is all that is not ASCII its A-labels do, and SMTPUTF8 is not needed.
        let address = printable(&self.address.ascii().unwrap_or_else(|| self.address.to_string()));
        match self.name.as_deref().map(str::trim).filter(|n| !n.is_empty()) {
            Some(name) => format!("{} <{address}>", phrase(name, column)),
            None => address,
        }
    }
}

impl From<Address> for Mailbox {
    fn from(address: Address) -> Mailbox {
        Mailbox { name: None, address }
    }
}

/// RFC 5322 §3.2.5: atoms as they are, else a quoted string, else encoded-words.
fn phrase(name: &str, column: usize) -> String {
    let atom = |c: char| c.is_ascii() && crate::address::is_atext(c);
    let short = name.len() <= 60 && name.chars().all(|c| c == ' ' || c.is_ascii_graphic()) && !name.contains("=?");
    if short && name.split(' ').all(|w| !w.is_empty() && w.chars().all(atom)) {
        return name.to_owned();
    }
    if short {
        return format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    }
    encoded_word::encode_words(&printable(name), column)
}

/// Without control characters, which could end a line.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A file that goes along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// `image/png`; what is no media type becomes `application/octet-stream`.
    pub media_type: String,
    /// For people.
    pub file_name: Option<String>,
    /// Content-ID without its brackets: `<img src="cid:...">` in the HTML names it.
    pub content_id: Option<String>,
    /// Comes out bit for bit.
    pub octets: Vec<u8>,
}

/// A message in the making.
///
/// ```
/// use message::{address::Address, build::{Builder, Mailbox}};
/// let ann = Mailbox::named("Ann", Address::parse("ann@here.test").unwrap());
/// let octets = Builder::new(0, "1@here.test").from(ann.clone()).to(ann).subject("Hi").text("Hello\n").build();
/// assert!(octets.starts_with(b"Date: Thu, 1 Jan 1970 00:00:00 +0000\r\nFrom: Ann <ann@here.test>\r\n"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Builder {
    date_secs: i64,
    message_id: String,
    from: Vec<Mailbox>,
    sender: Vec<Mailbox>,
    reply_to: Vec<Mailbox>,
    to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    subject: Option<String>,
    in_reply_to: Vec<String>,
    references: Vec<String>,
    other: Vec<(String, String)>,
    text: Option<String>,
    html: Option<String>,
    inline: Vec<Attachment>,
    attachments: Vec<Attachment>,
}

impl Builder {
    /// `message_id` without its brackets.
    pub fn new(date_secs: i64, message_id: &str) -> Builder {
        Builder { date_secs, message_id: message_id.to_owned(), ..Builder::default() }
    }

    /// One more author.
    pub fn from(mut self, mailbox: impl Into<Mailbox>) -> Builder {
        self.from.push(mailbox.into());
        self
    }

    /// The one who really sent it, where that is not the author.
    pub fn sender(mut self, mailbox: impl Into<Mailbox>) -> Builder {
        self.sender = vec![mailbox.into()];
        self
    }

    /// Where answers go.
    pub fn reply_to(mut self, mailbox: impl Into<Mailbox>) -> Builder {
        self.reply_to.push(mailbox.into());
        self
    }

    /// One more recipient.
    pub fn to(mut self, mailbox: impl Into<Mailbox>) -> Builder {
        self.to.push(mailbox.into());
        self
    }

    /// One more recipient of a copy.
    pub fn cc(mut self, mailbox: impl Into<Mailbox>) -> Builder {
        self.cc.push(mailbox.into());
        self
    }

    /// Subject, any text.
    pub fn subject(mut self, text: &str) -> Builder {
        self.subject = Some(text.to_owned());
        self
    }

    /// The message this one answers: its Message-ID without brackets.
    pub fn in_reply_to(mut self, message_id: &str) -> Builder {
        self.in_reply_to.push(message_id.to_owned());
        self
    }

    /// One more of the thread's Message-IDs, oldest first, without brackets.
    pub fn references(mut self, message_id: &str) -> Builder {
        self.references.push(message_id.to_owned());
        self
    }

    /// Any other field with unstructured text. A name that is none is left out.
    pub fn field(mut self, name: &str, text: &str) -> Builder {
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
            self.other.push((name.to_owned(), text.to_owned()));
        }
        self
    }

    /// The plain text.
    pub fn text(mut self, text: &str) -> Builder {
        self.text = Some(text.to_owned());
        self
    }

    /// The HTML.
    pub fn html(mut self, html: &str) -> Builder {
        self.html = Some(html.to_owned());
        self
    }

    /// A part that the HTML shows (RFC 2387).
    pub fn inline(mut self, part: Attachment) -> Builder {
        self.inline.push(part);
        self
    }

    /// A file.
    pub fn attach(mut self, part: Attachment) -> Builder {
        self.attachments.push(part);
        self
    }

    /// The octets.
    pub fn build(self) -> Vec<u8> {
        let entity = self.entity();
        self.build_with(&entity)
    }

    /// The header with other content: content fields, empty line and body.
    pub(crate) fn build_with(&self, entity: &[u8]) -> Vec<u8> {
        let mut out = self.header().into_bytes();
        out.extend_from_slice(b"MIME-Version: 1.0\r\n");
        out.extend_from_slice(entity);
        out
    }

    fn header(&self) -> String {
        let mut out = format!("Date: {}\r\n", date::format_rfc_5322(self.date_secs));
        let lists =
            [("From", &self.from), ("Sender", &self.sender), ("Reply-To", &self.reply_to), ("To", &self.to), ("Cc", &self.cc)];
        for (name, list) in lists {
            push_mailboxes(&mut out, name, list);
        }
        if let Some(subject) = &self.subject {
            push_unstructured(&mut out, "Subject", subject);
        }
        push_message_ids(&mut out, "Message-ID", std::slice::from_ref(&self.message_id));
        push_message_ids(&mut out, "In-Reply-To", &self.in_reply_to);
        push_message_ids(&mut out, "References", &self.references);
        for (name, text) in &self.other {
            push_unstructured(&mut out, name, text);
        }
        out
    }

    /// Content fields and body: mixed(alternative(text, related(html, inline ...)), attachment ...), as far as needed.
    fn entity(&self) -> Vec<u8> {
        let mut boundaries = Boundaries::new(&self.message_id);
        let inline = || self.inline.iter().map(|a| attachment(a, "inline"));
        let mut html = self.html.as_deref().map(|html| text_entity("html", html));
        let mut loose = Vec::new();
        if !self.inline.is_empty() {
            html = match html {
                Some(html) => {
                    let parts: Vec<Vec<u8>> = std::iter::once(html).chain(inline()).collect();
                    Some(multipart("related; type=\"text/html\"", &parts, &mut boundaries))
                }
                None => {
                    loose.extend(inline());
                    None
                }
            };
        }
        let text = self.text.as_deref().map(|text| text_entity("plain", text));
        let body = match (text, html) {
            (Some(text), Some(html)) => multipart("alternative", &[text, html], &mut boundaries),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => text_entity("plain", ""),
        };
        loose.extend(self.attachments.iter().map(|a| attachment(a, "attachment")));
        if loose.is_empty() {
            return body;
        }
        loose.insert(0, body);
        multipart("mixed", &loose, &mut boundaries)
    }
}

fn push_mailboxes(out: &mut String, name: &str, list: &[Mailbox]) {
    if list.is_empty() {
        return;
    }
    let _ = write!(out, "{name}:");
    let mut column = name.len() + 1;
    for (i, mailbox) in list.iter().enumerate() {
        if i > 0 {
            out.push(',');
            column += 1;
        }
        let mut text = mailbox.encode(column + 1);
        if column + 1 + first_line_len(&text) > LINE_BYTES_WANTED && column > 1 {
            text = mailbox.encode(1);
            out.push_str("\r\n ");
            column = 1;
        } else {
            out.push(' ');
            column += 1;
        }
        column = text.rfind("\r\n").map_or(column + text.len(), |fold| text.len() - fold - 2);
        out.push_str(&text);
    }
    out.push_str("\r\n");
}

fn first_line_len(text: &str) -> usize {
    text.find("\r\n").unwrap_or(text.len())
}

fn push_unstructured(out: &mut String, name: &str, text: &str) {
    let _ = write!(out, "{name}: {}\r\n", encoded_word::encode(text, name.len() + 2));
}

fn push_message_ids(out: &mut String, name: &str, ids: &[String]) {
    if ids.is_empty() {
        return;
    }
    let _ = write!(out, "{name}:");
    let mut column = name.len() + 1;
    for (i, id) in ids.iter().enumerate() {
        let id: String = id.chars().filter(|c| !c.is_control() && !c.is_whitespace() && *c != '<' && *c != '>').collect();
        let fold = i > 0 && column + id.len() + 3 > LINE_BYTES_WANTED;
        out.push_str(if fold { "\r\n " } else { " " });
        column = if fold { 1 } else { column + 1 } + id.len() + 2;
        let _ = write!(out, "<{id}>");
    }
    out.push_str("\r\n");
}

/// Content fields, empty line and body of a text part.
pub(crate) fn text_entity(sub: &str, text: &str) -> Vec<u8> {
    let body = with_crlf(text);
    let (encoding, body) = encode_text(body);
    let mut out =
        format!("Content-Type: text/{sub}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n").into_bytes();
    out.extend_from_slice(&body);
    out
}

/// Every line end as CRLF, and one at the end.
fn with_crlf(text: &str) -> String {
    let mut out = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
    if !out.is_empty() && !out.ends_with("\r\n") {
        out.push_str("\r\n");
    }
    out
}

/// The encoding that fits, 8-bit channels not asked for: 7bit, quoted-printable where it stays readable, else base64.
fn encode_text(body: String) -> (&'static str, Vec<u8>) {
    let plain = |b: &u8| (b' '..0x7f).contains(b) || matches!(b, b'\t' | b'\r' | b'\n');
    let lines_fit = body.split("\r\n").all(|l| l.len() <= LINE_BYTES_MAX && !l.starts_with("From "));
    if lines_fit && body.bytes().all(|b| plain(&b)) {
        return ("7bit", body.into_bytes());
    }
    let escaped = body.bytes().filter(|b| !plain(b) || *b == b'=').count();
    if escaped * 6 <= body.len() {
        return ("quoted-printable", transfer::quoted_printable_encode(body.as_bytes()));
    }
    ("base64", transfer::base64_encode(body.as_bytes()))
}

/// Content fields, empty line and body of a file.
fn attachment(part: &Attachment, disposition: &str) -> Vec<u8> {
    let mut media_type = part.media_type.as_str();
    let token = |w: &str| !w.is_empty() && w.bytes().all(parameter::is_token_byte);
    let good = media_type.split_once('/').is_some_and(|(a, b)| token(a) && token(b)) && !is_composite(media_type);
    // A message travels unencoded (RFC 2046 §5.2.1), if its lines let it.
    let message = media_type.eq_ignore_ascii_case("message/rfc822") && travels(&part.octets);
    if !good && !message {
        media_type = "application/octet-stream";
    }
    let mut out = format!("Content-Type: {media_type}");
    if let Some(name) = &part.file_name {
        out.push_str(&parameter::encode("name", &printable(name)));
    }
    let _ = write!(out, "\r\nContent-Disposition: {disposition}");
    if let Some(name) = &part.file_name {
        out.push_str(&parameter::encode("filename", &printable(name)));
    }
    out.push_str("\r\n");
    if let Some(id) = &part.content_id {
        push_message_ids(&mut out, "Content-ID", std::slice::from_ref(id));
    }
    let (encoding, body) = match message {
        true if part.octets.is_ascii() => ("7bit", part.octets.clone()),
        true => ("8bit", part.octets.clone()),
        false => ("base64", transfer::base64_encode(&part.octets)),
    };
    let _ = write!(out, "Content-Transfer-Encoding: {encoding}\r\n\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(&body);
    out
}

fn is_composite(media_type: &str) -> bool {
    let main = media_type.split('/').next().unwrap_or_default();
    main.eq_ignore_ascii_case("multipart") || media_type.eq_ignore_ascii_case("message/rfc822")
}

/// CRLF lines of bearable length without NUL: what may go unencoded.
pub(crate) fn travels(octets: &[u8]) -> bool {
    let line_good = |line: &[u8]| {
        let content = line.strip_suffix(b"\r").unwrap_or(line);
        content.len() <= LINE_BYTES_MAX && !content.iter().any(|b| matches!(b, 0 | b'\r'))
    };
    let lines: Vec<&[u8]> = octets.split(|b| *b == b'\n').collect();
    let (last, whole) = lines.split_last().map_or((&[][..], &[][..]), |(l, w)| (*l, w));
    whole.iter().all(|l| l.ends_with(b"\r") && line_good(l)) && line_good(last) && !last.ends_with(b"\r")
}

/// Boundaries of one message: `=_` never occurs in base64 or quoted-printable (RFC 2045 §6.7), and unencoded parts are
/// looked through.
pub(crate) struct Boundaries {
    seed: String,
    number: u32,
}

impl Boundaries {
    pub(crate) fn new(message_id: &str) -> Boundaries {
        Boundaries { seed: message_id.chars().filter(char::is_ascii_alphanumeric).take(40).collect(), number: 0 }
    }

    fn next(&mut self, parts: &[Vec<u8>]) -> String {
        loop {
            self.number += 1;
            let boundary = format!("=_{}_{}", self.number, self.seed);
            let finder = memchr::memmem::Finder::new(boundary.as_bytes());
            if parts.iter().all(|part| finder.find(part).is_none()) {
                return boundary;
            }
        }
    }
}

/// `parts` are entities: content fields, empty line, body. `sub` may carry parameters.
pub(crate) fn multipart(sub: &str, parts: &[Vec<u8>], boundaries: &mut Boundaries) -> Vec<u8> {
    let boundary = boundaries.next(parts);
    let mut out = format!("Content-Type: multipart/{sub};\r\n boundary=\"{boundary}\"\r\n\r\n").into_bytes();
    for part in parts {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::address_list;
    use crate::facts::Facts;
    use crate::parse::{Message, PartKind, parse};
    use proptest::prelude::*;

    fn ann() -> Mailbox {
        Mailbox::named("Ann", Address::parse("ann@here.test").unwrap())
    }

    fn shape(message: &Message<'_>, index: usize) -> String {
        let part = &message.parts[index];
        let children: Vec<String> = part.children.iter().map(|c| shape(message, *c)).collect();
        let inner = if children.is_empty() { String::new() } else { format!("({})", children.join(" ")) };
        format!("{}/{}{inner}", part.content_type.main, part.content_type.sub)
    }

    #[test]
    fn welcome_message_shape() {
        let picture = Attachment {
            media_type: "image/png".into(),
            file_name: Some("boat.png".into()),
            content_id: Some("boat@here.test".into()),
            octets: vec![0x89, b'P', 0, 255],
        };
        let file = Attachment {
            media_type: "application/pdf".into(),
            file_name: Some("Grüße.pdf".into()),
            content_id: None,
            octets: (0..=255).collect(),
        };
        let built = Builder::new(837_595_405, "w1@here.test")
            .from(ann())
            .to(ann())
            .subject("Welcome to Packetboat ⛵")
            .text("Hello\n")
            .html("<p>Hello <img src=\"cid:boat@here.test\">")
            .inline(picture.clone())
            .attach(file.clone())
            .build();
        let message = parse(&built);
        assert_eq!(
            shape(&message, 0),
            "multipart/mixed(multipart/alternative(text/plain multipart/related(text/html image/png)) application/pdf)"
        );
        let leaf = |main: &str| message.parts.iter().find(|p| p.content_type.main == main).unwrap();
        assert_eq!(leaf("image").decoded(&built).unwrap(), picture.octets);
        assert_eq!(leaf("image").id.as_deref(), Some(&b"<boat@here.test>"[..]));
        assert_eq!(leaf("application").decoded(&built).unwrap(), file.octets);
        assert_eq!(leaf("application").file_name().unwrap(), "Grüße.pdf");
        let facts = Facts::compute(&built);
        assert_eq!((facts.subject.as_str(), facts.date_secs), ("Welcome to Packetboat ⛵", Some(837_595_405)));
        assert!(built.is_ascii());
    }

    #[test]
    fn simple_shapes() {
        let built = Builder::new(0, "x").from(ann()).text("a").build();
        assert_eq!(shape(&parse(&built), 0), "text/plain");
        let built = Builder::new(0, "x").from(ann()).html("a").build();
        assert_eq!(shape(&parse(&built), 0), "text/html");
        let built = Builder::new(0, "x").text("a").html("b").build();
        assert_eq!(shape(&parse(&built), 0), "multipart/alternative(text/plain text/html)");
        let inner = Attachment {
            media_type: "message/rfc822".into(),
            file_name: None,
            content_id: None,
            octets: b"Subject: x\r\n\r\nhi\r\n".to_vec(),
        };
        let built = Builder::new(0, "x").text("a").attach(inner.clone()).build();
        assert_eq!(shape(&parse(&built), 0), "multipart/mixed(text/plain message/rfc822(text/plain))");
        let bare = Attachment { octets: b"Subject: x\n\nhi\n".to_vec(), ..inner };
        let built = Builder::new(0, "x").text("a").attach(bare).build();
        assert_eq!(shape(&parse(&built), 0), "multipart/mixed(text/plain application/octet-stream)");
    }

    #[test]
    fn a_boundary_never_occurs_in_a_part() {
        let built = Builder::new(0, "seed").text("--=_1_seed\r\n--=_2_seed--\r\n").html("x").build();
        assert_eq!(shape(&parse(&built), 0), "multipart/alternative(text/plain text/html)");
    }

    #[test]
    fn nothing_adds_a_field() {
        let evil = "a\r\nBcc: x@y\r\n\r\nbody";
        let address = Address { local: evil.into(), domain: evil.into() };
        let built = Builder::new(0, evil)
            .from(Mailbox::named(evil, address))
            .subject(evil)
            .in_reply_to(evil)
            .field("X\r\nY", evil)
            .field("X-A", evil)
            .attach(Attachment {
                media_type: evil.into(),
                file_name: Some(evil.into()),
                content_id: Some(evil.into()),
                octets: vec![],
            })
            .build();
        let names: Vec<_> = crate::header::fields(&built).map(|f| String::from_utf8_lossy(f.name).into_owned()).collect();
        assert_eq!(names, ["Date", "From", "Subject", "Message-ID", "In-Reply-To", "X-A", "MIME-Version", "Content-Type"]);
    }

    #[test]
    fn a_domain_becomes_a_labels_and_a_local_part_stays_utf8() {
        let mailbox = |text: &str| Mailbox::from(Address::parse(text).unwrap());
        let built = Builder::new(0, "x").from(mailbox("a@bücher.example")).to(mailbox("ü@bücher.example")).build();
        let text = String::from_utf8(built).unwrap();
        assert!(text.contains("From: a@xn--bcher-kva.example\r\n") && text.contains("To: ü@bücher.example\r\n"), "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]
        #[test]
        fn build_parse_equal(
            names in proptest::collection::vec("\\PC{1,40}", 1..6), subject in "\\PC{0,150}", text in "(\\PC|\n|From |=|\\.){0,300}",
            html in proptest::option::of("\\PC{0,1200}"), file in proptest::collection::vec(any::<u8>(), 0..300), file_name in "\\PC{1,60}",
        ) {
            let to: Vec<Mailbox> = names.iter().map(|n| Mailbox::named(n, Address::parse("bob@there.test").unwrap())).collect();
            let mut builder = Builder::new(1, "id@here.test").from(ann()).subject(&subject).text(&text);
            for mailbox in &to { builder = builder.to(mailbox.clone()); }
            if let Some(html) = &html { builder = builder.html(html); }
            let built = builder.attach(Attachment { media_type: "image/png".into(), file_name: Some(file_name.clone()), content_id: None, octets: file.clone() }).build();
            prop_assert!(built.is_ascii());
            for line in built.split(|b| *b == b'\n') {
                prop_assert!(line.len() <= LINE_BYTES_MAX + 1);
            }
            let message = parse(&built);
            let header = message.header(&message.parts[0]);
            let field = |name| crate::header::first(header, name).unwrap().value().into_owned();
            let decoded = encoded_word::decode(&field("Subject"));
            prop_assert_eq!(decoded.trim(), subject.trim());
            let list = address_list::parse(&field("To"));
            let shown: Vec<String> = list.iter().map(|a| a.name().unwrap_or_default()).collect();
            let wanted: Vec<String> = names.iter().map(|n| n.trim().to_owned()).collect();
            prop_assert_eq!(shown, wanted);
            let leaves: Vec<_> = message.parts.iter().filter(|p| p.kind == PartKind::Leaf).collect();
            prop_assert_eq!(leaves.len(), if html.is_some() { 3 } else { 2 });
            prop_assert_eq!(String::from_utf8(leaves[0].decoded(&built).unwrap()).unwrap(), with_crlf(&text));
            prop_assert_eq!(leaves.last().unwrap().decoded(&built).unwrap(), file);
            prop_assert_eq!(leaves.last().unwrap().file_name().unwrap(), file_name);
        }
    }
}

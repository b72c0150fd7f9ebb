//! A message as `packetboat mime --json` shows it: a public interface, described in `docs/mime.md`. Fields are added,
//! never changed.

use message::attachment::{self, AttachmentKind};
use message::facts::UnsubscribeWay;
use message::html::{Policy, TrackerSign, sanitise};
use message::parse::{Message, Part, PartKind};
use message::transfer::TransferEncoding;
use message::{Facts, address_list, encoded_word, list_fields};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// The whole answer.
#[derive(Debug, Serialize)]
pub(super) struct View {
    pub(super) bytes: usize,
    pub(super) facts: FactsView,
    pub(super) parts: Vec<PartView>,
    pub(super) attachments: Vec<AttachmentView>,
    pub(super) defects: Vec<DefectView>,
}

/// What is known of the message as a whole.
#[derive(Debug, Serialize)]
pub(super) struct FactsView {
    pub(super) subject: String,
    /// Of each address field, in the order of the message.
    pub(super) from: Vec<AddressView>,
    sender: Vec<AddressView>,
    reply_to: Vec<AddressView>,
    to: Vec<AddressView>,
    cc: Vec<AddressView>,
    bcc: Vec<AddressView>,
    pub(super) message_id: Option<String>,
    pub(super) date_secs: Option<i64>,
    /// The first words of the text (RFC 8970).
    pub(super) preview: String,
    has_attachment: bool,
    list: ListView,
}

/// One address.
#[derive(Debug, Serialize)]
pub(super) struct AddressView {
    pub(super) name: Option<String>,
    pub(super) address: Option<String>,
    /// The group it stands in.
    group: Option<String>,
}

/// Is it from a list, and how is that left?
#[derive(Debug, Serialize)]
struct ListView {
    id: Option<String>,
    /// `none`, `one-click`, `mail`, `page`.
    unsubscribe: &'static str,
}

/// A file as a person means it.
#[derive(Debug, Serialize)]
pub(super) struct AttachmentView {
    /// Index in `parts`.
    part: usize,
    section: String,
    pub(super) kind: &'static str,
    /// It is packed into the part's content (uuencode, yEnc, BinHex, AppleSingle, winmail.dat).
    packed: bool,
    pub(super) name: Option<String>,
    pub(super) r#type: String,
    pub(super) bytes: u64,
    content_id: Option<String>,
    sha256: Option<String>,
}

/// What was repaired.
#[derive(Debug, Serialize)]
pub(super) struct DefectView {
    /// Octet of the message.
    pub(super) at: usize,
    /// Index in `parts`.
    part: usize,
    pub(super) section: String,
    pub(super) kind: &'static str,
    pub(super) meaning: &'static str,
}

/// Octets from `start` up to, not including, `end`.
#[derive(Debug, Serialize)]
pub(super) struct Span {
    start: usize,
    end: usize,
}

impl From<&Range<usize>> for Span {
    fn from(range: &Range<usize>) -> Span {
        Span { start: range.start, end: range.end }
    }
}

/// One field of a header.
#[derive(Debug, Serialize)]
pub(super) struct FieldView {
    name: String,
    /// Unfolded, encoded-words decoded.
    value: String,
}

/// One entity.
#[derive(Debug, Serialize)]
pub(super) struct PartView {
    /// `--raw` with this word prints the body.
    pub(super) section: String,
    pub(super) parent: Option<usize>,
    pub(super) depth: usize,
    pub(super) kind: &'static str,
    pub(super) r#type: String,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) encoding: String,
    pub(super) disposition: Option<String>,
    pub(super) file_name: Option<String>,
    pub(super) content_id: Option<String>,
    pub(super) fields: Vec<FieldView>,
    pub(super) header: Span,
    pub(super) body: Span,
    pub(super) lines: u32,
    /// `null`: an encoding that nobody knows.
    pub(super) decoded_bytes: Option<u64>,
    /// Of the decoded octets, in hexadecimal; of leaves only.
    pub(super) sha256: Option<String>,
    /// The decoded text, of `text/*` only.
    pub(super) text: Option<String>,
    /// Of `text/html` only: made safe to show.
    pub(super) safe_html: Option<SafeHtmlView>,
}

/// HTML that can be shown.
#[derive(Debug, Serialize)]
pub(super) struct SafeHtmlView {
    html: String,
    text: String,
    /// What it wanted from elsewhere; none of it is in `html`.
    pub(super) remote: Vec<RemoteView>,
}

/// Something from elsewhere.
#[derive(Debug, Serialize)]
pub(super) struct RemoteView {
    pub(super) url: String,
    pub(super) kind: &'static str,
    /// `tiny`, `hidden`, `known`; `null` where it is no tracking pixel.
    pub(super) tracker: Option<&'static str>,
}

impl SafeHtmlView {
    /// Pictures inside the message are `part/SECTION`.
    fn of(html: &str, pictures: &BTreeMap<String, String>) -> SafeHtmlView {
        let resolve_cid = |id: &str| pictures.get(id).map(|section| format!("part/{section}"));
        let safe = sanitise(html, &Policy { resolve_cid: &resolve_cid, ..Policy::default() });
        let remote = safe.remote.into_iter().map(|one| RemoteView {
            url: one.url,
            kind: one.kind.word(),
            tracker: one.tracker.map(|sign| match sign {
                TrackerSign::Tiny => "tiny",
                TrackerSign::Hidden => "hidden",
                TrackerSign::Known => "known",
            }),
        });
        SafeHtmlView { remote: remote.collect(), html: safe.html, text: safe.text }
    }
}

impl View {
    /// Everything about a message.
    pub(super) fn of(message: &Message<'_>) -> View {
        let mut parts: Vec<PartView> = Vec::with_capacity(message.parts.len());
        for (part, section) in message.parts.iter().zip(sections(message)) {
            let depth = part.parent.and_then(|p| parts.get(p)).map_or(0, |p| p.depth + 1);
            parts.push(PartView::of(part, section, depth));
        }
        let pictures = parts.iter().filter_map(|p| Some((p.content_id.clone()?, p.section.clone()))).collect();
        for part in parts.iter_mut().filter(|part| part.r#type == "text/html") {
            part.safe_html = part.text.as_deref().map(|html| SafeHtmlView::of(html, &pictures));
        }
        let section = |part: usize| parts.get(part).map(|p| p.section.clone()).unwrap_or_default();
        let attachments = attachment::list(message).into_iter().map(|one| AttachmentView::of(message, &one, section(one.part)));
        let attachments = attachments.collect();
        let defects = message.examine().into_iter().map(|defect| DefectView {
            at: defect.at,
            part: defect.part,
            section: section(defect.part),
            kind: defect.kind.word(),
            meaning: defect.kind.meaning(),
        });
        let defects = defects.collect();
        View { bytes: message.bytes.len(), facts: FactsView::of(message), parts, attachments, defects }
    }
}

impl FactsView {
    fn of(message: &Message<'_>) -> FactsView {
        let facts = Facts::compute(message.bytes);
        let addresses = |name: &str| {
            let mut group = None;
            let mut out = Vec::new();
            let field = message.root().field(name);
            let value = field.map(|field| field.value());
            for entry in value.as_deref().map(address_list::parse).unwrap_or_default() {
                match &entry {
                    address_list::HeaderAddress::Group(_) => group = entry.name().map(|name| name.into_owned()),
                    address_list::HeaderAddress::GroupEnd => group = None,
                    _ => out.push(AddressView {
                        name: entry.name().map(|name| name.into_owned()),
                        address: entry.address(),
                        group: group.clone(),
                    }),
                }
            }
            out
        };
        let list = list_fields::of_header(message.root().raw_header());
        FactsView {
            from: addresses("From"),
            sender: addresses("Sender"),
            reply_to: addresses("Reply-To"),
            to: addresses("To"),
            cc: addresses("Cc"),
            bcc: addresses("Bcc"),
            list: ListView {
                id: list.is_list().then_some(facts.list_id).flatten(),
                unsubscribe: match facts.unsubscribe {
                    UnsubscribeWay::None => "none",
                    UnsubscribeWay::OneClick => "one-click",
                    UnsubscribeWay::Mail => "mail",
                    UnsubscribeWay::Page => "page",
                },
            },
            subject: facts.subject,
            message_id: facts.message_id,
            date_secs: facts.date_secs,
            preview: facts.preview,
            has_attachment: facts.has_attachment,
        }
    }
}

impl AttachmentView {
    fn of(message: &Message<'_>, one: &attachment::Attachment, section: String) -> AttachmentView {
        AttachmentView {
            part: one.part,
            section,
            kind: match one.kind {
                AttachmentKind::File => "file",
                AttachmentKind::Inline => "inline",
                AttachmentKind::Message => "message",
                AttachmentKind::Calendar => "calendar",
                AttachmentKind::Signature => "signature",
                AttachmentKind::Encrypted => "encrypted",
                AttachmentKind::Report => "report",
                AttachmentKind::Tnef => "tnef",
            },
            packed: one.place != attachment::Place::Part,
            name: one.name.clone(),
            r#type: one.media_type.clone(),
            bytes: one.size,
            content_id: one.content_id.clone(),
            sha256: attachment::content(message, one).map(|content| sha256(&content)),
        }
    }
}

impl PartView {
    fn of(part: &Part<'_>, section: String, depth: usize) -> PartView {
        let parameters = &part.content_type.parameters;
        let name_of = |name: &str| name.split('*').next().unwrap_or_default().to_owned();
        let names = parameters.0.iter().map(|(name, _)| name_of(name));
        let parameters = names.filter_map(|name| parameters.decoded(&name).map(|value| (name, value))).collect();
        let leaf = part.kind == PartKind::Leaf;
        PartView {
            section,
            parent: part.parent,
            depth,
            kind: match part.kind {
                PartKind::Leaf => "leaf",
                PartKind::Multipart => "multipart",
                PartKind::Message => "message",
            },
            r#type: format!("{}/{}", part.content_type.main, part.content_type.sub),
            parameters,
            encoding: part.encoding_word.as_deref().unwrap_or(part.encoding.word()).to_ascii_lowercase(),
            disposition: part.disposition.as_ref().map(|d| d.kind.to_string()),
            file_name: part.file_name(),
            content_id: part.content_id().map(|id| String::from_utf8_lossy(id).into_owned()),
            fields: part
                .fields()
                .map(|field| FieldView {
                    name: String::from_utf8_lossy(field.name).into_owned(),
                    value: encoded_word::decode(&field.value()),
                })
                .collect(),
            header: Span::from(&part.header),
            body: Span::from(&part.body),
            lines: part.lines,
            decoded_bytes: part.content_len(),
            sha256: (leaf && part.encoding != TransferEncoding::Other).then(|| sha256(&part.content())),
            text: part.text().map(|text| text.into_owned()),
            safe_html: None,
        }
    }
}

fn sha256(octets: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, octets).as_ref())
}

/// For every entity the section whose octets are its body (RFC 9051 §6.4.5). What is a message has its body in TEXT, and a
/// message that is no multipart is also its own part 1.
pub(super) fn sections(message: &Message<'_>) -> Vec<String> {
    // Of each entity: its body's section, and what stands before the numbers of its parts.
    let mut prefixes: Vec<String> = Vec::with_capacity(message.parts.len());
    let mut out = Vec::with_capacity(message.parts.len());
    for (index, part) in message.parts.iter().enumerate() {
        let parent = part.parent.and_then(|p| message.parts.get(p).map(|parent| (parent, p)));
        let (section, prefix) = match parent {
            None => inside("", part.kind),
            Some((parent, p)) => {
                let before = prefixes.get(p).map(String::as_str).unwrap_or_default();
                if parent.kind == PartKind::Message {
                    inside(before, part.kind)
                } else {
                    let number = parent.children.binary_search(&index).map_or(0, |i| i + 1);
                    let own = format!("{before}{number}");
                    (own.clone(), own + ".")
                }
            }
        };
        prefixes.push(prefix);
        out.push(section);
    }
    out
}

/// A message's own entity; `before` is its number with a dot, or nothing.
fn inside(before: &str, kind: PartKind) -> (String, String) {
    match kind {
        PartKind::Multipart => (format!("{before}TEXT"), before.to_owned()),
        _ => (format!("{before}1"), format!("{before}1.")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use message::section;

    const NESTED: &str = "Content-Type: multipart/mixed; boundary=A\r\n\r\n\
--A\r\n\r\none\r\n--A\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n\
--B\r\n\r\ntwo one\r\n--B\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ninner\r\n--B--\r\n--A--\r\n";

    #[test]
    fn every_section_is_the_body_it_says() {
        let texts = [NESTED, "Subject: x\r\n\r\nbody", "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nbody"];
        for text in texts {
            let view = View::of(&message::parse(text.as_bytes()));
            let facts = Facts::compute(text.as_bytes());
            for part in &view.parts {
                let (path, kind) = super::super::section_of(&part.section).unwrap();
                assert_eq!(
                    section::range(&facts, &path, kind),
                    Some(part.body.start..part.body.end),
                    "{} of {text}",
                    part.section
                );
            }
        }
        let sections: Vec<String> = View::of(&message::parse(NESTED.as_bytes())).parts.into_iter().map(|p| p.section).collect();
        assert_eq!(sections, ["TEXT", "1", "2", "2.TEXT", "2.1", "2.2", "2.2.1"]);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let view = View::of(&message::parse(b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx"));
        assert!(view.defects.iter().any(|defect| defect.kind == "boundary-not-closed" && defect.section == "TEXT"));
        let view = View::of(&message::parse(
            b"From: g: Ann <a@b>;\r\nMessage-ID: <x@y>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n\r\nx\r\n",
        ));
        assert_eq!((view.defects.len(), view.facts.from[0].group.as_deref()), (0, Some("g")));
    }
}

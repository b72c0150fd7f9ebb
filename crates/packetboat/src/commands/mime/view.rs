//! A message as `packetboat mime --json` shows it: a public interface, described in `docs/mime.md`. Fields are added,
//! never changed.

use message::header;
use message::parse::{Message, Part, PartKind};
use message::transfer::TransferEncoding;
use message::{Facts, encoded_word, transfer};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

/// The whole answer.
#[derive(Debug, Serialize)]
pub(super) struct View {
    pub(super) bytes: usize,
    pub(super) facts: FactsView,
    pub(super) parts: Vec<PartView>,
}

/// What is known of the message as a whole.
#[derive(Debug, Serialize)]
pub(super) struct FactsView {
    pub(super) subject: String,
    pub(super) from: String,
    pub(super) message_id: Option<String>,
    pub(super) date_secs: Option<i64>,
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
    #[serde(skip)]
    transfer_encoding: TransferEncoding,
}

impl View {
    /// Everything about a message.
    pub(super) fn of(octets: &[u8]) -> View {
        let message = message::parse(octets);
        let facts = Facts::compute(octets);
        let mut parts: Vec<PartView> = Vec::with_capacity(message.parts.len());
        let sections = sections(&message);
        for (part, section) in message.parts.iter().zip(sections) {
            let depth = part.parent.and_then(|p| parts.get(p)).map_or(0, |p| p.depth + 1);
            parts.push(PartView::of(&message, part, section, depth));
        }
        let facts =
            FactsView { subject: facts.subject, from: facts.from, message_id: facts.message_id, date_secs: facts.date_secs };
        View { bytes: octets.len(), facts, parts }
    }

    /// What a person would call a file: attached messages whole, and every leaf that is not the text of the message.
    pub(super) fn files(&self) -> impl Iterator<Item = &PartView> {
        self.parts.iter().enumerate().filter(|(_, part)| part.is_file() && !self.is_inside_a_file(part)).map(|(_, part)| part)
    }

    fn is_inside_a_file(&self, part: &PartView) -> bool {
        let up = |part: &&PartView| part.parent.and_then(|p| self.parts.get(p));
        std::iter::successors(up(&part), up).any(PartView::is_file)
    }
}

impl PartView {
    fn of(message: &Message<'_>, part: &Part<'_>, section: String, depth: usize) -> PartView {
        let header = message.header(part);
        let leaf = part.kind == PartKind::Leaf;
        let decoded = if leaf { transfer::decode(part.encoding, message.body(part)) } else { None };
        let text = part.text().map(std::borrow::Cow::into_owned).filter(|_| decoded.is_some());
        let parameters = &part.content_type.parameters;
        let name_of = |name: &str| name.split('*').next().unwrap_or_default().to_owned();
        let names = parameters.0.iter().map(|(name, _)| name_of(name));
        let parameters = names.filter_map(|name| parameters.decoded(&name).map(|value| (name, value))).collect();
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
            content_id: part
                .id
                .as_deref()
                .map(|id| String::from_utf8_lossy(id).trim().trim_start_matches('<').trim_end_matches('>').to_owned()),
            fields: header::fields(header)
                .map(|field| FieldView {
                    name: String::from_utf8_lossy(field.name).into_owned(),
                    value: encoded_word::decode(&field.value()),
                })
                .collect(),
            header: Span::from(&part.header),
            body: Span::from(&part.body),
            lines: part.lines,
            decoded_bytes: if leaf { decoded.as_ref().map(|d| d.len() as u64) } else { Some(part.body.len() as u64) },
            sha256: decoded.as_deref().map(sha256),
            text,
            transfer_encoding: if leaf { part.encoding } else { TransferEncoding::Binary },
        }
    }

    /// A leaf with a name, or that is no text; a message inside.
    fn is_file(&self) -> bool {
        let is_text = matches!(self.r#type.as_str(), "text/plain" | "text/html");
        match self.kind {
            "leaf" => self.file_name.is_some() || self.disposition.as_deref() == Some("attachment") || !is_text,
            "message" => true,
            _ => false,
        }
    }

    /// For a file without a name.
    pub(super) fn other_name(&self) -> String {
        let extension = super::media_type::extension(&self.r#type);
        let mut out = String::from("part-");
        let _ = write!(out, "{}.{extension}", self.section);
        out
    }

    pub(super) fn body_range(&self) -> Range<usize> {
        self.body.start..self.body.end
    }

    pub(super) fn transfer_encoding(&self) -> TransferEncoding {
        self.transfer_encoding
    }
}

fn sha256(octets: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, octets).as_ref())
}

/// For every entity the section whose octets are its body (RFC 9051 §6.4.5). What is a message has its body in TEXT, and a
/// message that is no multipart is also its own part 1.
fn sections(message: &Message<'_>) -> Vec<String> {
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
            let view = View::of(text.as_bytes());
            let facts = Facts::compute(text.as_bytes());
            for part in &view.parts {
                let (path, kind) = super::super::section_of(&part.section).unwrap();
                assert_eq!(section::range(&facts, &path, kind), Some(part.body_range()), "{} of {text}", part.section);
            }
        }
        let sections: Vec<String> = View::of(NESTED.as_bytes()).parts.into_iter().map(|p| p.section).collect();
        assert_eq!(sections, ["TEXT", "1", "2", "2.TEXT", "2.1", "2.2", "2.2.1"]);
    }

    #[test]
    fn an_attached_message_is_one_file() {
        let view = View::of(NESTED.as_bytes());
        let files: Vec<&str> = view.files().map(|f| f.section.as_str()).collect();
        assert_eq!(files, ["2"]);
    }
}

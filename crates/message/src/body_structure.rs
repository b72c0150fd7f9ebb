//! IMAP's BODY and BODYSTRUCTURE (RFC 9051 §7.5.2 and `body` of §9), rendered from a parsed message.
//!
//! Invariant: numbers are never NIL, a multipart has at least one part, a message its envelope.

use crate::envelope_item::EnvelopeFields;
use crate::imap_string::{push_nstring, push_number, push_string, push_word};
use crate::parameter::Parameters;
use crate::parse::{Message, Part, PartKind};

/// Renders the whole message: BODYSTRUCTURE with `extended`, BODY without.
///
/// ```
/// let mut out = Vec::new();
/// message::body_structure::render(&message::parse(b"\r\nHi\r\n"), false, &mut out);
/// assert_eq!(out, br#"("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 4 1)"#);
/// ```
pub fn render(message: &Message<'_>, extended: bool, out: &mut Vec<u8>) {
    part(message, 0, extended, out);
}

/// One part; as deep as [`crate::limits::DEPTH_MAX`] at most.
fn part(message: &Message<'_>, index: usize, extended: bool, out: &mut Vec<u8>) {
    let Some(this) = message.parts.get(index) else { return };
    out.push(b'(');
    if this.kind == PartKind::Multipart {
        for child in &this.children {
            part(message, *child, extended, out);
        }
        out.push(b' ');
        push_word(out, &this.content_type.sub);
        if extended {
            out.push(b' ');
            push_parameters(out, &this.content_type.parameters);
            push_disposition_language_location(out, this);
        }
    } else {
        push_basic_fields(out, this);
        if this.kind == PartKind::Message {
            push_message_fields(message, this, extended, out);
        } else if this.content_type.main == "text" {
            push_number(out, u64::from(this.lines));
        }
        if extended {
            out.push(b' ');
            push_nstring(out, this.md5.as_deref());
            push_disposition_language_location(out, this);
        }
    }
    out.push(b')');
}

/// `media-type SP body-fields`.
fn push_basic_fields(out: &mut Vec<u8>, part: &Part<'_>) {
    // A message that is encoded has no envelope and no parts of its own by which readers could ask for them.
    let opaque = part.kind == PartKind::Leaf && part.content_type.is_message();
    push_word(out, if opaque { "application" } else { &part.content_type.main });
    out.push(b' ');
    push_word(out, if opaque { "octet-stream" } else { &part.content_type.sub });
    out.push(b' ');
    push_parameters(out, &part.content_type.parameters);
    out.push(b' ');
    push_nstring(out, part.id.as_deref());
    out.push(b' ');
    push_nstring(out, part.description.as_deref());
    out.push(b' ');
    push_word(out, part.encoding_word.as_deref().unwrap_or(part.encoding.word()));
    push_number(out, part.body.len() as u64);
}

/// ` envelope body lines` of a message/rfc822 part.
fn push_message_fields(message: &Message<'_>, part_of: &Part<'_>, extended: bool, out: &mut Vec<u8>) {
    let inner = part_of.children.first().copied().unwrap_or_default();
    let header = message.parts.get(inner).map(|p| message.header(p)).unwrap_or_default();
    out.push(b' ');
    EnvelopeFields::read(header).render(out);
    out.push(b' ');
    part(message, inner, extended, out);
    push_number(out, u64::from(part_of.lines));
}

/// `body-fld-param`.
fn push_parameters(out: &mut Vec<u8>, parameters: &Parameters<'_>) {
    if parameters.0.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    for (i, (name, value)) in parameters.0.iter().enumerate() {
        out.push(if i == 0 { b'(' } else { b' ' });
        push_word(out, name);
        out.push(b' ');
        push_string(out, value);
    }
    out.push(b')');
}

/// ` body-fld-dsp body-fld-lang body-fld-loc`.
fn push_disposition_language_location(out: &mut Vec<u8>, part: &Part<'_>) {
    out.push(b' ');
    match &part.disposition {
        Some(disposition) => {
            out.push(b'(');
            push_word(out, &disposition.kind);
            out.push(b' ');
            push_parameters(out, &disposition.parameters);
            out.push(b')');
        }
        None => out.extend_from_slice(b"NIL"),
    }
    out.push(b' ');
    match part.language.as_slice() {
        [] => out.extend_from_slice(b"NIL"),
        [one] => push_string(out, one),
        several => {
            for (i, language) in several.iter().enumerate() {
                out.push(if i == 0 { b'(' } else { b' ' });
                push_string(out, language);
            }
            out.push(b')');
        }
    }
    out.push(b' ');
    push_nstring(out, part.location.as_deref());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::parse::parse;

    fn shown(message: &str) -> (String, String) {
        let message = parse(message.as_bytes());
        let (mut extended, mut plain) = (Vec::new(), Vec::new());
        render(&message, true, &mut extended);
        render(&message, false, &mut plain);
        (String::from_utf8(extended).unwrap(), String::from_utf8(plain).unwrap())
    }

    #[test]
    fn plain_text() {
        let (extended, plain) = shown("Subject: x\r\n\r\nhello\r\n");
        assert_eq!(extended, "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 7 1 NIL NIL NIL NIL)");
        assert_eq!(plain, "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 7 1)");
    }

    #[test]
    fn text_and_attachment() {
        let message = "Content-Type: multipart/mixed; boundary=\"b b\"\r\nContent-Language: en, de\r\n\r\npreamble\r\n--b b\r\n\
            Content-Type: text/html; charset=UTF-8; x*0*=utf-8''%20\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>\r\nhi\r\n--b b\r\n\
            Content-Type: image/png; name=\"a b.png\"\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <i@d>\r\nContent-Description: pic\r\n\
            Content-Disposition: attachment; filename=\"a b.png\"\r\nContent-MD5: Q2hlY2s=\r\nContent-Location: http://x/\r\nContent-Language: fr\r\n\r\n\
            AAAA\r\n--b b--\r\nepilogue\r\n";
        let (extended, plain) = shown(message);
        assert_eq!(
            extended,
            "((\"TEXT\" \"HTML\" (\"CHARSET\" \"UTF-8\" \"X*0*\" \"utf-8''%20\") NIL NIL \"QUOTED-PRINTABLE\" 7 1 NIL NIL NIL NIL)\
             (\"IMAGE\" \"PNG\" (\"NAME\" \"a b.png\") \"<i@d>\" \"pic\" \"BASE64\" 4 \"Q2hlY2s=\" \
             (\"ATTACHMENT\" (\"FILENAME\" \"a b.png\")) \"fr\" \"http://x/\") \
             \"MIXED\" (\"BOUNDARY\" \"b b\") NIL (\"en\" \"de\") NIL)"
        );
        assert_eq!(
            plain,
            "((\"TEXT\" \"HTML\" (\"CHARSET\" \"UTF-8\" \"X*0*\" \"utf-8''%20\") NIL NIL \"QUOTED-PRINTABLE\" 7 1)\
             (\"IMAGE\" \"PNG\" (\"NAME\" \"a b.png\") \"<i@d>\" \"pic\" \"BASE64\" 4) \"MIXED\")"
        );
    }

    #[test]
    fn a_message_inside_a_digest() {
        let message =
            "Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\nFrom: a@b\r\nSubject: in\r\n\r\nbody\r\n\r\n--x--\r\n";
        let (extended, _) = shown(message);
        let who = "((NIL NIL \"a\" \"b\"))";
        assert_eq!(
            extended,
            format!(
                "((\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 32 (NIL \"in\" {who} {who} {who} NIL NIL NIL NIL NIL) \
                 (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 6 1 NIL NIL NIL NIL) 4 NIL NIL NIL NIL) \
                 \"DIGEST\" (\"BOUNDARY\" \"x\") NIL NIL NIL)"
            )
        );
    }

    #[test]
    fn what_cannot_be_read_is_text() {
        for broken in ["multipart/mixed", "multipart/mixed; boundary=zz", "nonsense", "text"] {
            let (extended, _) = shown(&format!("Content-Type: {broken}\r\n\r\nhi\r\n"));
            assert_eq!(
                extended, "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 4 1 NIL NIL NIL NIL)",
                "{broken}"
            );
        }
        let (extended, _) = shown("Content-Type: message/rfc822");
        let nobody = "((NIL NIL \"\" \"\"))";
        assert_eq!(
            extended,
            format!(
                "(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 0 (NIL NIL {nobody} {nobody} {nobody} NIL NIL NIL NIL NIL) \
                 (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 0 0 NIL NIL NIL NIL) 0 NIL NIL NIL NIL)"
            )
        );
    }
}

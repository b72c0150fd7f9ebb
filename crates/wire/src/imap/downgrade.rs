//! ENVELOPE and BODYSTRUCTURE for a client that enabled neither UTF8=ACCEPT nor IMAP4rev2 (RFC 9755 §7, RFC 6858).
//!
//! Renderings are kept as the message has it. Invariant: one in ASCII goes as it is, unread; octets that are no UTF-8 stay a
//! literal of these octets. Must not know: who asks.

use super::body_structure::{BodyStructure, Extension};
use super::cursor::Cursor;
use super::encoder::Encoder;
use super::envelope::{EnvelopeAddress, EnvelopeItem, NString};
use bytes::Bytes;
use message::downgrade::{address, is_international, parameter, text};
use std::borrow::Cow;

/// An ENVELOPE.
pub fn envelope(rendered: &[u8]) -> Cow<'_, [u8]> {
    rendering(rendered, EnvelopeItem::parse, downgrade_envelope, EnvelopeItem::encode)
}

/// A BODY or BODYSTRUCTURE.
pub fn body_structure(rendered: &[u8]) -> Cow<'_, [u8]> {
    rendering(rendered, BodyStructure::parse, downgrade_structure, BodyStructure::encode)
}

/// Reads, changes and writes it; what nobody can read stays.
fn rendering<'a, T>(
    rendered: &'a [u8],
    parse: fn(&mut Cursor<'_>) -> super::cursor::Parsed<T>,
    change: fn(&mut T),
    encode: fn(&T, &mut Encoder),
) -> Cow<'a, [u8]> {
    if rendered.is_ascii() {
        return rendered.into();
    }
    let Ok(mut value) = parse(&mut Cursor::with_utf8(rendered, true)) else { return rendered.into() };
    change(&mut value);
    let mut e = Encoder::server(Vec::with_capacity(rendered.len() + 128), false);
    encode(&value, &mut e);
    e.bytes.into()
}

/// RFC 6858 §2.4: what has no other form is left out.
fn leave_out(value: &mut NString) {
    if value.as_deref().is_some_and(is_international) {
        *value = None;
    }
}

fn encode_text(value: &mut NString) {
    if let Some(octets) = value
        && let Cow::Owned(shown) = text(octets)
    {
        *value = Some(shown.into());
    }
}

fn downgrade_envelope(envelope: &mut EnvelopeItem) {
    encode_text(&mut envelope.subject);
    for value in [&mut envelope.date, &mut envelope.in_reply_to, &mut envelope.message_id] {
        leave_out(value);
    }
    let EnvelopeItem { from, sender, reply_to, to, cc, bcc, .. } = envelope;
    [from, sender, reply_to, to, cc, bcc].into_iter().flatten().for_each(downgrade_address);
}

fn downgrade_address(one: &mut EnvelopeAddress) {
    let owned = |octets: Cow<'_, [u8]>| Bytes::from(octets.into_owned());
    leave_out(&mut one.route);
    let (Some(mailbox), Some(host)) = (&one.mailbox, &one.host) else {
        // A group begins with its name.
        encode_text(&mut one.mailbox);
        return;
    };
    let (name, mailbox, host) = address(one.name.as_deref(), mailbox, host);
    (one.name, one.mailbox, one.host) = (name.map(owned), Some(owned(mailbox)), Some(owned(host)));
}

fn downgrade_parameters(parameters: &mut [(Bytes, Bytes)]) {
    for (name, value) in parameters.iter_mut().filter(|(_, value)| is_international(value)) {
        let (shown_name, shown) = parameter(name, value);
        (*name, *value) = (shown_name.into_owned().into(), shown.into_owned().into());
    }
}

fn downgrade_extension(extension: &mut Extension) {
    downgrade_parameters(&mut extension.parameters);
    if let Some((_, parameters)) = &mut extension.disposition {
        downgrade_parameters(parameters);
    }
    extension.language.retain(|language| !is_international(language));
    leave_out(&mut extension.location);
}

/// In place; also what [`super::url::UrlElement::Structure`] has.
pub fn downgrade_structure(structure: &mut BodyStructure) {
    match structure {
        BodyStructure::Multipart { parts, extension, .. } => {
            parts.iter_mut().for_each(downgrade_structure);
            extension.iter_mut().for_each(downgrade_extension);
        }
        BodyStructure::Single(part) => {
            downgrade_parameters(&mut part.parameters);
            encode_text(&mut part.description);
            leave_out(&mut part.id);
            leave_out(&mut part.md5);
            if let Some((envelope, inner)) = &mut part.message {
                downgrade_envelope(envelope);
                downgrade_structure(inner);
            }
            part.extension.iter_mut().for_each(downgrade_extension);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use message::Facts;

    fn shown(message: &[u8]) -> (String, String, String) {
        let facts = Facts::compute(message);
        let read = |octets: Cow<'_, [u8]>| String::from_utf8_lossy(&octets).into_owned();
        (read(envelope(&facts.envelope)), read(body_structure(&facts.body_structure)), read(body_structure(&facts.body)))
    }

    #[test]
    fn every_string_of_an_international_message() {
        let message = "From: J\u{f6}rg <j\u{f6}rg@here.test>\r\nTo: Freunde \u{e4}: \u{c4}nne <a@b\u{fc}cher.test>;\r\nSubject: Gr\u{fc}\u{df}e\r\n\
            Message-ID: <\u{e4}@b>\r\nContent-Type: multipart/mixed; boundary=b; x=\u{e4}\r\n\r\n--b\r\nContent-Type: image/png; name=p\u{e4}.png\r\n\
            Content-ID: <\u{e4}>\r\nContent-Description: Bild \u{fc}ber\r\nContent-Disposition: attachment; filename=p\u{e4}.png\r\n\
            Content-Language: \u{e4}\r\nContent-Location: \u{e4}\r\n\r\nx\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: \u{fc}\r\n\r\nx\r\n--b--\r\n";
        let (envelope, structure, body) = shown(message.as_bytes());
        let jorg =
            r#"(("=?utf-8?Q?J=C3=B6rg_=3Cj=C3=B6rg=40here=2Etest=3E?=" NIL "invalid" "internationalized-address.invalid"))"#;
        let to = r#"((NIL NIL "=?utf-8?Q?Freunde_=C3=A4?=" NIL)("=?utf-8?Q?=C3=84nne?=" NIL "a" "xn--bcher-kva.test")(NIL NIL NIL NIL))"#;
        assert_eq!(envelope, format!(r#"(NIL "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=" {jorg} {jorg} {jorg} {to} NIL NIL NIL NIL)"#));
        assert!(structure.is_ascii() && body.is_ascii(), "{structure}\n{body}");
        for part in [
            r#"("NAME*" "utf-8''p%C3%A4.png") NIL "=?utf-8?Q?Bild_=C3=BCber?=" "7BIT""#,
            r#"("attachment" ("FILENAME*" "utf-8''p%C3%A4.png")) NIL NIL)"#,
            r#"(NIL "=?utf-8?B?w7w=?=" "#,
            r#""X*" "utf-8''%C3%A4""#,
        ] {
            assert!(structure.to_lowercase().contains(&part.to_lowercase()), "{part}\n{structure}");
        }
    }

    #[test]
    fn ascii_goes_as_it_is_and_other_octets_stay() {
        let plain = b"(NIL \"x\" NIL NIL NIL NIL NIL NIL NIL NIL)";
        assert!(matches!(envelope(plain), Cow::Borrowed(same) if same == plain));
        let latin = b"(NIL {1}\r\n\xfc NIL NIL NIL NIL NIL NIL NIL NIL)";
        assert_eq!(envelope(latin).as_ref(), latin);
        assert_eq!(envelope(b"\xfc").as_ref(), b"\xfc");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_kept_can_be_read(subject in "[a\"\\\\ä字 ]{0,9}", from in "[ä<>@,;:a\"]{0,12}", name in "[ä\"; =*'%]{0,9}") {
            let text = format!("Subject: {subject}\r\nFrom: {from}\r\nContent-Type: text/plain; name={name}\r\n\r\nx");
            let (envelope, structure, _) = shown(text.as_bytes());
            proptest::prop_assert!(envelope.is_ascii() && structure.is_ascii(), "{} {}", envelope, structure);
            proptest::prop_assert!(EnvelopeItem::parse(&mut Cursor::new(envelope.as_bytes())).is_ok());
            proptest::prop_assert!(BodyStructure::of_rendering(structure.as_bytes()).is_some());
        }
    }
}

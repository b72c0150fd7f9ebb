//! UTF-8 in header fields (RFC 6532) as whoever did not say that it takes it may read it (RFC 6858).
//!
//! Invariant: what is ASCII stays to the octet, and so does what is not UTF-8 (it is no such text, and nobody knows what it
//! means); of the rest comes ASCII, and never an address that could be somebody else's. Must not know: who reads.

use std::borrow::Cow;

use crate::address_list::HeaderAddress;
use crate::build::phrase;
use crate::content::{ContentType, Disposition};
use crate::header::{Field, fields};
use crate::parameter::{self, Parameters, is_token_byte};
use crate::{address, domain, encoded_word};

type Octets<'a> = Cow<'a, [u8]>;

/// Instead of an address that cannot be shown (RFC 6858 §2.1): nobody has it, for nobody has `.invalid`.
const INVALID: (&str, &str) = ("invalid", "internationalized-address.invalid");

/// The fields whose addresses count (RFC 6858 §2.1).
const ADDRESS_FIELDS: [&str; 12] = [
    "From",
    "To",
    "Cc",
    "Bcc",
    "Sender",
    "Reply-To",
    "Return-Path",
    "Resent-From",
    "Resent-To",
    "Resent-Cc",
    "Resent-Bcc",
    "Resent-Sender",
];

/// Is it text that needs RFC 6532?
///
/// ```
/// use message::downgrade::is_international;
/// assert!(is_international("Grüße".as_bytes()) && !is_international(b"plain") && !is_international(b"\xff"));
/// ```
pub fn is_international(octets: &[u8]) -> bool {
    !octets.is_ascii() && std::str::from_utf8(octets).is_ok()
}

/// A header, of a message or a part, with its empty line.
///
/// ```
/// let header = "From: Jörg <j\u{f6}rg@here.test>\r\nSubject: Grüße\r\nX-Ort: Köln\r\nX-Mailer: x\r\n\r\n";
/// let shown = message::downgrade::header(header.as_bytes());
/// assert_eq!(
///     std::str::from_utf8(&shown).unwrap(),
///     "From: =?utf-8?Q?J=C3=B6rg_=3Cj=C3=B6rg=40here=2Etest=3E?=\r\n \
///      <invalid@internationalized-address.invalid>\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nX-Mailer: x\r\n\r\n"
/// );
/// ```
pub fn header(octets: &[u8]) -> Cow<'_, [u8]> {
    if octets.is_ascii() || !fields(octets).any(|field| of(octets, &field).is_some_and(is_international)) {
        return Cow::Borrowed(octets);
    }
    let mut out = Vec::with_capacity(octets.len() + 256);
    let mut at = 0;
    let between = |out: &mut Vec<u8>, from: usize, to: usize| {
        let lines = octets.get(from..to).unwrap_or_default();
        // Lines that are no fields.
        out.extend(lines.split_inclusive(|b| *b == b'\n').filter(|line| !is_international(line)).flatten());
    };
    for field in fields(octets) {
        between(&mut out, at, field.start);
        at = field.end;
        match of(octets, &field) {
            Some(lines) if is_international(lines) => out.extend_from_slice(shown(&field).unwrap_or_default().as_bytes()),
            lines => out.extend_from_slice(lines.unwrap_or_default()),
        }
    }
    between(&mut out, at, octets.len());
    Cow::Owned(out)
}

fn of<'a>(header: &'a [u8], field: &Field<'_>) -> Option<&'a [u8]> {
    header.get(field.start..field.end)
}

/// The field in ASCII, with its line end; `None`: it is left out (RFC 6858 §2.4).
fn shown(field: &Field<'_>) -> Option<String> {
    let name = std::str::from_utf8(field.name).ok().filter(|name| name.is_ascii())?;
    let body = match () {
        () if ADDRESS_FIELDS.iter().any(|known| field.is(known)) => addresses(field)?,
        // §2.3; text that nothing but people read as well.
        () if field.is("Subject") || field.is("Comments") || field.is("Content-Description") => {
            encoded_word::encode(&field.text(), name.len() + 2)
        }
        () if field.is("Content-Type") => {
            let value = ContentType::parse(field.body)?;
            with_parameters(field.body.get(..ContentType::main_len(field.body)?)?, &value.parameters)?
        }
        () if field.is("Content-Disposition") => {
            let value = Disposition::parse(field.body)?;
            with_parameters(field.body.get(..Disposition::main_len(field.body)?)?, &value.parameters)?
        }
        () => return None,
    };
    Some(format!("{name}: {body}\r\n"))
}

/// Each address on a line of its own.
fn addresses(field: &Field<'_>) -> Option<String> {
    let mut out = String::new();
    let mut first = true;
    for entry in field.addresses() {
        let (name, local, domain) = match &entry {
            HeaderAddress::GroupEnd => {
                out.push(';');
                first = false;
                continue;
            }
            HeaderAddress::Group(name) => (Some(name.as_ref()), None, &[][..]),
            HeaderAddress::Mailbox { name, local, domain, .. } => (name.as_deref(), Some(local.as_ref()), domain.as_ref()),
        };
        if !out.is_empty() {
            out.push_str(if first { "\r\n " } else { ",\r\n " });
        }
        first = local.is_none();
        match local {
            None => {
                let name = phrase(encoded_word::decode(name.unwrap_or_default()).trim(), 1);
                out.push_str(&format!("{name}:"));
            }
            Some(local) => out.push_str(&mailbox(name, local, domain)?),
        }
    }
    (!out.is_empty()).then_some(out)
}

/// `Name <local@domain>` in ASCII, but for octets that are no text.
fn mailbox(name: Option<&[u8]>, local: &[u8], domain: &[u8]) -> Option<String> {
    let (name, local, domain) = plain(name, local, domain);
    let local = std::str::from_utf8(&local).ok()?;
    let atoms = !local.is_empty() && local.split('.').all(|word| !word.is_empty() && word.chars().all(address::is_atext));
    let local = if atoms { local.to_owned() } else { format!("\"{}\"", local.replace('\\', "\\\\").replace('"', "\\\"")) };
    let address = match std::str::from_utf8(&domain).ok()? {
        "" => local,
        domain => format!("{local}@{domain}"),
    };
    Some(match name.filter(|name| !name.trim().is_empty()) {
        Some(name) => format!("{}\r\n <{address}>", phrase(name.trim(), 1)),
        None => format!("<{address}>"),
    })
}

/// Decoded name, local part and domain, the latter two in ASCII wherever they are text.
fn plain<'a>(name: Option<&'a [u8]>, local: &'a [u8], domain: &'a [u8]) -> (Option<String>, Cow<'a, [u8]>, Cow<'a, [u8]>) {
    let name = name.map(encoded_word::decode);
    let labels = || std::str::from_utf8(domain).ok().and_then(domain::to_ascii);
    match (is_international(local), is_international(domain)) {
        (false, false) => (name, local.into(), domain.into()),
        // The same domain in A-labels (RFC 5890 §2.3.2.1).
        (false, true) if let Some(domain) = labels() => (name, local.into(), domain.into_bytes().into()),
        _ => {
            let address = format!("{}@{}", String::from_utf8_lossy(local), String::from_utf8_lossy(domain));
            let name = match name.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
                Some(name) => format!("{name} <{address}>"),
                None => address,
            };
            (Some(name), INVALID.0.as_bytes().into(), INVALID.1.as_bytes().into())
        }
    }
}

/// RFC 6858 §2.2 leaves these parameters out; the spelling of RFC 2231 says them in ASCII, and a file keeps its name.
fn with_parameters(front: &[u8], parameters: &Parameters<'_>) -> Option<String> {
    let mut out = std::str::from_utf8(front).ok().filter(|front| front.is_ascii())?.trim().to_owned();
    for (name, value) in &parameters.0 {
        let Ok(value) = std::str::from_utf8(value) else { continue };
        let extended = name.contains('*');
        match (name.is_ascii(), value.is_ascii()) {
            (true, false) if !extended => out.push_str(&parameter::encode(name, value)),
            (true, true) if !value.is_empty() && value.bytes().all(|b| is_token_byte(b) || (extended && b == b'\'')) => {
                out.push_str(&format!(";\r\n {name}={value}"));
            }
            (true, true) if !name.ends_with('*') => {
                let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                out.push_str(&format!(";\r\n {name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")));
            }
            _ => {}
        }
    }
    Some(out)
}

/// The value of an unstructured field or a phrase, on one line.
///
/// ```
/// use message::downgrade::text;
/// assert_eq!((text(b"a b").as_ref(), text("Grüße".as_bytes()).as_ref()), (&b"a b"[..], &b"=?utf-8?Q?Gr=C3=BC=C3=9Fe?="[..]));
/// ```
pub fn text(octets: &[u8]) -> Cow<'_, [u8]> {
    match is_international(octets) {
        true => encoded_word::encode(&encoded_word::decode(octets), 0).replace("\r\n", "").into_bytes().into(),
        false => octets.into(),
    }
}

/// Name, local part and domain of an address.
///
/// ```
/// use message::downgrade::address;
/// let shown = |name: Option<&str>, local: &str, domain: &str| -> [String; 3] {
///     let (name, local, domain) = address(name.map(str::as_bytes), local.as_bytes(), domain.as_bytes());
///     [name.unwrap_or_default(), local, domain].map(|octets| String::from_utf8(octets.to_vec()).unwrap())
/// };
/// assert_eq!(shown(None, "a", "bücher.test"), ["", "a", "xn--bcher-kva.test"]);
/// assert_eq!(shown(None, "ä", "b.test"), ["=?utf-8?Q?=C3=A4=40b=2Etest?=", "invalid", "internationalized-address.invalid"]);
/// ```
pub fn address<'a>(name: Option<&'a [u8]>, local: &'a [u8], domain: &'a [u8]) -> (Option<Octets<'a>>, Octets<'a>, Octets<'a>) {
    if !is_international(local) && !is_international(domain) {
        return (name.map(text), local.into(), domain.into());
    }
    let (name, local, domain) = plain(name, local, domain);
    (name.map(|name| encoded_word::encode(&name, 0).replace("\r\n", "").into_bytes().into()), local, domain)
}

/// Name and value of a parameter, the name with the asterisk of RFC 2231 where the value needs it.
///
/// ```
/// let (name, value) = message::downgrade::parameter(b"filename", "pä.png".as_bytes());
/// assert_eq!((name.as_ref(), value.as_ref()), (&b"filename*"[..], &b"utf-8''p%C3%A4.png"[..]));
/// ```
pub fn parameter<'a>(name: &'a [u8], value: &'a [u8]) -> (Cow<'a, [u8]>, Cow<'a, [u8]>) {
    if !is_international(value) {
        return (name.into(), value.into());
    }
    let mut shown = b"utf-8''".to_vec();
    for byte in value {
        match is_token_byte(*byte) && !b"*'%".contains(byte) {
            true => shown.push(*byte),
            false => shown.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    ([name, &b"*"[..]].concat().into(), shown.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn of_text(text: &str) -> String {
        String::from_utf8(header(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn addresses_and_groups() {
        assert_eq!(
            of_text(
                "To: Ann <ann@here.test>, Änne <b@bücher.test>,\r\n Freunde ä: c@d.test, \"ö x\"@d.test;, \"e f\"@g.test\r\n\r\n"
            ),
            "To: Ann\r\n <ann@here.test>,\r\n =?utf-8?Q?=C3=84nne?=\r\n <b@xn--bcher-kva.test>,\r\n =?utf-8?Q?Freunde_=C3=A4?=:\r\n \
             <c@d.test>,\r\n =?utf-8?Q?=C3=B6_x=40d=2Etest?=\r\n <invalid@internationalized-address.invalid>;,\r\n \
             <\"e f\"@g.test>\r\n\r\n"
        );
    }

    #[test]
    fn parameters_and_what_is_left_out() {
        assert_eq!(
            of_text(
                "Message-ID: <ä@b>\r\nContent-Type: image/png (ok); name=\"bä.png\"; x*=utf-8''y; z=\"a b\"\r\nünsinn\r\n\
                 Content-Disposition: attachment; filename=ö\r\nContent-Description: Bild für\r\n\t\tAnn\r\n\r\n"
            ),
            "Content-Type: image/png;\r\n name*=utf-8''b%C3%A4.png;\r\n x*=utf-8''y;\r\n z=\"a b\"\r\n\
             Content-Disposition: attachment;\r\n filename*=utf-8''%C3%B6\r\n\
             Content-Description: =?utf-8?Q?Bild_f=C3=BCr__Ann?=\r\n\r\n"
        );
    }

    #[test]
    fn what_is_no_utf_8_stays() {
        let latin = b"Subject: Gr\xfc\xdfe\r\nFrom: a@b\r\n\r\n";
        assert!(matches!(header(latin), Cow::Borrowed(same) if same == latin));
        let both = b"Subject: Gr\xfc\xdfe\r\nComments: \xc3\xa4\r\n\r\n";
        assert_eq!(header(both).as_ref(), b"Subject: Gr\xfc\xdfe\r\nComments: =?utf-8?B?w6Q=?=\r\n\r\n");
        assert_eq!(text(b"\xff").as_ref(), b"\xff");
    }

    proptest! {
        #[test]
        fn text_becomes_ascii_and_ascii_stays(text in "(From|Subject|To|Content-Type|X): [a-zäß字;,:<>@\"=() \\\\./*-]{0,60}(\r\n [ä<a>]{1,9})?") {
            let text = format!("{text}\r\n\r\n");
            let shown = of_text(&text);
            prop_assert!(shown.is_ascii() && shown.ends_with("\r\n\r\n") || shown == "\r\n");
            if text.is_ascii() {
                prop_assert_eq!(&shown, &text);
            }
            let again = header(shown.as_bytes());
            prop_assert_eq!(again.as_ref(), shown.as_bytes());
        }

        #[test]
        fn octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = header(&octets);
            let _ = (text(&octets), address(Some(&octets), &octets, &octets), parameter(&octets, &octets));
        }
    }
}

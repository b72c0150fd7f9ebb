//! BODYPARTSTRUCTURE of what a URL gives (RFC 5524 §3.2): the part's own, as far as it was not decoded or cut.
//!
//! A whole message is shown as message/rfc822, a header as text/rfc822-headers: what the octets are. Must not know: who may read.

use bytes::Bytes;
use message::facts::Facts;
use wire::imap::body_structure::{BodyStructure, SinglePart};
use wire::imap::fetch::{Section, SectionText};

/// Of these octets; `None` without such a part. `decoded`: without their transfer encoding; `anew`: they are not all of the part,
/// or not as it is.
pub(super) fn of(facts: &Facts, section: &Section, octets: &[u8], decoded: bool, anew: bool) -> Option<BodyStructure> {
    match &section.text {
        None if section.part.is_empty() => {
            let part = single("MESSAGE", "RFC822", octets);
            BodyStructure::of_message(&facts.envelope, &facts.body_structure, part)
        }
        Some(SectionText::Text) => {
            let root = BodyStructure::of_rendering(&facts.body_structure)?;
            let message = match (section.part.is_empty(), root.part(&section.part)?) {
                (true, message) => message,
                (false, BodyStructure::Single(part)) => part.message.as_ref()?.1.as_ref(),
                (false, BodyStructure::Multipart { .. }) => return None,
            };
            Some(shown(message.clone(), octets, decoded, anew))
        }
        Some(_) => Some(BodyStructure::Single(Box::new(single("TEXT", "RFC822-HEADERS", octets)))),
        None => {
            let root = BodyStructure::of_rendering(&facts.body_structure)?;
            Some(shown(root.part(&section.part)?.clone(), octets, decoded, anew))
        }
    }
}

fn shown(structure: BodyStructure, octets: &[u8], decoded: bool, anew: bool) -> BodyStructure {
    let BodyStructure::Single(mut part) = structure else { return structure };
    if decoded {
        part.encoding = Bytes::from_static(b"BINARY");
    }
    if anew {
        part.size = octets.len() as u64;
        part.lines = part.lines.map(|_| lines(octets));
    }
    BodyStructure::Single(part)
}

fn single(media_type: &'static str, subtype: &'static str, octets: &[u8]) -> SinglePart {
    let encoding: &'static [u8] = match () {
        () if octets.contains(&0) => b"BINARY",
        () if octets.is_ascii() => b"7BIT",
        () => b"8BIT",
    };
    SinglePart {
        media_type: Bytes::from_static(media_type.as_bytes()),
        subtype: Bytes::from_static(subtype.as_bytes()),
        encoding: Bytes::from_static(encoding),
        size: octets.len() as u64,
        lines: Some(lines(octets)),
        ..SinglePart::default()
    }
}

fn lines(octets: &[u8]) -> u64 {
    let ends = octets.iter().filter(|octet| **octet == b'\n').count() as u64;
    ends + u64::from(octets.last().is_some_and(|octet| *octet != b'\n'))
}

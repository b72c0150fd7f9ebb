//! Messages as trees of parts: `message::parse`, `facts`, `section`, and that our IMAP client reads what facts render.

use message::facts::Facts;
use message::limits::{DEPTH_MAX, PARTS_MAX};
use message::parse::{Message, PartKind};
use message::section::{self, SectionKind};
use message::transfer;
use wire::imap::fetch::{FetchData, FetchWriter};
use wire::imap::response::{Response, ServerLine};
use wire::imap::{Cursor, Encoder};

/// Any octets are a message: a tree whose ranges nest.
pub(crate) fn message_parse(data: &[u8]) {
    let message = message::parse(data);
    assert!(!message.parts.is_empty() && message.parts.len() <= PARTS_MAX);
    let root = &message.parts[0];
    assert_eq!((root.parent, root.header.start, root.body.end), (None, 0, data.len()));
    for index in 0..message.parts.len() {
        check_part(&message, index);
    }
    for defect in message.examine() {
        let whole = message.parts[defect.part].whole();
        assert!(whole.start <= defect.at && defect.at <= whole.end, "{defect:?}");
    }
}

fn check_part(message: &Message<'_>, index: usize) {
    let part = &message.parts[index];
    assert!(part.header.start <= part.header.end && part.header.end == part.body.start && part.body.start <= part.body.end);
    assert!(part.kind != PartKind::Leaf || part.children.is_empty(), "a leaf has no children");
    assert!(part.kind != PartKind::Message || part.children.len() <= 1);
    assert_eq!(message.header(part).len() + message.body(part).len(), part.body.end - part.header.start);
    let mut last = part.body.start;
    for &child in &part.children {
        let inside = &message.parts[child];
        assert!(child > index && inside.parent == Some(index));
        assert!(inside.header.start >= last && inside.body.end <= part.body.end, "children lie in order inside their parent");
        last = inside.body.end;
    }
    let depth = std::iter::successors(part.parent, |&up| message.parts[up].parent).count();
    assert!(depth <= DEPTH_MAX);
    let whole = part.content();
    assert_eq!(whole.len() as u64, part.content_len().unwrap_or(part.body.len() as u64));
    let pieces: Vec<u8> = part.contents().flat_map(|piece| piece.into_owned()).collect();
    assert_eq!(whole, pieces);
    let _ = (part.file_name(), part.text(), part.content_id(), message.path(index));
}

/// Facts: kept and read back the same, every section inside the message, and readable by our own client.
pub(crate) fn message_facts(data: &[u8]) {
    let facts = Facts::compute(data);
    assert_eq!(Facts::decode(&facts.encode()).as_ref(), Some(&facts));
    if let Some(damaged) = Facts::decode(data) {
        assert_eq!(Facts::decode(&damaged.encode()).as_ref(), Some(&damaged));
        sections(&damaged, &[]);
    }
    assert!(![&facts.subject, &facts.from].iter().any(|text| text.chars().any(char::is_control)));
    assert!(facts.header_bytes() <= data.len());
    sections(&facts, data);
    // Short of the limits of the reading side.
    if data.len() <= 1_000 {
        client_reads(&facts);
    }
}

fn sections(facts: &Facts, data: &[u8]) {
    let mut paths: Vec<Vec<u32>> = vec![Vec::new()];
    let mut at = 0;
    while at < paths.len() && paths.len() < 100 {
        for number in 1..=30 {
            let path = [paths[at].as_slice(), &[number]].concat();
            if path.len() > 20 || facts.part(&path).is_none() {
                break;
            }
            paths.push(path);
        }
        at += 1;
    }
    for path in paths {
        for kind in [SectionKind::Whole, SectionKind::Header, SectionKind::Text, SectionKind::Mime] {
            let range = section::range(facts, &path, kind);
            if data.is_empty() {
                continue;
            }
            if let Some(range) = range {
                assert!(range.start <= range.end && range.end <= data.len(), "{path:?} {kind:?} is {range:?}");
            }
        }
        let size = section::binary_size(facts, data, &path);
        if let (Some((range, encoding)), false) = (section::binary(facts, &path), data.is_empty()) {
            let decoded = transfer::decode(encoding, &data[range]);
            assert_eq!(size, Some(decoded.map(|d| d.len() as u64)));
        }
    }
}

fn client_reads(facts: &Facts) {
    let mut out = Vec::new();
    let mut writer = FetchWriter::begin(&mut out, 1);
    writer.rendered("ENVELOPE", &facts.envelope);
    writer.rendered("BODYSTRUCTURE", &facts.body_structure);
    writer.rendered("BODY", &facts.body);
    writer.end();
    let line = out.strip_suffix(b"\r\n").unwrap_or_default();
    let items = match ServerLine::parse(&mut Cursor::new(line)) {
        Ok(ServerLine::Untagged(Response::Fetch { number: 1, items })) => items,
        other => panic!("{} is read as {other:?}", line.escape_ascii()),
    };
    assert!(matches!(items.as_slice(), [FetchData::Envelope(_), FetchData::BodyStructure(_), FetchData::Body(_)]), "{items:?}");
    let mut e = Encoder::server(Vec::new(), false);
    let response = Response::Fetch { number: 1, items };
    response.encode(&mut e);
    assert_eq!(Response::parse(&mut Cursor::new(&e.bytes)).as_ref(), Ok(&response));
}

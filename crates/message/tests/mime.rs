//! Every message of `tests/mime`, read and compared with the tree beside it; the laws of a tree on each of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use message::parameter::Parameters;
use message::parse::PartKind;
use message::section::{SectionKind, range};
use message::{Facts, Message, Part, date, parse};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mime")
}

fn names(ending: &str) -> BTreeSet<String> {
    let files = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|p| p.extension().is_some_and(|e| e == ending))
        .map(|p| p.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_message_is_read_as_the_tree_beside_it_says() {
    let write = std::env::var_os("MIME_WRITE").is_some();
    let messages = names("eml");
    assert!(messages.len() >= 60, "only {} messages", messages.len());
    let mut wrong = Vec::new();
    for name in &messages {
        let octets = fs::read(directory().join(format!("{name}.eml"))).unwrap();
        let shown = show(&octets);
        let path = directory().join(format!("{name}.tree"));
        if write {
            fs::write(&path, &shown).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if shown != expected {
            wrong.push(format!("--- {name}, expected\n{expected}--- {name}, read\n{shown}"));
        }
        laws(name, &octets);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(messages, names("tree"), "a message or a tree without the other");
}

fn show(octets: &[u8]) -> String {
    let message = parse(octets);
    let mut out = String::new();
    tree(&message, 0, 0, &mut out);
    for defect in message.examine() {
        let path = number(&message, defect.part);
        writeln!(out, "defect {} in {path} at {}", defect.kind.word(), defect.at).unwrap();
    }
    out
}

fn number(message: &Message<'_>, index: usize) -> String {
    let path: Vec<String> = message.path(index).iter().map(u32::to_string).collect();
    let path = path.join(".");
    match (path.as_str(), message.parts[index].is_entire_message) {
        ("", _) => "message".to_owned(),
        (path, true) => format!("message in {path}"),
        (path, false) => path.to_owned(),
    }
}

fn tree(message: &Message<'_>, index: usize, depth: usize, out: &mut String) {
    let part = &message.parts[index];
    let pad = "  ".repeat(depth);
    let encoding = part.encoding_word.as_deref().unwrap_or(part.encoding.word());
    let (main, sub) = (&part.content_type.main, &part.content_type.sub);
    let place = number(message, index);
    writeln!(out, "{pad}{place}: {main}/{sub} {encoding} header {:?} body {:?} lines {}", part.header, part.body, part.lines)
        .unwrap();
    let pad = format!("{pad}    ");
    parameters(&part.content_type.parameters, &pad, out);
    if let Some(disposition) = &part.disposition {
        writeln!(out, "{pad}disposition {}", disposition.kind).unwrap();
        parameters(&disposition.parameters, &pad, out);
    }
    if let Some(id) = part.content_id() {
        writeln!(out, "{pad}id {}", id.escape_ascii()).unwrap();
    }
    if let Some(name) = part.file_name() {
        writeln!(out, "{pad}file {name:?}").unwrap();
    }
    if part.is_entire_message {
        fields(message, part, &pad, out);
    }
    leaf(part, &pad, out);
    for child in &part.children {
        tree(message, *child, depth + 1, out);
    }
}

fn parameters(parameters: &Parameters<'_>, pad: &str, out: &mut String) {
    let names: BTreeSet<&str> = parameters.0.iter().map(|(name, _)| name.split('*').next().unwrap()).collect();
    for name in names {
        writeln!(out, "{pad}{name}={:?}", parameters.decoded(name).unwrap_or_default()).unwrap();
    }
}

fn fields(message: &Message<'_>, part: &Part<'_>, pad: &str, out: &mut String) {
    for field in part.fields() {
        let name = String::from_utf8_lossy(field.name).to_ascii_lowercase();
        match name.as_str() {
            "from" | "sender" | "reply-to" | "to" | "cc" | "bcc" => {
                let list = field.addresses();
                let list: Vec<String> = list.iter().map(|a| format!("{:?}", (a.name(), a.address()))).collect();
                writeln!(out, "{pad}{name}: {}", list.join(" ")).unwrap();
            }
            "date" => {
                let date = date::parse_rfc_5322(&field.value()).map(|d| d.rfc_3339());
                writeln!(out, "{pad}date: {}", date.as_deref().unwrap_or("none")).unwrap();
            }
            "subject" | "comments" | "x-odd" => {
                writeln!(out, "{pad}{name}: {:?}", field.text_in(message.header_charset())).unwrap();
            }
            _ => {}
        }
    }
}

fn leaf(part: &Part<'_>, pad: &str, out: &mut String) {
    if part.kind != PartKind::Leaf {
        return;
    }
    let content = part.content();
    if let Some(text) = part.text() {
        let start: String = text.chars().take(400).collect();
        writeln!(out, "{pad}text {start:?}").unwrap();
    } else {
        let start = content.get(..60).unwrap_or(&content);
        writeln!(out, "{pad}content {} octets \"{}\"", content.len(), start.escape_ascii()).unwrap();
    }
    if part.content_type.is_message() {
        for line in show(&content).lines() {
            writeln!(out, "{pad}| {line}").unwrap();
        }
    }
}

/// What holds for every message.
fn laws(name: &str, octets: &[u8]) {
    let message = parse(octets);
    let facts = Facts::compute(octets);
    assert_eq!(message.root().raw(), octets, "{name}");
    assert_eq!(facts.parts.len(), message.parts.len(), "{name}");
    for (index, part) in message.parts.iter().enumerate() {
        assert_eq!([part.raw_header(), part.raw_body()].concat(), octets[part.whole()], "{name}");
        assert_eq!(facts.parts[index].whole(), part.whole(), "{name}");
        if let Some(parent) = part.parent {
            let around = &message.parts[parent].body;
            assert!(around.start <= part.header.start && part.body.end <= around.end, "{name}");
        }
        if !part.is_entire_message {
            let path = message.path(index);
            assert_eq!(range(&facts, &path, SectionKind::Whole), Some(part.body.clone()), "{name} {path:?}");
            assert_eq!(range(&facts, &path, SectionKind::Mime), Some(part.header.clone()), "{name} {path:?}");
        } else if index > 0 {
            let path = message.path(index);
            assert_eq!(range(&facts, &path, SectionKind::Header), Some(part.header.clone()), "{name} {path:?}");
            assert_eq!(range(&facts, &path, SectionKind::Text), Some(part.body.clone()), "{name} {path:?}");
        }
        let pieces: Vec<u8> = part.contents().flat_map(|piece| piece.into_owned()).collect();
        assert_eq!(pieces, part.content().as_ref(), "{name}");
        if part.kind == PartKind::Leaf {
            assert_eq!(part.content_len().unwrap_or(pieces.len() as u64), pieces.len() as u64, "{name}");
        }
    }
}

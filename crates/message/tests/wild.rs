//! The files of `tests/mime/` that are about what is inside: `NAME.attachments` (kind, name, type, octets, CRC-32 of the
//! content), `NAME.preview`, and each with a test of its own what is joined or read into values.
//!
//! `MIME_WRITE=1` writes the expectations anew: then *read* them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use message::calendar::{self, Moment};
use message::partial::{self, Joined};
use message::{attachment, checksum, flowed, parse, preview, search_text, tnef};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mime").join(name)
}

fn eml(name: &str) -> Vec<u8> {
    std::fs::read(file(&format!("{name}.eml"))).unwrap()
}

fn attachments(octets: &[u8]) -> String {
    let message = parse(octets);
    let mut out = String::new();
    for found in attachment::list(&message) {
        let content = attachment::content(&message, &found).unwrap();
        assert_eq!(content.len() as u64, found.size, "{found:?}");
        let name = found.name.unwrap_or_default();
        writeln!(out, "{:?}\t{name}\t{}\t{}\t{:08x}", found.kind, found.media_type, found.size, checksum::crc32(&content))
            .unwrap();
    }
    out
}

/// Compares with every file of that ending; `told` is what is read now.
fn compare(ending: &str, told: impl Fn(&[u8]) -> String) -> usize {
    let mut seen = 0;
    for entry in std::fs::read_dir(file("")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != ending) {
            continue;
        }
        let now = told(&std::fs::read(path.with_extension("eml")).unwrap());
        if std::env::var_os("MIME_WRITE").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        assert_eq!(now, std::fs::read_to_string(&path).unwrap(), "{}", path.display());
        seen += 1;
    }
    seen
}

#[test]
fn attachments_are_found_wherever_they_are_packed() {
    assert!(compare("attachments", attachments) >= 10);
}

#[test]
fn previews_are_what_a_person_reads_first() {
    assert!(compare("preview", |octets| preview::of(&parse(octets)) + "\n") >= 4);
}

#[test]
fn pieces_of_a_message_are_joined() {
    let (one, two) = (eml("partial-1-of-2"), eml("partial-2-of-2"));
    let Joined::Whole(whole) = partial::join(&[&two, &one]) else { panic!("two pieces of two") };
    let message = parse(&whole);
    assert_eq!(message.root().field("subject").unwrap().text(), "A file in two pieces");
    assert_eq!(message.root().field("message-id").unwrap().text(), "<anotherid@foo.test>");
    assert_eq!(message.root().fields().filter(|f| f.is("x-weird-header-1")).count(), 1);
    assert_eq!(attachments(&whole), "File\tpic.bin\tapplication/octet-stream\t300\t".to_owned() + PICTURE + "\n");
    assert_eq!(partial::join(&[&two]), Joined::Missing(vec![1]));
}

/// CRC-32 of the picture that the samples hold, as Debian's tools packed it.
const PICTURE: &str = "eb3a1fe2";

#[test]
fn an_mbox_is_many_messages() {
    let mbox = std::fs::read(file("two-messages.mbox")).unwrap();
    let found: Vec<_> = message::mbox::entries(&mbox).collect();
    assert!(found[0].message.ends_with(b"\nFrom here on it is text.\n--\nAnn\n"), "{found:?}");
    let subjects: Vec<String> =
        found.iter().map(|e| parse(&e.message).root().field("subject").unwrap().text().into_owned()).collect();
    assert_eq!(subjects, ["One", "Two"]);
    assert_eq!(found[1].from, b"bob@there.test Mon Nov 23 00:16:35 2026");
}

#[test]
fn a_body_that_lies_elsewhere_is_told() {
    let octets = eml("external-body");
    let found = partial::external_body(parse(&octets).root()).unwrap();
    assert_eq!((found.access_type.as_str(), found.place.as_str()), ("url", "https://files.here.test/big.iso"));
    assert_eq!((found.media_type.as_str(), found.size), ("application/x-iso9660-image", Some(4_700_000_000)));
}

#[test]
fn an_invitation_is_read() {
    let octets = eml("calendar-invitation");
    let message = parse(&octets);
    let calendar = calendar::parse(&message.parts[2].text().unwrap()).unwrap();
    let event = &calendar.events[0];
    assert_eq!((calendar.method.as_deref(), event.summary.as_deref()), (Some("REQUEST"), Some("Mittagessen, groß")));
    assert_eq!((&event.start, &event.end), (&Some(Moment::Utc(1_795_435_200)), &Some(Moment::Utc(1_795_438_800))));
    assert!(event.attendees[0].is_asked && event.attendees[0].address == "bob@there.test");
}

#[test]
fn flowed_paragraphs_come_together() {
    let octets = eml("flowed-delsp");
    let text = parse(&octets).root().text().unwrap().into_owned();
    assert_eq!(flowed::unflow(&text, true), "> Was it you?\n日本語 is here.\nFrom now on\n-- \nAnnB.\n");
}

#[test]
fn winmail_dat_is_a_message() {
    let octets = eml("tnef-winmail");
    let message = parse(&octets);
    let content = message.parts[2].content();
    let found = tnef::parse(&content).unwrap();
    assert_eq!((found.subject.as_deref(), found.message_class.as_deref()), (Some("Grüße ☺"), Some("IPM.Note")));
    assert_eq!(found.rtf.as_deref(), Some(&b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"[..]));
    assert_eq!(found.troubles, []);
    assert!(search_text::of(&message).attachments.contains("katzen, viele davon ☺.txt"));
}

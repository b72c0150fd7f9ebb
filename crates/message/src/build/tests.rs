//! Messages that were built are read back: the same addresses, texts, names and octets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::text::with_crlf;
use super::*;
use crate::facts::Facts;
use crate::header::{fields, first};
use crate::parse::{Message, Part, PartKind, parse};
use crate::transfer::TransferEncoding;
use crate::{address_list, encoded_word};
use proptest::prelude::*;
use std::cell::Cell;

fn ann() -> Mailbox {
    Mailbox::named("Ann", Address::parse("ann@here.test").unwrap())
}

fn shape(message: &Message<'_>, index: usize) -> String {
    let part = &message.parts[index];
    let children: Vec<String> = part.children.iter().map(|c| shape(message, *c)).collect();
    let inner = if children.is_empty() { String::new() } else { format!("({})", children.join(" ")) };
    format!("{}/{}{inner}", part.content_type.main, part.content_type.sub)
}

fn shape_of(built: &[u8]) -> String {
    shape(&parse(built), 0)
}

fn leaves<'m, 'a>(message: &'m Message<'a>) -> Vec<&'m Part<'a>> {
    message.parts.iter().filter(|p| p.kind == PartKind::Leaf).collect()
}

fn decoded(part: &Part<'_>, _: &[u8]) -> Vec<u8> {
    part.content().into_owned()
}

fn build(builder: Builder<'_>) -> Vec<u8> {
    let built = builder.build().unwrap();
    for line in built.split_inclusive(|b| *b == b'\n') {
        assert!(line.len() <= LINE_BYTES_MAX + 2 && line.ends_with(b"\r\n"), "{}", line.escape_ascii());
    }
    built
}

#[test]
fn welcome_message_shape() {
    let octets: Vec<u8> = (0..=255).collect();
    let picture = Attachment::new("image/png", &b"\x89P\0\xff"[..]).file_name("boat.png").content_id("boat@here.test");
    let file = Attachment::new("application/pdf", octets.clone()).file_name("Grüße.pdf");
    let builder = Builder::new(837_595_405, "w1@here.test").from(ann()).to(ann()).subject("Welcome to Packetboat ⛵");
    let builder = builder.text("Hello\n").html("<p>Hello <img src=\"cid:boat@here.test\">\n");
    let built = build(builder.inline(picture).attach(file));
    let message = parse(&built);
    assert_eq!(
        shape(&message, 0),
        "multipart/mixed(multipart/alternative(text/plain multipart/related(text/html image/png)) application/pdf)"
    );
    let leaf = |main: &str| message.parts.iter().find(|p| p.content_type.main == main).unwrap();
    assert_eq!(decoded(leaf("image"), &built), b"\x89P\0\xff");
    assert_eq!(leaf("image").id.as_deref(), Some(&b"<boat@here.test>"[..]));
    assert_eq!(decoded(leaf("application"), &built), octets);
    assert_eq!(leaf("application").file_name().unwrap(), "Grüße.pdf");
    let facts = Facts::compute(&built);
    assert_eq!((facts.subject.as_str(), facts.date_secs), ("Welcome to Packetboat ⛵", Some(837_595_405)));
    assert!(built.is_ascii());
}

#[test]
fn simple_shapes() {
    let new = || Builder::new(0, "x").from(ann());
    assert_eq!(shape_of(&build(new().text("a"))), "text/plain");
    assert_eq!(shape_of(&build(new().html("a"))), "text/html");
    assert_eq!(shape_of(&build(new())), "text/plain");
    assert_eq!(shape_of(&build(new().text("a").html("b"))), "multipart/alternative(text/plain text/html)");
    // Nothing shows it: it is a loose part.
    let loose = Attachment::new("image/png", &b"x"[..]).content_id("y");
    assert_eq!(shape_of(&build(new().text("a").inline(loose))), "multipart/mixed(text/plain image/png)");
}

#[test]
fn a_message_goes_untouched() {
    let inner = b"Subject: x\r\n\r\nhi  \r\n.\r\nFrom here\r\n";
    let built = build(Builder::new(0, "x").text("a").attach(Attachment::new("message/rfc822", &inner[..])));
    assert_eq!(shape_of(&built), "multipart/mixed(text/plain message/rfc822(text/plain))");
    let message = parse(&built);
    assert_eq!(message.body(&message.parts[2]), inner);
    let eight = "Subject: x\r\n\r\nhí\r\n".as_bytes();
    let mut out = Vec::new();
    let written = Builder::new(0, "x").attach(Attachment::new("message/rfc822", eight)).write_to(&mut out).unwrap();
    assert_eq!(written.needs, Needs { smtputf8: false, eight_bit: true });
    assert!(memchr::memmem::find(&out, b"message/rfc822\r\n").is_some() && memchr::memmem::find(&out, eight).is_some());
    let global = build(Builder::new(0, "x").attach(Attachment::new("message/rfc822", "Subject: ⛵\r\n\r\n".as_bytes())));
    assert_eq!(shape_of(&global), "multipart/mixed(text/plain message/global(text/plain))");
    // Bare line feeds may not go as they are.
    let bare = build(Builder::new(0, "x").attach(Attachment::new("message/rfc822", &b"Subject: x\n\nhi\n"[..])));
    assert_eq!(shape_of(&bare), "multipart/mixed(text/plain application/octet-stream)");
}

#[test]
fn a_boundary_never_occurs_in_a_part() {
    let text = "--=_001_1_seed\r\n--=_001_7_seed--\r\n_9_seed _99999999999999999999_seed";
    let built = build(Builder::new(0, "seed").text(text).html("x"));
    assert_eq!(shape_of(&built), "multipart/alternative(text/plain text/html)");
    assert!(String::from_utf8(built).unwrap().contains("boundary=\"=_001_10_seed\""));
    // A message of the same seed inside.
    let inner = build(Builder::new(0, "seed").text("a").html("b"));
    let built = build(Builder::new(0, "seed").text("a").attach(Attachment::new("message/rfc822", inner)));
    assert_eq!(shape_of(&built), "multipart/mixed(text/plain message/rfc822(multipart/alternative(text/plain text/html)))");
    let built = build(Builder::new(0, "<>").text("__1_").html("x").boundary_seed("\r\n"));
    assert_eq!(shape_of(&built), "multipart/alternative(text/plain text/html)");
}

#[test]
fn nothing_adds_a_field() {
    let evil = "a\r\nBcc: x@y\r\n\r\nbody";
    let address = Address { local: evil.into(), domain: evil.into() };
    let list = ListFields {
        id: Some(evil.into()),
        name: Some(evil.into()),
        help: vec![evil.into(), evil.into()],
        ..ListFields::default()
    };
    let builder = Builder::new(0, evil).from(Mailbox::named(evil, address)).subject(evil).in_reply_to(evil).list(list);
    let builder = builder.field("X\r\nY", evil).field("Bcc", "x").field("Content-Type", "x/y").field("X-A", evil);
    let built = build(builder.attach(Attachment::new(evil, Vec::new()).file_name(evil).content_id(evil)));
    let names: Vec<_> = fields(&built).map(|f| String::from_utf8_lossy(f.name).into_owned()).collect();
    assert_eq!(
        names,
        ["Date", "From", "Subject", "Message-ID", "In-Reply-To", "List-Id", "List-Help", "X-A", "MIME-Version", "Content-Type"]
    );
    let message = parse(&built);
    let names: Vec<_> = fields(message.header(&message.parts[2])).map(|f| String::from_utf8_lossy(f.name).into_owned()).collect();
    assert_eq!(names, ["Content-Type", "Content-Disposition", "Content-ID", "Content-Transfer-Encoding"]);
}

#[test]
fn what_cannot_be_folded_is_an_error() {
    let long = "x".repeat(1_000);
    let told = |builder: Builder<'_>| builder.build().unwrap_err().to_string();
    assert_eq!(told(Builder::new(0, &long)), "Message-ID: a line would be longer than 998 octets");
    let address = Address { local: long.clone(), domain: "x.test".into() };
    assert!(told(Builder::new(0, "x").to(ann()).to(address)).starts_with("To:"));
    assert!(told(Builder::new(0, "x").attach(Attachment::new("a/b", Vec::new()).content_id(&long))).starts_with("Content-ID:"));
    let many = (0..500).fold(Builder::new(0, "x"), |b, i| b.references(&format!("{i}@here.test")).to(ann()));
    build(many);
}

#[test]
fn a_domain_becomes_a_labels_and_a_local_part_stays_utf8() {
    let mailbox = |text: &str| Mailbox::from(Address::parse(text).unwrap());
    let mut out = Vec::new();
    let written = Builder::new(0, "x").from(mailbox("a@bücher.example")).write_to(&mut out).unwrap();
    assert!(!written.needs.smtputf8 && String::from_utf8(out).unwrap().contains("From: a@xn--bcher-kva.example\r\n"));
    let mut out = Vec::new();
    let written = Builder::new(0, "x").to(mailbox("ü@bücher.example")).write_to(&mut out).unwrap();
    assert!(written.needs.smtputf8 && String::from_utf8(out).unwrap().contains("To: ü@bücher.example\r\n"));
}

#[test]
fn the_cheapest_encoding_that_may_be_used() {
    let encoding = |builder: Builder<'_>| {
        let built = build(builder);
        let message = parse(&built);
        (message.parts[0].encoding, built.is_ascii())
    };
    let new = || Builder::new(0, "x");
    use TransferEncoding::*;
    assert_eq!(encoding(new().text("plain\ntext = 1")), (SevenBit, true));
    assert_eq!(encoding(new().text("grün ist die Hoffnung, und sonst ist hier alles ASCII")), (QuotedPrintable, true));
    assert_eq!(encoding(new().text("日本語のテキスト、ほとんど全部")), (Base64, true));
    assert_eq!(encoding(new().text("日本語").eight_bit()), (EightBit, false));
    assert_eq!(encoding(new().text("plain").eight_bit()), (SevenBit, true));
    assert_eq!(encoding(new().text(&"x".repeat(998))), (SevenBit, true));
    assert_eq!(encoding(new().text(&"x".repeat(999))), (QuotedPrintable, true));
    assert_eq!(encoding(new().text(&"日".repeat(400)).eight_bit()), (Base64, true));
    assert_eq!(encoding(new().text("From me")), (QuotedPrintable, true));
    assert_eq!(encoding(new().text("a\0b")), (QuotedPrintable, true));
}

#[test]
fn parameters_of_a_media_type_survive() {
    let file = Attachment::new("text/calendar; method=REQUEST; charset=\"utf-8\"; name=x", &b"BEGIN:VCALENDAR"[..]);
    let built = build(Builder::new(0, "x").text("a").attach(file.file_name("invite.ics")));
    let message = parse(&built);
    let part = leaves(&message)[1];
    assert!(part.content_type.is("text", "calendar"));
    let parameters = &part.content_type.parameters;
    assert_eq!(parameters.decoded("method").as_deref(), Some("REQUEST"));
    assert_eq!(parameters.decoded("name").as_deref(), Some("invite.ics"));
    for none in ["multipart/mixed; boundary=x", "message/partial", "x", "", "a/b\r\nX: y"] {
        let built = build(Builder::new(0, "x").attach(Attachment::new(none, &b"x"[..])));
        let sub = if none.starts_with("a/b") { "b" } else { "octet-stream" };
        assert_eq!(leaves(&parse(&built))[1].content_type.sub, sub, "{none:?}");
    }
}

/// Gives octets and counts them.
struct Source<'c> {
    left: u64,
    given: &'c Cell<u64>,
    pattern: Vec<u8>,
}

impl<'c> Source<'c> {
    fn new(left: u64, given: &'c Cell<u64>) -> Source<'c> {
        given.set(0);
        Source { left, given, pattern: (0..5_000).map(|i| (i % 251) as u8).collect() }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        // Short reads, as pipes give them.
        let len = (room.len().min(4_093) as u64).min(self.left) as usize;
        let at = (self.given.get() % 251) as usize;
        room[..len].copy_from_slice(&self.pattern[at..at + len]);
        self.left -= len as u64;
        self.given.set(self.given.get() + len as u64);
        Ok(len)
    }
}

/// Counts octets, and how far the reading is ahead of them.
struct Behind<'c> {
    written: u64,
    given: &'c Cell<u64>,
    most: u64,
    calls_max: usize,
}

impl Write for Behind<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.most = self.most.max(self.given.get().saturating_sub(self.written * 57 / 78));
        self.calls_max = self.calls_max.max(octets.len());
        self.written += octets.len() as u64;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_film_never_is_in_memory() {
    const LEN: u64 = 4 * 1024 * 1024 + 5;
    let given = Cell::new(0);
    let film = Attachment::from_reader("video/mp4", Source::new(LEN, &given)).file_name("film.mp4");
    let mut out = Behind { written: 0, given: &given, most: 0, calls_max: 0 };
    let written = Builder::new(0, "x").text("See the film").attach(film).write_to(&mut out).unwrap();
    assert_eq!((given.get(), written.octets), (LEN, out.written));
    assert!(written.octets > LEN.div_ceil(57) * 76 && out.most <= 64 * 1024 && out.calls_max <= 64 * 1024, "{}", out.most);
}

#[test]
fn streamed_octets_come_back() {
    for len in [0, 1, 56, 57, 58, 57 * 512, 57 * 512 + 1, 100_000] {
        let given = Cell::new(0);
        let film = Attachment::from_reader("video/mp4", Source::new(len, &given));
        let built = build(Builder::new(0, "x").text("See the film").attach(film));
        let mut wanted = Vec::new();
        Source::new(len, &given).read_to_end(&mut wanted).unwrap();
        assert_eq!(decoded(leaves(&parse(&built))[1], &built), wanted, "{len}");
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

#[test]
fn a_reader_that_fails_is_told() {
    let told = Builder::new(0, "x").attach(Attachment::from_reader("a/b", Broken)).build().unwrap_err();
    assert_eq!(told.to_string(), "the disk is gone");
}

/// Keeps what it saw; its signature is armour.
struct Keeper(Vec<u8>);

impl Signer for Keeper {
    fn protocol(&self) -> &str {
        "application/pgp-signature"
    }

    fn micalg(&self) -> &str {
        "pgp-sha256"
    }

    fn octets(&mut self, canonical: &[u8]) {
        self.0.extend_from_slice(canonical);
    }

    fn signature(&mut self) -> io::Result<Vec<u8>> {
        Ok(b"-----BEGIN PGP SIGNATURE-----\r\n\r\nabcd\r\n-----END PGP SIGNATURE-----\r\n".to_vec())
    }
}

#[test]
fn the_signer_sees_what_goes_out() {
    let mut keeper = Keeper(Vec::new());
    let mut out = Vec::new();
    let inner = Attachment::new("message/rfc822", "Subject: x\r\n\r\nhí\r\n".as_bytes());
    let builder = Builder::new(0, "x").text("blank \nFrom\u{a0}\n").eight_bit().attach(inner);
    let written = builder.write_signed_to(&mut keeper, &mut out).unwrap();
    assert_eq!(written, Written { octets: out.len() as u64, needs: Needs::default() });
    let message = parse(&out);
    assert_eq!(
        shape(&message, 0),
        "multipart/signed(multipart/mixed(text/plain application/octet-stream) application/pgp-signature)"
    );
    let signed = &message.parts[1];
    assert_eq!(&out[signed.header.start..signed.body.end], &keeper.0[..]);
    assert!(keeper.0.is_ascii() && !keeper.0.windows(2).any(|w| w == b" \r"));
    let parameters = &message.parts[0].content_type.parameters;
    assert_eq!(parameters.decoded("micalg").as_deref(), Some("pgp-sha256"));
    assert_eq!(parameters.decoded("protocol").as_deref(), Some("application/pgp-signature"));
    assert_eq!(leaves(&message)[2].encoding, TransferEncoding::SevenBit);
}

#[test]
fn list_fields() {
    let list = ListFields {
        id: Some("news.here.test".into()),
        name: Some("Grüße von uns".into()),
        help: vec!["mailto:help@here.test".into()],
        unsubscribe: vec!["https://here.test/u?a=<b> ä".into(), "mailto:leave@here.test".into()],
        one_click: true,
        ..ListFields::default()
    };
    let built = build(Builder::new(0, "x").list(list.clone()));
    let read = crate::list_fields::of_header(&built);
    assert_eq!((read.id, read.name, read.help, read.one_click), (list.id.clone(), list.name.clone(), list.help.clone(), true));
    let value = |name| String::from_utf8(first(&built, name).unwrap().value().into_owned()).unwrap();
    assert_eq!(encoded_word::decode(value("List-Id").as_bytes()), "Grüße von uns <news.here.test>");
    assert_eq!(value("List-Help"), "<mailto:help@here.test>");
    assert_eq!(value("List-Unsubscribe"), "<https://here.test/u?a=%3Cb%3E%20%C3%A4>, <mailto:leave@here.test>");
    assert_eq!(value("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    // One click is a POST: without https there is nothing to post to (RFC 8058 §3.1).
    let built = build(Builder::new(0, "x").list(ListFields { unsubscribe: vec!["mailto:x@y".into()], ..list }));
    assert!(first(&built, "List-Unsubscribe-Post").is_none());
}

#[test]
fn flowed_text() {
    let paragraph = "word ".repeat(40);
    let text = format!("{paragraph}\n> quoted {paragraph}\n>> deep\n from\nFrom me\n-- \nAnn\n");
    let built = build(Builder::new(0, "x").flowed(&text));
    let message = parse(&built);
    let part = &message.parts[0];
    assert_eq!(part.content_type.parameters.decoded("format").as_deref(), Some("flowed"));
    let body = String::from_utf8(decoded(part, &built)).unwrap();
    let lines: Vec<&str> = body.split("\r\n").collect();
    assert!(lines.iter().all(|line| line.chars().count() <= 78));
    assert_eq!(lines[lines.len() - 6..], [">> deep", "  from", " From me", "-- ", "Ann", ""]);
}

#[test]
fn the_zone_of_the_date() {
    let built = build(Builder::new(0, "x").date_offset_minutes(330));
    assert!(built.starts_with(b"Date: Thu, 1 Jan 1970 05:30:00 +0530\r\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn build_parse_equal(
        names in proptest::collection::vec("\\PC{1,40}", 1..6), subject in "\\PC{0,150}", text in "(\\PC|\n|From |=|\\.){0,300}",
        html in proptest::option::of("\\PC{0,1200}"), file in proptest::collection::vec(any::<u8>(), 0..300), file_name in "\\PC{1,60}",
        ids in proptest::collection::vec("[a-z0-9.]{1,40}@[a-z]{1,20}", 0..8), eight_bit in any::<bool>(), streamed in any::<bool>(),
    ) {
        let to: Vec<Mailbox> = names.iter().map(|n| Mailbox::named(n, Address::parse("bob@there.test").unwrap())).collect();
        let mut builder = Builder::new(1, "id@here.test").from(ann()).subject(&subject).text(&text);
        for mailbox in &to { builder = builder.to(mailbox.clone()); }
        for id in &ids { builder = builder.references(id); }
        if let Some(html) = &html { builder = builder.html(html); }
        if eight_bit { builder = builder.eight_bit(); }
        let attachment = if streamed { Attachment::from_reader("image/png", &file[..]) } else { Attachment::new("image/png", &file[..]) };
        let mut built = Vec::new();
        let written = builder.attach(attachment.file_name(&file_name)).write_to(&mut built).unwrap();
        prop_assert_eq!(written.octets, built.len() as u64);
        prop_assert!(!written.needs.smtputf8);
        prop_assert_eq!(written.needs.eight_bit, !built.is_ascii());
        prop_assert!(eight_bit || built.is_ascii());
        for line in built.split_inclusive(|b| *b == b'\n') {
            prop_assert!(line.len() <= LINE_BYTES_MAX + 2 && line.ends_with(b"\r\n"));
        }
        let message = parse(&built);
        let header = message.header(&message.parts[0]);
        prop_assert!(header.split(|b| *b == b'\n').all(|line| line.len() <= 79));
        let field = |name| crate::header::first(header, name).unwrap().value().into_owned();
        let told = encoded_word::decode(&field("Subject"));
        prop_assert_eq!(told.trim(), subject.trim());
        if !ids.is_empty() {
            let told = String::from_utf8(field("References")).unwrap();
            let told: Vec<&str> = told.split(' ').map(|id| &id[1..id.len() - 1]).collect();
            prop_assert_eq!(&told, &ids);
        }
        let to = field("To");
        let list = address_list::parse(&to);
        let shown: Vec<String> = list.iter().map(|a| a.name().unwrap_or_default().into_owned()).collect();
        let wanted: Vec<String> = names.iter().map(|n| n.trim().to_owned()).collect();
        prop_assert_eq!(shown, wanted);
        let leaves = leaves(&message);
        prop_assert_eq!(leaves.len(), if html.is_some() { 3 } else { 2 });
        prop_assert_eq!(String::from_utf8(decoded(leaves[0], &built)).unwrap(), with_crlf(&text));
        if let Some(html) = &html {
            prop_assert_eq!(String::from_utf8(decoded(leaves[1], &built)).unwrap(), with_crlf(html));
        }
        prop_assert_eq!(decoded(leaves.last().unwrap(), &built), file);
        prop_assert_eq!(leaves.last().unwrap().file_name().unwrap(), file_name);
    }
}

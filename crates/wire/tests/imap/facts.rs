//! What `message` renders once, at delivery, our client reads: the two halves of ENVELOPE and BODYSTRUCTURE agree.

use message::facts::Facts;
use wire::imap::body_structure::BodyStructure;
use wire::imap::fetch::{FetchData, FetchWriter};
use wire::imap::response::{Response, ServerLine};
use wire::imap::{Cursor, Encoder};

const NESTED: &[u8] = b"From: =?utf-8?q?=C3=84nn?= <ann@here.test>, \"B, ob\" <bob@here.test>\r\nTo: undisclosed:;\r\nCc: carol@there.test\r\n\
Subject: a \"quoted\" \xc3\xa4 one\r\nDate: Mon, 23 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1@here.test>\r\nIn-Reply-To: <0@here.test>\r\n\
MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b1\"\r\n\r\n--b1\r\nContent-Type: multipart/alternative; boundary=b2\r\n\r\n\
--b2\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nHi\r\n--b2\r\n\
Content-Type: text/html\r\n\r\n<p>Hi\r\n--b2--\r\n--b1\r\nContent-Type: image/png; name=\"a b.png\"\r\nContent-Transfer-Encoding: base64\r\n\
Content-Disposition: attachment; filename*=utf-8''%C3%A4.png\r\nContent-ID: <c@d>\r\nContent-Language: en, de\r\n\r\nAAAA\r\n--b1\r\n\
Content-Type: message/rfc822\r\n\r\nFrom: x@y\r\nSubject: inner\r\n\r\nbody\r\nbody\r\n--b1--\r\n";

const BAD: &[&[u8]] = &[
    b"",
    b"\r\n\r\n",
    b"no header at all",
    b"From\r\nTo: ((((\r\nSubject: \xff\xfe\r\nContent-Type: multipart/mixed\r\n\r\nx",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\n--b--",
    b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Type: ;;;\r\nContent-Disposition: \"\r\n\r\n\0",
];

fn read(facts: &Facts) -> Vec<FetchData> {
    let mut out = Vec::new();
    let mut writer = FetchWriter::begin(&mut out, 1);
    writer.rendered("ENVELOPE", &facts.envelope);
    writer.rendered("BODYSTRUCTURE", &facts.body_structure);
    writer.rendered("BODY", &facts.body);
    writer.end();
    let text = String::from_utf8_lossy(&out).into_owned();
    let line = out.strip_suffix(b"\r\n").unwrap();
    match ServerLine::parse(&mut Cursor::new(line)) {
        Ok(ServerLine::Untagged(Response::Fetch { items, .. })) => items,
        other => panic!("{text} is read as {other:?}"),
    }
}

#[test]
fn a_nested_message() {
    let facts = Facts::compute(NESTED);
    let items = read(&facts);
    let [FetchData::Envelope(envelope), FetchData::BodyStructure(structure), FetchData::Body(body)] = items.as_slice() else {
        panic!("{items:?}")
    };
    assert_eq!(envelope.from.len(), 2);
    assert_eq!(envelope.from[1].name.as_deref(), Some(&b"B, ob"[..]));
    assert_eq!(envelope.message_id.as_deref(), Some(&b"<1@here.test>"[..]));
    assert_eq!(envelope.cc[0].host.as_deref(), Some(&b"there.test"[..]));
    let BodyStructure::Multipart { parts, subtype, extension } = &**structure else { panic!() };
    assert!(parts.len() == 3 && subtype.eq_ignore_ascii_case(b"mixed") && extension.is_some());
    let BodyStructure::Single(image) = &parts[1] else { panic!() };
    assert!(image.media_type.eq_ignore_ascii_case(b"image"));
    let disposition = image.extension.as_ref().and_then(|e| e.disposition.as_ref()).unwrap();
    assert!(disposition.0.eq_ignore_ascii_case(b"attachment") && !disposition.1.is_empty());
    let BodyStructure::Single(inner) = &parts[2] else { panic!() };
    let (envelope, _) = inner.message.as_ref().unwrap();
    assert_eq!(envelope.subject.as_deref(), Some(&b"inner"[..]));
    assert_eq!(inner.lines, Some(4), "the last line end is the boundary's");
    assert!(matches!(&**body, BodyStructure::Multipart { extension: None, .. }), "BODY has no extension data");
}

#[test]
fn bad_messages_are_valid_answers_too() {
    for message in BAD.iter().chain([&NESTED]) {
        let facts = Facts::compute(message);
        for item in read(&facts) {
            // What was read, written again, is read the same.
            let mut e = Encoder::server(b"* 1 FETCH (".to_vec(), false);
            match &item {
                FetchData::Envelope(_) | FetchData::Body(_) | FetchData::BodyStructure(_) => {}
                other => panic!("{other:?}"),
            }
            e.bytes.clear();
            Response::Fetch { number: 1, items: vec![item.clone()] }.encode(&mut e);
            assert_eq!(Response::parse(&mut Cursor::new(&e.bytes)), Ok(Response::Fetch { number: 1, items: vec![item] }));
        }
    }
}

//! What we write: delivery reports (`message::dsn`) and built messages (`message::build`), read back by our own parser.

use crate::pieces::take;
use message::address::Address;
use message::build::{Attachment, Builder, Mailbox};
use message::dsn::{DeliveryStatus, Original, Report, meaning};
use message::limits::LINE_BYTES_MAX;
use message::parse::PartKind;

/// A delivery-status body: what is read is written and read the same, also inside a whole report.
pub(crate) fn dsn(data: &[u8]) {
    let Some(read) = DeliveryStatus::parse(data) else { return };
    let written = read.encode();
    let Some(status) = DeliveryStatus::parse(written.as_bytes()) else { panic!("{written:?} reports on nobody") };
    assert_eq!(status.recipients.len(), read.recipients.len());
    assert_eq!(DeliveryStatus::parse(status.encode().as_bytes()).as_ref(), Some(&status), "{written:?}");
    for recipient in &status.recipients {
        let _ = meaning(&recipient.status);
    }
    let person = |text: &str| Address { local: text.to_owned(), domain: "here.test".to_owned() };
    for original in [Original::Message(data), Original::Header(data)] {
        let report = Report {
            from: Mailbox::named("Mail Delivery System", person("postmaster")),
            to: Mailbox::from(person("ann")),
            date_secs: 1_795_392_000,
            message_id: "report@here.test",
            status: status.clone(),
            original,
        };
        let octets = report.build();
        let message = message::parse(&octets);
        let root = &message.parts[0];
        assert!(root.kind == PartKind::Multipart && root.children.len() == 3, "{}", octets.escape_ascii());
        let body = message.body(&message.parts[root.children[1]]);
        assert_eq!(DeliveryStatus::parse(body).as_ref(), Some(&status), "{}", octets.escape_ascii());
    }
}

/// Subject, text, file name and file, parted by NUL; the built message holds them as they were given.
pub(crate) fn message_build(data: &[u8]) {
    let ([flags], rest) = take(data);
    let given: Vec<&[u8]> = rest.splitn(4, |b| *b == 0).collect();
    let words = |at: usize| String::from_utf8_lossy(given.get(at).copied().unwrap_or_default()).into_owned();
    // In front of an encoded word U+FEFF is a byte order mark, and no part of the text.
    let shown = |c: char| (c != '\u{feff}').then_some(if c.is_control() { ' ' } else { c });
    let plain = |at: usize| words(at).chars().filter_map(shown).collect::<String>();
    let (subject, text, file_name) = (plain(0), words(1), plain(2));
    let octets = given.get(3).copied().unwrap_or_default().to_vec();
    let address = Address { local: "ann".into(), domain: "here.test".into() };
    let mut builder = Builder::new(0, "1@here.test").from(Mailbox::named(&subject, address.clone())).to(address);
    builder = builder.subject(&subject).text(&text);
    if flags & 1 != 0 {
        builder = builder.html(&text);
    }
    if flags & 2 != 0 {
        let file = match flags & 4 {
            0 => Attachment::new("application/octet-stream", octets.clone()),
            _ => Attachment::from_reader("application/octet-stream", octets.as_slice()),
        };
        builder = builder.attach(file.file_name(&file_name));
    }
    let Ok(built) = builder.build() else { return };
    assert!(built.is_ascii() && built.split(|b| *b == b'\n').all(|line| line.len() <= LINE_BYTES_MAX + 1));
    crate::play::lines_are_sound(&built);
    let message = message::parse(&built);
    let facts = message::Facts::compute(&built);
    let cut: String = subject
        .chars()
        .scan(0, |len, c| {
            (*len + c.len_utf8() <= 1000).then(|| {
                *len += c.len_utf8();
                c
            })
        })
        .collect();
    assert_eq!(facts.subject, cut);
    let leaves: Vec<_> = message.parts.iter().filter(|part| part.kind == PartKind::Leaf).collect();
    assert_eq!(leaves.len(), 1 + usize::from(flags & 1 != 0) + usize::from(flags & 2 != 0));
    if flags & 2 != 0 {
        let last = leaves[leaves.len() - 1];
        assert_eq!(last.content(), octets);
        if file_name.len() < 500 && !file_name.is_empty() {
            assert_eq!(last.file_name(), Some(file_name));
        }
    }
}

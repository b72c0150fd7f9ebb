//! The welcome message: text and HTML, a picture inline, an attachment; put into an inbox through the store.

use super::picture;
use crate::admin::told;
use data_encoding::BASE64_MIME;
use server::context::unix_now;
use std::sync::Arc;
use store::{Acceptance, Spooled, Store, TraceEvent};

/// Parts' boundaries; nothing in the parts begins like them.
const MIXED: &str = "=_packetboat_mixed";
const RELATED: &str = "=_packetboat_related";
const ALTERNATIVE: &str = "=_packetboat_alternative";

const ATTACHMENT: &str = "What is in this post office\r\n\
\r\n\
SMTP    other servers bring mail; your program submits yours\r\n\
IMAP    your program reads mail that stays on the server\r\n\
POP3    your program fetches mail\r\n\
store   every message is on the disk, synced, before anybody is told that it was accepted\r\n";

/// Puts the welcome message into somebody's inbox.
pub(super) async fn deliver(store: &Store, address: &str, person: &str) -> Result<(), String> {
    let now_secs = unix_now();
    let text = compose(address, person, now_secs);
    let account =
        store.account(address).await.map_err(|error| told(&error))?.ok_or_else(|| format!("there is no account {address}"))?;
    let facts = message::facts::Facts::compute(text.as_bytes());
    let trace =
        TraceEvent::new(now_secs, "stored", "the welcome message of `packetboat try`").key("address", address).of(account.id);
    let acceptance = Acceptance {
        body: Spooled::from_bytes(text.into_bytes().into()),
        facts: Arc::new(facts),
        deliveries: vec![mta::accept::inbox(account.id, now_secs)],
        queue: Vec::new(),
        trace: vec![trace],
        idempotency: None,
    };
    store.accept(acceptance).await.map(|_| ()).map_err(|error| told(&error))
}

fn compose(address: &str, person: &str, now_secs: i64) -> String {
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    let other = if address.starts_with("carol@") { "ann@here.test" } else { "carol@there.test" };
    let date = message::date::format_rfc_5322(now_secs);
    let picture = BASE64_MIME.encode(&picture::png());
    let lines = [
        format!("Return-Path: <postmaster@{domain}>"),
        format!("Date: {date}"),
        format!("From: Packetboat <postmaster@{domain}>"),
        format!("To: {person} <{address}>"),
        format!("Subject: Welcome aboard, {person}"),
        format!("Message-ID: <welcome.{now_secs}.{}@mail.{domain}>", person.to_ascii_lowercase()),
        "MIME-Version: 1.0".into(),
        format!("Content-Type: multipart/mixed; boundary=\"{MIXED}\""),
        String::new(),
        format!("--{MIXED}"),
        format!("Content-Type: multipart/related; boundary=\"{RELATED}\"; type=\"multipart/alternative\""),
        String::new(),
        format!("--{RELATED}"),
        format!("Content-Type: multipart/alternative; boundary=\"{ALTERNATIVE}\""),
        String::new(),
        format!("--{ALTERNATIVE}"),
        "Content-Type: text/plain; charset=utf-8".into(),
        "Content-Transfer-Encoding: 7bit".into(),
        String::new(),
        format!("Welcome aboard, {person}!"),
        String::new(),
        format!("This mailbox is on your own computer. Write to {other}: your message goes by SMTP"),
        "to another mail server (also on your computer) and into the mailbox there.".into(),
        "Nothing you send here leaves this machine.".into(),
        String::new(),
        format!("--{ALTERNATIVE}"),
        "Content-Type: text/html; charset=utf-8".into(),
        "Content-Transfer-Encoding: 7bit".into(),
        String::new(),
        format!("<p>Welcome aboard, <b>{person}</b>!</p>"),
        "<p><img src=\"cid:boat@packetboat\" alt=\"A paper boat on the sea\" width=\"160\" height=\"100\"></p>".into(),
        format!(
            "<p>This mailbox is on your own computer. Write to <a href=\"mailto:{other}\">{other}</a>: your message goes by SMTP"
        ),
        "to another mail server (also on your computer) and into the mailbox there.".into(),
        "Nothing you send here leaves this machine.</p>".into(),
        String::new(),
        format!("--{ALTERNATIVE}--"),
        String::new(),
        format!("--{RELATED}"),
        "Content-Type: image/png; name=\"boat.png\"".into(),
        "Content-Transfer-Encoding: base64".into(),
        "Content-ID: <boat@packetboat>".into(),
        "Content-Disposition: inline; filename=\"boat.png\"".into(),
        String::new(),
        picture.trim_end().to_owned(),
        String::new(),
        format!("--{RELATED}--"),
        String::new(),
        format!("--{MIXED}"),
        "Content-Type: text/plain; charset=utf-8; name=\"post-office.txt\"".into(),
        "Content-Transfer-Encoding: 7bit".into(),
        "Content-Disposition: attachment; filename=\"post-office.txt\"".into(),
        String::new(),
        ATTACHMENT.to_owned(),
        format!("--{MIXED}--"),
        String::new(),
    ];
    lines.join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_short_ascii_and_ends_in_crlf() {
        let text = compose("ann@here.test", "Ann", 1_795_393_605);
        assert!(text.is_ascii() && text.ends_with("\r\n"));
        for line in text.split("\r\n") {
            assert!(line.len() <= 998 && !line.contains(['\r', '\n']), "{line:?}");
        }
        assert!(text.contains("Subject: Welcome aboard, Ann\r\n"));
        assert_eq!(text.matches(&format!("\r\n--{MIXED}")).count(), 3);
    }
}

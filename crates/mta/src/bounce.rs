//! Reports to the sender, in plain words: failure, delay, success (RFC 3461, 3464, 6522, 3834).
//!
//! Invariant: a report has the null reverse-path, so none ever answers a report; it goes to the reverse-path and nowhere else.
//! Must not know: clocks, sockets; when a report is owed is `queue`'s affair.

use crate::accept::inbox;
use crate::limits::{BOUNCE_BODY_BYTES_MAX, BOUNCE_HEADER_BYTES_MAX};
use crate::queue::{Action, Report, Reported};
use crate::receive::{Place, domain_of};
use crate::route::destination_of;
use message::header::header_end;
use smol_str::SmolStr;
use std::fmt::Write as _;
use std::sync::Arc;
use store::{Acceptance, NewQueueEntry, QueueRecipient, RecipientState, Spooled, StoreError, TraceEvent, UnixSecs};

/// What a report is about, besides its recipients.
#[derive(Debug, Clone)]
pub struct About<'a> {
    /// Who hears of it; never the null reverse-path.
    pub reverse_path: &'a str,
    /// Our name.
    pub hostname: &'a str,
    /// Unique: Message-ID and boundary are made of it.
    pub id: &'a str,
    /// Now.
    pub now_secs: UnixSecs,
    /// When the message came in.
    pub arrived_secs: UnixSecs,
    /// When it will be given up.
    pub expires_secs: UnixSecs,
    /// ENVID, decoded.
    pub envelope_id: Option<&'a str>,
    /// The message's head (header section at least), or all of it when `whole`.
    pub original: &'a [u8],
    /// `original` is the whole message and is given back whole.
    pub whole: bool,
    /// How long the queue tries the report itself.
    pub lifetime_secs: i64,
}

/// How much of the original a report needs: all of a small message that failed, else its head.
pub fn original_bytes_wanted(action: Action, size_bytes: u64, ret_headers: bool) -> (u64, bool) {
    if action == Action::Failed && !ret_headers && size_bytes <= BOUNCE_BODY_BYTES_MAX {
        (size_bytes, true)
    } else {
        (size_bytes.min(BOUNCE_HEADER_BYTES_MAX as u64), false)
    }
}

/// The report as a message.
pub fn render(report: &Report, about: &About<'_>) -> Vec<u8> {
    let boundary = format!("=_{}", about.id);
    let original = if about.whole { about.original } else { head_only(about.original) };
    let (skip, original) = (crate::trace_fields::return_path_len(original), original);
    let original = original.get(skip..).unwrap_or_default();
    let utf8 = !original.is_ascii() || report.recipients.iter().any(|r| !r.address.is_ascii());
    let mut out = String::new();
    let _ = write!(
        out,
        "Return-Path: <>\r\nFrom: Mail delivery <postmaster@{host}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: {date}\r\n\
         Message-ID: <{id}@{host}>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n\r\n",
        host = about.hostname,
        to = crate::trace_fields::written(about.reverse_path),
        subject = subject(report.action),
        date = message::date::format_rfc_5322(about.now_secs),
        id = about.id,
    );
    let _ = write!(
        out,
        "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}\r\n",
        words(report, about)
    );
    let status_type = if utf8 { "message/global-delivery-status" } else { "message/delivery-status" };
    let _ = write!(out, "--{boundary}\r\nContent-Type: {status_type}\r\n\r\n{}\r\n", status_fields(report, about));
    let original_type = match (about.whole, utf8) {
        (true, _) => "message/rfc822",
        (false, false) => "text/rfc822-headers",
        (false, true) => "message/global-headers",
    };
    let encoding = if original.is_ascii() { "" } else { "Content-Transfer-Encoding: 8bit\r\n" };
    let _ = write!(out, "--{boundary}\r\nContent-Type: {original_type}\r\n{encoding}\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(original);
    if !original.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    out
}

fn head_only(octets: &[u8]) -> &[u8] {
    octets.get(..header_end(octets)).unwrap_or(octets)
}

/// One line of a field or sentence: nothing in it can end it.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(998).collect()
}

fn subject(action: Action) -> &'static str {
    match action {
        Action::Failed => "Your message could not be delivered",
        Action::Delayed => "Your message is delayed and will be tried again",
        Action::Relayed => "Your message was handed on",
        Action::Delivered => "Your message was delivered",
    }
}

/// What a person reads first.
fn words(report: &Report, about: &About<'_>) -> String {
    let mut out = String::from("Hello,\r\n\r\n");
    out.push_str(match report.action {
        Action::Failed => "your message was not delivered to:\r\n\r\n",
        Action::Delayed => "your message has not been delivered yet to:\r\n\r\n",
        Action::Relayed => "as you asked to be told: your message was handed to the next server, which does not confirm delivery itself, for:\r\n\r\n",
        Action::Delivered => "as you asked to be told: your message is now in the mailbox of:\r\n\r\n",
    });
    for recipient in &report.recipients {
        let _ = write!(out, "    {}\r\n", line(&recipient.address));
        if matches!(report.action, Action::Failed | Action::Delayed) {
            let said = match &recipient.host {
                Some(host) => format!("{} said: {}", line(host), line(&recipient.text)),
                None => line(&recipient.text),
            };
            let _ = write!(out, "        {said}\r\n");
            if let Some(meaning) = meaning(recipient.status) {
                let _ = write!(out, "        That means: {meaning}\r\n");
            }
        }
    }
    out.push_str("\r\n");
    match report.action {
        Action::Failed => out.push_str("It will not be tried again. If you still want to send it, send it anew.\r\n"),
        Action::Delayed => {
            let until = message::date::format_rfc_5322(about.expires_secs);
            let _ = write!(
                out,
                "You need not do anything: it will be tried again until {until}.\r\nYou will be told if that fails.\r\n"
            );
        }
        Action::Relayed | Action::Delivered => {}
    }
    let _ = write!(out, "\r\nThis note was written by the mail server {}.\r\n", about.hostname);
    out
}

/// RFC 3463 in everyday words.
fn meaning(status: (u8, u16, u16)) -> Option<&'static str> {
    Some(match (status.1, status.2) {
        (1, 1) => "there is no such address",
        (1, 2) => "there is no such domain: look for a typing mistake after the @",
        (1, 10) => "the domain does not take mail at all",
        (2, 2) => "the mailbox is full",
        (2, _) => "the mailbox does not take mail just now",
        (3, 4) => "the message is too large for them",
        (4, 1) => "their server did not answer",
        (4, 4) => "no way to their server was found",
        (4, 6) => "the message would go in circles",
        (4, 7) => "it could not be delivered in all the time it was tried",
        (6, 7) => "the address is written in a script their server cannot handle",
        (7, _) => "they do not accept it, for reasons of policy",
        _ => return None,
    })
}

/// RFC 3464 §2.2 and §2.3.
fn status_fields(report: &Report, about: &About<'_>) -> String {
    let mut out = String::new();
    if let Some(id) = about.envelope_id {
        let _ = write!(out, "Original-Envelope-Id: {}\r\n", line(id));
    }
    let _ = write!(
        out,
        "Reporting-MTA: dns; {}\r\nArrival-Date: {}\r\n",
        about.hostname,
        message::date::format_rfc_5322(about.arrived_secs)
    );
    for recipient in &report.recipients {
        out.push_str("\r\n");
        recipient_fields(&mut out, report.action, recipient, about);
    }
    out
}

fn recipient_fields(out: &mut String, action: Action, recipient: &Reported, about: &About<'_>) {
    if let Some(original) = &recipient.original {
        let _ = write!(out, "Original-Recipient: {}\r\n", line(original));
    }
    let address_type = if recipient.address.is_ascii() { "rfc822" } else { "utf-8" };
    let word = match action {
        Action::Failed => "failed",
        Action::Delayed => "delayed",
        Action::Relayed => "relayed",
        Action::Delivered => "delivered",
    };
    let (class, subject, detail) = recipient.status;
    let _ = write!(
        out,
        "Final-Recipient: {address_type}; {}\r\nAction: {word}\r\nStatus: {class}.{subject}.{detail}\r\n",
        line(&recipient.address)
    );
    if let Some(host) = &recipient.host {
        let _ = write!(out, "Remote-MTA: dns; {}\r\nDiagnostic-Code: smtp; {}\r\n", line(host), line(&recipient.text));
    }
    let _ = write!(out, "Last-Attempt-Date: {}\r\n", message::date::format_rfc_5322(about.now_secs));
    if action == Action::Delayed {
        let _ = write!(out, "Will-Retry-Until: {}\r\n", message::date::format_rfc_5322(about.expires_secs));
    }
}

/// The report as an act: delivered here, or queued to the sender's domain. `None` when the sender is nobody (any more).
pub async fn notice(place: &Place<'_>, report: &Report, about: &About<'_>) -> Result<Option<Acceptance>, StoreError> {
    let found = match domain_of(about.reverse_path) {
        Some(domain) if place.serves(&domain) => place.resolve(about.reverse_path).await?,
        Some(domain) if place.may_reach(&domain) => {
            crate::receive::Destinations { accounts: Vec::new(), remote: vec![about.reverse_path.to_owned()] }
        }
        _ => return Ok(None),
    };
    if found.is_empty() {
        return Ok(None);
    }
    let octets = render(report, about);
    let eight_bit = !octets.is_ascii();
    let facts = Arc::new(message::facts::Facts::compute(&octets));
    let mut deliveries = Vec::new();
    let mut elsewhere = found.remote;
    for account in found.accounts {
        match place.store.room(account.id, octets.len() as u64).await {
            Ok(()) => deliveries.push(inbox(account.id, about.now_secs)),
            // Waits in the queue for room, as any mail does.
            Err(StoreError::OverQuota | StoreError::NoSpace) => elsewhere.push(account.address.clone()),
            Err(error) => return Err(error),
        }
    }
    let queue = elsewhere.iter().map(|address| entry(address, about, eight_bit)).collect();
    let trace = vec![told(report, about)];
    Ok(Some(Acceptance { body: Spooled::from_bytes(octets.into()), facts, deliveries, queue, trace, idempotency: None }))
}

fn entry(address: &str, about: &About<'_>, eight_bit: bool) -> NewQueueEntry {
    NewQueueEntry {
        destination: destination_of(address),
        reverse_path: String::new(),
        recipients: vec![QueueRecipient {
            address: address.to_owned(),
            original: None,
            notify: QueueRecipient::NOTIFY_NEVER,
            state: RecipientState::Waiting,
            last_reply: String::new(),
            delay_told: false,
        }],
        account: None,
        due_secs: about.now_secs,
        expires_secs: about.now_secs + about.lifetime_secs,
        eight_bit,
        smtputf8: !address.is_ascii(),
        ret_headers: true,
        envelope_id: None,
    }
}

fn told(report: &Report, about: &About<'_>) -> TraceEvent {
    let mut keys = vec![(SmolStr::new_static("address"), about.reverse_path.to_owned())];
    keys.extend(report.recipients.iter().map(|r| (SmolStr::new_static("address"), r.address.clone())));
    TraceEvent {
        at_secs: about.now_secs,
        what: SmolStr::new_static("told"),
        keys,
        detail: format!("<{}> was told: {}", about.reverse_path, subject(report.action)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn about(original: &[u8], whole: bool) -> About<'_> {
        About {
            reverse_path: "ann@here.test",
            hostname: "mx.here.test",
            id: "abc",
            now_secs: 0,
            arrived_secs: 0,
            expires_secs: 432_000,
            envelope_id: Some("QQ 314"),
            original,
            whole,
            lifetime_secs: 432_000,
        }
    }

    fn report(action: Action) -> Report {
        let recipient = Reported {
            address: "nobody@there.test".into(),
            original: Some("rfc822;nobody@there.test".into()),
            status: (5, 1, 1),
            host: Some("mx.there.test".into()),
            text: "550 5.1.1 <nobody@there.test> is not known here".into(),
        };
        Report { action, recipients: vec![recipient] }
    }

    #[test]
    fn a_failure_in_plain_words_and_in_fields() {
        let original = b"Return-Path: <ann@here.test>\r\nSubject: hi\r\n\r\nbody\r\n";
        let text = String::from_utf8(render(&report(Action::Failed), &about(original, true))).unwrap();
        for part in [
            "Return-Path: <>\r\n",
            "To: <ann@here.test>\r\n",
            "    nobody@there.test\r\n        mx.there.test said: 550 5.1.1",
            "That means: there is no such address\r\n",
            "Original-Envelope-Id: QQ 314\r\nReporting-MTA: dns; mx.here.test\r\n",
            "\r\n\r\nOriginal-Recipient: rfc822;nobody@there.test\r\nFinal-Recipient: rfc822; nobody@there.test\r\nAction: failed\r\nStatus: 5.1.1\r\n",
            "Diagnostic-Code: smtp; 550 5.1.1 <nobody@there.test> is not known here\r\n",
            "Content-Type: message/rfc822\r\n\r\nSubject: hi\r\n\r\nbody\r\n\r\n--=_abc--\r\n",
        ] {
            assert!(text.contains(part), "missing {part:?} in\n{text}");
        }
        assert!(!text.contains("Return-Path: <ann"), "our own trace is not given back");
    }

    #[test]
    fn a_delay_gives_back_the_header_alone_and_says_until_when() {
        let text = String::from_utf8(render(&report(Action::Delayed), &about(b"Subject: hi\r\n\r\nbody", false))).unwrap();
        assert!(text.contains("Content-Type: text/rfc822-headers\r\n\r\nSubject: hi\r\n\r\n\r\n--=_abc--"), "{text}");
        assert!(text.contains("Will-Retry-Until: Tue, 6 Jan 1970 00:00:00 +0000\r\n"), "{text}");
        assert!(text.contains("Action: delayed\r\n"));
    }

    #[test]
    fn nothing_said_elsewhere_breaks_a_line() {
        let mut report = report(Action::Failed);
        report.recipients[0].text = "550 a\r\nX-Evil: yes".into();
        let text = String::from_utf8(render(&report, &about(b"", false))).unwrap();
        assert!(!text.contains("\r\nX-Evil"));
    }

    #[test]
    fn ret_and_size_decide_what_comes_back() {
        assert_eq!(original_bytes_wanted(Action::Failed, 100, false), (100, true));
        assert_eq!(original_bytes_wanted(Action::Failed, 100, true), (100, false));
        assert_eq!(original_bytes_wanted(Action::Failed, 1 << 30, false), (64 * 1024, false));
        assert_eq!(original_bytes_wanted(Action::Delayed, 100, false), (100, false));
    }
}

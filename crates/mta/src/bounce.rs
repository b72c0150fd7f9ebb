//! Reports to the sender: whether, to whom, with what (RFC 3461, 3834). How they read is `message::dsn`'s affair.
//!
//! Invariant: a report has the null reverse-path, so none ever answers a report; it goes to the reverse-path and nowhere else.
//! Must not know: clocks, sockets; when a report is owed is `queue`'s affair.

use crate::accept::{inbox, stored_here};
use crate::limits::{BOUNCE_BODY_BYTES_MAX, BOUNCE_HEADER_BYTES_MAX};
use crate::queue::{Action, Report, Reported};
use crate::receive::{Place, domain_of};
use crate::route::destination_of;
use message::address::Address;
use message::build::Mailbox;
use message::dsn;
use std::sync::Arc;
use store::{Acceptance, NewQueueEntry, QueueRecipient, QueueService, RecipientState, Spooled, StoreError, TraceEvent, UnixSecs};

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

/// The report as a message, the Return-Path of its final delivery on top. It is from the postmaster of `domain`, one that is
/// served here, so that an answer to it arrives; our own name need not be.
pub fn render(report: &Report, about: &About<'_>, domain: &str) -> Vec<u8> {
    let own = crate::trace_fields::return_path_len(about.original);
    let original = about.original.get(own..).unwrap_or_default();
    let postmaster = Address { local: "postmaster".to_owned(), domain: domain.to_owned() };
    let message_id = format!("{}@{}", about.id, about.hostname);
    let built = dsn::Report {
        from: Mailbox::named("Mail delivery", postmaster),
        to: Mailbox::from(parse_address(about.reverse_path)),
        date_secs: about.now_secs,
        message_id: &message_id,
        status: status(report, about),
        original: if about.whole { dsn::Original::Message(original) } else { dsn::Original::Header(original) },
    };
    let mut octets = crate::trace_fields::return_path("").into_bytes();
    octets.extend_from_slice(&built.build());
    octets
}

fn parse_address(text: &str) -> Address {
    let (local, domain) = text.rsplit_once('@').unwrap_or((text, ""));
    Address { local: local.to_owned(), domain: domain.to_owned() }
}

fn status(report: &Report, about: &About<'_>) -> dsn::DeliveryStatus {
    dsn::DeliveryStatus {
        envelope_id: about.envelope_id.map(str::to_owned),
        reporting_mta: about.hostname.to_owned(),
        arrival_secs: Some(about.arrived_secs),
        recipients: report.recipients.iter().map(|recipient| recipient_status(report.action, recipient, about)).collect(),
    }
}

fn recipient_status(action: Action, recipient: &Reported, about: &About<'_>) -> dsn::RecipientStatus {
    let (class, subject, detail) = recipient.status;
    dsn::RecipientStatus {
        original: recipient.original.clone(),
        final_recipient: recipient.address.clone(),
        action: match action {
            Action::Failed => dsn::Action::Failed,
            Action::Delayed => dsn::Action::Delayed,
            Action::Relayed => dsn::Action::Relayed,
            Action::Delivered => dsn::Action::Delivered,
            Action::Expanded => dsn::Action::Expanded,
        },
        status: format!("{class}.{subject}.{detail}"),
        diagnostic: (!recipient.text.is_empty()).then(|| recipient.text.clone()),
        remote_mta: recipient.host.clone(),
        last_attempt_secs: Some(about.now_secs),
        will_retry_until_secs: (action == Action::Delayed).then_some(about.expires_secs),
    }
}

/// The report as an act: delivered here, or queued to the sender's domain. `None` when the sender is nobody (any more).
/// `sign` gives the signature fields of a whole message.
pub async fn notice(
    place: &Place<'_>,
    report: &Report,
    about: &About<'_>,
    sign: impl FnOnce(&[u8]) -> String + Send,
) -> Result<Option<Acceptance>, StoreError> {
    let found = match domain_of(about.reverse_path) {
        Some(domain) if place.serves(&domain) => place.resolve(about.reverse_path).await?,
        Some(domain) if place.may_reach(&domain) => {
            crate::receive::Destinations { remote: vec![about.reverse_path.to_owned()], ..Default::default() }
        }
        _ => return Ok(None),
    };
    if found.is_empty() {
        return Ok(None);
    }
    let octets = signed(render(report, about, place.domains.first().map_or(about.hostname, String::as_str)), sign);
    let eight_bit = !octets.is_ascii();
    let facts = Arc::new(message::facts::Facts::compute(&octets));
    let mut deliveries = Vec::new();
    let mut trace = vec![told(report, about)];
    let mut elsewhere = found.remote;
    for account in found.accounts {
        match place.store.room(account.id, octets.len() as u64).await {
            Ok(()) => {
                deliveries.push(inbox(account.id, about.now_secs));
                let detail = format!("a report of ours: {:?}", report.action);
                trace.push(stored_here(account.id, detail, about.now_secs));
            }
            // Waits in the queue for room, as any mail does.
            Err(StoreError::OverQuota | StoreError::NoSpace) => elsewhere.push(account.address.clone()),
            Err(error) => return Err(error),
        }
    }
    let queue = elsewhere.iter().map(|address| entry(address, about, eight_bit)).collect();
    Ok(Some(Acceptance { body: Spooled::from_bytes(octets.into()), facts, deliveries, queue, trace, idempotency: None }))
}

/// Under the Return-Path.
fn signed(octets: Vec<u8>, sign: impl FnOnce(&[u8]) -> String) -> Vec<u8> {
    let own = crate::trace_fields::return_path_len(&octets);
    let (return_path, message) = octets.split_at_checked(own).unwrap_or((b"", &octets));
    [return_path, sign(message).as_bytes(), message].concat()
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
        service: QueueService::default(),
    }
}

fn told(report: &Report, about: &About<'_>) -> TraceEvent {
    let about_whom: Vec<&str> = report.recipients.iter().map(|recipient| recipient.address.as_str()).collect();
    let detail = format!("<{}> was told: {:?}, to <{}>", about.reverse_path, report.action, about_whom.join(">, <"));
    let event = TraceEvent::new(about.now_secs, "told", detail).key("address", about.reverse_path);
    about_whom.iter().fold(event, |event, address| event.key("address", *address))
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
    fn a_failure_for_people_and_for_programs() {
        let original = b"Return-Path: <ann@here.test>\r\nSubject: hi\r\n\r\nbody\r\n";
        let octets = render(&report(Action::Failed), &about(original, true), "here.test");
        let text = String::from_utf8(octets.clone()).unwrap();
        for part in [
            "Return-Path: <>\r\n",
            "<postmaster@here.test>\r\n",
            "\r\nTo: ann@here.test\r\n",
            "mx.there.test said: 550 5.1.1",
            "That means: there is no such mailbox",
            "Original-Envelope-Id: QQ 314\r\nReporting-MTA: dns; mx.here.test\r\n",
            "Final-Recipient: rfc822; nobody@there.test\r\nAction: failed\r\nStatus: 5.1.1\r\n",
        ] {
            assert!(text.contains(part), "missing {part:?} in\n{text}");
        }
        let message = message::parse(&octets);
        let returned = message.parts.iter().find(|part| part.content_type.is("message", "rfc822")).unwrap();
        assert_eq!(message.body(returned), b"Subject: hi\r\n\r\nbody\r\n", "our own trace is not given back");
    }

    #[test]
    fn a_delay_gives_back_the_header_alone_and_says_until_when() {
        let octets = render(&report(Action::Delayed), &about(b"Subject: hi\r\n\r\nbody", false), "here.test");
        let text = String::from_utf8(octets.clone()).unwrap();
        assert!(text.contains("Will-Retry-Until: Tue, 6 Jan 1970 00:00:00 +0000\r\n"), "{text}");
        let message = message::parse(&octets);
        let returned = message.parts.iter().find(|part| part.content_type.is("text", "rfc822-headers")).unwrap();
        assert_eq!(message.body(returned), b"Subject: hi\r\n\r\n");
    }

    #[test]
    fn ret_and_size_decide_what_comes_back() {
        assert_eq!(original_bytes_wanted(Action::Failed, 100, false), (100, true));
        assert_eq!(original_bytes_wanted(Action::Failed, 100, true), (100, false));
        assert_eq!(original_bytes_wanted(Action::Failed, 1 << 30, false), (64 * 1024, false));
        assert_eq!(original_bytes_wanted(Action::Delayed, 100, false), (100, false));
    }
}

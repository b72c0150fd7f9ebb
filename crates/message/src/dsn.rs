//! Delivery status notifications (RFC 3464, RFC 3462/6522, RFC 6533): built from plain values, and read back.
//!
//! Three parts: plain words for people, the status fields for programs, and what was sent. Whatever is not ASCII makes
//! the report use the `global` types of RFC 6533. Dates and ids are arguments.
//! Must not know: the queue, when a report is owed.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::build::{Builder, Entity, Mailbox, TextForm, text_entity};
use crate::date;
use crate::header::{fields, line_at};
use crate::limits::PARTS_MAX;
pub use crate::report::Original;
use crate::report::{line, push_field, returned, seconds, text, untyped};

/// What became of a recipient (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Action {
    Failed,
    Delayed,
    Delivered,
    Relayed,
    Expanded,
}

impl Action {
    /// The word of the Action field.
    pub fn word(self) -> &'static str {
        match self {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Delivered => "delivered",
            Action::Relayed => "relayed",
            Action::Expanded => "expanded",
        }
    }

    /// From that word, in any case.
    ///
    /// ```
    /// assert_eq!(message::dsn::Action::from_word("Failed"), Some(message::dsn::Action::Failed));
    /// ```
    pub fn from_word(word: &str) -> Option<Action> {
        use Action::*;
        [Failed, Delayed, Delivered, Relayed, Expanded].into_iter().find(|a| a.word().eq_ignore_ascii_case(word))
    }
}

/// The fields of one recipient (RFC 3464 §2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientStatus {
    /// ORCPT with its type: `rfc822;a@b`.
    pub original: Option<String>,
    /// The address the report is about, without its type.
    pub final_recipient: String,
    /// What became of it.
    pub action: Action,
    /// `5.1.1` (RFC 3463).
    pub status: String,
    /// The other server's reply.
    pub diagnostic: Option<String>,
    /// Who said it.
    pub remote_mta: Option<String>,
    /// When it was last tried.
    pub last_attempt_secs: Option<i64>,
    /// When it is given up (delayed only).
    pub will_retry_until_secs: Option<i64>,
}

/// The machine-readable part (RFC 3464 §2.1).
///
/// ```
/// use message::{address::Address, build::Mailbox, dsn::{Action, DeliveryStatus, Original, RecipientStatus, Report, meaning}};
/// let bob = RecipientStatus {
///     original: None, final_recipient: "bob@there.test".into(), action: Action::Failed, status: "5.1.1".into(), diagnostic: None,
///     remote_mta: None, last_attempt_secs: None, will_retry_until_secs: None,
/// };
/// assert_eq!((bob.action.word(), meaning(&bob.status)), ("failed", Some("there is no such mailbox")));
/// let status = DeliveryStatus { reporting_mta: "mx.here.test".into(), recipients: vec![bob], ..DeliveryStatus::default() };
/// assert_eq!(DeliveryStatus::parse(status.encode().as_bytes()), Some(status.clone()));
/// assert!(!status.is_utf8());
/// let from = Mailbox::from(Address::parse("postmaster@here.test").unwrap());
/// let original = Original::Header(b"Subject: x\r\n\r\n");
/// let report = Report { from: from.clone(), to: from, date_secs: 0, message_id: "1@here.test", status, original };
/// assert!(message::parse(&report.build()).parts[2].content_type.is("message", "delivery-status"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryStatus {
    /// ENVID, decoded.
    pub envelope_id: Option<String>,
    /// Who writes.
    pub reporting_mta: String,
    /// When the message came there.
    pub arrival_secs: Option<i64>,
    /// One or more.
    pub recipients: Vec<RecipientStatus>,
}

/// Everything a report needs.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// Who writes: the postmaster.
    pub from: Mailbox,
    /// The reverse-path of the message.
    pub to: Mailbox,
    /// Now.
    pub date_secs: i64,
    /// Without brackets.
    pub message_id: &'a str,
    /// For programs, and what the words for people are made of.
    pub status: DeliveryStatus,
    /// Given back.
    pub original: Original<'a>,
}

impl DeliveryStatus {
    /// Needs UTF-8 in its fields (RFC 6533 §3).
    pub fn is_utf8(&self) -> bool {
        !self.encode().is_ascii()
    }

    /// The body of the message/delivery-status part: a group of fields for the message, one for each recipient.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        push_field(&mut out, "Original-Envelope-Id", self.envelope_id.as_deref());
        push_field(&mut out, "Reporting-MTA", Some(&format!("dns; {}", self.reporting_mta)));
        push_field(&mut out, "Arrival-Date", self.arrival_secs.map(date::format_rfc_5322).as_deref());
        for recipient in &self.recipients {
            out.push_str("\r\n");
            recipient.push(&mut out);
        }
        out
    }

    /// Reads the body of such a part; `None` when it reports on nobody.
    pub fn parse(body: &[u8]) -> Option<DeliveryStatus> {
        let mut out = DeliveryStatus::default();
        let mut rest = body;
        let mut first = true;
        while !rest.is_empty() && out.recipients.len() < PARTS_MAX {
            let (group, after) = rest.split_at_checked(group_end(rest))?;
            rest = after;
            if group.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if std::mem::take(&mut first) {
                for field in fields(group) {
                    match field {
                        f if f.is("original-envelope-id") => out.envelope_id = Some(text(&f)),
                        f if f.is("reporting-mta") => out.reporting_mta = untyped(&text(&f)),
                        f if f.is("arrival-date") => out.arrival_secs = seconds(&f),
                        _ => {}
                    }
                }
            } else if let Some(recipient) = RecipientStatus::parse(group) {
                out.recipients.push(recipient);
            }
        }
        (!out.recipients.is_empty()).then_some(out)
    }
}

/// Behind the next empty line: whatever stands between, each group of fields ends there (RFC 3464 §2.1).
fn group_end(bytes: &[u8]) -> usize {
    let mut at = 0;
    while at < bytes.len() {
        let (line, next) = line_at(bytes, at);
        at = next;
        if line.is_empty() {
            break;
        }
    }
    at
}

impl RecipientStatus {
    fn push(&self, out: &mut String) {
        push_field(out, "Original-Recipient", self.original.as_deref());
        let address_type = if self.final_recipient.is_ascii() { "rfc822" } else { "utf-8" };
        push_field(out, "Final-Recipient", Some(&format!("{address_type}; {}", self.final_recipient)));
        push_field(out, "Action", Some(self.action.word()));
        push_field(out, "Status", Some(&self.status));
        push_field(out, "Remote-MTA", self.remote_mta.as_ref().map(|m| format!("dns; {m}")).as_deref());
        // `smtp` is for what a server replied (RFC 3464 §2.3.6), not for what we found out ourselves.
        let kind = if self.remote_mta.is_some() { "smtp" } else { "x-packetboat" };
        push_field(out, "Diagnostic-Code", self.diagnostic.as_ref().map(|d| format!("{kind}; {}", self.plain(d))).as_deref());
        push_field(out, "Last-Attempt-Date", self.last_attempt_secs.map(date::format_rfc_5322).as_deref());
        push_field(out, "Will-Retry-Until", self.will_retry_until_secs.map(date::format_rfc_5322).as_deref());
    }

    /// What was said, in ASCII where the addresses are: a stray octet of a far server's must not make a report that most
    /// programs cannot read out of one they can (RFC 6533 §3).
    fn plain<'a>(&self, said: &'a str) -> Cow<'a, str> {
        let addresses_are = self.final_recipient.is_ascii() && self.original.as_ref().is_none_or(|original| original.is_ascii());
        if addresses_are { said.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect() } else { Cow::Borrowed(said) }
    }

    fn parse(group: &[u8]) -> Option<RecipientStatus> {
        let (mut final_recipient, mut action, mut status) = (None, None, None);
        let (mut original, mut diagnostic, mut remote_mta) = (None, None, None);
        let (mut last_attempt_secs, mut will_retry_until_secs) = (None, None);
        for field in fields(group) {
            match field {
                f if f.is("final-recipient") => final_recipient = Some(untyped(&text(&f))),
                f if f.is("action") => action = text(&f).split_ascii_whitespace().next().and_then(Action::from_word),
                f if f.is("status") => status = text(&f).split_ascii_whitespace().next().map(str::to_owned),
                f if f.is("original-recipient") => original = Some(text(&f)),
                f if f.is("diagnostic-code") => diagnostic = Some(untyped(&text(&f))),
                f if f.is("remote-mta") => remote_mta = Some(untyped(&text(&f))),
                f if f.is("last-attempt-date") => last_attempt_secs = seconds(&f),
                f if f.is("will-retry-until") => will_retry_until_secs = seconds(&f),
                _ => {}
            }
        }
        Some(RecipientStatus {
            original,
            final_recipient: final_recipient?,
            action: action?,
            status: status.unwrap_or_default(),
            diagnostic,
            remote_mta,
            last_attempt_secs,
            will_retry_until_secs,
        })
    }

    /// Two or three lines for people.
    fn push_words(&self, out: &mut String) {
        let _ = write!(out, "  {}\r\n", line(&self.final_recipient));
        match (&self.remote_mta, &self.diagnostic) {
            (Some(host), Some(said)) => {
                let _ = write!(out, "    {} said: {}\r\n", line(host), line(said));
            }
            (None, Some(said)) => {
                let _ = write!(out, "    {}\r\n", line(said));
            }
            _ => {}
        }
        if let Some(meaning) = meaning(&self.status) {
            let _ = write!(out, "    That means: {meaning}.\r\n");
        }
        if let Some(until) = self.will_retry_until_secs {
            let _ = write!(out, "    It will be tried until {}.\r\n", date::format_rfc_5322(until));
        }
    }
}

impl Report<'_> {
    /// The report as a message. It goes out with the null reverse-path (RFC 3464 §2).
    pub fn build(&self) -> Vec<u8> {
        let status = self.status.encode();
        let (original, _) = returned(self.original, !status.is_ascii());
        let status_type = if !status.is_ascii() { "message/global-delivery-status" } else { "message/delivery-status" };
        let parts = vec![
            text_entity("plain", &self.words(), TextForm::default()),
            Entity::plain(status_type, status.into_bytes()),
            original,
        ];
        let head = Builder::new(self.date_secs, self.message_id).from(self.from.clone()).to(self.to.clone());
        let head = head.subject(self.subject()).field("Auto-Submitted", "auto-replied");
        head.build_report(Entity::multipart("report; report-type=delivery-status", parts))
    }

    fn has(&self, action: Action) -> bool {
        self.status.recipients.iter().any(|r| r.action == action)
    }

    fn subject(&self) -> &'static str {
        if self.has(Action::Failed) {
            "Your message could not be delivered"
        } else if self.has(Action::Delayed) {
            "Your message is delayed; it is still being tried"
        } else if self.has(Action::Delivered) {
            "Your message was delivered"
        } else {
            "Your message was passed on"
        }
    }

    /// What a person reads.
    fn words(&self) -> String {
        let mut out = String::new();
        let groups = [
            (
                Action::Failed,
                "Your message could not be delivered to:\r\n\r\n",
                "You need not wait: it is not tried again.\r\n\r\n",
            ),
            (Action::Delayed, "Your message has not reached these yet:\r\n\r\n", "You need not send it again.\r\n\r\n"),
            (Action::Delivered, "Your message was delivered to:\r\n\r\n", ""),
            (Action::Relayed, "Your message was passed on to a server that does not report delivery, for:\r\n\r\n", ""),
            (Action::Expanded, "Your message was passed on to the members of:\r\n\r\n", ""),
        ];
        for (action, before, after) in groups {
            if !self.has(action) {
                continue;
            }
            out.push_str(before);
            for recipient in self.status.recipients.iter().filter(|r| r.action == action) {
                recipient.push_words(&mut out);
            }
            out.push_str("\r\n");
            out.push_str(after);
        }
        let _ = write!(out, "This is the mail server {}.\r\n", line(&self.status.reporting_mta));
        out
    }
}

/// What an enhanced status code says (RFC 3463), for people.
pub fn meaning(status: &str) -> Option<&'static str> {
    Some(match status.split_once('.')?.1 {
        "1.1" | "1.6" => "there is no such mailbox",
        "1.2" => "there is no such domain",
        "1.3" => "the address is not written as an address",
        "1.10" => "that domain takes no mail at all",
        "2.1" => "the mailbox is switched off",
        "2.2" => "the mailbox is full",
        "2.3" | "3.4" => "the message is too large",
        "3.1" => "that server has no room left",
        "4.1" | "4.2" => "no connection to that server could be made",
        "4.3" | "4.4" => "the way to that server could not be found",
        "4.6" => "the message went in a circle",
        "4.7" => "it took too long",
        "6.7" => "that server does not take addresses or headers outside ASCII",
        "7.1" => "that server does not take this message from you",
        "7.26" | "7.23" | "7.20" => "that server could not make sure that you are the sender",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::address::Address;
    use crate::parse::parse;

    const SENT: &[u8] = b"From: ann@here.test\r\nSubject: hello\r\n\r\nbody\r\n";

    fn mailbox(text: &str) -> Mailbox {
        Mailbox::from(Address::parse(text).unwrap())
    }

    fn status(address: &str, action: Action) -> DeliveryStatus {
        let recipient = RecipientStatus {
            original: Some(format!("rfc822;{address}")),
            final_recipient: address.to_owned(),
            action,
            status: "5.1.1".to_owned(),
            diagnostic: Some("550 5.1.1 No such user\r\nX: y".to_owned()),
            remote_mta: Some("mx.there.test".to_owned()),
            last_attempt_secs: Some(837_595_405),
            will_retry_until_secs: (action == Action::Delayed).then_some(837_695_405),
        };
        DeliveryStatus {
            envelope_id: Some("QQ1".to_owned()),
            reporting_mta: "here.test".to_owned(),
            arrival_secs: Some(837_595_000),
            recipients: vec![recipient],
        }
    }

    fn types(report: &[u8]) -> Vec<String> {
        parse(report).parts.iter().skip(1).map(|p| format!("{}/{}", p.content_type.main, p.content_type.sub)).collect()
    }

    fn report(status: DeliveryStatus, original: Original<'_>) -> Vec<u8> {
        Report {
            from: mailbox("postmaster@here.test"),
            to: mailbox("ann@here.test"),
            date_secs: 837_595_500,
            message_id: "d1@here.test",
            status,
            original,
        }
        .build()
    }

    #[test]
    fn a_failure_reads_well_for_people_and_programs() {
        let built = report(status("bob@there.test", Action::Failed), Original::Message(SENT));
        assert_eq!(types(&built), ["text/plain", "message/delivery-status", "message/rfc822", "text/plain"]);
        let message = parse(&built);
        let root = &message.parts[0];
        assert!(root.content_type.is("multipart", "report"));
        assert_eq!(root.content_type.parameters.get("report-type"), Some(&b"delivery-status"[..]));
        let words = String::from_utf8(message.parts[1].content().into_owned()).unwrap();
        assert!(words.contains("could not be delivered to:\r\n\r\n  bob@there.test\r\n    mx.there.test said: 550 5.1.1 No such user  X: y\r\n    That means: there is no such mailbox.\r\n"), "{words}");
        let fields = DeliveryStatus::parse(message.body(&message.parts[2])).unwrap();
        let mut expected = status("bob@there.test", Action::Failed);
        expected.recipients[0].diagnostic = Some("550 5.1.1 No such user  X: y".to_owned());
        assert_eq!(fields, expected);
        assert_eq!(message.body(&message.parts[3]), SENT);
        assert!(String::from_utf8(built.clone()).unwrap().contains("\r\nAuto-Submitted: auto-replied\r\n"));
    }

    #[test]
    fn the_exact_fields() {
        assert_eq!(
            status("bob@there.test", Action::Delayed).encode(),
            "Original-Envelope-Id: QQ1\r\nReporting-MTA: dns; here.test\r\nArrival-Date: Wed, 17 Jul 1996 09:16:40 +0000\r\n\r\n\
             Original-Recipient: rfc822;bob@there.test\r\nFinal-Recipient: rfc822; bob@there.test\r\nAction: delayed\r\nStatus: 5.1.1\r\n\
             Remote-MTA: dns; mx.there.test\r\nDiagnostic-Code: smtp; 550 5.1.1 No such user  X: y\r\n\
             Last-Attempt-Date: Wed, 17 Jul 1996 09:23:25 +0000\r\nWill-Retry-Until: Thu, 18 Jul 1996 13:10:05 +0000\r\n"
        );
    }

    #[test]
    fn what_no_server_said_is_not_typed_as_its_reply() {
        let mut ours = status("bob@there.test", Action::Failed);
        for recipient in &mut ours.recipients {
            recipient.remote_mta = None;
            recipient.diagnostic = Some("The domain does not exist".into());
        }
        let text = ours.encode();
        let mut strange = status("bob@there.test", Action::Failed);
        strange.recipients[0].diagnostic = Some("550 kein Gl\u{fc}ck".into());
        assert!(!strange.is_utf8());
        assert!(strange.encode().contains("Diagnostic-Code: smtp; 550 kein Gl?ck\r\n"));
        assert!(text.contains("\r\nDiagnostic-Code: x-packetboat; The domain does not exist\r\n"), "{text}");
        let read = DeliveryStatus::parse(text.as_bytes()).unwrap();
        assert_eq!(read.recipients[0].diagnostic.as_deref(), Some("The domain does not exist"));
    }

    #[test]
    fn header_only_and_utf8() {
        let built = report(status("bob@there.test", Action::Relayed), Original::Header(SENT));
        assert_eq!(types(&built), ["text/plain", "message/delivery-status", "text/rfc822-headers"]);
        let message = parse(&built);
        assert_eq!(message.body(&message.parts[3]), b"From: ann@here.test\r\nSubject: hello\r\n\r\n");
        let built = report(status("bøb@there.test", Action::Failed), Original::Header(SENT));
        assert_eq!(types(&built), ["text/plain", "message/global-delivery-status", "message/global-headers"]);
        let built = report(status("bøb@there.test", Action::Delayed), Original::Message(SENT));
        assert_eq!(types(&built), ["text/plain", "message/global-delivery-status", "message/global", "text/plain"]);
        // Bare line feeds may not travel unencoded: only the header goes back.
        let built = report(status("b@there.test", Action::Failed), Original::Message(b"A: b\r\n\r\nx\ny\r\n"));
        assert_eq!(types(&built)[2], "text/rfc822-headers");
    }

    #[test]
    fn what_is_no_status_is_none() {
        assert_eq!(DeliveryStatus::parse(b""), None);
        assert_eq!(DeliveryStatus::parse(b"Reporting-MTA: dns; x\r\n\r\nAction: failed\r\n"), None);
    }
}

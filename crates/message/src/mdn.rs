//! Message disposition notifications (RFC 8098): "it was read", as values, built and read back.
//!
//! Must not know: whether one is owed, or whether its reader was asked (RFC 8098 §2.1): that is the caller's.

use crate::build::{Builder, Entity, Mailbox, TextForm, text_entity};
use crate::header::fields;
use crate::report::{Original, line, push_field, returned, text, untyped};
use std::borrow::Cow;

/// What was done with the message (RFC 8098 §3.2.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DispositionType {
    Displayed,
    Deleted,
    Dispatched,
    Processed,
}

impl DispositionType {
    const ALL: [DispositionType; 4] =
        [DispositionType::Displayed, DispositionType::Deleted, DispositionType::Dispatched, DispositionType::Processed];

    /// The word of the Disposition field.
    ///
    /// ```
    /// assert_eq!(message::mdn::DispositionType::Displayed.word(), "displayed");
    /// ```
    pub fn word(self) -> &'static str {
        match self {
            DispositionType::Displayed => "displayed",
            DispositionType::Deleted => "deleted",
            DispositionType::Dispatched => "dispatched",
            DispositionType::Processed => "processed",
        }
    }

    /// From that word, in any case.
    ///
    /// ```
    /// use message::mdn::DispositionType;
    /// assert_eq!(DispositionType::from_word("Deleted"), Some(DispositionType::Deleted));
    /// ```
    pub fn from_word(word: &str) -> Option<DispositionType> {
        DispositionType::ALL.into_iter().find(|known| word.eq_ignore_ascii_case(known.word()))
    }
}

/// The Disposition field (RFC 8098 §3.2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition {
    /// A rule did it (`automatic-action`), no person.
    pub automatic_action: bool,
    /// The person did not agree to this very notification (`MDN-sent-automatically`).
    pub sent_automatically: bool,
    /// What was done.
    pub kind: DispositionType,
    /// `error` and others.
    pub modifiers: Vec<String>,
}

impl Disposition {
    fn encode(&self) -> String {
        let action = if self.automatic_action { "automatic-action" } else { "manual-action" };
        let sending = if self.sent_automatically { "MDN-sent-automatically" } else { "MDN-sent-manually" };
        let token = |word: &String| word.chars().filter(|c| c.is_ascii_graphic() && !",;/()".contains(*c)).collect::<String>();
        let modifiers: Vec<String> = self.modifiers.iter().map(token).filter(|word| !word.is_empty()).collect();
        let slash = if modifiers.is_empty() { "" } else { "/" };
        format!("{action}/{sending}; {}{slash}{}", self.kind.word(), modifiers.join(","))
    }

    fn parse(value: &str) -> Option<Disposition> {
        let (modes, kind) = value.split_once(';')?;
        let (action, sending) = modes.split_once('/')?;
        let (kind, modifiers) = kind.split_once('/').unwrap_or((kind, ""));
        let is = |word: &str, text: &str| word.trim().eq_ignore_ascii_case(text);
        Some(Disposition {
            automatic_action: is(action, "automatic-action"),
            sent_automatically: is(sending, "MDN-sent-automatically"),
            kind: DispositionType::from_word(kind.trim())?,
            modifiers: modifiers.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        })
    }
}

/// The machine-readable part (RFC 8098 §3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispositionNotification {
    /// The program, `host; product`.
    pub reporting_ua: Option<String>,
    /// As the sender gave it, with its type: `rfc822;a@b`.
    pub original_recipient: Option<String>,
    /// Whose mailbox, without its type.
    pub final_recipient: String,
    /// Message-ID of the message, with its brackets.
    pub original_message_id: Option<String>,
    /// What was done.
    pub disposition: Disposition,
    /// What went wrong (with the modifier `error`), a line each.
    pub errors: Vec<String>,
    /// What translated it from something that is no internet mail (RFC 8098 §3.2.2).
    pub gateway: Option<String>,
    /// Fields of others (RFC 8098 §3.3), by name.
    pub extensions: Vec<(String, String)>,
}

/// The fields that RFC 8098 §3.2 says.
const KNOWN: [&str; 7] =
    ["Reporting-UA", "MDN-Gateway", "Original-Recipient", "Final-Recipient", "Original-Message-ID", "Disposition", "Error"];

impl DispositionNotification {
    /// The body of the message/disposition-notification part.
    ///
    /// ```
    /// use message::mdn::{Disposition, DispositionNotification, DispositionType};
    /// let disposition =
    ///     Disposition { automatic_action: false, sent_automatically: false, kind: DispositionType::Displayed, modifiers: vec![] };
    /// let notification = DispositionNotification {
    ///     reporting_ua: None,
    ///     original_recipient: None,
    ///     final_recipient: "bob@there.test".into(),
    ///     original_message_id: Some("<1@here.test>".into()),
    ///     disposition,
    ///     errors: vec![],
    ///     gateway: None,
    ///     extensions: vec![],
    /// };
    /// let body = notification.encode();
    /// assert!(body.ends_with("Disposition: manual-action/MDN-sent-manually; displayed\r\n"));
    /// assert_eq!(DispositionNotification::parse(body.as_bytes()), Some(notification));
    /// ```
    pub fn encode(&self) -> String {
        let mut out = String::new();
        push_field(&mut out, "Reporting-UA", self.reporting_ua.as_deref());
        push_field(&mut out, "MDN-Gateway", self.gateway.as_deref());
        push_field(&mut out, "Original-Recipient", self.original_recipient.as_deref());
        let address_type = if self.final_recipient.is_ascii() { "rfc822" } else { "utf-8" };
        push_field(&mut out, "Final-Recipient", Some(&format!("{address_type}; {}", self.final_recipient)));
        push_field(&mut out, "Original-Message-ID", self.original_message_id.as_deref());
        push_field(&mut out, "Disposition", Some(&self.disposition.encode()));
        self.errors.iter().for_each(|error| push_field(&mut out, "Error", Some(error)));
        for (name, value) in self.extensions.iter().filter(|(name, _)| is_extension(name)) {
            push_field(&mut out, name, Some(value));
        }
        out
    }

    /// Reads the body of such a part; `None` when it says of nobody, or not what was done.
    pub fn parse(body: &[u8]) -> Option<DispositionNotification> {
        let value = |name: &str| fields(body).find(|field| field.is(name)).map(|field| text(&field));
        Some(DispositionNotification {
            reporting_ua: value("reporting-ua"),
            original_recipient: value("original-recipient"),
            final_recipient: untyped(&value("final-recipient")?),
            original_message_id: value("original-message-id"),
            disposition: Disposition::parse(&value("disposition")?)?,
            errors: fields(body).filter(|field| field.is("error")).map(|field| text(&field)).collect(),
            gateway: value("mdn-gateway"),
            extensions: fields(body)
                .filter_map(|field| Some((std::str::from_utf8(field.name).ok()?.to_owned(), text(&field))))
                .filter(|(name, _)| is_extension(name))
                .collect(),
        })
    }
}

/// May it be the name of an extension field (RFC 8098 §3.3)?
///
/// ```
/// use message::mdn::is_extension;
/// assert!(is_extension("X-Thing") && !is_extension("Final-Recipient") && !is_extension("a:\r\nb") && !is_extension(""));
/// ```
pub fn is_extension(name: &str) -> bool {
    let is_name = !name.is_empty() && name.len() <= 76 && name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':');
    is_name && !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Everything a notification needs.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// Who read it.
    pub from: Mailbox,
    /// Disposition-Notification-To of the message.
    pub to: Mailbox,
    /// Now.
    pub date_secs: i64,
    /// Without brackets.
    pub message_id: &'a str,
    /// Subject of the message.
    pub original_subject: &'a str,
    /// For programs, and what the words for people are made of.
    pub notification: DispositionNotification,
    /// Instead of ours, what its sender calls it ...
    pub subject: Option<&'a str>,
    /// ... and says to people.
    pub text: Option<&'a str>,
    /// Given back; often nothing (RFC 8098 §3: the third part may be left out).
    pub original: Option<Original<'a>>,
}

impl Report<'_> {
    /// The notification as a message. It goes out with the null reverse-path (RFC 8098 §3).
    ///
    /// ```
    /// use message::{address::Address, build::Mailbox, mdn};
    /// let bob = Mailbox::from(Address::parse("bob@there.test").unwrap());
    /// let body = b"Final-Recipient: rfc822; bob@there.test\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n";
    /// let notification = mdn::DispositionNotification::parse(body).unwrap();
    /// let report = mdn::Report {
    ///     from: bob.clone(), to: bob, date_secs: 0, message_id: "n1@there.test", original_subject: "Hello", notification,
    ///     subject: None, text: None, original: None,
    /// };
    /// let octets = report.build();
    /// assert!(message::parse(&octets).parts[2].content_type.is("message", "disposition-notification"));
    /// ```
    pub fn build(&self) -> Vec<u8> {
        let body = self.notification.encode();
        let returned = self.original.map(|original| returned(original, !body.is_ascii()).0);
        let sub = if body.is_ascii() { "disposition-notification" } else { "global-disposition-notification" };
        let mut parts = vec![
            text_entity("plain", &self.text_said(), TextForm::default()),
            Entity::plain(&format!("message/{sub}"), body.into_bytes()),
        ];
        parts.extend(returned);
        let mut head = Builder::new(self.date_secs, self.message_id).from(self.from.clone()).to(self.to.clone());
        head = head.subject(&self.subject_said());
        if let Some(id) = &self.notification.original_message_id {
            head = head.in_reply_to(id).references(id);
        }
        if self.notification.disposition.sent_automatically {
            head = head.field("Auto-Submitted", "auto-replied");
        }
        head.build_report(Entity::multipart("report; report-type=disposition-notification", parts))
    }

    /// Its Subject.
    ///
    /// ```
    /// use message::{address::Address, build::Mailbox, mdn};
    /// let bob = Mailbox::from(Address::parse("bob@there.test").unwrap());
    /// let body = b"Final-Recipient: rfc822; bob@there.test\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n";
    /// let notification = mdn::DispositionNotification::parse(body).unwrap();
    /// let report = mdn::Report {
    ///     from: bob.clone(), to: bob, date_secs: 0, message_id: "n1@there.test", original_subject: "Hello", notification,
    ///     subject: None, text: None, original: None,
    /// };
    /// assert_eq!(report.subject_said(), "Displayed: Hello");
    /// ```
    pub fn subject_said(&self) -> Cow<'_, str> {
        self.subject.map_or_else(|| format!("{}: {}", self.word(), self.original_subject).into(), Cow::from)
    }

    /// What it says to people.
    ///
    /// ```
    /// use message::{address::Address, build::Mailbox, mdn};
    /// let bob = Mailbox::from(Address::parse("bob@there.test").unwrap());
    /// let body = b"Final-Recipient: rfc822; bob@there.test\r\nDisposition: manual-action/MDN-sent-manually; displayed\r\n";
    /// let notification = mdn::DispositionNotification::parse(body).unwrap();
    /// let report = mdn::Report {
    ///     from: bob.clone(), to: bob, date_secs: 0, message_id: "n1@there.test", original_subject: "Hello", notification,
    ///     subject: None, text: None, original: None,
    /// };
    /// assert!(report.text_said().starts_with("The message \"Hello\" to bob@there.test was displayed."));
    /// ```
    pub fn text_said(&self) -> Cow<'_, str> {
        self.text.map_or_else(|| self.words().into(), Cow::from)
    }

    fn word(&self) -> &'static str {
        match self.notification.disposition.kind {
            DispositionType::Displayed => "Displayed",
            DispositionType::Deleted => "Deleted",
            DispositionType::Dispatched => "Passed on",
            DispositionType::Processed => "Processed",
        }
    }

    /// What a person reads (RFC 8098 §2.1: it must not promise more than is known).
    fn words(&self) -> String {
        let recipient = line(&self.notification.final_recipient);
        let subject = line(self.original_subject);
        let what = match self.notification.disposition.kind {
            DispositionType::Displayed => "was displayed. That is no promise that it was read or understood.",
            DispositionType::Deleted => "was deleted. It may or may not have been seen.",
            DispositionType::Dispatched => "was passed on. It may or may not have been seen.",
            DispositionType::Processed => "was handled by a rule. It may or may not have been seen.",
        };
        format!("The message \"{subject}\" to {recipient} {what}\n")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::address::Address;
    use crate::parse::parse;

    fn notification(address: &str) -> DispositionNotification {
        DispositionNotification {
            reporting_ua: Some("joes-pc.cs.example.com; Foomail 97.1".into()),
            original_recipient: Some(format!("rfc822;{address}")),
            final_recipient: address.into(),
            original_message_id: Some("<199509192301.23456@example.org>".into()),
            disposition: Disposition {
                automatic_action: false,
                sent_automatically: false,
                kind: DispositionType::Displayed,
                modifiers: vec![],
            },
            errors: vec![],
            gateway: None,
            extensions: vec![],
        }
    }

    fn report(notification: DispositionNotification, original: Option<Original<'_>>) -> Vec<u8> {
        let mailbox = |text: &str| Mailbox::from(Address::parse(text).unwrap());
        let (from, to) = (mailbox("joe@example.com"), mailbox("jane@example.org"));
        let original_subject = "First draft ⛵\r\nX: y";
        Report { from, to, date_secs: 0, message_id: "m1@x", original_subject, notification, subject: None, text: None, original }
            .build()
    }

    #[test]
    fn extensions_and_errors_come_back_and_nothing_ends_a_field() {
        let mut told = notification("joe@example.com");
        told.errors = vec!["one".into(), "two".into()];
        told.gateway = Some("dns; gate.example".into());
        told.extensions = vec![("EXTENSION-EXAMPLE".into(), "example.com".into())];
        assert_eq!(DispositionNotification::parse(told.encode().as_bytes()), Some(told.clone()));
        let good = told.encode();
        told.extensions.extend([
            ("Final-Recipient".into(), "x".into()),
            ("a\r\nb".into(), "x".into()),
            ("a b".into(), "x".into()),
        ]);
        assert_eq!(told.encode(), good);
        told.extensions = vec![("X".into(), "y\r\nError: z".into())];
        assert!(!told.encode().contains("\r\nError: z"));
    }

    /// The example of RFC 8098 §9.
    #[test]
    fn the_exact_fields() {
        let body = notification("Joe_Recipient@example.com").encode();
        assert_eq!(
            body,
            "Reporting-UA: joes-pc.cs.example.com; Foomail 97.1\r\nOriginal-Recipient: rfc822;Joe_Recipient@example.com\r\n\
             Final-Recipient: rfc822; Joe_Recipient@example.com\r\nOriginal-Message-ID: <199509192301.23456@example.org>\r\n\
             Disposition: manual-action/MDN-sent-manually; displayed\r\n"
        );
        assert_eq!(DispositionNotification::parse(body.as_bytes()).unwrap(), notification("Joe_Recipient@example.com"));
    }

    #[test]
    fn every_disposition_comes_back() {
        for kind in DispositionType::ALL {
            for (automatic_action, sent_automatically) in [(false, false), (false, true), (true, true)] {
                for modifiers in [vec![], vec!["error".to_owned()], vec!["error".to_owned(), "x-y".to_owned()]] {
                    let disposition = Disposition { automatic_action, sent_automatically, kind, modifiers };
                    assert_eq!(Disposition::parse(&disposition.encode()), Some(disposition));
                }
            }
        }
        assert_eq!(Disposition::parse("manual-action/MDN-sent-manually; eaten"), None);
        assert_eq!(Disposition::parse("displayed"), None);
        assert_eq!(Disposition::parse("x/y;DISPLAYED").unwrap().kind, DispositionType::Displayed);
    }

    #[test]
    fn the_report_and_its_types() {
        let built = report(notification("joe@example.com"), Some(Original::Header(b"Subject: x\r\n\r\nbody")));
        let message = parse(&built);
        let types: Vec<String> =
            message.parts.iter().map(|p| format!("{}/{}", p.content_type.main, p.content_type.sub)).collect();
        assert_eq!(types, ["multipart/report", "text/plain", "message/disposition-notification", "text/rfc822-headers"]);
        let kind = message.parts[0].content_type.parameters.decoded("report-type");
        assert_eq!(kind.as_deref(), Some("disposition-notification"));
        assert_eq!(message.body(&message.parts[3]), b"Subject: x\r\n\r\n");
        assert_eq!(crate::header::first(&built, "In-Reply-To").unwrap().value().as_ref(), b"<199509192301.23456@example.org>");
        assert!(crate::header::first(&built, "X").is_none() && crate::header::first(&built, "Auto-Submitted").is_none());
        let built = report(notification("jöe@example.com"), None);
        let message = parse(&built);
        assert!(message.parts[2].content_type.is("message", "global-disposition-notification"));
        let read = DispositionNotification::parse(message.body(&message.parts[2])).unwrap();
        assert_eq!(read.final_recipient, "jöe@example.com");
    }
}

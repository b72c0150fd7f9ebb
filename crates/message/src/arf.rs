//! Abuse reports (ARF, RFC 5965, RFC 6591): "this is spam", as values, built and read back.
//!
//! Must not know: who complains about what, or whom to tell.

use crate::build::{Builder, Entity, Mailbox, TextForm, text_entity};
use crate::date;
use crate::header::fields;
use crate::limits::ADDRESSES_MAX;
use crate::report::{Original, line, push_field, returned, seconds, text};

/// The machine-readable part (RFC 5965 §3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeedbackReport {
    /// `abuse`, `fraud`, `virus`, `auth-failure`, `not-spam`, `other` ... (RFC 5965 §7.3).
    pub feedback_type: String,
    /// The program that made it.
    pub user_agent: String,
    /// MAIL FROM of the message, as it was said.
    pub original_mail_from: Option<String>,
    /// RCPT TO of the message.
    pub original_rcpt_to: Vec<String>,
    /// When it came.
    pub arrival_secs: Option<i64>,
    /// From where it came, as text.
    pub source_ip: Option<String>,
    /// Who received it, without its type.
    pub reporting_mta: Option<String>,
    /// Authentication-Results of the message.
    pub authentication_results: Vec<String>,
    /// Domains that the reporter thinks have to do with it.
    pub reported_domain: Vec<String>,
    /// URIs in it.
    pub reported_uri: Vec<String>,
    /// How many this one stands for.
    pub incidents: Option<u64>,
}

impl FeedbackReport {
    /// The body of the message/feedback-report part.
    ///
    /// ```
    /// use message::arf::FeedbackReport;
    /// let report = FeedbackReport { feedback_type: "abuse".into(), user_agent: "Packetboat/1".into(), ..FeedbackReport::default() };
    /// assert_eq!(report.encode(), "Feedback-Type: abuse\r\nUser-Agent: Packetboat/1\r\nVersion: 1\r\n");
    /// assert_eq!(FeedbackReport::parse(report.encode().as_bytes()), Some(report));
    /// ```
    pub fn encode(&self) -> String {
        let mut out = String::new();
        push_field(&mut out, "Feedback-Type", Some(&self.feedback_type));
        push_field(&mut out, "User-Agent", Some(&self.user_agent));
        push_field(&mut out, "Version", Some("1"));
        push_field(&mut out, "Original-Mail-From", self.original_mail_from.as_ref().map(|a| format!("<{a}>")).as_deref());
        push_field(&mut out, "Arrival-Date", self.arrival_secs.map(date::format_rfc_5322).as_deref());
        push_field(&mut out, "Reporting-MTA", self.reporting_mta.as_ref().map(|m| format!("dns; {m}")).as_deref());
        push_field(&mut out, "Source-IP", self.source_ip.as_deref());
        push_field(&mut out, "Incidents", self.incidents.map(|n| n.to_string()).as_deref());
        for rcpt in &self.original_rcpt_to {
            push_field(&mut out, "Original-Rcpt-To", Some(&format!("<{rcpt}>")));
        }
        let lists = [
            ("Authentication-Results", &self.authentication_results),
            ("Reported-Domain", &self.reported_domain),
            ("Reported-URI", &self.reported_uri),
        ];
        for (name, values) in lists {
            values.iter().for_each(|value| push_field(&mut out, name, Some(value)));
        }
        out
    }

    /// Reads the body of such a part; `None` without the field that says what it is.
    pub fn parse(body: &[u8]) -> Option<FeedbackReport> {
        let mut out = FeedbackReport::default();
        let without_brackets = |text: String| match text.strip_prefix('<').and_then(|t| t.strip_suffix('>')) {
            Some(inner) => inner.to_owned(),
            None => text,
        };
        for field in fields(body).take(ADDRESSES_MAX) {
            match &field {
                f if f.is("feedback-type") => out.feedback_type = text(f).to_ascii_lowercase(),
                f if f.is("user-agent") => out.user_agent = text(f),
                f if f.is("original-mail-from") => out.original_mail_from = Some(without_brackets(text(f))),
                f if f.is("original-rcpt-to") => out.original_rcpt_to.push(without_brackets(text(f))),
                f if f.is("arrival-date") || f.is("received-date") => out.arrival_secs = seconds(f),
                f if f.is("source-ip") => out.source_ip = Some(text(f)),
                f if f.is("reporting-mta") => out.reporting_mta = Some(crate::report::untyped(&text(f))),
                f if f.is("authentication-results") => out.authentication_results.push(text(f)),
                f if f.is("reported-domain") => out.reported_domain.push(text(f)),
                f if f.is("reported-uri") => out.reported_uri.push(text(f)),
                f if f.is("incidents") => out.incidents = text(f).trim().parse().ok(),
                _ => {}
            }
        }
        (!out.feedback_type.is_empty()).then_some(out)
    }
}

/// Everything a report needs.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// Who complains.
    pub from: Mailbox,
    /// Who ought to know.
    pub to: Mailbox,
    /// Now.
    pub date_secs: i64,
    /// Without brackets.
    pub message_id: &'a str,
    /// Subject of the message (RFC 5965 §2: the report's own is that, unless it is hidden).
    pub original_subject: &'a str,
    /// For programs.
    pub feedback: FeedbackReport,
    /// The message that is complained about.
    pub original: Original<'a>,
}

impl Report<'_> {
    /// The report as a message.
    ///
    /// ```
    /// use message::{address::Address, arf, build::Mailbox, dsn::Original};
    /// let ann = Mailbox::from(Address::parse("ann@here.test").unwrap());
    /// let feedback = arf::FeedbackReport { feedback_type: "abuse".into(), ..arf::FeedbackReport::default() };
    /// let original = Original::Message(b"Subject: Buy!\r\n\r\nnow\r\n");
    /// let report = arf::Report {
    ///     from: ann.clone(), to: ann, date_secs: 0, message_id: "a1@here.test", original_subject: "Buy!", feedback, original,
    /// };
    /// let octets = report.build();
    /// assert!(message::parse(&octets).parts[2].content_type.is("message", "feedback-report"));
    /// ```
    pub fn build(&self) -> Vec<u8> {
        let body = self.feedback.encode();
        let (returned, _) = returned(self.original, false);
        let parts = vec![
            text_entity("plain", &self.words(), TextForm::default()),
            Entity::plain("message/feedback-report", body.into_bytes()),
            returned,
        ];
        let head = Builder::new(self.date_secs, self.message_id).from(self.from.clone()).to(self.to.clone());
        let head = head.subject(&format!("FW: {}", self.original_subject));
        head.build_report(Entity::multipart("report; report-type=feedback-report", parts))
    }

    fn words(&self) -> String {
        let mut out = format!("This is a report of the type \"{}\" about the message", line(&self.feedback.feedback_type));
        if let Some(ip) = &self.feedback.source_ip {
            out.push_str(&format!(" that came from {}", line(ip)));
        }
        if let Some(secs) = self.feedback.arrival_secs {
            out.push_str(&format!(" on {}", date::format_rfc_5322(secs)));
        }
        out + ".\nIt is attached. For the fields below see RFC 5965.\n"
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::address::Address;
    use crate::parse::parse;

    /// The second example of RFC 5965 (appendix B).
    const FULL: &[u8] = b"Feedback-Type: abuse\r\nUser-Agent: SomeGenerator/1.0\r\nVersion: 1\r\n\
Original-Mail-From: <somespammer@example.net>\r\nOriginal-Rcpt-To: <user@example.com>\r\n\
Arrival-Date: Thu, 8 Mar 2005 14:00:00 EDT\r\nReporting-MTA: dns; mail.example.com\r\nSource-IP: 192.0.2.1\r\n\
Authentication-Results: mail.example.com;\r\n spf=fail smtp.mail=somespammer@example.com\r\n\
Reported-Domain: example.net\r\nReported-Uri: http://example.net/earn_money.html\r\n\
Reported-Uri: mailto:user@example.com\r\nRemoval-Recipient: user@example.com\r\n";

    #[test]
    fn the_rfcs_example_comes_back() {
        let read = FeedbackReport::parse(FULL).unwrap();
        assert_eq!((read.feedback_type.as_str(), read.user_agent.as_str()), ("abuse", "SomeGenerator/1.0"));
        assert_eq!(read.original_mail_from.as_deref(), Some("somespammer@example.net"));
        assert_eq!(read.original_rcpt_to, ["user@example.com"]);
        assert_eq!(read.arrival_secs, Some(1_110_304_800));
        assert_eq!(read.reporting_mta.as_deref(), Some("mail.example.com"));
        assert_eq!(read.authentication_results, ["mail.example.com; spf=fail smtp.mail=somespammer@example.com"]);
        assert_eq!(read.reported_uri.len(), 2);
        assert_eq!(FeedbackReport::parse(read.encode().as_bytes()), Some(read));
        assert_eq!(FeedbackReport::parse(b"Version: 1\r\n"), None);
    }

    #[test]
    fn the_report_and_its_types() {
        let ann = Mailbox::from(Address::parse("ann@here.test").unwrap());
        let mut feedback = FeedbackReport::parse(FULL).unwrap();
        feedback.user_agent = "x\r\nVersion: 2".into();
        let spam = b"From: x@y\r\nSubject: Earn\r\n\r\nmoney\r\n";
        let original_subject = "Earn";
        let original = Original::Message(spam);
        let report = Report { from: ann.clone(), to: ann, date_secs: 0, message_id: "a@x", original_subject, feedback, original };
        let built = report.build();
        let message = parse(&built);
        let types: Vec<String> =
            message.parts.iter().map(|p| format!("{}/{}", p.content_type.main, p.content_type.sub)).collect();
        assert_eq!(types, ["multipart/report", "text/plain", "message/feedback-report", "message/rfc822", "text/plain"]);
        assert_eq!(message.body(&message.parts[3]), spam);
        let body = String::from_utf8(message.body(&message.parts[2]).to_vec()).unwrap();
        assert!(body.contains("User-Agent: x  Version: 2\r\nVersion: 1\r\n"), "{body}");
        assert!(String::from_utf8(built).unwrap().contains("\r\nSubject: FW: Earn\r\n"));
    }
}

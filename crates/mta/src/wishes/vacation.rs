//! The answer of somebody who is away (RFC 8621 §8), by the rules for automatic answers (RFC 3834).
//!
//! Invariant: no answer to an answer, a list, a crowd or nobody; one a sender in [`ONCE_SECS`]; only to what names the account.
//! Must not know: clocks, how it is sent.

use super::rule::addresses_in;
use message::address::Address;
use message::build::{BuildError, Builder, Mailbox};
use message::header::{fields, first};
use message::html_text;
use serde_json::{Map, Value};
use store::UnixSecs;

/// A sender is answered again after so long (RFC 3834 §2 and RFC 5230 §4.2 recommend days).
pub const ONCE_SECS: i64 = 7 * 86_400;
/// Octets of the text.
pub const TEXT_BYTES_MAX: usize = 48 * 1024;
/// References that an answer repeats.
const REFERENCES_MAX: usize = 20;

/// What is said, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vacation {
    from_secs: Option<UnixSecs>,
    to_secs: Option<UnixSecs>,
    subject: Option<String>,
    text: Option<String>,
    html: Option<String>,
}

/// Whom and what an answer is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The account's address.
    pub account: &'a str,
    /// The address the message came to, and the account's name on it.
    pub addressed: &'a [String],
    /// MAIL FROM: who is answered.
    pub reverse_path: &'a str,
    /// The message's header section.
    pub header: &'a [u8],
    /// Now.
    pub now_secs: UnixSecs,
}

impl Vacation {
    /// Of a VacationResponse object; `None` when it is off or cannot be read.
    pub(crate) fn of(object: &Map<String, Value>) -> Option<Vacation> {
        if object.get("isEnabled") != Some(&Value::Bool(true)) {
            return None;
        }
        let text = |name: &str| object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        let date = |name: &str| match text(name) {
            None => Some(None),
            Some(text) => message::date::parse_rfc_3339(text.as_bytes()).map(|date| Some(date.unix_secs())),
        };
        Some(Vacation {
            from_secs: date("fromDate")?,
            to_secs: date("toDate")?,
            subject: text("subject"),
            text: text("textBody"),
            html: text("htmlBody"),
        })
    }

    /// Is this message to be answered, apart from who was answered before?
    pub fn answers(&self, about: &About<'_>) -> bool {
        self.from_secs.is_none_or(|from| about.now_secs >= from)
            && self.to_secs.is_none_or(|to| about.now_secs < to)
            && may_answer(about)
            && names_it(about)
    }

    /// The answer.
    ///
    /// # Errors
    /// An address that cannot be written.
    pub fn answer(&self, about: &About<'_>, message_id: &str) -> Result<Vec<u8>, BuildError> {
        let address = |text: &str| {
            let (local, domain) = text.rsplit_once('@').unwrap_or((text, ""));
            Mailbox::from(Address { local: local.to_owned(), domain: domain.to_owned() })
        };
        let of = |name: &str| first(about.header, name).map(|field| field.text().trim().to_owned()).unwrap_or_default();
        let subject = self.subject.clone().unwrap_or_else(|| format!("Auto: {}", of("Subject")));
        let html = self.html.as_deref();
        let text = match (&self.text, html) {
            (Some(text), _) => text.clone(),
            (None, Some(html)) => html_text::text(html),
            (None, None) => "I am away and will read your message later.\n".to_owned(),
        };
        let mut builder = Builder::new(about.now_secs, message_id)
            .from(address(about.account))
            .to(address(about.reverse_path))
            .subject(subject.trim())
            .field("Auto-Submitted", "auto-replied")
            .text(&text);
        if let Some(html) = html {
            builder = builder.html(html);
        }
        let id = |id: &str| id.trim().trim_start_matches('<').trim_end_matches('>').to_owned();
        let original = id(&of("Message-ID"));
        if !original.is_empty() && !original.contains(char::is_whitespace) {
            let before = of("References");
            let before: Vec<String> = before.split_whitespace().map(id).filter(|id| !id.is_empty()).collect();
            for one in before.iter().skip(before.len().saturating_sub(REFERENCES_MAX)) {
                builder = builder.references(one);
            }
            builder = builder.in_reply_to(&original).references(&original);
        }
        builder.build()
    }
}

/// RFC 3834 §2, and what the world writes instead.
fn may_answer(about: &About<'_>) -> bool {
    let sender = store::normalise(about.reverse_path);
    let Some((local, domain)) = sender.rsplit_once('@') else { return false };
    let machine = ["mailer-daemon", "postmaster", "majordomo", "listserv", "noreply", "no-reply", "donotreply", "do-not-reply"];
    let is_machine = machine.contains(&local)
        || local.starts_with("owner-")
        || ["-request", "-owner", "-bounces", "-bounce", "-noreply", "-no-reply"].iter().any(|end| local.ends_with(end))
        || local.starts_with("srs0=")
        || local.starts_with("srs1=")
        || domain.is_empty();
    if is_machine || sender == store::normalise(about.account) {
        return false;
    }
    !fields(about.header).any(|field| {
        let value = || field.text().trim().to_ascii_lowercase();
        let name = String::from_utf8_lossy(field.name).to_ascii_lowercase();
        match name.as_str() {
            "auto-submitted" => !value().starts_with("no"),
            "precedence" => ["bulk", "junk", "list"].contains(&value().as_str()),
            "x-auto-response-suppress" => ["all", "oof", "autoreply"].iter().any(|word| value().contains(word)),
            "x-autoreply" | "x-autorespond" | "x-loop" | "mailing-list" | "feedback-id" => true,
            name => name.starts_with("list-"),
        }
    })
}

/// RFC 3834 §2: an address of the account stands among the recipients that the header names.
fn names_it(about: &About<'_>) -> bool {
    let own: Vec<String> =
        about.addressed.iter().map(|one| store::normalise(one)).chain([store::normalise(about.account)]).collect();
    ["To", "Cc", "Bcc", "Resent-To", "Resent-Cc"]
        .iter()
        .any(|name| addresses_in(about.header, name).iter().any(|a| own.contains(a)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn vacation(more: Value) -> Vacation {
        let mut object = json!({"isEnabled": true, "textBody": "Back on Monday.\n"}).as_object().unwrap().clone();
        object.extend(more.as_object().unwrap().clone());
        Vacation::of(&object).unwrap()
    }

    fn about<'a>(reverse_path: &'a str, header: &'a [u8], addressed: &'a [String]) -> About<'a> {
        About { account: "ann@here.test", addressed, reverse_path, header, now_secs: 1_800_000_000 }
    }

    #[test]
    fn who_is_answered() {
        let away = vacation(json!({}));
        let answers = |from: &str, header: &str, addressed: &[String]| away.answers(&about(from, header.as_bytes(), addressed));
        let plain = "To: Ann <Ann@here.test>\r\nSubject: Hi\r\n\r\n";
        assert!(answers("zoe@there.test", plain, &[]));
        for never in [
            "",
            "MAILER-DAEMON@x.test",
            "owner-l@x.test",
            "l-request@x.test",
            "no-reply@x.test",
            "ann@here.test",
            "l-bounces@x.test",
        ] {
            assert!(!answers(never, plain, &[]), "{never}");
        }
        for field in [
            "Auto-Submitted: auto-generated",
            "Auto-Submitted: auto-replied; x=y",
            "Precedence: Bulk",
            "Precedence: list",
            "List-Id: <l.x.test>",
            "List-Unsubscribe: <mailto:l@x.test>",
            "X-Auto-Response-Suppress: DR, OOF",
        ] {
            assert!(!answers("zoe@there.test", &format!("{field}\r\n{plain}"), &[]), "{field}");
        }
        assert!(answers("zoe@there.test", &format!("Auto-Submitted: no\r\n{plain}"), &[]));
        // To somebody else, with Ann hidden: not answered; to a name of hers: answered.
        let other = "To: team@here.test\r\n\r\n";
        assert!(!answers("zoe@there.test", other, &[]) && answers("zoe@there.test", other, &["team@here.test".into()]));
    }

    #[test]
    fn only_while_away() {
        let header = b"To: ann@here.test\r\n\r\n";
        let answers = |more: Value| vacation(more).answers(&about("z@there.test", header, &[]));
        assert!(answers(json!({"fromDate": "2027-01-01T00:00:00Z", "toDate": "2027-02-01T00:00:00Z"})));
        assert!(!answers(json!({"fromDate": "2027-02-01T00:00:00Z"})) && !answers(json!({"toDate": "2027-01-10T00:00:00Z"})));
        assert!(Vacation::of(json!({"isEnabled": false}).as_object().unwrap()).is_none());
    }

    #[test]
    fn the_answer_says_that_it_is_one() {
        let header = b"To: ann@here.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <2@there.test>\r\nReferences: <1@there.test>\r\n\r\n";
        let octets = vacation(json!({})).answer(&about("z@there.test", header, &[]), "9@here.test").unwrap();
        let of = |name: &str| first(&octets, name).unwrap().text().trim().to_owned();
        assert_eq!(of("Auto-Submitted"), "auto-replied");
        assert_eq!((of("Subject"), of("To"), of("From")), ("Auto: Grüße".into(), "z@there.test".into(), "ann@here.test".into()));
        assert_eq!((of("In-Reply-To"), of("References")), ("<2@there.test>".into(), "<1@there.test> <2@there.test>".into()));
        let octets = vacation(json!({"textBody": null, "htmlBody": "<p>Away</p>", "subject": "Out"}));
        let octets = octets.answer(&about("z@there.test", header, &[]), "9@here.test").unwrap();
        assert!(
            String::from_utf8_lossy(&octets).contains("Subject: Out\r\n")
                && String::from_utf8_lossy(&octets).contains("multipart/alternative")
        );
    }
}

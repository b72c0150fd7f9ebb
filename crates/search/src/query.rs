//! What is looked for, as a value: and/or/not over what can be asked of one message.
//!
//! Must not know: protocols, how messages are read.

use message::search::Needle;
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::ops::Range;
use store::{EmailId, MailboxId, UnixSecs};

/// What is looked for.
///
/// Texts are found decoded, in any case, as substrings ([`Needle`]).
#[derive(Debug, Clone)]
pub enum Query {
    /// Every message (`true`) or none.
    Always(bool),
    /// Has this system flag (`Flags::SEEN` ...).
    Flag(u8),
    /// Has this keyword, in any case.
    Keyword(SmolStr),
    /// INTERNALDATE in this range.
    Arrived(Range<UnixSecs>),
    /// More octets than this.
    Larger(u64),
    /// Fewer octets than this.
    Smaller(u64),
    /// Mod-sequence at least this.
    ModSeq(u64),
    /// UID in this range.
    Uids(Range<u32>),
    /// Places in the rows that are searched: ascending and apart. Only for a search of one mailbox.
    Among(Vec<Range<usize>>),
    /// In one of these mailboxes.
    Mailboxes(BTreeSet<MailboxId>),
    /// One of these.
    Emails(BTreeSet<EmailId>),
    /// The day the Date field says, in its own zone, in days since 1970 (RFC 9051 §6.4.4 SENTSINCE ...).
    Sent(Range<i64>),
    /// A person would say that it has an attachment.
    HasAttachment,
    /// A field of that name whose decoded text has the needle; an empty needle: there is such a field.
    Header(String, Needle),
    /// In the text of the message or of messages inside, or in the header of one inside.
    Body(Needle),
    /// In the body, or in any header.
    Text(Needle),
    /// An attachment whose name has all of these; none: an attachment with a name. What is packed into a text or into winmail.dat is
    /// not known by its name (`message::file_names`).
    FileName(Vec<Needle>),
    /// In the name of an attachment, or in the text of a PDF or office document attached.
    Attachment(Needle),
    /// In the body or in an attachment: what a person takes for the body.
    BodyOrAttachment(Needle),
    /// In the body, in any header, or in an attachment.
    TextOrAttachment(Needle),
    /// Not this.
    Not(Box<Query>),
    /// One of these at least; none: no message.
    Any(Vec<Query>),
    /// All of these; none: every message.
    All(Vec<Query>),
}

impl Query {
    /// Not this.
    #[must_use]
    #[allow(clippy::should_implement_trait)]
    pub fn not(self) -> Query {
        Query::Not(Box::new(self))
    }

    /// The needle stands in a field of that name.
    pub fn header(name: &str, text: &str) -> Query {
        Query::Header(name.to_owned(), Needle::new(text))
    }

    /// Where people look: the addresses, the subject, the body and the attachments (RFC 8621 §4.4.1 `text`). Not in the other
    /// headers: in those of a way through servers nearly every short word stands.
    pub fn anywhere(text: &str) -> Query {
        let headers = ["From", "To", "Cc", "Bcc", "Subject"].map(|name| Query::header(name, text));
        Query::Any(headers.into_iter().chain([Query::BodyOrAttachment(Needle::new(text))]).collect())
    }

    /// Every phrase of what a person typed (see [`phrases`]) by `test`.
    pub fn every_phrase(typed: &str, test: impl Fn(&str) -> Query) -> Query {
        Query::All(phrases(typed).iter().map(|phrase| test(phrase)).collect())
    }
}

/// What a person typed as phrases: words, and what stands in quotation marks as one (RFC 8621 §4.4.1).
///
/// ```
/// assert_eq!(search::phrases("red \"sea shells\" 'a b' it's \"open"), ["red", "sea shells", "a b", "it's", "open"]);
/// assert_eq!(search::phrases(r#""say \"hi\" now""#), [r#"say "hi" now"#]);
/// ```
pub fn phrases(typed: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut chars = typed.chars().peekable();
    while let Some(first) = chars.next() {
        if first.is_whitespace() {
            continue;
        }
        let mut phrase = String::new();
        if matches!(first, '"' | '\'') {
            while let Some(c) = chars.next() {
                match c {
                    '\\' => phrase.extend(chars.next()),
                    c if c == first => break,
                    c => phrase.push(c),
                }
            }
        } else {
            phrase.push(first);
            while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
                phrase.push(c);
            }
        }
        if !phrase.trim().is_empty() {
            found.push(phrase);
        }
    }
    found
}

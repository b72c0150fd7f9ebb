//! Response codes in brackets (RFC 9051 §7.1, RFC 5530, 4315, 4467, 4469, 5267, 5464, 5465, 5466, 7162, 8474, 9585, 9586, 9738).
//!
//! ```abnf
//! resp-text      = ["[" resp-text-code "]" SP] text
//! resp-text-code = "ALERT" / "BADCHARSET" [SP "(" charset *(SP charset) ")"] / capability-data / ... / atom [SP 1*<any except "]">]
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::flag::Flag;
use super::search;
use super::sequence_set::NumberSet;
use super::tag::Tag;
use smol_str::SmolStr;

/// A response code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Code {
    Alert,
    AlreadyExists,
    /// RFC 5465 §5: events that are known.
    BadEvent(Vec<SmolStr>),
    /// RFC 4469 §4
    BadUrl(String),
    AppendUid {
        uid_validity: u32,
        uids: NumberSet,
    },
    AuthenticationFailed,
    AuthorizationFailed,
    /// Charsets that are supported.
    BadCharset(Vec<SmolStr>),
    Cannot,
    Capability(Vec<SmolStr>),
    ClientBug,
    Closed,
    CompressionActive,
    ContactAdmin,
    CopyUid {
        uid_validity: u32,
        source: NumberSet,
        destination: NumberSet,
    },
    Corruption,
    Expired,
    ExpungeIssued,
    HasChildren,
    HighestModSeq(u64),
    /// RFC 9585: tag, done so far, goal.
    InProgress {
        tag: Option<Tag>,
        progress: Option<u32>,
        goal: Option<u32>,
    },
    InUse,
    Limit,
    /// RFC 8474 §4.1
    MailboxId(SmolStr),
    /// RFC 9738 §3: the limit, and the lowest UID that was done.
    MessageLimit {
        limit: u32,
        lowest_uid: Option<u32>,
    },
    /// RFC 5464 §4.2.1: the largest value that was left out.
    MetadataLongEntries(u64),
    /// RFC 5464 §4.3
    MetadataMaxSize(u64),
    MetadataTooMany,
    MetadataNoPrivate,
    Modified(NumberSet),
    NoModSeq,
    /// RFC 5465 §5.8
    NotificationOverflow,
    /// RFC 5267 §4.3: the tag of the search that will not be updated.
    NoUpdate(Tag),
    NonExistent,
    NoPerm,
    NotSaved,
    OverQuota,
    Parse,
    PermanentFlags(Vec<Flag>),
    PrivacyRequired,
    ReadOnly,
    ReadWrite,
    ServerBug,
    TooBig,
    TryCreate,
    UidNext(u32),
    UidNotSticky,
    /// RFC 9586 §3
    UidRequired,
    UidValidity(u32),
    Unavailable,
    /// RFC 5466 §3.1: its name.
    UndefinedFilter(SmolStr),
    UnknownCte,
    Unseen(u32),
    /// RFC 4467 §10
    UrlMech(Vec<SmolStr>),
    UseAttr,
    /// Any other, with its argument text as written.
    Other {
        name: SmolStr,
        argument: Option<String>,
    },
}

/// Codes that are a word alone.
const WORDS: [(&str, Code); 33] = [
    ("ALERT", Code::Alert),
    ("ALREADYEXISTS", Code::AlreadyExists),
    ("AUTHENTICATIONFAILED", Code::AuthenticationFailed),
    ("AUTHORIZATIONFAILED", Code::AuthorizationFailed),
    ("CANNOT", Code::Cannot),
    ("CLIENTBUG", Code::ClientBug),
    ("CLOSED", Code::Closed),
    ("COMPRESSIONACTIVE", Code::CompressionActive),
    ("CONTACTADMIN", Code::ContactAdmin),
    ("CORRUPTION", Code::Corruption),
    ("EXPIRED", Code::Expired),
    ("EXPUNGEISSUED", Code::ExpungeIssued),
    ("HASCHILDREN", Code::HasChildren),
    ("INUSE", Code::InUse),
    ("LIMIT", Code::Limit),
    ("NOMODSEQ", Code::NoModSeq),
    ("NONEXISTENT", Code::NonExistent),
    ("NOPERM", Code::NoPerm),
    ("NOTIFICATIONOVERFLOW", Code::NotificationOverflow),
    ("NOTSAVED", Code::NotSaved),
    ("OVERQUOTA", Code::OverQuota),
    ("PARSE", Code::Parse),
    ("PRIVACYREQUIRED", Code::PrivacyRequired),
    ("READ-ONLY", Code::ReadOnly),
    ("READ-WRITE", Code::ReadWrite),
    ("SERVERBUG", Code::ServerBug),
    ("TOOBIG", Code::TooBig),
    ("TRYCREATE", Code::TryCreate),
    ("UIDNOTSTICKY", Code::UidNotSticky),
    ("UIDREQUIRED", Code::UidRequired),
    ("UNAVAILABLE", Code::Unavailable),
    ("UNKNOWN-CTE", Code::UnknownCte),
    ("USEATTR", Code::UseAttr),
];

impl Code {
    /// Between the brackets. What is not understood is kept as `Other`.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<Code> {
        let start = c.at;
        let word = c.atom()?;
        let alone = WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        if let (Some((_, code)), Some(b']')) = (alone, c.peek()) {
            return Ok(code.clone());
        }
        // Servers leave arguments out (Gmail: HIGHESTMODSEQ alone) or write them wrongly: that must not cost the response.
        match Code::parse_argument(c, &word.to_ascii_uppercase()) {
            Ok(Some(code)) if c.peek() == Some(b']') => return Ok(code),
            _ => c.at = start,
        }
        let name = SmolStr::new(c.atom()?);
        let argument = c.take_while(|b| b != b']');
        let argument = (!argument.is_empty()).then(|| String::from_utf8_lossy(argument).trim().to_owned());
        Ok(Code::Other { name, argument })
    }

    fn parse_argument(c: &mut Cursor<'_>, word: &str) -> Parsed<Option<Code>> {
        if word == "BADCHARSET" && c.peek() == Some(b']') {
            return Ok(Some(Code::BadCharset(Vec::new())));
        }
        c.space()?;
        Ok(Some(match word {
            "APPENDUID" => {
                let uid_validity = c.nz_number()?;
                c.space()?;
                Code::AppendUid { uid_validity, uids: NumberSet::parse(c)? }
            }
            "COPYUID" => {
                let uid_validity = c.nz_number()?;
                c.space()?;
                let source = NumberSet::parse(c)?;
                c.space()?;
                Code::CopyUid { uid_validity, source, destination: NumberSet::parse(c)? }
            }
            "BADCHARSET" => Code::BadCharset(c.list(true, |c| c.astring_text().map(SmolStr::from))?),
            "CAPABILITY" => Code::Capability(words(c)?),
            "HIGHESTMODSEQ" => Code::HighestModSeq(c.mod_seq()?),
            "BADEVENT" => Code::BadEvent(c.list(true, |c| c.atom().map(SmolStr::new))?),
            "BADURL" => Code::BadUrl(c.astring_text()?),
            "INPROGRESS" => Code::parse_in_progress(c)?,
            "MAILBOXID" => {
                c.open()?;
                let id = search::object_id(c)?;
                c.close()?;
                Code::MailboxId(id)
            }
            "MESSAGELIMIT" => {
                let limit = c.nz_number()?;
                Code::MessageLimit { limit, lowest_uid: if c.eat(b' ') { Some(c.nz_number()?) } else { None } }
            }
            "METADATA" => return Code::parse_metadata(c),
            "NOUPDATE" => match Tag::new(&String::from_utf8_lossy(&c.string()?)) {
                Some(tag) => Code::NoUpdate(tag),
                None => return Ok(None),
            },
            "UNDEFINED-FILTER" => Code::UndefinedFilter(SmolStr::new(c.atom()?)),
            "URLMECH" => Code::UrlMech(words(c)?),
            "MODIFIED" => Code::Modified(NumberSet::parse(c)?),
            "PERMANENTFLAGS" => Code::PermanentFlags(c.list(true, Flag::parse)?),
            "UIDNEXT" => Code::UidNext(c.number()?),
            "UIDVALIDITY" => Code::UidValidity(c.number()?),
            "UNSEEN" => Code::Unseen(c.number()?),
            _ => return Ok(None),
        }))
    }

    /// `("tag" done goal)`, each or NIL
    fn parse_in_progress(c: &mut Cursor<'_>) -> Parsed<Code> {
        c.open()?;
        let tag = c.nstring()?.and_then(|tag| Tag::new(&String::from_utf8_lossy(&tag)));
        c.space()?;
        let progress = if c.eat_nil() { None } else { Some(c.number()?) };
        c.space()?;
        let goal = if c.eat_nil() { None } else { Some(c.number()?) };
        c.close()?;
        Ok(Code::InProgress { tag, progress, goal })
    }

    /// `METADATA LONGENTRIES n`, `MAXSIZE n`, `TOOMANY`, `NOPRIVATE`
    fn parse_metadata(c: &mut Cursor<'_>) -> Parsed<Option<Code>> {
        let word = c.atom()?.to_ascii_uppercase();
        Ok(match word.as_str() {
            "TOOMANY" => Some(Code::MetadataTooMany),
            "NOPRIVATE" => Some(Code::MetadataNoPrivate),
            "LONGENTRIES" => {
                c.space()?;
                Some(Code::MetadataLongEntries(c.number64()?))
            }
            "MAXSIZE" => {
                c.space()?;
                Some(Code::MetadataMaxSize(c.number64()?))
            }
            _ => None,
        })
    }

    /// Codes of the later extensions.
    fn encode_extension(&self, e: &mut Encoder) -> bool {
        match self {
            Code::BadEvent(events) => {
                e.raw("BADEVENT ");
                e.list(events, |e, event| e.raw(event));
            }
            Code::BadUrl(url) => {
                e.raw("BADURL ");
                e.string(url.as_bytes());
            }
            Code::InProgress { tag, progress, goal } => {
                e.raw("INPROGRESS (");
                e.nstring(tag.as_ref().map(|tag| tag.as_str().as_bytes()));
                for number in [progress, goal] {
                    e.raw(number.map_or(" NIL".to_owned(), |number| format!(" {number}")));
                }
                e.raw(")");
            }
            Code::MailboxId(id) => e.raw(format!("MAILBOXID ({id})")),
            Code::MessageLimit { limit, lowest_uid } => {
                e.raw(format!("MESSAGELIMIT {limit}"));
                if let Some(uid) = lowest_uid {
                    e.raw(format!(" {uid}"));
                }
            }
            Code::MetadataLongEntries(size) => e.raw(format!("METADATA LONGENTRIES {size}")),
            Code::MetadataMaxSize(size) => e.raw(format!("METADATA MAXSIZE {size}")),
            Code::MetadataTooMany => e.raw("METADATA TOOMANY"),
            Code::MetadataNoPrivate => e.raw("METADATA NOPRIVATE"),
            Code::NoUpdate(tag) => {
                e.raw("NOUPDATE ");
                e.string(tag.as_str().as_bytes());
            }
            Code::UndefinedFilter(name) => e.raw(format!("UNDEFINED-FILTER {name}")),
            Code::UrlMech(words) => {
                e.raw("URLMECH ");
                e.spaced(words, |e, word| e.raw(word));
            }
            _ => return false,
        }
        true
    }

    /// Between the brackets.
    pub(crate) fn encode(&self, e: &mut Encoder) {
        if self.encode_extension(e) {
            return;
        }
        match self {
            Code::AppendUid { uid_validity, uids } => {
                e.raw(format!("APPENDUID {uid_validity} "));
                uids.encode(&mut e.bytes);
            }
            Code::CopyUid { uid_validity, source, destination } => {
                e.raw(format!("COPYUID {uid_validity} "));
                source.encode(&mut e.bytes);
                e.raw(" ");
                destination.encode(&mut e.bytes);
            }
            Code::BadCharset(charsets) => {
                e.raw("BADCHARSET");
                if !charsets.is_empty() {
                    e.raw(" ");
                    e.list(charsets, |e, charset| e.astring(charset.as_bytes()));
                }
            }
            Code::Capability(words) => {
                e.raw("CAPABILITY ");
                e.spaced(words, |e, word| e.raw(word));
            }
            Code::HighestModSeq(mod_seq) => e.raw(format!("HIGHESTMODSEQ {mod_seq}")),
            Code::Modified(numbers) => {
                e.raw("MODIFIED ");
                numbers.encode(&mut e.bytes);
            }
            Code::PermanentFlags(flags) => {
                e.raw("PERMANENTFLAGS ");
                e.list(flags, |e, flag| flag.encode(e));
            }
            Code::UidNext(n) => e.raw(format!("UIDNEXT {n}")),
            Code::UidValidity(n) => e.raw(format!("UIDVALIDITY {n}")),
            Code::Unseen(n) => e.raw(format!("UNSEEN {n}")),
            Code::Other { name, argument } => {
                e.raw(name);
                if let Some(argument) = argument {
                    e.raw(" ");
                    e.raw(argument);
                }
            }
            word => e.raw(WORDS.iter().find(|(_, code)| code == word).map_or("", |(name, _)| name)),
        }
    }
}

/// One word or more, up to the closing bracket.
fn words(c: &mut Cursor<'_>) -> Parsed<Vec<SmolStr>> {
    let mut words = vec![SmolStr::new(c.atom()?)];
    while c.eat_space() && c.peek() != Some(b']') {
        words.push(SmolStr::new(c.atom()?));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> (Code, String) {
        let input = format!("{text}]");
        let mut c = Cursor::new(input.as_bytes());
        let code = Code::parse(&mut c).unwrap();
        assert_eq!(c.rest(), b"]", "{text}");
        let mut e = Encoder::server(Vec::new(), false);
        code.encode(&mut e);
        (code, String::from_utf8(e.bytes).unwrap())
    }

    #[test]
    fn both_ways() {
        for (word, code) in WORDS {
            assert_eq!(read(word), (code, word.to_owned()));
        }
        for text in [
            "APPENDUID 38505 3955",
            "APPENDUID 38505 1:3",
            "COPYUID 38505 304,319:320 3956:3958",
            "BADCHARSET",
            "BADCHARSET (US-ASCII UTF-8)",
            "CAPABILITY IMAP4rev1 AUTH=PLAIN",
            "HIGHESTMODSEQ 715194045007",
            "MODIFIED 7,9",
            "PERMANENTFLAGS (\\Deleted \\Seen \\*)",
            "UIDNEXT 4392",
            "UIDVALIDITY 3857529045",
            "UNSEEN 12",
        ] {
            let (code, written) = read(text);
            assert_eq!(written, text);
            assert!(!matches!(code, Code::Other { .. }), "{text}");
        }
    }

    #[test]
    fn what_servers_get_wrong_is_kept() {
        for text in ["HIGHESTMODSEQ", "UIDNEXT abc", "X-FOO a (b) c", "COPYUID 1", "MODIFIED *", "ALERT now"] {
            let (code, written) = read(text);
            assert!(matches!(code, Code::Other { .. }), "{text}");
            assert_eq!(written, text);
        }
    }
}

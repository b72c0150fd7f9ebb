//! Responses (RFC 9051 §7): untagged data, status responses, continuation requests.
//!
//! ```abnf
//! response      = *(continue-req / response-data) response-done
//! continue-req  = "+" SP (resp-text / base64) CRLF
//! response-data = "*" SP (resp-cond-state / resp-cond-bye / mailbox-data / message-data / capability-data / ...) CRLF
//! response-tagged = tag SP resp-cond-state CRLF
//! ```

use super::acl::{self, AclResponse, ListRightsResponse, Rights};
use super::cursor::{Cursor, Parsed};
use super::enable::Extension;
use super::encoder::Encoder;
use super::esearch::ESearch;
use super::fetch::FetchData;
use super::flag::Flag;
use super::id::Id;
use super::limits::SEQUENCE_SET_ELEMENTS_MAX;
use super::list::{ListKind, ListResponse};
use super::mailbox_name::MailboxName;
use super::metadata::MetadataResponse;
use super::namespace::NamespaceResponse;
use super::quota::{self, QuotaResponse};
use super::response_code::Code;
use super::sequence_set::NumberSet;
use super::status::StatusResponse;
use super::tag::Tag;
use super::thread::{self, ThreadNode};
use super::url::UrlData;
use bytes::Bytes;
use smol_str::SmolStr;

/// OK, NO, BAD, PREAUTH, BYE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Ok,
    No,
    Bad,
    /// Untagged only.
    PreAuth,
    /// Untagged only.
    Bye,
}

/// A status response: how a command ended (tagged), or news (untagged).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct StatusText {
    pub kind: Kind,
    pub code: Option<Code>,
    pub text: String,
}

/// An untagged response.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Response {
    Condition(StatusText),
    Capability(Vec<SmolStr>),
    Enabled(Vec<Extension>),
    List(ListResponse),
    Namespace(NamespaceResponse),
    Status(StatusResponse),
    Flags(Vec<Flag>),
    /// The old SEARCH reply; with MODSEQ after CONDSTORE.
    Search {
        numbers: Vec<u32>,
        mod_seq: Option<u64>,
    },
    ESearch(ESearch),
    Exists(u32),
    Recent(u32),
    Expunge(u32),
    /// RFC 7162 §3.2.10
    Vanished {
        earlier: bool,
        uids: NumberSet,
    },
    Fetch {
        number: u32,
        items: Vec<FetchData>,
    },
    Id(Id),
    /// RFC 9586 §3.3
    UidFetch {
        uid: u32,
        items: Vec<FetchData>,
    },
    Sort {
        numbers: Vec<u32>,
        mod_seq: Option<u64>,
    },
    Thread(Vec<ThreadNode>),
    Acl(AclResponse),
    ListRights(ListRightsResponse),
    MyRights {
        mailbox: MailboxName,
        rights: Rights,
    },
    Quota(QuotaResponse),
    QuotaRoot {
        mailbox: MailboxName,
        roots: Vec<String>,
    },
    Metadata(MetadataResponse),
    /// URLs with their authorisation (RFC 4467 §7).
    GenUrlAuth(Vec<String>),
    /// RFC 4467 §7, RFC 5524 §3.2.
    UrlFetch(Vec<(String, UrlData)>),
    /// RFC 10022 §3.2: highest UID first, each batch as it is written (`high:low`).
    UidBatches {
        tag: Tag,
        batches: Vec<(u32, u32)>,
    },
    /// RFC 9698 §4: where JMAP's session is.
    JmapAccess(String),
    /// RFC 5255 §4.8: the active comparator and those that match.
    Comparator {
        active: String,
        matching: Vec<String>,
    },
    /// Not known here; the line after `* `.
    Other(Bytes),
}

/// Anything a server sends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ServerLine {
    Untagged(Response),
    Tagged(Tag, StatusText),
    /// `+ text`
    Continuation(Bytes),
}

impl Kind {
    const NAMES: [(&'static str, Kind); 5] =
        [("OK", Kind::Ok), ("NO", Kind::No), ("BAD", Kind::Bad), ("PREAUTH", Kind::PreAuth), ("BYE", Kind::Bye)];
    fn by_name(word: &str) -> Option<Kind> {
        Self::NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
    }
    /// As on the wire.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("OK", |(name, _)| name)
    }
}

impl StatusText {
    /// After `OK`, `NO` ...
    fn parse(c: &mut Cursor<'_>, kind: Kind) -> Parsed<StatusText> {
        c.skip_spaces();
        let mut code = None;
        if c.peek() == Some(b'[') {
            let before = c.clone();
            c.at += 1;
            match Code::parse(c) {
                Ok(parsed) if c.eat(b']') => code = Some(parsed),
                // A text that merely begins with a bracket.
                _ => *c = before,
            }
            c.skip_spaces();
        }
        let text = String::from_utf8_lossy(c.rest()).into_owned();
        c.at = c.input.len();
        Ok(StatusText { kind, code, text })
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        encode_condition(e, self.kind, self.code.as_ref(), &self.text);
    }
}

/// `OK [code] text`. A text cannot smuggle in a line; an empty one becomes a full stop (the grammar wants something).
pub(crate) fn encode_condition(e: &mut Encoder, kind: Kind, code: Option<&Code>, text: &str) {
    e.raw(kind.name());
    if let Some(code) = code {
        e.raw(" [");
        code.encode(e);
        e.raw("]");
    }
    e.raw(" ");
    if text.is_empty() {
        e.raw(".");
    } else if text.bytes().any(|b| b.is_ascii_control()) {
        e.raw(text.replace(|ch: char| ch.is_ascii_control(), " "));
    } else {
        e.raw(text);
    }
}

impl ServerLine {
    /// One response without its last CRLF.
    pub fn parse(c: &mut Cursor<'_>) -> Parsed<ServerLine> {
        if c.eat(b'+') {
            c.eat(b' ');
            let text = Bytes::copy_from_slice(c.rest());
            c.at = c.input.len();
            return Ok(ServerLine::Continuation(text));
        }
        if c.eat(b'*') {
            c.space()?;
            return Response::parse(c).map(ServerLine::Untagged);
        }
        let tag = Tag::parse(c)?;
        c.space()?;
        let kind = Kind::by_name(c.atom()?);
        match kind {
            Some(kind @ (Kind::Ok | Kind::No | Kind::Bad)) => Ok(ServerLine::Tagged(tag, StatusText::parse(c, kind)?)),
            _ => c.error("a tagged response is OK, NO or BAD"),
        }
    }
}

impl Response {
    /// After `* `. What is not understood is `Other`; only damaged literals fail.
    pub fn parse(c: &mut Cursor<'_>) -> Parsed<Response> {
        let start = c.clone();
        match Response::parse_known(c).and_then(|response| c.end().map(|()| response)) {
            Ok(response) => Ok(response),
            Err(_) => {
                let text = Bytes::copy_from_slice(start.rest());
                c.at = c.input.len();
                Ok(Response::Other(text))
            }
        }
    }

    fn parse_known(c: &mut Cursor<'_>) -> Parsed<Response> {
        if c.peek().is_some_and(|b| b.is_ascii_digit()) {
            let number = c.number()?;
            c.space()?;
            return Response::parse_numbered(c, number);
        }
        let word = c.atom()?.to_ascii_uppercase();
        if let Some(kind) = Kind::by_name(&word) {
            return StatusText::parse(c, kind).map(Response::Condition);
        }
        Ok(match word.as_str() {
            "CAPABILITY" => Response::Capability(words(c)?),
            "ENABLED" => Response::Enabled(Extension::parse_words(c, true)?),
            "LIST" => Response::List(ListResponse::parse(c, ListKind::List)?),
            "LSUB" => Response::List(ListResponse::parse(c, ListKind::Lsub)?),
            "XLIST" => Response::List(ListResponse::parse(c, ListKind::Xlist)?),
            "NAMESPACE" => Response::Namespace(NamespaceResponse::parse(c)?),
            "STATUS" => Response::Status(StatusResponse::parse(c)?),
            "FLAGS" => {
                c.space()?;
                Response::Flags(c.list(true, Flag::parse)?)
            }
            "SEARCH" => {
                let (numbers, mod_seq) = parse_found(c)?;
                Response::Search { numbers, mod_seq }
            }
            "ESEARCH" => Response::ESearch(ESearch::parse(c)?),
            "VANISHED" => {
                c.space()?;
                let earlier = c.eat_text("(EARLIER)");
                c.skip_spaces();
                Response::Vanished { earlier, uids: NumberSet::parse(c)? }
            }
            "ID" => Response::Id(Id::parse(c)?),
            other => return Response::parse_extension(c, other),
        })
    }

    fn parse_extension(c: &mut Cursor<'_>, word: &str) -> Parsed<Response> {
        Ok(match word {
            "SORT" => {
                let (numbers, mod_seq) = parse_found(c)?;
                Response::Sort { numbers, mod_seq }
            }
            "THREAD" => Response::Thread(thread::parse(c)?),
            "ACL" => Response::Acl(AclResponse::parse(c)?),
            "LISTRIGHTS" => Response::ListRights(ListRightsResponse::parse(c)?),
            "MYRIGHTS" => {
                let (mailbox, rights) = acl::parse_my_rights(c)?;
                Response::MyRights { mailbox, rights }
            }
            "QUOTA" => Response::Quota(QuotaResponse::parse(c)?),
            "QUOTAROOT" => {
                let (mailbox, roots) = quota::parse_root(c)?;
                Response::QuotaRoot { mailbox, roots }
            }
            "METADATA" => Response::Metadata(MetadataResponse::parse(c)?),
            "GENURLAUTH" => {
                let mut urls = Vec::new();
                while c.eat_space() {
                    urls.push(c.astring_text()?);
                }
                Response::GenUrlAuth(urls)
            }
            "URLFETCH" => {
                let mut urls = Vec::new();
                while c.eat_space() {
                    urls.push((c.astring_text()?, UrlData::parse(c)?));
                }
                Response::UrlFetch(urls)
            }
            "UIDBATCHES" => Response::parse_uid_batches(c)?,
            "JMAPACCESS" => {
                c.space()?;
                Response::JmapAccess(c.astring_text()?)
            }
            "COMPARATOR" => {
                c.space()?;
                let active = c.astring_text()?;
                let matching = if c.eat_space() { c.list(true, |c| c.astring_text())? } else { Vec::new() };
                Response::Comparator { active, matching }
            }
            _ => return c.error("unknown response"),
        })
    }

    /// `"UIDBATCHES" SP "(" "TAG" SP string ")" [SP uid-range *("," uid-range)]`
    fn parse_uid_batches(c: &mut Cursor<'_>) -> Parsed<Response> {
        c.space()?;
        c.open()?;
        if !c.eat_text("TAG ") {
            return c.error("a tag is missing");
        }
        let Some(tag) = Tag::new(&c.astring_text()?) else { return c.error("a tag is missing") };
        c.close()?;
        let mut batches = Vec::new();
        if c.eat_space() {
            loop {
                let one = c.nz_number()?;
                let other = if c.eat(b':') { c.nz_number()? } else { one };
                batches.push((one.max(other), one.min(other)));
                if batches.len() > SEQUENCE_SET_ELEMENTS_MAX || !c.eat(b',') {
                    break;
                }
            }
        }
        Ok(Response::UidBatches { tag, batches })
    }

    fn parse_numbered(c: &mut Cursor<'_>, number: u32) -> Parsed<Response> {
        let word = c.atom()?.to_ascii_uppercase();
        Ok(match word.as_str() {
            "EXISTS" => Response::Exists(number),
            "RECENT" => Response::Recent(number),
            "EXPUNGE" => Response::Expunge(number),
            "FETCH" => {
                c.space()?;
                Response::Fetch { number, items: FetchData::parse_list(c)? }
            }
            "UIDFETCH" => {
                c.space()?;
                Response::UidFetch { uid: number, items: FetchData::parse_list(c)? }
            }
            _ => return c.error("unknown response"),
        })
    }

    /// Without `* ` and CRLF.
    pub fn encode(&self, e: &mut Encoder) {
        match self {
            Response::Condition(status) => status.encode(e),
            Response::Capability(words) => {
                e.raw("CAPABILITY ");
                e.spaced(words, |e, word| e.raw(word));
            }
            Response::Enabled(extensions) => Extension::encode_words(e, "ENABLED", extensions),
            Response::List(list) => list.encode(e),
            Response::Namespace(namespaces) => namespaces.encode(e),
            Response::Status(status) => status.encode(e),
            Response::Flags(flags) => {
                e.raw("FLAGS ");
                e.list(flags, |e, flag| flag.encode(e));
            }
            Response::Search { numbers, mod_seq } => {
                e.raw("SEARCH");
                encode_found(e, numbers, *mod_seq);
            }
            Response::ESearch(found) => found.encode(e),
            Response::Exists(n) => e.raw(format!("{n} EXISTS")),
            Response::Recent(n) => e.raw(format!("{n} RECENT")),
            Response::Expunge(n) => e.raw(format!("{n} EXPUNGE")),
            Response::Vanished { earlier, uids } => {
                e.raw(if *earlier { "VANISHED (EARLIER) " } else { "VANISHED " });
                uids.encode(&mut e.bytes);
            }
            Response::Fetch { number, items } => {
                e.raw(format!("{number} FETCH "));
                e.list(items, |e, item| item.encode(e));
            }
            Response::Id(id) => id.encode(e),
            Response::Other(text) => e.raw(text),
            extension => extension.encode_extension(e),
        }
    }

    fn encode_extension(&self, e: &mut Encoder) {
        match self {
            Response::UidFetch { uid, items } => {
                e.raw(format!("{uid} UIDFETCH "));
                e.list(items, |e, item| item.encode(e));
            }
            Response::Sort { numbers, mod_seq } => {
                e.raw("SORT");
                encode_found(e, numbers, *mod_seq);
            }
            Response::Thread(threads) => thread::encode(e, threads),
            Response::Acl(acl) => acl.encode(e),
            Response::ListRights(rights) => rights.encode(e),
            Response::MyRights { mailbox, rights } => acl::encode_my_rights(e, mailbox, *rights),
            Response::Quota(quota) => quota.encode(e),
            Response::QuotaRoot { mailbox, roots } => quota::encode_root(e, mailbox, roots),
            Response::Metadata(metadata) => metadata.encode(e),
            Response::GenUrlAuth(urls) => {
                e.raw("GENURLAUTH ");
                e.spaced(urls, |e, url| e.string(url.as_bytes()));
            }
            Response::UrlFetch(urls) => {
                e.raw("URLFETCH ");
                e.spaced(urls, |e, (url, data)| {
                    e.string(url.as_bytes());
                    e.raw(" ");
                    data.encode(e);
                });
            }
            Response::UidBatches { tag, batches } => {
                e.raw("UIDBATCHES (TAG ");
                e.string(tag.as_str().as_bytes());
                e.raw(")");
                for (n, (high, low)) in batches.iter().enumerate() {
                    e.raw(if n == 0 { " " } else { "," });
                    e.raw(if high == low { format!("{high}") } else { format!("{high}:{low}") });
                }
            }
            Response::JmapAccess(url) => {
                e.raw("JMAPACCESS ");
                e.string(url.as_bytes());
            }
            Response::Comparator { active, matching } => {
                e.raw("COMPARATOR ");
                e.string(active.as_bytes());
                if !matching.is_empty() {
                    e.raw(" ");
                    e.list(matching, |e, name| e.string(name.as_bytes()));
                }
            }
            _ => {}
        }
    }
}

/// Of SEARCH and SORT: `*(SP nz-number) [SP "(" "MODSEQ" SP mod-sequence-value ")"]`
fn parse_found(c: &mut Cursor<'_>) -> Parsed<(Vec<u32>, Option<u64>)> {
    let (mut numbers, mut mod_seq) = (Vec::new(), None);
    while c.eat_space() {
        if c.eat_text("(MODSEQ ") {
            mod_seq = Some(c.mod_seq()?);
            c.expect(b')', ") is missing")?;
        } else {
            numbers.push(c.number()?);
        }
    }
    Ok((numbers, mod_seq))
}

fn encode_found(e: &mut Encoder, numbers: &[u32], mod_seq: Option<u64>) {
    for number in numbers {
        e.raw(" ");
        e.number(*number);
    }
    if let Some(mod_seq) = mod_seq {
        e.raw(format!(" (MODSEQ {mod_seq})"));
    }
}

fn words(c: &mut Cursor<'_>) -> Parsed<Vec<SmolStr>> {
    let mut words = Vec::new();
    while c.eat_space() && words.len() < SEQUENCE_SET_ELEMENTS_MAX {
        words.push(SmolStr::new(c.atom()?));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8]) -> Option<ServerLine> {
        ServerLine::parse(&mut Cursor::new(text)).ok()
    }
    fn untagged(text: &str) -> Response {
        match read(text.as_bytes()) {
            Some(ServerLine::Untagged(response)) => response,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn untagged_both_ways() {
        for text in [
            "* OK [ALERT] System shutdown in 10 minutes",
            "* NO Disk is full",
            "* BAD Command line too long",
            "* BYE Autologout",
            "* PREAUTH IMAP4rev1 server logged in as Smith",
            "* CAPABILITY STARTTLS AUTH=GSSAPI IMAP4rev1",
            "* ENABLED CONDSTORE",
            "* ENABLED",
            "* SORT 2 84 882 (MODSEQ 99)",
            "* SORT",
            "* THREAD (2)(3 6 (4 23)(44 7 96))",
            "* ACL INBOX Fred lrswipxtea",
            "* LISTRIGHTS x smith la r s w",
            "* MYRIGHTS INBOX lrswipkxteacd",
            "* QUOTA \"\" (STORAGE 10 512)",
            "* QUOTAROOT INBOX \"\"",
            "* METADATA INBOX (/shared/comment \"x\")",
            "* GENURLAUTH \"imap://j@x/INBOX/;UID=20;URLAUTH=anonymous:internal:91\"",
            "* URLFETCH \"imap://j@x/INBOX/;UID=20\" NIL \"/x/;UID=1\" \"hi\"",
            "* UIDBATCHES (TAG \"A143\") 215295:99696,99695:20351,7830",
            "* UIDBATCHES (TAG \"A143\")",
            "* JMAPACCESS \"https://example.com/.well-known/jmap\"",
            "* COMPARATOR \"i;unicode-casemap\" (\"i;ascii-casemap\")",
            "* 25996 UIDFETCH (FLAGS (\\Seen) EMAILID (M1) THREADID NIL SAVEDATE NIL PREVIEW \"hi\")",
            "* OK [INPROGRESS (\"A001\" 454 1000)] Processing",
            "* OK [INPROGRESS (NIL NIL NIL)] Hang in there",
            "* OK [MAILBOXID (F2212ea87)] Ok",
            "* NO [MESSAGELIMIT 1000 23221] cut",
            "* NO [BADURL \"/x\"] bad",
            "* NO [NOUPDATE \"B02\"] Too many contexts",
            "* NO [METADATA LONGENTRIES 2199] x",
            "* NO [METADATA TOOMANY] x",
            "* NO [BADEVENT (MessageNew MessageExpunge)] x",
            "* OK [NOTIFICATIONOVERFLOW] x",
            "* BAD [UIDREQUIRED] x",
            "* NO [UNDEFINED-FILTER x] x",
            "* OK [URLMECH INTERNAL] x",
            "* LIST (\\Noselect) \"/\" ~/Mail/foo",
            "* NAMESPACE ((\"\" \"/\")) NIL NIL",
            "* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292)",
            "* FLAGS (\\Answered \\Flagged)",
            "* SEARCH 2 3 6",
            "* SEARCH",
            "* SEARCH 2 5 (MODSEQ 917162500)",
            "* ESEARCH (TAG \"a\") UID ALL 1:3",
            "* 23 EXISTS",
            "* 5 RECENT",
            "* 44 EXPUNGE",
            "* VANISHED (EARLIER) 41,43:116",
            "* VANISHED 405",
            "* 23 FETCH (FLAGS (\\Seen) RFC822.SIZE 44827)",
            "* ID NIL",
        ] {
            let response = untagged(text);
            assert!(!matches!(response, Response::Other(_)), "{text}");
            let mut e = Encoder::server(b"* ".to_vec(), false);
            response.encode(&mut e);
            assert_eq!(String::from_utf8(e.bytes).unwrap(), text);
        }
    }

    #[test]
    fn what_is_unknown_is_kept() {
        for text in ["* XFOO bar", "* 1 FROB", "* XQUOTA \"\" (STORAGE 1 2)", "* LIST x", "* 1 FETCH FLAGS", "* SEARCH x"] {
            assert_eq!(untagged(text), Response::Other(Bytes::copy_from_slice(&text.as_bytes()[2..])));
        }
    }

    #[test]
    fn tagged_and_continuations() {
        let Some(ServerLine::Tagged(tag, status)) = read(b"A1 OK [READ-WRITE] SELECT completed") else { panic!() };
        assert_eq!(
            (tag.as_str(), status.kind, status.code, status.text.as_str()),
            ("A1", Kind::Ok, Some(Code::ReadWrite), "SELECT completed")
        );
        let Some(ServerLine::Tagged(_, status)) = read(b"A1 NO [oops text") else { panic!() };
        assert_eq!((status.code, status.text.as_str()), (None, "[oops text"));
        assert!(matches!(read(b"A1 OK"), Some(ServerLine::Tagged(_, s)) if s.text.is_empty()));
        assert_eq!(read(b"+ go on"), Some(ServerLine::Continuation(Bytes::from_static(b"go on"))));
        assert_eq!(read(b"+"), Some(ServerLine::Continuation(Bytes::new())));
        assert_eq!(read(b"A1 BYE x"), None);
        assert_eq!(read(b""), None);
    }

    #[test]
    fn a_text_cannot_smuggle_a_line() {
        let mut e = Encoder::server(Vec::new(), false);
        encode_condition(&mut e, Kind::No, None, "a\r\nA2 OK b");
        assert_eq!(e.bytes, b"NO a  A2 OK b");
    }

    const WORDS_OF_THE_WIRE: &[&[u8]] = &[
        b"* ",
        b"1 ",
        b"FETCH ",
        b"(",
        b")",
        b"\"",
        b"BODY[",
        b"]",
        b"{1}\r\nx",
        b"{9}\r\n",
        b" ",
        b"NIL",
        b"ENVELOPE ",
        b"BODYSTRUCTURE ",
        b"OK [",
        b"COPYUID ",
        b"1:2 ",
        b"LIST ",
        b"ESEARCH ",
        b"\xff",
        b"\0",
        b"\"TEXT\" ",
        b"\\",
        b"MODSEQ ",
        b"(",
        b"(",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn parsing_never_panics(words in proptest::collection::vec(proptest::sample::select(WORDS_OF_THE_WIRE), 0..20)) {
            let _ = read(&words.concat());
        }
    }
}

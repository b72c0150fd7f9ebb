//! SEARCH (RFC 9051 §6.4.4, RFC 3501 §6.4.4, RFC 4731, 5182, 5032, 7162 §3.1.5, 5267, 5466, 6203, 8474, 8514, 9394, 9738).
//!
//! ```abnf
//! search             = "SEARCH" [search-return-opts] SP search-program
//! search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"
//! search-program     = ["CHARSET" SP charset SP] search-key *(SP search-key)
//! search-key         = "ALL" / "BCC" SP astring / ... / sequence-set / "(" search-key *(SP search-key) ")"
//! search-modsequence = "MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer
//! ```
//!
//! Invariant: keys nest at most `PAREN_DEPTH_MAX` deep and are at most `SEARCH_TERMS_MAX`.

use super::cursor::{Cursor, Parsed};
use super::date::Date;
use super::encoder::Encoder;
use super::fetch::FetchItem;
use super::limits::{PAREN_DEPTH_MAX, SEARCH_TERMS_MAX};
use super::sequence_set::SequenceSet;
use super::string::is_atom_char;
use smol_str::SmolStr;

/// SEARCH and UID SEARCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// UID SEARCH.
    pub uid: bool,
    /// RETURN; `None` when absent (an old SEARCH reply is wanted unless IMAP4rev2 is enabled), `Some([])` means ALL.
    pub returns: Option<Vec<SearchReturn>>,
    /// As spelled. When [`Search::charset_supported`] is false the strings below are not to be trusted: answer NO \[BADCHARSET\].
    pub charset: Option<SmolStr>,
    /// All must match; never empty.
    pub keys: Vec<SearchKey>,
}

/// RETURN options.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SearchReturn {
    Min,
    Max,
    All,
    Count,
    Save,
    /// RFC 5267 §4.3: tell me when the result changes; and what is to be fetched of messages that come (RFC 5465 §7).
    Update(Vec<FetchItem>),
    /// RFC 5267 §4.2: I shall come back for more of this.
    Context,
    /// RFC 9394 §3.1 (RFC 5267 §4.4).
    Partial(PartialRange),
    /// RFC 6203 §4: scores of a FUZZY search.
    Relevancy,
}

/// A window on a result, 1 being the first: `1:500`, or counted from the end, `-1:-100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct PartialRange {
    pub from_end: bool,
    /// At most `last`.
    pub first: u32,
    pub last: u32,
}

/// A search key. The simple flag keys of the RFCs (`SEEN`, `UNSEEN`, `OLD`, `NEW` ...) have their own names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SearchKey {
    All,
    Answered,
    Bcc(String),
    Before(Date),
    Body(String),
    Cc(String),
    Deleted,
    Draft,
    Flagged,
    From(String),
    /// Field name, and a substring of its value (empty: the field exists).
    Header(String, String),
    Keyword(SmolStr),
    Larger(u64),
    /// RFC 7162 §3.1.5: mod-sequence at least this (the entry name is read and not needed).
    ModSeq(u64),
    New,
    Not(Box<SearchKey>),
    /// RFC 8474 §5
    EmailId(SmolStr),
    /// RFC 5466: the search that METADATA keeps by this name.
    Filter(SmolStr),
    /// RFC 6203: approximate.
    Fuzzy(Box<SearchKey>),
    Old,
    /// RFC 5032: INTERNALDATE is at least so many seconds ago.
    Older(u32),
    On(Date),
    Or(Box<SearchKey>, Box<SearchKey>),
    /// Parenthesised: all must match.
    And(Vec<SearchKey>),
    Recent,
    /// RFC 8514: all messages of a mailbox that keeps save dates, or none.
    SaveDateSupported,
    SavedBefore(Date),
    SavedOn(Date),
    SavedSince(Date),
    Seen,
    SentBefore(Date),
    SentOn(Date),
    SentSince(Date),
    /// Message numbers.
    Sequence(SequenceSet),
    Since(Date),
    Smaller(u64),
    Subject(String),
    Text(String),
    /// RFC 8474 §5
    ThreadId(SmolStr),
    To(String),
    Uid(SequenceSet),
    /// RFC 9738 §3.4: greater than this.
    UidAfter(u32),
    /// RFC 9738 §3.4: less than this.
    UidBefore(u32),
    Unanswered,
    Undeleted,
    Undraft,
    Unflagged,
    Unkeyword(SmolStr),
    Unseen,
    /// RFC 5032: INTERNALDATE is less than so many seconds ago.
    Younger(u32),
}

impl Search {
    /// RETURN (UPDATE), with what is to be fetched of new messages.
    pub fn update(&self) -> Option<&[FetchItem]> {
        self.returns
            .iter()
            .flatten()
            .find_map(|option| if let SearchReturn::Update(items) = option { Some(items.as_slice()) } else { None })
    }
    /// US-ASCII, UTF-8 or not given. Strings in another that is known became UTF-8 as they were read.
    pub fn charset_supported(&self) -> bool {
        self.charset.as_deref().is_none_or(is_plain)
    }
}

impl SearchReturn {
    const NAMES: [(&'static str, SearchReturn); 8] = [
        ("MIN", SearchReturn::Min),
        ("MAX", SearchReturn::Max),
        ("ALL", SearchReturn::All),
        ("COUNT", SearchReturn::Count),
        ("SAVE", SearchReturn::Save),
        ("UPDATE", SearchReturn::Update(Vec::new())),
        ("CONTEXT", SearchReturn::Context),
        ("RELEVANCY", SearchReturn::Relevancy),
    ];
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<SearchReturn> {
        let word = c.atom()?;
        if word.eq_ignore_ascii_case("PARTIAL") {
            c.space()?;
            return PartialRange::parse(c).map(SearchReturn::Partial);
        }
        if word.eq_ignore_ascii_case("UPDATE") && c.peek() == Some(b' ') && c.peek_at(1) == Some(b'(') {
            c.space()?;
            return Ok(SearchReturn::Update(c.list(false, FetchItem::parse)?));
        }
        match Self::NAMES.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) {
            Some((_, option)) => Ok(option),
            None => c.error("unknown RETURN option"),
        }
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        match self {
            SearchReturn::Update(items) if !items.is_empty() => {
                e.raw("UPDATE ");
                e.list(items, |e, item| item.encode(e));
            }
            SearchReturn::Partial(range) => {
                e.raw("PARTIAL ");
                range.encode(e);
            }
            known => e.raw(Self::NAMES.iter().find(|(_, option)| option == known).map_or("ALL", |(name, _)| name)),
        }
    }
}

impl PartialRange {
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<PartialRange> {
        let from_end = c.eat(b'-');
        let one = c.nz_number()?;
        c.expect(b':', "a range is first:last")?;
        if c.eat(b'-') != from_end {
            return c.error("a range has both ends from the same side");
        }
        let other = c.nz_number()?;
        Ok(PartialRange { from_end, first: one.min(other), last: one.max(other) })
    }
    pub(crate) fn encode(self, e: &mut Encoder) {
        let sign = if self.from_end { "-" } else { "" };
        e.raw(format!("{sign}{}:{sign}{}", self.first, self.last));
    }
    /// Which of `len` results, as positions from 0; may be empty.
    pub fn positions(self, len: usize) -> std::ops::Range<usize> {
        let (first, last) = (self.first as usize - 1, (self.last as usize).min(len));
        if first >= last {
            return 0..0;
        }
        if self.from_end { len - last..len - first } else { first..last }
    }
}

/// `RETURN (...) `, when there.
pub(crate) fn returns(c: &mut Cursor<'_>) -> Parsed<Option<Vec<SearchReturn>>> {
    if !c.eat_text("RETURN (") {
        return Ok(None);
    }
    c.at -= 1;
    let returns = c.list(true, SearchReturn::parse)?;
    c.space()?;
    Ok(Some(returns))
}

/// The same, written.
pub(crate) fn encode_returns(e: &mut Encoder, returns: Option<&[SearchReturn]>) {
    if let Some(returns) = returns {
        e.raw("RETURN ");
        e.list(returns, |e, option| option.encode(e));
        e.raw(" ");
    }
}

/// One or more keys to the end.
pub(crate) fn keys(c: &mut Cursor<'_>) -> Parsed<Vec<SearchKey>> {
    let mut keys = vec![SearchKey::parse(c)?];
    while c.eat_space() {
        keys.push(SearchKey::parse(c)?);
    }
    Ok(keys)
}

impl Search {
    /// After `SEARCH` or `UID SEARCH`.
    pub(crate) fn parse(c: &mut Cursor<'_>, uid: bool) -> Parsed<Search> {
        c.space()?;
        let returns = returns(c)?;
        let mut charset = None;
        if c.eat_text("CHARSET ") {
            c.skip_spaces();
            charset = Some(read_charset(c)?);
            c.space()?;
        }
        Ok(Search { uid, returns, charset, keys: keys(c)? })
    }

    /// What the value of a FILTER says (RFC 5466 §3.1): perhaps a charset, then keys. `None`: it is no search.
    pub fn of_filter(value: &[u8]) -> Option<Search> {
        let text = [b" ", value].concat();
        let mut c = Cursor::with_utf8(&text, true);
        let search = Search::parse(&mut c, false).ok()?;
        (c.at_end() && search.returns.is_none() && search.charset_supported()).then_some(search)
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw(if self.uid { "UID SEARCH " } else { "SEARCH " });
        self.encode_program(e);
    }

    /// RETURN, CHARSET and keys.
    pub(crate) fn encode_program(&self, e: &mut Encoder) {
        encode_returns(e, self.returns.as_deref());
        if let Some(charset) = &self.charset {
            e.raw("CHARSET ");
            e.astring(charset.as_bytes());
            e.raw(" ");
        }
        e.spaced(&self.keys, |e, key| key.encode(e));
    }
}

/// Keys that are a word alone.
const WORDS: [(&str, SearchKey); 15] = [
    ("ALL", SearchKey::All),
    ("ANSWERED", SearchKey::Answered),
    ("DELETED", SearchKey::Deleted),
    ("DRAFT", SearchKey::Draft),
    ("FLAGGED", SearchKey::Flagged),
    ("NEW", SearchKey::New),
    ("OLD", SearchKey::Old),
    ("RECENT", SearchKey::Recent),
    ("SAVEDATESUPPORTED", SearchKey::SaveDateSupported),
    ("SEEN", SearchKey::Seen),
    ("UNANSWERED", SearchKey::Unanswered),
    ("UNDELETED", SearchKey::Undeleted),
    ("UNDRAFT", SearchKey::Undraft),
    ("UNFLAGGED", SearchKey::Unflagged),
    ("UNSEEN", SearchKey::Unseen),
];

impl SearchKey {
    fn parse(c: &mut Cursor<'_>) -> Parsed<SearchKey> {
        c.terms += 1;
        if c.terms > SEARCH_TERMS_MAX {
            return c.error("too many search keys");
        }
        if SequenceSet::ahead(c) {
            return SequenceSet::parse(c).map(SearchKey::Sequence);
        }
        if c.peek() == Some(b'(') {
            let mut keys = c.list(false, SearchKey::parse)?;
            return Ok(if keys.len() == 1 { keys.remove(0) } else { SearchKey::And(keys) });
        }
        let word = c.atom()?;
        if let Some((_, key)) = WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) {
            return Ok(key.clone());
        }
        c.space()?;
        SearchKey::parse_argument(c, &word.to_ascii_uppercase())
    }

    fn parse_argument(c: &mut Cursor<'_>, word: &str) -> Parsed<SearchKey> {
        Ok(match word {
            "BCC" => SearchKey::Bcc(text(c)?),
            "BODY" => SearchKey::Body(text(c)?),
            "CC" => SearchKey::Cc(text(c)?),
            "FROM" => SearchKey::From(text(c)?),
            "SUBJECT" => SearchKey::Subject(text(c)?),
            "TEXT" => SearchKey::Text(text(c)?),
            "TO" => SearchKey::To(text(c)?),
            "HEADER" => {
                let name = text(c)?;
                c.space()?;
                SearchKey::Header(name, text(c)?)
            }
            "BEFORE" => SearchKey::Before(Date::parse(c)?),
            "ON" => SearchKey::On(Date::parse(c)?),
            "SINCE" => SearchKey::Since(Date::parse(c)?),
            "SENTBEFORE" => SearchKey::SentBefore(Date::parse(c)?),
            "SENTON" => SearchKey::SentOn(Date::parse(c)?),
            "SENTSINCE" => SearchKey::SentSince(Date::parse(c)?),
            "KEYWORD" => SearchKey::Keyword(keyword(c)?),
            "UNKEYWORD" => SearchKey::Unkeyword(keyword(c)?),
            "LARGER" => SearchKey::Larger(c.number64()?),
            "SMALLER" => SearchKey::Smaller(c.number64()?),
            "OLDER" => SearchKey::Older(c.nz_number()?),
            "YOUNGER" => SearchKey::Younger(c.nz_number()?),
            "UID" => SearchKey::Uid(SequenceSet::parse(c)?),
            "MODSEQ" => SearchKey::ModSeq(mod_seq(c)?),
            "SAVEDBEFORE" => SearchKey::SavedBefore(Date::parse(c)?),
            "SAVEDON" => SearchKey::SavedOn(Date::parse(c)?),
            "SAVEDSINCE" => SearchKey::SavedSince(Date::parse(c)?),
            "EMAILID" => SearchKey::EmailId(object_id(c)?),
            "THREADID" => SearchKey::ThreadId(object_id(c)?),
            "UIDAFTER" => SearchKey::UidAfter(c.nz_number()?),
            "UIDBEFORE" => SearchKey::UidBefore(c.nz_number()?),
            "FILTER" => SearchKey::Filter(SmolStr::new(c.atom()?)),
            "FUZZY" => SearchKey::Fuzzy(Box::new(SearchKey::parse_deeper(c)?)),
            "NOT" => SearchKey::Not(Box::new(SearchKey::parse_deeper(c)?)),
            "OR" => {
                let first = SearchKey::parse_deeper(c)?;
                c.space()?;
                SearchKey::Or(Box::new(first), Box::new(SearchKey::parse_deeper(c)?))
            }
            _ => return c.error("unknown search key"),
        })
    }

    /// NOT and OR nest without parentheses; they count all the same.
    fn parse_deeper(c: &mut Cursor<'_>) -> Parsed<SearchKey> {
        c.depth += 1;
        if c.depth > PAREN_DEPTH_MAX {
            return c.error("search keys stand too deep within each other");
        }
        let key = SearchKey::parse(c);
        c.depth = c.depth.saturating_sub(1);
        key
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        use SearchKey as K;
        match self {
            K::Bcc(s) => named_text(e, "BCC ", s),
            K::Body(s) => named_text(e, "BODY ", s),
            K::Cc(s) => named_text(e, "CC ", s),
            K::From(s) => named_text(e, "FROM ", s),
            K::Subject(s) => named_text(e, "SUBJECT ", s),
            K::Text(s) => named_text(e, "TEXT ", s),
            K::To(s) => named_text(e, "TO ", s),
            K::Header(name, s) => {
                named_text(e, "HEADER ", name);
                named_text(e, " ", s);
            }
            K::Before(d) => named_date(e, "BEFORE ", d),
            K::On(d) => named_date(e, "ON ", d),
            K::Since(d) => named_date(e, "SINCE ", d),
            K::SentBefore(d) => named_date(e, "SENTBEFORE ", d),
            K::SentOn(d) => named_date(e, "SENTON ", d),
            K::SentSince(d) => named_date(e, "SENTSINCE ", d),
            K::Keyword(word) => e.raw(format!("KEYWORD {word}")),
            K::Unkeyword(word) => e.raw(format!("UNKEYWORD {word}")),
            K::Larger(n) => e.raw(format!("LARGER {n}")),
            K::Smaller(n) => e.raw(format!("SMALLER {n}")),
            K::Older(n) => e.raw(format!("OLDER {n}")),
            K::Younger(n) => e.raw(format!("YOUNGER {n}")),
            K::ModSeq(n) => e.raw(format!("MODSEQ {n}")),
            K::SavedBefore(d) => named_date(e, "SAVEDBEFORE ", d),
            K::SavedOn(d) => named_date(e, "SAVEDON ", d),
            K::SavedSince(d) => named_date(e, "SAVEDSINCE ", d),
            K::EmailId(id) => e.raw(format!("EMAILID {id}")),
            K::ThreadId(id) => e.raw(format!("THREADID {id}")),
            K::UidAfter(n) => e.raw(format!("UIDAFTER {n}")),
            K::UidBefore(n) => e.raw(format!("UIDBEFORE {n}")),
            K::Filter(name) => e.raw(format!("FILTER {name}")),
            K::Fuzzy(key) => {
                e.raw("FUZZY ");
                key.encode(e);
            }
            K::Uid(set) => {
                e.raw("UID ");
                set.encode(e);
            }
            K::Sequence(set) => set.encode(e),
            K::Not(key) => {
                e.raw("NOT ");
                key.encode(e);
            }
            K::Or(first, second) => {
                e.raw("OR ");
                first.encode(e);
                e.raw(" ");
                second.encode(e);
            }
            K::And(keys) => e.list(keys, |e, key| key.encode(e)),
            word => e.raw(WORDS.iter().find(|(_, key)| key == word).map_or("ALL", |(name, _)| name)),
        }
    }
}

fn named_text(e: &mut Encoder, name: &str, text: &str) {
    e.raw(name);
    e.astring(text.as_bytes());
}

fn named_date(e: &mut Encoder, name: &str, date: &Date) {
    e.raw(name);
    date.encode(e);
}

fn is_plain(charset: &str) -> bool {
    charset.eq_ignore_ascii_case("UTF-8") || charset.eq_ignore_ascii_case("US-ASCII")
}

/// The charset of the strings behind it (RFC 9051 §6.4.4): they are UTF-8 once they are read, where we know it.
pub(crate) fn read_charset(c: &mut Cursor<'_>) -> Parsed<SmolStr> {
    let name = SmolStr::new(String::from_utf8_lossy(&c.astring()?));
    if is_plain(&name) || !message::charset::is_known(name.as_bytes()) {
        return Ok(name);
    }
    c.charset = Some(name);
    Ok("UTF-8".into())
}

/// Text as UTF-8. Of a charset that nobody knows it is made readable, and refused later by its name.
fn text(c: &mut Cursor<'_>) -> Parsed<String> {
    let octets = c.astring()?;
    Ok(match &c.charset {
        Some(charset) => message::charset::decode(charset.as_bytes(), &octets).into_owned(),
        None => String::from_utf8_lossy(&octets).into_owned(),
    })
}

/// `objectid` (RFC 8474 §7): 1 to 255 of letters, digits, `_` and `-`.
pub(crate) fn object_id(c: &mut Cursor<'_>) -> Parsed<SmolStr> {
    let id = c.take_while(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match std::str::from_utf8(id) {
        Ok(id) if (1..=255).contains(&id.len()) => Ok(SmolStr::new(id)),
        _ => c.error("an object id is missing"),
    }
}

/// `flag-keyword`: an atom, so never a system flag. One with `]` (not allowed, but seen) is taken, as it is by STORE.
fn keyword(c: &mut Cursor<'_>) -> Parsed<SmolStr> {
    let word = c.take_while(|b| b == b']' || is_atom_char(b));
    match std::str::from_utf8(word) {
        Ok(word) if !word.is_empty() => Ok(SmolStr::new(word)),
        _ => c.error("a keyword is missing"),
    }
}

fn mod_seq(c: &mut Cursor<'_>) -> Parsed<u64> {
    if c.peek() == Some(b'"') {
        c.string()?;
        c.space()?;
        let kind = c.atom()?;
        if !["all", "priv", "shared"].iter().any(|k| kind.eq_ignore_ascii_case(k)) {
            return c.error("the entry type is all, priv or shared");
        }
        c.space()?;
    }
    c.mod_seq()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::encoder::Literals;
    use super::*;

    fn read(text: &str) -> Option<Search> {
        let mut c = Cursor::new(text.as_bytes());
        let uid = c.eat_text("UID ");
        c.eat_text("SEARCH").then_some(())?;
        let search = Search::parse(&mut c, uid).ok()?;
        c.end().ok().map(|()| search)
    }
    fn written(search: &Search) -> String {
        let mut e = Encoder::client(Literals::Plus, false);
        search.encode(&mut e);
        String::from_utf8(e.bytes).unwrap()
    }

    #[test]
    fn both_ways() {
        for text in [
            "SEARCH ALL",
            "UID SEARCH 1:* UNSEEN",
            "SEARCH RETURN () ALL",
            "SEARCH RETURN (MIN MAX ALL COUNT SAVE) $",
            "SEARCH CHARSET UTF-8 SUBJECT {2+}\r\n\u{e4}",
            "SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM Smith",
            "SEARCH OR (SEEN UNDELETED) OR BODY \"a b\" NOT UID 4,7:*",
            "SEARCH HEADER Message-ID <a@b> HEADER X-Y \"\"",
            "SEARCH KEYWORD $Junk UNKEYWORD $NotJunk LARGER 0 SMALLER 5000000000",
            "SEARCH OLDER 60 YOUNGER 3600 MODSEQ 620162338",
            "SEARCH SENTBEFORE 1-Jan-2000 SENTON 2-Jan-2000 SENTSINCE 3-Jan-2000 BEFORE 1-Jan-2000 ON 1-Jan-2000",
            "SEARCH ANSWERED DELETED DRAFT FLAGGED NEW OLD RECENT SEEN UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNSEEN",
            "SEARCH BCC a CC b FROM c SUBJECT d TEXT e TO f",
            "UID SEARCH RETURN (PARTIAL -1:-100 UPDATE CONTEXT) FUZZY TEXT boat",
            "SEARCH SAVEDBEFORE 1-Jan-2000 SAVEDON 2-Jan-2000 SAVEDSINCE 3-Jan-2000 SAVEDATESUPPORTED",
            "SEARCH EMAILID M6d99ac3275bb4e THREADID T64b478a75b7ea9 FILTER on-the-road UIDAFTER 5 UIDBEFORE 9",
        ] {
            assert_eq!(written(&read(text).unwrap()), text);
        }
    }

    #[test]
    fn other_spellings_mean_the_same() {
        for (text, same) in [
            ("SEARCH (SEEN)", "SEARCH SEEN"),
            ("SEARCH  uid  1  (  seen  all ) ", "SEARCH UID 1 (SEEN ALL)"),
            ("SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338", "SEARCH MODSEQ 620162338"),
            ("SEARCH SINCE \"01-feb-1994\"", "SEARCH SINCE 1-Feb-1994"),
            ("SEARCH return (all) charset us-ascii text \"x\"", "SEARCH RETURN (ALL) CHARSET us-ascii TEXT x"),
        ] {
            assert_eq!(written(&read(text).unwrap()), same);
        }
        for bad in [
            "SEARCH",
            "SEARCH ",
            "SEARCH ()",
            "SEARCH (SEEN",
            "SEARCH SEEN)",
            "SEARCH FOO",
            "SEARCH NOT",
            "SEARCH OR SEEN",
            "SEARCH FROM",
            "SEARCH RETURN (FOO) ALL",
            "SEARCH RETURN (ALL)",
            "SEARCH RETURN (PARTIAL 0:5) ALL",
            "SEARCH RETURN (PARTIAL -1:5) ALL",
            "SEARCH RETURN (PARTIAL 1) ALL",
            "SEARCH EMAILID (x",
            "SEARCH OLDER 0",
            "SEARCH UID x",
            "SEARCH SINCE 2000-01-01",
            "SEARCH KEYWORD \\Seen",
            "SEARCH UNKEYWORD \\Seen",
            "SEARCHALL",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn partial_ranges_are_windows() {
        let range = |text: &str| PartialRange::parse(&mut Cursor::new(text.as_bytes())).unwrap();
        assert_eq!(range("1:5").positions(10), 0..5);
        assert_eq!(range("5:1").positions(3), 0..3);
        assert_eq!(range("4:9").positions(3), 0..0);
        assert_eq!(range("-1:-3").positions(10), 7..10);
        assert_eq!(range("-3:-5").positions(4), 0..2);
    }

    #[test]
    fn charsets() {
        assert!(read("SEARCH CHARSET utf-8 ALL").unwrap().charset_supported());
        assert!(read("SEARCH ALL").unwrap().charset_supported());
        assert!(!read("SEARCH CHARSET X-NONE ALL").unwrap().charset_supported());
        let read = |octets: &[u8]| {
            let mut c = Cursor::new(octets);
            Search::parse(&mut c, false).unwrap()
        };
        let subject = |text: &str| vec![SearchKey::Subject(text.into())];
        for (octets, text) in [
            (&b" CHARSET koi8-r SUBJECT \"\xf0\xd2\xc9\""[..], "При"),
            (b" CHARSET ISO-8859-1 SUBJECT \"\xfc\"", "ü"),
            (b" CHARSET UTF-16 SUBJECT {4+}\r\n\xfe\xff\x04\x1f", "П"),
            (b" CHARSET ISO-2022-JP SUBJECT {8+}\r\n\x1b$B4A\x1b(B", "漢"),
            (b" CHARSET UTF-8 SUBJECT \"\xc3\xbc\"", "ü"),
            (b" SUBJECT \"\xc3\xbc\"", "ü"),
        ] {
            let search = read(octets);
            assert!(search.charset_supported());
            assert_eq!(search.keys, subject(text));
        }
    }

    #[test]
    fn limits_of_depth_and_number() {
        let deep = |n: usize| read(&format!("SEARCH {}ALL{}", "(".repeat(n), ")".repeat(n))).is_some();
        assert!(deep(PAREN_DEPTH_MAX) && !deep(PAREN_DEPTH_MAX + 1));
        let not = |n: usize| read(&format!("SEARCH {}ALL", "NOT ".repeat(n))).is_some();
        assert!(not(PAREN_DEPTH_MAX) && !not(PAREN_DEPTH_MAX + 1));
        let many = |n: usize| read(&format!("SEARCH{}", " ALL".repeat(n))).is_some();
        assert!(many(SEARCH_TERMS_MAX) && !many(SEARCH_TERMS_MAX + 1));
    }
}

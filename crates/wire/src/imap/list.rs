//! LIST, LSUB, XLIST and their answers (RFC 9051 §6.3.9, §7.3.1; RFC 5258, 5819, 6154, 3348, 8440, 9590).
//!
//! ```abnf
//! list           = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP "RETURN" SP "(" [return-option *(SP ...)] ")"]
//! mbox-or-pat    = list-mailbox / "(" list-mailbox *(SP list-mailbox) ")"
//! mailbox-list   = "(" [mbx-list-flags] ")" SP (DQUOTE QUOTED-CHAR DQUOTE / nil) SP mailbox [SP mbox-list-extended]
//! mbox-list-extended = "(" [mbox-list-extended-item *(SP ...)] ")"       ; CHILDINFO, OLDNAME
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::mailbox_name;
use super::mailbox_name::MailboxName;
use super::metadata::Entry;
use super::status::{self, StatusAttribute};
use super::string::is_astring_char;
use smol_str::SmolStr;

/// LIST, LSUB or XLIST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Which of the three.
    pub kind: ListKind,
    /// Selection options; empty for a plain LIST.
    pub selection: Vec<ListSelection>,
    /// Reference name, decoded.
    pub reference: String,
    /// Patterns, decoded; one for a plain LIST. An empty pattern asks for the delimiter.
    pub patterns: Vec<String>,
    /// RETURN options.
    pub returns: Vec<ListReturn>,
    /// Any extended syntax was used (selection, RETURN or a pattern list).
    pub extended: bool,
}

/// The three commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ListKind {
    List,
    Lsub,
    /// Old Apple and Outlook clients; as LIST with special-use, answered `* XLIST`.
    Xlist,
}

/// `list-select-opt`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ListSelection {
    Subscribed,
    Remote,
    RecursiveMatch,
    SpecialUse,
}

/// `return-option`
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ListReturn {
    Subscribed,
    Children,
    SpecialUse,
    Status(Vec<StatusAttribute>),
    /// RFC 8440
    MyRights,
    /// RFC 9590
    Metadata(Vec<Entry>),
}

/// `mbx-list-flags`, by their exact names (lessons: `\Drafts`, never `\Draft`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum MailboxAttribute {
    NoInferiors,
    NonExistent,
    NoSelect,
    HasChildren,
    HasNoChildren,
    Marked,
    Unmarked,
    Subscribed,
    Remote,
    All,
    Archive,
    Drafts,
    Flagged,
    Junk,
    Sent,
    Trash,
    Important,
    /// Without its backslash.
    Other(SmolStr),
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ListResponse {
    pub kind: ListKind,
    pub attributes: Vec<MailboxAttribute>,
    pub delimiter: Option<char>,
    pub name: MailboxName,
    /// CHILDINFO (RFC 5258 §3.5): `SUBSCRIBED` and the like.
    pub child_info: Vec<SmolStr>,
    /// OLDNAME (RFC 9051 §6.3.9.7).
    pub old_name: Option<MailboxName>,
}

impl ListKind {
    fn name(self) -> &'static str {
        match self {
            ListKind::List => "LIST",
            ListKind::Lsub => "LSUB",
            ListKind::Xlist => "XLIST",
        }
    }
}

impl ListSelection {
    const NAMES: [(&'static str, ListSelection); 4] = [
        ("SUBSCRIBED", ListSelection::Subscribed),
        ("REMOTE", ListSelection::Remote),
        ("RECURSIVEMATCH", ListSelection::RecursiveMatch),
        ("SPECIAL-USE", ListSelection::SpecialUse),
    ];
    fn parse(c: &mut Cursor<'_>) -> Parsed<ListSelection> {
        let word = c.atom()?;
        match Self::NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) {
            Some((_, option)) => Ok(*option),
            None => c.error("unknown LIST selection option"),
        }
    }
    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, option)| *option == self).map_or("", |(name, _)| name)
    }
}

impl ListReturn {
    fn parse(c: &mut Cursor<'_>) -> Parsed<ListReturn> {
        let word = c.atom()?.to_ascii_uppercase();
        Ok(match word.as_str() {
            "SUBSCRIBED" => ListReturn::Subscribed,
            "CHILDREN" => ListReturn::Children,
            "SPECIAL-USE" => ListReturn::SpecialUse,
            "MYRIGHTS" => ListReturn::MyRights,
            "METADATA" => {
                c.space()?;
                ListReturn::Metadata(c.list(false, Entry::parse)?)
            }
            "STATUS" => {
                c.space()?;
                ListReturn::Status(c.list(false, StatusAttribute::parse)?)
            }
            _ => return c.error("unknown LIST return option"),
        })
    }
    fn encode(&self, e: &mut Encoder) {
        match self {
            ListReturn::Subscribed => e.raw("SUBSCRIBED"),
            ListReturn::Children => e.raw("CHILDREN"),
            ListReturn::SpecialUse => e.raw("SPECIAL-USE"),
            ListReturn::MyRights => e.raw("MYRIGHTS"),
            ListReturn::Metadata(entries) => {
                e.raw("METADATA ");
                e.list(entries, |e, entry| entry.encode(e));
            }
            ListReturn::Status(attributes) => {
                e.raw("STATUS ");
                status::encode_attributes(e, attributes);
            }
        }
    }
}

fn pattern(c: &mut Cursor<'_>) -> Parsed<String> {
    let octets = c.list_mailbox()?;
    mailbox_name::decode(c, &octets)
}

impl List {
    /// After `LIST`, `LSUB` or `XLIST`.
    pub(crate) fn parse(c: &mut Cursor<'_>, kind: ListKind) -> Parsed<List> {
        c.space()?;
        let mut list = List {
            kind,
            selection: Vec::new(),
            reference: String::new(),
            patterns: Vec::new(),
            returns: Vec::new(),
            extended: false,
        };
        let may_extend = kind == ListKind::List;
        if may_extend && c.peek() == Some(b'(') {
            list.extended = true;
            list.selection = c.list(true, ListSelection::parse)?;
            c.space()?;
        }
        let recursive = list.selection.contains(&ListSelection::RecursiveMatch);
        if recursive && !list.selection.iter().any(|o| matches!(o, ListSelection::Subscribed | ListSelection::SpecialUse)) {
            return c.error("RECURSIVEMATCH needs another selection option");
        }
        // The reference may carry wildcards in the wild; they are then literal.
        list.reference = pattern(c)?;
        c.space()?;
        if may_extend && c.peek() == Some(b'(') {
            list.extended = true;
            list.patterns = c.list(false, pattern)?;
        } else {
            list.patterns.push(pattern(c)?);
        }
        if may_extend && c.eat_space() {
            if !c.eat_text("RETURN") {
                return c.error("unknown LIST option");
            }
            c.space()?;
            list.extended = true;
            list.returns = c.list(true, ListReturn::parse)?;
        }
        Ok(list)
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw(self.kind.name());
        e.raw(" ");
        if !self.selection.is_empty() {
            e.list(&self.selection, |e, option| e.raw(option.name()));
            e.raw(" ");
        }
        encode_pattern(e, &self.reference);
        e.raw(" ");
        // An extended LIST without options shows in the parentheses alone (RFC 5258 §6: `mbox-or-pat`).
        let shown = !self.extended || !self.selection.is_empty() || !self.returns.is_empty();
        match self.patterns.as_slice() {
            [one] if shown => encode_pattern(e, one),
            many => e.list(many, |e, pattern| encode_pattern(e, pattern)),
        }
        if !self.returns.is_empty() {
            e.raw(" RETURN ");
            e.list(&self.returns, |e, option| option.encode(e));
        }
    }
}

/// Always quoted: every server reads wildcards so.
fn encode_pattern(e: &mut Encoder, pattern: &str) {
    if e.utf8 { e.string(pattern.as_bytes()) } else { e.string(mailbox_name::encode_utf7(pattern).as_bytes()) }
}

impl MailboxAttribute {
    const NAMES: [(&'static str, MailboxAttribute); 17] = [
        ("Noinferiors", MailboxAttribute::NoInferiors),
        ("NonExistent", MailboxAttribute::NonExistent),
        ("Noselect", MailboxAttribute::NoSelect),
        ("HasChildren", MailboxAttribute::HasChildren),
        ("HasNoChildren", MailboxAttribute::HasNoChildren),
        ("Marked", MailboxAttribute::Marked),
        ("Unmarked", MailboxAttribute::Unmarked),
        ("Subscribed", MailboxAttribute::Subscribed),
        ("Remote", MailboxAttribute::Remote),
        ("All", MailboxAttribute::All),
        ("Archive", MailboxAttribute::Archive),
        ("Drafts", MailboxAttribute::Drafts),
        ("Flagged", MailboxAttribute::Flagged),
        ("Junk", MailboxAttribute::Junk),
        ("Sent", MailboxAttribute::Sent),
        ("Trash", MailboxAttribute::Trash),
        ("Important", MailboxAttribute::Important),
    ];
    /// As on the wire, without its backslash.
    pub fn name(&self) -> &str {
        match self {
            MailboxAttribute::Other(word) => word,
            known => Self::NAMES.iter().find(|(_, attribute)| attribute == known).map_or("", |(name, _)| name),
        }
    }
    /// With its backslash (which a few servers forget for new attributes).
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<MailboxAttribute> {
        c.eat(b'\\');
        let word = c.take_while(is_astring_char);
        match std::str::from_utf8(word) {
            Ok(word) if !word.is_empty() => {
                let known = Self::NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
                Ok(known.map_or_else(|| MailboxAttribute::Other(SmolStr::new(word)), |(_, attribute)| attribute.clone()))
            }
            _ => c.error("a mailbox attribute is missing"),
        }
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("\\");
        e.raw(self.name());
    }
}

impl ListResponse {
    /// After `* LIST`, `* LSUB` or `* XLIST`.
    pub(crate) fn parse(c: &mut Cursor<'_>, kind: ListKind) -> Parsed<ListResponse> {
        c.space()?;
        let attributes = c.list(true, MailboxAttribute::parse)?;
        c.space()?;
        let delimiter = if c.eat_nil() { None } else { String::from_utf8_lossy(&c.string()?).chars().next() };
        c.space()?;
        let name = MailboxName::parse_tolerant(c)?;
        let mut response = ListResponse { kind, attributes, delimiter, name, child_info: Vec::new(), old_name: None };
        if c.eat_space() {
            c.list(true, |c| response.parse_extended(c))?;
        }
        Ok(response)
    }

    fn parse_extended(&mut self, c: &mut Cursor<'_>) -> Parsed<()> {
        let tag = c.astring_text()?;
        c.space()?;
        if tag.eq_ignore_ascii_case("CHILDINFO") {
            self.child_info = c.list(true, |c| c.astring_text().map(SmolStr::from))?;
        } else if tag.eq_ignore_ascii_case("OLDNAME") {
            self.old_name = c.list(false, MailboxName::parse_tolerant)?.into_iter().next();
        } else {
            c.skip_value()?;
        }
        Ok(())
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw(self.kind.name());
        e.raw(" ");
        e.list(&self.attributes, |e, attribute| attribute.encode(e));
        match self.delimiter {
            Some(delimiter) => {
                e.raw(" ");
                e.string(delimiter.encode_utf8(&mut [0; 4]).as_bytes());
                e.raw(" ");
            }
            None => e.raw(" NIL "),
        }
        // `LIST "" ""` answers with an empty name (RFC 9051 §6.3.9).
        self.name.encode(e);
        if self.child_info.is_empty() && self.old_name.is_none() {
            return;
        }
        e.raw(" (");
        if !self.child_info.is_empty() {
            e.raw("\"CHILDINFO\" ");
            e.list(&self.child_info, |e, word| e.string(word.as_bytes()));
        }
        if let Some(old_name) = &self.old_name {
            e.raw(if self.child_info.is_empty() { "\"OLDNAME\" (" } else { " \"OLDNAME\" (" });
            old_name.encode(e);
            e.raw(")");
        }
        e.raw(")");
    }
}

/// Does `name` match `pattern`? `*` is anything, `%` anything but the delimiter; INBOX in any case (RFC 9051 §6.3.9).
/// Linear in name times pattern, whatever the wildcards.
pub fn matches(pattern: &str, name: &str, delimiter: char) -> bool {
    let inbox = name == "INBOX" || name.starts_with(&format!("INBOX{delimiter}"));
    let name: Vec<char> = name.chars().collect();
    // reach[n]: the pattern so far can match exactly the first n characters.
    let mut reach = vec![false; name.len() + 1];
    if let Some(first) = reach.first_mut() {
        *first = true;
    }
    let mut next = vec![false; reach.len()];
    for wanted in pattern.chars() {
        let (mut open, mut any) = (false, false);
        for n in 0..reach.len() {
            let here = reach.get(n).copied().unwrap_or(false);
            let last = n.checked_sub(1).and_then(|at| name.get(at)).copied();
            let hit = match wanted {
                '*' => {
                    open |= here;
                    open
                }
                '%' => {
                    open = here || (open && last != Some(delimiter));
                    open
                }
                _ => {
                    let before = n.checked_sub(1).and_then(|at| reach.get(at)).copied().unwrap_or(false);
                    let same = |c: char| c == wanted || (inbox && n <= 5 && c.eq_ignore_ascii_case(&wanted));
                    before && last.is_some_and(same)
                }
            };
            any |= hit;
            if let Some(slot) = next.get_mut(n) {
                *slot = hit;
            }
        }
        if !any {
            return false;
        }
        std::mem::swap(&mut reach, &mut next);
    }
    reach.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        let word = c.atom().ok()?.to_owned();
        let kind = [ListKind::List, ListKind::Lsub, ListKind::Xlist].into_iter().find(|k| k.name() == word)?;
        let list = List::parse(&mut c, kind).ok()?;
        c.end().ok()?;
        let mut e = Encoder::server(Vec::new(), false);
        list.encode(&mut e);
        Some(String::from_utf8(e.bytes).unwrap())
    }

    #[test]
    fn commands_both_ways() {
        for text in [
            "LIST \"\" \"*\"",
            "LSUB \"#news.\" \"comp.%\"",
            "XLIST \"\" \"\"",
            "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" \"*\" RETURN (CHILDREN SPECIAL-USE SUBSCRIBED)",
            "LIST (SPECIAL-USE REMOTE) \"\" (\"INBOX\" \"Drafts\" \"Sent/%\")",
            "LIST \"\" \"%\" RETURN (STATUS (MESSAGES UNSEEN))",
            "LIST \"\" \"Entw&APw-rfe/*\"",
            "LIST \"\" (\"%\")",
        ] {
            assert_eq!(read(text).unwrap(), text);
        }
        assert_eq!(read("LIST \"\" %/%").unwrap(), "LIST \"\" \"%/%\"");
        assert_eq!(read("LIST () \"\" * RETURN ()").unwrap(), "LIST \"\" (\"*\")");
        for bad in [
            "LIST",
            "LIST \"\"",
            "LIST \"\" * x",
            "LIST (FOO) \"\" *",
            "LIST (RECURSIVEMATCH) \"\" *",
            "LSUB (SUBSCRIBED) \"\" *",
            "LIST \"\" * RETURN (STATUS ())",
            "LIST \"\" ()",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn answers_both_ways() {
        for text in [
            r#"LIST (\HasNoChildren \Drafts) "/" Drafts"#,
            r#"LIST (\Noselect) "/" """#,
            r#"LSUB () NIL "a b""#,
            r#"XLIST (\Subscribed \NonExistent \X) "\\" &2D3c7A-"#,
            r#"LIST () "/" Foo ("CHILDINFO" ("SUBSCRIBED") "OLDNAME" (Bar))"#,
            r#"LIST () "/" Foo ("OLDNAME" (Bar))"#,
        ] {
            let mut c = Cursor::new(text.as_bytes());
            let word = c.atom().unwrap();
            let kind = [ListKind::List, ListKind::Lsub, ListKind::Xlist].into_iter().find(|k| k.name() == word).unwrap();
            let response = ListResponse::parse(&mut c, kind).unwrap();
            assert!(c.at_end());
            let mut e = Encoder::server(Vec::new(), false);
            response.encode(&mut e);
            assert_eq!(String::from_utf8(e.bytes).unwrap(), text);
        }
    }

    #[test]
    fn wildcards() {
        for (pattern, name, yes) in [
            ("*", "a/b", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("%/%", "a/b", true),
            ("%/%", "a/b/c", false),
            ("a*c", "a/b/c", true),
            ("a%c", "abc", true),
            ("a%c", "a/c", false),
            ("inbox", "INBOX", true),
            ("inBox/%", "INBOX/x", true),
            ("INBOX/X", "INBOX/x", false),
            ("drafts", "Drafts", false),
            ("%box", "INBOX", true),
            ("", "", true),
            ("", "a", false),
            ("*%*", "", true),
            ("a/%", "a", false),
            ("a/%", "a/", true),
            ("*b", "a/b", true),
            ("\u{e4}%", "\u{e4}\u{f6}", true),
        ] {
            assert_eq!(matches(pattern, name, '/'), yes, "{pattern} {name}");
        }
        let hard = format!("{}x", "*a".repeat(500));
        assert!(!matches(&hard, &"a".repeat(1000), '/'));
    }
}

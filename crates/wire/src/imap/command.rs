//! Commands (RFC 9051 §6): every command as one value, both ways.
//!
//! ```abnf
//! command = tag SP (command-any / command-auth / command-nonauth / command-select) CRLF
//! ```
//!
//! To add a command: a variant, a row in `COMMANDS`, an arm in `parse` and one in `encode`.

use super::acl::AclCommand;
use super::append::{Append, Replaced};
use super::cursor::{Cursor, Parsed};
use super::enable::Extension;
use super::encoder::Encoder;
use super::esearch::MultiSearch;
use super::fetch::Fetch;
use super::id::Id;
use super::limits::LIST_ITEMS_MAX;
use super::list::{List, ListKind, MailboxAttribute};
use super::mailbox_name::MailboxName;
use super::metadata::{GetMetadata, SetMetadata};
use super::notify::Notify;
use super::quota::QuotaCommand;
use super::search::Search;
use super::select::Select;
use super::sequence_set::SequenceSet;
use super::sort::Sort;
use super::status::Status;
use super::store::Store;
use super::tag::Tag;
use super::thread::Thread;
use super::url::UrlCommand;
use crate::sasl;
use smol_str::SmolStr;

/// A command without its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Command {
    // any state
    Capability,
    Noop,
    Logout,
    Id(Id),
    // not authenticated
    StartTls,
    /// The initial response is decoded; `=` is `Some` of nothing.
    Authenticate {
        mechanism: SmolStr,
        initial_response: Option<Vec<u8>>,
    },
    Login {
        user: String,
        password: Vec<u8>,
    },
    // authenticated
    Enable(Vec<Extension>),
    Select(Select),
    /// CREATE with USE (RFC 6154 §3).
    Create {
        mailbox: MailboxName,
        uses: Vec<MailboxAttribute>,
    },
    Delete {
        mailbox: MailboxName,
    },
    Rename {
        from: MailboxName,
        to: MailboxName,
    },
    Subscribe {
        mailbox: MailboxName,
    },
    Unsubscribe {
        mailbox: MailboxName,
    },
    List(List),
    Namespace,
    Status(Status),
    /// Up to its literal.
    Append(Append),
    /// REPLACE and UID REPLACE (RFC 8508), up to the literal.
    Replace {
        replaced: Replaced,
        append: Append,
    },
    Idle,
    // selected
    Check,
    Close,
    Unselect,
    /// EXPUNGE, or UID EXPUNGE with a set.
    Expunge {
        uids: Option<SequenceSet>,
    },
    Search(Search),
    Fetch(Fetch),
    Store(Store),
    Copy {
        uid: bool,
        set: SequenceSet,
        mailbox: MailboxName,
    },
    Move {
        uid: bool,
        set: SequenceSet,
        mailbox: MailboxName,
    },
    Sort(Sort),
    Thread(Thread),
    // extensions, with or without a mailbox selected
    /// ESEARCH (RFC 7377).
    MultiSearch(MultiSearch),
    /// CANCELUPDATE (RFC 5267 §4.5): the tags of searches.
    CancelUpdate(Vec<Tag>),
    Acl(AclCommand),
    Quota(QuotaCommand),
    GetMetadata(GetMetadata),
    SetMetadata(SetMetadata),
    Notify(Notify),
    Url(UrlCommand),
    /// COMPRESS (RFC 4978) and its mechanism.
    Compress(SmolStr),
    /// RFC 8437
    Unauthenticate,
    /// GETJMAPACCESS (RFC 9698).
    GetJmapAccess,
    /// COMPARATOR (RFC 5255 §4.7): those to choose from, first choice first; empty asks only.
    Comparator(Vec<String>),
    /// UIDBATCHES (RFC 10022): messages a batch, and which batches (1 is the one with the highest UIDs).
    UidBatches {
        size: u32,
        batches: Option<(u32, u32)>,
    },
}

/// In which state a command is allowed (RFC 9051 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    Always,
    NotAuthenticated,
    /// With a mailbox selected or not.
    Authenticated,
    Selected,
}

/// Every command word. ENABLE is taken with a mailbox selected, too (lenient).
pub(crate) const COMMANDS: [(&str, Allowed); 56] = [
    ("CAPABILITY", Allowed::Always),
    ("NOOP", Allowed::Always),
    ("LOGOUT", Allowed::Always),
    ("ID", Allowed::Always),
    ("STARTTLS", Allowed::NotAuthenticated),
    ("AUTHENTICATE", Allowed::NotAuthenticated),
    ("LOGIN", Allowed::NotAuthenticated),
    ("ENABLE", Allowed::Authenticated),
    ("SELECT", Allowed::Authenticated),
    ("EXAMINE", Allowed::Authenticated),
    ("CREATE", Allowed::Authenticated),
    ("DELETE", Allowed::Authenticated),
    ("RENAME", Allowed::Authenticated),
    ("SUBSCRIBE", Allowed::Authenticated),
    ("UNSUBSCRIBE", Allowed::Authenticated),
    ("LIST", Allowed::Authenticated),
    ("LSUB", Allowed::Authenticated),
    ("XLIST", Allowed::Authenticated),
    ("NAMESPACE", Allowed::Authenticated),
    ("STATUS", Allowed::Authenticated),
    ("APPEND", Allowed::Authenticated),
    ("IDLE", Allowed::Authenticated),
    ("CHECK", Allowed::Selected),
    ("CLOSE", Allowed::Selected),
    ("UNSELECT", Allowed::Selected),
    ("EXPUNGE", Allowed::Selected),
    ("SEARCH", Allowed::Selected),
    ("FETCH", Allowed::Selected),
    ("STORE", Allowed::Selected),
    ("COPY", Allowed::Selected),
    ("MOVE", Allowed::Selected),
    ("UID", Allowed::Selected),
    ("SORT", Allowed::Selected),
    ("THREAD", Allowed::Selected),
    ("REPLACE", Allowed::Selected),
    ("UIDBATCHES", Allowed::Selected),
    ("ESEARCH", Allowed::Authenticated),
    ("CANCELUPDATE", Allowed::Authenticated),
    ("SETACL", Allowed::Authenticated),
    ("DELETEACL", Allowed::Authenticated),
    ("GETACL", Allowed::Authenticated),
    ("LISTRIGHTS", Allowed::Authenticated),
    ("MYRIGHTS", Allowed::Authenticated),
    ("GETQUOTA", Allowed::Authenticated),
    ("GETQUOTAROOT", Allowed::Authenticated),
    ("SETQUOTA", Allowed::Authenticated),
    ("GETMETADATA", Allowed::Authenticated),
    ("SETMETADATA", Allowed::Authenticated),
    ("NOTIFY", Allowed::Authenticated),
    ("GENURLAUTH", Allowed::Authenticated),
    ("RESETKEY", Allowed::Authenticated),
    ("URLFETCH", Allowed::Authenticated),
    ("COMPRESS", Allowed::Authenticated),
    ("UNAUTHENTICATE", Allowed::Authenticated),
    ("GETJMAPACCESS", Allowed::Authenticated),
    ("COMPARATOR", Allowed::Authenticated),
];

/// The command word (in capitals) and where it is allowed.
pub(crate) fn word(c: &mut Cursor<'_>) -> Parsed<(&'static str, Allowed)> {
    let written = c.atom()?;
    match COMMANDS.iter().find(|(name, _)| written.eq_ignore_ascii_case(name)) {
        Some((name, allowed)) => Ok((name, *allowed)),
        None => c.error("unknown command"),
    }
}

impl Command {
    /// After the tag and its space.
    pub fn parse(c: &mut Cursor<'_>) -> Parsed<Command> {
        let (name, _) = word(c)?;
        Command::parse_arguments(c, name)
    }

    /// After the command word.
    pub(crate) fn parse_arguments(c: &mut Cursor<'_>, name: &str) -> Parsed<Command> {
        let command = match name {
            "CAPABILITY" => Command::Capability,
            "NOOP" => Command::Noop,
            "LOGOUT" => Command::Logout,
            "ID" => Command::Id(Id::parse(c)?),
            "STARTTLS" => Command::StartTls,
            "AUTHENTICATE" => Command::parse_authenticate(c)?,
            "LOGIN" => Command::parse_login(c)?,
            "ENABLE" => Command::Enable(Extension::parse_words(c, false)?),
            "SELECT" => Command::Select(Select::parse(c, false)?),
            "EXAMINE" => Command::Select(Select::parse(c, true)?),
            "CREATE" => Command::parse_create(c)?,
            "DELETE" => Command::Delete { mailbox: spaced_mailbox(c)? },
            "RENAME" => Command::Rename { from: spaced_mailbox(c)?, to: spaced_mailbox(c)? },
            "SUBSCRIBE" => Command::Subscribe { mailbox: spaced_mailbox(c)? },
            "UNSUBSCRIBE" => Command::Unsubscribe { mailbox: spaced_mailbox(c)? },
            "LIST" => Command::List(List::parse(c, ListKind::List)?),
            "LSUB" => Command::List(List::parse(c, ListKind::Lsub)?),
            "XLIST" => Command::List(List::parse(c, ListKind::Xlist)?),
            "NAMESPACE" => Command::Namespace,
            "STATUS" => Command::Status(Status::parse(c)?),
            "APPEND" | "REPLACE" => return c.error("APPEND takes a literal"),
            "IDLE" => Command::Idle,
            "CHECK" => Command::Check,
            "CLOSE" => Command::Close,
            "UNSELECT" => Command::Unselect,
            "EXPUNGE" => Command::Expunge { uids: None },
            "UID" => {
                c.space()?;
                let name = c.atom()?.to_ascii_uppercase();
                Command::parse_numbered(c, &name, true)?
            }
            "SEARCH" | "FETCH" | "STORE" | "COPY" | "MOVE" | "SORT" | "THREAD" => Command::parse_numbered(c, name, false)?,
            other => Command::parse_extension(c, other)?,
        };
        c.end()?;
        Ok(command)
    }

    /// Those that come with and without UID.
    fn parse_numbered(c: &mut Cursor<'_>, name: &str, uid: bool) -> Parsed<Command> {
        Ok(match name {
            "SEARCH" => Command::Search(Search::parse(c, uid)?),
            "FETCH" => Command::Fetch(Fetch::parse(c, uid)?),
            "STORE" => Command::Store(Store::parse(c, uid)?),
            "COPY" => Command::Copy { uid, set: spaced_set(c)?, mailbox: spaced_mailbox(c)? },
            "MOVE" => Command::Move { uid, set: spaced_set(c)?, mailbox: spaced_mailbox(c)? },
            "SORT" => Command::Sort(Sort::parse(c, uid)?),
            "THREAD" => Command::Thread(Thread::parse(c, uid)?),
            "EXPUNGE" if uid => Command::Expunge { uids: Some(spaced_set(c)?) },
            _ => return c.error("unknown command"),
        })
    }

    fn parse_extension(c: &mut Cursor<'_>, name: &str) -> Parsed<Command> {
        if let Some(acl) = AclCommand::parse(c, name)? {
            return Ok(Command::Acl(acl));
        }
        if let Some(quota) = QuotaCommand::parse(c, name)? {
            return Ok(Command::Quota(quota));
        }
        if let Some(url) = UrlCommand::parse(c, name)? {
            return Ok(Command::Url(url));
        }
        Ok(match name {
            "ESEARCH" => Command::MultiSearch(MultiSearch::parse(c)?),
            "CANCELUPDATE" => Command::CancelUpdate(tags(c)?),
            "GETMETADATA" => Command::GetMetadata(GetMetadata::parse(c)?),
            "SETMETADATA" => Command::SetMetadata(SetMetadata::parse(c)?),
            "NOTIFY" => Command::Notify(Notify::parse(c)?),
            "COMPRESS" => {
                c.space()?;
                Command::Compress(SmolStr::new(c.atom()?))
            }
            "UNAUTHENTICATE" => Command::Unauthenticate,
            "GETJMAPACCESS" => Command::GetJmapAccess,
            "COMPARATOR" => {
                let mut names = Vec::new();
                while names.len() < LIST_ITEMS_MAX && c.eat_space() {
                    names.push(c.astring_text()?);
                }
                Command::Comparator(names)
            }
            "UIDBATCHES" => Command::parse_uid_batches(c)?,
            _ => return c.error("unknown command"),
        })
    }

    /// `"UIDBATCHES" SP nz-number [SP nz-number ":" nz-number]` (RFC 10022 §5)
    fn parse_uid_batches(c: &mut Cursor<'_>) -> Parsed<Command> {
        c.space()?;
        let size = c.nz_number()?;
        let mut batches = None;
        if c.eat_space() {
            let one = c.nz_number()?;
            let other = if c.eat(b':') { c.nz_number()? } else { one };
            batches = Some((one.min(other), one.max(other)));
        }
        Ok(Command::UidBatches { size, batches })
    }

    /// `"AUTHENTICATE" SP auth-type [SP initial-resp]`
    fn parse_authenticate(c: &mut Cursor<'_>) -> Parsed<Command> {
        c.space()?;
        let mechanism = SmolStr::new(c.atom()?);
        let mut initial_response = None;
        if c.eat_space() {
            let word = c.take_while(|b| b != b' ');
            match sasl::decode_initial(word) {
                Ok(octets) => initial_response = Some(octets.to_vec()),
                Err(_) => return c.error("the initial response is not base64"),
            }
        }
        Ok(Command::Authenticate { mechanism, initial_response })
    }

    /// `"LOGIN" SP userid SP password`
    fn parse_login(c: &mut Cursor<'_>) -> Parsed<Command> {
        c.space()?;
        let user = c.astring_text()?;
        c.space()?;
        Ok(Command::Login { user, password: c.astring()?.into_owned() })
    }

    /// `"CREATE" SP mailbox [SP "(" "USE" SP "(" use-attr *(SP use-attr) ")" ")"]` (RFC 6154 §3)
    fn parse_create(c: &mut Cursor<'_>) -> Parsed<Command> {
        let mailbox = spaced_mailbox(c)?;
        let mut uses = Vec::new();
        if c.eat_space() {
            c.list(true, |c| {
                if !c.eat_text("USE ") {
                    return c.error("unknown CREATE parameter");
                }
                uses = c.list(true, MailboxAttribute::parse)?;
                Ok(())
            })?;
        }
        Ok(Command::Create { mailbox, uses })
    }

    /// Without tag and CRLF. APPEND ends with its literal's CRLF; the octets (and `)` after UTF8) follow.
    pub fn encode(&self, e: &mut Encoder) {
        match self {
            Command::Capability => e.raw("CAPABILITY"),
            Command::Noop => e.raw("NOOP"),
            Command::Logout => e.raw("LOGOUT"),
            Command::Id(id) => id.encode(e),
            Command::StartTls => e.raw("STARTTLS"),
            Command::Authenticate { mechanism, initial_response } => {
                e.raw(format!("AUTHENTICATE {mechanism}"));
                if let Some(octets) = initial_response {
                    e.raw(format!(" {}", sasl::encode_initial(octets)));
                }
            }
            Command::Login { user, password } => {
                e.raw("LOGIN ");
                e.astring(user.as_bytes());
                e.raw(" ");
                e.astring(password);
            }
            Command::Enable(extensions) => Extension::encode_words(e, "ENABLE", extensions),
            Command::Select(select) => select.encode(e),
            Command::Create { mailbox, uses } => {
                named(e, "CREATE ", mailbox);
                if !uses.is_empty() {
                    e.raw(" (USE ");
                    e.list(uses, |e, attribute| attribute.encode(e));
                    e.raw(")");
                }
            }
            Command::Delete { mailbox } => named(e, "DELETE ", mailbox),
            Command::Rename { from, to } => {
                named(e, "RENAME ", from);
                named(e, " ", to);
            }
            Command::Subscribe { mailbox } => named(e, "SUBSCRIBE ", mailbox),
            Command::Unsubscribe { mailbox } => named(e, "UNSUBSCRIBE ", mailbox),
            Command::List(list) => list.encode(e),
            Command::Namespace => e.raw("NAMESPACE"),
            Command::Status(status) => status.encode(e),
            Command::Append(append) => {
                e.raw("APPEND ");
                append.encode(e);
            }
            Command::Replace { replaced, append } => {
                replaced.encode(e);
                append.encode(e);
            }
            Command::Idle => e.raw("IDLE"),
            Command::Check => e.raw("CHECK"),
            Command::Close => e.raw("CLOSE"),
            Command::Unselect => e.raw("UNSELECT"),
            Command::Expunge { uids: None } => e.raw("EXPUNGE"),
            Command::Expunge { uids: Some(set) } => numbered(e, true, "EXPUNGE ", set),
            Command::Search(search) => search.encode(e),
            Command::Fetch(fetch) => fetch.encode(e),
            Command::Store(store) => store.encode(e),
            Command::Copy { uid, set, mailbox } => {
                numbered(e, *uid, "COPY ", set);
                named(e, " ", mailbox);
            }
            Command::Move { uid, set, mailbox } => {
                numbered(e, *uid, "MOVE ", set);
                named(e, " ", mailbox);
            }
            extension => extension.encode_extension(e),
        }
    }

    fn encode_extension(&self, e: &mut Encoder) {
        match self {
            Command::Sort(sort) => sort.encode(e),
            Command::Thread(thread) => thread.encode(e),
            Command::MultiSearch(search) => search.encode(e),
            Command::CancelUpdate(tags) => {
                e.raw("CANCELUPDATE ");
                e.spaced(tags, |e, tag| e.string(tag.as_str().as_bytes()));
            }
            Command::Acl(acl) => acl.encode(e),
            Command::Quota(quota) => quota.encode(e),
            Command::GetMetadata(get) => get.encode(e),
            Command::SetMetadata(set) => set.encode(e),
            Command::Notify(notify) => notify.encode(e),
            Command::Url(url) => url.encode(e),
            Command::Compress(mechanism) => e.raw(format!("COMPRESS {mechanism}")),
            Command::Unauthenticate => e.raw("UNAUTHENTICATE"),
            Command::GetJmapAccess => e.raw("GETJMAPACCESS"),
            Command::Comparator(names) => {
                e.raw("COMPARATOR");
                for name in names {
                    e.raw(" ");
                    e.string(name.as_bytes());
                }
            }
            Command::UidBatches { size, batches } => {
                e.raw(format!("UIDBATCHES {size}"));
                if let Some((first, last)) = batches {
                    e.raw(format!(" {first}:{last}"));
                }
            }
            _ => {}
        }
    }
}

fn named(e: &mut Encoder, name: &str, mailbox: &MailboxName) {
    e.raw(name);
    mailbox.encode(e);
}

fn numbered(e: &mut Encoder, uid: bool, name: &str, set: &SequenceSet) {
    e.raw(if uid { "UID " } else { "" });
    e.raw(name);
    set.encode(e);
}

fn tags(c: &mut Cursor<'_>) -> Parsed<Vec<Tag>> {
    let mut tags = Vec::new();
    while tags.len() < LIST_ITEMS_MAX && c.eat_space() {
        match Tag::new(&String::from_utf8_lossy(&c.string()?)) {
            Some(tag) => tags.push(tag),
            None => return c.error("a quoted tag is missing"),
        }
    }
    if tags.is_empty() { c.error("a quoted tag is missing") } else { Ok(tags) }
}

fn spaced_mailbox(c: &mut Cursor<'_>) -> Parsed<MailboxName> {
    c.space()?;
    MailboxName::parse(c)
}

fn spaced_set(c: &mut Cursor<'_>) -> Parsed<SequenceSet> {
    c.space()?;
    SequenceSet::parse(c)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::encoder::Literals;
    use super::*;
    use proptest::prelude::*;

    fn read(text: &[u8]) -> Option<Vec<u8>> {
        let command = Command::parse(&mut Cursor::new(text)).ok()?;
        let mut e = Encoder::client(Literals::Plus, false);
        command.encode(&mut e);
        Some(e.bytes)
    }

    #[test]
    fn both_ways() {
        for text in [
            "CAPABILITY",
            "NOOP",
            "LOGOUT",
            "STARTTLS",
            "AUTHENTICATE PLAIN AGFubgBwdw==",
            "AUTHENTICATE SCRAM-SHA-256",
            "AUTHENTICATE EXTERNAL =",
            "LOGIN ann@here.test \"p w\\\"\"",
            "ENABLE CONDSTORE",
            "CREATE \"Sent Mail\" (USE (\\Sent \\Drafts))",
            "CREATE a/b/",
            "DELETE x",
            "RENAME x INBOX",
            "SUBSCRIBE x",
            "UNSUBSCRIBE x",
            "NAMESPACE",
            "IDLE",
            "CHECK",
            "CLOSE",
            "UNSELECT",
            "EXPUNGE",
            "UID EXPUNGE 3000:3002",
            "COPY 2:4 MEETING",
            "UID COPY 2:4 MEETING",
            "MOVE $ MEETING",
            "UID MOVE 42:69 foo",
            "SORT (DATE) UTF-8 ALL",
            "UID THREAD REFERENCES UTF-8 ALL",
            "GETQUOTAROOT INBOX",
            "GETACL INBOX",
            "COMPRESS DEFLATE",
            "GETMETADATA \"\" /private/comment",
            "SETMETADATA INBOX (/private/comment NIL)",
            "NOTIFY NONE",
            "UIDBATCHES 500",
            "UIDBATCHES 2000 10:20",
            "CANCELUPDATE \"A1\" \"A2\"",
            "ESEARCH IN (personal) UNSEEN",
            "UNAUTHENTICATE",
            "GETJMAPACCESS",
            "COMPARATOR \"i;octet\"",
            "RESETKEY",
        ] {
            assert_eq!(String::from_utf8(read(text.as_bytes()).unwrap()).unwrap(), text);
        }
        assert_eq!(read(b"logout  ").unwrap(), b"LOGOUT");
        assert_eq!(read(b"login {3}\r\nann {2+}\r\npw").unwrap(), b"LOGIN ann pw");
    }

    #[test]
    fn refused() {
        for bad in [
            "",
            " ",
            "NOOP x",
            "FOO",
            "LOGIN ann",
            "LOGIN ann pw x",
            "UID",
            "UID NOOP",
            "UID EXPUNGE",
            "COPY 1",
            "RENAME x",
            "AUTHENTICATE",
            "AUTHENTICATE PLAIN a!b",
            "APPEND x",
            "CREATE x (FOO)",
            "REPLACE 1 x {3}",
            "UIDBATCHES",
            "UIDBATCHES 0",
            "CANCELUPDATE",
            "CANCELUPDATE a",
            "COMPRESS",
            "UID UIDBATCHES 500",
        ] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }

    const WORDS_OF_THE_WIRE: &[&[u8]] = &[
        b"UID ",
        b"FETCH ",
        b"SEARCH ",
        b"STORE ",
        b"LIST ",
        b"STATUS ",
        b"SELECT ",
        b"1:* ",
        b"(",
        b")",
        b"\"",
        b"BODY[",
        b"]",
        b"<0.1>",
        b"{1}\r\nx",
        b"{9}\r\n",
        b" ",
        b"INBOX",
        b"NOT ",
        b"OR ",
        b"FLAGS ",
        b"\\Seen",
        b"+",
        b"RETURN ",
        b"*",
        b"HEADER.FIELDS ",
        b"&AOQ-",
        b"\xff",
        b"\0",
        b"1-Jan-2000",
        b"\\",
        b"$",
        b"MODSEQ ",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn parsing_never_panics_and_what_is_read_is_written_the_same(words in proptest::collection::vec(proptest::sample::select(WORDS_OF_THE_WIRE), 0..12)) {
            let text = words.concat();
            if let Some(written) = read(&text) {
                prop_assert_eq!(read(&written), Some(written));
            }
        }
    }
}

//! ACL (RFC 4314): who may do what with a mailbox.
//!
//! ```abnf
//! setacl     = "SETACL" SP mailbox SP identifier SP mod-rights        ; mod-rights: "+" / "-" / nothing, then rights
//! deleteacl  = "DELETEACL" SP mailbox SP identifier
//! getacl     = "GETACL" SP mailbox
//! listrights = "LISTRIGHTS" SP mailbox SP identifier
//! myrights   = "MYRIGHTS" SP mailbox
//! acl-data   = "ACL" SP mailbox *(SP identifier SP rights)
//! listrights-data = "LISTRIGHTS" SP mailbox SP identifier SP rights *(SP rights)
//! myrights-data   = "MYRIGHTS" SP mailbox SP rights
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::mailbox_name::MailboxName;

/// A set of rights (RFC 4314 §2.1), one bit a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Rights(u16);

/// One right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// `l`: the mailbox is seen by LIST, and may be subscribed.
    Lookup,
    /// `r`: SELECT, STATUS, FETCH, SEARCH, COPY from it.
    Read,
    /// `s`: keep \Seen.
    Seen,
    /// `w`: set other flags and keywords.
    Write,
    /// `i`: APPEND, COPY into it.
    Insert,
    /// `p`: send mail to its submission address.
    Post,
    /// `k`: make mailboxes under it.
    Create,
    /// `x`: delete or rename it.
    DeleteMailbox,
    /// `t`: set and clear \Deleted.
    DeleteMessages,
    /// `e`: EXPUNGE, and the expunging half of MOVE and CLOSE.
    Expunge,
    /// `a`: SETACL and its kin.
    Administer,
}

/// In the order of the RFC.
const LETTERS: [(u8, Right); 11] = [
    (b'l', Right::Lookup),
    (b'r', Right::Read),
    (b's', Right::Seen),
    (b'w', Right::Write),
    (b'i', Right::Insert),
    (b'p', Right::Post),
    (b'k', Right::Create),
    (b'x', Right::DeleteMailbox),
    (b't', Right::DeleteMessages),
    (b'e', Right::Expunge),
    (b'a', Right::Administer),
];

/// The rights that RFC 2086 did not have: what the capability `RIGHTS=` names.
pub const RIGHTS_CAPABILITY: &str = "RIGHTS=kxte";

impl Right {
    const fn bit(self) -> u16 {
        1 << (self as u16)
    }
    /// Its letter.
    pub fn letter(self) -> char {
        LETTERS.iter().find(|(_, right)| *right == self).map_or('?', |(letter, _)| char::from(*letter))
    }
}

impl Rights {
    /// None.
    pub const NONE: Rights = Rights(0);
    /// Every right.
    pub const ALL: Rights = Rights((1 << 11) - 1);

    /// From bits as stored (bit n is the n-th right of `lrswipkxtea`).
    pub fn from_bits(bits: u16) -> Rights {
        Rights(bits & Rights::ALL.0)
    }
    /// As stored.
    pub fn bits(self) -> u16 {
        self.0
    }
    /// Of these.
    pub fn of(rights: &[Right]) -> Rights {
        Rights(rights.iter().fold(0, |bits, right| bits | right.bit()))
    }
    /// Has it?
    pub fn has(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }
    /// Nothing is allowed.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Both.
    #[must_use]
    pub fn with(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
    /// Without those of `other`.
    #[must_use]
    pub fn without(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }
    /// Each right by itself.
    pub fn one_by_one(self) -> impl Iterator<Item = Rights> {
        LETTERS.iter().filter(move |(_, right)| self.has(*right)).map(|(_, right)| Rights::of(&[*right]))
    }
    /// From letters; the old `c` and `d` stand for `kx` and `xte` (RFC 4314 §2.1.1). `None`: an unknown letter.
    pub fn from_letters(letters: &[u8]) -> Option<Rights> {
        let mut rights = Rights::NONE;
        for letter in letters {
            rights = rights.with(match letter {
                b'c' => Rights::of(&[Right::Create, Right::DeleteMailbox]),
                b'd' => Rights::of(&[Right::DeleteMailbox, Right::DeleteMessages, Right::Expunge]),
                letter => Rights::of(&[LETTERS.iter().find(|(known, _)| known == letter)?.1]),
            });
        }
        Some(rights)
    }
    /// Letters; with `old`, also `c` where any of `kx` and `d` where any of `te` is there (RFC 4314 §5.2).
    pub fn letters(self, old: bool) -> String {
        let mut letters: String =
            LETTERS.iter().filter(|(_, right)| self.has(*right)).map(|(letter, _)| char::from(*letter)).collect();
        if old && (self.has(Right::Create) || self.has(Right::DeleteMailbox)) {
            letters.push('c');
        }
        if old && (self.has(Right::DeleteMessages) || self.has(Right::Expunge)) {
            letters.push('d');
        }
        letters
    }
}

/// What SETACL does with the rights it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RightsChange {
    Replace(Rights),
    Add(Rights),
    Remove(Rights),
}

/// The five commands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AclCommand {
    Set { mailbox: MailboxName, identifier: String, change: RightsChange },
    Delete { mailbox: MailboxName, identifier: String },
    Get { mailbox: MailboxName },
    ListRights { mailbox: MailboxName, identifier: String },
    MyRights { mailbox: MailboxName },
}

/// `* ACL ...`
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct AclResponse {
    pub mailbox: MailboxName,
    /// A negative entry's identifier begins with `-`.
    pub entries: Vec<(String, Rights)>,
}

/// `* LISTRIGHTS ...`
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ListRightsResponse {
    pub mailbox: MailboxName,
    pub identifier: String,
    /// Always granted.
    pub required: Rights,
    /// Each may be granted, those of one element only together.
    pub optional: Vec<Rights>,
}

fn identifier(c: &mut Cursor<'_>) -> Parsed<String> {
    c.space()?;
    let text = c.astring_text()?;
    if text.is_empty() { c.error("an identifier is missing") } else { Ok(text) }
}

fn rights(c: &mut Cursor<'_>) -> Parsed<Rights> {
    c.space()?;
    let letters = c.astring()?;
    Rights::from_letters(&letters).map_or_else(|| c.error("unknown right"), Ok)
}

fn encode_rights(e: &mut Encoder, rights: Rights) {
    e.astring(rights.letters(false).as_bytes());
}

impl AclCommand {
    /// After the command word; `None` when it is none of the five.
    pub(crate) fn parse(c: &mut Cursor<'_>, name: &str) -> Parsed<Option<AclCommand>> {
        if !["SETACL", "DELETEACL", "GETACL", "LISTRIGHTS", "MYRIGHTS"].contains(&name) {
            return Ok(None);
        }
        c.space()?;
        let mailbox = MailboxName::parse(c)?;
        Ok(Some(match name {
            "SETACL" => {
                let identifier = identifier(c)?;
                c.space()?;
                let text = c.astring()?;
                let (sign, letters) = match text.split_first() {
                    Some((sign @ (b'+' | b'-'), letters)) => (Some(*sign), letters),
                    _ => (None, &text[..]),
                };
                let Some(rights) = Rights::from_letters(letters) else { return c.error("unknown right") };
                let change = match sign {
                    Some(b'+') => RightsChange::Add(rights),
                    Some(_) => RightsChange::Remove(rights),
                    None => RightsChange::Replace(rights),
                };
                AclCommand::Set { mailbox, identifier, change }
            }
            "DELETEACL" => AclCommand::Delete { mailbox, identifier: identifier(c)? },
            "LISTRIGHTS" => AclCommand::ListRights { mailbox, identifier: identifier(c)? },
            "GETACL" => AclCommand::Get { mailbox },
            _ => AclCommand::MyRights { mailbox },
        }))
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        let (name, mailbox, identifier) = match self {
            AclCommand::Set { mailbox, identifier, .. } => ("SETACL ", mailbox, Some(identifier)),
            AclCommand::Delete { mailbox, identifier } => ("DELETEACL ", mailbox, Some(identifier)),
            AclCommand::ListRights { mailbox, identifier } => ("LISTRIGHTS ", mailbox, Some(identifier)),
            AclCommand::Get { mailbox } => ("GETACL ", mailbox, None),
            AclCommand::MyRights { mailbox } => ("MYRIGHTS ", mailbox, None),
        };
        e.raw(name);
        mailbox.encode(e);
        if let Some(identifier) = identifier {
            e.raw(" ");
            e.astring(identifier.as_bytes());
        }
        if let AclCommand::Set { change, .. } = self {
            let (sign, rights) = match change {
                RightsChange::Replace(rights) => ("", rights),
                RightsChange::Add(rights) => ("+", rights),
                RightsChange::Remove(rights) => ("-", rights),
            };
            e.raw(" ");
            e.astring(format!("{sign}{}", rights.letters(false)).as_bytes());
        }
    }
}

impl AclResponse {
    /// After `* ACL`.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<AclResponse> {
        c.space()?;
        let mailbox = MailboxName::parse_tolerant(c)?;
        let mut entries = Vec::new();
        while c.peek() == Some(b' ') && !c.at_end() {
            let identifier = identifier(c)?;
            entries.push((identifier, rights(c)?));
        }
        Ok(AclResponse { mailbox, entries })
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("ACL ");
        self.mailbox.encode(e);
        for (identifier, rights) in &self.entries {
            e.raw(" ");
            e.astring(identifier.as_bytes());
            e.raw(" ");
            encode_rights(e, *rights);
        }
    }
}

impl ListRightsResponse {
    /// After `* LISTRIGHTS`.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<ListRightsResponse> {
        c.space()?;
        let mailbox = MailboxName::parse_tolerant(c)?;
        let identifier = identifier(c)?;
        let required = rights(c)?;
        let mut optional = Vec::new();
        while c.peek() == Some(b' ') {
            optional.push(rights(c)?);
        }
        Ok(ListRightsResponse { mailbox, identifier, required, optional })
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("LISTRIGHTS ");
        self.mailbox.encode(e);
        e.raw(" ");
        e.astring(self.identifier.as_bytes());
        e.raw(" ");
        encode_rights(e, self.required);
        for rights in &self.optional {
            e.raw(" ");
            encode_rights(e, *rights);
        }
    }
}

/// After `* MYRIGHTS`.
pub(crate) fn parse_my_rights(c: &mut Cursor<'_>) -> Parsed<(MailboxName, Rights)> {
    c.space()?;
    let mailbox = MailboxName::parse_tolerant(c)?;
    Ok((mailbox, rights(c)?))
}

/// `MYRIGHTS mailbox rights`: with the old letters beside the new ones (RFC 4314 §5.2).
pub(crate) fn encode_my_rights(e: &mut Encoder, mailbox: &MailboxName, rights: Rights) {
    e.raw("MYRIGHTS ");
    mailbox.encode(e);
    e.raw(" ");
    e.astring(rights.letters(true).as_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn command(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        let name = c.atom().ok()?.to_ascii_uppercase();
        let command = AclCommand::parse(&mut c, &name).ok()??;
        c.end().ok()?;
        let mut e = Encoder::server(Vec::new(), false);
        command.encode(&mut e);
        Some(String::from_utf8(e.bytes).unwrap())
    }

    #[test]
    fn commands_both_ways() {
        for text in [
            "SETACL INBOX.Drafts Byron lrswikta",
            "SETACL INBOX anyone \"\"",
            "SETACL INBOX David -lrswt",
            "SETACL \"a b\" -fred +r",
            "DELETEACL INBOX fred",
            "GETACL INBOX",
            "LISTRIGHTS ~/Mail/saved smith",
            "MYRIGHTS INBOX",
        ] {
            assert_eq!(command(text).unwrap(), text);
        }
        assert_eq!(command("setacl x y cd").unwrap(), "SETACL x y kxte");
        for bad in ["SETACL x y z0", "SETACL x y", "GETACL", "GETACL x y", "SETACL x \"\" lr", "FOO x"] {
            assert_eq!(command(bad), None, "{bad}");
        }
    }

    #[test]
    fn responses_both_ways() {
        let mut e = Encoder::server(Vec::new(), false);
        AclResponse::parse(&mut Cursor::new(b" INBOX Fred rwipsldexta -ann r")).unwrap().encode(&mut e);
        assert_eq!(e.bytes, b"ACL INBOX Fred lrswipxtea -ann r");
        let mut e = Encoder::server(Vec::new(), false);
        ListRightsResponse::parse(&mut Cursor::new(b" x smith la r s w i kx te")).unwrap().encode(&mut e);
        assert_eq!(e.bytes, b"LISTRIGHTS x smith la r s w i kx te");
        let (mailbox, rights) = parse_my_rights(&mut Cursor::new(b" INBOX rwiptsldaex")).unwrap();
        let mut e = Encoder::server(Vec::new(), false);
        encode_my_rights(&mut e, &mailbox, rights);
        assert_eq!(e.bytes, b"MYRIGHTS INBOX lrswipxteacd");
    }

    #[test]
    fn rights_are_a_set() {
        let all = Rights::from_letters(b"lrswipkxtea").unwrap();
        assert_eq!(all, Rights::ALL);
        assert_eq!(Rights::from_bits(all.bits()), all);
        assert!(!all.without(Rights::of(&[Right::Read])).has(Right::Read));
        assert_eq!(Right::Administer.letter(), 'a');
        assert!(Rights::NONE.is_empty() && Rights::from_letters(b"0").is_none());
    }
}

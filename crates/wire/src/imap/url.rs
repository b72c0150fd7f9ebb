//! IMAP URLs (RFC 5092), URLAUTH (RFC 4467) and URLAUTH=BINARY (RFC 5524): naming a message or a part, and letting another fetch it.
//!
//! ```abnf
//! genurlauth = "GENURLAUTH" 1*(SP url-rump SP mechanism)
//! resetkey   = "RESETKEY" [SP mailbox *(SP mechanism)]
//! urlfetch   = "URLFETCH" 1*(SP (url-full / "(" url-full *(SP url-fetch-param) ")"))
//! url-fetch-param = "BODY" / "BINARY" / "BODYPARTSTRUCTURE"
//! genurlauth-data = "GENURLAUTH" 1*(SP url-full)
//! urlfetch-data   = "URLFETCH" 1*(SP url-full (SP nstring / 1*(SP "(" url-metadata-el ")")))
//! imap-url   = ["imap://" [user ["@"]] host [":" port]] "/" enc-mailbox [";UIDVALIDITY=" n] "/;UID=" n
//!              ["/;SECTION=" section] ["/;PARTIAL=" n ["." n]] [";EXPIRE=" date-time] [";URLAUTH=" access [":" mechanism ":" token]]
//! ```
//!
//! Invariant: what [`ImapUrl::rump`] gives is what was signed, octet for octet, and not a rendering of the parsed value.

use super::body_structure::BodyStructure;
use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::limits::{LIST_ITEMS_MAX, URL_BYTES_MAX};
use super::mailbox_name::MailboxName;
use bytes::Bytes;
use smol_str::SmolStr;

/// A URL of a message or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImapUrl {
    /// As written.
    pub text: String,
    /// Whose mailbox, decoded; of an absolute URL.
    pub user: Option<String>,
    /// `host[:port]` of an absolute URL.
    pub host: Option<String>,
    /// Decoded.
    pub mailbox: Option<MailboxName>,
    /// When given, must match.
    pub uid_validity: Option<u32>,
    /// Which message.
    pub uid: u32,
    /// As in `BODY[...]`, decoded.
    pub section: Option<String>,
    /// Offset, and length unless to the end (URL-PARTIAL, RFC 5550).
    pub partial: Option<(u64, Option<u64>)>,
    /// `;EXPIRE=`, as written (RFC 3339).
    pub expire: Option<SmolStr>,
    /// `;URLAUTH=`.
    pub access: Option<UrlAccess>,
}

/// Who may use the URL (RFC 4467 §6).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct UrlAccess {
    pub kind: AccessKind,
    /// `mechanism` and `token`, once authorised.
    pub authorization: Option<(SmolStr, SmolStr)>,
    /// Where `:mechanism:token` begins in the text.
    rump_len: usize,
}

/// `access`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessKind {
    /// `submit+user`: the submission server on behalf of that user.
    Submit(String),
    /// `user+user`
    User(String),
    /// `authuser`: any signed-in user.
    AuthUser,
    /// Anybody.
    Anonymous,
}

/// GENURLAUTH, RESETKEY, URLFETCH.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum UrlCommand {
    /// URL without its authorisation, and the mechanism.
    Generate(Vec<(String, SmolStr)>),
    /// `None`: the keys of every mailbox.
    ResetKey {
        mailbox: Option<MailboxName>,
        mechanisms: Vec<SmolStr>,
    },
    Fetch(Vec<UrlRequest>),
}

/// A URL to be fetched, and in which forms (RFC 5524 §3.1); none: as RFC 4467 has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct UrlRequest {
    pub url: String,
    pub forms: Vec<UrlForm>,
}

/// What is asked of a URL (RFC 5524 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlForm {
    /// The octets as they are.
    Body,
    /// Without their transfer encoding.
    Binary,
    /// What they are.
    Structure,
}

/// What a URL gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlData {
    /// As RFC 4467 has it; `None`: it cannot be had.
    Simple(Option<Bytes>),
    /// One for each form that was asked for (RFC 5524 §3.2).
    Extended(Vec<UrlElement>),
}

/// `url-metadata-el`
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum UrlElement {
    Body(Option<Bytes>),
    /// `None`: the transfer encoding is not known.
    Binary(Option<Bytes>),
    Structure(BodyStructure),
}

/// `%41` and the like; `None` when an escape is broken or the result is no UTF-8.
fn unescape(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b != b'%' {
            octets.push(b);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
        octets.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(octets).ok()
}

/// For a mailbox or user name in a URL.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~/@+&=".contains(&b) {
            escaped.push(char::from(b));
        } else {
            escaped.push_str(&format!("%{b:02X}"));
        }
    }
    escaped
}

impl ImapUrl {
    /// Absolute (`imap://...`) or relative to the server (`/INBOX/;UID=20`) or to the selected mailbox (`;UID=20`).
    pub fn parse(text: &str) -> Option<ImapUrl> {
        if text.len() > URL_BYTES_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return None;
        }
        let mut url = ImapUrl {
            text: text.to_owned(),
            user: None,
            host: None,
            mailbox: None,
            uid_validity: None,
            uid: 0,
            section: None,
            partial: None,
            expire: None,
            access: None,
        };
        let mut path = text;
        if let Some(rest) = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("imap://")).and_then(|_| text.get(7..)) {
            let (authority, rest) = rest.split_once('/')?;
            let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
            let user = user.map(|user| user.split_once(';').map_or(user, |(user, _)| user)).filter(|user| !user.is_empty());
            url.user = user.map_or(Some(None), |user| unescape(user).map(Some))?;
            url.host = Some(host.to_owned());
            path = rest;
        }
        url.path(path.strip_prefix('/').unwrap_or(path))?;
        Some(url)
    }

    fn path(&mut self, path: &str) -> Option<()> {
        let mut parameters = path.split(';');
        let mailbox = parameters.next()?;
        let mailbox = mailbox.strip_suffix('/').unwrap_or(mailbox);
        if !mailbox.is_empty() {
            self.mailbox = Some(MailboxName::new(&unescape(mailbox)?));
        }
        for parameter in parameters {
            // What stood behind URLAUTH would be neither signed nor part of the token (RFC 4467 §7).
            if self.access.is_some() {
                return None;
            }
            let (name, value) = parameter.split_once('=')?;
            // Each but EXPIRE and URLAUTH is a path of its own: `/;UID=20/;SECTION=1.2`.
            let plain = value.strip_suffix('/').unwrap_or(value);
            match name.to_ascii_uppercase().as_str() {
                "UIDVALIDITY" => self.uid_validity = Some(plain.parse().ok().filter(|n| *n > 0)?),
                "UID" => self.uid = plain.parse().ok().filter(|n| *n > 0)?,
                "SECTION" => self.section = Some(unescape(plain)?),
                "PARTIAL" => {
                    let (offset, length) = plain.split_once('.').map_or((plain, None), |(o, l)| (o, Some(l)));
                    let length = length.map_or(Some(None), |l| l.parse().ok().filter(|l| *l > 0).map(Some))?;
                    self.partial = Some((offset.parse().ok()?, length));
                }
                "EXPIRE" => self.expire = Some(SmolStr::new(value)),
                "URLAUTH" => self.access = Some(self.parse_access(value)?),
                _ => return None,
            }
        }
        (self.uid > 0).then_some(())
    }

    /// Always the last parameter.
    fn parse_access(&self, value: &str) -> Option<UrlAccess> {
        let mut words = value.splitn(3, ':');
        let who = words.next()?;
        let kind = match who.split_once('+') {
            Some((kind, user)) if kind.eq_ignore_ascii_case("submit") => AccessKind::Submit(unescape(user)?),
            Some((kind, user)) if kind.eq_ignore_ascii_case("user") => AccessKind::User(unescape(user)?),
            None if who.eq_ignore_ascii_case("authuser") => AccessKind::AuthUser,
            None if who.eq_ignore_ascii_case("anonymous") => AccessKind::Anonymous,
            _ => return None,
        };
        let authorization = match (words.next(), words.next()) {
            (Some(mechanism), Some(token)) => Some((SmolStr::new(mechanism), SmolStr::new(token))),
            (None, _) => None,
            _ => return None,
        };
        let tail = value.len() - who.len();
        Some(UrlAccess { kind, authorization, rump_len: self.text.len().checked_sub(tail)? })
    }

    /// Up to and with `;URLAUTH=access`: what is signed (RFC 4467 §7). `None` without URLAUTH.
    pub fn rump(&self) -> Option<&str> {
        self.text.get(..self.access.as_ref()?.rump_len)
    }
}

impl UrlCommand {
    /// After the command word; `None` when it is none of the three.
    pub(crate) fn parse(c: &mut Cursor<'_>, name: &str) -> Parsed<Option<UrlCommand>> {
        Ok(Some(match name {
            "GENURLAUTH" => {
                let mut urls = Vec::new();
                while c.eat_space() && urls.len() < LIST_ITEMS_MAX {
                    let url = c.astring_text()?;
                    c.space()?;
                    urls.push((url, SmolStr::new(c.atom()?)));
                }
                if urls.is_empty() {
                    return c.error("a URL is missing");
                }
                UrlCommand::Generate(urls)
            }
            "RESETKEY" => {
                let mailbox = if c.eat_space() { Some(MailboxName::parse(c)?) } else { None };
                let mut mechanisms = Vec::new();
                while c.eat_space() && mechanisms.len() < LIST_ITEMS_MAX {
                    mechanisms.push(SmolStr::new(c.atom()?));
                }
                UrlCommand::ResetKey { mailbox, mechanisms }
            }
            "URLFETCH" => {
                let mut urls = Vec::new();
                while c.eat_space() && urls.len() < LIST_ITEMS_MAX {
                    urls.push(UrlRequest::parse(c)?);
                }
                if urls.is_empty() {
                    return c.error("a URL is missing");
                }
                UrlCommand::Fetch(urls)
            }
            _ => return Ok(None),
        }))
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        match self {
            UrlCommand::Generate(urls) => {
                e.raw("GENURLAUTH");
                for (url, mechanism) in urls {
                    e.raw(" ");
                    e.string(url.as_bytes());
                    e.raw(format!(" {mechanism}"));
                }
            }
            UrlCommand::ResetKey { mailbox, mechanisms } => {
                e.raw("RESETKEY");
                if let Some(mailbox) = mailbox {
                    e.raw(" ");
                    mailbox.encode(e);
                }
                for mechanism in mechanisms {
                    e.raw(format!(" {mechanism}"));
                }
            }
            UrlCommand::Fetch(urls) => {
                e.raw("URLFETCH");
                for request in urls {
                    e.raw(" ");
                    request.encode(e);
                }
            }
        }
    }
}

impl UrlForm {
    const NAMES: [(&'static str, UrlForm); 3] =
        [("BODY", UrlForm::Body), ("BINARY", UrlForm::Binary), ("BODYPARTSTRUCTURE", UrlForm::Structure)];

    fn parse(c: &mut Cursor<'_>) -> Parsed<UrlForm> {
        let word = c.atom()?;
        match Self::NAMES.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) {
            Some((_, form)) => Ok(form),
            None => c.error("unknown parameter of a URL"),
        }
    }

    fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, form)| *form == self).map_or("", |(name, _)| name)
    }
}

impl UrlRequest {
    fn parse(c: &mut Cursor<'_>) -> Parsed<UrlRequest> {
        if c.peek() != Some(b'(') {
            return Ok(UrlRequest { url: c.astring_text()?, forms: Vec::new() });
        }
        c.open()?;
        let url = c.astring_text()?;
        let mut forms: Vec<UrlForm> = Vec::new();
        while c.eat_space() {
            let form = UrlForm::parse(c)?;
            // RFC 5524 §3.1: each once, and the octets in one way only.
            if forms.contains(&form) || (form != UrlForm::Structure && forms.iter().any(|other| *other != UrlForm::Structure)) {
                return c.error("a URL's parameters stand once each, and BODY not beside BINARY");
            }
            forms.push(form);
        }
        c.close()?;
        Ok(UrlRequest { url, forms })
    }

    fn encode(&self, e: &mut Encoder) {
        if self.forms.is_empty() {
            return e.string(self.url.as_bytes());
        }
        e.raw("(");
        e.string(self.url.as_bytes());
        for form in &self.forms {
            e.raw(" ");
            e.raw(form.name());
        }
        e.raw(")");
    }
}

impl UrlData {
    /// After the URL.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<UrlData> {
        c.space()?;
        if c.peek() != Some(b'(') {
            return Ok(UrlData::Simple(octets(c)?));
        }
        let mut elements = vec![UrlElement::parse(c)?];
        while c.peek() == Some(b' ') && c.peek_at(1) == Some(b'(') && elements.len() < LIST_ITEMS_MAX {
            c.space()?;
            elements.push(UrlElement::parse(c)?);
        }
        Ok(UrlData::Extended(elements))
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        match self {
            UrlData::Simple(octets) => e.nstring(octets.as_deref()),
            UrlData::Extended(elements) => e.spaced(elements, |e, element| element.encode(e)),
        }
    }
}

impl UrlElement {
    fn parse(c: &mut Cursor<'_>) -> Parsed<UrlElement> {
        c.open()?;
        let form = UrlForm::parse(c)?;
        c.space()?;
        let element = match form {
            UrlForm::Body => UrlElement::Body(octets(c)?),
            UrlForm::Binary => UrlElement::Binary(octets(c)?),
            UrlForm::Structure => UrlElement::Structure(BodyStructure::parse(c)?),
        };
        c.close()?;
        Ok(element)
    }

    fn encode(&self, e: &mut Encoder) {
        e.raw("(");
        match self {
            UrlElement::Body(octets) => {
                e.raw("BODY ");
                e.nstring(octets.as_deref());
            }
            UrlElement::Binary(octets) => {
                e.raw("BINARY ");
                match octets {
                    // RFC 5524 §5: with NUL a literal8.
                    Some(octets) if octets.contains(&0) => {
                        e.raw("~");
                        e.literal_header(octets.len() as u64);
                        e.raw(octets);
                    }
                    octets => e.nstring(octets.as_deref()),
                }
            }
            UrlElement::Structure(structure) => {
                e.raw("BODYPARTSTRUCTURE ");
                structure.encode(e);
            }
        }
        e.raw(")");
    }
}

fn octets(c: &mut Cursor<'_>) -> Parsed<Option<Bytes>> {
    Ok(c.nstring()?.map(|octets| Bytes::from(octets.into_owned())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls() {
        let url = ImapUrl::parse(
            "imap://joe@example.com/INBOX%20x;UIDVALIDITY=785799047/;UID=20/;SECTION=1.2/;PARTIAL=0.1024;EXPIRE=2026-12-01T00:00:00Z;URLAUTH=submit+fred:internal:91354a47",
        )
        .unwrap();
        assert_eq!(url.user.as_deref(), Some("joe"));
        assert_eq!(url.host.as_deref(), Some("example.com"));
        assert_eq!(url.mailbox.as_ref().unwrap().as_str(), "INBOX x");
        assert_eq!((url.uid_validity, url.uid), (Some(785_799_047), 20));
        assert_eq!((url.section.as_deref(), url.partial), (Some("1.2"), Some((0, Some(1024)))));
        let access = url.access.as_ref().unwrap();
        assert_eq!(access.kind, AccessKind::Submit("fred".into()));
        assert_eq!(access.authorization, Some(("internal".into(), "91354a47".into())));
        assert!(url.rump().unwrap().ends_with(";URLAUTH=submit+fred"));
        let relative = ImapUrl::parse("/Drafts/;UID=3").unwrap();
        assert_eq!((relative.mailbox.unwrap().as_str(), relative.uid, relative.host), ("Drafts", 3, None));
        assert_eq!(ImapUrl::parse(";UID=20/;SECTION=HEADER").unwrap().section.as_deref(), Some("HEADER"));
        for bad in [
            "",
            "/INBOX",
            "/INBOX/;UID=0",
            "/INBOX/;UID=x",
            "/IN%2/;UID=1",
            "/x/;UID=1;FOO=1",
            "imap://host",
            "/x/;UID=1;URLAUTH=nobody",
            "/x y/;UID=1",
        ] {
            assert!(ImapUrl::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(unescape(&escape("a b/ä%;")).unwrap(), "a b/ä%;");
    }

    #[test]
    fn commands_both_ways() {
        for text in [
            "GENURLAUTH \"imap://joe@example.com/INBOX/;UID=20;URLAUTH=anonymous\" INTERNAL",
            "RESETKEY",
            "RESETKEY INBOX INTERNAL",
            "URLFETCH \"imap://joe@example.com/INBOX/;UID=20\" \"/x/;UID=1\"",
            "URLFETCH (\"/x/;UID=1\" BODYPARTSTRUCTURE BINARY) (\"/x/;UID=2\" BODY) \"/x/;UID=3\"",
        ] {
            let mut c = Cursor::new(text.as_bytes());
            let name = c.atom().unwrap().to_owned();
            let command = UrlCommand::parse(&mut c, &name).unwrap().unwrap();
            c.end().unwrap();
            let mut e = Encoder::server(Vec::new(), false);
            command.encode(&mut e);
            assert_eq!(String::from_utf8(e.bytes).unwrap(), text);
        }
        for bad in ["(\"/x/;UID=1\" BODY BINARY)", "(\"/x/;UID=1\" BODY BODY)", "(\"/x/;UID=1\" FOO)", "(BODY", "()"] {
            let mut c = Cursor::new(bad.as_bytes());
            assert!(UrlRequest::parse(&mut c).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_urls_give_both_ways() {
        for text in [
            " NIL",
            " {2}\r\nab",
            " (BODYPARTSTRUCTURE (\"IMAGE\" \"PNG\" NIL NIL NIL \"BINARY\" 3)) (BINARY ~{3}\r\na\0b)",
            " (BINARY NIL)",
            " (BODY {2}\r\na\r)",
        ] {
            let mut c = Cursor::new(text.as_bytes());
            let data = UrlData::parse(&mut c).unwrap();
            c.end().unwrap();
            let mut e = Encoder::server(b" ".to_vec(), false);
            data.encode(&mut e);
            assert_eq!(UrlData::parse(&mut Cursor::new(&e.bytes)).unwrap(), data, "{text:?}");
        }
    }
}

//! Where mail is elsewhere: `imaps://user@host`, `imap://user@host` (STARTTLS), `pop3s://`, `pop3://`.
//!
//! A password in a URL is refused: it would stand in `ps` and in the shell's history.

use crate::trouble::Trouble;
use std::fmt;

/// Which protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Protocol {
    Imap,
    Pop3,
    Smtp,
}

/// A server and who one is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which protocol.
    pub protocol: Protocol,
    /// TLS from the first octet; else STARTTLS, which only loopback may do without.
    pub implicit_tls: bool,
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Login name; may be empty.
    pub user: String,
}

const SCHEMES: [(&str, Protocol, bool, u16); 7] = [
    ("imaps", Protocol::Imap, true, 993),
    ("imap", Protocol::Imap, false, 143),
    ("pop3s", Protocol::Pop3, true, 995),
    ("pop3", Protocol::Pop3, false, 110),
    ("pop", Protocol::Pop3, false, 110),
    ("smtps", Protocol::Smtp, true, 465),
    ("smtp", Protocol::Smtp, false, 587),
];

impl Place {
    /// Does this text look like a URL of ours at all?
    pub fn is_url(text: &str) -> bool {
        text.split_once("://").is_some_and(|(scheme, _)| SCHEMES.iter().any(|(name, ..)| scheme.eq_ignore_ascii_case(name)))
    }

    /// Reads a URL.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Place, Trouble> {
        let bad = |why: &str| Trouble::Here(format!("{}: {why}", without_password(text)));
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("wants imaps://user@host or pop3s://user@host"))?;
        let known = SCHEMES.iter().find(|(name, ..)| scheme.eq_ignore_ascii_case(name));
        let (_, protocol, implicit_tls, port) = *known.ok_or_else(|| bad("the schemes are imaps, imap, pop3s and pop3"))?;
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = rest.rsplit_once('@').unwrap_or(("", rest));
        let user = user.split(";AUTH=").next().unwrap_or_default();
        if user.contains(':') {
            return Err(bad("a password does not belong into a URL; give --password-stdin"));
        }
        let user = decode_percent(user).ok_or_else(|| bad("the user name is not UTF-8"))?;
        if user.contains(char::is_control) {
            return Err(bad("the user name has control characters"));
        }
        let (host, port) = host_and_port(host, port).ok_or_else(|| bad("host and port are not understood"))?;
        Ok(Place { protocol, implicit_tls, host, port, user })
    }

    /// As a URL, without who signs in.
    pub fn url(&self) -> String {
        let usual =
            |(_, protocol, tls, _): &&(&str, Protocol, bool, u16)| (*protocol, *tls) == (self.protocol, self.implicit_tls);
        let scheme = SCHEMES.iter().find(usual).map_or("", |(scheme, ..)| scheme);
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}", self.port)
    }

    /// The same for whoever signs in as `user`: what names this source in the marks of what came from it.
    pub fn source(&self, user: &str) -> String {
        let protocol = if self.protocol == Protocol::Pop3 { "pop3" } else { "imap" };
        format!("{protocol}://{user}@{}:{}", self.host.to_ascii_lowercase(), self.port)
    }

    /// In front of what names a message, in the marks of what was brought from there.
    pub fn import_prefix(&self, user: &str) -> String {
        format!("import/{}/", self.source(user))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

fn host_and_port(text: &str, usual: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, rest.strip_prefix(':').or(rest.is_empty().then_some(""))?)
        }
        None => text.rsplit_once(':').unwrap_or((text, "")),
    };
    let port = if port.is_empty() { usual } else { port.parse().ok().filter(|port| *port != 0)? };
    let fine = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '[' | ']'));
    fine.then(|| (host.to_owned(), port))
}

fn decode_percent(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(octet) => {
                out.push(octet);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(out).ok()
}

/// For messages to people: whoever gave a password in a URL should not see it again in a log.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    match rest.rsplit_once('@') {
        Some((user, host)) => format!("{scheme}://{}@{host}", user.split(':').next().unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_of_people() {
        let read = |text: &str| {
            let place = Place::parse(text).unwrap();
            (place.protocol, place.implicit_tls, place.user, place.host, place.port)
        };
        assert_eq!(read("imaps://ann@old.example"), (Protocol::Imap, true, "ann".into(), "old.example".into(), 993));
        let both = (Protocol::Imap, false, "ann@old.example".into(), "127.0.0.1".into(), 1143);
        assert_eq!(read("IMAP://ann@old.example@127.0.0.1:1143/"), both);
        assert_eq!(read("imap://ann%40old.example@127.0.0.1:1143"), both);
        assert_eq!(read("pop3://[::1]:1110"), (Protocol::Pop3, false, String::new(), "::1".into(), 1110));
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        let why = Place::parse("imaps://ann:hunter2@old.example").unwrap_err().to_string();
        assert!(why.contains("--password-stdin") && !why.contains("hunter2"), "{why}");
        for bad in [
            "old.example",
            "http://a@b",
            "imap://a@",
            "imap://a@b:0",
            "imap://a@b:99999",
            "imap://a@[::1",
            "imap://a@::1]",
            "imap://a%00@b",
        ] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }
}

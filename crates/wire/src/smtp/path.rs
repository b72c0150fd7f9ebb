//! Paths and mailboxes (RFC 5321 §4.1.2, §4.1.3; RFC 6531 §3.3).
//!
//! ABNF: `Path = "<" [ A-d-l ":" ] Mailbox ">"`, `Mailbox = Local-part "@" ( Domain / address-literal )`,
//! `Local-part = Dot-string / Quoted-string`. Source routes are accepted and ignored (RFC 5321 appendix C).
//! Invariant: what parses holds no control character, so it can be written back safely.

use crate::limits::smtp as limits;
use message::address::Address;
use std::fmt;

/// `None` is the null reverse-path `<>`.
pub type ReversePath = Option<Address>;

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain (RFC 5321 §4.1.1.3): ours.
    Postmaster,
    /// Anybody else.
    Mailbox(Address),
}

/// Why it is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPath {
    /// Not of the grammar.
    Syntax,
    /// Local part or domain past its limit.
    TooLong,
    /// Non-ASCII without SMTPUTF8.
    NeedsUtf8,
}

/// A reverse-path at the front of `text`: it and what follows.
pub fn take_reverse_path(text: &str, utf8: bool) -> Result<(ReversePath, &str), NoPath> {
    if let Some(rest) = text.strip_prefix("<>") {
        return Ok((None, rest));
    }
    let (inside, rest) = take_angle(text)?;
    Ok((Some(mailbox(inside, utf8)?), rest))
}

/// A forward-path at the front of `text`: it and what follows.
pub fn take_forward_path(text: &str, utf8: bool) -> Result<(ForwardPath, &str), NoPath> {
    let (inside, rest) = take_angle(text)?;
    if inside.eq_ignore_ascii_case("postmaster") {
        return Ok((ForwardPath::Postmaster, rest));
    }
    Ok((ForwardPath::Mailbox(mailbox(inside, utf8)?), rest))
}

/// The inside of `<...>` without a source route, and what follows. A `>` inside quotes does not end it.
fn take_angle(text: &str) -> Result<(&str, &str), NoPath> {
    let inner = text.strip_prefix('<').ok_or(NoPath::Syntax)?;
    let (mut quoted, mut escaped) = (false, false);
    for (at, octet) in inner.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => {
                let inside = inner.get(..at).ok_or(NoPath::Syntax)?;
                let rest = inner.get(at + 1..).ok_or(NoPath::Syntax)?;
                return Ok((without_route(inside)?, rest));
            }
            _ => {}
        }
    }
    Err(NoPath::Syntax)
}

/// `A-d-l = At-domain *( "," At-domain )`, then `:`.
fn without_route(inside: &str) -> Result<&str, NoPath> {
    if !inside.starts_with('@') {
        return Ok(inside);
    }
    let (route, mailbox) = inside.split_once(':').ok_or(NoPath::Syntax)?;
    let good = route.split(',').all(|hop| hop.strip_prefix('@').is_some_and(|name| is_domain(name, true)));
    if good { Ok(mailbox) } else { Err(NoPath::Syntax) }
}

/// `Mailbox`, all of `text`.
pub fn mailbox(text: &str, utf8: bool) -> Result<Address, NoPath> {
    let (local, domain) = if text.starts_with('"') { take_quoted(text)? } else { take_dot_string(text)? };
    let domain = domain.strip_prefix('@').ok_or(NoPath::Syntax)?;
    if local.len() > limits::LOCAL_BYTES_MAX || domain.len() > limits::DOMAIN_BYTES_MAX {
        return Err(NoPath::TooLong);
    }
    if !is_domain(domain, true) && !is_literal(domain) {
        return Err(NoPath::Syntax);
    }
    if !(utf8 || local.is_ascii() && domain.is_ascii()) {
        return Err(NoPath::NeedsUtf8);
    }
    Ok(Address { local, domain: domain.to_ascii_lowercase() })
}

/// `Dot-string = Atom *("." Atom)`; dots at odd places are let through, as phone makers once gave out such addresses.
fn take_dot_string(text: &str) -> Result<(String, &str), NoPath> {
    let end = text.find('@').ok_or(NoPath::Syntax)?;
    let (local, rest) = text.split_at(end);
    if local.is_empty() || !local.chars().all(|c| is_atext(c) || c == '.') {
        return Err(NoPath::Syntax);
    }
    Ok((local.to_owned(), rest))
}

/// `Quoted-string = DQUOTE *QcontentSMTP DQUOTE`, unquoted.
fn take_quoted(text: &str) -> Result<(String, &str), NoPath> {
    let mut local = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if local.is_empty() => return Err(NoPath::Syntax),
            '"' => return Ok((local, text.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, escaped)) if (' '..='~').contains(&escaped) => local.push(escaped),
                _ => return Err(NoPath::Syntax),
            },
            c if c.is_control() => return Err(NoPath::Syntax),
            c => local.push(c),
        }
    }
    Err(NoPath::Syntax)
}

/// RFC 5322 `atext`, and UTF8-non-ascii (RFC 6531 §3.3) but no C1 control.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && !c.is_control())
}

/// `Domain`; underscores are let through (real host names have them), labels may be U-labels.
pub(super) fn is_domain(name: &str, utf8: bool) -> bool {
    !name.is_empty()
        && name.len() <= limits::DOMAIN_BYTES_MAX
        && name.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63 * 4
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| {
                    c.is_ascii_alphanumeric()
                        || c == '-'
                        || c == '_'
                        || (utf8 && !c.is_ascii() && !c.is_control() && !c.is_whitespace())
                })
        })
}

/// `address-literal` (RFC 5321 §4.1.3): IPv4 or `IPv6:`; general ones are not reachable and not accepted.
pub(super) fn is_literal(text: &str) -> bool {
    let Some(inside) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) else { return false };
    match inside.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => {
            inside.get(5..).is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())
        }
        _ => inside.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

/// An address as it stands between angle brackets; `None` when it cannot be written (a control, an impossible domain).
pub fn encode_mailbox(address: &Address) -> Option<String> {
    if !(is_domain(&address.domain, true) || is_literal(&address.domain)) || address.local.is_empty() {
        return None;
    }
    if address.local.chars().any(char::is_control) {
        return None;
    }
    let dotted = address.local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext));
    if dotted {
        return Some(format!("{}@{}", address.local, address.domain));
    }
    let mut out = String::from('"');
    for c in address.local.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push_str("\"@");
    out.push_str(&address.domain);
    Some(out)
}

impl fmt::Display for ForwardPath {
    /// Without angle brackets, for people; see [`encode_mailbox`] for the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardPath::Postmaster => f.write_str("postmaster"),
            ForwardPath::Mailbox(address) => write!(f, "{}@{}", address.local, address.domain),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn address(local: &str, domain: &str) -> Address {
        Address { local: local.into(), domain: domain.into() }
    }

    #[test]
    fn known_answers_both_ways() {
        for (text, local, domain) in [
            ("ann@here.test", "ann", "here.test"),
            ("ann+x@here.test", "ann+x", "here.test"),
            ("\"ann smith\"@here.test", "ann smith", "here.test"),
            ("\"a\\\"b\\\\c>\"@here.test", "a\"b\\c>", "here.test"),
            ("ann@[192.0.2.1]", "ann", "[192.0.2.1]"),
            ("grå@bücher.test", "grå", "bücher.test"),
        ] {
            let parsed = mailbox(text, true).unwrap();
            assert_eq!(parsed, address(local, domain), "{text}");
            assert_eq!(encode_mailbox(&parsed).as_deref(), Some(text));
        }
        assert_eq!(mailbox("Ann@HERE.Test", false).unwrap(), address("Ann", "here.test"));
        assert_eq!(mailbox("\"ann\"@here.test", false).unwrap(), address("ann", "here.test"));
    }

    #[test]
    fn paths() {
        assert_eq!(take_reverse_path("<> SIZE=1", false).unwrap(), (None, " SIZE=1"));
        assert_eq!(take_forward_path("<PostMaster>", false).unwrap(), (ForwardPath::Postmaster, ""));
        assert_eq!(take_forward_path("<>", false), Err(NoPath::Syntax));
        let (path, rest) = take_forward_path("<@a.test,@b.test:c@d.test> NOTIFY=NEVER", false).unwrap();
        assert_eq!((path, rest), (ForwardPath::Mailbox(address("c", "d.test")), " NOTIFY=NEVER"));
        let (path, _) = take_reverse_path("<\"a>b\"@d.test>", false).unwrap();
        assert_eq!(path, Some(address("a>b", "d.test")));
    }

    #[test]
    fn refused() {
        for text in [
            "ann",
            "@here.test",
            "ann@",
            "ann@-x.test",
            "ann@x..test",
            "a b@x.test",
            "ann@x.test>",
            "a@b@c",
            "ann@[1.2.3]",
            "ann@[IPv6:zz]",
            "\"\"@x.test",
            "\"a@x.test",
            "ann@x\u{85}y.test",
            "a\u{85}b@x.test",
            "\"a\u{7f}\"@x.test",
        ] {
            assert_eq!(mailbox(text, true), Err(NoPath::Syntax), "{text}");
        }
        assert_eq!(mailbox("grå@x.test", false), Err(NoPath::NeedsUtf8));
        assert_eq!(mailbox(&format!("{}@x.test", "a".repeat(129)), false), Err(NoPath::TooLong));
        assert_eq!(encode_mailbox(&address("a\r\nb", "x.test")), None);
        assert_eq!(encode_mailbox(&address("a", "x.test>\r\nDATA")), None);
    }
}

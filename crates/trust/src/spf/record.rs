//! An SPF record read whole before anything of it is done (RFC 7208 §4.6, §5, §6, §12).
//!
//! ABNF: `record = version terms *SP`, `directive = [ qualifier ] mechanism`, `modifier = redirect / explanation / unknown`.
//! Invariant: one syntax error anywhere makes the whole record bad.

use super::macros::{self, MacroString};
use crate::limits::{SPF_RECORD_BYTES_MAX, SPF_TERMS_MAX};
use std::net::{Ipv4Addr, Ipv6Addr};

/// What a match means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qualifier {
    /// `+`
    Pass,
    /// `-`
    Fail,
    /// `~`
    SoftFail,
    /// `?`
    Neutral,
}

/// Prefix lengths of `a` and `mx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// `/24`
    pub v4: u8,
    /// `//64`
    pub v6: u8,
}

/// RFC 7208 §5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mechanism {
    /// §5.1
    All,
    /// §5.2
    Include(MacroString),
    /// §5.3
    A(Option<MacroString>, Cidr),
    /// §5.4
    Mx(Option<MacroString>, Cidr),
    /// §5.5
    Ptr(Option<MacroString>),
    /// §5.6
    Ip4(Ipv4Addr, u8),
    /// §5.6
    Ip6(Ipv6Addr, u8),
    /// §5.7
    Exists(MacroString),
}

impl Mechanism {
    /// The name it is about, where it has one of its own.
    pub fn target(&self) -> Option<&MacroString> {
        match self {
            Mechanism::Include(target) | Mechanism::Exists(target) => Some(target),
            Mechanism::A(target, _) | Mechanism::Mx(target, _) | Mechanism::Ptr(target) => target.as_ref(),
            Mechanism::All | Mechanism::Ip4(..) | Mechanism::Ip6(..) => None,
        }
    }
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// In their order.
    pub directives: Vec<(Qualifier, Mechanism)>,
    /// §6.1
    pub redirect: Option<MacroString>,
    /// §6.2
    pub explanation: Option<MacroString>,
}

/// Is this TXT record one of SPF's? (§4.5: the version, then a blank or the end.)
pub fn is_record(text: &str) -> bool {
    let head = text.get(..6).is_some_and(|head| head.eq_ignore_ascii_case("v=spf1"));
    head && matches!(text.as_bytes().get(6), None | Some(b' '))
}

impl Record {
    /// `Err`: which term is wrong.
    pub fn parse(text: &str) -> Result<Record, String> {
        if !is_record(text) || text.len() > SPF_RECORD_BYTES_MAX || !text.is_ascii() {
            return Err("not a record of version spf1, or with octets beyond ASCII".to_owned());
        }
        let mut record = Record::default();
        for (count, term) in text.get(6..).unwrap_or_default().split(' ').filter(|term| !term.is_empty()).enumerate() {
            if count >= SPF_TERMS_MAX {
                return Err("too many terms".to_owned());
            }
            record.term(term).ok_or_else(|| term.chars().take(80).collect::<String>())?;
        }
        Ok(record)
    }

    fn term(&mut self, term: &str) -> Option<()> {
        // A modifier has `=` right behind its name; in a mechanism one of `:` and `/` comes first.
        if let Some(at) = term.find([':', '/', '=']).filter(|at| term.as_bytes().get(*at) == Some(&b'=')) {
            let (name, value) = (term.get(..at)?, term.get(at + 1..)?);
            return self.modifier(name, value);
        }
        let (qualifier, rest) = match term.as_bytes().first()? {
            b'+' => (Qualifier::Pass, term.get(1..)?),
            b'-' => (Qualifier::Fail, term.get(1..)?),
            b'~' => (Qualifier::SoftFail, term.get(1..)?),
            b'?' => (Qualifier::Neutral, term.get(1..)?),
            _ => (Qualifier::Pass, term),
        };
        self.directives.push((qualifier, mechanism(rest)?));
        Some(())
    }

    fn modifier(&mut self, name: &str, value: &str) -> Option<()> {
        let good = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if !good {
            return None;
        }
        let place = match name.to_ascii_lowercase().as_str() {
            "redirect" => &mut self.redirect,
            "exp" => &mut self.explanation,
            _ => return macros::parse(value, false).map(|_| ()),
        };
        let value = macros::parse_domain_spec(value)?;
        place.replace(value).is_none().then_some(())
    }
}

fn mechanism(text: &str) -> Option<Mechanism> {
    let end = text.find([':', '/']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    let argument = rest.strip_prefix(':');
    match name.to_ascii_lowercase().as_str() {
        "all" => rest.is_empty().then_some(Mechanism::All),
        "include" => macros::parse_domain_spec(argument?).map(Mechanism::Include),
        "exists" => macros::parse_domain_spec(argument?).map(Mechanism::Exists),
        "ptr" if rest.is_empty() => Some(Mechanism::Ptr(None)),
        "ptr" => macros::parse_domain_spec(argument?).map(|domain| Mechanism::Ptr(Some(domain))),
        "a" => domain_and_cidr(rest).map(|(domain, cidr)| Mechanism::A(domain, cidr)),
        "mx" => domain_and_cidr(rest).map(|(domain, cidr)| Mechanism::Mx(domain, cidr)),
        "ip4" => {
            let (ip, length) = network(argument?, 32)?;
            Some(Mechanism::Ip4(ip.parse().ok()?, length))
        }
        "ip6" => {
            let (ip, length) = network(argument?, 128)?;
            Some(Mechanism::Ip6(ip.parse().ok()?, length))
        }
        _ => None,
    }
}

fn network(text: &str, longest: u8) -> Option<(&str, u8)> {
    match text.split_once('/') {
        Some((ip, length)) => Some((ip, prefix_length(length, longest)?)),
        None => Some((text, longest)),
    }
}

/// No signs, no leading zeros.
fn prefix_length(text: &str, longest: u8) -> Option<u8> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|length| plain && *length <= longest)
}

/// `[":" domain-spec] [ip4-cidr] ["/" ip6-cidr]`
fn domain_and_cidr(rest: &str) -> Option<(Option<MacroString>, Cidr)> {
    let mut cidr = Cidr { v4: 32, v6: 128 };
    let mut rest = rest;
    // Slashes may also stand between the braces of a macro: only what is a number at the end is a length.
    if let Some((before, length)) = rest.rsplit_once("//")
        && !length.contains('}')
    {
        cidr.v6 = prefix_length(length, 128)?;
        rest = before;
    }
    if let Some((before, length)) = rest.rsplit_once('/')
        && !length.contains('}')
    {
        cidr.v4 = prefix_length(length, 32)?;
        rest = before;
    }
    let domain = match rest.strip_prefix(':') {
        Some(domain) => Some(macros::parse_domain_spec(domain)?),
        None if rest.is_empty() => None,
        None => return None,
    };
    Some((domain, cidr))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn records_that_are_and_are_not() {
        assert!(is_record("v=spf1") && is_record("V=SPF1 -all") && !is_record("v=spf10") && !is_record("v=spf1\t-all"));
        let record =
            Record::parse("v=spf1  a:x.test/24//64 -MX ?ip4:192.0.2.0/24 ~ip6:2001:db8::/32 redirect=y.test moo=z ").unwrap();
        assert_eq!(record.directives.len(), 4);
        assert_eq!(record.directives[0].0, Qualifier::Pass);
        assert!(matches!(record.directives[0].1, Mechanism::A(Some(_), Cidr { v4: 24, v6: 64 })));
        assert_eq!(record.directives[1], (Qualifier::Fail, Mechanism::Mx(None, Cidr { v4: 32, v6: 128 })));
        assert!(record.redirect.is_some());
        for bad in [
            "v=spf1 ip4:1.2.3",
            "v=spf1 ip4:1.2.3.4/33",
            "v=spf1 ip4:1.2.3.4/032",
            "v=spf1 ip4",
            "v=spf1 ip6:::1/129",
            "v=spf1 include",
            "v=spf1 include:",
            "v=spf1 foo",
            "v=spf1 all:x",
            "v=spf1 redirect=a.test redirect=b.test",
            "v=spf1 a:/24",
            "v=spf1 a//129",
            "v=spf1 a/",
            "v=spf1 exists:%{z}.x.test",
            "v=spf1 moo=%",
            "v=spf1 1x=y",
            "v=spf1 +",
            "v=spf1 a:foo%(x).test",
            "v=spf1 -all\u{e4}",
            "v=spf1 include:nodots",
            "v=spf1 a:1.2.3.4",
            "v=spf1 exp=a.test exp=b.test",
            "v=spf1 all/8",
            "v=spf1 ptr:",
        ] {
            assert!(Record::parse(bad).is_err(), "{bad}");
        }
        for good in [
            "v=spf1",
            "v=spf1 a:foo/0",
            "v=spf1 a:x.test.",
            "v=spf1 exists:%{ir}.%{l1r+-}._spf.%{d}",
            "v=spf1 mx//0",
            "v=spf1 ptr",
            "v=spf1 a:%{d1r/}/24",
        ] {
            let seen = Record::parse(good);
            // A single label is no domain-spec; everything else here is.
            assert_eq!(seen.is_ok(), good != "v=spf1 a:foo/0", "{good}: {seen:?}");
        }
    }
}

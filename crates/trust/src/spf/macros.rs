//! Macros of SPF (RFC 7208 §7): read once, expanded for one transaction.
//!
//! ABNF: `macro-expand = ( "%{" macro-letter transformers *delimiter "}" ) / "%%" / "%_" / "%-"`.

use crate::dnsbl::reversed;
use std::net::IpAddr;

/// A macro-string, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroString(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Macro { letter: char, escaped: bool, digits: Option<usize>, reverse: bool, delimiters: String },
}

/// What macros stand for in one transaction.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// `%{l}@%{o}`: the local part of the sender.
    pub local: &'a str,
    /// The domain of the sender.
    pub sender_domain: &'a str,
    /// `%{d}`: the domain that is checked now.
    pub domain: &'a str,
    /// `%{i}`
    pub ip: IpAddr,
    /// `%{p}`: asked only if it is wanted.
    pub validated: &'a str,
    /// `%{h}`
    pub helo: &'a str,
    /// `%{r}`: who checks.
    pub receiver: &'a str,
    /// `%{t}`
    pub now_secs: i64,
}

/// A macro-string; `explaining` allows `c`, `r` and `t` (§7.2).
pub fn parse(text: &str, explaining: bool) -> Option<MacroString> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            let allowed = matches!(c, '!'..='~') || (explaining && c == ' ');
            if !allowed {
                return None;
            }
            plain.push(c);
            continue;
        }
        match rest.next()? {
            '%' => plain.push('%'),
            '_' => plain.push(' '),
            '-' => plain.push_str("%20"),
            '{' => {
                let (inside, after) = rest.as_str().split_once('}')?;
                rest = after.chars();
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(one(inside, explaining)?);
            }
            _ => return None,
        }
    }
    pieces.push(Piece::Text(plain));
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    Some(MacroString(pieces))
}

fn one(inside: &str, explaining: bool) -> Option<Piece> {
    let letter = inside.chars().next()?;
    let lower = letter.to_ascii_lowercase();
    let known = "slodiphv".contains(lower) || (explaining && "crt".contains(lower));
    if !known {
        return None;
    }
    let rest = inside.get(1..)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, rest) = rest.split_at_checked(end)?;
    let digits = match number {
        "" => None,
        // A number larger than any name has labels means all of them; none at all means nothing.
        number => Some(number.parse().unwrap_or(usize::MAX)).filter(|n| *n > 0).map(Some)?,
    };
    let (reverse, rest) = match rest.strip_prefix(['r', 'R']) {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if !rest.chars().all(|c| ".-+,/_=".contains(c)) {
        return None;
    }
    let delimiters = if rest.is_empty() { "." } else { rest }.to_owned();
    Some(Piece::Macro { letter: lower, escaped: letter.is_ascii_uppercase(), digits, reverse, delimiters })
}

/// `domain-spec = macro-string domain-end`: ends in a top label or in a macro.
pub fn parse_domain_spec(text: &str) -> Option<MacroString> {
    let parsed = parse(text, false)?;
    let ends_well = match parsed.0.last()? {
        Piece::Macro { .. } => true,
        Piece::Text(tail) => {
            let tail = tail.strip_suffix('.').unwrap_or(tail);
            let (before, label) = tail.rsplit_once('.')?;
            let something_before = !before.is_empty() || parsed.0.len() > 1;
            something_before && is_top_label(label)
        }
    };
    ends_well.then_some(parsed)
}

/// Letters, digits and inner hyphens, not digits alone.
fn is_top_label(label: &str) -> bool {
    let inner = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && !label.chars().all(|c| c.is_ascii_digit())
}

impl MacroString {
    /// Does it need the validated name of the address?
    pub fn wants_validated(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Macro { letter: 'p', .. }))
    }

    /// Does it name the sender's local part?
    pub fn wants_local(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Macro { letter: 's' | 'l', .. }))
    }

    /// The text with everything put in.
    pub fn expand(&self, values: &Values<'_>) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Macro { letter, escaped, digits, reverse, delimiters } => {
                    let value = transformed(&value_of(*letter, values), *digits, *reverse, delimiters);
                    if *escaped { escape(&value, &mut out) } else { out.push_str(&value) }
                }
            }
        }
        out
    }

    /// As a name for DNS: labels on the left go until it is no longer than 253 (§7.3).
    pub fn expand_domain(&self, values: &Values<'_>) -> String {
        let whole = self.expand(values);
        let mut name = whole.trim_end_matches('.');
        while name.len() > 253 {
            let Some((_, rest)) = name.split_once('.') else { break };
            name = rest;
        }
        name.to_owned()
    }
}

fn value_of(letter: char, values: &Values<'_>) -> String {
    match letter {
        's' => format!("{}@{}", values.local, values.sender_domain),
        'l' => values.local.to_owned(),
        'o' => values.sender_domain.to_owned(),
        'd' => values.domain.to_owned(),
        'i' => dotted(values.ip),
        'p' => values.validated.to_owned(),
        'v' if values.ip.to_canonical().is_ipv4() => "in-addr".to_owned(),
        'v' => "ip6".to_owned(),
        'h' => values.helo.to_owned(),
        'c' => values.ip.to_canonical().to_string(),
        'r' => values.receiver.to_owned(),
        't' => values.now_secs.to_string(),
        _ => String::new(),
    }
}

/// IPv4 as usual, IPv6 as 32 nibbles between dots.
fn dotted(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        six => reversed(six).chars().rev().collect(),
    }
}

fn transformed(value: &str, digits: Option<usize>, reverse: bool, delimiters: &str) -> String {
    if digits.is_none() && !reverse && delimiters == "." {
        return value.to_owned();
    }
    let mut parts: Vec<&str> = value.split(|c| delimiters.contains(c)).collect();
    if reverse {
        parts.reverse();
    }
    let from = parts.len().saturating_sub(digits.unwrap_or(usize::MAX));
    parts.get(from..).unwrap_or_default().join(".")
}

/// RFC 3986's unreserved characters stay.
fn escape(value: &str, out: &mut String) {
    for octet in value.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn expanded(text: &str, ip: &str) -> String {
        let values = Values {
            local: "strong-bad",
            sender_domain: "email.example.com",
            domain: "email.example.com",
            ip: ip.parse().unwrap(),
            validated: "mx.example.org",
            helo: "mx.example.org",
            receiver: "here.test",
            now_secs: 42,
        };
        parse(text, true).unwrap().expand(&values)
    }

    /// RFC 7208 §7.4.
    #[test]
    fn the_examples_of_the_rfc() {
        for (text, want) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d3}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr}", "strong-bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
            ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
            ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        ] {
            assert_eq!(expanded(text, "192.0.2.3"), want, "{text}");
        }
        assert_eq!(
            expanded("%{ir}.%{v}._spf.%{d2}", "2001:db8::cb01"),
            "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"
        );
    }

    #[test]
    fn the_rest() {
        assert_eq!(
            expanded("%%%_%-%{S} %{c} %{t} %{r}", "2001:db8::1"),
            "% %20strong-bad%40email.example.com 2001:db8::1 42 here.test"
        );
        assert!(parse("%{c}", false).is_none() && parse("%{", false).is_none() && parse("%", true).is_none());
        assert!(parse("%{d0}", false).is_none() && parse("%{dx}", false).is_none() && parse("%a", false).is_none());
        assert!(parse_domain_spec("x.%{d}").is_some() && parse_domain_spec("%{d}.").is_none());
        assert!(
            parse_domain_spec("%{i}.x-y.test").is_some()
                && parse_domain_spec("a.-b").is_none()
                && parse_domain_spec(".com").is_none()
        );
        let long = format!("{}.example.com", "a.".repeat(200).trim_end_matches('.'));
        let values = Values {
            local: "",
            sender_domain: "",
            domain: &long,
            ip: [1, 1, 1, 1].into(),
            validated: "",
            helo: "",
            receiver: "",
            now_secs: 0,
        };
        let name = parse("%{d}", false).unwrap().expand_domain(&values);
        assert!(name.len() <= 253 && name.ends_with(".a.example.com"));
    }
}

//! XCLIENT: a proxy that is named in the configuration tells for whom it speaks, with a command of its own.
//!
//! <https://www.postfix.org/XCLIENT_README.html>. ABNF: `"XCLIENT" 1*(SP attribute "=" xtext)`. What it says of the sign-in (LOGIN) is
//! not offered. Must not know: who is named.

use super::parameter::xtext_decode;
use crate::limits::smtp as limits;
use std::net::IpAddr;

/// The attributes as EHLO offers them.
pub(super) const OFFERED: &str = "XCLIENT NAME ADDR PORT PROTO HELO";

/// For whom a proxy speaks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behind {
    /// ADDR.
    pub ip: Option<IpAddr>,
    /// PORT.
    pub port: Option<u16>,
    /// HELO.
    pub helo: Option<String>,
    /// PROTO: EHLO rather than HELO.
    pub extended: Option<bool>,
}

/// What stands behind the verb; `None` is a mistake.
pub(super) fn parse(rest: &str) -> Option<Behind> {
    let mut behind = Behind::default();
    let mut count = 0;
    for word in rest.split(' ').filter(|word| !word.is_empty()) {
        let (attribute, value) = word.split_once('=')?;
        let value = xtext_decode(value).filter(|value| value.len() <= limits::DOMAIN_BYTES_MAX && !value.contains(is_odd))?;
        // Not known, or not just now.
        let value = Some(value).filter(|value| !matches!(value.to_ascii_uppercase().as_str(), "[UNAVAILABLE]" | "[TEMPUNAVAIL]"));
        count += 1;
        match (attribute.to_ascii_uppercase().as_str(), value) {
            ("NAME", _) => {}
            ("ADDR", Some(text)) => behind.ip = Some(ip(&text)?),
            ("PORT", Some(text)) => behind.port = Some(text.parse().ok()?),
            ("ADDR" | "PORT", None) => {}
            ("HELO", value) => behind.helo = value,
            ("PROTO", Some(word)) if word.eq_ignore_ascii_case("ESMTP") => behind.extended = Some(true),
            ("PROTO", Some(word)) if word.eq_ignore_ascii_case("SMTP") => behind.extended = Some(false),
            ("PROTO", None) => {}
            _ => return None,
        }
    }
    (count > 0).then_some(behind)
}

fn is_odd(c: char) -> bool {
    c.is_control() || c == ' '
}

fn ip(text: &str) -> Option<IpAddr> {
    match text.split_at_checked(5) {
        Some((prefix, six)) if prefix.eq_ignore_ascii_case("IPV6:") => six.parse().ok().map(IpAddr::V6),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn attributes() {
        let behind = parse("NAME=spike.example ADDR=192.0.2.7 PORT=4711 HELO=mx+2Dx PROTO=ESMTP").unwrap();
        assert_eq!((behind.ip, behind.port), ("192.0.2.7".parse().ok(), Some(4711)));
        assert_eq!((behind.helo.as_deref(), behind.extended), (Some("mx-x"), Some(true)));
        assert_eq!(parse("addr=IPv6:2001:db8::1").unwrap().ip, "2001:db8::1".parse().ok());
        assert_eq!(parse("NAME=[UNAVAILABLE] HELO=[TEMPUNAVAIL]"), Some(Behind::default()));
        for bad in [
            "",
            "ADDR",
            "ADDR=",
            "ADDR=mx.example",
            "PORT=70000",
            "LOGIN=ann",
            "PROTO=LMTP",
            "HELO=a+20b",
            "HELO=a+0D",
            "HELO=+G1",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}

//! From a destination to the hosts that take its mail (RFC 5321 §5).
//!
//! Pure: DNS answers in, hosts in the order to try out. Invariant: never leads back to ourselves.

use crate::receive::domain_of;
use smol_str::SmolStr;
use std::net::IpAddr;

/// What a queue entry's destination is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Ask for MX.
    Domain(String),
    /// `[192.0.2.1]`, `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3).
    Literal(IpAddr),
    /// A literal nobody can dial.
    BadLiteral,
}

/// The unit of concurrency and back-off for an address: its domain, lower-case, A-labels.
pub fn destination_of(address: &str) -> SmolStr {
    SmolStr::from(domain_of(address).unwrap_or_default())
}

/// Reads a queue entry's destination.
pub fn read(destination: &str) -> Destination {
    let Some(literal) = destination.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return Destination::Domain(destination.to_owned());
    };
    let lower = literal.to_ascii_lowercase();
    let parsed = match lower.strip_prefix("ipv6:") {
        Some(six) => six.parse().map(IpAddr::V6).ok(),
        None => lower.parse().map(IpAddr::V4).ok(),
    };
    parsed.map_or(Destination::BadLiteral, Destination::Literal)
}

/// The hosts to try, best first (RFC 5321 §5.1): ourselves and everything worse left out. `records` come sorted, equals in
/// random order. `None`: the best host is ourselves although the domain is not served here, the mail would go in circles.
pub fn hosts(records: &[(u16, String)], ourselves: &str) -> Option<Vec<String>> {
    let own = records
        .iter()
        .find(|(_, host)| host.eq_ignore_ascii_case(ourselves))
        .map_or(u32::MAX, |(preference, _)| u32::from(*preference));
    let hosts: Vec<String> = records
        .iter()
        .filter(|(preference, _)| u32::from(*preference) < own)
        .map(|(_, host)| host.to_ascii_lowercase())
        .collect();
    (!hosts.is_empty()).then_some(hosts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn mx(list: &[(u16, &str)]) -> Vec<(u16, String)> {
        list.iter().map(|(preference, host)| (*preference, (*host).to_owned())).collect()
    }

    #[test]
    fn never_to_ourselves_or_worse() {
        let records = mx(&[(10, "First.test"), (20, "US.test"), (20, "equal.test"), (30, "backup.test")]);
        assert_eq!(hosts(&records, "us.test"), Some(vec!["first.test".into()]));
        assert_eq!(hosts(&mx(&[(10, "us.test"), (20, "other.test")]), "us.test"), None);
        assert_eq!(hosts(&mx(&[(10, "a.test"), (20, "b.test")]), "us.test"), Some(vec!["a.test".into(), "b.test".into()]));
        assert_eq!(hosts(&[], "us.test"), None);
    }

    #[test]
    fn literals() {
        assert_eq!(read("[192.0.2.7]"), Destination::Literal("192.0.2.7".parse().unwrap()));
        assert_eq!(read("[ipv6:2001:db8::1]"), Destination::Literal("2001:db8::1".parse().unwrap()));
        assert_eq!(read("[x400:foo]"), Destination::BadLiteral);
        assert_eq!(read("x.test"), Destination::Domain("x.test".into()));
    }
}

//! Lists of addresses kept in DNS (RFC 5782): which name is asked, and what the answer means.
//!
//! Invariant: only an answer in 127.0.0.0/8 is a listing; 127.255.255.0/24 says that the list does not talk to us, and means
//! nothing about the peer.

use crate::dns::{Dns, DnsError};
use std::net::{IpAddr, Ipv4Addr};

/// What a list says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// It is on it, with this code.
    Listed(Ipv4Addr),
    /// It is not.
    Clear,
    /// The list gave no usable answer.
    Unknown(String),
}

/// The name to ask (RFC 5782 §2.1, §2.4).
pub fn question(ip: IpAddr, zone: &str) -> String {
    format!("{}.{}", reversed(ip), zone.trim_matches('.'))
}

/// `1.2.0.192` or 32 nibbles, as PTR, DNSBLs and SPF's `%{ir}` spell an address.
pub fn reversed(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

/// Asks one list.
pub async fn ask(dns: &dyn Dns, ip: IpAddr, zone: &str) -> Listing {
    match dns.ipv4(&question(ip, zone)).await {
        Ok(codes) => {
            let meaning = |code: &&Ipv4Addr| code.is_loopback() && !code.octets().starts_with(&[127, 255, 255]);
            match codes.iter().find(meaning) {
                Some(code) => Listing::Listed(*code),
                None => Listing::Unknown(format!("{zone} answered {codes:?}, which is no listing")),
            }
        }
        Err(DnsError::NotFound | DnsError::NoData) => Listing::Clear,
        Err(error) => Listing::Unknown(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::dns::tests::{Table, now};

    #[test]
    fn what_an_answer_means() {
        let dns = Table::default().ip("2.2.0.192.bl.test", "127.0.0.4").ip("3.2.0.192.bl.test", "127.255.255.254");
        let dns = dns.ip("4.2.0.192.bl.test", "203.0.113.1").broken("5.2.0.192.bl.test");
        let asked = |last: u8| now(ask(&dns, IpAddr::from([192, 0, 2, last]), "bl.test."));
        assert_eq!(asked(2), Listing::Listed(Ipv4Addr::new(127, 0, 0, 4)));
        assert!(matches!(asked(3), Listing::Unknown(_)));
        assert!(matches!(asked(4), Listing::Unknown(_)));
        assert!(matches!(asked(5), Listing::Unknown(_)));
        assert_eq!(asked(6), Listing::Clear);
        assert_eq!(
            question("2001:db8:1:2:3:4:567:89ab".parse().unwrap(), "ugly.test"),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.test"
        );
    }
}

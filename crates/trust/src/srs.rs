//! The Sender Rewriting Scheme: a forwarded message gets a reverse-path of ours, so that SPF holds at the next server, and a
//! bounce to it finds the way back.
//!
//! `SRS0=HHHHHHHH=TT=domain=local@ours` for who sent to us, `SRS1=HHHHHHHH=host==rest@ours` for what another forwarder rewrote before.
//! Invariant: only what this server rewrote, not longer ago than [`AGE_DAYS_MAX`], leads back; local parts keep their case.
//! Must not know: the clock (it is an argument), who may use the way back.

use ring::hmac::{HMAC_SHA256, Key, sign};

/// Days a rewritten address leads back: longer than any queue tries.
pub const AGE_DAYS_MAX: i64 = 21;
/// Characters of the hash: 40 bits, and each try costs a transaction.
const HASH_CHARS: usize = 8;
/// Two characters of five bits each.
const DAYS_ROUND: i64 = 1024;
const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// RFC 5321 §4.5.3.1.1 allows 64 octets, most servers take more; past this a message is forwarded as it is.
const LOCAL_BYTES_MAX: usize = 250;

/// The secret that rewrites.
pub struct Srs {
    key: Key,
}

impl std::fmt::Debug for Srs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Srs")
    }
}

impl Srs {
    /// With a secret that is kept for as long as bounces may come.
    pub fn new(secret: &[u8]) -> Srs {
        Srs { key: Key::new(HMAC_SHA256, secret) }
    }

    fn hash(&self, parts: &[&str]) -> String {
        // Case is lost on the way with some servers.
        let text = parts.join("=").to_ascii_lowercase();
        let mut encoded = data_encoding::BASE32_NOPAD.encode(sign(&self.key, text.as_bytes()).as_ref());
        encoded.truncate(HASH_CHARS);
        encoded
    }

    /// `address` as our own at `domain`. `None`: it cannot be rewritten, or need not be (the null reverse-path).
    pub fn forward(&self, address: &str, domain: &str, now_secs: i64) -> Option<String> {
        let (local, host) = address.rsplit_once('@')?;
        if local.is_empty() || !message::domain::is_domain(host) || local.contains(|c: char| c.is_control()) {
            return None;
        }
        let new = match kind(local) {
            // Rewritten twice before: only the last but one host matters, it knows the way on.
            Some((1, rest)) => {
                let (_, rest) = rest.split_once('=')?;
                // Nothing leads back to what is no host.
                let (first, inner) = rest.split_once("==").filter(|(first, _)| message::domain::is_domain(first))?;
                format!("SRS1={}={rest}", self.hash(&[first, inner]))
            }
            Some((_, rest)) => format!("SRS1={}={host}=={rest}", self.hash(&[host, rest])),
            None => {
                let day = day(now_secs);
                format!("SRS0={}={day}={host}={local}", self.hash(&[&day, host, local]))
            }
        };
        (new.len() <= LOCAL_BYTES_MAX).then(|| format!("{new}@{domain}"))
    }

    /// The address behind a rewritten one. `None`: it is none of ours, or too old.
    pub fn back(&self, local: &str, now_secs: i64) -> Option<String> {
        let (number, rest) = kind(local)?;
        let (hash, rest) = rest.split_once('=')?;
        let good = |parts: &[&str]| same(&self.hash(parts), hash);
        if number == 1 {
            let (host, inner) = rest.split_once("==")?;
            return (good(&[host, inner]) && message::domain::is_domain(host)).then(|| format!("SRS0={inner}@{host}"));
        }
        let (stamp, rest) = rest.split_once('=')?;
        let (host, local) = rest.split_once('=')?;
        let fresh = age(stamp, now_secs).is_some_and(|days| days <= AGE_DAYS_MAX);
        (fresh && good(&[stamp, host, local]) && message::domain::is_domain(host)).then(|| format!("{local}@{host}"))
    }
}

/// Does it look like one, ours or not?
pub fn is_rewritten(local: &str) -> bool {
    kind(local).is_some()
}

/// 0 or 1, and what is behind the separator.
fn kind(local: &str) -> Option<(u8, &str)> {
    let number = match local.get(..4)?.to_ascii_uppercase().as_str() {
        "SRS0" => 0,
        "SRS1" => 1,
        _ => return None,
    };
    let rest = local.get(4..)?;
    rest.starts_with(['=', '+', '-']).then(|| rest.get(1..).map(|rest| (number, rest)))?
}

fn day(now_secs: i64) -> String {
    let day = now_secs.div_euclid(86_400).rem_euclid(DAYS_ROUND) as usize;
    [day / 32, day % 32].iter().filter_map(|digit| DIGITS.get(*digit)).map(|digit| char::from(*digit)).collect()
}

/// Days since the stamp; a stamp of tomorrow is 0 days old, for clocks differ.
fn age(stamp: &str, now_secs: i64) -> Option<i64> {
    let value = |c: u8| DIGITS.iter().position(|digit| *digit == c.to_ascii_uppercase());
    let [high, low] = stamp.as_bytes() else { return None };
    let then = (value(*high)? * 32 + value(*low)?) as i64;
    let now = now_secs.div_euclid(86_400).rem_euclid(DAYS_ROUND);
    let days = (now - then).rem_euclid(DAYS_ROUND);
    Some(if days == DAYS_ROUND - 1 { 0 } else { days })
}

/// In constant time.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b.to_ascii_uppercase())) == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DAY: i64 = 86_400;
    const NOW: i64 = 20_000 * DAY;

    #[test]
    fn secret_checks_of_a_way_back() {
        let srs = Srs::new(b"secret");
        let rewritten = srs.forward("ann@there.test", "here.test", NOW).unwrap();
        let hash = rewritten.get(5..5 + HASH_CHARS).unwrap();
        let said = crate::secret_checks::three(hash.as_bytes()).map(|other| {
            let local = rewritten.split_once('@').unwrap().0;
            local.replacen(hash, std::str::from_utf8(&other).unwrap(), 1)
        });
        crate::secret_checks::count("the hash of a rewritten sender", &said, |local| {
            srs.back(std::str::from_utf8(local).unwrap(), NOW).is_some()
        });
    }

    #[test]
    fn there_and_back() {
        let srs = Srs::new(b"secret");
        for address in ["ann@there.test", "Ann.B+x@There.Test", "\"a=b c\"@there.test", "a=b=c@x.y.test"] {
            let rewritten = srs.forward(address, "here.test", NOW).unwrap();
            let (local, domain) = rewritten.rsplit_once('@').unwrap();
            assert!(local.starts_with("SRS0=") && domain == "here.test", "{rewritten}");
            assert_eq!(srs.back(local, NOW).as_deref(), Some(address));
            assert_eq!(srs.back(local, NOW + AGE_DAYS_MAX * DAY).as_deref(), Some(address));
            assert_eq!(srs.back(local, NOW + (AGE_DAYS_MAX + 1) * DAY), None);
            assert_eq!(srs.back(local, NOW - DAY).as_deref(), Some(address));
            assert_eq!(Srs::new(b"another").back(local, NOW), None);
        }
        for none in ["", "SRS1=AAAAAAAA=no host==AAAAAAAA=AA=there.test=ann@two.test"] {
            assert_eq!(srs.forward(none, "here.test", NOW), None);
        }
        assert_eq!(srs.forward(&format!("{}@x.test", "a".repeat(300)), "here.test", NOW), None);
    }

    #[test]
    fn a_chain_of_forwarders_does_not_grow() {
        let (one, two, three) = (Srs::new(b"1"), Srs::new(b"2"), Srs::new(b"3"));
        let first = one.forward("ann@there.test", "one.test", NOW).unwrap();
        let second = two.forward(&first, "two.test", NOW).unwrap();
        let third = three.forward(&second, "three.test", NOW).unwrap();
        assert!(second.starts_with("SRS1=") && third.starts_with("SRS1=") && third.len() <= second.len() + 2, "{third}");
        let local = |address: &str| address.rsplit_once('@').unwrap().0.to_owned();
        // From the third straight to the first, which knows who it was.
        assert_eq!(three.back(&local(&third), NOW).as_deref(), Some(first.as_str()));
        assert_eq!(two.back(&local(&second), NOW).as_deref(), Some(first.as_str()));
        assert_eq!(one.back(&local(&first), NOW).as_deref(), Some("ann@there.test"));
    }

    #[test]
    fn forged_and_torn_ones_lead_nowhere() {
        let srs = Srs::new(b"secret");
        let good = srs.forward("ann@there.test", "here.test", NOW).unwrap();
        let local = good.rsplit_once('@').unwrap().0;
        assert!(srs.back(&local.to_ascii_uppercase(), NOW).is_some(), "some servers change the case");
        for bad in ["SRS0", "SRS0=", "SRS0=AAAA=AA=x.test=a", "SRS1=AAAAAAAA=x.test==a", "SRS1==x==", "srs9=a", "ann"] {
            assert_eq!(srs.back(bad, NOW), None, "{bad}");
        }
        assert_eq!(srs.back(&local.replace("there.test", "evil.test"), NOW), None);
        assert_eq!(srs.back(&local.replace("=ann", "=bob"), NOW), None);
        assert!(is_rewritten(local) && !is_rewritten("ann"));
    }
}

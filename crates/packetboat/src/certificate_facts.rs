//! Two facts of a certificate (RFC 5280 §4.1): how long it holds, and the digest of its key that TLSA names (RFC 6698, `3 1 1`).
//!
//! Reads DER only as far as that needs. Must not know: whether the certificate is trusted.

use ring::digest::{SHA256, digest};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateFacts {
    pub(crate) not_after_secs: i64,
    /// Hexadecimal.
    pub(crate) key_sha256: String,
}

/// The first certificate of a PEM file.
pub(crate) fn of_pem(text: &str) -> Option<CertificateFacts> {
    let inside = text.split_once("-----BEGIN CERTIFICATE-----")?.1.split_once("-----END CERTIFICATE-----")?.0;
    let dense: String = inside.chars().filter(|c| !c.is_whitespace()).collect();
    of_der(&data_encoding::BASE64.decode(dense.as_bytes()).ok()?)
}

/// (tag, content, whole value, what is behind)
type Value<'a> = (u8, &'a [u8], &'a [u8], &'a [u8]);

fn take(octets: &[u8]) -> Option<Value<'_>> {
    let (tag, first, rest) = match octets {
        [tag, first, rest @ ..] => (*tag, *first, rest),
        _ => return None,
    };
    let (length, content) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (length, content) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |sum, octet| (sum << 8) | usize::from(*octet)), content)
        }
        _ => return None,
    };
    let (content, behind) = content.split_at_checked(length)?;
    Some((tag, content, octets.get(..octets.len() - behind.len())?, behind))
}

fn of_der(octets: &[u8]) -> Option<CertificateFacts> {
    let (_, certificate, _, _) = take(octets)?;
    let (_, mut rest, _, _) = take(certificate)?;
    // [0] version, if it is there.
    if rest.first() == Some(&0xa0) {
        rest = take(rest)?.3;
    }
    // serialNumber, signature, issuer
    for _ in 0..3 {
        rest = take(rest)?.3;
    }
    let (_, validity, _, rest) = take(rest)?;
    let (_, _, _, end) = take(validity)?;
    let (tag, end, _, _) = take(end)?;
    // subject
    let rest = take(rest)?.3;
    let (_, _, key, _) = take(rest)?;
    Some(CertificateFacts {
        not_after_secs: time(tag, std::str::from_utf8(end).ok()?)?,
        key_sha256: data_encoding::HEXLOWER.encode(digest(&SHA256, key).as_ref()),
    })
}

/// UTCTime (0x17) or GeneralizedTime (0x18), in UTC as RFC 5280 wants it.
fn time(tag: u8, text: &str) -> Option<i64> {
    let (year, rest) = match tag {
        0x17 => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        0x18 => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    // Days since 1970 of a civil date: years that begin in March.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + part(4)? * 3600 + part(6)? * 60 + part(8).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_certificate_that_we_make() {
        let dir = tempfile::tempdir().unwrap();
        let tls = net::TlsServer::self_signed(dir.path(), &["here.test".to_owned()]).unwrap();
        let facts = of_pem(&std::fs::read_to_string(tls.certificate_path()).unwrap()).unwrap();
        assert!(facts.not_after_secs > server::context::unix_now() && facts.key_sha256.len() == 64, "{facts:?}");
    }

    #[test]
    fn times() {
        assert_eq!(time(0x17, "700101000000Z"), Some(0));
        assert_eq!(time(0x18, "20240229120000Z"), Some(1_709_208_000));
        assert_eq!(time(0x17, "49"), None);
        assert_eq!(of_der(&[0x30, 0x84, 1, 1]), None);
    }
}

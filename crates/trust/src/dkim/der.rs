//! As much DER (X.690) as keys need: the public key inside its wrapping, and a private key's.
//!
//! Invariant: never reads past what it was given; lengths are bounded by it.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
/// AlgorithmIdentifier of rsaEncryption with NULL.
const RSA_ENCRYPTION: &[u8] = &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// The value with this tag at the head, and what is behind it.
fn take(octets: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (head, rest) = octets.split_first()?;
    if *head != tag {
        return None;
    }
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0usize, |sum, octet| (sum << 8) | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// `(n, e)` of an RSA public key: SubjectPublicKeyInfo (what everybody publishes) or RSAPublicKey (what RFC 6376 §3.6.1 says).
pub(crate) fn rsa_public(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (inside, _) = take(octets, SEQUENCE)?;
    let numbers = match take(inside, SEQUENCE) {
        Some((_, behind)) => {
            let (bits, _) = take(behind, BIT_STRING)?;
            take(bits.strip_prefix(&[0])?, SEQUENCE)?.0
        }
        None => inside,
    };
    let (n, behind) = take(numbers, INTEGER)?;
    let (e, _) = take(behind, INTEGER)?;
    Some((without_zeros(n), without_zeros(e)))
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let at = number.iter().position(|octet| *octet != 0).unwrap_or(number.len());
    number.get(at..).unwrap_or_default()
}

fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let octets = (length as u32).to_be_bytes();
        let octets = without_zeros(&octets);
        out.push(0x80 | octets.len() as u8);
        out.extend_from_slice(octets);
    }
    out.extend_from_slice(content);
    out
}

fn integer(number: &[u8]) -> Vec<u8> {
    let mut value = without_zeros(number).to_vec();
    if value.first().is_none_or(|octet| octet & 0x80 != 0) {
        value.insert(0, 0);
    }
    wrap(INTEGER, &value)
}

/// SubjectPublicKeyInfo around an RSAPublicKey.
pub(crate) fn rsa_public_info(key: &[u8]) -> Vec<u8> {
    let bits = [&[0], key].concat();
    wrap(SEQUENCE, &[RSA_ENCRYPTION, &wrap(BIT_STRING, &bits)].concat())
}

/// PKCS #8 around an RSAPrivateKey of these numbers, in the order of RFC 8017 §A.1.2: n e d p q dp dq qinv.
pub(crate) fn rsa_private(numbers: [&[u8]; 8]) -> Vec<u8> {
    let mut inside = integer(&[0]);
    for number in numbers {
        inside.extend(integer(number));
    }
    let key = wrap(SEQUENCE, &inside);
    wrap(SEQUENCE, &[&integer(&[0]), RSA_ENCRYPTION, &wrap(OCTET_STRING, &key)].concat())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_wrappings_of_a_public_key() {
        let n = [0xc1; 128];
        let bare = wrap(SEQUENCE, &[integer(&n), integer(&[1, 0, 1])].concat());
        assert_eq!(rsa_public(&bare), Some((&n[..], &[1, 0, 1][..])));
        let whole = rsa_public_info(&bare);
        assert_eq!(rsa_public(&whole), Some((&n[..], &[1, 0, 1][..])));
        for cut in 0..whole.len() {
            assert_eq!(rsa_public(&whole[..cut]), None);
        }
        assert_eq!(take(&[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff, 1], SEQUENCE), None);
        assert_eq!(take(&[SEQUENCE, 0x80, 0, 0], SEQUENCE), None);
    }
}

//! Domain names and address literals (RFC 5321 §4.1.2, §4.1.3), and IDNA A-labels by Punycode (RFC 3492, RFC 5890).
//!
//! U-labels are only lowered in case before they are encoded; there is no further mapping (UTS 46).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::limits::DOMAIN_BYTES_MAX;

/// Labels of letters, digits and inner hyphens (underscores seen and let pass), or U-labels; no dot at the end.
///
/// ```
/// use message::domain::{is_domain, is_literal, to_unicode};
/// assert!(is_domain("mail.here.test") && !is_domain("here..test") && is_literal("[127.0.0.1]") && !is_literal("127.0.0.1"));
/// assert_eq!(to_unicode("xn--bcher-kva.example"), "bücher.example");
/// ```
pub fn is_domain(text: &str) -> bool {
    text.len() <= DOMAIN_BYTES_MAX && text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let good =
        |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || (!c.is_ascii() && c.is_alphanumeric()) || is_mark(c);
    !label.is_empty()
        && label.len() <= 63 * 4
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(good)
        && (!label.is_ascii() || label.len() <= 63)
}

/// Combining marks, joiners and other parts of U-labels that are not alphanumeric by themselves.
fn is_mark(c: char) -> bool {
    matches!(c as u32, 0xb7 | 0x300..=0x36f | 0x900..=0xdff | 0x1ab0..=0x1aff | 0x200c | 0x200d | 0x30fb | 0x1f000..=0x1faff | 0xfe0f)
}

/// `[127.0.0.1]`, `[IPv6:::1]`.
pub fn is_literal(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) else { return false };
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => inner.get(5..).is_some_and(|a| a.parse::<Ipv6Addr>().is_ok()),
        _ => inner.parse::<Ipv4Addr>().is_ok(),
    }
}

/// Lower-case with A-labels; an address literal stays. `None` when a label comes out longer than 63.
///
/// ```
/// assert_eq!(message::domain::to_ascii("Bücher.Example").as_deref(), Some("xn--bcher-kva.example"));
/// ```
pub fn to_ascii(domain: &str) -> Option<String> {
    if domain.is_ascii() {
        return Some(domain.to_ascii_lowercase());
    }
    let mut out = Vec::new();
    // The full-width dots of IDNA2003 are still typed.
    for label in domain.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']) {
        let label = label.to_lowercase();
        let ascii = if label.is_ascii() { label } else { format!("xn--{}", punycode_encode(&label)?) };
        if ascii.len() > 63 {
            return None;
        }
        out.push(ascii);
    }
    Some(out.join("."))
}

/// For people: A-labels as U-labels where they are good ones.
pub fn to_unicode(domain: &str) -> String {
    let label = |label: &str| match label.get(..4) {
        Some(tag) if tag.eq_ignore_ascii_case("xn--") => {
            let decoded = label.get(4..).and_then(punycode_decode);
            let same = |d: &String| to_ascii(d).is_some_and(|a| a.eq_ignore_ascii_case(label));
            decoded.filter(same).unwrap_or_else(|| label.to_owned())
        }
        _ => label.to_owned(),
    };
    domain.split('.').map(label).collect::<Vec<_>>().join(".")
}

// RFC 3492 §5.
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;

/// RFC 3492 §6.1.
fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = delta / if first { DAMP } else { 2 };
    delta += delta / points.max(1);
    let mut k = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

fn threshold(k: u32, bias: u32) -> u32 {
    k.saturating_sub(bias).clamp(T_MIN, T_MAX)
}

fn digit(value: u32) -> char {
    char::from(if value < 26 { b'a' + value as u8 } else { b'0' + (value.saturating_sub(26) % 10) as u8 })
}

/// RFC 3492 §6.3. `None` on overflow; the length is that of one label.
fn punycode_encode(label: &str) -> Option<String> {
    let mut out: String = label.chars().filter(char::is_ascii).collect();
    let basic = out.len() as u32;
    let mut handled = basic;
    if basic > 0 {
        out.push('-');
    }
    let total = label.chars().count() as u32;
    let (mut n, mut delta, mut bias) = (128u32, 0u32, 72u32);
    while handled < total {
        let next = label.chars().map(u32::from).filter(|c| *c >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for c in label.chars().map(u32::from) {
            if c < n {
                delta = delta.checked_add(1)?;
            }
            if c != n {
                continue;
            }
            let (mut q, mut k) = (delta, BASE);
            while q >= threshold(k, bias) {
                let t = threshold(k, bias);
                out.push(digit(t + (q - t) % (BASE - t)));
                q = (q - t) / (BASE - t);
                k += BASE;
            }
            out.push(digit(q));
            bias = adapt(delta, handled + 1, handled == basic);
            delta = 0;
            handled += 1;
        }
        delta = delta.checked_add(1)?;
        n += 1;
    }
    Some(out)
}

/// RFC 3492 §6.2.
fn punycode_decode(text: &str) -> Option<String> {
    if !text.is_ascii() || text.len() > 63 {
        return None;
    }
    let (basic, rest) = text.rsplit_once('-').unwrap_or(("", text));
    let mut out: Vec<char> = basic.chars().collect();
    let (mut n, mut i, mut bias) = (128u32, 0u32, 72u32);
    let mut digits = rest.bytes();
    while digits.len() > 0 {
        let (old, mut weight, mut k) = (i, 1u32, BASE);
        loop {
            let value = match digits.next()? {
                b @ b'a'..=b'z' => u32::from(b - b'a'),
                b @ b'A'..=b'Z' => u32::from(b - b'A'),
                b @ b'0'..=b'9' => u32::from(b - b'0') + 26,
                _ => return None,
            };
            i = i.checked_add(value.checked_mul(weight)?)?;
            let t = threshold(k, bias);
            if value < t {
                break;
            }
            weight = weight.checked_mul(BASE - t)?;
            k += BASE;
        }
        let points = out.len() as u32 + 1;
        bias = adapt(i - old, points, old == 0);
        n = n.checked_add(i / points)?;
        i %= points;
        out.insert(i as usize, char::from_u32(n)?);
        i += 1;
    }
    Some(out.into_iter().collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_labels() {
        for (unicode, ascii) in [
            ("bücher.example", "xn--bcher-kva.example"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
            ("faß.de", "xn--fa-hia.de"),
        ] {
            assert_eq!(to_ascii(unicode).unwrap(), ascii);
            assert_eq!(to_unicode(ascii), unicode);
        }
        assert_eq!(to_unicode("xn--\u{e4}.x"), "xn--\u{e4}.x");
        assert_eq!(to_ascii("[IPv6:::1]").unwrap(), "[ipv6:::1]");
    }

    #[test]
    fn domains_and_literals() {
        assert!(is_domain("a") && is_domain("a-b.c_d.xn--x") && is_domain("नमस्ते.भारत"));
        assert!(!is_domain("") && !is_domain("a.") && !is_domain("-a") && !is_domain("a b") && !is_domain(&"a".repeat(64)));
        assert!(is_literal("[1.2.3.4]") && is_literal("[ipv6:2001:db8::1]") && !is_literal("[1.2.3]") && !is_literal("[::1]"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn punycode_round_trip(label in "[a-z\\PC]{1,12}") {
            if let Some(encoded) = punycode_encode(&label) && encoded.len() <= 63 && !label.is_ascii() {
                prop_assert_eq!(punycode_decode(&encoded), Some(label));
            }
        }
        #[test]
        fn decode_never_panics(text in "[a-z0-9-]{0,63}") {
            let _ = punycode_decode(&text);
        }
    }
}

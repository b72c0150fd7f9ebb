//! Enhanced status codes (RFC 3463, RFC 2034, RFC 5248): `class.subject.detail`.

use std::fmt;

/// `2.1.5` and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl EnhancedCode {
    /// `class "." subject "." detail`, class 2, 4 or 5, the others up to three digits (RFC 2034 §4).
    pub fn parse(word: &str) -> Option<EnhancedCode> {
        let mut parts = word.split('.');
        let class = match parts.next()? {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return None,
        };
        let subject = number(parts.next()?)?;
        let detail = number(parts.next()?)?;
        parts.next().is_none().then_some(EnhancedCode(class, subject, detail))
    }
}

fn number(word: &str) -> Option<u16> {
    let plain = (1..=3).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| word.parse().ok()).flatten()
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for text in ["2.0.0", "4.3.1", "5.1.10", "5.7.113"] {
            assert_eq!(EnhancedCode::parse(text).map(|code| code.to_string()).as_deref(), Some(text));
        }
        for text in ["", "3.0.0", "2.0", "2.0.0.0", "2..0", "5.1.1000", "5.+1.1", "550"] {
            assert_eq!(EnhancedCode::parse(text), None, "{text}");
        }
    }
}

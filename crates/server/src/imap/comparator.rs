//! COMPARATOR (RFC 5255 §4.7): by which collation SEARCH, SORT and THREAD compare texts. There is one, i;unicode-casemap (RFC 5051).
//!
//! It is the default, so a session has nothing to remember. Must not know: how texts are compared.

use super::failure::{Outcome, done, no};
use super::session::Session;
use wire::imap::Code;
use wire::imap::response::Response;

/// The collation that is always in use.
const ACTIVE: &str = "i;unicode-casemap";

impl Session {
    /// Tells which one is in use, or takes the first choice that is known.
    pub(crate) fn comparator(&mut self, wanted: &[String]) -> Outcome {
        let matches = |wanted: &String| wanted.eq_ignore_ascii_case("default") || fits(wanted, ACTIVE);
        if !wanted.is_empty() && !wanted.iter().any(matches) {
            let code = Code::Other { name: "BADCOMPARATOR".into(), argument: None };
            return Err(no(code, "Texts are compared by i;unicode-casemap"));
        }
        let matching = if wanted.is_empty() { Vec::new() } else { vec![ACTIVE.to_owned()] };
        self.wire.untagged(&Response::Comparator { active: ACTIVE.to_owned(), matching });
        done("Texts are compared so")
    }
}

/// A pattern of RFC 4790 §3.2: `*` stands for anything. Only the last `*` is ever tried again: many of them cost no more than their length.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut read) = (0, 0);
    // Where the last `*` stands, and where what it took ends.
    let mut star = None;
    while let Some(octet) = name.get(read) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(wanted) if wanted.eq_ignore_ascii_case(octet) => (at, read) = (at + 1, read + 1),
            _ => {
                let Some((begins, taken)) = star else { return false };
                star = Some((begins, taken + 1));
                (at, read) = (begins + 1, taken + 1);
            }
        }
    }
    pattern.iter().skip(at).all(|octet| *octet == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let fit = |pattern| fits(pattern, ACTIVE);
        assert!(fit("i;unicode-casemap") && fit("I;*") && fit("*") && fit("*casemap") && fit("i;*-*map"));
        assert!(!fit("i;octet") && !fit("i;") && !fit("*;octet") && !fit(""));
        assert!(fit("i;unicode-casemap*") && fit("*i*;*p*") && !fit("i;unicode-casemapx") && !fit("*x"));
    }

    #[test]
    fn many_stars_cost_no_more_than_their_length() {
        assert!(!fits(&"*a".repeat(30_000), ACTIVE));
        assert!(!fits(&format!("{}z", "*".repeat(60)), ACTIVE));
    }
}

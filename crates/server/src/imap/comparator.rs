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

/// A pattern of RFC 4790 §3.2: `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern.eq_ignore_ascii_case(name),
        Some((start, rest)) => {
            let begins = name.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
            begins && (start.len()..=name.len()).any(|at| name.get(at..).is_some_and(|left| fits(rest, left)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let fit = |pattern| fits(pattern, ACTIVE);
        assert!(fit("i;unicode-casemap") && fit("I;*") && fit("*") && fit("*casemap") && fit("i;*-*map"));
        assert!(!fit("i;octet") && !fit("i;") && !fit("*;octet") && !fit(""));
    }
}

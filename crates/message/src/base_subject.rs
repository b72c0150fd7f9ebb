//! The base subject (RFC 5256 §2.1): what is left of a Subject when replies, forwards and list tags are taken away.
//!
//! All six steps of the algorithm, in one pass over each end: linear in the field.
//! Must not know: threads.

use crate::encoded_word;
use crate::limits::FIELD_BYTES_MAX;

/// A subject without its artefacts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BaseSubject {
    /// As spelled; RFC 5256 compares it without regard to case ([`BaseSubject::key`]).
    pub text: String,
    /// Something was taken away that a reply or a forward adds: `Re:`, `Fwd:`, `(fwd)`, `[fwd: ...]`.
    pub is_reply: bool,
}

impl BaseSubject {
    /// What is equal for subjects that RFC 5256 calls equal (i;unicode-casemap, RFC 5051).
    pub fn key(&self) -> String {
        crate::search::case_fold(&self.text)
    }
}

/// Of the body of a Subject field, encoded-words and folding included.
///
/// ```
/// let base = message::base_subject::of_field(b"Re: [list] Fwd: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= (fwd)");
/// assert_eq!((base.text.as_str(), base.is_reply), ("Grüße", true));
/// ```
pub fn of_field(body: &[u8]) -> BaseSubject {
    of_text(&encoded_word::decode(body.get(..FIELD_BYTES_MAX).unwrap_or(body)))
}

/// Of a subject that is text already.
///
/// ```
/// use message::base_subject::of_text;
/// assert_eq!(of_text("Re: LUNCH").key(), of_text("Fwd: lunch").key());
/// ```
pub fn of_text(subject: &str) -> BaseSubject {
    // Step 1: tabs, continuations and runs of blanks become one space.
    let mut spaced = String::with_capacity(subject.len());
    for c in subject.chars() {
        let c = if matches!(c, '\t' | '\r' | '\n') { ' ' } else { c };
        if c != ' ' || !spaced.ends_with(' ') {
            spaced.push(c);
        }
    }
    let mut rest = spaced.as_str();
    let mut is_reply = false;
    loop {
        // Step 2.
        rest = rest.trim_end_matches(' ');
        while let Some(shorter) = strip_suffix(rest, "(fwd)") {
            rest = shorter.trim_end_matches(' ');
            is_reply = true;
        }
        // Steps 3 to 5.
        rest = without_leaders(rest, &mut is_reply);
        // Step 6.
        let Some(inner) = strip_prefix(rest, "[fwd:").and_then(|inner| inner.strip_suffix(']')) else { break };
        rest = inner;
        is_reply = true;
    }
    BaseSubject { text: rest.to_owned(), is_reply }
}

/// `subj-leader` and `subj-blob` from the front, over and over.
fn without_leaders<'a>(mut rest: &'a str, is_reply: &mut bool) -> &'a str {
    loop {
        rest = rest.trim_start_matches(' ');
        // A run of blobs is looked at once: it goes with the leader behind it, or alone when something is left.
        let (mut after, mut last_blob) = (rest, rest);
        while let Some(next) = blob(after) {
            last_blob = after;
            after = next;
        }
        match refwd(after) {
            Some(next) => {
                *is_reply = true;
                rest = next;
            }
            None if after.is_empty() => return last_blob,
            None => return after,
        }
    }
}

/// `"[" *BLOBCHAR "]" *WSP`.
fn blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    inner.get(end..)?.strip_prefix(']').map(|rest| rest.trim_start_matches(' '))
}

/// `("re" / ("fw" ["d"])) *WSP [subj-blob] ":"`.
fn refwd(text: &str) -> Option<&str> {
    let word = ["re", "fwd", "fw"].into_iter().find_map(|word| strip_prefix(text, word))?;
    let rest = word.trim_start_matches(' ');
    blob(rest).unwrap_or(rest).strip_prefix(':')
}

fn strip_prefix<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(word.len())?;
    head.eq_ignore_ascii_case(word).then_some(rest)
}

fn strip_suffix<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (rest, tail) = text.split_at_checked(text.len().checked_sub(word.len())?)?;
    tail.eq_ignore_ascii_case(word).then_some(rest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_steps_of_rfc_5256() {
        let cases = [
            ("hello", "hello", false),
            ("", "", false),
            ("   ", "", false),
            ("Re: hello", "hello", true),
            ("RE : hello", "hello", true),
            ("re[2]: hello", "hello", true),
            ("Re [2] : hello", "hello", true),
            ("Fwd: Fw: re: hello", "hello", true),
            ("[PATCH 1/2] hello", "hello", false),
            ("[a] [b] hello", "hello", false),
            ("[a] Re: [b] hello", "hello", true),
            ("[a][b]Re[c]: [d]FW: hello", "hello", true),
            ("hello (fwd)", "hello", true),
            ("hello (FWD) (fwd)  ", "hello", true),
            ("[Fwd: hello]", "hello", true),
            ("[fwd: [fwd: Re: hello (fwd)]]", "hello", true),
            ("Re: [Fwd: hello]", "hello", true),
            // A blob that is all there is stays (step 4).
            ("[hello]", "[hello]", false),
            ("[a][b]", "[b]", false),
            ("Re: [a]", "[a]", true),
            // Nothing that only looks like a prefix goes.
            ("Reply: x", "Reply: x", false),
            ("re hello", "re hello", false),
            ("re[x hello", "re[x hello", false),
            ("Ref: x", "Ref: x", false),
            ("Aw: x", "Aw: x", false),
            ("Re:", "", true),
            ("Re: Re:", "", true),
            ("a\t\r\n  b", "a b", false),
            ("(fwd)", "", true),
            ("[fwd:]", "", true),
            ("[fwd: a] b", "b", false),
            ("ré: x", "ré: x", false),
        ];
        for (subject, base, is_reply) in cases {
            assert_eq!(of_text(subject), BaseSubject { text: base.to_owned(), is_reply }, "{subject:?}");
        }
    }

    #[test]
    fn encoded_words_come_first() {
        assert_eq!(of_field(b"=?utf-8?Q?Re=3A_?= =?utf-8?Q?=C3=A4?=").text, "ä");
        assert_eq!(of_field(b"RE: =?iso-8859-1?Q?=C4?=").key(), of_field(b"=?utf-8?B?w6Q=?=").key());
    }

    #[test]
    fn long_subjects_are_linear() {
        for piece in ["[a]", "Re: ", "(fwd)", "[fwd: ", "re[", "[", "] "] {
            let _ = of_text(&piece.repeat(100_000));
        }
        assert_eq!(of_text(&"[a]".repeat(100_000)).text, "[a]");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn a_base_subject_is_its_own(pieces in proptest::collection::vec(proptest::sample::select(vec!["re", "Fwd", ":", "[", "]", " ", "x", "(fwd)", "[fwd:", "ä"]), 0..20)) {
            let once = of_text(&pieces.concat()).text;
            prop_assert_eq!(&of_text(&once).text, &once);
        }
    }
}

//! What ties a message to its conversation: Message-ID, In-Reply-To, References (RFC 5322 §3.6.4) and the base subject.
//!
//! Message ids are compared as RFC 5256 §2.2 says: comments and blanks away, a quoted left side without needless quotes.
//! Invariant: bounded by [`REFERENCES_MAX`] ids, the first and the newest kept. Must not know: other messages.

use std::borrow::Cow;

use crate::base_subject::{self, BaseSubject};
use crate::header::fields;
use crate::limits::{HEADER_FIELDS_MAX, MESSAGE_ID_BYTES_MAX, REFERENCES_MAX};
use crate::parameter::{comment_end, quoted_string};

/// The keys of one message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThreadKeys {
    /// Its own id, without angle brackets.
    pub message_id: Option<String>,
    /// The ids of its ancestors, oldest first, without doubles and without its own: References, or else the first of
    /// In-Reply-To.
    pub references: Vec<String>,
    /// Base subject (RFC 5256 §2.1).
    pub subject: BaseSubject,
}

/// Of a message's header.
///
/// ```
/// let keys = message::thread_keys::of_header(b"Message-ID: <c@x>\r\nReferences: <a@x>\r\n <b@x>\r\nIn-Reply-To: <b@x>\r\nSubject: Re: hi\r\n\r\n");
/// assert_eq!(keys.message_id.as_deref(), Some("c@x"));
/// assert_eq!(keys.references, ["a@x", "b@x"]);
/// assert_eq!(keys.subject.text, "hi");
/// ```
pub fn of_header(header: &[u8]) -> ThreadKeys {
    let (mut own, mut references, mut in_reply_to, mut subject): (_, _, _, Option<Cow<'_, [u8]>>) = (None, None, None, None);
    for field in fields(header).take(HEADER_FIELDS_MAX) {
        let slot = match field.name.len() {
            10 if field.is("message-id") => &mut own,
            10 if field.is("references") => &mut references,
            11 if field.is("in-reply-to") => &mut in_reply_to,
            7 if field.is("subject") => &mut subject,
            _ => continue,
        };
        slot.get_or_insert_with(|| field.value_cut());
    }
    let own = own.and_then(|value| message_ids(&value).into_iter().next());
    let mut chain = references.map(|value| message_ids(&value)).unwrap_or_default();
    if chain.is_empty() {
        // RFC 5256 §3: only when there are no References, and only its first id.
        chain.extend(in_reply_to.and_then(|value| message_ids(&value).into_iter().next()));
    }
    ThreadKeys {
        references: ancestors(chain, own.as_deref()),
        message_id: own,
        subject: subject.map(|value| base_subject::of_field(&value)).unwrap_or_default(),
    }
}

/// Without doubles (the first stands) and the message's own id; of too many the first and the newest.
fn ancestors(chain: Vec<String>, own: Option<&str>) -> Vec<String> {
    let mut seen = std::collections::HashSet::with_capacity(chain.len());
    let mut out: Vec<String> = chain.into_iter().filter(|id| Some(id.as_str()) != own && seen.insert(id.clone())).collect();
    if out.len() > REFERENCES_MAX {
        out.drain(1..out.len() - REFERENCES_MAX + 1);
    }
    out
}

/// A message id as a number that fits beside every message (FNV-1a, mixed): equal ids are equal numbers.
///
/// Stored, so it never changes. It keeps no secret: who wants two ids that collide can make them.
///
/// ```
/// assert_eq!(message::thread_keys::key("a@x"), message::thread_keys::key("a@x"));
/// assert_ne!(message::thread_keys::key("a@x"), message::thread_keys::key("b@x"));
/// ```
pub fn key(message_id: &str) -> u64 {
    let hash =
        message_id.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ hash >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ hash >> 32
}

/// Every `<left@right>` of a field body, normalised: blanks, folding and comments away, quotes only where they are needed.
///
/// ```
/// use message::thread_keys::message_ids;
/// assert_eq!(message_ids(b"(c) <\"a.b\"@x> words <c @ y> <\"d e\"@z>"), ["a.b@x", "c@y", "\"d e\"@z"]);
/// ```
pub fn message_ids(value: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        match byte {
            b'(' => at = comment_end(value, at).max(at + 1),
            b'"' => at = quoted_string(value, at).1.max(at + 1),
            b'<' => {
                let (id, next) = message_id_at(value, at + 1);
                at = next;
                out.extend(id);
            }
            _ => at += 1,
        }
    }
    out
}

/// The id behind an opening bracket, and where to go on. A `<` inside begins another id.
fn message_id_at(value: &[u8], start: usize) -> (Option<String>, usize) {
    let mut id: Vec<u8> = Vec::new();
    let mut at = start;
    while let Some(&byte) = value.get(at) {
        match byte {
            b'>' => {
                let text = String::from_utf8_lossy(&id).into_owned();
                return ((!text.is_empty() && text.len() <= MESSAGE_ID_BYTES_MAX).then_some(text), at + 1);
            }
            b'<' => return (None, at),
            b'(' => at = comment_end(value, at).max(at + 1),
            b'"' => {
                let (content, next) = quoted_string(value, at);
                push_local(&mut id, &content);
                at = next.max(at + 1);
            }
            _ => {
                if byte > b' ' && byte != 0x7f {
                    id.push(byte);
                }
                at += 1;
            }
        }
    }
    (None, at)
}

/// A quoted string, without its quotes when it is a dot-atom (RFC 5256 §2.2, RFC 5322 §3.2.3).
fn push_local(id: &mut Vec<u8>, content: &[u8]) {
    if std::str::from_utf8(content).is_ok_and(crate::address::is_dot_string) {
        id.extend_from_slice(content);
        return;
    }
    id.push(b'"');
    for byte in content {
        if matches!(byte, b'"' | b'\\') {
            id.push(b'\\');
        }
        id.push(*byte);
    }
    id.push(b'"');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn ids_are_normalised() {
        assert_eq!(message_ids(b"<01KF8JCEOCBS0045PS@xxx.yyy.com>"), ["01KF8JCEOCBS0045PS@xxx.yyy.com"]);
        // RFC 5256 §2.2: these two are one.
        assert_eq!(message_ids(b"<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>"), ["01KF8JCEOCBS0045PS@xxx.yyy.com"]);
        assert_eq!(message_ids(b"<a@b><c@d>\r\n\t<e@f>,<g@h>"), ["a@b", "c@d", "e@f", "g@h"]);
        assert_eq!(message_ids(b"Your message of (<no@no>) \"<no@quoted>\" <yes@x>"), ["yes@x"]);
        assert_eq!(message_ids(b"<a\r\n b@c>"), ["ab@c"]);
        assert_eq!(message_ids(b"<broken <a@b>"), ["a@b"]);
        assert_eq!(message_ids(b"<> <a@b"), [""; 0]);
        assert_eq!(message_ids(b"<no-at-sign>"), ["no-at-sign"]);
    }

    #[test]
    fn keys_never_change() {
        // Stored beside every message.
        assert_eq!(key("a@x"), 0xf4ef_41c5_f692_cf72);
    }

    #[test]
    fn the_chain() {
        let keys = of_header(b"References: <a@x> <b@x> <a@x> <me@x>\r\nIn-Reply-To: <c@x> <d@x>\r\nMessage-ID: <me@x>\r\n\r\n");
        assert_eq!(keys.references, ["a@x", "b@x"]);
        assert_eq!(of_header(b"References: none\r\nIn-Reply-To: <c@x> <d@x>\r\n\r\n").references, ["c@x"]);
        assert_eq!(of_header(b"\r\n"), ThreadKeys::default());
    }

    #[test]
    fn of_many_the_first_and_the_newest() {
        let many: String = (0..5_000).map(|i| format!(" <{i}@x>")).collect();
        let keys = of_header(format!("References:{many}\r\n\r\n").as_bytes());
        assert_eq!(keys.references.len(), REFERENCES_MAX);
        assert_eq!((keys.references[0].as_str(), keys.references.last().unwrap().as_str()), ("0@x", "4999@x"));
    }
}

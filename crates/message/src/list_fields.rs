//! What a mailing list says about itself: List-* (RFC 2369), List-Id (RFC 2919), one-click unsubscribe (RFC 8058).
//!
//! Values only: nothing is fetched. Invariant: bounded by [`LIST_ADDRESSES_MAX`] addresses a field.
//! Must not know: whether DKIM covers the fields (RFC 8058 §4 asks for that before anything is sent).

use crate::encoded_word;
use crate::header::fields;
use crate::limits::{HEADER_FIELDS_MAX, LIST_ADDRESSES_MAX};
use crate::parameter::{comment_end, quoted_string};

/// The List-* fields of one message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListFields {
    /// The identifier, lower-case (RFC 2919 §6 compares without case), without its brackets.
    pub id: Option<String>,
    /// The words before it, for people.
    pub name: Option<String>,
    /// List-Help.
    pub help: Vec<String>,
    /// List-Subscribe.
    pub subscribe: Vec<String>,
    /// List-Unsubscribe, in the sender's order of preference.
    pub unsubscribe: Vec<String>,
    /// List-Unsubscribe-Post says `List-Unsubscribe=One-Click` (RFC 8058 §3.1).
    pub one_click: bool,
    /// List-Post.
    pub post: Vec<String>,
    /// List-Post says NO: nobody may write to the list (RFC 2369 §3.4).
    pub post_closed: bool,
    /// List-Owner.
    pub owner: Vec<String>,
    /// List-Archive.
    pub archive: Vec<String>,
}

/// How to leave a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsubscribe {
    /// POST `List-Unsubscribe=One-Click` to this https address, without asking anybody (RFC 8058).
    OneClick(String),
    /// Write to this mailto address.
    Mail(String),
    /// Show this page to a person.
    Page(String),
}

impl ListFields {
    /// The message is from a list.
    ///
    /// ```
    /// let header = b"List-Id: News <news.here.test>\r\nList-Unsubscribe: <mailto:off@here.test>\r\n\r\n";
    /// assert!(message::list_fields::of_header(header).is_list());
    /// ```
    pub fn is_list(&self) -> bool {
        *self != ListFields::default()
    }

    /// The best way out: one click, else a message, else a page.
    pub fn way_out(&self) -> Option<Unsubscribe> {
        let with = |scheme: &str| self.unsubscribe.iter().find(|uri| has_scheme(uri, scheme)).cloned();
        if self.one_click
            && let Some(uri) = with("https")
        {
            return Some(Unsubscribe::OneClick(uri));
        }
        with("mailto").map(Unsubscribe::Mail).or_else(|| with("https").or_else(|| with("http")).map(Unsubscribe::Page))
    }
}

/// Of a message's header. Of two fields with one name the first counts.
///
/// ```
/// use message::list_fields::{Unsubscribe, of_header};
/// let list = of_header(b"List-Id: \"Friends\" <Friends.Here.test>\r\nList-Unsubscribe: <mailto:u@here.test>, <https://here.test/u>\r\n\
///     List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\n");
/// assert_eq!((list.id.as_deref(), list.name.as_deref()), (Some("friends.here.test"), Some("Friends")));
/// assert_eq!(list.way_out(), Some(Unsubscribe::OneClick("https://here.test/u".into())));
/// ```
pub fn of_header(header: &[u8]) -> ListFields {
    const NAMES: [&str; 8] = ["id", "help", "subscribe", "unsubscribe", "unsubscribe-post", "post", "owner", "archive"];
    let mut out = ListFields::default();
    let mut seen = 0u8;
    for field in fields(header).take(HEADER_FIELDS_MAX) {
        let Some((head, rest)) = field.name.split_at_checked(5) else { continue };
        if !head.eq_ignore_ascii_case(b"list-") {
            continue;
        }
        let Some(which) = NAMES.iter().position(|n| rest.eq_ignore_ascii_case(n.as_bytes())) else { continue };
        if seen & 1 << which != 0 {
            continue;
        }
        seen |= 1 << which;
        let value = field.value_cut();
        match which {
            0 => (out.name, out.id) = list_id(&value),
            1 => out.help = addresses(&value),
            2 => out.subscribe = addresses(&value),
            3 => out.unsubscribe = addresses(&value),
            4 => out.one_click = value.trim_ascii().eq_ignore_ascii_case(b"List-Unsubscribe=One-Click"),
            5 => {
                out.post = addresses(&value);
                out.post_closed = out.post.is_empty() && first_word(&value).eq_ignore_ascii_case(b"NO");
            }
            6 => out.owner = addresses(&value),
            _ => out.archive = addresses(&value),
        }
    }
    out
}

/// `[phrase] "<" list-id ">"`; some write the identifier alone.
fn list_id(value: &[u8]) -> (Option<String>, Option<String>) {
    let text = |bytes: &[u8]| {
        let text: String = String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
        (!text.is_empty()).then(|| text.to_lowercase())
    };
    let Some(open) = memchr::memrchr(b'<', value) else { return (None, text(value)) };
    let inner = value.get(open + 1..).unwrap_or_default();
    let inner = inner.get(..memchr::memchr(b'>', inner).unwrap_or(inner.len())).unwrap_or_default();
    let name = phrase(value.get(..open).unwrap_or_default());
    (name, text(inner))
}

/// The words, quotes and comments away, encoded-words decoded.
fn phrase(value: &[u8]) -> Option<String> {
    let mut plain = Vec::with_capacity(value.len());
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        match byte {
            b'(' => at = comment_end(value, at).max(at + 1),
            b'"' => {
                let (content, next) = quoted_string(value, at);
                plain.extend_from_slice(&content);
                at = next.max(at + 1);
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    let text = encoded_word::decode(plain.trim_ascii()).trim().chars().filter(|c| !c.is_control()).collect::<String>();
    (!text.is_empty()).then_some(text)
}

/// The addresses in angle brackets, blanks inside them away (RFC 2369 §2), comments skipped.
fn addresses(value: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        match byte {
            b'(' => at = comment_end(value, at).max(at + 1),
            b'<' => {
                let rest = value.get(at + 1..).unwrap_or_default();
                let Some(len) = memchr::memchr(b'>', rest) else { break };
                let uri = String::from_utf8_lossy(rest.get(..len).unwrap_or_default());
                let uri: String = uri.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
                if !uri.is_empty() && out.len() < LIST_ADDRESSES_MAX {
                    out.push(uri);
                }
                at += len + 2;
            }
            _ => at += 1,
        }
    }
    out
}

fn first_word(value: &[u8]) -> &[u8] {
    value.split(|b| b.is_ascii_whitespace() || *b == b'(').next().unwrap_or_default()
}

fn has_scheme(uri: &str, scheme: &str) -> bool {
    uri.split_once(':').is_some_and(|(head, rest)| head.eq_ignore_ascii_case(scheme) && !rest.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn of(text: &str) -> ListFields {
        of_header(format!("{text}\r\n\r\n").as_bytes())
    }

    #[test]
    fn examples_of_rfc_2369() {
        let list = of("List-Help: <mailto:list@host.com?subject=help> (List Instructions)");
        assert_eq!(list.help, ["mailto:list@host.com?subject=help"]);
        let list =
            of("List-Unsubscribe: (Use this command to get off the list) <mailto:list-manager@host.com?body=unsubscribe%20list>");
        assert_eq!(list.way_out(), Some(Unsubscribe::Mail("mailto:list-manager@host.com?body=unsubscribe%20list".into())));
        let list = of(
            "List-Subscribe: <http://www.host.com/list.cgi?cmd=sub&lst=list>,\r\n <mailto:list-manager@host.com?body=subscribe%20list>",
        );
        assert_eq!(list.subscribe.len(), 2);
        assert!(of("List-Post: NO (posting not allowed on this list)").post_closed);
        assert!(!of("List-Post: <mailto:moderator@host.com> (Postings are Moderated)").post_closed);
        assert_eq!(
            of("List-Archive: <mailto:archive@host.com?\r\n subject=index%20list>").archive,
            ["mailto:archive@host.com?subject=index%20list"]
        );
        assert!(!of("Subject: x").is_list());
    }

    #[test]
    fn examples_of_rfc_2919() {
        for (field, name, id) in [
            ("List Header Mailing List <list-header.nisto.com>", Some("List Header Mailing List"), "list-header.nisto.com"),
            ("<commonspace-users.list-id.within.com>", None, "commonspace-users.list-id.within.com"),
            (
                "\"Lena's Personal Joke List\" <lenas-jokes.da39efc25c530ad145d41b86f7420c3b.021999.localhost>",
                Some("Lena's Personal Joke List"),
                "lenas-jokes.da39efc25c530ad145d41b86f7420c3b.021999.localhost",
            ),
            ("bare.example.test", None, "bare.example.test"),
            ("=?utf-8?Q?B=C3=BCcher?= <b.test>", Some("Bücher"), "b.test"),
            ("\"a < b\" <X.Test>", Some("a < b"), "x.test"),
        ] {
            let list = of(&format!("List-Id: {field}"));
            assert_eq!((list.name.as_deref(), list.id.as_deref()), (name, Some(id)), "{field}");
        }
    }

    #[test]
    fn one_click_wants_https_and_the_exact_words() {
        let post = "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click";
        let way = |text: &str| of(text).way_out();
        assert_eq!(way(&format!("List-Unsubscribe: <https://a/b>{post}")), Some(Unsubscribe::OneClick("https://a/b".into())));
        assert_eq!(way(&format!("List-Unsubscribe: <http://a/b>{post}")), Some(Unsubscribe::Page("http://a/b".into())));
        assert_eq!(
            way("List-Unsubscribe: <https://a/b>\r\nList-Unsubscribe-Post: x"),
            Some(Unsubscribe::Page("https://a/b".into()))
        );
        assert_eq!(way("List-Unsubscribe: <javascript:alert(1)>"), None);
        assert_eq!(way(post.trim_start()), None);
    }

    #[test]
    fn many_addresses_are_bounded() {
        assert_eq!(of(&format!("List-Help: {}", "<a:b>,".repeat(30_000))).help.len(), LIST_ADDRESSES_MAX);
    }
}

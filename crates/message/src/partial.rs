//! message/partial put together (RFC 2046 §5.2.2), and message/external-body told (§5.2.3, RFC 2017).
//!
//! Invariant: the pieces may come in any order and twice; nothing is fetched; what is missing is told.
//! Must not know: where the pieces are kept.

use crate::content::ContentType;
use crate::header::fields;
use crate::limits::FRAGMENTS_MAX;
use crate::parameter::Parameters;
use crate::part::Message;

/// What one message says about itself as a piece of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// The same for all pieces of one message.
    pub id: Vec<u8>,
    /// Which piece, from 1.
    pub number: u32,
    /// Of how many; the last piece must say it, the others may.
    pub total: Option<u32>,
}

impl Fragment {
    /// From the type of a part; `None` when it is no readable message/partial.
    ///
    /// ```
    /// use message::partial::Fragment;
    /// let message = message::parse(b"Content-Type: message/partial; id=\"a@x\"; number=2; total=3\r\n\r\n");
    /// assert_eq!(Fragment::of(&message.root().content_type), Some(Fragment { id: b"a@x".to_vec(), number: 2, total: Some(3) }));
    /// ```
    pub fn of(content_type: &ContentType<'_>) -> Option<Fragment> {
        if !content_type.is("message", "partial") {
            return None;
        }
        let parameters = &content_type.parameters;
        let id = parameters.get("id").filter(|id| !id.is_empty())?.to_vec();
        let number = number(parameters, "number").filter(|n| *n > 0)?;
        Some(Fragment { id, number, total: self::number(parameters, "total") })
    }
}

fn number(parameters: &Parameters<'_>, name: &str) -> Option<u32> {
    std::str::from_utf8(parameters.get(name)?.trim_ascii()).ok()?.parse().ok()
}

/// What came of putting pieces together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// The message.
    Whole(Vec<u8>),
    /// Pieces that are missing. Without the last one nobody knows how many there are: then the one behind the highest is
    /// named.
    Missing(Vec<u32>),
    /// Pieces of different messages, of two minds about their number, or none at all.
    Unrelated,
}

/// Puts the pieces together, given as whole messages in any order. Of two with one number the first counts.
///
/// ```
/// use message::partial::{Joined, join};
/// let one = b"Subject: x (part 1)\r\nX-Kept: y\r\nContent-Type: message/partial; id=a; number=1; total=2\r\n\r\nSubject: whole\r\n\r\nHello,\r\n";
/// let two = b"X-Dropped: z\r\nContent-Type: message/partial; id=a; number=2; total=2\r\n\r\nworld\r\n";
/// assert_eq!(join(&[two, one]), Joined::Whole(b"X-Kept: y\r\nSubject: whole\r\n\r\nHello,\r\nworld\r\n".to_vec()));
/// assert_eq!(join(&[two]), Joined::Missing(vec![1]));
/// ```
pub fn join(messages: &[&[u8]]) -> Joined {
    let parsed: Vec<Message<'_>> = messages.iter().take(FRAGMENTS_MAX).map(|octets| crate::parse(octets)).collect();
    let mut pieces: Vec<(Fragment, &Message<'_>)> = Vec::new();
    for message in &parsed {
        match Fragment::of(&message.root().content_type) {
            Some(fragment) => pieces.push((fragment, message)),
            None => return Joined::Unrelated,
        }
    }
    // Stable: of two with one number the first stays in front.
    pieces.sort_by_key(|(fragment, _)| fragment.number);
    pieces.dedup_by_key(|(fragment, _)| fragment.number);
    let Some((first, head)) = pieces.first() else { return Joined::Unrelated };
    let total = pieces.iter().find_map(|(fragment, _)| fragment.total);
    let of_one_mind =
        |f: &Fragment| f.id == first.id && (f.total.is_none() || f.total == total) && total.is_none_or(|t| f.number <= t);
    if !pieces.iter().all(|(fragment, _)| of_one_mind(fragment)) {
        return Joined::Unrelated;
    }
    let highest = pieces.last().map_or(0, |(fragment, _)| fragment.number);
    // A total is a number that anybody can write: no more is listed than could have come.
    let end = total.unwrap_or(highest.saturating_add(1)).min(FRAGMENTS_MAX as u32 + 1);
    let mut present = pieces.iter().map(|(fragment, _)| fragment.number).peekable();
    let missing: Vec<u32> = (1..=end).filter(|n| present.next_if_eq(n).is_none()).collect();
    if !missing.is_empty() {
        return Joined::Missing(missing);
    }
    let mut body = Vec::new();
    for (_, message) in &pieces {
        body.extend_from_slice(message.root().raw_body());
    }
    Joined::Whole(with_header(head, &body))
}

/// RFC 2046 §5.2.2.1: of the outer header everything but what is about the piece, then of the inner header just that.
fn with_header(head: &Message<'_>, joined: &[u8]) -> Vec<u8> {
    let outer = head.root().raw_header();
    let inner = crate::header::header_end(joined);
    let (inner, body) = joined.split_at_checked(inner).unwrap_or((joined, &[]));
    let mut out = Vec::with_capacity(outer.len() + joined.len());
    for (header, of_the_message) in [(outer, false), (inner, true)] {
        for field in fields(header) {
            if is_of_the_message(field.name) == of_the_message {
                let lines = header.get(field.start..field.end).unwrap_or_default();
                out.extend_from_slice(lines);
                if !lines.ends_with(b"\n") {
                    out.extend_from_slice(b"\r\n");
                }
            }
        }
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

fn is_of_the_message(name: &[u8]) -> bool {
    const NAMES: [&str; 4] = ["subject", "message-id", "encrypted", "mime-version"];
    name.get(..8).is_some_and(|head| head.eq_ignore_ascii_case(b"content-"))
        || NAMES.iter().any(|n| name.eq_ignore_ascii_case(n.as_bytes()))
}

/// A body that lies elsewhere. Nobody fetches it without being asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalBody {
    /// `url`, `anon-ftp`, `mail-server`, ... lower-case.
    pub access_type: String,
    /// Where: the URL (RFC 2017), or one made of site, directory and name, or the mail server's address.
    pub place: String,
    /// Octets, if the sender said it.
    pub size: Option<u64>,
    /// Until when, as written.
    pub expiration: Option<String>,
    /// Name, if there is one.
    pub name: Option<String>,
    /// The type of what lies there: of the header that is the body of the part.
    pub media_type: String,
}

/// From a part; `None` when it is no message/external-body.
///
/// ```
/// let message = message::parse(b"Content-Type: message/external-body; access-type=URL; URL=\"https://x.test/\r\n big.iso\"; size=9\r\n\r\nContent-Type: application/x-iso\r\n\r\n");
/// let found = message::partial::external_body(message.root()).unwrap();
/// assert_eq!((found.place.as_str(), found.media_type.as_str(), found.size), ("https://x.test/big.iso", "application/x-iso", Some(9)));
/// ```
pub fn external_body(part: &crate::part::Part<'_>) -> Option<ExternalBody> {
    if !part.content_type.is("message", "external-body") {
        return None;
    }
    let parameters = &part.content_type.parameters;
    let get = |name| parameters.decoded(name).filter(|text| !text.is_empty());
    let access_type = get("access-type")?.to_ascii_lowercase();
    let place = match access_type.as_str() {
        // Blanks in it are from folding only (RFC 2017 §3).
        "url" => get("url")?.split_whitespace().collect(),
        "mail-server" => format!("mailto:{}", get("server")?),
        "local-file" | "afs" => get("name")?,
        "content-id" => String::new(),
        _ => {
            let directory = get("directory").map(|d| format!("{}/", d.trim_matches('/'))).unwrap_or_default();
            format!("ftp://{}/{directory}{}", get("site").unwrap_or_default(), get("name").unwrap_or_default())
        }
    };
    let inner = crate::content::ContentFields::read(part.raw_body());
    let inner = inner.content_type.flatten().unwrap_or_else(ContentType::text_plain);
    Some(ExternalBody {
        access_type,
        place,
        size: get("size").and_then(|s| s.trim().parse().ok()),
        expiration: get("expiration"),
        name: get("name"),
        media_type: format!("{}/{}", inner.main, inner.sub),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// The example of RFC 2046 §5.2.2.2.
    #[test]
    fn the_example_of_rfc_2046() {
        let first = "X-Weird-Header-1: Foo\r\nFrom: Bill@host.com\r\nTo: joe@otherhost.com\r\nDate: Fri, 26 Mar 1993 12:59:38 -0500 (EST)\r\n\
            Subject: Audio mail (part 1 of 2)\r\nMessage-ID: <id1@host.com>\r\nMIME-Version: 1.0\r\n\
            Content-type: message/partial; id=\"ABC@host.com\";\r\n number=1; total=2\r\n\r\n\
            X-Weird-Header-1: Bar\r\nX-Weird-Header-2: Hello\r\nMessage-ID: <anotherid@foo.com>\r\nSubject: Audio mail\r\nMIME-Version: 1.0\r\n\
            Content-type: audio/basic\r\nContent-transfer-encoding: base64\r\n\r\nfirst half\r\n";
        let second = "From: Bill@host.com\r\nSubject: Audio mail (part 2 of 2)\r\nMessage-ID: <id2@host.com>\r\nMIME-Version: 1.0\r\n\
            Content-type: message/partial;\r\n id=\"ABC@host.com\"; number=2; total=2\r\n\r\nsecond half\r\n";
        let whole = "X-Weird-Header-1: Foo\r\nFrom: Bill@host.com\r\nTo: joe@otherhost.com\r\nDate: Fri, 26 Mar 1993 12:59:38 -0500 (EST)\r\n\
            Message-ID: <anotherid@foo.com>\r\nSubject: Audio mail\r\nMIME-Version: 1.0\r\nContent-type: audio/basic\r\nContent-transfer-encoding: base64\r\n\r\nfirst half\r\nsecond half\r\n";
        assert_eq!(join(&[second.as_bytes(), first.as_bytes(), second.as_bytes()]), Joined::Whole(whole.as_bytes().to_vec()));
    }

    #[test]
    fn what_is_missing_is_told() {
        let piece = |id: &str, number: u32, total: &str| {
            format!("Content-Type: message/partial; id={id}; number={number}{total}\r\n\r\nA: b\r\n\r\nx")
        };
        let join = |pieces: &[String]| join(&pieces.iter().map(|p| p.as_bytes()).collect::<Vec<_>>());
        assert_eq!(join(&[piece("a", 2, ""), piece("a", 4, "; total=5")]), Joined::Missing(vec![1, 3, 5]));
        assert_eq!(join(&[piece("a", 1, ""), piece("a", 2, "")]), Joined::Missing(vec![3]));
        assert_eq!(join(&[piece("a", 1, "; total=2"), piece("b", 2, "; total=2")]), Joined::Unrelated);
        assert_eq!(join(&[piece("a", 1, "; total=2"), piece("a", 2, "; total=3")]), Joined::Unrelated);
        assert_eq!(join(&[piece("a", 3, "; total=2")]), Joined::Unrelated);
        assert_eq!(join(&["\r\n".to_owned()]), Joined::Unrelated);
        assert_eq!(join(&[]), Joined::Unrelated);
        assert!(matches!(join(&[piece("a", 1, "; total=4294967295")]), Joined::Missing(m) if m.len() == FRAGMENTS_MAX));
    }

    #[test]
    fn bodies_elsewhere() {
        let told = |text: &str| {
            external_body(
                crate::parse(
                    format!("Content-Type: message/external-body; {text}\r\n\r\nContent-Type: image/jpeg\r\n\r\n").as_bytes(),
                )
                .root(),
            )
        };
        let ftp =
            told("access-type=ANON-FTP; name=\"a.ps\"; site=\"ftp.x.test\"; directory=\"pub\"; expiration=\"Fri, 14 Jun 1991\"")
                .unwrap();
        assert_eq!(
            (ftp.access_type.as_str(), ftp.place.as_str(), ftp.expiration.as_deref()),
            ("anon-ftp", "ftp://ftp.x.test/pub/a.ps", Some("Fri, 14 Jun 1991"))
        );
        assert_eq!(told("access-type=mail-server; server=\"listserv@x.test\"").unwrap().place, "mailto:listserv@x.test");
        assert_eq!(told("name=x"), None);
        assert_eq!(told("access-type=url"), None);
    }
}

//! Body parts (RFC 8621 §4.1.4): the structure, what a reader shows as text, HTML and attachments, and their values.
//!
//! A part's id is its place in the parsed message. Must not know: methods.

use super::header::{Form, HeaderProperty};
use crate::jmap::Object;
use crate::jmap::view::EmailKey;
use message::part::PartKind;
use message::transfer::TransferEncoding;
use message::{Message, Part, charset};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Properties of an EmailBodyPart; `header:...` besides.
pub(crate) const PART_PROPERTIES: [&str; 12] =
    ["partId", "blobId", "size", "headers", "name", "type", "charset", "disposition", "cid", "language", "location", "subParts"];

/// Those given when none are asked for.
pub(crate) const PART_DEFAULTS: [&str; 10] =
    ["partId", "blobId", "size", "name", "type", "charset", "disposition", "cid", "language", "location"];

/// What a message is the octets of: its parts are blobs named after that.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whole<'a> {
    /// An email.
    Email(EmailKey),
    /// A blob that is read as one (`Email/parse`).
    Blob(&'a str),
}

impl Whole<'_> {
    fn part(self, part: usize) -> String {
        match self {
            Whole::Email(key) => part_blob(key, part),
            Whole::Blob(id) => EmailKey::of(id).map_or_else(|| format!("{id}_{part}"), |key| part_blob(key, part)),
        }
    }
}

/// `P<body>-<date>-<part>`
pub(crate) fn part_blob(key: EmailKey, part: usize) -> String {
    let id = key.id();
    format!("P{}-{part}", id.strip_prefix('M').unwrap_or(&id))
}

/// `type/subtype`
pub(crate) fn media_type(part: &Part<'_>) -> String {
    format!("{}/{}", part.content_type.main, part.content_type.sub)
}

/// "CFWS and surrounding angle brackets are removed."
fn cid(part: &Part<'_>) -> Option<String> {
    let id = String::from_utf8_lossy(part.content_id()?).trim().to_owned();
    if !id.contains(['(', '<', '>']) {
        return Some(id);
    }
    let bare = part.field("content-id").map(|field| Form::MessageIds.value(&field, None));
    let bare = bare.and_then(|ids| ids.get(0).and_then(Value::as_str).map(str::to_owned));
    Some(bare.unwrap_or(id))
}

/// JMAP knows no parts inside a message inside.
fn is_multipart(part: &Part<'_>) -> bool {
    part.kind == PartKind::Multipart
}

fn charset_of(part: &Part<'_>) -> Value {
    let named = part.charset().map(|charset| String::from_utf8_lossy(charset).into_owned());
    match part.content_type.main == "text" || part.field("content-type").is_none() {
        true => json!(named.unwrap_or_else(|| "us-ascii".into())),
        false => json!(named),
    }
}

/// What renders parts.
pub(crate) struct Renderer<'a, 'm> {
    pub(crate) message: &'a Message<'m>,
    pub(crate) whole: Whole<'a>,
    pub(crate) properties: &'a [String],
}

impl Renderer<'_, '_> {
    /// One part.
    pub(crate) fn part(&self, index: usize, deep: bool) -> Value {
        let Some(part) = self.message.parts.get(index) else { return Value::Null };
        let mut object = Object::new();
        for property in self.properties.iter().filter(|name| *name != "subParts") {
            object.insert(property.clone(), self.property(property, index, part));
        }
        if deep || self.properties.iter().any(|name| name == "subParts") {
            let children = || part.children.iter().map(|child| self.part(*child, deep)).collect();
            let sub_parts = if is_multipart(part) { Value::Array(children()) } else { Value::Null };
            if deep && is_multipart(part) || self.properties.iter().any(|name| name == "subParts") {
                object.insert("subParts".into(), sub_parts);
            }
        }
        Value::Object(object)
    }

    fn property(&self, name: &str, index: usize, part: &Part<'_>) -> Value {
        let leaf = |value: Value| if is_multipart(part) { Value::Null } else { value };
        let octets = |value: Option<&[u8]>| value.map(|value| String::from_utf8_lossy(value).trim().to_owned());
        match name {
            "partId" => leaf(json!(index.to_string())),
            "blobId" => leaf(json!(self.whole.part(index))),
            "size" if is_multipart(part) => json!(part.raw_body().len()),
            "size" => json!(part.content_len().unwrap_or(part.raw_body().len() as u64)),
            "headers" => {
                let charset = self.message.header_charset();
                let one = |field: message::header::Field<'_>| json!({"name": String::from_utf8_lossy(field.name), "value": Form::Raw.value(&field, charset)});
                Value::Array(message::header::fields(part.raw_header()).map(one).collect())
            }
            "name" => json!(part.file_name()),
            "type" => json!(media_type(part)),
            "charset" => charset_of(part),
            "disposition" => json!(part.disposition.as_ref().map(|disposition| disposition.kind.as_str())),
            "cid" => json!(cid(part)),
            "language" if part.language.is_empty() => Value::Null,
            "language" => json!(part.language.iter().map(|one| String::from_utf8_lossy(one).into_owned()).collect::<Vec<_>>()),
            "location" => json!(octets(part.location.as_deref())),
            header => HeaderProperty::parse(header)
                .map_or(Value::Null, |asked| asked.value(part.raw_header(), self.message.header_charset())),
        }
    }
}

/// What a reader shows: parts by index.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) text: Vec<usize>,
    pub(crate) html: Vec<usize>,
    pub(crate) attachments: Vec<usize>,
}

fn is_inline_media(kind: &str) -> bool {
    ["image/", "audio/", "video/"].iter().any(|start| kind.starts_with(start))
}

/// Parts of `bodyStructure`: those of messages inside are none of it.
pub(crate) fn in_structure(message: &Message<'_>) -> BTreeSet<usize> {
    let (mut found, mut open) = (BTreeSet::new(), vec![0]);
    while let Some(index) = open.pop() {
        if let Some(part) = message.parts.get(index)
            && found.insert(index)
            && is_multipart(part)
        {
            open.extend(&part.children);
        }
    }
    found
}

/// RFC 8621 §4.1.4's decomposition.
pub(crate) fn shown(message: &Message<'_>) -> Shown {
    let mut shown = Shown::default();
    decompose(message, &[0], "mixed", false, (true, true), &mut shown);
    shown
}

fn decompose(
    message: &Message<'_>,
    parts: &[usize],
    around: &str,
    in_alternative: bool,
    (mut text, mut html): (bool, bool),
    shown: &mut Shown,
) {
    let (text_len, html_len) = (shown.text.len(), shown.html.len());
    for (nth, index) in parts.iter().enumerate() {
        let Some(part) = message.parts.get(*index) else { continue };
        let kind = media_type(part);
        let may_be_body = matches!(kind.as_str(), "text/plain" | "text/html") || is_inline_media(&kind);
        let place = nth == 0 || around != "related" && (is_inline_media(&kind) || part.file_name().is_none());
        if is_multipart(part) {
            let sub = part.content_type.sub.as_str();
            decompose(message, &part.children, sub, in_alternative || sub == "alternative", (text, html), shown);
            continue;
        }
        if part.is_attachment() || !may_be_body || !place {
            shown.attachments.push(*index);
            continue;
        }
        // One that is in neither list is an attachment, whatever it is.
        let (in_text, in_html) = match (around, kind.as_str()) {
            ("alternative", kind) => (kind == "text/plain" && text, kind == "text/html" && html),
            (_, kind) => {
                if in_alternative {
                    html &= kind != "text/plain";
                    text &= kind != "text/html";
                }
                (text, html)
            }
        };
        if in_text {
            shown.text.push(*index);
        }
        if in_html {
            shown.html.push(*index);
        }
        if !in_text && !in_html || (!in_text || !in_html) && is_inline_media(&kind) {
            shown.attachments.push(*index);
        }
    }
    if around == "alternative" && text && html {
        let (new_text, new_html) = (shown.text.len() > text_len, shown.html.len() > html_len);
        if new_html && !new_text {
            let found: Vec<usize> = shown.html.get(html_len..).unwrap_or_default().to_vec();
            shown.text.extend(found);
        } else if new_text && !new_html {
            let found: Vec<usize> = shown.text.get(text_len..).unwrap_or_default().to_vec();
            shown.html.extend(found);
        }
    }
}

/// "malformed sections were found while decoding the charset, or the charset was unknown" (RFC 8621 §4.1.4). Where none is named it
/// is US-ASCII (RFC 2045 §5.2), whatever may be guessed of the rest.
fn is_malformed(named: &[u8], octets: &[u8]) -> bool {
    match named {
        b"" => !octets.is_ascii(),
        named => charset::is_good(named, octets) != Some(true),
    }
}

/// Where the tag begins that the text breaks off in: a `>` or `<` in the quotes of an attribute ends or begins none.
fn tag_left_open(html: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let open = at + html.get(at..)?.find('<')?;
        let inside = html.get(open + 1..)?;
        if let Some(comment) = inside.strip_prefix("!--") {
            at = html.len() - comment.len() + comment.find("-->")?;
        } else if inside.is_empty() || inside.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c)) {
            match tag_len(inside) {
                Some(len) => at = open + 1 + len,
                None => return Some(open),
            }
        } else {
            at = open + 1;
        }
    }
}

/// Up to its `>`; `None`: it is not there.
fn tag_len(inside: &str) -> Option<usize> {
    // A quote begins a value only where one is expected.
    let (mut quote, mut expected) = (None, false);
    for (at, c) in inside.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '>') => return Some(at + 1),
            (None, '"' | '\'') if expected => quote = Some(c),
            (None, _) => {}
        }
        expected = c == '=' || expected && c.is_ascii_whitespace();
    }
    None
}

/// EmailBodyValue of a text part, at most `max` octets of it.
pub(crate) fn value(part: &Part<'_>, max: usize) -> Option<Value> {
    let text = part.text()?.replace("\r\n", "\n").replace('\0', "\u{fffd}");
    let problem = part.encoding == TransferEncoding::Other || is_malformed(part.charset().unwrap_or_default(), &part.content());
    let mut end = text.len();
    if end > max {
        end = text.floor_char_boundary(max);
        // Not inside a tag (§4.2).
        let head = text.get(..end).unwrap_or_default();
        if part.content_type.sub == "html" {
            end = tag_left_open(head).unwrap_or(end);
        }
    }
    let cut = end < text.len();
    Some(json!({"value": text.get(..end).unwrap_or_default(), "isEncodingProblem": problem, "isTruncated": cut}))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8621 §4.1.4's example of a message that has everything.
    #[test]
    fn the_example_of_rfc_8621() {
        let leaf = |kind: &str, more: &str| format!("Content-Type: {kind}\r\n{more}\r\nx\r\n");
        let multi = |sub: &str, mark: &str, parts: &[String]| {
            let inside: String = parts.iter().map(|part| format!("--{mark}\r\n{part}\r\n")).collect();
            format!("Content-Type: multipart/{sub}; boundary={mark}\r\n\r\n{inside}--{mark}--\r\n")
        };
        let inner_mixed = multi(
            "mixed",
            "m3",
            &[leaf("text/plain", "X: B"), leaf("image/jpeg", "X: C"), leaf("text/plain", "X: D")].map(|part| part),
        );
        let related = multi("related", "r", &[leaf("text/html", "X: E"), leaf("image/jpeg", "X: F")]);
        let alternative = multi("alternative", "a", &[inner_mixed, related]);
        let middle = multi(
            "mixed",
            "m2",
            &[
                alternative,
                leaf("image/jpeg", "Content-Disposition: attachment\r\nX: G"),
                leaf("application/x-excel", "X: H"),
                leaf("message/rfc822", "X: J"),
            ],
        );
        let all = multi("mixed", "m1", &[leaf("text/plain", "X: A"), middle, leaf("text/plain", "X: K")]);
        let message = message::parse(all.as_bytes());
        let shown = shown(&message);
        let names = |parts: &[usize]| -> String {
            let name = |index: &usize| {
                HeaderProperty::parse("header:X:asText").map(|asked| asked.value(message.parts[*index].raw_header(), None))
            };
            parts.iter().filter_map(name).filter_map(|name| name.as_str().map(str::to_owned)).collect()
        };
        assert_eq!([names(&shown.text), names(&shown.html), names(&shown.attachments)], ["ABCDK", "AEK", "CFGHJ"]);
    }

    /// "not of type multipart/* and not included in textBody or htmlBody": one that an inner alternative leaves out is still there.
    #[test]
    fn no_part_is_lost() {
        let inner = "Content-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\nContent-Type: text/html\r\n\r\nh\r\n--i\r\nContent-Type: text/plain\r\n\r\np\r\n--i--\r\n";
        let related = format!(
            "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: text/html\r\n\r\nx\r\n--m\r\n{inner}--m\r\nContent-Type: text/plain\r\n\r\ny\r\n--m--\r\n"
        );
        let all = format!(
            "Content-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain\r\n\r\nt\r\n--a\r\n{related}--a--\r\n"
        );
        let message = message::parse(all.as_bytes());
        let shown = shown(&message);
        for (index, part) in message.parts.iter().enumerate().filter(|(_, part)| !is_multipart(part)) {
            let lists = [&shown.text, &shown.html, &shown.attachments].map(|list| list.contains(&index));
            assert!(lists.contains(&true), "{index}: {} {shown:?}", media_type(part));
        }
        let unknown = message::parse(b"Content-Transfer-Encoding: x-rot13\r\n\r\nuryyb");
        assert_eq!(value(unknown.root(), 9).map(|value| value["isEncodingProblem"].clone()), Some(json!(true)));
    }

    #[test]
    fn a_value_is_cut_between_characters_and_outside_tags() {
        let plain = message::parse("Content-Type: text/plain; charset=utf-8\r\n\r\naäb\r\nc".as_bytes());
        let cut = |max| value(plain.root(), max).map(|value| value["value"].clone());
        assert_eq!(
            [cut(9), cut(2), cut(3), cut(0)],
            [Some(json!("aäb\nc")), Some(json!("a")), Some(json!("aä")), Some(json!(""))]
        );
        let html = message::parse(b"Content-Type: text/html\r\n\r\nab<b class=x>c</b>");
        assert_eq!(value(html.root(), 8), Some(json!({"value": "ab", "isEncodingProblem": false, "isTruncated": true})));
        for (text, whole) in [
            ("ab<a title=\"x>y\" href", "ab"),
            ("ab<a title='<b>' href", "ab"),
            ("ab<a title = '>", "ab"),
            ("ab<a title=don't>c</a>d", "ab<a title=don't>c</a>d"),
            ("ab<", "ab"),
            ("ab</", "ab"),
            ("1 < 2, 3 <", "1 < 2, 3 "),
            ("1 < 2", "1 < 2"),
            ("a<!-- <b --> c", "a<!-- <b --> c"),
            ("a<!-- <b", "a<!-- <b"),
            ("a<!-- --><b c", "a<!-- -->"),
        ] {
            let html = format!("Content-Type: text/html\r\n\r\n{text}<end>");
            let cut = value(message::parse(html.as_bytes()).root(), text.len());
            assert_eq!(cut.map(|value| value["value"].clone()), Some(json!(whole)), "{text}");
        }
    }

    /// RFC 8621 §4.1.4 `isEncodingProblem`.
    #[test]
    fn what_cannot_be_decoded_for_certain_is_a_problem() {
        let problem = |head: &str, body: &[u8]| {
            let octets = [head.as_bytes(), b"\r\n\r\n", body].concat();
            value(message::parse(&octets).root(), 99).map(|value| value["isEncodingProblem"].clone())
        };
        for (head, body, is) in [
            ("Content-Type: text/plain", "ab".as_bytes(), false),
            ("Content-Type: text/plain", "gr\u{fc}n".as_bytes(), true),
            ("Content-Type: text/plain", b"gr\xfcn", true),
            ("Subject: nothing says what it is", b"gr\xfcn", true),
            ("Content-Type: text/html; charset=\"\"", b"gr\xfcn", true),
            ("Content-Type: text/plain; charset=us-ascii", b"gr\xfcn", true),
            ("Content-Type: text/plain; charset=utf-8", "gr\u{fc}n".as_bytes(), false),
            ("Content-Type: text/plain; charset=utf-8", b"gr\xfcn", true),
            ("Content-Type: text/plain; charset=utf-8", b"\xc0\xaf", true),
            ("Content-Type: text/plain; charset=iso-8859-1", b"gr\xfcn", false),
            ("Content-Type: text/plain; charset=iso-2022-jp", b"\x1b$B\x7f", true),
            ("Content-Type: text/plain; charset=euc-jp", b"\x8f\xa1", true),
            ("Content-Type: text/plain; charset=nonsense", b"ab", true),
            ("Content-Transfer-Encoding: x-rot13", b"ab", true),
            ("Content-Type: text/plain\r\nContent-Transfer-Encoding: base64", b"Z3LDvG4=", true),
            ("Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable", b"gr=FCn", true),
        ] {
            assert_eq!(problem(head, body), Some(json!(is)), "{head} {body:?}");
        }
    }
}

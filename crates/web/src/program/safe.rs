//! `GET /api/html/{account}/{email or blob}`: the HTML of a message, or of a file that is a page, made safe to show, and what it
//! wanted from elsewhere.
//!
//! With `?pictures=1` a message's pictures come too, fetched by us: the sender learns neither who looks nor from where.
//! Invariant: what is answered holds nothing that runs and no address but our own. Must not know: the frame.

use crate::jmap;
use crate::jmap::email::body::{media_type, part_blob, shown};
use crate::jmap::view::EmailKey;
use crate::site::{self, Shared, Visit, problem, unavailable};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use message::html::{Policy, Remote, RemoteContent, RemoteKind, SafeHtml, sanitise};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use store::StoreError;

/// See the module.
pub(crate) async fn html(
    State(site): State<Shared>,
    Path((account, id)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    Visit { signed_in, .. }: Visit,
) -> Response {
    let reader = signed_in.account.id;
    let Some(eyes) = site.eyes_on(&signed_in.account, &account).await else { return gone() };
    let Some(key) = EmailKey::of(&id) else {
        let charset = query.get("charset").cloned();
        let octets = jmap::blob::octets(&site, &eyes, &id).await;
        return told_aside(octets, move |octets| of_file(octets, charset.as_deref())).await;
    };
    let email = match site.jmap.views.seen_by(&site.store, &eyes).await {
        Ok(view) => view.get(key).and_then(jmap::view::Entry::email),
        Err(_) => return unavailable(),
    };
    let Some(email) = email else { return gone() };
    let octets = site.store.body(eyes.account, email, 0, u64::from(u32::MAX)).await.map(Some);
    let pictures = query.get("pictures").is_some_and(|asked| asked == "1");
    told_aside(octets, move |octets| {
        let way = |remote: &RemoteContent| remote.tracker.is_none().then(|| site.outside.address(reader, &remote.url));
        told(octets, key, &account, if pictures { Remote::Rewrite(&way) } else { Remote::Block })
    })
    .await
}

fn gone() -> Response {
    problem(StatusCode::NOT_FOUND, "There is no such message.")
}

/// Parsing and filtering a large message takes a while: not among those who only wait.
async fn told_aside(octets: Result<Option<Bytes>, StoreError>, told: impl FnOnce(&[u8]) -> Value + Send + 'static) -> Response {
    let octets = match octets {
        Ok(Some(octets)) => octets,
        Ok(None) | Err(StoreError::NotFound) => return gone(),
        Err(_) => return unavailable(),
    };
    match tokio::task::spawn_blocking(move || told(&octets)).await {
        Ok(value) => site::answer(StatusCode::OK, &value),
        Err(_) => unavailable(),
    }
}

/// What was found while something was made safe.
#[derive(Default)]
struct Found {
    html: String,
    pictures: u64,
    trackers: u64,
    hosts: BTreeSet<String>,
}

impl Found {
    fn take(&mut self, safe: SafeHtml) {
        self.html.push_str(&safe.html);
        for remote in safe.remote {
            let is_picture = matches!(remote.kind, RemoteKind::Image | RemoteKind::Background | RemoteKind::Style);
            match remote.tracker {
                Some(_) => self.trackers += 1,
                None => self.pictures += u64::from(is_picture),
            }
            self.hosts.extend(host(&remote.url).map(str::to_owned));
        }
    }

    fn told(self, shown: bool) -> Value {
        let Found { html, pictures, trackers, hosts } = self;
        json!({"html": html, "pictures": pictures, "trackers": trackers, "shown": shown, "hosts": hosts})
    }
}

/// A page that came as a file: nothing of elsewhere is ever in it, and it has no parts beside it.
fn of_file(octets: &[u8], charset: Option<&str>) -> Value {
    let mut found = Found::default();
    found.take(sanitise(&page_text(octets, charset), &Policy::default()));
    found.told(false)
}

/// How far a page is looked into for the charset that it names itself (HTML, "prescan a byte stream").
const PRESCAN_BYTES: usize = 1024;

/// Its charset: by its byte order mark, else as the message says, else as the page says itself.
fn page_text<'a>(octets: &'a [u8], charset: Option<&str>) -> Cow<'a, str> {
    let marked = match octets {
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => Some("utf-16"),
        [0xef, 0xbb, 0xbf, ..] => Some("utf-8"),
        _ => None,
    };
    let named = || {
        let head =
            String::from_utf8_lossy(octets.get(..octets.len().min(PRESCAN_BYTES)).unwrap_or_default()).to_ascii_lowercase();
        let (_, behind) = head.split_once("charset=")?;
        let name = behind.trim_start_matches(['"', '\'', ' ']);
        name.split(|c: char| !c.is_ascii_alphanumeric() && !"-_.:".contains(c)).next().map(str::to_owned)
    };
    let charset = marked.map(str::to_owned).or_else(|| charset.map(str::to_owned)).or_else(named);
    message::charset::decode(charset.unwrap_or_default().as_bytes(), octets)
}

fn told(octets: &[u8], key: EmailKey, account: &str, remote: Remote<'_>) -> Value {
    let shown_too = matches!(remote, Remote::Rewrite(_));
    let message = message::parse(octets);
    let resolve = |cid: &str| {
        let found = message.parts.iter().position(|part| part.content_id().is_some_and(|id| id == cid.as_bytes()))?;
        let part = message.parts.get(found)?;
        let kind = media_type(part);
        // Only what a browser shows as a picture and nothing else.
        let is_picture =
            matches!(kind.as_str(), "image/png" | "image/jpeg" | "image/gif" | "image/webp" | "image/avif" | "image/bmp");
        is_picture.then(|| format!("/jmap/download/{account}/{}/picture?type={kind}", part_blob(key, found)))
    };
    let policy = Policy { remote, resolve_cid: &resolve };
    let mut found = Found::default();
    let all: Vec<_> = shown(&message).html.iter().filter_map(|index| message.parts.get(*index)).collect();
    let has_html = all.iter().any(|part| media_type(part) == "text/html");
    for part in all {
        let Some(text) = part.text() else { continue };
        match media_type(part).as_str() {
            "text/html" => {}
            // Text between HTML, or behind it (a list's footer), is read as well.
            "text/plain" if has_html => {
                let plain = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                found.html.push_str(&format!("<pre style=\"white-space:pre-wrap;font:inherit\">{plain}</pre>"));
                continue;
            }
            _ => continue,
        }
        found.take(sanitise(&text, &policy));
    }
    found.told(shown_too)
}

fn host(url: &str) -> Option<&str> {
    let rest = url.split_once("//")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit('@').next()?.split(':').next().filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MAIL: &[u8] = b"Content-Type: multipart/related; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n\
        <p onclick=run()>Hi<script>run()</script><img src=cid:a@b><img src=cid:c@d><img src=https://shop.test:8443/big.png><img src=https://t.test/o.gif width=1 height=1>\r\n\
        --x\r\nContent-Type: image/png\r\nContent-ID: <a@b>\r\n\r\nx\r\n--x\r\nContent-Type: image/svg+xml\r\nContent-ID: <c@d>\r\n\r\nx\r\n--x--\r\n";

    #[test]
    fn text_beside_html_is_shown_as_text() {
        let mail = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>Hi</p>\r\n\
            --x\r\nContent-Type: text/plain\r\n\r\n<script>run()</script> & a footer\r\n--x--\r\n";
        let key = EmailKey { date_secs: 1, body: store::BodyId(7) };
        let html = told(mail, key, "A1", Remote::Block)["html"].as_str().unwrap().to_owned();
        assert!(html.contains("<p>Hi</p>") && html.contains("&lt;script&gt;run()&lt;/script&gt; &amp; a footer"), "{html}");
        let plain = b"Content-Type: text/plain\r\n\r\nAlone\r\n";
        assert_eq!(told(plain, key, "A1", Remote::Block)["html"], "");
    }

    #[test]
    fn pictures_of_the_message_are_downloads_and_the_rest_is_counted() {
        let key = EmailKey { date_secs: 1, body: store::BodyId(7) };
        let value = told(MAIL, key, "A1", Remote::Block);
        let html = value["html"].as_str().unwrap();
        assert!(html.contains("src=\"/jmap/download/A1/P") && html.contains("type=image/png"), "{html}");
        for never in ["script", "onclick", "https:", "svg", "cid:"] {
            assert!(!html.contains(never), "{never} in {html}");
        }
        assert_eq!((&value["pictures"], &value["trackers"]), (&json!(1), &json!(1)));
        assert_eq!(value["hosts"], json!(["shop.test", "t.test"]));
    }

    #[test]
    fn pictures_of_elsewhere_come_by_us_and_trackers_never() {
        let key = EmailKey { date_secs: 1, body: store::BodyId(7) };
        let way = |remote: &RemoteContent| remote.tracker.is_none().then(|| "/api/picture?u=x".to_owned());
        let value = told(MAIL, key, "A1", Remote::Rewrite(&way));
        let html = value["html"].as_str().unwrap();
        assert_eq!(html.matches("/api/picture?u=x").count(), 1, "{html}");
        assert!(!html.contains("https:") && value["shown"] == json!(true), "{html}");
    }

    #[test]
    fn a_page_that_came_as_a_file_is_made_safe_and_asks_nobody() {
        let page = b"<!DOCTYPE html><title>T</title><style>p{color:red}</style><p onclick=run()>Hi<script>run()</script><img src=cid:a@b><img src=https://shop.test/big.png>\
            <img src=https://t.test/o.gif width=1 height=1><form action=https://shop.test/><input name=x></form>";
        let value = of_file(page, None);
        let html = value["html"].as_str().unwrap();
        assert!(html.contains("<p>Hi") && html.contains("red"), "{html}");
        for never in ["script", "onclick", "https:", "cid:", "form", "input", "/jmap/", "/api/"] {
            assert!(!html.contains(never), "{never} in {html}");
        }
        assert_eq!((&value["pictures"], &value["trackers"], &value["shown"]), (&json!(1), &json!(1), &json!(false)));
    }

    #[test]
    fn a_page_is_read_in_its_charset() {
        let read = |octets: &[u8], said: Option<&str>| page_text(octets, said).into_owned();
        let koi8 = b"<meta charset=\"koi8-r\"><p>\xd0\xd2\xc9";
        assert!(read(koi8, None).ends_with("<p>при") && read(koi8, Some("iso-8859-1")).ends_with("<p>ÐÒÉ"));
        let old = b"<META http-equiv=Content-Type content='text/html; Charset=ISO-8859-2'>\xb1";
        assert!(read(old, None).ends_with('ą'));
        assert_eq!(read("ä".as_bytes(), None), "ä");
        assert_eq!(read(b"\xe4", None), "ä");
        assert_eq!(read(b"\xff\xfe<\0p\0>\0", Some("us-ascii")), "<p>");
        assert!(read(b"\xef\xbb\xbf\xc3\xa4", Some("iso-8859-1")).ends_with('ä'));
        assert_eq!(read(b"<meta charset=nonsense>\xc3\xa4", None), "<meta charset=nonsense>ä");
    }

    /// One trick a line; the same lines run through the page in a real browser.
    const TRICKS: &str = include_str!("../../../../tests/xss/corpus.txt");
    const ELEMENTS: [&str; 62] = [
        "a",
        "abbr",
        "address",
        "article",
        "aside",
        "b",
        "bdi",
        "bdo",
        "big",
        "blockquote",
        "br",
        "caption",
        "center",
        "cite",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "details",
        "dfn",
        "div",
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "font",
        "footer",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "i",
        "img",
        "ins",
        "kbd",
        "li",
        "main",
        "mark",
        "ol",
        "p",
        "pre",
        "q",
        "s",
        "small",
        "span",
        "strong",
        "style",
        "sub",
        "summary",
        "sup",
        "table",
        "tbody",
        "td",
        "th",
        "tr",
        "u",
    ];
    const MORE_ELEMENTS: [&str; 16] = [
        "ul", "wbr", "thead", "tfoot", "tt", "strike", "samp", "var", "time", "section", "nav", "hgroup", "ruby", "rp", "rt",
        "map",
    ];

    fn unescaped(line: &str) -> String {
        let mut out = String::new();
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match (c, if c == '\\' { chars.next() } else { None }) {
                (_, Some('n')) => out.push('\n'),
                (_, Some('r')) => out.push('\r'),
                (_, Some('t')) => out.push('\t'),
                (_, Some('f')) => out.push('\u{c}'),
                (_, Some('v')) => out.push('\u{b}'),
                (_, Some('0')) => out.push('\0'),
                (_, Some('1')) => out.push('\u{1}'),
                (_, Some(other)) => out.push(other),
                (c, None) => out.push(c),
            }
        }
        out
    }

    /// What in this HTML could run or fetch something, read as strictly as it is written.
    fn leak(html: &str) -> Option<String> {
        let mut rest = html;
        while let Some((_, behind)) = rest.split_once('<') {
            let end = behind.find('>')?;
            let mut tag = behind.get(..end).unwrap();
            // A `>` within quotation marks is part of a value.
            let mut at = end;
            while tag.matches('"').count() % 2 == 1 {
                let next = behind.get(at + 1..).and_then(|more| more.find('>'));
                let Some(next) = next else { return Some(format!("a tag without end: {behind}")) };
                at += 1 + next;
                tag = behind.get(..at).unwrap();
            }
            rest = behind.get(at + 1..).unwrap();
            if tag.starts_with('/') {
                continue;
            }
            let (name, mut attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
            if !ELEMENTS.contains(&name) && !MORE_ELEMENTS.contains(&name) {
                return Some(format!("<{name}>"));
            }
            while let Some((attribute, value)) = attributes.trim_start().split_once("=\"") {
                let Some((value, more)) = value.split_once('"') else { return Some(format!("{attribute} without end")) };
                attributes = more;
                if let Some(bad) = attribute_leak(attribute.trim(), &message::html_text::text(value)) {
                    return Some(bad);
                }
            }
            if name == "style"
                && let Some(bad) = rest.split_once("</style").and_then(|(css, _)| css_leak(css))
            {
                return Some(bad);
            }
        }
        None
    }

    fn attribute_leak(name: &str, value: &str) -> Option<String> {
        let bare: String =
            value.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect::<String>().to_ascii_lowercase();
        let told = || Some(format!("{name}={value:?}"));
        match name {
            "style" => css_leak(value),
            "href" => {
                let good = ["http:", "https:", "mailto:", "tel:", "#", "sms:"].iter().any(|start| bare.starts_with(start));
                if good || bare.is_empty() { None } else { told() }
            }
            "src" if bare.starts_with("/jmap/download/") => None,
            // In a name space of its own: it takes no name away from the page.
            "id" | "name" if value.starts_with("m-") => None,
            "src" | "srcset" | "background" | "poster" | "action" | "formaction" | "ping" | "srcdoc" | "data" | "id" | "name" => {
                told()
            }
            name if name.starts_with("on") || name.contains(':') => told(),
            _ => None,
        }
    }

    fn css_leak(css: &str) -> Option<String> {
        // What stands in quotation marks is a text, and nothing in it ends it.
        let outside: String = css.split('"').step_by(2).collect();
        let lower = outside.to_ascii_lowercase();
        let bad =
            ["url(", "image-set", "expression", "behavior", "binding", "@import", "javascript", "\\", "@font-face", "@namespace"];
        bad.iter().find(|word| lower.contains(**word)).map(|word| format!("{word} in {css:?}"))
    }

    #[test]
    fn no_trick_leaves_anything_that_runs_or_fetches() {
        assert_eq!(leak("<p onclick=\"x\">"), Some("onclick=\"x\"".into()), "the test itself sees");
        for seen in [
            "<script>",
            "<a href=\"javascript:x\">",
            "<img src=\"https://x\">",
            "<p style=\"a:url(x)\">",
            "<style>@import 'x'</style>",
        ] {
            assert!(leak(seen).is_some(), "{seen}");
        }
        let tricks: Vec<String> = TRICKS.lines().filter(|line| !line.starts_with("# ")).map(unescaped).collect();
        assert!(tricks.len() >= 350, "{}", tricks.len());
        let key = EmailKey { date_secs: 1, body: store::BodyId(7) };
        let mut found = Vec::new();
        for trick in &tricks {
            for (before, behind) in
                [("", ""), ("<div>", "</div>"), ("<table><tr><td>", "</table>"), ("<svg>", "</svg>"), ("<p title='", "'>")]
            {
                let mail = format!("Content-Type: text/html; charset=utf-8\r\n\r\n{before}{trick}{behind}");
                let html = told(mail.as_bytes(), key, "A1", Remote::Block)["html"].as_str().unwrap().to_owned();
                let page = format!("{before}{trick}{behind}");
                let file = of_file(page.as_bytes(), None)["html"].as_str().unwrap().to_owned();
                for html in [html, file] {
                    if let Some(bad) = leak(&html) {
                        found.push(format!("{page}\n   -> {bad}\n   in {html}"));
                    }
                }
            }
        }
        assert!(found.is_empty(), "{} of {}:\n{}", found.len(), tricks.len() * 5, found.join("\n"));
    }
}

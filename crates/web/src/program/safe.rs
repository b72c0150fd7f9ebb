//! `GET /api/html/{account}/{email}`: the HTML of a message, made safe to show, and what it wanted from elsewhere.
//!
//! With `?pictures=1` its pictures come too, fetched by us: the sender learns neither who looks nor from where.
//! Invariant: what is answered holds nothing that runs and no address but our own. Must not know: the frame.

use crate::jmap;
use crate::jmap::email::body::{media_type, part_blob, shown};
use crate::jmap::view::EmailKey;
use crate::site::{self, Shared, Visit, problem, unavailable};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use message::html::{Policy, Remote, RemoteContent, RemoteKind, sanitise};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use store::StoreError;

/// See the module.
pub(crate) async fn html(
    State(site): State<Shared>,
    Path((account, id)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    Visit { signed_in, .. }: Visit,
) -> Response {
    let gone = || problem(StatusCode::NOT_FOUND, "There is no such message.");
    let reader = signed_in.account.id;
    let Some(eyes) = site.eyes_on(&signed_in.account, &account).await else { return gone() };
    let Some(key) = EmailKey::of(&id) else { return gone() };
    let email = match site.jmap.views.seen_by(&site.store, &eyes).await {
        Ok(view) => view.get(key).and_then(jmap::view::Entry::email),
        Err(_) => return unavailable(),
    };
    let Some(email) = email else { return gone() };
    let octets = match site.store.body(eyes.account, email, 0, u64::from(u32::MAX)).await {
        Ok(octets) => octets,
        Err(StoreError::NotFound) => return gone(),
        Err(_) => return unavailable(),
    };
    // Parsing and filtering a large message takes a while: not among those who only wait.
    let pictures = query.get("pictures").is_some_and(|asked| asked == "1");
    let told = move || {
        let way = |remote: &RemoteContent| remote.tracker.is_none().then(|| site.outside.address(reader, &remote.url));
        told(&octets, key, &account, if pictures { Remote::Rewrite(&way) } else { Remote::Block })
    };
    match tokio::task::spawn_blocking(told).await {
        Ok(value) => site::answer(StatusCode::OK, &value),
        Err(_) => unavailable(),
    }
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
    let (mut html, mut pictures, mut trackers, mut hosts) = (String::new(), 0u64, 0u64, BTreeSet::new());
    let all: Vec<_> = shown(&message).html.iter().filter_map(|index| message.parts.get(*index)).collect();
    let has_html = all.iter().any(|part| media_type(part) == "text/html");
    for part in all {
        let Some(text) = part.text() else { continue };
        match media_type(part).as_str() {
            "text/html" => {}
            // Text between HTML, or behind it (a list's footer), is read as well.
            "text/plain" if has_html => {
                let plain = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                html.push_str(&format!("<pre style=\"white-space:pre-wrap;font:inherit\">{plain}</pre>"));
                continue;
            }
            _ => continue,
        }
        let safe = sanitise(&text, &policy);
        html.push_str(&safe.html);
        for remote in safe.remote {
            let is_picture = matches!(remote.kind, RemoteKind::Image | RemoteKind::Background | RemoteKind::Style);
            match remote.tracker {
                Some(_) => trackers += 1,
                None => pictures += u64::from(is_picture),
            }
            hosts.extend(host(&remote.url).map(str::to_owned));
        }
    }
    json!({"html": html, "pictures": pictures, "trackers": trackers, "shown": shown_too, "hosts": hosts})
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
                if let Some(bad) = leak(&html) {
                    found.push(format!("{before}{trick}{behind}\n   -> {bad}\n   in {html}"));
                }
            }
        }
        assert!(found.is_empty(), "{} of {}:\n{}", found.len(), tricks.len() * 5, found.join("\n"));
    }
}

//! The first look, in the page itself: who it is, the mailboxes and the beginning of the list that is opened, as inert JSON.
//!
//! The page comes at once; this follows it on the same connection while the browser fetches the program, which then asks for
//! nothing before it shows mail. Invariant: it is told to nobody but who signed in, only where a browser opens the page, and
//! no cache keeps it; nothing in it ends the element that it stands in. Must not know: how it is drawn.

use super::{PAGE_POLICY, files, protect};
use crate::jmap::{self, Pieces};
use crate::limits::{FIRST_PATIENCE, FIRST_ROWS};
use crate::sessions;
use crate::site::{Asking, Shared, SignedIn, signed_in};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::OnceLock;
use tokio::sync::mpsc;

/// Where it goes: after what the program is drawn into.
const MARK: &str = "<div id=\"app\"></div>";
/// A line of the page that asks for what its first rows do not need (`web-program/vite.config.ts`).
const LATER: &str = " data-later";
/// What a row shows (`web-program/src/jmap/types.ts`).
const ROW: [&str; 12] = [
    "id",
    "blobId",
    "threadId",
    "mailboxIds",
    "keywords",
    "size",
    "receivedAt",
    "from",
    "to",
    "subject",
    "preview",
    "hasAttachment",
];

/// A browser opens a mailbox.
pub(crate) struct Opened {
    mailbox: String,
    asking: Asking,
}

/// `None`: it is asked for in another way, or as a page that is nobody's.
pub(crate) fn opened(request: &Request) -> Option<Opened> {
    let headers = request.headers();
    let navigates = headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    let plain = request.uri().query().is_none() && !headers.contains_key(header::AUTHORIZATION);
    let asking = Asking::of(request);
    let https = asking.asker.as_ref().is_some_and(|asker| asker.https);
    if request.method() != Method::GET || !navigates || !plain || sessions::cookie_of(headers, https).is_none() {
        return None;
    }
    Some(Opened { mailbox: mailbox_in(request.uri().path())?.to_owned(), asking })
}

/// The page, with the first look for who signed in; `None`: nobody did.
pub(crate) async fn page(site: &Shared, Opened { mailbox, asking }: Opened) -> Option<Response> {
    static PARTS: OnceLock<Option<(Bytes, Bytes)>> = OnceLock::new();
    let (before, after) = PARTS.get_or_init(|| parts(str::from_utf8(files::find("/index.html")?.plain).ok()?)).as_ref()?;
    let base = asking.base_url();
    let signed_in = signed_in(site, asking).await.ok()?;
    let place = jmap::place_for(site, signed_in.account.id)?;
    let (sender, receiver) = mpsc::channel(3);
    let site = Shared::clone(site);
    // What takes longer than one waits for (a mailbox that is read in for the first time) goes on, and the program asks for it.
    let mut telling = tokio::spawn(async move {
        let _place = place;
        told(&site, &signed_in, &base, &mailbox).await
    });
    tokio::spawn(async move {
        if sender.send(before.clone()).await.is_err() {
            return;
        }
        if let Ok(Ok(Some(told))) = tokio::time::timeout(FIRST_PATIENCE, &mut telling).await {
            let _ = sender.send(element(&told)).await;
        }
        let _ = sender.send(after.clone()).await;
    });
    let mut response = Response::new(Body::new(Pieces(receiver)));
    protect(response.headers_mut(), "text/html; charset=utf-8", PAGE_POLICY);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}

/// The page up to what is told, and behind it. What comes later is asked for when the rows are drawn: to ask for it takes a browser
/// about a millisecond a file, before it draws anything.
fn parts(whole: &str) -> Option<(Bytes, Bytes)> {
    let (before, after) = whole.split_at_checked(whole.find(MARK)? + MARK.len())?;
    let now: String = before.split_inclusive('\n').filter(|line| !line.contains(LATER)).collect();
    Some((now.into(), after.to_owned().into()))
}

/// The mailbox of one's own that an address opens: its role or its id.
fn mailbox_in(path: &str) -> Option<&str> {
    let mut parts = path.strip_prefix("/m/0/")?.split('/');
    parts.next().filter(|name| !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-'))
}

/// `<` alone could end it, or begin a comment in it.
fn element(told: &Value) -> Bytes {
    let text = told.to_string().replace('<', "\\u003c");
    Bytes::from(format!("<script type=\"application/json\" id=\"first\">{text}</script>"))
}

/// What the program would have asked: about the account, and for the list as it opens it (`web-program/src/state/first.ts`).
async fn told(site: &Shared, signed_in: &SignedIn, base: &str, mailbox: &str) -> Option<Value> {
    let account = jmap::account_id(signed_in.account.id);
    let any = |keyword: &str| json!({"accountId": account, "filter": {"hasKeyword": keyword}, "limit": 1});
    let about = asked(
        site,
        signed_in,
        json!([
            ["Mailbox/get", {"accountId": account, "ids": null}, "m"],
            ["Email/get", {"accountId": account, "ids": []}, "e"],
            ["Email/query", any("$pinned"), "pins"],
            ["Email/query", any("$muted"), "mutes"],
        ]),
    )
    .await?;
    let of = |id: &str| about.as_array()?.iter().find(|answer| answer.get(2).is_some_and(|name| name == id))?.get(1);
    let is_it = |one: &&Value| ["role", "id"].iter().any(|name| one.get(*name).is_some_and(|value| value == mailbox));
    let pinned = of("pins")?.get("ids")?.as_array().is_some_and(|ids| !ids.is_empty());
    let list = match of("m")?.get("list")?.as_array()?.iter().find(is_it) {
        Some(found) => list(site, signed_in, &account, found, pinned).await?,
        None => Value::Null,
    };
    let session = jmap::session_of(site, &signed_in.account, base).await;
    Some(json!({"session": session, "about": about, "list": list}))
}

/// The beginning of a mailbox, and what was asked for it.
async fn list(site: &Shared, signed_in: &SignedIn, account: &str, mailbox: &Value, pinned: bool) -> Option<Value> {
    let role = mailbox.get("role").and_then(Value::as_str);
    let mut sort = vec![json!({"property": "receivedAt", "isAscending": false})];
    if pinned && role == Some("inbox") {
        sort.insert(0, json!({"property": "hasKeyword", "keyword": "$pinned", "isAscending": false}));
    }
    let (filter, collapse) = (json!({"inMailbox": mailbox.get("id")?}), role != Some("drafts"));
    let refer = |of: &str, name: &str, path: &str| json!({"resultOf": of, "name": name, "path": path});
    let rows = |name: &str, ids: Value| json!({"accountId": account, name: ids, "properties": ROW});
    let query = json!({
        "accountId": account, "filter": filter, "sort": sort, "collapseThreads": collapse, "position": 0, "limit": FIRST_ROWS,
        "calculateTotal": true,
    });
    let mut calls =
        vec![json!(["Email/query", query, "q"]), json!(["Email/get", rows("#ids", refer("q", "Email/query", "/ids")), "e"])];
    if collapse {
        let threads = json!({"accountId": account, "#ids": refer("e", "Email/get", "/list/*/threadId")});
        calls.push(json!(["Thread/get", threads, "t"]));
    }
    let mut answers = asked(site, signed_in, Value::Array(calls)).await?;
    let others = others(&answers);
    if !others.is_empty() {
        let more = asked(site, signed_in, json!([["Email/get", rows("ids", json!(others)), "te"]])).await?;
        answers.as_array_mut()?.extend(more.as_array()?.iter().cloned());
    }
    Some(json!({"asked": {"filter": filter, "collapse": collapse, "sort": sort}, "answers": answers}))
}

/// Of the conversations in `answers` what is no row: a message is told once.
fn others(answers: &Value) -> Vec<&Value> {
    let told = |id: &str, path: &str| {
        let of = answers.as_array().and_then(|all| all.iter().find(|answer| answer.get(2).is_some_and(|name| name == id)));
        of.and_then(|answer| answer.pointer(path)).and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice)
    };
    let rows: HashSet<&str> = told("e", "/1/list").iter().filter_map(|row| row.get("id")?.as_str()).collect();
    let whole = told("t", "/1/list").iter().filter_map(|thread| thread.get("emailIds")?.as_array()).flatten();
    whole.filter(|id| id.as_str().is_some_and(|id| !rows.contains(id))).collect()
}

async fn asked(site: &Shared, signed_in: &SignedIn, calls: Value) -> Option<Value> {
    let request = json!({"using": [jmap::CORE, jmap::MAIL], "methodCalls": calls});
    let mut answer = jmap::answer(site, signed_in, request).await.ok()?;
    answer.get_mut("methodResponses").map(Value::take)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_element() {
        let told = element(&json!({"subject": "</script><script>alert(1)</script><!--"}));
        let text = std::str::from_utf8(&told).unwrap_or_default();
        assert_eq!(text.matches('<').count(), 2, "{text}");
        assert!(text.contains("\\u003c/script>\\u003cscript>alert(1)"), "{text}");
    }

    #[test]
    fn what_the_rows_do_not_need_is_asked_for_later() {
        let page = "<head>\n<script src=\"/a.js\"></script>\n<link href=\"/b.js\" data-later>\n</head>\n<div id=\"app\"></div>\n<p data-later>\n";
        let told = parts(page).map(|(before, after)| (before.to_vec(), after.to_vec()));
        let before = b"<head>\n<script src=\"/a.js\"></script>\n</head>\n<div id=\"app\"></div>".to_vec();
        assert_eq!(told, Some((before, b"\n<p data-later>\n".to_vec())));
        // Of what is served: the script and the looks of the rows stay.
        let Some(whole) = files::find("/index.html").and_then(|page| str::from_utf8(page.plain).ok()) else { return };
        let now = parts(whole).and_then(|(before, _)| String::from_utf8(before.to_vec()).ok()).unwrap_or_default();
        let count = |text: &str, what: &str| text.matches(what).count();
        assert!(count(whole, LATER) > 3 && count(&now, LATER) == 0 && count(&now, "<script type=\"module\"") == 1, "{now}");
        assert_eq!((count(&now, "modulepreload"), count(&now, "rel=\"stylesheet\"")), (0, 2), "{now}");
    }

    #[test]
    fn an_address_names_a_mailbox_of_ones_own() {
        let cases = [
            ("/m/0/inbox", Some("inbox")),
            ("/m/0/F1-2/t/T1", Some("F1-2")),
            ("/m/A2/inbox", None),
            ("/m/0/", None),
            ("/m/0/a%2f", None),
            ("/", None),
        ];
        for (path, named) in cases {
            assert_eq!(mailbox_in(path), named, "{path}");
        }
    }
}

//! The browser program: its files, out of the binary, and the policies they are served under.
//!
//! Files named by their hash are kept for ever; the page is asked for again each time. Nothing inline runs and nothing is
//! asked of any other host: the policy says so, and the tests in a real browser watch it. Must not know: mail, sessions.

mod files;
mod first;
mod safe;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use files::Embedded;
pub(crate) use first::{opened, page};
pub(crate) use safe::html;

/// What the page may do. Styles by attribute are the mail editor's; frames are the messages', with a policy of their own.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src-elem 'self'; style-src-attr 'unsafe-inline'; \
    img-src 'self' blob: data:; media-src 'self' blob:; font-src 'self'; connect-src 'self'; frame-src 'self'; worker-src 'self'; \
    manifest-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'";
/// What a message may do in its frame: be looked at. The element's `sandbox` says it once more.
const FRAME_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' blob: data:; form-action 'none'; \
    base-uri 'none'; frame-ancestors 'self'; sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox";
/// The worker fetches the program's own files.
const WORKER_POLICY: &str = "default-src 'none'; connect-src 'self'; script-src 'self'";
/// What reads PDF files, in a worker: it fetches nothing and runs no other script; its decoder of JPEG 2000 is WebAssembly.
const PDF_POLICY: &str = "default-src 'none'; script-src 'wasm-unsafe-eval'; frame-ancestors 'none'; sandbox";
/// Everything else holds nothing that could act.
const FILE_POLICY: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

/// What a message is shown in. Empty: the program puts the message in.
const FRAME: &str = include_str!("program/frame.html");
const NOT_BUILT: &str = include_str!("program/not_built.html");

/// First parts of the paths that are the program's pages (`web-program/src/state/route.svelte.ts`).
const PAGES: [&str; 8] = ["", "sign-in", "m", "search", "settings", "people", "wire", "print"];

/// The answer for everything that no other route takes.
pub(crate) fn file(method: &Method, path: &str, headers: &HeaderMap) -> Response {
    match found(path, headers) {
        None => nothing(),
        Some(file) if matches!(*method, Method::GET | Method::HEAD) => file,
        // RFC 9110 §15.5.6: with the methods that there are.
        Some(_) => {
            let words = "This is there to be read: GET or HEAD.\n";
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", words, FILE_POLICY);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
    }
}

fn found(path: &str, headers: &HeaderMap) -> Option<Response> {
    if path == "/frame" {
        return Some(text(StatusCode::OK, "text/html; charset=utf-8", FRAME, FRAME_POLICY));
    }
    if let Some(file) = files::find(path).filter(|_| path != "/index.html") {
        let policy = match path {
            "/worker.js" => WORKER_POLICY,
            path if path.starts_with("/assets/pdf.worker") => PDF_POLICY,
            _ => FILE_POLICY,
        };
        return Some(embedded(file, headers, policy));
    }
    let first = path.split('/').nth(1).unwrap_or_default();
    PAGES.contains(&first).then(|| match files::find("/index.html") {
        Some(page) => embedded(page, headers, PAGE_POLICY),
        None => text(StatusCode::OK, "text/html; charset=utf-8", NOT_BUILT, FILE_POLICY),
    })
}

fn nothing() -> Response {
    text(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "There is nothing here.\n", FILE_POLICY)
}

fn text(status: StatusCode, kind: &'static str, words: &'static str, policy: &'static str) -> Response {
    let mut response = Response::new(Body::from(words));
    *response.status_mut() = status;
    protect(response.headers_mut(), kind, policy);
    response
}

fn embedded(file: &'static Embedded, asked: &HeaderMap, policy: &'static str) -> Response {
    let has = |name: header::HeaderName, word: &str| {
        asked
            .get(name)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|v| v.split(',').any(|w| w.trim().split(';').next() == Some(word)))
    };
    let (body, encoding) = match (file.brotli, file.gzip) {
        (Some(bytes), _) if has(header::ACCEPT_ENCODING, "br") => (bytes, Some("br")),
        (_, Some(bytes)) if has(header::ACCEPT_ENCODING, "gzip") => (bytes, Some("gzip")),
        _ => (file.plain, None),
    };
    let unchanged = has(header::IF_NONE_MATCH, file.tag);
    let mut response = Response::new(if unchanged { Body::empty() } else { Body::from(body) });
    let headers = response.headers_mut();
    protect(headers, files::kind(file.path), policy);
    let keep = if file.path.starts_with("/assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.insert(header::ETAG, HeaderValue::from_static(file.tag));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding.filter(|_| !unchanged) {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    response
}

fn protect(headers: &mut HeaderMap, kind: &'static str, policy: &'static str) {
    let mut say = |name: header::HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    say(header::CONTENT_TYPE, kind);
    say(header::CACHE_CONTROL, "no-cache");
    say(header::CONTENT_SECURITY_POLICY, policy);
    say(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(header::REFERRER_POLICY, "no-referrer");
    say(header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    say(header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    say(header::HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=(), payment=(), usb=()");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn get(path: &str, encoding: &str) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, encoding.parse().unwrap());
        file(&Method::GET, path, &headers)
    }

    fn said(response: &Response, name: header::HeaderName) -> &str {
        response.headers().get(name).map_or("", |v| v.to_str().unwrap())
    }

    #[test]
    fn every_page_has_the_policy_and_an_unknown_path_is_not_a_page() {
        for path in ["/", "/sign-in", "/m/0/inbox/t/abc", "/search", "/settings/general"] {
            let page = get(path, "");
            assert_eq!(page.status(), StatusCode::OK, "{path}");
            assert_eq!(said(&page, header::CONTENT_TYPE), "text/html; charset=utf-8");
            let policy = said(&page, header::CONTENT_SECURITY_POLICY);
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("script-src 'unsafe"), "{policy}");
        }
        for path in ["/nothing", "/api/none", "/assets/none.js", "/../etc/passwd", "/.git/config"] {
            assert_eq!(get(path, "").status(), StatusCode::NOT_FOUND, "{path}");
        }
        for method in [Method::POST, Method::PUT, Method::TRACE, Method::OPTIONS] {
            for (path, status) in [("/", 405), ("/frame", 405), ("/m/0/inbox", 405), ("/nothing", 404)] {
                let answer = file(&method, path, &HeaderMap::new());
                assert_eq!(answer.status(), status, "{method} {path}");
                assert_eq!(said(&answer, header::ALLOW), if status == 405 { "GET, HEAD" } else { "" });
            }
        }
    }

    #[test]
    fn a_message_is_framed_without_scripts() {
        let frame = get("/frame", "");
        let policy = said(&frame, header::CONTENT_SECURITY_POLICY);
        assert!(policy.contains("default-src 'none'") && policy.contains("sandbox allow-same-origin "), "{policy}");
        assert!(!policy.contains("script"), "{policy}");
        assert!(!FRAME.contains("<script"));
    }

    #[test]
    fn files_are_compressed_kept_by_hash_and_not_sent_twice() {
        for one in files::all().iter().filter(|f| f.path.starts_with("/assets/")) {
            assert!(said(&get(one.path, ""), header::CACHE_CONTROL).contains("immutable"), "{}", one.path);
            // What is very little does not become less.
            if one.path.ends_with(".js") && one.plain.len() > 200 {
                assert_eq!(said(&get(one.path, "gzip, br"), header::CONTENT_ENCODING), "br", "{}", one.path);
                assert_eq!(said(&get(one.path, "gzip"), header::CONTENT_ENCODING), "gzip", "{}", one.path);
                assert_eq!(said(&get(one.path, "identity"), header::CONTENT_ENCODING), "", "{}", one.path);
            }
            let mut again = HeaderMap::new();
            again.insert(header::IF_NONE_MATCH, one.tag.parse().unwrap());
            assert_eq!(file(&Method::GET, one.path, &again).status(), StatusCode::NOT_MODIFIED);
        }
    }
}

//! What is shown to people and told to programs: safe HTML, disposition notifications, abuse reports.

use message::arf::FeedbackReport;
use message::html::{BOX_CLASS, Policy, sanitise};
use message::mdn::DispositionNotification;

/// Words that no answer may have inside a tag.
const NEVER: &[&str] =
    &["<script", "<iframe", "<object", "<embed", "<svg", "<math", "<form", "<meta", "<base", "<link", "<template"];

/// Any HTML becomes a box that runs nothing, loads nothing and ends where it should; made safe again it stays safe.
pub(crate) fn safe_html(data: &[u8]) {
    let html = String::from_utf8_lossy(data);
    let safe = sanitise(&html, &Policy::default());
    let lower = safe.html.to_ascii_lowercase();
    assert!(!NEVER.iter().any(|word| lower.contains(word)), "{}", safe.html);
    let (css, body) = match safe.html.strip_prefix("<style>") {
        Some(rest) => rest.split_once("</style>").unwrap_or_default(),
        None => ("", safe.html.as_str()),
    };
    assert!(!css.contains(['<', '\\']), "{css}");
    assert!(body.starts_with(&format!("<div class=\"{BOX_CLASS}\"")) && body.ends_with("</div>"), "{body}");
    tags(body);
    let again = sanitise(&safe.html, &Policy::default());
    assert!(again.remote.is_empty(), "{:?} out of {}", again.remote, safe.html);
}

/// Quoted values, no handlers, balanced boxes.
fn tags(body: &str) {
    let mut depth = 0i64;
    for piece in body.split('<').skip(1) {
        let Some(tag) = piece.split('>').next() else { continue };
        assert!(piece.contains('>'), "an open end: {body}");
        depth += match tag.split([' ', '/']).next() {
            Some("div") => 1,
            Some("") if tag == "/div" => -1,
            _ => 0,
        };
        assert!(depth > 0 || tag == "/div", "the box is left: {body}");
        let mut outside = tag.split('"').step_by(2);
        assert!(!outside.any(|names| names.to_ascii_lowercase().split(' ').any(|name| name.starts_with("on"))), "{tag}");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
    }
    assert_eq!(depth, 0, "{body}");
}

/// Report fields: what is read is written and read the same.
pub(crate) fn report_fields(data: &[u8]) {
    if let Some(read) = DispositionNotification::parse(data) {
        let written = read.encode();
        let Some(again) = DispositionNotification::parse(written.as_bytes()) else { return };
        assert_eq!(DispositionNotification::parse(again.encode().as_bytes()).as_ref(), Some(&again), "{written:?}");
    }
    if let Some(read) = FeedbackReport::parse(data) {
        let written = read.encode();
        let Some(again) = FeedbackReport::parse(written.as_bytes()) else { return };
        assert_eq!(FeedbackReport::parse(again.encode().as_bytes()).as_ref(), Some(&again), "{written:?}");
    }
}

//! Safe HTML: what a message may show of itself (feature `html`).
//!
//! Two locks one behind the other. Our own filter (`filter`, `style`) reads tags as they come, keeps what real mail needs,
//! finds everything remote, and writes well-formed HTML of bounded depth; ammonia then parses that as a browser would and
//! keeps only what is on the same lists. Invariant: nothing that runs, nothing that asks anybody unless it was allowed,
//! nothing that leaves its box; linear in the input. Must not know: where the pictures are.

mod filter;
mod names;
mod style;
mod tag;
#[cfg(test)]
mod tests;
mod tracker;
mod url;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::html_text;
use crate::limits::HTML_BYTES_MAX;

/// The class of the box that everything is shown in; the selectors of the message's own styles begin with it.
pub const BOX_CLASS: &str = "m-mail";
/// Stands before every class and id of the message, so that it cannot meet those of the page around it.
pub const NAME_PREFIX: &str = "m-";

/// What a message wanted to load from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteContent {
    /// As it was written, blanks and control characters removed.
    pub url: String,
    /// What for.
    pub kind: RemoteKind,
    /// It tells the sender that, when and where the message is read; why we think so.
    pub tracker: Option<TrackerSign>,
}

/// What remote content is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RemoteKind {
    /// `<img src>`, `srcset`, `<input type=image>`.
    Image,
    /// `background=` of a table or the body.
    Background,
    /// `url()` in a style.
    Style,
    /// `@import` and `<link rel=stylesheet>`.
    StyleSheet,
    /// `@font-face`.
    Font,
    /// `<video>`, `<audio>`, `<source>`, `poster`.
    Media,
    /// `<iframe>`, `<object>`, `<embed>`, `<frame>`.
    Frame,
    /// `<link rel=prefetch>` and the like.
    Other,
}

impl RemoteKind {
    /// A word for lists and JSON.
    ///
    /// ```
    /// assert_eq!(message::html::RemoteKind::StyleSheet.word(), "style-sheet");
    /// ```
    pub fn word(self) -> &'static str {
        match self {
            RemoteKind::Image => "image",
            RemoteKind::Background => "background",
            RemoteKind::Style => "style",
            RemoteKind::StyleSheet => "style-sheet",
            RemoteKind::Font => "font",
            RemoteKind::Media => "media",
            RemoteKind::Frame => "frame",
            RemoteKind::Other => "other",
        }
    }
}

/// Why a picture is taken for a tracking pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrackerSign {
    /// At most two pixels wide or high.
    Tiny,
    /// Not to be seen.
    Hidden,
    /// The address of a known tracking service.
    Known,
}

/// What becomes of remote pictures. Everything else that is remote is always removed.
#[derive(Clone, Copy)]
pub enum Remote<'p> {
    /// They are left out (and listed).
    Block,
    /// They are loaded from where this function says, a proxy; `None` leaves one out.
    Rewrite(&'p dyn Fn(&RemoteContent) -> Option<String>),
    /// They are loaded, except tracking pixels.
    Allow,
}

/// How a message is shown.
#[derive(Clone, Copy)]
pub struct Policy<'p> {
    /// Remote pictures.
    pub remote: Remote<'p>,
    /// From a Content-ID (without `cid:`) to where the part can be had; `None` when there is no such part.
    pub resolve_cid: &'p dyn Fn(&str) -> Option<String>,
}

impl Default for Policy<'_> {
    fn default() -> Self {
        Policy { remote: Remote::Block, resolve_cid: &|_| None }
    }
}

/// What can be shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SafeHtml {
    /// A fragment: `<style>` if there is any, and one `<div class="m-mail">`.
    pub html: String,
    /// What was asked for from elsewhere, in the order of the message, blocked or not.
    pub remote: Vec<RemoteContent>,
    /// The same for who reads text.
    pub text: String,
}

/// Makes the HTML of a message safe to show.
///
/// ```
/// use message::html::{Policy, RemoteKind, TrackerSign, sanitise};
/// let mail = "<p onclick=evil()>Hi <b>Ann</b><script>evil()</script><img src='https://x.test/o.gif' width=1 height=1>";
/// let safe = sanitise(mail, &Policy::default());
/// assert_eq!(safe.html, "<div class=\"m-mail\"><p>Hi <b>Ann</b><img width=\"1\" height=\"1\"></p></div>");
/// assert_eq!((safe.remote[0].kind, safe.remote[0].tracker), (RemoteKind::Image, Some(TrackerSign::Tiny)));
/// assert_eq!(safe.text, "Hi Ann");
/// ```
pub fn sanitise(html: &str, policy: &Policy<'_>) -> SafeHtml {
    let html = html.get(..html.floor_char_boundary(HTML_BYTES_MAX)).unwrap_or(html);
    let filtered = filter::filter(html, policy);
    let body = filter::resolved(&CLEANER.clean(&filtered.html).to_string());
    // A style sheet is text to the end of its element: it has no `<`, so it cannot end it (`style` sees to that).
    let css = if filtered.css.is_empty() || filtered.css.contains('<') {
        String::new()
    } else {
        format!("<style>{}</style>", filtered.css)
    };
    SafeHtml { html: css + &body, remote: filtered.remote, text: html_text::text(html) }
}

/// The second lock: the same lists, and a browser's parser.
static CLEANER: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut cleaner = ammonia::Builder::empty();
    let attributes: HashMap<&str, HashSet<&str>> =
        names::TAG_ATTRIBUTES.iter().map(|(tag, names)| (*tag, names.iter().copied().collect())).collect();
    cleaner
        .tags(names::TAGS.iter().copied().collect())
        .tag_attributes(attributes)
        .generic_attributes(names::ATTRIBUTES.iter().copied().collect())
        .url_schemes(["http", "https", "mailto", "tel", "sms", "data", "blob"].into_iter().collect())
        .url_relative(ammonia::UrlRelative::PassThrough)
        .link_rel(Some("noopener noreferrer nofollow"))
        .set_tag_attribute_value("a", "target", "_blank")
        .strip_comments(true);
    cleaner
});

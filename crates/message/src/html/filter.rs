//! The first lock: tags as they come, what is kept written anew, well formed and of bounded depth.
//!
//! Invariant: every element that is opened is closed in its parent, so no parser has anything to repair; at most
//! [`HTML_DEPTH_MAX`] are open, so every step is bounded.

use std::fmt::Write as _;

use super::names::{ATTRIBUTES, FOREIGN, FORMATTING, RAW_TEXT, TAG_ATTRIBUTES, TAGS, VOID};
use super::tag::{Piece, Pieces, Tag};
use super::url::{Target, link, target};
use super::{BOX_CLASS, NAME_PREFIX, Policy, Remote, RemoteContent, RemoteKind, style, tracker};
use crate::limits::{CSS_BYTES_MAX, HTML_DEPTH_MAX, HTML_FORMATTING_MAX, HTML_REMOTE_MAX, URL_BYTES_MAX};

/// What came through.
#[derive(Debug, Default)]
pub(super) struct Filtered {
    pub(super) html: String,
    pub(super) css: String,
    pub(super) remote: Vec<RemoteContent>,
}

/// Elements that end a paragraph.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "center",
    "details",
    "dir",
    "div",
    "dl",
    "figcaption",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "ul",
];

/// What ends where another begins, and what it cannot reach beyond.
const IMPLIED: &[(&str, &[&str], &[&str])] = &[
    ("li", &["li"], &["ul", "ol", "dir", "table", "td", "th"]),
    ("dd", &["dd", "dt"], &["dl", "table", "td", "th"]),
    ("dt", &["dd", "dt"], &["dl", "table", "td", "th"]),
    ("td", &["td", "th"], &["tr", "table"]),
    ("th", &["td", "th"], &["tr", "table"]),
    ("tr", &["tr"], &["table"]),
    ("tbody", &["tbody", "thead", "tfoot", "caption", "colgroup"], &["table"]),
    ("thead", &["tbody", "thead", "tfoot", "caption", "colgroup"], &["table"]),
    ("tfoot", &["tbody", "thead", "tfoot", "caption", "colgroup"], &["table"]),
];

/// Filters a whole message's HTML.
pub(super) fn filter(html: &str, policy: &Policy<'_>) -> Filtered {
    let mut filter = Filter {
        policy,
        out: String::with_capacity(html.len()),
        open: Vec::new(),
        box_attributes: None,
        css: String::new(),
        remote: Vec::new(),
    };
    let mut pieces = Pieces::new(html);
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Text(text) => filter.text(text),
            Piece::End(name) => filter.end(&name),
            Piece::Start(tag) => filter.start(&tag, &mut pieces),
        }
    }
    filter.close_to(0);
    let html = format!("<div class=\"{BOX_CLASS}\"{}>{}</div>", filter.box_attributes.unwrap_or_default(), filter.out);
    Filtered { html, css: filter.css, remote: filter.remote }
}

/// A class or an id that selectors and attributes can share.
pub(super) fn name_of_ours(name: &str) -> Option<&str> {
    let good =
        !name.is_empty() && name.len() <= 100 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    good.then_some(name)
}

struct Filter<'p, 'q> {
    policy: &'p Policy<'q>,
    out: String,
    open: Vec<&'static str>,
    /// Of the first `<body>`.
    box_attributes: Option<String>,
    css: String,
    remote: Vec<RemoteContent>,
}

impl Filter<'_, '_> {
    fn text(&mut self, text: &str) {
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                // What looks like a reference is left to the browser; in a text it is a character, whatever it says.
                '&' if chars.peek().is_some_and(|next| next.is_ascii_alphanumeric() || *next == '#') => {
                    self.out.push(stand_in::REFERENCE)
                }
                '\t' | '\n' | '\r' => self.out.push(c),
                c if c.is_control() => {}
                c => self.out.push(stand_in::of(c)),
            }
        }
    }

    fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth {
            if let Some(name) = self.open.pop() {
                let _ = write!(self.out, "</{name}>");
            }
        }
    }

    /// Closes the innermost of `names` that is open inside the innermost of `walls`.
    fn close(&mut self, names: &[&str], walls: &[&str]) {
        for depth in (0..self.open.len()).rev() {
            let Some(name) = self.open.get(depth) else { return };
            if names.contains(name) {
                return self.close_to(depth);
            }
            if walls.contains(name) {
                return;
            }
        }
    }

    fn end(&mut self, name: &str) {
        if name == "br" {
            return self.out.push_str("<br>");
        }
        // Nothing inside a cell closes what is around its table.
        let walls: &[&str] = if matches!(name, "table" | "tr" | "td" | "th" | "tbody" | "thead" | "tfoot" | "caption") {
            &["table"]
        } else {
            &["td", "th", "caption"]
        };
        let walls = if name == "table" { &[][..] } else { walls };
        self.close(&[name], walls);
    }

    fn start(&mut self, tag: &Tag<'_>, pieces: &mut Pieces<'_>) {
        let name = tag.name.as_str();
        self.note(tag);
        if RAW_TEXT.contains(&name) {
            let text = pieces.raw_text(name);
            if name == "style" && self.css.len() + text.len() <= CSS_BYTES_MAX {
                let css = style::sheet(text, &mut |url, kind| self.ask(url, kind));
                self.css.push_str(&css);
            }
            return;
        }
        if FOREIGN.contains(&name) {
            return self.skip(name, pieces);
        }
        if name == "body" && self.box_attributes.is_none() {
            let attributes = self.attributes(&tag.without("class"), "tr");
            self.box_attributes = Some(attributes);
            return;
        }
        let Some(known) = TAGS.iter().find(|known| **known == name) else { return };
        self.imply(known);
        let formatting = || self.open.iter().filter(|open| FORMATTING.contains(open)).count();
        let deep = self.open.len() >= HTML_DEPTH_MAX || (FORMATTING.contains(known) && formatting() >= HTML_FORMATTING_MAX);
        let void = VOID.contains(known);
        if deep && !void {
            return;
        }
        let attributes = self.attributes(tag, known);
        let _ = write!(self.out, "<{known}{attributes}>");
        if !void {
            self.open.push(known);
        }
    }

    /// What the parser of a browser would close by itself is closed here.
    fn imply(&mut self, name: &str) {
        if BLOCKS.contains(&name) {
            self.close(&["p"], &["table", "td", "th", "caption"]);
        }
        if name == "a" {
            self.close(&["a"], &["table", "td", "th", "caption"]);
        }
        for (_, names, walls) in IMPLIED.iter().filter(|(of, _, _)| *of == name) {
            self.close(names, walls);
        }
        // A cell's end may be missing before a new row, a row's before a new body.
        if matches!(name, "tbody" | "thead" | "tfoot") {
            self.close(&["tr"], &["table"]);
            self.close(&["tbody", "thead", "tfoot"], &["table"]);
        }
    }

    /// Past an element with all that is in it; up to an element of the page when it is never closed.
    fn skip(&mut self, name: &str, pieces: &mut Pieces<'_>) {
        let mut depth = 1usize;
        while depth > 0 {
            let before = pieces.at();
            match pieces.next() {
                None => return,
                Some(Piece::End(end)) if end == name => depth -= 1,
                Some(Piece::Start(tag)) if tag.name == name => depth += 1,
                Some(Piece::Start(tag))
                    if BLOCKS.contains(&tag.name.as_str()) || matches!(tag.name.as_str(), "td" | "tr" | "body") =>
                {
                    return pieces.go_to(before);
                }
                Some(_) => {}
            }
        }
    }

    /// Remote content of elements that do not stay.
    fn note(&mut self, tag: &Tag<'_>) {
        let by_element: &[(&str, RemoteKind)] = match tag.name.as_str() {
            "iframe" | "frame" | "embed" => &[("src", RemoteKind::Frame)],
            "object" | "applet" => &[("data", RemoteKind::Frame), ("codebase", RemoteKind::Frame)],
            "video" => &[("src", RemoteKind::Media), ("poster", RemoteKind::Media)],
            "audio" | "track" | "bgsound" => &[("src", RemoteKind::Media)],
            "source" => &[("src", RemoteKind::Media), ("srcset", RemoteKind::Image)],
            "input" | "image" => &[("src", RemoteKind::Image)],
            "script" => &[("src", RemoteKind::Other)],
            "link" if tag.value("rel").is_some_and(|rel| rel.to_ascii_lowercase().contains("stylesheet")) => {
                &[("href", RemoteKind::StyleSheet)]
            }
            "link" => &[("href", RemoteKind::Other)],
            "img" => &[("srcset", RemoteKind::Image), ("lowsrc", RemoteKind::Image), ("dynsrc", RemoteKind::Media)],
            _ => return,
        };
        for (attribute, kind) in by_element {
            let Some(value) = tag.value(attribute) else { continue };
            let urls: Vec<&str> = match *attribute {
                "srcset" => value.split(',').filter_map(|one| one.split_ascii_whitespace().next()).collect(),
                _ => vec![value.as_str()],
            };
            for url in urls {
                if let Target::Remote(url) = target(url) {
                    self.remember(RemoteContent { url, kind: *kind, tracker: None });
                }
            }
        }
    }

    fn remember(&mut self, content: RemoteContent) {
        if self.remote.len() < HTML_REMOTE_MAX && content.url.len() <= URL_BYTES_MAX {
            self.remote.push(content);
        }
    }

    /// What may stand for an address that is loaded.
    fn ask(&mut self, url: &str, kind: RemoteKind) -> Option<String> {
        self.ask_content(url, kind, None)
    }

    fn ask_content(&mut self, url: &str, kind: RemoteKind, tag: Option<&Tag<'_>>) -> Option<String> {
        match target(url) {
            Target::Cid(id) => (self.policy.resolve_cid)(&id),
            Target::Picture(url) => Some(url),
            Target::Nothing => None,
            Target::Remote(url) => {
                let tracker = tag.and_then(|tag| tracker::sign(&url, tag));
                let content = RemoteContent { url, kind, tracker };
                let allowed = match self.policy.remote {
                    Remote::Block => None,
                    Remote::Rewrite(rewrite) => rewrite(&content),
                    Remote::Allow => content.tracker.is_none().then(|| content.url.clone()),
                };
                self.remember(content);
                // Only pictures are ever loaded.
                allowed.filter(|_| matches!(kind, RemoteKind::Image | RemoteKind::Background | RemoteKind::Style))
            }
        }
    }

    /// Its attributes, each with a blank before it.
    fn attributes(&mut self, tag: &Tag<'_>, known: &str) -> String {
        let own = TAG_ATTRIBUTES.iter().find(|(of, _)| *of == known).map(|(_, names)| *names).unwrap_or_default();
        let mut out = String::new();
        for (written, _) in &tag.attributes {
            let name = written.to_ascii_lowercase();
            if !ATTRIBUTES.contains(&name.as_str()) && !own.contains(&name.as_str()) {
                continue;
            }
            let Some(value) = tag.value(&name).and_then(|value| self.attribute(tag, &name, value)) else { continue };
            let _ = write!(out, " {name}=\"{}\"", escaped(&value));
        }
        out
    }

    fn attribute(&mut self, tag: &Tag<'_>, name: &str, value: String) -> Option<String> {
        let prefixed = |name: &str| name_of_ours(name).map(|name| format!("{NAME_PREFIX}{name}"));
        match name {
            "style" => Some(style::declarations(&value, &mut |url, kind| self.ask(url, kind))).filter(|css| !css.is_empty()),
            "class" => {
                let classes: Vec<String> = value.split_ascii_whitespace().filter_map(prefixed).collect();
                (!classes.is_empty()).then(|| classes.join(" "))
            }
            "id" | "name" => prefixed(value.trim()),
            "href" => match value.trim().strip_prefix('#') {
                Some(place) => prefixed(place).map(|place| format!("#{place}")),
                None => link(&value),
            },
            "src" => self.ask_content(&value, RemoteKind::Image, Some(tag)),
            "background" => self.ask(&value, RemoteKind::Background),
            "target" => None,
            _ => (value.len() <= 4_096).then_some(value),
        }
    }
}

fn escaped(value: &str) -> String {
    value.chars().map(|c| if c.is_control() { ' ' } else { stand_in::of(c) }).collect()
}

/// Characters that stand for those that mean something in HTML while the second lock parses: references are slow there
/// (a line of `&` takes quadratic time), and what is not there cannot be misread. Private use; the message's own are
/// replaced before.
mod stand_in {
    const PAIRS: [(char, char, &str); 4] =
        [('&', '\u{f8f0}', "&amp;"), ('<', '\u{f8f1}', "&lt;"), ('>', '\u{f8f2}', "&gt;"), ('"', '\u{f8f3}', "&quot;")];
    /// An ampersand that begins a reference.
    pub(super) const REFERENCE: char = '\u{f8f4}';

    /// What goes through the second lock for a character.
    pub(super) fn of(c: char) -> char {
        match PAIRS.iter().find(|(plain, _, _)| *plain == c) {
            Some((_, stand_in, _)) => *stand_in,
            None if ('\u{f8f0}'..='\u{f8f4}').contains(&c) => char::REPLACEMENT_CHARACTER,
            None => c,
        }
    }

    /// Behind the lock: escaped, as they may stand in texts and in quoted values.
    pub(super) fn resolve(html: &str) -> String {
        let mut out = String::with_capacity(html.len() + html.len() / 8);
        for c in html.chars() {
            match PAIRS.iter().find(|(_, stand_in, _)| *stand_in == c) {
                Some((_, _, escaped)) => out.push_str(escaped),
                None if c == REFERENCE => out.push('&'),
                None => out.push(c),
            }
        }
        out
    }
}

/// What came out of the second lock, as it is shown.
pub(super) fn resolved(html: &str) -> String {
    stand_in::resolve(html)
}

//! As much XML as reports are made of: elements and text. Attributes are passed over; documents that define entities are refused.
//!
//! Invariant: bounded in depth and number of elements; nothing is ever fetched. Must not know: what elements mean.

use std::borrow::Cow;

/// Elements inside each other.
const DEPTH_MAX: usize = 16;
/// Elements of one document.
const ELEMENTS_MAX: usize = 500_000;
/// Octets of one text that count.
const TEXT_BYTES_MAX: usize = 1_000;
/// The longest name of a character: `&#x10FFFF;`.
const REFERENCE_BYTES_MAX: usize = 8;

/// An element. Names are without prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }
    pub(crate) fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Element> {
        self.children.iter().filter(move |child| child.name == name)
    }
    /// The text at the end of a path, its beginning if it is long; empty when there is none.
    pub(crate) fn at(&self, path: &[&str]) -> &str {
        let text = path.iter().try_fold(self, |element, name| element.child(name)).map_or("", |element| element.text.trim());
        text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default().trim_end()
    }
}

/// The root element, or why there is none.
pub(crate) fn parse(text: &str) -> Result<Element, &'static str> {
    let text: Cow<'_, str> = match text.chars().all(is_text) {
        true => text.into(),
        false => text.chars().filter(|c| is_text(*c)).collect(),
    };
    let mut open: Vec<Element> = vec![Element::default()];
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut count = 0;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at_checked(at).ok_or("torn")?;
        if let Some(top) = open.last_mut() {
            unescape(before, &mut top.text);
        }
        if let Some(after) = tag.strip_prefix("<!--") {
            rest = after.split_once("-->").ok_or("a comment does not end")?.1;
        } else if let Some(after) = tag.strip_prefix("<![CDATA[") {
            let (inside, after) = after.split_once("]]>").ok_or("a section does not end")?;
            if let Some(top) = open.last_mut() {
                top.text.push_str(inside);
            }
            rest = after;
        } else if let Some(after) = tag.strip_prefix("<?") {
            rest = after.split_once("?>").ok_or("an instruction does not end")?.1;
        } else if tag.starts_with("<!") {
            return Err("documents with definitions are not read");
        } else {
            let (inside, after) = tag.get(1..).and_then(|tag| tag.split_once('>')).ok_or("a tag does not end")?;
            rest = after;
            if let Some(name) = inside.strip_prefix('/') {
                let done = open.pop().ok_or("torn")?;
                if done.name != local(name) {
                    return Err("tags do not match");
                }
                open.last_mut().ok_or("tags do not match")?.children.push(done);
                continue;
            }
            count += 1;
            if open.len() > DEPTH_MAX || count > ELEMENTS_MAX {
                return Err("the document is too deep or too long");
            }
            let element = Element { name: local(inside), ..Element::default() };
            match inside.ends_with('/') {
                true => open.last_mut().ok_or("torn")?.children.push(element),
                false => open.push(element),
            }
        }
    }
    match open.as_mut_slice() {
        [document] => document.children.pop().ok_or("the document is empty"),
        _ => Err("an element does not end"),
    }
}

/// What a document may contain.
fn is_text(c: char) -> bool {
    !c.is_control() || matches!(c, '\n' | '\t')
}

fn local(tag: &str) -> String {
    let name = tag.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
    name.rsplit(':').next().unwrap_or_default().to_owned()
}

fn unescape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        // Looked for no further than it can be: a text may be nothing but ampersands.
        let near = after.get(..after.floor_char_boundary(REFERENCE_BYTES_MAX + 1)).unwrap_or_default();
        let Some((name, behind)) = near.find(';').and_then(|at| Some((near.get(..at)?, after.get(at + 1..)?))) else {
            out.push('&');
            rest = after;
            continue;
        };
        let number = name.strip_prefix('#').and_then(|digits| match digits.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        });
        match name {
            "lt" => out.push('<'),
            "gt" => out.push('>'),
            "amp" => out.push('&'),
            "quot" => out.push('"'),
            "apos" => out.push('\''),
            _ => out.extend(number.and_then(char::from_u32).filter(|c| is_text(*c))),
        }
        rest = behind;
    }
    out.push_str(rest);
}

/// Text between tags.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c if is_text(c) => out.push(c),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn elements_and_text() {
        let root = parse("\u{feff}<?xml version=\"1.0\"?>\n<!-- c --><n:a x=\"y\"><b>1 &lt;&#x41;&amp;<![CDATA[<c>]]></b><b/><c d=\"e\" /></n:a>").unwrap();
        assert_eq!((root.name.as_str(), root.at(&["b"]), root.children.len()), ("a", "1 <A&<c>", 3));
        for bad in ["", "<a>", "<a></b>", "</a>", "<a", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<!--", &"<a>".repeat(50)] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse(&format!("<a>{}</a>", escape("<&>\u{1}é"))).unwrap().text, "<&>é");
        assert_eq!(parse("<a>&&ä&#x10FFFF;&#x010FFFF;&amp</a>").unwrap().text, "&&ä\u{10ffff}&#x010FFFF;&amp");
        assert_eq!(parse(&format!("<r><a> {}  b</a></r>", "x".repeat(999))).unwrap().at(&["a"]), "x".repeat(999));
    }

    /// Squared, this is hours.
    #[test]
    fn ampersands_are_no_work_without_an_end() {
        let begun = std::time::Instant::now();
        let text = "&".repeat(4 << 20);
        assert_eq!(parse(&format!("<a>{text}</a>")).unwrap().text, text);
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }
}

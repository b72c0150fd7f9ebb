//! A message as a tree of lines for people.

use super::shown;
use super::view::{PartView, View};
use std::fmt::Write as _;

/// All of it.
pub(super) fn words(view: &View) -> String {
    let mut out = String::new();
    let facts = &view.facts;
    for (name, value) in [("Subject", &facts.subject), ("From", &facts.from)] {
        if !value.is_empty() {
            let _ = writeln!(out, "{name}: {}", shown(value));
        }
    }
    if let Some(secs) = facts.date_secs {
        let _ = writeln!(out, "Date: {}", message::date::format_rfc_5322(secs));
    }
    let _ = writeln!(out, "{} octets", view.bytes);
    let width = view.parts.iter().map(|part| 2 * part.depth + part.section.len()).max().unwrap_or(0);
    for part in &view.parts {
        part_words(part, width, &mut out);
    }
    out
}

fn part_words(part: &PartView, width: usize, out: &mut String) {
    let place = format!("{}{}", "  ".repeat(part.depth), part.section);
    let _ = write!(out, "{place:width$}  {}", shown(&part.r#type));
    if let Some(charset) = part.parameters.get("charset") {
        let _ = write!(out, "; charset={}", shown(charset));
    }
    let _ = write!(out, "  {}", shown(&part.encoding));
    match part.decoded_bytes {
        Some(bytes) if part.kind == "leaf" => {
            let _ = write!(out, "  {bytes} octets");
        }
        Some(_) => {}
        None => out.push_str("  (cannot be decoded)"),
    }
    if let Some(disposition) = &part.disposition {
        let _ = write!(out, "  {}", shown(disposition));
    }
    if let Some(name) = &part.file_name {
        let _ = write!(out, "  \"{}\"", shown(name));
    }
    if let Some(id) = &part.content_id {
        let _ = write!(out, "  cid:{}", shown(id));
    }
    out.push('\n');
}

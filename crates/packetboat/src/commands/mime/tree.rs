//! A message as a tree of lines for people.

use super::shown;
use super::view::{PartView, View};
use std::fmt::Write as _;

/// All of it.
pub(super) fn words(view: &View) -> String {
    let mut out = String::new();
    let facts = &view.facts;
    if !facts.subject.is_empty() {
        let _ = writeln!(out, "Subject: {}", shown(&facts.subject));
    }
    for author in &facts.from {
        let address = author.address.as_deref().unwrap_or_default();
        match author.name.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => {
                let _ = writeln!(out, "From: {} <{}>", shown(name), shown(address));
            }
            None => {
                let _ = writeln!(out, "From: {}", shown(address));
            }
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
    for one in &view.attachments {
        let name = one.name.as_deref().unwrap_or("(no name)");
        let _ = writeln!(out, "attachment: {}, {}, {}, {} octets", shown(name), one.kind, shown(&one.r#type), one.bytes);
    }
    for remote in view.parts.iter().filter_map(|part| part.safe_html.as_ref()).flat_map(|html| &html.remote) {
        let tracker = remote.tracker.map(|sign| format!(", a tracking pixel ({sign})")).unwrap_or_default();
        let _ = writeln!(out, "remote: {}, {}{tracker}", shown(&remote.url), remote.kind);
    }
    for defect in &view.defects {
        let _ = writeln!(out, "defect: {} in {} at octet {}: {}", defect.kind, defect.section, defect.at, defect.meaning);
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

//! Reads messages from standard input, each behind a line with its length, and writes what they are read as, a line of
//! JSON each. For comparing with other readers (`tests/mime/differential.py`).

use std::fmt::Write as _;
use std::io::{BufRead, Read, Write};

use message::address_list::{self, HeaderAddress};
use message::part::{Message, PartKind};

fn main() -> std::io::Result<()> {
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let len = line.trim().parse().map_err(std::io::Error::other)?;
        line.clear();
        let mut octets = vec![0; len];
        input.read_exact(&mut octets)?;
        writeln!(output, "{}", told(&message::parse(&octets)))?;
    }
    output.flush()
}

/// `{"parts": [...], "fields": [...]}`.
fn told(message: &Message<'_>) -> String {
    let mut out = String::from("{\"parts\":[");
    for (index, part) in message.parts.iter().enumerate() {
        let content = if part.kind == PartKind::Leaf { part.content() } else { Default::default() };
        let _ = write!(
            out,
            "{}{{\"parent\":{},\"type\":{},\"kind\":\"{:?}\",\"content\":{},\"text\":{},\"name\":{}}}",
            if index > 0 { "," } else { "" },
            part.parent.map_or(-1, |p| p as i64),
            quoted(&format!("{}/{}", part.content_type.main, part.content_type.sub)),
            part.kind,
            quoted(&content.iter().map(|b| char::from(*b)).collect::<String>()),
            part.text().map_or("null".to_owned(), |text| quoted(&text)),
            part.file_name().map_or("null".to_owned(), |name| quoted(&name)),
        );
    }
    out.push_str("],\"fields\":[");
    for (index, field) in message.root().fields().enumerate() {
        let name = String::from_utf8_lossy(field.name).to_lowercase();
        let value = field.value();
        let known = match name.as_str() {
            "from" | "to" | "cc" | "sender" | "reply-to" => people(&address_list::parse(&value)),
            "date" => message::date::parse_rfc_5322(&value).map_or("null".to_owned(), |date| date.unix_secs().to_string()),
            _ => quoted(&field.text_in(message.header_charset())),
        };
        let _ = write!(out, "{}[{},{known}]", if index > 0 { "," } else { "" }, quoted(&name));
    }
    out.push_str("]}");
    out
}

/// `[["name","local part","domain"],...]`.
fn people(list: &[HeaderAddress<'_>]) -> String {
    let one = |a: &HeaderAddress<'_>| {
        let HeaderAddress::Mailbox { local, domain, .. } = a else { return None };
        let (local, domain) = (String::from_utf8_lossy(local), String::from_utf8_lossy(domain));
        Some(format!("[{},{},{}]", quoted(&a.name().unwrap_or_default()), quoted(&local), quoted(&domain)))
    };
    format!("[{}]", list.iter().filter_map(one).collect::<Vec<_>>().join(","))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

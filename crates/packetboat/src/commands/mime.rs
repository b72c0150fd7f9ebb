//! `packetboat mime`: looks into a message, takes files out of it, builds one from files. Needs no configuration.
//!
//! Invariant: what is printed for people has no control characters of the message's; what is written lies in the directory
//! that was named. Must not know: MIME (that is `message`).

pub(crate) mod build;
pub(crate) mod extract;
mod media_type;
mod safe_name;
mod tree;
mod view;

use crate::cli::{MimeArgs, MimeCommand};
use message::Facts;
use message::section::{self, SectionKind};
use serde_json::json;
use std::io::{Read, Write};
use std::path::Path;

/// Runs it; the exit code.
pub(crate) fn run(arguments: &MimeArgs, json: bool) -> u8 {
    match perform(arguments, json) {
        Ok(()) => 0,
        Err(why) => super::fail(&why, json),
    }
}

fn perform(arguments: &MimeArgs, json: bool) -> Result<(), String> {
    if let Some(MimeCommand::Build(words)) = &arguments.command {
        if arguments.file.is_some() || arguments.extract.is_some() || arguments.raw.is_some() {
            return Err("mime build reads no message: FILE, --extract and --raw are not for it".to_owned());
        }
        return build::run(words, json);
    }
    let file = arguments.file.as_deref().unwrap_or(Path::new("-"));
    let octets = read(file)?;
    if let Some(section) = &arguments.raw {
        return raw(&octets, section);
    }
    let message = message::parse(&octets);
    if let Some(dir) = &arguments.extract {
        let extracted = extract::all(&message, dir)?;
        return if json { line(&json!({ "extracted": extracted })) } else { print(extract::words(&extracted).as_bytes()) };
    }
    let view = view::View::of(&message);
    if json { line(&view) } else { print(tree::words(&view).as_bytes()) }
}

/// All of a file; `-` is standard input.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", file.display());
    if file.as_os_str() != "-" {
        return std::fs::read(file).map_err(told);
    }
    let mut octets = Vec::new();
    std::io::stdin().lock().read_to_end(&mut octets).map_err(told)?;
    Ok(octets)
}

/// `BODY[section]` of IMAP (RFC 9051 §6.4.5), octet by octet.
fn raw(octets: &[u8], text: &str) -> Result<(), String> {
    let (path, kind) =
        section_of(text).ok_or_else(|| format!("{text:?} is no section; 1.2, HEADER, TEXT, 3.HEADER, 1.MIME are"))?;
    let range = section::range(&Facts::compute(octets), &path, kind).ok_or_else(|| format!("there is no section {text}"))?;
    print(octets.get(range).unwrap_or_default())
}

fn section_of(text: &str) -> Option<(Vec<u32>, SectionKind)> {
    let mut kind = SectionKind::Whole;
    let mut path = Vec::new();
    for word in text.split('.').filter(|_| !text.is_empty()) {
        if kind != SectionKind::Whole {
            return None;
        }
        match word.to_ascii_uppercase().as_str() {
            "HEADER" => kind = SectionKind::Header,
            "TEXT" => kind = SectionKind::Text,
            "MIME" if !path.is_empty() => kind = SectionKind::Mime,
            number => path.push(number.parse().ok().filter(|n| *n > 0)?),
        }
    }
    Some((path, kind))
}

fn line(value: &impl serde::Serialize) -> Result<(), String> {
    let mut text = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    text.push(b'\n');
    print(&text)
}

/// To standard output; a reader that went away is told, not a panic.
fn print(octets: &[u8]) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    out.write_all(octets).and_then(|()| out.flush()).map_err(|error| format!("standard output: {error}"))
}

/// Text of a message's on one line of a terminal: nothing in it can move the cursor or turn the direction of writing.
fn shown(text: &str) -> String {
    text.chars().map(|c| if safe_name::is_invisible(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn sections() {
        assert_eq!(section_of(""), Some((vec![], SectionKind::Whole)));
        assert_eq!(section_of("1.2"), Some((vec![1, 2], SectionKind::Whole)));
        assert_eq!(section_of("header"), Some((vec![], SectionKind::Header)));
        assert_eq!(section_of("3.1.Mime"), Some((vec![3, 1], SectionKind::Mime)));
        for bad in ["MIME", "1..2", "0", "a", "1.HEADER.2", "1.", "-1", "TEXT.TEXT"] {
            assert_eq!(section_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_name_cannot_write_on_the_terminal() {
        assert_eq!(shown("a\x1b[2Jb\u{202e}c\u{9b}d"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
    }
}

//! Files out of a message into a directory.
//!
//! Invariant: every file is new, made inside the directory that was opened first (no link is followed, nothing is
//! overwritten); its octets are the decoded part's, bit for bit.

use super::safe_name::{numbered, safe_name};
use super::shown;
use super::{media_type, view};
use message::Message;
use message::attachment::{self, Attachment, AttachmentKind, Place as Within};
use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;

/// One file that was written.
#[derive(Debug, Serialize)]
pub(crate) struct Extracted {
    section: String,
    /// As the message names it.
    claimed_name: Option<String>,
    /// As it was written.
    file: String,
    bytes: u64,
}

impl Extracted {
    /// As it was written.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }
}

/// Writes every attachment of the message.
pub(crate) fn all(message: &Message<'_>, dir: &Path) -> Result<Vec<Extracted>, String> {
    chosen(message, dir, |_| true)
}

/// Writes those attachments whose places in [`attachment::list`] are chosen.
pub(crate) fn chosen(message: &Message<'_>, dir: &Path, wanted: impl Fn(usize) -> bool) -> Result<Vec<Extracted>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", dir.display());
    std::fs::create_dir_all(dir).map_err(told)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(dir, flags, Mode::empty()).map_err(|error| told(error.into()))?;
    let mut place = Place { dir: opened, numbers: HashMap::new() };
    let mut out = Vec::new();
    let sections = view::sections(message);
    for (_, one) in attachment::list(message).into_iter().enumerate().filter(|(at, _)| wanted(*at)) {
        let section = sections.get(one.part).cloned().unwrap_or_default();
        let other = format!("part-{section}.{}", media_type::extension(&one.media_type));
        let mut named = one.name.clone().unwrap_or_default();
        // A message inside is named by its subject.
        if one.kind == AttachmentKind::Message && !named.is_empty() && !named.to_ascii_lowercase().ends_with(".eml") {
            named.push_str(".eml");
        }
        let (name, mut file) = place.make(&safe_name(&named, &other)).map_err(told)?;
        let bytes = write(message, &one, &mut file).map_err(|error| format!("{}/{name}: {error}", dir.display()))?;
        out.push(Extracted { section, claimed_name: one.name, file: name, bytes });
    }
    Ok(out)
}

struct Place {
    dir: OwnedFd,
    /// The last number given beside a name, so that ten thousand parts of one name are no million attempts.
    numbers: HashMap<String, u32>,
}

impl Place {
    /// A new file of that name, or beside it when it is taken.
    fn make(&mut self, wanted: &str) -> std::io::Result<(String, File)> {
        let number = self.numbers.entry(wanted.to_owned()).or_insert(0);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            *number += 1;
            let name = if *number == 1 { wanted.to_owned() } else { numbered(wanted, *number) };
            match rustix::fs::openat(&self.dir, name.as_str(), flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => return Ok((name, File::from(file))),
                Err(rustix::io::Errno::EXIST) if *number < u32::MAX => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What is a part of its own goes piece by piece.
fn write(message: &Message<'_>, one: &Attachment, file: &mut File) -> std::io::Result<u64> {
    let mut bytes = 0;
    match message.parts.get(one.part).filter(|_| one.place == Within::Part) {
        Some(part) => {
            for piece in part.contents() {
                file.write_all(&piece)?;
                bytes += piece.len() as u64;
            }
        }
        None => {
            let content = attachment::content(message, one).unwrap_or_default();
            file.write_all(&content)?;
            bytes = content.len() as u64;
        }
    }
    file.flush()?;
    Ok(bytes)
}

/// For people.
pub(super) fn words(extracted: &[Extracted]) -> String {
    if extracted.is_empty() {
        return "no attachments\n".to_owned();
    }
    let mut out = String::new();
    for one in extracted {
        let _ = writeln!(out, "{}: section {}, {} octets", shown(&one.file), one.section, one.bytes);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn message(names: &[&str]) -> Vec<u8> {
        let mut text = String::from("Content-Type: multipart/mixed; boundary=b\r\n\r\n");
        for name in names {
            let name = message::parameter::encode("filename", name);
            let _ = write!(
                text,
                "--b\r\nContent-Disposition: attachment{name}\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n"
            );
        }
        (text + "--b--\r\n").into_bytes()
    }

    fn extract(octets: &[u8], dir: &Path) -> Vec<String> {
        all(&message::parse(octets), dir).unwrap().into_iter().map(|e| e.file).collect()
    }

    #[test]
    fn nothing_leaves_the_directory_and_nothing_is_overwritten() {
        let around = tempfile::tempdir().unwrap();
        let dir = around.path().join("in");
        std::fs::create_dir(&dir).unwrap();
        let outside = around.path().join("outside");
        std::fs::write(&outside, "mine").unwrap();
        std::os::unix::fs::symlink(&outside, dir.join("link")).unwrap();
        std::os::unix::fs::symlink(around.path().join("not there"), dir.join("dangling")).unwrap();
        std::fs::write(dir.join("old"), "old").unwrap();
        let octets = message(&["../x", "/x", "x", "link", "dangling", "old", "a/b/../../../../x", "in/../../outside"]);
        let files = extract(&octets, &dir);
        assert_eq!(files, ["x", "x (2)", "x (3)", "link (2)", "dangling (2)", "old (2)", "x (4)", "outside"]);
        assert_eq!(std::fs::read(&outside).unwrap(), b"mine");
        assert_eq!(std::fs::read(dir.join("old")).unwrap(), b"old");
        assert_eq!(std::fs::read(dir.join("x (4)")).unwrap(), b"hello");
        let mut beside: Vec<_> = std::fs::read_dir(around.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        beside.sort();
        assert_eq!(beside, ["in", "outside"]);
    }

    #[test]
    fn an_attached_message_is_one_file_and_a_packed_one_is_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        let text = b"Content-Type: multipart/mixed; boundary=A\r\n\r\n--A\r\n\r\nhi\r\nbegin 644 u.txt\r\n#0V%T\r\n`\r\nend\r\n\
--A\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ninner\r\n--A--\r\n";
        assert_eq!(extract(text, dir.path()).len(), 2);
        assert_eq!(std::fs::read(dir.path().join("u.txt")).unwrap(), b"Cat");
        let message = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().unwrap() == "eml");
        assert_eq!(std::fs::read(message.unwrap()).unwrap(), b"Subject: x\r\n\r\ninner");
    }

    #[test]
    fn a_thousand_parts_of_one_name() {
        let dir = tempfile::tempdir().unwrap();
        let files = extract(&message(&["same.txt"; 1_000]), dir.path());
        assert_eq!((files[0].as_str(), files[999].as_str()), ("same.txt", "same (1000).txt"));
    }
}

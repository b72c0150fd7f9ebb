//! Files out of a message into a directory.
//!
//! Invariant: every file is new, made inside the directory that was opened first (no link is followed, nothing is
//! overwritten); its octets are the decoded part's, bit for bit.

use super::safe_name::{numbered, safe_name};
use super::shown;
use super::view::View;
use message::transfer::Decoder;
use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Octets that are decoded at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// One file that was written.
#[derive(Debug, Serialize)]
pub(super) struct Extracted {
    section: String,
    /// As the message names it.
    claimed_name: Option<String>,
    /// As it was written.
    file: String,
    bytes: u64,
}

/// Writes every attachment of the message.
pub(super) fn all(octets: &[u8], view: &View, dir: &Path) -> Result<Vec<Extracted>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", dir.display());
    std::fs::create_dir_all(dir).map_err(told)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(dir, flags, Mode::empty()).map_err(|error| told(error.into()))?;
    let mut place = Place { dir: opened, numbers: HashMap::new() };
    let mut out = Vec::new();
    for part in view.files() {
        let claimed_name = part.file_name.clone();
        let other = part.other_name();
        let (name, mut file) = place.make(&safe_name(claimed_name.as_deref().unwrap_or_default(), &other)).map_err(told)?;
        let range = part.body_range();
        let bytes = write(octets.get(range).unwrap_or_default(), Decoder::new(part.transfer_encoding()), &mut file);
        let bytes = bytes.map_err(|error| format!("{}/{name}: {error}", dir.display()))?;
        out.push(Extracted { section: part.section.clone(), claimed_name, file: name, bytes });
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

fn write(body: &[u8], mut decoder: Decoder, file: &mut File) -> std::io::Result<u64> {
    let mut bytes = 0;
    let mut decoded = Vec::new();
    for chunk in body.chunks(CHUNK_BYTES) {
        decoded.clear();
        decoder.push(chunk, &mut decoded);
        file.write_all(&decoded)?;
        bytes += decoded.len() as u64;
    }
    decoded.clear();
    decoder.finish(&mut decoded);
    file.write_all(&decoded)?;
    file.flush()?;
    Ok(bytes + decoded.len() as u64)
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
        all(octets, &View::of(octets), dir).unwrap().into_iter().map(|e| e.file).collect()
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
    fn a_thousand_parts_of_one_name() {
        let dir = tempfile::tempdir().unwrap();
        let files = extract(&message(&["same.txt"; 1_000]), dir.path());
        assert_eq!((files[0].as_str(), files[999].as_str()), ("same.txt", "same (1000).txt"));
    }
}

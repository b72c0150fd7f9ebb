//! From files: Maildir (and Maildir++), MH, trees of .eml files, and mbox files (`mbox_files`).
//!
//! A message is known by what does not change when files move: the unique part of a Maildir name, else the hash of its
//! octets. Must not know: the store.

use super::mbox_files::{self, Boxed};
use super::{Bad, Brought, Bundle, Candidate, Load, Options, Outlet, gone, placed};
use crate::door::{Head, hash_of};
use crate::flags::with_keywords;
use crate::limits::{FOLDERS_DEEP_MAX, HEADER_BYTES_MAX};
use crate::mbox::Quoting;
use crate::trouble::{Trouble, with_file};
use bytes::Bytes;
use message::{date, header, maildir};
use net::clock::unix_now;
use smol_str::SmolStr;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use store::{Flags, SpecialUse};

/// Why a file without octets is bad: half a copy, or a full disk once; no message was ever that.
const EMPTY: &str = "the file is empty";

/// What files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A Maildir with its folders.
    Maildir,
    /// mbox files, alone or in folders.
    Mbox(Quoting),
    /// Folders of `.eml` files.
    Eml,
    /// MH folders.
    Mh,
}

/// One folder that becomes one mailbox.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    /// Our name for it; then the name it got.
    pub(crate) mailbox: String,
    pub(crate) id: u32,
    /// Google Takeout: one file for several mailboxes.
    pub(crate) others: Vec<(String, u32, Option<SpecialUse>)>,
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
}

/// `kind:path`, or a path whose kind shows.
pub(crate) fn read_argument(text: &str) -> (PathBuf, Option<Kind>) {
    let kinds: [(&str, Kind); 9] = [
        ("maildir:", Kind::Maildir),
        ("mbox:", Kind::Mbox(Quoting::Any)),
        ("mboxo:", Kind::Mbox(Quoting::Mboxo)),
        ("mboxrd:", Kind::Mbox(Quoting::Mboxrd)),
        ("mboxcl:", Kind::Mbox(Quoting::Mboxcl)),
        ("mboxcl2:", Kind::Mbox(Quoting::Mboxcl2)),
        ("takeout:", Kind::Mbox(Quoting::Mboxrd)),
        ("eml:", Kind::Eml),
        ("mh:", Kind::Mh),
    ];
    for (name, kind) in kinds {
        if let Some(path) = text.strip_prefix(name) {
            return (PathBuf::from(path), Some(kind));
        }
    }
    (PathBuf::from(text), None)
}

/// All folders under `path`.
pub(crate) fn plan(path: &Path, kind: Option<Kind>, options: &Options) -> Result<Vec<Folder>, Trouble> {
    let meta = std::fs::metadata(path).map_err(with_file(path))?;
    let kind = match kind {
        Some(kind) => kind,
        None => looks_like(path, meta.is_dir())?,
    };
    let mut folders = Vec::new();
    if meta.is_dir() {
        walk(path, path, kind, &mut folders, 0)?;
    } else {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        // One message alone is no mailbox of its own.
        let mailbox = if options.into.is_some() || kind == Kind::Eml { String::new() } else { stem };
        folders.push(Folder { mailbox, id: 0, others: Vec::new(), path: path.to_owned(), kind });
    }
    for folder in &mut folders {
        folder.mailbox = usual(&folder.mailbox);
        if options.into.is_some() && folder.mailbox == "INBOX" {
            folder.mailbox = String::new();
        }
        if matches!(kind, Kind::Mbox(_)) && mbox_files::is_takeout(&folder.path).map_err(with_file(&folder.path))? {
            folder.others = mbox_files::takeout_mailboxes(options);
            folder.mailbox = "INBOX".to_owned();
        } else {
            folder.mailbox = placed(&folder.mailbox, options);
        }
    }
    let is_wanted =
        |folder: &Folder| options.only.is_empty() || options.only.iter().any(|n| n.eq_ignore_ascii_case(&folder.mailbox));
    folders.retain(is_wanted);
    folders.sort_by(|a, b| (a.mailbox != "INBOX", &a.mailbox, &a.path).cmp(&(b.mailbox != "INBOX", &b.mailbox, &b.path)));
    if folders.is_empty() {
        return Err(Trouble::Here(format!("{}: no mail in there that is understood", path.display())));
    }
    Ok(folders)
}

/// `Inbox` in any case is INBOX; what names cannot have becomes `_`.
fn usual(name: &str) -> String {
    let levels: Vec<String> =
        name.split('/').map(|level| level.replace(['*', '%'], "_")).filter(|level| !level.is_empty()).collect();
    let name = levels.join("/");
    if name.is_empty() || name.eq_ignore_ascii_case("inbox") { "INBOX".to_owned() } else { name }
}

fn entries(path: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(with_file(path))? {
        found.push(entry.map_err(with_file(path))?.path());
    }
    found.sort();
    Ok(found)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn is_maildir(path: &Path) -> bool {
    path.join("cur").is_dir() && path.join("new").is_dir()
}

fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit())
}

fn is_eml(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("eml"))
}

/// An mbox begins with `From ` (a whole year's may be named by a number, as a message of MH is).
fn is_mbox(path: &Path) -> bool {
    let mut start = [0; 5];
    let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start));
    read.is_ok() && start == *b"From "
}

fn looks_like(path: &Path, is_dir: bool) -> Result<Kind, Trouble> {
    let unknown =
        || Trouble::Here(format!("{}: write maildir:, mbox:, eml: or mh: in front of it to say what it is", path.display()));
    if !is_dir {
        let kind = if is_eml(path) { Kind::Eml } else { Kind::Mbox(Quoting::Any) };
        let is_empty = std::fs::metadata(path).is_ok_and(|meta| meta.len() == 0);
        return if is_eml(path) || is_mbox(path) || is_empty { Ok(kind) } else { Err(unknown()) };
    }
    let mut pending = vec![(path.to_owned(), 0)];
    while let Some((folder, deep)) = pending.pop() {
        if is_maildir(&folder) {
            return Ok(Kind::Maildir);
        }
        for entry in entries(&folder)? {
            let name = name_of(&entry);
            if entry.is_dir() {
                if deep < FOLDERS_DEEP_MAX {
                    pending.push((entry, deep + 1));
                }
            } else if name == ".mh_sequences" || (is_number(&name) && !is_mbox(&entry)) {
                return Ok(Kind::Mh);
            } else if is_eml(&entry) {
                return Ok(Kind::Eml);
            } else if is_mbox(&entry) {
                return Ok(Kind::Mbox(Quoting::Any));
            }
        }
    }
    Err(unknown())
}

/// A folder's name from its place under the root. Thunderbird keeps the inferiors of `Name` in `Name.sbd`.
fn relative(root: &Path, path: &Path) -> String {
    let levels = path.strip_prefix(root).unwrap_or(path).components();
    let levels: Vec<String> = levels
        .map(|level| level.as_os_str().to_string_lossy().into_owned())
        .map(|level| level.strip_suffix(".sbd").map(str::to_owned).unwrap_or(level))
        .collect();
    levels.join("/")
}

/// The name of a Maildir: `.A.B` in Maildir++ (in modified UTF-7), else its place.
fn maildir_name(root: &Path, path: &Path) -> String {
    let place = relative(root, path);
    let levels: Vec<String> = place
        .split('/')
        .map(|level| match level.strip_prefix('.') {
            Some(name) => {
                let name = name.strip_prefix("INBOX.").unwrap_or(name);
                let parts =
                    name.split('.').map(|part| wire::imap::mailbox_name::decode_utf7(part).unwrap_or_else(|| part.to_owned()));
                parts.collect::<Vec<_>>().join("/")
            }
            None => wire::imap::mailbox_name::decode_utf7(level).unwrap_or_else(|| level.to_owned()),
        })
        .collect();
    levels.join("/")
}

fn walk(root: &Path, path: &Path, kind: Kind, folders: &mut Vec<Folder>, deep: usize) -> Result<(), Trouble> {
    if deep > FOLDERS_DEEP_MAX {
        return Err(Trouble::Here(format!("{}: too many folders inside one another", path.display())));
    }
    let folder = |mailbox: String, path: &Path| Folder { mailbox, id: 0, others: Vec::new(), path: path.to_owned(), kind };
    if kind == Kind::Maildir && is_maildir(path) {
        folders.push(folder(maildir_name(root, path), path));
    }
    let mut has_messages = false;
    for entry in entries(path)? {
        let name = name_of(&entry);
        if entry.is_dir() {
            let inside = kind == Kind::Maildir && ["cur", "new", "tmp"].contains(&name.as_str());
            // Links may lead in a circle.
            if !inside && !entry.is_symlink() {
                walk(root, &entry, kind, folders, deep + 1)?;
            }
        } else if matches!(kind, Kind::Mbox(_)) && is_mbox(&entry) {
            let place = relative(root, &entry);
            folders.push(folder(place.strip_suffix(".mbox").map(str::to_owned).unwrap_or(place), &entry));
        } else {
            has_messages |= (kind == Kind::Eml && is_eml(&entry)) || (kind == Kind::Mh && is_number(&name));
        }
    }
    if has_messages {
        folders.push(folder(relative(root, path), path));
    }
    Ok(())
}

/// Brings all folders; runs on a thread of its own.
pub(crate) fn bring(folders: &[Folder], outlet: &Outlet) -> Result<(), Trouble> {
    for folder in folders {
        let name: Arc<str> = folder.mailbox.as_str().into();
        match folder.kind {
            Kind::Maildir => bring_maildir(folder, &name, outlet)?,
            Kind::Mbox(quoting) => mbox_files::bring(folder, &name, quoting, outlet)?,
            Kind::Eml | Kind::Mh => bring_single(folder, &name, outlet)?,
        }
    }
    Ok(())
}

/// Collects candidates and sends full bundles.
pub(crate) struct Packer<'a> {
    bundle: Bundle,
    name: &'a Arc<str>,
    outlet: &'a Outlet,
}

impl<'a> Packer<'a> {
    pub(crate) fn new(mailbox: u32, name: &'a Arc<str>, outlet: &'a Outlet) -> Packer<'a> {
        Packer { bundle: Bundle::new(mailbox, name), name, outlet }
    }
    pub(crate) fn push(&mut self, candidate: Candidate) -> Result<(), Trouble> {
        self.bundle.candidates.push(candidate);
        if self.bundle.is_full() { self.send() } else { Ok(()) }
    }
    fn send(&mut self) -> Result<(), Trouble> {
        let next = Bundle::new(self.bundle.mailbox, self.name);
        let whole = std::mem::replace(&mut self.bundle, next);
        self.outlet.blocking_send(Brought::Bundle(whole)).map_err(|_| gone())
    }
    pub(crate) fn bad(&self, what: String, why: String) -> Result<(), Trouble> {
        self.outlet.blocking_send(Brought::Bad(Bad { what, why })).map_err(|_| gone())
    }
    pub(crate) fn finish(mut self) -> Result<(), Trouble> {
        if self.bundle.candidates.is_empty() { Ok(()) } else { self.send() }
    }
}

fn bring_maildir(folder: &Folder, name: &Arc<str>, outlet: &Outlet) -> Result<(), Trouble> {
    let words = keyword_letters(&folder.path);
    let mut packer = Packer::new(folder.id, name, outlet);
    let mut files = Vec::new();
    for part in ["cur", "new"] {
        for entry in std::fs::read_dir(folder.path.join(part)).map_err(with_file(&folder.path))? {
            let file_name = entry.map_err(with_file(&folder.path))?.file_name();
            files.push((file_name, part));
        }
    }
    // Names begin with the time of delivery.
    files.sort();
    for (file_name, part) in files {
        let path = folder.path.join(part).join(&file_name);
        let Some(text) = file_name.to_str() else {
            packer.bad(path.display().to_string(), "its name is not UTF-8".into())?;
            continue;
        };
        let Some(known) = maildir::Name::read(text) else { continue };
        let flags = with_keywords(maildir_flags(&known), maildir_words(&known, &words));
        packer.push(Candidate {
            mark: Some(format!("import/maildir/{}/{}", folder.mailbox, known.unique)),
            uid: 0,
            uid_mark: None,
            head: Head::new(&flags, 0, size_in_name(text)),
            load: Load::File { path: path.clone(), read: read_maildir },
            what: path.display().to_string(),
        })?;
    }
    packer.finish()
}

/// `S=99`, for bundles of a good size.
fn size_in_name(name: &str) -> usize {
    name.split([',', ':']).find_map(|word| word.strip_prefix("S=")?.parse().ok()).unwrap_or(8 * 1024)
}

/// `dovecot-keywords`: lines of a number and a word; number 0 is the letter `a`.
fn keyword_letters(path: &Path) -> HashMap<char, SmolStr> {
    let text = std::fs::read_to_string(path.join("dovecot-keywords")).unwrap_or_default();
    let line = |line: &str| {
        let (number, word) = line.split_once(' ')?;
        let letter = char::from(b'a'.checked_add(number.parse::<u8>().ok().filter(|n| *n < 26)?)?);
        Some((letter, SmolStr::from(word.trim())))
    };
    text.lines().filter_map(line).collect()
}

fn maildir_flags(name: &maildir::Name<'_>) -> u8 {
    let bits = [
        (maildir::Flag::Seen, Flags::SEEN),
        (maildir::Flag::Replied, Flags::ANSWERED),
        (maildir::Flag::Flagged, Flags::FLAGGED),
        (maildir::Flag::Trashed, Flags::DELETED),
        (maildir::Flag::Draft, Flags::DRAFT),
    ];
    bits.iter().filter(|(flag, _)| name.has(*flag)).fold(0, |all, (_, bit)| all | bit)
}

fn maildir_words<'a>(name: &'a maildir::Name<'_>, words: &'a HashMap<char, SmolStr>) -> impl Iterator<Item = SmolStr> + 'a {
    let passed = name.has(maildir::Flag::Passed).then(|| SmolStr::new_static("$Forwarded"));
    passed.into_iter().chain(name.keywords.chars().filter_map(|letter| words.get(&letter).cloned()))
}

/// Reads a file of a Maildir; its time is INTERNALDATE.
fn read_maildir(path: &Path, head: &mut Head) -> std::io::Result<Bytes> {
    let octets = std::fs::read(path)?;
    if octets.is_empty() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, EMPTY));
    }
    head.date_secs = changed_secs(path).or_else(|| date_of(&octets)).unwrap_or_else(unix_now);
    Ok(with_crlf(octets))
}

fn changed_secs(path: &Path) -> Option<i64> {
    let changed = std::fs::metadata(path).ok()?.modified().ok()?;
    changed.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok())
}

/// .eml trees and MH folders: one file a message, known by its octets.
fn bring_single(folder: &Folder, name: &Arc<str>, outlet: &Outlet) -> Result<(), Trouble> {
    let sequences = if folder.kind == Kind::Mh { Sequences::read(&folder.path) } else { Sequences::default() };
    let mut packer = Packer::new(folder.id, name, outlet);
    let mut files: Vec<PathBuf> = if folder.path.is_dir() { entries(&folder.path)? } else { vec![folder.path.clone()] };
    files.retain(|file| file.is_file() && if folder.kind == Kind::Mh { is_number(&name_of(file)) } else { is_eml(file) });
    files.sort_by_key(|file| (name_of(file).len(), name_of(file)));
    for path in files {
        let octets = match std::fs::read(&path) {
            Ok(octets) => octets,
            Err(error) => {
                packer.bad(path.display().to_string(), error.to_string())?;
                continue;
            }
        };
        if octets.is_empty() {
            packer.bad(path.display().to_string(), EMPTY.into())?;
            continue;
        }
        let mut one = read_single(octets, changed_secs(&path));
        if folder.kind == Kind::Mh {
            one.flags = sequences.flags(&name_of(&path));
        }
        packer.push(Candidate {
            mark: Some(format!("import/file/{}/{}", folder.mailbox, one.hash)),
            uid: 0,
            uid_mark: None,
            head: Head::new(&one.flags, one.date_secs, one.octets.len()),
            load: Load::Octets(one.octets),
            what: path.display().to_string(),
        })?;
    }
    packer.finish()
}

/// What a file of one message holds; `changed_secs`: the file's time.
pub fn read_single(octets: Vec<u8>, changed_secs: Option<i64>) -> Boxed {
    let (hash, flags) = (hash_of(&octets), eml_flags(&octets));
    let date_secs = date_of(&octets).or(changed_secs).unwrap_or_else(unix_now);
    Boxed { octets: with_crlf(octets), flags, date_secs, hash }
}

/// A draft says so (Apple Mail, Outlook); nothing else is known of a file.
fn eml_flags(octets: &[u8]) -> Flags {
    let header = octets.get(..octets.len().min(HEADER_BYTES_MAX)).unwrap_or_default();
    let unsent = header::first(header, "X-Unsent").is_some_and(|field| field.value().as_ref() == b"1");
    Flags { system: if unsent { Flags::DRAFT } else { 0 }, keywords: None }
}

/// `.mh_sequences`: `unseen: 1-3 5`.
#[derive(Debug, Default)]
struct Sequences(HashMap<String, Vec<(u64, u64)>>);

impl Sequences {
    fn read(path: &Path) -> Sequences {
        Sequences::parse(&std::fs::read_to_string(path.join(".mh_sequences")).unwrap_or_default())
    }

    fn parse(text: &str) -> Sequences {
        let range = |word: &str| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        let line = |line: &str| {
            let (name, numbers) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), numbers.split_whitespace().filter_map(range).collect()))
        };
        Sequences(text.lines().filter_map(line).collect())
    }

    fn has(&self, name: &str, number: u64) -> bool {
        self.0.get(name).is_some_and(|ranges| ranges.iter().any(|(first, last)| (*first..=*last).contains(&number)))
    }

    fn flags(&self, file: &str) -> Flags {
        let number = file.parse().unwrap_or(0);
        let named = [("replied", Flags::ANSWERED), ("answered", Flags::ANSWERED), ("flagged", Flags::FLAGGED)];
        let mut system = named.iter().filter(|(name, _)| self.has(name, number)).fold(0, |all, (_, bit)| all | bit);
        if !self.has("unseen", number) {
            system |= Flags::SEEN;
        }
        Flags { system, keywords: None }
    }
}

/// Lines as mail has them: every LF without a CR gets one.
pub(crate) fn with_crlf(octets: Vec<u8>) -> Bytes {
    let bare = memchr::memchr_iter(b'\n', &octets).filter(|at| *at == 0 || octets.get(at - 1) != Some(&b'\r')).count();
    if bare == 0 {
        return octets.into();
    }
    let mut out = Vec::with_capacity(octets.len() + bare);
    for line in octets.split_inclusive(|b| *b == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(text) if !text.ends_with(b"\r") => {
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            _ => out.extend_from_slice(line),
        }
    }
    out.into()
}

/// When a message came, by its header: the date of the first Received field, else its Date.
pub(crate) fn date_of(octets: &[u8]) -> Option<i64> {
    let header = octets.get(..octets.len().min(HEADER_BYTES_MAX)).unwrap_or_default();
    let date = || date::parse_rfc_5322(&header::first(header, "Date")?.value());
    header::received_secs(header).or_else(|| date().map(|date| date.unix_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_of_mh() {
        let sequences = Sequences::parse("cur: 3\nunseen: 1-3 9\nreplied: 4\nbad: x-y\n");
        let system = |name| sequences.flags(name).system;
        assert_eq!((system("1"), system("9"), system("4"), system("5")), (0, 0, Flags::ANSWERED | Flags::SEEN, Flags::SEEN));
    }

    #[test]
    fn lines_get_their_cr() {
        assert_eq!(with_crlf(b"\na\r\nb\nc".to_vec()).as_ref(), b"\r\na\r\nb\r\nc");
    }

    #[test]
    fn the_date_a_message_came() {
        let text = b"Received: from a by b\r\n ; Mon, 23 Nov 2026 00:16:34 +0000\r\nDate: Mon, 1 Jan 2001 00:00:00 +0000\r\n\r\n";
        assert_eq!(date_of(text), Some(1_795_392_994));
        assert_eq!(date_of(b"Received: nonsense\r\nDate: Mon, 1 Jan 2001 00:00:00 +0000\r\n\r\n"), Some(978_307_200));
    }
}

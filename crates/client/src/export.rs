//! Moving out: an account's mailboxes as Maildir++, as mbox files of any kind, as trees of .eml files or as MH folders.
//!
//! Invariant: every file is written beside its place and renamed into it, so what is there is whole; a second run writes
//! what is new and renames what has other flags. Memory: one page of messages. Must not know: where the account is.

mod imap;

use crate::door::{Answer, Ask, Door, Head, MailboxTold, odd};
use crate::import::Bad;
use crate::mbox::{self, Quoting};
use crate::progress::Progress;
use crate::trouble::{Trouble, with_file};
use bytes::Bytes;
pub use imap::{Server, run as to_server};
use message::date::DateTime;
use message::maildir;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use store::Flags;

/// As what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Maildir++ with Dovecot's keyword files.
    Maildir,
    /// One file a mailbox; `Any`: mboxrd.
    Mbox(Quoting),
    /// One file a message.
    Single(Single),
}

/// Files of one message each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Single {
    /// `UID.eml`, octet by octet.
    Eml,
    /// `UID`, lines ended by LF, with `.mh_sequences`.
    Mh,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Report {
    pub exported: u64,
    /// Were there from an earlier run.
    pub known: u64,
    pub octets: u64,
    pub mailboxes: BTreeMap<String, u64>,
    /// What a server did not take.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bad: Vec<Bad>,
}

/// The mailboxes (`only` these; empty: all).
async fn chosen<D: Door>(door: &mut D, only: &[String], progress: &Progress) -> Result<Vec<MailboxTold>, Trouble> {
    let (Answer::Mailboxes { mut list }, _) = door.ask(Ask::Mailboxes, Vec::new()).await? else { return Err(odd()) };
    list.retain(|mailbox| only.is_empty() || only.iter().any(|name| name.eq_ignore_ascii_case(&mailbox.name)));
    if list.is_empty() {
        return Err(Trouble::Here("there is no such mailbox".into()));
    }
    progress.expect(list.iter().map(|mailbox| u64::from(mailbox.messages)).sum());
    Ok(list)
}

/// Writes the mailboxes (`only` these; empty: all) under `path`.
///
/// # Errors
/// The store, or a file, and which.
pub async fn run<D: Door>(
    door: &mut D,
    path: &Path,
    form: Form,
    only: &[String],
    progress: &Progress,
) -> Result<Report, Trouble> {
    let list = chosen(door, only, progress).await?;
    let mut report = Report::default();
    for mailbox in &list {
        progress.enter(&mailbox.name);
        let count = match form {
            Form::Maildir => Maildir::open(path, mailbox)?.fill(door, mailbox, (&mut report, progress)).await?,
            Form::Mbox(quoting) => fill_mbox(door, (path, quoting), mailbox, (&mut report, progress)).await?,
            Form::Single(single) => fill_single(door, (path, single), mailbox, (&mut report, progress)).await?,
        };
        report.mailboxes.insert(mailbox.name.clone(), count);
    }
    Ok(report)
}

/// The messages of a mailbox in the order of their UIDs, each with its octets; a page of them in memory.
struct Messages<'a, D> {
    door: &'a mut D,
    mailbox: &'a MailboxTold,
    page: std::vec::IntoIter<(Head, Bytes)>,
    more: bool,
    after: u32,
    /// Handed out so far.
    count: u64,
}

impl<'a, D: Door> Messages<'a, D> {
    fn of(door: &'a mut D, mailbox: &'a MailboxTold) -> Messages<'a, D> {
        Messages { door, mailbox, page: Vec::new().into_iter(), more: true, after: 0, count: 0 }
    }

    async fn next(&mut self) -> Result<Option<(Head, Bytes)>, Trouble> {
        loop {
            if let Some((head, octets)) = self.page.next() {
                (self.after, self.count) = (head.uid, self.count + 1);
                return Ok(Some((head, octets)));
            }
            if !self.more {
                return Ok(None);
            }
            self.turn().await?;
        }
    }

    async fn turn(&mut self) -> Result<(), Trouble> {
        let page = page_of(&mut *self.door, self.mailbox, self.after).await?;
        self.more = !page.is_empty();
        self.page = page.into_iter();
        Ok(())
    }
}

/// Some messages behind a UID, each with its octets; none: there are no more.
async fn page_of<D: Door>(door: &mut D, mailbox: &MailboxTold, after: u32) -> Result<Vec<(Head, Bytes)>, Trouble> {
    let ask = Ask::Page { mailbox: mailbox.id, after };
    let (Answer::Page { messages, .. }, mut octets) = door.ask(ask, Vec::new()).await? else { return Err(odd()) };
    let mut parted = Vec::with_capacity(messages.len());
    for head in messages {
        let len = usize::try_from(head.octets).unwrap_or(usize::MAX);
        if len > octets.len() {
            return Err(odd());
        }
        let own = octets.split_to(len);
        parted.push((head, own));
    }
    Ok(parted)
}

/// A level of a mailbox name as the name of a file.
fn file_name(level: &str) -> String {
    let name = level.replace('\0', "_");
    if name.starts_with('.') { format!("_{name}") } else { name }
}

fn set_time(path: &Path, secs: i64) {
    // A file system that keeps no such time keeps the message all the same.
    let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(secs).unwrap_or(0));
    let _ = File::options().write(true).open(path).and_then(|file| file.set_modified(time));
}

fn write_new(temporary: &Path, place: &Path, octets: &[u8], secs: i64) -> Result<(), Trouble> {
    let mut file = File::create(temporary).map_err(with_file(temporary))?;
    file.write_all(octets).map_err(with_file(temporary))?;
    drop(file);
    set_time(temporary, secs);
    fs::rename(temporary, place).map_err(with_file(place))
}

fn sync_folder(path: &Path) -> Result<(), Trouble> {
    let folder = File::open(path).map_err(with_file(path))?;
    folder.sync_all().map_err(with_file(path))
}

struct Maildir {
    path: PathBuf,
    /// By the unique part of the name: where it is.
    there: HashMap<String, PathBuf>,
    words: Vec<String>,
}

impl Maildir {
    fn open(root: &Path, mailbox: &MailboxTold) -> Result<Maildir, Trouble> {
        let path = if mailbox.name == "INBOX" {
            root.to_owned()
        } else {
            let level = |level: &str| wire::imap::mailbox_name::encode_utf7(&level.replace('.', "_"));
            root.join(format!(".{}", mailbox.name.split('/').map(level).collect::<Vec<_>>().join(".")))
        };
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(path.join(part)).map_err(with_file(&path))?;
        }
        if mailbox.name != "INBOX" {
            File::create(path.join("maildirfolder")).map_err(with_file(&path))?;
        }
        let mut there = HashMap::new();
        for part in ["cur", "new"] {
            for entry in fs::read_dir(path.join(part)).map_err(with_file(&path))? {
                let entry = entry.map_err(with_file(&path))?;
                if let Some(name) = entry.file_name().to_str().and_then(maildir::Name::read) {
                    there.insert(name.unique.to_owned(), entry.path());
                }
            }
        }
        let text = fs::read_to_string(path.join("dovecot-keywords")).unwrap_or_default();
        let words = text.lines().filter_map(|line| line.split_once(' ')).map(|(_, word)| word.to_owned()).collect();
        Ok(Maildir { path, there, words })
    }

    async fn fill<D: Door>(
        mut self,
        door: &mut D,
        mailbox: &MailboxTold,
        (report, progress): (&mut Report, &Progress),
    ) -> Result<u64, Trouble> {
        let mut messages = Messages::of(door, mailbox);
        while let Some((head, octets)) = messages.next().await? {
            self.write(mailbox, &head, &octets, report)?;
            progress.advance(1, head.octets);
        }
        let lines: String = self.words.iter().enumerate().map(|(number, word)| format!("{number} {word}\n")).collect();
        if !lines.is_empty() {
            let (temporary, place) = (self.path.join("tmp/dovecot-keywords"), self.path.join("dovecot-keywords"));
            fs::write(&temporary, lines).map_err(with_file(&temporary))?;
            fs::rename(&temporary, &place).map_err(with_file(&place))?;
        }
        sync_folder(&self.path.join("cur"))?;
        Ok(messages.count)
    }

    fn write(&mut self, mailbox: &MailboxTold, head: &Head, octets: &[u8], report: &mut Report) -> Result<(), Trouble> {
        let unique = format!("{}.M{}U{}.packetboat,S={}", head.date_secs.max(0), mailbox.id, head.uid, octets.len());
        let place = self.path.join("cur").join(self.name_of(&unique, head));
        match self.there.get(&unique) {
            Some(old) if *old == place => report.known += 1,
            Some(old) => {
                fs::rename(old, &place).map_err(with_file(old))?;
                report.known += 1;
            }
            None => {
                write_new(&self.path.join("tmp").join(&unique), &place, octets, head.date_secs)?;
                report.exported += 1;
                report.octets += octets.len() as u64;
            }
        }
        Ok(())
    }

    fn name_of(&mut self, unique: &str, head: &Head) -> String {
        let bits = [
            (Flags::DRAFT, maildir::Flag::Draft),
            (Flags::FLAGGED, maildir::Flag::Flagged),
            (Flags::ANSWERED, maildir::Flag::Replied),
            (Flags::SEEN, maildir::Flag::Seen),
            (Flags::DELETED, maildir::Flag::Trashed),
        ];
        let mut flags: Vec<maildir::Flag> =
            bits.iter().filter(|(bit, _)| head.system & bit != 0).map(|(_, flag)| *flag).collect();
        let mut letters = Vec::new();
        for word in &head.keywords {
            if word.eq_ignore_ascii_case("$Forwarded") {
                flags.push(maildir::Flag::Passed);
                continue;
            }
            let at = self.words.iter().position(|known| known.eq_ignore_ascii_case(word)).unwrap_or_else(|| {
                self.words.push(word.to_string());
                self.words.len() - 1
            });
            // A Maildir has letters for 26 keywords.
            letters.extend(u8::try_from(at).ok().filter(|at| *at < 26).map(|at| char::from(b'a' + at)));
        }
        letters.sort_unstable();
        flags.sort_unstable();
        maildir::Name { unique, flags, keywords: letters.into_iter().collect() }.write()
    }
}

/// Paths of a mailbox whose levels are folders.
fn nested(root: &Path, mailbox: &MailboxTold, ending: &str) -> (PathBuf, PathBuf) {
    let mut levels: Vec<String> = mailbox.name.split('/').map(file_name).collect();
    let last = levels.pop().unwrap_or_default();
    let folder = levels.iter().fold(root.to_owned(), |path, level| path.join(level));
    let place = folder.join(format!("{last}{ending}"));
    (folder, place)
}

async fn fill_mbox<D: Door>(
    door: &mut D,
    (root, quoting): (&Path, Quoting),
    mailbox: &MailboxTold,
    (report, progress): (&mut Report, &Progress),
) -> Result<u64, Trouble> {
    let (folder, place) = nested(root, mailbox, ".mbox");
    fs::create_dir_all(&folder).map_err(with_file(&folder))?;
    let temporary = place.with_extension("mbox.new");
    let mut file = std::io::BufWriter::new(File::create(&temporary).map_err(with_file(&temporary))?);
    let mut messages = Messages::of(door, mailbox);
    while let Some((head, octets)) = messages.next().await? {
        let mut out = Vec::with_capacity(octets.len() + 256);
        mbox::write(&mut out, quoting, &from_line(&head, &octets), &status_fields(&head), &octets);
        file.write_all(&out).map_err(with_file(&temporary))?;
        report.exported += 1;
        report.octets += head.octets;
        progress.advance(1, head.octets);
    }
    let file = file.into_inner().map_err(|error| with_file(&temporary)(error.into_error()))?;
    file.sync_all().map_err(with_file(&temporary))?;
    fs::rename(&temporary, &place).map_err(with_file(&place))?;
    sync_folder(&folder)?;
    Ok(messages.count)
}

/// A message as it stands in an mbox (mboxrd).
pub fn boxed(flags: &Flags, date_secs: i64, octets: &[u8]) -> Vec<u8> {
    let head = Head::new(flags, date_secs, octets.len());
    let mut out = Vec::with_capacity(octets.len() + 256);
    mbox::write(&mut out, Quoting::Mboxrd, &from_line(&head, octets), &status_fields(&head), octets);
    out
}

/// `sender Mon Nov 23 00:16:34 2026` (RFC 4155).
fn from_line(head: &Head, octets: &[u8]) -> String {
    let sender = message::header::first(octets, "Return-Path")
        .or_else(|| message::header::first(octets, "From"))
        .and_then(|field| field.addresses().iter().find_map(|address| address.address()))
        .filter(|address| !address.contains(char::is_whitespace))
        .unwrap_or_else(|| "MAILER-DAEMON".into());
    format!("{sender} {}", asctime(head.date_secs))
}

fn asctime(secs: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time = DateTime::from_unix(secs, 0);
    let day = usize::try_from(secs.div_euclid(86_400).rem_euclid(7)).unwrap_or(0);
    let name = |names: &[&'static str], at: usize| names.get(at).copied().unwrap_or("Jan");
    let month = usize::from(time.month).saturating_sub(1);
    let (of_day, year) = (secs.rem_euclid(86_400), time.year);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{} {} {:2} {hour:02}:{minute:02}:{second:02} {year}", name(&DAYS, day), name(&MONTHS, month), time.day)
}

/// What our own import (and mutt, and Dovecot) reads back.
fn status_fields(head: &Head) -> String {
    let mut fields = format!("Status: {}O\n", if head.system & Flags::SEEN != 0 { "R" } else { "" });
    let letters = [(Flags::ANSWERED, 'A'), (Flags::FLAGGED, 'F'), (Flags::DRAFT, 'T'), (Flags::DELETED, 'D')];
    let letters: String = letters.iter().filter(|(bit, _)| head.system & bit != 0).map(|(_, letter)| *letter).collect();
    if !letters.is_empty() {
        fields.push_str(&format!("X-Status: {letters}\n"));
    }
    if !head.keywords.is_empty() {
        fields.push_str(&format!("X-Keywords: {}\n", head.keywords.join(" ")));
    }
    fields
}

async fn fill_single<D: Door>(
    door: &mut D,
    (root, single): (&Path, Single),
    mailbox: &MailboxTold,
    (report, progress): (&mut Report, &Progress),
) -> Result<u64, Trouble> {
    let (_, folder) = nested(root, mailbox, "");
    fs::create_dir_all(&folder).map_err(with_file(&folder))?;
    let mut sequences = Sequences::default();
    let mut messages = Messages::of(door, mailbox);
    while let Some((head, octets)) = messages.next().await? {
        let (name, octets) = match single {
            Single::Eml => (format!("{}.eml", head.uid), octets),
            Single::Mh => (head.uid.to_string(), with_lf(octets)),
        };
        sequences.take(&head);
        let place = folder.join(&name);
        if fs::metadata(&place).is_ok_and(|meta| meta.len() == octets.len() as u64) {
            report.known += 1;
        } else {
            write_new(&folder.join(format!("{name}.new")), &place, &octets, head.date_secs)?;
            report.exported += 1;
            report.octets += head.octets;
        }
        progress.advance(1, head.octets);
    }
    if single == Single::Mh {
        let place = folder.join(".mh_sequences");
        write_new(&folder.join(".mh_sequences.new"), &place, sequences.text().as_bytes(), net::clock::unix_now())?;
    }
    sync_folder(&folder)?;
    Ok(messages.count)
}

/// Lines as MH has them.
fn with_lf(octets: Bytes) -> Bytes {
    let mut out = Vec::with_capacity(octets.len());
    for line in octets.split_inclusive(|b| *b == b'\n') {
        mbox::push_line(&mut out, line);
    }
    out.into()
}

/// What MH says of messages beside them: `unseen: 1-3 5`.
#[derive(Debug, Default)]
struct Sequences([Vec<(u32, u32)>; 3]);

impl Sequences {
    const NAMES: [&'static str; 3] = ["unseen", "flagged", "replied"];

    fn take(&mut self, head: &Head) {
        let has = |bit| head.system & bit != 0;
        let holds = [!has(Flags::SEEN), has(Flags::FLAGGED), has(Flags::ANSWERED)];
        for (ranges, _) in self.0.iter_mut().zip(holds).filter(|(_, holds)| *holds) {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(head.uid) => *last = head.uid,
                _ => ranges.push((head.uid, head.uid)),
            }
        }
    }

    fn text(&self) -> String {
        let range = |(first, last): &(u32, u32)| if first == last { format!(" {first}") } else { format!(" {first}-{last}") };
        let lines = Sequences::NAMES.iter().zip(&self.0).filter(|(_, ranges)| !ranges.is_empty());
        lines.map(|(name, ranges)| format!("{name}:{}\n", ranges.iter().map(range).collect::<String>())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_from_lines() {
        assert_eq!(asctime(1_795_392_994), "Mon Nov 23 00:16:34 2026");
        assert_eq!(asctime(0), "Thu Jan  1 00:00:00 1970");
    }

    #[test]
    fn names_that_hide_nothing() {
        assert_eq!((file_name(".."), file_name("a")), ("_..".into(), "a".into()));
    }
}

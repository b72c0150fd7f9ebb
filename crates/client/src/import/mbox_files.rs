//! mbox files into mailboxes: flags from Status fields, times from `From ` lines, and Google Takeout's one file for all.
//!
//! In a Takeout every message says by X-Gmail-Labels where it is: one of our mailboxes gets it, the labels become
//! keywords, and the same message in two files comes once.

use super::files::{Folder, Packer, date_of, with_crlf};
use super::{Candidate, Load, Options, Outlet, placed};
use crate::door::{Head, hash_of};
use crate::flags::{keyword_of, with_keywords};
use crate::limits::HEADER_BYTES_MAX;
use crate::mbox::{Entry, Quoting, Reader, quoting_of};
use crate::trouble::{Trouble, with_file};
use bytes::Bytes;
use message::{date, header};
use net::clock::unix_now;
use smol_str::SmolStr;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use store::{Flags, SpecialUse};

/// Fields that mbox programs write for themselves.
const OF_MBOX: [&str; 6] = ["Status", "X-Status", "X-Keywords", "X-UID", "X-IMAPbase", "X-IMAP"];

/// The first message of the file has labels of Gmail.
pub(super) fn is_takeout(path: &Path) -> io::Result<bool> {
    if !path.is_file() {
        return Ok(false);
    }
    let mut reader = Reader::new(BufReader::new(File::open(path)?), Quoting::Mboxrd);
    let first = reader.next_entry()?;
    Ok(first.is_some_and(|entry| header::first(&entry.raw, "X-Gmail-Labels").is_some()))
}

/// Where a Takeout's messages go.
pub(super) fn takeout_mailboxes(options: &Options) -> Vec<(String, u32, Option<SpecialUse>)> {
    let uses = [
        ("Sent", Some(SpecialUse::Sent)),
        ("Drafts", Some(SpecialUse::Drafts)),
        ("Junk", Some(SpecialUse::Junk)),
        ("Trash", Some(SpecialUse::Trash)),
        ("Archive", Some(SpecialUse::Archive)),
    ];
    let use_here = |special_use| if options.into.is_none() { special_use } else { None };
    uses.into_iter().map(|(name, special_use)| (placed(name, options), 0, use_here(special_use))).collect()
}

/// Brings one file.
pub(super) fn bring(folder: &Folder, name: &Arc<str>, quoting: Quoting, outlet: &Outlet) -> Result<(), Trouble> {
    let open = || File::open(&folder.path).map(|file| BufReader::with_capacity(256 * 1024, file));
    let quoting = match quoting {
        Quoting::Any => open().and_then(quoting_of).map_err(with_file(&folder.path))?,
        said => said,
    };
    let mut reader = Reader::new(open().map_err(with_file(&folder.path))?, quoting);
    let names: Vec<Arc<str>> = folder.others.iter().map(|(name, ..)| name.as_str().into()).collect();
    let mut packer = Packer::new(folder.id, name, outlet);
    let mut others: Vec<Packer<'_>> =
        folder.others.iter().zip(&names).map(|((_, id, _), name)| Packer::new(*id, name, outlet)).collect();
    // The same octets twice in one file are two messages.
    let mut times: HashMap<String, u32> = HashMap::new();
    let mut count = 0u64;
    while let Some(entry) = reader.next_entry().map_err(with_file(&folder.path))? {
        count += 1;
        let hash = hash_of(&entry.raw);
        let what = format!("{} message {count}", folder.path.display());
        let octets = reader.message(&entry);
        if folder.others.is_empty() {
            let time = times.entry(hash.clone()).and_modify(|time| *time += 1).or_insert(0);
            let mark = format!("import/mbox/{}/{hash}/{time}", folder.mailbox);
            packer.push(candidate(mark, &entry, octets, None, what))?;
        } else {
            let labels = Labels::of(&octets);
            let packer = labels.place().and_then(|place| others.get_mut(place)).unwrap_or(&mut packer);
            packer.push(candidate(format!("import/takeout/{hash}"), &entry, octets, Some(&labels), what))?;
        }
    }
    packer.finish()?;
    others.into_iter().try_for_each(Packer::finish)
}

/// A message of an mbox that comes as a stream, or a file of its own.
#[derive(Debug, Clone)]
pub struct Boxed {
    /// It, lines ended by CR LF.
    pub octets: Bytes,
    /// Its flags.
    pub flags: Flags,
    /// When it came.
    pub date_secs: i64,
    /// Its mark, behind the mailbox.
    pub hash: String,
}

/// Every message of an mbox as it comes, until `each` wants no more; none is larger than that.
///
/// # Errors
/// It cannot be read, or no message begins in it.
pub fn read_box(input: impl BufRead, message_bytes_max: u64, each: &mut dyn FnMut(Boxed) -> bool) -> io::Result<()> {
    let mut input = input;
    if input.fill_buf()?.is_empty() {
        return Ok(());
    }
    let mut reader = Reader::new(input, Quoting::Any).up_to(message_bytes_max);
    let mut times: HashMap<String, u32> = HashMap::new();
    while let Some(entry) = reader.next_entry()? {
        let hash = hash_of(&entry.raw);
        let time = times.entry(hash.clone()).and_modify(|time| *time += 1).or_insert(0);
        let octets = reader.message(&entry);
        let found = candidate(format!("{hash}/{time}"), &entry, octets, None, String::new());
        let Load::Octets(octets) = found.load else { continue };
        let (flags, date_secs) = (found.head.flags(), found.head.date_secs);
        if !each(Boxed { octets, flags, date_secs, hash: found.mark.unwrap_or_default() }) {
            return Ok(());
        }
    }
    match times.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, "That is no mbox: no message begins in it.")),
        false => Ok(()),
    }
}

fn candidate(mark: String, entry: &Entry, octets: Vec<u8>, labels: Option<&Labels>, what: String) -> Candidate {
    let end = header::header_end(&octets).min(HEADER_BYTES_MAX);
    let flags = match labels {
        Some(labels) => labels.flags(),
        None => flags_of(octets.get(..end).unwrap_or_default()),
    };
    let date_secs = time_of(&entry.from).or_else(|| date_of(&octets)).unwrap_or_else(unix_now);
    let octets = with_crlf(without_own_fields(octets, entry.by_length));
    Candidate {
        mark: Some(mark),
        uid: 0,
        uid_mark: None,
        head: Head::new(&flags, date_secs, octets.len()),
        load: Load::Octets(octets),
        what,
    }
}

/// `Status: RO`, `X-Status: AFTD`, `X-Keywords:`, Mozilla's and Eudora's bits.
fn flags_of(header: &[u8]) -> Flags {
    let text = |name| header::first(header, name).map(|field| String::from_utf8_lossy(&field.value()).into_owned());
    let letters = format!("{}{}", text("Status").unwrap_or_default(), text("X-Status").unwrap_or_default());
    let known = [('R', Flags::SEEN), ('A', Flags::ANSWERED), ('F', Flags::FLAGGED), ('D', Flags::DELETED), ('T', Flags::DRAFT)];
    let mut system = known.iter().filter(|(letter, _)| letters.contains(*letter)).fold(0, |all, (_, bit)| all | bit);
    let mozilla = text("X-Mozilla-Status").and_then(|bits| u16::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0);
    let bits = [(1, Flags::SEEN), (2, Flags::ANSWERED), (4, Flags::FLAGGED), (8, Flags::DELETED)];
    system |= bits.iter().filter(|(bit, _)| mozilla & bit != 0).fold(0, |all, (_, flag)| all | flag);
    let words = text("X-Keywords").unwrap_or_default();
    with_keywords(system, words.split_whitespace().map(SmolStr::from))
}

/// The message without the fields that its mbox needed.
fn without_own_fields(octets: Vec<u8>, by_length: bool) -> Vec<u8> {
    let is_own =
        |field: &header::Field<'_>| OF_MBOX.iter().any(|name| field.is(name)) || (by_length && field.is("Content-Length"));
    let ranges: Vec<(usize, usize)> = header::fields(&octets).filter(is_own).map(|field| (field.start, field.end)).collect();
    if ranges.is_empty() {
        return octets;
    }
    let mut out = Vec::with_capacity(octets.len());
    let mut at = 0;
    for (start, end) in ranges {
        out.extend_from_slice(octets.get(at..start).unwrap_or_default());
        at = end;
    }
    out.extend_from_slice(octets.get(at..).unwrap_or_default());
    out
}

/// `ann@here.test Mon Nov 23 00:16:34 2026`, with or without a zone.
fn time_of(from: &[u8]) -> Option<i64> {
    let at = memchr::memchr(b' ', from)?;
    date::parse_rfc_5322(from.get(at + 1..)?).map(|date| date.unix_secs())
}

/// What X-Gmail-Labels says.
struct Labels(Vec<String>);

impl Labels {
    fn of(octets: &[u8]) -> Labels {
        let field = header::first(octets, "X-Gmail-Labels").map(|field| field.text().into_owned()).unwrap_or_default();
        Labels(
            field.split(',').map(|label| label.trim().trim_matches('"').to_owned()).filter(|label| !label.is_empty()).collect(),
        )
    }

    fn has(&self, names: &[&str]) -> bool {
        self.0.iter().any(|label| names.iter().any(|name| label.eq_ignore_ascii_case(name)))
    }

    /// Which of [`takeout_mailboxes`]; `None` is INBOX.
    fn place(&self) -> Option<usize> {
        if self.has(&["Trash", "Papierkorb"]) {
            Some(3)
        } else if self.has(&["Spam"]) {
            Some(2)
        } else if self.has(&["Inbox", "Posteingang"]) {
            None
        } else if self.has(&["Drafts", "Draft", "Entw\u{fc}rfe"]) {
            Some(1)
        } else if self.has(&["Sent", "Gesendet"]) {
            Some(0)
        } else {
            Some(4)
        }
    }

    fn flags(&self) -> Flags {
        let mut system = if self.has(&["Unread", "Ungelesen"]) { 0 } else { Flags::SEEN };
        if self.has(&["Starred", "Markiert"]) {
            system |= Flags::FLAGGED;
        }
        if self.has(&["Drafts", "Draft", "Entw\u{fc}rfe"]) {
            system |= Flags::DRAFT;
        }
        let own = ["Inbox", "Sent", "Drafts", "Draft", "Trash", "Spam", "Unread", "Opened", "Starred", "Archived", "All Mail"];
        let words = self.0.iter().filter(|label| !own.iter().any(|name| label.eq_ignore_ascii_case(name)));
        let word =
            |label: &String| if label.eq_ignore_ascii_case("Important") { Some("$Important".into()) } else { keyword_of(label) };
        with_keywords(system, words.filter_map(word))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn flags_of_mboxes() {
        let flags = flags_of(b"Status: RO\nX-Status: AF\nX-Keywords: $Forwarded work\n\n");
        assert_eq!(flags.system, Flags::SEEN | Flags::ANSWERED | Flags::FLAGGED);
        assert_eq!(flags.keywords.unwrap().len(), 2);
        assert_eq!(flags_of(b"X-Mozilla-Status: 0005\n\n").system, Flags::SEEN | Flags::FLAGGED);
        let text = b"A: b\nStatus: RO\nX-Keywords: a\n b\nC: d\n\nStatus: x\n".to_vec();
        assert_eq!(without_own_fields(text, false), b"A: b\nC: d\n\nStatus: x\n");
    }

    #[test]
    fn a_stream_says_what_a_file_says() {
        let text = "From a@x Mon Nov 23 00:16:34 2026\nStatus: RO\nSubject: 1\n\n>From me\n\nFrom b x\nSubject: 2\n\ntwo\n\nFrom b x\nSubject: 2\n\ntwo\n\n";
        let mut found = Vec::new();
        read_box(text.as_bytes(), 1_000, &mut |boxed| {
            found.push(boxed);
            true
        })
        .unwrap();
        assert_eq!(
            found.iter().map(|one| one.octets.as_ref()).collect::<Vec<_>>(),
            [&b"Subject: 1\r\n\r\nFrom me\r\n"[..], b"Subject: 2\r\n\r\ntwo\r\n", b"Subject: 2\r\n\r\ntwo\r\n"]
        );
        assert_eq!((found[0].flags.system, found[0].date_secs), (Flags::SEEN, 1_795_392_994));
        assert!(found[1].hash.ends_with("/0") && found[2].hash.ends_with("/1") && found[1].hash != found[2].hash);
        let read = |text: &str, max: u64| {
            let mut count = 0;
            let done = read_box(text.as_bytes(), max, &mut |_| {
                count += 1;
                count < 2
            });
            (count, done.is_ok())
        };
        assert_eq!(
            [read(text, 1_000), read("", 9), read("no\n", 9), read(text, 20)],
            [(2, true), (0, true), (0, false), (0, false)]
        );
    }

    #[test]
    fn labels_of_gmail() {
        let labels = Labels::of(b"X-Gmail-Labels: =?UTF-8?Q?Inbox,Important,Opened,Starred,Reise/=C3=96?=\r\n\r\n");
        assert_eq!(labels.place(), None);
        let flags = labels.flags();
        assert_eq!(flags.system, Flags::SEEN | Flags::FLAGGED);
        assert_eq!(flags.keywords.unwrap().as_ref(), ["$Important", "Reise/_"]);
        assert_eq!(Labels::of(b"X-Gmail-Labels: Archived,Unread\n\n").place(), Some(4));
    }

    #[test]
    fn times_of_from_lines() {
        assert_eq!(time_of(b"ann@here.test Mon Nov 23 00:16:34 2026"), Some(1_795_392_994));
        assert_eq!(time_of(b"1234@xxx Mon Nov 23 00:16:34 +0000 2026"), Some(1_795_392_994));
        assert_eq!(time_of(b"nothing"), None);
    }
}

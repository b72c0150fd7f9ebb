//! Doors for the fuzz targets (`fuzz/src/stored.rs`) to what only a disk speaks: stored values and segment files.
//!
//! Seals and checksums are put right first, so that what lies behind them is met with any octets: an older or newer
//! release, a collision. Invariant: what decodes is written and read the same. Not for use by anybody else.

#![doc(hidden)]
#![allow(clippy::expect_used, clippy::panic, clippy::missing_panics_doc, clippy::indexing_slicing)]

use crate::change_log::{decode_act, encode_act};
use crate::engine::Key;
use crate::engine::segment::{FILE_HEAD, FileHead, Manifest, Next, RECORD_HEAD, RecordHead, SegmentFile};
use crate::hash::xxh64;
use crate::rows::*;
use crate::types::*;
use crate::value::Writer;
use crate::{Acl, account, key, queue};
use std::io::Write as _;

fn sealed(at: &Key, content: &[u8]) -> Vec<u8> {
    let mut out = Writer::new();
    out.raw(content);
    out.seal(at)
}

/// `decode` of `content` under a good seal, and again of what `encode` makes of it: the same, as far as it shows.
fn row<T: std::fmt::Debug>(
    at: &Key,
    content: &[u8],
    decode: impl Fn(&Key, &[u8]) -> Result<T, StoreError>,
    encode: impl Fn(&Key, &T) -> Vec<u8>,
) {
    let Ok(value) = decode(at, &sealed(at, content)) else { return };
    let again = decode(at, &encode(at, &value));
    assert_eq!(format!("{:?}", again.ok()), format!("{:?}", Some(value)));
}

/// The change log has had two forms; the first octet chooses.
fn change(content: &[u8]) {
    let (at, Some((version, content))) = (key::change(AccountId(1), 5), content.split_first()) else { return };
    let mut out = Writer::new();
    out.raw(content);
    let Ok(act) = decode_act(&at, &out.seal_as(&at, 1 + version % 2)) else { return };
    assert_eq!(decode_act(&at, &encode_act(&at, &act)).ok(), Some(act));
}

/// Every kind of row. The first octet chooses.
pub fn stored_row(data: &[u8]) {
    let Some((kind, content)) = data.split_first() else { return };
    let (one, mailbox) = (AccountId(1), MailboxId(2));
    match kind % 10 {
        0 => row(&key::space(one), content, Counters::decode, |at, value| value.encode(at)),
        1 => row(&key::mailbox(one, mailbox), content, MailboxState::decode, |at, value| value.encode(at)),
        2 => row(&key::uid(one, mailbox, Uid(3)), content, decode_uid, encode_uid),
        3 => row(&key::email(EmailId(4)), content, EmailRecord::decode, |at, value| value.encode(at)),
        4 if content.len() < 64 => change(content),
        5 => row(&key::undo(one, 6, EmailId(7)), content, UndoRow::decode, |at, value| value.encode(at)),
        6 => row(&key::account(one), content, decode_account, encode_account),
        7 => row(&key::queue(QueueId(8)), content, queue::decode_entry, queue::encode_entry),
        8 => row(&key::idempotency(&[9; 16]), content, decode_accepted, |at, value| encode_accepted(at, 1, value)),
        _ => {
            if let Some(text) = crate::packing::unpack(content) {
                let mut again = Vec::new();
                assert!(!crate::packing::pack(&text, &mut again) || crate::packing::unpack(&again) == Some(text));
            }
            let at = key::account_gone(one);
            let _ = account::decode_gone(&at, &sealed(&at, content));
            let _ = decode_number(&at, &sealed(&at, content));
            let run = |at: &Key, stored: &[u8]| crate::saved::decode(at, stored).map(|(_, _, run)| run);
            row(&key::saved(one, mailbox, Uid(3)), content, run, |at, run| crate::saved::encode(at, *run));
            row(&key::acl(one, mailbox), content, Acl::decode, |at, value| value.encode(at));
        }
    }
    // As it lies there: without a good seal nothing is believed, whatever it would say.
    let at = key::account(one);
    let believed = decode_account(&at, data).is_ok();
    assert!(!believed || data.len() > 5);
}

/// A segment file of records with good and bad heads, read from its beginning to its end.
pub fn segment_file(data: &[u8]) {
    let salt = 0x5eed;
    let head = FileHead { number: 1, order: 1, salt, previous: None, rewritten: false };
    let mut bytes = head.encode();
    let mut rest = data;
    while let Some((&[how, len], behind)) = rest.split_first_chunk::<2>() {
        let (some, behind) = behind.split_at(usize::from(len).min(behind.len()));
        rest = behind;
        if how & 3 == 3 {
            bytes.extend_from_slice(some);
            continue;
        }
        if let Some(manifest) = Manifest::decode(some) {
            assert_eq!(Manifest::decode(&manifest.encode()).as_ref(), Some(&manifest));
        }
        // As `RecordHead` lies on disk (docs/store.md), its sums right or, with bit 2, not.
        let mut record = [0u8; RECORD_HEAD];
        record[..4].copy_from_slice(b"\xabPB\x01");
        record[4..8].copy_from_slice(&u32::from(len).to_le_bytes());
        record[8..16].copy_from_slice(&xxh64(some, salt).to_le_bytes());
        let bodies = if how & 8 == 0 { 0 } else { u64::MAX >> (how >> 4) };
        record[16..24].copy_from_slice(&bodies.to_le_bytes());
        record[24..32].copy_from_slice(&u64::from(how).to_le_bytes());
        let sum = xxh64(&record[..40], salt) ^ u64::from(how & 4);
        record[40..48].copy_from_slice(&sum.to_le_bytes());
        if let Some(head) = RecordHead::decode(&record, salt) {
            assert_eq!(RecordHead::decode(&head.encode(salt), salt), Some(head));
        }
        bytes.extend_from_slice(&record);
        bytes.extend_from_slice(some);
    }
    walk(&bytes);
}

fn walk(bytes: &[u8]) {
    let folder = ["/dev/shm", "/tmp"].into_iter().find(|path| std::path::Path::new(path).is_dir()).unwrap_or(".");
    let name = format!("packetboat-fuzz-{}-{:?}.segment", std::process::id(), std::thread::current().id());
    let path = std::path::Path::new(folder).join(name);
    std::fs::File::create(&path).and_then(|mut file| file.write_all(bytes)).expect("a scratch file");
    let file = SegmentFile::open(&path);
    let _ = std::fs::remove_file(&path);
    let Ok(Some(file)) = file else { panic!("a good head is not read") };
    for bodies in [false, true] {
        let mut at = FILE_HEAD;
        loop {
            let next = match file.next(at, bodies).expect("a file that can be read") {
                Next::End => break,
                Next::Record(record) | Next::BadBodies(record, _) => {
                    assert!(record.bodies_at() <= record.end() && record.end() <= bytes.len() as u64);
                    record.end()
                }
                Next::Torn(head) => at.saturating_add(head.total()),
                Next::Nonsense => at + 1,
            };
            assert!(next > at, "it goes in circles");
            at = next;
        }
    }
}

//! What damage, crashes in the middle of care, and acts that cross each other may cost: never what was acknowledged.
use super::durability::{killed, seen};
use super::*;
use crate::engine::embedded::{Embedded, Tuning};
use crate::engine::memory::Memory;
use crate::engine::segment::{FILE_HEAD, FileHead, Next, SegmentFile};
use crate::engine::{Batch, Key, NewBody, Outcome, Query, Version, commit};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const DELETED: Flags = Flags { system: Flags::DELETED, keywords: None };

fn segments(place: &Place) -> Vec<(PathBuf, u64)> {
    let folder = std::fs::read_dir(place.config().data_dir.join("segments")).unwrap();
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), path.metadata().unwrap().len())).collect()
}

fn scribble(path: &Path, at: u64) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut octet = [0];
    file.read_exact_at(&mut octet, at).unwrap();
    file.write_all_at(&[octet[0] ^ 1], at).unwrap();
}

/// Several small segments.
async fn segmented(place: &Place) -> AccountId {
    let store = Store::open_with(place.config(), Tuning { segment_bytes: 8000, ..Tuning::default() }).await.unwrap();
    let ann = ann(&store).await;
    for number in 0..30 {
        store.accept(acceptance(text(number), &[ann])).await.unwrap();
    }
    store.close().await.unwrap();
    assert!(segments(place).len() > 2);
    ann
}

/// Where the last record of a file ends; behind it may lie room.
fn end_of(path: &Path) -> u64 {
    let segment = SegmentFile::open(path).unwrap().unwrap();
    let mut at = FILE_HEAD;
    while let Next::Record(record) = segment.next(at, false).unwrap() {
        at = record.end();
    }
    at
}

/// One group of three acts, synced once, behind one act alone. Gives where its records begin, and the end.
async fn a_group_of_three(place: &Place) -> (Embedded, PathBuf, Vec<u64>) {
    let folder = place.config().data_dir;
    std::fs::create_dir_all(&folder).unwrap();
    // All by the thread, which alone makes groups.
    let none = std::time::Duration::ZERO;
    let tuning = Tuning { sync_cheap: none, sync_soon: none, ..Tuning::default() };
    let (engine, _) = Embedded::open(&folder, tuning).unwrap();
    let put = |name: u8| Batch { writes: vec![(Key::new(vec![0x50, name]), Some(vec![name; 300]))], ..Batch::default() };
    assert_eq!(commit(&engine, put(1)).await, Outcome::Done);
    let start = end_of(&segments(place)[0].0);
    // The committer stands still until all three wait.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (stands, standing) = std::sync::mpsc::channel::<()>();
    let still = super::super::engine::committer::Message::Control(Box::new(move || {
        stands.send(()).unwrap();
        wait.recv().unwrap();
    }));
    assert!(engine.send(still).is_ok());
    standing.recv().unwrap();
    let (answer, answers) = std::sync::mpsc::channel();
    for name in 2..5 {
        let answer = answer.clone();
        crate::engine::Engine::submit(&engine, put(name), Box::new(move |outcome| answer.send(outcome.clone()).unwrap()));
    }
    go.send(()).unwrap();
    (0..3).for_each(|_| assert_eq!(answers.recv().unwrap(), Outcome::Done));
    let path = segments(place)[0].0.clone();
    let segment = SegmentFile::open(&path).unwrap().unwrap();
    let mut places = vec![start];
    while let Next::Record(record) = segment.next(*places.last().unwrap(), true).unwrap() {
        assert_eq!(record.head.behind, Some(record.at - start));
        places.push(record.end());
    }
    assert_eq!(places.len(), 4);
    (engine, path, places)
}

fn has(folder: &Path, names: std::ops::Range<u8>) -> Vec<bool> {
    let connection = rusqlite::Connection::open(folder.join("index.sqlite")).unwrap();
    let one = |name| crate::engine::index::get(&connection, &Key::new(vec![0x50, name])).unwrap().is_some();
    names.map(one).collect()
}

#[tokio::test]
async fn a_group_that_reached_the_disk_out_of_order_is_a_torn_end_and_no_damage() {
    let place = Place::new();
    let (_running, path, places) = a_group_of_three(&place).await;
    let whole = std::fs::read(&path).unwrap();
    // Any of its pieces may be missing, also the head that tells which group it is.
    for (first, last) in [(0, 10), (0, 48), (0, 200), (places[1] - places[0], 48), (20, 600), (0, 900)] {
        let copy = killed(&place);
        super::durability::lose_index_log(&copy);
        let mut torn = whole.clone();
        let at = (places[0] + first) as usize;
        torn[at..at + last].fill(0);
        std::fs::write(copy.config().data_dir.join("segments").join(path.file_name().unwrap()), torn).unwrap();
        let (engine, defects) = Embedded::open(&copy.config().data_dir, Tuning::default()).unwrap();
        assert_eq!(defects, Vec::new(), "{first} {last}");
        assert_eq!(
            commit(&engine, Batch { writes: vec![(Key::new(vec![0x50, 9]), Some(vec![9]))], ..Batch::default() }).await,
            Outcome::Done
        );
        drop(engine);
        let there = has(&copy.config().data_dir, 1..10);
        assert!(there[0] && !there[2] && !there[3] && there[8], "{there:?}");
        assert!(Embedded::open(&copy.config().data_dir, Tuning::default()).unwrap().1.is_empty());
    }
}

/// Data directories of release 0.1.0 have records that do not tell their place in the group.
#[tokio::test]
async fn records_of_an_older_release_are_read_and_written_behind() {
    let place = Place::new();
    let ann = segmented(&place).await;
    let before = seen(&place.open().await).await;
    for (path, _) in segments(&place) {
        let segment = SegmentFile::open(&path).unwrap().unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let mut at = FILE_HEAD;
        while let Next::Record(record) = segment.next(at, true).unwrap() {
            let old = crate::engine::segment::RecordHead { behind: None, ..record.head };
            assert!(record.head.behind.is_some());
            file.write_all_at(&old.encode(segment.head.salt), at).unwrap();
            at = record.end();
        }
    }
    let store = place.open().await;
    assert_eq!(seen(&store).await, before);
    store.accept(acceptance(text(50), &[ann])).await.unwrap();
    let now = seen(&store).await;
    sound(&store).await;
    let copy = killed(&place);
    super::durability::lose_index_log(&copy);
    assert_eq!(seen(&copy.open().await).await, now);
    store.close().await.unwrap();
    assert_eq!(Store::rebuild(place.config()).await.unwrap().skipped, Vec::new());
    assert_eq!(seen(&place.open().await).await, now);
}

#[tokio::test]
async fn room_behind_the_end_is_written_over_is_no_damage_and_is_given_back() {
    let place = Place::new();
    let folder = place.config().data_dir;
    std::fs::create_dir_all(&folder).unwrap();
    let tuning = Tuning { sync_cheap: std::time::Duration::ZERO, ..Tuning::default() };
    let (engine, _) = Embedded::open(&folder, tuning).unwrap();
    let put = |name: u8| Batch { writes: vec![(Key::new(vec![0x50, name]), Some(vec![name; 300]))], ..Batch::default() };
    assert_eq!(commit(&engine, put(1)).await, Outcome::Done);
    let (path, length) = segments(&place)[0].clone();
    for name in 2..6 {
        assert_eq!(commit(&engine, put(name)).await, Outcome::Done);
    }
    assert_eq!(segments(&place)[0].1, length, "its size has not changed");
    assert!(end_of(&path) + 500_000 < length);
    let copy = killed(&place);
    let (again, defects) = Embedded::open(&copy.config().data_dir, Tuning::default()).unwrap();
    assert_eq!(defects, Vec::new());
    assert_eq!(segments(&copy)[0].1, end_of(&path), "cut where the stream ends");
    assert_eq!(commit(&again, put(7)).await, Outcome::Done);
    drop(again);
    drop(engine);
    assert_eq!((segments(&place)[0].1, records(&path).1), (end_of(&path), 5));
    assert_eq!(has(&copy.config().data_dir, 1..8), [true, true, true, true, true, false, true]);
}

#[tokio::test]
async fn a_hole_in_an_older_group_is_damage() {
    let place = Place::new();
    let (_running, path, places) = a_group_of_three(&place).await;
    let copy = killed(&place);
    super::durability::lose_index_log(&copy);
    scribble(&copy.config().data_dir.join("segments").join(path.file_name().unwrap()), places[0] - 200);
    let (_engine, defects) = Embedded::open(&copy.config().data_dir, Tuning::default()).unwrap();
    assert_eq!(defects.len(), 1);
    drop(_engine);
    assert_eq!(has(&copy.config().data_dir, 1..5), [false, true, true, true]);
}

#[tokio::test]
async fn a_rebuild_never_takes_what_an_index_knew_for_a_torn_end() {
    let place = Place::new();
    let ann = segmented(&place).await;
    let (path, length) = segments(&place).pop().unwrap();
    scribble(&path, length - 3);
    let rebuilt = Store::rebuild(place.config()).await.unwrap();
    assert_eq!(rebuilt.skipped.len(), 1, "{:?}", rebuilt.skipped);
    assert!(path.metadata().unwrap().len() >= length, "damage is nobody's to throw away");
    let store = place.open().await;
    let inbox = inbox(&store, ann).await;
    assert_eq!(uids(&store, ann, inbox).await.len(), 30, "its body is damaged, its row is there");
    store.accept(acceptance(text(99), &[ann])).await.unwrap();
    store.close().await.unwrap();
    Store::rebuild(place.config()).await.unwrap();
    assert_eq!(uids(&place.open().await, ann, inbox).await.len(), 31);
}

#[tokio::test]
async fn damaged_rows_stop_neither_care_nor_writing() {
    let place = Place::new();
    let ann = segmented(&place).await;
    let store = Store::open_with(place.config(), Tuning { segment_bytes: 8000, ..Tuning::default() }).await.unwrap();
    let inbox = inbox(&store, ann).await;
    store.expunge(ann, inbox, &(1..=28).map(Uid).collect::<Vec<_>>(), NOW).await.unwrap();
    let aside = store.undo_list(ann, 100).await.unwrap();
    store.close().await.unwrap();
    let index = rusqlite::Connection::open(place.config().data_dir.join("index.sqlite")).unwrap();
    let flip = |table: &str, column: &str, key: &dyn rusqlite::ToSql| {
        let read = format!("SELECT value FROM {table} WHERE {column}=?1");
        let mut value: Vec<u8> = index.query_row(&read, [key], |row| row.get(0)).unwrap();
        *value.last_mut().unwrap() ^= 8;
        let changed = index.execute(&format!("UPDATE {table} SET value=?1 WHERE {column}=?2"), rusqlite::params![value, key]);
        assert_eq!(changed.unwrap(), 1);
    };
    let counts: Vec<Vec<u8>> = (1..4u32).map(|file| [&[0xf3][..], &file.to_be_bytes()[..]].concat()).collect();
    counts.iter().for_each(|key| flip("kv", "key", key));
    let first_body: i64 = index.query_row("SELECT min(id) FROM body", [], |row| row.get(0)).unwrap();
    flip("body", "id", &first_body);
    flip("kv", "key", &crate::key::undo(ann, NOW, aside[3].email).bytes().to_vec());
    drop(index);
    let store = Store::open_with(place.config(), Tuning { segment_bytes: 8000, ..Tuning::default() }).await.unwrap();
    assert!(store.check().await.unwrap().len() >= 5);
    store.accept(acceptance(text(77), &[ann])).await.unwrap();
    let told = store.maintain(NOW + 31 * 86_400).await;
    assert!(matches!(told, Err(StoreError::Damaged(_))), "what could not be done is told: {told:?}");
    let left = store.undo_list(ann, 100).await.unwrap();
    assert!(left.len() <= 1, "all the others are erased: {left:?}");
    let rewritten = || segments(&place).iter().filter(|(path, _)| records(path).0.rewritten).count();
    assert_eq!(rewritten(), 0, "nothing of the truth is thrown away on the word of a damaged view");
    assert_eq!(uids(&store, ann, inbox).await, [29, 30, 31]);
    store.close().await.unwrap();
    assert_eq!(Store::rebuild(place.config()).await.unwrap().skipped, Vec::new());
    let store = place.open().await;
    store.maintain(NOW + 31 * 86_400).await.unwrap();
    assert!(rewritten() >= 2, "{} rewritten", rewritten());
    sound(&store).await;
}

#[tokio::test]
async fn a_segment_cut_off_in_its_making_is_removed() {
    let place = Place::new();
    segmented(&place).await;
    let path = place.config().data_dir.join("segments").join("00000099.segment");
    for content in [&b""[..], &[0; 10], &[0; FILE_HEAD as usize]] {
        std::fs::write(&path, content).unwrap();
        let store = place.open().await;
        assert!(!path.exists());
        sound(&store).await;
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_queue_row_damaged_in_the_index_comes_back_with_rebuild() {
    let place = Place::new();
    let store = place.open().await;
    let ann = ann(&store).await;
    let mut one = acceptance(text(1), &[ann]);
    one.queue.push(super::durability::queue_entry("carol@there.test"));
    store.accept(one).await.unwrap();
    let id = store.queue_list(None, 9).await.unwrap()[0].id;
    store.close().await.unwrap();
    let index = rusqlite::Connection::open(place.config().data_dir.join("index.sqlite")).unwrap();
    let at = crate::key::queue(id).bytes().to_vec();
    assert_eq!(index.execute("UPDATE kv SET value=value||x'00' WHERE key=?1", [at]).unwrap(), 1);
    drop(index);
    let store = place.open().await;
    assert_eq!(store.queue_due(NOW, 9).await.unwrap().0.len(), 0);
    assert_eq!(store.queue_bad().await.unwrap().len(), 1, "set aside");
    assert!(store.queue_entry(id).await.unwrap().is_none() && store.queue_is_there(id).await.unwrap(), "and not over");
    assert!(!store.queue_is_there(QueueId(id.0 + 1)).await.unwrap());
    store.close().await.unwrap();
    Store::rebuild(place.config()).await.unwrap();
    let store = place.open().await;
    assert_eq!(store.queue_due(NOW, 9).await.unwrap().0[0].id, id);
    assert_eq!(store.queue_bad().await.unwrap().len(), 0);
    sound(&store).await;
}

#[tokio::test]
async fn a_damaged_row_of_the_directory_costs_itself() {
    let place = Place::new();
    let store = place.open().await;
    let addresses = ["ann@here.test", "bob@here.test", "cat@here.test"];
    let ids = store.accounts_add(addresses.iter().map(|address| new_account(address)).collect(), NOW).await.unwrap();
    for address in ["all@here.test", "some@here.test"] {
        store.alias_add(Alias { address: address.into(), targets: vec!["ann@here.test".into()] }).await.unwrap();
    }
    assert!(store.directory_damage().await.unwrap().is_empty());
    store.close().await.unwrap();
    let index = rusqlite::Connection::open(place.config().data_dir.join("index.sqlite")).unwrap();
    for key in [crate::key::account(ids[0]), crate::key::address("cat@here.test"), crate::key::alias("all@here.test")] {
        let changed = index.execute("UPDATE kv SET value=value||x'00' WHERE key=?1", [key.bytes().to_vec()]);
        assert_eq!(changed.unwrap(), 1);
    }
    drop(index);
    let store = place.open().await;
    for page in [1, 2, 1000] {
        let found = store.account_list(None, page).await.unwrap();
        assert_eq!(found.iter().map(|account| account.address.as_str()).collect::<Vec<_>>(), ["bob@here.test"], "{page}");
        assert!(store.account_list(Some("bob@here.test"), page).await.unwrap().is_empty());
    }
    assert_eq!(store.alias_list().await.unwrap()[0].address, "some@here.test");
    let damage = store.directory_damage().await.unwrap();
    let told = |word: &str| damage.iter().filter(|what| what.starts_with(word)).count();
    assert_eq!((damage.len(), told("account ann@"), told("account cat@"), told("alias all@")), (3, 1, 1, 1), "{damage:?}");
    store.close().await.unwrap();
    Store::rebuild(place.config()).await.unwrap();
    let store = place.open().await;
    assert_eq!((store.account_list(None, 9).await.unwrap().len(), store.alias_list().await.unwrap().len()), (3, 2));
    sound(&store).await;
}

#[tokio::test]
async fn an_undo_row_under_a_damaged_key_erases_nothing() {
    let place = Place::new();
    let store = place.open().await;
    let ann = ann(&store).await;
    let inbox = inbox(&store, ann).await;
    for number in 0..2 {
        store.accept(acceptance(text(number), &[ann])).await.unwrap();
    }
    let emails: Vec<EmailId> = store.snapshot(ann, inbox).await.unwrap().rows.iter().map(|row| row.email).collect();
    store.expunge(ann, inbox, &[Uid(1)], NOW).await.unwrap();
    store.close().await.unwrap();
    let index = rusqlite::Connection::open(place.config().data_dir.join("index.sqlite")).unwrap();
    let keys = emails.iter().map(|email| crate::key::undo(ann, NOW, *email).bytes().to_vec()).collect::<Vec<_>>();
    assert_eq!(index.execute("UPDATE kv SET key=?2 WHERE key=?1", rusqlite::params![keys[0], keys[1]]).unwrap(), 1);
    drop(index);
    let store = place.open().await;
    assert!(matches!(store.maintain(NOW + 31 * 86_400).await, Err(StoreError::Damaged(_))));
    assert_eq!(store.body(ann, emails[1], 0, u64::MAX).await.unwrap(), text(1), "it is in its mailbox");
    store.close().await.unwrap();
    Store::rebuild(place.config()).await.unwrap();
    let store = place.open().await;
    sound(&store).await;
    store.maintain(NOW + 31 * 86_400).await.unwrap();
    assert_eq!((uids(&store, ann, inbox).await, store.undo_list(ann, 9).await.unwrap().len()), (vec![2], 0));
    sound(&store).await;
}

#[tokio::test]
async fn a_damaged_head_of_the_newest_segment_costs_nothing_while_the_index_is_there() {
    let place = Place::new();
    let ann = segmented(&place).await;
    let before = seen(&place.open().await).await;
    let files = segments(&place);
    scribble(&files.last().unwrap().0, 20);
    for number in 100..103 {
        let store = place.open().await;
        if number == 100 {
            assert_eq!(seen(&store).await, before);
        }
        store.accept(acceptance(text(number), &[ann])).await.unwrap();
        store.close().await.unwrap();
        let now = segments(&place);
        assert!(files.iter().zip(&now).all(|(old, new)| old == new), "{files:?} {now:?}");
    }
    let store = place.open().await;
    assert_eq!(uids(&store, ann, inbox(&store, ann).await).await, (1..=33).collect::<Vec<_>>());
    store.close().await.unwrap();
    let rebuilt = Store::rebuild(place.config()).await.unwrap();
    assert!(!rebuilt.skipped.is_empty(), "what could not be read is told");
    let store = place.open().await;
    store.accept(acceptance(text(9), &[ann])).await.unwrap();
    store.close().await.unwrap();
    assert!(files.iter().zip(segments(&place)).all(|(old, new)| *old == new), "damage is nobody's to throw away");
}

#[tokio::test]
async fn a_rebuild_tells_of_a_newest_segment_without_a_head_and_leaves_it() {
    let place = Place::new();
    let ann = segmented(&place).await;
    let files = segments(&place);
    scribble(&files.last().unwrap().0, 20);
    let rebuilt = Store::rebuild(place.config()).await.unwrap();
    assert!(rebuilt.skipped.iter().any(|defect| defect.what.contains("head")), "{:?}", rebuilt.skipped);
    let store = Store::open_with(place.config(), Tuning { segment_bytes: 8000, ..Tuning::default() }).await.unwrap();
    for number in 0..30 {
        store.accept(acceptance(text(number), &[ann])).await.unwrap();
    }
    let old = files.last().unwrap();
    assert_eq!(old.0.metadata().unwrap().len(), old.1);
}

#[tokio::test]
async fn missing_segments_are_told_and_nothing_is_cut() {
    let place = Place::new();
    segmented(&place).await;
    let files = segments(&place);
    std::fs::remove_file(&files.last().unwrap().0).unwrap();
    assert!(matches!(Store::open(place.config()).await.err(), Some(StoreError::Damaged(_))));
    assert_eq!(segments(&place), files.split_last().unwrap().1);
}

#[tokio::test]
async fn damage_before_a_later_file_is_no_torn_end() {
    let place = Place::new();
    segmented(&place).await;
    let files = segments(&place);
    let (newest, before) = (files.last().unwrap(), &files[files.len() - 2]);
    // The last record of one file, and the first of the next.
    scribble(&before.0, before.1 - 3);
    scribble(&newest.0, FILE_HEAD + 1);
    let rebuilt = Store::rebuild(place.config()).await.unwrap();
    assert!(!rebuilt.skipped.is_empty());
    let now = segments(&place);
    assert!(now.contains(before) && now.iter().any(|(path, _)| *path == newest.0), "{files:?} {now:?}");
}

#[tokio::test]
async fn an_act_without_a_record_does_not_move_the_end_of_a_new_segment() {
    let place = Place::new();
    let folder = place.config().data_dir;
    std::fs::create_dir_all(&folder).unwrap();
    let (engine, _) = Embedded::open(&folder, Tuning { segment_bytes: 20_000, ..Tuning::default() }).unwrap();
    let key = |name: u8| Key::new(vec![0x50, name]);
    let body = |id: u64, length: usize| {
        let content = Spooled::from_bytes(Bytes::from(vec![7; length]));
        NewBody { id: BodyId(id), refs: 1, content, note: None }
    };
    let put = |name: u8, bodies| Batch { writes: vec![(key(name), Some(vec![1]))], bodies, ..Batch::default() };
    assert_eq!(commit(&engine, put(1, vec![body(1, 10_000)])).await, Outcome::Done);
    // Room is made for this one; then it is refused.
    let refused = Batch { expects: vec![(key(1), Version::ABSENT)], ..put(2, vec![body(2, 15_000)]) };
    assert_eq!(commit(&engine, refused).await, Outcome::Conflict);
    let light = Batch { light: true, ..put(3, Vec::new()) };
    assert_eq!(commit(&engine, light).await, Outcome::Done);
    assert_eq!(commit(&engine, put(4, Vec::new())).await, Outcome::Done);
    let copy = killed(&place);
    super::durability::lose_index_log(&copy);
    let (_again, defects) = Embedded::open(&copy.config().data_dir, Tuning::default()).unwrap();
    assert_eq!(defects, Vec::new());
    let ends: Vec<u64> = segments(&place).into_iter().map(|(path, _)| end_of(&path)).collect();
    assert!(ends.len() == 2 && ends[1] < 1000, "{ends:?}");
}

fn records(path: &Path) -> (FileHead, usize) {
    let segment = SegmentFile::open(path).unwrap().unwrap();
    let (mut at, mut count) = (FILE_HEAD, 0);
    while let Next::Record(record) = segment.next(at, true).unwrap() {
        at = record.end();
        count += 1;
    }
    (segment.head, count)
}

#[tokio::test]
async fn what_failed_behind_the_end_of_a_segment_is_not_rewritten_into_it() {
    let place = Place::new();
    let ann = segmented(&place).await;
    let files = segments(&place);
    let old: Vec<(FileHead, usize)> = files.iter().map(|(path, _)| records(path)).collect();
    // As a group leaves it that failed and could not be cut off: good records that do not count.
    let (first, length) = &files[0];
    let stale = std::fs::read(first).unwrap().split_off(FILE_HEAD as usize);
    std::fs::File::options().write(true).open(first).unwrap().write_all_at(&stale, *length).unwrap();
    let store = place.open().await;
    let inbox = inbox(&store, ann).await;
    store.expunge(ann, inbox, &(1..=30).map(Uid).collect::<Vec<_>>(), NOW).await.unwrap();
    store.maintain(NOW + 31 * 86_400).await.unwrap();
    let mut rewritten = 0;
    for (path, _) in segments(&place) {
        let (head, count) = records(&path);
        if let Some((was, records)) = old.iter().find(|(was, _)| head.rewritten && was.order == head.order) {
            assert_eq!((head.previous, count), (was.previous, *records));
            rewritten += 1;
        }
    }
    assert!(rewritten > 1);
    sound(&store).await;
}

#[tokio::test]
async fn a_rebuild_cut_short_is_done_again() {
    let place = Place::new();
    segmented(&place).await;
    let before = seen(&place.open().await).await;
    std::fs::write(place.config().data_dir.join(crate::rebuild::MARK), "").unwrap();
    assert!(matches!(Store::open(place.config()).await.err(), Some(StoreError::Damaged(_))));
    assert_eq!(Store::rebuild(place.config()).await.unwrap().skipped, Vec::new());
    let store = place.open().await;
    assert_eq!(seen(&store).await, before);
    sound(&store).await;
}

/// Two acts of which the second was prepared before the first took hold.
async fn crossing<A, B>(engine: &Memory, first: A, second: B) -> (A::Output, B::Output)
where
    A: Future<Output: Send> + Send + 'static,
    B: Future<Output: Send> + Send + 'static,
{
    engine.pause();
    let first = tokio::spawn(first);
    while engine.waiting() < 1 {
        tokio::task::yield_now().await;
    }
    let second = tokio::spawn(second);
    while engine.waiting() < 2 {
        tokio::task::yield_now().await;
    }
    engine.resume();
    (first.await.unwrap(), second.await.unwrap())
}

async fn on_memory() -> (Arc<Memory>, Store, AccountId, MailboxId) {
    let engine = Arc::new(Memory::default());
    let store = Store::on_engine(Place::new().config(), Box::new(engine.clone()), None, None).await.unwrap();
    let ann = ann(&store).await;
    let inbox = inbox(&store, ann).await;
    (engine, store, ann, inbox)
}

#[tokio::test]
async fn restored_while_it_is_erased_is_one_or_the_other() {
    let (engine, store, ann, inbox) = on_memory().await;
    store.accept(acceptance(text(1), &[ann])).await.unwrap();
    let message = store.snapshot(ann, inbox).await.unwrap().rows.iter().next().unwrap().email;
    store.expunge(ann, inbox, &[Uid(1)], NOW).await.unwrap();
    let (erasing, restoring) = (store.clone(), store.clone());
    let erase = async move { erasing.maintain(NOW + 31 * 86_400).await };
    let restore = async move { restoring.undo_restore(ann, &[message], NOW + 1).await };
    let (erased, restored) = crossing(&engine, erase, restore).await;
    assert_eq!((erased, restored), (Ok(()), Ok(Vec::new())));
    assert_eq!(uids(&store, ann, inbox).await, Vec::<u32>::new());
    sound(&store).await;
}

#[tokio::test]
async fn what_cannot_be_erased_does_not_keep_care_busy_for_ever() {
    let (engine, store, ann, inbox) = on_memory().await;
    store.accept(acceptance(text(1), &[ann])).await.unwrap();
    store.expunge(ann, inbox, &[Uid(1)], NOW).await.unwrap();
    let found = crate::engine::Engine::read(&engine, vec![Query::Bodies { after: BodyId(0), limit: 9 }]).await.unwrap();
    let crate::engine::Found::Bodies(bodies) = &found[0] else { panic!("bodies") };
    let lost = Batch { release: vec![(bodies[0].0, 1)], ..Batch::default() };
    assert_eq!(commit(&engine, lost).await, Outcome::Done);
    let told = tokio::time::timeout(std::time::Duration::from_secs(10), store.maintain(NOW + 31 * 86_400)).await;
    assert!(matches!(told, Ok(Err(StoreError::Damaged(_)))), "{told:?}");
}

#[tokio::test]
async fn expunge_takes_only_what_is_deleted_when_it_is_done() {
    for (_place, store) in both().await {
        let ann = ann(&store).await;
        let inbox = inbox(&store, ann).await;
        for number in 0..4 {
            store.accept(acceptance(text(number), &[ann])).await.unwrap();
        }
        let all = [Uid(1), Uid(2), Uid(3), Uid(4)];
        store.flags(ann, inbox, &all[..3], FlagOp::Add, &DELETED, None).await.unwrap();
        // What one session saw as \Deleted, another has taken back.
        store.flags(ann, inbox, &[Uid(2)], FlagOp::Remove, &DELETED, None).await.unwrap();
        assert_eq!(store.expunge_deleted(ann, inbox, &[Uid(2), Uid(4), Uid(9)], NOW).await.unwrap(), []);
        assert_eq!(store.expunge_deleted(ann, inbox, &all, NOW).await.unwrap(), [Uid(1), Uid(3)]);
        assert_eq!(uids(&store, ann, inbox).await, [2, 4]);
        sound(&store).await;
    }
}

#[tokio::test]
async fn taking_deleted_back_is_seen_by_an_expunge_right_behind_it() {
    let (engine, store, ann, inbox) = on_memory().await;
    store.accept(acceptance(text(1), &[ann])).await.unwrap();
    store.flags(ann, inbox, &[Uid(1)], FlagOp::Add, &DELETED, None).await.unwrap();
    engine.pause();
    let taking = store.clone();
    let back = tokio::spawn(async move { taking.flags(ann, inbox, &[Uid(1)], FlagOp::Remove, &DELETED, None).await });
    while engine.waiting() < 1 {
        tokio::task::yield_now().await;
    }
    let expunging = store.clone();
    let expunge = tokio::spawn(async move { expunging.expunge_deleted(ann, inbox, &[Uid(1)], NOW).await });
    tokio::task::yield_now().await;
    engine.resume();
    assert!(back.await.unwrap().is_ok());
    assert_eq!(expunge.await.unwrap(), Ok(Vec::new()));
    assert_eq!(uids(&store, ann, inbox).await, [1]);
}

#[tokio::test]
async fn a_message_that_lost_a_piece_is_no_message() {
    let mut spool = crate::Spool::new(Some(PathBuf::from("/nowhere/at/all")));
    assert!(spool.write(&vec![b'a'; 300_000]).await.is_err());
    let _ = spool.write(b"the rest").await;
    assert!(spool.finish().await.is_err());
}

//! A flipped bit anywhere, in segments or index: found by `check`, served to nobody as good, and it costs one record.
//!
//! A sample of all octets; `STORE_FLIP_STEP=1` (`make soak`) takes every one.
use super::durability::{killed, queue_entry};
use super::*;
use crate::key;
use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::Path;

fn step(usual: usize) -> usize {
    std::env::var("STORE_FLIP_STEP").map_or(usual, |told| told.parse().unwrap())
}

/// A part of it all: from the octet at which a run failed (`STORE_FLIP_FIRST`) up to another (`STORE_FLIP_LAST`).
fn part() -> std::ops::RangeInclusive<usize> {
    let told = |name, usual| std::env::var(name).map_or(usual, |told| told.parse().unwrap());
    told("STORE_FLIP_FIRST", 0)..=told("STORE_FLIP_LAST", usize::MAX)
}

fn flip(path: &Path, at: u64, bit: u8) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let mut octet = [0];
    file.read_exact_at(&mut octet, at).unwrap();
    file.write_all_at(&[octet[0] ^ (1 << bit)], at).unwrap();
}

/// A little of every kind of row, closed.
async fn a_life(place: &Place) {
    let store = place.open().await;
    let ann = ann(&store).await;
    store.alias_add(Alias { address: "all@here.test".into(), targets: vec!["ann@here.test".into()] }).await.unwrap();
    let inbox = inbox(&store, ann).await;
    for number in 0..12 {
        let mut one = acceptance(text(number), &[ann]);
        if number % 4 == 0 {
            one.queue.push(queue_entry("carol@there.test"));
        }
        one.idempotency = (number % 5 == 0).then_some([number as u8; 16]);
        store.accept(one).await.unwrap();
    }
    // The second is of the conversation that the first is of, though it does not say so.
    for (answer, answered) in [("a", "5"), ("b", "a")] {
        let octets = format!("Message-ID: <{answer}@there.test>\r\nIn-Reply-To: <{answered}@there.test>\r\n\r\nyes\r\n");
        store.accept(acceptance(octets.into(), &[ann])).await.unwrap();
    }
    let archive = store.mailbox(ann, "Archive").await.unwrap().unwrap().id;
    let seen = Flags { system: Flags::SEEN, keywords: Some(Arc::from([smol_str::SmolStr::new("kept")])) };
    store.flags(ann, inbox, &[Uid(2), Uid(3)], FlagOp::Add, &seen, None).await.unwrap();
    store.copy(ann, inbox, &[Uid(4)], archive).await.unwrap();
    store.expunge(ann, inbox, &[Uid(1), Uid(7)], NOW).await.unwrap();
    store.mailbox_subscribe(ann, "Elsewhere", true).await.unwrap();
    store.close().await.unwrap();
}

/// Takes what could be read; an error must say that something is damaged.
fn take<T>(found: Result<T, StoreError>, at: &str) -> Option<T> {
    match found {
        Ok(value) => Some(value),
        Err(StoreError::Damaged(_) | StoreError::NotFound) => None,
        Err(StoreError::Io(why)) if why.contains("index") => None,
        Err(error) => panic!("{at}: {error:?}"),
    }
}

/// One line for each thing that is served.
async fn served(store: &Store, at: &str) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for account in take(store.account_list(None, 1000).await, at).unwrap_or_default() {
        lines.insert(format!("{account:?}"));
        take(store.account_usage(account.id).await, at).map(|usage| lines.insert(format!("{usage:?}")));
        take(store.subscriptions_elsewhere(account.id).await, at).map(|names| lines.insert(format!("{names:?}")));
        for undo in take(store.undo_list(account.id, 100).await, at).unwrap_or_default() {
            lines.insert(format!("aside {:?} {:?} {}", undo.email, undo.mailbox_name, undo.size_bytes));
        }
        let Some(mailboxes) = take(store.mailboxes(account.id).await, at) else { continue };
        for mailbox in mailboxes.iter() {
            lines.insert(format!("{mailbox:?}"));
            take(store.status(account.id, mailbox.id).await, at)
                .map(|status| lines.insert(format!("{} {status:?}", mailbox.name)));
            let Some(snapshot) = take(store.snapshot(account.id, mailbox.id).await, at) else { continue };
            for row in snapshot.rows.iter() {
                lines.insert(format!("{} {row:?}", mailbox.name));
                let body = take(store.body(account.id, row.email, 0, u64::MAX).await, at);
                body.map(|octets| lines.insert(format!("{} {:?} {octets:?}", mailbox.name, row.uid)));
                let facts = take(store.facts(account.id, &[row.email]).await, at).unwrap_or_default();
                lines.insert(format!("{} {:?} {:?}", mailbox.name, row.uid, facts));
            }
        }
    }
    for alias in take(store.alias_list().await, at).unwrap_or_default() {
        lines.insert(format!("{alias:?}"));
    }
    for entry in take(store.queue_list(None, 100).await, at).unwrap_or_default() {
        let body = take(store.queue_body(entry.body, 0, u64::MAX).await, at);
        lines.insert(format!("{entry:?} {body:?}"));
    }
    lines
}

/// Lines of messages that are not there any more, without those that only tell counts.
fn messages(lines: &BTreeSet<String>) -> usize {
    lines.iter().filter(|line| line.contains("MessageRow")).count()
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_a_segment_is_found_and_costs_one_record() {
    let place = Place::new();
    a_life(&place).await;
    let whole = served(&killed(&place).open().await, "whole").await;
    let name = Path::new("segments").join("00000001.segment");
    let length = place.config().data_dir.join(&name).metadata().unwrap().len() as usize;
    let places = (0..64).step_by(step(7)).chain((64..length).step_by(step(89))).filter(|at| part().contains(at));
    let mut flips = 0;
    for at in places {
        let copy = killed(&place);
        flip(&copy.config().data_dir.join(&name), at as u64, (at % 8) as u8);
        let store = copy.open().await;
        let told = format!("segment octet {at}");
        assert!(!store.check().await.unwrap().is_empty(), "{told}: not found");
        let now = served(&store, &told).await;
        assert!(messages(&now) == messages(&whole), "{told}: the index serves every row");
        let lost: Vec<&String> = whole.difference(&now).collect();
        // A message whose octets are damaged may lie in two mailboxes and in the queue.
        assert!(lost.len() <= 4, "{told}: {lost:#?}");
        store.accept(acceptance(text(99), &[AccountId(1)])).await.unwrap();
        flips += 1;
    }
    println!("{flips} octets");
    assert!(flips > 50);
}

/// The words of a table that nobody reads often, in the midst of a page whose checks all pass.
#[tokio::test]
async fn a_flipped_bit_in_the_words_of_any_table_is_found() {
    let place = Place::new();
    a_life(&place).await;
    let index = std::fs::read(place.config().data_dir.join("index.sqlite")).unwrap();
    for name in ["kv(", "ledger_81(", "ledger_82(", "body(", "note("] {
        let words = format!("CREATE TABLE {name}");
        let at = index.windows(words.len()).position(|octets| octets == words.as_bytes()).unwrap() + words.len();
        for at in [at, at + 20, at + 28] {
            let copy = killed(&place);
            flip(&copy.config().data_dir.join("index.sqlite"), at as u64, 0);
            let Some(store) = take(Store::open(copy.config()).await, name) else { continue };
            assert!(!store.check().await.is_ok_and(|defects| defects.is_empty()), "{name} at {at}: not found");
        }
    }
}

/// Where these octets lie, once each, in a file.
fn places_of(path: &Path, octets: &[u8]) -> Vec<usize> {
    let all = std::fs::read(path).unwrap();
    all.windows(octets.len()).enumerate().filter(|(_, window)| *window == octets).map(|(at, _)| at).collect()
}

/// What is kept ready of a message: derived, so that nobody would miss it.
#[tokio::test]
async fn a_flipped_bit_in_the_note_of_a_message_is_found_and_mends_itself() {
    let place = Place::new();
    a_life(&place).await;
    let index = Path::new("index.sqlite");
    let untouched = killed(&place);
    let store = untouched.open().await;
    let whole = served(&store, "whole").await;
    let email = store.snapshot(AccountId(1), MailboxId(1)).await.unwrap().rows.iter().next().unwrap().email;
    let body = store.inner.email_records(AccountId(1), &[email]).await.unwrap()[0].as_ref().unwrap().body;
    let found = store.inner.engine.read(vec![crate::engine::Query::Notes(vec![body])]).await.unwrap().remove(0);
    let note = found.values().remove(0).unwrap();
    let found = places_of(&place.config().data_dir.join(index), &note);
    assert_eq!(found.len(), 1, "one row");
    // Before it: a version, and the sum.
    for octet in (found[0] - 5..found[0] + note.len()).step_by(3) {
        let (copy, told) = (killed(&place), format!("octet {octet}"));
        flip(&copy.config().data_dir.join(index), octet as u64, (octet % 8) as u8);
        let store = copy.open().await;
        assert_eq!(store.check().await.unwrap().len(), 1, "{told}: not found");
        let now = served(&store, &told).await;
        assert_eq!(whole.symmetric_difference(&now).collect::<Vec<_>>(), Vec::<&String>::new(), "{told}");
        sound(&store).await;
    }
}

/// The row that keeps the flags an act gave to many: under a wrong key, or not what it was.
#[tokio::test]
async fn flags_given_to_many_are_served_though_their_row_is_lost() {
    let place = Place::new();
    a_life(&place).await;
    let whole = served(&killed(&place).open().await, "whole").await;
    let at = key::flags(AccountId(1), MailboxId(1));
    let index = Path::new("index.sqlite");
    let found = places_of(&place.config().data_dir.join(index), at.bytes());
    assert_eq!(found.len(), 1, "one row");
    for octet in found[0]..found[0] + at.bytes().len() + 12 {
        let (copy, bit, told) = (killed(&place), (octet % 8) as u8, format!("octet {octet}"));
        flip(&copy.config().data_dir.join(index), octet as u64, bit);
        let store = copy.open().await;
        assert!(!store.check().await.unwrap().is_empty(), "{told}: not found");
        let now = served(&store, &told).await;
        assert_eq!(now.difference(&whole).collect::<Vec<_>>(), Vec::<&String>::new(), "{told}");
        // Under a wrong key it is in its neighbours' way, too: of them some are not found.
        assert!(octet < found[0] + at.bytes().len() || now == whole, "{told}");
        // What it is made from is looked at once, and what is given to many now stands on it.
        let many = [Uid(3), Uid(5)];
        store.flags(AccountId(1), MailboxId(1), &many, FlagOp::Add, &FLAGGED, None).await.unwrap();
        let before = served(&store, &told).await;
        store.close().await.unwrap();
        Store::rebuild(copy.config()).await.unwrap();
        let store = copy.open().await;
        sound(&store).await;
        let rebuilt = served(&store, &told).await;
        assert_eq!(before.difference(&rebuilt).collect::<Vec<_>>(), Vec::<&String>::new(), "{told}: rebuilt");
        assert_eq!(messages(&rebuilt), messages(&whole), "{told}: rebuilt");
    }
}

const FLAGGED: Flags = Flags { system: Flags::FLAGGED, keywords: None };

/// Neither the index nor a segment has them: nobody is told others, and `rebuild` says that they are lost.
#[tokio::test]
async fn flags_that_are_lost_are_never_served_as_if_they_were_not() {
    let place = Place::new();
    a_life(&place).await;
    let (ann, inbox, at) = (AccountId(1), MailboxId(1), key::flags(AccountId(1), MailboxId(1)));
    for name in ["index.sqlite", "segments/00000001.segment"] {
        let path = place.config().data_dir.join(name);
        flip(&path, *places_of(&path, at.bytes()).last().unwrap() as u64 + 8, 0);
    }
    let store = place.open().await;
    let refused = store.snapshot(ann, inbox).await;
    assert!(matches!(refused, Err(StoreError::Damaged(_))), "{refused:?}");
    let refused = store.flags(ann, inbox, &[Uid(5)], FlagOp::Add, &FLAGGED, None).await;
    assert!(matches!(refused, Err(StoreError::Damaged(_))), "{refused:?}");
    let archive = store.mailbox(ann, "Archive").await.unwrap().unwrap().id;
    assert_eq!(uids(&store, ann, archive).await, [1], "the others are served");
    store.accept(acceptance(text(99), &[ann])).await.unwrap();
    store.close().await.unwrap();
    let rebuilt = Store::rebuild(place.config()).await.unwrap();
    assert!(!rebuilt.skipped.is_empty());
    let store = place.open().await;
    sound(&store).await;
    let rows = store.snapshot(ann, inbox).await.unwrap().rows;
    assert_eq!((rows.len(), rows.iter().filter(|row| row.flags.system != 0).count()), (13, 0));
    store.flags(ann, inbox, &[Uid(2), Uid(3)], FlagOp::Add, &FLAGGED, None).await.unwrap();
    store.close().await.unwrap();
    let rows = place.open().await.snapshot(ann, inbox).await.unwrap().rows;
    assert_eq!(rows.iter().filter(|row| row.flags == FLAGGED).count(), 2);
}

/// A key that is far too large stands in the midst of smaller ones: no reading of them goes on for ever.
#[tokio::test]
async fn a_mailbox_with_a_row_under_a_far_key_is_read_to_its_end() {
    let place = Place::new();
    a_life(&place).await;
    for uid in (2..=12).filter(|uid| *uid != 7) {
        let copy = killed(&place);
        let path = copy.config().data_dir.join("index.sqlite");
        let at = key::uid(AccountId(1), MailboxId(1), Uid(uid));
        flip(&path, (*places_of(&path, at.bytes()).last().unwrap() + at.bytes().len() - 4) as u64, 5);
        let (done, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let rows = runtime.block_on(async {
                let store = copy.open().await;
                let rows = store.snapshot(AccountId(1), MailboxId(1)).await.map(|snapshot| snapshot.rows.len());
                let _ = store.close().await;
                rows
            });
            let _ = done.send(rows);
        });
        let rows = told.recv_timeout(std::time::Duration::from_secs(60)).unwrap_or_else(|_| panic!("UID {uid}: it never ends"));
        assert!(rows.is_ok_and(|rows| rows < 12), "UID {uid}");
    }
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_the_index_is_found_and_serves_nothing_wrong() {
    let place = Place::new();
    a_life(&place).await;
    let whole = served(&killed(&place).open().await, "whole").await;
    let length = place.config().data_dir.join("index.sqlite").metadata().unwrap().len() as usize;
    let places = (0..100).step_by(step(9)).chain((100..length).step_by(step(487))).filter(|at| part().contains(at));
    let (mut refused, mut found, mut harmless) = (0, 0, 0);
    for at in places {
        let copy = killed(&place);
        flip(&copy.config().data_dir.join("index.sqlite"), at as u64, (at % 8) as u8);
        let told = format!("index octet {at}");
        let Some(store) = take(Store::open(copy.config()).await, &told) else {
            refused += 1;
            continue;
        };
        let defects = store.check().await;
        let is_found = defects.as_ref().map_or(true, |defects| !defects.is_empty());
        let now = served(&store, &told).await;
        if is_found {
            found += 1;
            let row_is_known = |line: &&String| line.contains("MessageRow") && !whole.contains(*line);
            assert_eq!(now.iter().find(row_is_known), None, "{told}: served though it is not so");
        } else {
            harmless += 1;
            assert_eq!(whole.symmetric_difference(&now).collect::<Vec<_>>(), Vec::<&String>::new(), "{told}: not found by check");
        }
        let _ = store.close().await;
        if (refused + found) % 8 == 0 {
            Store::rebuild(copy.config()).await.unwrap();
            let again = served(&copy.open().await, &told).await;
            assert_eq!(whole.symmetric_difference(&again).collect::<Vec<_>>(), Vec::<&String>::new(), "{told}: rebuilt");
        }
    }
    println!("{length} octets: {refused} refused, {found} found, {harmless} without effect");
    assert!(refused > 0 && found > 5 && harmless > 5, "{refused} {found} {harmless}");
}

/// Two readers of the inbox, each with what it has seen, and one with nothing.
async fn readers(place: &Place) -> [AccountId; 3] {
    let store = place.open().await;
    let new = ["bob@here.test", "eve@here.test", "dan@here.test"].map(new_account);
    let ids = store.accounts_add(new.into(), NOW).await.unwrap();
    let inbox = (AccountId(1), MailboxId(1));
    for (reader, seen) in [(ids[0], [2, 5]), (ids[1], [3, 5])] {
        store.set_own_seen(inbox, reader, &seen.map(Uid), true).await.unwrap();
    }
    store.close().await.unwrap();
    [ids[0], ids[1], ids[2]]
}

async fn seen_by(store: &Store, reader: AccountId) -> Vec<u32> {
    let own = store.own_seen((AccountId(1), MailboxId(1)), reader).await.unwrap();
    (1..20).filter(|uid| own.has(Uid(*uid))).collect()
}

/// The row of one reader's own \Seen: under a wrong key, or not what it was.
#[tokio::test]
async fn what_a_reader_has_seen_is_served_though_its_row_is_lost() {
    let place = Place::new();
    a_life(&place).await;
    let [bob, eve, dan] = readers(&place).await;
    let at = key::own_seen(AccountId(1), MailboxId(1), bob);
    let index = Path::new("index.sqlite");
    let found = places_of(&place.config().data_dir.join(index), at.bytes());
    assert_eq!(found.len(), 1, "one row");
    for octet in found[0]..found[0] + at.bytes().len() + 8 {
        let (copy, told) = (killed(&place), format!("octet {octet}"));
        flip(&copy.config().data_dir.join(index), octet as u64, (octet % 8) as u8);
        let store = copy.open().await;
        assert!(!store.check().await.unwrap().is_empty(), "{told}: not found");
        for _ in 0..2 {
            assert_eq!(seen_by(&store, bob).await, [2, 5], "{told}");
            assert_eq!(seen_by(&store, eve).await, [3, 5], "{told}");
            assert_eq!(seen_by(&store, dan).await, [0; 0], "{told}");
        }
        // What is marked now stands on it.
        store.set_own_seen((AccountId(1), MailboxId(1)), bob, &[Uid(6)], true).await.unwrap();
        store.set_own_seen((AccountId(1), MailboxId(1)), dan, &[Uid(3)], true).await.unwrap();
        let all = [(bob, vec![2, 5, 6]), (eve, vec![3, 5]), (dan, vec![3])];
        for (reader, seen) in &all {
            assert_eq!(seen_by(&store, *reader).await, *seen, "{told}");
        }
        store.close().await.unwrap();
        let rebuilt = Store::rebuild(copy.config()).await.unwrap();
        assert_eq!(rebuilt.skipped, [], "{told}");
        let store = copy.open().await;
        sound(&store).await;
        for (reader, seen) in &all {
            assert_eq!(seen_by(&store, *reader).await, *seen, "{told}: rebuilt");
        }
    }
}

/// Neither the index nor a segment has it: `check` finds it missing, `rebuild` says so, and the others' are as they were.
#[tokio::test]
async fn what_a_reader_has_seen_is_missed_where_nothing_has_it() {
    let place = Place::new();
    a_life(&place).await;
    let [bob, eve, dan] = readers(&place).await;
    let at = key::own_seen(AccountId(1), MailboxId(1), bob);
    for name in ["index.sqlite", "segments/00000001.segment"] {
        let path = place.config().data_dir.join(name);
        flip(&path, *places_of(&path, at.bytes()).last().unwrap() as u64 + 8, 0);
    }
    let store = place.open().await;
    let missing = |what: &Defect| what.what.contains("readers have seen");
    assert!(store.check().await.unwrap().iter().any(missing));
    assert_eq!(seen_by(&store, eve).await, [3, 5]);
    assert_eq!(seen_by(&store, dan).await, [0; 0]);
    store.close().await.unwrap();
    let rebuilt = Store::rebuild(place.config()).await.unwrap();
    assert!(rebuilt.skipped.iter().any(|what| what.what.contains("readers have seen")), "{:?}", rebuilt.skipped);
    let store = place.open().await;
    sound(&store).await;
    assert_eq!(seen_by(&store, eve).await, [3, 5]);
    store.set_own_seen((AccountId(1), MailboxId(1)), bob, &[Uid(2)], true).await.unwrap();
    assert_eq!(seen_by(&store, bob).await, [2]);
    sound(&store).await;
}

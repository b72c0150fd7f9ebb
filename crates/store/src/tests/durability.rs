//! Kills, power cuts, failing calls, flipped bits, rebuilding: what was acknowledged is there, and the store is sound.
use super::*;
use crate::engine::embedded::Tuning;
use crate::engine::memory::Memory;
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Everything that can be seen through the door.
pub(super) async fn seen(store: &Store) -> String {
    let mut out = String::new();
    for account in store.account_list(None, 1000).await.unwrap() {
        out += &format!("{account:?} {:?}\n", store.account_usage(account.id).await.unwrap());
        out += &format!("{:?}\n", store.subscriptions_elsewhere(account.id).await.unwrap());
        for mailbox in store.mailboxes(account.id).await.unwrap().iter() {
            out += &format!("{mailbox:?} {:?}\n", store.status(account.id, mailbox.id).await.unwrap());
            for row in store.snapshot(account.id, mailbox.id).await.unwrap().rows.iter() {
                let facts = store.facts(account.id, &[row.email]).await.unwrap();
                let body = store.body(account.id, row.email, 0, u64::MAX).await.unwrap();
                out +=
                    &format!("{row:?} {:?} {:?}\n", facts[0].as_ref().map(|facts| &facts.subject), crate::hash::xxh64(&body, 0));
            }
        }
        out += &format!("{:?}\n", store.undo_list(account.id, 1000).await.unwrap());
    }
    out += &format!("{:?}\n{:?}\n", store.alias_list().await.unwrap(), store.queue_list(None, 1000).await.unwrap());
    out
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The disk as a kill leaves it: copied from under the running store.
pub(super) fn killed(place: &Place) -> Place {
    let copy = Place::new();
    copy_folder(&place.config().data_dir, &copy.config().data_dir);
    copy
}

pub(super) fn lose_index_log(place: &Place) {
    let folder = place.config().data_dir;
    for name in ["index.sqlite-wal", "index.sqlite-shm"] {
        let _ = std::fs::remove_file(folder.join(name));
    }
}

fn segments(place: &Place) -> Vec<PathBuf> {
    let folder = place.config().data_dir.join("segments");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

pub(super) fn queue_entry(to: &str) -> NewQueueEntry {
    let recipient = QueueRecipient {
        address: to.into(),
        original: None,
        notify: 0,
        state: RecipientState::Waiting,
        last_reply: String::new(),
        delay_told: false,
    };
    NewQueueEntry {
        destination: "there.test".into(),
        reverse_path: "ann@here.test".into(),
        recipients: vec![recipient],
        account: Some(AccountId(1)),
        due_secs: NOW,
        expires_secs: NOW + 86_400,
        eight_bit: false,
        smtputf8: true,
        ret_headers: false,
        envelope_id: Some("x".into()),
        service: QueueService::default(),
    }
}

/// A bit of everything.
async fn busy_life(store: &Store) -> AccountId {
    let ann = ann(store).await;
    store.accounts_add(vec![new_account("bob@here.test")], NOW).await.unwrap();
    store.alias_add(Alias { address: "all@here.test".into(), targets: vec!["ann@here.test".into()] }).await.unwrap();
    let inbox = inbox(store, ann).await;
    for number in 0..20 {
        let mut one = acceptance(text(number), &[ann, AccountId(2)]);
        if number % 5 == 0 {
            one.queue.push(queue_entry("carol@there.test"));
        }
        store.accept(one).await.unwrap();
    }
    let archive = store.mailbox(ann, "Archive").await.unwrap().unwrap().id;
    store.flags(ann, inbox, &[Uid(2), Uid(3)], FlagOp::Add, &Flags { system: Flags::SEEN, keywords: None }, None).await.unwrap();
    store.copy(ann, inbox, &[Uid(4), Uid(5)], archive).await.unwrap();
    store.move_(ann, inbox, &[Uid(6)], archive, NOW).await.unwrap();
    store.expunge(ann, inbox, &[Uid(1), Uid(7), Uid(8)], NOW).await.unwrap();
    store.mailbox_create(ann, "deep/er", None, NOW).await.unwrap();
    store.mailbox_rename(ann, "deep", "sea", NOW).await.unwrap();
    let (due, _) = store.queue_due(NOW, 10).await.unwrap();
    let claim = store.queue_claim(due[0].id, NOW, 60).await.unwrap().unwrap();
    let mut recipients = claim.entry.message.recipients.clone();
    recipients[0].state = RecipientState::Delivered;
    let settlement = Settlement {
        recipients,
        next_secs: NOW,
        attempted: true,
        notices: Vec::new(),
        trace: Vec::new(),
        bounced: Vec::new(),
        now_secs: NOW,
    };
    store.queue_settle(&claim, settlement).await.unwrap();
    ann
}

#[tokio::test]
async fn killed_with_and_without_the_index_log() {
    let place = Place::new();
    let store = place.open().await;
    busy_life(&store).await;
    let before = seen(&store).await;
    for lost in [false, true] {
        let copy = killed(&place);
        if lost {
            lose_index_log(&copy);
        }
        let again = copy.open().await;
        assert_eq!(seen(&again).await, before, "index log lost: {lost}");
        sound(&again).await;
        again.accept(acceptance(text(50), &[AccountId(1)])).await.unwrap();
        sound(&again).await;
    }
    drop(store);
    let again = place.open().await;
    assert_eq!(seen(&again).await, before, "dropped, not closed");
    let next = again.accept(acceptance(text(51), &[AccountId(1)])).await.unwrap();
    assert_eq!(next.delivered[0].2, Uid(21));
    again.close().await.unwrap();
}

/// Only what was synced is on the disk after a power cut; take one sync out of the committer and this fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_leaves_what_was_synced_and_that_is_enough() {
    power_cut(Tuning::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_where_acts_commit_at_once_leaves_what_was_synced() {
    power_cut(Tuning::at_once()).await;
}

async fn power_cut(tuning: Tuning) {
    let place = Place::new();
    let tuning = Tuning { segment_bytes: 30_000, ..tuning };
    let synced = tuning.faults.clone();
    let store = Store::open_with(place.config(), tuning).await.unwrap();
    let ids = store.accounts_add((0..4).map(|n| new_account(&format!("u{n}@here.test"))).collect(), NOW).await.unwrap();
    let mut tasks = Vec::new();
    for account in ids.clone() {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for number in 0..40 {
                store.accept(acceptance(text(number), &[account])).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    busy_life_after(&store, ids[0]).await;
    let before = seen(&store).await;
    let copy = killed(&place);
    lose_index_log(&copy);
    for path in segments(&copy) {
        let number: u32 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let end = synced.synced.lock().unwrap().get(&number).copied().unwrap_or(crate::engine::segment::FILE_HEAD);
        std::fs::File::options().write(true).open(&path).unwrap().set_len(end).unwrap();
    }
    assert!(segments(&copy).len() > 2);
    let again = copy.open().await;
    assert_eq!(seen(&again).await, before);
    sound(&again).await;
}

async fn busy_life_after(store: &Store, account: AccountId) {
    let inbox = inbox(store, account).await;
    let trash = store.mailbox(account, "Trash").await.unwrap().unwrap().id;
    store.move_(account, inbox, &[Uid(1), Uid(2)], trash, NOW).await.unwrap();
    store.expunge(account, inbox, &[Uid(3)], NOW).await.unwrap();
    store.flags(account, inbox, &[Uid(4)], FlagOp::Add, &Flags { system: Flags::SEEN, keywords: None }, None).await.unwrap();
}

/// The child of `killed_for_real`: runs in a process of its own until it is killed; tells every acknowledged delivery.
#[tokio::test(flavor = "multi_thread")]
async fn child_under_load() {
    let Ok(folder) = std::env::var("STORE_CHILD_FOLDER") else { return };
    let config = StoreConfig { data_dir: folder.into(), ..Place::new().config() };
    let store = Store::open(config).await.unwrap();
    if store.account("ann@here.test").await.unwrap().is_none() {
        ann(&store).await;
    }
    let mut tasks = Vec::new();
    for writer in 0..8usize {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for number in 0.. {
                let number = writer * 1_000_000 + number;
                let accepted = store.accept(acceptance(text(number), &[AccountId(1)])).await.unwrap();
                let uid = accepted.delivered[0].2.0;
                // One write, so that a line is whole or not there.
                std::io::Write::write_all(&mut std::io::stdout(), format!("\nACK {uid} {number}\n").as_bytes()).unwrap();
                if uid % 5 == 0 {
                    store.expunge(AccountId(1), MailboxId(1), &[Uid(uid)], NOW).await.unwrap();
                    std::io::Write::write_all(&mut std::io::stdout(), format!("\nGONE {uid} 0\n").as_bytes()).unwrap();
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

fn run_and_kill(folder: &Path, millis: u64) -> String {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["tests::durability::child_under_load", "--exact", "--nocapture"])
        .env("STORE_CHILD_FOLDER", folder)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut told = String::new();
        let mut stdout = std::io::BufReader::new(stdout);
        while std::io::BufRead::read_line(&mut stdout, &mut told).unwrap() > 0 {
            let _ = sender.send(());
        }
        told
    });
    // On a busy machine the child takes its time: it is killed in the midst of work, some while after it has begun.
    for _ in 0..60 {
        receiver.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(millis));
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[tokio::test]
async fn killed_for_real() {
    let place = Place::new();
    let folder = place.config().data_dir;
    let mut acknowledged: BTreeMap<u32, usize> = BTreeMap::new();
    let mut gone: Vec<u32> = Vec::new();
    for round in 0..4u64 {
        let told = run_and_kill(&folder, round * 67);
        let whole = told.rfind('\n').map_or("", |end| &told[..end]);
        for line in whole.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["ACK", uid, number] => {
                    let before = acknowledged.insert(uid.parse().unwrap(), number.parse().unwrap());
                    assert_eq!(before, None, "UID {uid} was given twice");
                }
                ["GONE", uid, _] => gone.push(uid.parse().unwrap()),
                _ => {}
            }
        }
        let store = place.open().await;
        sound(&store).await;
        let rows = store.snapshot(AccountId(1), MailboxId(1)).await.unwrap().rows;
        for (uid, number) in &acknowledged {
            let row = rows.iter().find(|row| row.uid.0 == *uid);
            assert!(row.is_some() || uid % 5 == 0, "UID {uid} was acknowledged and is missing");
            assert!(row.is_none() || !gone.contains(uid), "UID {uid} was expunged and is back");
            if let Some(row) = row {
                assert_eq!(store.body(AccountId(1), row.email, 0, u64::MAX).await.unwrap(), text(*number));
            }
        }
        store.close().await.unwrap();
    }
    assert!(acknowledged.len() > 50, "{} acknowledged", acknowledged.len());
}

#[tokio::test]
async fn a_torn_end_costs_nothing_acknowledged() {
    let place = Place::new();
    let store = place.open().await;
    let ann = ann(&store).await;
    let inbox = inbox(&store, ann).await;
    let segment = segments(&place).pop().unwrap();
    let mut ends = vec![std::fs::metadata(&segment).unwrap().len()];
    for number in 0..6 {
        store.append(ann, inbox, vec![email(text(number))]).await.unwrap();
        ends.push(std::fs::metadata(&segment).unwrap().len());
    }
    for cut in (ends[0]..ends[6]).step_by(37) {
        let copy = killed(&place);
        lose_index_log(&copy);
        let target = segments(&copy).pop().unwrap();
        std::fs::File::options().write(true).open(&target).unwrap().set_len(cut).unwrap();
        let again = copy.open().await;
        let whole = ends.iter().skip(1).filter(|end| **end <= cut).count() as u32;
        assert_eq!(uids(&again, ann, inbox).await, (1..=whole).collect::<Vec<_>>(), "cut at {cut} of {ends:?}");
        sound(&again).await;
        again.append(ann, inbox, vec![email(text(9))]).await.unwrap();
        sound(&again).await;
    }
}

#[tokio::test]
async fn unsynced_octets_in_any_order_are_cut_off() {
    let place = Place::new();
    let store = place.open().await;
    let ann = ann(&store).await;
    let inbox = inbox(&store, ann).await;
    store.append(ann, inbox, vec![email(text(1))]).await.unwrap();
    let segment = segments(&place).pop().unwrap();
    let start = std::fs::metadata(&segment).unwrap().len();
    store.append(ann, inbox, vec![email(text(2))]).await.unwrap();
    let end = std::fs::metadata(&segment).unwrap().len();
    for hole in (start..end).step_by(29) {
        let copy = killed(&place);
        lose_index_log(&copy);
        let file = std::fs::File::options().read(true).write(true).open(segments(&copy).pop().unwrap()).unwrap();
        let length = (end - hole).min(16) as usize;
        file.write_all_at(&vec![0x5a; length], hole).unwrap();
        let again = copy.open().await;
        assert_eq!(uids(&again, ann, inbox).await, [1]);
        sound(&again).await;
    }
}

#[tokio::test]
async fn rebuilt_from_the_segments_alone() {
    let place = Place::new();
    let tuning = Tuning { segment_bytes: 6000, ..Tuning::default() };
    let store = Store::open_with(place.config(), tuning).await.unwrap();
    busy_life(&store).await;
    let before = seen(&store).await;
    store.close().await.unwrap();
    assert!(segments(&place).len() > 2);
    for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        let _ = std::fs::remove_file(place.config().data_dir.join(name));
    }
    assert!(matches!(Store::open(place.config()).await.err(), Some(StoreError::Damaged(_))));
    let rebuilt = Store::rebuild(place.config()).await.unwrap();
    assert_eq!((rebuilt.accounts, rebuilt.skipped), (2, Vec::new()));
    let again = place.open().await;
    assert_eq!(seen(&again).await, before);
    sound(&again).await;
    let next = again.accept(acceptance(text(51), &[AccountId(1)])).await.unwrap();
    assert_eq!(next.delivered[0].2, Uid(21), "no UID is given again");
}

#[tokio::test]
async fn dead_segments_give_their_room_back() {
    let place = Place::new();
    let tuning = Tuning { segment_bytes: 20_000, ..Tuning::default() };
    let store = Store::open_with(place.config(), tuning).await.unwrap();
    let ann = ann(&store).await;
    let inbox = inbox(&store, ann).await;
    for number in 0..60 {
        let octets = Bytes::from(vec![number as u8; 2000]);
        store.append(ann, inbox, vec![NewEmail { facts: Arc::default(), ..email(octets) }]).await.unwrap();
    }
    let some: Vec<Uid> = (1..=50).filter(|uid| uid % 7 != 0).map(Uid).collect();
    store.expunge(ann, inbox, &some, NOW).await.unwrap();
    let size = |place: &Place| segments(place).iter().map(|path| std::fs::metadata(path).unwrap().len()).sum::<u64>();
    let before = (size(&place), seen(&store).await.replace("expunged_secs", ""));
    store.maintain(NOW + 31 * 86_400).await.unwrap();
    store.maintain(NOW + 31 * 86_400).await.unwrap();
    assert!(size(&place) < before.0 / 2, "{} of {}", size(&place), before.0);
    sound(&store).await;
    let after = seen(&store).await;
    store.append(ann, inbox, vec![email(text(1))]).await.unwrap();
    store.expunge(ann, inbox, &[Uid(61)], NOW).await.unwrap();
    let after_more = seen(&store).await;
    assert_ne!(after, after_more);
    for lost in [false, true] {
        let copy = killed(&place);
        if lost {
            lose_index_log(&copy);
        }
        let again = copy.open().await;
        assert_eq!(seen(&again).await, after_more);
        sound(&again).await;
        again.close().await.unwrap();
        std::fs::remove_file(copy.config().data_dir.join("index.sqlite")).unwrap();
        Store::rebuild(copy.config()).await.unwrap();
        let again = copy.open().await;
        assert_eq!(seen(&again).await, after_more, "rebuilt over rewritten segments");
        sound(&again).await;
    }
}

#[tokio::test]
async fn what_was_built_on_a_failure_is_built_again() {
    let engine = Arc::new(Memory::default());
    let store = Store::on_engine(Place::new().config(), Box::new(engine.clone()), None, None).await.unwrap();
    let ann = ann(&store).await;
    engine.pause();
    let mut tasks = Vec::new();
    for number in 0..4 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move { store.accept(acceptance(text(number), &[ann])).await }));
        while engine.waiting() <= number {
            tokio::task::yield_now().await;
        }
    }
    engine.fail_after(0, StoreError::Io("EIO".into()));
    engine.resume();
    let mut given = Vec::new();
    for task in tasks {
        given.push(task.await.unwrap().map(|accepted| accepted.delivered[0].2.0));
    }
    assert_eq!(given[0], Err(StoreError::Io("EIO".into())));
    let mut rest: Vec<u32> = given.into_iter().skip(1).map(Result::unwrap).collect();
    rest.sort_unstable();
    assert_eq!(rest, [1, 2, 3]);
    assert_eq!(uids(&store, ann, inbox(&store, ann).await).await, [1, 2, 3]);
    sound(&store).await;
}

#[tokio::test]
async fn a_flipped_bit_costs_one_record() {
    let place = Place::new();
    let store = place.open().await;
    let ann = ann(&store).await;
    let inbox = inbox(&store, ann).await;
    let segment = segments(&place).pop().unwrap();
    let mut ends = vec![std::fs::metadata(&segment).unwrap().len()];
    for number in 0..5 {
        store.append(ann, inbox, vec![email(text(number))]).await.unwrap();
        ends.push(std::fs::metadata(&segment).unwrap().len());
    }
    let rows = store.snapshot(ann, inbox).await.unwrap().rows;
    store.close().await.unwrap();
    for at in (ends[2]..ends[3]).step_by(61) {
        let copy = killed(&place);
        let file = std::fs::File::options().read(true).write(true).open(segments(&copy).pop().unwrap()).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 4], at).unwrap();
        let again = copy.open().await;
        let defects = again.check().await.unwrap();
        for (number, row) in rows.iter().enumerate() {
            match again.body(ann, row.email, 0, u64::MAX).await {
                Ok(octets) => assert_eq!(octets, text(number)),
                Err(error) => assert!(number == 2 && matches!(error, StoreError::Damaged(_))),
            }
        }
        assert!(!defects.is_empty(), "flipped at {at} and not found");
        again.close().await.unwrap();
        std::fs::remove_file(copy.config().data_dir.join("index.sqlite")).unwrap();
        let rebuilt = Store::rebuild(copy.config()).await.unwrap();
        assert!(!rebuilt.skipped.is_empty(), "flipped at {at}");
        let again = copy.open().await;
        let left = uids(&again, ann, inbox).await;
        assert!(left == [1, 2, 4, 5] || left == [1, 2, 3, 4, 5], "{left:?}");
        for row in rows.iter().filter(|row| row.uid != Uid(3)) {
            again.body(ann, row.email, 0, u64::MAX).await.unwrap();
        }
        if left.len() == 4 {
            sound(&again).await;
        }
        assert_eq!(again.append(ann, inbox, vec![email(text(7))]).await.unwrap().uids, [Uid(6)]);
    }
}

#[tokio::test]
async fn a_bad_value_in_the_index_is_found_and_costs_itself() {
    let place = Place::new();
    let store = place.open().await;
    let account = busy_life(&store).await;
    let before = seen(&store).await;
    let inbox_id = inbox(&store, account).await;
    let all = uids(&store, account, inbox_id).await;
    store.close().await.unwrap();
    let index = place.config().data_dir.join("index.sqlite");
    let keys = [
        crate::key::uid(account, inbox_id, Uid(all[3])),
        crate::key::mailbox(account, MailboxId(5)),
        crate::key::alias("all@here.test"),
    ];
    let connection = rusqlite::Connection::open(&index).unwrap();
    for key in &keys {
        let value: Vec<u8> = connection.query_row("SELECT value FROM kv WHERE key=?1", [key.bytes()], |row| row.get(0)).unwrap();
        let mut flipped = value.clone();
        *flipped.last_mut().unwrap() ^= 8;
        connection.execute("UPDATE kv SET value=?1 WHERE key=?2", rusqlite::params![flipped, key.bytes()]).unwrap();
    }
    drop(connection);
    let store = place.open().await;
    let defects = store.check().await.unwrap();
    for key in &keys {
        assert!(defects.iter().any(|defect| defect.place == key.to_string()), "{key} in {defects:#?}");
    }
    let left = uids(&store, account, inbox_id).await;
    assert_eq!(left, all.iter().copied().filter(|uid| *uid != all[3]).collect::<Vec<_>>());
    assert_eq!(store.mailboxes(account).await.unwrap().len(), 7, "the other mailboxes are served");
    assert!(matches!(store.alias("all@here.test").await, Err(StoreError::Damaged(_))));
    store.close().await.unwrap();
    Store::rebuild(place.config()).await.unwrap();
    let store = place.open().await;
    assert_eq!(seen(&store).await, before, "the segments have it all");
    sound(&store).await;
}

#[tokio::test]
async fn a_writer_that_panics_is_told_and_costs_nothing_acknowledged() {
    let place = Place::new();
    let folder = place.config().data_dir;
    std::fs::create_dir_all(&folder).unwrap();
    let (engine, _) = crate::engine::embedded::Embedded::open(&folder, Tuning::default()).unwrap();
    let engine = Arc::new(engine);
    let store = Store::on_engine(place.config(), Box::new(engine.clone()), None, None).await.unwrap();
    let ann = ann(&store).await;
    store.accept(acceptance(text(1), &[ann])).await.unwrap();
    let short = std::time::Duration::from_millis(50);
    assert!(tokio::time::timeout(short, store.broken()).await.is_err(), "all is well");
    let panics = crate::engine::committer::Message::Control(Box::new(|| panic!("meant")));
    assert!(engine.send(panics).is_ok());
    tokio::time::timeout(std::time::Duration::from_secs(20), store.broken()).await.unwrap();
    assert!(matches!(store.accept(acceptance(text(2), &[ann])).await, Err(StoreError::Io(_))), "never acknowledged");
    drop((store, engine));
    let again = place.open().await;
    let inbox = inbox(&again, ann).await;
    assert_eq!(uids(&again, ann, inbox).await, [1]);
    sound(&again).await;
}

#[tokio::test]
async fn one_process_at_a_time() {
    let place = Place::new();
    let store = place.open().await;
    let Some(StoreError::Locked(told)) = Store::open(place.config()).await.err() else { panic!("opened twice") };
    assert!(told.contains(&std::process::id().to_string()), "{told}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(place.config().data_dir).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    store.close().await.unwrap();
    place.open().await;
}

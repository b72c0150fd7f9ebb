//! Many at once on the same mailboxes, with sessions that follow every change, while the mailboxes drive each other out of memory.
use super::durability::{killed, lose_index_log, seen};
use super::*;
use crate::engine::embedded::Tuning;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// A seeded stream of numbers.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

async fn meddle(store: Store, seed: u64, account: AccountId, boxes: [MailboxId; 2]) {
    let mut seeded = Seeded(seed);
    for number in 0..60 {
        let (one, other) = if seeded.below(2) == 0 { (boxes[0], boxes[1]) } else { (boxes[1], boxes[0]) };
        let rows = store.snapshot(account, one).await.unwrap().rows;
        let mut some: Vec<Uid> = rows.iter().map(|row| row.uid).filter(|_| seeded.below(4) == 0).collect();
        some.truncate(5);
        match seeded.below(8) {
            0..=2 => drop(store.accept(acceptance(text(number), &[account])).await.unwrap()),
            3 => drop(store.append(account, one, vec![email(text(1)), email(text(2))]).await.unwrap()),
            4 => {
                let flags = Flags { system: 1 << seeded.below(5), keywords: None };
                let op = if seeded.below(3) == 0 { FlagOp::Replace } else { FlagOp::Add };
                let changed = store.flags(account, one, &some, op, &flags, None).await.unwrap();
                // What a session takes instead of the rows that it was told of says the same.
                if let Some((mut before, now)) = changed.whole {
                    before.put(&changed.rows);
                    assert_eq!(before, now);
                }
            }
            5 => drop(store.copy(account, one, &some, other).await.unwrap()),
            6 => drop(store.move_(account, one, &some, other, NOW).await.unwrap()),
            _ => drop(store.expunge(account, one, &some, NOW).await.unwrap()),
        }
    }
}

/// A session: begins with a snapshot, then only takes changes in; what it has at the end is what is there.
async fn follow(store: Store, account: AccountId, mailbox: MailboxId, over: Arc<AtomicBool>) {
    let first = store.snapshot(account, mailbox).await.unwrap();
    let mut rows: BTreeMap<Uid, MessageRow> = first.rows.iter().map(|row| (row.uid, row)).collect();
    let (mut known, mut uid_next) = (first.highest_mod_seq, first.uid_next);
    let mut watch = store.watch(account).await.unwrap();
    loop {
        let last_round = over.load(Ordering::SeqCst);
        let changes = store.changes_since(account, mailbox, known).await.unwrap();
        assert!(changes.complete && changes.highest_mod_seq >= known && changes.uid_next >= uid_next);
        for row in changes.updated {
            assert!(row.mod_seq > known && row.mod_seq <= changes.highest_mod_seq);
            assert!(rows.contains_key(&row.uid) || row.uid >= uid_next, "{:?} appeared late", row.uid);
            rows.insert(row.uid, row);
        }
        for uid in changes.vanished {
            rows.remove(&uid);
        }
        (known, uid_next) = (changes.highest_mod_seq, changes.uid_next);
        if last_round {
            break;
        }
        let _ = tokio::time::timeout(std::time::Duration::from_millis(5), watch.changed()).await;
    }
    let last = store.snapshot(account, mailbox).await.unwrap();
    assert_eq!(rows.into_values().collect::<Vec<_>>(), last.rows.iter().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn meddlers_and_followers() {
    for (seed, tuning) in [(1, Tuning::default()), (99, Tuning::at_once())] {
        let place = Place::new();
        let store = Store::open_with(place.config(), tuning).await.unwrap();
        let ann = ann(&store).await;
        let boxes = [inbox(&store, ann).await, store.mailbox(ann, "Archive").await.unwrap().unwrap().id];
        let over = Arc::new(AtomicBool::new(false));
        let follower = |mailbox| tokio::spawn(follow(store.clone(), ann, mailbox, over.clone()));
        let followers = [follower(boxes[0]), follower(boxes[1]), follower(boxes[0])];
        let meddlers: Vec<_> = (0..6).map(|number| tokio::spawn(meddle(store.clone(), seed * 7 + number, ann, boxes))).collect();
        for task in meddlers {
            task.await.unwrap();
        }
        over.store(true, Ordering::SeqCst);
        for task in followers {
            task.await.unwrap();
        }
        assert!(store.inner.budget.gone() > 10, "mailboxes went from memory meanwhile: {}", store.inner.budget.gone());
        sound(&store).await;
        let shown = seen(&store).await;
        let copy = killed(&place);
        lose_index_log(&copy);
        let again = copy.open().await;
        assert_eq!(seen(&again).await, shown, "what was shown is what is on the disk");
        sound(&again).await;
    }
}

/// Acts on what is not durable yet: prepared on it, submitted behind it, answered with it.
#[tokio::test]
async fn flags_moves_and_expunges_share_the_sync_of_what_is_under_way() {
    for fails in [false, true] {
        let engine = Arc::new(crate::engine::memory::Memory::default());
        let store = Store::on_engine(Place::new().config(), Box::new(engine.clone()), None, None).await.unwrap();
        let ann = ann(&store).await;
        let inbox = inbox(&store, ann).await;
        let trash = store.mailbox(ann, "Trash").await.unwrap().unwrap().id;
        store.append(ann, inbox, (0..4).map(|number| email(text(number))).collect()).await.unwrap();
        engine.pause();
        let flagged = Flags { system: Flags::FLAGGED, keywords: None };
        let (first, second, third, last) = (store.clone(), store.clone(), store.clone(), store.clone());
        let one_more = tokio::spawn(async move { first.append(ann, inbox, vec![email(text(5))]).await.map(|done| done.uids) });
        while engine.waiting() < 1 {
            tokio::task::yield_now().await;
        }
        // The message is seen by the acts behind it, though by no reader.
        let asked = flagged.clone();
        let flags = tokio::spawn(async move { second.flags(ann, inbox, &[Uid(5)], FlagOp::Add, &asked, None).await });
        while engine.waiting() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(uids(&store, ann, inbox).await, [1, 2, 3, 4]);
        let moved = tokio::spawn(async move { third.move_(ann, inbox, &[Uid(2), Uid(5)], trash, NOW).await });
        while engine.waiting() < 3 {
            tokio::task::yield_now().await;
        }
        let gone = tokio::spawn(async move { last.expunge(ann, inbox, &[Uid(1), Uid(2), Uid(5)], NOW).await });
        while engine.waiting() < 4 {
            tokio::task::yield_now().await;
        }
        if fails {
            engine.fail_after(0, StoreError::Io("EIO".into()));
        }
        engine.resume();
        assert_eq!(one_more.await.unwrap().is_ok(), !fails);
        let (flags, moved, gone) = (flags.await.unwrap().unwrap(), moved.await.unwrap().unwrap(), gone.await.unwrap().unwrap());
        let left = uids(&store, ann, inbox).await;
        if fails {
            // They were prepared again, in any order, on a mailbox where that message never was.
            assert!(flags.rows.is_empty() && moved.pairs.len() + gone.len() == 2, "{moved:?} {gone:?}");
            assert_eq!(left, [3, 4]);
        } else {
            assert_eq!(flags.rows.iter().map(|row| (row.uid, row.flags.clone())).collect::<Vec<_>>(), [(Uid(5), flagged)]);
            assert_eq!((moved.pairs, gone), (vec![(Uid(2), Uid(1)), (Uid(5), Uid(2))], vec![Uid(1)]));
            assert_eq!((left, uids(&store, ann, trash).await), (vec![3, 4], vec![1, 2]));
        }
        sound(&store).await;
    }
}

/// Whoever changes nothing, because what is under way does it already, is answered when that is durable: until then no reader
/// is shown it, and it may yet fail.
#[tokio::test]
async fn an_act_that_finds_nothing_to_do_waits_for_what_it_stands_on() {
    for fails in [false, true] {
        let engine = Arc::new(crate::engine::memory::Memory::default());
        let store = Store::on_engine(Place::new().config(), Box::new(engine.clone()), None, None).await.unwrap();
        let ann = ann(&store).await;
        let inbox = inbox(&store, ann).await;
        store.append(ann, inbox, (0..3).map(|number| email(text(number))).collect()).await.unwrap();
        engine.pause();
        let flagged = Flags { system: Flags::FLAGGED, keywords: None };
        let (first, second, third, last) = (store.clone(), store.clone(), store.clone(), store.clone());
        let asked = flagged.clone();
        let flags = tokio::spawn(async move { first.flags(ann, inbox, &[Uid(3)], FlagOp::Add, &asked, None).await });
        while engine.waiting() < 1 {
            tokio::task::yield_now().await;
        }
        let gone = tokio::spawn(async move { second.expunge(ann, inbox, &[Uid(1)], NOW).await });
        while engine.waiting() < 2 {
            tokio::task::yield_now().await;
        }
        let asked = flagged.clone();
        let same_flags = tokio::spawn(async move { third.flags(ann, inbox, &[Uid(3)], FlagOp::Add, &asked, None).await });
        let same_gone = tokio::spawn(async move { last.expunge(ann, inbox, &[Uid(1)], NOW).await });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!same_flags.is_finished() && !same_gone.is_finished() && engine.waiting() == 2);
        if fails {
            engine.fail_after(0, StoreError::Io("EIO".into()));
        }
        engine.resume();
        assert_eq!(flags.await.unwrap().is_ok(), !fails);
        let told = same_flags.await.unwrap().unwrap().rows;
        let shown = store.snapshot(ann, inbox).await.unwrap();
        assert_eq!(told, shown.rows.iter().filter(|row| row.uid == Uid(3)).collect::<Vec<_>>());
        assert_eq!(told.first().map(|row| &row.flags), Some(&flagged));
        // It is told by the one who did it, whichever that was.
        let gone = [gone.await.unwrap().unwrap(), same_gone.await.unwrap().unwrap()].concat();
        assert_eq!((gone, uids(&store, ann, inbox).await), (vec![Uid(1)], vec![2, 3]));
        sound(&store).await;
    }
}

/// Flags of many at once are one row; messages of their own come and go between, and all of it is there after a kill.
/// Who changes flags and had what readers saw has what they see now, without a copy of its own; also while other acts go on.
#[tokio::test]
async fn who_changes_flags_shares_the_rows_that_all_see() {
    for (_place, store) in both().await {
        let ann = ann(&store).await;
        let inbox = inbox(&store, ann).await;
        for _ in 0..3 {
            add(&store, ann, inbox).await;
        }
        let seen = Flags { system: Flags::SEEN, keywords: None };
        for op in [FlagOp::Add, FlagOp::Remove] {
            let stood = store.snapshot(ann, inbox).await.unwrap().rows;
            let (before, now) = store.flags(ann, inbox, &[Uid(2)], op, &seen, None).await.unwrap().whole.unwrap();
            assert!(before.is_same(&stood) && now.is_same(&store.snapshot(ann, inbox).await.unwrap().rows));
            assert_eq!(stood.difference(&now), Difference { changed: vec![1], ..Difference::default() });
        }
        // Nothing changes: nothing is made.
        assert!(store.flags(ann, inbox, &[Uid(2)], FlagOp::Remove, &seen, None).await.unwrap().whole.is_none());
        let (one, other) = tokio::join!(
            store.flags(ann, inbox, &[Uid(1)], FlagOp::Add, &seen, None),
            store.flags(ann, inbox, &[Uid(3)], FlagOp::Add, &seen, None),
        );
        let rows = store.snapshot(ann, inbox).await.unwrap().rows;
        assert_eq!(rows.system_flags().collect::<Vec<_>>(), [Flags::SEEN, 0, Flags::SEEN]);
        for (before, now) in [one.unwrap().whole, other.unwrap().whole].into_iter().flatten() {
            assert_eq!(before.difference(&now).changed.len(), 1);
        }
    }
}

#[tokio::test]
async fn runs_of_flags_are_there_again() {
    let place = Place::new();
    let store = place.open().await;
    let ann = ann(&store).await;
    let inbox = inbox(&store, ann).await;
    store.append(ann, inbox, (0..60).map(|number| email(text(number))).collect()).await.unwrap();
    let some = |step: usize| (1..=60).step_by(step).map(Uid).collect::<Vec<_>>();
    for (number, step) in [1, 2, 3, 1, 5].into_iter().enumerate() {
        let keywords = (step == 2).then(|| Arc::from([smol_str::SmolStr::new("$Two")]));
        let flags = Flags { system: 1 << number, keywords };
        store
            .flags(ann, inbox, &some(step), if number == 3 { FlagOp::Replace } else { FlagOp::Add }, &flags, None)
            .await
            .unwrap();
        store.expunge(ann, inbox, &[Uid(number as u32 * 7 + 2)], NOW).await.unwrap();
        store.append(ann, inbox, vec![email(text(number))]).await.unwrap();
        let shown = seen(&store).await;
        let copy = killed(&place);
        lose_index_log(&copy);
        let again = copy.open().await;
        assert_eq!(seen(&again).await, shown);
        // Few at a time, from the index.
        let changed = again.flags(ann, inbox, &[Uid(1)], FlagOp::Add, &Flags { system: 0, keywords: None }, None).await.unwrap();
        assert_eq!(changed.rows.first(), store.snapshot(ann, inbox).await.unwrap().rows.get(0).as_ref());
        sound(&again).await;
    }
    sound(&store).await;
}

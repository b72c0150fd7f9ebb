//! One act after another, as the faces call them.
use super::*;

#[tokio::test]
async fn accounts_and_aliases() {
    for (_place, store) in both().await {
        let ids = store.accounts_add(vec![new_account("Ann@HERE.test."), new_account("bob@here.test")], NOW).await.unwrap();
        assert_eq!(ids, [AccountId(1), AccountId(2)]);
        let clash = store.accounts_add(vec![new_account("carol@here.test"), new_account("bob@here.test")], NOW).await;
        assert_eq!(clash, Err(StoreError::Exists));
        assert!(store.account("carol@here.test").await.unwrap().is_none());
        assert_eq!(store.account("aNN@here.TEST").await.unwrap().unwrap().id, ids[0]);
        assert_eq!(store.account_first().await.unwrap().unwrap().id, ids[0]);
        let listed: Vec<String> =
            store.account_list(Some("ann@here.test"), 9).await.unwrap().iter().map(|one| one.address.clone()).collect();
        assert_eq!(listed, ["bob@here.test"]);

        let alias = Alias { address: "all@here.test".into(), targets: vec!["ann@here.test".into()] };
        store.alias_add(alias.clone()).await.unwrap();
        assert_eq!(store.alias_add(alias.clone()).await, Err(StoreError::Exists));
        assert_eq!(store.alias_add(Alias { address: "ann@here.test".into(), ..alias.clone() }).await, Err(StoreError::Exists));
        assert_eq!(store.accounts_add(vec![new_account("all@here.test")], NOW).await, Err(StoreError::Exists));
        assert_eq!(*store.alias("ALL@here.test").await.unwrap().unwrap(), alias);
        assert_eq!(store.alias_list().await.unwrap().len(), 1);
        store.alias_remove("all@here.test").await.unwrap();
        assert!(store.alias("all@here.test").await.unwrap().is_none());

        let mut epochs = store.epoch_watch();
        store.account_suspend(ids[0], true).await.unwrap();
        assert_eq!(epochs.recv().await.unwrap(), ids[0]);
        let account = store.account("ann@here.test").await.unwrap().unwrap();
        assert!(account.suspended && account.epoch == 2);
        store.account_quota(ids[0], Some(10)).await.unwrap();
        assert_eq!(store.room(ids[0], 11).await, Err(StoreError::OverQuota));
        store.account_remove(ids[0], NOW).await.unwrap();
        assert!(store.account("ann@here.test").await.unwrap().is_none());
        assert!(store.account_by_id(ids[0]).await.unwrap().is_none());
        assert_eq!(store.mailboxes(ids[0]).await, Err(StoreError::NotFound));
        let again = store.accounts_add(vec![new_account("ann@here.test")], NOW).await.unwrap();
        assert_eq!(again, [AccountId(3)]);
        sound(&store).await;
    }
}

#[tokio::test]
async fn the_first_mailboxes_and_names() {
    for (_place, store) in both().await {
        let ann = ann(&store).await;
        let names: Vec<String> = store.mailboxes(ann).await.unwrap().iter().map(|one| one.name.to_string()).collect();
        assert_eq!(names, ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"]);
        let made = store.mailbox_create(ann, "a/b/c", None, NOW).await.unwrap();
        assert_eq!(made.name, "a/b/c");
        assert_eq!(store.mailbox_create(ann, "a", None, NOW).await, Err(StoreError::Exists));
        assert!(matches!(store.mailbox_delete(ann, "a", NOW).await, Err(StoreError::Invalid(_))));
        assert!(matches!(store.mailbox_delete(ann, "Inbox", NOW).await, Err(StoreError::Invalid(_))));
        store.mailbox_subscribe(ann, "a/b", true).await.unwrap();
        store.mailbox_rename(ann, "a", "x/y", NOW).await.unwrap();
        assert_eq!(store.mailbox(ann, "x/y/b/c").await.unwrap().unwrap().id, made.id);
        assert!(store.mailbox(ann, "x/y/b").await.unwrap().unwrap().subscribed);
        assert_eq!(store.subscriptions_elsewhere(ann).await.unwrap(), ["a/b"]);
        let first = store.mailbox(ann, "x/y/b/c").await.unwrap().unwrap().uid_validity;
        store.mailbox_delete(ann, "x/y/b/c", NOW).await.unwrap();
        let again = store.mailbox_create(ann, "x/y/b/c", None, NOW - 500).await.unwrap();
        assert!(again.uid_validity > first && again.id > made.id);
        assert!(store.mailbox_create(ann, "a/b", None, NOW).await.unwrap().subscribed);
        assert!(store.mailbox_rename(ann, "x", "x/z", NOW).await.is_err());
        sound(&store).await;
    }
}

#[tokio::test]
async fn accept_read_flag_expunge() {
    for (_place, store) in both().await {
        let ann = ann(&store).await;
        let inbox = inbox(&store, ann).await;
        let mut watch = store.watch(ann).await.unwrap();
        watch.mark_unchanged();
        let accepted = store.accept(acceptance(text(1), &[ann])).await.unwrap();
        let (_, mailbox, uid, id) = accepted.delivered[0];
        assert_eq!((mailbox, uid), (inbox, Uid(1)));
        watch.changed().await.unwrap();
        let snapshot = store.snapshot(ann, inbox).await.unwrap();
        assert_eq!(snapshot.rows.len(), 1);
        assert_eq!(store.body(ann, id, 0, u64::MAX).await.unwrap(), text(1));
        assert_eq!(store.body(ann, id, 6, 3).await.unwrap(), text(1).slice(6..9));
        assert_eq!(store.body(ann, id, 1 << 40, 3).await.unwrap(), Bytes::new());
        assert_eq!(store.body(AccountId(9), id, 0, 9).await, Err(StoreError::NotFound));
        assert_eq!(store.facts(ann, &[id, EmailId(1 << 40)]).await.unwrap(), [Some(facts(&text(1))), None]);

        let seen = Flags { system: Flags::SEEN, keywords: Some(Arc::from([smol_str::SmolStr::new("$Work")])) };
        let changed = store.flags(ann, inbox, &[Uid(1), Uid(7), Uid(1)], FlagOp::Add, &seen, None).await.unwrap();
        assert_eq!(changed.rows.len(), 1);
        assert_eq!(changed.rows[0].flags, seen);
        let stale =
            store.flags(ann, inbox, &[Uid(1)], FlagOp::Replace, &Flags::default(), Some(snapshot.highest_mod_seq)).await.unwrap();
        assert_eq!((stale.rows.len(), stale.modified), (0, vec![Uid(1)]));
        let changes = store.changes_since(ann, inbox, snapshot.highest_mod_seq).await.unwrap();
        assert_eq!(changes.updated, changed.rows);
        assert!(changes.complete && changes.vanished.is_empty());
        assert_eq!(store.status(ann, inbox).await.unwrap().unseen, 0);

        store.append(ann, inbox, vec![email(text(2)), email(text(3))]).await.unwrap();
        assert_eq!(store.expunge(ann, inbox, &[Uid(2), Uid(1), Uid(9)], NOW).await.unwrap(), [Uid(1), Uid(2)]);
        assert_eq!(uids(&store, ann, inbox).await, [3]);
        assert_eq!(store.body(ann, id, 0, u64::MAX).await.unwrap(), text(1));
        let changes = store.changes_since(ann, inbox, snapshot.highest_mod_seq).await.unwrap();
        assert_eq!((changes.vanished, changes.updated.len()), (vec![Uid(1), Uid(2)], 1));
        let status = store.status(ann, inbox).await.unwrap();
        assert_eq!((status.messages, status.uid_next, status.unseen), (1, 4, 1));
        assert_eq!(store.account_usage(ann).await.unwrap(), (text(3).len() as u64, 1));
        sound(&store).await;
    }
}

#[tokio::test]
async fn copy_move_and_undo() {
    for (_place, store) in both().await {
        let ann = ann(&store).await;
        let inbox = inbox(&store, ann).await;
        let trash = store.mailbox(ann, "Trash").await.unwrap().unwrap().id;
        store.append(ann, inbox, vec![email(text(1)), email(text(2)), email(text(3))]).await.unwrap();
        let copied = store.copy(ann, inbox, &[Uid(1), Uid(3)], trash).await.unwrap();
        assert_eq!(copied.pairs, [(Uid(1), Uid(1)), (Uid(3), Uid(2))]);
        let before = store.snapshot(ann, inbox).await.unwrap();
        let moved = store.move_(ann, inbox, &[Uid(2), Uid(8)], trash, NOW).await.unwrap();
        assert_eq!(moved.pairs, [(Uid(2), Uid(3))]);
        let after = store.snapshot(ann, trash).await.unwrap();
        assert_eq!(after.rows.get(2).unwrap().email, before.rows.get(1).unwrap().email, "a moved email keeps its id");
        let within = store.move_(ann, trash, &[Uid(1)], trash, NOW).await.unwrap();
        assert_eq!(within.pairs, [(Uid(1), Uid(4))]);
        sound(&store).await;

        store.expunge(ann, inbox, &[Uid(1)], NOW).await.unwrap();
        store.mailbox_create(ann, "gone", None, NOW).await.unwrap();
        let gone = store.mailbox(ann, "gone").await.unwrap().unwrap().id;
        store.append(ann, gone, vec![email(text(4))]).await.unwrap();
        store.mailbox_delete(ann, "gone", NOW + 5).await.unwrap();
        let list = store.undo_list(ann, 10).await.unwrap();
        assert_eq!(list.iter().map(|one| one.subject.as_str()).collect::<Vec<_>>(), ["number 4", "number 1"]);
        assert_eq!(list[0].mailbox_name, "gone");
        let restored = store.undo_restore(ann, &[list[0].email, list[1].email], NOW).await.unwrap();
        assert_eq!(restored.len(), 2);
        let again = store.mailbox(ann, "gone").await.unwrap().unwrap().id;
        assert!(restored.contains(&(list[0].email, again, Uid(1))));
        assert!(restored.contains(&(list[1].email, inbox, Uid(4))));
        assert!(store.undo_list(ann, 10).await.unwrap().is_empty());
        assert_eq!(store.body(ann, list[0].email, 0, 999).await.unwrap(), text(4));
        sound(&store).await;

        store.expunge(ann, inbox, &[Uid(4)], NOW).await.unwrap();
        store.maintain(NOW + 29 * 86_400).await.unwrap();
        assert_eq!(store.undo_list(ann, 10).await.unwrap().len(), 1);
        store.maintain(NOW + 31 * 86_400).await.unwrap();
        assert!(store.undo_list(ann, 10).await.unwrap().is_empty());
        assert_eq!(store.body(ann, list[1].email, 0, 999).await, Err(StoreError::NotFound));
        sound(&store).await;
    }
}

#[tokio::test]
async fn renaming_inbox_moves_its_messages() {
    for (_place, store) in both().await {
        let ann = ann(&store).await;
        let inbox = inbox(&store, ann).await;
        store.append(ann, inbox, vec![email(text(1)), email(text(2))]).await.unwrap();
        store.mailbox_rename(ann, "INBOX", "old/mail", NOW).await.unwrap();
        let target = store.mailbox(ann, "old/mail").await.unwrap().unwrap().id;
        assert_eq!(uids(&store, ann, inbox).await, Vec::<u32>::new());
        assert_eq!(uids(&store, ann, target).await, [1, 2]);
        assert_eq!(store.status(ann, inbox).await.unwrap().uid_next, 3);
        sound(&store).await;
    }
}

#[tokio::test]
async fn one_message_to_many() {
    for (_place, store) in both().await {
        let ids = store.accounts_add((0..5).map(|n| new_account(&format!("u{n}@here.test"))).collect(), NOW).await.unwrap();
        let mut one = acceptance(text(1), &ids);
        one.deliveries[4].target = Target::Use(SpecialUse::Junk);
        one.deliveries[3].target = Target::Use(SpecialUse::Important);
        one.idempotency = Some([7; 16]);
        let first = store.accept(one.clone()).await.unwrap();
        let second = store.accept(one.clone()).await.unwrap();
        assert_eq!(first.delivered, second.delivered);
        assert_eq!(store.mailbox(ids[3], "Important").await.unwrap().unwrap().special_use, Some(SpecialUse::Important));
        assert_eq!(store.mailbox(ids[4], "Junk").await.unwrap().unwrap().id, first.delivered[4].1);
        store.account_quota(ids[2], Some(150)).await.unwrap();
        one.idempotency = None;
        assert_eq!(store.accept(one.clone()).await.map(|_| ()), Err(StoreError::OverQuota));
        assert_eq!(store.account_usage(ids[0]).await.unwrap().1, 1, "all or none");
        sound(&store).await;
        store.account_remove(ids[1], NOW).await.unwrap();
        assert_eq!(store.accept(one).await.map(|_| ()), Err(StoreError::NotFound));
        store.maintain(NOW + 40 * 86_400).await.unwrap();
        sound(&store).await;
    }
}

#[tokio::test]
async fn deliveries_into_one_mailbox_come_in_order_and_share_syncs() {
    let place = Place::new();
    let store = place.open().await;
    let ann = ann(&store).await;
    let inbox = inbox(&store, ann).await;
    let before = store.sync_count();
    let mut tasks = Vec::new();
    for writer in 0..16 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for number in 0..25 {
                let accepted = store.accept(acceptance(text(writer * 100 + number), &[ann])).await.unwrap();
                // What is answered is visible.
                let seen = store.snapshot(ann, inbox).await.unwrap();
                assert!(seen.rows.index_of(accepted.delivered[0].2).is_some());
            }
        }));
    }
    let watcher = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut known = ModSeq(0);
            let mut last = Uid(0);
            while last < Uid(400) {
                let changes = store.changes_since(ann, inbox, known).await.unwrap();
                for row in &changes.updated {
                    assert_eq!(row.uid.0, last.0 + 1, "UIDs appear in order, none is left out");
                    last = row.uid;
                }
                known = changes.highest_mod_seq;
                tokio::task::yield_now().await;
            }
        })
    };
    for task in tasks {
        task.await.unwrap();
    }
    watcher.await.unwrap();
    assert_eq!(uids(&store, ann, inbox).await, (1..=400).collect::<Vec<_>>());
    let syncs = store.sync_count() - before;
    assert!(syncs <= 120, "{syncs} syncs for 400 messages of 16 writers");
    sound(&store).await;
}

#[tokio::test]
async fn large_bodies_go_through_a_file() {
    let place = Place::new();
    let store = place.open().await;
    let ann = ann(&store).await;
    let inbox = inbox(&store, ann).await;
    let octets: Vec<u8> = (0..3_000_001u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut spool = store.spool();
    for piece in octets.chunks(70_000) {
        spool.write(piece).await.unwrap();
    }
    assert_eq!(spool.len(), octets.len() as u64);
    let body = spool.finish().await.unwrap();
    assert_eq!(body.bytes().await.unwrap(), octets);
    let new = NewEmail { body, facts: Arc::default(), flags: Flags::default(), internal_date_secs: NOW };
    store.append(ann, inbox, vec![new, email(text(1))]).await.unwrap();
    let rows = store.snapshot(ann, inbox).await.unwrap().rows;
    assert_eq!(store.body(ann, rows.get(0).unwrap().email, 0, u64::MAX).await.unwrap(), octets);
    assert_eq!(store.body(ann, rows.get(0).unwrap().email, 65_530, 20).await.unwrap(), octets[65_530..65_550]);
    assert_eq!(store.body(ann, rows.get(1).unwrap().email, 0, u64::MAX).await.unwrap(), text(1));
    assert_eq!(std::fs::read_dir(place.config().data_dir.join("spool")).unwrap().count(), 0);
    sound(&store).await;
}

#[tokio::test]
async fn under_the_watermark_only_new_mail_is_refused() {
    for (_place, store) in both().await {
        let mut config = Place::new().config();
        config.free_bytes_min = 1;
        let store = match store.inner.config.data_dir.exists() {
            true => store,
            false => Store::memory(config).await.unwrap(),
        };
        if store.inner.config.free_bytes_min == 0 {
            continue;
        }
        let ann = ann(&store).await;
        let inbox = inbox(&store, ann).await;
        store.append(ann, inbox, vec![email(text(1)), email(text(2))]).await.unwrap();
        store.pretend_free_bytes(Some(0));
        assert!(!store.has_space());
        assert_eq!(store.accept(acceptance(text(3), &[ann])).await.map(|_| ()), Err(StoreError::NoSpace));
        assert_eq!(store.append(ann, inbox, vec![email(text(3))]).await.map(|_| ()), Err(StoreError::NoSpace));
        assert_eq!(store.copy(ann, inbox, &[Uid(1)], inbox).await.map(|_| ()), Err(StoreError::NoSpace));
        assert_eq!(store.room(ann, 1).await, Err(StoreError::NoSpace));
        store.flags(ann, inbox, &[Uid(1)], FlagOp::Add, &Flags { system: Flags::SEEN, keywords: None }, None).await.unwrap();
        store.expunge(ann, inbox, &[Uid(1)], NOW).await.unwrap();
        assert_eq!(uids(&store, ann, inbox).await, [2]);
        store.pretend_free_bytes(None);
        store.accept(acceptance(text(3), &[ann])).await.unwrap();
        sound(&store).await;
    }
}

#[tokio::test]
async fn disk_pressure_shortens_the_undo_window() {
    let mut config = Place::new().config();
    config.free_bytes_tight = 1000;
    let store = Store::memory(config).await.unwrap();
    let ann = ann(&store).await;
    let inbox = inbox(&store, ann).await;
    store.append(ann, inbox, vec![email(text(1))]).await.unwrap();
    store.expunge(ann, inbox, &[Uid(1)], NOW).await.unwrap();
    store.maintain(NOW + 60).await.unwrap();
    assert_eq!(store.undo_list(ann, 9).await.unwrap().len(), 1);
    store.pretend_free_bytes(Some(10));
    store.maintain(NOW + 60).await.unwrap();
    assert!(store.undo_list(ann, 9).await.unwrap().is_empty());
    sound(&store).await;
}

#[tokio::test]
async fn the_change_log_reaches_back_until_it_is_trimmed() {
    for (_place, store) in both().await {
        let ann = ann(&store).await;
        let inbox = inbox(&store, ann).await;
        let start = store.snapshot(ann, inbox).await.unwrap().highest_mod_seq;
        // More acts than the tail in memory holds.
        for number in 0..150 {
            store.append(ann, inbox, vec![email(text(number))]).await.unwrap();
            store
                .flags(ann, inbox, &[Uid(number as u32 + 1)], FlagOp::Add, &Flags { system: Flags::SEEN, keywords: None }, None)
                .await
                .unwrap();
        }
        store.expunge(ann, inbox, &[Uid(3), Uid(4)], NOW).await.unwrap();
        let changes = store.changes_since(ann, inbox, start).await.unwrap();
        assert_eq!((changes.updated.len(), changes.vanished.as_slice(), changes.complete), (148, &[Uid(3), Uid(4)][..], true));
        let middle = ModSeq(start.0 + 100);
        store.inner.trim_changes_of(ann, middle.0, &mut crate::rest::Rest::new(0, tokio::time::Instant::now())).await.unwrap();
        assert!(!store.changes_since(ann, inbox, start).await.unwrap().complete);
        assert!(store.changes_since(ann, inbox, middle).await.unwrap().complete);
        sound(&store).await;
    }
}

#[tokio::test]
async fn trace_is_found_by_any_key() {
    for (_place, store) in both().await {
        let ann = ann(&store).await;
        let event = |at: i64, what: &'static str, address: &str| {
            TraceEvent::new(at, what, "told").key("address", address).key("ip", "192.0.2.1")
        };
        let mut one = acceptance(text(1), &[ann]);
        one.trace.push(event(NOW, "accepted", "Ann@here.test"));
        store.accept(one).await.unwrap();
        store.trace(vec![event(NOW + 1, "refused", "zoe@here.test")]);
        store.append(ann, inbox(&store, ann).await, vec![email(text(2))]).await.unwrap();
        let found = store.trace_find("ip", "192.0.2.1", 10).await.unwrap();
        assert_eq!(found.iter().map(|one| one.what.as_str()).collect::<Vec<_>>(), ["accepted", "refused"]);
        assert_eq!(store.trace_find("address", "ann@HERE.test", 10).await.unwrap().len(), 1);
        store.maintain(NOW + 15 * 86_400).await.unwrap();
        assert!(store.trace_find("ip", "192.0.2.1", 10).await.unwrap().is_empty());
        sound(&store).await;
    }
}

fn whats(events: &[TraceEvent]) -> Vec<&str> {
    events.iter().map(|event| event.what.as_str()).collect()
}

#[tokio::test]
async fn the_owner_reads_only_their_own_part_and_it_goes_with_them() {
    for (_place, store) in both().await {
        let ann = ann(&store).await;
        let bob = store.accounts_add(vec![new_account("bob@here.test")], NOW).await.unwrap()[0];
        let mut one = acceptance(text(1), &[ann, bob]);
        let to = |account, address: &str| {
            TraceEvent::new(NOW, "stored", format!("to <{address}>")).of(account).key("transaction", "t1")
        };
        let accepted = TraceEvent::new(NOW, "accepted", "to <ann@here.test>, <bob@here.test>").key("transaction", "t1");
        one.trace = vec![accepted.key("address", "ann@here.test"), to(ann, "ann@here.test"), to(bob, "bob@here.test")];
        let delivered = store.accept(one).await.unwrap().delivered;
        let (email, uid) = (delivered[0].3, delivered[0].2);
        let archive = store.mailbox(ann, "Archive").await.unwrap().unwrap();
        let acting = store.by("IMAP ann@here.test from 192.0.2.7", NOW + 5);
        let inbox = inbox(&store, ann).await;
        let moved = acting.move_(ann, inbox, &[uid], archive.id, NOW + 5).await.unwrap().pairs[0].1;
        let deleted = Flags { system: Flags::DELETED, keywords: None };
        acting.flags(ann, archive.id, &[moved], FlagOp::Add, &deleted, None).await.unwrap();
        acting.flags(ann, archive.id, &[moved], FlagOp::Add, &deleted, None).await.unwrap();
        acting.expunge(ann, archive.id, &[moved], NOW + 6).await.unwrap();
        let why = store.trace_for(ann, email).await.unwrap();
        assert_eq!(whats(&why), ["stored", "moved", "marked-deleted", "expunged"]);
        assert_eq!(why[0].detail, format!("in INBOX as UID {}: to <ann@here.test>", uid.0));
        assert_eq!(why[1].detail, format!("UID {} from INBOX to Archive, by IMAP ann@here.test from 192.0.2.7", uid.0));
        assert!(why.iter().all(|event| !event.detail.contains("bob")), "{why:#?}");
        assert!(store.trace_for(bob, email).await.unwrap().is_empty(), "somebody else's message");
        store.account_remove(ann, NOW + 10).await.unwrap();
        assert!(store.trace_for(ann, email).await.unwrap().is_empty());
        assert!(store.trace_find("address", "ann@here.test", 10).await.unwrap().is_empty());
        assert_eq!(whats(&store.trace_for(bob, delivered[1].3).await.unwrap()), ["stored"]);
        sound(&store).await;
    }
}

#[tokio::test]
async fn the_trace_keeps_the_newest_within_its_number_and_days() {
    for (_place, store) in both().await {
        store.keep_trace(14, 1_000);
        for second in 0..1_200 {
            store.trace(vec![TraceEvent::new(NOW + second, "told", "x").key("address", format!("a{second}@x.test"))]);
        }
        // A sync behind them: they are written in order.
        let ann = ann(&store).await;
        store.append(ann, inbox(&store, ann).await, vec![email(text(2))]).await.unwrap();
        store.maintain(NOW + 1_200).await.unwrap();
        assert!(store.trace_find("address", "a100@x.test", 1).await.unwrap().is_empty());
        assert_eq!(store.trace_find("address", "a300@x.test", 1).await.unwrap().len(), 1);
        store.keep_trace(0, 1_000);
        store.maintain(NOW + 1_200).await.unwrap();
        store.trace(vec![TraceEvent::new(NOW + 1_200, "told", "x").key("address", "late@x.test")]);
        store.append(ann, inbox(&store, ann).await, vec![email(text(3))]).await.unwrap();
        for address in ["a1100@x.test", "late@x.test"] {
            assert!(store.trace_find("address", address, 1).await.unwrap().is_empty(), "{address}");
        }
    }
}

#[test]
fn addresses_have_one_form() {
    assert_eq!(normalise("Ann@HERE.test"), "ann@here.test");
    assert_eq!(normalise("ann@bücher.test"), "ann@xn--bcher-kva.test");
    assert_eq!(normalise("e\u{301}va@x.test"), normalise("\u{e9}va@x.test"));
    assert_eq!(normalise("a@[192.0.2.1]"), "a@[192.0.2.1]");
    assert_eq!(normalise("Ann"), "ann");
}

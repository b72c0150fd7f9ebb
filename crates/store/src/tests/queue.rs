//! The queue's states, on both engines.
use super::durability::queue_entry;
use super::*;
use crate::engine::memory::Memory;

async fn enqueue(store: &Store, number: usize, due: UnixSecs) -> QueueId {
    let mut one = acceptance(text(number), &[]);
    one.queue.push(NewQueueEntry { due_secs: due, ..queue_entry("carol@there.test") });
    store.accept(one).await.unwrap().queued[0]
}

fn settlement(claim: &Claim, state: RecipientState, next_secs: UnixSecs) -> Settlement {
    let mut recipients = claim.entry.message.recipients.clone();
    recipients[0].state = state;
    recipients[0].last_reply = "mx: 250 Ok".into();
    Settlement {
        recipients,
        next_secs,
        attempted: true,
        notices: Vec::new(),
        trace: Vec::new(),
        bounced: Vec::new(),
        now_secs: NOW,
    }
}

// The row has a form for each: who asks for nothing, for what older releases knew, and for all.
#[tokio::test]
async fn what_was_asked_for_is_kept() {
    let old = QueueService { require_tls: true, deliver_by_secs: Some(NOW + 9), priority: -3, ..QueueService::default() };
    let traced = QueueService { deliver_by_trace: true, ..old.clone() };
    let told = QueueService { solicitations: vec!["org.example:ADV".into(), "a".into()], ..QueueService::default() };
    for (_place, store) in both().await {
        for (number, service) in [QueueService::default(), old.clone(), traced.clone(), told.clone()].into_iter().enumerate() {
            let mut one = acceptance(text(number), &[]);
            one.queue.push(NewQueueEntry { service: service.clone(), ..queue_entry("carol@there.test") });
            let id = store.accept(one).await.unwrap().queued[0];
            assert_eq!(store.queue_entry(id).await.unwrap().unwrap().message.service, service);
        }
    }
}

#[tokio::test]
async fn due_claim_settle() {
    for (_place, store) in both().await {
        let ann = ann(&store).await;
        let watch = store.queue_watch();
        let late = enqueue(&store, 1, NOW + 50).await;
        let early = enqueue(&store, 2, NOW - 5).await;
        assert!(watch.has_changed().unwrap());
        let (due, next) = store.queue_due(NOW, 10).await.unwrap();
        assert_eq!((due.iter().map(|one| one.id).collect::<Vec<_>>(), next), (vec![early], Some(NOW + 50)));
        assert_eq!(due[0].message_id.as_deref(), Some("<2@there.test>"));
        assert_eq!(store.queue_body(due[0].body, 0, 999).await.unwrap(), text(2));

        let claim = store.queue_claim(early, NOW, 60).await.unwrap().unwrap();
        assert!(store.queue_claim(early, NOW + 59, 60).await.unwrap().is_none());
        assert!(store.queue_due(NOW, 10).await.unwrap().0.is_empty());
        assert_eq!(store.queue_act(early, QueueAct::Hold).await, Err(StoreError::LeaseLost));
        store.queue_settle(&claim, settlement(&claim, RecipientState::Waiting, NOW + 300)).await.unwrap();
        assert_eq!(
            store.queue_settle(&claim, settlement(&claim, RecipientState::Delivered, NOW)).await,
            Err(StoreError::LeaseLost)
        );
        let entry = store.queue_entry(early).await.unwrap().unwrap();
        assert_eq!(
            (entry.attempts, entry.next_secs, entry.message.recipients[0].last_reply.as_str()),
            (1, NOW + 300, "mx: 250 Ok")
        );

        // A lease that ended goes to the next; the first holder's word no longer counts.
        let first = store.queue_claim(early, NOW + 300, 10).await.unwrap().unwrap();
        let second = store.queue_claim(early, NOW + 311, 10).await.unwrap().unwrap();
        assert_eq!(
            store.queue_settle(&first, settlement(&first, RecipientState::Delivered, NOW)).await,
            Err(StoreError::LeaseLost)
        );
        let mut last = settlement(&second, RecipientState::Failed, NOW);
        last.notices.push(acceptance(text(9), &[ann]));
        store.queue_settle(&second, last).await.unwrap();
        assert!(store.queue_entry(early).await.unwrap().is_none());
        assert_eq!(store.queue_body(second.entry.body, 0, 1).await, Err(StoreError::NotFound));
        assert_eq!(uids(&store, ann, inbox(&store, ann).await).await, [1], "the bounce came with the settling");
        assert_eq!(store.queue_list(None, 9).await.unwrap().iter().map(|one| one.id).collect::<Vec<_>>(), [late]);
        assert!(store.queue_list(Some(late), 9).await.unwrap().is_empty());
        sound(&store).await;
    }
}

#[tokio::test]
async fn held_released_retried_dropped() {
    for (_place, store) in both().await {
        let id = enqueue(&store, 1, NOW).await;
        store.queue_act(id, QueueAct::Hold).await.unwrap();
        assert!(store.queue_due(NOW + 99, 9).await.unwrap().0.is_empty());
        assert!(store.queue_claim(id, NOW, 9).await.unwrap().is_none());
        sound(&store).await;
        let mut watch = store.queue_watch();
        watch.mark_unchanged();
        store.queue_act(id, QueueAct::Release { now_secs: NOW }).await.unwrap();
        assert!(watch.has_changed().unwrap());
        let claim = store.queue_claim(id, NOW, 9).await.unwrap().unwrap();
        store.queue_settle(&claim, settlement(&claim, RecipientState::Waiting, NOW + 5000)).await.unwrap();
        store.queue_act(id, QueueAct::Retry { now_secs: NOW + 9 }).await.unwrap();
        assert_eq!(store.queue_due(NOW + 9, 9).await.unwrap().0.len(), 1);
        store.queue_act(id, QueueAct::Drop).await.unwrap();
        assert_eq!(store.queue_act(id, QueueAct::Drop).await, Err(StoreError::NotFound));
        let told = store.trace_find("queue", &id.0.to_string(), 9).await.unwrap();
        let told: Vec<&str> = told.iter().map(|event| event.what.as_str()).collect();
        assert_eq!(told, ["held", "released", "retried", "dropped"]);
        sound(&store).await;
    }
}

#[tokio::test]
async fn a_bad_row_is_set_aside_and_stops_nothing() {
    let engine = Arc::new(Memory::default());
    let store = Store::on_engine(Place::new().config(), Box::new(engine.clone()), None, None).await.unwrap();
    let bad = enqueue(&store, 1, NOW).await;
    let good = enqueue(&store, 2, NOW + 1).await;
    engine.damage(&crate::key::queue(bad));
    assert!(!store.check().await.unwrap().is_empty());
    let (due, _) = store.queue_due(NOW + 1, 9).await.unwrap();
    assert_eq!(due.iter().map(|one| one.id).collect::<Vec<_>>(), [good]);
    assert_eq!(store.queue_bad().await.unwrap().iter().map(|one| one.id).collect::<Vec<_>>(), [bad]);
    sound(&store).await;
}

#[tokio::test]
async fn leases_end_with_the_process() {
    let place = Place::new();
    let store = place.open().await;
    let id = enqueue(&store, 1, NOW).await;
    store.queue_claim(id, NOW, 6000).await.unwrap().unwrap();
    drop(store);
    let again = place.open().await;
    assert!(again.queue_claim(id, NOW, 60).await.unwrap().is_some());
    sound(&again).await;
}

#[tokio::test]
async fn what_is_frozen_stands_still_also_after_a_restart_of_the_choice() {
    for (_place, store) in both().await {
        let (one, two) = (enqueue(&store, 1, NOW).await, enqueue(&store, 2, NOW).await);
        let there = Frozen::Destination("There.test".into());
        store.freeze(there.clone(), "they asked", NOW).await.unwrap();
        assert!(store.queue_claim(one, NOW, 60).await.unwrap().is_none());
        assert!(store.queue_scan(NOW, None, false, 10).await.unwrap().rows.is_empty());
        // As at the next start.
        store.inner.queue.frozen.write().unwrap().clear();
        store.inner.load_frozen().await.unwrap();
        assert_eq!(
            store.frozen(),
            [Freeze { what: Frozen::Destination("there.test".into()), since_secs: NOW, why: "they asked".into() }]
        );
        assert!(store.queue_claim(one, NOW, 60).await.unwrap().is_none());
        assert!(store.thaw(&there, NOW).await.unwrap() && !store.thaw(&there, NOW).await.unwrap());
        assert_eq!(store.queue_scan(NOW, None, false, 10).await.unwrap().rows.len(), 2);
        store.freeze(Frozen::All, "", NOW).await.unwrap();
        assert!(store.queue_claim(two, NOW, 60).await.unwrap().is_none());
        store.thaw(&Frozen::All, NOW).await.unwrap();
        assert!(store.queue_claim(two, NOW, 60).await.unwrap().is_some());
        sound(&store).await;
    }
}

#[tokio::test]
async fn the_due_are_read_in_pieces_from_both_ends() {
    for (_place, store) in both().await {
        let mut ids = Vec::new();
        for number in 0..5 {
            ids.push(enqueue(&store, number, NOW - 100 + number as i64).await);
        }
        let first = store.queue_scan(NOW, None, false, 2).await.unwrap();
        assert_eq!(first.rows.iter().map(|row| row.id).collect::<Vec<_>>(), ids[..2]);
        assert_eq!(first.rows[0].lane, crate::lane_of("THERE.test"));
        let second = store.queue_scan(NOW, first.behind, false, 3).await.unwrap();
        assert_eq!(second.rows.iter().map(|row| row.id).collect::<Vec<_>>(), ids[2..]);
        assert!(store.queue_scan(NOW, second.behind, false, 3).await.unwrap().behind.is_none());
        let newest = store.queue_scan(NOW, None, true, 1).await.unwrap();
        assert_eq!(newest.rows[0].id, ids[4]);
        // A row of an older release says only when; the entry tells the rest.
        let at = crate::key::queue_due(NOW - 100, ids[0]);
        let mark = crate::rows::encode_mark(&at);
        let batch = crate::engine::Batch { writes: vec![(at, Some(mark))], ..Default::default() };
        crate::undo::done(store.inner.commit(batch).await).unwrap();
        assert_eq!(store.queue_scan(NOW, None, false, 1).await.unwrap().rows, first.rows[..1]);
        store.queue_act(ids[1], QueueAct::Schedule { at_secs: NOW + 500 }).await.unwrap();
        store.queue_act(ids[2], QueueAct::Reroute { destination: "other.test".into(), now_secs: NOW }).await.unwrap();
        assert_eq!(store.queue_next_due(NOW).await.unwrap(), Some(NOW + 500));
        assert_eq!(store.queue_entry(ids[2]).await.unwrap().unwrap().message.destination, "other.test");
        sound(&store).await;
    }
}

#[tokio::test]
async fn hard_bounces_in_a_row_suppress_and_a_success_forgets() {
    for (_place, store) in both().await {
        for number in 0..4 {
            assert!(store.suppressed("Carol@there.test").await.unwrap().is_none(), "{number}");
            let id = enqueue(&store, number, NOW).await;
            let claim = store.queue_claim(id, NOW, 60).await.unwrap().unwrap();
            // The second goes through: what was counted before is forgotten.
            let state = if number == 0 { RecipientState::Delivered } else { RecipientState::Failed };
            let bounced = if number == 0 { Vec::new() } else { vec![0] };
            store.queue_settle(&claim, Settlement { bounced, ..settlement(&claim, state, NOW) }).await.unwrap();
        }
        let row = store.suppressed("carol@THERE.test").await.unwrap().unwrap();
        assert_eq!((row.bounces, row.why.as_str()), (3, "mx: 250 Ok"));
        store.suppress("dave@there.test", "by hand", NOW).await.unwrap();
        assert_eq!(store.suppress_list(false).await.unwrap().len(), 2);
        store.maintain(NOW + 91 * 86_400).await.unwrap();
        let left = store.suppress_list(true).await.unwrap();
        assert_eq!(left.iter().map(|row| row.address.as_str()).collect::<Vec<_>>(), ["dave@there.test"]);
        assert!(store.unsuppress("Dave@there.test").await.unwrap());
        assert!(!store.unsuppress("dave@there.test").await.unwrap());
        sound(&store).await;
    }
}

#[tokio::test]
async fn a_row_set_aside_comes_back_or_goes() {
    for (_place, store) in both().await {
        let id = enqueue(&store, 1, NOW).await;
        let good = crate::engine::get(&*store.inner.engine, crate::key::queue(id)).await.unwrap().unwrap();
        let set_aside = async |row: &[u8]| {
            let bad = crate::key::queue_bad(id);
            let mut out = crate::value::Writer::new();
            out.text("unreadable").bytes(row);
            let value = out.seal(&bad);
            let writes = vec![(bad, Some(value)), (crate::key::queue(id), None), (crate::key::queue_due(NOW, id), None)];
            crate::undo::done(store.inner.commit(crate::engine::Batch { writes, ..Default::default() }).await).unwrap();
        };
        set_aside(&good).await;
        store.queue_bad_restore(id).await.unwrap();
        assert_eq!(store.queue_scan(NOW, None, false, 9).await.unwrap().rows.len(), 1);
        set_aside(b"nonsense").await;
        assert!(matches!(store.queue_bad_restore(id).await, Err(StoreError::Damaged(_))));
        store.queue_bad_drop(id).await.unwrap();
        assert_eq!(store.queue_bad_drop(id).await, Err(StoreError::NotFound));
        assert_eq!(store.queue_bad().await.unwrap().len(), 0);
    }
}

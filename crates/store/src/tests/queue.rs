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
    Settlement { recipients, next_secs, attempted: true, notices: Vec::new(), trace: Vec::new() }
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
        assert_eq!(store.trace_find("queue", &id.0.to_string(), 9).await.unwrap()[0].what, "dropped");
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

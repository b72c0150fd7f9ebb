//! Facts of another version than this program's: made anew from the octets, and kept.
use super::*;
use crate::engine::{Batch, Found, Outcome, Query, commit};
use ::message::facts::FACTS_VERSION;

#[tokio::test]
async fn facts_of_an_older_version_are_made_anew_and_kept() {
    for (_place, store) in both().await {
        let ann = ann(&store).await;
        inbox(&store, ann).await;
        let (_, _, _, id) = store.accept(acceptance(text(1), &[ann])).await.unwrap().delivered[0];
        let engine = &*store.inner.engine;
        let body = store.inner.email_records(ann, &[id]).await.unwrap()[0].as_ref().unwrap().body;
        let kept = async || {
            let found = engine.read(vec![Query::Notes(vec![body])]).await.unwrap().into_iter().next();
            found.map(Found::values).unwrap_or_default().remove(0).unwrap()
        };
        let new = kept().await;
        assert_eq!(new[0], FACTS_VERSION | 0x80);
        // As older releases kept it: not packed. It stays as it is.
        let mut plain = vec![FACTS_VERSION];
        plain.extend_from_slice(&facts(&text(1)).encode());
        assert!(new.len() < plain.len());
        let batch = Batch { notes: vec![(body, plain.clone())], light: true, ..Batch::default() };
        assert_eq!(commit(engine, batch).await, Outcome::Done);
        assert_eq!(store.facts(ann, &[id]).await.unwrap(), [Some(facts(&text(1)))]);
        let envelope = store.rendered(ann, &[id], &[crate::RenderedPart::Envelope]).await.unwrap();
        assert_eq!(envelope.get(0).unwrap()[0], facts(&text(1)).envelope);
        assert_eq!(kept().await, plain);
        // What the version before kept, in its own form: nothing of it may be read as if it were ours.
        let mut old = new.to_vec();
        old[0] = FACTS_VERSION - 1;
        let batch = Batch { notes: vec![(body, old.clone())], light: true, ..Batch::default() };
        assert_eq!(commit(engine, batch).await, Outcome::Done);
        assert_eq!(kept().await, old);
        assert_eq!(store.facts(ann, &[id]).await.unwrap(), [Some(facts(&text(1)))]);
        assert_eq!(kept().await, new);
    }
}

#[tokio::test]
async fn what_is_remembered_of_a_message_is_its_own_and_only_its_owners() {
    use crate::RenderedPart::{Body, BodyStructure, Envelope};
    for (_place, store) in both().await {
        let ann = ann(&store).await;
        inbox(&store, ann).await;
        let mut ids = Vec::new();
        for number in 1..4 {
            ids.push(store.accept(acceptance(text(number), &[ann])).await.unwrap().delivered[0].3);
        }
        let facts = [facts(&text(1)), facts(&text(2)), facts(&text(3))];
        // One part of one of them, then all of all: some from memory, some read; then all from memory.
        let one = store.rendered(ann, &ids[1..2], &[BodyStructure]).await.unwrap();
        assert_eq!(one.get(0), Some([&b""[..], &facts[1].body_structure, &b""[..]]));
        for _ in 0..2 {
            let all = store.rendered(ann, &ids, &[Envelope, BodyStructure, Body]).await.unwrap();
            for (number, facts) in facts.iter().enumerate() {
                assert_eq!(all.get(number), Some([&facts.envelope[..], &facts.body_structure, &facts.body]));
            }
            assert_eq!(all.get(3), None);
        }
        let others = store.rendered(AccountId(ann.0 + 1), &ids, &[Envelope]).await.unwrap();
        assert!((0..3).all(|number| others.get(number).is_none()), "another account's mail is shown");
        store.account_remove(ann, 1).await.unwrap();
        assert!(store.inner.rendered.is_empty());
    }
}

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
        assert_eq!(new[0], FACTS_VERSION);
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

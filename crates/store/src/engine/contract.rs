//! What every engine must do: one suite, run on both.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::embedded::{Embedded, Tuning};
use super::memory::Memory;
use super::*;
use crate::limits::BODY_PIECE_BYTES;
use std::sync::{Arc, Mutex};

fn kv(name: &str) -> Key {
    Key::new([&[0x50], name.as_bytes()].concat())
}

fn ledger(id: u64) -> Key {
    crate::key::email(crate::types::EmailId(id))
}

fn put(pairs: &[(Key, &str)]) -> Batch {
    Batch {
        writes: pairs.iter().map(|(key, value)| (key.clone(), Some(value.as_bytes().to_vec()))).collect(),
        ..Batch::default()
    }
}

fn body(id: u64, refs: u32, octets: Vec<u8>) -> NewBody {
    NewBody { id: BodyId(id), refs, content: Spooled::from_bytes(octets.into()), note: Some(vec![id as u8]) }
}

async fn text_of(engine: &dyn Engine, key: Key) -> Option<String> {
    get(engine, key).await.unwrap().map(|value| String::from_utf8(value).unwrap())
}

async fn keys_and_ranges(engine: &dyn Engine) {
    let batch =
        put(&[(kv("b"), "2"), (kv("a"), "1"), (kv("c"), "3"), (ledger(7), "seven"), (ledger(300), "many"), (kv("b"), "two")]);
    assert_eq!(commit(engine, batch).await, Outcome::Done);
    assert_eq!(text_of(engine, kv("b")).await.as_deref(), Some("two"), "the last write of a batch holds");
    assert_eq!(text_of(engine, kv("z")).await, None);
    let names =
        |rows: Vec<(Key, Vec<u8>)>| rows.into_iter().map(|(_, value)| String::from_utf8(value).unwrap()).collect::<Vec<_>>();
    assert_eq!(names(range(engine, (kv("a"), kv("c")), 9).await.unwrap()), ["1", "two"]);
    assert_eq!(names(range(engine, (kv("a"), kv("zz")), 2).await.unwrap()), ["1", "two"]);
    assert_eq!(names(range(engine, crate::key::whole(crate::key::EMAIL), 9).await.unwrap()), ["seven", "many"]);
    assert_eq!(names(range(engine, (ledger(8), ledger(300)), 9).await.unwrap()), Vec::<String>::new());
    // Behind a row, so that pages end.
    assert_eq!(names(range(engine, (ledger(7).behind(), ledger(300).behind()), 9).await.unwrap()).len(), 1);
    assert_eq!(
        names(range(engine, (ledger(300).behind(), crate::key::whole(crate::key::EMAIL).1), 9).await.unwrap()),
        Vec::<String>::new()
    );
    let reverse = Query::Range { from: kv("a"), to: kv("zz"), limit: 2, reverse: true };
    let found = engine.read(vec![reverse, Query::Many(vec![ledger(300), ledger(1), ledger(7)])]).await.unwrap();
    assert_eq!(names(found[0].clone().pairs()), ["3", "two"]);
    assert_eq!(found[1].clone().values(), [Some(b"many".to_vec()), None, Some(b"seven".to_vec())]);
    let close: Vec<Key> = (0..400).map(ledger).collect();
    let short = engine.read(vec![Query::Short(close.clone())]).await.unwrap().remove(0).packed();
    let values = engine.read(vec![Query::Many(close)]).await.unwrap().remove(0).values();
    assert!(values.iter().enumerate().all(|(number, value)| short.get(number) == value.as_deref()));
    assert_eq!(values.len(), 400);
    assert_eq!(values.iter().flatten().count(), 2);
    assert_eq!(values[7].as_deref(), Some(&b"seven"[..]));
    let mut batch = Batch::default();
    batch.delete(kv("a"));
    batch.delete(ledger(7));
    assert_eq!(commit(engine, batch).await, Outcome::Done);
    assert_eq!((text_of(engine, kv("a")).await, text_of(engine, ledger(7)).await), (None, None));
}

async fn expectations(engine: &dyn Engine) {
    let mut batch = put(&[(kv("e"), "1")]);
    batch.expects.push((kv("e"), Version::ABSENT));
    assert_eq!(commit(engine, batch).await, Outcome::Done);
    let mut batch = put(&[(kv("e"), "2"), (kv("f"), "2")]);
    batch.expects.push((kv("e"), Version::ABSENT));
    assert_eq!(commit(engine, batch).await, Outcome::Conflict);
    assert_eq!(text_of(engine, kv("f")).await, None, "a conflict does nothing");
    // A chain submitted at once: each expects what the one before leaves, the broken link stops the rest of its own.
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut last = None;
    for (number, expected) in ["1", "x", "2", "3"].iter().enumerate() {
        let value = format!("{}", number + 2);
        let mut batch = put(&[(kv("e"), &value)]);
        batch.expects.push((kv("e"), Version::of(Some(expected.as_bytes()))));
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let order = order.clone();
        engine.submit(
            batch,
            Box::new(move |outcome| {
                order.lock().unwrap().push((number, outcome.clone()));
                let _ = sender.send(());
            }),
        );
        last = Some(receiver);
    }
    last.unwrap().await.unwrap();
    let seen = order.lock().unwrap().clone();
    assert_eq!(
        seen,
        [(0, Outcome::Done), (1, Outcome::Conflict), (2, Outcome::Conflict), (3, Outcome::Conflict)][..2]
            .iter()
            .cloned()
            .chain([(2, Outcome::Done), (3, Outcome::Conflict)])
            .collect::<Vec<_>>()
    );
    assert_eq!(text_of(engine, kv("e")).await.as_deref(), Some("4"));
}

async fn bodies(engine: &dyn Engine) {
    let large: Vec<u8> = (0..BODY_PIECE_BYTES * 2 + 5).map(|n| n as u8).collect();
    let batch = Batch {
        bodies: vec![body(11, 1, b"hello".to_vec()), body(12, 2, large.clone()), body(13, 1, Vec::new())],
        ..Batch::default()
    };
    assert_eq!(commit(engine, batch).await, Outcome::Done);
    assert_eq!(engine.body(BodyId(11), 0, 99).await.unwrap(), &b"hello"[..]);
    assert_eq!(engine.body(BodyId(12), 65_530, 70_000).await.unwrap(), &large[65_530..]);
    assert_eq!(engine.body(BodyId(13), 0, 99).await.unwrap(), &b""[..]);
    assert_eq!(engine.body(BodyId(99), 0, 1).await, Err(StoreError::NotFound));
    let notes = engine.read(vec![Query::Notes(vec![BodyId(12), BodyId(99)])]).await.unwrap().remove(0).values();
    assert_eq!(notes, [Some(vec![12]), None]);
    let batch = Batch { retain: vec![(BodyId(11), 1)], release: vec![(BodyId(12), 1)], ..Batch::default() };
    assert_eq!(commit(engine, batch).await, Outcome::Done);
    let renote = Batch { notes: vec![(BodyId(11), vec![1, 2])], light: true, ..Batch::default() };
    assert_eq!(commit(engine, renote).await, Outcome::Done);
    let found = engine.read(vec![Query::Bodies { after: BodyId(0), limit: 9 }, Query::Notes(vec![BodyId(11)])]).await.unwrap();
    assert!(
        matches!(&found[0], Found::Bodies(rows) if *rows == [(BodyId(11), 2, 5), (BodyId(12), 1, large.len() as u64), (BodyId(13), 1, 0)])
    );
    assert_eq!(found[1].clone().values(), [Some(vec![1, 2])]);
    let ids = [11, 99, 12, 11].map(BodyId).to_vec();
    let fronts = Query::NoteFronts { ids, wanted: |note| usize::from(note.len() > 1) };
    let fronts = engine.read(vec![fronts]).await.unwrap().remove(0).packed();
    assert_eq!([0, 1, 2, 3, 4].map(|number| fronts.get(number)), [Some(&[1][..]), None, Some(&[]), Some(&[1]), None]);
    let batch = Batch { release: vec![(BodyId(12), 1)], ..Batch::default() };
    assert_eq!(commit(engine, batch).await, Outcome::Done);
    assert_eq!(engine.body(BodyId(12), 0, 1).await, Err(StoreError::NotFound));
    assert_eq!(engine.read(vec![Query::Notes(vec![BodyId(12)])]).await.unwrap().remove(0).values(), [None]);
    let mut batch = put(&[(kv("g"), "g")]);
    batch.retain.push((BodyId(12), 1));
    assert_eq!(commit(engine, batch).await, Outcome::Conflict, "nobody can hold what is gone");
    assert_eq!(text_of(engine, kv("g")).await, None);
    assert!(engine.check().await.unwrap().is_empty());
    engine.maintain(&Arc::default()).await.unwrap();
    assert!(engine.check().await.unwrap().is_empty());
}

async fn suite(engine: &dyn Engine) {
    keys_and_ranges(engine).await;
    expectations(engine).await;
    bodies(engine).await;
    engine.close().await.unwrap();
}

#[tokio::test]
async fn memory() {
    suite(&Memory::default()).await;
}

#[tokio::test]
async fn embedded() {
    embedded_suite(Tuning::default()).await;
}

#[tokio::test]
async fn embedded_where_a_sync_is_cheap() {
    embedded_suite(Tuning::at_once()).await;
}

async fn embedded_suite(tuning: Tuning) {
    let folder = tempfile::tempdir().unwrap();
    let (engine, defects) = Embedded::open(folder.path(), tuning).unwrap();
    assert!(defects.is_empty());
    suite(&engine).await;
    assert_eq!(commit(&engine, put(&[(kv("h"), "h")])).await, Outcome::Failed(StoreError::Io("the store is closed".into())));
    // All of it is there after opening again.
    let (engine, _) = Embedded::open(folder.path(), Tuning::default()).unwrap();
    assert_eq!(text_of(&engine, kv("e")).await.as_deref(), Some("4"));
    assert_eq!(engine.body(BodyId(11), 0, 99).await.unwrap(), &b"hello"[..]);
}

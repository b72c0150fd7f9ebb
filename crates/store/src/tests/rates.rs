//! What must not grow with a mailbox, and how fast it goes (and when asked, at size): `cargo test --release -p store --features measure measured -- --nocapture`.
use super::*;
use std::time::{Duration, Instant};

async fn filled(store: &Store, account: AccountId, count: usize) -> MailboxId {
    let mailbox = store.mailbox_create(account, "filled", None, NOW).await.unwrap().id;
    let mut number = 0;
    while number < count {
        let some = (number..(number + 1000).min(count)).map(|one| email(text(one))).collect::<Vec<_>>();
        number += some.len();
        store.append(account, mailbox, some).await.unwrap();
    }
    mailbox
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

async fn append_once(store: &Store, account: AccountId, mailbox: MailboxId) -> Duration {
    let start = Instant::now();
    store.append(account, mailbox, vec![email(text(1))]).await.unwrap();
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_into_a_large_mailbox_costs_what_it_does_into_an_empty_one() {
    let place = Place::new();
    let store = place.open().await;
    let ann = ann(&store).await;
    let large = filled(&store, ann, 8_000).await;
    let small = inbox(&store, ann).await;
    let (mut into_small, mut into_large) = (Vec::new(), Vec::new());
    for _ in 0..60 {
        // Sessions hold the view they have. One after the other, so that a busy machine slows both.
        let held = store.snapshot(ann, large).await.unwrap();
        into_small.push(append_once(&store, ann, small).await);
        into_large.push(append_once(&store, ann, large).await);
        drop(held);
    }
    let (small, large) = (median(into_small), median(into_large));
    assert!(large < small * 2 + Duration::from_millis(1), "{small:?} into an empty one, {large:?} into one of 8,000");
    sound(&store).await;
}

/// Processor time of this process so far, in ms: what a busy machine does not change.
#[cfg(feature = "measure")]
fn processor_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<u64> =
        stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2).map(|field| field.parse().unwrap()).collect();
    (fields[0] + fields[1]) * 10
}

#[cfg(feature = "measure")]
async fn timed<T>(what: &str, work: impl Future<Output = T>) -> T {
    let (start, processor) = (Instant::now(), processor_ms());
    let answer = work.await;
    println!("{what:40} {:9.3} ms, processor {:5} ms", start.elapsed().as_secs_f64() * 1000.0, processor_ms() - processor);
    answer
}

#[cfg(feature = "measure")]
async fn deliveries(store: &Store, account: AccountId, what: &str) {
    for writers in [1, 16, 64] {
        let before = store.commit_counts();
        let (start, processor) = (Instant::now(), processor_ms());
        let count = 4000 / writers;
        let mut tasks = Vec::new();
        for _ in 0..writers {
            let store = store.clone();
            tasks.push(tokio::spawn(async move {
                let mut octets = text(1).to_vec();
                octets.resize(8000, b'x');
                let octets = Bytes::from(octets);
                let facts = facts(&octets);
                for _ in 0..count {
                    let mut one = acceptance(Bytes::new(), &[account]);
                    (one.body, one.facts) = (Spooled::from_bytes(octets.clone()), facts.clone());
                    store.accept(one).await.unwrap();
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let total = (writers * count) as f64;
        let syncs = store.commit_counts().0 - before.0;
        let rate = total / start.elapsed().as_secs_f64();
        let each = (processor_ms() - processor) as f64 / total;
        println!(
            "{what}: {writers:3} writers {rate:8.0}/s, {:.3} syncs and {each:.3} ms of processor a message",
            syncs as f64 / total
        );
    }
}

#[cfg(feature = "measure")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn measured() {
    let count = 100_000;
    let place = Place::new();
    let store = place.open().await;
    let ann = ann(&store).await;
    deliveries(&store, ann, "empty").await;
    let box_id = timed(&format!("fill {count}"), filled(&store, ann, count)).await;
    for round in 0..2 {
        let rows = timed("snapshot", store.snapshot(ann, box_id)).await.unwrap().rows;
        let emails: Vec<EmailId> = rows.iter().map(|row| row.email).collect();
        timed("facts of all", async {
            for some in emails.chunks(2000) {
                store.facts(ann, some).await.unwrap();
            }
        })
        .await;
        timed("up to 10,000 bodies", async {
            for email in emails.iter().take(10_000) {
                store.body(ann, *email, 0, u64::MAX).await.unwrap();
            }
        })
        .await;
        let seen = Flags { system: Flags::SEEN << round, keywords: None };
        timed("one flag, 1000 times", async {
            for uid in 1..=1000 {
                store.flags(ann, box_id, &[Uid(uid)], FlagOp::Add, &seen, None).await.unwrap();
            }
        })
        .await;
        let trash = store.mailbox(ann, "Trash").await.unwrap().unwrap().id;
        let some: Vec<Uid> = rows.iter().skip(5000).take(1000).map(|row| row.uid).collect();
        let more: Vec<Uid> = rows.iter().skip(7000).take(1000).map(|row| row.uid).collect();
        timed("copy 1000", store.copy(ann, box_id, &some, trash)).await.unwrap();
        timed("move 1000", store.move_(ann, box_id, &more, trash, NOW)).await.unwrap();
        timed("expunge 1000", store.expunge(ann, box_id, &some, NOW)).await.unwrap();
        let all: Vec<Uid> = rows.iter().map(|row| row.uid).collect();
        timed(
            "flag on all",
            store.flags(ann, box_id, &all, FlagOp::Add, &Flags { system: Flags::FLAGGED << round, keywords: None }, None),
        )
        .await
        .unwrap();
    }
    let into = store.mailbox(ann, "INBOX").await.unwrap().unwrap();
    println!("INBOX has {}", store.status(ann, into.id).await.unwrap().messages);
    deliveries(&store, ann, "beside them").await;
    timed("check", store.check()).await.unwrap();
    store.close().await.unwrap();
    let store = timed("open", place.open()).await;
    timed("snapshot after opening", store.snapshot(ann, box_id)).await.unwrap();
}

//! Measures the search index on messages of a folder: `measure FOLDER COPIES WORD...` appends each file of the folder COPIES times
//! to a store on disk (octets altered a little each time), takes all in, and times searches with and without the index.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use message::Facts;
use message::threading::Algorithm;
use search::{Key, Needle, Query, Searcher};
use std::sync::Arc;
use std::time::Instant;
use store::{AccountId, Flags, MailboxId, NewAccount, NewEmail, Secrets, Spooled, Store, StoreConfig};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (folder, copies) = (arguments.next().expect("FOLDER"), arguments.next().expect("COPIES").parse::<usize>().unwrap());
    let words: Vec<String> = arguments.collect();
    let data = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        data_dir: data.path().to_path_buf(),
        undo_days: 0,
        free_bytes_min: 0,
        free_bytes_tight: 0,
        message_bytes_max: 64 << 20,
    };
    let store = Store::open(config).await.unwrap();
    let secrets = Secrets { argon2: String::new(), scram: None };
    let account = NewAccount { address: "ann@here.test".into(), secrets, quota_bytes: None };
    let account = store.accounts_add(vec![account], 1).await.unwrap()[0];
    let inbox = store.mailbox(account, "INBOX").await.unwrap().unwrap().id;
    let sent = fill(&store, account, inbox, &folder, copies).await;
    let searcher = Searcher::indexed(store.clone(), data.path().join("search"));
    let begun = Instant::now();
    searcher.catch_up(account).await.unwrap();
    let took = begun.elapsed();
    let status = searcher.status(account).await.unwrap().unwrap();
    println!(
        "{} messages, {} MB; index {:.1} MB = {:.2} %, {} us a message",
        status.messages,
        sent / 1_000_000,
        status.size_bytes as f64 / 1e6,
        100.0 * status.size_bytes as f64 / sent as f64,
        took.as_micros() / status.messages.max(1) as u128
    );
    let plain = Searcher::new(store.clone());
    for word in &words {
        for (name, query) in [("TEXT", Query::Text(Needle::new(word))), ("SUBJECT", Query::header("Subject", word))] {
            let right = timed(&plain, account, inbox, &store, query.clone(), &format!("{name} {word}, read")).await;
            for _ in 0..3 {
                let found = timed(&searcher, account, inbox, &store, query.clone(), &format!("{name} {word}, index")).await;
                assert_eq!(found, right);
            }
        }
    }
    let rows = store.snapshot(account, inbox).await.unwrap().rows;
    let all: Vec<usize> = (0..rows.len()).collect();
    for (name, searcher) in [("facts", &plain), ("index", &searcher)] {
        for _ in 0..2 {
            let begun = Instant::now();
            let mut keys = searcher.keys(account, inbox, &rows, &all).await.unwrap();
            let made = begun.elapsed();
            let mut walk = keys.walk();
            let mut order: Vec<(u64, usize)> = rows.iter().map(|row| walk.value(Key::Subject, &row)).zip(all.clone()).collect();
            order.sort_unstable();
            let sorted = begun.elapsed();
            let forest = keys.forest(&rows, &all, Algorithm::References);
            println!("keys by {name} {made:?}, sorted {sorted:?}, {} threads {:?}", forest.roots.len(), begun.elapsed());
        }
    }
}

async fn fill(store: &Store, account: AccountId, inbox: MailboxId, folder: &str, copies: usize) -> usize {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut sent = 0;
    let mut waiting = Vec::new();
    for copy in 0..copies {
        for file in &files {
            let mut octets = format!("X-Copy: copy{copy}of\r\n").into_bytes();
            octets.extend(std::fs::read(file).unwrap());
            sent += octets.len();
            let facts = Arc::new(Facts::compute(&octets));
            let body = Spooled::from_bytes(octets.into());
            waiting.push(NewEmail { body, facts, flags: Flags::default(), internal_date_secs: 1_700_000_000 });
            if waiting.len() == 500 {
                store.append(account, inbox, std::mem::take(&mut waiting)).await.unwrap();
            }
        }
    }
    if !waiting.is_empty() {
        store.append(account, inbox, waiting).await.unwrap();
    }
    sent
}

async fn timed(searcher: &Searcher, account: AccountId, inbox: MailboxId, store: &Store, query: Query, name: &str) -> Vec<usize> {
    let rows = store.snapshot(account, inbox).await.unwrap().rows;
    let begun = Instant::now();
    let found = searcher.mailbox(account, inbox, &rows, query).await.unwrap();
    println!("{name}: {} found in {:.1} ms", found.len(), begun.elapsed().as_secs_f64() * 1e3);
    found
}

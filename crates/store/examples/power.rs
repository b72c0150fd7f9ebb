//! The store's half of `tests/power/power.py`: a load on small segments that tells what it was promised, and a reader of
//! disk images that tells what is there.
//!
//! `power load FOLDER SEED MILLIS` acts for so long and prints, before each act, `T id state` (tried) and after it
//! `S id state` (acknowledged), and `U user mailbox uidvalidity uid id` for UIDs that were told.
//! `power look` reads data directories from standard input, one a line, opens, checks and prints each: `E why`, `D defect`,
//! `M user mailbox uidvalidity uidnext`, `R user mailbox uid flags id` (`?`: damaged), `Q id`, then a full stop.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use bytes::Bytes;
use message::facts::Facts;
use std::fmt::Write as _;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::*;

const NOW: UnixSecs = 1_800_000_000;
const SEGMENT_BYTES: u64 = 60_000;

fn config(folder: &Path) -> StoreConfig {
    let undo_days = 30;
    StoreConfig { data_dir: folder.into(), undo_days, free_bytes_min: 0, free_bytes_tight: 0, message_bytes_max: 50 << 20 }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["load", folder, seed, millis] => load(Path::new(folder), seed.parse().unwrap(), millis.parse().unwrap()).await,
        ["look"] => look_at_all().await,
        _ => panic!("power load FOLDER SEED MILLIS | power look"),
    }
}

// ---- what is there

async fn look_at_all() {
    for line in std::io::stdin().lock().lines() {
        let mut out = String::new();
        if let Err(why) = look(Path::new(&line.unwrap()), &mut out).await {
            writeln!(out, "E {why:?}").unwrap();
        }
        println!("{out}.");
    }
}

async fn look(folder: &Path, out: &mut String) -> Result<(), StoreError> {
    let store = Store::open(config(folder)).await?;
    for defect in store.check().await? {
        writeln!(out, "D {}: {}", defect.place, defect.what).unwrap();
    }
    for account in store.account_list(None, 1000).await? {
        let user = account.address.split('@').next().unwrap();
        for mailbox in store.mailboxes(account.id).await?.iter() {
            let snapshot = store.snapshot(account.id, mailbox.id).await?;
            writeln!(out, "M {user} {} {} {}", mailbox.name, mailbox.uid_validity, snapshot.uid_next.0).unwrap();
            for row in snapshot.rows.iter() {
                let octets = store.body(account.id, row.email, 0, u64::MAX).await?;
                let id = identity(&octets).unwrap_or("?");
                writeln!(out, "R {user} {} {} {} {id}", mailbox.name, row.uid.0, row.flags.system).unwrap();
            }
        }
    }
    for entry in store.queue_list(None, 100_000).await? {
        let octets = store.queue_body(entry.body, 0, u64::MAX).await?;
        writeln!(out, "Q {}", identity(&octets).unwrap_or("?")).unwrap();
    }
    store.close().await
}

/// The id of a message that proves itself: its field tells what the text must be.
fn identity(octets: &[u8]) -> Option<&str> {
    let octets = std::str::from_utf8(octets).ok()?;
    let (head, text) = octets.split_once("\r\n\r\n")?;
    let line = head.lines().find_map(|line| line.strip_prefix("X-Power: "))?;
    let (id, lines) = line.split_once(' ')?;
    let lines: usize = lines.parse().ok()?;
    (text == text_of(id, lines)).then_some(id)
}

fn text_of(id: &str, lines: usize) -> String {
    (0..lines).fold(String::new(), |mut text, line| {
        write!(text, "{id} {line}\r\n").unwrap();
        text
    })
}

// ---- load

/// Small steps of a linear generator: the same acts for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// One write, so that a line is whole in the recorder's log.
fn tell(line: &str) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
    std::io::stdout().lock().flush().unwrap();
}

/// A message and where it lies: (mailbox, UID, flags).
#[derive(Clone)]
struct Known {
    id: String,
    places: Vec<(Mailbox, Uid, u8)>,
    queued: bool,
}

impl Known {
    fn state(&self, user: &str) -> String {
        let places = self.places.iter().map(|(mailbox, _, flags)| format!("{user}/{}={flags}", mailbox.name));
        let parts: Vec<String> = places.chain(self.queued.then(|| "queue".into())).collect();
        if parts.is_empty() { "-".into() } else { parts.join(";") }
    }
}

async fn load(folder: &Path, seed: u64, millis: u64) {
    let end = Instant::now() + Duration::from_millis(millis);
    let store = Store::open_segmented(config(folder), SEGMENT_BYTES).await.unwrap();
    let new = |n: usize| NewAccount {
        address: format!("u{n}@here.test"),
        secrets: Secrets { argon2: "!".into(), scram: None },
        quota_bytes: None,
    };
    let accounts = match store.account_list(None, 9).await.unwrap() {
        there if there.is_empty() => store.accounts_add((0..3).map(new).collect(), NOW).await.unwrap(),
        there => there.iter().map(|account| account.id).collect(),
    };
    let mut tasks = Vec::new();
    for (number, account) in accounts.into_iter().enumerate() {
        let store = store.clone();
        let dice = Dice(seed * 1000 + number as u64);
        tasks.push(tokio::spawn(async move { live(&store, account, number, dice, end).await }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    store.close().await.unwrap();
}

async fn live(store: &Store, account: AccountId, number: usize, mut dice: Dice, end: Instant) {
    let user = format!("u{number}");
    let inbox = store.mailbox(account, "INBOX").await.unwrap().unwrap();
    let archive = store.mailbox(account, "Archive").await.unwrap().unwrap();
    let mut known: Vec<Known> = Vec::new();
    for act in 0.. {
        if Instant::now() > end {
            return;
        }
        if number == 0 && act % 40 == 39 {
            store.maintain(NOW + 31 * 86_400).await.unwrap();
        }
        if known.len() < 3 || dice.below(2) == 0 {
            let id = format!("{user}-{act}-{}", dice.below(1 << 30));
            known.push(accept(store, account, &user, id, &inbox, &mut dice).await);
            continue;
        }
        let which = dice.below(known.len() as u64) as usize;
        let message = &mut known[which];
        if message.places.is_empty() {
            known.swap_remove(which);
            continue;
        }
        change(store, account, &user, message, &archive, &mut dice).await;
    }
}

async fn accept(store: &Store, account: AccountId, user: &str, id: String, inbox: &Mailbox, dice: &mut Dice) -> Known {
    let lines = [3, 30, 400][dice.below(3) as usize];
    let head = format!("From: x@elsewhere.test\r\nSubject: power\r\nX-Power: {id} {lines}\r\n\r\n");
    let octets = Bytes::from(head + &text_of(&id, lines));
    let queued = dice.below(5) == 0;
    let recipient = QueueRecipient {
        address: "c@there.test".into(),
        original: None,
        notify: 0,
        state: RecipientState::Waiting,
        last_reply: String::new(),
        delay_told: false,
    };
    let entry = NewQueueEntry {
        destination: "there.test".into(),
        reverse_path: "ann@here.test".into(),
        recipients: vec![recipient],
        account: Some(account),
        due_secs: NOW,
        expires_secs: NOW + 86_400,
        eight_bit: false,
        smtputf8: false,
        ret_headers: false,
        envelope_id: None,
        service: Default::default(),
    };
    let delivery = Delivery { account, target: Target::Inbox, flags: Flags::default(), internal_date_secs: NOW };
    let acceptance = Acceptance {
        facts: Arc::new(Facts::compute(&octets)),
        body: Spooled::from_bytes(octets),
        deliveries: vec![delivery],
        queue: if queued { vec![entry] } else { Vec::new() },
        trace: Vec::new(),
        idempotency: None,
    };
    let mut message = Known { id, places: vec![(inbox.clone(), Uid(0), 0)], queued };
    tell(&format!("T {} {}", message.id, message.state(user)));
    let accepted = store.accept(acceptance).await.unwrap();
    let uid = accepted.delivered[0].2;
    message.places[0].1 = uid;
    tell(&format!("S {} {}", message.id, message.state(user)));
    tell(&format!("U {user} INBOX {} {} {}", inbox.uid_validity, uid.0, message.id));
    message
}

async fn change(store: &Store, account: AccountId, user: &str, message: &mut Known, archive: &Mailbox, dice: &mut Dice) {
    let mut after = message.clone();
    let (mailbox, uid, flags) = message.places[0].clone();
    let moved = (archive.clone(), Uid(0), flags);
    let act = dice.below(5);
    match act {
        0 | 1 => after.places[0].2 = 1 << dice.below(5),
        2 if message.places.len() == 1 && mailbox.id != archive.id => after.places.push(moved),
        3 if message.places.len() == 1 && mailbox.id != archive.id => after.places = vec![moved],
        4 => drop(after.places.remove(0)),
        _ => return,
    }
    tell(&format!("T {} {}", message.id, after.state(user)));
    let copied = match act {
        0 | 1 => {
            let flags = Flags { system: after.places[0].2, keywords: None };
            drop(store.flags(account, mailbox.id, &[uid], FlagOp::Replace, &flags, None).await.unwrap());
            None
        }
        2 => Some(store.copy(account, mailbox.id, &[uid], archive.id).await.unwrap()),
        3 => Some(store.move_(account, mailbox.id, &[uid], archive.id, NOW).await.unwrap()),
        _ => {
            drop(store.expunge(account, mailbox.id, &[uid], NOW).await.unwrap());
            None
        }
    };
    tell(&format!("S {} {}", message.id, after.state(user)));
    if let Some(copied) = copied {
        let uid = copied.pairs[0].1;
        after.places.last_mut().unwrap().1 = uid;
        tell(&format!("U {user} {} {} {} {}", archive.name, archive.uid_validity, uid.0, message.id));
    }
    *message = after;
}

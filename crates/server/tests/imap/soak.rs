//! Several sessions on one mailbox doing everything at once, seeded: each must always know what the store knows.
//!
//! A session mirrors what it is told (EXISTS, EXPUNGE) as UIDs by message number. Law: a number it is told is in range,
//! a FETCH names the UID the mirror has there, no EXPUNGE comes in FETCH, STORE or SEARCH by number, and at the end all
//! sessions have the same UIDs.

use crate::Peer;
use crate::office::Office;
use std::sync::Arc;

/// Small and seeded; any failure is a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

struct Mirror {
    peer: Peer,
    /// What is known of each message number; a number just told of has no UID yet.
    uids: Vec<Option<u32>>,
    tag: u32,
}

impl Mirror {
    /// Runs a command and takes in all it is told; the tagged line comes back.
    async fn run(&mut self, command: &str) -> String {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.peer.unsent.extend_from_slice(format!("{tag} {command}\r\n").as_bytes());
        let by_number = ["FETCH", "STORE", "SEARCH"].iter().any(|verb| command.starts_with(verb));
        loop {
            let line = self.peer.line().await.expect("the connection ended");
            if let Some(end) = line.strip_prefix(&format!("{tag} ")) {
                assert!(!end.starts_with("BAD"), "{command}: {end}");
                return end.to_owned();
            }
            self.take(&line, by_number, command);
        }
    }

    fn take(&mut self, line: &str, by_number: bool, command: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(number) = words.get(1).and_then(|word| word.parse::<usize>().ok()) else { return };
        match words[2] {
            "EXISTS" => {
                assert!(number >= self.uids.len(), "{command}: EXISTS shrank from {} to {number}", self.uids.len());
                self.uids.resize(number, None);
            }
            "EXPUNGE" => {
                assert!(!by_number, "{line} while {command}");
                self.uids.remove(number - 1);
            }
            "FETCH" => {
                let slot = &mut self.uids[number - 1];
                let uid = words
                    .windows(2)
                    .find(|pair| pair[0].ends_with("UID"))
                    .map(|pair| pair[1].trim_end_matches(')').parse().unwrap());
                if let Some(uid) = uid {
                    assert!(slot.is_none_or(|known| known == uid), "{command}: {line}, but {slot:?} was there");
                    *slot = Some(uid);
                }
            }
            _ => {}
        }
    }

    async fn act(&mut self, dice: &mut Dice) {
        let count = self.uids.len() as u64;
        let number = 1 + dice.roll(count.max(1));
        match dice.roll(10) {
            0 | 1 => drop(self.run("APPEND INBOX {6+}\r\nA: b\r\n").await),
            2 if count > 0 => drop(self.run(&format!("STORE {number} +FLAGS (\\Deleted)")).await),
            3 if count > 0 => drop(self.run(&format!("STORE {number}:* +FLAGS.SILENT (\\Flagged)")).await),
            4 if count > 20 => drop(self.run("EXPUNGE").await),
            5 if count > 20 => drop(self.run(&format!("UID MOVE {number}:{} Trash", number + 1)).await),
            6 if count > 0 => drop(self.run(&format!("FETCH {number}:* UID")).await),
            7 => drop(self.run("SEARCH UNDELETED").await),
            8 if count > 0 => drop(self.run(&format!("COPY {number} INBOX")).await),
            _ => drop(self.run("NOOP").await),
        }
    }

    async fn all(&mut self) -> Vec<Option<u32>> {
        self.run("NOOP").await;
        if !self.uids.is_empty() {
            self.run("FETCH 1:* UID").await;
        }
        self.uids.clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_on_one_mailbox_never_lose_count() {
    let office = Arc::new(Office::open().await);
    let mut tasks = Vec::new();
    for seed in 0..4 {
        let mut mirror = Mirror { peer: Peer::login(office.address).await, uids: Vec::new(), tag: 0 };
        tasks.push(tokio::spawn(async move {
            mirror.run("SELECT INBOX").await;
            let mut dice = Dice(seed);
            for _ in 0..150 {
                mirror.act(&mut dice).await;
            }
            mirror
        }));
    }
    let mut known = Vec::new();
    let mut mirrors = Vec::new();
    for task in tasks {
        mirrors.push(task.await.unwrap());
    }
    for mirror in &mut mirrors {
        known.push(mirror.all().await);
    }
    let account = office.account.id;
    let store = &office.context.store;
    let inbox = store.mailbox(account, "INBOX").await.unwrap().unwrap();
    let rows = store.snapshot(account, inbox.id).await.unwrap().rows;
    let truth: Vec<Option<u32>> = rows.iter().map(|row| Some(row.uid.0)).collect();
    assert!(known.iter().all(|uids| *uids == truth), "{known:?}\n{truth:?}");
    office.check().await;
}

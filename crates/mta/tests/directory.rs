//! Recipients, senders and reports against a real store (the memory engine).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use mta::accept::{Circumstances, Envelope, Recipient, acceptance};
use mta::bounce::{About, notice};
use mta::queue::{Action, Report, Reported};
use mta::receive::{Destinations, Place};
use mta::submit;
use std::sync::Arc;
use store::{Alias, NewAccount, Secrets, Spooled, Store, StoreConfig};

struct Town {
    store: Store,
    domains: Vec<String>,
    _dir: tempfile::TempDir,
}

impl Town {
    async fn new() -> Town {
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            data_dir: dir.path().to_owned(),
            undo_days: 30,
            free_bytes_min: 0,
            free_bytes_tight: 0,
            message_bytes_max: 1_000_000,
        };
        let town = Town {
            store: Store::memory(config).await.unwrap(),
            domains: vec!["here.test".into(), "also.test".into()],
            _dir: dir,
        };
        for (address, quota_bytes) in [("ann@here.test", None), ("bob@here.test", Some(400)), ("ann@also.test", None)] {
            let secrets = Secrets { argon2: String::new(), scram: None };
            town.store.accounts_add(vec![NewAccount { address: address.into(), secrets, quota_bytes }], 1).await.unwrap();
        }
        town
    }
    async fn alias(&self, address: &str, targets: &[&str]) {
        let targets = targets.iter().map(|t| (*t).to_owned()).collect();
        self.store.alias_add(Alias { address: address.into(), targets }).await.unwrap();
    }
    fn place(&self) -> Place<'_> {
        Place { store: &self.store, domains: &self.domains, reachable: None, unreachable_text: "no", srs: None, poster: None }
    }
    async fn resolve(&self, address: &str) -> (Vec<String>, Vec<String>) {
        let found = self.place().resolve(address).await.unwrap();
        (found.accounts.iter().map(|a| a.address.clone()).collect(), found.remote)
    }
    async fn here(&self, address: &str) -> Vec<String> {
        let (accounts, remote) = self.resolve(address).await;
        assert!(remote.is_empty(), "{remote:?}");
        accounts
    }
}

#[tokio::test]
async fn names_lead_to_accounts() {
    let town = Town::new().await;
    assert_eq!(town.here("ANN@Here.Test").await, ["ann@here.test"]);
    assert_eq!(town.here("ann+any+thing@here.test").await, ["ann@here.test"]);
    assert_eq!(town.here("ann@also.test").await, ["ann@also.test"]);
    assert_eq!(town.here("+x@here.test").await, Vec::<String>::new());
    assert_eq!(town.here("postmaster").await, ["ann@here.test"]);
    assert_eq!(town.here("Postmaster@also.test").await, ["ann@here.test"], "the first account ever made");
    assert_eq!(town.here("abuse+x@here.test").await, ["ann@here.test"]);
    town.alias("postmaster@here.test", &["bob@here.test"]).await;
    assert_eq!(town.here("hostmaster@here.test").await, ["bob@here.test"]);
    assert_eq!(town.here("postmaster").await, ["bob@here.test"]);
    town.alias("abuse@here.test", &["ann@here.test"]).await;
    assert_eq!(town.here("abuse@here.test").await, ["ann@here.test"]);
}

#[tokio::test]
async fn aliases_are_followed_within_bounds() {
    let town = Town::new().await;
    town.alias("all@here.test", &["ann@here.test", "staff@here.test", "carol@there.test"]).await;
    town.alias("staff@here.test", &["bob+staff@here.test", "ALL@here.test", "gone@here.test"]).await;
    let (accounts, remote) = town.resolve("all+x@here.test").await;
    assert_eq!((accounts, remote), (vec!["ann@here.test".into(), "bob@here.test".into()], vec!["carol@there.test".into()]));
    for n in 0..20 {
        let next = format!("n{}@here.test", n + 1);
        town.alias(&format!("n{n}@here.test"), &[&next]).await;
    }
    town.alias("n20@here.test", &["ann@here.test"]).await;
    assert_eq!(town.here("n0@here.test").await, Vec::<String>::new(), "too deep");
    assert_eq!(town.here("n12@here.test").await, ["ann@here.test"]);
}

#[tokio::test]
async fn rcpt_decides() {
    let town = Town::new().await;
    let place = town.place();
    let code = |answer: Result<Destinations, mta::Refusal>| answer.err().map_or(0, |refusal| refusal.code);
    assert_eq!(code(place.recipient("ann@here.test", false, 0).await), 0);
    assert_eq!(code(place.recipient("nobody@here.test", true, 0).await), 550);
    assert_eq!(place.recipient("x@there.test", false, 0).await.unwrap_err().enhanced, (5, 7, 1));
    assert_eq!(place.recipient("x@there.test", true, 0).await.unwrap().remote, ["x@there.test"]);
    assert_eq!(place.recipient("bob@here.test", false, 2_000).await.unwrap_err().enhanced, (4, 2, 2));
    assert_eq!(code(place.recipient("bob@here.test", false, 10).await), 0);
    let only = ["there.test".to_owned()];
    let place = Place { reachable: Some(&only), ..place };
    assert_eq!(code(place.recipient("x@There.test", true, 0).await), 0);
    assert_eq!(place.recipient("x@else.test", true, 0).await.unwrap_err().text, "no");
}

#[tokio::test]
async fn whose_address_is_it() {
    let town = Town::new().await;
    town.alias("sales@here.test", &["ann@here.test", "x@there.test"]).await;
    let ann = town.store.account("ann@here.test").await.unwrap().unwrap();
    let place = town.place();
    for address in ["ann@here.test", "Ann+x@here.test", "sales@here.test"] {
        assert!(submit::check_sender(&place, &ann, address).await.is_ok(), "{address}");
    }
    for address in ["bob@here.test", "ann@also.test", "x@there.test", "nobody@here.test", "ann"] {
        let refusal = submit::check_sender(&place, &ann, address).await.unwrap_err();
        assert_eq!((refusal.code, refusal.enhanced), (550, (5, 7, 1)), "{address}");
    }
    assert!(submit::check_sender(&place, &ann, "").await.is_ok());
    let check = async |header: &[u8], foreign| submit::check_author(&place, &ann, header, foreign).await;
    assert!(check(b"From: A <ann@here.test>\r\nFrom: bob@here.test\r\n\r\n", true).await.is_err());
    // Who acts for the author is told the truth about, unless that is allowed otherwise.
    for name in ["Sender", "Resent-From", "Resent-Sender"] {
        let header = |who: &str| format!("From: ann@here.test\r\n{name}: {who}\r\n\r\n").into_bytes();
        assert!(check(&header("Ann <ann+x@here.test>"), false).await.is_ok(), "{name}");
        assert_eq!(check(&header("bob@here.test"), false).await.unwrap_err().enhanced, (5, 7, 1), "{name}");
        assert!(check(&header("bob@here.test"), true).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn one_act_for_all_recipients() {
    let town = Town::new().await;
    town.alias("both@here.test", &["ann@here.test", "c@there.test"]).await;
    let mut recipients = Vec::new();
    for address in ["ann@here.test", "both@here.test", "C@There.test", "d@there.test", "e@else.test", "bob@here.test"] {
        let destinations = town.place().resolve(address).await.unwrap();
        recipients.push(Recipient { forward_path: address.into(), destinations, original: None, notify: 0 });
    }
    let bob = town.store.account("bob@here.test").await.unwrap().unwrap().id;
    let octets = b"Message-ID: <m@x>\r\n\r\n";
    let envelope = Envelope { reverse_path: "a@b.test".into(), ..Envelope::default() };
    let around = Circumstances {
        now_secs: 5,
        id: "t1",
        peer: "192.0.2.1",
        lifetime_secs: 100,
        full: &[bob],
        junk: false,
        forwarded_as: None,
        fulfilled: &Default::default(),
    };
    let all: Vec<&Recipient> = recipients.iter().collect();
    let act = acceptance(
        &envelope,
        &all,
        Spooled::from_bytes(octets.to_vec().into()),
        Arc::new(message::Facts::compute(octets)),
        around,
    );
    assert_eq!(act.deliveries.len(), 1, "ann, once");
    let rows: Vec<(&str, usize)> = act.queue.iter().map(|e| (e.destination.as_str(), e.recipients.len())).collect();
    assert_eq!(rows, [("there.test", 2), ("else.test", 1), ("here.test", 1)]);
    assert!(act.queue.iter().all(|entry| entry.expires_secs == 105 && entry.due_secs == 5));
    assert!(act.trace[0].keys.contains(&("message-id".into(), "<m@x>".into())));
    let accepted = town.store.accept(act).await.unwrap();
    assert_eq!((accepted.delivered.len(), accepted.queued.len()), (1, 3));
    assert_eq!(town.store.check().await.unwrap(), vec![]);
}

#[tokio::test]
async fn a_report_finds_its_reader() {
    let town = Town::new().await;
    let recipient =
        Reported { address: "x@y.test".into(), original: None, status: (5, 1, 1), host: None, text: "unknown".into() };
    let report = Report { action: Action::Failed, recipients: vec![recipient] };
    let about = |reverse_path| About {
        reverse_path,
        hostname: "mx.here.test",
        id: "r1",
        now_secs: 0,
        arrived_secs: 0,
        expires_secs: 0,
        envelope_id: None,
        original: b"Subject: x\r\n\r\n",
        whole: true,
        lifetime_secs: 100,
    };
    let act =
        notice(&town.place(), &report, &about("ann+x@here.test"), |_| "DKIM-Signature: x\r\n".to_owned()).await.unwrap().unwrap();
    assert_eq!((act.deliveries.len(), act.queue.len()), (1, 0));
    let octets = act.body.clone().bytes().await.unwrap();
    assert!(octets.starts_with(b"Return-Path: <>\r\nDKIM-Signature: x\r\nDate:"), "{:?}", String::from_utf8_lossy(&octets));
    let act = notice(&town.place(), &report, &about("far@away.test"), |_| String::new()).await.unwrap().unwrap();
    assert_eq!((act.deliveries.len(), act.queue.len()), (0, 1));
    assert_eq!((act.queue[0].reverse_path.as_str(), act.queue[0].destination.as_str()), ("", "away.test"));
    let act = notice(&town.place(), &report, &about("bob@here.test"), |_| String::new()).await.unwrap().unwrap();
    assert_eq!((act.deliveries.len(), act.queue.len()), (0, 1), "his mailbox is full: it waits");
    assert!(notice(&town.place(), &report, &about("gone@here.test"), |_| String::new()).await.unwrap().is_none());
}

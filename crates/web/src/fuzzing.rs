//! The doors for the fuzz targets of JMAP and of archives (`fuzz/src/office.rs`): the octets of a request, answered on a small store
//! in memory; and of a ZIP archive.
//!
//! Invariant: each call is answered in its turn, and the mailboxes count right afterwards, whatever was asked. Not for use
//! by anybody else.

#![doc(hidden)]
#![allow(clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use crate::boxes::archive;
use crate::jmap;
use crate::site::{Shared, SignedIn, Site};
use crate::{Doorkeeper, Later, Outgoing, Plaintext, Refused, Sender, Sent, Settings, Wire};
use bytes::Bytes;
use serde_json::{Value, json};
use std::io::{self, BufRead, Read};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use store::{Account, Flags, NewAccount, NewEmail, Secrets, Spooled, Store, StoreConfig};
use tokio::sync::watch;

/// 2026-01-01
const NOW: i64 = 1_767_225_600;
/// What is used to count afterwards.
const URNS: [&str; 7] = ["core", "mail", "submission", "quota", "vacationresponse", "blob", "mdn"];

const LETTERS: [&str; 3] = [
    "From: Bob <bob@here.test>\r\nTo: ann@here.test\r\nSubject: Lunch\r\nMessage-ID: <1@x>\r\n\r\nAt the lake?\r\n",
    "From: ann@here.test\r\nTo: bob@here.test\r\nSubject: Re: Lunch\r\nIn-Reply-To: <1@x>\r\nMessage-ID: <2@x>\r\n\r\nYes.\r\n",
    "From: c@there.test\r\nSubject: =?utf-8?q?Bild=C3=A4r?=\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
     --b\r\nContent-Type: text/html\r\n\r\n<p>x</p>\r\n--b\r\nContent-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBO\r\n--b--\r\n",
];

struct Nobody;

impl Doorkeeper for Nobody {
    fn password<'a>(&'a self, _: &'a str, _: &'a [u8], _: Option<IpAddr>) -> Later<'a, Result<Arc<Account>, Refused>> {
        Box::pin(std::future::ready(Err(Refused::Credentials)))
    }
}

impl Wire for Nobody {}

impl crate::Boxes for Nobody {
    fn single(&self, octets: Vec<u8>, _: Option<i64>) -> crate::Boxed {
        crate::Boxed { octets: octets.into(), flags: store::Flags::default(), date_secs: NOW, hash: String::new() }
    }
    fn write(&self, _: &store::Flags, _: i64, octets: &[u8]) -> Vec<u8> {
        octets.to_vec()
    }
    fn read(&self, _: &mut dyn std::io::BufRead, _: u64, _: &mut dyn FnMut(crate::Boxed) -> bool) -> std::io::Result<()> {
        Ok(())
    }
}

impl Sender for Nobody {
    fn send(&self, outgoing: Outgoing) -> Later<'_, Result<Sent, mta::Refusal>> {
        let recipients = outgoing.recipients.iter().map(|_| Ok("250 2.0.0 accepted".to_owned())).collect();
        Box::pin(std::future::ready(Ok(Sent { id: "t".into(), queued: Vec::new(), recipients })))
    }
}

/// A network without anybody.
impl net::Dial for Nobody {
    fn dial(&self, _: SocketAddr) -> net::Dialling {
        Box::pin(std::future::ready(Err(std::io::ErrorKind::NetworkUnreachable.into())))
    }
}

pub(crate) async fn site() -> (Shared, SignedIn) {
    let data_dir = "unused".into();
    let config = StoreConfig { data_dir, undo_days: 30, free_bytes_min: 0, free_bytes_tight: 0, message_bytes_max: 100_000 };
    let store = Store::memory(config).await.expect("a store in memory");
    let secrets = Secrets { argon2: String::new(), scram: None };
    let ann = NewAccount { address: "ann@here.test".into(), secrets, quota_bytes: Some(1_000_000) };
    let ids = store.accounts_add(vec![ann], NOW).await.expect("an account");
    let account = store.account("ann@here.test").await.expect("read").expect("there");
    let mailboxes = store.mailboxes(account.id).await.expect("read");
    let inbox = mailboxes.iter().find(|one| one.name == "INBOX").expect("an inbox").id;
    for (at, letter) in LETTERS.iter().enumerate() {
        let octets = Bytes::from_static(letter.as_bytes());
        let facts = Arc::new(message::Facts::compute(&octets));
        let system = if at == 0 { Flags::SEEN } else { 0 };
        let internal_date_secs = NOW + i64::try_from(at).unwrap_or(0);
        let flags = Flags { system, keywords: None };
        let email = NewEmail { body: Spooled::from_bytes(octets), facts, flags, internal_date_secs };
        store.append(ids[0], inbox, vec![email]).await.expect("room");
    }
    let nobody = Arc::new(Nobody);
    let resolver = net::Resolver::with_servers(vec![([127, 0, 0, 1], 9).into()]).expect("no server is asked");
    let verified = net::TlsClient::verified(None).expect("roots");
    let outside = net::Outside::new(net::Network::Other(nobody.clone()), resolver, verified, net::Reach::Public);
    let site = Site::new(Settings {
        search: search::Searcher::new(store.clone()),
        store,
        doorkeeper: nobody.clone(),
        sender: nobody.clone(),
        pushes: outside.clone(),
        outside,
        wire: nobody.clone(),
        boxes: nobody,
        links: None,
        wishes: Some(Arc::default()),
        hostname: "mail.here.test".into(),
        domains: vec!["here.test".into()],
        offered: Vec::new(),
        message_bytes_max: 100_000,
        recipients_max: 100,
        one_person: false,
        plaintext: Plaintext::Loopback,
        strict_transport_secs: None,
        connection_max: crate::CONNECTION_MAX,
        shutdown: watch::channel(false).1,
    });
    (Arc::new(site), SignedIn::new(account, None, None))
}

/// A request to `/jmap/api`.
pub fn jmap_request(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (site, ann) = site().await;
        match jmap::answer_octets(&site, &ann, data).await {
            Ok(answered) => each_call_is_answered(data, &answered),
            Err(error) => {
                let error = error.value();
                assert!(error["type"].as_str().is_some_and(|kind| kind.starts_with("urn:ietf:params:jmap:error:")), "{error}");
            }
        }
        the_mailboxes_count_right(&site, &ann).await;
    });
}

/// In order, by their ids, each at least once.
fn each_call_is_answered(data: &[u8], answered: &Value) {
    let asked: Value = serde_json::from_slice(data).expect("it was read");
    let ids = |list: &Value| -> Vec<String> {
        let all = list.as_array().expect("a list").iter();
        let mut ids: Vec<String> = all.map(|one| one[2].as_str().expect("an id").to_owned()).collect();
        ids.dedup();
        ids
    };
    assert_eq!(ids(&answered["methodResponses"]), ids(&asked["methodCalls"]), "{answered}");
    for one in answered["methodResponses"].as_array().expect("a list") {
        assert!(one[0].is_string() && one[1].is_object(), "{one}");
        assert!(one[0] != "error" || one[1]["type"].is_string(), "{one}");
    }
}

async fn the_mailboxes_count_right(site: &Shared, ann: &SignedIn) {
    let using: Vec<String> = URNS.iter().map(|urn| format!("urn:ietf:params:jmap:{urn}")).collect();
    let ask = async |calls: Value| {
        jmap::answer(site, ann, json!({"using": using, "methodCalls": calls}))
            .await
            .map_err(|error| error.value())
            .expect("a good request")
    };
    let account = jmap::account_id(ann.account.id);
    let all = ask(json!([["Mailbox/get", {"accountId": account, "ids": null}, "m"]])).await;
    for mailbox in all["methodResponses"][0][1]["list"].as_array().expect("mailboxes") {
        for (count, filter) in [
            ("totalEmails", json!({"inMailbox": mailbox["id"]})),
            (
                "unreadEmails",
                json!({"operator": "AND", "conditions": [{"inMailbox": mailbox["id"]}, {"notKeyword": "$seen"}, {"notKeyword": "$draft"}]}),
            ),
        ] {
            let asked =
                ask(json!([["Email/query", {"accountId": account, "filter": filter, "calculateTotal": true}, "q"]])).await;
            assert_eq!(asked["methodResponses"][0][1]["total"], mailbox[count], "{count} of {mailbox}");
        }
    }
}

/// What an archive holds.
#[derive(Default)]
struct Unpacked {
    entries: Vec<(archive::Entry, Vec<u8>)>,
    proved: usize,
}

impl archive::Unpacking for Unpacked {
    fn entry(&mut self, entry: &archive::Entry, content: &mut dyn BufRead) -> io::Result<bool> {
        let mut octets = Vec::new();
        content.take(1000).read_to_end(&mut octets)?;
        self.entries.push((entry.clone(), octets));
        Ok(true)
    }
    fn proved(&mut self) -> io::Result<bool> {
        self.proved += 1;
        Ok(true)
    }
}

/// A ZIP archive: what is proved is the same however it comes, and it was there. Of what is damaged, which is never proved, more
/// or less is handed out before the damage is met, as it comes in pieces.
pub fn mail_archive(data: &[u8]) {
    let proved = |piece: usize| {
        let mut all = Unpacked::default();
        let is_whole = archive::read(io::BufReader::with_capacity(piece, data), &mut all).is_ok();
        assert!(all.proved == all.entries.len() || !is_whole && all.proved < all.entries.len(), "what is damaged says so");
        all.entries.truncate(all.proved);
        (is_whole, all.entries)
    };
    assert_eq!(proved(data.len().max(1)), proved(3));
}

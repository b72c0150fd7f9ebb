//! A web face to ask things of.

use bytes::Bytes;
use message::facts::Facts;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::{
    Acceptance, Account, AccountId, AppPassword, Flags, MailboxId, MemoryDisk, NewAccount, NewEmail, NewQueueEntry, QueueId,
    QueueRecipient, QueueService, RecipientState, Secrets, Spooled, Store, StoreConfig, Uid,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, watch};
use web::{Later, Offered, OfferedTls, Outgoing, Plaintext, Refused, Sent, Settings, Spoken, Web};
use zeroize::Zeroizing;

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const RECIPIENTS_MAX: usize = 100;

/// Knows one password: `pw`.
pub(crate) struct Doors {
    pub(crate) store: Store,
    pub(crate) sent: Mutex<Vec<Outgoing>>,
    pub(crate) links: Mutex<Vec<(AccountId, web::Link)>>,
    /// For whom passwords were said, last.
    pub(crate) counted: Mutex<Option<IpAddr>>,
}

impl web::Doorkeeper for Doors {
    fn password<'a>(
        &'a self,
        login: &'a str,
        password: &'a [u8],
        peer: Option<IpAddr>,
    ) -> Later<'a, Result<Arc<Account>, Refused>> {
        *self.counted.lock().unwrap() = peer;
        Box::pin(async move {
            if password == b"later" {
                return Err(Refused::Later);
            }
            let account = self.store.account(login).await.map_err(|_| Refused::Later)?;
            let known = account.ok_or(Refused::Credentials)?;
            let own = match known.secrets.argon2.as_str() {
                "" => "pw",
                set => set,
            };
            let right = password == own.as_bytes() || self.is_app_password(&known, password);
            if right { Ok(known) } else { Err(Refused::Credentials) }
        })
    }

    /// `app:NAME`
    fn is_app_password(&self, account: &Account, password: &[u8]) -> bool {
        account.app_passwords.iter().any(|one| format!("app:{}", one.name).as_bytes() == password)
    }

    fn set_password<'a>(&'a self, account: &'a Account, password: &'a [u8]) -> Later<'a, Result<(), String>> {
        Box::pin(async move {
            let secrets = Secrets { argon2: String::from_utf8_lossy(password).into_owned(), scram: None };
            self.store.account_secrets(account.id, secrets).await.map_err(|error| error.to_string())
        })
    }

    fn add_app_password<'a>(&'a self, account: &'a Account, name: &'a str) -> Later<'a, Result<Zeroizing<String>, String>> {
        Box::pin(async move {
            let password = AppPassword { name: name.into(), created_secs: NOW, sha256: [0; 32], scram: Vec::new() };
            self.store.app_password_add(account.id, password).await.map_err(|error| error.to_string())?;
            Ok(Zeroizing::new(format!("app:{name}")))
        })
    }

    fn remove_app_password<'a>(&'a self, account: &'a Account, name: &'a str) -> Later<'a, Result<(), String>> {
        Box::pin(async move { self.store.app_password_remove(account.id, name).await.map_err(|error| error.to_string()) })
    }
}

impl web::Wire for Doors {
    fn watch(&self, account: &Account) -> Option<mpsc::Receiver<Spoken>> {
        let (to, receiver) = mpsc::channel(8);
        let line = Spoken {
            at_millis: 1,
            connection: 7,
            protocol: "imap",
            peer: "192.0.2.1".into(),
            by_client: true,
            line: format!("a1 LOGIN {} ***", account.address),
            meaning: "You prove who you are.".into(),
            section: "RFC 9051 §6.2.3",
            lost: 0,
        };
        tokio::spawn(async move {
            let _ = to.send(line).await;
            to.closed().await;
        });
        Some(receiver)
    }
}

impl Doors {
    /// What is not of here waits.
    async fn queue(&self, outgoing: &Outgoing, to: &[&str]) -> Vec<QueueId> {
        let waiting = |address: &&str| QueueRecipient {
            address: (*address).to_owned(),
            original: None,
            notify: 0,
            state: RecipientState::Waiting,
            last_reply: String::new(),
            delay_told: false,
        };
        let entry = NewQueueEntry {
            destination: "far.test".into(),
            reverse_path: outgoing.reverse_path.clone(),
            recipients: to.iter().map(waiting).collect(),
            account: Some(outgoing.account.id),
            due_secs: NOW,
            expires_secs: NOW + 86_400,
            eight_bit: false,
            smtputf8: false,
            ret_headers: false,
            envelope_id: None,
            service: QueueService::default(),
        };
        let acceptance = Acceptance {
            facts: Arc::new(Facts::compute(&outgoing.octets)),
            body: Spooled::from_bytes(outgoing.octets.clone()),
            deliveries: Vec::new(),
            queue: vec![entry],
            trace: Vec::new(),
            idempotency: None,
        };
        self.store.accept(acceptance).await.unwrap().queued
    }
}

impl web::Sender for Doors {
    fn send(&self, outgoing: Outgoing) -> Later<'_, Result<Sent, mta::Refusal>> {
        Box::pin(async move {
            let recipients = outgoing.recipients.iter().map(|_| Ok("250 2.0.0 accepted".to_owned())).collect();
            let far: Vec<&str> =
                outgoing.recipients.iter().map(|to| to.address.as_str()).filter(|to| to.ends_with("@far.test")).collect();
            let queued = if far.is_empty() { Vec::new() } else { self.queue(&outgoing, &far).await };
            let mut sent = self.sent.lock().unwrap();
            sent.push(outgoing);
            Ok(Sent { id: format!("t{}", sent.len()), queued, recipients })
        })
    }

    fn largest(&self, address: &str) -> Option<u64> {
        address.ends_with("@small.test").then_some(100_000)
    }
}

/// How the web face is set up.
struct Manner {
    plaintext: Plaintext,
    one_person: bool,
    authority: Option<std::path::PathBuf>,
    connection_max: Duration,
    message_bytes_max: u64,
    strict_transport_secs: Option<u64>,
}

impl Manner {
    fn plain(plaintext: Plaintext) -> Manner {
        let connection_max = Duration::from_secs(30);
        Manner {
            plaintext,
            one_person: false,
            authority: None,
            connection_max,
            message_bytes_max: 10_000_000,
            strict_transport_secs: None,
        }
    }

    fn opened(&self, store: &Store, search: &search::Searcher, doors: &Arc<Doors>) -> (Web, watch::Sender<bool>) {
        let (stop, shutdown) = watch::channel(false);
        let resolver = net::Resolver::with_servers(vec![([127, 0, 0, 1], 9).into()]).unwrap();
        let verified = net::TlsClient::verified(self.authority.as_deref()).unwrap();
        let outside = net::Outside::new(net::Network::System, resolver, verified, net::Reach::Loopback);
        let web = Web::start(Settings {
            store: store.clone(),
            search: search.clone(),
            doorkeeper: doors.clone(),
            sender: doors.clone(),
            pushes: outside.clone(),
            outside,
            wire: doors.clone(),
            boxes: Arc::new(crate::boxes::Plain),
            links: Some(doors.clone()),
            wishes: Some(Arc::default()),
            hostname: "mail.here.test".into(),
            domains: vec!["here.test".into()],
            offered: vec![
                Offered { protocol: "imap", port: 993, tls: OfferedTls::First },
                Offered { protocol: "pop3", port: 110, tls: OfferedTls::StartTls },
                Offered { protocol: "smtp", port: 465, tls: OfferedTls::First },
                Offered { protocol: "smtp", port: 587, tls: OfferedTls::StartTls },
            ],
            message_bytes_max: self.message_bytes_max,
            recipients_max: RECIPIENTS_MAX,
            one_person: self.one_person,
            plaintext: self.plaintext,
            strict_transport_secs: self.strict_transport_secs,
            connection_max: self.connection_max,
            shutdown,
        });
        (web, stop)
    }
}

pub(crate) struct Office {
    pub(crate) store: Store,
    pub(crate) disk: MemoryDisk,
    pub(crate) doors: Arc<Doors>,
    pub(crate) ann: AccountId,
    pub(crate) search: search::Searcher,
    web: Web,
    manner: Manner,
    /// Of the index.
    _folder: tempfile::TempDir,
    _stop: watch::Sender<bool>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }
}

impl Office {
    pub(crate) async fn new() -> Office {
        Office::with(Plaintext::Loopback).await
    }

    /// With a search index.
    pub(crate) async fn indexed() -> Office {
        Office::made(Plaintext::Loopback, true, None).await
    }

    pub(crate) async fn with(plaintext: Plaintext) -> Office {
        Office::made(plaintext, false, None).await
    }

    /// Whose push services have certificates of this authority.
    pub(crate) async fn trusting(authority: &std::path::Path) -> Office {
        Office::made(Plaintext::Loopback, false, Some(authority)).await
    }

    /// All accounts are ann's.
    pub(crate) async fn of_one_person() -> Office {
        Office::furnished(Manner { one_person: true, ..Manner::plain(Plaintext::Loopback) }, false).await
    }

    async fn made(plaintext: Plaintext, indexed: bool, authority: Option<&std::path::Path>) -> Office {
        Office::furnished(Manner { authority: authority.map(Into::into), ..Manner::plain(plaintext) }, indexed).await
    }

    /// Whose browsers come by TLS only.
    pub(crate) async fn strict(secs: u64) -> Office {
        Office::furnished(Manner { strict_transport_secs: Some(secs), ..Manner::plain(Plaintext::Never) }, false).await
    }

    /// Who is silent for three seconds is gone.
    pub(crate) async fn impatient() -> Office {
        let manner = Manner { connection_max: Duration::from_millis(500), ..Manner::plain(Plaintext::Loopback) };
        Office::furnished(manner, false).await
    }

    async fn furnished(manner: Manner, indexed: bool) -> Office {
        let config = StoreConfig {
            data_dir: "unused".into(),
            undo_days: 30,
            free_bytes_min: 0,
            free_bytes_tight: 0,
            message_bytes_max: 10_000_000,
        };
        let disk = MemoryDisk::default();
        let store = disk.open(config).await.unwrap();
        let person = |address: &str| NewAccount {
            address: address.into(),
            secrets: Secrets { argon2: String::new(), scram: None },
            quota_bytes: Some(100_000_000),
        };
        let ids = store.accounts_add(vec![person("ann@here.test"), person("bob@here.test")], NOW).await.unwrap();
        let doors =
            Arc::new(Doors { store: store.clone(), sent: Mutex::default(), links: Mutex::default(), counted: Mutex::default() });
        let folder = tempfile::tempdir().unwrap();
        let search = match indexed {
            true => search::Searcher::indexed(store.clone(), folder.path().join("search")),
            false => search::Searcher::new(store.clone()),
        };
        let (web, stop) = manner.opened(&store, &search, &doors);
        Office { store, disk, doors, ann: ids[0], search, web, manner, _folder: folder, _stop: stop }
    }

    /// The same, with another limit for messages.
    pub(crate) fn restart_with(&mut self, message_bytes_max: u64) {
        self.manner.message_bytes_max = message_bytes_max;
        self.restart();
    }

    /// The server goes down and comes up again.
    pub(crate) fn restart(&mut self) {
        (self.web, self._stop) = self.manner.opened(&self.store, &self.search, &self.doors);
    }

    /// A connection, from loopback or from elsewhere.
    pub(crate) fn connect(&self, ip: &str, tls: bool) -> DuplexStream {
        self.connect_narrow(ip, tls, 256 * 1024)
    }

    /// The same, with room for so many octets on the way.
    pub(crate) fn connect_narrow(&self, ip: &str, tls: bool, room: usize) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(room);
        let (web, peer) = (self.web.clone(), net::Peer::Ip { ip: ip.parse().unwrap(), port: 4711 });
        tokio::spawn(async move { web.serve(theirs, (peer, tls), ()).await });
        ours
    }

    /// One request as written; `Connection: close` is added.
    pub(crate) async fn ask_from(&self, ip: &str, tls: bool, head: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect(ip, tls);
        let (line, rest) = head.split_once("\r\n").unwrap_or((head, ""));
        let host = if rest.to_ascii_lowercase().contains("host:") { "" } else { "Host: here.test\r\n" };
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!("{line}\r\n{host}Connection: close\r\n{length}{rest}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let _ = stream.write_all(body).await;
        read_answer(&mut stream).await
    }

    pub(crate) async fn ask(&self, head: &str, body: &[u8]) -> Answer {
        self.ask_from("127.0.0.1", false, head, body).await
    }

    pub(crate) fn basic(who: &str, password: &str) -> String {
        format!("Authorization: Basic {}\r\n", data_encoding::BASE64.encode(format!("{who}:{password}").as_bytes()))
    }

    /// Ann asks JMAP; the whole answer.
    pub(crate) async fn request(&self, request: &Value) -> Answer {
        let head =
            format!("POST /jmap/api HTTP/1.1\r\n{}Content-Type: application/json\r\n", Office::basic("ann@here.test", "pw"));
        self.ask(&head, request.to_string().as_bytes()).await
    }

    /// Several calls; their answers.
    pub(crate) async fn calls(&self, calls: Value) -> Vec<(String, Value)> {
        let names = ["core", "mail", "submission", "quota", "vacationresponse", "blob", "mdn"];
        let mut using = names.map(|one| format!("urn:ietf:params:jmap:{one}")).to_vec();
        using.push("urn:packetboat:params:jmap:program".into());
        let answer = self.request(&json!({"using": using, "methodCalls": calls})).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let value = answer.json();
        let list = value["methodResponses"].as_array().unwrap().clone();
        list.into_iter().map(|one| (one[0].as_str().unwrap().to_owned(), one[1].clone())).collect()
    }

    /// One call, `accountId` filled in; its answer, which must be its own.
    pub(crate) async fn call(&self, name: &str, arguments: Value) -> Value {
        let (answered, answer) = self.call_any(name, arguments).await;
        assert_eq!(answered, name, "{answer}");
        answer
    }

    /// The same, whatever it answers.
    pub(crate) async fn call_any(&self, name: &str, mut arguments: Value) -> (String, Value) {
        arguments["accountId"] = json!(self.account_id());
        self.calls(json!([[name, arguments, "c"]])).await.remove(0)
    }

    /// The type of the error that a call fails with.
    pub(crate) async fn fails(&self, name: &str, arguments: Value) -> String {
        let (answered, answer) = self.call_any(name, arguments).await;
        assert_eq!(answered, "error", "{answer}");
        answer["type"].as_str().unwrap().to_owned()
    }

    pub(crate) fn account_id(&self) -> String {
        format!("A{:x}", self.ann.0)
    }

    pub(crate) async fn mailbox(&self, name: &str) -> MailboxId {
        self.store.mailbox(self.ann, name).await.unwrap().unwrap().id
    }

    pub(crate) async fn mailbox_id(&self, name: &str) -> String {
        store::object_id::of_mailbox(self.ann, self.mailbox(name).await).to_string()
    }

    /// Puts a message into a mailbox, as IMAP's APPEND would.
    pub(crate) async fn put(&self, mailbox: &str, message: &str, at_secs: i64, system: u8) -> Uid {
        let octets = Bytes::from(message.to_owned());
        let facts = Arc::new(Facts::compute(&octets));
        let flags = Flags { system, keywords: None };
        let email = NewEmail { body: Spooled::from_bytes(octets), facts, flags, internal_date_secs: at_secs };
        self.store.append(self.ann, self.mailbox(mailbox).await, vec![email]).await.unwrap().uids[0]
    }

    /// Many at once, one commit.
    pub(crate) async fn put_all(&self, mailbox: &str, messages: &[String], at_secs: i64) {
        let email = |message: &String| {
            let octets = Bytes::from(message.clone());
            let facts = Arc::new(Facts::compute(&octets));
            let flags = Flags { system: 0, keywords: None };
            NewEmail { body: Spooled::from_bytes(octets), facts, flags, internal_date_secs: at_secs }
        };
        let emails = messages.iter().map(email).collect();
        self.store.append(self.ann, self.mailbox(mailbox).await, emails).await.unwrap();
    }

    /// All ids, newest first.
    pub(crate) async fn all_ids(&self) -> Vec<String> {
        let answer = self.call("Email/query", json!({})).await;
        answer["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    /// All ids in a mailbox, newest first.
    pub(crate) async fn ids(&self, mailbox: &str) -> Vec<String> {
        let filter = json!({"filter": {"inMailbox": self.mailbox_id(mailbox).await}});
        let answer = self.call("Email/query", filter).await;
        answer["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) async fn read_answer(stream: &mut DuplexStream) -> Answer {
    let mut octets = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(300), stream.read_to_end(&mut octets)).await.unwrap();
    let split =
        octets.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&octets)));
    let head = String::from_utf8(octets[..split].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: Bytes::copy_from_slice(&octets[split + 4..]) }
}

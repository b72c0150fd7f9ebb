//! A whole post office in the process, and a program that talks to it.

use crate::auth::{Auth, secrets};
use crate::context::{Context, Limits, Plaintext, Shared};
use crate::outbound;
use crate::smtp::{Mode, Settings, serve};
use mta::queue::Schedule;
use net::{Connection, ListenAddr, Listener, TlsServer};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::{AccountId, Alias, NewAccount, Store, StoreConfig};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) const MESSAGE_BYTES_MAX: u64 = 1_000_000;
pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) fn store_config(dir: &Path) -> StoreConfig {
    StoreConfig {
        data_dir: dir.to_owned(),
        undo_days: 30,
        free_bytes_min: 0,
        free_bytes_tight: 0,
        message_bytes_max: MESSAGE_BYTES_MAX + mta::limits::ADDED_BYTES_MAX,
    }
}

/// How an office is opened.
pub(crate) struct Options {
    pub(crate) hostname: &'static str,
    pub(crate) domains: &'static [&'static str],
    /// Local parts at the first domain.
    pub(crate) accounts: &'static [&'static str],
    pub(crate) limits: Limits,
    pub(crate) schedule: Schedule,
    pub(crate) reachable: Option<Vec<String>>,
    pub(crate) tls: Option<Arc<TlsServer>>,
    pub(crate) plaintext: Plaintext,
    pub(crate) trust: crate::trust::Settings,
    pub(crate) xclient_from: Vec<net::IpRange>,
    /// Present: the store is on disk there.
    pub(crate) data_dir: Option<std::path::PathBuf>,
}

impl Options {
    pub(crate) fn new(hostname: &'static str, domains: &'static [&'static str], accounts: &'static [&'static str]) -> Options {
        Options {
            hostname,
            domains,
            accounts,
            limits: Limits::default(),
            schedule: Schedule::default(),
            reachable: None,
            tls: None,
            plaintext: Plaintext::Loopback,
            trust: Default::default(),
            xclient_from: Vec::new(),
            data_dir: None,
        }
    }
}

pub(crate) struct Office {
    pub(crate) context: Shared,
    pub(crate) mx: SocketAddr,
    pub(crate) submission: SocketAddr,
    pub(crate) lmtp: SocketAddr,
    shutdown: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

impl Office {
    pub(crate) async fn open(options: Options) -> Office {
        let dir = tempfile::tempdir().unwrap();
        let store = match &options.data_dir {
            Some(path) => Store::open(store_config(path)).await.unwrap(),
            None => Store::memory(store_config(dir.path())).await.unwrap(),
        };
        let (shutdown, down) = watch::channel(false);
        let domains: Vec<String> = options.domains.iter().map(|d| (*d).to_owned()).collect();
        let sole = (domains.len() == 1).then(|| domains[0].clone());
        let context = Arc::new(Context {
            search: search::Searcher::new(store.clone()),
            store: store.clone(),
            auth: Auth::new(store, sole),
            hostname: options.hostname.to_owned(),
            domains,
            message_bytes_max: MESSAGE_BYTES_MAX,
            plaintext: options.plaintext,
            limits: options.limits,
            reachable: options.reachable,
            smtp: Settings { schedule: options.schedule, xclient_from: options.xclient_from, ..Settings::default() },
            shutdown: down,
            trust: options.trust,
            imap: Default::default(),
            wire_log: Default::default(),
            sizes: Default::default(),
            wishes: Default::default(),
            pop: Default::default(),
        });
        let mut office = Office {
            context,
            mx: "127.0.0.1:0".parse().unwrap(),
            submission: "127.0.0.1:0".parse().unwrap(),
            lmtp: "127.0.0.1:0".parse().unwrap(),
            shutdown,
            tasks: Vec::new(),
            _dir: dir,
        };
        for local in options.accounts {
            let address = format!("{local}@{}", options.domains[0]);
            if office.context.store.account(&address).await.unwrap().is_none() {
                office.account(&address, None).await;
            }
        }
        office.mx = office.listen(Mode::Mx, options.tls.clone());
        office.submission = office.listen(Mode::Submission, options.tls.clone());
        office.lmtp = office.listen(Mode::Lmtp, None);
        office
    }

    pub(crate) async fn account(&self, address: &str, quota_bytes: Option<u64>) -> AccountId {
        let secrets = tokio::task::spawn_blocking(|| secrets(PASSWORD.as_bytes(), None).unwrap()).await.unwrap();
        let new = NewAccount { address: address.to_owned(), secrets, quota_bytes };
        self.context.store.accounts_add(vec![new], 1).await.unwrap()[0]
    }

    pub(crate) async fn alias(&self, address: &str, targets: &[&str]) {
        let targets = targets.iter().map(|t| (*t).to_owned()).collect();
        self.context.store.alias_add(Alias { address: address.to_owned(), targets }).await.unwrap();
    }

    fn listen(&mut self, mode: Mode, tls: Option<Arc<TlsServer>>) -> SocketAddr {
        let listener = Listener::bind(&"127.0.0.1:0".parse::<ListenAddr>().unwrap()).unwrap();
        let ListenAddr::Tcp(address) = listener.local() else { panic!("no TCP address") };
        let context = self.context.clone();
        self.tasks.push(tokio::spawn(async move {
            loop {
                let incoming = listener.accept().await.unwrap();
                tokio::spawn(serve(context.clone(), Connection::server(incoming, tls.clone()), mode));
            }
        }));
        address
    }

    /// Starts sending.
    pub(crate) fn send(&mut self, settings: outbound::Settings) {
        self.tasks.push(tokio::spawn(outbound::run(self.context.clone(), settings)));
    }

    /// Stops in order; done when outgoing mail has come to rest.
    pub(crate) async fn drain(mut self) {
        self.shutdown.send_replace(true);
        if let Some(outbound) = self.tasks.pop() {
            outbound.await.unwrap();
        }
    }

    /// Stops as a kill does: nothing is finished.
    pub(crate) fn kill(self) {
        for task in &self.tasks {
            task.abort();
        }
    }

    /// Every invariant of the store holds.
    pub(crate) async fn sound(&self) {
        assert_eq!(self.context.store.check().await.unwrap(), vec![]);
    }

    /// Stops in order.
    pub(crate) async fn close(self) {
        self.sound().await;
        self.shutdown.send_replace(true);
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

/// All messages of an INBOX, oldest first.
pub(crate) async fn read_inbox(store: &Store, address: &str) -> Vec<String> {
    read_mailbox(store, address, "INBOX").await
}

/// All messages of a mailbox, oldest first.
pub(crate) async fn read_mailbox(store: &Store, address: &str, name: &str) -> Vec<String> {
    let account = store.account(address).await.unwrap().expect("account").id;
    let inbox = store.mailbox(account, name).await.unwrap().unwrap();
    let snapshot = store.snapshot(account, inbox.id).await.unwrap();
    let mut found = Vec::new();
    for row in snapshot.rows.iter() {
        let octets = store.body(account, row.email, 0, u64::from(row.size_bytes)).await.unwrap();
        found.push(String::from_utf8_lossy(&octets).into_owned());
    }
    found
}

/// Waits until there are `count` messages in the INBOX.
pub(crate) async fn wait_for(store: &Store, address: &str, count: usize) -> Vec<String> {
    for _ in 0..500 {
        let found = read_inbox(store, address).await;
        if found.len() >= count {
            assert_eq!(found.len(), count, "too many: {found:#?}");
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no {count} messages for {address}: {:#?}", store.queue_list(None, 10).await);
}

/// A program's side of a conversation, by hand.
pub(crate) struct Talk {
    stream: BufReader<TcpStream>,
}

impl Talk {
    /// Connects, and reads nothing.
    pub(crate) async fn silent(address: SocketAddr) -> Talk {
        Talk { stream: BufReader::new(TcpStream::connect(address).await.unwrap()) }
    }

    /// Connects and reads the greeting.
    pub(crate) async fn to(address: SocketAddr, hello: &str) -> Talk {
        let mut talk = Talk { stream: BufReader::new(TcpStream::connect(address).await.unwrap()) };
        assert!(talk.reply().await.starts_with("220 "));
        assert!(talk.say(hello).await.starts_with("250"));
        talk
    }

    /// On submission, signed in.
    pub(crate) async fn signed_in(address: SocketAddr, login: &str) -> Talk {
        let mut talk = Talk::to(address, "EHLO laptop.test").await;
        let token = data_encoding::BASE64.encode(format!("\0{login}\0{PASSWORD}").as_bytes());
        assert!(talk.say(&format!("AUTH PLAIN {token}")).await.starts_with("235"));
        talk
    }

    /// One reply, all its lines; empty when the connection is over.
    pub(crate) async fn reply(&mut self) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read_line(&mut line)).await.expect("no reply");
            if read.unwrap_or(0) == 0 {
                return all;
            }
            let last = line.as_bytes().get(3) != Some(&b'-');
            all.push_str(&line);
            if last {
                return all;
            }
        }
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).await.unwrap();
    }

    /// A command and its reply.
    pub(crate) async fn say(&mut self, line: &str) -> String {
        self.write(&format!("{line}\r\n")).await;
        self.reply().await
    }

    /// A whole transaction; the reply to the message.
    pub(crate) async fn send(&mut self, from: &str, to: &[&str], message: &str) -> String {
        let reply = self.say(&format!("MAIL FROM:<{from}>")).await;
        assert!(reply.starts_with("250"), "{reply}");
        for recipient in to {
            let reply = self.say(&format!("RCPT TO:<{recipient}>")).await;
            assert!(reply.starts_with("250"), "{recipient}: {reply}");
        }
        self.data(message).await
    }

    /// DATA; the reply to the message.
    pub(crate) async fn data(&mut self, message: &str) -> String {
        let reply = self.say("DATA").await;
        assert!(reply.starts_with("354"), "{reply}");
        self.write(message).await;
        self.say(if message.ends_with("\r\n") { "." } else { "\r\n." }).await
    }
}

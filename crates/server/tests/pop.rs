//! POP3 over loopback sockets against a real store: what a session sees, keeps and deletes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use message::facts::Facts;
use net::{Connection, Listener, Next, TlsClient, TlsServer};
use server::auth::Auth;
use server::context::{Context, Limits, Plaintext};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Account, AccountId, Flags, NewAccount, NewEmail, Spooled, Store, StoreConfig};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use wire::pop3::client::{Config, Event, Request, Stls};
use wire::pop3::{Client, ResponseCode};
use wire::sasl::Secret;
use wire::sasl::client::Credentials;

const PASSWORD: &str = "correct horse";

struct Office {
    context: Arc<Context>,
    account: Arc<Account>,
    plain: SocketAddr,
    tls: SocketAddr,
    certificate: std::path::PathBuf,
    shutdown: watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

async fn add_account(store: &Store, address: &str) -> Arc<Account> {
    let secrets = tokio::task::spawn_blocking(|| server::auth::secrets(PASSWORD.as_bytes(), None)).await.unwrap().unwrap();
    let account = NewAccount { address: address.into(), secrets, quota_bytes: None };
    store.accounts_add(vec![account], 1).await.unwrap();
    store.account(address).await.unwrap().unwrap()
}

impl Office {
    async fn open(plaintext: Plaintext) -> Office {
        Office::with(plaintext, Limits::default()).await
    }

    async fn with(plaintext: Plaintext, limits: Limits) -> Office {
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            data_dir: dir.path().to_path_buf(),
            undo_days: 30,
            free_bytes_min: 0,
            free_bytes_tight: 0,
            message_bytes_max: 64 << 20,
        };
        let store = Store::memory(config).await.unwrap();
        let account = add_account(&store, "ann@here.test").await;
        let (shutdown, shutdown_seen) = watch::channel(false);
        let context = Arc::new(Context {
            search: search::Searcher::new(store.clone()),
            auth: Auth::new(store.clone(), Some("here.test".into())),
            store,
            hostname: "mail.here.test".into(),
            domains: vec!["here.test".into()],
            message_bytes_max: 64 << 20,
            plaintext,
            limits,
            reachable: None,
            smtp: server::smtp::Settings::default(),
            trust: Default::default(),
            shutdown: shutdown_seen,
            imap: server::imap::Memory::default(),
            wire_log: Default::default(),
            sizes: Default::default(),
            wishes: Default::default(),
            pop: server::pop::Maildrops::default(),
        });
        let tls = Arc::new(TlsServer::self_signed(dir.path(), &["mail.here.test".into()]).unwrap());
        let certificate = tls.certificate_path().to_path_buf();
        let (plain, tls) = (listen(&context, Arc::clone(&tls), false), listen(&context, tls, true));
        Office { context, account, plain, tls, certificate, shutdown, _dir: dir }
    }

    async fn deliver(&self, messages: &[&[u8]]) {
        let store = &self.context.store;
        let inbox = store.mailbox(self.account.id, "INBOX").await.unwrap().unwrap();
        let emails = messages
            .iter()
            .map(|text| NewEmail {
                body: Spooled::from_bytes(Bytes::copy_from_slice(text)),
                facts: Arc::new(Facts::compute(text)),
                flags: Flags::default(),
                internal_date_secs: 1_700_000_000,
            })
            .collect();
        store.append(self.account.id, inbox.id, emails).await.unwrap();
    }

    async fn sign_in(&self) -> Talk {
        let mut talk = Talk::connect(self.plain).await;
        assert!(talk.ask("USER ann").await.starts_with("+OK"));
        let answer = talk.ask(&format!("PASS {PASSWORD}")).await;
        assert!(answer.starts_with("+OK"), "{answer}");
        talk
    }

    async fn close(self) {
        assert_eq!(self.context.store.check().await.unwrap(), vec![]);
    }
}

fn listen(context: &Arc<Context>, tls: Arc<TlsServer>, implicit: bool) -> SocketAddr {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local().to_string().parse().unwrap();
    let context = Arc::clone(context);
    tokio::spawn(async move {
        while let Ok(incoming) = listener.accept().await {
            let (context, tls) = (Arc::clone(&context), Arc::clone(&tls));
            tokio::spawn(async move {
                if !implicit {
                    server::pop::serve(context, Connection::server(incoming, Some(tls)), false).await;
                } else if let Ok(connection) = Connection::server_tls(incoming, &tls, Duration::from_secs(5)).await {
                    server::pop::serve(context, connection, true).await;
                }
            });
        }
    });
    address
}

/// A client that knows only lines.
struct Talk(BufReader<TcpStream>);

impl Talk {
    async fn connect(address: SocketAddr) -> Talk {
        let mut talk = Talk(BufReader::new(TcpStream::connect(address).await.unwrap()));
        assert_eq!(talk.line().await, "+OK mail.here.test POP3 ready");
        talk
    }
    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let read = self.0.read_until(b'\n', &mut line);
        tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap();
        String::from_utf8(line).unwrap().trim_end_matches("\r\n").to_owned()
    }
    async fn say(&mut self, line: &str) {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
    }
    async fn ask(&mut self, line: &str) -> String {
        self.say(line).await;
        self.line().await
    }
    /// The lines behind `+OK`, dots undone.
    async fn lines(&mut self, line: &str) -> Vec<String> {
        let answer = self.ask(line).await;
        assert!(answer.starts_with("+OK"), "{line}: {answer}");
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            if line == "." {
                return lines;
            }
            lines.push(line.strip_prefix('.').unwrap_or(&line).to_owned());
        }
    }
    /// What is left until the server closes.
    async fn rest(mut self) -> String {
        let mut rest = String::new();
        tokio::time::timeout(Duration::from_secs(5), self.0.read_to_string(&mut rest)).await.unwrap().unwrap();
        rest
    }
}

const ONE: &[u8] = b"Subject: one\r\n\r\nfirst\r\n.\r\n..two dots\r\nlast\r\n";
const TWO: &[u8] = b"Subject: two\r\n\r\nline 1\r\nline 2\r\nline 3\r\n";

#[tokio::test]
async fn a_session_reads_and_deletes() {
    let office = Office::open(Plaintext::Loopback).await;
    office.deliver(&[ONE, TWO]).await;
    let mut talk = office.sign_in().await;
    assert_eq!(talk.ask("STAT").await, format!("+OK 2 {}", ONE.len() + TWO.len()));
    assert_eq!(talk.lines("LIST").await, vec![format!("1 {}", ONE.len()), format!("2 {}", TWO.len())]);
    assert_eq!(talk.lines("RETR 1").await.join("\r\n") + "\r\n", String::from_utf8(ONE.to_vec()).unwrap());
    assert_eq!(talk.lines("TOP 2 2").await, vec!["Subject: two", "", "line 1", "line 2"]);
    let ids = talk.lines("UIDL").await;
    assert_eq!(ids.len(), 2);
    assert!(ids.iter().all(|line| line.len() <= 2 + 70));

    // Gone without QUIT: nothing is deleted.
    assert!(talk.ask("DELE 1").await.starts_with("+OK"));
    drop(talk);
    let mut talk = office.sign_in().await;
    assert_eq!(talk.lines("UIDL").await, ids);

    assert!(talk.ask("DELE 1").await.starts_with("+OK"));
    assert!(talk.ask("QUIT").await.starts_with("+OK"));
    assert_eq!(talk.rest().await, "");
    let mut talk = office.sign_in().await;
    let left = talk.lines("UIDL").await;
    assert_eq!(left, vec![ids[1].replacen("2 ", "1 ", 1)]);
    assert_eq!(office.context.store.undo_list(office.account.id, 10).await.unwrap().len(), 1);
    drop(talk);
    office.close().await;
}

#[tokio::test]
async fn one_session_a_maildrop() {
    let office = Office::open(Plaintext::Loopback).await;
    let other = add_account(&office.context.store, "bob@here.test").await;
    assert_ne!(other.id, office.account.id);
    let mut first = office.sign_in().await;
    let mut second = Talk::connect(office.plain).await;
    second.ask("USER ann@here.test").await;
    let answer = second.ask(&format!("PASS {PASSWORD}")).await;
    assert!(answer.starts_with("-ERR [IN-USE] "), "{answer}");
    // Another maildrop is free, and so is this one right after QUIT.
    second.ask("USER bob").await;
    assert!(second.ask(&format!("PASS {PASSWORD}")).await.starts_with("+OK"));
    assert!(first.ask("QUIT").await.starts_with("+OK"));
    let third = office.sign_in().await;
    drop((first, second, third));
    office.close().await;
}

#[tokio::test]
async fn wrong_passwords_and_nobodies_look_the_same() {
    let office = Office::open(Plaintext::Loopback).await;
    let mut answers = Vec::new();
    for login in ["ann", "nobody", "ann@else.test"] {
        let mut talk = Talk::connect(office.plain).await;
        answers.push((talk.ask(&format!("USER {login}")).await, talk.ask("PASS wrong").await));
    }
    assert!(answers[0].1.starts_with("-ERR [AUTH]"), "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[tokio::test]
async fn suspending_ends_the_session_and_deletes_nothing() {
    let office = Office::open(Plaintext::Loopback).await;
    office.deliver(&[ONE]).await;
    let mut talk = office.sign_in().await;
    assert!(talk.ask("DELE 1").await.starts_with("+OK"));
    let store = &office.context.store;
    store.account_suspend(office.account.id, true).await.unwrap();
    assert_eq!(talk.rest().await, "");
    let mut talk = Talk::connect(office.plain).await;
    talk.ask("USER ann").await;
    office.context.auth.forget(office.account.id);
    let answer = talk.ask(&format!("PASS {PASSWORD}")).await;
    assert!(answer.starts_with("-ERR"), "{answer}");
    store.account_suspend(office.account.id, false).await.unwrap();
    let mut talk = office.sign_in().await;
    assert!(talk.ask("STAT").await.starts_with("+OK 1 "));
    drop(talk);
    office.close().await;
}

#[tokio::test]
async fn a_message_expunged_elsewhere_is_said_to_be_gone_or_still_read() {
    let office = Office::open(Plaintext::Loopback).await;
    office.deliver(&[ONE, TWO]).await;
    let mut talk = office.sign_in().await;
    let store = &office.context.store;
    let inbox = store.mailbox(office.account.id, "INBOX").await.unwrap().unwrap();
    let rows = store.snapshot(office.account.id, inbox.id).await.unwrap().rows;
    store.expunge(office.account.id, inbox.id, &[rows.uid(0).unwrap()], 5).await.unwrap();
    // The session's listing stays as it was.
    assert!(talk.ask("STAT").await.starts_with("+OK 2 "));
    let answer = talk.ask("RETR 1").await;
    if answer.starts_with("+OK") {
        while talk.line().await != "." {}
    } else {
        assert!(answer.starts_with("-ERR"), "{answer}");
    }
    for line in ["DELE 1", "DELE 2", "QUIT"] {
        assert!(talk.ask(line).await.starts_with("+OK"));
    }
    assert!(store.snapshot(office.account.id, inbox.id).await.unwrap().rows.is_empty());
    office.close().await;
}

#[tokio::test]
async fn draining_says_goodbye_at_a_quiet_moment() {
    let office = Office::open(Plaintext::Loopback).await;
    office.deliver(&[ONE]).await;
    let mut talk = office.sign_in().await;
    assert!(talk.ask("DELE 1").await.starts_with("+OK"));
    office.shutdown.send(true).unwrap();
    assert_eq!(talk.rest().await, "");
    assert_eq!(office.context.store.account_usage(office.account.id).await.unwrap().1, 1);
}

#[tokio::test]
async fn no_password_without_tls_where_that_is_the_rule() {
    let office = Office::open(Plaintext::Never).await;
    let mut talk = Talk::connect(office.plain).await;
    let capabilities = talk.lines("CAPA").await;
    assert!(capabilities.contains(&"STLS".to_owned()) && !capabilities.contains(&"USER".to_owned()));
    assert!(talk.ask("USER ann").await.starts_with("-ERR"));
    assert!(talk.ask("AUTH PLAIN AGFubgB4").await.starts_with("-ERR"));
}

fn client_config(office: &Office, tls: bool) -> (Config, TlsClient) {
    let config = Config {
        tls,
        stls: Stls::Required,
        plaintext: false,
        credentials: Credentials { login: "ann@here.test".into(), password: Secret::new(PASSWORD.into()) },
        nonce: "abcdefghijklmnopqrstuvwx".into(),
        utf8: false,
    };
    (config, TlsClient::verified(Some(&office.certificate)).unwrap())
}

/// Runs our own client to its end.
async fn run(mut connection: Connection, config: Config, requests: &[Request]) -> Vec<Event> {
    let mut client = Client::new(config);
    requests.iter().for_each(|request| client.request(*request));
    let mut heard = Vec::new();
    while let Next::Event(event) = connection.next(&mut client).await {
        heard.push(event);
    }
    heard
}

#[tokio::test]
async fn our_client_by_stls_and_by_the_tls_port() {
    let office = Office::open(Plaintext::Never).await;
    // Large enough for many pieces, with dots at line starts all over.
    let mut large = b"Subject: large\r\n\r\n".to_vec();
    for n in 0..60_000u32 {
        large.extend_from_slice(format!("{}line {n} of a large message\r\n", if n % 3 == 0 { "." } else { "" }).as_bytes());
    }
    office.deliver(&[ONE, &large]).await;
    for implicit in [false, true] {
        let (config, policy) = client_config(&office, implicit);
        let limit = Duration::from_secs(5);
        let connection = if implicit {
            Connection::dial_tls(office.tls, None, limit, &policy, "mail.here.test").await.unwrap()
        } else {
            let mut connection = Connection::dial(office.plain, None, limit).await.unwrap();
            connection.set_tls_client(policy, "mail.here.test");
            connection
        };
        let heard = run(connection, config, &[Request::Retr(2), Request::Stat, Request::Quit]).await;
        assert!(matches!(heard[0], Event::Ready(_)), "{:?}", heard[0]);
        let octets: Vec<u8> = heard
            .iter()
            .filter_map(|event| match event {
                Event::Content(piece) => Some(piece.to_vec()),
                _ => None,
            })
            .flatten()
            .collect();
        assert!(octets == large, "{} octets came of {}", octets.len(), large.len());
        assert_eq!(heard.last(), Some(&Event::Done(Request::Quit)));
    }
    office.close().await;
}

#[tokio::test]
async fn scram_with_a_wrong_password_is_a_matter_of_credentials() {
    let office = Office::open(Plaintext::Never).await;
    let (mut config, policy) = client_config(&office, true);
    config.credentials.password = Secret::new(b"wrong".to_vec());
    let connection = Connection::dial_tls(office.tls, None, Duration::from_secs(5), &policy, "mail.here.test").await.unwrap();
    let heard = run(connection, config, &[Request::Stat]).await;
    let [Event::Failed(wire::pop3::client::Failure::SignIn(reply))] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!(reply.code, Some(ResponseCode::Auth));
}

#[tokio::test]
async fn a_hundred_thousand_messages_list_in_one_answer() {
    let office = Office::open(Plaintext::Loopback).await;
    let count = 100_000;
    let text = b"Subject: small\r\n\r\nx\r\n";
    let (store, account): (&Store, AccountId) = (&office.context.store, office.account.id);
    let inbox = store.mailbox(account, "INBOX").await.unwrap().unwrap();
    let email = NewEmail {
        body: Spooled::from_bytes(Bytes::from_static(text)),
        facts: Arc::new(Facts::compute(text)),
        flags: Flags::default(),
        internal_date_secs: 1_700_000_000,
    };
    for _ in 0..count / 5_000 {
        store.append(account, inbox.id, vec![email.clone(); 5_000]).await.unwrap();
    }
    let began = Instant::now();
    let mut talk = office.sign_in().await;
    assert_eq!(talk.lines("LIST").await.len(), count);
    let ids = talk.lines("UIDL").await;
    assert_eq!(
        ids.iter().filter_map(|line| line.split_once(' ')).map(|(_, id)| id).collect::<std::collections::HashSet<_>>().len(),
        count
    );
    assert_eq!(talk.lines(&format!("TOP {count} 0")).await, vec!["Subject: small", ""]);
    let took = began.elapsed();
    eprintln!("sign-in, LIST, UIDL and TOP: {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// RFC 2449 §6.5, §8.1.1: announced where it is set; who comes back too soon is told so by a code.
#[tokio::test]
async fn login_delay_is_announced_and_kept() {
    let office = Office::with(Plaintext::Always, Limits { pop3_login_delay_secs: 600, ..Limits::default() }).await;
    let mut talk = office.sign_in().await;
    assert!(talk.ask("CAPA").await.starts_with("+OK"));
    let mut announced = false;
    loop {
        match talk.line().await.as_str() {
            "." => break,
            line => announced |= line == "LOGIN-DELAY 600",
        }
    }
    assert!(announced);
    assert!(talk.ask("QUIT").await.starts_with("+OK"));
    let mut again = Talk::connect(office.plain).await;
    assert!(again.ask("USER ann").await.starts_with("+OK"));
    let answer = again.ask(&format!("PASS {PASSWORD}")).await;
    assert!(answer.starts_with("-ERR [LOGIN-DELAY]"), "{answer}");
    office.close().await;
}

/// RFC 6856 §8: UTF-8 in a header goes only to who said UTF8; others get the surrogate of RFC 6858.
#[tokio::test]
async fn utf8_headers_are_for_who_said_utf8() {
    let office = Office::open(Plaintext::Loopback).await;
    let part = "Content-Type: text/plain; charset=utf-8; name=\"bä.txt\"\r\nX-Art: schön\r\n\r\nGrüße\r\n";
    let fat = "x".repeat(60).to_owned() + "\r\n";
    let text = format!(
        "From: Jörg <jörg@here.test>\r\nSubject: Schöne Grüße\r\nX-Ort: Köln\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\n{part}--b\r\nContent-Type: text/plain\r\n\r\n{}--b\r\n{part}--b--\r\n",
        fat.repeat(5_000)
    );
    let plain = "From: Jörg\r\n <jörg@here.test>\r\n\r\nkurz\r\n".replace("ö", "o");
    office.deliver(&[text.as_bytes(), plain.as_bytes(), b"Subject: Gr\xc3\xbc\xdf\xe9\r\n\r\n8 bits\r\n"]).await;
    let mut talk = office.sign_in().await;
    let shown_part = "Content-Type: text/plain;\r\n charset=utf-8;\r\n name*=utf-8''b%C3%A4.txt\r\n\r\nGrüße\r\n";
    let head = "From: =?utf-8?Q?J=C3=B6rg_=3Cj=C3=B6rg=40here=2Etest=3E?=\r\n <invalid@internationalized-address.invalid>\r\n\
         Subject: =?utf-8?Q?Sch=C3=B6ne_Gr=C3=BC=C3=9Fe?=\r\nContent-Type: multipart/mixed; boundary=b\r\n";
    let shown = format!(
        "{head}\r\n--b\r\n{shown_part}--b\r\nContent-Type: text/plain\r\n\r\n{}--b\r\n{shown_part}--b--\r\n",
        fat.repeat(5_000)
    );
    let read = |lines: Vec<String>| lines.join("\r\n") + "\r\n";
    assert!(read(talk.lines("RETR 1").await) == shown);
    // The lines of TOP are those of the surrogate.
    assert_eq!(read(talk.lines("TOP 1 1").await), format!("{head}\r\n--b\r\n"));
    assert_eq!(read(talk.lines("RETR 2").await), plain);
    // What is no UTF-8 is no such message.
    talk.say("RETR 3").await;
    let mut octets = Vec::new();
    while !octets.ends_with(b"\r\n.\r\n") {
        tokio::time::timeout(Duration::from_secs(20), talk.0.read_until(b'\n', &mut octets)).await.unwrap().unwrap();
    }
    assert!(octets.windows(4).any(|four| four == b"\xbc\xdf\xe9\r"), "{octets:?}");
    drop(talk);

    let mut talk = Talk::connect(office.plain).await;
    assert!(talk.ask("UTF8").await.starts_with("+OK"));
    talk.ask("USER ann").await;
    assert!(talk.ask(&format!("PASS {PASSWORD}")).await.starts_with("+OK"));
    assert!(read(talk.lines("RETR 1").await) == text);
    drop(talk);
    office.close().await;
}

//! Six hot operations in one process, each as often as told, for valgrind to count instructions.
//!
//! `instructions FACTS FLAGS ENVELOPE STORE RETR DELIVER`: the difference between two runs that differ in one number is
//! what that operation costs, all threads together. Nothing here depends on time. See `tests/bench/instructions.py`.

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use bytes::Bytes;
use message::facts::Facts;
use net::{Connection, Listener};
use server::auth::Auth;
use server::context::{Context, Limits, Plaintext, Shared};
use server::smtp::Mode;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use store::{AccountId, Flags, NewAccount, NewEmail, Secrets, Spooled, Store, StoreConfig};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;

type Outcome<T> = Result<T, Box<dyn Error>>;

const OPERATIONS: usize = 6;
/// Messages in the mailbox: a FETCH of all has this many rows.
const ROWS: usize = 50;

/// About 8 KB: two parts, encoded words, folded fields, as programs write them.
fn message(number: usize) -> String {
    let line = "Lorem ipsum dolor sit amet, consetetur sadipscing elitr, sed diam nonumy eirmod.\r\n";
    format!(
        "From: =?utf-8?q?Ann_=C3=84rger?= <ann@here.test>\r\nTo: Bob <bob@here.test>,\r\n \"Carol, the third\" <carol@here.test>\r\n\
         Subject: =?utf-8?b?R3LDvMOfZQ==?= number {number}\r\nDate: Mon, 23 Nov 2026 10:00:00 +0100\r\n\
         Message-ID: <{number}@here.test>\r\nReferences: <a@here.test> <b@here.test>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"=_limit\"\r\n\r\n--=_limit\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{}\r\n\
         --=_limit\r\nContent-Type: application/pdf; name=\"paper.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"paper.pdf\"\r\n\r\n{}\r\n--=_limit--\r\n",
        line.repeat(50),
        "JVBERi0xLjQKJeLjz9MKMSAwIG9iago8PAovVHlwZSAvQ2F0YWxvZwo+PgplbmRvYmoK\r\n".repeat(50)
    )
}

/// The account's password under the smallest costs argon2 allows: hashing is not what is counted here.
fn cheap_secrets() -> Outcome<Secrets> {
    let params = Params::new(8, 1, 1, None).map_err(|error| error.to_string())?;
    let salt = SaltString::encode_b64(b"salt of the count").map_err(|error| error.to_string())?;
    let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let argon2 = cheap.hash_password(b"secret", &salt).map_err(|error| error.to_string())?.to_string();
    Ok(Secrets { argon2, scram: None })
}

/// A server in this process with Ann's account and mail.
async fn office(folder: &std::path::Path) -> Outcome<(Shared, watch::Sender<bool>)> {
    let store = Store::open(StoreConfig {
        data_dir: folder.to_owned(),
        undo_days: 30,
        free_bytes_min: 0,
        free_bytes_tight: 0,
        message_bytes_max: 1 << 20,
    })
    .await?;
    store
        .accounts_add(vec![NewAccount { address: "ann@here.test".into(), secrets: cheap_secrets()?, quota_bytes: None }], 1)
        .await?;
    let account = store.account("ann@here.test").await?.ok_or("no account")?;
    fill(&store, account.id).await?;
    let (shutdown, shutdown_seen) = watch::channel(false);
    let context = Context {
        search: search::Searcher::new(store.clone()),
        auth: Auth::new(store.clone(), Some("here.test".into())),
        store,
        hostname: "mail.here.test".into(),
        domains: vec!["here.test".into()],
        message_bytes_max: 1 << 20,
        plaintext: Plaintext::Loopback,
        limits: Limits::default(),
        reachable: None,
        smtp: server::smtp::Settings::default(),
        trust: Default::default(),
        shutdown: shutdown_seen,
        imap: server::imap::Memory::default(),
        wire_log: Default::default(),
        sizes: Default::default(),
        wishes: Default::default(),
        pop: server::pop::Maildrops::default(),
    };
    Ok((Arc::new(context), shutdown))
}

async fn fill(store: &Store, account: AccountId) -> Outcome<()> {
    let inbox = store.mailbox(account, "INBOX").await?.ok_or("no INBOX")?;
    let mail = (0..ROWS).map(|number| {
        let text = message(number);
        NewEmail {
            facts: Arc::new(Facts::compute(text.as_bytes())),
            body: Spooled::from_bytes(Bytes::from(text)),
            flags: Flags::default(),
            internal_date_secs: 1_000_000_000,
        }
    });
    store.append(account, inbox.id, mail.collect()).await?;
    Ok(())
}

#[derive(Clone, Copy)]
enum Face {
    Smtp,
    Imap,
    Pop,
}

fn listen(context: &Shared, face: Face) -> Outcome<SocketAddr> {
    let listener = Listener::bind(&"127.0.0.1:0".parse()?)?;
    let address = listener.local().to_string().parse()?;
    let context = Arc::clone(context);
    tokio::spawn(async move {
        while let Ok(incoming) = listener.accept().await {
            let connection = Connection::server(incoming, None);
            let context = Arc::clone(&context);
            match face {
                Face::Smtp => tokio::spawn(server::smtp::serve(context, connection, Mode::Mx)),
                Face::Imap => tokio::spawn(server::imap::serve(context, connection)),
                Face::Pop => tokio::spawn(server::pop::serve(context, connection, false)),
            };
        }
    });
    Ok(address)
}

/// The client's side: sends a line, reads up to one that ends the answer.
struct Client {
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Outcome<Client> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Client { stream: BufReader::with_capacity(64 * 1024, stream), line: Vec::new() })
    }

    async fn say(&mut self, words: &[u8], last: impl Fn(&[u8]) -> bool) -> Outcome<()> {
        self.stream.get_mut().write_all(words).await?;
        loop {
            self.line.clear();
            if self.stream.read_until(b'\n', &mut self.line).await? == 0 {
                return Err("the server hung up".into());
            }
            if last(&self.line) {
                return Ok(());
            }
        }
    }

    async fn imap(&mut self, command: &str) -> Outcome<()> {
        self.say(format!("t {command}\r\n").as_bytes(), |line| line.starts_with(b"t ")).await?;
        if self.line.starts_with(b"t OK") { Ok(()) } else { Err(String::from_utf8_lossy(&self.line).into()) }
    }

    async fn pop(&mut self, command: &str) -> Outcome<()> {
        let many = command.starts_with("RETR");
        self.say(command.as_bytes(), |line| line == b".\r\n" || (!many && line.starts_with(b"+OK"))).await
    }

    async fn smtp(&mut self, words: &[u8], code: &str) -> Outcome<()> {
        self.say(words, |line| line.get(3) == Some(&b' ')).await?;
        if self.line.starts_with(code.as_bytes()) { Ok(()) } else { Err(String::from_utf8_lossy(&self.line).into()) }
    }
}

async fn read_by_imap(address: SocketAddr, (flags, envelopes, stores): (usize, usize, usize)) -> Outcome<()> {
    let mut client = Client::connect(address).await?;
    client.say(b"", |line| line.starts_with(b"* OK")).await?;
    client.imap("LOGIN ann@here.test secret").await?;
    client.imap("SELECT INBOX").await?;
    // Once before, so that what is made ready at the first time is in every run.
    for command in ["FETCH 1:* (FLAGS UID)", "FETCH 1:* (ENVELOPE)"] {
        client.imap(command).await?;
    }
    for _ in 0..flags {
        client.imap("FETCH 1:* (FLAGS UID)").await?;
    }
    for _ in 0..envelopes {
        client.imap("FETCH 1:* (ENVELOPE)").await?;
    }
    for number in 0..stores {
        let sign = if number % 2 == 0 { '+' } else { '-' };
        client.imap(&format!("UID STORE 7 {sign}FLAGS (\\Seen)")).await?;
    }
    client.imap("LOGOUT").await
}

async fn read_by_pop(address: SocketAddr, retrs: usize) -> Outcome<()> {
    let mut client = Client::connect(address).await?;
    client.pop("").await?;
    for command in ["USER ann@here.test\r\n", "PASS secret\r\n", "RETR 1\r\n"] {
        client.pop(command).await?;
    }
    for number in 0..retrs {
        client.pop(&format!("RETR {}\r\n", number % ROWS + 1)).await?;
    }
    client.pop("QUIT\r\n").await
}

async fn deliver(address: SocketAddr, count: usize) -> Outcome<()> {
    let mut client = Client::connect(address).await?;
    client.smtp(b"", "220").await?;
    client.smtp(b"EHLO client.test\r\n", "250").await?;
    // Once before, as above.
    for number in 0..count + 1 {
        client.smtp(b"MAIL FROM:<ann@there.test>\r\n", "250").await?;
        client.smtp(b"RCPT TO:<ann@here.test>\r\n", "250").await?;
        client.smtp(b"DATA\r\n", "354").await?;
        client.smtp(format!("{}.\r\n", message(number)).as_bytes(), "250").await?;
    }
    client.smtp(b"QUIT\r\n", "221").await
}

async fn all([facts, flags, envelopes, stores, retrs, deliveries]: [usize; OPERATIONS]) -> Outcome<()> {
    let text = message(1);
    for _ in 0..facts {
        std::hint::black_box(Facts::compute(std::hint::black_box(text.as_bytes())));
    }
    let folder = tempfile::tempdir()?;
    let (context, shutdown) = office(folder.path()).await?;
    read_by_imap(listen(&context, Face::Imap)?, (flags, envelopes, stores)).await?;
    read_by_pop(listen(&context, Face::Pop)?, retrs).await?;
    // Last: it makes the mailbox larger.
    deliver(listen(&context, Face::Smtp)?, deliveries).await?;
    drop(shutdown);
    context.store.clone().close().await?;
    Ok(())
}

fn main() -> Outcome<()> {
    let counts: Vec<usize> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let counts = <[usize; OPERATIONS]>::try_from(counts).map_err(|_| "wants six numbers")?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(all(counts))
}

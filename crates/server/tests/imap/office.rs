//! A server in this process, on loopback, with one account.

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use bytes::Bytes;
use message::facts::Facts;
use net::connection::Connection;
use net::listener::Listener;
use net::{ClientTrust, TlsServer};
use server::auth::{Auth, MechanismOffer};
use server::context::{Context, Limits, Plaintext, Shared};
use server::imap::Settings;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use store::{Account, Flags, NewAccount, NewEmail, Secrets, Spooled, Store, StoreConfig};
use tokio::sync::watch;

pub(crate) const PASSWORD: &str = "secret";

/// The account's password under the smallest costs argon2 allows: what is tested here is not its strength.
fn cheap_secrets() -> Secrets {
    let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let salt = SaltString::encode_b64(b"salt of the tests").unwrap();
    let argon2 = cheap.hash_password(PASSWORD.as_bytes(), &salt).unwrap().to_string();
    Secrets { argon2, scram: None }
}

/// A server in this process.
pub(crate) struct Office {
    pub(crate) context: Shared,
    pub(crate) account: Arc<Account>,
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: watch::Sender<bool>,
    /// Where it is made when there is TLS.
    pub(crate) certificate: PathBuf,
    _dir: tempfile::TempDir,
}

impl Office {
    /// Passwords may be sent plain; no TLS.
    pub(crate) async fn open() -> Office {
        Office::with(Settings::default()).await
    }

    /// The same, with settings of IMAP's own.
    pub(crate) async fn with(settings: Settings) -> Office {
        Office::make(Plaintext::Loopback, cheap_secrets(), None, &[], settings).await
    }

    /// As on the Internet: STARTTLS, no password without it, SCRAM.
    pub(crate) async fn guarded() -> Office {
        let secrets = tokio::task::spawn_blocking(|| server::auth::secrets(PASSWORD.as_bytes(), None)).await.unwrap().unwrap();
        Office::make(Plaintext::Never, secrets, Some(ClientTrust::default()), &[], Settings::default()).await
    }

    /// The same with these mechanisms, in words; this certificate (SHA-256 and whom it speaks for) is known.
    pub(crate) async fn guarded_with(mechanisms: &str, pinned: &[(String, String)]) -> Office {
        let secrets = tokio::task::spawn_blocking(|| server::auth::secrets(PASSWORD.as_bytes(), None)).await.unwrap().unwrap();
        let mechanisms: Vec<MechanismOffer> = mechanisms.split(' ').map(|name| name.parse().unwrap()).collect();
        let clients = ClientTrust::new(pinned, None).unwrap();
        Office::make(Plaintext::Never, secrets, Some(clients), &mechanisms, Settings::default()).await
    }

    async fn make(
        plaintext: Plaintext,
        secrets: Secrets,
        with_tls: Option<ClientTrust>,
        mechanisms: &[MechanismOffer],
        settings: Settings,
    ) -> Office {
        let switches = ["SASL-IR on imaps", "BINARY on imap", "QRESYNC for Bad Mail"];
        let switches = switches.map(|text| server::imap::CapabilityOff::parse(text).unwrap()).to_vec();
        let settings = Settings { switches, ..settings };
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            data_dir: dir.path().to_owned(),
            undo_days: 30,
            free_bytes_min: 0,
            free_bytes_tight: 0,
            message_bytes_max: 1 << 20,
        };
        let store = Store::memory(config).await.unwrap();
        let account = NewAccount { address: "ann@here.test".into(), secrets, quota_bytes: None };
        store.accounts_add(vec![account], 1).await.unwrap();
        let account = store.account("ann@here.test").await.unwrap().unwrap();
        let (shutdown, shutdown_seen) = watch::channel(false);
        let auth = Auth::new(store.clone(), Some("here.test".into()));
        let context = Arc::new(Context {
            search: search::Searcher::new(store.clone()),
            auth: match mechanisms {
                [] => auth,
                some => auth.with_mechanisms(some.to_vec()),
            },
            store,
            hostname: "mail.here.test".into(),
            domains: vec!["here.test".into()],
            message_bytes_max: 1 << 20,
            plaintext,
            limits: Limits::default(),
            reachable: None,
            smtp: server::smtp::Settings::default(),
            trust: Default::default(),
            shutdown: shutdown_seen,
            imap: server::imap::Memory::new(settings),
            wire_log: Default::default(),
            sizes: Default::default(),
            wishes: Default::default(),
            pop: server::pop::Maildrops::default(),
        });
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local().to_string().parse().unwrap();
        let shared = Arc::clone(&context);
        let tls = with_tls.map(|clients| {
            Arc::new(TlsServer::self_signed(dir.path(), &["mail.here.test".to_owned()]).unwrap().asking_clients(clients))
        });
        tokio::spawn(async move {
            while let Ok(incoming) = listener.accept().await {
                tokio::spawn(server::imap::serve(Arc::clone(&shared), Connection::server(incoming, tls.clone())));
            }
        });
        Office { context, account, address, shutdown, certificate: dir.path().join("self-signed.pem"), _dir: dir }
    }

    /// More accounts of the domain, with the same password.
    pub(crate) async fn add_people(&self, names: impl Iterator<Item = &str>) {
        let address = |name: &str| if name.contains('@') { name.to_owned() } else { format!("{name}@here.test") };
        let new = |name| NewAccount { address: address(name), secrets: cheap_secrets(), quota_bytes: None };
        self.context.store.accounts_add(names.map(new).collect(), 1).await.unwrap();
    }

    pub(crate) async fn deliver(&self, mailbox: &str, text: &[u8]) {
        let store = &self.context.store;
        let mailbox = store.mailbox(self.account.id, mailbox).await.unwrap().unwrap();
        let email = NewEmail {
            body: Spooled::from_bytes(Bytes::copy_from_slice(text)),
            facts: Arc::new(Facts::compute(text)),
            flags: Flags::default(),
            internal_date_secs: 1_000_000_000,
        };
        store.append(self.account.id, mailbox.id, vec![email]).await.unwrap();
    }

    /// The store is sound at the end of every test.
    pub(crate) async fn check(&self) {
        assert_eq!(self.context.store.check().await.unwrap(), vec![]);
    }
}

//! `packetboat mail web`: the browser program on loopback, on the email program's own store, while mail is kept in step.
//!
//! One signs in with an account's address and its password at the provider, or with the word that is printed once, and has all accounts.
//! Invariant: listens on loopback only, and nobody else's address goes out as sender. Must not know: HTTP, JMAP.

use super::identity::Identity;
use super::profile::{Profile, Profiles};
use super::step::{self, Step};
use super::{Desk, Way, data_dir, open_store, profile};
use crate::cli::{MailArgs, WebArgs};
use net::clock::unix_now;
use net::{ListenAddr, Listener};
use ring::hmac;
use ring::rand::SystemRandom;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{Acceptance, Account, NewQueueEntry, QueueRecipient, RecipientState, Spooled, Store};
use tokio::sync::watch;
use web::{Later, Outgoing, Plaintext, Refused, Sent};
use zeroize::Zeroizing;

/// What a wrong password costs.
const WRONG_WAIT: Duration = Duration::from_secs(1);
/// Sending is given up after this.
const EXPIRES_SECS: i64 = 5 * 86_400;
/// As large as the store takes.
const MESSAGE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Of one message; a provider may take fewer.
const RECIPIENTS_MAX: usize = 1_000;

/// One account, and what opens it.
struct Key {
    address: String,
    identities: Vec<Identity>,
    /// The password at the provider (where one is kept) and the word that was printed.
    secrets: Vec<hmac::Tag>,
}

/// Secrets by their HMAC under a key of this run. How long a comparison takes tells nothing of them.
struct Seal(hmac::Key);

impl Seal {
    fn new() -> Result<Seal, String> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(|_| "no random octets")?;
        Ok(Seal(key))
    }

    fn of(&self, secret: &[u8]) -> hmac::Tag {
        hmac::sign(&self.0, secret)
    }

    /// Is it one of these? All are looked at, whichever it is.
    fn is_one_of(&self, given: &[u8], known: &[hmac::Tag]) -> bool {
        known.iter().fold(false, |is, one| is | hmac::verify(&self.0, given, one.as_ref()).is_ok())
    }
}

struct Doors {
    store: Store,
    seal: Seal,
    keys: Vec<Key>,
}

impl web::Doorkeeper for Doors {
    fn password<'a>(&'a self, login: &'a str, password: &'a [u8], _: Option<IpAddr>) -> Later<'a, Result<Arc<Account>, Refused>> {
        Box::pin(async move {
            let key = self.keys.iter().find(|key| key.address.eq_ignore_ascii_case(login));
            match key.filter(|key| self.seal.is_one_of(password, &key.secrets)) {
                Some(key) => match self.store.account(&key.address).await {
                    Ok(Some(account)) => Ok(account),
                    _ => Err(Refused::Later),
                },
                None => {
                    tokio::time::sleep(WRONG_WAIT).await;
                    Err(Refused::Credentials)
                }
            }
        })
    }
}

/// There are no mail programs here to be watched.
impl web::Wire for Doors {}

impl web::Sender for Doors {
    fn send(&self, outgoing: Outgoing) -> Later<'_, Result<Sent, mta::Refusal>> {
        Box::pin(async move {
            let key = self.keys.iter().find(|key| key.address.eq_ignore_ascii_case(&outgoing.account.address));
            let own =
                |address: &str| key.is_some_and(|key| key.identities.iter().any(|one| one.address.eq_ignore_ascii_case(address)));
            if !own(&outgoing.reverse_path) {
                let text = format!("<{}> is not one of your identities", outgoing.reverse_path);
                return Err(mta::Refusal::new(550, (5, 7, 1), text));
            }
            let now = unix_now();
            let due_secs = outgoing.hold_until_secs.unwrap_or(now).max(now);
            let recipients: Vec<QueueRecipient> = outgoing.recipients.iter().map(waiting).collect();
            let answers = recipients.iter().map(|_| Ok("250 2.1.5 in the outbox".to_owned())).collect();
            let facts = Arc::new(message::Facts::compute(&outgoing.octets));
            let eight_bit = !outgoing.octets.is_ascii();
            let smtputf8 = recipients.iter().any(|to| !to.address.is_ascii()) || !outgoing.reverse_path.is_ascii();
            let entry = NewQueueEntry {
                destination: "submission".into(),
                reverse_path: outgoing.reverse_path,
                recipients,
                account: Some(outgoing.account.id),
                due_secs,
                expires_secs: due_secs + EXPIRES_SECS,
                eight_bit,
                smtputf8,
                ret_headers: outgoing.ret_headers,
                envelope_id: outgoing.envelope_id,
                service: outgoing.service,
            };
            let acceptance = Acceptance {
                facts,
                body: Spooled::from_bytes(outgoing.octets),
                deliveries: Vec::new(),
                queue: vec![entry],
                trace: Vec::new(),
                idempotency: None,
            };
            let accepted = self.store.accept(acceptance).await.map_err(|error| {
                tracing::warn!(%error, "the outbox");
                mta::Refusal::temporary()
            })?;
            let id = accepted.queued.first().map(|id| id.0.to_string()).unwrap_or_default();
            Ok(Sent { id, queued: accepted.queued, recipients: answers })
        })
    }
}

fn waiting(to: &web::SendTo) -> QueueRecipient {
    QueueRecipient {
        address: to.address.clone(),
        original: to.original.clone(),
        notify: to.notify,
        state: RecipientState::Waiting,
        last_reply: String::new(),
        delay_told: false,
    }
}

/// A word for signing in, made for this run.
fn word() -> Result<Zeroizing<String>, String> {
    let mut chance = [0; 15];
    ring::rand::SecureRandom::fill(&SystemRandom::new(), &mut chance).map_err(|_| "no random octets")?;
    Ok(Zeroizing::new(data_encoding::BASE32_NOPAD.encode(&chance).to_ascii_lowercase()))
}

fn listener(text: &str) -> Result<Listener, String> {
    let address: ListenAddr = text.parse()?;
    if !address.is_loopback() || matches!(address, ListenAddr::Unix(_)) {
        return Err(format!("{text}: the browser program of `mail` listens on loopback only; `packetboat serve` is for others"));
    }
    Listener::bind(&address).map_err(|error| format!("{address}: {error}"))
}

/// Runs until it is interrupted.
pub(super) async fn run(arguments: &MailArgs, web: &WebArgs, json: bool, way: &Way) -> Result<Value, String> {
    let dir = data_dir(arguments.data.as_deref())?;
    let profiles = Profiles::read(&dir)?;
    profiles.find(None)?;
    let listener = listener(&web.listen)?;
    let store = open_store(&dir).await?;
    let (word, seal) = (word()?, Seal::new()?);
    let (mut keys, mut desks) = (Vec::new(), Vec::new());
    for profile in profiles.all() {
        let account = profile::account(&store, &profile.address).await?;
        let password = profile.password(&dir).ok().map(|secret| seal.of(secret.as_bytes()));
        let secrets = password.into_iter().chain([seal.of(word.as_bytes())]).collect();
        keys.push(Key { address: profile.address.clone(), identities: profile.identities(), secrets });
        desks.push(Desk::of((&dir, way), profile, &store, account));
    }
    let (stop, stopped) = watch::channel(false);
    let site = web::Web::start(settings(store.clone(), (seal, keys), profiles.all(), outside(way)?, stopped.clone()));
    announce(&listener, profiles.all(), &word, json, web.no_browser)?;
    let syncing: Vec<_> =
        desks.into_iter().filter(|_| !web.offline).map(|desk| tokio::spawn(keep_in_step(desk, stopped.clone()))).collect();
    serve(&listener, &site).await;
    let _ = stop.send(true);
    for task in syncing {
        let _ = tokio::time::timeout(Duration::from_secs(5), task).await;
    }
    drop(site);
    store.close().await.map_err(|error| error.to_string())?;
    Ok(json!({ "served": true }))
}

/// The way to the pictures of messages.
fn outside(way: &Way) -> Result<net::Outside, String> {
    let resolver = match &way.dns {
        Some(server) => net::Resolver::with_servers(vec![profile::dns_server(server)?]),
        None => net::Resolver::system(),
    };
    let resolver = resolver.map_err(|error| format!("DNS: {error}"))?;
    let verified = net::TlsClient::verified(None).map_err(|error| format!("TLS: {error}"))?;
    Ok(net::Outside::new(net::Network::System, resolver, verified, net::Reach::Public))
}

fn settings(
    store: Store,
    (seal, keys): (Seal, Vec<Key>),
    profiles: &[Profile],
    outside: net::Outside,
    shutdown: watch::Receiver<bool>,
) -> web::Settings {
    let domain = |profile: &Profile| profile.address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
    let doors = Arc::new(Doors { store: store.clone(), seal, keys });
    web::Settings {
        search: search::Searcher::new(store.clone()),
        store,
        doorkeeper: doors.clone(),
        pushes: outside.clone(),
        outside,
        sender: doors.clone(),
        wire: doors,
        boxes: Arc::new(crate::boxes::Boxes),
        // Mail is delivered by the provider.
        wishes: None,
        links: None,
        offered: Vec::new(),
        one_person: true,
        hostname: "localhost".into(),
        domains: profiles.iter().filter_map(domain).collect(),
        message_bytes_max: MESSAGE_BYTES_MAX,
        recipients_max: RECIPIENTS_MAX,
        plaintext: Plaintext::Loopback,
        strict_transport_secs: None,
        connection_max: web::CONNECTION_MAX,
        shutdown,
    }
}

/// Where it is, on standard output at once: whoever started it may be waiting for that line.
fn announce(listener: &Listener, profiles: &[Profile], word: &str, json: bool, no_browser: bool) -> Result<(), String> {
    let url = format!("http://{}/", listener.local());
    let addresses: Vec<&str> = profiles.iter().map(|profile| profile.address.as_str()).collect();
    let text = if json {
        json!({ "url": url, "addresses": addresses, "password": word }).to_string()
    } else {
        format!(
            "{url}\nSign in as {} with its password at the provider, or with this word: {word}\n(Ctrl-C ends)",
            addresses.join(" or ")
        )
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| error.to_string())?;
    if !no_browser && !json && std::io::stdout().is_terminal() {
        let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
        let quiet = || std::process::Stdio::null();
        // Without a desktop there is nobody to open it; the address is printed.
        let _ = std::process::Command::new(opener).arg(&url).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
    }
    Ok(())
}

async fn serve(listener: &Listener, site: &web::Web) {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok(incoming) => {
                    let (site, peer) = (site.clone(), incoming.peer().clone());
                    if let Some(stream) = incoming.into_tcp() {
                        tokio::spawn(async move { site.serve(stream, (peer, false), ()).await });
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "nobody can connect any more");
                    return;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Tells of trouble once, as long as it stays the same.
async fn keep_in_step(desk: Desk, stopped: watch::Receiver<bool>) {
    let (address, told) = (desk.profile.address.clone(), Mutex::new(String::new()));
    let tell = |step: Step<'_>| {
        if let Step::Trouble(why) = step {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if *told != why {
                eprintln!("packetboat: {address}: {why}");
                why.clone_into(&mut told);
            }
        }
    };
    step::keep(desk, stopped, Arc::default(), tell).await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn secret_checks_of_the_word_that_was_printed() {
        let seal = Seal::new().unwrap();
        let known = [seal.of(b"at the provider"), seal.of(b"the word")];
        crate::secret_checks::count("the word of `packetboat mail web`", &crate::secret_checks::three(b"the word"), |said| {
            seal.is_one_of(said, &known)
        });
    }

    #[test]
    fn a_secret_is_known_again_and_a_part_of_it_is_not() {
        let seal = Seal::new().unwrap();
        let known = [seal.of(b"at the provider"), seal.of(b"the word")];
        for (given, is) in [("at the provider", true), ("the word", true), ("the wor", false), ("the words", false), ("", false)]
        {
            assert_eq!(seal.is_one_of(given.as_bytes(), &known), is, "{given}");
        }
        assert!(!seal.is_one_of(b"the word", &[]) && !Seal::new().unwrap().is_one_of(b"the word", &known), "of another run");
    }
}

//! Who is there: passwords and SCRAM for every protocol, remembered logins, growing delays.
//!
//! argon2id, at most two at once; a verified password is remembered for minutes as a keyed hash in memory.
//! Invariant: an unknown login and a wrong password cannot be told apart, by text or by time.

mod decoy;
mod delay;
mod hashing;
mod remembered;
mod secrets;
pub mod sign_in;

pub use secrets::{secrets, secrets_for_many};
pub use sign_in::SignIn;

use decoy::Decoy;
use delay::Delays;
use net::clock::{monotonic, unix_now};
use remembered::Remembered;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use store::{Account, AccountId, ScramVerifier, Store, TraceEvent};
use tokio::sync::{OnceCell, Semaphore};
use zeroize::Zeroizing;

/// Password hashes computed at once: each takes 19 MB and a core.
const HASHES_AT_ONCE: usize = 2;
/// Sign-ins that may wait for a hash; one more is told to come back.
const WAITING_MAX: usize = 256;
/// A refusal does not leave before this, so that its time tells nothing (not on loopback).
const REFUSAL_MILLIS_MIN: u64 = 200;

/// The doorkeeper.
pub struct Auth {
    store: Store,
    sole_domain: Option<String>,
    remembered: Remembered,
    delays: Delays,
    hashing: Arc<Semaphore>,
    waiting: Semaphore,
    decoy: OnceCell<Decoy>,
}

/// Why somebody did not get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Unknown login or wrong password.
    Credentials,
    /// Right password, but the account is suspended.
    Suspended,
    /// Ours: try again later.
    Temporary,
}

impl Auth {
    /// `sole_domain`: lets a local part alone be a login name where one domain is served.
    pub fn new(store: Store, sole_domain: Option<String>) -> Auth {
        Auth {
            store,
            sole_domain,
            remembered: Remembered::new(),
            delays: Delays::default(),
            hashing: Arc::new(Semaphore::new(HASHES_AT_ONCE)),
            waiting: Semaphore::new(WAITING_MAX),
            decoy: OnceCell::new(),
        }
    }

    /// Checks a password. Waits as long as this (account, network) has earned; unproxied loopback never waits.
    ///
    /// `peer` is `None` for a Unix socket.
    pub async fn password(&self, login: &str, password: &[u8], peer: Option<IpAddr>) -> Result<Arc<Account>, Refused> {
        let name = self.name(login);
        self.wait(&name, peer).await?;
        let begun = tokio::time::Instant::now();
        let result = self.check(&name, password).await;
        self.settle(&name, peer, &result);
        if result.is_err() && !is_loopback(peer) {
            let least = Duration::from_millis(REFUSAL_MILLIS_MIN);
            tokio::time::sleep(least.saturating_sub(begun.elapsed())).await;
        }
        result
    }

    /// SCRAM: the account and verifier, or for an unknown login `None` and a verifier that never fits but always is the same.
    pub async fn scram(&self, login: &str, peer: Option<IpAddr>) -> Result<(Option<Arc<Account>>, ScramVerifier), Refused> {
        let name = self.name(login);
        self.wait(&name, peer).await?;
        let decoy = self.decoy.get_or_init(|| Decoy::new(&self.store)).await;
        let account = self.account(&name).await?;
        match account.as_ref().and_then(|account| account.secrets.scram.clone()) {
            Some(verifier) => Ok((account, verifier)),
            None => Ok((None, decoy.verifier(&name))),
        }
    }

    /// How a SCRAM exchange ended (for the delays); refuses a suspended account.
    pub async fn scram_done(
        &self,
        account: Option<Arc<Account>>,
        login: &str,
        proved: bool,
        peer: Option<IpAddr>,
    ) -> Result<Arc<Account>, Refused> {
        let result = match account.filter(|_| proved) {
            None => Err(Refused::Credentials),
            Some(account) => match self.store.account_by_id(account.id).await {
                Err(_) => Err(Refused::Temporary),
                Ok(Some(now)) if now.secrets == account.secrets || now.epoch == account.epoch => {
                    if now.suspended {
                        Err(Refused::Suspended)
                    } else {
                        Ok(now)
                    }
                }
                // Removed, or given another password, since the exchange began.
                Ok(_) => Err(Refused::Credentials),
            },
        };
        self.settle(&self.name(login), peer, &result);
        result
    }

    /// Writes a sign-in down in the trace: who came from where, or was refused. Never what was offered as a password.
    fn note(&self, protocol: &str, login: &str, peer: Option<IpAddr>, result: &Result<Arc<Account>, Refused>) {
        let from = peer.map_or_else(|| "this machine".to_owned(), |ip| ip.to_canonical().to_string());
        let ip = peer.map(|ip| ip.to_canonical().to_string()).unwrap_or_default();
        let event = match result {
            Ok(account) => {
                let detail = format!("{} by {protocol} from {from}", account.address);
                TraceEvent::new(unix_now(), "signed-in", detail).of(account.id)
            }
            Err(Refused::Temporary) => return,
            Err(refused) => {
                // What is no address here may be a password typed in the wrong place.
                let name = self.name(login);
                let name = if name.contains('@') && !name.contains(char::is_whitespace) { name } else { String::new() };
                let detail = format!("<{name}> by {protocol} from {from}: {refused:?}");
                TraceEvent::new(unix_now(), "sign-in-refused", detail).key("address", name)
            }
        };
        self.store.trace(vec![event.key("ip", ip)]);
    }

    /// Forgets remembered logins of an account.
    pub fn forget(&self, account: AccountId) {
        self.remembered.forget(account);
    }

    /// Is this sign-in still good? (not suspended, removed, or given a new password since)
    pub async fn still_good(&self, account: &Account) -> bool {
        match self.store.account_by_id(account.id).await {
            Ok(Some(now)) => now.epoch == account.epoch && !now.suspended,
            Ok(None) => false,
            // Trouble of ours is no reason to throw people out.
            Err(_) => true,
        }
    }

    /// The address a login name stands for.
    fn name(&self, login: &str) -> String {
        match &self.sole_domain {
            Some(domain) if !login.contains('@') => format!("{}@{domain}", login.to_lowercase()),
            _ => login.to_lowercase(),
        }
    }

    async fn account(&self, name: &str) -> Result<Option<Arc<Account>>, Refused> {
        if !name.contains('@') {
            return Ok(None);
        }
        self.store.account(name).await.map_err(|_| Refused::Temporary)
    }

    async fn wait(&self, name: &str, peer: Option<IpAddr>) -> Result<(), Refused> {
        if is_loopback(peer) {
            return Ok(());
        }
        let pause = self.delays.reserve(name, peer, monotonic()).ok_or(Refused::Temporary)?;
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// What the outcome does to the delays; trouble of ours does nothing.
    fn settle(&self, name: &str, peer: Option<IpAddr>, result: &Result<Arc<Account>, Refused>) {
        match result {
            Ok(_) | Err(Refused::Suspended) => self.delays.succeeded(name, peer, monotonic()),
            Err(Refused::Credentials) if !is_loopback(peer) => self.delays.failed(name, peer, monotonic()),
            Err(_) => {}
        }
    }

    fn knows(&self, account: &Account, password: &[u8]) -> bool {
        self.remembered.knows(account.id, account.epoch, password, monotonic())
    }

    async fn check(&self, name: &str, password: &[u8]) -> Result<Arc<Account>, Refused> {
        let account = self.account(name).await?;
        let right = match &account {
            Some(account) if self.knows(account, password) => true,
            _ => {
                let _place = self.waiting.try_acquire().map_err(|_| Refused::Temporary)?;
                let permit = Arc::clone(&self.hashing).acquire_owned().await.map_err(|_| Refused::Temporary)?;
                // A program that opens five connections at once waits for one hash, not five.
                match &account {
                    Some(account) if self.knows(account, password) => true,
                    _ => verify(account.clone(), password, permit).await?,
                }
            }
        };
        match account {
            Some(account) if right => {
                self.remembered.remember(account.id, account.epoch, password, monotonic());
                if secrets::are_weak(&account.secrets) {
                    self.strengthen(Arc::clone(&account), password);
                }
                if account.suspended { Err(Refused::Suspended) } else { Ok(account) }
            }
            _ => Err(Refused::Credentials),
        }
    }
}

impl Auth {
    /// Gives an account made in bulk its full verifiers, beside the sign-in that proved the password. Failing is no
    /// harm: the next sign-in tries again.
    fn strengthen(&self, account: Arc<Account>, password: &[u8]) {
        let (store, hashing) = (self.store.clone(), Arc::clone(&self.hashing));
        let password = Zeroizing::new(password.to_vec());
        tokio::spawn(async move {
            let Ok(permit) = hashing.acquire_owned().await else { return };
            let work = move || {
                let _permit = permit;
                secrets::secrets(&password, None)
            };
            if let Ok(Ok(stronger)) = tokio::task::spawn_blocking(work).await
                && let Err(error) = store.account_strengthen(account.id, &account.secrets, stronger).await
            {
                tracing::warn!(account = %account.address, %error, "the full verifiers were not kept");
            }
        });
    }
}

/// Off the async threads; without an account the same work is done for nothing.
async fn verify(
    account: Option<Arc<Account>>,
    password: &[u8],
    permit: tokio::sync::OwnedSemaphorePermit,
) -> Result<bool, Refused> {
    let password = Zeroizing::new(password.to_vec());
    let work = move || {
        let _permit = permit;
        match account {
            Some(account) => secrets::verify(&account.secrets, &password),
            None => secrets::verify_nobody(&password),
        }
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| Refused::Temporary)
}

/// A Unix socket counts as loopback.
fn is_loopback(peer: Option<IpAddr>) -> bool {
    peer.is_none_or(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests;

//! Who is there: passwords and SCRAM for every protocol, remembered logins, growing delays.
//!
//! argon2id, at most two at once; a verified password is remembered for minutes as a keyed hash in memory.
//! Invariant: an unknown login and a wrong password cannot be told apart, by text or by time.

mod app_password;
mod decoy;
mod delay;
mod hashing;
pub mod mechanisms;
mod oauth;
mod remembered;
mod secrets;
pub mod sign_in;

pub use app_password::{is_app_password, new_app_password, secrets_with_salt};
pub use mechanisms::MechanismOffer;
pub use oauth::{OAuth, OAuthSettings};
pub use secrets::{secrets, secrets_for_many};
pub use sign_in::{Client, SignIn};

use decoy::Decoy;
use delay::Delays;
use net::clock::{monotonic, unix_now};
use remembered::Remembered;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use store::{Account, AccountId, ScramVerifier, Store, StoreError, TraceEvent};
use tokio::sync::{OnceCell, Semaphore};
use wire::sasl::ScramKeys;
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
    /// One at a time: what a sign-in does for later ones never stands before another's.
    strengthening: Arc<Semaphore>,
    waiting: Semaphore,
    decoy: OnceCell<Decoy>,
    oauth: Option<OAuth>,
    mechanisms: Vec<MechanismOffer>,
    second_factor: Option<SecondFactor>,
}

/// Tells whether an account's owner signs in with a second factor.
pub type SecondFactor = Arc<dyn Fn(AccountId) -> Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send>> + Send + Sync>;

/// Why somebody did not get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Unknown login or wrong password.
    Credentials,
    /// Right password, but the account is suspended.
    Suspended,
    /// Right password, but it has a second factor: a program needs a password of its own.
    ProgramPassword,
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
            strengthening: Arc::new(Semaphore::new(1)),
            waiting: Semaphore::new(WAITING_MAX),
            decoy: OnceCell::new(),
            oauth: None,
            mechanisms: mechanisms::usual(),
            second_factor: None,
        }
    }

    /// Where an account has a second factor, programs sign in with passwords of their own only: they cannot send a code.
    #[must_use]
    pub fn with_second_factor(self, second_factor: SecondFactor) -> Auth {
        Auth { second_factor: Some(second_factor), ..self }
    }

    async fn has_second_factor(&self, account: &Account) -> Result<bool, Refused> {
        match &self.second_factor {
            Some(asks) => asks(account.id).await.map_err(|_| Refused::Temporary),
            None => Ok(false),
        }
    }

    /// A program's sign-in: as [`Auth::password`], but where there is a second factor the owner's password is not enough.
    pub async fn program_password(&self, login: &str, password: &[u8], peer: Option<IpAddr>) -> Result<Arc<Account>, Refused> {
        let account = self.password(login, password, peer).await?;
        if !app_password::is_app_password(&account, password) && self.has_second_factor(&account).await? {
            return Err(Refused::ProgramPassword);
        }
        Ok(account)
    }

    /// Offers these mechanisms.
    #[must_use]
    pub fn with_mechanisms(self, mechanisms: Vec<MechanismOffer>) -> Auth {
        Auth { mechanisms, ..self }
    }

    /// The mechanisms of a listener, named as under `[listen]`.
    pub fn mechanisms(&self, listener: &str) -> Vec<wire::sasl::Mechanism> {
        mechanisms::on_listener(&self.mechanisms, listener, self.oauth.is_some())
    }

    /// Takes tokens of an OAuth 2 server too.
    #[must_use]
    pub fn with_oauth(self, oauth: Option<OAuth>) -> Auth {
        Auth { oauth, ..self }
    }

    /// Where the token server describes itself.
    pub fn discovery(&self) -> Option<String> {
        self.oauth.as_ref().and_then(OAuth::discovery)
    }

    /// Forgets what delays somebody has earned: of a login, of a network, or (neither) of all.
    pub fn unblock(&self, login: Option<&str>, network: Option<IpAddr>) -> usize {
        self.delays.forget(login.map(|login| self.name(login)).as_deref(), network)
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
    /// Beside it the keys of app passwords that go with the same salt and rounds.
    pub async fn scram(
        &self,
        login: &str,
        peer: Option<IpAddr>,
    ) -> Result<(Option<Arc<Account>>, ScramVerifier, Vec<ScramKeys>), Refused> {
        let name = self.name(login);
        self.wait(&name, peer).await?;
        let decoy = self.decoy.get_or_init(|| Decoy::new(&self.store)).await;
        let account = self.account(&name).await?;
        match account.as_ref().and_then(|account| account.secrets.scram.clone()) {
            Some(verifier) => {
                let also = account.as_deref().map(|account| app_password::keys(account, &verifier)).unwrap_or_default();
                let shut = match account.as_deref() {
                    Some(account) => self.has_second_factor(account).await?,
                    None => false,
                };
                // The salt is the account's, for app passwords; nothing fits its owner's any more.
                let keys = if shut { decoy.verifier(&name) } else { verifier.clone() };
                let verifier = ScramVerifier { stored_key: keys.stored_key, server_key: keys.server_key, ..verifier };
                Ok((account, verifier, also))
            }
            None => Ok((None, decoy.verifier(&name), Vec::new())),
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

    /// A bearer token: one of the configured token server's, or an app password of ours. `login`: whom it is said to be.
    pub async fn token(&self, login: Option<&str>, token: &[u8], peer: Option<IpAddr>) -> Result<Arc<Account>, Refused> {
        let asked = login.map(|login| self.name(login));
        let delayed = asked.clone().unwrap_or_default();
        self.wait(&delayed, peer).await?;
        let result = self.check_token(asked.as_deref(), token).await;
        self.settle(&delayed, peer, &result);
        result
    }

    async fn check_token(&self, asked: Option<&str>, token: &[u8]) -> Result<Arc<Account>, Refused> {
        if let Some(account) = self.account(asked.unwrap_or_default()).await?
            && app_password::is_app_password(&account, token)
        {
            return not_suspended(account);
        }
        let Some(oauth) = &self.oauth else { return Err(Refused::Credentials) };
        let whose = oauth.whose(token).await?;
        let whose = self.name(&whose);
        if asked.is_some_and(|asked| asked != whose) {
            tracing::info!(whose, asked, "a token of somebody else was shown");
            return Err(Refused::Credentials);
        }
        not_suspended(self.account(&whose).await?.ok_or(Refused::Credentials)?)
    }

    /// EXTERNAL: `names` are those the client's certificate speaks for.
    pub async fn certificate(
        &self,
        login: Option<&str>,
        names: &[String],
        peer: Option<IpAddr>,
    ) -> Result<Arc<Account>, Refused> {
        let wanted = match (login, names) {
            (Some(login), _) => self.name(login),
            // Without a word about it the certificate must leave no choice.
            (None, [only]) => only.clone(),
            (None, _) => return Err(Refused::Credentials),
        };
        self.wait(&wanted, peer).await?;
        let account = if names.contains(&wanted) { self.account(&wanted).await? } else { None };
        let result = account.ok_or(Refused::Credentials).and_then(not_suspended);
        self.settle(&wanted, peer, &result);
        result
    }

    /// Hashes a new password when its turn comes, off the threads that serve connections: such hashes are among those that are
    /// computed at once.
    ///
    /// # Errors
    /// What `work` says; or too many wait.
    pub async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let busy = || "Too many passwords wait to be checked. Try again later.".to_owned();
        let _place = self.waiting.try_acquire().map_err(|_| busy())?;
        let permit = Arc::clone(&self.hashing).acquire_owned().await.map_err(|_| busy())?;
        let work = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| "something failed on our side".to_owned())?
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
    pub(crate) fn name(&self, login: &str) -> String {
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
            Ok(_) | Err(Refused::Suspended | Refused::ProgramPassword) => self.delays.succeeded(name, peer, monotonic()),
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
            // Long and random: no slow hash is needed, and none is computed.
            Some(account) if app_password::is_app_password(account, password) => return not_suspended(Arc::clone(account)),
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
                not_suspended(account)
            }
            _ => Err(Refused::Credentials),
        }
    }
}

impl Auth {
    /// Gives an account made in bulk its full verifiers, beside the sign-in that proved the password. Failing is no
    /// harm, nor is it that another account is at it: the next sign-in tries again.
    fn strengthen(&self, account: Arc<Account>, password: &[u8]) {
        let Ok(alone) = Arc::clone(&self.strengthening).try_acquire_owned() else { return };
        let (store, hashing) = (self.store.clone(), Arc::clone(&self.hashing));
        let password = Zeroizing::new(password.to_vec());
        let salt = account.secrets.scram.as_ref().map(|scram| scram.salt.clone());
        tokio::spawn(async move {
            let _alone = alone;
            let Ok(permit) = hashing.acquire_owned().await else { return };
            let work = move || {
                let _permit = permit;
                // The salt stays: app passwords go with it.
                app_password::secrets_with_salt(&password, salt.as_deref())
            };
            if let Ok(Ok(stronger)) = tokio::task::spawn_blocking(work).await
                && let Err(error) = store.account_strengthen(account.id, &account.secrets, stronger).await
            {
                tracing::warn!(account = %account.address, %error, "the full verifiers were not kept");
            }
        });
    }
}

fn not_suspended(account: Arc<Account>) -> Result<Arc<Account>, Refused> {
    if account.suspended { Err(Refused::Suspended) } else { Ok(account) }
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

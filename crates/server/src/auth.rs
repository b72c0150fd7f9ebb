//! Who is there: passwords and SCRAM for every protocol, remembered logins, growing delays.
//!
//! argon2id, at most two at once; a verified password is remembered for minutes as a keyed hash in memory.
//! Invariant: an unknown login and a wrong password cannot be told apart, by text or by time.

pub mod sign_in;

pub use sign_in::SignIn;

use std::net::IpAddr;
use std::sync::Arc;
use store::{Account, AccountId, ScramVerifier, Secrets, Store};

/// The doorkeeper.
pub struct Auth {
    _private: (),
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

#[allow(unused_variables, clippy::todo)]
impl Auth {
    /// `sole_domain`: lets a local part alone be a login name where one domain is served.
    pub fn new(store: Store, sole_domain: Option<String>) -> Auth { todo!() }
    /// Checks a password. Waits as long as this (account, network) has earned; unproxied loopback never waits.
    pub async fn password(&self, login: &str, password: &[u8], peer: Option<IpAddr>) -> Result<Arc<Account>, Refused> { todo!() }
    /// SCRAM: the account and verifier, or for an unknown login `None` and a verifier that never fits but always is the same.
    pub async fn scram(&self, login: &str, peer: Option<IpAddr>) -> Result<(Option<Arc<Account>>, ScramVerifier), Refused> { todo!() }
    /// How a SCRAM exchange ended (for the delays); refuses a suspended account.
    pub async fn scram_done(&self, account: Option<Arc<Account>>, login: &str, proved: bool, peer: Option<IpAddr>) -> Result<Arc<Account>, Refused> { todo!() }
    /// Forgets remembered logins of an account.
    pub fn forget(&self, account: AccountId) { todo!() }
    /// Is this sign-in still good? (not suspended, removed, or given a new password since)
    pub async fn still_good(&self, account: &Account) -> bool { todo!() }
}

/// Verifiers for a new password (slow on purpose; call it off the async threads).
#[allow(unused_variables, clippy::todo)]
pub fn secrets(password: &[u8], salt_seed: Option<[u8; 32]>) -> Result<Secrets, String> { todo!() }

//! A server of one's own choice instead of MX: a smarthost (perhaps by domain), or a mailbox server behind this one by LMTP.
//!
//! Invariant: its trouble is never permanent, for it is our own configuration; a password goes over verified TLS only.
//! Must not know: which message wants to go.

use super::connect::{Open, addresses, begin, config, dial, open_opportunistic, resolved};
use super::{Outbound, Relay, RelayTls};
use mta::queue::{Outcome, Verdict};
use net::Connection;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use tokio::time::Instant;
use wire::sasl::Secret;
use wire::sasl::client::Credentials;
use wire::smtp::client::{Config, StartTls};
use zeroize::Zeroizing;

/// A token, or why there is none.
pub type Token = Pin<Box<dyn Future<Output = Result<Zeroizing<Vec<u8>>, String>> + Send>>;

/// What one signs in with at such a server.
#[derive(Clone)]
pub enum RelayProof {
    /// Read once, at the start.
    Password(Zeroizing<Vec<u8>>),
    /// Asked for at each connection: it does not live long (OAuth 2.0).
    Token(Arc<dyn Fn() -> Token + Send + Sync>),
}

impl fmt::Debug for RelayProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayProof(..)")
    }
}

impl From<Vec<u8>> for RelayProof {
    fn from(password: Vec<u8>) -> RelayProof {
        RelayProof::Password(password.into())
    }
}

impl RelayProof {
    async fn secret(&self, host: &str) -> Result<Secret, Outcome> {
        match self {
            RelayProof::Password(password) => Ok(Secret::new(password.to_vec())),
            RelayProof::Token(ask) => match ask().await {
                Ok(token) => Ok(Secret::token(token.to_vec())),
                Err(why) => Err(Outcome::deferred((4, 7, 0), format!("No token to sign in at {host} with: {why}"))),
            },
        }
    }
}

/// A connection to it, or why there is none.
pub(super) async fn open(outbound: &Outbound, relay: &Relay) -> Result<Open, Outcome> {
    let opened = match &relay.socket {
        Some(path) => open_socket(outbound, relay, path).await,
        None => open_host(outbound, relay).await,
    };
    opened.map_err(|mut outcome| {
        // One that refuses us altogether is a matter of settings, not of the message.
        if outcome.verdict == Verdict::Failed {
            outcome.verdict = Verdict::Deferred;
            outcome.status = (4, 7, 0);
        }
        tracing::warn!(host = relay.name(), said = %outcome.reply_line(), "the smarthost cannot be used");
        outcome
    })
}

async fn open_socket(outbound: &Outbound, relay: &Relay, path: &Path) -> Result<Open, Outcome> {
    let dialled = Connection::dial_unix(path, outbound.settings.connect_limit).await;
    let connection =
        dialled.map_err(|error| Outcome::deferred((4, 4, 1), format!("No connection to {}: {error}", path.display())))?;
    let config = Config { lmtp: relay.lmtp, ..config(outbound, StartTls::Never) };
    begin(connection, &relay.name(), None, config).await.map_err(|trouble| trouble.outcome)
}

async fn open_host(outbound: &Outbound, relay: &Relay) -> Result<Open, Outcome> {
    let mut last = Outcome::deferred((4, 4, 4), format!("{} has no address", relay.host));
    // The ways of a trial are for its own mail.
    let found = match relay.reach {
        Some(_) => resolved(outbound, &relay.host, relay.port).await?,
        None => addresses(outbound, &relay.host, relay.port).await?,
    };
    for address in found.0 {
        if !relay.reach.is_none_or(|reach| reach.admits(address.ip())) {
            last = Outcome::deferred((4, 4, 4), format!("The address of {} may not be reached from here", relay.host));
            continue;
        }
        let opened = match relay.tls {
            RelayTls::Opportunistic => {
                open_opportunistic(outbound, &relay.host, address, relay.lmtp).await.map_err(|trouble| trouble.outcome)
            }
            _ => open_address(outbound, relay, address).await,
        };
        match opened {
            Ok(open) => return Ok(open),
            Err(outcome) => last = outcome,
        }
    }
    Err(last)
}

async fn open_address(outbound: &Outbound, relay: &Relay, address: SocketAddr) -> Result<Open, Outcome> {
    let needs_tls = relay.tls != RelayTls::None;
    let here = relay.reach.is_some() && address.ip().to_canonical().is_loopback();
    let client = if here { &outbound.opportunistic } else { &outbound.verified };
    let verified = client.as_ref().filter(|_| needs_tls);
    if needs_tls && verified.is_none() {
        return Err(Outcome::deferred((4, 7, 5), "TLS for the smarthost is not available"));
    }
    let starttls = match relay.tls {
        RelayTls::Starttls if here => StartTls::IfOffered,
        RelayTls::Starttls => StartTls::Require,
        _ => StartTls::Never,
    };
    let mut config = Config { lmtp: relay.lmtp, plaintext_auth: here, ..config(outbound, starttls) };
    if let (Some(login), Some(proof)) = (&relay.username, &relay.password) {
        config.credentials = Some(Credentials { login: login.clone(), password: proof.secret(&relay.host).await? });
    }
    let connection = match (relay.tls, verified) {
        (RelayTls::Tls, Some(tls)) => {
            config.tls = true;
            let until = Instant::now() + outbound.settings.connect_limit;
            let connection = dial(outbound, &relay.host, address).await?;
            connection.tls_first(tls, &relay.host, until).await.map_err(|error| {
                Outcome::deferred((4, 4, 1), format!("No TLS connection to {} [{}]: {error}", relay.host, address.ip()))
            })?
        }
        _ => dial(outbound, &relay.host, address).await?,
    };
    begin(connection, &relay.host, verified, config).await.map_err(|trouble| trouble.outcome)
}

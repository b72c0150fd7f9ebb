//! Browser sessions: an opaque random cookie, of which only a hash is kept, in the account's records.
//!
//! Durable, listed, revocable. Invariant: a session ends with the account's epoch (new password, suspension, removal), with
//! its time, or when it is revoked. Must not know: HTTP beyond the cookie.

use crate::collections::SESSIONS as COLLECTION;
use crate::limits::*;
use axum::http::{HeaderMap, header};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::sync::Arc;
use store::{Account, AccountId, Store, StoreError, UnixSecs};

/// The cookie's name under TLS. No page of another host of our domain, and nobody on the way, can put one of this name here
/// and so nobody signs a visitor in to an account of his own.
const COOKIE: &str = "__Host-packetboat";
/// Without TLS browsers take none of that name.
const COOKIE_WITHOUT_TLS: &str = "packetboat";

fn cookie_name(https: bool) -> &'static str {
    if https { COOKIE } else { COOKIE_WITHOUT_TLS }
}
/// Random octets in a cookie.
const TOKEN_BYTES: usize = 32;

/// See the module. Holds nothing in memory: the store is asked each time.
#[derive(Default)]
pub(crate) struct Sessions {}

/// One session, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) created_secs: UnixSecs,
    pub(crate) used_secs: UnixSecs,
    pub(crate) epoch: u64,
    pub(crate) user_agent: String,
    pub(crate) address: String,
}

impl Session {
    fn encode(&self) -> Vec<u8> {
        let value = json!({
            "created": self.created_secs, "used": self.used_secs, "epoch": self.epoch, "agent": self.user_agent, "from": self.address,
        });
        value.to_string().into_bytes()
    }

    fn decode(name: &str, stored: &[u8]) -> Option<Session> {
        let value: Value = serde_json::from_slice(stored).ok()?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Session {
            name: name.to_owned(),
            created_secs: value.get("created")?.as_i64()?,
            used_secs: value.get("used")?.as_i64()?,
            epoch: value.get("epoch")?.as_u64()?,
            user_agent: text("agent"),
            address: text("from"),
        })
    }

    fn is_over(&self, now_secs: UnixSecs) -> bool {
        now_secs - self.used_secs > SESSION_IDLE_SECS + SESSION_NOTED_SECS || now_secs - self.created_secs > SESSION_SECS_MAX
    }
}

/// The value of our cookie in a request.
pub(crate) fn cookie_of(headers: &HeaderMap, https: bool) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|all| all.split(';'))
        .filter_map(|one| one.trim().split_once('='))
        .find(|(name, _)| *name == cookie_name(https))
        .map(|(_, value)| value)
}

/// `Set-Cookie` for a token; an empty one takes it away.
pub(crate) fn set_cookie(token: &str, https: bool) -> String {
    let age = if token.is_empty() { 0 } else { SESSION_IDLE_SECS };
    let (name, secure) = (cookie_name(https), if https { "; Secure" } else { "" });
    format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}")
}

/// The account and the session's name that a cookie stands for.
fn parts(cookie: &str) -> Option<(AccountId, SmolStr)> {
    let (account, token) = cookie.split_once('.')?;
    let account = AccountId(u32::from_str_radix(account, 16).ok()?);
    let octets = data_encoding::BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
    (octets.len() == TOKEN_BYTES).then(|| (account, name_of(&octets)))
}

/// Only this is kept: who reads the store can use no session.
fn name_of(token: &[u8]) -> SmolStr {
    let hash = blake3::derive_key("packetboat 2026 browser session", token);
    // Base32hex in lower case.
    SmolStr::from(data_encoding::BASE32_DNSSEC.encode(hash.get(..20).unwrap_or(&hash)))
}

impl Sessions {
    /// A new session's cookie.
    pub(crate) async fn begin(
        &self,
        store: &Store,
        account: &Account,
        (user_agent, address): (&str, String),
        now_secs: UnixSecs,
    ) -> Result<String, StoreError> {
        let mut token = [0u8; TOKEN_BYTES];
        SystemRandom::new().fill(&mut token).map_err(|_| StoreError::Io("no randomness".into()))?;
        let end = user_agent.floor_char_boundary(USER_AGENT_BYTES_MAX);
        let user_agent = user_agent.get(..end).unwrap_or_default().to_owned();
        let name = name_of(&token);
        let epoch = account.epoch;
        let session = Session { name: name.to_string(), created_secs: now_secs, used_secs: now_secs, epoch, user_agent, address };
        let mut changes = vec![(COLLECTION, name, Some(session.encode()))];
        changes.extend(self.surplus(store, account.id, now_secs).await?.into_iter().map(|name| (COLLECTION, name.into(), None)));
        store.records_change(account.id, &changes).await?;
        Ok(format!("{:x}.{}", account.id.0, data_encoding::BASE64URL_NOPAD.encode(&token)))
    }

    /// Those that are over, and of too many the longest unused.
    async fn surplus(&self, store: &Store, account: AccountId, now_secs: UnixSecs) -> Result<Vec<String>, StoreError> {
        let mut all = self.list(store, account).await?;
        all.sort_by_key(|session| (session.is_over(now_secs), -session.used_secs));
        let gone = all.into_iter().enumerate().filter(|(at, session)| *at + 1 >= SESSIONS_MAX || session.is_over(now_secs));
        Ok(gone.map(|(_, session)| session.name).collect())
    }

    /// Whose cookie is it? `None`: nobody's any more.
    pub(crate) async fn find(
        &self,
        store: &Store,
        cookie: &str,
        now_secs: UnixSecs,
    ) -> Result<Option<(Arc<Account>, String)>, StoreError> {
        let Some((id, name)) = parts(cookie) else { return Ok(None) };
        let Some(account) = store.account_by_id(id).await? else { return Ok(None) };
        let Some(stored) = store.record(id, COLLECTION, &name).await? else { return Ok(None) };
        let Some(mut session) = Session::decode(&name, &stored) else { return Ok(None) };
        if session.is_over(now_secs) || session.epoch != account.epoch || account.suspended {
            return Ok(None);
        }
        if now_secs - session.used_secs > SESSION_NOTED_SECS {
            session.used_secs = now_secs;
            store.records_change(id, &[(COLLECTION, name, Some(session.encode()))]).await?;
        }
        Ok(Some((account, session.name)))
    }

    /// Has it not been ended?
    pub(crate) async fn is_there(&self, store: &Store, account: AccountId, name: &str) -> bool {
        // Trouble of ours is no reason to throw people out.
        store.record(account, COLLECTION, name).await.map_or(true, |found| found.is_some())
    }

    /// All of an account.
    pub(crate) async fn list(&self, store: &Store, account: AccountId) -> Result<Vec<Session>, StoreError> {
        let all = store.records(account, COLLECTION).await?;
        Ok(all.iter().filter_map(|(name, stored)| Session::decode(name, stored)).collect())
    }

    /// Ends one.
    pub(crate) async fn end(&self, store: &Store, account: AccountId, name: &str) -> Result<(), StoreError> {
        store.records_change(account, &[(COLLECTION, name.into(), None)]).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What the store is asked for is a hash of what was said: where that is looked for, nothing said can be come near to.
    #[test]
    fn secret_checks_of_a_cookie() {
        let right = name_of(&[7; TOKEN_BYTES]);
        let said = crate::secret_checks::three(&[7; TOKEN_BYTES])
            .map(|token| format!("a.{}", data_encoding::BASE64URL_NOPAD.encode(&token)));
        crate::secret_checks::count("a session's cookie", &said, |said| {
            let found = parts(std::str::from_utf8(said).unwrap());
            found.is_some_and(|(_, name)| ::wire::sasl::same(name.as_bytes(), right.as_bytes()))
        });
    }
}

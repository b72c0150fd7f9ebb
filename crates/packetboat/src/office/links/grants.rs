//! Signing in elsewhere with tokens (OAuth 2.0): by a code that the link's owner types at the provider, with a registration of
//! their own; and fresh tokens for as long as the provider gives them.
//!
//! Invariant: a grant opens for its account only; what is kept of it is sealed as a password is, together with the client's
//! secret; a renewal is never cut short, for the provider may take the old token back with it. Must not know: HTTP.

use super::kept::Kept;
use super::{DISCOVER_MAX, Key, Links, TEXT_BYTES_MAX, secret};
use client::oauth::{self, Device, Registered, Server, Tokens};
use client::{Place, Secret, Trouble};
use serde::{Deserialize, Serialize};
use server::context::unix_now;
use server::outbound::{RelayProof, Token};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{AccountId, UnixSecs};
use tokio::task::AbortHandle;
use web::{Grant, GrantState, Proof, WantedGrant};
use zeroize::Zeroizing;

/// Sign-ins of one account that wait for a code or for their use; the oldest gives way.
const GRANTS_OF_ONE_MAX: usize = 5;
/// Of all accounts together.
const GRANTS_MAX: usize = 1_000;
/// A sign-in that nobody uses is forgotten after so long.
const GRANT_SECS: UnixSecs = 1_800;

/// What is kept of a sign-in.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Signed {
    tokens: Tokens,
    /// For the next one.
    server: Server,
}

impl Signed {
    fn read(text: &str) -> Result<Signed, Trouble> {
        serde_json::from_str(text).map_err(|_| Trouble::Here("the tokens that were kept cannot be read: sign in again".into()))
    }

    pub(super) fn written(&self) -> Result<Zeroizing<String>, Trouble> {
        serde_json::to_string(self).map(Zeroizing::new).map_err(|error| Trouble::Here(error.to_string()))
    }
}

struct Asked {
    account: AccountId,
    since_secs: UnixSecs,
    outcome: Option<Result<Signed, String>>,
    task: Option<AbortHandle>,
}

/// Sign-ins under way, and those that nothing was done with yet.
#[derive(Default)]
pub(super) struct Grants(Mutex<HashMap<String, Asked>>);

impl Grants {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, id: &str, account: AccountId, now_secs: UnixSecs) {
        let mut all = self.all();
        let asked = Asked { account, since_secs: now_secs, outcome: None, task: None };
        let mut gone: Vec<String> = Vec::new();
        for (of_one, most) in [(true, GRANTS_OF_ONE_MAX), (false, GRANTS_MAX)] {
            let counted = all.iter().filter(|(_, one)| !of_one || one.account == account);
            let mut ages: Vec<(UnixSecs, String)> = counted.map(|(id, one)| (one.since_secs, id.clone())).collect();
            ages.sort();
            let surplus = (ages.len() + 1).saturating_sub(most);
            gone.extend(ages.into_iter().take(surplus).map(|(_, id)| id));
        }
        let old = all.iter().filter(|(_, one)| now_secs - one.since_secs > GRANT_SECS).map(|(id, _)| id.clone());
        gone.extend(old.collect::<Vec<_>>());
        for id in gone {
            end(all.remove(&id));
        }
        all.insert(id.to_owned(), asked);
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Asked)) {
        if let Some(asked) = self.all().get_mut(id) {
            change(asked);
        }
    }

    pub(super) fn state(&self, account: AccountId, id: &str) -> Option<GrantState> {
        let all = self.all();
        let asked = all.get(id).filter(|asked| asked.account == account)?;
        Some(match &asked.outcome {
            None => GrantState::Waiting,
            Some(Ok(_)) => GrantState::Granted,
            Some(Err(why)) => GrantState::Refused(why.clone()),
        })
    }

    fn signed(&self, account: AccountId, id: &str) -> Result<Signed, String> {
        let all = self.all();
        match all.get(id).filter(|asked| asked.account == account).map(|asked| &asked.outcome) {
            Some(Some(Ok(signed))) => Ok(signed.clone()),
            Some(Some(Err(why))) => Err(why.clone()),
            Some(None) => Err("Nobody has typed the code yet.".into()),
            None => Err("That sign-in is over. Begin anew.".into()),
        }
    }

    fn forget(&self, account: AccountId, id: &str) {
        let mut all = self.all();
        if all.get(id).is_some_and(|asked| asked.account == account) {
            end(all.remove(id));
        }
    }
}

fn end(asked: Option<Asked>) {
    if let Some(task) = asked.and_then(|asked| asked.task) {
        task.abort();
    }
}

impl Links {
    /// Asks the provider for a code, and then goes on asking whether it was typed.
    pub(super) async fn begun(&self, account: AccountId, wanted: WantedGrant) -> Result<Grant, String> {
        let asking = async {
            let (server, registered) = self.provider(account, wanted).await?;
            let device = oauth::ask_device(&self.dialer, &server, &registered).await.map_err(|error| error.to_string())?;
            Ok::<_, String>((server, registered, device))
        };
        let late = |_| "the provider took too long".to_owned();
        let (server, registered, device) = tokio::time::timeout(DISCOVER_MAX, asking).await.map_err(late)??;
        let (id, now_secs) = (super::chance()?, unix_now());
        let until_secs = now_secs + UnixSecs::try_from(device.lives.as_secs()).unwrap_or(0);
        let told = Grant { id: id.clone(), page: device.page.clone(), code: device.code.clone(), until_secs };
        self.grants.add(&id, account, now_secs);
        let task = tokio::spawn(self.me()?.waited(id.clone(), server, registered, device));
        self.grants.change(&id, |asked| asked.task = Some(task.abort_handle()));
        Ok(told)
    }

    async fn waited(self: Arc<Links>, id: String, server: Server, registered: Registered, device: Device) {
        let mut shutdown = self.shutdown.clone();
        let outcome = tokio::select! {
            outcome = oauth::wait_device(&self.dialer, &server, &registered, &device) => outcome,
            _ = shutdown.wait_for(|down| *down) => return,
        };
        let outcome = outcome.map(|tokens| Signed { tokens, server }).map_err(|error| error.to_string());
        self.grants.change(&id, |asked| asked.outcome = Some(outcome));
    }

    /// Whom to ask, as whom.
    async fn provider(&self, account: AccountId, wanted: WantedGrant) -> Result<(Server, Registered), String> {
        let told = |error: Trouble| error.to_string();
        let (address, url, client_id, client_secret, said) = match wanted {
            WantedGrant::New { address, server, client_id, client_secret, provider } => {
                (address, server, client_id, client_secret, provider)
            }
            WantedGrant::Again(link) => {
                let key = (account, link);
                let kept = self.kept(&key).await.map_err(told)?.filter(|kept| kept.by_token).ok_or("There is no such link.")?;
                let Signed { tokens, server } =
                    Signed::read(&self.seal.open(account, &key.1, &kept).map_err(told)?).map_err(told)?;
                return Ok((server, Registered { client_id: tokens.client_id, client_secret: tokens.client_secret }));
            }
        };
        let secret = client_secret.as_deref().map(String::as_str).unwrap_or_default();
        let texts = [&said.issuer, &said.device_url, &said.token_url, &said.scope];
        let lengths = texts.into_iter().flatten().map(String::len).chain([client_id.len(), secret.len()]);
        if lengths.into_iter().any(|length| length > TEXT_BYTES_MAX) {
            return Err("Something is too long.".into());
        }
        let domain = address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase()).unwrap_or_default();
        let host = Place::parse(&url).map(|place| place.host.to_ascii_lowercase()).unwrap_or_default();
        let scope = said.scope.clone().unwrap_or_default();
        let mut server = match (&said.issuer, &said.device_url, &said.token_url) {
            (_, Some(device), Some(token)) => {
                Server { device: device.clone(), token: token.clone(), scope: scope.clone(), ..Server::default() }
            }
            (Some(issuer), _, _) => Server::of_issuer(&self.dialer, issuer, &scope).await.map_err(told)?,
            _ => Server::known(&domain).or_else(|| Server::known(&host)).ok_or_else(|| {
                format!("Who gives out tokens for {domain} is not known: say the provider's issuer, or both its addresses.")
            })?,
        };
        if !scope.is_empty() {
            server.scope = scope;
        }
        Ok((server, Registered { client_id, client_secret: client_secret.map(|secret| secret.as_str().to_owned()) }))
    }

    /// What one signs in with that was handed in just now.
    pub(super) async fn handed(&self, account: AccountId, proof: &Proof) -> Result<Secret, String> {
        match proof {
            Proof::Password(password) => Ok(secret(password)),
            Proof::Grant(id) => {
                let mut signed = self.grants.signed(account, id)?;
                let (tokens, changed) = oauth::fresh(&self.dialer, &signed.tokens).await.map_err(|error| error.to_string())?;
                signed.tokens = tokens;
                let token = Secret::token(signed.tokens.access.clone().into_bytes());
                if changed {
                    self.grants.change(id, |asked| asked.outcome = Some(Ok(signed)));
                }
                Ok(token)
            }
        }
    }

    /// Seals into a link what it signs in with from now on; with its writing the sign-in is used up.
    pub(super) fn close(&self, (account, id): &Key, kept: &mut Kept, proof: &Proof) -> Result<(), String> {
        let text = match proof {
            Proof::Password(password) => password.clone(),
            Proof::Grant(grant) => {
                let signed = self.grants.signed(*account, grant)?;
                signed.written().map_err(|error| error.to_string())?
            }
        };
        kept.by_token = matches!(proof, Proof::Grant(_));
        self.seal.close(*account, id, kept, &text)?;
        if let Proof::Grant(grant) = proof {
            self.grants.forget(*account, grant);
        }
        Ok(())
    }

    /// What a link signs in with: its password, or a token that is fresh.
    pub(super) async fn secret_of(&self, key: &Key, kept: &Kept) -> Result<Secret, Trouble> {
        if !kept.by_token {
            return Ok(secret(&self.seal.open(key.0, &key.1, kept)?));
        }
        let me = self.me().map_err(Trouble::Lost)?;
        // By itself: whoever waits here may be stopped.
        let renewing = tokio::spawn(me.renewed(key.clone()));
        renewing.await.unwrap_or_else(|_| Err(Trouble::Lost("the server stops".into())))
    }

    async fn renewed(self: Arc<Links>, key: Key) -> Result<Secret, Trouble> {
        let turn = self.turn(&key);
        let _turn = turn.lock().await;
        let gone = || Trouble::Here("the link is gone".into());
        let mut kept = self.kept(&key).await?.filter(|kept| kept.by_token).ok_or_else(gone)?;
        let mut signed = Signed::read(&self.seal.open(key.0, &key.1, &kept)?)?;
        let (tokens, changed) = oauth::fresh(&self.dialer, &signed.tokens).await?;
        if changed {
            signed.tokens = tokens;
            self.seal.close(key.0, &key.1, &mut kept, &signed.written()?).map_err(Trouble::Here)?;
            self.write(&key, &kept).await?;
        }
        Ok(Secret::token(signed.tokens.access.into_bytes()))
    }

    /// Was the token it signed in with good only until now? Then that it was not let in says nothing.
    pub(super) async fn has_aged(&self, key: &Key) -> bool {
        let Ok(Some(kept)) = self.kept(key).await else { return false };
        let opened = self.seal.open(key.0, &key.1, &kept).ok().filter(|_| kept.by_token);
        opened.and_then(|text| Signed::read(&text).ok()).is_some_and(|signed| signed.tokens.is_old())
    }

    /// The same for mail that goes out by the link's server.
    pub(super) fn proof_of(&self, key: &Key, kept: &Kept) -> Option<RelayProof> {
        if !kept.by_token {
            return Some(self.seal.open(key.0, &key.1, kept).ok()?.as_bytes().to_vec().into());
        }
        let (me, key) = (Arc::downgrade(&self.me().ok()?), key.clone());
        Some(RelayProof::Token(Arc::new(move || -> Token {
            let (me, key) = (me.clone(), key.clone());
            Box::pin(async move {
                let links = me.upgrade().ok_or("the server stops")?;
                let kept = links.kept(&key).await.map_err(|error| error.to_string())?.ok_or("the link is gone")?;
                let token = links.secret_of(&key, &kept).await.map_err(|error| error.to_string())?;
                Ok(Zeroizing::new(token.as_bytes().to_vec()))
            })
        })))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn signed() -> Signed {
        Signed { tokens: Tokens { access: "at".into(), ..Tokens::default() }, server: Server::default() }
    }

    #[test]
    fn a_grant_opens_for_its_account_and_the_oldest_gives_way() {
        let grants = Grants::default();
        grants.add("a", AccountId(1), 100);
        assert_eq!(grants.state(AccountId(1), "a"), Some(GrantState::Waiting));
        assert!(grants.signed(AccountId(1), "a").is_err());
        grants.change("a", |asked| asked.outcome = Some(Ok(signed())));
        assert_eq!(grants.state(AccountId(1), "a"), Some(GrantState::Granted));
        assert_eq!((grants.state(AccountId(2), "a"), grants.signed(AccountId(2), "a").is_err()), (None, true));
        grants.forget(AccountId(2), "a");
        assert_eq!(grants.signed(AccountId(1), "a").unwrap().tokens.access, "at");
        for n in 0..GRANTS_OF_ONE_MAX {
            grants.add(&format!("b{n}"), AccountId(1), 101);
        }
        assert_eq!(grants.state(AccountId(1), "a"), None);
        assert_eq!(grants.all().len(), GRANTS_OF_ONE_MAX);
        grants.add("c", AccountId(2), 102 + GRANT_SECS);
        assert_eq!(grants.all().len(), 1, "what nobody uses is forgotten");
        for n in 0..=GRANTS_MAX {
            grants.add(&format!("d{n}"), AccountId(u32::try_from(n).unwrap() + 10), 103 + GRANT_SECS);
        }
        assert_eq!(grants.all().len(), GRANTS_MAX);
    }
}

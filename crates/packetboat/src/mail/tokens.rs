//! Tokens instead of passwords, with the system's Secret Service or in `tokens.json`, which only its owner can read; fetched
//! when an account is added, renewed when they are old. Must not know: HTTP.

use super::Way;
use super::keyring::{self, Keyring};
use super::profile::{Profile, read};
use crate::cli::{AddArgs, OauthFlow};
use client::oauth::{self, Registered, Server, ToDo, Tokens};
use client::{Dialer, Secret};
use std::collections::BTreeMap;
use std::path::Path;
use zeroize::Zeroizing;

const TOKENS: &str = "tokens.json";

/// Asks the provider, while the user signs in at its page.
pub(super) async fn sign_in(client_id: &str, add: &AddArgs, dialer: &Dialer) -> Result<Tokens, String> {
    let told = |trouble: client::Trouble| trouble.to_string();
    let domain = add.address.rsplit_once('@').map_or("", |(_, domain)| domain).to_ascii_lowercase();
    let mut server = match &add.oauth_issuer {
        Some(issuer) => Server::of_issuer(dialer, issuer, "").await.map_err(told)?,
        None => Server::known(&domain).ok_or_else(|| format!("who gives out tokens for {domain}? Give --oauth-issuer URL"))?,
    };
    if let Some(scope) = &add.oauth_scope {
        server.scope.clone_from(scope);
    }
    let secret = add.oauth_secret_file.as_deref();
    let secret = secret.map(|file| std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display())));
    let client_secret = secret.transpose()?.map(|text| text.trim().to_owned());
    let registered = Registered { client_id: client_id.to_owned(), client_secret };
    let tell = |to_do: ToDo| match to_do {
        ToDo::Type { page, code } => eprintln!("Open {page} and type the code {code}"),
        ToDo::Open { page } => eprintln!("Open this page in a browser on this machine:\n{page}"),
    };
    let tokens = match add.oauth_flow {
        OauthFlow::Device => oauth::by_device(dialer, &server, &registered, tell).await,
        OauthFlow::Loopback => oauth::by_loopback(dialer, &server, (&registered, &add.address), tell).await,
    };
    tokens.map_err(told)
}

/// Keeps an account's tokens; whether with the Secret Service.
pub(super) fn keep((dir, address): (&Path, &str), tokens: &Tokens, how: (bool, bool)) -> Result<bool, String> {
    let text = Zeroizing::new(serde_json::to_string(tokens).map_err(|error| error.to_string())?);
    keyring::keep_somewhere((dir, address), &dir.join(TOKENS), (&text, tokens.clone()), how)
}

/// It has a password now.
pub(super) fn forget((dir, address): (&Path, &str)) -> Result<(), String> {
    keyring::forget_in::<Tokens>(&dir.join(TOKENS), address)
}

impl Profile {
    /// What one signs in with: its password, or a token that is fresh.
    pub(super) async fn secret(&self, way: &Way, dir: &Path) -> Result<Secret, String> {
        // What is in the file is newer: the Secret Service was not to be had when it was written.
        let mut all: BTreeMap<String, Tokens> = read(&dir.join(TOKENS))?;
        let old = match all.remove(&self.address) {
            Some(tokens) => tokens,
            None if self.oauth && self.in_keyring => {
                let with = |why: String| format!("the tokens of {} are with the system's Secret Service: {why}", self.address);
                let found = Keyring::of(dir, &self.address).find().map_err(with)?;
                serde_json::from_slice(&found).map_err(|error| with(error.to_string()))?
            }
            None => return self.password(dir),
        };
        let told = |trouble: client::Trouble| match trouble {
            client::Trouble::SignIn(why) => format!("{why} (packetboat mail add)"),
            other => other.to_string(),
        };
        let (tokens, changed) = oauth::fresh(&self.dialer(way)?, &old).await.map_err(told)?;
        if changed {
            keep((dir, &self.address), &tokens, (self.in_keyring, self.in_keyring))?;
        }
        Ok(Secret::token(tokens.access.into_bytes()))
    }
}

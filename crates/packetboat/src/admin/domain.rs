//! Acts on the keys of a domain: the first ones, new ones, what they are.

use super::{Admin, Answer, told};
use serde_json::{Value, json};
use server::context::unix_now;
use server::trust::keys::{self, KeyRow, KeyState, OVERLAP_SECS};
use trust::dkim::key::KeyKind;

impl Admin {
    fn served(&self, domain: &str) -> Result<String, String> {
        let name = message::domain::to_ascii(domain.trim_end_matches('.')).unwrap_or_default();
        if self.domains.contains(&name) {
            return Ok(name);
        }
        Err(format!("{domain} is not served here: write it into `domains` of the configuration, restart, and call this again"))
    }

    /// Makes the first keys; when there are some already, tells of them.
    pub(super) async fn domain_add(&self, domain: &str) -> Answer {
        let domain = self.served(domain)?;
        let before = keys::of_domain(&self.store, &domain).await.map_err(|error| told(&error))?;
        if before.is_empty() {
            let now_secs = unix_now();
            keys::make(&self.store, &domain, now_secs, now_secs).await.map_err(|error| told(&error))?;
            self.keys_changed().await?;
        }
        self.domain_keys(&domain).await
    }

    /// Makes new keys that sign in two days, or now.
    pub(super) async fn domain_rotate(&self, domain: &str, at_once: bool) -> Answer {
        let domain = self.served(domain)?;
        let now_secs = unix_now();
        let before = keys::of_domain(&self.store, &domain).await.map_err(|error| told(&error))?;
        if before.iter().zip(keys::states(&before, now_secs)).any(|(_, state)| state == KeyState::Waiting) && !at_once {
            return Err("newer keys already wait for their turn (see `domain records`); with --now new ones sign at once".into());
        }
        let from = if at_once || before.is_empty() { now_secs } else { now_secs + OVERLAP_SECS };
        keys::make(&self.store, &domain, now_secs, from).await.map_err(|error| told(&error))?;
        self.keys_changed().await?;
        self.domain_keys(&domain).await
    }

    /// The keys with their records; private halves are never told.
    pub(super) async fn domain_keys(&self, domain: &str) -> Answer {
        let domain = self.served(domain)?;
        let rows = keys::of_domain(&self.store, &domain).await.map_err(|error| told(&error))?;
        let states = keys::states(&rows, unix_now());
        let list: Vec<Value> = rows.iter().zip(states).map(|(row, state)| view(row, state)).collect();
        Ok(json!({ "domain": domain, "keys": list }))
    }

    async fn keys_changed(&self) -> Result<(), String> {
        match &self.server {
            Some(server) => server.trust.keys.reload(&self.store).await.map_err(|error| told(&error)),
            None => Ok(()),
        }
    }
}

fn view(row: &KeyRow, state: KeyState) -> Value {
    json!({
        "selector": row.selector,
        "kind": if row.kind == KeyKind::Rsa { "rsa" } else { "ed25519" },
        "state": match state {
            KeyState::Waiting => "waiting",
            KeyState::Signing => "signing",
            KeyState::Retiring => "retiring",
            KeyState::Old => "old",
        },
        "created_secs": row.created_secs,
        "signs_from_secs": row.signs_from_secs,
        "name": format!("{}._domainkey.{}", row.selector, row.domain),
        "record": row.signer().map(|signer| signer.key.record()),
    })
}

//! App passwords, and what failed sign-ins earned.

use super::{Admin, Answer, AppPasswordText, told};
use data_encoding::BASE64;
use serde_json::json;
use std::net::IpAddr;

/// Longest name of an app password, octets.
const NAME_BYTES_MAX: usize = 100;

impl Admin {
    pub(super) async fn account_salt(&self, address: &str) -> Answer {
        let account = self.find(address).await?;
        let names: Vec<&str> = account.app_passwords.iter().map(|password| password.name.as_str()).collect();
        let scram = account.secrets.scram.as_ref();
        Ok(json!({
            "salt": scram.map(|scram| BASE64.encode(&scram.salt)),
            "iterations": scram.map(|scram| scram.iterations),
            "names": names,
        }))
    }

    pub(super) async fn app_password_add(&self, address: &str, password: AppPasswordText) -> Answer {
        let account = self.find(address).await?;
        let name = password.name.clone();
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
            return Err(format!("the name of an app password is 1 to {NAME_BYTES_MAX} octets without controls"));
        }
        self.store.app_password_add(account.id, password.into_app_password()?).await.map_err(|error| match error {
            store::StoreError::Exists => format!("there is an app password \"{name}\" already"),
            other => told(&other),
        })?;
        Ok(json!({ "address": account.address, "name": name }))
    }

    pub(super) async fn app_password_list(&self, address: &str) -> Answer {
        let account = self.find(address).await?;
        let list: Vec<_> = account
            .app_passwords
            .iter()
            .map(|password| json!({ "name": password.name, "created_secs": password.created_secs }))
            .collect();
        Ok(json!({ "address": account.address, "app_passwords": list }))
    }

    pub(super) async fn app_password_remove(&self, address: &str, name: &str) -> Answer {
        let account = self.find(address).await?;
        self.store.app_password_remove(account.id, name).await.map_err(|error| match error {
            store::StoreError::NotFound => format!("there is no app password \"{name}\""),
            other => told(&other),
        })?;
        self.forget(account.id);
        Ok(json!({ "address": account.address, "name": name, "removed": true }))
    }

    /// Delays live in the server's memory: without a server nobody waits.
    pub(super) fn unblock(&self, whom: Option<&str>) -> Answer {
        let ip: Option<IpAddr> = whom.and_then(|whom| whom.parse().ok());
        let login = whom.filter(|_| ip.is_none());
        let forgotten = self.server.as_ref().map_or(0, |server| server.auth.unblock(login, ip));
        Ok(json!({ "forgotten": forgotten, "running": self.server.is_some() }))
    }
}

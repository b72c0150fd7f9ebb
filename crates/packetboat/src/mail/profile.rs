//! Accounts of the email program: `accounts.json`, and `passwords.json` that only its owner can read.

use super::open_store;
use crate::cli::AddArgs;
use crate::commands::passwords;
use client::{Dialer, Place, Secret, Trouble};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use store::{AccountId, NewAccount, Secrets, Store};

/// One account, without its password.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Profile {
    pub(super) address: String,
    pub(super) name: Option<String>,
    pub(super) login: String,
    /// URLs.
    pub(super) imap: Option<String>,
    pub(super) pop3: Option<String>,
    pub(super) smtp: Option<String>,
    pub(super) tls_ca: Option<PathBuf>,
    pub(super) signature: Option<String>,
    pub(super) days: Option<u32>,
    pub(super) max_size: Option<u64>,
    pub(super) delete_after_days: Option<u32>,
    pub(super) delete_when_deleted: bool,
    pub(super) provider_keeps_sent: bool,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Profiles {
    list: Vec<Profile>,
}

const ACCOUNTS: &str = "accounts.json";
const PASSWORDS: &str = "passwords.json";

fn read<T: serde::de::DeserializeOwned + Default>(file: &Path) -> Result<T, String> {
    match std::fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", file.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// Beside its place, 0600, then renamed into it.
fn write(file: &Path, value: &impl Serialize) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", file.display());
    let text = serde_json::to_vec_pretty(value).map_err(|error| error.to_string())?;
    let temporary = file.with_extension("new");
    let _ = std::fs::remove_file(&temporary);
    let mut new = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(told)?;
    new.write_all(&text).and_then(|()| new.sync_all()).map_err(told)?;
    std::fs::rename(&temporary, file).map_err(told)
}

impl Profiles {
    pub(super) fn read(dir: &Path) -> Result<Profiles, String> {
        Ok(Profiles { list: read(&dir.join(ACCOUNTS))? })
    }

    pub(super) fn find(&self, address: Option<&str>) -> Result<&Profile, String> {
        let found = match address {
            Some(address) => self.list.iter().find(|profile| profile.address.eq_ignore_ascii_case(address)),
            None => self.list.first(),
        };
        found.ok_or_else(|| match address {
            Some(address) => format!("there is no account {address}; `packetboat mail accounts` lists them"),
            None => "there is no account yet; begin with `packetboat mail add me@example.org`".into(),
        })
    }

    pub(super) fn told(&self) -> Value {
        json!({ "accounts": self.list })
    }
}

impl Profile {
    pub(super) fn password(&self, dir: &Path) -> Result<Secret, String> {
        let all: BTreeMap<String, String> = read(&dir.join(PASSWORDS))?;
        let password = all.get(&self.address).ok_or_else(|| format!("the password of {} is not kept here", self.address))?;
        Ok(Secret::new(password.as_bytes().to_vec()))
    }

    pub(super) fn dialer(&self) -> Result<Dialer, String> {
        Dialer::new(self.tls_ca.as_deref()).map_err(|error| error.to_string())
    }

    /// The place behind one of its URLs.
    pub(super) fn place(&self, url: Option<&str>, what: &str) -> Result<Place, String> {
        let url = url.ok_or_else(|| format!("{} has no {what} server", self.address))?;
        Place::parse(url).map_err(|error| error.to_string())
    }
}

/// Its account in the store: nobody signs in there.
pub(super) async fn account(store: &Store, address: &str) -> Result<AccountId, String> {
    let told = |error: store::StoreError| error.to_string();
    if let Some(found) = store.account(address).await.map_err(told)? {
        return Ok(found.id);
    }
    let secrets = Secrets { argon2: "!".into(), scram: None };
    let new = NewAccount { address: address.to_owned(), secrets, quota_bytes: None };
    let made = store.accounts_add(vec![new], net::clock::unix_now()).await.map_err(told)?;
    made.first().copied().ok_or_else(|| "no account was made".into())
}

/// `host`, `host:port` or a URL, as a URL.
fn server_url(text: &str, tls: (&str, u16), starttls: (&str, u16)) -> Result<String, String> {
    let url = if text.contains("://") {
        text.to_owned()
    } else {
        let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let scheme = if port.is_none() || port == Some(tls.1) { tls.0 } else { starttls.0 };
        format!("{scheme}://{text}")
    };
    let place = Place::parse(&url).map_err(|error| error.to_string())?;
    if !(url.starts_with(tls.0) || url.starts_with(starttls.0)) || !place.user.is_empty() {
        return Err(format!("{text}: wants {}://host or {}://host", tls.0, starttls.0));
    }
    Ok(url)
}

/// The first of these hosts that answers under TLS with a certificate of its name.
async fn guess(dialer: &Dialer, domain: &str, scheme: &str, names: &[&str]) -> Option<String> {
    for name in names {
        let host = if name.is_empty() { domain.to_owned() } else { format!("{name}.{domain}") };
        let url = format!("{scheme}://{host}");
        if let Ok(place) = Place::parse(&url)
            && dialer.connect(&place).await.is_ok()
        {
            return Some(url);
        }
    }
    None
}

/// Those that are not given are looked for.
async fn servers(profile: &mut Profile, add: &AddArgs, dialer: &Dialer) -> Result<(), String> {
    profile.imap = add.imap.as_deref().map(|text| server_url(text, ("imaps", 993), ("imap", 143))).transpose()?;
    profile.pop3 = add.pop3.as_deref().map(|text| server_url(text, ("pop3s", 995), ("pop3", 110))).transpose()?;
    profile.smtp = add.smtp.as_deref().map(|text| server_url(text, ("smtps", 465), ("smtp", 587))).transpose()?;
    let domain = profile.address.rsplit_once('@').map(|(_, domain)| domain.to_owned()).unwrap_or_default();
    if add.offline {
        return Ok(());
    }
    if profile.imap.is_none() && profile.pop3.is_none() {
        profile.imap = guess(dialer, &domain, "imaps", &["imap", "mail", ""]).await;
        if profile.imap.is_none() {
            profile.pop3 = guess(dialer, &domain, "pop3s", &["pop", "pop3", "mail", ""]).await;
        }
        if profile.imap.is_none() && profile.pop3.is_none() {
            return Err(format!(
                "no IMAP or POP3 server of {domain} answers under its usual names; give --imap HOST or --pop3 HOST"
            ));
        }
    }
    if profile.smtp.is_none() {
        profile.smtp = guess(dialer, &domain, "smtps", &["smtp", "mail", "submission", ""]).await;
        if profile.smtp.is_none() {
            profile.smtp = guess(dialer, &domain, "smtp", &["smtp", "mail", "submission", ""]).await;
        }
    }
    Ok(())
}

/// `packetboat mail add`.
pub(super) async fn add(dir: &Path, add: &AddArgs) -> Result<Value, String> {
    crate::admin::check_address(&add.address)?;
    let mut profile = Profile {
        address: add.address.clone(),
        name: add.name.clone(),
        login: add.login.clone().unwrap_or_else(|| add.address.clone()),
        tls_ca: add.tls_ca.as_ref().map(std::path::absolute).transpose().map_err(|error| error.to_string())?,
        days: add.days,
        max_size: add.max_size,
        delete_after_days: add.delete_after_days,
        delete_when_deleted: add.delete_when_deleted,
        provider_keeps_sent: add.provider_keeps_sent,
        ..Profile::default()
    };
    if let Some(file) = &add.signature {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        profile.signature = Some(text.trim_end().to_owned());
    }
    let dialer = profile.dialer()?;
    servers(&mut profile, add, &dialer).await?;
    let password = passwords::known(&profile.address, add.password_stdin)?;
    if !add.offline {
        try_out(&profile, &dialer, &Secret::new(password.as_bytes().to_vec())).await?;
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let store = open_store(dir).await?;
    account(&store, &profile.address).await?;
    let mut all: BTreeMap<String, String> = read(&dir.join(PASSWORDS))?;
    all.insert(profile.address.clone(), password.to_string());
    write(&dir.join(PASSWORDS), &all)?;
    let mut list = Profiles::read(dir)?.list;
    list.retain(|other| !other.address.eq_ignore_ascii_case(&profile.address));
    list.push(profile.clone());
    write(&dir.join(ACCOUNTS), &list)?;
    store.close().await.map_err(|error| error.to_string())?;
    Ok(json!({ "added": profile }))
}

/// Signs in once, so that a wrong password is told now.
async fn try_out(profile: &Profile, dialer: &Dialer, password: &Secret) -> Result<(), String> {
    let outcome = match (&profile.imap, &profile.pop3) {
        (Some(url), _) => {
            let place = profile.place(Some(url), "IMAP")?;
            match client::imap::Imap::open(dialer, &place, &profile.login, password).await {
                Ok(imap) => {
                    imap.logout().await;
                    Ok(())
                }
                Err(error) => Err(error),
            }
        }
        (None, Some(url)) => {
            let place = profile.place(Some(url), "POP3")?;
            match client::pop::Pop::open(dialer, &place, &profile.login, password).await {
                Ok(pop) => {
                    pop.quit().await;
                    Ok(())
                }
                Err(error) => Err(error),
            }
        }
        (None, None) => Ok(()),
    };
    outcome.map_err(|error| match error {
        Trouble::SignIn(_) => format!("{error}\n{}", app_password_hint(&profile.address)),
        other => other.to_string(),
    })
}

/// Where large providers hand out passwords for programs.
fn app_password_hint(address: &str) -> String {
    let domain = address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase()).unwrap_or_default();
    let place = match domain.as_str() {
        "gmail.com" | "googlemail.com" => "https://myaccount.google.com/apppasswords",
        "yahoo.com" | "ymail.com" => "https://login.yahoo.com/account/security",
        "icloud.com" | "me.com" | "mac.com" => "https://account.apple.com",
        "fastmail.com" | "fastmail.fm" => "https://app.fastmail.com/settings/security/apps",
        _ => return "If the password is right, the provider may want a password made for this program (an app password).".into(),
    };
    format!("This provider wants a password made for this program (an app password): {place}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn servers_as_people_write_them() {
        let read = |text| server_url(text, ("imaps", 993), ("imap", 143));
        assert_eq!(read("imap.example.org"), Ok("imaps://imap.example.org".into()));
        assert_eq!(read("127.0.0.1:1143"), Ok("imap://127.0.0.1:1143".into()));
        assert_eq!(read("h:993"), Ok("imaps://h:993".into()));
        assert_eq!(read("imap://h:99"), Ok("imap://h:99".into()));
        for bad in ["smtp://h", "imaps://me@h", "imaps://", "h:"] {
            assert!(read(bad).is_err() || bad == "h:", "{bad}");
        }
    }
}

//! Accounts of the email program: `accounts.json`; passwords are with the system's Secret Service, or in `passwords.json` that
//! only its owner can read.

use super::identity::{self, Identity};
use super::keyring::{self, Keyring};
use super::{Way, open_store, tokens};
use crate::cli::AddArgs;
use crate::commands::passwords;
use client::discover::{Candidate, Discovered, Wanted};
use client::outbox::Submission;
use client::{Dialer, Place, Protocol, Secret, Trouble};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
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
    /// The password is with the system's Secret Service, not in the file; or the tokens are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) in_keyring: bool,
    /// It signs in by tokens.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) oauth: bool,
    /// Another DNS server than the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dns: Option<String>,
    /// Further identities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) further: Vec<Identity>,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Profiles {
    list: Vec<Profile>,
}

const ACCOUNTS: &str = "accounts.json";
const PASSWORDS: &str = "passwords.json";

pub(super) fn read<T: serde::de::DeserializeOwned + Default>(file: &Path) -> Result<T, String> {
    match std::fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", file.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// For its owner alone, whole or not at all.
pub(super) fn write(file: &Path, value: &impl Serialize) -> Result<(), String> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| error.to_string())?;
    crate::private_file::write(file, &text)
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

    pub(super) fn all(&self) -> &[Profile] {
        &self.list
    }

    /// In place of one with the same address, or behind all.
    pub(super) fn keep(&mut self, profile: Profile) {
        match self.list.iter_mut().find(|other| other.address.eq_ignore_ascii_case(&profile.address)) {
            Some(other) => *other = profile,
            None => self.list.push(profile),
        }
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), String> {
        write(&dir.join(ACCOUNTS), &self.list)
    }

    pub(super) fn told(&self) -> Value {
        json!({ "accounts": self.list })
    }
}

impl Profile {
    pub(super) fn password(&self, dir: &Path) -> Result<Secret, String> {
        if self.in_keyring {
            let found = Keyring::of(dir, &self.address).find();
            let found =
                found.map_err(|why| format!("the password of {} is with the system's Secret Service: {why}", self.address));
            return Ok(Secret::new(found?.to_vec()));
        }
        let all: BTreeMap<String, String> = read(&dir.join(PASSWORDS))?;
        let password = all.get(&self.address).ok_or_else(|| format!("the password of {} is not kept here", self.address))?;
        Ok(Secret::new(password.as_bytes().to_vec()))
    }

    pub(super) fn dialer(&self, way: &Way) -> Result<Dialer, String> {
        let dialer = Dialer::new(self.tls_ca.as_deref()).map_err(|error| error.to_string())?;
        let dialer = dialer.heard_by(way.listening.clone());
        match way.dns.as_deref().or(self.dns.as_deref()) {
            Some(server) => {
                let resolver = net::Resolver::with_servers(vec![dns_server(server)?]);
                Ok(dialer.with_resolver(resolver.map_err(|error| format!("DNS: {error}"))?))
            }
            None => Ok(dialer),
        }
    }

    /// Why nothing is sent.
    pub(super) fn no_submission(&self) -> String {
        format!("no submission server of {} is known; `packetboat mail add` again, with --smtp HOST, names one", self.address)
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

/// `IP` or `IP:PORT`.
pub(super) fn dns_server(text: &str) -> Result<SocketAddr, String> {
    let ip = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    text.parse().or(ip).map_err(|_| format!("{text}: wants the IP address of a DNS server, and perhaps :PORT"))
}

/// Those that are not given are looked for.
async fn servers(profile: &mut Profile, add: &AddArgs, dialer: &Dialer) -> Result<Discovered, String> {
    profile.imap = add.imap.as_deref().map(|text| server_url(text, ("imaps", 993), ("imap", 143))).transpose()?;
    profile.pop3 = add.pop3.as_deref().map(|text| server_url(text, ("pop3s", 995), ("pop3", 110))).transpose()?;
    profile.smtp = add.smtp.as_deref().map(|text| server_url(text, ("smtps", 465), ("smtp", 587))).transpose()?;
    let wanted = Wanted { incoming: profile.imap.is_none() && profile.pop3.is_none(), submission: profile.smtp.is_none() };
    // Who names the servers of this machine (a test, a tunnel) has said all.
    if add.offline || (!wanted.incoming && (!wanted.submission || add.no_discovery)) {
        return Ok(Discovered::default());
    }
    let found = client::discover::discover(dialer, &profile.address, wanted).await;
    if let Some(candidate) = &found.incoming {
        let url = Some(candidate.place.url());
        match candidate.place.protocol {
            Protocol::Pop3 => profile.pop3 = url,
            _ => profile.imap = url,
        }
    } else if wanted.incoming {
        let steps: String = found.steps.iter().map(|step| format!("\n  {}: {}", step.looked_at, step.found)).collect();
        let domain = profile.address.rsplit_once('@').map_or("", |(_, domain)| domain);
        return Err(format!("no IMAP or POP3 server of {domain} was found; give --imap HOST or --pop3 HOST. Looked at:{steps}"));
    }
    if let Some(candidate) = &found.submission {
        profile.smtp = Some(candidate.place.url());
    }
    Ok(found)
}

fn told(found: &Discovered) -> Vec<Value> {
    let one = |candidate: &Candidate| {
        let service = match candidate.place.protocol {
            Protocol::Imap => "imap",
            Protocol::Pop3 => "pop3",
            Protocol::Smtp => "submission",
        };
        let (server, how, elsewhere) = (candidate.place.url(), &candidate.how, candidate.elsewhere);
        json!({ "service": service, "server": server, "how": how, "outside_the_domain": elsewhere })
    };
    found.incoming.iter().chain(&found.submission).map(one).collect()
}

/// Before the password is asked for: who will get it, and how that is known.
fn announce(found: &Discovered, asks: bool) -> Result<(), String> {
    let candidates: Vec<&Candidate> = found.incoming.iter().chain(&found.submission).collect();
    for candidate in &candidates {
        eprintln!("found {} by {}", candidate.place.url(), candidate.how);
        if candidate.elsewhere {
            eprintln!("      its name is outside your address's domain, and only DNS says that it is right");
        }
    }
    if asks && candidates.iter().any(|candidate| candidate.elsewhere) {
        eprint!("Give your password to these servers? [y/N] ");
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).map_err(|error| error.to_string())?;
        if !answer.trim().eq_ignore_ascii_case("y") {
            return Err("nothing is added; --imap, --pop3 and --smtp name other servers".into());
        }
    }
    Ok(())
}

/// `packetboat mail add`.
pub(super) async fn add(dir: &Path, add: &AddArgs, way: &Way, is_json: bool) -> Result<Value, String> {
    crate::admin::check_address(&add.address)?;
    let mut profile = Profile {
        address: add.address.clone(),
        name: add.name.clone(),
        login: add.login.clone().unwrap_or_else(|| add.address.clone()),
        tls_ca: add.tls_ca.as_ref().map(std::path::absolute).transpose().map_err(|error| error.to_string())?,
        days: add.days,
        max_size: if add.on_demand { Some(0) } else { add.max_size },
        delete_after_days: add.delete_after_days,
        delete_when_deleted: add.delete_when_deleted,
        provider_keeps_sent: add.provider_keeps_sent,
        signature: identity::signature(add.signature.as_deref())?,
        dns: way.dns.clone(),
        ..Profile::default()
    };
    let dialer = profile.dialer(way)?;
    let found = servers(&mut profile, add, &dialer).await?;
    if !is_json {
        announce(&found, !add.password_stdin && std::io::stdin().is_terminal())?;
    }
    let (password, tokens) = match &add.oauth {
        Some(client_id) => (None, Some(tokens::sign_in(client_id, add, &dialer).await?)),
        None => (Some(passwords::known(&profile.address, add.password_stdin)?), None),
    };
    let mut warnings = Vec::new();
    if profile.smtp.is_none() {
        warnings.push(profile.no_submission());
    }
    if !add.offline {
        let secret = match (&password, &tokens) {
            (Some(password), _) => Secret::new(password.as_bytes().to_vec()),
            (None, tokens) => Secret::token(tokens.as_ref().map(|t| t.access.clone().into_bytes()).unwrap_or_default()),
        };
        profile.login = try_logins(&profile, logins(add, &found), &dialer, &secret).await?;
        if let Some(url) = &profile.smtp {
            let place = profile.place(Some(url), "submission")?;
            let submission = Submission { dialer: &dialer, place: &place, login: &profile.login, password: &secret };
            warnings.extend(client::outbox::try_out(&submission).await.err().map(|error| error.to_string()));
        }
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let store = open_store(dir).await?;
    account(&store, &profile.address).await?;
    let mut profiles = Profiles::read(dir)?;
    let before = profiles.find(Some(&profile.address)).is_ok_and(|before| before.in_keyring);
    let (whose, how, file) = ((dir, profile.address.as_str()), (!add.no_keyring, before), dir.join(PASSWORDS));
    if let Some(password) = password {
        profile.in_keyring = keyring::keep_somewhere(whose, &file, (&password, password.to_string()), how)?;
        tokens::forget(whose)?;
    }
    if let Some(tokens) = tokens {
        (profile.oauth, profile.in_keyring) = (true, tokens::keep(whose, &tokens, how)?);
        keyring::forget_in::<String>(&file, whose.1)?;
    }
    profiles.keep(profile.clone());
    profiles.write(dir)?;
    store.close().await.map_err(|error| error.to_string())?;
    Ok(json!({ "added": profile, "found": told(&found), "steps": found.steps, "warnings": warnings }))
}

/// Names to sign in with, the likeliest first (RFC 6186 §4: the address, then what stands before its `@`).
fn logins(add: &AddArgs, found: &Discovered) -> Vec<String> {
    if let Some(login) = &add.login {
        return vec![login.clone()];
    }
    let named = found.incoming.as_ref().and_then(|candidate| candidate.login.clone());
    let local = add.address.rsplit_once('@').map(|(local, _)| local.to_owned());
    let mut all: Vec<String> = named.into_iter().chain([add.address.clone()]).chain(local).collect();
    all.dedup();
    all
}

/// The first of these names that is let in.
async fn try_logins(profile: &Profile, logins: Vec<String>, dialer: &Dialer, password: &Secret) -> Result<String, String> {
    let mut why: Option<Trouble> = None;
    for login in logins {
        match try_out(&Profile { login: login.clone(), ..profile.clone() }, dialer, password).await {
            Ok(()) => return Ok(login),
            // What was said of the likeliest name is what is told.
            Err(Trouble::SignIn(said)) => why = why.or(Some(Trouble::SignIn(said))),
            Err(other) => return Err(why.unwrap_or(other).to_string()),
        }
    }
    let said = why.map(|trouble| trouble.to_string()).unwrap_or_default();
    Err(format!("{said}\n{}", app_password_hint(&profile.address)))
}

/// Signs in once, so that a wrong password is told now.
async fn try_out(profile: &Profile, dialer: &Dialer, password: &Secret) -> Result<(), Trouble> {
    let place = |url: &str| Place::parse(url);
    match (&profile.imap, &profile.pop3) {
        (Some(url), _) => {
            client::imap::Imap::open(dialer, &place(url)?, &profile.login, password).await?.logout().await;
        }
        (None, Some(url)) => {
            client::pop::Pop::open(dialer, &place(url)?, &profile.login, password).await?.quit().await;
        }
        (None, None) => {}
    }
    Ok(())
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

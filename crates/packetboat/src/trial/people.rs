//! Ann, Bob and Carol: their accounts, their passwords (made once, kept in one file of mode 0600), their welcome.

use super::{HERE, THERE, welcome};
use crate::admin::told;
use crate::office::Office;
use crate::private_file;
use server::context::unix_now;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use store::NewAccount;

/// Local part, domain, name for people.
pub(super) const PEOPLE: [(&str, &str, &str); 3] = [("ann", HERE, "Ann"), ("bob", HERE, "Bob"), ("carol", THERE, "Carol")];
/// The file of the passwords: lines of `address password`.
const PASSWORDS: &str = "passwords";
/// The file of those who had their welcome: a line each.
const WELCOMED: &str = "welcomed";
/// Letters of a password: none that looks like another.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Random octets of a password, one letter of 5 bits each.
const PASSWORD_LETTERS: usize = 20;

/// Passwords by address.
pub(super) struct Passwords {
    file: PathBuf,
    by_address: BTreeMap<String, String>,
    /// Made in this run: the account's verifiers do not fit yet.
    fresh: Vec<String>,
}

impl Passwords {
    /// Reads them, and makes and keeps those that are missing.
    pub(super) fn open(dir: &Path) -> Result<Passwords, String> {
        let file = dir.join(PASSWORDS);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("{}: {error}", file.display())),
        };
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let by_address = lines.map(|(address, password)| (address.to_owned(), password.to_owned())).collect();
        let mut passwords = Passwords { file, by_address, fresh: Vec::new() };
        for (name, domain, _) in PEOPLE {
            let address = format!("{name}@{domain}");
            if !passwords.by_address.contains_key(&address) {
                passwords.by_address.insert(address.clone(), random()?);
                passwords.fresh.push(address);
            }
        }
        if !passwords.fresh.is_empty() {
            passwords.save()?;
        }
        Ok(passwords)
    }

    fn save(&self) -> Result<(), String> {
        let text = self.by_address.iter().fold(String::new(), |mut text, (address, password)| {
            let _ = writeln!(text, "{address} {password}");
            text
        });
        private_file::write(&self.file, text.as_bytes())
    }

    /// Somebody's password.
    pub(super) fn of(&self, address: &str) -> &str {
        self.by_address.get(address).map_or("", String::as_str)
    }
}

fn random() -> Result<String, String> {
    use ring::rand::SecureRandom;
    let mut octets = [0u8; PASSWORD_LETTERS];
    ring::rand::SystemRandom::new().fill(&mut octets).map_err(|_| "the system gives no randomness".to_owned())?;
    let letter = |octet: u8| LETTERS.get(usize::from(octet & 31)).map_or('a', |letter| char::from(*letter));
    Ok(octets.chunks(5).map(|group| group.iter().map(|octet| letter(*octet)).collect::<String>()).collect::<Vec<_>>().join("-"))
}

/// Sees to it that everybody of this office has an account with the kept password, and was welcomed once.
pub(super) async fn settle(dir: &Path, domain: &str, office: &Office, passwords: &mut Passwords) -> Result<(), String> {
    let store = &office.context.store;
    for (name, _, person) in PEOPLE.iter().filter(|(_, theirs, _)| *theirs == domain) {
        let address = format!("{name}@{domain}");
        let known = store.account(&address).await.map_err(|error| told(&error))?;
        let is_fresh = passwords.fresh.contains(&address);
        if known.is_none() || is_fresh {
            let password = passwords.of(&address).to_owned();
            let secrets = tokio::task::spawn_blocking(move || server::auth::secrets(password.as_bytes(), None));
            let secrets = secrets.await.map_err(|error| error.to_string())??;
            match &known {
                Some(account) => store.account_secrets(account.id, secrets).await.map_err(|error| told(&error))?,
                None => {
                    let account = NewAccount { address: address.clone(), secrets, quota_bytes: None };
                    store.accounts_add(vec![account], unix_now()).await.map_err(|error| told(&error))?;
                }
            }
        }
        if !was_welcomed(dir, &address) {
            welcome::deliver(store, &address, person).await?;
            note_welcome(dir, &address)?;
        }
    }
    Ok(())
}

fn was_welcomed(dir: &Path, address: &str) -> bool {
    std::fs::read_to_string(dir.join(WELCOMED)).is_ok_and(|text| text.lines().any(|line| line == address))
}

fn note_welcome(dir: &Path, address: &str) -> Result<(), String> {
    let file = dir.join(WELCOMED);
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    private_file::write(&file, format!("{text}{address}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn passwords_are_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let first = Passwords::open(dir.path()).unwrap();
        assert_eq!(first.fresh.len(), 3);
        let second = Passwords::open(dir.path()).unwrap();
        assert!(second.fresh.is_empty());
        assert_eq!(first.by_address, second.by_address);
        assert_ne!(first.of("ann@here.test"), first.of("bob@here.test"));
        assert_eq!(first.of("ann@here.test").len(), PASSWORD_LETTERS + 3);
    }
}

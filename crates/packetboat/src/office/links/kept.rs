//! A link as it is kept: a record of its account. The password there is sealed with a key that lies beside the store, not in
//! it (`links.key`, its owner's alone), so that a copy of the store by itself opens no account elsewhere.
//!
//! Invariant: a password that was sealed for one link opens in no other. Must not know: servers.

use super::Trouble;
use data_encoding::BASE64;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;
use store::{AccountId, Store, StoreError, UnixSecs};
use web::LINKS_COLLECTION;
use zeroize::Zeroizing;

const KEY_FILE: &str = "links.key";
const KEY_BYTES: usize = 32;
/// Of the record.
const VERSION: u8 = 1;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    v: u8,
    pub(super) address: String,
    /// URLs.
    pub(super) server: String,
    pub(super) submission: Option<String>,
    pub(super) login: String,
    /// The password, or the tokens.
    sealed: String,
    #[serde(default)]
    pub(super) by_token: bool,
    pub(super) folders: Vec<String>,
    pub(super) collect: bool,
    /// Its owner said so, or it failed.
    pub(super) stopped: bool,
    /// Everything that was there is here.
    pub(super) is_brought: bool,
    pub(super) imported: u64,
    pub(super) created_secs: UnixSecs,
    pub(super) error: Option<String>,
}

impl Kept {
    /// A fresh one, without its password yet.
    pub(super) fn new(wanted: &web::NewLink, created_secs: UnixSecs) -> Kept {
        Kept {
            v: VERSION,
            address: wanted.address.clone(),
            server: wanted.server.url.clone(),
            submission: wanted.submission.clone(),
            login: wanted.server.login.clone(),
            sealed: String::new(),
            by_token: false,
            folders: wanted.folders.clone(),
            collect: wanted.collect,
            stopped: false,
            is_brought: false,
            imported: 0,
            created_secs,
            error: None,
        }
    }

    pub(super) fn read(stored: &[u8]) -> Option<Kept> {
        serde_json::from_slice::<Kept>(stored).ok().filter(|kept| kept.v == VERSION)
    }

    pub(super) fn written(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Is there still something to do?
    pub(super) fn is_active(&self) -> bool {
        !self.stopped && (self.collect || !self.is_brought)
    }
}

/// Every link there is. Accounts without one, and that is nearly all of them, are not looked at.
pub(super) async fn all(store: &Store) -> Result<Vec<(AccountId, String, Kept)>, StoreError> {
    let (mut links, mut after) = (Vec::new(), None);
    loop {
        let page = store.record_holders(LINKS_COLLECTION, after, 500).await?;
        let Some(last) = page.last() else { return Ok(links) };
        after = Some(*last);
        for account in page {
            let stored = match store.records(account, LINKS_COLLECTION).await {
                // Removed, with what it held.
                Err(StoreError::NotFound) => continue,
                stored => stored?,
            };
            links.extend(stored.iter().filter_map(|(id, stored)| Some((account, id.to_string(), Kept::read(stored)?))));
        }
    }
}

/// The key.
pub(super) struct Seal(LessSafeKey);

impl Seal {
    /// The key of this data directory, made when there is none.
    pub(super) fn of(data_dir: &Path) -> Result<Seal, String> {
        let path = data_dir.join(KEY_FILE);
        let told = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut key = Zeroizing::new([0u8; KEY_BYTES]);
        match std::fs::File::open(&path) {
            Ok(mut file) => file.read_exact(key.as_mut_slice()).map_err(told)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                SystemRandom::new().fill(key.as_mut_slice()).map_err(|_| "the system gives no random numbers".to_owned())?;
                // Whole or not at all: half a key would lock out for ever what is sealed with it.
                crate::private_file::write(&path, key.as_slice())?;
            }
            Err(error) => return Err(told(error)),
        }
        let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| "the key for links is none".to_owned())?;
        Ok(Seal(LessSafeKey::new(key)))
    }

    /// What ties a sealed password to its link and server: sealed for one, it opens for no other; and tokens are no password.
    fn bound(account: AccountId, id: &str, kept: &Kept) -> Vec<u8> {
        let kind = if kept.by_token { "tokens\n" } else { "" };
        format!("{kind}{}\n{id}\n{}\n{}", account.0, kept.server, kept.login).into_bytes()
    }

    /// Seals the password into it.
    pub(super) fn close(&self, account: AccountId, id: &str, kept: &mut Kept, password: &str) -> Result<(), String> {
        let mut nonce = [0u8; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| "the system gives no random numbers".to_owned())?;
        let mut octets = Zeroizing::new(password.as_bytes().to_vec());
        let aad = Aad::from(Seal::bound(account, id, kept));
        let sealed = self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut *octets);
        sealed.map_err(|_| "the password could not be sealed".to_owned())?;
        kept.sealed = BASE64.encode(&[nonce.as_slice(), octets.as_slice()].concat());
        Ok(())
    }

    /// The password.
    pub(super) fn open(&self, account: AccountId, id: &str, kept: &Kept) -> Result<Zeroizing<String>, Trouble> {
        let lost = || Trouble::Here("the password that was kept cannot be read any more: say it again".to_owned());
        let stored = BASE64.decode(kept.sealed.as_bytes()).map_err(|_| lost())?;
        let (nonce, sealed) = stored.split_first_chunk::<NONCE_LEN>().ok_or_else(lost)?;
        let mut octets = Zeroizing::new(sealed.to_vec());
        let aad = Aad::from(Seal::bound(account, id, kept));
        let opened = self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut octets).map_err(|_| lost())?;
        std::str::from_utf8(opened).map(|text| Zeroizing::new(text.to_owned())).map_err(|_| lost())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn kept() -> Kept {
        let proof = web::Proof::Password(Zeroizing::default());
        let server = web::OldServer { url: "imaps://old.test:993".into(), login: "ann".into(), proof };
        let wanted =
            web::NewLink { address: "ann@old.test".into(), server, submission: None, folders: Vec::new(), collect: true };
        Kept::new(&wanted, 7)
    }

    #[test]
    fn a_password_opens_with_its_own_key_for_its_own_link_only() {
        use std::os::unix::fs::PermissionsExt;
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let seal = Seal::of(one.path()).unwrap();
        assert_eq!(std::fs::metadata(one.path().join(KEY_FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        let mut link = kept();
        seal.close(AccountId(1), "a", &mut link, "hunter2 é").unwrap();
        let stored = link.written();
        assert!(!String::from_utf8_lossy(&stored).contains("hunter2"));
        let link = Kept::read(&stored).unwrap();
        // The key is the same after a restart.
        let seal = Seal::of(one.path()).unwrap();
        assert_eq!(seal.open(AccountId(1), "a", &link).unwrap().as_str(), "hunter2 é");
        assert!(seal.open(AccountId(2), "a", &link).is_err() && seal.open(AccountId(1), "b", &link).is_err());
        let moved = Kept { server: "imaps://evil.test:993".into(), ..link.clone() };
        assert!(seal.open(AccountId(1), "a", &moved).is_err(), "a record that was changed sends no password elsewhere");
        let other_kind = Kept { by_token: true, ..link.clone() };
        assert!(seal.open(AccountId(1), "a", &other_kind).is_err());
        assert!(Seal::of(other.path()).unwrap().open(AccountId(1), "a", &link).is_err());
        std::fs::write(one.path().join(KEY_FILE), b"short").unwrap();
        assert!(Seal::of(one.path()).is_err(), "a key that was damaged is not replaced");
    }

    #[test]
    fn a_record_of_another_version_is_none() {
        let mut before: serde_json::Value = serde_json::from_slice(&kept().written()).unwrap();
        before.as_object_mut().unwrap().remove("by_token");
        assert_eq!(Kept::read(before.to_string().as_bytes()), Some(kept()), "one that was written before there were tokens");
        assert_eq!(Kept::read(&Kept { v: 2, ..kept() }.written()), None);
        assert!(Kept::read(&kept().written()).unwrap().is_active());
        assert!(!Kept { is_brought: true, collect: false, ..kept() }.is_active());
    }

    #[tokio::test]
    async fn a_start_looks_at_those_accounts_alone_that_have_links() {
        let folder = tempfile::tempdir().unwrap();
        let config = || store::StoreConfig {
            data_dir: folder.path().join("data"),
            undo_days: 30,
            free_bytes_min: 0,
            free_bytes_tight: 0,
            message_bytes_max: 1 << 20,
        };
        let person = |number: usize| store::NewAccount {
            address: format!("p{number}@here.test"),
            secrets: store::Secrets { argon2: String::new(), scram: None },
            quota_bytes: None,
        };
        let open = Store::open(config()).await.unwrap();
        let ids = open.accounts_add((0..3000).map(person).collect(), 7).await.unwrap();
        let linked: Vec<AccountId> = ids.iter().copied().skip(10).step_by(1000).collect();
        for id in &linked {
            open.records_change(*id, &[(LINKS_COLLECTION, "a".into(), Some(kept().written()))]).await.unwrap();
        }
        open.close().await.unwrap();
        let open = Store::open(config()).await.unwrap();
        let found = all(&open).await.unwrap();
        assert_eq!(found.iter().map(|(account, ..)| *account).collect::<Vec<_>>(), linked);
        assert_eq!(open.accounts_in_memory(), linked.len(), "nobody else was read");
        open.account_remove(linked[0], 8).await.unwrap();
        assert_eq!(all(&open).await.unwrap().len(), linked.len() - 1);
        open.close().await.unwrap();
    }
}

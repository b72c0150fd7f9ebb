//! The keys that sign, by domain, as the store keeps them; rotation with overlap.
//!
//! A domain has one RSA and one Ed25519 key that sign, perhaps newer ones that wait for their records to be known everywhere, and
//! older ones whose records stay published for what is still on its way.
//! Invariant: a key signs from [`KeyRow::signs_from_secs`] until a newer one of its kind does. Must not know: DNS.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use store::{Store, StoreError, TrustKind};
use trust::dkim::key::KeyKind;
use trust::dkim::private::{SigningKey, generate};
use trust::dkim::sign::Signer;

/// A new key waits so long for its record to be seen everywhere.
pub const OVERLAP_SECS: i64 = 2 * 86_400;
/// The record of an old key stays for so long after it last signed.
pub const RETIRED_SECS: i64 = 7 * 86_400;
/// Keys of one domain, at most.
pub const KEYS_MAX: usize = 16;
const VERSION: u8 = 1;

/// A key as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Lower-case.
    pub domain: String,
    /// Its name in DNS.
    pub selector: String,
    /// RSA or Ed25519.
    pub kind: KeyKind,
    /// When it was made.
    pub created_secs: i64,
    /// From when it signs.
    pub signs_from_secs: i64,
    /// PKCS #8.
    pub pkcs8: Vec<u8>,
}

impl std::fmt::Debug for KeyRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRow({}._domainkey.{})", self.selector, self.domain)
    }
}

impl KeyRow {
    fn name(&self) -> String {
        format!("{}/{}", self.domain, self.selector)
    }

    fn encode(&self) -> Vec<u8> {
        let kind = if self.kind == KeyKind::Rsa { 0 } else { 1 };
        let mut out = vec![VERSION, kind];
        out.extend_from_slice(&self.created_secs.to_be_bytes());
        out.extend_from_slice(&self.signs_from_secs.to_be_bytes());
        out.extend_from_slice(&self.pkcs8);
        out
    }

    fn decode(name: &str, octets: &[u8]) -> Option<KeyRow> {
        let (domain, selector) = name.split_once('/')?;
        let (head, rest) = octets.split_first_chunk::<2>()?;
        let kind = match head {
            [VERSION, 0] => KeyKind::Rsa,
            [VERSION, 1] => KeyKind::Ed25519,
            _ => return None,
        };
        let (created, rest) = rest.split_first_chunk::<8>()?;
        let (signs_from, pkcs8) = rest.split_first_chunk::<8>()?;
        Some(KeyRow {
            domain: domain.to_owned(),
            selector: selector.to_owned(),
            kind,
            created_secs: i64::from_be_bytes(*created),
            signs_from_secs: i64::from_be_bytes(*signs_from),
            pkcs8: pkcs8.to_vec(),
        })
    }

    /// Ready to sign.
    pub fn signer(&self) -> Option<Signer> {
        let key = SigningKey::from_pkcs8(self.kind, &self.pkcs8)?;
        Some(Signer { domain: self.domain.clone(), selector: self.selector.clone(), key })
    }
}

/// What a key does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Its record must be published; it signs later.
    Waiting,
    /// It signs.
    Signing,
    /// It signs no more; its record must stay for now.
    Retiring,
    /// Its record may go.
    Old,
}

/// The state of each key of one domain, in their order.
pub fn states(rows: &[KeyRow], now_secs: i64) -> Vec<KeyState> {
    let state = |row: &KeyRow| {
        if row.signs_from_secs > now_secs {
            return KeyState::Waiting;
        }
        let newer = rows
            .iter()
            .filter(|other| other.kind == row.kind && other.signs_from_secs <= now_secs)
            .filter(|other| (other.signs_from_secs, &other.selector) > (row.signs_from_secs, &row.selector));
        match newer.map(|other| other.signs_from_secs).min() {
            None => KeyState::Signing,
            Some(since) if since + RETIRED_SECS > now_secs => KeyState::Retiring,
            Some(_) => KeyState::Old,
        }
    };
    rows.iter().map(state).collect()
}

/// The keys of one domain.
pub async fn of_domain(store: &Store, domain: &str) -> Result<Vec<KeyRow>, StoreError> {
    let rows = store.trust_rows(TrustKind::SigningKey, &format!("{domain}/"), None, KEYS_MAX * 4).await?;
    Ok(rows.iter().filter_map(|(name, octets)| KeyRow::decode(name, octets)).collect())
}

/// New keys of both kinds for a domain. `signs_from_secs` is now for the first ones, later for a rotation. Old ones go.
pub async fn make(store: &Store, domain: &str, now_secs: i64, signs_from_secs: i64) -> Result<Vec<KeyRow>, StoreError> {
    let before = of_domain(store, domain).await?;
    let old: Vec<&KeyRow> =
        before.iter().zip(states(&before, now_secs)).filter(|(_, s)| *s == KeyState::Old).map(|(row, _)| row).collect();
    if before.len() - old.len() + 2 > KEYS_MAX {
        return Err(StoreError::Invalid("the domain has too many keys that are still wanted"));
    }
    let date = message::date::format_rfc_5322(now_secs);
    let stamp = stamp_of(&date);
    let mut made = Vec::new();
    for (kind, letter) in [(KeyKind::Rsa, 'r'), (KeyKind::Ed25519, 'e')] {
        let mut number = 0;
        let selector = loop {
            let selector = if number == 0 { format!("{letter}{stamp}") } else { format!("{letter}{stamp}-{number}") };
            if !before.iter().any(|row| row.selector == selector) {
                break selector;
            }
            number += 1;
        };
        let pkcs8 = tokio::task::spawn_blocking(move || generate(kind)).await.ok().flatten();
        let pkcs8 = pkcs8.ok_or_else(|| StoreError::Io("no randomness for a key".to_owned()))?;
        made.push(KeyRow { domain: domain.to_owned(), selector, kind, created_secs: now_secs, signs_from_secs, pkcs8 });
    }
    let mut rows: Vec<(String, Option<Vec<u8>>)> = made.iter().map(|row| (row.name(), Some(row.encode()))).collect();
    rows.extend(old.iter().map(|row| (row.name(), None)));
    store.trust_set(TrustKind::SigningKey, rows).await?;
    Ok(made)
}

/// `20261128` out of `Sat, 28 Nov 2026 ...`: selectors tell people when.
fn stamp_of(date: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = date.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let [_, day, month, year, ..] = words.as_slice() else { return String::new() };
    let month = MONTHS.iter().position(|name| name == month).map_or(0, |at| at + 1);
    format!("{year}{month:02}{:02}", day.parse::<u32>().unwrap_or(0))
}

type Table = HashMap<String, Vec<(KeyRow, Arc<Signer>)>>;

/// The keys in memory.
#[derive(Default)]
pub struct Keys {
    table: RwLock<Arc<Table>>,
}

impl Keys {
    /// Reads them from the store (again).
    pub async fn reload(&self, store: &Store) -> Result<(), StoreError> {
        let mut table = Table::new();
        let mut after: Option<String> = None;
        loop {
            let rows = store.trust_rows(TrustKind::SigningKey, "", after.as_deref(), 1_000).await?;
            for (name, octets) in &rows {
                let row = KeyRow::decode(name, octets);
                match row.and_then(|row| row.signer().map(|signer| (row, signer))) {
                    Some((row, signer)) => table.entry(row.domain.clone()).or_default().push((row, Arc::new(signer))),
                    None => tracing::error!(name, "a signing key cannot be read"),
                }
            }
            match rows.last() {
                Some((last, _)) if rows.len() == 1_000 => after = Some(last.clone()),
                _ => break,
            }
        }
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        Ok(())
    }

    /// Nobody signs: no need to look at who wrote.
    pub fn is_empty(&self) -> bool {
        self.table.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Who signs for a domain now: at most one of each kind, RSA first. A domain below one that has keys is signed for by that.
    pub fn signers(&self, domain: &str, now_secs: i64) -> Vec<Arc<Signer>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut name = domain;
        let found = loop {
            if let Some(found) = table.get(name) {
                break found;
            }
            match name.split_once('.') {
                Some((_, above)) => name = above,
                None => return Vec::new(),
            }
        };
        let rows: Vec<KeyRow> = found.iter().map(|(row, _)| row.clone()).collect();
        let mut signing: Vec<&(KeyRow, Arc<Signer>)> = found
            .iter()
            .zip(states(&rows, now_secs))
            .filter(|(_, state)| *state == KeyState::Signing)
            .map(|(key, _)| key)
            .collect();
        signing.sort_by_key(|(row, _)| row.kind != KeyKind::Rsa);
        signing.into_iter().map(|(_, signer)| signer.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn row(kind: KeyKind, selector: &str, from: i64) -> KeyRow {
        KeyRow {
            domain: "x.test".into(),
            selector: selector.into(),
            kind,
            created_secs: 0,
            signs_from_secs: from,
            pkcs8: vec![1, 2],
        }
    }

    #[test]
    fn rotation_overlaps() {
        let rows = [row(KeyKind::Rsa, "a", 0), row(KeyKind::Rsa, "b", 1_000), row(KeyKind::Ed25519, "c", 0)];
        use KeyState::*;
        assert_eq!(states(&rows, 999), [Signing, Waiting, Signing]);
        assert_eq!(states(&rows, 1_000), [Retiring, Signing, Signing]);
        assert_eq!(states(&rows, 1_000 + RETIRED_SECS), [Old, Signing, Signing]);
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let row = row(KeyKind::Ed25519, "s", -5);
        assert_eq!(KeyRow::decode(&row.name(), &row.encode()), Some(row));
        assert_eq!(KeyRow::decode("x", &[1, 0]), None);
        assert_eq!(stamp_of("Sat, 8 Nov 2026 10:00:00 +0000"), "20261108");
    }
}

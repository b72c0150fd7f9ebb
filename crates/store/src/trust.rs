//! What judging and signing mail needs kept: keys, secrets, greylists, counters of reports, reports that came.
//!
//! Rows of a kind by name; the store keeps their octets without reading them. They belong to no account.
//! Invariant: keys and secrets are durable when the act answers; what may be lost ([`TrustKind::is_light`]) is not waited for.
//! How many rows there may be is the caller's to bound. Must not know: what the octets mean.

use crate::Store;
use crate::engine::{Batch, Key, Outcome, get, range};
use crate::key;
use crate::limits::TRUST_ROW_BYTES_MAX;
use crate::store::Result;
use crate::types::StoreError;
use crate::value::{Writer, decoded, open};

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrustKind {
    /// A key that signs.
    SigningKey,
    /// A secret of this server.
    Secret,
    /// Who was asked to come again, and who did.
    Greylist,
    /// What a report will say.
    Count,
    /// A report somebody sent us.
    Report,
    /// What a report about TLS will say.
    TlsCount,
}

impl TrustKind {
    /// May be lost with the last moments before a crash.
    pub fn is_light(self) -> bool {
        matches!(self, TrustKind::Greylist | TrustKind::Count | TrustKind::TlsCount)
    }

    fn kind(self) -> u8 {
        match self {
            TrustKind::SigningKey => key::SIGNING_KEY,
            TrustKind::Secret => key::SECRET,
            TrustKind::Greylist => key::GREYLIST,
            TrustKind::Count => key::REPORT_COUNT,
            TrustKind::Report => key::REPORT,
            TrustKind::TlsCount => key::TLS_COUNT,
        }
    }
}

fn decode(at: &Key, stored: &[u8]) -> Result<Vec<u8>> {
    let mut reader = open(at, stored)?;
    decoded(
        at,
        (|| {
            let value = reader.bytes()?.to_vec();
            reader.end()?;
            Some(value)
        })(),
    )
}

impl Store {
    /// One row.
    pub async fn trust_row(&self, kind: TrustKind, name: &str) -> Result<Option<Vec<u8>>> {
        let at = key::trust(kind.kind(), name);
        let stored = get(&*self.inner.engine, at.clone()).await?;
        stored.map(|stored| decode(&at, &stored)).transpose()
    }

    /// Rows whose names begin with `prefix`, by name, behind `after`. One that cannot be read costs itself.
    pub async fn trust_rows(
        &self,
        kind: TrustKind,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        let (mut from, to) = key::under(&key::trust(kind.kind(), prefix));
        if let Some(after) = after {
            from = from.max(key::trust(kind.kind(), after).behind());
        }
        let mut rows = Vec::new();
        if from >= to {
            return Ok(rows);
        }
        for (at, stored) in range(&*self.inner.engine, (from, to), limit).await? {
            let Some(name) = key::Parts::of(&at).text() else { continue };
            match decode(&at, &stored) {
                Ok(value) => rows.push((name.to_owned(), value)),
                Err(error) => tracing::error!(?error, "a row of trust cannot be read"),
            }
        }
        Ok(rows)
    }

    /// Sets and (`None`) removes rows of one kind, all or none.
    pub async fn trust_set(&self, kind: TrustKind, rows: Vec<(String, Option<Vec<u8>>)>) -> Result<()> {
        if rows
            .iter()
            .any(|(name, value)| name.len() > 512 || value.as_ref().is_some_and(|value| value.len() > TRUST_ROW_BYTES_MAX))
        {
            return Err(StoreError::Invalid("a row of trust is too long"));
        }
        let mut batch = Batch { light: kind.is_light(), ..Batch::default() };
        for (name, value) in rows {
            let at = key::trust(kind.kind(), &name);
            match value {
                Some(value) => {
                    let mut out = Writer::new();
                    out.bytes(&value);
                    let sealed = out.seal(&at);
                    batch.put(at, sealed);
                }
                None => batch.delete(at),
            }
        }
        match self.inner.commit(batch).await {
            Outcome::Done => Ok(()),
            Outcome::Conflict => Err(StoreError::Exists),
            Outcome::Failed(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::StoreConfig;

    #[tokio::test]
    async fn rows_are_kept_by_kind_and_name() {
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            data_dir: dir.path().to_owned(),
            undo_days: 1,
            free_bytes_min: 0,
            free_bytes_tight: 0,
            message_bytes_max: 1000,
        };
        let store = Store::open(config.clone()).await.unwrap();
        let set = |name: &str, value: &[u8]| vec![(name.to_owned(), Some(value.to_vec()))];
        store.trust_set(TrustKind::SigningKey, set("a.test/1", b"one")).await.unwrap();
        store.trust_set(TrustKind::SigningKey, set("a.test/2", b"two")).await.unwrap();
        store.trust_set(TrustKind::SigningKey, set("b.test/1", b"three")).await.unwrap();
        store.trust_set(TrustKind::Count, set("a.test/1", b"other")).await.unwrap();
        let long = store.trust_set(TrustKind::Secret, set("x", &vec![0; TRUST_ROW_BYTES_MAX + 1])).await;
        assert!(matches!(long, Err(StoreError::Invalid(_))));
        assert_eq!(store.check().await.unwrap(), vec![]);
        store.close().await.unwrap();
        // Keys are in the segments: they come back when the index is made anew.
        Store::rebuild(config.clone()).await.unwrap();
        let store = Store::open(config).await.unwrap();
        let names = |rows: Vec<(String, Vec<u8>)>| rows.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(store.trust_rows(TrustKind::SigningKey, "a.test/", None, 10).await.unwrap()), ["a.test/1", "a.test/2"]);
        assert_eq!(names(store.trust_rows(TrustKind::SigningKey, "", Some("a.test/1"), 1).await.unwrap()), ["a.test/2"]);
        assert_eq!(store.trust_row(TrustKind::SigningKey, "b.test/1").await.unwrap().unwrap(), b"three");
        store.trust_set(TrustKind::SigningKey, vec![("a.test/1".to_owned(), None)]).await.unwrap();
        assert_eq!(store.trust_row(TrustKind::SigningKey, "a.test/1").await.unwrap(), None);
        store.close().await.unwrap();
    }
}

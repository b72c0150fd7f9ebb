//! MTA-STS policies of other domains, as they are kept between deliveries.
//!
//! Invariant: a row of an older release is read: it was used when it was fetched. Must not know: what a policy says.

use crate::Store;
use crate::engine::{Batch, Key, Version, get, range};
use crate::key;
use crate::store::Result;
use crate::types::*;
use crate::undo::done;
use crate::value::{Writer, decoded, open_up_to};

/// With `used_secs` at the end; version 1 ends before it.
const NEWEST: u8 = 2;

fn encode(at: &Key, policy: &KeptPolicy) -> Vec<u8> {
    let mut out = Writer::new();
    out.text(&policy.id).signed(policy.fetched_secs).text(&policy.text).signed(policy.used_secs);
    out.seal_as(at, NEWEST)
}

pub(crate) fn decode(at: &Key, stored: &[u8]) -> Result<KeptPolicy> {
    let (version, mut reader) = open_up_to(at, stored, NEWEST)?;
    let read = (|| {
        let (id, fetched_secs, text) = (reader.text()?.to_owned(), reader.signed()?, reader.text()?.to_owned());
        let used_secs = if version < NEWEST { fetched_secs } else { reader.signed()? };
        Some(KeptPolicy { id, fetched_secs, used_secs, text })
    })();
    decoded(at, read)
}

impl Store {
    /// What was kept of a domain's policy.
    pub async fn policy(&self, domain: &str) -> Result<Option<KeptPolicy>> {
        let at = key::policy(&domain.to_lowercase());
        get(&*self.inner.engine, at.clone()).await?.map(|stored| decode(&at, &stored)).transpose()
    }

    /// Keeps it.
    pub async fn keep_policy(&self, domain: &str, policy: &KeptPolicy) -> Result<()> {
        let at = key::policy(&domain.to_lowercase());
        let value = encode(&at, policy);
        done(self.inner.commit(Batch { writes: vec![(at, Some(value))], ..Batch::default() }).await)
    }

    /// Forgets it, unless another has taken its place.
    pub async fn forget_policy(&self, domain: &str, policy: &KeptPolicy) -> Result<()> {
        let at = key::policy(&domain.to_lowercase());
        let Some(stored) = get(&*self.inner.engine, at.clone()).await? else { return Ok(()) };
        if decode(&at, &stored).is_ok_and(|found| found == *policy) {
            let expects = vec![(at.clone(), Version::of(Some(&stored)))];
            return done(self.inner.commit(Batch { expects, writes: vec![(at, None)], ..Batch::default() }).await);
        }
        Ok(())
    }

    /// The kept ones of domains behind this one, in their order; a damaged row is passed over (it is told when it is asked for). At most
    /// `limit` are looked at; the domain to go on behind when there may be more.
    pub async fn policies(&self, behind: Option<&str>, limit: usize) -> Result<(Vec<(String, KeptPolicy)>, Option<String>)> {
        let (first, end) = key::whole(key::POLICY);
        let from = behind.map_or(first, |domain| key::policy(domain).behind());
        let rows = range(&*self.inner.engine, (from, end), limit).await?;
        let domain = |at: &Key| key::Parts::of(at).text().unwrap_or_default().to_owned();
        let last = rows.last().filter(|_| rows.len() >= limit).map(|(at, _)| domain(at));
        let found = rows.iter().filter_map(|(at, stored)| Some((domain(at), decode(at, stored).ok()?))).collect();
        Ok((found, last))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tests::{both, sound};

    fn kept(id: &str, fetched_secs: UnixSecs) -> KeptPolicy {
        KeptPolicy { id: id.into(), fetched_secs, used_secs: fetched_secs + 5, text: format!("policy {id}") }
    }

    #[tokio::test]
    async fn policies_are_kept_listed_and_forgotten() {
        for (_place, store) in both().await {
            for (at, domain) in ["a.test", "b.test", "C.test"].iter().enumerate() {
                store.keep_policy(domain, &kept(domain, at as i64)).await.unwrap();
            }
            assert_eq!(store.policy("c.TEST").await.unwrap(), Some(kept("C.test", 2)));
            let (first, behind) = store.policies(None, 2).await.unwrap();
            assert_eq!(first, [("a.test".into(), kept("a.test", 0)), ("b.test".into(), kept("b.test", 1))]);
            let (rest, behind) = store.policies(behind.as_deref(), 2).await.unwrap();
            assert_eq!((rest, behind), (vec![("c.test".into(), kept("C.test", 2))], None));
            store.forget_policy("a.test", &kept("other", 0)).await.unwrap();
            assert!(store.policy("a.test").await.unwrap().is_some(), "another has taken its place");
            store.forget_policy("a.test", &kept("a.test", 0)).await.unwrap();
            assert_eq!(store.policy("a.test").await.unwrap(), None);
            sound(&store).await;
        }
    }

    #[test]
    fn a_row_of_an_older_release_is_read() {
        let at = key::policy("a.test");
        let mut out = Writer::new();
        out.text("1").signed(70).text("words");
        let old = decode(&at, &out.seal(&at)).unwrap();
        assert_eq!(old, KeptPolicy { id: "1".into(), fetched_secs: 70, used_secs: 70, text: "words".into() });
        assert_eq!(decode(&at, &encode(&at, &old)).unwrap(), old);
    }
}

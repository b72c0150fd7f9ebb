//! What our aggregate reports will say (RFC 9990): messages counted by day, policy and likeness.
//!
//! Invariant: at most [`COUNTS_MAX`] different rows are kept; what comes past that is not counted. A crash may lose the last
//! moments. Must not know: who wants reports.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use store::{Store, StoreError, TrustKind};
use trust::aggregate::Row;

/// Rows of all days together.
pub const COUNTS_MAX: usize = 50_000;
const VERSION: u8 = 1;

/// See the module. Keys are `DAY/DOMAIN/LIKENESS`.
#[derive(Default)]
pub struct Counts {
    rows: Mutex<BTreeMap<String, Row>>,
}

/// The day of a time, as keys begin with it.
pub(crate) fn day_of(secs: i64) -> i64 {
    secs.div_euclid(86_400)
}

impl Counts {
    /// Reads what the store has.
    pub async fn load(&self, store: &Store) -> Result<(), StoreError> {
        let mut after: Option<String> = None;
        loop {
            let rows = store.trust_rows(TrustKind::Count, "", after.as_deref(), 1_000).await?;
            for (name, octets) in &rows {
                if let Some(row) = decode(octets) {
                    self.rows.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), row);
                }
            }
            match rows.last() {
                Some((last, _)) if rows.len() == 1_000 => after = Some(last.clone()),
                _ => return Ok(()),
            }
        }
    }

    /// One more message that is like `row` (whose count does not matter).
    pub(crate) async fn add(&self, store: &Store, domain: &str, row: Row, now_secs: i64) {
        let likeness = blake3::hash(&encode(&Row { count: 0, ..row.clone() }));
        let name = format!("{:08}/{domain}/{}", day_of(now_secs), likeness.to_hex().get(..16).unwrap_or_default());
        let octets = {
            let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
            if rows.len() >= COUNTS_MAX && !rows.contains_key(&name) {
                return;
            }
            let kept = rows.entry(name.clone()).or_insert(Row { count: 0, ..row });
            kept.count = kept.count.saturating_add(1);
            encode(kept)
        };
        if let Err(error) = store.trust_set(TrustKind::Count, vec![(name, Some(octets))]).await {
            tracing::warn!(?error, "a count for reports could not be written");
        }
    }

    /// The days and domains that are over, with their rows.
    pub(crate) fn over(&self, now_secs: i64) -> BTreeMap<(i64, String), Vec<(String, Row)>> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: BTreeMap<(i64, String), Vec<(String, Row)>> = BTreeMap::new();
        for (name, row) in rows.iter() {
            let mut parts = name.splitn(3, '/');
            let (Some(Ok(day)), Some(domain)) = (parts.next().map(str::parse::<i64>), parts.next()) else { continue };
            if day < day_of(now_secs) {
                found.entry((day, domain.to_owned())).or_default().push((name.clone(), row.clone()));
            }
        }
        found
    }

    /// They are reported, or nobody wants to hear of them.
    pub(crate) async fn forget(&self, store: &Store, names: &[String]) -> Result<(), StoreError> {
        store.trust_set(TrustKind::Count, names.iter().map(|name| (name.clone(), None)).collect()).await?;
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        names.iter().for_each(|name| drop(rows.remove(name)));
        Ok(())
    }
}

/// Fields between tabs; none of them may have one.
fn encode(row: &Row) -> Vec<u8> {
    let plain = |text: &str| text.replace(['\t', '\n', '\u{1f}'], " ");
    let dkim: Vec<String> =
        row.dkim.iter().map(|(d, s, r)| format!("{}\u{1f}{}\u{1f}{}", plain(d), plain(s), plain(r))).collect();
    let spf = row.spf.as_ref().map(|(domain, result)| format!("{}\u{1f}{}", plain(domain), plain(result))).unwrap_or_default();
    let text = [
        row.count.to_string(),
        row.source.map(|ip| ip.to_string()).unwrap_or_default(),
        plain(&row.disposition),
        u8::from(row.dkim_aligned).to_string(),
        u8::from(row.spf_aligned).to_string(),
        plain(&row.reason),
        plain(&row.header_from),
        plain(&row.envelope_from),
        dkim.join("\n"),
        spf,
    ]
    .join("\t");
    [&[VERSION], text.as_bytes()].concat()
}

fn decode(octets: &[u8]) -> Option<Row> {
    let text = std::str::from_utf8(octets.strip_prefix(&[VERSION])?).ok()?;
    let fields: Vec<&str> = text.split('\t').collect();
    let [count, source, disposition, dkim_aligned, spf_aligned, reason, header_from, envelope_from, dkim, spf] =
        fields.as_slice()
    else {
        return None;
    };
    let three = |line: &str| {
        let mut parts = line.split('\u{1f}').map(str::to_owned);
        Some((parts.next()?, parts.next()?, parts.next()?))
    };
    Some(Row {
        source: source.parse().ok(),
        count: count.parse().ok()?,
        disposition: (*disposition).to_owned(),
        dkim_aligned: *dkim_aligned == "1",
        spf_aligned: *spf_aligned == "1",
        reason: (*reason).to_owned(),
        header_from: (*header_from).to_owned(),
        envelope_from: (*envelope_from).to_owned(),
        dkim: dkim.lines().filter_map(three).collect(),
        spf: spf.split_once('\u{1f}').map(|(domain, result)| (domain.to_owned(), result.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn rows_are_read_as_they_were_written() {
        let row = Row {
            source: Some([192, 0, 2, 1].into()),
            count: 3,
            disposition: "none".into(),
            dkim_aligned: true,
            spf_aligned: false,
            reason: String::new(),
            header_from: "x.test".into(),
            envelope_from: "y.test".into(),
            dkim: vec![("a".into(), "b".into(), "pass".into()), ("c".into(), "d".into(), "fail".into())],
            spf: Some(("y.test".into(), "pass".into())),
        };
        assert_eq!(decode(&encode(&row)), Some(row));
        assert_eq!(decode(&encode(&Row::default())), Some(Row::default()));
        assert_eq!(decode(b"\x02x"), None);
    }
}

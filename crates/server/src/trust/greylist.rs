//! Greylisting (RFC 6647): a stranger's first try is put off; who comes again is known from then on.
//!
//! Off unless switched on. Invariant: at most [`STRANGERS_MAX`] are remembered, the oldest are forgotten first; what is
//! remembered is kept in the store, and a restart makes nobody a stranger again. Must not know: SMTP.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use store::{Store, StoreError, TrustKind};

/// A second try counts after this.
const WAIT_SECS: i64 = 60;
/// ... and before this.
const WINDOW_SECS: i64 = 2 * 86_400;
/// Who came again is known for this long after the last time.
const KNOWN_SECS: i64 = 36 * 86_400;
/// Remembered at once.
pub const STRANGERS_MAX: usize = 50_000;

#[derive(Debug, Clone, Copy)]
struct Seen {
    first_secs: i64,
    last_secs: i64,
    known: bool,
}

#[derive(Default)]
struct Inner {
    seen: HashMap<String, Seen>,
    order: BTreeSet<(i64, String)>,
}

/// See the module.
#[derive(Default)]
pub struct Greylist {
    inner: Mutex<Inner>,
}

/// The network a peer is in: mail comes from neighbours of the first try.
fn network(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            format!("{a}.{b}.{c}")
        }
        IpAddr::V6(ip) => ip.octets().iter().take(8).map(|octet| format!("{octet:02x}")).collect(),
    }
}

impl Inner {
    fn put(&mut self, name: &str, seen: Seen) -> Vec<String> {
        if let Some(before) = self.seen.insert(name.to_owned(), seen) {
            self.order.remove(&(before.last_secs, name.to_owned()));
        }
        self.order.insert((seen.last_secs, name.to_owned()));
        let mut gone = Vec::new();
        while self.seen.len() > STRANGERS_MAX {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.seen.remove(&oldest);
            gone.push(oldest);
        }
        gone
    }
}

impl Greylist {
    /// Reads what the store remembers.
    pub async fn load(&self, store: &Store) -> Result<(), StoreError> {
        let mut after: Option<String> = None;
        loop {
            let rows = store.trust_rows(TrustKind::Greylist, "", after.as_deref(), 1_000).await?;
            for (name, octets) in &rows {
                if let Some(seen) = decode(octets) {
                    self.inner.lock().unwrap_or_else(PoisonError::into_inner).put(name, seen);
                }
            }
            match rows.last() {
                Some((last, _)) if rows.len() == 1_000 => after = Some(last.clone()),
                _ => return Ok(()),
            }
        }
    }

    /// May it come in? `false`: not yet. A network that once came again is known for everybody.
    pub async fn admits(&self, store: &Store, ip: IpAddr, sender: &str, recipient: &str, now_secs: i64) -> bool {
        let net = network(ip);
        let triple = blake3::hash(format!("{net}\0{}\0{}", store::normalise(sender), store::normalise(recipient)).as_bytes());
        let (net, triple) = (format!("n{net}"), format!("t{}", triple.to_hex()));
        let (admitted, rows) = {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            decide(&mut inner, &net, &triple, now_secs)
        };
        if let Err(error) = store.trust_set(TrustKind::Greylist, rows).await {
            tracing::warn!(?error, "the greylist could not be written");
        }
        admitted
    }
}

type Rows = Vec<(String, Option<Vec<u8>>)>;

fn decide(inner: &mut Inner, net: &str, triple: &str, now_secs: i64) -> (bool, Rows) {
    let mut rows = Rows::new();
    let mut put = |inner: &mut Inner, name: &str, seen: Seen| {
        rows.extend(inner.put(name, seen).into_iter().map(|gone| (gone, None)));
        rows.push((name.to_owned(), Some(encode(seen))));
    };
    if let Some(seen) = inner.seen.get(net).copied()
        && now_secs - seen.last_secs < KNOWN_SECS
    {
        // Written again only once a day: being known is no work.
        if now_secs - seen.last_secs > 86_400 {
            put(inner, net, Seen { last_secs: now_secs, ..seen });
        }
        return (true, rows);
    }
    let first = inner.seen.get(triple).map(|seen| seen.first_secs).filter(|first| now_secs - first < WINDOW_SECS);
    match first {
        Some(first) if now_secs - first >= WAIT_SECS => {
            put(inner, net, Seen { first_secs: now_secs, last_secs: now_secs, known: true });
            (true, rows)
        }
        Some(_) => (false, rows),
        None => {
            put(inner, triple, Seen { first_secs: now_secs, last_secs: now_secs, known: false });
            (false, rows)
        }
    }
}

fn encode(seen: Seen) -> Vec<u8> {
    let mut out = vec![1, u8::from(seen.known)];
    out.extend_from_slice(&seen.first_secs.to_be_bytes());
    out.extend_from_slice(&seen.last_secs.to_be_bytes());
    out
}

fn decode(octets: &[u8]) -> Option<Seen> {
    let ([1, known], rest) = octets.split_first_chunk::<2>()? else { return None };
    let (first, rest) = rest.split_first_chunk::<8>()?;
    let (last, _) = rest.split_first_chunk::<8>()?;
    Some(Seen { first_secs: i64::from_be_bytes(*first), last_secs: i64::from_be_bytes(*last), known: *known == 1 })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn who_comes_again_is_known() {
        let mut inner = Inner::default();
        assert!(!decide(&mut inner, "n1", "t1", 0).0);
        assert!(!decide(&mut inner, "n1", "t1", WAIT_SECS - 1).0, "too soon");
        assert!(!decide(&mut inner, "n1", "t2", WAIT_SECS).0, "another message");
        assert!(decide(&mut inner, "n1", "t1", WAIT_SECS).0);
        assert!(decide(&mut inner, "n1", "t9", WAIT_SECS + 1).0, "the network is known now");
        assert!(!decide(&mut inner, "n2", "t3", 0).0);
        assert!(!decide(&mut inner, "n2", "t3", WINDOW_SECS).0, "too late is a first time");
        assert!(!decide(&mut inner, "n1", "t8", WAIT_SECS + KNOWN_SECS + 1).0, "forgotten");
    }

    #[test]
    fn no_more_than_so_many() {
        let mut inner = Inner::default();
        for n in 0..STRANGERS_MAX + 10 {
            decide(&mut inner, "n", &format!("t{n}"), n as i64 % 50);
        }
        assert_eq!((inner.seen.len(), inner.order.len()), (STRANGERS_MAX, STRANGERS_MAX));
        let seen = Seen { first_secs: -3, last_secs: 9, known: true };
        let back = decode(&encode(seen)).unwrap();
        assert_eq!((back.first_secs, back.last_secs, back.known), (-3, 9, true));
        assert!(decode(&[2]).is_none());
    }
}

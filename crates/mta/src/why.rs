//! "Why?": one ordered timeline of everything the trace knows about an address, Message-ID, queue id, IP or transaction.
//!
//! What kinds of keys there are is known here: `address`, `message-id`, `queue`, `ip`, `transaction`, `email`, `account`.
//! Invariant: bounded, newest kept; only for the operator (an account's owner asks [`store::Store::trace_for`]).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use store::{Store, StoreError, TraceEvent};

/// Events of one key.
const EVENTS_MAX: usize = 1_000;
/// Keys that lead from one event to others.
const LINKS: [&str; 4] = ["transaction", "message-id", "queue", "email"];
/// Links followed, at most.
const LINKS_MAX: usize = 300;

/// What a word given on the command line may be, most likely first.
fn readings(asked: &str) -> Vec<(&'static str, String)> {
    let asked = asked.trim();
    let bare = asked.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    if let Ok(ip) = asked.trim_matches(['[', ']']).parse::<IpAddr>() {
        return vec![("ip", ip.to_string())];
    }
    if !asked.is_empty() && asked.bytes().all(|octet| octet.is_ascii_digit()) {
        return vec![("queue", asked.to_owned())];
    }
    if asked.contains('@') {
        let inner = bare.unwrap_or(asked);
        let mut readings = vec![("message-id", format!("<{inner}>")), ("message-id", inner.to_owned())];
        // Brackets are a Message-ID's, or an address as SMTP writes it.
        readings.push(("address", inner.to_owned()));
        let normal = store::normalise(inner);
        if normal != inner {
            readings.push(("address", normal));
        }
        return readings;
    }
    vec![("transaction", asked.to_owned()), ("message-id", asked.to_owned())]
}

/// The newest events about it, oldest first, with their numbers; only those after `after`, when that is given.
pub async fn timeline(store: &Store, asked: &str, after: Option<u64>) -> Result<Vec<(u64, TraceEvent)>, StoreError> {
    let mut found: BTreeMap<u64, TraceEvent> = BTreeMap::new();
    let mut done: BTreeSet<(String, String)> = BTreeSet::new();
    let mut ask: Vec<(String, String)> = readings(asked).into_iter().map(|(kind, value)| (kind.to_owned(), value)).collect();
    if asked.contains('@')
        && let Some(account) = store.account(asked.trim_matches(['<', '>'])).await?
    {
        ask.push(("account".to_owned(), account.id.0.to_string()));
    }
    while !ask.is_empty() && done.len() < LINKS_MAX {
        let mut links: Vec<(String, String)> = Vec::new();
        for (kind, value) in ask {
            if done.len() >= LINKS_MAX || !done.insert((kind.clone(), value.to_lowercase())) {
                continue;
            }
            for (id, event) in store.trace_find_numbered(&kind, &value, EVENTS_MAX).await? {
                // An act on very many messages leads to each of them: that is no longer about this one.
                let leads = event.keys.len() <= EVENTS_MAX / 10;
                let of_event = event.keys.iter().filter(|(kind, _)| leads && LINKS.contains(&kind.as_str()));
                links.extend(of_event.map(|(kind, value)| (kind.to_string(), value.clone())));
                found.insert(id, event);
            }
        }
        // The newest first, should there be too many.
        links.reverse();
        ask = links;
    }
    let first = after.map_or(0, |after| after.saturating_add(1));
    let late = found.split_off(&first);
    let skip = late.len().saturating_sub(EVENTS_MAX);
    Ok(late.into_iter().skip(skip).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_as_what_it_may_be() {
        assert_eq!(readings("2001:DB8::1"), [("ip", "2001:db8::1".to_owned())]);
        assert_eq!(readings("[192.0.2.1]"), [("ip", "192.0.2.1".to_owned())]);
        assert_eq!(readings("4711"), [("queue", "4711".to_owned())]);
        assert_eq!(readings("1pYxK3"), [("transaction", "1pYxK3".to_owned()), ("message-id", "1pYxK3".to_owned())]);
        let kinds: Vec<&str> = readings("<Ann@Here.test>").iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, ["message-id", "message-id", "address", "address"]);
        assert!(readings("").iter().all(|(_, value)| value.is_empty()));
    }
}

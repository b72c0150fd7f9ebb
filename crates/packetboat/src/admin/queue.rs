//! The operator's acts on what is on its way out: list, act on many, freeze, suppress, alarms.
//!
//! Acts on many run side by side, so that they share syncs; each is one commit of its own. Invariant: what one entry
//! refuses costs none of the others.

use super::views::{FreezeView, QueueView, SetAsideView, SuppressedView, TraceView};
use super::{Admin, Answer, PAGE, told};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use server::context::unix_now;
use std::collections::BTreeMap;
use store::{AccountId, Frozen, QueueAct, QueueEntry, QueueId, Store, StoreError};
use tokio::task::JoinSet;

/// Acts under way at once.
const AT_ONCE: usize = 64;
/// Entries named when it is told what would be dropped.
const NAMED: usize = 100;
/// Alarms shown.
const ALARMS: usize = 1_000;

/// What is done to queue entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum QueueDeed {
    Retry,
    Hold,
    Release,
    Schedule { secs: u32 },
    Reroute { destination: String },
    Drop,
}

/// Which entries: all that fit everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueueFilter {
    /// An address or a domain of the sender, or the account that submitted it.
    #[serde(default)]
    pub(crate) from: Option<String>,
    /// An address or a domain of a recipient that waits, or the destination.
    #[serde(default)]
    pub(crate) to: Option<String>,
    #[serde(default)]
    pub(crate) held: bool,
}

/// Which queue entries are meant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum QueueWhich {
    All,
    Ids(Vec<u64>),
    Matching(QueueFilter),
}

/// `wanted` is an address, or a domain alone.
fn fits(address: &str, wanted: &str) -> bool {
    match address.rsplit_once('@') {
        Some((_, domain)) if !wanted.contains('@') => domain.eq_ignore_ascii_case(wanted),
        _ => store::normalise(address) == store::normalise(wanted),
    }
}

impl QueueFilter {
    fn admits(&self, entry: &QueueEntry, account: Option<AccountId>) -> bool {
        let message = &entry.message;
        let from = |wanted: &String| fits(&message.reverse_path, wanted) || account.is_some() && message.account == account;
        let waiting = || message.recipients.iter().filter(|recipient| recipient.state == store::RecipientState::Waiting);
        let to = |wanted: &String| {
            message.destination.eq_ignore_ascii_case(wanted) || waiting().any(|recipient| fits(&recipient.address, wanted))
        };
        self.from.as_ref().is_none_or(from) && self.to.as_ref().is_none_or(to) && (!self.held || entry.held)
    }
}

async fn act_on(store: Store, id: u64, act: QueueAct) -> Result<(), String> {
    let aside = match act {
        QueueAct::Retry { .. } | QueueAct::Release { .. } => Some(false),
        QueueAct::Drop => Some(true),
        _ => None,
    };
    match (store.queue_act(QueueId(id), act).await, aside) {
        (Ok(()), _) => Ok(()),
        // One that was set aside.
        (Err(StoreError::NotFound), Some(drop)) => {
            let done = match drop {
                true => store.queue_bad_drop(QueueId(id)).await,
                false => store.queue_bad_restore(QueueId(id)).await,
            };
            done.map_err(|error| match error {
                StoreError::NotFound => "there is no such queue entry".into(),
                other => told(&other),
            })
        }
        (Err(StoreError::NotFound), None) => Err("there is no such queue entry".into()),
        (Err(error), _) => Err(told(&error)),
    }
}

impl Admin {
    async fn queue_entries(&self, filter: &QueueFilter) -> Result<Vec<QueueEntry>, String> {
        let account = match filter.from.as_deref().filter(|from| from.contains('@')) {
            Some(from) => self.store.account(from).await.map_err(|error| told(&error))?.map(|account| account.id),
            None => None,
        };
        let mut list = Vec::new();
        let mut after = None;
        loop {
            let page = self.store.queue_list(after, PAGE).await.map_err(|error| told(&error))?;
            let Some(last) = page.last() else { return Ok(list) };
            after = Some(last.id);
            list.extend(page.into_iter().filter(|entry| filter.admits(entry, account)));
        }
    }

    pub(super) async fn queue_list(&self, filter: &QueueFilter) -> Answer {
        let entries: Vec<QueueView> = self.queue_entries(filter).await?.iter().map(QueueView::from).collect();
        let bad = self.store.queue_bad().await.map_err(|error| told(&error))?;
        let bad: Vec<SetAsideView> = bad.into_iter().map(|row| SetAsideView { id: row.id.0, reason: row.reason }).collect();
        let mut answer = BTreeMap::from([("entries", json!(entries))]);
        if !bad.is_empty() {
            answer.insert("set_aside", json!(bad));
        }
        let frozen = self.frozen().await?;
        if !frozen.is_empty() {
            answer.insert("frozen", json!(frozen));
        }
        Ok(json!(answer))
    }

    pub(super) async fn queue_show(&self, id: u64) -> Answer {
        let entry = self.store.queue_entry(QueueId(id)).await.map_err(|error| told(&error))?;
        let entry = entry.ok_or_else(|| format!("there is no queue entry {id}"))?;
        Ok(json!({ "entry": QueueView::from(&entry) }))
    }

    pub(super) async fn queue(&self, deed: QueueDeed, which: QueueWhich, yes: bool) -> Answer {
        let filter = match which {
            QueueWhich::Ids(ids) => return self.queue_ids(deed, ids, yes).await,
            QueueWhich::All => QueueFilter::default(),
            QueueWhich::Matching(filter) => filter,
        };
        let ids = self.queue_entries(&filter).await?.iter().map(|entry| entry.id.0).collect();
        self.queue_ids(deed, ids, yes).await
    }

    async fn queue_ids(&self, deed: QueueDeed, ids: Vec<u64>, yes: bool) -> Answer {
        if deed == QueueDeed::Drop && !yes {
            return self.would_drop(&ids).await;
        }
        let now_secs = unix_now();
        let act = match deed {
            QueueDeed::Retry => QueueAct::Retry { now_secs },
            QueueDeed::Hold => QueueAct::Hold,
            QueueDeed::Release => QueueAct::Release { now_secs },
            QueueDeed::Schedule { secs } => QueueAct::Schedule { at_secs: now_secs + i64::from(secs) },
            QueueDeed::Reroute { destination } => QueueAct::Reroute { destination: place(&destination)?.into(), now_secs },
            QueueDeed::Drop => QueueAct::Drop,
        };
        let mut outcomes: BTreeMap<u64, Result<(), String>> = BTreeMap::new();
        let mut acts = JoinSet::new();
        for id in ids {
            if acts.len() >= AT_ONCE
                && let Some(Ok((id, outcome))) = acts.join_next().await
            {
                outcomes.insert(id, outcome);
            }
            let (store, act) = (self.store.clone(), act.clone());
            acts.spawn(async move { (id, act_on(store, id, act).await) });
        }
        while let Some(joined) = acts.join_next().await {
            if let Ok((id, outcome)) = joined {
                outcomes.insert(id, outcome);
            }
        }
        let done: Vec<u64> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(id, _)| *id).collect();
        let refused = outcomes.iter().filter_map(|(id, outcome)| Some(json!({ "id": id, "why": outcome.as_ref().err()? })));
        Ok(json!({ "done": done, "refused": refused.collect::<Vec<Value>>() }))
    }

    async fn would_drop(&self, ids: &[u64]) -> Answer {
        let mut lines = Vec::new();
        let aside = self.store.queue_bad().await.map_err(|error| told(&error))?;
        for id in ids.iter().take(NAMED) {
            let Some(entry) = self.store.queue_entry(QueueId(*id)).await.map_err(|error| told(&error))? else {
                if aside.iter().any(|row| row.id.0 == *id) {
                    lines.push(format!("{id}, which was set aside"));
                    continue;
                }
                return Err(format!("there is no queue entry {id}"));
            };
            let to: Vec<&str> = entry.message.recipients.iter().map(|recipient| recipient.address.as_str()).collect();
            lines.push(format!("{id} from <{}> to {}", entry.message.reverse_path, to.join(", ")));
        }
        let what = if lines.is_empty() { String::new() } else { format!(", without a bounce: {}", lines.join("; ")) };
        let more = ids.len().saturating_sub(lines.len());
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        Ok(json!({ "would": format!("drop {} queue entries{what}{more}", ids.len()) }))
    }

    // ---- freezing ----

    async fn frozen_of(&self, what: &str) -> Result<Frozen, String> {
        if what.eq_ignore_ascii_case("all") {
            return Ok(Frozen::All);
        }
        if what.contains('@') && !what.starts_with('[') {
            return Ok(Frozen::Account(self.find(what).await?.id));
        }
        Ok(Frozen::Destination(place(what)?.into()))
    }

    pub(super) async fn frozen(&self) -> Result<Vec<FreezeView>, String> {
        let mut list = Vec::new();
        for freeze in self.store.frozen() {
            let what = match &freeze.what {
                Frozen::All => "all".to_owned(),
                Frozen::Destination(domain) => domain.to_string(),
                Frozen::Account(id) => {
                    let account = self.store.account_by_id(*id).await.map_err(|error| told(&error))?;
                    account.map_or_else(|| format!("removed account {}", id.0), |account| account.address.clone())
                }
            };
            list.push(FreezeView { what, since_secs: freeze.since_secs, why: freeze.why });
        }
        Ok(list)
    }

    pub(super) async fn freeze(&self, what: &str, why: &str) -> Answer {
        let whom = self.frozen_of(what).await?;
        self.store.freeze(whom, why, unix_now()).await.map_err(|error| told(&error))?;
        Ok(json!({ "frozen": self.frozen().await? }))
    }

    pub(super) async fn thaw(&self, what: &str) -> Answer {
        let whom = self.frozen_of(what).await?;
        if !self.store.thaw(&whom, unix_now()).await.map_err(|error| told(&error))? {
            return Err(format!("{what} is not frozen"));
        }
        Ok(json!({ "frozen": self.frozen().await? }))
    }

    // ---- suppression, alarms ----

    pub(super) async fn suppress_list(&self, counting: bool) -> Answer {
        let rows = self.store.suppress_list(counting).await.map_err(|error| told(&error))?;
        Ok(json!({ "suppressed": rows.into_iter().map(SuppressedView::from).collect::<Vec<_>>() }))
    }

    pub(super) async fn suppress_add(&self, address: &str, why: &str) -> Answer {
        super::check_address(address)?;
        self.store.suppress(address, why, unix_now()).await.map_err(|error| told(&error))?;
        Ok(json!({ "address": store::normalise(address), "suppressed": true }))
    }

    pub(super) async fn suppress_remove(&self, address: &str) -> Answer {
        if !self.store.unsuppress(address).await.map_err(|error| told(&error))? {
            return Err(format!("{address} is not on the list"));
        }
        Ok(json!({ "address": store::normalise(address), "suppressed": false }))
    }

    pub(super) async fn alarms(&self) -> Answer {
        let found = self.store.trace_find_numbered("alarm", "all", ALARMS).await.map_err(|error| told(&error))?;
        let mut alarms = Vec::new();
        for (number, event) in found {
            let account = match event.account {
                Some(id) => self.store.account_by_id(id).await.map_err(|error| told(&error))?,
                None => None,
            };
            alarms.push(TraceView::of(number, event, account.as_deref()));
        }
        Ok(json!({ "events": alarms }))
    }
}

/// A destination: a domain, or an address literal.
fn place(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('.').to_ascii_lowercase();
    if text.starts_with('[') {
        return match mta::route::read(&text) {
            mta::route::Destination::Literal(_) => Ok(text),
            _ => Err(format!("{text} is no address literal: [192.0.2.1] or [IPv6:2001:db8::1]")),
        };
    }
    let normal = store::normalise(&format!("x@{text}"));
    super::check_address(&normal).map_err(|_| format!("{text} is neither a domain nor an address"))?;
    Ok(normal.trim_start_matches("x@").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_its_domain() {
        assert!(fits("Ann@Here.test", "ann@here.test") && fits("ann@here.test", "HERE.test"));
        assert!(!fits("ann@here.test", "bob@here.test") && !fits("ann@sub.here.test", "here.test") && !fits("", "here.test"));
    }

    #[test]
    fn destinations() {
        assert_eq!(place("Example.ORG."), Ok("example.org".to_owned()));
        assert_eq!(place("[192.0.2.1]"), Ok("[192.0.2.1]".to_owned()));
        assert!(place("a b").is_err() && place("[nobody]").is_err() && place("").is_err());
    }
}

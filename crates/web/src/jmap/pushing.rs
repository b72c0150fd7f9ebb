//! Push services told, account by account: what changed since the last time, in it and in those shared with it, together, later
//! when they are busy.
//!
//! Invariant: an account without subscriptions costs nothing; a push service that fails is asked less and less often; one that
//! does not know the subscription any more is not asked again. Must not know: how it is encrypted.

use super::Object;
use super::arrivals::{Told as Heard, since};
use super::followed::Followed;
use super::push::states;
use super::push_subscription::{Kept, all, good, keep};
use crate::collections::PUSH_SUBSCRIPTIONS;
use crate::limits::{PUSH_AGAIN, PUSH_AGAIN_MAX};
use crate::push_service::Told;
use crate::site::Shared;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use store::{AccountId, StoreError};
use tokio::time::Instant;

/// Changes that come in so short a time are told together.
const TOGETHER: Duration = Duration::from_millis(500);
/// After something failed.
const AGAIN: Duration = Duration::from_secs(30);
/// Between two pushes to one subscription, if all goes well.
const PAUSE: Duration = Duration::from_secs(2);

/// Accounts that are watched for push services.
#[derive(Default)]
pub(crate) struct Watched(Mutex<HashSet<AccountId>>);

impl Watched {
    fn begin(&self, account: AccountId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(account)
    }
    fn end(&self, account: AccountId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&account);
    }
}

/// What one subscription is still to be told, and when.
struct Owed {
    /// By account, as StateChange has it.
    changed: Object,
    not_before: Instant,
    again: Duration,
}

impl Owed {
    fn new() -> Owed {
        Owed { changed: Object::new(), not_before: Instant::now(), again: PUSH_AGAIN }
    }

    /// What happened, of the types that are asked for.
    fn add(&mut self, news: &Object, wanted: Option<&BTreeSet<String>>) {
        for (account, states) in news {
            let states = states.as_object().into_iter().flatten();
            let wanted: Object = states
                .filter(|(name, _)| wanted.is_none_or(|wanted| wanted.contains(*name)))
                .map(|(name, state)| (name.clone(), state.clone()))
                .collect();
            match self.changed.get_mut(account).and_then(Value::as_object_mut) {
                Some(known) => known.extend(wanted),
                None if wanted.is_empty() => {}
                None => drop(self.changed.insert(account.clone(), Value::Object(wanted))),
            }
        }
    }

    /// It could not be told now.
    fn later(&mut self, retry_after_secs: Option<u64>) {
        let wait = retry_after_secs.map_or(self.again, |secs| Duration::from_secs(secs).max(self.again)).min(PUSH_AGAIN_MAX);
        self.not_before = Instant::now() + wait;
        self.again = (self.again * 2).min(PUSH_AGAIN_MAX);
    }

    fn told(&mut self) {
        self.changed.clear();
        self.not_before = Instant::now() + PAUSE;
        self.again = PUSH_AGAIN;
    }
}

/// Goes on telling what was subscribed to before the server started.
pub(crate) async fn resume(site: Shared) {
    let mut shutdown = site.shutdown.clone();
    let mut after: Option<AccountId> = None;
    loop {
        let page = match site.store.record_holders(PUSH_SUBSCRIPTIONS, after, 500).await {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(?error, "push subscriptions could not be read yet");
                tokio::select! {
                    () = tokio::time::sleep(AGAIN) => continue,
                    _ = shutdown.wait_for(|down| *down) => return,
                }
            }
        };
        let Some(last) = page.last() else { return };
        after = Some(*last);
        page.iter().for_each(|account| watch(&site, *account));
    }
}

/// The one thing that goes to an address which has not said its code (RFC 8620 §7.2.2).
pub(super) fn verify(site: &Shared, account: AccountId, id: &str) {
    let (site, id) = (site.clone(), id.to_owned());
    tokio::spawn(async move {
        let stored = site.store.record(account, PUSH_SUBSCRIPTIONS, &id).await.ok().flatten();
        let Some(kept) = stored.as_deref().and_then(Kept::read) else { return };
        let value = json!({"@type": "PushVerification", "pushSubscriptionId": id, "verificationCode": kept.code});
        let _ = tell(&site, account, (&id, &kept), &value).await;
    });
}

/// Tells the push services of this account from now on, if that is not done already; it begins again when it breaks.
pub(super) fn watch(site: &Shared, account: AccountId) {
    if site.jmap.watched.begin(account) {
        let site = site.clone();
        tokio::spawn(net::lasting("what push services of an account are told", move || watched(site.clone(), account)));
    }
}

async fn watched(site: Shared, account: AccountId) {
    let mut shutdown = site.shutdown.clone();
    let outcome = tokio::select! {
        outcome = telling(&site, account) => outcome,
        _ = shutdown.wait_for(|down| *down) => return,
    };
    site.jmap.watched.end(account);
    match outcome {
        // Somebody may have subscribed just when the last one went.
        Ok(()) if all(&site, account).await.is_ok_and(|all| all.iter().any(|(_, kept)| kept.verified)) => {
            watch(&site, account);
        }
        Ok(()) => {}
        // What failed may be another account that goes, or pass: this one is told further as long as it is there.
        Err(error) => {
            if site.store.account_by_id(account).await.is_ok_and(|own| own.is_none()) {
                return;
            }
            tracing::warn!(?error, "push services of an account are told again after a pause");
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => watch(&site, account),
                _ = shutdown.wait_for(|down| *down) => {}
            }
        }
    }
}

/// Until nobody is subscribed.
async fn telling(site: &Shared, account: AccountId) -> Result<(), StoreError> {
    let Some(who) = site.store.account_by_id(account).await? else { return Ok(()) };
    let mut watch = site.store.watch(account).await?;
    let mut known = Heard::now(&site.store, account).await?;
    let mut followed = Followed::new(site, &who, false).await?;
    let mut owed: HashMap<String, Owed> = HashMap::new();
    while !subscribed(site, account).await?.is_empty() {
        let next = owed.values().filter(|one| !one.changed.is_empty()).map(|one| one.not_before).min();
        let due = async {
            match next {
                Some(next) => tokio::time::sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        let happened = tokio::select! {
            told = watch.changed() => {
                if told.is_err() {
                    return Ok(());
                }
                true
            }
            () = followed.happened() => true,
            () = due => false,
        };
        let mut news = Object::new();
        if happened {
            tokio::time::sleep(TOGETHER).await;
            watch.borrow_and_update();
            let types = since(&site.store, account, &mut known).await?;
            news = states(account, &types, known.mod_seq);
            news.extend(followed.look(site, None).await?);
        }
        // Those of now: what changed may be who is signed in.
        let subscribed = subscribed(site, account).await?;
        owed.retain(|id, _| subscribed.iter().any(|(there, _)| there == id));
        for (id, kept) in &subscribed {
            owed.entry(id.clone()).or_insert_with(Owed::new).add(&news, kept.types.as_ref());
        }
        tell_due(site, account, &subscribed, &mut owed).await;
    }
    Ok(())
}

async fn subscribed(site: &Shared, account: AccountId) -> Result<Vec<(String, Kept)>, StoreError> {
    Ok(good(site, account).await?.into_iter().filter(|(_, kept)| kept.verified).collect())
}

async fn tell_due(site: &Shared, account: AccountId, subscribed: &[(String, Kept)], owed: &mut HashMap<String, Owed>) {
    for (id, kept) in subscribed {
        let Some(one) = owed.get_mut(id).filter(|one| !one.changed.is_empty() && one.not_before <= Instant::now()) else {
            continue;
        };
        let change = json!({"@type": "StateChange", "changed": one.changed});
        match tell(site, account, (id, kept), &change).await {
            Told::Taken => one.told(),
            Told::Gone => drop(owed.remove(id)),
            Told::Later(retry_after_secs) => one.later(retry_after_secs),
        }
    }
}

/// Gives it to the push service; a subscription that it does not know any more goes.
async fn tell(site: &Shared, account: AccountId, (id, kept): (&str, &Kept), value: &Value) -> Told {
    let told = site.pushes.tell(&site.store, (&kept.url, kept.keys.as_ref()), &value.to_string()).await;
    if told == Told::Gone
        && let Err(error) = keep(site, account, id, None).await
    {
        tracing::warn!(?error, "a push subscription that is over was not removed");
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_fails_is_asked_less_and_less_often() {
        let mut owed = Owed::new();
        let mut waits = Vec::new();
        for retry_after_secs in [None, None, Some(600), Some(1), Some(1_000_000)] {
            owed.later(retry_after_secs);
            waits.push((owed.not_before - Instant::now()).as_secs());
        }
        assert_eq!(waits, [30, 60, 600, 240, 3600]);
        owed.told();
        owed.later(None);
        assert_eq!((owed.not_before - Instant::now()).as_secs(), 30, "one that answered begins anew");
    }
}

//! What a stream follows besides its own account: every account with something shared, as the lists say now.
//!
//! Invariant: of what is hidden nothing is told, not even that it changed; what came into sight or went out of it is told as a
//! change. Must not know: how streams speak.

use super::arrivals::{DELIVERY, INBOX_DELIVERY, Told, sift};
use super::push::changed;
use super::sharing::{Eyes, accounts, marked_state};
use super::{Object, account_id};
use crate::site::Site;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use store::{Account, AccountId, ModSeq, StoreError};
use tokio::sync::watch;

/// Types of which others' accounts have any.
const TYPES: [&str; 3] = ["Mailbox", "Thread", "Email"];
/// The state of an account that is not shared any more.
const GONE: &str = "gone";

/// See the module.
pub(super) struct Followed {
    who: Arc<Account>,
    /// Others that are his own as well.
    own: Vec<Arc<Account>>,
    lists: watch::Receiver<u64>,
    others: Vec<Other>,
}

struct Other {
    eyes: Eyes,
    watch: watch::Receiver<ModSeq>,
    told: Told,
    mark: String,
}

impl Followed {
    /// `anew`: the client may have missed something, so everything is told once.
    pub(super) async fn new(site: &Site, who: &Arc<Account>, anew: bool) -> Result<Followed, StoreError> {
        let own = site.own(who).await?.split_off(1);
        let mut followed = Followed { who: Arc::clone(who), own, lists: site.store.acl_watch(), others: Vec::new() };
        if !anew {
            followed.look(site, None).await?;
        }
        Ok(followed)
    }

    /// Until something happened that [`Followed::look`] may tell of.
    pub(super) async fn happened(&mut self) {
        let lists = &mut self.lists;
        let mut waits: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = vec![Box::pin(async move {
            if lists.changed().await.is_err() {
                pending::<()>().await;
            }
        })];
        for other in &mut self.others {
            let watch = &mut other.watch;
            waits.push(Box::pin(async move {
                // An account that goes takes its lists along.
                if watch.changed().await.is_err() {
                    pending::<()>().await;
                }
            }));
        }
        let any = |waits: &mut Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>>, cx: &mut std::task::Context<'_>| {
            waits.iter_mut().any(|wait| wait.as_mut().poll(cx).is_ready())
        };
        poll_fn(|cx| if any(&mut waits, cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// What changed since the last time, as the `changed` of a StateChange; empty: nothing.
    pub(super) async fn look(&mut self, site: &Site, wanted: Option<&BTreeSet<String>>) -> Result<Object, StoreError> {
        self.lists.borrow_and_update();
        let mut there: BTreeSet<AccountId> = accounts(&site.store, &self.who).into_keys().collect();
        there.extend(self.own.iter().map(|own| own.id));
        let mut told = Object::new();
        let mut tell = |account: AccountId, types: &BTreeSet<&str>, state: &str| {
            let types = types.iter().filter(|name| wanted.is_none_or(|wanted| wanted.contains(**name)));
            let states: Object = types.map(|name| ((*name).to_owned(), json!(state))).collect();
            if !states.is_empty() {
                told.insert(account_id(account), Value::Object(states));
            }
        };
        let all = BTreeSet::from(TYPES);
        for gone in self.others.iter().filter(|other| !there.contains(&other.eyes.account)) {
            tell(gone.eyes.account, &all, GONE);
        }
        self.others.retain(|other| there.contains(&other.eyes.account));
        for other in &mut self.others {
            let types = match other.look(site).await {
                // It goes just now: its lists say so the next time.
                Err(StoreError::NotFound) => continue,
                looked => looked?,
            };
            if !types.is_empty() {
                tell(other.eyes.account, &types, &other.state());
            }
        }
        for account in there {
            if self.others.iter().any(|other| other.eyes.account == account) {
                continue;
            }
            let own = self.own.iter().find(|own| own.id == account).map(Eyes::own);
            let eyes = own.unwrap_or_else(|| Eyes { account, who: Arc::clone(&self.who) });
            let other = match Other::begin(site, eyes).await {
                Err(StoreError::NotFound) => continue,
                begun => begun?,
            };
            tell(account, &all, &other.state());
            self.others.push(other);
        }
        Ok(told)
    }
}

impl Other {
    async fn begin(site: &Site, eyes: Eyes) -> Result<Other, StoreError> {
        let horizon = Some(site.store.horizon());
        let mut watch = site.store.watch(eyes.account).await?;
        let told = Told { mod_seq: *watch.borrow_and_update(), horizon };
        let mark = eyes.mark(&site.store).await?;
        Ok(Other { told, eyes, watch, mark })
    }

    fn state(&self) -> String {
        marked_state(self.told.mod_seq, &self.mark)
    }

    async fn look(&mut self, site: &Site) -> Result<BTreeSet<&'static str>, StoreError> {
        let store = &site.store;
        let horizon = Some(store.horizon());
        let at = *self.watch.borrow_and_update();
        let mark = self.eyes.mark(store).await?;
        let is_seen_otherwise = mark != self.mark;
        if at == self.told.mod_seq && !is_seen_otherwise {
            return Ok(BTreeSet::new());
        }
        let all = store.account_changes(self.eyes.account, self.told.mod_seq, usize::MAX).await?;
        let seen = all.clone().map(|mut seen| {
            self.eyes.veil(store, &mut seen);
            seen
        });
        let mut types = changed(seen.as_ref());
        if let (Some(all), Some(seen)) = (&all, &seen) {
            // EmailDelivery is told when something was delivered, not when it came into sight.
            let is_shown = |mailbox| self.eyes.may_read(store, mailbox);
            sift(store, (self.eyes.account, &self.told), (all, seen), &is_shown, &mut types).await?;
        }
        types.retain(|name| self.eyes.are_own() || TYPES.contains(name) || [DELIVERY, INBOX_DELIVERY].contains(name));
        if is_seen_otherwise {
            types.extend(TYPES);
        }
        // What was looked at may reach beyond what made us look.
        let mod_seq = all.map_or(at, |all| all.mod_seq.max(at));
        (self.told, self.mark) = (Told { mod_seq, horizon }, mark);
        Ok(types)
    }
}

//! Answers of people who are away: after the delivery, by the rules of `mta::wishes::vacation`, sent as their own mail is.
//!
//! Invariant: whom it answers is written down before it answers, so nobody is answered twice. Must not know: the rules.

use super::hand_in::{To, Whole, hand_in};
use crate::context::{Shared, unix_now};
use bytes::Bytes;
use mta::accept::Recipient;
use mta::wishes::vacation::{About, ONCE_SECS};
use mta::wishes::{ANSWERED, Fulfilled};
use std::sync::Arc;
use store::{Account, AccountId, StoreError};

/// Whom an account answered is forgotten when it is this many.
const ANSWERED_MAX: usize = 2_000;
/// Octets of a record's name.
const NAME_BYTES_MAX: usize = 255;

/// What came.
struct Came {
    account: Arc<Account>,
    /// The addresses it came to.
    addressed: Vec<String>,
    reverse_path: String,
    octets: Bytes,
}

/// Answers, beside the delivery, for everybody who got it now. `waiting`: who did not.
pub(crate) fn answer(
    context: &Shared,
    reverse_path: &str,
    recipients: &[&Recipient],
    fulfilled: (&Fulfilled, &[AccountId]),
    octets: &Bytes,
) {
    if reverse_path.is_empty() {
        return;
    }
    let (fulfilled, waiting) = fulfilled;
    let mut all: Vec<Came> = Vec::new();
    for recipient in recipients {
        for account in &recipient.destinations.accounts {
            let blocked = fulfilled.of(account.id).is_some_and(|wish| wish.blocked);
            if blocked || waiting.contains(&account.id) {
                continue;
            }
            match all.iter_mut().find(|one| one.account.id == account.id) {
                Some(one) => one.addressed.push(recipient.forward_path.clone()),
                None => all.push(Came {
                    account: Arc::clone(account),
                    addressed: vec![recipient.forward_path.clone()],
                    reverse_path: reverse_path.to_owned(),
                    octets: octets.clone(),
                }),
            }
        }
    }
    if all.is_empty() {
        return;
    }
    let context = Arc::clone(context);
    tokio::spawn(async move {
        for came in all {
            if let Err(error) = one(&context, &came).await {
                tracing::warn!(?error, account = %came.account.address, "an answer of somebody away could not be written");
            }
        }
    });
}

async fn one(context: &Shared, came: &Came) -> Result<(), StoreError> {
    let wishes = context.wishes.of(&context.store, came.account.id).await?;
    let Some(vacation) = wishes.vacation() else { return Ok(()) };
    let now_secs = unix_now();
    let header = came.octets.get(..message::header::header_end(&came.octets)).unwrap_or_default();
    let about =
        About { account: &came.account.address, addressed: &came.addressed, reverse_path: &came.reverse_path, header, now_secs };
    if !vacation.answers(&about) || !first_time(context, came, now_secs).await? {
        return Ok(());
    }
    let message_id = format!("{}@{}", context.smtp.ids.next(now_secs), context.hostname);
    let octets = match vacation.answer(&about, &message_id) {
        Ok(octets) => octets,
        Err(error) => {
            tracing::info!(?error, "an answer of somebody away cannot be written");
            return Ok(());
        }
    };
    let whole = Whole {
        account: &came.account,
        reverse_path: String::new(),
        recipients: vec![To { notify: store::QueueRecipient::NOTIFY_NEVER, ..To::plain(came.reverse_path.clone()) }],
        octets: &octets,
        hold_until_secs: None,
        ret_headers: false,
        envelope_id: None,
        service: Default::default(),
        peer: None,
        by: None,
        resent: false,
    };
    if let Err(refusal) = Box::pin(hand_in(context, whole)).await {
        tracing::info!(%refusal, "an answer of somebody away is not sent");
    }
    Ok(())
}

/// Was this sender not answered lately? Written down at once.
async fn first_time(context: &Shared, came: &Came, now_secs: i64) -> Result<bool, StoreError> {
    let (store, id) = (&context.store, came.account.id);
    let name = store::normalise(&came.reverse_path);
    if name.len() > NAME_BYTES_MAX {
        return Ok(false);
    }
    let at = |value: &[u8]| std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    if store.record(id, ANSWERED, &name).await?.is_some_and(|value| now_secs - at(&value) < ONCE_SECS) {
        return Ok(false);
    }
    let mut changes = vec![(ANSWERED, name.into(), Some(now_secs.to_string().into_bytes()))];
    let known = store.records(id, ANSWERED).await?;
    if known.len() >= ANSWERED_MAX {
        let old = known.into_iter().filter(|(_, value)| now_secs - at(value) >= ONCE_SECS);
        let before = changes.len();
        changes.extend(old.map(|(name, _)| (ANSWERED, name, None)));
        if changes.len() == before {
            // So many answers in so short a time are an attack on somebody.
            return Ok(false);
        }
    }
    store.records_change(id, &changes).await?;
    Ok(true)
}

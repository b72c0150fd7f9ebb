//! Queue entries whose destination is served here: mail that found its mailbox full, reports to our own people.
//!
//! Invariant: delivery and the entry's end are one commit, so neither is it lost nor does it come twice.

use super::{Outbound, settle};
use crate::context::unix_now;
use crate::facts::facts_of;
use crate::smtp::{away, place};
use bytes::Bytes;
use mta::accept::{Circumstances, Envelope, Recipient, acceptance};
use mta::queue::{Outcome, Verdict};
use mta::receive::Destinations;
use mta::trace_fields::{return_path, return_path_len};
use mta::wishes::{Coming, fulfil};
use store::{Acceptance, Claim, QueueRecipient, RecipientState, Spooled, StoreError};

/// Octets read at once.
const PIECE_BYTES: u64 = 256 * 1024;

pub(super) fn is_local(outbound: &Outbound, destination: &str) -> bool {
    outbound.context.domains.iter().any(|domain| domain.eq_ignore_ascii_case(destination))
}

/// Delivers what can be delivered, puts off the rest.
pub(super) async fn deliver(outbound: &Outbound, claim: &Claim) {
    let (outcomes, deliveries) = match prepare(outbound, claim).await {
        Ok(prepared) => prepared,
        Err(error) => {
            tracing::error!(?error, id = claim.entry.id.0, "a queued message could not be delivered here");
            (settle::same(claim, &Outcome::deferred((4, 3, 0), "Something failed on our side")), Vec::new())
        }
    };
    settle::settle(outbound, claim, &outcomes, (deliveries, &Vec::new())).await;
}

async fn prepare(outbound: &Outbound, claim: &Claim) -> Result<(Vec<Option<Outcome>>, Vec<Acceptance>), StoreError> {
    let mut outcomes = Vec::new();
    let mut taken = Vec::new();
    for recipient in &claim.entry.message.recipients {
        if recipient.state != RecipientState::Waiting {
            outcomes.push(None);
            continue;
        }
        let found = place(&outbound.context).resolve(&recipient.address).await?;
        let outcome = decide(outbound, claim, recipient, &found).await?;
        if matches!(outcome.verdict, Verdict::Delivered { .. }) {
            taken.push(Recipient {
                forward_path: recipient.address.clone(),
                destinations: found,
                original: recipient.original.clone(),
                notify: recipient.notify,
            });
        }
        outcomes.push(Some(outcome));
    }
    if taken.is_empty() {
        return Ok((outcomes, Vec::new()));
    }
    let act = build(outbound, claim, &taken).await?;
    Ok((outcomes, vec![act]))
}

async fn decide(
    outbound: &Outbound,
    claim: &Claim,
    recipient: &QueueRecipient,
    found: &Destinations,
) -> Result<Outcome, StoreError> {
    if found.is_empty() {
        return Ok(Outcome::failed((5, 1, 1), format!("<{}> is not known here", recipient.address)));
    }
    for account in &found.accounts {
        match outbound.context.store.room(account.id, u64::from(claim.entry.size_bytes)).await {
            Ok(()) => {}
            Err(StoreError::OverQuota) => {
                return Ok(Outcome::deferred((4, 2, 2), format!("The mailbox of <{}> is full", recipient.address)));
            }
            Err(StoreError::NoSpace) => return Ok(Outcome::deferred((4, 3, 1), "Not enough storage for new mail")),
            Err(error) => return Err(error),
        }
    }
    Ok(Outcome {
        verdict: Verdict::Delivered { onward: false },
        status: (2, 0, 0),
        host: None,
        text: mta::queue::DELIVERED_HERE.to_owned(),
        told: false,
    })
}

async fn build(outbound: &Outbound, claim: &Claim, taken: &[Recipient]) -> Result<Acceptance, StoreError> {
    let message = &claim.entry.message;
    let octets = whole(outbound, claim).await?;
    let facts = facts_of(octets.clone()).await?;
    let now_secs = unix_now();
    let envelope = Envelope {
        by: None,
        reverse_path: message.reverse_path.clone(),
        account: message.account,
        eight_bit: message.eight_bit,
        smtputf8: message.smtputf8,
        ret_headers: message.ret_headers,
        envelope_id: message.envelope_id.clone(),
        hold_until_secs: None,
        service: message.service.clone(),
    };
    let recipients: Vec<&Recipient> = taken.iter().collect();
    let header = octets.get(..message::header::header_end(&octets)).unwrap_or_default();
    let (reverse_path, hostname) = (message.reverse_path.as_str(), outbound.context.hostname.as_str());
    let coming = Coming { header, reverse_path, hostname, junk: false, waiting: &[], facts: &facts };
    let fulfilled = fulfil(&place(&outbound.context), &outbound.context.wishes, coming, &recipients).await?;
    let around = Circumstances {
        now_secs,
        id: &outbound.context.smtp.ids.next(now_secs),
        peer: "queue",
        lifetime_secs: outbound.settings.schedule.lifetime_secs,
        full: &[],
        junk: false,
        forwarded_as: None,
        fulfilled: &fulfilled,
    };
    away::answer(&outbound.context, &message.reverse_path, &recipients, (&fulfilled, &[]), &octets);
    Ok(acceptance(&envelope, &recipients, Spooled::from_bytes(octets), facts, around))
}

async fn whole(outbound: &Outbound, claim: &Claim) -> Result<Bytes, StoreError> {
    let size = u64::from(claim.entry.size_bytes);
    let mut octets = Vec::with_capacity(usize::try_from(size).unwrap_or(0).min(64 * 1024 * 1024));
    while (octets.len() as u64) < size {
        let piece = outbound.context.store.queue_body(claim.entry.body, octets.len() as u64, PIECE_BYTES).await?;
        if piece.is_empty() {
            return Err(StoreError::Damaged(format!("queue entry {}: the message ends early", claim.entry.id.0)));
        }
        octets.extend_from_slice(&piece);
    }
    if return_path_len(&octets) == 0 {
        let mut with = return_path(&claim.entry.message.reverse_path).into_bytes();
        with.append(&mut octets);
        octets = with;
    }
    Ok(octets.into())
}

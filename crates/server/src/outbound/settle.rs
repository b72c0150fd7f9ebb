//! Writes down how an attempt ended, with the notices it gave rise to, in one commit.
//!
//! Invariant: an outcome is written or the lease is left to end, so that the entry is tried again, never forgotten.

use super::Outbound;
use super::connect::Story;
use crate::context::unix_now;
use crate::smtp::place;
use mta::bounce::{About, notice, original_bytes_wanted};
use mta::queue::{Outcome, Report, Settled, settle as decide};
use std::time::Duration;
use store::{Acceptance, Claim, RecipientState, Settlement, StoreError};

/// Without room for reports, the entry comes back after this.
const NO_SPACE_SECS: i64 = 600;
/// An entry for which there was no connection beside those that stand.
const PUT_BACK_SECS: i64 = 2;
/// The store is asked this often before the lease is left to end.
const TRIES: u32 = 5;

/// The same outcome for everybody who waits.
pub(super) fn same(claim: &Claim, outcome: &Outcome) -> Vec<Option<Outcome>> {
    let waits = |state: RecipientState| (state == RecipientState::Waiting).then(|| outcome.clone());
    claim.entry.message.recipients.iter().map(|recipient| waits(recipient.state)).collect()
}

/// `deliveries` are acceptances that belong to the outcomes (mail that came to a mailbox here after all).
///
/// `story`: how the attempt went, for the trace.
pub(super) async fn settle(
    outbound: &Outbound,
    claim: &Claim,
    outcomes: &[Option<Outcome>],
    (deliveries, story): (Vec<Acceptance>, &Story),
) {
    let now_secs = unix_now();
    let jitter = outbound.context.smtp.ids.chance(claim.entry.id.0 ^ u64::from(claim.entry.attempts) << 48);
    let mut settled = decide(&claim.entry, outcomes, now_secs, &outbound.settings.schedule, jitter);
    if !story.is_empty() {
        settled.trace.insert(0, mta::queue::attempt(&claim.entry, &story.join("\n"), now_secs));
    }
    for recipient in &settled.recipients {
        tracing::info!(id = claim.entry.id.0, to = %recipient.address, state = ?recipient.state, said = %recipient.last_reply, "attempt");
    }
    for attempt in 1..=TRIES {
        match write(outbound, claim, &settled, &deliveries, (now_secs, attempt == TRIES)).await {
            Ok(()) => return,
            Err(StoreError::LeaseLost | StoreError::NotFound) => {
                tracing::warn!(id = claim.entry.id.0, "a queue entry was taken away during its attempt");
                return;
            }
            // What was taken must not be sent again because the reports about the rest have no room.
            Err(StoreError::NoSpace) if attempt == 1 => {
                if outbound
                    .context
                    .store
                    .queue_settle(claim, without_reports(claim, &settled, !deliveries.is_empty(), now_secs))
                    .await
                    .is_ok()
                {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(?error, id = claim.entry.id.0, attempt, "an outcome could not be written");
                tokio::time::sleep(Duration::from_millis(200) * attempt * attempt).await;
            }
        }
    }
}

/// The entry comes again soon, as if nothing had been tried.
pub(super) async fn put_back(outbound: &Outbound, claim: &Claim) {
    let now_secs = unix_now();
    let settlement = Settlement {
        recipients: claim.entry.message.recipients.clone(),
        next_secs: now_secs + PUT_BACK_SECS,
        attempted: false,
        notices: Vec::new(),
        trace: Vec::new(),
        bounced: Vec::new(),
        now_secs,
    };
    if let Err(error) = outbound.context.store.queue_settle(claim, settlement).await {
        tracing::warn!(?error, id = claim.entry.id.0, "a queue entry could not be put back: it comes again when its lease ends");
    }
}

/// Only what the next hop took is final; the others keep their state and are looked at again when there may be room.
fn without_reports(claim: &Claim, settled: &Settled, local: bool, now_secs: i64) -> Settlement {
    let pairs = claim.entry.message.recipients.iter().zip(&settled.recipients);
    let recipients = pairs.map(
        |(before, after)| {
            if after.state == RecipientState::Delivered && !local { after.clone() } else { before.clone() }
        },
    );
    Settlement {
        recipients: recipients.collect(),
        next_secs: now_secs + NO_SPACE_SECS,
        attempted: true,
        notices: Vec::new(),
        trace: Vec::new(),
        bounced: Vec::new(),
        now_secs,
    }
}

async fn write(
    outbound: &Outbound,
    claim: &Claim,
    settled: &Settled,
    deliveries: &[Acceptance],
    (now_secs, last): (i64, bool),
) -> Result<(), StoreError> {
    let mut notices = deliveries.to_vec();
    for report in &settled.reports {
        notices.extend(one_notice(outbound, claim, report, (now_secs, last)).await?);
    }
    let settlement = Settlement {
        recipients: settled.recipients.clone(),
        next_secs: settled.next_secs,
        attempted: true,
        notices,
        trace: settled.trace.clone(),
        bounced: settled.bounced.clone(),
        now_secs,
    };
    outbound.context.store.queue_settle(claim, settlement).await
}

async fn one_notice(
    outbound: &Outbound,
    claim: &Claim,
    report: &Report,
    (now_secs, last): (i64, bool),
) -> Result<Option<Acceptance>, StoreError> {
    let (entry, message) = (&claim.entry, &claim.entry.message);
    let (wanted, whole) = original_bytes_wanted(report.action, u64::from(entry.size_bytes), message.ret_headers);
    let original = match outbound.context.store.queue_body(entry.body, 0, wanted).await {
        Ok(original) => original,
        // A damaged original must not keep the sender from hearing of it; what merely did not work is read again.
        Err(error) if last || matches!(error, StoreError::Damaged(_) | StoreError::NotFound) => {
            tracing::error!(?error, id = entry.id.0, "the original cannot be read for a report");
            Default::default()
        }
        Err(error) => return Err(error),
    };
    let about = About {
        reverse_path: &message.reverse_path,
        hostname: &outbound.context.hostname,
        id: &outbound.context.smtp.ids.next(now_secs),
        now_secs,
        arrived_secs: entry.created_secs,
        expires_secs: message.expires_secs,
        envelope_id: message.envelope_id.as_deref(),
        original: &original,
        whole: whole && original.len() as u64 == wanted,
        lifetime_secs: outbound.settings.schedule.lifetime_secs,
    };
    let context = &outbound.context;
    let sign = |report: &[u8]| context.trust.sign(&context.domains, report, now_secs);
    let made = notice(&place(context), report, &about, sign).await?;
    if made.is_none() {
        tracing::warn!(id = entry.id.0, sender = %message.reverse_path, "nobody to tell");
    }
    Ok(made)
}

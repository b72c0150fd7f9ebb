//! What a signed-in account may send: limits of an hour and a day, addresses that do not exist any more, and the alarm.
//!
//! Invariant: what was refused is not counted.

use crate::context::Shared;
use mta::Refusal;
use mta::accept::Recipient;
use mta::receive::Destinations;
use mta::sending_limits::{Limits, Sent};
use store::{Account, TraceEvent, UnixSecs};

fn failed(error: &store::StoreError) -> Refusal {
    tracing::error!(?error, "what an account sent before cannot be read");
    Refusal::temporary()
}

/// Counts one more message, or says when to come back.
pub(super) async fn take(
    context: &Shared,
    account: &Account,
    recipients: &[Recipient],
    now_secs: UnixSecs,
) -> Result<(), Refusal> {
    let limits = &context.limits;
    let hour = Sent {
        messages: limits.messages_per_hour,
        recipients: limits.recipients_per_hour,
        first_time: limits.first_time_per_hour,
    };
    let limits = Limits { hour, day: limits.per_day };
    let counted = limits.hour.first_time != 0 || limits.day.first_time != 0;
    let addresses: Vec<String> = recipients.iter().map(|recipient| recipient.forward_path.clone()).collect();
    let first_time = if counted {
        let count = context.store.first_time(account.id, &addresses, false).await.map_err(|error| failed(&error))?;
        u32::try_from(count).unwrap_or(u32::MAX)
    } else {
        0
    };
    let more = Sent { messages: 1, recipients: u32::try_from(recipients.len()).unwrap_or(u32::MAX), first_time };
    let alarm = context.smtp.sending.take(account.id, more, &limits, now_secs)?;
    if first_time > 0 {
        context.store.first_time(account.id, &addresses, true).await.map_err(|error| failed(&error))?;
    }
    if let Some(alarm) = alarm {
        tracing::warn!(account = %account.address, "ALARM: it sends as never before: {}", alarm.text);
        let detail = format!("{} sends as never before: {}", account.address, alarm.text);
        let event = TraceEvent::new(now_secs, "alarm", detail).key("alarm", "all").key("address", account.address.as_str());
        context.store.trace(vec![event.of(account.id)]);
    }
    Ok(())
}

/// Refuses what leads to an address that is known not to exist.
pub(super) async fn not_suppressed(context: &Shared, found: Destinations) -> Result<Destinations, Refusal> {
    for address in &found.remote {
        if let Some(row) = context.store.suppressed(address).await.map_err(|error| failed(&error))? {
            let text = format!("Mail to <{address}> is not sent any more: {}", row.why);
            return Err(Refusal::new(550, (5, 1, 1), text));
        }
    }
    Ok(found)
}

/// Carries the counts over a restart: read now, written every minute while they change.
pub async fn keep_counts(context: Shared) {
    match context.store.sent_counts().await {
        Ok(rows) => context.smtp.sending.load(&rows),
        Err(error) => tracing::error!(?error, "what accounts sent before cannot be read"),
    }
    loop {
        let over = tokio::time::timeout(std::time::Duration::from_secs(60), context.draining()).await.is_ok();
        if let Err(error) = context.store.keep_sent_counts(&context.smtp.sending.changed()).await {
            tracing::warn!(?error, "what accounts sent is not kept");
        }
        if over {
            return;
        }
    }
}

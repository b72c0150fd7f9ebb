//! One message and where it goes, as one act: deliveries here, queue rows for elsewhere, and the trace of both.
//!
//! Invariant: every recipient of the transaction is in the acceptance exactly once per account and per remote address.
//! Must not know: sockets, clocks.

use crate::limits::{ENTRY_RECIPIENTS_MAX, PRIORITY_STEP_SECS};
use crate::receive::Destinations;
use crate::route::destination_of;
use crate::wishes::Fulfilled;
use smol_str::SmolStr;
use std::collections::HashSet;
use std::sync::Arc;
use store::{
    Acceptance, AccountId, Delivery, Flags, NewQueueEntry, QueueRecipient, QueueService, RecipientState, Spooled, Target,
    TraceEvent, UnixSecs,
};
use wire::smtp::wishes::{DeliverBy, Wishes};

/// MAIL's half of a transaction (RFC 5321 §2.3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Empty is the null reverse-path.
    pub reverse_path: String,
    /// Who signed in.
    pub account: Option<AccountId>,
    /// The octets have the eighth bit.
    pub eight_bit: bool,
    /// MAIL had SMTPUTF8 and something in the envelope or header needs it.
    pub smtputf8: bool,
    /// RET=HDRS.
    pub ret_headers: bool,
    /// ENVID, decoded.
    pub envelope_id: Option<String>,
    /// Not before (RFC 4865): everything waits in the queue until then.
    pub hold_until_secs: Option<UnixSecs>,
    /// What else was asked of the delivery.
    pub service: QueueService,
    /// What is for elsewhere goes this way, instead of each to its domain.
    pub by: Option<SmolStr>,
}

/// What MAIL asked, for the queue; the time to hold it apart.
pub fn service_of(wishes: &Wishes, now_secs: UnixSecs) -> QueueService {
    QueueService {
        require_tls: wishes.require_tls,
        deliver_by_secs: wishes.deliver_by.map(|by| now_secs.saturating_add(by.secs)),
        deliver_by_notify: wishes.deliver_by.is_some_and(|by| by.notify),
        deliver_by_trace: wishes.deliver_by.is_some_and(|by| by.trace),
        priority: wishes.priority.unwrap_or(0),
        solicitations: wishes.solicitations.clone(),
    }
}

/// The other way: what the next server is asked for.
pub fn wishes_of(service: &QueueService, now_secs: UnixSecs) -> Wishes {
    let deliver_by = service.deliver_by_secs.map(|at| DeliverBy {
        secs: at.saturating_sub(now_secs),
        notify: service.deliver_by_notify,
        trace: service.deliver_by_trace,
    });
    Wishes {
        require_tls: service.require_tls,
        // What is late already and must come back is not given on: its retry bounces it.
        deliver_by: deliver_by.filter(|by| by.notify || by.secs > 0),
        priority: Some(service.priority).filter(|priority| *priority != 0),
        solicitations: service.solicitations.clone(),
        ..Wishes::default()
    }
}

/// RCPT's half, once a recipient.
#[derive(Debug, Clone, Default)]
pub struct Recipient {
    /// As spelled.
    pub forward_path: String,
    /// Where it leads.
    pub destinations: Destinations,
    /// ORCPT, decoded.
    pub original: Option<String>,
    /// NOTIFY bits.
    pub notify: u8,
}

impl Recipient {
    /// It leads to several addresses: the sender hears that, and of each of them only what goes wrong (RFC 3461 §5.2.7.2).
    pub fn is_expanded(&self) -> bool {
        self.destinations.accounts.len() + self.destinations.remote.len() > 1
    }

    /// NOTIFY for each address it leads to.
    fn notify_onward(&self) -> u8 {
        let success = QueueRecipient::NOTIFY_SUCCESS;
        match self.notify & !success {
            _ if !self.is_expanded() || self.notify & success == 0 => self.notify,
            0 => QueueRecipient::NOTIFY_NEVER,
            rest => rest,
        }
    }
}

/// The circumstances of an acceptance.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Now.
    pub now_secs: UnixSecs,
    /// The transaction's id, as in the reply and the Received field.
    pub id: &'a str,
    /// Who brought it, for `trace`: an IP address, `socket`, `queue`.
    pub peer: &'a str,
    /// How long the queue tries.
    pub lifetime_secs: i64,
    /// Accounts without room just now: their share waits in the queue instead of failing everybody's.
    pub full: &'a [AccountId],
    /// Into the mailbox for junk instead of the INBOX.
    pub junk: bool,
    /// What strangers' mail that goes on elsewhere has as its reverse-path; `None`: its own.
    pub forwarded_as: Option<&'a str>,
    /// What the owners of the accounts want done with it.
    pub fulfilled: &'a Fulfilled,
}

/// Puts it together.
pub fn acceptance(
    envelope: &Envelope,
    recipients: &[&Recipient],
    body: Spooled,
    facts: Arc<message::facts::Facts>,
    around: Circumstances<'_>,
) -> Acceptance {
    let mut seen = HashSet::new();
    let mut deliveries = Vec::new();
    let mut rows: Vec<(SmolStr, QueueRecipient)> = Vec::new();
    let mut forwarded: Vec<(SmolStr, QueueRecipient)> = Vec::new();
    let mut stored = Vec::new();
    for recipient in recipients.iter().copied().chain(&around.fulfilled.onward) {
        for account in &recipient.destinations.accounts {
            if !seen.insert(store::normalise(&account.address)) {
                continue;
            }
            if around.full.contains(&account.id) || envelope.hold_until_secs.is_some() {
                rows.push((destination_of(&account.address), row(&account.address, recipient)));
                continue;
            }
            let (delivery, event) = kept(account.id, recipient, envelope, around);
            deliveries.extend(delivery);
            stored.push(event);
        }
        for address in &recipient.destinations.remote {
            if seen.insert(store::normalise(address)) {
                let way = envelope.by.clone().unwrap_or_else(|| destination_of(address));
                forwarded.push((way, row(address, recipient)));
            }
        }
    }
    let mut trace = vec![accepted(envelope, recipients, facts.message_id.as_deref(), around)];
    trace.extend(stored);
    let mut queue = entries(envelope, around.forwarded_as.unwrap_or(&envelope.reverse_path), forwarded, around);
    queue.extend(entries(envelope, &envelope.reverse_path, rows, around));
    Acceptance { body, facts, deliveries, queue, trace, idempotency: None }
}

/// One account's delivery, as it wants it, and what its trace tells; none where nothing of it is to stay.
fn kept(
    account: AccountId,
    recipient: &Recipient,
    envelope: &Envelope,
    around: Circumstances<'_>,
) -> (Option<Delivery>, TraceEvent) {
    let wish = around.fulfilled.of(account);
    let why = wish.map(|wish| wish.why.as_str()).filter(|why| !why.is_empty()).map(|why| format!("; {why}")).unwrap_or_default();
    let (to, from, by, id) = (&recipient.forward_path, &envelope.reverse_path, around.peer, around.id);
    let detail = format!("to <{to}> from <{from}>, brought by {by} as {id}{why}");
    if wish.is_some_and(|wish| wish.leaves) {
        let event = TraceEvent::new(around.now_secs, "forwarded", format!("no copy is kept: {detail}")).of(account);
        return (None, event.key("transaction", id));
    }
    let posted = recipient.destinations.posted.iter().find(|(whose, _)| *whose == account).map(|(_, mailbox)| *mailbox);
    let usual = match posted {
        _ if around.junk => Target::Use(store::SpecialUse::Junk),
        Some(mailbox) => Target::Mailbox(mailbox),
        None => Target::Inbox,
    };
    let target = wish.and_then(|wish| wish.target.clone()).unwrap_or(usual);
    let flags = wish.map(|wish| wish.flags.clone()).unwrap_or_default();
    let delivery = Delivery { target, flags, ..inbox(account, around.now_secs) };
    (Some(delivery), stored_here(account, detail, around.now_secs).key("transaction", id))
}

/// A delivery to the INBOX.
pub fn inbox(account: AccountId, now_secs: UnixSecs) -> Delivery {
    Delivery { account, target: Target::Inbox, flags: Flags::default(), internal_date_secs: now_secs }
}

fn row(address: &str, recipient: &Recipient) -> QueueRecipient {
    QueueRecipient {
        address: address.to_owned(),
        original: recipient.original.clone(),
        notify: recipient.notify_onward(),
        state: RecipientState::Waiting,
        last_reply: String::new(),
        delay_told: false,
    }
}

/// Rows grouped by destination, at most [`ENTRY_RECIPIENTS_MAX`] an entry.
fn entries(
    envelope: &Envelope,
    reverse_path: &str,
    rows: Vec<(SmolStr, QueueRecipient)>,
    around: Circumstances<'_>,
) -> Vec<NewQueueEntry> {
    let mut entries: Vec<NewQueueEntry> = Vec::new();
    let begins_secs = envelope.hold_until_secs.unwrap_or(around.now_secs).max(around.now_secs);
    // What has priority is due as if it had waited longer: in a backlog it goes first (RFC 6710 §4).
    let ahead_secs = i64::from(envelope.service.priority.max(0)) * PRIORITY_STEP_SECS;
    for (destination, recipient) in rows {
        let room = |entry: &&mut NewQueueEntry| entry.destination == destination && entry.recipients.len() < ENTRY_RECIPIENTS_MAX;
        if let Some(entry) = entries.iter_mut().find(room) {
            entry.recipients.push(recipient);
            continue;
        }
        entries.push(NewQueueEntry {
            destination,
            reverse_path: reverse_path.to_owned(),
            recipients: vec![recipient],
            account: envelope.account,
            due_secs: if envelope.hold_until_secs.is_some() { begins_secs } else { begins_secs - ahead_secs },
            expires_secs: begins_secs + around.lifetime_secs,
            eight_bit: envelope.eight_bit,
            smtputf8: envelope.smtputf8,
            ret_headers: envelope.ret_headers,
            envelope_id: envelope.envelope_id.clone(),
            service: envelope.service.clone(),
        });
    }
    entries
}

/// A delivery, for the trace: the account's own part. The store adds where it lies.
pub fn stored_here(account: AccountId, detail: String, now_secs: UnixSecs) -> TraceEvent {
    TraceEvent::new(now_secs, "stored", detail).of(account)
}

fn accepted(envelope: &Envelope, recipients: &[&Recipient], message_id: Option<&str>, around: Circumstances<'_>) -> TraceEvent {
    let to: Vec<&str> = recipients.iter().take(10).map(|r| r.forward_path.as_str()).collect();
    let more = if recipients.len() > to.len() { format!(" and {} more", recipients.len() - to.len()) } else { String::new() };
    let detail =
        format!("{} from <{}> to <{}>{more}, brought by {}", around.id, envelope.reverse_path, to.join(">, <"), around.peer);
    let event = TraceEvent::new(around.now_secs, "accepted", detail).key("transaction", around.id).key("ip", around.peer);
    let event = event.key("address", envelope.reverse_path.as_str());
    let named = recipients.iter().take(ENTRY_RECIPIENTS_MAX);
    let event = named.fold(event, |event, recipient| event.key("address", recipient.forward_path.as_str()));
    let event = event.key("message-id", message_id.unwrap_or_default());
    match envelope.account {
        Some(account) => event.of(account),
        None => event,
    }
}

/// A refused recipient or sender, for `trace`.
pub fn refused(address: &str, reverse_path: &str, peer: &str, refusal: &crate::Refusal, now_secs: UnixSecs) -> TraceEvent {
    let detail = format!("to <{address}> from <{reverse_path}>: {refusal}");
    let event = TraceEvent::new(now_secs, "refused", detail).key("address", address).key("address", reverse_path);
    event.key("ip", peer)
}

//! One message over an open connection: envelope, octets from the store in pieces, a result for each recipient. To more recipients
//! than the server takes at once (LIMITS, RFC 9422) it goes in several transactions.
//!
//! Invariant: a message whose octets cannot all be read is never ended with a dot: the connection is dropped instead.

use super::Outbound;
use super::connect::Open;
use super::{endings, settle};
use crate::context::unix_now;
use crate::facts::aside;
use bytes::Bytes;
use message::address::Address;
use message::reencode::Unconvertible;
use mta::queue::{Outcome, Verdict};
use mta::trace_fields::return_path_len;
use net::Next;
use std::time::Duration;
use store::{Claim, NewQueueEntry, QueueRecipient, RecipientState, StoreError};
use tokio::time::Instant;
use wire::smtp::Ret;
use wire::smtp::client::{self, Envelope, Event, Needed, Recipient, RecipientOutcome, Stage};

/// RFC 3463.
type Status = (u8, u16, u16);

/// Octets read from the store at once.
const PIECE_BYTES: u64 = 64 * 1024;
/// A message that goes out in parts begins another part within this time only.
const PARTS_WITHIN: Duration = Duration::from_secs(60);
/// Room taken at once for a message that is converted.
const WHOLE_BYTES_AT_ONCE: usize = 64 * 1024 * 1024;

/// How a transaction ended.
pub(super) enum Sent {
    /// The connection had gone before anything was said.
    Stale,
    /// An outcome for each recipient of the entry (`None` for those that were final already).
    Done {
        /// By recipient.
        outcomes: Vec<Option<Outcome>>,
        /// The connection can take another.
        usable: bool,
    },
}

pub(super) async fn send(outbound: &Outbound, claim: &Claim, open: &mut Open) -> Sent {
    let waiting = positions(&claim.entry.message.recipients);
    let limits = open.client.offers().keywords.recipients_max;
    let at_once = limits.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX).max(1);
    let mut outcomes = vec![None; claim.entry.message.recipients.len()];
    let begun = Instant::now();
    for (number, some) in waiting.chunks(at_once).enumerate() {
        let (mut found, usable) = match send_to(outbound, claim, open, some).await {
            Sent::Stale if number == 0 => return Sent::Stale,
            Sent::Stale => (Vec::new(), false),
            Sent::Done { outcomes, usable } => (outcomes, usable),
        };
        open.sent = open.sent.saturating_add(1);
        for at in some {
            if let (Some(outcome), Some(place)) = (found.get_mut(*at), outcomes.get_mut(*at)) {
                *place = outcome.take();
            }
        }
        let is_last = (number + 1).saturating_mul(at_once) >= waiting.len();
        // What was answered is to be written down soon, and before a shutdown.
        let is_time = begun.elapsed() >= PARTS_WITHIN || *outbound.context.shutdown.borrow();
        if !usable || !is_last && (is_time || !open.takes_more()) {
            let text = format!("{}: the connection ended before it was their turn", open.host);
            for at in &waiting {
                if let Some(place @ None) = outcomes.get_mut(*at) {
                    *place = Some(Outcome::deferred((4, 4, 2), text.clone()));
                }
            }
            return Sent::Done { outcomes, usable };
        }
    }
    Sent::Done { outcomes, usable: true }
}

/// To these recipients of it.
async fn send_to(outbound: &Outbound, claim: &Claim, open: &mut Open, waiting: &[usize]) -> Sent {
    let mut body = match Body::begin(outbound, claim).await {
        Ok(body) => body,
        Err(error) => return Sent::Done { outcomes: unreadable(claim, &error), usable: true },
    };
    if !open.ready && !become_ready(open).await {
        return Sent::Stale;
    }
    let service = &claim.entry.message.service;
    if service.deliver_by_secs.is_some_and(|by| !service.deliver_by_notify && by <= unix_now()) {
        let outcome = Outcome::failed((5, 4, 7), "It was not to be delivered after this time (DELIVERBY)");
        return Sent::Done { outcomes: settle::same(claim, &outcome), usable: true };
    }
    if service.require_tls && !open.connection.is_verified() {
        // RFC 8689 §4.2.1: without TLS and a certificate that fits it goes back.
        let text = format!("{}: no TLS with a certificate for that name (REQUIRETLS)", open.host);
        return Sent::Done { outcomes: settle::same(claim, &Outcome::failed((5, 7, 10), text)), usable: true };
    }
    let mut envelope = envelope(claim, waiting, body.length);
    let result = loop {
        open.ready = false;
        match converse(open, envelope.clone(), &mut body).await {
            Ok(outcome) if envelope.eight_bit && lacks_eight_bit(&outcome) => {
                if let Err((status, why)) = body.convert().await {
                    let text = format!("{} takes 7-bit text only, and this message cannot be converted: {why}", open.host);
                    return Sent::Done { outcomes: settle::same(claim, &Outcome::failed(status, text)), usable: true };
                }
                (envelope.eight_bit, envelope.size) = (false, Some(body.length));
                if !become_ready(open).await {
                    return Sent::Stale;
                }
            }
            other => break other,
        }
    };
    if result.is_ok() {
        outbound.context.sizes.note(&claim.entry.message.destination, open.client.offers().size);
    }
    match result {
        Ok(outcome) if open.sent > 0 && is_stale(&outcome) => Sent::Stale,
        Ok(outcome) => {
            let usable = !outcome.recipients.iter().any(|r| matches!(r, RecipientOutcome::Lost(_)));
            let mut outcomes = read(claim, waiting, &outcome, &open.host);
            let told = is_told(outbound, &claim.entry.message, open);
            let taken = |outcome: &&mut Outcome| matches!(outcome.verdict, Verdict::Delivered { .. });
            outcomes.iter_mut().flatten().filter(taken).for_each(|outcome| outcome.told = told);
            Sent::Done { outcomes, usable }
        }
        Err(Broken::Gone) if open.sent > 0 => Sent::Stale,
        Err(Broken::Gone) => {
            let text = format!("{}: the connection was lost", open.host);
            Sent::Done { outcomes: settle::same(claim, &Outcome::deferred((4, 4, 2), text)), usable: false }
        }
        Err(Broken::Body(error)) => Sent::Done { outcomes: unreadable(claim, &error), usable: false },
    }
}

fn unreadable(claim: &Claim, error: &StoreError) -> Vec<Option<Outcome>> {
    tracing::error!(?error, id = claim.entry.id.0, "a queued message could not be read");
    settle::same(claim, &Outcome::deferred((4, 3, 0), "The message could not be read from our own store"))
}

async fn become_ready(open: &mut Open) -> bool {
    loop {
        match open.connection.next(&mut open.client).await {
            Next::Event(Event::Ready) => return true,
            Next::Event(Event::Failed(_)) | Next::Closed => return false,
            Next::Event(Event::WantsBody | Event::Outcome(_)) => {}
        }
    }
}

enum Broken {
    /// The connection ended without an outcome.
    Gone,
    /// Our store failed in the middle.
    Body(StoreError),
}

async fn converse(open: &mut Open, envelope: Envelope, body: &mut Body<'_>) -> Result<client::Outcome, Broken> {
    open.client.send(envelope);
    loop {
        match endings::next(open).await {
            Next::Event(Event::WantsBody) => match body.piece().await.map_err(Broken::Body)? {
                Some(piece) => {
                    // Only an end keeps a place, not the way to it; whoever reads slowly would hold up everybody.
                    open.ending = None;
                    open.client.body(&piece);
                    open.connection.flush(&mut open.client).await;
                }
                None => {
                    open.ending = None;
                    open.ending = Some(body.outbound.endings.begin().await);
                    open.client.body_end();
                }
            },
            Next::Event(Event::Outcome(outcome)) => return Ok(outcome),
            Next::Event(Event::Ready) => {}
            Next::Event(Event::Failed(_)) | Next::Closed => return Err(Broken::Gone),
        }
    }
}

/// The connection was lost before the server heard of this message.
fn is_stale(outcome: &client::Outcome) -> bool {
    outcome.recipients.iter().all(|r| {
        matches!(r, RecipientOutcome::Lost(Stage::Idle | Stage::Mail))
            || matches!(r, RecipientOutcome::Refused(Stage::Mail, reply) if reply.code == 421)
    })
}

fn lacks_eight_bit(outcome: &client::Outcome) -> bool {
    outcome.recipients.contains(&RecipientOutcome::NotOffered(Needed::EightBitMime))
}

fn positions(recipients: &[QueueRecipient]) -> Vec<usize> {
    let waiting = |(at, r): (usize, &QueueRecipient)| (r.state == RecipientState::Waiting).then_some(at);
    recipients.iter().enumerate().filter_map(waiting).collect()
}

/// `local@domain` as the queue keeps it; an address without `@` stays whole and will be refused as unwritable.
fn address(text: &str) -> Address {
    let (local, domain) = text.rsplit_once('@').unwrap_or((text, ""));
    let parsed = Address { local: local.to_owned(), domain: domain.to_owned() };
    // Only the domain is beyond ASCII: then its A-labels go anywhere (RFC 5890).
    if local.is_ascii() && !domain.is_ascii() {
        let normal = store::normalise(text);
        if let Some((_, ascii)) = normal.rsplit_once('@').filter(|(_, ascii)| ascii.is_ascii()) {
            return Address { local: parsed.local, domain: ascii.to_owned() };
        }
    }
    parsed
}

fn envelope(claim: &Claim, waiting: &[usize], size: u64) -> Envelope {
    let message: &NewQueueEntry = &claim.entry.message;
    let recipients = waiting.iter().filter_map(|at| message.recipients.get(*at)).map(|recipient| Recipient {
        address: address(&recipient.address),
        notify: recipient.notify,
        original: recipient.original.clone(),
    });
    Envelope {
        reverse_path: (!message.reverse_path.is_empty()).then(|| address(&message.reverse_path)),
        recipients: recipients.collect(),
        size: Some(size),
        eight_bit: message.eight_bit,
        smtputf8: message.smtputf8,
        ret: if message.ret_headers { Some(Ret::Headers) } else { None },
        envelope_id: message.envelope_id.clone(),
        wishes: mta::accept::wishes_of(&message.service, unix_now()),
    }
}

/// RFC 2852 §4.1: who asked for a time hears that it was passed on where that was asked for, too, or the next hop keeps no time.
fn is_told(outbound: &Outbound, message: &NewQueueEntry, open: &Open) -> bool {
    let delivers = outbound.settings.relay_for(&message.destination).is_some_and(|relay| relay.lmtp);
    let keeps = open.client.offers().keywords.deliver_by_min_secs.is_some();
    message.service.deliver_by_secs.is_some() && !delivers && (message.service.deliver_by_trace || !keeps)
}

/// The client's results as the mta reads them.
fn read(claim: &Claim, waiting: &[usize], outcome: &client::Outcome, host: &str) -> Vec<Option<Outcome>> {
    let mut outcomes = vec![None; claim.entry.message.recipients.len()];
    for (at, result) in waiting.iter().zip(&outcome.recipients) {
        if let Some(place) = outcomes.get_mut(*at) {
            *place = Some(one(result, outcome.dsn_offered, host, waiting.len()));
        }
    }
    outcomes
}

fn one(result: &RecipientOutcome, dsn_offered: bool, host: &str, recipients: usize) -> Outcome {
    match result {
        RecipientOutcome::Accepted(reply) | RecipientOutcome::Refused(_, reply) => {
            let enhanced = reply.enhanced.map(|code| (code.0, code.1, code.2));
            let mut outcome = Outcome::of_reply(host, reply.code, enhanced, &reply.to_string(), dsn_offered);
            // RFC 5321 §4.5.3.1.10: 552 at RCPT is an old way to say 452, too many recipients.
            let too_many = matches!(result, RecipientOutcome::Refused(Stage::Rcpt, _)) && reply.code == 552 && recipients > 1;
            // A refusal may not pass for a success whatever its code.
            let odd = matches!(result, RecipientOutcome::Refused(..)) && matches!(outcome.verdict, Verdict::Delivered { .. });
            if too_many || odd {
                outcome.verdict = Verdict::Deferred;
                outcome.status = if too_many { (4, 5, 3) } else { (4, 5, 0) };
            }
            outcome
        }
        RecipientOutcome::NotOffered(Needed::SmtpUtf8) => {
            Outcome::failed((5, 6, 7), format!("{host} cannot take addresses or headers beyond ASCII (SMTPUTF8)"))
        }
        RecipientOutcome::NotOffered(Needed::EightBitMime) => {
            Outcome::failed((5, 6, 3), format!("{host} cannot take 8-bit text"))
        }
        RecipientOutcome::NotOffered(Needed::RequireTls) => {
            // RFC 8689 §4.2.1: back to the sender, at once.
            Outcome::failed((5, 7, 30), format!("{host} cannot promise to go on over TLS only (REQUIRETLS)"))
        }
        RecipientOutcome::NotOffered(Needed::DeliverBy) => {
            // RFC 2852 §4.1: what must come back when it is late goes to nobody who cannot keep the time.
            Outcome::failed((5, 3, 3), format!("{host} cannot promise to deliver in time or to give it back (DELIVERBY)"))
        }
        RecipientOutcome::NotOffered(Needed::Size(limit)) => {
            Outcome::failed((5, 3, 4), format!("The message is larger than the {limit} octets {host} takes"))
        }
        RecipientOutcome::Unwritable => Outcome::failed((5, 1, 3), "The address cannot be written in SMTP"),
        RecipientOutcome::Lost(Stage::End) => {
            Outcome::deferred((4, 4, 2), format!("{host}: the connection was lost before the answer to the message"))
        }
        RecipientOutcome::Lost(_) => Outcome::deferred((4, 4, 2), format!("{host}: the connection was lost")),
    }
}

/// `TLS-Required: No` stands in the header (RFC 8689 §3).
pub(super) async fn tls_is_optional(outbound: &Outbound, claim: &Claim) -> bool {
    let Ok(head) = outbound.context.store.queue_body(claim.entry.body, 0, PIECE_BYTES).await else { return false };
    message::header::fields(&head).any(|field| field.is("TLS-Required") && field.value().eq_ignore_ascii_case(b"no"))
}

/// RFC 3463's words for it: a header beyond ASCII wants SMTPUTF8 (RFC 6531 §3.4), all else another conversion.
fn status_of(why: Unconvertible) -> Status {
    if why == Unconvertible::Header { (5, 6, 7) } else { (5, 6, 3) }
}

/// The octets that travel: all but our own Return-Path.
struct Body<'a> {
    outbound: &'a Outbound,
    claim: &'a Claim,
    /// How far it was read from the store, and how long it is there.
    at: u64,
    size: u64,
    /// How much travels.
    length: u64,
    /// Read and not yet given.
    first: Option<Bytes>,
}

impl<'a> Body<'a> {
    async fn begin(outbound: &'a Outbound, claim: &'a Claim) -> Result<Body<'a>, StoreError> {
        let mut first = outbound.context.store.queue_body(claim.entry.body, 0, PIECE_BYTES).await?;
        let at = first.len() as u64;
        let skipped = return_path_len(&first);
        let _ = first.split_to(skipped.min(first.len()));
        let size = u64::from(claim.entry.size_bytes);
        let length = size.saturating_sub(skipped as u64);
        Ok(Body { outbound, claim, at, size, length, first: Some(first) })
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, StoreError> {
        if let Some(first) = self.first.as_mut().filter(|first| !first.is_empty()) {
            let end = first.len().min(usize::try_from(PIECE_BYTES).unwrap_or(usize::MAX));
            return Ok(Some(first.split_to(end)));
        }
        if self.at >= self.size {
            return Ok(None);
        }
        let piece = self.outbound.context.store.queue_body(self.claim.entry.body, self.at, PIECE_BYTES).await?;
        if piece.is_empty() {
            return Err(StoreError::Damaged(format!("queue entry {}: the message ends early", self.claim.entry.id.0)));
        }
        self.at += piece.len() as u64;
        Ok(Some(piece))
    }

    /// From now on in 7 bits, signed again if it was us who signed it. Before the first piece only.
    async fn convert(&mut self) -> Result<(), (Status, String)> {
        let other = |why: String| ((5, 6, 3), why);
        let mut whole = Vec::with_capacity(usize::try_from(self.length).unwrap_or(0).min(WHOLE_BYTES_AT_ONCE));
        while let Some(piece) = self.piece().await.map_err(|error| other(format!("it could not be read ({error:?})")))? {
            whole.extend_from_slice(&piece);
        }
        let context = self.outbound.context.clone();
        // Only of our own people do we know that they may write under their name.
        let own = self.claim.entry.message.account.is_some();
        let converted = aside(whole.len(), move || {
            let converted =
                message::reencode::to_seven_bit(&whole).map_err(|why| (status_of(why), why.to_string()))?.into_owned();
            Ok(if own { context.trust.sign_again(&context.domains, &converted, unix_now()) } else { converted })
        });
        let converted = converted.await.map_err(|_| other("the conversion broke".to_owned())).flatten()?;
        (self.at, self.length) = (self.size, converted.len() as u64);
        self.first = Some(converted.into());
        Ok(())
    }
}

//! The outbox: the store's queue, sent through the provider's submission server.
//!
//! Works on what is due: claims, connects once, sends each, settles. What cannot go now waits and says why; what the
//! server refuses for good stays in the queue, held, with its answer, until its owner decides.
//! Invariant: a message is settled as sent only after the server's 2xx to its octets. Must not know: how it was written.

use crate::dial::{Dialer, nonce};
use crate::limits::GOODBYE_MAX;
use crate::place::Place;
use crate::trouble::Trouble;
use message::Facts;
use message::address::Address;
use net::clock::unix_now;
use net::{Connection, Next};
use serde::Serialize;
use std::sync::Arc;
use store::{
    AccountId, Claim, FlagOp, Flags, QueueEntry, QueueId, QueueRecipient, RecipientState, Settlement, SpecialUse, Store, Uid,
};
use wire::sasl::Secret;
use wire::sasl::client::Credentials;
use wire::smtp::Ret;
use wire::smtp::client::{Client, Config, Envelope, Event, Failure, Needed, Outcome, Recipient, RecipientOutcome, StartTls};

/// A claim is given back by itself after this.
const LEASE_SECS: u32 = 600;
/// Entries looked at in one go.
const ENTRIES_MAX: usize = 1_000;
/// The newest of Sent that are looked through for the copy of what is taken back.
const COPIES_MAX: usize = 1_000;
/// Octets read from the store at once.
const PIECE_BYTES: u64 = 64 * 1024;
/// Waits between attempts; the last repeats.
const RETRY_SECS: [i64; 5] = [60, 300, 900, 3600, 4 * 3600];
/// Refused for good: kept for its owner to see.
const KEPT_SECS: i64 = 400 * 86_400;

/// One of the queue, after this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Sent {
    pub id: u64,
    pub sent: bool,
    /// Some recipient, for good.
    pub refused: bool,
    /// Who said what.
    pub said: Vec<String>,
}

/// The provider's submission server and who one is there.
pub struct Submission<'a> {
    /// The way there.
    pub dialer: &'a Dialer,
    /// The server.
    pub place: &'a Place,
    /// Login name.
    pub login: &'a str,
    /// Password.
    pub password: &'a Secret,
}

struct Open {
    connection: Connection,
    session: Client,
    host: String,
    ready: bool,
}

/// Entries of this account that are due (`all`: also those that wait for their next try).
async fn due(store: &Store, account: AccountId, all: bool) -> Result<Vec<QueueEntry>, Trouble> {
    let now = unix_now();
    let mut found = Vec::new();
    for entry in store.queue_list(None, ENTRIES_MAX).await? {
        let ours = entry.message.account == Some(account) && !entry.held;
        // Not before its time, which is what "send later" and "undo send" are made of.
        if ours && entry.message.due_secs <= now && (all || entry.next_secs <= now) {
            found.push(entry);
        }
    }
    Ok(found)
}

/// Sends what is due.
///
/// # Errors
/// The store. A server that cannot be reached is told in each entry.
pub async fn flush(store: &Store, account: AccountId, submission: &Submission<'_>, all: bool) -> Result<Vec<Sent>, Trouble> {
    let mut told = Vec::new();
    let mut open: Option<Open> = None;
    let mut unreachable: Option<Trouble> = None;
    for entry in due(store, account, all).await? {
        let Some(claim) = claimed(store, &entry).await? else { continue };
        if open.is_none() && unreachable.is_none() {
            match Open::new(submission).await {
                Ok(made) => open = Some(made),
                Err(error) => unreachable = Some(error),
            }
        }
        let sent = match (&mut open, &unreachable) {
            (Some(connection), _) => {
                let outcome = connection.send(store, &claim).await;
                let sent = settle(store, &claim, outcome).await?;
                if !connection.ready {
                    open = None;
                }
                sent
            }
            (None, trouble) => {
                let why = trouble.as_ref().map_or_else(|| "no connection".to_owned(), ToString::to_string);
                put_off(store, &claim, &why).await?
            }
        };
        told.push(sent);
    }
    if let Some(open) = open {
        open.quit().await;
    }
    Ok(told)
}

/// Signs in once.
///
/// # Errors
/// No connection, or not let in.
pub async fn try_out(submission: &Submission<'_>) -> Result<(), Trouble> {
    Open::new(submission).await?.quit().await;
    Ok(())
}

async fn claimed(store: &Store, entry: &QueueEntry) -> Result<Option<Claim>, Trouble> {
    let now = unix_now();
    if entry.next_secs > now {
        store.queue_act(entry.id, store::QueueAct::Retry { now_secs: now }).await?;
    }
    Ok(store.queue_claim(entry.id, now, LEASE_SECS).await?)
}

fn waiting(claim: &Claim) -> Vec<usize> {
    let one = |(at, r): (usize, &QueueRecipient)| (r.state == RecipientState::Waiting).then_some(at);
    claim.entry.message.recipients.iter().enumerate().filter_map(one).collect()
}

async fn put_off(store: &Store, claim: &Claim, why: &str) -> Result<Sent, Trouble> {
    let mut recipients = claim.entry.message.recipients.clone();
    for recipient in recipients.iter_mut().filter(|recipient| recipient.state == RecipientState::Waiting) {
        why.clone_into(&mut recipient.last_reply);
    }
    finish(store, claim, recipients, false).await?;
    Ok(Sent { id: claim.entry.id.0, sent: false, refused: false, said: vec![why.to_owned()] })
}

/// Writes the new states; an entry that was refused for good is held.
async fn finish(store: &Store, claim: &Claim, recipients: Vec<QueueRecipient>, refused: bool) -> Result<(), Trouble> {
    let step = usize::try_from(claim.entry.attempts).unwrap_or(usize::MAX);
    let wait = RETRY_SECS.get(step).or(RETRY_SECS.last()).copied().unwrap_or(3600);
    let now_secs = unix_now();
    let next_secs = now_secs + if refused { KEPT_SECS } else { wait };
    // A provider's refusal says nothing of the address: nobody is suppressed for it.
    let settlement = Settlement {
        recipients,
        next_secs,
        attempted: true,
        notices: Vec::new(),
        trace: Vec::new(),
        bounced: Vec::new(),
        now_secs,
    };
    store.queue_settle(claim, settlement).await?;
    if refused {
        store.queue_act(claim.entry.id, store::QueueAct::Hold).await?;
    }
    Ok(())
}

async fn settle(store: &Store, claim: &Claim, outcome: Result<Outcome, Trouble>) -> Result<Sent, Trouble> {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error @ Trouble::Here(_)) => return Err(error),
        Err(error) => return put_off(store, claim, &error.to_string()).await,
    };
    let mut recipients = claim.entry.message.recipients.clone();
    let mut said = Vec::new();
    let (mut refused, mut later) = (false, false);
    for (at, result) in waiting(claim).into_iter().zip(&outcome.recipients) {
        let Some(recipient) = recipients.get_mut(at) else { continue };
        let (text, state, for_good) = read(result);
        refused |= for_good;
        later |= state == RecipientState::Waiting && !for_good;
        recipient.state = state;
        said.push(format!("{}: {text}", recipient.address));
        recipient.last_reply = text;
    }
    let sent = recipients.iter().all(|recipient| recipient.state == RecipientState::Delivered);
    // Whom a later try may reach is not held up by who was refused.
    finish(store, claim, recipients, refused && !later).await?;
    Ok(Sent { id: claim.entry.id.0, sent, refused, said })
}

/// In words, the new state, and whether another try would be no use.
fn read(result: &RecipientOutcome) -> (String, RecipientState, bool) {
    match result {
        RecipientOutcome::Accepted(reply) => (reply.to_string(), RecipientState::Delivered, false),
        RecipientOutcome::Refused(_, reply) => (reply.to_string(), RecipientState::Waiting, reply.code >= 500),
        RecipientOutcome::NotOffered(Needed::SmtpUtf8) => {
            ("the provider cannot take addresses or headers beyond ASCII (SMTPUTF8)".into(), RecipientState::Waiting, true)
        }
        RecipientOutcome::NotOffered(Needed::EightBitMime) => {
            ("the provider cannot take 8-bit text".into(), RecipientState::Waiting, true)
        }
        RecipientOutcome::NotOffered(Needed::RequireTls) => {
            ("the provider does not promise TLS all the way (REQUIRETLS)".into(), RecipientState::Waiting, true)
        }
        RecipientOutcome::NotOffered(Needed::DeliverBy) => {
            ("the provider does not promise to deliver in time (DELIVERBY)".into(), RecipientState::Waiting, true)
        }
        RecipientOutcome::NotOffered(Needed::Size(most)) => {
            (format!("the message is larger than the {most} octets the provider takes"), RecipientState::Waiting, true)
        }
        RecipientOutcome::Unwritable => ("the address cannot be written in SMTP".into(), RecipientState::Waiting, true),
        RecipientOutcome::Lost(_) => ("the connection was lost".into(), RecipientState::Waiting, false),
    }
}

fn told(failure: Failure, host: &str) -> Trouble {
    match failure {
        Failure::Refused(_, reply) => Trouble::Refused(format!("{host} said: {reply}")),
        Failure::TlsNotOffered => {
            Trouble::Refused(format!("{host} offers no TLS, and without it the password would be in the open"))
        }
        Failure::AuthNotOffered => Trouble::Refused(format!("{host} offers no way to sign in that keeps the password private")),
        Failure::Auth(failure) => Trouble::SignIn(format!("{host}: {failure}")),
        Failure::BytesBeforeTls | Failure::Nonsense(_) => Trouble::Protocol(format!("{host} does not speak SMTP")),
        Failure::TimedOut(_) => Trouble::Lost(format!("{host} did not answer in time")),
        Failure::Lost(_) => Trouble::Lost(format!("{host} closed the connection")),
    }
}

impl Open {
    async fn new(submission: &Submission<'_>) -> Result<Open, Trouble> {
        let connection = submission.dialer.connect(submission.place).await?;
        let local = connection.peer().is_loopback();
        let own = connection.local().map_or_else(|| "localhost".to_owned(), |own| literal(own.ip()));
        let config = Config {
            hostname: own,
            lmtp: false,
            tls: connection.is_tls(),
            starttls: if local { StartTls::IfOffered } else { StartTls::Require },
            credentials: Some(Credentials { login: submission.login.to_owned(), password: submission.password.clone() }),
            plaintext_auth: local,
            nonce: nonce(),
        };
        let mut open = Open { connection, session: Client::new(config), host: submission.place.to_string(), ready: false };
        open.until_ready().await?;
        Ok(open)
    }

    async fn event(&mut self) -> Result<Event, Trouble> {
        match self.connection.next(&mut self.session).await {
            Next::Event(Event::Failed(failure)) => Err(told(failure, &self.host)),
            Next::Event(event) => Ok(event),
            Next::Closed => Err(Trouble::over(&self.connection, &self.host)),
        }
    }

    async fn until_ready(&mut self) -> Result<(), Trouble> {
        while !self.ready {
            self.ready = self.event().await? == Event::Ready;
        }
        Ok(())
    }

    async fn send(&mut self, store: &Store, claim: &Claim) -> Result<Outcome, Trouble> {
        self.until_ready().await?;
        self.ready = false;
        let entry = &claim.entry;
        let size = u64::from(entry.size_bytes);
        self.session.send(envelope(claim, size));
        let mut at = 0;
        let outcome = loop {
            match self.event().await? {
                Event::WantsBody if at < size => {
                    let piece = store.queue_body(entry.body, at, PIECE_BYTES).await?;
                    if piece.is_empty() {
                        return Err(Trouble::Here(format!("queue entry {}: the message ends early", entry.id.0)));
                    }
                    at += piece.len() as u64;
                    self.session.body(&piece);
                    self.connection.flush(&mut self.session).await;
                }
                Event::WantsBody => self.session.body_end(),
                Event::Outcome(outcome) => break outcome,
                Event::Ready | Event::Failed(_) => {}
            }
        };
        if !outcome.recipients.iter().any(|result| matches!(result, RecipientOutcome::Lost(_))) {
            // A provider that closes after one message has taken that one.
            let _ = self.until_ready().await;
        }
        Ok(outcome)
    }

    async fn quit(mut self) {
        self.session.quit();
        let goodbye = async { while let Next::Event(_) = self.connection.next(&mut self.session).await {} };
        let _ = tokio::time::timeout(GOODBYE_MAX, goodbye).await;
    }
}

/// What a client without a name says in EHLO (RFC 5321 §4.1.4).
fn literal(ip: std::net::IpAddr) -> String {
    if ip.is_ipv6() { format!("[IPv6:{ip}]") } else { format!("[{ip}]") }
}

fn address(text: &str) -> Address {
    let (local, domain) = text.rsplit_once('@').unwrap_or((text, ""));
    Address { local: local.to_owned(), domain: domain.to_owned() }
}

fn envelope(claim: &Claim, size: u64) -> Envelope {
    let message = &claim.entry.message;
    let recipients = waiting(claim).into_iter().filter_map(|at| message.recipients.get(at)).map(|recipient| Recipient {
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

/// Takes a message back before it goes; `false`: it is gone already. Its copy goes from Sent into Drafts, if nobody got it.
///
/// # Errors
/// The store's.
pub async fn take_back(store: &Store, account: AccountId, id: QueueId) -> Result<bool, Trouble> {
    match store.queue_entry(id).await? {
        Some(entry) if entry.message.account == Some(account) => {
            store.queue_act(id, store::QueueAct::Drop).await?;
            if entry.message.recipients.iter().all(|recipient| recipient.state != RecipientState::Delivered) {
                into_drafts(store, account, entry.message_id.as_deref().unwrap_or_default()).await?;
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

async fn into_drafts(store: &Store, account: AccountId, message_id: &str) -> Result<(), Trouble> {
    let bare = |id: &str| id.trim().trim_start_matches('<').trim_end_matches('>').to_owned();
    let all = store.mailboxes(account).await?;
    let by_use = |wanted: SpecialUse| all.iter().find(|mailbox| mailbox.special_use == Some(wanted));
    let (Some(sent), Some(drafts)) = (by_use(SpecialUse::Sent), by_use(SpecialUse::Drafts)) else { return Ok(()) };
    let rows = store.snapshot(account, sent.id).await?.rows;
    let newest: Vec<_> = rows.iter().skip(rows.len().saturating_sub(COPIES_MAX)).collect();
    let emails: Vec<_> = newest.iter().map(|row| row.email).collect();
    let facts = store.facts(account, &emails).await?;
    let is_it = |facts: &Option<Arc<Facts>>| {
        facts.as_ref().and_then(|facts| facts.message_id.as_deref()).is_some_and(|id| bare(id) == bare(message_id))
    };
    let copies: Vec<Uid> = newest.iter().zip(&facts).filter(|(_, facts)| is_it(facts)).map(|(row, _)| row.uid).collect();
    let moved = store.move_(account, sent.id, &copies, drafts.id, unix_now()).await?;
    let uids: Vec<Uid> = moved.pairs.into_iter().map(|(_, uid)| uid).collect();
    let draft = Flags { system: Flags::DRAFT, keywords: None };
    store.flags(account, drafts.id, &uids, FlagOp::Add, &draft, None).await?;
    Ok(())
}

//! One message on its way in: trace fields first, header mended, octets to the spool, and at the end one commit.
//!
//! Invariant: after a refusal nothing more is stored, but everything is read to the end, so the reply comes where the
//! peer expects it. The octets that are committed are exactly those the facts were computed from.

use super::away;
use super::face::place;
use super::judge::{Judge, Sentence};
use crate::context::{Shared, unix_now};
use crate::facts::{aside, facts_of};
use crate::trust::reports;
use message::Facts;
use mta::Refusal;
use mta::accept::{Circumstances, Envelope, Recipient, acceptance};
use mta::bounce::{About, notice, original_bytes_wanted};
use mta::header_gate::{Gate, HeaderGate};
use mta::queue::{Action, Report, Reported};
use mta::refusal::of_store_error;
use mta::submit::{self, Fix};
use mta::trace_fields::{Received, return_path};
use mta::wishes::{Coming, Fulfilled, fulfil};
use std::borrow::Cow;
use std::net::IpAddr;
use store::{Accepted, Account, AccountId, QueueRecipient, Spool, Spooled, StoreError};

/// How it arrives, for the Received field.
pub(super) struct Arrival {
    pub(super) helo: String,
    pub(super) peer: Option<IpAddr>,
    pub(super) with: String,
    pub(super) tls: Option<String>,
    pub(super) now_secs: i64,
    /// It comes from a stranger, whom we judge.
    pub(super) judged: bool,
    /// It may have any octets at all (RFC 3030).
    pub(super) binary: bool,
}

/// By whom it was brought.
pub(super) struct Brought<'a> {
    pub(super) lmtp: bool,
    /// For traces.
    pub(super) peer: &'a str,
    pub(super) judge: Option<Judge>,
}

/// What goes on top of a whole message.
#[derive(Default)]
struct OnTop {
    fields: String,
    junk: bool,
}

/// See the module.
pub(super) struct Intake {
    id: String,
    /// Octets of Return-Path, and of all that we wrote in front.
    head_len: (usize, usize),
    now_secs: i64,
    envelope: Envelope,
    gate: Option<HeaderGate>,
    spool: Option<Spool>,
    refusal: Option<Refusal>,
    accepted: Accepted,
    /// It comes from a stranger.
    judged: bool,
    /// It may have any octets at all.
    binary: bool,
    /// A message sent on as it is: its author is another.
    resent: bool,
}

impl Intake {
    /// Opens the spool and writes the trace fields.
    pub(super) async fn begin(
        context: &Shared,
        arrival: Arrival,
        envelope: Envelope,
        recipients: &[Recipient],
    ) -> Result<Intake, Refusal> {
        let id = context.smtp.ids.next(arrival.now_secs);
        let mut head = String::new();
        if recipients.iter().any(|recipient| !recipient.destinations.accounts.is_empty()) {
            head.push_str(&return_path(&envelope.reverse_path));
        }
        let received = Received {
            helo: &arrival.helo,
            peer: arrival.peer,
            by: &context.hostname,
            with: &arrival.with,
            tls: arrival.tls.as_deref(),
            id: &id,
            recipient: match recipients {
                [only] => Some(&only.forward_path),
                _ => None,
            },
            at_secs: arrival.now_secs,
        };
        let return_path_len = head.len();
        head.push_str(&received.field());
        let mut spool = context.store.spool();
        spool.write(head.as_bytes()).await.map_err(|error| failure(&error))?;
        Ok(Intake {
            id,
            head_len: (return_path_len, head.len()),
            now_secs: arrival.now_secs,
            envelope,
            gate: Some(HeaderGate::default()),
            spool: Some(spool),
            refusal: None,
            accepted: Accepted::default(),
            judged: arrival.judged,
            binary: arrival.binary,
            resent: false,
        })
    }

    /// Who sends it did not write it (RFC 5322 §3.6.6).
    pub(super) fn is_sent_on(&mut self, resent: bool) {
        self.resent = resent;
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn reverse_path(&self) -> &str {
        &self.envelope.reverse_path
    }

    /// Takes a piece.
    pub(super) async fn chunk(&mut self, context: &Shared, account: Option<&Account>, piece: &[u8]) {
        if self.refusal.is_some() {
            return;
        }
        let taken = match self.gate.as_mut().map_or(Ok(Gate::Through), |gate| gate.push(piece)) {
            Ok(Gate::Wait) => Ok(()),
            Ok(Gate::Header(head)) => self.header(context, account, head).await,
            Ok(Gate::Through) => self.write(piece).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = taken {
            self.refuse(refusal);
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.refusal = Some(refusal);
        self.spool = None;
        self.gate = None;
    }

    async fn header(&mut self, context: &Shared, account: Option<&Account>, head: Vec<u8>) -> Result<(), Refusal> {
        self.gate = None;
        let head = match account {
            Some(account) => {
                match (&self.envelope.by, self.resent) {
                    (Some(_), resent) => submit::check_elsewhere(&self.envelope.reverse_path, &head, resent)?,
                    (None, true) => submit::check_resent(&place(context), account, &head).await?,
                    (None, false) => {
                        submit::check_author(&place(context), account, &head, context.limits.foreign_sender).await?;
                    }
                }
                let stripped = submit::strip(&head)?;
                let author = if self.envelope.reverse_path.is_empty() { &account.address } else { &self.envelope.reverse_path };
                let fix = Fix { now_secs: self.now_secs, id: &self.id, hostname: &context.hostname, author };
                submit::mend(&stripped, &fix)
            }
            None => {
                let stripped = submit::strip(&head)?;
                // What claims to be our own verdict was not written by us (RFC 8601 §5).
                if self.judged {
                    trust::results::without_forged(&stripped, &context.hostname).unwrap_or(stripped)
                } else {
                    stripped
                }
            }
        };
        // What asked for SMTPUTF8 but does not need it goes everywhere (RFC 6531 §3.4 leaves it to us).
        self.envelope.smtputf8 = self.envelope.smtputf8 && submit::header_needs_utf8(&head);
        self.write(&head).await
    }

    async fn write(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        self.envelope.eight_bit |= !piece.is_ascii();
        let Some(spool) = &mut self.spool else { return Err(Refusal::temporary()) };
        spool.write(piece).await.map_err(|error| failure(&error))
    }

    /// The message is whole: one answer a recipient, in order, all positive ones after the commit.
    pub(super) async fn end(
        self,
        context: &Shared,
        account: Option<&Account>,
        recipients: &[Recipient],
        brought: Brought<'_>,
    ) -> Vec<Result<(), Refusal>> {
        self.end_told(context, account, recipients, brought).await.0
    }

    /// The same, and what the store made of it.
    pub(super) async fn end_told(
        mut self,
        context: &Shared,
        account: Option<&Account>,
        recipients: &[Recipient],
        brought: Brought<'_>,
    ) -> (Vec<Result<(), Refusal>>, Accepted) {
        if self.refusal.is_none()
            && let Some(head) = self.gate.take().and_then(HeaderGate::finish)
            && let Err(refusal) = self.header(context, account, head).await
        {
            self.refuse(refusal);
        }
        let all = |refusal: Refusal| (recipients.iter().map(|_| Err(refusal.clone())).collect(), Accepted::default());
        if let Some(refusal) = self.refusal {
            return all(refusal);
        }
        let Some(spool) = self.spool.take() else { return all(Refusal::temporary()) };
        match self.commit(spool, context, account, recipients, brought).await {
            Ok(answers) => (answers, self.accepted),
            Err(error) => all(failure(&error)),
        }
    }

    async fn commit(
        &mut self,
        spool: Spool,
        context: &Shared,
        account: Option<&Account>,
        recipients: &[Recipient],
        brought: Brought<'_>,
    ) -> Result<Vec<Result<(), Refusal>>, StoreError> {
        let Brought { lmtp, peer, judge } = brought;
        let mut body = spool.finish().await?;
        let full = full_accounts(context, recipients, body.len()).await?;
        let answers = decide(recipients, &full, lmtp);
        let taken: Vec<&Recipient> =
            recipients.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()).map(|(recipient, _)| recipient).collect();
        if taken.is_empty() {
            return Ok(answers);
        }
        let all = |refusal: Refusal| Ok(recipients.iter().map(|_| Err(refusal.clone())).collect());
        let came = body.bytes().await?;
        // Whoever signed it signed what came; what is kept, signed by us and sent on has lines.
        let octets = match self.in_lines(came.clone()).await {
            Ok(octets) => octets,
            Err(refusal) => return all(refusal),
        };
        let goes_on = taken.iter().any(|recipient| !recipient.destinations.remote.is_empty());
        let on_top = match judge {
            Some(judge) => match self.judged(context, judge, &came, goes_on.then_some(&octets)).await {
                Ok(on_top) => on_top,
                Err(refusal) => return all(refusal),
            },
            None => OnTop { fields: self.signed(context, account, &octets), junk: false },
        };
        let octets = if on_top.fields.is_empty() { octets } else { self.with_on_top(octets, &on_top.fields) };
        if self.binary || !on_top.fields.is_empty() {
            body = Spooled::from_bytes(octets.clone());
        }
        let facts = facts_of(octets.clone()).await?;
        let non_ascii = |address: &String| !address.is_ascii();
        self.envelope.smtputf8 |= !self.envelope.reverse_path.is_ascii()
            || taken.iter().any(|recipient| recipient.destinations.remote.iter().any(non_ascii));
        let fulfilled = self.fulfilled(context, &taken, &octets, (on_top.junk, &full, &facts)).await?;
        let forwarded_as = self.forwarded_as(context);
        let around = Circumstances {
            now_secs: self.now_secs,
            id: &self.id,
            peer,
            lifetime_secs: context.smtp.schedule.lifetime_secs,
            full: &full,
            junk: on_top.junk,
            forwarded_as: forwarded_as.as_deref(),
            fulfilled: &fulfilled,
        };
        let acceptance = acceptance(&self.envelope, &taken, body.clone(), facts, around);
        self.accepted = context.store.accept(acceptance).await?;
        tracing::info!(id = %self.id, from = %self.envelope.reverse_path, recipients = taken.len(), bytes = body.len(), %peer, "accepted");
        if !on_top.junk && self.envelope.hold_until_secs.is_none() {
            away::answer(context, &self.envelope.reverse_path, &taken, (&fulfilled, &full), &octets);
        }
        if account.is_none() && is_for_postmaster(&taken) && reports::is_likely(&octets) {
            let context = context.clone();
            tokio::spawn(async move { context.trust.reader.take_in(&context.store, octets, unix_now()).await });
        }
        self.tell_delivered(context, &taken, &full, body);
        Ok(answers)
    }

    /// What the owners of the accounts want done with it.
    async fn fulfilled(
        &self,
        context: &Shared,
        taken: &[&Recipient],
        octets: &[u8],
        (junk, full, facts): (bool, &[AccountId], &Facts),
    ) -> Result<Fulfilled, StoreError> {
        if self.envelope.hold_until_secs.is_some() {
            return Ok(Fulfilled::default());
        }
        let header = octets.get(..message::header::header_end(octets)).unwrap_or_default();
        let reverse_path = &self.envelope.reverse_path;
        let coming = Coming { header, reverse_path, hostname: &context.hostname, junk, waiting: full, facts };
        fulfil(&place(context), &context.wishes, coming, taken).await
    }

    /// The message without binary parts.
    async fn in_lines(&mut self, octets: bytes::Bytes) -> Result<bytes::Bytes, Refusal> {
        if !self.binary {
            return Ok(octets);
        }
        let converted = aside(octets.len(), move || match message::reencode::to_lines(&octets) {
            Ok(Cow::Owned(converted)) => Ok(converted.into()),
            Ok(Cow::Borrowed(_)) => Ok(octets.clone()),
            Err(why) => Err(why),
        });
        let octets: bytes::Bytes = match converted.await {
            Ok(Ok(octets)) => octets,
            Ok(Err(why)) => return Err(Refusal::new(554, (5, 6, 3), format!("The message cannot be kept: {why}"))),
            Err(_) => return Err(Refusal::temporary()),
        };
        self.envelope.eight_bit = !octets.is_ascii();
        Ok(octets)
    }

    /// The verdict on a stranger's message; `onward` is it as it goes on elsewhere, if it does.
    async fn judged(
        &self,
        context: &Shared,
        judge: Judge,
        octets: &[u8],
        onward: Option<&bytes::Bytes>,
    ) -> Result<OnTop, Refusal> {
        let message = octets.get(self.head_len.1..).unwrap_or_default();
        let message_id =
            message::header::first(message, "Message-ID").map(|field| String::from_utf8_lossy(&field.value()).into_owned());
        match judge.whole(context, message, &self.id, message_id.as_deref()).await {
            Sentence::Refuse(refusal) => Err(refusal),
            Sentence::Take { fields, junk, chain } => {
                let onward = onward.filter(|_| context.trust.policy.arc_seal).and_then(|octets| octets.get(self.head_len.1..));
                let seal = onward.and_then(|message| self.sealed(context, message, &chain));
                Ok(OnTop { fields: seal.unwrap_or_default() + &fields, junk })
            }
        }
    }

    /// An ARC set for what goes on elsewhere, by the first domain that has a key.
    fn sealed(&self, context: &Shared, message: &[u8], chain: &(String, trust::arc::Chain)) -> Option<String> {
        let signer =
            context.domains.iter().find_map(|domain| context.trust.keys.signers(domain, self.now_secs).into_iter().next())?;
        let (header, body) = message.split_at_checked(message::header::header_end(message))?;
        trust::arc::seal(header, body, &chain.1, &chain.0, &signer, self.now_secs)
    }

    /// DKIM-Signature fields for what our own people send, by the domain they write as.
    fn signed(&self, context: &Shared, account: Option<&Account>, octets: &[u8]) -> String {
        match account {
            // Our signature says that its author is ours; what is sent on keeps its author's.
            Some(_) if self.resent => String::new(),
            Some(_) => context.trust.sign(&context.domains, octets.get(self.head_len.1..).unwrap_or_default(), self.now_secs),
            None => String::new(),
        }
    }

    /// Under Return-Path, over everything else.
    fn with_on_top(&self, octets: bytes::Bytes, fields: &str) -> bytes::Bytes {
        let (return_path, rest) = octets.split_at_checked(self.head_len.0).unwrap_or((b"", &octets));
        [return_path, fields.as_bytes(), rest].concat().into()
    }

    /// The reverse-path of what goes on elsewhere for somebody who is not ours, so that SPF holds there (SRS).
    fn forwarded_as(&self, context: &Shared) -> Option<String> {
        let reverse_path = &self.envelope.reverse_path;
        let domain = context.domains.first()?;
        let own = mta::receive::domain_of(reverse_path).is_some_and(|from| place(context).serves(&from));
        if self.envelope.account.is_some() || own {
            return None;
        }
        context.trust.srs.as_ref()?.forward(reverse_path, domain, self.now_secs)
    }

    /// NOTIFY=SUCCESS for what is in a mailbox here (RFC 3461 §5.2.3): a message of its own, after the answer.
    fn tell_delivered(&self, context: &Shared, taken: &[&Recipient], full: &[AccountId], body: Spooled) {
        // What is held is not there yet; the queue tells when it is.
        if self.envelope.hold_until_secs.is_some() || self.envelope.reverse_path.is_empty() {
            return;
        }
        let asked = || taken.iter().filter(|recipient| recipient.notify & QueueRecipient::NOTIFY_SUCCESS != 0);
        let delivered = asked().filter(|recipient| is_delivered(recipient, full)).map(|r| reported(r)).collect();
        let expanded = asked().filter(|recipient| recipient.is_expanded()).map(|r| reported(r)).collect();
        for (action, recipients) in [(Action::Delivered, delivered), (Action::Expanded, expanded)] {
            let report = Report { action, recipients };
            if report.recipients.is_empty() {
                continue;
            }
            let (context, envelope, now_secs, body) = (context.clone(), self.envelope.clone(), self.now_secs, body.clone());
            tokio::spawn(async move {
                if let Err(error) = send_report(&context, &envelope, &report, now_secs, body).await {
                    tracing::warn!(?error, "a report of delivery could not be written");
                }
            });
        }
    }
}

/// Reports come to the address that our own records name.
fn is_for_postmaster(taken: &[&Recipient]) -> bool {
    taken.iter().any(|recipient| {
        let local = recipient.forward_path.split(['@', '+']).next().unwrap_or_default();
        ["postmaster", "dmarc", "tlsrpt"].iter().any(|name| local.eq_ignore_ascii_case(name))
    })
}

/// What of the store's trouble the peer may know here.
fn failure(error: &StoreError) -> Refusal {
    if !matches!(error, StoreError::OverQuota | StoreError::NoSpace) {
        tracing::error!(?error, "a message could not be taken");
    }
    match error {
        StoreError::OverQuota => Refusal::new(452, (4, 2, 2), "A mailbox is full, try again later"),
        StoreError::Invalid(why) => Refusal::new(554, (5, 6, 0), *why),
        other => of_store_error(other, ""),
    }
}

/// Accounts without room for this many octets (what MAIL's SIZE could not tell).
async fn full_accounts(context: &Shared, recipients: &[Recipient], size_bytes: u64) -> Result<Vec<AccountId>, StoreError> {
    let mut full = Vec::new();
    for account in recipients.iter().flat_map(|recipient| &recipient.destinations.accounts) {
        if full.contains(&account.id) {
            continue;
        }
        match context.store.room(account.id, size_bytes).await {
            Ok(()) => {}
            Err(StoreError::OverQuota) => full.push(account.id),
            Err(error) => return Err(error),
        }
    }
    Ok(full)
}

/// LMTP answers for each recipient. SMTP has one answer: no only when nobody has room, else the rest waits in the queue.
fn decide(recipients: &[Recipient], full: &[AccountId], lmtp: bool) -> Vec<Result<(), Refusal>> {
    let is_full = |recipient: &Recipient| {
        let found = &recipient.destinations;
        found.remote.is_empty() && !found.accounts.is_empty() && found.accounts.iter().all(|account| full.contains(&account.id))
    };
    let nobody = recipients.iter().all(is_full);
    let answer = |recipient: &Recipient| {
        if nobody || (lmtp && is_full(recipient)) { Err(Refusal::over_quota(&recipient.forward_path)) } else { Ok(()) }
    };
    recipients.iter().map(answer).collect()
}

fn is_delivered(recipient: &Recipient, full: &[AccountId]) -> bool {
    let found = &recipient.destinations;
    !recipient.is_expanded() && found.remote.is_empty() && found.accounts.iter().all(|account| !full.contains(&account.id))
}

fn reported(recipient: &Recipient) -> Reported {
    Reported {
        address: recipient.forward_path.clone(),
        original: recipient.original.clone(),
        status: (2, 0, 0),
        host: None,
        text: String::new(),
    }
}

async fn send_report(
    context: &Shared,
    envelope: &Envelope,
    report: &Report,
    now_secs: i64,
    body: Spooled,
) -> Result<(), StoreError> {
    let octets = body.bytes().await?;
    let (wanted, whole) = original_bytes_wanted(report.action, body.len(), true);
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let about = About {
        reverse_path: &envelope.reverse_path,
        hostname: &context.hostname,
        id: &context.smtp.ids.next(unix_now()),
        now_secs,
        arrived_secs: now_secs,
        expires_secs: now_secs,
        envelope_id: envelope.envelope_id.as_deref(),
        original: octets.get(..wanted).unwrap_or(&octets),
        whole,
        lifetime_secs: context.smtp.schedule.lifetime_secs,
    };
    let sign = |report: &[u8]| context.trust.sign(&context.domains, report, now_secs);
    if let Some(acceptance) = notice(&place(context), report, &about, sign).await? {
        context.store.accept(acceptance).await?;
    }
    Ok(())
}

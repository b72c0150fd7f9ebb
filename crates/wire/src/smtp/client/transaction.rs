//! One message: MAIL, RCPT, DATA, the text, and what became of each recipient (RFC 5321 §3.3, RFC 2920, RFC 2033 §4.2).
//!
//! Invariant: every recipient ends with exactly one outcome.

use super::{Client, Envelope, Event, Needed, Outcome, RecipientOutcome, Stage, State};
use crate::limits::smtp as limits;
use crate::smtp::ehlo::Offers;
use crate::smtp::parameter::{self, Ret};
use crate::smtp::{Reply, data, path};
use std::collections::VecDeque;

/// A command of the transaction, by what its reply means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Reset,
    Mail,
    Rcpt(usize),
    Data,
}

#[derive(Debug)]
enum Phase {
    Commands,
    Body(data::Encoder),
    /// Replies to the message, one or (LMTP) for each of these.
    End(VecDeque<usize>),
}

/// The message under way.
#[derive(Debug)]
pub(super) struct Transaction {
    /// Commands not yet sent (all are, with PIPELINING).
    unsent: VecDeque<(Sent, String)>,
    /// Commands whose reply is awaited.
    sent: VecDeque<Sent>,
    outcomes: Vec<Option<RecipientOutcome>>,
    /// Recipients the server accepted, so far.
    accepted: Vec<usize>,
    mail_accepted: bool,
    phase: Phase,
}

impl Client {
    pub(super) fn begin(&mut self, envelope: Envelope) {
        let count = envelope.recipients.len();
        let nothing_sent = |outcome: RecipientOutcome| Outcome { recipients: vec![outcome; count], dsn_offered: self.offers.dsn };
        let needs_utf8 = envelope.smtputf8 || !all_ascii(&envelope);
        let outcome = if let Some(needed) = missing(&envelope, needs_utf8, &self.offers, self.config.lmtp) {
            nothing_sent(RecipientOutcome::NotOffered(needed))
        } else if let Some(commands) = commands(&envelope, needs_utf8, &self.offers) {
            return self.begin_commands(commands, count);
        } else {
            nothing_sent(RecipientOutcome::Unwritable)
        };
        self.events.push_back(Event::Outcome(outcome));
        self.state = State::Ready { told: false };
    }

    fn begin_commands(&mut self, mut commands: Commands, count: usize) {
        let mut outcomes = vec![None; count];
        for &index in &commands.unwritable {
            if let Some(outcome) = outcomes.get_mut(index) {
                *outcome = Some(RecipientOutcome::Unwritable);
            }
        }
        if std::mem::take(&mut self.needs_reset) {
            commands.lines.push_front((Sent::Reset, "RSET".to_owned()));
        }
        let mut transaction = Transaction {
            unsent: commands.lines,
            sent: VecDeque::new(),
            outcomes,
            accepted: Vec::new(),
            mail_accepted: false,
            phase: Phase::Commands,
        };
        transaction.send(self.offers.pipelining, &mut self.output);
        self.progress = true;
        self.state = State::Transaction(Box::new(transaction));
    }

    pub(super) fn transaction_answered(&mut self, reply: Reply) {
        let State::Transaction(mut transaction) = std::mem::replace(&mut self.state, State::Closed) else { return };
        let done = match transaction.phase {
            Phase::Commands => transaction.command_answered(reply, self.config.lmtp, self.offers.pipelining, &mut self.output),
            // Before the final dot the server can only be giving up.
            Phase::Body(_) => {
                self.state = State::Transaction(transaction);
                return self.refused(reply);
            }
            Phase::End(_) => transaction.end_answered(reply, self.config.lmtp),
        };
        if !done {
            self.state = State::Transaction(transaction);
            return;
        }
        self.needs_reset = transaction.mail_accepted && matches!(transaction.phase, Phase::Commands);
        let outcome = transaction.abandon(RecipientOutcome::Lost(Stage::Rcpt), self.offers.dsn);
        self.events.push_back(Event::Outcome(outcome));
        self.state = State::Ready { told: false };
    }
}

impl Transaction {
    pub(super) fn stage(&self) -> Stage {
        match (&self.phase, self.sent.front()) {
            (Phase::Body(_), _) => Stage::Body,
            (Phase::End(_), _) => Stage::End,
            (Phase::Commands, Some(Sent::Rcpt(_))) => Stage::Rcpt,
            (Phase::Commands, Some(Sent::Data)) => Stage::Data,
            (Phase::Commands, _) => Stage::Mail,
        }
    }

    pub(super) fn patience_secs(&self) -> u64 {
        match self.stage() {
            Stage::Data => limits::CLIENT_DATA_SECS_MAX,
            Stage::Body => limits::CLIENT_BLOCK_SECS_MAX,
            Stage::End => limits::CLIENT_END_SECS_MAX,
            _ => limits::CLIENT_COMMAND_SECS_MAX,
        }
    }

    pub(super) fn wants_body(&self) -> bool {
        matches!(self.phase, Phase::Body(_))
    }

    pub(super) fn body(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if let Phase::Body(encoder) = &mut self.phase {
            encoder.encode(piece, out);
        }
    }

    pub(super) fn body_end(&mut self, out: &mut Vec<u8>) {
        if let Phase::Body(encoder) = &mut self.phase {
            encoder.finish(out);
            self.phase = Phase::End(self.accepted.iter().copied().collect());
        }
    }

    /// What became of everybody; who is undecided gets `rest`.
    pub(super) fn abandon(self, rest: RecipientOutcome, dsn_offered: bool) -> Outcome {
        let recipients = self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| rest.clone())).collect();
        Outcome { recipients, dsn_offered }
    }

    fn send(&mut self, all: bool, out: &mut Vec<u8>) {
        while let Some((sent, line)) = self.unsent.pop_front() {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
            self.sent.push_back(sent);
            if !all {
                break;
            }
        }
    }

    fn settle(&mut self, index: usize, outcome: RecipientOutcome) {
        if let Some(slot @ None) = self.outcomes.get_mut(index) {
            *slot = Some(outcome);
        }
    }

    fn settle_all(&mut self, outcome: &RecipientOutcome) {
        for slot in self.outcomes.iter_mut().filter(|slot| slot.is_none()) {
            *slot = Some(outcome.clone());
        }
    }

    /// True when the transaction is over.
    fn command_answered(&mut self, reply: Reply, lmtp: bool, pipelining: bool, out: &mut Vec<u8>) -> bool {
        match self.sent.pop_front() {
            Some(Sent::Mail) if reply.is_positive() => self.mail_accepted = true,
            Some(Sent::Mail) => {
                self.settle_all(&RecipientOutcome::Refused(Stage::Mail, reply));
                self.unsent.clear();
            }
            Some(Sent::Rcpt(index)) if reply.is_positive() && self.mail_accepted => self.accepted.push(index),
            Some(Sent::Rcpt(index)) => self.settle(index, RecipientOutcome::Refused(Stage::Rcpt, reply)),
            Some(Sent::Data) => return self.data_answered(reply, lmtp, out),
            Some(Sent::Reset) | None => {}
        }
        // Without pipelining DATA is not even said when nobody is left to get the message.
        let pointless = self.accepted.is_empty() && matches!(self.unsent.front(), Some((Sent::Data, _)));
        if !pipelining && !pointless {
            self.send(false, out);
        }
        self.sent.is_empty()
    }

    fn data_answered(&mut self, reply: Reply, lmtp: bool, out: &mut Vec<u8>) -> bool {
        match (reply.code, self.accepted.is_empty()) {
            (354, false) => {
                self.phase = Phase::Body(data::Encoder::default());
                false
            }
            (354, true) => {
                // RFC 2920 §3.1: a server that says 354 with no recipient gets an empty message for nobody.
                out.extend_from_slice(b".\r\n");
                self.phase = Phase::End(VecDeque::new());
                lmtp
            }
            _ => {
                self.settle_all(&RecipientOutcome::Refused(Stage::Data, reply));
                true
            }
        }
    }

    /// True when the transaction is over.
    fn end_answered(&mut self, reply: Reply, lmtp: bool) -> bool {
        let Phase::End(waiting) = &mut self.phase else { return true };
        let outcome =
            if reply.is_positive() { RecipientOutcome::Accepted(reply) } else { RecipientOutcome::Refused(Stage::End, reply) };
        if !lmtp {
            self.settle_all(&outcome);
            return true;
        }
        let next = waiting.pop_front();
        let over = waiting.is_empty();
        if let Some(index) = next {
            self.settle(index, outcome);
        }
        over
    }
}

fn all_ascii(envelope: &Envelope) -> bool {
    let addresses = envelope.recipients.iter().map(|recipient| &recipient.address).chain(&envelope.reverse_path);
    addresses.into_iter().all(|address| address.local.is_ascii() && address.domain.is_ascii())
}

/// What the message needs and the server lacks.
fn missing(envelope: &Envelope, needs_utf8: bool, offers: &Offers, lmtp: bool) -> Option<Needed> {
    if needs_utf8 && !offers.smtputf8 {
        return Some(Needed::SmtpUtf8);
    }
    if envelope.wishes.require_tls && !offers.keywords.require_tls {
        return Some(Needed::RequireTls);
    }
    // Who delivers by LMTP does it at once (RFC 2033): nothing can be late any more.
    if !lmtp && envelope.wishes.deliver_by.is_some_and(|by| !by.notify) && offers.keywords.deliver_by_min_secs.is_none() {
        return Some(Needed::DeliverBy);
    }
    if envelope.eight_bit && !offers.eight_bit_mime {
        return Some(Needed::EightBitMime);
    }
    match (envelope.size, offers.size) {
        (Some(size), Some(size_max)) if size_max > 0 && size > size_max => Some(Needed::Size(size_max)),
        _ => None,
    }
}

struct Commands {
    lines: VecDeque<(Sent, String)>,
    unwritable: Vec<usize>,
}

/// MAIL, RCPT and DATA as lines; `None` when the sender or all recipients cannot be written.
fn commands(envelope: &Envelope, needs_utf8: bool, offers: &Offers) -> Option<Commands> {
    let mut lines = VecDeque::new();
    lines.push_back((Sent::Mail, mail_line(envelope, needs_utf8, offers)?));
    let mut unwritable = Vec::new();
    for (index, recipient) in envelope.recipients.iter().enumerate() {
        let Some(mailbox) = path::encode_mailbox(&recipient.address) else {
            unwritable.push(index);
            continue;
        };
        let mut line = format!("RCPT TO:<{mailbox}>");
        if offers.dsn && recipient.notify != 0 {
            line.push_str(&format!(" NOTIFY={}", parameter::notify_encode(recipient.notify)));
        }
        if let Some((kind, address)) = recipient.original.as_deref().filter(|_| offers.dsn).and_then(|text| text.split_once(';'))
        {
            // Another's type must not become another parameter.
            if kind.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-') {
                line.push_str(&format!(" ORCPT={kind};{}", parameter::xtext_encode(address)));
            }
        }
        lines.push_back((Sent::Rcpt(index), line));
    }
    if lines.len() == 1 {
        return None;
    }
    lines.push_back((Sent::Data, "DATA".to_owned()));
    // The paths were checked; the parameters come from outside too.
    let clean = lines.iter().all(|(_, line)| !line.chars().any(char::is_control));
    clean.then_some(Commands { lines, unwritable })
}

fn mail_line(envelope: &Envelope, needs_utf8: bool, offers: &Offers) -> Option<String> {
    let mailbox = match &envelope.reverse_path {
        Some(address) => path::encode_mailbox(address)?,
        None => String::new(),
    };
    let mut line = format!("MAIL FROM:<{mailbox}>");
    if let Some(size) = envelope.size.filter(|_| offers.size.is_some()) {
        line.push_str(&format!(" SIZE={size}"));
    }
    if envelope.eight_bit {
        line.push_str(" BODY=8BITMIME");
    }
    if needs_utf8 {
        line.push_str(" SMTPUTF8");
    }
    if offers.dsn {
        match envelope.ret {
            Some(Ret::Full) => line.push_str(" RET=FULL"),
            Some(Ret::Headers) => line.push_str(" RET=HDRS"),
            None => {}
        }
        if let Some(id) = &envelope.envelope_id {
            line.push_str(&format!(" ENVID={}", parameter::xtext_encode(id)));
        }
    }
    line.push_str(&envelope.wishes.encode(&offers.keywords));
    Some(line)
}

//! The queue's rules: when a recipient is tried again, when it is given up, who is told (RFC 5321 §4.5.4, RFC 3461).
//!
//! Pure: an entry, the outcomes of one attempt and the time in; the entry's next state and the reports it owes out.
//! Invariant: a recipient leaves `Waiting` once and never comes back; a null reverse-path is never answered.
//! Must not know: connections, DNS, how a report is worded.

use crate::limits::REPLY_BYTES_MAX;
use store::{QueueEntry, QueueRecipient, RecipientState, TraceEvent, UnixSecs};

/// When things happen to what waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Wait after the first, second ... attempt; the last repeats. Never empty in use ([`Schedule::next`] minds).
    pub retry_secs: Vec<u32>,
    /// Told once that it is late, after this.
    pub delay_notice_secs: i64,
    /// Given up after this (RFC 5321 §4.5.4.1: at least 4-5 days).
    pub lifetime_secs: i64,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            retry_secs: vec![60, 300, 900, 1800, 3600, 7200, 14_400],
            delay_notice_secs: 4 * 3600,
            lifetime_secs: 5 * 24 * 3600,
        }
    }
}

impl Schedule {
    /// The next attempt after `attempts` were made, this one included. `jitter` (any number) spreads it by up to a tenth,
    /// so that a thousand entries of one outage do not come back as one.
    pub fn next(&self, attempts: u32, now_secs: UnixSecs, jitter: u32) -> UnixSecs {
        let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = self.retry_secs.get(step).or(self.retry_secs.last()).copied().unwrap_or(3600);
        let spread = wait / 10;
        let extra = if spread == 0 { 0 } else { jitter % spread };
        now_secs + i64::from(wait) + i64::from(extra)
    }
}

/// How it went for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The next hop answered for it.
    Delivered {
        /// It offered DSN and got NOTIFY and ENVID: reporting success is now its affair (RFC 3461 §5.2.2).
        onward: bool,
    },
    /// Trying again may help.
    Deferred,
    /// Trying again does not help.
    Failed,
}

/// What one attempt says about one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Of three kinds.
    pub verdict: Verdict,
    /// RFC 3463.
    pub status: (u8, u16, u16),
    /// Who said it; `None` when we found out ourselves.
    pub host: Option<String>,
    /// The reply as it was said (`550 5.1.1 unknown`), or our finding in plain words.
    pub text: String,
    /// Of what was delivered only: the sender hears that it was passed on, unless NOTIFY=NEVER (RFC 2852 §4.1).
    pub told: bool,
}

impl Outcome {
    /// From a reply of the next hop: 2xx, 4xx, anything else is permanent (RFC 5321 §4.2.1).
    pub fn of_reply(host: &str, code: u16, enhanced: Option<(u8, u16, u16)>, text: &str, onward: bool) -> Outcome {
        let class = code / 100;
        let verdict = match class {
            2 => Verdict::Delivered { onward },
            4 => Verdict::Deferred,
            _ => Verdict::Failed,
        };
        let general = match class {
            2 => (2, 0, 0),
            4 => (4, 0, 0),
            _ => (5, 0, 0),
        };
        let status = enhanced.filter(|(c, _, _)| u16::from(*c) == class).unwrap_or(general);
        Outcome { verdict, status, host: Some(host.to_owned()), text: cut(text), told: false }
    }
    /// Our own finding: try again.
    pub fn deferred(status: (u8, u16, u16), text: impl Into<String>) -> Outcome {
        Outcome { verdict: Verdict::Deferred, status, host: None, text: cut(&text.into()), told: false }
    }
    /// Our own finding: give up.
    pub fn failed(status: (u8, u16, u16), text: impl Into<String>) -> Outcome {
        Outcome { verdict: Verdict::Failed, status, host: None, text: cut(&text.into()), told: false }
    }
    /// `mx.there.test: 451 4.3.0 Try later`
    pub fn reply_line(&self) -> String {
        match &self.host {
            Some(host) => format!("{host}: {}", self.text),
            None => self.text.clone(),
        }
    }
}

/// What is said of a delivery into a mailbox of ours. What another server says stands behind its name.
pub const DELIVERED_HERE: &str = "Delivered here";

/// What was said last of a recipient, out of what the trace tells of an attempt.
///
/// ```
/// let told = "to <a@b.test>, attempt 2: mx.b.test: 250 2.0.0 ok: queued";
/// assert_eq!(mta::queue::said_of("a@b.test", told), Some("mx.b.test: 250 2.0.0 ok: queued"));
/// ```
pub fn said_of<'a>(address: &str, detail: &'a str) -> Option<&'a str> {
    let behind = detail.strip_prefix("to <")?.strip_prefix(address)?.strip_prefix(">, attempt ")?;
    behind.split_once(": ").map(|(_, said)| said)
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(REPLY_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("").chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What a report is about (RFC 3464 §2.3.3 Action).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Given up.
    Failed,
    /// Late, still being tried.
    Delayed,
    /// Handed to a server that does not report success itself.
    Relayed,
    /// In a mailbox here.
    Delivered,
    /// Passed on to several addresses, of which nothing more is told but failure and delay.
    Expanded,
}

/// One recipient in a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// As sent to.
    pub address: String,
    /// ORCPT.
    pub original: Option<String>,
    /// RFC 3463.
    pub status: (u8, u16, u16),
    /// Who said it.
    pub host: Option<String>,
    /// What was said.
    pub text: String,
}

/// A report owed to the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// One kind a report.
    pub action: Action,
    /// Whom it is about; never empty.
    pub recipients: Vec<Reported>,
}

/// The entry after an attempt.
#[derive(Debug, Clone)]
pub struct Settled {
    /// With their new states.
    pub recipients: Vec<QueueRecipient>,
    /// For those still waiting.
    pub next_secs: UnixSecs,
    /// Owed to the sender, at most one an action.
    pub reports: Vec<Report>,
    /// For `trace`.
    pub trace: Vec<TraceEvent>,
    /// Positions of recipients that do not exist, by their server's word.
    pub bounced: Vec<usize>,
}

/// RFC 3461 §4.1: is this kind of news wanted? Nothing given means FAILURE and DELAY.
pub fn wants(notify: u8, action: Action) -> bool {
    let bit = match action {
        Action::Failed => QueueRecipient::NOTIFY_FAILURE,
        Action::Delayed => QueueRecipient::NOTIFY_DELAY,
        Action::Relayed | Action::Delivered | Action::Expanded => QueueRecipient::NOTIFY_SUCCESS,
    };
    if notify & QueueRecipient::NOTIFY_NEVER != 0 {
        return false;
    }
    let given = if notify == 0 { QueueRecipient::NOTIFY_FAILURE | QueueRecipient::NOTIFY_DELAY } else { notify };
    given & bit != 0
}

/// What an attempt makes of an entry. `outcomes` is by recipient, in order; `None` was not tried (or is final already).
pub fn settle(entry: &QueueEntry, outcomes: &[Option<Outcome>], now_secs: UnixSecs, schedule: &Schedule, jitter: u32) -> Settled {
    let mut recipients = entry.message.recipients.clone();
    let mut reports: Vec<Report> = Vec::new();
    let mut trace = Vec::new();
    let service = &entry.message.service;
    // RFC 2852 §4.1.4: past its time it comes back, or (notify) the sender hears that it is late.
    let overdue = service.deliver_by_secs.is_some_and(|by| now_secs >= by);
    let expired = now_secs >= entry.message.expires_secs || (overdue && !service.deliver_by_notify);
    let late = now_secs - entry.message.due_secs.max(entry.created_secs) >= schedule.delay_notice_secs
        || (overdue && service.deliver_by_notify);
    let mut bounced = Vec::new();
    for (position, (recipient, outcome)) in recipients.iter_mut().zip(outcomes).enumerate() {
        let Some(outcome) = outcome else { continue };
        if recipient.state != RecipientState::Waiting {
            continue;
        }
        recipient.last_reply = outcome.reply_line();
        let mut status = outcome.status;
        let (what, action) = match outcome.verdict {
            Verdict::Delivered { onward } => {
                recipient.state = RecipientState::Delivered;
                // Nobody else answered: it is in a mailbox of ours.
                let action = if outcome.host.is_some() { Action::Relayed } else { Action::Delivered };
                ("delivered", (!onward || outcome.told).then_some(action))
            }
            Verdict::Deferred if expired => {
                recipient.state = RecipientState::Failed;
                status = (5, 4, 7);
                ("bounced", Some(Action::Failed))
            }
            Verdict::Deferred => {
                let tell = late && !recipient.delay_told && wants(recipient.notify, Action::Delayed);
                recipient.delay_told |= tell;
                ("deferred", tell.then_some(Action::Delayed))
            }
            Verdict::Failed => {
                recipient.state = RecipientState::Failed;
                // RFC 3463 §3.2: bad mailbox, bad system, bad syntax, moved, null MX.
                if outcome.host.is_some() && matches!(outcome.status, (5, 1, 1..=3 | 6 | 10)) {
                    bounced.push(position);
                }
                ("bounced", Some(Action::Failed))
            }
        };
        trace.push(event(entry, recipient, what, now_secs));
        let told = outcome.told && recipient.notify & QueueRecipient::NOTIFY_NEVER == 0;
        let asked = |action: &Action| told || wants(recipient.notify, *action);
        if let Some(action) = action.filter(|action| !entry.message.reverse_path.is_empty() && asked(action)) {
            report(&mut reports, action, recipient, status, outcome);
        }
    }
    let wait = schedule.next(entry.attempts.saturating_add(1), now_secs, jitter);
    let end = service
        .deliver_by_secs
        .filter(|by| *by > now_secs)
        .map_or(entry.message.expires_secs, |by| by.min(entry.message.expires_secs));
    let next_secs = if now_secs < end { wait.min(end) } else { wait };
    Settled { recipients, next_secs, reports, trace, bounced }
}

fn report(reports: &mut Vec<Report>, action: Action, recipient: &QueueRecipient, status: (u8, u16, u16), outcome: &Outcome) {
    let reported = Reported {
        address: recipient.address.clone(),
        original: recipient.original.clone(),
        status,
        host: outcome.host.clone(),
        text: outcome.text.clone(),
    };
    match reports.iter_mut().find(|report| report.action == action) {
        Some(report) => report.recipients.push(reported),
        None => reports.push(Report { action, recipients: vec![reported] }),
    }
}

/// How an attempt went on its way to the next hop, for the trace.
pub fn attempt(entry: &QueueEntry, story: &str, now_secs: UnixSecs) -> TraceEvent {
    let event = TraceEvent::new(now_secs, "attempt", story).key("queue", entry.id.0.to_string());
    match entry.message.account {
        Some(account) => event.of(account),
        None => event,
    }
}

fn event(entry: &QueueEntry, recipient: &QueueRecipient, what: &'static str, now_secs: UnixSecs) -> TraceEvent {
    let detail = format!("to <{}>, attempt {}: {}", recipient.address, entry.attempts.saturating_add(1), recipient.last_reply);
    let event = TraceEvent::new(now_secs, what, detail).key("queue", entry.id.0.to_string());
    let event = event.key("address", recipient.address.as_str()).key("address", entry.message.reverse_path.as_str());
    let event = event.key("message-id", entry.message_id.as_deref().unwrap_or_default());
    match entry.message.account {
        Some(account) => event.of(account),
        None => event,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use store::{BodyId, NewQueueEntry, QueueId, QueueService};

    fn recipient(address: &str, notify: u8) -> QueueRecipient {
        QueueRecipient {
            address: address.into(),
            original: None,
            notify,
            state: RecipientState::Waiting,
            last_reply: String::new(),
            delay_told: false,
        }
    }

    fn entry(reverse_path: &str, recipients: Vec<QueueRecipient>) -> QueueEntry {
        QueueEntry {
            id: QueueId(7),
            body: BodyId(1),
            size_bytes: 10,
            message: NewQueueEntry {
                destination: "there.test".into(),
                reverse_path: reverse_path.into(),
                recipients,
                account: None,
                due_secs: 0,
                expires_secs: 432_000,
                eight_bit: false,
                smtputf8: false,
                ret_headers: false,
                envelope_id: None,
                service: QueueService::default(),
            },
            created_secs: 0,
            attempts: 0,
            held: false,
            next_secs: 0,
            message_id: Some("<m@x>".into()),
        }
    }

    fn later() -> Option<Outcome> {
        Some(Outcome::of_reply("mx.there.test", 451, Some((4, 3, 0)), "451 4.3.0 Try later", false))
    }

    #[test]
    fn deliver_by_comes_back_or_is_told_late() {
        let by = |notify| {
            let mut entry = entry("ann@here.test", vec![recipient("a@there.test", 0)]);
            entry.message.service =
                QueueService { deliver_by_secs: Some(100), deliver_by_notify: notify, ..QueueService::default() };
            entry
        };
        let schedule = Schedule::default();
        let early = settle(&by(false), &[later()], 50, &schedule, 0);
        assert_eq!((early.recipients[0].state, early.next_secs, early.reports.len()), (RecipientState::Waiting, 100, 0));
        let past = settle(&by(false), &[later()], 100, &schedule, 0);
        assert_eq!(past.recipients[0].state, RecipientState::Failed);
        assert_eq!((past.reports[0].action, past.reports[0].recipients[0].status), (Action::Failed, (5, 4, 7)));
        let told = settle(&by(true), &[later()], 100, &schedule, 0);
        assert_eq!((told.recipients[0].state, told.reports[0].action), (RecipientState::Waiting, Action::Delayed));
    }

    #[test]
    fn each_recipient_by_its_own_reply() {
        let entry = entry(
            "ann@here.test",
            vec![recipient("a@there.test", 0), recipient("b@there.test", 0), recipient("c@there.test", 0)],
        );
        let outcomes = [
            Some(Outcome::of_reply("mx", 250, None, "250 ok", false)),
            Some(Outcome::of_reply("mx", 550, Some((5, 1, 1)), "550 5.1.1 no", false)),
            later(),
        ];
        let settled = settle(&entry, &outcomes, 10, &Schedule::default(), 0);
        let states: Vec<RecipientState> = settled.recipients.iter().map(|r| r.state).collect();
        assert_eq!(states, [RecipientState::Delivered, RecipientState::Failed, RecipientState::Waiting]);
        assert_eq!(settled.next_secs, 70);
        assert_eq!(settled.reports.len(), 1);
        assert_eq!(settled.reports[0].action, Action::Failed);
        assert_eq!(settled.reports[0].recipients[0].address, "b@there.test");
        assert_eq!(settled.recipients[2].last_reply, "mx.there.test: 451 4.3.0 Try later");
        assert_eq!(settled.trace.len(), 3);
    }

    #[test]
    fn late_is_told_once_and_expiry_gives_up() {
        let mut entry = entry("ann@here.test", vec![recipient("a@there.test", 0)]);
        assert!(settle(&entry, &[later()], 14_399, &Schedule::default(), 0).reports.is_empty());
        let settled = settle(&entry, &[later()], 14_400, &Schedule::default(), 0);
        assert_eq!(settled.reports[0].action, Action::Delayed);
        entry.message.recipients = settled.recipients;
        assert!(settle(&entry, &[later()], 30_000, &Schedule::default(), 0).reports.is_empty(), "once");
        assert_eq!(settle(&entry, &[later()], 431_999, &Schedule::default(), 0).next_secs, 432_000, "once more at the end");
        let settled = settle(&entry, &[later()], 432_000, &Schedule::default(), 0);
        assert_eq!(settled.recipients[0].state, RecipientState::Failed);
        assert_eq!(settled.reports[0].action, Action::Failed);
        assert_eq!(settled.reports[0].recipients[0].status, (5, 4, 7));
    }

    #[test]
    fn notify_is_respected() {
        let failed = || Some(Outcome::failed((5, 4, 4), "no such domain"));
        let sent = |onward| Some(Outcome::of_reply("mx", 250, None, "250 ok", onward));
        let run = |reverse_path: &str, notify, outcome| {
            settle(&entry(reverse_path, vec![recipient("a@there.test", notify)]), &[outcome], 20_000, &Schedule::default(), 0)
                .reports
                .len()
        };
        assert_eq!(run("", 0, failed()), 0, "never to the null reverse-path");
        assert_eq!(run("x@y", QueueRecipient::NOTIFY_NEVER, failed()), 0);
        assert_eq!(run("x@y", QueueRecipient::NOTIFY_SUCCESS, failed()), 0);
        assert_eq!(run("x@y", QueueRecipient::NOTIFY_FAILURE, failed()), 1);
        assert_eq!(run("x@y", QueueRecipient::NOTIFY_FAILURE, later()), 0);
        assert_eq!(run("x@y", QueueRecipient::NOTIFY_DELAY, later()), 1);
        assert_eq!(run("x@y", 0, sent(false)), 0);
        assert_eq!(run("x@y", QueueRecipient::NOTIFY_SUCCESS, sent(false)), 1);
        assert_eq!(run("x@y", QueueRecipient::NOTIFY_SUCCESS, sent(true)), 0, "the next hop reports it");
    }

    #[test]
    fn back_off_grows_and_is_spread() {
        let schedule = Schedule::default();
        let waits: Vec<i64> = (1..=9).map(|attempt| schedule.next(attempt, 0, 0)).collect();
        assert_eq!(waits, [60, 300, 900, 1800, 3600, 7200, 14_400, 14_400, 14_400]);
        for jitter in [0, 1, 59, 60, 12_345, u32::MAX] {
            let wait = schedule.next(1, 0, jitter);
            assert!((60..66).contains(&wait), "{wait}");
        }
        assert_eq!(Schedule { retry_secs: vec![], ..schedule }.next(1, 0, 3), 3603);
    }

    #[test]
    fn an_enhanced_code_of_another_class_is_not_believed() {
        let outcome = Outcome::of_reply("mx", 550, Some((4, 7, 1)), "550 4.7.1 what", false);
        assert_eq!((outcome.verdict, outcome.status), (Verdict::Failed, (5, 0, 0)));
        assert_eq!(Outcome::of_reply("mx", 354, None, "354", false).verdict, Verdict::Failed);
    }
}

//! How many messages, recipients and first-time recipients an account may submit in an hour and in a day, and whether it
//! sends as it never did before.
//!
//! A sliding hour of minutes and a sliding day of hours, in memory; [`SendingLimits::changed`] and [`SendingLimits::load`]
//! carry them over a restart. Invariant: what was refused is not counted. Must not know: clocks (the time is an argument).

use crate::refusal::Refusal;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use store::{AccountId, UnixSecs};

/// What was sent in some time: messages, recipients, recipients never written to before. As a limit, 0 is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Messages.
    pub messages: u32,
    /// Recipients of them.
    pub recipients: u32,
    /// Recipients that this account never wrote to before.
    pub first_time: u32,
}

/// The limits of every account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In any hour.
    pub hour: Sent,
    /// In any day.
    pub day: Sent,
}

/// Sending as never before: this many times the busiest hour known ...
const ALARM_TIMES: u32 = 5;
/// ... and at least so many recipients.
const ALARM_RECIPIENTS_MIN: u32 = 100;

/// How an account sends as it never did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// In plain words.
    pub text: String,
}

impl Sent {
    fn add(&mut self, other: Sent) {
        self.messages = self.messages.saturating_add(other.messages);
        self.recipients = self.recipients.saturating_add(other.recipients);
        self.first_time = self.first_time.saturating_add(other.first_time);
    }
}

/// Steps of one length, oldest first.
#[derive(Debug, Default, Clone)]
struct Sliding {
    steps: VecDeque<(i64, Sent)>,
}

impl Sliding {
    fn forget(&mut self, now: i64, keep: i64) {
        while self.steps.front().is_some_and(|(at, _)| *at <= now - keep) {
            self.steps.pop_front();
        }
    }
    fn sum(&self) -> Sent {
        let mut sum = Sent::default();
        self.steps.iter().for_each(|(_, sent)| sum.add(*sent));
        sum
    }
    fn add(&mut self, now: i64, more: Sent) {
        match self.steps.back_mut() {
            Some((at, sent)) if *at == now => sent.add(more),
            _ => self.steps.push_back((now, more)),
        }
    }
    /// Steps until the oldest is forgotten.
    fn wait(&self, now: i64, keep: i64) -> i64 {
        self.steps.front().map_or(1, |(at, _)| (at + keep - now).max(1))
    }
}

#[derive(Debug, Default, Clone)]
struct Account {
    minutes: Sliding,
    hours: Sliding,
    /// Recipients of the busiest hour so far, without the present one.
    busiest: u32,
    /// The hour an alarm was given in: one is enough.
    alarmed: i64,
    changed: bool,
}

/// Counts of all accounts.
#[derive(Default)]
pub struct SendingLimits {
    accounts: Mutex<HashMap<AccountId, Account>>,
}

fn over(limits: Sent, so_far: Sent, more: Sent) -> Option<(u32, &'static str)> {
    let past = |limit: u32, sum: u32| limit != 0 && sum > limit;
    let mut sum = so_far;
    sum.add(more);
    if past(limits.messages, sum.messages) {
        Some((limits.messages, "messages"))
    } else if past(limits.recipients, sum.recipients) {
        Some((limits.recipients, "recipients"))
    } else if past(limits.first_time, sum.first_time) {
        Some((limits.first_time, "recipients never written to before"))
    } else {
        None
    }
}

fn refusal(most: u32, what: &str, span: &str, wait: i64, unit: &str) -> Refusal {
    Refusal::new(450, (4, 7, 1), format!("At most {most} {what} {span}; try again in {wait} {unit}"))
}

impl SendingLimits {
    fn accounts(&self) -> MutexGuard<'_, HashMap<AccountId, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more message, or says when to come back; an alarm when it is unlike anything this account did before.
    pub fn take(&self, account: AccountId, more: Sent, limits: &Limits, now_secs: UnixSecs) -> Result<Option<Alarm>, Refusal> {
        let (minute, hour) = (now_secs.div_euclid(60), now_secs.div_euclid(3600));
        let mut accounts = self.accounts();
        let account = accounts.entry(account).or_default();
        account.minutes.forget(minute, 60);
        account.learn(hour);
        if let Some((most, what)) = over(limits.hour, account.minutes.sum(), more) {
            return Err(refusal(most, what, "an hour", account.minutes.wait(minute, 60), "minutes"));
        }
        if let Some((most, what)) = over(limits.day, account.hours.sum(), more) {
            return Err(refusal(most, what, "a day", account.hours.wait(hour, 24), "hours"));
        }
        account.minutes.add(minute, more);
        account.hours.add(hour, more);
        account.changed = true;
        Ok(account.alarm(hour))
    }

    /// Accounts whose counts changed since the last call, as they are kept.
    pub fn changed(&self) -> Vec<(AccountId, Vec<u8>)> {
        let mut accounts = self.accounts();
        let kept =
            |(id, account): (&AccountId, &mut Account)| std::mem::take(&mut account.changed).then(|| (*id, account.encode()));
        accounts.iter_mut().filter_map(kept).collect()
    }

    /// What was kept; at the start. A row that cannot be read counts from nothing.
    pub fn load(&self, rows: &[(AccountId, Vec<u8>)]) {
        let mut accounts = self.accounts();
        for (id, row) in rows {
            if let Some(account) = Account::decode(row) {
                accounts.insert(*id, account);
            }
        }
    }
}

impl Account {
    /// Hours that are over teach how busy the account gets.
    fn learn(&mut self, hour: i64) {
        let past = self.hours.steps.iter().filter(|(at, _)| *at < hour).map(|(_, sent)| sent.recipients).max();
        self.busiest = self.busiest.max(past.unwrap_or(0));
        self.hours.forget(hour, 24);
    }

    fn alarm(&mut self, hour: i64) -> Option<Alarm> {
        let now = self.hours.steps.back().map_or(0, |(_, sent)| sent.recipients);
        let usual = self.busiest;
        if now < ALARM_RECIPIENTS_MIN || now < usual.saturating_mul(ALARM_TIMES) || self.alarmed == hour {
            return None;
        }
        self.alarmed = hour;
        Some(Alarm { text: format!("{now} recipients in this hour; its busiest hour before had {usual}") })
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |number: i64| out.extend_from_slice(&number.to_le_bytes());
        put(i64::from(self.busiest));
        put(self.alarmed);
        for steps in [&self.minutes.steps, &self.hours.steps] {
            put(i64::try_from(steps.len()).unwrap_or(0));
            for (at, sent) in steps {
                put(*at);
                [sent.messages, sent.recipients, sent.first_time].into_iter().for_each(|count| put(i64::from(count)));
            }
        }
        out
    }

    fn decode(row: &[u8]) -> Option<Account> {
        let mut numbers = row.chunks_exact(8).map(|octets| octets.try_into().map(i64::from_le_bytes).unwrap_or(0));
        let mut next = || numbers.next();
        let count = |number: i64| u32::try_from(number).ok();
        let mut account = Account { busiest: count(next()?)?, alarmed: next()?, ..Account::default() };
        for steps in [&mut account.minutes.steps, &mut account.hours.steps] {
            for _ in 0..next()?.clamp(0, 64) {
                let at = next()?;
                let sent = Sent { messages: count(next()?)?, recipients: count(next()?)?, first_time: count(next()?)? };
                steps.push_back((at, sent));
            }
        }
        Some(account)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn to(recipients: u32) -> Sent {
        Sent { messages: 1, recipients, first_time: 0 }
    }

    fn hourly(messages: u32, recipients: u32) -> Limits {
        Limits { hour: Sent { messages, recipients, first_time: 0 }, day: Sent::default() }
    }

    #[test]
    fn a_sliding_hour_of_messages_and_recipients() {
        let limits = SendingLimits::default();
        let two = hourly(2, 5);
        let ann = AccountId(1);
        limits.take(ann, to(1), &two, 0).unwrap();
        limits.take(ann, to(1), &two, 1800).unwrap();
        let refused = limits.take(ann, to(1), &two, 3000).unwrap_err();
        assert_eq!((refused.code, refused.enhanced), (450, (4, 7, 1)));
        assert!(refused.text.contains("10 minutes"), "{}", refused.text);
        limits.take(AccountId(2), to(1), &two, 3000).unwrap();
        limits.take(ann, to(4), &two, 3600).unwrap();
        assert!(limits.take(AccountId(3), to(6), &two, 0).is_err(), "six recipients at once");
        limits.take(AccountId(3), to(5), &two, 0).unwrap();
        limits.take(ann, to(1_000_000), &hourly(0, 0), 3600).unwrap();
    }

    #[test]
    fn a_day_and_first_time_recipients_and_a_restart() {
        let limits = SendingLimits::default();
        let day = Limits { hour: Sent::default(), day: Sent { messages: 0, recipients: 0, first_time: 10 } };
        let ann = AccountId(1);
        for hour in 0..5 {
            limits.take(ann, Sent { messages: 1, recipients: 2, first_time: 2 }, &day, hour * 3600).unwrap();
        }
        limits.take(ann, to(50), &day, 5 * 3600).unwrap();
        let kept = limits.changed();
        assert!(limits.changed().is_empty());
        let again = SendingLimits::default();
        again.load(&kept);
        again.load(&[(AccountId(2), vec![1, 2, 3])]);
        let one = Sent { messages: 1, recipients: 1, first_time: 1 };
        let refused = again.take(ann, one, &day, 6 * 3600).unwrap_err();
        assert!(refused.text.contains("10 recipients never written to before a day; try again in 18 hours"), "{}", refused.text);
        again.take(ann, one, &day, 24 * 3600).unwrap();
    }

    #[test]
    fn an_alarm_once_an_hour_when_one_sends_as_never_before() {
        let limits = SendingLimits::default();
        let (ann, none) = (AccountId(1), hourly(0, 0));
        for hour in 0..30 {
            assert_eq!(limits.take(ann, to(30), &none, hour * 3600).unwrap(), None, "as usual");
        }
        assert_eq!(limits.take(ann, to(119), &none, 30 * 3600).unwrap(), None, "much, not as never");
        let alarm = limits.take(ann, to(481), &none, 31 * 3600).unwrap();
        assert_eq!(alarm, None, "119 is its busiest hour now");
        let alarm = limits.take(ann, to(200), &none, 31 * 3600).unwrap().unwrap();
        assert!(alarm.text.starts_with("681 recipients in this hour; its busiest hour before had 119"), "{}", alarm.text);
        assert_eq!(limits.take(ann, to(200), &none, 31 * 3600).unwrap(), None, "once");
    }
}

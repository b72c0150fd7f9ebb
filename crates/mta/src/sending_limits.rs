//! How many messages and recipients an account may submit in an hour: a sliding hour of minutes, in memory.
//!
//! Invariant: what was refused is not counted. Must not know: clocks (the minute is an argument's).

use crate::refusal::Refusal;
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use store::{AccountId, UnixSecs};

/// 0 is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerHour {
    /// Messages in any hour.
    pub messages: u32,
    /// Recipients in any hour.
    pub recipients: u32,
}

#[derive(Default)]
struct Hour {
    /// (minute, messages, recipients), oldest first.
    minutes: VecDeque<(i64, u32, u32)>,
}

impl Hour {
    fn forget(&mut self, minute: i64) {
        while self.minutes.front().is_some_and(|(at, _, _)| *at <= minute - 60) {
            self.minutes.pop_front();
        }
    }
    fn sums(&self) -> (u32, u32) {
        self.minutes.iter().fold((0, 0), |(m, r), (_, messages, recipients)| (m + messages, r + recipients))
    }
}

/// Counts of all accounts.
#[derive(Default)]
pub struct SendingLimits {
    accounts: Mutex<HashMap<AccountId, Hour>>,
}

impl SendingLimits {
    /// Counts one more message to `recipients`, or says when to come back.
    pub fn take(&self, account: AccountId, recipients: u32, limit: PerHour, now_secs: UnixSecs) -> Result<(), Refusal> {
        let minute = now_secs.div_euclid(60);
        let mut accounts = self.accounts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let hour = accounts.entry(account).or_default();
        hour.forget(minute);
        let (messages, so_far) = hour.sums();
        let over = |limit: u32, sum: u32| limit != 0 && sum > limit;
        let what = if over(limit.messages, messages.saturating_add(1)) {
            Some((limit.messages, "messages"))
        } else if over(limit.recipients, so_far.saturating_add(recipients)) {
            Some((limit.recipients, "recipients"))
        } else {
            None
        };
        if let Some((most, what)) = what {
            let wait = hour.minutes.front().map_or(60, |(at, _, _)| (at + 60 - minute).max(1));
            return Err(Refusal::new(450, (4, 7, 1), format!("At most {most} {what} an hour; try again in {wait} minutes")));
        }
        match hour.minutes.back_mut() {
            Some((at, messages, sum)) if *at == minute => {
                *messages += 1;
                *sum = sum.saturating_add(recipients);
            }
            _ => hour.minutes.push_back((minute, 1, recipients)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_sliding_hour_of_messages_and_recipients() {
        let limits = SendingLimits::default();
        let two = PerHour { messages: 2, recipients: 5 };
        let ann = AccountId(1);
        limits.take(ann, 1, two, 0).unwrap();
        limits.take(ann, 1, two, 1800).unwrap();
        let refused = limits.take(ann, 1, two, 3000).unwrap_err();
        assert_eq!((refused.code, refused.enhanced), (450, (4, 7, 1)));
        assert!(refused.text.contains("10 minutes"), "{}", refused.text);
        limits.take(AccountId(2), 1, two, 3000).unwrap();
        limits.take(ann, 4, two, 3600).unwrap();
        assert!(limits.take(AccountId(3), 6, two, 0).is_err(), "six recipients at once");
        limits.take(AccountId(3), 5, two, 0).unwrap();
        limits.take(ann, 1_000_000, PerHour { messages: 0, recipients: 0 }, 3600).unwrap();
    }
}

//! How long a server waits for its peer: for the first octet of the next thing (a command, a line, a message), and then
//! for its end.
//!
//! Silence is borne for `silence_secs`. What has begun must be through `silence_secs` after its first octet, and each
//! [`Patience::bytes_per_sec_min`] octets buy a second more: so neither silence nor an octet now and then holds a
//! connection for ever. Time is an argument.

use crate::limits;
use crate::session::Time;

/// What the owner of a server session may set; the default is what the protocols ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Silence borne from whoever has not signed in (on IMAP and POP3), seconds.
    pub before_sign_in_secs: u64,
    /// Silence borne else, seconds; `None` is what the protocol wants.
    pub silence_secs: Option<u64>,
    /// The slowest a message, literal or line may come, octets a second.
    pub bytes_per_sec_min: u64,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            before_sign_in_secs: limits::BEFORE_SIGN_IN_SECS_MAX,
            silence_secs: None,
            bytes_per_sec_min: limits::BYTES_PER_SEC_MIN,
        }
    }
}

/// The clock of one connection.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The thing under way began, or the one before it ended.
    begun: Option<Time>,
    /// An octet came last.
    last: Time,
    /// Octets of the thing under way.
    octets: u64,
    /// Octets that came since the last look at the clock.
    fresh: u64,
    /// Something ended, with so many octets of the next behind it.
    ended: Option<u64>,
}

impl Pace {
    /// Octets came.
    pub(crate) fn hear(&mut self, octets: usize) {
        self.fresh = self.fresh.saturating_add(octets as u64);
    }

    /// Something came to its end, or was answered: the next thing has all its time. `buffered` octets of it are here
    /// (they count from now on, so that it makes no difference how the octets were cut).
    pub(crate) fn end(&mut self, buffered: usize) {
        self.ended = Some(buffered as u64);
        self.fresh = 0;
    }

    /// Looks at the clock; to be called before anything is asked.
    pub(crate) fn tick(&mut self, now: Time) {
        if self.ended.is_some() || self.begun.is_none() {
            (self.begun, self.last, self.octets) = (Some(now), now, self.ended.take().unwrap_or(0));
        }
        let fresh = std::mem::take(&mut self.fresh);
        if fresh > 0 {
            if self.octets == 0 {
                self.begun = Some(now);
            }
            self.last = now;
            self.octets = self.octets.saturating_add(fresh);
        }
    }

    /// When patience ends. `None` before the first look at the clock.
    pub(crate) fn deadline(&self, silence_secs: u64, patience: &Patience) -> Option<Time> {
        let earned = self.octets / patience.bytes_per_sec_min.max(1);
        let end = self.begun?.plus_secs(silence_secs.saturating_add(earned));
        Some(end.min(self.last.plus_secs(silence_secs)))
    }

    pub(crate) fn is_over(&self, now: Time, silence_secs: u64, patience: &Patience) -> bool {
        self.deadline(silence_secs, patience).is_some_and(|deadline| now >= deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { before_sign_in_secs: 10, silence_secs: None, bytes_per_sec_min: 100 };

    fn at(secs: u64) -> Time {
        Time(0).plus_secs(secs)
    }

    #[test]
    fn silence_an_octet_now_and_then_and_a_slow_line() {
        let mut pace = Pace::default();
        pace.tick(at(5));
        assert_eq!(pace.deadline(10, &PATIENCE), Some(at(15)), "silence");
        // The first octet starts the clock of what it belongs to; more of them do not.
        pace.hear(1);
        pace.tick(at(12));
        for secs in [14, 16, 18, 20] {
            pace.hear(1);
            pace.tick(at(secs));
            assert_eq!(pace.deadline(10, &PATIENCE), Some(at(22)));
            assert!(!pace.is_over(at(secs), 10, &PATIENCE));
        }
        assert!(pace.is_over(at(22), 10, &PATIENCE));
        // Fast enough is borne for as long as it takes, but for its silences.
        pace.end(0);
        for secs in 30..200 {
            pace.hear(150);
            pace.tick(at(secs));
            assert_eq!(pace.deadline(10, &PATIENCE), Some(at(secs + 10)));
        }
        pace.end(0);
        pace.tick(at(210));
        assert_eq!(pace.deadline(10, &PATIENCE), Some(at(220)));
    }
}

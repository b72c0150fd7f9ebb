//! MTA-STS (RFC 8461): the TXT record, the policy, and what it says about a host.
//!
//! Pure. Invariant: `testing` and `none` never keep a message from going; a policy that is not understood is none.

use store::{KeptPolicy, UnixSecs};

/// Octets of a policy (RFC 8461 §3.3 suggests a bound; the RFC's own is 64 KiB).
pub const POLICY_BYTES_MAX: usize = 64 * 1024;
/// MX patterns of a policy.
const MX_MAX: usize = 64;
/// RFC 8461 §3.2: at most about a year.
const MAX_AGE_SECS_MAX: i64 = 31_557_600;
/// A kept policy is fetched anew when it is this old, or half of its time is over, though its id stays (RFC 8461 §3.3, §10.2): who keeps
/// us from its host for a while does not outlast it.
const FETCH_AGAIN_SECS: i64 = 86_400;
/// The policy of a domain that nothing was sent to for so long is left to end.
const UNUSED_SECS_MAX: i64 = 30 * 86_400;
/// One that could not be fetched anew is tried again after a quarter of what it lasts, but not before this ...
const TRY_AGAIN_SECS_MIN: i64 = 60;
/// ... and not later.
const TRY_AGAIN_SECS_MAX: i64 = 3_600;

/// RFC 8461 §3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Without a match and a good certificate nothing is sent.
    Enforce,
    /// Only told of, in TLS reports.
    Testing,
    /// There is no policy any more.
    None,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// See [`Mode`].
    pub mode: Mode,
    /// Lower-case; `*.` in front stands for one label.
    pub mx: Vec<String>,
    /// How long it is kept, seconds.
    pub max_age_secs: i64,
}

impl Policy {
    /// The policy file (RFC 8461 §3.2): lines `key: value`; of a key given twice the first counts, but for `mx`.
    pub fn parse(text: &str) -> Result<Policy, &'static str> {
        if text.len() > POLICY_BYTES_MAX {
            return Err("the policy is too long");
        }
        let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let first = |wanted: &str| -> Option<String> {
            lines.clone().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                (key.trim_matches([' ', '\t']) == wanted).then(|| value.trim_matches([' ', '\t']).to_owned())
            })
        };
        if first("version").as_deref() != Some("STSv1") {
            return Err("it is no policy of version STSv1");
        }
        let mode = match first("mode").as_deref() {
            Some("enforce") => Mode::Enforce,
            Some("testing") => Mode::Testing,
            Some("none") => Mode::None,
            _ => return Err("its mode is not known"),
        };
        let max_age = first("max_age").filter(|age| age.len() <= 10 && age.bytes().all(|octet| octet.is_ascii_digit()));
        let max_age_secs = max_age.and_then(|age| age.parse::<i64>().ok()).ok_or("its max_age is no number")?;
        let mx: Vec<String> = lines
            .filter_map(|line| line.split_once(':'))
            .filter(|(key, _)| key.trim_matches([' ', '\t']) == "mx")
            .map(|(_, value)| value.trim_start_matches([' ', '\t']).trim_end_matches([' ', '\t', '.']).to_ascii_lowercase())
            .take(MX_MAX)
            .collect();
        if mx.is_empty() && mode != Mode::None {
            return Err("it names no mx");
        }
        Ok(Policy { mode, mx, max_age_secs: max_age_secs.min(MAX_AGE_SECS_MAX) })
    }

    /// As it is served at `https://mta-sts.DOMAIN/.well-known/mta-sts.txt` (`text/plain`).
    pub fn render(&self) -> String {
        let mode = match self.mode {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        };
        let mx: String = self.mx.iter().map(|host| format!("mx: {host}\r\n")).collect();
        format!("version: STSv1\r\nmode: {mode}\r\n{mx}max_age: {}\r\n", self.max_age_secs)
    }

    /// May mail go to this MX host (RFC 8461 §4.1)?
    pub fn admits(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(rest) => host.split_once('.').is_some_and(|(label, parent)| !label.is_empty() && parent == rest),
            None => *pattern == host,
        })
    }
}

/// The `id` of the TXT record at `_mta-sts.DOMAIN` (RFC 8461 §3.1); none unless there is exactly one such record.
pub fn record_id(texts: &[String]) -> Option<String> {
    let mut records = texts.iter().filter(|text| {
        let rest = text.strip_prefix("v=STSv1");
        rest.is_some_and(|rest| rest.trim_start_matches([' ', '\t']).starts_with(';'))
    });
    let record = records.next()?;
    if records.next().is_some() {
        return None;
    }
    let fields = record.split(';').filter_map(|field| field.split_once('='));
    let id = fields.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == "id")?.1;
    let good = !id.is_empty() && id.len() <= 32 && id.bytes().all(|octet| octet.is_ascii_alphanumeric());
    good.then(|| id.to_owned())
}

/// The kept policy while it lasts.
pub fn lasting(kept: &KeptPolicy, now_secs: UnixSecs) -> Option<Policy> {
    let policy = Policy::parse(&kept.text).ok()?;
    (ends(kept, &policy) > now_secs).then_some(policy)
}

fn ends(kept: &KeptPolicy, policy: &Policy) -> UnixSecs {
    kept.fetched_secs.saturating_add(policy.max_age_secs)
}

/// What is to be done about a kept policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Nothing until then.
    Until(UnixSecs),
    /// It is fetched anew; when that fails, again then.
    Due(UnixSecs),
    /// It ended.
    Over,
}

/// See [`Age`].
pub fn age(kept: &KeptPolicy, now_secs: UnixSecs) -> Age {
    let Some(policy) = lasting(kept, now_secs) else { return Age::Over };
    let again = kept.fetched_secs.saturating_add(FETCH_AGAIN_SECS.min(policy.max_age_secs / 2));
    let ends = ends(kept, &policy);
    if again > now_secs {
        Age::Until(again)
    } else if kept.used_secs.saturating_add(UNUSED_SECS_MAX) <= now_secs {
        Age::Until(ends)
    } else {
        Age::Due(now_secs.saturating_add(((ends - now_secs) / 4).clamp(TRY_AGAIN_SECS_MIN, TRY_AGAIN_SECS_MAX)))
    }
}

/// A delivery needs it now: is that to be written down?
pub fn is_news(kept: &KeptPolicy, now_secs: UnixSecs) -> bool {
    kept.used_secs.saturating_add(FETCH_AGAIN_SECS) <= now_secs
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_policy_both_ways() {
        let text = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n";
        let policy = Policy::parse(text).unwrap();
        assert_eq!((policy.mode, policy.max_age_secs), (Mode::Enforce, 604_800));
        assert_eq!(policy.render(), text);
        assert!(policy.admits("Mail.Example.COM.") && policy.admits("mx1.example.net"));
        assert!(!policy.admits("example.net") && !policy.admits("a.b.example.net") && !policy.admits("x.mail.example.com"));
        let loose = Policy::parse("version:STSv1\nmx:a.test\nmode: testing\nmode: enforce\nmax_age:99999999999\nfuture: x");
        assert!(loose.is_err(), "a number of eleven figures");
        let loose =
            Policy::parse("version:STSv1\nmx:a.test\nmode: testing\nmode: enforce\nmax_age:9999999999\nfuture: x").unwrap();
        assert_eq!((loose.mode, loose.max_age_secs), (Mode::Testing, MAX_AGE_SECS_MAX), "the first counts; a year at most");
    }

    #[test]
    fn what_is_no_policy() {
        for bad in [
            "",
            "version: STSv2\nmode: enforce\nmx: a.test\nmax_age: 1",
            "version: STSv1\nmode: Enforce\nmx: a.test\nmax_age: 1",
            "version: STSv1\nmode: enforce\nmax_age: 1",
            "version: STSv1\nmode: enforce\nmx: a.test",
            "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1",
        ] {
            assert!(Policy::parse(bad).is_err(), "{bad}");
        }
        assert!(Policy::parse("version: STSv1\nmode: none\nmax_age: 1").is_ok());
        assert!(Policy::parse(&"x".repeat(POLICY_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn the_record() {
        let id = |texts: &[&str]| record_id(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(id(&["v=spf1 -all", "v=STSv1; id=20160831085700Z;"]).as_deref(), Some("20160831085700Z"));
        assert_eq!(id(&["v=STSv1 ;id=1"]).as_deref(), Some("1"));
        assert_eq!(id(&["v=STSv1; id=1", "v=STSv1; id=2"]), None, "two records are none");
        assert_eq!(id(&["v=STSv1; id=a-b"]), None);
        assert_eq!(id(&["v=STSv11; id=1"]), None);
        assert_eq!(id(&[]), None);
    }

    fn kept(max_age: i64, used_secs: UnixSecs) -> KeptPolicy {
        let text = format!("version: STSv1\nmode: enforce\nmx: a.test\nmax_age: {max_age}");
        KeptPolicy { id: "1".into(), fetched_secs: 1000, used_secs, text }
    }

    #[test]
    fn a_kept_policy_ends() {
        let kept = kept(100, 1000);
        assert!(lasting(&kept, 1099).is_some() && lasting(&kept, 1100).is_none());
        assert_eq!(age(&kept, 1100), Age::Over);
        assert_eq!(age(&KeptPolicy { text: "nonsense".into(), ..kept }, 1000), Age::Over);
    }

    #[test]
    fn a_kept_policy_is_fetched_anew_long_before_it_ends() {
        const DAY: i64 = 86_400;
        let week = kept(7 * DAY, 1000);
        assert_eq!(age(&week, 1000), Age::Until(1000 + DAY));
        assert_eq!(age(&week, 1000 + DAY), Age::Due(1000 + DAY + 3_600), "and an hour later again");
        let short = kept(1_000, 1000);
        assert_eq!(age(&short, 1499), Age::Until(1500), "half of it");
        assert_eq!(age(&short, 1500), Age::Due(1500 + 125), "a quarter of what is left");
        assert_eq!(age(&short, 1999), Age::Due(1999 + 60));
        let year = kept(365 * DAY, 1000);
        assert_eq!(age(&year, 1000 + 31 * DAY), Age::Until(1000 + 365 * DAY), "nobody writes there any more");
        assert!(matches!(age(&kept(365 * DAY, 1000 + 5 * DAY), 1000 + 31 * DAY), Age::Due(_)));
        assert!(!is_news(&week, 999 + DAY) && is_news(&week, 1000 + DAY));
    }
}

//! What a sender may ask of the delivery with MAIL, and what a server offers of it.
//!
//! REQUIRETLS (RFC 8689), BY (DELIVERBY, RFC 2852), HOLDFOR and HOLDUNTIL (FUTURERELEASE, RFC 4865), MT-PRIORITY (RFC 6710),
//! SOLICIT (NO-SOLICITING, RFC 3865); LIMITS (RFC 9422) is told in EHLO only. Must not know: clocks, the queue.

use super::parameter::BadParameter;
use message::date::{format_rfc_3339, parse_rfc_3339};

/// `by-value = by-time ";" by-mode [by-trace]` (RFC 2852 §4): `["-" / "+"] 1*9digit ";" ("N" / "R") ["T"]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliverBy {
    /// From now; past already when negative (notify only).
    pub secs: i64,
    /// Past the time: go on and tell the sender, instead of giving up.
    pub notify: bool,
    /// Tell of every relay too.
    pub trace: bool,
}

/// HOLDFOR= or HOLDUNTIL= (RFC 4865 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Seconds from now.
    ForSecs(u64),
    /// Seconds since 1970.
    Until(i64),
}

/// Everything MAIL asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Only over verified TLS, at every hop; else back.
    pub require_tls: bool,
    /// In time, or it is no use.
    pub deliver_by: Option<DeliverBy>,
    /// Not before.
    pub hold: Option<Hold>,
    /// -9 to 9; 0 is usual.
    pub priority: Option<i8>,
    /// Which solicitations the message says it is.
    pub solicitations: Vec<String>,
}

/// What a server offers of it; everything off by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keywords {
    /// REQUIRETLS; told under TLS only (RFC 8689 §2).
    pub require_tls: bool,
    /// DELIVERBY, and the shortest time that can be kept.
    pub deliver_by_min_secs: Option<u64>,
    /// FUTURERELEASE: at most so many seconds, and not later than (seconds since 1970).
    pub future_release: Option<(u64, i64)>,
    /// MT-PRIORITY.
    pub mt_priority: bool,
    /// LIMITS: recipients of one message.
    pub recipients_max: Option<u64>,
    /// LIMITS: messages of one connection.
    pub messages_max: Option<u64>,
    /// NO-SOLICITING, with the kinds that are not wanted.
    pub no_soliciting: Option<Vec<String>>,
}

/// Kinds of one SOLICIT= or NO-SOLICITING list (RFC 3865 §2 allows 1000 octets).
const SOLICITATIONS_MAX: usize = 32;

impl Wishes {
    /// Takes one parameter of MAIL. `Ok(false)`: it is none of these, or not offered.
    pub(super) fn take(&mut self, keyword: &str, value: Option<&str>, offered: &Keywords) -> Result<bool, BadParameter> {
        match (keyword, value) {
            ("REQUIRETLS", None) if offered.require_tls => self.require_tls = true,
            ("REQUIRETLS", _) if offered.require_tls => return Err(BadParameter::Syntax),
            ("BY", value) => match offered.deliver_by_min_secs {
                Some(min_secs) => self.deliver_by = Some(deliver_by(value, min_secs)?),
                None => return Ok(false),
            },
            ("HOLDFOR" | "HOLDUNTIL", value) => match offered.future_release {
                // RFC 4865 §5: one of the two.
                Some(_) if self.hold.is_some() => return Err(BadParameter::Syntax),
                Some((secs_max, until_max)) => self.hold = Some(hold(keyword, value, secs_max, until_max)?),
                None => return Ok(false),
            },
            ("MT-PRIORITY", value) if offered.mt_priority => {
                let number: i8 = value.and_then(|digits| digits.parse().ok()).ok_or(BadParameter::Syntax)?;
                self.priority = Some(number).filter(|number| (-9..=9).contains(number));
                if self.priority.is_none() {
                    return Err(BadParameter::Syntax);
                }
            }
            ("SOLICIT", value) if offered.no_soliciting.is_some() => {
                self.solicitations = solicitations(value.ok_or(BadParameter::Syntax)?).ok_or(BadParameter::Syntax)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The kind of solicitation that is not wanted here, if the message says it is one.
    pub fn unwanted(&self, offered: &Keywords) -> Option<&str> {
        let unwanted = offered.no_soliciting.as_deref().unwrap_or_default();
        self.solicitations.iter().map(String::as_str).find(|kind| unwanted.iter().any(|known| known.eq_ignore_ascii_case(kind)))
    }

    /// As parameters behind MAIL's path, each with a space in front, as far as the server offers them.
    pub(super) fn encode(&self, offered: &Keywords) -> String {
        let mut out = String::new();
        if self.require_tls {
            out.push_str(" REQUIRETLS");
        }
        if let Some(by) = self.deliver_by.filter(|_| offered.deliver_by_min_secs.is_some()) {
            let (mode, trace) = (if by.notify { 'N' } else { 'R' }, if by.trace { "T" } else { "" });
            out.push_str(&format!(" BY={};{mode}{trace}", by.secs.clamp(-999_999_999, 999_999_999)));
        }
        match self.hold.filter(|_| offered.future_release.is_some()) {
            Some(Hold::ForSecs(secs)) => out.push_str(&format!(" HOLDFOR={secs}")),
            Some(Hold::Until(at)) => out.push_str(&format!(" HOLDUNTIL={}", format_rfc_3339(at))),
            None => {}
        }
        if let Some(priority) = self.priority.filter(|_| offered.mt_priority) {
            out.push_str(&format!(" MT-PRIORITY={priority}"));
        }
        if !self.solicitations.is_empty() && offered.no_soliciting.is_some() {
            out.push_str(&format!(" SOLICIT={}", self.solicitations.join(",")));
        }
        out
    }
}

fn deliver_by(value: Option<&str>, min_secs: u64) -> Result<DeliverBy, BadParameter> {
    let (time, mode) = value.and_then(|value| value.split_once(';')).ok_or(BadParameter::Syntax)?;
    let digits = time.strip_prefix(['-', '+']).unwrap_or(time);
    if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(BadParameter::Syntax);
    }
    let secs: i64 = time.parse().map_err(|_| BadParameter::Syntax)?;
    let (notify, trace) = match mode.to_ascii_uppercase().as_str() {
        "N" => (true, false),
        "NT" => (true, true),
        "R" => (false, false),
        "RT" => (false, true),
        _ => return Err(BadParameter::Syntax),
    };
    // RFC 2852 §4: what must come back has to have a time left, and one that can be kept.
    if !notify && (secs <= 0 || secs.unsigned_abs() < min_secs) {
        return Err(BadParameter::Syntax);
    }
    Ok(DeliverBy { secs, notify, trace })
}

fn hold(keyword: &str, value: Option<&str>, secs_max: u64, until_max: i64) -> Result<Hold, BadParameter> {
    let value = value.ok_or(BadParameter::Syntax)?;
    let hold = if keyword == "HOLDFOR" {
        let digits = value.len() <= 9 && value.bytes().all(|octet| octet.is_ascii_digit());
        Hold::ForSecs(value.parse().ok().filter(|secs| digits && *secs <= secs_max).ok_or(BadParameter::Syntax)?)
    } else {
        let at = parse_rfc_3339(value.as_bytes()).ok_or(BadParameter::Syntax)?.unix_secs();
        Hold::Until(Some(at).filter(|at| *at <= until_max).ok_or(BadParameter::Syntax)?)
    };
    Ok(hold)
}

/// Is this a solicitation class keyword (RFC 3865 §2.2)?
pub fn is_solicitation(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_:".contains(&octet))
}

/// `solicitation-keywords = word *("," word)`, `word = ALPHA *(wordchar)` (RFC 3865 §2.2).
fn solicitations(text: &str) -> Option<Vec<String>> {
    let words: Vec<String> = text.split(',').map(str::to_owned).collect();
    (words.len() <= SOLICITATIONS_MAX && words.iter().all(|word| is_solicitation(word))).then_some(words)
}

impl Keywords {
    /// A keyword line of EHLO that is one of these.
    pub(super) fn read(&mut self, keyword: &str, rest: &str) {
        let mut words = rest.split_whitespace();
        match keyword {
            "REQUIRETLS" => self.require_tls = true,
            "DELIVERBY" => self.deliver_by_min_secs = Some(words.next().and_then(|secs| secs.parse().ok()).unwrap_or(0)),
            "FUTURERELEASE" => {
                let secs = words.next().and_then(|secs| secs.parse().ok());
                let until = words.next().and_then(|at| parse_rfc_3339(at.as_bytes())).map(|at| at.unix_secs());
                self.future_release = secs.zip(until);
            }
            "MT-PRIORITY" => self.mt_priority = true,
            "LIMITS" => {
                for (name, number) in words.filter_map(|word| word.split_once('=')) {
                    match name.to_ascii_uppercase().as_str() {
                        "RCPTMAX" => self.recipients_max = number.parse().ok().filter(|number| *number > 0),
                        "MAILMAX" => self.messages_max = number.parse().ok().filter(|number| *number > 0),
                        _ => {}
                    }
                }
            }
            "NO-SOLICITING" => {
                self.no_soliciting = Some(words.next().and_then(solicitations).unwrap_or_default());
            }
            _ => {}
        }
    }

    /// The lines of EHLO.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.require_tls {
            lines.push("REQUIRETLS".to_owned());
        }
        match self.deliver_by_min_secs {
            Some(0) => lines.push("DELIVERBY".to_owned()),
            Some(secs) => lines.push(format!("DELIVERBY {secs}")),
            None => {}
        }
        if let Some((secs, until)) = self.future_release {
            lines.push(format!("FUTURERELEASE {secs} {}", format_rfc_3339(until)));
        }
        if self.mt_priority {
            lines.push("MT-PRIORITY".to_owned());
        }
        let limits: Vec<String> = [("RCPTMAX", self.recipients_max), ("MAILMAX", self.messages_max)]
            .into_iter()
            .filter_map(|(name, number)| number.map(|number| format!(" {name}={number}")))
            .collect();
        if !limits.is_empty() {
            lines.push(format!("LIMITS{}", limits.concat()));
        }
        if let Some(kinds) = &self.no_soliciting {
            lines.push(format!("NO-SOLICITING {}", kinds.join(",")).trim_end().to_owned());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn all() -> Keywords {
        Keywords {
            require_tls: true,
            deliver_by_min_secs: Some(60),
            future_release: Some((86_400, 1_800_000_000)),
            mt_priority: true,
            recipients_max: Some(100),
            messages_max: Some(50),
            no_soliciting: Some(vec!["net.example:ADV".into()]),
        }
    }

    fn take(words: &[(&str, Option<&str>)], offered: &Keywords) -> Result<Wishes, BadParameter> {
        let mut wishes = Wishes::default();
        for (keyword, value) in words {
            if !wishes.take(keyword, *value, offered)? {
                return Err(BadParameter::Unknown);
            }
        }
        Ok(wishes)
    }

    #[test]
    fn both_ways() {
        for (keyword, value) in [
            ("REQUIRETLS", None),
            ("BY", Some("120;R")),
            ("BY", Some("-5;NT")),
            ("HOLDFOR", Some("3600")),
            ("HOLDUNTIL", Some("2026-11-28T12:00:00Z")),
            ("MT-PRIORITY", Some("-9")),
            ("SOLICIT", Some("org.example:ADV:ADLT,net.example:ADV")),
        ] {
            let wishes = take(&[(keyword, value)], &all()).unwrap();
            let want = value.map_or(format!(" {keyword}"), |value| format!(" {keyword}={value}"));
            assert_eq!(wishes.encode(&all()), want);
            assert_eq!(take(&[(keyword, value)], &Keywords::default()), Err(BadParameter::Unknown), "not offered");
            let quiet = if keyword == "REQUIRETLS" { " REQUIRETLS" } else { "" };
            assert_eq!(wishes.encode(&Keywords::default()), quiet);
        }
        let mut read = Keywords::default();
        for line in all().lines() {
            let (keyword, rest) = line.split_once(' ').unwrap_or((&line, ""));
            read.read(keyword, rest);
        }
        assert_eq!(read, all());
    }

    #[test]
    fn refused() {
        for (keyword, value) in [
            ("REQUIRETLS", Some("yes")),
            ("BY", None),
            ("BY", Some("120")),
            ("BY", Some("120;X")),
            ("BY", Some("0;R")),
            ("BY", Some("-1;R")),
            ("BY", Some("59;R")),
            ("BY", Some("1234567890;N")),
            ("BY", Some("+;N")),
            ("HOLDFOR", Some("86401")),
            ("HOLDFOR", Some("-1")),
            ("HOLDUNTIL", Some("2027-01-15T08:00:01Z")),
            ("HOLDUNTIL", Some("tomorrow")),
            ("MT-PRIORITY", Some("10")),
            ("MT-PRIORITY", None),
            ("SOLICIT", Some("")),
            ("SOLICIT", Some("7up")),
        ] {
            assert_eq!(take(&[(keyword, value)], &all()), Err(BadParameter::Syntax), "{keyword} {value:?}");
        }
        let twice = [("HOLDFOR", Some("1")), ("HOLDUNTIL", Some("2026-11-28T12:00:00Z"))];
        assert_eq!(take(&twice, &all()), Err(BadParameter::Syntax));
        let wishes = take(&[("SOLICIT", Some("a:b,NET.example:adv"))], &all()).unwrap();
        assert_eq!(wishes.unwanted(&all()), Some("NET.example:adv"));
    }
}

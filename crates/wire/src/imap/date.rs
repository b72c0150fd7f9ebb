//! Dates of IMAP: `date` of SEARCH and `date-time` of INTERNALDATE and APPEND (RFC 9051 §9).
//!
//! ```abnf
//! date      = date-text / DQUOTE date-text DQUOTE       ; date-text = date-day "-" date-month "-" date-year
//! date-time = DQUOTE date-day-fixed "-" date-month "-" date-year SP time SP zone DQUOTE
//! zone      = ("+" / "-") 4DIGIT
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A day, as in `1-Feb-1994`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub struct Date {
    pub year: u16,
    /// 1..=12
    pub month: u8,
    /// 1..=31
    pub day: u8,
}

/// An instant and the zone it was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// Since 1970 UTC.
    pub unix_secs: i64,
    /// East of UTC.
    pub zone_minutes: i16,
}

impl Date {
    /// Days since 1970-01-01, in the proleptic Gregorian calendar (years begin in March, eras have 400 years).
    pub fn days(&self) -> i64 {
        let month = i64::from(self.month);
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }
    /// Midnight UTC that begins the day.
    pub fn unix_secs(&self) -> i64 {
        self.days() * 86_400
    }
    /// The day, in UTC, of an instant; years outside 0..=9999 become those.
    pub fn from_unix_secs(unix_secs: i64) -> Date {
        let days = unix_secs.div_euclid(86_400).clamp(-719_528, 2_932_896) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        Date {
            year: u16::try_from(year).unwrap_or(0),
            month: u8::try_from(month).unwrap_or(1),
            day: u8::try_from(day_of_year - (153 * month_from_march + 2) / 5 + 1).unwrap_or(1),
        }
    }
    fn exists(&self) -> bool {
        (1..=12).contains(&self.month) && self.day > 0 && Date::from_unix_secs(self.unix_secs()) == *self
    }
    /// `d-Mon-yyyy`, one digit or two.
    fn parse_text(c: &mut Cursor<'_>) -> Parsed<Date> {
        c.skip_spaces();
        let day = digits(c, 1, 2)?;
        c.expect(b'-', "a date is day-Mon-year")?;
        let name = c.take(3, "a month is missing")?;
        let month = MONTHS.iter().position(|m| name.eq_ignore_ascii_case(m.as_bytes())).map_or(0, |at| at + 1);
        c.expect(b'-', "a date is day-Mon-year")?;
        let year = digits(c, 4, 4)?;
        let date = Date { year, month: u8::try_from(month).unwrap_or(0), day: u8::try_from(day).unwrap_or(0) };
        if date.exists() { Ok(date) } else { c.error("there is no such day") }
    }
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<Date> {
        let quoted = c.eat(b'"');
        let date = Date::parse_text(c)?;
        if quoted {
            c.expect(b'"', "a date's quote is not closed")?;
        }
        Ok(date)
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw(format!("{}-{}-{:04}", self.day, self.month_name(), self.year));
    }
    fn month_name(&self) -> &'static str {
        MONTHS.get(usize::from(self.month).wrapping_sub(1)).unwrap_or(&"Jan")
    }
}

fn digits(c: &mut Cursor<'_>, min: usize, max: usize) -> Parsed<u16> {
    let text = c.take_while(|b| b.is_ascii_digit());
    if text.len() < min || text.len() > max {
        return c.error("a date or time has the wrong number of digits");
    }
    Ok(text.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0')))
}

impl DateTime {
    /// In UTC.
    pub fn utc(unix_secs: i64) -> DateTime {
        DateTime { unix_secs, zone_minutes: 0 }
    }
    /// Appends `"17-Jul-1996 02:44:25 -0700"`, with its quotes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let local = self.unix_secs.saturating_add(i64::from(self.zone_minutes) * 60);
        let date = Date::from_unix_secs(local);
        let time = local.rem_euclid(86_400);
        let (sign, zone) = if self.zone_minutes < 0 { ('-', -self.zone_minutes) } else { ('+', self.zone_minutes) };
        let text = format!(
            "\"{:2}-{}-{:04} {:02}:{:02}:{:02} {sign}{:02}{:02}\"",
            date.day,
            date.month_name(),
            date.year,
            time / 3600,
            time / 60 % 60,
            time % 60,
            zone / 60,
            zone % 60
        );
        out.extend_from_slice(text.as_bytes());
    }
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<DateTime> {
        c.expect(b'"', "a date and time is missing")?;
        let date = Date::parse_text(c)?;
        c.space()?;
        let hour = digits(c, 1, 2)?;
        c.expect(b':', "a time is hh:mm:ss")?;
        let minute = digits(c, 2, 2)?;
        c.expect(b':', "a time is hh:mm:ss")?;
        let second = digits(c, 2, 2)?;
        if hour > 23 || minute > 59 || second > 60 {
            return c.error("there is no such time");
        }
        c.space()?;
        let east = match c.peek() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return c.error("a zone is +hhmm or -hhmm"),
        };
        c.at += 1;
        let zone = i16::try_from(digits(c, 4, 4)?).unwrap_or(0);
        if zone % 100 > 59 || zone > 2400 {
            return c.error("there is no such zone");
        }
        c.expect(b'"', "a date's quote is not closed")?;
        let zone_minutes = east * (zone / 100 * 60 + zone % 100);
        let time = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        Ok(DateTime { unix_secs: date.unix_secs() + time - i64::from(zone_minutes) * 60, zone_minutes })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn date(text: &str) -> Option<Date> {
        let mut c = Cursor::new(text.as_bytes());
        Date::parse(&mut c).ok().filter(|_| c.at_end())
    }
    fn date_time(text: &str) -> Option<DateTime> {
        let mut c = Cursor::new(text.as_bytes());
        DateTime::parse(&mut c).ok().filter(|_| c.at_end())
    }

    #[test]
    fn days() {
        assert_eq!(date("1-Jan-1970").unwrap().days(), 0);
        assert_eq!(date("1-Feb-1994").unwrap().unix_secs(), 760_060_800);
        assert_eq!(date("\"29-feb-2024\"").unwrap(), Date { year: 2024, month: 2, day: 29 });
        assert_eq!(date("01-JAN-2000").unwrap().days(), 10_957);
        for bad in
            ["29-Feb-2023", "0-Jan-2000", "32-Jan-2000", "1-Foo-2000", "1-Jan-20", "1-Jan-20000", "\"1-Jan-2000", "1/2/2000", ""]
        {
            assert_eq!(date(bad), None, "{bad}");
        }
        let mut e = Encoder::server(Vec::new(), false);
        date("1-Feb-1994").unwrap().encode(&mut e);
        assert_eq!(e.bytes, b"1-Feb-1994");
    }

    #[test]
    fn instants() {
        for text in ["\"17-Jul-1996 02:44:25 -0700\"", "\" 1-Jan-1970 00:00:00 +0000\"", "\"31-Dec-2026 23:59:59 +0530\""] {
            let mut out = Vec::new();
            date_time(text).unwrap().encode(&mut out);
            assert_eq!(out, text.as_bytes());
        }
        assert_eq!(date_time("\"17-Jul-1996 02:44:25 -0700\"").unwrap().unix_secs, 837_596_665);
        assert_eq!(date_time("\"1-Jan-1970 00:00:00 +0000\"").unwrap().unix_secs, 0);
        for bad in ["\"17-Jul-1996 24:00:00 +0000\"", "\"17-Jul-1996 00:00:00 +0060\"", "\"17-Jul-1996 00:00:00\"", "17-Jul-1996"]
        {
            assert_eq!(date_time(bad), None, "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn every_instant_comes_back(unix_secs in -62_135_596_800i64..253_402_300_799, zone in -720i16..840) {
            let written = DateTime { unix_secs, zone_minutes: zone };
            let mut out = Vec::new();
            written.encode(&mut out);
            // The last hours of year 9999 and the first of year 1 may fall outside in another zone.
            if (-62_135_500_000..253_402_200_000).contains(&unix_secs) {
                prop_assert_eq!(date_time(std::str::from_utf8(&out).unwrap()), Some(written));
            }
            let _ = Date::from_unix_secs(i64::MAX);
            let _ = Date::from_unix_secs(i64::MIN);
        }
    }
}

//! Dates: RFC 5322 §3.3 (with the obsolete zones of §4.3), IMAP date-time and date (RFC 9051 §9), RFC 3339.
//!
//! Civil time from seconds since 1970 and back, proleptic Gregorian. There is no clock here.

/// A date and time of day as written, with its zone.
///
/// ```
/// use message::date::DateTime;
/// let date = DateTime::from_unix(1_795_392_994, 60);
/// assert_eq!(date.rfc_5322(), "Mon, 23 Nov 2026 01:16:34 +0100");
/// assert_eq!((date.imap().as_str(), date.rfc_3339().as_str()), ("23-Nov-2026 01:16:34 +0100", "2026-11-23T01:16:34+01:00"));
/// assert_eq!((date.unix_secs(), date.days()), (1_795_392_994, 20_780));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct DateTime {
    pub year: i32,
    /// 1 to 12
    pub month: u8,
    /// 1 to 31
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    /// 60 in a leap second
    pub second: u8,
    /// Minutes east of UTC.
    pub offset_minutes: i32,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const DAY_SECS: i64 = 86_400;
/// Years that every format here can write.
const YEAR_MAX: i64 = 9999;

/// Days since 1970-01-01 of a civil date.
pub fn days_from_civil(year: i32, month: u8, day: u8) -> i64 {
    let month = i64::from(month);
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
///
/// ```
/// use message::date::{civil_from_days, days_from_civil};
/// assert_eq!((civil_from_days(20_780), days_from_civil(2026, 11, 23)), ((2026, 11, 23), 20_780));
/// ```
pub fn civil_from_days(days: i64) -> (i32, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u8;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u8;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as i32, month, day)
}

fn days_in_month(year: i32, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl DateTime {
    /// The civil time of `secs` since 1970 in a zone `offset_minutes` east of UTC. Held between the years 1 and 9999.
    pub fn from_unix(secs: i64, offset_minutes: i32) -> DateTime {
        let low = days_from_civil(1, 1, 1) * DAY_SECS;
        let high = (days_from_civil(YEAR_MAX as i32, 12, 31) + 1) * DAY_SECS - 1;
        let local = secs.saturating_add(i64::from(offset_minutes) * 60).clamp(low, high);
        let (year, month, day) = civil_from_days(local.div_euclid(DAY_SECS));
        let of_day = local.rem_euclid(DAY_SECS);
        DateTime {
            year,
            month,
            day,
            hour: (of_day / 3600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
            offset_minutes,
        }
    }

    /// Seconds since 1970-01-01 UTC.
    pub fn unix_secs(&self) -> i64 {
        self.days() * DAY_SECS + i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second)
            - i64::from(self.offset_minutes) * 60
    }

    /// Days since 1970-01-01 of the date as written, whatever its zone (SENTBEFORE and others, RFC 9051 §6.4.4).
    pub fn days(&self) -> i64 {
        days_from_civil(self.year, self.month, self.day)
    }

    fn checked(self) -> Option<DateTime> {
        let good = (1..=12).contains(&self.month)
            && self.day >= 1
            && self.day <= days_in_month(self.year, self.month)
            && self.hour < 24
            && self.minute < 60
            && self.second <= 60
            && (1..=YEAR_MAX).contains(&i64::from(self.year))
            && self.offset_minutes.abs() < 100 * 60;
        good.then_some(self)
    }

    /// `Mon, 23 Nov 2026 00:16:34 +0000` (RFC 5322 §3.3).
    pub fn rfc_5322(&self) -> String {
        let weekday = WEEKDAYS.get(self.days().rem_euclid(7) as usize).copied().unwrap_or_default();
        format!("{weekday}, {} {} {} {} {}", self.day, month_name(self.month), year(self.year), self.time(), self.zone())
    }

    /// `23-Nov-2026 00:16:34 +0000`, the day two wide: IMAP `date-time` without its quotes (RFC 9051 §9).
    pub fn imap(&self) -> String {
        format!("{:>2}-{}-{} {} {}", self.day, month_name(self.month), year(self.year), self.time(), self.zone())
    }

    /// `2026-11-23T00:16:34Z` or with an offset (RFC 3339).
    pub fn rfc_3339(&self) -> String {
        let date = format!("{}-{:02}-{:02}T{}", year(self.year), self.month, self.day, self.time());
        if self.offset_minutes == 0 {
            return date + "Z";
        }
        let (sign, minutes) = self.sign();
        format!("{date}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }

    fn time(&self) -> String {
        format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second)
    }

    fn zone(&self) -> String {
        let (sign, minutes) = self.sign();
        format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
    }

    fn sign(&self) -> (char, u32) {
        (if self.offset_minutes < 0 { '-' } else { '+' }, self.offset_minutes.unsigned_abs())
    }
}

fn year(year: i32) -> String {
    format!("{year:04}")
}

fn month_name(month: u8) -> &'static str {
    MONTHS.get(usize::from(month).wrapping_sub(1)).copied().unwrap_or("Jan")
}

fn month_number(word: &[u8]) -> Option<u8> {
    let word = word.get(..3)?;
    MONTHS.iter().position(|m| m.as_bytes().eq_ignore_ascii_case(word)).map(|i| i as u8 + 1)
}

/// A Date field's text of `secs`, in UTC.
pub fn format_rfc_5322(secs: i64) -> String {
    DateTime::from_unix(secs, 0).rfc_5322()
}

/// INTERNALDATE of `secs`, in UTC, with its double quotes.
pub fn format_imap(secs: i64) -> String {
    format!("\"{}\"", DateTime::from_unix(secs, 0).imap())
}

/// RFC 3339 of `secs`, in UTC.
///
/// ```
/// use message::date::{format_imap, format_rfc_3339, format_rfc_5322};
/// assert_eq!(format_rfc_3339(0), "1970-01-01T00:00:00Z");
/// assert_eq!(format_rfc_5322(0), "Thu, 1 Jan 1970 00:00:00 +0000");
/// assert_eq!(format_imap(0), "\" 1-Jan-1970 00:00:00 +0000\"");
/// ```
pub fn format_rfc_3339(secs: i64) -> String {
    DateTime::from_unix(secs, 0).rfc_3339()
}

/// Reads a Date field as it is found in the wild: comments, missing weekday, seconds or zone, two-digit years,
/// named and military zones (RFC 5322 §4.3), month before day, ISO 8601.
///
/// ```
/// let date = message::date::parse_rfc_5322(b"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)").unwrap();
/// assert_eq!(date.unix_secs(), 837595405);
/// ```
pub fn parse_rfc_5322(text: &[u8]) -> Option<DateTime> {
    let text = text.get(..text.len().min(256))?;
    if let Some(iso) = parse_rfc_3339(text.trim_ascii()) {
        return Some(iso);
    }
    let mut date = DateTime { year: 0, month: 0, day: 0, hour: 0, minute: 0, second: 0, offset_minutes: 0 };
    let (mut seen_year, mut seen_time) = (false, false);
    let plain = without_comments(text);
    for token in tokens(&plain) {
        if token.contains(&b':') && !seen_time {
            seen_time = time_of_day(token, &mut date)?;
        } else if token.first().is_some_and(u8::is_ascii_digit) {
            match number(token)? {
                day if date.day == 0 && day <= 31 && token.len() <= 2 => date.day = day as u8,
                year if !seen_year => {
                    date.year = full_year(year, token.len());
                    seen_year = true;
                }
                _ => {}
            }
        } else if matches!(token.first(), Some(b'+' | b'-')) {
            if seen_time {
                date.offset_minutes = offset(token).unwrap_or(0);
            }
        } else if let Some(month) = month_number(token).filter(|_| date.month == 0) {
            date.month = month;
        } else if seen_time && date.hour <= 12 && (token.eq_ignore_ascii_case(b"PM") || token.eq_ignore_ascii_case(b"AM")) {
            date.hour = date.hour % 12 + if token.eq_ignore_ascii_case(b"PM") { 12 } else { 0 };
        } else if seen_time && let Some(minutes) = named_zone(token) {
            date.offset_minutes = minutes;
        }
    }
    if !seen_year {
        return None;
    }
    date.checked()
}

/// True for the form that is written today (RFC 5322 §3.3), comments and folding apart.
pub(crate) fn is_strict_rfc_5322(text: &[u8]) -> bool {
    let plain = without_comments(text);
    let Ok(plain) = std::str::from_utf8(&plain) else { return false };
    let mut words = plain.split(' ').filter(|w| !w.is_empty());
    let mut next = words.next();
    if let Some(day_name) = next.and_then(|w| w.strip_suffix(',')) {
        if !["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].iter().any(|d| d.eq_ignore_ascii_case(day_name)) {
            return false;
        }
        next = words.next();
    }
    let digits =
        |text: &str, len: std::ops::RangeInclusive<usize>| len.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let day = next.is_some_and(|w| digits(w, 1..=2));
    let month = words.next().is_some_and(|w| w.len() == 3 && month_number(w.as_bytes()).is_some());
    let year = words.next().is_some_and(|w| digits(w, 4..=9));
    let time = words.next().is_some_and(|w| (2..=3).contains(&w.split(':').count()) && w.split(':').all(|d| digits(d, 2..=2)));
    let zone = words.next().is_some_and(|w| w.strip_prefix(['+', '-']).is_some_and(|d| digits(d, 4..=4)));
    day && month && year && time && zone && words.next().is_none()
}

/// Comments become blanks, blanks around colons go (RFC 5322 §4.3 allows both inside a time).
fn without_comments(text: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte == b'(' {
            at = crate::parameter::comment_end(text, at);
        } else {
            at += 1;
        }
        match byte {
            b'(' | b' ' | b'\t' | b'\r' | b'\n' if out.ends_with(b":") => {}
            b'(' | b' ' | b'\t' | b'\r' | b'\n' => out.push(b' '),
            b':' => {
                while out.ends_with(b" ") {
                    out.pop();
                }
                out.push(b':');
            }
            other => out.push(*other),
        }
    }
    out
}

/// Words and numbers, without commas. A hyphen parts `17-Jul-1996`, but is the sign of a zone after a blank.
fn tokens(text: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let start = at;
        if matches!(text.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b':' || *b == b'.';
        at += text.get(at..).unwrap_or_default().iter().take_while(|b| is_word(b)).count();
        let token = text.get(start..at).unwrap_or_default();
        let signed = matches!(token.first(), Some(b'+' | b'-'));
        let joined = start > 0 && text.get(start - 1).is_some_and(u8::is_ascii_alphanumeric);
        let zone_width = token.len() == 5 && token.get(1..).is_some_and(|d| d.iter().all(u8::is_ascii_digit));
        // `02:23:25-0700` has a zone, `17-Jul-1996` has none.
        // `GMT+0200`, as browsers write it, is a zone too.
        let behind_time = out
            .last()
            .is_some_and(|t: &&[u8]| t.contains(&b':') || t.eq_ignore_ascii_case(b"GMT") || t.eq_ignore_ascii_case(b"UTC"));
        if signed && joined && !(zone_width && behind_time) {
            out.push(token.get(1..).unwrap_or_default());
        } else if !token.is_empty() {
            out.push(token);
        }
        if at == start {
            at += 1;
        }
    }
    out.retain(|t| !t.is_empty());
    out
}

fn number(token: &[u8]) -> Option<i32> {
    let digits = token.iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(token.get(..digits)?).ok()?.parse().ok()
}

/// RFC 5322 §4.3: two digits are 1950 to 2049, three digits count from 1900.
fn full_year(year: i32, digits: usize) -> i32 {
    match (digits, year) {
        (..=2, 0..=49) => year + 2000,
        (..=3, _) => year + 1900,
        _ => year,
    }
}

fn time_of_day(token: &[u8], date: &mut DateTime) -> Option<bool> {
    let mut parts = token.split(|b| *b == b':').map(|p| number(p).and_then(|n| u8::try_from(n).ok()));
    date.hour = parts.next()??;
    date.minute = parts.next()??;
    date.second = parts.next().flatten().unwrap_or(0);
    Some(true)
}

/// `+hhmm`, also `+hh:mm`.
fn offset(token: &[u8]) -> Option<i32> {
    let (sign, digits) = token.split_first()?;
    let digits: Vec<u8> = digits.iter().copied().filter(|b| *b != b':').collect();
    if digits.len() != 4 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = number(&digits)?;
    let minutes = value / 100 * 60 + value % 100;
    Some(if *sign == b'-' { -minutes } else { minutes })
}

/// RFC 5322 §4.3. Military letters and unknown words are "-0000": UTC.
fn named_zone(token: &[u8]) -> Option<i32> {
    const ZONES: [(&str, i32); 13] = [
        ("UT", 0),
        ("UTC", 0),
        ("GMT", 0),
        ("Z", 0),
        ("EST", -5),
        ("EDT", -4),
        ("CST", -6),
        ("CDT", -5),
        ("MST", -7),
        ("MDT", -6),
        ("PST", -8),
        ("PDT", -7),
        ("CET", 1),
    ];
    ZONES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(token)).map(|(_, hours)| hours * 60)
}

/// Reads IMAP `date-time`, with or without its quotes: `17-Jul-1996 02:44:25 -0700`, the day may be one or two wide.
pub fn parse_imap(text: &[u8]) -> Option<DateTime> {
    let text = text.strip_prefix(b"\"").and_then(|t| t.strip_suffix(b"\"")).unwrap_or(text);
    let text = text.trim_ascii_start();
    let mut parts = text.split(|b| *b == b' ');
    let (year, month, day) = parse_imap_civil(parts.next()?)?;
    let (time, zone) = (parts.next()?, parts.next()?);
    let shaped = time.len() == 8 && time.get(2) == Some(&b':') && time.get(5) == Some(&b':');
    if !shaped || parts.next().is_some() || zone.len() != 5 || !matches!(zone.first(), Some(b'+' | b'-')) {
        return None;
    }
    let two = |range: std::ops::Range<usize>| {
        let digits = time.get(range)?;
        digits.iter().all(u8::is_ascii_digit).then(|| number(digits)).flatten().and_then(|n| u8::try_from(n).ok())
    };
    let (hour, minute, second) = (two(0..2)?, two(3..5)?, two(6..8)?);
    DateTime { year, month, day, hour, minute, second, offset_minutes: offset(zone)? }.checked()
}

/// Reads IMAP `date` (`1-Feb-1994`, quotes allowed) as days since 1970-01-01.
pub fn parse_imap_date(text: &[u8]) -> Option<i64> {
    let text = text.strip_prefix(b"\"").and_then(|t| t.strip_suffix(b"\"")).unwrap_or(text);
    let (year, month, day) = parse_imap_civil(text)?;
    let date = DateTime { year, month, day, hour: 0, minute: 0, second: 0, offset_minutes: 0 }.checked()?;
    Some(date.days())
}

fn parse_imap_civil(text: &[u8]) -> Option<(i32, u8, u8)> {
    let mut parts = text.split(|b| *b == b'-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |t: &[u8]| t.iter().all(u8::is_ascii_digit);
    if parts.next().is_some()
        || month.len() != 3
        || year.len() != 4
        || !(1..=2).contains(&day.len())
        || !digits(day)
        || !digits(year)
    {
        return None;
    }
    Some((number(year)?, month_number(month)?, u8::try_from(number(day)?).ok()?))
}

/// Reads RFC 3339; fractions of a second are dropped.
///
/// ```
/// use message::date::{parse_imap, parse_imap_date, parse_rfc_3339};
/// let secs = |date: Option<message::date::DateTime>| date.unwrap().unix_secs();
/// assert_eq!(secs(parse_rfc_3339(b"1970-01-01T01:00:00.5+01:00")), 0);
/// assert_eq!(secs(parse_imap(b"1-Jan-1970 00:00:00 -0100")), 3_600);
/// assert_eq!(parse_imap_date(b"\"2-Jan-1970\""), Some(1));
/// ```
pub fn parse_rfc_3339(text: &[u8]) -> Option<DateTime> {
    let part = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.iter().all(u8::is_ascii_digit).then(|| number(digits)).flatten()
    };
    let is = |at: usize, any: &[u8]| text.get(at).is_some_and(|b| any.contains(b));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let mut at = 19;
    if is(at, b".") {
        at += 1 + text.get(at + 1..)?.iter().take_while(|b| b.is_ascii_digit()).count();
    }
    let zone = text.get(at..)?;
    let offset_minutes = if zone.eq_ignore_ascii_case(b"z") { 0 } else { rfc_3339_offset(zone)? };
    let small = |n: i32| u8::try_from(n).ok();
    DateTime {
        year: part(0..4)?,
        month: small(part(5..7)?)?,
        day: small(part(8..10)?)?,
        hour: small(part(11..13)?)?,
        minute: small(part(14..16)?)?,
        second: small(part(17..19)?)?,
        offset_minutes,
    }
    .checked()
}

fn rfc_3339_offset(zone: &[u8]) -> Option<i32> {
    (zone.len() == 6 && zone.get(3) == Some(&b':') && matches!(zone.first(), Some(b'+' | b'-'))).then(|| offset(zone)).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_dates() {
        assert_eq!(format_rfc_5322(0), "Thu, 1 Jan 1970 00:00:00 +0000");
        assert_eq!(format_rfc_5322(1_795_393_000), "Mon, 23 Nov 2026 00:16:40 +0000");
        assert_eq!(format_imap(837_595_405), "\"17-Jul-1996 09:23:25 +0000\"");
        assert_eq!(format_imap(1), "\" 1-Jan-1970 00:00:01 +0000\"");
        assert_eq!(format_rfc_3339(837_595_405), "1996-07-17T09:23:25Z");
        assert_eq!(DateTime::from_unix(837_595_405, -420).rfc_3339(), "1996-07-17T02:23:25-07:00");
        assert_eq!(DateTime::from_unix(837_595_405, -420).imap(), "17-Jul-1996 02:23:25 -0700");
    }

    #[test]
    fn rfc_5322_in_the_wild() {
        let expect =
            |text: &str, secs: i64| assert_eq!(parse_rfc_5322(text.as_bytes()).map(|d| d.unix_secs()), Some(secs), "{text}");
        expect("Fri, 21 Nov 1997 09:55:06 -0600", 880_127_706);
        expect("21 Nov 97 09:55:06 GMT", 880_106_106);
        expect("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880_127_706);
        expect("Thu,\t13\tFeb\t1969\t23:32\t-0330 (Newfoundland Time)", -27_723_480);
        expect("Wed, 17 Jul 1996 02:23:25 PDT", 837_595_405);
        expect("Wed Jul 17 02:23:25 1996", 837_570_205);
        expect("Wed, 17-Jul-1996 02:23:25-0700", 837_595_405);
        expect("1996-07-17T02:23:25-07:00", 837_595_405);
        expect("17 Jul 1996 02:23:25 X", 837_570_205);
        for bad in [
            "",
            "nonsense",
            "32 Jan 2000 00:00:00 +0000",
            "30 Feb 2000 00:00:00 +0000",
            "1 Jan 2000 25:00:00 +0000",
            "99999999999999999999",
        ] {
            assert_eq!(parse_rfc_5322(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn imap_dates() {
        assert_eq!(parse_imap(b"\"17-Jul-1996 02:44:25 -0700\"").unwrap().unix_secs(), 837_596_665);
        assert_eq!(parse_imap(b"\" 1-jan-1970 00:00:00 +0000\"").unwrap().unix_secs(), 0);
        assert_eq!(parse_imap_date(b"1-Feb-1994"), Some(8797));
        for bad in ["17-Jul-1996", "17-Jul-1996 02:44 +0000", "31-Feb-1996 02:44:25 +0000", "\"17-Jul-1996 02:44:25 +00000\""] {
            assert_eq!(parse_imap(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(parse_imap_date(b"31-Feb-1994"), None);
        assert_eq!(parse_imap_date(b"1-2-1994"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn every_format_comes_back(secs in -62_000_000_000i64..250_000_000_000, quarter in -48i32..56) {
            let date = DateTime::from_unix(secs, quarter * 15);
            prop_assert_eq!(date.unix_secs(), secs);
            prop_assert_eq!(parse_rfc_5322(date.rfc_5322().as_bytes()), Some(date));
            prop_assert_eq!(parse_imap(date.imap().as_bytes()), Some(date));
            prop_assert_eq!(parse_rfc_3339(date.rfc_3339().as_bytes()), Some(date));
        }
        #[test]
        fn never_panics(text in "\\PC{0,60}", secs: i64) {
            let _ = (parse_rfc_5322(text.as_bytes()), parse_imap(text.as_bytes()), parse_rfc_3339(text.as_bytes()), format_rfc_5322(secs));
        }
    }
}

//! Dates of IMAP: `date` of SEARCH and `date-time` of INTERNALDATE and APPEND (RFC 9051 §9).

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

#[allow(clippy::todo, missing_docs)]
impl Date {
    /// Days since 1970-01-01.
    pub fn days(&self) -> i64 { todo!() }
    /// Midnight UTC that begins the day.
    pub fn unix_secs(&self) -> i64 { self.days() * 86_400 }
    /// The day, in UTC, of an instant.
    pub fn from_unix_secs(_unix_secs: i64) -> Date { todo!() }
}

#[allow(clippy::todo, unused_variables)]
impl DateTime {
    /// In UTC.
    pub fn utc(unix_secs: i64) -> DateTime { DateTime { unix_secs, zone_minutes: 0 } }
    /// Appends `"17-Jul-1996 02:44:25 -0700"`, with its quotes.
    pub fn encode(&self, out: &mut Vec<u8>) { todo!() }
}

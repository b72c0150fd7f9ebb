//! Times as people read them: in the zone of the system, or of `TZ`. Programs get UTC (RFC 3339).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use message::date;

/// `2026-11-29 05:10`.
pub(super) fn local(secs: i64) -> String {
    in_zone(secs, TimeZone::system())
}

fn in_zone(secs: i64, zone: TimeZone) -> String {
    match Timestamp::from_second(secs) {
        Ok(time) => time.to_zoned_datetime(zone).strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => String::new(),
    }
}

/// The same of a time that is written by RFC 3339; nothing of anything else.
pub(super) fn shown(text: &str) -> String {
    date::parse_rfc_3339(text.as_bytes()).map(|time| local(time.unix_secs())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_zone_of_the_reader_in_winter_and_in_summer() {
        let berlin = || TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(in_zone(1_795_925_400, berlin()), "2026-11-29 05:10");
        assert_eq!(in_zone(1_780_286_400, berlin()), "2026-06-01 06:00");
        assert_eq!(in_zone(i64::MAX, berlin()), "");
        assert_eq!(shown("yesterday"), "");
    }
}

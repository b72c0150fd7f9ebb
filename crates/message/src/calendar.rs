//! text/calendar (RFC 5545, RFC 5546) read as far as an invitation needs it: method, and of each event what a person asks.
//!
//! Invariant: linear, at most [`CALENDAR_LINES_MAX`] lines; what cannot be read is left out. Times keep the zone they are
//! written in, whose rules nobody here knows. Must not know: MIME, today.

use crate::date::days_from_civil;
use crate::limits::CALENDAR_LINES_MAX;

/// A calendar in a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calendar {
    /// `REQUEST`, `REPLY`, `CANCEL`, ... upper-case.
    pub method: Option<String>,
    /// VEVENT, in their order.
    pub events: Vec<Event>,
}

/// One VEVENT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// UID.
    pub uid: Option<String>,
    /// SEQUENCE: which version of the event.
    pub sequence: u32,
    /// SUMMARY.
    pub summary: Option<String>,
    /// LOCATION.
    pub location: Option<String>,
    /// DESCRIPTION.
    pub description: Option<String>,
    /// `CONFIRMED`, `TENTATIVE`, `CANCELLED`; upper-case.
    pub status: Option<String>,
    /// DTSTART.
    pub start: Option<Moment>,
    /// DTEND, or DTSTART and DURATION.
    pub end: Option<Moment>,
    /// RRULE, as written.
    pub recurrence: Option<String>,
    /// ORGANIZER.
    pub organizer: Option<Person>,
    /// ATTENDEE.
    pub attendees: Vec<Person>,
}

/// A time as a calendar writes it (RFC 5545 §3.3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// A whole day, as days since 1970-01-01.
    Day(i64),
    /// Seconds since 1970-01-01 UTC.
    Utc(i64),
    /// The clock on a wall, as seconds since 1970-01-01 there; and whose wall (TZID), if that is said.
    Wall(i64, Option<String>),
}

impl Moment {
    fn plus(&self, secs: i64) -> Moment {
        match self {
            Moment::Day(days) => Moment::Day(days.saturating_add(secs / 86_400)),
            Moment::Utc(at) => Moment::Utc(at.saturating_add(secs)),
            Moment::Wall(at, zone) => Moment::Wall(at.saturating_add(secs), zone.clone()),
        }
    }
}

/// Who invites, or is invited.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// Without `mailto:`.
    pub address: String,
    /// CN.
    pub name: Option<String>,
    /// ROLE, upper-case.
    pub role: Option<String>,
    /// PARTSTAT (`ACCEPTED`, `NEEDS-ACTION` ...), upper-case.
    pub answer: Option<String>,
    /// RSVP=TRUE.
    pub is_asked: bool,
}

/// Reads the text of a text/calendar part; `None` when it is no calendar.
///
/// ```
/// use message::calendar::{Moment, parse};
/// let text = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nSUMMARY:Lunch\\, again\r\nDTSTART:20260101T120000Z\r\nDURATION:PT1H\r\nORGANIZER;CN=Ann:mailto:ann@x.te\r\n st\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
/// let calendar = parse(text).unwrap();
/// let event = &calendar.events[0];
/// assert_eq!((calendar.method.as_deref(), event.summary.as_deref()), (Some("REQUEST"), Some("Lunch, again")));
/// assert_eq!(event.end, Some(Moment::Utc(1_767_272_400)));
/// assert_eq!(event.organizer.as_ref().unwrap().address, "ann@x.test");
/// ```
pub fn parse(text: &str) -> Option<Calendar> {
    let mut out = Calendar::default();
    let mut open: Vec<String> = Vec::new();
    // With its duration, and how deep it was opened.
    let mut event: Option<(Event, Option<i64>, usize)> = None;
    let mut seen = false;
    for line in unfolded(text).take(CALENDAR_LINES_MAX) {
        let Some(property) = Property::parse(&line) else { continue };
        match (property.name.as_str(), open.last().map(String::as_str)) {
            ("BEGIN", _) => {
                let what = property.value.trim().to_ascii_uppercase();
                seen |= what == "VCALENDAR";
                if what == "VEVENT" && event.is_none() {
                    event = Some((Event::default(), None, open.len()));
                }
                open.push(what);
            }
            ("END", _) => {
                open.pop();
                if event.as_ref().is_some_and(|(.., depth)| *depth >= open.len()) {
                    out.events.extend(event.take().map(finished));
                }
            }
            ("METHOD", Some("VCALENDAR")) => out.method = Some(property.value.trim().to_ascii_uppercase()),
            (_, Some("VEVENT")) => {
                if let Some((event, duration, _)) = &mut event {
                    take(event, duration, &property);
                }
            }
            _ => {}
        }
    }
    // What is never closed is told as well.
    out.events.extend(event.map(finished));
    seen.then_some(out)
}

fn finished((mut event, duration, _): (Event, Option<i64>, usize)) -> Event {
    if event.end.is_none() {
        event.end = event.start.as_ref().zip(duration).map(|(start, secs)| start.plus(secs));
    }
    event
}

fn take(event: &mut Event, duration: &mut Option<i64>, property: &Property<'_>) {
    let text = || Some(unescaped(property.value)).filter(|t| !t.trim().is_empty());
    match property.name.as_str() {
        "UID" => event.uid = text(),
        "SEQUENCE" => event.sequence = property.value.trim().parse().unwrap_or_default(),
        "SUMMARY" => event.summary = text(),
        "LOCATION" => event.location = text(),
        "DESCRIPTION" => event.description = text(),
        "STATUS" => event.status = text().map(|t| t.to_ascii_uppercase()),
        "DTSTART" => event.start = moment(property),
        "DTEND" => event.end = moment(property),
        "DURATION" => *duration = parse_duration(property.value.trim()),
        "RRULE" => event.recurrence = Some(property.value.trim().to_owned()),
        "ORGANIZER" => event.organizer = Some(person(property)),
        "ATTENDEE" => event.attendees.push(person(property)),
        _ => {}
    }
}

/// Content lines without their folding (RFC 5545 §3.1).
fn unfolded(text: &str) -> impl Iterator<Item = String> {
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).peekable();
    std::iter::from_fn(move || {
        let mut line = lines.next()?.to_owned();
        while let Some(more) = lines.next_if(|next| next.starts_with([' ', '\t'])) {
            line.push_str(more.get(1..).unwrap_or_default());
        }
        Some(line)
    })
}

/// `NAME;PARAMETER=VALUE:value`.
struct Property<'a> {
    name: String,
    parameters: Vec<(String, String)>,
    value: &'a str,
}

impl<'a> Property<'a> {
    fn parse(line: &'a str) -> Option<Property<'a>> {
        let end = line.find([';', ':'])?;
        let (name, mut rest) = line.split_at_checked(end)?;
        let mut parameters = Vec::new();
        while let Some(after) = rest.strip_prefix(';') {
            let equals = after.find(['=', ':', ';'])?;
            let (key, value) = after.split_at_checked(equals)?;
            let Some(value) = value.strip_prefix('=') else {
                rest = value;
                continue;
            };
            // A value may be quoted, and then hold the other marks (RFC 6868 for the quote itself).
            let (text, after) = match value.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => value.split_at_checked(value.find([';', ':'])?)?,
            };
            parameters.push((key.to_ascii_uppercase(), without_carets(text)));
            rest = after.get(after.find([';', ':'])?..)?;
        }
        let value = rest.strip_prefix(':')?;
        // A group before the name, as vCards have it, is not for us.
        Some(Property { name: name.trim().to_ascii_uppercase(), parameters, value })
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// RFC 5545 §3.3.11.
fn unescaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => out.push('\n'),
                Some(other) => out.push(other),
                None => {}
            },
            other => out.push(other),
        }
    }
    out
}

fn person(property: &Property<'_>) -> Person {
    let value = property.value.trim();
    let address = match value.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("mailto:") => rest,
        _ => value,
    };
    let upper = |name| property.parameter(name).map(str::to_ascii_uppercase);
    Person {
        address: address.to_owned(),
        name: property.parameter("CN").map(str::to_owned),
        role: upper("ROLE"),
        answer: upper("PARTSTAT"),
        is_asked: upper("RSVP").as_deref() == Some("TRUE"),
    }
}

/// `20260101`, `20260101T120000`, `20260101T120000Z`.
fn moment(property: &Property<'_>) -> Option<Moment> {
    let text = property.value.trim();
    let number = |from: usize, len: usize| {
        text.get(from..from + len).filter(|t| t.bytes().all(|b| b.is_ascii_digit()))?.parse::<i64>().ok()
    };
    let (year, month, day) = (number(0, 4)?, number(4, 2)?, number(6, 2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_from_civil(year as i32, month as u8, day as u8);
    if text.len() == 8 {
        return Some(Moment::Day(days));
    }
    let (hour, minute, second) = (number(9, 2)?, number(11, 2)?, number(13, 2)?);
    if text.as_bytes().get(8) != Some(&b'T') || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let secs = days * 86_400 + hour * 3_600 + minute * 60 + second;
    match text.get(15..) {
        Some("Z" | "z") => Some(Moment::Utc(secs)),
        Some("") => Some(Moment::Wall(secs, property.parameter("TZID").map(str::to_owned))),
        _ => None,
    }
}

/// `P1DT2H30M`, `P2W`, in seconds (RFC 5545 §3.3.6).
fn parse_duration(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut secs = 0i64;
    let mut count = 0i64;
    for c in rest.strip_prefix('P')?.chars() {
        let unit = match c {
            '0'..='9' => {
                count = count.checked_mul(10)?.checked_add(i64::from(c.to_digit(10)?))?;
                continue;
            }
            'T' => 0,
            'W' => 7 * 86_400,
            'D' => 86_400,
            'H' => 3_600,
            'M' => 60,
            'S' => 1,
            _ => return None,
        };
        secs = secs.checked_add(count.checked_mul(unit)?)?;
        count = 0;
    }
    Some(sign * secs)
}

/// RFC 6868 §3: `^n`, `^'` and `^^`, read from left to right; any other stays as it is.
fn without_carets(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let meant = match letters.peek() {
            Some('n') if letter == '^' => Some('\n'),
            Some('\'') if letter == '^' => Some('"'),
            Some('^') if letter == '^' => Some('^'),
            _ => None,
        };
        if meant.is_some() {
            letters.next();
        }
        plain.push(meant.unwrap_or(letter));
    }
    plain
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn carets_are_read_from_left_to_right() {
        assert_eq!(without_carets("a^nb ^'c^' ^^n ^x ^"), "a\nb \"c\" ^n ^x ^");
    }

    #[test]
    fn an_invitation() {
        let text = "BEGIN:VCALENDAR\r\nPRODID:-//X//Y//EN\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:STANDARD\r\n\
            DTSTART:16010101T030000\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:1@x.test\r\nSEQUENCE:2\r\n\
            DTSTART;TZID=Europe/Berlin:20261123T103000\r\nDTEND;TZID=Europe/Berlin:20261123T113000\r\nSUMMARY:Bespr\u{fc}chung: das\\n\r\n  Neue\r\n\
            LOCATION:Room 1\\; floor 2\r\nRRULE:FREQ=WEEKLY\r\nSTATUS:confirmed\r\n\
            ORGANIZER;CN=\"Ann; Boss\":MAILTO:ann@x.test\r\n\
            ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN=Bob:mailto:bob@x.test\r\nATTENDEE:mailto:cat@x.test\r\n\
            BEGIN:VALARM\r\nDESCRIPTION:REMINDER\r\nTRIGGER:-PT15M\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let calendar = parse(text).unwrap();
        assert_eq!((calendar.method.as_deref(), calendar.events.len()), (Some("REQUEST"), 1));
        let event = &calendar.events[0];
        assert_eq!(
            (event.summary.as_deref(), event.location.as_deref()),
            (Some("Besprüchung: das\n Neue"), Some("Room 1; floor 2"))
        );
        assert_eq!(event.start, Some(Moment::Wall(1_795_429_800, Some("Europe/Berlin".into()))));
        assert_eq!((event.sequence, event.status.as_deref(), event.description.as_deref()), (2, Some("CONFIRMED"), None));
        assert_eq!(
            event.organizer.as_ref().map(|p| (p.address.as_str(), p.name.as_deref())),
            Some(("ann@x.test", Some("Ann; Boss")))
        );
        let bob = Person {
            address: "bob@x.test".into(),
            name: Some("Bob".into()),
            role: Some("REQ-PARTICIPANT".into()),
            answer: Some("NEEDS-ACTION".into()),
            is_asked: true,
        };
        assert_eq!(event.attendees, [bob, Person { address: "cat@x.test".into(), ..Person::default() }]);
    }

    #[test]
    fn times() {
        let start = |line: &str| {
            parse(&format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{line}\nDURATION:P1DT1H\nEND:VEVENT")).unwrap().events[0].clone()
        };
        let day = start("DTSTART;VALUE=DATE:19700102");
        assert_eq!((day.start, day.end), (Some(Moment::Day(1)), Some(Moment::Day(2))));
        assert_eq!(start("DTSTART:19700101T000010Z").end, Some(Moment::Utc(90_010)));
        for wrong in [
            "DTSTART:",
            "DTSTART:1970",
            "DTSTART:19701301",
            "DTSTART:19700101X000000",
            "DTSTART:19700101T250000",
            "DTSTART:ää700101",
            "DTSTART;x:19700101T000000Zz",
        ] {
            assert_eq!(start(wrong).start, None, "{wrong}");
        }
        assert_eq!(
            (parse_duration("-P2W"), parse_duration("PT1H30M"), parse_duration("P"), parse_duration("1H")),
            (Some(-1_209_600), Some(5_400), Some(0), None)
        );
        assert_eq!(parse("BEGIN:VCARD\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn hostile_pieces_are_linear() {
        for piece in ["BEGIN:VEVENT\n", "END:VEVENT\n", " \n", "A;B=\"", "ATTENDEE;", "BEGIN:VCALENDAR\nBEGIN:VEVENT\n"] {
            let _ = parse(&format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{}", piece.repeat(30_000)));
        }
    }
}

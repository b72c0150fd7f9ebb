//! Header fields and what stands in them: `message::header`, `encoded_word`, `parameter`, `date`.

use crate::pieces::take;
use message::date::{self, DateTime};
use message::header::{fields, header_end, header_fields as pick, unfold};
use message::limits::{LINE_BYTES_MAX, LINE_BYTES_WANTED, PARAMETERS_MAX};
use message::{encoded_word as words, parameter as parameters};

/// Fields lie in order inside the header; those picked by name are the same fields.
pub(crate) fn header_fields(data: &[u8]) {
    assert!(header_end(data) <= data.len());
    let all: Vec<_> = fields(data).collect();
    let mut last = 0;
    for field in &all {
        assert!(last <= field.start && field.start < field.end && field.end <= data.len());
        assert!(!field.name.is_empty());
        last = field.end;
    }
    let names: Vec<&[u8]> = all.iter().step_by(2).map(|field| field.name).collect();
    for not in [false, true] {
        let picked = pick(data, &names, not);
        assert!(picked.ends_with(b"\r\n"));
        let named = |name: &[u8]| names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
        let want: Vec<_> = all.iter().filter(|f| named(f.name) != not).map(|f| (f.name, f.value().into_owned())).collect();
        let got: Vec<_> = fields(&picked).map(|f| (f.name, f.value().into_owned())).collect();
        assert_eq!(got, want);
    }
}

/// Decoding takes anything; what is encoded is short lines of ASCII, and decodes to the same text.
pub(crate) fn encoded_word(data: &[u8]) {
    let _ = words::decode(data);
    let ([column], rest) = take(data);
    let text: String = String::from_utf8_lossy(rest).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let encoded = words::encode(&text, usize::from(column) % 40);
    for line in encoded.split("\r\n") {
        // One long word of ASCII is left whole, if a line can carry it.
        let is_a_word = !line.trim_ascii_start().contains([' ', '\t']);
        let most = if is_a_word { LINE_BYTES_MAX } else { LINE_BYTES_WANTED };
        assert!(line.is_ascii() && line.len() <= most, "{line}");
    }
    // In front of a word this is a byte order mark, which is no part of a text; elsewhere it is not seen either.
    let seen = |text: &str| text.replace('\u{feff}', "");
    assert_eq!(seen(&words::decode(&unfold(encoded.as_bytes()))), seen(&text));
}

/// Parameters: bounded; what is encoded is read back.
pub(crate) fn parameter(data: &[u8]) {
    let ([at], rest) = take(data);
    let list = parameters::parse_parameters(rest, usize::from(at));
    assert!(list.0.len() <= PARAMETERS_MAX);
    for (name, _) in &list.0 {
        assert!(list.get(name).is_some());
        let _ = list.decoded(name);
    }
    // In front of a text U+FEFF is a byte order mark, and no part of it.
    let value: String = String::from_utf8_lossy(rest).chars().filter(|c| !c.is_control() && *c != '\u{feff}').collect();
    let encoded = parameters::encode("filename", &value);
    for line in encoded.split("\r\n") {
        assert!(line.is_ascii() && line.len() <= LINE_BYTES_WANTED, "{line}");
    }
    // RFC 2231 pieces have a limit of their own.
    if value.len() < 2_000 {
        let read = parameters::parse_parameters(encoded.as_bytes(), 0);
        assert_eq!(read.decoded("filename").as_deref(), Some(value.as_str()));
    }
}

/// Dates: what is read in any format is written and read the same in all.
pub(crate) fn date(data: &[u8]) {
    for date in [date::parse_rfc_5322(data), date::parse_imap(data), date::parse_rfc_3339(data)].into_iter().flatten() {
        every_format(date);
    }
    if let Some(days) = date::parse_imap_date(data) {
        let (year, month, day) = date::civil_from_days(days);
        assert_eq!(date::days_from_civil(year, month, day), days);
    }
    let ([sign, bytes @ ..], _) = take::<9>(data);
    let secs = i64::from_le_bytes(bytes);
    every_format(DateTime::from_unix(secs, i32::from(sign as i8) * 15 % 900));
    let near = DateTime::from_unix(secs % 60_000_000_000, 0);
    assert_eq!(near.unix_secs(), secs % 60_000_000_000);
}

fn every_format(date: DateTime) {
    assert!((1..=9999).contains(&date.year) && (1..=12).contains(&date.month) && (1..=31).contains(&date.day), "{date:?}");
    assert!(date.hour < 24 && date.minute < 60 && date.second <= 60, "{date:?}");
    assert_eq!(date::parse_rfc_5322(date.rfc_5322().as_bytes()), Some(date));
    assert_eq!(date::parse_imap(date.imap().as_bytes()), Some(date));
    assert_eq!(date::parse_rfc_3339(date.rfc_3339().as_bytes()), Some(date));
}

//! What all reports have in common (RFC 6522): fields on one line each, and the message that is given back.
//!
//! Must not know: what is reported.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::build::{Entity, travels};
use crate::date;
use crate::encoded_word;
use crate::header::{Field, header_end};
use crate::limits::LINE_BYTES_MAX;

/// What is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Original<'a> {
    /// All of it (RET=FULL).
    Message(&'a [u8]),
    /// Its header; a body behind it is left out (RET=HDRS).
    Header(&'a [u8]),
}

/// The part that gives it back, and whether it makes the report need the `global` types (RFC 6533).
pub(crate) fn returned(original: Original<'_>, utf8: bool) -> (Entity<'_>, bool) {
    let original = match original {
        Original::Message(octets) if travels(octets) => Original::Message(octets),
        Original::Message(octets) | Original::Header(octets) => {
            Original::Header(octets.get(..header_end(octets)).unwrap_or_default())
        }
    };
    let (Original::Message(given) | Original::Header(given)) = original;
    let utf8 = utf8 || !given.get(..header_end(given)).unwrap_or_default().is_ascii();
    let media_type = match (original, utf8) {
        (Original::Message(_), false) => "message/rfc822",
        (Original::Message(_), true) => "message/global",
        (Original::Header(_), false) => "text/rfc822-headers",
        (Original::Header(_), true) => "message/global-headers",
    };
    (Entity::plain(media_type, Cow::Borrowed(given)), utf8)
}

/// A field, if there is a value.
pub(crate) fn push_field(out: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        let _ = write!(out, "{name}: {}\r\n", line(value));
    }
}

/// One line, whatever a far server said.
pub(crate) fn line(text: &str) -> String {
    let mut text = without_controls(text);
    text.truncate(text.floor_char_boundary(LINE_BYTES_MAX - 40));
    text.trim().to_owned()
}

fn without_controls(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A field's body for people, as [`line`] could write it again.
pub(crate) fn text(field: &Field<'_>) -> String {
    without_controls(&encoded_word::decode(&field.value()))
}

/// Without `dns;`, `rfc822;`, `smtp;`.
pub(crate) fn untyped(text: &str) -> String {
    text.split_once(';').map_or(text, |(_, value)| value).trim().to_owned()
}

/// A field's date.
pub(crate) fn seconds(field: &Field<'_>) -> Option<i64> {
    date::parse_rfc_5322(&field.value()).map(|d| d.unix_secs())
}

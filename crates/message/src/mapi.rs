//! MAPI properties as TNEF carries them (MS-OXTNEF §2.1.3.2, MS-OXCDATA §2.11.1): numbers with typed values.
//!
//! Values borrow. Invariant: at most [`TNEF_ATTRIBUTES_MAX`] properties of a list are read; a list that ends too early is
//! read as far as it goes. Must not know: what a property means.

use std::borrow::Cow;

use crate::charset;
use crate::limits::TNEF_ATTRIBUTES_MAX;

/// What names a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropertyName {
    /// A number below 0x8000.
    Tag(u16),
    /// A number within a set; the set by its GUID as it stands.
    Named([u8; 16], u32),
    /// A name in letters; those are not told apart.
    Letters([u8; 16]),
}

/// A value; of several only the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PropertyValue<'a> {
    /// Integers, booleans, error codes.
    Number(i64),
    /// A time, in seconds since 1970-01-01 UTC.
    Time(i64),
    /// Text in the code page of the message, without its NUL.
    Text8(&'a [u8]),
    /// Text in UTF-16LE, without its NUL.
    Text16(&'a [u8]),
    /// Octets.
    Binary(&'a [u8]),
    /// An object: its interface, and its octets.
    Object([u8; 16], &'a [u8]),
    /// A type that nobody asks for.
    Other,
}

impl<'a> PropertyValue<'a> {
    /// As text; `code_page` is the charset of 8-bit text.
    ///
    /// ```
    /// use message::mapi::PropertyValue;
    /// assert_eq!(PropertyValue::Text8(b"\xe4").text(b"windows-1252").as_deref(), Some("ä"));
    /// assert_eq!(PropertyValue::Text16(b"\xe4\0").text(b"").as_deref(), Some("ä"));
    /// ```
    pub fn text(&self, code_page: &[u8]) -> Option<String> {
        match self {
            PropertyValue::Text8(octets) => Some(charset::decode(code_page, octets).into_owned()),
            PropertyValue::Text16(octets) => Some(utf_16(octets)),
            _ => None,
        }
    }

    /// As octets.
    ///
    /// ```
    /// assert_eq!(message::mapi::PropertyValue::Binary(b"x").octets(), Some(&b"x"[..]));
    /// ```
    pub fn octets(&self) -> Option<&'a [u8]> {
        match self {
            PropertyValue::Text8(octets) | PropertyValue::Binary(octets) | PropertyValue::Object(_, octets) => Some(octets),
            _ => None,
        }
    }
}

pub(crate) fn utf_16(octets: &[u8]) -> String {
    let text: Cow<'_, str> = encoding_rs::UTF_16LE.decode_without_bom_handling(octets).0;
    text.trim_end_matches('\0').to_owned()
}

/// One property.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Property<'a> {
    /// Its name.
    pub name: PropertyName,
    /// Its (first) value.
    pub value: PropertyValue<'a>,
}

/// A list of properties, and whether it was whole.
///
/// ```
/// use message::mapi::{PropertyName, PropertyValue, parse};
/// let (found, whole) = parse(b"\x01\0\0\0\x03\0\x05\x37\x05\0\0\0");
/// assert_eq!((found[0].name, found[0].value, whole), (PropertyName::Tag(0x3705), PropertyValue::Number(5), true));
/// ```
pub fn parse(octets: &[u8]) -> (Vec<Property<'_>>, bool) {
    let mut reader = Reader { rest: octets };
    let mut out = Vec::new();
    let Some(count) = reader.u32() else { return (out, false) };
    for _ in 0..count {
        if out.len() >= TNEF_ATTRIBUTES_MAX {
            return (out, false);
        }
        let Some(property) = reader.property() else { return (out, false) };
        out.push(property);
    }
    (out, true)
}

pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Lengths are filled up to four.
    fn padded(&mut self, len: usize) -> Option<&'a [u8]> {
        let out = self.take(len)?;
        let fill = (4 - len % 4) % 4;
        self.take(fill.min(self.rest.len()))?;
        Some(out)
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        self.padded(len)
    }

    fn property(&mut self) -> Option<Property<'a>> {
        let (kind, id) = (self.u16()?, self.u16()?);
        let name = if id >= 0x8000 { self.name()? } else { PropertyName::Tag(id) };
        let (single, many) = (kind & 0x0fff, kind & 0x1000 != 0);
        // Values of no fixed length are counted even when there is one.
        let counted = matches!(single, 0x000d | 0x001e | 0x001f | 0x0102);
        let count = if many || counted { self.u32()? } else { 1 };
        let mut first = PropertyValue::Other;
        for i in 0..count {
            let value = self.value(single)?;
            if i == 0 {
                first = value;
            }
        }
        Some(Property { name, value: first })
    }

    fn name(&mut self) -> Option<PropertyName> {
        let set = self.array()?;
        if self.u32()? == 0 {
            return Some(PropertyName::Named(set, self.u32()?));
        }
        self.counted()?;
        Some(PropertyName::Letters(set))
    }

    fn value(&mut self, kind: u16) -> Option<PropertyValue<'a>> {
        Some(match kind {
            0x0002 | 0x000b => {
                let value = self.u16()? as i16;
                self.take(2)?;
                PropertyValue::Number(i64::from(value))
            }
            0x0003 | 0x000a => PropertyValue::Number(i64::from(self.u32()? as i32)),
            0x0014 => PropertyValue::Number(i64::from_le_bytes(self.array()?)),
            0x0040 => PropertyValue::Time(unix_secs(u64::from_le_bytes(self.array()?))),
            0x0001 | 0x0004 => self.take(4).map(|_| PropertyValue::Other)?,
            0x0005..=0x0007 => self.take(8).map(|_| PropertyValue::Other)?,
            0x0048 => self.take(16).map(|_| PropertyValue::Other)?,
            0x001e => PropertyValue::Text8(until_nul(self.counted()?)),
            0x001f => PropertyValue::Text16(self.counted()?),
            0x0102 => PropertyValue::Binary(self.counted()?),
            0x000d => {
                let octets = self.counted()?;
                let (interface, rest) = octets.split_first_chunk()?;
                PropertyValue::Object(*interface, rest)
            }
            _ => return None,
        })
    }
}

pub(crate) fn until_nul(octets: &[u8]) -> &[u8] {
    octets.get(..memchr::memchr(0, octets).unwrap_or(octets.len())).unwrap_or(octets)
}

/// Ticks of 100 ns since 1601-01-01.
fn unix_secs(ticks: u64) -> i64 {
    (ticks / 10_000_000) as i64 - 11_644_473_600
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_of_every_kind() {
        let mut list = 6u32.to_le_bytes().to_vec();
        list.extend_from_slice(b"\x0b\0\xfe\x7f\x01\0\0\0");
        list.extend_from_slice(b"\x1e\0\x37\0\x01\0\0\0\x03\0\0\0hi\0\0");
        list.extend_from_slice(b"\x1f\0\x07\x37\x01\0\0\0\x04\0\0\0\xe4\0\0\0");
        list.extend_from_slice(b"\x40\0\x60\0");
        list.extend_from_slice(&((11_644_473_600u64 + 5) * 10_000_000).to_le_bytes());
        list.extend_from_slice(b"\x03\0\0\x80ABCDABCDABCDABCD\0\0\0\0\x0d\x82\0\0\x07\0\0\0");
        list.extend_from_slice(b"\x02\x10\x01\0\x02\0\0\0\x08\0\0\0\x09\0\0\0");
        let (found, whole) = parse(&list);
        assert!(whole);
        assert_eq!(found[0].value, PropertyValue::Number(1));
        assert_eq!(found[1].value.text(b"").as_deref(), Some("hi"));
        assert_eq!(found[2].value.text(b"").as_deref(), Some("ä"));
        assert_eq!(found[3].value, PropertyValue::Time(5));
        assert_eq!(found[4].name, PropertyName::Named(*b"ABCDABCDABCDABCD", 0x820d));
        assert_eq!(found[5].value, PropertyValue::Number(8));
        for len in 0..list.len() {
            assert!(!parse(&list[..len]).1, "{len}");
        }
    }

    #[test]
    fn a_count_that_lies_costs_nothing() {
        assert_eq!(parse(b"\xff\xff\xff\xff\x03\x10\x05\x37\xff\xff\xff\xff\x01\0\0\0").0, []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn never_panics(octets in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => 0u8..0x20, 1 => any::<u8>()], 0..200)) {
            let _ = parse(&octets);
        }
    }
}

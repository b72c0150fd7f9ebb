//! How a value lies in the store: a version byte, a checksum over key and content, the content.
//!
//! Invariant: what [`open`] gives back is what [`Writer::seal`] took, under the same key; anything else is `Damaged`.
//! Must not know: what the content means.

use crate::engine::Key;
use crate::hash::xxh64;
use crate::types::StoreError;

/// The version new values are written in. Decoders of older ones stay.
pub(crate) const VERSION: u8 = 1;
/// The newest form that any kind of value has.
const NEWEST: u8 = 2;
const HEAD: usize = 5;

fn checksum(key: &[u8], version: u8, content: &[u8]) -> u32 {
    let seed = xxh64(key, u64::from(version));
    xxh64(content, seed) as u32
}

/// The content of a stored value, once its checksum is proven.
pub(crate) fn open<'a>(key: &Key, stored: &'a [u8]) -> Result<Reader<'a>, StoreError> {
    open_up_to(key, stored, VERSION).map(|(_, reader)| reader)
}

/// The same for a kind of value that has had several forms: the version it was written in, at most `newest`.
pub(crate) fn open_up_to<'a>(key: &Key, stored: &'a [u8], newest: u8) -> Result<(u8, Reader<'a>), StoreError> {
    let Some((head, content)) = stored.split_first_chunk::<HEAD>() else {
        return Err(StoreError::Damaged(format!("{key}: too short")));
    };
    let [version, sum @ ..] = *head;
    if u32::from_le_bytes(sum) != checksum(key.bytes(), version, content) {
        return Err(StoreError::Damaged(format!("{key}: checksum")));
    }
    if version < VERSION || version > newest {
        return Err(StoreError::Damaged(format!("{key}: written by a newer release (version {version})")));
    }
    Ok((version, Reader { rest: content }))
}

/// Is it as it was written, in whatever form?
pub(crate) fn is_sound(key: &Key, stored: &[u8]) -> Result<(), StoreError> {
    open_up_to(key, stored, NEWEST).map(|_| ())
}

/// Builds a value.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Writer {
        let mut buffer = Vec::with_capacity(64);
        buffer.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
        Writer(buffer)
    }
    /// Without room for version and checksum: for what is checked by its surroundings.
    pub(crate) fn bare() -> Writer {
        Writer(Vec::new())
    }
    pub(crate) fn u8(&mut self, value: u8) -> &mut Writer {
        self.0.push(value);
        self
    }
    pub(crate) fn number(&mut self, mut value: u64) -> &mut Writer {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }
    pub(crate) fn signed(&mut self, value: i64) -> &mut Writer {
        self.number(((value << 1) ^ (value >> 63)) as u64)
    }
    pub(crate) fn fixed64(&mut self, value: u64) -> &mut Writer {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Writer {
        self.number(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }
    pub(crate) fn raw(&mut self, value: &[u8]) -> &mut Writer {
        self.0.extend_from_slice(value);
        self
    }
    pub(crate) fn text(&mut self, value: &str) -> &mut Writer {
        self.bytes(value.as_bytes())
    }
    pub(crate) fn option_text(&mut self, value: Option<&str>) -> &mut Writer {
        match value {
            None => self.u8(0),
            Some(text) => self.u8(1).text(text),
        }
    }
    pub(crate) fn into_bare(self) -> Vec<u8> {
        self.0
    }
    /// The value as stored under `key`.
    pub(crate) fn seal(self, key: &Key) -> Vec<u8> {
        self.seal_as(key, VERSION)
    }
    /// The value in a later form of its kind, for [`open_up_to`].
    pub(crate) fn seal_as(mut self, key: &Key, version: u8) -> Vec<u8> {
        if let Some((head, content)) = self.0.split_first_chunk_mut::<HEAD>() {
            let sum = checksum(key.bytes(), version, content);
            head[0] = version;
            head[1..].copy_from_slice(&sum.to_le_bytes());
        }
        self.0
    }
}

/// Takes a value apart. Every method is `None` at the end or on nonsense.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn bare(rest: &'a [u8]) -> Reader<'a> {
        Reader { rest }
    }
    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }
    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
    pub(crate) fn number32(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }
    /// A count of things that take at least one octet each.
    pub(crate) fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.rest.len()).then_some(count)
    }
    pub(crate) fn signed(&mut self) -> Option<i64> {
        let value = self.number()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }
    pub(crate) fn fixed64(&mut self) -> Option<u64> {
        let (first, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*first))
    }
    pub(crate) fn raw(&mut self, length: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(first)
    }
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        self.raw(length)
    }
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
    pub(crate) fn option_text(&mut self) -> Option<Option<&'a str>> {
        if self.flag()? { self.text().map(Some) } else { Some(None) }
    }
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
    /// `Some` only if nothing is left over.
    pub(crate) fn end(self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }
}

/// A decoder's `None` as an error that names the key.
pub(crate) fn decoded<T>(key: &Key, value: Option<T>) -> Result<T, StoreError> {
    value.ok_or_else(|| StoreError::Damaged(format!("{key}: does not decode")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn both_ways(a in any::<u64>(), b in any::<i64>(), text in ".{0,40}", raw in proptest::collection::vec(any::<u8>(), 0..40)) {
            let key = Key::new(vec![1, 2]);
            let mut writer = Writer::new();
            writer.number(a).signed(b).text(&text).bytes(&raw).option_text(Some(&text)).option_text(None).fixed64(a);
            let stored = writer.seal(&key);
            let mut reader = open(&key, &stored).unwrap();
            prop_assert_eq!(reader.number(), Some(a));
            prop_assert_eq!(reader.signed(), Some(b));
            prop_assert_eq!(reader.text(), Some(text.as_str()));
            prop_assert_eq!(reader.bytes(), Some(raw.as_slice()));
            prop_assert_eq!(reader.option_text(), Some(Some(text.as_str())));
            prop_assert_eq!(reader.option_text(), Some(None));
            prop_assert_eq!(reader.fixed64(), Some(a));
            prop_assert_eq!(reader.end(), Some(()));
            prop_assert!(open(&Key::new(vec![1, 3]), &stored).is_err());
            for position in 0..stored.len() {
                let mut flipped = stored.clone();
                flipped[position] ^= 0x10;
                prop_assert!(open(&key, &flipped).is_err());
            }
        }
    }
}

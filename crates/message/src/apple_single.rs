//! AppleSingle and AppleDouble (RFC 1740): a Macintosh file, or the half of it that other systems have no place for.
//!
//! Borrows from the octets; entries that lie outside them are left out. Must not know: MIME.

/// What such a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppleFile<'a> {
    /// AppleDouble: the data fork is elsewhere (in the part behind it).
    pub is_double: bool,
    /// The data fork.
    pub data: Option<&'a [u8]>,
    /// The resource fork.
    pub resource: Option<&'a [u8]>,
    /// The file's name, in whatever charset that Macintosh had.
    pub real_name: Option<&'a [u8]>,
    /// The comment of the Finder.
    pub comment: Option<&'a [u8]>,
    /// Type and creator, four letters each.
    pub finder_info: Option<([u8; 4], [u8; 4])>,
    /// An entry lay outside the octets.
    pub is_truncated: bool,
}

impl AppleFile<'_> {
    /// The name for people: UTF-8, else Mac OS Roman.
    ///
    /// ```
    /// let file = message::apple_single::AppleFile { real_name: Some(b"\x8a.txt"), ..Default::default() };
    /// assert_eq!(file.name().as_deref(), Some("ä.txt"));
    /// ```
    pub fn name(&self) -> Option<String> {
        self.real_name.filter(|name| !name.is_empty()).map(mac_text)
    }
}

/// A text of a Macintosh: UTF-8, else Mac OS Roman.
///
/// ```
/// assert_eq!(message::apple_single::mac_text(b"\x8a"), "ä");
/// ```
pub fn mac_text(text: &[u8]) -> String {
    match std::str::from_utf8(text) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::MACINTOSH.decode_without_bom_handling(text).0.into_owned(),
    }
}

/// Reads one; `None` when the octets are neither of the two.
///
/// ```
/// let mut file = b"\0\x05\x16\0\0\x02\0\0".to_vec();
/// file.extend_from_slice(&[0; 16]);
/// file.extend_from_slice(b"\0\x01\0\0\0\x01\0\0\0\x26\0\0\0\x03Cat");
/// assert_eq!(message::apple_single::parse(&file).unwrap().data, Some(&b"Cat"[..]));
/// ```
pub fn parse(octets: &[u8]) -> Option<AppleFile<'_>> {
    let is_double = match octets.get(..4)? {
        [0, 5, 0x16, 0] => false,
        [0, 5, 0x16, 7] => true,
        _ => return None,
    };
    let mut out = AppleFile { is_double, ..AppleFile::default() };
    let count = octets.get(24..26).and_then(|b| <[u8; 2]>::try_from(b).ok()).map(u16::from_be_bytes)?;
    let entries = octets.get(26..)?;
    for entry in entries.chunks_exact(12).take(usize::from(count)) {
        let number = |at: usize| entry.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(u32::from_be_bytes);
        let (Some(id), Some(start), Some(len)) = (number(0), number(4), number(8)) else { break };
        let content = (start as usize).checked_add(len as usize).and_then(|end| octets.get(start as usize..end));
        let Some(content) = content else {
            out.is_truncated = true;
            continue;
        };
        match id {
            1 => out.data = Some(content),
            2 => out.resource = Some(content),
            3 => out.real_name = Some(content),
            4 => out.comment = Some(content),
            9 => {
                out.finder_info =
                    content.first_chunk::<4>().zip(content.get(4..).and_then(|c| c.first_chunk::<4>())).map(|(a, b)| (*a, *b))
            }
            _ => {}
        }
    }
    out.is_truncated |= entries.len() / 12 < usize::from(count);
    Some(out)
}

/// Writes one, of its entries (number, content): what tests and Macintoshes write.
///
/// ```
/// let file = message::apple_single::encode(false, &[(1, b"Cat"), (3, b"cat.txt")]);
/// let read = message::apple_single::parse(&file).unwrap();
/// assert_eq!((read.data, read.name().as_deref()), (Some(&b"Cat"[..]), Some("cat.txt")));
/// ```
pub fn encode(is_double: bool, entries: &[(u32, &[u8])]) -> Vec<u8> {
    let mut out = vec![0, 5, 0x16, if is_double { 7 } else { 0 }, 0, 2, 0, 0];
    out.extend_from_slice(&[0; 16]);
    out.extend_from_slice(&(entries.len() as u16).to_be_bytes());
    let mut at = 26 + 12 * entries.len();
    for (id, content) in entries {
        for number in [*id, at as u32, content.len() as u32] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        at += content.len();
    }
    entries.iter().for_each(|(_, content)| out.extend_from_slice(content));
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn cut_anywhere_it_is_told() {
        let file = encode(true, &[(3, b"na\x9fme"), (9, b"TEXTttxt\0\0\0\0\0\0\0\0"), (2, b"fork")]);
        let whole = parse(&file).unwrap();
        assert_eq!((whole.is_double, whole.data, whole.resource, whole.is_truncated), (true, None, Some(&b"fork"[..]), false));
        assert_eq!((whole.name().as_deref(), whole.finder_info), (Some("naüme"), Some((*b"TEXT", *b"ttxt"))));
        for len in 0..file.len() {
            assert!(parse(&file[..len]).is_none_or(|f| f.is_truncated), "{len}");
        }
        assert_eq!(parse(b"\0\x05\x16\x01"), None);
    }

    #[test]
    fn entries_outside_are_left_out() {
        let mut file = encode(false, &[(1, b"Cat")]);
        file[30..34].copy_from_slice(&[0xff; 4]);
        file[34..38].copy_from_slice(&[0xff; 4]);
        assert_eq!(parse(&file).map(|f| (f.data, f.is_truncated)), Some((None, true)));
    }
}

//! Content-Transfer-Encoding (RFC 2045 §6): base64 and quoted-printable both ways, uuencode read;
//! in pieces or whole.
//!
//! Decoding never fails: what is foreign to base64 is skipped, padding may be missing, a broken
//! quoted-printable escape stays as it is.

use std::borrow::Cow;

/// How a part's octets travel (RFC 2045 §6.1).
///
/// ```
/// use message::transfer::{TransferEncoding, decode, decoded_len};
/// let encoding = TransferEncoding::from_word(b"Base64");
/// assert_eq!((encoding.word(), encoding.is_identity()), ("BASE64", false));
/// assert_eq!((decode(encoding, b"aGk="), decoded_len(encoding, b"aGk=")), (Some(b"hi".to_vec()), Some(2)));
/// assert_eq!(decode(TransferEncoding::from_word(b"x-none"), b"a"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum TransferEncoding {
    #[default]
    SevenBit = 0,
    EightBit = 1,
    Binary = 2,
    QuotedPrintable = 3,
    Base64 = 4,
    /// A word we do not know: the octets cannot be decoded.
    Other = 5,
    /// `x-uuencode` and its spellings: lines of uuencode between `begin` and `end` (POSIX).
    Uuencode = 6,
}

impl TransferEncoding {
    /// From the word of a Content-Transfer-Encoding field.
    pub fn from_word(word: &[u8]) -> TransferEncoding {
        const WORDS: [(&str, TransferEncoding); 13] = [
            ("7bit", TransferEncoding::SevenBit),
            ("8bit", TransferEncoding::EightBit),
            ("binary", TransferEncoding::Binary),
            ("quoted-printable", TransferEncoding::QuotedPrintable),
            ("base64", TransferEncoding::Base64),
            // Not words of the standard, but seen.
            ("7-bit", TransferEncoding::SevenBit),
            ("8-bit", TransferEncoding::EightBit),
            ("", TransferEncoding::SevenBit),
            ("x-uuencode", TransferEncoding::Uuencode),
            ("uuencode", TransferEncoding::Uuencode),
            ("x-uue", TransferEncoding::Uuencode),
            ("uue", TransferEncoding::Uuencode),
            ("x-uu", TransferEncoding::Uuencode),
        ];
        let found = WORDS.iter().find(|(w, _)| word.eq_ignore_ascii_case(w.as_bytes()));
        found.map_or(TransferEncoding::Other, |(_, e)| *e)
    }

    /// The word, in upper case as BODYSTRUCTURE shows it.
    pub fn word(self) -> &'static str {
        match self {
            TransferEncoding::SevenBit => "7BIT",
            TransferEncoding::EightBit => "8BIT",
            TransferEncoding::Binary => "BINARY",
            TransferEncoding::QuotedPrintable => "QUOTED-PRINTABLE",
            TransferEncoding::Base64 => "BASE64",
            TransferEncoding::Other => "X-UNKNOWN",
            TransferEncoding::Uuencode => "X-UUENCODE",
        }
    }

    /// True where the word has several spellings, or is none we know: it is kept as spelled.
    pub(crate) fn is_named_by_word(self) -> bool {
        matches!(self, TransferEncoding::Other | TransferEncoding::Uuencode)
    }

    /// True when the octets are the content as they stand.
    pub fn is_identity(self) -> bool {
        matches!(self, TransferEncoding::SevenBit | TransferEncoding::EightBit | TransferEncoding::Binary)
    }

    pub(crate) fn from_code(code: u8) -> Option<TransferEncoding> {
        use TransferEncoding::*;
        [SevenBit, EightBit, Binary, QuotedPrintable, Base64, Other, Uuencode].into_iter().find(|e| *e as u8 == code)
    }
}

/// The content, borrowed where there is nothing to do; octets in an unknown encoding stay as they are.
///
/// ```
/// use message::transfer::{TransferEncoding, decode_cow};
/// assert_eq!(decode_cow(TransferEncoding::QuotedPrintable, b"a=3Db").as_ref(), b"a=b");
/// ```
pub fn decode_cow(encoding: TransferEncoding, octets: &[u8]) -> Cow<'_, [u8]> {
    if encoding.is_identity() || encoding == TransferEncoding::Other {
        return Cow::Borrowed(octets);
    }
    let mut out =
        Vec::with_capacity(if encoding == TransferEncoding::QuotedPrintable { octets.len() } else { octets.len() / 4 * 3 + 6 });
    let mut decoder = Decoder::new(encoding);
    decoder.push(octets, &mut out);
    decoder.finish(&mut out);
    Cow::Owned(out)
}

/// A body's content in pieces of bounded size ([`crate::part::Part::contents`]).
///
/// ```
/// let message = message::parse(b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=");
/// let pieces: message::transfer::Contents<'_> = message.root().contents();
/// assert_eq!(pieces.map(|piece| piece.len()).sum::<usize>(), 5);
/// ```
#[derive(Debug, Clone)]
pub struct Contents<'a> {
    rest: &'a [u8],
    /// `None` once the end has been said.
    decoder: Option<Decoder>,
}

/// Octets of one piece before decoding.
const PIECE_BYTES: usize = 48 * 1024;

impl<'a> Contents<'a> {
    pub(crate) fn new(encoding: TransferEncoding, octets: &'a [u8]) -> Contents<'a> {
        Contents { rest: octets, decoder: Some(Decoder::new(encoding)) }
    }
}

impl<'a> Iterator for Contents<'a> {
    type Item = Cow<'a, [u8]>;

    fn next(&mut self) -> Option<Cow<'a, [u8]>> {
        loop {
            let decoder = self.decoder.as_mut()?;
            let (piece, rest) = self.rest.split_at(self.rest.len().min(PIECE_BYTES));
            self.rest = rest;
            let is_identity = matches!(decoder, Decoder::Identity);
            if is_identity && !piece.is_empty() {
                return Some(Cow::Borrowed(piece));
            }
            let mut out = Vec::new();
            decoder.push(piece, &mut out);
            if rest.is_empty() {
                decoder.finish(&mut out);
                self.decoder = None;
            }
            if !out.is_empty() {
                return Some(Cow::Owned(out));
            }
        }
    }
}

/// The content; `None` when the encoding is unknown ([`TransferEncoding::Other`]).
pub fn decode(encoding: TransferEncoding, octets: &[u8]) -> Option<Vec<u8>> {
    (encoding != TransferEncoding::Other).then(|| decode_cow(encoding, octets).into_owned())
}

/// The content's length (BINARY.SIZE, RFC 9051 §6.4.5), without keeping the content.
pub fn decoded_len(encoding: TransferEncoding, octets: &[u8]) -> Option<u64> {
    if encoding == TransferEncoding::Other {
        return None;
    }
    if encoding.is_identity() {
        return Some(octets.len() as u64);
    }
    let mut decoder = Decoder::new(encoding);
    let mut out = Vec::with_capacity(64 * 1024);
    let mut len = 0;
    for chunk in octets.chunks(48 * 1024) {
        out.clear();
        decoder.push(chunk, &mut out);
        len += out.len() as u64;
    }
    out.clear();
    decoder.finish(&mut out);
    Some(len + out.len() as u64)
}

/// Decodes a body that comes in pieces. Unknown encodings pass through.
#[derive(Debug, Clone)]
pub enum Decoder {
    /// Nothing to do.
    Identity,
    /// RFC 2045 §6.8.
    Base64(Base64Decoder),
    /// RFC 2045 §6.7.
    QuotedPrintable(QuotedPrintableDecoder),
    /// POSIX uuencode.
    Uuencode(UuencodeDecoder),
}

impl Decoder {
    /// A decoder at the start of a body.
    pub fn new(encoding: TransferEncoding) -> Decoder {
        match encoding {
            TransferEncoding::Base64 => Decoder::Base64(Base64Decoder::default()),
            TransferEncoding::QuotedPrintable => Decoder::QuotedPrintable(QuotedPrintableDecoder::default()),
            TransferEncoding::Uuencode => Decoder::Uuencode(UuencodeDecoder::default()),
            _ => Decoder::Identity,
        }
    }

    /// More of the body; what is decoded is put behind `out`.
    pub fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        match self {
            Decoder::Identity => out.extend_from_slice(octets),
            Decoder::Base64(d) => d.push(octets, out),
            Decoder::QuotedPrintable(d) => d.push(octets, out),
            Decoder::Uuencode(d) => d.push(octets, out),
        }
    }

    /// The body is over.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Decoder::Identity => {}
            Decoder::Base64(d) => d.finish(out),
            Decoder::QuotedPrintable(d) => d.finish(out),
            Decoder::Uuencode(d) => d.finish(out),
        }
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const FOREIGN: u8 = 0xff;
const PADDING: u8 = 0xfe;

const fn base64_values() -> [u8; 256] {
    let mut table = [FOREIGN; 256];
    let mut i = 0;
    while i < 64 {
        table[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    table[b'=' as usize] = PADDING;
    table
}

static VALUES: [u8; 256] = base64_values();

fn value_of(byte: u8) -> u8 {
    // Always inside: 256 entries, an octet.
    VALUES.get(usize::from(byte)).copied().unwrap_or(FOREIGN)
}

/// Base64 in pieces.
#[derive(Debug, Clone, Default)]
pub struct Base64Decoder {
    bits: u32,
    count: u8,
    /// Padding has been seen.
    padded: bool,
    /// Text has been seen behind padding, such as the footer of a mailing list: it is over.
    over: bool,
}

impl Base64Decoder {
    /// Decodes more. Foreign octets are skipped (RFC 2045 §6.8); padding ends a quantum, so several
    /// encodings behind one another decode as one. Behind padding, foreign octets and blanks end it all.
    ///
    /// ```
    /// let (mut decoder, mut out) = (message::transfer::Base64Decoder::default(), Vec::new());
    /// decoder.push(b"aGVs!!bG8g\r\n", &mut out);
    /// decoder.push(b"d29ybGQ", &mut out);
    /// decoder.finish(&mut out);
    /// assert_eq!(out, b"hello world");
    /// ```
    pub fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        // Room for all of it, filled from `at` on: whole quanta are written without asking for room.
        let mut at = out.len();
        out.resize(at + octets.len() / 4 * 3 + 6, 0);
        let mut rest = octets;
        while !rest.is_empty() && !self.over {
            if self.count == 0 {
                let (used, made) = quads(rest, out.get_mut(at..).unwrap_or_default());
                at += made;
                rest = rest.get(used..).unwrap_or_default();
                if let [b'\r', b'\n', after @ ..] = rest {
                    rest = after;
                    continue;
                }
            }
            let Some((byte, after)) = rest.split_first() else { break };
            rest = after;
            match value_of(*byte) {
                FOREIGN => self.over = self.padded && *byte != b'\r' && *byte != b'\n',
                PADDING => {
                    let (left, count) = self.left_over();
                    if let Some(room) = out.get_mut(at..at + 2) {
                        room.copy_from_slice(&left);
                    }
                    at += count;
                    self.padded = true;
                }
                value => {
                    self.bits = self.bits << 6 | u32::from(value);
                    self.count += 1;
                    if self.count == 4 {
                        let three = [(self.bits >> 16) as u8, (self.bits >> 8) as u8, self.bits as u8];
                        if let Some(room) = out.get_mut(at..at + 3) {
                            room.copy_from_slice(&three);
                        }
                        at += 3;
                        self.bits = 0;
                        self.count = 0;
                    }
                }
            }
        }
        out.truncate(at);
    }

    /// What an unfinished quantum still holds.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let (left, count) = self.left_over();
        out.extend_from_slice(left.get(..count).unwrap_or_default());
    }

    fn left_over(&mut self) -> ([u8; 2], usize) {
        let left = match self.count {
            2 => ([(self.bits >> 4) as u8, 0], 1),
            3 => ([(self.bits >> 10) as u8, (self.bits >> 2) as u8], 2),
            _ => ([0, 0], 0),
        };
        self.bits = 0;
        self.count = 0;
        left
    }
}

/// The value of a digit at its place in a group of four; [`BAD`] for what is no digit.
const fn placed(shift: u32) -> [u32; 256] {
    let mut table = [BAD; 256];
    let mut i = 0;
    while i < 64 {
        table[ALPHABET[i] as usize] = (i as u32) << shift;
        i += 1;
    }
    table
}

const BAD: u32 = 1 << 31;
static PLACED: [[u32; 256]; 4] = [placed(18), placed(12), placed(6), placed(0)];

/// Four digits to 24 bits, or [`BAD`] with them.
fn quad(digits: &[u8; 4]) -> u32 {
    let [a, b, c, d] = &PLACED;
    a[usize::from(digits[0])] | b[usize::from(digits[1])] | c[usize::from(digits[2])] | d[usize::from(digits[3])]
}

/// Decodes whole groups of four as long as all four are good: how many octets were used, how many made.
fn quads(octets: &[u8], room: &mut [u8]) -> (usize, usize) {
    let (groups, _) = octets.as_chunks::<4>();
    let (places, _) = room.as_chunks_mut::<3>();
    let mut done = 0;
    for (four, place) in groups.iter().zip(places) {
        let bits = quad(four);
        if bits & BAD != 0 {
            break;
        }
        let [_, high, middle, low] = bits.to_be_bytes();
        *place = [high, middle, low];
        done += 1;
    }
    (done * 4, done * 3)
}

/// Decodes base64 whole.
///
/// ```
/// assert_eq!(message::transfer::base64_decode(b"aGVs!!bG8g\r\nd29ybGQ"), b"hello world");
/// ```
pub fn base64_decode(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut decoder = Base64Decoder::default();
    decoder.push(octets, &mut out);
    decoder.finish(&mut out);
    out
}

/// Encodes in lines of 76 with CRLF behind each (RFC 2045 §6.8).
pub fn base64_encode(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() / 57 * 78 + 80);
    for line in octets.chunks(57) {
        base64_push(line, &mut out);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Base64 without any line end, behind `out`.
pub(crate) fn base64_push(octets: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let encoding = &data_encoding::BASE64;
    out.resize(start + encoding.encode_len(octets.len()), 0);
    if let Some(room) = out.get_mut(start..) {
        encoding.encode_mut(octets, room);
    }
}

/// Longest unfinished line that [`QuotedPrintableDecoder`] keeps.
const REST_BYTES_MAX: usize = 8 * 1024;

/// Quoted-printable in pieces.
#[derive(Debug, Clone, Default)]
pub struct QuotedPrintableDecoder {
    rest: Vec<u8>,
}

impl QuotedPrintableDecoder {
    /// Decodes more. Lines are decoded when they are whole (blanks at their end do not count, RFC 2045 §6.7 rule 3).
    pub fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let mut octets = octets;
        out.reserve(octets.len());
        while let Some(end) = memchr::memchr(b'\n', octets) {
            let (line, after) = octets.split_at(end + 1);
            octets = after;
            if self.rest.is_empty() {
                quoted_printable_line(line, out);
            } else {
                self.rest.extend_from_slice(line);
                quoted_printable_line(&self.rest, out);
                self.rest.clear();
            }
        }
        self.rest.extend_from_slice(octets);
        if self.rest.len() > REST_BYTES_MAX {
            // An endless line: all but a possible broken escape is decoded now.
            let tail = self.rest.iter().rev().take(3).position(|b| *b == b'=').map_or(0, |i| i + 1);
            let cut = self.rest.len() - tail;
            escapes(self.rest.get(..cut).unwrap_or_default(), out);
            self.rest.drain(..cut);
        }
    }

    /// The last line, which has no line end.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        quoted_printable_line(&self.rest, out);
        self.rest.clear();
    }
}

/// One line with its line end, if it has one.
fn quoted_printable_line(line: &[u8], out: &mut Vec<u8>) {
    let (content, end) = match line {
        [content @ .., b'\r', b'\n'] => (content, &b"\r\n"[..]),
        [content @ .., b'\n'] => (content, &b"\n"[..]),
        content => (content, &b""[..]),
    };
    let content = content.trim_ascii_end();
    if let [soft @ .., b'='] = content {
        escapes(soft, out);
        return;
    }
    escapes(content, out);
    out.extend_from_slice(end);
}

/// `=XX` to octets; anything else stays.
fn escapes(content: &[u8], out: &mut Vec<u8>) {
    let mut rest = content;
    // Escapes stand together where a text is not ASCII: no search for the next one then.
    while let Some(mark) = if rest.first() == Some(&b'=') { Some(0) } else { memchr::memchr(b'=', rest) } {
        let (plain, after) = rest.split_at(mark);
        if !plain.is_empty() {
            out.extend_from_slice(plain);
        }
        let pair = after.get(1).copied().and_then(hex).zip(after.get(2).copied().and_then(hex));
        match pair {
            Some((high, low)) => {
                out.push(high << 4 | low);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                out.push(b'=');
                rest = after.get(1..).unwrap_or_default();
            }
        }
    }
    out.extend_from_slice(rest);
}

/// Longest line of uuencode that is looked at; the format's own longest has 61.
const UUENCODE_LINE_BYTES_MAX: usize = 256;

/// Uuencode in pieces: what is between `begin` and `end`. Without a `begin` the first line that has uuencode's form begins.
#[derive(Debug, Clone, Default)]
pub struct UuencodeDecoder {
    line: Vec<u8>,
    begun: bool,
    ended: bool,
}

impl UuencodeDecoder {
    /// Decodes more.
    pub fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        for piece in octets.split_inclusive(|b| *b == b'\n') {
            let room = UUENCODE_LINE_BYTES_MAX.saturating_sub(self.line.len());
            self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
            if piece.ends_with(b"\n") {
                self.end_line(out);
            }
        }
    }

    /// The last line, which has no line end.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.end_line(out);
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        let mut line = self.line.as_slice();
        while let [head @ .., b'\r' | b'\n'] = line {
            line = head;
        }
        if !self.begun {
            let marked = line.starts_with(b"begin ");
            self.begun = marked || is_uuencode_line(line);
            if self.begun && !marked {
                uuencode_line(line, out);
            }
        } else if line.trim_ascii_end() == b"end" {
            self.ended = true;
        } else if !self.ended {
            uuencode_line(line, out);
        }
        self.line.clear();
    }
}

/// True for a line that has the length it says, which is not zero, and only uuencode's characters.
///
/// ```
/// use message::transfer::is_uuencode_line;
/// assert!(is_uuencode_line(b"#0V%T") && !is_uuencode_line(b"Hello"));
/// ```
pub fn is_uuencode_line(line: &[u8]) -> bool {
    let Some((first, digits)) = line.split_first() else { return false };
    let count = usize::from(first.wrapping_sub(b' ') & 63);
    let good = |b: &u8| (b' '..=b'`').contains(b);
    let wanted = count.div_ceil(3) * 4;
    count > 0 && good(first) && (wanted..=wanted + 1).contains(&digits.len()) && digits.iter().all(good)
}

/// One line of uuencode behind `out`: its first character says how many octets it holds; stripped blanks count as zero.
///
/// ```
/// let mut out = Vec::new();
/// message::transfer::uuencode_line(b"#0V%T", &mut out);
/// assert_eq!(out, b"Cat");
/// ```
pub fn uuencode_line(line: &[u8], out: &mut Vec<u8>) {
    let Some((first, digits)) = line.split_first() else { return };
    let count = usize::from(first.wrapping_sub(b' ') & 63);
    let end = out.len() + count;
    let six = |i: usize| u32::from(digits.get(i).copied().unwrap_or(b' ').wrapping_sub(b' ') & 63);
    for group in 0..count.div_ceil(3).min(digits.len().div_ceil(4)) {
        let at = group * 4;
        let bits = six(at) << 18 | six(at + 1) << 12 | six(at + 2) << 6 | six(at + 3);
        out.extend_from_slice(&[(bits >> 16) as u8, (bits >> 8) as u8, bits as u8]);
    }
    out.truncate(end);
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|d| d as u8)
}

/// Decodes quoted-printable whole.
pub fn quoted_printable_decode(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut decoder = QuotedPrintableDecoder::default();
    decoder.push(octets, &mut out);
    decoder.finish(&mut out);
    out
}

/// Encodes as quoted-printable: CRLF and LF stay line ends (as CRLF), every other octet comes back as it was;
/// lines of at most 76. A line that begins with `From ` or is a lone dot is escaped as well (RFC 2049 §3).
///
/// ```
/// use message::transfer::{base64_encode, quoted_printable_decode, quoted_printable_encode};
/// assert_eq!(quoted_printable_encode("ä=\n".as_bytes()), b"=C3=A4=3D\r\n");
/// assert_eq!(quoted_printable_decode(b"=C3=A4=\r\n"), "ä".as_bytes());
/// assert_eq!(base64_encode(b"hi"), b"aGk=\r\n");
/// ```
pub fn quoted_printable_encode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    let mut rest = text;
    while !rest.is_empty() {
        match memchr::memchr(b'\n', rest) {
            Some(end) => {
                let (line, after) = rest.split_at(end);
                quoted_printable_push_line(line.strip_suffix(b"\r").unwrap_or(line), &mut out);
                out.extend_from_slice(b"\r\n");
                rest = after.get(1..).unwrap_or_default();
            }
            None => {
                quoted_printable_push_line(rest, &mut out);
                rest = &[];
            }
        }
    }
    out
}

fn quoted_printable_push_line(line: &[u8], out: &mut Vec<u8>) {
    let mut column = 0;
    let special_start = line.starts_with(b"From ") || line.starts_with(b".");
    for (i, byte) in line.iter().enumerate() {
        let last = i + 1 == line.len();
        let plain = match byte {
            b' ' | b'\t' => !last,
            b'=' => false,
            other => (b'!'..=b'~').contains(other),
        } && !(i == 0 && special_start);
        let width = if plain { 1 } else { 3 };
        // The last octet of a line needs no room for a soft break.
        if column + width > if last { 76 } else { 75 } {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if plain {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("={byte:02X}").as_bytes());
        }
        column += width;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn base64_tolerates_what_is_in_the_wild() {
        assert_eq!(base64_decode(b"aGVs!!bG8g"), b"hello ");
        assert_eq!(base64_decode(b"JVBERi0"), b"%PDF-");
        assert_eq!(base64_decode(b"aGk=aGk="), b"hihi");
        assert_eq!(base64_decode(b"a"), b"");
        assert_eq!(base64_decode(b"===="), b"");
        assert_eq!(base64_encode(b"hello"), b"aGVsbG8=\r\n");
    }

    #[test]
    fn quoted_printable_known_answers() {
        assert_eq!(quoted_printable_decode(b"a=20b=\r\nc  \r\nd=3d=C3=A4 =\t\r\ne=zz="), b"a bc\r\nd=\xc3\xa4 e=zz");
        assert_eq!(quoted_printable_encode("ä =\r\n.\r\nFrom x\nend ".as_bytes()), b"=C3=A4 =3D\r\n=2E\r\n=46rom x\r\nend=20");
        assert!(quoted_printable_encode(&[b'x'; 500]).split(|b| *b == b'\n').all(|l| l.len() <= 77));
    }

    #[test]
    fn words() {
        assert_eq!(TransferEncoding::from_word(b"Base64"), TransferEncoding::Base64);
        assert_eq!(TransferEncoding::from_word(b"X-UUEncode"), TransferEncoding::Uuencode);
        assert_eq!(TransferEncoding::from_word(b"x-odd"), TransferEncoding::Other);
        assert_eq!(decode(TransferEncoding::Other, b"x"), None);
        assert_eq!(TransferEncoding::from_code(4), Some(TransferEncoding::Base64));
        assert_eq!(TransferEncoding::from_code(7), None);
    }

    #[test]
    fn uuencode_with_and_without_its_frame() {
        let framed = b"a letter\r\nbegin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\nbye\r\n#0V%T\r\n";
        assert_eq!(decode(TransferEncoding::Uuencode, framed).unwrap(), b"Cat");
        assert_eq!(decode(TransferEncoding::Uuencode, b"#0V%T\n").unwrap(), b"Cat");
        // Blanks at the end of a line are lost on the way: they count as zero.
        assert_eq!(decode(TransferEncoding::Uuencode, b"begin 644 x\n&0V%T\nend").unwrap(), b"Cat");
        assert_eq!(decode(TransferEncoding::Uuencode, b"begin 644 x\n&0V%T  \nend").unwrap(), b"Cat\0\0\0");
        assert_eq!(decoded_len(TransferEncoding::Uuencode, framed), Some(3));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn base64_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let encoded = base64_encode(&bytes);
            prop_assert!(encoded.split(|b| *b == b'\n').all(|l| l.len() <= 77));
            prop_assert_eq!(base64_decode(&encoded), bytes.clone());
            prop_assert_eq!(decoded_len(TransferEncoding::Base64, &encoded), Some(bytes.len() as u64));
        }
        #[test]
        fn quoted_printable_round_trip(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b' '), Just(b'='), Just(b'.')], 0..400)) {
            let bytes: Vec<u8> = bytes.into_iter().filter(|b| *b != b'\n').collect();
            let encoded = quoted_printable_encode(&bytes);
            prop_assert!(encoded.split(|b| *b == b'\n').all(|l| l.len() <= 77));
            prop_assert_eq!(quoted_printable_decode(&encoded), bytes);
        }
        #[test]
        fn pieces_give_what_the_whole_gives(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'='), Just(b'\n'), Just(b'A')], 0..300), size in 1usize..40) {
            for encoding in [TransferEncoding::Base64, TransferEncoding::QuotedPrintable] {
                let mut decoder = Decoder::new(encoding);
                let mut out = Vec::new();
                for chunk in bytes.chunks(size) {
                    decoder.push(chunk, &mut out);
                }
                decoder.finish(&mut out);
                prop_assert_eq!(decode(encoding, &bytes).unwrap(), out);
            }
        }
    }
}

//! Short texts packed: what the notes of messages say, which is much the same from message to message.
//!
//! Pieces are taken from what stands before them, or from a text that stands before every note ([`BEFORE`]); the other
//! octets have a code each that never changes ([`CODE`]). Packed: the plain length, the length of the steps, the steps, the
//! codes of the octets that are in no piece, one after the other. Both texts are part of the format: a change of either is
//! another version of it. A delivery waits for it, so it goes over the text once: no piece is looked for within a piece.
//! Invariant: `unpack(pack(text)) == text`; what is no packed text costs itself, and never more than
//! [`PACKED_PLAIN_BYTES_MAX`] octets of memory. Must not know: what notes say.

use crate::limits::PACKED_PLAIN_BYTES_MAX;

/// As IMAP writes envelopes and structures. What is likelier stands further behind: it is nearer.
const BEFORE: &[u8] = b"Mon, 01 Jan 2026 00:00:00 +0000\" \"Fwd: Re: [(\
((\"text\" \"html\" (\"charset\" \"us-ascii\") NIL NIL \"base64\" (\"image\" \"jpeg\" (\"name\" \"application\" \"octet-stream\" (\"name\" \"pdf\" \
(\"attachment\" (\"filename\" \"message\" \"delivery-status\" \"related\" (\"type\" \"report\" (\"signed\" (\"calendar\" \
((\"IMAGE\" \"PNG\" (\"NAME\" \"image.png\") \"JPEG\" \"APPLICATION\" \"PDF\" \"OCTET-STREAM\" \"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" \
(\"ATTACHMENT\" (\"FILENAME\" \"INLINE\" (\"<\" NIL \"8BIT\" \"BASE64\" NIL) \"RELATED\" (\"BOUNDARY\" \" NIL NIL NIL) \"MIXED\" (\"BOUNDARY\" \"\
----=_NextPart_000_ \"=_ NIL NIL NIL)((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"UTF-8\" \"FORMAT\" \"flowed\") NIL NIL \"7BIT\" \
((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"utf-8\") NIL NIL \"QUOTED-PRINTABLE\" 0 1 NIL NIL NIL NIL)(\"TEXT\" \"HTML\" (\"CHARSET\" \"utf-8\") \
NIL NIL \"QUOTED-PRINTABLE\" NIL NIL NIL NIL) \"ALTERNATIVE\" (\"BOUNDARY\" .com\" .net\" .org\" \"gmail.com\" \"outlook.com\" =?UTF-8?Q? =?UTF-8?B? \
@mail.gmail.com>\" the and for you your with this that from have \")) ((NIL NIL \" \")) ((\" \" NIL \"info\" \"noreply\" \"no-reply\" \
((NIL NIL \"\")) NIL NIL NIL \"<";

/// Octets with codes of so many bits; all others have eleven.
const CODE: [(u8, &[u8]); 8] = [
    (3, b" "),
    (4, b"ae"),
    (5, b"ilnorst"),
    (6, b"\x00\".0cdhmpu"),
    (7, b"\x01\n,12345:S`bfgkvwy"),
    (8, b"\x03()*-/6789<@IMNPRTjqx\xa9\xc3"),
    (9, b"\x02\x08\x0c#$;=>ABCDEGKLOWX_z\x9e"),
    (10, b"\x04\x05\t\x0b\r\x17'+?FHQUVYZ\x82\x89\x8a\x99\x9d\x9f\xa4\xaf\xb0\xb1\xc8\xc9\xca\xcb\xce\xcf\xf2\xf3\xf6"),
];
const BITS_MAX: u8 = 11;

/// By octet: the length of its code, and the code.
static CODES: [(u8, u16); 256] = codes();
/// By the next eleven bits: the octet whose code they begin with, and its length.
static OCTETS: [(u8, u8); 1 << BITS_MAX] = octets();

/// One octet or two, and what their codes take.
#[derive(Clone, Copy)]
struct Pair {
    octets: [u8; 2],
    many: u8,
    bits: u8,
}

/// By the next eleven bits: as many octets as they have whole codes of, at most two.
static PAIRS: [Pair; 1 << BITS_MAX] = pairs();

/// A number of these takes so many octets at most.
pub(crate) const NUMBER_BYTES_MAX: usize = 3;
const HASH_BITS: u32 = 11;
/// The shortest piece, and the shortest that is taken from further away.
const PIECE_MIN: usize = 4;
const FAR: usize = 128;
const FAR_PIECE_MIN: usize = 6;

const fn codes() -> [(u8, u16); 256] {
    let mut codes = [(BITS_MAX, 0u16); 256];
    let mut group = 0;
    while group < CODE.len() {
        let (bits, octets) = CODE[group];
        let mut at = 0;
        while at < octets.len() {
            codes[octets[at] as usize].0 = bits;
            at += 1;
        }
        group += 1;
    }
    // Codes of one length follow one another, octet by octet; longer ones follow the shorter.
    let (mut bits, mut next) = (1, 0u16);
    while bits <= BITS_MAX {
        let mut octet = 0;
        while octet < 256 {
            if codes[octet].0 == bits {
                codes[octet].1 = next;
                next += 1;
            }
            octet += 1;
        }
        next <<= 1;
        bits += 1;
    }
    codes
}

const fn octets() -> [(u8, u8); 1 << BITS_MAX] {
    let mut octets = [(0, 0); 1 << BITS_MAX];
    let mut octet = 0;
    while octet < 256 {
        let (bits, code) = CODES[octet];
        let free = BITS_MAX - bits;
        let mut rest = 0;
        while rest < 1usize << free {
            octets[((code as usize) << free) + rest] = (octet as u8, bits);
            rest += 1;
        }
        octet += 1;
    }
    octets
}

const fn pairs() -> [Pair; 1 << BITS_MAX] {
    let octets = octets();
    let mut pairs = [Pair { octets: [0; 2], many: 1, bits: 0 }; 1 << BITS_MAX];
    let mut bits = 0;
    while bits < pairs.len() {
        let (one, taken) = octets[bits];
        let (two, more) = octets[bits << taken & (octets.len() - 1)];
        pairs[bits] = match taken + more <= BITS_MAX {
            true => Pair { octets: [one, two], many: 2, bits: taken + more },
            false => Pair { octets: [one, 0], many: 1, bits: taken },
        };
        bits += 1;
    }
    pairs
}

const fn hash(four: u32) -> usize {
    (four.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

/// Where four octets were seen last, by their hash.
#[derive(Clone, Copy)]
struct Places {
    fours: [u32; 1 << HASH_BITS],
    places: [u16; 1 << HASH_BITS],
}

impl Places {
    const fn of_before() -> Places {
        let mut seen = Places { fours: [0; 1 << HASH_BITS], places: [0; 1 << HASH_BITS] };
        // No four octets were seen, nor four zeros.
        seen.fours[hash(0)] = 1;
        let mut at = 0;
        while at + PIECE_MIN <= BEFORE.len() {
            let four = four_at(BEFORE, at);
            seen.fours[hash(four)] = four;
            seen.places[hash(four)] = at as u16;
            at += 1;
        }
        seen
    }

    /// They are at `at`, too; where they were before.
    fn pass(&mut self, four: u32, at: usize) -> Option<usize> {
        let slot = hash(four);
        let before = self.places[slot] as usize;
        self.places[slot] = at as u16;
        if self.fours[slot] == four {
            return Some(before);
        }
        self.fours[slot] = four;
        None
    }
}

/// Those of the text that stands before.
static PLACES: Places = Places::of_before();

const fn four_at(all: &[u8], at: usize) -> u32 {
    all[at] as u32 | (all[at + 1] as u32) << 8 | (all[at + 2] as u32) << 16 | (all[at + 3] as u32) << 24
}

/// The octets of a text that are in no piece, by their codes.
struct Coded {
    out: Vec<u8>,
    held: u64,
    bits: u32,
}

impl Coded {
    fn put(&mut self, octets: &[u8]) {
        let mut at = 0;
        while at < octets.len() {
            let (bits, code) = CODES[octets[at] as usize];
            at += 1;
            self.held = self.held << bits | code as u64;
            self.bits += bits as u32;
            if self.bits >= 32 {
                self.bits -= 32;
                self.out.extend_from_slice(&((self.held >> self.bits) as u32).to_be_bytes());
            }
        }
    }

    fn end(mut self) -> Vec<u8> {
        let last = (self.held << (32 - self.bits)) as u32;
        self.out.extend_from_slice(last.to_be_bytes().get(..self.bits.div_ceil(8) as usize).unwrap_or_default());
        self.out
    }
}

/// So many octets by their codes, then a piece (of none: none). Lengths of fifteen and more go on behind.
fn push_step(steps: &mut Vec<u8>, alone: usize, length: usize, distance: usize) {
    let piece = if length == 0 { 0 } else { length + 1 - PIECE_MIN };
    steps.push((alone.min(15) as u8) << 4 | piece.min(15) as u8);
    if alone >= 15 {
        push_number(steps, alone - 15);
    }
    if piece >= 15 {
        push_number(steps, piece - 15);
    }
    if piece > 0 {
        push_number(steps, distance);
    }
}

fn push_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// How many octets stand at both places alike; so many do at least.
fn common(all: &[u8], there: usize, at: usize, mut length: usize) -> usize {
    let eight = |at: usize| all.get(at..)?.first_chunk().map(|octets| u64::from_le_bytes(*octets));
    while let (Some(one), Some(other)) = (eight(there + length), eight(at + length)) {
        if one != other {
            return length + ((one ^ other).trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    while at + length < all.len() && all[there + length] == all[at + length] {
        length += 1;
    }
    length
}

/// Plain loops and indexes, which are much cheaper where nothing is optimised: `there` lies before `at`, `at` in `all`.
fn steps_and_codes(text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let all: &[u8] = &[BEFORE, text].concat();
    let (mut steps, mut codes) = (Vec::with_capacity(256), Coded { out: Vec::with_capacity(512), held: 0, bits: 0 });
    let mut seen = PLACES;
    let (mut at, mut from) = (BEFORE.len(), BEFORE.len());
    // The four in front of the first, which goes out at once.
    let mut four = if text.len() < PIECE_MIN { 0 } else { four_at(all, at - 1) };
    while at + PIECE_MIN <= all.len() {
        four = four >> 8 | (all[at + 3] as u32) << 24;
        if let Some(there) = seen.pass(four, at) {
            let length = common(all, there, at, PIECE_MIN);
            if length >= FAR_PIECE_MIN || at - there < FAR {
                push_step(&mut steps, at - from, length, at - there);
                codes.put(&all[from..at]);
                at += length;
                from = at;
                // One place in it is enough to find it again.
                if at + 2 > all.len() {
                    break;
                }
                seen.pass(four_at(all, at - 2), at - 2);
                if at + 3 > all.len() {
                    break;
                }
                four = four_at(all, at - 1);
                continue;
            }
        }
        at += 1;
    }
    if from < all.len() {
        push_step(&mut steps, all.len() - from, 0, 0);
        codes.put(&all[from..]);
    }
    (steps, codes.end())
}

fn put(out: &mut Vec<u8>, length: usize, (steps, codes): (&[u8], &[u8])) {
    push_number(out, length);
    push_number(out, steps.len());
    out.extend_from_slice(steps);
    out.extend_from_slice(codes);
}

/// Puts the packed text behind `out`. False, and nothing put: it is too long for that, or would not become shorter.
pub(crate) fn pack(text: &[u8], out: &mut Vec<u8>) -> bool {
    if text.len() > PACKED_PLAIN_BYTES_MAX {
        return false;
    }
    let (steps, codes) = steps_and_codes(text);
    let is_shorter = steps.len() + codes.len() + 2 * NUMBER_BYTES_MAX < text.len();
    if is_shorter {
        put(out, text.len(), (&steps, &codes));
    }
    is_shorter
}

fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0usize;
    for shift in [0, 7, 14] {
        let (octet, behind) = rest.split_first()?;
        *rest = behind;
        number |= usize::from(octet & 0x7f) << shift;
        if *octet < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Octets by their codes.
struct Codes<'a> {
    rest: &'a [u8],
    held: u64,
    count: u32,
}

impl Codes<'_> {
    /// At least 57 bits, while there are so many.
    fn fill(&mut self) {
        if let Some((eight, _)) = self.rest.split_first_chunk::<8>() {
            let octets = (64 - self.count) / 8;
            // What is held beyond the whole octets is the beginning of what is read next.
            self.held |= u64::from_be_bytes(*eight) >> self.count;
            self.count += octets * 8;
            self.rest = self.rest.get(octets as usize..).unwrap_or_default();
            return;
        }
        while self.count <= 56
            && let Some((octet, rest)) = self.rest.split_first()
        {
            self.held |= u64::from(*octet) << (56 - self.count);
            self.count += 8;
            self.rest = rest;
        }
    }

    /// Writes so many octets at `at`. There is room for one more behind them.
    fn take(&mut self, count: usize, out: &mut [u8], mut at: usize) -> Option<()> {
        let end = at + count;
        while at < end {
            if self.count < u32::from(BITS_MAX) {
                self.fill();
            }
            let next = (self.held >> (64 - u32::from(BITS_MAX))) as usize;
            // Two at once, where their bits are there in any case.
            let (octets, many, bits) = match PAIRS[next] {
                Pair { octets, many, bits } if self.count >= u32::from(BITS_MAX) && end - at > 1 => (octets, many, bits),
                _ => ([OCTETS[next].0, 0], 1, OCTETS[next].1),
            };
            self.held <<= bits;
            self.count = self.count.checked_sub(u32::from(bits))?;
            *out.get_mut(at..)?.first_chunk_mut()? = octets;
            at += usize::from(many);
        }
        Some(())
    }
}

/// So many octets of a piece are copied at once, where that many stand before.
const WIDE: usize = 16;

/// A piece of what is in front of `at`, to `at`. Behind it is room for [`WIDE`] octets more, which are written, too.
fn copy_piece(out: &mut [u8], at: usize, length: usize, distance: usize) -> Option<()> {
    let (mut at, end) = (at, at + length);
    if let Some(before) = distance.checked_sub(at).filter(|before| *before > 0) {
        let piece = BEFORE.get(BEFORE.len().checked_sub(before)?..)?;
        let some = length.min(piece.len());
        match piece.first_chunk::<WIDE>() {
            Some(wide) if some <= WIDE => *out.get_mut(at..)?.first_chunk_mut()? = *wide,
            _ => out.get_mut(at..at + some)?.copy_from_slice(piece.get(..some)?),
        }
        at += some;
    }
    let step = if distance >= WIDE { WIDE } else { distance };
    while at < end {
        let from = at.checked_sub(distance)?;
        match step {
            0 => return None,
            WIDE => {
                let wide: [u8; WIDE] = *out.get(from..)?.first_chunk()?;
                *out.get_mut(at..)?.first_chunk_mut()? = wide;
            }
            _ => out.copy_within(from..from + step.min(end - at), at),
        }
        at += step;
    }
    Some(())
}

/// A packed text, unpacked as far as it is asked for.
pub(crate) struct Unpacker<'a> {
    length: usize,
    steps: &'a [u8],
    codes: Codes<'a>,
    /// What there is of it are the first octets, up to `end`.
    out: &'a mut Vec<u8>,
    end: usize,
}

impl<'a> Unpacker<'a> {
    /// `room` may be used again and again: what is in it does not matter.
    pub(crate) fn new(packed: &'a [u8], room: &'a mut Vec<u8>) -> Option<Unpacker<'a>> {
        let mut rest = packed;
        let length = take_number(&mut rest).filter(|length| *length <= PACKED_PLAIN_BYTES_MAX)?;
        let steps_len = take_number(&mut rest)?;
        let (steps, codes) = rest.split_at_checked(steps_len)?;
        if room.len() < length + WIDE {
            room.resize(length + WIDE, 0);
        }
        Some(Unpacker { length, steps, codes: Codes { rest: codes, held: 0, count: 0 }, out: room, end: 0 })
    }

    /// So much of its front, or more; all of it where that is less. `None`: these are not octets that `pack` gives.
    pub(crate) fn up_to(&mut self, end: usize) -> Option<&[u8]> {
        let end = end.min(self.length);
        while self.end < end {
            let (step, behind) = self.steps.split_first()?;
            self.steps = behind;
            let (mut alone, mut piece) = (usize::from(step >> 4), usize::from(step & 15));
            for long in [&mut alone, &mut piece] {
                if *long == 15 {
                    *long += take_number(&mut self.steps)?;
                }
            }
            let piece = if piece == 0 { 0 } else { piece - 1 + PIECE_MIN };
            if self.end + alone + piece > self.length || alone + piece == 0 {
                return None;
            }
            self.codes.take(alone, self.out, self.end)?;
            self.end += alone;
            if piece > 0 {
                copy_piece(self.out, self.end, piece, take_number(&mut self.steps)?)?;
                self.end += piece;
            }
        }
        self.out.get(..self.end)
    }

    /// What is unpacked so far.
    pub(crate) fn unpacked(self) -> &'a [u8] {
        self.out.get(..self.end).unwrap_or_default()
    }
}

/// `None`: these are not octets that `pack` gives.
pub(crate) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut unpacker = Unpacker::new(packed, &mut out)?;
    unpacker.up_to(usize::MAX)?;
    let Unpacker { length, steps, codes, .. } = unpacker;
    let is_all = steps.is_empty() && codes.rest.is_empty() && codes.count < 8;
    out.truncate(length);
    is_all.then_some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use ::message::Facts;
    use proptest::prelude::*;

    /// Also where it is no shorter.
    fn packed(text: &[u8]) -> Vec<u8> {
        let ((steps, codes), mut out) = (steps_and_codes(text), Vec::new());
        put(&mut out, text.len(), (&steps, &codes));
        out
    }

    #[test]
    fn every_octet_has_a_code_and_no_code_is_left_over() {
        let used: u32 = CODES.iter().map(|(bits, _)| 1 << (BITS_MAX - bits)).sum();
        assert_eq!(used, 1 << BITS_MAX);
        assert!(OCTETS.iter().all(|(_, bits)| *bits > 0));
        assert_eq!(CODE.iter().map(|(_, octets)| octets.len()).sum::<usize>(), 118, "each once");
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(unpack(&packed(&all)).unwrap(), all);
        assert!(!pack(&all, &mut Vec::new()), "it is longer packed");
    }

    /// What an older release packed is read for ever: neither text nor codes may change.
    #[test]
    fn what_was_packed_once_is_read() {
        let packed = "69137680081f0080085147446f110ab38d010f0a20c57ecceaa42ac8694adfdf2944fc86c381c6d73e";
        let packed: Vec<u8> =
            (0..packed.len()).step_by(2).map(|at| u8::from_str_radix(&packed[at..at + 2], 16).unwrap()).collect();
        let text = "(\"Sun, 1 Jan 2023 00:00:00 +0000\" \"hello\" ((\"Ann\" NIL \"ann\" \"here.test\")) ((\"Ann\" NIL \"ann\" \"here.test\"))";
        assert_eq!(unpack(&packed).unwrap(), text.as_bytes());
        let codes: Vec<u8> = CODES.iter().flat_map(|(bits, code)| [*bits, *code as u8, (code >> 8) as u8]).collect();
        assert_eq!(
            (crate::hash::xxh64(BEFORE, 0), crate::hash::xxh64(&codes, 0)),
            (13_838_441_108_104_478_476, 7_022_510_625_692_444_165)
        );
    }

    #[test]
    fn a_note_takes_less_than_half() {
        let text = b"From: Ann Smith <ann@here.test>\r\nTo: Bob <bob@there.test>\r\nSubject: The boat of next week\r\nDate: Sun, 1 Jan 2023 00:00:00 +0000\r\n\
            Message-ID: <1@here.test>\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n\
            --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hello\r\n--b--\r\n";
        let plain = Facts::compute(text).encode();
        let mut out = b"before".to_vec();
        assert!(pack(&plain, &mut out));
        let packed = out.strip_prefix(b"before").unwrap();
        assert!(packed.len() * 2 < plain.len(), "{} of {}", packed.len(), plain.len());
        assert_eq!(unpack(packed).unwrap(), plain);
    }

    #[test]
    fn short_texts_and_short_ends() {
        for length in 0..9 {
            for text in [vec![b' '; length], b"(NIL \"x\""[..length].to_vec(), [BEFORE, &vec![b'~'; length]].concat()] {
                assert_eq!(unpack(&packed(&text)).unwrap(), text);
            }
        }
    }

    #[test]
    fn as_long_as_may_be_and_one_more() {
        let mut text = vec![b' '; PACKED_PLAIN_BYTES_MAX];
        let mut out = Vec::new();
        assert!(pack(&text, &mut out));
        assert_eq!(unpack(&out).unwrap(), text);
        text.push(b' ');
        assert!(!pack(&text, &mut out));
        let mut long = Vec::new();
        push_number(&mut long, PACKED_PLAIN_BYTES_MAX + 1);
        long.extend_from_slice(&[0, 0]);
        assert_eq!(unpack(&long), None);
    }

    #[test]
    fn no_more_is_unpacked_than_is_asked_for() {
        let text: Vec<u8> = (0..200u32).flat_map(|number| format!("{number} and ").into_bytes()).collect();
        let packed = packed(&text);
        let mut room = vec![7; 30];
        let mut unpacker = Unpacker::new(&packed, &mut room).unwrap();
        let seen = unpacker.up_to(100).unwrap().to_vec();
        assert!((100..200).contains(&seen.len()), "{}", seen.len());
        assert!(text.starts_with(&seen));
        assert_eq!(unpacker.up_to(50).unwrap(), seen);
        assert_eq!(unpacker.up_to(usize::MAX).unwrap(), text);
    }

    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            (0..BEFORE.len(), 0usize..60).prop_map(|(at, len)| BEFORE[at..BEFORE.len().min(at + len)].to_vec()),
            proptest::collection::vec(any::<u8>(), 0..40),
            (any::<u8>(), 0usize..600).prop_map(|(octet, len)| vec![octet; len]),
            "[a-z \"()]{0,80}".prop_map(String::into_bytes),
        ];
        // Some of them again.
        (proptest::collection::vec(piece, 0..12), proptest::collection::vec(0usize..12, 0..12)).prop_map(|(pieces, again)| {
            let again = again.iter().filter_map(|number| pieces.get(*number)).flatten();
            pieces.iter().flatten().chain(again).copied().collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn both_ways(text in texts(), other in texts(), first in 0usize..5000) {
            let packed = packed(&text);
            prop_assert_eq!(unpack(&packed).unwrap(), text.as_slice());
            // As left by another.
            let mut room = unpack(&super::tests::packed(&other)).unwrap();
            let mut unpacker = Unpacker::new(&packed, &mut room).unwrap();
            let front = unpacker.up_to(first).unwrap();
            prop_assert!(front.len() >= first.min(text.len()) && text.starts_with(front));
            prop_assert_eq!(unpacker.up_to(usize::MAX).unwrap(), text.as_slice());
        }

        #[test]
        fn nothing_makes_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..200), text in texts(), at in any::<usize>(), bit in 0u8..8) {
            let _ = unpack(&octets);
            let mut damaged = packed(&text);
            let at = at % damaged.len();
            damaged[at] ^= 1 << bit;
            let _ = unpack(&damaged);
            let _ = unpack(&damaged[..at]);
        }
    }
}

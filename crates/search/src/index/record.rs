//! What an index keeps of one message: its words, its address fields and subject as searched, and what it is sorted and threaded by.
//!
//! Invariant: made by the same functions that answer without an index. Must not know: files.

use super::bits::{number, push_number, take};
use super::terms::Terms;
use message::Facts;
use message::search::{Needle, fold, header_texts};
use message::sort_keys::SortKeys;

/// The fields whose texts are kept, in this order.
pub(crate) const FIELDS: [&str; 5] = ["subject", "from", "to", "cc", "bcc"];
/// Columns of [`SortKeys`], in this order: subject, from, to, cc, display_from, display_to.
pub(crate) const ORDERS: usize = 6;
/// Stands for a text that must be read: too long, or never seen.
pub(crate) const UNKNOWN: &[u8] = &[0xff];
/// Between two fields of one name.
pub(crate) const BETWEEN: char = '\0';
/// Longer texts are not kept, octets.
const TEXT_BYTES_MAX: usize = 2048;

/// Of each of [`FIELDS`] the text that is searched; none: there is no such field.
pub(crate) type Fields = [Option<Box<[u8]>>; FIELDS.len()];

/// One message.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) email: u64,
    /// Its words are not known (or too many): it may have any.
    pub(crate) is_wild: bool,
    /// Some of its words stand in attachments only.
    pub(crate) is_mixed: bool,
    pub(crate) fields: Fields,
    pub(crate) numbers: Numbers,
    pub(crate) orders: [Option<Box<[u8]>>; ORDERS],
}

/// What is no text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Numbers {
    /// False: nothing of this is known, nor of `orders`.
    pub(crate) is_known: bool,
    pub(crate) has_attachment: bool,
    pub(crate) is_reply: bool,
    pub(crate) date_days: Option<i64>,
    pub(crate) date_secs: Option<i64>,
    pub(crate) message_key: Option<u64>,
    pub(crate) reference_keys: Vec<u64>,
}

impl Record {
    /// Of which nothing is known: everything must be read.
    pub(crate) fn unknown(email: u64) -> Record {
        let fields = std::array::from_fn(|_| Some(UNKNOWN.into()));
        Record { email, is_wild: true, is_mixed: false, fields, numbers: Numbers::default(), orders: Default::default() }
    }

    /// Of a message; its words go to `terms`.
    pub(crate) fn of(email: u64, octets: &[u8], facts: &Facts, terms: &mut Terms) -> Record {
        let message = message::parse(octets);
        let mut is_wild = false;
        message::search::each_text(&message, |text| {
            is_wild = is_wild || !terms.take(&fold(text));
        });
        let own_words = terms.words.len();
        crate::attachment_text::each(&message, |text| {
            is_wild = is_wild || !terms.take(&fold(text));
            !is_wild
        });
        let is_mixed = terms.words.len() > own_words;
        if is_wild {
            *terms = Terms::default();
        }
        let header = octets.get(..message::header::header_end(octets)).unwrap_or(octets);
        let mut record = Record { is_wild, is_mixed, fields: fields_of(header), ..Record::unknown(email) };
        record.take_facts(facts);
        record
    }

    fn take_facts(&mut self, facts: &Facts) {
        let keys = SortKeys::of(facts);
        let texts = [&keys.subject, &keys.from, &keys.to, &keys.cc, &keys.display_from, &keys.display_to];
        if texts.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
            return;
        }
        self.orders = texts.map(|text| (!text.is_empty()).then(|| text.as_bytes().into()));
        self.numbers = Numbers::of(facts, keys.is_reply);
    }
}

/// Of a header section.
pub(crate) fn fields_of(header: &[u8]) -> Fields {
    FIELDS.map(|name| field(header, name))
}

/// Which of [`FIELDS`] tells whether a field of that name has the needle.
pub(crate) fn place_of(name: &str, needle: &Needle) -> Option<usize> {
    let at = FIELDS.iter().position(|field| name.eq_ignore_ascii_case(field))?;
    (!needle.text().contains(BETWEEN)).then_some(at)
}

/// Whether the field's text has the needle; `None`: it must be read.
pub(crate) fn field_has(text: Option<&[u8]>, needle: &Needle) -> Option<bool> {
    match text {
        None => Some(false),
        Some(UNKNOWN) => None,
        Some(text) => Some(needle.is_in_folded(text)),
    }
}

fn field(header: &[u8], name: &str) -> Option<Box<[u8]>> {
    let texts: Vec<String> = header_texts(header, name).iter().map(|text| fold(text)).collect();
    let all = texts.join("\0");
    // What stands between must stand between only.
    let is_plain = all.len() <= TEXT_BYTES_MAX && all.matches(BETWEEN).count() + 1 == texts.len();
    match (texts.is_empty(), is_plain) {
        (true, _) => None,
        (false, true) => Some(all.into_bytes().into()),
        (false, false) => Some(UNKNOWN.into()),
    }
}

impl Numbers {
    pub(crate) fn of(facts: &Facts, is_reply: bool) -> Numbers {
        Numbers {
            is_known: true,
            has_attachment: facts.has_attachment,
            is_reply,
            date_days: facts.date_days,
            date_secs: facts.date_secs,
            message_key: facts.message_key,
            reference_keys: facts.reference_keys.clone(),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let bits = [
            self.is_known,
            self.has_attachment,
            self.is_reply,
            self.date_days.is_some(),
            self.date_secs.is_some(),
            self.message_key.is_some(),
        ];
        out.push(bits.iter().rev().fold(0, |flags, bit| flags << 1 | u8::from(*bit)));
        for number in [self.date_days, self.date_secs].into_iter().flatten() {
            push_number(((number << 1) ^ (number >> 63)).cast_unsigned(), out);
        }
        push_number(self.reference_keys.len() as u64, out);
        for key in self.message_key.iter().chain(&self.reference_keys) {
            out.extend(key.to_le_bytes());
        }
    }

    pub(crate) fn decode(rest: &mut &[u8]) -> Option<Numbers> {
        let flags = *take(rest, 1)?.first()?;
        let has = |bit: u8| flags >> bit & 1 == 1;
        let signed = |rest: &mut &[u8]| number(rest).map(|n| (n >> 1).cast_signed() ^ -(n & 1).cast_signed());
        let date_days = if has(3) { Some(signed(rest)?) } else { None };
        let date_secs = if has(4) { Some(signed(rest)?) } else { None };
        let count = usize::try_from(number(rest)?).ok()?;
        let key = |rest: &mut &[u8]| take(rest, 8)?.first_chunk::<8>().map(|octets| u64::from_le_bytes(*octets));
        let message_key = if has(5) { Some(key(rest)?) } else { None };
        let keys = take(rest, count.checked_mul(8)?)?;
        let reference_keys = keys.as_chunks::<8>().0.iter().map(|octets| u64::from_le_bytes(*octets)).collect();
        Some(Numbers {
            is_known: has(0),
            has_attachment: has(1),
            is_reply: has(2),
            date_days,
            date_secs,
            message_key,
            reference_keys,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let some = Numbers {
            is_known: true,
            has_attachment: false,
            is_reply: true,
            date_days: Some(-3),
            date_secs: Some(i64::MAX),
            message_key: Some(7),
            reference_keys: vec![1, u64::MAX],
        };
        let mut out = Vec::new();
        some.encode(&mut out);
        Numbers::default().encode(&mut out);
        let mut rest = &out[..];
        assert_eq!((Numbers::decode(&mut rest), Numbers::decode(&mut rest)), (Some(some), Some(Numbers::default())));
        assert!(rest.is_empty() && Numbers::decode(&mut rest).is_none());
    }

    #[test]
    fn fields_as_they_are_searched() {
        let header = b"To: \xff\r\nTo: =?utf-8?Q?=C3=84NNE?= <A@x>\r\nSubject: \r\nCc: a\0b\r\n\r\n";
        assert!(field(header, "to").is_some_and(|to| to.ends_with("\0A\u{308}NNE <A@X>".as_bytes())));
        assert_eq!(field(header, "subject").as_deref(), Some(&b""[..]));
        assert_eq!(field(header, "cc").as_deref(), Some(UNKNOWN));
        assert_eq!(field(header, "bcc"), None);
    }
}

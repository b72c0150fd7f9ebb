//! Objects of a PDF (ISO 32000-1 §7.3): numbers, strings, names, arrays, dictionaries, references, and where streams begin.
//!
//! Tolerant: what makes no sense is passed over. Invariant: nesting and size are bounded; every object costs a step.

use super::Budget;

const DEPTH_MAX: usize = 32;
const ITEMS_MAX: usize = 100_000;

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Object {
    Null,
    Number(f64),
    Text(Vec<u8>),
    Name(String),
    Array(Vec<Object>),
    Dictionary(Vec<(String, Object)>),
    Reference(u32),
    /// Its dictionary, and where its octets begin in the file.
    Stream(Vec<(String, Object)>, usize),
    /// An operator of a content stream, or what nobody knows.
    Word(String),
}

impl Object {
    /// An entry of a dictionary or of a stream's.
    pub(super) fn get(&self, name: &str) -> Option<&Object> {
        match self {
            Object::Dictionary(entries) | Object::Stream(entries, _) => {
                entries.iter().rev().find(|(known, _)| known == name).map(|(_, object)| object)
            }
            _ => None,
        }
    }

    pub(super) fn is_name(&self, name: &str) -> bool {
        matches!(self, Object::Name(own) if own == name)
    }

    pub(super) fn name(&self) -> Option<&str> {
        if let Object::Name(name) = self { Some(name) } else { None }
    }

    pub(super) fn number(&self) -> Option<f64> {
        if let Object::Number(number) = self { Some(*number) } else { None }
    }

    /// A whole number that is not negative.
    pub(super) fn index(&self) -> Option<usize> {
        let number = self.number().filter(|number| (0.0..=4_294_967_295.0).contains(number))?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "just looked at")]
        Some(number as usize)
    }
}

/// Reads objects one after the other.
pub(super) struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

fn is_delimiter(octet: u8) -> bool {
    matches!(octet, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%')
}

fn is_white(octet: u8) -> bool {
    matches!(octet, 0 | b'\t' | b'\n' | 12 | b'\r' | b' ')
}

impl<'a> Reader<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Reader<'a> {
        Reader { octets, at: 0 }
    }

    pub(super) fn at(octets: &'a [u8], at: usize) -> Reader<'a> {
        Reader { octets, at }
    }

    /// The next; `None` at the end of the octets or of the budget.
    pub(super) fn object(&mut self, budget: &mut Budget) -> Option<Object> {
        let mut items = 0;
        self.nested(budget, 0, &mut items)
    }

    fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    fn skip_white(&mut self) {
        while let Some(octet) = self.peek() {
            if octet == b'%' {
                let rest = self.octets.get(self.at..).unwrap_or_default();
                self.at += memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            } else if is_white(octet) {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    fn nested(&mut self, budget: &mut Budget, depth: usize, items: &mut usize) -> Option<Object> {
        budget.step()?;
        *items += 1;
        if depth > DEPTH_MAX || *items > ITEMS_MAX {
            return None;
        }
        let start = self.at;
        self.skip_white();
        let object = self.one(budget, depth, items);
        // Whatever is long is paid for by its length.
        budget.octets(self.at - start)?;
        object
    }

    fn one(&mut self, budget: &mut Budget, depth: usize, items: &mut usize) -> Option<Object> {
        match self.peek()? {
            b'(' => Some(Object::Text(self.literal_string())),
            b'/' => Some(Object::Name(self.name())),
            b'[' => {
                self.at += 1;
                Some(Object::Array(self.items(budget, depth, items, b"]")?))
            }
            b'<' if self.octets.get(self.at + 1) == Some(&b'<') => {
                self.at += 2;
                self.dictionary(budget, depth, items)
            }
            b'<' => Some(Object::Text(self.hex_string())),
            b']' | b'>' | b')' | b'{' | b'}' => {
                self.at += 1;
                Some(Object::Null)
            }
            _ => Some(self.word(budget)),
        }
    }

    /// Up to the end mark.
    fn items(&mut self, budget: &mut Budget, depth: usize, items: &mut usize, end: &[u8]) -> Option<Vec<Object>> {
        let mut found = Vec::new();
        loop {
            self.skip_white();
            let rest = self.octets.get(self.at..).filter(|rest| !rest.is_empty());
            let Some(rest) = rest else { return Some(found) };
            if rest.starts_with(end) {
                self.at += end.len();
                return Some(found);
            }
            found.push(self.nested(budget, depth + 1, items)?);
        }
    }

    fn dictionary(&mut self, budget: &mut Budget, depth: usize, items: &mut usize) -> Option<Object> {
        let mut all = self.items(budget, depth, items, b">>")?.into_iter();
        let mut entries = Vec::new();
        while let Some(key) = all.next() {
            if let (Object::Name(name), Some(value)) = (key, all.next()) {
                entries.push((name, value));
            }
        }
        let before = self.at;
        self.skip_white();
        if depth == 0 && self.octets.get(self.at..).is_some_and(|rest| rest.starts_with(b"stream")) {
            let mut start = self.at + 6;
            if self.octets.get(start) == Some(&b'\r') {
                start += 1;
            }
            if self.octets.get(start) == Some(&b'\n') {
                start += 1;
            }
            return Some(Object::Stream(entries, start));
        }
        self.at = before;
        Some(Object::Dictionary(entries))
    }

    fn token(&mut self) -> &'a [u8] {
        let rest = self.octets.get(self.at..).unwrap_or_default();
        let len = rest.iter().take_while(|octet| !is_white(**octet) && !is_delimiter(**octet)).count();
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    /// A number, a reference (`12 0 R`), a word.
    fn word(&mut self, budget: &mut Budget) -> Object {
        let token = self.token();
        let text = String::from_utf8_lossy(token);
        let Ok(number) = text.parse::<f64>() else {
            return if text == "null" { Object::Null } else { Object::Word(text.into_owned()) };
        };
        if !token.iter().all(u8::is_ascii_digit) {
            return Object::Number(if number.is_finite() { number } else { 0.0 });
        }
        let back = self.at;
        self.skip_white();
        let generation = self.token();
        if !generation.is_empty() && generation.len() < 6 && generation.iter().all(u8::is_ascii_digit) && budget.step().is_some()
        {
            self.skip_white();
            if let (b"R", Ok(number)) = (self.token(), text.parse()) {
                return Object::Reference(number);
            }
        }
        self.at = back;
        Object::Number(number)
    }

    fn name(&mut self) -> String {
        self.at += 1;
        let token = self.token();
        let mut octets = Vec::with_capacity(token.len());
        let mut rest = token.iter();
        while let Some(octet) = rest.next() {
            let mut ahead = rest.clone();
            let digits = (*octet == b'#').then(|| (ahead.next().copied().and_then(digit), ahead.next().copied().and_then(digit)));
            match digits {
                Some((Some(high), Some(low))) => {
                    octets.push(high * 16 + low);
                    rest = ahead;
                }
                _ => octets.push(*octet),
            }
        }
        String::from_utf8_lossy(&octets).into_owned()
    }

    /// `(...)`, with its escapes; parentheses within are balanced.
    fn literal_string(&mut self) -> Vec<u8> {
        self.at += 1;
        let (mut octets, mut depth) = (Vec::new(), 1usize);
        while let Some(octet) = self.peek() {
            self.at += 1;
            match octet {
                b'(' => depth += 1,
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                b'\\' => {
                    self.escape(&mut octets);
                    continue;
                }
                _ => {}
            }
            octets.push(octet);
        }
        octets
    }

    fn escape(&mut self, octets: &mut Vec<u8>) {
        let Some(octet) = self.peek() else { return };
        self.at += 1;
        match octet {
            b'n' => octets.push(b'\n'),
            b'r' => octets.push(b'\r'),
            b't' => octets.push(b'\t'),
            b'b' => octets.push(8),
            b'f' => octets.push(12),
            b'\r' if self.peek() == Some(b'\n') => self.at += 1,
            b'\r' | b'\n' => {}
            b'0'..=b'7' => {
                let mut code = u32::from(octet - b'0');
                for _ in 0..2 {
                    let Some(next) = self.peek().filter(|next| (b'0'..=b'7').contains(next)) else { break };
                    code = code * 8 + u32::from(next - b'0');
                    self.at += 1;
                }
                octets.push((code & 0xff) as u8);
            }
            other => octets.push(other),
        }
    }

    /// `<48 65 6c>`
    fn hex_string(&mut self) -> Vec<u8> {
        self.at += 1;
        let rest = self.octets.get(self.at..).unwrap_or_default();
        let len = memchr::memchr(b'>', rest).unwrap_or(rest.len());
        self.at += (len + 1).min(rest.len());
        let digits: Vec<u8> = rest.get(..len).unwrap_or_default().iter().filter_map(|octet| digit(*octet)).collect();
        digits.chunks(2).map(|pair| pair.first().copied().unwrap_or(0) * 16 + pair.get(1).copied().unwrap_or(0)).collect()
    }

    /// Past the data of an inline picture: up to its `EI`.
    pub(super) fn skip_picture(&mut self) {
        let rest = self.octets.get(self.at..).unwrap_or_default();
        let ends = |at: &usize| {
            let before = at.checked_sub(1).and_then(|before| rest.get(before)).is_none_or(|octet| is_white(*octet));
            before && rest.get(at + 2).is_none_or(|octet| is_white(*octet))
        };
        self.at += memchr::memmem::find_iter(rest, b"EI").find(ends).map_or(rest.len(), |at| at + 2);
    }
}

fn digit(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

//! Filters of PDF streams (ISO 32000-1 §7.4): deflate, ASCII85 and hexadecimal; others give nothing.
//!
//! Invariant: what comes out is paid for before it is kept.

use super::Budget;
use super::object::Object;
use std::io::Read;

const FILTERS_MAX: usize = 4;

/// Without these filters; `None` when the budget is at its end.
pub(super) fn unpack(raw: &[u8], filters: &[Object], budget: &mut Budget) -> Option<Vec<u8>> {
    let mut octets = None;
    for filter in filters.iter().take(FILTERS_MAX) {
        budget.step()?;
        let input = octets.as_deref().unwrap_or(raw);
        octets = Some(match filter.name() {
            Some("FlateDecode" | "Fl") => inflate(input, budget)?,
            Some("ASCII85Decode" | "A85") => ascii85(input, budget)?,
            Some("ASCIIHexDecode" | "AHx") => hex(input, budget)?,
            _ => return Some(Vec::new()),
        });
    }
    match octets {
        Some(octets) => Some(octets),
        None => {
            budget.unpacked = budget.unpacked.checked_sub(raw.len())?;
            Some(raw.to_vec())
        }
    }
}

/// What was unpacked before an error is taken.
fn inflate(input: &[u8], budget: &mut Budget) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let most = budget.unpacked as u64;
    let _ = flate2::read::ZlibDecoder::new(input).take(most).read_to_end(&mut octets);
    budget.unpacked = budget.unpacked.checked_sub(octets.len()).filter(|left| *left > 0)?;
    Some(octets)
}

fn ascii85(input: &[u8], budget: &mut Budget) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(input.len());
    let (mut group, mut count) = (0u32, 0u8);
    for octet in input {
        match octet {
            b'z' if count == 0 => octets.extend_from_slice(&[0; 4]),
            b'!'..=b'u' => {
                group = group.wrapping_mul(85).wrapping_add(u32::from(octet - b'!'));
                count += 1;
                if count == 5 {
                    octets.extend_from_slice(&group.to_be_bytes());
                    (group, count) = (0, 0);
                }
            }
            b'~' => break,
            _ => {}
        }
    }
    if count > 1 {
        for _ in count..5 {
            group = group.wrapping_mul(85).wrapping_add(84);
        }
        octets.extend(group.to_be_bytes().iter().take(usize::from(count) - 1));
    }
    budget.unpacked = budget.unpacked.checked_sub(octets.len())?;
    Some(octets)
}

fn hex(input: &[u8], budget: &mut Budget) -> Option<Vec<u8>> {
    budget.unpacked = budget.unpacked.checked_sub(input.len() / 2)?;
    let digits: Vec<u8> = input
        .iter()
        .take_while(|octet| **octet != b'>')
        .filter_map(|octet| char::from(*octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    Some(digits.chunks(2).map(|pair| pair.first().copied().unwrap_or(0) * 16 + pair.get(1).copied().unwrap_or(0)).collect())
}

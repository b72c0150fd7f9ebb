//! XXH64, the checksum on every value, record and 64-KiB piece of a body.
//!
//! It finds flipped bits and torn writes at memory speed; it is no defence against an adversary and is never used as one.

const P1: u64 = 0x9E37_79B1_85EB_CA87;
const P2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const P3: u64 = 0x1656_67B1_9E37_79F9;
const P4: u64 = 0x85EB_CA77_C2B2_AE63;
const P5: u64 = 0x27D4_EB2F_1656_67C5;

fn round(lane: u64, input: u64) -> u64 {
    lane.wrapping_add(input.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1)
}

fn merge(sum: u64, lane: u64) -> u64 {
    (sum ^ round(0, lane)).wrapping_mul(P1).wrapping_add(P4)
}

fn word(bytes: &[u8]) -> u64 {
    let mut octets = [0u8; 8];
    octets.copy_from_slice(bytes);
    u64::from_le_bytes(octets)
}

fn stripes(data: &[u8], seed: u64) -> (u64, &[u8]) {
    let (mut a, mut b) = (seed.wrapping_add(P1).wrapping_add(P2), seed.wrapping_add(P2));
    let (mut c, mut d) = (seed, seed.wrapping_sub(P1));
    let mut blocks = data.chunks_exact(32);
    for block in &mut blocks {
        a = round(a, word(&block[0..8]));
        b = round(b, word(&block[8..16]));
        c = round(c, word(&block[16..24]));
        d = round(d, word(&block[24..32]));
    }
    let sum = a.rotate_left(1).wrapping_add(b.rotate_left(7)).wrapping_add(c.rotate_left(12)).wrapping_add(d.rotate_left(18));
    (merge(merge(merge(merge(sum, a), b), c), d), blocks.remainder())
}

/// XXH64 of `data`.
pub(crate) fn xxh64(data: &[u8], seed: u64) -> u64 {
    let (mut sum, rest) = if data.len() >= 32 { stripes(data, seed) } else { (seed.wrapping_add(P5), data) };
    sum = sum.wrapping_add(data.len() as u64);
    let mut words = rest.chunks_exact(8);
    for chunk in &mut words {
        sum = (sum ^ round(0, word(chunk))).rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
    }
    let mut tail = words.remainder();
    if let Some((half, last)) = tail.split_first_chunk::<4>() {
        sum = (sum ^ u64::from(u32::from_le_bytes(*half)).wrapping_mul(P1)).rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
        tail = last;
    }
    for byte in tail {
        sum = (sum ^ u64::from(*byte).wrapping_mul(P5)).rotate_left(11).wrapping_mul(P1);
    }
    sum ^= sum >> 33;
    sum = sum.wrapping_mul(P2);
    sum ^= sum >> 29;
    sum = sum.wrapping_mul(P3);
    sum ^ (sum >> 32)
}

#[cfg(test)]
mod tests {
    use super::xxh64;

    // From the reference implementation's published examples.
    #[test]
    fn known_answers() {
        assert_eq!(xxh64(b"", 0), 0xEF46_DB37_51D8_E999);
        assert_eq!(xxh64(b"a", 0), 0xD24E_C4F1_A98C_6E5B);
        assert_eq!(xxh64(b"abc", 0), 0x44BC_2CF5_AD77_0999);
        assert_eq!(xxh64(b"Nobody inspects the spammish repetition", 0), 0xFBCE_A83C_8A37_8BF1);
    }

    #[test]
    fn every_bit_counts() {
        let data: Vec<u8> = (0..100u8).collect();
        let whole = xxh64(&data, 7);
        for position in 0..data.len() * 8 {
            let mut flipped = data.clone();
            flipped[position / 8] ^= 1 << (position % 8);
            assert_ne!(xxh64(&flipped, 7), whole);
        }
    }
}

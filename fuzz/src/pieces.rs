//! Cuts input into pieces, the sizes chosen by a number: the same number, the same cuts.

use wire::laws::Random;

/// The pieces of `input`; `seed` 0 is all in one, 1 is octet by octet.
pub(crate) fn pieces(input: &[u8], seed: u8) -> Vec<&[u8]> {
    match seed {
        0 => return vec![input],
        1 => return input.chunks(1).collect(),
        _ => {}
    }
    let mut random = Random(u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let size_max = 1 + random.below(40);
    let mut rest = input;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((1 + random.below(size_max)).min(rest.len()));
        out.push(piece);
        rest = after;
    }
    out
}

/// The lines of `input`, each with its LF.
pub(crate) fn lines(input: &[u8]) -> Vec<&[u8]> {
    input.split_inclusive(|octet| *octet == b'\n').collect()
}

/// Takes `N` octets off the front; missing ones are 0.
pub(crate) fn take<const N: usize>(data: &[u8]) -> ([u8; N], &[u8]) {
    let mut head = [0; N];
    let len = data.len().min(N);
    head[..len].copy_from_slice(&data[..len]);
    (head, &data[len..])
}

//! A picture made in code: a paper boat on the sea, as a valid PNG (ISO/IEC 15948) with a palette.
//!
//! The pixels are packed with stored deflate blocks in a zlib stream: no compressor is needed for 12 kB.

const WIDTH: usize = 160;
const HEIGHT: usize = 100;
/// Sky from top to horizon (8), sun, sea (4), paper, fold, hull.
const PALETTE: [[u8; 3]; 16] = [
    [92, 148, 214],
    [110, 162, 222],
    [128, 176, 229],
    [147, 190, 235],
    [167, 204, 240],
    [188, 217, 245],
    [210, 230, 249],
    [230, 241, 252],
    [255, 214, 102],
    [34, 92, 138],
    [40, 104, 150],
    [48, 118, 164],
    [60, 134, 180],
    [255, 255, 255],
    [214, 222, 232],
    [196, 62, 52],
];

/// The picture's octets.
pub(super) fn png() -> Vec<u8> {
    let mut rows = Vec::with_capacity(HEIGHT * (WIDTH + 1));
    for y in 0..HEIGHT {
        // Filter type 0: the octets are the pixels.
        rows.push(0);
        rows.extend((0..WIDTH).map(|x| pixel(x as i32, y as i32)));
    }
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend((WIDTH as u32).to_be_bytes());
    header.extend((HEIGHT as u32).to_be_bytes());
    // Depth 8, palette, deflate, adaptive filters, no interlace.
    header.extend([8, 3, 0, 0, 0]);
    chunk(&mut out, b"IHDR", &header);
    chunk(&mut out, b"PLTE", &PALETTE.concat());
    chunk(&mut out, b"IDAT", &zlib_stored(&rows));
    chunk(&mut out, b"IEND", b"");
    out
}

/// Index in the palette.
fn pixel(x: i32, y: i32) -> u8 {
    const HORIZON: i32 = 62;
    let sun = (x - 126).pow(2) + (y - 24).pow(2) < 121;
    // Sails: two triangles that meet at the mast; hull: a trapezium.
    let left_sail = (22..60).contains(&y) && (80 - (y - 22)..80).contains(&x);
    let right_sail = (34..60).contains(&y) && (82..82 + (y - 34)).contains(&x);
    let hull = (62..78).contains(&y) && (36 + (y - 62)..124 - (y - 62)).contains(&x);
    let wave = (y - HORIZON) / 7 + i32::from((x + 3 * y) % 24 < 12);
    match (hull, left_sail, right_sail, y < HORIZON, sun) {
        (true, ..) if y < 65 => 15,
        (true, ..) => 13,
        (_, true, ..) => 13,
        (_, _, true, ..) => 14,
        (.., true, true) => 8,
        (.., true, false) => u8::try_from((y / 8).clamp(0, 7)).unwrap_or(7),
        _ => u8::try_from((12 - wave).clamp(9, 12)).unwrap_or(9),
    }
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let begin = out.len();
    out.extend(kind);
    out.extend(data);
    let sum = crc32(out.get(begin..).unwrap_or_default());
    out.extend(sum.to_be_bytes());
}

/// The CRC of PNG chunks, bit by bit: a picture of this size needs no table.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, octet| {
        (0..8).fold(sum ^ u32::from(*octet), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 })
    })
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), octet| {
        let a = (a + u32::from(*octet)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

fn zlib_stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(0xFFFF).peekable();
    while let Some(block) = blocks.next() {
        out.push(u8::from(blocks.peek().is_none()));
        let length = block.len() as u16;
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    out.extend(adler32(bytes).to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_the_published_ones() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
    }

    #[test]
    fn the_picture_is_whole() {
        let png = png();
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"));
        assert!(png.ends_with(b"\0\0\0\0IEND\xae\x42\x60\x82"));
        assert!(png.len() < 20_000);
    }

    #[test]
    fn a_stream_longer_than_a_block_is_cut() {
        let out = zlib_stored(&vec![7; 70_000]);
        assert_eq!(out.get(..7), Some(&[0x78, 0x01, 0, 0xFF, 0xFF, 0, 0][..]));
        assert_eq!(out.len(), 2 + 5 + 65_535 + 5 + 4_465 + 4);
    }
}

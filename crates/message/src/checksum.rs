//! The two checksums of the old file encodings: CRC-32 (yEnc, compressed RTF) and CRC-16 (BinHex).
//!
//! Against accidents only; nothing here keeps an attacker out.

const fn crc32_table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

const fn crc16_table() -> [u16; 256] {
    let mut table = [0u16; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

static CRC32: [u32; 256] = crc32_table();
static CRC16: [u16; 256] = crc16_table();

/// CRC-32 of ISO 3309, as zip, gzip and yEnc have it.
///
/// ```
/// assert_eq!(message::checksum::crc32(b"123456789"), 0xcbf4_3926);
/// ```
pub fn crc32(octets: &[u8]) -> u32 {
    !crc32_raw(!0, octets)
}

/// The same register without inversion at either end, as MS-OXRTFCP §3.1.3.2 has it with a start of 0.
pub(crate) fn crc32_raw(start: u32, octets: &[u8]) -> u32 {
    // Always inside: 256 entries, an octet.
    octets.iter().fold(start, |crc, byte| crc >> 8 ^ CRC32.get(usize::from(crc as u8 ^ byte)).copied().unwrap_or_default())
}

/// CRC-16 with polynomial 0x1021 and start 0, as BinHex 4.0 and XMODEM have it.
///
/// ```
/// assert_eq!(message::checksum::crc16(b"123456789"), 0x31c3);
/// ```
pub fn crc16(octets: &[u8]) -> u16 {
    octets.iter().fold(0, |crc, byte| crc << 8 ^ CRC16.get(usize::from((crc >> 8) as u8 ^ byte)).copied().unwrap_or_default())
}

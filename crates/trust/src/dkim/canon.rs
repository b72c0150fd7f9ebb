//! What of a message is hashed (RFC 6376 §3.4): canonical fields and the canonical body.
//!
//! Invariant: the same octets for the same message at signer and verifier. Must not know: keys.

use ring::digest::{Context, SHA256};

/// RFC 6376 §3.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canon {
    /// As it stands.
    Simple,
    /// Blanks do not count.
    Relaxed,
}

impl Canon {
    /// `simple`, `relaxed`.
    pub fn parse(word: &str) -> Option<Canon> {
        match word.trim().to_ascii_lowercase().as_str() {
            "simple" => Some(Canon::Simple),
            "relaxed" => Some(Canon::Relaxed),
            _ => None,
        }
    }
}

fn is_wsp(octet: u8) -> bool {
    octet == b' ' || octet == b'\t'
}

/// One field (with or without its line end) as it is hashed, with its CRLF.
pub fn field(canon: Canon, raw: &[u8], out: &mut Vec<u8>) {
    match canon {
        Canon::Simple => {
            out.extend_from_slice(without_line_end(raw));
        }
        Canon::Relaxed => {
            let at = raw.iter().position(|octet| *octet == b':').unwrap_or(raw.len());
            let (name, body) = raw.split_at_checked(at).unwrap_or((raw, b""));
            out.extend(name.trim_ascii_end().iter().map(u8::to_ascii_lowercase));
            out.push(b':');
            let mut pending = false;
            let start = out.len();
            for octet in body.iter().skip(1) {
                match octet {
                    b'\r' | b'\n' => {}
                    octet if is_wsp(*octet) => pending = true,
                    octet => {
                        if pending && out.len() > start {
                            out.push(b' ');
                        }
                        pending = false;
                        out.push(*octet);
                    }
                }
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn without_line_end(raw: &[u8]) -> &[u8] {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    raw.strip_suffix(b"\r").unwrap_or(raw)
}

/// SHA-256 of the body, and how many octets of its canonical form were beyond `length`.
pub fn body_hash(canon: Canon, body: &[u8], length: Option<u64>) -> ([u8; 32], u64) {
    let mut hasher = Hasher { context: Context::new(&SHA256), left: length, beyond: 0 };
    let mut empty_lines = 0usize;
    let mut any = false;
    let mut rest = body;
    while !rest.is_empty() {
        let (line, next) = match memchr_lf(rest) {
            Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default()),
            None => (rest, &b""[..]),
        };
        rest = next;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = if canon == Canon::Relaxed { trim_wsp_end(line) } else { line };
        if line.is_empty() {
            empty_lines += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut empty_lines) {
            hasher.update(b"\r\n");
        }
        any = true;
        match canon {
            Canon::Simple => hasher.update(line),
            Canon::Relaxed => hasher.relaxed(line),
        }
        hasher.update(b"\r\n");
    }
    // §3.4.3: an empty body is one CRLF when simple, nothing when relaxed.
    if !any && canon == Canon::Simple {
        hasher.update(b"\r\n");
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(hasher.context.finish().as_ref());
    (digest, hasher.beyond)
}

fn memchr_lf(octets: &[u8]) -> Option<usize> {
    octets.iter().position(|octet| *octet == b'\n')
}

fn trim_wsp_end(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|octet| !is_wsp(*octet)).map_or(0, |at| at + 1);
    line.get(..end).unwrap_or_default()
}

struct Hasher {
    context: Context,
    left: Option<u64>,
    beyond: u64,
}

impl Hasher {
    fn update(&mut self, octets: &[u8]) {
        let Some(left) = self.left else { return self.context.update(octets) };
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(octets.len());
        self.context.update(octets.get(..take).unwrap_or_default());
        self.left = Some(left - take as u64);
        self.beyond += (octets.len() - take) as u64;
    }

    /// Runs of blanks become one.
    fn relaxed(&mut self, line: &[u8]) {
        let mut rest = line;
        while let Some(at) = rest.iter().position(|octet| is_wsp(*octet)) {
            self.update(rest.get(..at).unwrap_or_default());
            self.update(b" ");
            let behind = rest.get(at..).unwrap_or_default();
            let end = behind.iter().position(|octet| !is_wsp(*octet)).unwrap_or(behind.len());
            rest = behind.get(end..).unwrap_or_default();
        }
        self.update(rest);
    }
}

/// A signature field with the value of its `b=` taken out, blanks around it too (§3.5, §3.7).
pub fn without_b(raw: &[u8]) -> Vec<u8> {
    let colon = raw.iter().position(|octet| *octet == b':').map_or(0, |at| at + 1);
    let mut out = raw.get(..colon).unwrap_or_default().to_vec();
    for (index, part) in raw.get(colon..).unwrap_or_default().split(|octet| *octet == b';').enumerate() {
        if index > 0 {
            out.push(b';');
        }
        match part.iter().position(|octet| *octet == b'=') {
            Some(at) if part.get(..at).unwrap_or_default().trim_ascii() == b"b" => {
                out.extend_from_slice(part.get(..=at).unwrap_or_default());
            }
            _ => out.extend_from_slice(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ring::digest::digest;

    fn fields(canon: Canon) -> String {
        let mut out = Vec::new();
        for raw in [&b"A: X\r\n"[..], b"B : Y\t\r\n\tZ  \r\n"] {
            field(canon, raw, &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    fn hash_of(text: &[u8]) -> [u8; 32] {
        digest(&SHA256, text).as_ref().try_into().unwrap()
    }

    /// RFC 6376 §3.4.5.
    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(fields(Canon::Relaxed), "a:X\r\nb:Y Z\r\n");
        assert_eq!(fields(Canon::Simple), "A: X\r\nB : Y\t\r\n\tZ  \r\n");
        let body = b" C \r\nD \t E\r\n\r\n\r\n";
        assert_eq!(body_hash(Canon::Relaxed, body, None).0, hash_of(b" C\r\nD E\r\n"));
        assert_eq!(body_hash(Canon::Simple, body, None).0, hash_of(b" C \r\nD \t E\r\n"));
    }

    /// RFC 6376 §3.4.3 and §3.4.4 print the hashes of the empty body.
    #[test]
    fn the_empty_body() {
        let base64 = |canon, body: &[u8]| data_encoding::BASE64.encode(&body_hash(canon, body, None).0);
        for body in [&b""[..], b"\r\n", b"\r\n\r\n"] {
            assert_eq!(base64(Canon::Simple, body), "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
            assert_eq!(base64(Canon::Relaxed, body), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        }
        assert_eq!(base64(Canon::Relaxed, b" \t\r\n"), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn a_line_without_end_gets_one_and_the_length_is_kept() {
        assert_eq!(body_hash(Canon::Simple, b"a", None).0, hash_of(b"a\r\n"));
        assert_eq!(body_hash(Canon::Relaxed, b"a\r\n\r\nb \t c", None).0, hash_of(b"a\r\n\r\nb c\r\n"));
        assert_eq!(body_hash(Canon::Simple, b"abc\r\n", Some(2)), (hash_of(b"ab"), 3));
        assert_eq!(body_hash(Canon::Simple, b"abc\r\n", Some(5)), (hash_of(b"abc\r\n"), 0));
    }

    #[test]
    fn the_value_of_b_goes_and_bh_stays() {
        assert_eq!(
            without_b(b"DKIM-Signature: v=1; bh=xx=;\r\n b = ab\r\n cd= ; d=x"),
            b"DKIM-Signature: v=1; bh=xx=;\r\n b =; d=x"
        );
        assert_eq!(without_b(b"S:b=1"), b"S:b=");
    }
}

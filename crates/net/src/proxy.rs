//! The PROXY protocol, versions 1 and 2: a named proxy tells in front of everything else who really connects.
//!
//! <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>. Invariant: not an octet behind the header is read; what is
//! no header ends the connection. Must not know: which peers are believed.

use crate::listener::Incoming;
use crate::{Peer, limits};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with CRLF.
const LINE_BYTES_MAX: usize = 107;

/// What a header says: who connects to whom; `None` speaks of the proxy itself (health checks).
type Told = Option<(SocketAddr, SocketAddr)>;

/// Version 1: a line without its CRLF.
pub(crate) fn line(line: &[u8]) -> Option<Told> {
    let text = std::str::from_utf8(line).ok()?;
    let rest = text.strip_prefix("PROXY ")?;
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let words: Vec<&str> = rest.split(' ').collect();
    let [family, from, to, from_port, to_port] = words.as_slice() else { return None };
    let (from, to): (IpAddr, IpAddr) = (from.parse().ok()?, to.parse().ok()?);
    let fits = match *family {
        "TCP4" => from.is_ipv4() && to.is_ipv4(),
        "TCP6" => from.is_ipv6() && to.is_ipv6(),
        _ => false,
    };
    let port = |text: &str| (text == "0" || !text.starts_with('0')).then(|| text.parse::<u16>().ok()).flatten();
    let told = (SocketAddr::new(from, port(from_port)?), SocketAddr::new(to, port(to_port)?));
    fits.then_some(Some(told))
}

/// Version 2: the four octets behind the signature, and what follows them.
pub(crate) fn binary(head: [u8; 4], rest: &[u8]) -> Option<Told> {
    let [version_command, family, ..] = head;
    match version_command {
        0x20 => return Some(None),
        0x21 => {}
        _ => return None,
    }
    let port = |at: usize| Some(u16::from_be_bytes(rest.get(at..at + 2)?.try_into().ok()?));
    match family {
        0x11 => {
            let ip = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(rest.get(at..at + 4)?).ok()?));
            Some(Some((SocketAddr::new(ip(0)?, port(8)?), SocketAddr::new(ip(4)?, port(10)?))))
        }
        0x21 => {
            let ip = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(rest.get(at..at + 16)?).ok()?));
            Some(Some((SocketAddr::new(ip(0)?, port(32)?), SocketAddr::new(ip(16)?, port(34)?))))
        }
        // Unix sockets and what is not told.
        0x00 | 0x31 | 0x32 => Some(None),
        _ => None,
    }
}

pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Told> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "no header of the PROXY protocol");
    let mut begin = [0; SIGNATURE.len()];
    stream.read_exact(&mut begin).await?;
    if begin == SIGNATURE {
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if length > limits::PROXY_BYTES_MAX {
            return Err(bad());
        }
        let mut rest = vec![0; length];
        stream.read_exact(&mut rest).await?;
        return binary(head, &rest).ok_or_else(bad);
    }
    if !begin.starts_with(b"PROXY ") {
        return Err(bad());
    }
    let mut text = begin.to_vec();
    // One by one: what stands behind the line end is the client's.
    while !text.ends_with(b"\r\n") {
        if text.len() >= LINE_BYTES_MAX || text.ends_with(b"\n") {
            return Err(bad());
        }
        text.push(stream.read_u8().await?);
    }
    line(text.strip_suffix(b"\r\n").unwrap_or(&text)).ok_or_else(bad)
}

impl Incoming {
    /// Reads the header that a named proxy sends first; from here on its client is the peer.
    ///
    /// # Errors
    /// No header, or none in time: the connection is of no use.
    pub async fn proxied(mut self, limit: Duration) -> io::Result<Incoming> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the PROXY header did not come in time");
        let told = timeout(limit, read(&mut self.stream)).await.map_err(|_| late())??;
        if let Some((from, to)) = told {
            self.peer = Peer::Proxied { ip: from.ip(), port: from.port() };
            self.local = Some(to);
        }
        Ok(self)
    }
}

/// Addresses with a common beginning: `192.0.2.0/24`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpRange {
    ip: IpAddr,
    bits: u8,
}

impl std::str::FromStr for IpRange {
    type Err = String;
    fn from_str(text: &str) -> Result<IpRange, String> {
        let wrong = || format!("`{text}` is neither an IP address nor a range such as 192.0.2.0/24");
        let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
        let all = if ip.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), str::parse).map_err(|_| wrong())?;
        if bits > all { Err(wrong()) } else { Ok(IpRange { ip, bits }) }
    }
}

impl IpRange {
    /// Is it one of them?
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip.to_canonical(), ip.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differ = u64::from(ours.to_bits() ^ theirs.to_bits());
                differ >> 32u8.saturating_sub(self.bits.min(32)) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differ = ours.to_bits() ^ theirs.to_bits();
                differ.checked_shr(u32::from(128 - self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn told(from: &str, to: &str) -> Option<Told> {
        Some(Some((from.parse().unwrap(), to.parse().unwrap())))
    }

    #[test]
    fn version_1() {
        assert_eq!(line(b"PROXY TCP4 192.0.2.1 198.51.100.2 50000 25"), told("192.0.2.1:50000", "198.51.100.2:25"));
        assert_eq!(line(b"PROXY TCP6 2001:db8::1 ::1 1 65535"), told("[2001:db8::1]:1", "[::1]:65535"));
        assert_eq!(line(b"PROXY UNKNOWN"), Some(None));
        assert_eq!(line(b"PROXY UNKNOWN what ever"), Some(None));
        for bad in [
            "PROXY TCP4 192.0.2.1 198.51.100.2 50000",
            "PROXY TCP4 192.0.2.1 198.51.100.2 50000 25 x",
            "PROXY TCP4 ::1 ::1 1 2",
            "PROXY TCP4  192.0.2.1 198.51.100.2 1 2",
            "PROXY TCP4 192.0.2.1 198.51.100.2 01 2",
            "PROXY TCP4 192.0.2.1 198.51.100.2 65536 2",
            "PROXY UNKNOWNX",
            "proxy TCP4 192.0.2.1 198.51.100.2 1 2",
            "EHLO x",
        ] {
            assert_eq!(line(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn version_2() {
        let four = [192, 0, 2, 1, 198, 51, 100, 2, 0xc3, 0x50, 0, 25];
        assert_eq!(binary([0x21, 0x11, 0, 12], &four), told("192.0.2.1:50000", "198.51.100.2:25"));
        assert_eq!(binary([0x20, 0x11, 0, 12], &four), Some(None), "LOCAL");
        let mut six = [0; 40];
        (six[15], six[31], six[33], six[35]) = (1, 2, 7, 25);
        assert_eq!(binary([0x21, 0x21, 0, 40], &six), told("[::1]:7", "[::2]:25"), "what stands behind the ports is passed over");
        assert_eq!(binary([0x21, 0x11, 0, 11], &four[..11]), None);
        for head in [[0x11, 0x11, 0, 12], [0x22, 0x11, 0, 12], [0x21, 0x55, 0, 12]] {
            assert_eq!(binary(head, &four), None);
        }
    }

    #[tokio::test]
    async fn nothing_behind_the_header_is_read() {
        let v2 = [&SIGNATURE[..], &[0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 2, 0xc3, 0x50, 0, 25]].concat();
        for header in [b"PROXY TCP4 192.0.2.1 198.51.100.2 50000 25\r\n".to_vec(), v2] {
            let whole = [header.as_slice(), b"EHLO x\r\n"].concat();
            let mut input = whole.as_slice();
            assert_eq!(Some(read(&mut input).await.unwrap()), told("192.0.2.1:50000", "198.51.100.2:25"));
            assert_eq!(input, b"EHLO x\r\n");
            for cut in 0..header.len() {
                assert!(read(&mut &header[..cut]).await.is_err(), "{cut}");
            }
        }
        for bad in [
            b"EHLO there\r\nMAIL FROM:<a@b>\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\nx".to_vec(),
            [b"PROXY ".as_slice(), &[b'x'; 200]].concat(),
        ] {
            assert!(read(&mut bad.as_slice()).await.is_err());
        }
    }

    #[test]
    fn ranges() {
        let holds = |range: &str, ip: &str| range.parse::<IpRange>().unwrap().contains(ip.parse().unwrap());
        assert!(holds("192.0.2.0/24", "192.0.2.255") && !holds("192.0.2.0/24", "192.0.3.0"));
        assert!(holds("192.0.2.1", "::ffff:192.0.2.1") && !holds("192.0.2.1", "192.0.2.2"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1") && !holds("2001:db8::/32", "2001:db9::"));
        assert!(holds("0.0.0.0/0", "1.2.3.4") && holds("::/0", "::1") && !holds("::/0", "1.2.3.4"));
        for bad in ["192.0.2.0/33", "::/129", "x", "192.0.2.0/", "localhost"] {
            assert!(bad.parse::<IpRange>().is_err(), "{bad}");
        }
    }
}

//! One side of a conversation, as a transcript drives it: plain, compressed, under TLS.

use super::office::PASSWORD;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use net::Octets;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

/// Both directions of DEFLATE (RFC 4978).
struct Deflate {
    there: Compress,
    back: Decompress,
}

impl Deflate {
    fn inflate(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let begun = self.back.total_in();
        loop {
            let at = usize::try_from(self.back.total_in() - begun).unwrap();
            out.reserve(64 * 1024);
            let before = out.len();
            self.back.decompress_vec(&octets[at..], out, FlushDecompress::Sync).expect("DEFLATE");
            if out.len() == before {
                return;
            }
        }
    }

    /// RFC 4978 §4: flushed, so that the other side has all of it.
    fn deflate(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(octets.len() + 1024);
        self.there.compress_vec(octets, &mut out, FlushCompress::Sync).unwrap();
        out
    }
}

/// One side of the conversation, as the transcript drives it.
pub(crate) struct Peer {
    /// Empty for a moment, while TLS begins.
    pub(crate) stream: Option<Box<dyn Octets>>,
    pub(crate) unsent: Vec<u8>,
    /// What came and nobody looked at yet; inflated.
    unread: Vec<u8>,
    deflate: Option<Deflate>,
    /// The last line that came.
    pub(crate) last: String,
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Peer {
        let stream = TcpStream::connect(address).await.unwrap();
        Peer { stream: Some(Box::new(stream)), unsent: Vec::new(), unread: Vec::new(), deflate: None, last: String::new() }
    }

    pub(crate) async fn login(address: SocketAddr) -> Peer {
        Peer::login_as(address, "ann").await
    }

    pub(crate) async fn login_as(address: SocketAddr, who: &str) -> Peer {
        let mut peer = Peer::connect(address).await;
        let domain = if who.contains('@') { "" } else { "@here.test" };
        peer.unsent.extend_from_slice(format!("login LOGIN {who}{domain} {PASSWORD}\r\n").as_bytes());
        peer.skip_to("login OK …").await.unwrap();
        peer
    }

    /// From here on both directions are compressed; what came behind the answer already is.
    pub(crate) fn compressed(&mut self) {
        let mut deflate = Deflate { there: Compress::new(Compression::default(), false), back: Decompress::new(false) };
        let raw = std::mem::take(&mut self.unread);
        deflate.inflate(&raw, &mut self.unread);
        self.deflate = Some(deflate);
    }

    /// The stream under it, with nothing read from it that nobody looked at.
    pub(crate) fn take_stream(&mut self) -> Box<dyn Octets> {
        assert!(self.unread.is_empty(), "something came behind the answer to STARTTLS");
        self.stream.take().unwrap()
    }

    pub(crate) async fn send_raw(&mut self, octets: &[u8]) {
        let stream = self.stream.as_mut().unwrap();
        stream.write_all(octets).await.unwrap();
        stream.flush().await.unwrap();
    }

    pub(crate) async fn flush(&mut self) {
        let mut unsent = std::mem::take(&mut self.unsent);
        if let (Some(deflate), false) = (&mut self.deflate, unsent.is_empty()) {
            unsent = deflate.deflate(&unsent);
        }
        self.send_raw(&unsent).await;
    }

    /// False at the end of the connection.
    async fn more(&mut self) -> bool {
        let mut octets = [0; 16 * 1024];
        let count = self.stream.as_mut().unwrap().read(&mut octets).await.unwrap_or(0);
        match &mut self.deflate {
            Some(deflate) => deflate.inflate(&octets[..count], &mut self.unread),
            None => self.unread.extend_from_slice(&octets[..count]),
        }
        count > 0
    }

    /// The next octets, so many.
    pub(crate) async fn octets(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            assert!(timeout(PATIENCE, self.more()).await.expect("no answer in time"), "the end came first");
        }
        self.unread.drain(..count).collect()
    }

    /// `None` at the end of the connection.
    pub(crate) async fn line(&mut self) -> Option<String> {
        self.flush().await;
        let mut looked = 0;
        let end = loop {
            match self.unread[looked..].iter().position(|octet| *octet == b'\n') {
                Some(at) => break looked + at + 1,
                None => looked = self.unread.len(),
            }
            if !timeout(PATIENCE, self.more()).await.expect("no answer in time") {
                match self.unread.len() {
                    0 => return None,
                    rest => break rest,
                }
            }
        };
        let mut line: Vec<u8> = self.unread.drain(..end).collect();
        while line.last().is_some_and(|octet| *octet == b'\r' || *octet == b'\n') {
            line.pop();
        }
        self.last = String::from_utf8_lossy(&line).into_owned();
        Some(self.last.clone())
    }

    pub(crate) async fn expect(&mut self, pattern: &str) -> Result<(), String> {
        match (pattern, self.line().await) {
            ("<closed>", None) => Ok(()),
            (_, None) => Err(format!("wanted `{pattern}`, got the end of the connection")),
            (_, Some(line)) if fits(pattern, &line) => Ok(()),
            (_, Some(line)) => Err(format!("wanted `{pattern}`\n       got `{line}`")),
        }
    }

    pub(crate) async fn skip_to(&mut self, pattern: &str) -> Result<(), String> {
        let mut seen = String::new();
        while let Some(line) = self.line().await {
            if fits(pattern, &line) {
                return Ok(());
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        Err(format!("`{pattern}` never came; only:\n{seen}"))
    }

    pub(crate) async fn silence(&mut self) -> Result<(), String> {
        self.flush().await;
        if self.unread.is_empty() {
            match timeout(Duration::from_millis(150), self.more()).await {
                Err(_) => return Ok(()),
                Ok(false) => return Err("wanted silence, got the end of the connection".into()),
                Ok(true) => {}
            }
        }
        Err(format!("wanted silence, got {:?}", String::from_utf8_lossy(&self.unread)))
    }
}

/// Does the line fit the pattern, where `…` is any text?
pub(crate) fn fits(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split('…');
    let Some(mut rest) = pieces.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// What each `«name»` in the pattern stands for in a line that fits it.
pub(crate) fn captured(pattern: &str, line: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let Some(at) = pattern.find(['…', '«']) else { return found };
    let (mut pattern, mut line) = (&pattern[at..], &line[at..]);
    while let Some(wild) = pattern.chars().next() {
        let (name, after) = match wild {
            '«' => pattern['«'.len_utf8()..].split_once('»').expect("» is missing"),
            _ => ("", &pattern[wild.len_utf8()..]),
        };
        let literal = &after[..after.find(['…', '«']).unwrap_or(after.len())];
        let end = match literal.len() == after.len() {
            true => line.len() - literal.len(),
            false => line.find(literal).expect("the line fits"),
        };
        if !name.is_empty() {
            found.push((name.to_owned(), line[..end].to_owned()));
        }
        (pattern, line) = (&after[literal.len()..], &line[end + literal.len()..]);
    }
    found
}

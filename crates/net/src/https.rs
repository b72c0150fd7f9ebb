//! One small file by HTTPS, there or back: enough of HTTP/1.1 (RFC 9112) to read a policy and to hand in a report, no more.
//!
//! Invariant: the certificate is verified; redirects are not followed (RFC 8461 §3.3); what comes is bounded.

use crate::network::Network;
use crate::tls::{TlsClient, server_name};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Octets of a whole answer.
const ANSWER_BYTES_MAX: u64 = 128 * 1024;

fn bad(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// The body of `https://HOST/PATH`, which must be `200` and of this media type.
pub async fn get(
    network: &Network,
    address: SocketAddr,
    (host, path): (&str, &str),
    tls: &TlsClient,
    (media_type, limit): (&str, Duration),
) -> io::Result<Vec<u8>> {
    body(&within(limit, network, address, (host, path), tls).await?, media_type)
}

/// What came of [`fetch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The body, whatever its media type.
    Body(Vec<u8>),
    /// It is elsewhere, says the server.
    Moved(String),
}

/// The body of `https://HOST/PATH`, or where it went; whether to go there is the caller's affair.
pub async fn fetch(
    network: &Network,
    address: SocketAddr,
    what: (&str, &str),
    tls: &TlsClient,
    limit: Duration,
) -> io::Result<Fetched> {
    let answer = within(limit, network, address, what, tls).await?;
    match moved(&answer) {
        Some(elsewhere) => Ok(Fetched::Moved(elsewhere)),
        None => body(&answer, "").map(Fetched::Body),
    }
}

/// What is asked by [`ask_any`].
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Asked<'a> {
    pub host: &'a str,
    pub path: &'a str,
    /// `application/x-www-form-urlencoded`, by POST; else GET.
    pub form: Option<&'a str>,
    /// Without: in the open, which the caller has to answer for.
    pub tls: Option<&'a TlsClient>,
}

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

/// One question with its answer, whatever its status and media type.
pub async fn ask_any(network: &Network, address: SocketAddr, asked: Asked<'_>, limit: Duration) -> io::Result<Reply> {
    let Asked { host, path, form, tls } = asked;
    let port = match (tls.is_some(), address.port()) {
        (true, 443) | (false, 80) => String::new(),
        (_, port) => format!(":{port}"),
    };
    let request = match form {
        Some(form) => format!(
            "POST {path} HTTP/1.1\r\nHost: {host}{port}\r\nUser-Agent: Packetboat\r\nAccept: application/json\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{form}",
            form.len()
        ),
        None => format!(
            "GET {path} HTTP/1.1\r\nHost: {host}{port}\r\nUser-Agent: Packetboat\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
        ),
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("{host} took too long"));
    let exchange = async {
        let (mut stream, _) = network.connect(address, None).await?;
        match tls {
            Some(tls) => {
                let mut stream = TlsConnector::from(tls.config.clone()).connect(server_name(host, None)?, stream).await?;
                say(&mut stream, request.as_bytes()).await
            }
            None => say(&mut stream, request.as_bytes()).await,
        }
    };
    let answer = timeout(limit, exchange).await.map_err(late)??;
    let Answer { status, body, .. } = read(&answer)?;
    Ok(Reply { status, body })
}

async fn say(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await {
        // Many close without a word of TLS; the length tells whether all has come.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => Ok(answer),
    }
}

async fn within(
    limit: Duration,
    network: &Network,
    address: SocketAddr,
    (host, path): (&str, &str),
    tls: &TlsClient,
) -> io::Result<Vec<u8>> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("https://{host} took too long"));
    let request = head("GET", host, path) + "Accept: */*\r\n\r\n";
    timeout(limit, ask(network, address, host, request.as_bytes(), tls)).await.map_err(late)?
}

/// RFC 9110 §15.4
pub(crate) fn moved(answer: &[u8]) -> Option<String> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let mut lines = std::str::from_utf8(answer.get(..end)?).ok()?.split("\r\n");
    let status = lines.next()?;
    let is_moved = status.starts_with("HTTP/1.") && matches!(status.split(' ').nth(1)?, "301" | "302" | "303" | "307" | "308");
    let mut fields = lines.filter_map(|line| line.split_once(':'));
    let (_, location) = fields.find(|(name, _)| name.eq_ignore_ascii_case("Location")).filter(|_| is_moved)?;
    Some(location.trim().to_owned())
}

/// Hands in `content` at `https://HOST/PATH`; anything but a 2xx answer is an error.
pub async fn post(
    network: &Network,
    address: SocketAddr,
    (host, path): (&str, &str),
    tls: &TlsClient,
    (media_type, content, limit): (&str, &[u8], Duration),
) -> io::Result<()> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("https://{host} took too long"));
    let fields = format!("Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n", content.len());
    let request = [(head("POST", host, path) + &fields).as_bytes(), content].concat();
    let answer = timeout(limit, ask(network, address, host, &request, tls)).await.map_err(late)??;
    let status = answer.split(|octet| *octet == b'\r').next().unwrap_or_default();
    let status = String::from_utf8_lossy(status);
    match status.split(' ').nth(1) {
        Some(code) if status.starts_with("HTTP/1.") && code.len() == 3 && code.starts_with('2') => Ok(()),
        _ => Err(bad(format!("the answer is {:?}", status.chars().take(40).collect::<String>()))),
    }
}

fn head(method: &str, host: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Packetboat\r\nConnection: close\r\n")
}

async fn ask(network: &Network, address: SocketAddr, host: &str, request: &[u8], tls: &TlsClient) -> io::Result<Vec<u8>> {
    let (stream, _) = network.connect(address, None).await?;
    let mut stream = TlsConnector::from(tls.config.clone()).connect(server_name(host, None)?, stream).await?;
    say(&mut stream, request).await
}

/// An answer, taken apart.
pub(crate) struct Answer {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, wanted: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
    }

    /// Lower-case, without parameters.
    pub(crate) fn media_type(&self) -> String {
        self.field("Content-Type").unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

/// All octets of an answer whose connection has ended.
pub(crate) fn read(answer: &[u8]) -> io::Result<Answer> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(|| bad("the answer has no end of header"))?;
    let (head, rest) = answer.split_at_checked(end).ok_or_else(|| bad("short"))?;
    let rest = rest.get(4..).unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| bad("the header is no text"))?;
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).filter(|_| first.starts_with("HTTP/1."));
    let status = status.ok_or_else(|| bad(format!("the answer is {:?}", first.get(..40).unwrap_or(first))))?;
    let fields = lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.into(), value.trim().into())).collect();
    let mut answer = Answer { status, fields, body: Vec::new() };
    answer.body = if answer.field("Transfer-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        unchunked(rest)?
    } else {
        match answer.field("Content-Length").map(str::parse::<usize>) {
            Some(Ok(length)) => rest.get(..length).map(<[u8]>::to_vec).ok_or_else(|| bad("the answer ends early"))?,
            Some(Err(_)) => return Err(bad("the length is no number")),
            None => rest.to_vec(),
        }
    };
    Ok(answer)
}

/// Without a media type any will do.
fn body(answer: &[u8], media_type: &str) -> io::Result<Vec<u8>> {
    let answer = read(answer)?;
    if answer.status != 200 {
        return Err(bad(format!("the answer is {}", answer.status)));
    }
    let kind = answer.media_type();
    if !media_type.is_empty() && kind != media_type {
        return Err(bad(format!("it is {kind:?} and not {media_type}")));
    }
    Ok(answer.body)
}

fn unchunked(mut rest: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").ok_or_else(|| bad("a chunk without a length"))?;
        let line = rest.get(..end).and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
        let length = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
        let length = length.map_err(|_| bad("a chunk without a length"))?;
        rest = rest.get(end + 2..).unwrap_or_default();
        if length == 0 {
            return Ok(out);
        }
        out.extend_from_slice(rest.get(..length).ok_or_else(|| bad("the answer ends early"))?);
        rest = rest.get(length.saturating_add(2)..).ok_or_else(|| bad("the answer ends early"))?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(answer: &str) -> Result<String, String> {
        let read = body(answer.as_bytes(), "text/plain").map_err(|error| error.to_string())?;
        Ok(String::from_utf8(read).unwrap())
    }

    #[test]
    fn a_file_with_its_length_in_chunks_or_to_the_end() {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=utf-8\r\n";
        assert_eq!(read(&format!("{head}Content-Length: 3\r\n\r\nabcdef")), Ok("abc".into()));
        assert_eq!(read(&format!("{head}\r\nabc")), Ok("abc".into()));
        assert_eq!(
            read(&format!("{head}transfer-encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n")),
            Ok("abc".into())
        );
        for bad in
            ["Content-Length: 9\r\n\r\nabc", "Content-Length: x\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\nff\r\na", ""]
        {
            assert!(read(&format!("{head}{bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_200_of_the_right_kind() {
        assert!(read("HTTP/1.1 301 Moved\r\nLocation: x\r\n\r\n").is_err(), "no redirects");
        assert!(read("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nabc").is_err());
        assert!(read("HTTP/1.1 200 OK\r\n\r\nabc").is_err());
        assert!(read("nonsense").is_err());
    }

    #[test]
    fn where_it_went() {
        assert_eq!(moved(b"HTTP/1.1 302 Found\r\nlocation: https://b.test/x \r\n\r\n"), Some("https://b.test/x".into()));
        for stays in ["HTTP/1.1 200 OK\r\nLocation: /x\r\n\r\n", "HTTP/1.1 301 Moved\r\n\r\n", "HTTP/1.1 301", "x"] {
            assert_eq!(moved(stays.as_bytes()), None, "{stays}");
        }
    }
}

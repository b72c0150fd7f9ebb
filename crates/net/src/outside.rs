//! One exchange by HTTP or HTTPS (RFC 9110, RFC 9112) with a host that a message or a user named: a picture, a list to leave.
//!
//! Invariant: an address that is not public is never asked unless the operator allows it, and the address that was looked at
//! is the one that is asked; certificates are verified; octets, time and redirects are bounded; nobody learns who asks.
//! Must not know: what for.

use crate::dns::Resolver;
use crate::https::{Answer, read};
use crate::network::Network;
use crate::tls::{TlsClient, server_name};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;

/// From the first name asked for to the last octet.
pub const EXCHANGE_MAX: Duration = Duration::from_secs(20);
/// Redirects followed.
pub const REDIRECTS_MAX: usize = 4;
/// Octets of a URL.
pub const URL_BYTES_MAX: usize = 8 * 1024;
/// Addresses of a host tried.
const ADDRESSES_TRIED: usize = 3;
/// Of an answer's header, besides what was allowed for its body.
const HEAD_BYTES_MAX: u64 = 64 * 1024;
/// Ports of other protocols, which browsers leave alone too (Fetch, §2.9 "port blocking"): who names us one of them would have us
/// say lines of his choice to a mail server or a printer.
const OTHER_PORTS: [u16; 82] = [
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110, 111, 113,
    115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556,
    563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080,
];

/// Whom a name may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Addresses of the public Internet.
    Public,
    /// This computer alone: trials and tests.
    Loopback,
    /// Everybody: the operator allows it.
    Anywhere,
}

impl Reach {
    /// May this address be connected to?
    pub fn admits(self, ip: IpAddr) -> bool {
        match self {
            Reach::Public => is_public(ip),
            Reach::Loopback => ip.to_canonical().is_loopback(),
            Reach::Anywhere => true,
        }
    }
}

/// What is handed in by POST.
#[derive(Debug, Clone)]
pub struct Post<'a> {
    /// Content-Type
    pub media_type: &'a str,
    /// Header fields besides; one with a control character is left out.
    pub fields: &'a [(&'a str, &'a str)],
    /// The body.
    pub octets: &'a [u8],
}

impl<'a> Post<'a> {
    /// A form, as browsers send it.
    pub fn form(form: &'a str) -> Post<'a> {
        Post { media_type: "application/x-www-form-urlencoded", fields: &[], octets: form.as_bytes() }
    }
}

/// What to ask for.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// `http:` or `https:`
    pub url: &'a str,
    /// Then it is POST, and no redirect is followed (RFC 8058 §3.1).
    pub post: Option<Post<'a>>,
    /// Octets of a body.
    pub bytes_max: u64,
}

/// What came.
#[derive(Debug)]
pub struct Got {
    /// 200 ...
    pub status: u16,
    /// Lower-case, without parameters.
    pub media_type: String,
    /// Not before so many seconds again (RFC 9110 §10.2.3), where it says a number.
    pub retry_after_secs: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
}

/// The way out.
#[derive(Debug, Clone)]
pub struct Outside {
    network: Network,
    resolver: Resolver,
    tls: TlsClient,
    reach: Reach,
}

impl Outside {
    /// `tls` should verify.
    pub fn new(network: Network, resolver: Resolver, tls: TlsClient, reach: Reach) -> Outside {
        Outside { network, resolver, tls, reach }
    }

    /// The same way, to others.
    pub fn within(&self, reach: Reach) -> Outside {
        Outside { reach, ..self.clone() }
    }

    /// Whom it may ask.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Asks, and follows redirects.
    ///
    /// # Errors
    /// No way there, no answer in time, or too much of one.
    pub async fn ask(&self, asked: &Asked<'_>) -> io::Result<Got> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "it took too long");
        tokio::time::timeout(EXCHANGE_MAX, self.follow(asked)).await.map_err(late)?
    }

    async fn follow(&self, asked: &Asked<'_>) -> io::Result<Got> {
        let mut url = Url::parse(asked.url).ok_or_else(|| bad("this address cannot be asked"))?;
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.exchange(&url, asked).await?;
            let is_redirect = matches!(answer.status, 301 | 302 | 303 | 307 | 308) && asked.post.is_none();
            match answer.field("Location").filter(|_| is_redirect) {
                Some(to) => url = url.join(to).ok_or_else(|| bad("it leads nowhere"))?,
                None => {
                    let retry_after_secs = answer.field("Retry-After").and_then(|secs| secs.trim().parse().ok());
                    return Ok(Got {
                        status: answer.status,
                        media_type: answer.media_type(),
                        retry_after_secs,
                        body: answer.body,
                    });
                }
            }
        }
        Err(bad("it leads on and on"))
    }

    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) if is_local_name(host) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Err(_) => self.resolver.addresses(host).await.map_err(|error| bad(&error.to_string()))?,
        };
        let admitted: Vec<IpAddr> = found.into_iter().filter(|ip| self.reach.admits(*ip)).take(ADDRESSES_TRIED).collect();
        if admitted.is_empty() { Err(bad("it leads to no address that may be asked")) } else { Ok(admitted) }
    }

    async fn exchange(&self, url: &Url, asked: &Asked<'_>) -> io::Result<Answer> {
        let mut last = bad("it has no address");
        for ip in self.addresses(&url.host).await? {
            let (stream, _) = match self.network.connect(SocketAddr::new(ip, url.port), None).await {
                Ok(connected) => connected,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            if !url.tls {
                return talk(stream, url, asked).await;
            }
            let name = server_name(url.host.trim_matches(['[', ']']), None)?;
            let stream = TlsConnector::from(self.tls.config.clone()).connect(name, stream).await?;
            return talk(stream, url, asked).await;
        }
        Err(last)
    }
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, url: &Url, asked: &Asked<'_>) -> io::Result<Answer> {
    use std::fmt::Write as _;
    let (method, octets) = asked.post.as_ref().map_or(("GET", [].as_slice()), |post| ("POST", post.octets));
    let mut head = format!(
        "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: Packetboat\r\nAccept: */*\r\nConnection: close\r\n",
        url.path,
        url.authority(),
    );
    if let Some(post) = &asked.post {
        let _ = write!(head, "Content-Type: {}\r\nContent-Length: {}\r\n", post.media_type, post.octets.len());
        for (name, value) in post.fields.iter().filter(|(_, value)| !value.contains(char::is_control)) {
            let _ = write!(head, "{name}: {value}\r\n");
        }
    }
    head.push_str("\r\n");
    stream.write_all(&[head.as_bytes(), octets].concat()).await?;
    stream.flush().await?;
    let mut octets = Vec::new();
    let most = asked.bytes_max.saturating_add(HEAD_BYTES_MAX);
    let ended = (&mut stream).take(most).read_to_end(&mut octets).await;
    match ended {
        // Many close without a word of TLS; the length tells whether all has come.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        _ => {}
    }
    let answer = read(&octets)?;
    if answer.body.len() as u64 > asked.bytes_max || octets.len() as u64 == most {
        return Err(bad("it is too large"));
    }
    Ok(answer)
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

/// Names that mean this computer whatever DNS says (RFC 6761 §6.3).
fn is_local_name(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Not this computer, not this house, nobody's (RFC 6890), also when it is written within IPv6.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match within(v6) {
            Some(v4) => is_public_v4(v4),
            // Global unicast is 2000::/3; of it not what documents and Teredo use.
            None => {
                let [first, second, ..] = v6.segments();
                first & 0xe000 == 0x2000 && !(first == 0x2001 && (second == 0x0db8 || second < 0x0200)) && first != 0x3fff
            }
        },
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_unspecified()
        || a == 0
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_documentation()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        // Azure's own to each of its machines: what it tells of this one is for this one.
        || ip == Ipv4Addr::new(168, 63, 129, 16)
        || a >= 224;
    !special
}

/// Mapped, NAT64, 6to4.
fn within(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let of = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff | 0) | (0x64, 0xff9b, 0, 0, 0, 0) => of(g, h),
        (0x64, 0xff9b, 1, ..) => Some(Ipv4Addr::UNSPECIFIED),
        (0x2002, high, low, ..) => of(high, low),
        _ => None,
    }
}

/// What there is to know of an address to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Url {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl Url {
    /// `None`: not HTTP, with a password in it, or nothing that can be written into a request.
    fn parse(text: &str) -> Option<Url> {
        let text = text.trim();
        if text.len() > URL_BYTES_MAX {
            return None;
        }
        let (scheme, rest) = text.split_once("://")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.parse::<u16>().ok().filter(|port| *port != 0)?)),
            None => (authority, None),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let is_literal =
            host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok());
        if host.is_empty() || !(is_literal || host.chars().all(is_name)) {
            return None;
        }
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        if OTHER_PORTS.contains(&port) {
            return None;
        }
        Some(Url { tls, host: host.to_ascii_lowercase(), port, path: target(path) })
    }

    fn join(&self, to: &str) -> Option<Url> {
        let to = to.trim();
        if let Some(rest) = to.strip_prefix("//") {
            return Url::parse(&format!("{}://{rest}", self.scheme()));
        }
        if to.contains("://") && !to.starts_with(['/', '?']) {
            return Url::parse(to).filter(|next| next.tls || !self.tls);
        }
        let base = self.path.split('?').next().unwrap_or("/");
        let path = match to.chars().next()? {
            '/' => target(to),
            '?' => target(&format!("{base}{to}")),
            '#' => self.path.clone(),
            _ => target(&format!("{}/{to}", base.rsplit_once('/').map_or("", |(folder, _)| folder))),
        };
        Some(Url { path, ..self.clone() })
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    fn authority(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// The request's target: no fragment, and only octets that cannot end a line.
fn target(path: &str) -> String {
    use std::fmt::Write as _;
    let path = path.split('#').next().unwrap_or_default();
    let mut out = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        out.push('/');
    }
    for octet in path.bytes() {
        match octet {
            b'!' | b'#'..=b';' | b'=' | b'?'..=b'[' | b']' | b'_' | b'a'..=b'z' | b'~' => out.push(char::from(octet)),
            _ => drop(write!(out, "%{octet:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::net::TcpListener;

    fn outside(reach: Reach) -> Outside {
        let resolver = Resolver::with_servers(vec![SocketAddr::from(([127, 0, 0, 1], 9))]).unwrap();
        Outside::new(Network::System, resolver, TlsClient::verified(None).unwrap(), reach)
    }

    /// Answers each connection with the next of these, and keeps what was asked.
    async fn site(answers: Vec<String>) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut octets = vec![0; 4096];
                let n = stream.read(&mut octets).await.unwrap();
                asked.push(String::from_utf8_lossy(octets.get(..n).unwrap()).into_owned());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            asked
        });
        (port, served)
    }

    /// The ends of the blocks, and what else is not the Internet (RFC 6890 and what came after it).
    const SHUT: &str = "0.255.255.255 10.255.255.255 100.127.255.255 127.255.255.254 169.254.0.1 172.31.255.255 192.0.0.192 \
        192.88.99.1 192.168.255.255 198.19.255.255 198.51.100.1 203.0.113.1 239.255.255.250 240.0.0.1 168.63.129.16 ::2 \
        ::ffff:0:7f00:1 ::ffff:169.254.169.254 ::ffff:100.64.0.1 64:ff9b::a00:1 64:ff9b::a9fe:a9fe 64:ff9b:1:ffff::1 100::1 \
        2001:0:7f00:1:: 2001:10::1 2001:1ff::1 2002:a00:1::1 2002:a9fe:a9fe::1 3fff::1 5f00::1 fc00::1 fdff:ffff::1 fd00:ec2::254 \
        fe80::a9fe:a9fe febf::1 fec0::1 ff05::1 ffff::1";
    /// What lies beside them.
    const OPEN: &str = "9.9.9.9 1.0.0.1 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 169.253.255.255 169.255.0.0 \
        172.15.255.255 172.32.0.1 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 ::ffff:9.9.9.9 \
        2001:200::1 2620:fe::fe 2a00::1 64:ff9b::909:909 2002:909:909::1";

    #[test]
    fn addresses_of_this_computer_this_house_and_nobody_are_not_public() {
        let shut = [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::7f00:1",
        ];
        for ip in shut.into_iter().chain(SHUT.split_ascii_whitespace()) {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
            assert!(!Reach::Public.admits(ip.parse().unwrap()) && Reach::Anywhere.admits(ip.parse().unwrap()), "{ip}");
        }
        for ip in OPEN.split_ascii_whitespace() {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
        for (ip, here) in
            [("127.0.0.1", true), ("::1", true), ("::ffff:127.9.9.9", true), ("10.0.0.1", false), ("9.9.9.9", false)]
        {
            assert_eq!(Reach::Loopback.admits(ip.parse().unwrap()), here, "{ip}");
        }
    }

    #[test]
    fn urls_that_could_mislead_are_none() {
        let parse = |text: &str| Url::parse(text).map(|url| (url.tls, url.authority(), url.path));
        assert_eq!(parse("HTTPS://Shop.Test"), Some((true, "shop.test".into(), "/".into())));
        assert_eq!(parse("http://[::1]:81/a b?c=\u{e9}#d"), Some((false, "[::1]:81".into(), "/a%20b?c=%C3%A9".into())));
        assert_eq!(parse("http://a.test?x"), Some((false, "a.test".into(), "/?x".into())));
        for wrong in [
            "ftp://a.test/",
            "//a.test",
            "http://ann:secret@a.test/",
            "http:///x",
            "http://a.test:0/",
            "http://a\r\nb/",
            "http://[a]/",
            "file:///x",
            "http://ann@127.0.0.1/",
            "http://a.test:80@127.0.0.1/",
            "http://a.test%2f@127.0.0.1/",
            "http://a.test\0.b.test/",
            "http://a.test\t/",
            "http://a.test%0d%0aX:%20y/",
            "http://[fe80::1%25eth0]/",
            "http://[::1/",
            "http://::1/",
            "http://[::1]x/",
            "http://a.test:99999/",
            "http://a.test:-1/",
            "http://a.test:25/",
            "https://a.test:993/",
            "http://[2620:fe::fe]:22/",
            "http://127.0.0.1\u{ff0e}evil.test/",
            "gopher://a.test/",
            "javascript:alert(1)",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
        let url = Url::parse("https://a.test/b/c?d").unwrap();
        let join = |to: &str| url.join(to).map(|url| url.authority() + &url.path);
        assert_eq!(join("e"), Some("a.test/b/e".into()));
        assert_eq!(join("/e?f"), Some("a.test/e?f".into()));
        assert_eq!(join("//b.test/e"), Some("b.test/e".into()));
        assert_eq!(join("http://b.test/e"), None, "not from TLS to none");
        assert_eq!((join("https://ann@b.test/e"), join("//b.test:25/e")), (None, None));
        assert_eq!(join("e\r\nX: y"), Some("a.test/b/e%0D%0AX:%20y".into()));
        assert!(!target("/a\r\nHost: b").contains(['\r', '\n', ' ']));
    }

    #[tokio::test]
    async fn what_is_asked_is_bounded_and_redirects_are_followed() {
        let moved = "HTTP/1.1 302 Found\r\nLocation: /two\r\n\r\n".to_owned();
        let found = "HTTP/1.1 200 OK\r\nContent-Type: Image/PNG\r\nContent-Length: 3\r\n\r\nabc".to_owned();
        let (port, served) = site(vec![moved, found.clone(), found]).await;
        let url = format!("http://127.0.0.1:{port}/one");
        let got = outside(Reach::Loopback).ask(&Asked { url: &url, post: None, bytes_max: 10 }).await.unwrap();
        assert_eq!((got.status, got.media_type.as_str(), got.body.as_slice()), (200, "image/png", b"abc".as_slice()));
        assert!(outside(Reach::Loopback).ask(&Asked { url: &url, post: None, bytes_max: 2 }).await.is_err(), "too large");
        let asked = served.await.unwrap();
        assert!(asked[0].starts_with("GET /one HTTP/1.1\r\nHost: 127.0.0.1:") && asked[1].starts_with("GET /two "), "{asked:?}");
        assert!(!asked[0].contains("Cookie") && !asked[0].contains("Referer"));
    }

    #[tokio::test]
    async fn a_form_is_posted_and_follows_nobody() {
        let (port, served) = site(vec!["HTTP/1.1 302 Found\r\nLocation: /two\r\n\r\n".to_owned()]).await;
        let url = format!("http://localhost:{port}/leave?x=1");
        let asked = Asked { url: &url, post: Some(Post::form("List-Unsubscribe=One-Click")), bytes_max: 10 };
        assert_eq!(outside(Reach::Loopback).ask(&asked).await.unwrap().status, 302);
        let asked = served.await.unwrap();
        assert!(asked[0].starts_with("POST /leave?x=1 HTTP/1.1\r\n") && asked[0].ends_with("\r\n\r\nList-Unsubscribe=One-Click"));
    }

    #[tokio::test]
    async fn who_is_not_public_is_not_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "x.localhost", "0.0.0.0"] {
            let url = format!("http://{host}:{port}/");
            let asked = Asked { url: &url, post: None, bytes_max: 10 };
            assert!(outside(Reach::Public).ask(&asked).await.is_err(), "{host}");
        }
        assert!(tokio::time::timeout(Duration::from_millis(50), listener.accept()).await.is_err(), "nobody knocked");
    }
}

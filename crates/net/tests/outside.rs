//! Hosts that a message or a user names, by a network that writes down who was dialled: nobody who is not public is, by whatever
//! name, redirect or change of mind of whoever answers for the name; and nobody keeps us longer, or with more, than is allowed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hickory_proto::op::{Message, MessageType, OpCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};
use net::outside::{Asked, EXCHANGE_MAX, Outside, Post, REDIRECTS_MAX, Reach};
use net::{Dial, Dialling, Network, Resolver, TlsClient};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

/// What whoever is dialled does.
#[derive(Clone)]
enum Site {
    /// Answers this.
    Says(String),
    /// Sends so much, again and again.
    Endless(&'static str),
    /// Takes the question and is silent.
    Silent,
}

/// Everybody is there; who was dialled is written down.
#[derive(Clone)]
struct Road {
    site: Site,
    dialled: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Road {
    fn to(site: Site) -> Road {
        Road { site, dialled: Arc::default() }
    }

    fn dialled(&self) -> Vec<String> {
        self.dialled.lock().unwrap().iter().map(|to| to.ip().to_string()).collect()
    }
}

impl Dial for Road {
    fn dial(&self, to: SocketAddr) -> Dialling {
        self.dialled.lock().unwrap().push(to);
        let site = self.site.clone();
        Box::pin(async move {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            tokio::spawn(async move {
                let _ = far.read(&mut [0; 4096]).await;
                match site {
                    Site::Says(answer) => drop(far.write_all(answer.as_bytes()).await),
                    Site::Endless(piece) => {
                        let _ = far.write_all(b"HTTP/1.1 200 OK\r\n").await;
                        while far.write_all(piece.repeat(100).as_bytes()).await.is_ok() {}
                    }
                    Site::Silent => std::future::pending().await,
                }
            });
            Ok((Box::new(near) as Box<dyn net::Octets>, to))
        })
    }
}

type Turns<'a> = &'a [&'a [&'a str]];

/// Answers for each name these addresses the first time it is asked, those the second ... and then the last again. Beside it how
/// often each was asked for its IPv4.
async fn dns(answers: &[(&str, Turns<'_>)]) -> (Resolver, Arc<Mutex<HashMap<String, usize>>>) {
    let turn = |ips: &&[&str]| ips.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
    let answers: HashMap<String, Vec<Vec<IpAddr>>> =
        answers.iter().map(|(name, turns)| ((*name).to_owned(), turns.iter().map(turn).collect())).collect();
    let asked: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (at, counted) = (udp.local_addr().unwrap(), Arc::clone(&asked));
    tokio::spawn(async move {
        let (mut buffer, mut sixes) = ([0; 4096], HashMap::<String, usize>::new());
        while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
            let request = Message::from_vec(&buffer[..length]).unwrap();
            let question = request.queries[0].clone();
            let name = question.name.to_lowercase().to_ascii().trim_end_matches('.').to_owned();
            let mut response = Message::new(request.metadata.id, MessageType::Response, OpCode::Query);
            response.metadata.recursion_available = true;
            response.add_query(question.clone());
            let turn = {
                let mut fours = counted.lock().unwrap();
                let times = if question.query_type == RecordType::A { &mut *fours } else { &mut sixes };
                let times = times.entry(name.clone()).or_default();
                *times += 1;
                *times - 1
            };
            let found = answers.get(&name).and_then(|turns| turns.get(turn).or(turns.last())).cloned().unwrap_or_default();
            for ip in found {
                let data = match (ip, question.query_type) {
                    (IpAddr::V4(ip), RecordType::A) => RData::A(A(ip)),
                    (IpAddr::V6(ip), RecordType::AAAA) => RData::AAAA(AAAA(ip)),
                    _ => continue,
                };
                // Nobody may keep it.
                response.add_answer(Record::from_rdata(question.name.clone(), 0, data));
            }
            let _ = udp.send_to(&response.to_vec().unwrap(), from).await;
        }
    });
    (Resolver::with_servers(vec![at]).unwrap(), asked)
}

fn outside(road: &Road, resolver: &Resolver) -> Outside {
    let network = Network::Other(Arc::new(road.clone()));
    Outside::new(network, resolver.clone(), TlsClient::verified(None).unwrap(), Reach::Public)
}

const FOUND: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn get(url: &str) -> Asked<'_> {
    Asked { url, post: None, bytes_max: 1000 }
}

const INSIDE: [(&str, Turns<'static>); 8] = [
    ("loop.test", &[&["127.0.0.1"]]),
    ("ten.test", &[&["10.0.0.1"]]),
    ("link.test", &[&["169.254.169.254"]]),
    ("unique.test", &[&["fd00::1"]]),
    ("mapped.test", &[&["::ffff:10.0.0.1"]]),
    ("nat64.test", &[&["64:ff9b::a00:1"]]),
    ("sixtofour.test", &[&["2002:7f00:1::"]]),
    ("all.test", &[&["0.0.0.0", "::", "::1", "224.0.0.1", "100.64.0.1", "198.18.0.1"]]),
];

const HOSTS: &str = "127.0.0.1 127.1 127.0.1 2130706433 017700000001 0x7f000001 0x7f.0.0.1 0177.0.0.1 0 0.0.0.0 10.0.0.1 \
    169.254.169.254 100.64.0.1 198.18.0.1 224.0.0.1 255.255.255.255 [::1] [::] [::ffff:127.0.0.1] [::ffff:10.0.0.1] \
    [::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::10.0.0.1] [64:ff9b:1::1] [2002:7f00:1::] [2001:0:7f00:1::] [fc00::1] [fe80::1] \
    [ff02::1] localhost LocalHost. a.localhost loop.test LOOP.test. ten.test link.test unique.test mapped.test nat64.test \
    sixtofour.test all.test";

#[tokio::test]
async fn nobody_who_is_not_public_is_dialled_by_whatever_name() {
    let (resolver, _) = dns(&INSIDE).await;
    let road = Road::to(Site::Says(FOUND.into()));
    let outside = outside(&road, &resolver);
    for host in HOSTS.split_ascii_whitespace() {
        for scheme in ["http", "https"] {
            let got = outside.ask(&get(&format!("{scheme}://{host}/"))).await;
            assert!(got.is_err(), "{scheme}://{host}: {got:?}");
            let elsewhere = format!("{scheme}://{host}:8080/");
            let post = Asked { post: Some(Post::form("a=b")), ..get(&elsewhere) };
            assert!(outside.ask(&post).await.is_err(), "{scheme}://{host}");
            assert_eq!(road.dialled(), [""; 0], "{scheme}://{host}");
        }
    }
}

#[tokio::test]
async fn of_a_name_with_both_the_public_address_alone_is_dialled() {
    let both: Turns<'_> = &[&["10.0.0.1", "9.9.9.9", "127.0.0.1", "fd00::1", "2620:fe::fe"]];
    let (resolver, _) = dns(&[("both.test", both)]).await;
    let road = Road::to(Site::Says(FOUND.into()));
    assert_eq!(outside(&road, &resolver).ask(&get("http://both.test/")).await.unwrap().status, 200);
    let dialled = road.dialled();
    assert!(dialled.iter().all(|ip| ["9.9.9.9", "2620:fe::fe"].contains(&ip.as_str())) && !dialled.is_empty(), "{dialled:?}");
}

/// A name that leads elsewhere the second time: what was looked at is what is dialled, and each new question is looked at anew.
#[tokio::test]
async fn a_name_that_changes_its_mind_leads_nowhere_else() {
    let turns: Turns<'_> = &[&["9.9.9.9"], &["127.0.0.1"]];
    let (resolver, asked) = dns(&[("rebound.test", turns), ("again.test", turns)]).await;
    let times = |name: &str| asked.lock().unwrap().get(name).copied();
    let road = Road::to(Site::Says(FOUND.into()));
    let way = outside(&road, &resolver);
    assert_eq!(way.ask(&get("http://rebound.test/")).await.unwrap().status, 200);
    assert_eq!(times("rebound.test"), Some(1), "for looking and dialling both");
    assert!(way.ask(&get("http://rebound.test/")).await.is_err());
    assert_eq!((times("rebound.test"), road.dialled()), (Some(2), vec!["9.9.9.9".to_owned()]));
    // The same between a redirect and where it leads.
    let road = Road::to(Site::Says("HTTP/1.1 302 Found\r\nLocation: /two\r\n\r\n".into()));
    assert!(outside(&road, &resolver).ask(&get("http://again.test/one")).await.is_err());
    assert_eq!(road.dialled(), ["9.9.9.9"]);
}

#[tokio::test]
async fn a_redirect_leads_to_nobody_who_is_not_public() {
    let (resolver, _) = dns(&[("public.test", &[&["9.9.9.9"]]), ("inside.test", &[&["10.0.0.1"]])]).await;
    for to in [
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://inside.test/",
        "//inside.test/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://public.test@127.0.0.1/",
        "http://public.test:25/",
        "http://localhost/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "/round/and/round",
    ] {
        let road = Road::to(Site::Says(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n\r\n")));
        assert!(outside(&road, &resolver).ask(&get("http://public.test/")).await.is_err(), "{to}");
        let dialled = road.dialled();
        assert!(dialled.iter().all(|ip| ip == "9.9.9.9") && dialled.len() <= REDIRECTS_MAX + 1, "{to}: {dialled:?}");
    }
    // Where a form is handed in nothing is followed.
    let road = Road::to(Site::Says("HTTP/1.1 307 Moved\r\nLocation: http://public.test/two\r\n\r\n".into()));
    let post = Asked { post: Some(Post::form("a=b")), ..get("http://public.test/") };
    assert_eq!(outside(&road, &resolver).ask(&post).await.unwrap().status, 307);
    assert_eq!(road.dialled().len(), 1);
}

#[tokio::test]
async fn what_never_ends_is_let_go() {
    let (resolver, _) = dns(&[("public.test", &[&["9.9.9.9"]])]).await;
    for piece in ["\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "X-Header: y\r\n", "x"] {
        let road = Road::to(Site::Endless(piece));
        let begun = std::time::Instant::now();
        assert!(outside(&road, &resolver).ask(&get("http://public.test/")).await.is_err(), "{piece:?}");
        assert!(begun.elapsed() < EXCHANGE_MAX, "{piece:?}: by its size");
    }
    let long = format!("HTTP/1.1 {}\r\n\r\n", "\u{2603}".repeat(20));
    for lies in [
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx",
        &long,
        "",
    ] {
        let road = Road::to(Site::Says(lies.into()));
        assert!(outside(&road, &resolver).ask(&get("http://public.test/")).await.is_err(), "{lies:?}");
    }
}

#[tokio::test]
async fn who_is_silent_is_not_waited_for() {
    let (resolver, _) = dns(&[("public.test", &[&["9.9.9.9"]])]).await;
    let road = Road::to(Site::Silent);
    let way = outside(&road, &resolver);
    let asking = tokio::spawn(async move { way.ask(&get("http://public.test/")).await.map(|got| got.status) });
    while road.dialled().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    assert_eq!(asking.await.unwrap().unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    assert!(begun.elapsed() <= EXCHANGE_MAX, "{:?}", begun.elapsed());
}

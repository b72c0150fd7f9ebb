//! A tiny authoritative DNS server (RFC 1035) for `packetboat try` and for tests: static records, UDP and TCP.
//!
//! Everything it does not know is NXDOMAIN: nothing is ever asked elsewhere. Built on hickory-proto's messages.

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{self, A, AAAA, MX, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Time to live of every record.
const TTL_SECS: u32 = 60;
/// TCP connections at once.
const TCP_MAX: usize = 32;
/// An idle TCP connection is closed after this.
const TCP_IDLE_MAX: Duration = Duration::from_secs(10);

/// The records the server has. Names that are none are passed over.
#[derive(Debug, Clone, Default)]
pub struct Zone {
    records: HashMap<Name, Vec<RData>>,
    broken: HashSet<Name>,
    proven: HashSet<Name>,
}

fn absolute(name: &str) -> Option<Name> {
    let mut name = Name::from_str_relaxed(name).ok()?.to_lowercase();
    name.set_fqdn(true);
    Some(name)
}

impl Zone {
    /// Nothing in it.
    pub fn new() -> Zone {
        Zone::default()
    }

    fn add(&mut self, name: &str, data: RData) -> &mut Zone {
        if let Some(name) = absolute(name) {
            self.records.entry(name).or_default().push(data);
        }
        self
    }

    /// Mail for `domain` goes to `host`.
    pub fn mx(&mut self, domain: &str, preference: u16, host: &str) -> &mut Zone {
        match absolute(host) {
            Some(host) => self.add(domain, RData::MX(MX::new(preference, host))),
            None => self,
        }
    }

    /// `domain` takes no mail (RFC 7505).
    pub fn null_mx(&mut self, domain: &str) -> &mut Zone {
        self.add(domain, RData::MX(MX::new(0, Name::root())))
    }

    /// An A or AAAA record.
    pub fn address(&mut self, host: &str, ip: IpAddr) -> &mut Zone {
        match ip {
            IpAddr::V4(ip) => self.add(host, RData::A(A(ip))),
            IpAddr::V6(ip) => self.add(host, RData::AAAA(AAAA(ip))),
        }
    }

    /// A TXT record, in strings of at most 255 octets.
    pub fn txt(&mut self, name: &str, text: &str) -> &mut Zone {
        let strings: Vec<&[u8]> = text.as_bytes().chunks(255).collect();
        self.add(name, RData::TXT(TXT::from_bytes(strings)))
    }

    /// A service (RFC 2782) at `host` and `port`.
    pub fn srv(&mut self, name: &str, port: u16, host: &str) -> &mut Zone {
        match absolute(host) {
            Some(host) => self.add(name, RData::SRV(SRV::new(0, 1, port, host))),
            None => self,
        }
    }

    /// The name of an address.
    pub fn ptr(&mut self, ip: IpAddr, host: &str) -> &mut Zone {
        match absolute(host) {
            Some(host) => self.add(&Name::from(ip).to_ascii(), RData::PTR(PTR(host))),
            None => self,
        }
    }

    /// A TLSA record at `name` (`_25._tcp.mx.example.org`).
    pub fn tlsa(&mut self, name: &str, tlsa: &crate::Tlsa) -> &mut Zone {
        let data = rdata::TLSA::new(tlsa.usage.into(), tlsa.selector.into(), tlsa.matching.into(), tlsa.data.clone());
        self.add(name, RData::TLSA(data))
    }

    /// Answers about this name and those below it are told as proven (AD), as a validating resolver would.
    pub fn proven(&mut self, name: &str) -> &mut Zone {
        self.proven.extend(absolute(name));
        self
    }

    /// Questions for this name are answered SERVFAIL.
    pub fn servfail(&mut self, name: &str) -> &mut Zone {
        self.broken.extend(absolute(name));
        self
    }

    fn answer(&self, request: &Message) -> Message {
        let mut response = Message::new(request.metadata.id, MessageType::Response, request.metadata.op_code);
        response.metadata.recursion_desired = request.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        response.metadata.authoritative = true;
        let about = request.queries.first().map(|query| query.name.to_lowercase());
        let proven = about.is_some_and(|name| self.proven.iter().any(|zone| zone.zone_of(&name)));
        response.metadata.authentic_data = proven && request.metadata.authentic_data;
        response.edns = request.edns.as_ref().map(|_| hickory_proto::op::Edns::new());
        let [question] = request.queries.as_slice() else {
            response.metadata.response_code = ResponseCode::FormErr;
            return response;
        };
        response.add_query(question.clone());
        let name = question.name.to_lowercase();
        if request.metadata.op_code != OpCode::Query || question.query_class != DNSClass::IN {
            response.metadata.response_code = ResponseCode::NotImp;
        } else if self.broken.contains(&name) {
            response.metadata.response_code = ResponseCode::ServFail;
        } else if let Some(records) = self.records.get(&name) {
            let wanted = |data: &&RData| question.query_type == RecordType::ANY || data.record_type() == question.query_type;
            for data in records.iter().filter(wanted) {
                response.add_answer(Record::from_rdata(question.name.clone(), TTL_SECS, data.clone()));
            }
        } else if !self.records.keys().any(|known| name.zone_of(known)) {
            response.metadata.response_code = ResponseCode::NXDomain;
        }
        if response.answers.is_empty() && response.metadata.response_code != ResponseCode::ServFail {
            response.add_authority(soa());
        }
        response
    }
}

/// Makes a "no" cacheable (RFC 2308).
fn soa() -> Record {
    let data = SOA::new(Name::root(), Name::root(), 1, 3600, 600, 86_400, TTL_SECS);
    Record::from_rdata(Name::root(), TTL_SECS, RData::SOA(data))
}

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct DnsServer {
    local: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl DnsServer {
    /// Listens on `addr` (port 0: any that is free for UDP and TCP) and answers from `zone`.
    pub async fn start(addr: SocketAddr, zone: Zone) -> io::Result<DnsServer> {
        let (udp, tcp) =
            bind(addr).await.map_err(|error| io::Error::new(error.kind(), format!("cannot answer DNS on {addr}: {error}")))?;
        let local = udp.local_addr()?;
        let zone = Arc::new(zone);
        let tasks = vec![tokio::spawn(serve_udp(udp, Arc::clone(&zone))), tokio::spawn(serve_tcp(tcp, zone))];
        Ok(DnsServer { local, tasks })
    }

    /// Where it listens, with the real port.
    pub fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn bind(addr: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    // A port that UDP got may be taken for TCP; then another one is tried.
    for _ in 0..20 {
        let udp = UdpSocket::bind(addr).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if addr.port() != 0 => return Err(error),
            Err(_) => {}
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

async fn serve_udp(udp: UdpSocket, zone: Arc<Zone>) {
    let mut buffer = vec![0u8; 4096];
    loop {
        let Ok((length, from)) = udp.recv_from(&mut buffer).await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let Some(Ok(request)) = buffer.get(..length).map(Message::from_vec) else { continue };
        if request.metadata.message_type != MessageType::Query {
            continue;
        }
        let room = usize::from(request.max_payload());
        let response = zone.answer(&request);
        let bytes = match response.to_vec() {
            Ok(bytes) if bytes.len() > room => response.truncate().to_vec(),
            bytes => bytes,
        };
        if let Ok(bytes) = bytes {
            let _ = udp.send_to(&bytes, from).await;
        }
    }
}

async fn serve_tcp(tcp: TcpListener, zone: Arc<Zone>) {
    let slots = Arc::new(Semaphore::new(TCP_MAX));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match tcp.accept().await {
            Ok((stream, _)) => {
                let zone = Arc::clone(&zone);
                tokio::spawn(async move {
                    let _ = converse(stream, &zone).await;
                    drop(slot);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn converse(mut stream: TcpStream, zone: &Zone) -> io::Result<()> {
    loop {
        let length = tokio::time::timeout(TCP_IDLE_MAX, stream.read_u16()).await??;
        let mut buffer = vec![0u8; usize::from(length)];
        tokio::time::timeout(TCP_IDLE_MAX, stream.read_exact(&mut buffer)).await??;
        let request = Message::from_vec(&buffer).map_err(io::Error::other)?;
        let bytes = zone.answer(&request).to_vec().map_err(io::Error::other)?;
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(&bytes);
        stream.write_all(&framed).await?;
    }
}

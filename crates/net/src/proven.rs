//! Questions whose answers must be proven (DNSSEC), asked of a validating resolver on this machine: it proves, and says so
//! by the AD bit (RFC 4035 §3.2.3, RFC 6840 §5.7 and §5.8).
//!
//! Why not validated here: `docs/decisions/0007-dnssec.md`. Invariant: an answer is only told as proven when it came from
//! a server that the configuration trusts; an answer that could not be proven (SERVFAIL) is temporary, never "not there".

use crate::dns::DnsError;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use ring::rand::{SecureRandom, SystemRandom};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Each try takes at most this.
const TRY_MAX: Duration = Duration::from_secs(3);
/// Tries, over all servers.
const TRIES: usize = 3;
/// Octets of a UDP answer.
const UDP_BYTES: u16 = 1232;

/// What is known about an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven<T> {
    /// The answer.
    pub value: T,
    /// DNSSEC proves it.
    pub secure: bool,
}

fn temporary(error: impl std::fmt::Display) -> DnsError {
    DnsError::Temporary(error.to_string())
}

fn question(name: &Name, kind: RecordType) -> io::Result<Message> {
    let mut id = [0u8; 2];
    SystemRandom::new().fill(&mut id).map_err(|_| io::Error::other("no randomness"))?;
    let mut message = Message::new(u16::from_be_bytes(id), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.authentic_data = true;
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_BYTES);
    message.edns = Some(edns);
    message.add_query(Query::query(name.clone(), kind));
    Ok(message)
}

/// All records of a kind at a name; `NotFound` and `NoData` are told as the server says them.
pub(crate) async fn ask(servers: &[SocketAddr], name: &Name, kind: RecordType) -> Result<Proven<Vec<RData>>, DnsError> {
    let mut trouble = DnsError::Temporary("no server to ask".into());
    for server in servers.iter().cycle().take(TRIES.max(servers.len())) {
        match one(*server, name, kind).await.map_err(temporary).and_then(|answer| read(&answer, kind)) {
            Err(error @ DnsError::Temporary(_)) => trouble = error,
            other => return other,
        }
    }
    Err(trouble)
}

async fn one(server: SocketAddr, name: &Name, kind: RecordType) -> io::Result<Message> {
    let asked = question(name, kind)?;
    let octets = asked.to_vec().map_err(io::Error::other)?;
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("{server} does not answer"));
    let answer = timeout(TRY_MAX, by_udp(server, &octets, &asked)).await.map_err(|_| late())??;
    if !answer.metadata.truncation {
        return Ok(answer);
    }
    timeout(TRY_MAX, by_tcp(server, &octets, &asked)).await.map_err(|_| late())?
}

fn is_answer(answer: &Message, asked: &Message) -> bool {
    answer.metadata.id == asked.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.queries.first().map(|query| (query.name.to_lowercase(), query.query_type))
            == asked.queries.first().map(|query| (query.name.to_lowercase(), query.query_type))
}

async fn by_udp(server: SocketAddr, octets: &[u8], asked: &Message) -> io::Result<Message> {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(octets).await?;
    let mut buffer = vec![0u8; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // Whatever else comes is not for us.
        if let Some(answer) = buffer.get(..length).and_then(|octets| Message::from_vec(octets).ok())
            && is_answer(&answer, asked)
        {
            return Ok(answer);
        }
    }
}

async fn by_tcp(server: SocketAddr, octets: &[u8], asked: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(octets.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), octets].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0u8; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    let answer = Message::from_vec(&answer).map_err(io::Error::other)?;
    if is_answer(&answer, asked) { Ok(answer) } else { Err(io::Error::other("an answer to another question")) }
}

fn read(answer: &Message, kind: RecordType) -> Result<Proven<Vec<RData>>, DnsError> {
    match answer.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Err(DnsError::NotFound),
        other => return Err(DnsError::Temporary(format!("{other}"))),
    }
    let value: Vec<RData> =
        answer.answers.iter().filter(|record| record.record_type() == kind).map(|record| record.data.clone()).collect();
    if value.is_empty() { Err(DnsError::NoData) } else { Ok(Proven { value, secure: answer.metadata.authentic_data }) }
}

//! One POP3 connection to somebody else's server: `wire`'s client session on a connection.
//!
//! Invariant: messages are known by their UIDL alone; their numbers count within one session only. Must not know: the store.

use crate::dial::{Dialer, nonce};
use crate::limits::{GOODBYE_MAX, MAILDROP_MESSAGES_MAX, MESSAGE_BYTES_MAX, STRANGERS_MAX};
use crate::place::Place;
use crate::trouble::Trouble;
use bytes::{Bytes, BytesMut};
use net::{Connection, Next};
use std::collections::HashMap;
use wire::pop3::client::{Client, Config, Event, Failure, Request, Stls};
use wire::pop3::{Capability, ResponseCode};
use wire::sasl::Secret;
use wire::sasl::client::Credentials;

/// One signed-in connection.
pub struct Pop {
    connection: Connection,
    session: Client,
    host: String,
    capabilities: Vec<Capability>,
}

/// What is in a maildrop.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Listed {
    pub number: u32,
    pub octets: u64,
    pub unique_id: String,
}

fn told(failure: Failure, host: &str) -> Trouble {
    let text = format!("{host}: {failure}");
    match &failure {
        // RFC 3206: not the password's fault.
        Failure::SignIn(reply) | Failure::Greeting(reply) => {
            let passing = matches!(reply.code, Some(ResponseCode::SysTemp | ResponseCode::InUse | ResponseCode::LoginDelay));
            if passing { Trouble::Lost(text) } else { Trouble::SignIn(text) }
        }
        Failure::NoTls | Failure::NoMechanism => Trouble::Refused(text),
        Failure::Sasl(_) => Trouble::SignIn(text),
        Failure::Protocol(_) => Trouble::Protocol(text),
        Failure::TimedOut | Failure::Ended => Trouble::Lost(text),
    }
}

impl Pop {
    /// Connects and signs in.
    ///
    /// # Errors
    /// No connection, no TLS, or not let in.
    pub async fn open(dialer: &Dialer, place: &Place, login: &str, password: &Secret) -> Result<Pop, Trouble> {
        let connection = dialer.connect(place).await?;
        let local = connection.peer().is_loopback();
        let config = Config {
            tls: connection.is_tls(),
            stls: if local { Stls::IfOffered } else { Stls::Required },
            plaintext: local,
            credentials: Credentials { login: login.to_owned(), password: password.clone() },
            nonce: nonce(),
            // Else a server changes what UTF-8 the header has (RFC 6856 §8), and it is not the message any more.
            utf8: true,
        };
        let mut pop = Pop { connection, session: Client::new(config), host: place.to_string(), capabilities: Vec::new() };
        loop {
            if let Event::Ready(capabilities) = pop.next().await? {
                pop.capabilities = capabilities;
                return Ok(pop);
            }
        }
    }

    /// Who is there, for people.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The server can do it.
    pub fn has(&self, capability: &Capability) -> bool {
        self.capabilities.contains(capability)
    }

    /// The next thing heard. Cancel-safe.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn next(&mut self) -> Result<Event, Trouble> {
        match self.connection.next(&mut self.session).await {
            Next::Event(Event::Failed(failure)) => Err(told(failure, &self.host)),
            Next::Event(event) => Ok(event),
            Next::Closed => Err(Trouble::over(&self.connection, &self.host)),
        }
    }

    /// Asks; answers come in order with [`Pop::next`].
    pub fn request(&mut self, request: Request) {
        self.session.request(request);
    }

    /// What lies there, in the server's order. Without UIDL there is nothing to tell messages apart by, so nothing is taken.
    ///
    /// # Errors
    /// The connection is over, or the server has no UIDL.
    pub async fn list(&mut self) -> Result<Vec<Listed>, Trouble> {
        self.request(Request::List);
        self.request(Request::Uidl);
        let mut found: Vec<Listed> = Vec::new();
        // Where each number is; made when the two lists differ in order, which they do not, as a rule.
        let mut places: Option<HashMap<u32, usize>> = None;
        let mut ids = 0;
        loop {
            match self.next().await? {
                Event::Listed { message, octets } => {
                    if found.len() >= MAILDROP_MESSAGES_MAX {
                        return Err(Trouble::Protocol(format!("{} has more messages than anybody", self.host)));
                    }
                    found.push(Listed { number: message, octets, unique_id: String::new() });
                }
                Event::UniqueId { message, id } => {
                    ids += 1;
                    if ids > found.len().saturating_add(STRANGERS_MAX) {
                        return Err(Trouble::Protocol(format!("{} tells UIDs of messages without an end", self.host)));
                    }
                    let usual = (message as usize).wrapping_sub(1);
                    let at = if found.get(usual).is_some_and(|listed| listed.number == message) {
                        Some(usual)
                    } else {
                        let place = |(at, listed): (usize, &Listed)| (listed.number, at);
                        let places = places.get_or_insert_with(|| found.iter().enumerate().rev().map(place).collect());
                        places.get(&message).copied()
                    };
                    if let Some(listed) = at.and_then(|at| found.get_mut(at)) {
                        listed.unique_id = id;
                    }
                }
                Event::Done(Request::Uidl) => break,
                Event::Refused(Request::Uidl, reply) => {
                    return Err(Trouble::Refused(format!(
                        "{} has no UIDL ({}), so nothing tells its messages apart",
                        self.host, reply.text
                    )));
                }
                Event::Refused(Request::List, reply) => {
                    return Err(Trouble::Refused(format!("{} does not list its messages: {}", self.host, reply.text)));
                }
                _ => {}
            }
        }
        found.retain(|listed| !listed.unique_id.is_empty());
        Ok(found)
    }

    /// The octets that answer the oldest RETR or TOP under way; `None`: too large, or the server said no (why).
    ///
    /// # Errors
    /// The connection is over.
    pub async fn content(&mut self) -> Result<(Request, Result<Bytes, String>), Trouble> {
        let mut octets = BytesMut::new();
        let mut fits = true;
        loop {
            match self.next().await? {
                Event::Content(piece) => {
                    fits &= (octets.len() + piece.len()) as u64 <= MESSAGE_BYTES_MAX;
                    if fits {
                        octets.extend_from_slice(&piece);
                    }
                }
                Event::Done(request @ (Request::Retr(_) | Request::Top { .. })) => {
                    let content = if fits { Ok(octets.freeze()) } else { Err("it is too large".to_owned()) };
                    return Ok((request, content));
                }
                Event::Refused(request @ (Request::Retr(_) | Request::Top { .. }), reply) => {
                    return Ok((request, Err(reply.text)));
                }
                _ => {}
            }
        }
    }

    /// Says goodbye, which makes deletions come true; whether the server agreed.
    pub async fn quit(mut self) -> bool {
        self.request(Request::Quit);
        let goodbye = async {
            loop {
                match self.next().await {
                    Ok(Event::Done(Request::Quit)) => return true,
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
        };
        tokio::time::timeout(GOODBYE_MAX * 10, goodbye).await.unwrap_or(false)
    }
}

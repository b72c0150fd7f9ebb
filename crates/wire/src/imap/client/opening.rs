//! From the greeting to the first command: capabilities, STARTTLS, sign-in.
//!
//! Invariant: no credentials before TLS unless the configuration says so or the mechanism hides them.

use super::{Client, Failure, StartTls};
use crate::imap::capability::Capabilities;
use crate::imap::command::Command;
use crate::imap::response::{Kind, Response, StatusText};
use crate::imap::response_code::Code;
use crate::sasl::client::Exchange;
use crate::sasl::{self, Mechanism};

/// How far the opening is.
#[derive(Debug)]
pub(super) enum Opening {
    Greeting,
    /// CAPABILITY was asked; `signed_in`: it is the last step.
    Capability {
        signed_in: bool,
    },
    StartTls,
    /// The owner does the handshake.
    Tls,
    Sasl {
        exchange: Box<Exchange>,
        refused: bool,
    },
    Login,
    Done,
}

impl Opening {
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Opening::Done)
    }
    pub(super) fn wants_tls(&self) -> bool {
        matches!(self, Opening::Tls)
    }
}

impl Client {
    pub(super) fn opening_untagged(&mut self, response: &Response) {
        if !matches!(self.opening, Opening::Greeting) {
            if let Some(text) = self.bye.take() {
                self.fail(Failure::Bye(text));
            }
            return;
        }
        match response {
            Response::Condition(StatusText { kind: Kind::Ok, .. }) => self.after_capabilities_unless_unknown(false),
            // Somebody in the middle could say PREAUTH to keep us from STARTTLS.
            Response::Condition(StatusText { kind: Kind::PreAuth, .. })
                if !self.config.tls && self.config.starttls == StartTls::Require =>
            {
                self.fail(Failure::NoTls);
            }
            Response::Condition(StatusText { kind: Kind::PreAuth, .. }) => self.after_capabilities_unless_unknown(true),
            Response::Condition(StatusText { kind: Kind::Bye, text, .. }) => self.fail(Failure::Bye(text.clone())),
            _ => self.fail(Failure::Protocol("the server does not greet as IMAP servers do")),
        }
    }

    pub(super) fn opening_tagged(&mut self, status: StatusText) {
        match std::mem::replace(&mut self.opening, Opening::Done) {
            Opening::Capability { signed_in } => self.after_capabilities(signed_in),
            Opening::StartTls if status.kind == Kind::Ok => {
                if self.input.is_empty() {
                    self.opening = Opening::Tls;
                } else {
                    self.fail(Failure::Protocol("the server sent something behind its answer to STARTTLS"));
                }
            }
            Opening::StartTls => self.fail(Failure::NoTls),
            Opening::Sasl { exchange, refused } if status.kind == Kind::Ok => match exchange.succeeded() {
                Ok(()) if !refused => self.signed_in(&status),
                _ => self.fail(Failure::ServerUnproved),
            },
            // Announced and broken (Coremail): once more, without the initial response.
            Opening::Sasl { refused: false, .. } if status.kind == Kind::Bad && self.capabilities.has("SASL-IR") => {
                self.capabilities.0.retain(|word| !word.eq_ignore_ascii_case("SASL-IR"));
                self.sign_in();
            }
            Opening::Sasl { refused: true, .. } => self.fail(Failure::ServerUnproved),
            Opening::Login if status.kind == Kind::Ok => self.signed_in(&status),
            Opening::Sasl { .. } | Opening::Login => self.fail(Failure::SignIn(status)),
            other => self.opening = other,
        }
    }

    pub(super) fn opening_tls_started(&mut self) {
        self.config.tls = true;
        self.capabilities = Capabilities::default();
        if self.input.is_empty() {
            self.ask_capabilities(false);
        } else {
            self.fail(Failure::Protocol("the server sent something behind its answer to STARTTLS"));
        }
    }

    fn ask_capabilities(&mut self, signed_in: bool) {
        self.opening = Opening::Capability { signed_in };
        self.command(&Command::Capability);
    }

    fn after_capabilities_unless_unknown(&mut self, signed_in: bool) {
        if self.capabilities.0.is_empty() { self.ask_capabilities(signed_in) } else { self.after_capabilities(signed_in) }
    }

    fn after_capabilities(&mut self, signed_in: bool) {
        if signed_in {
            return self.ready();
        }
        let offered = self.capabilities.has("STARTTLS");
        match self.config.starttls {
            _ if self.config.tls => self.sign_in(),
            StartTls::Require if !offered => self.fail(Failure::NoTls),
            StartTls::Require | StartTls::IfOffered if offered => {
                self.opening = Opening::StartTls;
                self.command(&Command::StartTls);
            }
            _ => self.sign_in(),
        }
    }

    fn sign_in(&mut self) {
        let Some(credentials) = self.config.credentials.clone() else { return self.ready() };
        let private = self.config.tls || self.config.plaintext;
        let named = |m: &Mechanism| {
            self.capabilities.0.iter().any(|c| {
                c.get(..5).is_some_and(|p| p.eq_ignore_ascii_case("AUTH="))
                    && c.get(5..).is_some_and(|n| n.eq_ignore_ascii_case(m.name()))
            })
        };
        let offered: Vec<Mechanism> = Mechanism::ALL.into_iter().filter(named).collect();
        if let Some(mechanism) = sasl::client::choose(&offered, &credentials, private, self.channel.as_deref()) {
            let mut exchange = Exchange::new(mechanism, credentials, &self.config.nonce, self.channel.as_deref());
            let initial_response =
                if self.capabilities.has("SASL-IR") { exchange.initial().map(|octets| octets.to_vec()) } else { None };
            self.opening = Opening::Sasl { exchange: Box::new(exchange), refused: false };
            self.command(&Command::Authenticate { mechanism: mechanism.name().into(), initial_response });
        } else if private && credentials.password.is_password() && !self.capabilities.has("LOGINDISABLED") {
            self.opening = Opening::Login;
            self.command(&Command::Login { user: credentials.login.clone(), password: credentials.password.as_bytes().to_vec() });
        } else {
            self.fail(Failure::NoMechanism);
        }
    }

    /// A challenge, if an exchange is under way.
    pub(super) fn sasl_challenge(&mut self, text: &[u8]) {
        let Opening::Sasl { exchange, refused } = &mut self.opening else { return };
        let answer = sasl::decode_line(text.trim_ascii()).ok().and_then(|challenge| exchange.respond(&challenge).ok());
        match answer {
            Some(octets) => self.out.extend_from_slice(sasl::encode_line(&octets).as_bytes()),
            None => {
                *refused = true;
                self.out.extend_from_slice(b"*");
            }
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// What was announced before counts no more (RFC 9051 §6.2.2).
    fn signed_in(&mut self, status: &StatusText) {
        if matches!(status.code, Some(Code::Capability(_))) { self.ready() } else { self.ask_capabilities(true) }
    }

    fn ready(&mut self) {
        self.opening = Opening::Done;
        self.events.push_back(super::Event::Ready);
    }
}

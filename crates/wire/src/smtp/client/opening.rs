//! From the greeting to the first message: EHLO or HELO, STARTTLS and AUTH by policy.

use super::{Client, Failure, StartTls, State};
use crate::sasl::{self, client as exchange};
use crate::smtp::Reply;
use crate::smtp::ehlo::Offers;
use zeroize::Zeroizing;

impl Client {
    pub(super) fn greeted(&mut self, reply: Reply) {
        if reply.code == 220 {
            self.say_hello();
        } else {
            self.refused(reply);
        }
    }

    pub(super) fn say_hello(&mut self) {
        let verb = if self.config.lmtp { "LHLO" } else { "EHLO" };
        self.line(&format!("{verb} {}", self.config.hostname));
        self.state = State::Hello { extended: true };
    }

    pub(super) fn hello_answered(&mut self, reply: Reply, extended: bool) {
        if reply.is_positive() {
            self.offers = if extended { Offers::parse(&reply.lines) } else { Offers::default() };
            self.secure();
        } else if extended && reply.is_permanent() && !self.config.lmtp {
            // RFC 5321 §3.2: a server of the old days.
            self.line(&format!("HELO {}", self.config.hostname));
            self.state = State::Hello { extended: false };
        } else {
            self.refused(reply);
        }
    }

    /// STARTTLS, if the policy says so.
    fn secure(&mut self) {
        match (self.config.tls, self.offers.starttls, self.config.starttls) {
            (true, _, _) | (_, _, StartTls::Never) | (_, false, StartTls::IfOffered) => self.sign_in(),
            (false, false, StartTls::Require) => self.leave(Failure::TlsNotOffered),
            (false, true, StartTls::IfOffered | StartTls::Require) => {
                self.line("STARTTLS");
                self.state = State::StartTls;
            }
        }
    }

    pub(super) fn start_tls_answered(&mut self, reply: Reply) {
        if reply.code == 220 {
            self.state = State::Tls { asked: false };
            if !self.input.is_empty() {
                self.lose(|_| Failure::BytesBeforeTls);
            }
        } else if self.config.starttls == StartTls::Require {
            self.refused(reply);
        } else {
            self.sign_in();
        }
    }

    /// AUTH, if there are credentials.
    fn sign_in(&mut self) {
        let Some(credentials) = self.config.credentials.clone() else {
            self.state = State::Ready { told: false };
            return;
        };
        let private = self.config.tls || self.config.plaintext_auth;
        let Some(mechanism) = exchange::choose(&self.offers.auth, &credentials, private, self.channel.as_deref()) else {
            return self.leave(Failure::AuthNotOffered);
        };
        let mut exchange = exchange::Exchange::new(mechanism, credentials, &self.config.nonce, self.channel.as_deref());
        let line = match exchange.initial() {
            Some(octets) => Zeroizing::new(format!("AUTH {} {}", mechanism.name(), sasl::encode_initial(&octets))),
            None => Zeroizing::new(format!("AUTH {}", mechanism.name())),
        };
        self.line(&line);
        self.state = State::Auth(exchange);
    }

    pub(super) fn auth_answered(&mut self, reply: Reply) {
        let State::Auth(exchange) = &mut self.state else { return };
        let failure = if reply.code == 334 {
            match sasl::decode_line(reply.text().trim().as_bytes()).map(|challenge| exchange.respond(&challenge)) {
                Ok(Ok(answer)) => {
                    let line = Zeroizing::new(sasl::encode_line(&answer));
                    return self.line(&line);
                }
                Ok(Err(failure)) => failure,
                // Some servers put words where base64 belongs; only mechanisms that ignore challenges can go on.
                Err(_) => match exchange.respond(b"") {
                    Ok(answer) => {
                        let line = Zeroizing::new(sasl::encode_line(&answer));
                        return self.line(&line);
                    }
                    Err(failure) => failure,
                },
            }
        } else if reply.is_positive() {
            match exchange.succeeded() {
                Ok(()) => {
                    self.state = State::Ready { told: false };
                    return;
                }
                Err(failure) => failure,
            }
        } else {
            return self.refused(reply);
        };
        self.line("*");
        self.leave(Failure::Auth(failure));
    }
}

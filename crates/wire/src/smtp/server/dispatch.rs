//! What each command does: order, sign-in, and the questions that go to the owner.

use super::{Await, Event, Hello, Mode, ResetCause, Server, State};
use crate::sasl::{self, Answer, Failure, Mechanism, Refusal, server as exchange};
use crate::smtp::command::{self, Bad, Command, Rules};
use crate::smtp::ehlo::Offers;
use crate::smtp::parameter::{Body, Offered};
use crate::smtp::{Behind, EnhancedCode, Keywords, Reply};
use std::borrow::Cow;
use zeroize::Zeroizing;

fn ok(text: &'static str) -> Reply {
    Reply::new(250, EnhancedCode(2, 0, 0), text)
}

fn order(text: &'static str) -> Reply {
    Reply::new(503, EnhancedCode(5, 5, 1), text)
}

const HELP: &str = "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT; see RFC 5321";

impl Server {
    pub(super) fn parse(&self, line: &[u8]) -> Result<Command, Bad> {
        let offers = self.offers();
        let rules = Rules {
            lenient: self.config.mode == Mode::Submission,
            lmtp: self.config.mode == Mode::Lmtp,
            offered: Offered { dsn: offers.dsn, auth: !offers.auth.is_empty(), keywords: offers.keywords },
            smtputf8: self.transaction.as_ref().is_some_and(|transaction| transaction.smtputf8),
            xclient: self.config.xclient,
        };
        command::parse(line, &rules)
    }

    pub(super) fn command(&mut self, command: Command) {
        let idle = matches!(
            command,
            Command::Ehlo(_) | Command::Helo(_) | Command::Reset | Command::Noop | Command::Help | Command::Vrfy
        );
        self.idle_commands = if idle { self.idle_commands.saturating_add(1) } else { self.idle_commands };
        self.carry_out(command);
        if idle && self.idle_commands > crate::limits::IDLE_COMMANDS_MAX {
            self.count_error();
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Ehlo(name) | Command::Lhlo(name) => self.hello(name, true),
            Command::Helo(name) => self.hello(name, false),
            Command::StartTls => self.start_tls(),
            Command::Auth { mechanism, initial } => self.begin_auth(&mechanism, initial),
            Command::Mail { reverse_path, parameters } => match self.may_mail(parameters.size) {
                Ok(()) if parameters.wishes.unwanted(&self.config.keywords).is_some() => {
                    // RFC 3865 §2.4: said before the recipients, so nothing was promised.
                    self.say(&Reply::new(550, EnhancedCode(5, 7, 1), "Solicitations of this kind are not wanted here"));
                }
                Ok(()) => {
                    let binary = parameters.body == Body::BinaryMime;
                    self.state = State::Await(Await::Mail { smtputf8: parameters.smtputf8, binary });
                    self.events.push_back(Event::Mail { reverse_path, parameters });
                }
                Err(reply) if reply.code == 552 => self.say(&reply),
                Err(reply) => self.error(&reply),
            },
            Command::Rcpt { forward_path, parameters } => match self.transaction.as_ref() {
                None => self.error(&order("MAIL comes before RCPT")),
                Some(transaction) if transaction.incoming.is_some() => self.error(&order("The message has begun")),
                Some(transaction) if transaction.accepted >= self.config.recipients_max => {
                    self.say(&Reply::new(452, EnhancedCode(4, 5, 3), "Too many recipients; send the rest in another message"));
                }
                Some(_) => {
                    self.state = State::Await(Await::Rcpt);
                    self.events.push_back(Event::Rcpt { forward_path, parameters });
                }
            },
            // RFC 3030 §3: lines cannot carry what is binary.
            Command::Data if self.transaction.as_ref().is_some_and(|transaction| transaction.binary) => {
                self.error(&order("BODY=BINARYMIME comes by BDAT"));
            }
            Command::Data => match self.may_begin(false) {
                Ok(()) => {
                    self.idle_commands = 0;
                    self.state = State::Await(Await::Data);
                    self.events.push_back(Event::Data);
                }
                Err(reply) => self.error(&reply),
            },
            Command::Bdat { size, last } => self.bdat(size, last),
            Command::Reset => {
                self.reset(ResetCause::Client);
                self.say(&ok("Forgotten"));
            }
            Command::Xclient(_) if self.transaction.is_some() => self.error(&order("XCLIENT cannot come within a message")),
            Command::Xclient(behind) => self.speaks_for(behind),
            Command::Noop => self.say(&ok("Nothing done")),
            Command::Quit => {
                self.say(&Reply::new(221, EnhancedCode(2, 0, 0), "Goodbye"));
                self.end(ResetCause::Client);
            }
            Command::Help => self.say(&Reply::new(214, EnhancedCode(2, 0, 0), HELP)),
            Command::Vrfy => self.say(&Reply::new(252, EnhancedCode(2, 0, 0), "Cannot tell; send the message and see")),
            Command::Expn => self.error(&Reply::new(502, EnhancedCode(5, 5, 1), "Lists are not told")),
        }
    }

    /// What EHLO says now.
    fn offers(&self) -> Offers {
        let private = self.config.tls || self.config.plaintext_auth;
        let usable = || sasl::usable(&self.config.auth, private, self.channel.as_deref()).collect();
        Offers {
            pipelining: true,
            size: Some(self.config.size_max),
            eight_bit_mime: true,
            smtputf8: true,
            enhanced_status_codes: true,
            starttls: self.config.starttls && !self.config.tls,
            chunking: true,
            binary_mime: true,
            dsn: self.config.mode != Mode::Lmtp,
            help: true,
            // Without TLS not even what keeps the password hidden: the mail that follows would not be.
            auth: if private { usable() } else { Vec::new() },
            any_auth: false,
            keywords: Keywords {
                require_tls: self.config.keywords.require_tls && self.config.tls,
                ..self.config.keywords.clone()
            },
            xclient: self.config.xclient,
        }
    }

    fn hello(&mut self, name: String, extended: bool) {
        // RFC 5321 §4.1.4: as if by RSET.
        self.reset(ResetCause::Client);
        let mut lines = vec![Cow::Owned(self.config.hostname.clone())];
        if extended {
            lines.extend(self.offers().lines().into_iter().map(Cow::Owned));
        }
        self.say(&Reply { code: 250, enhanced: None, lines });
        self.events.push_back(Event::Hello { name: name.clone(), extended });
        self.hello = Some(Hello { name, extended });
    }

    /// From here on as if somebody else had just connected.
    fn speaks_for(&mut self, behind: Behind) {
        self.signed_in = false;
        let extended = behind.extended.unwrap_or(true);
        self.hello = behind.helo.clone().map(|name| Hello { name, extended });
        self.events.push_back(Event::Client(behind));
        self.greet();
    }

    fn start_tls(&mut self) {
        if self.config.tls || !self.config.starttls {
            self.error(&order("TLS is on already, or not to be had"));
        } else if !self.input.is_empty() {
            // Commands smuggled in before the handshake would be taken for the client's (RFC 3207 §6).
            self.say_and_close(&Reply::new(421, EnhancedCode(4, 7, 0), "Nothing may follow STARTTLS before TLS"));
        } else {
            self.reset(ResetCause::Client);
            self.say(&Reply::new(220, EnhancedCode(2, 0, 0), "Go ahead"));
            self.state = State::Tls { asked: false };
        }
    }

    fn may_mail(&self, size: Option<u64>) -> Result<(), Reply> {
        if self.hello.is_none() {
            return Err(order(if self.config.mode == Mode::Lmtp { "LHLO comes first" } else { "EHLO comes first" }));
        }
        if self.transaction.is_some() {
            return Err(order("One message at a time"));
        }
        if self.config.auth_required && !self.signed_in {
            let text = if self.offers().auth.is_empty() { "STARTTLS and AUTH come first" } else { "AUTH comes first" };
            return Err(Reply::new(530, EnhancedCode(5, 7, 0), text));
        }
        if size.is_some_and(|size| size > self.config.size_max) {
            return Err(self.too_large());
        }
        Ok(())
    }

    pub(super) fn too_large(&self) -> Reply {
        let text = format!("The message is larger than the {} octets taken here", self.config.size_max);
        Reply::new(552, EnhancedCode(5, 3, 4), text)
    }

    /// May a message begin, or with `more` another chunk of it come?
    pub(super) fn may_begin(&self, more: bool) -> Result<(), Reply> {
        match &self.transaction {
            None => Err(order("MAIL and RCPT come first")),
            Some(transaction) if transaction.incoming.is_some() && !more => Err(order("The message has begun with BDAT")),
            Some(transaction) if transaction.accepted == 0 && self.config.mode == Mode::Lmtp => {
                Err(order("No recipient was accepted"))
            }
            Some(transaction) if transaction.accepted == 0 => {
                Err(Reply::new(554, EnhancedCode(5, 5, 1), "No recipient was accepted"))
            }
            Some(_) => Ok(()),
        }
    }

    fn begin_auth(&mut self, name: &str, initial: Option<Zeroizing<Vec<u8>>>) {
        if let Err(reply) = self.may_auth() {
            return self.error(&reply);
        }
        let Some(mechanism) = Mechanism::parse(name).filter(|mechanism| self.offers().auth.contains(mechanism)) else {
            return self.error(&Reply::new(504, EnhancedCode(5, 5, 4), "That mechanism is not offered"));
        };
        match initial.map(|word| sasl::decode_initial(&word)).transpose() {
            Ok(initial) => {
                let (exchange, step) = self.exchange(mechanism, initial.as_ref().map(|octets| octets.as_slice()));
                self.auth_step(exchange, step);
            }
            Err(failure) => self.auth_failed(failure),
        }
    }

    fn exchange(&self, mechanism: Mechanism, initial: Option<&[u8]>) -> (exchange::Exchange, exchange::Step) {
        let plus = self.config.auth.contains(&Mechanism::ScramSha256Plus);
        exchange::Exchange::start_on(mechanism, initial, self.channel.as_deref().filter(|channel| plus && channel.binds()))
    }

    fn may_auth(&self) -> Result<(), Reply> {
        if self.config.auth.is_empty() {
            return Err(Reply::new(502, EnhancedCode(5, 5, 1), "There is no sign-in here"));
        }
        if self.offers().auth.is_empty() {
            return Err(Reply::new(538, EnhancedCode(5, 7, 11), "STARTTLS comes before AUTH"));
        }
        if !self.hello.as_ref().is_some_and(|hello| hello.extended) {
            return Err(order("EHLO comes before AUTH"));
        }
        if self.signed_in {
            return Err(order("Signed in already"));
        }
        if self.transaction.is_some() {
            return Err(order("AUTH cannot come within a message"));
        }
        Ok(())
    }

    /// A line of the client within the exchange.
    pub(super) fn auth_line(&mut self, mut exchange: exchange::Exchange, line: &[u8]) {
        match sasl::decode_line(line) {
            Ok(octets) => {
                let step = exchange.respond(&octets);
                self.auth_step(exchange, step);
            }
            Err(failure) => self.auth_failed(failure),
        }
    }

    fn auth_step(&mut self, exchange: exchange::Exchange, step: exchange::Step) {
        match step {
            exchange::Step::Challenge(octets) => {
                self.say(&Reply::plain(334, sasl::encode_line(&octets)));
                self.state = State::AuthLine(exchange);
            }
            exchange::Step::Ask(question) => {
                let acceptable = question.may_be_accepted();
                self.state = State::Await(Await::Auth { exchange, acceptable });
                self.events.push_back(Event::Auth(question));
            }
            exchange::Step::Refused(refusal) => self.auth_refused(refusal),
            exchange::Step::Failed(failure) => self.auth_failed(failure),
        }
    }

    pub(super) fn auth_answered(&mut self, mut exchange: exchange::Exchange, acceptable: bool, answer: Answer) {
        match answer {
            Answer::Accept if acceptable => {
                self.signed_in = true;
                self.auth_failures = 0;
                self.say(&Reply::new(235, EnhancedCode(2, 7, 0), "Welcome"));
            }
            Answer::Accept => self.auth_refused(Refusal::Credentials),
            Answer::Refuse(refusal) => self.auth_refused(refusal),
            Answer::RefuseToken { discovery } => {
                let step = exchange.refuse_token(discovery.as_deref());
                self.auth_step(exchange, step);
            }
            Answer::Scram { verifier, nonce } => {
                let step = exchange.scram(verifier, &nonce);
                self.auth_step(exchange, step);
            }
        }
    }

    fn auth_refused(&mut self, refusal: Refusal) {
        let reply = match refusal {
            Refusal::Credentials => Reply::new(535, EnhancedCode(5, 7, 8), "Login name or password is wrong"),
            Refusal::Suspended => Reply::new(525, EnhancedCode(5, 7, 13), "The account is suspended"),
            // RFC 4954 §6: the mechanism is too weak, for a password alone is.
            Refusal::ProgramPassword => {
                Reply::new(534, EnhancedCode(5, 7, 9), "Use an app password: this account has a second factor")
            }
            Refusal::Temporary => Reply::new(454, EnhancedCode(4, 7, 0), "Sign-in does not work just now; try again later"),
        };
        self.say(&reply);
        self.auth_failures += 1;
        if self.auth_failures >= crate::limits::smtp::AUTH_FAILURES_MAX {
            self.say_and_close(&Reply::new(421, EnhancedCode(4, 7, 0), "Too many failed sign-ins"));
        }
    }

    fn auth_failed(&mut self, failure: Failure) {
        let reply = match failure {
            Failure::Cancelled => Reply::new(501, EnhancedCode(5, 7, 0), "Sign-in cancelled"),
            Failure::Base64 => Reply::new(501, EnhancedCode(5, 5, 2), "That is not base64"),
            Failure::Syntax => Reply::new(501, EnhancedCode(5, 5, 2), "That is not what the mechanism says"),
            Failure::TooLong => Reply::new(500, EnhancedCode(5, 5, 6), "The line is too long"),
            Failure::AuthorizationIdentity => Reply::new(535, EnhancedCode(5, 7, 8), "Nobody may act for another here"),
            Failure::ChannelBinding => Reply::new(535, EnhancedCode(5, 7, 8), "The channel binding does not fit"),
        };
        self.error(&reply);
    }
}

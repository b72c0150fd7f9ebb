//! SMTP and LMTP, both halves, against any peer. Data: mode, owner's mood, cuts, then what the peer says.

use crate::pieces::take;
use crate::play::{at_any_chunking, holds_still, line_by_line, lines_are_sound, note_octets};
use crate::sasl::verifier;
use message::address::Address;
use wire::laws::Random;
use wire::limits::smtp as limits;
use wire::sasl::client::Credentials;
use wire::sasl::{Answer, Question, Refusal, Secret};
use wire::smtp::client::{self, Client, Envelope, Recipient, StartTls};
use wire::smtp::server::{Config, Event, Mode, ResetCause, Server};
use wire::smtp::{EnhancedCode, Reply, Ret};

const SIZE_MAX: u64 = 300;
/// Recipients of one message.
pub(crate) const RECIPIENTS_MAX: usize = 3;

/// What the owner knows must be true of the order of events.
struct Owner {
    mood: Random,
    mode: Mode,
    in_mail: bool,
    accepted: usize,
    in_message: bool,
    octets: u64,
}

impl Owner {
    fn choose<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.mood.below(of.len())]
    }

    fn act(&mut self, server: &mut Server, event: Event, log: &mut Vec<String>) {
        if let Event::Chunk(piece) = &event {
            assert!(self.in_message, "octets outside a message");
            self.octets += piece.len() as u64;
            assert!(self.octets <= SIZE_MAX + limits::CHUNK_BYTES_MAX as u64);
            note_octets(log, piece);
            return;
        }
        // How much came of a message that is then refused is the cutting's affair.
        if matches!(event, Event::Reset(_)) && log.last().is_some_and(|last| last.starts_with("octets ")) {
            log.pop();
        }
        match event {
            // Which of the two showed first, too.
            Event::Reset(ResetCause::TooLarge | ResetCause::LineEnds) => log.push("Reset(refused)".into()),
            _ => log.push(format!("{event:?}")),
        }
        match event {
            Event::Hello { .. } | Event::Client(_) | Event::Chunk(_) => {}
            Event::Reset(_) => {
                assert!(self.in_mail, "the end of no transaction");
                (self.in_mail, self.in_message) = (false, false);
            }
            Event::Auth(question) => {
                holds_still(server);
                let answer = self.auth(&question);
                server.auth(answer);
            }
            Event::Mail { .. } => {
                assert!(!self.in_mail, "a transaction in a transaction");
                holds_still(server);
                let code = self.choose(&[250, 250, 250, 250, 451, 550, 421]);
                (self.in_mail, self.accepted) = (code == 250, 0);
                server.reply(reply(code));
            }
            Event::Rcpt { .. } => {
                assert!(self.in_mail && !self.in_message, "RCPT in the wrong place");
                holds_still(server);
                let code = self.choose(&[250, 250, 250, 250, 451, 550, 421]);
                self.accepted += usize::from(code == 250);
                server.reply(reply(code));
            }
            Event::Data => {
                assert!(self.in_mail && self.accepted > 0 && !self.in_message);
                holds_still(server);
                if self.mood.below(6) == 0 {
                    self.in_mail = false;
                    return server.reply(reply(452));
                }
                (self.in_message, self.octets) = (true, 0);
                server.data_go();
            }
            Event::MessageEnd => self.message_end(server),
        }
    }

    fn message_end(&mut self, server: &mut Server) {
        assert!(self.in_mail && self.in_message);
        assert!(self.octets <= SIZE_MAX, "larger than was offered");
        holds_still(server);
        (self.in_mail, self.in_message) = (false, false);
        let count = if self.mode == Mode::Lmtp { self.accepted } else { 1 };
        let replies: Vec<Reply> = (0..count).map(|_| reply(self.choose(&[250, 250, 451, 550]))).collect();
        server.message_done(&replies);
    }

    fn auth(&mut self, question: &Question) -> Answer {
        match question {
            Question::ScramLookup { .. } => Answer::Scram { verifier: verifier(), nonce: "servernonceservernonce".into() },
            Question::ScramDone { proved: false, .. } => Answer::Refuse(Refusal::Credentials),
            Question::Token { .. } if self.mood.below(2) == 0 => Answer::RefuseToken { discovery: None },
            _ => match self.mood.below(4) {
                0 => Answer::Refuse(Refusal::Credentials),
                1 => Answer::Refuse(Refusal::Suspended),
                _ => Answer::Accept,
            },
        }
    }
}

fn reply(code: u16) -> Reply {
    Reply::new(code, EnhancedCode((code / 100) as u8, 0, 0), "said the owner")
}

/// A server of any mode.
pub(crate) fn server_config(mode: u8) -> Config {
    Config {
        starttls: mode & 8 != 0,
        plaintext_auth: mode & 16 != 0,
        auth_required: mode & 4 != 0,
        recipients_max: RECIPIENTS_MAX,
        keywords: if mode & 64 != 0 { crate::smtp::keywords() } else { Default::default() },
        ..Config::new([Mode::Mx, Mode::Submission, Mode::Lmtp][usize::from(mode & 3) % 3], "mx.test", SIZE_MAX)
    }
}

/// Whoever stands behind the server, in any mood.
pub(crate) fn server_owner(mood: u8, mode: Mode) -> impl FnMut(&mut Server, Event, &mut Vec<String>) {
    let mood = Random(u64::from(mood) * 31 + 7);
    let mut owner = Owner { mood, mode, in_mail: false, accepted: 0, in_message: false, octets: 0 };
    move |server, event, log| owner.act(server, event, log)
}

/// The server against any client.
pub(crate) fn smtp_server(data: &[u8]) {
    let ([mode, mood, cuts], script) = take(data);
    let config = server_config(mode);
    let owner = || server_owner(mood, config.mode);
    let played = at_any_chunking(|| Server::new(config.clone()), script, cuts, limits::INPUT_BYTES_MAX, owner);
    lines_are_sound(&played.out);
    for line in played.out.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()) {
        let good = line.len() <= 511 && line[..3].iter().all(u8::is_ascii_digit) && matches!(line[3], b' ' | b'-');
        assert!(good, "no line of a reply: {}", line.escape_ascii());
    }
}

fn envelope(number: usize, flags: u8) -> Envelope {
    let address = |local: &str| Address { local: local.into(), domain: "y.test".into() };
    let recipient = |n: usize| Recipient { address: address(&format!("b{n}")), notify: flags & 1, original: None };
    Envelope {
        reverse_path: (flags & 2 == 0).then(|| address("a")),
        recipients: (0..1 + (number + usize::from(flags)) % 3).map(recipient).collect(),
        size: Some(20),
        eight_bit: flags & 4 != 0,
        ret: Some(Ret::Headers),
        envelope_id: Some("id".into()),
        ..Envelope::default()
    }
}

/// A client of any mode.
pub(crate) fn client_config(mode: u8) -> client::Config {
    client::Config {
        hostname: "client.test".into(),
        lmtp: mode & 1 != 0,
        tls: false,
        starttls: [StartTls::Never, StartTls::IfOffered, StartTls::Require][usize::from(mode >> 1 & 3) % 3],
        credentials: (mode & 8 != 0).then(|| Credentials { login: "ann".into(), password: Secret::new(b"pw".to_vec()) }),
        plaintext_auth: mode & 16 != 0,
        nonce: "clientnonceclientnonce".into(),
    }
}

/// Sends three messages and leaves.
pub(crate) fn client_owner(flags: u8) -> impl FnMut(&mut Client, client::Event, &mut Vec<String>) {
    let (mut sent, mut outcomes, mut failed, mut pieces) = (0, 0, false, 0);
    move |client, event, log| {
        assert!(!failed, "{event:?} after the failure");
        match &event {
            client::Event::Ready => {
                assert_eq!(outcomes, sent, "ready, with a message undecided");
                if sent < 3 {
                    client.send(envelope(sent, flags));
                    (sent, pieces) = (sent + 1, 0);
                } else {
                    client.quit();
                }
            }
            client::Event::WantsBody if pieces < usize::from(flags >> 4 & 3) => {
                client.body(b".dot\r\n.\r\nline\r\n");
                pieces += 1;
            }
            client::Event::WantsBody => client.body_end(),
            client::Event::Outcome(outcome) => {
                assert_eq!(outcome.recipients.len(), envelope(outcomes, flags).recipients.len());
                outcomes += 1;
                assert!(outcomes <= sent);
            }
            client::Event::Failed(_) => {
                assert_eq!(outcomes, sent, "failed, with a message undecided");
                failed = true;
            }
        }
        log.push(format!("{event:?}"));
    }
}

/// The client against any server: as many outcomes as messages were begun, one result a recipient.
pub(crate) fn smtp_client(data: &[u8]) {
    let ([mode, flags, cuts], script) = take(data);
    let make = || Client::new(client_config(mode));
    let played = line_by_line(make, script, cuts, limits::REPLY_BYTES_MAX, || client_owner(flags));
    lines_are_sound(&played.out);
}

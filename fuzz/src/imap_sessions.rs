//! IMAP, both halves, against any peer. Data: mode, owner's mood, cuts, then what the peer says.

use crate::pieces::take;
use crate::play::{at_any_chunking, holds_still, lines_are_sound, note_octets};
use crate::sasl::verifier;
use wire::imap::append::{Append, AppendMessage, AppendPiece};
use wire::imap::client::{self, Client, ClientConfig, StartTls};
use wire::imap::enable::Extension;
use wire::imap::limits;
use wire::imap::response::Response;
use wire::imap::select::Select;
use wire::imap::server::{Event, Server, ServerConfig, State};
use wire::imap::{Code, Command, MailboxName};
use wire::laws::Random;
use wire::sasl::client::Credentials;
use wire::sasl::{Answer, Question, Refusal, Secret};

const SIZE_MAX: u64 = 2_000;

struct Owner {
    mood: Random,
    /// Octets still to come of an APPEND.
    left: Option<u64>,
    refused: bool,
    idle: bool,
    octets: Vec<u8>,
}

impl Owner {
    fn act(&mut self, server: &mut Server, event: Event, log: &mut Vec<String>) {
        if let Event::AppendChunk(chunk) = &event {
            return self.chunk(server, chunk);
        }
        if matches!(event, Event::AppendEnd | Event::AppendAborted) {
            note_octets(log, &self.octets);
        }
        log.push(format!("{event:?}"));
        match event {
            Event::AppendChunk(_) => {}
            Event::Sasl(question) => {
                assert_eq!(server.state(), State::NotAuthenticated);
                holds_still(server);
                let answer = self.auth(&question);
                server.answer(answer);
            }
            Event::Append { append, .. } => {
                assert_ne!(server.state(), State::NotAuthenticated);
                holds_still(server);
                if append.message.size > SIZE_MAX {
                    return server.no(Some(Code::TooBig), "Too big");
                }
                if self.mood.below(4) == 0 {
                    return server.no(Some(Code::TryCreate), "No such mailbox");
                }
                self.octets.clear();
                (self.left, self.refused) = (Some(append.message.size), false);
                server.append_go();
            }
            Event::AppendPiece(piece) => {
                holds_still(server);
                assert_eq!(self.left.take(), Some(0), "a piece before the end of the last");
                self.left = Some(match piece {
                    AppendPiece::Message { message, .. } => message.size,
                    AppendPiece::Text { size, .. } => size,
                    AppendPiece::Url(_) => 0,
                });
                if self.mood.below(8) == 0 {
                    return server.no(Some(Code::TooBig), "Too big");
                }
                server.append_go();
            }
            Event::AppendEnd => {
                assert_eq!(self.left.take(), Some(0), "the end before the end");
                assert!(!self.refused);
                holds_still(server);
                server.ok(None, "Appended");
            }
            Event::AppendAborted => assert!(self.left.take().is_some(), "the end of no APPEND"),
            Event::Idle { .. } => {
                assert!(!std::mem::replace(&mut self.idle, true));
                server.untagged(&Response::Exists(2));
            }
            Event::IdleDone => {
                assert!(std::mem::take(&mut self.idle), "the end of no IDLE");
                server.ok(None, "Idle ended");
            }
            Event::Command { command, .. } => {
                holds_still(server);
                self.command(server, command);
            }
        }
    }

    fn chunk(&mut self, server: &mut Server, chunk: &[u8]) {
        assert!(!self.refused, "octets after the refusal");
        let Some(left) = self.left.and_then(|left| left.checked_sub(chunk.len() as u64)) else { panic!("octets of no APPEND") };
        self.left = Some(left);
        self.octets.extend_from_slice(chunk);
        if self.octets.starts_with(b"disk full") {
            (self.refused, self.left) = (true, None);
            server.no(Some(Code::OverQuota), "No room");
        }
    }

    fn auth(&mut self, question: &Question) -> Answer {
        match question {
            Question::ScramLookup { .. } => Answer::Scram { verifier: verifier(), nonce: "servernonceservernonce".into() },
            Question::ScramDone { proved: false, .. } => Answer::Refuse(Refusal::Credentials),
            Question::Token { .. } if self.mood.below(2) == 0 => Answer::RefuseToken { discovery: None },
            _ => match self.mood.below(6) {
                0 => Answer::Refuse(Refusal::Credentials),
                1 => Answer::Refuse(Refusal::Temporary),
                _ => Answer::Accept,
            },
        }
    }

    fn command(&mut self, server: &mut Server, command: Command) {
        let state = server.state();
        let anywhere = matches!(command, Command::Noop | Command::Id(_));
        assert!(anywhere || matches!(state, State::Authenticated | State::Selected), "{command:?} in {state:?}");
        match command {
            Command::Select(_) => {
                let found = self.mood.below(4) != 0;
                server.selected(found);
                if found {
                    server.ok(Some(Code::ReadWrite), "Selected")
                } else {
                    server.no(Some(Code::NonExistent), "No such mailbox")
                }
            }
            Command::Close | Command::Unselect => {
                assert_eq!(state, State::Selected);
                server.selected(false);
                server.ok(None, "Closed");
            }
            Command::Enable(extensions) => {
                server.set_utf8(extensions.iter().any(|e| matches!(e, Extension::Utf8Accept | Extension::Imap4rev2)));
                server.untagged(&Response::Enabled(extensions));
                server.ok(None, "Enabled");
            }
            Command::Fetch(_)
            | Command::Search(_)
            | Command::Store(_)
            | Command::Copy { .. }
            | Command::Move { .. }
            | Command::Expunge { .. } => {
                assert_eq!(state, State::Selected);
                server.untagged(&Response::Exists(3));
                server.ok(None, "Done");
            }
            Command::Delete { mailbox } => server.no(Some(Code::NonExistent), mailbox.as_str()),
            Command::Create { .. } => server.bad(None, "Not with me"),
            _ => server.ok(None, "Done"),
        }
    }
}

/// A server of any kind.
pub(crate) fn server_config(mode: u8) -> ServerConfig {
    ServerConfig {
        hostname: "mail.here.test".into(),
        tls: false,
        starttls: mode & 1 != 0,
        plaintext_login: mode & 2 == 0,
        mechanisms: if mode & 4 == 0 { wire::sasl::Mechanism::ALL.to_vec() } else { Vec::new() },
        append_bytes_max: SIZE_MAX,
        // The laws read what is sent: deflate has tests of its own.
        capabilities_off: vec!["COMPRESS=DEFLATE".into()],
        capabilities_more: Vec::new(),
    }
}

/// Whoever stands behind the server, in any mood.
pub(crate) fn server_owner(mood: u8) -> impl FnMut(&mut Server, Event, &mut Vec<String>) {
    let mood = Random(u64::from(mood) * 31 + 7);
    let mut owner = Owner { mood, left: None, refused: false, idle: false, octets: Vec::new() };
    move |server, event, log| owner.act(server, event, log)
}

/// The server against any client.
pub(crate) fn imap_server(data: &[u8]) {
    let ([mode, mood, cuts], script) = take(data);
    let signed_in = [b"z LOGIN ann pw\r\n", script].concat();
    let script = if mode & 8 == 0 { signed_in.as_slice() } else { script };
    let make = || Server::new(server_config(mode));
    let played = at_any_chunking(make, script, cuts, limits::INPUT_BYTES_MAX, || server_owner(mood));
    lines_are_sound(&played.out);
    assert!(played.out.starts_with(b"* "));
}

fn commands() -> Vec<Command> {
    let inbox = || MailboxName::new("INBOX");
    let message = AppendMessage { flags: Vec::new(), date: None, size: 12, binary: false, utf8: false };
    vec![
        Command::Select(Select::plain(MailboxName::new("\u{c4}\"\\"), true)),
        Command::Delete { mailbox: MailboxName::new("a\rb") },
        Command::Append(Append { mailbox: inbox(), message }),
        Command::Idle,
        Command::Noop,
        Command::Logout,
    ]
}

/// A client of any kind.
pub(crate) fn client_config(mode: u8) -> ClientConfig {
    ClientConfig {
        tls: mode & 1 != 0,
        starttls: [StartTls::Never, StartTls::IfOffered, StartTls::Require][usize::from(mode >> 1 & 3) % 3],
        credentials: (mode & 8 == 0).then(|| Credentials { login: "ann".into(), password: Secret::new(b"pw".to_vec()) }),
        plaintext: mode & 16 == 0,
        nonce: "clientnonceclientnonce".into(),
    }
}

/// Octets a client holds at most.
pub(crate) const CLIENT_HELD_MAX: usize = limits::RESPONSE_LINE_BYTES_MAX + limits::RESPONSE_LITERALS_BYTES_MAX;

/// Says its commands once it may; nothing after the failure, each command ends once.
pub(crate) fn client_owner() -> impl FnMut(&mut Client, client::Event, &mut Vec<String>) {
    let (mut open, mut failed, mut octets_left) = (Vec::new(), false, 0u64);
    move |client, event, log| {
        assert!(!failed, "{event:?} after the failure");
        match &event {
            client::Event::Ready => open.extend(commands().iter().map(|command| client.command(command))),
            client::Event::AppendReady(tag) => {
                assert!(open.contains(tag));
                assert_eq!(client.append_octets(b"Hello\r\n"), 7);
                assert_eq!(client.append_octets(b"worldly"), 5);
            }
            client::Event::Idling(_) => client.done(),
            client::Event::Tagged(tag, _) => {
                let Some(at) = open.iter().position(|known| known == tag) else {
                    panic!("{tag:?} ends twice, or was never begun")
                };
                open.remove(at);
            }
            client::Event::OctetsBegin { size, .. } => {
                assert_eq!(octets_left, 0, "octets in octets");
                octets_left = *size;
            }
            client::Event::Octets(octets) => {
                assert!(octets.len() as u64 <= octets_left, "more octets than announced");
                octets_left -= octets.len() as u64;
                return note_octets(log, octets);
            }
            client::Event::Response(_) => assert_eq!(octets_left, 0, "a response inside octets"),
            client::Event::Failed(_) => failed = true,
        }
        log.push(format!("{event:?}"));
    }
}

/// The client against any server.
pub(crate) fn imap_client(data: &[u8]) {
    let ([mode, _, cuts], script) = take(data);
    at_any_chunking(|| Client::new(client_config(mode)), script, cuts, CLIENT_HELD_MAX, client_owner);
}

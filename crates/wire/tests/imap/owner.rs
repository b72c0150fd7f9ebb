//! An owner of a server session that is small but real enough: one account, two mailboxes, canned messages.

use std::num::NonZeroU32;
use wire::imap::append::AppendPiece;
use wire::imap::enable::Extension;
use wire::imap::fetch::{FetchItem, FetchWriter, ItemName};
use wire::imap::response::Response;
use wire::imap::server::{Event, Server, ServerConfig};
use wire::imap::{Code, Command, MailboxName};
use wire::sasl::{Answer, Channel, Mechanism, Question, Refusal, ScramVerifier};

pub(crate) const SIZE_MAX: u64 = 100_000;

/// What the owner saw, for the tests that look.
#[derive(Default)]
pub(crate) struct Owner {
    pub(crate) octets: Vec<u8>,
    /// Octets of the messages before.
    pub(crate) sizes: Vec<u32>,
    pub(crate) events: Vec<String>,
}

pub(crate) fn config(words: &str) -> ServerConfig {
    ServerConfig {
        hostname: "mail.here.test".into(),
        tls: words.contains("tls") && !words.contains("starttls"),
        starttls: words.contains("starttls"),
        plaintext_login: words.contains("plaintext"),
        mechanisms: if words.contains("every-mechanism") { Mechanism::ALL.to_vec() } else { Mechanism::WITH_PASSWORD.to_vec() },
        append_bytes_max: SIZE_MAX,
        capabilities_off: Vec::new(),
        capabilities_more: Vec::new(),
    }
}

pub(crate) fn server(words: &str) -> Server {
    let external = words.contains("every-mechanism");
    let channel = Channel { exporter: Some([7; 32]), server_end_point: None, external };
    Server::new(config(words)).on_channel(external.then_some(channel))
}

fn there(mailbox: &MailboxName) -> bool {
    ["INBOX", "Archive", "Entw\u{fc}rfe"].contains(&mailbox.as_str())
}

impl Owner {
    pub(crate) fn answer(&mut self, server: &mut Server, event: Event) {
        match event {
            Event::Sasl(question) => server.answer(sasl(&question)),
            Event::Append { append, .. } if !there(&append.mailbox) => server.no(Some(Code::TryCreate), "No such mailbox"),
            Event::Append { append, .. } if append.message.size > SIZE_MAX => server.no(Some(Code::TooBig), "Too big"),
            Event::Append { .. } => {
                self.octets.clear();
                self.sizes.clear();
                server.append_go();
            }
            Event::AppendPiece(AppendPiece::Url(url)) if url == "gone" => server.no(Some(Code::BadUrl(url)), "No such message"),
            Event::AppendPiece(AppendPiece::Url(url)) => {
                self.octets.extend_from_slice(url.as_bytes());
                server.append_go();
            }
            Event::AppendPiece(AppendPiece::Message { .. }) => {
                self.sizes.push(u32::try_from(self.octets.len()).unwrap().max(1));
                self.octets.clear();
                server.append_go();
            }
            Event::AppendPiece(AppendPiece::Text { .. }) => server.append_go(),
            Event::AppendChunk(chunk) => {
                self.octets.extend_from_slice(&chunk);
                if self.octets.starts_with(b"disk full") {
                    server.no(Some(Code::OverQuota), "No room");
                }
            }
            Event::AppendEnd => {
                let last = u32::try_from(self.octets.len()).unwrap().max(1);
                let uids = self.sizes.drain(..).chain([last]).collect();
                server.ok(Some(Code::AppendUid { uid_validity: 1, uids }), "Appended");
            }
            Event::AppendAborted => {
                self.octets.clear();
                self.events.push("aborted".into());
            }
            Event::Idle { .. } => server.untagged(&Response::Exists(2)),
            Event::IdleDone => server.ok(None, "Idle ended"),
            Event::Command { command, .. } => self.command(server, command),
        }
    }

    fn command(&mut self, server: &mut Server, command: Command) {
        match command {
            Command::Select(select) => {
                let found = there(&select.mailbox);
                server.selected(found);
                if !found {
                    return server.no(Some(Code::NonExistent), "No such mailbox");
                }
                server.untagged(&Response::Exists(1));
                server.ok(Some(if select.examine { Code::ReadOnly } else { Code::ReadWrite }), "Selected");
            }
            Command::Close | Command::Unselect => {
                server.selected(false);
                server.ok(None, "Closed");
            }
            Command::Enable(extensions) => {
                let utf8 = extensions.iter().any(|e| matches!(e, Extension::Utf8Accept | Extension::Imap4rev2));
                server.set_utf8(utf8);
                server.untagged(&Response::Enabled(extensions));
                server.ok(None, "Enabled");
            }
            Command::Fetch(fetch) => {
                for item in fetch.items {
                    if let FetchItem::BodySection { section, .. } = item {
                        let mut writer = FetchWriter::begin(server.out_mut(), 1);
                        writer.uid(1);
                        writer.literal(&ItemName::BodySection { section: &section, origin: None }, 12, false);
                        writer.out.extend_from_slice(b"Hello\r\nworld");
                        writer.end();
                    }
                }
                server.ok(None, "Fetched");
            }
            Command::Delete { mailbox } if !there(&mailbox) => server.no(Some(Code::NonExistent), mailbox.as_str()),
            other => {
                self.events.push(format!("{other:?}"));
                server.ok(None, "Done");
            }
        }
    }
}

fn sasl(question: &Question) -> Answer {
    match question {
        Question::Password { login, password } if login == "ann" && password.as_bytes() == b"pw" => Answer::Accept,
        Question::Password { login, .. } if login == "factor" => Answer::Refuse(Refusal::ProgramPassword),
        Question::Password { login, .. } if login == "suspended" => Answer::Refuse(Refusal::Suspended),
        Question::Password { .. } => Answer::Refuse(Refusal::Credentials),
        Question::ScramLookup { .. } => Answer::Scram {
            verifier: ScramVerifier::derive(b"pw", b"saltsaltsaltsalt", NonZeroU32::new(4096).unwrap()),
            nonce: "servernonceservernonce".into(),
        },
        Question::ScramDone { proved: true, .. } => Answer::Accept,
        Question::ScramDone { .. } => Answer::Refuse(Refusal::Credentials),
        Question::Token { token, .. } if token.as_bytes() == b"good" => Answer::Accept,
        Question::Token { .. } => Answer::RefuseToken { discovery: Some("https://id.test/".into()) },
        Question::Certificate { login } if login.as_deref() == Some("ann") => Answer::Accept,
        Question::Certificate { .. } => Answer::Refuse(Refusal::Credentials),
    }
}

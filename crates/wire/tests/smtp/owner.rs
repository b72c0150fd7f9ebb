//! The owner that the tests put behind a server session: a few known people, and a log of what happened.

use std::num::NonZeroU32;
use std::sync::LazyLock;
use wire::sasl::{Answer, Question, Refusal, ScramVerifier};
use wire::smtp::server::{Event, Mode, Server};
use wire::smtp::{EnhancedCode, ForwardPath, Reply, Wishes};

static VERIFIER: LazyLock<ScramVerifier> =
    LazyLock::new(|| ScramVerifier::derive(b"pw", b"salt of sixteen!", NonZeroU32::new(4096).unwrap()));

/// Ann's password is `pw`; sue is suspended; tim makes trouble of ours; `nobody` is no recipient; `full` has no room.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    pub(crate) log: Vec<String>,
    pub(crate) lmtp: bool,
    reverse_path: String,
    recipients: Vec<String>,
    body: Vec<u8>,
}

impl Owner {
    pub(crate) fn new(mode: Mode) -> Owner {
        Owner { lmtp: mode == Mode::Lmtp, ..Owner::default() }
    }

    pub(crate) fn act(&mut self, server: &mut Server, event: Event) {
        match event {
            Event::Hello { name, extended } => self.log.push(format!("hello {name} {extended}")),
            Event::Client(behind) => self.log.push(format!("client {behind:?}")),
            Event::Auth(question) => server.auth(self.auth(question)),
            Event::Mail { reverse_path, parameters } => {
                self.reverse_path = reverse_path.map(|a| format!("{}@{}", a.local, a.domain)).unwrap_or_default();
                self.recipients.clear();
                self.body.clear();
                if parameters.wishes != Wishes::default() {
                    self.log.push(format!("wishes {:?}", parameters.wishes));
                }
                server.reply(if self.reverse_path.starts_with("refused@") {
                    Reply::new(550, EnhancedCode(5, 7, 1), "Not you")
                } else {
                    Reply::new(250, EnhancedCode(2, 1, 0), "Sender taken")
                });
            }
            Event::Rcpt { forward_path, .. } => server.reply(match &forward_path {
                ForwardPath::Mailbox(a) if a.local == "nobody" => Reply::new(550, EnhancedCode(5, 1, 1), "Nobody by that name"),
                path => {
                    self.recipients.push(path.to_string());
                    Reply::new(250, EnhancedCode(2, 1, 5), "Recipient taken")
                }
            }),
            Event::Data if self.reverse_path.starts_with("full@") => {
                server.reply(Reply::new(452, EnhancedCode(4, 3, 1), "No room"));
            }
            Event::Data => server.data_go(),
            Event::Chunk(piece) => self.body.extend_from_slice(&piece),
            Event::MessageEnd => self.message_end(server),
            Event::Reset(cause) => self.log.push(format!("reset {cause:?}")),
        }
    }

    fn message_end(&mut self, server: &mut Server) {
        let (from, to, body) = (&self.reverse_path, self.recipients.join(","), self.body.escape_ascii());
        self.log.push(format!("message {from} -> {to}: {body} [{}]", server.protocol()));
        if self.lmtp {
            let replies: Vec<Reply> = self.recipients.iter().map(|name| lmtp_reply(name)).collect();
            server.message_done(&replies);
        } else {
            server.message_done(&[Reply::new(250, EnhancedCode(2, 0, 0), "Message taken")]);
        }
    }

    fn auth(&mut self, question: Question) -> Answer {
        let answer = match question {
            Question::Password { login, password } => match login.as_str() {
                "ann" if password.as_bytes() == b"pw" => Answer::Accept,
                "fay" => Answer::Refuse(Refusal::ProgramPassword),
                "sue" => Answer::Refuse(Refusal::Suspended),
                "tim" => Answer::Refuse(Refusal::Temporary),
                _ => Answer::Refuse(Refusal::Credentials),
            },
            Question::ScramLookup { .. } => {
                return Answer::Scram { verifier: VERIFIER.clone(), nonce: "servernonce".into() };
            }
            Question::ScramDone { login, proved } if login == "ann" && proved => Answer::Accept,
            Question::ScramDone { .. } => Answer::Refuse(Refusal::Credentials),
            Question::Token { token, .. } if token.as_bytes() == b"good" => Answer::Accept,
            Question::Token { .. } => Answer::RefuseToken { discovery: Some("https://id.test/".into()) },
            Question::Certificate { login } if login.as_deref() == Some("ann") => Answer::Accept,
            Question::Certificate { .. } => Answer::Refuse(Refusal::Credentials),
        };
        self.log.push(format!("auth {answer:?}"));
        answer
    }
}

fn lmtp_reply(name: &str) -> Reply {
    if name.starts_with("later@") {
        Reply::new(451, EnhancedCode(4, 2, 1), "Later")
    } else {
        Reply::new(250, EnhancedCode(2, 0, 0), format!("Delivered to {name}"))
    }
}

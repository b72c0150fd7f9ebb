//! One conversation: events of the session in, decisions of the mta and acts of the store out.
//!
//! Invariant: every event that wants an answer gets exactly one, also when something of ours fails (451 4.3.0).

use super::Mode;
use super::intake::{Arrival, Brought, Intake};
use super::judge::{self, Judge};
use super::peers::Counted;
use crate::auth::{Client, SignIn};
use crate::context::{Shared, UNREACHABLE, unix_now};
use mta::Refusal;
use mta::accept::{Envelope, Recipient, refused};
use mta::receive::Place;
use net::{Connection, Peer};
use std::sync::Arc;
use store::{Account, AccountId, TraceEvent};
use wire::smtp::server::Event;
use wire::smtp::{
    Behind, Body, EnhancedCode, ForwardPath, Hold, MailParameters, RcptParameters, Reply, Ret, ReversePath, Server,
};

/// Refused recipients of one connection from elsewhere before it is closed: whoever tries so many is guessing names.
const REFUSED_RECIPIENTS_MAX: u32 = 100;

/// Refused recipients of a connection that are answered at once.
const REFUSED_AT_ONCE: u32 = 3;

/// See the module.
pub(super) struct Face {
    pub(super) context: Shared,
    pub(super) mode: Mode,
    pub(super) peer: Peer,
    /// For traces: the address, or `socket`.
    pub(super) peer_text: String,
    pub(super) account: Option<Arc<Account>>,
    sign_in: SignIn,
    /// Apart, for a connection that only waits has none.
    transaction: Option<Box<Transaction>>,
    refused_recipients: u32,
    /// Messages taken, for the trace.
    taken: u32,
}

/// Between MAIL and the answer to the message.
pub(super) struct Transaction {
    pub(super) envelope: Envelope,
    size_bytes: u64,
    /// BODY=BINARYMIME.
    binary: bool,
    pub(super) recipients: Vec<Recipient>,
    intake: Option<Intake>,
    judge: Option<Judge>,
}

/// What mta needs to know of this server.
pub(crate) fn place(context: &Shared) -> Place<'_> {
    Place {
        store: &context.store,
        domains: &context.domains,
        reachable: context.reachable.as_deref(),
        unreachable_text: UNREACHABLE,
        srs: context.trust.srs.as_ref().map(|srs| (srs, unix_now())),
        poster: None,
    }
}

/// An address that was made by rewriting a reverse-path.
fn leads_back(address: &str) -> bool {
    address.rsplit_once('@').is_some_and(|(local, _)| trust::srs::is_rewritten(local))
}

/// A refusal in SMTP's words.
pub(super) fn reply(refusal: Refusal) -> Reply {
    let (class, subject, detail) = refusal.enhanced;
    Reply::new(refusal.code, EnhancedCode(class, subject, detail), refusal.text)
}

impl Face {
    pub(super) fn new(context: Shared, connection: &Connection, mode: Mode) -> Face {
        let peer = connection.peer().clone();
        let peer_text = peer.ip().map_or_else(|| "socket".to_owned(), |ip| ip.to_string());
        Face {
            context,
            mode,
            peer,
            peer_text,
            account: None,
            sign_in: SignIn::to("SMTP"),
            transaction: None,
            refused_recipients: 0,
            taken: 0,
        }
    }

    /// Judged, and not signed in.
    fn is_stranger(&self) -> bool {
        self.account.is_none() && judge::applies(&self.context, self.mode, &self.peer)
    }

    /// Not one connection too many of a stranger.
    pub(super) fn may_come(&self) -> bool {
        let Some(ip) = self.peer.ip().filter(|_| self.is_stranger()) else { return true };
        let max = self.context.trust.policy.connections_per_minute;
        self.context.smtp.peers.take(Counted::Connections, ip, max, unix_now())
    }

    /// From now on the peer is whom the proxy names.
    pub(super) fn speaks_for(&mut self, behind: &Behind, connection: &mut Connection) {
        if let Some(ip) = behind.ip {
            self.peer = Peer::Proxied { ip, port: behind.port.unwrap_or(0) };
            self.peer_text = ip.to_string();
            connection.set_peer(self.peer.clone());
        }
        self.account = None;
        self.transaction = None;
    }

    /// Who was refused often waits: it is looking for names, or does not listen.
    async fn answer_slowly(&self) {
        let secs = self.context.trust.policy.slow_answer_secs;
        if secs > 0 && self.refused_recipients > REFUSED_AT_ONCE && self.is_stranger() {
            let pause = std::time::Duration::from_secs(secs.into());
            // Not in the way of the server's end.
            let _ = tokio::time::timeout(pause, self.context.draining()).await;
        }
    }

    /// The connection is over: one line about it for the trace.
    pub(super) fn note_end(&self, session: &Server, connection: &Connection) {
        let tls = connection.tls_info().map_or_else(|| "no TLS".to_owned(), |tls| format!("{} {}", tls.version, tls.cipher));
        let detail = format!(
            "{:?} from {}, as {:?}, {tls}: {} messages taken, {} recipients refused{}",
            self.mode,
            self.peer_text,
            session.hello_name().unwrap_or("(no greeting)"),
            self.taken,
            self.refused_recipients,
            connection.error().map(|error| format!("; it broke: {error}")).unwrap_or_default(),
        );
        self.context.store.trace(vec![TraceEvent::new(unix_now(), "connection", detail).key("ip", self.peer_text.as_str())]);
    }

    /// Who is signed in.
    pub(super) fn account(&self) -> Option<&str> {
        self.account.as_ref().map(|account| account.address.as_str())
    }

    pub(super) fn is_signed_in(&self) -> bool {
        self.account.is_some()
    }

    /// `None`: some changes were missed, so anybody may be affected.
    pub(super) fn is_affected(&self, changed: Option<AccountId>) -> bool {
        changed.is_none_or(|id| self.account.as_ref().is_some_and(|account| account.id == id))
    }

    pub(super) async fn is_still_good(&self) -> bool {
        match &self.account {
            Some(account) => self.context.auth.still_good(account).await,
            None => true,
        }
    }

    /// What takes long or holds much is boxed: an idle connection must not carry it.
    pub(super) async fn event(&mut self, event: Event, session: &mut Server, connection: &Connection) {
        match event {
            // Of XCLIENT hears whoever holds the connection.
            Event::Hello { .. } | Event::Client(_) => {}
            Event::Auth(question) => {
                let client = Client::of(connection);
                let (answer, account) = Box::pin(self.sign_in.answer(&self.context.auth, question, client)).await;
                if let Some(account) = account {
                    connection.name_peer(&account.address);
                    self.account = Some(account);
                }
                session.auth(answer);
            }
            Event::Mail { reverse_path, parameters } => {
                let answer = Box::pin(self.mail(reverse_path, parameters, session.hello_name().unwrap_or_default())).await;
                session.reply(answer);
            }
            Event::Rcpt { forward_path, parameters } => {
                let answer = Box::pin(self.rcpt(forward_path, parameters)).await;
                self.refused_recipients += u32::from(!answer.is_positive());
                if !answer.is_positive() {
                    Box::pin(self.answer_slowly()).await;
                }
                if self.refused_recipients > REFUSED_RECIPIENTS_MAX && !self.peer.is_loopback() {
                    session.close(EnhancedCode(4, 7, 0), "Too many refused recipients");
                } else {
                    session.reply(answer);
                }
            }
            Event::Data => match Box::pin(self.data(session, connection)).await {
                Ok(()) => session.data_go(),
                Err(refusal) => session.reply(reply(refusal)),
            },
            Event::Chunk(piece) => {
                if let Some(intake) = self.transaction.as_mut().and_then(|transaction| transaction.intake.as_mut()) {
                    Box::pin(intake.chunk(&self.context, self.account.as_deref(), &piece)).await;
                }
            }
            Event::MessageEnd => {
                let replies = Box::pin(self.message_end()).await;
                session.message_done(&replies);
            }
            Event::Reset(_) => self.transaction = None,
        }
    }

    async fn mail(&mut self, reverse_path: ReversePath, parameters: MailParameters, helo: &str) -> Reply {
        let reverse_path = reverse_path.map(|address| format!("{}@{}", address.local, address.domain)).unwrap_or_default();
        if !self.context.store.has_space() {
            return reply(Refusal::no_space());
        }
        if let Some(account) = &self.account
            && let Err(refusal) = mta::submit::check_sender(&place(&self.context), account, &reverse_path).await
        {
            self.trace_refused("", &reverse_path, &refusal);
            return reply(refusal);
        }
        let now_secs = unix_now();
        let stranger = self.peer.ip().filter(|_| self.is_stranger());
        let max = self.context.trust.policy.messages_per_hour;
        if stranger.is_some_and(|ip| !self.context.smtp.peers.take(Counted::Messages, ip, max, now_secs)) {
            let refusal = Refusal::new(450, (4, 7, 1), "Too much mail from your address, try again later");
            self.trace_refused("", &reverse_path, &refusal);
            return reply(refusal);
        }
        let envelope = Envelope {
            by: None,
            reverse_path,
            account: self.account.as_ref().map(|account| account.id),
            eight_bit: false,
            smtputf8: parameters.smtputf8,
            ret_headers: parameters.ret == Some(Ret::Headers),
            envelope_id: parameters.envelope_id,
            hold_until_secs: parameters.wishes.hold.map(|hold| match hold {
                Hold::ForSecs(secs) => now_secs.saturating_add(i64::try_from(secs).unwrap_or(i64::MAX)),
                Hold::Until(at) => at,
            }),
            service: mta::accept::service_of(&parameters.wishes, now_secs),
        };
        let judge = stranger.map(|ip| Judge::begin(&self.context, ip, helo, &envelope.reverse_path));
        let size_bytes = parameters.size.unwrap_or(0);
        let binary = parameters.body == Body::BinaryMime;
        let transaction = Transaction { envelope, size_bytes, binary, recipients: Vec::new(), intake: None, judge };
        self.transaction = Some(Box::new(transaction));
        Reply::new(250, EnhancedCode(2, 1, 0), "Sender accepted")
    }

    async fn rcpt(&mut self, forward_path: ForwardPath, parameters: RcptParameters) -> Reply {
        let address = forward_path.to_string();
        let Some(transaction) = &mut self.transaction else {
            return reply(Refusal::new(503, (5, 5, 1), "MAIL first"));
        };
        let signed_in = self.account.is_some();
        let poster = self.account.as_ref().map(|account| account.address.as_str());
        let found = Place { poster, ..place(&self.context) }.recipient(&address, signed_in, transaction.size_bytes).await;
        // Only bounces go the way back, and who is unknown here is refused before anybody is asked about the sender.
        let found = match found {
            Ok(_) if leads_back(&address) && !transaction.envelope.reverse_path.is_empty() => {
                Err(Refusal::new(550, (5, 7, 1), "Only delivery reports are taken for this address"))
            }
            Ok(found) if signed_in => super::sending::not_suppressed(&self.context, found).await,
            Ok(found) => match &mut transaction.judge {
                Some(judge) => judge.recipient(&self.context, &address).await.map(|()| found),
                None => Ok(found),
            },
            Err(refusal) => Err(refusal),
        };
        match found {
            Ok(destinations) => {
                transaction.recipients.push(Recipient {
                    forward_path: address,
                    destinations,
                    original: parameters.original,
                    notify: parameters.notify,
                });
                Reply::new(250, EnhancedCode(2, 1, 5), "Recipient accepted")
            }
            Err(refusal) => {
                let reverse_path = transaction.envelope.reverse_path.clone();
                self.trace_refused(&address, &reverse_path, &refusal);
                reply(refusal)
            }
        }
    }

    fn trace_refused(&self, address: &str, reverse_path: &str, refusal: &Refusal) {
        tracing::info!(peer = %self.peer_text, %address, %reverse_path, %refusal, "refused");
        self.context.store.trace(vec![refused(address, reverse_path, &self.peer_text, refusal, unix_now())]);
    }

    async fn data(&mut self, session: &Server, connection: &Connection) -> Result<(), Refusal> {
        let Some(transaction) = &mut self.transaction else {
            return Err(Refusal::new(503, (5, 5, 1), "MAIL first"));
        };
        let now_secs = unix_now();
        if let Some(account) = &self.account
            && let Err(refusal) = super::sending::take(&self.context, account, &transaction.recipients, now_secs).await
        {
            let reverse_path = transaction.envelope.reverse_path.clone();
            self.trace_refused("", &reverse_path, &refusal);
            return Err(refusal);
        }
        let Some(transaction) = &mut self.transaction else {
            return Err(Refusal::new(503, (5, 5, 1), "MAIL first"));
        };
        let arrival = Arrival {
            helo: session.hello_name().unwrap_or("unknown").to_owned(),
            peer: self.peer.ip(),
            with: session.protocol().to_owned(),
            tls: connection.tls_info().map(|tls| format!("{} {}", tls.version, tls.cipher)),
            now_secs,
            judged: transaction.judge.is_some(),
            binary: transaction.binary,
        };
        transaction.intake =
            Some(Intake::begin(&self.context, arrival, transaction.envelope.clone(), &transaction.recipients).await?);
        Ok(())
    }

    async fn message_end(&mut self) -> Vec<Reply> {
        let parts = self
            .transaction
            .take()
            .and_then(|transaction| Some((transaction.intake?, transaction.recipients, transaction.judge)));
        let Some((intake, recipients, judge)) = parts else {
            return vec![reply(Refusal::temporary())];
        };
        let lmtp = self.mode == Mode::Lmtp;
        let id = intake.id().to_owned();
        let reverse_path = intake.reverse_path().to_owned();
        let brought = Brought { lmtp, peer: &self.peer_text, judge };
        let answers = intake.end(&self.context, self.account.as_deref(), &recipients, brought).await;
        let replies = answers.into_iter().zip(&recipients).map(|(answer, recipient)| match answer {
            Ok(()) => Reply::new(250, EnhancedCode(2, 0, 0), format!("{id} accepted")),
            Err(refusal) => {
                self.trace_refused(&recipient.forward_path, &reverse_path, &refusal);
                reply(refusal)
            }
        });
        let mut replies: Vec<Reply> = replies.collect();
        self.taken += u32::from(replies.iter().any(Reply::is_positive));
        if !lmtp {
            replies.truncate(1);
        }
        replies
    }
}

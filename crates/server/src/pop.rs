//! The POP3 face (RFC 1939, 2449, 2595, 5034, 6856): one task a connection.
//!
//! The maildrop is INBOX as it was at sign-in; one session has it at a time. Invariants: nothing is deleted without
//! QUIT; `+OK` to a QUIT comes only after the deletions are durable. Must not know: grammar, engines.

mod content;
mod inbox;
mod lock;

pub use lock::Maildrops;

use crate::auth::{Client, SignIn};
use crate::context::{Shared, unix_now};
use crate::wire_log::{self, Joined};
use inbox::Inbox;
use lock::Lock;
use net::{Connection, Next};
use std::sync::Arc;
use std::time::Duration;
use store::{Account, AccountId};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use wire::Session as _;
use wire::pop3::{Config, Event, Refusal, Server};
use wire::sasl::{Answer, Question};

/// Who is signed in, and what they have open.
struct SignedIn {
    account: Arc<Account>,
    inbox: Inbox,
    /// Given free at QUIT or at the end.
    lock: Lock,
}

struct Face {
    context: Shared,
    connection: Connection,
    session: Server,
    sign_in: SignIn,
    signed_in: Option<SignedIn>,
    /// Accounts whose sign-in facts changed.
    epochs: Receiver<AccountId>,
}

/// Serves one connection to its end. `implicit_tls`: it came in on the TLS port, so its handshake is done.
pub async fn serve(context: Shared, mut connection: Connection, implicit_tls: bool) {
    debug_assert_eq!(implicit_tls, connection.is_tls());
    wire_log::follow(&context.wire_log, &mut connection, wire::explain::Protocol::Pop3);
    let mut session = Server::new(config(&context, &connection));
    if let Some(channel) = connection.tls_channel() {
        session.tls_channel(channel);
    }
    let epochs = context.store.epoch_watch();
    Face { context, connection, session, sign_in: SignIn::to("POP3"), signed_in: None, epochs }.run().await;
}

fn config(context: &Shared, connection: &Connection) -> Config {
    Config {
        tls: connection.is_tls(),
        stls: connection.can_start_tls(),
        plaintext: context.plaintext.allows(connection.peer()),
        mechanisms: context.auth.mechanisms(if connection.is_tls() { "pop3s" } else { "pop3" }),
        login_delay_secs: Some(context.limits.pop3_login_delay_secs).filter(|secs| *secs > 0),
        patience: context.limits.patience,
        ..Config::new(context.hostname.clone())
    }
}

impl Face {
    async fn run(&mut self) {
        let context = Arc::clone(&self.context);
        let mut draining = false;
        loop {
            if let Some(signed_in) = &self.signed_in {
                let who = (wire::explain::Protocol::Pop3, signed_in.account.address.as_str());
                wire_log::join(&context.wire_log, &mut self.connection, &mut self.session, who, |_| Joined::Between);
            }
            tokio::select! {
                biased;
                () = context.draining(), if !draining => {
                    draining = true;
                    self.session.shut_down();
                }
                changed = self.epochs.recv(), if self.signed_in.is_some() => self.sign_in_changed(changed).await,
                next = self.connection.next(&mut self.session) => match next {
                    Next::Event(event) => self.event(event).await,
                    Next::Closed => return,
                },
            }
        }
    }

    /// What happens once is boxed: an idle connection must not carry it.
    async fn event(&mut self, event: Event) {
        match event {
            Event::Auth(question) => Box::pin(self.authenticate(question)).await,
            Event::Retr { message } => self.send_content(message).await,
            Event::Top { message, .. } => self.send_content(message).await,
            Event::Quit { marked } => Box::pin(self.quit(&marked)).await,
        }
    }

    async fn authenticate(&mut self, question: Question) {
        let client = Client::of(&self.connection);
        match self.sign_in.answer(&self.context.auth, question, client).await {
            (Answer::Scram { verifier, nonce }, _) => self.session.scram(verifier, &nonce),
            (Answer::Accept, Some(account)) => match self.open(account).await {
                Ok(()) => {}
                Err(refusal) => self.session.refuse(refusal),
            },
            (Answer::RefuseToken { discovery }, _) => self.session.refuse_token(discovery.as_deref()),
            (Answer::Refuse(refusal), _) => self.session.refuse(refusal.into()),
            (Answer::Accept, None) => self.session.refuse(Refusal::Temporary),
        }
    }

    /// The lock first, then the listing: no other POP3 session can change what it shows.
    async fn open(&mut self, account: Arc<Account>) -> Result<(), Refusal> {
        self.connection.name_peer(&account.address);
        let lock = self.context.pop.lock(account.id).await.ok_or(Refusal::InUse)?;
        let delay = Duration::from_secs(self.context.limits.pop3_login_delay_secs.into());
        if !self.context.pop.may_come(account.id, delay, net::clock::monotonic()) {
            return Err(Refusal::LoginDelay);
        }
        let inbox = Inbox::open(&self.context.store, account.id).await.map_err(|error| {
            tracing::warn!(account = %account.address, ?error, "cannot open the maildrop");
            Refusal::Temporary
        })?;
        tracing::debug!(account = %account.address, messages = inbox.len(), "maildrop open");
        self.session.accept(Box::new(inbox.clone()));
        self.signed_in = Some(SignedIn { account, inbox, lock });
        Ok(())
    }

    async fn quit(&mut self, marked: &[u32]) {
        let Some(signed_in) = self.signed_in.take() else {
            self.session.bye(true);
            return;
        };
        let SignedIn { account, inbox, lock } = signed_in;
        let uids = inbox.uids(marked);
        let done = if uids.is_empty() {
            true
        } else {
            let from = self.connection.peer().ip().map_or_else(|| "this machine".to_owned(), |ip| ip.to_string());
            let store = self.context.store.by(format!("POP3 {} from {from}", account.address), unix_now());
            match store.expunge(account.id, inbox.mailbox(), &uids, unix_now()).await {
                Ok(_) => true,
                Err(error) => {
                    tracing::warn!(account = %account.address, ?error, "cannot delete at QUIT");
                    false
                }
            }
        };
        // Free before the client hears of it: it may come back at once.
        drop(lock);
        self.session.bye(done);
    }

    async fn sign_in_changed(&mut self, changed: Result<AccountId, RecvError>) {
        let Some(signed_in) = &self.signed_in else { return };
        let ours = match changed {
            Ok(id) => id == signed_in.account.id,
            Err(RecvError::Lagged(_)) => true,
            // The store is gone.
            Err(RecvError::Closed) => {
                self.session.close();
                return;
            }
        };
        if ours && !self.context.auth.still_good(&signed_in.account).await {
            tracing::info!(account = %signed_in.account.address, "sign-in is no longer good, session ended");
            self.session.close();
        }
    }
}

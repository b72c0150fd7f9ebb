//! Mail coming in: from other servers (mx), from people's programs (submission, submissions), from a neighbour (LMTP).
//!
//! RFC 5321, 6409, 8314, 2033. Invariant: a positive reply to the end of data is sent only after the commit.
//! Must not know: grammar (wire), who may send where (mta).

pub(crate) mod away;
mod face;
mod hand_in;
mod helo;
pub mod ids;
mod intake;
mod judge;
mod peers;
mod sending;
#[cfg(test)]
pub(crate) mod tests;

use crate::context::{Shared, unix_now};
use crate::wire_log::{self, Joined};
use face::Face;
pub(crate) use face::place;
pub use hand_in::{HandedIn, To, Whole, hand_in};
use mta::queue::Schedule;
use mta::sending_limits::SendingLimits;
use net::{Connection, Next, Peer};
pub use sending::keep_counts;
use wire::Session as _;
use wire::explain::Protocol;
use wire::smtp::server::{Config, Event, Mode as Service};
use wire::smtp::{EnhancedCode, Keywords, Server};

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Port 25: anybody brings mail for us.
    Mx,
    /// Port 587 (STARTTLS) and 465 (TLS from the first octet): our own people send.
    Submission,
    /// RFC 2033: a neighbour delivers.
    Lmtp,
}

/// What SMTP needs of the context besides.
#[derive(Default)]
pub struct Settings {
    /// When the queue tries and how long (the same as outbound's).
    pub schedule: Schedule,
    /// What accounts sent in the last hour.
    pub sending: SendingLimits,
    /// Names of transactions.
    pub ids: ids::Ids,
    /// Proxies that may tell for whom they speak (XCLIENT).
    pub xclient_from: Vec<net::IpRange>,
    /// What strangers brought lately.
    pub peers: peers::Peers,
}

/// Serves one connection to its end.
pub async fn serve(context: Shared, mut connection: Connection, mode: Mode) {
    let protocol = if mode == Mode::Lmtp { Protocol::Lmtp } else { Protocol::Smtp };
    wire_log::follow(&context.wire_log, &mut connection, protocol);
    let mut session = Server::new(config(&context, &connection, mode));
    if let Some(channel) = connection.tls_channel() {
        session.tls_channel(channel);
    }
    let mut face = Face::new(context.clone(), &connection, mode);
    if !face.may_come() {
        session.close(EnhancedCode(4, 7, 0), "Too many connections from your address, try again later");
    }
    let mut epochs = context.store.epoch_watch();
    let mut draining = false;
    loop {
        if let Some(account) = face.account() {
            wire_log::join(&context.wire_log, &mut connection, &mut session, (protocol, account), |_| Joined::Between);
        }
        tokio::select! {
            biased;
            () = context.draining(), if !draining => {
                draining = true;
                session.shut_down();
            }
            changed = epochs.recv(), if face.is_signed_in() => {
                if face.is_affected(changed.ok()) && !face.is_still_good().await {
                    session.close(EnhancedCode(4, 7, 0), "Sign-in is no longer valid");
                }
            }
            next = connection.next(&mut session) => match next {
                Next::Event(Event::Client(behind)) => {
                    face.speaks_for(&behind, &mut connection);
                    session.set_plaintext_auth(context.plaintext.allows(connection.peer()));
                }
                Next::Event(event) => face.event(event, &mut session, &connection).await,
                Next::Closed => {
                    face.note_end(&session, &connection);
                    return;
                }
            },
        }
    }
}

fn config(context: &Shared, connection: &Connection, mode: Mode) -> Config {
    let service = match mode {
        Mode::Mx => Service::Mx,
        Mode::Submission => Service::Submission,
        Mode::Lmtp => Service::Lmtp,
    };
    let mut config = Config::new(service, context.hostname.clone(), context.message_bytes_max);
    config.tls = connection.is_tls();
    config.starttls = connection.can_start_tls();
    config.plaintext_auth = context.plaintext.allows(connection.peer());
    if mode == Mode::Submission {
        config.auth = context.auth.mechanisms(if connection.is_tls() { "submissions" } else { "submission" });
    }
    config.patience = context.limits.patience;
    config.recipients_max = usize::try_from(context.limits.recipients_max).unwrap_or(usize::MAX);
    config.keywords = keywords(context, mode);
    let named = |ip| context.smtp.xclient_from.iter().any(|range| range.contains(ip));
    config.xclient = mode != Mode::Lmtp && matches!(connection.peer(), Peer::Ip { ip, .. } if named(*ip));
    if judge::applies(context, mode, connection.peer()) && !config.xclient {
        config.greeting_delay_secs = context.trust.policy.greeting_delay_secs.into();
    }
    config
}

/// What may be asked: of our own people's mail all of it, of others' what binds whoever takes it.
fn keywords(context: &Shared, mode: Mode) -> Keywords {
    let ours = mode == Mode::Submission;
    let until_max = unix_now().saturating_add(i64::try_from(mta::limits::HOLD_SECS_MAX).unwrap_or(i64::MAX));
    Keywords {
        require_tls: mode != Mode::Lmtp,
        deliver_by_min_secs: ours.then_some(mta::limits::DELIVER_BY_SECS_MIN),
        future_release: ours.then_some((mta::limits::HOLD_SECS_MAX, until_max)),
        mt_priority: ours,
        recipients_max: Some(context.limits.recipients_max.into()),
        // Our own people may say what they send; strangers hear what is not wanted.
        no_soliciting: match mode {
            Mode::Submission => Some(Vec::new()),
            Mode::Lmtp => None,
            Mode::Mx => Some(context.trust.policy.no_soliciting.clone()).filter(|kinds| !kinds.is_empty()),
        },
        ..Keywords::default()
    }
}

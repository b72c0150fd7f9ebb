//! What the web face is handed of the other faces: sign-in and sending.
//!
//! Must not know: HTTP, SMTP's words.

use super::Bound;
use super::links::Links;
use crate::admin::told;
use crate::config::Service;
use net::ListenAddr;
use server::auth::Refused;
use server::context::{Plaintext, Shared, unix_now};
use server::smtp::{To, Whole, hand_in};
use server::wire_log::Spoken;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use store::{Account, StoreError};
use tokio::sync::mpsc;
use web::{Later, Offered, OfferedTls, Outgoing, Sent};
use wire::explain::Side;
use zeroize::Zeroizing;

/// Lines that wait for a page.
const WATCHED_LINES_MAX: usize = 64;

struct Doors(Shared, Arc<Links>);

impl web::Doorkeeper for Doors {
    fn password<'a>(
        &'a self,
        login: &'a str,
        password: &'a [u8],
        peer: Option<IpAddr>,
    ) -> Later<'a, Result<Arc<Account>, web::Refused>> {
        Box::pin(async move {
            self.0.auth.password(login, password, peer).await.map_err(|refused| match refused {
                Refused::Credentials => web::Refused::Credentials,
                Refused::Suspended => web::Refused::Suspended,
                // Only programs are refused so.
                Refused::ProgramPassword => web::Refused::Credentials,
                Refused::Temporary => web::Refused::Later,
            })
        })
    }

    fn is_app_password(&self, account: &Account, password: &[u8]) -> bool {
        server::auth::is_app_password(account, password)
    }

    fn set_password<'a>(&'a self, account: &'a Account, password: &'a [u8]) -> Later<'a, Result<(), String>> {
        Box::pin(async move {
            // The salt stays: app passwords go with it.
            let salt = account.secrets.scram.as_ref().map(|scram| scram.salt.clone());
            let password = Zeroizing::new(password.to_vec());
            let secrets = self.0.auth.in_turn(move || server::auth::secrets_with_salt(&password, salt.as_deref())).await?;
            self.0.store.account_secrets(account.id, secrets).await.map_err(|error| told(&error))?;
            self.0.auth.forget(account.id);
            Ok(())
        })
    }

    fn end_sessions<'a>(&'a self, account: &'a Account) -> Later<'a, Result<(), String>> {
        Box::pin(async move {
            self.0.store.account_sessions_end(account.id).await.map_err(|error| told(&error))?;
            self.0.auth.forget(account.id);
            Ok(())
        })
    }

    fn add_app_password<'a>(&'a self, account: &'a Account, name: &'a str) -> Later<'a, Result<Zeroizing<String>, String>> {
        Box::pin(async move {
            let scram = account.secrets.scram.as_ref().map(|scram| (scram.salt.clone(), scram.iterations));
            let called = name.to_owned();
            let work = move || {
                let scram = scram.as_ref().map(|(salt, rounds)| (salt.as_slice(), *rounds));
                server::auth::new_app_password(&called, scram, unix_now())
            };
            let (shown, kept) = self.0.auth.in_turn(work).await?;
            self.0.store.app_password_add(account.id, kept).await.map_err(|error| match error {
                StoreError::Exists => format!("there is an app password \"{name}\" already"),
                other => told(&other),
            })?;
            Ok(shown)
        })
    }

    fn remove_app_password<'a>(&'a self, account: &'a Account, name: &'a str) -> Later<'a, Result<(), String>> {
        Box::pin(async move {
            self.0.store.app_password_remove(account.id, name).await.map_err(|error| match error {
                StoreError::NotFound => format!("there is no app password \"{name}\""),
                other => told(&other),
            })?;
            self.0.auth.forget(account.id);
            Ok(())
        })
    }
}

impl web::Wire for Doors {
    fn watch(&self, account: &Account) -> Option<mpsc::Receiver<web::Spoken>> {
        let mut spoken = self.0.watch(account)?;
        let (to, receiver) = mpsc::channel(WATCHED_LINES_MAX);
        tokio::spawn(async move {
            loop {
                let next = tokio::select! {
                    next = spoken.recv() => next,
                    () = to.closed() => None,
                };
                let Some(next) = next else { return };
                if to.send(as_watched(next)).await.is_err() {
                    return;
                }
            }
        });
        Some(receiver)
    }
}

fn as_watched(spoken: Spoken) -> web::Spoken {
    web::Spoken {
        at_millis: spoken.at_millis,
        connection: spoken.connection,
        protocol: crate::dialogue::protocol_word(spoken.protocol),
        peer: spoken.peer,
        by_client: spoken.explained.side == Side::Client,
        line: spoken.explained.line,
        meaning: spoken.explained.meaning.into_owned(),
        section: spoken.explained.section,
        lost: spoken.lost,
    }
}

fn handed(to: web::SendTo) -> To {
    To { address: to.address, notify: to.notify, original: to.original }
}

impl web::Sender for Doors {
    fn send(&self, outgoing: Outgoing) -> Later<'_, Result<Sent, mta::Refusal>> {
        Box::pin(async move {
            let by = self.1.way(outgoing.account.id, &outgoing.reverse_path);
            let whole = Whole {
                account: &outgoing.account,
                reverse_path: outgoing.reverse_path,
                recipients: outgoing.recipients.into_iter().map(handed).collect(),
                octets: &outgoing.octets,
                hold_until_secs: outgoing.hold_until_secs,
                ret_headers: outgoing.ret_headers,
                envelope_id: outgoing.envelope_id,
                service: outgoing.service,
                peer: outgoing.peer,
                by,
                resent: outgoing.resent,
            };
            let done = hand_in(&self.0, whole).await?;
            let told = |answer: Result<(), mta::Refusal>| match answer {
                Ok(()) => Ok(format!("250 2.0.0 {} accepted", done.id)),
                Err(refusal) => Err(refusal.to_string()),
            };
            let recipients = done.recipients.into_iter().map(told).collect();
            Ok(Sent { id: done.id, queued: done.queued, recipients })
        })
    }

    fn largest(&self, address: &str) -> Option<u64> {
        let domain = address.rsplit_once('@')?.1.to_ascii_lowercase();
        if self.0.domains.contains(&domain) {
            return Some(self.0.message_bytes_max);
        }
        self.0.sizes.of(&domain)
    }
}

/// What mail programs use of these listeners.
pub(super) fn offered(bound: &[Bound], has_tls: bool) -> Vec<Offered> {
    let one = |bound: &Bound| {
        let ListenAddr::Tcp(address) = bound.listener.local() else { return None };
        let protocol = match bound.service {
            Service::Imap | Service::Imaps => "imap",
            Service::Pop3 | Service::Pop3s => "pop3",
            Service::Submission | Service::Submissions => "smtp",
            _ => return None,
        };
        let tls = match (bound.service.is_implicit_tls(), has_tls) {
            (true, _) => OfferedTls::First,
            (false, true) => OfferedTls::StartTls,
            (false, false) => OfferedTls::None,
        };
        Some(Offered { protocol, port: address.port(), tls })
    };
    let mut all: Vec<Offered> = bound.iter().filter_map(one).collect();
    all.sort_by_key(|one| (one.protocol, one.tls, one.port));
    all.dedup();
    all
}

/// Of a running office.
pub(super) fn settings(
    context: &Shared,
    (outside, pushes): (net::Outside, net::Outside),
    (connection_max, strict_transport_secs): (Duration, Option<u64>),
    (offered, links): (Vec<Offered>, Arc<Links>),
) -> web::Settings {
    let doors = Arc::new(Doors(Arc::clone(context), Arc::clone(&links)));
    web::Settings {
        store: context.store.clone(),
        search: context.search.clone(),
        doorkeeper: doors.clone(),
        sender: doors.clone(),
        wire: doors,
        boxes: Arc::new(crate::boxes::Boxes),
        wishes: Some(Arc::clone(&context.wishes)),
        links: Some(links),
        outside,
        pushes,
        one_person: false,
        hostname: context.hostname.clone(),
        domains: context.domains.clone(),
        offered,
        message_bytes_max: context.message_bytes_max,
        recipients_max: usize::try_from(context.limits.recipients_max).unwrap_or(usize::MAX),
        plaintext: match context.plaintext {
            Plaintext::Never => web::Plaintext::Never,
            Plaintext::Loopback => web::Plaintext::Loopback,
            Plaintext::Always => web::Plaintext::Always,
        },
        strict_transport_secs,
        connection_max,
        shutdown: context.shutdown.clone(),
    }
}

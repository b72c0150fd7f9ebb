//! What the web face is handed of the other faces: sign-in and sending.
//!
//! Must not know: HTTP, SMTP's words.

use server::auth::Refused;
use server::context::{Plaintext, Shared};
use server::smtp::{Whole, hand_in};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use store::Account;
use web::{Later, Outgoing, Sent};

struct Doors(Shared);

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
                Refused::Temporary => web::Refused::Later,
            })
        })
    }
}

impl web::Sender for Doors {
    fn send(&self, outgoing: Outgoing) -> Later<'_, Result<Sent, mta::Refusal>> {
        Box::pin(async move {
            let whole = Whole {
                account: &outgoing.account,
                reverse_path: outgoing.reverse_path,
                recipients: outgoing.recipients.into_iter().map(|to| (to.address, to.notify)).collect(),
                octets: &outgoing.octets,
                hold_until_secs: outgoing.hold_until_secs,
                ret_headers: outgoing.ret_headers,
                envelope_id: outgoing.envelope_id,
                peer: outgoing.peer,
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
}

/// Of a running office.
pub(super) fn settings(context: &Shared, outside: net::Outside, connection_max: Duration) -> web::Settings {
    let doors = Arc::new(Doors(Arc::clone(context)));
    web::Settings {
        store: context.store.clone(),
        doorkeeper: doors.clone(),
        sender: doors,
        outside,
        hostname: context.hostname.clone(),
        domains: context.domains.clone(),
        message_bytes_max: context.message_bytes_max,
        plaintext: match context.plaintext {
            Plaintext::Never => web::Plaintext::Never,
            Plaintext::Loopback => web::Plaintext::Loopback,
            Plaintext::Always => web::Plaintext::Always,
        },
        connection_max,
        shutdown: context.shutdown.clone(),
    }
}

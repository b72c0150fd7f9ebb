//! The session resource (RFC 8620 §2), and its state.
//!
//! What is the same for everybody is made once and remembered, for every answer says the session's state. Must not know: methods.

use super::sharing;
use super::{BLOB, CORE, MAIL, MDN, PROGRAM, QUOTA, SUBMISSION, VACATION, VAPID, WEBSOCKET};
use super::{Object, account_id, answers, blob_methods, email, envelope};
use crate::limits::*;
use crate::site::{self, Asking, Shared, Site, signed_in};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use store::{Account, UnixSecs};

/// What this server can do, in the session and in each account; an account without it has null.
pub(super) struct Capabilities {
    all: Vec<(&'static str, Value, Value)>,
    /// Of all of it.
    hash: [u8; 32],
    of: Changeable,
}

/// What they are made of that changes while the server runs: our key for push services, and until when messages are held.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Changeable {
    key: Option<String>,
    hold_until: UnixSecs,
}

/// The last ones.
#[derive(Default)]
pub(super) struct Remembered(Mutex<Option<Arc<Capabilities>>>);

impl Capabilities {
    pub(super) fn has(&self, urn: &str) -> bool {
        self.all.iter().any(|(known, ..)| *known == urn)
    }

    pub(super) async fn of(site: &Site) -> Arc<Capabilities> {
        let key = match site.pushes.public_key(&site.store).await {
            Ok(key) => Some(key),
            Err(error) => {
                tracing::error!(?error, "browsers are told no key for push services");
                None
            }
        };
        site.jmap.capabilities.of(site, Changeable { key, hold_until: envelope::hold_until_max(net::clock::unix_now()) })
    }
}

impl Remembered {
    fn of(&self, site: &Site, of: Changeable) -> Arc<Capabilities> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = last.as_ref().filter(|known| known.of == of) {
            return Arc::clone(known);
        }
        let all = all(site, &of);
        let mut hash = blake3::Hasher::new();
        for (urn, server, account) in &all {
            hash.update(json!([urn, server, account]).to_string().as_bytes());
        }
        let made = Arc::new(Capabilities { all, hash: *hash.finalize().as_bytes(), of });
        *last = Some(Arc::clone(&made));
        made
    }
}

fn all(site: &Site, of: &Changeable) -> Vec<(&'static str, Value, Value)> {
    let core = json!({
        "maxSizeUpload": site.message_bytes_max, "maxConcurrentUpload": CONCURRENT_UPLOADS_MAX,
        "maxSizeRequest": REQUEST_BYTES_MAX, "maxConcurrentRequests": CONCURRENT_REQUESTS_MAX,
        "maxCallsInRequest": CALLS_MAX, "maxObjectsInGet": GET_MAX, "maxObjectsInSet": SET_MAX,
        "collationAlgorithms": answers::COLLATIONS.map(|(name, _)| name),
    });
    let mail = json!({
        "maxMailboxesPerEmail": Value::Null, "maxMailboxDepth": store::limits::MAILBOX_LEVELS_MAX,
        "maxSizeMailboxName": MAILBOX_NAME_BYTES_MAX, "maxSizeAttachmentsPerEmail": attachments_bytes_max(site.message_bytes_max),
        "emailQuerySortOptions": email::SORTS, "mayCreateTopLevelMailbox": true,
    });
    let extensions = envelope::extensions(site.message_bytes_max, of.hold_until);
    let submission = json!({"maxDelayedSend": envelope::delay_secs_max(), "submissionExtensions": extensions});
    let blob = json!({
        "maxSizeBlobSet": site.message_bytes_max, "maxDataSources": BLOB_SOURCES_MAX,
        "supportedTypeNames": blob_methods::LOOKUP_TYPES, "supportedDigestAlgorithms": blob_methods::DIGESTS,
    });
    let program = json!({"wireUrl": "/api/wire", "maxPeople": PEOPLE_MAX, "maxSnoozes": SNOOZES_MAX, "hasRules": site.wishes.is_some(),
            "hasLinks": site.links.is_some()});
    let mut all = vec![
        (CORE, core, json!({})),
        (MAIL, json!({}), mail),
        (SUBMISSION, json!({}), submission),
        (QUOTA, json!({}), json!({})),
        (BLOB, json!({}), blob),
        (MDN, json!({}), json!({})),
        // Its address is filled in where it is known under which name it is asked.
        (WEBSOCKET, json!({"supportsPush": true}), Value::Null),
        // What any account may be asked, also one of others.
        (PROGRAM, json!({"emailQueryFilters": email::OWN_FILTERS}), program),
    ];
    if let Some(key) = &of.key {
        all.push((VAPID, json!({"applicationServerKey": key}), Value::Null));
    }
    // Somebody who does not deliver cannot answer either.
    if site.wishes.is_some() {
        all.push((VACATION, json!({}), json!({})));
    }
    all
}

/// `GET /jmap/session`
pub(crate) async fn session(State(site): State<Shared>, request: Request) -> Response {
    let asking = Asking::of(&request);
    let base = asking.base_url();
    match signed_in(&site, asking).await {
        Ok(signed_in) => site::answer(StatusCode::OK, &session_of(&site, &signed_in.account, &base).await),
        Err(response) => response,
    }
}

/// Whose accounts an account's session shows.
struct Accounts {
    own: Vec<Arc<Account>>,
    /// Id, name, whether top mailboxes may be made.
    shared: Vec<(String, String, bool)>,
}

impl Accounts {
    async fn of(site: &Site, account: &Arc<Account>) -> Accounts {
        Accounts {
            own: site.own(account).await.unwrap_or_else(|_| vec![Arc::clone(account)]),
            shared: sharing::described(&site.store, account).await,
        }
    }

    /// "If the value of any other property on the Session object changes, this string will change" (RFC 8620 §2): of all that the
    /// rest is made of, under whatever name it is asked, and of the account's sign-ins.
    fn state(&self, account: &Account, capabilities: &Capabilities) -> String {
        let own: Vec<Value> = self.own.iter().map(|own| json!([account_id(own.id), own.address])).collect();
        let mut hash = blake3::Hasher::new();
        hash.update(&capabilities.hash);
        hash.update(json!([account_id(account.id), account.address, own, self.shared]).to_string().as_bytes());
        format!("s{:x}-{}", account.epoch, &hash.finalize().to_hex().as_str()[..16])
    }
}

/// `sessionState`
pub(super) async fn state(site: &Site, account: &Arc<Account>, capabilities: &Capabilities) -> String {
    Accounts::of(site, account).await.state(account, capabilities)
}

/// What the session resource says to an account under the name `base`.
pub(crate) async fn session_of(site: &Site, account: &Arc<Account>, base: &str) -> Value {
    let capabilities = Capabilities::of(site).await;
    let shown = Accounts::of(site, account).await;
    let all = &capabilities.all;
    let of_server: Object = all.iter().map(|(urn, server, _)| ((*urn).to_owned(), server.clone())).collect();
    let of_account = all.iter().filter(|(.., account)| !account.is_null());
    let of_account: Object = of_account.map(|(urn, _, account)| ((*urn).to_owned(), account.clone())).collect();
    let id = account_id(account.id);
    let primary = of_account.keys().filter(|urn| *urn != CORE).map(|urn| (urn.clone(), json!(id)));
    let primary: Object = primary.collect();
    let mut accounts = Object::new();
    for (shared, name, tops) in &shown.shared {
        // Mail, and what it takes to read and write it; the rest is everybody's own affair.
        let mut can: Object = of_account.clone();
        can.retain(|urn, _| [CORE, MAIL, BLOB].contains(&urn.as_str()));
        if let Some(mail) = can.get_mut(MAIL).and_then(Value::as_object_mut) {
            mail.insert("mayCreateTopLevelMailbox".into(), json!(tops));
        }
        let told = json!({"name": name, "isPersonal": false, "isReadOnly": false, "accountCapabilities": can});
        accounts.insert(shared.clone(), told);
    }
    for own in &shown.own {
        let told = json!({"name": own.address, "isPersonal": true, "isReadOnly": false, "accountCapabilities": of_account});
        accounts.insert(account_id(own.id), told);
    }
    let mut told = json!({
        "capabilities": of_server, "accounts": accounts, "primaryAccounts": primary, "username": account.address,
        "state": shown.state(account, &capabilities),
        "apiUrl": format!("{base}/jmap/api"),
        "downloadUrl": format!("{base}/jmap/download/{{accountId}}/{{blobId}}/{{name}}?type={{type}}"),
        "uploadUrl": format!("{base}/jmap/upload/{{accountId}}/"),
        "eventSourceUrl": format!("{base}/jmap/eventsource/?types={{types}}&closeafter={{closeafter}}&ping={{ping}}"),
    });
    // `http` becomes `ws`, `https` becomes `wss`.
    told["capabilities"][WEBSOCKET]["url"] = json!(format!("{}/jmap/ws", base.replacen("http", "ws", 1)));
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every answer says the state: what it is made of is put together once, and anew only where something of it is another.
    #[tokio::test]
    async fn what_is_the_same_for_everybody_is_made_once() {
        let (site, signed_in) = crate::fuzzing::site().await;
        let (one, other) = (Capabilities::of(&site).await, Capabilities::of(&site).await);
        assert!(Arc::ptr_eq(&one, &other));
        let later = Changeable { hold_until: one.of.hold_until + 86_400, ..one.of.clone() };
        let later = site.jmap.capabilities.of(&site, later);
        assert!(!Arc::ptr_eq(&one, &later));
        let of_none = site.jmap.capabilities.of(&site, Changeable { key: None, ..one.of.clone() });
        let states = [&one, &later, &of_none].map(|capabilities| state(&site, &signed_in.account, capabilities));
        let [one, later, of_none] = states;
        let (one, later, of_none) = (one.await, later.await, of_none.await);
        assert!(one != later && one != of_none && later != of_none, "{one} {later} {of_none}");
    }
}

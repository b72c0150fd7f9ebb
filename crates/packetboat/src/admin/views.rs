//! What the acts show, as JSON: the field names are an interface (`docs/cli.md`), so they change only by addition.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use store::{Account, Alias, Defect, QueueEntry, RecipientState, ScramVerifier, Secrets, Suppressed, TraceEvent, Undoable};

/// An account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AccountView {
    pub(crate) id: u32,
    pub(crate) address: String,
    pub(crate) suspended: bool,
    /// `null` is unlimited.
    pub(crate) quota_bytes: Option<u64>,
    pub(crate) used_bytes: u64,
    pub(crate) messages: u64,
    pub(crate) created_secs: i64,
}

/// An alias.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AliasView {
    pub(crate) address: String,
    pub(crate) targets: Vec<String>,
}

impl From<&Alias> for AliasView {
    fn from(alias: &Alias) -> AliasView {
        AliasView { address: alias.address.clone(), targets: alias.targets.clone() }
    }
}

/// A queued message for one destination.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct QueueView {
    pub(crate) id: u64,
    pub(crate) destination: String,
    pub(crate) from: String,
    pub(crate) recipients: Vec<RecipientView>,
    pub(crate) message_id: Option<String>,
    pub(crate) size_bytes: u32,
    pub(crate) attempts: u32,
    pub(crate) held: bool,
    pub(crate) created_secs: i64,
    pub(crate) next_secs: i64,
    pub(crate) expires_secs: i64,
}

/// Where one of its recipients stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RecipientView {
    pub(crate) address: String,
    /// `waiting`, `delivered`, `failed` or `dropped`.
    pub(crate) state: String,
    pub(crate) last_reply: String,
}

impl From<&QueueEntry> for QueueView {
    fn from(entry: &QueueEntry) -> QueueView {
        let recipients = entry.message.recipients.iter().map(|recipient| RecipientView {
            address: recipient.address.clone(),
            state: match recipient.state {
                RecipientState::Waiting => "waiting",
                RecipientState::Delivered => "delivered",
                RecipientState::Failed => "failed",
                RecipientState::Dropped => "dropped",
            }
            .into(),
            last_reply: recipient.last_reply.clone(),
        });
        QueueView {
            id: entry.id.0,
            destination: entry.message.destination.to_string(),
            from: entry.message.reverse_path.clone(),
            recipients: recipients.collect(),
            message_id: entry.message_id.as_ref().map(ToString::to_string),
            size_bytes: entry.size_bytes,
            attempts: entry.attempts,
            held: entry.held,
            created_secs: entry.created_secs,
            next_secs: entry.next_secs,
            expires_secs: entry.message.expires_secs,
        }
    }
}

/// One line of "what happened".
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TraceView {
    /// Grows with time.
    pub(crate) number: u64,
    pub(crate) at_secs: i64,
    /// `accepted`, `refused`, `stored`, `delivered`, `deferred`, `bounced`, `moved`, `expunged` ...
    pub(crate) what: String,
    pub(crate) detail: String,
    /// Whose own part it is.
    pub(crate) account: Option<String>,
    /// What it is found by: each `kind` and `value`.
    pub(crate) keys: Vec<TraceKeyView>,
}

/// One key of an event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TraceKeyView {
    pub(crate) kind: String,
    pub(crate) value: String,
}

impl TraceView {
    pub(crate) fn of(number: u64, event: TraceEvent, account: Option<&Account>) -> TraceView {
        let keys = event.keys.into_iter().map(|(kind, value)| TraceKeyView { kind: kind.into(), value }).collect();
        let account = account.map(|account| account.address.clone());
        TraceView { number, at_secs: event.at_secs, what: event.what.into(), detail: event.detail, account, keys }
    }
}

/// What sending stands still for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FreezeView {
    /// `all`, an account's address, or a destination.
    pub(crate) what: String,
    pub(crate) since_secs: i64,
    pub(crate) why: String,
}

/// An address mail is not sent to any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SuppressedView {
    pub(crate) address: String,
    /// Hard bounces in a row; 0: put there by an operator.
    pub(crate) bounces: u32,
    pub(crate) listed: bool,
    pub(crate) last_secs: i64,
    pub(crate) why: String,
}

impl From<Suppressed> for SuppressedView {
    fn from(row: Suppressed) -> SuppressedView {
        let Suppressed { address, bounces, listed, last_secs, why } = row;
        SuppressedView { address, bounces, listed, last_secs, why }
    }
}

/// A queue row that could not be read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SetAsideView {
    pub(crate) id: u64,
    pub(crate) reason: String,
}

/// An expunged message that can be brought back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UndoView {
    pub(crate) email: u64,
    pub(crate) mailbox: String,
    pub(crate) expunged_secs: i64,
    pub(crate) size_bytes: u32,
    pub(crate) subject: String,
    pub(crate) from: String,
}

impl From<Undoable> for UndoView {
    fn from(row: Undoable) -> UndoView {
        UndoView {
            email: row.email.0,
            mailbox: row.mailbox_name.to_string(),
            expunged_secs: row.expunged_secs,
            size_bytes: row.size_bytes,
            subject: row.subject,
            from: row.from,
        }
    }
}

/// How far the search index of an account is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct IndexView {
    pub(crate) address: String,
    pub(crate) messages: u64,
    pub(crate) behind: u64,
    pub(crate) size_bytes: u64,
}

/// A broken invariant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DefectView {
    pub(crate) place: String,
    pub(crate) what: String,
}

impl From<Defect> for DefectView {
    fn from(defect: Defect) -> DefectView {
        DefectView { place: defect.place, what: defect.what }
    }
}

/// Password verifiers on their way through the control socket.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SecretsText {
    argon2: String,
    scram: Option<ScramText>,
}

#[derive(Clone, Serialize, Deserialize)]
struct ScramText {
    salt: String,
    iterations: u32,
    stored_key: String,
    server_key: String,
}

/// An app password's verifiers on their way through the control socket.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct AppPasswordText {
    pub(crate) name: String,
    created_secs: i64,
    sha256: String,
    scram: Vec<ScramText>,
}

impl std::fmt::Debug for AppPasswordText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AppPasswordText")
    }
}

impl From<store::AppPassword> for AppPasswordText {
    fn from(password: store::AppPassword) -> AppPasswordText {
        AppPasswordText {
            name: password.name,
            created_secs: password.created_secs,
            sha256: BASE64.encode(&password.sha256),
            scram: password.scram.into_iter().map(ScramText::from).collect(),
        }
    }
}

impl AppPasswordText {
    /// Back to the store's form.
    pub(crate) fn into_app_password(self) -> Result<store::AppPassword, String> {
        let sha256 = BASE64.decode(self.sha256.as_bytes()).ok().and_then(|octets| octets.try_into().ok());
        let scram: Option<Vec<ScramVerifier>> = self.scram.into_iter().map(ScramText::into_verifier).collect();
        match (sha256, scram) {
            (Some(sha256), Some(scram)) => {
                Ok(store::AppPassword { name: self.name, created_secs: self.created_secs, sha256, scram })
            }
            _ => Err("the app password's verifiers are malformed".into()),
        }
    }
}

impl From<ScramVerifier> for ScramText {
    fn from(verifier: ScramVerifier) -> ScramText {
        ScramText {
            salt: BASE64.encode(&verifier.salt),
            iterations: verifier.iterations,
            stored_key: BASE64.encode(&verifier.stored_key),
            server_key: BASE64.encode(&verifier.server_key),
        }
    }
}

impl ScramText {
    fn into_verifier(self) -> Option<ScramVerifier> {
        let key = |text: &str| -> Option<[u8; 32]> { BASE64.decode(text.as_bytes()).ok()?.try_into().ok() };
        Some(ScramVerifier {
            salt: BASE64.decode(self.salt.as_bytes()).ok()?,
            iterations: self.iterations,
            stored_key: key(&self.stored_key)?,
            server_key: key(&self.server_key)?,
        })
    }
}

impl std::fmt::Debug for SecretsText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretsText")
    }
}

impl From<Secrets> for SecretsText {
    fn from(secrets: Secrets) -> SecretsText {
        SecretsText { argon2: secrets.argon2, scram: secrets.scram.map(ScramText::from) }
    }
}

impl SecretsText {
    /// Back to the store's form.
    pub(crate) fn into_secrets(self) -> Result<Secrets, String> {
        let scram = self.scram.map(|text| text.into_verifier().ok_or("the SCRAM verifier is malformed")).transpose()?;
        Ok(Secrets { argon2: self.argon2, scram })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn verifiers_survive_the_socket_and_are_not_shown() {
        let scram = ScramVerifier { salt: vec![1, 2, 3], iterations: 100_000, stored_key: [7; 32], server_key: [9; 32] };
        let secrets = Secrets { argon2: "$argon2id$x".into(), scram: Some(scram) };
        let text = SecretsText::from(secrets.clone());
        assert_eq!(format!("{text:?}"), "SecretsText");
        let wire = serde_json::to_string(&text).unwrap();
        let back: SecretsText = serde_json::from_str(&wire).unwrap();
        assert_eq!(back.into_secrets().unwrap(), secrets);
    }
}

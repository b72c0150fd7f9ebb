//! What this client did itself it is not told of (RFC 5465 §5): names, subscriptions and annotations of its own commands.
//!
//! Invariant: only what the command named is passed over; what others did to other names in the same moment is told.

use super::Known;
use crate::imap::failure::Trouble;
use crate::imap::session::Session;
use smol_str::SmolStr;
use store::MailboxStatus;
use wire::imap::Command;

/// A command that others hear of, by what it names.
pub(crate) struct OwnAct {
    /// Made, deleted, renamed, subscribed to.
    names: Vec<SmolStr>,
    /// A mailbox made by CREATE is empty until somebody else fills it.
    creates: bool,
    /// SETMETADATA: its mailbox (none: the server) and entries.
    annotated: Option<(Option<SmolStr>, Vec<SmolStr>)>,
}

impl OwnAct {
    /// `None` for any other command.
    pub(crate) fn of(command: &Command) -> Option<OwnAct> {
        let names: Vec<&str> = match command {
            Command::Create { mailbox, .. } | Command::Delete { mailbox } => vec![mailbox.as_str()],
            Command::Subscribe { mailbox } | Command::Unsubscribe { mailbox } => vec![mailbox.as_str()],
            Command::Rename { from, to } => vec![from.as_str(), to.as_str()],
            Command::SetMetadata(_) => Vec::new(),
            _ => return None,
        };
        let annotated = match command {
            Command::SetMetadata(set) => {
                let entries = set.values.iter().map(|(entry, _)| SmolStr::from(entry.as_str())).collect();
                Some((set.mailbox.as_ref().map(|name| SmolStr::from(name.as_str())), entries))
            }
            _ => None,
        };
        let names = names.into_iter().map(|name| SmolStr::from(name.strip_suffix('/').unwrap_or(name))).collect();
        Some(OwnAct { names, creates: matches!(command, Command::Create { .. }), annotated })
    }

    /// Does it change this name? What lies above a new one is made with it, what lies below a renamed one goes with it.
    fn touches(&self, name: &str) -> bool {
        let below = |top: &str, name: &str| name.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.names.iter().any(|own| below(own, name) || below(name, own))
    }

    /// What it did is known.
    fn told(&self, known: &mut Known, now: Known) {
        for (id, (placed, status)) in &now.mailboxes {
            let name = &placed.mailbox.name;
            match known.mailboxes.get_mut(id) {
                None if self.touches(name) => {
                    let empty = MailboxStatus { messages: 0, unseen: 0, deleted: 0, size_bytes: 0, uid_next: 1, ..*status };
                    known.mailboxes.insert(*id, (placed.clone(), if self.creates { empty } else { *status }));
                }
                Some((before, _)) if self.touches(name) || self.touches(&before.mailbox.name) => *before = placed.clone(),
                _ => {}
            }
        }
        known.mailboxes.retain(|id, (placed, _)| now.mailboxes.contains_key(id) || !self.touches(&placed.mailbox.name));
        known.subscribed.retain(|name| now.subscribed.contains(name) || !self.touches(name));
        known.subscribed.extend(now.subscribed.iter().filter(|name| self.touches(name)).cloned());
        if let Some((mailbox, entries)) = &self.annotated {
            let place = mailbox
                .as_ref()
                .and_then(|name| now.mailboxes.iter().find(|(_, (placed, _))| placed.mailbox.name == *name).map(|(id, _)| *id));
            let ours = |key: &(Option<super::PlaceId>, String)| {
                key.0 == place && entries.iter().any(|entry| entry.eq_ignore_ascii_case(&key.1))
            };
            known.annotations.retain(|key, _| !ours(key));
            known.annotations.extend(now.annotations.into_iter().filter(|(key, _)| ours(key)));
        }
        // What others did meanwhile is looked for in any case.
        known.stamps.clear();
    }
}

impl Session {
    /// The command is done: of what it did nothing is told.
    pub(crate) async fn knows_of(&mut self, act: &OwnAct) {
        let Some(mut notifying) = self.notify.take() else { return };
        if !notifying.groups.is_empty() {
            let now: Result<Known, Trouble> = self.look(&mut notifying, act.annotated.is_some()).await;
            // Where that fails the next look tells of it, or meets the same trouble.
            if let Ok(now) = now {
                act.told(&mut notifying.known, now);
            }
        }
        self.notify = Some(notifying);
    }
}

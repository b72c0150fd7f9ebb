//! METADATA and METADATA-SERVER (RFC 5464), LIST-METADATA (RFC 9590): entries of mailboxes and of the server.
//!
//! An account's `/private` and `/shared` entries lie at its mailboxes, private ones of other readers there too, under their
//! numbers; its private server entries at the account itself.
//! Invariant: what the server says by itself (`/shared/admin`, `/private/specialuse`) cannot be set. Must not know: rows.

use super::failure::{Outcome, Trouble, done, done_with, no};
use super::mailbox::attribute;
use super::place::{Placed, forbidden};
use super::session::Session;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use store::limits::ANNOTATION_BYTES_MAX;
use store::{AccountId, Annotations, MailboxId, StoreError};
use wire::imap::acl::Right;
use wire::imap::metadata::{Depth, Entry, GetMetadata, MetadataData, MetadataResponse, SetMetadata};
use wire::imap::response::Response;
use wire::imap::{Code, MailboxName};

/// RFC 5464 §6.2.2: how to reach whoever runs the server.
const ADMIN: &str = "/shared/admin";
/// RFC 6154 §4: the mailbox's use, which CREATE gave it.
const SPECIAL_USE: &str = "/private/specialuse";

/// Entries of one place, by name.
type Entries = BTreeMap<String, Vec<u8>>;
type Values = Vec<(Entry, Option<Vec<u8>>)>;

impl Session {
    /// GETMETADATA.
    pub(crate) async fn get_metadata(&mut self, get: GetMetadata) -> Outcome {
        let place = self.place(get.mailbox.as_ref()).await?;
        let me = self.account_id()?;
        let all = self.store().annotations(place.as_ref().map_or(me, |placed| placed.account)).await?;
        let entries = match &place {
            Some(placed) => entries_of(&all, placed, me),
            None => self.server_entries(&all),
        };
        let (values, longest) = asked(&entries, &get);
        if !values.is_empty() {
            let mailbox = place.map(|placed| MailboxName::new(&placed.mailbox.name));
            self.wire.untagged(&Response::Metadata(MetadataResponse { mailbox, data: MetadataData::Values(values) }));
        }
        match longest {
            Some(longest) => done_with(Code::MetadataLongEntries(longest), "Some are longer than that"),
            None => done("Metadata told"),
        }
    }

    /// SETMETADATA: all or none.
    pub(crate) async fn set_metadata(&mut self, set: SetMetadata) -> Outcome {
        let place = self.place(set.mailbox.as_ref()).await?;
        for (entry, value) in &set.values {
            let name = entry.as_str();
            if matches!(name, "/private" | "/shared") {
                return Err(Trouble::Bad("That is no entry but a whole tree"));
            }
            if value.as_ref().is_some_and(|value| value.len() > ANNOTATION_BYTES_MAX) {
                return Err(no(Code::MetadataMaxSize(ANNOTATION_BYTES_MAX as u64), "The value is too long"));
            }
            if (place.is_none() && entry.is_shared()) || (place.is_some() && name == SPECIAL_USE) {
                return Err(no(Code::NoPerm, "That entry cannot be set"));
            }
        }
        let me = self.account_id()?;
        let (account, mailbox) = place.as_ref().map_or((me, None), |placed| (placed.account, Some(placed.mailbox.id)));
        if set.values.iter().any(|(entry, _)| entry.is_shared()) && place.is_some_and(|placed| !placed.rights.has(Right::Write)) {
            return Err(forbidden());
        }
        let values: Vec<_> = set.values.into_iter().map(|(entry, value)| (kept_as(&entry, account, me), value)).collect();
        match self.store().annotate(account, mailbox, &values).await {
            Err(StoreError::Invalid(_)) => Err(no(Code::MetadataTooMany, "There are too many entries")),
            Err(error) => Err(error.into()),
            Ok(()) => done("Metadata set"),
        }
    }

    /// LIST RETURN (METADATA ...): one answer a mailbox, NIL where there is no such entry (RFC 9590 §3).
    pub(crate) async fn tell_metadata(&mut self, placed: &Placed, wanted: &[Entry]) -> Result<(), Trouble> {
        if !placed.rights.has(Right::Read) {
            return Ok(());
        }
        let all = self.store().annotations_at(placed.account, placed.mailbox.id).await?;
        let entries = entries_of(&all, placed, self.account_id()?);
        let values = wanted.iter().map(|entry| (entry.clone(), entries.get(entry.as_str()).cloned())).collect();
        let mailbox = Some(MailboxName::new(&placed.mailbox.name));
        self.wire.untagged(&Response::Metadata(MetadataResponse { mailbox, data: MetadataData::Values(values) }));
        Ok(())
    }

    /// The mailbox meant, or the server.
    async fn place(&self, mailbox: Option<&MailboxName>) -> Result<Option<Placed>, Trouble> {
        let Some(name) = mailbox else { return Ok(None) };
        let placed = self.find_for(name.as_str(), Right::Lookup).await?;
        if placed.rights.has(Right::Read) { Ok(Some(placed)) } else { Err(forbidden()) }
    }

    fn server_entries(&self, all: &Annotations) -> Entries {
        let mut entries = of_place(all, None);
        if let Some(domain) = self.context.domains.first() {
            entries.insert(ADMIN.to_owned(), format!("mailto:postmaster@{domain}").into_bytes());
        }
        entries
    }
}

fn of_place(all: &Annotations, place: Option<MailboxId>) -> Entries {
    let here = all.iter().filter(|((at, _), _)| *at == place);
    here.map(|((_, name), value)| (name.to_string(), value.clone())).collect()
}

/// What a reader's private entry at a mailbox of another account is called there.
fn kept_as(entry: &Entry, owner: AccountId, me: AccountId) -> SmolStr {
    match owner == me || entry.is_shared() {
        true => entry.as_str().into(),
        false => SmolStr::from(format!("{}{}", private_prefix(me), entry.as_str())),
    }
}

fn private_prefix(me: AccountId) -> String {
    format!("{}:", me.0)
}

fn entries_of(all: &Annotations, placed: &Placed, me: AccountId) -> Entries {
    let mailbox = &placed.mailbox;
    let mut entries = of_place(all, Some(mailbox.id));
    if placed.account != me {
        let prefix = private_prefix(me);
        entries = entries
            .into_iter()
            .filter_map(|(name, value)| match name.strip_prefix(&prefix) {
                Some(private) => Some((private.to_owned(), value)),
                None => name.starts_with("/shared/").then_some((name, value)),
            })
            .collect();
    }
    entries.retain(|name, _| name.starts_with('/'));
    if let Some(special_use) = mailbox.special_use {
        entries.insert(SPECIAL_USE.to_owned(), format!("\\{}", attribute(special_use).name()).into_bytes());
    }
    entries
}

/// What is asked for and there, and the length of the longest that MAXSIZE left out. Without DEPTH, NIL for what is not there.
fn asked(entries: &Entries, get: &GetMetadata) -> (Values, Option<u64>) {
    let mut found: BTreeMap<Entry, Option<Vec<u8>>> = BTreeMap::new();
    let mut longest = None;
    let mut take = |entry: Entry, value: Option<&Vec<u8>>| match value {
        Some(value) if get.max_size.is_some_and(|max| value.len() as u64 > max) => {
            longest = longest.max(Some(value.len() as u64));
        }
        value => drop(found.insert(entry, value.cloned())),
    };
    for wanted in &get.entries {
        let value = entries.get(wanted.as_str());
        if value.is_some() || get.depth == Depth::Zero {
            take(wanted.clone(), value);
        }
        let inferior = format!("{}/", wanted.as_str());
        let below = entries.iter().filter(|(name, _)| match (get.depth, name.strip_prefix(&inferior)) {
            (Depth::Zero, _) | (_, None) => false,
            (Depth::One, Some(rest)) => !rest.contains('/'),
            (Depth::Infinity, Some(_)) => true,
        });
        for (name, value) in below {
            if let Some(entry) = Entry::new(name) {
                take(entry, Some(value));
            }
        }
    }
    (found.into_iter().collect(), longest)
}

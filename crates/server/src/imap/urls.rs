//! Octets that IMAP URLs name (RFC 5092; CATENATE, RFC 4469; URL-PARTIAL, RFC 5550).
//!
//! Only messages that whoever is signed in may read, on this server; reading by URL sets no \Seen. Invariant: what cannot be had
//! is BADURL with the URL, never somebody else's octets. Must not know: what they are read for.

use super::failure::{Trouble, no};
use super::fetch::{NamedOctets, Stored};
use super::session::Session;
use bytes::Bytes;
use store::{Account, AccountId, MessageRow, Uid};
use wire::imap::Code;
use wire::imap::acl::Right;
use wire::imap::fetch::{Partial, Section};
use wire::imap::url::ImapUrl;

/// What a URL names.
pub(crate) struct Named {
    /// Whose message it is.
    pub(crate) account: AccountId,
    pub(crate) row: MessageRow,
    pub(crate) section: Section,
    pub(crate) partial: Option<Partial>,
}

/// Its octets, as far as they are not read yet.
pub(crate) struct UrlOctets {
    email: Stored,
    named: NamedOctets,
}

impl UrlOctets {
    /// Octets left.
    pub(crate) fn len(&self) -> u64 {
        match &self.named {
            NamedOctets::Stored(range) => range.end - range.start,
            NamedOctets::Here(octets) => octets.len() as u64,
        }
    }
}

fn bad_url(url: &str) -> Trouble {
    no(Code::BadUrl(url.to_owned()), "There is nothing by that URL")
}

impl Session {
    /// Finds them; relative URLs begin at the server's root, or in the selected mailbox.
    pub(crate) async fn octets_of(&self, text: &str) -> Result<UrlOctets, Trouble> {
        let account = self.account()?;
        let url = ImapUrl::parse(text).ok_or_else(|| bad_url(text))?;
        let mine = url.user.as_deref().is_none_or(|user| self.address_of(user) == account.address);
        if !self.is_ours(&url) || !mine || url.access.is_some() {
            return Err(bad_url(text));
        }
        self.octets_as(account, &url).await
    }

    /// Whom a URL names: as at sign-in, where there is one domain its local part alone will do.
    pub(crate) fn address_of(&self, user: &str) -> String {
        store::normalise(&self.context.auth.name(user))
    }

    /// Is it on this server?
    pub(crate) fn is_ours(&self, url: &ImapUrl) -> bool {
        let of_imap = |host: &str| host.strip_suffix(":143").or(host.strip_suffix(":993")).map_or(host.len(), str::len);
        let name = url.host.as_deref().map(|host| host.get(..of_imap(host)).unwrap_or(host));
        name.is_none_or(|name| name.eq_ignore_ascii_case(&self.context.hostname))
    }

    /// What `who` reads by it.
    pub(crate) async fn octets_as(&self, who: &Account, url: &ImapUrl) -> Result<UrlOctets, Trouble> {
        let Named { account, row, section, partial } = self.named_as(who, url).await?;
        let email = (account, row.email);
        let named = self.octets_named((account, row), section, partial).await?.ok_or_else(|| bad_url(&url.text))?;
        Ok(UrlOctets { email, named })
    }

    /// The message it names, as `who` sees it.
    pub(crate) async fn named_as(&self, who: &Account, url: &ImapUrl) -> Result<Named, Trouble> {
        let bad = || bad_url(&url.text);
        let (account, mailbox) = match &url.mailbox {
            Some(name) => {
                let placed = self.find_as(who, name.as_str()).await?.filter(|placed| placed.rights.has(Right::Read));
                placed.map(|placed| (placed.account, placed.mailbox)).ok_or_else(bad)?
            }
            None => self.view.as_ref().map(|view| (view.account, view.mailbox.clone())).ok_or_else(bad)?,
        };
        if url.uid_validity.is_some_and(|validity| validity != mailbox.uid_validity) {
            return Err(bad());
        }
        let rows = self.store().snapshot(account, mailbox.id).await?.rows;
        let row = rows.index_of(Uid(url.uid)).and_then(|index| rows.get(index)).ok_or_else(bad)?;
        let section = match &url.section {
            Some(section) => Section::from_text(section).ok_or_else(bad)?,
            None => Section::default(),
        };
        let partial = url.partial.map(|(offset, length)| Partial { offset, length: length.unwrap_or(u64::MAX) });
        Ok(Named { account, row, section, partial })
    }

    /// The next of them, at most `max`; `None` at the end.
    pub(crate) async fn next_octets(&self, octets: &mut UrlOctets, max: u64) -> Result<Option<Bytes>, Trouble> {
        match &mut octets.named {
            NamedOctets::Here(here) if here.is_empty() => Ok(None),
            NamedOctets::Here(here) => Ok(Some(Bytes::from(std::mem::take(here)))),
            NamedOctets::Stored(range) if range.is_empty() => Ok(None),
            NamedOctets::Stored(range) => {
                let piece = self.piece(octets.email, range.start..range.end.min(range.start.saturating_add(max))).await?;
                range.start += piece.len() as u64;
                Ok(Some(piece))
            }
        }
    }
}

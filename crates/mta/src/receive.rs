//! Who a recipient is: account, alias, `+detail`, postmaster, somewhere else, or nobody (RFC 5321 §3.3, RFC 2142, RFC 5233 for `+`).
//!
//! Invariant: one decision for RCPT, for sender addresses and for bounces; aliases never loop and never grow past their
//! limit; relaying only for who signed in. Must not know: sessions, replies' syntax.

use crate::limits::{ALIAS_DEPTH_MAX, ALIAS_TARGETS_MAX};
use crate::refusal::{Refusal, of_store_error};
use std::collections::HashSet;
use std::sync::Arc;
use store::{Account, AccountId, MailboxId, Store, StoreError};
use wire::imap::acl::{Right, Rights};

/// What the decision needs to know of the server.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Accounts and aliases.
    pub store: &'a Store,
    /// Domains whose mail ends here; lower-case.
    pub domains: &'a [String],
    /// Domains mail may leave for besides, lower-case; `None` is everywhere.
    pub reachable: Option<&'a [String]>,
    /// Said when `reachable` does not have the domain.
    pub unreachable_text: &'a str,
    /// Leads bounces of forwarded mail back, and the time it is; `None`: nothing is rewritten.
    pub srs: Option<(&'a trust::srs::Srs, store::UnixSecs)>,
    /// Who signed in to send; `None`: anybody.
    pub poster: Option<&'a str>,
}

/// Where one forward-path leads.
#[derive(Debug, Clone, Default)]
pub struct Destinations {
    /// Accounts here, each once.
    pub accounts: Vec<Arc<Account>>,
    /// Addresses elsewhere (through an alias, or the forward-path itself), each once.
    pub remote: Vec<String>,
    /// Mailboxes of these accounts that `+detail` names and that the sender may post to.
    pub posted: Vec<(AccountId, MailboxId)>,
}

impl Destinations {
    /// Leads nowhere.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.remote.is_empty()
    }
}

/// Mailbox names of RFC 2142 §5 and §4 that fall to the postmaster when nobody has them.
const ROLES: &[&str] =
    &["abuse", "noc", "security", "hostmaster", "webmaster", "www", "ftp", "usenet", "news", "uucp", "mailer-daemon"];

/// The domain part as compared: lower-case, A-labels. `None` when there is no `@`.
pub fn domain_of(address: &str) -> Option<String> {
    let normal = store::normalise(address);
    normal.rsplit_once('@').map(|(_, domain)| domain.to_owned())
}

impl Place<'_> {
    /// Is this domain (in any case) served here?
    pub fn serves(&self, domain: &str) -> bool {
        self.domains.iter().any(|d| d.eq_ignore_ascii_case(domain))
    }

    /// May mail leave for this domain?
    pub fn may_reach(&self, domain: &str) -> bool {
        self.serves(domain) || self.reachable.is_none_or(|list| list.iter().any(|d| d.eq_ignore_ascii_case(domain)))
    }

    /// Follows an address to accounts here and addresses elsewhere; empty when nobody has it.
    pub async fn resolve(&self, address: &str) -> Result<Destinations, StoreError> {
        let mut found = Destinations::default();
        let mut seen = HashSet::new();
        let mut level = vec![self.whole(address)];
        for _ in 0..ALIAS_DEPTH_MAX {
            let mut next = Vec::new();
            for address in std::mem::take(&mut level) {
                if seen.len() >= ALIAS_TARGETS_MAX || !seen.insert(store::normalise(&address)) {
                    continue;
                }
                self.step(&address, &mut found, &mut next).await?;
            }
            if next.is_empty() {
                break;
            }
            level = next;
        }
        Ok(found)
    }

    /// `postmaster` without a domain is the postmaster of the first domain (RFC 5321 §2.3.5).
    fn whole(&self, address: &str) -> String {
        match self.domains.first() {
            Some(domain) if !address.contains('@') => format!("{address}@{domain}"),
            _ => address.to_owned(),
        }
    }

    async fn step(&self, address: &str, found: &mut Destinations, next: &mut Vec<String>) -> Result<(), StoreError> {
        let normal = store::normalise(address);
        let Some((local, domain)) = normal.rsplit_once('@') else { return Ok(()) };
        if !self.serves(domain) {
            found.remote.push(address.to_owned());
            return Ok(());
        }
        if let Some((srs, now_secs)) = self.srs
            && trust::srs::is_rewritten(local)
        {
            // As spelled: the local part behind it is not ours to fold.
            let spelled = address.rsplit_once('@').map_or(local, |(local, _)| local);
            found.remote.extend(srs.back(spelled, now_secs));
            return Ok(());
        }
        if self.named(&normal, found, next).await? {
            return Ok(());
        }
        let (base, detail) = local.split_once('+').map_or((None, ""), |(base, detail)| (Some(base), detail));
        let base = base.filter(|base| !base.is_empty());
        if let Some(base) = base {
            let address = format!("{base}@{domain}");
            if self.named(&address, found, next).await? {
                return self.post(&address, detail, found).await;
            }
        }
        let role = base.unwrap_or(local);
        if role == "postmaster" {
            if let Some(first) = self.store.account_first().await? {
                add(&mut found.accounts, first);
            }
        } else if ROLES.contains(&role) {
            next.push(format!("postmaster@{domain}"));
        } else {
            // Catch-all: an alias without a local part.
            self.named(&format!("@{domain}"), found, next).await?;
        }
        Ok(())
    }

    /// An alias or account of exactly this name?
    async fn named(&self, address: &str, found: &mut Destinations, next: &mut Vec<String>) -> Result<bool, StoreError> {
        if let Some(account) = self.store.account(address).await? {
            add(&mut found.accounts, account);
            return Ok(true);
        }
        if let Some(alias) = self.store.alias(address).await? {
            next.extend(alias.targets.iter().map(|target| self.whole(target)));
            return Ok(true);
        }
        Ok(false)
    }

    /// The mailbox that `detail` names, where it is one and the sender has the right `p` on it (RFC 4314 §4); else the INBOX is
    /// as good. Its owner has every right.
    async fn post(&self, address: &str, detail: &str, found: &mut Destinations) -> Result<(), StoreError> {
        let Some(account) = self.store.account(address).await? else { return Ok(()) };
        let mailboxes = self.store.mailboxes(account.id).await?;
        let Some(mailbox) = mailboxes.iter().find(|mailbox| mailbox.name.to_lowercase() == detail) else { return Ok(()) };
        let poster = self.poster.unwrap_or_default();
        let granted = self.store.acl(account.id, mailbox.id).map_or(0, |acl| acl.granted(poster));
        if poster == account.address || Rights::from_bits(granted).has(Right::Post) {
            found.posted.push((account.id, mailbox.id));
        }
        Ok(())
    }

    /// The decision at RCPT (RFC 5321 §3.3): where it leads, or the refusal. `size_bytes` is MAIL's SIZE or 0.
    pub async fn recipient(&self, forward_path: &str, signed_in: bool, size_bytes: u64) -> Result<Destinations, Refusal> {
        if !self.store.has_space() {
            return Err(Refusal::no_space());
        }
        let whole = self.whole(forward_path);
        let domain = domain_of(&whole).ok_or_else(|| Refusal::unknown_mailbox(forward_path))?;
        if !self.serves(&domain) {
            if !signed_in {
                return Err(Refusal::relaying(forward_path));
            }
            return self.leaving(vec![whole]).map(|remote| Destinations { remote, ..Destinations::default() });
        }
        let mut found = self.resolve(&whole).await.map_err(|error| of_store_error(&error, forward_path))?;
        if found.is_empty() {
            return Err(Refusal::unknown_mailbox(forward_path));
        }
        found.remote = self.leaving(found.remote)?;
        for account in &found.accounts {
            self.store.room(account.id, size_bytes.max(1)).await.map_err(|error| of_store_error(&error, forward_path))?;
        }
        Ok(found)
    }

    fn leaving(&self, addresses: Vec<String>) -> Result<Vec<String>, Refusal> {
        for address in &addresses {
            if !domain_of(address).is_some_and(|domain| self.may_reach(&domain)) {
                return Err(Refusal::new(550, (5, 7, 1), self.unreachable_text));
            }
        }
        Ok(addresses)
    }

    /// May this account write as `address`? Its own address with or without `+detail`, and every alias that leads to it.
    pub async fn owns(&self, account: &Account, address: &str) -> Result<bool, StoreError> {
        if !domain_of(address).is_some_and(|domain| self.serves(&domain)) {
            return Ok(false);
        }
        Ok(self.resolve(address).await?.accounts.iter().any(|found| found.id == account.id))
    }
}

fn add(accounts: &mut Vec<Arc<Account>>, account: Arc<Account>) {
    if !accounts.iter().any(|known| known.id == account.id) {
        accounts.push(account);
    }
}

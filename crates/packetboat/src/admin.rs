//! What an operator does: one implementation of each act, used through the control socket and by the command line alone.
//!
//! A [`Request`] in, a JSON value out; its field names are an interface (`docs/cli.md`). Passwords never come here: the
//! command line makes the verifiers. Destructive acts only tell what they would do unless `yes` is set.
//! Must not know: sockets, terminals.

pub(crate) mod access;
mod domain;
mod queue;
mod reports;
mod sign_in;
pub(crate) mod views;
mod watching;

pub(crate) use queue::{QueueDeed, QueueFilter, QueueWhich};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use server::context::{Shared, unix_now};
use std::collections::HashSet;
use std::sync::Arc;
use store::{Account, AccountId, Alias, EmailId, NewAccount, Store, StoreError};
use views::{AccountView, AliasView, AppPasswordText, DefectView, IndexView, SecretsText, TraceView, UndoView};

/// Accounts or queue entries read from the store at once.
const PAGE: usize = 1_000;

/// An account to be made, its password already turned into verifiers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AccountWanted {
    pub(crate) address: String,
    pub(crate) secrets: SecretsText,
    pub(crate) quota_bytes: Option<u64>,
}

/// Which expunged messages are meant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Which {
    /// Every one.
    All,
    /// These.
    Ids(Vec<u64>),
}

/// One act.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub(crate) enum Request {
    AccountAdd {
        accounts: Vec<AccountWanted>,
    },
    AccountList,
    AccountShow {
        address: String,
    },
    AccountPassword {
        address: String,
        secrets: SecretsText,
    },
    AccountSuspend {
        address: String,
        suspended: bool,
    },
    AccountRemove {
        address: String,
        yes: bool,
    },
    /// What the command line needs to derive a new password's verifiers: SCRAM's salt is no secret.
    AccountSalt {
        address: String,
    },
    AppPasswordAdd {
        address: String,
        password: AppPasswordText,
    },
    AppPasswordList {
        address: String,
    },
    AppPasswordRemove {
        address: String,
        name: String,
    },
    Unblock {
        whom: Option<String>,
    },
    /// Many answers, one a line of a dialogue; the control socket does it, not [`Admin::perform`].
    Wire {
        account: String,
    },
    AliasAdd {
        address: String,
        targets: Vec<String>,
    },
    AliasList,
    AliasRemove {
        address: String,
        yes: bool,
    },
    Access(access::AccessDeed),
    QueueList {
        #[serde(default)]
        filter: QueueFilter,
    },
    QueueShow {
        id: u64,
    },
    Queue {
        deed: QueueDeed,
        which: QueueWhich,
        yes: bool,
    },
    Freeze {
        what: String,
        why: String,
    },
    Thaw {
        what: String,
    },
    Frozen,
    SuppressList {
        counting: bool,
    },
    SuppressAdd {
        address: String,
        why: String,
    },
    SuppressRemove {
        address: String,
    },
    Alarms,
    UndoList {
        address: String,
        limit: usize,
    },
    UndoRestore {
        address: String,
        emails: Which,
    },
    ReportsList,
    ReportsShow {
        id: String,
    },
    DomainAdd {
        domain: String,
    },
    DomainKeys {
        domain: String,
    },
    DomainRotate {
        domain: String,
        at_once: bool,
    },
    Trace {
        asked: String,
        after: Option<u64>,
    },
    Check,
    Index {
        address: Option<String>,
        anew: bool,
    },
}

/// What the acts need.
pub(crate) struct Admin {
    store: Store,
    search: search::Searcher,
    domains: Vec<String>,
    /// The running server, when there is one: remembered logins are in it.
    server: Option<Shared>,
}

type Answer = Result<Value, String>;

impl Admin {
    /// For a store in hand; `server` when it runs in this process.
    pub(crate) fn new(store: Store, search: search::Searcher, domains: Vec<String>, server: Option<Shared>) -> Admin {
        Admin { store, search, domains, server }
    }

    /// Does one act.
    ///
    /// # Errors
    /// Why not, in plain words.
    pub(crate) async fn perform(&self, request: Request) -> Answer {
        match request {
            Request::AccountAdd { accounts } => self.account_add(accounts).await,
            Request::AccountList => self.account_list().await,
            Request::AccountShow { address } => self.account_show(&address).await,
            Request::AccountPassword { address, secrets } => self.account_password(&address, secrets).await,
            Request::AccountSuspend { address, suspended } => self.account_suspend(&address, suspended).await,
            Request::AccountRemove { address, yes } => self.account_remove(&address, yes).await,
            Request::AccountSalt { address } => self.account_salt(&address).await,
            Request::AppPasswordAdd { address, password } => self.app_password_add(&address, password).await,
            Request::AppPasswordList { address } => self.app_password_list(&address).await,
            Request::AppPasswordRemove { address, name } => self.app_password_remove(&address, &name).await,
            Request::Wire { .. } => Err("only the running server can be watched".into()),
            Request::Unblock { whom } => self.unblock(whom.as_deref()),
            Request::AliasAdd { address, targets } => self.alias_add(&address, targets).await,
            Request::AliasList => self.alias_list().await,
            Request::AliasRemove { address, yes } => self.alias_remove(&address, yes).await,
            Request::Access(deed) => self.access(deed).await,
            Request::QueueList { filter } => self.queue_list(&filter).await,
            Request::QueueShow { id } => self.queue_show(id).await,
            Request::Queue { deed, which, yes } => self.queue(deed, which, yes).await,
            Request::Freeze { what, why } => self.freeze(&what, &why).await,
            Request::Thaw { what } => self.thaw(&what).await,
            Request::Frozen => Ok(json!({ "frozen": self.frozen().await? })),
            Request::SuppressList { counting } => self.suppress_list(counting).await,
            Request::SuppressAdd { address, why } => self.suppress_add(&address, &why).await,
            Request::SuppressRemove { address } => self.suppress_remove(&address).await,
            Request::Alarms => self.alarms().await,
            Request::UndoList { address, limit } => self.undo_list(&address, limit).await,
            Request::UndoRestore { address, emails } => self.undo_restore(&address, emails).await,
            Request::ReportsList => self.reports_list().await,
            Request::ReportsShow { id } => self.reports_show(&id).await,
            Request::DomainAdd { domain } => self.domain_add(&domain).await,
            Request::DomainKeys { domain } => self.domain_keys(&domain).await,
            Request::DomainRotate { domain, at_once } => self.domain_rotate(&domain, at_once).await,
            Request::Trace { asked, after } => self.trace(&asked, after).await,
            Request::Check => self.check().await,
            Request::Index { address, anew } => self.index(address, anew).await,
        }
    }

    // ---- accounts ----

    async fn account_add(&self, wanted: Vec<AccountWanted>) -> Answer {
        let mut new = Vec::new();
        let mut refused = Vec::new();
        for account in wanted {
            match self.may_add(&account.address).await {
                Ok(()) => match account.secrets.into_secrets() {
                    Ok(secrets) => new.push(NewAccount { address: account.address, secrets, quota_bytes: account.quota_bytes }),
                    Err(why) => refused.push(json!({ "address": account.address, "why": why })),
                },
                Err(why) => refused.push(json!({ "address": account.address, "why": why })),
            }
        }
        let added: Vec<String> = new.iter().map(|account| store::normalise(&account.address)).collect();
        if !new.is_empty() {
            self.store.accounts_add(new, unix_now()).await.map_err(|error| told(&error))?;
        }
        Ok(json!({ "added": added, "refused": refused }))
    }

    async fn may_add(&self, address: &str) -> Result<(), String> {
        check_account_address(address, &self.domains)?;
        if self.store.account(address).await.map_err(|error| told(&error))?.is_some() {
            return Err("there is an account of that address".into());
        }
        if self.store.alias(address).await.map_err(|error| told(&error))?.is_some() {
            return Err("there is an alias of that address".into());
        }
        Ok(())
    }

    async fn find(&self, address: &str) -> Result<Arc<Account>, String> {
        let found = self.store.account(address).await.map_err(|error| told(&error))?;
        found.ok_or_else(|| format!("there is no account {address}"))
    }

    async fn view(&self, account: &Account) -> Result<AccountView, String> {
        let (used_bytes, messages) = self.store.account_usage(account.id).await.map_err(|error| told(&error))?;
        Ok(AccountView {
            id: account.id.0,
            address: account.address.clone(),
            suspended: account.suspended,
            quota_bytes: account.quota_bytes,
            used_bytes,
            messages,
            created_secs: account.created_secs,
        })
    }

    async fn account_list(&self) -> Answer {
        let mut list = Vec::new();
        let mut damaged = self.store.directory_damage().await.map_err(|error| told(&error))?;
        let mut after: Option<String> = None;
        loop {
            let page = self.store.account_list(after.as_deref(), PAGE).await.map_err(|error| told(&error))?;
            for account in &page {
                match self.view(account).await {
                    Ok(view) => list.push(view),
                    // One account's damage is no reason to show none of the others.
                    Err(why) => damaged.push(format!("account {}: {why}", account.address)),
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.address.clone()),
                _ => break,
            }
        }
        Ok(with_damage(json!({ "accounts": list }), damaged))
    }

    async fn account_show(&self, address: &str) -> Answer {
        let account = self.find(address).await?;
        let mut mailboxes = Vec::new();
        for mailbox in self.store.mailboxes(account.id).await.map_err(|error| told(&error))?.iter() {
            let status = self.store.status(account.id, mailbox.id).await.map_err(|error| told(&error))?;
            mailboxes.push(json!({
                "name": mailbox.name.as_str(),
                "messages": status.messages,
                "unseen": status.unseen,
                "size_bytes": status.size_bytes,
            }));
        }
        Ok(json!({ "account": self.view(&account).await?, "mailboxes": mailboxes }))
    }

    async fn account_password(&self, address: &str, secrets: SecretsText) -> Answer {
        let account = self.find(address).await?;
        self.store.account_secrets(account.id, secrets.into_secrets()?).await.map_err(|error| told(&error))?;
        self.forget(account.id);
        Ok(json!({ "address": account.address, "password": "changed" }))
    }

    async fn account_suspend(&self, address: &str, suspended: bool) -> Answer {
        let account = self.find(address).await?;
        self.store.account_suspend(account.id, suspended).await.map_err(|error| told(&error))?;
        self.forget(account.id);
        Ok(json!({ "address": account.address, "suspended": suspended }))
    }

    async fn account_remove(&self, address: &str, yes: bool) -> Answer {
        let account = self.find(address).await?;
        let (used_bytes, messages) = self.store.account_usage(account.id).await.map_err(|error| told(&error))?;
        if !yes {
            return Ok(
                json!({ "would": format!("remove the account {} with its {messages} messages ({used_bytes} octets)", account.address) }),
            );
        }
        self.store.account_remove(account.id, unix_now()).await.map_err(|error| told(&error))?;
        self.forget(account.id);
        Ok(json!({ "address": account.address, "removed": true, "messages": messages }))
    }

    fn forget(&self, account: AccountId) {
        if let Some(server) = &self.server {
            server.auth.forget(account);
        }
    }

    // ---- aliases ----

    async fn alias_add(&self, address: &str, targets: Vec<String>) -> Answer {
        match address.strip_prefix('@') {
            // The catch-all: what nobody else of the domain has.
            Some(domain) if self.domains.iter().any(|known| known.eq_ignore_ascii_case(domain)) => {
                if self.store.alias(address).await.map_err(|error| told(&error))?.is_some() {
                    return Err("there is an alias of that address".into());
                }
            }
            Some(domain) => return Err(format!("{domain} is not among the served domains ({})", self.domains.join(", "))),
            None => self.may_add(address).await?,
        }
        for target in &targets {
            check_address(target)?;
            if store::normalise(target) == store::normalise(address) {
                return Err(format!("{address} would lead to itself"));
            }
        }
        let alias = Alias { address: store::normalise(address), targets };
        self.store.alias_add(alias.clone()).await.map_err(|error| told(&error))?;
        Ok(json!({ "alias": AliasView::from(&alias) }))
    }

    async fn alias_list(&self) -> Answer {
        let list = self.store.alias_list().await.map_err(|error| told(&error))?;
        let list: Vec<AliasView> = list.iter().map(|alias| AliasView::from(alias.as_ref())).collect();
        let damaged = self.store.directory_damage().await.map_err(|error| told(&error))?;
        Ok(with_damage(json!({ "aliases": list }), damaged))
    }

    async fn alias_remove(&self, address: &str, yes: bool) -> Answer {
        let found = self.store.alias(address).await.map_err(|error| told(&error))?;
        let alias = found.ok_or_else(|| format!("there is no alias {address}"))?;
        if !yes {
            return Ok(json!({ "would": format!("remove the alias {} -> {}", alias.address, alias.targets.join(", ")) }));
        }
        self.store.alias_remove(address).await.map_err(|error| told(&error))?;
        Ok(json!({ "address": alias.address, "removed": true }))
    }

    // ---- the queue ----

    async fn trace(&self, asked: &str, after: Option<u64>) -> Answer {
        let found = mta::why::timeline(&self.store, asked, after).await.map_err(|error| told(&error))?;
        let mut events = Vec::with_capacity(found.len());
        for (number, event) in found {
            let account = match event.account {
                Some(id) => self.store.account_by_id(id).await.map_err(|error| told(&error))?,
                None => None,
            };
            events.push(TraceView::of(number, event, account.as_deref()));
        }
        Ok(json!({ "events": events }))
    }

    // ---- undo, check ----

    async fn undo_list(&self, address: &str, limit: usize) -> Answer {
        let account = self.find(address).await?;
        let list = self.store.undo_list(account.id, limit).await.map_err(|error| told(&error))?;
        let list: Vec<UndoView> = list.into_iter().map(UndoView::from).collect();
        Ok(json!({ "entries": list }))
    }

    async fn undo_restore(&self, address: &str, which: Which) -> Answer {
        let account = self.find(address).await?;
        let all = self.store.undo_list(account.id, usize::MAX).await.map_err(|error| told(&error))?;
        let all: HashSet<u64> = all.into_iter().map(|row| row.email.0).collect();
        let (ids, missing): (Vec<u64>, Vec<u64>) = match which {
            Which::Ids(ids) => ids.into_iter().partition(|id| all.contains(id)),
            Which::All => (all.into_iter().collect(), Vec::new()),
        };
        let mut emails: Vec<EmailId> = ids.into_iter().map(EmailId).collect();
        emails.sort_unstable();
        let refused: Vec<Value> =
            missing.iter().map(|id| json!({ "id": id, "why": "there is no such message to bring back" })).collect();
        let back = self.store.undo_restore(account.id, &emails, unix_now()).await.map_err(|error| told(&error))?;
        let mailboxes = self.store.mailboxes(account.id).await.map_err(|error| told(&error))?;
        let restored: Vec<Value> = back
            .iter()
            .map(|(email, mailbox, uid)| {
                let name = mailboxes.iter().find(|known| known.id == *mailbox).map(|known| known.name.as_str());
                json!({ "email": email.0, "mailbox": name, "uid": uid.0 })
            })
            .collect();
        Ok(json!({ "restored": restored, "refused": refused }))
    }

    async fn check(&self) -> Answer {
        let defects = self.store.check().await.map_err(|error| told(&error))?;
        let defects: Vec<DefectView> = defects.into_iter().map(DefectView::from).collect();
        Ok(json!({ "sound": defects.is_empty(), "defects": defects }))
    }

    // ---- the search index ----

    async fn index(&self, address: Option<String>, anew: bool) -> Answer {
        let mut shown = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let accounts = match &address {
                Some(address) => vec![self.find(address).await?],
                None => self.store.account_list(after.as_deref(), PAGE).await.map_err(|error| told(&error))?,
            };
            for account in &accounts {
                if anew {
                    self.search.rebuild(account.id).await.map_err(|error| told(&error))?;
                }
                let indexed = self.search.status(account.id).await.map_err(|error| told(&error))?.unwrap_or_default();
                shown.push(IndexView {
                    address: account.address.clone(),
                    messages: indexed.messages as u64,
                    behind: indexed.behind as u64,
                    size_bytes: indexed.size_bytes,
                });
            }
            after = accounts.last().map(|account| account.address.clone());
            if after.is_none() || address.is_some() {
                return Ok(json!({ "accounts": shown }));
            }
        }
    }
}

/// `local@domain` with something on both sides and nothing that cannot be there.
pub(crate) fn check_address(address: &str) -> Result<(), String> {
    let bad = || Err(format!("\"{address}\" is not an address"));
    let Some((local, domain)) = address.rsplit_once('@') else { return bad() };
    let strange = |c: char| {
        c.is_control() || c.is_whitespace() || matches!(c, '@' | '<' | '>' | '"' | '(' | ')' | ',' | ';' | ':' | '\\' | '[' | ']')
    };
    if local.is_empty()
        || local.len() > 64
        || local.contains(strange)
        || local.starts_with('.')
        || local.ends_with('.')
        || local.contains("..")
    {
        return bad();
    }
    let label_is_good = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    if domain.len() > 253 || !domain.split('.').all(label_is_good) { bad() } else { Ok(()) }
}

/// The same, for an address of ours: in a served domain, and without `+`, which parts the detail.
pub(crate) fn check_account_address(address: &str, domains: &[String]) -> Result<(), String> {
    check_address(address)?;
    let normal = store::normalise(address);
    let (local, domain) = normal.rsplit_once('@').unwrap_or((normal.as_str(), ""));
    if local.contains('+') {
        return Err(format!("{address}: mail for name+detail goes to name, so a + cannot be part of the name"));
    }
    if !domains.iter().any(|known| known.eq_ignore_ascii_case(domain)) {
        return Err(format!("{address}: {domain} is not among the served domains ({})", domains.join(", ")));
    }
    Ok(())
}

/// `damaged` stands in an answer only when there is damage.
fn with_damage(mut answer: Value, damaged: Vec<String>) -> Value {
    if let Some(fields) = answer.as_object_mut().filter(|_| !damaged.is_empty()) {
        fields.insert("damaged".into(), damaged.into());
    }
    answer
}

/// The store's trouble in plain words.
pub(crate) fn told(error: &StoreError) -> String {
    match error {
        StoreError::NotFound => "there is no such thing".into(),
        StoreError::Exists => "it exists already".into(),
        StoreError::OverQuota => "the account's quota is used up".into(),
        StoreError::NoSpace => "there is too little free space on the disk".into(),
        StoreError::Invalid(why) => (*why).into(),
        StoreError::LeaseLost => "it is being sent at this moment; try again".into(),
        StoreError::Locked(what) => what.clone(),
        StoreError::Damaged(what) => format!("stored data is damaged: {what}"),
        StoreError::Io(what) => format!("input or output failed: {what}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses() {
        for good in ["ann@here.test", "a.b-c_d@x.org", "j\u{fc}rgen@example.org", "o'neil+x@a.b"] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        for bad in
            ["ann", "@a.org", "ann@", "a b@c.org", "a@b@c.org", "a@-b.org", ".a@b.org", "a..b@c.org", "a@b..c", "<a@b.org>"]
        {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn requests_keep_their_names() {
        let text = serde_json::to_string(&Request::AccountSuspend { address: "a@b.c".into(), suspended: true }).unwrap();
        assert_eq!(text, r#"{"act":"account-suspend","address":"a@b.c","suspended":true}"#);
        let back: Request = serde_json::from_str(r#"{"act":"queue","deed":"hold","which":{"ids":[3]},"yes":false}"#).unwrap();
        assert!(matches!(back, Request::Queue { deed: QueueDeed::Hold, which: QueueWhich::Ids(ids), yes: false } if ids == [3]));
    }
}

//! What becomes of one message at its accounts: where it lies, with which flags, and where it goes on to.
//!
//! Forwarding is followed like aliases, at once, so that two accounts that forward to each other end where they began.
//! Invariant: an account whose forwarding leads nowhere keeps its copy. Must not know: the acceptance made of it.

use super::rule::{Then, addresses_in};
use super::{FORWARDS_MAX, Shelf, Wishes};
use crate::accept::Recipient;
use crate::receive::{Destinations, Place, domain_of};
use message::facts::Facts;
use message::header::fields;
use smol_str::SmolStr;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use store::{Account, AccountId, Flags, SpecialUse, StoreError, Target};

/// A message that went through here more often than this, this time too, is not forwarded again: somebody sends it back.
const OWN_HOPS_MAX: usize = 3;
/// Accounts that one message reaches through forwarding.
const ACCOUNTS_MAX: usize = 100;

/// What is known of the message.
#[derive(Debug, Clone, Copy)]
pub struct Coming<'a> {
    /// Its header section.
    pub header: &'a [u8],
    /// MAIL FROM.
    pub reverse_path: &'a str,
    /// Our name, as in Received fields.
    pub hostname: &'a str,
    /// Judged to be junk: no rule but blocking holds for it, and it goes nowhere else.
    pub junk: bool,
    /// Accounts it waits for in the queue: they are asked when it comes to them.
    pub waiting: &'a [AccountId],
    /// What of it is kept beside it.
    pub facts: &'a Facts,
}

/// For one account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Elsewhere than usual.
    pub target: Option<Target>,
    /// It begins with these.
    pub flags: Flags,
    /// It goes on, and no copy stays.
    pub leaves: bool,
    /// For the trace.
    pub why: String,
    /// The sender is one whom the owner does not want to answer.
    pub blocked: bool,
}

/// For all.
#[derive(Debug, Default)]
pub struct Fulfilled {
    pub(crate) decisions: HashMap<AccountId, Decision>,
    /// Where it goes on to; nobody but the account's owner is told.
    pub(crate) onward: Vec<Recipient>,
}

impl Fulfilled {
    /// For an account, where it wants anything.
    pub fn of(&self, account: AccountId) -> Option<&Decision> {
        self.decisions.get(&account)
    }

    /// Addresses it goes on to.
    pub fn onward(&self) -> &[Recipient] {
        &self.onward
    }
}

/// See the module.
///
/// # Errors
/// The store's failures: nothing is decided then.
pub async fn fulfil(
    place: &Place<'_>,
    shelf: &Shelf,
    coming: Coming<'_>,
    recipients: &[&Recipient],
) -> Result<Fulfilled, StoreError> {
    let mut fulfilled = Fulfilled::default();
    let named = recipients.iter().flat_map(|recipient| &recipient.destinations.accounts);
    let mut ask: VecDeque<Arc<Account>> = named.cloned().collect();
    let mut asked = Vec::new();
    let turns = hops(coming) > OWN_HOPS_MAX;
    while let Some(account) = ask.pop_front() {
        if asked.contains(&account.id) || asked.len() >= ACCOUNTS_MAX.max(recipients.len()) {
            continue;
        }
        asked.push(account.id);
        if coming.waiting.contains(&account.id) {
            continue;
        }
        let wishes = shelf.of(place.store, account.id).await?;
        let (mut decision, to) = match wishes.is_empty() {
            true => Default::default(),
            false => decide(place, &wishes, coming, account.id).await?,
        };
        // Posted to a mailbox of its own, it does not come into the INBOX.
        if !recipients.iter().any(|to| to.destinations.posted.iter().any(|(whose, _)| *whose == account.id)) {
            mute(place, coming, account.id, &mut decision).await?;
        }
        let mut reached = false;
        for address in to.into_iter().filter(|_| !turns) {
            let destinations = leads_to(place, &address).await?;
            if destinations.is_empty() || address == account.address {
                continue;
            }
            reached = true;
            ask.extend(destinations.accounts.iter().cloned());
            fulfilled.onward.push(Recipient { forward_path: address, destinations, original: None, notify: 0 });
        }
        decision.leaves &= reached;
        if decision != Decision::default() {
            fulfilled.decisions.insert(account.id, decision);
        }
    }
    Ok(fulfilled)
}

/// What joins a conversation that its owner has muted goes past the INBOX, unless a rule has put it elsewhere already.
async fn mute(place: &Place<'_>, coming: Coming<'_>, account: AccountId, decision: &mut Decision) -> Result<(), StoreError> {
    if coming.junk || decision.target.is_some() || decision.leaves || !place.store.is_muted(account, coming.facts).await? {
        return Ok(());
    }
    decision.target = Some(Target::Use(SpecialUse::Archive));
    let words = decision.flags.keywords.as_deref().unwrap_or_default();
    if !words.iter().any(|word| word.eq_ignore_ascii_case(store::MUTED)) {
        decision.flags.keywords = Some(words.iter().cloned().chain([store::MUTED.into()]).collect());
    }
    let said = [decision.why.as_str(), "its conversation is muted"];
    decision.why = said.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ");
    Ok(())
}

async fn leads_to(place: &Place<'_>, address: &str) -> Result<Destinations, StoreError> {
    match domain_of(address) {
        Some(domain) if place.serves(&domain) => place.resolve(address).await,
        Some(domain) if place.may_reach(&domain) => {
            Ok(Destinations { remote: vec![address.to_owned()], ..Destinations::default() })
        }
        _ => Ok(Destinations::default()),
    }
}

/// How often it came through here.
fn hops(coming: Coming<'_>) -> usize {
    let by = format!("by {} ", coming.hostname);
    let received = fields(coming.header).filter(|field| field.is("Received"));
    received.filter(|field| field.text().split_whitespace().collect::<Vec<_>>().join(" ").contains(&by)).count()
}

async fn decide(
    place: &Place<'_>,
    wishes: &Wishes,
    coming: Coming<'_>,
    account: AccountId,
) -> Result<(Decision, Vec<String>), StoreError> {
    let mut authors = addresses_in(coming.header, "From");
    authors.push(coming.reverse_path.to_owned());
    if authors.iter().any(|address| wishes.blocks(address)) {
        let target = Some(Target::Use(SpecialUse::Junk));
        return Ok((Decision { target, why: "its sender is blocked".into(), blocked: true, ..Decision::default() }, Vec::new()));
    }
    if coming.junk {
        return Ok((Decision::default(), Vec::new()));
    }
    let mut to: Vec<String> = Vec::new();
    let mut decision = Decision::default();
    let mut keywords: Vec<SmolStr> = Vec::new();
    let mut said: Vec<String> = Vec::new();
    for rule in wishes.rules.iter().filter(|rule| rule.holds(coming.header)) {
        let Then { mailbox, keywords: words, forward, keeps, goes_on } = &rule.then;
        said.push(format!("the rule \"{}\"", rule.name));
        if let Some(found) = mailbox.as_deref().and_then(|id| store::object_id::mailbox(account, id)) {
            // One that is gone meanwhile is as if nothing were said.
            if place.store.mailboxes(account).await?.iter().any(|mailbox| mailbox.id == found) {
                decision.target = Some(Target::Mailbox(found));
            } else {
                said.push("(its mailbox is gone)".into());
            }
        }
        keywords.extend(words.iter().cloned());
        to.extend(forward.iter().cloned());
        decision.leaves |= !keeps;
        if !goes_on {
            break;
        }
    }
    if let Some(forward) = &wishes.forward {
        to.extend(forward.to.iter().cloned());
        decision.leaves |= !forward.keeps;
    }
    to.sort_unstable();
    to.dedup();
    to.truncate(FORWARDS_MAX);
    if !to.is_empty() {
        said.push(format!("forwarded to <{}>", to.join(">, <")));
    }
    decision.flags = flags(keywords);
    decision.why = said.join(", ");
    Ok((decision, to))
}

/// Keywords as the store has them (RFC 8621 §4.1.1 for those with a `$` that are flags).
fn flags(words: Vec<SmolStr>) -> Flags {
    let mut flags = Flags::default();
    let mut keywords: Vec<SmolStr> = Vec::new();
    for word in words {
        match word.to_ascii_lowercase().as_str() {
            "$seen" => flags.system |= Flags::SEEN,
            "$flagged" => flags.system |= Flags::FLAGGED,
            "$answered" => flags.system |= Flags::ANSWERED,
            "$draft" => flags.system |= Flags::DRAFT,
            _ if keywords.iter().any(|known| known.eq_ignore_ascii_case(&word)) => {}
            _ => keywords.push(word),
        }
    }
    keywords.sort_unstable();
    keywords.truncate(store::limits::KEYWORDS_MAX);
    flags.keywords = (!keywords.is_empty()).then(|| keywords.into());
    flags
}

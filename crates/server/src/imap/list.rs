//! LIST, LSUB and XLIST (RFC 9051 §6.3.9, RFC 3501 §6.3.9, RFC 5258, 5819, 6154, 3348, 9590).
//!
//! Invariant: special-use and child attributes are in every answer, asked for or not (some clients only look).
//! Each mailbox's STATUS comes right after its LIST line.

use super::failure::{Outcome, Trouble, done, no};
use super::limits;
use super::mailbox::attribute;
use super::place::Placed;
use super::session::Session;
use std::collections::{BTreeMap, HashSet};
use store::{SpecialUse, Store};
use wire::imap::acl::Right;
use wire::imap::list::{List, ListKind, ListResponse, ListReturn, ListSelection, MailboxAttribute, matches};
use wire::imap::response::Response;
use wire::imap::status::StatusAttribute;
use wire::imap::{Code, MailboxName};

/// A name an answer may tell of.
#[derive(Debug, Default, Clone, Copy)]
struct Candidate<'a> {
    /// Absent: only a name, subscribed to or above one that is, or one that leads to mailboxes of others.
    placed: Option<&'a Placed>,
    leads: bool,
    subscribed: bool,
    /// Some name below it is subscribed.
    subscribed_below: bool,
}

impl Session {
    /// The three commands.
    pub(crate) async fn list(&mut self, list: &List) -> Outcome {
        if !list.extended && list.patterns.iter().all(String::is_empty) {
            self.tell_delimiter(list.kind);
            return done("Listed");
        }
        let account = self.account_id()?;
        let store = self.store();
        let mailboxes = self.all_places().await?;
        let elsewhere = match wants_subscribed(list) {
            true => store.subscriptions_elsewhere(account).await?,
            false => Vec::new(),
        };
        let names = mailboxes.iter().map(|placed| placed.mailbox.name.as_str()).chain(elsewhere.iter().map(|name| name.as_str()));
        if comparisons(list, names) > limits::LIST_COMPARISONS_MAX {
            return Err(no(Code::Limit, "Too many patterns for so many mailboxes"));
        }
        let answers = answers(list, &mailboxes, elsewhere.iter().map(|name| name.as_str()));
        let asked = list.returns.iter().find_map(|option| match option {
            ListReturn::Status(asked) => Some(asked.as_slice()),
            _ => None,
        });
        if asked.is_some_and(|asked| asked.contains(&StatusAttribute::HighestModSeq)) {
            self.enable_condstore();
        }
        let metadata = list.returns.iter().find_map(|option| match option {
            ListReturn::Metadata(wanted) => Some(wanted.as_slice()),
            _ => None,
        });
        let my_rights = list.returns.contains(&ListReturn::MyRights);
        for (response, placed) in answers {
            self.wire.untagged(&Response::List(response));
            let Some(placed) = placed else { continue };
            if my_rights {
                self.tell_my_rights(placed);
            }
            if let Some(wanted) = metadata {
                self.tell_metadata(placed, wanted).await?;
            }
            if let Some(asked) = asked {
                self.tell_status(placed, asked).await?;
            }
            self.breathe().await?;
        }
        done("Listed")
    }

    /// RFC 5819 §2: a mailbox whose counts cannot be had (it is gone meanwhile, or may not be read) has no STATUS line.
    async fn tell_status(&mut self, placed: &Placed, asked: &[StatusAttribute]) -> Result<(), Trouble> {
        if !placed.rights.has(Right::Read) {
            return Ok(());
        }
        match self.status_of(placed, asked).await {
            Ok(status) => self.wire.untagged(&Response::Status(status)),
            Err(Trouble::Over) => return Err(Trouble::Over),
            Err(_) => {}
        }
        Ok(())
    }

    /// `LIST "" ""` asks for the delimiter (RFC 9051 §6.3.9); so does `XLIST "" ""` (lessons C11).
    fn tell_delimiter(&mut self, kind: ListKind) {
        self.wire.untagged(&Response::List(ListResponse {
            kind,
            attributes: vec![MailboxAttribute::NoSelect],
            delimiter: Some('/'),
            name: MailboxName::new(""),
            child_info: Vec::new(),
            old_name: None,
        }));
    }
}

/// What comparing every pattern with every name costs at most: it is done in one go, and others wait for it.
fn comparisons<'a>(list: &List, names: impl Iterator<Item = &'a str>) -> u64 {
    let patterns: u64 = list.patterns.iter().map(|pattern| (list.reference.len() + pattern.len() + 1) as u64).sum();
    let names: u64 = names.map(|name| name.len() as u64 + 1).sum();
    patterns.saturating_mul(names)
}

fn wants_subscribed(list: &List) -> bool {
    list.kind == ListKind::Lsub || list.selection.contains(&ListSelection::Subscribed)
}

/// The reference in front of a pattern, as a level of its own (RFC 2683 §3.4.9); a pattern from the root stands alone. INBOX
/// as first level is in any case.
fn interpret(reference: &str, pattern: &str) -> String {
    let joined = match pattern.strip_prefix('/') {
        Some(rooted) => rooted.to_owned(),
        None => {
            let between = if reference.is_empty() || reference.ends_with('/') || pattern.is_empty() { "" } else { "/" };
            format!("{}{between}{pattern}", reference.trim_start_matches('/'))
        }
    };
    Store::mailbox_name(&joined).to_string()
}

/// Every answer in order, with the mailbox it is about if there is one.
fn answers<'a>(
    list: &List,
    mailboxes: &'a [Placed],
    elsewhere: impl Iterator<Item = &'a str>,
) -> Vec<(ListResponse, Option<&'a Placed>)> {
    let patterns: Vec<String> = list.patterns.iter().map(|pattern| interpret(&list.reference, pattern)).collect();
    let candidates = candidates(mailboxes, elsewhere);
    let parents = superiors(mailboxes.iter().map(|placed| placed.mailbox.name.as_str()));
    let inbox_first = mailboxes
        .iter()
        .map(|placed| placed.mailbox.name.as_str())
        .chain(candidates.iter().filter(|(_, candidate)| candidate.placed.is_none()).map(|(name, _)| *name));
    let mut told = Vec::new();
    for name in inbox_first {
        let Some(candidate) = candidates.get(name) else { continue };
        if !patterns.iter().any(|pattern| matches(pattern, name, '/')) {
            continue;
        }
        let Some(child_info) = selected(list, candidate, &patterns, name, &candidates) else { continue };
        let attributes = attributes(list, candidate, name, parents.contains(name));
        let response = ListResponse {
            kind: list.kind,
            attributes,
            delimiter: Some('/'),
            name: MailboxName::new(name),
            child_info: child_info.then(|| "SUBSCRIBED".into()).into_iter().collect(),
            old_name: None,
        };
        told.push((response, candidate.placed));
    }
    told
}

/// All names that may be told of: mailboxes, subscriptions to what is none, and what is above those.
fn candidates<'a>(mailboxes: &'a [Placed], elsewhere: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, Candidate<'a>> {
    let mut all: BTreeMap<&str, Candidate<'_>> = BTreeMap::new();
    for placed in mailboxes {
        let subscribed = placed.mailbox.subscribed;
        all.insert(&placed.mailbox.name, Candidate { placed: Some(placed), subscribed, ..Candidate::default() });
    }
    // What leads to mailboxes of others.
    let others = mailboxes.iter().filter(|placed| placed.mailbox.name.len() > placed.own_name.len());
    for name in others.filter_map(|placed| placed.mailbox.name.strip_suffix(placed.own_name.as_str())) {
        let account = name.trim_end_matches('/');
        all.entry(account).or_default().leads = true;
        all.entry(account.split_once('/').map_or(account, |(top, _)| top)).or_default().leads = true;
    }
    for name in elsewhere {
        all.entry(name).or_default().subscribed = true;
    }
    let subscribed: Vec<&str> = all.iter().filter(|(_, candidate)| candidate.subscribed).map(|(name, _)| *name).collect();
    for name in superiors(subscribed.into_iter()) {
        all.entry(name).or_default().subscribed_below = true;
    }
    all
}

/// Every name that some other is below of.
fn superiors<'a>(names: impl Iterator<Item = &'a str>) -> HashSet<&'a str> {
    let mut found = HashSet::new();
    for name in names {
        for (at, _) in name.match_indices('/') {
            found.insert(name.get(..at).unwrap_or(""));
        }
    }
    found
}

/// Is this one told of, and with CHILDINFO? (RFC 5258 §3, §4; for LSUB RFC 3501 §6.3.9)
fn selected(
    list: &List,
    candidate: &Candidate<'_>,
    patterns: &[String],
    name: &str,
    all: &BTreeMap<&str, Candidate<'_>>,
) -> Option<bool> {
    if list.selection.contains(&ListSelection::SpecialUse)
        && candidate.placed.and_then(|placed| placed.mailbox.special_use).is_none()
    {
        return None;
    }
    if !wants_subscribed(list) {
        return (candidate.placed.is_some() || candidate.leads).then_some(false);
    }
    let recursive = list.selection.contains(&ListSelection::RecursiveMatch);
    if !recursive && list.kind != ListKind::Lsub {
        return candidate.subscribed.then_some(false);
    }
    let hidden_below = candidate.subscribed_below && hides(name, patterns, all);
    match list.kind {
        ListKind::Lsub => (candidate.subscribed || hidden_below).then_some(false),
        _ => (candidate.subscribed || hidden_below).then_some(candidate.subscribed_below && (hidden_below || recursive)),
    }
}

/// Is there a subscribed name below this one that no pattern tells of by itself?
fn hides(name: &str, patterns: &[String], all: &BTreeMap<&str, Candidate<'_>>) -> bool {
    let below = format!("{name}/");
    let mut inferiors = all.range(below.as_str()..).take_while(|(other, _)| other.starts_with(&below));
    inferiors.any(|(other, candidate)| candidate.subscribed && !patterns.iter().any(|pattern| matches(pattern, other, '/')))
}

fn attributes(list: &List, candidate: &Candidate<'_>, name: &str, has_children: bool) -> Vec<MailboxAttribute> {
    let mut attributes = Vec::new();
    if list.kind == ListKind::Lsub {
        if !candidate.subscribed || candidate.placed.is_none() {
            attributes.push(MailboxAttribute::NoSelect);
        }
        return attributes;
    }
    let wanted = wants_subscribed(list) || list.returns.contains(&ListReturn::Subscribed);
    if wanted && candidate.subscribed {
        attributes.push(MailboxAttribute::Subscribed);
    }
    let Some(Placed { mailbox, .. }) = candidate.placed else {
        match candidate.leads {
            true => attributes.extend([MailboxAttribute::NoSelect, MailboxAttribute::HasChildren]),
            false => attributes.push(MailboxAttribute::NonExistent),
        }
        return attributes;
    };
    attributes.push(if has_children { MailboxAttribute::HasChildren } else { MailboxAttribute::HasNoChildren });
    if list.kind == ListKind::Xlist && name == "INBOX" {
        attributes.push(MailboxAttribute::Other("Inbox".into()));
    }
    if let Some(special_use) = mailbox.special_use {
        attributes.push(match (list.kind, special_use) {
            (ListKind::Xlist, SpecialUse::Junk) => MailboxAttribute::Other("Spam".into()),
            (ListKind::Xlist, SpecialUse::All) => MailboxAttribute::Other("AllMail".into()),
            (ListKind::Xlist, SpecialUse::Flagged) => MailboxAttribute::Other("Starred".into()),
            _ => attribute(special_use),
        });
    }
    attributes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use store::{AccountId, Mailbox, MailboxId};

    fn mailbox(name: &str, subscribed: bool) -> Placed {
        let mailbox = Mailbox { id: MailboxId(1), name: name.into(), uid_validity: 1, special_use: None, subscribed };
        Placed::own(AccountId(1), mailbox)
    }

    fn list(kind: ListKind, selection: &[ListSelection], reference: &str, pattern: &str) -> List {
        List {
            kind,
            selection: selection.to_vec(),
            reference: reference.to_owned(),
            patterns: vec![pattern.to_owned()],
            returns: Vec::new(),
            extended: !selection.is_empty(),
        }
    }

    fn names(list: &List, mailboxes: &[Placed], elsewhere: &[&str]) -> Vec<String> {
        let told = answers(list, mailboxes, elsewhere.iter().copied());
        told.iter().map(|(response, _)| response.name.as_str().to_owned()).collect()
    }

    #[test]
    fn c13_wildcards_and_references() {
        let all = [mailbox("INBOX", true), mailbox("a", false), mailbox("a/b", true), mailbox("a/b/c", false)];
        assert_eq!(names(&list(ListKind::List, &[], "", "%"), &all, &[]), ["INBOX", "a"]);
        assert_eq!(names(&list(ListKind::List, &[], "", "%/%"), &all, &[]), ["a/b"]);
        assert_eq!(names(&list(ListKind::List, &[], "a/", "%"), &all, &[]), ["a/b"]);
        assert_eq!(names(&list(ListKind::List, &[], "a", "%"), &all, &[]), ["a/b"]);
        assert_eq!(names(&list(ListKind::List, &[], "a/", "/a"), &all, &[]), ["a"]);
        assert_eq!(names(&list(ListKind::List, &[], "a", ""), &all, &[]), ["a"]);
        assert_eq!(names(&list(ListKind::List, &[], "", "*"), &all, &[]).len(), 4);
        assert_eq!(names(&list(ListKind::List, &[], "", "inbox"), &all, &[]), ["INBOX"]);
    }

    #[test]
    fn comparing_has_an_end() {
        let usual = vec!["Projects/2026/Somebody"; 10_000];
        assert!(
            comparisons(&list(ListKind::List, &[], "", &"%a".repeat(400)), usual.iter().copied()) <= limits::LIST_COMPARISONS_MAX
        );
        let long = vec!["x".repeat(1000); 10_000];
        let hard = list(ListKind::List, &[], "", &"*x".repeat(30_000));
        assert!(comparisons(&hard, long.iter().map(String::as_str)) > limits::LIST_COMPARISONS_MAX);
    }

    #[test]
    fn lsub_tells_of_what_is_above_a_hidden_subscription() {
        let all = [mailbox("INBOX", false), mailbox("a", false), mailbox("a/b", true)];
        let told = answers(&list(ListKind::Lsub, &[], "", "%"), &all, std::iter::empty());
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0.attributes, [MailboxAttribute::NoSelect]);
        assert_eq!(names(&list(ListKind::Lsub, &[], "", "*"), &all, &["gone/x"]), ["a/b", "gone/x"]);
    }

    #[test]
    fn subscribed_recursive_match_has_childinfo() {
        let all = [mailbox("INBOX", false), mailbox("a", false), mailbox("a/b", true)];
        let wanted = [ListSelection::Subscribed, ListSelection::RecursiveMatch];
        let told = answers(&list(ListKind::List, &wanted, "", "%"), &all, std::iter::empty());
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0.child_info, ["SUBSCRIBED"]);
        let plain = answers(&list(ListKind::List, &wanted[..1], "", "*"), &all, ["gone"].into_iter());
        assert_eq!(plain.len(), 2);
        assert!(plain[1].0.attributes.contains(&MailboxAttribute::NonExistent));
    }

    #[test]
    fn c3_special_use_is_in_the_plain_answer() {
        let mut sent = mailbox("Sent", true);
        sent.mailbox.special_use = Some(SpecialUse::Sent);
        let told = answers(&list(ListKind::List, &[], "", "*"), std::slice::from_ref(&sent), std::iter::empty());
        assert_eq!(told[0].0.attributes, [MailboxAttribute::HasNoChildren, MailboxAttribute::Sent]);
    }
}

//! From an IMAP server: every mailbox with flags, keywords and INTERNALDATE, by UID and UIDVALIDITY.
//!
//! The mark of a mailbox is how far it was brought: UIDs only grow, so one number says it. A mailbox whose UIDVALIDITY
//! changed is looked through again by the hashes of what is here, and so is one that shows what others have (\All).

use super::{Bad, Brought, Bundle, Candidate, Load, Options, Outlet, gone, make, marks, placed};
use crate::dial::Dialer;
use crate::door::{Door, Head, MarkText, odd};
use crate::flags::from_wire;
use crate::imap::{Fetched, Heard, Imap, fetch, set_of, whole};
use crate::limits::{FETCH_UIDS, FETCHES_AHEAD, RECONNECTS_MAX};
use crate::mailbox_name::{is_no_mailbox, special_use, to_local, usual_use};
use crate::place::Place;
use crate::progress::Progress;
use crate::trouble::Trouble;
use net::clock::unix_now;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use store::SpecialUse;
use wire::imap::fetch::FetchItem;
use wire::imap::list::MailboxAttribute;
use wire::imap::mailbox_name::MailboxName;
use wire::imap::response::{Kind, Response};
use wire::imap::tag::Tag;
use wire::sasl::Secret;

/// Whose mail, and where.
pub(super) struct Who<'a> {
    pub(super) dialer: &'a Dialer,
    pub(super) place: &'a Place,
    pub(super) login: &'a str,
    pub(super) user: &'a str,
    pub(super) password: &'a Secret,
}

/// One mailbox to be brought.
struct Wanted {
    remote: MailboxName,
    id: u32,
    name: Arc<str>,
    /// Shows what other mailboxes have.
    is_all: bool,
}

/// What is to be done.
pub(super) struct Plan {
    imap: Imap,
    mailboxes: Vec<Wanted>,
    /// How far each was brought, by the name of its mark.
    marks: BTreeMap<String, Vec<u8>>,
    source: String,
}

impl Plan {
    /// How far each mailbox was brought, in hex, by the name of its mark.
    pub(super) fn far(&self) -> BTreeMap<String, String> {
        let hex = |(name, value): (&String, &Vec<u8>)| (name.clone(), data_encoding::HEXLOWER.encode(value));
        self.marks.iter().map(hex).collect()
    }
}

/// Signs in, lists the mailboxes and makes them here.
pub(super) async fn plan<D: Door>(door: &mut D, who: &Who<'_>, options: &Options) -> Result<Plan, Trouble> {
    let mut imap = Imap::open(who.dialer, who.place, who.login, who.password).await?;
    let (mut lines, prefix) = imap.mailboxes().await?;
    let source = who.place.import_prefix(who.user);
    lines.retain(|line| !is_no_mailbox(line));
    // INBOX first; views of other mailboxes last.
    let is_view = |line: &wire::imap::list::ListResponse| {
        line.attributes
            .iter()
            .any(|a| matches!(a, MailboxAttribute::All | MailboxAttribute::Flagged | MailboxAttribute::Important))
    };
    lines.sort_by_key(|line| (is_view(line), !line.name.as_str().eq_ignore_ascii_case("INBOX")));
    let told: BTreeSet<u8> = lines.iter().filter_map(|line| special_use(&line.attributes)).map(|u| u as u8).collect();
    let mut mailboxes = Vec::new();
    let mut taken = BTreeSet::new();
    for line in lines {
        let remote = line.name.as_str();
        let local = to_local(remote, line.delimiter, &prefix);
        let is_wanted = |name: &String| name.eq_ignore_ascii_case(remote) || name.eq_ignore_ascii_case(&local);
        if !options.only.is_empty() && !options.only.iter().any(is_wanted) {
            continue;
        }
        let by_server = special_use(&line.attributes);
        if matches!(by_server, Some(SpecialUse::Flagged | SpecialUse::Important)) && options.only.is_empty() {
            continue;
        }
        let usual = usual_use(&local).filter(|usual| !told.contains(&(*usual as u8)));
        // Only one mailbox can be the one for a use; the others keep their names. `--into` keeps all names.
        let use_here = by_server.or(usual).filter(|u| options.into.is_none() && taken.insert(*u as u8));
        let (id, name) = make(door, &placed(&local, options), use_here).await?;
        let is_all = by_server == Some(SpecialUse::All);
        mailboxes.push(Wanted { remote: line.name, id, name: name.into(), is_all });
    }
    if mailboxes.is_empty() {
        return Err(Trouble::Refused(format!("{} shows no mailbox to bring", who.place)));
    }
    let marks = marks(door, &source).await?;
    Ok(Plan { imap, mailboxes, marks, source })
}

/// Brings everything, over as many connections as it takes.
pub(super) async fn bring(
    who: &Who<'_>,
    plan: Plan,
    options: &Options,
    outlet: Outlet,
    progress: &Progress,
) -> Result<(), Trouble> {
    let Plan { imap, mailboxes, mut marks, source } = plan;
    let mut imap = Some(imap);
    let ids: Vec<u32> = mailboxes.iter().filter(|wanted| !wanted.is_all).map(|wanted| wanted.id).collect();
    for wanted in &mailboxes {
        let mut lost = 0;
        if wanted.is_all {
            outlet.send(Brought::Hashes(ids.clone())).await.map_err(|_| gone())?;
        }
        loop {
            let open = match imap.take() {
                Some(open) => Ok(open),
                None => Imap::open(who.dialer, who.place, who.login, who.password).await,
            };
            let mut carrier = Carrier { wanted, source: &source, marks: &mut marks, outlet: &outlet, progress, moved: false };
            let error = match open {
                Ok(mut open) => match carrier.bring(&mut open, options).await {
                    Ok(()) => {
                        imap = Some(open);
                        break;
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            lost = if carrier.moved { 1 } else { lost + 1 };
            if !error.is_temporary() || lost > RECONNECTS_MAX {
                return Err(error);
            }
            tracing::warn!(%error, mailbox = %wanted.name, "going on over a new connection");
            tokio::time::sleep(Duration::from_millis(250 << lost)).await;
        }
    }
    if let Some(imap) = imap {
        imap.logout().await;
    }
    Ok(())
}

/// Brings one mailbox over one connection.
struct Carrier<'a> {
    wanted: &'a Wanted,
    source: &'a str,
    marks: &'a mut BTreeMap<String, Vec<u8>>,
    outlet: &'a Outlet,
    progress: &'a Progress,
    /// Something came over this connection.
    moved: bool,
}

/// Messages between the wire and a bundle.
struct Window {
    tag: Tag,
    /// Asked for and not come yet.
    missing: BTreeSet<u32>,
    asked: usize,
    last: u32,
}

impl Carrier<'_> {
    async fn send(&self, brought: Brought) -> Result<(), Trouble> {
        self.outlet.send(brought).await.map_err(|_| gone())
    }

    async fn bring(&mut self, imap: &mut Imap, options: &Options) -> Result<(), Trouble> {
        let selected = imap.examine(&self.wanted.remote).await?;
        if selected.uid_validity == 0 {
            let text = format!("{} tells no UIDVALIDITY of {}", imap.host(), self.wanted.remote.as_str());
            return Err(Trouble::Protocol(text));
        }
        let of_mailbox = format!("{}{}\n", self.source, self.wanted.remote.as_str());
        let mark = format!("{of_mailbox}{}", selected.uid_validity);
        let other_validity = self.marks.keys().any(|name| name.starts_with(&of_mailbox) && *name != mark);
        let done = match self.marks.get(&mark) {
            Some(value) => u32::from_be_bytes(value.get(..4).and_then(|four| four.try_into().ok()).ok_or_else(odd)?),
            None => 0,
        };
        if other_validity && done == 0 {
            tracing::warn!(mailbox = %self.wanted.name, "UIDVALIDITY changed: looking for what is not here yet by content");
            self.send(Brought::Hashes(vec![self.wanted.id])).await?;
        }
        if selected.exists == Some(0) {
            return Ok(());
        }
        let Some(first) = done.checked_add(1) else { return Ok(()) };
        let uids = imap.uids_from(first).await?;
        let known = selected.exists.map_or(0, u64::from).saturating_sub(uids.len() as u64);
        if !self.moved && known > 0 {
            self.send(Brought::Known(Arc::clone(&self.wanted.name), known)).await?;
        }
        self.progress.expect(uids.len() as u64);
        let by_hash = self.wanted.is_all || other_validity;
        self.windows(imap, &uids, (&mark, by_hash), options).await
    }

    /// Asks for windows of UIDs, the next one always asked before the last one ended.
    async fn windows(
        &mut self,
        imap: &mut Imap,
        uids: &[u32],
        (mark, by_hash): (&str, bool),
        options: &Options,
    ) -> Result<(), Trouble> {
        let items = || vec![FetchItem::Uid, FetchItem::Flags, FetchItem::InternalDate, whole()];
        let mut waiting = uids.chunks(FETCH_UIDS);
        let mut under_way: VecDeque<Window> = VecDeque::new();
        // What did not come with the others: asked for again once the line is quiet.
        let mut late: BTreeSet<u32> = BTreeSet::new();
        let mut bundle = Bundle::new(self.wanted.id, &self.wanted.name);
        bundle.by_hash = by_hash;
        loop {
            if under_way.is_empty() && !late.is_empty() {
                self.ask_again(imap, std::mem::take(&mut late), &mut bundle, options).await?;
            }
            while late.is_empty()
                && under_way.len() < FETCHES_AHEAD
                && let Some(chunk) = waiting.next()
            {
                let tag = imap.send(&fetch(set_of(chunk), items()));
                let last = chunk.last().copied().unwrap_or_default();
                under_way.push_back(Window { tag, missing: chunk.iter().copied().collect(), asked: chunk.len(), last });
            }
            if under_way.is_empty() {
                break;
            }
            match imap.next().await? {
                Heard::Response(Response::Fetch { items, .. } | Response::UidFetch { items, .. }, octets) => {
                    let fetched = Fetched::of(items, octets);
                    let Some(uid) = fetched.uid else { continue };
                    // What was not asked for (flags that somebody changes meanwhile) has no octets.
                    let Some(octets) = fetched.body else { continue };
                    let Some(window) = under_way.iter_mut().find(|window| window.missing.contains(&uid)) else { continue };
                    window.missing.remove(&uid);
                    let flags = from_wire(&fetched.flags.unwrap_or_default());
                    let head = Head::new(&flags, fetched.date_secs.unwrap_or_else(unix_now), octets.len());
                    let what = format!("{} UID {uid}", self.wanted.remote.as_str());
                    bundle.candidates.push(Candidate { mark: None, uid, uid_mark: None, head, load: Load::Octets(octets), what });
                    if bundle.is_full() {
                        // Out of order within a window: how far it is done is known at its end.
                        let whole = self.cut(&mut bundle, mark, &under_way, &late);
                        self.send(Brought::Bundle(whole)).await?;
                        self.moved = true;
                    }
                }
                Heard::Tagged(tag, status) => {
                    let Some(at) = under_way.iter().position(|window| window.tag == tag) else { continue };
                    let window = under_way.remove(at).ok_or_else(odd)?;
                    if status.kind != Kind::Ok && window.asked > 1 && window.missing.len() == window.asked {
                        return Err(imap.refused("FETCH", &status));
                    }
                    late.extend(window.missing);
                }
                _ => {}
            }
        }
        if let Some(last) = uids.last() {
            bundle.candidates.sort_by_key(|candidate| candidate.uid);
            bundle.mark = Some(MarkText::set(mark, &last.to_be_bytes()));
            self.marks.insert(mark.to_owned(), last.to_be_bytes().to_vec());
            self.send(Brought::Bundle(bundle)).await?;
            self.moved = true;
        }
        Ok(())
    }

    /// The bundle so far, marked with the last UID under which nothing is missing.
    fn cut(&mut self, bundle: &mut Bundle, mark: &str, under_way: &VecDeque<Window>, late: &BTreeSet<u32>) -> Bundle {
        let mut next = Bundle::new(self.wanted.id, &self.wanted.name);
        next.by_hash = bundle.by_hash;
        let mut whole = std::mem::replace(bundle, next);
        let first_missing = under_way.iter().filter_map(|window| window.missing.first()).chain(late.first()).min();
        let done = match first_missing {
            Some(first) => first.checked_sub(1),
            None => under_way.iter().map(|window| window.last).max(),
        };
        if let Some(done) = done {
            // What came ahead of its turn waits, so that the mark tells the truth.
            let (now, later) = whole.candidates.into_iter().partition(|candidate| candidate.uid <= done);
            whole.candidates = now;
            whole.candidates.sort_by_key(|candidate| candidate.uid);
            bundle.candidates = later;
            whole.mark = Some(MarkText::set(mark, &done.to_be_bytes()));
            self.marks.insert(mark.to_owned(), done.to_be_bytes().to_vec());
        }
        whole
    }

    /// What did not come with the others is asked for one by one: gone meanwhile, or bad.
    async fn ask_again(
        &mut self,
        imap: &mut Imap,
        missing: BTreeSet<u32>,
        bundle: &mut Bundle,
        options: &Options,
    ) -> Result<(), Trouble> {
        for uid in missing {
            let mut found: Option<Fetched> = None;
            let mut is_there = false;
            let items = vec![FetchItem::Uid, FetchItem::Flags, FetchItem::InternalDate, whole()];
            let status = imap
                .run(&fetch(set_of(&[uid]), items), |(response, octets)| {
                    if let Response::Fetch { items, .. } | Response::UidFetch { items, .. } = response {
                        let fetched = Fetched::of(items, octets);
                        is_there |= fetched.uid == Some(uid);
                        if fetched.uid == Some(uid) && fetched.body.is_some() {
                            found = Some(fetched);
                        }
                    }
                })
                .await?;
            let what = format!("{} UID {uid}", self.wanted.remote.as_str());
            match found {
                Some(Fetched { body: Some(octets), flags, date_secs, .. }) => {
                    let flags = from_wire(&flags.unwrap_or_default());
                    let head = Head::new(&flags, date_secs.unwrap_or_else(unix_now), octets.len());
                    bundle.candidates.push(Candidate { mark: None, uid, uid_mark: None, head, load: Load::Octets(octets), what });
                }
                _ if !is_there && status.kind == Kind::Ok => self.progress.advance(1, 0),
                _ => {
                    let why = if status.kind == Kind::Ok { "the server does not give its octets" } else { status.text.as_str() };
                    if !options.skip_bad {
                        return Err(Trouble::Refused(format!("{what}: {why} (--skip-bad goes on without it)")));
                    }
                    self.send(Brought::Bad(Bad { what, why: why.to_owned() })).await?;
                }
            }
        }
        Ok(())
    }
}

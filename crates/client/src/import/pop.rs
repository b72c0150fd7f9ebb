//! From a POP3 server: every message once, by its UIDL, and the UIDL kept, so that a POP3 client does not fetch all again
//! after the move.

use super::imap::Who;
use super::{Bad, Brought, Bundle, Candidate, Load, Options, Outlet, gone, make, marks, placed};
use crate::door::{Door, Head};
use crate::import::files::date_of;
use crate::limits::{RECONNECTS_MAX, RETRIEVALS_AHEAD};
use crate::pop::{Listed, Pop};
use crate::progress::Progress;
use crate::trouble::Trouble;
use net::clock::unix_now;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use store::Flags;
use wire::pop3::client::Request;

/// What is to be done.
pub(super) struct Plan {
    id: u32,
    name: Arc<str>,
    source: String,
    known: HashSet<String>,
}

/// Makes INBOX (or what stands in for it) and learns what is here.
pub(super) async fn plan<D: Door>(door: &mut D, who: &Who<'_>, options: &Options) -> Result<Plan, Trouble> {
    let name = if options.into.is_some() { placed("", options) } else { "INBOX".to_owned() };
    let (id, name) = make(door, &name, None).await?;
    let source = who.place.import_prefix(who.user);
    let known = marks(door, &source).await?.into_keys().collect();
    Ok(Plan { id, name: name.into(), source, known })
}

/// Brings what is not here, over as many connections as it takes.
pub(super) async fn bring(
    who: &Who<'_>,
    plan: Plan,
    options: &Options,
    outlet: Outlet,
    progress: &Progress,
) -> Result<(), Trouble> {
    let mut done: BTreeSet<String> = BTreeSet::new();
    let mut lost = 0;
    let mut told_known = false;
    loop {
        let before = done.len();
        let error = match Pop::open(who.dialer, who.place, who.login, who.password).await {
            Ok(pop) => match session(pop, &plan, (options, &mut done), (&outlet, progress, &mut told_known)).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
            Err(error) => error,
        };
        lost = if done.len() > before { 1 } else { lost + 1 };
        if !error.is_temporary() || lost > RECONNECTS_MAX {
            return Err(error);
        }
        tracing::warn!(%error, "going on over a new connection");
        tokio::time::sleep(Duration::from_millis(250 << lost)).await;
    }
}

async fn session(
    mut pop: Pop,
    plan: &Plan,
    (options, done): (&Options, &mut BTreeSet<String>),
    (outlet, progress, told_known): (&Outlet, &Progress, &mut bool),
) -> Result<(), Trouble> {
    let send = async |brought| outlet.send(brought).await.map_err(|_| gone());
    let listed = pop.list().await?;
    let all = listed.len();
    let chosen = |one: &Listed| options.unique_ids.as_ref().is_none_or(|chosen| chosen.contains(&one.unique_id));
    send(Brought::There(listed.iter().map(|one| one.unique_id.clone()).collect())).await?;
    let is_new = |one: &Listed| {
        chosen(one) && !plan.known.contains(&format!("{}{}", plan.source, one.unique_id)) && !done.contains(&one.unique_id)
    };
    let mut wanted: VecDeque<Listed> = listed.into_iter().filter(is_new).collect();
    if !std::mem::replace(told_known, true) {
        progress.expect(wanted.len() as u64);
        send(Brought::Known(Arc::clone(&plan.name), (all - wanted.len()) as u64)).await?;
    }
    let mut asked: VecDeque<Listed> = VecDeque::new();
    let mut bundle = Bundle::new(plan.id, &plan.name);
    loop {
        while asked.len() < RETRIEVALS_AHEAD
            && let Some(next) = wanted.pop_front()
        {
            pop.request(Request::Retr(next.number));
            asked.push_back(next);
        }
        let Some(one) = asked.pop_front() else { break };
        let (_, content) = pop.content().await?;
        let what = format!("UIDL {}", one.unique_id);
        match content {
            Ok(octets) => {
                let date_secs = date_of(&octets).unwrap_or_else(unix_now);
                bundle.candidates.push(Candidate {
                    mark: Some(format!("{}{}", plan.source, one.unique_id)),
                    uid: 0,
                    uid_mark: Some(format!("uidl/{}/{}", plan.id, one.unique_id)),
                    head: Head::new(&Flags::default(), date_secs, octets.len()),
                    load: Load::Octets(octets),
                    what,
                });
            }
            Err(why) => send(Brought::Bad(Bad { what, why })).await?,
        }
        done.insert(one.unique_id);
        if bundle.is_full() {
            let whole = std::mem::replace(&mut bundle, Bundle::new(plan.id, &plan.name));
            send(Brought::Bundle(whole)).await?;
        }
    }
    send(Brought::Bundle(bundle)).await?;
    pop.quit().await;
    Ok(())
}

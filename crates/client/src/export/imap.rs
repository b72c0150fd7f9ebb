//! Moving out to an IMAP server: every message once, with its mailbox, flags, keywords and INTERNALDATE.
//!
//! The mark of a mailbox is how far it was brought there, and the last UID there that was seen then. An APPEND and its mark are
//! no one act, so a run that goes on looks for what it is to send among what came there since that UID, octet by octet.
//! Must not know: where the account is.

use super::{Report, chosen, page_of};
use crate::dial::Dialer;
use crate::door::{Answer, Ask, Door, Head, MailboxTold, MarkText, odd};
use crate::flags::to_wire;
use crate::imap::{Fetched, Imap, Selected, fetch, from, set_of, whole};
use crate::import::{Bad, marks};
use crate::limits::RECONNECTS_MAX;
use crate::mailbox_name::{is_no_mailbox, special_use, to_remote, use_of_word};
use crate::place::Place;
use crate::progress::Progress;
use crate::trouble::Trouble;
use bytes::Bytes;
use std::collections::HashMap;
use std::time::Duration;
use wire::imap::append::{Append, AppendMessage};
use wire::imap::command::Command;
use wire::imap::date::DateTime;
use wire::imap::fetch::FetchItem;
use wire::imap::flag::Flag;
use wire::imap::list::ListResponse;
use wire::imap::mailbox_name::MailboxName;
use wire::imap::response::{Kind, Response, StatusText};
use wire::imap::response_code::Code;
use wire::imap::select::Select;
use wire::sasl::Secret;

/// Who takes the mail.
pub struct Server<'a> {
    /// The way there.
    pub dialer: &'a Dialer,
    /// Where.
    pub place: &'a Place,
    /// Login name.
    pub user: &'a str,
    /// Its password.
    pub password: &'a Secret,
}

/// How far a mailbox was brought: UIDs here and there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Far {
    here: u32,
    uid_validity: u32,
    there: u32,
}

impl Far {
    fn read(value: &[u8]) -> Option<Far> {
        let (here, rest) = value.split_first_chunk::<4>()?;
        let (uid_validity, rest) = rest.split_first_chunk::<4>()?;
        let there = <[u8; 4]>::try_from(rest).ok()?;
        let [here, uid_validity, there] = [*here, *uid_validity, there].map(u32::from_be_bytes);
        Some(Far { here, uid_validity, there })
    }
    fn write(self) -> Vec<u8> {
        [self.here, self.uid_validity, self.there].map(u32::to_be_bytes).concat()
    }
}

/// Takes the mailboxes (`only` these; empty: all) there. `skip_bad`: go on past what the server does not take.
///
/// # Errors
/// Why it stopped; what was taken until then stays and is not taken again.
pub async fn run<D: Door>(
    door: &mut D,
    server: &Server<'_>,
    (only, skip_bad): (&[String], bool),
    progress: &Progress,
) -> Result<Report, Trouble> {
    let list = chosen(door, only, progress).await?;
    let prefix = format!("export/{}/", server.place.source(server.user));
    let known = marks(door, &prefix).await?;
    let mut carrier = Carrier { door, skip_bad, progress, report: Report::default() };
    let mut imap = None;
    for mailbox in &list {
        progress.enter(&mailbox.name);
        let name = format!("{prefix}{}", mailbox.id);
        let mut far = known.get(&name).and_then(|value| Far::read(value));
        let done = carrier.report.exported + carrier.report.bad.len() as u64;
        let mut lost = 0;
        loop {
            let before = carrier.report.exported;
            let open = match imap.take() {
                Some(open) => Ok(open),
                None => Imap::open(server.dialer, server.place, server.user, server.password).await,
            };
            let error = match open {
                Ok(mut open) => match carrier.fill(&mut open, mailbox, (&name, &mut far)).await {
                    Ok(()) => {
                        imap = Some(open);
                        break;
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            lost = if carrier.report.exported > before { 1 } else { lost + 1 };
            if !error.is_temporary() || lost > RECONNECTS_MAX {
                return Err(error);
            }
            tracing::warn!(%error, mailbox = %mailbox.name, "going on over a new connection");
            tokio::time::sleep(Duration::from_millis(250 << lost)).await;
        }
        let done = carrier.report.exported + carrier.report.bad.len() as u64 - done;
        let known = u64::from(mailbox.messages).saturating_sub(done);
        progress.advance(known, 0);
        carrier.report.known += known;
        carrier.report.mailboxes.insert(mailbox.name.clone(), u64::from(mailbox.messages));
    }
    if let Some(imap) = imap {
        imap.logout().await;
    }
    Ok(carrier.report)
}

struct Carrier<'a, D> {
    door: &'a mut D,
    skip_bad: bool,
    progress: &'a Progress,
    report: Report,
}

impl<D: Door> Carrier<'_, D> {
    /// One mailbox, from where it was left.
    async fn fill(
        &mut self,
        imap: &mut Imap,
        mailbox: &MailboxTold,
        (name, far): (&str, &mut Option<Far>),
    ) -> Result<(), Trouble> {
        let Some(remote) = mailbox_there(imap, mailbox).await? else { return Ok(()) };
        let selected = imap.select(Select::plain(remote.clone(), false)).await?;
        if selected.read_only || selected.uid_validity == 0 {
            let why = if selected.read_only { "cannot be written to" } else { "has no UIDVALIDITY" };
            return Err(Trouble::Refused(format!("{}: {} {why}", imap.host(), remote.as_str())));
        }
        let uid_validity = selected.uid_validity;
        let mut now = match far {
            Some(far) if far.uid_validity == uid_validity => *far,
            // It is another one than before: all that lies there is compared.
            Some(_) => Far { here: 0, uid_validity, there: 0 },
            None => Far { here: 0, uid_validity, there: last_uid(imap, &selected).await? },
        };
        // Known before the first goes: what comes there from now on is compared, if this run breaks.
        self.note(name, far, now).await?;
        let mut sizes = sizes_behind(imap, now.there).await?;
        loop {
            let page = page_of(&mut *self.door, mailbox, now.here).await?;
            if page.is_empty() {
                return Ok(());
            }
            for (head, octets) in page {
                self.send(imap, (mailbox, &remote, &selected), (head, octets), (&mut sizes, &mut now)).await?;
                self.note(name, far, now).await?;
            }
        }
    }

    /// One message, unless it is there.
    async fn send(
        &mut self,
        imap: &mut Imap,
        (mailbox, remote, selected): (&MailboxTold, &MailboxName, &Selected),
        (head, octets): (Head, Bytes),
        (sizes, now): (&mut Sizes, &mut Far),
    ) -> Result<(), Trouble> {
        let sent = match same_there(imap, sizes, &octets).await? {
            Some(uid) => Ok(Ok(Some(uid))),
            None => append(imap, remote, (&head, &octets), selected).await.inspect(|told| {
                self.report.exported += u64::from(told.is_ok());
                self.report.octets += if told.is_ok() { head.octets } else { 0 };
            }),
        };
        match sent {
            // As long as something there was not compared, it is to be compared again should this run break.
            Ok(Ok(uid)) if sizes.is_empty() => now.there = now.there.max(uid.unwrap_or(0)),
            Ok(Ok(_)) => {}
            // No fault of this message: the next one would fare no better.
            Ok(Err(status)) if matches!(status.code, Some(Code::OverQuota | Code::TryCreate)) => {
                return Err(imap.refused(&format!("a message for {}", remote.as_str()), &status));
            }
            Ok(Err(status)) => {
                let why = match imap.refused(&format!("a message for {}", remote.as_str()), &status) {
                    Trouble::Refused(why) => why,
                    other => return Err(other),
                };
                let what = format!("{} message {}", mailbox.name, head.uid);
                if !self.skip_bad {
                    return Err(Trouble::Refused(format!("{what}: {why} (--skip-bad goes on without it)")));
                }
                self.report.bad.push(Bad { what, why });
            }
            Err(error) => return Err(error),
        }
        now.here = head.uid;
        self.progress.advance(1, head.octets);
        Ok(())
    }

    /// `far`: as it was noted last.
    async fn note(&mut self, name: &str, far: &mut Option<Far>, now: Far) -> Result<(), Trouble> {
        let before = far.map(|far| data_encoding::HEXLOWER.encode(&far.write())).unwrap_or_default();
        let mark = MarkText { expects: Some(before), ..MarkText::set(name, &now.write()) };
        match self.door.ask(Ask::Mark { marks: vec![mark] }, Vec::new()).await? {
            (Answer::Done { .. }, _) => *far = Some(now),
            (Answer::Moved, _) => {
                let text = "another export takes the same mail there at this moment; let one of them end";
                return Err(Trouble::Moved(text.into()));
            }
            _ => return Err(odd()),
        }
        Ok(())
    }
}

/// The mailbox there: the one of the same use, else of the same name, else made. `None`: empty here, and everybody has it.
async fn mailbox_there(imap: &mut Imap, mailbox: &MailboxTold) -> Result<Option<MailboxName>, Trouble> {
    let (mut lines, prefix) = imap.mailboxes().await?;
    let delimiter = lines.iter().find_map(|line| line.delimiter);
    lines.retain(|line| !is_no_mailbox(line));
    let wanted = to_remote(&mailbox.name, delimiter, &prefix);
    let use_here = mailbox.special_use.as_deref().and_then(use_of_word);
    let by_use = |line: &&ListResponse| use_here.is_some() && special_use(&line.attributes) == use_here;
    let is_inbox = |name: &str| name.eq_ignore_ascii_case("INBOX");
    let by_name = |line: &&ListResponse| line.name.as_str() == wanted || (is_inbox(line.name.as_str()) && is_inbox(&wanted));
    if let Some(found) = lines.iter().find(by_use).or_else(|| lines.iter().find(by_name)) {
        return Ok(Some(found.name.clone()));
    }
    if use_here.is_some() && mailbox.messages == 0 {
        return Ok(None);
    }
    let name = MailboxName::new(&wanted);
    let made = imap.run(&Command::Create { mailbox: name.clone(), uses: Vec::new() }, |_| {}).await?;
    if made.kind != Kind::Ok && made.code != Some(Code::AlreadyExists) {
        return Err(imap.refused(&format!("to make {wanted}"), &made));
    }
    imap.run(&Command::Subscribe { mailbox: name.clone() }, |_| {}).await?;
    Ok(Some(name))
}

async fn last_uid(imap: &mut Imap, selected: &Selected) -> Result<u32, Trouble> {
    match selected.uid_next {
        Some(next) => Ok(next.saturating_sub(1)),
        None => Ok(imap.uids_from(1).await?.last().copied().unwrap_or(0)),
    }
}

/// What lies there behind some UID, by size.
type Sizes = HashMap<u64, Vec<u32>>;

async fn sizes_behind(imap: &mut Imap, there: u32) -> Result<Sizes, Trouble> {
    let mut sizes = Sizes::new();
    let Some(first) = there.checked_add(1) else { return Ok(sizes) };
    let told = |(response, octets): (Response, Vec<Option<Bytes>>)| {
        if let Response::Fetch { items, .. } | Response::UidFetch { items, .. } = response {
            let fetched = Fetched::of(items, octets);
            // `first:*` names the last one also where that is before `first`.
            if let (Some(uid), Some(size)) = (fetched.uid.filter(|uid| *uid >= first), fetched.size) {
                sizes.entry(size).or_default().push(uid);
            }
        }
    };
    imap.must("FETCH", &fetch(from(first), vec![FetchItem::Uid, FetchItem::Rfc822Size]), told).await?;
    Ok(sizes)
}

/// One of them that has these octets; it is not found a second time.
async fn same_there(imap: &mut Imap, sizes: &mut Sizes, octets: &Bytes) -> Result<Option<u32>, Trouble> {
    let Some(uids) = sizes.get_mut(&(octets.len() as u64)) else { return Ok(None) };
    for at in 0..uids.len() {
        let Some(uid) = uids.get(at).copied() else { break };
        let mut is_same = false;
        let told = |(response, literals): (Response, Vec<Option<Bytes>>)| {
            if let Response::Fetch { items, .. } | Response::UidFetch { items, .. } = response {
                let fetched = Fetched::of(items, literals);
                is_same |= fetched.uid == Some(uid) && fetched.body.as_ref() == Some(octets);
            }
        };
        imap.must("FETCH", &fetch(set_of(&[uid]), vec![FetchItem::Uid, whole()]), told).await?;
        if is_same {
            uids.remove(at);
            if uids.is_empty() {
                sizes.remove(&(octets.len() as u64));
            }
            return Ok(Some(uid));
        }
    }
    Ok(None)
}

/// Its UID there, if the server tells; or what it says against it.
async fn append(
    imap: &mut Imap,
    remote: &MailboxName,
    (head, octets): (&Head, &Bytes),
    selected: &Selected,
) -> Result<Result<Option<u32>, StatusText>, Trouble> {
    let stays = |flag: &Flag| match flag {
        Flag::Keyword(word) => {
            let is = |known: &Flag| matches!(known, Flag::Keyword(known) if known.eq_ignore_ascii_case(word));
            selected.any_keyword || selected.permanent.iter().any(is)
        }
        _ => true,
    };
    let mut flags = to_wire(&head.flags());
    flags.retain(stays);
    let date = Some(DateTime::utc(head.date_secs));
    let message = AppendMessage { flags, date, size: octets.len() as u64, binary: false, utf8: false };
    let told = imap.try_append(Append { mailbox: remote.clone(), message }, octets).await?;
    Ok(told.map(|told| told.filter(|(uid_validity, _)| *uid_validity == selected.uid_validity).map(|(_, uid)| uid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_both_ways() {
        let far = Far { here: 7, uid_validity: 9, there: 11 };
        assert_eq!(Far::read(&far.write()), Some(far));
        assert_eq!((Far::read(b""), Far::read(&[0; 13])), (None, None));
    }
}

//! Ivy works on her mailboxes by IMAP, alone, and looks after every act whether it was done.
//!
//! Invariant: an act that was answered OK is there at the next look; one answered NO or not at all was done whole or not
//! at all; a UID names one message for ever. Must not know: the store.

use crate::chance::Chance;
use crate::mail;
use crate::network;
use crate::office::PASSWORD;
use crate::world::World;
use net::{Connection, Next, Peer};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use wire::imap::append::{Append, AppendMessage};
use wire::imap::client::{Client, ClientConfig, Event, StartTls};
use wire::imap::fetch::{Data, Fetch, FetchData, FetchItem, Section};
use wire::imap::response::{Kind, Response, StatusText};
use wire::imap::select::Select;
use wire::imap::sequence_set::{SeqNumber, SequenceSet};
use wire::imap::store::{Store, StoreOperation};
use wire::imap::{Command, Flag, MailboxName};
use wire::sasl::Secret;
use wire::sasl::client::Credentials;

/// Who.
pub(crate) const IVY: &str = "ivy@alpha.test";
/// Where she works; nobody else writes there.
pub(crate) const MAILBOXES: &[&str] = &["Work", "Shelf"];
/// What may still be under way of a lost connection has arrived by then.
const GHOST_SECS: (u64, u64) = (1_800, 2_400);

/// One message as seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    /// Which of [`MAILBOXES`].
    pub(crate) mailbox: usize,
    /// Its number.
    pub(crate) own: u64,
    /// Sorted names.
    pub(crate) flags: Vec<String>,
}

/// What is where: (mailbox, UID) -> row.
pub(crate) type Look = BTreeMap<(usize, u32), Row>;

/// One open connection.
pub(crate) struct Talk {
    connection: Connection,
    client: Client,
}

/// The connection is over.
pub(crate) struct Lost;

impl Talk {
    /// Connects and signs in.
    pub(crate) async fn open(world: &Arc<World>, who: &str, name: &str, octet: u8) -> Option<Talk> {
        let to = SocketAddr::new(world.ip(0), 143);
        let from = crate::names::ip([192, 0, 2, octet]);
        let dialled = tokio::time::timeout(Duration::from_secs(60), network::connect(world, name, from, to)).await;
        let end = dialled.ok()?.ok()?;
        let connection = Connection::over(Box::new(end), Peer::Ip { ip: to.ip(), port: to.port() }, None);
        let client = Client::new(ClientConfig {
            tls: false,
            starttls: StartTls::Never,
            credentials: Some(Credentials { login: who.to_owned(), password: Secret::new(PASSWORD.to_vec()) }),
            plaintext: false,
            nonce: format!("nonceof{name}"),
        });
        let mut talk = Talk { connection, client };
        match talk.event().await {
            Ok(Event::Ready) => Some(talk),
            _ => None,
        }
    }

    pub(crate) async fn event(&mut self) -> Result<Event, Lost> {
        match self.connection.next(&mut self.client).await {
            Next::Event(Event::Failed(_)) | Next::Closed => Err(Lost),
            Next::Event(event) => Ok(event),
        }
    }

    /// A command to its end.
    pub(crate) async fn run(&mut self, command: &Command) -> Result<(Vec<Event>, StatusText), Lost> {
        let tag = self.client.command(command);
        let mut events = Vec::new();
        loop {
            match self.event().await? {
                Event::Tagged(ended, status) if ended == tag => return Ok((events, status)),
                event => events.push(event),
            }
        }
    }

    pub(crate) fn idle(&mut self) {
        self.client.command(&Command::Idle);
    }

    pub(crate) fn done(&mut self) {
        self.client.done();
    }

    async fn append(&mut self, mailbox: usize, octets: &[u8]) -> Result<StatusText, Lost> {
        let message =
            AppendMessage { flags: vec![Flag::Seen], date: None, size: octets.len() as u64, binary: false, utf8: false };
        let tag = self.client.command(&Command::Append(Append { mailbox: name(mailbox), message }));
        loop {
            match self.event().await? {
                Event::AppendReady(_) => {
                    self.client.append_octets(octets);
                }
                Event::Tagged(ended, status) if ended == tag => return Ok(status),
                _ => {}
            }
        }
    }

    pub(crate) async fn select(&mut self, mailbox: &str) -> Result<Option<u32>, Lost> {
        let select = Select { examine: false, mailbox: MailboxName::new(mailbox), condstore: false, qresync: None };
        let (events, status) = self.run(&Command::Select(select)).await?;
        let exists = events.iter().find_map(|event| match event {
            Event::Response(Response::Exists(count)) => Some(*count),
            _ => None,
        });
        Ok(exists.filter(|_| status.kind == Kind::Ok))
    }

    /// All of her mailboxes; `None` when the server could not say.
    async fn look(&mut self) -> Result<Option<Look>, Lost> {
        let mut look = Look::new();
        for (at, mailbox) in MAILBOXES.iter().enumerate() {
            let Some(exists) = self.select(mailbox).await? else { return Ok(None) };
            if exists == 0 {
                continue;
            }
            let whole = FetchItem::BodySection { peek: true, section: Section::default(), partial: None };
            let set = SequenceSet::Ranges(vec![(SeqNumber::Number(1), SeqNumber::Star)]);
            let items = vec![FetchItem::Flags, whole];
            let fetch = Fetch { uid: true, set, items, changed_since: None, vanished: false, partial: None };
            let (events, status) = self.run(&Command::Fetch(fetch)).await?;
            let rows: Vec<((usize, u32), Row)> = events.iter().filter_map(|event| row(at, event)).collect();
            if status.kind != Kind::Ok || rows.len() != exists as usize {
                return Ok(None);
            }
            look.extend(rows);
        }
        Ok(Some(look))
    }
}

fn name(mailbox: usize) -> MailboxName {
    MailboxName::new(MAILBOXES.get(mailbox).copied().unwrap_or("INBOX"))
}

fn row(mailbox: usize, event: &Event) -> Option<((usize, u32), Row)> {
    let Event::Response(Response::Fetch { items, .. }) = event else { return None };
    let uid = items.iter().find_map(|item| if let FetchData::Uid(uid) = item { Some(*uid) } else { None })?;
    let mut flags: Vec<String> = items
        .iter()
        .find_map(|item| if let FetchData::Flags(flags) = item { Some(flags) } else { None })?
        .iter()
        .filter(|flag| **flag != Flag::Recent)
        .map(|flag| format!("{flag:?}"))
        .collect();
    flags.sort();
    let own = items.iter().find_map(|item| match item {
        FetchData::BodySection { data: Data::Octets(octets), .. } => mail::number_in(octets, mail::OWN),
        _ => None,
    })?;
    Some(((mailbox, uid), Row { mailbox, own, flags }))
}

/// Rows without their UIDs, for comparison.
pub(crate) fn rows(look: &Look) -> Vec<Row> {
    let mut rows: Vec<Row> = look.values().cloned().collect();
    rows.sort();
    rows
}

/// What is there and was not expected, and the other way round.
pub(crate) fn difference(seen: &[Row], expected: &[Vec<Row>]) -> String {
    let wanted = expected.last().map(Vec::as_slice).unwrap_or_default();
    let beyond = |these: &[Row], those: &[Row]| -> Vec<String> {
        let count = |rows: &[Row], row: &Row| rows.iter().filter(|other| *other == row).count();
        these.iter().filter(|row| count(these, row) > count(those, row)).map(|row| format!("{row:?}")).collect()
    };
    format!("unexpected {:?}, missing {:?} ({} ways were possible)", beyond(seen, wanted), beyond(wanted, seen), expected.len())
}

/// One act: the command's kind and what it makes of the rows.
enum Act {
    Append(u64, usize),
    Flags(Vec<(usize, u32)>, StoreOperation, Flag),
    Copy(Vec<(usize, u32)>),
    Move(Vec<(usize, u32)>),
    Expunge(Vec<(usize, u32)>),
}

struct Ivy {
    world: Arc<World>,
    chance: Chance,
    /// What may be there: one after an answered OK, two while nobody knows.
    expected: Vec<Vec<Row>>,
    known: BTreeMap<(usize, u32), u64>,
    next: u64,
}

/// Her day.
pub(crate) async fn live(world: Arc<World>) {
    let chance = Chance::new(world.seed, "ivy", 0);
    let mut ivy = Ivy { world, chance, expected: vec![Vec::new()], known: BTreeMap::new(), next: 0 };
    for _ in 0..ivy.chance.from(1, 4) {
        tokio::time::sleep(Duration::from_secs(ivy.chance.from(0, 900))).await;
        let Some(mut talk) = Talk::open(&ivy.world, IVY, "ivy", 3).await else { continue };
        let acts = ivy.chance.from(2, 10);
        if ivy.session(&mut talk, acts).await.is_err() {
            drop(talk);
            ivy.world.log.say("ivy: lost");
            tokio::time::sleep(Duration::from_secs(ivy.chance.from(GHOST_SECS.0, GHOST_SECS.1))).await;
        }
    }
    let expected = ivy.expected;
    ivy.world.ledger(|ledger| ledger.ivy = expected);
}

impl Ivy {
    async fn session(&mut self, talk: &mut Talk, acts: u64) -> Result<(), Lost> {
        for mailbox in 0..MAILBOXES.len() {
            talk.run(&Command::Create { mailbox: name(mailbox), uses: Vec::new() }).await?;
        }
        for _ in 0..acts {
            let Some(look) = talk.look().await? else { return Ok(()) };
            self.compare(&look);
            let act = self.draw(&look);
            self.perform(talk, &look, act).await?;
            self.move_from_inbox(talk).await?;
            tokio::time::sleep(Duration::from_millis(self.chance.from(0, 90_000))).await;
        }
        if let Some(look) = talk.look().await? {
            self.compare(&look);
        }
        talk.run(&Command::Logout).await?;
        Ok(())
    }

    fn compare(&mut self, look: &Look) {
        let seen = rows(look);
        if !self.expected.contains(&seen) {
            self.world.log.violation(format!("ivy: {}", difference(&seen, &self.expected)));
        }
        for (place, row) in look {
            if *self.known.entry(*place).or_insert(row.own) != row.own {
                self.world.log.violation(format!("UID {place:?} was given twice"));
            }
        }
        self.expected = vec![seen];
    }

    fn draw(&mut self, look: &Look) -> Act {
        let mailbox = usize::from(self.chance.percent(40));
        let mut some: Vec<(usize, u32)> = look.keys().copied().filter(|(at, _)| *at == mailbox).collect();
        some.retain(|_| self.chance.percent(50));
        if some.is_empty() || self.chance.percent(35) {
            self.next += 1;
            return Act::Append(self.next, 0);
        }
        match self.chance.from(0, 4) {
            0 => Act::Copy(some),
            1 => Act::Move(some),
            2 => Act::Expunge(some),
            _ => {
                let operation = if self.chance.percent(70) { StoreOperation::Add } else { StoreOperation::Remove };
                let flag = self.chance.pick(&[Flag::Seen, Flag::Flagged, Flag::Keyword("$Important".into())]).clone();
                Act::Flags(some, operation, flag)
            }
        }
    }

    async fn perform(&mut self, talk: &mut Talk, look: &Look, act: Act) -> Result<(), Lost> {
        let after = rows(&predict(look, &act));
        self.world.count(|counts| counts.acts += 1);
        // Until it is answered it may have been done or not.
        self.expected.push(after.clone());
        let status = match &act {
            Act::Append(own, mailbox) => {
                let octets = format!("From: <{IVY}>\r\nSubject: own\r\n{}{own};\r\n\r\nbody of {own}\r\n", mail::OWN);
                talk.append(*mailbox, octets.as_bytes()).await?
            }
            Act::Flags(some, operation, flag) => self.flags(talk, some, *operation, flag.clone()).await?,
            Act::Copy(some) | Act::Move(some) => {
                let Some(set) = self.enter(talk, some).await? else { return Ok(()) };
                let mailbox = name(1 - some.first().map_or(0, |(at, _)| *at));
                let command = match &act {
                    Act::Copy(_) => Command::Copy { uid: true, set, mailbox },
                    _ => Command::Move { uid: true, set, mailbox },
                };
                talk.run(&command).await?.1
            }
            Act::Expunge(some) => {
                let flags = rows(&predict(look, &Act::Flags(some.clone(), StoreOperation::Add, Flag::Deleted)));
                self.expected = vec![rows(look), flags.clone()];
                let marked = self.flags(talk, some, StoreOperation::Add, Flag::Deleted).await?;
                if marked.kind != Kind::Ok {
                    return Ok(());
                }
                self.expected = vec![flags, after.clone()];
                talk.run(&Command::Expunge { uids: Some(set_of(some)) }).await?.1
            }
        };
        self.world.log.say(format!("ivy: {} {:?}", describe(&act), status.kind));
        if status.kind == Kind::Ok {
            self.expected = vec![after];
        }
        Ok(())
    }

    async fn flags(
        &mut self,
        talk: &mut Talk,
        some: &[(usize, u32)],
        operation: StoreOperation,
        flag: Flag,
    ) -> Result<StatusText, Lost> {
        let mailbox = some.first().map_or(0, |(at, _)| *at);
        talk.select(MAILBOXES.get(mailbox).copied().unwrap_or_default()).await?;
        let store = Store { uid: true, set: set_of(some), unchanged_since: None, operation, silent: true, flags: vec![flag] };
        Ok(talk.run(&Command::Store(store)).await?.1)
    }

    async fn enter(&mut self, talk: &mut Talk, some: &[(usize, u32)]) -> Result<Option<SequenceSet>, Lost> {
        let mailbox = some.first().map_or(0, |(at, _)| *at);
        let selected = talk.select(MAILBOXES.get(mailbox).copied().unwrap_or_default()).await?;
        Ok(selected.map(|_| set_of(some)))
    }

    /// What was delivered to her she puts into another mailbox: one copy, always.
    async fn move_from_inbox(&mut self, talk: &mut Talk) -> Result<(), Lost> {
        if !self.chance.percent(30) {
            return Ok(());
        }
        if talk.select("INBOX").await?.is_some_and(|exists| exists > 0) {
            let (_, status) =
                talk.run(&Command::Move { uid: false, set: SequenceSet::range(1, 1), mailbox: MailboxName::new("Kept") }).await?;
            if status.kind == Kind::No {
                talk.run(&Command::Create { mailbox: MailboxName::new("Kept"), uses: Vec::new() }).await?;
            }
        }
        Ok(())
    }
}

fn set_of(some: &[(usize, u32)]) -> SequenceSet {
    SequenceSet::Ranges(some.iter().map(|(_, uid)| (SeqNumber::Number(*uid), SeqNumber::Number(*uid))).collect())
}

fn describe(act: &Act) -> String {
    match act {
        Act::Append(own, _) => format!("APPEND {own}"),
        Act::Flags(some, operation, flag) => format!("STORE {some:?} {operation:?} {flag:?}"),
        Act::Copy(some) => format!("COPY {some:?}"),
        Act::Move(some) => format!("MOVE {some:?}"),
        Act::Expunge(some) => format!("EXPUNGE {some:?}"),
    }
}

/// The rows after an act. UIDs of new rows are made up: they only count as rows.
fn predict(look: &Look, act: &Act) -> Look {
    let mut after = look.clone();
    match act {
        Act::Append(own, mailbox) => {
            let row = Row { mailbox: *mailbox, own: *own, flags: vec![format!("{:?}", Flag::Seen)] };
            after.insert((*mailbox, u32::MAX), row);
        }
        Act::Flags(some, operation, flag) => {
            let text = format!("{flag:?}");
            for place in some {
                let Some(row) = after.get_mut(place) else { continue };
                row.flags.retain(|known| *known != text);
                if *operation == StoreOperation::Add {
                    row.flags.push(text.clone());
                    row.flags.sort();
                }
            }
        }
        Act::Copy(some) | Act::Move(some) => {
            for (at, place) in some.iter().enumerate() {
                let Some(row) = look.get(place) else { continue };
                let target = 1 - place.0;
                let made_up = u32::MAX - u32::try_from(at).unwrap_or(0);
                after.insert((target, made_up), Row { mailbox: target, ..row.clone() });
                if matches!(act, Act::Move(_)) {
                    after.remove(place);
                }
            }
        }
        Act::Expunge(some) => some.iter().for_each(|place| drop(after.remove(place))),
    }
    after
}

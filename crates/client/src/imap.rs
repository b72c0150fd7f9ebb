//! One IMAP connection to somebody else's server: `wire`'s client session on a connection, octets gathered.
//!
//! Invariant: nothing here counts messages by number; what comes without a UID is passed over. Must not know: the store.

use crate::dial::{Dialer, nonce};
use crate::limits::{ANSWERS_MAX, GOODBYE_MAX, MAILBOXES_MAX, MESSAGE_BYTES_MAX};
use crate::place::Place;
use crate::trouble::Trouble;
use bytes::{Bytes, BytesMut};
use net::{Connection, Next};
use std::time::Duration;
use wire::imap::client::{Client, ClientConfig, Event, Failure, StartTls};
use wire::imap::command::Command;
use wire::imap::fetch::{Data, Fetch, FetchData, FetchItem, Section, SectionText};
use wire::imap::flag::Flag;
use wire::imap::list::{List, ListKind, ListResponse};
use wire::imap::mailbox_name::MailboxName;
use wire::imap::notify::{EventGroup, MailboxFilter, Notify, NotifyEvent};
use wire::imap::response::{Kind, Response, StatusText};
use wire::imap::response_code::Code;
use wire::imap::select::Select;
use wire::imap::sequence_set::{NumberSet, SeqNumber, SequenceSet};
use wire::imap::tag::Tag;
use wire::sasl::Secret;
use wire::sasl::client::Credentials;

/// What was heard.
#[derive(Debug)]
pub enum Heard {
    /// Untagged data; the octets of its large literals beside it, in order (`None`: larger than we take).
    Response(Response, Vec<Option<Bytes>>),
    /// A command ended.
    Tagged(Tag, StatusText),
    /// The octets of this APPEND may go.
    AppendReady(Tag),
    /// IDLE is on.
    Idling(Tag),
}

/// One signed-in connection.
pub struct Imap {
    connection: Connection,
    session: Client,
    host: String,
    /// Large literals of the response under way.
    octets: Vec<Option<Bytes>>,
    gathering: Option<(BytesMut, bool)>,
    listening: Listening,
    /// Answers to one command, and octets of the large literals of one answer.
    pub(crate) answers_max: usize,
    pub(crate) octets_max: u64,
}

/// What [`Imap::listen`] has come to.
#[derive(Debug, Clone, Copy, Default)]
struct Listening {
    /// The server tells of all mailboxes (NOTIFY).
    of_all: bool,
    /// It told something already.
    told: bool,
}

/// What SELECT told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// 0: the server told none, so no UID of it can be trusted beyond this connection.
    pub uid_validity: u32,
    /// Some servers do not tell it (chatmail/core#4842).
    pub uid_next: Option<u32>,
    /// With CONDSTORE.
    pub highest_mod_seq: Option<u64>,
    /// Messages; some servers lose the line that says it (chatmail/core#4926).
    pub exists: Option<u32>,
    /// `[NOMODSEQ]`
    pub no_mod_seq: bool,
    /// New keywords can be made there (`\*`).
    pub any_keyword: bool,
    /// Flags that stay.
    pub permanent: Vec<Flag>,
    /// Changes may be made.
    pub read_only: bool,
    /// QRESYNC: gone since.
    pub vanished: NumberSet,
    /// QRESYNC: changed since.
    pub changed: Vec<Fetched>,
}

/// One FETCH answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Fetched {
    pub uid: Option<u32>,
    pub flags: Option<Vec<Flag>>,
    pub date_secs: Option<i64>,
    pub size: Option<u64>,
    pub mod_seq: Option<u64>,
    /// The whole message.
    pub body: Option<Bytes>,
    /// Its header, or some fields of it.
    pub header: Option<Bytes>,
}

impl Fetched {
    /// Items, with the streamed octets that came before them.
    pub fn of(items: Vec<FetchData>, streamed: Vec<Option<Bytes>>) -> Fetched {
        let mut fetched = Fetched::default();
        let mut streamed = streamed.into_iter();
        let mut octets = |data: Data| match data {
            Data::Nil => None,
            Data::Octets(octets) => Some(octets),
            Data::Streamed(_) => streamed.next().flatten(),
        };
        for item in items {
            match item {
                FetchData::Uid(uid) if uid > 0 => fetched.uid = Some(uid),
                FetchData::Flags(flags) => fetched.flags = Some(flags),
                FetchData::InternalDate(date) => fetched.date_secs = Some(date.unix_secs),
                FetchData::Rfc822Size(size) => fetched.size = Some(size),
                FetchData::ModSeq(mod_seq) => fetched.mod_seq = Some(mod_seq),
                FetchData::BodySection { section, data, .. } => match section.text {
                    None if section.part.is_empty() => fetched.body = octets(data),
                    Some(SectionText::Header | SectionText::HeaderFields(_)) if section.part.is_empty() => {
                        fetched.header = octets(data);
                    }
                    _ => drop(octets(data)),
                },
                FetchData::Rfc822(data) => fetched.body = octets(data),
                FetchData::Rfc822Header(data) => fetched.header = octets(data),
                FetchData::Rfc822Text(data) | FetchData::Binary { data, .. } => drop(octets(data)),
                _ => {}
            }
        }
        fetched
    }
}

fn told(failure: Failure, host: &str) -> Trouble {
    match failure {
        Failure::Bye(text) => Trouble::Lost(format!("{host} said goodbye: {text}")),
        Failure::NoTls => Trouble::Refused(format!("{host} offers no TLS, and without it the password would be in the open")),
        Failure::NoMechanism => Trouble::Refused(format!("{host} offers no way to sign in that keeps the password private")),
        // RFC 5530 §3: it is not the password's fault.
        Failure::SignIn(StatusText { code: Some(Code::Unavailable | Code::Limit | Code::InUse), text, .. }) => {
            Trouble::Lost(format!("{host} lets nobody in at this moment: {text}"))
        }
        Failure::SignIn(status) => Trouble::SignIn(format!("{host} does not let us in: {}", status.text)),
        Failure::ServerUnproved => Trouble::SignIn(format!("{host} did not prove that it knows the password")),
        Failure::Protocol(what) => Trouble::Protocol(format!("{host} does not speak IMAP: {what}")),
        Failure::TimedOut => Trouble::Lost(format!("{host} did not answer in time")),
        Failure::Lost => Trouble::Lost(format!("{host} closed the connection")),
    }
}

/// UIDs ascending as a set of ranges.
pub fn set_of(uids: &[u32]) -> SequenceSet {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for uid in uids {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*uid) => *last = *uid,
            _ => ranges.push((*uid, *uid)),
        }
    }
    SequenceSet::Ranges(ranges.into_iter().map(|(a, b)| (SeqNumber::Number(a), SeqNumber::Number(b))).collect())
}

/// `first:*`
pub fn from(first: u32) -> SequenceSet {
    SequenceSet::Ranges(vec![(SeqNumber::Number(first.max(1)), SeqNumber::Star)])
}

/// UID FETCH.
pub fn fetch(set: SequenceSet, items: Vec<FetchItem>) -> Command {
    Command::Fetch(Fetch { uid: true, set, items, changed_since: None, vanished: false, partial: None })
}

/// `BODY.PEEK[]`: never `RFC822`, which iCloud answers with nothing and which sets \Seen.
pub fn whole() -> FetchItem {
    FetchItem::BodySection { peek: true, section: Section::default(), partial: None }
}

/// Some fields of the header, without \Seen.
pub fn header_fields(names: &[&str]) -> FetchItem {
    let fields = names.iter().map(|name| (*name).to_owned()).collect();
    let section = Section { part: Vec::new(), text: Some(SectionText::HeaderFields(fields)) };
    FetchItem::BodySection { peek: true, section, partial: None }
}

impl Imap {
    /// Connects and signs in.
    ///
    /// # Errors
    /// No connection, no TLS, or not let in.
    pub async fn open(dialer: &Dialer, place: &Place, login: &str, password: &Secret) -> Result<Imap, Trouble> {
        let connection = dialer.connect(place).await?;
        let local = connection.peer().is_loopback();
        let config = ClientConfig {
            tls: connection.is_tls(),
            starttls: if local { StartTls::IfOffered } else { StartTls::Require },
            credentials: Some(Credentials { login: login.to_owned(), password: password.clone() }),
            plaintext: local,
            nonce: nonce(),
        };
        let mut imap = Imap {
            connection,
            session: Client::new(config),
            host: place.to_string(),
            octets: Vec::new(),
            gathering: None,
            listening: Listening::default(),
            answers_max: ANSWERS_MAX,
            octets_max: MESSAGE_BYTES_MAX,
        };
        loop {
            match imap.event().await? {
                Event::Ready => break,
                // A server that sends gigabytes before sign-in is no server of ours.
                Event::OctetsBegin { .. } => return Err(Trouble::Protocol(format!("{place} does not speak IMAP"))),
                _ => {}
            }
        }
        // Coremail (163, 126) lets nobody select before it knows who asks (RFC 2971).
        if imap.has("ID") {
            let fields = [("name", "Packetboat"), ("version", env!("CARGO_PKG_VERSION"))];
            let fields = fields.map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
            imap.run(&Command::Id(wire::imap::id::Id { fields: Some(fields.to_vec()) }), |_| {}).await?;
        }
        Ok(imap)
    }

    /// Announced by the server.
    pub fn has(&self, capability: &str) -> bool {
        self.session.capabilities().has(capability)
    }

    /// Who is there, for people.
    pub fn host(&self) -> &str {
        &self.host
    }

    async fn event(&mut self) -> Result<Event, Trouble> {
        match self.connection.next(&mut self.session).await {
            Next::Event(Event::Failed(failure)) => Err(told(failure, &self.host)),
            Next::Event(event) => Ok(event),
            Next::Closed => Err(Trouble::over(&self.connection, &self.host)),
        }
    }

    /// Sends a command; what comes of it is heard with [`Imap::next`].
    pub fn send(&mut self, command: &Command) -> Tag {
        self.session.command(command)
    }

    /// The next thing heard. Cancel-safe.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn next(&mut self) -> Result<Heard, Trouble> {
        loop {
            match self.event().await? {
                Event::OctetsBegin { size, .. } => {
                    self.literal_ends();
                    // One answer may have many of them.
                    let held: u64 = self.octets.iter().flatten().map(|octets| octets.len() as u64).sum();
                    let fits = size <= self.octets_max.saturating_sub(held);
                    // What the server announces is no reason to take that much memory before it comes.
                    let room = usize::try_from(size).unwrap_or(0).min(if fits { 1 << 20 } else { 0 });
                    self.gathering = Some((BytesMut::with_capacity(room), fits));
                }
                Event::Octets(piece) => {
                    if let Some((octets, true)) = &mut self.gathering {
                        octets.extend_from_slice(&piece);
                    }
                }
                Event::Response(response) => {
                    self.literal_ends();
                    return Ok(Heard::Response(response, std::mem::take(&mut self.octets)));
                }
                Event::Tagged(tag, status) => return Ok(Heard::Tagged(tag, status)),
                Event::AppendReady(tag) => return Ok(Heard::AppendReady(tag)),
                Event::Idling(tag) => return Ok(Heard::Idling(tag)),
                Event::Ready | Event::Failed(_) => {}
            }
        }
    }

    fn literal_ends(&mut self) {
        if let Some((octets, fits)) = self.gathering.take() {
            self.octets.push(fits.then(|| octets.freeze()));
        }
    }

    /// Sends a command and waits for its end.
    ///
    /// # Errors
    /// The connection is over, or the answer has no end.
    pub async fn run(
        &mut self,
        command: &Command,
        mut on: impl FnMut((Response, Vec<Option<Bytes>>)),
    ) -> Result<StatusText, Trouble> {
        let tag = self.send(command);
        for _ in 0..self.answers_max {
            match self.next().await? {
                Heard::Response(response, octets) => on((response, octets)),
                Heard::Tagged(of, status) if of == tag => return Ok(status),
                other => tracing::debug!(?other, "nobody waits for this"),
            }
        }
        Err(Trouble::Protocol(format!("{} answers without an end", self.host)))
    }

    /// The same, and the server must agree.
    ///
    /// # Errors
    /// The connection is over, or the server said no.
    pub async fn must(
        &mut self,
        what: &str,
        command: &Command,
        on: impl FnMut((Response, Vec<Option<Bytes>>)),
    ) -> Result<StatusText, Trouble> {
        let status = self.run(command, on).await?;
        if status.kind == Kind::Ok { Ok(status) } else { Err(self.refused(what, &status)) }
    }

    /// The server's no in words.
    pub fn refused(&self, what: &str, status: &StatusText) -> Trouble {
        let text = format!("{} refuses {what}: {}", self.host, status.text);
        match status.code {
            Some(Code::Unavailable | Code::InUse | Code::Limit) => Trouble::Lost(text),
            _ => Trouble::Refused(text),
        }
    }

    /// All mailboxes, and the prefix of one's own ones (`INBOX.` at some).
    ///
    /// # Errors
    /// The connection is over, or the server said no.
    pub async fn mailboxes(&mut self) -> Result<(Vec<ListResponse>, String), Trouble> {
        let mut prefix = String::new();
        if self.has("NAMESPACE") {
            let told = |(response, _): (Response, Vec<Option<Bytes>>)| {
                if let Response::Namespace(namespace) = response
                    && let Some(first) = namespace.personal.into_iter().next()
                {
                    prefix = first.prefix;
                }
            };
            self.run(&Command::Namespace, told).await?;
        }
        let list = List {
            kind: ListKind::List,
            selection: Vec::new(),
            reference: String::new(),
            patterns: vec!["*".into()],
            returns: Vec::new(),
            extended: false,
        };
        let mut found: Vec<ListResponse> = Vec::new();
        let told = |(response, _): (Response, Vec<Option<Bytes>>)| {
            if let Response::List(line) = response
                && found.len() < MAILBOXES_MAX
                && !found.iter().any(|other| other.name == line.name)
            {
                found.push(line);
            }
        };
        self.must("LIST", &Command::List(list), told).await?;
        Ok((found, prefix))
    }

    /// Opens a mailbox.
    ///
    /// # Errors
    /// The connection is over, or the server said no.
    pub async fn select(&mut self, select: Select) -> Result<Selected, Trouble> {
        let mut selected = Selected { read_only: select.examine, ..Selected::default() };
        let mut vanished = Vec::new();
        let name = select.mailbox.as_str().to_owned();
        let told = |(response, octets): (Response, Vec<Option<Bytes>>)| match response {
            Response::Exists(exists) => selected.exists = Some(exists),
            Response::Vanished { uids, .. } => vanished.extend_from_slice(uids.ranges()),
            Response::Fetch { items, .. } | Response::UidFetch { items, .. } => {
                // Nobody asked for octets.
                selected.changed.push(Fetched { body: None, header: None, ..Fetched::of(items, octets) });
            }
            Response::Condition(StatusText { code: Some(code), .. }) => match code {
                Code::UidValidity(value) => selected.uid_validity = value,
                Code::UidNext(value) => selected.uid_next = Some(value),
                // Without a number it counts for nothing (imap-codec's defects#28: Gmail).
                Code::HighestModSeq(value) if value > 0 => selected.highest_mod_seq = Some(value),
                Code::NoModSeq => selected.no_mod_seq = true,
                Code::PermanentFlags(flags) => {
                    selected.any_keyword = flags.contains(&Flag::Any);
                    selected.permanent = flags;
                }
                _ => {}
            },
            _ => {}
        };
        let status = self.must(&format!("to open {name}"), &Command::Select(select), told).await?;
        selected.read_only |= status.code == Some(Code::ReadOnly);
        let number = |(first, last): (u32, u32)| (SeqNumber::Number(first), SeqNumber::Number(last));
        selected.vanished = SequenceSet::Ranges(vanished.into_iter().map(number).collect()).resolve(0);
        Ok(selected)
    }

    /// Read-only and plain.
    ///
    /// # Errors
    /// The connection is over, or the server said no.
    pub async fn examine(&mut self, mailbox: &MailboxName) -> Result<Selected, Trouble> {
        self.select(Select::plain(mailbox.clone(), true)).await
    }

    /// UIDs that are there from `first` on, ascending. By FETCH, one short answer a message: SEARCH's one line may be
    /// longer than anybody reads, and some servers' ESEARCH comes back empty (MailKit#1177).
    ///
    /// # Errors
    /// The connection is over, or the server said no.
    pub async fn uids_from(&mut self, first: u32) -> Result<Vec<u32>, Trouble> {
        let mut uids = Vec::new();
        let told = |(response, octets): (Response, Vec<Option<Bytes>>)| {
            if let Response::Fetch { items, .. } | Response::UidFetch { items, .. } = response
                && let Some(uid) = Fetched::of(items, octets).uid.filter(|uid| *uid >= first)
            {
                uids.push(uid);
            }
        };
        self.must("FETCH", &fetch(from(first), vec![FetchItem::Uid]), told).await?;
        uids.sort_unstable();
        uids.dedup();
        Ok(uids)
    }

    /// A message into a mailbox; its UID there if the server tells.
    ///
    /// # Errors
    /// The connection is over, or the server said no.
    pub async fn append(&mut self, append: wire::imap::append::Append, octets: &[u8]) -> Result<Option<(u32, u32)>, Trouble> {
        let name = append.mailbox.as_str().to_owned();
        self.try_append(append, octets).await?.map_err(|status| self.refused(&format!("a message for {name}"), &status))
    }

    /// The same; a refusal as the server words it.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn try_append(
        &mut self,
        append: wire::imap::append::Append,
        octets: &[u8],
    ) -> Result<Result<Option<(u32, u32)>, StatusText>, Trouble> {
        let tag = self.send(&Command::Append(append));
        let mut rest = octets;
        for _ in 0..self.answers_max {
            match self.next().await? {
                Heard::AppendReady(of) if of == tag => {
                    while !rest.is_empty() {
                        let piece = rest.get(..rest.len().min(64 * 1024)).unwrap_or(rest);
                        let taken = self.session.append_octets(piece);
                        rest = rest.get(taken..).unwrap_or_default();
                        if taken == 0 || !self.connection.flush(&mut self.session).await {
                            return Err(Trouble::Lost(format!("{} took no more of a message", self.host)));
                        }
                    }
                }
                Heard::Tagged(of, status) if of == tag => {
                    if status.kind != Kind::Ok {
                        return Ok(Err(status));
                    }
                    return Ok(Ok(match status.code {
                        Some(Code::AppendUid { uid_validity, uids }) => uids.first().map(|uid| (uid_validity, uid)),
                        _ => None,
                    }));
                }
                other => tracing::debug!(?other, "nobody waits for this"),
            }
        }
        Err(Trouble::Protocol(format!("{} answers without an end", self.host)))
    }

    /// Asks to hear of every mailbox, not only of the open one (RFC 5465), if the server can tell.
    async fn listen_to_all(&mut self) -> Result<(), Trouble> {
        if !self.has("NOTIFY") {
            return Ok(());
        }
        let messages = || vec![NotifyEvent::MessageNew(Vec::new()), NotifyEvent::MessageExpunge, NotifyEvent::FlagChange];
        let elsewhere = [messages(), vec![NotifyEvent::MailboxName]].concat();
        let groups = vec![
            EventGroup { filter: MailboxFilter::Selected, events: messages() },
            EventGroup { filter: MailboxFilter::Personal, events: elsewhere },
        ];
        let mut told = false;
        // Of other mailboxes some tell here how they are, unasked: no news.
        let hear = |(response, _): (Response, _)| told |= is_news(&response, false);
        let status = self.run(&Command::Notify(Notify::Set { status: false, groups }), hear).await?;
        self.listening = Listening { of_all: status.kind == Kind::Ok, told };
        Ok(())
    }

    /// Opens INBOX, read-only. What comes to it from now on, and with NOTIFY what happens in any mailbox, ends [`Imap::news`]:
    /// who listens before a look at the mailboxes and waits after it misses nothing between the two.
    ///
    /// # Errors
    /// The connection is over, the server said no, or has no IDLE.
    pub async fn listen(&mut self) -> Result<(), Trouble> {
        if !self.has("IDLE") {
            return Err(Trouble::Refused(format!("{} has no IDLE", self.host)));
        }
        self.examine(&MailboxName::new("INBOX")).await?;
        self.listen_to_all().await
    }

    /// Waits in IDLE (RFC 2177) until the server has told of something since [`Imap::listen`]; what it told before IDLE began
    /// counts too (lessons C19).
    ///
    /// # Errors
    /// The connection is over, or the server refuses to wait.
    pub async fn news(&mut self) -> Result<(), Trouble> {
        if self.listening.told {
            return Ok(());
        }
        let tag = self.send(&Command::Idle);
        loop {
            match self.next().await? {
                Heard::Response(response, _) if is_news(&response, self.listening.of_all) => return Ok(()),
                Heard::Tagged(of, status) if of == tag => return Err(self.refused("IDLE", &status)),
                _ => {}
            }
        }
    }

    /// The same for at most so long; for ever where no server tells of news, or it fails to: others look at the clock then.
    pub async fn news_of(listening: Option<Imap>, longest: Duration) {
        let Some(mut imap) = listening else { return std::future::pending().await };
        if let Ok(Err(error)) = tokio::time::timeout(longest, imap.news()).await {
            tracing::debug!(%error, "no news by IDLE; by the clock then");
            std::future::pending::<()>().await;
        }
    }

    /// Says goodbye.
    pub async fn logout(mut self) {
        let goodbye = async { drop(self.run(&Command::Logout, |_| {}).await) };
        let _ = tokio::time::timeout(GOODBYE_MAX, goodbye).await;
    }
}

/// Something happened in the open mailbox, or where the server tells `of_all`, in any.
fn is_news(response: &Response, of_all: bool) -> bool {
    match response {
        Response::Exists(_)
        | Response::Expunge(_)
        | Response::Vanished { .. }
        | Response::Fetch { .. }
        | Response::UidFetch { .. } => true,
        Response::Status(_) | Response::List(_) => of_all,
        _ => false,
    }
}

//! Moving house: mail from another server, from Maildirs, mboxes, trees of .eml files and MH folders into an account.
//!
//! Whoever brings mail hands over bundles; here they are put into the store, each in one commit together with the mark of
//! what it brought. Invariant: linear time, memory for a few bundles only, and a second run brings nothing that is here.
//! Must not know: where the bundles come from.

pub(crate) mod files;
mod imap;
mod mbox_files;
mod pop;

use crate::dial::Dialer;
use crate::door::{Answer, Ask, Door, Head, MarkText, odd};
use crate::limits::{BUNDLE_BYTES, BUNDLE_MESSAGES, BUNDLES_WAITING, TURNS_MAX};
use crate::mailbox_name::use_word;
use crate::place::{Place, Protocol};
use crate::progress::Progress;
use crate::trouble::Trouble;
use bytes::Bytes;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;
use wire::sasl::Secret;

pub use files::{Kind, read_single};
pub use mbox_files::{Boxed, read_box};

/// Where mail comes from.
pub enum Source {
    /// A server.
    Server {
        /// Where.
        place: Place,
        /// Login name as the server wants it.
        login: String,
        /// Whose mail it is, in the marks.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// A file or a folder.
    Files {
        /// Where.
        path: PathBuf,
        /// What it is, or what it looks like.
        kind: Option<Kind>,
    },
}

impl Source {
    /// A path, with or without `maildir:`, `mbox:` (`mboxo:`, `mboxrd:`, `mboxcl:`, `mboxcl2:`), `takeout:`, `eml:` or `mh:`
    /// in front of it.
    pub fn files(text: &str) -> Source {
        let (path, kind) = files::read_argument(text);
        Source::Files { path, kind }
    }
}

/// How.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Go on past messages that cannot be taken.
    pub skip_bad: bool,
    /// Only these mailboxes (by the other side's name or ours); empty is all.
    pub only: Vec<String>,
    /// Everything under this mailbox; for a file without folders: that mailbox itself.
    pub into: Option<String>,
    /// By POP3 only these, by their unique-ids.
    pub unique_ids: Option<BTreeSet<String>>,
}

/// A message that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bad {
    /// Mailbox and UID, UIDL, or file.
    pub what: String,
    /// Why.
    pub why: String,
}

/// What came of one mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct MailboxReport {
    pub imported: u64,
    /// Here from an earlier run.
    pub known: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Report {
    pub imported: u64,
    pub known: u64,
    pub octets: u64,
    pub mailboxes: BTreeMap<String, MailboxReport>,
    pub bad: Vec<Bad>,
    /// By POP3: the unique-ids of everything that lay there.
    #[serde(skip)]
    pub there: HashSet<String>,
}

/// A message on its way in.
pub(crate) struct Candidate {
    /// Its own mark, where single messages are marked.
    pub(crate) mark: Option<String>,
    /// Where single messages have none: its UID there.
    pub(crate) uid: u32,
    /// A second mark that gets its UID: the UIDL it had.
    pub(crate) uid_mark: Option<String>,
    pub(crate) head: Head,
    pub(crate) load: Load,
    /// For people, when it is bad.
    pub(crate) what: String,
}

/// Octets that are here, or are read when it is clear that they are wanted.
pub(crate) enum Load {
    Octets(Bytes),
    File { path: PathBuf, read: fn(&std::path::Path, &mut Head) -> std::io::Result<Bytes> },
}

/// Messages for one mailbox, and the mark that all of them are here.
pub(crate) struct Bundle {
    pub(crate) mailbox: u32,
    pub(crate) name: Arc<str>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) mark: Option<MarkText>,
    /// Take only what is not among the known hashes.
    pub(crate) by_hash: bool,
}

impl Bundle {
    pub(crate) fn new(mailbox: u32, name: &Arc<str>) -> Bundle {
        Bundle { mailbox, name: Arc::clone(name), candidates: Vec::new(), mark: None, by_hash: false }
    }
    pub(crate) fn is_full(&self) -> bool {
        let octets: u64 = self.candidates.iter().map(|candidate| candidate.head.octets).sum();
        self.candidates.len() >= BUNDLE_MESSAGES || octets >= BUNDLE_BYTES as u64
    }
}

/// What travels from whoever brings to whoever puts.
pub(crate) enum Brought {
    Bundle(Bundle),
    /// Known from an earlier run.
    Known(Arc<str>, u64),
    Bad(Bad),
    /// By POP3: what lies there.
    There(HashSet<String>),
    /// From here on hashes of these mailboxes are wanted.
    Hashes(Vec<u32>),
}

/// Where bundles go.
pub(crate) type Outlet = mpsc::Sender<Brought>;

fn moved() -> Trouble {
    Trouble::Moved("another import brings the same mail at this moment; let one of them end".into())
}

pub(crate) fn gone() -> Trouble {
    Trouble::Here("the import has ended".into())
}

/// Brings everything that is not here yet.
///
/// # Errors
/// Why it stopped; what was brought until then stays and is not brought again.
pub async fn run<D: Door>(
    door: &mut D,
    dialer: &Dialer,
    source: &Source,
    options: &Options,
    progress: &Progress,
) -> Result<Report, Trouble> {
    let mut import = Import { door, options, progress, report: Report::default(), hashes: HashSet::new(), far: BTreeMap::new() };
    let mut turns = 0;
    loop {
        match import.turn(dialer, source).await {
            // An earlier run that was killed may have left its last act behind: look again what is here.
            Err(Trouble::Moved(_)) if turns < TURNS_MAX => turns += 1,
            outcome => return outcome.map(|()| import.report),
        }
    }
}

/// Both to their end; the putting side's trouble counts first, for it made the other stop.
async fn both(
    bringing: impl Future<Output = Result<(), Trouble>>,
    taking: impl Future<Output = Result<(), Trouble>>,
) -> Result<(), Trouble> {
    let (brought, taken) = tokio::join!(bringing, taking);
    taken?;
    brought
}

/// The mailbox for a name, under `into`.
pub(crate) fn placed(name: &str, options: &Options) -> String {
    match &options.into {
        None => name.to_owned(),
        Some(into) if name.is_empty() => into.clone(),
        Some(into) => format!("{into}/{name}"),
    }
}

/// Makes a mailbox if it is not there; its id and the name it has.
pub(crate) async fn make<D: Door>(
    door: &mut D,
    name: &str,
    special_use: Option<store::SpecialUse>,
) -> Result<(u32, String), Trouble> {
    let special_use = special_use.map(|special_use| use_word(special_use).to_owned());
    let ask = Ask::Mailbox { name: name.to_owned(), special_use, subscribe: true };
    match door.ask(ask, Vec::new()).await? {
        (Answer::Mailbox { id, name }, _) => Ok((id, name)),
        _ => Err(odd()),
    }
}

/// All marks under a prefix.
pub(crate) async fn marks<D: Door>(door: &mut D, prefix: &str) -> Result<BTreeMap<String, Vec<u8>>, Trouble> {
    let mut all = BTreeMap::new();
    let mut after = None;
    loop {
        let ask = Ask::Marks { prefix: prefix.to_owned(), after: after.clone() };
        let (Answer::Marks { list, more }, _) = door.ask(ask, Vec::new()).await? else { return Err(odd()) };
        after = list.last().map(|(name, _)| name.clone());
        for (name, value) in list {
            all.insert(name, data_encoding::HEXLOWER.decode(value.as_bytes()).map_err(|_| odd())?);
        }
        if !more {
            return Ok(all);
        }
    }
}

struct Import<'a, D> {
    door: &'a mut D,
    options: &'a Options,
    progress: &'a Progress,
    report: Report,
    hashes: HashSet<String>,
    /// Marks of how far a mailbox was brought, as they are: whoever writes one says what it was.
    far: BTreeMap<String, String>,
}

impl<D: Door> Import<'_, D> {
    async fn turn(&mut self, dialer: &Dialer, source: &Source) -> Result<(), Trouble> {
        let (options, progress) = (self.options, self.progress);
        let (outlet, inlet) = mpsc::channel(BUNDLES_WAITING);
        match source {
            Source::Server { place, login, user, password } => {
                let who = imap::Who { dialer, place, login, user, password };
                match place.protocol {
                    Protocol::Imap => {
                        let plan = imap::plan(&mut *self.door, &who, options).await?;
                        self.far = plan.far();
                        both(imap::bring(&who, plan, options, outlet, progress), self.take(inlet)).await
                    }
                    Protocol::Pop3 => {
                        let plan = pop::plan(&mut *self.door, &who, options).await?;
                        both(pop::bring(&who, plan, options, outlet, progress), self.take(inlet)).await
                    }
                    Protocol::Smtp => Err(Trouble::Here("mail comes by IMAP or POP3, not by SMTP".into())),
                }
            }
            Source::Files { path, kind } => {
                let folders = files::plan(path, *kind, options)?;
                let folders = self.make_folders(folders).await?;
                progress.enter(&format!("{} folders", folders.len()));
                let bringing = tokio::task::spawn_blocking(move || files::bring(&folders, &outlet));
                let bringing = async { bringing.await.map_err(|error| Trouble::Here(error.to_string()))? };
                both(bringing, self.take(inlet)).await
            }
        }
    }

    /// The mark with what it is to replace.
    fn expecting(&self, mark: &MarkText) -> MarkText {
        MarkText { expects: Some(self.far.get(&mark.name).cloned().unwrap_or_default()), ..mark.clone() }
    }

    fn is_far(&mut self, mark: Option<&MarkText>) {
        if let Some(MarkText { name, value: Some(value), .. }) = mark {
            self.far.insert(name.clone(), value.clone());
        }
    }

    /// A mark alone.
    async fn mark(&mut self, mark: Option<&MarkText>) -> Result<(), Trouble> {
        let Some(mark) = mark else { return Ok(()) };
        match self.door.ask(Ask::Mark { marks: vec![self.expecting(mark)] }, Vec::new()).await? {
            (Answer::Done { .. }, _) => self.is_far(Some(mark)),
            (Answer::Moved, _) => return Err(moved()),
            _ => return Err(odd()),
        }
        Ok(())
    }

    async fn make_folders(&mut self, folders: Vec<files::Folder>) -> Result<Vec<files::Folder>, Trouble> {
        let mut made = Vec::new();
        for mut folder in folders {
            let name = folder.mailbox.clone();
            (folder.id, folder.mailbox) = make(&mut *self.door, &name, crate::mailbox_name::usual_use(&name)).await?;
            for (name, id, special_use) in &mut folder.others {
                (*id, *name) = make(&mut *self.door, &name.clone(), *special_use).await?;
            }
            made.push(folder);
        }
        Ok(made)
    }

    /// Puts what comes until nothing more comes.
    async fn take(&mut self, mut inlet: mpsc::Receiver<Brought>) -> Result<(), Trouble> {
        while let Some(brought) = inlet.recv().await {
            match brought {
                Brought::Bundle(bundle) => self.put(bundle).await?,
                Brought::Known(name, count) => self.known(&name, count),
                Brought::Bad(bad) => self.bad(bad)?,
                Brought::There(ids) => self.report.there = ids,
                Brought::Hashes(mailboxes) => {
                    for mailbox in mailboxes {
                        self.learn_hashes(mailbox).await?;
                    }
                }
            }
        }
        Ok(())
    }

    fn of(&mut self, name: &str) -> &mut MailboxReport {
        self.report.mailboxes.entry(name.to_owned()).or_default()
    }

    fn known(&mut self, name: &str, count: u64) {
        self.report.known += count;
        self.of(name).known += count;
    }

    fn bad(&mut self, bad: Bad) -> Result<(), Trouble> {
        tracing::info!(what = %bad.what, why = %bad.why, "a message was not taken");
        if !self.options.skip_bad {
            return Err(Trouble::Here(format!("{}: {} (--skip-bad goes on without it)", bad.what, bad.why)));
        }
        self.progress.advance(1, 0);
        self.report.bad.push(bad);
        Ok(())
    }

    async fn learn_hashes(&mut self, mailbox: u32) -> Result<(), Trouble> {
        let mut after = 0;
        loop {
            let asked = self.door.ask(Ask::Hashes { mailbox, after }, Vec::new()).await?;
            let (Answer::Hashes { list, last, more }, _) = asked else { return Err(odd()) };
            self.hashes.extend(list);
            after = last;
            if !more {
                return Ok(());
            }
        }
    }

    /// Those whose own mark is not there yet.
    async fn unknown(&mut self, candidates: Vec<Candidate>) -> Result<Vec<Candidate>, Trouble> {
        let names: Vec<String> = candidates.iter().filter_map(|candidate| candidate.mark.clone()).collect();
        if names.is_empty() {
            return Ok(candidates);
        }
        let (Answer::Known { known }, _) = self.door.ask(Ask::Known { names }, Vec::new()).await? else { return Err(odd()) };
        let mut known = known.into_iter();
        // The same message twice in one bundle has one mark.
        let mut seen = HashSet::new();
        let is_new = |candidate: &Candidate| match &candidate.mark {
            Some(mark) => known.next() == Some(false) && seen.insert(mark.clone()),
            None => true,
        };
        Ok(candidates.into_iter().filter(is_new).collect())
    }

    async fn put(&mut self, bundle: Bundle) -> Result<(), Trouble> {
        self.progress.enter(&bundle.name);
        let Bundle { mailbox, name, candidates, mark, by_hash } = bundle;
        let all = candidates.len() as u64;
        let wanted = self.unknown(candidates).await?;
        let (mut loaded, bad) = load(wanted).await?;
        let was_bad = bad.len() as u64;
        for bad in bad {
            self.bad(bad)?;
        }
        if by_hash {
            loaded.retain(|(_, octets)| !self.hashes.contains(&crate::door::hash_of(octets)));
        }
        let known = all - loaded.len() as u64 - was_bad;
        self.known(&name, known);
        self.progress.advance(known, 0);
        if loaded.is_empty() {
            return self.mark(mark.as_ref()).await;
        }
        let Err(why) = self.put_some(mailbox, &name, &loaded, mark.as_ref()).await? else { return Ok(()) };
        if let [(candidate, _)] = loaded.as_slice() {
            self.bad(Bad { what: candidate.what.clone(), why })?;
            return self.mark(mark.as_ref()).await;
        }
        // One of them cannot be taken: each by itself, in their order, and each tells how far it is.
        for (candidate, octets) in loaded {
            let own = mark.as_ref().filter(|_| candidate.uid > 0);
            let own = own.map(|mark| MarkText::set(mark.name.clone(), &candidate.uid.to_be_bytes()));
            let one = [(candidate, octets)];
            if let (Err(why), [(candidate, _)]) = (self.put_some(mailbox, &name, &one, own.as_ref()).await?, &one) {
                self.bad(Bad { what: candidate.what.clone(), why })?;
            }
        }
        self.mark(mark.as_ref()).await
    }

    /// One commit; why not, if the store does not take one of these.
    async fn put_some(
        &mut self,
        mailbox: u32,
        name: &str,
        loaded: &[(Candidate, Bytes)],
        far: Option<&MarkText>,
    ) -> Result<Result<(), String>, Trouble> {
        let mut marks: Vec<MarkText> = far.map(|mark| self.expecting(mark)).into_iter().collect();
        for (index, (candidate, _)) in loaded.iter().enumerate() {
            let own = |mark: &String| MarkText { expects: Some(String::new()), ..MarkText::of(mark.clone(), index) };
            marks.extend(candidate.mark.as_ref().map(own));
            marks.extend(candidate.uid_mark.as_ref().map(|mark| MarkText::of(mark.clone(), index)));
        }
        let messages = loaded.iter().map(|(candidate, _)| candidate.head.clone()).collect();
        let octets: Vec<Bytes> = loaded.iter().map(|(_, octets)| octets.clone()).collect();
        match self.door.ask(Ask::Put { mailbox, messages, marks }, octets).await? {
            (Answer::Done { .. }, _) => self.is_far(far),
            (Answer::Moved, _) => return Err(moved()),
            (Answer::Invalid { why }, _) => return Ok(Err(why)),
            _ => return Err(odd()),
        }
        let count = loaded.len() as u64;
        let octets = loaded.iter().map(|(_, octets)| octets.len() as u64).sum();
        self.report.imported += count;
        self.report.octets += octets;
        self.of(name).imported += count;
        self.progress.advance(count, octets);
        Ok(Ok(()))
    }
}

/// Octets of all, where reading files holds nobody up.
async fn load(candidates: Vec<Candidate>) -> Result<(Vec<(Candidate, Bytes)>, Vec<Bad>), Trouble> {
    let work = move || {
        let mut loaded = Vec::with_capacity(candidates.len());
        let mut bad = Vec::new();
        for mut candidate in candidates {
            let octets = match &candidate.load {
                Load::Octets(octets) => Ok(octets.clone()),
                Load::File { path, read } => read(path, &mut candidate.head),
            };
            match octets {
                Ok(octets) => {
                    candidate.head.octets = octets.len() as u64;
                    loaded.push((candidate, octets));
                }
                Err(error) => bad.push(Bad { what: candidate.what, why: error.to_string() }),
            }
        }
        (loaded, bad)
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| Trouble::Here(error.to_string()))
}

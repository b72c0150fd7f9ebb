//! Effects carried out on the store, by the same acts as the commands; what takes long goes on beside the screen.
//!
//! Invariant: of a list only rows (already in the store's memory) are read; facts only of lines in sight. Must not know: the
//! terminal.

use super::model::{Draft, Effect, File, Folder, Head, Id, Input, Line, Reading, Undo};
use super::{prompt, threads};
use crate::cli::SendArgs;
use crate::commands::mime::extract;
use crate::commands::printable;
use crate::mail::acts::{self, Deleted};
use crate::mail::{Desk, compose};
use message::attachment;
use message::header;
use message::threading::Algorithm;
use net::clock::unix_now;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store::{EmailId, FlagOp, Flags, MailboxId, MessageRow, QueueId, Snapshot, StoreError, Uid};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{AbortHandle, JoinHandle};

/// A list is shown by date when its conversations take longer than this.
const THREADS_PATIENCE: Duration = Duration::from_millis(150);
/// Somebody who types is not asked about every letter.
const TYPING: Duration = Duration::from_millis(60);
/// A message that is sent can be taken back for so long.
pub(super) const SEND_DELAY_SECS: u32 = 5;

/// The hands.
pub(super) struct Work {
    desk: Desk,
    inputs: UnboundedSender<Input>,
    urged: Arc<Notify>,
    searching: Option<AbortHandle>,
    listing: Option<AbortHandle>,
    under_way: Arc<AtomicUsize>,
}

fn told(error: StoreError) -> String {
    error.to_string()
}

fn line_of(mailbox: MailboxId, row: &MessageRow) -> Line {
    let id = Id { mailbox, uid: row.uid, there: false };
    Line { id, email: row.email, flags: row.flags.system, date_secs: row.internal_date_secs, depth: 0 }
}

/// As commands name it.
fn number(id: Id) -> String {
    if id.there { format!("s{}", id.uid.0) } else { id.uid.0.to_string() }
}

async fn name_of(desk: &Desk, mailbox: MailboxId) -> Result<String, String> {
    let there = desk.store.mailboxes(desk.account).await.map_err(told)?;
    let found = there.iter().find(|one| one.id == mailbox).map(|one| one.name.to_string());
    found.ok_or_else(|| "the mailbox is gone".into())
}

/// Counts itself while it is there.
struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Work {
    pub(super) fn new(desk: Desk, inputs: UnboundedSender<Input>, urged: Arc<Notify>) -> Work {
        Work { desk, inputs, urged, searching: None, listing: None, under_way: Arc::default() }
    }

    /// Something is expected soon.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0
    }

    fn beside(&self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let busy = Busy(Arc::clone(&self.under_way));
        let task = async move {
            let _busy = busy;
            work.await;
        };
        tokio::spawn(task).abort_handle()
    }

    /// What comes of it at once; the rest comes through `inputs`.
    pub(super) async fn carry(&mut self, effect: Effect) -> Vec<Input> {
        if let Some(id) = only_there(&effect) {
            return self.fetch(id, matches!(effect, Effect::Open(_)));
        }
        let outcome = match effect {
            Effect::List { mailbox, threads } => return self.list(mailbox, threads),
            Effect::Search { number, words } => return self.search(number, words),
            Effect::StopSearch => {
                self.searching.take().inspect(AbortHandle::abort);
                Ok(Vec::new())
            }
            Effect::Heads(lines) => self.heads(lines).await.map(|heads| vec![Input::Heads(heads)]),
            Effect::Open(id) => open(&self.desk, id).await.map(|reading| vec![Input::Text(Box::new(reading))]),
            Effect::Flag { id, flag, set } => self.flag(id, flag, set).await.map(|input| vec![input]),
            Effect::Delete(id) => self.delete(id).await.map(|input| vec![input]),
            Effect::Transfer { id, to, moves } => self.transfer(id, &to, moves).await.map(|input| vec![input]),
            Effect::Undo(undo) => self.undo(undo).await.map(|said| vec![Input::Done { said, undo: None }]),
            Effect::Answer { id, all } => self.answer(id, all).await.map(|input| vec![input]),
            Effect::Onward(id) => self.onward(id).await.map(|input| vec![input]),
            Effect::Send(draft) => self.send(&draft).await.map(|input| vec![input]),
            Effect::Save { id, which, folder } => {
                self.save(id, which, &folder).await.map(|said| vec![Input::Done { said, undo: None }])
            }
            Effect::Sync => {
                self.urged.notify_one();
                Ok(Vec::new())
            }
            // The screen's own.
            Effect::Edit(_) | Effect::Redraw | Effect::Account | Effect::Quit => Ok(Vec::new()),
        };
        outcome.unwrap_or_else(|why| vec![Input::Failed(why)])
    }

    /// Mailboxes with their counts.
    pub(super) async fn folders(&self) -> Result<Vec<Folder>, String> {
        let (store, account) = (&self.desk.store, self.desk.account);
        let mut folders = Vec::new();
        for mailbox in store.mailboxes(account).await.map_err(told)?.iter() {
            match store.status(account, mailbox.id).await {
                Ok(status) => folders.push(Folder {
                    id: mailbox.id,
                    name: mailbox.name.to_string(),
                    messages: status.messages,
                    unread: status.unseen,
                }),
                // Removed meanwhile.
                Err(StoreError::NotFound) => {}
                Err(error) => return Err(told(error)),
            }
        }
        Ok(folders)
    }

    fn list(&mut self, mailbox: MailboxId, threads: bool) -> Vec<Input> {
        self.listing.take().inspect(AbortHandle::abort);
        let (desk, inputs) = (self.desk.clone(), self.inputs.clone());
        self.listing = Some(self.beside(async move {
            if let Err(why) = list(&desk, mailbox, threads, &inputs).await {
                let _ = inputs.send(Input::Failed(why));
            }
        }));
        Vec::new()
    }

    fn search(&mut self, number: u64, words: String) -> Vec<Input> {
        self.searching.take().inspect(AbortHandle::abort);
        let (desk, inputs) = (self.desk.clone(), self.inputs.clone());
        self.searching = Some(self.beside(async move {
            tokio::time::sleep(TYPING).await;
            let phrases = search::phrases(&words);
            let found = acts::find(&desk.searcher, desk.account, &phrases).await;
            let _ = inputs.send(match found {
                Ok((hits, more)) => {
                    let lines = hits.iter().map(|hit| line_of(hit.mailbox, &hit.row)).collect();
                    Input::Hits { number, lines, more }
                }
                Err(why) => Input::Failed(why),
            });
        }));
        Vec::new()
    }

    /// What has to come from the server is waited for beside the screen.
    fn fetch(&self, id: Id, opens: bool) -> Vec<Input> {
        if !opens {
            return vec![Input::Failed("it is only on the server; Enter brings it".into())];
        }
        let (desk, inputs) = (self.desk.clone(), self.inputs.clone());
        self.beside(async move {
            let _ = inputs.send(match open(&desk, id).await {
                Ok(reading) => Input::Text(Box::new(reading)),
                Err(why) => Input::Failed(why),
            });
        });
        vec![Input::Done { said: "fetching it from the server ...".into(), undo: None }]
    }

    async fn heads(&self, lines: Vec<(Id, EmailId)>) -> Result<Vec<(Id, Head)>, String> {
        let (store, account) = (&self.desk.store, self.desk.account);
        let (there, here): (Vec<_>, Vec<_>) = lines.into_iter().partition(|(id, _)| id.there);
        let emails: Vec<EmailId> = here.iter().map(|(_, email)| *email).collect();
        let facts = store.facts(account, &emails).await.map_err(told)?;
        let head = |facts: Option<Arc<message::Facts>>| match facts {
            Some(facts) => Head { from: facts.from.clone(), subject: facts.subject.clone(), attachments: facts.has_attachment },
            None => Head::default(),
        };
        let mut heads: Vec<(Id, Head)> = here.iter().zip(facts).map(|((id, _), facts)| (*id, head(facts))).collect();
        for (id, _) in there {
            let left = client::sync::left_one(store, account, id.mailbox, id.uid.0).await.map_err(told)?.unwrap_or_default();
            heads.push((id, Head { from: left.from, subject: left.subject, attachments: false }));
        }
        Ok(heads)
    }

    async fn flag(&self, id: Id, flag: u8, set: bool) -> Result<Input, String> {
        let op = if set { FlagOp::Add } else { FlagOp::Remove };
        let flags = Flags { system: flag, keywords: None };
        self.desk.store.flags(self.desk.account, id.mailbox, &[id.uid], op, &flags, None).await.map_err(told)?;
        Ok(Input::Done { said: String::new(), undo: Some(Undo::Flag { id, flag, set: !set }) })
    }

    async fn delete(&self, id: Id) -> Result<Input, String> {
        let (said, undo) = match acts::discard(&self.desk, id.mailbox, &[id.uid]).await? {
            Deleted::InTrash(at, uids) => ("in Trash; u takes it back", Undo::MoveBack { at, uids, to: id.mailbox }),
            Deleted::Removed(emails) => ("deleted; u brings it back", Undo::Restore(emails)),
        };
        Ok(Input::Done { said: said.into(), undo: Some(undo) })
    }

    async fn transfer(&self, id: Id, to: &str, moves: bool) -> Result<Input, String> {
        let (at, uids) = acts::carry(&self.desk, id.mailbox, &[id.uid], to, moves).await?;
        Ok(if moves {
            Input::Done { said: format!("moved to {to}"), undo: Some(Undo::MoveBack { at, uids, to: id.mailbox }) }
        } else {
            Input::Done { said: format!("copied to {to}"), undo: Some(Undo::Remove { at, uids }) }
        })
    }

    async fn undo(&self, undo: Undo) -> Result<String, String> {
        let (store, account) = (&self.desk.store, self.desk.account);
        match undo {
            Undo::MoveBack { at, uids, to } => {
                store.move_(account, at, &uids, to, unix_now()).await.map_err(told)?;
                Ok("back where it was".into())
            }
            Undo::Restore(emails) => {
                store.undo_restore(account, &emails, unix_now()).await.map_err(told)?;
                Ok("brought back".into())
            }
            Undo::Remove { at, uids } => {
                store.expunge(account, at, &uids, unix_now()).await.map_err(told)?;
                Ok("the copy is gone".into())
            }
            Undo::Flag { id, flag, set } => {
                self.flag(id, flag, set).await?;
                Ok("as it was".into())
            }
            Undo::TakeBack(id) => {
                let back = client::outbox::take_back(store, account, id).await.map_err(|error| error.to_string())?;
                if back { Ok("not sent".into()) } else { Err("it is sent already".into()) }
            }
        }
    }

    async fn answer(&self, id: Id, all: bool) -> Result<Input, String> {
        let name = name_of(&self.desk, id.mailbox).await?;
        let about = compose::answer(&self.desk, (&name, &number(id)), all).await?;
        Ok(Input::Begun { draft: Box::new(self.draft(about)), asks: false })
    }

    async fn onward(&self, id: Id) -> Result<Input, String> {
        let name = name_of(&self.desk, id.mailbox).await?;
        let about = compose::onward(&self.desk, (&name, &number(id))).await?;
        Ok(Input::Begun { draft: Box::new(self.draft(about)), asks: true })
    }

    /// What an answer begins with; what the user may change is taken out of `about`.
    fn draft(&self, mut about: compose::About) -> Draft {
        let context = &mut about.context;
        let from = context.as_whom.take().map_or_else(|| self.desk.profile.address.clone(), |identity| identity.address);
        Draft {
            from,
            to: std::mem::take(&mut context.to).join(", "),
            cc: std::mem::take(&mut context.cc).join(", "),
            bcc: String::new(),
            subject: std::mem::take(&mut context.subject),
            text: std::mem::take(&mut context.quoted),
            attach: Vec::new(),
            about,
        }
    }

    /// Into the outbox; it goes when the time for taking it back is over.
    async fn send(&self, draft: &Draft) -> Result<Input, String> {
        let arguments = SendArgs {
            from: Some(draft.from.clone()),
            to: prompt::people(&draft.to),
            cc: prompt::people(&draft.cc),
            bcc: prompt::people(&draft.bcc),
            subject: Some(draft.subject.clone()),
            text: Some(draft.text.clone()),
            text_file: None,
            html: None,
            attach: draft.attach.clone(),
            at: None,
            delay: SEND_DELAY_SECS,
            notify: false,
            receipt: false,
            offline: true,
        };
        let value = compose::send_about(&self.desk, &arguments, draft.about.clone()).await?;
        let id = value.get("id").and_then(serde_json::Value::as_u64).unwrap_or_default();
        let said = format!("goes in {SEND_DELAY_SECS} s; u takes it back");
        Ok(Input::Sent { said, undo: Undo::TakeBack(QueueId(id)) })
    }

    async fn save(&self, id: Id, which: Option<usize>, folder: &Path) -> Result<String, String> {
        let name = name_of(&self.desk, id.mailbox).await?;
        let (_, _, octets) = acts::message(&self.desk, &name, &number(id)).await?;
        let written = extract::chosen(&message::parse(&octets), folder, |at| which.is_none_or(|wanted| wanted == at))?;
        let names: Vec<&str> = written.iter().map(extract::Extracted::file).collect();
        Ok(format!("saved {} in {}", names.join(", "), folder.display()))
    }
}

/// The message of an effect that needs its octets, if they are not here.
fn only_there(effect: &Effect) -> Option<Id> {
    let id = match effect {
        Effect::Open(id) | Effect::Delete(id) | Effect::Onward(id) => id,
        Effect::Flag { id, .. } | Effect::Transfer { id, .. } | Effect::Answer { id, .. } => id,
        _ => return None,
    };
    id.there.then_some(*id)
}

/// The message, which is brought from the server when it is only there.
async fn open(desk: &Desk, id: Id) -> Result<Reading, String> {
    let name = name_of(desk, id.mailbox).await?;
    let (mailbox, row, octets) = acts::message(desk, &name, &number(id)).await?;
    let parsed = message::parse(&octets);
    let field = |name: &&str| {
        let text = header::first(&octets, name).map(|field| field.text().into_owned())?;
        Some(((*name).to_owned(), text))
    };
    let file =
        |file: attachment::Attachment| File { name: file.name.unwrap_or_default(), kind: file.media_type, size_bytes: file.size };
    let reading = Reading {
        id: Id { uid: row.uid, there: false, ..id },
        fields: ["Date", "From", "To", "Cc", "Subject"].iter().filter_map(field).collect(),
        header: printable(&String::from_utf8_lossy(octets.get(..header::header_end(&octets)).unwrap_or_default())),
        text: printable(&acts::text_of(&parsed)),
        files: attachment::list(&parsed).into_iter().map(file).collect(),
        whole_header: false,
        lines: Vec::new(),
        width: 0,
        top: 0,
    };
    if row.flags.system & Flags::SEEN == 0 {
        let seen = Flags { system: Flags::SEEN, keywords: None };
        desk.store.flags(desk.account, mailbox, &[row.uid], FlagOp::Add, &seen, None).await.map_err(told)?;
    }
    Ok(reading)
}

/// Lines by conversation; by date first, when conversations take longer.
async fn list(desk: &Desk, mailbox: MailboxId, by_thread: bool, inputs: &UnboundedSender<Input>) -> Result<(), String> {
    let snapshot = match desk.store.snapshot(desk.account, mailbox).await {
        // Removed meanwhile; the mailboxes are told anew, too.
        Err(StoreError::NotFound) => return Ok(()),
        other => other.map_err(told)?,
    };
    let mut lines: Vec<Line> = snapshot.rows.iter().map(|row| line_of(mailbox, &row)).collect();
    for (uid, left) in client::sync::left_of(&desk.store, desk.account, mailbox).await.map_err(told)? {
        let id = Id { mailbox, uid: Uid(uid), there: true };
        lines.push(Line { id, email: EmailId(0), flags: left.flags().system, date_secs: left.date_secs, depth: 0 });
    }
    let show = |lines, order| drop(inputs.send(Input::List { mailbox, lines, order }));
    if !by_thread {
        let order = by_date(&lines);
        show(lines, Some(order));
        return Ok(());
    }
    let mut threading = threading(desk.clone(), mailbox, snapshot, lines.iter().map(|line| line.date_secs).collect());
    if let Ok(order) = tokio::time::timeout(THREADS_PATIENCE, &mut threading).await {
        show(lines, Some(order.map_err(|error| error.to_string())??));
        return Ok(());
    }
    show(lines.clone(), None);
    let order = threading.await.map_err(|error| error.to_string())??;
    show(lines, Some(order));
    Ok(())
}

fn by_date(lines: &[Line]) -> Vec<(u32, u8)> {
    let dated = |(at, line): (usize, &Line)| (line.date_secs, u32::try_from(at).unwrap_or(u32::MAX));
    let mut places: Vec<(i64, u32)> = lines.iter().enumerate().map(dated).collect();
    places.sort_unstable();
    places.into_iter().map(|(_, place)| (place, 0)).collect()
}

/// What the search index has is taken from there, the rest from the facts; kept in memory for the next time.
fn threading(desk: Desk, mailbox: MailboxId, snapshot: Snapshot, dates: Vec<i64>) -> JoinHandle<Result<Vec<(u32, u8)>, String>> {
    tokio::spawn(async move {
        let rows = snapshot.rows;
        let all: Vec<usize> = (0..rows.len()).collect();
        let mut keys = desk.searcher.keys(desk.account, mailbox, &rows, &all).await.map_err(told)?;
        let forest = keys.forest(&rows, &all, Algorithm::Refs);
        drop(keys);
        Ok(threads::order(&forest, |at| dates.get(at).copied().unwrap_or(0), rows.len()..dates.len()))
    })
}

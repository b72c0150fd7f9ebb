//! A mailbox as a file, and an mbox or a ZIP archive of messages and mboxes into a mailbox, as they stream: `/api/export` and
//! `/api/import`.
//!
//! Invariant: memory holds a few messages, however many there are; what breaks off is seen to have broken off; what was taken in
//! stays, and a second time it is known. Must not know: how an mbox is written (see [`Boxes`]).

pub(crate) mod archive;

use crate::jmap::sharing::{Eyes, masked};
use crate::jmap::{own_seen, still_good};
use crate::limits::STOPPED_BYTES_MAX;
use crate::site::{self, Shared, SignedIn, Visit, discard, problem, unavailable};
use crate::{Boxed, Boxes};
use axum::body::{Body, HttpBody};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::Frame;
use message::facts::Facts;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use store::{Flags, MailboxId, Mark, MessageRow, NewEmail, Rows, Spooled, StoreError, Uid};
use tokio::sync::mpsc;
use tokio::time::Instant;
use wire::imap::acl::Right;

/// Messages between two looks at whether the sign-in is still one.
const LOOKED_AFTER: usize = 200;
/// Octets of a message that are worth a thread of their own.
const ASIDE_BYTES: usize = 256 * 1024;
/// Messages that are taken in with one commit, and octets.
const TOGETHER: usize = 100;
const TOGETHER_BYTES: usize = 4 * 1024 * 1024;
/// Messages that were not taken, of which it is told.
const BAD_MAX: usize = 20;
/// Octets of a file name in a ZIP archive that come from the subject.
const NAME_BYTES_MAX: usize = 80;

type Piece = Result<Bytes, io::Error>;

/// A body that breaks off where its pieces do, so that nobody takes what came for all there is.
struct Entries(mpsc::Receiver<Piece>);

impl HttpBody for Entries {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Mbox,
    Zip,
}

/// `GET /api/export/{accountId}/{mailboxId}?as=mbox|zip`
pub(crate) async fn export(
    State(site): State<Shared>,
    Path((account, mailbox)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    Visit { signed_in, .. }: Visit,
) -> Response {
    let missing = || problem(StatusCode::NOT_FOUND, "There is no such mailbox.");
    let (form, kind) = match query.get("as").map_or("mbox", String::as_str) {
        "mbox" => (Form::Mbox, "application/mbox"),
        "zip" => (Form::Zip, "application/zip"),
        _ => return problem(StatusCode::BAD_REQUEST, "It is given as mbox or as zip."),
    };
    let Some(eyes) = site.eyes_on(&signed_in.account, &account).await else { return missing() };
    let mailbox = store::object_id::mailbox(eyes.account, &mailbox);
    let Some(mailbox) = mailbox.filter(|id| eyes.may_read(&site.store, *id)) else { return missing() };
    let Some(place) = site.jmap.stream_place(signed_in.account.id) else {
        return problem(StatusCode::TOO_MANY_REQUESTS, "Too many streams are open.");
    };
    let snapshot = match site.store.snapshot(eyes.account, mailbox).await {
        Ok(snapshot) => snapshot,
        Err(StoreError::NotFound) => return missing(),
        Err(_) => return unavailable(),
    };
    let leaf = snapshot.mailbox.name.rsplit('/').next().unwrap_or_default();
    let name = format!("{leaf}.{}", if form == Form::Mbox { "mbox" } else { "zip" });
    let (to, from) = mpsc::channel(4);
    tokio::spawn(async move {
        let _place = place;
        let giving = Giving { site, signed_in, eyes, mailbox };
        let done = match form {
            Form::Mbox => giving.mbox(&snapshot.rows, &to).await,
            Form::Zip => giving.zip(&snapshot.rows, &to).await,
        };
        if let Err(error) = done {
            let _ = to.send(Err(error)).await;
        }
    });
    let mut response = Response::new(Body::new(Entries(from)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{}", crate::jmap::percent(&name))) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    response
}

/// A mailbox on its way out.
struct Giving {
    site: Shared,
    signed_in: SignedIn,
    eyes: Eyes,
    mailbox: MailboxId,
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "nobody reads it any more")
}

impl Giving {
    /// The octets of a message; `None`: it is gone meanwhile. Fails where who asked may not read on.
    async fn octets(&self, at: usize, row: &MessageRow) -> io::Result<Option<Bytes>> {
        let store = &self.site.store;
        if at.is_multiple_of(LOOKED_AFTER)
            && !(self.eyes.may_read(store, self.mailbox) && still_good(&self.site, &self.signed_in).await)
        {
            return Err(gone());
        }
        match store.body(self.eyes.account, row.email, 0, u64::from(u32::MAX)).await {
            Ok(octets) => Ok(Some(octets)),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => {
                tracing::error!(?error, "a mailbox was not given as a whole");
                Err(io::Error::other("a message cannot be read"))
            }
        }
    }

    async fn mbox(&self, rows: &Rows, to: &mpsc::Sender<Piece>) -> io::Result<()> {
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.flags.system & Flags::DELETED == 0) {
            let Some(octets) = self.octets(at, &row).await? else { continue };
            let (boxes, is_large) = (Arc::clone(&self.site.boxes), octets.len() > ASIDE_BYTES);
            let write = move || boxes.write(&row.flags, row.internal_date_secs, &octets);
            let entry = match is_large {
                true => tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?,
                false => write(),
            };
            to.send(Ok(entry.into())).await.map_err(|_| gone())?;
        }
        Ok(())
    }

    async fn zip(&self, rows: &Rows, to: &mpsc::Sender<Piece>) -> io::Result<()> {
        // `None`: that was all. Who says nothing more has broken off, and no archive may look whole then.
        let (messages, mut taken) = mpsc::channel::<Option<(String, i64, Bytes)>>(1);
        let pipe = Pipe { to: to.clone(), held: Vec::new() };
        let packing = tokio::task::spawn_blocking(move || {
            let mut archive = zip::ZipWriter::new_stream(pipe);
            while let Some((name, date_secs, octets)) = taken.blocking_recv().ok_or_else(gone)? {
                let options = zip::write::SimpleFileOptions::default().last_modified_time(time_of(date_secs));
                archive.start_file(name, options)?;
                archive.write_all(&octets)?;
            }
            archive.finish()?.into_inner().flush()?;
            Ok::<(), zip::result::ZipError>(())
        });
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.flags.system & Flags::DELETED == 0) {
            let Some(octets) = self.octets(at, &row).await? else { continue };
            let name = format!("{:06} {}.eml", row.uid.0, subject(&octets));
            messages.send(Some((name, row.internal_date_secs, octets))).await.map_err(|_| gone())?;
        }
        messages.send(None).await.map_err(|_| gone())?;
        packing.await.map_err(io::Error::other)?.map_err(io::Error::other)
    }
}

/// Of a message's subject what every file system takes.
fn subject(octets: &[u8]) -> String {
    let subject = message::header::first(octets, "Subject").map(|field| field.text().into_owned()).unwrap_or_default();
    let plain = |c: char| if c.is_alphanumeric() || " .,()+-_".contains(c) { c } else { '_' };
    let mut name: String = subject.trim().chars().map(plain).collect();
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    let name = name.trim_matches([' ', '.']);
    if name.is_empty() { "message".into() } else { name.to_owned() }
}

/// A ZIP archive knows no time before 1980.
fn time_of(secs: i64) -> zip::DateTime {
    let at = message::date::DateTime::from_unix(secs, 0);
    let year = u16::try_from(at.year).unwrap_or(0);
    zip::DateTime::from_date_and_time(year, at.month, at.day, at.hour, at.minute, at.second).unwrap_or_default()
}

/// What is written goes out in pieces.
struct Pipe {
    to: mpsc::Sender<Piece>,
    held: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(octets);
        if self.held.len() > 64 * 1024 {
            self.flush()?;
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return Ok(());
        }
        self.to.blocking_send(Ok(held.into())).map_err(|_| gone())
    }
}

/// What comes, as a reader wants it; it breaks off where the upload does.
struct Coming {
    from: mpsc::Receiver<Piece>,
    left: Bytes,
}

impl Read for Coming {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let there = self.fill_buf()?;
        let octets = there.len().min(out.len());
        if let (Some(out), Some(there)) = (out.get_mut(..octets), there.get(..octets)) {
            out.copy_from_slice(there);
        }
        self.consume(octets);
        Ok(octets)
    }
}

impl BufRead for Coming {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.left.is_empty() {
            match self.from.blocking_recv() {
                Some(piece) => self.left = piece?,
                None => break,
            }
        }
        Ok(&self.left)
    }

    fn consume(&mut self, octets: usize) {
        let _ = self.left.split_to(octets.min(self.left.len()));
    }
}

/// What an upload is, by its media type.
fn form_of(request: &Request) -> Option<Form> {
    match site::media_type(request.headers()).as_str() {
        "application/mbox" => Some(Form::Mbox),
        "application/zip" => Some(Form::Zip),
        _ => None,
    }
}

/// `POST /api/import/{accountId}/{mailboxId}`: an mbox, as it is, or a ZIP archive of such and of single messages.
pub(crate) async fn import(
    State(site): State<Shared>,
    Path((account, mailbox)): Path<(String, String)>,
    Visit { signed_in, request }: Visit,
) -> Response {
    let Some(form) = form_of(&request) else {
        return discard(request, problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send application/mbox or application/zip.")).await;
    };
    let eyes = site.eyes_on(&signed_in.account, &account).await;
    let found = eyes.and_then(|eyes| Some((store::object_id::mailbox(eyes.account, &mailbox)?, eyes)));
    let found = found.filter(|(id, eyes)| eyes.rights(&site.store, *id).has(Right::Insert));
    let Some((mailbox, eyes)) = found else {
        return discard(request, problem(StatusCode::NOT_FOUND, "There is no such mailbox.")).await;
    };
    let all = site.store.mailboxes(eyes.account).await;
    let Some(name) = all.ok().and_then(|all| all.iter().find(|one| one.id == mailbox).map(|one| one.name.to_string())) else {
        return discard(request, problem(StatusCode::NOT_FOUND, "There is no such mailbox.")).await;
    };
    let Some(_place) = site.jmap.stream_place(signed_in.account.id) else {
        return discard(request, problem(StatusCode::TOO_MANY_REQUESTS, "Too many streams are open.")).await;
    };
    let (to_reader, from) = mpsc::channel(4);
    let (found, messages) = mpsc::channel(4);
    let boxes = Arc::clone(&site.boxes);
    let max = site.message_bytes_max;
    let coming = Coming { from, left: Bytes::new() };
    let reading = tokio::task::spawn_blocking(move || match form {
        Form::Mbox => read(&*boxes, coming, max, &found),
        Form::Zip => unpack(&*boxes, coming, max, &found),
    });
    let (told, held) = (Told::default(), Vec::new());
    let mut taking = Taking { site: &site, signed_in: &signed_in, eyes: &eyes, mailbox, name, told, held, octets: 0 };
    let (fed, ()) = tokio::join!(feed(request, to_reader), taking.all(messages));
    let read = reading.await.unwrap_or_else(|_| Err(io::Error::other("it cannot be read")));
    let mut told = taking.told;
    if told.stopped.is_none() {
        told.stopped = fed.err().or_else(|| read.err().map(|error| error.to_string()));
    }
    site::answer(StatusCode::OK, &told.value())
}

/// What a file holds, one after the other.
enum Found {
    /// A message of an mbox, or a file of its own; with what is known of it.
    Message(Boxed, Arc<Facts>, Origin),
    /// This was in it before.
    Again,
    /// What is no message, and why.
    Bad(String, String),
}

/// What a message is known again by is said of what it came out of.
#[derive(Debug, Clone, Copy)]
enum Origin {
    Mbox,
    File,
}

impl Found {
    fn message(boxed: Boxed, origin: Origin) -> Found {
        let facts = Arc::new(Facts::compute(&boxed.octets));
        Found::Message(boxed, facts, origin)
    }
}

/// Every message of an mbox.
fn read(boxes: &dyn Boxes, mut coming: Coming, max: u64, found: &mpsc::Sender<Found>) -> io::Result<()> {
    boxes.read(&mut coming, max, &mut |boxed| found.blocking_send(Found::message(boxed, Origin::Mbox)).is_ok())
}

/// Every message of an archive.
fn unpack(boxes: &dyn Boxes, coming: Coming, max: u64, found: &mpsc::Sender<Found>) -> io::Result<()> {
    let mut unpacking = Unpacking { boxes, max, found, single: None, known: HashSet::new(), is_any: false };
    archive::read(coming, &mut unpacking)?;
    match unpacking.is_any {
        true => Ok(()),
        false => Err(io::Error::other("No file of a message (.eml) or of many (.mbox) is in it.")),
    }
}

struct Unpacking<'a> {
    boxes: &'a dyn Boxes,
    max: u64,
    found: &'a mpsc::Sender<Found>,
    /// A message that is whole when its entry proves to be.
    single: Option<Boxed>,
    known: HashSet<String>,
    is_any: bool,
}

/// What systems put beside files.
fn is_beside(name: &str) -> bool {
    let leaf = name.rsplit('/').next().unwrap_or_default();
    name.ends_with('/') || name.starts_with("__MACOSX/") || leaf.starts_with('.')
}

impl archive::Unpacking for Unpacking<'_> {
    fn entry(&mut self, entry: &archive::Entry, content: &mut dyn BufRead) -> io::Result<bool> {
        if is_beside(&entry.name) {
            return Ok(true);
        }
        let ending = entry.name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
        if ending == "eml" {
            let mut octets = Vec::new();
            content.take(self.max.saturating_add(1)).read_to_end(&mut octets)?;
            self.single = Some(self.boxes.single(octets, entry.changed_secs));
            return Ok(true);
        }
        // Mail programs name their mailboxes without an ending.
        if !["mbox", "mbx"].contains(&ending.as_str()) && !content.fill_buf()?.starts_with(b"From ") {
            return Ok(true);
        }
        self.is_any = true;
        let found = self.found;
        let mut goes_on = true;
        let mut each = |boxed| {
            goes_on = found.blocking_send(Found::message(boxed, Origin::Mbox)).is_ok();
            goes_on
        };
        match self.boxes.read(content, self.max, &mut each) {
            // It may be the archive that is at fault: reading on tells.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                goes_on = self.found.blocking_send(Found::Bad(entry.name.clone(), error.to_string())).is_ok();
            }
            read => read?,
        }
        Ok(goes_on)
    }

    fn proved(&mut self) -> io::Result<bool> {
        let Some(boxed) = self.single.take() else { return Ok(true) };
        self.is_any = true;
        let is_new = self.known.insert(boxed.hash.clone());
        let found = if is_new { Found::message(boxed, Origin::File) } else { Found::Again };
        Ok(self.found.blocking_send(found).is_ok())
    }
}

/// The upload to its reader, as fast as that one reads; `Err`: it broke off.
async fn feed(request: Request, to: mpsc::Sender<Piece>) -> Result<(), String> {
    let mut upload = site::Coming::new(request);
    loop {
        let data = match upload.next().await {
            Ok(Some(data)) => data,
            Ok(None) => return Ok(()),
            Err(_) => {
                let _ = to.send(Err(io::ErrorKind::UnexpectedEof.into())).await;
                return Err("The upload broke off.".into());
            }
        };
        let begun = Instant::now();
        if to.send(Ok(data)).await.is_err() {
            // Nobody wants more; who uploads hears why when he has been heard.
            upload.discard(STOPPED_BYTES_MAX).await;
            return Ok(());
        }
        // That we were slow is not his fault.
        upload.wait_longer(begun.elapsed());
    }
}

/// What came of it.
#[derive(Default)]
struct Told {
    imported: u64,
    known: u64,
    bad: Vec<Value>,
    not_taken: u64,
    stopped: Option<String>,
}

impl Told {
    fn value(&self) -> Value {
        json!({"imported": self.imported, "known": self.known, "notTaken": self.not_taken, "bad": self.bad, "stopped": self.stopped})
    }
}

/// A mailbox that a file comes into.
struct Taking<'a> {
    site: &'a Shared,
    signed_in: &'a SignedIn,
    eyes: &'a Eyes,
    mailbox: MailboxId,
    name: String,
    told: Told,
    held: Vec<(NewEmail, String)>,
    octets: usize,
}

impl Taking<'_> {
    async fn all(&mut self, mut messages: mpsc::Receiver<Found>) {
        while let Some(found) = messages.recv().await {
            match found {
                Found::Message(boxed, facts, origin) => {
                    if self.take(boxed, facts, origin).await.is_err() {
                        return;
                    }
                }
                Found::Again => self.told.known += 1,
                Found::Bad(what, why) => self.bad(what, why),
            }
        }
        let _ = self.commit().await;
    }

    fn bad(&mut self, what: String, why: String) {
        self.told.not_taken += 1;
        if self.told.bad.len() < BAD_MAX {
            self.told.bad.push(json!({"what": what, "why": why}));
        }
    }

    async fn take(&mut self, boxed: Boxed, facts: Arc<Facts>, origin: Origin) -> Result<(), ()> {
        let number = self.told.imported + self.told.known + self.told.not_taken + self.held.len() as u64 + 1;
        let wrong = if boxed.octets.is_empty() {
            Some("There is nothing in it.".to_owned())
        } else {
            (boxed.octets.len() as u64 > self.site.message_bytes_max)
                .then(|| format!("It is larger than {} octets.", self.site.message_bytes_max))
        };
        if let Some(why) = wrong {
            self.bad(format!("message {number}"), why);
            return Ok(());
        }
        let rights = self.eyes.rights(&self.site.store, self.mailbox);
        if !rights.has(Right::Insert) {
            self.told.stopped = Some("You have no right to put anything there.".into());
            return Err(());
        }
        self.octets += boxed.octets.len();
        // As `packetboat import` marks it, so that the same file comes once by either.
        let origin = match origin {
            Origin::Mbox => "mbox",
            Origin::File => "file",
        };
        let mark = format!("import/{origin}/{}/{}", self.name, boxed.hash);
        let (flags, internal_date_secs) = (masked(rights, &boxed.flags), boxed.date_secs);
        self.held.push((NewEmail { body: Spooled::from_bytes(boxed.octets), facts, flags, internal_date_secs }, mark));
        if self.held.len() >= TOGETHER || self.octets >= TOGETHER_BYTES {
            return self.commit().await;
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), ()> {
        self.octets = 0;
        if !still_good(self.site, self.signed_in).await {
            self.told.stopped = Some("You are signed out.".into());
            return Err(());
        }
        let held = std::mem::take(&mut self.held);
        let done = self.put(held).await;
        if let Err(error) = done {
            self.told.stopped = Some(match error {
                StoreError::OverQuota => "There is no room left in the account.".into(),
                StoreError::NoSpace => "There is no room left on the server.".into(),
                StoreError::NotFound => "The mailbox is gone.".into(),
                StoreError::Invalid(why) => why.to_owned(),
                error => {
                    tracing::error!(?error, "an import");
                    "Something failed on our side.".to_owned()
                }
            });
            return Err(());
        }
        Ok(())
    }

    async fn put(&mut self, held: Vec<(NewEmail, String)>) -> Result<(), StoreError> {
        let (store, account) = (&self.site.store, self.eyes.account);
        let names: Vec<String> = held.iter().map(|(_, mark)| mark.clone()).collect();
        let marks = store.marks_named(account, &names).await?;
        let all = held.len();
        let new: Vec<(NewEmail, String)> =
            held.into_iter().zip(marks).filter(|(_, mark)| mark.is_none()).map(|(one, _)| one).collect();
        self.told.known += (all - new.len()) as u64;
        if new.is_empty() {
            return Ok(());
        }
        let count = new.len() as u64;
        let (mut emails, marks): (Vec<NewEmail>, Vec<String>) = new.into_iter().unzip();
        let marks = marks.into_iter().map(|name| Mark::set(name, Vec::new())).collect();
        // Where each reader has a \Seen of his own, what he has seen is that.
        let is_apart = own_seen::apart(store, self.eyes).await?.contains(&self.mailbox);
        let seen: Vec<bool> = emails.iter().map(|one| is_apart && one.flags.system & Flags::SEEN != 0).collect();
        for (one, _) in emails.iter_mut().zip(&seen).filter(|(_, seen)| **seen) {
            one.flags.system &= !Flags::SEEN;
        }
        let appended = store.append_marked(account, self.mailbox, emails, marks).await?;
        self.told.imported += count;
        let own: Vec<Uid> = appended.uids.into_iter().zip(seen).filter(|(_, seen)| *seen).map(|(uid, _)| uid).collect();
        if own.is_empty() {
            return Ok(());
        }
        store.set_own_seen((account, self.mailbox), self.eyes.who.id, &own, true).await.map(drop)
    }
}

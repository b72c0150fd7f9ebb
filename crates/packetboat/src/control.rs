//! The control socket: `data_dir/control.sock`, one JSON request a line, one JSON answer a line; never TCP.
//!
//! Only root and the owner of the server get an answer (SO_PEERCRED), and the socket (0600) stands in a folder (0700).
//! An answer is `{"ok": ...}` or `{"error": "..."}`. Must not know: what the acts do.

use crate::admin::{Admin, Request};
use bytes::Bytes;
use client::Trouble;
use client::door::{Answer, Ask};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// The socket's name in the data directory.
const NAME: &str = "control.sock";
/// Longest request, octets.
const REQUEST_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Octets behind a request or an answer, at most: messages on the move.
const OCTETS_MAX: u64 = 1024 * 1024 * 1024;
/// Whoever asks nothing, or takes nothing of an answer, for so long is let go.
const SILENCE_MAX: std::time::Duration = std::time::Duration::from_secs(300);
/// A socket's path must be shorter than this (`sun_path`); a longer one is reached through its folder's descriptor.
const PATH_BYTES_MAX: usize = 100;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reply {
    Ok(Value),
    Error(String),
}

/// A path short enough for a socket, and what keeps it valid.
fn short_path(data_dir: &Path) -> io::Result<(PathBuf, Option<std::fs::File>)> {
    let path = data_dir.join(NAME);
    if path.as_os_str().len() < PATH_BYTES_MAX {
        return Ok((path, None));
    }
    let folder = std::fs::File::open(data_dir)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd())), Some(folder)))
}

/// Binds the socket. The store's lock is held by the caller, so a socket that is there is a dead server's.
pub(crate) fn bind(data_dir: &Path) -> io::Result<UnixListener> {
    let (path, _folder) = short_path(data_dir)?;
    match std::fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Takes the socket away; the server is gone.
pub(crate) fn unbind(data_dir: &Path) {
    let _ = std::fs::remove_file(data_dir.join(NAME));
}

/// Answers requests until the task is dropped.
pub(crate) async fn serve(listener: Arc<UnixListener>, admin: Arc<Admin>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let admin = Arc::clone(&admin);
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, &admin).await {
                        tracing::debug!(%error, "control connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control socket");
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        }
    }
}

fn is_allowed(stream: &UnixStream) -> io::Result<bool> {
    let peer = stream.peer_cred()?.uid();
    Ok(peer == 0 || peer == rustix::process::geteuid().as_raw())
}

async fn converse(stream: UnixStream, admin: &Arc<Admin>) -> io::Result<()> {
    if !is_allowed(&stream)? {
        tracing::warn!("control: a peer that is neither root nor the owner was turned away");
        return Ok(());
    }
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    loop {
        let mut line = Vec::new();
        let mut asked = (&mut reading).take(REQUEST_BYTES_MAX);
        let count = tokio::time::timeout(SILENCE_MAX, asked.read_until(b'\n', &mut line)).await??;
        if count == 0 || line.last() != Some(&b'\n') {
            return Ok(());
        }
        let mut behind = Bytes::new();
        let reply = match serde_json::from_slice::<Request>(&line) {
            Err(error) => Reply::Error(format!("the server does not understand this request: {error}")),
            Ok(Request::Door { account, ask }) => {
                let heads: Vec<u64> = match &ask {
                    Ask::Put { messages, .. } => messages.iter().map(|head| head.octets).collect(),
                    _ => Vec::new(),
                };
                let mut octets = Vec::with_capacity(heads.len());
                let mut left = OCTETS_MAX;
                for len in heads {
                    left = left.checked_sub(len).ok_or_else(|| io::Error::other("too many octets behind a request"))?;
                    let piece = tokio::time::timeout(SILENCE_MAX, octets_of(&mut reading, len)).await??;
                    octets.push(piece);
                }
                let admin = Arc::clone(admin);
                let act = tokio::spawn(async move { admin.door(&account, ask, octets).await });
                match act.await {
                    Ok(Ok((answer, octets))) => {
                        behind = octets;
                        serde_json::to_value(&answer).map_or_else(|error| Reply::Error(error.to_string()), Reply::Ok)
                    }
                    Ok(Err(why)) => Reply::Error(why),
                    Err(_) => Reply::Error("the server failed at this; see its log".into()),
                }
            }
            Ok(Request::Wire { account }) => match admin.watch(&account).await {
                Ok(watched) => return tell(watched, reading, writing).await,
                Err(why) => Reply::Error(why),
            },
            Ok(request) => {
                // A task of its own: an act once begun is finished also when the asker goes away, and a panic stays in it.
                let admin = Arc::clone(admin);
                let act = tokio::spawn(async move { admin.perform(request).await });
                match act.await {
                    Ok(Ok(value)) => Reply::Ok(value),
                    Ok(Err(why)) => Reply::Error(why),
                    Err(_) => Reply::Error("the server failed at this; see its log".into()),
                }
            }
        };
        let mut text = serde_json::to_vec(&reply).map_err(io::Error::other)?;
        text.push(b'\n');
        say(&mut writing, &text).await?;
        say(&mut writing, &behind).await?;
    }
}

/// Writes all of it to whoever goes on reading.
async fn say(writing: &mut (impl AsyncWrite + Unpin), mut octets: &[u8]) -> io::Result<()> {
    while !octets.is_empty() {
        let count = tokio::time::timeout(SILENCE_MAX, writing.write(octets)).await??;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        octets = octets.get(count..).unwrap_or_default();
    }
    Ok(())
}

/// So many octets; room for them is taken as they come.
async fn octets_of(reading: &mut (impl AsyncReadExt + Unpin), len: u64) -> io::Result<Bytes> {
    let mut octets = Vec::new();
    reading.take(len).read_to_end(&mut octets).await?;
    if octets.len() as u64 == len { Ok(octets.into()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// One line for each thing that happens, until the asker goes away.
async fn tell(
    mut watched: tokio::sync::mpsc::Receiver<Value>,
    mut reading: impl tokio::io::AsyncRead + Unpin,
    mut writing: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    loop {
        tokio::select! {
            value = watched.recv() => {
                let Some(value) = value else { return Ok(()) };
                let mut text = serde_json::to_vec(&Reply::Ok(value)).map_err(io::Error::other)?;
                text.push(b'\n');
                say(&mut writing, &text).await?;
            }
            // Whatever is said now: the asker is done.
            _ = reading.read_u8() => return Ok(()),
        }
    }
}

/// A conversation with the running server.
pub(crate) struct Client {
    reading: BufReader<tokio::net::unix::OwnedReadHalf>,
    writing: tokio::net::unix::OwnedWriteHalf,
}

impl Client {
    /// Connects; `None` when no server runs on this data directory.
    ///
    /// # Errors
    /// It runs, but does not let us in.
    pub(crate) async fn connect(data_dir: &Path) -> io::Result<Option<Client>> {
        let (path, _folder) = match short_path(data_dir) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match UnixStream::connect(&path).await {
            Ok(stream) => {
                let (reading, writing) = stream.into_split();
                Ok(Some(Client { reading: BufReader::new(reading), writing }))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next answer of a request that has many; `None` when the server ends it.
    ///
    /// # Errors
    /// Why not, in plain words.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, String> {
        let mut line = Vec::new();
        self.reading.read_until(b'\n', &mut line).await.map_err(|error| format!("the server's control socket: {error}"))?;
        match serde_json::from_slice(&line) {
            _ if line.is_empty() => Ok(None),
            Ok(Reply::Ok(value)) => Ok(Some(value)),
            Ok(Reply::Error(why)) => Err(why),
            Err(error) => Err(format!("the server's answer is not understood: {error}")),
        }
    }

    /// Asks the server to do one act.
    ///
    /// # Errors
    /// Why not, in plain words.
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Value, String> {
        let lost = |error: io::Error| format!("the server's control socket: {error}");
        let mut text = serde_json::to_vec(request).map_err(|error| error.to_string())?;
        text.push(b'\n');
        self.writing.write_all(&text).await.map_err(lost)?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Value, String> {
        let lost = |error: io::Error| format!("the server's control socket: {error}");
        let mut line = Vec::new();
        self.reading.read_until(b'\n', &mut line).await.map_err(lost)?;
        if line.is_empty() {
            return Err("the server closed its control socket; only root and the owner of the server may use it".into());
        }
        match serde_json::from_slice(&line) {
            Ok(Reply::Ok(value)) => Ok(value),
            Ok(Reply::Error(why)) => Err(why),
            Err(error) => Err(format!("the server's answer is not understood: {error}")),
        }
    }
}

/// One account of the running server's store.
pub(crate) struct SocketDoor {
    /// The conversation.
    pub(crate) client: Client,
    /// Whose.
    pub(crate) account: String,
}

impl client::Door for SocketDoor {
    async fn ask(&mut self, ask: Ask, octets: Vec<Bytes>) -> Result<(Answer, Bytes), Trouble> {
        let lost = |error: io::Error| Trouble::Here(format!("the server's control socket: {error}"));
        let request = Request::Door { account: self.account.clone(), ask };
        let mut text = serde_json::to_vec(&request).map_err(|error| Trouble::Here(error.to_string()))?;
        text.push(b'\n');
        self.client.writing.write_all(&text).await.map_err(lost)?;
        for piece in octets {
            self.client.writing.write_all(&piece).await.map_err(lost)?;
        }
        let value = self.client.answer().await.map_err(Trouble::Here)?;
        let answer: Answer = serde_json::from_value(value).map_err(|error| Trouble::Here(error.to_string()))?;
        let octets = octets_of(&mut self.client.reading, answer.octets().min(OCTETS_MAX)).await.map_err(lost)?;
        Ok((answer, octets))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;
    use tokio::time::Instant;

    #[tokio::test]
    async fn whoever_is_silent_is_let_go_and_nonsense_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        let config = store::StoreConfig {
            data_dir: dir.path().join("data"),
            undo_days: 30,
            free_bytes_min: 0,
            free_bytes_tight: 0,
            message_bytes_max: 1_000_000,
        };
        let store = store::Store::open(config).await.unwrap();
        let admin = Arc::new(Admin::new(store.clone(), search::Searcher::new(store), vec!["here.test".into()], None));
        let serving = tokio::spawn(serve(Arc::new(bind(dir.path()).unwrap()), admin));
        let mut client = Client::connect(dir.path()).await.unwrap().unwrap();
        let connect = async || UnixStream::connect(dir.path().join(NAME)).await.unwrap();
        let (mut silent, mut half) = (connect().await, connect().await);
        half.write_all(b"{\"act\":").await.unwrap();
        client.writing.write_all(b"what?\n\xff\0{}\n{\"act\":\"no-such-act\"}\n").await.unwrap();
        for _ in 0..3 {
            let mut line = String::new();
            client.reading.read_line(&mut line).await.unwrap();
            assert!(line.starts_with("{\"error\":\"the server does not understand"), "{line}");
        }
        assert!(client.ask(&Request::AccountList).await.is_ok());
        tokio::time::pause();
        let begun = Instant::now();
        for stream in [&mut silent, &mut half] {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            assert!(rest.is_empty());
            assert!(begun.elapsed() + Duration::from_secs(5) > SILENCE_MAX, "{:?}", begun.elapsed());
        }
        assert!(begun.elapsed() < SILENCE_MAX * 2, "{:?}", begun.elapsed());
        // The next is served.
        assert!(Client::connect(dir.path()).await.unwrap().unwrap().ask(&Request::AliasList).await.is_ok());
        // Whoever asks and asks and reads no answer is let go as well.
        let mut deaf = connect().await;
        let asking = async { while deaf.write_all(b"what?\n").await.is_ok() {} };
        tokio::time::timeout(SILENCE_MAX * 2, asking).await.unwrap();
        serving.abort();
    }
}

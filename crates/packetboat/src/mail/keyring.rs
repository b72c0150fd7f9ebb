//! The system's Secret Service (GNOME Keyring, KWallet, KeePassXC ...), by the program `secret-tool` of libsecret.
//!
//! A crate that speaks D-Bus itself would bring some sixty others for three calls. Invariant: a secret is never an argument and
//! never in the environment; it goes through a pipe. Must not know: accounts' servers.

use super::profile::{read, write};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// For an answer; somebody may have to unlock a collection first.
const PATIENCE: Duration = Duration::from_secs(120);
const PROGRAM: &str = "secret-tool";

/// The service, as far as this account is concerned.
pub(super) struct Keyring {
    attributes: Vec<String>,
    label: String,
}

/// Is there a session bus, and the program?
pub(super) fn is_there() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let bus = set("DBUS_SESSION_BUS_ADDRESS").is_some()
        || set("XDG_RUNTIME_DIR").is_some_and(|dir| PathBuf::from(dir).join("bus").exists());
    let path = std::env::var_os("PATH").unwrap_or_default();
    bus && std::env::split_paths(&path).any(|dir| dir.join(PROGRAM).is_file())
}

impl Keyring {
    /// Of an account that is kept in this folder.
    pub(super) fn of(dir: &Path, address: &str) -> Keyring {
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let attributes = ["application", "packetboat", "address", address, "data"].map(str::to_owned);
        let attributes = attributes.into_iter().chain([dir.to_string_lossy().into_owned()]).collect();
        Keyring { attributes, label: format!("Packetboat: {address}") }
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg(verb);
        if verb == "store" {
            command.arg(format!("--label={}", self.label));
        }
        command.args(&self.attributes).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Keeps it, in place of an older one.
    pub(super) fn keep(&self, secret: &str) -> Result<(), String> {
        let mut child = self.command("store").stdin(Stdio::piped()).spawn().map_err(|error| format!("{PROGRAM}: {error}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(secret.as_bytes()).map_err(|error| format!("{PROGRAM}: {error}"))?;
        }
        answer(child).map(drop)
    }

    /// What was kept.
    pub(super) fn find(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let child = self.command("lookup").spawn().map_err(|error| format!("{PROGRAM}: {error}"))?;
        let found = answer(child)?;
        if found.is_empty() { Err("it is not there (any more)".into()) } else { Ok(found) }
    }

    /// Forgets it.
    pub(super) fn forget(&self) -> Result<(), String> {
        let child = self.command("clear").spawn().map_err(|error| format!("{PROGRAM}: {error}"))?;
        answer(child).map(drop)
    }
}

/// Keeps what an account signs in with: with the Secret Service, where there is one and it is wanted (`secret`), else in a
/// file of all accounts (`value`). Whether the first. `before`: it was there until now.
pub(super) fn keep_somewhere<T: Serialize + DeserializeOwned>(
    (dir, address): (&Path, &str),
    file: &Path,
    (secret, value): (&str, T),
    (wanted, before): (bool, bool),
) -> Result<bool, String> {
    let keyring = Keyring::of(dir, address);
    let mut kept = false;
    if wanted && is_there() {
        match keyring.keep(secret) {
            Ok(()) => kept = true,
            Err(why) => eprintln!("packetboat: the Secret Service: {why}; what signs in is in a file that only you can read"),
        }
    }
    if before && !kept {
        // What is old there would only mislead somebody.
        let _ = keyring.forget();
    }
    let mut all: BTreeMap<String, T> = read(file)?;
    let old = if kept { all.remove(address) } else { all.insert(address.to_owned(), value) };
    if !kept || old.is_some() {
        write(file, &all)?;
    }
    Ok(kept)
}

/// Takes an account out of such a file.
pub(super) fn forget_in<T: Serialize + DeserializeOwned>(file: &Path, address: &str) -> Result<(), String> {
    let mut all: BTreeMap<String, T> = read(file)?;
    if all.remove(address).is_some() { write(file, &all) } else { Ok(()) }
}

fn wait(child: &mut Child) -> Result<ExitStatus, String> {
    let until = Instant::now() + PATIENCE;
    loop {
        match child.try_wait().map_err(|error| format!("{PROGRAM}: {error}"))? {
            Some(status) => return Ok(status),
            None if Instant::now() >= until => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("the Secret Service does not answer".into());
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// A secret is shorter than a pipe is long, so nothing waits for its reader.
fn answer(mut child: Child) -> Result<Zeroizing<Vec<u8>>, String> {
    let status = wait(&mut child)?;
    let (mut said, mut why) = (Zeroizing::new(Vec::new()), String::new());
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_end(&mut said).map_err(|error| format!("{PROGRAM}: {error}"))?;
    }
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut why);
    }
    // `lookup` of what is not there fails without a word.
    if status.success() || why.trim().is_empty() { Ok(said) } else { Err(why.trim().to_owned()) }
}

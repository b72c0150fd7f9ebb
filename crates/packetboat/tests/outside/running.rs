//! What the integration tests share: the real binary on a temporary directory, and just enough of a client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the binary to its end.
pub(crate) fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_packetboat"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// A directory with a configuration; commands run on it.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new(more: &str) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("hostname = \"mail.here.test\"\ndata_dir = \"data\"\ndomains = [\"here.test\"]\n{more}");
        std::fs::write(dir.path().join("packetboat.toml"), text).unwrap();
        Place { dir }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("packetboat.toml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn run(&self, line: &str, input: &str) -> Output {
        let config = self.config();
        let mut arguments: Vec<&str> = line.split(' ').collect();
        arguments.extend(["--config", config.to_str().unwrap()]);
        run(&arguments, input)
    }

    /// Must succeed; what it printed.
    pub(crate) fn ok(&self, line: &str, input: &str) -> String {
        let output = self.run(line, input);
        assert!(
            output.status.success(),
            "{line}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Must succeed; its JSON.
    pub(crate) fn json(&self, line: &str, input: &str) -> serde_json::Value {
        serde_json::from_str(&self.ok(&format!("{line} --json"), input)).unwrap()
    }

    pub(crate) fn serve(&self) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_packetboat"));
        command.arg("serve").arg("--config").arg(self.config());
        Server::start(command)
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) lines: Vec<String>,
    log: mpsc::Receiver<String>,
}

impl Server {
    pub(crate) fn start(mut command: Command) -> Server {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || errors.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        let mut server = Server { child, lines: Vec::new(), log };
        server.wait_for("packetboat ready");
        server
    }

    /// Reads the log until a line is exactly this.
    pub(crate) fn wait_for(&mut self, wanted: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.log.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = line == wanted || line.contains(wanted) && wanted != "packetboat ready";
                    self.lines.push(line);
                    if found {
                        return;
                    }
                }
                Err(_) => panic!("no {wanted:?} in {:#?}", self.lines),
            }
        }
    }

    /// The address of the listener of this name.
    pub(crate) fn address(&self, service: &str) -> String {
        let prefix = format!("listening {service} ");
        self.lines.iter().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_else(|| panic!("{:#?}", self.lines)).to_owned()
    }

    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(done.success());
    }

    /// KiB of a field of `/proc/PID/status`.
    pub(crate) fn memory(&self, field: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// SIGTERM, then the exit code and what it printed on standard output.
    pub(crate) fn stop(mut self) -> (i32, String) {
        self.signal("TERM");
        let mut out = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        stdout.read_to_string(&mut out).unwrap();
        (code, out)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line-wise client.
pub(crate) struct Talk {
    stream: BufReader<TcpStream>,
}

impl Talk {
    pub(crate) fn to(address: &str) -> Talk {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Talk { stream: BufReader::new(stream) }
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    /// One line; empty at the end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// One line with its spaces, without its end; fails at the end of the connection.
    pub(crate) fn line_raw(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stream.read_line(&mut line).unwrap() > 0, "the connection ended");
        line.trim_end_matches(['\r', '\n']).to_owned()
    }

    /// Lines up to one that begins like this.
    pub(crate) fn until(&mut self, begin: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            let end = line.is_empty() || line.starts_with(begin);
            lines.push(line);
            if end {
                assert!(lines.last().unwrap().starts_with(begin), "{lines:#?}");
                return lines;
            }
        }
    }
}

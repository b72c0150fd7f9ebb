//! `packetboat try`: the whole of TCP/IP email on one computer, loopback only, no root, no DNS but its own.
//!
//! Two offices in one process, `here.test` and `there.test`, each complete with its own store; a tiny resolver that answers
//! MX for both. What is made once (passwords, certificates, mail) stays in the data directory.
//! Invariant: nothing listens beyond 127.0.0.1 and nothing leaves for another domain.

mod clients;
mod people;
mod picture;
mod ports;
mod tour;
mod welcome;

use crate::cli::TryArgs;
use crate::config::{self, Config};
use crate::office::{self, Bound, Office, Trial};
use crate::private_file;
use crate::serve::{Signals, Told, fail, stop};
use net::dns_server::{DnsServer, Zone};
use people::Passwords;
use ports::Ports;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The two domains.
pub(crate) const HERE: &str = "here.test";
/// The other one.
pub(crate) const THERE: &str = "there.test";
/// Where everything listens.
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// One of the two offices, ready to open.
struct Plan {
    domain: &'static str,
    ports: Ports,
    config: Config,
    file: PathBuf,
    bound: Vec<Bound>,
}

/// Opens both offices until told to stop; the exit code.
pub(crate) fn run(arguments: &TryArgs) -> u8 {
    match prepare(arguments).and_then(|(dir, plans)| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
        let outcome = runtime.block_on(open(&dir, plans, arguments.port_base));
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        outcome
    }) {
        Ok(()) => 0,
        Err(why) => fail(&why),
    }
}

/// `$XDG_DATA_HOME/packetboat/try`, else below the home directory (XDG Base Directory: a relative value is ignored).
fn default_dir() -> Result<PathBuf, String> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    base.map(|base| base.join("packetboat/try")).ok_or_else(|| "there is no home directory: say where with --data DIR".into())
}

fn prepare(arguments: &TryArgs) -> Result<(PathBuf, Vec<Plan>), String> {
    let dir = match &arguments.data {
        Some(dir) => std::path::absolute(dir).map_err(|error| format!("{}: {error}", dir.display()))?,
        None => default_dir()?,
    };
    office::make_data_dir(&dir)?;
    let base = arguments.port_base;
    let plans = offices(base)
        .into_iter()
        .map(|(domain, ports)| plan(&dir, domain, ports, ports::dns(base)))
        .collect::<Result<Vec<Plan>, String>>()?;
    bind_all(plans, base).map(|plans| (dir, plans))
}

/// Both, with their ports.
fn offices(base: u16) -> [(&'static str, Ports); 2] {
    [(HERE, Ports::new(base)), (THERE, Ports::new(base.saturating_add(1000)))]
}

/// Writes the office's configuration (a real one: the other commands take it with `--config`) and reads it back.
fn plan(dir: &Path, domain: &'static str, ports: Ports, dns: u16) -> Result<Plan, String> {
    let file = dir.join(format!("{domain}.toml"));
    private_file::write(&file, ports.configuration(domain, &dir.join(domain), dns).as_bytes())?;
    let config = config::load(&file).map_err(|problems| problems.join("\n"))?;
    office::make_data_dir(&config.data_dir)?;
    Ok(Plan { domain, ports, config, file, bound: Vec::new() })
}

/// Binds everything, or tells every port that is taken.
fn bind_all(mut plans: Vec<Plan>, base: u16) -> Result<Vec<Plan>, String> {
    let mut problems = Vec::new();
    for plan in &mut plans {
        match office::bind(&plan.config) {
            Ok(bound) => plan.bound = bound,
            Err(errors) => problems.extend(errors.iter().map(ToString::to_string)),
        }
    }
    if problems.is_empty() {
        return Ok(plans);
    }
    problems.push(port_hint(base));
    Err(problems.join("\n"))
}

fn port_hint(base: u16) -> String {
    format!(
        "Is another `packetboat try` running? If not, choose other ports: --port-base {} (it is {base} now)",
        if base == 2000 { 12_000 } else { 2000 }
    )
}

/// What the resolver knows: both domains, both hosts, nothing else.
fn zone(base: u16) -> Zone {
    let mut zone = Zone::new();
    for (domain, ports) in offices(base) {
        let host = format!("mail.{domain}");
        zone.mx(domain, 10, &host).address(&host, IpAddr::V4(LOOPBACK));
        // Mail programs find the servers, and so does who moves from one office to the other.
        let services = [("imaps", ports.imaps), ("imap", ports.imap), ("pop3s", ports.pop3s), ("submissions", ports.submissions)];
        for (service, port) in services {
            zone.srv(&format!("_{service}._tcp.{domain}"), port, &host);
        }
    }
    zone
}

async fn open(dir: &Path, plans: Vec<Plan>, base: u16) -> Result<(), String> {
    let mut signals = Signals::new()?;
    let dns = SocketAddr::from((LOOPBACK, ports::dns(base)));
    let _resolver = DnsServer::start(dns, zone(base))
        .await
        .map_err(|error| format!("cannot answer DNS on {dns}: {error}\n{}", port_hint(base)))?;
    let routes: HashMap<String, SocketAddr> =
        plans.iter().map(|plan| (format!("mail.{}", plan.domain), SocketAddr::from((LOOPBACK, plan.ports.smtp)))).collect();
    let mut passwords = Passwords::open(dir)?;
    let mut offices = Vec::new();
    let mut tours = Vec::new();
    for plan in plans {
        let trial = Trial { reachable: Some(vec![HERE.into(), THERE.into()]), routes: routes.clone() };
        let office = match Office::open(&plan.config, plan.bound, None, trial).await {
            Ok(office) => office,
            Err(why) => {
                close(offices).await?;
                return Err(format!("{}: {why}", plan.domain));
            }
        };
        people::settle(dir, plan.domain, &office, &mut passwords).await?;
        let fingerprint = office.tls().map(|tls| tls.fingerprint()).unwrap_or_default();
        tours.push(tour::Place { domain: plan.domain, ports: plan.ports, fingerprint, config: plan.file });
        offices.push(office);
    }
    clients::write(dir, &tours, &passwords)?;
    print!("{}", tour::text(dir, &tours, &passwords));
    for office in &offices {
        for (service, address) in office.listening() {
            eprintln!("listening {} {address}", service.name());
        }
    }
    eprintln!("packetboat ready");
    while signals.next().await == Told::Reload {
        offices.iter().for_each(Office::reload);
    }
    eprintln!("packetboat: stopping; your mail stays in {}", dir.display());
    stop(close(offices), &mut signals).await
}

/// Both at once: each has its own time to drain.
async fn close(offices: Vec<Office>) -> Result<(), String> {
    let mut closing = tokio::task::JoinSet::new();
    for office in offices {
        closing.spawn(office.close());
    }
    let mut outcome = Ok(());
    while let Some(ended) = closing.join_next().await {
        outcome = outcome.and(ended.map_err(|error| error.to_string()).and_then(|closed| closed));
    }
    outcome
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_the_flag() {
        let dir = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        let mut ports = Ports::new(20_000);
        ports.smtp = port;
        let plan = plan(dir.path(), HERE, ports, 1).unwrap();
        let told = bind_all(vec![plan], 2000).err().unwrap();
        assert!(told.contains(&format!("127.0.0.1:{port}")) && told.contains("--port-base"), "{told}");
    }
}

//! `packetboat doctor`: does what must hold for mail to be taken elsewhere hold, and what to do where it does not.
//!
//! Looks at this machine (clock, disk, certificate), at DNS, and at the way out. Invariant: every finding that is not good names
//! the record or the command that mends it; what could not be looked at is `unknown`, never good. Must not know: terminals.

use crate::certificate_facts;
use crate::config::Config;
use crate::zone::{self, KeyRecord};
use net::Resolver;
use serde_json::{Value, json};
use server::context::unix_now;
use server::trust::Ask;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use trust::dnsbl::{self, Listing};

/// One finding.
pub(crate) struct Finding {
    pub(crate) about: String,
    /// `ok`, `warning`, `bad`, `unknown`.
    pub(crate) state: &'static str,
    pub(crate) what: String,
    pub(crate) fix: String,
}

fn finding(about: &str, state: &'static str, what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { about: about.to_owned(), state, what: what.into(), fix: fix.into() }
}

impl Finding {
    pub(crate) fn json(&self) -> Value {
        json!({ "about": self.about, "state": self.state, "what": self.what, "fix": self.fix })
    }
}

/// A certificate is renewed before it has fewer days than this.
const CERTIFICATE_DAYS_MIN: i64 = 14;
/// Faster than this no disk has ever made anything durable.
const SYNC_MIN: Duration = Duration::from_micros(15);
/// Slower than this mail waits.
const SYNC_SLOW: Duration = Duration::from_millis(50);
/// What everybody asks.
const LISTS: [&str; 1] = ["zen.spamhaus.org"];

/// What needs no network.
pub(crate) fn machine(config: &Config) -> Vec<Finding> {
    vec![clock(), disk(config), sync(config), certificate(config)]
}

fn clock() -> Finding {
    let now = unix_now();
    let date = message::date::format_rfc_5322(now);
    // Newer than the newest RFC this program follows.
    if now < 1_777_000_000 {
        return finding("clock", "bad", format!("it says {date}"), "timedatectl set-ntp true");
    }
    let kept = ["/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid", "/var/run/ntpd.pid", "/run/openntpd.pid"];
    if kept.iter().any(|path| std::path::Path::new(path).exists()) {
        finding("clock", "ok", format!("{date}, kept by a time server"), "")
    } else {
        finding("clock", "unknown", format!("it says {date}; nothing seems to keep it"), "timedatectl set-ntp true")
    }
}

fn disk(config: &Config) -> Finding {
    let place = config.data_dir.display();
    let Ok(facts) = rustix::fs::statvfs(&config.data_dir) else {
        return finding("disk", "bad", format!("{place} cannot be looked at"), format!("ls -ld {place}"));
    };
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    let what = format!("{} MB free at {place}", free / 1_000_000);
    if free < config.free_bytes_min {
        finding("disk", "bad", format!("{what}: new mail is put off (452)"), "make room, or lower free_bytes_min")
    } else if free < config.free_bytes_tight {
        finding("disk", "warning", format!("{what}: the undo window is shortened"), "make room")
    } else {
        finding("disk", "ok", what, "")
    }
}

/// How long a sync takes: the median of a few.
fn sync(config: &Config) -> Finding {
    let measured = (|| -> std::io::Result<Duration> {
        let mut file = tempfile_in(&config.data_dir)?;
        let mut times = Vec::new();
        for _ in 0..15 {
            file.write_all(&[0x55; 4096])?;
            let begun = Instant::now();
            file.sync_data()?;
            times.push(begun.elapsed());
        }
        times.sort();
        Ok(times.get(times.len() / 2).copied().unwrap_or_default())
    })();
    match measured {
        Err(error) => {
            finding("sync", "bad", format!("{}: {error}", config.data_dir.display()), "the server's user must own data_dir")
        }
        Ok(median) if median < SYNC_MIN => finding(
            "sync",
            "warning",
            format!("a sync takes {median:?}: nothing is that fast, so it is probably not done and a power cut loses mail"),
            "put data_dir on a file system that syncs (not tmpfs, no `nobarrier`, no `eatmydata`)",
        ),
        Ok(median) if median > SYNC_SLOW => {
            finding("sync", "warning", format!("a sync takes {median:?}: mail waits for it"), "a faster disk for data_dir")
        }
        Ok(median) => finding("sync", "ok", format!("a sync takes {median:?}"), ""),
    }
}

/// A file without a name (Linux), so that nothing is left behind.
fn tempfile_in(dir: &std::path::Path) -> std::io::Result<std::fs::File> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    Ok(openat(CWD, dir, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?.into())
}

fn certificate(config: &Config) -> Finding {
    let renew = "certbot renew && systemctl reload packetboat";
    let Some(path) = &config.certificate else {
        return if config.self_signed {
            finding(
                "certificate",
                "warning",
                "self-signed: programs ask about it, others' servers do not mind",
                "[tls] certificate and private_key",
            )
        } else {
            finding("certificate", "bad", "none: no TLS anywhere", "[tls] certificate and private_key")
        };
    };
    let facts = std::fs::read_to_string(path).ok().and_then(|text| certificate_facts::of_pem(&text));
    let Some(facts) = facts else {
        return finding("certificate", "bad", format!("{} cannot be read", path.display()), renew);
    };
    let days = (facts.not_after_secs - unix_now()).div_euclid(86_400);
    let what = format!("holds for {days} days; TLSA 3 1 1 {}", facts.key_sha256);
    let state = if days < 0 {
        "bad"
    } else if days < CERTIFICATE_DAYS_MIN {
        "warning"
    } else {
        "ok"
    };
    finding("certificate", state, what, if state == "ok" { "" } else { renew })
}

/// What DNS says about this machine and one domain.
pub(crate) async fn names(resolver: &Resolver, config: &Config, domain: &str, keys: &[KeyRecord]) -> Vec<Finding> {
    let mut records = zone::records(config, domain, keys);
    zone::compare(resolver, config, domain, &mut records).await;
    let mut found = Vec::new();
    if keys.is_empty() {
        found.push(finding(
            "DKIM",
            "bad",
            format!("mail from {domain} is not signed"),
            format!("packetboat domain add {domain}"),
        ));
    }
    for record in records.iter().filter(|record| record.state != "unasked") {
        let about = format!("{} {}", record.kind, record.name);
        let line = zone::zone_line(record);
        found.push(match record.state.as_str() {
            "ok" => finding(&about, "ok", record.found.join(" | "), ""),
            "unknown" => finding(&about, "unknown", record.found.join(" | "), "ask again"),
            state => {
                let what = if state == "missing" { "missing".to_owned() } else { format!("is {}", record.found.join(" | ")) };
                finding(&about, if record.needed { "bad" } else { "warning" }, what, line)
            }
        });
    }
    found
}

/// The addresses of this machine as others see them: names, lists.
pub(crate) async fn addresses(resolver: &Resolver, config: &Config) -> Vec<Finding> {
    let host = &config.hostname;
    let mut found = Vec::new();
    for ip in resolver.addresses(host).await.unwrap_or_default() {
        let about = format!("PTR {ip}");
        let fix = format!("ask the provider of {ip} to name it {host}");
        found.push(match resolver.ptr(ip).await {
            Ok(names) if names.iter().any(|name| name.eq_ignore_ascii_case(host)) => finding(&about, "ok", host.as_str(), ""),
            Ok(names) => finding(&about, "bad", format!("leads to {}, not to {host}", names.join(", ")), fix),
            Err(error) if error.is_temporary() => finding(&about, "unknown", error.to_string(), "ask again"),
            Err(_) => finding(&about, "bad", "has no name: big providers refuse it", fix),
        });
        let lists = LISTS.iter().map(|list| (*list).to_owned()).chain(config.inbound.dnsbl.iter().cloned());
        for list in lists {
            let about = format!("{list} {ip}");
            found.push(match dnsbl::ask(&Ask(resolver), ip, &list).await {
                Listing::Clear => finding(&about, "ok", "not listed", ""),
                Listing::Listed(code) => {
                    finding(&about, "bad", format!("listed ({code})"), format!("ask {list} why, and to be taken off"))
                }
                Listing::Unknown(why) => finding(&about, "unknown", why, "ask a resolver of your own ([dns] servers)"),
            });
        }
    }
    found
}

/// Can mail leave? `to` is a server to try; else the smarthost, else a big provider's.
pub(crate) async fn way_out(resolver: &Resolver, config: &Config, to: Option<&str>) -> Finding {
    let (host, port) = match (to, &config.relay) {
        (Some(to), _) => match to.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?))) {
            Some((host, port)) => (host.trim_matches(['[', ']']).to_owned(), port),
            None => (to.to_owned(), 25),
        },
        (None, Some(relay)) => (relay.host.clone(), relay.port),
        (None, None) => match resolver.mx_records("gmail.com").await.ok().and_then(|hosts| hosts.into_iter().next()) {
            Some((_, host)) => (host, 25),
            None => return finding("way out", "unknown", "DNS does not say where gmail.com's mail goes", "ask again"),
        },
    };
    let about = format!("way out to {host}:{port}");
    let fix = "ask the provider to open port 25 out, or name a smarthost in [outbound.relay]";
    let addresses: Vec<IpAddr> = resolver.addresses(&host).await.unwrap_or_default();
    let mut last = "it has no address".to_owned();
    for ip in addresses.into_iter().take(4) {
        match timeout(Duration::from_secs(10), tokio::net::TcpStream::connect((ip, port))).await {
            Ok(Ok(_)) => return finding(&about, "ok", format!("{ip} answers"), ""),
            Ok(Err(error)) => last = format!("{ip}: {error}"),
            Err(_) => last = format!("{ip} does not answer within 10 seconds"),
        }
    }
    finding(&about, "bad", last, fix)
}

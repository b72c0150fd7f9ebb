//! Aggregate reports: ours are sent once a day, those of others are found in the postmaster's mail and kept to be shown.
//!
//! RFC 9990; those about TLS (RFC 8460) are made by `outbound::tls_reports`. Invariant: a report goes only to addresses whose domain wants it (§4), has the null reverse-path, and is sent once; what
//! others send is unpacked within bounds. Must not know: the command line.

use super::Ask;
use super::counts::day_of;
use crate::context::{Shared, unix_now};
use crate::facts::facts_of;
use flate2::Compression;
use flate2::read::{DeflateDecoder, GzDecoder};
use flate2::write::GzEncoder;
use mta::route::destination_of;
use std::io::{Read, Write};
use std::time::Duration;
use store::{Acceptance, NewQueueEntry, QueueRecipient, RecipientState, Spooled, Store, StoreError, TrustKind};
use tokio::sync::{Mutex, Semaphore};
use trust::aggregate::{Report, Row};
use trust::dmarc::{Record, takes_reports};
use trust::tls_report;

/// How often it is looked whether a day is over.
const LOOK_EVERY: Duration = Duration::from_secs(900);
/// Octets of a message that is looked through for reports.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Octets of all that is unpacked of one message.
const REPORT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Messages that wait to be looked through; what comes meanwhile only lies in the postmaster's mailbox.
const WAITING_MAX: usize = 16;
/// Octets of one report as it is kept, packed and not.
const KEPT_BYTES_MAX: usize = 200 * 1024;
const KEPT_TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Reports of others that are kept, and their octets together; the oldest go.
pub const KEPT_MAX: usize = 2_000;
const ALL_KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Reports in one message.
const IN_MESSAGE_MAX: usize = 4;

/// Sends what is due, until the server drains.
pub async fn run(context: Shared) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = context.draining() => return,
            _ = tick.tick() => send_due(&context, unix_now()).await,
        }
    }
}

/// Sends the reports of every day before that of `now_secs`.
pub async fn send_due(context: &Shared, now_secs: i64) {
    for ((day, domain), rows) in context.trust.counts.over(now_secs) {
        let (names, rows): (Vec<String>, Vec<Row>) = rows.into_iter().unzip();
        let outcome = match send(context, day, &domain, rows, now_secs).await {
            Ok(true) => context.trust.counts.forget(&context.store, &names).await,
            // DNS did not answer: the next look, for a week.
            Ok(false) if day_of(now_secs) - day < 7 => Ok(()),
            Ok(false) => context.trust.counts.forget(&context.store, &names).await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::warn!(?error, domain, "a report could not be sent");
        }
    }
}

/// `false`: DNS did not answer.
async fn send(context: &Shared, day: i64, domain: &str, rows: Vec<Row>, now_secs: i64) -> Result<bool, StoreError> {
    let Some(resolver) = &context.trust.resolver else { return Ok(false) };
    let texts = match resolver.txt(&format!("_dmarc.{domain}")).await {
        Ok(texts) => texts,
        Err(error) => return Ok(!error.is_temporary()),
    };
    let Some(record) = texts.iter().find_map(|text| Record::parse(text)) else { return Ok(true) };
    let mut to = Vec::new();
    for address in &record.reports_to {
        let receiver = mta::receive::domain_of(address).unwrap_or_default();
        match takes_reports(&Ask(resolver), domain, &receiver).await {
            Ok(true) => to.push(address.clone()),
            Ok(false) => tracing::info!(domain, address, "does not want these reports"),
            Err(_) => return Ok(false),
        }
    }
    let Some(own) = context.domains.first().filter(|_| !to.is_empty()) else { return Ok(true) };
    let report = report(context, own, day, domain, &record, rows);
    let message = message(&report, &context.hostname, own, &to, now_secs);
    let signature = mta::submit::sign(message.as_bytes(), now_secs, |domain| context.trust.keys.signers(domain, now_secs));
    let octets = bytes::Bytes::from(format!("{signature}{message}"));
    let facts = facts_of(octets.clone()).await?;
    let queue = to.iter().map(|address| entry(address, unix_now(), context.smtp.schedule.lifetime_secs)).collect();
    let key = blake3::hash(format!("dmarc report {day} {domain}").as_bytes());
    let idempotency = key.as_bytes().first_chunk::<16>().copied();
    let body = Spooled::from_bytes(octets);
    context.store.accept(Acceptance { body, facts, deliveries: Vec::new(), queue, trace: Vec::new(), idempotency }).await?;
    tracing::info!(domain, day, "a DMARC report is on its way");
    Ok(true)
}

fn report(context: &Shared, own: &str, day: i64, domain: &str, record: &Record, rows: Vec<Row>) -> Report {
    let word = |policy: Option<trust::dmarc::Policy>| policy.map(|policy| policy.word().to_owned()).unwrap_or_default();
    Report {
        organization: own.to_owned(),
        email: format!("postmaster@{own}"),
        id: format!("{day}.{domain}@{}", context.hostname),
        begin_secs: day * 86_400,
        end_secs: (day + 1) * 86_400 - 1,
        domain: domain.to_owned(),
        policy: record.policy.word().to_owned(),
        subdomains: word(record.subdomains),
        nonexistent: word(record.nonexistent),
        testing: record.testing,
        dkim_strict: record.dkim_strict,
        spf_strict: record.spf_strict,
        rows,
    }
}

/// RFC 9990 §3.5: a gzip attachment whose name tells who reports about whom and when.
fn message(report: &Report, hostname: &str, own: &str, to: &[String], now_secs: i64) -> String {
    let packed = packed(report.render().as_bytes()).unwrap_or_default();
    let name = format!("{hostname}!{}!{}!{}.xml.gz", report.domain, report.begin_secs, report.end_secs);
    let date = message::date::format_rfc_5322(now_secs);
    let (total, failed) = report.totals();
    format!(
        "From: <postmaster@{own}>\r\nTo: <{}>\r\nSubject: Report Domain: {} Submitter: {hostname} Report-ID: <{}>\r\nDate: {date}\r\nMessage-ID: <{}>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"report\"\r\n\r\n--report\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nDMARC report about {} by {hostname}: {total} messages, {failed} of them unconfirmed.\r\n--report\r\nContent-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\r\n{}\r\n--report--\r\n",
        to.join(">,\r\n <"),
        report.domain,
        report.id,
        report.id,
        report.domain,
        base64_lines(&packed),
    )
}

/// By gzip.
pub(crate) fn packed(octets: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(octets)?;
    packer.finish()
}

/// Without the last line's end.
pub(crate) fn base64_lines(octets: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(octets);
    let lines: Vec<&str> = text.as_bytes().chunks(76).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    lines.join("\r\n")
}

/// A report of ours on its way: nobody is told how it fares.
pub(crate) fn entry(address: &str, now_secs: i64, lifetime_secs: i64) -> NewQueueEntry {
    NewQueueEntry {
        destination: destination_of(address),
        reverse_path: String::new(),
        recipients: vec![QueueRecipient {
            address: address.to_owned(),
            original: None,
            notify: QueueRecipient::NOTIFY_NEVER,
            state: RecipientState::Waiting,
            last_reply: String::new(),
            delay_told: false,
        }],
        account: None,
        due_secs: now_secs,
        expires_secs: now_secs + lifetime_secs,
        eight_bit: false,
        smtputf8: false,
        ret_headers: true,
        envelope_id: None,
        service: Default::default(),
    }
}

/// Could this message be a report? Looked at before anything is unpacked.
pub(crate) fn is_likely(octets: &[u8]) -> bool {
    if octets.len() > MESSAGE_BYTES_MAX {
        return false;
    }
    let subject = message::header::first(octets, "Subject").map(|field| field.text().to_ascii_lowercase()).unwrap_or_default();
    ["report domain:", "dmarc", "tls"].iter().any(|word| subject.contains(word))
}

/// Who looks through the postmaster's mail: anybody may write there, so one message at a time.
pub struct Reader {
    places: Semaphore,
    turn: Mutex<()>,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader { places: Semaphore::new(WAITING_MAX), turn: Mutex::default() }
    }
}

impl Reader {
    /// Finds the reports of a message, and keeps them.
    pub(crate) async fn take_in(&self, store: &Store, octets: bytes::Bytes, now_secs: i64) {
        let Ok(_place) = self.places.try_acquire() else {
            tracing::warn!("too many reports come at once: one is not looked at");
            return;
        };
        let _turn = self.turn.lock().await;
        let found = tokio::task::spawn_blocking(move || reports_of(&octets)).await.unwrap_or_default();
        for report in found {
            if let Err(error) = keep(store, &report, now_secs).await {
                tracing::warn!(?error, "a report could not be kept");
            }
        }
    }
}

/// A report of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// About mail that claimed to be ours (RFC 9990).
    Dmarc(Report),
    /// About TLS to our servers (RFC 8460).
    Tls(tls_report::Report),
}

impl Received {
    fn parse(text: &str) -> Option<Received> {
        match text.trim_start().starts_with('{') {
            true => tls_report::Report::parse(text.as_bytes()).map(Received::Tls),
            false => Report::parse(text).ok().map(Received::Dmarc),
        }
    }

    /// Version byte, when its time ended, what makes it this one, and how it is written.
    fn parts(&self) -> (u8, i64, String, String) {
        match self {
            Received::Dmarc(report) => {
                let likeness = format!("{}\0{}\0{}", report.organization, report.id, report.domain);
                (DMARC, report.end_secs, likeness, report.render())
            }
            Received::Tls(report) => (TLS, report.end_secs, format!("{}\0{}", report.organization, report.id), report.render()),
        }
    }
}

fn reports_of(octets: &[u8]) -> Vec<Received> {
    let message = message::parse(octets);
    let (mut found, mut left) = (Vec::new(), REPORT_BYTES_MAX);
    for part in message.parts.iter().filter(|part| !part.is_text() || part.content_type.is("text", "xml")) {
        let content = part.content();
        let Some(text) = unpack(&content, left) else { continue };
        left = left.saturating_sub(text.len() as u64);
        found.extend(Received::parse(&text));
        if found.len() >= IN_MESSAGE_MAX || left == 0 {
            break;
        }
    }
    found
}

/// See `fuzzing`.
pub(crate) fn fuzz(octets: &[u8]) {
    for report in reports_of(octets) {
        let (_, _, _, text) = report.parts();
        match (Received::parse(&text), report) {
            (Some(Received::Dmarc(again)), Received::Dmarc(report)) => assert_eq!(again, report),
            (Some(Received::Tls(again)), Received::Tls(report)) => assert_eq!(again.policies, report.policies),
            (again, report) => assert!(again.is_some(), "{report:?} is written as {text}"),
        }
    }
}

/// XML or JSON as it is, in gzip, or the first file of a zip archive; so many octets of it at most.
fn unpack(octets: &[u8], most: u64) -> Option<String> {
    let mut out = Vec::new();
    match octets {
        [0x1f, 0x8b, ..] => GzDecoder::new(octets).take(most).read_to_end(&mut out).ok()?,
        [b'P', b'K', 3, 4, ..] => unzip(octets)?.take(most).read_to_end(&mut out).ok()?,
        [b'<' | b'{' | 0xef | b' ' | b'\r' | b'\n', ..] => octets.take(most).read_to_end(&mut out).ok()?,
        _ => return None,
    };
    Some(String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The first file, by its local header; an archive that tells the size only behind it works too, for the stream knows its end.
fn unzip(octets: &[u8]) -> Option<Box<dyn Read + '_>> {
    let short = |at: usize| Some(u16::from_le_bytes(*octets.get(at..)?.first_chunk::<2>()?));
    let data = octets.get(30 + usize::from(short(26)?) + usize::from(short(28)?)..)?;
    match short(8)? {
        0 => {
            let length = u32::from_le_bytes(*octets.get(18..)?.first_chunk::<4>()?);
            Some(Box::new(data.get(..usize::try_from(length).ok()?)?))
        }
        8 => Some(Box::new(DeflateDecoder::new(data))),
        _ => None,
    }
}

/// What is kept begins with one of these.
const DMARC: u8 = 1;
const TLS: u8 = 2;

async fn keep(store: &Store, report: &Received, now_secs: i64) -> Result<(), StoreError> {
    let (version, end_secs, likeness, text) = report.parts();
    let packed = packed(text.as_bytes()).map_err(|error| StoreError::Io(error.to_string()))?;
    if packed.len() > KEPT_BYTES_MAX || text.len() > KEPT_TEXT_BYTES_MAX {
        return Err(StoreError::Invalid("the report is too large to keep"));
    }
    let likeness = blake3::hash(likeness.as_bytes());
    let end = end_secs.clamp(0, now_secs + 86_400);
    let name = format!("{end:012}-{}", likeness.to_hex().get(..8).unwrap_or_default());
    let value = [&[version], now_secs.to_be_bytes().as_slice(), &packed].concat();
    let kept = store.trust_rows(TrustKind::Report, "", None, KEPT_MAX + 1).await?;
    let (mut count, mut all) = (kept.len(), kept.iter().map(|(_, value)| value.len()).sum::<usize>() + value.len());
    let too_many = kept.into_iter().take_while(|(_, value)| {
        let goes = count >= KEPT_MAX || all > ALL_KEPT_BYTES_MAX;
        (count, all) = (count.saturating_sub(1), all.saturating_sub(value.len()));
        goes
    });
    let mut rows: Vec<(String, Option<Vec<u8>>)> = too_many.map(|(oldest, _)| (oldest, None)).collect();
    rows.push((name, Some(value)));
    store.trust_set(TrustKind::Report, rows).await
}

/// What `told` makes of what is kept (name, when it came, the report), or of this one alone; the newest first, and one after
/// the other: a small file may be a large report.
pub async fn kept<T>(store: &Store, only: Option<&str>, told: impl Fn(&str, i64, Received) -> T) -> Result<Vec<T>, StoreError> {
    let rows = store.trust_rows(TrustKind::Report, "", None, KEPT_MAX + 1).await?;
    let read = |(name, octets): (String, Vec<u8>)| {
        let (came, packed) = octets.strip_prefix(&[DMARC]).or(octets.strip_prefix(&[TLS]))?.split_first_chunk::<8>()?;
        let report = Received::parse(&unpack(packed, REPORT_BYTES_MAX)?)?;
        Some(told(&name, i64::from_be_bytes(*came), report))
    };
    let wanted = |(name, _): &(String, Vec<u8>)| only.is_none_or(|only| only == name);
    Ok(rows.into_iter().rev().filter(wanted).filter_map(read).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn one() -> Report {
        let row = Row {
            source: Some([192, 0, 2, 1].into()),
            count: 5,
            disposition: "none".into(),
            header_from: "x.test".into(),
            ..Row::default()
        };
        Report {
            organization: "big.test".into(),
            id: "1".into(),
            begin_secs: 0,
            end_secs: 86_399,
            domain: "x.test".into(),
            policy: "none".into(),
            rows: vec![row],
            ..Report::default()
        }
    }

    #[test]
    fn what_we_send_is_what_we_find() {
        let text = message(&one(), "mx.here.test", "here.test", &["a@x.test".into(), "b@y.test".into()], 0);
        assert!(is_likely(text.as_bytes()) && text.contains("filename=\"mx.here.test!x.test!0!86399.xml.gz\""));
        assert_eq!(reports_of(text.as_bytes()), [Received::Dmarc(one())]);
    }

    #[test]
    fn zip_archives_and_bombs() {
        let xml = one().render();
        let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
        deflate.write_all(xml.as_bytes()).unwrap();
        let packed = deflate.finish().unwrap();
        let mut zip = b"PK\x03\x04\x14\0\x08\0\x08\0\0\0\0\0".to_vec();
        zip.extend([0; 12]);
        zip.extend([5, 0, 0, 0]);
        zip.extend(b"a.xml");
        zip.extend(&packed);
        assert_eq!(unpack(&zip, 100_000).unwrap(), xml);
        for cut in 0..zip.len().min(60) {
            let _ = unpack(&zip[..cut], 100_000);
        }
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        let zeros = vec![b' '; 1 << 20];
        for _ in 0..18 {
            bomb.write_all(&zeros).unwrap();
        }
        let bomb = bomb.finish().unwrap();
        assert_eq!(unpack(&bomb, REPORT_BYTES_MAX).unwrap().len() as u64, REPORT_BYTES_MAX);
        assert_eq!(unpack(b"%PDF", 9), None);
        // Each of a thousand parts would be unpacked to its bound.
        let part = format!(
            "--x\r\nContent-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            data_encoding::BASE64.encode(&bomb)
        );
        let report = super::packed(one().render().as_bytes()).unwrap();
        let good = part.replace(&data_encoding::BASE64.encode(&bomb), &data_encoding::BASE64.encode(&report));
        let head = "Subject: DMARC\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n";
        assert_eq!(reports_of(format!("{head}{good}{part}").as_bytes()), [Received::Dmarc(one())]);
        assert_eq!(reports_of(format!("{head}{part}{good}").as_bytes()), [], "nothing is unpacked behind a bomb");
    }

    async fn store() -> Store {
        let data_dir = "unused".into();
        let config = store::StoreConfig { data_dir, undo_days: 30, free_bytes_min: 0, free_bytes_tight: 0, message_bytes_max: 9 };
        Store::memory(config).await.unwrap()
    }

    /// Anybody may send them: they are bounded together, and the newest stay.
    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let store = store().await;
        let before = ALL_KEPT_BYTES_MAX / 100_000;
        let row = |number: usize| (format!("{number:012}-0"), Some(vec![DMARC; 100_000]));
        store.trust_set(TrustKind::Report, (0..before).map(row).collect()).await.unwrap();
        keep(&store, &Received::Dmarc(one()), 1_000_000).await.unwrap();
        let names = || async { store.trust_rows(TrustKind::Report, "", None, KEPT_MAX).await.unwrap() };
        assert_eq!(names().await.len(), before + 1, "there is room for a small one");
        keep(&store, &Received::Dmarc(Report { id: "2".into(), ..one() }), 1_000_000).await.unwrap();
        store.trust_set(TrustKind::Report, vec![row(before), row(before + 1)]).await.unwrap();
        keep(&store, &Received::Dmarc(Report { id: "3".into(), ..one() }), 1_000_000).await.unwrap();
        let rows = names().await;
        let all: usize = rows.iter().map(|(_, value)| value.len()).sum();
        assert!((ALL_KEPT_BYTES_MAX - 100_000..=ALL_KEPT_BYTES_MAX).contains(&all), "{all} in {}", rows.len());
        let newest = kept(&store, None, |name, _, report| (name.to_owned(), report)).await.unwrap();
        assert!(
            newest.len() == 3 && newest.iter().any(|(_, report)| *report == Received::Dmarc(Report { id: "3".into(), ..one() }))
        );
        assert_eq!(kept(&store, Some(&newest[1].0), |_, _, report| report).await.unwrap(), [newest[1].1.clone()]);
    }

    #[tokio::test]
    async fn of_too_many_at_once_some_are_not_looked_at() {
        let (store, reader) = (store().await, Reader::default());
        let turn = reader.turn.lock().await;
        let text = bytes::Bytes::from(message(&one(), "mx.here.test", "here.test", &["a@x.test".into()], 0));
        let all: Vec<_> = (0..WAITING_MAX).map(|_| reader.take_in(&store, text.clone(), 1_000)).collect();
        let mut waiting = std::pin::pin!(trust::dns::together(all));
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err());
        assert_eq!(reader.places.available_permits(), 0);
        reader.take_in(&store, text.clone(), 1_000).await;
        drop(turn);
        waiting.await;
        assert_eq!(reader.places.available_permits(), WAITING_MAX);
        assert_eq!(kept(&store, None, |_, _, _| ()).await.unwrap().len(), 1);
    }
}

//! Reads one corpus with `message` and with mail-parser, and says MB/s and allocations for each message.
//!
//! `bench-mime [--messages N] [--seed N] [--write FILE]`; FILE gets the corpus for `python.py`, each message behind its
//! length. Two tasks, the same for both: *everything* (every field read into its kind of value, every body decoded and
//! turned to text), and *tree* (structure and headers found; mail-parser cannot leave the bodies out).

use std::alloc::System;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Duration;

use mail_parser::MessageParser;
use message::address_list::HeaderAddress;
use message::header::Field;
use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[path = "../../../../crates/message/tests/corpus/generator.rs"]
mod generator;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What this thread has had of the processor: what else the machine does counts for nobody.
fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|a| a != name);
    arguments.next().and(arguments.next())
}

fn number(name: &str, default: u64) -> u64 {
    argument(name).map_or(default, |n| n.parse().expect("a number"))
}

/// Best of five, and the allocations of one round.
fn measure(name: &str, corpus: &[Vec<u8>], mut one: impl FnMut(&[u8]) -> usize) -> f64 {
    let bytes: usize = corpus.iter().map(Vec::len).sum();
    let region = Region::new(ALLOCATOR);
    let mut sum = 0;
    for message in corpus {
        sum += one(message);
    }
    let allocated = region.change();
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = now();
        for message in corpus {
            sum += one(message);
        }
        best = best.min(now() - start);
    }
    black_box(sum);
    let rate = bytes as f64 / 1e6 / best.as_secs_f64();
    let each = (allocated.allocations + allocated.reallocations) as f64 / corpus.len() as f64;
    let kilobytes = allocated.bytes_allocated as f64 / corpus.len() as f64 / 1e3;
    println!("{name:<34} {rate:>8.0} MB/s {each:>8.1} allocations/message {kilobytes:>9.1} kB/message");
    rate
}

/// A field's value as it is meant.
fn field(field: &Field<'_>) -> usize {
    let is = |names: &[&str]| names.iter().any(|name| field.is(name));
    match field.name.len() {
        2..=8 if is(&["from", "to", "cc", "bcc", "sender", "reply-to"]) => {
            let list = field.addresses();
            let one = |a: &HeaderAddress<'_>| match a {
                HeaderAddress::Mailbox { local, domain, .. } => a.name().map_or(0, |n| n.len()) + local.len() + domain.len(),
                _ => a.name().map_or(0, |n| n.len()),
            };
            list.iter().map(one).sum()
        }
        4 if is(&["date"]) => message::date::parse_rfc_5322(&field.value()).map_or(0, |d| d.unix_secs() as usize & 1),
        10..=11 if is(&["message-id", "in-reply-to", "references"]) => {
            let value = field.value();
            value.split(|b| b.is_ascii_whitespace()).map(|id| String::from_utf8_lossy(id).into_owned()).map(|id| id.len()).sum()
        }
        _ => field.text().len(),
    }
}

fn ours_everything(octets: &[u8]) -> usize {
    let parsed = message::parse(octets);
    let mut sum = 0;
    for part in &parsed.parts {
        sum += part.fields().map(|f| field(&f)).sum::<usize>();
        if part.kind == message::parse::PartKind::Leaf {
            sum += match part.text() {
                Some(text) => black_box(&text).len(),
                None => black_box(&part.content()).len(),
            };
            sum += part.file_name().map_or(0, |n| n.len());
        }
    }
    sum
}

fn theirs(parser: &MessageParser, octets: &[u8]) -> usize {
    parser.parse(octets).map_or(0, |m| black_box(&m).parts.len())
}

/// Two megabytes made to be slow, each under 50 ms per MB: parsed, every field read, facts computed.
fn spite() {
    for (name, octets) in generator::spiteful(2_000_000) {
        let round = || {
            let start = now();
            black_box(ours_everything(&octets) + message::Facts::compute(&octets).parts.len());
            now() - start
        };
        let best = (0..5).map(|_| round()).min().unwrap_or_default();
        let each = best.as_secs_f64() * 1e3 / (octets.len() as f64 / 1e6);
        println!("spite: {name:<42} {each:>6.1} ms/MB");
        assert!(each < 50.0, "{name} is too slow");
    }
}

/// HTML made to be slow: read as text under 50 ms per MB; made safe, for which a browser's parser builds a whole tree, in a
/// time that does not grow with the square.
fn spiteful_html() {
    let bytes = 2_000_000;
    let units = [
        ("opened elements", "<div>"),
        ("opened formatting", "<b><i>"),
        ("tables in tables", "<table><tr><td>"),
        ("attributes", "<p a=b c=d e=f g=h>"),
        ("entities", "&amp;&lt;&#x41;&notit;"),
        ("comments never closed", "<!-- "),
        ("angles", "<"),
        ("pictures from elsewhere", "<img src=http://t.test/p.gif width=1>"),
        ("styles", "<p style=\"color:red;background:url(http://t.test/a)\">x"),
        ("style sheets", "<style>p { color: red }</style>"),
        ("links", "<a href='http://here.test/?q=1'>x</a>"),
        ("words", "one two three &nbsp; four<br>"),
    ];
    for (name, unit) in units {
        let html = unit.repeat(bytes / unit.len());
        let time = |one: &dyn Fn() -> usize| {
            let round = || {
                let start = now();
                black_box(one());
                now() - start
            };
            (0..3).map(|_| round()).min().unwrap_or_default().as_secs_f64() * 1e3 / (html.len() as f64 / 1e6)
        };
        let safe = time(&|| message::html::sanitise(&html, &message::html::Policy::default()).html.len());
        let text = time(&|| message::html_text::text(&html).len());
        println!("spite: HTML of {name:<34} {safe:>6.1} ms/MB safe {text:>6.1} ms/MB text");
        assert!(safe < 400.0 && text < 50.0, "{name} is too slow");
    }
}

/// What delivery costs: facts of messages of the usual size, and what is kept of them.
fn facts_of_usual_messages() {
    let mut random = generator::Random::new(7);
    let some: Vec<Vec<u8>> = (0..2_000)
        .map(|i| generator::message(&mut random, generator::KINDS[i % generator::KINDS.len()]))
        .filter(|message| (5_000..10_000).contains(&message.len()))
        .collect();
    let round = || {
        let start = now();
        some.iter().for_each(|message| drop(black_box(message::Facts::compute(message))));
        now() - start
    };
    let best = (0..5).map(|_| round()).min().unwrap_or_default();
    let kept: usize = some.iter().map(|message| message::Facts::compute(message).encode().len()).sum();
    let (bytes, count) = (some.iter().map(Vec::len).sum::<usize>(), some.len().max(1));
    let each = best.as_secs_f64() * 1e6 / count as f64;
    println!("facts: {each:.1} us for a message of {} octets, {} kept ({count} messages)", bytes / count, kept / count);
    assert!(each < 40.0, "facts are too slow");
}

fn main() {
    let corpus = generator::corpus(number("--seed", 1), number("--messages", 2_000) as usize);
    let bytes: usize = corpus.iter().map(Vec::len).sum();
    if let Some(path) = argument("--write") {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path).expect("a file to write to"));
        for message in &corpus {
            file.write_all(&(message.len() as u64).to_le_bytes())
                .and_then(|()| file.write_all(message))
                .expect("room on the disk");
        }
    }
    println!("{} messages, {:.1} MB", corpus.len(), bytes as f64 / 1e6);
    let full = MessageParser::default();
    let least = MessageParser::new().with_mime_headers().default_header_ignore();
    let ours = measure("message: everything", &corpus, ours_everything);
    let other = measure("mail-parser: everything", &corpus, |m| theirs(&full, m));
    let tree = measure("message: tree", &corpus, |m| black_box(&message::parse(m)).parts.len());
    let other_tree = measure("mail-parser: least", &corpus, |m| theirs(&least, m));
    measure("message: facts", &corpus, |m| black_box(&message::Facts::compute(m)).parts.len());
    measure("message: examine", &corpus, |m| black_box(&message::parse(m).examine()).len());
    println!("everything: {:.2} times mail-parser; tree: {:.2} times", ours / other, tree / other_tree);
    facts_of_usual_messages();
    spite();
    spiteful_html();
    let only = argument("--kind");
    for kind in generator::KINDS.into_iter().filter(|kind| only.as_deref().is_none_or(|only| only == *kind)) {
        let mut random = generator::Random::new(7);
        let some: Vec<Vec<u8>> = (0..300).map(|_| generator::message(&mut random, kind)).collect();
        let ours = measure(&format!("message: {kind}"), &some, ours_everything);
        let other = measure(&format!("mail-parser: {kind}"), &some, |m| theirs(&full, m));
        println!("{kind}: {:.2} times", ours / other);
    }
}

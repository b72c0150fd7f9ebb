//! The generated corpus, which the benchmark reads too: every message is whole, and every law of a tree holds for it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, unreachable_pub)]

#[path = "corpus/generator.rs"]
mod generator;

use std::time::Duration;

use message::defect::DefectKind;
use message::{Facts, parse};
use rustix::time::{ClockId, clock_gettime};

#[test]
fn generated_messages_are_read_without_repair() {
    for (number, octets) in generator::corpus(42, 60).iter().enumerate() {
        let message = parse(octets);
        assert_eq!(message.root().raw(), octets, "{number}");
        let found = message.examine();
        // Encoded-words that are cut anywhere, and text that is not ASCII in a 7bit part, are as they come every day.
        let wrong = found.iter().filter(|d| !matches!(d.kind, DefectKind::EncodedWordCut | DefectKind::EightBitBody));
        assert_eq!(wrong.count(), 0, "{number}: {found:?}");
        let facts = Facts::compute(octets);
        assert!(!facts.subject.is_empty() && !facts.from.is_empty() && facts.date_secs.is_some() && facts.message_id.is_some());
        for (part, kept) in message.parts.iter().zip(&facts.parts) {
            assert_eq!((part.header.clone(), part.body.clone()), (kept.header(), kept.body()), "{number}");
            let pieces: Vec<u8> = part.contents().flat_map(|piece| piece.into_owned()).collect();
            assert_eq!(pieces, part.content().as_ref(), "{number}");
        }
    }
    assert_eq!(generator::corpus(1, 3), generator::corpus(1, 3));
}

#[test]
fn every_kind_is_what_it_is_called() {
    let mut random = generator::Random::new(3);
    for kind in generator::KINDS {
        let octets = generator::message(&mut random, kind);
        let message = parse(&octets);
        let depth = (0..message.parts.len()).map(|i| message.path(i).len()).max().unwrap();
        let types: Vec<&str> = message.parts.iter().map(|p| p.content_type.sub.as_str()).collect();
        let right = match kind {
            "newsletter" => types.contains(&"html"),
            "attachment" => message.parts.iter().any(|p| p.file_name().is_some()),
            "forward" => types.contains(&"rfc822"),
            "deep" => depth >= 3,
            "eight-bit" => message.root().charset() == Some(b"iso-8859-1"),
            _ => types == ["plain"],
        };
        assert!(right, "{kind}: {types:?}");
    }
}

fn everything(octets: &[u8]) -> usize {
    let message = parse(octets);
    let texts: usize = message.parts.iter().map(|p| p.text().map_or(0, |t| t.len()) + p.file_name().map_or(0, |n| n.len())).sum();
    texts + message.examine().len() + Facts::compute(octets).parts.len()
}

/// What this thread has had of the processor: what else the machine does counts for nobody.
fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// The least of a few: a cold cache only adds to it.
fn time_of(octets: &[u8]) -> Duration {
    let one = || {
        let start = now();
        everything(octets);
        now() - start
    };
    (0..3).map(|_| one()).min().unwrap()
}

#[test]
fn twice_the_spite_costs_twice_the_time() {
    const BYTES: usize = 12 * 1024;
    for ((name, once), (_, twice)) in generator::spiteful(BYTES).iter().zip(&generator::spiteful(2 * BYTES)) {
        // What grows with the square costs four times as much, every time.
        let ratio = || time_of(twice).as_secs_f64() / time_of(once).as_secs_f64();
        assert!((0..6).any(|_| ratio() <= 3.0), "{name}");
    }
}

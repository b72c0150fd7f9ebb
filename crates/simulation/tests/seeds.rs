//! Seeds. A failure prints its seed; `PACKETBOAT_SIM_SEED=n cargo test -p simulation --test seeds one_seed -- --nocapture`
//! plays it again and prints all that happened.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

use simulation::{Counts, Report, run};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Seeds of `make test`.
const SEEDS: u64 = 200;
/// Lines of the log shown of a seed that failed.
const LINES_SHOWN: usize = 60;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

fn show(report: &Report, lines: usize) {
    let from = report.log.len().saturating_sub(lines);
    for line in &report.log[from..] {
        println!("{line}");
    }
    println!("seed {}: {:?}, hash {:016x}", report.seed, report.counts, report.hash);
    for violation in &report.violations {
        println!("seed {}: VIOLATION: {violation}", report.seed);
    }
}

fn add(all: &mut Counts, one: &Counts) {
    all.messages += one.messages;
    all.promises += one.promises;
    all.connections += one.connections;
    all.disturbed_connections += one.disturbed_connections;
    all.faults += one.faults;
    all.lies += one.lies;
    all.acts += one.acts;
    all.virtual_secs += one.virtual_secs;
    all.lines += one.lines;
    all.impostures += one.impostures;
    all.protected += one.protected;
}

/// `PACKETBOAT_SIM_SEEDS` seeds (200 if not said) from `PACKETBOAT_SIM_FIRST` (1) on.
#[test]
fn seeds_keep_the_laws() {
    let first = number("PACKETBOAT_SIM_FIRST").unwrap_or(1);
    let count = number("PACKETBOAT_SIM_SEEDS").unwrap_or(SEEDS);
    let (next, began) = (AtomicU64::new(first), Instant::now());
    let all = Mutex::new((Counts::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(4) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let report = run(seed);
                    let mut all = all.lock().unwrap();
                    add(&mut all.0, &report.counts);
                    if !report.violations.is_empty() {
                        if all.1.len() < 3 {
                            show(&report, LINES_SHOWN);
                        }
                        all.1.push(seed);
                    }
                }
            });
        }
    });
    let (counts, mut failed) = all.into_inner().unwrap();
    failed.sort_unstable();
    println!("{count} seeds in {:.1} s: {counts:?}", began.elapsed().as_secs_f64());
    assert!(count < SEEDS || counts.impostures > 0 && counts.protected > 0, "TLS was neither tried nor used: {counts:?}");
    assert!(
        failed.is_empty(),
        "{} seeds broke a law: {failed:?}\nagain: PACKETBOAT_SIM_SEED={} cargo test -p simulation --test seeds one_seed -- --nocapture",
        failed.len(),
        failed.first().copied().unwrap_or(0)
    );
}

/// The same seed gives the same run, line for line.
#[test]
fn a_seed_repeats_itself() {
    for seed in [3, 14, 159] {
        let (one, two) = (run(seed), run(seed));
        let differ = one.log.iter().zip(&two.log).position(|(a, b)| a != b);
        if let Some(at) = differ {
            panic!("seed {seed} differs at line {at}:\n{}\n{}", one.log[at], two.log[at]);
        }
        assert_eq!((one.hash, one.log.len()), (two.hash, two.log.len()), "seed {seed}");
    }
    assert_ne!(run(3).hash, run(4).hash);
}

/// Seeds that once broke a law. 214, 283, 389, 392: a report of failure quoted nothing because the disk failed once while
/// the original was read; now it is read again. 3757, 5566: the disk failed once while a kept MTA-STS policy was read, and mail
/// went out as if there were none. What a seed means changes with the simulation's draws: these stay as they
/// cost little.
#[test]
fn kept_seeds() {
    for seed in [64, 129, 214, 283, 389, 392, 3757, 5566] {
        let report = run(seed);
        if !report.violations.is_empty() {
            show(&report, LINES_SHOWN);
        }
        assert!(report.violations.is_empty(), "seed {seed}: {:#?}", report.violations);
    }
}

/// `PACKETBOAT_SIM_SEED`, with all that happened.
#[test]
fn one_seed() {
    let report = run(number("PACKETBOAT_SIM_SEED").unwrap_or(1));
    show(&report, usize::MAX);
    assert!(report.violations.is_empty(), "{:#?}", report.violations);
}

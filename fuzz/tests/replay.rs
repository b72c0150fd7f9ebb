//! The corpus in the ordinary test run: every file through its target, and a seeded slice of mutations of each.
//!
//! Mutations are the same in every run; a slow machine stops earlier. A failure names file and seed; keep the octets it
//! prints as a new file of the corpus once the bug is fixed.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wire::laws::Random;

const MUTATIONS: u64 = 2_000;
const TIME_MAX: Duration = Duration::from_millis(1_200);
const CORPUS_BYTES_MAX: u64 = 2 * 1024 * 1024;
const CORPUS_FILES_MAX: usize = 6_000;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The files of a target, in the order of their names.
fn files(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(corpus().join(target)).unwrap_or_else(|_| panic!("{target} has no corpus"));
    let mut files: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

fn run(target: fn(&[u8]), what: &str, octets: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target(octets))).is_err() {
        panic!("{what}: b\"{}\"", octets.escape_ascii());
    }
}

fn replay(name: &str) {
    let (_, target) = fuzz::TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let files = files(name);
    assert!(!files.is_empty(), "{name} has an empty corpus");
    run(*target, name, b"");
    for (file, octets) in &files {
        run(*target, &format!("{name}/{file}"), octets);
    }
    let begun = Instant::now();
    for seed in 1..=MUTATIONS {
        if begun.elapsed() > TIME_MAX {
            break;
        }
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (file, octets) = &files[random.below(files.len())];
        let (_, other) = &files[random.below(files.len())];
        let mut mutated = octets.clone();
        for _ in 0..=random.below(4) {
            mutate(&mut mutated, other, &mut random);
        }
        run(*target, &format!("{name}/{file}, mutated with seed {seed}"), &mutated);
    }
}

const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b".",
    b" ",
    b"\"",
    b"\\",
    b"(",
    b")",
    b"<",
    b">",
    b"@",
    b":",
    b";",
    b",",
    b"=",
    b"?",
    b"\0",
    b"\xff",
    b"\xc3\xa4",
    b"*",
    b"{3}\r\n",
    b"{3+}\r\n",
    b"&",
    b"--",
    b"%",
    b"NIL",
    b"0",
    b"4294967295",
    b"18446744073709551616",
    b"\r\n.\r\n",
    b"=\r\n",
    b"\t",
];

fn mutate(octets: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(octets.len() + 1);
    let end = (at + 1 + random.below(16)).min(octets.len());
    match random.below(7) {
        0 => drop(octets.drain(at..end)),
        1 => drop(octets.splice(at..at, TOKENS[random.below(TOKENS.len())].iter().copied())),
        2 => octets.truncate(at),
        3 => {
            let piece = octets[at..end].to_vec();
            octets.splice(at..at, piece);
        }
        4 => {
            let from = random.below(other.len() + 1);
            let to = (from + random.below(40)).min(other.len());
            octets.splice(at..at, other[from..to].iter().copied());
        }
        5 => octets[at..end].iter_mut().for_each(|octet| *octet = random.below(256) as u8),
        _ => octets[at..end].iter_mut().take(1).for_each(|octet| *octet ^= 1 << random.below(8)),
    }
}

macro_rules! replays {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        const TESTED: &[&str] = &[$(stringify!($target)),*];
    };
}

replays! {
    derived_facts office_document pdf_document packed_files aggregate_report arc_chain dkim_key dkim_signature dmarc_record forged_results spf_record
    address address_list autoconfig_file charset configuration control_request date dns_answer dsn encoded_word explain header_fields imap_client imap_client_dialog imap_command
    jmap_request imap_fetch imap_list_pattern imap_mailbox_name imap_response imap_search imap_sequence_set imap_server
    imap_server_dialog mbox_file message_build message_facts message_parse parameter pop3_client pop3_client_dialog pop3_command
    pop3_multiline pop3_reply pop3_server proxy_header report_fields safe_html pop3_server_dialog sasl_client sasl_pair sasl_server search_text smtp_client
    smtp_client_dialog smtp_command smtp_data smtp_ehlo smtp_reply smtp_server smtp_server_dialog store_row
    store_segment sts_policy tls_report tlsa transfer
}

#[test]
fn every_target_has_a_corpus_a_binary_and_a_test() {
    let targets: BTreeSet<String> = fuzz::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let entries = |dir: PathBuf| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    assert_eq!(TESTED.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), targets);
    assert_eq!(entries(corpus()).map(stem).collect::<BTreeSet<_>>(), targets);
    assert_eq!(entries(corpus().with_file_name("fuzz_targets")).map(stem).collect::<BTreeSet<_>>(), targets);
}

#[test]
fn the_corpus_is_small() {
    let files: Vec<_> = fuzz::TARGETS.iter().flat_map(|(name, _)| files(name)).collect();
    let octets: u64 = files.iter().map(|(_, octets)| octets.len() as u64).sum();
    assert!(files.len() <= CORPUS_FILES_MAX && octets <= CORPUS_BYTES_MAX, "{} files, {octets} octets", files.len());
}

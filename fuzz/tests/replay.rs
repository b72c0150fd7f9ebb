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
    ($($module:ident: $($target:ident)+;)+) => {
        $($(#[test]
        fn $target() {
            replay(stringify!($target));
        })+)+
    };
}

fuzz::targets!(replays);

#[test]
fn every_corpus_has_a_target() {
    let corpora = std::fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let targets: BTreeSet<String> = fuzz::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(corpora.collect::<BTreeSet<_>>(), targets);
}

/// Names of functions that read what somebody else wrote.
const READERS: &[&str] =
    &["parse", "decode", "decompress", "read", "find", "from_text", "of_header", "servers", "sanitise", "back", "to_local"];

/// Readers that no target names, with the one that gets there.
const ON_THE_WAY: &[(&str, &str)] = &[
    ("authentication_results::parse", "derived_facts"),
    ("charset::decode", "charset"),
    ("ContentType::parse", "message_parse"),
    ("Disposition::parse", "message_parse"),
    ("ContentFields::read", "message_parse"),
    ("encoded_word::decode", "encoded_word"),
    ("EnvelopeFields::read", "message_facts"),
    ("html_text::read", "derived_facts"),
    ("mapi::parse", "packed_files"),
    ("parse::parse", "message_parse"),
    ("Canon::parse", "dkim_signature"),
    ("Section::from_text", "imap_fetch"),
    ("ResponseCode::parse", "pop3_reply"),
    ("Mechanism::parse", "imap_client"),
];

/// What only this machine writes: the configuration, names of files, rows of the queue.
const OURS: &[&str] = &["Binding::parse", "CapabilityOff::parse", "Name::read", "route::read"];

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

/// `pub fn` of these names that take text or octets, as `Type::name` or `file::name`; and `SESSION path` for every session.
fn readers(path: &Path, source: &str) -> Vec<String> {
    let stem = path.file_stem().unwrap().to_string_lossy();
    let (mut of, mut found) = (String::new(), Vec::new());
    for line in source.split("#[cfg(test)]").next().unwrap().lines() {
        if line.starts_with("impl") {
            let of_type = line.split(" for ").last().unwrap().trim_start_matches("impl ").trim_start_matches("impl<'a> ");
            of = of_type.split([' ', '<']).next().unwrap().to_owned();
            found.extend(line.starts_with("impl Session for ").then(|| format!("SESSION {}", path.display())));
        } else if line == "}" {
            of.clear();
        }
        let Some((name, arguments)) = line.trim().strip_prefix("pub fn ").and_then(|rest| rest.split_once('(')) else { continue };
        let takes_text = !arguments.contains("self") && (arguments.contains("[u8]") || arguments.contains("str"));
        let of = if of.is_empty() { &*stem } else { of.as_str() };
        found.extend((takes_text && READERS.contains(&name)).then(|| format!("{of}::{name}")));
    }
    found
}

#[test]
fn every_parser_and_session_has_a_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut said, mut code) = (Vec::new(), Vec::new());
    sources(&root.join("src"), &mut said);
    sources(&root.with_file_name("crates"), &mut code);
    let is_door = |path: &Path| path.ends_with("fuzzing.rs") || path.ends_with("client/src/mbox.rs");
    code.retain(|(path, text)| {
        said.extend(is_door(path).then(|| (path.clone(), text.clone())));
        let path = path.to_string_lossy();
        path.contains("/src/") && !["tests", "fuzzing.rs", "/tidy/", "/simulation/"].iter().any(|part| path.contains(part))
    });
    let said: String = said.into_iter().map(|(_, text)| text).collect();
    let targets: BTreeSet<&str> = fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
    let mut missing = Vec::new();
    let mut sessions = 0;
    for reader in code.iter().flat_map(|(path, source)| readers(path, source)) {
        let known = match reader.strip_prefix("SESSION ").map(|path| path.trim_end_matches(".rs").rsplit('/').collect::<Vec<_>>())
        {
            Some(path) if path[1] == "src" || path[0] == "connection" => continue,
            Some(path) => {
                sessions += 1;
                ["", "_dialog"].iter().all(|kind| targets.contains(&*format!("{}_{}{kind}", path[1], path[0])))
            }
            None => {
                let on_the_way = ON_THE_WAY.iter().any(|(name, target)| *name == reader && targets.contains(target));
                said.contains(&reader) || on_the_way || OURS.contains(&reader.as_str())
            }
        };
        missing.extend((!known).then_some(reader));
    }
    assert!(missing.is_empty() && sessions == 6, "no target for {missing:?}; {sessions} sessions");
}

#[test]
fn the_corpus_is_small() {
    let files: Vec<_> = fuzz::TARGETS.iter().flat_map(|(name, _)| files(name)).collect();
    let octets: u64 = files.iter().map(|(_, octets)| octets.len() as u64).sum();
    assert!(files.len() <= CORPUS_FILES_MAX && octets <= CORPUS_BYTES_MAX, "{} files, {octets} octets", files.len());
}

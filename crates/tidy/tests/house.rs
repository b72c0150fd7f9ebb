//! Walls (what may import what), sizes, words, licences, and the RFC table against the tree.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// All files that git tracks (or would track), relative to the root.
fn tracked() -> Vec<PathBuf> {
    let out = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "the tidy tests need a git checkout");
    let names = String::from_utf8(out.stdout).unwrap();
    names.split('\0').filter(|n| !n.is_empty()).map(PathBuf::from).filter(|p| root().join(p).is_file()).collect()
}

fn text(path: &Path) -> Option<String> {
    fs::read(root().join(path)).ok().and_then(|b| String::from_utf8(b).ok())
}

fn rust_sources(under: &str) -> Vec<(PathBuf, String)> {
    tracked()
        .into_iter()
        .filter(|p| p.starts_with(under) && p.extension().is_some_and(|e| e == "rs"))
        .filter_map(|p| text(&p).map(|t| (p, t)))
        .collect()
}

fn report(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Crate -> what of ours it may import.
const WALLS: &[(&str, &[&str])] = &[
    ("message", &[]),
    ("wire", &["message"]),
    ("store", &["message"]),
    ("trust", &["message"]),
    ("search", &["message", "store"]),
    ("net", &["wire"]),
    ("mta", &["message", "wire", "trust", "store"]),
    ("server", &["message", "wire", "trust", "store", "search", "mta", "net"]),
    ("client", &["message", "wire", "store", "mta", "net", "search"]),
    ("web", &["message", "wire", "store", "search", "mta", "net"]),
    ("footprint", &[]),
    ("packetboat", &["message", "wire", "trust", "store", "search", "mta", "net", "server", "client", "web", "footprint"]),
    ("simulation", &["message", "wire", "trust", "store", "search", "mta", "net", "server"]),
    ("tidy", &[]),
];

#[test]
fn no_crate_imports_through_a_wall() {
    let ours: BTreeSet<&str> = WALLS.iter().map(|(name, _)| *name).collect();
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let dir = entry.unwrap().path();
        let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
        let Some((_, allowed)) = WALLS.iter().find(|(n, _)| *n == name) else {
            found.push(format!("crates/{name}: no wall is written for it in this test"));
            continue;
        };
        let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap();
        if !manifest.contains("[lints]\nworkspace = true\n") && name != "footprint" {
            found.push(format!("crates/{name}/Cargo.toml: has lints of its own"));
        }
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap();
        for line in dependencies.lines() {
            let dependency = line.split(['.', '=', ' ']).next().unwrap();
            if ours.contains(dependency) && !allowed.contains(&dependency) {
                found.push(format!("crates/{name}/Cargo.toml: imports {dependency}"));
            }
        }
    }
    report(&found);
}

/// (words, where they may stand, what the rule is)
const WORDS: &[(&[&str], &[&str], &str)] = &[
    (
        &["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener"],
        &["crates/net/", "crates/web/", "crates/packetboat/", "crates/tidy/"],
        "only `net` opens mail sockets",
    ),
    (
        &["tokio::", "Instant::now", "SystemTime", "std::fs", "std::net::Tcp"],
        &[
            "crates/net/",
            "crates/store/",
            "crates/search/",
            "crates/mta/tests/",
            "crates/server/",
            "crates/client/",
            "crates/web/",
            "crates/footprint/",
            "crates/packetboat/",
            "crates/simulation/",
            "crates/tidy/",
        ],
        "message, wire, trust and mta are functions of their arguments",
    ),
    (&["rusqlite"], &["crates/store/src/engine", "crates/tidy/"], "only `store::engine` knows its engine"),
    (&["unsafe_code"], &["crates/footprint/", "crates/tidy/"], "only `footprint` has `unsafe`"),
];

#[test]
fn words_stand_only_where_they_may() {
    let mut found = Vec::new();
    for (path, source) in rust_sources("crates") {
        // Tests at a file's bottom may use what the code may not.
        let code = source.split("#[cfg(test)]").next().unwrap_or("");
        for (words, places, rule) in WORDS {
            let name = path.to_str().unwrap();
            let is_test = ["/tests/", "/tests.rs", "/examples/"].iter().any(|part| name.contains(part));
            if is_test || places.iter().any(|p| name.starts_with(p)) {
                continue;
            }
            for (i, line) in code.lines().enumerate() {
                let line = line.trim_start();
                if !line.starts_with("//") && words.iter().any(|w| line.contains(w)) {
                    found.push(format!("{}:{}: {rule}", path.display(), i + 1));
                }
            }
        }
    }
    report(&found);
}

/// What a peer must not find out octet by octet.
const SECRETS: [&str; 9] =
    ["password", "stored_key", "server_key", "client_key", "sha256", "hmac", "signature", "proof", "cookie"];

/// The last name of what stands at an end of this piece of a line: `&known.sha256` is `sha256`.
fn name_at(piece: &str, at_its_end: bool) -> &str {
    let is_part = |c: char| c.is_alphanumeric() || "_.&*()".contains(c);
    let piece = piece.trim();
    let word = match at_its_end {
        true => piece.rsplit(|c| !is_part(c)).next(),
        false => piece.split(|c| !is_part(c)).next(),
    };
    let mut word = word.unwrap_or_default().trim_end_matches(')').trim_end_matches('(');
    for as_octets in [".as_bytes", ".as_ref", ".as_slice", ".as_str"] {
        word = word.strip_suffix(as_octets).unwrap_or(word);
    }
    word.rsplit(['.', '&', '*', '(']).next().unwrap_or_default()
}

/// `==` stops where they differ. `wire::sasl::same`, a `blake3::Hash`, ring's `hmac::verify` do not (`tests/bench/secret_checks.py`).
#[test]
fn secrets_are_not_compared_with_an_operator() {
    let is_secret =
        |(one, other): (&str, &str)| SECRETS.contains(&name_at(one, true)) || SECRETS.contains(&name_at(other, false));
    assert!(is_secret((".any(|known| known.sha256 ", " hash)")) && is_secret(("if said ", " self.password.as_bytes() {")));
    assert!(!is_secret(("key.signature.len() ", " 64")) && !is_secret(("let has_password ", " one || other")));
    let mut found = Vec::new();
    for (path, source) in rust_sources("crates") {
        let name = path.to_str().unwrap();
        if !name.contains("/src/") || name.ends_with("tests.rs") || name.contains("/tests/") {
            continue;
        }
        let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or("");
        for (i, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            if ["==", "!="].iter().filter_map(|operator| line.split_once(operator)).any(is_secret) {
                found.push(format!("{}:{}: a secret is compared in constant time", path.display(), i + 1));
            }
        }
    }
    report(&found);
}

#[test]
fn files_are_short_and_well_named() {
    let mut found = Vec::new();
    for (path, source) in rust_sources("") {
        let lines = source.lines().count();
        if lines > 1000 && !source.contains("long file:") {
            found.push(format!("{}: {lines} lines and no `long file:` reason", path.display()));
        }
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if ["mod", "utils", "util", "common", "helpers", "helper", "manager"].contains(&stem) {
            found.push(format!("{}: not a name of a subject", path.display()));
        }
        if stem != "tests" && path.components().any(|c| c.as_os_str() == "src") && !source.trim_start().starts_with("//!") {
            found.push(format!("{}: no module head", path.display()));
        }
    }
    report(&found);
}

#[test]
fn no_machine_and_no_unfinished_work() {
    let machine = ["/wo", "rk/"].concat();
    let root_home = ["/ro", "ot/"].concat();
    let unfinished =
        [["todo", "!("].concat(), ["unimplemented", "!("].concat(), ["FIX", "ME"].concat(), ["#[ign", "ore"].concat()];
    let mut found = Vec::new();
    for path in tracked() {
        let Some(source) = text(&path) else { continue };
        for (i, line) in source.lines().enumerate() {
            let rust = path.extension().is_some_and(|e| e == "rs");
            if line.contains(&machine) || line.contains(&root_home) {
                found.push(format!("{}:{}: a path of one machine", path.display(), i + 1));
            }
            if rust && unfinished.iter().any(|u| line.contains(u.as_str())) {
                found.push(format!("{}:{}: unfinished", path.display(), i + 1));
            }
        }
    }
    report(&found);
}

/// docs/rfc.tsv: number, title, yes|partial|no, where, test.
#[test]
fn the_rfc_table_says_only_what_a_test_shows() {
    let table = fs::read_to_string(root().join("docs/rfc.tsv")).unwrap();
    let tests = all_tests();
    let mut found = Vec::new();
    let mut known = BTreeMap::new();
    for (i, line) in table.lines().enumerate().skip(1) {
        let place = format!("docs/rfc.tsv:{}", i + 1);
        let columns: Vec<&str> = line.split('\t').collect();
        let [number, _title, state, source, test] = columns[..] else {
            found.push(format!("{place}: {} columns, not 5", columns.len()));
            continue;
        };
        known.insert(number.to_owned(), state.to_owned());
        match state {
            "no" => {}
            "yes" | "partial" => {
                if !source.split_whitespace().all(|s| root().join(s).exists()) || source.is_empty() {
                    found.push(format!("{place}: `{source}` is not in the tree"));
                }
                for name in test.split_whitespace() {
                    if !is_test(&tests, name) {
                        found.push(format!("{place}: no test `{name}`"));
                    }
                }
                if test.is_empty() {
                    found.push(format!("{place}: {state}, but no test"));
                }
            }
            other => found.push(format!("{place}: `{other}` is not yes, partial or no")),
        }
    }
    for (path, source) in rust_sources("crates") {
        for piece in source.split("RFC ").skip(1) {
            let number: String = piece.chars().take_while(char::is_ascii_digit).collect();
            if !number.is_empty() && !known.contains_key(&number) {
                found.push(format!("{}: cites RFC {number}, which docs/rfc.tsv does not have", path.display()));
            }
        }
    }
    found.sort();
    found.dedup();
    report(&found);
}

/// The names of all tests: Rust functions with an attribute that makes them one, and `def test_...` of Python.
fn all_tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let name = |line: &str, word: &str| line.split(word).nth(1)?.split_once('(').map(|(name, _)| name.to_owned());
    for (_, source) in rust_sources("") {
        let mut is_marked = false;
        for line in source.lines().map(str::trim_start) {
            is_marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            if is_marked && !line.starts_with(['#', '/']) {
                tests.extend(name(line, "fn "));
                is_marked = false;
            }
        }
    }
    for path in tracked().iter().filter(|p| p.starts_with("tests") && p.extension().is_some_and(|e| e == "py")) {
        let source = text(path).unwrap_or_default();
        tests.extend(
            source.lines().filter(|line| line.trim_start().starts_with("def test_")).filter_map(|line| name(line, "def ")),
        );
    }
    tests
}

/// A file of the tree's tests, or a test by its name.
fn is_test(tests: &BTreeSet<String>, name: &str) -> bool {
    name.contains("tests/") && root().join(name).is_file() || tests.contains(name)
}

/// The words in capitals that the texts of a piece of source begin with.
fn words(source: &str) -> BTreeSet<&str> {
    let is_word = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_alphanumeric())
            && word.chars().any(|c| c.is_ascii_uppercase())
            && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-')
    };
    source.split('"').skip(1).step_by(2).filter_map(|text| text.split([' ', '{']).next()).filter(is_word).collect()
}

/// From a mark of a file to the end of that item.
fn item<'a>(source: &'a str, mark: &str, end: &str) -> &'a str {
    source.split(mark).nth(1).and_then(|rest| rest.split(end).next()).unwrap_or_else(|| panic!("no `{mark}`"))
}

/// What SMTP and POP3 announce, by the code that writes it.
fn announced() -> BTreeSet<String> {
    let source = |name: &str| text(Path::new(name)).unwrap_or_else(|| panic!("no {name}"));
    let mut all = BTreeSet::new();
    for (name, mark, end) in [
        ("crates/wire/src/smtp/ehlo.rs", "fn lines(", "\n    }\n"),
        ("crates/wire/src/smtp/wishes.rs", "fn lines(", "\n    }\n"),
        ("crates/wire/src/smtp/xclient.rs", "const OFFERED", ";\n"),
    ] {
        let source = source(name);
        // Of LIMITS its own words are not words of EHLO; AUTH is announced with its mechanisms.
        let found = words(item(&source, mark, end)).into_iter().filter(|word| !["RCPTMAX", "MAILMAX", "AUTH"].contains(word));
        all.extend(found.map(|word| format!("SMTP {word}")));
    }
    let mechanisms = source("crates/wire/src/sasl.rs");
    all.extend(words(item(&mechanisms, "fn name(", "\n    }\n")).into_iter().map(|word| format!("SMTP AUTH {word}")));
    let capabilities = source("crates/wire/src/pop3/capability.rs");
    let shown = item(&capabilities, "impl fmt::Display for Capability", "\n}\n");
    all.extend(words(shown).into_iter().map(|word| format!("POP3 {word}")));
    assert!(all.len() > 30 && all.contains("SMTP DSN") && all.contains("SMTP LIMITS") && all.contains("POP3 TOP"), "{all:?}");
    all
}

/// docs/extensions.tsv: every word that IMAP, SMTP and POP3 announce has a transcript or a test, and none announces another.
#[test]
fn every_word_announced_has_its_test() {
    let table = fs::read_to_string(root().join("docs/extensions.tsv")).unwrap();
    let tests = all_tests();
    let mut found = Vec::new();
    let mut shown = BTreeMap::new();
    for (i, line) in table.lines().enumerate().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [protocol, word, _, state, own, others] = columns[..] else { panic!("docs/extensions.tsv:{}: not 6 columns", i + 1) };
        // Of some no other program is known: looked for in Debian, PyPI and npm.
        let others = if others == "none known" { "" } else { others };
        let names: Vec<&str> = own.split_whitespace().chain(others.split_whitespace()).collect();
        let missing = names.iter().filter(|name| !is_test(&tests, name));
        found.extend(missing.map(|name| format!("docs/extensions.tsv:{}: no test `{name}`", i + 1)));
        if state == "yes" && names.is_empty() {
            found.push(format!("docs/extensions.tsv:{}: `{word}` has no test", i + 1));
        }
        shown.insert(format!("{protocol} {word}"), state.to_owned());
    }
    let source = text(Path::new("crates/wire/src/imap/capability.rs")).unwrap();
    let lists = ["const ALWAYS", "const SIGNED_IN"].map(|list| source.split(list).nth(1).unwrap().split("];").next().unwrap());
    for word in lists.iter().flat_map(|list| list.split('"').skip(1).step_by(2)) {
        if shown.get(&format!("IMAP {word}")).is_none_or(|state| state != "yes") {
            found.push(format!("IMAP announces {word}, which docs/extensions.tsv does not have"));
        }
    }
    for word in announced() {
        if shown.get(&word).is_none_or(|state| state != "yes") {
            found.push(format!("{word} is announced, but docs/extensions.tsv does not have it"));
        }
    }
    report(&found);
}

/// docs/client-bugs.tsv: each bug that bit somebody else's server has a test here.
#[test]
fn every_client_bug_has_its_test() {
    let table = fs::read_to_string(root().join("docs/client-bugs.tsv")).unwrap();
    let tests = all_tests();
    let mut found = Vec::new();
    for (i, line) in table.lines().enumerate().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_, _, names] = columns[..] else { panic!("docs/client-bugs.tsv:{}: not 3 columns", i + 1) };
        let missing = names.split(' ').filter(|name| !is_test(&tests, name));
        found.extend(missing.map(|name| format!("docs/client-bugs.tsv:{}: no test `{name}`", i + 1)));
    }
    let untold = (1..=25).filter(|number| !table.contains(&format!("\nC{number} ")));
    found.extend(untold.map(|number| format!("docs/client-bugs.tsv: C{number} is not there")));
    report(&found);
}

/// The same list as `deny.toml`, checked without another tool.
#[test]
fn every_dependency_has_a_permissive_licence() {
    let deny = fs::read_to_string(root().join("deny.toml")).unwrap();
    let list = deny.split("allow = [").nth(1).unwrap().split(']').next().unwrap();
    let allowed: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();
    // Of this platform: what others need has perhaps never been downloaded here.
    let version = String::from_utf8(Command::new("rustc").arg("-vV").output().unwrap().stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("").replace('/', " OR ");
        let any = licence
            .split(" OR ")
            .any(|side| side.split(" AND ").all(|one| allowed.contains(one.trim_matches(|c| c == '(' || c == ')' || c == ' '))));
        if !any {
            found.push(format!("{name}: licence `{licence}`"));
        }
        let source = package["source"].as_str().unwrap_or("registry+");
        if !source.starts_with("registry+") {
            found.push(format!("{name}: comes from {source}"));
        }
    }
    report(&found);
}

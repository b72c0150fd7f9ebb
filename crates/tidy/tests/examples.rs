//! Every public item of `message`, the crate that others use alone, is shown in an example that runs.
//!
//! The rule: an item counts when it has an example of its own, or one of its module names it; a type also when
//! something that counts takes it, gives it, or holds it. An example is a doc test: `cargo test --doc` runs it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(part) && !text[at + word.len()..].chars().next().is_some_and(part)
    })
}

/// The code between the fences of doc comments.
fn examples(source: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for line in source.lines() {
        let line = line.trim_start();
        let Some(text) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else { continue };
        if text.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            out.push_str(text);
            out.push('\n');
        }
    }
    out
}

struct Item {
    name: String,
    /// Signature, or fields.
    text: String,
    has_example: bool,
}

/// Public functions and types, in their order.
fn items(source: &str) -> Vec<Item> {
    let lines: Vec<&str> = source.lines().collect();
    let mut out = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(rest) = line.trim_start().strip_prefix("pub ") else { continue };
        let words = ["fn ", "const fn ", "struct ", "enum ", "trait "];
        let Some((word, rest)) = words.iter().find_map(|word| rest.strip_prefix(word).map(|rest| (*word, rest))) else {
            continue;
        };
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let indent = &line[..line.len() - line.trim_start().len()];
        let close = format!("{indent}}}");
        let ends = |line: &&&str| match word {
            "fn " | "const fn " => line.ends_with(['{', ';']),
            _ => **line == close || line.ends_with(';') || line.ends_with("{}"),
        };
        let len = lines[at..].iter().take_while(|line| !ends(line)).count() + 1;
        let code = |line: &&&str| !line.trim_start().starts_with("//");
        let text = lines[at..].iter().take(len).filter(code).copied().collect::<Vec<_>>().join("\n");
        let above = lines[..at].iter().rev().map(|line| line.trim_start());
        let mut docs = above.take_while(|line| line.starts_with("///") || line.starts_with("#["));
        out.push(Item { name, text, has_example: docs.any(|line| line.starts_with("/// ```")) });
    }
    out
}

/// Names of a file's items without an example.
fn unshown(source: &str, examples: &str) -> Vec<String> {
    let items = items(source);
    let mut shown: BTreeSet<usize> =
        (0..items.len()).filter(|i| items[*i].has_example || has_word(examples, &items[*i].name)).collect();
    loop {
        let is_type = |name: &str| name.starts_with(char::is_uppercase);
        let more = (0..items.len()).find(|i| {
            let name = items[*i].name.as_str();
            !shown.contains(i) && is_type(name) && shown.iter().any(|other| has_word(&items[*other].text, name))
        });
        let Some(more) = more else { break };
        shown.insert(more);
    }
    (0..items.len()).filter(|i| !shown.contains(i)).map(|i| items[i].name.clone()).collect()
}

/// Public modules, each with the sources of its files without their tests.
fn modules(src: &Path) -> Vec<(String, Vec<String>)> {
    let read = |path: &Path| fs::read_to_string(path).unwrap().split("\n#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
    let lib = read(&src.join("lib.rs"));
    let names = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let one = |name: &str| {
        let mut sources = vec![read(&src.join(name).with_extension("rs"))];
        for entry in fs::read_dir(src.join(name)).into_iter().flatten() {
            let path = entry.unwrap().path();
            if !path.ends_with("tests.rs") {
                sources.push(read(&path));
            }
        }
        (name.to_owned(), sources)
    };
    names.map(one).collect()
}

#[test]
fn every_public_item_of_message_has_an_example() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../message/src");
    let modules = modules(&src);
    assert!(modules.len() > 40);
    let mut found = Vec::new();
    for (module, sources) in modules {
        let examples: String = sources.iter().map(|source| examples(source)).collect();
        let names: Vec<String> = sources.iter().flat_map(|source| unshown(source, &examples)).collect();
        if !names.is_empty() {
            found.push(format!("{module}: {}", names.join(" ")));
        }
    }
    assert!(found.is_empty(), "without an example:\n{}", found.join("\n"));
}

#[test]
fn the_rule_sees_what_it_must() {
    let source = "/// ```\n/// let a = make();\n/// ```\npub fn make() -> One {\n}\npub struct One {\n    pub two: Two,\n}\n\
        pub enum Two {\n    A,\n}\npub struct Three;\npub fn make_it() {\n}\n";
    assert_eq!(unshown(source, &examples(source)), ["Three", "make_it"]);
}

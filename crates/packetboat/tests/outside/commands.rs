//! The operator's commands against a real store, with and without a server.

use crate::running::{Place, run};
use serde_json::json;

#[test]
fn every_mistake_of_the_configuration_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.toml");
    std::fs::write(
        &file,
        "hostname = \"a.org\"\ndata_dir = \"d\"\ndomains = []\n[listen]\nlmtp = [\"192.0.2.1:24\"]\nimpas = []\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    for command in ["serve", "account list"] {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.extend(["--config", file]);
        let output = run(&arguments, "");
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        for wanted in [
            ":3: wants at least one domain",
            ":5: lmtp on 192.0.2.1:24",
            ":6: unknown key `listen.impas`; did you mean `listen.imaps`?",
        ] {
            assert!(told.contains(&format!("{file}{wanted}")), "{wanted} in\n{told}");
        }
    }
}

#[test]
fn accounts_come_and_go() {
    let place = Place::new("");
    place.ok("account add ann@here.test --password-stdin", "correct horse\nnot the password\n");
    place.ok("account add bob@here.test --password-stdin --quota 1000000", "secret");
    let again = place.run("account add Ann@Here.Test --password-stdin", "x\n");
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stdout).contains("there is an account of that address"));
    let elsewhere = place.run("account add ann@elsewhere.test --password-stdin", "x\n");
    assert!(String::from_utf8_lossy(&elsewhere.stderr).contains("not among the served domains (here.test)"));
    let listed = place.json("account list", "");
    let accounts = listed["accounts"].as_array().unwrap();
    assert_eq!(accounts.len(), 2);
    assert_eq!(accounts[0]["address"], "ann@here.test");
    assert_eq!(accounts[0]["quota_bytes"], json!(null));
    assert_eq!(accounts[1]["quota_bytes"], 1_000_000);
    let shown = place.json("account show ann@here.test", "");
    assert!(shown["mailboxes"].as_array().unwrap().iter().any(|mailbox| mailbox["name"] == "INBOX"));
    assert_eq!(place.json("account suspend bob@here.test", "")["suspended"], true);
    assert!(place.ok("account list", "").contains("suspended"));
    assert_eq!(place.json("account resume bob@here.test", "")["suspended"], false);
    assert!(place.ok("account remove bob@here.test", "").starts_with("would remove the account bob@here.test"));
    assert_eq!(place.json("account list", "")["accounts"].as_array().unwrap().len(), 2);
    place.ok("account remove bob@here.test --yes", "");
    assert_eq!(place.json("account list", "")["accounts"].as_array().unwrap().len(), 1);
    assert_eq!(place.json("check", ""), json!({ "sound": true, "defects": [] }));
}

#[test]
fn aliases_come_and_go() {
    let place = Place::new("");
    place.ok("account add ann@here.test --password-stdin", "x\n");
    place.ok("alias add team@here.test ann@here.test carol@there.test", "");
    assert_eq!(place.run("alias add ann@here.test bob@there.test", "").status.code(), Some(1));
    assert_eq!(place.run("alias add loop@here.test loop@here.test", "").status.code(), Some(1));
    assert_eq!(place.run("alias add x@elsewhere.test ann@here.test", "").status.code(), Some(1));
    assert_eq!(
        place.json("alias list", ""),
        json!({ "aliases": [{ "address": "team@here.test", "targets": ["ann@here.test", "carol@there.test"] }] })
    );
    assert!(place.ok("alias remove team@here.test", "").starts_with("would remove the alias team@here.test"));
    place.ok("alias remove team@here.test --yes", "");
    assert_eq!(place.json("alias list", ""), json!({ "aliases": [] }));
    place.ok("check", "");
}

#[test]
fn an_empty_queue_and_nothing_to_undo() {
    let place = Place::new("");
    place.ok("account add ann@here.test --password-stdin", "x\n");
    assert_eq!(place.ok("queue list --json", ""), "{\"entries\":[]}\n");
    assert_eq!(place.json("undo list ann@here.test", ""), json!({ "entries": [] }));
    assert_eq!(place.run("queue show 7", "").status.code(), Some(1));
    let refused = place.run("queue retry 7 --json", "");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stdout).contains("there is no such queue entry"));
    assert_eq!(place.run("undo list nobody@here.test", "").status.code(), Some(1));
    assert_eq!(place.ok("queue drop --all", ""), "would drop 0 queue entries\nNothing is changed. To do it, give --yes.\n");
    let missing = place.run("undo restore ann@here.test 99 --json", "");
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stdout).contains("there is no such message to bring back"));
}

#[test]
fn who_asks_for_json_gets_it_about_every_mistake() {
    for words in ["frob --json", "account add --json", "queue drop --json", "account add a@b.test --quota 1G --json"] {
        let output = run(&words.split(' ').collect::<Vec<_>>(), "");
        assert_eq!(output.status.code(), Some(2), "{words}");
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(answer["error"].as_str().unwrap().starts_with("error: "), "{answer}");
    }
}

#[test]
fn many_accounts_at_once_or_none() {
    let place = Place::new("");
    let bad = place.run("account add --csv -", "ann@here.test,x\nnobody\n");
    assert_eq!(bad.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("-:2: wants `address,password`"));
    assert_eq!(place.json("account list", ""), json!({ "accounts": [] }));
    let lines: String = (0..40).map(|n| format!("u{n}@here.test,p{n}\n")).collect();
    let file = place.dir.path().join("people.csv");
    std::fs::write(&file, lines).unwrap();
    let answer = place.json(&format!("account add --csv {}", file.display()), "");
    assert_eq!(answer["added"].as_array().unwrap().len(), 40);
    assert_eq!(place.json("account list", "")["accounts"].as_array().unwrap().len(), 40);
    place.ok("check", "");
}

#[test]
fn a_lost_index_is_made_anew() {
    let place = Place::new("");
    place.ok("account add ann@here.test --password-stdin", "x\n");
    assert!(place.ok("rebuild", "").starts_with("would make the index of "));
    place.ok("rebuild --yes", "");
    place.ok("check", "");
}

#[test]
fn the_reference_of_the_configuration_is_printed() {
    let output = run(&["config"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\nundo_days = 30\n") && text.contains("\n[outbound]\n"), "{text}");
    let version = run(&["--version"], "");
    assert_eq!(String::from_utf8_lossy(&version.stdout), format!("packetboat {}\n", env!("CARGO_PKG_VERSION")));
}

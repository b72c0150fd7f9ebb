//! `packetboat trace`, `freeze`, `suppress` and the queue in bulk, through a running server.

use crate::running::{Place, Talk};

const LISTEN: &str = "[listen]\nsmtp = [\"127.0.0.1:0\"]\nsubmission = [\"127.0.0.1:0\"]\nimap = [\"127.0.0.1:0\"]\n[auth]\nplaintext = \"loopback\"\n[dns]\nservers = [\"127.0.0.1:1\"]\n";

/// The last line of a reply.
fn reply(talk: &mut Talk) -> String {
    loop {
        let line = talk.line();
        if line.as_bytes().get(3) != Some(&b'-') {
            return line;
        }
    }
}

fn expect(talk: &mut Talk, line: &str, code: &str) {
    talk.say(line);
    let answer = reply(talk);
    assert!(answer.starts_with(code), "{line}: {answer}");
}

fn deliver(address: &str, from: &str, to: &str, more: &[(&str, &str)]) {
    let mut talk = Talk::to(address);
    reply(&mut talk);
    expect(&mut talk, "EHLO client.test", "250");
    for (line, code) in more {
        expect(&mut talk, line, code);
    }
    expect(&mut talk, &format!("MAIL FROM:<{from}>"), "250");
    expect(&mut talk, &format!("RCPT TO:<{to}>"), "250");
    expect(&mut talk, "DATA", "354");
    let message = format!("From: <{from}>\r\nMessage-ID: <one@client.test>\r\nSubject: x\r\n\r\nsecret words\r\n.");
    expect(&mut talk, &message, "250");
    expect(&mut talk, "QUIT", "221");
}

#[test]
fn what_happened_to_a_message_and_who_threw_it_away() {
    let place = Place::new(LISTEN);
    let server = place.serve();
    place.ok("account add ann@here.test --password-stdin", "hunter2\n");
    deliver(&server.address("smtp"), "bob@there.test", "ann@here.test", &[("RCPT TO:<early@here.test>", "503")]);
    let mut imap = Talk::to(&server.address("imap"));
    imap.line();
    for command in ["LOGIN ann@here.test hunter2", "SELECT INBOX", "STORE 1 +FLAGS (\\Deleted)", "EXPUNGE"] {
        imap.say(&format!("a {command}"));
        assert!(imap.until("a ").pop().unwrap().starts_with("a OK "), "{command}");
    }
    for asked in ["one@client.test", "<one@client.test>", "ann@here.test"] {
        let told = place.ok(&format!("trace {asked}"), "");
        let places: Vec<Option<usize>> =
            ["accepted", "stored", "marked-deleted", "expunged"].iter().map(|what| told.find(&format!("  {what}"))).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{asked}: {told}");
        assert!(told.contains("in INBOX as UID 1: to <ann@here.test> from <bob@there.test>"), "{told}");
        assert!(told.contains("from INBOX, by IMAP ann@here.test from 127.0.0.1"), "{told}");
        assert!(!told.contains("secret words") && !told.contains("hunter2"), "{told}");
    }
    let events = place.json("trace 127.0.0.1", "");
    let events = events["events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["what"] == "connection"), "{events:#?}");
    assert!(events.iter().all(|event| event["keys"].is_array() && event["at_secs"].is_i64()));
    place.ok("account remove ann@here.test --yes", "");
    let told = place.ok("trace ann@here.test", "");
    assert!(told.starts_with("nothing is known about it"), "{told}");
    assert_eq!(server.stop().0, 0);
}

#[test]
fn the_queue_in_bulk_frozen_and_suppressed() {
    let place = Place::new(LISTEN);
    let server = place.serve();
    place.ok("account add ann@here.test --password-stdin", "x\n");
    assert_eq!(place.json("freeze other.test --why their-wish", "")["frozen"][0]["what"], "other.test");
    assert!(place.ok("freeze", "").contains("their-wish"));
    // One word for an account, a destination or everything.
    place.ok("freeze ann@here.test", "");
    let frozen = place.json("freeze all", "")["frozen"].as_array().unwrap().clone();
    let frozen: Vec<&str> = frozen.iter().filter_map(|one| one["what"].as_str()).collect();
    assert_eq!(frozen, ["all", "ann@here.test", "other.test"]);
    place.ok("thaw ann@here.test", "");
    // AGFubkBoZXJlLnRlc3QAeA==: NUL ann@here.test NUL x
    let sign_in = [("AUTH PLAIN AGFubkBoZXJlLnRlc3QAeA==", "235")];
    for to in ["carol@there.test", "dave@other.test", "erin@other.test"] {
        deliver(&server.address("submission"), "ann@here.test", to, &sign_in);
    }
    let listed = place.json("queue list --to other.test", "");
    assert_eq!(listed["entries"].as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(listed["entries"][0]["attempts"], 0, "it is frozen: {listed}");
    assert_eq!(place.json("queue list --from ann@here.test --to carol@there.test", "")["entries"].as_array().unwrap().len(), 1);
    assert_eq!(place.json("queue hold --to other.test", "")["done"].as_array().unwrap().len(), 2);
    assert_eq!(place.json("queue list --held", "")["entries"].as_array().unwrap().len(), 2);
    assert!(place.ok("queue drop --to dave@other.test", "").starts_with("would drop 1 queue entries"));
    assert_eq!(place.json("queue drop --to dave@other.test --yes", "")["done"].as_array().unwrap().len(), 1);
    place.ok("thaw other.test", "");
    assert_eq!(place.run("thaw other.test", "").status.code(), Some(1));
    let bulk = |act: &str| place.json(&format!("queue {act}"), "")["done"].as_array().unwrap().len();
    assert_eq!(bulk("release --to other.test"), 1, "by destination");
    assert_eq!(bulk("schedule --in 2h --from ann@here.test"), 2, "by sender");
    assert_eq!(bulk("retry --to erin@other.test"), 1, "by recipient");
    assert_eq!(bulk("reroute --via third.test --to carol@there.test"), 1);
    assert_eq!(bulk("reroute --via there.test --to carol@there.test"), 1);
    assert_eq!(bulk("hold --to erin@other.test"), 1);
    place.ok("thaw all", "");
    let erin = place.json("queue list --to erin@other.test", "")["entries"][0]["id"].to_string();
    place.ok(&format!("queue reroute --via [192.0.2.1] {erin}"), "");
    let shown = place.json(&format!("queue show {erin}"), "");
    assert_eq!((shown["entry"]["destination"].as_str(), shown["entry"]["held"].as_bool()), (Some("[192.0.2.1]"), Some(true)));
    assert!(place.ok(&format!("trace {erin}"), "").contains("  rerouted"));
    place.ok("suppress add gone@there.test --why left", "");
    let mut talk = Talk::to(&server.address("submission"));
    reply(&mut talk);
    expect(&mut talk, "EHLO client.test", "250");
    expect(&mut talk, sign_in[0].0, "235");
    expect(&mut talk, "MAIL FROM:<ann@here.test>", "250");
    expect(&mut talk, "RCPT TO:<gone@there.test>", "550");
    place.ok("suppress remove gone@there.test", "");
    expect(&mut talk, "RCPT TO:<gone@there.test>", "250");
    assert_eq!(place.ok("alarms", ""), "no alarm\n");
    assert_eq!(server.stop().0, 0);
    assert_eq!(place.json("queue list", "")["entries"].as_array().unwrap().len(), 2, "also after a stop");
    place.ok("check", "");
}

//! `Email/query` finds what IMAP's SEARCH finds, with an index and without; `queryChanges` tells what became of a list.

use crate::office::{NOW, Office};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A small generator, so that every run is the same one.
struct Dice(u64);

impl Dice {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

const WORDS: [&str; 6] = ["boat", "Grüße", "invoice", "PLAN", "kick-off", "café"];

async fn filled(office: &Office, dice: &mut Dice, number: i64) {
    for at in 0..number {
        let word = |dice: &mut Dice| WORDS[dice.below(WORDS.len())];
        let (from, subject, body) = (word(dice), word(dice), word(dice));
        let message = format!(
            "From: \"{from}\" <p{}@there.test>\r\nTo: ann@here.test\r\nSubject: {subject} {at}\r\nMessage-ID: <{at}@t>\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\n{body} and {}\r\n",
            dice.below(3),
            word(dice)
        );
        let mailbox = ["INBOX", "Archive"][dice.below(2)];
        let flags = [0, store::Flags::SEEN][dice.below(2)];
        office.put(mailbox, &message, NOW + at, flags).await;
    }
}

/// What reading every message says.
fn holds(filter: &Value, email: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    let has = |place: &str, word: &Value| {
        place.to_lowercase().replace('ß', "ss").replace('é', "e").contains(&text(word).replace('ß', "ss").replace('é', "e"))
    };
    if let Some(operator) = filter.get("operator") {
        let mut all = filter["conditions"].as_array().unwrap().iter().map(|one| holds(one, email));
        return match operator.as_str().unwrap() {
            "AND" => all.all(|is| is),
            "OR" => all.any(|is| is),
            _ => !all.any(|is| is),
        };
    }
    let from = format!("{} {}", email["from"][0]["name"].as_str().unwrap(), email["from"][0]["email"].as_str().unwrap());
    let body = email["bodyValues"].as_object().unwrap().values().next().unwrap()["value"].as_str().unwrap().to_owned();
    let subject = email["subject"].as_str().unwrap();
    filter.as_object().unwrap().iter().all(|(name, wanted)| match name.as_str() {
        "from" => has(&from, wanted),
        "subject" => has(subject, wanted),
        "body" => has(&body, wanted),
        "text" => [&from, subject, &body, "ann@here.test"].iter().any(|place| has(place, wanted)),
        "inMailbox" => email["mailboxIds"][wanted.as_str().unwrap()] == true,
        "inMailboxOtherThan" => email["mailboxIds"].as_object().unwrap().keys().any(|id| id != wanted[0].as_str().unwrap()),
        "before" => email["receivedAt"].as_str() < wanted.as_str(),
        "after" => email["receivedAt"].as_str() >= wanted.as_str(),
        "minSize" => email["size"].as_u64() >= wanted.as_u64(),
        "maxSize" => email["size"].as_u64() < wanted.as_u64(),
        "hasKeyword" => email["keywords"][wanted.as_str().unwrap()] == true,
        other => panic!("{other}"),
    })
}

fn filter(dice: &mut Dice, inbox: &str, depth: usize) -> Value {
    if depth > 0 && dice.below(2) == 0 {
        let operator = ["AND", "OR", "NOT"][dice.below(3)];
        let conditions: Vec<Value> = (0..1 + dice.below(3)).map(|_| filter(dice, inbox, depth - 1)).collect();
        return json!({"operator": operator, "conditions": conditions});
    }
    let word = WORDS[dice.below(WORDS.len())].to_lowercase();
    let at = message::date::format_rfc_3339(NOW + i64::try_from(dice.below(60)).unwrap());
    match dice.below(11) {
        6 => json!({"inMailboxOtherThan": [inbox]}),
        7 => json!({"before": at}),
        8 => json!({"after": at}),
        9 => json!({"minSize": 100 + dice.below(60)}),
        10 => json!({"maxSize": 100 + dice.below(60)}),
        0 => json!({"from": word}),
        1 => json!({"subject": word}),
        2 => json!({"body": word}),
        3 => json!({"text": word}),
        4 => json!({"inMailbox": inbox}),
        _ => json!({"hasKeyword": "$seen"}),
    }
}

#[tokio::test]
async fn every_filter_finds_what_reading_everything_finds() {
    for indexed in [false, true] {
        let office = if indexed { Office::indexed().await } else { Office::new().await };
        let mut dice = Dice(7);
        filled(&office, &mut dice, 60).await;
        if indexed {
            office.search.catch_up(office.ann).await.unwrap();
            // Some are in the index, and some are not yet.
            filled(&office, &mut Dice(8), 20).await;
        }
        let wanted = json!({"ids": office.all_ids().await, "properties": ["from", "subject", "mailboxIds", "keywords", "receivedAt", "size", "bodyValues"], "fetchTextBodyValues": true});
        let emails = office.call("Email/get", wanted).await["list"].as_array().unwrap().clone();
        let inbox = office.mailbox_id("INBOX").await;
        for _ in 0..150 {
            let filter = filter(&mut dice, &inbox, 2);
            let answer = office.call("Email/query", json!({"filter": filter})).await;
            let found: BTreeSet<&str> = answer["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
            let right: BTreeSet<&str> =
                emails.iter().filter(|email| holds(&filter, email)).map(|email| email["id"].as_str().unwrap()).collect();
            assert_eq!(found, right, "{filter}");
        }
    }
}

#[tokio::test]
async fn query_changes_lead_from_the_old_list_to_the_new_one() {
    let office = Office::new().await;
    let mut dice = Dice(11);
    filled(&office, &mut dice, 20).await;
    let inbox = office.mailbox_id("INBOX").await;
    for (filter, collapse) in
        [(json!({"inMailbox": inbox}), false), (json!({"text": "boat"}), false), (json!({"hasKeyword": "$seen"}), true)]
    {
        let ask = json!({"filter": filter, "sort": [{"property": "subject"}], "collapseThreads": collapse});
        let before = office.call("Email/query", ask.clone()).await;
        let all = office.all_ids().await;
        let gone = &all[dice.below(all.len())];
        let marked = &all[dice.below(all.len())];
        filled(&office, &mut dice, 3).await;
        office.call("Email/set", json!({"update": {marked: {"keywords/$seen": true}}, "destroy": [gone]})).await;
        let mut changes = ask.clone();
        changes["sinceQueryState"] = before["queryState"].clone();
        changes["calculateTotal"] = json!(true);
        let told = office.call("Email/queryChanges", changes).await;
        let after = office.call("Email/query", ask).await;
        // RFC 8620 §5.6: take out what was removed, put in what was added, lowest first.
        let removed = told["removed"].as_array().unwrap();
        let mut list: Vec<Value> = before["ids"].as_array().unwrap().iter().filter(|id| !removed.contains(id)).cloned().collect();
        for added in told["added"].as_array().unwrap() {
            list.insert(usize::try_from(added["index"].as_u64().unwrap()).unwrap(), added["id"].clone());
        }
        assert_eq!((&json!(list), &told["total"]), (&after["ids"], &json!(list.len())), "{filter}");
    }
}

/// Which emails have a file of that name is told by their facts; only who uses our capability may ask.
#[tokio::test]
async fn files_are_found_by_their_names_and_nothing_else_is() {
    for indexed in [false, true] {
        let office = if indexed { Office::indexed().await } else { Office::new().await };
        let with = |subject: &str, head: &str, body: &str| {
            format!(
                "Subject: {subject}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{body}\r\n--b\r\n{head}\r\n\r\ninvoice\r\n--b--\r\n"
            )
        };
        let letters = [
            with("one", "Content-Disposition: attachment; filename=\"Invoice 7 final.pdf\"", "See it."),
            with("two", "Content-Disposition: attachment; filename*=utf-8''R%C3%A9sum%C3%A9.doc", "The invoice.pdf is gone."),
            "Subject: invoice.pdf\r\n\r\ninvoice.pdf\r\n".to_owned(),
        ];
        for (at, letter) in (0..).zip(&letters) {
            office.put("INBOX", letter, NOW + at, 0).await;
        }
        let subjects = async |filter: Value| {
            let ids =
                office.call("Email/query", json!({"filter": filter, "sort": [{"property": "receivedAt"}]})).await["ids"].clone();
            let got = office.call("Email/get", json!({"ids": ids, "properties": ["subject"]})).await;
            got["list"].as_array().unwrap().iter().map(|one| one["subject"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        for round in 0..2 {
            assert_eq!(subjects(json!({"attachmentName": "INVOICE"})).await, ["one"], "{round}");
            assert_eq!(subjects(json!({"attachmentName": "final 7 .pdf"})).await, ["one"], "all of it, in any order");
            assert_eq!(subjects(json!({"attachmentName": "\"7 final\""})).await, ["one"]);
            assert_eq!(subjects(json!({"attachmentName": "\"final 7\""})).await, [""; 0]);
            assert_eq!(subjects(json!({"attachmentName": "RÉSUMÉ"})).await, ["two"]);
            assert_eq!(subjects(json!({"attachmentName": "doc invoice"})).await, [""; 0], "in one name");
            assert_eq!(subjects(json!({"attachmentName": ""})).await, ["one", "two"]);
            let either = json!({"operator": "OR", "conditions": [{"attachmentName": "RÉSUMÉ"}, {"subject": "invoice"}]});
            assert_eq!(subjects(either).await, ["two", "invoice.pdf"]);
            let not = json!({"operator": "NOT", "conditions": [{"attachmentName": "invoice"}]});
            assert_eq!(subjects(not).await, ["two", "invoice.pdf"]);
            office.search.catch_up(office.ann).await.unwrap();
        }
        let ask = json!({"filter": {"attachmentName": "invoice"}});
        let before = office.call("Email/query", ask.clone()).await;
        office.put("INBOX", &with("four", "Content-Type: image/png; name=invoice.png", "x"), NOW + 9, 0).await;
        office.put("INBOX", &with("five", "Content-Type: image/png; name=other.png", "x"), NOW + 10, 0).await;
        let changes = json!({"filter": ask["filter"], "sinceQueryState": before["queryState"], "upToId": before["ids"][0], "calculateTotal": true});
        let told = office.call("Email/queryChanges", changes).await;
        let after = office.call("Email/query", ask.clone()).await;
        assert_eq!((&told["added"], &told["total"]), (&json!([{"id": after["ids"][0], "index": 0}]), &json!(2)));
        assert_eq!(after["ids"].as_array().unwrap().len(), 2);
        let snippet = office.call("SearchSnippet/get", json!({"filter": ask["filter"], "emailIds": after["ids"]})).await;
        assert_eq!(snippet["list"][0]["preview"], Value::Null);
        let account = office.account_id();
        let using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"];
        let calls = json!([["Email/query", {"accountId": account, "filter": ask["filter"]}, "a"], ["SearchSnippet/get", {"accountId": account, "filter": ask["filter"], "emailIds": []}, "b"]]);
        let answer = office.request(&json!({"using": using, "methodCalls": calls})).await.json();
        for at in 0..2 {
            assert_eq!(answer["methodResponses"][at][1]["type"], "unsupportedFilter", "{answer}");
        }
    }
}

#[tokio::test]
async fn the_session_tells_of_the_conditions_of_our_own() {
    let office = Office::new().await;
    let head = format!("GET /jmap/session HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw"));
    let session = office.ask(&head, b"").await.json();
    assert_eq!(session["capabilities"]["urn:packetboat:params:jmap:program"], json!({"emailQueryFilters": ["attachmentName"]}));
}

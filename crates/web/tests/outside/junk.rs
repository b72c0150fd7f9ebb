//! Requests that no program would write: every method with arguments of every wrong kind. Each is answered in JMAP's words, none
//! by trouble of ours.

use crate::office::{NOW, Office};
use serde_json::{Map, Value, json};

struct Dice(u64);

impl Dice {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

const METHODS: &[&str] = &[
    "Core/echo",
    "Mailbox/get",
    "Mailbox/changes",
    "Mailbox/query",
    "Mailbox/queryChanges",
    "Mailbox/set",
    "Thread/get",
    "Thread/changes",
    "Email/get",
    "Email/changes",
    "Email/query",
    "Email/queryChanges",
    "Email/set",
    "Email/import",
    "Email/copy",
    "Email/parse",
    "SearchSnippet/get",
    "Identity/get",
    "Identity/changes",
    "Identity/set",
    "EmailSubmission/get",
    "EmailSubmission/changes",
    "EmailSubmission/query",
    "EmailSubmission/queryChanges",
    "EmailSubmission/set",
    "Quota/get",
    "Quota/changes",
    "Quota/query",
    "Quota/queryChanges",
    "VacationResponse/get",
    "VacationResponse/set",
    "MailRules/get",
    "MailRules/set",
    "MDN/send",
    "MDN/parse",
    "Blob/upload",
    "Blob/get",
    "Blob/lookup",
    "Blob/copy",
    "Trace/get",
    "Undo/get",
    "Undo/restore",
    "Person/get",
    "Person/set",
    "Snooze/get",
    "Snooze/set",
    "Nothing/get",
];
const NAMES: &[&str] = &[
    "ids",
    "properties",
    "sinceState",
    "maxChanges",
    "filter",
    "sort",
    "position",
    "anchor",
    "anchorOffset",
    "limit",
    "calculateTotal",
    "collapseThreads",
    "sinceQueryState",
    "upToId",
    "create",
    "update",
    "destroy",
    "ifInState",
    "emails",
    "fromAccountId",
    "blobIds",
    "emailIds",
    "identityId",
    "send",
    "onSuccessUpdateEmail",
    "onSuccessDestroyEmail",
    "typeNames",
    "offset",
    "length",
    "bodyProperties",
    "fetchAllBodyValues",
    "maxBodyValueBytes",
    "#ids",
    "onDestroyRemoveEmails",
    "sortAsTree",
];
const INSIDE: &[&str] = &[
    "mailboxIds",
    "keywords",
    "keywords/$seen",
    "mailboxIds/x",
    "name",
    "parentId",
    "from",
    "to",
    "subject",
    "bodyValues",
    "textBody",
    "htmlBody",
    "bodyStructure",
    "attachments",
    "header:X-A:asText",
    "header:from:asAddresses:all",
    "blobId",
    "emailId",
    "identityId",
    "envelope",
    "undoStatus",
    "operator",
    "conditions",
    "inMailbox",
    "text",
    "before",
    "minSize",
    "property",
    "keyword",
    "isAscending",
    "resultOf",
    "path",
    "data",
    "data:asText",
    "data:asBase64",
    "until",
    "rules",
    "blocked",
    "forwarding",
    "if",
    "then",
    "isEnabled",
    "fromDate",
    "partId",
    "type",
    "subParts",
    "size",
    "email",
    "mailFrom",
    "rcptTo",
    "parameters",
    "disposition",
    "forEmailId",
    "role",
    "sortOrder",
    "isSubscribed",
    "id",
];

fn junk(dice: &mut Dice, known: &[String], depth: usize) -> Value {
    match dice.below(if depth == 0 { 9 } else { 12 }) {
        0 => Value::Null,
        1 => json!(dice.below(2) == 0),
        2 => json!(-7),
        3 => json!([0.5, 1e300, 9_007_199_254_740_992.0][dice.below(3)]),
        4 => json!(dice.below(5)),
        5 => json!(known[dice.below(known.len())]),
        6 => json!(
            ["", "\u{0}", "#a", "ä\u{202e}", "singleton", "main", "../..", "2027-01-01T00:00:00Z", "AND", "1"][dice.below(10)]
        ),
        7 => json!("x".repeat(dice.below(3) * 700)),
        8 => json!(dice.of(INSIDE)),
        9 => Value::Array((0..dice.below(4)).map(|_| junk(dice, known, depth - 1)).collect()),
        _ => {
            let mut object = Map::new();
            for _ in 0..dice.below(4) {
                let name = if dice.below(3) == 0 { known[dice.below(known.len())].clone() } else { dice.of(INSIDE).to_owned() };
                object.insert(name, junk(dice, known, depth - 1));
            }
            Value::Object(object)
        }
    }
}

#[tokio::test]
async fn nothing_a_client_writes_is_trouble_of_ours() {
    let office = Office::new().await;
    let message = "From: bob@there.test\r\nTo: ann@here.test\r\nSubject: hi\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: image/png\r\n\r\ny\r\n--b--\r\n";
    office.put("INBOX", message, NOW, 0).await;
    office.put("Drafts", message, NOW + 1, store::Flags::DRAFT).await;
    let mut known = office.all_ids().await;
    known.push(office.mailbox_id("INBOX").await);
    known.push(known[0].replacen('M', "P", 1) + "-1");
    known.extend(["main", "singleton", "octets", "A1", "A2", "#c0", "Mffff-0", "T0"].map(str::to_owned));
    let mut dice = Dice(5);
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for round in 0..150 {
        let mut calls = Vec::new();
        for at in 0..20 {
            let mut arguments = Map::new();
            arguments.insert("accountId".into(), json!(office.account_id()));
            for _ in 0..dice.below(4) {
                arguments.insert(dice.of(NAMES).to_owned(), junk(&mut dice, &known, 4));
            }
            calls.push(json!([dice.of(METHODS), arguments, format!("c{at}")]));
        }
        for (name, answer) in office.calls(json!(calls)).await {
            let text = answer.to_string();
            assert!(!text.contains("serverFail"), "round {round}: {name} {text}\n{calls:#?}");
            if name == "error" {
                *seen.entry(answer["type"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    // It was no use if all failed at the first step.
    assert!(seen["invalidArguments"] > 100 && seen.len() > 4, "{seen:?}");
    assert_eq!(office.store.check().await.unwrap(), vec![]);
}

//! Each right of RFC 4314 by itself, with `l` and with `lr`: what every method of JMAP then tells and does (RFC 8621 §2), and that
//! what may not be read is as if it were not there.

use crate::office::{NOW, Office};
use crate::sharing::Pair;
use serde_json::{Value, json};
use store::{BodyId, FlagOp, Flags, MailboxId};

/// One mailbox of bob's, shared with these rights, and a hidden one beside it: a conversation lies in both.
struct Case<'a> {
    pair: &'a Pair,
    letters: String,
    name: String,
    club: String,
    secret: String,
    /// Subject and id of what lies in the shared one.
    mails: Vec<String>,
    hidden: String,
}

/// The ids of what lies in a mailbox of bob's.
async fn emails(pair: &Pair, name: &str) -> Vec<String> {
    let store = &pair.office.store;
    let mailbox = store.mailbox(pair.bob, name).await.unwrap().unwrap().id;
    let rows: Vec<store::EmailId> = store.snapshot(pair.bob, mailbox).await.unwrap().rows.iter().map(|row| row.email).collect();
    let names = store.email_names(pair.bob, &rows).await.unwrap();
    names.into_iter().flatten().map(|(body, secs)| store::object_id::of_email(body, secs).to_string()).collect()
}

/// What a `/set` says of one thing: the type of its error, or nothing: it was done.
fn said(answer: &Value, what: &str, id: &str) -> String {
    let done = match what {
        "notCreated" => answer["created"].get(id).is_some(),
        "notUpdated" => answer["updated"].get(id).is_some(),
        _ => answer["destroyed"].as_array().is_some_and(|all| all.contains(&json!(id))),
    };
    let error = answer[what][id]["type"].as_str().unwrap_or_default().to_owned();
    assert_eq!(done, error.is_empty(), "{answer}");
    error
}

impl Case<'_> {
    async fn new<'a>(pair: &'a Pair, number: usize, letters: &str) -> Case<'a> {
        let (store, name) = (&pair.office.store, format!("Top/Club{number}"));
        store.mailbox_create(pair.bob, &name, None, 1).await.unwrap();
        for subject in ["Boats", "Cars"] {
            pair.put(&name, &format!("{subject} {number}"), 0).await;
        }
        let of = async |name: &str| store.mailbox(pair.bob, name).await.unwrap().unwrap().id;
        // The second is in a hidden one as well, where it has a star.
        let (from, to) = (of(&name).await, of("Top/Secret").await);
        let second = store.snapshot(pair.bob, from).await.unwrap().rows.iter().nth(1).unwrap().uid;
        store.copy(pair.bob, from, &[second], to).await.unwrap();
        let copy = store.snapshot(pair.bob, to).await.unwrap().rows.iter().last().unwrap().uid;
        let star = Flags { system: Flags::FLAGGED, keywords: None };
        store.flags(pair.bob, to, &[copy], FlagOp::Add, &star, None).await.unwrap();
        // An answer to the first, where nobody sees it.
        pair.put("Top/Secret", &format!("Re: Boats {number}"), 0).await;
        pair.share(&name, letters).await;
        let mails = emails(pair, &name).await;
        let hidden = emails(pair, "Top/Secret").await.pop().unwrap();
        let (club, secret) = (pair.mailbox(&name).await, pair.mailbox("Top/Secret").await);
        Case { pair, letters: letters.into(), name, club, secret, mails, hidden }
    }

    fn has(&self, letters: &str) -> bool {
        letters.chars().all(|letter| self.letters.contains(letter))
    }

    /// Nothing where the rights are there, else `forbidden`.
    fn by(&self, letters: &str) -> &'static str {
        if self.has(letters) { "" } else { "forbidden" }
    }

    /// The same of an email, which has to be seen first.
    fn by_of_email(&self, letters: &str) -> &'static str {
        if self.has("lr") { self.by(letters) } else { "notFound" }
    }

    async fn call(&self, name: &str, arguments: Value) -> Value {
        self.pair.call(name, arguments).await
    }

    /// Without `l` there is no such account, whatever is asked; with it what is nobody's to share is still not there.
    async fn methods_that_fail(&self) {
        let own = ["Identity", "EmailSubmission", "VacationResponse", "Quota", "MailRules", "Person", "Snooze"];
        let mail = ["Mailbox", "Email", "Thread"];
        let more =
            ["EmailSubmission/set", "VacationResponse/set", "Identity/set", "MDN/send", "MDN/parse", "Undo/get", "Trace/get"];
        let own = own.iter().flat_map(|of| [format!("{of}/get"), format!("{of}/changes")]).chain(more.map(str::to_owned));
        let mail = mail.iter().flat_map(|of| [format!("{of}/get"), format!("{of}/changes"), format!("{of}/query")]);
        let other =
            ["Email/set", "Email/import", "Email/parse", "Email/copy", "Mailbox/set", "Blob/upload", "Blob/get", "Blob/lookup"];
        let other = other.map(str::to_owned).into_iter().chain(["SearchSnippet/get", "Blob/copy"].map(str::to_owned));
        if self.has("l") {
            for name in own {
                assert_eq!(self.pair.fails(&name, json!({})).await, "accountNotSupportedByMethod", "{name}, {}", self.letters);
            }
            return;
        }
        for name in own.chain(mail).chain(other).filter(|name| name != "Thread/query") {
            // RFC 9007 §2.1 has a word of its own.
            let wanted = if name.starts_with("MDN/") { "invalidArguments" } else { "accountNotFound" };
            assert_eq!(self.pair.fails(&name, json!({})).await, wanted, "{name}, {}", self.letters);
        }
        assert!(self.pair.session().await["accounts"].get(self.pair.account()).is_none());
        assert_eq!(self.pair.download(&self.mails[0]).await.0, 404);
        let basic = Office::basic("ann@here.test", "pw");
        let upload = format!("POST /jmap/upload/{}/ HTTP/1.1\r\n{basic}", self.pair.account());
        assert_eq!(self.pair.office.ask(&upload, b"x").await.status, 404);
        let from = json!({"accountId": self.pair.office.account_id(), "fromAccountId": self.pair.account(), "blobIds": [], "create": {}});
        for name in ["Blob/copy", "Email/copy"] {
            let mut from = from.clone();
            from.as_object_mut().unwrap().remove(if name == "Blob/copy" { "create" } else { "blobIds" });
            assert_eq!(self.pair.office.calls(json!([[name, from, "c"]])).await[0].1["type"], "fromAccountNotFound", "{name}");
        }
    }

    async fn mailboxes(&self) {
        let shown = self.call("Mailbox/get", json!({"ids": null})).await;
        let [one] = shown["list"].as_array().unwrap().as_slice() else { panic!("{}: {shown}", self.letters) };
        assert_eq!((&one["id"], one["name"].as_str()), (&json!(self.club), self.name.strip_prefix("Top/")));
        assert_eq!((&one["parentId"], &one["isSubscribed"]), (&Value::Null, &json!(false)));
        let many = if self.has("lr") { 2 } else { 0 };
        for count in ["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"] {
            assert_eq!(one[count], many, "{count}, {}", self.letters);
        }
        let rights = json!({
            "mayReadItems": self.has("lr"), "mayAddItems": self.has("i"), "mayRemoveItems": self.has("te"), "maySetSeen": self.has("s"),
            "maySetKeywords": self.has("w"), "mayCreateChild": self.has("k"), "mayRename": self.has("x"),
            "mayDelete": self.has("x"), "maySubmit": self.has("p"),
        });
        assert_eq!(one["myRights"], rights, "{}", self.letters);
        assert_eq!(self.call("Mailbox/query", json!({})).await["ids"], json!([self.club]));
        let of_secret = json!({"filter": {"name": "Secret"}, "calculateTotal": true});
        assert_eq!(self.call("Mailbox/query", of_secret).await["total"], 0);
    }

    async fn emails(&self) {
        let may = self.has("lr");
        let (none, all) = (json!([]), json!(self.mails));
        let (there, missing) = if may { (&all, &none) } else { (&none, &all) };
        let sorted = |value: &Value| {
            let mut ids: Vec<String> = value.as_array().into_iter().flatten().map(|id| id.as_str().unwrap().to_owned()).collect();
            ids.sort_unstable();
            ids
        };
        for filter in
            [json!({}), json!({"inMailbox": self.club}), json!({"text": "text"}), json!({"inMailboxOtherThan": [self.secret]})]
        {
            let found = self.call("Email/query", json!({"filter": filter, "calculateTotal": true})).await;
            assert_eq!(
                (sorted(&found["ids"]), &found["total"]),
                (sorted(there), &json!(there.as_array().unwrap().len())),
                "{filter}"
            );
        }
        let got = self.call("Email/get", json!({"ids": self.mails, "properties": ["mailboxIds", "threadId", "keywords"]})).await;
        assert_eq!(&got["notFound"], missing, "{}", self.letters);
        for one in got["list"].as_array().unwrap() {
            assert_eq!((&one["mailboxIds"], &one["keywords"]), (&json!({&self.club: true}), &json!({})));
            // The rest of the conversation is hidden.
            let thread = self.call("Thread/get", json!({"ids": [one["threadId"]]})).await;
            assert_eq!(thread["list"][0]["emailIds"], json!([one["id"]]));
        }
        let count = if may { 2 } else { 0 };
        let listed = async |name: &str, arguments: Value| self.call(name, arguments).await["list"].as_array().unwrap().len();
        let snippets = json!({"filter": {"text": "text"}, "emailIds": self.mails});
        assert_eq!(listed("SearchSnippet/get", snippets).await, count);
        assert_eq!(listed("Blob/get", json!({"ids": self.mails})).await, count);
        let parsed = self.call("Email/parse", json!({"blobIds": self.mails})).await["parsed"].clone();
        assert_eq!(parsed.as_object().map_or(0, serde_json::Map::len), count);
        let looked = self.call("Blob/lookup", json!({"ids": [self.mails[0]], "typeNames": ["Mailbox", "Email", "Thread"]})).await;
        let matched = looked["list"][0]["matchedIds"]["Mailbox"].clone();
        assert_eq!(matched, if may { json!([self.club]) } else { none.clone() });
        assert_eq!(self.pair.download(&self.mails[0]).await.0, if may { 200 } else { 404 });
        let office = &self.pair.office;
        let from = json!({"accountId": office.account_id(), "fromAccountId": self.pair.account(), "blobIds": self.mails});
        let copied = office.calls(json!([["Blob/copy", from, "c"]])).await.remove(0).1["copied"].clone();
        assert_eq!(copied.as_object().map_or(0, serde_json::Map::len), count);
        let create = json!({"k": {"id": self.mails[0], "mailboxIds": {office.mailbox_id("INBOX").await: true}}});
        let from = json!({"accountId": office.account_id(), "fromAccountId": self.pair.account(), "create": create});
        let copied = office.calls(json!([["Email/copy", from, "c"]])).await.remove(0).1;
        assert_eq!(said(&copied, "notCreated", "k"), if may { "" } else { "notFound" }, "{}", self.letters);
    }

    /// What is hidden answers as what never was.
    async fn hidden(&self, (hidden, secret): (&str, &str)) {
        let nothing = store::object_id::of_email(BodyId(0xffff_ffff), NOW).to_string();
        let nowhere = store::object_id::of_mailbox(self.pair.bob, MailboxId(0xffff)).to_string();
        let part = |id: &str| format!("P{}-1", &id[1..]);
        let asks = |email: &str, mailbox: &str| {
            [
                ("Email/get", json!({"ids": [email]})),
                ("Email/query", json!({"filter": {"inMailbox": mailbox}, "calculateTotal": true})),
                ("Email/query", json!({"anchor": email})),
                ("Email/set", json!({"update": {email: {"keywords/$seen": true}}, "destroy": [email]})),
                ("Email/set", json!({"update": {email: {"keywords/$seen": true}}})),
                ("Email/set", json!({"destroy": [email]})),
                ("Email/set", json!({"create": {"c": {"mailboxIds": {mailbox: true}, "subject": "x"}}})),
                ("Email/import", json!({"emails": {"c": {"mailboxIds": {&self.club: true}, "blobId": email}}})),
                ("Email/parse", json!({"blobIds": [email, part(email)]})),
                ("SearchSnippet/get", json!({"filter": {"text": "boats"}, "emailIds": [email]})),
                ("Blob/get", json!({"ids": [email, part(email)], "properties": ["size"]})),
                ("Blob/get", json!({"ids": [email, part(email)]})),
                ("Blob/lookup", json!({"ids": [email, part(email)], "typeNames": ["Mailbox", "Thread", "Email"]})),
                ("Blob/upload", json!({"create": {"b": {"data": [{"blobId": email}]}}})),
                ("Mailbox/get", json!({"ids": [mailbox]})),
                ("Mailbox/query", json!({"filter": {"parentId": mailbox}})),
                ("Mailbox/set", json!({"update": {mailbox: {"isSubscribed": true}}, "destroy": [mailbox]})),
                ("Mailbox/set", json!({"destroy": [mailbox], "onDestroyRemoveEmails": true})),
                ("Mailbox/set", json!({"update": {&self.club: {"parentId": mailbox}}})),
                ("Mailbox/set", json!({"create": {"m": {"name": "x", "parentId": mailbox}}})),
                ("Email/set", json!({"update": {&self.mails[0]: {format!("mailboxIds/{mailbox}"): true}}})),
            ]
        };
        let there = asks(hidden, secret);
        for ((name, one), (_, other)) in there.into_iter().zip(asks(&nothing, &nowhere)) {
            let (_, answer) = self.pair.any(name, one.clone()).await;
            let (_, like) = self.pair.any(name, other).await;
            let renamed = answer.to_string().replace(hidden, &nothing).replace(secret, &nowhere);
            let renamed = renamed.replace(&part(hidden), &part(&nothing));
            assert_eq!(serde_json::from_str::<Value>(&renamed).unwrap(), like, "{name} {one}, {}", self.letters);
        }
    }

    async fn changes(&self) {
        let shown = self.call("Mailbox/get", json!({"ids": []})).await;
        let state = shown["state"].clone();
        let query = self.call("Email/query", json!({})).await["queryState"].clone();
        for name in [&self.name, "Top/Secret", "Top/Unlisted"] {
            self.pair.put(name, &format!("New in {name}"), 0).await;
        }
        let new = if self.has("lr") { json!([emails(self.pair, &self.name).await.pop()]) } else { json!([]) };
        let told = self.call("Email/changes", json!({"sinceState": state})).await;
        assert_eq!((&told["created"], &told["updated"], &told["destroyed"]), (&new, &json!([]), &json!([])), "{}", self.letters);
        let threads = self.call("Thread/changes", json!({"sinceState": state})).await;
        assert_eq!(threads["created"].as_array().unwrap().len(), new.as_array().unwrap().len());
        let boxes = self.call("Mailbox/changes", json!({"sinceState": state})).await;
        assert_eq!(boxes["updated"], if self.has("lr") { json!([self.club]) } else { json!([]) }, "{}", self.letters);
        let moved = self.call("Email/queryChanges", json!({"sinceQueryState": query})).await;
        assert_eq!(moved["added"].as_array().unwrap().len(), new.as_array().unwrap().len());
        // What came may be told as taken out first (RFC 8620 §5.6); nothing else is.
        assert!(moved["removed"].as_array().unwrap().iter().all(|id| new.as_array().unwrap().contains(id)), "{moved}");
    }

    async fn acts_on_emails(&self) {
        let [one, other] = [&self.mails[0], &self.mails[1]];
        let update =
            async |id: &str, patch: Value| said(&self.call("Email/set", json!({"update": {id: patch}})).await, "notUpdated", id);
        // What does not change is nothing that is set: a list of keywords without $seen does not take it away here.
        let patches = [
            (json!({"keywords": {"$flagged": true}}), "w"),
            (json!({"keywords": {}}), "w"),
            (json!({"keywords": {"$seen": true}}), "s"),
            (json!({"keywords": {}}), "s"),
            (json!({"keywords/$seen": true}), "s"),
            (json!({"keywords/$seen": null}), "s"),
            (json!({"keywords/$flagged": true}), "w"),
            (json!({"keywords/$flagged": null}), "w"),
            (json!({"keywords/own": true}), "w"),
            (json!({"keywords/own": null}), "w"),
            (json!({"keywords/$deleted": true}), "w"),
            (json!({"keywords/$deleted": null}), "w"),
            (json!({"keywords": {"$seen": true, "own": true}}), "sw"),
            (json!({"keywords": {}}), "sw"),
        ];
        for (patch, right) in patches {
            let is_same = patch == json!({"keywords": {}}) && !self.has(right);
            let wanted = if is_same && self.has("lr") { "" } else { self.by_of_email(right) };
            assert_eq!(update(one, patch.clone()).await, wanted, "{patch}, {}", self.letters);
        }
        let create = async |keywords: Value| {
            let new = json!({"create": {"c": {"mailboxIds": {&self.club: true}, "subject": "x", "keywords": keywords}}});
            said(&self.call("Email/set", new).await, "notCreated", "c")
        };
        let brought =
            self.call("Blob/upload", json!({"create": {"b": {"data": [{"data:asText": "Subject: y\r\n\r\ny\r\n"}]}}})).await;
        let blob = brought["created"]["b"]["id"].clone();
        let import = async |keywords: Value| {
            let new = json!({"emails": {"c": {"mailboxIds": {&self.club: true}, "blobId": blob, "keywords": keywords}}});
            said(&self.call("Email/import", new).await, "notCreated", "c")
        };
        for (keywords, rights) in [(json!({}), "i"), (json!({"$seen": true}), "is"), (json!({"$draft": true}), "iw")] {
            assert_eq!(create(keywords.clone()).await, self.by(rights), "{keywords}, {}", self.letters);
            assert_eq!(import(keywords.clone()).await, self.by(rights), "{keywords}, {}", self.letters);
        }
        assert_eq!(
            update(other, json!({"mailboxIds": {"Fffff": true}})).await,
            if self.has("lr") { "invalidProperties" } else { "notFound" }
        );
        let destroyed = self.call("Email/set", json!({"destroy": [other]})).await;
        assert_eq!(said(&destroyed, "notDestroyed", other), self.by_of_email("te"), "{}", self.letters);
        assert!(emails(self.pair, "Top/Secret").await.contains(other), "where it is hidden it stays");
    }

    async fn acts_on_mailboxes(&self) {
        let set = async |arguments: Value, what: &str, id: &str| said(&self.call("Mailbox/set", arguments).await, what, id);
        let update = async |patch: Value| set(json!({"update": {&self.club: patch}}), "notUpdated", &self.club).await;
        // It is the reader's own affair.
        assert_eq!(update(json!({"isSubscribed": true})).await, "");
        assert_eq!(update(json!({"isSubscribed": false})).await, "");
        assert_eq!(update(json!({"role": "archive"})).await, "invalidProperties");
        assert_eq!(update(json!({"sortOrder": 3})).await, self.by("x"), "{}", self.letters);
        assert_eq!(update(json!({"name": format!("{} too", self.letters)})).await, self.by("x"), "{}", self.letters);
        let child = json!({"create": {"m": {"name": "Child", "parentId": self.club}}});
        assert_eq!(set(child, "notCreated", "m").await, self.by("k"), "{}", self.letters);
        let child = match self.has("k") {
            true => "mailboxHasChild",
            false => "mailboxHasEmail",
        };
        let wanted = if self.has("x") { child } else { "forbidden" };
        assert_eq!(set(json!({"destroy": [self.club]}), "notDestroyed", &self.club).await, wanted, "{}", self.letters);
        let all = json!({"destroy": [self.club], "onDestroyRemoveEmails": true});
        let wanted = if self.has("xk") { "mailboxHasChild" } else { self.by("x") };
        assert_eq!(set(all, "notDestroyed", &self.club).await, wanted, "{}", self.letters);
    }
}

/// RFC 8621 §2: "The set of rights (Access Control Lists (ACLs)) the user has in relation to this Mailbox": each property of
/// `myRights` as RFC 4314's letters say, and each method as they do.
#[tokio::test]
async fn every_right_by_itself_allows_its_own_in_every_method() {
    let pair = Pair::new().await;
    for name in ["Top", "Top/Secret", "Top/Unlisted"] {
        pair.office.store.mailbox_create(pair.bob, name, None, 1).await.unwrap();
    }
    pair.put("Top/Unlisted", "Unlisted", 0).await;
    let each = "lrswipkxtea".chars();
    let alone = each.clone().map(String::from);
    let with_l = each.clone().map(|letter| format!("l{letter}"));
    let with_lr = each.map(|letter| format!("lr{letter}"));
    let more = ["lrte", "lrsw", "lris", "lriw", "lrisw", "lrkx", "lxk", "lrswipkxtea", "ri"].map(String::from);
    for (number, letters) in alone.chain(with_l).chain(with_lr).chain(more).enumerate() {
        // A new name under the old parent is made by the parent's right, which does not show it.
        pair.share("Top", "k").await;
        // Without `l` it is not shown, also to who may read it.
        pair.share("Top/Unlisted", "rswite").await;
        let case = Case::new(&pair, number, &letters).await;
        case.methods_that_fail().await;
        if case.has("l") {
            case.mailboxes().await;
            case.emails().await;
            case.hidden((&case.hidden, &case.secret)).await;
            let unlisted = emails(&pair, "Top/Unlisted").await.pop().unwrap();
            case.hidden((&unlisted, &pair.mailbox("Top/Unlisted").await)).await;
            case.acts_on_emails().await;
            case.changes().await;
            case.acts_on_mailboxes().await;
        }
        // What is left of it is in the way of the next.
        for one in pair.office.store.mailboxes(pair.bob).await.unwrap().iter().filter(|one| one.name.starts_with("Top/")) {
            pair.office.store.acl_change(pair.bob, one.id, "ann@here.test", store::AclChange::Replace(0)).await.unwrap();
        }
    }
}

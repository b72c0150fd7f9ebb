//! Mailboxes that others share: what the lists allow, and nothing else, in every method; copies between accounts; push.

use crate::office::Office;
use serde_json::{Value, json};
use store::{AccountId, AclChange, Flags};
use wire::imap::acl::Rights;

/// Bob shares with ann.
pub(crate) struct Pair {
    pub(crate) office: Office,
    pub(crate) bob: AccountId,
}

impl Pair {
    pub(crate) async fn new() -> Pair {
        let office = Office::new().await;
        let bob = office.store.account("bob@here.test").await.unwrap().unwrap().id;
        Pair { office, bob }
    }

    pub(crate) fn account(&self) -> String {
        format!("A{:x}", self.bob.0)
    }

    pub(crate) async fn mailbox(&self, name: &str) -> String {
        let found = self.office.store.mailbox(self.bob, name).await.unwrap().unwrap().id;
        store::object_id::of_mailbox(self.bob, found).to_string()
    }

    pub(crate) async fn share(&self, mailbox: &str, letters: &str) {
        let id = self.office.store.mailbox(self.bob, mailbox).await.unwrap().unwrap().id;
        let rights = Rights::from_letters(letters.as_bytes()).unwrap();
        self.office.store.acl_change(self.bob, id, "ann@here.test", AclChange::Replace(rights.bits())).await.unwrap();
    }

    pub(crate) async fn put(&self, mailbox: &str, subject: &str, system: u8) {
        let octets = bytes::Bytes::from(format!("From: bob@here.test\r\nSubject: {subject}\r\n\r\nThe text of {subject}.\r\n"));
        let facts = std::sync::Arc::new(message::facts::Facts::compute(&octets));
        let flags = Flags { system, keywords: None };
        let body = store::Spooled::from_bytes(octets);
        let email = store::NewEmail { body, facts, flags, internal_date_secs: crate::office::NOW };
        let id = self.office.store.mailbox(self.bob, mailbox).await.unwrap().unwrap().id;
        self.office.store.append(self.bob, id, vec![email]).await.unwrap();
    }

    /// Ann asks about bob's account.
    pub(crate) async fn any(&self, name: &str, mut arguments: Value) -> (String, Value) {
        arguments["accountId"] = json!(self.account());
        self.office.calls(json!([[name, arguments, "c"]])).await.remove(0)
    }

    pub(crate) async fn call(&self, name: &str, arguments: Value) -> Value {
        let (answered, answer) = self.any(name, arguments).await;
        assert_eq!(answered, name, "{answer}");
        answer
    }

    pub(crate) async fn fails(&self, name: &str, arguments: Value) -> String {
        let (answered, answer) = self.any(name, arguments).await;
        assert_eq!(answered, "error", "{answer}");
        answer["type"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn session(&self) -> Value {
        let head = format!("GET /jmap/session HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw"));
        self.office.ask(&head, b"").await.json()
    }

    pub(crate) async fn download(&self, blob: &str) -> (u16, bytes::Bytes) {
        let basic = Office::basic("ann@here.test", "pw");
        let head = format!("GET /jmap/download/{}/{blob}/x?type=text/plain HTTP/1.1\r\n{basic}", self.account());
        let answer = self.office.ask(&head, b"").await;
        (answer.status, answer.body)
    }

    pub(crate) async fn ids(&self) -> Vec<String> {
        let found = self.call("Email/query", json!({})).await;
        found["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    /// The type of the error that one `/set` of one email meets; empty: it was done.
    pub(crate) async fn update(&self, id: &str, patch: Value) -> String {
        let answer = self.call("Email/set", json!({"update": {id: patch}})).await;
        answer["notUpdated"][id]["type"].as_str().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn without_a_right_an_account_is_as_if_it_were_not_there() {
    let pair = Pair::new().await;
    let (store, bob) = (&pair.office.store, pair.bob);
    store.mailbox_create(bob, "Club", None, 1).await.unwrap();
    store.mailbox_create(bob, "Secret", None, 1).await.unwrap();
    pair.put("Secret", "hidden words", 0).await;
    let mut secret_ids = Vec::new();
    let every = [
        ("Mailbox/get", json!({"ids": null})),
        ("Mailbox/query", json!({})),
        ("Mailbox/changes", json!({"sinceState": "0"})),
        ("Email/query", json!({})),
        ("Email/set", json!({})),
        ("Email/changes", json!({"sinceState": "0"})),
        ("Thread/get", json!({"ids": null})),
        ("Blob/get", json!({"ids": []})),
        ("Identity/get", json!({"ids": null})),
        ("Quota/get", json!({"ids": null})),
    ];
    // An account that is not there at all answers the very same.
    for (name, arguments) in &every {
        let (_, there) = pair.any(name, arguments.clone()).await;
        let mut nobody = arguments.clone();
        nobody["accountId"] = json!("Affff");
        let (_, not_there) = pair.office.calls(json!([[name, nobody, "c"]])).await.remove(0);
        assert_eq!((&there, there["type"].as_str()), (&not_there, Some("accountNotFound")), "{name}");
    }
    assert_eq!(pair.session().await["accounts"].as_object().unwrap().len(), 1);

    // One mailbox comes into sight; of the others nothing is to be had by any way.
    pair.share("Club", "lr").await;
    for (name, arguments) in &every[8..] {
        assert_eq!(pair.fails(name, arguments.clone()).await, "accountNotSupportedByMethod");
    }
    let session = pair.session().await;
    let account = &session["accounts"][pair.account()];
    assert_eq!(
        (&account["name"], &account["isPersonal"], &account["isReadOnly"]),
        (&json!("bob@here.test"), &json!(false), &json!(false))
    );
    assert!(account["accountCapabilities"].get("urn:ietf:params:jmap:submission").is_none());
    let shown = pair.call("Mailbox/get", json!({"ids": null})).await;
    assert_eq!(shown["list"].as_array().unwrap().len(), 1, "{shown}");
    let club = &shown["list"][0];
    assert_eq!((club["name"].as_str(), club["totalEmails"].as_u64()), (Some("Club"), Some(0)));
    assert_eq!(club["myRights"]["mayReadItems"], true);
    for may_not in
        ["mayAddItems", "mayRemoveItems", "maySetSeen", "maySetKeywords", "mayCreateChild", "mayRename", "mayDelete", "maySubmit"]
    {
        assert_eq!(club["myRights"][may_not], false, "{may_not}");
    }
    let secret = pair.mailbox("Secret").await;
    let hidden = pair.call("Mailbox/get", json!({"ids": [secret]})).await;
    assert_eq!(hidden["notFound"], json!([secret]));
    for (body, date_secs) in store.email_names(bob, &[store::EmailId(1), store::EmailId(2)]).await.unwrap().into_iter().flatten()
    {
        secret_ids.push(store::object_id::of_email(body, date_secs).to_string());
    }
    assert!(!secret_ids.is_empty());
    for id in &secret_ids {
        assert_eq!(pair.call("Email/get", json!({"ids": [id]})).await["notFound"], json!([id]));
        assert_eq!(pair.call("Blob/get", json!({"ids": [id]})).await["notFound"], json!([id]));
        assert_eq!(pair.call("Email/parse", json!({"blobIds": [id]})).await["notFound"], json!([id]));
        assert_eq!(pair.call("SearchSnippet/get", json!({"emailIds": [id], "filter": {}})).await["notFound"], json!([id]));
        assert_eq!(pair.download(id).await.0, 404);
        assert_eq!(pair.update(id, json!({"keywords/$seen": true})).await, "notFound");
        let head = format!("GET /api/html/{}/{id} HTTP/1.1\r\n{}", pair.account(), Office::basic("ann@here.test", "pw"));
        assert_eq!(pair.office.ask(&head, b"").await.status, 404);
        let copy = json!({"accountId": pair.office.account_id(), "fromAccountId": pair.account(),
            "create": {"c": {"id": id, "mailboxIds": {pair.office.mailbox_id("INBOX").await: true}}}});
        let copied = pair.office.calls(json!([["Email/copy", copy, "c"]])).await.remove(0).1;
        assert_eq!(copied["notCreated"]["c"]["type"], "notFound");
    }
    for filter in [json!({}), json!({"text": "hidden"}), json!({"inMailbox": secret}), json!({"inMailboxOtherThan": [secret]})] {
        assert_eq!(pair.call("Email/query", json!({"filter": filter})).await["ids"], json!([]), "{filter}");
    }
    // What happens in hidden places is told as nothing, and creating there fails like creating nowhere.
    let state = shown["state"].as_str().unwrap();
    pair.put("Secret", "more hidden words", 0).await;
    let changes = pair.call("Email/changes", json!({"sinceState": state})).await;
    assert_eq!((&changes["created"], &changes["updated"]), (&json!([]), &json!([])));
    assert_eq!(pair.call("Mailbox/changes", json!({"sinceState": state})).await["updated"], json!([]));
    let put_into = async |mailbox: &str| {
        let create = json!({"create": {"c": {"mailboxIds": {mailbox: true}, "subject": "x"}}});
        pair.call("Email/set", create).await["notCreated"]["c"].clone()
    };
    assert_eq!(put_into(&secret).await, put_into("Fffff").await);
    assert_eq!(put_into(club["id"].as_str().unwrap()).await["type"], "forbidden");
    // RFC 8621 §2: isSubscribed "MUST be stored separately per user where multiple users have access to a shared Mailbox": it may be set where nothing else may, and so the account is
    // not read-only as a whole (RFC 8620 §2), and what may not be done is refused by itself, not as `accountReadOnly` (§3.6.2).
    assert_eq!(club["isSubscribed"], false);
    let id = club["id"].as_str().unwrap();
    let update = |patch: Value| json!({"update": {id: patch}});
    let set = pair.call("Mailbox/set", update(json!({"isSubscribed": true}))).await;
    assert_eq!(set["updated"], json!({id: null}));
    let refused = pair.call("Mailbox/set", update(json!({"name": "Other"}))).await;
    assert_eq!(refused["notUpdated"][id]["type"], "forbidden");
    let now = pair.call("Mailbox/get", json!({"ids": [id], "properties": ["isSubscribed", "name"]})).await;
    assert_eq!(now["list"][0], json!({"id": id, "isSubscribed": true, "name": "Club"}));
    // Gone with the right.
    pair.share("Club", "").await;
    assert_eq!(pair.fails("Mailbox/get", json!({"ids": null})).await, "accountNotFound");
}

#[tokio::test]
async fn each_right_allows_its_own() {
    let pair = Pair::new().await;
    let (store, bob) = (&pair.office.store, pair.bob);
    store.mailbox_create(bob, "Club", None, 1).await.unwrap();
    store.mailbox_create(bob, "Club/Old", None, 1).await.unwrap();
    pair.put("Club", "one", 0).await;
    pair.put("Club/Old", "two", 0).await;
    pair.share("Club", "lr").await;
    let before = pair.call("Mailbox/get", json!({"ids": null})).await["state"].clone();
    let (club, old) = (pair.mailbox("Club").await, pair.mailbox("Club/Old").await);
    let ids = pair.ids().await;
    let [one] = ids.as_slice() else { panic!("{ids:?}") };
    let subject = pair.call("Email/get", json!({"ids": [one], "properties": ["subject"]})).await["list"][0]["subject"].clone();
    assert_eq!(subject, "one");
    assert_eq!(pair.download(one).await.0, 200);
    assert_eq!(pair.update(one, json!({"keywords/$seen": true})).await, "forbidden");
    pair.share("Club", "lrs").await;
    // The rights changed: what was known is known no more.
    assert_eq!(pair.fails("Mailbox/changes", json!({"sinceState": before})).await, "cannotCalculateChanges");
    assert_eq!(pair.update(one, json!({"keywords/$seen": true})).await, "");
    assert_eq!(pair.update(one, json!({"keywords/$flagged": true})).await, "forbidden");
    assert_eq!(pair.update(one, json!({"keywords": {"$flagged": true}})).await, "forbidden");
    pair.share("Club", "lrsw").await;
    assert_eq!(pair.update(one, json!({"keywords": {"$flagged": true, "x": true}})).await, "");
    // Bob's IMAP has it at once.
    let id = store.mailbox(bob, "Club").await.unwrap().unwrap().id;
    let flags = store.snapshot(bob, id).await.unwrap().rows.get(0).unwrap().flags;
    assert_eq!(flags.system, Flags::FLAGGED);
    // Into a mailbox: `i`; out of one: `t` and `e`.
    let new = json!({"create": {"c": {"mailboxIds": {&club: true}, "subject": "by ann"}}});
    assert_eq!(pair.call("Email/set", new.clone()).await["notCreated"]["c"]["type"], "forbidden");
    pair.share("Club", "lrswi").await;
    let made = pair.call("Email/set", new).await["created"]["c"]["id"].as_str().unwrap().to_owned();
    assert_eq!(pair.call("Email/set", json!({"destroy": [&made]})).await["notDestroyed"][&made]["type"], "forbidden");
    pair.share("Club/Old", "lri").await;
    let to_old = json!({"mailboxIds": {&old: true}});
    assert_eq!(pair.update(&made, to_old.clone()).await, "forbidden");
    pair.share("Club", "lrswite").await;
    assert_eq!(pair.update(&made, to_old).await, "");
    assert_eq!(pair.update(&made, json!({"mailboxIds": {&club: true}})).await, "forbidden");
    assert_eq!(pair.call("Email/set", json!({"destroy": [one]})).await["destroyed"], json!([one]));
    // Mailboxes: `k` to make, `x` to rename and remove.
    let child = json!({"create": {"m": {"name": "New", "parentId": &club, "isSubscribed": true}}});
    assert_eq!(pair.call("Mailbox/set", child.clone()).await["notCreated"]["m"]["type"], "forbidden");
    pair.share("Club", "lrswitek").await;
    let new = pair.call("Mailbox/set", child).await["created"]["m"]["id"].as_str().unwrap().to_owned();
    assert!(store.mailbox(bob, "Club/New").await.unwrap().is_some());
    let shown = pair.call("Mailbox/get", json!({"ids": [&new]})).await;
    assert_eq!((&shown["list"][0]["parentId"], &shown["list"][0]["isSubscribed"]), (&json!(club), &json!(true)));
    assert_eq!(store.subscriptions_elsewhere(pair.office.ann).await.unwrap(), ["Other Users/bob@here.test/Club/New"]);
    let top = json!({"create": {"m": {"name": "Top"}}});
    assert_eq!(pair.call("Mailbox/set", top).await["notCreated"]["m"]["type"], "forbidden");
    let set = async |arguments: Value, what: &str| pair.call("Mailbox/set", arguments).await[what][&new]["type"].clone();
    assert_eq!(set(json!({"update": {&new: {"name": "Newer"}}}), "notUpdated").await, "forbidden");
    assert_eq!(set(json!({"destroy": [&new]}), "notDestroyed").await, "forbidden");
    pair.share("Club/New", "lrx").await;
    assert_eq!(set(json!({"update": {&new: {"name": "Newer"}}}), "notUpdated").await, Value::Null);
    assert_eq!(set(json!({"update": {&new: {"parentId": null}}}), "notUpdated").await, "forbidden");
    // Its parent goes out of sight: it stays where it is under a new name.
    pair.share("Club", "k").await;
    let shown = pair.call("Mailbox/get", json!({"ids": [&new]})).await;
    assert_eq!((&shown["list"][0]["parentId"], &shown["list"][0]["name"]), (&Value::Null, &json!("Newer")));
    assert_eq!(set(json!({"update": {&new: {"name": "Newest"}}}), "notUpdated").await, Value::Null);
    assert!(store.mailbox(bob, "Club/Newest").await.unwrap().is_some());
    assert_eq!(pair.call("Mailbox/set", json!({"destroy": [&new]})).await["destroyed"], json!([new]));
}

#[tokio::test]
async fn copies_go_from_account_to_account() {
    let pair = Pair::new().await;
    let (office, own) = (&pair.office, pair.office.account_id());
    office.store.mailbox_create(pair.bob, "Club", None, 1).await.unwrap();
    pair.put("Club", "one", Flags::SEEN | Flags::FLAGGED).await;
    pair.share("Club", "lrs").await;
    let one = pair.ids().await.remove(0);
    let copy = async |arguments: Value| office.calls(json!([["Email/copy", arguments, "c"]])).await;
    let inbox = office.mailbox_id("INBOX").await;
    let club = pair.mailbox("Club").await;
    for (from, error) in
        [(json!("Affff"), "fromAccountNotFound"), (json!(own), "invalidArguments"), (Value::Null, "invalidArguments")]
    {
        let answers = copy(json!({"accountId": own, "fromAccountId": from, "create": {}})).await;
        assert_eq!(answers[0].1["type"], error, "{from}");
    }
    // From a shared mailbox into one's own, with what it had.
    let create = json!({"k": {"id": one, "mailboxIds": {&inbox: true}}});
    let state = json!({"accountId": own, "fromAccountId": pair.account(), "ifFromInState": "1", "create": create});
    assert_eq!(copy(state).await[0].1["type"], "stateMismatch");
    let answers = copy(json!({"accountId": own, "fromAccountId": pair.account(), "create": create})).await;
    assert_eq!((answers.len(), answers[0].0.as_str()), (1, "Email/copy"));
    let made = answers[0].1["created"]["k"]["id"].as_str().unwrap().to_owned();
    assert_eq!(answers[0].1["fromAccountId"], pair.account());
    let got = office.call("Email/get", json!({"ids": [&made], "fetchAllBodyValues": true})).await["list"][0].clone();
    assert_eq!((&got["subject"], &got["keywords"]), (&json!("one"), &json!({"$seen": true, "$flagged": true})));
    assert_eq!(got["mailboxIds"], json!({&inbox: true}));
    // The original goes only where it may.
    let with_end = json!({"accountId": own, "fromAccountId": pair.account(), "create": create, "onSuccessDestroyOriginal": true});
    let answers = copy(with_end.clone()).await;
    assert_eq!((answers[1].0.as_str(), &answers[1].1["notDestroyed"][&one]["type"]), ("Email/set", &json!("forbidden")));
    assert_eq!(answers[1].1["accountId"], pair.account());
    pair.share("Club", "lrste").await;
    let mut late = with_end.clone();
    late["destroyFromIfInState"] = json!("1");
    assert_eq!(copy(late).await[1].1["type"], "stateMismatch");
    assert_eq!(copy(with_end).await[1].1["destroyed"], json!([one]));
    assert_eq!(pair.ids().await, Vec::<String>::new());
    // Back again: with `i`, but without `w` the flag stays behind unless it is asked for, which is refused.
    let back = |keywords: Value| {
        let mut one = json!({"id": made, "mailboxIds": {&club: true}});
        if !keywords.is_null() {
            one["keywords"] = keywords;
        }
        json!({"accountId": pair.account(), "fromAccountId": own, "create": {"k": one}})
    };
    assert_eq!(copy(back(Value::Null)).await[0].1["notCreated"]["k"]["type"], "forbidden");
    pair.share("Club", "lrsi").await;
    assert_eq!(copy(back(json!({"$flagged": true}))).await[0].1["notCreated"]["k"]["type"], "forbidden");
    let there = copy(back(Value::Null)).await[0].1["created"]["k"]["id"].clone();
    let got = pair.call("Email/get", json!({"ids": [there], "properties": ["keywords"]})).await;
    assert_eq!(got["list"][0]["keywords"], json!({"$seen": true}));
    // Blobs.
    let blobs = json!({"accountId": own, "fromAccountId": pair.account(), "blobIds": [there, "Unothing"]});
    let answer = office.calls(json!([["Blob/copy", blobs, "c"]])).await.remove(0).1;
    assert_eq!(answer["notCopied"]["Unothing"]["type"], "notFound");
    let id = answer["copied"][there.as_str().unwrap()].clone();
    let read = office.call("Blob/get", json!({"ids": [id]})).await;
    assert!(read["list"][0]["data:asText"].as_str().unwrap().contains("The text of one."), "{read}");
    let blobs = json!({"accountId": own, "fromAccountId": "Affff", "blobIds": []});
    assert_eq!(office.calls(json!([["Blob/copy", blobs, "c"]])).await[0].1["type"], "fromAccountNotFound");
}

#[tokio::test]
async fn what_a_stranger_uploads_the_owner_does_not_see() {
    let pair = Pair::new().await;
    pair.office.store.mailbox_create(pair.bob, "Club", None, 1).await.unwrap();
    pair.share("Club", "lri").await;
    let basic = |who: &str| Office::basic(&format!("{who}@here.test"), "pw");
    let head = format!("POST /jmap/upload/{}/ HTTP/1.1\r\n{}Content-Type: text/plain\r\n", pair.account(), basic("ann"));
    let blob =
        pair.office.ask(&head, b"From: x@y\r\nSubject: brought\r\n\r\nx").await.json()["blobId"].as_str().unwrap().to_owned();
    let path = format!("/jmap/download/{}/{blob}/x", pair.account());
    assert_eq!(pair.office.ask(&format!("GET {path} HTTP/1.1\r\n{}", basic("bob")), b"").await.status, 404);
    assert_eq!(pair.download(&blob).await.0, 200);
    let into = json!({"emails": {"c": {"blobId": blob, "mailboxIds": {pair.mailbox("Club").await: true}}}});
    let answer = pair.call("Email/import", into.clone()).await;
    assert!(answer["created"]["c"]["id"].is_string(), "{answer}");
    pair.share("Club", "lr").await;
    assert_eq!(pair.call("Email/import", into).await["notCreated"]["c"]["type"], "forbidden");
    let nowhere = head.replace(&pair.account(), "Affff");
    assert_eq!(pair.office.ask(&nowhere, b"x").await.status, 404);
}

#[tokio::test]
async fn a_stream_tells_of_what_is_shared_and_of_nothing_else() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let pair = Pair::new().await;
    let store = &pair.office.store;
    store.mailbox_create(pair.bob, "Club", None, 1).await.unwrap();
    let mut stream = pair.office.connect("127.0.0.1", false);
    let basic = Office::basic("ann@here.test", "pw");
    let head = format!("GET /jmap/eventsource/?types=*&closeafter=no&ping=0 HTTP/1.1\r\nHost: here.test\r\n{basic}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut next = async |wanted: &str| {
        let told = async {
            let mut octets = [0; 4096];
            while !text.contains(wanted) {
                let got = stream.read(&mut octets).await.unwrap();
                assert!(got > 0, "{text}");
                text.push_str(&String::from_utf8_lossy(&octets[..got]));
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), told).await.unwrap();
        std::mem::take(&mut text)
    };
    next(": hello").await;
    let account = format!("\"{}\":", pair.account());
    // A right given: told at once.
    pair.put("Club", "one", 0).await;
    pair.share("Club", "lr").await;
    next(&account).await;
    // Of hidden mail nothing is told: the next thing is what came to ann herself.
    pair.put("INBOX", "hidden", 0).await;
    pair.office.put("INBOX", "Subject: to ann\r\n\r\nx\r\n", crate::office::NOW, 0).await;
    let told = next(&format!("\"{}\":", pair.office.account_id())).await;
    assert!(!told.contains(&account), "{told}");
    pair.put("Club", "two", 0).await;
    let at = store.mailbox_states(pair.bob).await.unwrap().0.0;
    next(&format!("\"Email\":\"{at}-")).await;
    pair.share("Club", "").await;
    next("\"gone\"").await;
}

/// Where the mailbox's entry asks for it, `$seen` is the reader's own, the same one that IMAP shows him: in emails, queries, counts
/// and changes, and when he sets it. The owner's is another.
#[tokio::test]
async fn seen_is_the_readers_own_where_the_owner_asked_for_it() {
    let pair = Pair::new().await;
    let (store, bob, ann) = (&pair.office.store, pair.bob, pair.office.ann);
    for name in ["Club", "Hall"] {
        store.mailbox_create(bob, name, None, 1).await.unwrap();
    }
    pair.put("Club", "one", Flags::SEEN).await;
    pair.put("Club", "two", 0).await;
    pair.share("Club", "lrswite").await;
    pair.share("Hall", "lrswite").await;
    let id = store.mailbox(bob, "Club").await.unwrap().unwrap().id;
    let unread = async || {
        let got = pair.call("Mailbox/get", json!({"ids": [pair.mailbox("Club").await]})).await["list"][0].clone();
        (got["unreadEmails"].as_u64().unwrap(), got["unreadThreads"].as_u64().unwrap())
    };
    let found = async |filter: Value| {
        let ids = pair.call("Email/query", json!({"filter": filter, "sort": [{"property": "size"}]})).await["ids"].clone();
        let got = pair.call("Email/get", json!({"ids": ids, "properties": ["subject"]})).await["list"].clone();
        got.as_array().unwrap().iter().map(|one| one["subject"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((unread().await, found(json!({"hasKeyword": "$seen"})).await), ((1, 1), vec!["one".to_owned()]));
    let shared_state = pair.call("Email/get", json!({"ids": []})).await["state"].clone();
    let entry = ("/shared/vendor/packetboat/seen".into(), Some(b"own".to_vec()));
    store.annotate(bob, Some(id), &[entry]).await.unwrap();
    // Everything may be another now.
    assert_eq!(pair.fails("Email/changes", json!({"sinceState": shared_state})).await, "cannotCalculateChanges");
    assert_eq!((unread().await, found(json!({"hasKeyword": "$seen"})).await), ((2, 2), Vec::<String>::new()));
    assert_eq!(found(json!({"notKeyword": "$seen"})).await.len(), 2);
    // IMAP marks it for ann: JMAP has it, and tells.
    let since = pair.call("Email/get", json!({"ids": []})).await["state"].clone();
    store.set_own_seen((bob, id), ann, &[store::Uid(2)], true).await.unwrap();
    assert_eq!((unread().await, found(json!({"hasKeyword": "$seen"})).await), ((1, 1), vec!["two".to_owned()]));
    let sort = json!({"sort": [{"property": "hasKeyword", "keyword": "$seen", "isAscending": false}]});
    let ids = pair.call("Email/query", sort).await["ids"].clone();
    let (two, one) = (ids[0].as_str().unwrap().to_owned(), ids[1].as_str().unwrap().to_owned());
    assert_eq!(pair.call("Email/changes", json!({"sinceState": since})).await["updated"], json!([two]));
    let moved = pair.call("Email/queryChanges", json!({"sinceQueryState": since, "filter": {"notKeyword": "$seen"}})).await;
    assert_eq!(moved["removed"], json!([two]));
    // JMAP marks it: IMAP has it as ann's, and what others see stays.
    let own = async || {
        let own = store.own_seen((bob, id), ann).await.unwrap();
        [own.has(store::Uid(1)), own.has(store::Uid(2))]
    };
    let of_bob = async || {
        let rows = store.snapshot(bob, id).await.unwrap().rows;
        rows.iter().map(|row| row.flags.system).collect::<Vec<_>>()
    };
    assert_eq!(pair.update(&one, json!({"keywords/$seen": true})).await, "");
    assert_eq!(pair.update(&two, json!({"keywords/$seen": null, "keywords/$flagged": true, "keywords/work": true})).await, "");
    assert_eq!((own().await, of_bob().await), ([true, false], vec![Flags::SEEN, Flags::FLAGGED]));
    let keywords = async |id: &str| {
        pair.call("Email/get", json!({"ids": [id], "properties": ["keywords"]})).await["list"][0]["keywords"].clone()
    };
    assert_eq!((keywords(&one).await, keywords(&two).await), (json!({"$seen": true}), json!({"$flagged": true, "work": true})));
    assert_eq!(pair.update(&two, json!({"keywords": {"$seen": true, "$answered": true}})).await, "");
    assert_eq!((own().await, of_bob().await), ([true, true], vec![Flags::SEEN, Flags::ANSWERED]));
    assert_eq!(pair.update(&one, json!({"keywords": {}})).await, "");
    assert_eq!(
        (own().await, of_bob().await),
        ([false, true], vec![Flags::SEEN, Flags::ANSWERED]),
        "bob has seen it all the same"
    );
    assert_eq!(keywords(&two).await, json!({"$seen": true, "$answered": true}));
    // What comes there is seen by who brought it, and what goes from there takes his along.
    let club = pair.mailbox("Club").await;
    let new = json!({"create": {"c": {"mailboxIds": {&club: true}, "keywords": {"$seen": true}, "subject": "by ann"}}});
    let made = pair.call("Email/set", new).await["created"]["c"]["id"].as_str().unwrap().to_owned();
    assert_eq!((keywords(&made).await, of_bob().await[2]), (json!({"$seen": true}), 0));
    let hall = pair.mailbox("Hall").await;
    assert_eq!(pair.update(&made, json!({"mailboxIds": {&hall: true}})).await, "");
    let there = store.snapshot(bob, store.mailbox(bob, "Hall").await.unwrap().unwrap().id).await.unwrap().rows;
    assert_eq!((keywords(&made).await, there.get(0).unwrap().flags.system), (json!({"$seen": true}), Flags::SEEN));
    assert_eq!(pair.update(&made, json!({"mailboxIds": {&club: true}, "keywords/$seen": null})).await, "");
    assert_eq!((keywords(&made).await, unread().await.0), (json!({}), 2));
    // Bob himself has always had his own.
    let head = format!("POST /jmap/api HTTP/1.1\r\n{}Content-Type: application/json\r\n", Office::basic("bob@here.test", "pw"));
    let using = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"];
    let asked = json!({"using": using, "methodCalls": [["Email/get", {"accountId": pair.account(), "ids": [one, two], "properties": ["keywords"]}, "0"]]});
    let got = pair.office.ask(&head, asked.to_string().as_bytes()).await.json()["methodResponses"][0][1]["list"].clone();
    assert_eq!((&got[0]["keywords"], &got[1]["keywords"]), (&json!({"$seen": true}), &json!({"$answered": true})));
}

/// RFC 8621 §2: "There MUST NOT be two sibling Mailboxes with both the same parent and the same name", also where what is above is
/// hidden.
#[tokio::test]
async fn two_that_are_called_alike_under_hidden_ones_are_told_apart() {
    let pair = Pair::new().await;
    for name in ["Boats/Old", "Cars/Old", "Cars/New"] {
        pair.office.store.mailbox_create(pair.bob, name, None, 1).await.unwrap();
        pair.share(name, "lrx").await;
    }
    let names = async || {
        let all = pair.call("Mailbox/get", json!({"properties": ["name", "parentId"]})).await["list"].clone();
        all.as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names().await, ["Boats/Old", "Cars/Old", "New"].map(str::to_owned).into());
    let found = pair.call("Mailbox/query", json!({"filter": {"name": "boats"}})).await;
    assert_eq!(found["ids"], json!([pair.mailbox("Boats/Old").await]));
    // Said again it is no other name.
    let old = pair.mailbox("Boats/Old").await;
    let set = async |patch: Value| pair.call("Mailbox/set", json!({"update": {&old: patch}})).await["updated"].clone();
    assert_eq!(set(json!({"name": "Boats/Old", "isSubscribed": true})).await, json!({&old: null}));
    pair.share("Boats", "k").await;
    assert_eq!(set(json!({"name": "Older"})).await, json!({&old: null}));
    assert_eq!(names().await, ["Old", "Older", "New"].map(str::to_owned).into());
}

//! Requests of RFC 8620: its examples, errors of the whole request and of one call, limits.

use crate::office::Office;
use serde_json::{Value, json};

const CORE: &str = "urn:ietf:params:jmap:core";

#[tokio::test]
async fn the_session_resource_says_what_is_enforced() {
    let office = Office::new().await;
    let head = format!("GET /.well-known/jmap HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw"));
    let session = office.ask(&head, b"").await.json();
    assert_eq!(session["username"], "ann@here.test");
    let account = &session["accounts"]["A1"];
    assert_eq!((account["name"].as_str(), account["isPersonal"].as_bool()), (Some("ann@here.test"), Some(true)));
    assert_eq!(session["primaryAccounts"]["urn:ietf:params:jmap:mail"], "A1");
    let core = &session["capabilities"][CORE];
    assert_eq!(core["maxCallsInRequest"], web::limits::CALLS_MAX);
    assert_eq!(core["maxObjectsInGet"], web::limits::GET_MAX);
    // Programs take only whole URLs (jmapc does).
    let base = |session: &Value, name: &str| {
        let url = session[name].as_str().unwrap().to_owned();
        url.split_once("/jmap/").unwrap_or_else(|| panic!("{name}: {url}")).0.to_owned()
    };
    let host = "here.test";
    for name in ["apiUrl", "downloadUrl", "uploadUrl", "eventSourceUrl"] {
        assert_eq!(base(&session, name), format!("http://{host}"), "{name}");
    }
    let socket = &session["capabilities"]["urn:ietf:params:jmap:websocket"]["url"];
    assert_eq!(socket, &json!(format!("ws://{host}/jmap/ws")));
    let session = office.ask(&format!("{head}X-Forwarded-Proto: https\r\n"), b"").await.json();
    assert_eq!(base(&session, "apiUrl"), format!("https://{host}"));
    assert_eq!(session["capabilities"]["urn:ietf:params:jmap:websocket"]["url"], json!(format!("wss://{host}/jmap/ws")));
    let wrong = format!("GET /.well-known/jmap HTTP/1.1\r\n{}", Office::basic("ann@here.test", "no"));
    let answer = office.ask(&wrong, b"").await;
    assert!(answer.status == 401 && answer.headers["www-authenticate"].starts_with("Basic"));
}

/// RFC 8620 §2, RFC 8621 §1.3, RFC 8887 §3, RFC 9404 §2: each capability has the properties that are asked for and no others, of their
/// types, and what is said to be known is.
#[tokio::test]
async fn each_capability_says_what_is_asked_for_and_it_is_so() {
    let office = Office::new().await;
    let head = format!("GET /jmap/session HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw"));
    let session = office.ask(&head, b"").await.json();
    let name = |short: &str| format!("urn:ietf:params:jmap:{short}");
    let (all, of_account) = (&session["capabilities"], &session["accounts"]["A1"]["accountCapabilities"]);
    let properties = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let core = &all[name("core")];
    let numbers = [
        "maxSizeUpload",
        "maxConcurrentUpload",
        "maxSizeRequest",
        "maxConcurrentRequests",
        "maxCallsInRequest",
        "maxObjectsInGet",
        "maxObjectsInSet",
    ];
    assert!(numbers.iter().all(|one| core[one].as_u64().is_some_and(|number| number > 0)), "{core}");
    assert_eq!(properties(core).len(), numbers.len() + 1);
    for short in ["mail", "submission", "quota", "vacationresponse", "blob", "mdn"] {
        assert_eq!(all[name(short)], json!({}), "{short}");
        assert_eq!(session["primaryAccounts"][name(short)], "A1", "{short}");
    }
    let socket = &all[name("websocket")];
    assert_eq!((properties(socket), &socket["supportsPush"]), (vec!["supportsPush".into(), "url".into()], &json!(true)));
    let blob = &of_account[name("blob")];
    assert_eq!(properties(blob), ["maxDataSources", "maxSizeBlobSet", "supportedDigestAlgorithms", "supportedTypeNames"]);
    // "The value MUST be at least 64."
    assert!(blob["maxDataSources"].as_u64().unwrap() >= 64 && blob["maxSizeBlobSet"].is_u64());
    let mail = &of_account[name("mail")];
    // "This MUST be at least 100"
    assert!(mail["maxSizeMailboxName"].as_u64().unwrap() >= 100 && mail["maxSizeAttachmentsPerEmail"].is_u64(), "{mail}");
    let submission = &of_account[name("submission")];
    assert!(submission["maxDelayedSend"].is_u64() && submission["submissionExtensions"].is_object(), "{submission}");
    // What is said to be there is.
    let list = |value: &Value| value.as_array().filter(|list| !list.is_empty()).unwrap().clone();
    let brought = office.call("Blob/upload", json!({"create": {"b": {"data": [{"data:asText": "x"}]}}})).await;
    for digest in list(&blob["supportedDigestAlgorithms"]) {
        let wanted = format!("digest:{}", digest.as_str().unwrap());
        let got = office.call("Blob/get", json!({"ids": [brought["created"]["b"]["id"]], "properties": [wanted]})).await;
        assert!(got["list"][0][&wanted].is_string(), "{got}");
    }
    office.call("Blob/lookup", json!({"ids": [], "typeNames": blob["supportedTypeNames"]})).await;
    for property in list(&mail["emailQuerySortOptions"]) {
        office.call("Email/query", json!({"sort": [{"property": property, "keyword": "$seen"}]})).await;
    }
    for collation in list(&core["collationAlgorithms"]) {
        office.call("Email/query", json!({"sort": [{"property": "subject", "collation": collation}]})).await;
    }
}

#[tokio::test]
async fn errors_of_the_whole_request() {
    let office = Office::new().await;
    let refused = async |request: &Value| {
        let answer = office.request(request).await;
        assert_eq!((answer.status, answer.headers["content-type"].as_str()), (400, "application/problem+json"));
        answer.json()["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
    };
    assert_eq!(
        refused(&json!({"using": [CORE, "https://example.com/apis/foobar"], "methodCalls": []})).await,
        "unknownCapability"
    );
    for wrong in [
        json!([]),
        json!({}),
        json!({"using": [CORE]}),
        json!({"using": CORE, "methodCalls": []}),
        json!({"using": [CORE], "methodCalls": {}}),
        json!({"using": [CORE], "methodCalls": [["Core/echo", {}]]}),
        json!({"using": [CORE], "methodCalls": [["Core/echo", [], "a"]]}),
        json!({"using": [CORE], "methodCalls": [], "createdIds": []}),
    ] {
        assert_eq!(refused(&wrong).await, "notRequest", "{wrong}");
    }
    let echo = json!(["Core/echo", {}, "a"]);
    let many = |number: usize| json!({"using": [CORE], "methodCalls": vec![echo.clone(); number]});
    assert_eq!(refused(&many(web::limits::CALLS_MAX + 1)).await, "limit");
    assert_eq!(office.request(&many(web::limits::CALLS_MAX)).await.status, 200);
    let head = format!("POST /jmap/api HTTP/1.1\r\n{}Content-Type: application/json\r\n", Office::basic("ann@here.test", "pw"));
    for junk in ["", "{", "nonsense", "{\"using\": [\"\u{0}\"]"] {
        assert_eq!(office.ask(&head, junk.as_bytes()).await.json()["type"], "urn:ietf:params:jmap:error:notJSON");
    }
}

#[tokio::test]
async fn a_call_answers_or_fails_by_itself() {
    let office = Office::new().await;
    // RFC 8620 §4.1.
    let request =
        json!({"using": [CORE], "methodCalls": [["Core/echo", {"hello": true, "high": 5}, "b3ff"], ["Nothing/get", {}, "x"]]});
    let answer = office.request(&request).await.json();
    assert_eq!(answer["methodResponses"][0], json!(["Core/echo", {"hello": true, "high": 5}, "b3ff"]));
    assert_eq!(answer["methodResponses"][1], json!(["error", {"type": "unknownMethod"}, "x"]));
    assert!(answer["sessionState"].is_string() && answer.get("createdIds").is_none());
    // Not among `using`.
    let request = json!({"using": [CORE], "methodCalls": [["Mailbox/get", {"accountId": "A1"}, "x"]]});
    assert_eq!(office.request(&request).await.json()["methodResponses"][0][1]["type"], "unknownMethod");
    // Nor is it looked at arguments of what is no method.
    let unknown = json!([["Nothing/get", {}, "x"], ["Email/nothing", {}, "y"], ["Email/nothing", {"accountId": "A2"}, "z"], ["Nothing", {}, ""]]);
    for (name, error) in office.calls(unknown).await {
        assert_eq!((name.as_str(), &error["type"]), ("error", &json!("unknownMethod")));
    }
    let answers = office.calls(json!([["Mailbox/get", {"accountId": "A2"}, "x"], ["Mailbox/get", {}, "y"]])).await;
    assert_eq!(answers[0].1["type"], "accountNotFound");
    assert_eq!(answers[1].1["type"], "invalidArguments");
    assert_eq!(office.fails("Mailbox/get", json!({"nonsense": 1})).await, "invalidArguments");
    assert_eq!(office.fails("Mailbox/get", json!({"ids": "x"})).await, "invalidArguments");
    assert_eq!(office.fails("Mailbox/get", json!({"properties": ["nonsense"]})).await, "invalidArguments");
    let many: Vec<String> = (0..=web::limits::GET_MAX).map(|number| number.to_string()).collect();
    assert_eq!(office.fails("Email/get", json!({"ids": many})).await, "requestTooLarge");
    let all = office.call("Email/get", json!({"ids": many[1..]})).await;
    assert_eq!(all["notFound"].as_array().unwrap().len(), web::limits::GET_MAX);
    let request = json!({"using": [CORE], "methodCalls": [], "createdIds": {"k": "v"}});
    assert_eq!(office.request(&request).await.json()["createdIds"], json!({"k": "v"}));
}

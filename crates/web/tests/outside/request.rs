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

//! Old accounts elsewhere, as their owner's page sees them; the servers themselves are met in `tests/browser`.

use crate::office::{Answer, Doors, NOW, Office};
use serde_json::{Value, json};
use store::{Account, AccountId};
use web::{FoundServer, FoundServers, Later, Link, LinkAct, NewLink, OldFolder, OldMessage, OldServer};

const OURS: &str = "Origin: http://here.test\r\nX-Packetboat: 1\r\nContent-Type: application/json\r\n";
const OLD: &str = "ann@old.test";

/// One server, `old.test`, whose password is `old`.
impl web::Links for Doors {
    fn discover<'a>(&'a self, address: &'a str) -> Later<'a, FoundServers> {
        let how = format!("SRV record for {address}");
        let server = FoundServer { url: "imaps://old.test:993".into(), login: None, how, elsewhere: false };
        let steps = vec![("SRV _imaps._tcp.old.test".into(), "answers under TLS".into())];
        Box::pin(std::future::ready(FoundServers { incoming: Some(server), submission: None, steps }))
    }

    fn look<'a>(&'a self, server: &'a OldServer) -> Later<'a, Result<Vec<OldFolder>, String>> {
        let newest = OldMessage { from: "Bob".into(), subject: "Hi".into(), date: "Mon".into(), unread: true };
        let inbox =
            OldFolder { name: "INBOX".into(), called: "INBOX".into(), messages: 7, newest: vec![newest], special_use: None };
        let let_in = server.password.as_str() == "old";
        Box::pin(std::future::ready(if let_in { Ok(vec![inbox]) } else { Err("old.test:993 does not let us in".into()) }))
    }

    fn list(&self, account: AccountId) -> Later<'_, Result<Vec<Link>, String>> {
        let all = self.links.lock().unwrap().iter().filter(|(of, _)| *of == account).map(|(_, link)| link.clone()).collect();
        Box::pin(std::future::ready(Ok(all)))
    }

    fn add<'a>(&'a self, account: &'a Account, wanted: NewLink) -> Later<'a, Result<Link, String>> {
        let link = Link {
            id: "l1".into(),
            address: wanted.address,
            url: wanted.server.url,
            login: wanted.server.login,
            submission: wanted.submission,
            folders: wanted.folders,
            collect: wanted.collect,
            state: "bringing",
            progress: (1, 7, 2_000, "INBOX".into()),
            last_secs: Some(NOW),
            bad: vec![("INBOX 3".into(), "too large".into())],
            ..Link::default()
        };
        self.links.lock().unwrap().push((account.id, link.clone()));
        Box::pin(std::future::ready(Ok(link)))
    }

    fn act<'a>(&'a self, account: AccountId, id: &'a str, act: LinkAct) -> Later<'a, Result<Option<Link>, String>> {
        let mut all = self.links.lock().unwrap();
        let at = all.iter().position(|(of, link)| *of == account && link.id == id);
        let answer = at.map(|at| match act {
            LinkAct::Stop => {
                all[at].1.state = "stopped";
                all[at].1.clone()
            }
            LinkAct::Resume(password) => {
                all[at].1.state = if password.is_some() { "collecting" } else { "bringing" };
                all[at].1.clone()
            }
            LinkAct::Remove => all.remove(at).1,
        });
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn sends_as(&self, account: AccountId, address: &str) -> bool {
        let all = self.links.lock().unwrap();
        all.iter().any(|(of, link)| *of == account && link.submission.is_some() && link.address.eq_ignore_ascii_case(address))
    }
}

async fn post_as(office: &Office, who: &str, path: &str, body: Value) -> Answer {
    let head = format!("POST {path} HTTP/1.1\r\n{}{OURS}", Office::basic(who, "pw"));
    office.ask(&head, body.to_string().as_bytes()).await
}

async fn post(office: &Office, path: &str, body: Value) -> Answer {
    post_as(office, "ann@here.test", path, body).await
}

async fn list(office: &Office, who: &str) -> Value {
    office.ask(&format!("GET /api/links HTTP/1.1\r\n{}", Office::basic(who, "pw")), b"").await.json()["links"].clone()
}

fn wanted(password: &str) -> Value {
    json!({"address": OLD, "server": "imaps://old.test:993", "login": OLD, "password": password,
        "submission": "smtps://old.test:465", "folders": ["INBOX"], "collect": true})
}

#[tokio::test]
async fn an_old_account_is_found_looked_at_and_linked() {
    let office = Office::new().await;
    let found = post(&office, "/api/links/discover", json!({"address": OLD})).await.json();
    assert_eq!(found["incoming"]["server"], "imaps://old.test:993");
    assert_eq!((&found["submission"], &found["steps"][0]["lookedAt"]), (&Value::Null, &json!("SRV _imaps._tcp.old.test")));
    assert_eq!(post(&office, "/api/links/discover", json!({"address": "no address"})).await.status, 400);
    let refused = post(&office, "/api/links/look", wanted("wrong")).await;
    assert_eq!((refused.status, refused.json()["detail"].as_str()), (422, Some("old.test:993 does not let us in")));
    let folders = post(&office, "/api/links/look", wanted("old")).await.json();
    assert_eq!(folders["folders"][0]["newest"][0], json!({"from": "Bob", "subject": "Hi", "date": "Mon", "isUnread": true}));
    let made = post(&office, "/api/links", wanted("old")).await;
    assert_eq!(made.status, 201);
    let link = list(&office, "ann@here.test").await[0].clone();
    assert_eq!((&link, &link["progress"]["total"], &link["bad"][0]["why"]), (&made.json(), &json!(7), &json!("too large")));
    assert!(!link.to_string().contains("password"), "no answer has it");
    assert_eq!(list(&office, "bob@here.test").await, json!([]));
    for (path, state) in [("stop", "stopped"), ("resume", "bringing")] {
        let done = post(&office, &format!("/api/links/{path}"), json!({"id": "l1"})).await;
        assert_eq!((done.status, &done.json()["state"]), (200, &json!(state)));
        assert_eq!(post_as(&office, "bob@here.test", &format!("/api/links/{path}"), json!({"id": "l1"})).await.status, 404);
    }
    assert_eq!(post(&office, "/api/links/remove", json!({"id": "l1"})).await.status, 200);
    assert_eq!(list(&office, "ann@here.test").await, json!([]));
}

#[tokio::test]
async fn who_links_an_old_address_can_write_as_it_until_the_link_goes() {
    let office = Office::new().await;
    let emails = async || {
        let got = office.call("Identity/get", json!({"ids": null})).await;
        got["list"].as_array().unwrap().iter().map(|one| one["email"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let make = async || office.call("Identity/set", json!({"create": {"n": {"email": "Ann@old.test", "name": "A"}}})).await;
    assert_eq!(make().await["notCreated"]["n"]["type"], "forbiddenFrom");
    assert_eq!(post(&office, "/api/links", wanted("old")).await.status, 201);
    assert_eq!(emails().await, ["ann@here.test", OLD]);
    assert!(make().await["created"]["n"]["id"].is_string(), "another with the same address");
    post(&office, "/api/links/remove", json!({"id": "l1"})).await;
    assert_eq!(emails().await, ["ann@here.test"]);
}

#[tokio::test]
async fn other_servers_are_not_asked_for_ever() {
    let office = Office::new().await;
    let mut last = 0;
    for _ in 0..=web_limit() {
        last = post(&office, "/api/links/look", wanted("guess")).await.status;
    }
    assert_eq!(last, 429);
    assert_eq!(post_as(&office, "bob@here.test", "/api/links/look", wanted("old")).await.status, 200);
    let strange = office.ask(&format!("POST /api/links HTTP/1.1\r\n{OURS}"), wanted("old").to_string().as_bytes()).await;
    assert_eq!(strange.status, 401);
}

/// As often as `docs/jmap.md` says.
fn web_limit() -> u32 {
    40
}

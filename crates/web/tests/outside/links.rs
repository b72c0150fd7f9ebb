//! Old accounts elsewhere, as their owner's page sees them; the servers themselves are met in `tests/browser`.

use crate::office::{Answer, Doors, NOW, Office};
use serde_json::{Value, json};
use store::{Account, AccountId};
use web::{FoundServer, FoundServers, Later, Link, LinkAct, NewLink, OldFolder, OldMessage, OldServer};
use web::{Grant, GrantState, Proof, WantedGrant};

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

    fn look<'a>(&'a self, account: AccountId, server: &'a OldServer) -> Later<'a, Result<Vec<OldFolder>, String>> {
        let newest = OldMessage { from: "Bob".into(), subject: "Hi".into(), date: "Mon".into(), unread: true };
        let inbox =
            OldFolder { name: "INBOX".into(), called: "INBOX".into(), messages: 7, newest: vec![newest], special_use: None };
        let let_in = match &server.proof {
            Proof::Password(password) => password.as_str() == "old",
            Proof::Grant(id) => web::Links::granted(self, account, id) == Some(GrantState::Granted),
        };
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
            by_token: matches!(wanted.server.proof, Proof::Grant(_)),
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
                all[at].1.by_token |= matches!(password, Some(Proof::Grant(_)));
                all[at].1.state = if password.is_some() { "collecting" } else { "bringing" };
                all[at].1.clone()
            }
            LinkAct::Remove => all.remove(at).1,
        });
        Box::pin(std::future::ready(Ok(answer)))
    }

    /// A client id tells what becomes of it.
    fn grant(&self, account: AccountId, wanted: WantedGrant) -> Later<'_, Result<Grant, String>> {
        let client = match wanted {
            WantedGrant::New { client_id, client_secret, provider, server, .. } => {
                assert_eq!(client_secret.as_deref().map(String::as_str), Some("s-1"));
                assert_eq!((provider.issuer.as_deref(), provider.scope), (Some("https://id.test"), None));
                assert_eq!(server, "imaps://old.test:993");
                client_id
            }
            WantedGrant::Again(link) => format!("again-{link}"),
        };
        let id = format!("{client}/{}", account.0);
        let page = "https://id.test/device".to_owned();
        let grant = Grant { id, page, code: "AB-CD".into(), until_secs: NOW + 900 };
        Box::pin(std::future::ready(if client == "nobody" { Err("it does not know this client id".into()) } else { Ok(grant) }))
    }

    fn granted(&self, account: AccountId, id: &str) -> Option<GrantState> {
        match id.split_once('/').filter(|(_, of)| *of == account.0.to_string())?.0 {
            "slow" => Some(GrantState::Waiting),
            "refused" => Some(GrantState::Refused("the sign-in was refused there".into())),
            _ => Some(GrantState::Granted),
        }
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
async fn an_old_account_is_linked_by_a_sign_in_at_its_provider() {
    let office = Office::new().await;
    let begin = async |client: &str| {
        let body = json!({"address": OLD, "server": "imaps://old.test:993", "clientId": format!(" {client} "), "clientSecret": "s-1",
            "issuer": "https://id.test", "scope": ""});
        post(&office, "/api/links/grants", body).await
    };
    let refused = begin("nobody").await;
    assert_eq!((refused.status, refused.json()["detail"].as_str()), (422, Some("it does not know this client id")));
    assert_eq!(post(&office, "/api/links/grants", json!({"address": OLD, "clientId": "x"})).await.status, 400);
    let begun = begin("me").await;
    assert_eq!(
        (begun.status, &begun.json()["code"], &begun.json()["page"]),
        (201, &json!("AB-CD"), &json!("https://id.test/device"))
    );
    let grant = begun.json()["grant"].clone();
    let state = async |who: &str, grant: &Value| post_as(&office, who, "/api/links/grants/look", json!({"grant": grant})).await;
    assert_eq!(state("ann@here.test", &grant).await.json(), json!({"state": "granted", "why": null}));
    assert_eq!(state("bob@here.test", &grant).await.status, 404, "it is Ann's");
    let slow = begin("slow").await.json()["grant"].clone();
    assert_eq!(state("ann@here.test", &slow).await.json()["state"], "waiting");
    let no = begin("refused").await.json()["grant"].clone();
    assert_eq!(state("ann@here.test", &no).await.json(), json!({"state": "refused", "why": "the sign-in was refused there"}));
    let by =
        |grant: &Value| json!({"address": OLD, "server": "imaps://old.test:993", "login": OLD, "grant": grant, "collect": true});
    assert_eq!(post(&office, "/api/links/look", by(&slow)).await.status, 422);
    assert_eq!(post_as(&office, "bob@here.test", "/api/links/look", by(&grant)).await.status, 422, "nobody else may use it");
    assert_eq!(post(&office, "/api/links/look", by(&grant)).await.status, 200);
    let made = post(&office, "/api/links", by(&grant)).await;
    assert_eq!((made.status, &made.json()["byToken"]), (201, &json!(true)));
    let again = post(&office, "/api/links/grants", json!({"link": "l1"})).await.json()["grant"].clone();
    let resumed = post(&office, "/api/links/resume", json!({"id": "l1", "grant": again})).await;
    assert_eq!((resumed.status, &resumed.json()["state"]), (200, &json!("collecting")));
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

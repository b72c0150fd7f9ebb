//! What an event stream and a WebSocket tell of new mail (RFC 8621 §1.5).

use crate::office::{NOW, Office};
use crate::socket::Socket;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const LETTER: &str = "From: carol@there.test\r\nTo: ann@here.test\r\nSubject: Hello\r\n\r\nHello\r\n";

/// An event stream, and what was heard of it and not yet taken.
struct Events(DuplexStream, String);

impl Events {
    async fn open(office: &Office, more: &str) -> Events {
        let mut stream = office.connect("127.0.0.1", false);
        let basic = Office::basic("ann@here.test", "pw");
        let head = format!("GET /jmap/eventsource/?types=*&ping=0 HTTP/1.1\r\nHost: here.test\r\n{basic}{more}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut events = Events(stream, String::new());
        events.until(": hello").await;
        events
    }

    async fn until(&mut self, word: &str) -> String {
        let mut buffer = [0u8; 4096];
        while !self.1.contains(word) {
            let octets = tokio::time::timeout(Duration::from_secs(60), self.0.read(&mut buffer)).await.unwrap().unwrap();
            assert!(octets > 0, "{}", self.1);
            self.1.push_str(&String::from_utf8_lossy(&buffer[..octets]));
        }
        let at = self.1.find(word).unwrap() + word.len();
        self.1.drain(..at).collect()
    }

    /// The next StateChange, and its id.
    async fn next(&mut self) -> (Value, String) {
        let id = self.until("\ndata: ").await;
        let id = id.rsplit_once("id: ").unwrap().1.lines().next().unwrap().to_owned();
        let data = self.until("\n").await;
        (serde_json::from_str(data.trim()).unwrap(), id)
    }
}

/// Did something change, and was new mail among it?
fn told(office: &Office, change: &Value) -> (bool, bool) {
    let states = &change["changed"][office.account_id()];
    (states["Email"].is_string(), states["EmailDelivery"].is_string())
}

/// RFC 9425 §2: the capability is an empty object in both places. §6: "Servers MUST support the JMAP push mechanisms [...] to receive
/// notifications when the state changes for the Quota type": of what is used and of the limit, and of nothing else.
#[tokio::test]
async fn of_the_quota_is_told_as_of_mail() {
    let office = Office::new().await;
    let session =
        office.ask(&format!("GET /jmap/session HTTP/1.1\r\n{}", Office::basic("ann@here.test", "pw")), b"").await.json();
    let name = "urn:ietf:params:jmap:quota";
    let of_account = &session["accounts"][office.account_id()]["accountCapabilities"][name];
    assert_eq!((&session["capabilities"][name], of_account), (&json!({}), &json!({})));
    let mut events = Events::open(&office, "").await;
    let mut next = async || events.next().await.0["changed"][office.account_id()].clone();
    office.put("INBOX", LETTER, NOW, 0).await;
    let told = next().await;
    let quota = office.call("Quota/get", json!({"ids": null})).await;
    assert_eq!(told["Quota"], quota["state"], "{told}");
    office.call("Identity/set", json!({"create": {"i": {"email": "ann@here.test", "name": "Ann"}}})).await;
    let told = next().await;
    assert!(told["Identity"].is_string() && told["Quota"].is_null(), "{told}");
    office.store.account_quota(office.ann, Some(70_000)).await.unwrap();
    let told = next().await;
    assert!(told["Quota"].is_string() && told["Email"].is_null(), "{told}");
}

/// RFC 8620 §7.3: of an event id that the server does not know anything may have happened since.
#[tokio::test]
async fn after_a_strange_event_everything_is_told() {
    let office = Office::new().await;
    office.put("INBOX", LETTER, NOW, 0).await;
    for strange in ["somebody else's", "99999999"] {
        let mut events = Events::open(&office, &format!("Last-Event-ID: {strange}\r\n")).await;
        assert!(told(&office, &events.next().await.0).0, "{strange}");
    }
}

#[tokio::test]
async fn of_what_is_moved_or_copied_no_delivery_is_told() {
    let office = Office::new().await;
    let (inbox, archive) = (office.mailbox("INBOX").await, office.mailbox("Archive").await);
    let first = office.put("INBOX", LETTER, NOW, 0).await;
    let mut events = Events::open(&office, "").await;
    let mut socket = Socket::open(&office).await;
    socket.say(&json!({"@type": "WebSocketPushEnable", "dataTypes": null}).to_string()).await;
    socket.say(&json!({"@type": "Nothing", "id": "there"}).to_string()).await;
    assert_eq!(socket.hear().await.unwrap()["requestId"], "there");
    let both = async |events: &mut Events, socket: &mut Socket| {
        let (event, id) = events.next().await;
        let pushed = socket.hear().await.unwrap();
        (told(&office, &event), told(&office, &pushed), id)
    };
    office.store.move_(office.ann, inbox, &[first], archive, NOW).await.unwrap();
    let (event, pushed, moved) = both(&mut events, &mut socket).await;
    assert_eq!((event, pushed), ((true, false), (true, false)), "moved");
    let there = office.store.snapshot(office.ann, archive).await.unwrap().rows.iter().map(|row| row.uid).collect::<Vec<_>>();
    office.store.copy(office.ann, archive, &there, inbox).await.unwrap();
    let (event, pushed, copied) = both(&mut events, &mut socket).await;
    assert_eq!((event, pushed), ((true, false), (true, false)), "copied");
    office.put("Junk", LETTER, NOW, 0).await;
    let (event, pushed, _) = both(&mut events, &mut socket).await;
    assert_eq!((event, pushed), ((true, true), (true, true)), "new");
    // It came while nobody listened; and what was only moved meanwhile is still no news.
    let (change, _) = Events::open(&office, &format!("Last-Event-ID: {copied}\r\n")).await.next().await;
    assert_eq!(told(&office, &change), (true, true));
    office.store.move_(office.ann, archive, &there, inbox, NOW).await.unwrap();
    let (event, pushed, since) = both(&mut events, &mut socket).await;
    assert_eq!((event, pushed), ((true, false), (true, false)), "moved back");
    assert_ne!(since, moved);
}

/// Two letters are on their way at once, and the second is there only when the first was told of.
#[tokio::test]
async fn a_letter_that_was_on_its_way_while_another_was_told_is_told_as_well() {
    let office = Office::new().await;
    let bob = office.store.account("bob@here.test").await.unwrap().unwrap().id;
    let inbox = office.store.mailbox(bob, "INBOX").await.unwrap().unwrap().id;
    let rights = wire::imap::acl::Rights::from_letters(b"lr").unwrap();
    office.store.acl_change(bob, inbox, "ann@here.test", store::AclChange::Replace(rights.bits())).await.unwrap();
    let put = async |account, mailbox, n| {
        let octets = bytes::Bytes::from(format!("{LETTER}{n}"));
        let facts = Arc::new(message::facts::Facts::compute(&octets));
        let (body, flags) = (store::Spooled::from_bytes(octets), store::Flags::default());
        let email = store::NewEmail { body, facts, flags, internal_date_secs: NOW };
        office.store.append(account, mailbox, vec![email]).await.unwrap();
    };
    let mut events = Events::open(&office, "").await;
    for account in [bob, office.ann] {
        let mailbox = office.store.mailbox(account, "INBOX").await.unwrap().unwrap().id;
        office.disk.hold(|| ());
        let coming = async { tokio::join!(put(account, mailbox, 1), put(account, mailbox, 2)) };
        let heard = async {
            for n in 1..=2 {
                // Both are on their way.
                tokio::time::sleep(Duration::from_millis(200)).await;
                assert!(office.disk.sync_one());
                let (change, _) = events.next().await;
                let states = &change["changed"][format!("A{:x}", account.0)];
                assert!(states["EmailDelivery"].is_string(), "letter {n} for {account:?}: {change}");
            }
            assert!(!office.disk.sync_one(), "a commit each");
        };
        tokio::join!(coming, heard);
        office.disk.release();
    }
}

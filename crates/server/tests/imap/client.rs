//! The server and our own client face to face over loopback: STARTTLS, SCRAM, large messages in pieces, IDLE.

use crate::office::{Office, PASSWORD};
use bytes::Bytes;
use net::connection::{Connection, Next};
use net::tls::TlsClient;
use std::time::Duration;
use tokio::time::timeout;
use wire::imap::append::{Append, AppendMessage};
use wire::imap::client::{Client, ClientConfig, Event, Failure, StartTls};
use wire::imap::fetch::{Data, Fetch, FetchData, FetchItem, Section};
use wire::imap::response::{Kind, Response, StatusText};
use wire::imap::select::Select;
use wire::imap::{Code, Command, Flag, MailboxName, SequenceSet, Tag};
use wire::sasl::Secret;
use wire::sasl::client::Credentials;

struct Talk {
    connection: Connection,
    client: Client,
}

impl Talk {
    async fn begin(office: &Office, starttls: StartTls, password: &str) -> Talk {
        let mut connection = Connection::dial(office.address, None, Duration::from_secs(5)).await.unwrap();
        connection.set_tls_client(TlsClient::opportunistic().unwrap(), "mail.here.test");
        let client = Client::new(ClientConfig {
            tls: false,
            starttls,
            credentials: Some(Credentials { login: "ann".into(), password: Secret::new(password.as_bytes().to_vec()) }),
            plaintext: false,
            nonce: "rOprNGfwEbeRWgbNEkqO".into(),
        });
        Talk { connection, client }
    }

    async fn event(&mut self) -> Event {
        let next = timeout(Duration::from_secs(20), self.connection.next(&mut self.client)).await.expect("no answer in time");
        match next {
            Next::Event(event) => event,
            Next::Closed => Event::Failed(Failure::Lost),
        }
    }

    /// All events of one command up to its end.
    async fn run(&mut self, command: &Command) -> (Vec<Event>, StatusText) {
        let tag = self.client.command(command);
        self.rest(tag).await
    }

    async fn rest(&mut self, tag: Tag) -> (Vec<Event>, StatusText) {
        let mut events = Vec::new();
        loop {
            match self.event().await {
                Event::Tagged(ended, status) if ended == tag => return (events, status),
                Event::Failed(failure) => panic!("{failure:?} after {events:?}"),
                event => events.push(event),
            }
        }
    }
}

fn inbox() -> MailboxName {
    MailboxName::new("inbox")
}

#[tokio::test]
async fn starttls_scram_and_a_large_message_both_ways() {
    let office = Office::guarded().await;
    let mut talk = Talk::begin(&office, StartTls::Require, PASSWORD).await;
    assert_eq!(talk.event().await, Event::Ready);
    assert!(talk.connection.is_tls());
    let octets: Vec<u8> = b"Subject: large\r\n\r\n".iter().copied().chain((0..700_000u32).map(|n| (n % 251) as u8)).collect();
    let message = AppendMessage { flags: vec![Flag::Seen], date: None, size: octets.len() as u64, binary: true, utf8: false };
    let tag = talk.client.command(&Command::Append(Append { mailbox: inbox(), message }));
    while !matches!(talk.event().await, Event::AppendReady(_)) {}
    assert_eq!(talk.client.append_octets(&octets), octets.len());
    let (_, status) = talk.rest(tag).await;
    assert!(matches!(status.code, Some(Code::AppendUid { .. })), "{status:?}");
    let select = Select { examine: false, mailbox: inbox(), condstore: false, qresync: None };
    assert_eq!(talk.run(&Command::Select(select)).await.1.code, Some(Code::ReadWrite));
    let item = FetchItem::BodySection { peek: true, section: Section::default(), partial: None };
    let fetch = Fetch {
        uid: true,
        set: SequenceSet::range(1, 1),
        items: vec![item],
        changed_since: None,
        vanished: false,
        partial: None,
    };
    let (events, status) = talk.run(&Command::Fetch(fetch)).await;
    assert_eq!(status.kind, Kind::Ok);
    let back: Vec<Bytes> =
        events.iter().filter_map(|event| if let Event::Octets(piece) = event { Some(piece.clone()) } else { None }).collect();
    assert!(back.concat() == octets);
    let streamed = |items: &[FetchData]| {
        items.iter().any(|item| matches!(item, FetchData::BodySection { data: Data::Streamed(700_018), .. }))
    };
    assert!(events.iter().any(|event| matches!(event, Event::Response(Response::Fetch { number: 1, items }) if streamed(items))));
    office.check().await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_by_scram_too() {
    let office = Office::guarded().await;
    let mut talk = Talk::begin(&office, StartTls::IfOffered, "wrong").await;
    let event = talk.event().await;
    let Event::Failed(Failure::SignIn(status)) = &event else { panic!("{event:?}") };
    assert_eq!(status.code, Some(Code::AuthenticationFailed));
}

#[tokio::test]
async fn idle_tells_our_client_at_once() {
    let office = Office::guarded().await;
    let mut talk = Talk::begin(&office, StartTls::Require, PASSWORD).await;
    assert_eq!(talk.event().await, Event::Ready);
    let select = Select { examine: false, mailbox: inbox(), condstore: true, qresync: None };
    talk.run(&Command::Select(select)).await;
    let tag = talk.client.command(&Command::Idle);
    assert_eq!(talk.event().await, Event::Idling(tag.clone()));
    office.deliver("INBOX", b"Subject: news\r\n\r\nnow\r\n").await;
    assert_eq!(talk.event().await, Event::Response(Response::Exists(1)));
    talk.client.done();
    assert_eq!(talk.rest(tag).await.1.kind, Kind::Ok);
    office.check().await;
}

//! Servers that mean harm, or are broken: bounded memory, bounded time, and no message under another one's UID.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::imap::{Fetched, Imap, fetch, from, whole};
use crate::look::Who;
use crate::outbox::{self, Submission};
use crate::pop::Pop;
use crate::sync::{Mirror, Policy};
use crate::{Dialer, Place};
use message::Facts;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::{
    Acceptance, AccountId, NewAccount, NewQueueEntry, QueueRecipient, QueueService, RecipientState, Secrets, Spooled, Store,
    StoreConfig,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use wire::imap::fetch::FetchItem;
use wire::imap::response::Response;
use wire::imap::select::Select;
use wire::sasl::Secret;

const OF_QRESYNC: &str = "* PREAUTH [CAPABILITY IMAP4rev1 LITERAL+ CONDSTORE QRESYNC ENABLE] hi\r\n";

/// A server on loopback that greets, and answers each line as `say` says; what `say` gives is all that is sent.
async fn server(scheme: &str, greeting: &'static str, say: impl Fn(&str) -> String + Send + Sync + 'static) -> Place {
    patient_server(scheme, greeting, say, || std::future::ready(())).await
}

/// The same; before the last line of a large answer it waits for `meanwhile`.
async fn patient_server<W: Future<Output = ()> + Send>(
    scheme: &str,
    greeting: &'static str,
    say: impl Fn(&str) -> String + Send + Sync + 'static,
    meanwhile: impl Fn() -> W + Send + Sync + 'static,
) -> Place {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = Place::parse(&format!("{scheme}://127.0.0.1:{}", listener.local_addr().unwrap().port())).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (reading, mut writing) = tokio::io::split(stream);
            let mut lines = BufReader::new(reading).lines();
            writing.write_all(greeting.as_bytes()).await.unwrap();
            while let Ok(Some(line)) = lines.next_line().await {
                let answer = say(&line);
                let last = answer.trim_end().rfind('\n').map_or(0, |at| at + 1);
                let sent = writing.write_all(&answer.as_bytes()[..last]).await;
                if last > 1_000_000 {
                    meanwhile().await;
                }
                if sent.is_err() || writing.write_all(&answer.as_bytes()[last..]).await.is_err() {
                    break;
                }
            }
        }
    });
    place
}

/// What an IMAP server says to every command, with its tag behind.
fn imap_says(lines: &'static str) -> impl Fn(&str) -> String {
    move |command| format!("{lines}{} OK done\r\n", command.split(' ').next().unwrap())
}

fn password() -> Secret {
    Secret::new(b"pw".to_vec())
}

async fn imap(place: &Place) -> Imap {
    Imap::open(&Dialer::new(None).unwrap(), place, "ann", &password()).await.unwrap()
}

async fn ann() -> (Store, AccountId) {
    let config = StoreConfig {
        data_dir: "unused".into(),
        undo_days: 30,
        free_bytes_min: 0,
        free_bytes_tight: 0,
        message_bytes_max: 10_000_000,
    };
    let store = Store::memory(config).await.unwrap();
    let secrets = Secrets { argon2: String::new(), scram: None };
    let account = NewAccount { address: "ann@here.test".into(), secrets, quota_bytes: None };
    let id = store.accounts_add(vec![account], 1_000).await.unwrap()[0];
    (store, id)
}

/// Bodies by UID.
async fn bodies(imap: &mut Imap) -> Vec<(u32, Option<usize>)> {
    let mut found = Vec::new();
    let told = |(response, octets)| {
        if let Response::Fetch { items, .. } = response {
            let fetched = Fetched::of(items, octets);
            found.push((fetched.uid.unwrap(), fetched.body.map(|body| body.len())));
        }
    };
    imap.must("FETCH", &fetch(from(1), vec![FetchItem::Uid, whole()]), told).await.unwrap();
    found
}

#[tokio::test]
async fn octets_of_a_broken_answer_are_not_the_next_message() {
    let place = server("imap", OF_QRESYNC, |command| {
        let (first, second) = ("a".repeat(70_000), "b".repeat(80_000));
        format!(
            "* 1 FETCH (UID 1 BODY[] {{70000}}\r\n{first} nonsense\r\n* 2 FETCH (UID 2 BODY[] {{80000}}\r\n{second})\r\n{} OK\r\n",
            command.split(' ').next().unwrap()
        )
    });
    assert_eq!(bodies(&mut imap(&place.await).await).await, [(2, Some(80_000))]);
}

#[tokio::test]
async fn the_literals_of_one_answer_are_bounded_together() {
    let place = server("imap", OF_QRESYNC, |command| {
        let literal = format!("{{70000}}\r\n{}", "a".repeat(70_000));
        let items: String = (1..10).map(|part| format!(" BODY[{part}] {literal}")).collect();
        format!("* 1 FETCH (UID 1 BODY[] {literal}{items})\r\n{} OK\r\n", command.split(' ').next().unwrap())
    });
    let mut imap = imap(&place.await).await;
    imap.octets_max = 200_000;
    let mut held = Vec::new();
    let told = |(_, octets): (Response, Vec<Option<bytes::Bytes>>)| held = octets;
    imap.must("FETCH", &fetch(from(1), vec![whole()]), told).await.unwrap();
    assert_eq!((held.len(), held.iter().flatten().count()), (10, 2));
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_listened_to_for_ever() {
    let place = server("imap", OF_QRESYNC, |_| "* 1 FETCH (UID 1)\r\n".repeat(5_000)).await;
    let mut imap = imap(&place).await;
    imap.answers_max = 4_000;
    let told = tokio::time::timeout(Duration::from_secs(60), imap.uids_from(1)).await.unwrap();
    assert!(told.unwrap_err().to_string().contains("without an end"));
}

#[tokio::test]
async fn octets_nobody_asked_for_are_not_kept_and_all_that_vanished_counts() {
    let say =
        imap_says("* VANISHED (EARLIER) 1:3\r\n* VANISHED (EARLIER) 7,2:5\r\n* 1 FETCH (UID 9 FLAGS () BODY[] {3}\r\nabc)\r\n");
    let mut imap = imap(&server("imap", OF_QRESYNC, say).await).await;
    let selected = imap.select(Select::plain(wire::imap::mailbox_name::MailboxName::new("INBOX"), true)).await.unwrap();
    assert_eq!(selected.vanished.ranges(), [(1, 5), (7, 7)]);
    assert_eq!(selected.changed, [Fetched { uid: Some(9), flags: Some(Vec::new()), ..Fetched::default() }]);
}

/// Four milliards of messages gone in one line: a set of ranges, not of numbers.
#[tokio::test]
async fn a_line_that_says_everything_vanished_costs_no_memory() {
    let place = server("imap", OF_QRESYNC, move |command| {
        let tag = command.split(' ').next().unwrap();
        let lines = match command.split(' ').nth(1).unwrap() {
            "LIST" => "* LIST () \"/\" INBOX\r\n".into(),
            "SELECT" => {
                let vanished = if command.contains("QRESYNC") { "* VANISHED (EARLIER) 1:4294967295\r\n" } else { "" };
                format!("* 0 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 9] x\r\n* OK [HIGHESTMODSEQ 5] x\r\n{vanished}")
            }
            _ => String::new(),
        };
        format!("{lines}{tag} OK done\r\n")
    })
    .await;
    let (store, account) = ann().await;
    let (dialer, password) = (Dialer::new(None).unwrap(), password());
    let mirror = Mirror {
        store: &store,
        account,
        dialer: &dialer,
        place: &place,
        login: "ann",
        password: &password,
        policy: Policy::default(),
    };
    for _ in 0..2 {
        let report = tokio::time::timeout(Duration::from_secs(60), crate::sync::run(&mirror)).await.unwrap().unwrap();
        assert!(report.troubles.is_empty() && report.mailboxes > 0, "{report:?}");
    }
}

/// A choice of many large messages passes through memory; it does not pile up there.
#[tokio::test]
async fn a_choice_is_stored_as_it_comes() {
    let (store, account) = ann().await;
    let inbox = store.mailboxes(account).await.unwrap().iter().find(|mailbox| mailbox.name == "INBOX").unwrap().clone();
    let say = |command: &str| {
        let tag = command.split(' ').next().unwrap();
        let uid = |uid: u32| format!("* {uid} FETCH (UID {uid} BODY[] {{1200000}}\r\n{}\r\n)\r\n", "a".repeat(1_199_998));
        let lines = match command.split(' ').nth(1).unwrap() {
            // One of them twice, and one that was not chosen.
            "UID" => [uid(1), uid(2), uid(2), uid(3)].concat(),
            _ => "* OK [UIDVALIDITY 7] x\r\n".into(),
        };
        format!("{lines}{tag} OK done\r\n")
    };
    let (seen, mailbox) = (store.clone(), inbox.id);
    let stored = move || {
        let seen = seen.clone();
        async move {
            while seen.status(account, mailbox).await.unwrap().messages < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    let place = patient_server("imap", "* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n", say, stored).await;
    let known = [&7u32.to_be_bytes()[..], &[0; 8], b"INBOX"].concat();
    store.mark(account, &[store::Mark::set(format!("sync/box/{:010}", inbox.id.0), known)]).await.unwrap();
    let (dialer, password) = (Dialer::new(None).unwrap(), password());
    let who = Who { dialer: &dialer, place: &place, login: "ann", password: &password, store: &store, account };
    let count = tokio::time::timeout(Duration::from_secs(60), who.download_imap(&inbox, &[1, 2])).await.unwrap().unwrap();
    assert_eq!((count, store.status(account, inbox.id).await.unwrap().messages), (2, 2));
}

#[tokio::test]
async fn a_maildrop_listed_backwards_is_no_work_without_an_end() {
    const COUNT: u32 = 200_000;
    let place = server("pop3", "+OK hi\r\n", |command| {
        let lines = |line: fn(u32) -> String, order: &mut dyn Iterator<Item = u32>| {
            format!("+OK\r\n{}.\r\n", order.map(line).collect::<String>())
        };
        match command {
            "CAPA" => "+OK\r\nUSER\r\nUIDL\r\nPIPELINING\r\n.\r\n".into(),
            "LIST" => lines(|number| format!("{number} 5\r\n"), &mut (2..COUNT)),
            "UIDL" => lines(|number| format!("{number} id{number}\r\n"), &mut (2..COUNT).rev()),
            _ => "+OK\r\n".into(),
        }
    })
    .await;
    let mut pop = Pop::open(&Dialer::new(None).unwrap(), &place, "ann", &password()).await.unwrap();
    let listed = tokio::time::timeout(Duration::from_secs(30), pop.list()).await.unwrap().unwrap();
    assert_eq!(listed.len(), COUNT as usize - 2);
    assert!(listed.iter().all(|one| one.unique_id == format!("id{}", one.number)));
}

/// More UIDs than messages: the listing never ends.
#[tokio::test]
async fn a_maildrop_that_tells_uids_for_ever_is_left() {
    for line in ["1 a\r\n", "7 b\r\n"] {
        let place = server("pop3", "+OK hi\r\n", move |command| match command {
            "CAPA" => "+OK\r\nUSER\r\nUIDL\r\nPIPELINING\r\n.\r\n".into(),
            "LIST" => "+OK\r\n1 5\r\n2 5\r\n.\r\n".into(),
            "UIDL" => format!("+OK\r\n{}", line.repeat(2_000)),
            _ => "+OK\r\n".into(),
        });
        let mut pop = Pop::open(&Dialer::new(None).unwrap(), &place.await, "ann", &password()).await.unwrap();
        let told = tokio::time::timeout(Duration::from_secs(30), pop.list()).await.unwrap();
        assert!(told.unwrap_err().to_string().contains("without an end"));
    }
}

#[tokio::test]
async fn an_append_that_is_answered_with_other_news_for_ever_is_left() {
    let greeting = "* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n";
    let mut imap = imap(&server("imap", greeting, |_| "* 1 EXISTS\r\n".repeat(5_000)).await).await;
    imap.answers_max = 4_000;
    let message = wire::imap::append::AppendMessage { flags: vec![], date: None, size: 1, binary: false, utf8: false };
    let append = wire::imap::append::Append { mailbox: wire::imap::mailbox_name::MailboxName::new("INBOX"), message };
    let told = tokio::time::timeout(Duration::from_secs(60), imap.append(append, b"x")).await.unwrap();
    assert!(told.unwrap_err().to_string().contains("without an end"));
}

/// What waits for the provider, with everything that may be asked of a delivery.
async fn queue(store: &Store, account: AccountId, require_tls: bool) {
    let octets = bytes::Bytes::from_static(b"Subject: hi\r\n\r\nx\r\n");
    let recipient = |address: &str, notify: u8, original: Option<&str>| QueueRecipient {
        address: address.into(),
        original: original.map(str::to_owned),
        notify,
        state: RecipientState::Waiting,
        last_reply: String::new(),
        delay_told: false,
    };
    let service = QueueService {
        require_tls,
        deliver_by_secs: Some(net::clock::unix_now() + 7_200),
        deliver_by_notify: true,
        deliver_by_trace: true,
        solicitations: vec!["org.example:ADV".into()],
        priority: -3,
    };
    let entry = NewQueueEntry {
        destination: "far.test".into(),
        reverse_path: "ann@here.test".into(),
        recipients: vec![
            recipient("bob@far.test", QueueRecipient::NOTIFY_SUCCESS | QueueRecipient::NOTIFY_DELAY, Some("rfc822;b+b@far.test")),
            recipient("eve@far.test", QueueRecipient::NOTIFY_NEVER, None),
        ],
        account: Some(account),
        due_secs: 1_000,
        expires_secs: net::clock::unix_now() + 86_400,
        eight_bit: false,
        smtputf8: false,
        ret_headers: true,
        envelope_id: Some("QQ+314=1".into()),
        service,
    };
    let acceptance = Acceptance {
        facts: Arc::new(Facts::compute(&octets)),
        body: Spooled::from_bytes(octets),
        deliveries: Vec::new(),
        queue: vec![entry],
        trace: Vec::new(),
        idempotency: None,
    };
    store.accept(acceptance).await.unwrap();
}

/// The parameters of an envelope (RFC 8621 §7) go to the provider as SMTP has them: RFC 3461 §4, RFC 2852 §4, RFC 6710 §4, RFC 3865 §3.
#[tokio::test]
async fn what_an_envelope_asks_for_is_passed_on() {
    let (store, ann) = ann().await;
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&said);
    let place = server("smtp", "220 hi\r\n", move |line| {
        heard.lock().unwrap().push(line.to_owned());
        let answer = match line.split(' ').next().unwrap_or_default() {
            "EHLO" => {
                "250-hi\r\n250-DSN\r\n250-SIZE 1000000\r\n250-AUTH PLAIN\r\n250-DELIVERBY 60\r\n250-MT-PRIORITY\r\n250 NO-SOLICITING\r\n"
            }
            "AUTH" => "235 in\r\n",
            "MAIL" | "RCPT" | "." | "RSET" => "250 yes\r\n",
            "DATA" => "354 go on\r\n",
            "QUIT" => "221 bye\r\n",
            _ => "",
        };
        answer.to_owned()
    })
    .await;
    let (dialer, password) = (Dialer::new(None).unwrap(), password());
    let submission = Submission { dialer: &dialer, place: &place, login: "ann", password: &password };
    queue(&store, ann, false).await;
    let sent = outbox::flush(&store, ann, &submission, true).await.unwrap();
    assert!(sent.len() == 1 && sent[0].sent, "{sent:?}");
    let said = || std::mem::take(&mut *said.lock().unwrap());
    let lines = said();
    let line = |begins: &str| lines.iter().find(|line| line.starts_with(begins)).cloned().unwrap_or_default();
    let mail = line("MAIL FROM:<ann@here.test>");
    for wanted in ["RET=HDRS", "ENVID=QQ+2B314+3D1", "MT-PRIORITY=-3", "SOLICIT=org.example:ADV"] {
        assert!(mail.split(' ').any(|word| word == wanted), "{wanted}: {mail}");
    }
    let by = mail.split(' ').find_map(|word| word.strip_prefix("BY=")).unwrap();
    let (secs, mode) = by.split_once(';').unwrap();
    assert!(mode == "NT" && (7_100..=7_200).contains(&secs.parse::<i64>().unwrap()), "{by}");
    let bob = line("RCPT TO:<bob@far.test>");
    assert!(bob.contains("NOTIFY=SUCCESS,DELAY") && bob.contains("ORCPT=rfc822;b+2Bb@far.test"), "{bob}");
    let eve = line("RCPT TO:<eve@far.test>");
    assert!(eve.contains("NOTIFY=NEVER") && !eve.contains("ORCPT"), "{eve}");
    // What must not go without it does not go.
    queue(&store, ann, true).await;
    let kept = outbox::flush(&store, ann, &submission, true).await.unwrap();
    assert!(kept.len() == 1 && !kept[0].sent && kept[0].said[0].contains("REQUIRETLS"), "{kept:?}");
    assert!(!said().iter().any(|line| line.starts_with("DATA")));
}

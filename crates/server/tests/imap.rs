//! The IMAP face over loopback: transcripts (`tests/imap/*.txt`) of what clients say and must be told, each lesson by name.
//!
//! Lines: `C:` is sent (several in a row as one packet), `S:` must be the next line, `S*:` skips up to that line; `C2:`,
//! `S2:` are a second connection. `…` stands for any text in a line; `«x»` for some text that is kept and put wherever `«x»`
//! comes again. `@` lines act on the store or the connection; `@guarded` opens an office as on the Internet, with these
//! mechanisms.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "imap/channel.rs"]
mod channel;
#[path = "imap/client.rs"]
mod client;
#[path = "imap/limits.rs"]
mod limits;
#[path = "imap/matrix.rs"]
mod matrix;
#[path = "imap/office.rs"]
mod office;
#[path = "imap/peer.rs"]
mod peer;
#[path = "imap/rows.rs"]
mod rows;
#[path = "imap/soak.rs"]
mod soak;
#[path = "imap/watching.rs"]
mod watching;

use bytes::Bytes;
use message::facts::Facts;
use net::connection::Connection;
use net::listener::Listener;
use office::Office;
use peer::{Peer, captured, fits};
use server::imap::Settings;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::{Flags, NewEmail, Spooled};
use tokio::net::TcpStream;

/// `messages_max=3 saved_max=2`: what a transcript is to run under.
fn settings_of(words: &str) -> Settings {
    let mut settings = Settings::default();
    for (name, value) in words.split_whitespace().map(|word| word.split_once('=').expect("NAME=VALUE")) {
        match name {
            "messages_max" => settings.messages_max = Some(value.parse().unwrap()),
            "saved_max" => settings.saved_max = Some(value.parse().unwrap()),
            "quota_administrators" => settings.quota_administrators = vec![value.to_owned()],
            "jmap_url" => settings.jmap_url = Some(value.to_owned()),
            "progress_every_ms" => settings.progress_every = Duration::from_millis(value.parse().unwrap()),
            other => panic!("there is no setting `{other}`"),
        }
    }
    settings
}

/// Runs one transcript.
struct Play {
    office: Office,
    peers: BTreeMap<u8, Peer>,
    delivered: u32,
    kept: BTreeMap<String, String>,
    channel: Option<channel::Channel>,
    scram: Option<channel::Scram>,
}

impl Play {
    async fn run(name: &str, script: &str) {
        let setting = |verb| script.lines().find_map(|line| line.strip_prefix(verb));
        let office = match setting("@guarded ") {
            Some(mechanisms) => Office::guarded_with(mechanisms, &[channel::certificate_of("ann@here.test")]).await,
            None => Office::with(settings_of(setting("@settings ").unwrap_or_default())).await,
        };
        let mut play = Play { office, peers: BTreeMap::new(), delivered: 0, kept: BTreeMap::new(), channel: None, scram: None };
        for (number, line) in script.lines().enumerate() {
            if let Err(why) = play.step(line).await {
                panic!("{name}.txt:{}: {line}\n{why}", number + 1);
            }
        }
        play.peers.clear();
        play.office.check().await;
    }

    async fn step(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(act) = line.strip_prefix('@') {
            self.act(act).await;
            return Ok(());
        }
        let (who, text) = line.split_once(':').ok_or("neither C: nor S: nor @")?;
        let mut text = text.strip_prefix(' ').unwrap_or(text).to_owned();
        for (name, value) in &self.kept {
            text = text.replace(&format!("«{name}»"), value);
        }
        let pattern = text.clone();
        while let Some((before, rest)) = text.split_once('«') {
            text = format!("{before}…{}", rest.split_once('»').ok_or("» is missing")?.1);
        }
        let side = who.bytes().find(u8::is_ascii_digit).map_or(1, |digit| digit - b'0');
        let address = self.office.address;
        if let std::collections::btree_map::Entry::Vacant(slot) = self.peers.entry(side) {
            slot.insert(Peer::connect(address).await);
        }
        let peer = self.peers.get_mut(&side).ok_or("no peer")?;
        match who.trim_end_matches(['2', '3', '*']) {
            "C" => {
                peer.unsent.extend_from_slice(text.as_bytes());
                peer.unsent.extend_from_slice(b"\r\n");
                Ok(())
            }
            "S" if who.ends_with('*') => peer.skip_to(&text).await,
            "S" if text == "<silence>" => peer.silence().await,
            "S" => peer.expect(&text).await,
            other => Err(format!("`{other}` is nobody")),
        }?;
        if who.starts_with('S') && pattern != text {
            self.kept.extend(captured(&pattern, &peer.last));
        }
        Ok(())
    }

    async fn act(&mut self, act: &str) {
        let (verb, rest) = act.split_once(' ').unwrap_or((act, ""));
        let store = &self.office.context.store;
        let account = self.office.account.id;
        match verb {
            // Taken when the office was opened.
            "settings" | "guarded" => {}
            "tls" => self.tls(rest).await,
            "hang_up" => drop(self.peers.remove(&1)),
            "compressed" => self.peers.get_mut(&1).unwrap().compressed(),
            "compressed2" => self.peers.get_mut(&2).unwrap().compressed(),
            "scram" => self.scram(rest),
            "login" => drop(self.peers.insert(1, Peer::login(self.office.address).await)),
            "login2" if rest.is_empty() => drop(self.peers.insert(2, Peer::login(self.office.address).await)),
            "login2" => drop(self.peers.insert(2, Peer::login_as(self.office.address, rest).await)),
            "login3" => drop(self.peers.insert(3, Peer::login_as(self.office.address, rest).await)),
            "people" => self.office.add_people(rest.split(' ')).await,
            // An account nobody owns, whose root is ann's to manage.
            "shared" => {
                self.office.add_people(std::iter::once(rest)).await;
                let shared = store.account(&format!("{rest}@here.test")).await.unwrap().unwrap().id;
                store.account_share(shared).await.unwrap();
                let all = store::AclChange::Replace(wire::imap::acl::Rights::ALL.bits());
                store.acl_change_root(shared, "ann@here.test", all).await.unwrap();
                let inbox = store.mailbox(shared, "INBOX").await.unwrap().unwrap().id;
                store.acl_change(shared, inbox, "ann@here.test", all).await.unwrap();
            }
            "deliver" => {
                let (mailbox, count) = rest.split_once(' ').unwrap_or((rest, "1"));
                for _ in 0..count.parse::<u32>().unwrap() {
                    self.delivered += 1;
                    let text = format!(
                        "From: Bob <bob@there.test>\r\nTo: ann@here.test\r\nSubject: number {0}\r\nDate: Mon, 7 Feb 1994 21:52:25 -0800\r\n\r\nbody {0}\r\n",
                        self.delivered
                    );
                    self.office.deliver(mailbox, text.as_bytes()).await;
                }
            }
            // Messages of some length, which take their time to be looked through.
            "long" => {
                let text = [b"Subject: long\r\n\r\n".as_slice(), &b"abcdefghij klmnopqrst\r\n".repeat(2_000)].concat();
                for _ in 0..rest.parse::<u32>().unwrap() {
                    self.office.deliver("INBOX", &text).await;
                }
            }
            // `\n` stands for CRLF.
            "message" => self.office.deliver("INBOX", rest.replace("\\n", "\r\n").as_bytes()).await,
            "quota" => store.account_quota(account, Some(rest.parse().unwrap())).await.unwrap(),
            // Past whatever else makes octets of what is said.
            "raw" => {
                let octet = |at: usize| u8::from_str_radix(&rest[at..at + 2], 16).unwrap();
                let octets: Vec<u8> = (0..rest.len()).step_by(2).map(octet).collect();
                self.peers.get_mut(&1).unwrap().send_raw(&octets).await;
            }
            "octets" => {
                let peer = self.peers.get_mut(&1).unwrap();
                peer.unsent.resize(peer.unsent.len() + rest.parse::<usize>().unwrap(), b'x');
            }
            "annotate" => {
                let inbox = store.mailbox(account, "INBOX").await.unwrap().unwrap().id;
                let there = store.annotations(account).await.unwrap().keys().filter(|(at, _)| *at == Some(inbox)).count();
                let values = (there..rest.parse().unwrap()).map(|number| (format!("/private/{number}").into(), Some(vec![])));
                store.annotate(account, Some(inbox), &values.collect::<Vec<_>>()).await.unwrap();
            }
            // Under `many`, subscribed to, in as many acts.
            "mailboxes" => {
                for number in 0..rest.parse::<u32>().unwrap() {
                    let name = format!("many/{number}");
                    store.mailbox_create(account, &name, None, 1).await.unwrap();
                    store.mailbox_subscribe(account, &name, true).await.unwrap();
                }
            }
            "suspend" => store.account_suspend(account, true).await.unwrap(),
            "shutdown" => drop(self.office.shutdown.send(true)),
            "pause" => tokio::time::sleep(Duration::from_millis(150)).await,
            other => panic!("there is no act `{other}`"),
        }
    }
}

macro_rules! transcripts {
    ($($name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                Play::run(stringify!($name), include_str!(concat!("imap/", stringify!($name), ".txt"))).await;
            }
        )*

        #[test]
        fn every_transcript_is_run() {
            let listed = [$(stringify!($name)),*];
            let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/imap");
            for entry in std::fs::read_dir(dir).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let Some(stem) = name.strip_suffix(".txt") else { continue };
                assert!(listed.contains(&stem), "{name} is not in the list");
            }
        }
    };
}

transcripts! {
    attachments_are_searched,
    binary_parts,
    body_sections,
    c01_done_and_more_in_one_packet,
    c02_partial_flush,
    c03_special_use_in_plain_list,
    c04_drafts_is_of_mailboxes_draft_of_messages,
    c05_esearch_tag_is_quoted,
    c08_rfc822_peek,
    c09_no_modseq_before_enabling,
    c10_nonsense_in_idle,
    c11_xlist,
    c12_parents_are_real,
    c13_wildcards,
    c15_append_continuation,
    c16_bodystructure_extensions,
    c18_noop_says_no_status,
    c19_change_just_before_idle,
    c23_uids_of_append_and_copy,
    c24_modified_utf7,
    c21_numbers_are_never_nil,
    c25_strictly_in_order,
    catenate,
    comparator,
    compress,
    condstore,
    connection_ends,
    client_certificate,
    delete_and_rename,
    deleted_taken_back,
    esearch_and_saved,
    expunge_is_never_told_in_fetch,
    fetch_spellings,
    filters,
    fuzzy,
    imap4rev2,
    in_progress,
    iphone_condstore_and_esearch,
    list_status,
    jmap_access,
    message_limit,
    metadata,
    literals,
    copy_of_what_is_gone,
    move_of_what_is_gone,
    multisearch,
    object_ids,
    threads_joined,
    own_seen,
    partial,
    preview,
    multi_accessed,
    multiappend,
    notify,
    notify_access,
    notify_groups,
    notify_overflow,
    notify_own,
    notify_update,
    qresync,
    qresync_kept_back,
    quota,
    quota_and_size,
    quotaset,
    read_only,
    acl_commands,
    acl_rights,
    acl_revoked,
    acl_shared_account,
    acl_follow,
    acl_across,
    urlauth,
    urlauth_binary,
    cheap_list,
    net_unicode_names,
    recent,
    replace,
    savedate,
    scram_plus,
    important,
    search_charsets,
    search_keys,
    shutdown,
    sign_in,
    silent_store,
    sort,
    starttls,
    starttls_and_more,
    status_swallows_nothing,
    subscriptions,
    switched_off,
    thread,
    uidbatches,
    uid_search_by_number,
    uidonly,
    unauthenticate,
    utf8_accept,
    utf8_downgraded,
    watched,
}

fn small_email() -> NewEmail {
    let text = b"Subject: x\r\n\r\nx\r\n";
    NewEmail {
        body: Spooled::from_bytes(Bytes::from_static(text)),
        facts: Arc::new(Facts::compute(text)),
        flags: Flags::default(),
        internal_date_secs: 0,
    }
}

#[tokio::test]
async fn a_mailbox_of_many_messages_in_one_fetch() {
    let office = Office::open().await;
    let store = &office.context.store;
    let inbox = store.mailbox(office.account.id, "INBOX").await.unwrap().unwrap();
    for _ in 0..10 {
        store.append(office.account.id, inbox.id, vec![small_email(); 1000]).await.unwrap();
    }
    let mut peer = Peer::login(office.address).await;
    peer.unsent.extend_from_slice(b"a SELECT INBOX\r\nb FETCH 1:* (FLAGS UID)\r\n");
    peer.skip_to("a OK …").await.unwrap();
    for number in 1..=10_000 {
        peer.expect(&format!("* {number} FETCH (FLAGS (\\Recent) UID {number})")).await.unwrap();
    }
    peer.expect("b OK …").await.unwrap();
    peer.unsent.extend_from_slice(b"c UID STORE 1:* +FLAGS.SILENT (\\Seen)\r\nd SEARCH UNSEEN\r\ne EXAMINE INBOX\r\n");
    peer.expect("c OK …").await.unwrap();
    peer.expect("* SEARCH").await.unwrap();
    peer.expect("d OK …").await.unwrap();
    peer.skip_to("e OK …").await.unwrap();
    peer.unsent.extend_from_slice(b"f FETCH 1:* ENVELOPE\r\n");
    for number in 1..=10_000 {
        peer.expect(&format!("* {number} FETCH (ENVELOPE (NIL \"x\" …))")).await.unwrap();
    }
    peer.expect("f OK …").await.unwrap();
    office.check().await;
}

/// What is read ahead of its turn comes in its turn, also where only some are asked for, and some of it is remembered.
#[tokio::test]
async fn what_is_rendered_of_many_comes_in_order() {
    const COUNT: usize = 2300;
    let office = Office::open().await;
    let store = &office.context.store;
    let inbox = store.mailbox(office.account.id, "INBOX").await.unwrap().unwrap();
    let email = |number| {
        let text = Bytes::from(format!("Subject: s{number}\r\n\r\nx\r\n"));
        let facts = Arc::new(Facts::compute(&text));
        NewEmail { body: Spooled::from_bytes(text), facts, flags: Flags::default(), internal_date_secs: 0 }
    };
    store.append(office.account.id, inbox.id, (1..=COUNT).map(email).collect()).await.unwrap();
    let mut peer = Peer::login(office.address).await;
    peer.unsent.extend_from_slice(b"a SELECT INBOX\r\n");
    peer.skip_to("a OK …").await.unwrap();
    let even: Vec<String> = (1..=COUNT / 2).map(|half| (2 * half).to_string()).collect();
    for (set, step) in [("7".to_owned(), COUNT), (even.join(","), 2), ("1:*".to_owned(), 1)] {
        peer.unsent.extend_from_slice(format!("b FETCH {set} (ENVELOPE BODYSTRUCTURE)\r\n").as_bytes());
        let first = if step == COUNT { 7 } else { step };
        for number in (first..=COUNT).step_by(step) {
            peer.expect(&format!("* {number} FETCH (ENVELOPE (NIL \"s{number}\" …) BODYSTRUCTURE (\"TEXT\" …))")).await.unwrap();
        }
        peer.expect("b OK …").await.unwrap();
    }
    office.check().await;
}

/// RFC 9051 §6.4.6: what another did just before is told, and how the flags stand after the own STORE is told last.
#[tokio::test]
async fn a_silent_store_of_many_tells_what_stands_where_another_was_quicker() {
    let office = Office::open().await;
    let inbox = office.context.store.mailbox(office.account.id, "INBOX").await.unwrap().unwrap();
    office.context.store.append(office.account.id, inbox.id, vec![small_email(); 300]).await.unwrap();
    let (mut one, mut other) = (Peer::login(office.address).await, Peer::login(office.address).await);
    for peer in [&mut one, &mut other] {
        peer.unsent.extend_from_slice(b"a SELECT INBOX\r\n");
        peer.skip_to("a OK …").await.unwrap();
    }
    one.unsent.extend_from_slice(b"b STORE 1:* +FLAGS.SILENT (\\Draft)\r\n");
    one.expect("b OK …").await.unwrap();
    other.unsent.extend_from_slice(b"b UID STORE 7 +FLAGS.SILENT (\\Flagged)\r\n");
    other.skip_to("b OK …").await.unwrap();
    one.unsent.extend_from_slice(b"c UID STORE 1:* +FLAGS.SILENT (\\Seen)\r\nd UID FETCH 7 (FLAGS)\r\n");
    let mut last = String::new();
    while !fits("c OK …", &one.line().await.unwrap()) {
        last = one.last.clone();
    }
    assert!(last.starts_with("* 7 FETCH (") && last.contains("\\Flagged") && last.contains("\\Seen"), "{last}");
    one.expect("* 7 FETCH (…\\Flagged \\Seen \\Draft…").await.unwrap();
    office.check().await;
}

#[tokio::test]
async fn a_large_body_comes_back_as_it_went_in() {
    let office = Office::open().await;
    let mut text = b"Subject: large\r\n\r\n".to_vec();
    for line in 0..20_000 {
        text.extend_from_slice(format!("line {line} of a large body\r\n").as_bytes());
    }
    let mut peer = Peer::login(office.address).await;
    peer.unsent.extend_from_slice(format!("a APPEND INBOX {{{}+}}\r\n", text.len()).as_bytes());
    peer.unsent.extend_from_slice(&text);
    peer.unsent.extend_from_slice(b"\r\nb SELECT INBOX\r\nc UID FETCH 1 BODY[]\r\n");
    peer.skip_to(&format!("* 1 FETCH (UID 1 BODY[] {{{}}}", text.len())).await.unwrap();
    assert!(peer.octets(text.len()).await == text);
    peer.expect(" FLAGS (\\Seen \\Recent))").await.unwrap();
    peer.expect("c OK …").await.unwrap();
    office.check().await;
}

#[tokio::test]
async fn a_session_s_task_is_small() {
    let office = Office::open().await;
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let address: SocketAddr = listener.local().to_string().parse().unwrap();
    let _client = TcpStream::connect(address).await.unwrap();
    let connection = Connection::server(listener.accept().await.unwrap(), None);
    let size = std::mem::size_of_val(&server::imap::serve(Arc::clone(&office.context), connection));
    assert!(size < 6 * 1024, "{size}");
}

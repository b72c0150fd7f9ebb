//! Dialogues of connections that stand when somebody begins to watch their account (`Context::watch`).

use super::Peer;
use super::office::Office;
use server::wire_log::Spoken;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// Lines of each connection, in the order they were said.
#[derive(Default)]
struct Heard(BTreeMap<u64, Vec<String>>);

impl Heard {
    /// Until somebody said this.
    async fn until(&mut self, spoken: &mut Receiver<Spoken>, line: &str) {
        loop {
            let next = timeout(Duration::from_secs(10), spoken.recv()).await;
            let next = next.unwrap_or_else(|_| panic!("nobody said `{line}`: {:?}", self.0)).unwrap();
            let said = next.explained.line.clone();
            self.0.entry(next.connection).or_default().push(format!("{said} | {}", next.explained.meaning));
            if super::fits(line, &said) {
                return;
            }
        }
    }

    /// What the connection that said this said.
    fn of(&self, line: &str) -> &[String] {
        self.0.values().find(|lines| lines.iter().any(|said| said.starts_with(line))).unwrap()
    }
}

/// One that just spoke may be about to speak again when it is woken: it is followed from one of its next commands on.
async fn speaks_until_heard(peer: &mut Peer, heard: &mut Heard, spoken: &mut Receiver<Spoken>, tag: &str) {
    for number in 0..100 {
        peer.unsent.extend_from_slice(format!("{tag}{number} NOOP\r\n").as_bytes());
        peer.skip_to(&format!("{tag}{number} OK …")).await.unwrap();
        if timeout(Duration::from_millis(100), heard.until(spoken, &format!("{tag}{number} OK …"))).await.is_ok() {
            return;
        }
    }
    panic!("{tag} is never heard: {:?}", heard.0);
}

#[tokio::test]
async fn connections_that_stand_are_watched_too() {
    let office = Office::open().await;
    office.add_people(std::iter::once("bob")).await;
    let login = async || Peer::login(office.address).await;
    let (mut between, mut idling, mut within, mut packed) = (login().await, login().await, login().await, login().await);
    let mut bob = Peer::login_as(office.address, "bob").await;
    idling.unsent.extend_from_slice(b"i SELECT INBOX\r\nj IDLE\r\n");
    idling.skip_to("+ …").await.unwrap();
    packed.unsent.extend_from_slice(b"p COMPRESS DEFLATE\r\n");
    packed.expect("p OK …").await.unwrap();
    packed.compressed();
    within.unsent.extend_from_slice(b"w NOOP\r\nx APPEND Drafts {42}\r\n");
    within.skip_to("+ …").await.unwrap();
    within.unsent.extend_from_slice(b"Subject: se");
    within.flush().await;

    let mut spoken = office.context.watch(&office.account).unwrap();
    let mut heard = Heard::default();
    // Nobody says anything, and the one that cannot be read says so.
    heard.until(&mut spoken, "(compressed)").await;
    office.deliver("INBOX", b"Subject: news\r\n\r\nx\r\n").await;
    heard.until(&mut spoken, "* 1 EXISTS").await;
    idling.unsent.extend_from_slice(b"DONE\r\nk NOOP\r\n");
    idling.skip_to("k OK …").await.unwrap();
    heard.until(&mut spoken, "k OK …").await;
    let told = heard.of("* 1 EXISTS").join("\n");
    for line in ["DONE | The client has waited", "j OK IDLE ended | IDLE is done.", "k NOOP | Nothing: is there news?"] {
        assert!(told.contains(line), "{line}: {told}");
    }
    // In the middle of a message: from behind it on.
    within.unsent.extend_from_slice(b"cret\r\n\r\na LOGIN ann hush\r\nx x\r\n\r\n");
    within.expect("x OK …").await.unwrap();
    speaks_until_heard(&mut within, &mut heard, &mut spoken, "y").await;
    speaks_until_heard(&mut between, &mut heard, &mut spoken, "z").await;
    packed.unsent.extend_from_slice(b"q NOOP\r\n");
    packed.expect("q OK …").await.unwrap();
    bob.unsent.extend_from_slice(b"b NOOP\r\n");
    bob.expect("b OK …").await.unwrap();
    speaks_until_heard(&mut between, &mut heard, &mut spoken, "a").await;
    let all = format!("{:?}", heard.0);
    assert!(!all.contains("secret") && !all.contains("hush") && !all.contains("cret"), "{all}");
    assert!(!all.contains("b NOOP") && !all.contains("q NOOP") && heard.0.len() == 4, "{all}");
}

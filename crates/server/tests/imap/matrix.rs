//! NOTIFY (RFC 5465) and a watched search (RFC 5267) under every set of what ENABLE turns on: QRESYNC, UTF8=ACCEPT, IMAP4rev2,
//! UIDONLY.

use super::Peer;
use super::office::Office;

const EXTENSIONS: [&str; 4] = ["QRESYNC", "UTF8=ACCEPT", "IMAP4rev2", "UIDONLY"];

impl Peer {
    fn say(&mut self, line: &str) {
        self.unsent.extend_from_slice(line.as_bytes());
        self.unsent.extend_from_slice(b"\r\n");
    }

    async fn ask(&mut self, line: &str) {
        self.say(&format!("x {line}"));
        self.skip_to("x OK …").await.unwrap();
    }
}

async fn told(peer: &mut Peer, set: &str, pattern: &str) {
    if let Err(why) = peer.expect(pattern).await {
        panic!("with {set}: {why}");
    }
}

async fn one(enabled: &[&str]) {
    let set = enabled.join(" ");
    let on = |name: &str| enabled.contains(&name);
    let (mod_seq, utf8, rev2, uid_only) = (on("QRESYNC"), on("UTF8=ACCEPT") || on("IMAP4rev2"), on("IMAP4rev2"), on("UIDONLY"));
    let office = Office::open().await;
    office.context.store.mailbox_create(office.account.id, "Entwürfe", None, 1).await.unwrap();
    let (mut peer, mut other) = (Peer::login(office.address).await, Peer::login(office.address).await);
    if !set.is_empty() {
        peer.ask(&format!("ENABLE {set}")).await;
    }
    peer.ask("SELECT INBOX").await;
    let events = "MessageExpunge FlagChange";
    peer.ask(&format!("NOTIFY SET (selected (MessageNew (FLAGS) {events})) (personal (MessageNew {events} MailboxName))")).await;
    peer.say("w UID SEARCH RETURN (UPDATE CONTEXT COUNT) UNFLAGGED");
    told(&mut peer, &set, "* ESEARCH (TAG \"w\") UID COUNT 0").await;
    told(&mut peer, &set, "w OK …").await;
    peer.say("v UID SORT RETURN (UPDATE ALL) (SUBJECT) UTF-8 UNDELETED");
    told(&mut peer, &set, "* ESEARCH (TAG \"v\") UID…").await;
    told(&mut peer, &set, "v OK …").await;
    office.deliver("INBOX", b"Subject: x\r\n\r\nx\r\n").await;
    told(&mut peer, &set, "* 1 EXISTS").await;
    if !rev2 {
        told(&mut peer, &set, "* 1 RECENT").await;
    }
    let recent = if rev2 { "" } else { "\\Recent" };
    let verb = if uid_only { "UIDFETCH" } else { "FETCH" };
    let number = if mod_seq { " MODSEQ (…)" } else { "" };
    told(&mut peer, &set, &format!("* 1 {verb} (FLAGS ({recent}){number})")).await;
    told(&mut peer, &set, "* ESEARCH (TAG \"w\") UID ADDTO (0 1)").await;
    told(&mut peer, &set, "* ESEARCH (TAG \"v\") UID ADDTO (1 1)").await;
    other.ask("SELECT INBOX").await;
    other.ask("STORE 1 +FLAGS.SILENT (\\Flagged)").await;
    let uid = if uid_only { "" } else { "UID 1 " };
    told(&mut peer, &set, &format!("* 1 {verb} ({uid}FLAGS (\\Flagged…){number})")).await;
    told(&mut peer, &set, "* ESEARCH (TAG \"w\") UID REMOVEFROM (0 1)").await;
    other.ask("COPY 1 Entw&APw-rfe").await;
    let highest = if mod_seq { " HIGHESTMODSEQ …" } else { "" };
    told(&mut peer, &set, &format!("* STATUS …rfe… (MESSAGES 1 UIDNEXT 2 UIDVALIDITY … UNSEEN 1{highest})")).await;
    assert_eq!(peer.last.contains("Entwürfe"), utf8, "with {set}: {}", peer.last);
    other.ask("RENAME Entw&APw-rfe Neu").await;
    told(&mut peer, &set, "* LIST (\\HasNoChildren) \"/\" Neu (\"OLDNAME\" (…rfe…))").await;
    assert_eq!(peer.last.contains("Entwürfe"), utf8, "with {set}: {}", peer.last);
    other.ask("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    told(&mut peer, &set, &format!("* 1 {verb} ({uid}FLAGS (…\\Deleted…){number})")).await;
    told(&mut peer, &set, "* ESEARCH (TAG \"v\") UID REMOVEFROM (1 1)").await;
    // A message whose removal from the result comes before its EXPUNGE is there once more.
    other.ask("STORE 1 -FLAGS.SILENT (\\Flagged)").await;
    told(&mut peer, &set, &format!("* 1 {verb} ({uid}FLAGS (…\\Deleted…){number})")).await;
    told(&mut peer, &set, "* ESEARCH (TAG \"w\") UID ADDTO (0 1)").await;
    other.ask("EXPUNGE").await;
    told(&mut peer, &set, "* ESEARCH (TAG \"w\") UID REMOVEFROM (0 1)").await;
    told(&mut peer, &set, if mod_seq || uid_only { "* VANISHED 1" } else { "* 1 EXPUNGE" }).await;
    peer.say("n NOOP");
    told(&mut peer, &set, "n OK …").await;
    office.check().await;
}

#[tokio::test]
async fn enabled_in_every_combination() {
    for mask in 0..1 << EXTENSIONS.len() {
        let enabled: Vec<&str> =
            EXTENSIONS.iter().enumerate().filter(|(bit, _)| mask & (1 << bit) != 0).map(|(_, name)| *name).collect();
        one(&enabled).await;
    }
}

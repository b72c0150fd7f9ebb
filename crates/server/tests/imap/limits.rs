//! What one session may have waiting for news, at the limit and one past it.

use super::Peer;
use super::office::Office;

impl Peer {
    async fn says(&mut self, line: &str, answer: &str) {
        self.unsent.extend_from_slice(line.as_bytes());
        self.unsent.extend_from_slice(b"\r\n");
        if let Err(why) = self.skip_to(answer).await {
            panic!("{}: {why}", &line[..line.len().min(100)]);
        }
    }
}

/// RFC 5267 §4.3.1: the search one past it is answered, and not watched.
#[tokio::test]
async fn watched_searches_have_a_limit() {
    let office = Office::open().await;
    let mut peer = Peer::login(office.address).await;
    peer.says("a SELECT INBOX", "a OK …").await;
    for number in 0..32 {
        peer.says(&format!("w{number} SEARCH RETURN (UPDATE COUNT) UNSEEN"), &format!("* ESEARCH (TAG \"w{number}\") COUNT 0"))
            .await;
        peer.expect(&format!("w{number} OK …")).await.unwrap();
    }
    peer.says("x SEARCH RETURN (UPDATE COUNT) UNSEEN", "* ESEARCH (TAG \"x\") COUNT 0").await;
    peer.expect("* NO [NOUPDATE \"x\"] …").await.unwrap();
    peer.expect("x OK …").await.unwrap();
    // One that is given up makes room.
    peer.says("b CANCELUPDATE \"w7\"", "b OK …").await;
    peer.says("x SEARCH RETURN (UPDATE COUNT) UNSEEN", "* ESEARCH (TAG \"x\") COUNT 0").await;
    peer.expect("x OK …").await.unwrap();
    office.check().await;
}

/// RFC 5465 §4: the server may refuse what is too much.
#[tokio::test]
async fn notify_names_have_a_limit() {
    let office = Office::open().await;
    let mut peer = Peer::login(office.address).await;
    let names = |count: usize| (0..count).map(|number| format!("m{number}")).collect::<Vec<_>>().join(" ");
    let notify = |tag: &str, one: usize, other: usize| {
        let events = "(MessageNew MessageExpunge)";
        format!("{tag} NOTIFY SET (mailboxes ({}) {events}) (mailboxes ({}) {events})", names(one), names(other))
    };
    peer.says(&notify("a", 500, 500), "a OK …").await;
    peer.says(&notify("b", 500, 501), "b NO …").await;
    peer.says("c NOOP", "c OK …").await;
    office.check().await;
}

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

/// What is too much is refused, what is just not is done, and in both cases the next command works.
#[tokio::test]
async fn every_limit_of_a_command_leaves_the_session_alive() {
    use wire::imap::limits::*;
    let office = Office::open().await;
    office.deliver("INBOX", b"Subject: x\r\n\r\nx").await;
    let mut peer = Peer::login(office.address).await;
    peer.says("a SELECT INBOX", "a OK …").await;
    let nested = |depth: usize| format!("SEARCH {}ALL SEEN{}", "(".repeat(depth), ")".repeat(depth));
    let not = |depth: usize| format!("SEARCH {}ALL", "NOT ".repeat(depth));
    let numbers = |count: usize| format!("FETCH {} (UID)", vec!["1"; count].join(","));
    let terms = |count: usize| format!("SEARCH {}", vec!["ALL"; count].join(" "));
    let items = |count: usize| format!("FETCH 1 ({})", vec!["UID"; count].join(" "));
    let entry = |octets: usize| format!("GETMETADATA INBOX /private/{}", "x".repeat(octets - "/private/".len()));
    let name = |octets: usize| format!("STATUS {} (MESSAGES)", "n".repeat(octets));
    let line = |octets: usize| format!("SEARCH SUBJECT \"{}\"", "x".repeat(octets - "t SEARCH SUBJECT \"\"".len()));
    let cases: Vec<(&str, String, String)> = vec![
        ("parentheses", nested(PAREN_DEPTH_MAX), nested(PAREN_DEPTH_MAX + 1)),
        ("NOT", not(PAREN_DEPTH_MAX), not(PAREN_DEPTH_MAX + 1)),
        ("elements of a set", numbers(SEQUENCE_SET_ELEMENTS_MAX), numbers(SEQUENCE_SET_ELEMENTS_MAX + 1)),
        ("search keys", terms(SEARCH_TERMS_MAX), terms(SEARCH_TERMS_MAX + 1)),
        ("fetch items", items(LIST_ITEMS_MAX), items(LIST_ITEMS_MAX + 1)),
        ("an entry's name", entry(METADATA_ENTRY_BYTES_MAX), entry(METADATA_ENTRY_BYTES_MAX + 1)),
        ("a mailbox's name", name(MAILBOX_NAME_BYTES_MAX), name(MAILBOX_NAME_BYTES_MAX + 1)),
        ("a line", line(LINE_BYTES_MAX), line(LINE_BYTES_MAX + 1)),
    ];
    for (what, at, past) in cases {
        peer.says(&format!("t {at}"), "t …").await;
        // A name that is not there is one all the same.
        assert!(peer.last.starts_with("t OK") || peer.last.contains("NONEXISTENT"), "{what}: {}", peer.last);
        peer.says("n NOOP", "n OK …").await;
        peer.says(&format!("t {past}"), "t BAD …").await;
        peer.says("n NOOP", "n OK …").await;
    }
    let literal = |octets: usize| format!("SEARCH SUBJECT {{{octets}+}}\r\n{}", "x".repeat(octets));
    peer.says(&format!("t {}", literal(LITERAL_BYTES_MAX)), "t OK …").await;
    peer.says(&format!("t {}", literal(LITERAL_BYTES_MAX + 1)), "t NO [TOOBIG] …").await;
    peer.says("n NOOP", "n OK …").await;
    office.check().await;
}

/// Who has not signed in has less room; what is past it is refused and read away, and signing in still works.
#[tokio::test]
async fn literals_and_lines_before_sign_in_have_limits_of_their_own() {
    use wire::imap::limits::*;
    let office = Office::open().await;
    let mut peer = Peer::connect(office.address).await;
    peer.skip_to("* OK …").await.unwrap();
    let login = |octets: usize| format!("LOGIN {{{octets}+}}\r\n{} x", "x".repeat(octets));
    peer.says(&format!("a {}", login(LITERAL_BYTES_MAX_BEFORE_LOGIN)), "a NO [AUTHENTICATIONFAILED] …").await;
    peer.says(&format!("b {}", login(LITERAL_BYTES_MAX_BEFORE_LOGIN + 1)), "b NO [TOOBIG] …").await;
    // One that waits to be asked for is never sent.
    peer.says(&format!("c LOGIN {{{}}}", LITERAL_BYTES_MAX_BEFORE_LOGIN + 1), "c NO [TOOBIG] …").await;
    // Two that are too much together.
    let half = LITERAL_BYTES_MAX_BEFORE_LOGIN / 2 + 1;
    let two = format!("d LOGIN {{{half}+}}\r\n{} {{{half}+}}\r\n{}", "x".repeat(half), "y".repeat(half));
    peer.says(&two, "d NO [TOOBIG] …").await;
    let line = |octets: usize| format!("e NOOP {}", "x".repeat(octets - "e NOOP ".len()));
    peer.says(&line(LINE_BYTES_MAX_BEFORE_LOGIN), "e BAD …").await;
    peer.says(&format!("f LOGIN ann@here.test {}", super::office::PASSWORD), "f OK …").await;
    peer.says("g SELECT INBOX", "g OK …").await;
    office.check().await;
    // A line past it is the last: nobody knows where it ends.
    let mut peer = Peer::connect(office.address).await;
    peer.skip_to("* OK …").await.unwrap();
    peer.says(&line(LINE_BYTES_MAX_BEFORE_LOGIN + 1), "* BYE …").await;
    peer.expect("<closed>").await.unwrap();
}

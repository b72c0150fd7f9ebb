//! What the next hop cannot take as it is: 8 bits to a server without 8BITMIME, binary to anybody, the signature after it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::tests::{dns, here, queue_is_empty, scripted, settings};
use crate::smtp::tests::{Office, Talk, read_inbox, wait_for};
use crate::trust::{Ask, keys};
use net::Resolver;
use net::dns_server::{DnsServer, Zone};
use trust::dkim::DkimResult;

const PNG: &str = "\u{89}PNG\r\n\u{1a}\n\u{fe}";

/// Ann's message with text, and `BODY=`; what the scripted server heard of it.
async fn heard_of(here: &mut Office, text: &str) -> String {
    let (_dns, resolver) = dns().await;
    let (address, mut heard) = scripted(vec![("250 ok", "250 ok")]).await;
    here.send(settings(&resolver, &[("mx.there.test", address)]));
    let mut talk = Talk::signed_in(here.submission, "ann@here.test").await;
    assert!(talk.say("MAIL FROM:<ann@here.test> BODY=8BITMIME").await.starts_with("250"));
    assert!(talk.say("RCPT TO:<carol@there.test>").await.starts_with("250"));
    assert!(talk.data(text).await.starts_with("250"));
    queue_is_empty(here).await;
    tokio::time::timeout(std::time::Duration::from_secs(10), heard.recv()).await.expect("nothing came").unwrap()
}

fn message_of(heard: &str) -> &str {
    heard.split_once("DATA\r\n").unwrap().1.split_once("\r\n.\r\n").unwrap().0
}

#[tokio::test]
async fn eight_bits_become_seven_and_are_signed_as_they_leave() {
    let mut here = here().await;
    let now_secs = crate::context::unix_now();
    let store = here.context.store.clone();
    let made = keys::make(&store, "here.test", now_secs, now_secs).await.unwrap();
    here.context.trust.keys.reload(&store).await.unwrap();
    let mut zone = Zone::new();
    for row in &made {
        zone.txt(&format!("{}._domainkey.here.test", row.selector), &row.signer().unwrap().key.record());
    }
    let text = "From: ann@here.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\
        Content-Transfer-Encoding: 8bit\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: 8bit\r\n\r\nGr\u{fc}\u{df}e\r\n--x\r\n\r\nASCII\r\n--x--\r\n";
    let heard = heard_of(&mut here, text).await;
    assert!(heard.is_ascii() && !heard.contains("BODY=8BITMIME"), "{heard}");
    let message = format!("{}\r\n", message_of(&heard));
    assert!(message.contains("quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n--x"), "{message}");
    assert!(heard.contains(&format!("SIZE={}", message.len())), "{heard}");
    let server = DnsServer::start("127.0.0.1:0".parse().unwrap(), zone).await.unwrap();
    let resolver = Resolver::with_servers(vec![server.local()]).unwrap();
    let verdicts = trust::dkim::verify(&Ask(&resolver), message.as_bytes(), now_secs).await;
    let results: Vec<DkimResult> = verdicts.iter().map(|verdict| verdict.result).collect();
    assert_eq!(results, [DkimResult::Pass, DkimResult::Pass], "{verdicts:?}");
    here.close().await;
}

#[tokio::test]
async fn what_cannot_be_converted_comes_back() {
    let mut here = here().await;
    let (_dns, resolver) = dns().await;
    let (address, _heard) = scripted(vec![]).await;
    here.send(settings(&resolver, &[("mx.there.test", address)]));
    let mut talk = Talk::signed_in(here.submission, "ann@here.test").await;
    let text = "From: ann@here.test\r\nContent-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n\r\nGr\u{fc}\u{df}e\r\n\
        --x\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--x--\r\n";
    assert!(talk.send("ann@here.test", &["carol@there.test"], text).await.starts_with("250"));
    let ann = wait_for(&here.context.store, "ann@here.test", 1).await;
    assert!(ann[0].contains("Status: 5.6.3\r\n") && ann[0].contains("would break the signature of a part"), "{}", ann[0]);
    here.close().await;
}

/// Its sender never said SMTPUTF8: a header beyond ASCII is neither sent as it is to who takes 7 bits, nor bent.
#[tokio::test]
async fn a_header_beyond_ascii_comes_back() {
    let mut here = here().await;
    let (_dns, resolver) = dns().await;
    let (address, mut heard) = scripted(vec![]).await;
    here.send(settings(&resolver, &[("mx.there.test", address)]));
    let mut talk = Talk::signed_in(here.submission, "ann@here.test").await;
    let text = "From: ann@here.test\r\nSubject: Gr\u{fc}\u{df}e\r\n\r\nHello.\r\n";
    assert!(talk.send("ann@here.test", &["carol@there.test"], text).await.starts_with("250"));
    let ann = wait_for(&here.context.store, "ann@here.test", 1).await;
    assert!(ann[0].contains("Status: 5.6.7\r\n") && ann[0].contains("its header has text beyond ASCII"), "{}", ann[0]);
    here.close().await;
    let heard = heard.recv().await.unwrap();
    assert!(heard.starts_with("EHLO") && !heard.contains("MAIL"), "{heard}");
}

/// BODY=BINARYMIME by BDAT: kept in lines, its content as it came; text outside the parts must have lines itself.
#[tokio::test]
async fn binary_is_taken_and_kept_in_lines() {
    let here = here().await;
    let mut talk = Talk::to(here.mx, "EHLO x.test").await;
    let text = format!(
        "From: a@x.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\
        Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n{PNG}\r\n--x--\r\n"
    );
    assert!(talk.say("MAIL FROM:<a@x.test> BODY=BINARYMIME").await.starts_with("250"));
    assert!(talk.say("RCPT TO:<bob@here.test>").await.starts_with("250"));
    assert!(talk.say("DATA").await.starts_with("503 5.5.1"));
    talk.write(&format!("BDAT {} LAST\r\n{text}", text.len())).await;
    assert!(talk.reply().await.starts_with("250"));
    let bob = read_inbox(&here.context.store, "bob@here.test").await;
    let parsed = message::parse(bob[0].as_bytes());
    assert_eq!(parsed.parts[1].content().as_ref(), PNG.as_bytes());
    assert!(bob[0].contains("Content-Transfer-Encoding: base64\r\n\r\n"), "{}", bob[0]);
    // A line end on its own in the header could hide a second message from one of two readers.
    assert!(talk.say("MAIL FROM:<a@x.test> BODY=BINARYMIME").await.starts_with("250"));
    assert!(talk.say("RCPT TO:<bob@here.test>").await.starts_with("250"));
    talk.write("BDAT 23 LAST\r\nSubject: x\nTo: y\r\n\r\nz\r\n").await;
    assert!(talk.reply().await.starts_with("554 5.6.3"));
    assert_eq!(read_inbox(&here.context.store, "bob@here.test").await.len(), 1);
    here.close().await;
}

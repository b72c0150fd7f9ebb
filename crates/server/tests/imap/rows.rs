//! Every extension that is offered, by the name it is announced by, before and after sign-in: nothing is lost unnoticed, and
//! nothing is announced that `docs/rfc.tsv` does not know.

use super::Peer;
use super::office::Office;
use server::imap::Settings;

const BEFORE: &str = "IMAP4rev1 IMAP4rev2 ID ENABLE IDLE LITERAL- SASL-IR AUTH=SCRAM-SHA-256 AUTH=PLAIN AUTH=LOGIN";

const AFTER: &str = "IMAP4rev1 IMAP4rev2 ID ENABLE IDLE LITERAL+ MULTIAPPEND CATENATE URL-PARTIAL URLAUTH URLAUTH=BINARY REPLACE UIDPLUS MOVE NAMESPACE \
    ACL RIGHTS=… NOTIFY UNSELECT CHILDREN SPECIAL-USE CREATE-SPECIAL-USE CONDSTORE QRESYNC UIDONLY STATUS=SIZE ESEARCH SEARCHRES SORT \
    SORT=DISPLAY ESORT THREAD=REFERENCES THREAD=REFS THREAD=ORDEREDSUBJECT PARTIAL PREVIEW OBJECTID SAVEDATE INPROGRESS MULTISEARCH \
    WITHIN SEARCH=FUZZY CONTEXT=SEARCH CONTEXT=SORT FILTERS I18NLEVEL=1 I18NLEVEL=2 LIST-EXTENDED LIST-STATUS LIST-METADATA \
    LIST-MYRIGHTS METADATA METADATA-SERVER QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE QUOTA=RES-MAILBOX COMPRESS=DEFLATE \
    UNAUTHENTICATE UIDBATCHES UTF8=ACCEPT APPENDLIMIT=… QUOTASET JMAPACCESS MESSAGELIMIT=… SAVELIMIT=…";

async fn announced(peer: &mut Peer) -> Vec<String> {
    peer.unsent.extend_from_slice(b"c CAPABILITY\r\n");
    peer.skip_to("* CAPABILITY …").await.unwrap();
    let names = peer.last.clone();
    peer.expect("c OK …").await.unwrap();
    names.split(' ').skip(2).map(str::to_owned).collect()
}

fn same(announced: &[String], wanted: &str) {
    let wanted: Vec<&str> = wanted.split_whitespace().collect();
    let fits = |name: &String, wanted: &str| super::fits(wanted, name);
    let missing: Vec<_> = wanted.iter().filter(|wanted| !announced.iter().any(|name| fits(name, wanted))).collect();
    let more: Vec<_> = announced.iter().filter(|name| !wanted.iter().any(|wanted| fits(name, wanted))).collect();
    assert!(missing.is_empty() && more.is_empty(), "missing {missing:?}, more {more:?}");
}

#[tokio::test]
async fn every_extension_is_announced() {
    let settings = Settings {
        messages_max: std::num::NonZeroU32::new(1000),
        saved_max: std::num::NonZeroU32::new(1000),
        quota_administrators: vec!["ann@here.test".to_owned()],
        jmap_url: Some("https://mail.here.test/.well-known/jmap".to_owned()),
        ..Settings::default()
    };
    let office = Office::with(settings).await;
    same(&announced(&mut Peer::connect(office.address).await).await, BEFORE);
    // BINARY is switched off on this listener (`switched_off.txt`).
    same(&announced(&mut Peer::login(office.address).await).await, AFTER);
    // Others hear of no quota they could set, and without its configuration nobody hears of any limit.
    office.add_people(std::iter::once("bob")).await;
    let others = announced(&mut Peer::login_as(office.address, "bob").await).await;
    assert!(!others.contains(&"QUOTASET".to_owned()) && others.contains(&"MESSAGELIMIT=1000".to_owned()));
    let office = Office::open().await;
    let plain = announced(&mut Peer::login(office.address).await).await;
    assert!(!plain.iter().any(|name| name.starts_with("MESSAGELIMIT") || name.starts_with("SAVELIMIT") || name == "JMAPACCESS"));
}

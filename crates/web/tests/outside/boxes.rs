//! A mailbox as a file, and an mbox into a mailbox. How an mbox is written is the binary's affair; here a message is what stands
//! between lines that begin with `From `.

use crate::office::{NOW, Office};
use serde_json::{Value, json};
use std::io::{self, BufRead};
use store::{AclChange, Flags};
use tokio::io::AsyncWriteExt;
use web::Boxed;
use wire::imap::acl::Rights;

pub(crate) struct Plain;

impl web::Boxes for Plain {
    fn single(&self, octets: Vec<u8>, changed_secs: Option<i64>) -> Boxed {
        let hash = blake3::hash(&octets).to_hex().to_string();
        Boxed { octets: octets.into(), flags: Flags::default(), date_secs: changed_secs.unwrap_or(NOW), hash }
    }

    fn write(&self, flags: &Flags, _: i64, octets: &[u8]) -> Vec<u8> {
        format!("From x {}\n{}\n", flags.system, String::from_utf8_lossy(octets)).into_bytes()
    }

    fn read(&self, input: &mut dyn BufRead, message_bytes_max: u64, each: &mut dyn FnMut(Boxed) -> bool) -> io::Result<()> {
        let (mut text, mut number, mut begun, mut system) = (String::new(), 0, false, 0);
        loop {
            let mut line = String::new();
            let is_end = input.read_line(&mut line)? == 0;
            if is_end || line.starts_with("From ") {
                let octets = std::mem::take(&mut text).into();
                let flags = Flags { system, keywords: None };
                if begun && !each(Boxed { octets, flags, date_secs: NOW, hash: format!("{number}") }) {
                    return Ok(());
                }
                // `write` says it with a number.
                let said = line.trim_end().rsplit(' ').next().and_then(|word| word.parse().ok());
                (begun, number, system) = (true, number + 1, said.unwrap_or(0));
            } else {
                text.push_str(&line);
            }
            if text.len() as u64 > message_bytes_max {
                return Err(io::Error::other("a message is too large"));
            }
            if is_end {
                return Ok(());
            }
        }
    }
}

const MBOX: &str = "Content-Type: application/mbox\r\n";

fn head(account: &str, mailbox: &str, more: &str) -> String {
    format!("POST /api/import/{account}/{mailbox} HTTP/1.1\r\n{}{more}", Office::basic("ann@here.test", "pw"))
}

async fn taken(office: &Office, mailbox: &str, text: &str) -> Value {
    let answer = office.ask(&head("A1", mailbox, MBOX), text.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

fn outcome(imported: u64, known: u64) -> Value {
    json!({"imported": imported, "known": known, "notTaken": 0, "bad": [], "stopped": null})
}

#[tokio::test]
async fn a_file_comes_in_once_and_goes_out_as_it_was() {
    let office = Office::new().await;
    let archive = office.mailbox_id("Archive").await;
    let text: String = (0..250).map(|n| format!("From x\nSubject: number {n}\n\ntext {n}\n")).collect();
    assert_eq!(taken(&office, &archive, &text).await, outcome(250, 0));
    assert_eq!(taken(&office, &archive, &text).await, outcome(0, 250), "a second time");
    let more = format!("{text}From x\nSubject: one more\n\nx\n");
    assert_eq!(taken(&office, &archive, &more).await, outcome(1, 250));
    let basic = Office::basic("ann@here.test", "pw");
    let out = office.ask(&format!("GET /api/export/A1/{archive} HTTP/1.1\r\n{basic}"), b"").await;
    assert_eq!((out.status, out.headers["content-type"].as_str()), (200, "application/mbox"));
    assert_eq!(out.headers["content-disposition"], "attachment; filename*=UTF-8''Archive.mbox");
    let body = String::from_utf8_lossy(&out.body).into_owned();
    assert_eq!((body.matches("\nSubject: ").count(), body.contains("text 249\n")), (251, true));
    let zip = office.ask(&format!("GET /api/export/A1/{archive}?as=zip HTTP/1.1\r\n{basic}"), b"").await;
    assert_eq!(zip.headers["content-type"], "application/zip");
    assert!(String::from_utf8_lossy(&zip.body).contains("000001 number 0.eml"));
    let deleted = Flags { system: Flags::DELETED, keywords: None };
    let mailbox = office.mailbox("Archive").await;
    office.store.flags(office.ann, mailbox, &[store::Uid(1)], store::FlagOp::Add, &deleted, None).await.unwrap();
    let out = office.ask(&format!("GET /api/export/A1/{archive} HTTP/1.1\r\n{basic}"), b"").await;
    assert!(!String::from_utf8_lossy(&out.body).contains("number 0\n"), "what is deleted is not there");
}

#[tokio::test]
async fn only_who_may_gives_and_takes() {
    let office = Office::new().await;
    let archive = office.mailbox_id("Archive").await;
    let bob = office.store.account("bob@here.test").await.unwrap().unwrap().id;
    let inbox = office.store.mailbox(bob, "INBOX").await.unwrap().unwrap().id;
    let (account, theirs) = (format!("A{:x}", bob.0), store::object_id::of_mailbox(bob, inbox).to_string());
    let import = async |account: &str, mailbox: &str, more: &str| {
        office.ask(&head(account, mailbox, more), b"From x\nA: b\n\nx\n").await.status
    };
    let basic = Office::basic("ann@here.test", "pw");
    let export = async |account: &str, mailbox: &str, more: &str| {
        office.ask(&format!("GET /api/export/{account}/{mailbox} HTTP/1.1\r\n{more}"), b"").await.status
    };
    assert_eq!((import("A1", &archive, "").await, import("A1", "F1-99", MBOX).await), (415, 404));
    assert_eq!((import(&account, &theirs, MBOX).await, export(&account, &theirs, &basic).await), (404, 404), "nothing is shared");
    let share = async |letters: &str| {
        let rights = Rights::from_letters(letters.as_bytes()).unwrap();
        office.store.acl_change(bob, inbox, "ann@here.test", AclChange::Replace(rights.bits())).await.unwrap();
    };
    share("lr").await;
    assert_eq!((import(&account, &theirs, MBOX).await, export(&account, &theirs, &basic).await), (404, 200));
    share("lri").await;
    assert_eq!(import(&account, &theirs, MBOX).await, 200);
    assert_eq!((export("A1", &archive, "").await, export("A1", &archive, "Sec-Fetch-Site: cross-site\r\n").await), (401, 401));
}

/// Where the owner asked that each reader has a \Seen of his own, a file that a reader takes in says what he has seen.
#[tokio::test]
async fn what_a_reader_takes_in_is_seen_by_him_alone() {
    let office = Office::new().await;
    let bob = office.store.account("bob@here.test").await.unwrap().unwrap().id;
    let inbox = office.store.mailbox(bob, "INBOX").await.unwrap().unwrap().id;
    let rights = Rights::from_letters(b"lrswi").unwrap();
    office.store.acl_change(bob, inbox, "ann@here.test", AclChange::Replace(rights.bits())).await.unwrap();
    let theirs = store::object_id::of_mailbox(bob, inbox).to_string();
    let import = async |text: &str| {
        let answer = office.ask(&head(&format!("A{:x}", bob.0), &theirs, MBOX), text.as_bytes()).await.json();
        assert_eq!(answer["imported"], 2, "{answer}");
    };
    let seen = async || {
        let rows = office.store.snapshot(bob, inbox).await.unwrap().rows;
        let own = office.store.own_seen((bob, inbox), office.ann).await.unwrap();
        rows.iter().map(|row| (row.flags.system, own.has(row.uid))).collect::<Vec<_>>()
    };
    let both = Flags::SEEN | Flags::FLAGGED;
    import(&format!("From x {both}\nA: 1\n\nx\nFrom x {}\nA: 2\n\nx\n", Flags::FLAGGED)).await;
    assert_eq!(seen().await, [(both, false), (Flags::FLAGGED, false)], "it is everybody's");
    let entry = ("/shared/vendor/packetboat/seen".into(), Some(b"own".to_vec()));
    office.store.annotate(bob, Some(inbox), &[entry]).await.unwrap();
    import(&format!(
        "From x 0\nA: 3\n\nx\nFrom x 0\nA: 3\n\nx\nFrom x {both}\nA: 4\n\nx\nFrom x {}\nA: 5\n\nx\n",
        Flags::FLAGGED
    ))
    .await;
    assert_eq!(seen().await[2..], [(Flags::FLAGGED, true), (Flags::FLAGGED, false)], "it is ann's own");
}

#[tokio::test]
async fn bad_files_cost_themselves() {
    let office = Office::new().await;
    let archive = office.mailbox_id("Archive").await;
    // One that is larger than any message may be, and one that holds nothing.
    let large = format!("From x\nA: b\n\n{}\n", "x".repeat(10_000_000));
    let answer = taken(&office, &archive, &large).await;
    assert_eq!((&answer["imported"], &answer["stopped"]), (&json!(0), &json!("a message is too large")));
    let empty = taken(&office, &archive, "From x\nFrom x\nA: b\n\nx\n").await;
    assert_eq!((&empty["imported"], &empty["notTaken"], &empty["bad"][0]["what"]), (&json!(1), &json!(1), &json!("message 1")));
    // More than there is room for: what came before stays.
    let inbox = office.mailbox_id("INBOX").await;
    let many: String = (0..12).map(|n| format!("From x\nSubject: {n}\n\n{}\n", "y\n".repeat(4_500_000))).collect();
    let answer = taken(&office, &inbox, &many).await;
    assert_eq!(answer["stopped"], "There is no room left in the account.", "{answer}");
    assert_eq!(office.ids("INBOX").await.len() as u64, answer["imported"].as_u64().unwrap());
}

/// A body that was sent in chunks (RFC 9112 §7.1).
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return whole;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 2 + length + 2..];
    }
}

/// What is given out as an archive comes in again, octet for octet; and archives of other people's files.
#[tokio::test]
async fn an_archive_that_was_given_out_comes_in_again() {
    let office = Office::new().await;
    let (archive, junk) = (office.mailbox_id("Archive").await, office.mailbox_id("Junk").await);
    for n in 0..250 {
        let text = format!(
            "Subject: number {n}\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n\r\nFrom here {n}\r\n{}",
            "x".repeat(n * 40)
        );
        office.put("Archive", &text, NOW, 0).await;
    }
    let basic = Office::basic("ann@here.test", "pw");
    let zip = unchunked(&office.ask(&format!("GET /api/export/A1/{archive}?as=zip HTTP/1.1\r\n{basic}"), b"").await.body);
    let take = async |octets: &[u8]| office.ask(&head("A1", &junk, "Content-Type: application/zip\r\n"), octets).await.json();
    assert_eq!(take(&zip).await, outcome(250, 0));
    assert_eq!(take(&zip).await, outcome(0, 250), "a second time");
    let octets = async |name: &str| {
        let mut all = Vec::new();
        let mailbox = office.mailbox(name).await;
        for row in office.store.snapshot(office.ann, mailbox).await.unwrap().rows.iter() {
            all.push(office.store.body(office.ann, row.email, 0, u64::from(u32::MAX)).await.unwrap());
        }
        all
    };
    assert_eq!(octets("Junk").await, octets("Archive").await);
    // Cut short: what came whole stays, and it is said.
    let inbox = office.mailbox_id("INBOX").await;
    let cut = office.ask(&head("A1", &inbox, "Content-Type: application/zip\r\n"), &zip[..zip.len() / 2]).await.json();
    let came = cut["imported"].as_u64().unwrap();
    assert!(came > 50 && came < 250 && cut["stopped"].is_string(), "{cut}");
    assert_eq!(octets("INBOX").await, octets("Archive").await[..usize::try_from(came).unwrap()]);
}

#[tokio::test]
async fn an_archive_of_other_people_s_files() {
    let office = Office::new().await;
    let inbox = office.mailbox_id("INBOX").await;
    let take = async |entries: &[(&str, &[u8])]| {
        let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, octets) in entries {
            archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            io::Write::write_all(&mut archive, octets).unwrap();
        }
        let octets = archive.finish().unwrap().into_inner();
        office.ask(&head("A1", &inbox, "Content-Type: application/zip\r\n"), &octets).await.json()
    };
    let mbox = b"From x\nSubject: two\n\nx\nFrom x\nSubject: three\n\nx\n".as_slice();
    let told = take(&[
        ("one.EML", b"Subject: one\r\n\r\nx\r\n"),
        ("again/one.eml", b"Subject: one\r\n\r\nx\r\n"),
        ("empty.eml", b""),
        ("box.mbox", mbox),
        ("Old/Inbox", b"From y\nSubject: four\n\nx\n"),
        ("__MACOSX/._one.eml", b"what a system puts there"),
        (".hidden.eml", b"Subject: hidden\r\n\r\n"),
        ("readme.txt", b"no mail"),
        ("picture.png", &[137, 80, 78, 71]),
    ])
    .await;
    // Mailboxes are known by their messages' places, of which the test's own reader has the number alone.
    assert_eq!((&told["stopped"], &told["notTaken"]), (&Value::Null, &json!(1)), "{told}");
    assert_eq!(told["imported"].as_u64().unwrap() + told["known"].as_u64().unwrap(), 5, "{told}");
    for subject in ["one", "two", "three"] {
        assert_eq!(office.call("Email/query", json!({"filter": {"subject": subject}})).await["ids"].as_array().unwrap().len(), 1);
    }
    let none = take(&[("readme.txt", b"no mail")]).await;
    assert_eq!(none["stopped"], "No file of a message (.eml) or of many (.mbox) is in it.");
    let large = take(&[("large.eml", &vec![b'x'; 10_000_001]), ("small.eml", b"Subject: small\r\n\r\nx")]).await;
    assert_eq!((&large["imported"], &large["notTaken"]), (&json!(1), &json!(1)), "{large}");
    let zeros = vec![0; 20_000_000];
    let bomb = take(&[("before.eml", b"Subject: before\r\n\r\nx"), ("bomb.eml", &zeros)]).await;
    assert_eq!((&bomb["imported"], &bomb["stopped"]), (&json!(1), &json!("It unpacks to more than mail does.")), "{bomb}");
    assert_eq!(take(&[]).await["imported"], 0);
}

/// The message that was on its way when the line broke is not taken for a whole one; what was together before it is there.
#[tokio::test]
async fn an_upload_that_breaks_off_leaves_whole_messages_only() {
    let office = Office::new().await;
    let inbox = office.mailbox_id("INBOX").await;
    let mut stream = office.connect("127.0.0.1", false);
    let text = "From x\nSubject: whole\n\nx\n".repeat(150) + "From x\nSubject: cut\n\nhalf of";
    let head =
        head("A1", &inbox, MBOX).replacen("\r\n", &format!("\r\nHost: here.test\r\nContent-Length: {}\r\n", text.len() + 100), 1);
    stream.write_all(format!("{head}\r\n{text}").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut octets = Vec::new();
    // The server closes when it has done with it.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut octets).await;
    let found = async |subject: &str| {
        office.call("Email/query", json!({"filter": {"subject": subject}})).await["ids"].as_array().unwrap().len()
    };
    // A hundred are taken in at a time.
    assert!(matches!(found("whole").await, 100..=150));
    assert_eq!(found("cut").await, 0);
}

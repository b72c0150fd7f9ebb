#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::{Key, Needle, Query, Searcher};
use encoding_rs::{Encoding, GB18030, ISO_2022_JP, KOI8_R, SHIFT_JIS, WINDOWS_1252};
use message::Facts;
use message::threading::Algorithm;
use std::path::Path;
use std::sync::Arc;
use store::{AccountId, Flags, MailboxId, NewAccount, NewEmail, Secrets, Spooled, Store, StoreConfig, Uid};

/// A small generator: the same numbers for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit.max(1)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const WORDS: &[&str] = &[
    "boat",
    "Boathouse",
    "the",
    "sea",
    "SEA",
    "Grüße",
    "STRASSE",
    "straße",
    "ﬁsh",
    "e\u{301}t\u{e9}",
    "日本語",
    "東京都庁",
    "привет",
    "Мир",
    "a1b2c3d4e5f6a7b8",
    "x",
    "at",
    "2026-11-28",
    "foo_bar",
    "ann@here.test",
    "https://there.test/path?q=1",
    "Σίσυφος",
    "İstanbul",
    "supercalifragilisticexpialidocious",
    "ZGVhZGJlZWZjYWZlZm9vYmFyYmF6",
    "\u{1f6a2}",
    "don't",
    "e-mail",
    "no.1",
    "ＦＵＬＬ",
    "ａt",
];

fn words(chance: &mut Chance, count: usize) -> String {
    let mut text = String::new();
    for _ in 0..count {
        if chance.below(6) == 0 {
            // A word like no other.
            text.push_str(&format!("w{:x}z", chance.below(1 << 20)));
        } else {
            text.push_str(chance.one(WORDS));
        }
        text.push_str(chance.one(&[" ", " ", " ", ", ", "\r\n", "", " -- "]));
    }
    text
}

pub(crate) fn base64(text: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |three: &[u8], nth: usize| {
        let number = three.iter().chain(&[0, 0]).take(3).fold(0u32, |number, octet| number << 8 | u32::from(*octet));
        if nth <= three.len() { DIGITS[(number >> (18 - 6 * nth) & 63) as usize] as char } else { '=' }
    };
    text.chunks(3).flat_map(|three| (0..4).map(move |nth| digit(three, nth))).collect()
}

fn one_line(text: &str) -> String {
    text.replace("\r\n", " ")
}

fn attached(media_type: &str, name: &str, octets: &[u8]) -> String {
    format!(
        "Content-Type: {media_type}\r\nContent-Disposition: attachment; filename=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        base64(octets)
    )
}

/// Words in a charset that is not Unicode's; what it cannot say is left out.
fn foreign(chance: &mut Chance, count: usize) -> (&'static Encoding, Vec<u8>) {
    let encoding = [KOI8_R, SHIFT_JIS, GB18030, ISO_2022_JP, WINDOWS_1252][chance.below(5)];
    let mut text = String::new();
    for _ in 0..count {
        let word = if chance.below(6) == 0 { format!("w{:x}z", chance.below(1 << 20)) } else { chance.one(WORDS).to_owned() };
        if !encoding.encode(&word).2 {
            text.push_str(&word);
            text.push_str(chance.one(&[" ", " ", ", ", ""]));
        }
    }
    (encoding, encoding.encode(text.trim()).0.into_owned())
}

/// As it stands in a header (RFC 2047): one encoded word, Q or B.
fn encoded_word(chance: &mut Chance, charset: &str, octets: &[u8]) -> String {
    if chance.below(2) == 0 {
        return format!("=?{charset}?B?{}?=", base64(octets));
    }
    let quoted: String = octets.iter().map(|octet| format!("={octet:02X}")).collect();
    format!("=?{charset}?q?{quoted}?=")
}

fn foreign_word(chance: &mut Chance, count: usize) -> String {
    let (encoding, octets) = foreign(chance, count);
    encoded_word(chance, encoding.name(), &octets)
}

fn foreign_part(chance: &mut Chance) -> String {
    let count = 1 + chance.below(20);
    let (encoding, octets) = foreign(chance, count);
    let (how, body) = match chance.below(2) {
        0 => ("base64", base64(&octets)),
        _ => ("quoted-printable", octets.iter().map(|octet| format!("={octet:02X}")).collect::<Vec<_>>().join("=\r\n")),
    };
    let kind = chance.one(&["plain", "html"]);
    let charset = encoding.name();
    format!("Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {how}\r\n\r\n{body}\r\n")
}

fn part(chance: &mut Chance) -> String {
    let count = 1 + chance.below(30);
    let text = words(chance, count);
    match chance.below(10) {
        7..=9 => foreign_part(chance),
        5 => attached("application/pdf", "paper.pdf", &crate::pdf::tests::document(&one_line(&text))),
        6 => attached("application/octet-stream", "plan.docx", &crate::attachment_text::tests::docx(&one_line(&text))),
        0 => format!(
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            base64(text.as_bytes())
        ),
        1 => format!("Content-Type: text/html; charset=utf-8\r\n\r\n<p class=boat>{text}<b>&amp; {text}</b>\r\n"),
        2 => {
            let octets: String = text.bytes().map(|octet| format!("={octet:02X}")).collect::<Vec<_>>().join("=\r\n");
            format!("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{octets}\r\n")
        }
        3 => format!("Content-Type: image/png; name=\"{}.png\"\r\n\r\nboat hidden\r\n", words(chance, 1).trim()),
        _ => format!("Content-Type: text/plain; charset=utf-8; format=flowed\r\n\r\n{text}\r\n"),
    }
}

fn message(chance: &mut Chance, number: usize) -> Vec<u8> {
    let count = 1 + chance.below(6);
    let subject = one_line(&words(chance, count));
    let subject = match chance.below(4) {
        0 | 1 => subject,
        2 => format!("=?utf-8?B?{}?=", base64(subject.as_bytes())),
        _ => foreign_word(chance, count),
    };
    let from = match chance.below(3) {
        0 => foreign_word(chance, 2),
        _ => one_line(&words(chance, 2)).replace([',', '<'], ""),
    };
    let mut text = format!("From: {from} <u{}@there.test>\r\n", chance.below(9));
    for _ in 0..chance.below(3) {
        text.push_str(&format!(
            "To: {} <{}@here.test>\r\n",
            one_line(&words(chance, 1)),
            chance.one(&["ann", "bob", "boat.house"])
        ));
    }
    if chance.below(8) > 0 {
        text.push_str(&format!("Subject: {subject}\r\n"));
    }
    if chance.below(4) > 0 {
        text.push_str(&format!("Date: {} Nov 2026 10:00:00 +0000\r\n", 1 + chance.below(28)));
    }
    text.push_str(&format!("Message-ID: <{number}@x>\r\nReferences: <{}@x>\r\n", number / 3 * 3));
    text.push_str(&format!("X-Odd-{}: {}\r\n", chance.below(3), one_line(&words(chance, 3))));
    if chance.below(3) == 0 {
        text.push_str(&part(chance));
        return text.into_bytes();
    }
    text.push_str("Content-Type: multipart/mixed; boundary=b0undary\r\n\r\nboat preamble\r\n");
    for _ in 0..chance.below(4) {
        text.push_str("--b0undary\r\n");
        if chance.below(6) == 0 {
            text.push_str("Content-Type: message/rfc822\r\n\r\nSubject: inner sea\r\n");
        }
        text.push_str(&part(chance));
    }
    text.push_str("--b0undary--\r\n");
    text.into_bytes()
}

fn needle(chance: &mut Chance) -> String {
    let text = match chance.below(4) {
        0 => words(chance, 2),
        1 => format!("{}{}", chance.one(WORDS), chance.one(&[" ", "", ".", "@"])),
        2 => format!("w{:x}", chance.below(1 << 12)),
        _ => chance
            .one(&["boat", "u3@there", "ann", "@", "here.test>", "b0undary", "preamble", "hidden", "base64", "Nov 2026", ""])
            .to_owned(),
    };
    let chars: Vec<char> = text.chars().collect();
    let from = chance.below(chars.len());
    let to = from + 1 + chance.below(chars.len());
    let cut: String = chars.get(from..to.min(chars.len())).unwrap_or_default().iter().collect();
    if chance.below(2) == 0 { cut.to_uppercase() } else { cut }
}

fn queries(chance: &mut Chance) -> Vec<Query> {
    let text = needle(chance);
    let name = chance.one(&["Subject", "from", "To", "CC", "X-Odd-1", "message-id", "Content-Type", "X-None"]);
    let leaf = |chance: &mut Chance| match chance.below(4) {
        0 => Query::Text(Needle::new(&needle(chance))),
        1 => Query::header("subject", &needle(chance)),
        2 => Query::Sent(20_780..20_780 + chance.below(30) as i64),
        _ => Query::HasAttachment,
    };
    vec![
        Query::Text(Needle::new(&text)),
        Query::Body(Needle::new(&text)),
        Query::Attachment(Needle::new(&text)),
        Query::FileName(vec![Needle::new(&text)]),
        Query::FileName(vec![
            Needle::new(chance.one(&["plan", "PDF", "docx", ".", "ä", ""])),
            Needle::new(chance.one(&["n.d", "P", "x"])),
        ]),
        Query::BodyOrAttachment(Needle::new(&text)),
        Query::TextOrAttachment(Needle::new(&text)),
        Query::header(name, &text),
        Query::header("Subject", &text),
        Query::All(vec![leaf(chance), leaf(chance).not()]),
        Query::Any(vec![leaf(chance), leaf(chance)]),
    ]
}

struct House {
    store: Store,
    account: AccountId,
    inbox: MailboxId,
    count: usize,
}

impl House {
    async fn new(folder: &Path) -> House {
        let config = StoreConfig {
            data_dir: folder.to_path_buf(),
            undo_days: 0,
            free_bytes_min: 0,
            free_bytes_tight: 0,
            message_bytes_max: 64 << 20,
        };
        let store = Store::memory(config).await.unwrap();
        let secrets = Secrets { argon2: String::new(), scram: None };
        let account = NewAccount { address: "ann@here.test".into(), secrets, quota_bytes: None };
        let account = store.accounts_add(vec![account], 1).await.unwrap()[0];
        let inbox = store.mailbox(account, "INBOX").await.unwrap().unwrap().id;
        House { store, account, inbox, count: 0 }
    }

    async fn fill(&mut self, chance: &mut Chance, count: usize) {
        let mut emails = Vec::new();
        for _ in 0..count {
            self.count += 1;
            let octets = message(chance, self.count);
            let facts = Arc::new(Facts::compute(&octets));
            let body = Spooled::from_bytes(octets.into());
            emails.push(NewEmail { body, facts, flags: Flags::default(), internal_date_secs: 1_790_000_000 });
        }
        self.store.append(self.account, self.inbox, emails).await.unwrap();
    }

    /// Answers with the index are those of reading everything.
    async fn agree(&self, indexed: &Searcher, chance: &mut Chance, rounds: usize) {
        let plain = Searcher::new(self.store.clone());
        let rows = self.store.snapshot(self.account, self.inbox).await.unwrap().rows;
        for round in 0..rounds {
            for query in queries(chance) {
                // One that remembers nothing.
                let fresh = Searcher::new(self.store.clone());
                let right = fresh.mailbox(self.account, self.inbox, &rows, query.clone()).await.unwrap();
                for (name, searcher) in [("indexed", indexed), ("reading", &plain)] {
                    let found = searcher.mailbox(self.account, self.inbox, &rows, query.clone()).await.unwrap();
                    assert_eq!(found, right, "{name}, round {round}: {query:?}");
                }
            }
        }
        let all: Vec<usize> = (0..rows.len()).collect();
        let mut one = plain.keys(self.account, self.inbox, &rows, &all).await.unwrap();
        let mut other = indexed.keys(self.account, self.inbox, &rows, &all).await.unwrap();
        for key in [Key::Subject, Key::From, Key::To, Key::Cc, Key::Date, Key::DisplayFrom, Key::DisplayTo] {
            let order = |keys: &crate::MailboxKeys| {
                let mut places = all.clone();
                places.sort_by_key(|at| (keys.walk().value(key, &rows.get(*at).unwrap()), *at));
                places
            };
            assert_eq!(order(&one), order(&other), "{key:?}");
        }
        let shape = one.forest(&rows, &all, Algorithm::References).shape();
        assert_eq!(shape, other.forest(&rows, &all, Algorithm::References).shape());
        assert_eq!(shape, other.forest(&rows, &all, Algorithm::References).shape());
    }
}

/// What is indexed, what is not yet, what is gone, and what is damaged.
async fn life(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("search");
    let mut chance = Chance(seed);
    let mut house = House::new(folder.path()).await;
    house.fill(&mut chance, 70).await;
    let searcher = Searcher::indexed(house.store.clone(), index.clone());
    house.agree(&searcher, &mut chance, 4).await;
    searcher.catch_up(house.account).await.unwrap();
    house.agree(&searcher, &mut chance, 7).await;
    house.fill(&mut chance, 30).await;
    let status = searcher.status(house.account).await.unwrap().unwrap();
    assert_eq!((status.messages, status.behind), (100, 30));
    house.agree(&searcher, &mut chance, 4).await;
    searcher.catch_up(house.account).await.unwrap();
    house.agree(&searcher, &mut chance, 7).await;
    // Most of it goes.
    let uids: Vec<Uid> = (1..=80).map(Uid).collect();
    house.store.expunge(house.account, house.inbox, &uids, 2).await.unwrap();
    searcher.catch_up(house.account).await.unwrap();
    let inner = Searcher::indexed(house.store.clone(), index.clone());
    house.agree(&inner, &mut chance, 4).await;
    assert_eq!(inner.status(house.account).await.unwrap().unwrap().behind, 0);
    damage(&index, &mut chance);
    let damaged = Searcher::indexed(house.store.clone(), index.clone());
    house.agree(&damaged, &mut chance, 5).await;
    damaged.rebuild(house.account).await.unwrap();
    house.agree(&damaged, &mut chance, 4).await;
    assert_eq!(damaged.status(house.account).await.unwrap().unwrap().behind, 0);
}

/// Flips one octet of every file.
fn damage(folder: &Path, chance: &mut Chance) {
    let mut files = 0;
    for account in std::fs::read_dir(folder).unwrap().flatten() {
        for file in std::fs::read_dir(account.path()).unwrap().flatten() {
            let mut octets = std::fs::read(file.path()).unwrap();
            let at = chance.below(octets.len());
            octets[at] ^= 1 << chance.below(8);
            std::fs::write(file.path(), octets).unwrap();
            files += 1;
        }
    }
    assert!(files > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_finds_exactly_what_reading_finds() {
    let first = std::env::var("SEARCH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let seeds = std::env::var("SEARCH_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(4);
    for seed in first..first + seeds {
        eprintln!("seed {seed}");
        life(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_mail_is_taken_in_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut chance = Chance(5);
    let mut house = House::new(folder.path()).await;
    house.fill(&mut chance, 9).await;
    let searcher = Searcher::indexed(house.store.clone(), folder.path().join("search"));
    searcher.keep().unwrap();
    for more in [0, 7] {
        if more > 0 {
            house.fill(&mut chance, more).await;
        }
        let settled = async {
            while searcher.status(house.account).await.unwrap().unwrap().behind > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), settled).await.unwrap();
    }
    searcher.close().await;
    house.agree(&searcher, &mut chance, 2).await;
    house.store.account_remove(house.account, 3).await.unwrap();
    assert!(searcher.catch_up(house.account).await.is_err());
}

#[test]
fn stopping_leaves_what_is_being_put_together_and_loses_nothing() {
    use crate::index::{Index, Record, Terms};
    let folder = tempfile::tempdir().unwrap();
    let ann = AccountId(1);
    let add = |index: &Index, email: u64| {
        let octets = format!("Subject: number {email}\r\n\r\nword{email}\r\n").into_bytes();
        let mut terms = Terms::default();
        let record = Record::of(email, &octets, &Facts::compute(&octets), &mut terms);
        index.add(ann, vec![(record, terms)], &mut || true)
    };
    let index = Index::new(folder.path().to_owned());
    (1..4).for_each(|email| add(&index, email).unwrap());
    index.stop();
    // The fourth is one too many: all four would be put together.
    assert_eq!(add(&index, 4).unwrap_err().kind(), std::io::ErrorKind::Interrupted);
    assert_eq!((index.chunks(ann).len(), index.docs(ann)), (3, 3));
    let again = Index::new(folder.path().to_owned());
    assert_eq!((again.chunks(ann).len(), again.docs(ann)), (4, 4));
    add(&again, 5).unwrap();
    assert_eq!((again.chunks(ann).len(), again.docs(ann)), (1, 5));
}

/// Words of attachments of every kind, also of those packed into messages that are attached, are found with the index and without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attachments_of_every_kind_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::new(folder.path()).await;
    let file = |media_type: &str, name: &str, octets: &[u8]| format!("--b\r\n{}", attached(media_type, name, octets));
    let inner = format!(
        "Subject: walnut\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
        file("application/pdf", "deep.pdf", &crate::pdf::tests::document("chestnut"))
    );
    let parts = [
        file("text/plain; charset=utf-8", "notes.txt", "Eschenholz ahorn".as_bytes()),
        file("text/html; charset=utf-8", "page.html", "<p>lin<b>den</b> &amp; birch</p><script>hidden</script>".as_bytes()),
        file("application/pdf", "paper.pdf", &crate::pdf::tests::document("olive grove")),
        file(
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "plan",
            &crate::attachment_text::tests::docx("cedar"),
        ),
        file(
            "application/octet-stream",
            "sheet.xlsx",
            &crate::attachment_text::tests::archive(&[("xl/sharedStrings.xml", "<sst><si><t>poplar</t></si></sst>")]),
        ),
        file(
            "application/vnd.oasis.opendocument.text",
            "text",
            &crate::attachment_text::tests::archive(&[("content.xml", "<text:p>willow</text:p>")]),
        ),
        format!("--b\r\nContent-Type: message/rfc822\r\n\r\n{}", inner.replace("boundary=b", "boundary=c").replace("--b", "--c")),
    ];
    let mut emails = Vec::new();
    for part in &parts {
        let text = format!("Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHi\r\n{part}\r\n--b--\r\n");
        let facts = Arc::new(Facts::compute(text.as_bytes()));
        let body = Spooled::from_bytes(text.into_bytes().into());
        emails.push(NewEmail { body, facts, flags: Flags::default(), internal_date_secs: 1_790_000_000 });
    }
    house.store.append(house.account, house.inbox, emails).await.unwrap();
    let rows = house.store.snapshot(house.account, house.inbox).await.unwrap().rows;
    let plain = Searcher::new(house.store.clone());
    let indexed = Searcher::indexed(house.store.clone(), folder.path().join("search"));
    indexed.catch_up(house.account).await.unwrap();
    for (word, place) in [
        ("AHORN", Some(0)),
        ("schenholz", Some(0)),
        ("notes.txt", Some(0)),
        ("linden & birch", Some(1)),
        ("live grov", Some(2)),
        ("cedar", Some(3)),
        ("poplar", Some(4)),
        ("willow", Some(5)),
        ("chestnut", Some(6)),
        ("deep.pdf", Some(6)),
        ("hidden", None),
        ("oak", None),
    ] {
        let needle = || Needle::new(word);
        let right: Vec<usize> = place.into_iter().collect();
        for query in [Query::anywhere(word), Query::BodyOrAttachment(needle()), Query::TextOrAttachment(needle())] {
            for searcher in [&plain, &indexed] {
                let found = searcher.mailbox(house.account, house.inbox, &rows, query.clone()).await.unwrap();
                assert_eq!(found, right, "{word}: {query:?}");
            }
        }
    }
}

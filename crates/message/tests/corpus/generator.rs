//! Messages as they come every day, from a seed: notes, newsletters, mailing lists, attachments, forwards, deep trees, 8-bit.
//!
//! Used by the tests of this crate and, by its path, by the benchmark in `tests/bench/mime`.
//! Invariant: the same seed gives the same octets.

/// xorshift64*.
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

const WORDS: [&str; 40] = [
    "the", "and", "meeting", "please", "attached", "report", "Monday", "budget", "we", "should", "look", "at", "it", "again",
    "before", "Friday", "thanks", "for", "your", "message", "delivery", "server", "update", "version", "patch", "review",
    "customer", "order", "number", "account", "will", "be", "sent", "to", "you", "by", "post", "office", "boat", "harbour",
];
const FOREIGN: [&str; 12] =
    ["Grüße", "Köln", "naïve", "façade", "señor", "日本語", "привет", "☺", "Ærø", "žluťoučký", "Ελλάδα", "שלום"];
const NAMES: [&str; 8] =
    ["Ann Miller", "Bob B. Brown", "Jörg Müller", "François Noël", "李小龍", "Support", "Doe, John", "no-reply"];

fn words(random: &mut Random, count: usize, foreign: bool) -> String {
    let mut out = String::new();
    for i in 0..count {
        if i > 0 {
            out.push(' ');
        }
        let word = if foreign && random.below(8) == 0 { random.pick(&FOREIGN) } else { random.pick(&WORDS) };
        out.push_str(word);
    }
    out
}

fn text(random: &mut Random, lines: usize, foreign: bool) -> String {
    let mut out = String::new();
    for _ in 0..lines {
        let count = 4 + random.below(9);
        out.push_str(&words(random, count, foreign));
        out.push_str(if random.below(6) == 0 { "\r\n\r\n" } else { "\r\n" });
    }
    out
}

fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(octets.len() * 4 / 3 + octets.len() / 28);
    for line in octets.chunks(57) {
        for three in line.chunks(3) {
            let bits =
                u32::from(three[0]) << 16 | u32::from(*three.get(1).unwrap_or(&0)) << 8 | u32::from(*three.get(2).unwrap_or(&0));
            for i in 0..4 {
                let digit = char::from(DIGITS[(bits >> (18 - 6 * i) & 63) as usize]);
                out.push(if i <= three.len() { digit } else { '=' });
            }
        }
        out.push_str("\r\n");
    }
    out
}

fn quoted_printable(text: &str) -> String {
    let mut out = String::new();
    for line in text.split("\r\n") {
        let mut column = 0;
        for byte in line.bytes() {
            if column > 70 {
                out.push_str("=\r\n");
                column = 0;
            }
            if (b' '..=b'~').contains(&byte) && byte != b'=' {
                out.push(char::from(byte));
                column += 1;
            } else {
                out.push_str(&format!("={byte:02X}"));
                column += 3;
            }
        }
        out.push_str("\r\n");
    }
    out
}

fn word(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut out = String::new();
    let chars: Vec<char> = text.chars().collect();
    for (i, piece) in chars.chunks(12).enumerate() {
        let piece: String = piece.iter().collect();
        out.push_str(if i > 0 { "\r\n =?utf-8?B?" } else { "=?utf-8?B?" });
        out.push_str(base64(piece.as_bytes()).trim_end());
        out.push_str("?=");
    }
    out
}

fn mailbox(random: &mut Random) -> String {
    let name = random.pick(&NAMES);
    let shown = if name.contains(',') { format!("\"{name}\"") } else { word(name) };
    format!("{shown} <user{}@mail{}.example.test>", random.below(1000), random.below(50))
}

fn header(random: &mut Random, foreign: bool, lines: &mut String) {
    for hop in 0..2 + random.below(4) {
        let id = random.next();
        lines.push_str(&format!(
            "Received: from relay{hop}.example.test (relay{hop}.example.test [192.0.2.{}])\r\n\tby mx{hop}.here.test (Packetboat) with ESMTPS id {id:016x}\r\n\tfor <ann@here.test>; Wed, 17 Jul 2024 02:23:{:02} +0000 (UTC)\r\n",
            random.below(255),
            random.below(60)
        ));
    }
    lines.push_str(&format!(
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.test; s=s1;\r\n\th=from:to:subject:date:message-id; bh={};\r\n\tb={}\r\n",
        base64(&random.next().to_le_bytes().repeat(4)).trim_end(),
        base64(&random.next().to_le_bytes().repeat(20)).trim_end().replace("\r\n", "\r\n\t ")
    ));
    let subject = words(random, 6, foreign);
    let (from, to) = (mailbox(random), mailbox(random));
    let cc: Vec<String> = (0..random.below(6)).map(|_| mailbox(random)).collect();
    lines.push_str(&format!("From: {from}\r\nTo: {to}\r\n"));
    if !cc.is_empty() {
        lines.push_str(&format!("Cc: {}\r\n", cc.join(",\r\n\t")));
    }
    let ids: Vec<String> = (0..random.below(5)).map(|_| format!("<{:x}@mail.example.test>", random.next())).collect();
    if let Some(last) = ids.last() {
        lines.push_str(&format!("In-Reply-To: {last}\r\nReferences: {}\r\n", ids.join("\r\n ")));
    }
    lines.push_str(&format!(
        "Subject: {}\r\nDate: {}, {} Jul 2024 02:{:02}:25 -0700\r\nMessage-ID: <{:x}.{:x}@mail.example.test>\r\nMIME-Version: 1.0\r\nX-Mailer: Program {}\r\n",
        word(&subject),
        random.pick(&["Mon", "Tue", "Wed", "Thu", "Fri"]),
        1 + random.below(28),
        random.below(60),
        random.next(),
        random.next(),
        random.below(20)
    ));
}

fn html(random: &mut Random, lines: usize) -> String {
    let mut out =
        String::from("<html><head><style>td { font-size: 14px; color: #333 }</style></head><body><table width=\"600\">\r\n");
    for _ in 0..lines {
        out.push_str(&format!(
            "<tr><td style=\"padding: 10px\"><a href=\"https://news.example.test/c/{:x}\"><img src=\"https://img.example.test/{:x}.png\"></a> {}</td></tr>\r\n",
            random.next(),
            random.next(),
            words(random, 14, true)
        ));
    }
    out.push_str("</table></body></html>\r\n");
    out
}

fn alternative(random: &mut Random, lines: usize, boundary: &str) -> String {
    let (plain, rich) = (text(random, lines, true), html(random, lines));
    format!(
        "Content-Type: multipart/alternative;\r\n boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}\r\n--{boundary}\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}\r\n--{boundary}--\r\n",
        quoted_printable(&plain),
        quoted_printable(&rich)
    )
}

fn attachment(random: &mut Random, bytes: usize, boundary: &str) -> String {
    let octets: Vec<u8> = (0..bytes.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect();
    let name = random.pick(&["report.pdf", "photo 1.jpg", "list.xlsx", "scan-0001.png"]);
    format!(
        "--{boundary}\r\nContent-Type: application/octet-stream; name=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment;\r\n filename=\"{name}\"; size={bytes}\r\n\r\n{}",
        base64(&octets)
    )
}

/// What a message is like.
pub const KINDS: [&str; 7] = ["note", "newsletter", "list", "attachment", "forward", "deep", "eight-bit"];

/// One message of that kind.
pub fn message(random: &mut Random, kind: &str) -> Vec<u8> {
    let mut out = String::new();
    header(random, kind != "note", &mut out);
    let boundary = format!("----=_Part_{:016x}", random.next());
    match kind {
        "note" => {
            out.push_str("Content-Type: text/plain; charset=us-ascii\r\n\r\n");
            let lines = 3 + random.below(12);
            out.push_str(&text(random, lines, false));
        }
        "newsletter" => {
            out.push_str("List-Unsubscribe: <https://news.example.test/u/1>,\r\n <mailto:u@news.example.test>\r\n");
            let lines = 40 + random.below(120);
            out.push_str(&alternative(random, lines, &boundary));
        }
        "list" => {
            out.push_str("List-Id: Boats <boats.lists.example.test>\r\nPrecedence: list\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
            let lines = 30 + random.below(200);
            let quoted = text(random, lines, true);
            for line in quoted.split("\r\n") {
                out.push_str("> ");
                out.push_str(line);
                out.push_str("\r\n");
            }
            out.push_str("-- \r\nthe end\r\n");
        }
        "attachment" => {
            out.push_str(&format!(
                "Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\nThis is a multipart message.\r\n--{boundary}\r\n"
            ));
            let lines = 5 + random.below(20);
            out.push_str(&alternative(random, lines, &format!("{boundary}.1")));
            for _ in 0..1 + random.below(3) {
                let bytes = 2_000 + random.below(250_000);
                out.push_str(&attachment(random, bytes, &boundary));
            }
            out.push_str(&format!("--{boundary}--\r\n"));
        }
        "forward" => {
            out.push_str(&format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n\r\nsee below\r\n--{boundary}\r\nContent-Type: message/rfc822\r\n\r\n"));
            let inner = random.pick(&["note", "newsletter"]);
            out.push_str(&String::from_utf8(message(random, inner)).unwrap_or_default());
            out.push_str(&format!("\r\n--{boundary}--\r\n"));
        }
        "deep" => {
            let depth = 3 + random.below(12);
            for level in 0..depth {
                out.push_str(&format!(
                    "Content-Type: multipart/mixed; boundary=\"{boundary}.{level}\"\r\n\r\n--{boundary}.{level}\r\nContent-Type: text/plain\r\n\r\n{}--{boundary}.{level}\r\n",
                    text(random, 3, false)
                ));
            }
            out.push_str("\r\ninnermost\r\n");
            for level in (0..depth).rev() {
                out.push_str(&format!("--{boundary}.{level}--\r\n"));
            }
        }
        _ => {
            out.push_str("Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
            let lines = 10 + random.below(60);
            let text = text(random, lines, false);
            let mut octets = out.into_bytes();
            octets.extend(text.bytes().enumerate().map(|(i, b)| if b == b'e' && i % 3 == 0 { 0xe9 } else { b }));
            return octets;
        }
    }
    out.into_bytes()
}

/// `count` messages, the kinds in the shares of an ordinary mailbox.
pub fn corpus(seed: u64, count: usize) -> Vec<Vec<u8>> {
    const SHARES: [usize; 20] = [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 5, 6, 6];
    let mut random = Random::new(seed);
    (0..count)
        .map(|_| {
            let kind = KINDS[SHARES[random.below(SHARES.len())]];
            message(&mut random, kind)
        })
        .collect()
}

/// Messages of `bytes` octets made to cost more than they weigh.
pub fn spiteful(bytes: usize) -> Vec<(&'static str, Vec<u8>)> {
    let filled = |start: &str, unit: &dyn Fn(usize) -> String| {
        let mut out = start.to_owned();
        let mut i = 0;
        while out.len() < bytes {
            out.push_str(&unit(i));
            i += 1;
        }
        out.into_bytes()
    };
    let nested = |i: usize| format!("Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n");
    let deep: String = (0..90).map(nested).collect();
    vec![
        ("nested multiparts", filled("", &nested)),
        ("lines of hyphens in nested multiparts", filled(&deep, &|i| format!("--b{}x\r\n", i % 90))),
        ("boundaries of nested multiparts", filled(&deep, &|i| format!("--b{}\r\n\r\n", 89 - i % 90))),
        (
            "closed and opened again",
            filled("Content-Type: multipart/mixed; boundary=a\r\n\r\n", &|_| "--a--\r\n--a\r\n\r\n".into()),
        ),
        ("parentheses", filled("To: ", &|_| "(".into())),
        ("quotes", filled("To: \"", &|_| "\\\"".into())),
        ("parentheses in a type", filled("Content-Type: text/plain; a=b", &|_| " (".into())),
        ("RFC 2231 pieces", filled("Content-Type: text/plain", &|i| format!(";\r\n name*{i}*=utf-8''%41"))),
        ("opened words", filled("Subject: ", &|_| "=?".into())),
        ("opened q words", filled("Subject: ", &|_| "=?utf-8?q?x".into())),
        ("words", filled("Subject: ", &|_| "=?utf-8?q?=E2=98?= ".into())),
        ("lines that are no fields", filled("", &|_| "x\r\n".into())),
        ("addresses", filled("To: ", &|i| format!("a b <c@d{i}.test>,"))),
        ("padding", filled("Content-Transfer-Encoding: base64\r\n\r\n", &|_| "QQ=".into())),
        ("equals signs", filled("Content-Transfer-Encoding: quoted-printable\r\n\r\n", &|_| "= ".into())),
    ]
}

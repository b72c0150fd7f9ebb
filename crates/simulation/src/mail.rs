//! The simulation's messages: each knows its number, and whoever finds it somewhere can read that off.
//!
//! Invariant: the number is in the header, so a bounce that quotes only the header still names it.

use crate::chance::Chance;

/// The field with the number of a message sent by SMTP or LMTP.
pub(crate) const NUMBER: &str = "X-Simulated: ";
/// The field with the number of a message that an IMAP client appended.
pub(crate) const OWN: &str = "X-Own: ";

/// A message's octets, and its body for comparison.
pub(crate) fn build(chance: &mut Chance, number: u64, from: &str, to: &str) -> Vec<u8> {
    let mut text = format!(
        "From: <{from}>\r\nTo: <{to}>\r\nSubject: number {number}\r\nDate: Fri, 15 Jan 2027 08:00:00 +0000\r\n\
         Message-ID: {}\r\n{NUMBER}{number};\r\n\r\n",
        message_id(number)
    );
    let lines = if chance.percent(4) { chance.from(100, 700) } else { chance.from(0, 12) };
    for line in 0..lines {
        match chance.from(0, 9) {
            0 => text.push_str(".\r\n"),
            1 => text.push_str("..dots\r\n"),
            2 => text.push_str("\r\n"),
            3 => text.push_str("gr\u{fc}\u{df}e in acht Bit\r\n"),
            _ => text.push_str(&format!("line {line} of {number}: {:016x}\r\n", chance.next())),
        }
    }
    text.into_bytes()
}

/// Its Message-ID.
pub(crate) fn message_id(number: u64) -> String {
    format!("<sim{number}@people.test>")
}

/// The number behind `field` where it first stands in these octets.
pub(crate) fn number_in(octets: &[u8], field: &str) -> Option<u64> {
    let at = octets.windows(field.len()).position(|window| window == field.as_bytes())? + field.len();
    let digits: Vec<u8> = octets.get(at..)?.iter().copied().take_while(u8::is_ascii_digit).collect();
    String::from_utf8(digits).ok()?.parse().ok()
}

/// What the message says, whatever encoding it travelled in (a server without 8BITMIME gets another).
pub(crate) fn content_of(octets: &[u8]) -> Vec<u8> {
    message::parse(octets).root().content().into_owned()
}

/// Addresses that a report says have failed; empty when it is no report of failure.
pub(crate) fn failed_in(octets: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(octets);
    let blocks = text.split("Final-Recipient: ").skip(1).filter_map(|block| {
        let end = block.find("\r\n\r\n").unwrap_or(block.len());
        let block = block.get(..end)?;
        let address = block.lines().next()?.rsplit(';').next()?.trim().to_owned();
        block.contains("Action: failed").then_some(address)
    });
    blocks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_found() {
        let octets = build(&mut Chance::new(1, "mail", 0), 42, "a@x.test", "b@y.test");
        assert_eq!(number_in(&octets, NUMBER), Some(42));
        assert_eq!(number_in(&octets, OWN), None);
        let report = b"x\r\n\r\nReporting-MTA: dns; a\r\n\r\nFinal-Recipient: rfc822; b@y.test\r\nAction: failed\r\n\r\n\
            Final-Recipient: rfc822; c@y.test\r\nAction: delayed\r\n\r\n";
        assert_eq!(failed_in(report), ["b@y.test"]);
        assert_eq!(content_of(b"a: b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nbody=3D"), b"body=");
    }
}

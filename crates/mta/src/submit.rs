//! What a submitted message needs before it leaves (RFC 6409 §6 and §8): Date, Message-ID, From, no Bcc; and whose name it may bear.
//!
//! Invariant: nobody writes under an address that is not theirs, neither in MAIL FROM nor in From; fields that stay are
//! not changed by an octet. Must not know: clocks, randomness (both are arguments), sessions.

use crate::header_gate::has_header;
use crate::limits::FROM_ADDRESSES_MAX;
use crate::receive::Place;
use crate::refusal::{Refusal, clean, of_store_error};
use message::header::{fields, header_end};
use store::{Account, UnixSecs};

/// What the fixes need to know.
#[derive(Debug, Clone, Copy)]
pub struct Fix<'a> {
    /// Now.
    pub now_secs: UnixSecs,
    /// Unique, for a missing Message-ID.
    pub id: &'a str,
    /// Our name, for a missing Message-ID.
    pub hostname: &'a str,
    /// For a missing From: the reverse-path, or the account's own address when that is null.
    pub author: &'a str,
}

/// May this account use `reverse_path` in MAIL? The null one it may (RFC 8098 §3: notifications have it).
pub async fn check_sender(place: &Place<'_>, account: &Account, reverse_path: &str) -> Result<(), Refusal> {
    if reverse_path.is_empty() {
        return Ok(());
    }
    owned(place, account, reverse_path, "MAIL FROM").await
}

/// May this account send a message with this header? Every From address must be its own.
pub async fn check_author(place: &Place<'_>, account: &Account, header: &[u8]) -> Result<(), Refusal> {
    for address in from_addresses(header)? {
        owned(place, account, &address, "From").await?;
    }
    Ok(())
}

async fn owned(place: &Place<'_>, account: &Account, address: &str, what: &str) -> Result<(), Refusal> {
    match place.owns(account, address).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            let text = format!("{what} <{}> is neither your address nor an alias of yours ({})", clean(address), account.address);
            Err(Refusal::new(550, (5, 7, 1), text))
        }
        Err(error) => Err(of_store_error(&error, address)),
    }
}

/// All addresses of all From fields. A From nobody can read is refused: it would be a way around the rule.
fn from_addresses(header: &[u8]) -> Result<Vec<String>, Refusal> {
    let mut found = Vec::new();
    for field in fields(header).filter(|field| field.is("From")) {
        let value = field.value();
        if value.is_empty() {
            continue;
        }
        let before = found.len();
        found.extend(addresses(&value));
        if found.len() == before {
            return Err(Refusal::new(550, (5, 6, 0), "The From field has no address"));
        }
    }
    if found.len() > FROM_ADDRESSES_MAX {
        return Err(Refusal::new(550, (5, 6, 0), format!("More than {FROM_ADDRESSES_MAX} addresses in From")));
    }
    Ok(found)
}

/// `local@domain` of every mailbox of an address list, those in groups too.
fn addresses(value: &[u8]) -> Vec<String> {
    let list = message::address_list::parse(value);
    list.iter().filter_map(message::address_list::HeaderAddress::address).filter(|address| address.contains('@')).collect()
}

/// The header section mended; `head` may have some body behind it.
pub fn mend(head: &[u8], fix: &Fix<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len() + 256);
    if !has_header(head) && !head.starts_with(b"\r\n") {
        // Bare text: all of it is body.
        add_missing(&mut out, &[], fix);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(head);
        return out;
    }
    let end = header_end(head);
    let (header, body) = head.split_at_checked(end).unwrap_or((head, b""));
    add_missing(&mut out, header, fix);
    let mut at = 0;
    for field in fields(header).filter(|field| leaves_out(field)) {
        out.extend_from_slice(header.get(at..field.start).unwrap_or_default());
        at = field.end;
    }
    out.extend_from_slice(header.get(at..).unwrap_or_default());
    out.extend_from_slice(body);
    out
}

/// Bcc (RFC 5322 §3.6.3), its resent twin, a Return-Path that only final delivery writes, and empty fields that are replaced.
fn leaves_out(field: &message::header::Field<'_>) -> bool {
    let replaced = ["From", "Date", "Message-ID"].iter().any(|name| field.is(name)) && field.value().is_empty();
    replaced || ["Bcc", "Resent-Bcc", "Return-Path"].iter().any(|name| field.is(name))
}

fn add_missing(out: &mut Vec<u8>, header: &[u8], fix: &Fix<'_>) {
    let has = |name: &str| fields(header).any(|field| field.is(name) && !field.value().is_empty());
    if !has("Date") {
        out.extend_from_slice(format!("Date: {}\r\n", message::date::format_rfc_5322(fix.now_secs)).as_bytes());
    }
    if !has("Message-ID") {
        out.extend_from_slice(format!("Message-ID: <{}@{}>\r\n", fix.id, fix.hostname).as_bytes());
    }
    if !has("From") {
        out.extend_from_slice(format!("From: <{}>\r\n", fix.author).as_bytes());
    }
}

/// The header section of mail from elsewhere, as final delivery keeps it: earlier Return-Path fields out (RFC 5321 §4.4).
/// Refused when it has been through too many servers.
pub fn strip(head: &[u8]) -> Result<Vec<u8>, Refusal> {
    let end = header_end(head);
    let (header, body) = head.split_at_checked(end).unwrap_or((head, b""));
    if fields(header).filter(|field| field.is("Received")).count() > crate::limits::RECEIVED_FIELDS_MAX {
        return Err(Refusal::loop_found());
    }
    let mut out = Vec::with_capacity(head.len());
    let mut at = 0;
    for field in fields(header).filter(|field| field.is("Return-Path")) {
        out.extend_from_slice(header.get(at..field.start).unwrap_or_default());
        at = field.end;
    }
    out.extend_from_slice(header.get(at..).unwrap_or_default());
    out.extend_from_slice(body);
    Ok(out)
}

/// Does the header section have octets outside US-ASCII (RFC 6532)?
pub fn header_needs_utf8(head: &[u8]) -> bool {
    !head.get(..header_end(head)).unwrap_or(head).is_ascii()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const FIX: Fix<'static> = Fix { now_secs: 0, id: "q1", hostname: "here.test", author: "ann@here.test" };

    fn mended(head: &str) -> String {
        String::from_utf8(mend(head.as_bytes(), &FIX)).unwrap()
    }

    #[test]
    fn what_is_missing_is_added_on_top() {
        assert_eq!(
            mended("Subject: hi\r\n\r\nbody\r\n"),
            "Date: Thu, 1 Jan 1970 00:00:00 +0000\r\nMessage-ID: <q1@here.test>\r\nFrom: <ann@here.test>\r\nSubject: hi\r\n\r\nbody\r\n"
        );
    }

    #[test]
    fn a_whole_header_stays_as_it_is() {
        let whole = "From: Ann <ann@here.test>\r\nDate: Mon, 2 Jan 2006 15:04:05 -0700\r\nSender: bob@here.test\r\nmessage-id:\r\n <x@y>\r\n\r\nbody";
        assert_eq!(mended(whole), whole);
    }

    #[test]
    fn bcc_goes_with_its_folding() {
        let with = "From: a@b\r\nBcc: c@d,\r\n e@f\r\nDate: x\r\nMessage-ID: <x@y>\r\nBCC: z@z\r\nTo: t@t\r\n\r\nBcc: stays";
        assert_eq!(mended(with), "From: a@b\r\nDate: x\r\nMessage-ID: <x@y>\r\nTo: t@t\r\n\r\nBcc: stays");
    }

    #[test]
    fn bare_text_becomes_a_body() {
        assert!(
            mended("Hello there\r\nSubject: not one\r\n\r\nmore")
                .ends_with("\r\n\r\nHello there\r\nSubject: not one\r\n\r\nmore")
        );
        assert!(mended("\r\nbody only").ends_with("From: <ann@here.test>\r\n\r\nbody only"));
        assert!(mended("").ends_with("From: <ann@here.test>\r\n\r\n"));
    }

    #[test]
    fn all_from_addresses_are_looked_at() {
        assert_eq!(from_addresses(b"From: Ann <ann@here.test>\r\n\r\n").unwrap(), ["ann@here.test"]);
        assert_eq!(
            from_addresses(b"From: a@b.test, \"x\" <c@d.test>\r\nFROM: e@f.test\r\n\r\n").unwrap(),
            ["a@b.test", "c@d.test", "e@f.test"]
        );
        assert_eq!(from_addresses(b"Subject: x\r\n\r\nFrom: no@no.test").unwrap(), Vec::<String>::new());
        assert_eq!(from_addresses(b"From: nobody\r\n\r\n").unwrap_err().code, 550);
    }

    #[test]
    fn strip_takes_return_paths_and_counts_hops() {
        assert_eq!(
            strip(b"Return-Path: <a@b>\r\nReceived: x\r\n\r\nReturn-Path: body").unwrap(),
            b"Received: x\r\n\r\nReturn-Path: body"
        );
        let mut head = b"Received: x\r\n".repeat(100);
        head.extend_from_slice(b"\r\nbody");
        assert_eq!(strip(&head).unwrap(), head);
        let mut head = b"Received: x\r\n".repeat(101);
        head.extend_from_slice(b"\r\nbody");
        assert_eq!(strip(&head).unwrap_err().enhanced, (5, 4, 6));
    }
}

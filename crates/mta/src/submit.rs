//! What a submitted message needs before it leaves (RFC 6409 §6 and §8): Date, Message-ID, From, no Bcc; and whose name it may bear.
//!
//! Invariant: nobody writes under an address that is not theirs, neither in MAIL FROM nor in From; fields that stay are
//! not changed by an octet. Must not know: clocks, randomness (both are arguments), sessions.

use crate::header_gate::has_header;
use crate::limits::FROM_ADDRESSES_MAX;
use crate::receive::Place;
use crate::refusal::{Refusal, clean, of_store_error};
use crate::trace_fields::written;
use message::address_list::HeaderAddress;
use message::header::{fields, header_end};
use std::sync::Arc;
use store::{Account, UnixSecs};
use trust::dkim::sign::Signer;
use trust::dkim::signature::Signature;

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

/// May this account send a message with this header? Every From address must be its own, and every one in the fields
/// that say who acts for the author (RFC 5322 §3.6.2, §3.6.6), unless `foreign_sender`: RFC 6409 §8.1 would let us replace
/// what stands there, but a message says what its author wrote or does not leave.
pub async fn check_author(place: &Place<'_>, account: &Account, header: &[u8], foreign_sender: bool) -> Result<(), Refusal> {
    let names: &[&str] = if foreign_sender { &["From"] } else { &["From", "Sender", "Resent-From", "Resent-Sender"] };
    if has_disguised(names, header) {
        return Err(unreadable(format!("A field that is nearly {} stands in the header", names.join(" or "))));
    }
    for name in names {
        for address in addresses_of(header, name)? {
            owned(place, account, &address, name).await?;
        }
    }
    Ok(())
}

/// A message sent on as it is (RFC 5322 §3.6.6): the first block of Resent fields says by whom, and that is this account.
/// Its author is another, and nothing of theirs is looked at.
pub async fn check_resent(place: &Place<'_>, account: &Account, header: &[u8]) -> Result<(), Refusal> {
    for (name, address) in resenders(header)? {
        owned(place, account, &address, name).await?;
    }
    Ok(())
}

/// The author (or whoever sends it on) is `address`, which is the account's somewhere else.
pub fn check_elsewhere(address: &str, header: &[u8], resent: bool) -> Result<(), Refusal> {
    let named = if resent {
        resenders(header)?
    } else {
        if has_disguised(&["From", "Sender"], header) {
            return Err(unreadable("A field that is nearly From or Sender stands in the header"));
        }
        let of = |name: &'static str| Ok(addresses_of(header, name)?.into_iter().map(move |address| (name, address)));
        of("From")?.chain(of("Sender")?).collect()
    };
    match named.into_iter().find(|(_, named)| store::normalise(named) != store::normalise(address)) {
        None => Ok(()),
        Some((name, other)) => {
            let text = format!("{name} <{}> is neither your address nor the one you send as ({address})", clean(&other));
            Err(Refusal::new(550, (5, 7, 1), text))
        }
    }
}

/// Who sends it on, by the block of Resent fields that it must begin with; blocks of others stand below that.
fn resenders(header: &[u8]) -> Result<Vec<(&'static str, String)>, Refusal> {
    let is_resent = |name: &[u8]| name.len() > 7 && name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"Resent-"));
    let block: Vec<_> = fields(header).take_while(|field| is_resent(field.name)).collect();
    let end = block.last().map_or(0, |field| field.end);
    let ours = header.get(..end).unwrap_or_default();
    if has_disguised(&["Resent-From", "Resent-Sender", "Resent-Date"], ours) {
        return Err(unreadable("A field that is nearly Resent-From stands in the header"));
    }
    let mut named: Vec<(&'static str, String)> = Vec::new();
    for name in ["Resent-From", "Resent-Sender"] {
        named.extend(addresses_of(ours, name)?.into_iter().map(|address| (name, address)));
    }
    let has = |name: &str| block.iter().any(|field| field.is(name));
    if !named.iter().any(|(name, _)| *name == "Resent-From") || !has("Resent-Date") {
        return Err(unreadable("What is sent on begins with Resent-From and Resent-Date"));
    }
    Ok(named)
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

/// All addresses of all fields of that name. One nobody can read is refused, and so is one that different programs may
/// read differently: both would be ways around the rule.
fn addresses_of(header: &[u8], name: &str) -> Result<Vec<String>, Refusal> {
    let mut found = Vec::new();
    for field in fields(header).filter(|field| field.is(name)) {
        let value = field.value();
        if value.is_empty() {
            continue;
        }
        let list = message::address_list::parse(&value);
        let mailboxes = list.iter().filter(|entry| matches!(entry, HeaderAddress::Mailbox { .. })).count();
        if mailboxes == 0 {
            return Err(unreadable(format!("The {name} field has no address")));
        }
        // Before the list's own limit, behind which an address would not be looked at.
        if list.len() > FROM_ADDRESSES_MAX {
            return Err(too_many(name));
        }
        found.extend(list.iter().filter_map(HeaderAddress::address));
        found.extend(
            seen_addresses(&value).ok_or_else(|| unreadable(format!("The {name} field can be read in more than one way")))?,
        );
    }
    if found.iter().any(|address| !address.contains('@')) {
        return Err(unreadable(format!("An entry of the {name} field has no address")));
    }
    found.sort_unstable();
    found.dedup();
    if found.len() > FROM_ADDRESSES_MAX { Err(too_many(name)) } else { Ok(found) }
}

fn too_many(name: &str) -> Refusal {
    unreadable(format!("More than {FROM_ADDRESSES_MAX} addresses in {name}"))
}

fn unreadable(text: impl Into<String>) -> Refusal {
    Refusal::new(550, (5, 6, 0), text)
}

/// A line whose name is one of these only for who overlooks control characters or octets beyond ASCII in it, or takes for a
/// field what is none to us (`From://`).
fn has_disguised(names: &[&str], header: &[u8]) -> bool {
    lines_to_the_empty_one(header).any(|line| {
        let Some(colon) = line.iter().position(|octet| *octet == b':') else { return false };
        let name = line.get(..colon).unwrap_or_default();
        let seen: Vec<u8> = name.iter().copied().filter(u8::is_ascii_graphic).collect();
        let folded = name.first().is_some_and(|octet| matches!(octet, b' ' | b'\t'));
        let Some(wanted) = names.iter().find(|wanted| seen.eq_ignore_ascii_case(wanted.as_bytes())) else { return false };
        !folded && !fields(line).any(|field| field.start == 0 && field.is(wanted))
    })
}

/// The lines down to the empty one. What our parser takes for the body because it is no field ([`header_end`]), another may take
/// for a field: nothing is judged by our reading alone.
fn lines_to_the_empty_one(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|octet| *octet == b'\n').take_while(|line| !matches!(*line, b"" | b"\r"))
}

/// Everything that looks like `local@domain` outside quoted strings and comments, also where the grammar sees a display name
/// or nothing at all: another program may take just that for the author. `None`: an at sign that belongs to nothing.
fn seen_addresses(value: &[u8]) -> Option<Vec<String>> {
    let mut words = vec![Vec::new()];
    let (mut quoted, mut depth, mut escaped) = (false, 0u32, false);
    for &octet in value {
        let start = std::mem::take(&mut escaped);
        match octet {
            // Behind a backslash; outside quotes and comments it means nothing.
            _ if start => {}
            b'\\' if quoted || depth > 0 => escaped = true,
            b'"' if depth == 0 => {
                quoted = !quoted;
                // A quoted local part must not leave its at sign alone.
                words.last_mut()?.push(b'"');
            }
            _ if quoted => {}
            b'(' => {
                depth += 1;
                words.push(Vec::new());
            }
            b')' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            b'<' | b'>' | b',' | b';' | b':' | b'\\' | 0..=b' ' | 0x7f => words.push(Vec::new()),
            _ => words.last_mut()?.push(octet),
        }
    }
    let mut found = Vec::new();
    for word in words.iter().filter(|word| word.contains(&b'@')) {
        let word = std::str::from_utf8(word).ok()?;
        let (local, domain) = word.split_once('@')?;
        if local.is_empty() || domain.is_empty() || domain.contains('@') {
            return None;
        }
        // What a quoted local part says the grammar told already.
        if !local.contains('"') {
            found.push(word.to_owned());
        }
    }
    Some(found)
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
        out.extend_from_slice(format!("From: <{}>\r\n", written(fix.author)).as_bytes());
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

/// The DKIM-Signature fields for a message as it will leave (RFC 6376 §5): by the keys of the domain of its first author. Whatever
/// changes the message must have happened before.
pub fn sign(message: &[u8], now_secs: UnixSecs, keys: impl FnOnce(&str) -> Vec<Arc<Signer>>) -> String {
    let (header, body) = message.split_at_checked(header_end(message)).unwrap_or((message, b""));
    let Some(author) = trust::dmarc::authors(header).into_iter().next() else { return String::new() };
    let signers = keys(&author);
    let signers: Vec<&Signer> = signers.iter().map(Arc::as_ref).collect();
    if signers.is_empty() { String::new() } else { trust::dkim::sign::sign(header, body, &signers, now_secs) }
}

/// The message without the DKIM-Signature fields of domains that are `ours`.
pub fn unsigned(message: &[u8], ours: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    let mut at = 0;
    for field in fields(message).filter(|field| field.is("DKIM-Signature")) {
        if Signature::parse(&field).is_ok_and(|signature| ours(&signature.domain)) {
            out.extend_from_slice(message.get(at..field.start).unwrap_or_default());
            at = field.end;
        }
    }
    out.extend_from_slice(message.get(at..).unwrap_or_default());
    out
}

/// Does the header section have octets outside US-ASCII (RFC 6532)? As the next server may see it: down to the empty line.
pub fn header_needs_utf8(head: &[u8]) -> bool {
    lines_to_the_empty_one(head).any(|line| !line.is_ascii())
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

    fn from_addresses(header: &[u8]) -> Result<Vec<String>, Refusal> {
        if has_disguised(&["From"], header) { Err(unreadable("disguised")) } else { addresses_of(header, "From") }
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
    fn no_reading_of_from_hides_an_address() {
        let all = |from: &str| from_addresses(format!("From: {from}\r\n\r\n").as_bytes());
        for forged in [
            "<ann@here.test> <evil@bank.test>",
            "<evil@bank.test> <ann@here.test>",
            "evil@bank.test <ann@here.test>",
            "\"x\" <ann@here.test>evil@bank.test",
            "evil@bank.test\\ <ann@here.test>",
            "\"a\" evil@bank.test <ann@here.test>",
            "(c) evil@bank.test (d) <ann@here.test>",
        ] {
            let found = all(forged).map(|found| found.iter().any(|address| address.contains("evil@bank.test")));
            assert!(found.unwrap_or(true), "{forged}");
        }
        for unreadable in [
            "=?utf-8?q?evil=40bank.test?=, ann@here.test",
            "ann@here.test, root",
            "<@bank.test:ann@here.test>",
            "ann @ here.test",
            &format!("ann@here.test{}, evil@bank.test", ", a@b".repeat(10_050)),
            &format!("ann@here.test, {} evil@bank.test", "a:;,".repeat(5_050)),
        ] {
            assert_eq!(all(unreadable).unwrap_err().enhanced, (5, 6, 0), "{}", unreadable.get(..40).unwrap_or(unreadable));
        }
        let many: String = (0..101).map(|n| format!("From: ann+{n}@here.test\r\n")).collect();
        assert_eq!(from_addresses(many.as_bytes()).unwrap_err().enhanced, (5, 6, 0), "in many fields");
        for (plain, want) in [
            ("ann@here.test <ann@here.test>", "ann@here.test"),
            ("\"evil@bank.test\" <ann@here.test>", "ann@here.test"),
            ("=?utf-8?q?evil=40bank.test?= <ann@here.test>", "ann@here.test"),
            ("ann@here.test (\"Ann\" :-)", "ann@here.test"),
            ("\"ann b\"@here.test", "ann b@here.test"),
            ("Ann: ann@here.test;", "ann@here.test"),
            ("ann@here.test,", "ann@here.test"),
        ] {
            assert_eq!(all(plain).unwrap(), [want], "{plain}");
        }
    }

    #[test]
    fn a_field_that_others_may_take_for_from_is_refused() {
        for disguised in ["\x0bFrom: a@b", "Fr\0om: a@b", "From\x01: a@b", "Fro\u{e9}m: a@b", "From://x <a@b>", "From\t:// <a@b>"]
        {
            let header = format!("From: ann@here.test\r\n{disguised}\r\n\r\n");
            assert_eq!(from_addresses(header.as_bytes()).unwrap_err().enhanced, (5, 6, 0), "{disguised:?}");
            // Also where our own reading sees the body already.
            let header = format!("From: ann@here.test\r\nno field\r\n{disguised}\r\n\r\n");
            assert_eq!(from_addresses(header.as_bytes()).unwrap_err().enhanced, (5, 6, 0), "{disguised:?} behind a line");
            let sender = header.replace("From", "Resent-Sender");
            assert!(has_disguised(&["From", "Resent-Sender"], sender.as_bytes()), "{sender:?}");
        }
        assert!(from_addresses(b"From : ann@here.test\r\nSubject: x\r\n from: y\r\nX-From: z\r\n\r\n\x0bFrom: body").is_ok());
    }

    #[test]
    fn an_added_from_cannot_be_broken_out_of() {
        let fix = Fix { author: "ann+x>, <evil@bank.test>, <a@here.test", ..FIX };
        let head = mend(b"Subject: hi\r\n\r\n", &fix);
        let from = message::header::first(&head, "From").unwrap().value();
        let list = message::address_list::parse(&from);
        assert_eq!(list.len(), 1);
        assert_eq!(list[0].address().as_deref(), Some(fix.author));
    }

    #[test]
    fn lines_that_are_no_fields_hide_nothing() {
        // Our reading lets the body begin at a line behind which no field comes; others read on to the empty line.
        let noise = "From: ann@here.test\r\nDate: x\r\nMessage-ID: <x@y>\r\nno field\r\n";
        let with = |more: &str| format!("{noise}{more}\r\nbody");
        assert_eq!(mended(&with("Bcc: c@d\r\n")), with(""));
        assert_eq!(mended(&with("\x0bFrom: a@b\r\n")), with("\x0bFrom: a@b\r\n"), "refused before, and never moved");
        assert_eq!(strip(with("Return-Path: <a@b>\r\n").as_bytes()).unwrap(), with("").as_bytes());
        assert_eq!(strip(with(&"Received: x\r\n".repeat(101)).as_bytes()).unwrap_err().enhanced, (5, 4, 6));
        assert!(header_needs_utf8(with("Gr\u{fc}\u{df}e\r\n").as_bytes()));
        assert!(header_needs_utf8(with("Subject: \u{fc}\r\n").as_bytes()));
        assert!(!header_needs_utf8(format!("{noise}\r\nGr\u{fc}\u{df}e").as_bytes()));
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

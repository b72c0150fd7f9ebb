//! IMAP's grammar: commands, responses, names, sets, SEARCH, FETCH, patterns. What is read is written and read the same.

use crate::pieces::take;
use wire::imap::encoder::Literals;
use wire::imap::limits;
use wire::imap::list::matches;
use wire::imap::mailbox_name::{decode_utf7, encode_utf7};
use wire::imap::response::{Response, ServerLine};
use wire::imap::select::Select;
use wire::imap::sequence_set::SeqNumber;
use wire::imap::url::ImapUrl;
use wire::imap::{Code, Command, Cursor, Encoder, MailboxName, NumberSet, SequenceSet};

fn written(command: &Command, utf8: bool) -> Vec<u8> {
    let mut e = Encoder::client(Literals::Plus, utf8);
    command.encode(&mut e);
    e.bytes
}

/// Reads a command; what it means survives being written.
fn both_ways(text: &[u8], utf8: bool) -> Option<Command> {
    let command = Command::parse(&mut Cursor::with_utf8(text, utf8)).ok()?;
    let bytes = written(&command, utf8);
    let again = Command::parse(&mut Cursor::with_utf8(&bytes, utf8));
    assert_eq!(again.as_ref(), Ok(&command), "{}", bytes.escape_ascii());
    Some(command)
}

/// Any command but APPEND, whose octets only a session takes.
pub(crate) fn imap_command(data: &[u8]) {
    let ([utf8], text) = take(data);
    both_ways(text, utf8 & 1 != 0);
}

/// One line of a server, with its literals.
pub(crate) fn imap_response(data: &[u8]) {
    let ([flags], text) = take(data);
    let utf8 = flags & 1 != 0;
    let Ok(line) = ServerLine::parse(&mut Cursor::with_utf8(text, utf8)) else { return };
    let ServerLine::Untagged(response) = line else { return };
    let encode = |response: &Response| {
        let mut e = Encoder::server(Vec::new(), utf8);
        response.encode(&mut e);
        e.bytes
    };
    let bytes = encode(&response);
    let again = Response::parse(&mut Cursor::with_utf8(&bytes, utf8));
    match &response {
        // Controls in its text become blanks.
        Response::Condition(status) => {
            let breaks = bytes.iter().any(|octet| matches!(octet, b'\r' | b'\n'));
            assert!(!breaks || status.code.is_some(), "{}", bytes.escape_ascii());
            let Ok(Response::Condition(again)) = again else { panic!("{} is read as {again:?}", bytes.escape_ascii()) };
            assert_eq!(again.kind, status.kind);
            // What is not understood is kept as text, which may be understood once its controls are blanks.
            let code_like = status.text.trim_start_matches(|c: char| c.is_control() || c == ' ').starts_with('[');
            let vague = matches!(status.code, Some(Code::Other { .. })) || (status.code.is_none() && code_like);
            assert!(vague || again.code == status.code, "{again:?}");
        }
        // A name that is no name is kept as it is written, which another writing does not give back.
        Response::List(_) | Response::Status(_) | Response::Namespace(_) => {
            let Ok(again) = again else { panic!("{} is not read", bytes.escape_ascii()) };
            let third = Response::parse(&mut Cursor::with_utf8(&encode(&again), utf8));
            // Nor is one that is too long a name: it gets longer with each writing.
            if bytes.len() <= limits::MAILBOX_NAME_BYTES_MAX / 2 {
                assert_eq!(third.as_ref(), Ok(&again), "{}", bytes.escape_ascii());
            }
        }
        _ => assert_eq!(again.as_ref(), Ok(&response), "{}", bytes.escape_ascii()),
    }
}

/// Names in both spellings.
pub(crate) fn imap_mailbox_name(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let wire = encode_utf7(&text);
    assert!(wire.bytes().all(|octet| (b' '..=b'~').contains(&octet)), "{wire:?}");
    assert_eq!(decode_utf7(&wire).as_deref(), Some(&*text));
    if let Some(name) = decode_utf7(&text) {
        assert_eq!(decode_utf7(&encode_utf7(&name)), Some(name));
    }
    let name = MailboxName::new(&text);
    let good = !text.is_empty() && text.len() <= limits::MAILBOX_NAME_BYTES_MAX && !text.contains(char::is_control);
    for utf8 in [false, true] {
        let select = Command::Select(Select::plain(name.clone(), false));
        let bytes = written(&select, utf8);
        let read = Command::parse(&mut Cursor::with_utf8(&bytes, utf8));
        if good {
            assert_eq!(read.as_ref(), Ok(&select), "{}", bytes.escape_ascii());
        } else if let Ok(Command::Select(read)) = read {
            assert!(!read.mailbox.as_str().contains(char::is_control));
        }
        both_ways(&[b"LIST \"\" ", data].concat(), utf8);
        both_ways(&[b"STATUS ", data].concat(), utf8);
    }
}

/// A set of numbers: as written, and as known ranges.
pub(crate) fn imap_sequence_set(data: &[u8]) {
    let ([max], text) = take(data);
    let Some(Command::Expunge { uids: Some(set) }) = both_ways(&[b"UID EXPUNGE ", text].concat(), false) else { return };
    let max = u32::from(max);
    let known = set.resolve(max);
    sound(&known);
    let SequenceSet::Ranges(ranges) = &set else {
        assert!(known.is_empty() && set.is_saved());
        return;
    };
    let value = |n: SeqNumber| match n {
        SeqNumber::Number(n) => n,
        SeqNumber::Star => max,
    };
    let named = |number: u32| ranges.iter().any(|&(a, b)| (value(a).min(value(b))..=value(a).max(value(b))).contains(&number));
    for number in (1..300).chain([u32::MAX - 1, u32::MAX]) {
        assert_eq!(known.contains(number), named(number), "{number} in {set:?}");
    }
    let sorted: Vec<u32> = (1..200).step_by(3).collect();
    let found: Vec<usize> = known.indexes_in(&sorted, |n| *n).collect();
    let want: Vec<usize> = (0..sorted.len()).filter(|at| known.contains(sorted[*at])).collect();
    assert_eq!(found, want);
    if !known.is_empty() {
        assert_eq!(known.to_sequence_set().resolve(0), known);
    }
    let few: Vec<u32> = known.iter().take(300).collect();
    let collected: NumberSet = few.iter().rev().copied().collect();
    sound(&collected);
    assert!(collected.iter().eq(few.iter().copied()));
    let mut inserted = NumberSet::new();
    few.iter().for_each(|number| inserted.insert(*number));
    assert_eq!(inserted, collected);
}

fn sound(set: &NumberSet) {
    assert!(set.ranges().iter().all(|&(first, last)| 1 <= first && first <= last));
    assert!(set.ranges().windows(2).all(|pair| pair[0].1 < u32::MAX && pair[0].1 + 1 < pair[1].0), "{set:?}");
    assert_eq!((set.first(), set.last()), (set.ranges().first().map(|r| r.0), set.ranges().last().map(|r| r.1)));
    assert_eq!(set.is_empty(), set.count() == 0);
}

/// SEARCH's keys.
pub(crate) fn imap_search(data: &[u8]) {
    let ([flags], text) = take(data);
    let head: &[u8] = if flags & 1 != 0 { b"UID SEARCH " } else { b"SEARCH " };
    if let Some(Command::Search(search)) = both_ways(&[head, text].concat(), flags & 2 != 0) {
        assert!(search.uid == (flags & 1 != 0) && !search.keys.is_empty());
        let _ = search.charset_supported();
    }
}

/// FETCH's items, and STORE on the way.
pub(crate) fn imap_fetch(data: &[u8]) {
    let ([flags], text) = take(data);
    let head: &[u8] = match flags & 3 {
        0 => b"FETCH ",
        1 => b"UID FETCH ",
        2 => b"STORE ",
        _ => b"UID STORE ",
    };
    if let Some(Command::Fetch(fetch)) = both_ways(&[head, text].concat(), false) {
        assert!(fetch.uid == (flags & 1 != 0) && !fetch.items.is_empty() && fetch.items.len() <= limits::LIST_ITEMS_MAX);
    }
}

/// LIST's wildcards against a slow and simple way to say the same.
pub(crate) fn imap_list_pattern(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (pattern, name) = text.split_once('\n').unwrap_or((&text, "INBOX/a"));
    let pattern: String = pattern.chars().take(40).collect();
    let name: String = name.chars().take(40).collect();
    both_ways(format!("LIST \"\" \"{pattern}\"").as_bytes(), true);
    if name.to_ascii_uppercase().starts_with("INBOX") {
        let _ = matches(&pattern, &name, '/');
        return;
    }
    let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    assert_eq!(matches(&pattern, &name, '/'), slow(&p, &n), "{pattern:?} {name:?}");
}

/// Which ends of `name` the pattern reaches, from its back.
fn slow(pattern: &[char], name: &[char]) -> bool {
    let mut good: Vec<bool> = (0..=name.len()).map(|at| at == name.len()).collect();
    for wanted in pattern.iter().rev() {
        good = (0..=name.len())
            .map(|at| match wanted {
                '*' => good[at..].iter().any(|g| *g),
                '%' => (at..=name.len()).take_while(|end| !name[at..*end].contains(&'/')).any(|end| good[end]),
                c => name.get(at) == Some(c) && good[at + 1],
            })
            .collect();
    }
    good[0]
}

/// A URL as CATENATE and URLFETCH take it: what is signed and the token behind it are the whole text.
pub(crate) fn imap_url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some(url) = ImapUrl::parse(&text) else { return };
    assert!(url.uid > 0 && url.text == text);
    assert_eq!(url.access.is_some(), url.rump().is_some());
    if let (Some(access), Some(rump)) = (&url.access, url.rump()) {
        let token = access.authorization.as_ref().map(|(mechanism, token)| format!(":{mechanism}:{token}"));
        assert_eq!(format!("{rump}{}", token.unwrap_or_default()), text);
    }
}

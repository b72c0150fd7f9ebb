//! SMTP's grammar: commands, paths, replies, EHLO's offers, and the message on the wire.

use crate::pieces::{pieces, take};
use std::borrow::Cow;
use wire::limits::smtp as limits;
use wire::smtp::command::{self, Command, Rules};
use wire::smtp::data::{Decoder, Encoder, LineEnds};
use wire::smtp::ehlo::Offers;
use wire::smtp::parameter::{self, Offered};
use wire::smtp::path::{self, ForwardPath};
use wire::smtp::reply::{self, NoReply};
use wire::smtp::{EnhancedCode, Keywords, RcptParameters};

/// A command line: what is read of it can be written, and is read the same.
pub(crate) fn smtp_command(data: &[u8]) {
    let ([flags], line) = take(data);
    let bit = |n: u8| flags >> n & 1 != 0;
    let keywords = if bit(5) { keywords() } else { Keywords::default() };
    let offered = Offered { dsn: bit(2), auth: bit(4), keywords };
    let rules = Rules { lenient: bit(0), lmtp: bit(1), offered, smtputf8: bit(3), xclient: bit(6) };
    let text = String::from_utf8_lossy(line);
    assert_eq!(parameter::xtext_decode(&parameter::xtext_encode(&text)).as_deref(), Some(&*text));
    match command::parse(line, &rules) {
        Ok(Command::Mail { reverse_path, parameters }) => {
            let _ = reverse_path.is_none_or(|address| written(&address));
            for text in [parameters.envelope_id, parameters.auth].into_iter().flatten() {
                assert!(!text.chars().any(char::is_control));
                assert_eq!(parameter::xtext_decode(&parameter::xtext_encode(&text)), Some(text));
            }
        }
        Ok(Command::Rcpt { forward_path, parameters }) => {
            if let ForwardPath::Mailbox(address) = &forward_path {
                written(address);
            }
            recipient(&parameters);
        }
        Ok(Command::Ehlo(name) | Command::Helo(name) | Command::Lhlo(name)) => {
            assert!(!name.is_empty() && !name.contains(char::is_control));
        }
        Ok(_) | Err(_) => {}
    }
}

/// All that can be asked of a delivery.
pub(crate) fn keywords() -> Keywords {
    Keywords {
        require_tls: true,
        deliver_by_min_secs: Some(60),
        future_release: Some((86_400, 1_800_000_000)),
        mt_priority: true,
        recipients_max: Some(7),
        messages_max: None,
        no_soliciting: Some(vec!["net.example:ADV".to_owned()]),
    }
}

fn all_offered() -> Offered {
    Offered { dsn: true, auth: true, keywords: keywords() }
}

fn written(address: &message::address::Address) -> bool {
    assert!(address.local.len() <= limits::LOCAL_BYTES_MAX && address.domain.len() <= limits::DOMAIN_BYTES_MAX);
    let Some(text) = path::encode_mailbox(address) else { panic!("{address:?} cannot be written") };
    assert!(!text.contains(char::is_control));
    assert_eq!(path::mailbox(&text, true).as_ref(), Ok(address), "{text}");
    assert_eq!(path::take_forward_path(&format!("<{text}> x"), true).map(|(_, rest)| rest), Ok(" x"));
    true
}

fn recipient(parameters: &RcptParameters) {
    if parameters.notify != 0 {
        let text = format!(" NOTIFY={}", parameter::notify_encode(parameters.notify));
        assert_eq!(parameter::rcpt(&text, &all_offered()).map(|p| p.notify), Ok(parameters.notify));
    }
}

/// A reply: found at the same place however much has come, and written so that it is read the same.
pub(crate) fn smtp_reply(data: &[u8]) {
    let ([cut], input) = take(data);
    let taken = reply::take(input);
    let Ok(Some((read, used))) = taken else {
        assert!(taken != Ok(None) || input.len() <= (limits::REPLY_LINE_BYTES_MAX + 1) * limits::REPLY_LINES_MAX);
        return;
    };
    assert!(used <= input.len() && (200..600).contains(&read.code) && read.lines.len() <= limits::REPLY_LINES_MAX);
    let cut = usize::from(cut) % used;
    assert_eq!(reply::take(&input[..cut]), Ok(None), "a part of a reply is none");
    let _ = (Offers::parse(&read.lines), read.text(), read.to_string());
    let mut out = Vec::new();
    read.encode(&mut out);
    crate::play::lines_are_sound(&out);
    assert!(out.split(|b| *b == b'\n').all(|line| line.len() <= 511));
    let short = read.lines.iter().all(|line| line.len() < 400);
    let code_like = |line: &str| line.split(' ').next().and_then(EnhancedCode::parse).is_some();
    if short && (read.enhanced.is_some() || !read.lines.iter().any(|line| code_like(line))) {
        assert_eq!(reply::take(&out), Ok(Some((read, out.len()))));
    }
    assert_ne!(reply::take(&out), Err(NoReply::Syntax));
}

/// The lines of an EHLO reply: what is understood is written and understood the same.
pub(crate) fn smtp_ehlo(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<Cow<'static, str>> = text.split('\n').map(|line| Cow::Owned(line.to_owned())).collect();
    let offers = Offers::parse(&lines);
    let written = std::iter::once("name".to_owned()).chain(offers.lines()).map(Cow::Owned).collect::<Vec<_>>();
    let again = Offers::parse(&written);
    assert_eq!(again, Offers { any_auth: !offers.auth.is_empty(), ..offers.clone() });
    assert!(offers.any_auth || offers.auth.is_empty());
}

/// A message to the wire and off it: the one end is where we put it, and no lenient reader finds another.
pub(crate) fn smtp_data(data: &[u8]) {
    let ([seed, seed_back], message) = take(data);
    let (mut encoder, mut wire) = (Encoder::default(), Vec::new());
    pieces(message, seed).into_iter().for_each(|piece| encoder.encode(piece, &mut wire));
    encoder.finish(&mut wire);
    for end in [&b"\n.\r\n"[..], b"\n.\n"] {
        let found = wire.windows(end.len()).position(|window| window == end);
        assert!(found.is_none_or(|at| at + end.len() == wire.len()), "an end before the end: {}", wire.escape_ascii());
    }
    for line_ends in [LineEnds::Strict, LineEnds::Repair] {
        let (mut decoder, mut out) = (Decoder::data(line_ends), Vec::new());
        let mut used = 0;
        for piece in pieces(&wire, seed_back) {
            let (count, end) = decoder.decode(piece, &mut out);
            used += count;
            assert_eq!((count, end), (piece.len(), used == wire.len()), "it ends where it ends");
        }
        check_decoded(message, &decoder, &out, line_ends);
    }
    off_the_wire(message, seed);
}

fn check_decoded(message: &[u8], decoder: &Decoder, out: &[u8], line_ends: LineEnds) {
    let bare = {
        let mut without = message.to_vec();
        while let Some(at) = without.windows(2).position(|window| window == b"\r\n") {
            without.splice(at..at + 2, *b"xx");
        }
        without.iter().any(|octet| matches!(octet, b'\r' | b'\n'))
    };
    if !bare {
        let end: &[u8] = if message.is_empty() || message.ends_with(b"\r\n") { b"" } else { b"\r\n" };
        assert_eq!(out, [message, end].concat());
        assert!(!decoder.saw_bare());
    } else if line_ends == LineEnds::Repair {
        crate::play::lines_are_sound(out);
    }
}

/// The octets as a client may send them: pieces make no difference, repair leaves no bare CR or LF, only CRLF.CRLF ends.
fn off_the_wire(input: &[u8], seed: u8) {
    for (line_ends, stuffed) in
        [(LineEnds::Strict, true), (LineEnds::Repair, true), (LineEnds::Strict, false), (LineEnds::Repair, false)]
    {
        let make = || if stuffed { Decoder::data(line_ends) } else { Decoder::bdat(line_ends) };
        let (mut whole, mut out) = (make(), Vec::new());
        let (used, end) = whole.decode(input, &mut out);
        let (mut cut, mut cut_out, mut cut_used, mut cut_end) = (make(), Vec::new(), 0, false);
        for piece in pieces(input, seed) {
            let (count, ended) = cut.decode(piece, &mut cut_out);
            (cut_used, cut_end) = (cut_used + count, ended);
            if ended {
                break;
            }
        }
        let first =
            if input.starts_with(b".\r\n") { Some(3) } else { input.windows(5).position(|w| w == b"\r\n.\r\n").map(|at| at + 5) };
        assert_eq!((used, end), if stuffed { (first.unwrap_or(input.len()), first.is_some()) } else { (input.len(), false) });
        if !end {
            whole.finish(&mut out);
            cut.finish(&mut cut_out);
        }
        assert_eq!((cut_used, cut_end, &cut_out, cut.saw_bare()), (used, end, &out, whole.saw_bare()));
        if line_ends == LineEnds::Repair && (end || !stuffed) {
            crate::play::lines_are_sound(&out);
        }
    }
}

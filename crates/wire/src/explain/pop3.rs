//! POP3 in plain words (RFC 1939, 2449, 5034).

use super::{MASK, Mode, NOT_SHOWN, Reading, State, secret};

/// A line of the client.
pub(super) fn command(state: &mut State, line: &str) -> Reading {
    if state.signing_in.is_some() {
        return secret();
    }
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let (verb, first) = (words.next().unwrap_or_default(), words.next());
    let name = verb.to_ascii_uppercase();
    let (meaning, section) = match name.as_str() {
        "USER" => ("Whose maildrop it is.", "RFC 1939 §7"),
        "PASS" => ("The password.", "RFC 1939 §7"),
        "APOP" => ("Signs in with a hash of the password and the greeting.", "RFC 1939 §7"),
        "AUTH" => ("The client signs in by this mechanism, or asks for the list.", "RFC 5034 §4"),
        "STLS" => ("The client wants encryption from here on.", "RFC 2595 §4"),
        "CAPA" => ("What can the server do?", "RFC 2449 §5"),
        "STAT" => ("How many messages, how many octets?", "RFC 1939 §5"),
        "LIST" => ("How long is each message?", "RFC 1939 §5"),
        "UIDL" => ("A name for each message that stays the same.", "RFC 1939 §7"),
        "RETR" => ("The client fetches a message.", "RFC 1939 §5"),
        "TOP" => ("The header and a few lines of a message.", "RFC 1939 §7"),
        "DELE" => ("Marks a message; it goes at QUIT.", "RFC 1939 §5"),
        "RSET" => ("Takes all marks back.", "RFC 1939 §5"),
        "NOOP" => ("Nothing: are you still there?", "RFC 1939 §5"),
        "UTF8" => ("Names and header fields in any script from here on.", "RFC 6856 §2"),
        "LANG" => ("In which language answers come.", "RFC 6856 §3"),
        "QUIT" => ("The client is done: now what is marked is deleted.", "RFC 1939 §6"),
        _ => {
            state.asked("?", "");
            return Reading::new(NOT_SHOWN, "No command of POP3.", "RFC 1939 §3");
        }
    };
    let shown = match name.as_str() {
        "PASS" => format!("{verb} {MASK}"),
        "APOP" => format!("{verb} {} {MASK}", first.unwrap_or_default()),
        "AUTH" => match (first.map(crate::sasl::Mechanism::parse), words.next()) {
            (None, _) => verb.to_owned(),
            (Some(None), _) => format!("{verb} {MASK}"),
            (Some(Some(mechanism)), None) => format!("{verb} {}", mechanism.name()),
            (Some(Some(mechanism)), Some(_)) => format!("{verb} {} {MASK}", mechanism.name()),
        },
        _ => line.to_owned(),
    };
    if name == "AUTH" && first.is_some() {
        state.signing_in = Some(String::new());
    }
    // With a number LIST and UIDL have one line of answer; AUTH alone has many.
    let lines = matches!((name.as_str(), first), ("CAPA" | "RETR" | "TOP", _) | ("LIST" | "UIDL" | "AUTH" | "LANG", None));
    state.asked(&name, if lines { "lines" } else { "" });
    Reading::new(shown, meaning, section)
}

/// A line of the server.
pub(super) fn reply(state: &mut State, line: &str) -> Reading {
    if line == "+" || line.starts_with("+ ") {
        return Reading::new(format!("+ {MASK}"), "The server wants the next step of the sign-in.", "RFC 5034 §4");
    }
    let yes = line.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("+OK"));
    if !yes && !line.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("-ERR")) {
        return Reading::new(NOT_SHOWN, "No reply of POP3.", "RFC 1939 §3");
    }
    let Some((name, lines)) = state.waiting.pop_front() else {
        return Reading::new(line, if yes { "The server greets." } else { "The server ends it." }, "RFC 1939 §4");
    };
    if name == "AUTH" {
        state.signing_in = None;
    }
    let of = if name == "?" { "that" } else { name.as_str() };
    let mut reading = match (yes, name.as_str()) {
        (true, "PASS" | "APOP") => Reading::new(line, "Signed in: the maildrop is open and nobody else has it.", "RFC 1939 §4"),
        (true, "AUTH") if lines.is_empty() => {
            Reading::new(line, "Signed in: the maildrop is open and nobody else has it.", "RFC 5034 §4")
        }
        (true, "STLS") => Reading::new(line, "Go on: the TLS handshake begins.", "RFC 2595 §4"),
        (true, "QUIT") => Reading::new(line, "What was marked is deleted; goodbye.", "RFC 1939 §6"),
        (true, _) => Reading::new(line, format!("Yes to {of}."), "RFC 1939 §3"),
        (false, _) => Reading::new(line, format!("No to {of}."), "RFC 1939 §3"),
    };
    if yes && !lines.is_empty() {
        reading.next = Mode::Text { seen: 0 };
    }
    reading
}

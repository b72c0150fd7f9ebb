//! SMTP and LMTP in plain words (RFC 5321 §4.1, §4.2).

use super::{MASK, Mode, NOT_SHOWN, Reading, State, secret};

/// A line of the client.
pub(super) fn command(state: &mut State, line: &str) -> Reading {
    if state.signing_in.is_some() {
        return secret();
    }
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let name = verb.to_ascii_uppercase();
    let (meaning, section) = match name.as_str() {
        "EHLO" => ("The client says its name and asks what the server can do.", "RFC 5321 §4.1.1.1"),
        "HELO" => ("The client says its name, in the way of 1982: no extensions.", "RFC 5321 §4.1.1.1"),
        "LHLO" => ("The client says its name; LMTP gives a result for each recipient.", "RFC 2033 §4.1"),
        "STARTTLS" => ("The client wants encryption from here on.", "RFC 3207 §4"),
        "AUTH" => {
            let mut words = line.split(' ').filter(|word| !word.is_empty());
            let (mechanism, initial) = (words.nth(1), words.next());
            state.signing_in = Some(String::new());
            state.asked("AUTH", "");
            let known = crate::sasl::Mechanism::parse(mechanism.unwrap_or_default());
            let shown = match (known, initial) {
                (None, _) => format!("{verb} {MASK}"),
                (Some(_), None) => line.trim_end().to_owned(),
                (Some(mechanism), Some(_)) => format!("{verb} {} {MASK}", mechanism.name()),
            };
            return Reading::new(shown, "The client signs in by this mechanism.", "RFC 4954 §4");
        }
        "MAIL" if rest.to_ascii_uppercase().starts_with("FROM:<>") => {
            ("A message begins that must not be answered: a report.", "RFC 5321 §4.5.5")
        }
        "MAIL" => ("A message begins; errors go to this address.", "RFC 5321 §4.1.1.2"),
        "RCPT" => ("The message is for this address.", "RFC 5321 §4.1.1.3"),
        "DATA" => ("The client wants to send the message itself.", "RFC 5321 §4.1.1.4"),
        "BDAT" => {
            let total = rest.split(' ').next().and_then(|digits| digits.parse().ok());
            state.asked("BDAT", "");
            let meaning = "So many octets of the message follow, without waiting.";
            let mut reading = Reading::new(line, meaning, "RFC 3030 §2");
            match total {
                Some(total) => reading.next = Mode::Octets { left: total, total },
                // What follows cannot be told from commands, so nothing of it is shown.
                None => state.over = true,
            }
            return reading;
        }
        "RSET" => ("Forget the message under way.", "RFC 5321 §4.1.1.5"),
        "NOOP" => ("Nothing: are you still there?", "RFC 5321 §4.1.1.9"),
        "QUIT" => ("The client is done.", "RFC 5321 §4.1.1.10"),
        "HELP" => ("The client asks for help.", "RFC 5321 §4.1.1.8"),
        "VRFY" => ("Does this address exist?", "RFC 5321 §4.1.1.6"),
        "EXPN" => ("Who is on this list?", "RFC 5321 §4.1.1.7"),
        "ETRN" => ("Send what waits for this domain, please.", "RFC 1985 §5"),
        _ => {
            state.asked("?", "");
            return Reading::new(NOT_SHOWN, "No command of SMTP.", "RFC 5321 §4.1");
        }
    };
    state.asked(&name, "");
    // What stands behind these says nothing, and may be anything.
    let shown = if matches!(name.as_str(), "NOOP" | "HELP" | "QUIT" | "RSET" | "DATA" | "STARTTLS") { verb } else { line };
    Reading::new(shown, meaning, section)
}

/// A line of the server; `true`: the message's text follows from the client.
pub(super) fn reply(state: &mut State, line: &str) -> (Reading, bool) {
    let code: Option<u16> = line.get(..3).and_then(|digits| digits.parse().ok());
    let last = line.as_bytes().get(3) != Some(&b'-');
    let Some(code) = code.filter(|code| (200..600).contains(code)) else {
        return (Reading::new(NOT_SHOWN, "No reply of SMTP.", "RFC 5321 §4.2"), false);
    };
    if code == 334 {
        let shown = format!("334 {MASK}");
        return (Reading::new(shown, "The server wants the next step of the sign-in.", "RFC 4954 §4"), false);
    }
    if !last {
        let asked_hello = state.waiting.front().is_some_and(|(name, _)| matches!(name.as_str(), "EHLO" | "LHLO"));
        let reading =
            if asked_hello && code == 250 { offer(line) } else { Reading::new(line, "More follows.", "RFC 5321 §4.2.1") };
        return (reading, false);
    }
    let asked = if code == 421 { None } else { state.waiting.pop_front() };
    let name = asked.map(|(name, _)| name).unwrap_or_default();
    if name == "AUTH" {
        state.signing_in = None;
    }
    let of = if name.is_empty() || name == "?" { "that".to_owned() } else { name.clone() };
    let reading = match (code, name.as_str()) {
        (220, "STARTTLS") => Reading::new(line, "Go on: the TLS handshake begins.", "RFC 3207 §4"),
        (220, _) => Reading::new(line, "The server greets and says who it is.", "RFC 5321 §4.3.1"),
        (221, _) => Reading::new(line, "Goodbye; the server closes the connection.", "RFC 5321 §4.1.1.10"),
        (235, _) => Reading::new(line, "Signed in.", "RFC 4954 §4"),
        (354, _) => Reading::new(line, "Send the message, then a line with a dot alone.", "RFC 5321 §4.1.1.4"),
        (421, _) => Reading::new(line, "The server ends the conversation; try again later.", "RFC 5321 §4.2.3"),
        (250, "DATA" | "BDAT") => {
            Reading::new(line, "Taken: from here on the server answers for the message.", "RFC 5321 §4.2.5")
        }
        (250, "EHLO" | "LHLO") => offer(line),
        (252, _) => Reading::new(line, "The server does not say; it would take a message.", "RFC 5321 §3.5.3"),
        (200..=299, _) => Reading::new(line, format!("Yes to {of}."), "RFC 5321 §4.2.1"),
        (535, _) => Reading::new(line, "The sign-in failed: login name, password or token is not good.", "RFC 4954 §6"),
        (400..=499, _) => {
            Reading::new(line, format!("Not now: {of} may work later, so the client tries again."), "RFC 5321 §4.2.1")
        }
        (500..=599, _) => Reading::new(line, format!("No to {of}, for good: trying again does not help."), "RFC 5321 §4.2.1"),
        _ => Reading::new(line, "Go on.", "RFC 5321 §4.2.1"),
    };
    // The dot's answer is still to come.
    if code == 354 {
        state.waiting.push_front(("DATA".to_owned(), String::new()));
    }
    (reading, code == 354)
}

/// A line of the answer to EHLO.
fn offer(line: &str) -> Reading {
    let keyword = line.get(4..).unwrap_or_default().split([' ', '=']).next().unwrap_or_default().to_ascii_uppercase();
    let (meaning, section) = match keyword.as_str() {
        "PIPELINING" => ("Offered: several commands at once.", "RFC 2920"),
        "SIZE" => ("Offered: the largest message taken, in octets.", "RFC 1870"),
        "8BITMIME" => ("Offered: text with octets beyond ASCII.", "RFC 6152"),
        "SMTPUTF8" => ("Offered: addresses and header fields in any script.", "RFC 6531"),
        "ENHANCEDSTATUSCODES" => ("Offered: a second number that says more exactly why.", "RFC 2034"),
        "STARTTLS" => ("Offered: encryption.", "RFC 3207"),
        "CHUNKING" => ("Offered: BDAT, the message in pieces of known length.", "RFC 3030"),
        "BINARYMIME" => ("Offered: messages with any octets at all.", "RFC 3030"),
        "DSN" => ("Offered: reports of delivery.", "RFC 3461"),
        "AUTH" => ("Offered: signing in, by these mechanisms.", "RFC 4954"),
        "REQUIRETLS" => ("Offered: this message only over encrypted connections.", "RFC 8689"),
        "DELIVERBY" => ("Offered: deliver by a time, or say that it did not work.", "RFC 2852"),
        "FUTURERELEASE" => ("Offered: hold the message until later.", "RFC 4865"),
        "MT-PRIORITY" => ("Offered: some messages before others.", "RFC 6710"),
        "LIMITS" => ("Offered: what the server takes at most.", "RFC 9422"),
        "NO-SOLICITING" => ("Told: no advertising, please.", "RFC 3865"),
        "HELP" => ("Offered: help.", "RFC 5321 §4.1.1.8"),
        _ => ("The server says its name, or an offer we do not know.", "RFC 5321 §4.1.1.1"),
    };
    Reading::new(line, meaning, section)
}

//! IMAP in plain words (RFC 9051, 3501 and extensions).

use super::{MASK, Mode, NOT_SHOWN, Reading, State, secret};

/// Sentence and section of a command.
fn known(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "CAPABILITY" => ("What can the server do?", "RFC 9051 §6.1.1"),
        "NOOP" => ("Nothing: is there news?", "RFC 9051 §6.1.2"),
        "LOGOUT" => ("The client is done.", "RFC 9051 §6.1.3"),
        "STARTTLS" => ("The client wants encryption from here on.", "RFC 9051 §6.2.1"),
        "AUTHENTICATE" => ("The client signs in by this mechanism.", "RFC 9051 §6.2.2"),
        "LOGIN" => ("The client signs in with name and password.", "RFC 9051 §6.2.3"),
        "ENABLE" => ("Switches extensions on for this connection.", "RFC 9051 §6.3.1"),
        "SELECT" => ("Opens a mailbox.", "RFC 9051 §6.3.2"),
        "EXAMINE" => ("Opens a mailbox for reading only.", "RFC 9051 §6.3.3"),
        "CREATE" => ("Makes a mailbox.", "RFC 9051 §6.3.4"),
        "DELETE" => ("Removes a mailbox with its messages.", "RFC 9051 §6.3.5"),
        "RENAME" => ("Gives a mailbox another name.", "RFC 9051 §6.3.6"),
        "SUBSCRIBE" => ("Puts a mailbox on the list that programs show.", "RFC 9051 §6.3.7"),
        "UNSUBSCRIBE" => ("Takes a mailbox off that list.", "RFC 9051 §6.3.8"),
        "LIST" | "LSUB" | "XLIST" => ("Which mailboxes are there?", "RFC 9051 §6.3.9"),
        "NAMESPACE" => ("Where do own, other people's and shared mailboxes begin?", "RFC 9051 §6.3.10"),
        "STATUS" => ("Counts of a mailbox that is not open.", "RFC 9051 §6.3.11"),
        "APPEND" => ("Puts a message into a mailbox; its text follows.", "RFC 9051 §6.3.12"),
        "IDLE" => ("Waits: the server tells what happens as it happens.", "RFC 9051 §6.3.13"),
        "CHECK" => ("Asks the server to tidy up.", "RFC 3501 §6.4.1"),
        "CLOSE" => ("Closes the mailbox and removes what is marked deleted.", "RFC 9051 §6.4.1"),
        "UNSELECT" => ("Closes the mailbox and removes nothing.", "RFC 9051 §6.4.2"),
        "EXPUNGE" => ("Removes what is marked deleted.", "RFC 9051 §6.4.3"),
        "SEARCH" => ("Which messages are like this?", "RFC 9051 §6.4.4"),
        "FETCH" => ("Asks for parts or facts of messages.", "RFC 9051 §6.4.5"),
        "STORE" => ("Sets or clears flags.", "RFC 9051 §6.4.6"),
        "COPY" => ("Copies messages to another mailbox.", "RFC 9051 §6.4.7"),
        "MOVE" => ("Moves messages to another mailbox, in one act.", "RFC 9051 §6.4.8"),
        "SORT" => ("Which messages are like this, in an order?", "RFC 5256 §3"),
        "THREAD" => ("Which messages belong together?", "RFC 5256 §3"),
        "REPLACE" => ("Puts a message in another's place; its text follows.", "RFC 8508 §3"),
        "ESEARCH" => ("Searches several mailboxes.", "RFC 7377 §2"),
        "CANCELUPDATE" => ("A search need not be kept up to date any more.", "RFC 5267 §4"),
        "SETACL" | "DELETEACL" | "GETACL" | "LISTRIGHTS" | "MYRIGHTS" => ("Who may do what with a mailbox.", "RFC 4314 §3"),
        "GETQUOTA" | "GETQUOTAROOT" | "SETQUOTA" => ("How much there may be, and is.", "RFC 9208 §4"),
        "GETMETADATA" | "SETMETADATA" => ("Notes kept beside a mailbox.", "RFC 5464 §4"),
        "NOTIFY" => ("Which events of which mailboxes the client wants to hear of.", "RFC 5465 §3"),
        "GENURLAUTH" | "RESETKEY" | "URLFETCH" => ("Links to messages that others may follow.", "RFC 4467 §7"),
        "COMPRESS" => ("Everything is compressed from here on.", "RFC 4978 §3"),
        "UNAUTHENTICATE" => ("Signs out and stays connected.", "RFC 8437 §3"),
        "ID" => ("Client and server say what programs they are.", "RFC 2971 §3.1"),
        "GETJMAPACCESS" => ("Where the same mail is by JMAP.", "RFC 9698 §4"),
        "COMPARATOR" => ("How letters are compared.", "RFC 5255 §4.7"),
        "UIDBATCHES" => ("Which UIDs stand for so many messages each?", "RFC 10022 §3"),
        _ => return None,
    })
}

/// A literal's length at the end of a line, and whether the client waits for leave.
fn literal(line: &str) -> Option<(u64, bool)> {
    let inside = line.strip_suffix('}')?;
    let (_, digits) = inside.rsplit_once('{')?;
    let (digits, waits) = digits.strip_suffix(['+', '-']).map_or((digits, true), |digits| (digits, false));
    Some((digits.parse().ok()?, waits))
}

/// A line of the client; `continued`: it goes on behind a literal.
pub(super) fn command(state: &mut State, line: &str, continued: bool) -> Reading {
    let mut reading = if continued && state.within.is_some() { rest_of_command(state, line) } else { begin(state, line) };
    match literal(line) {
        // A challenge's answer has none.
        Some(_) if state.signing_in.is_some() => {}
        Some((total, true)) => state.literal = Some(total),
        Some((total, false)) => reading.next = Mode::Octets { left: total, total },
        None => state.within = None,
    }
    reading
}

fn rest_of_command(state: &State, line: &str) -> Reading {
    let name = state.within.as_deref().unwrap_or_default();
    let shown = if line.is_empty() {
        "(end of the command)".to_owned()
    } else if known(name).is_none() || matches!(name, "LOGIN" | "AUTHENTICATE") {
        MASK.to_owned()
    } else {
        masked(line)
    };
    Reading::new(shown, "The same command goes on.", "RFC 9051 §4.3")
}

fn begin(state: &mut State, line: &str) -> Reading {
    if state.signing_in.is_some() {
        return secret();
    }
    if line.eq_ignore_ascii_case("DONE") && state.waiting.iter().any(|(name, _)| name == "IDLE") {
        return Reading::new(line, "The client has waited enough and wants to say something.", "RFC 9051 §6.3.13");
    }
    let mut words = line.splitn(4, ' ');
    let (tag, verb) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut name = verb.to_ascii_uppercase();
    let second = words.next().unwrap_or_default();
    if name == "UID" {
        name = second.to_ascii_uppercase();
    }
    let tag_is_good =
        !tag.is_empty() && tag.len() <= 32 && tag.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'.');
    let Some((meaning, section)) = known(&name).filter(|_| tag_is_good) else {
        state.within = Some(String::new());
        return Reading::new(NOT_SHOWN, "No command of IMAP.", "RFC 9051 §2.2.1");
    };
    state.asked(&name, tag);
    state.within = Some(name.clone());
    let shown = match name.as_str() {
        "LOGIN" if second.starts_with(['{', '"']) || second.is_empty() => format!("{tag} {verb} {MASK}"),
        "LOGIN" => format!("{tag} {verb} {second} {MASK}"),
        "AUTHENTICATE" => {
            state.signing_in = Some(tag.to_owned());
            match crate::sasl::Mechanism::parse(second) {
                Some(mechanism) if words.next().is_some() => format!("{tag} {verb} {} {MASK}", mechanism.name()),
                Some(mechanism) => format!("{tag} {verb} {}", mechanism.name()),
                None => format!("{tag} {verb} {MASK}"),
            }
        }
        _ => masked(line),
    };
    Reading::new(shown, meaning, section)
}

/// URLAUTH's tokens open a message to whoever has them.
fn masked(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.to_ascii_lowercase().find(":internal:") {
        let (before, behind) = rest.split_at(at + ":internal:".len());
        out.push_str(before);
        out.push_str(MASK);
        rest = behind.trim_start_matches(|c: char| !matches!(c, '"' | ' ' | ')'));
    }
    out.push_str(rest);
    out
}

/// A line of the server; `continued`: it goes on behind a literal.
pub(super) fn response(state: &mut State, line: &str, continued: bool) -> Reading {
    let mut reading = if continued {
        Reading::new(masked(line), "The same response goes on.", "RFC 9051 §4.3")
    } else if line == "+" || line.starts_with("+ ") {
        if state.signing_in.is_some() {
            Reading::new(format!("+ {MASK}"), "The server wants the next step of the sign-in.", "RFC 9051 §6.2.2")
        } else {
            Reading::new(line, "Go on: the server is ready for the rest.", "RFC 9051 §7.6")
        }
    } else if let Some(rest) = line.strip_prefix("* ") {
        untagged(line, rest)
    } else {
        tagged(state, line)
    };
    if let Some((total, _)) = literal(line) {
        reading.next = Mode::Octets { left: total, total };
    }
    reading
}

fn tagged(state: &mut State, line: &str) -> Reading {
    let mut words = line.splitn(3, ' ');
    let (tag, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().to_ascii_uppercase());
    let at = state.waiting.iter().position(|(_, known)| known == tag);
    let name = at.and_then(|at| state.waiting.remove(at)).map(|(name, _)| name);
    if state.signing_in.as_deref() == Some(tag) {
        state.signing_in = None;
    }
    // Whatever waited for leave will not come.
    if state.literal.take().is_some() {
        state.within = None;
    }
    let of = name.as_deref().unwrap_or("that");
    match kind.as_str() {
        "OK" if of == "COMPRESS" => {
            state.inflating.get_or_insert_with(super::compressed::Inflating::begin);
            Reading::new(line, "Done: what follows is compressed; it is shown as it was before.", "RFC 4978 §3")
        }
        "OK" if of == "UNAUTHENTICATE" => {
            state.inflating = None;
            Reading::new(line, "Nobody is signed in now, and nothing is compressed any more.", "RFC 8437 §4.1")
        }
        "OK" if matches!(of, "LOGIN" | "AUTHENTICATE") => Reading::new(line, "Signed in.", "RFC 9051 §6.2"),
        "OK" => Reading::new(masked(line), format!("{of} is done."), "RFC 9051 §7.1.1"),
        "NO" => Reading::new(line, format!("{of} did not work; the reason stands there."), "RFC 9051 §7.1.2"),
        "BAD" => {
            Reading::new(line, format!("The server does not understand {of}: the client made a mistake."), "RFC 9051 §7.1.3")
        }
        _ => Reading::new(NOT_SHOWN, "No response of IMAP.", "RFC 9051 §7"),
    }
}

fn untagged(line: &str, rest: &str) -> Reading {
    let mut words = rest.split(' ');
    let first = words.next().unwrap_or_default();
    let name = if first.bytes().all(|octet| octet.is_ascii_digit()) { words.next().unwrap_or_default() } else { first };
    let (meaning, section) = match name.to_ascii_uppercase().as_str() {
        "OK" => ("For your information.", "RFC 9051 §7.1.1"),
        "NO" => ("A warning.", "RFC 9051 §7.1.2"),
        "BAD" => ("Something the server could not make sense of.", "RFC 9051 §7.1.3"),
        "PREAUTH" => ("Signed in already.", "RFC 9051 §7.1.4"),
        "BYE" => ("The server ends the conversation.", "RFC 9051 §7.1.5"),
        "CAPABILITY" => ("What the server can do now.", "RFC 9051 §7.2.2"),
        "ENABLED" => ("What is switched on.", "RFC 9051 §7.2.1"),
        "LIST" | "LSUB" | "XLIST" => ("A mailbox and what kind it is.", "RFC 9051 §7.3.1"),
        "NAMESPACE" => ("Where own, other people's and shared mailboxes begin.", "RFC 9051 §7.3.2"),
        "STATUS" => ("Counts of a mailbox.", "RFC 9051 §7.3.3"),
        "ESEARCH" => ("What the search found.", "RFC 9051 §7.3.4"),
        "SEARCH" => ("What the search found, in the older way.", "RFC 3501 §7.2.5"),
        "SORT" => ("What was found, in order.", "RFC 5256 §4"),
        "THREAD" => ("What belongs together.", "RFC 5256 §4"),
        "FLAGS" => ("Which flags the mailbox knows.", "RFC 9051 §7.3.5"),
        "EXISTS" => ("So many messages are in the mailbox.", "RFC 9051 §7.4.1"),
        "RECENT" => ("So many are new to every client.", "RFC 3501 §7.3.2"),
        "EXPUNGE" => ("The message of this number is gone; those behind it move up.", "RFC 9051 §7.5.1"),
        "VANISHED" => ("The messages of these UIDs are gone.", "RFC 7162 §3.2.10"),
        "FETCH" | "UIDFETCH" => ("Parts or facts of a message.", "RFC 9051 §7.5.2"),
        "QUOTA" | "QUOTAROOT" => ("How much there may be, and is.", "RFC 9208 §4"),
        "ACL" | "MYRIGHTS" | "LISTRIGHTS" => ("Who may do what with a mailbox.", "RFC 4314 §3"),
        "METADATA" => ("Notes kept beside a mailbox.", "RFC 5464 §4"),
        "ID" => ("What program the server is.", "RFC 2971 §3.2"),
        "GENURLAUTH" | "URLFETCH" => ("Links to messages that others may follow.", "RFC 4467 §7"),
        _ => ("A response of an extension.", "RFC 9051 §7"),
    };
    Reading::new(masked(line), meaning, section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_there_is_has_its_sentence() {
        let missing: Vec<&str> =
            crate::imap::command::COMMANDS.iter().map(|(name, _)| *name).filter(|name| known(name).is_none()).collect();
        assert_eq!(missing, ["UID"], "UID stands before another");
    }
}

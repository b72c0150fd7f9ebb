//! Commands (RFC 5321 §4.1.1, RFC 2033, RFC 3030, RFC 3207, RFC 4954): a line to a value, or the reply that refuses it.
//!
//! Invariant: nothing with a control character in it is a command.

use super::parameter::{self, BadParameter, MailParameters, Offered, RcptParameters};
use super::path::{self, ForwardPath, NoPath, ReversePath};
use super::xclient::{self, Behind};
use super::{EnhancedCode, Reply};
use zeroize::Zeroizing;

/// One command.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Command {
    Ehlo(String),
    Helo(String),
    Lhlo(String),
    StartTls,
    Auth { mechanism: String, initial: Option<Zeroizing<Vec<u8>>> },
    Mail { reverse_path: ReversePath, parameters: MailParameters },
    Rcpt { forward_path: ForwardPath, parameters: RcptParameters },
    Data,
    Bdat { size: u64, last: bool },
    Reset,
    Noop,
    Quit,
    Help,
    Vrfy,
    Expn,
    Xclient(Behind),
}

/// How lines are read.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Submission: a space between `FROM:` and the path is let through (Outlook).
    pub lenient: bool,
    /// LMTP: LHLO instead of EHLO and HELO.
    pub lmtp: bool,
    /// Which parameters were offered.
    pub offered: Offered,
    /// The transaction is under SMTPUTF8 (for RCPT).
    pub smtputf8: bool,
    /// The peer may speak for others.
    pub xclient: bool,
}

/// Why a line is no command.
#[derive(Debug, PartialEq, Eq)]
pub enum Bad {
    /// Send this and go on.
    Reply(Reply),
    /// A browser was sent here: say goodbye at once, before it sends more lines.
    Http,
    /// BDAT whose size cannot be read: what follows cannot be told from commands.
    Lost(Reply),
}

impl From<Reply> for Bad {
    fn from(reply: Reply) -> Bad {
        Bad::Reply(reply)
    }
}

fn syntax(text: &'static str) -> Bad {
    Bad::Reply(Reply::new(501, EnhancedCode(5, 5, 4), text))
}

fn unknown() -> Bad {
    Bad::Reply(Reply::new(500, EnhancedCode(5, 5, 1), "Command not known"))
}

/// Parses a line without its line end.
pub fn parse(line: &[u8], rules: &Rules) -> Result<Command, Bad> {
    let Ok(line) = std::str::from_utf8(line) else {
        return Err(Reply::new(500, EnhancedCode(5, 5, 2), "Not UTF-8").into());
    };
    if line.chars().any(char::is_control) {
        return Err(Reply::new(500, EnhancedCode(5, 5, 2), "Control characters are not allowed in a command").into());
    }
    let line = line.trim_end_matches(' ');
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let verb = verb.to_ascii_uppercase();
    if !rest.is_ascii() && !matches!(verb.as_str(), "MAIL" | "RCPT" | "VRFY" | "EXPN") {
        return Err(Reply::new(501, EnhancedCode(5, 5, 2), "Only ASCII is allowed here").into());
    }
    match (verb.as_str(), rules.lmtp) {
        ("EHLO", false) => hello(rest).map(Command::Ehlo),
        ("HELO", false) => hello(rest).map(Command::Helo),
        ("LHLO", true) => hello(rest).map(Command::Lhlo),
        ("MAIL", _) => mail(rest, rules),
        ("RCPT", _) => rcpt(rest, rules),
        ("AUTH", _) => auth(rest),
        ("BDAT", _) => bdat(rest),
        ("DATA", _) => alone(rest, Command::Data),
        ("RSET", _) => alone(rest, Command::Reset),
        ("QUIT", _) => alone(rest, Command::Quit),
        ("STARTTLS", _) => alone(rest, Command::StartTls),
        ("NOOP", _) => Ok(Command::Noop),
        ("HELP", _) => Ok(Command::Help),
        ("VRFY" | "EXPN", _) if rest.is_empty() => Err(syntax("Whom?")),
        ("VRFY", _) => Ok(Command::Vrfy),
        ("EXPN", _) => Ok(Command::Expn),
        ("XCLIENT", _) if rules.xclient => {
            xclient::parse(rest).map(Command::Xclient).ok_or_else(|| syntax("An attribute makes no sense"))
        }
        ("XCLIENT", _) => Err(Reply::new(550, EnhancedCode(5, 7, 0), "Only named proxies speak for others").into()),
        // Known, and not done here: mail waits for nobody to ask for it (RFC 1985), and nobody turns round (RFC 5321 §F.1).
        ("ETRN" | "ATRN" | "TURN" | "SEND" | "SOML" | "SAML", _) => {
            Err(Reply::new(502, EnhancedCode(5, 5, 1), "That is not done here").into())
        }
        ("GET" | "POST" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "CONNECT" | "PATCH" | "TRACE", _) if rest.contains("HTTP/") => {
            Err(Bad::Http)
        }
        _ => Err(unknown()),
    }
}

fn alone(rest: &str, command: Command) -> Result<Command, Bad> {
    if rest.is_empty() { Ok(command) } else { Err(syntax("No argument is allowed here")) }
}

/// `ehlo = "EHLO" SP ( Domain / address-literal ) CRLF`; any word is taken, as half the world's clients send odd ones.
fn hello(rest: &str) -> Result<String, Bad> {
    let name = rest.trim_start();
    if name.is_empty() || name.contains(' ') || name.len() > crate::limits::smtp::DOMAIN_BYTES_MAX {
        return Err(syntax("Your name, one word, is needed here"));
    }
    Ok(name.to_owned())
}

/// `mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF`
fn mail(rest: &str, rules: &Rules) -> Result<Command, Bad> {
    let text = after_colon(rest, "FROM:", rules)?;
    let (reverse_path, rest) = path::take_reverse_path(text, true).map_err(no_path)?;
    let parameters = parameter::mail(rest, &rules.offered).map_err(bad_parameter)?;
    if !parameters.smtputf8
        && reverse_path.as_ref().is_some_and(|address| !address.local.is_ascii() || !address.domain.is_ascii())
    {
        return Err(no_path(NoPath::NeedsUtf8));
    }
    Ok(Command::Mail { reverse_path, parameters })
}

/// `rcpt = "RCPT TO:" Forward-path [SP Rcpt-parameters] CRLF`
fn rcpt(rest: &str, rules: &Rules) -> Result<Command, Bad> {
    let text = after_colon(rest, "TO:", rules)?;
    let (forward_path, rest) = path::take_forward_path(text, rules.smtputf8).map_err(no_path)?;
    let parameters = parameter::rcpt(rest, &rules.offered).map_err(bad_parameter)?;
    Ok(Command::Rcpt { forward_path, parameters })
}

fn after_colon<'a>(rest: &'a str, word: &str, rules: &Rules) -> Result<&'a str, Bad> {
    let rest = if rules.lenient { rest.trim_start() } else { rest };
    let (head, text) = match rest.split_at_checked(word.len()) {
        Some((head, text)) if head.eq_ignore_ascii_case(word) => (head, text),
        _ => return Err(syntax("FROM:<address> or TO:<address> is needed here")),
    };
    debug_assert_eq!(head.len(), word.len());
    match text.strip_prefix(' ') {
        Some(path) if rules.lenient => Ok(path.trim_start()),
        Some(_) => Err(syntax("No space is allowed between the colon and the address")),
        None => Ok(text),
    }
}

fn no_path(why: NoPath) -> Bad {
    Bad::Reply(match why {
        NoPath::Syntax => Reply::new(501, EnhancedCode(5, 1, 3), "That is no address in angle brackets"),
        NoPath::TooLong => Reply::new(501, EnhancedCode(5, 1, 3), "The address is too long"),
        NoPath::NeedsUtf8 => Reply::new(553, EnhancedCode(5, 6, 7), "An address with letters beyond ASCII needs SMTPUTF8"),
    })
}

fn bad_parameter(why: BadParameter) -> Bad {
    Bad::Reply(match why {
        BadParameter::Syntax => Reply::new(501, EnhancedCode(5, 5, 4), "A parameter makes no sense"),
        BadParameter::Unknown => Reply::new(555, EnhancedCode(5, 5, 4), "A parameter is not known or not offered"),
    })
}

/// `"AUTH" SP sasl-mech [SP initial-response]` (RFC 4954 §4)
fn auth(rest: &str) -> Result<Command, Bad> {
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let (Some(mechanism), initial, None) = (words.next(), words.next(), words.next()) else {
        return Err(syntax("AUTH needs a mechanism and at most one word more"));
    };
    Ok(Command::Auth { mechanism: mechanism.to_owned(), initial: initial.map(|word| Zeroizing::new(word.as_bytes().to_vec())) })
}

/// `"BDAT" SP chunk-size [SP "LAST"]` (RFC 3030 §2)
fn bdat(rest: &str) -> Result<Command, Bad> {
    let lost = || Bad::Lost(Reply::new(501, EnhancedCode(5, 5, 4), "BDAT needs a size and nothing but LAST behind it"));
    let mut words = rest.split(' ').filter(|word| !word.is_empty());
    let digits = words.next().filter(|word| word.bytes().all(|b| b.is_ascii_digit())).ok_or_else(lost)?;
    let size = digits.parse().map_err(|_| lost())?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(lost()),
    };
    if words.next().is_some() { Err(lost()) } else { Ok(Command::Bdat { size, last }) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::smtp::Body;
    use message::address::Address;

    use std::sync::LazyLock;

    static MX: LazyLock<Rules> = LazyLock::new(|| Rules {
        lenient: false,
        lmtp: false,
        xclient: false,
        offered: Offered { dsn: true, auth: false, keywords: Default::default() },
        smtputf8: false,
    });
    static SUBMISSION: LazyLock<Rules> = LazyLock::new(|| Rules { lenient: true, ..MX.clone() });

    fn code(line: &str, rules: &Rules) -> u16 {
        match parse(line.as_bytes(), rules) {
            Err(Bad::Reply(reply) | Bad::Lost(reply)) => reply.code,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn known_answers() {
        assert_eq!(parse(b"ehlo client.test", &MX).unwrap(), Command::Ehlo("client.test".into()));
        assert_eq!(parse(b"QUIT ", &MX).unwrap(), Command::Quit);
        assert_eq!(parse(b"BDAT 86 last", &MX).unwrap(), Command::Bdat { size: 86, last: true });
        let Command::Mail { reverse_path, parameters } = parse(b"MAIL FROM:<a@b.test> BODY=8BITMIME", &MX).unwrap() else {
            panic!()
        };
        assert_eq!(reverse_path, Some(Address { local: "a".into(), domain: "b.test".into() }));
        assert_eq!(parameters.body, Body::EightBitMime);
        assert!(matches!(parse(b"AUTH PLAIN AGEAYg==", &MX).unwrap(), Command::Auth { initial: Some(_), .. }));
    }

    #[test]
    fn a_space_after_the_colon_is_outlooks() {
        assert_eq!(code("MAIL FROM: <a@b.test>", &MX), 501);
        assert!(parse(b"MAIL FROM: <a@b.test>", &SUBMISSION).is_ok());
        assert!(parse(b"RCPT TO: <a@b.test>", &SUBMISSION).is_ok());
    }

    #[test]
    fn refused() {
        for (line, want) in [
            ("", 500),
            ("FOO", 500),
            ("MAIL", 501),
            ("MAIL FROM:a@b.test", 501),
            ("MAIL FROM:<a@b.test", 501),
            ("MAIL FROM:<a@b.test> FOO=1", 555),
            ("MAIL FROM:<a@b.test>SIZE=1", 501),
            ("MAIL FROM:<grå@b.test>", 553),
            ("RCPT TO:<grå@b.test>", 553),
            ("RCPT TO:<>", 501),
            ("DATA now", 501),
            ("EHLO", 501),
            ("EHLO grå.test", 501),
            ("LHLO x", 500),
            ("BDAT", 501),
            ("BDAT x", 501),
            ("BDAT 1 FIRST", 501),
            ("NOOP a\rb", 500),
            ("VRFY", 501),
            ("ETRN here.test", 502),
            ("TURN", 502),
        ] {
            assert_eq!(code(line, &MX), want, "{line}");
        }
        assert!(parse("MAIL FROM:<grå@b.test> SMTPUTF8".as_bytes(), &MX).is_ok());
        assert_eq!(parse(b"NOOP \xff", &MX), Err(Bad::Reply(Reply::new(500, EnhancedCode(5, 5, 2), "Not UTF-8"))));
        assert_eq!(parse(b"GET / HTTP/1.1", &MX), Err(Bad::Http));
    }
}

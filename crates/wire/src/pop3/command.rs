//! Commands (RFC 1939 §4 to §7, 2449 §5, 2595 §4, 5034 §4, 6856 §2.1 and §3.2), both ways.
//!
//! ```abnf
//! command = keyword *(SP param) CRLF
//! keyword = 3*4VCHAR            ; in any case
//! param   = 1*VCHAR             ; USER and PASS: everything behind the first space
//! ```

use crate::sasl::Secret;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Command {
    /// The login name.
    User(String),
    /// The password: everything behind the first space.
    Pass(Secret),
    /// Never offered: it needs the plain secret at the server.
    Apop,
    /// Mechanism and initial response, still base64; no mechanism asks for a list.
    Auth {
        mechanism: Option<String>,
        initial: Option<String>,
    },
    Stls,
    Capa,
    Utf8,
    /// A tag, `*`, or nothing for the list.
    Lang(Option<String>),
    Stat,
    List(Option<u32>),
    Uidl(Option<u32>),
    Retr(u32),
    Top {
        message: u32,
        lines: u32,
    },
    Dele(u32),
    Noop,
    Rset,
    Quit,
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    /// No such keyword.
    Unknown,
    /// The keyword is known, its parameters are wrong.
    Parameters,
}

impl Command {
    /// From a line without its end.
    pub fn parse(line: &[u8]) -> Result<Command, CommandError> {
        let space = memchr::memchr(b' ', line).unwrap_or(line.len());
        let (keyword, rest) = line.split_at(space);
        let keyword = keyword.to_ascii_uppercase();
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        if keyword == b"PASS" {
            // RFC 1939 §7: a password may hold spaces, also at its ends.
            return if rest.is_empty() { Err(CommandError::Parameters) } else { Ok(Command::Pass(Secret::new(rest.to_vec()))) };
        }
        let text = std::str::from_utf8(rest).map_err(|_| CommandError::Parameters);
        let words = || text.map(|text| text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>());
        let bare = |command: Command| if words()?.is_empty() { Ok(command) } else { Err(CommandError::Parameters) };
        match keyword.as_slice() {
            b"USER" => match text?.trim() {
                "" => Err(CommandError::Parameters),
                name => Ok(Command::User(name.to_owned())),
            },
            b"APOP" => Ok(Command::Apop),
            b"AUTH" => auth(&words()?),
            b"STLS" => bare(Command::Stls),
            b"CAPA" => bare(Command::Capa),
            b"UTF8" => bare(Command::Utf8),
            b"LANG" => match words()?.as_slice() {
                [] => Ok(Command::Lang(None)),
                [tag] => Ok(Command::Lang(Some((*tag).to_owned()))),
                _ => Err(CommandError::Parameters),
            },
            b"STAT" => bare(Command::Stat),
            b"LIST" => optional(&words()?).map(Command::List),
            b"UIDL" => optional(&words()?).map(Command::Uidl),
            b"RETR" => one(&words()?).map(Command::Retr),
            b"DELE" => one(&words()?).map(Command::Dele),
            b"TOP" => match words()?.as_slice() {
                [message, lines] => Ok(Command::Top { message: number(message)?, lines: number(lines)? }),
                _ => Err(CommandError::Parameters),
            },
            b"NOOP" => bare(Command::Noop),
            b"RSET" => bare(Command::Rset),
            b"QUIT" => bare(Command::Quit),
            _ => Err(CommandError::Unknown),
        }
    }

    /// With its CRLF.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let with = |keyword: &str, number: &Option<u32>| match number {
            Some(number) => format!("{keyword} {number}"),
            None => keyword.to_owned(),
        };
        let text = match self {
            Command::User(name) => format!("USER {name}"),
            Command::Pass(secret) => {
                out.extend_from_slice(b"PASS ");
                out.extend_from_slice(secret.as_bytes());
                String::new()
            }
            Command::Apop => "APOP".to_owned(),
            Command::Auth { mechanism: None, .. } => "AUTH".to_owned(),
            Command::Auth { mechanism: Some(name), initial: None } => format!("AUTH {name}"),
            Command::Auth { mechanism: Some(name), initial: Some(initial) } => format!("AUTH {name} {initial}"),
            Command::Stls => "STLS".to_owned(),
            Command::Capa => "CAPA".to_owned(),
            Command::Utf8 => "UTF8".to_owned(),
            Command::Lang(None) => "LANG".to_owned(),
            Command::Lang(Some(tag)) => format!("LANG {tag}"),
            Command::Stat => "STAT".to_owned(),
            Command::List(number) => with("LIST", number),
            Command::Uidl(number) => with("UIDL", number),
            Command::Retr(number) => format!("RETR {number}"),
            Command::Top { message, lines } => format!("TOP {message} {lines}"),
            Command::Dele(number) => format!("DELE {number}"),
            Command::Noop => "NOOP".to_owned(),
            Command::Rset => "RSET".to_owned(),
            Command::Quit => "QUIT".to_owned(),
        };
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

fn auth(words: &[&str]) -> Result<Command, CommandError> {
    let (mechanism, initial) = match words {
        [] => (None, None),
        [mechanism] => (Some(*mechanism), None),
        [mechanism, initial] => (Some(*mechanism), Some(*initial)),
        _ => return Err(CommandError::Parameters),
    };
    Ok(Command::Auth { mechanism: mechanism.map(str::to_owned), initial: initial.map(str::to_owned) })
}

fn number(word: &str) -> Result<u32, CommandError> {
    if !word.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(CommandError::Parameters);
    }
    word.parse().map_err(|_| CommandError::Parameters)
}

fn one(words: &[&str]) -> Result<u32, CommandError> {
    match words {
        [word] => number(word),
        _ => Err(CommandError::Parameters),
    }
}

fn optional(words: &[&str]) -> Result<Option<u32>, CommandError> {
    match words {
        [] => Ok(None),
        words => one(words).map(Some),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_ways() {
        for line in [
            "USER ann@here.test",
            "USER ann of here",
            "PASS  two spaces ",
            "APOP",
            "AUTH",
            "AUTH PLAIN",
            "AUTH PLAIN AGFubgBwdw==",
            "AUTH PLAIN =",
            "STLS",
            "CAPA",
            "UTF8",
            "LANG",
            "LANG *",
            "LANG de",
            "STAT",
            "LIST",
            "LIST 3",
            "UIDL",
            "UIDL 100000",
            "RETR 1",
            "TOP 1 0",
            "DELE 2",
            "NOOP",
            "RSET",
            "QUIT",
        ] {
            let mut out = Vec::new();
            Command::parse(line.as_bytes()).unwrap().encode(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{line}\r\n"));
        }
    }

    #[test]
    fn what_clients_really_send() {
        assert_eq!(Command::parse(b"list "), Ok(Command::List(None)));
        assert_eq!(Command::parse(b"Retr  7"), Ok(Command::Retr(7)));
        assert_eq!(Command::parse(b"quit "), Ok(Command::Quit));
        for line in [
            &b"RETR"[..],
            b"RETR x",
            b"RETR -1",
            b"RETR +1",
            b"RETR 99999999999",
            b"RETR 1 2",
            b"TOP 1",
            b"USER",
            b"PASS",
            b"PASS ",
            b"NOOP x",
            b"USER \xff",
        ] {
            assert_eq!(Command::parse(line), Err(CommandError::Parameters), "{line:?}");
        }
        for line in [&b""[..], b"XTND", b" QUIT", b"\0", b"QUITE", b"\xff\xfe"] {
            assert_eq!(Command::parse(line), Err(CommandError::Unknown), "{line:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn any_octets_are_a_command_or_not(line in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Command::parse(&line);
        }
    }
}

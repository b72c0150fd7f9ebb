//! Capabilities (RFC 2449 §6, 2595 §4, 3206 §6, 5034 §3, 6856 §2 and §3): one line each behind CAPA.

use crate::sasl::Mechanism;
use std::fmt;

/// How long messages stay (RFC 2449 §6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expire {
    /// Until somebody deletes them.
    Never,
    /// At least so many days; `user` says that it differs by account.
    #[allow(missing_docs)]
    Days { days: u32, user: bool },
}

/// One capability.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Capability {
    Top,
    User,
    /// The names as spelled; those we know by [`Capability::mechanisms`].
    Sasl(Vec<String>),
    RespCodes,
    AuthRespCode,
    LoginDelay {
        secs: u32,
        user: bool,
    },
    Pipelining,
    Expire(Expire),
    Uidl,
    Stls,
    /// `user`: UTF-8 in USER and PASS too.
    Utf8 {
        user: bool,
    },
    Lang,
    Implementation(String),
    /// Any other line.
    Other(String),
}

impl Capability {
    /// From a line without its CRLF.
    pub fn parse(line: &str) -> Capability {
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let name = words.next().unwrap_or_default().to_ascii_uppercase();
        let rest: Vec<&str> = words.collect();
        let user = rest.iter().any(|word| word.eq_ignore_ascii_case("USER"));
        let number = rest.first().and_then(|word| word.parse().ok());
        match (name.as_str(), number) {
            ("TOP", _) => Capability::Top,
            ("USER", _) => Capability::User,
            ("SASL", _) => Capability::Sasl(rest.into_iter().map(str::to_owned).collect()),
            ("RESP-CODES", _) => Capability::RespCodes,
            ("AUTH-RESP-CODE", _) => Capability::AuthRespCode,
            ("LOGIN-DELAY", Some(secs)) => Capability::LoginDelay { secs, user },
            ("PIPELINING", _) => Capability::Pipelining,
            ("EXPIRE", Some(days)) => Capability::Expire(Expire::Days { days, user }),
            ("EXPIRE", None) if rest.first().is_some_and(|word| word.eq_ignore_ascii_case("NEVER")) => {
                Capability::Expire(Expire::Never)
            }
            ("UIDL", _) => Capability::Uidl,
            ("STLS", _) => Capability::Stls,
            ("UTF8", _) => Capability::Utf8 { user },
            ("LANG", _) => Capability::Lang,
            ("IMPLEMENTATION", _) => Capability::Implementation(rest.join(" ")),
            _ => Capability::Other(line.to_owned()),
        }
    }

    /// The SASL mechanisms of a list that we know.
    pub fn mechanisms(list: &[Capability]) -> Vec<Mechanism> {
        let names = list.iter().filter_map(|capability| match capability {
            Capability::Sasl(names) => Some(names),
            _ => None,
        });
        names.flatten().filter_map(|name| Mechanism::parse(name)).collect()
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_user = |user: &bool| if *user { " USER" } else { "" };
        match self {
            Capability::Top => f.write_str("TOP"),
            Capability::User => f.write_str("USER"),
            Capability::Sasl(names) if names.is_empty() => f.write_str("SASL"),
            Capability::Sasl(names) => write!(f, "SASL {}", names.join(" ")),
            Capability::RespCodes => f.write_str("RESP-CODES"),
            Capability::AuthRespCode => f.write_str("AUTH-RESP-CODE"),
            Capability::LoginDelay { secs, user } => write!(f, "LOGIN-DELAY {secs}{}", by_user(user)),
            Capability::Pipelining => f.write_str("PIPELINING"),
            Capability::Expire(Expire::Never) => f.write_str("EXPIRE NEVER"),
            Capability::Expire(Expire::Days { days, user }) => write!(f, "EXPIRE {days}{}", by_user(user)),
            Capability::Uidl => f.write_str("UIDL"),
            Capability::Stls => f.write_str("STLS"),
            Capability::Utf8 { user } => write!(f, "UTF8{}", by_user(user)),
            Capability::Lang => f.write_str("LANG"),
            Capability::Implementation(text) => write!(f, "IMPLEMENTATION {text}"),
            Capability::Other(line) => f.write_str(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for line in [
            "TOP",
            "USER",
            "SASL",
            "SASL SCRAM-SHA-256 PLAIN X-ODD",
            "RESP-CODES",
            "AUTH-RESP-CODE",
            "LOGIN-DELAY 900",
            "LOGIN-DELAY 900 USER",
            "PIPELINING",
            "EXPIRE NEVER",
            "EXPIRE 60",
            "EXPIRE 0 USER",
            "UIDL",
            "STLS",
            "UTF8",
            "UTF8 USER",
            "LANG",
            "IMPLEMENTATION Packetboat 1",
            "X-SOMETHING else",
        ] {
            let capability = Capability::parse(line);
            assert_eq!(capability.to_string(), line);
            assert_eq!(matches!(capability, Capability::Other(_)), line.starts_with("X-"));
        }
        let list = [Capability::parse("sasl plain login GSSAPI")];
        assert_eq!(Capability::mechanisms(&list), vec![Mechanism::Plain, Mechanism::Login]);
    }
}

//! Status lines: `+OK` and `-ERR` with response codes (RFC 1939 §3, RFC 2449 §8, RFC 3206, RFC 6856 §5).
//!
//! ```abnf
//! single-line = status [SP text] CRLF
//! status      = "+OK" / "-ERR"
//! text        = ["[" resp-level *("/" resp-level) "]" SP] *CHAR
//! ```

use std::fmt;

/// Why, for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseCode {
    /// Another session has the maildrop (RFC 2449 §8.1.2).
    InUse,
    /// Signed in again too soon (RFC 2449 §8.1.1).
    LoginDelay,
    /// The credentials are the problem (RFC 3206 §5).
    Auth,
    /// Ours, and it may pass (RFC 3206 §4).
    SysTemp,
    /// Ours, and somebody must act (RFC 3206 §4).
    SysPerm,
    /// It cannot be shown without UTF-8 mode (RFC 6856 §5).
    Utf8,
    /// Any other, without the brackets.
    Other(String),
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResponseCode::InUse => "IN-USE",
            ResponseCode::LoginDelay => "LOGIN-DELAY",
            ResponseCode::Auth => "AUTH",
            ResponseCode::SysTemp => "SYS/TEMP",
            ResponseCode::SysPerm => "SYS/PERM",
            ResponseCode::Utf8 => "UTF8",
            ResponseCode::Other(word) => word,
        })
    }
}

impl ResponseCode {
    /// By name, in any case.
    pub fn parse(word: &str) -> ResponseCode {
        use ResponseCode as C;
        [C::InUse, C::LoginDelay, C::Auth, C::SysTemp, C::SysPerm, C::Utf8]
            .into_iter()
            .find(|code| code.to_string().eq_ignore_ascii_case(word))
            .unwrap_or_else(|| C::Other(word.to_owned()))
    }
}

/// One status line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// `+OK`.
    pub ok: bool,
    /// In brackets.
    pub code: Option<ResponseCode>,
    /// For people.
    pub text: String,
}

impl Reply {
    /// From a line without its CRLF; `None` when it is no status line.
    pub fn parse(line: &[u8]) -> Option<Reply> {
        let line = String::from_utf8_lossy(line);
        let (status, text) = line.split_once(' ').unwrap_or((&line, ""));
        let ok = match status {
            _ if status.eq_ignore_ascii_case("+OK") => true,
            _ if status.eq_ignore_ascii_case("-ERR") => false,
            _ => return None,
        };
        let (code, text) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((word, rest)) if !word.is_empty() => (Some(ResponseCode::parse(word)), rest.trim_start()),
            _ => (None, text),
        };
        Some(Reply { ok, code, text: text.to_owned() })
    }

    /// With its CRLF.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.ok { b"+OK" } else { b"-ERR" });
        if let Some(code) = &self.code {
            out.extend_from_slice(format!(" [{code}]").as_bytes());
        }
        if !self.text.is_empty() {
            out.push(b' ');
            out.extend_from_slice(self.text.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_ways() {
        for line in ["+OK", "-ERR", "+OK 2 320", "-ERR [IN-USE] busy", "-ERR [SYS/TEMP] later", "+OK [X-Y]", "-ERR [AUTH] no"] {
            let mut out = Vec::new();
            Reply::parse(line.as_bytes()).unwrap().encode(&mut out);
            assert_eq!(out, format!("{line}\r\n").as_bytes());
        }
        assert_eq!(Reply::parse(b"-err [in-use] x").unwrap().code, Some(ResponseCode::InUse));
        assert_eq!(Reply::parse(b"+OK [] x").unwrap().text, "[] x");
        assert_eq!(Reply::parse(b"+OKAY"), None);
        assert_eq!(Reply::parse(b"* OK"), None);
        assert_eq!(Reply::parse(b""), None);
    }
}

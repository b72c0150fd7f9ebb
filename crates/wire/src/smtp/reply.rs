//! Replies (RFC 5321 §4.2) with their enhanced status code (RFC 2034).
//!
//! Invariant: a reply of ours is always well-formed: whatever text is given, no CR, LF or other control gets out.

use super::EnhancedCode;
use crate::limits::smtp as limits;
use std::borrow::Cow;
use std::fmt;

/// A reply: ours to send, or one a server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Three digits, 200 to 599.
    pub code: u16,
    /// Present in 2xx, 4xx and 5xx but for the greeting and HELO/EHLO.
    pub enhanced: Option<EnhancedCode>,
    /// One or more lines, without code and enhanced code.
    pub lines: Vec<Cow<'static, str>>,
}

impl Reply {
    /// One line with an enhanced code.
    pub fn new(code: u16, enhanced: EnhancedCode, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { code, enhanced: Some(enhanced), lines: vec![text.into()] }
    }

    /// One line without (greeting, 3xx).
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { code, enhanced: None, lines: vec![text.into()] }
    }

    /// 2xx.
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// 5xx.
    pub fn is_permanent(&self) -> bool {
        (500..600).contains(&self.code)
    }

    /// The lines in one, for people and logs.
    pub fn text(&self) -> String {
        self.lines.join(" ")
    }

    /// `*( code "-" text CRLF ) code SP text CRLF`
    pub fn encode(&self, out: &mut Vec<u8>) {
        let prefix = self.enhanced.map(|code| format!("{code} ")).unwrap_or_default();
        let count = self.lines.len().max(1);
        for index in 0..count {
            let text = self.lines.get(index).map_or("", |line| line.as_ref());
            let separator = if index + 1 == count { ' ' } else { '-' };
            out.extend_from_slice(format!("{}{separator}{prefix}", self.code).as_bytes());
            // RFC 5321 §4.5.3.1.5: 512 octets with code and CRLF.
            let room = 512 - 2 - 4 - prefix.len();
            out.extend(shorten(text, room).bytes().map(|octet| if octet < 0x20 || octet == 0x7f { b' ' } else { octet }));
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn shorten(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("")
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        write!(f, " {}", self.text())
    }
}

/// Why bytes are no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReply {
    /// Not `ddd`, a space or hyphen, text.
    Syntax,
    /// A line or the whole past the limits.
    TooLong,
}

/// Takes one complete reply off the front of `input`: the reply and the octets used, or `None` while it is incomplete.
///
/// Lenient where real servers are sloppy: LF alone ends a line, and a bare code without text is a line.
pub fn take(input: &[u8]) -> Result<Option<(Reply, usize)>, NoReply> {
    let mut used = 0;
    let mut reply: Option<Reply> = None;
    loop {
        let rest = input.get(used..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return if rest.len() > limits::REPLY_LINE_BYTES_MAX { Err(NoReply::TooLong) } else { Ok(None) };
        };
        if end > limits::REPLY_LINE_BYTES_MAX {
            return Err(NoReply::TooLong);
        }
        let line = rest.get(..end).unwrap_or_default();
        let (code, last, text) = parse_line(line.strip_suffix(b"\r").unwrap_or(line))?;
        used += end + 1;
        let (enhanced, text) = split_enhanced(code, text);
        match &mut reply {
            None => reply = Some(Reply { code, enhanced, lines: vec![Cow::Owned(text)] }),
            Some(so_far) if so_far.code == code => so_far.lines.push(Cow::Owned(text)),
            Some(_) => return Err(NoReply::Syntax),
        }
        if last {
            return Ok(reply.map(|reply| (reply, used)));
        }
        if reply.as_ref().is_some_and(|reply| reply.lines.len() >= limits::REPLY_LINES_MAX) {
            return Err(NoReply::TooLong);
        }
    }
}

fn parse_line(line: &[u8]) -> Result<(u16, bool, &[u8]), NoReply> {
    let (digits, rest) = line.split_at_checked(3).ok_or(NoReply::Syntax)?;
    let code: u16 = std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok()).ok_or(NoReply::Syntax)?;
    if !(200..600).contains(&code) {
        return Err(NoReply::Syntax);
    }
    match rest.split_first() {
        None => Ok((code, true, b"")),
        Some((b' ', text)) => Ok((code, true, text)),
        Some((b'-', text)) => Ok((code, false, text)),
        Some(_) => Err(NoReply::Syntax),
    }
}

/// An enhanced code in front of the text counts only when its class is the code's (RFC 2034 §4).
fn split_enhanced(code: u16, text: &[u8]) -> (Option<EnhancedCode>, String) {
    let text: String = String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
    match EnhancedCode::parse(word) {
        Some(enhanced) if u16::from(enhanced.0) == code / 100 => (Some(enhanced), rest.to_owned()),
        _ => (None, text),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn both(text: &str) -> Reply {
        let (reply, used) = take(text.as_bytes()).unwrap().unwrap();
        assert_eq!(used, text.len());
        let mut out = Vec::new();
        reply.encode(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), text);
        reply
    }

    #[test]
    fn known_answers_both_ways() {
        assert_eq!(both("250 2.1.0 Originator ok\r\n").enhanced, Some(EnhancedCode(2, 1, 0)));
        let reply = both("250-mx.there.test\r\n250-PIPELINING\r\n250 SIZE 1000\r\n");
        assert_eq!((reply.code, reply.lines.len(), reply.enhanced), (250, 3, None));
        assert_eq!(both("550-5.1.1 Nobody\r\n550 5.1.1 by that name\r\n").text(), "Nobody by that name");
        assert_eq!(both("354 Go\r\n").enhanced, None);
        assert_eq!(both("550 2.1.1 class of another code\r\n").enhanced, None);
    }

    #[test]
    fn sloppy_servers() {
        assert_eq!(take(b"250\n").unwrap().unwrap().0.code, 250);
        assert_eq!(take(b"250 ok\n250 next\n").unwrap().unwrap().1, 7);
        assert_eq!(take(b"250-ok\r\n25").unwrap(), None);
        assert_eq!(take(b"250-ok\r\n251 no\r\n"), Err(NoReply::Syntax));
        assert_eq!(take(b"SSH-2.0-OpenSSH\r\n"), Err(NoReply::Syntax));
        assert_eq!(take(b"999 x\r\n"), Err(NoReply::Syntax));
        assert_eq!(take(&[b'2'; 5000]), Err(NoReply::TooLong));
        assert_eq!(take("250-x\r\n".repeat(200).as_bytes()), Err(NoReply::TooLong));
    }

    #[test]
    fn our_replies_cannot_be_broken_by_text() {
        let mut out = Vec::new();
        Reply::new(550, EnhancedCode(5, 1, 1), format!("a\r\n250 ok{}", "é".repeat(400))).encode(&mut out);
        assert!(out.len() <= 512);
        assert_eq!(out.iter().filter(|&&b| b == b'\n').count(), 1);
        assert!(std::str::from_utf8(&out).is_ok());
    }
}

//! Authentication-Results (RFC 8601) read into values.
//!
//! Invariant: bounded by [`AUTHENTICATION_RESULTS_MAX`] fields and results. A value says only what somebody wrote:
//! whether that somebody is one of ours (RFC 8601 §5) is the caller's question. Must not know: how anything is verified.

use crate::header::fields;
use crate::limits::{AUTHENTICATION_RESULTS_MAX, HEADER_FIELDS_MAX};
use crate::parameter::{comment_end, quoted_string, skip_cfws};

/// One Authentication-Results field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthenticationResults {
    /// Who says so (`authserv-id`), lower-case.
    pub server: String,
    /// Version after the authserv-id; 1 when none is written.
    pub version: u32,
    /// In their order; empty for `none`.
    pub results: Vec<MethodResult>,
}

/// `method=result` with what goes with it (`resinfo`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MethodResult {
    /// `spf`, `dkim`, `dmarc`, ... lower-case.
    pub method: String,
    /// `pass`, `fail`, `none`, ... lower-case.
    pub result: String,
    /// Why, for people.
    pub reason: Option<String>,
    /// `ptype.property=value`: (`header.d`, `example.test`), names lower-case.
    pub properties: Vec<(String, String)>,
}

impl MethodResult {
    /// The value of a property, e.g. `smtp.mailfrom`.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl AuthenticationResults {
    /// The first result of a method.
    pub fn result(&self, method: &str) -> Option<&MethodResult> {
        self.results.iter().find(|result| result.method == method)
    }
}

/// All such fields of a header that can be read, topmost (newest) first.
///
/// ```
/// let all = message::authentication_results::of_header(b"Authentication-Results: mx.here.test; spf=pass smtp.mailfrom=there.test;\r\n dkim=fail (bad) reason=\"body hash\" header.d=there.test\r\n\r\n");
/// assert_eq!(all[0].server, "mx.here.test");
/// assert_eq!(all[0].result("spf").unwrap().property("smtp.mailfrom"), Some("there.test"));
/// assert_eq!(all[0].result("dkim").unwrap().reason.as_deref(), Some("body hash"));
/// ```
pub fn of_header(header: &[u8]) -> Vec<AuthenticationResults> {
    let found = fields(header).take(HEADER_FIELDS_MAX).filter(|f| f.is("authentication-results"));
    found.take(AUTHENTICATION_RESULTS_MAX).filter_map(|f| parse(&f.value_cut())).collect()
}

/// The body of one field: `authserv-id [version] *(";" resinfo)` or `; none` (RFC 8601 §2.2).
///
/// ```
/// let field = message::authentication_results::parse(b"mx.here.test; dmarc=pass header.from=there.test").unwrap();
/// assert_eq!(field.results[0].method, "dmarc");
/// ```
pub fn parse(value: &[u8]) -> Option<AuthenticationResults> {
    let mut reader = Reader { value, at: 0 };
    let server = reader.word(b";")?.to_ascii_lowercase();
    let version = reader.word(b";").and_then(|word| word.parse().ok()).unwrap_or(1);
    let mut out = AuthenticationResults { server, version, results: Vec::new() };
    while reader.next_section() && out.results.len() < AUTHENTICATION_RESULTS_MAX {
        out.results.extend(reader.result());
    }
    Some(out)
}

struct Reader<'a> {
    value: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<u8> {
        self.at = skip_cfws(self.value, self.at);
        self.value.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// A token or a quoted string, up to a blank, a comment or one of `ends`.
    fn word(&mut self, ends: &[u8]) -> Option<String> {
        let first = self.peek()?;
        let text = if first == b'"' {
            let (text, next) = quoted_string(self.value, self.at);
            self.at = next;
            text.to_vec()
        } else {
            let rest = self.value.get(self.at..).unwrap_or_default();
            let len = rest.iter().position(|b| b.is_ascii_whitespace() || *b == b'(' || ends.contains(b)).unwrap_or(rest.len());
            self.at += len;
            rest.get(..len).unwrap_or_default().to_vec()
        };
        let text = String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control()).collect::<String>();
        (first == b'"' || !text.is_empty()).then_some(text)
    }

    /// Behind the next semicolon, whatever stands before it.
    fn next_section(&mut self) -> bool {
        while let Some(byte) = self.value.get(self.at) {
            match byte {
                b';' => {
                    self.at += 1;
                    return true;
                }
                b'(' => self.at = comment_end(self.value, self.at).max(self.at + 1),
                b'"' => self.at = quoted_string(self.value, self.at).1.max(self.at + 1),
                _ => self.at += 1,
            }
        }
        false
    }

    /// `method [/ version] = result [reason = value] *(ptype . property = pvalue)`.
    fn result(&mut self) -> Option<MethodResult> {
        let method = self.word(b"=/;")?.to_ascii_lowercase();
        if self.take(b'/') {
            self.word(b"=;")?;
        }
        if !self.take(b'=') {
            return None;
        }
        let mut out = MethodResult { method, result: self.word(b";")?.to_ascii_lowercase(), ..MethodResult::default() };
        while let Some(byte) = self.peek() {
            if byte == b';' || out.properties.len() >= AUTHENTICATION_RESULTS_MAX {
                break;
            }
            let Some(mut name) = self.word(b"=;.") else { break };
            if self.take(b'.') {
                name = format!("{name}.{}", self.word(b"=;")?);
            }
            if !self.take(b'=') {
                continue;
            }
            // A local part may be quoted: "a b"@c.
            let Some(mut text) = self.word(b";") else { break };
            if self.value.get(self.at) == Some(&b'@') {
                text.extend(self.word(b";"));
            }
            match name.to_ascii_lowercase() {
                name if name == "reason" => out.reason = Some(text),
                name => out.properties.push((name, text)),
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn examples_of_rfc_8601() {
        // Appendix B.1 to B.6.
        let none = parse(b"example.org 1; none").unwrap();
        assert_eq!((none.server.as_str(), none.version, none.results.len()), ("example.org", 1, 0));
        let spf = parse(b"example.com; spf=pass smtp.mailfrom=example.net").unwrap();
        assert_eq!(spf.result("spf").unwrap().property("smtp.mailfrom"), Some("example.net"));
        let two =
            parse(b"example.com;\r\n auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n spf=pass smtp.mailfrom=example.net")
                .unwrap();
        assert_eq!(two.result("auth").unwrap().property("smtp.auth"), Some("sender@example.net"));
        let dkim = parse(b"example.com; dkim=pass reason=\"good signature\" header.i=@mail-router.example.net; dkim=fail reason=\"bad signature\" header.i=@newyork.example.com").unwrap();
        assert_eq!(dkim.results.len(), 2);
        assert_eq!((dkim.results[1].result.as_str(), dkim.results[1].reason.as_deref()), ("fail", Some("bad signature")));
        assert_eq!(dkim.results[0].property("header.i"), Some("@mail-router.example.net"));
        let comments = parse(b"foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n policy (A dot can go here) . (like that) expired\r\n (this surprised me) = (as I wasn't expecting it) 1362471462").unwrap();
        assert_eq!((comments.server.as_str(), comments.version), ("foo.example.net", 1));
        let dkim = comments.result("dkim").unwrap();
        assert_eq!((dkim.result.as_str(), dkim.property("policy.expired")), ("fail", Some("1362471462")));
    }

    #[test]
    fn as_they_are_written() {
        let google = parse(b"mx.google.com;\r\n dkim=pass header.i=@x.test header.s=s1 header.b=\"ab/cd==\";\r\n spf=pass (google.com: domain of a@x.test designates 1.2.3.4; ok) smtp.mailfrom=\"a b\"@x.test;\r\n dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=x.test").unwrap();
        assert_eq!(google.results.iter().map(|r| r.method.as_str()).collect::<Vec<_>>(), ["dkim", "spf", "dmarc"]);
        assert_eq!(google.result("spf").unwrap().property("smtp.mailfrom"), Some("a b@x.test"));
        assert_eq!(google.result("dkim").unwrap().property("header.b"), Some("ab/cd=="));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"x;;;=;a=;b").unwrap().results, []);
        // Microsoft writes results without an authserv-id.
        assert_eq!(parse(b"spf=pass (sender IP is 1.2.3.4) smtp.mailfrom=a.test").unwrap().results, []);
    }

    #[test]
    fn bounded() {
        let value = format!("x; spf=pass {} ; {}", "a.b=c ".repeat(10_000), "d=e;".repeat(10_000));
        let parsed = parse(value.as_bytes()).unwrap();
        assert_eq!(
            (parsed.results.len(), parsed.results[0].properties.len()),
            (AUTHENTICATION_RESULTS_MAX, AUTHENTICATION_RESULTS_MAX)
        );
    }
}

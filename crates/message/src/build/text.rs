//! Texts: canonical line ends and the cheapest encoding that may be used (RFC 2045 §6, RFC 2046 §4.1).

use std::borrow::Cow;

use super::entity::{Body, Entity};
use crate::limits::LINE_BYTES_MAX;
use crate::transfer;

/// What a text may look like on its way.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TextForm {
    /// Octets above 127 may stand as they are.
    pub(super) eight_bit: bool,
    /// Nothing that a careless relay changes: no blanks at line ends (RFC 3156 §3).
    pub(super) strict: bool,
}

/// A text part. `sub` may carry parameters.
pub(crate) fn text_entity<'a>(sub: &str, text: &str, form: TextForm) -> Entity<'a> {
    let (encoding, body) = encode(with_crlf(text), form);
    let (sub, parameters) = sub.split_once(';').map_or((sub, String::new()), |(sub, p)| (sub, format!(";{p}")));
    let fields = format!("Content-Type: text/{sub}; charset=utf-8{parameters}\r\nContent-Transfer-Encoding: {encoding}\r\n");
    Entity::Leaf { fields, body: Body::Octets(Cow::Owned(body)) }
}

/// Every line end as CRLF, and one at the end.
pub(super) fn with_crlf(text: &str) -> String {
    let mut out = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
    if !out.is_empty() && !out.ends_with("\r\n") {
        out.push_str("\r\n");
    }
    out
}

/// As it is where its lines and octets let it, else whichever is shorter.
fn encode(body: String, form: TextForm) -> (&'static str, Vec<u8>) {
    let bearable = |line: &str| {
        let blank_end = form.strict && line.ends_with([' ', '\t']);
        line.len() <= LINE_BYTES_MAX && !line.starts_with("From ") && !blank_end
    };
    let plain = |b: &u8| (b' '..0x7f).contains(b) || matches!(b, b'\t' | b'\r' | b'\n');
    if body.split("\r\n").all(bearable) {
        if body.bytes().all(|b| plain(&b)) {
            return ("7bit", body.into_bytes());
        }
        if form.eight_bit && body.bytes().all(|b| plain(&b) || b > 0x7f) {
            return ("8bit", body.into_bytes());
        }
    }
    let quoted = transfer::quoted_printable_encode(body.as_bytes());
    // Lines of 76 and a CRLF for 57 octets.
    let base64_len = body.len().div_ceil(57) * 78;
    if quoted.len() <= base64_len {
        return ("quoted-printable", quoted);
    }
    ("base64", transfer::base64_encode(body.as_bytes()))
}

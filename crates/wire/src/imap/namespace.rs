//! NAMESPACE (RFC 9051 §6.3.10, RFC 2342).
//!
//! ```abnf
//! namespace-response = "NAMESPACE" SP namespace SP namespace SP namespace
//! namespace          = nil / "(" 1*("(" string SP (DQUOTE QUOTED-CHAR DQUOTE / nil) *(namespace-response-extension) ")") ")"
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::mailbox_name;

/// One namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Namespace {
    pub prefix: String,
    pub delimiter: Option<char>,
}

/// The answer; an empty list is NIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct NamespaceResponse {
    pub personal: Vec<Namespace>,
    pub other_users: Vec<Namespace>,
    pub shared: Vec<Namespace>,
}

impl Namespace {
    fn parse(c: &mut Cursor<'_>) -> Parsed<Namespace> {
        c.open()?;
        let octets = c.string()?;
        let prefix = mailbox_name::decode(c, &octets).unwrap_or_else(|_| String::from_utf8_lossy(&octets).into_owned());
        c.space()?;
        let delimiter = if c.eat_nil() { None } else { String::from_utf8_lossy(&c.string()?).chars().next() };
        while c.eat(b' ') {
            c.skip_value()?;
        }
        c.close()?;
        Ok(Namespace { prefix, delimiter })
    }
    fn encode(&self, e: &mut Encoder) {
        e.raw("(");
        let prefix = if e.utf8 { self.prefix.clone() } else { mailbox_name::encode_utf7(&self.prefix) };
        e.string(prefix.as_bytes());
        e.raw(" ");
        match self.delimiter {
            Some(delimiter) => e.string(delimiter.encode_utf8(&mut [0; 4]).as_bytes()),
            None => e.raw("NIL"),
        }
        e.raw(")");
    }
}

fn namespaces(c: &mut Cursor<'_>) -> Parsed<Vec<Namespace>> {
    c.space()?;
    let mut list = Vec::new();
    if c.eat_nil() {
        return Ok(list);
    }
    c.open()?;
    while c.peek() == Some(b'(') {
        list.push(Namespace::parse(c)?);
        c.skip_spaces();
    }
    c.close()?;
    Ok(list)
}

impl NamespaceResponse {
    /// After `* NAMESPACE`.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<NamespaceResponse> {
        Ok(NamespaceResponse { personal: namespaces(c)?, other_users: namespaces(c)?, shared: namespaces(c)? })
    }
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("NAMESPACE");
        for list in [&self.personal, &self.other_users, &self.shared] {
            if list.is_empty() {
                e.raw(" NIL");
                continue;
            }
            e.raw(" (");
            list.iter().for_each(|namespace| namespace.encode(e));
            e.raw(")");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_ways() {
        for text in [
            r#"NAMESPACE (("" "/")) NIL NIL"#,
            r##"NAMESPACE (("" "/")("#mh/" NIL)) (("~" "/")) (("#shared/" "/")("&2D3c7A-" "\\"))"##,
        ] {
            let mut c = Cursor::new(text.as_bytes());
            assert!(c.eat_text("NAMESPACE"));
            let response = NamespaceResponse::parse(&mut c).unwrap();
            assert!(c.at_end());
            let mut e = Encoder::server(Vec::new(), false);
            response.encode(&mut e);
            assert_eq!(String::from_utf8(e.bytes).unwrap(), text);
        }
        let mut c = Cursor::new(br#" (("" "/" "X-PARAM" ("a" "b"))) NIL NIL"#);
        assert!(NamespaceResponse::parse(&mut c).is_ok());
        assert!(NamespaceResponse::parse(&mut Cursor::new(b" NIL NIL")).is_err());
    }
}

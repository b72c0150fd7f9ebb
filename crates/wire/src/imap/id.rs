//! ID (RFC 2971).
//!
//! ```abnf
//! id             = "ID" SP id-params-list
//! id-params-list = "(" [string SP nstring *(SP string SP nstring)] ")" / nil
//! ```

use super::cursor::{Cursor, Parsed};
use super::encoder::Encoder;
use super::limits::ID_FIELDS_MAX;

/// `id-params-list`: pairs in order; `None` as a whole is NIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Id {
    /// Name and value (NIL is `None`).
    pub fields: Option<Vec<(String, Option<String>)>>,
}

impl Id {
    /// After `ID`. Atoms for strings are tolerated.
    pub(crate) fn parse(c: &mut Cursor<'_>) -> Parsed<Id> {
        c.space()?;
        if c.eat_nil() {
            return Ok(Id { fields: None });
        }
        let mut name: Option<String> = None;
        let mut fields = Vec::new();
        c.list(true, |c| {
            match name.take() {
                None => name = Some(lossy(c)?),
                Some(name) if c.eat_nil() => fields.push((name, None)),
                Some(name) => fields.push((name, Some(lossy(c)?))),
            }
            if fields.len() > ID_FIELDS_MAX { c.error("ID has too many fields") } else { Ok(()) }
        })?;
        if name.is_some() { c.error("a field of ID has no value") } else { Ok(Id { fields: Some(fields) }) }
    }

    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.raw("ID ");
        match &self.fields {
            None => e.raw("NIL"),
            Some(fields) => e.list(fields, |e, (name, value)| {
                e.string(name.as_bytes());
                e.raw(" ");
                e.nstring(value.as_ref().map(String::as_bytes));
            }),
        }
    }
}

fn lossy(c: &mut Cursor<'_>) -> Parsed<String> {
    c.astring().map(|octets| String::from_utf8_lossy(&octets).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Option<String> {
        let mut c = Cursor::new(text.as_bytes());
        c.eat_text("ID").then_some(())?;
        let id = Id::parse(&mut c).ok()?;
        c.end().ok()?;
        let mut e = Encoder::server(Vec::new(), false);
        id.encode(&mut e);
        Some(String::from_utf8(e.bytes).unwrap())
    }

    #[test]
    fn both_ways() {
        for text in ["ID NIL", "ID ()", "ID (\"name\" \"sodr\" \"version\" NIL)"] {
            assert_eq!(read(text).unwrap(), text);
        }
        assert_eq!(read("ID (name x)").unwrap(), "ID (\"name\" \"x\")");
        for bad in ["ID", "ID (\"a\")", "ID x", "ID (NIL NIL NIL)"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let of = |n: usize| read(&format!("ID ({})", vec!["a b"; n].join(" "))).is_some();
        assert!(of(ID_FIELDS_MAX) && !of(ID_FIELDS_MAX + 1));
    }
}

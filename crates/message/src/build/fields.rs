//! Header fields as text: mailboxes, message ids, list fields, free fields; folded, and nothing in them can end a line.

use std::fmt::Write as _;

use super::Mailbox;
use crate::encoded_word;
use crate::limits::LINE_BYTES_WANTED;
use crate::list_fields::ListFields;

/// Why a field cannot be given under this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldNameError {
    /// RFC 5322 §2.2: printable ASCII without a colon, and here at most 76 octets.
    NotAName,
    /// The builder makes it from typed values.
    Ours,
}

impl std::fmt::Display for FieldNameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            FieldNameError::NotAName => "not a name of a field",
            FieldNameError::Ours => "this field is made from typed values",
        })
    }
}

impl std::error::Error for FieldNameError {}

/// May a free field have this name?
///
/// ```
/// use message::build::{FieldNameError, check_field_name};
/// assert_eq!(check_field_name("X-Mailer"), Ok(()));
/// assert_eq!(check_field_name("X: y\r\nBcc"), Err(FieldNameError::NotAName));
/// assert_eq!(check_field_name("Content-Type"), Err(FieldNameError::Ours));
/// ```
pub fn check_field_name(name: &str) -> Result<(), FieldNameError> {
    const OURS: [&str; 12] = [
        "date",
        "from",
        "sender",
        "reply-to",
        "to",
        "cc",
        "bcc",
        "subject",
        "message-id",
        "in-reply-to",
        "references",
        "mime-version",
    ];
    if name.is_empty() || name.len() > 76 || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
        return Err(FieldNameError::NotAName);
    }
    let lower = name.to_ascii_lowercase();
    if OURS.contains(&lower.as_str()) || lower.starts_with("content-") {
        return Err(FieldNameError::Ours);
    }
    Ok(())
}

/// Without control characters, which could end a line.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A header as far as it is written.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) text: String,
}

impl Header {
    /// A field whose body is known to be good.
    pub(super) fn raw(&mut self, name: &str, body: &str) {
        let _ = write!(self.text, "{name}: {body}\r\n");
    }

    /// RFC 5322 §3.6.3; no field without mailboxes.
    pub(super) fn mailboxes(&mut self, name: &str, list: &[Mailbox]) {
        if list.is_empty() {
            return;
        }
        let out = &mut self.text;
        let _ = write!(out, "{name}:");
        let mut column = name.len() + 1;
        for (i, mailbox) in list.iter().enumerate() {
            if i > 0 {
                out.push(',');
                column += 1;
            }
            let mut text = mailbox.encode(column + 1);
            let first_line = text.find("\r\n").unwrap_or(text.len());
            // One more for a comma.
            if column + 2 + first_line > LINE_BYTES_WANTED && column > 1 {
                text = mailbox.encode(1);
                out.push_str("\r\n ");
                column = 1;
            } else {
                out.push(' ');
                column += 1;
            }
            column = text.rfind("\r\n").map_or(column + text.len(), |fold| text.len() - fold - 2);
            out.push_str(&text);
        }
        out.push_str("\r\n");
    }

    /// RFC 5322 §3.6.5.
    pub(super) fn unstructured(&mut self, name: &str, text: &str) {
        let _ = write!(self.text, "{name}: {}\r\n", encoded_word::encode(text, name.len() + 2));
    }

    /// RFC 5322 §3.6.4; no field without ids.
    pub(super) fn message_ids(&mut self, name: &str, ids: &[String]) {
        self.bracketed(name, "", ids.iter().map(|id| id_text(id)));
    }

    /// `<one>,<two>`, folded between them.
    fn bracketed(&mut self, name: &str, comma: &str, items: impl Iterator<Item = String>) {
        let out = &mut self.text;
        let mut column = name.len() + 1;
        for (i, item) in items.enumerate() {
            let before = if i == 0 { format!("{name}:") } else { comma.to_owned() };
            out.push_str(&before);
            let fold = i > 0 && column + item.len() + 4 > LINE_BYTES_WANTED;
            out.push_str(if fold { "\r\n " } else { " " });
            column = if fold { 1 } else { column + 1 + before.len() * usize::from(i > 0) } + item.len() + 2;
            let _ = write!(out, "<{item}>");
        }
        if !out.is_empty() && !out.ends_with("\r\n") {
            out.push_str("\r\n");
        }
    }

    /// RFC 2369, RFC 2919, RFC 8058.
    pub(super) fn list(&mut self, list: &ListFields) {
        if let Some(id) = &list.id {
            let name = list.name.as_deref().map(|name| phrase(name.trim(), "List-Id: ".len()) + " ").unwrap_or_default();
            let fold = if name.len() + id.len() > 60 && !name.is_empty() { "\r\n " } else { "" };
            self.raw("List-Id", &format!("{}{fold}<{}>", name.trim_start(), id_text(id)));
        }
        let fields = [
            ("List-Help", &list.help),
            ("List-Subscribe", &list.subscribe),
            ("List-Unsubscribe", &list.unsubscribe),
            ("List-Post", &list.post),
            ("List-Owner", &list.owner),
            ("List-Archive", &list.archive),
        ];
        for (name, uris) in fields {
            self.bracketed(name, ",", uris.iter().map(|uri| uri_text(uri)));
        }
        if list.post_closed && list.post.is_empty() {
            self.raw("List-Post", "NO");
        }
        if list.one_click && list.unsubscribe.iter().any(|uri| uri.starts_with("https:")) {
            self.raw("List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
        }
    }
}

/// What can stand between the brackets of a message id.
fn id_text(id: &str) -> String {
    id.chars().filter(|c| !c.is_control() && !c.is_whitespace() && *c != '<' && *c != '>').collect()
}

/// What cannot stand in a URI is percent-encoded (RFC 3986 §2.1).
fn uri_text(uri: &str) -> String {
    let mut out = String::with_capacity(uri.len());
    for byte in uri.bytes() {
        if byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

impl Mailbox {
    /// `Name <local@domain>` as a field shows it, starting at `column` of its line.
    fn encode(&self, column: usize) -> String {
        // Where the domain is all that is not ASCII its A-labels do, and SMTPUTF8 is not needed.
        let address = printable(&self.address.ascii().unwrap_or_else(|| self.address.to_string()));
        match self.name.as_deref().map(str::trim).filter(|n| !n.is_empty()) {
            Some(name) => {
                let name = phrase(name, column);
                let last = name.rfind("\r\n").map_or(column + name.len(), |fold| name.len() - fold - 2);
                let fold = if last + address.len() + 4 > LINE_BYTES_WANTED { "\r\n " } else { " " };
                format!("{name}{fold}<{address}>")
            }
            None => address,
        }
    }
}

/// RFC 5322 §3.2.5: atoms as they are, else a quoted string, else encoded-words.
pub(crate) fn phrase(name: &str, column: usize) -> String {
    let atom = |c: char| c.is_ascii() && crate::address::is_atext(c);
    let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
    let short = escaped.len() <= 60 && name.chars().all(|c| c == ' ' || c.is_ascii_graphic()) && !name.contains("=?");
    if short && name.split(' ').all(|w| !w.is_empty() && w.chars().all(atom)) {
        return name.to_owned();
    }
    if short {
        return format!("\"{escaped}\"");
    }
    encoded_word::encode_words(&printable(name), column)
}

//! Header fields in the forms of RFC 8621 §4.1.2 and §4.1.3: `header:Name:asForm:all`.
//!
//! Must not know: where the header comes from.

use icu_normalizer::ComposingNormalizerBorrowed;
use message::address_list::HeaderAddress;
use message::header::{Field, fields};
use message::{date, encoded_word};
use serde_json::{Value, json};

/// How a field is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Raw,
    Text,
    Addresses,
    GroupedAddresses,
    MessageIds,
    Date,
    Urls,
}

/// `header:...`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderProperty {
    pub(crate) name: String,
    pub(crate) form: Form,
    pub(crate) all: bool,
}

const ADDRESSES: [&str; 12] = [
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "resent-from",
    "resent-sender",
    "resent-reply-to",
    "resent-to",
    "resent-cc",
    "resent-bcc",
];
const TEXTS: [&str; 3] = ["subject", "comments", "keywords"];
const IDS: [&str; 4] = ["message-id", "in-reply-to", "references", "resent-message-id"];
const DATES: [&str; 2] = ["date", "resent-date"];
const URLS: [&str; 6] = ["list-help", "list-unsubscribe", "list-subscribe", "list-post", "list-owner", "list-archive"];
/// Defined in RFC 5322, but with no form but the raw one.
const RAW: [&str; 2] = ["return-path", "received"];

/// Which forms a field may be asked in: those its definition allows, and all of a field that RFC 5322 and RFC 2369 do not define.
fn allows(name: &str, form: Form) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.as_str();
    let is_defined =
        ADDRESSES.contains(&name) || IDS.contains(&name) || DATES.contains(&name) || URLS.contains(&name) || RAW.contains(&name);
    let is_other = !is_defined && !TEXTS.contains(&name);
    match form {
        Form::Raw => true,
        Form::Text => !is_defined,
        Form::Addresses | Form::GroupedAddresses => ADDRESSES.contains(&name) || is_other,
        Form::MessageIds => IDS.contains(&name) || is_other,
        Form::Date => DATES.contains(&name) || is_other,
        Form::Urls => URLS.contains(&name) || is_other,
    }
}

impl HeaderProperty {
    /// `None`: not a property, or not a form this field has.
    pub(crate) fn parse(property: &str) -> Option<HeaderProperty> {
        let mut parts = property.strip_prefix("header:")?.split(':');
        let name = parts.next().filter(|name| !name.is_empty() && name.bytes().all(|b| (33..127).contains(&b)))?;
        let mut rest: Vec<&str> = parts.collect();
        let all = rest.last() == Some(&"all");
        if all {
            rest.pop();
        }
        let form = match rest.as_slice() {
            [] => Form::Raw,
            ["asRaw"] => Form::Raw,
            ["asText"] => Form::Text,
            ["asAddresses"] => Form::Addresses,
            ["asGroupedAddresses"] => Form::GroupedAddresses,
            ["asMessageIds"] => Form::MessageIds,
            ["asDate"] => Form::Date,
            ["asURLs"] => Form::Urls,
            _ => return None,
        };
        allows(name, form).then(|| HeaderProperty { name: name.to_owned(), form, all })
    }

    /// Its value in a header: the last field of that name, or all of them.
    pub(crate) fn value(&self, header: &[u8], charset: Option<&[u8]>) -> Value {
        let mut found = fields(header).filter(|field| field.is(&self.name)).map(|field| self.form.value(&field, charset));
        match self.all {
            true => Value::Array(found.collect()),
            false => found.next_back_or_last().unwrap_or(Value::Null),
        }
    }
}

/// The last one of an iterator that runs forward only.
trait Last: Iterator {
    fn next_back_or_last(&mut self) -> Option<Self::Item>;
}

impl<I: Iterator> Last for I {
    fn next_back_or_last(&mut self) -> Option<Self::Item> {
        self.by_ref().last()
    }
}

impl Form {
    pub(crate) fn value(self, field: &Field<'_>, charset: Option<&[u8]>) -> Value {
        match self {
            // §4.1.2.1: what is no UTF-8 is replaced, NUL dropped.
            Form::Raw => json!(String::from_utf8_lossy(field.body).replace('\0', "")),
            Form::Text => json!(text(&field.value(), charset) + blanks_behind(field.body)),
            Form::Addresses => Value::Array(addresses(field)),
            Form::GroupedAddresses => Value::Array(groups(field)),
            Form::MessageIds => bracketed(&field.value(), true),
            Form::Urls => bracketed(&field.value(), false),
            Form::Date => date::parse_rfc_5322(&field.value()).map_or(Value::Null, |date| json!(date.rfc_3339())),
        }
    }
}

/// Unfolded, decoded, without spaces in front (§4.1.2.2): composed, and without the control characters that only an encoded word
/// brings.
fn text(value: &[u8], charset: Option<&[u8]>) -> String {
    plain(encoded_word::decode_in(value, charset).trim_start_matches(' '))
}

/// Blanks at the end of a field, which stay (§4.1.2.2): none where there is nothing else.
fn blanks_behind(body: &[u8]) -> &str {
    let body = body.trim_ascii_start();
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    let body = body.strip_suffix(b"\r").unwrap_or(body);
    let end = body.iter().rposition(|octet| !matches!(octet, b' ' | b'\t')).map_or(body.len(), |at| at + 1);
    body.get(end..).and_then(|blanks| std::str::from_utf8(blanks).ok()).unwrap_or_default()
}

fn plain(text: &str) -> String {
    let kept: String = text.chars().filter(|c| *c == '\t' || !c.is_control()).collect();
    ComposingNormalizerBorrowed::new_nfc().normalize(&kept).into_owned()
}

fn name_of(entry: &HeaderAddress<'_>) -> Option<String> {
    entry.name().map(|name| plain(name.trim()))
}

fn address(entry: &HeaderAddress<'_>) -> Option<Value> {
    let email = entry.address()?;
    Some(json!({"name": name_of(entry).filter(|name| !name.is_empty()), "email": email}))
}

fn addresses(field: &Field<'_>) -> Vec<Value> {
    field.addresses().iter().filter_map(address).collect()
}

/// Those outside groups between two groups are a group without a name.
fn groups(field: &Field<'_>) -> Vec<Value> {
    let mut groups: Vec<(Option<String>, Vec<Value>)> = Vec::new();
    let mut open = false;
    for entry in &field.addresses() {
        match entry {
            HeaderAddress::Group(_) => {
                groups.push((name_of(entry), Vec::new()));
                open = true;
            }
            HeaderAddress::GroupEnd => open = false,
            HeaderAddress::Mailbox { .. } => {
                if !open && !matches!(groups.last(), Some((None, _))) {
                    groups.push((None, Vec::new()));
                }
                if let (Some((_, list)), Some(one)) = (groups.last_mut(), address(entry)) {
                    list.push(one);
                }
            }
        }
    }
    groups.into_iter().map(|(name, addresses)| json!({"name": name, "addresses": addresses})).collect()
}

/// What stands in angle brackets; null where nothing does. Comments and what is quoted outside of them say nothing.
fn bracketed(value: &[u8], ids: bool) -> Value {
    let text = String::from_utf8_lossy(value);
    let (mut found, mut outside) = (Vec::new(), String::new());
    let mut inside: Option<String> = None;
    let (mut comments, mut is_quoted) = (0usize, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, &mut inside) {
            ('\\', None) if is_quoted || comments > 0 => drop(chars.next()),
            ('"', None) if comments == 0 => is_quoted = !is_quoted,
            (_, None) if is_quoted => {}
            ('(', None) => comments += 1,
            (')', None) => comments = comments.saturating_sub(1),
            (_, None) if comments > 0 => {}
            ('<', None) => inside = Some(String::new()),
            (c, None) => outside.push(c),
            ('>', Some(one)) => {
                found.extend(Some(std::mem::take(one)).filter(|one| !one.is_empty()));
                inside = None;
            }
            (c, Some(_)) if c.is_whitespace() => {}
            (c, Some(one)) => one.push(c),
        }
    }
    // An id without its brackets is still one to whoever wrote it.
    if found.is_empty() && ids {
        found.extend(outside.split_whitespace().filter(|word| word.contains('@')).map(str::to_owned));
    }
    if found.is_empty() { Value::Null } else { json!(found) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ask(property: &str, header: &str) -> Value {
        HeaderProperty::parse(property).unwrap().value(header.as_bytes(), None)
    }

    #[test]
    fn forms_of_rfc_8621() {
        // §4.1.2.3 and §4.1.2.4.
        let header = "To: \"  James Smythe\" <james@example.com>, Friends:\r\n jane@example.com, =?UTF-8?Q?John_Sm=C3=AEth?=\r\n <john@example.com>;\r\nMessage-ID: <1234@local.machine.example>\r\nreferences: <a@x> (c) <b@x>\r\nDate: Thu, 13 Feb 1969 23:32:54 -0330\r\nList-Post: <mailto:a@b>, <https://x/y>\r\nX: one\r\nx:  two \r\nSubject: =?utf-8?Q?=E2=98=BA?=\r\n folded\r\n\r\n";
        assert_eq!(
            ask("header:To:asGroupedAddresses", header),
            json!([
                {"name": null, "addresses": [{"name": "James Smythe", "email": "james@example.com"}]},
                {"name": "Friends", "addresses": [
                    {"name": null, "email": "jane@example.com"}, {"name": "John Smîth", "email": "john@example.com"},
                ]},
            ])
        );
        assert_eq!(ask("header:to:asAddresses", header).as_array().unwrap().len(), 3);
        assert_eq!(ask("header:Message-ID:asMessageIds", header), json!(["1234@local.machine.example"]));
        assert_eq!(ask("header:References:asMessageIds", header), json!(["a@x", "b@x"]));
        assert_eq!(ask("header:Date:asDate", header), json!("1969-02-13T23:32:54-03:30"));
        assert_eq!(ask("header:List-Post:asURLs", header), json!(["mailto:a@b", "https://x/y"]));
        assert_eq!(ask("header:X", header), json!("  two "));
        assert_eq!(ask("header:X:all", header), json!([" one", "  two "]));
        assert_eq!(
            ask("header:x:asText:all", header),
            json!(["one", "two "]),
            "only \"SP characters at the beginning\" are removed"
        );
        assert_eq!(ask("header:Subject:asText", header), json!("☺ folded"));
        let spaces = "A: =?utf-8?Q?_a_?=\r\nB:\t b\t\r\nC:  \r\nD:\r\n  d \r\n";
        for (name, wanted) in [("A", "a "), ("B", "b\t"), ("C", ""), ("D", "d ")] {
            assert_eq!(ask(&format!("header:{name}:asText"), spaces), json!(wanted), "{name}");
        }
        assert_eq!(ask("header:Missing", header), Value::Null);
        assert_eq!(ask("header:Missing:all", header), json!([]));
    }

    /// §4.1.2: "Any NUL octet MUST be dropped", "Any NUL octets or control characters encoded per RFC 2047 are dropped", NFC,
    /// "comments [...] removed".
    #[test]
    fn what_is_odd_in_a_field_is_left_out_as_the_forms_say() {
        let header = "X: a\0b\r\nSubject: =?utf-8?Q?a=00=0Ab=7F?= e\u{301}\r\nFrom: =?utf-8?Q?Ze=CC=81=00?= <z@x>\r\nMessage-ID: (not <c@x>) <a@b>\r\n\
            References: \"<q@x>\" <a\r\n @b> (<no@x> \\) ) <c@d>\r\nIn-Reply-To: a@b (old) c@d\r\nList-Post: NO (posting <not> allowed)\r\n\
            List-Help: (<x>) <ftp://h/a> (FTP)\r\nList-Id: A list <l.x.test>\r\n\r\n";
        assert_eq!(ask("header:X", header), json!(" ab"));
        assert_eq!(ask("header:Subject:asText", header), json!("ab \u{e9}"));
        assert_eq!(ask("header:From:asAddresses", header), json!([{"name": "Z\u{e9}", "email": "z@x"}]));
        assert_eq!(ask("header:Message-ID:asMessageIds", header), json!(["a@b"]));
        assert_eq!(ask("header:References:asMessageIds", header), json!(["a@b", "c@d"]));
        assert_eq!(ask("header:In-Reply-To:asMessageIds", header), json!(["a@b", "c@d"]));
        assert_eq!(ask("header:List-Post:asURLs", header), Value::Null);
        assert_eq!(ask("header:List-Help:asURLs", header), json!(["ftp://h/a"]));
        // List-Id is of neither RFC 5322 nor RFC 2369: it has every form.
        assert_eq!(ask("header:List-Id:asMessageIds", header), json!(["l.x.test"]));
        assert_eq!(ask("header:List-Id:asText", header), json!("A list <l.x.test>"));
        let raw = HeaderProperty::parse("header:X").map(|asked| asked.value(b"X: \xe4\r\n\r\n", Some(b"iso-8859-1")));
        assert_eq!(raw, Some(json!(" \u{fffd}")));
    }

    #[test]
    fn a_form_that_a_field_has_not_is_refused() {
        for wrong in [
            "header:",
            "header:From:asText",
            "header:Subject:asDate",
            "header:Date:asAddresses",
            "header:X:asNothing",
            "header:X:all:asText",
            "header:Na me",
            "Header:X",
        ] {
            assert_eq!(HeaderProperty::parse(wrong), None, "{wrong}");
        }
    }
}

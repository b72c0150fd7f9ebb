//! Mozilla's autoconfig files (`config-v1.1.xml`): which servers a provider names, and how one signs in there.
//!
//! Reads as much of XML as these files have, from anybody: unknown elements are passed over, plain text without TLS too.
//! Must not know: where the file came from.

use crate::place::{Place, Protocol};

/// Servers taken from one file.
const SERVERS_MAX: usize = 32;
/// Octets of one value.
const VALUE_BYTES_MAX: usize = 512;

/// One server of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where.
    pub place: Place,
    /// As whom.
    pub login: String,
    /// It takes no password, only a token.
    pub oauth_only: bool,
}

#[derive(Default)]
struct Begun {
    kind: String,
    host: String,
    port: String,
    socket: String,
    login: String,
    ways: Vec<String>,
}

enum Token<'a> {
    Open(&'a str, &'a str),
    Close(&'a str),
    Text(&'a str),
}

/// The next token and what is behind it; comments and declarations are no tokens.
fn token(mut text: &str) -> Option<(Token<'_>, &str)> {
    loop {
        let Some(inside) = text.strip_prefix('<') else {
            let end = text.find('<').unwrap_or(text.len());
            let (words, rest) = text.split_at_checked(end)?;
            return if words.is_empty() { None } else { Some((Token::Text(words), rest)) };
        };
        if let Some(comment) = inside.strip_prefix("!--") {
            text = comment.split_once("-->")?.1;
            continue;
        }
        if inside.starts_with(['!', '?']) {
            text = inside.split_once('>')?.1;
            continue;
        }
        let (tag, rest) = inside.split_once('>')?;
        return Some(match tag.strip_prefix('/') {
            Some(name) => (Token::Close(name.trim()), rest),
            None => {
                let tag = tag.trim_end_matches('/');
                let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
                (Token::Open(name, attributes), rest)
            }
        });
    }
}

fn attribute(attributes: &str, name: &str) -> Option<String> {
    let (_, rest) = attributes.split_once(name)?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    rest.get(1..)?.split_once(quote).map(|(value, _)| value.to_ascii_lowercase())
}

/// XML's five entities; `%EMAILADDRESS%` and its parts.
fn filled(text: &str, address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let text = text.trim();
    let text =
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&");
    text.replace("%EMAILADDRESS%", address).replace("%EMAILLOCALPART%", local).replace("%EMAILDOMAIN%", domain)
}

fn server(begun: Begun, address: &str) -> Option<Server> {
    let (protocol, implicit_port, plain_port, schemes) = match begun.kind.as_str() {
        "imap" => (Protocol::Imap, 993, 143, ["imaps", "imap"]),
        "pop3" => (Protocol::Pop3, 995, 110, ["pop3s", "pop3"]),
        "smtp" => (Protocol::Smtp, 465, 587, ["smtps", "smtp"]),
        _ => return None,
    };
    let implicit_tls = match begun.socket.to_ascii_lowercase().as_str() {
        "ssl" | "tls" => true,
        "starttls" => false,
        _ => return None,
    };
    let port =
        if begun.port.is_empty() { Some(if implicit_tls { implicit_port } else { plain_port }) } else { begun.port.parse().ok() };
    let scheme = if implicit_tls { schemes[0] } else { schemes[1] };
    // Through the same door as what people write: a host is a host there or nothing.
    let place = Place::parse(&format!("{scheme}://{}:{}", begun.host, port?)).ok()?;
    let fine = place.user.is_empty() && place.protocol == protocol && !begun.login.contains(char::is_control);
    let login = if begun.login.is_empty() { address.to_owned() } else { begun.login };
    let oauth_only = !begun.ways.is_empty() && begun.ways.iter().all(|way| way.eq_ignore_ascii_case("oauth2"));
    fine.then_some(Server { place, login, oauth_only })
}

/// What a file says for this address, in its order.
pub fn servers(xml: &[u8], address: &str) -> Vec<Server> {
    let xml = String::from_utf8_lossy(xml);
    let mut rest: &str = &xml;
    let mut found = Vec::new();
    let mut begun: Option<Begun> = None;
    let mut element = "";
    while let Some((token, behind)) = token(rest) {
        rest = behind;
        match token {
            Token::Open(name @ ("incomingServer" | "outgoingServer"), attributes) => {
                let usual = if name == "outgoingServer" { "smtp" } else { "" };
                let kind = attribute(attributes, "type").unwrap_or_else(|| usual.to_owned());
                begun = Some(Begun { kind, ..Begun::default() });
            }
            Token::Open(name, _) => element = name,
            Token::Text(text) if text.len() <= VALUE_BYTES_MAX => {
                if let Some(begun) = &mut begun {
                    let value = filled(text, address);
                    let field = match element {
                        "hostname" => &mut begun.host,
                        "port" => &mut begun.port,
                        "socketType" => &mut begun.socket,
                        "username" => &mut begun.login,
                        "authentication" => {
                            begun.ways.push(value);
                            continue;
                        }
                        _ => continue,
                    };
                    if field.is_empty() {
                        *field = value;
                    }
                }
            }
            Token::Close("incomingServer" | "outgoingServer") => {
                found.extend(begun.take().and_then(|begun| server(begun, address)));
                if found.len() >= SERVERS_MAX {
                    break;
                }
            }
            Token::Close(_) => element = "",
            Token::Text(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"<?xml version="1.0" encoding="UTF-8"?><!-- <incomingServer type="imap"> -->
<clientConfig version="1.1"><emailProvider id="example.org"><domain>example.org</domain>
  <incomingServer type="imap"><hostname>in.%EMAILDOMAIN%</hostname><port>143</port><socketType>plain</socketType></incomingServer>
  <incomingServer type = 'IMAP'>
    <hostname> imap.example.net </hostname><port>993</port><socketType>SSL</socketType>
    <authentication>OAuth2</authentication><authentication>password-cleartext</authentication>
    <username>%EMAILLOCALPART%</username>
  </incomingServer>
  <incomingServer type="pop3"><hostname>pop.example.net</hostname><socketType>STARTTLS</socketType></incomingServer>
  <outgoingServer type="smtp"><hostname>smtp.example.net</hostname><port>465</port><socketType>SSL</socketType>
    <username>a&amp;b</username><authentication>OAuth2</authentication></outgoingServer>
  <outgoingServer type="smtp"><hostname>bad host</hostname><port>0</port><socketType>SSL</socketType></outgoingServer>
</emailProvider></clientConfig>"#;

    #[test]
    fn what_a_provider_names() {
        let found = servers(FILE.as_bytes(), "me@example.org");
        let told: Vec<_> =
            found.iter().map(|s| (s.place.to_string(), s.place.implicit_tls, s.login.as_str(), s.oauth_only)).collect();
        let expected = [
            ("imap.example.net:993".to_owned(), true, "me", false),
            ("pop.example.net:110".to_owned(), false, "me@example.org", false),
            ("smtp.example.net:465".to_owned(), true, "a&b", true),
        ];
        assert_eq!(told, expected, "no TLS, no server");
    }

    #[test]
    fn whatever_comes_nothing_breaks() {
        for end in 0..FILE.len() {
            servers(FILE.as_bytes().get(..end).unwrap_or_default(), "me@example.org");
        }
        for odd in ["<", "<<<>>>", "</>", "<incomingServer type=>", "<incomingServer type=\"", "<!--", "&&", "<a b='>'>"] {
            assert_eq!(servers(odd.as_bytes(), "x"), []);
        }
    }
}

//! Options of the way out: source addresses, the smarthost, and routes by domain.

use super::OptionBlock;
use crate::config::reader::{Item, domain};
use crate::config::{Relay, RelayTls};

pub(super) const SOURCES: OptionBlock = OptionBlock {
    name: "outbound.source_addresses",
    doc: "Addresses of this machine that outgoing connections come from: the first IPv4 and the first IPv6 one. Empty: the system chooses.",
    default: "[]",
    example: "[\"192.0.2.1\", \"2001:db8::1\"]",
    read: |config, item| {
        if let Some(list) = item.list_of(|text| text.parse().map_err(|_| format!("\"{text}\" is not an address"))) {
            config.sources = list;
        }
    },
    refused: &["\"192.0.2.1\"", "[\"192.0.2.1:25\"]", "[\"mx.example.org\"]", "[1]"],
};

pub(super) const NAMELESS_IPV6: OptionBlock = OptionBlock {
    name: "outbound.nameless_ipv6",
    doc: "Send over IPv6 also when our address has no name in DNS (PTR). Large receivers refuse such mail.",
    default: "false",
    example: "true",
    read: |config, item| {
        if let Some(yes) = item.boolean() {
            config.nameless_ipv6 = yes;
        }
    },
    refused: &["\"yes\"", "1"],
};

fn host(relay: &mut Relay, item: &mut Item<'_, '_>) {
    if let Some(host) = item.text() {
        match host.parse::<std::net::IpAddr>().map(|ip| ip.to_string()).or_else(|_| domain(&host)) {
            Ok(host) => relay.host = host,
            Err(message) => item.problem(message),
        }
    }
}

fn port(relay: &mut Relay, item: &mut Item<'_, '_>) {
    if let Some(port) = item.port() {
        relay.port = port;
    }
}

fn tls(relay: &mut Relay, item: &mut Item<'_, '_>) {
    let words = [
        ("none", RelayTls::None),
        ("opportunistic", RelayTls::Opportunistic),
        ("starttls", RelayTls::StartTls),
        ("tls", RelayTls::Tls),
    ];
    if let Some(choice) = item.choice(&words) {
        relay.tls = choice;
    }
}

fn username(relay: &mut Relay, item: &mut Item<'_, '_>) {
    if let Some(name) = item.text() {
        if name.is_empty() {
            item.problem("wants a name");
        }
        relay.username = Some(name);
    }
}

fn password_file(relay: &mut Relay, item: &mut Item<'_, '_>) {
    let Some(path) = item.readable_file() else { return };
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    match text.lines().next() {
        Some(line) if !line.is_empty() => relay.password = Some(line.to_owned()),
        _ => item.problem(format!("{} has no password in its first line", path.display())),
    }
}

pub(super) const RELAY_HOST: OptionBlock = OptionBlock {
    name: "outbound.relay.host",
    doc: "A smarthost that takes all mail for elsewhere. Without [outbound.relay] mail goes by MX.",
    default: "",
    example: "\"smtp.example.net\"",
    read: |config, item| host(config.relay_mut(), item),
    refused: &["\"\"", "\"a b\"", "1"],
};

pub(super) const RELAY_PORT: OptionBlock = OptionBlock {
    name: "outbound.relay.port",
    doc: "Its port; without one 465 for tls, 587 for starttls, 25 for the others.",
    default: "",
    example: "465",
    read: |config, item| port(config.relay_mut(), item),
    refused: &["0", "\"465\""],
};

pub(super) const RELAY_TLS: OptionBlock = OptionBlock {
    name: "outbound.relay.tls",
    doc: "\"none\", \"opportunistic\" (STARTTLS when offered, with any certificate), \"starttls\" or \"tls\" (from the first octet, the default); the last two verify the certificate against the host's name.",
    default: "",
    example: "\"tls\"",
    read: |config, item| tls(config.relay_mut(), item),
    refused: &["\"ssl\"", "true"],
};

pub(super) const RELAY_USERNAME: OptionBlock = OptionBlock {
    name: "outbound.relay.username",
    doc: "Sign in as this user; needs verified TLS and a password_file.",
    default: "",
    example: "\"me\"",
    read: |config, item| username(config.relay_mut(), item),
    refused: &["\"\"", "1"],
};

pub(super) const RELAY_PASSWORD_FILE: OptionBlock = OptionBlock {
    name: "outbound.relay.password_file",
    doc: "A file whose first line is the password.",
    default: "",
    example: "\"relay.password\"",
    read: |config, item| password_file(config.relay_mut(), item),
    refused: &["\"missing.password\"", "\"/dev/null\"", "1"],
};

pub(super) const ROUTE_MX: OptionBlock = OptionBlock {
    name: "outbound.routes.DOMAIN.mx",
    doc: "Mail for this one domain goes by MX, though there is a smarthost for all other. There is such a table for each domain, its name in quotes.",
    default: "",
    example: "true",
    read: |config, item| {
        if let Some(yes) = item.boolean() {
            config.route_mut().mx = yes;
        }
    },
    refused: &["\"yes\"", "1"],
};

pub(super) const ROUTE_HOST: OptionBlock = OptionBlock {
    name: "outbound.routes.DOMAIN.host",
    doc: "Or to this server instead: its name, its address, or (for LMTP) \"unix:/path\".",
    default: "",
    example: "\"smtp.partner.example\"",
    read: |config, item| match item.text() {
        Some(text) if text.starts_with("unix:") => match text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            Some(path) => config.route_mut().socket = Some(path.into()),
            None => item.problem("a Unix socket is written \"unix:/path\", from the root"),
        },
        Some(_) => host(&mut config.route_mut().relay, item),
        None => {}
    },
    refused: &["\"\"", "\"a b\"", "1", "\"unix:relative\""],
};

pub(super) const ROUTE_PORT: OptionBlock = OptionBlock {
    name: "outbound.routes.DOMAIN.port",
    doc: "Its port; without one 465 for tls, 587 for starttls, 25 for the others, 24 for LMTP.",
    default: "",
    example: "587",
    read: |config, item| port(&mut config.route_mut().relay, item),
    refused: &["0", "\"465\""],
};

pub(super) const ROUTE_LMTP: OptionBlock = OptionBlock {
    name: "outbound.routes.DOMAIN.lmtp",
    doc: "It is spoken to by LMTP (RFC 2033): a mailbox server such as Dovecot.",
    default: "",
    example: "false",
    read: |config, item| {
        if let Some(yes) = item.boolean() {
            config.route_mut().lmtp = yes;
        }
    },
    refused: &["\"yes\"", "1"],
};

pub(super) const ROUTE_TLS: OptionBlock = OptionBlock {
    name: "outbound.routes.DOMAIN.tls",
    doc: "\"none\", \"opportunistic\" (STARTTLS when offered, with any certificate), \"starttls\" or \"tls\" (from the first octet, the default); the last two verify the certificate against the host's name. LMTP has \"none\" without it.",
    default: "",
    example: "\"starttls\"",
    read: |config, item| tls(&mut config.route_mut().relay, item),
    refused: &["\"ssl\"", "true"],
};

pub(super) const ROUTE_USERNAME: OptionBlock = OptionBlock {
    name: "outbound.routes.DOMAIN.username",
    doc: "Sign in as this user; needs verified TLS and a password_file.",
    default: "",
    example: "\"me\"",
    read: |config, item| username(&mut config.route_mut().relay, item),
    refused: &["\"\"", "1"],
};

pub(super) const ROUTE_PASSWORD_FILE: OptionBlock = OptionBlock {
    name: "outbound.routes.DOMAIN.password_file",
    doc: "A file whose first line is the password.",
    default: "",
    example: "\"relay.password\"",
    read: |config, item| password_file(&mut config.route_mut().relay, item),
    refused: &["\"missing.password\"", "\"/dev/null\"", "1"],
};

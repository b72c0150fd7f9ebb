//! The options: one block each, with name, words, default, check, and values that pass and that do not.
//!
//! A default is TOML text read by the option's own check, so what is printed is what happens. A new option is one new
//! block here and its line in [`OPTIONS`]; its examples are tested without further work.

mod imap;
mod inbound;
mod links;
mod push;
mod queue;
mod relay;
mod sign_in;

use super::reader::{Item, domain, endpoint, socket_address};
use super::{Config, Service};
use server::context::Plaintext;
use std::fmt::Write as _;
use std::path::Path;

/// The table of one domain's route, in the names of its options; a file has the domain there.
pub(crate) const ROUTE_TABLE: &str = "outbound.routes.DOMAIN";
const ROUTE_EXAMPLE: &str = "outbound.routes.\"partner.example\"";

/// One option.
pub(crate) struct OptionBlock {
    /// Full name, tables parted by dots.
    pub(crate) name: &'static str,
    /// What it does, for people.
    pub(crate) doc: &'static str,
    /// TOML text of the default; empty when there is none.
    pub(crate) default: &'static str,
    /// TOML text that shows how it is written.
    pub(crate) example: &'static str,
    /// Reads the value into the configuration, or reports.
    pub(crate) read: fn(&mut Config, &mut Item<'_, '_>),
    /// TOML texts that must be refused.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(crate) refused: &'static [&'static str],
}

impl OptionBlock {
    /// Has to be in the file.
    pub(crate) fn is_required(&self) -> bool {
        matches!(self.name, "hostname" | "data_dir" | "domains")
    }
}

/// All of them, in the order of the reference.
pub(crate) const OPTIONS: &[OptionBlock] = &[
    HOSTNAME,
    DATA_DIR,
    DOMAINS,
    MESSAGE_BYTES_MAX,
    UNDO_DAYS,
    FREE_BYTES_MIN,
    FREE_BYTES_TIGHT,
    USER,
    LISTEN_SMTP,
    LISTEN_SUBMISSION,
    LISTEN_SUBMISSIONS,
    LISTEN_LMTP,
    LISTEN_IMAP,
    LISTEN_IMAPS,
    LISTEN_POP3,
    LISTEN_POP3S,
    LISTEN_HTTP,
    LISTEN_HTTPS,
    LISTEN_PROXY_FROM,
    LISTEN_XCLIENT_FROM,
    TLS_CERTIFICATE,
    TLS_PRIVATE_KEY,
    TLS_SELF_SIGNED,
    TLS_STRICT_TRANSPORT_DAYS,
    AUTH_PLAINTEXT,
    sign_in::AUTH_MECHANISMS,
    sign_in::AUTH_CLIENT_CERTIFICATES,
    sign_in::AUTH_CLIENT_CA,
    sign_in::OAUTH_ISSUER,
    sign_in::OAUTH_AUDIENCE,
    sign_in::OAUTH_CLAIM,
    sign_in::OAUTH_JWKS_FILE,
    sign_in::OAUTH_JWKS_URL,
    DNS_SERVERS,
    OUTBOUND_PORT,
    OUTBOUND_CA_FILE,
    queue::DNSSEC,
    queue::MTA_STS,
    queue::TLS_REPORTS,
    relay::SOURCES,
    relay::NAMELESS_IPV6,
    relay::RELAY_HOST,
    relay::RELAY_PORT,
    relay::RELAY_TLS,
    relay::RELAY_USERNAME,
    relay::RELAY_PASSWORD_FILE,
    relay::ROUTE_MX,
    relay::ROUTE_HOST,
    relay::ROUTE_PORT,
    relay::ROUTE_LMTP,
    relay::ROUTE_TLS,
    relay::ROUTE_USERNAME,
    relay::ROUTE_PASSWORD_FILE,
    inbound::DMARC,
    inbound::TEMP_ERRORS,
    inbound::SPF_REFUSE,
    inbound::DNSBL,
    inbound::DNSWL,
    inbound::GREYLIST,
    inbound::TRUSTED_SEALERS,
    inbound::HELO,
    inbound::GREETING_DELAY,
    inbound::SLOW_ANSWER,
    inbound::MESSAGES_PER_HOUR,
    inbound::CONNECTIONS_PER_MINUTE,
    inbound::NO_SOLICITING,
    inbound::JUDGE_LOOPBACK,
    inbound::REPORTS,
    inbound::ARC_SEAL,
    inbound::SRS,
    links::PRIVATE_ADDRESSES,
    push::PRIVATE_ADDRESSES,
    imap::CAPABILITIES_OFF,
    imap::MESSAGES_MAX,
    imap::SAVED_MAX,
    imap::JMAP_URL,
    imap::QUOTA_ADMINISTRATORS,
    LIMITS_MESSAGES,
    LIMITS_RECIPIENTS,
    LIMITS_RECIPIENTS_MAX,
    LIMITS_POP3_LOGIN_DELAY,
    LIMITS_FOREIGN_SENDER,
    LIMITS_SILENCE,
    LIMITS_SIGN_IN,
    LIMITS_BYTES_PER_SEC,
    LIMITS_HANDSHAKE,
    LIMITS_CONNECTIONS_PER_IP,
    LIMITS_CONNECTIONS,
    queue::FIRST_TIME_PER_HOUR,
    queue::MESSAGES_PER_DAY,
    queue::RECIPIENTS_PER_DAY,
    queue::FIRST_TIME_PER_DAY,
    queue::TRACE_DAYS,
    queue::TRACE_EVENTS_MAX,
];

const HOSTNAME: OptionBlock = OptionBlock {
    name: "hostname",
    doc: "The full name of this machine: in greetings, in Received fields, in the self-signed certificate.",
    default: "",
    example: "\"mail.example.org\"",
    read: |config, item| {
        if let Some(name) = item.host_name() {
            config.hostname = name;
        }
    },
    refused: &["\"\"", "\"two words\"", "\"-a.org\"", "\"b\u{fc}ro.de\"", "7"],
};

const DATA_DIR: OptionBlock = OptionBlock {
    name: "data_dir",
    doc: "Where everything is kept; made with mode 0700 when it is missing.",
    default: "",
    example: "\"/var/lib/packetboat\"",
    read: |config, item| {
        if let Some(path) = item.path() {
            if path.exists() && !path.is_dir() {
                item.problem(format!("{} is not a folder", path.display()));
            }
            config.data_dir = path;
        }
    },
    refused: &["\"\"", "1", "\"/dev/null\""],
};

const DOMAINS: OptionBlock = OptionBlock {
    name: "domains",
    doc: "The domains whose mail ends here. This file is the truth about them; the program never writes it.",
    default: "",
    example: "[\"example.org\"]",
    read: |config, item| {
        let before = item.problem_count();
        let Some(mut list) = item.list_of(domain) else { return };
        if list.is_empty() && item.problem_count() == before {
            item.problem("wants at least one domain");
        }
        list.sort();
        if list.windows(2).any(|pair| pair.first() == pair.get(1)) {
            item.problem("names a domain twice");
        }
        config.domains = list;
    },
    refused: &["[]", "\"example.org\"", "[\"a b\"]", "[1]", "[\"a.org\", \"A.org\"]"],
};

const MESSAGE_BYTES_MAX: OptionBlock = OptionBlock {
    name: "message_bytes_max",
    doc: "The largest message taken, in octets (SMTP's SIZE, IMAP's APPENDLIMIT).",
    default: "52428800",
    example: "52428800",
    read: |config, item| {
        if let Some(number) = item.number(65_536, 2_147_483_648) {
            config.message_bytes_max = number;
        }
    },
    refused: &["0", "\"50M\"", "-1", "99999999999"],
};

const UNDO_DAYS: OptionBlock = OptionBlock {
    name: "undo_days",
    doc: "Days an expunged message can be brought back, outside the quota.",
    default: "30",
    example: "30",
    read: |config, item| {
        if let Some(number) = item.number(0, 3_650).and_then(|number| u32::try_from(number).ok()) {
            config.undo_days = number;
        }
    },
    refused: &["-1", "4000", "\"30\"", "1.5"],
};

const FREE_BYTES_MIN: OptionBlock = OptionBlock {
    name: "free_bytes_min",
    doc: "With less than this free on the disk new mail is put off (452); reading and deleting go on.",
    default: "268435456",
    example: "268435456",
    read: |config, item| {
        if let Some(number) = item.number(0, u64::MAX) {
            config.free_bytes_min = number;
        }
    },
    refused: &["-1", "\"256M\""],
};

const FREE_BYTES_TIGHT: OptionBlock = OptionBlock {
    name: "free_bytes_tight",
    doc: "With less than this free (but more than free_bytes_min) what can be undone is let go early, oldest first.",
    default: "536870912",
    example: "536870912",
    read: |config, item| {
        if let Some(number) = item.number(0, u64::MAX) {
            config.free_bytes_tight = number;
        }
    },
    refused: &["-1", "true"],
};

const USER: OptionBlock = OptionBlock {
    name: "user",
    doc: "Started as root, the server goes on as this user once its ports are bound. When the file does not name one and the default does not exist, it becomes the owner of data_dir; if that is root, it stays root and says so.",
    default: "\"packetboat\"",
    example: "\"packetboat\"",
    read: |config, item| {
        if let Some(name) = item.text() {
            if name.is_empty() || name.contains([':', '/', '\n']) {
                item.problem("wants the name of a user");
            }
            config.user = name;
        }
    },
    refused: &["\"\"", "1000", "\"a:b\""],
};

/// Reads the addresses of one `[listen]` key.
fn listen(config: &mut Config, item: &mut Item<'_, '_>, service: Service) {
    let unix_allowed = service == Service::Lmtp;
    if let Some(list) = item.list_of(|text| endpoint(text, unix_allowed)) {
        config.listen.extend(list.into_iter().map(|endpoint| (service, endpoint)));
    }
}

const REFUSED_ADDRESSES: &[&str] =
    &["\"0.0.0.0:25\"", "[\"25\"]", "[\"localhost:25\"]", "[25]", "[\"unix:/run/x\"]", "[\"1.2.3.4:70000\"]"];

const LISTEN_SMTP: OptionBlock = OptionBlock {
    name: "listen.smtp",
    doc: "Mail from other servers: a list of \"ip:port\". Port 0 is any free port. An empty or missing list is off.",
    default: "[]",
    example: "[\"0.0.0.0:25\", \"[::]:25\"]",
    read: |config, item| listen(config, item, Service::Smtp),
    refused: REFUSED_ADDRESSES,
};

const LISTEN_SUBMISSION: OptionBlock = OptionBlock {
    name: "listen.submission",
    doc: "Mail from our own people's programs, with STARTTLS.",
    default: "[]",
    example: "[\"0.0.0.0:587\"]",
    read: |config, item| listen(config, item, Service::Submission),
    refused: REFUSED_ADDRESSES,
};

const LISTEN_SUBMISSIONS: OptionBlock = OptionBlock {
    name: "listen.submissions",
    doc: "The same with TLS from the first octet.",
    default: "[]",
    example: "[\"0.0.0.0:465\"]",
    read: |config, item| listen(config, item, Service::Submissions),
    refused: REFUSED_ADDRESSES,
};

const LISTEN_LMTP: OptionBlock = OptionBlock {
    name: "listen.lmtp",
    doc: "Local delivery by another mail server: \"ip:port\" on loopback, or \"unix:/path\".",
    default: "[]",
    example: "[\"unix:/run/packetboat/lmtp.sock\"]",
    read: |config, item| listen(config, item, Service::Lmtp),
    refused: &["\"127.0.0.1:24\"", "[\"24\"]", "[\"unix:relative\"]"],
};

const LISTEN_IMAP: OptionBlock = OptionBlock {
    name: "listen.imap",
    doc: "Reading by IMAP, with STARTTLS.",
    default: "[]",
    example: "[\"0.0.0.0:143\"]",
    read: |config, item| listen(config, item, Service::Imap),
    refused: REFUSED_ADDRESSES,
};

const LISTEN_IMAPS: OptionBlock = OptionBlock {
    name: "listen.imaps",
    doc: "The same with TLS from the first octet.",
    default: "[]",
    example: "[\"0.0.0.0:993\"]",
    read: |config, item| listen(config, item, Service::Imaps),
    refused: REFUSED_ADDRESSES,
};

const LISTEN_POP3: OptionBlock = OptionBlock {
    name: "listen.pop3",
    doc: "Reading by POP3, with STLS.",
    default: "[]",
    example: "[\"0.0.0.0:110\"]",
    read: |config, item| listen(config, item, Service::Pop3),
    refused: REFUSED_ADDRESSES,
};

const LISTEN_POP3S: OptionBlock = OptionBlock {
    name: "listen.pop3s",
    doc: "The same with TLS from the first octet.",
    default: "[]",
    example: "[\"0.0.0.0:995\"]",
    read: |config, item| listen(config, item, Service::Pop3s),
    refused: REFUSED_ADDRESSES,
};

const LISTEN_HTTP: OptionBlock = OptionBlock {
    name: "listen.http",
    doc: "The web program and JMAP in the clear; for a proxy in front, or for tests.",
    default: "[]",
    example: "[\"127.0.0.1:80\"]",
    read: |config, item| listen(config, item, Service::Http),
    refused: REFUSED_ADDRESSES,
};

const LISTEN_HTTPS: OptionBlock = OptionBlock {
    name: "listen.https",
    doc: "The same under TLS.",
    default: "[]",
    example: "[\"0.0.0.0:443\"]",
    read: |config, item| listen(config, item, Service::Https),
    refused: REFUSED_ADDRESSES,
};

const LISTEN_PROXY_FROM: OptionBlock = OptionBlock {
    name: "listen.proxy_from",
    doc: "Proxies (addresses or ranges) whose every connection, to any listener, begins with a header of the PROXY protocol (version 1 or 2): the address it names then counts everywhere. A connection of theirs without one is closed; from others a header is never taken.",
    default: "[]",
    example: "[\"10.0.0.7\", \"10.1.0.0/16\"]",
    read: |config, item| {
        if let Some(list) = item.list_of(str::parse) {
            config.proxy_from = list;
        }
    },
    refused: &["\"10.0.0.7\"", "[\"proxy.example.org\"]", "[\"10.0.0.0/33\"]", "[1]"],
};

const LISTEN_XCLIENT_FROM: OptionBlock = OptionBlock {
    name: "listen.xclient_from",
    doc: "Proxies (addresses or ranges) that may say with SMTP's XCLIENT for whom they speak, on smtp, submission and submissions. To others it is not offered.",
    default: "[]",
    example: "[\"10.0.0.7\", \"10.1.0.0/16\"]",
    read: |config, item| {
        if let Some(list) = item.list_of(str::parse) {
            config.xclient_from = list;
        }
    },
    refused: &["\"10.0.0.7\"", "[\"proxy.example.org\"]", "[\"10.0.0.0/33\"]", "[1]"],
};

const TLS_CERTIFICATE: OptionBlock = OptionBlock {
    name: "tls.certificate",
    doc: "The certificate with its chain, PEM. A relative path starts at this file's folder. SIGHUP reads it again.",
    default: "",
    example: "\"fullchain.pem\"",
    read: |config, item| config.certificate = item.readable_file(),
    refused: &["\"missing.pem\"", "true"],
};

const TLS_PRIVATE_KEY: OptionBlock = OptionBlock {
    name: "tls.private_key",
    doc: "The certificate's private key, PEM. At the start root reads it; for SIGHUP to read it again, `user` must be allowed to.",
    default: "",
    example: "\"key.pem\"",
    read: |config, item| config.private_key = item.readable_file(),
    refused: &["\"missing.pem\"", "[]"],
};

const TLS_SELF_SIGNED: OptionBlock = OptionBlock {
    name: "tls.self_signed",
    doc: "Instead of the two above: a certificate of our own making, made once and kept in data_dir.",
    default: "false",
    example: "true",
    read: |config, item| {
        if let Some(yes) = item.boolean() {
            config.self_signed = yes;
        }
    },
    refused: &["\"yes\"", "1"],
};

const TLS_STRICT_TRANSPORT_DAYS: OptionBlock = OptionBlock {
    name: "tls.strict_transport_days",
    doc: "Days for which a browser that reached the web program by TLS comes by nothing but TLS, to any port of that name (Strict-Transport-Security, RFC 6797). Said over TLS only, and only with a `certificate` of one's own (not `self_signed`) and where `auth.plaintext` is not \"always\". 0 tells browsers to forget it, at their next visit by TLS: so before TLS is given up.",
    default: "180",
    example: "0",
    read: |config, item| {
        if let Some(number) = item.number_u32(0) {
            config.strict_transport_days = number;
        }
    },
    refused: &["-1", "true"],
};

const AUTH_PLAINTEXT: OptionBlock = OptionBlock {
    name: "auth.plaintext",
    doc: "Passwords without TLS, for every protocol: \"never\", \"loopback\" (connections that came unproxied from 127.0.0.0/8 or ::1) or \"always\".",
    default: "\"never\"",
    example: "\"never\"",
    read: |config, item| {
        let words = [("never", Plaintext::Never), ("loopback", Plaintext::Loopback), ("always", Plaintext::Always)];
        if let Some(choice) = item.choice(&words) {
            config.plaintext = choice;
        }
    },
    refused: &["\"sometimes\"", "false"],
};

const DNS_SERVERS: OptionBlock = OptionBlock {
    name: "dns.servers",
    doc: "Resolvers to ask, \"ip:port\"; empty is the system's.",
    default: "[]",
    example: "[\"127.0.0.1:5353\"]",
    read: |config, item| {
        if let Some(list) = item.list_of(socket_address) {
            config.dns_servers = list;
        }
    },
    refused: &["\"127.0.0.1:53\"", "[\"127.0.0.1\"]", "[\"dns.example:53\"]"],
};

const OUTBOUND_PORT: OptionBlock = OptionBlock {
    name: "outbound.port",
    doc: "The port of other servers that mail is sent to by MX. Anything but 25 is for tests.",
    default: "25",
    example: "25",
    read: |config, item| {
        if let Some(port) = item.port() {
            config.outbound_port = port;
        }
    },
    refused: &["0", "65536", "\"25\""],
};

const OUTBOUND_CA_FILE: OptionBlock = OptionBlock {
    name: "outbound.ca_file",
    doc: "More authorities (PEM) to trust, beside the usual ones, where an outgoing connection's certificate is verified: a smarthost's is, one found by MX is not (RFC 7435).",
    default: "",
    example: "\"ca.pem\"",
    read: |config, item| config.ca_file = item.readable_file(),
    refused: &["\"missing.pem\"", "1"],
};

const LIMITS_MESSAGES: OptionBlock = OptionBlock {
    name: "limits.messages_per_hour",
    doc: "Messages one account may send in an hour; 0 is unlimited.",
    default: "5000",
    example: "300",
    read: |config, item| {
        if let Some(number) = item.number_u32(0) {
            config.limits.messages_per_hour = number;
        }
    },
    refused: &["-1", "\"many\""],
};

const LIMITS_RECIPIENTS: OptionBlock = OptionBlock {
    name: "limits.recipients_per_hour",
    doc: "Recipients of those messages in an hour; 0 is unlimited.",
    default: "20000",
    example: "3000",
    read: |config, item| {
        if let Some(number) = item.number_u32(0) {
            config.limits.recipients_per_hour = number;
        }
    },
    refused: &["-1", "5000000000"],
};

const LIMITS_RECIPIENTS_MAX: OptionBlock = OptionBlock {
    name: "limits.recipients_max",
    doc: "Recipients of one message (RFC 5321 wants at least 100).",
    default: "1000",
    example: "1000",
    read: |config, item| {
        if let Some(number) = item.number(100, 100_000).and_then(|number| u32::try_from(number).ok()) {
            config.limits.recipients_max = number;
        }
    },
    refused: &["10", "1000000"],
};

const LIMITS_POP3_LOGIN_DELAY: OptionBlock = OptionBlock {
    name: "limits.pop3_login_delay_secs",
    doc: "Seconds between two POP3 sign-ins of an account, announced as LOGIN-DELAY (RFC 2449); 0 is none.",
    default: "0",
    example: "60",
    read: |config, item| {
        if let Some(number) = item.number(0, 86_400).and_then(|number| u32::try_from(number).ok()) {
            config.limits.pop3_login_delay_secs = number;
        }
    },
    refused: &["-1", "100000"],
};

const LIMITS_FOREIGN_SENDER: OptionBlock = OptionBlock {
    name: "limits.foreign_sender",
    doc: "A submitted message may name somebody else in Sender, Resent-From and Resent-Sender; From must be the account's own in any case.",
    default: "false",
    example: "true",
    read: |config, item| {
        if let Some(yes) = item.boolean() {
            config.limits.foreign_sender = yes;
        }
    },
    refused: &["\"yes\"", "1"],
};

const LIMITS_SILENCE: OptionBlock = OptionBlock {
    name: "limits.silence_secs",
    doc: "Seconds of silence after which a connection is closed; 0 is what each protocol asks for (SMTP 300, POP3 630, IMAP 1867; HTTP 30 for the head of a request, 60 and more for its body). So long may a peer also leave unread what waits for it (else 300; HTTP 30). Less breaks clients that rely on their RFC: for servers under attack, and for tests.",
    default: "0",
    example: "300",
    read: |config, item| {
        if let Some(number) = item.number(0, 86_400) {
            config.limits.patience.silence_secs = Some(number).filter(|secs| *secs > 0);
        }
    },
    refused: &["-1", "100000", "\"5m\""],
};

const LIMITS_SIGN_IN: OptionBlock = OptionBlock {
    name: "limits.sign_in_secs",
    doc: "The same on IMAP until somebody has signed in.",
    default: "127",
    example: "60",
    read: |config, item| {
        if let Some(number) = item.number(1, 86_400) {
            config.limits.patience.before_sign_in_secs = number;
        }
    },
    refused: &["0", "100000"],
};

const LIMITS_BYTES_PER_SEC: OptionBlock = OptionBlock {
    name: "limits.bytes_per_sec_min",
    doc: "The slowest a message, literal or command may come in, octets a second; what is slower for silence_secs is closed.",
    default: "100",
    example: "1000",
    read: |config, item| {
        if let Some(number) = item.number(1, 1_000_000) {
            config.limits.patience.bytes_per_sec_min = number;
        }
    },
    refused: &["0", "-5", "\"slow\""],
};

const LIMITS_HANDSHAKE: OptionBlock = OptionBlock {
    name: "limits.handshake_secs",
    doc: "Seconds a TLS handshake may take.",
    default: "30",
    example: "30",
    read: |config, item| {
        if let Some(number) = item.number(1, 600).and_then(|number| u32::try_from(number).ok()) {
            config.limits.handshake_secs = number;
        }
    },
    refused: &["0", "1000"],
};

const LIMITS_CONNECTIONS_PER_IP: OptionBlock = OptionBlock {
    name: "limits.connections_per_ip",
    doc: "Open connections from one address, all protocols together. Never applies to loopback.",
    default: "50",
    example: "50",
    read: |config, item| {
        if let Some(number) = item.number_u32(1) {
            config.limits.connections_per_ip = number;
        }
    },
    refused: &["0", "\"50\""],
};

const LIMITS_CONNECTIONS: OptionBlock = OptionBlock {
    name: "limits.connections",
    doc: "Open connections in all.",
    default: "10000",
    example: "10000",
    read: |config, item| {
        if let Some(number) = item.number_u32(1) {
            config.connections_max = number;
        }
    },
    refused: &["0", "true"],
};

/// Reads one option from TOML text of its value.
fn read_text(block: &OptionBlock, text: &str, base: &Path, config: &mut Config) -> Vec<super::Problem> {
    let mut problems = Vec::new();
    match toml::de::DeValue::parse(text) {
        Ok(value) => (block.read)(config, &mut Item::new(&value, base, &mut problems)),
        Err(error) => problems.push(super::Problem { span: 0..0, message: error.message().to_owned() }),
    }
    problems
}

/// Fills in every option's default.
pub(crate) fn apply_defaults(config: &mut Config, base: &Path) {
    for block in OPTIONS.iter().filter(|block| !block.default.is_empty()) {
        let _ = read_text(block, block.default, base, config);
    }
}

/// The reference that `packetboat config` prints: a file that shows every option with its default.
pub(crate) fn reference() -> String {
    let mut out =
        String::from("# Every option of Packetboat, with its default (or, commented, an example where there is none).\n");
    let mut table = "";
    for block in OPTIONS {
        let (prefix, key) = block.name.rsplit_once('.').unwrap_or(("", block.name));
        if prefix != table {
            let inside = |block: &&OptionBlock| block.name.rsplit_once('.').is_some_and(|(table, _)| table == prefix);
            let empty = OPTIONS.iter().filter(inside).all(|block| block.default.is_empty());
            let shown = prefix.replace(ROUTE_TABLE, ROUTE_EXAMPLE);
            let _ = write!(out, "\n{}[{shown}]\n", if empty { "# " } else { "" });
            table = prefix;
        }
        let _ = write!(out, "\n# {}\n", block.doc);
        let _ = match (block.default, block.is_required()) {
            ("", true) => writeln!(out, "{key} = {}", block.example),
            ("", false) => writeln!(out, "# {key} = {}", block.example),
            (default, _) => writeln!(out, "{key} = {default}"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn base() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in ["fullchain.pem", "key.pem", "ca.pem", "jwks.json"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        std::fs::write(dir.path().join("relay.password"), "secret\nsecond line\n").unwrap();
        dir
    }

    #[test]
    fn every_option_takes_its_default_and_example_and_refuses_what_it_should() {
        let dir = base();
        for block in OPTIONS {
            assert!(
                !block.refused.is_empty() && block.doc.ends_with('.') && !block.example.is_empty(),
                "{} is incomplete",
                block.name
            );
            for good in [block.default, block.example].into_iter().filter(|text| !text.is_empty()) {
                let problems = read_text(block, good, dir.path(), &mut Config::blank());
                assert_eq!(problems, [], "{} = {good}", block.name);
            }
            for bad in block.refused {
                let problems = read_text(block, bad, dir.path(), &mut Config::blank());
                assert!(!problems.is_empty(), "{} took {bad}", block.name);
            }
        }
    }

    #[test]
    fn the_password_is_the_first_line_of_its_file() {
        let dir = base();
        let mut config = Config::blank();
        read_text(&relay::RELAY_PASSWORD_FILE, "\"relay.password\"", dir.path(), &mut config);
        assert_eq!(config.relay.unwrap().password.as_deref(), Some("secret"));
    }

    #[test]
    fn the_reference_is_a_configuration() {
        let dir = base();
        let text = reference();
        let config = super::super::parse(&text, dir.path()).unwrap_or_else(|problems| panic!("{problems:?}"));
        assert_eq!(config.message_bytes_max, 52_428_800);
        assert_eq!(config.domains, ["example.org"]);
    }
}

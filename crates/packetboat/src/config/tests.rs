#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;

const GOOD: &str = r#"
hostname = "Mail.Example.org"
data_dir = "data"
domains = ["example.org"]
[listen]
smtp = ["127.0.0.1:0", "127.0.0.1:0"]
lmtp = ["unix:/run/packetboat/lmtp.sock", "[::1]:24"]
imaps = ["0.0.0.0:993"]
[tls]
self_signed = true
[outbound.relay]
host = "smtp.example.net"
tls = "starttls"
"#;

fn problems(text: &str) -> Vec<(usize, String)> {
    match parse(text, Path::new("/nowhere")) {
        Ok(config) => panic!("was taken: {config:?}"),
        Err(problems) => problems.into_iter().map(|problem| (line_of(text, problem.span.start), problem.message)).collect(),
    }
}

#[test]
fn a_good_file_is_taken_with_its_defaults() {
    let config = parse(GOOD, Path::new("/etc/packetboat")).unwrap();
    assert_eq!(config.hostname, "mail.example.org");
    assert_eq!(config.data_dir, Path::new("/etc/packetboat/data"));
    assert_eq!(config.listen.len(), 5);
    assert_eq!(config.undo_days, 30);
    assert_eq!(config.outbound_port, 25);
    assert_eq!(config.plaintext, server::context::Plaintext::Never);
    let relay = config.relay.unwrap();
    assert_eq!((relay.port, relay.tls), (587, RelayTls::StartTls));
    assert!(!config.user_given);
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let text = "hostnam = \"a.org\"\ndata_dir = 5\ndomains = [\"ok.org\",\n  \"not ok\"]\n[listen]\nsmpt = []\nimap = [\"nowhere\"]\n[lisen]\nx = 1\n[auth]\nplaintext = \"nevr\"\n";
    let told = problems(text);
    let lines: Vec<usize> = told.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [1, 1, 2, 4, 6, 7, 8, 11], "{told:#?}");
    let all = told.iter().map(|(_, message)| message.as_str()).collect::<Vec<_>>().join("\n");
    for wanted in [
        "`hostname` is missing",
        "unknown key `hostnam`; did you mean `hostname`?",
        "wants text in quotes, not a whole number",
        "\"not ok\" is not a domain name",
        "unknown key `listen.smpt`; did you mean `listen.smtp`?",
        "\"nowhere\" is not an address",
        "unknown table `lisen`; did you mean `listen`?",
        "did you mean \"never\"?",
    ] {
        assert!(all.contains(wanted), "missing {wanted:?} in\n{all}");
    }
}

#[test]
fn a_username_needs_verified_tls_and_a_password() {
    let told = problems(&format!("{}username = \"me\"\n", GOOD.replace("starttls", "none")));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().any(|(_, message)| message.contains("verified TLS")));
    assert!(told.iter().any(|(_, message)| message.contains("password_file")));
}

#[test]
fn routes_by_domain() {
    let routes = "[outbound.routes.\"Partner.example\"]\nmx = true\n[outbound.routes.\"box.example\"]\nhost = \"unix:/run/dovecot/lmtp\"\nlmtp = true\n[outbound.routes.\"far.example\"]\nhost = \"10.0.0.7\"\ntls = \"opportunistic\"\n";
    let config = parse(&format!("{GOOD}{routes}"), Path::new("/nowhere")).unwrap();
    let told: Vec<_> = config.routes.iter().map(|r| (r.domain.as_str(), r.mx, r.lmtp, r.relay.port, r.relay.tls)).collect();
    assert_eq!(
        told,
        [
            ("partner.example", true, false, 465, RelayTls::Tls),
            ("box.example", false, true, 24, RelayTls::None),
            ("far.example", false, false, 25, RelayTls::Opportunistic),
        ]
    );
    assert_eq!(config.routes[1].socket.as_deref(), Some(Path::new("/run/dovecot/lmtp")));
    let bad = "[outbound.routes.\"example.org\"]\nhost = \"a.example\"\n[outbound.routes.\"a b\"]\n[outbound.routes.\"b.example\"]\nhots = \"x\"\n[outbound.routes.\"c.example\"]\nhost = \"unix:/x\"\ntls = \"none\"\nusername = \"me\"\n";
    let told = problems(&format!("{GOOD}{bad}"));
    for wanted in [
        "example.org: it is served here",
        "\"a b\" is not a domain name",
        "unknown key `hots`; did you mean `host`?",
        "b.example: a route wants either a `host` or `mx = true`",
        "c.example: only LMTP goes over a Unix socket",
        "a username needs verified TLS",
        "`username` needs a `password_file`",
    ] {
        assert!(told.iter().any(|(_, message)| message.contains(wanted)), "missing {wanted:?} in {told:#?}");
    }
}

#[test]
fn lmtp_elsewhere_than_loopback_is_refused() {
    let told = problems(&GOOD.replace("[::1]:24", "192.0.2.1:24"));
    assert_eq!(told.len(), 1);
    assert!(told.iter().all(|(line, message)| *line == 7 && message.contains("loopback")), "{told:?}");
}

#[test]
fn tls_listeners_need_a_certificate() {
    let told = problems(&GOOD.replace("self_signed = true", ""));
    assert!(told.iter().any(|(line, message)| *line == 8 && message.contains("needs a certificate")), "{told:?}");
}

#[test]
fn the_same_address_twice_is_refused_but_port_0_is_not() {
    let told = problems(&GOOD.replace("0.0.0.0:993", "[::1]:24"));
    assert!(told.iter().any(|(_, message)| message.contains("given twice")), "{told:?}");
}

#[test]
fn broken_toml_is_told_with_its_line_beside_the_other_problems() {
    let told = problems("hostname = \"a.org\"\ndata_dir = \n domians = []\n");
    assert!(told.iter().any(|(line, _)| *line == 2), "{told:?}");
    assert!(told.iter().any(|(_, message)| message.contains("did you mean `domains`")), "{told:?}");
}

#[test]
fn the_example_in_dist_is_a_good_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/packetboat.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let dir = tempfile::tempdir().unwrap();
    parse(&text, dir.path()).unwrap_or_else(|problems| panic!("{problems:?}"));
}

/// Browsers are told to come by TLS alone where they trust the certificate and nobody signs in without TLS.
#[test]
fn browsers_are_bound_to_tls_by_a_certificate_of_ones_own() {
    let dir = tempfile::tempdir().unwrap();
    net::TlsServer::self_signed(dir.path(), &["here.test".to_owned()]).unwrap();
    let own = "certificate = \"self-signed.pem\"\nprivate_key = \"self-signed.key\"";
    let own = GOOD.replace("self_signed = true", own);
    let secs = |text: &str| parse(text, dir.path()).unwrap_or_else(|problems| panic!("{problems:?}")).strict_transport_secs();
    assert_eq!(secs(&own), Some(180 * 86_400));
    assert_eq!(secs(&own.replace(".key\"", ".key\"\nstrict_transport_days = 0")), Some(0));
    assert_eq!(secs(GOOD), None);
    for (plaintext, told) in [("never", true), ("loopback", true), ("always", false)] {
        assert_eq!(secs(&format!("{own}\n[auth]\nplaintext = \"{plaintext}\"\n")).is_some(), told, "{plaintext}");
    }
}

/// The reference in `docs/cli.md` says what `packetboat config` prints, and `dist/packetboat.toml` names every setting, in its table.
#[test]
fn every_setting_stands_in_the_documents() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let reference = std::fs::read_to_string(folder.join("docs/cli.md")).unwrap();
    let example = std::fs::read_to_string(folder.join("dist/packetboat.toml")).unwrap();
    let mut named = Vec::new();
    let mut table = String::new();
    for line in example.lines().map(|line| line.trim_start_matches("# ")) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = match name.split_once('"') {
                Some((before, _)) => format!("{before}DOMAIN."),
                None => format!("{name}."),
            };
        } else if let Some((leaf, _)) = line.split_once(" = ") {
            named.push(format!("{table}{leaf}"));
        }
    }
    let mut missing = Vec::new();
    for option in super::options::OPTIONS {
        let default = match option.default {
            _ if option.is_required() => "required".to_owned(),
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let row = format!("| `{}` | {default} | {} |", option.name, option.doc.replace('|', "\\|"));
        if !reference.lines().any(|line| line == row) {
            missing.push(format!("docs/cli.md: {row}"));
        }
        if !named.iter().any(|name| name == option.name) {
            missing.push(format!("dist/packetboat.toml: {}", option.name));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

//! What `packetboat try` prints: who is there, every port, and commands to copy.

use super::people::{PEOPLE, Passwords};
use super::ports::Ports;
use super::{HERE, THERE};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One office, as the tour needs it.
pub(super) struct Place {
    pub(super) domain: &'static str,
    pub(super) ports: Ports,
    /// SHA-256 of the certificate, lower-case hex.
    pub(super) fingerprint: String,
    /// For the other commands.
    pub(super) config: PathBuf,
}

/// The whole text.
pub(super) fn text(dir: &Path, places: &[Place], passwords: &Passwords) -> String {
    let mut out =
        String::from("Two post offices are open on this computer, here.test and there.test. Nothing you send leaves it.\n\n");
    for (name, domain, _) in PEOPLE {
        let address = format!("{name}@{domain}");
        let _ = writeln!(out, "  {address:<18} password  {}", passwords.of(&address));
    }
    out.push_str("\nRead and write in your browser:\n\n");
    for place in places {
        let names: Vec<String> = PEOPLE
            .iter()
            .filter(|(_, domain, _)| *domain == place.domain)
            .map(|(name, domain, _)| format!("{name}@{domain}"))
            .collect();
        let _ = writeln!(out, "  http://127.0.0.1:{}   sign in as {}", place.ports.http, names.join(" or "));
    }
    out.push('\n');
    let head: Vec<String> = places.iter().map(|place| format!("{:>12}", place.domain)).collect();
    let _ = writeln!(out, "  on 127.0.0.1          {}", head.concat());
    let columns: Vec<_> = places.iter().map(|place| place.ports.named()).collect();
    let words =
        ["SMTP", "submission, STARTTLS", "submission, TLS", "IMAP, STARTTLS", "IMAP, TLS", "POP3, STLS", "POP3, TLS", "web"];
    for (row, word) in words.iter().enumerate() {
        let ports: Vec<String> =
            columns.iter().filter_map(|column| column.get(row)).map(|(_, port)| format!("{port:>12}")).collect();
        let _ = writeln!(out, "  {word:<22}{}", ports.concat());
    }
    out.push_str("\n  SHA-256 fingerprints of the certificates (made here, once):\n");
    for place in places {
        let _ = writeln!(out, "  {:<11} {}", place.domain, colons(&place.fingerprint));
    }
    out.push_str(&commands(dir, places));
    let _ = writeln!(out, "\nEverything is kept in {} (passwords, mail, certificates). Ctrl-C stops.", dir.display());
    out
}

/// `ab:cd:...`, upper-case, as programs show fingerprints.
fn colons(hex: &str) -> String {
    hex.to_ascii_uppercase()
        .as_bytes()
        .chunks(2)
        .map(|pair| String::from_utf8_lossy(pair).into_owned())
        .collect::<Vec<_>>()
        .join(":")
}

/// A path as the shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '~' | '+' | ',' | ':' | '@');
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn commands(dir: &Path, places: &[Place]) -> String {
    let find = |domain: &str| places.iter().find(|place| place.domain == domain);
    let (Some(here), Some(there)) = (find(HERE), find(THERE)) else { return String::new() };
    let file = |name: &str| quoted(&dir.join(name));
    let Ports { submission, submissions, imap, imaps, .. } = here.ports;
    let (their_imap, their_pop3) = (there.ports.imap, there.ports.pop3);
    let (ann_curl, carol_curl) = (file("ann.curlrc"), file("carol.curlrc"));
    format!(
        "\nCopy and paste (the passwords are in files that only you can read):\n\n\
         # curl: Ann sends to Carol; Carol reads by IMAP and by POP3\n\
         curl -K {ann_curl} smtp://127.0.0.1:{submission} --mail-from ann@here.test --mail-rcpt carol@there.test -T {hello}\n\
         curl -K {carol_curl} 'imap://127.0.0.1:{their_imap}/INBOX;MAILINDEX=2'\n\
         curl -K {carol_curl} pop3://127.0.0.1:{their_pop3}/2\n\
         # the same under TLS, the certificate verified\n\
         curl -K {ann_curl} --cacert {certificate} imaps://localhost:{imaps}/INBOX\n\
         # swaks: the dialogue, line by line\n\
         swaks --config {swaks} --to carol@there.test\n\
         # neomutt\n\
         neomutt -F {mutt}\n\
         # Thunderbird: new account, \"Configure manually\", user name ann@here.test\n\
         #   incoming: IMAP, 127.0.0.1, port {imaps}, SSL/TLS (or {imap} without), normal password\n\
         #   outgoing: SMTP, 127.0.0.1, port {submissions}, SSL/TLS, normal password\n\
         #   it asks about the certificate: compare the fingerprint above\n\
         # the operator's side\n\
         packetboat account list --config {config}\n\
         packetboat queue list --config {config}\n",
        hello = file("hello.eml"),
        certificate = file("here.test/self-signed.pem"),
        swaks = file("ann.swaksrc"),
        mutt = file("ann.muttrc"),
        config = quoted(&here.config),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_tour_names_every_port_and_no_command_has_a_password() {
        let dir = tempfile::tempdir().unwrap();
        let passwords = Passwords::open(dir.path()).unwrap();
        let place = |domain, base| Place {
            domain,
            ports: Ports::new(base),
            fingerprint: "ab12".into(),
            config: dir.path().join("x.toml"),
        };
        let text = text(dir.path(), &[place(HERE, 2000), place(THERE, 3000)], &passwords);
        for (_, port) in Ports::new(2000).named().into_iter().chain(Ports::new(3000).named()) {
            assert!(text.contains(&port.to_string()), "{port} in\n{text}");
        }
        let password = passwords.of("ann@here.test");
        assert_eq!(text.matches(password).count(), 1);
        assert!(text.contains("AB:12"));
        assert!(text.contains("  http://127.0.0.1:2080   sign in as ann@here.test or bob@here.test\n"), "{text}");
        assert!(text.contains("  http://127.0.0.1:3080   sign in as carol@there.test\n"), "{text}");
    }

    #[test]
    fn odd_paths_are_quoted() {
        assert_eq!(quoted(Path::new("/a/b-c")), "/a/b-c");
        assert_eq!(quoted(Path::new("/a b/it's")), "'/a b/it'\\''s'");
    }
}

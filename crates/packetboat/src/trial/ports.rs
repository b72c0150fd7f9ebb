//! The ports of one trial office: base plus the well-known number; and the configuration made of them.

use std::fmt::Write as _;
use std::path::Path;

/// The ports of one office.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub(super) struct Ports {
    pub(super) smtp: u16,
    pub(super) submission: u16,
    pub(super) submissions: u16,
    pub(super) imap: u16,
    pub(super) imaps: u16,
    pub(super) pop3: u16,
    pub(super) pop3s: u16,
    pub(super) http: u16,
}

/// The resolver's port, one for both offices.
pub(super) fn dns(base: u16) -> u16 {
    base.saturating_add(53)
}

impl Ports {
    pub(super) fn new(base: u16) -> Ports {
        let at = |well_known: u16| base.saturating_add(well_known);
        Ports {
            smtp: at(25),
            submission: at(587),
            submissions: at(465),
            imap: at(143),
            imaps: at(993),
            pop3: at(110),
            pop3s: at(995),
            http: at(80),
        }
    }

    /// With their names under `[listen]`.
    pub(super) fn named(&self) -> [(&'static str, u16); 8] {
        [
            ("smtp", self.smtp),
            ("submission", self.submission),
            ("submissions", self.submissions),
            ("imap", self.imap),
            ("imaps", self.imaps),
            ("pop3", self.pop3),
            ("pop3s", self.pop3s),
            ("http", self.http),
        ]
    }

    /// A configuration file for an office on these ports.
    pub(super) fn configuration(&self, domain: &str, data_dir: &Path, dns: u16) -> String {
        let data_dir = toml::Value::String(data_dir.display().to_string());
        let mut text = format!(
            "# Written by `packetboat try` at every start; for the other commands: packetboat account list --config THIS_FILE\n\
             hostname = \"mail.{domain}\"\ndata_dir = {data_dir}\ndomains = [\"{domain}\"]\n\n[listen]\n"
        );
        for (name, port) in self.named() {
            let _ = writeln!(text, "{name} = [\"127.0.0.1:{port}\"]");
        }
        let _ = write!(
            text,
            "\n[tls]\nself_signed = true\n\n[auth]\nplaintext = \"loopback\"\n\n[dns]\nservers = [\"127.0.0.1:{dns}\"]\n"
        );
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_ports_are_base_plus_the_well_known_ones() {
        let here = Ports::new(2000).named().map(|(_, port)| port);
        assert_eq!(here, [2025, 2587, 2465, 2143, 2993, 2110, 2995, 2080]);
        assert_eq!(Ports::new(3000).named().map(|(_, port)| port), here.map(|port| port + 1000));
    }

    #[test]
    fn the_configuration_is_one_and_only_loopback() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("a \"b\" \\c");
        let config = crate::config::parse(&Ports::new(2000).configuration("here.test", &odd, 2053), dir.path()).unwrap();
        assert_eq!(config.data_dir, odd);
        assert_eq!(config.listen.len(), 8);
        assert!(config.listen.iter().all(|(_, address)| address.is_loopback()));
    }
}

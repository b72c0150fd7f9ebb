//! Capabilities that are not announced: everywhere, on one kind of listener, or to one client by its ID (RFC 2971).
//!
//! For clients that go wrong with an extension; the command itself still works for whoever uses it unasked (COMPRESS
//! is refused by `wire`). Must not know: configuration files.

use smol_str::SmolStr;

/// One switch: `NAME`, `NAME on imap`, `NAME on imaps`, or `NAME for CLIENT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapabilityOff {
    capability: SmolStr,
    only: Only,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Only {
    Everywhere,
    /// Listeners with TLS from the first octet, or those without.
    Listener {
        implicit_tls: bool,
    },
    /// Who gives this name in its ID, in any case.
    Client(SmolStr),
}

impl CapabilityOff {
    /// Reads it, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<CapabilityOff, String> {
        let (capability, only) = match (text.split_once(" on "), text.split_once(" for ")) {
            (Some((name, "imap")), _) => (name, Only::Listener { implicit_tls: false }),
            (Some((name, "imaps")), _) => (name, Only::Listener { implicit_tls: true }),
            (Some((_, other)), None) => return Err(format!("`{other}` is neither imap nor imaps")),
            (_, Some((name, client))) if !client.trim().is_empty() => (name, Only::Client(client.trim().into())),
            (_, Some(_)) => return Err("the client's name is missing".to_owned()),
            (None, None) => (text, Only::Everywhere),
        };
        if capability.is_empty() || !capability.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("`{capability}` is no capability"));
        }
        Ok(CapabilityOff { capability: capability.into(), only })
    }

    /// What a listener does not announce.
    pub(crate) fn on_listener(switches: &[CapabilityOff], implicit_tls: bool) -> Vec<SmolStr> {
        let applies = |only: &Only| match only {
            Only::Everywhere => true,
            Only::Listener { implicit_tls: theirs } => *theirs == implicit_tls,
            Only::Client(_) => false,
        };
        switches.iter().filter(|off| applies(&off.only)).map(|off| off.capability.clone()).collect()
    }

    /// What is not announced to this client.
    pub(crate) fn for_client<'a>(switches: &'a [CapabilityOff], client: &'a str) -> impl Iterator<Item = SmolStr> + 'a {
        let applies = move |only: &Only| matches!(only, Only::Client(name) if name.eq_ignore_ascii_case(client));
        switches.iter().filter(move |off| applies(&off.only)).map(|off| off.capability.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn everywhere_on_a_listener_and_for_a_client() {
        let texts = ["QRESYNC", "COMPRESS=DEFLATE on imaps", "MOVE on imap", "CONDSTORE for Some Mail on a phone"];
        let switches: Vec<CapabilityOff> = texts.iter().map(|text| CapabilityOff::parse(text).unwrap()).collect();
        assert_eq!(CapabilityOff::on_listener(&switches, true), ["QRESYNC", "COMPRESS=DEFLATE"]);
        assert_eq!(CapabilityOff::on_listener(&switches, false), ["QRESYNC", "MOVE"]);
        let client = |name| CapabilityOff::for_client(&switches, name).collect::<Vec<_>>();
        assert_eq!(client("some mail on a PHONE"), ["CONDSTORE"]);
        assert!(client("other").is_empty());
        for bad in ["", "A B", "X on smtp", "X for ", " on imap"] {
            assert!(CapabilityOff::parse(bad).is_err(), "{bad}");
        }
    }
}

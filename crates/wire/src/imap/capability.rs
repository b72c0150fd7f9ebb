//! CAPABILITY lists (RFC 9051 §6.1.1, §7.2.2): what the server says in each state, what a client asks of a list.
//!
//! ```abnf
//! capability-data = "CAPABILITY" *(SP capability) SP "IMAP4rev1" *(SP capability)
//! ```
//!
//! Invariant: LITERAL+ and LITERAL- are never announced together (RFC 7888 §5); no mechanism that shows the password
//! is announced where passwords may not cross the wire.

use super::server::{ServerConfig, State};
use crate::sasl::{self, Channel, Mechanism};
use smol_str::{SmolStr, format_smolstr};

/// A list of capabilities as announced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities(pub Vec<SmolStr>);

impl Capabilities {
    /// Announced, in any case?
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|c| c.eq_ignore_ascii_case(name))
    }
}

/// In every state. ENABLE and IDLE are of use only after sign-in, but Python's imaplib looks for them in the first list.
const ALWAYS: [&str; 5] = ["IMAP4rev1", "IMAP4rev2", "ID", "ENABLE", "IDLE"];

/// After sign-in; APPENDLIMIT comes with its number.
const SIGNED_IN: &[&str] = &[
    "LITERAL+",
    "MULTIAPPEND",
    "CATENATE",
    "URL-PARTIAL",
    "URLAUTH",
    "URLAUTH=BINARY",
    "REPLACE",
    "UIDPLUS",
    "MOVE",
    "NAMESPACE",
    "ACL",
    super::acl::RIGHTS_CAPABILITY,
    "NOTIFY",
    "UNSELECT",
    "CHILDREN",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "CONDSTORE",
    "QRESYNC",
    "UIDONLY",
    "STATUS=SIZE",
    "ESEARCH",
    "SEARCHRES",
    "SORT",
    "SORT=DISPLAY",
    "ESORT",
    "THREAD=REFERENCES",
    "THREAD=REFS",
    "THREAD=ORDEREDSUBJECT",
    "PARTIAL",
    "PREVIEW",
    "OBJECTID",
    "SAVEDATE",
    "INPROGRESS",
    "MULTISEARCH",
    "WITHIN",
    "SEARCH=FUZZY",
    "CONTEXT=SEARCH",
    "CONTEXT=SORT",
    "FILTERS",
    "I18NLEVEL=1",
    "I18NLEVEL=2",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "LIST-METADATA",
    "LIST-MYRIGHTS",
    "METADATA",
    "METADATA-SERVER",
    "QUOTA",
    "QUOTA=RES-STORAGE",
    "QUOTA=RES-MESSAGE",
    "QUOTA=RES-MAILBOX",
    "BINARY",
    "COMPRESS=DEFLATE",
    "UNAUTHENTICATE",
    "UIDBATCHES",
    "UTF8=ACCEPT",
];

/// May a password cross the wire now?
pub(crate) fn password_allowed(config: &ServerConfig) -> bool {
    config.tls || config.plaintext_login
}

/// Mechanisms that may be used now.
pub(crate) fn mechanisms<'a>(config: &'a ServerConfig, channel: Option<&'a Channel>) -> impl Iterator<Item = Mechanism> + 'a {
    sasl::usable(&config.mechanisms, password_allowed(config), channel)
}

/// What the server announces in `state`.
pub(crate) fn of_server(config: &ServerConfig, state: State, channel: Option<&Channel>) -> Vec<SmolStr> {
    let mut list: Vec<SmolStr> = ALWAYS.iter().map(|name| SmolStr::new_static(name)).collect();
    if state == State::NotAuthenticated {
        list.extend(["LITERAL-", "SASL-IR"].map(SmolStr::new_static));
        if config.starttls && !config.tls {
            list.push(SmolStr::new_static("STARTTLS"));
        }
        if !password_allowed(config) {
            list.push(SmolStr::new_static("LOGINDISABLED"));
        }
        list.extend(mechanisms(config, channel).map(|mechanism| format_smolstr!("AUTH={}", mechanism.name())));
    } else {
        list.extend(SIGNED_IN.iter().map(|name| SmolStr::new_static(name)));
        // Whoever is to have no long literals unasked may still have the short ones (RFC 7888 §5).
        if is_off(config, "LITERAL+") {
            list.push(SmolStr::new_static("LITERAL-"));
        }
        list.push(format_smolstr!("APPENDLIMIT={}", config.append_bytes_max));
        list.extend(config.capabilities_more.iter().cloned());
    }
    list.retain(|name| !is_off(config, name));
    list
}

/// Switched off by the configuration?
pub(crate) fn is_off(config: &ServerConfig, name: &str) -> bool {
    config.capabilities_off.iter().any(|off| off.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(tls: bool, plaintext_login: bool) -> ServerConfig {
        ServerConfig {
            hostname: "mail.here.test".into(),
            tls,
            starttls: true,
            plaintext_login,
            mechanisms: Mechanism::WITH_PASSWORD.to_vec(),
            append_bytes_max: 1000,
            capabilities_off: vec!["condstore".into()],
            capabilities_more: vec!["MESSAGELIMIT=1000".into()],
        }
    }

    #[test]
    fn before_sign_in() {
        let list = |tls, plaintext| Capabilities(of_server(&config(tls, plaintext), State::NotAuthenticated, None));
        let open = list(false, false);
        assert!(open.has("STARTTLS") && open.has("LOGINDISABLED") && open.has("AUTH=SCRAM-SHA-256"));
        assert!(!open.has("AUTH=PLAIN") && !open.has("AUTH=LOGIN") && !open.has("LITERAL+") && !open.has("MOVE"));
        let loopback = list(false, true);
        assert!(loopback.has("STARTTLS") && loopback.has("AUTH=PLAIN") && !loopback.has("LOGINDISABLED"));
        let tls = list(true, false);
        assert!(!tls.has("MESSAGELIMIT=1000"));
        assert!(!tls.has("STARTTLS") && tls.has("AUTH=PLAIN") && tls.has("AUTH=LOGIN") && !tls.has("LOGINDISABLED"));
    }

    #[test]
    fn after_sign_in() {
        for state in [State::Authenticated, State::Selected] {
            let list = Capabilities(of_server(&config(true, false), state, None));
            assert!(
                list.has("MESSAGELIMIT=1000")
                    && list.has("LITERAL+")
                    && list.has("APPENDLIMIT=1000")
                    && list.has("utf8=accept")
                    && list.has("IMAP4rev1")
            );
            assert!(!list.has("LITERAL-") && !list.has("STARTTLS") && !list.has("AUTH=PLAIN") && !list.has("CONDSTORE"));
        }
    }

    /// RFC 7888 §5: LITERAL- says less than LITERAL+, and stands where that is not to be had.
    #[test]
    fn short_literals_stay_when_long_ones_are_switched_off() {
        let list = |off: &[&str], state| {
            let capabilities_off = off.iter().map(SmolStr::new).collect();
            Capabilities(of_server(&ServerConfig { capabilities_off, ..config(true, false) }, state, None))
        };
        for state in [State::NotAuthenticated, State::Authenticated, State::Selected] {
            let off = list(&["literal+"], state);
            assert!(off.has("LITERAL-") && !off.has("LITERAL+"), "{state:?}: {off:?}");
            let none = list(&["LITERAL+", "LITERAL-"], state);
            assert!(!none.has("LITERAL-") && !none.has("LITERAL+"), "{state:?}: {none:?}");
        }
        assert!(!list(&["LITERAL-"], State::Authenticated).has("LITERAL-"));
    }
}

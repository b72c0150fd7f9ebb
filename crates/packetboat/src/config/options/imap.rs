//! `[imap]`: what is announced to whom, and how much one command does.

use super::OptionBlock;
use std::num::NonZeroU32;

pub(super) const CAPABILITIES_OFF: OptionBlock = OptionBlock {
    name: "imap.capabilities_off",
    doc: "What IMAP does not announce, for clients that go wrong with it: \"CAPABILITY\" to nobody, \"CAPABILITY on imap\" or \"CAPABILITY on imaps\" on those listeners, \"CAPABILITY for NAME\" to clients that give this name in their ID. Only the announcement goes: the command still works for whoever uses it unasked (but COMPRESS, which is refused).",
    default: "[]",
    example: "[\"COMPRESS=DEFLATE on imaps\", \"QRESYNC for Some Mail\"]",
    read: |config, item| {
        if let Some(off) = item.list_of(server::imap::CapabilityOff::parse) {
            config.imap.switches = off;
        }
    },
    refused: &["\"QRESYNC\"", "[\"\"]", "[\"QRESYNC on smtp\"]", "[1]"],
};

pub(super) const MESSAGES_MAX: OptionBlock = OptionBlock {
    name: "imap.messages_max",
    doc: "Messages one FETCH, STORE, SEARCH, MOVE or UID EXPUNGE works on, the newest first; COPY and APPEND of more are refused. A SEARCH looks at so many of those it names. Announced as MESSAGELIMIT (RFC 9738), of use only to clients that know it: others see less than they asked for. 0 is no limit.",
    default: "0",
    example: "100000",
    read: |config, item| {
        if let Some(number) = item.number_u32(0) {
            config.imap.messages_max = NonZeroU32::new(number);
        }
    },
    refused: &["-1", "\"many\""],
};

pub(super) const SAVED_MAX: OptionBlock = OptionBlock {
    name: "imap.saved_max",
    doc: "Messages one COPY or APPEND saves; more are refused, all of them. Announced as SAVELIMIT (RFC 9738). 0 is no limit.",
    default: "0",
    example: "100000",
    read: |config, item| {
        if let Some(number) = item.number_u32(0) {
            config.imap.saved_max = NonZeroU32::new(number);
        }
    },
    refused: &["-1", "\"many\""],
};

pub(super) const JMAP_URL: OptionBlock = OptionBlock {
    name: "imap.jmap_url",
    doc: "Where the same mail is by JMAP, as clients reach it (JMAPACCESS, RFC 9698): said where a proxy in front ends TLS or gives another name or port. Its name must be one that is answered under (the hostname, a domain here, a name under one). Without it, it is the https listener under the hostname; without such a listener nothing is announced.",
    default: "",
    example: "\"https://jmap.example.org/.well-known/jmap\"",
    read: |config, item| {
        if let Some(url) = item.text() {
            let rest = url.strip_prefix("https://").unwrap_or_default();
            let clean = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '@');
            if rest.is_empty() || rest.starts_with('/') || !rest.chars().all(clean) {
                item.problem("wants a URL that begins with https://");
            }
            config.imap.jmap_url = Some(url);
        }
    },
    refused: &["\"\"", "1", "\"http://jmap.example.org/\"", "\"https://\"", "\"https://a b/\""],
};

pub(super) const QUOTA_ADMINISTRATORS: OptionBlock = OptionBlock {
    name: "imap.quota_administrators",
    doc: "Accounts that may look at and set the quota of every account by IMAP (SETQUOTA \"Other Users/ADDRESS\"); QUOTASET is announced to them alone.",
    default: "[]",
    example: "[\"postmaster@example.org\"]",
    read: |config, item| {
        let address = |text: &str| match text.rsplit_once('@') {
            Some((local, domain)) if !local.is_empty() && !domain.is_empty() => Ok(store::normalise(text)),
            _ => Err(format!("`{text}` is no address")),
        };
        if let Some(list) = item.list_of(address) {
            config.imap.quota_administrators = list;
        }
    },
    refused: &["\"postmaster@example.org\"", "[\"postmaster\"]", "[1]"],
};

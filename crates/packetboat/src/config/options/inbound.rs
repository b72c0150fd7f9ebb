//! Options of mail that comes from elsewhere, and of what is forwarded.

use super::OptionBlock;
use crate::config::reader::domain;
use server::trust::{Dmarc, Helo, TempErrors};

pub(super) const DMARC: OptionBlock = OptionBlock {
    name: "inbound.dmarc",
    doc: "When neither SPF nor DKIM confirm the author: \"enforce\" does what the author's domain asks for (reject: refused with 550; quarantine: into the mailbox for junk), \"mark\" only writes it down.",
    default: "\"enforce\"",
    example: "\"mark\"",
    read: |config, item| {
        if let Some(choice) = item.choice(&[("enforce", Dmarc::Enforce), ("mark", Dmarc::Mark)]) {
            config.inbound.dmarc = choice;
        }
    },
    refused: &["\"reject\"", "true"],
};

pub(super) const TEMP_ERRORS: OptionBlock = OptionBlock {
    name: "inbound.temp_errors",
    doc: "When DNS does not answer about the author's policy: \"accept\" takes the mail and writes it down, \"defer\" answers 451.",
    default: "\"accept\"",
    example: "\"defer\"",
    read: |config, item| {
        if let Some(choice) = item.choice(&[("accept", TempErrors::Accept), ("defer", TempErrors::Defer)]) {
            config.inbound.temp_errors = choice;
        }
    },
    refused: &["\"never\"", "1"],
};

pub(super) const SPF_REFUSE: OptionBlock = OptionBlock {
    name: "inbound.spf_refuse",
    doc: "Refuse at RCPT when SPF alone says fail. Breaks mail that others forward without rewriting the sender.",
    default: "false",
    example: "true",
    read: |config, item| {
        if let Some(yes) = item.boolean() {
            config.inbound.spf_refuse = yes;
        }
    },
    refused: &["\"yes\"", "1"],
};

pub(super) const DNSBL: OptionBlock = OptionBlock {
    name: "inbound.dnsbl",
    doc: "DNS lists (RFC 5782) whose addresses are refused at RCPT, but for mail to postmaster. Ask your own resolver, not a public one: many lists do not answer those.",
    default: "[]",
    example: "[\"zen.spamhaus.org\"]",
    read: |config, item| {
        if let Some(list) = item.list_of(domain) {
            config.inbound.dnsbl = list;
        }
    },
    refused: &["\"zen.spamhaus.org\"", "[\"a b\"]", "[1]"],
};

pub(super) const DNSWL: OptionBlock = OptionBlock {
    name: "inbound.dnswl",
    doc: "DNS lists whose addresses are neither refused by a list nor asked to come again.",
    default: "[]",
    example: "[\"list.dnswl.org\"]",
    read: |config, item| {
        if let Some(list) = item.list_of(domain) {
            config.inbound.dnswl = list;
        }
    },
    refused: &["\"list.dnswl.org\"", "[\"a b\"]", "[1]"],
};

pub(super) const GREYLIST: OptionBlock = OptionBlock {
    name: "inbound.greylist",
    doc: "Ask senders from networks that never brought mail here to come again in a minute (RFC 6647).",
    default: "false",
    example: "true",
    read: |config, item| {
        if let Some(yes) = item.boolean() {
            config.inbound.greylist = yes;
        }
    },
    refused: &["\"yes\"", "1"],
};

pub(super) const TRUSTED_SEALERS: OptionBlock = OptionBlock {
    name: "inbound.trusted_sealers",
    doc: "Domains of mailing lists and forwarders whose ARC seal is believed when they changed a message so that DMARC fails.",
    default: "[]",
    example: "[\"lists.example.org\"]",
    read: |config, item| {
        if let Some(list) = item.list_of(domain) {
            config.inbound.trusted_sealers = list;
        }
    },
    refused: &["\"lists.example.org\"", "[\"a b\"]", "[1]"],
};

pub(super) const JUDGE_LOOPBACK: OptionBlock = OptionBlock {
    name: "inbound.judge_loopback",
    doc: "Judge peers on this machine (127.0.0.0/8, ::1) like strangers: for tests.",
    default: "false",
    example: "true",
    read: |config, item| {
        if let Some(yes) = item.boolean() {
            config.inbound.loopback = yes;
        }
    },
    refused: &["\"yes\"", "1"],
};

pub(super) const ARC_SEAL: OptionBlock = OptionBlock {
    name: "forward.arc_seal",
    doc: "Seal what is forwarded (ARC), with the key of the first domain that has one.",
    default: "false",
    example: "true",
    read: |config, item| {
        if let Some(yes) = item.boolean() {
            config.inbound.arc_seal = yes;
        }
    },
    refused: &["\"yes\"", "1"],
};

pub(super) const SRS: OptionBlock = OptionBlock {
    name: "forward.srs",
    doc: "Forward with a reverse-path of our own (SRS), so that SPF holds at the next server and bounces find the way back.",
    default: "true",
    example: "false",
    read: |config, item| {
        if let Some(yes) = item.boolean() {
            config.srs = yes;
        }
    },
    refused: &["\"yes\"", "1"],
};

pub(super) const REPORTS: OptionBlock = OptionBlock {
    name: "inbound.dmarc_reports",
    doc: "Count strangers' mail by the domain of its author and send that domain a report each day, if it wants one (DMARC aggregate reports, RFC 9990).",
    default: "false",
    example: "true",
    read: |config, item| {
        if let Some(yes) = item.boolean() {
            config.inbound.reports = yes;
        }
    },
    refused: &["\"yes\"", "1"],
};

pub(super) const HELO: OptionBlock = OptionBlock {
    name: "inbound.helo",
    doc: "What strangers may call themselves in EHLO: \"off\" anything, \"forged\" anything but this server's own name, \"strict\" a full name that is in DNS, or their own address in brackets. Refused at RCPT; the postmaster hears everybody.",
    default: "\"forged\"",
    example: "\"strict\"",
    read: |config, item| {
        if let Some(choice) = item.choice(&[("off", Helo::Off), ("forged", Helo::Forged), ("strict", Helo::Strict)]) {
            config.inbound.helo = choice;
        }
    },
    refused: &["\"on\"", "true"],
};

pub(super) const GREETING_DELAY: OptionBlock = OptionBlock {
    name: "inbound.greeting_delay_secs",
    doc: "Strangers get the greeting after so many seconds, and who speaks before it (as programs do that read nothing) is sent away with 554.",
    default: "0",
    example: "6",
    read: |config, item| {
        if let Some(number) = item.number(0, 60).and_then(|number| u32::try_from(number).ok()) {
            config.inbound.greeting_delay_secs = number;
        }
    },
    refused: &["-1", "100", "\"6s\""],
};

pub(super) const SLOW_ANSWER: OptionBlock = OptionBlock {
    name: "inbound.slow_answer_secs",
    doc: "From the fourth recipient on that is refused to a stranger in one connection, each refusal takes so many seconds. 0 answers at once.",
    default: "2",
    example: "5",
    read: |config, item| {
        if let Some(number) = item.number(0, 60).and_then(|number| u32::try_from(number).ok()) {
            config.inbound.slow_answer_secs = number;
        }
    },
    refused: &["-1", "100", "\"5s\""],
};

pub(super) const MESSAGES_PER_HOUR: OptionBlock = OptionBlock {
    name: "inbound.messages_per_hour",
    doc: "Messages that one address (IPv6: one /64) of strangers may bring in an hour, before it hears 450; 0 is unlimited.",
    default: "0",
    example: "500",
    read: |config, item| {
        if let Some(number) = item.number(0, u32::MAX.into()).and_then(|number| u32::try_from(number).ok()) {
            config.inbound.messages_per_hour = number;
        }
    },
    refused: &["-1", "\"many\""],
};

pub(super) const NO_SOLICITING: OptionBlock = OptionBlock {
    name: "inbound.no_soliciting",
    doc: "Kinds of solicitation (RFC 3865) that strangers hear are not wanted; what says that it is one of them is refused at MAIL.",
    default: "[]",
    example: "[\"org.example:ADV\"]",
    read: |config, item| {
        let kind = |text: &str| match wire::smtp::wishes::is_solicitation(text) {
            true => Ok(text.to_owned()),
            false => Err(format!("\"{text}\" is no kind of solicitation, such as \"org.example:ADV\"")),
        };
        if let Some(list) = item.list_of(kind) {
            config.inbound.no_soliciting = list;
        }
    },
    refused: &["\"org.example:ADV\"", "[\"7up\"]", "[1]"],
};

pub(super) const CONNECTIONS_PER_MINUTE: OptionBlock = OptionBlock {
    name: "inbound.connections_per_minute",
    doc: "Connections that one address (IPv6: one /64) of strangers may make in a minute, before it hears 421; 0 is unlimited.",
    default: "0",
    example: "60",
    read: |config, item| {
        if let Some(number) = item.number(0, u32::MAX.into()).and_then(|number| u32::try_from(number).ok()) {
            config.inbound.connections_per_minute = number;
        }
    },
    refused: &["-1", "\"many\""],
};

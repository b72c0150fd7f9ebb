//! Options of the trace and of the queue.

use super::OptionBlock;

pub(super) const TRACE_DAYS: OptionBlock = OptionBlock {
    name: "trace.days",
    doc: "Days that `packetboat trace` can look back: who connected, what was refused and why, where a message went. 0 keeps none.",
    default: "14",
    example: "14",
    read: |config, item| {
        if let Some(number) = item.number(0, 3_650).and_then(|number| u32::try_from(number).ok()) {
            config.trace_days = number;
        }
    },
    refused: &["-1", "4000", "\"14\""],
};

pub(super) const TRACE_EVENTS_MAX: OptionBlock = OptionBlock {
    name: "trace.events_max",
    doc: "Events the trace keeps at most, the newest (about 400 octets each).",
    default: "1000000",
    example: "1000000",
    read: |config, item| {
        if let Some(number) = item.number(1_000, 1_000_000_000) {
            config.trace_events_max = number;
        }
    },
    refused: &["0", "-1", "\"many\""],
};

pub(super) const FIRST_TIME_PER_HOUR: OptionBlock = OptionBlock {
    name: "limits.first_time_per_hour",
    doc: "Recipients an account never wrote to before, in an hour; 0 is unlimited.",
    default: "0",
    example: "50",
    read: |config, item| {
        if let Some(number) = item.number_u32(0) {
            config.limits.first_time_per_hour = number;
        }
    },
    refused: &["-1", "\"many\""],
};

pub(super) const MESSAGES_PER_DAY: OptionBlock = OptionBlock {
    name: "limits.messages_per_day",
    doc: "Messages one account may send in a day; 0 is unlimited.",
    default: "0",
    example: "1000",
    read: |config, item| {
        if let Some(number) = item.number_u32(0) {
            config.limits.per_day.messages = number;
        }
    },
    refused: &["-1", "\"many\""],
};

pub(super) const RECIPIENTS_PER_DAY: OptionBlock = OptionBlock {
    name: "limits.recipients_per_day",
    doc: "Recipients of those messages in a day; 0 is unlimited.",
    default: "0",
    example: "2000",
    read: |config, item| {
        if let Some(number) = item.number_u32(0) {
            config.limits.per_day.recipients = number;
        }
    },
    refused: &["-1", "\"many\""],
};

pub(super) const FIRST_TIME_PER_DAY: OptionBlock = OptionBlock {
    name: "limits.first_time_per_day",
    doc: "Recipients an account never wrote to before, in a day; 0 is unlimited.",
    default: "0",
    example: "200",
    read: |config, item| {
        if let Some(number) = item.number_u32(0) {
            config.limits.per_day.first_time = number;
        }
    },
    refused: &["-1", "\"many\""],
};

pub(super) const DNSSEC: OptionBlock = OptionBlock {
    name: "outbound.dnssec",
    doc: "Believe a name server on this machine when it says that DNSSEC proves an answer (AD), and hold mail servers to their TLSA records then (DANE, RFC 7672). Without a validating name server on loopback it changes nothing.",
    default: "true",
    example: "true",
    read: |config, item| {
        if let Some(on) = item.boolean() {
            config.dnssec = on;
        }
    },
    refused: &["1", "\"yes\""],
};

pub(super) const MTA_STS: OptionBlock = OptionBlock {
    name: "outbound.mta_sts",
    doc: "Fetch MTA-STS policies (RFC 8461) of other domains, and keep to those that say enforce.",
    default: "true",
    example: "true",
    read: |config, item| {
        if let Some(on) = item.boolean() {
            config.mta_sts = on;
        }
    },
    refused: &["1", "\"yes\""],
};

pub(super) const TLS_REPORTS: OptionBlock = OptionBlock {
    name: "outbound.tls_reports",
    doc: "Count how TLS to each domain went, and send it a report each day if it wants one (TLSRPT, RFC 8460).",
    default: "false",
    example: "true",
    read: |config, item| {
        if let Some(on) = item.boolean() {
            config.tls_reports = on;
        }
    },
    refused: &["1", "\"yes\""],
};

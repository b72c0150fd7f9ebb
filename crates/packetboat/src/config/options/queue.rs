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

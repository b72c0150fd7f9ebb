//! Fuzz targets: one plain function for every parser and session, with laws that any octets must keep.
//!
//! `tests/replay.rs` replays `corpus/` and a few mutations of it in the ordinary test run; the binaries of
//! `fuzz_targets/` give the same functions to cargo-fuzz (`tests/fuzz.sh SECS`). A crash becomes a file of the corpus.
//! Invariant: a target is a function of its octets; whatever it panics with is a bug (of the code, or of the law).

#![forbid(unsafe_code)]

mod bodies;
mod dialog;
mod explain;
mod fields;
mod imap;
mod imap_dialogs;
mod imap_sessions;
mod names;
mod office;
mod pieces;
mod play;
mod policies;
mod pop3;
mod pop3_dialogs;
mod pop3_sessions;
mod report;
mod sasl;
mod shown;
mod smtp;
mod smtp_dialogs;
mod smtp_sessions;
mod stored;
mod tree;
mod wild;

pub use bodies::{charset, search_text, transfer};
pub use explain::explain;
pub use fields::{date, encoded_word, header_fields, parameter};
pub use imap::{imap_command, imap_fetch, imap_list_pattern, imap_mailbox_name, imap_response, imap_search, imap_sequence_set};
pub use imap_dialogs::{imap_client_dialog, imap_server_dialog};
pub use imap_sessions::{imap_client, imap_server};
pub use names::{address, address_list};
pub use office::{autoconfig_file, configuration, control_request, dns_answer, jmap_request, mbox_file, proxy_header};
pub use policies::{sts_policy, tlsa};
pub use pop3::{pop3_command, pop3_multiline, pop3_reply};
pub use pop3_dialogs::{pop3_client_dialog, pop3_server_dialog};
pub use pop3_sessions::{pop3_client, pop3_server};
pub use report::{dsn, message_build};
pub use sasl::{sasl_client, sasl_pair, sasl_server};
pub use shown::{report_fields, safe_html};
pub use smtp::{smtp_command, smtp_data, smtp_ehlo, smtp_reply};
pub use smtp_dialogs::{smtp_client_dialog, smtp_server_dialog};
pub use smtp_sessions::{smtp_client, smtp_server};
pub use stored::{store_row, store_segment};
pub use tree::{message_facts, message_parse};
pub use trust::fuzzing::{
    aggregate_report, arc_chain, dkim_key, dkim_signature, dmarc_record, forged_results, spf_record, tls_report,
};
pub use wild::{derived_facts, office_document, packed_files, pdf_document};

/// A target: it takes any octets and panics where a law is broken.
pub type Target = fn(&[u8]);

/// Every target by name: that of its corpus directory and of its binary.
pub const TARGETS: &[(&str, Target)] = &[
    ("aggregate_report", aggregate_report),
    ("address", address),
    ("address_list", address_list),
    ("arc_chain", arc_chain),
    ("charset", charset),
    ("configuration", configuration),
    ("control_request", control_request),
    ("date", date),
    ("derived_facts", derived_facts),
    ("dkim_key", dkim_key),
    ("dkim_signature", dkim_signature),
    ("dmarc_record", dmarc_record),
    ("dns_answer", dns_answer),
    ("dsn", dsn),
    ("encoded_word", encoded_word),
    ("explain", explain),
    ("forged_results", forged_results),
    ("header_fields", header_fields),
    ("imap_client", imap_client),
    ("imap_client_dialog", imap_client_dialog),
    ("imap_command", imap_command),
    ("imap_fetch", imap_fetch),
    ("imap_list_pattern", imap_list_pattern),
    ("imap_mailbox_name", imap_mailbox_name),
    ("imap_response", imap_response),
    ("imap_search", imap_search),
    ("imap_sequence_set", imap_sequence_set),
    ("imap_server", imap_server),
    ("imap_server_dialog", imap_server_dialog),
    ("jmap_request", jmap_request),
    ("autoconfig_file", autoconfig_file),
    ("mbox_file", mbox_file),
    ("message_build", message_build),
    ("message_facts", message_facts),
    ("message_parse", message_parse),
    ("office_document", office_document),
    ("packed_files", packed_files),
    ("parameter", parameter),
    ("pdf_document", pdf_document),
    ("pop3_client", pop3_client),
    ("pop3_client_dialog", pop3_client_dialog),
    ("pop3_command", pop3_command),
    ("pop3_multiline", pop3_multiline),
    ("pop3_reply", pop3_reply),
    ("pop3_server", pop3_server),
    ("pop3_server_dialog", pop3_server_dialog),
    ("proxy_header", proxy_header),
    ("report_fields", report_fields),
    ("safe_html", safe_html),
    ("sasl_client", sasl_client),
    ("sasl_pair", sasl_pair),
    ("sasl_server", sasl_server),
    ("search_text", search_text),
    ("smtp_client", smtp_client),
    ("smtp_client_dialog", smtp_client_dialog),
    ("smtp_command", smtp_command),
    ("smtp_data", smtp_data),
    ("smtp_ehlo", smtp_ehlo),
    ("smtp_reply", smtp_reply),
    ("smtp_server", smtp_server),
    ("smtp_server_dialog", smtp_server_dialog),
    ("spf_record", spf_record),
    ("store_row", store_row),
    ("store_segment", store_segment),
    ("sts_policy", sts_policy),
    ("tls_report", tls_report),
    ("tlsa", tlsa),
    ("transfer", transfer),
];

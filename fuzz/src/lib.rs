//! Fuzz targets: one plain function for every parser and session, with laws that any octets must keep.
//!
//! `tests/replay.rs` replays `corpus/` and a few mutations of it in the ordinary test run; `fuzzer.rs` gives the same
//! functions to libFuzzer (`tests/fuzz.sh SECS`). A crash becomes a file of the corpus.
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

use trust::fuzzing as verdicts;

/// A target: it takes any octets and panics where a law is broken.
pub type Target = fn(&[u8]);

/// Gives the macro `$with` the names of all targets, module by module. A new one stands here and nowhere else: its name is
/// also that of its corpus directory and of its test.
#[macro_export]
macro_rules! targets {
    ($with:ident) => {
        $with! {
            bodies: charset search_text transfer;
            explain: explain;
            fields: date encoded_word header_fields parameter;
            imap: imap_command imap_fetch imap_list_pattern imap_mailbox_name imap_response imap_search imap_sequence_set
                imap_url;
            imap_dialogs: imap_client_dialog imap_server_dialog;
            imap_sessions: imap_client imap_server;
            names: address address_list;
            office: autoconfig_file configuration control_request dns_answer https_answer jmap_request mail_archive
                mailbox_name_elsewhere mbox_file proxy_header report_mail;
            policies: sts_policy tlsa;
            pop3: pop3_command pop3_multiline pop3_reply;
            pop3_dialogs: pop3_client_dialog pop3_server_dialog;
            pop3_sessions: pop3_client pop3_server;
            report: dsn message_build;
            sasl: sasl_client sasl_pair sasl_server;
            shown: report_fields safe_html;
            smtp: smtp_command smtp_data smtp_ehlo smtp_reply;
            smtp_dialogs: smtp_client_dialog smtp_server_dialog;
            smtp_sessions: smtp_client smtp_server;
            stored: store_row store_segment;
            tree: message_facts message_parse;
            verdicts: aggregate_report arc_chain dkim_key dkim_signature dmarc_record forged_results rewritten_address spf_record
                tls_report;
            wild: derived_facts office_document packed_files pdf_document;
        }
    };
}

macro_rules! table {
    ($($module:ident: $($name:ident)+;)+) => { &[$($((stringify!($name), $module::$name)),+),+] };
}

/// Every target by name.
pub const TARGETS: &[(&str, Target)] = targets!(table);

//! cargo-fuzz's door to `fuzz::imap_server_dialog`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::imap_server_dialog(data));

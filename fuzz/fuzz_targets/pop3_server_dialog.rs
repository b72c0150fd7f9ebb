//! cargo-fuzz's door to `fuzz::pop3_server_dialog`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::pop3_server_dialog(data));

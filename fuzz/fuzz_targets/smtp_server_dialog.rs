//! cargo-fuzz's door to `fuzz::smtp_server_dialog`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::smtp_server_dialog(data));

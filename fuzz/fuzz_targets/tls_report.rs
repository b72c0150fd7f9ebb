//! cargo-fuzz's door to `fuzz::tls_report`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::tls_report(data));

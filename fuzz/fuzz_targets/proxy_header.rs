//! cargo-fuzz's door to `fuzz::proxy_header`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::proxy_header(data));

//! cargo-fuzz's door to `fuzz::safe_html`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::safe_html(data));

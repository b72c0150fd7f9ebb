//! cargo-fuzz's door to `fuzz::jmap_request`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::jmap_request(data));

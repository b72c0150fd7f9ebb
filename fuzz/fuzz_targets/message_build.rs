//! cargo-fuzz's door to `fuzz::message_build`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::message_build(data));

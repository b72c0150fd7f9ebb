//! cargo-fuzz's door to `fuzz::sts_policy`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::sts_policy(data));

//! cargo-fuzz's door to `fuzz::autoconfig_file`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::autoconfig_file(data));

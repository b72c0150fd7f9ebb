//! cargo-fuzz's door to `fuzz::derived_facts`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::derived_facts(data));

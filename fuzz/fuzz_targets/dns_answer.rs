//! cargo-fuzz's door to `fuzz::dns_answer`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::dns_answer(data));

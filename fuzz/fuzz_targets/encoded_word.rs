//! cargo-fuzz's door to `fuzz::encoded_word`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::encoded_word(data));

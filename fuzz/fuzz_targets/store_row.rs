//! cargo-fuzz's door to `fuzz::store_row`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::store_row(data));

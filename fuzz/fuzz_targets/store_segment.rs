//! cargo-fuzz's door to `fuzz::store_segment`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::store_segment(data));

//! cargo-fuzz's door to `fuzz::packed_files`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::packed_files(data));

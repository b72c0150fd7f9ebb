//! cargo-fuzz's door to `fuzz::pdf_document`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::pdf_document(data));

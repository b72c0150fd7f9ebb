//! cargo-fuzz's door to `fuzz::imap_search`.
#![no_main]
#![allow(unsafe_code, missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::imap_search(data));

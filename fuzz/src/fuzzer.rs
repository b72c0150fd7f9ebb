//! libFuzzer's door to every target: it runs the one that `FUZZ_TARGET` names (`tests/fuzz.sh`).
#![no_main]
#![allow(unsafe_code, missing_docs)]

use std::sync::LazyLock;

static CHOSEN: LazyLock<fuzz::Target> = LazyLock::new(|| {
    let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let Some((_, target)) = fuzz::TARGETS.iter().find(|(name, _)| *name == wanted) else {
        eprintln!("FUZZ_TARGET names none of: {}", fuzz::TARGETS.iter().map(|(name, _)| format!("{name} ")).collect::<String>());
        std::process::exit(2);
    };
    *target
});

libfuzzer_sys::fuzz_target!(init: { LazyLock::force(&CHOSEN) }, |data: &[u8]| CHOSEN(data));

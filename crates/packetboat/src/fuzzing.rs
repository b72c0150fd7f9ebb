//! Doors for the fuzz targets (`fuzz/src/office.rs`) to the configuration reader and the control protocol.
//!
//! Invariant: what is refused is told of, in one line each; what is read is written and read the same. Not for use by
//! anybody else.

#![doc(hidden)]
#![allow(clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use crate::admin::Request;
use crate::config;
use std::path::Path;

/// A configuration file.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Files that it names are read: not these.
    if ["/dev", "/proc", "/sys", "\\"].iter().any(|never| text.contains(never)) {
        return;
    }
    match config::parse(text, Path::new("/nowhere")) {
        Ok(config) => assert!(!config.hostname.is_empty() && config.data_dir.is_absolute(), "{config:?}"),
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(problem.span.start <= text.len(), "{problem:?}");
                assert!(!problem.message.is_empty() && !problem.message.contains(['\r', '\n']), "{problem:?}");
            }
        }
    }
}

/// A line that came to the control socket.
pub fn control_request(data: &[u8]) {
    let Ok(request) = serde_json::from_slice::<Request>(data) else { return };
    let written = serde_json::to_vec(&request).expect("a request is written");
    let again: Request = serde_json::from_slice(&written).expect("what was written is read");
    assert_eq!(format!("{again:?}"), format!("{request:?}"));
    assert!(!written.contains(&b'\n'), "one request is one line");
}

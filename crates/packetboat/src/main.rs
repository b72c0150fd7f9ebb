//! The binary: everything is in the library beside it, which the fuzz targets reach as well.

use std::process::ExitCode;

fn main() -> ExitCode {
    packetboat::run()
}

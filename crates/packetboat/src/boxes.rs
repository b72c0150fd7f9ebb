//! mbox files for the web face, as `import` and `export` read and write them.
//!
//! Must not know: mailboxes, HTTP.

use client::{export, import};
use std::io::{self, BufRead};
use store::Flags;
use web::Boxed;

fn boxed(one: import::Boxed) -> Boxed {
    Boxed { octets: one.octets, flags: one.flags, date_secs: one.date_secs, hash: one.hash }
}

/// See the module.
pub(crate) struct Boxes;

impl web::Boxes for Boxes {
    fn single(&self, octets: Vec<u8>, changed_secs: Option<i64>) -> Boxed {
        boxed(import::read_single(octets, changed_secs))
    }

    fn write(&self, flags: &Flags, date_secs: i64, octets: &[u8]) -> Vec<u8> {
        export::boxed(flags, date_secs, octets)
    }

    fn read(&self, input: &mut dyn BufRead, message_bytes_max: u64, each: &mut dyn FnMut(Boxed) -> bool) -> io::Result<()> {
        import::read_box(input, message_bytes_max, &mut |one| each(boxed(one)))
    }
}

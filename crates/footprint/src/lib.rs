//! Memory that nobody needs at the moment goes back to the system.
//!
//! Two kinds: pages of the program's own file, which the system maps 64 KB around each octet that is touched and keeps
//! mapped for ever, and what the allocator holds free. Both come back by themselves when they are touched again, at a
//! fraction of a microsecond a page. Invariant: nothing that was ever written is given back. Must not know: when.
//!
//! The only crate with `unsafe` (`docs/decisions/0008-memory-given-back.md`): [`give_back`] is safe for any caller.

/// Unmaps the pages of the program's own file and hands the allocator's free pages to the system. What is needed again
/// is mapped again from the file (which lies in the system's cache), so this only costs time: call it when all is quiet.
///
/// The octets of the address space that were given up (not how many of them were in memory). On other systems than
/// Linux it does nothing.
pub fn give_back() -> usize {
    #[cfg(target_os = "linux")]
    return linux::give_back();
    #[cfg(not(target_os = "linux"))]
    0
}

#[cfg(target_os = "linux")]
mod linux;

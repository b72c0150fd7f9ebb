//! The same on Linux: which parts of the address space are as the program's file has them, by `/proc/self/smaps`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

pub(crate) fn give_back() -> usize {
    let mut given = 0;
    for range in own_file() {
        given += unmap(range);
    }
    trim();
    given
}

/// The parts of the address space that show the program's own file and were never written.
fn own_file() -> Vec<Range<usize>> {
    let (Ok(program), Ok(maps)) = (std::fs::read_link("/proc/self/exe"), File::open("/proc/self/smaps")) else {
        return Vec::new();
    };
    never_written(BufReader::new(maps), program.as_os_str().as_bytes())
}

/// One part, as far as it is read.
struct Part {
    range: Range<usize>,
    /// Nothing but the file stands in it.
    is_file: bool,
}

/// Of what `smaps` says (proc_pid_smaps(5)): the parts of `program` that nobody may write, of which no page is a copy of
/// our own, in memory or swapped out. (The relocated part is read-only as well, and all of it copies.)
fn never_written(maps: impl BufRead, program: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut part: Option<Part> = None;
    for line in maps.split(b'\n') {
        let Ok(line) = line else { return Vec::new() };
        if let Some((range, rest)) = head(&line) {
            found.extend(whole(part.take()));
            let is_program = rest.ends_with(program) && rest.get(..rest.len() - program.len()).is_some_and(ends_fields);
            // Above the program come the heap and everything else: that need not be counted page by page.
            if !is_program && !found.is_empty() && rest.contains(&b'[') {
                return found;
            }
            part = is_program.then(|| Part { range, is_file: rest.starts_with(b"r--p ") || rest.starts_with(b"r-xp ") });
        } else if let Some(part) = &mut part
            && (line.starts_with(b"Anonymous:") || line.starts_with(b"Swap:"))
        {
            part.is_file &= kilobytes(&line) == Some(0);
        }
    }
    found.extend(whole(part));
    found
}

fn whole(part: Option<Part>) -> Option<Range<usize>> {
    part.filter(|part| part.is_file).map(|part| part.range)
}

/// `start-end` in hexadecimal, and what follows: permissions, offset, device, inode, path.
fn head(line: &[u8]) -> Option<(Range<usize>, &[u8])> {
    let space = line.iter().position(|octet| *octet == b' ')?;
    let (range, rest) = (std::str::from_utf8(line.get(..space)?).ok()?, line.get(space + 1..)?);
    let (start, end) = range.split_once('-')?;
    let at = |text| usize::from_str_radix(text, 16).ok();
    Some((at(start)?..at(end)?, rest))
}

/// Four fields and the blanks before the path: a path that only ends like ours is another one.
fn ends_fields(before: &[u8]) -> bool {
    before.ends_with(b" ") && before.split(|octet| *octet == b' ').filter(|field| !field.is_empty()).count() == 4
}

fn kilobytes(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Forgets the pages of a part that [`never_written`] found.
#[allow(unsafe_code)]
fn unmap(range: Range<usize>) -> usize {
    let length = range.end.saturating_sub(range.start);
    // SAFETY: the part belongs to the program's own file, which stays mapped where it is until the process ends; it can
    // not be written, and none of its pages is a copy of our own: each is the file's page in the system's cache, seen
    // through the mapping. Forgetting it changes what is seen by nothing: the same page is mapped again for whoever
    // touches it next, and a thread that runs in it meanwhile only waits for that.
    let done = unsafe { libc::madvise(range.start as *mut libc::c_void, length, libc::MADV_DONTNEED) };
    if done == 0 { length } else { 0 }
}

/// Hands the allocator's free pages to the system.
#[allow(unsafe_code)]
fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number and no pointer; it locks the heaps that it looks through (malloc_trim(3): MT-Safe).
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MAPS: &str = "\
55d0-55e0 r--p 00000000 fe:00 12 /opt/box
Rss:  12 kB
Anonymous:  0 kB
Swap:  0 kB
VmFlags: rd mr mw me sd
55e0-55f0 r-xp 00010000 fe:00 12                         /opt/box
Anonymous:             0 kB
Swap:                  0 kB
55f0-5600 r--p 00020000 fe:00 12                         /opt/box
Anonymous:            64 kB
Swap:                  0 kB
5600-5610 r--p 00030000 fe:00 12                         /opt/box
Anonymous:             0 kB
Swap:                  4 kB
5610-5620 rw-p 00040000 fe:00 12                         /opt/box
Anonymous:             0 kB
Swap:                  0 kB
5620-5630 r--s 00040000 fe:00 12                         /opt/box
Anonymous:             0 kB
5630-5640 r--p 00000000 fe:00 13                         /srv/opt/box
Anonymous:             0 kB
5640-5650 r--p 00000000 fe:00 13                         /a /opt/box
Anonymous:             0 kB
5650-5660 rw-p 00000000 00:00 0 
Anonymous:             0 kB
5660-5670 r-xp 00000000 fe:00 12                         /opt/box
Anonymous:             0 kB
6000-6100 rw-p 00000000 00:00 0                          [heap]
7f00-7f10 r-xp 00000000 fe:00 12                         /opt/box
Anonymous:             0 kB
";

    #[test]
    fn only_what_was_never_written() {
        let found = never_written(MAPS.as_bytes(), b"/opt/box");
        assert_eq!(found, [0x55d0..0x55e0, 0x55e0..0x55f0, 0x5660..0x5670]);
        assert!(never_written(MAPS.as_bytes(), b"/opt/other").is_empty());
        // A file of another making gives nothing away.
        assert!(never_written(&b"nonsense\n-\n zz-1 r--p\n\xff\xff-\xff \xff\n"[..], b"/opt/box").is_empty());
    }

    /// KiB of a field of `/proc/self/status`.
    fn status(field: &str) -> u64 {
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = text.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn the_program_goes_on_with_less() {
        // The allocator's: many free pieces, and here and there one in use, so that nothing goes back by itself.
        let pieces: Vec<Vec<u8>> = (0..4_096).map(|_| vec![7u8; 16 * 1024]).collect();
        let kept: Vec<Vec<u8>> = pieces.into_iter().step_by(64).collect();
        let (file_before, heap_before) = (status("RssFile:"), status("RssAnon:"));
        let given = give_back();
        let (file_after, heap_after) = (status("RssFile:"), status("RssAnon:"));
        assert!(given > 64 * 1024, "{given}");
        assert!(file_after < file_before, "of files {file_before} KiB before, {file_after} after");
        #[cfg(target_env = "gnu")]
        assert!(heap_after + 40_000 < heap_before, "of its own {heap_before} KiB before, {heap_after} after");
        // What was given back is there, as it was, and can go again.
        assert!(kept.iter().flatten().all(|octet| *octet == 7));
        assert_eq!(never_written(MAPS.as_bytes(), b"/opt/box").len(), 3);
        assert_eq!(give_back(), given);
    }
}

//! How much memory there is, for what is remembered beyond need.
//!
//! Must not know: what is remembered.

use std::path::Path;

/// Where nothing tells.
const USUAL_BYTES: u64 = 1024 * 1024 * 1024;

/// Octets of memory this process may count on: the machine's, or less where its control group allows less.
pub(crate) fn memory_bytes() -> u64 {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    told_by(&read("/proc/meminfo"), &read("/sys/fs/cgroup/memory.max"))
}

fn told_by(meminfo: &str, group_max: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| {
        let kib = line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim();
        kib.parse::<u64>().ok()?.checked_mul(1024)
    });
    // "max" where nothing bounds it.
    let allowed = group_max.trim().parse::<u64>().ok();
    total.into_iter().chain(allowed).min().unwrap_or(USUAL_BYTES)
}

/// A share of `memory_bytes`, within bounds.
pub(crate) fn share(memory_bytes: u64, parts: u64, least: u64, most: u64) -> u64 {
    (memory_bytes / parts).clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::{USUAL_BYTES, share, told_by};

    #[test]
    fn the_less_of_machine_and_control_group_counts() {
        let machine = "MemTotal:       24563456 kB\nMemFree:         1 kB\n";
        assert_eq!(told_by(machine, "max\n"), 24_563_456 * 1024);
        assert_eq!(told_by(machine, "536870912\n"), 536_870_912);
        assert_eq!(told_by("", "536870912"), 536_870_912);
        assert_eq!(told_by("nothing\n", ""), USUAL_BYTES);
        assert_eq!(share(536_870_912, 64, 16 << 20, 256 << 20), 16 << 20);
        assert_eq!(share(8 << 30, 64, 16 << 20, 256 << 20), 128 << 20);
        assert_eq!(share(1 << 40, 64, 16 << 20, 256 << 20), 256 << 20);
    }
}

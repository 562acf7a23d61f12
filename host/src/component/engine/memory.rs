//! The memory of the machine, or of the container that the process runs in.

use std::{fs, path::Path};

use super::swap;

/// Returns half of the memory that this process may use, in bytes. Returns `None` if that is unknown.
pub(super) fn half_of_the_machine() -> Option<usize> {
    available(&|path| fs::read_to_string(path).ok()).map(|bytes| bytes / 2)
}

/// Determines the result from the contents of files. `read` returns `None` for a file that cannot be read.
fn available(read: &impl Fn(&Path) -> Option<String>) -> Option<usize> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| {
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        total.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
    });
    let limit = |folder: &std::path::PathBuf| read(&folder.join("memory.max"))?.trim().parse().ok();
    swap::cgroups(read).iter().filter_map(limit).chain(machine).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_applies() {
        let meminfo = ("/proc/meminfo", "MemTotal:        2048 kB\nMemFree:  7 kB\n");
        let group = ("/proc/self/cgroup", "0::/system/carya\n");
        let mounts = ("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        let (own, above) = ("/sys/fs/cgroup/system/carya/memory.max", "/sys/fs/cgroup/system/memory.max");
        let table = [
            (vec![], None),
            (vec![meminfo], Some(2 << 20)),
            (vec![meminfo, group, mounts, (own, "max\n")], Some(2 << 20)),
            (vec![meminfo, group, mounts, (own, "max\n"), (above, "4096\n")], Some(4096)),
            (vec![group, mounts, (own, "8192\n"), (above, "max\n")], Some(8192)),
        ];
        for (files, expected) in table {
            let read = |path: &Path| {
                files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
            };
            assert_eq!(available(&read), expected, "{files:?}");
        }
    }
}

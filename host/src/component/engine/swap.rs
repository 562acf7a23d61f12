//! Determines from files in `/proc` and of cgroups whether the kernel can swap out memory of this process.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// Whether the kernel can swap out memory of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Swap {
    /// Memory is never swapped out.
    Impossible,
    /// Memory may be swapped out.
    Possible(Reason),
}

/// Reason why memory may be swapped out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    /// This swap area is active, and no cgroup of this process forbids swap.
    Active(String),
    /// This file cannot be read, so the state of swap is unknown.
    Unreadable(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active(area) => write!(f, "the kernel may swap memory of this process out to {area}"),
            Self::Unreadable(file) => write!(f, "{file} cannot be read, so memory of this process may be swapped out"),
        }
    }
}

/// Returns whether the kernel can swap out memory of this process.
pub(super) fn of_this_process() -> Swap {
    decide(|path| fs::read_to_string(path).ok())
}

/// Determines the result from the contents of files. `read` returns `None` for a file that cannot be read.
fn decide(read: impl Fn(&Path) -> Option<String>) -> Swap {
    let swaps = "/proc/swaps";
    let Some(text) = read(Path::new(swaps)) else { return Swap::Possible(Reason::Unreadable(swaps.to_owned())) };
    // The first line is the header of the table.
    let Some(area) = text.lines().skip(1).find_map(|line| line.split_whitespace().next()) else {
        return Swap::Impossible;
    };
    match is_forbidden(&read) {
        true => Swap::Impossible,
        false => Swap::Possible(Reason::Active(area.to_owned())),
    }
}

/// Returns whether the cgroup of this process, or one above it, forbids swap. A limit that cannot be read counts as not
/// set. Version 1 of cgroups cannot forbid swap: the kernel ignores its limits if the whole system is short of memory.
fn is_forbidden(read: &impl Fn(&Path) -> Option<String>) -> bool {
    let limit = |folder: &PathBuf| read(&folder.join("memory.swap.max"));
    cgroups(read).iter().filter_map(limit).any(|limit| limit.trim() == "0")
}

/// Returns the mounted folders of the cgroup of this process and of those above it. Returns none if they are unknown.
pub(super) fn cgroups(read: &impl Fn(&Path) -> Option<String>) -> Vec<PathBuf> {
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let mounts = read(Path::new("/proc/self/mountinfo")).unwrap_or_default();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"));
    group.and_then(|group| folders(&mounts, group)).unwrap_or_default()
}

/// Returns the mounted folders of a cgroup and its ancestors.
fn folders(mounts: &str, group: &str) -> Option<Vec<PathBuf>> {
    let (root, mounted) = mounts.lines().find_map(|line| {
        // `36 35 98:0 ROOT MOUNT_POINT OPTIONS [TAGS] - TYPE SOURCE SUPER_OPTIONS`
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        kind.starts_with("cgroup2 ").then_some((place.next()?, place.next()?))
    })?;
    // In a container, the root of the mount may be the cgroup of the process.
    let group = Path::new(group);
    let inside = group.strip_prefix(root).or_else(|_| group.strip_prefix("/")).ok()?;
    let folder = Path::new(mounted).join(inside);
    Some(folder.ancestors().take_while(|folder| folder.starts_with(mounted)).map(Path::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
    const SOME: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/sda2 partition\t8388604\t0\t-2\n";
    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const INSIDE: &str = "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";

    /// Paths and contents of files.
    type Files<'a> = &'a [(&'a str, &'a str)];

    /// Name of a row, its files, and the expected decision.
    type Row<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'a Swap);

    fn decided(files: Files<'_>) -> Swap {
        decide(|path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn swap_is_impossible_without_a_swap_area_or_if_a_cgroup_forbids_it() {
        let impossible = Swap::Impossible;
        let possible = Swap::Possible(Reason::Active("/dev/sda2".to_owned()));
        let (swaps, cgroup, mounts) = ("/proc/swaps", "/proc/self/cgroup", "/proc/self/mountinfo");
        let (own, above) = ("/sys/fs/cgroup/system/carya/memory.swap.max", "/sys/fs/cgroup/system/memory.swap.max");
        let unified = [(swaps, SOME), (cgroup, "0::/system/carya\n"), (mounts, V2)];
        let table: [Row<'_>; 11] = [
            ("no swap", vec![(swaps, NONE)], &impossible),
            ("swap alone", vec![(swaps, SOME)], &possible),
            ("no limit", [&unified[..], &[(own, "max\n"), (above, "max\n")]].concat(), &possible),
            ("forbidden", [&unified[..], &[(own, "0\n"), (above, "max\n")]].concat(), &impossible),
            ("forbidden above", [&unified[..], &[(own, "max\n"), (above, "0\n")]].concat(), &impossible),
            ("some allowed", [&unified[..], &[(own, "4096\n")]].concat(), &possible),
            ("unreadable limits", unified.to_vec(), &possible),
            ("no mount", vec![(swaps, SOME), (cgroup, "0::/system/carya\n"), (own, "0\n")], &possible),
            (
                "in a container",
                vec![
                    (swaps, SOME),
                    (cgroup, "0::/docker/abc\n"),
                    (mounts, INSIDE),
                    ("/sys/fs/cgroup/memory.swap.max", "0"),
                ],
                &impossible,
            ),
            (
                "in a namespace",
                vec![(swaps, SOME), (cgroup, "0::/\n"), (mounts, V2), ("/sys/fs/cgroup/memory.swap.max", "0")],
                &impossible,
            ),
            (
                "a first version of cgroups",
                vec![
                    (swaps, SOME),
                    (cgroup, "4:memory:/carya\n0::/\n"),
                    (mounts, "37 30 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"),
                    ("/sys/fs/cgroup/memory/carya/memory.swappiness", "0"),
                ],
                &possible,
            ),
        ];
        for (what, files, expected) in &table {
            assert_eq!(&decided(files), *expected, "{what}");
        }
        assert_eq!(decided(&[]), Swap::Possible(Reason::Unreadable(swaps.to_owned())));
    }

    #[test]
    fn names_the_reason() {
        let reason = |files: Files<'_>| match decided(files) {
            Swap::Possible(reason) => reason.to_string(),
            Swap::Impossible => String::new(),
        };
        assert_eq!(reason(&[("/proc/swaps", SOME)]), "the kernel may swap memory of this process out to /dev/sda2");
        assert_eq!(reason(&[]), "/proc/swaps cannot be read, so memory of this process may be swapped out");
    }
}

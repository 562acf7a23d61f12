//! The pages of memory that a request writes, and the regions that contain them.

use std::{cmp::Reverse, fs::File, io, ops::Range, os::unix::fs::FileExt};

/// Maximum number of regions of [`covering`]. The pool resets 32. The remaining regions are for pages that only other
/// requests write.
const MAX_REGIONS: usize = 10;

/// Bits of an entry of `/proc/self/pagemap`.
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const FILE: u64 = 1 << 61;

/// Returns the numbers of the pages of a memory that were written since it was mapped, in ascending order. A page
/// of the image that was only read does not count. A page beyond the image counts as soon as it was read.
///
/// # Errors
///
/// Returns an error if the system provides no `/proc/self/pagemap`.
pub(super) fn written(memory: &[u8]) -> io::Result<Vec<u32>> {
    let page = rustix::param::page_size();
    let mut entries = vec![0; memory.len() / page * 8];
    let first = memory.as_ptr().addr() / page;
    File::open("/proc/self/pagemap")?.read_exact_at(&mut entries, first as u64 * 8)?;
    let is_written = |entry: &[u8; 8]| {
        let entry = u64::from_ne_bytes(*entry);
        entry & (PRESENT | SWAPPED) != 0 && entry & FILE == 0
    };
    let (entries, _) = entries.as_chunks();
    Ok((0..).zip(entries).filter(|(_, entry)| is_written(entry)).map(|(number, _)| number).collect())
}

/// Returns regions that contain all pages of a list, which is in ascending order, and as few other pages as possible.
/// Returns `None` if the list has few regions anyway.
pub(super) fn covering(pages: &[u32]) -> Option<Vec<Range<u32>>> {
    let mut gaps: Vec<_> = pages.array_windows().map(|[a, b]| a + 1..*b).filter(|gap| !gap.is_empty()).collect();
    if gaps.len() < MAX_REGIONS {
        return None;
    }
    // The largest gaps remain.
    gaps.sort_by_key(|gap| Reverse(gap.len()));
    gaps.truncate(MAX_REGIONS - 1);
    gaps.sort_by_key(|gap| gap.start);
    let starts = [*pages.first()?].into_iter().chain(gaps.iter().map(|gap| gap.end));
    let ends = gaps.iter().map(|gap| gap.start).chain([pages.last()? + 1]);
    Some(starts.zip(ends).map(|(start, end)| start..end).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_contain_all_pages_and_leave_out_the_largest_gaps() {
        let every = |step: usize, end: u32| (0..end).step_by(step).collect::<Vec<u32>>();
        // Twelve pages with gaps of 0, 1, 2 ... pages.
        let growing: Vec<u32> = (0..12).map(|number| number * (number + 1) / 2).collect();
        let rows: [(&[u32], &[Range<u32>]); 5] = [
            (&[], &[]),
            (&every(1, 500), &[]),
            (&every(2, 20), &[]),
            // All gaps have the same size.
            (&every(2, 22), &[0..1, 2..3, 4..5, 6..7, 8..9, 10..11, 12..13, 14..15, 16..17, 18..21]),
            (&growing, &[0..4, 6..7, 10..11, 15..16, 21..22, 28..29, 36..37, 45..46, 55..56, 66..67]),
        ];
        for (pages, expected) in rows {
            assert_eq!(covering(pages).unwrap_or_default(), expected, "{pages:?}");
        }
    }
}

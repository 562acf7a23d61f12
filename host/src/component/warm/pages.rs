//! The pages of memory that a request writes, and the regions that contain them.

use std::{cmp::Reverse, fs::File, io, ops::Range, os::unix::fs::FileExt};

/// Number of regions that the pool resets. It unmaps all pages after them.
const RESET_REGIONS: usize = 32;

/// Maximum number of regions of [`covering`]. The remaining regions of the pool are for pages that only other requests
/// write.
const MAX_REGIONS: usize = 10;

/// Maximum number of pages that each request copies in addition, for each page that the pool would unmap otherwise. The
/// copies then cost less than the page faults. A page fault costs several times as much if several threads serve requests,
/// because the kernel interrupts the other threads.
const MAX_COPIES: usize = 8;
const MAX_COPIES_PARALLEL: usize = 32;

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
/// Returns `None` if the copies of the other pages would cost more than the page faults of the pages that the pool unmaps.
/// `is_parallel` is whether several threads serve requests.
pub(super) fn covering(pages: &[u32], is_parallel: bool) -> Option<Vec<Range<u32>>> {
    let mut gaps: Vec<_> = pages.array_windows().map(|[a, b]| a + 1..*b).filter(|gap| !gap.is_empty()).collect();
    let first_unmapped = gaps.get(RESET_REGIONS - 1)?.end;
    let unmapped = pages.len() - pages.partition_point(|page| *page < first_unmapped);
    // The largest gaps remain.
    gaps.sort_by_key(|gap| Reverse(gap.len()));
    let copied: usize = gaps.split_off(MAX_REGIONS - 1).iter().map(ExactSizeIterator::len).sum();
    let max_copies = if is_parallel { MAX_COPIES_PARALLEL } else { MAX_COPIES };
    if copied > max_copies * unmapped {
        return None;
    }
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
        // Gaps of the same size, then adjacent pages.
        let equal = [every(2, 66), (66..100).collect()].concat();
        // Gaps of 0, 1, 2 ... 39 pages.
        let growing: Vec<u32> = (0..41).map(|number| number * (number + 1) / 2).collect();
        let further = [&growing[..], &every(1, 850)[821..]].concat();
        let largest =
            [0..497, 528..529, 561..562, 595..596, 630..631, 666..667, 703..704, 741..742, 780..781, 820..850];
        let rows: [(&[u32], &[Range<u32>]); 6] = [
            (&[], &[]),
            (&every(1, 500), &[]),
            (&every(2, 64), &[]),
            (&equal, &[0..1, 2..3, 4..5, 6..7, 8..9, 10..11, 12..13, 14..15, 16..17, 18..100]),
            // The page faults of the last pages cost less.
            (&growing, &[]),
            (&further, &largest),
        ];
        for (pages, expected) in rows {
            assert_eq!(covering(pages, true).unwrap_or_default(), expected, "{pages:?}");
        }
    }

    #[test]
    fn pages_are_copied_if_that_costs_less_than_page_faults() {
        // 32 pages with gaps of the same size, of which 23 are closed, and further pages.
        let pages = |gap: u32, further: u32| -> Vec<u32> {
            let first = (0..32).map(|number| number * (gap + 1));
            first.chain((0..further).map(|number| 32 * (gap + 1) + number)).collect()
        };
        let rows = [(1, 0, [false, false]), (1, 2, [false, true]), (1, 3, [true, true]), (3, 2, [false, false])];
        for (gap, further, expected) in rows {
            let found = [false, true].map(|is_parallel| covering(&pages(gap, further), is_parallel).is_some());
            assert_eq!(found, expected, "{further} pages after gaps of {gap}");
        }
    }
}

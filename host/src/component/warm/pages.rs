//! The pages of memory that a request writes, and the regions that contain them.

use std::{cmp::Reverse, fs::File, io, ops::Range, os::unix::fs::FileExt};

/// Bounds of the number of regions of [`covering`]. The pool resets 32. The remaining regions are for pages that only other
/// requests write: with JavaScript and Python, all other routes of the shop had at most 18 further regions.
const FEWEST_REGIONS: usize = 10;
const MOST_REGIONS: usize = 24;

/// Bits of an entry of `/proc/self/pagemap`.
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const FILE: u64 = 1 << 61;

/// Returns the numbers of the pages of a memory that were written since it was mapped, in ascending order. A page that was
/// only read is a page of the file with the image, or is counted too if the image has no such page.
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

/// Returns regions that contain all pages of a list, which is in ascending order, or `None` if the list has few regions
/// anyway. More regions leave fewer for other requests, and fewer regions contain more other pages, which each request
/// copies. So the result is the smallest number of regions with at most half more pages than the largest number.
pub(super) fn covering(pages: &[u32]) -> Option<Vec<Range<u32>>> {
    let mut gaps: Vec<_> = pages.array_windows().map(|[a, b]| a + 1..*b).filter(|gap| !gap.is_empty()).collect();
    if gaps.len() < FEWEST_REGIONS {
        return None;
    }
    gaps.sort_by_key(|gap| Reverse(gap.len()));
    let all = *pages.first()?..pages.last()? + 1;
    let most = size(&without(&all, &gaps, MOST_REGIONS));
    let mut found = (FEWEST_REGIONS..=MOST_REGIONS).map(|regions| without(&all, &gaps, regions));
    found.find(|regions| size(regions) <= most + most / 2)
}

/// Returns the number of pages of all regions.
pub(super) fn size(regions: &[Range<u32>]) -> usize {
    regions.iter().map(ExactSizeIterator::len).sum()
}

/// Returns the region `all` without the largest gaps, as at most this number of regions. `gaps` begins with the largest.
fn without(all: &Range<u32>, gaps: &[Range<u32>], regions: usize) -> Vec<Range<u32>> {
    let mut gaps = gaps.iter().take(regions - 1).cloned().collect::<Vec<_>>();
    gaps.sort_by_key(|gap| gap.start);
    let starts = [all.start].into_iter().chain(gaps.iter().map(|gap| gap.end));
    let ends = gaps.iter().map(|gap| gap.start).chain([all.end]);
    starts.zip(ends).map(|(start, end)| start..end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_contain_all_pages_and_leave_out_the_largest_gaps() {
        let every = |step: usize, end: u32| (0..end).step_by(step).collect::<Vec<u32>>();
        // Thirty pages with gaps of 0, 1, 2 ... pages, and the same with gaps of 100 pages more.
        let growing: Vec<u32> = (0..30).map(|number| number * (number + 1) / 2).collect();
        let far: Vec<u32> = growing.iter().zip(0..).map(|(page, number)| page + 100 * number).collect();
        let rows: [(&[u32], usize, usize); 6] = [
            (&[], 0, 0),
            (&every(1, 500), 0, 0),
            (&every(2, 20), 0, 0),
            // Eleven pages with gaps of one page: 1 of 10 gaps is closed.
            (&every(2, 22), 10, 12),
            // 24 regions have 45 pages, 21 have 66, and 20 have 74.
            (&growing, 21, 66),
            // 24 regions have 645 pages, 21 have 966, and 20 have 1074.
            (&far, 21, 966),
        ];
        for (pages, regions, covered) in rows {
            let found = covering(pages).unwrap_or_default();
            assert_eq!((found.len(), size(&found)), (regions, covered), "{pages:?}: {found:?}");
            assert!(found.is_empty() || pages.iter().all(|page| found.iter().any(|region| region.contains(page))));
        }
        let regions = [0..2, 3..4, 5..6, 7..8, 9..10, 11..12, 13..14, 15..16, 17..18, 19..20];
        let pages = [0, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19];
        assert_eq!(without(&(0..20), &[2..3, 4..5, 6..7, 8..9, 10..11, 12..13, 14..15, 16..17, 18..19], 10), regions);
        assert_eq!(covering(&pages), None, "nine gaps");
    }
}

//! Limits the memory that the guests of all components together allocate. The initial memory of an instance does not
//! count: until a guest writes to them, its pages are shared.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Memory by which the memories of all instances have grown, and its maximum, in bytes.
#[derive(Debug)]
pub(super) struct AllGrowth {
    now: AtomicUsize,
    pub(super) max: usize,
}

/// Memory by which the memories of one instance have grown, until it is dropped.
pub(super) struct Growth {
    all: Arc<AllGrowth>,
    bytes: usize,
}

impl AllGrowth {
    pub(super) fn at_most(max: usize) -> Self {
        Self { now: AtomicUsize::new(0), max }
    }
}

impl Growth {
    pub(super) fn new(all: Arc<AllGrowth>) -> Self {
        Self { all, bytes: 0 }
    }

    /// Adds memory, unless the memory of all instances would exceed the maximum.
    ///
    /// # Errors
    ///
    /// Returns the memory that all instances would have.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), usize> {
        let wanted = self.all.now.fetch_add(bytes, Relaxed) + bytes;
        if wanted > self.all.max {
            self.all.now.fetch_sub(bytes, Relaxed);
            return Err(wanted);
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Growth {
    fn drop(&mut self) {
        self.all.now.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_share_a_maximum() {
        let all = Arc::new(AllGrowth::at_most(100));
        let (mut first, mut second) = (Growth::new(all.clone()), Growth::new(all));
        assert_eq!((first.add(60), second.add(41), second.add(40)), (Ok(()), Err(101), Ok(())));
        drop(first);
        assert_eq!((second.add(60), second.add(1)), (Ok(()), Err(101)));
    }
}

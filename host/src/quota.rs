//! A number of things that exist at a time, with a maximum: requests that wait, bytes of bodies, memory of guests.

use std::{
    ops::Deref,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The number and its maximum.
#[derive(Debug)]
pub(crate) struct Quota {
    now: AtomicUsize,
    max: usize,
}

/// A part of a quota, until it is dropped. `Q` is a reference to the quota.
#[derive(Debug)]
pub(crate) struct Share<Q: Deref<Target = Quota>> {
    quota: Q,
    count: usize,
}

impl Quota {
    pub(crate) fn at_most(max: usize) -> Self {
        Self { now: AtomicUsize::new(0), max }
    }

    /// Returns the current number.
    pub(crate) fn now(&self) -> usize {
        self.now.load(Relaxed)
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

impl<Q: Deref<Target = Quota>> Share<Q> {
    /// Returns an empty share.
    pub(crate) fn of(quota: Q) -> Self {
        Self { quota, count: 0 }
    }

    /// Adds to the share, unless the number would exceed its maximum.
    ///
    /// # Errors
    ///
    /// Returns the number that would exceed the maximum.
    pub(crate) fn add(&mut self, count: usize) -> Result<(), usize> {
        let wanted = self.quota.now.fetch_add(count, Relaxed) + count;
        if wanted > self.quota.max {
            self.quota.now.fetch_sub(count, Relaxed);
            return Err(wanted);
        }
        self.count += count;
        Ok(())
    }
}

impl<Q: Deref<Target = Quota>> Drop for Share<Q> {
    fn drop(&mut self) {
        self.quota.now.fetch_sub(self.count, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_a_maximum_together() {
        let quota = Quota::at_most(100);
        let (mut first, mut second) = (Share::of(&quota), Share::of(&quota));
        assert_eq!((first.add(60), second.add(41), second.add(40)), (Ok(()), Err(101), Ok(())));
        drop(first);
        assert_eq!((second.add(60), second.add(1)), (Ok(()), Err(101)));
    }
}

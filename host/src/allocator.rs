//! The allocator of the C library, which Rust code and C code of this process use. It retains memory that was freed, for
//! later allocations. Compiling a large component needs hundreds of MiB once, so the host limits the retained memory.

#![allow(unsafe_code)]

/// Limits the free memory that the allocator retains. By default, glibc raises both limits when large allocations are
/// freed, up to 32 and 64 MiB, and [`give_back`] does not return the memory at the end of an arena.
pub(crate) fn limit_retained() {
    // SAFETY: `mallopt` can be called at any time, from any thread.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        // An allocation of this size has pages of its own, which are unmapped when it is freed.
        libc::mallopt(libc::M_MMAP_THRESHOLD, 4 << 20);
        // Free memory at the end of an arena. The threads of the process share a few arenas.
        libc::mallopt(libc::M_TRIM_THRESHOLD, 8 << 20);
    }
}

/// Makes the allocator return free memory to the operating system. Without this call, the allocator retains most of it.
/// The call takes milliseconds, and the lock of each thread's heap: call it from a blocking thread.
pub(crate) fn give_back() {
    // SAFETY: `malloc_trim` can be called at any time, from any thread.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
}

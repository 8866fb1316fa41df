//! What happened since the mount, for `status`.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number that several threads count.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `more` and gives the number before.
    pub fn add(&self, more: u64) -> u64 {
        self.0.fetch_add(more, Ordering::Relaxed)
    }

    /// Takes `less` off.
    pub fn subtract(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Counters {
    /// Reads that reached the disk; those that the kernel's page cache answers do not.
    pub reads: Counter,
    /// Writes of data.
    pub writes: Counter,
    /// Syncs of one file or directory that were asked for, O_SYNC and O_DSYNC writes included.
    pub fsyncs: Counter,
    /// Unsynced bytes that `drop` forgot.
    pub dropped_bytes: Counter,
    /// Files that were written back unasked because the memory limit was reached.
    pub written_back: Counter,
    /// Operations that got ENOSPC from the limit.
    pub enospc_returned: Counter,
    /// Operations that hang now.
    pub stalled_waiting: Counter,
    /// Operations that got EIO from `fail`.
    pub failed_returned: Counter,
}

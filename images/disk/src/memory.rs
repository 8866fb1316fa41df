//! The files that have something unsynced, oldest first, and how many bytes that is.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::counters::Counter;
use crate::inode::{Inode, State};

/// What would be lost with the power.
///
/// Order of locks: [`Memory::moving`], then an inode's state, then the list in here.
#[derive(Debug)]
pub struct Memory {
    limit_bytes: u64,
    bytes: Counter,
    files: Mutex<Files>,
    moment: RwLock<()>,
}

#[derive(Debug, Default)]
struct Files {
    since: BTreeMap<u64, Arc<Inode>>,
    last: u64,
}

impl Memory {
    /// Nothing, and a limit on what it may become.
    pub fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, bytes: Counter::default(), files: Mutex::default(), moment: RwLock::default() }
    }

    /// Taken by whatever changes what is unsynced. Not to be taken twice by one thread.
    pub fn moving(&self) -> RwLockReadGuard<'_, ()> {
        self.moment.read()
    }

    /// One moment for all files: nothing moves as long as it is held.
    pub fn frozen(&self) -> RwLockWriteGuard<'_, ()> {
        self.moment.write()
    }

    /// Changes the unsynced bytes of a file by `change`, and keeps the count, the list and what can be seen of the
    /// inode in step.
    pub fn update<T>(&self, inode: &Arc<Inode>, state: &mut State, change: impl FnOnce(&mut State) -> T) -> T {
        let before = state.unsynced.bytes();
        let result = change(state);
        let after = state.unsynced.bytes();
        self.bytes.add(after.saturating_sub(before));
        self.bytes.subtract(before.saturating_sub(after));
        match state.unsynced_since {
            None if state.is_unsynced() => {
                let mut files = self.files.lock();
                files.last += 1;
                state.unsynced_since = Some(files.last);
                let since = files.last;
                files.since.insert(since, Arc::clone(inode));
            }
            Some(since) if !state.is_unsynced() => {
                self.files.lock().since.remove(&since);
                state.unsynced_since = None;
            }
            _ => {}
        }
        inode.publish(state);
        result
    }

    /// Unsynced bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Whether they are more than the memory that is allowed.
    pub fn is_over_limit(&self) -> bool {
        self.bytes() > self.limit_bytes
    }

    /// How many files have something unsynced.
    pub fn file_count(&self) -> usize {
        self.files.lock().since.len()
    }

    /// Every such file, the one that has been for longest first.
    pub fn files(&self) -> Vec<Arc<Inode>> {
        self.files.lock().since.values().cloned().collect()
    }

    /// The file that has been unsynced for longest.
    pub fn oldest(&self) -> Option<Arc<Inode>> {
        self.files.lock().since.values().next().cloned()
    }
}

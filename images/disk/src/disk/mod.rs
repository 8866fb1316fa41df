//! The disk itself: what its operations do once the faults let them pass.

mod data;
mod names;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::counters::Counters;
use crate::faults::Faults;
use crate::inode::Inode;
use crate::inode::table::Table;
use crate::memory::Memory;
use crate::space::Space;

pub use names::{Change, Creation, Owner, read_link};

/// A backing directory, what is unsynced over it, and what is wrong with it.
#[derive(Debug)]
pub struct Disk {
    /// Files and directories that the kernel knows.
    pub table: Table,
    /// What is unsynced.
    pub memory: Memory,
    /// How full it is.
    pub space: Space,
    /// What else is wrong with it.
    pub faults: Faults,
    /// What happened so far.
    pub counters: Counters,
}

impl Disk {
    /// A disk in good order over `backing`, a directory opened with O_PATH.
    pub fn new(backing: OwnedFd, memory_limit_bytes: u64) -> io::Result<Self> {
        Ok(Self {
            table: Table::new(backing)?,
            memory: Memory::new(memory_limit_bytes),
            space: Space::default(),
            faults: Faults::default(),
            counters: Counters::default(),
        })
    }

    /// The kernel forgets an inode. One without a name takes what is unsynced of it along.
    pub fn forget(&self, id: u64, lookups: u64) {
        if let Some(unlinked) = self.table.forget(id, lookups) {
            let _moving = self.memory.moving();
            self.forget_unsynced(&unlinked);
            self.space.freed();
        }
    }

    /// Power loss without an end of the file system: every file is what was last synced. Gives the bytes that are
    /// gone, and the files they were in.
    pub fn lose_unsynced(&self) -> (u64, Vec<Arc<Inode>>) {
        let frozen = self.memory.frozen();
        let files = self.memory.files();
        let bytes = files.iter().map(|inode| self.forget_unsynced(inode)).sum();
        drop(frozen);
        files.iter().for_each(|inode| self.table.reap(inode));
        self.space.freed();
        self.counters.dropped_bytes.add(bytes);
        (bytes, files)
    }

    fn forget_unsynced(&self, inode: &Arc<Inode>) -> u64 {
        let mut state = inode.state.lock();
        let bytes = state.unsynced.bytes();
        self.memory.update(inode, &mut state, |state| {
            state.unsynced.clear();
            state.size = state.backing_size;
        });
        bytes
    }
}

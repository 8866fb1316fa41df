//! The kernel's requests: each is taken by a thread that never waits, and answered from the disk.

mod listing;
mod requests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use fuser::FileAttr;

use crate::disk::Disk;
use crate::inode::Inode;
use crate::operation::{Class, Operation};
use crate::workers::Workers;
use listing::Listings;

/// How long the kernel may rely on names and attributes. Only the kernel changes them, and it is told when a `drop`
/// does, so it is long.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Threads that take requests. They only touch memory and the backing file system's cache.
pub const THREADS: usize = 8;

/// The mounted file system.
pub struct Filesystem {
    disk: Arc<Disk>,
    workers: Workers,
    listings: Listings,
}

impl Filesystem {
    /// Shows `disk`.
    pub fn new(disk: Arc<Disk>) -> Self {
        Self { disk, workers: Workers::default(), listings: Listings::default() }
    }

    /// Does `action` once the faults let it pass, and answers. Syncs, and what a fault concerns, are done by a
    /// worker: they may take their time. `operation` is what the faults look at, asked for only then.
    fn perform<T: 'static>(
        &self,
        class: Class,
        operation: impl FnOnce(&Disk) -> io::Result<Operation>,
        action: impl FnOnce(&Disk) -> io::Result<T> + Send + 'static,
        answer: impl FnOnce(io::Result<T>) + Send + 'static,
    ) {
        if class != Class::Sync && self.disk.faults.spare(class) {
            return answer(action(&self.disk));
        }
        match operation(&self.disk) {
            Err(error) => answer(Err(error)),
            Ok(operation) => {
                let disk = Arc::clone(&self.disk);
                self.workers.submit(move || {
                    let passed = disk.faults.pass(&operation, &disk.counters);
                    answer(passed.and_then(|()| action(&disk)));
                });
            }
        }
    }

    /// Writes, and syncs before it answers: a file that was opened with O_SYNC or O_DSYNC.
    fn write_through(
        &self,
        id: u64,
        offset: u64,
        data: Vec<u8>,
        data_only: bool,
        answer: impl FnOnce(io::Result<()>) + Send + 'static,
    ) {
        let disk = Arc::clone(&self.disk);
        self.workers.submit(move || {
            let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
            let run = || {
                let inode = disk.table.get(id)?;
                disk.faults.pass(&Operation::on(Class::Write, &inode, bytes), &disk.counters)?;
                let sync = Operation::on(Class::Sync, &inode, bytes);
                let before_sync = || disk.faults.pass(&sync, &disk.counters);
                disk.write_through(&inode, (offset, &data), before_sync, data_only)
            };
            answer(run());
        });
    }
}

/// Attributes of an inode that the kernel has open once more.
fn opened(inode: &Inode) -> io::Result<FileAttr> {
    let attributes = inode.attributes()?;
    inode.state.lock().opens += 1;
    Ok(attributes)
}

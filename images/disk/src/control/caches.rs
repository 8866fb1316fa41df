//! What the kernel has cached of files, and how it is made to ask again.

use std::sync::Arc;

use fuser::Notifier;
use parking_lot::Mutex;

use crate::disk::Disk;
use crate::inode::Inode;
use crate::prefix::Prefix;

/// Takes pages and attributes out of the kernel's caches.
///
/// The kernel waits for a page that is being read or written before it takes it away. Such a request may be stalled;
/// and a process that waits for a page in the kernel can't be killed, so the daemon would then survive its own
/// SIGKILL. Therefore nothing is taken out while anything is stalled: it is put off until that ends.
#[derive(Debug)]
pub struct Caches {
    disk: Arc<Disk>,
    notifier: Notifier,
    put_off: Mutex<Vec<Arc<Inode>>>,
}

impl Caches {
    /// The caches of the kernel at the other end of `notifier`.
    pub fn new(disk: Arc<Disk>, notifier: Notifier) -> Self {
        Self { disk, notifier, put_off: Mutex::default() }
    }

    /// Makes the kernel ask again for these files.
    pub fn expire(&self, files: Vec<Arc<Inode>>) {
        let mut put_off = self.put_off.lock();
        put_off.extend(files);
        if !self.disk.faults.any_stall() {
            put_off.drain(..).for_each(|inode| self.expire_one(&inode));
        }
    }

    /// Makes the kernel ask again for every file under `prefix`.
    pub fn expire_under(&self, prefix: &Prefix) {
        let files = self.disk.table.all().into_iter();
        self.expire(files.filter(|inode| inode.is_regular() && prefix.covers(&inode.path())).collect());
    }

    /// Begins a stall, but never in the middle of taking something out.
    pub fn stall(&self, prefix: Prefix) {
        let _nothing_is_taken_out = self.put_off.lock();
        self.disk.faults.stall(prefix);
    }

    fn expire_one(&self, inode: &Inode) {
        // It fails if the kernel does not know the file any more, or if the connection is gone: then there is
        // nothing to take out.
        self.notifier.inval_inode(inode.id(), 0, 0).ok();
    }
}

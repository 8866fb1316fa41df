//! Every file and directory that the kernel knows, by its number and by which file it is.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstat, fstatat};
use parking_lot::RwLock;

use super::{Inode, Key, key_of};

/// The table of inodes. No other lock is taken while its own is held.
#[derive(Debug)]
pub struct Table {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<u64, Entry>,
    by_key: HashMap<Key, u64>,
    last_id: u64,
}

#[derive(Debug)]
struct Entry {
    inode: Arc<Inode>,
    /// How often the kernel was told of it and did not forget it again.
    lookups: u64,
}

impl Table {
    /// A table with the root, which is never forgotten.
    pub fn new(root: OwnedFd) -> io::Result<Self> {
        let stat = fstat(&root)?;
        let inode = Arc::new(Inode::new(1, root, &stat, None));
        let known = Known {
            by_key: HashMap::from([(inode.key(), 1)]),
            by_id: HashMap::from([(1, Entry { inode, lookups: u64::MAX })]),
            last_id: 1,
        };
        Ok(Self { known: RwLock::new(known) })
    }

    /// The inode with this number.
    ///
    /// # Errors
    /// ESTALE if there is none, which the kernel's own count rules out.
    pub fn get(&self, id: u64) -> io::Result<Arc<Inode>> {
        let known = self.known.read();
        known.by_id.get(&id).map(|entry| Arc::clone(&entry.inode)).ok_or_else(|| nix::errno::Errno::ESTALE.into())
    }

    /// The inode that is this file, if it is known.
    pub fn find(&self, key: Key) -> Option<Arc<Inode>> {
        let known = self.known.read();
        let id = known.by_key.get(&key)?;
        known.by_id.get(id).map(|entry| Arc::clone(&entry.inode))
    }

    /// The inode that a directory has under this name, if it is known.
    pub fn find_at(&self, parent: &Inode, name: &OsStr) -> Option<Arc<Inode>> {
        let stat = fstatat(parent.node(), name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        self.find(key_of(&stat))
    }

    /// How many are known, the root included.
    pub fn len(&self) -> usize {
        self.known.read().by_id.len()
    }

    /// Every known inode.
    pub fn all(&self) -> Vec<Arc<Inode>> {
        self.known.read().by_id.values().map(|entry| Arc::clone(&entry.inode)).collect()
    }

    /// Looks a name up for the kernel, which then counts it once more.
    pub fn look_up(&self, parent: &Arc<Inode>, name: &OsStr) -> io::Result<Arc<Inode>> {
        let node = openat(parent.node(), name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
        let stat = fstat(&node)?;
        let mut known = self.known.write();
        let known = &mut *known;
        if let Some(entry) = known.by_key.get(&key_of(&stat)).and_then(|id| known.by_id.get_mut(id)) {
            entry.lookups = entry.lookups.saturating_add(1);
            entry.inode.set_place(parent, name);
            return Ok(Arc::clone(&entry.inode));
        }
        known.last_id += 1;
        let id = known.last_id;
        let inode = Arc::new(Inode::new(id, node, &stat, Some((Arc::clone(parent), name.to_owned()))));
        known.by_key.insert(inode.key(), id);
        known.by_id.insert(id, Entry { inode: Arc::clone(&inode), lookups: 1 });
        Ok(inode)
    }

    /// The kernel forgets `lookups` of the times that it was told. The inode leaves the table with the last one,
    /// unless something of it is unsynced; an unlinked one always does, and is given back.
    pub fn forget(&self, id: u64, lookups: u64) -> Option<Arc<Inode>> {
        let mut known = self.known.write();
        let entry = known.by_id.get_mut(&id).filter(|_| id != 1)?;
        entry.lookups = entry.lookups.saturating_sub(lookups);
        if entry.lookups > 0 {
            return None;
        }
        let inode = Arc::clone(&entry.inode);
        let unlinked = inode.is_unlinked();
        if unlinked || !inode.is_dirty() {
            known.remove(&inode);
        }
        unlinked.then_some(inode)
    }

    /// Removes an inode that the kernel forgot while something of it was unsynced.
    pub fn reap(&self, inode: &Inode) {
        let mut known = self.known.write();
        if known.by_id.get(&inode.id).is_some_and(|entry| entry.lookups == 0) && !inode.is_dirty() {
            known.remove(inode);
        }
    }
}

impl Known {
    fn remove(&mut self, inode: &Inode) {
        self.by_id.remove(&inode.id);
        self.by_key.remove(&inode.key);
    }
}

//! How full the disk is: a limit on the bytes in files under a prefix.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use parking_lot::Mutex;

use crate::counters::Counters;
use crate::inode::Inode;
use crate::inode::table::Table;
use crate::prefix::Prefix;

/// The limit, if there is one, and what it leaves.
///
/// A file counts with its size, holes included; one without a name counts until its last user closes it. Growth is
/// added as it happens; whatever frees or moves bytes makes the next to grow count the files anew.
///
/// The lock in here comes after that of an inode's state and before that of the table.
#[derive(Debug, Default)]
pub struct Space {
    limit: Mutex<Option<Limit>>,
    limited: AtomicBool,
}

#[derive(Debug)]
struct Limit {
    bytes: u64,
    prefix: Prefix,
    /// Bytes in use, unless something was freed since.
    used: Option<u64>,
}

impl Limit {
    fn used(&mut self, table: &Table) -> io::Result<u64> {
        match self.used {
            Some(used) => Ok(used),
            None => Ok(*self.used.insert(used_bytes(table, &self.prefix)?)),
        }
    }
}

/// What a full disk tells of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The limit.
    pub limit_bytes: u64,
    /// Bytes in use, which may be more than the limit.
    pub used_bytes: u64,
}

impl Space {
    /// Sets the limit for files under `prefix` to `bytes`, or to what they have now. Gives what there is then.
    pub fn limit(&self, table: &Table, bytes: Option<u64>, prefix: Prefix) -> io::Result<Room> {
        let mut limit = self.limit.lock();
        let used_bytes = used_bytes(table, &prefix)?;
        let limit_bytes = bytes.unwrap_or(used_bytes);
        *limit = Some(Limit { bytes: limit_bytes, prefix, used: Some(used_bytes) });
        self.limited.store(true, Ordering::Release);
        Ok(Room { limit_bytes, used_bytes })
    }

    /// Takes the limit off.
    pub fn off(&self) {
        *self.limit.lock() = None;
        self.limited.store(false, Ordering::Release);
    }

    /// The limit and its prefix, if there is one.
    pub fn current(&self) -> Option<(u64, Prefix)> {
        self.limit.lock().as_ref().map(|limit| (limit.bytes, limit.prefix.clone()))
    }

    /// Says that bytes were freed, or moved from folder to folder.
    pub fn freed(&self) {
        if self.limited.load(Ordering::Acquire) {
            if let Some(limit) = self.limit.lock().as_mut() {
                limit.used = None;
            }
        }
    }

    /// Lets a file grow by `bytes`.
    ///
    /// # Errors
    /// ENOSPC if that would be over the limit.
    pub fn grow(&self, table: &Table, counters: &Counters, inode: &Inode, bytes: u64) -> io::Result<()> {
        if bytes == 0 || !self.limited.load(Ordering::Acquire) {
            return Ok(());
        }
        self.take(table, counters, bytes, 1, || inode.path())
    }

    /// Lets a directory get a new entry, which takes no bytes.
    ///
    /// # Errors
    /// ENOSPC if the limit is reached.
    pub fn new_entry(&self, table: &Table, counters: &Counters, parent: &Inode, name: &OsStr) -> io::Result<()> {
        if !self.limited.load(Ordering::Acquire) {
            return Ok(());
        }
        self.take(table, counters, 0, 1, || parent.path().join(name))
    }

    /// Adds `bytes` to those in use if at least that many, and `at_least`, are free.
    fn take<P: AsRef<Path>>(
        &self,
        table: &Table,
        counters: &Counters,
        bytes: u64,
        at_least: u64,
        path: impl FnOnce() -> P,
    ) -> io::Result<()> {
        let mut limit = self.limit.lock();
        let Some(limit) = limit.as_mut() else { return Ok(()) };
        if !limit.prefix.is_everything() && !limit.prefix.covers(path().as_ref()) {
            return Ok(());
        }
        let used = limit.used(table)?;
        if used.saturating_add(bytes.max(at_least)) > limit.bytes {
            counters.enospc_returned.add(1);
            return Err(Errno::ENOSPC.into());
        }
        limit.used = Some(used + bytes);
        Ok(())
    }

    /// What `statfs` of a file or directory is to show, if the limit concerns it.
    pub fn room(&self, table: &Table, inode: &Inode) -> io::Result<Option<Room>> {
        let mut limit = self.limit.lock();
        match limit.as_mut().filter(|limit| limit.prefix.covers(&inode.path())) {
            Some(limit) => Ok(Some(Room { limit_bytes: limit.bytes, used_bytes: limit.used(table)? })),
            None => Ok(None),
        }
    }
}

/// Bytes in files under `prefix` now, unsynced ones included.
pub fn used_bytes(table: &Table, prefix: &Prefix) -> io::Result<u64> {
    let root = table.get(1)?;
    let mut count = Count { table, linked: HashSet::new(), bytes: 0 };
    count.add(&root.node_path().join(prefix.path()))?;
    let without_name = table.all().into_iter().filter(|inode| {
        inode.is_regular() && inode.visible_size() > 0 && inode.is_unlinked() && prefix.covers(&inode.path())
    });
    Ok(count.bytes + without_name.map(|inode| inode.visible_size()).sum::<u64>())
}

struct Count<'a> {
    table: &'a Table,
    /// Files with several names that were counted.
    linked: HashSet<(u64, u64)>,
    bytes: u64,
}

impl Count<'_> {
    /// Adds a file or all files of a folder. What goes away meanwhile counts nothing.
    fn add(&mut self, path: &Path) -> io::Result<()> {
        // The magic link of the root itself is followed, and nothing below it.
        let metadata = if path.parent().is_some_and(|parent| parent == Path::new("/proc/self/fd")) {
            fs::metadata(path)
        } else {
            fs::symlink_metadata(path)
        };
        match metadata {
            Ok(metadata) if metadata.is_dir() => self.add_folder(path),
            Ok(metadata) => {
                self.add_file(&metadata);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn add_folder(&mut self, path: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => self.add_folder(&entry.path())?,
                Ok(metadata) => self.add_file(&metadata),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn add_file(&mut self, metadata: &fs::Metadata) {
        let key = (metadata.dev(), metadata.ino());
        if metadata.is_file() && (metadata.nlink() < 2 || self.linked.insert(key)) {
            self.bytes += self.table.find(key).map_or(metadata.len(), |inode| inode.visible_size());
        }
    }
}

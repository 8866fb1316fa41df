//! One operation as the faults see it: what it does, to which paths, with how many bytes.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::inode::Inode;
use crate::prefix::Prefix;

/// What an operation does to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Reads data or the names in a directory.
    Read,
    /// Writes data, or changes names, sizes, owners, modes, times.
    Write,
    /// Makes sure that something stays.
    Sync,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Sync];

    /// A bit of its own.
    pub fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Write => 2,
            Self::Sync => 4,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
        })
    }
}

/// One operation. Its paths are worked out only if a fault asks for them.
#[derive(Debug)]
pub struct Operation {
    class: Class,
    targets: Vec<Target>,
    bytes: u64,
    paths: OnceCell<Vec<PathBuf>>,
}

#[derive(Debug)]
struct Target {
    inode: Arc<Inode>,
    name: Option<OsString>,
}

impl Operation {
    /// One on a file or directory that is there.
    pub fn on(class: Class, inode: &Arc<Inode>, bytes: u64) -> Self {
        Self::new(class, vec![Target { inode: Arc::clone(inode), name: None }], bytes)
    }

    /// One on a name in a directory.
    pub fn on_name(class: Class, parent: &Arc<Inode>, name: OsString) -> Self {
        Self::new(class, vec![Target { inode: Arc::clone(parent), name: Some(name) }], 0)
    }

    /// The same, on another name as well.
    pub fn and_name(mut self, parent: &Arc<Inode>, name: OsString) -> Self {
        self.targets.push(Target { inode: Arc::clone(parent), name: Some(name) });
        self
    }

    fn new(class: Class, targets: Vec<Target>, bytes: u64) -> Self {
        Self { class, targets, bytes, paths: OnceCell::new() }
    }

    /// What it does.
    pub fn class(&self) -> Class {
        self.class
    }

    /// How many bytes it moves to or from the platters.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether any of its paths is under `prefix`.
    pub fn is_under(&self, prefix: &Prefix) -> bool {
        prefix.is_everything() || self.paths().iter().any(|path| prefix.covers(path))
    }

    fn paths(&self) -> &[PathBuf] {
        self.paths.get_or_init(|| self.targets.iter().map(Target::path).collect())
    }

    #[cfg(test)]
    pub fn at(class: Class, paths: Vec<PathBuf>, bytes: u64) -> Self {
        Self { class, targets: vec![], bytes, paths: paths.into() }
    }
}

impl Target {
    fn path(&self) -> PathBuf {
        let path = self.inode.path();
        self.name.as_ref().map_or(path.clone(), |name| path.join(name))
    }
}

//! Open directories: each is read as a whole, so that offsets hold while names come and go.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use fuser::{FileType, INodeNo, ReplyDirectory};
use nix::dir::{Dir, Type};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use parking_lot::Mutex;

use crate::inode::Inode;

/// The open directories, by the handle that the kernel was given.
#[derive(Debug, Default)]
pub struct Listings(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    by_handle: HashMap<u64, Arc<Listing>>,
    last: u64,
}

/// One open directory.
#[derive(Debug, Default)]
pub struct Listing(Mutex<Vec<Entry>>);

#[derive(Debug)]
struct Entry {
    ino: u64,
    kind: FileType,
    name: OsString,
}

impl Listings {
    /// A handle for a directory that is opened.
    pub fn open(&self) -> u64 {
        let mut open = self.0.lock();
        open.last += 1;
        let handle = open.last;
        open.by_handle.insert(handle, Arc::default());
        handle
    }

    /// The directory with this handle; an empty one if there is none.
    pub fn get(&self, handle: u64) -> Arc<Listing> {
        self.0.lock().by_handle.get(&handle).cloned().unwrap_or_default()
    }

    /// The directory is closed.
    pub fn close(&self, handle: u64) {
        self.0.lock().by_handle.remove(&handle);
    }
}

impl Listing {
    /// Reads the names. Asked from its beginning, a directory is read anew.
    pub fn load(&self, inode: &Inode, offset: u64) -> io::Result<()> {
        let mut entries = self.0.lock();
        if offset == 0 {
            *entries = read(inode)?;
        }
        Ok(())
    }

    /// Puts as many names as fit into the answer, from `offset` on.
    pub fn fill(&self, offset: u64, reply: &mut ReplyDirectory) {
        let entries = self.0.lock();
        for (next, entry) in (1..).zip(entries.iter()).skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            if reply.add(INodeNo(entry.ino), next, entry.kind, &entry.name) {
                break;
            }
        }
    }
}

fn read(inode: &Inode) -> io::Result<Vec<Entry>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut directory = Dir::openat(inode.node(), ".", flags, Mode::empty())?;
    let entry = |entry: nix::dir::Entry| Entry {
        ino: entry.ino(),
        kind: kind(entry.file_type()),
        name: OsStr::from_bytes(entry.file_name().to_bytes()).to_owned(),
    };
    Ok(directory.iter().map(|found| found.map(entry)).collect::<Result<_, _>>()?)
}

/// A backing file system that does not tell kinds has them asked for by name anyway.
fn kind(kind: Option<Type>) -> FileType {
    match kind {
        Some(Type::Directory) => FileType::Directory,
        Some(Type::Symlink) => FileType::Symlink,
        Some(Type::Fifo) => FileType::NamedPipe,
        Some(Type::Socket) => FileType::Socket,
        Some(Type::CharacterDevice) => FileType::CharDevice,
        Some(Type::BlockDevice) => FileType::BlockDevice,
        Some(Type::File) | None => FileType::RegularFile,
    }
}

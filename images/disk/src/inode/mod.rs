//! One file or directory of the backing file system that the kernel knows, and what of it is unsynced.

pub mod table;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo};
use nix::sys::stat::{FileStat, fstat};
use parking_lot::Mutex;

use crate::unsynced::Unsynced;

/// Which file it is in the backing file system: device and number. As long as it is held open, no other file has them.
pub type Key = (u64, u64);

/// The key of the file that `stat` is about.
pub fn key_of(stat: &FileStat) -> Key {
    (stat.st_dev, stat.st_ino)
}

/// One file or directory.
#[derive(Debug)]
pub struct Inode {
    id: u64,
    key: Key,
    kind: FileType,
    /// Held with O_PATH: follows the file through renames, and keeps it when its last name is gone.
    node: OwnedFd,
    place: Mutex<Option<(Arc<Inode>, OsString)>>,
    visible_size: AtomicU64,
    dirty: AtomicBool,
    /// What is unsynced, and the file descriptor for data.
    pub state: Mutex<State>,
}

/// The part of a regular file that changes with writes and syncs.
#[derive(Debug, Default)]
pub struct State {
    /// Bytes over those of the backing file.
    pub unsynced: Unsynced,
    /// Size as its users see it.
    pub size: u64,
    /// Size of the backing file.
    pub backing_size: u64,
    /// When it was last written to, if that is unsynced.
    pub modified: Option<SystemTime>,
    /// Place in the order of unsynced files, if it is one.
    pub unsynced_since: Option<u64>,
    /// How many open files of the kernel have it.
    pub opens: u64,
    /// The last write was synced before it was answered, and the kernel has not asked for that sync since.
    pub written_through: bool,
    file: Option<Arc<File>>,
}

impl State {
    /// Whether power loss would change anything.
    pub fn is_unsynced(&self) -> bool {
        !self.unsynced.is_empty() || self.size != self.backing_size
    }
}

impl Inode {
    /// Takes a file that was opened with O_PATH. `place` is its directory and name; the root has none.
    fn new(id: u64, node: OwnedFd, stat: &FileStat, place: Option<(Arc<Inode>, OsString)>) -> Self {
        let size = unsigned(stat.st_size);
        Self {
            id,
            key: key_of(stat),
            kind: kind_of(stat.st_mode),
            node,
            place: Mutex::new(place),
            visible_size: AtomicU64::new(size),
            dirty: AtomicBool::new(false),
            state: Mutex::new(State { size, backing_size: size, ..State::default() }),
        }
    }

    /// Its number between the kernel and here; the root's is 1.
    pub fn id(&self) -> INodeNo {
        INodeNo(self.id)
    }

    /// Which file it is in the backing file system.
    pub fn key(&self) -> Key {
        self.key
    }

    /// Whether it has data.
    pub fn is_regular(&self) -> bool {
        self.kind == FileType::RegularFile
    }

    /// The descriptor that holds it, for `…at` calls.
    pub fn node(&self) -> BorrowedFd<'_> {
        self.node.as_fd()
    }

    /// A path to the very file, whatever it is called now: for calls that take no such descriptor.
    pub fn node_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.node.as_raw_fd()))
    }

    /// Size as its users see it, without waiting for whoever is writing.
    pub fn visible_size(&self) -> u64 {
        self.visible_size.load(Ordering::Acquire)
    }

    /// Whether power loss would change it, without waiting for whoever is writing.
    pub fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    /// Whether it has no name any more.
    pub fn is_unlinked(&self) -> bool {
        fstat(&self.node).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// Path below the mount point, by the name that was last seen.
    pub fn path(&self) -> PathBuf {
        let mut names = Vec::new();
        let mut place = self.place.lock().clone();
        while let Some((parent, name)) = place {
            names.push(name);
            place = parent.place.lock().clone();
        }
        names.iter().rev().collect()
    }

    /// Says where it is now. The root stays where it is.
    pub fn set_place(&self, parent: &Arc<Inode>, name: &OsStr) {
        if let Some(place) = self.place.lock().as_mut() {
            *place = (Arc::clone(parent), name.to_owned());
        }
    }

    /// Makes what can be seen without the lock agree with `state`; after every change of it.
    pub fn publish(&self, state: &mut State) {
        self.visible_size.store(state.size, Ordering::Release);
        self.dirty.store(state.is_unsynced(), Ordering::Release);
        if !state.is_unsynced() {
            state.modified = None;
            if state.opens == 0 {
                state.file = None;
            }
        }
    }

    /// The file opened for data. It stays open as long as somebody has it open or something is unsynced.
    pub fn file(&self, state: &mut State) -> io::Result<Arc<File>> {
        if let Some(file) = &state.file {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::options().read(true).write(true).open(self.node_path())?);
        state.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Its attributes as its users see them.
    pub fn attributes(&self) -> io::Result<FileAttr> {
        // Locked first: a sync between the two would be seen by halves.
        let state = self.state.lock();
        let stat = fstat(&self.node)?;
        let mut attributes = attributes_of(self.id(), self.kind, &stat);
        if self.is_regular() {
            attributes.size = state.size;
            attributes.blocks += state.unsynced.bytes().div_ceil(512);
            attributes.mtime = state.modified.unwrap_or(attributes.mtime);
            attributes.ctime = attributes.ctime.max(attributes.mtime);
        }
        Ok(attributes)
    }
}

fn attributes_of(ino: INodeNo, kind: FileType, stat: &FileStat) -> FileAttr {
    FileAttr {
        ino,
        size: unsigned(stat.st_size),
        blocks: unsigned(stat.st_blocks),
        atime: time(stat.st_atime, stat.st_atime_nsec),
        mtime: time(stat.st_mtime, stat.st_mtime_nsec),
        ctime: time(stat.st_ctime, stat.st_ctime_nsec),
        crtime: UNIX_EPOCH,
        kind,
        perm: u16::try_from(stat.st_mode & 0o7777).unwrap_or_default(),
        nlink: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: u32::try_from(stat.st_rdev).unwrap_or_default(),
        blksize: 4096,
        flags: 0,
    }
}

/// Kind of the file with this mode.
pub fn kind_of(mode: u32) -> FileType {
    use nix::sys::stat::SFlag;
    match SFlag::from_bits_truncate(mode) & SFlag::S_IFMT {
        SFlag::S_IFDIR => FileType::Directory,
        SFlag::S_IFLNK => FileType::Symlink,
        SFlag::S_IFIFO => FileType::NamedPipe,
        SFlag::S_IFSOCK => FileType::Socket,
        SFlag::S_IFCHR => FileType::CharDevice,
        SFlag::S_IFBLK => FileType::BlockDevice,
        _ => FileType::RegularFile,
    }
}

/// Sizes are never negative; the system's types do not say so.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn time(seconds: i64, nanoseconds: i64) -> SystemTime {
    let nanoseconds = Duration::from_nanos(unsigned(nanoseconds));
    match u64::try_from(seconds) {
        Ok(seconds) => UNIX_EPOCH + Duration::from_secs(seconds) + nanoseconds,
        Err(_) => UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs()) + nanoseconds,
    }
}

//! Names and attributes: they go straight to the backing directory.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::TimeOrNow;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmodat, fstat, mkdirat, mknodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat};

use super::Disk;
use crate::inode::Inode;

/// Who makes something: it belongs to them.
#[derive(Debug, Clone, Copy)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group, unless the directory gives its own.
    pub gid: u32,
}

/// What is to be made.
#[derive(Debug)]
pub enum Creation {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link to this.
    Symlink(OsString),
    /// A socket, pipe or device, with its mode's type bits and number.
    Node(u32, u32),
}

/// Attributes to change; what is `None` stays.
#[derive(Debug, Default)]
pub struct Change {
    /// Permission bits.
    pub mode: Option<u32>,
    /// User.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Size of a file.
    pub size: Option<u64>,
    /// Time of the last access.
    pub accessed: Option<TimeOrNow>,
    /// Time of the last change of data.
    pub modified: Option<TimeOrNow>,
}

impl Disk {
    /// Makes something new and looks it up.
    pub fn create(
        &self,
        parent: &Arc<Inode>,
        name: &OsStr,
        what: &Creation,
        mode: u32,
        owner: Owner,
    ) -> io::Result<Arc<Inode>> {
        self.space.new_entry(&self.table, &self.counters, parent, name)?;
        let permissions = Mode::from_bits_truncate(mode);
        match what {
            Creation::File => {
                let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
                openat(parent.node(), name, flags, permissions).map(drop)?;
            }
            Creation::Directory => mkdirat(parent.node(), name, permissions)?,
            Creation::Symlink(target) => symlinkat(target.as_os_str(), parent.node(), name)?,
            Creation::Node(kind, device) => {
                let kind = SFlag::from_bits_truncate(*kind) & SFlag::S_IFMT;
                mknodat(parent.node(), name, kind, permissions, u64::from(*device))?;
            }
        }
        let inode = self.table.look_up(parent, name)?;
        own(parent, &inode, owner, permissions)?;
        Ok(inode)
    }

    /// Changes attributes.
    pub fn change(&self, inode: &Arc<Inode>, change: &Change) -> io::Result<()> {
        if let Some(size) = change.size {
            self.set_size(inode, size)?;
        }
        if change.uid.is_some() || change.gid.is_some() {
            let (uid, gid) = (change.uid.map(Uid::from_raw), change.gid.map(Gid::from_raw));
            fchownat(inode.node(), "", uid, gid, AtFlags::AT_EMPTY_PATH)?;
        }
        if let Some(mode) = change.mode {
            set_mode(inode, Mode::from_bits_truncate(mode))?;
        }
        if change.accessed.is_some() || change.modified.is_some() {
            self.set_times(inode, change)?;
        }
        Ok(())
    }

    fn set_times(&self, inode: &Arc<Inode>, change: &Change) -> io::Result<()> {
        let mut state = inode.state.lock();
        let (accessed, modified) = (time_spec(change.accessed), time_spec(change.modified));
        utimensat(AT_FDCWD, &inode.node_path(), &accessed, &modified, UtimensatFlags::FollowSymlink)?;
        if let (Some(modified), true) = (change.modified, state.is_unsynced()) {
            state.modified = Some(match modified {
                TimeOrNow::SpecificTime(time) => time,
                TimeOrNow::Now => SystemTime::now(),
            });
        }
        Ok(())
    }

    /// Gives a file another name.
    pub fn link(&self, inode: &Inode, parent: &Arc<Inode>, name: &OsStr) -> io::Result<Arc<Inode>> {
        let path = inode.node_path();
        linkat(AT_FDCWD, &path, parent.node(), name, AtFlags::AT_SYMLINK_FOLLOW)?;
        self.table.look_up(parent, name)
    }

    /// Takes a name away, of a directory or of anything else.
    pub fn remove(&self, parent: &Inode, name: &OsStr, directory: bool) -> io::Result<()> {
        let flag = if directory { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
        unlinkat(parent.node(), name, flag)?;
        self.space.freed();
        Ok(())
    }

    /// Moves a name. Unsynced bytes belong to the file and not to its name: they come along.
    pub fn rename(&self, from: (&Arc<Inode>, &OsStr), to: (&Arc<Inode>, &OsStr), flags: u32) -> io::Result<()> {
        let flags = RenameFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
        renameat2(from.0.node(), from.1, to.0.node(), to.1, flags)?;
        if let Some(moved) = self.table.find_at(to.0, to.1) {
            moved.set_place(to.0, to.1);
        }
        if flags.contains(RenameFlags::RENAME_EXCHANGE) {
            if let Some(moved) = self.table.find_at(from.0, from.1) {
                moved.set_place(from.0, from.1);
            }
        }
        self.space.freed();
        Ok(())
    }

    /// Makes sure that the names in a directory stay.
    pub fn sync_directory(&self, inode: &Inode) -> io::Result<()> {
        self.counters.fsyncs.add(1);
        File::open(inode.node_path())?.sync_all()
    }
}

/// Gives a new file to its maker. The group of a directory with the set-group-id bit goes to what is made in it.
fn own(parent: &Inode, inode: &Inode, owner: Owner, permissions: Mode) -> io::Result<()> {
    let made = fstat(inode.node())?;
    let group_is_inherited = Mode::from_bits_truncate(fstat(parent.node())?.st_mode).contains(Mode::S_ISGID);
    let gid = if group_is_inherited { made.st_gid } else { owner.gid };
    if (made.st_uid, made.st_gid) == (owner.uid, gid) {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(owner.uid), Gid::from_raw(gid));
    fchownat(inode.node(), "", Some(user), Some(group), AtFlags::AT_EMPTY_PATH)?;
    // A change of the owner takes these bits off.
    if permissions.intersects(Mode::S_ISUID | Mode::S_ISGID) {
        set_mode(inode, permissions)?;
    }
    Ok(())
}

fn set_mode(inode: &Inode, mode: Mode) -> io::Result<()> {
    Ok(fchmodat(AT_FDCWD, &inode.node_path(), mode, FchmodatFlags::FollowSymlink)?)
}

fn time_spec(time: Option<TimeOrNow>) -> TimeSpec {
    match time {
        None => TimeSpec::UTIME_OMIT,
        Some(TimeOrNow::Now) => TimeSpec::UTIME_NOW,
        Some(TimeOrNow::SpecificTime(time)) => match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => TimeSpec::from_duration(since),
            Err(_) => TimeSpec::new(0, 0),
        },
    }
}

/// The target of a symbolic link.
pub fn read_link(inode: &Inode) -> io::Result<OsString> {
    Ok(nix::fcntl::readlinkat(inode.node().as_fd(), Path::new(""))?)
}

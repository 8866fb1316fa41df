//! One function for each kind of request.
//!
//! Requests for names, attributes, and the opening of what is there are answered even when the disk is stalled or
//! fails: a kernel has them in memory. Everything else is an operation that faults apply to.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::fcntl::OFlag;
use nix::sys::statvfs::{Statvfs, fstatvfs};

use super::{Filesystem, LIFETIME, opened};
use crate::disk::{self, Change, Creation, Disk, Owner};
use crate::inode::kind_of;
use crate::operation::{Class, Operation};
use crate::space::Room;

/// Bytes that the kernel sends with one write, or asks for with one read.
const REQUEST_BYTES: u32 = 1024 * 1024;
/// Reads ahead that may be under way at once: those that stall are not to hold up the others.
const BACKGROUND_REQUESTS: u16 = 4096;

impl fuser::Filesystem for Filesystem {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Each gives the nearest value that is possible if this one is not.
        config.set_max_write(REQUEST_BYTES).or_else(|most| config.set_max_write(most)).ok();
        config.set_max_background(BACKGROUND_REQUESTS).ok();
        config.set_congestion_threshold(BACKGROUND_REQUESTS).ok();
        config.add_capabilities(InitFlags::FUSE_PARALLEL_DIROPS).ok();
        Ok(())
    }

    /// The file system was unmounted in good order: as with a real one, nothing is lost.
    fn destroy(&mut self) {
        if let Err(error) = self.disk.sync_all() {
            eprintln!("pgquake-disk: failed to sync at the end: {error}");
        }
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.disk.table.get(parent.0).and_then(|parent| self.disk.table.look_up(&parent, name));
        answer_entry(reply, found.and_then(|inode| inode.attributes()));
    }

    fn forget(&self, _request: &Request, ino: INodeNo, lookups: u64) {
        self.disk.forget(ino.0, lookups);
    }

    fn getattr(&self, _request: &Request, ino: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        answer_attributes(reply, self.disk.table.get(ino.0).and_then(|inode| inode.attributes()));
    }

    fn setattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _changed: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _created: Option<SystemTime>,
        _changed_at: Option<SystemTime>,
        _backed_up: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = Change { mode, uid, gid, size, accessed, modified };
        let action = move |disk: &Disk| {
            let inode = disk.table.get(ino.0)?;
            disk.change(&inode, &change)?;
            inode.attributes()
        };
        self.perform(Class::Write, on(Class::Write, ino, 0), action, |result| answer_attributes(reply, result));
    }

    fn readlink(&self, _request: &Request, ino: INodeNo, reply: ReplyData) {
        match self.disk.table.get(ino.0).and_then(|inode| disk::read_link(&inode)) {
            Ok(target) => reply.data(target.as_encoded_bytes()),
            Err(error) => reply.error(error.into()),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        device: u32,
        reply: ReplyEntry,
    ) {
        let regular = kind_of(mode) == FileType::RegularFile;
        let what = if regular { Creation::File } else { Creation::Node(mode, device) };
        self.make(request, (parent, name), what, mode, |result| answer_entry(reply, result));
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        self.make(request, (parent, name), Creation::Directory, mode, |result| answer_entry(reply, result));
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let what = Creation::Symlink(target.as_os_str().to_owned());
        self.make(request, (parent, name), what, 0o777, |result| answer_entry(reply, result));
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(parent, name, false, reply);
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove(parent, name, true, reply);
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (name, new_name) = (name.to_owned(), new_name.to_owned());
        let names = (name.clone(), new_name.clone());
        let operation = move |disk: &Disk| {
            let (from, to) = (disk.table.get(parent.0)?, disk.table.get(new_parent.0)?);
            Ok(Operation::on_name(Class::Write, &from, names.0).and_name(&to, names.1))
        };
        let action = move |disk: &Disk| {
            let (from, to) = (disk.table.get(parent.0)?, disk.table.get(new_parent.0)?);
            disk.rename((&from, &name), (&to, &new_name), flags.bits())
        };
        self.perform(Class::Write, operation, action, |result| answer_empty(reply, result));
    }

    fn link(&self, _request: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.to_owned();
        let operation = on_name(Class::Write, parent, &name);
        let action =
            move |disk: &Disk| disk.link(&*disk.table.get(ino.0)?, &disk.table.get(parent.0)?, &name)?.attributes();
        self.perform(Class::Write, operation, action, |result| answer_entry(reply, result));
    }

    fn open(&self, _request: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.disk.table.get(ino.0) {
            Ok(inode) => {
                inode.state.lock().opens += 1;
                // What the kernel has of the file stays right: it is told when something is dropped.
                reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
            }
            Err(error) => reply.error(error.into()),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let name = name.to_owned();
        let operation = on_name(Class::Write, parent, &name);
        let owner = owner(request);
        let exclusive = OFlag::from_bits_retain(flags).contains(OFlag::O_EXCL);
        let action = move |disk: &Disk| {
            let parent = disk.table.get(parent.0)?;
            let inode = match disk.create(&parent, &name, &Creation::File, mode, owner) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !exclusive => {
                    disk.table.look_up(&parent, &name)?
                }
                made => made?,
            };
            opened(&inode)
        };
        self.perform(Class::Write, operation, action, |result| match result {
            Ok(attributes) => {
                let flags = FopenFlags::FOPEN_KEEP_CACHE;
                reply.created(&LIFETIME, &attributes, Generation(0), FileHandle(0), flags);
            }
            Err(error) => reply.error(error.into()),
        });
    }

    fn read(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let action = move |disk: &Disk| disk.read(&disk.table.get(ino.0)?, offset, size);
        self.perform(Class::Read, on(Class::Read, ino, u64::from(size)), action, |result| match result {
            Ok(data) => reply.data(&data),
            Err(error) => reply.error(error.into()),
        });
    }

    fn write(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let answer = move |result: io::Result<()>| match result {
            Ok(()) => reply.written(size),
            Err(error) => reply.error(error.into()),
        };
        let flags = OFlag::from_bits_retain(flags.0);
        if flags.contains(OFlag::O_DSYNC) {
            return self.write_through(ino.0, offset, data.to_vec(), !flags.contains(OFlag::O_SYNC), answer);
        }
        if self.disk.faults.spare(Class::Write) {
            // As `perform` does, without a copy of the data.
            return answer(self.disk.table.get(ino.0).and_then(|inode| self.disk.write(&inode, offset, data)));
        }
        let data = data.to_vec();
        let action = move |disk: &Disk| disk.write(&disk.table.get(ino.0)?, offset, &data);
        self.perform(Class::Write, on(Class::Write, ino, 0), action, answer);
    }

    fn release(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        if let Ok(inode) = self.disk.table.get(ino.0) {
            let mut state = inode.state.lock();
            state.opens = state.opens.saturating_sub(1);
            inode.publish(&mut state);
        }
        reply.ok();
    }

    fn fsync(&self, _request: &Request, ino: INodeNo, _handle: FileHandle, data_only: bool, reply: ReplyEmpty) {
        if self.disk.table.get(ino.0).is_ok_and(|inode| self.disk.was_written_through(&inode)) {
            return reply.ok();
        }
        let operation = move |disk: &Disk| {
            let inode = disk.table.get(ino.0)?;
            let bytes = inode.state.lock().unsynced.bytes();
            Ok(Operation::on(Class::Sync, &inode, bytes))
        };
        let action = move |disk: &Disk| disk.sync(&disk.table.get(ino.0)?, data_only);
        self.perform(Class::Sync, operation, action, |result| answer_empty(reply, result));
    }

    fn opendir(&self, _request: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(self.listings.open()), FopenFlags::empty());
    }

    fn readdir(&self, _request: &Request, ino: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listing = self.listings.get(handle.0);
        let action = move |disk: &Disk| {
            listing.load(&*disk.table.get(ino.0)?, offset)?;
            Ok(listing)
        };
        self.perform(Class::Read, on(Class::Read, ino, 0), action, move |result| match result {
            Ok(listing) => {
                listing.fill(offset, &mut reply);
                reply.ok();
            }
            Err(error) => reply.error(error.into()),
        });
    }

    fn releasedir(&self, _request: &Request, _ino: INodeNo, handle: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        self.listings.close(handle.0);
        reply.ok();
    }

    fn fsyncdir(&self, _request: &Request, ino: INodeNo, _handle: FileHandle, _data_only: bool, reply: ReplyEmpty) {
        let action = move |disk: &Disk| disk.sync_directory(&*disk.table.get(ino.0)?);
        self.perform(Class::Sync, on(Class::Sync, ino, 0), action, |result| answer_empty(reply, result));
    }

    fn statfs(&self, _request: &Request, ino: INodeNo, reply: ReplyStatfs) {
        let sizes = || -> io::Result<_> {
            let inode = self.disk.table.get(ino.0)?;
            Ok((fstatvfs(inode.node())?, self.disk.space.room(&self.disk.table, &inode)?))
        };
        match sizes() {
            Ok((backing, room)) => answer_sizes(reply, &backing, room),
            Err(error) => reply.error(error.into()),
        }
    }

    fn fallocate(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let action = move |disk: &Disk| disk.allocate(&disk.table.get(ino.0)?, mode, offset, length);
        self.perform(Class::Write, on(Class::Write, ino, 0), action, |result| answer_empty(reply, result));
    }
}

impl Filesystem {
    fn make(
        &self,
        request: &Request,
        (parent, name): (INodeNo, &OsStr),
        what: Creation,
        mode: u32,
        answer: impl FnOnce(io::Result<FileAttr>) + Send + 'static,
    ) {
        let name = name.to_owned();
        let operation = on_name(Class::Write, parent, &name);
        let owner = owner(request);
        let action =
            move |disk: &Disk| disk.create(&disk.table.get(parent.0)?, &name, &what, mode, owner)?.attributes();
        self.perform(Class::Write, operation, action, answer);
    }

    fn remove(&self, parent: INodeNo, name: &OsStr, directory: bool, reply: ReplyEmpty) {
        let name = name.to_owned();
        let operation = on_name(Class::Write, parent, &name);
        let action = move |disk: &Disk| disk.remove(&*disk.table.get(parent.0)?, &name, directory);
        self.perform(Class::Write, operation, action, |result| answer_empty(reply, result));
    }
}

fn owner(request: &Request) -> Owner {
    Owner { uid: request.uid(), gid: request.gid() }
}

fn on(class: Class, ino: INodeNo, bytes: u64) -> impl FnOnce(&Disk) -> io::Result<Operation> {
    move |disk| Ok(Operation::on(class, &disk.table.get(ino.0)?, bytes))
}

fn on_name(class: Class, parent: INodeNo, name: &OsStr) -> impl FnOnce(&Disk) -> io::Result<Operation> + use<> {
    let name = name.to_owned();
    move |disk| Ok(Operation::on_name(class, &disk.table.get(parent.0)?, name))
}

fn answer_entry(reply: ReplyEntry, result: io::Result<FileAttr>) {
    match result {
        Ok(attributes) => reply.entry(&LIFETIME, &attributes, Generation(0)),
        Err(error) => reply.error(error.into()),
    }
}

fn answer_attributes(reply: ReplyAttr, result: io::Result<FileAttr>) {
    match result {
        Ok(attributes) => reply.attr(&LIFETIME, &attributes),
        Err(error) => reply.error(error.into()),
    }
}

fn answer_empty(reply: ReplyEmpty, result: io::Result<()>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(Errno::from(error)),
    }
}

/// The backing file system's sizes, or those that the limit leaves, in blocks.
fn answer_sizes(reply: ReplyStatfs, backing: &Statvfs, room: Option<Room>) {
    let block_bytes = backing.fragment_size().max(1);
    let limited = room.map(|room| {
        let free_bytes = room.limit_bytes.saturating_sub(room.used_bytes);
        (room.limit_bytes / block_bytes, free_bytes / block_bytes)
    });
    let (blocks, free) = limited.unwrap_or((backing.blocks(), backing.blocks_free()));
    let available = limited.map_or(backing.blocks_available(), |(_, free)| free);
    reply.statfs(
        blocks,
        free,
        available,
        backing.files(),
        backing.files_free(),
        u32::try_from(backing.block_size()).unwrap_or(4096),
        u32::try_from(backing.name_max()).unwrap_or(255),
        u32::try_from(block_bytes).unwrap_or(4096),
    );
}

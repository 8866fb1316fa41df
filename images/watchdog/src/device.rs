//! The file system of one file, and what is done with it.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, IoctlFlags, LockOwner,
    OpenFlags, ReplyAttr, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyOpen, ReplyWrite, Request,
    WriteFlags,
};

use crate::ioctl::{self, Command};
use crate::keeper::{Keeper, milliseconds};
use crate::timer::Closed;

/// The name of its only file.
const NAME: &str = "watchdog";
const FILE: INodeNo = INodeNo(2);
/// How long the kernel may rely on names and attributes. They never change.
const LIFETIME: Duration = Duration::from_secs(3600);

/// What is mounted.
pub struct Device {
    keeper: Arc<Keeper>,
    uid: u32,
    gid: u32,
    mounted: SystemTime,
}

impl Device {
    /// A device that this user may open.
    pub fn new(keeper: Arc<Keeper>, uid: u32, gid: u32) -> Self {
        Self { keeper, uid, gid, mounted: SystemTime::now() }
    }

    fn attributes(&self, ino: INodeNo) -> FileAttr {
        let is_file = ino == FILE;
        FileAttr {
            ino,
            size: 0,
            blocks: 0,
            atime: self.mounted,
            mtime: self.mounted,
            ctime: self.mounted,
            crtime: self.mounted,
            kind: if is_file { FileType::RegularFile } else { FileType::Directory },
            perm: if is_file { 0o600 } else { 0o755 },
            nlink: if is_file { 1 } else { 2 },
            uid: if is_file { self.uid } else { 0 },
            gid: if is_file { self.gid } else { 0 },
            rdev: 0,
            blksize: 512,
            flags: 0,
        }
    }

    /// Feeds it, or does what feeds it.
    fn say_if_late(&self, was_announced: bool) {
        if was_announced {
            self.keeper.say("fed at last");
        }
    }

    /// The answer to a command, or why there is none.
    fn command(&self, number: u32, given: &[u8]) -> Result<Vec<u8>, Errno> {
        let seconds = |time: Duration| i32::try_from(time.as_secs()).unwrap_or(i32::MAX).to_ne_bytes().to_vec();
        match Command::of(number).ok_or(Errno::ENOTTY)? {
            Command::Support => Ok(ioctl::support().to_vec()),
            Command::Status => Ok(0i32.to_ne_bytes().to_vec()),
            Command::KeepAlive => {
                self.say_if_late(self.keeper.with(|timer, now| timer.feed(now)));
                Ok(0i32.to_ne_bytes().to_vec())
            }
            Command::SetTimeout => {
                let asked = given.try_into().map(i32::from_ne_bytes).map_err(|_| Errno::EINVAL)?;
                let set = self.keeper.with(|timer, now| timer.set_timeout(asked, now)).ok_or(Errno::EINVAL)?;
                self.keeper.say(format!("armed timeout_ms={}", milliseconds(set)));
                Ok(seconds(set))
            }
            Command::GetTimeout => Ok(seconds(self.keeper.with(|timer, _| timer.timeout()))),
            Command::TimeLeft => Ok(seconds(self.keeper.with(|timer, now| timer.left(now)))),
        }
    }
}

impl Filesystem for Device {
    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match parent == INodeNo::ROOT && name == NAME {
            true => reply.entry(&LIFETIME, &self.attributes(FILE), Generation(0)),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _request: &Request, ino: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&LIFETIME, &self.attributes(ino));
    }

    fn readdir(&self, _request: &Request, _ino: INodeNo, _handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let entries = [
            (INodeNo::ROOT, FileType::Directory, "."),
            (INodeNo::ROOT, FileType::Directory, ".."),
            (FILE, FileType::RegularFile, NAME),
        ];
        for (next, (ino, kind, name)) in (1..).zip(entries).skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            if reply.add(ino, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn open(&self, _request: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        if !self.keeper.with(|timer, now| timer.open(now)) {
            return reply.error(Errno::EBUSY);
        }
        let timeout = self.keeper.with(|timer, _| timer.timeout());
        self.keeper.say(format!("armed timeout_ms={}", milliseconds(timeout)));
        // Each write comes here at once, whatever its place.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NONSEEKABLE);
    }

    fn write(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _offset: u64,
        data: &[u8],
        _how: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.say_if_late(self.keeper.with(|timer, now| timer.write(data, now)));
        reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX));
    }

    /// Nobody has it open any more: its holder has closed it, or has died.
    fn release(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.keeper.say(match self.keeper.with(|timer, _| timer.close()) {
            Closed::Stopped => "disarmed",
            Closed::GoesOn => "closed and not disarmed",
        });
        reply.ok();
    }

    fn ioctl(
        &self,
        _request: &Request,
        ino: INodeNo,
        _handle: FileHandle,
        _flags: IoctlFlags,
        number: u32,
        given: &[u8],
        _most_bytes: u32,
        reply: ReplyIoctl,
    ) {
        let answer = if ino == FILE { self.command(number, given) } else { Err(Errno::ENOTTY) };
        match answer {
            Ok(answer) => reply.ioctl(0, &answer),
            Err(errno) => reply.error(errno),
        }
    }
}

//! Data of files: reads, writes, sizes, syncs.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use super::Disk;
use crate::inode::{Inode, State};

impl Disk {
    /// Up to `size` bytes from `offset` on, fewer at the end of the file.
    pub fn read(&self, inode: &Arc<Inode>, offset: u64, size: u32) -> io::Result<Vec<u8>> {
        self.counters.reads.add(1);
        let mut state = inode.state.lock();
        let length = state.size.saturating_sub(offset).min(u64::from(size));
        let mut buffer = vec![0; usize::try_from(length).unwrap_or_default()];
        let file = inode.file(&mut state)?;
        if state.unsynced.is_empty() {
            drop(state);
            fill(&file, &mut buffer, offset)?;
        } else {
            // With the lock held: a sync between the two steps would take the bytes out of memory before they are
            // laid over, and after the backing file was read.
            fill(&file, &mut buffer, offset)?;
            state.unsynced.read_into(offset, &mut buffer);
        }
        Ok(buffer)
    }

    /// Puts `data` into memory. If that is over the memory limit, the oldest files are written back first.
    pub fn write(&self, inode: &Arc<Inode>, offset: u64, data: &[u8]) -> io::Result<()> {
        self.counters.writes.add(1);
        let end = offset.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        {
            let _moving = self.memory.moving();
            let mut state = inode.state.lock();
            let growth = end.saturating_sub(state.size);
            self.space.grow(&self.table, &self.counters, inode, growth)?;
            self.memory.update(inode, &mut state, |state| {
                state.unsynced.write(offset, data);
                state.size = state.size.max(end);
                state.modified = Some(SystemTime::now());
            });
        }
        self.write_back_oldest()
    }

    /// As the kernel's write-back does when too much memory is dirty. Nobody waits until it is on the platters.
    fn write_back_oldest(&self) -> io::Result<()> {
        while self.memory.is_over_limit() {
            let Some(oldest) = self.memory.oldest() else { break };
            self.write_back(&oldest)?;
            self.counters.written_back.add(1);
        }
        Ok(())
    }

    /// Cuts the file or makes it longer. Sizes that are set, and not a consequence of a write, are metadata: they go
    /// straight to the backing file.
    pub fn set_size(&self, inode: &Arc<Inode>, size: u64) -> io::Result<()> {
        let _moving = self.memory.moving();
        let mut state = inode.state.lock();
        self.space.grow(&self.table, &self.counters, inode, size.saturating_sub(state.size))?;
        let shrinks = size < state.size;
        inode.file(&mut state)?.set_len(size)?;
        self.memory.update(inode, &mut state, |state| {
            state.unsynced.truncate(size);
            state.size = size;
            state.backing_size = size;
            state.modified = state.modified.map(|_| SystemTime::now());
        });
        drop(state);
        if shrinks {
            self.space.freed();
        }
        Ok(())
    }

    /// Allocates or empties a range, as fallocate(2). Metadata, like a size that is set.
    ///
    /// # Errors
    /// EOPNOTSUPP for what moves data: ranges taken out or put in.
    pub fn allocate(&self, inode: &Arc<Inode>, mode: i32, offset: u64, length: u64) -> io::Result<()> {
        let flags = FallocateFlags::from_bits(mode).ok_or(Errno::EOPNOTSUPP)?;
        let empties = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_ZERO_RANGE;
        if !(empties | FallocateFlags::FALLOC_FL_KEEP_SIZE).contains(flags) {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let end = offset.saturating_add(length);
        let (Ok(from), Ok(span)) = (i64::try_from(offset), i64::try_from(length)) else {
            return Err(Errno::EFBIG.into());
        };
        let _moving = self.memory.moving();
        let mut state = inode.state.lock();
        if !flags.contains(FallocateFlags::FALLOC_FL_KEEP_SIZE) {
            self.space.grow(&self.table, &self.counters, inode, end.saturating_sub(state.size))?;
        }
        let file = inode.file(&mut state)?;
        fallocate(&*file, flags, from, span)?;
        let backing_size = file.metadata()?.len();
        self.memory.update(inode, &mut state, |state| {
            if flags.intersects(empties) {
                state.unsynced.remove(offset, end);
            }
            state.backing_size = backing_size;
            state.size = state.size.max(backing_size);
        });
        Ok(())
    }

    /// Makes sure that everything written to the file stays. `data_only` leaves out what reading it back does not
    /// need, as fdatasync(2).
    pub fn sync(&self, inode: &Arc<Inode>, data_only: bool) -> io::Result<()> {
        self.counters.fsyncs.add(1);
        let file = self.write_back(inode)?;
        if data_only { file.sync_data() } else { file.sync_all() }
    }

    /// Writes and syncs, for a file that was opened with O_SYNC or O_DSYNC. Some kernels leave that sync to the file
    /// system, others ask for it after each write: see [`Disk::was_written_through`].
    pub fn write_through(
        &self,
        inode: &Arc<Inode>,
        (offset, data): (u64, &[u8]),
        before_sync: impl FnOnce() -> io::Result<()>,
        data_only: bool,
    ) -> io::Result<()> {
        self.write(inode, offset, data)?;
        before_sync()?;
        self.sync(inode, data_only)?;
        inode.state.lock().written_through = true;
        Ok(())
    }

    /// Whether the sync that is asked for is the one that a write brought along: once for each such write, and only if
    /// nothing is unsynced.
    pub fn was_written_through(&self, inode: &Inode) -> bool {
        let mut state = inode.state.lock();
        std::mem::take(&mut state.written_through) && !state.is_unsynced()
    }

    /// Makes sure that everything written to any file stays, as sync(2).
    ///
    /// # Errors
    /// The first that a file gave; the others are synced nevertheless.
    pub fn sync_all(&self) -> io::Result<()> {
        let mut result = Ok(());
        for inode in self.memory.files() {
            let synced = self.write_back(&inode).and_then(|file| file.sync_all());
            result = result.and(synced);
        }
        result
    }

    /// Puts what is unsynced into the backing file, with the time of the last write.
    fn write_back(&self, inode: &Arc<Inode>) -> io::Result<Arc<File>> {
        let moving = self.memory.moving();
        let mut state = inode.state.lock();
        let file = inode.file(&mut state)?;
        if state.is_unsynced() {
            copy(&state, &file)?;
        }
        self.memory.update(inode, &mut state, |state| {
            state.unsynced.clear();
            state.backing_size = state.size;
        });
        drop(state);
        drop(moving);
        self.table.reap(inode);
        Ok(file)
    }
}

fn copy(state: &State, file: &File) -> io::Result<()> {
    for (offset, bytes) in state.unsynced.extents() {
        file.write_all_at(bytes, offset)?;
    }
    if file.metadata()?.len() < state.size {
        file.set_len(state.size)?;
    }
    state.modified.map_or(Ok(()), |modified| file.set_modified(modified))
}

/// Reads until the buffer is full or the file ends; what is beyond stays as it is.
fn fill(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let mut place = offset;
    let mut rest = buffer;
    while !rest.is_empty() {
        match file.read_at(rest, place) {
            Ok(0) => break,
            Ok(count) => {
                rest = &mut rest[count..];
                place += u64::try_from(count).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

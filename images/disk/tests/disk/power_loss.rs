//! What is kept and what is lost.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::mounted::Mounted;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};

fn written(disk: &Mounted, name: &str, bytes: &[u8]) -> File {
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(disk.path(name)).unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn opened_with_o_dsync(disk: &Mounted, name: &str) -> File {
    OpenOptions::new().write(true).create_new(true).custom_flags(OFlag::O_DSYNC.bits()).open(disk.path(name)).unwrap()
}

#[test]
fn synced_bytes_outlive_a_power_loss_and_others_do_not() {
    let mut disk = Mounted::new();
    fs::create_dir(disk.path("base")).unwrap();
    written(&disk, "base/synced", b"kept").sync_all().unwrap();
    written(&disk, "base/data_synced", b"kept").sync_data().unwrap();
    opened_with_o_dsync(&disk, "base/through").write_all_at(b"kept", 0).unwrap();
    written(&disk, "base/never_synced", b"lost");
    let file = written(&disk, "base/partly", b"kept and ");
    file.sync_all().unwrap();
    file.write_all_at(b"over", 0).unwrap();
    file.write_all_at(b"lost", 9).unwrap();
    assert_eq!(fs::read(disk.path("base/partly")).unwrap(), b"over and lost");
    assert_eq!(fs::metadata(disk.path("base/partly")).unwrap().len(), 13);
    assert_eq!(disk.status("unsynced_bytes"), 4 + 8);
    assert_eq!(disk.status("unsynced_files"), 2);
    disk.lose_power();
    for name in ["base/synced", "base/data_synced", "base/through"] {
        assert_eq!(fs::read(disk.path(name)).unwrap(), b"kept", "{name}");
    }
    assert_eq!(fs::read(disk.path("base/never_synced")).unwrap(), b"");
    assert_eq!(fs::read(disk.path("base/partly")).unwrap(), b"kept and ");
}

/// Whether the kernel asks for the sync of such a write or leaves it to the file system.
#[test]
fn a_write_to_a_file_opened_with_o_dsync_is_one_sync() {
    let disk = Mounted::new();
    let file = opened_with_o_dsync(&disk, "wal");
    (0..5).for_each(|page| file.write_all_at(&[1; 8192], page * 8192).unwrap());
    assert_eq!(disk.status("fsyncs"), 5);
    assert_eq!(disk.status("unsynced_bytes"), 0);
}

#[test]
fn an_end_in_good_order_keeps_everything() {
    let mut disk = Mounted::new();
    let file = written(&disk, "file", b"kept");
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.set_modified(past).unwrap();
    file.write_all_at(b"hole", 1 << 20).unwrap();
    file.set_modified(past).unwrap();
    drop(file);
    disk.end();
    let bytes = fs::read(disk.backing("file")).unwrap();
    assert_eq!((bytes.len(), &bytes[..4], &bytes[1 << 20..]), ((1 << 20) + 4, &b"kept"[..], &b"hole"[..]));
    assert!(bytes[4..1 << 20].iter().all(|byte| *byte == 0));
    assert_eq!(fs::metadata(disk.backing("file")).unwrap().modified().unwrap(), past);
}

#[test]
fn a_rename_takes_unsynced_bytes_along() {
    let mut disk = Mounted::new();
    for name in ["lost", "kept"] {
        written(&disk, name, b"old").sync_all().unwrap();
        let new = written(&disk, "new", b"new bytes");
        fs::rename(disk.path("new"), disk.path(name)).unwrap();
        assert_eq!(fs::read(disk.path(name)).unwrap(), b"new bytes");
        if name == "kept" {
            new.sync_all().unwrap();
        }
    }
    disk.lose_power();
    // The name went straight to the disk, the bytes did not.
    assert_eq!(fs::read(disk.path("lost")).unwrap(), b"");
    assert_eq!(fs::read(disk.path("kept")).unwrap(), b"new bytes");
    assert!(!disk.path("new").exists());
}

#[test]
fn a_file_without_a_name_works_until_it_is_closed() {
    let disk = Mounted::new();
    let file = written(&disk, "file", b"bytes");
    fs::remove_file(disk.path("file")).unwrap();
    file.write_all_at(b"more", 5).unwrap();
    let mut buffer = [0; 9];
    file.read_exact_at(&mut buffer, 0).unwrap();
    assert_eq!(&buffer, b"bytesmore");
    file.sync_all().unwrap();
    file.write_all_at(b"BYTES", 0).unwrap();
    assert_eq!(disk.status("used_bytes"), 9);
    assert_eq!(disk.status("unsynced_bytes"), 5);
    drop(file);
    disk.wait_for("used_bytes", 0);
    disk.wait_for("unsynced_bytes", 0);
}

#[test]
fn sizes_that_are_set_stay_and_the_bytes_in_them_do_not() {
    let mut disk = Mounted::new();
    let file = written(&disk, "cut", &[1; 10_000]);
    file.set_len(5000).unwrap();
    file.set_len(6000).unwrap();
    let allocated = written(&disk, "allocated", &[2; 100]);
    nix::fcntl::fallocate(&allocated, nix::fcntl::FallocateFlags::empty(), 0, 8192).unwrap();
    let read = |disk: &Mounted, name: &str| fs::read(disk.path(name)).unwrap();
    assert_eq!(read(&disk, "cut"), [[1; 5000].as_slice(), &[0; 1000]].concat());
    assert_eq!(read(&disk, "allocated"), [[2; 100].as_slice(), &[0; 8092]].concat());
    disk.lose_power();
    assert_eq!(read(&disk, "cut"), [0; 6000]);
    assert_eq!(read(&disk, "allocated"), [0; 8192]);
}

#[test]
fn a_hole_that_is_punched_is_empty() {
    use nix::fcntl::{FallocateFlags, fallocate};
    let disk = Mounted::new();
    let file = written(&disk, "file", &[1; 12_288]);
    file.sync_all().unwrap();
    file.write_all_at(&[2; 12_288], 0).unwrap();
    let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    fallocate(&file, punch, 4096, 4096).unwrap();
    let wanted = [[2; 4096], [0; 4096], [2; 4096]].concat();
    assert_eq!(fs::read(disk.path("file")).unwrap(), wanted);
    file.sync_all().unwrap();
    assert_eq!(fs::read(disk.backing("file")).unwrap(), wanted);
    let collapse = FallocateFlags::FALLOC_FL_COLLAPSE_RANGE;
    assert_eq!(fallocate(&file, collapse, 0, 4096), Err(nix::errno::Errno::EOPNOTSUPP));
}

/// As bbolt has its file: mapped for reading, written by pwrite. All of it must be undone by `drop`, the kernel's
/// caches included.
#[test]
fn drop_undoes_what_every_reader_sees() {
    let disk = Mounted::new();
    let file = written(&disk, "file", &[1; 8192]);
    file.sync_all().unwrap();
    let length = NonZeroUsize::new(8192).unwrap();
    // SAFETY: the mapping is read as bytes only, and never unmapped.
    let mapped = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, file.as_fd(), 0) }.unwrap();
    // SAFETY: as above; volatile, because the bytes change behind the compiler's back.
    let seen = |at: usize| unsafe { std::ptr::read_volatile(mapped.as_ptr().cast::<u8>().add(at)) };
    assert_eq!((seen(0), seen(4096)), (1, 1));
    file.write_all_at(&[2; 16_384], 4096).unwrap();
    written(&disk, "new", b"lost");
    assert_eq!((seen(0), seen(4096)), (1, 2));
    assert_eq!(disk.tell("drop"), "ok dropped_bytes=16388 dropped_files=2");
    assert_eq!((seen(0), seen(4096)), (1, 1));
    assert_eq!(fs::read(disk.path("file")).unwrap(), [1; 8192]);
    assert_eq!(file.metadata().unwrap().len(), 8192);
    assert_eq!(fs::read(disk.path("new")).unwrap(), b"");
    assert_eq!(disk.status("dropped_bytes"), 16_388);
    file.write_all_at(&[3; 10], 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(seen(0), 3);
}

/// The kernel forgets files that nobody has open when it wants its memory back. A remount makes it do so.
#[test]
fn unsynced_bytes_outlive_the_kernels_memory_of_the_file() {
    use nix::mount::{MsFlags, mount};
    let disk = Mounted::new();
    written(&disk, "clean", b"clean").sync_all().unwrap();
    drop(written(&disk, "dirty", b"dirty"));
    assert_eq!(disk.status("known_files"), 3);
    let forget = || mount(None::<&str>, &disk.path(""), None::<&str>, MsFlags::MS_REMOUNT, None::<&str>).unwrap();
    forget();
    disk.wait_for("known_files", 2);
    assert_eq!(fs::read(disk.path("dirty")).unwrap(), b"dirty");
    assert_eq!(fs::read(disk.path("clean")).unwrap(), b"clean");
    assert_eq!(disk.status("unsynced_bytes"), 5);
    forget();
    disk.wait_for("known_files", 2);
    disk.order("sync");
    assert_eq!(disk.status("known_files"), 1);
    assert_eq!(fs::read(disk.path("dirty")).unwrap(), b"dirty");
}

#[test]
fn the_command_sync_makes_everything_stay() {
    let mut disk = Mounted::new();
    (0..10).for_each(|number| drop(written(&disk, &format!("file{number}"), b"kept")));
    disk.order("sync");
    assert_eq!(disk.status("unsynced_files"), 0);
    disk.lose_power();
    (0..10).for_each(|number| assert_eq!(fs::read(disk.path(&format!("file{number}"))).unwrap(), b"kept"));
}

#[test]
fn beyond_the_memory_limit_the_oldest_file_is_written_back() {
    let mut disk = Mounted::with(&["--memory-limit-mib", "1"]);
    let half = vec![7; 512 * 1024];
    ["first", "second"].iter().for_each(|name| drop(written(&disk, name, &half)));
    assert_eq!(disk.status("written_back"), 0);
    written(&disk, "third", &half);
    assert_eq!(disk.status("written_back"), 1);
    assert_eq!(disk.status("unsynced_bytes"), 1024 * 1024);
    disk.lose_power();
    assert_eq!(fs::read(disk.path("first")).unwrap(), half);
    assert_eq!(fs::read(disk.path("second")).unwrap(), b"");
}

#[test]
fn many_threads_write_read_and_sync_one_file() {
    const THREADS: u64 = 8;
    const PAGES: u64 = 64;
    let mut disk = Mounted::with(&["--memory-limit-mib", "1"]);
    let file = &written(&disk, "file", b"");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for round in 0..20_u8 {
                    for page in (thread..PAGES).step_by(usize::try_from(THREADS).unwrap()) {
                        let bytes = [round ^ u8::try_from(page).unwrap(); 8192];
                        file.write_all_at(&bytes, page * 8192).unwrap();
                        let mut back = [0; 8192];
                        file.read_exact_at(&mut back, page * 8192).unwrap();
                        assert!(back == bytes, "thread {thread}, round {round}, page {page}");
                    }
                    if u64::from(round) % THREADS == thread {
                        file.sync_data().unwrap();
                    }
                }
            });
        }
    });
    disk.end();
    let bytes = fs::read(disk.backing("file")).unwrap();
    let wanted: Vec<u8> = (0..PAGES).flat_map(|page| [19 ^ u8::try_from(page).unwrap(); 8192]).collect();
    assert!(bytes == wanted, "the backing file has other bytes than were written last");
}

#[test]
fn names_locks_and_owners_work_as_on_any_disk() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::os::unix::process::CommandExt;
    let disk = Mounted::new();
    fs::create_dir(disk.path("d")).unwrap();
    fs::set_permissions(disk.path("d"), fs::Permissions::from_mode(0o777)).unwrap();
    let sh = |script: &str| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-ec", script]).current_dir(disk.path("d")).uid(65_534).gid(65_534).status().unwrap().success()
    };
    assert!(sh(
        "umask 027; echo mine > f; ln f hard; ln -s f soft; mkdir sub; mkfifo pipe; mv sub moved; test -p pipe"
    ));
    let stat = fs::symlink_metadata(disk.path("d/f")).unwrap();
    assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o7777, stat.nlink()), (65_534, 65_534, 0o640, 2));
    assert_eq!(fs::read_link(disk.path("d/soft")).unwrap().to_str(), Some("f"));
    fs::write(disk.path("secret"), b"").unwrap();
    fs::set_permissions(disk.path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!sh("cat ../secret 2> /dev/null") && !sh("echo > ../made 2> /dev/null"));
    assert_eq!(symlink("x", disk.path("d/f")).unwrap_err().raw_os_error(), Some(nix::errno::Errno::EEXIST as i32));
    let mut names: Vec<String> =
        fs::read_dir(disk.path("d")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["f", "hard", "moved", "pipe", "soft"]);
    let _held = Flock::lock(File::open(disk.path("d/f")).unwrap(), FlockArg::LockExclusive).unwrap();
    assert!(Flock::lock(File::open(disk.path("d/f")).unwrap(), FlockArg::LockExclusiveNonblock).is_err());
    fs::remove_dir_all(disk.path("d")).unwrap();
    assert!(!disk.backing("d").exists());
}

#[test]
fn names_can_be_swapped_and_spared() {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    let disk = Mounted::new();
    ["a", "b"].iter().for_each(|name| drop(written(&disk, name, name.as_bytes())));
    let rename = |flags| renameat2(AT_FDCWD, &disk.path("a"), AT_FDCWD, &disk.path("b"), flags);
    assert_eq!(rename(RenameFlags::RENAME_NOREPLACE), Err(nix::errno::Errno::EEXIST));
    rename(RenameFlags::RENAME_EXCHANGE).unwrap();
    let mut text = String::new();
    File::open(disk.path("a")).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), fs::read(disk.path("b")).unwrap().as_slice()), ("b", b"a".as_slice()));
}

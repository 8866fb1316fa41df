//! Full, slow, stalled, failing: that it bites, that it leaves others alone, and that it ends.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::mounted::Mounted;
use nix::errno::Errno;
use nix::sys::statvfs::statvfs;

const PATIENCE: Duration = Duration::from_secs(20);

/// A disk with a synced file of 8 KiB in each of `pg_wal` and `base`.
fn postgres_like() -> (Mounted, File, File) {
    let disk = Mounted::new();
    let file = |folder: &str| {
        fs::create_dir(disk.path(folder)).unwrap();
        let file =
            File::options().read(true).write(true).create_new(true).open(disk.path(folder).join("file")).unwrap();
        file.write_all_at(&[1; 8192], 0).unwrap();
        file.sync_all().unwrap();
        file
    };
    let (wal, base) = (file("pg_wal"), file("base"));
    (disk, wal, base)
}

fn errno<T>(result: io::Result<T>) -> Option<Errno> {
    result.err().and_then(|error| error.raw_os_error()).map(Errno::from_raw)
}

fn took(action: impl FnOnce()) -> Duration {
    let began = Instant::now();
    action();
    began.elapsed()
}

#[test]
fn a_full_disk_refuses_growth_until_something_is_freed() {
    let (disk, wal, base) = postgres_like();
    disk.order("limit 16384 pg_wal");
    wal.write_all_at(&[2; 8192], 8192).unwrap();
    assert_eq!(errno(wal.write_all_at(&[3; 1], 16_384)), Some(Errno::ENOSPC));
    assert_eq!(errno(File::create(disk.path("pg_wal/new"))), Some(Errno::ENOSPC));
    assert_eq!(errno(fs::create_dir(disk.path("pg_wal/new"))), Some(Errno::ENOSPC));
    assert_eq!(errno(wal.set_len(20_000)), Some(Errno::ENOSPC));
    assert_eq!(disk.status("enospc_returned"), 4);
    let sizes = statvfs(&disk.path("pg_wal")).unwrap();
    assert_eq!((sizes.blocks() * sizes.fragment_size(), sizes.blocks_available()), (16_384, 0));
    assert!(statvfs(&disk.path("base")).unwrap().blocks_available() > 0);
    // In place, and elsewhere, it goes on.
    wal.write_all_at(&[4; 16_384], 0).unwrap();
    wal.sync_all().unwrap();
    base.write_all_at(&[4; 100_000], 0).unwrap();
    wal.set_len(8192).unwrap();
    fs::rename(disk.path("base/file"), disk.path("pg_wal/moved")).unwrap();
    assert_eq!(errno(wal.write_all_at(&[5; 1], 8192)), Some(Errno::ENOSPC));
    drop(base);
    fs::remove_file(disk.path("pg_wal/moved")).unwrap();
    disk.wait_for("used_bytes", 8192);
    wal.write_all_at(&[5; 8192], 8192).unwrap();
    assert_eq!(errno(wal.write_all_at(&[5; 1], 16_384)), Some(Errno::ENOSPC));
    disk.order("limit off");
    wal.write_all_at(&[5; 8192], 16_384).unwrap();
}

#[test]
fn a_disk_can_be_full_at_once() {
    let (disk, wal, base) = postgres_like();
    assert_eq!(disk.tell("limit used"), "ok limit_bytes=16384 used_bytes=16384");
    assert_eq!(errno(base.write_all_at(&[2; 1], 8192)), Some(Errno::ENOSPC));
    assert_eq!(errno(File::create(disk.path("new"))), Some(Errno::ENOSPC));
    base.write_all_at(&[2; 8192], 0).unwrap();
    drop(wal);
    fs::remove_file(disk.path("pg_wal/file")).unwrap();
    disk.wait_for("used_bytes", 8192);
    base.write_all_at(&[2; 8192], 8192).unwrap();
    disk.order("off");
    File::create(disk.path("new")).unwrap();
}

#[test]
fn a_delay_is_as_long_as_was_said() {
    let (disk, wal, base) = postgres_like();
    let delay = Duration::from_millis(100);
    for (class, action) in [
        ("sync", (|file: &File| file.sync_all().unwrap()) as fn(&File)),
        ("write", |file| file.write_all_at(&[2; 8192], 0).unwrap()),
    ] {
        disk.order(&format!("delay {class} 100 pg_wal"));
        let spans: Vec<Duration> = (0..7).map(|_| took(|| action(&wal))).collect();
        // A busy machine makes single ones longer.
        let best = spans.iter().min().unwrap();
        assert!(*best >= delay && *best <= delay.mul_f64(1.1), "{class}: {spans:?}");
        assert!((0..7).map(|_| took(|| action(&base))).min().unwrap() < delay / 2, "{class} elsewhere");
        disk.order("delay off");
        assert!((0..7).map(|_| took(|| action(&wal))).min().unwrap() < delay / 2, "{class} afterwards");
    }
    // Reads come from the disk although the kernel had the page.
    disk.order("delay read 100 pg_wal");
    let span = took(|| wal.read_exact_at(&mut [0; 8192], 0).unwrap());
    assert!(span >= delay, "{span:?}");
}

#[test]
fn a_throttle_is_shared_by_all_syncs() {
    let (disk, wal, base) = postgres_like();
    disk.order("throttle 4194304");
    let span = took(|| {
        for file in [&wal, &base] {
            file.write_all_at(&vec![2; 524_288], 0).unwrap();
            file.sync_all().unwrap();
        }
    });
    assert!(span >= Duration::from_millis(250), "{span:?}");
    disk.order("throttle off");
}

/// Begins an action that is to hang; its result arrives when it does not any more.
fn begin(action: impl FnOnce() -> io::Result<()> + Send + 'static) -> mpsc::Receiver<Option<Errno>> {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || done.send(errno(action())).ok());
    ended
}

#[test]
fn a_stall_hangs_what_is_under_its_prefix_only() {
    // More than there are threads that take requests.
    const COUNT: u64 = 24;
    let (disk, _wal, base) = postgres_like();
    let files: Vec<File> = (0..COUNT)
        .map(|number| {
            File::options().write(true).create_new(true).open(disk.path(&format!("pg_wal/{number}"))).unwrap()
        })
        .collect();
    disk.order("stall pg_wal");
    let again = |file: &File| file.try_clone().unwrap();
    let syncs: Vec<_> = files[..10].iter().map(again).map(|file| begin(move || file.sync_data())).collect();
    let writes: Vec<_> = files[10..].iter().map(again).map(|file| begin(move || file.write_all_at(&[2], 0))).collect();
    let (new, list) = (disk.path("pg_wal/new"), disk.path("pg_wal"));
    let others =
        [begin(move || File::create(new).map(drop)), begin(move || fs::read_dir(list)?.try_for_each(|_| Ok(())))];
    disk.wait_for("stalled_waiting", COUNT + 1);
    base.write_all_at(&[3; 8192], 8192).unwrap();
    base.sync_all().unwrap();
    fs::write(disk.path("base/new"), b"new").unwrap();
    assert_eq!(fs::metadata(disk.path("pg_wal/file")).unwrap().len(), 8192);
    let waiting = || syncs.iter().chain(&writes).chain(&others);
    waiting().for_each(|ended| assert_eq!(ended.try_recv(), Err(mpsc::TryRecvError::Empty)));
    disk.order("resume");
    waiting().for_each(|ended| assert_eq!(ended.recv_timeout(PATIENCE), Ok(None)));
    assert_eq!(disk.status("stalled_waiting"), 0);
    assert_eq!(disk.status("unsynced_bytes"), COUNT - 10 + 3);
}

/// The kernel can't take a page away that is being written; and the daemon must stay killable.
#[test]
fn a_drop_during_a_stall_answers_and_counts() {
    let (mut disk, wal, base) = postgres_like();
    base.write_all_at(&[2; 8192], 0).unwrap();
    disk.order("stall");
    let write = begin(move || wal.write_all_at(&[2; 8192], 0));
    disk.wait_for("stalled_waiting", 1);
    assert_eq!(disk.tell("drop"), "ok dropped_bytes=8192 dropped_files=1");
    disk.order("fail read base");
    disk.order("fail off");
    disk.order("resume");
    assert_eq!(write.recv_timeout(PATIENCE), Ok(None));
    let mut byte = [0; 1];
    base.read_exact_at(&mut byte, 0).unwrap();
    assert_eq!(byte, [1]);
    disk.order("stall");
    let sync = begin(move || base.sync_all());
    disk.wait_for("stalled_waiting", 1);
    disk.lose_power();
    assert!(matches!(sync.recv_timeout(PATIENCE), Ok(Some(_))));
    assert_eq!(fs::read(disk.path("base/file")).unwrap(), [1; 8192]);
}

#[test]
fn what_fails_gives_eio_and_spares_the_rest() {
    let (disk, wal, base) = postgres_like();
    let read = |file: &File| file.read_exact_at(&mut [0; 8192], 0);
    let write = |file: &File| file.write_all_at(&[7; 8192], 0);
    let sync = |file: &File| file.sync_all();
    let outcomes = |file: &File| [errno(read(file)), errno(write(file)), errno(sync(file))];
    read(&wal).unwrap();
    for (place, class) in ["read", "write", "sync"].into_iter().enumerate() {
        disk.order(&format!("fail {class} pg_wal"));
        let mut wanted = [None; 3];
        wanted[place] = Some(Errno::EIO);
        assert_eq!(outcomes(&wal), wanted, "{class}");
        assert_eq!(outcomes(&base), [None; 3], "{class} elsewhere");
        disk.order("fail off");
    }
    assert!(disk.status("failed_returned") >= 3);
    // The bytes of the sync that failed are still there to be synced.
    write(&wal).unwrap();
    disk.order("fail sync");
    assert_eq!(errno(sync(&wal)), Some(Errno::EIO));
    disk.order("off");
    assert_eq!(outcomes(&wal), [None; 3]);
    assert_eq!(disk.status("unsynced_bytes"), 0);
}

#[test]
fn commands_that_make_no_sense_are_refused() {
    let (disk, ..) = postgres_like();
    assert!(disk.tell("explode").starts_with("error failed to understand \"explode\": expected status | limit"));
    assert!(disk.tell("stall ../x").starts_with("error failed to read prefix"));
    assert!(disk.tell("limit used nowhere").starts_with("ok limit_bytes=0"));
}

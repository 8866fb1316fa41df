//! This machine's memory and disks, as far as a drill needs them.

use std::{path::Path, time::Duration};

use tokio::time::sleep;

use crate::engine::space::{self, Space};

/// The time between two looks: what fills a disk or the memory takes longer.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// With less, something will fail soon. A file system, or a machine, of which this is much counts as exhausted only at
/// a hundredth of its size.
const LEAST_KIB: u64 = 64 << 10;
const LEAST_SHARE: u64 = 100;

/// Waits until the memory, the disk of the run's folder, or that of the engine's data is used up. What can't be looked
/// at, as the engine's disk on another machine, is left out.
pub(super) async fn exhausted(folder: &Path, engine_root: Option<&str>) -> String {
    let root = engine_root.map(Path::new);
    loop {
        if let Some(memory) = space::memory().filter(is_exhausted) {
            return format!("this machine is out of memory: {} KiB are left", memory.free_kib);
        }
        for path in std::iter::once(folder).chain(root) {
            if let Some(disk) = space::disk(path).await.filter(is_exhausted) {
                return format!("the disk of {} is full: {} KiB are left", path.display(), disk.free_kib);
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

fn is_exhausted(space: &Space) -> bool {
    space.free_kib < LEAST_KIB.min(space.whole_kib / LEAST_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_left_by_figure_and_by_share() {
        let is_exhausted = |free_kib, whole_kib| is_exhausted(&Space { free_kib, whole_kib });
        assert!(is_exhausted(60 << 10, 100 << 20));
        assert!(!is_exhausted(70 << 10, 100 << 20));
        // A file system of 256 KiB is not full from the start.
        assert!(!is_exhausted(200, 256));
        assert!(is_exhausted(0, 256));
    }
}

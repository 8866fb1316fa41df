//! Free space on this machine: memory and disks.

use std::path::Path;

use tokio::process::Command;

/// How much there is, and how much of it is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub free_kib: u64,
    pub whole_kib: u64,
}

/// The disk that a path lies on; `None` if it is not on this machine, or `df` can't see it.
pub async fn disk(path: &Path) -> Option<Space> {
    let told = Command::new("df").arg("-Pk").arg(path).output().await.ok()?;
    told.status.success().then(|| of_df(&String::from_utf8_lossy(&told.stdout)))?
}

/// The second line of `df -Pk`: the size in KiB is the second column, what is free the fourth.
fn of_df(told: &str) -> Option<Space> {
    let columns: Vec<&str> = told.lines().nth(1)?.split_whitespace().collect();
    Some(Space { free_kib: columns.get(3)?.parse().ok()?, whole_kib: columns.get(1)?.parse().ok()? })
}

/// This machine's memory, by its kernel; `None` where that does not say.
pub fn memory() -> Option<Space> {
    of_meminfo(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

/// Lines such as `MemAvailable:   123456 kB`. What is available counts what the kernel can give back.
fn of_meminfo(told: &str) -> Option<Space> {
    let value = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').split_whitespace().next()?.parse().ok()
    };
    Some(Space { free_kib: value("MemAvailable")?, whole_kib: value("MemTotal")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_and_memory_are_read() {
        let df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 1000 600 400 60% /";
        assert_eq!(of_df(df), Some(Space { free_kib: 400, whole_kib: 1000 }));
        assert_eq!(of_df("df: no such file"), None);
        let meminfo = "MemTotal:       2000 kB\nMemFree:         100 kB\nMemAvailable:    700 kB\n";
        assert_eq!(of_meminfo(meminfo), Some(Space { free_kib: 700, whole_kib: 2000 }));
    }

    #[tokio::test]
    async fn this_machine_tells_its_own() {
        let disk = disk(Path::new("/")).await.unwrap();
        assert!(disk.free_kib <= disk.whole_kib && disk.whole_kib > 0);
        let memory = memory().unwrap();
        assert!(memory.free_kib > 0 && memory.free_kib < memory.whole_kib);
    }
}

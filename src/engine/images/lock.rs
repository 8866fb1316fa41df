//! One pgquake builds at a time; the others wait and then find its images.
//!
//! The lock saves work and nothing depends on it: an image gets its tag only when it is complete, so two builds of
//! one image (from two machines that share an engine, say) end with one tag on one of two equal images.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::ImageError;

/// No build of all images takes this long.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
const INTERVAL: Duration = Duration::from_millis(200);

/// Where the lock stands: one file a machine.
pub(super) fn default_path() -> PathBuf {
    std::env::temp_dir().join("pgquake-images.lock")
}

/// Takes the lock, which lasts as long as the file is open: it also ends with a process that was killed. `None` if
/// the file can't be used; the builds then go ahead without it. `waiting` is called once if another has it.
pub(super) async fn acquire(path: &Path, waiting: impl Fn()) -> Result<Option<File>, ImageError> {
    let Some(file) = open(path) else { return Ok(None) };
    let since = Instant::now();
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(error)) => {
                tracing::debug!("building without the lock {}: {error}", path.display());
                return Ok(None);
            }
            Err(TryLockError::WouldBlock) if since.elapsed() > PATIENCE => {
                let path = path.display().to_string();
                return Err(ImageError::Locked { path, waited_s: since.elapsed().as_secs() });
            }
            Err(TryLockError::WouldBlock) => {}
        }
        if !told {
            waiting();
            told = true;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Opens the file for reading, which is enough to lock it and works on one that another user made.
fn open(path: &Path) -> Option<File> {
    let opened = File::open(path).or_else(|_| File::options().append(true).create(true).open(path));
    opened.inspect_err(|error| tracing::debug!("building without the lock {}: {error}", path.display())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[tokio::test]
    async fn the_second_waits_until_the_first_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = acquire(&path, || panic!("nobody else has it")).await.unwrap().unwrap();
        let waited = AtomicBool::new(false);
        let second = acquire(&path, || waited.store(true, Ordering::SeqCst));
        tokio::pin!(second);
        assert!(tokio::time::timeout(INTERVAL * 2, &mut second).await.is_err());
        assert!(waited.load(Ordering::SeqCst));
        drop(first);
        let second = tokio::time::timeout(INTERVAL * 20, second).await.expect("lock within 4 s");
        assert!(second.unwrap().is_some());
    }

    #[tokio::test]
    async fn an_unusable_place_stops_nobody() {
        let lock = acquire(Path::new("/nonexistent/lock"), || {}).await.unwrap();
        assert!(lock.is_none());
    }
}

//! A run's folder under `reports/`: `history.jsonl`, `plan.json`, `logs/`, and the report in each format.

use std::{
    io,
    path::{Path, PathBuf},
};

use rand::{Rng, distr::Alphanumeric};

/// A run's folder could not be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to make the run's folder {}: {source}", path.display())]
pub struct FolderError {
    path: PathBuf,
    source: io::Error,
}

impl FolderError {
    /// Whether what was named can't hold a folder, whoever tries again; otherwise the disk or the system failed.
    pub(crate) fn is_of_the_name(&self) -> bool {
        use io::ErrorKind;
        matches!(
            self.source.kind(),
            ErrorKind::NotADirectory
                | ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::InvalidInput
        )
    }
}

/// A run's folder, with the run's id as its name.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// The run's id: its time and four random letters, so that two runs in one second differ.
    pub run: String,
    /// Where it is.
    pub path: PathBuf,
}

impl RunFolder {
    /// Makes the folder of a new run.
    pub fn create(out: &Path) -> Result<Self, FolderError> {
        let letters: String = rand::rng()
            .sample_iter(Alphanumeric)
            .take(4)
            .map(|letter| char::from(letter).to_ascii_lowercase())
            .collect();
        let run = format!("{}-{letters}", jiff::Zoned::now().strftime("%Y%m%d-%H%M%S"));
        let path = out.join(&run);
        std::fs::create_dir_all(&path).map_err(|source| FolderError { path: path.clone(), source })?;
        Ok(Self { run, path })
    }

    /// The history's path.
    pub fn history(&self) -> PathBuf {
        self.path.join("history.jsonl")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_can_hold_no_folder_is_told_from_a_disk_that_fails() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(RunFolder::create(&file).unwrap_err().is_of_the_name());
        let full = FolderError { path: file, source: io::Error::from(io::ErrorKind::StorageFull) };
        assert!(!full.is_of_the_name());
        assert!(RunFolder::create(&folder.path().join("new")).unwrap().path.is_dir());
    }
}

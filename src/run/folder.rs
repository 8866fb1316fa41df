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

//! Feature files are found: in folders and all that are below them, by name, and by a scenario's line.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::FeatureError;

/// A feature file that the user named, or that a folder holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub path: PathBuf,
    /// The lines that the user named; none: the whole file.
    pub lines: Vec<usize>,
}

/// The files behind the paths, each once, sorted within a folder.
pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<Found>, FeatureError> {
    let mut found: Vec<Found> = Vec::new();
    for path in paths {
        if path.is_dir() {
            let inside = below(path, &mut BTreeSet::new())?;
            if inside.is_empty() {
                return Err(FeatureError::EmptyFolder { path: path.clone() });
            }
            inside.into_iter().for_each(|path| add(&mut found, path, None));
        } else if path.is_file() {
            add(&mut found, path.clone(), None);
        } else {
            let text = path.to_string_lossy();
            let with_line =
                text.rsplit_once(':').and_then(|(file, line)| Some((PathBuf::from(file), line.parse().ok()?)));
            match with_line {
                Some((file, line)) if file.is_file() => add(&mut found, file, Some(line)),
                _ => return Err(FeatureError::NotFound { path: path.clone() }),
            }
        }
    }
    Ok(found)
}

/// Adds a file, or a line of it, to those that were found. A whole file has all its lines.
fn add(found: &mut Vec<Found>, path: PathBuf, line: Option<usize>) {
    match found.iter_mut().find(|known| same(&known.path, &path)) {
        None => found.push(Found { path, lines: line.into_iter().collect() }),
        Some(known) if known.lines.is_empty() => {}
        Some(known) => match line {
            None => known.lines.clear(),
            Some(line) => known.lines.push(line),
        },
    }
}

fn same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}

/// The feature files of a folder and of those below it. A folder that links lead to is looked into once.
fn below(folder: &Path, seen: &mut BTreeSet<PathBuf>) -> Result<Vec<PathBuf>, FeatureError> {
    let io = |source| FeatureError::Io { path: folder.to_owned(), source };
    if !seen.insert(folder.canonicalize().map_err(io)?) {
        return Ok(Vec::new());
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        entries.push(entry.map_err(io)?.path());
    }
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            found.extend(below(&entry, seen)?);
        } else if entry.extension().is_some_and(|extension| extension == "feature") {
            found.push(entry);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_holds_itself_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("a.feature"), "").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path(), inner.join("again")).unwrap();
        let found = files(&[folder.path().to_owned()]).unwrap();
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_file_is_taken_once_and_a_whole_file_has_all_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.feature");
        std::fs::write(&file, "").unwrap();
        let at = |line: usize| PathBuf::from(format!("{}:{line}", file.display()));
        assert_eq!(files(&[at(3), at(9)]).unwrap()[0].lines, [3, 9]);
        assert_eq!(files(&[at(3), file.clone()]).unwrap(), [Found { path: file.clone(), lines: Vec::new() }]);
        assert_eq!(files(&[folder.path().to_owned(), at(3)]).unwrap().len(), 1);
    }
}

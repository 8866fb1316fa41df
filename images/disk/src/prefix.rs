//! Which part of the disk something applies to.

use std::fmt;
use std::path::{Component, Path, PathBuf};

/// A folder or file below the mount point, with all that is in it; by default everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefix(PathBuf);

impl Prefix {
    /// Reads a relative path such as `pg_wal` or `base/5`; `None` if it is absolute or has `..` in it.
    pub fn parse(text: &str) -> Option<Self> {
        let path: PathBuf = Path::new(text).components().filter(|part| *part != Component::CurDir).collect();
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        plain.then_some(Self(path))
    }

    /// Whether it is the whole disk: then no path needs to be worked out.
    pub fn is_everything(&self) -> bool {
        self.0.as_os_str().is_empty()
    }

    /// Whether it has `path` in it, which is relative to the mount point.
    pub fn covers(&self, path: &Path) -> bool {
        path.starts_with(&self.0)
    }

    /// The path below the mount point.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_everything() { out.write_str("*") } else { write!(out, "{}", self.0.display()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_covers_whole_names_only() {
        let wal = Prefix::parse("pg_wal/").unwrap();
        assert!(wal.covers(Path::new("pg_wal")) && wal.covers(Path::new("pg_wal/0001")));
        assert!(!wal.covers(Path::new("pg_wal_old/0001")) && !wal.covers(Path::new("base/pg_wal")));
        assert_eq!(wal.to_string(), "pg_wal");
        assert!(Prefix::default().covers(Path::new("base/1")) && Prefix::default().covers(Path::new("")));
        assert!(Prefix::parse("./").unwrap().is_everything());
    }

    #[test]
    fn it_stays_below_the_mount_point() {
        assert_eq!(Prefix::parse("/pg_wal"), None);
        assert_eq!(Prefix::parse("base/../../etc"), None);
    }
}

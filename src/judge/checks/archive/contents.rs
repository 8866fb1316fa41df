//! What an archive held, file by file.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    history::{Event, Occurrence},
    services::archive::ArchivedName,
};

/// The files of an archive, each with all that was ever seen under its name.
pub(super) struct Contents<'a> {
    files: BTreeMap<String, Vec<Seen<'a>>>,
}

/// An object that has a file of WAL, or had one.
struct Seen<'a> {
    seq: u64,
    at_us: u64,
    key: &'a str,
    /// What distinguishes its content from another one; `None`: it was deleted.
    content: Option<Content<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Content<'a> {
    /// By the checksum in the object's name.
    Checksum(String),
    /// By the tag that the server gave it.
    Tag(&'a str),
}

impl<'a> Contents<'a> {
    pub fn of(events: &'a [Event], cluster: &str, archived: fn(&str) -> Option<ArchivedName>) -> Self {
        let mut files: BTreeMap<String, Vec<Seen<'a>>> = BTreeMap::new();
        for event in events {
            let Occurrence::ArchiveObject(object) = &event.what else { continue };
            let Some(ArchivedName { file, checksum }) = archived(&object.key).filter(|_| object.cluster == cluster)
            else {
                continue;
            };
            let content = checksum.map_or(Content::Tag(&object.tag), Content::Checksum);
            let content = Some(content).filter(|_| !object.is_deletion);
            files.entry(file).or_default().push(Seen { seq: event.seq, at_us: event.at_us, key: &object.key, content });
        }
        Self { files }
    }

    /// Whether an object has the file that was not deleted since.
    pub fn holds(&self, file: &str) -> bool {
        let seen = self.files.get(file).into_iter().flatten();
        let last: BTreeMap<&str, bool> = seen.map(|seen| (seen.key, seen.content.is_some())).collect();
        last.into_values().any(|is_there| is_there)
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// The names of the files, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The files of which several contents were archived.
    pub fn overwritten(&self) -> Vec<&str> {
        let several =
            |seen: &[Seen<'_>]| seen.iter().filter_map(|seen| seen.content.as_ref()).collect::<BTreeSet<_>>().len() > 1;
        self.files.iter().filter(|(_, seen)| several(seen)).map(|(file, _)| file.as_str()).collect()
    }

    /// The events that show a file.
    pub fn seqs(&self, file: &str) -> impl Iterator<Item = u64> {
        self.files.get(file).into_iter().flatten().map(|seen| seen.seq)
    }

    /// When a file was seen for the first time.
    pub fn first_seen_us(&self, file: &str) -> Option<u64> {
        self.files.get(file)?.first().map(|seen| seen.at_us)
    }
}

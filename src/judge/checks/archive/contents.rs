//! What an archive held, file by file.

use std::collections::{BTreeMap, BTreeSet};

use super::expected::segment_of;
use crate::{
    history::{Event, Occurrence, event::ArchiveObject},
    services::{archive::ArchivedName, postgresql::server::WAL_SEGMENT_BYTES},
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
    /// It has fewer bytes than the file.
    is_cut_short: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Content<'a> {
    /// By the checksum in the object's name.
    Checksum(String),
    /// By the tag that the server gave it.
    Tag(&'a str),
}

/// No file of the WAL is empty, and a segment that is stored as it is has the length of a segment. How long a compressed
/// one is says nothing.
fn is_cut_short(object: &ArchiveObject, file: &str) -> bool {
    let is_segment = segment_of(file).is_some();
    let is_stored_as_it_is = object.key.ends_with(file);
    object.bytes == 0 || is_segment && is_stored_as_it_is && object.bytes != WAL_SEGMENT_BYTES
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
            let is_cut_short = is_cut_short(object, &file);
            let seen = Seen { seq: event.seq, at_us: event.at_us, key: &object.key, content, is_cut_short };
            files.entry(file).or_default().push(seen);
        }
        Self { files }
    }

    /// Whether an object has the file, whole, that was not deleted since.
    pub fn holds(&self, file: &str) -> bool {
        self.last_of(file).any(|seen| seen.content.is_some() && !seen.is_cut_short)
    }

    /// Whether a part of the file stands for it.
    pub fn has_a_part_of(&self, file: &str) -> bool {
        !self.holds(file) && self.last_of(file).any(|seen| seen.content.is_some())
    }

    /// What was seen last of each object that has the file, or had it.
    fn last_of(&self, file: &str) -> impl Iterator<Item = &Seen<'a>> {
        let seen = self.files.get(file).into_iter().flatten();
        let last: BTreeMap<&str, &Seen<'a>> = seen.map(|seen| (seen.key, seen)).collect();
        last.into_values()
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
        self.first_seen(file).map(|(at_us, _)| at_us)
    }

    /// The same, with the event that shows it.
    pub fn first_seen(&self, file: &str) -> Option<(u64, u64)> {
        self.files.get(file)?.first().map(|seen| (seen.at_us, seen.seq))
    }
}

//! What a run is made of: the files that it keeps as they were, with their digests, and the recipe by which runs are known
//! to be one.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Component, Path, PathBuf},
};

use pgquake_judge::saved::{CLAIMS_FILE, INPUTS, digest_of};
use sha2::{Digest, Sha256};

use super::feature_files::Selection;
use crate::{
    claims::Claims,
    history::{HistoryReader, Occurrence, event::Rule},
    topology,
};

/// The files that a run keeps, by their path below `inputs/`.
pub(super) struct Inputs {
    files: BTreeMap<String, String>,
}

impl Inputs {
    /// The features, the topologies and the claims of a selection.
    pub(super) fn new(selection: &Selection, folders: &[PathBuf], claims: &Claims) -> Self {
        let mut files = BTreeMap::from([(CLAIMS_FILE.to_owned(), claims.text().to_owned())]);
        for (path, text) in &selection.texts {
            keep(&mut files, "features", &inside(path), text.clone());
        }
        for named in &selection.topologies {
            // It was read a moment ago. A file that is gone since is no input that anybody could look at.
            if let Ok((source_name, text)) = topology::text(named, folders) {
                keep(&mut files, "topologies", &file_name(&source_name), text);
            }
            let brought = topology::load_with(named, folders, claims).map(|topology| topology.own).unwrap_or_default();
            for (from, text) in brought.into_values().flat_map(|own| own.texts) {
                keep(&mut files, "topologies", &inside(Path::new(&from)), text);
            }
        }
        Self { files }
    }

    /// Writes them into the folder of a run.
    pub(super) fn write(&self, run: &Path) -> io::Result<()> {
        for (name, text) in &self.files {
            let path = run.join(INPUTS).join(name);
            fs::create_dir_all(path.parent().unwrap_or(run))?;
            fs::write(path, text)?;
        }
        Ok(())
    }

    /// The digest of each, for the history.
    pub(super) fn digests(&self) -> BTreeMap<String, String> {
        self.files.iter().map(|(name, text)| (name.clone(), digest_of(text.as_bytes()))).collect()
    }
}

/// Keeps a file below a folder. Two that are different may come from paths that end alike.
fn keep(files: &mut BTreeMap<String, String>, folder: &str, name: &str, text: String) {
    let mut path = format!("{folder}/{name}");
    while files.get(&path).is_some_and(|kept| *kept != text) {
        path = path.replacen('/', "/other/", 1);
    }
    files.insert(path, text);
}

/// A path without what leads out of the folder that it is put into.
fn inside(path: &Path) -> String {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    let parts: Vec<String> = parts.collect();
    // Of a path from the root only the end says something, and nothing of the machine.
    let shown = if path.is_absolute() { &parts[parts.len().saturating_sub(2)..] } else { &parts[..] };
    shown.join("/").trim_start_matches("features/").to_owned()
}

fn file_name(source_name: &str) -> String {
    Path::new(source_name)
        .file_name()
        .map_or_else(|| source_name.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The digest of all that decides what is tried and how it is judged. Where the files lie on a machine is no part of it.
pub(super) fn recipe(selection: &Selection, claims: &Claims, rule: Rule) -> String {
    let mut parts = vec![
        format!("pgquake {}", env!("CARGO_PKG_VERSION")),
        serde_json::to_string(&rule).unwrap_or_default(),
        digest_of(claims.text().as_bytes()),
    ];
    parts.extend(selection.texts.values().map(|text| digest_of(text.as_bytes())));
    for scenario in &selection.scenarios {
        let topology = scenario.topology.as_deref().map(|topology| serde_json::to_string(topology).unwrap_or_default());
        let (started, number) = (&scenario.started, scenario.number);
        parts.push(format!("{number} {}:{} {}", started.line, started.trial, started.name));
        parts.push(digest_of(topology.unwrap_or_default().as_bytes()));
    }
    digest_of(parts.join("\n").as_bytes())
}

/// The runs in a folder that have this recipe, by their ids: they are named, and never pooled.
pub(super) fn earlier(out: &Path, own: &str, recipe: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(out) else { return Vec::new() };
    let begun = entries.flatten().filter_map(|entry| {
        let mut reader = HistoryReader::open(&entry.path().join("history.jsonl")).ok()?;
        match reader.next_event().ok()??.what {
            Occurrence::RunStarted(run) if run.recipe == recipe && run.run != own => Some(run.run),
            _ => None,
        }
    });
    let mut runs: Vec<String> = begun.collect();
    runs.sort();
    runs
}

/// The digest of the program that runs; empty if its file can't be read.
pub(super) fn binary() -> String {
    let hashed = std::env::current_exe().and_then(fs::File::open).and_then(|mut file| {
        let mut hash = Sha256::new();
        io::copy(&mut file, &mut hash)?;
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    });
    hashed.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_of_one_name_are_both_kept() {
        let mut files = BTreeMap::new();
        for text in ["east", "west", "east", "north"] {
            keep(&mut files, "topologies", "patroni.yml", text.to_owned());
        }
        let kept: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let wanted = [
            ("topologies/other/other/patroni.yml", "north"),
            ("topologies/other/patroni.yml", "west"),
            ("topologies/patroni.yml", "east"),
        ];
        assert_eq!(kept, wanted);
    }

    #[test]
    fn a_path_never_leads_out_of_the_folder_of_inputs() {
        for (path, kept) in [
            ("features/primary_loss.feature", "primary_loss.feature"),
            ("../drills/orders.feature", "drills/orders.feature"),
            ("/home/somebody/drills/orders.feature", "drills/orders.feature"),
            ("./orders.feature", "orders.feature"),
        ] {
            assert_eq!(inside(Path::new(path)), kept);
        }
    }
}

//! Where topologies come from: the user's folders, then those built into the program.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::{Topology, TopologyError, parse::parse_with};
use crate::{
    claims::Claims,
    suggestion::{did_you_mean, nearest},
    yaml,
};

/// The built-in topologies, so that a user's own crate has them too: name and text.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("archive-as-written", include_str!("../../../topologies/archive-as-written.yaml")),
    ("async-manual", include_str!("../../../topologies/async-manual.yaml")),
    ("dcs-consul", include_str!("../../../topologies/dcs-consul.yaml")),
    ("dcs-consul-sessions-kept", include_str!("../../../topologies/dcs-consul-sessions-kept.yaml")),
    ("dcs-zookeeper", include_str!("../../../topologies/dcs-zookeeper.yaml")),
    ("documented-ha", include_str!("../../../topologies/documented-ha.yaml")),
    ("documented-ha-firewall", include_str!("../../../topologies/documented-ha-firewall.yaml")),
    ("documented-ha-firewall-drop", include_str!("../../../topologies/documented-ha-firewall-drop.yaml")),
    ("documented-ha-tls", include_str!("../../../topologies/documented-ha-tls.yaml")),
    ("documented-ha-untracked", include_str!("../../../topologies/documented-ha-untracked.yaml")),
    ("envoy", include_str!("../../../topologies/envoy.yaml")),
    ("envoy-panic", include_str!("../../../topologies/envoy-panic.yaml")),
    ("etcd-passwords", include_str!("../../../topologies/etcd-passwords.yaml")),
    ("etcd-small-quota", include_str!("../../../topologies/etcd-small-quota.yaml")),
    ("haproxy-fall-30", include_str!("../../../topologies/haproxy-fall-30.yaml")),
    ("haproxy-pgsql-check", include_str!("../../../topologies/haproxy-pgsql-check.yaml")),
    ("haproxy-select-1", include_str!("../../../topologies/haproxy-select-1.yaml")),
    ("hba-as-written", include_str!("../../../topologies/hba-as-written.yaml")),
    ("hba-corrected", include_str!("../../../topologies/hba-corrected.yaml")),
    ("logical", include_str!("../../../topologies/logical.yaml")),
    ("node-tags", include_str!("../../../topologies/node-tags.yaml")),
    ("pooled", include_str!("../../../topologies/pooled.yaml")),
    ("pooled-sessions-kept", include_str!("../../../topologies/pooled-sessions-kept.yaml")),
    ("production", include_str!("../../../topologies/production.yaml")),
    ("production-repointed", include_str!("../../../topologies/production-repointed.yaml")),
    ("shared-archive", include_str!("../../../topologies/shared-archive.yaml")),
    ("shared-archive-unread", include_str!("../../../topologies/shared-archive-unread.yaml")),
    ("single-region", include_str!("../../../topologies/single-region.yaml")),
    ("single-region-archive", include_str!("../../../topologies/single-region-archive.yaml")),
    ("single-region-archive-async", include_str!("../../../topologies/single-region-archive-async.yaml")),
    ("single-region-archive-unread", include_str!("../../../topologies/single-region-archive-unread.yaml")),
    ("single-region-fast", include_str!("../../../topologies/single-region-fast.yaml")),
    ("single-region-sync", include_str!("../../../topologies/single-region-sync.yaml")),
    ("stretched", include_str!("../../../topologies/stretched.yaml")),
    ("swarm-overlay", include_str!("../../../topologies/swarm-overlay.yaml")),
    ("sync-az-async-dr", include_str!("../../../topologies/sync-az-async-dr.yaml")),
    ("sync-manual", include_str!("../../../topologies/sync-manual.yaml")),
    ("three-region-cascade", include_str!("../../../topologies/three-region-cascade.yaml")),
    ("tls", include_str!("../../../topologies/tls.yaml")),
    ("two-balancers", include_str!("../../../topologies/two-balancers.yaml")),
    ("two-databases", include_str!("../../../topologies/two-databases.yaml")),
    ("two-databases-unlogged", include_str!("../../../topologies/two-databases-unlogged.yaml")),
    ("two-databases-vector", include_str!("../../../topologies/two-databases-vector.yaml")),
    ("two-nodes", include_str!("../../../topologies/two-nodes.yaml")),
    ("two-region", include_str!("../../../topologies/two-region.yaml")),
    ("two-region-as-written", include_str!("../../../topologies/two-region-as-written.yaml")),
    ("two-region-backups", include_str!("../../../topologies/two-region-backups.yaml")),
    ("two-region-hybrid", include_str!("../../../topologies/two-region-hybrid.yaml")),
    ("two-region-shipping", include_str!("../../../topologies/two-region-shipping.yaml")),
    ("two-region-shipping-as-written", include_str!("../../../topologies/two-region-shipping-as-written.yaml")),
    ("two-region-tls", include_str!("../../../topologies/two-region-tls.yaml")),
    ("watchdog", include_str!("../../../topologies/watchdog.yaml")),
];

/// Loads a topology by its name (from `NAME.yaml` in the folders, the first that has it, else a built-in one) or
/// by the path of its file.
///
/// # Errors
/// No such topology (the help lists the known ones and the one probably meant), a file that can't be read, or what
/// is wrong with it, by line and column.
pub fn load(name_or_path: &str, folders: &[PathBuf]) -> Result<Topology, TopologyError> {
    load_with(name_or_path, folders, Claims::documented())
}

/// The same, where a topology may name these claims beside the documented ones.
pub fn load_with(name_or_path: &str, folders: &[PathBuf], claims: &Claims) -> Result<Topology, TopologyError> {
    let (source_name, text) = text(name_or_path, folders)?;
    parse_with(&source_name, &text, claims)
}

/// The text of a topology, and the name of its file; see [`load`].
///
/// # Errors
/// No such topology, or a file that can't be read.
pub fn text(name_or_path: &str, folders: &[PathBuf]) -> Result<(String, String), TopologyError> {
    if is_path(name_or_path) {
        return text_of(Path::new(name_or_path));
    }
    let file_name = format!("{name_or_path}.yaml");
    if let Some(file) = folders.iter().map(|folder| folder.join(&file_name)).find(|file| file.is_file()) {
        return text_of(&file);
    }
    match BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
        Some((name, text)) => Ok((format!("topologies/{name}.yaml"), (*text).to_owned())),
        None => Err(unknown(name_or_path, folders)),
    }
}

/// A name has no folder and no ending.
fn is_path(name_or_path: &str) -> bool {
    name_or_path.contains(['/', '\\']) || name_or_path.ends_with(".yaml") || name_or_path.ends_with(".yml")
}

fn text_of(file: &Path) -> Result<(String, String), TopologyError> {
    // A device may have no end, and a pipe no beginning.
    let is_other = fs::metadata(file).is_ok_and(|found| !found.is_file());
    match if is_other { Err(io::Error::other("it is no file")) } else { fs::read(file) } {
        Ok(bytes) => {
            let name = file.display().to_string();
            let text = yaml::text(&name, bytes).map_err(TopologyError::Mistake)?;
            Ok((name, text))
        }
        Err(cause) => Err(TopologyError::Unreadable { help: unreadable_help(file, &cause), path: file.into(), cause }),
    }
}

fn unreadable_help(file: &Path, cause: &io::Error) -> Option<String> {
    match cause.kind() {
        io::ErrorKind::NotFound => {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let beside = names_in(folder);
            let meant = nearest(file.file_stem()?.to_str()?, beside.iter().map(String::as_str))?;
            Some(format!("did you mean `{}`?", file.with_file_name(format!("{meant}.yaml")).display()))
        }
        _ => None,
    }
}

fn unknown(name: &str, folders: &[PathBuf]) -> TopologyError {
    let known = known(folders);
    let names: Vec<_> = known.iter().map(|summary| summary.name.as_str()).collect();
    TopologyError::Unknown { name: name.to_owned(), help: did_you_mean(name, &names) }
}

/// The names that the files of a folder give, sorted. A folder that can't be read has none.
fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let files = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let yaml = files.filter(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    let mut names: Vec<_> = yaml.filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

/// One line of `pgquake list topologies`.
#[derive(Debug)]
pub struct Summary {
    pub name: String,
    /// Its file; `None`: built in.
    pub file: Option<PathBuf>,
    /// The topology's own description, or why it can't be loaded.
    pub description: Result<String, TopologyError>,
}

/// Every topology that [`load`] finds by name, sorted by name.
pub fn known(folders: &[PathBuf]) -> Vec<Summary> {
    let claims = Claims::documented();
    let mut places: BTreeMap<String, Option<PathBuf>> =
        BUILT_IN.iter().map(|(name, _)| ((*name).to_owned(), None)).collect();
    // The first folder that has a name wins, as in `load`.
    for folder in folders.iter().rev() {
        for name in names_in(folder) {
            let file = folder.join(format!("{name}.yaml"));
            places.insert(name, Some(file));
        }
    }
    let describe = |(name, file): (String, Option<PathBuf>)| {
        let text = file.as_deref().map_or_else(|| text(&name, &[]), text_of);
        let loaded = text.and_then(|(source_name, text)| parse_with(&source_name, &text, claims));
        Summary { name, file, description: loaded.map(|topology| topology.description) }
    };
    places.into_iter().map(describe).collect()
}

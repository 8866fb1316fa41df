//! What the team brings of its own: its files are read with the topology, what they state becomes settings, and what is wrong in
//! them is shown where it stands in them.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Component, Path as FilePath, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use serde_json::Value;

use super::{
    Mistake, ServiceKind, Settings, Topology,
    position::{Path, Place, Positions, Step, steps},
};
use crate::{
    services::{
        Own, Rendered, Site,
        own::{self, Flaw, Overridden, Served, Spot, Stated, Surroundings},
        patroni::HARNESS_ACCESS,
        service,
    },
    suggestion::did_you_mean,
    yaml,
};

/// The most that a file may hold: the engine takes it in one piece, and every plan has it.
const MOST_BYTES: u64 = 1 << 20;

/// Where the settings of a topology come from that its file does not state: by their path, the file and the place in it.
#[derive(Default)]
pub(super) struct Origins(BTreeMap<Vec<String>, (Brought, Spot)>);

/// A file that the team brings, as it was read.
#[derive(Clone)]
struct Brought {
    /// Where it lies, as people write it.
    name: String,
    text: Arc<str>,
}

impl Brought {
    fn mistake(&self, spot: Spot, message: String, help: Option<String>) -> Mistake {
        Mistake::new(&self.name, &self.text, Place::of_spot(&self.text, spot.line, spot.column), message, help)
    }

    fn flawed(&self, flaw: Flaw) -> Wrong {
        Wrong::There(self.mistake(flaw.spot, flaw.message, flaw.help))
    }
}

/// A key of one of the team's files that the harness sets or leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OverriddenKey {
    /// The file and the line.
    pub place: String,
    pub key: String,
    pub why: &'static str,
}

impl fmt::Display for OverriddenKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: `{}` is set by pgquake: {}", self.place, self.key, self.why)
    }
}

/// A mistake in the topology, at a path.
pub(super) struct Misplaced {
    pub path: Path,
    pub message: String,
    pub help: Option<String>,
}

/// What is wrong with what the team brings.
pub(super) enum Wrong {
    /// In the topology.
    Here(Misplaced),
    /// In one of the files.
    There(Mistake),
}

fn here(path: Path, message: String, help: Option<String>) -> Wrong {
    Wrong::Here(Misplaced { path, message, help })
}

impl Topology {
    /// Reads the files that the topology names, from its own folder, and takes what they state into its settings.
    pub(super) fn read_own(&mut self, source_name: &str, positions: &Positions) -> (Origins, Vec<Wrong>) {
        let folder = FilePath::new(source_name).parent().unwrap_or(FilePath::new(""));
        let (mut origins, mut wrong) = (Origins::default(), Vec::new());
        let mut all = std::mem::take(&mut self.own);
        for (kind, own) in &mut all {
            own.read_texts(*kind, folder, &mut wrong);
        }
        for (kind, own) in &all {
            self.check_own(*kind, own, &mut wrong);
            for format in service(*kind).formats {
                let (Some(from), Some(text)) = (own.configuration.get(format.name), own.text_of(format.name)) else {
                    continue;
                };
                let file = Brought { name: beside(folder, from).display().to_string(), text: Arc::from(text) };
                match (format.read)(text, &self.around(*kind, own)) {
                    Ok(read) => self.take_settings(read.settings, &file, positions, &mut origins, &mut wrong),
                    Err(flaws) => wrong.extend(flaws.into_iter().map(|flaw| file.flawed(flaw))),
                }
            }
        }
        self.own = all;
        (origins, wrong)
    }

    /// What a file of a kind of service may name.
    fn around<'a>(&'a self, kind: ServiceKind, own: &'a Own) -> Surroundings<'a> {
        let names = self.hosts().flat_map(|host| {
            let ports = self.ports_of(host);
            std::iter::once(&host.name).chain(&host.aliases).map(move |name| (name.as_str(), ports.clone()))
        });
        let runs = |host: &&str| self.host_called(host).is_some_and(|host| host.runs(kind));
        let is_here = |endpoint: &&super::NamedEndpoint| self.hosts_behind(&endpoint.host).iter().any(runs);
        let dcs = self.hosts().flat_map(super::Host::kinds).find(|kind| service(*kind).dcs().is_some());
        let served = |one: &'a super::NamedEndpoint| Served { name: &one.name, port: one.port, serves: one.serves };
        let of_clusters = self.clusters.iter().filter_map(|cluster| cluster.settings.as_ref());
        let further =
            std::iter::once(&self.settings).chain(of_clusters).flat_map(|all| all.postgresql.databases.keys());
        Surroundings {
            hosts: names.collect(),
            statistics_port: self.settings.haproxy.stats_port,
            dcs,
            endpoints: self.endpoints.iter().filter(is_here).map(served).collect(),
            further_databases: further.map(String::as_str).collect(),
            formats: own.configuration.keys().map(String::as_str).collect(),
            pools_are_repointed: self.repoints_pools(|_| true),
        }
    }

    /// What holds whatever the files say.
    fn check_own(&self, kind: ServiceKind, own: &Own, wrong: &mut Vec<Wrong>) {
        let at = |field: &str, key: &str| steps!["own", kind.name(), field, key];
        let row = service(kind);
        if self.hosts_with(kind).next().is_none() {
            let message = format!("no host runs {}", kind.name());
            wrong.push(here(steps!["own", kind.name()], message, None));
        }
        if let Some(image) = &own.image {
            if !row.takes_own_image() {
                let message = format!("{} can't run in an image of your own", kind.name());
                let kinds: Vec<&str> = ServiceKind::ALL
                    .iter()
                    .filter(|kind| service(**kind).takes_own_image())
                    .map(|kind| kind.name())
                    .collect();
                wrong.push(here(
                    steps!["own", kind.name(), "image"],
                    message,
                    Some(format!("those that can: {}", kinds.join(", "))),
                ));
            } else if !is_reference(image) {
                let message = format!("`{image}` is not the name of an image");
                let help = Some("as `registry.example.com/team/patroni:1.2`".to_owned());
                wrong.push(here(steps!["own", kind.name(), "image"], message, help));
            }
        }
        for format in own.configuration.keys() {
            if !row.formats.iter().any(|known| known.name == format) {
                let known: Vec<&str> = row.formats.iter().map(|known| known.name).collect();
                let message = format!("`{format}` is not a configuration of {}", kind.name());
                wrong.push(here(at("configuration", format), message, Some(did_you_mean(format, &known))));
            }
        }
        if !own.configuration.is_empty() {
            self.check_instances(kind, wrong);
        }
        for path in own.files.keys() {
            let holds_another = || own.files.keys().any(|other| is_below(other, path) && other != path);
            let reason = refused_path(path).or_else(|| holds_another().then_some("is a folder of another file"));
            if let Some(reason) = reason {
                wrong.push(here(at("files", path), format!("`{path}` {reason}"), None));
            }
        }
        for name in own.environment.keys() {
            if let Some(message) = refused_variable(kind, name) {
                let help = Some("pgquake has to set what it says; its file is where the rest belongs".to_owned());
                wrong.push(here(at("environment", name), message, help));
            }
        }
    }

    /// One file says what one service does: two on a host would be the same, and pools that an agent re-points have several.
    fn check_instances(&self, kind: ServiceKind, wrong: &mut Vec<Wrong>) {
        let path = || steps!["own", kind.name(), "configuration"];
        if let Some(host) = self.hosts().find(|host| host.kinds().filter(|own| *own == kind).count() > 1) {
            let message = format!("`{}` runs two of {}, and one file can't say what both do", host.name, kind.name());
            wrong.push(here(path(), message, Some("give each a host of its own, or leave the file out".to_owned())));
        }
        if self.repoints_pools(|pooler| pooler == kind) {
            let message = "pools that an agent points elsewhere have a file for each primary".to_owned();
            wrong.push(here(path(), message, Some("leave the file out, or `repointed` of the pools".to_owned())));
        }
    }

    /// Whether agents point pools of these kinds to the node that becomes primary.
    fn repoints_pools(&self, is_meant: impl Fn(ServiceKind) -> bool) -> bool {
        let placed = self.hosts().flat_map(|host| host.services.iter().map(move |placed| (host, placed)));
        placed.filter(|(_, placed)| is_meant(placed.kind)).any(|(host, placed)| {
            let pooler = service(placed.kind).pooler();
            pooler.is_some_and(|pooler| (pooler.is_repointed)(&self.settings_on(host, placed)))
        })
    }

    /// Takes what a file states into the settings. What the topology states too is a contradiction waiting to happen.
    fn take_settings(
        &mut self,
        stated: Vec<Stated>,
        file: &Brought,
        positions: &Positions,
        origins: &mut Origins,
        wrong: &mut Vec<Wrong>,
    ) {
        for Stated { path, value, spot, is_default } in stated {
            let said = self.said_at(&path, positions);
            let is_taken = said.is_some() || origins.0.contains_key(&path);
            if let Some(full) = said.filter(|_| !is_default) {
                let message = format!("`{}` is stated here and in {}:{}", path.join("."), file.name, spot.line);
                wrong.push(here(full, message, Some("leave it out here: the file runs as it is".to_owned())));
                continue;
            }
            if is_taken {
                continue;
            }
            match self.settings_with(&path, value.clone()) {
                Some(settings) => self.settings = settings,
                None => {
                    let message = format!("`{value}` can't be the value of `{}`", path.join("."));
                    wrong.push(file.flawed(Flaw { spot, message, help: None }));
                }
            }
            origins.0.insert(path, (file.clone(), spot));
        }
    }

    /// Where the topology's own file states a setting: for all, or for one cluster.
    fn said_at(&self, path: &[String], positions: &Positions) -> Option<Path> {
        let below = |above: Path| -> Path {
            above.into_iter().chain(path.iter().map(|part| Step::from(part.as_str()))).collect()
        };
        let of_clusters = (0..self.clusters.len()).map(|index| steps!["clusters", index, "settings"]);
        std::iter::once(steps!["settings"]).chain(of_clusters).map(below).find(|full| positions.holds(full))
    }

    /// The settings with one more value; `None`: it can't be one.
    fn settings_with(&self, path: &[String], value: Value) -> Option<Settings> {
        let mut settings = serde_json::to_value(&self.settings).ok()?;
        set(&mut settings, path, value);
        serde_json::from_value(settings).ok()
    }

    /// Whether a file of the team's says a setting that comes to the service by that file alone. Patroni's come by the dynamic
    /// configuration, which is made of the settings, and ports are the topology's to say.
    pub(super) fn is_said_by_own(&self, section: &str, field: &str) -> bool {
        let kind = ServiceKind::ALL.iter().find(|kind| kind.name() == section && **kind != ServiceKind::Patroni);
        let has_file = kind.and_then(|kind| self.own.get(kind)).is_some_and(|own| !own.configuration.is_empty());
        has_file && !["port", "stats_port"].contains(&field)
    }

    /// What the harness sets in the place of what the team's files say, in the order of the files.
    pub fn overridden(&self) -> Vec<OverriddenKey> {
        let mut told = Vec::new();
        for (kind, own) in &self.own {
            for format in service(*kind).formats {
                let (Some(from), Some(text)) = (own.configuration.get(format.name), own.text_of(format.name)) else {
                    continue;
                };
                let reading = (format.read)(text, &self.around(*kind, own)).unwrap_or_default();
                let key = |Overridden { key, line, why }| OverriddenKey { place: format!("{from}:{line}"), key, why };
                told.extend(reading.overridden.into_iter().map(key));
            }
        }
        if !self.settings.postgresql.access.is_of_everybody() {
            told.push(OverriddenKey {
                place: "settings.postgresql.access".to_owned(),
                key: format!("pg_hba: {HARNESS_ACCESS}"),
                why: "the harness's own line, before the last one, which rejects: its probers and observers come from no host of the document, \
                      and its role can do nothing that the others do",
            });
        }
        told
    }

    /// What a service is started with: what is rendered for it, with what the team brings.
    pub fn with_own(&self, kind: ServiceKind, site: &Site<'_>, rendered: Rendered) -> Rendered {
        match self.own.get(&kind) {
            Some(own) => own::put(service(kind).formats, own, site, rendered),
            None => rendered,
        }
    }
}

impl Origins {
    /// The mistake in the file that states a setting which the topology's own does not.
    pub(super) fn mistake(&self, path: &[Step], message: &str, help: Option<&str>) -> Option<Mistake> {
        let key = |step: &Step| match step {
            Step::Key(key) => Some(key.clone()),
            Step::Index(_) => None,
        };
        let keys: Vec<String> = path.iter().map(key).collect::<Option<_>>()?;
        let (file, spot) = self.0.get(keys.strip_prefix(&["settings".to_owned()][..])?)?;
        Some(file.mistake(*spot, message.to_owned(), help.map(str::to_owned)))
    }
}

impl Own {
    /// Reads every file that is named, once. A saved topology has their texts already.
    fn read_texts(&mut self, kind: ServiceKind, folder: &FilePath, wrong: &mut Vec<Wrong>) {
        let named = |field: &'static str, map: &BTreeMap<String, String>| -> Vec<_> {
            map.iter().map(|(key, from)| (steps!["own", kind.name(), field, key.as_str()], from.clone())).collect()
        };
        let all = named("configuration", &self.configuration).into_iter().chain(named("files", &self.files));
        for (path, from) in all.collect::<Vec<_>>() {
            if self.texts.contains_key(&from) {
                continue;
            }
            match text_of(&beside(folder, &from)) {
                Ok(text) => drop(self.texts.insert(from, text)),
                Err(Unread::Text(mistake)) => wrong.push(Wrong::There(*mistake)),
                Err(Unread::File(reason)) => {
                    let message = format!("failed to read {}: {reason}", beside(folder, &from).display());
                    let help = "files are looked for in the topology's own folder".to_owned();
                    wrong.push(here(path, message, Some(help)));
                }
            }
        }
    }
}

/// A file as people write its path: `stack/topologies` and `../patroni.yml` are `stack/patroni.yml`.
fn beside(folder: &FilePath, from: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in folder.join(from).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(path.components().next_back(), Some(Component::Normal(_))) => {
                path.pop();
            }
            part => path.push(part),
        }
    }
    path
}

enum Unread {
    File(String),
    Text(Box<Mistake>),
}

fn text_of(file: &FilePath) -> Result<String, Unread> {
    let failed = |error: std::io::Error| Unread::File(error.to_string());
    let found = fs::metadata(file).map_err(failed)?;
    if !found.is_file() {
        return Err(Unread::File("it is no file".to_owned()));
    }
    if found.len() > MOST_BYTES {
        return Err(Unread::File(format!("it has {} bytes, and {MOST_BYTES} are the most", found.len())));
    }
    yaml::text(&file.display().to_string(), fs::read(file).map_err(failed)?).map_err(Unread::Text)
}

/// Sets a value at a path, and makes the blocks that lead to it.
fn set(settings: &mut Value, path: &[String], value: Value) {
    let Some((last, above)) = path.split_last() else { return };
    let mut outer = settings;
    for part in above {
        if !outer[part.as_str()].is_object() {
            outer[part.as_str()] = Value::Object(Default::default());
        }
        outer = &mut outer[part.as_str()];
    }
    outer[last.as_str()] = value;
}

/// As the engine takes it: `[registry[:port]/]name[:tag][@digest]`, in lower case.
fn is_reference(image: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-/:@".contains(letter);
    let begins = image.starts_with(|first: char| first.is_ascii_alphanumeric());
    let name = image.split('@').next().unwrap_or_default();
    let repository = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(before, _)| before);
    let path = repository.split_once('/').map_or(repository, |(_, rest)| rest);
    begins
        && image.len() <= 255
        && image.chars().all(allowed)
        && !path.chars().any(|letter| letter.is_ascii_uppercase())
}

/// Files that are rendered: a team's own come as `configuration`, of which what the harness has to set is known.
const RENDERED: &[&str] = &[
    "/etc/consul/consul.json",
    "/etc/envoy/envoy.yaml",
    "/etc/haproxy/haproxy.cfg",
    "/etc/keepalived/template.conf",
    "/etc/minio/certificates",
    "/etc/minio/environment",
    "/etc/patroni/clock",
    "/etc/patroni/first-start.sql",
    "/etc/patroni/patroni.yml",
    "/etc/patroni/postgresql.conf",
    "/etc/patroni/repoint-pools.sh",
    "/etc/pgbouncer/pgbouncer.ini",
    "/etc/pgbackrest/pgbackrest.conf",
    "/etc/pgbouncer/userlist.txt",
    "/etc/postgresql/first-start.sql",
    "/etc/postgresql/pg_hba.conf",
    "/etc/postgresql/pgpass",
    "/etc/postgresql/postgresql.conf",
    "/etc/postgresql/start.conf",
    "/etc/powerdns/pdns.conf",
    "/etc/zookeeper/zoo.cfg",
];

/// Places of pgquake's own, and of data.
const KEPT: &[&str] = &[
    "/etc/pgquake",
    "/usr/local/bin/choose-versions.sh",
    "/usr/local/bin/entrypoint.sh",
    "/usr/local/bin/restore-prepared.sh",
    "/usr/local/lib/pgquake",
    "/var/lib/etcd",
    "/var/lib/postgresql",
];

/// Files that the engine lays over those of an image: another content would not be seen.
const OF_THE_ENGINE: &[&str] = &["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// Whether a path is this place, or lies below it.
fn is_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Why no file of the team's can be put there.
fn refused_path(path: &str) -> Option<&'static str> {
    let parts = path.strip_prefix('/').unwrap_or_default().split('/');
    if !path.starts_with('/') || parts.into_iter().any(|part| matches!(part, "" | "." | "..")) {
        return Some("is no absolute path of a file");
    }
    let below = |place: &&str| is_below(path, place);
    if RENDERED.iter().chain(KEPT).any(|place| is_below(place, path) && *place != path) {
        return Some("is a folder, and no place for a file");
    }
    if OF_THE_ENGINE.contains(&path) {
        return Some("is written by the engine whenever the container starts");
    }
    if RENDERED.iter().any(below) || path.starts_with("/etc/pgbouncer/primary-") {
        return Some("is written by pgquake: configuration of yours comes under `configuration`");
    }
    if KEPT.iter().any(below) || path.starts_with("/usr/local/bin/pgquake-") {
        return Some("is a place of pgquake's own");
    }
    ["/proc", "/sys", "/dev"].iter().any(below).then_some("is no place for a file")
}

/// Why a variable can't be set.
fn refused_variable(kind: ServiceKind, name: &str) -> Option<String> {
    let is_name = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if !is_name {
        return Some(format!("`{name}` can't be the name of a variable"));
    }
    let owned = service(kind).variables.iter().find(|owned| name.starts_with(**owned));
    let is_loaders = ["LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PATH"].contains(&name);
    (owned.is_some() || is_loaders).then(|| format!("`{name}` would win over what pgquake sets"))
}

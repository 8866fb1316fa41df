//! A team's `patroni.yml`, one for all nodes. What `bootstrap.dcs` states becomes the topology's settings, from which the dynamic
//! configuration is made; everything else stays as it is, but for the keys of [`OWNED`].

use serde_json::{Map, Value, json};

use super::{Flaw, Format, Overridden, Reading, Spot, Stated, Surroundings, Unsaid, postgresql_conf, rendered_file};
use crate::{
    services::{
        Rendered, Site,
        dynamic::Change,
        patroni::CONFIGURATION,
        postgresql::{self, server},
    },
    yaml::{
        position::{Path, Positions, Step},
        words::misreading,
    },
};

pub(in crate::services) const FILE: Format = Format { name: "patroni.yml", read, put };

/// What the names of variables begin with that Patroni takes in the place of its file.
pub(in crate::services) const VARIABLES: &[&str] = &[
    "PATRONI_CITUS",
    "PATRONI_CONFIGURATION",
    "PATRONI_CONSUL",
    "PATRONI_ETCD",
    "PATRONI_EXHIBITOR",
    "PATRONI_KUBERNETES",
    "PATRONI_LOG_DIR",
    "PATRONI_NAME",
    "PATRONI_POSTGRESQL",
    "PATRONI_RAFT",
    "PATRONI_REPLICATION",
    "PATRONI_RESTAPI",
    "PATRONI_REWIND",
    "PATRONI_SCOPE",
    "PATRONI_SUPERUSER",
    "PATRONI_ZOOKEEPER",
];

/// Keys that the harness sets, or leaves out, and why.
const OWNED: &[(&str, &str)] = &[
    ("scope", "the leader key is watched under the scope of the topology"),
    ("namespace", "the leader key is watched under /service"),
    ("name", "each node is called as its host"),
    ("restapi.listen", "observers and balancers ask every node at port 8008"),
    ("restapi.connect_address", "observers and balancers ask every node at port 8008"),
    ("restapi.authentication", "operator steps ask Patroni without a password"),
    ("restapi.allowlist", "operator steps come from outside the cluster"),
    ("restapi.allowlist_include_members", "operator steps come from outside the cluster"),
    ("restapi.certfile", "observers speak plain HTTP with Patroni"),
    ("restapi.keyfile", "observers speak plain HTTP with Patroni"),
    ("restapi.keyfile_password", "observers speak plain HTTP with Patroni"),
    ("restapi.cafile", "observers speak plain HTTP with Patroni"),
    ("restapi.verify_client", "observers speak plain HTTP with Patroni"),
    ("log.dir", "the log is saved with the run, from standard output"),
    ("bootstrap.users", "the roles are those of the run"),
    ("postgresql.listen", "clients reach every node at port 5432"),
    ("postgresql.connect_address", "clients reach every node at port 5432"),
    ("postgresql.proxy_address", "clients reach every node at port 5432"),
    ("postgresql.data_dir", "disk faults and prepared data know one place"),
    ("postgresql.config_dir", "disk faults and prepared data know one place"),
    ("postgresql.bin_dir", "the image's PostgreSQL of the topology's major version runs"),
    ("postgresql.authentication", "roles and passwords are those of the run"),
    ("postgresql.prepared", "standbys begin with a data directory that is prepared"),
    ("postgresql.parameters.unix_socket_directories", "faults find the socket in one place"),
    ("postgresql.parameters.pgquake.node", "it tells clients which node answers"),
    ("citus", "the leader key is watched under the scope, without a group"),
    ("standby_cluster", "which cluster follows which is the topology's to say"),
    ("watchdog", "`settings.patroni.watchdog` says it, and gives each host its device"),
    ("tags", "each host of the topology has its own `tags`"),
];

/// Sections that lead to a DCS, with the kind of service that it is; `None`: none that a topology has.
const DCS_SECTIONS: &[(&str, Option<&str>)] = &[
    ("etcd3", Some("etcd")),
    ("consul", Some("consul")),
    ("zookeeper", Some("zookeeper")),
    ("etcd", None),
    ("exhibitor", None),
    ("kubernetes", None),
    ("raft", None),
];

/// What of `bootstrap.dcs` has a setting of its own: Patroni's key, its name in `settings.patroni`, and whether it is a flag.
const SETTINGS: &[(&str, &str, bool)] = &[
    ("ttl", "ttl_s", false),
    ("loop_wait", "loop_wait_s", false),
    ("retry_timeout", "retry_timeout_s", false),
    ("maximum_lag_on_failover", "maximum_lag_on_failover_bytes", false),
    ("primary_start_timeout", "primary_start_timeout_s", false),
    ("master_start_timeout", "primary_start_timeout_s", false),
    ("synchronous_mode", "synchronous_mode", true),
    ("synchronous_mode_strict", "synchronous_mode_strict", true),
    ("failsafe_mode", "failsafe_mode", true),
];

/// Patroni's defaults where they differ from what the harness takes for its own clusters: a file that says nothing has these.
const DEFAULTS: &[(&[&str], Unsaid)] = &[
    (&["patroni", "dynamic", "postgresql.use_pg_rewind"], || json!(false)),
    (&["postgresql", "parameters", "max_connections"], || json!("100")),
];

/// What has a form of its own: its path, and whether it is a list; the others are blocks.
const FORMS: &[(&str, bool)] = &[
    ("bootstrap", false),
    ("bootstrap.dcs", false),
    ("bootstrap.dcs.postgresql", false),
    ("bootstrap.dcs.postgresql.create_replica_method", true),
    ("bootstrap.dcs.postgresql.create_replica_methods", true),
    ("bootstrap.dcs.postgresql.parameters", false),
    ("bootstrap.dcs.postgresql.pg_hba", true),
    ("bootstrap.pg_hba", true),
    ("log", false),
    ("postgresql", false),
    ("postgresql.create_replica_method", true),
    ("postgresql.create_replica_methods", true),
    ("postgresql.parameters", false),
    ("postgresql.pg_hba", true),
    ("restapi", false),
];

/// Where the parameters are that each node says itself.
const OF_NODES: [&str; 2] = ["postgresql", "parameters"];

/// A document, and where each of its values stands.
struct Document<'a> {
    root: Value,
    positions: Positions,
    text: &'a str,
}

impl Document<'_> {
    fn spot(&self, path: &[&str]) -> Spot {
        let path: Path = path.iter().map(|part| Step::from(*part)).collect();
        let at = self.positions.find_key(&path).or_else(|| self.positions.find(&path));
        at.map_or(Spot { line: 1, column: 1 }, spot_of)
    }

    fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.root, |outer, part| outer.get(part)).filter(|found| !found.is_null())
    }
}

fn spot_of(location: &serde_saphyr::Location) -> Spot {
    let number = |told: u64| usize::try_from(told).unwrap_or(1).max(1);
    Spot { line: number(location.line()), column: number(location.column()) }
}

/// Reads any YAML, or says where it is none.
fn document(text: &str) -> Result<Document<'_>, Flaw> {
    let unsound = |error: serde_saphyr::Error| {
        let misread = misreading(text, error.without_snippet(), "one patroni.yml");
        let spot = Spot { line: misread.place.line, column: misread.place.column };
        Flaw { spot, message: misread.message, help: misread.help }
    };
    let positions = Positions::read(text).map_err(unsound)?;
    let mut root: Value = serde_saphyr::from_str(text).map_err(unsound)?;
    without_nothing(&mut root);
    if !root.is_object() {
        return Err(Flaw::new(Spot { line: 1, column: 1 }, "a patroni.yml is a block of sections"));
    }
    Ok(Document { root, positions, text })
}

/// Takes away what has no value: Patroni reads a section without content as one that is not there.
fn without_nothing(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, inner| !inner.is_null());
        map.values_mut().for_each(without_nothing);
    }
}

fn read(text: &str, around: &Surroundings<'_>) -> Result<Reading, Vec<Flaw>> {
    let document = document(text).map_err(|flaw| vec![flaw])?;
    let mut flaws: Vec<Flaw> = FORMS.iter().filter_map(|(key, is_list)| misshapen(&document, key, *is_list)).collect();
    let mut reading = Reading::default();
    for &(section, kind) in DCS_SECTIONS.iter().filter(|(section, _)| document.at(&[section]).is_some()) {
        let there = around.dcs.map(crate::services::ServiceKind::name);
        if kind.is_some() && kind == there {
            let why = "its members are those of the topology, without TLS and accounts";
            let line = document.spot(&[section]).line;
            reading.overridden.push(Overridden { key: section.to_owned(), line, why });
        } else {
            let has = there.unwrap_or("no DCS");
            let message = format!("`{section}` is a DCS that is not in the topology, which has {has}");
            let meant = DCS_SECTIONS.iter().find(|(_, kind)| kind.is_some() && *kind == there);
            let flaw = Flaw::new(document.spot(&[section]), message);
            flaws.push(match (section, meant) {
                ("etcd", Some(("etcd3", _))) => {
                    flaw.help("`etcd` is version 2 of its API, which etcd 3.5 does not serve: write `etcd3`")
                }
                (_, Some((meant, _))) => flaw.help(format!("write `{meant}`, or give the topology that DCS")),
                (_, None) => flaw,
            });
        }
    }
    for &(key, why) in OWNED {
        let path = path_of(key);
        if document.at(&path).is_some() {
            reading.overridden.push(Overridden { key: key.to_owned(), line: document.spot(&path).line, why });
        }
    }
    reading.overridden.extend(further_overridden(&document, around));
    // What a node's own section says comes before what all of them share.
    for key in ["use_pg_rewind", "use_slots"] {
        if let Some(value) = document.at(&["postgresql", key]) {
            let spot = document.spot(&["postgresql", key]);
            further(&format!("postgresql.{key}"), value, spot, &mut reading, &mut flaws);
        }
    }
    for (name, text, spot) in parameters(&document, &OF_NODES, &mut reading.overridden, &mut flaws) {
        state(&mut reading, ["postgresql", "parameters", &name], json!(text), spot);
    }
    dynamic(&document, &mut reading, &mut flaws);
    reading.overridden.sort_by_key(|one| one.line);
    for (path, value) in DEFAULTS {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        if !reading.settings.iter().any(|stated| stated.path == path) {
            let spot = document.spot(&["bootstrap", "dcs"]);
            reading.settings.push(Stated { path, value: value(), spot, is_default: true });
        }
    }
    if flaws.is_empty() { Ok(reading) } else { Err(flaws) }
}

/// Keys that are set, left out or added to because of other parts of the topology, and why.
fn further_overridden(document: &Document<'_>, around: &Surroundings<'_>) -> Vec<Overridden> {
    let access = "rules for the agent on its host, for standbys and for clients of the run come before yours";
    let methods = "standbys begin with a data directory that is prepared, and come to yours after that";
    let first_of =
        |paths: &[&[&'static str]]| paths.iter().find(|path| document.at(path).is_some()).map(|path| path.to_vec());
    let mut told: Vec<(Vec<&str>, &'static str)> = Vec::new();
    told.extend(first_of(&ACCESS).map(|path| (path, access)));
    told.extend(first_of(&METHODS).map(|path| (path, methods)));
    if around.formats.contains(&postgresql_conf::FILE.name) {
        told.push((vec!["postgresql", "custom_conf"], "the topology names your `postgresql.conf`"));
    }
    if around.pools_are_repointed {
        told.push((vec!["postgresql", "callbacks"], "the agent points the pools to the new primary"));
    }
    // Of this section the DCS and access count, and accounts have a reason of their own.
    let bootstrap = document.at(&["bootstrap"]).and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let left_out = bootstrap.filter(|key| !["dcs", "pg_hba", "users"].contains(&key.as_str()));
    let prepared = "the first node starts from a data directory that is prepared";
    told.extend(left_out.map(|key| (vec!["bootstrap", key.as_str()], prepared)));
    let told = told.into_iter().filter(|(path, _)| document.at(path).is_some());
    told.map(|(path, why)| Overridden { key: path.join("."), line: document.spot(&path).line, why }).collect()
}

/// A value that has not the form which its key takes.
fn misshapen(document: &Document<'_>, key: &str, is_list: bool) -> Option<Flaw> {
    let path = path_of(key);
    let value = document.at(&path)?;
    let (is_so, form) = match is_list {
        true => (value.is_array(), "a list"),
        false => (value.is_object(), "a block of keys"),
    };
    (!is_so).then(|| Flaw::new(document.spot(&path), format!("`{key}` takes {form}")))
}

/// The parts of a key. A parameter with a dot in its name is one part.
fn path_of(key: &str) -> Vec<&str> {
    match key.strip_prefix("postgresql.parameters.") {
        Some(name) => vec!["postgresql", "parameters", name],
        None => key.split('.').collect(),
    }
}

/// What `bootstrap.dcs` states.
fn dynamic(document: &Document<'_>, reading: &mut Reading, flaws: &mut Vec<Flaw>) {
    let Some(Value::Object(dcs)) = document.at(&["bootstrap", "dcs"]) else { return };
    for (key, value) in dcs {
        let spot = document.spot(&["bootstrap", "dcs", key]);
        let setting = SETTINGS.iter().find(|(known, _, _)| known == key);
        match (setting, value) {
            (Some((_, field, is_flag)), value) => {
                match plain(value, *is_flag) {
                    Some(value) => {
                        let path = vec!["patroni".to_owned(), (*field).to_owned()];
                        reading.settings.push(Stated { path, value, spot, is_default: false });
                    }
                    None if key == "synchronous_mode" && value == "quorum" => {
                        let flaw = Flaw::new(spot, "quorum commit can't be drilled from a file");
                        flaws.push(flaw.help("write `true` here, and have an operator set `synchronous_mode` to `quorum` in the scenario"));
                    }
                    None => {
                        let takes = if *is_flag { "true or false" } else { "a whole number" };
                        flaws.push(Flaw::new(spot, format!("`{key}` takes {takes}")));
                    }
                }
            }
            // The name before Patroni 3; `pause` is off without a word.
            (None, value) if key == "master_stop_timeout" => {
                further("primary_stop_timeout", value, spot, reading, flaws)
            }
            (None, Value::Bool(false)) if key == "pause" => {}
            (None, Value::Object(parts)) if key == "postgresql" => {
                let above = ["bootstrap", "dcs", "postgresql", "parameters"];
                for (name, text, spot) in parameters(document, &above, &mut reading.overridden, flaws) {
                    state(reading, ["postgresql", "parameters", &name], json!(text), spot);
                }
                // Access, and how a standby gets its data, are each node's own file to say; ours comes before it.
                let methods = METHODS.iter().find_map(|path| document.at(path)).into_iter().flat_map(names);
                let of_nodes = ["parameters", "pg_hba", "create_replica_methods", "create_replica_method"];
                let of_nodes: Vec<&str> = of_nodes.into_iter().chain(methods).collect();
                for (name, value) in parts.iter().filter(|(name, _)| !of_nodes.contains(&name.as_str())) {
                    let spot = document.spot(&["bootstrap", "dcs", "postgresql", name]);
                    further(&format!("postgresql.{name}"), value, spot, reading, flaws);
                }
            }
            (None, value) => further(key, value, spot, reading, flaws),
        }
    }
}

/// A value as a setting has it, where Patroni reads it so: also `30` in quotes, and `on`.
fn plain(value: &Value, is_flag: bool) -> Option<Value> {
    let text = match value {
        Value::String(text) => text.trim().to_lowercase(),
        other => other.to_string(),
    };
    match text.as_str() {
        "true" | "on" | "yes" | "1" if is_flag => Some(json!(true)),
        "false" | "off" | "no" | "0" if is_flag => Some(json!(false)),
        number if !is_flag => number.parse::<u64>().ok().map(|number| json!(number)),
        _ => None,
    }
}

/// A key that has no setting of its own.
fn further(key: &str, value: &Value, spot: Spot, reading: &mut Reading, flaws: &mut Vec<Flaw>) {
    match Change::from_the_start(key, value) {
        Ok(_) => state(reading, ["patroni", "dynamic", key], value.clone(), spot),
        Err(problem) => flaws.push(Flaw::new(spot, problem.to_string()).help(problem.help())),
    }
}

/// A setting of the topology; what was stated before counts.
fn state(reading: &mut Reading, path: [&str; 3], value: Value, spot: Spot) {
    let path: Vec<String> = path.map(str::to_owned).into();
    if !reading.settings.iter().any(|stated| stated.path == path) {
        reading.settings.push(Stated { path, value, spot, is_default: false });
    }
}

/// Each parameter of PostgreSQL in a block: its name, its text and where it stands.
fn parameters(
    document: &Document<'_>,
    above: &[&str],
    overridden: &mut Vec<Overridden>,
    flaws: &mut Vec<Flaw>,
) -> Vec<(String, String, Spot)> {
    let mut read = Vec::new();
    let Some(Value::Object(block)) = document.at(above) else { return read };
    for (name, value) in block {
        let path: Vec<&str> = above.iter().copied().chain([name.as_str()]).collect();
        let spot = document.spot(&path);
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) => written(document, spot).unwrap_or_else(|| value.to_string()),
            Value::Bool(flag) => (if *flag { "on" } else { "off" }).to_owned(),
            _ => {
                flaws.push(Flaw::new(spot, format!("`{name}` takes a single value")));
                continue;
            }
        };
        let (today, text) = match postgresql_conf::of_today(name, &text) {
            Some((today, text)) => (today, text),
            None => (name.as_str(), text),
        };
        let is_twice = today != name && block.contains_key(today);
        let is_of_all = above == OF_NODES && postgresql_conf::OF_ALL.contains(&today.to_lowercase().as_str());
        if is_twice || is_of_all {
            let why =
                if is_of_all { postgresql_conf::BY_DYNAMIC } else { "its name of today is there, too, and counts" };
            overridden.push(Overridden { key: path.join("."), line: spot.line, why });
            continue;
        }
        let owned = postgresql_conf::OWNED.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        if let Some((_, why)) = owned.filter(|(known, _)| *known != "unix_socket_directories") {
            overridden.push(Overridden { key: path.join("."), line: spot.line, why });
            continue;
        }
        match postgresql::check_for_any(today, &text) {
            // PostgreSQL knows a name in any case.
            Ok(()) => {
                read.push((if today.contains('.') { today.to_owned() } else { today.to_lowercase() }, text, spot))
            }
            Err(postgresql::ParameterProblem::Owned { .. }) => {
                let key = path.join(".");
                // Those with a reason of their own are listed with it.
                if !OWNED.iter().any(|(known, _)| *known == key) {
                    overridden.push(Overridden { key, line: spot.line, why: postgresql_conf::BY_PATRONI });
                }
            }
            Err(problem) => flaws.push(Flaw::new(spot, problem.to_string()).help(problem.help())),
        }
    }
    read
}

/// A number as the file has it: `1e3` must reach PostgreSQL as it was written.
fn written(document: &Document<'_>, spot: Spot) -> Option<String> {
    let line = document.text.lines().nth(spot.line - 1)?;
    let value = line.split_once(':')?.1.split(" #").next()?.trim().trim_end_matches(['}', ',']).trim();
    value.parse::<f64>().is_ok().then(|| value.to_owned())
}

/// The team's file, with the harness's keys as they are rendered.
fn put(text: &str, _site: &Site<'_>, rendered: &mut Rendered) {
    let Some(file) = rendered_file(rendered, CONFIGURATION) else { return };
    let (Ok(document), Ok(ours)) = (document(text), serde_saphyr::from_str::<Value>(file)) else { return };
    let mut theirs = document.root;
    for (section, _) in DCS_SECTIONS {
        replace(&mut theirs, &ours, &[section]);
    }
    let access = access(&theirs, &ours);
    let usual = json!(["basebackup"]);
    let methods = METHODS.iter().find_map(|path| found(&theirs, path)).unwrap_or(&usual);
    let methods = joined(Some(&json!(["prepared"])), Some(methods));
    let of_all = found(&theirs, &["bootstrap", "dcs", "postgresql"]).cloned().unwrap_or_default();
    // It is read into the settings, and from there it comes into the DCS.
    replace(&mut theirs, &ours, &["bootstrap"]);
    for (key, _) in OWNED {
        replace(&mut theirs, &ours, &path_of(key));
    }
    if !theirs["postgresql"].is_object() {
        theirs["postgresql"] = json!({});
    }
    // They are among the settings, from which they come into the dynamic configuration.
    theirs["postgresql"]["parameters"] = found(&ours, &["postgresql", "parameters"]).cloned().unwrap_or_default();
    theirs["postgresql"]["pg_hba"] = access;
    for method in names(&methods) {
        if let (None, Some(how)) = (theirs["postgresql"].get(method), of_all.get(method)) {
            theirs["postgresql"][method] = how.clone();
        }
    }
    theirs["postgresql"]["create_replica_methods"] = methods;
    let callbacks = ["postgresql", "callbacks"];
    if found(&ours, &callbacks).is_some() {
        replace(&mut theirs, &ours, &callbacks);
    }
    *file = serde_saphyr::to_string(&theirs).unwrap_or_else(|_| theirs.to_string());
}

/// Where a file may say who may connect; the first that does counts.
const ACCESS: [&[&str]; 3] =
    [&["postgresql", "pg_hba"], &["bootstrap", "dcs", "postgresql", "pg_hba"], &["bootstrap", "pg_hba"]];

/// Where a file may say how a standby gets its data: the name of today, and that of before; what a node says itself counts first.
const METHODS: [&[&str]; 4] = [
    &["postgresql", "create_replica_methods"],
    &["postgresql", "create_replica_method"],
    &["bootstrap", "dcs", "postgresql", "create_replica_methods"],
    &["bootstrap", "dcs", "postgresql", "create_replica_method"],
];

/// The words of a list.
fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Who may connect: what the run cannot do without, and the team's rules after that. Whether nodes may rewind from each other, as
/// any other access, is for the team's rules to say.
fn access(theirs: &Value, ours: &Value) -> Value {
    match ACCESS.iter().find_map(|path| found(theirs, path)) {
        Some(rules) => joined(Some(&json!(server::OWN_ACCESS)), Some(rules)),
        None => joined(found(ours, &["postgresql", "pg_hba"]), None),
    }
}

/// Two lists after each other, each item once.
fn joined(first: Option<&Value>, second: Option<&Value>) -> Value {
    let items = [first, second].into_iter().flatten().filter_map(Value::as_array).flatten();
    let mut all: Vec<Value> = Vec::new();
    items.for_each(|item| {
        if !all.contains(item) {
            all.push(item.clone());
        }
    });
    Value::Array(all)
}

fn found<'a>(root: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(root, |outer, part| outer.get(part))
}

/// Sets what is at a path to what another document has there, or takes it away.
fn replace(theirs: &mut Value, ours: &Value, path: &[&str]) {
    let (Some((last, above)), wanted) = (path.split_last(), found(ours, path)) else { return };
    let mut outer = theirs;
    for part in above {
        let Value::Object(map) = outer else { return };
        if wanted.is_none() && !map.contains_key(*part) {
            return;
        }
        outer = map.entry((*part).to_owned()).or_insert_with(|| Value::Object(Map::new()));
    }
    let Value::Object(map) = outer else { return };
    match wanted {
        Some(value) => drop(map.insert((*last).to_owned(), value.clone())),
        None => drop(map.remove(*last)),
    }
}

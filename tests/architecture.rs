//! Holds the map of ARCHITECTURE.md against the code: who may use whom, how long a file may be, and what the judging half
//! expects of the acting half, which it can't see.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use pgquake::{
    checks::{self, course::watchers},
    faults, observers, verdict,
};

/// Each module with what it may use. `*` is everything; nobody may use a module that uses everything.
const MAY_USE: &[(&str, &[&str])] = &[
    ("http", &[]),
    ("suggestion", &[]),
    ("waiting", &[]),
    ("quantity", &[]),
    ("credentials", &[]),
    ("yaml", &["suggestion"]),
    ("trust", &["credentials"]),
    ("s3", &["http", "trust"]),
    ("schema", &[]),
    ("statistics", &[]),
    ("history", &["schema", "statistics"]),
    ("claims", &["history", "suggestion", "yaml"]),
    ("span", &[]),
    ("services", &["credentials", "span", "suggestion", "yaml"]),
    ("topology", &["claims", "services", "suggestion", "yaml"]),
    ("plan", &["schema", "services", "span", "topology"]),
    ("engine", &["services"]),
    ("secrets", &["credentials", "plan", "topology"]),
    ("links", &["plan"]),
    ("dcs", &["http", "services", "trust"]),
    ("names", &[]),
    (
        "system",
        &[
            "credentials",
            "dcs",
            "engine",
            "http",
            "links",
            "names",
            "plan",
            "s3",
            "secrets",
            "services",
            "topology",
            "trust",
            "waiting",
        ],
    ),
    ("compose", &["credentials", "engine", "plan", "services", "topology"]),
    (
        "faults",
        &[
            "engine",
            "history",
            "links",
            "plan",
            "quantity",
            "s3",
            "services",
            "suggestion",
            "system",
            "topology",
            "waiting",
        ],
    ),
    ("workload", &["history", "http", "plan", "services", "system", "topology", "trust", "waiting"]),
    ("observers", &["dcs", "engine", "history", "http", "names", "plan", "s3", "services", "system", "topology"]),
    ("checks", &["history", "plan", "quantity", "schema", "services", "topology"]),
    ("verdict", &["checks", "claims", "history", "plan", "quantity", "statistics", "topology"]),
    ("report", &["checks", "claims", "history", "plan", "quantity", "statistics", "topology", "verdict"]),
    ("saved", &["checks", "claims", "history", "plan", "report", "schema", "verdict"]),
    ("predict", &["checks", "claims", "history", "plan", "quantity", "report", "span", "verdict"]),
    ("compare", &["checks", "history", "plan", "quantity", "verdict"]),
    (
        "certificate",
        &[
            "checks",
            "claims",
            "compare",
            "history",
            "plan",
            "report",
            "saved",
            "suggestion",
            "topology",
            "verdict",
            "yaml",
        ],
    ),
    ("signatures", &[]),
    (
        "drill",
        &[
            "checks",
            "claims",
            "engine",
            "faults",
            "history",
            "observers",
            "plan",
            "services",
            "system",
            "topology",
            "waiting",
            "workload",
        ],
    ),
    ("steps", &["*"]),
    ("run", &["*"]),
    ("cli", &["*"]),
];

/// Each plane of faults with the planes that its files may use; what all of them share stands above them.
const PLANES: &[(&str, &[&str])] = &[
    ("certificate", &[]),
    ("storage", &["certificate"]),
    ("link", &[]),
    ("network", &[]),
    ("process", &[]),
    ("clock", &["process"]),
    ("host", &["network", "process"]),
    ("container", &["host", "process"]),
    ("disk", &["host"]),
    ("operator", &["host", "process"]),
    ("data", &["operator", "process"]),
    ("starvation", &["operator", "process"]),
];

/// A file that grows longer is cut in two before the next change.
const LONGEST_FILE: usize = 520;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The module at the top of its half that a file belongs to.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix("src/judge").or_else(|_| path.strip_prefix("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules at the top that a text names after `crate::`, also in a `use crate::{…}` list.
fn used_by(text: &str) -> BTreeSet<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => used.extend(heads(list)),
            None => used.extend(word(rest)),
        }
    }
    used
}

/// The first word of each element of a list, up to its closing brace.
fn heads(list: &str) -> BTreeSet<String> {
    let mut heads = BTreeSet::new();
    let mut depth = 0;
    let mut at_head = true;
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_head = true,
            _ if at_head && letter.is_alphabetic() => {
                heads.extend(word(&list[at..]));
                at_head = false;
            }
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    (!word.is_empty()).then_some(word)
}

#[test]
fn imports_follow_the_flow() {
    let rules: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut broken = Vec::new();
    for path in sources(Path::new("src")) {
        let module = module_of(&path);
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let Some(allowed) = rules.get(module.as_str()) else {
            broken.push(format!("{}: the module `{module}` has no rule here", path.display()));
            continue;
        };
        for used in used_by(&fs::read_to_string(&path).unwrap()) {
            let fine = used == module || allowed.contains(&"*") || allowed.contains(&used.as_str());
            if rules.contains_key(used.as_str()) && !fine {
                broken.push(format!("{}: `{module}` may not use `{used}`", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_rules_have_no_circle_and_nobody_uses_the_orchestrators() {
    for rules in [MAY_USE, PLANES] {
        let mut seen = BTreeSet::new();
        for (module, allowed) in rules {
            for used in *allowed {
                assert!(*used == "*" || seen.contains(used), "`{module}` may use `{used}`, which comes after it");
            }
            seen.insert(*module);
        }
    }
}

/// Whether a text has a path through this module: `process::signal`, `super::network::probe`.
fn goes_through(text: &str, module: &str) -> bool {
    let inside = format!("{module}::");
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).any(|code| {
        code.match_indices(&inside).any(|(at, _)| {
            let before = &code[..at];
            before.ends_with("faults::")
                || before.ends_with("checks::")
                || before.ends_with("super::")
                || !before.ends_with(|letter: char| letter.is_alphanumeric() || "_:".contains(letter))
        })
    })
}

#[test]
fn planes_of_faults_use_one_another_without_a_circle() {
    let folders: BTreeSet<String> = fs::read_dir("src/faults")
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir() && entry.file_name() != "injector")
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert_eq!(folders, PLANES.iter().map(|(plane, _)| (*plane).to_owned()).collect(), "every plane has a row");
    let mut broken = Vec::new();
    for (plane, allowed) in PLANES {
        for file in sources(&Path::new("src/faults").join(plane)) {
            let text = fs::read_to_string(&file).unwrap();
            for (other, _) in PLANES.iter().filter(|(other, _)| other != plane && !allowed.contains(other)) {
                if goes_through(&text, other) {
                    broken.push(format!("{}: `{plane}` may not use `{other}`", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_the_engine_and_the_docker_observer_know_docker() {
    for path in sources(Path::new("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let within = path.starts_with("src/engine") || path.ends_with("docker_events.rs");
        assert!(within || !text.contains("bollard::"), "{} uses bollard", path.display());
        assert!(path.starts_with("src/engine") || !text.contains("testcontainers::"), "{}", path.display());
    }
}

#[test]
fn only_the_file_of_a_dcs_knows_its_client_library() {
    for path in sources(Path::new("src")) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(path.starts_with("src/dcs") || !text.contains("etcd_client"), "{} uses etcd_client", path.display());
    }
}

#[test]
fn the_judging_half_has_no_clock_and_no_randomness() {
    // What its dependencies can't bring in: the crate has none that knows of networks, Docker or randomness.
    for module in ["src/judge"] {
        for file in sources(Path::new(module)) {
            let text = fs::read_to_string(&file).unwrap();
            let judged = text.split("#[cfg(test)]").next().unwrap();
            for word in ["Instant::now", "SystemTime", "std::net", "Timestamp::now"] {
                assert!(!judged.contains(word), "{} uses {word}", file.display());
            }
        }
    }
    // Only the files of a run, of topologies and of reports are read or written.
    for module in
        ["src/judge/checks", "src/judge/compare", "src/judge/plan.rs", "src/judge/verdict.rs", "src/judge/verdict"]
    {
        let path = Path::new(module);
        let files = if path.is_dir() { sources(path) } else { vec![path.to_owned()] };
        for file in files.into_iter().filter(|file| file.exists()) {
            let text = fs::read_to_string(&file).unwrap();
            let judged = text.split("#[cfg(test)]").next().unwrap();
            assert!(!judged.contains("std::fs"), "{} uses files", file.display());
        }
    }
}

#[test]
fn what_checks_share_knows_no_check() {
    let checks: Vec<String> = fs::read_dir("src/judge/checks")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("mod.rs") && !path.ends_with("finding.rs"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert!(checks.contains(&"recovery_time".to_owned()), "{checks:?}");
    for file in sources(Path::new("src/judge/checks/course")) {
        let text = fs::read_to_string(&file).unwrap();
        let known: Vec<_> = checks.iter().filter(|check| goes_through(&text, check)).collect();
        assert!(known.is_empty(), "{} uses {known:?}", file.display());
    }
}

#[test]
fn files_stay_short_enough_to_read() {
    for path in sources(Path::new("src")) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines; cut it in two", path.display());
    }
}

#[test]
fn the_reader_of_imports_reads_lists_and_paths() {
    let text = "use crate::{\n    system::{System, Session},\n    topology,\n};\nfn x() -> crate::plan::Plan {}\n// crate::run::x";
    let used: Vec<String> = used_by(text).into_iter().collect();
    assert_eq!(used, ["plan", "system", "topology"]);
}

#[test]
fn the_judging_half_expects_the_observers_that_run() {
    let run: Vec<_> = observers::ALL.iter().map(|observer| observer.name).collect();
    let expected: Vec<_> = watchers::ALL.iter().map(|watcher| watcher.observer).collect();
    assert_eq!(run, expected);
}

#[test]
fn the_fault_that_claims_on_members_name_exists() {
    let of_checks = [checks::dcs_repair::MEMBER_LOST];
    let of_the_verdict = [verdict::DISK_FULL, verdict::MEMBER_REMOVED, verdict::PAGE_CORRUPTED, verdict::REINITIALIZE];
    for known in of_the_verdict.into_iter().chain(of_checks) {
        assert!(faults::ALL.iter().any(|kind| kind.name == known), "no fault is called {known}");
    }
}

/// The witness is a workspace of its own, so nothing else notices that its lock file lacks a dependency of pgquake's, until the
/// witness in `.ci/nightly` does.
#[test]
fn the_lock_file_of_the_witness_knows_every_dependency() {
    let lock = fs::read_to_string("tests/witness/Cargo.lock").unwrap();
    for (package, manifest) in [("pgquake", "Cargo.toml"), ("pgquake-judge", "src/judge/Cargo.toml")] {
        let (_, locked) = lock.split_once(&format!("name = \"{package}\"\n")).unwrap();
        let locked = locked.split("\n\n").next().unwrap();
        let manifest = fs::read_to_string(manifest).unwrap();
        let (_, dependencies) = manifest.split_once("[dependencies]\n").unwrap();
        let names =
            dependencies.lines().take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once(" ="));
        for (name, _) in names {
            let is_there = [format!("\"{name}\""), format!("\"{name} ")].iter().any(|own| locked.contains(own));
            assert!(is_there, "tests/witness/Cargo.lock lacks {name} of {package}: run `cargo check` in tests/witness");
        }
    }
}

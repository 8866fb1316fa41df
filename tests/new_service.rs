//! What CONTRIBUTING says of a service is true: a file, a line of the table and an image are enough for a topology to place
//! it, twice on one host with settings of their own, and for its Compose file to run it. A copy of the project gets a
//! made-up service; no other file of it is touched.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The file of the service: step 1.
const FILE: &str = r#"//! Echo: answers with what it is sent, behind a greeting.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Broken, Clock, Instances, Port, Process, Recipe, Rendered, Role, Service, ServiceKind, Settings, Site, Starts, context,
};
use crate::credentials::Credentials;

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Echo,
    summary: "answers with what it is sent",
    placed_by_topologies: true,
    image: Recipe { name: "echo", files: context!("echo": "Dockerfile"), pulled: None, on: None, packages: &[], build_rank: 1 },
    ports: &[Port::watched(7007, "clients").set_by("port", |settings| settings.echo.port)],
    processes: &[Process::main("echo", "^/usr/bin/socat ")],
    storage: None,
    capabilities: &[],
    clock: Clock::Kernel("the clock of echo is not prepared"),
    starts: Starts::AtOnce,
    stop_rank: 50,
    health: Some(|| ["CMD", "true"].map(str::to_owned).into()),
    role: Role::None,
    formats: &[],
    variables: &[],
    instances: Instances::Several,
    rules,
    render,
};

/// What it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EchoSettings {
    pub port: u16,
    pub greeting: String,
}

impl Default for EchoSettings {
    fn default() -> Self {
        Self { port: 7007, greeting: "hello".to_owned() }
    }
}

fn rules(settings: &Settings, _nodes: usize) -> Vec<Broken> {
    let silent = settings.echo.greeting.is_empty();
    silent.then(|| Broken::new(["echo", "greeting"], "the greeting is empty".to_owned())).into_iter().collect()
}

fn render(site: &Site<'_>, _credentials: &Credentials) -> Rendered {
    let echo = &site.settings.echo;
    Rendered {
        command: vec![format!("TCP-LISTEN:{},fork", echo.port)],
        files: vec![("/etc/echo/greeting".to_owned(), echo.greeting.clone())],
        ..Rendered::default()
    }
}
"#;

/// Its line of the table: step 2.
const ROW: &str = "    /// Answers with what it is sent.\n    Echo: echo { echo: EchoSettings }\n";
/// What the table begins and ends with; the line stands before its end.
const TABLE: (&str, &str) = ("\nservices! {\n", "\n}\n");

/// Its image: step 3.
const DOCKERFILE: &str = "ARG BASE\nFROM ${BASE}\nENTRYPOINT [\"/usr/bin/socat\"]\n";

/// A topology that has it: step 5.
const TOPOLOGY: &str = "\
name: echoes
description: a node, and two services that echo
follows: nothing
regions:
  - name: main
    hosts:
      - { name: node1, services: [etcd, patroni] }
      - name: echoes
        services:
          - echo: { name: loud, settings: { greeting: HELLO } }
          - echo: { name: quiet, settings: { port: 7008 } }
endpoints:
  write: { host: node1, port: 5432 }
settings:
  echo: { greeting: psst }
";

/// What is asked of the copy: the Compose file of a topology, or what is wrong with it.
const PROGRAM: &str = r#"
fn main() {
    let file = std::env::args().nth(1).expect("a file");
    match pgquake::topology::load(&file, &[]) {
        Ok(topology) => {
            let plan = pgquake::plan::Plan::new(topology);
            print!("{}", pgquake::compose::compose(&plan).expect("it can be written"));
        }
        Err(error) => print!("{error}"),
    }
}
"#;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy(&entry.path(), &target),
            false => _ = fs::copy(entry.path(), target).expect("a copy"),
        }
    }
}

/// The project with the service added.
fn project_with_the_service(folder: &Path) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    for part in ["src", "images", "topologies", "examples", "tests", "benches"] {
        copy(&project.join(part), &folder.join(part));
    }
    for file in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(project.join(file), folder.join(file)).expect("a copy");
    }
    fs::write(folder.join("src/judge/services/echo.rs"), FILE).expect("written");
    let table = folder.join("src/judge/services/mod.rs");
    let text = fs::read_to_string(&table).expect("the table");
    let begin = text.find(TABLE.0).expect("the table's beginning");
    let end = begin + text[begin..].find(TABLE.1).expect("the table's end") + 1;
    let with_row = format!("{}{ROW}{}", &text[..end], &text[end..]);
    // The module is declared in the file of the table.
    fs::write(&table, with_row.replace("pub mod etcd;", "pub mod echo;\npub mod etcd;")).expect("written");
    fs::create_dir_all(folder.join("images/echo")).expect("a folder");
    fs::write(folder.join("images/echo/Dockerfile"), DOCKERFILE).expect("written");
    fs::write(folder.join("examples/added_service.rs"), PROGRAM).expect("written");
}

/// Runs the program of the copy on a topology, with the dependencies that are built already.
fn ask(folder: &Path, topology: &str) -> String {
    let file = folder.join("echoes.yaml");
    fs::write(&file, topology).expect("written");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("..");
    cargo.current_dir(folder).args(["run", "--quiet", "--offline", "--locked", "--example", "added_service"]);
    let output = cargo.arg("--target-dir").arg(target).arg("--").arg(&file).output().expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
#[ignore = "it builds the project once more, for 2 minutes; .ci/nightly runs this"]
fn a_service_is_a_file_a_line_and_an_image() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    project_with_the_service(folder.path());

    let written = ask(folder.path(), TOPOLOGY);
    let file: serde_json::Value = serde_saphyr::from_str(&written).expect("it is YAML");
    for (name, command, greeting) in
        [("loud", "TCP-LISTEN:7007,fork", "HELLO"), ("quiet", "TCP-LISTEN:7008,fork", "psst")]
    {
        let service = &file["services"][format!("echoes.{name}")];
        assert_eq!(service["command"], serde_json::json!([command]), "{written}");
        assert_eq!(service["build"]["context"], "images/echo");
        assert_eq!(file["configs"][format!("echoes.{name}.greeting")]["content"], greeting);
    }
    assert!(written.contains("echoes echo quiet: clients"), "its port is published: {written}");

    let clash = ask(folder.path(), &TOPOLOGY.replace("{ port: 7008 }", "{ port: 7007 }"));
    assert!(
        clash.contains("port 7007 of the host `echoes` is taken by echo loud (clients) and by echo quiet"),
        "{clash}"
    );
    let silent = ask(folder.path(), &TOPOLOGY.replace("HELLO", "''"));
    assert!(silent.contains("echoes.yaml:10:55: the greeting is empty"), "{silent}");
}

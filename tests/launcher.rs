//! The launcher `./pgquake`, with stand-ins for Docker and Cargo: what it asks for, what it passes on, how it ends.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What the launcher needs of any system; nothing else is on its PATH, so that nothing real is found by chance.
const SYSTEM: &[&str] = &[
    "cat", "cut", "dirname", "find", "grep", "head", "mkdir", "mv", "readlink", "rm", "sed", "sleep", "tail", "touch",
];

/// A project of nothing but the launcher and a manifest, and a PATH of its own.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    /// An engine answers, Cargo builds, protoc and a compiler are there; the user is not root.
    fn complete() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(machine.path("bin")).unwrap();
        fs::create_dir_all(machine.path("project/src")).unwrap();
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("pgquake"), machine.path("project/pgquake")).unwrap();
        fs::write(machine.path("project/Cargo.toml"), "[package]\nrust-version = \"1.89\"\n").unwrap();
        for tool in SYSTEM {
            let found =
                ["/usr/bin", "/bin"].iter().map(|folder| Path::new(folder).join(tool)).find(|path| path.exists());
            symlink(found.unwrap_or_else(|| panic!("no {tool}")), machine.path("bin").join(tool)).unwrap();
        }
        machine.tool("docker", "echo 28.0");
        machine.tool("cc", "");
        machine.tool("protoc", "");
        machine.tool("id", "echo 1000");
        machine.script("binary", "echo \"binary $$:$*\"; exit ${EXIT:-0}");
        let message = format!(r#"{{"target":{{"kind":["bin"]}},"executable":"{}"}}"#, machine.path("binary").display());
        machine.tool(
            "cargo",
            &format!("case $1 in --version) echo 'cargo 1.95.0 (x)' ;; build) echo '{message}'; echo built >&2 ;; *) echo \"cargo $*\" ;; esac"),
        );
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn tool(&self, name: &str, body: &str) {
        self.script(&format!("bin/{name}"), body);
    }

    fn script(&self, path: &str, body: &str) {
        fs::write(self.path(path), format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn without(self, tool: &str) -> Self {
        fs::remove_file(self.path("bin").join(tool)).unwrap();
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg(self.path("project/pgquake")).args(arguments).env_clear();
        command.env("PATH", self.path("bin")).env("HOME", self.path("home"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn it_builds_once_and_then_says_nothing_of_its_own() {
    let machine = Machine::complete();
    let first = machine.run(&["list", "faults"]);
    assert!(stdout(&first).ends_with(":list faults\n"), "{first:?}");
    assert_eq!(stderr(&first), "built\n");
    let second = machine.run(&["run", "--tags", "a b"]);
    assert!(stdout(&second).ends_with(":run --tags a b\n"), "{second:?}");
    assert_eq!(stderr(&second), "");
    assert!(machine.path("project/target").is_dir());
}

#[test]
fn an_edit_is_built_and_a_failed_build_ends_with_3() {
    let machine = Machine::complete();
    assert!(machine.run(&["list"]).status.success());
    machine.tool("cargo", "case $1 in --version) echo 'cargo 1.95.0' ;; *) echo 'error: no' >&2; exit 101 ;; esac");
    assert!(machine.run(&["list"]).status.success(), "nothing was edited");
    let edited = fs::File::create(machine.path("project/src/main.rs")).unwrap();
    edited.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(2)).unwrap();
    let output = machine.run(&["list"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("failed to build"), "{output:?}");
}

#[test]
fn without_arguments_it_shows_the_help() {
    assert!(stdout(&Machine::complete().run(&[])).ends_with(":--help\n"));
}

#[test]
fn the_binarys_exit_code_and_process_are_the_launchers() {
    let machine = Machine::complete();
    let child = machine.command(&["run"]).env("EXIT", "7").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let process = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    // The same process: a signal sent to the launcher is one to the binary.
    assert!(stdout(&output).starts_with(&format!("binary {process}:")), "{output:?}");
}

#[test]
fn test_is_cargo_test() {
    let machine = Machine::complete();
    let manifest = fs::canonicalize(machine.path("project")).unwrap().join("Cargo.toml");
    let output = machine.run(&["test", "--lib", "checks::"]);
    assert_eq!(stdout(&output), format!("cargo test --manifest-path {} --lib checks::\n", manifest.display()));
}

#[test]
fn a_link_to_it_finds_the_project() {
    let machine = Machine::complete();
    symlink("../project/pgquake", machine.path("bin/pgquake")).unwrap();
    let output = Command::new("/bin/sh")
        .arg(machine.path("bin/pgquake"))
        .arg("list")
        .env_clear()
        .env("PATH", machine.path("bin"))
        .output()
        .unwrap();
    assert!(stdout(&output).ends_with(":list\n"), "{output:?}");
}

#[test]
fn who_may_not_install_is_told_what_to_install() {
    let no_engine = Machine::complete();
    no_engine.tool("docker", "exit 1");
    for (machine, arguments, words) in [
        (no_engine, ["run"], ["pgquake: no ", "docker"]),
        (Machine::complete().without("cargo"), ["list"], ["Rust 1.89", "rustup.rs"]),
        (Machine::complete().without("protoc"), ["list"], ["protobuf-compiler", "libprotobuf-dev"]),
        (Machine::complete().without("cc"), ["test"], ["gcc", "C compiler"]),
    ] {
        let output = machine.run(&arguments);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert!(words.iter().all(|word| stderr(&output).contains(word)), "{output:?}");
    }
}

#[test]
fn a_rust_that_is_too_old_is_named() {
    let machine = Machine::complete();
    machine.tool("cargo", "echo 'cargo 1.85.0 (x)'");
    let output = machine.run(&["list"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("cargo 1.85.0 is not enough"), "{output:?}");
}

#[test]
fn an_engine_elsewhere_that_is_silent_is_named() {
    let machine = Machine::complete();
    machine.tool("docker", "exit 1");
    let output = machine.command(&["up", "x"]).env("DOCKER_HOST", "tcp://127.0.0.1:1").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("DOCKER_HOST=tcp://127.0.0.1:1"), "{output:?}");
    // What needs no engine works without one.
    assert!(machine.command(&["list"]).env("DOCKER_HOST", "tcp://127.0.0.1:1").output().unwrap().status.success());
}

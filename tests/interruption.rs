//! Runs that end early, on real containers: by a signal, by SIGKILL, by a full disk, by a port that is taken, by the loss
//! of what a drill stands on. What was recorded stays, no container is left, and a run beside it goes on.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Shutdown, TcpListener},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use pgquake::{
    engine::{Engine, leftovers::Sweep},
    history::{Occurrence, read_history},
};

const FEATURE: &str = "Feature: Interrupted\n  @default\n  Scenario: One\n    Given the topology \"single-region-fast\"\n    \
                       When the host of the primary dies\n    And clients can write again\n";

/// The same, and does not end by itself while another run starts beside it.
const LONG: &str = "Feature: Interrupted\n  @default\n  Scenario: One\n    Given the topology \"single-region-fast\"\n    \
                    When the host of the primary dies\n    And 90 s to 100 s have passed\n";

/// Faults of every plane that a killed harness leaves on: packets that are dropped, a process that stands still, and a
/// disk on which every write hangs.
const BROKEN: &str = "Feature: Killed\n  @default\n  Scenario: Two\n    Given the topology \"single-region-fast\"\n    \
                      And the disks can fail\n    And the links between the nodes are shaped\n    \
                      And 1 clients writing 10 rows per second each\n    \
                      When a standby is partitioned from the rest\n    And the Patroni agent on node3 freezes\n    \
                      And the data volume of the primary stalls\n    And 90 s to 100 s have passed\n";

/// One test at a time: each starts systems of its own.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a step of a run may take before the test says what did not come.
const WITHIN: Duration = Duration::from_secs(120);

struct Run {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Run {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_with(folder, arguments, &[])
    }

    fn start_with(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pgquake"))
            .arg("run")
            .args(arguments)
            .current_dir(folder)
            .env("NO_COLOR", "1")
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (heard, stderr) = (said.clone(), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut heard = heard.lock().unwrap();
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        Self { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until the run has said something.
    #[track_caller]
    fn wait_for(&mut self, what: &str) {
        let begun = Instant::now();
        while !self.said().contains(what) {
            assert!(begun.elapsed() < WITHIN, "`{what}` did not come; the run said:\n{}", self.said());
            assert!(self.child.try_wait().unwrap().is_none(), "the run ended before `{what}`:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end and returns the exit code, `None` after a kill.
    #[track_caller]
    fn end(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < WITHIN, "the run did not end; it said:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn project(feature: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("features")).unwrap();
    fs::write(folder.path().join("features/own.feature"), feature).unwrap();
    folder
}

/// The folder of the only run in a project.
fn run_folder(project: &Path) -> PathBuf {
    let mut runs = fs::read_dir(project.join("reports")).unwrap().map(|entry| entry.unwrap().path());
    let run = runs.next().unwrap();
    assert!(runs.next().is_none());
    run
}

fn run_id(project: &Path) -> String {
    run_folder(project).file_name().unwrap().to_string_lossy().into_owned()
}

fn containers(run: &str) -> usize {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let engine = Engine::connect().await.unwrap();
        engine.containers(Sweep::Run(run)).await.unwrap().len()
    })
}

#[test]
fn a_run_that_ends_early_leaves_its_evidence_and_nothing_else_and_spares_the_run_beside_it() {
    let _alone = alone();
    let (interrupted, killed) = (project(LONG), project(LONG));
    let mut first = Run::start(interrupted.path(), &[]);
    let mut second = Run::start(killed.path(), &[]);
    first.wait_for("steady");
    second.wait_for("steady");

    first.signal("INT");
    assert_eq!(first.end(), Some(3), "{}", first.said());
    assert_eq!(containers(&run_id(interrupted.path())), 0);
    let folder = run_folder(interrupted.path());
    let events = read_history(&folder.join("history.jsonl")).unwrap();
    let said = events
        .iter()
        .any(|event| matches!(&event.what, Occurrence::RunEnded { interrupted: Some(why) } if why.contains("SIGINT")));
    let last = events.last();
    assert!(said, "the history ends with {last:?}; the run said:\n{}", first.said());
    assert!(folder.join("report.html").is_file(), "no report; the run said:\n{}", first.said());

    let beside = run_id(killed.path());
    assert!(containers(&beside) > 0, "the run beside it lost its containers");
    second.signal("KILL");
    assert_eq!(second.end(), None);
    is_cleaned_up(killed.path());
}

#[test]
fn a_run_that_is_killed_while_its_faults_are_on_is_cleaned_up() {
    let _alone = alone();
    let project = project(BROKEN);
    let mut run = Run::start(project.path(), &[]);
    run.wait_for("a write to /var/lib/postgresql/data of node1 hangs");
    run.signal("KILL");
    assert_eq!(run.end(), None);
    is_cleaned_up(project.path());
}

/// Holds `clean` to leave nothing of a killed run, and `check` to call it inconclusive.
#[track_caller]
fn is_cleaned_up(project: &Path) {
    let run = run_id(project);
    assert!(containers(&run) > 0, "SIGKILL can't clean up, or this test proves nothing");
    let pgquake = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_pgquake")).args(arguments).current_dir(project).output().unwrap()
    };
    let cleaned = pgquake(&["clean"]);
    assert_eq!(cleaned.status.code(), Some(0), "{}", String::from_utf8_lossy(&cleaned.stderr));
    assert_eq!(containers(&run), 0);
    let checked = pgquake(&["check", &format!("reports/{run}")]);
    let said = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(3), "a killed run is inconclusive: {said}");
}

#[test]
fn a_full_disk_makes_the_run_inconclusive_and_says_so() {
    let _alone = alone();
    let project = project(FEATURE);
    let full = project.path().join("full");
    fs::create_dir(&full).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(&full).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("not tried: this user may not mount a small file system");
        return;
    }
    let mut run = Run::start(project.path(), &["--out", "full"]);
    let code = run.end();
    let _ = Command::new("umount").arg("-l").arg(&full).status();
    assert_eq!(code, Some(3), "{}", run.said());
    assert!(run.said().contains("No space left on device"), "{}", run.said());
}

#[test]
fn a_port_that_is_taken_is_named_and_nothing_is_left() {
    let _alone = alone();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let project = project(FEATURE);
    let text = include_str!("../topologies/single-region-fast.yaml");
    let line = text.lines().find(|line| line.trim_start().starts_with("write:")).unwrap();
    let with_port = line.replace(" }", &format!(", publish: {port} }}"));
    assert_ne!(line, with_port, "the topology's text has changed: {line}");
    fs::create_dir(project.path().join("topologies")).unwrap();
    fs::write(project.path().join("topologies/single-region-fast.yaml"), text.replace(line, &with_port)).unwrap();
    let mut run = Run::start(project.path(), &[]);
    assert_eq!(run.end(), Some(3), "{}", run.said());
    assert!(run.said().contains(&format!("port {port} of 127.0.0.1 is taken")), "{}", run.said());
    assert_eq!(containers(&run_id(project.path())), 0);
}

/// How long a drill may take to end when its ground is lost: to notice, to stop its load, to clear away, to report.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// Holds a run that has lost its ground to end soon, inconclusive, with the reason, and with nothing left behind.
#[track_caller]
fn ends_with_lost_ground(project: &Path, mut run: Run, reason: &str) {
    let lost = Instant::now();
    assert_eq!(run.end(), Some(3), "{}", run.said());
    assert!(lost.elapsed() < ENDS_WITHIN, "it took {:?}; the run said:\n{}", lost.elapsed(), run.said());
    let folder = run_folder(project);
    let events = read_history(&folder.join("history.jsonl")).unwrap();
    let told = |what: &Occurrence| matches!(what, Occurrence::GroundLost { reason: told } if told.contains(reason));
    assert!(events.iter().any(|event| told(&event.what)), "no `{reason}`; the run said:\n{}", run.said());
    assert!(events.iter().any(|event| matches!(event.what, Occurrence::ScenarioEnded)));
    let report = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(report.contains(reason), "the report does not say `{reason}`");
    assert_eq!(containers(&run_id(project)), 0, "{}", run.said());
}

#[test]
fn a_container_that_is_killed_from_outside_ends_the_drill_at_once() {
    let _alone = alone();
    let project = project(LONG);
    let mut run = Run::start(project.path(), &[]);
    run.wait_for("fault confirmed");
    let filters = [
        format!("label=pgquake.run={}", run_id(project.path())),
        "label=pgquake.host=node3".to_owned(),
        "label=pgquake.service=holder".to_owned(),
    ];
    let mut list = Command::new("docker");
    list.args(["ps", "--quiet"]);
    list.args(filters.iter().map(|filter| format!("--filter={filter}")));
    let holder = String::from_utf8(list.output().unwrap().stdout).unwrap();
    assert_eq!(holder.lines().count(), 1, "{holder}");
    assert!(Command::new("docker").args(["kill", holder.trim()]).stdout(Stdio::null()).status().unwrap().success());
    ends_with_lost_ground(project.path(), run, "the container of host node3 ended");
}

#[test]
fn an_engine_that_goes_away_ends_the_drill_and_is_waited_for_to_clear_away() {
    let _alone = alone();
    let project = project(LONG);
    let engine = FakeEngine::start(&project.path().join("engine.sock"));
    let mut run = Run::start_with(project.path(), &[], &[("DOCKER_HOST", &engine.address())]);
    run.wait_for("fault confirmed");
    engine.stop();
    run.wait_for("GROUND LOST");
    let _back = FakeEngine::start(&project.path().join("engine.sock"));
    ends_with_lost_ground(project.path(), run, "the Docker engine is gone");
}

/// The real engine behind a socket of the test's own, which can go away without harm to anybody else.
struct FakeEngine {
    socket: PathBuf,
    stopped: Arc<Mutex<bool>>,
    connections: Arc<Mutex<Vec<UnixStream>>>,
}

impl FakeEngine {
    fn start(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let (stopped, connections) = (Arc::<Mutex<bool>>::default(), Arc::<Mutex<Vec<UnixStream>>>::default());
        let (ended, open) = (stopped.clone(), connections.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if *ended.lock().unwrap() {
                    return;
                }
                let (client, server) = (client.unwrap(), UnixStream::connect(real_engine()).unwrap());
                open.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
                {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        });
        Self { socket: socket.to_owned(), stopped, connections }
    }

    fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Takes no connection any more, and breaks those that are open.
    fn stop(&self) {
        fs::remove_file(&self.socket).unwrap();
        *self.stopped.lock().unwrap() = true;
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// The socket of the engine that tests use.
fn real_engine() -> PathBuf {
    let named = std::env::var("DOCKER_HOST").ok();
    let path = named.as_deref().and_then(|host| host.strip_prefix("unix://")).unwrap_or("/var/run/docker.sock");
    PathBuf::from(path)
}

//! What this machine can and can't do: one probe a need, each with what to do about it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::models::SystemInfo;
use tokio::process::Command;

use super::images::{self, ImageKind};
use super::labels::RunLabels;
use super::leftovers::{Ownership, Sweep};
use super::{Engine, EngineError, PodSpec, space};

/// Whether the machine can do what a probe asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// It can.
    Yes,
    /// It can, with results that may suffer.
    Limited,
    /// It can't.
    No,
    /// It could not be found out yet.
    Unknown,
}

/// One question to the machine, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// What was asked for.
    pub name: &'static str,
    /// The answer.
    pub ok: Ability,
    /// What was found: versions, sizes, times.
    pub detail: String,
    /// What to do about it; empty if there is nothing to do.
    pub remedy: String,
}

impl Probe {
    fn new(name: &'static str, ok: Ability, detail: impl Into<String>) -> Self {
        Self { name, ok, detail: detail.into(), remedy: String::new() }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    fn remedy_unless_yes(self, remedy: &str) -> Self {
        if self.ok == Ability::Yes { self } else { self.remedy(remedy) }
    }
}

/// A registry or an engine that says nothing for this long is taken as absent.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Less free space than this on the engine's disk is worth a warning: the images take about 1 GiB, a run's data
/// directories and logs the rest.
const FREE_DISK_MIB: u64 = 5 * 1024;
/// A cluster of three nodes takes about 300 MB when idle.
const MEMORY_MIB: u64 = 2 * 1024;
/// Two cores keep the harness's timers apart from the system's work.
const CORES: u64 = 2;
/// How long timers are watched.
const TIMERS_FOR: Duration = Duration::from_millis(500);
/// The sleep whose lateness is measured.
const TIMER_STEP: Duration = Duration::from_millis(5);
/// The error that a measured outage may have: timers that are later than this spoil it.
const LATENESS_MS: f64 = 25.0;

/// Asks the machine everything. Takes one to two seconds, longer where a registry is silent; changes nothing that
/// stays.
pub async fn examine() -> Vec<Probe> {
    let (engine, mmdebstrap, protoc) = tokio::join!(examine_engine(), mmdebstrap(), protoc());
    let mut probes = engine;
    probes.extend([mmdebstrap, protoc, fuse(Path::new("/dev/fuse"))]);
    // Alone and last: the other probes would make the timers late.
    probes.push(timers().await);
    probes
}

async fn examine_engine() -> Vec<Probe> {
    let engine = match tokio::time::timeout(ANSWERS_WITHIN, Engine::connect()).await {
        Ok(Ok(engine)) => engine,
        Ok(Err(error)) => return no_engine(&error.to_string()),
        Err(_) => return no_engine(&format!("no answer within {} s", ANSWERS_WITHIN.as_secs())),
    };
    let (version, info, registry, network) =
        tokio::join!(engine.docker().version(), engine.docker().info(), registry(&engine), network_faults(&engine));
    let version = version.unwrap_or_default();
    let told = |what: Option<String>| what.unwrap_or_else(|| "unknown".to_owned());
    let detail = format!("version {}, API {}", told(version.version), told(version.api_version));
    let mut probes = vec![
        Probe::new(DOCKER_ENGINE, Ability::Yes, detail),
        Probe::new(DOCKER_SOCKET, Ability::Yes, "this user may use it"),
    ];
    probes.extend([registry, network]);
    match info {
        Ok(info) => probes.extend([resources(&info), disk(&info).await]),
        Err(error) => probes.push(Probe::new("cores and memory", Ability::Unknown, error.to_string())),
    }
    probes
}

const DOCKER_ENGINE: &str = "Docker engine";
const DOCKER_SOCKET: &str = "Docker socket";

fn no_engine(cause: &str) -> Vec<Probe> {
    if cause.to_lowercase().contains("permission denied") {
        return vec![
            Probe::new(DOCKER_ENGINE, Ability::Unknown, "its socket refuses this user"),
            Probe::new(DOCKER_SOCKET, Ability::No, cause)
                .remedy("`sudo usermod -aG docker $USER` and log in again, or run pgquake as root"),
        ];
    }
    vec![Probe::new(DOCKER_ENGINE, Ability::No, cause).remedy(
        "install and start one, for example `apt-get install docker.io`; `./pgquake run` does it as root on Debian \
         and Ubuntu",
    )]
}

/// For information: without a registry the base image is made with mmdebstrap.
async fn registry(engine: &Engine) -> Probe {
    const NAME: &str = "image registry";
    let reference = format!("debian:{}-slim", images::pinned_versions().get("DEBIAN_RELEASE").unwrap_or(&"stable"));
    let asked = engine.docker().inspect_registry_image(&reference, None);
    match tokio::time::timeout(ANSWERS_WITHIN, asked).await {
        Ok(Ok(_)) => Probe::new(NAME, Ability::Yes, format!("has {reference}")),
        Ok(Err(_)) => Probe::new(NAME, Ability::No, format!("{reference} cannot be pulled")),
        Err(_) => Probe::new(NAME, Ability::No, format!("no answer within {} s", ANSWERS_WITHIN.as_secs())),
    }
    .remedy_unless_yes("not needed where mmdebstrap is installed")
}

/// The faults of a network need NET_ADMIN and nftables in a container. Tried on a host made as a run makes it.
async fn network_faults(engine: &Engine) -> Probe {
    const NAME: &str = "network faults";
    let image = match images::find(engine.docker(), ImageKind::HOLDER).await {
        Ok(Some(image)) => image.tag,
        Ok(None) => return Probe::new(NAME, Ability::Unknown, "unknown until the images are built by the first run"),
        Err(error) => return Probe::new(NAME, Ability::Unknown, error.to_string()),
    };
    match try_nftables(engine, &image).await {
        Ok(None) => Probe::new(NAME, Ability::Yes, "nftables drops packets inside a container with NET_ADMIN"),
        Ok(Some(refusal)) => Probe::new(NAME, Ability::No, refusal)
            .remedy("the kernel needs nf_tables, and the engine must grant NET_ADMIN (a rootless one does not)"),
        Err(error) => Probe::new(NAME, Ability::No, error.to_string()).remedy("a container could not be started"),
    }
}

/// Nothing if a rule could be set, else what `nft` said.
async fn try_nftables(engine: &Engine, image: &str) -> Result<Option<String>, EngineError> {
    const SCRIPT: &str = "nft -f - <<END\n\
        table inet probe {\n\
          chain input { type filter hook input priority 0; ip saddr 192.0.2.1 numgen random mod 100 < 50 drop; }\n\
        }\n\
        END";
    let run = format!("doctor-{}", std::process::id());
    // Lives as long as this process, so that a `clean` beside it leaves the container alone.
    let owner = Ownership::of(&run).ok();
    let labels = RunLabels {
        run: run.clone(),
        scenario: 0,
        owner: owner.as_ref().map_or_else(|| "none".to_owned(), Ownership::label),
    };
    let tried = async {
        let network = engine.create_network(&labels, "doctor", "bridge").await?;
        let spec = PodSpec {
            labels: &labels,
            host: "doctor",
            aliases: &[],
            network: &network,
            backbone: None,
            image,
            ports: Vec::new(),
        };
        let output = engine.start_pod(spec).await?.shell.run(SCRIPT).await?;
        Ok((output.status != 0).then(|| output.text.trim().to_owned()))
    }
    .await;
    let removed = engine.sweep(Sweep::Run(&run)).await;
    tried.and_then(|refusal| removed.map(|_| refusal))
}

fn resources(info: &SystemInfo) -> Probe {
    let cores = info.ncpu.and_then(|cores| u64::try_from(cores).ok()).unwrap_or_default();
    let memory_mib = info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default() / (1 << 20);
    let enough = cores >= CORES && memory_mib >= MEMORY_MIB;
    let ok = if enough { Ability::Yes } else { Ability::Limited };
    Probe::new("cores and memory", ok, format!("{cores} cores, {memory_mib} MiB of memory")).remedy_unless_yes(
        "a cluster of three nodes wants 2 cores and 2 GiB: with less, use --jobs 1 and expect inconclusive runs",
    )
}

async fn disk(info: &SystemInfo) -> Probe {
    const NAME: &str = "free disk space";
    let Some(root) = &info.docker_root_dir else {
        return Probe::new(NAME, Ability::Unknown, "the engine does not say where it keeps its data");
    };
    match space::disk(Path::new(root)).await {
        Some(disk) => {
            let free = disk.free_kib / 1024;
            let ok = if free >= FREE_DISK_MIB { Ability::Yes } else { Ability::Limited };
            Probe::new(NAME, ok, format!("{free} MiB at {root}"))
                .remedy_unless_yes("`docker system prune` removes what no container uses")
        }
        None => Probe::new(NAME, Ability::Unknown, format!("{root} is not on this machine, or `df` cannot see it")),
    }
}

async fn mmdebstrap() -> Probe {
    const NAME: &str = "mmdebstrap";
    match output_of("mmdebstrap", &["--version"]).await {
        Some(version) => Probe::new(NAME, Ability::Yes, version.trim().trim_start_matches("mmdebstrap ")),
        None => Probe::new(NAME, Ability::No, "not installed").remedy(
            "needed only where no registry has the base image: `apt-get install mmdebstrap debian-archive-keyring`",
        ),
    }
}

async fn protoc() -> Probe {
    const NAME: &str = "protoc";
    match output_of("protoc", &["--version"]).await {
        Some(version) => Probe::new(NAME, Ability::Yes, version.trim().trim_start_matches("libprotoc ")),
        None => Probe::new(NAME, Ability::No, "not installed")
            .remedy("needed to build pgquake: `apt-get install protobuf-compiler libprotobuf-dev`"),
    }
}

/// Disk faults and watchdogs are served by FUSE file systems.
fn fuse(device: &Path) -> Probe {
    const NAME: &str = "disk faults, watchdogs";
    match std::fs::metadata(device) {
        Ok(_) => Probe::new(NAME, Ability::Yes, format!("{} is there", device.display())),
        Err(error) => Probe::new(NAME, Ability::No, format!("{}: {error}", device.display()))
            .remedy("`modprobe fuse`; only faults of disks, and watchdogs, need it"),
    }
}

/// How late a sleep of 5 ms ends: the harness measures with these timers.
async fn timers() -> Probe {
    let mut lateness_ms = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < TIMERS_FOR {
        let before = Instant::now();
        tokio::time::sleep(TIMER_STEP).await;
        lateness_ms.push((before.elapsed().saturating_sub(TIMER_STEP)).as_secs_f64() * 1000.0);
    }
    lateness_ms.sort_by(f64::total_cmp);
    let median = lateness_ms.get(lateness_ms.len() / 2).copied().unwrap_or_default();
    let worst = lateness_ms.last().copied().unwrap_or_default();
    let source = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let source = source.as_deref().map_or("unknown", str::trim);
    judge_timers(source, median, worst)
}

fn judge_timers(source: &str, median_ms: f64, worst_ms: f64) -> Probe {
    let ok = if worst_ms <= LATENESS_MS { Ability::Yes } else { Ability::Limited };
    let detail = format!("clock source {source}; late by {median_ms:.1} ms in the median, {worst_ms:.1} ms at worst");
    Probe::new("timers", ok, detail)
        .remedy_unless_yes("something keeps the cores busy: outages would be measured with an error of this size")
}

/// Standard output of a command that succeeded.
async fn output_of(command: &str, arguments: &[&str]) -> Option<String> {
    let run = Command::new(command).args(arguments).kill_on_drop(true).output();
    let output = tokio::time::timeout(ANSWERS_WITHIN, run).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The probes as a table for a terminal: answer, name, detail, and the remedy on a line of its own.
pub fn table(probes: &[Probe]) -> String {
    let width = probes.iter().map(|probe| probe.name.chars().count()).max().unwrap_or_default();
    let mut table = String::new();
    for Probe { name, ok, detail, remedy } in probes {
        let answer = match ok {
            Ability::Yes => "yes",
            Ability::Limited => "limited",
            Ability::No => "no",
            Ability::Unknown => "unknown",
        };
        // Writing to a String can't fail.
        let _ = writeln!(table, "{answer:7}  {name:width$}  {}", detail.replace('\n', " "));
        if !remedy.is_empty() {
            let _ = writeln!(table, "{:7}  {:width$}  → {remedy}", "", "");
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lines_up_and_shows_remedies() {
        let probes = [
            Probe::new("Docker engine", Ability::Yes, "version 28.0, API 1.48"),
            Probe::new("protoc", Ability::No, "not\ninstalled").remedy("install it"),
            Probe::new("timers", Ability::Limited, "late"),
        ];
        let expected = "\
yes      Docker engine  version 28.0, API 1.48
no       protoc         not installed
                        → install it
limited  timers         late
";
        assert_eq!(table(&probes), expected);
    }

    #[test]
    fn late_timers_and_small_machines_are_limits() {
        assert_eq!(judge_timers("tsc", 1.1, 2.0).ok, Ability::Yes);
        let late = judge_timers("hpet", 1.1, 80.0);
        assert_eq!(late.ok, Ability::Limited);
        assert!(late.detail.contains("80.0 ms") && late.detail.contains("hpet"), "{late:?}");

        let machine =
            |ncpu, gib: i64| SystemInfo { ncpu: Some(ncpu), mem_total: Some(gib << 30), ..Default::default() };
        assert_eq!(resources(&machine(2, 8)).ok, Ability::Yes);
        assert_eq!(resources(&machine(1, 8)).ok, Ability::Limited);
        assert_eq!(resources(&machine(8, 1)).ok, Ability::Limited);
    }

    #[test]
    fn a_missing_permission_is_no_missing_engine() {
        let refused = no_engine("failed to reach a Docker engine: Permission denied (os error 13)");
        assert_eq!(refused.iter().map(|probe| probe.ok).collect::<Vec<_>>(), [Ability::Unknown, Ability::No]);
        assert!(refused[1].remedy.contains("docker"), "{refused:?}");
        assert_eq!(no_engine("connection refused")[0].ok, Ability::No);
    }

    #[test]
    fn a_missing_device_is_named() {
        let probe = fuse(Path::new("/dev/no-such-fuse"));
        assert_eq!(probe.ok, Ability::No);
        assert!(probe.detail.contains("/dev/no-such-fuse"), "{probe:?}");
    }
}

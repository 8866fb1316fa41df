//! What runs left behind: containers and networks whose owner is gone.
//!
//! A run holds a lock file as long as it lives, and everything that it makes carries the file's path. The kernel
//! frees the lock however the run ends, so whoever gets the lock knows that the owner is dead. Runs side by side
//! therefore never remove each other's containers, and no process id can be mistaken for another.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{File, Permissions, TryLockError},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures::{StreamExt, future::join_all, stream};

use super::{Engine, EngineError, labels};

/// Containers that are removed at a time.
const REMOVALS_AT_ONCE: usize = 16;

/// Proof that this process owns a run; the run is abandoned when it is dropped or the process ends.
pub struct Ownership {
    path: PathBuf,
    _lock: File,
}

impl Ownership {
    /// Takes ownership of a run.
    pub fn of(run: &str) -> std::io::Result<Self> {
        let folder = std::env::temp_dir().join("pgquake");
        std::fs::create_dir_all(&folder)?;
        // Other users of the machine make their files here too. Only the first may change this.
        let _ = std::fs::set_permissions(&folder, Permissions::from_mode(0o1777));
        let path = folder.join(format!("{run}.lock"));
        let lock = File::create(&path)?;
        lock.lock()?;
        Ok(Self { path, _lock: lock })
    }

    /// What the label [`labels::OWNER`] holds.
    pub fn label(&self) -> String {
        self.path.display().to_string()
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        // A file that stays does no harm: nobody holds its lock.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether the process that made something still lives.
fn owner_lives(owner: &str) -> bool {
    let Ok(file) = File::open(Path::new(owner)) else { return false };
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// Which of pgquake's containers and networks to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep<'a> {
    /// Those of one run.
    Run(&'a str),
    /// Those of one system of a run.
    Scenario(&'a str, u32),
    /// Those whose owner is gone.
    Abandoned,
    /// Those that `pgquake up` keeps.
    Kept,
    /// All of them.
    All,
    /// Those that no living process owns: abandoned and kept ones.
    Unowned,
}

impl Sweep<'_> {
    fn takes(self, made: &HashMap<String, String>) -> bool {
        let label = |name: &str| made.get(name).map(String::as_str).unwrap_or_default();
        let owner = label(labels::OWNER);
        match self {
            Sweep::Run(run) => label(labels::RUN) == run,
            Sweep::Scenario(run, scenario) => {
                label(labels::RUN) == run && label(labels::SCENARIO) == scenario.to_string()
            }
            Sweep::Abandoned => !owner.is_empty() && !owner_lives(owner),
            Sweep::All => true,
            Sweep::Kept => owner.is_empty(),
            Sweep::Unowned => owner.is_empty() || !owner_lives(owner),
        }
    }
}

/// What a sweep removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    pub containers: usize,
    pub networks: usize,
    /// The runs that they belonged to.
    pub runs: BTreeSet<String>,
}

impl Engine {
    /// Removes containers and networks by label.
    pub async fn sweep(&self, sweep: Sweep<'_>) -> Result<Removed, EngineError> {
        let mut removed = Removed::default();
        let containers = self.containers(sweep).await?;
        removed.runs.extend(containers.iter().map(|container| container.run.clone()));
        self.thaw(&containers).await;
        // Holders first: the processes of their services die with them, all at once.
        let (holders, services): (Vec<_>, Vec<_>) = containers.into_iter().partition(|found| found.service == "holder");
        for group in [holders, services] {
            removed.containers += group.len();
            self.remove_containers(group.into_iter().map(|container| container.id).collect()).await?;
        }
        removed.networks = self.remove_networks(sweep, &mut removed.runs).await?;
        Ok(removed)
    }

    /// pgquake's containers that a sweep would take.
    pub async fn containers(&self, sweep: Sweep<'_>) -> Result<Vec<FoundContainer>, EngineError> {
        let filters = HashMap::from([("label".to_owned(), vec![labels::RUN.to_owned()])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = self.docker.list_containers(Some(options)).await.map_err(EngineError::doing("list containers"))?;
        Ok(listed
            .into_iter()
            .filter(|container| sweep.takes(&container.labels.clone().unwrap_or_default()))
            .filter_map(|container| {
                let mut labels = container.labels.unwrap_or_default();
                let mut label = |name: &str| labels.remove(name).unwrap_or_default();
                Some(FoundContainer {
                    id: container.id?,
                    run: label(labels::RUN),
                    host: label(labels::HOST),
                    service: label(labels::SERVICE),
                    status: container.status.unwrap_or_default(),
                    ports: published(container.ports.unwrap_or_default()),
                })
            })
            .collect())
    }

    /// Lets paused containers run: a frozen process can't die, and its host's holder waits for every process.
    async fn thaw(&self, containers: &[FoundContainer]) {
        let paused = containers.iter().filter(|container| container.status.contains("Paused"));
        // One that can't be thawed shows up when it can't be removed.
        join_all(paused.map(|container| self.docker.unpause_container(&container.id))).await;
    }

    async fn remove_containers(&self, ids: Vec<String>) -> Result<(), EngineError> {
        let removals = stream::iter(ids).map(|id| async move {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            match self.docker.remove_container(&id, Some(options)).await {
                // 404: gone already. 409: another removal of it is under way.
                Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) | Ok(()) => {
                    Ok(())
                }
                Err(error) => Err(EngineError::doing(format!("remove container {id}"))(error)),
            }
        });
        let outcomes: Vec<_> = removals.buffer_unordered(REMOVALS_AT_ONCE).collect().await;
        outcomes.into_iter().collect()
    }

    async fn remove_networks(&self, sweep: Sweep<'_>, runs: &mut BTreeSet<String>) -> Result<usize, EngineError> {
        let filters = HashMap::from([("label".to_owned(), vec![labels::RUN.to_owned()])]);
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let listed = self.docker.list_networks(Some(options)).await.map_err(EngineError::doing("list networks"))?;
        let mut removed = 0;
        for network in listed {
            let labels = network.labels.unwrap_or_default();
            let Some(id) = network.id.filter(|_| sweep.takes(&labels)) else { continue };
            match self.docker.remove_network(&id).await {
                Ok(()) => removed += 1,
                Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {}
                Err(error) => return Err(EngineError::doing(format!("remove network {id}"))(error)),
            }
            runs.extend(labels.get(labels::RUN).cloned());
        }
        Ok(removed)
    }
}

/// A container of pgquake's, as the engine lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundContainer {
    pub id: String,
    pub run: String,
    pub host: String,
    pub service: String,
    /// In Docker's words: `Up 5 minutes`.
    pub status: String,
    /// Published ports, as `5432 → 127.0.0.1:49153`.
    pub ports: Vec<String>,
}

fn published(ports: Vec<bollard::models::PortSummary>) -> Vec<String> {
    ports
        .into_iter()
        .filter_map(|port| Some(format!("{} → 127.0.0.1:{}", port.private_port, port.public_port?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_lives_exactly_as_long_as_it_holds_its_lock() {
        let run = format!("test-{}", std::process::id());
        let ownership = Ownership::of(&run).unwrap();
        let label = ownership.label();
        assert!(owner_lives(&label));
        drop(ownership);
        assert!(!owner_lives(&label));
    }

    #[test]
    fn a_sweep_of_the_abandoned_spares_what_is_kept_and_what_lives() {
        let ownership = Ownership::of(&format!("test-sweep-{}", std::process::id())).unwrap();
        let made = |owner: &str| HashMap::from([(labels::OWNER.to_owned(), owner.to_owned())]);
        assert!(!Sweep::Abandoned.takes(&made(&ownership.label())));
        assert!(!Sweep::Abandoned.takes(&made("")));
        assert!(Sweep::Abandoned.takes(&made("/nowhere/gone.lock")));
        assert!(Sweep::Unowned.takes(&made("")));
        assert!(!Sweep::Unowned.takes(&made(&ownership.label())));
    }
}

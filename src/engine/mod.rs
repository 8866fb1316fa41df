//! The engine: Docker. Networks, hosts as pods, services in them, commands, logs, and what is left behind.
//!
//! Architecture invariant: this folder and the observer of Docker's events are the only users of bollard, and
//! this folder the only user of testcontainers. It knows nothing of PostgreSQL.

mod container;
pub mod doctor;
mod errand;
pub mod images;
pub mod labels;
pub mod leftovers;
mod logs;
mod network;
mod pod;
mod ports;
mod resources;
mod service;
mod shell;
pub mod space;
mod wrapped;

use std::collections::BTreeMap;

use bollard::{Docker, errors::Error as DockerError};

pub use container::ContainerState;
pub use logs::LogFolder;
pub use network::{DISCARD_PORT, Joined};
pub use pod::{Pod, PodSpec, SILENCE_TABLE};
pub use resources::CpuAccount;
pub use service::{ServiceContainer, ServiceSpec};
pub use shell::{Shell, ShellOutput};
pub use wrapped::{Disk, Watchdog, Wrapping};

/// Something that Docker was asked for did not happen.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("failed to reach a Docker engine: {reason}")]
    NoEngine { reason: String },
    #[error("failed to {doing}: {source}")]
    Docker { doing: String, source: DockerError },
    #[error("failed to start {container}: {reason}")]
    Start { container: String, reason: String },
    #[error(
        "{program} needs FUSE, and the engine's machine has no /dev/fuse: `modprobe fuse` there, or choose a topology without \
         prepared disks and watchdogs ({reason})"
    )]
    NoFuse { program: String, reason: String },
    #[error(
        "failed to create the overlay network of {network}: the engine is no manager of a swarm; `docker swarm init \
         --advertise-addr 127.0.0.1` makes it one of a swarm of its own, and `docker swarm leave --force` ends that"
    )]
    NoSwarm { network: String },
    #[error("failed to run a command on host {host}: {reason}")]
    Shell { host: String, reason: String },
    #[error("failed to run `{command}` on host {host}: exit status {status}: {output}")]
    Command { host: String, command: String, status: i32, output: String },
    /// A port that was free a moment ago is not any more.
    #[error("failed to start host {host}: {reason}")]
    PortTaken { host: String, container: String, reason: String },
    #[error("failed to publish port {port} of host {host}: {reason}")]
    Port { host: String, port: u16, reason: String },
}

impl EngineError {
    /// For `map_err`: what was being done when Docker failed.
    pub(crate) fn doing(doing: impl Into<String>) -> impl FnOnce(DockerError) -> Self {
        let doing = doing.into();
        move |source| EngineError::Docker { doing, source }
    }
}

/// A connection to the Docker engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    docker: Docker,
}

impl Engine {
    /// Connects as testcontainers does (`DOCKER_HOST`, a context, the usual sockets) and asks for an answer.
    pub async fn connect() -> Result<Self, EngineError> {
        let docker = testcontainers::core::client::docker_client_instance()
            .await
            .map_err(|error| EngineError::NoEngine { reason: error.to_string() })?;
        docker.ping().await.map_err(|error| EngineError::NoEngine { reason: no_engine_reason(&error) })?;
        Ok(Self { docker })
    }

    /// The client itself, for images, events and the doctor.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Asks for a sign of life.
    pub async fn ping(&self) -> Result<(), EngineError> {
        self.docker.ping().await.map(|_| ()).map_err(EngineError::doing("reach the engine"))
    }

    /// The folder in which the engine keeps its data, on its own machine.
    pub async fn root_folder(&self) -> Option<String> {
        self.docker.info().await.ok()?.docker_root_dir
    }

    /// The machine as the engine reports it: cores, memory, kernel, versions.
    pub async fn machine(&self) -> Result<BTreeMap<String, String>, EngineError> {
        let info = self.docker.info().await.map_err(EngineError::doing("read the engine's facts"))?;
        let mut machine = BTreeMap::new();
        let mut note = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                machine.insert(name.to_owned(), value);
            }
        };
        note("engine", info.server_version);
        note("kernel", info.kernel_version);
        note("system", info.operating_system);
        note("cores", info.ncpu.map(|cores| cores.to_string()));
        note("memory_mib", info.mem_total.map(|bytes| (bytes / (1 << 20)).to_string()));
        note("storage_driver", info.driver);
        Ok(machine)
    }
}

fn no_engine_reason(error: &DockerError) -> String {
    let text = error.to_string();
    if text.contains("ermission denied") {
        return format!("{text}. Your user may not use Docker's socket: join the group `docker` or run as root");
    }
    format!("{text}. Start one (`systemctl start docker`, or `dockerd`), or let ./pgquake do it as root on Debian")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_may_not_be_used_says_what_to_do() {
        let denied = DockerError::IOError { err: std::io::Error::from(std::io::ErrorKind::PermissionDenied) };
        assert!(no_engine_reason(&denied).contains("join the group `docker` or run as root"), "{denied}");
        let absent = DockerError::IOError { err: std::io::Error::from(std::io::ErrorKind::NotFound) };
        assert!(no_engine_reason(&absent).contains("systemctl start docker"));
    }
}

//! What Docker itself does to a service's container: stop, pause, restart.

use bollard::query_parameters::{RestartContainerOptionsBuilder, StopContainerOptionsBuilder};

use super::{Engine, EngineError, ServiceContainer};

/// A container's state, as Docker reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerState {
    pub running: bool,
    pub paused: bool,
    /// When it was started last, as RFC 3339.
    pub started_at: String,
    /// Of the main process, the last time that it ended.
    pub exit_status: i64,
}

/// How often a service is paused before that counts as impossible.
const PAUSES_TRIED: u32 = 5;

impl Engine {
    /// Stops a service as `docker stop` does: SIGTERM to its main process, and SIGKILL after this many seconds.
    pub async fn stop_service(&self, service: &ServiceContainer, grace_s: i32) -> Result<(), EngineError> {
        let options = StopContainerOptionsBuilder::new().t(grace_s).build();
        self.docker.stop_container(&service.id, Some(options)).await.map_err(doing("stop", service))
    }

    /// Stops a service and starts it again, as `docker restart` does.
    pub async fn stop_and_start_service(&self, service: &ServiceContainer, grace_s: i32) -> Result<(), EngineError> {
        let options = RestartContainerOptionsBuilder::new().t(grace_s).build();
        self.docker.restart_container(&service.id, Some(options)).await.map_err(doing("restart", service))
    }

    /// Freezes every process of a service's control group. A kernel with cgroups v1 can't while processes of the group
    /// are being made; then the engine gives up, and is asked again.
    pub async fn pause_service(&self, service: &ServiceContainer) -> Result<(), EngineError> {
        let mut tried = 1;
        loop {
            match self.docker.pause_container(&service.id).await {
                Err(error) if error.to_string().contains("unable to freeze") && tried < PAUSES_TRIED => tried += 1,
                paused => return paused.map_err(doing("pause", service)),
            }
        }
    }

    /// Lets a paused service run on.
    pub async fn unpause_service(&self, service: &ServiceContainer) -> Result<(), EngineError> {
        self.docker.unpause_container(&service.id).await.map_err(doing("unpause", service))
    }

    /// Whether a container of this name runs. One that the engine does not know, or does not tell of, does not.
    pub async fn runs(&self, container: &str) -> bool {
        let inspected = self.docker.inspect_container(container, None).await;
        inspected.ok().and_then(|inspected| inspected.state?.running).unwrap_or_default()
    }

    /// What Docker says of a service's container.
    pub async fn container_state(&self, service: &ServiceContainer) -> Result<ContainerState, EngineError> {
        let inspected = self.docker.inspect_container(&service.id, None).await.map_err(doing("inspect", service))?;
        let state = inspected.state.unwrap_or_default();
        Ok(ContainerState {
            running: state.running.unwrap_or_default(),
            paused: state.paused.unwrap_or_default(),
            started_at: state.started_at.unwrap_or_default(),
            exit_status: state.exit_code.unwrap_or_default(),
        })
    }
}

fn doing(what: &str, service: &ServiceContainer) -> impl FnOnce(bollard::errors::Error) -> EngineError {
    EngineError::doing(format!("{what} {} on {}", service.name, service.host))
}

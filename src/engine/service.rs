//! A service: a container that joins its host's namespaces. testcontainers starts it.

use bollard::{
    errors::Error as DockerError,
    query_parameters::{KillContainerOptionsBuilder, StartContainerOptions},
};
use testcontainers::{CopyTargetOptions, GenericImage, ImageExt, runners::AsyncRunner};

use super::{Engine, EngineError, Pod, labels::RunLabels};

/// What a service is made of.
pub struct ServiceSpec<'a> {
    pub labels: &'a RunLabels,
    pub pod: &'a Pod,
    /// The service's name, unique on its host.
    pub name: &'a str,
    /// Repository and tag.
    pub image: (&'a str, &'a str),
    pub command: Vec<String>,
    /// Files to write before it starts: path and content.
    pub files: Vec<(String, String)>,
}

/// A running (or killed) service.
pub struct ServiceContainer {
    pub host: String,
    pub name: String,
    /// The container's id, the same over kills and starts.
    pub id: String,
}

impl Engine {
    /// Starts a service. It is running when this returns, which does not mean that it is ready.
    pub async fn start_service(&self, spec: ServiceSpec<'_>) -> Result<ServiceContainer, EngineError> {
        let name = spec.labels.container_name(&spec.pod.host, spec.name);
        let holder = format!("container:{}", spec.pod.container);
        let mut request = GenericImage::new(spec.image.0, spec.image.1)
            .with_container_name(&name)
            .with_labels(spec.labels.of_container(&spec.pod.host, spec.name))
            .with_host_config_modifier(move |config| {
                config.network_mode = Some(holder.clone());
                config.pid_mode = Some(holder.clone());
                config.publish_all_ports = Some(false);
                config.port_bindings = None;
            })
            .with_cmd(spec.command);
        for (path, content) in spec.files {
            request = request.with_copy_to(CopyTargetOptions::new(path).with_mode(0o644), content.into_bytes());
        }
        let container =
            request.start().await.map_err(|error| EngineError::Start { container: name, reason: error.to_string() })?;
        let id = container.id().to_owned();
        // testcontainers would remove the container when its handle is dropped. Here the labels own removal: it must
        // work for a killed process too, and all at once.
        std::mem::forget(container);
        Ok(ServiceContainer { host: spec.pod.host.clone(), name: spec.name.to_owned(), id })
    }

    /// Sends SIGKILL to the service's container. It may be gone already.
    pub async fn kill_service(&self, service: &ServiceContainer) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::new().signal("KILL").build();
        match self.docker.kill_container(&service.id, Some(options)).await {
            // 409: it is not running.
            Ok(()) | Err(DockerError::DockerResponseServerError { status_code: 409, .. }) => Ok(()),
            Err(error) => Err(EngineError::doing(format!("kill {} on {}", service.name, service.host))(error)),
        }
    }

    /// Starts a service that was killed or stopped. Nothing happens if it runs.
    pub async fn restart_service(&self, service: &ServiceContainer) -> Result<(), EngineError> {
        self.docker
            .start_container(&service.id, None::<StartContainerOptions>)
            .await
            .map_err(EngineError::doing(format!("start {} on {}", service.name, service.host)))
    }

    /// Whether the service's main process runs.
    pub async fn service_runs(&self, service: &ServiceContainer) -> Result<bool, EngineError> {
        Ok(self.container_state(service).await?.running)
    }
}

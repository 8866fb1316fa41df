//! A service: a container that joins its host's namespaces. testcontainers starts it.

use std::{collections::BTreeMap, io::Read};

use bollard::{
    errors::Error as DockerError,
    models::{ContainerCreateBody, DeviceMapping, HostConfig},
    query_parameters::{
        CreateContainerOptions, DownloadFromContainerOptionsBuilder, KillContainerOptionsBuilder,
        RemoveContainerOptionsBuilder, StartContainerOptions, UploadToContainerOptionsBuilder,
    },
};
use futures::TryStreamExt;
use testcontainers::{CopyTargetOptions, GenericImage, ImageExt, runners::AsyncRunner};

use super::{
    Engine, EngineError, Pod, Shell,
    labels::RunLabels,
    wrapped::{DISK_PROGRAM, WATCHDOG_PROGRAM, Wrapping},
};

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
    /// Variables of its environment, beside those of the image.
    pub environment: BTreeMap<String, String>,
    /// What its container may do beside what every container may.
    pub capabilities: &'static [&'static str],
    /// What is put around it in its container; `None`: nothing can be.
    pub wrapping: Option<Wrapping<'a>>,
    /// Whether it gets only the processor time that all others leave: what it does is heavy, and on a machine of its own it
    /// would disturb nobody whose times are measured.
    pub yields: bool,
}

/// The smallest weight that the engine takes; others have 1024.
const LEAST_CPU_SHARES: i64 = 2;

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
        let image = GenericImage::new(spec.image.0, spec.image.1);
        let wrapped = spec.wrapping.as_ref().and_then(|wrapping| wrapping.wrapped(&spec.pod.silence()));
        let image = wrapped.iter().fold(image, |image, wrapped| image.with_entrypoint(wrapped.entry_point));
        let (is_wrapped, yields) = (wrapped.is_some(), spec.yields);
        let of_wrapping = wrapped.iter().flat_map(|wrapped| wrapped.capabilities.iter().copied());
        let capabilities: Vec<&str> = spec.capabilities.iter().copied().chain(of_wrapping).collect();
        let before = wrapped.iter().flat_map(|wrapped| wrapped.command.clone());
        let command: Vec<String> = before.chain(spec.command).collect();
        let mut request = image
            .with_container_name(&name)
            .with_labels(spec.labels.of_container(&spec.pod.host, spec.name))
            .with_host_config_modifier(move |config| {
                config.network_mode = Some(holder.clone());
                config.pid_mode = Some(holder.clone());
                config.publish_all_ports = Some(false);
                config.port_bindings = None;
                config.cpu_shares = yields.then_some(LEAST_CPU_SHARES);
                let more = capabilities.iter().map(|capability| (*capability).to_owned());
                config.cap_add.get_or_insert_default().extend(more);
                if is_wrapped {
                    config.devices = Some(vec![fuse()]);
                    // Its default profile forbids mounts; an engine without AppArmor takes no notice.
                    config.security_opt = Some(vec!["apparmor=unconfined".to_owned()]);
                }
            })
            .with_cmd(command);
        if let Some(wrapped) = wrapped {
            let executable = |path: &str| CopyTargetOptions::new(path).with_mode(0o755);
            // Root mounts what is around it; the service itself runs as its own user.
            request = request.with_user("0");
            for (path, content) in wrapped.executables {
                request = request.with_copy_to(executable(path), content);
            }
        }
        for (name, value) in spec.environment {
            request = request.with_env_var(name, value);
        }
        for (path, content) in spec.files {
            // A script can be called.
            let mode = if content.starts_with("#!") { 0o755 } else { 0o644 };
            request = request.with_copy_to(CopyTargetOptions::new(path).with_mode(mode), content.into_bytes());
        }
        let container =
            request.start().await.map_err(|error| EngineError::Start { container: name, reason: error.to_string() })?;
        let id = container.id().to_owned();
        // testcontainers would remove the container when its handle is dropped. Here the labels own removal: it must
        // work for a killed process too, and all at once.
        std::mem::forget(container);
        Ok(ServiceContainer { host: spec.pod.host.clone(), name: spec.name.to_owned(), id })
    }

    /// A root shell in a service's own container, with its file system. It opens with the first command.
    pub fn shell_in(&self, service: &ServiceContainer) -> Shell {
        Shell::new(self.docker.clone(), &service.host, &service.id)
    }

    /// Reads the program that serves a prepared disk out of its image.
    pub async fn disk_program(&self, labels: &RunLabels, image: &str) -> Result<Vec<u8>, EngineError> {
        self.program_of(labels, image, DISK_PROGRAM).await
    }

    /// Reads the program of a watchdog out of its image.
    pub async fn watchdog_program(&self, labels: &RunLabels, image: &str) -> Result<Vec<u8>, EngineError> {
        self.program_of(labels, image, WATCHDOG_PROGRAM).await
    }

    /// Reads a program that serves a FUSE file system, once it is seen that a container gets /dev/fuse.
    async fn program_of(&self, labels: &RunLabels, image: &str, path: &str) -> Result<Vec<u8>, EngineError> {
        let doing = || format!("read {path} of the image {image}");
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            labels: Some(labels.of_container("none", "image")),
            host_config: Some(HostConfig {
                devices: Some(vec![fuse()]),
                network_mode: Some("none".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let created = self.docker.create_container(None::<CreateContainerOptions>, body).await;
        let created = created.map_err(EngineError::doing(doing()))?;
        // Called without arguments it ends at once.
        let started = self.docker.start_container(&created.id, None::<StartContainerOptions>).await;
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let archive: Result<Vec<_>, _> =
            self.docker.download_from_container(&created.id, Some(options)).try_collect().await;
        let forced = RemoveContainerOptionsBuilder::new().force(true).build();
        let removed = self.docker.remove_container(&created.id, Some(forced)).await;
        started.map_err(|error| no_fuse(error, path))?;
        let archive = archive.map_err(EngineError::doing(doing()))?.concat();
        removed.map_err(EngineError::doing(doing()))?;
        first_file(&archive).map_err(|error| EngineError::Docker { doing: doing(), source: error.into() })
    }

    /// Writes a file of a service, which may be stopped: with nothing of it running there is no shell to do that.
    pub async fn write_file(&self, service: &ServiceContainer, path: &str, content: &[u8]) -> Result<(), EngineError> {
        let doing = || format!("write {path} of {} on {}", service.name, service.host);
        let archive = one_file(path.trim_start_matches('/'), content);
        let archive = archive.map_err(|error| EngineError::Docker { doing: doing(), source: error.into() })?;
        let options = UploadToContainerOptionsBuilder::new().path("/").build();
        let written = self.docker.upload_to_container(&service.id, Some(options), bollard::body_full(archive.into()));
        written.await.map_err(EngineError::doing(doing()))
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

const FUSE: &str = "/dev/fuse";

fn fuse() -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(FUSE.to_owned()),
        path_in_container: Some(FUSE.to_owned()),
        cgroup_permissions: Some("rwm".to_owned()),
    }
}

/// What the engine says where its machine has no FUSE names the device.
fn no_fuse(error: DockerError, program: &str) -> EngineError {
    let program = program.rsplit('/').next().unwrap_or(program).to_owned();
    match error.to_string() {
        reason if reason.contains(FUSE) => EngineError::NoFuse { program, reason },
        _ => EngineError::doing(format!("start {program}"))(error),
    }
}

fn one_file(path: &str, content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive.append_data(&mut header, path, content)?;
    archive.into_inner()
}

fn first_file(archive: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let mut content = Vec::new();
    if let Some(entry) = archive.entries()?.next() {
        entry?.read_to_end(&mut content)?;
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_fuse_is_told_from_other_failures() {
        let failed = |message: &str| {
            let message = message.to_owned();
            let error = DockerError::DockerResponseServerError { status_code: 500, message };
            no_fuse(error, WATCHDOG_PROGRAM)
        };
        let without =
            failed("error gathering device information while adding custom device \"/dev/fuse\": no such file");
        let told = without.to_string();
        assert!(told.contains("pgquake-watchdog") && told.contains("modprobe fuse"), "{told}");
        assert!(matches!(failed("no space left on device"), EngineError::Docker { .. }));
    }
}

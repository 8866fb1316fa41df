//! A service: a container that joins its host's namespaces. testcontainers starts it.

use std::io::Read;

use bollard::{
    errors::Error as DockerError,
    models::{ContainerCreateBody, DeviceMapping},
    query_parameters::{
        CreateContainerOptions, DownloadFromContainerOptionsBuilder, KillContainerOptionsBuilder,
        RemoveContainerOptions, StartContainerOptions, UploadToContainerOptionsBuilder,
    },
};
use futures::TryStreamExt;
use testcontainers::{CopyTargetOptions, GenericImage, ImageExt, runners::AsyncRunner};

use super::{Engine, EngineError, Pod, Shell, labels::RunLabels};

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
    /// What its container may do beside what every container may.
    pub capabilities: &'static [&'static str],
    /// A disk that can be broken, to be mounted before anything else.
    pub disk: Option<Disk<'a>>,
    /// Whether it gets only the processor time that all others leave: what it does is heavy, and on a machine of its own it
    /// would disturb nobody whose times are measured.
    pub yields: bool,
}

/// The smallest weight that the engine takes; others have 1024.
const LEAST_CPU_SHARES: i64 = 2;

/// A disk of `images/disk`, in a service's own container.
pub struct Disk<'a> {
    /// The program of the disk's image.
    pub program: &'a [u8],
    /// The directory that it is mounted over.
    pub directory: &'a str,
    /// The user that the service runs as once it is mounted.
    pub user: &'a str,
    /// The entry point of the service's image.
    pub entry_point: &'a str,
    /// The port on the loopback address where the disk takes commands.
    pub control_port: u16,
}

/// Mounts the disk and becomes the service. The disk lives in the same container, so that it dies with its host.
const ON_DISK: &str = r#"#!/bin/sh
set -eu
user=$1 directory=$2 port=$3
shift 3
rm -f /run/pgquake-disk
"$(dirname "$0")/pgquake-disk" "$directory" "$directory" --listen "127.0.0.1:$port" > /run/pgquake-disk 2>&1 &
disk=$!
until grep -q '^mounted' /run/pgquake-disk; do
  kill -0 "$disk" 2> /dev/null || { echo "failed to mount the disk: $(cat /run/pgquake-disk)" >&2; exit 1; }
  sleep 0.02
done
HOME=$(getent passwd "$user" | cut -d : -f 6)
export HOME
exec setpriv --reuid="$user" --regid="$user" --init-groups --inh-caps=-all --bounding-set=-all -- "$@"
"#;
const ON_DISK_PATH: &str = "/usr/local/bin/pgquake-on-disk.sh";
/// Where the disk's image has its program, and where a service that is mounted on the disk gets it: beside the script.
const PROGRAM_PATH: &str = "/usr/local/bin/pgquake-disk";

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
        let image = if spec.disk.is_some() { image.with_entrypoint(ON_DISK_PATH) } else { image };
        let (on_disk, yields, capabilities) = (spec.disk.is_some(), spec.yields, spec.capabilities);
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
                if on_disk {
                    let fuse = "/dev/fuse".to_owned();
                    config.devices = Some(vec![DeviceMapping {
                        path_on_host: Some(fuse.clone()),
                        path_in_container: Some(fuse),
                        cgroup_permissions: Some("rwm".to_owned()),
                    }]);
                    config.cap_add.get_or_insert_default().push("SYS_ADMIN".to_owned());
                    // Its default profile forbids mounts; an engine without AppArmor takes no notice.
                    config.security_opt = Some(vec!["apparmor=unconfined".to_owned()]);
                }
            })
            .with_cmd(before(&spec.disk).into_iter().chain(spec.command));
        if let Some(disk) = &spec.disk {
            let executable = |path: &str| CopyTargetOptions::new(path).with_mode(0o755);
            // The disk is mounted by root; the service itself runs as its own user.
            request = request
                .with_user("0")
                .with_copy_to(executable(ON_DISK_PATH), ON_DISK.as_bytes().to_vec())
                .with_copy_to(executable(PROGRAM_PATH), disk.program.to_vec());
        }
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

    /// A root shell in a service's own container, with its file system. It opens with the first command.
    pub fn shell_in(&self, service: &ServiceContainer) -> Shell {
        Shell::new(self.docker.clone(), &service.host, &service.id)
    }

    /// Reads the program that serves a prepared disk out of its image.
    pub async fn disk_program(&self, labels: &RunLabels, image: &str) -> Result<Vec<u8>, EngineError> {
        let doing = || format!("read {PROGRAM_PATH} of the image {image}");
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            labels: Some(labels.of_container("none", "image")),
            ..Default::default()
        };
        let created = self.docker.create_container(None::<CreateContainerOptions>, body).await;
        let created = created.map_err(EngineError::doing(doing()))?;
        let options = DownloadFromContainerOptionsBuilder::new().path(PROGRAM_PATH).build();
        let archive: Result<Vec<_>, _> =
            self.docker.download_from_container(&created.id, Some(options)).try_collect().await;
        let removed = self.docker.remove_container(&created.id, None::<RemoveContainerOptions>).await;
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

/// What the wrapper of a prepared disk takes before the service's own command.
fn before(disk: &Option<Disk<'_>>) -> Vec<String> {
    let Some(disk) = disk else { return Vec::new() };
    let port = disk.control_port.to_string();
    [disk.user, disk.directory, &port, disk.entry_point].map(str::to_owned).into()
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

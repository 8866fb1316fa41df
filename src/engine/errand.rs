//! Commands beside a service that is stopped: nothing can be run in its own container then.

use std::collections::HashMap;

use bollard::{
    models::{ContainerCreateBody, ContainerInspectResponse, HostConfig},
    query_parameters::{
        CreateContainerOptions, DownloadFromContainerOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
        StartContainerOptions, UploadToContainerOptionsBuilder, WaitContainerOptions,
    },
};
use futures::{StreamExt, TryStreamExt};

use super::{Engine, EngineError, Pod, ServiceContainer, ShellOutput, labels::RunLabels};

impl Engine {
    /// Runs a script where a service's volumes are, as root, and returns what it printed and how it ended. It runs in a
    /// container of the service's image, on the service's host and of the script's life, and takes half a second and more.
    pub async fn run_beside_service(
        &self,
        labels: &RunLabels,
        pod: &Pod,
        service: &ServiceContainer,
        script: &str,
    ) -> Result<ShellOutput, EngineError> {
        let doing = || EngineError::doing(format!("run a command beside {} on {}", service.name, service.host));
        let inspected = self.docker.inspect_container(&service.id, None).await.map_err(doing())?;
        let body = errand(inspected, labels.of_errand(), &pod.container, script);
        let created = self.docker.create_container(None::<CreateContainerOptions>, body).await.map_err(doing())?;
        let ended = self.to_its_end(&created.id).await;
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        let removed = self.docker.remove_container(&created.id, Some(options)).await;
        let output = ended.map_err(doing())?;
        removed.map_err(doing())?;
        Ok(output)
    }

    /// Copies a file from a service's container into that of another one, to the same place. Either may be stopped.
    pub async fn copy_file(
        &self,
        path: &str,
        from: &ServiceContainer,
        to: &ServiceContainer,
    ) -> Result<(), EngineError> {
        let doing = || EngineError::doing(format!("copy {path} from {} to {}", from.host, to.host));
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let archive: Vec<_> =
            self.docker.download_from_container(&from.id, Some(options)).try_collect().await.map_err(doing())?;
        let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
        let options = UploadToContainerOptionsBuilder::new().path(folder).build();
        let written =
            self.docker.upload_to_container(&to.id, Some(options), bollard::body_full(archive.concat().into()));
        written.await.map_err(doing())
    }

    async fn to_its_end(&self, container: &str) -> Result<ShellOutput, bollard::errors::Error> {
        self.docker.start_container(container, None::<StartContainerOptions>).await?;
        let mut ends = self.docker.wait_container(container, None::<WaitContainerOptions>);
        let status = match ends.next().await {
            Some(Ok(ended)) => ended.status_code,
            // Another status than 0 is an error to bollard.
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => code,
            Some(Err(error)) => return Err(error),
            None => -1,
        };
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
        let printed: Vec<_> = self.docker.logs(container, Some(options)).try_collect().await?;
        let text: String =
            printed.into_iter().map(|part| String::from_utf8_lossy(&part.into_bytes()).into_owned()).collect();
        Ok(ShellOutput { status: i32::try_from(status).unwrap_or(-1), text: text.trim_end().to_owned() })
    }
}

/// A container beside that of a service, with its image, its volumes and its environment: where etcd asks for a password, an operator's
/// `etcdctl` finds it there, whether the member runs or not.
fn errand(
    service: ContainerInspectResponse,
    labels: HashMap<String, String>,
    pod: &str,
    script: &str,
) -> ContainerCreateBody {
    ContainerCreateBody {
        image: service.image,
        env: service.config.and_then(|config| config.env),
        entrypoint: Some(vec!["/bin/sh".to_owned()]),
        cmd: Some(vec!["-c".to_owned(), script.to_owned()]),
        user: Some("0".to_owned()),
        labels: Some(labels),
        host_config: Some(HostConfig {
            network_mode: Some(format!("container:{pod}")),
            volumes_from: service.id.map(|id| vec![id]),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerConfig;

    use super::*;

    #[test]
    fn a_command_beside_a_stopped_service_finds_what_one_in_it_finds() {
        let env = Some(vec!["ETCDCTL_USER=root:secret".to_owned()]);
        let config = Some(ContainerConfig { env: env.clone(), ..Default::default() });
        let service = ContainerInspectResponse { id: Some("member".to_owned()), config, ..Default::default() };
        let body = errand(service, HashMap::new(), "pod", "etcdctl get leader");
        assert_eq!(body.env, env);
        assert_eq!(body.host_config.and_then(|host| host.volumes_from), Some(vec!["member".to_owned()]));
    }
}

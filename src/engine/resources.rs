//! What a service may use: CPU time and memory, and the kernel's account of it. And commands in a service's container.

use bollard::{
    exec::{CreateExecOptions, StartExecResults},
    models::ContainerUpdateBody,
    query_parameters::StatsOptionsBuilder,
};
use futures::StreamExt;

use super::{Engine, EngineError, ServiceContainer, ShellOutput};

/// The kernel's period of CPU quotas.
const PERIOD_US: i64 = 100_000;

/// A quota that an engine understands as none.
const NO_QUOTA: i64 = -1;

/// What the kernel says of a service's CPU quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuAccount {
    /// CPU time in each period of 100 ms; `None`: as much as there is.
    pub quota_us: Option<i64>,
    /// Periods in which the service had used its quota up and was stopped.
    pub throttled_periods: u64,
}

impl Engine {
    /// Caps a service's CPU time per 100 ms; `None`: as much as there is.
    pub async fn limit_cpu(&self, service: &ServiceContainer, quota_us: Option<i64>) -> Result<(), EngineError> {
        let limit = ContainerUpdateBody {
            cpu_period: Some(PERIOD_US),
            cpu_quota: Some(quota_us.unwrap_or(NO_QUOTA)),
            ..Default::default()
        };
        self.docker
            .update_container(&service.id, limit)
            .await
            .map_err(EngineError::doing(format!("limit the CPU time of {} on {}", service.name, service.host)))
    }

    /// The quota of a service, and how often it was throttled.
    pub async fn cpu_account(&self, service: &ServiceContainer) -> Result<CpuAccount, EngineError> {
        let doing = || EngineError::doing(format!("read the CPU account of {} on {}", service.name, service.host));
        let inspected = self.docker.inspect_container(&service.id, None).await.map_err(doing())?;
        let quota = inspected.host_config.and_then(|config| config.cpu_quota).filter(|quota| *quota > 0);
        let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let mut stats = std::pin::pin!(self.docker.stats(&service.id, Some(options)));
        let told = stats.next().await.transpose().map_err(doing())?;
        let throttling = told.and_then(|told| told.cpu_stats).and_then(|cpu| cpu.throttling_data);
        let throttled_periods = throttling.and_then(|told| told.throttled_periods).unwrap_or_default();
        Ok(CpuAccount { quota_us: quota, throttled_periods })
    }

    /// Limits the memory of a service, swap included. Docker takes no limit away from a container that runs: the whole
    /// memory of the machine is as good as none.
    pub async fn limit_memory(&self, service: &ServiceContainer, bytes: u64) -> Result<(), EngineError> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let limit = ContainerUpdateBody { memory: Some(bytes), memory_swap: Some(bytes), ..Default::default() };
        self.docker
            .update_container(&service.id, limit)
            .await
            .map_err(EngineError::doing(format!("limit the memory of {} on {}", service.name, service.host)))
    }

    /// The memory limit of a service in bytes; 0 is none.
    pub async fn memory_limit(&self, service: &ServiceContainer) -> Result<u64, EngineError> {
        let inspected = self
            .docker
            .inspect_container(&service.id, None)
            .await
            .map_err(EngineError::doing(format!("inspect {} on {}", service.name, service.host)))?;
        let limit = inspected.host_config.and_then(|config| config.memory).unwrap_or_default();
        Ok(u64::try_from(limit).unwrap_or_default())
    }

    /// The memory of the machine that the engine runs on, in bytes.
    pub async fn machine_memory(&self) -> Result<u64, EngineError> {
        let info = self.docker.info().await.map_err(EngineError::doing("read the engine's facts"))?;
        Ok(info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default())
    }

    /// How many processes of a service the kernel has killed for want of memory since the service was started.
    pub async fn killed_for_memory(&self, service: &ServiceContainer) -> Result<u64, EngineError> {
        // The first file is that of control groups of version 1, the second that of version 2.
        let script = "cat /sys/fs/cgroup/memory/memory.oom_control /sys/fs/cgroup/memory.events 2>/dev/null; true";
        let told = self.run_in_service(service, script).await?;
        let count = told.text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
        Ok(count.unwrap_or_default())
    }

    /// Runs a script in a service's container, as root, and returns what it printed. It takes 100 ms and more: use the
    /// host's shell where that will do.
    pub async fn run_in_service(&self, service: &ServiceContainer, script: &str) -> Result<ShellOutput, EngineError> {
        let doing = || EngineError::doing(format!("run a command in {} on {}", service.name, service.host));
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(vec!["/bin/sh", "-c", script]),
            user: Some("0"),
            ..Default::default()
        };
        let exec = self.docker.create_exec(&service.id, options).await.map_err(doing())?;
        let mut text = String::new();
        if let StartExecResults::Attached { mut output, .. } =
            self.docker.start_exec(&exec.id, None).await.map_err(doing())?
        {
            while let Some(chunk) = output.next().await {
                text.push_str(&String::from_utf8_lossy(&chunk.map_err(doing())?.into_bytes()));
            }
        }
        let ended = self.docker.inspect_exec(&exec.id).await.map_err(doing())?;
        let status = ended.exit_code.and_then(|status| i32::try_from(status).ok()).unwrap_or(-1);
        Ok(ShellOutput { status, text: text.trim_end().to_owned() })
    }
}

//! Starts a system: everything that can begin at once does, and nothing is ready until it is seen to be.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::future::{join, join_all, try_join_all, try_join4};

use super::{
    Access, DiskError, Entry, Inner, NamingError, RunningCluster, Services, ShapingError, StorageError,
    SubscribingError, System, storage::other_servers_answer,
};
use crate::{
    credentials::Credentials,
    engine::{
        Disk, Engine, EngineError, LogFolder, Pod, PodSpec, ServiceContainer, ServiceSpec, Watchdog, Wrapping,
        labels::RunLabels,
    },
    plan::{Plan, PlannedService},
    secrets::{self, SecretsError},
    services::{self, Rendered, Starts},
    topology::{Host, Instance, ServiceKind, WRITE, Written},
    trust::TrustError,
    waiting::{NotReady, wait_until},
};

/// A system could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// Docker did not do what it was asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It was not ready in time.
    #[error("the system is not ready: {0}")]
    NotReady(#[from] NotReady),
    /// There is no image for a kind of container.
    #[error("no image for {0}")]
    NoImage(String),
    /// A prepared disk did not do what it was asked.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A virtual address can't be reached from this machine.
    #[error(
        "the virtual address `{0}` can't be reached: it belongs to no container, so the engine publishes no port of it, and the \
         engine's networks are not this machine's own; use an engine that runs on this machine"
    )]
    Unreachable(String),
    /// Links could not be shaped.
    #[error("failed to shape links: {0}")]
    Shaping(#[from] ShapingError),
    /// Global names could not be made.
    #[error("failed to make global names: {0}")]
    Naming(#[from] NamingError),
    /// The run's keys and certificates could not be made, or found.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The run's certificates can't be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A subscription could not be made.
    #[error(transparent)]
    Subscribing(#[from] SubscribingError),
    /// Buckets, or an archive in one, could not be made.
    #[error("failed to prepare object storage: {0}")]
    Storage(#[from] StorageError),
}

/// How long one attempt to write into the DCS may take. Without a quorum it would hang.
const DCS_PUT_WITHIN: Duration = Duration::from_millis(500);

/// The name of the network that joins several regions. No region can have it: names begin with a letter.
const BACKBONE: &str = "-between-regions";

/// Image tags by the name of their folder under `images/`.
pub type ImageTags = BTreeMap<String, String>;

/// What a system is started from.
#[doc(hidden)]
pub struct Startup<'a> {
    pub engine: &'a Engine,
    pub plan: Plan,
    pub labels: RunLabels,
    pub images: &'a ImageTags,
    /// Where logs go.
    pub logs: PathBuf,
    /// The members that are to lead the DCSs first, where an election alone chooses.
    pub leading: Vec<String>,
}

/// A service that runs, by its host and which of its services it is.
type Started = ((String, Instance), ServiceContainer);

#[doc(hidden)]
impl System {
    /// Starts every host and service and waits until clients can write and every standby streams. What was
    /// started before a failure is left to the caller's sweep, so that its logs can still be read.
    pub async fn start(startup: Startup<'_>) -> Result<(Self, Duration), SystemError> {
        let begun = Instant::now();
        let system = Self::start_containers(startup, begun).await?;
        system.wait_ready(begun).await?;
        system.note_reached("clients write and every standby streams");
        system.subscribe().await?;
        system.sync_disks().await?;
        Ok((system, begun.elapsed()))
    }

    /// Hosts first: a service that begins must find every peer's address, and its own host's links shaped.
    async fn start_containers(startup: Startup<'_>, begun_at: Instant) -> Result<Self, SystemError> {
        let credentials = secrets::generate(&startup.plan)?;
        other_servers_answer(&startup.plan, &Access::new(credentials.clone())).await?;
        let logs = LogFolder::new(startup.logs.clone(), credentials.secrets());
        let programs = programs(&startup).await?;
        let starter = Starter { startup: &startup, credentials: &credentials, logs: &logs, programs };
        let pods = starter.pods().await?;
        let access = access(&startup.plan, &credentials, &pods).await?;
        let http = access.http(crate::http::client()).build().map_err(|error| TrustError(error.to_string()))?;
        let inner = Inner {
            plan: startup.plan.clone(),
            engine: startup.engine.clone(),
            labels: startup.labels.clone(),
            access,
            pods: pods.into_iter().map(|pod| (pod.host.clone(), pod)).collect(),
            logs: logs.clone(),
            http,
            led_last: Mutex::default(),
            begun: begun_at,
            reached: Mutex::default(),
            given_up: Mutex::default(),
            revoked: tokio::sync::Mutex::default(),
        };
        let begun = Self { inner: Arc::new(inner), services: Arc::new(Services::new()) };
        begun.raise_firewall().await?;
        begun.note_reached("hosts run");
        let hosts = begun.plan().topology.hosts().map(|host| begun.start_host(&starter, &host.name));
        let clusters = begun.clusters().map(|cluster| begun.bring_up(&starter, cluster));
        let names = async { Ok(begun.make_names().await?) };
        let buckets = async { Ok(begun.make_buckets().await?) };
        let (on_hosts, in_clusters, (), ()) =
            try_join4(try_join_all(hosts), try_join_all(clusters), names, buckets).await?;
        let services = on_hosts.into_iter().chain(in_clusters).flatten().collect();
        Ok(Self { services: Arc::new(services), ..begun })
    }

    /// Starts the services of a host that wait for nobody. Links are shaped before anything uses them.
    async fn start_host(&self, starter: &Starter<'_>, host: &str) -> Result<Vec<Started>, SystemError> {
        let Some(pod) = self.pod(host) else { return Ok(Vec::new()) };
        let planned = self.plan().services.iter().filter(|service| service.host == host);
        let (shapers, others): (Vec<_>, Vec<_>) = planned.partition(|planned| planned.kind == ServiceKind::Toxiproxy);
        let mut started = try_join_all(shapers.iter().map(|planned| starter.service(pod, planned))).await?;
        if !started.is_empty() {
            self.shape_links(host).await?;
        }
        let at_once = others.iter().filter(|planned| self.starts_at_once(host, planned.kind));
        started.extend(try_join_all(at_once.map(|planned| starter.service(pod, planned))).await?);
        Ok(started)
    }

    /// Whether a service waits for nobody. Nodes of a cluster that follows another one wait for that: a standby leader that
    /// comes too early asks again only in its agent's next loop. An agent whose password the DCS does not know yet asks again
    /// after 5 s.
    fn starts_at_once(&self, host: &str, kind: ServiceKind) -> bool {
        let row = services::service(kind);
        let waits = self.plan().cluster_of(host).is_some_and(|cluster| {
            let dcs = self.plan().dcs_of(cluster);
            cluster.follows.is_some() || dcs.is_some_and(|dcs| self.plan().asks_for_passwords(dcs))
        });
        row.starts == Starts::AtOnce && !(row.is_node() && waits)
    }

    /// Brings a cluster up: its configuration, its nodes once there is somebody to follow, and what waits for its leader. A
    /// balancer that starts earlier would mark every server DOWN and need `rise` more checks after that.
    async fn bring_up(&self, starter: &Starter<'_>, cluster: RunningCluster<'_>) -> Result<Vec<Started>, SystemError> {
        let plan = self.plan();
        let deadline = Duration::from_secs(plan.deadlines.cluster_ready_s);
        let mut started = Vec::new();
        let name = &cluster.plan().name;
        self.configure_dcs(cluster).await?;
        self.note_reached(format!("the DCS of {name} takes writes"));
        let concerned: Vec<ServiceKind> =
            plan.dcs_of(cluster.plan()).map(|dcs| dcs.kind).into_iter().chain(plan.node_kinds()).collect();
        if let Some(follows) = &cluster.plan().follows
            && let Some(host) = &follows.host
        {
            let what = format!("a server at {host}:{} for {name} to follow", follows.port);
            let waited = wait_until(&what, deadline, || self.can_be_followed(host, follows.port)).await;
            waited.map_err(|missed| self.with_logs(missed, &self.serving()))?;
            self.note_reached(format!("{name} finds whom it follows"));
        }
        let waited = |planned: &&PlannedService| {
            let is_own = planned.kind.is_node() && cluster.plan().nodes.contains(&planned.host);
            is_own && !self.starts_at_once(&planned.host, planned.kind)
        };
        let nodes = plan.services.iter().filter(waited);
        let nodes = nodes.filter_map(|planned| Some((self.pod(&planned.host)?, planned)));
        started.extend(try_join_all(nodes.map(|(pod, planned)| starter.service(pod, planned))).await?);
        let behind_leader = |planned: &&PlannedService| {
            let own = plan.cluster_beside(planned).is_some_and(|own| own.name == cluster.plan().name);
            services::service(planned.kind).starts == Starts::BehindAPrimary && own
        };
        let waiting: Vec<&PlannedService> = plan.services.iter().filter(behind_leader).collect();
        let untold = plan.dcs_of(cluster.plan()).and_then(|dcs| services::service(dcs.kind).dcs());
        let untold = untold.is_some_and(|dcs| !dcs.tells_of_a_first_leader);
        if !waiting.is_empty() || untold {
            let look = || async { cluster.leader().await.ok_or("no node says that it leads".to_owned()) };
            let what = if plan.clusters.len() == 1 {
                "a primary".to_owned()
            } else {
                format!("a leader of {}", cluster.plan().name)
            };
            wait_until(&what, deadline, look).await.map_err(|missed| self.with_logs(missed, &concerned))?;
            self.note_reached(format!("{name} has a leader"));
        }
        let waiting = waiting.into_iter().filter_map(|planned| Some((self.pod(&planned.host)?, planned)));
        let behind = try_join_all(waiting.map(|(pod, planned)| starter.service(pod, planned)));
        let told = async {
            if untold {
                cluster.look_again(&self.dynamic_configuration(cluster)).await;
            }
        };
        let (behind, ()) = join(behind, told).await;
        started.extend(behind?);
        Ok(started)
    }

    /// The configuration that the nodes of a cluster share.
    fn dynamic_configuration(&self, cluster: RunningCluster<'_>) -> serde_json::Value {
        services::patroni::dynamic(&self.plan().site(cluster.plan().nodes.first().map_or("", String::as_str)))
    }

    /// Whether a standby leader finds a server where it is to connect.
    async fn can_be_followed(&self, called: &str, port: u16) -> Result<(), String> {
        let host = self.plan().topology.host_called(called).map(|host| host.name.clone());
        let host = host.ok_or_else(|| format!("no host is called {called}"))?;
        self.query(&host, port, "SELECT pg_is_in_recovery()").await.map(|_| ())
    }

    /// Writes the shared configuration into the DCS as soon as it has a quorum, so that every node starts with it.
    /// The first primary would do so only in the loop after its election: a standby that came before that would
    /// start with PostgreSQL's defaults and stop again.
    async fn configure_dcs(&self, cluster: RunningCluster<'_>) -> Result<(), SystemError> {
        let Some(dcs) = self.plan().dcs_of(cluster.plan()) else { return Ok(()) };
        let members: Vec<&str> = dcs.members.iter().map(String::as_str).collect();
        let (key, configuration) = (cluster.plan().key("config"), self.dynamic_configuration(cluster).to_string());
        let deadline = Duration::from_secs(self.plan().deadlines.cluster_ready_s);
        let put = || async {
            self.protect_dcs(dcs, &members).await?;
            let mut client = self.dcs_client(dcs, &members, DCS_PUT_WITHIN)?;
            client.put(&key, &configuration).await.map_err(|error| error.to_string())
        };
        let written = wait_until("a DCS that takes writes", deadline, put).await;
        Ok(written.map_err(|missed| self.with_logs(missed, &[dcs.kind]))?)
    }

    async fn wait_ready(&self, begun: Instant) -> Result<(), SystemError> {
        let deadline = Duration::from_secs(self.plan().deadlines.cluster_ready_s).saturating_sub(begun.elapsed());
        let writable = async {
            let waited = wait_until("a writable endpoint", deadline, || self.one_write_transaction()).await;
            waited.map_err(|missed| self.with_logs(missed, &self.serving()))?;
            self.note_reached("clients write");
            Ok::<_, SystemError>(())
        };
        let streaming = try_join_all(self.clusters().map(|cluster| async move {
            let standbys = cluster.plan().nodes.len().saturating_sub(1);
            let of =
                if self.plan().clusters.len() == 1 { String::new() } else { format!(" of {}", cluster.plan().name) };
            let look = || async move {
                let leader = cluster.leader().await.ok_or("no node leads yet")?;
                self.streaming_from(&leader, standbys).await
            };
            let waited = wait_until(&format!("{standbys} streaming standbys{of}"), deadline, look).await;
            waited.map_err(|missed| self.with_logs(missed, &self.plan().node_kinds()))?;
            self.note_reached(format!("the standbys of {} stream", cluster.plan().name));
            Ok::<_, SystemError>(())
        }));
        let names = async { Ok(self.names_follow_health(deadline).await?) };
        let archiving = async {
            self.replicate_buckets().await?;
            Ok(self.start_archiving(deadline).await?)
        };
        try_join4(writable, streaming, names, archiving).await?;
        // Whether what follows another cluster really does. What a document writes where Patroni does not read it may not:
        // that is for a scenario to find out.
        let is_meant_to = |cluster: RunningCluster<'_>| {
            cluster.plan().follows.as_ref().is_none_or(|follows| follows.written == Written::Dynamic)
        };
        if self.plan().clusters.len() > 1 && self.clusters().all(is_meant_to) {
            let waited = wait_until("every cluster to stream", deadline, || self.all_follow()).await;
            waited.map_err(|missed| self.with_logs(missed, &self.plan().node_kinds()))?;
        }
        Ok(())
    }

    /// The kinds of service that clients depend on here: nodes, and balancers.
    fn serving(&self) -> Vec<ServiceKind> {
        let balancers = |kind: &ServiceKind| kind.is_node() || services::service(*kind).balancer().is_some();
        self.plan().kinds().into_iter().filter(balancers).collect()
    }

    /// Adds the last log lines of the services of these kinds.
    pub fn with_logs(&self, missed: NotReady, kinds: &[ServiceKind]) -> NotReady {
        let concerned = self.plan().services.iter().filter(|service| kinds.contains(&service.kind));
        self.with_logs_of(missed, concerned.map(|service| (service.host.clone(), service.instance())))
    }

    /// Adds the last log lines of these services of these hosts.
    pub fn with_logs_of(
        &self,
        mut missed: NotReady,
        concerned: impl IntoIterator<Item = (String, Instance)>,
    ) -> NotReady {
        let heads = concerned.into_iter().map(|(host, which)| {
            format!("--- the last of {which} on {host}\n{}", self.logs().last_lines(&host, which.name()))
        });
        missed.logs = heads.collect::<Vec<_>>().join("\n");
        missed
    }

    /// Whether the write endpoint reaches a server that accepts writes.
    async fn one_write_transaction(&self) -> Result<(), String> {
        let write = self.plan().endpoint(WRITE).ok_or("there is no endpoint for writes")?;
        let entry = Entry::of(self.plan(), self.access(), write).map_err(|error| error.to_string())?;
        let address = entry.way().await.map_err(|error| error.to_string())?.address;
        let rows = self.query_at(address, "SELECT pg_is_in_recovery()").await?;
        match rows.first().map(String::as_str) {
            Some("f") => Ok(()),
            other => Err(format!("the write endpoint leads to a server in recovery ({other:?})")),
        }
    }
}

/// Where every published port is reached: at the host itself where the engine's networks are this machine's own.
async fn access(plan: &Plan, credentials: &Credentials, pods: &[Pod]) -> Result<Access, SystemError> {
    let mut access = Access::new(credentials.clone()).with_tls(plan.topology.tls)?;
    let direct = join_all(pods.iter().map(Pod::is_reached_directly)).await;
    for (pod, direct) in pods.iter().zip(direct.iter().copied()) {
        for (port, there) in &pod.published {
            let published = SocketAddr::from((Ipv4Addr::LOCALHOST, *there));
            let itself =
                direct.then(|| pod.address.parse().ok()).flatten().map(|address: IpAddr| (address, *port).into());
            access.publish(&pod.host, *port, published, itself.unwrap_or(published));
        }
        access.know(&pod.host, &pod.addresses());
    }
    for endpoint in &plan.endpoints {
        let Some(shared) = plan.topology.virtual_address(&endpoint.at.host) else { continue };
        let holder = pods.iter().zip(&direct).find(|(pod, direct)| **direct && shared.holders.contains(&pod.host));
        let address = holder.and_then(|(pod, _)| pod.neighbour(plan.topology.last_octet(shared)));
        let address = address.ok_or_else(|| SystemError::Unreachable(shared.name.clone()))?;
        let at = SocketAddr::from((address, endpoint.at.port));
        access.publish(&shared.name, endpoint.at.port, at, at);
    }
    Ok(access)
}

/// Programs that are put beside services, where the plan needs them.
struct Programs {
    /// Where disks are prepared.
    disk: Option<Vec<u8>>,
    /// Where a node has a watchdog.
    watchdog: Option<Vec<u8>>,
}

async fn programs(startup: &Startup<'_>) -> Result<Programs, SystemError> {
    let (engine, labels, plan) = (startup.engine, &startup.labels, &startup.plan);
    let image = |name: &str| startup.images.get(name).ok_or_else(|| SystemError::NoImage(name.to_owned()));
    let disk = match plan.topology.prepare.disks {
        true => Some(engine.disk_program(labels, image("disk")?).await?),
        false => None,
    };
    let watchdog = match plan.nodes_with_watchdogs().next() {
        Some(_) => Some(engine.watchdog_program(labels, image("watchdog")?).await?),
        None => None,
    };
    Ok(Programs { disk, watchdog })
}

struct Starter<'a> {
    startup: &'a Startup<'a>,
    credentials: &'a Credentials,
    logs: &'a LogFolder,
    programs: Programs,
}

impl Starter<'_> {
    /// Starts every host, each in its region's network; several regions are joined by one more.
    async fn pods(&self) -> Result<Vec<Pod>, SystemError> {
        let Startup { engine, labels, plan, .. } = self.startup;
        let regions = &plan.topology.regions;
        let backbone = match regions.len() {
            0 | 1 => None,
            _ => Some(engine.create_network(labels, BACKBONE, "bridge").await?),
        };
        let started = regions.iter().map(|region| {
            let backbone = backbone.as_deref();
            async move {
                let network = engine.create_network(labels, &region.name, region.driver.name()).await?;
                try_join_all(region.hosts.iter().map(|host| self.pod(host, &network, backbone))).await
            }
        });
        Ok(try_join_all(started).await?.into_iter().flatten().collect())
    }

    async fn pod(&self, host: &Host, network: &str, backbone: Option<&str>) -> Result<Pod, SystemError> {
        let image = self.image("holder")?;
        let ports = self.startup.plan.published_ports(&host.name).into_iter().collect();
        let (labels, aliases) = (&self.startup.labels, &host.aliases);
        let spec = PodSpec { labels, host: &host.name, aliases, network, backbone, image, ports };
        let pod = self.startup.engine.start_pod(spec).await?;
        pod.shell.open().await?;
        Ok(pod)
    }

    async fn service(&self, pod: &Pod, planned: &PlannedService) -> Result<Started, SystemError> {
        let (row, which) = (services::service(planned.kind), planned.instance());
        let image = self.image(&self.startup.plan.image_of(&pod.host, planned.kind).name())?;
        let mut site = self.startup.plan.site_of(planned);
        if row.dcs().is_some() {
            // Stable: the others keep their order.
            site.dcs_members.sort_by_key(|member| self.startup.leading.iter().any(|leading| leading == member));
        }
        let rendered = (row.render)(&site, self.credentials);
        let Rendered { command, files, environment } =
            self.startup.plan.topology.with_own(planned.kind, &site, rendered);
        let image = image.split_once(':').unwrap_or((image, "latest"));
        let has_watchdog = row.is_node() && self.startup.plan.watchdog_timeout_s(&pod.host).is_some();
        let watchdog = self.programs.watchdog.as_ref().filter(|_| has_watchdog);
        let wrapping = row.storage.map(|storage| Wrapping {
            user: storage.user,
            entry_point: storage.entry_point,
            disk: self.programs.disk.as_ref().map(|program| Disk {
                program,
                directory: storage.directory,
                control_port: storage.control_port,
            }),
            watchdog: watchdog.map(|program| Watchdog { program, directory: services::watchdog::DIRECTORY }),
        });
        let yields = planned.kind == ServiceKind::Restore;
        let (labels, name) = (&self.startup.labels, which.name());
        let capabilities = row.capabilities;
        let spec =
            ServiceSpec { labels, pod, name, image, command, files, environment, capabilities, wrapping, yields };
        let container = self.startup.engine.start_service(spec).await?;
        self.logs.follow(self.startup.engine, &container.id, &pod.host, which.name());
        Ok(((pod.host.clone(), which), container))
    }

    fn image(&self, name: &str) -> Result<&str, SystemError> {
        self.startup.images.get(name).map(String::as_str).ok_or_else(|| SystemError::NoImage(name.to_owned()))
    }
}

//! A real PostgreSQL in a container of the project's own image, without Patroni.

use std::time::{Duration, Instant};

use pgquake::{
    engine::images::{self, ImageKind},
    plan::Plan,
    services::service,
    system::{Access, Credentials, access::LEDGER_COLUMNS},
    topology::{Endpoint, Endpoints, Host, Region, ServiceKind, Topology},
};
use testcontainers::{
    ContainerAsync, GenericImage, ImageExt,
    core::{ExecCommand, IntoContainerPort, WaitFor},
    runners::AsyncRunner,
};

const PASSWORD: &str = "made-for-this-test";
/// A load takes much of a small machine: two at once would measure each other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A primary on port 5432 and, when asked for, a standby of it on port 5433 in the same container.
pub struct Postgres {
    _alone: tokio::sync::MutexGuard<'static, ()>,
    container: ContainerAsync<GenericImage>,
    pub port: u16,
    pub standby_port: Option<u16>,
}

impl Postgres {
    pub async fn start(with_standby: bool) -> Self {
        Self::start_in(ImageKind::of(ServiceKind::Patroni), with_standby).await
    }

    /// A primary and a standby that have pgvector.
    pub async fn with_vector() -> Self {
        let recipe = service(ServiceKind::Patroni).node().and_then(|node| node.with_vector);
        Self::start_in(ImageKind::made_by(recipe.expect("an image")), true).await
    }

    async fn start_in(kind: ImageKind, with_standby: bool) -> Self {
        let alone = ALONE.lock().await;
        let script = format!(
            r"set -e
            cd /var/lib/postgresql
            cp -a prepared data
            echo 'host all,replication all all scram-sha-256' >> data/pg_hba.conf
            postgres --single -j -D data postgres > /dev/null <<'SQL'
SET scram_iterations = 16;
CREATE ROLE pgquake LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor, pg_signal_backend;
CREATE SCHEMA pgquake AUTHORIZATION pgquake;
CREATE TABLE pgquake.ledger ({LEDGER_COLUMNS});
ALTER TABLE pgquake.ledger OWNER TO pgquake;
GRANT EXECUTE ON FUNCTION pg_read_file(text) TO pgquake;
SQL
            options='-c listen_addresses=* -c unix_socket_directories=/var/run/postgresql -c max_connections=400'
            if {with_standby}; then
              (
                until pg_isready -q; do sleep 0.05; done
                pg_basebackup -D standby -R -c fast -d 'user=postgres application_name=node2'
                exec postgres -D standby $options -p 5433 -c pgquake.node=node2
              ) &
            fi
            exec postgres -D data $options -c pgquake.node=node1"
        );
        let tag = image(kind).await;
        let (name, version) = tag.split_once(':').expect("a tag with a version");
        let image = GenericImage::new(name, version)
            .with_wait_for(WaitFor::message_on_stderr("database system is ready to accept connections"))
            .with_entrypoint("/bin/bash")
            .with_exposed_port(5432.tcp())
            .with_exposed_port(5433.tcp());
        let container = image.with_cmd(["-c", &script]).start().await.expect("a PostgreSQL container");
        let port = container.get_host_port_ipv4(5432).await.expect("a published port");
        let mut postgres = Self { _alone: alone, container, port, standby_port: None };
        if with_standby {
            let streaming = "SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'";
            postgres.until_on("5433", "a standby that streams", streaming).await;
            postgres.standby_port = Some(postgres.container.get_host_port_ipv4(5433).await.expect("a published port"));
        }
        postgres
    }

    /// Runs SQL as the superuser on the primary; each row comes back as a line.
    pub async fn sql(&self, sql: &str) -> Vec<String> {
        self.psql("5432", "postgres", sql).await
    }

    /// The same in another database.
    pub async fn sql_in(&self, database: &str, sql: &str) -> Vec<String> {
        self.psql("5432", database, sql).await
    }

    /// The same on the standby.
    pub async fn on_standby(&self, database: &str, sql: &str) -> Vec<String> {
        self.psql("5433", database, sql).await
    }

    async fn psql(&self, port: &str, database: &str, sql: &str) -> Vec<String> {
        let output = self.exec(["psql", "-p", port, "-d", database, "-Atqc", sql]).await;
        output.lines().map(str::to_owned).collect()
    }

    /// Runs a command of the shell beside the servers.
    pub async fn run(&self, script: &str) {
        self.exec(["sh", "-c", script]).await;
    }

    async fn exec<const N: usize>(&self, command: [&str; N]) -> String {
        let mut ran = self.container.exec(ExecCommand::new(command)).await.expect("a command");
        String::from_utf8(ran.stdout_to_vec().await.expect("its output")).expect("UTF-8")
    }

    /// Runs SQL on the primary until it returns rows.
    pub async fn until(&self, awaited: &str, sql: &str) -> Vec<String> {
        self.until_on("5432", awaited, sql).await
    }

    async fn until_on(&self, port: &str, awaited: &str, sql: &str) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let rows = self.psql(port, "postgres", sql).await;
            if !rows.is_empty() {
                return rows;
            }
            assert!(Instant::now() < deadline, "{awaited} did not come within 30 s");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The project's own image, made if it is not there.
async fn image(kind: ImageKind) -> String {
    let docker = bollard::Docker::connect_with_defaults().expect("a Docker engine");
    let images = images::ensure(&docker, &[kind], &|_| {}).await.expect("the image");
    images[&kind].tag.clone()
}

/// A plan with these nodes; the endpoint `write` is port 5000 of a host `proxy`.
pub fn plan(nodes: &[&str]) -> Plan {
    let host = |name: &str, kinds: Vec<ServiceKind>| {
        let services = kinds.into_iter().map(Into::into).collect();
        Host { name: name.to_owned(), zone: None, aliases: Vec::new(), services, tags: Default::default() }
    };
    let mut hosts: Vec<_> = nodes.iter().map(|node| host(node, vec![ServiceKind::Patroni])).collect();
    hosts.push(host("proxy", vec![]));
    Plan::new(Topology {
        name: "test".to_owned(),
        description: String::new(),
        follows: String::new(),
        regions: vec![Region { name: "local".to_owned(), driver: Default::default(), hosts }],
        links: vec![],
        endpoints: Endpoints::write_and_read(Endpoint { host: "proxy".to_owned(), port: 5000, publish: None }, None),
        buckets: Vec::new(),
        backups: Vec::new(),
        subscriptions: Vec::new(),
        applications: Vec::new(),
        tls: Default::default(),
        clusters: Vec::new(),
        region_links: Vec::new(),
        names: vec![],
        virtual_addresses: Vec::new(),
        networks: Vec::new(),
        firewall: None,
        settings: Default::default(),
        own: Default::default(),
        prepare: Default::default(),
        claims: vec![],
    })
}

/// Reaches `write` and each node at these ports of 127.0.0.1.
pub fn access(write: u16, nodes: &[(&str, u16)]) -> Access {
    let credentials = Credentials { client_password: PASSWORD.to_owned(), ..Default::default() };
    let mut access = Access::new(credentials);
    let here = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    access.publish("proxy", 5000, here(write), here(write));
    for (node, port) in nodes {
        access.publish(node, 5432, here(*port), here(*port));
    }
    access
}

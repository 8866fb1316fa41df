//! A real PostgreSQL in a container of the project's own image, without Patroni.

use std::time::{Duration, Instant};

use pgquake::{
    cluster::{Access, Credentials},
    plan::Plan,
    topology::{Endpoint, Endpoints, Host, Region, ServiceKind, Topology},
};
use testcontainers::{
    ContainerAsync, GenericImage, ImageExt,
    core::{ExecCommand, IntoContainerPort, WaitFor},
    runners::AsyncRunner,
};

const PASSWORD: &str = "made-for-this-test";

/// A primary on port 5432 and, when asked for, a standby of it on port 5433 in the same container.
pub struct Postgres {
    container: ContainerAsync<GenericImage>,
    pub port: u16,
    pub standby_port: Option<u16>,
}

impl Postgres {
    pub async fn start(with_standby: bool) -> Self {
        let script = format!(
            r"set -e
            cd /var/lib/postgresql
            cp -a prepared data
            echo 'host all,replication all all scram-sha-256' >> data/pg_hba.conf
            postgres --single -j -D data postgres > /dev/null <<'SQL'
SET scram_iterations = 16;
CREATE ROLE pgquake LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor, pg_signal_backend;
CREATE SCHEMA pgquake AUTHORIZATION pgquake;
CREATE TABLE pgquake.ledger (client int, sequence bigint, PRIMARY KEY (client, sequence));
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
        let image = GenericImage::new("pgq-patroni", "latest")
            .with_wait_for(WaitFor::message_on_stderr("database system is ready to accept connections"))
            .with_entrypoint("/bin/bash")
            .with_exposed_port(5432.tcp())
            .with_exposed_port(5433.tcp());
        let container = image.with_cmd(["-c", &script]).start().await.expect("a PostgreSQL container");
        let port = container.get_host_port_ipv4(5432).await.expect("a published port");
        let mut postgres = Self { container, port, standby_port: None };
        if with_standby {
            postgres.wait_for_streaming().await;
            postgres.standby_port = Some(postgres.container.get_host_port_ipv4(5433).await.expect("a published port"));
        }
        postgres
    }

    /// Runs SQL as the superuser on the primary; the first column of each row comes back.
    pub async fn sql(&self, sql: &str) -> Vec<String> {
        let mut ran = self.container.exec(ExecCommand::new(["psql", "-Atqc", sql])).await.expect("psql");
        let output = ran.stdout_to_vec().await.expect("psql's output");
        String::from_utf8(output).expect("UTF-8").lines().map(str::to_owned).collect()
    }

    async fn wait_for_streaming(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.sql("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'").await.is_empty() {
            assert!(Instant::now() < deadline, "the standby did not stream within 30 s");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A plan with these nodes; the endpoint `write` is port 5000 of a host `proxy`.
pub fn plan(nodes: &[&str]) -> Plan {
    let host = |name: &str, services| Host { name: name.to_owned(), services };
    let mut hosts: Vec<_> = nodes.iter().map(|node| host(node, vec![ServiceKind::Patroni])).collect();
    hosts.push(host("proxy", vec![]));
    Plan::new(Topology {
        name: "test".to_owned(),
        description: String::new(),
        follows: String::new(),
        regions: vec![Region { name: "local".to_owned(), hosts }],
        links: vec![],
        endpoints: Endpoints { write: Endpoint { host: "proxy".to_owned(), port: 5000 }, read: None },
        settings: Default::default(),
        claims: vec![],
    })
}

/// Reaches `write` and each node at these ports of 127.0.0.1.
pub fn access(write: u16, nodes: &[(&str, u16)]) -> Access {
    let credentials = Credentials { client_password: PASSWORD.to_owned(), ..Default::default() };
    let mut access = Access::new(credentials);
    access.publish("proxy", 5000, write);
    for (node, port) in nodes {
        access.publish(node, 5432, *port);
    }
    access
}

//! PostgreSQL outside of every cluster, which subscribes to the ledger of one: logical replication. It is no node: nobody
//! promotes it, and no client writes there.

use std::fmt::Write;

use super::{
    Clock, Instances, Port, Process, Rendered, RevivedBy, Role, RunsOn, Service, ServiceKind, Site, Starts,
    postgresql::{
        MAJOR_VERSION,
        server::{self, REPLICATION_ROLE},
        service,
    },
};
use crate::credentials::{CLIENT_ROLE, Credentials, NODE_SETTING};

/// Where it listens. It may share a host with a node.
pub const SUBSCRIBER_PORT: u16 = 5435;

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Subscriber,
    summary: "PostgreSQL outside of the clusters, which subscribes to the ledger of one",
    placed_by_topologies: true,
    image: service::IMAGE,
    ports: &[Port::watched(SUBSCRIBER_PORT, "the subscriber")],
    processes: &[Process {
        word: "the subscriber",
        pattern: "^/usr/lib/postgresql/[0-9]+/bin/postgres -D ",
        revived_by: RevivedBy::EntryPoint,
        runs_on: RunsOn::Every,
    }],
    storage: None,
    capabilities: &[],
    clock: Clock::Kernel("the clock of a subscriber is not prepared"),
    starts: Starts::AtOnce,
    stop_rank: 13,
    health: Some(|| {
        ["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-p"]
            .map(str::to_owned)
            .into_iter()
            .chain([SUBSCRIBER_PORT.to_string()])
            .collect()
    }),
    formats: &[],
    variables: &[],
    role: Role::None,
    instances: Instances::OneOnAHost("there is one on a host, and it has no settings"),
    rules: |_, _| Vec::new(),
    render,
};

fn render(site: &Site<'_>, credentials: &Credentials) -> Rendered {
    let file = |name: &str, content: String| (format!("/etc/postgresql/{name}"), content);
    let mut sql = server::accounts_and_ledger(MAJOR_VERSION, credentials);
    // How far it has applied what the publisher committed: PostgreSQL shows that to superusers alone.
    // Writing to a String can't fail.
    let _ = writeln!(sql, "GRANT EXECUTE ON FUNCTION pg_replication_origin_progress(text, boolean) TO {CLIENT_ROLE};");
    let files = vec![
        file("postgresql.conf", configuration(site.host)),
        file("pg_hba.conf", server::ACCESS.map(|line| format!("{line}\n")).concat()),
        // The subscription's connection finds the password here: the catalog and the log need not hold it.
        file("pgpass", format!("*:*:*:{REPLICATION_ROLE}:{}\n", credentials.replication_password)),
        file("first-start.sql", sql),
    ];
    Rendered { files, ..Rendered::default() }
}

/// PostgreSQL's defaults, but for where it listens.
fn configuration(host: &str) -> String {
    [
        ("listen_addresses", "*"),
        ("port", &SUBSCRIBER_PORT.to_string()),
        ("hba_file", "/etc/postgresql/pg_hba.conf"),
        ("unix_socket_directories", "/var/run/postgresql"),
        ("cluster_name", host),
        (NODE_SETTING, host),
    ]
    .map(|(name, value)| format!("{name} = '{value}'\n"))
    .concat()
}

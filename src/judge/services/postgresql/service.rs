//! PostgreSQL that no agent keeps: what dies stays dead, and a standby stays one, until an operator comes.

use std::fmt::Write;

use serde_json::Value;

use super::server::{self, POSTGRESQL_PORT, REPLICATION_ROLE};
use crate::{
    credentials::{Credentials, NODE_SETTING},
    services::{
        Clock, Instances, Node, Port, Recipe, Rendered, RevivedBy, Role, Service, ServiceKind, Site, Starts, context,
    },
};

/// Whether the machine starts PostgreSQL when it boots: `auto`, or `manual`. Debian's packaging has such a file.
pub const START_FILE: &str = "/etc/postgresql/start.conf";

/// The image of a server that no agent keeps.
pub(in crate::services) const IMAGE: Recipe = Recipe {
    name: "postgresql",
    files: context!("postgresql": "Dockerfile", "entrypoint.sh", "no-main-cluster.conf"),
    pulled: None,
    on: None,
    packages: &["postgresql-${POSTGRES_MAJOR}"],
    build_rank: 4,
};

pub(in crate::services) const SERVICE: Service = Service {
    kind: ServiceKind::Postgresql,
    summary: "PostgreSQL without an agent: an operator promotes it",
    placed_by_topologies: true,
    image: IMAGE,
    ports: &[Port::watched(POSTGRESQL_PORT, "PostgreSQL")],
    processes: &[
        // The same program makes and mends data directories, and serves nobody then.
        server::postmaster("^/usr/lib/postgresql/[0-9]+/bin/postgres -D ", RevivedBy::EntryPoint),
        server::WAL_SENDER,
        server::WAL_RECEIVER,
        server::CHECKPOINTER,
        server::STARTUP_PROCESS,
    ],
    storage: Some(server::STORAGE),
    capabilities: &[],
    clock: Clock::Kernel("the clock of a PostgreSQL without an agent is not prepared"),
    starts: Starts::AtOnce,
    stop_rank: 1,
    health: Some(|| ["CMD", "pg_isready", "-q", "-h", "127.0.0.1"].map(str::to_owned).into()),
    role: Role::Node(Node {
        with_backups: None,
        with_versions: None,
        with_versions_and_backups: None,
        with_vector: None,
        agent: None,
    }),
    // Its settings are those of PostgreSQL under Patroni, which holds them to their rules.
    formats: &[],
    variables: &[],
    instances: Instances::OneOnAHost("a node is called as its host, and has the settings of its cluster"),
    rules: |_, _| Vec::new(),
    render,
};

fn render(site: &Site<'_>, credentials: &Credentials) -> Rendered {
    let file = |name: &str, content: String| (format!("/etc/postgresql/{name}"), content);
    let mut files = vec![
        file("postgresql.conf", configuration(site)),
        file("pg_hba.conf", server::ACCESS.map(|line| format!("{line}\n")).concat()),
        // The entry point gives it to the server's own user alone.
        file("pgpass", passwords(credentials)),
    ];
    let primary = site.nodes.first().filter(|first| *first != site.host);
    let Some(primary) = primary else {
        files.push(file("first-start.sql", server::first_start(site, credentials)));
        files.extend(server::first_start_of_databases(site));
        return Rendered { command: Vec::new(), files, ..Rendered::default() };
    };
    Rendered { command: vec![primary.clone(), server::slot_name(site.host)], files, ..Rendered::default() }
}

fn configuration(site: &Site<'_>) -> String {
    let mut text = String::new();
    let mut set = |name: &str, value: &str| {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{name} = '{}'", value.replace('\'', "''"));
    };
    for (name, value) in server::parameters(site).as_object().into_iter().flatten() {
        match value {
            Value::String(value) => set(name, value),
            value => set(name, &value.to_string()),
        }
    }
    set("listen_addresses", "*");
    set("hba_file", "/etc/postgresql/pg_hba.conf");
    set("unix_socket_directories", "/var/run/postgresql");
    // Standbys are known by it where `synchronous_standby_names` names them.
    set("cluster_name", site.host);
    set(NODE_SETTING, site.host);
    text
}

/// By which standbys stream, copy and rewind: no command and no file of PostgreSQL's holds a password.
fn passwords(credentials: &Credentials) -> String {
    let Credentials { superuser_password, replication_password, .. } = credentials;
    format!("*:*:*:postgres:{superuser_password}\n*:*:*:{REPLICATION_ROLE}:{replication_password}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::Settings;

    fn rendered(host: &str) -> Rendered {
        let mut settings = Settings::default();
        for (name, value) in [("synchronous_standby_names", "FIRST 1 (node2, node3)"), ("log_line_prefix", "it's %m ")]
        {
            settings.postgresql.parameters.insert(name.to_owned(), value.to_owned());
        }
        let nodes = ["node1", "node2", "node3"].map(str::to_owned);
        let site = Site {
            host,
            scope: "",
            nodes: &nodes,
            dcs: None,
            dcs_members: Vec::new(),
            upstream: None,
            permanent_slots: Vec::new(),
            logical_slots: Vec::new(),
            balancers: Vec::new(),
            balanced_from: Vec::new(),
            fronts: Vec::new(),
            repointed: Vec::new(),
            shared_address: None,
            archive: None,
            settings: std::borrow::Cow::Borrowed(&settings),
            tls: crate::services::Tls::default(),
            clocks_are_prepared: false,
            tags: &crate::services::Tags::NONE,
        };
        let credentials = Credentials { replication_password: "secret".to_owned(), ..Credentials::default() };
        render(&site, &credentials)
    }

    fn file<'r>(rendered: &'r Rendered, name: &str) -> Option<&'r str> {
        let found = rendered.files.iter().find(|(path, _)| path.ends_with(&format!("/{name}")));
        found.map(|(_, content)| content.as_str())
    }

    #[test]
    fn the_first_node_makes_the_data_and_the_others_copy_it() {
        let (first, standby) = (rendered("node1"), rendered("node2"));
        assert!(first.command.is_empty());
        let sql = file(&first, "first-start.sql").unwrap_or_default();
        assert!(sql.contains("pg_create_physical_replication_slot('node2', true)"), "{sql}");
        assert_eq!(standby.command, ["node1", "node2"]);
        assert_eq!(file(&standby, "first-start.sql"), None);
    }

    #[test]
    fn the_topologys_parameters_hold_and_a_password_stands_in_one_file_alone() {
        let standby = rendered("node2");
        let configuration = file(&standby, "postgresql.conf").unwrap_or_default();
        for line in [
            "synchronous_standby_names = 'FIRST 1 (node2, node3)'\n",
            "log_line_prefix = 'it''s %m '\n",
            "max_connections = '400'\n",
            "cluster_name = 'node2'\n",
        ] {
            assert!(configuration.contains(line), "no {line:?} in {configuration}");
        }
        let with_password = standby.files.iter().filter(|(_, content)| content.contains("secret"));
        assert_eq!(with_password.map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["/etc/postgresql/pgpass"]);
    }
}

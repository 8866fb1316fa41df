//! Lines that the files of teams have: those that Patroni or PostgreSQL read count as they are read, and those that the run has no
//! part for are told or refused, with what to write.

use pgquake_judge::{services::ServiceKind, topology::Topology};
use serde_json::{Value, json};

use super::{Stack, check, file, rendered};

fn taken(name: &str, replace: &str, by: &str) -> Topology {
    let stack = Stack::new();
    stack.change(name, replace, by);
    stack.load().unwrap_or_else(|error| panic!("{by:?}: {error:?}"))
}

fn keys_told(topology: &Topology, name: &str) -> Vec<String> {
    topology.overridden().into_iter().filter(|own| own.place.contains(name)).map(|own| own.key).collect()
}

/// Debian's own file has it on, and PgBouncer's TLS is left out, too.
#[test]
fn tls_of_postgresql_is_left_out_with_a_word() {
    let (conf, p) = ("postgresql.conf", "patroni.yml");
    let topology = taken(conf, "log_checkpoints", "SSL = on\nssl_cert_file = '/etc/ssl/x.pem'\nlog_checkpoints");
    assert_eq!(keys_told(&topology, conf), ["listen_addresses", "ssl"]);
    let node = rendered(&topology, "db1", ServiceKind::Patroni);
    assert!(!file(&node, "/etc/patroni/postgresql.conf").contains("SSL"), "{node:?}");
    let topology = taken(p, "wal_log_hints: \"on\"", "ssl: \"on\"");
    assert!(keys_told(&topology, p).contains(&"bootstrap.dcs.postgresql.parameters.ssl".to_owned()));
    assert_eq!(topology.settings.postgresql.parameters.get("ssl"), None);
}

#[test]
fn older_names_of_parameters_are_read_as_patroni_reads_them() {
    let p = "patroni.yml";
    let of = |by: &str, name: &str| {
        let topology = taken(p, "wal_keep_size: 256MB", by);
        (topology.settings.postgresql.parameters.get(name).cloned(), keys_told(&topology, p))
    };
    assert_eq!(of("wal_level: hot_standby", "wal_level").0.as_deref(), Some("replica"));
    assert_eq!(of("wal_keep_segments: 8", "wal_keep_size").0.as_deref(), Some("128MB"));
    let (size, told) = of("wal_keep_size: 1GB\n        wal_keep_segments: 8", "wal_keep_size");
    assert_eq!(size.as_deref(), Some("1GB"));
    assert!(told.contains(&"bootstrap.dcs.postgresql.parameters.wal_keep_segments".to_owned()), "{told:?}");
    let unknown = "PostgreSQL 17 has no parameter `wal_keep_segments`";
    check(p, "wal_keep_size: 256MB", "wal_keep_segments: few", 25, unknown, "`wal_keep_size`");
}

/// Patroni takes it out of what all nodes share, and has 128 MB where that says nothing.
#[test]
fn how_much_wal_is_kept_is_not_a_nodes_own_to_say() {
    let (conf, p) = ("postgresql.conf", "patroni.yml");
    let topology = taken(conf, "log_checkpoints", "wal_keep_size = 0\nlog_checkpoints");
    assert_eq!(keys_told(&topology, conf), ["listen_addresses", "wal_keep_size"]);
    assert_eq!(topology.settings.postgresql.parameters["wal_keep_size"], "256MB");
    for line in ["wal_keep_size: 1GB", "wal_keep_segments: 64"] {
        let topology = taken(p, "log_min_duration_statement: 250ms", line);
        let key = format!("postgresql.parameters.{}", line.split(':').next().unwrap());
        assert!(keys_told(&topology, p).contains(&key), "{line}");
        assert_eq!(topology.settings.postgresql.parameters["wal_keep_size"], "256MB");
    }
}

/// As access may be.
#[test]
fn how_a_standby_gets_its_data_may_be_said_for_all_nodes() {
    for key in ["create_replica_methods", "create_replica_method"] {
        let command = "pgbackrest: { command: /x }";
        let by = format!("use_slots: true\n      {key}: [pgbackrest, basebackup]\n      {command}");
        let topology = taken("patroni.yml", "use_slots: true", &by);
        let told = keys_told(&topology, "patroni.yml");
        assert!(told.contains(&format!("bootstrap.dcs.postgresql.{key}")), "{told:?}");
        let node = rendered(&topology, "db2", ServiceKind::Patroni);
        let runs: Value = serde_saphyr::from_str(file(&node, "/etc/patroni/patroni.yml")).unwrap();
        let postgresql = &runs["postgresql"];
        assert_eq!(postgresql["create_replica_methods"], json!(["prepared", "pgbackrest", "basebackup"]));
        assert_eq!(postgresql["pgbackrest"]["command"], "/x");
        // What the node says of it comes first.
        assert_eq!(postgresql["basebackup"]["checkpoint"], "fast");
    }
}

/// Every server would be down for ever.
#[test]
fn haproxy_reaches_servers_without_tls() {
    let h = "haproxy.cfg";
    let plain = "Patroni of the run answers its checks by plain HTTP";
    let server = "db1:6432 check port 8008";
    check(h, server, "db1:6432 check check-ssl verify none port 8008", 28, plain, "leave `check-ssl` out");
    check(h, "fall 2 rise 2", "fall 2 rise 2 check-ssl", 27, plain, "leave `check-ssl` out");
    let connect = "option httpchk\n    http-check connect port 8008 ssl\n    http-check send meth GET uri /primary";
    check(h, "option httpchk OPTIONS /primary", connect, 26, plain, "leave `ssl` out");
    let sessions = "servers of the run take sessions without TLS around them";
    check(h, server, "db1:6432 ssl verify none check port 8008", 28, sessions, "leave `ssl` out");
    taken(h, server, "db1:6432 check port 8008 no-check-ssl");
}

/// What Patroni answers by role is known by all of its names.
#[test]
fn checks_for_synchronous_and_asynchronous_standbys_are_for_a_role() {
    for path in ["/sync", "/async?lag=10MB", "/asynchronous", "/read-only-sync", "/quorum", "/replica?lag=10MB&tag_a=b"]
    {
        let topology = taken("haproxy.cfg", "OPTIONS /replica", &format!("OPTIONS {path}"));
        assert_eq!(serde_json::to_value(topology.settings.haproxy.check).unwrap(), "role", "{path}");
    }
}

#[test]
fn what_is_not_in_the_file_says_what_to_write() {
    let h = "haproxy.cfg";
    let message = "what `${INTER}` stands for is not in the file";
    check(h, "inter 1s", "inter \"${INTER}\"", 27, message, "in the place of the variable");
    check(h, "inter 1s", "inter soon", 27, "`inter` takes a number", "");
    // An address, which most files have in the place of a name.
    let (message, help) = ("no host of the topology is called `10.0.0.1`", "write a host's name");
    check(h, "pg-a db1:6432", "pg-a 10.0.0.1:6432", 28, message, help);
    check(h, "pg-a db1:6432", "pg-a [fd00::1]:6432", 28, "no host of the topology is called `[fd00::1]`", help);
    check("pgbouncer.ini", "host=127.0.0.1", "host=10.0.0.1", 2, message, help);
    let message = "`include_dir` leads to a file that is not in the topology";
    check("postgresql.conf", "work_mem = 8MB", "include_dir = 'conf.d'", 4, message, "leave it out");
    check(
        "pgbouncer.ini",
        "[pgbouncer]",
        "app = host=/run/postgresql\n[pgbouncer]",
        4,
        "it leads to a socket, and PostgreSQL's is not in the container of PgBouncer",
        "host=127.0.0.1",
    );
}

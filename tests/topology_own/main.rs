//! What the team brings of its own: what its files state becomes settings, what they say runs, and mistakes in them are shown where
//! they stand.

mod as_teams_have_it;
mod told_and_refused;

use std::{collections::BTreeMap, fs, path::Path};

use pgquake_judge::{
    credentials::Credentials,
    plan::Plan,
    services::{Rendered, ServiceKind, own, patroni, service},
    topology::{Topology, TopologyError, load},
};
use serde_json::{Value, json};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/own-stack");

fn example() -> Topology {
    load(&format!("{EXAMPLE}/topologies/own-stack.yaml"), &[]).unwrap_or_else(|error| panic!("{error}"))
}

/// What a service of the example is started with.
fn rendered(topology: &Topology, host: &str, kind: ServiceKind) -> Rendered {
    let plan = Plan::new(topology.clone());
    let planned = plan.services.iter().find(|planned| planned.host == host && planned.kind == kind).unwrap();
    let site = plan.site_of(planned);
    plan.topology.with_own(kind, &site, (service(kind).render)(&site, &Credentials::default()))
}

fn file<'a>(rendered: &'a Rendered, path: &str) -> &'a str {
    let (_, text) = rendered.files.iter().find(|(known, _)| known == path).unwrap_or_else(|| panic!("no {path}"));
    text
}

#[test]
fn what_the_files_state_becomes_settings() {
    let settings = example().settings;
    let patroni = &settings.patroni;
    assert_eq!((patroni.ttl_s, patroni.loop_wait_s, patroni.retry_timeout_s), (20, 5, 5));
    assert_eq!(patroni.dynamic["check_timeline"], json!(true));
    let parameters = &settings.postgresql.parameters;
    let of = |name: &str| parameters.get(name).map(String::as_str);
    // Of both files, and of both places in `patroni.yml`.
    assert_eq!((of("max_connections"), of("wal_keep_size")), (Some("300"), Some("256MB")));
    assert_eq!((of("log_min_duration_statement"), of("work_mem")), (Some("250ms"), Some("8MB")));
    assert_eq!((of("wal_log_hints"), of("listen_addresses")), (None, None));
    let haproxy = &settings.haproxy;
    assert_eq!((haproxy.inter_ms, haproxy.fall, haproxy.rise), (1000, 2, 2));
    assert!(haproxy.close_sessions_of_down_server);
    let pgbouncer = &settings.pgbouncer;
    assert_eq!((pgbouncer.default_pool_size, pgbouncer.reserve_pool_size, pgbouncer.server_login_retry_s), (20, 0, 1));
}

#[test]
fn patronis_file_runs_but_for_what_the_harness_sets() {
    let rendered = rendered(&example(), "db2", ServiceKind::Patroni);
    let runs: Value = serde_saphyr::from_str(file(&rendered, "/etc/patroni/patroni.yml")).unwrap();
    assert_eq!((&runs["name"], &runs["scope"], runs.get("namespace")), (&json!("db2"), &json!("pgquake"), None));
    assert_eq!(runs["etcd3"]["hosts"], json!(["db1:2379", "db2:2379", "db3:2379"]));
    let postgresql = &runs["postgresql"];
    assert_eq!(
        (&postgresql["pgpass"], &postgresql["basebackup"]["checkpoint"]),
        (&json!("/tmp/pgpass"), &json!("fast"))
    );
    // What nodes have of parameters comes to them by the dynamic configuration, where a scenario can change it.
    assert_eq!(postgresql["parameters"].get("log_min_duration_statement"), None);
    assert_eq!(postgresql["parameters"]["pgquake.node"], "db2");
    assert_eq!(postgresql["create_replica_methods"], json!(["prepared", "basebackup"]));
    assert_eq!(postgresql["custom_conf"], "/etc/patroni/postgresql.conf");
    assert_eq!(postgresql["data_dir"], "/var/lib/postgresql/data");
    let access: Vec<&str> = postgresql["pg_hba"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(access.last(), Some(&"host all all samenet md5"));
    assert!(access.contains(&"host all pgquake all scram-sha-256"), "{access:?}");
    // Whether nodes may rewind is the team's to say.
    assert!(!access.contains(&"host all all all scram-sha-256"), "{access:?}");
    assert!(file(&rendered, "/etc/patroni/postgresql.conf").contains("random_page_cost = 1.1"));
    assert_eq!(file(&rendered, "/etc/motd"), "This host is the shop's.\n");
    assert_eq!(rendered.environment["TZ"], "Europe/Berlin");
}

#[test]
fn haproxys_file_runs_and_its_names_are_those_of_endpoints_and_hosts() {
    let topology = example();
    let rendered = rendered(&topology, "lb", ServiceKind::Haproxy);
    let runs = file(&rendered, "/etc/haproxy/haproxy.cfg");
    assert!(!runs.contains("daemon") && !runs.contains("user haproxy"), "{runs}");
    assert!(runs.contains("    maxconn 2000") && runs.contains("server pg-b db2:6432 check port 8008"), "{runs}");
    assert!(runs.contains("listen pgquake-statistics\n    bind :8404"), "{runs}");
    let text = topology.own[&ServiceKind::Haproxy].text_of("haproxy.cfg").unwrap();
    let names = own::names_of_haproxy(text, &[("write", 5000), ("read", 5001)]);
    let endpoints = [("primary", "write"), ("reads", "read")].map(|(one, other)| (one.to_owned(), other.to_owned()));
    assert_eq!(names.endpoints, BTreeMap::from(endpoints));
    assert_eq!(names.hosts[&("primary".to_owned(), "pg-c".to_owned())], "db3");
}

#[test]
fn pgbouncers_file_runs_with_the_runs_accounts() {
    let rendered = rendered(&example(), "db1", ServiceKind::Pgbouncer);
    let runs = file(&rendered, "/etc/pgbouncer/pgbouncer.ini");
    assert!(runs.contains("server_idle_timeout = 60") && runs.contains("* = host=127.0.0.1 port=5432"), "{runs}");
    assert_eq!(runs.matches("auth_file").count(), 1, "{runs}");
    assert!(!runs.contains("users.txt") && !runs.contains("logfile"), "{runs}");
}

#[test]
fn what_is_set_in_the_place_of_a_file_is_told_in_its_order() {
    let told = example().overridden();
    let keys: Vec<&str> =
        told.iter().filter(|own| own.place.contains("patroni.yml")).map(|own| own.key.as_str()).collect();
    let wanted = [
        "scope",
        "namespace",
        "name",
        "restapi.listen",
        "restapi.connect_address",
        "etcd3",
        "bootstrap.dcs.postgresql.parameters.wal_log_hints",
        "bootstrap.initdb",
        "postgresql.listen",
        "postgresql.connect_address",
        "postgresql.data_dir",
        "postgresql.bin_dir",
        "postgresql.authentication",
        "postgresql.pg_hba",
        "watchdog",
    ];
    assert_eq!(keys, wanted);
    assert!(told.iter().any(|own| own.to_string().starts_with("../haproxy.cfg:2: `global daemon` is set by pgquake")));
}

/// A saved topology has the files' texts, and needs the files no more.
#[test]
fn a_saved_topology_is_the_same() {
    let topology = example();
    let saved = serde_json::to_string(&topology).unwrap();
    assert_eq!(serde_json::from_str::<Topology>(&saved).unwrap(), topology);
}

/// The example, in a folder of its own where one file can be changed.
struct Stack(tempfile::TempDir);

impl Stack {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["patroni.yml", "postgresql.conf", "haproxy.cfg", "pgbouncer.ini", "motd", "topologies/own-stack.yaml"]
        {
            let to = folder.path().join(name);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(Path::new(EXAMPLE).join(name), to).unwrap();
        }
        Self(folder)
    }

    fn change(&self, name: &str, replace: &str, by: &str) {
        let path = self.0.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(replace), "{name} has no {replace:?}");
        fs::write(path, text.replacen(replace, by, 1)).unwrap();
    }

    fn load(&self) -> Result<Topology, TopologyError> {
        load(&self.0.path().join("topologies/own-stack.yaml").display().to_string(), &[])
    }
}

/// Changes one file of the example, and holds the one mistake to its file, its line, its message and a part of its help.
fn check(name: &str, replace: &str, by: &str, line: usize, message: &str, help: &str) {
    let stack = Stack::new();
    stack.change(name, replace, by);
    let error = stack.load().expect_err(by);
    let [mistake] = error.mistakes() else { panic!("{by:?}: not one mistake: {error:?}") };
    let wanted = stack.0.path().join(name).display().to_string();
    assert_eq!((mistake.source_name.as_str(), mistake.line), (wanted.as_str(), line), "{by:?}: {mistake}");
    assert_eq!(mistake.message, message, "{by:?}");
    let told = mistake.help.as_deref().unwrap_or_default();
    assert!(told.contains(help) && told.is_empty() == help.is_empty(), "{by:?}: help: {told}");
}

#[test]
fn a_dcs_that_is_not_in_the_topology_is_refused() {
    let message = "`consul` is a DCS that is not in the topology, which has etcd";
    check("patroni.yml", "etcd3:", "consul:", 9, message, "write `etcd3`");
    let message = "`etcd` is a DCS that is not in the topology, which has etcd";
    check("patroni.yml", "etcd3:", "etcd:", 9, message, "version 2 of its API");
    let message = "`kubernetes` is a DCS that is not in the topology, which has etcd";
    check("patroni.yml", "watchdog:\n  mode: \"off\"", "kubernetes:\n  labels: {}", 49, message, "write `etcd3`");
}

#[test]
fn a_mistake_in_a_file_is_shown_where_it_stands() {
    let p = "patroni.yml";
    check(p, "ttl: 20", "tll: 20", 14, "Patroni has no key `tll` in its dynamic configuration", "did you mean `ttl`");
    check(p, "ttl: 20", "ttl: often", 14, "`ttl` takes a whole number", "");
    check(p, "ttl: 20", "ttl: 18", 14, "ttl_s is 18; Patroni wants at least 20", "");
    let unknown = "PostgreSQL 17 has no parameter `wal_keep_sise`";
    check(p, "wal_keep_size", "wal_keep_sise", 25, unknown, "did you mean `wal_keep_size`?");
    let value = "`big` can't be the value of `wal_keep_size`";
    check(p, "wal_keep_size: 256MB", "wal_keep_size: big", 25, value, "MB");
    let conf = "postgresql.conf";
    let unset = "this line does not set a parameter: `name = value`";
    for unquoted in ["work_mem 8 MB", "search_path = a,b", "log_line_prefix = \"%m\"", "log_filename = pg-%a.log"] {
        check(conf, "work_mem = 8MB", unquoted, 4, unset, "single quotes");
    }
    check(
        conf,
        "work_mem = 8MB",
        "Include_Dir 'c'",
        4,
        "`Include_Dir` leads to a file that is not in the topology",
        "here",
    );
    check(
        conf,
        "random_page_cost",
        "random_page_price",
        5,
        "PostgreSQL 17 has no parameter `random_page_price`",
        "did you mean",
    );
    check(
        conf,
        "log_checkpoints = on",
        "include 'more.conf'",
        6,
        "`include` leads to a file that is not in the topology",
        "here",
    );
    let haproxy = "haproxy.cfg";
    check(haproxy, "pg-b db2:6432", "pg-b db4:6432", 29, "no host of the topology is called `db4`", "known: db1");
    let nothing = "nothing listens on port 5000, where the endpoint `write` is";
    check(haproxy, "bind *:5000", "bind *:5002", 1, nothing, "bind :5000");
    check(haproxy, "inter 1s", "inter soon", 27, "`inter` takes a number", "");
    let rules = "`writes` leads to no backend by `default_backend` alone";
    check(haproxy, "default_backend primary", "use_backend primary if TRUE", 20, rules, "predicted");
    let pooler = "pgbouncer.ini";
    check(pooler, "host=127.0.0.1", "host=db9", 2, "no host of the topology is called `db9`", "db1");
    check(pooler, "pool_mode = transaction", "pool_mode = often", 9, "`often` can't be the value of `pool_mode`", "");
    check(
        pooler,
        "* = host",
        "shop = host",
        1,
        "it leads to no database `postgres`, where clients of the run write",
        "* = host=",
    );
    check(pooler, "pool_mode = transaction", "pool_mode", 9, "this line is neither a section nor `key = value`", "");
}

#[test]
fn a_file_that_would_not_do_what_it_says_is_refused() {
    let p = "patroni.yml";
    check(p, "ttl: 20", "ttl: true", 14, "`ttl` takes a whole number", "");
    let large = "`5000000000` can't be the value of `patroni.ttl_s`";
    check(p, "ttl: 20", "ttl: 5000000000", 14, large, "");
    let quorum = "check_timeline: true\n    synchronous_mode: quorum";
    check(p, "check_timeline: true", quorum, 19, "quorum commit can't be drilled from a file", "an operator");
    let haproxy = "haproxy.cfg";
    let taken = "pgquake adds a page of statistics on port 8404, which is taken here";
    check(haproxy, "bind *:7000", "bind *:8404", 16, taken, "stats_port");
    let port = "nothing listens on port 6433 of `db1`";
    check(haproxy, "pg-a db1:6432", "pg-a db1:6433", 28, port, "2379, 2380, 5432, 6432, 8008");
    let port = "nothing listens on port 8009 of `db1`";
    check(haproxy, "db1:6432 check port 8008", "db1:6432 check port 8009", 28, port, "8008");
    let tls = "clients of the endpoint `write` speak without TLS";
    check(haproxy, "bind *:5000", "bind *:5000 ssl crt x.pem", 21, tls, "leave `ssl` out");
    let nothing = "nothing listens on port 5000, where the endpoint `write` is";
    check(haproxy, "bind *:5000", "bind 127.0.0.1:5000", 1, nothing, "bind :5000");
    let rules = "`writes` leads to no backend by `default_backend` alone";
    check(haproxy, "default_backend primary", "use_backend x if y\n default_backend primary", 20, rules, "rules");
    let pooler = "pgbouncer.ini";
    let nobody = "no host of the topology is called `db9`";
    check(pooler, "host=127.0.0.1 port=5432", "host = 'db9' port = 5432", 2, nobody, "db1");
    let other = "by `auth_user` clients of the run would log in as somebody else";
    check(pooler, "port=5432", "port=5432 auth_user=app", 2, other, "leave it out");
    let database = "clients of the run would come to another database than `postgres`";
    check(pooler, "port=5432", "port=5432 dbname=shop", 2, database, "leave `dbname` out");
    let line = "this line is neither a section nor `key = value`";
    check(pooler, "pool_mode = transaction", "%include more.ini", 9, line, "includes");
    let t = "topologies/own-stack.yaml";
    let configuration =
        "`/etc/patroni/patroni.yml` is written by pgquake: configuration of yours comes under `configuration`";
    check(t, "/etc/motd:", "/etc/patroni/patroni.yml:", 27, configuration, "");
    check(t, "/etc/motd:", "/etc/./pgquake/x:", 27, "`/etc/./pgquake/x` is no absolute path of a file", "");
    check(t, "/etc/motd:", "/var/lib/postgresql/x:", 27, "`/var/lib/postgresql/x` is a place of pgquake's own", "");
}

#[test]
fn what_the_software_takes_is_taken() {
    let taken = |name: &str, replace: &str, by: &str| {
        let stack = Stack::new();
        stack.change(name, replace, by);
        stack.load().unwrap_or_else(|error| panic!("{by:?}: {error:?}"))
    };
    assert_eq!(taken("patroni.yml", "ttl: 20", "ttl: \"21\"").settings.patroni.ttl_s, 21);
    assert!(taken("patroni.yml", "check_timeline: true", "synchronous_mode: \"on\"").settings.patroni.synchronous_mode);
    taken("patroni.yml", "check_timeline: true", "master_stop_timeout: 30\n    pause: false");
    // A section without content is none.
    let empty = taken("patroni.yml", "  parameters:\n    log_min", "  parameters:\n#    log_min");
    let text = rendered(&empty, "db1", ServiceKind::Patroni);
    assert!(file(&text, "/etc/patroni/patroni.yml").contains("pgquake.node"), "{text:?}");
    let named = taken("patroni.yml", "log_min_duration_statement: 250ms", "Work_Mem: 9MB");
    assert_eq!(named.settings.postgresql.parameters["work_mem"], "9MB");
    taken("haproxy.cfg", "bind *:5000", "bind \"0.0.0.0:5000\"");
    taken("haproxy.cfg", "bind *:5000", "bind :::5000-5000 v4v6");
    taken("haproxy.cfg", "maxconn 2000", "stats socket /run/haproxy/admin.sock mode 660 level admin");
    for (replace, by) in [("pool_mode = transaction", "pool_mode = Session"), ("login_retry = 1", "login_retry = 0.5")]
    {
        taken("pgbouncer.ini", replace, by);
    }
    taken("pgbouncer.ini", "[pgbouncer]", "[pgbouncer] ; ours");
}

#[test]
fn what_checks_ask_is_read_as_haproxy_reads_it() {
    let check_of = |replace: &str, by: &str| {
        let stack = Stack::new();
        stack.change("haproxy.cfg", replace, by);
        let settings = stack.load().unwrap_or_else(|error| panic!("{error:?}")).settings;
        (serde_json::to_value(settings.haproxy.check).unwrap(), settings.haproxy.inter_ms)
    };
    // Without a path it asks for `/`, which is `/primary`.
    assert_eq!(check_of("httpchk OPTIONS /primary", "httpchk").0, "role");
    assert_eq!(check_of("httpchk OPTIONS /primary", "httpchk OPTIONS /health").0, "pgsql_check");
    assert_eq!(check_of("httpchk OPTIONS /primary", "pgsql-check user x").0, "pgsql_check");
    assert_eq!(check_of("server pg-b db2:6432 check port 8008", "server pg-b db2:6432").0, "pgsql_check");
    assert_eq!(check_of("inter 1s fall 2", "inter 1s fastinter 200ms fall 2").0, "pgsql_check");
    // Defaults that come later are those of later sections.
    let later = "defaults\n    option httpchk GET /\n    default-server inter 10s\n\nlisten reads";
    assert_eq!(check_of("listen reads", later), (json!("role"), 1000));
}

#[test]
fn a_cluster_with_settings_of_its_own_has_what_the_files_state() {
    let t = "topologies/own-stack.yaml";
    let cluster = |settings: &str| {
        format!(
            "clusters: [{{ name: main, nodes: [db1, db2, db3], dcs: [db1, db2, db3], settings: {{ patroni: {{ {settings} }} }} }}]\nclaims:"
        )
    };
    let stack = Stack::new();
    stack.change(t, "claims:", &cluster("failsafe_mode: true"));
    let topology = stack.load().unwrap_or_else(|error| panic!("{error:?}"));
    let settings = topology.clusters[0].settings.as_ref().unwrap();
    assert_eq!((settings.patroni.ttl_s, settings.patroni.failsafe_mode), (20, true));
    let stack = Stack::new();
    stack.change(t, "claims:", &cluster("ttl_s: 25"));
    let error = stack.load().unwrap_err();
    assert!(error.to_string().contains("`patroni.ttl_s` is stated here and in"), "{error}");
}

#[test]
fn a_scenario_changes_what_comes_from_the_settings_and_nothing_that_a_file_says() {
    let mut topology = example();
    let refused = topology.set("haproxy.inter_ms", "5000").unwrap_err().to_string();
    assert!(refused.contains("the team's own file says it"), "{refused}");
    assert!(topology.set("pgbouncer.default_pool_size", "5").is_err());
    topology.set("haproxy.stats_port", "8405").unwrap();
    topology.set_patroni("ttl", "30").unwrap();
    topology.set_postgresql("log_min_duration_statement", "1s").unwrap();
    let plan = Plan::new(topology);
    let dynamic = patroni::dynamic(&plan.site("db1"));
    assert_eq!((&dynamic["ttl"], &dynamic["loop_wait"]), (&json!(30), &json!(5)));
    assert_eq!(dynamic["postgresql"]["parameters"]["log_min_duration_statement"], "1s");
}

#[test]
fn a_file_that_is_no_yaml_is_shown_where_it_breaks() {
    let stack = Stack::new();
    stack.change("patroni.yml", "  loop", " loop");
    stack.change("patroni.yml", "    ttl: 20", "    ttl: [20");
    let error = stack.load().unwrap_err().to_string();
    assert!(error.contains("patroni.yml:15") && error.contains("this is not YAML"), "{error}");
}

#[test]
fn a_mistake_in_the_section_is_shown_in_the_topology() {
    let t = "topologies/own-stack.yaml";
    let image = "image: registry.example.com/team/our-patroni:1.2";
    let reference = "`Our Patroni` is not the name of an image";
    check(t, image, "image: Our Patroni", 23, reference, "registry.example.com");
    let format = "`patroni.yaml` is not a configuration of patroni";
    check(t, "patroni.yml: ../patroni.yml", "patroni.yaml: ../patroni.yml", 25, format, "did you mean `patroni.yml`?");
    check(t, "/etc/motd:", "etc/motd:", 27, "`etc/motd` is no absolute path of a file", "");
    check(t, "/etc/motd:", "/proc/motd:", 27, "`/proc/motd` is no place for a file", "");
    let wins = "`PATRONI_SCOPE` would win over what pgquake sets";
    check(t, "PATRONI_LOG_LEVEL: INFO", "PATRONI_SCOPE: shop", 28, wins, "its file");
    let stated = "settings: { patroni: { ttl_s: 20 } }\nclaims:";
    let stack = Stack::new();
    stack.change(t, "claims:", stated);
    let error = stack.load().unwrap_err();
    let [mistake] = error.mistakes() else { panic!("{error:?}") };
    assert!(mistake.message.starts_with("`patroni.ttl_s` is stated here and in "), "{mistake}");
    let stack = Stack::new();
    fs::remove_file(stack.0.path().join("motd")).unwrap();
    let error = stack.load().unwrap_err();
    let [mistake] = error.mistakes() else { panic!("{error:?}") };
    assert!(mistake.message.starts_with("failed to read ") && mistake.line == 27, "{mistake}");
    let stack = Stack::new();
    fs::write(stack.0.path().join("motd"), b"\xff\xfe").unwrap();
    assert!(stack.load().unwrap_err().to_string().contains("motd:1:1"), "a byte that is no text");
}

#[test]
fn an_image_of_ones_own_has_one_version_and_no_backups() {
    let t = "topologies/own-stack.yaml";
    let version = "settings: { patroni: { version: '4.0' } }\nclaims:";
    let message = "an image of your own has one version of Patroni";
    check(t, "claims:", version, 34, message, "leave the version out");
    // Which PostgreSQL of the image runs is for the topology to say.
    let stack = Stack::new();
    stack.change(t, "claims:", "settings: { postgresql: { major_version: 16 } }\nclaims:");
    let topology = stack.load().unwrap_or_else(|error| panic!("{error}"));
    let plan = Plan::new(topology);
    let image = plan.image_of("db1", ServiceKind::Patroni);
    assert_eq!(image.name(), "patroni on registry.example.com/team/our-patroni:1.2 with PostgreSQL 16");
    assert!(
        rendered(&plan.topology, "db1", ServiceKind::Patroni)
            .files
            .iter()
            .all(|(path, _)| path != "/etc/pgquake/versions")
    );
}

//! Services with a name and settings of their own: what they run with, what a plan makes of them, and what mistakes get.

use pgquake_judge::{
    credentials::Credentials,
    plan::{Plan, PlannedService},
    services::{ServiceKind, service},
    topology::{Topology, load, parse},
};

/// Two regions, each with a balancer of its own, that of the second one with settings of its own.
const TWO_REGIONS: &str = "\
name: broken
description: a topology to break
follows: nothing
regions:
  - name: east
    hosts:
      - { name: east1, services: [etcd, patroni] }
      - { name: east-proxy, services: [haproxy] }
  - name: west
    hosts:
      - { name: west1, services: [etcd, patroni] }
      - { name: west-proxy, services: [{ haproxy: { name: west-balancer, settings: { inter_ms: 1000 } } }] }
clusters:
  - { name: east, nodes: [east1], dcs: [east1], settings: { haproxy: { rise: 4 } } }
  - { name: west, nodes: [west1], dcs: [west1], settings: { haproxy: { inter_ms: 5000, fall: 9 } } }
endpoints:
  - { name: write, serves: primary, of: east, host: east-proxy, port: 5432 }
  - { name: west-write, serves: primary, of: west, host: west-proxy, port: 5432 }
settings:
  haproxy: { inter_ms: 2000, fall: 3, rise: 2 }
";

/// Two balancers on one host.
const TWO_ON_ONE_HOST: &str = "\
name: broken
description: a topology to break
follows: nothing
regions:
  - name: main
    hosts:
      - { name: node1, services: [etcd, patroni] }
      - name: proxy
        services:
          - haproxy
          - haproxy: { name: reads, settings: { stats_port: 8405, rise: 7 } }
endpoints:
  - { name: write, serves: primary, host: proxy, port: 5432 }
  - { name: read, serves: standbys, through: reads, host: proxy, port: 5433 }
";

fn sound(text: &str) -> Topology {
    parse("broken.yaml", text).unwrap_or_else(|error| panic!("{error}"))
}

/// What the file of a balancer's configuration says.
fn configuration(plan: &Plan, balancer: &PlannedService) -> String {
    let secret = || "secret".to_owned();
    let credentials = Credentials {
        superuser_password: secret(),
        replication_password: secret(),
        client_password: secret(),
        names_api_key: secret(),
        ..Credentials::default()
    };
    let rendered = (service(balancer.kind).render)(&plan.site_of(balancer), &credentials);
    rendered.files.into_iter().next().expect("it has a configuration").1
}

#[test]
fn a_balancer_has_its_own_settings_else_those_of_its_cluster_else_the_topologys() {
    let plan = Plan::new(sound(TWO_REGIONS));
    let [east, west] = plan.balancers().collect::<Vec<_>>()[..] else { panic!("two balancers") };
    assert!(configuration(&plan, east).contains("default-server inter 2000ms fall 3 rise 4"));
    assert!(configuration(&plan, west).contains("default-server inter 1000ms fall 9 rise 2"));
    assert_eq!((east.called(), west.called()), ("east-proxy", "west-balancer"));
    assert_eq!(west.instance().to_string(), "haproxy west-balancer");
}

#[test]
fn a_clusters_predictions_are_those_of_the_balancers_that_lead_to_it() {
    let plan = Plan::new(sound(TWO_REGIONS));
    let [east, west] = [0, 1].map(|index| &plan.clusters[index]);
    let most_ms = |cluster| plan.predicted_of(cluster).route.most_ms;
    assert_eq!((most_ms(east), most_ms(west)), (4 * 2000, 2 * 1000));
    let two = Plan::new(load("two-balancers", &[]).expect("it is built in"));
    assert_eq!(two.predicted.route.most_ms, 2 * 500, "nobody writes through the slower one");
    let marked_down = |cluster| plan.predicted_mark_down(cluster).expect("there is a balancer").least_ms;
    assert_eq!((marked_down(east), marked_down(west)), (2 * 2000, 8 * 1000));
}

#[test]
fn two_on_one_host_listen_for_their_own_endpoints_at_ports_of_their_own() {
    let plan = Plan::new(sound(TWO_ON_ONE_HOST));
    let [plain, reads] = plan.balancers().collect::<Vec<_>>()[..] else { panic!("two balancers") };
    let (plain, reads) = (configuration(&plan, plain), configuration(&plan, reads));
    assert!(plain.contains("bind :8404") && plain.contains("listen write") && !plain.contains("listen read"));
    assert!(reads.contains("bind :8405") && reads.contains("listen read") && !reads.contains("listen write"));
    assert!(plain.contains("rise 2") && reads.contains("rise 7"));
    let published: Vec<u16> = plan.published_ports("proxy").into_keys().collect();
    assert_eq!(published, [5432, 5433, 8404, 8405]);
    let names: Vec<String> = plan.services_on("proxy").iter().map(|own| own.name().to_owned()).collect();
    assert_eq!(names, ["haproxy", "reads"]);
}

#[test]
fn what_observers_call_a_balancer_is_its_name_or_its_host() {
    let plan = Plan::new(load("two-balancers", &[]).expect("it is built in"));
    let fronts = |name| plan.fronts_for(plan.endpoint(name).expect(name)).collect::<Vec<_>>();
    assert_eq!((fronts("write"), fronts("read")), (vec![("writes", "write")], vec![("reads", "read")]));
    let plan = Plan::new(load("single-region", &[]).expect("it is built in"));
    let write = plan.endpoint("write").expect("it has one");
    assert_eq!(plan.fronts_for(write).collect::<Vec<_>>(), [("proxy", "write")]);
}

/// Of a balancer that asks for no role nobody knows whom it leads to, and nothing is predicted.
#[test]
fn a_balancer_that_checks_as_the_documents_write_promises_nothing() {
    for (name, unsure) in
        [("haproxy-pgsql-check", vec!["as-written"]), ("haproxy-select-1", vec!["as-written", "tcp-check"])]
    {
        let plan = Plan::new(load(name, &[]).expect("it is built in"));
        let not_served = plan.endpoints.iter().filter(|endpoint| !plan.is_served(endpoint));
        assert_eq!(not_served.map(|endpoint| endpoint.name.as_str()).collect::<Vec<_>>(), unsure);
        let known: Vec<&str> = plan.balancers_of(&plan.clusters[0]).iter().map(|own| own.called()).collect();
        assert_eq!(known, ["by-role"]);
    }
}

/// A plan that is saved says only what the file named, and is the same when it is read.
#[test]
fn a_saved_plan_has_what_the_file_says() {
    for text in [TWO_REGIONS, TWO_ON_ONE_HOST] {
        let plan = Plan::new(sound(text));
        let saved = serde_json::to_string(&plan).expect("it can be written");
        let read: Plan = serde_json::from_str(&saved).expect("it can be read");
        assert_eq!(read, plan);
        assert!(read.fits_its_topology());
    }
    let plan = Plan::new(load("single-region", &[]).expect("it is built in"));
    let saved = serde_json::to_value(&plan).expect("it can be written");
    assert_eq!(saved["services"][0], serde_json::json!({ "host": "node1", "kind": "etcd" }));
    assert_eq!(saved["topology"]["regions"][0]["hosts"][3]["services"], serde_json::json!(["haproxy"]));
    let plan = Plan::new(sound(TWO_REGIONS));
    let saved = serde_json::to_value(&plan).expect("it can be written");
    let own = serde_json::json!([{ "haproxy": { "name": "west-balancer", "settings": { "inter_ms": 1000 } } }]);
    assert_eq!(saved["topology"]["regions"][1]["hosts"][1]["services"], own);
}

/// Breaks a topology, and holds the first mistake to its place (where `by` has a `^`), its message and a part of its help.
fn check(text: &str, replace: &str, by: &str, message: &str, help: &str) {
    assert!(text.contains(replace), "the sound topology has no {replace:?}");
    let marked = text.replacen(replace, by, 1);
    let (before, _) = marked.split_once('^').expect("a place");
    let at = (before.lines().count(), before.lines().last().map_or(0, str::len) + 1);
    let error = parse("broken.yaml", &marked.replace('^', "")).expect_err(by);
    let mistake = &error.mistakes()[0];
    assert_eq!((mistake.message.as_str(), (mistake.line, mistake.column)), (message, at), "{by:?}");
    let told = mistake.help.as_deref().unwrap_or_default();
    assert!(told.contains(help) && told.is_empty() == help.is_empty(), "{by:?}: help: {told}");
}

#[test]
fn settings_of_one_service_that_can_not_be() {
    let west = "{ inter_ms: 1000 }";
    let path = "`regions[1].hosts[1].services[0].haproxy.settings";
    let no_field = format!("unknown field `intr_ms` in {path}`");
    check(TWO_REGIONS, west, "{ ^intr_ms: 1000 }", &no_field, "did you mean `inter_ms`?");
    let no_number = format!("{path}.inter_ms` must be a whole number of milliseconds, not `soon`");
    check(TWO_REGIONS, west, "{ inter_ms: ^soon }", &no_number, "");
    check(TWO_REGIONS, west, "{ fall: ^0 }", "fall must be at least 1", "");
    let unknown = "unknown value `pgsql-check`";
    check(TWO_REGIONS, west, "{ check: ^pgsql-check }", unknown, "did you mean `pgsql_check`?");
    check(TWO_REGIONS, west, "{ stats_port: ^0 }", "no service can listen on port 0", "");
    let no_field = "unknown field `nam` in `regions[1].hosts[1].services[0].haproxy`";
    check(TWO_REGIONS, "{ name: west-balancer,", "{ ^nam: west-balancer,", no_field, "did you mean `name`?");
    check(TWO_REGIONS, "[{ haproxy:", "[{ ^haprox:", "unknown service `haprox`", "did you mean `haproxy`?");
    // What the cluster has wrong is said once, at the cluster.
    check(TWO_REGIONS, "fall: 9", "fall: ^0", "fall must be at least 1", "");
}

#[test]
fn names_of_services_that_can_not_be() {
    let west = "name: west-balancer,";
    check(TWO_REGIONS, west, "name: ^West,", "`West` can't be the name of a service", "lower-case");
    check(TWO_REGIONS, west, "name: ^west-proxy,", "`west-proxy` is a host's name, too", "either");
    check(TWO_REGIONS, west, "name: ^etcd,", "a service can't be called `etcd`", "a kind of service");
    let twice = "a service of the host `east-proxy` is called `west-balancer` already";
    let by = "services: [{ haproxy: { name: west-balancer } }] }\n  - name: west\n    hosts:\n      \
              - { name: west1, services: [etcd, patroni] }\n      \
              - { name: west-proxy, services: [{ haproxy: { name: ^west-balancer,";
    let replace = "services: [haproxy] }\n  - name: west\n    hosts:\n      \
                   - { name: west1, services: [etcd, patroni] }\n      \
                   - { name: west-proxy, services: [{ haproxy: { name: west-balancer,";
    check(TWO_REGIONS, replace, by, twice, "");
    let member = "`etcd` takes no name and no settings of its own";
    let by = "west1, services: [{ ^etcd: { name: first } }, patroni]";
    check(TWO_REGIONS, "west1, services: [etcd, patroni]", by, member, "called as their hosts");
}

#[test]
fn two_on_one_host_that_can_not_be() {
    let reads = "- haproxy: { name: reads, settings: { stats_port: 8405, rise: 7 } }";
    let taken = "port 8404 of the host `proxy` is taken by haproxy (statistics) and by haproxy reads (statistics)";
    check(TWO_ON_ONE_HOST, reads, "- ^haproxy: { name: reads }", taken, "another port in settings of its own");
    let by = "- haproxy: { name: reads, settings: { stats_port: ^8404 } }";
    check(TWO_ON_ONE_HOST, reads, by, taken, "another port");
    check(
        TWO_ON_ONE_HOST,
        reads,
        "- ^haproxy",
        "`haproxy` stands twice on the host `proxy`",
        "give one of them a name",
    );
    let unknown = "no balancer is called `red`";
    check(TWO_ON_ONE_HOST, "through: reads", "through: ^red", unknown, "did you mean `reads`?");
    let both = "port 5432 of the host `proxy` is taken by haproxy (the endpoint `write`) and by haproxy reads \
                (the endpoint `write`)";
    let unsaid = |at: &str| format!("port: {at}5432 }}\n  - {{ name: read, serves: standbys,");
    let replace = format!("{} through: reads,", unsaid(""));
    check(TWO_ON_ONE_HOST, &replace, &unsaid("^"), both, "through: NAME");
}

#[test]
fn an_endpoint_goes_through_a_balancer_of_its_host() {
    let elsewhere = "`west-balancer` runs on `west-proxy`, and not on `east-proxy`";
    let by = "of: east, through: ^west-balancer, host: east-proxy";
    check(TWO_REGIONS, "of: east, host: east-proxy", by, elsewhere, "write `host: west-proxy`");
    let unserved = "no balancer of the host `west-proxy` serves the endpoint `west-read`";
    let write = "of: west, host: west-proxy, port: 5432 }";
    let by = "of: west, through: west-balancer, host: west-proxy, port: 5432 }\n  \
              - { name: west-read, serves: standbys, of: west, host: ^west-proxy, port: 5433 }";
    check(TWO_REGIONS, write, by, unserved, "write `through: west-balancer`");
}

/// A node with a pooler, which writes go through.
const POOLED: &str = "\
name: broken
description: a topology to break
follows: nothing
regions:
  - name: main
    hosts:
      - { name: node1, services: [etcd, patroni, pgbouncer] }
      - { name: proxy, services: [haproxy] }
endpoints:
  - { name: write, serves: primary, pooled: true, host: proxy, port: 5432 }
  - { name: unpooled, serves: primary, host: proxy, port: 5434 }
settings:
  pgbouncer: { pool_mode: session, default_pool_size: 7 }
";

#[test]
fn a_balancer_leads_to_poolers_or_past_them() {
    let plan = Plan::new(sound(POOLED));
    let balancer = plan.balancers().next().expect("there is one");
    let text = configuration(&plan, balancer);
    let servers: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("server ")).collect();
    assert_eq!(servers, ["node1 node1:6432 check port 8008", "node1 node1:5432 check port 8008"]);
    let poolers: Vec<_> =
        plan.poolers().map(|pooler| (pooler.called, pooler.host, pooler.port, pooler.leads_to)).collect();
    assert_eq!(poolers, [("node1", "node1", 6432, None)]);
    assert!(plan.endpoint("write").is_some_and(|endpoint| endpoint.pooled));
    let pooler = plan.services.iter().find(|planned| planned.kind == ServiceKind::Pgbouncer).expect("there is one");
    let text = configuration(&plan, pooler);
    for line in
        ["* = host=127.0.0.1 port=5432", "pool_mode = session", "default_pool_size = 7", "max_client_conn = 10000"]
    {
        assert!(text.lines().any(|known| known == line), "no {line} in {text}");
    }
}

#[test]
fn poolers_that_can_not_be() {
    let lacks = "the node `node1` has no pooler for the endpoint `write`";
    let by = "[etcd, patroni] }\n      - { name: proxy, services: [haproxy] }\nendpoints:\n  \
              - { name: write, serves: primary, pooled: ^true,";
    let replace = "[etcd, patroni, pgbouncer] }\n      - { name: proxy, services: [haproxy] }\nendpoints:\n  \
                   - { name: write, serves: primary, pooled: true,";
    check(POOLED, replace, by, lacks, "add `pgbouncer`");
    let alone = "`pgbouncer` has no node on the host `proxy`";
    check(POOLED, "[haproxy]", "[haproxy, ^pgbouncer]", alone, "beside one");
    let direct = "no balancer leads clients of the endpoint `direct` to poolers";
    let by = "port: 5434 }\n  - { name: direct, serves: primary, pooled: ^true, host: node1, port: 5432 }";
    check(POOLED, "port: 5434 }", by, direct, "haproxy");
    let field = "unknown field `poled` in `endpoints[0]`";
    check(POOLED, "pooled: true", "^poled: true", field, "did you mean `pooled`?");
    check(POOLED, "pgbouncer]", "^pgbouncr]", "unknown service `pgbouncr`", "did you mean `pgbouncer`?");
    check(POOLED, "pool_mode: session", "pool_mode: ^sesion", "unknown value `sesion`", "did you mean `session`?");
    check(POOLED, "default_pool_size: 7", "default_pool_size: ^0", "default_pool_size must be at least 1", "");
    let most = "max_client_conn is 4000000000; PgBouncer takes at most 2147483647";
    check(POOLED, "default_pool_size: 7", "max_client_conn: ^4000000000", most, "");
}

/// Pools that lead to the nodes of a role, on a host of their own.
const SPLIT: &str = "\
name: broken
description: a topology to break
follows: nothing
regions:
  - name: main
    hosts:
      - { name: node1, services: [etcd, patroni] }
      - { name: node2, services: [etcd, patroni] }
      - { name: node3, services: [etcd, patroni] }
      - name: pooler
        services:
          - pgbouncer: { name: writes, settings: { leads_to: primary } }
          - pgbouncer: { name: reads, settings: { leads_to: standbys, port: 6433, server_round_robin: true } }
      - { name: proxy, services: [haproxy] }
endpoints:
  - { name: write, serves: primary, pooled: true, host: proxy, port: 5432 }
  - { name: read, serves: standbys, pooled: true, host: proxy, port: 5433 }
settings:
  pgbouncer: { repointed: true, server_connect_timeout_s: 2 }
";

/// The file of this name that a service is started with.
fn file(plan: &Plan, service: &str, path: &str) -> String {
    let planned = plan.services.iter().find(|planned| planned.called() == service && planned.kind.name() != "etcd");
    let planned = planned.expect("a service of this name");
    let row = pgquake_judge::services::service(planned.kind);
    let rendered = (row.render)(&plan.site_of(planned), &Credentials::default());
    let found = rendered.files.into_iter().find(|(known, _)| known == path);
    found.unwrap_or_else(|| panic!("{service} has no {path}")).1
}

#[test]
fn a_balancer_leads_to_pools_and_these_to_the_nodes_of_a_role() {
    let plan = Plan::new(sound(SPLIT));
    let balancer = plan.balancers().next().expect("there is one");
    let text = configuration(&plan, balancer);
    let servers: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("server ")).collect();
    assert_eq!(servers, ["writes pooler:6432 check", "reads pooler:6433 check"]);
    let line = |service: &str, path: &str| {
        let text = file(&plan, service, path);
        text.lines().find(|line| line.starts_with("postgres = ")).map(str::to_owned).expect("a database")
    };
    let own = "/etc/pgbouncer/pgbouncer.ini";
    assert_eq!(line("writes", own), "postgres = host=node1 port=5432");
    assert_eq!(line("reads", own), "postgres = host=node2,node3 port=5432");
    assert_eq!(line("writes", "/etc/pgbouncer/primary-node3.ini"), "postgres = host=node3 port=5432");
    assert_eq!(line("reads", "/etc/pgbouncer/primary-node3.ini"), "postgres = host=node1,node2 port=5432");
    let reads = file(&plan, "reads", own);
    for wanted in
        ["server_round_robin = 1", "server_connect_timeout = 2", "listen_port = 6433", "admin_users = postgres"]
    {
        assert!(reads.lines().any(|known| known == wanted), "no {wanted} in {reads}");
    }
    let called = file(&plan, "node2", "/etc/patroni/patroni.yml");
    assert!(called.contains("on_role_change: /bin/sh /etc/patroni/repoint-pools.sh"), "{called}");
    let script = file(&plan, "node2", "/etc/patroni/repoint-pools.sh");
    for wanted in [
        r#"tell pooler 6432 -c "SET conffile = '/etc/pgbouncer/primary-node2.ini'" -c RELOAD &"#,
        "tell pooler 6433 -c RECONNECT &",
    ] {
        assert!(script.lines().any(|known| known.trim() == wanted), "no {wanted} in {script}");
    }
}

#[test]
fn pools_that_nobody_re_points_have_one_configuration_and_no_console() {
    let plan = Plan::new(sound(&SPLIT.replace("repointed: true", "repointed: false")));
    let text = file(&plan, "writes", "/etc/pgbouncer/pgbouncer.ini");
    assert!(!text.contains("admin_users"), "{text}");
    assert!(!file(&plan, "node1", "/etc/patroni/patroni.yml").contains("callbacks"));
}

#[test]
fn pools_of_a_role_that_can_not_be() {
    let alone = "`pgbouncer` leads to the node of its host `node1`: it is not re-pointed";
    let by = SPLIT.replace(
        "- { name: node1, services: [etcd, patroni] }",
        "- { name: node1, services: [etcd, patroni, pgbouncer] }",
    );
    check(
        &by,
        "node1, services: [etcd, patroni, pgbouncer]",
        "node1, services: [etcd, patroni, ^pgbouncer]",
        alone,
        "leave out",
    );
    let taken = "port 6432 of the host `pooler` is taken by pgbouncer writes (pooled clients) and by \
                 pgbouncer reads (pooled clients)";
    check(SPLIT, "port: 6433,", "port: ^6432,", taken, "give one of them another port");
    check(SPLIT, "leads_to: primary", "leads_to: ^primry", "unknown value `primry`", "did you mean `primary`?");
    check(SPLIT, "port: 6433", "port: ^0", "port must be at least 1", "");
    let unserved = "no balancer leads clients of the endpoint `direct` to poolers";
    let by = "port: 5433 }\n  - { name: direct, serves: primary, pooled: ^true, host: node1, port: 5432 }";
    check(SPLIT, "port: 5433 }", by, unserved, "haproxy");
}

/// Two balancers that share an address.
const SHARED: &str = "\
name: broken
description: a topology to break
follows: nothing
regions:
  - name: main
    hosts:
      - { name: node1, services: [etcd, patroni] }
      - { name: proxy1, services: [haproxy, keepalived] }
      - { name: proxy2, services: [haproxy, keepalived] }
virtual_addresses:
  - { name: vip, holders: [proxy1, proxy2] }
endpoints:
  write: { host: vip, port: 5432 }
settings:
  keepalived: { advertise_s: 2 }
";

#[test]
fn every_host_that_may_hold_an_address_serves_what_is_there() {
    let plan = Plan::new(sound(SHARED));
    let write = plan.endpoint("write").expect("it has one");
    assert_eq!(plan.fronts_for(write).collect::<Vec<_>>(), [("proxy1", "write"), ("proxy2", "write")]);
    let published: Vec<u16> = plan.published_ports("proxy2").into_keys().collect();
    assert_eq!(published, [5432, 8404]);
    let texts = plan.services.iter().filter(|planned| planned.kind == ServiceKind::Keepalived);
    let [first, second] =
        texts.map(|planned| configuration(&plan, planned)).collect::<Vec<_>>().try_into().expect("two");
    for line in ["priority 200", "advert_int 2", "{address of proxy2}", "{network}.100/24 dev {interface}"] {
        assert!(first.lines().any(|known| known.trim() == line), "no {line} in {first}");
    }
    assert!(second.contains("priority 190") && second.contains("{address of proxy1}"), "{second}");
    assert!(first.contains("script \"/usr/bin/pgrep -x haproxy\""), "{first}");
    assert!(first.contains("track_script {\n        haproxy\n    }"), "{first}");
}

#[test]
fn an_address_follows_whichever_balancer_its_holder_has() {
    let plan = Plan::new(sound(&SHARED.replace("[haproxy, keepalived]", "[envoy, keepalived]")));
    let keepalived = plan.services.iter().find(|planned| planned.kind == ServiceKind::Keepalived).expect("one");
    let text = configuration(&plan, keepalived);
    assert!(text.contains("script \"/usr/bin/pgrep -x envoy\"") && !text.contains("haproxy"), "{text}");
    let untracked = SHARED.replace("advertise_s: 2", "tracks_balancer: false");
    let plan = Plan::new(sound(&untracked));
    let keepalived = plan.services.iter().find(|planned| planned.kind == ServiceKind::Keepalived).expect("one");
    assert!(!configuration(&plan, keepalived).contains("script {"));
}

#[test]
fn two_envoys_on_one_host_need_two_ports_for_their_administration() {
    let two = TWO_ON_ONE_HOST.replace("- haproxy\n", "- envoy\n");
    let two =
        two.replace("haproxy: { name: reads, settings: { stats_port: 8405, rise: 7 } }", "envoy: { name: reads }");
    let error = parse("broken.yaml", &two).expect_err("both listen on port 9901").to_string();
    assert!(
        error.contains("port 9901 of the host `proxy` is taken by envoy (administration) and by envoy reads"),
        "{error}"
    );
    let plan = Plan::new(sound(&two.replace("name: reads }", "name: reads, settings: { admin_port: 9902 } }")));
    let published: Vec<u16> = plan.published_ports("proxy").into_keys().collect();
    assert_eq!(published, [5432, 5433, 9901, 9902]);
}

#[test]
fn virtual_addresses_that_can_not_be() {
    check(SHARED, "name: vip,", "name: ^Vip,", "`Vip` can't be the name of a virtual address", "lower-case");
    check(SHARED, "name: vip,", "name: ^node1,", "`node1` is the name of something else, too", "no host");
    let unknown = "no host is called `proxy3`";
    check(SHARED, "[proxy1, proxy2]", "[proxy1, ^proxy3]", unknown, "did you mean `proxy");
    check(SHARED, "holders: [proxy1, proxy2]", "^holders: [proxy1]", "nobody could take `vip` over", "two hosts");
    check(SHARED, "[proxy1, proxy2]", "[proxy1, proxy2, ^proxy1]", "`proxy1` may hold `vip` already", "once");
    let nothing = "nothing on `node1` can hold `vip`";
    check(SHARED, "[proxy1, proxy2]", "[proxy1, proxy2, ^node1]", nothing, "add `keepalived`");
    let idle = "`keepalived` holds no virtual address on `node1`";
    check(SHARED, "[etcd, patroni]", "[etcd, patroni, ^keepalived]", idle, "holders");
    let deaf = "nothing on `proxy2`, which may hold `vip`, listens on port 5432";
    let by = "proxy2, services: [keepalived] }\nvirtual_addresses:\n  - { name: vip, holders: [proxy1, proxy2] }\n\
              endpoints:\n  write: { host: vip, port: ^5432 }";
    let replace = "proxy2, services: [haproxy, keepalived] }\nvirtual_addresses:\n  - { name: vip, holders: [proxy1, proxy2] }\n\
                   endpoints:\n  write: { host: vip, port: 5432 }";
    check(SHARED, replace, by, deaf, "add `haproxy`");
    let published = "`vip` is a virtual address: it can't be published at one port";
    check(SHARED, "port: 5432 }", "port: 5432, publish: ^6000 }", published, "publish endpoints");
    check(SHARED, "host: vip", "host: ^vipp", "no host is called `vipp`", "did you mean `vip`?");
    let field = "unknown field `holder` in `virtual_addresses[0]`";
    check(SHARED, "holders:", "^holder:", field, "did you mean `holders`?");
    check(SHARED, "advertise_s: 2", "advertise_s: ^0", "advertise_s must be at least 1", "");
    let most = "advertise_s is 300; VRRP takes at most 255";
    check(SHARED, "advertise_s: 2", "advertise_s: ^300", most, "");
}

/// Agents have a user of their own where etcd asks for passwords; an operator's `etcdctl` is the other one.
#[test]
fn where_etcd_asks_for_passwords_agents_and_operators_have_one_each() {
    let credentials = Credentials {
        dcs_password: "of the operator".to_owned(),
        dcs_agent_password: "of the agents".to_owned(),
        ..Credentials::default()
    };
    let rendered = |kind: ServiceKind, name: &str| {
        let plan = Plan::new(load(name, &[]).expect("a built-in topology"));
        (service(kind).render)(&plan.site("node1"), &credentials)
    };
    let agent = rendered(ServiceKind::Patroni, "etcd-passwords");
    let configuration = agent.files.iter().find(|(path, _)| path.ends_with("patroni.yml")).expect("a file");
    assert!(configuration.1.contains("password: of the agents\n  username: patroni"), "{}", configuration.1);
    assert!(!configuration.1.contains("of the operator"));
    let member = rendered(ServiceKind::Etcd, "etcd-passwords");
    assert_eq!(member.environment["ETCDCTL_USER"], "root:of the operator");
    assert!(rendered(ServiceKind::Etcd, "single-region").environment.is_empty());
    let secrets = credentials.secrets();
    assert!(["of the operator", "of the agents"].iter().all(|own| secrets.iter().any(|secret| secret == own)));
}

/// etcd's flags: left out where the topology says nothing, so that etcd's own defaults hold.
#[test]
fn etcd_compacts_and_writes_snapshots_as_the_topology_says() {
    let command = |change: fn(&mut pgquake_judge::topology::EtcdSettings)| {
        let mut topology = load("single-region", &[]).expect("a built-in topology");
        change(&mut topology.settings.etcd);
        let plan = Plan::new(topology);
        (service(ServiceKind::Etcd).render)(&plan.site("node1"), &Credentials::default()).command.join(" ")
    };
    let plain = command(|_| {});
    assert!(!plain.contains("compaction") && !plain.contains("snapshot-count"), "{plain}");
    let by_age = command(|etcd| (etcd.auto_compaction_s, etcd.snapshot_count) = (Some(300), Some(10_000)));
    let told = "--snapshot-count=10000 --auto-compaction-mode=periodic --auto-compaction-retention=300s";
    assert!(by_age.ends_with(told), "{by_age}");
    let by_number = command(|etcd| etcd.auto_compaction_revisions = Some(1_000));
    assert!(by_number.ends_with("--auto-compaction-mode=revision --auto-compaction-retention=1000"), "{by_number}");
}

/// Clusters that share an etcd have one set of its settings, and a member has those of the clusters whose keys it holds, whatever else
/// its host has.
#[test]
fn a_member_of_a_dcs_has_the_settings_of_those_whose_keys_it_holds() {
    let cluster = |name: &str, dcs: &str, asks: bool| {
        format!(
            "  - {{ name: {name}, nodes: [{name}1], dcs: [{dcs}], scope: {name}, settings: {{ etcd: {{ authentication: {asks} }} }} }}\n"
        )
    };
    let (hosts, rest) = TWO_REGIONS.split_once("clusters:\n").expect("clusters");
    let (_, rest) = rest.split_once("endpoints:").expect("endpoints");
    let with = |hosts: &str, east: String, west: String| format!("{hosts}clusters:\n{east}{west}endpoints:{rest}");
    let one_member = hosts.replace("west1, services: [etcd, patroni]", "west1, services: [patroni]");
    for (of_east, of_west) in [(true, false), (false, true)] {
        let text = with(&one_member, cluster("east", "east1", of_east), cluster("west", "east1", of_west));
        let error = parse("broken.yaml", &text).expect_err("two sets of settings");
        let told: Vec<&str> = error.mistakes().iter().map(|own| own.message.as_str()).collect();
        let message = "the clusters `east` and `west` share the members of their DCS, and not their settings of `etcd`";
        assert_eq!(told, [message]);
    }
    // Each has its member on the host of the other's node.
    let crossed = with(hosts, cluster("east", "west1", true), cluster("west", "east1", false));
    let plan = Plan::new(parse("broken.yaml", &crossed).expect("sound"));
    for (host, asks) in [("west1", true), ("east1", false)] {
        let is_member = |own: &&PlannedService| own.host == host && own.kind == ServiceKind::Etcd;
        let member = plan.services.iter().find(is_member).expect("a member");
        assert_eq!(plan.settings_for(member).etcd.authentication, asks, "{host}");
        assert_eq!(plan.dcs_at(host).map(|dcs| plan.asks_for_passwords(dcs)), Some(asks), "{host}");
    }
}

#[test]
fn passwords_that_no_etcd_asks_for_are_a_mistake() {
    let asks = "settings:\n  etcd: { authentication: true }\n";
    let consul = TWO_REGIONS.replace("etcd, patroni", "consul, patroni").replace("settings:\n", asks);
    let error = parse("broken.yaml", &consul).expect_err("no etcd");
    assert_eq!(error.mistakes()[0].message, "no agent's keys are in etcd, which would ask for passwords");
}

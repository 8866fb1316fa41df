//! What mistakes in global names get: a message and the place.

use pgquake_judge::{plan::Plan, topology::parse};

use super::{is_the_one, marked};

/// A sound topology, which each case breaks.
const SOUND: &str = "\
name: broken
description: a topology to break
follows: nothing
regions:
  - name: main
    hosts:
      - { name: node1, services: [etcd, patroni] }
      - { name: east, services: [haproxy] }
      - { name: west, services: [haproxy] }
      - { name: ns, services: [powerdns] }
endpoints:
  write: { host: east, port: 5000 }
names:
  - { name: db, ttl_s: 60, answers: [{ host: east }, { host: node1 }] }
  - { name: db-read.us-west-2, answers: [{ host: east, weight: 70 }, { host: west, weight: 30 }] }
  - { name: db-checked, health_checked: true, answers: [{ host: east }, { host: west }] }
settings:
  powerdns: { ttl_s: 30, health_check_interval_s: 5 }
";

/// Breaks it, and holds the one mistake to its place, which `by` marks with a `^`.
fn check(replace: &str, by: &str, message: &str, help: &str) {
    super::check(SOUND, replace, by, message, help);
}

/// The same, with the place as line and column.
fn check_at(replace: &str, by: &str, at: (usize, usize), message: &str, help: &str) {
    is_the_one(&parse("broken.yaml", &marked(SOUND, replace, by)).expect_err(by), at, message, help);
}

#[test]
fn the_unbroken_topology_is_sound() {
    let topology = parse("broken.yaml", SOUND).unwrap_or_else(|error| panic!("{error}"));
    let ttls: Vec<u32> = topology.names.iter().map(|name| topology.ttl_s(name)).collect();
    assert_eq!(ttls, [60, 30, 30]);
}

#[test]
fn names_that_can_not_be() {
    check("name: db,", "name: ^Db,", "`Db` can't be the name of a global name", "lower-case");
    check("db-read.us", "^db-read..us", "`` can't be the name of a global name", "lower-case");
    check("name: db-checked", "name: ^db", "two names are called `db`", "");
    check("name: db,", "name: ^west,", "`west` is a host's name, too", "would mean either");
}

#[test]
fn times_to_live_that_can_not_be() {
    check("ttl_s: 60", "ttl_s: ^0", "ttl_s must be at least 1", "");
    let message = "ttl_s is 4000000000; DNS has at most 2147483647";
    check("ttl_s: 60", "ttl_s: ^4000000000", message, "");
    check("ttl_s: 60", "ttl_s: ^1m", "`names[0].ttl_s` must be a whole number of seconds, not `1m`", "");
    check("{ ttl_s: 30", "{ ttl_s: ^0", "ttl_s must be at least 1", "");
    let message = "health_check_interval_s must be at least 1";
    check("interval_s: 5", "interval_s: ^0", message, "");
}

#[test]
fn answers_that_can_not_be() {
    check("{ host: node1 }", "{ host: ^nod1 }", "no host is called `nod1`", "did you mean `node1`?");
    check("{ host: node1 }", "{ host: ^east }", "the name `db` leads to `east` twice", "larger weight");
    let message = "the name `db` leads to `ns`, where no client is served";
    check("{ host: node1 }", "{ host: ^ns }", message, "haproxy or patroni");
    let message = "`db-checked` is a global name, and not a host";
    check("{ host: node1 }", "{ host: ^db-checked }", message, "a name leads to hosts");
    check("answers: [{ host: east }, { host: node1 }]", "^answers: []", "the name `db` leads nowhere", "");
}

#[test]
fn weights_that_can_not_be() {
    check("weight: 30", "weight: ^0", "a weight must be at least 1", "leave a host out");
    check("weight: 30", "weight: ^4294967295", "a weight of 4294967295; at most 1000000", "as 70 and 30");
    let message = "`west` has no weight, and other answers have one";
    check("west, weight: 30", "^west", message, "or none");
    let message = "the health-checked name `db-checked` has no weights";
    let by = "true, answers: [{ host: east, weight: ^1 }";
    check("true, answers: [{ host: east }", by, message, "the first host");
}

#[test]
fn names_that_nobody_answers_or_two_do() {
    check_at(
        "ns, services: [powerdns]",
        "ns, services: [etcd]",
        (13, 1),
        "no host answers these names",
        "add `powerdns`",
    );
    let two = "west, services: [haproxy, powerdns]";
    check_at("west, services: [haproxy]", two, (4, 1), "`west` and `ns` both answer names", "leave `powerdns`");
}

#[test]
fn health_is_checked_at_a_port_that_is_served() {
    let message = "nothing on `node1` listens on port 5000, by which its health is checked";
    let by = "true, answers: [{ host: ^node1 }, { host: west }";
    check("true, answers: [{ host: east }, { host: west }", by, message, "or else of `write`");
}

/// Two clusters with a proxy each, and applications that write where a name leads.
const TWO_CLUSTERS: &str = "\
name: broken
description: a topology to break
follows: nothing
regions:
  - name: a
    hosts:
      - { name: node1, services: [etcd, patroni] }
      - { name: east, services: [haproxy] }
  - name: b
    hosts:
      - { name: node2, services: [etcd, patroni] }
      - { name: west, services: [haproxy, powerdns] }
clusters:
  - { name: one, nodes: [node1], dcs: [node1] }
  - { name: two, nodes: [node2], dcs: [node2], follows: { cluster: one, host: node1 } }
endpoints:
  - { name: write, serves: primary, host: db, port: 5000 }
  - { name: east-write, serves: primary, of: one, host: east, port: 5000 }
  - { name: west-write, serves: primary, of: two, host: west, port: 5000 }
names:
  - { name: db, answers: [{ host: east }] }
";

#[test]
fn an_endpoint_at_a_name_needs_no_cluster_and_its_hosts_listen() {
    let topology = parse("broken.yaml", TWO_CLUSTERS).unwrap_or_else(|error| panic!("{error}"));
    let plan = Plan::new(topology);
    // A name can be pointed at either proxy, and nobody connects to the server of names.
    let at = |host| plan.endpoints_at(host).map(|endpoint| endpoint.name.as_str()).collect::<Vec<_>>();
    assert_eq!((at("east"), at("west")), (vec!["write", "east-write"], vec!["write", "west-write"]));
    assert!(plan.published_ports("west").contains_key(&5000));
    let balancer = |host| plan.balancers().find(|planned| planned.host == host).expect(host);
    let fronts =
        |host| plan.site_of(balancer(host)).fronts.iter().map(|front| front.name.to_owned()).collect::<Vec<_>>();
    assert_eq!((fronts("east"), fronts("west")), (vec!["east-write".to_owned()], vec!["west-write".to_owned()]));
}

#[test]
fn of_one_cluster_the_balancer_has_one_front_for_a_name_and_its_hosts() {
    let named = "  - { name: write, serves: primary, host: db-checked, port: 5000 }\n  \
                 - { name: asking, serves: primary, host: db-checked, port: 5000, asks_each_time: true }\n  \
                 - { name: east-write, serves: primary, host: east, port: 5000 }\n";
    let text = SOUND.replace("  write: { host: east, port: 5000 }\n", named);
    let plan = Plan::new(parse("broken.yaml", &text).unwrap_or_else(|error| panic!("{error}")));
    for proxy in plan.balancers() {
        let fronts: Vec<_> =
            plan.site_of(proxy).fronts.iter().map(|front| (front.name.to_owned(), front.port)).collect();
        assert_eq!(fronts, [("write".to_owned(), 5000)]);
    }
}

#[test]
fn endpoints_at_names_that_can_not_be() {
    let told = |replace: &str, by: &str| {
        assert!(TWO_CLUSTERS.contains(replace), "{replace:?}");
        parse("broken.yaml", &TWO_CLUSTERS.replacen(replace, by, 1)).expect_err(by).to_string()
    };
    let deaf = told("host: db, port: 5000", "host: db, port: 5001");
    assert_eq!(deaf, "broken.yaml:17:53: nothing on `east`, to which `db` leads, listens on port 5001");
    let published = told("host: db, port: 5000", "host: db, port: 5000, publish: 6000");
    assert_eq!(published, "broken.yaml:17:68: `db` is a global name: it can't be published at one port");
    let asks = told("host: east, port: 5000", "host: east, port: 5000, asks_each_time: true");
    assert_eq!(asks, "broken.yaml:18:91: `east` is no global name: there is nothing to ask for");
    assert_eq!(told("host: db, port", "of: one, host: dbs, port"), "broken.yaml:17:52: no host is called `dbs`");
}

#[test]
fn powerdns_without_a_name_is_warned_of() {
    let (before, rest) = SOUND.split_once("names:\n").expect("it has names");
    let (_, after) = rest.split_once("settings:").expect("and settings");
    let topology = parse("broken.yaml", &format!("{before}settings:{after}")).unwrap_or_else(|error| panic!("{error}"));
    let told = topology.warnings();
    assert!(told.contains(&"powerdns answers no name: the topology has no `names`".to_owned()), "{told:?}");
}

#[test]
fn networks_and_rules_of_a_firewall_that_can_not_be() {
    let with = |networks: &str, firewall: &str| format!("networks: {networks}\nfirewall: {firewall}\nsettings:\n");
    let nodes =
        "[{ name: nodes, hosts: [node1] }, { name: proxies, hosts: [east, west] }, { name: others, hosts: [ns] }]";
    let rules = "{ on: nodes, default: drop, rules: [{ port: 5432, from: proxies }] }";
    parse("broken.yaml", &SOUND.replacen("settings:\n", &with(nodes, rules), 1))
        .unwrap_or_else(|error| panic!("{error}"));
    let broken = |part: &str, by: &str, message: &str, help: &str| {
        let text = with(nodes, rules);
        assert!(text.contains(part), "no {part:?}");
        check("settings:\n", &text.replacen(part, by, 1), message, help);
    };
    broken("hosts: [node1]", "hosts: [^node2]", "no host is called `node2`", "did you mean `node1`?");
    broken("name: others,", "name: ^nodes,", "two networks are called `nodes`", "");
    broken("name: others,", "name: ^Others,", "`Others` can't be the name of a network", "lower-case");
    broken("on: nodes", "on: ^node", "no network is called `node`", "did you mean `nodes`?");
    broken("from: proxies", "from: ^proxis", "no network is called `proxis`", "did you mean `proxies`?");
    broken("port: 5432", "port: ^0", "no service can listen on port 0", "");
    broken("default: drop", "default: ^drp", "unknown value `drp`", "did you mean `drop`?");
}

//! What a mistyped or senseless topology gets: a message, the place, and what was probably meant.

use std::{fs, path::PathBuf};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use pgquake_judge::topology::{BUILT_IN, TopologyError, known, load, parse};

/// A sound topology, which each case breaks.
const SOUND: &str = "\
name: broken
description: a topology to break
follows: nothing
regions:
  - name: main
    hosts:
      - { name: node1, services: [etcd, patroni] }
      - { name: node2, services: [etcd, patroni] }
      - { name: proxy, services: [haproxy] }
links:
  - { from: node1, to: node2, shaped_ports: [5432] }
endpoints:
  write: { host: proxy, port: 5432 }
  read: { host: proxy, port: 5433 }
settings:
  patroni:
    ttl_s: 30
    loop_wait_s: 10
    retry_timeout_s: 10
  postgresql:
    parameters:
      max_connections: 100
claims: [RTO-30]
";

/// One way to break it: what is replaced by what, and what must be said, where.
struct Case {
    replace: &'static str,
    by: &'static str,
    at: (usize, usize),
    message: &'static str,
    /// A part of the help; empty: there must be none.
    help: &'static str,
}

fn check(cases: &[Case]) {
    for case in cases {
        assert!(SOUND.contains(case.replace), "the sound topology has no {:?}", case.replace);
        let text = SOUND.replacen(case.replace, case.by, 1);
        let error = parse("folder/broken.yaml", &text).expect_err(case.by);
        let [mistake] = error.mistakes() else { panic!("{:?}: not one mistake: {error}", case.by) };
        let help = mistake.help.as_deref().unwrap_or_default();
        assert_eq!(mistake.message, case.message, "{:?}", case.by);
        assert_eq!((mistake.line, mistake.column), case.at, "{:?}: {error}", case.by);
        assert!(help.contains(case.help) && help.is_empty() == case.help.is_empty(), "{:?}: help: {help}", case.by);
        let (line, column) = case.at;
        assert_eq!(error.to_string(), format!("folder/broken.yaml:{line}:{column}: {}", case.message));
    }
}

#[test]
fn the_unbroken_topology_is_sound() {
    if let Err(error) = parse("folder/broken.yaml", SOUND) {
        panic!("{error}");
    }
}

#[test]
fn a_field_that_does_not_exist() {
    check(&[
        Case {
            replace: "    ttl_s: 30",
            by: "    ttl: 30",
            at: (17, 5),
            message: "unknown field `ttl` in `settings.patroni`",
            help: "did you mean `ttl_s`?",
        },
        Case {
            replace: "loop_wait_s: 10",
            by: "loop_wait: 10",
            at: (18, 5),
            message: "unknown field `loop_wait` in `settings.patroni`",
            help: "did you mean `loop_wait_s`?",
        },
        Case {
            replace: "endpoints:",
            by: "endpoint:",
            at: (12, 1),
            message: "unknown field `endpoint`",
            help: "did you mean `endpoints`?",
        },
        Case {
            replace: "shaped_ports",
            by: "ports",
            at: (11, 31),
            message: "unknown field `ports` in `links[0]`",
            help: "known: from, to or shaped_ports",
        },
        Case {
            replace: "settings:\n",
            by: "settings:\n  ttl: 30\n",
            at: (16, 3),
            message: "unknown field `ttl` in `settings`",
            help: "did you mean `ttl_s`? it belongs in `settings.patroni`",
        },
        Case {
            replace: "    ttl_s: 30",
            by: "    tags: nosync",
            at: (17, 5),
            message: "unknown field `tags` in `settings.patroni`",
            help: "known: ttl_s, loop_wait_s,",
        },
    ]);
}

#[test]
fn a_watchdog_that_cannot_be() {
    check(&[
        Case {
            replace: "    ttl_s: 30",
            by: "    watchdog: { mode: requird }\n    ttl_s: 30",
            at: (17, 23),
            message: "unknown value `requird`",
            help: "did you mean `required`?",
        },
        Case {
            replace: "    ttl_s: 30",
            by: "    watchdog: { mode: required, safety_margin: 5 }\n    ttl_s: 30",
            at: (17, 33),
            message: "unknown field `safety_margin` in `settings.patroni.watchdog`",
            help: "did you mean `safety_margin_s`?",
        },
        Case {
            replace: "    ttl_s: 30",
            by: "    watchdog: { mode: required, safety_margin_s: 30 }\n    ttl_s: 30",
            at: (17, 50),
            message: "safety_margin_s is 30 and not below ttl_s, which is 30: the watchdog would have no time",
            help: "the watchdog's timeout is ttl_s - safety_margin_s",
        },
        Case {
            replace: "    ttl_s: 30",
            by: "    watchdog: { mode: required, safety_margin_s: 21 }\n    ttl_s: 30",
            at: (17, 50),
            message: "the watchdog's timeout is 9 s (ttl_s - safety_margin_s), and the agent feeds it every loop_wait_s, which is 10",
            help: "Patroni would do without the watchdog",
        },
    ]);
}

#[test]
fn a_field_that_is_missing_or_stands_twice() {
    check(&[
        Case { replace: "follows: nothing\n", by: "", at: (1, 1), message: "the field `follows` is missing", help: "" },
        Case {
            replace: "host: proxy, port: 5432",
            by: "host: proxy",
            at: (13, 3),
            message: "the field `port` is missing in `endpoints.write`",
            help: "",
        },
        Case {
            replace: "  - name: main\n    hosts",
            by: "  - hosts",
            at: (5, 5),
            message: "the field `name` is missing in `regions[0]`",
            help: "",
        },
        Case {
            replace: "claims: [RTO-30]",
            by: "name: again",
            at: (23, 1),
            message: "`name` stands twice",
            help: "given once",
        },
    ]);
}

#[test]
fn a_value_of_the_wrong_type() {
    check(&[
        Case {
            replace: "ttl_s: 30",
            by: "ttl_s: 30s",
            at: (17, 12),
            message: "`settings.patroni.ttl_s` must be a whole number of seconds, not `30s`",
            help: "",
        },
        Case {
            replace: "port: 5433",
            by: "port: 70000",
            at: (14, 30),
            message: "`endpoints.read.port` must be a port, a whole number from 1 to 65535, not `70000`",
            help: "",
        },
        Case {
            replace: "ttl_s: 30",
            by: "ttl_s: 30\n    synchronous_mode: perhaps",
            at: (18, 23),
            message: "`settings.patroni.synchronous_mode` must be true or false, not `perhaps`",
            help: "",
        },
        Case {
            replace: "claims: [RTO-30]",
            by: "claims: RTO-30",
            at: (23, 9),
            message: "`claims` must be a list, `[one, two]` or `- one` on a line each",
            help: "",
        },
        Case {
            replace: "ttl_s: 30",
            by: "ttl_s: [30]",
            at: (17, 12),
            message: "`settings.patroni.ttl_s` must be a single value",
            help: "",
        },
        Case {
            replace: "services: [haproxy]",
            by: "services: haproxy",
            at: (9, 34),
            message: "`regions[0].hosts[2].services` must be a list, `[one, two]` or `- one` on a line each",
            help: "",
        },
        Case { replace: "name: broken", by: "name:", at: (1, 5), message: "`name` is empty", help: "" },
    ]);
}

#[test]
fn a_service_that_does_not_exist() {
    check(&[
        Case {
            replace: "[haproxy]",
            by: "[haprox]",
            at: (9, 35),
            message: "unknown service `haprox`",
            help: "did you mean `haproxy`? known: etcd, patroni, haproxy, envoy, powerdns, postgresql, minio, restore, pgbouncer, keepalived, zookeeper, consul or subscriber",
        },
        Case {
            replace: "[haproxy]",
            by: "[mysql]",
            at: (9, 35),
            message: "unknown service `mysql`",
            help: "known: etcd, patroni, haproxy, envoy, powerdns, postgresql, minio, restore, pgbouncer, keepalived, zookeeper, consul or subscriber",
        },
        Case {
            replace: "[haproxy]",
            by: "[[haproxy]]",
            at: (9, 35),
            message: "`regions[0].hosts[2].services[0]` must be a kind of service, alone or with a name and settings",
            help: "",
        },
    ]);
}

#[test]
fn text_that_is_not_yaml() {
    check(&[
        Case {
            replace: "  patroni:\n",
            by: "\tpatroni:\n",
            at: (16, 1),
            message: "a tab stands in the indentation",
            help: "spaces",
        },
        Case {
            replace: "claims: [RTO-30]",
            by: "---\nname: other",
            at: (24, 1),
            message: "a second document begins",
            help: "one file holds one topology",
        },
    ]);
    for text in ["name: [x\ndescription: y\n", "name: 'x\n", "a: b: c\n", "}\n", "name: *nothing\n"] {
        let error = parse("broken.yaml", text).expect_err(text);
        assert!(error.to_string().contains("this is not YAML: "), "{text}: {error}");
    }
}

#[test]
fn a_file_without_a_topology() {
    for text in ["", "\n\n", "# nothing\n\n  # at all\n"] {
        let error = parse("broken.yaml", text).expect_err("nothing");
        assert_eq!(error.to_string(), "broken.yaml:1:1: the file is empty");
    }
    for text in ["hello\n", "- a\n- b\n", "3\n"] {
        let error = parse("broken.yaml", text).expect_err(text);
        assert!(error.to_string().contains("a topology must be a block of fields"), "{text}: {error}");
    }
}

#[test]
fn names() {
    check(&[
        Case {
            replace: "name: broken",
            by: "name: other",
            at: (1, 7),
            message: "the topology is called `other`, its file `broken`",
            help: "write `name: broken`",
        },
        Case {
            replace: "name: main",
            by: "name: US-East",
            at: (5, 11),
            message: "`US-East` can't be the name of a region",
            help: "lower-case",
        },
        Case {
            replace: "- { name: node2, services: [etcd, patroni] }",
            by: "- { name: node2, services: [etcd, patroni] }\n      - { name: 3node, services: [etcd] }",
            at: (9, 17),
            message: "`3node` can't be the name of a host",
            help: "beginning with a letter",
        },
        Case {
            replace: "- { name: node2, services: [etcd, patroni] }",
            by: "- { name: node2, services: [etcd, patroni] }\n      - { name: node1, services: [etcd] }",
            at: (9, 17),
            message: "two hosts are called `node1`",
            help: "unique",
        },
        Case {
            replace: "- { name: node2, services: [etcd, patroni] }",
            by: "- { name: node2, services: [etcd, patroni] }\n      - { name: write, services: [etcd] }",
            at: (9, 17),
            message: "a host can't be called `write`",
            help: "endpoint",
        },
        Case {
            replace: "endpoints:\n",
            by: "  - { from: node2, to: nod1, shaped_ports: [5432] }\nendpoints:\n",
            at: (12, 24),
            message: "no host is called `nod1`",
            help: "did you mean `node1`?",
        },
    ]);
}

#[test]
fn services_and_what_they_need() {
    check(&[
        Case {
            replace: "services: [haproxy]",
            by: "services: [haproxy, haproxy]",
            at: (9, 44),
            message: "`haproxy` stands twice on the host `proxy`",
            help: "give one of them a name",
        },
        Case {
            replace: "      - { name: proxy",
            by: "      - { name: idle, services: [] }\n      - { name: proxy",
            at: (9, 23),
            message: "the host `idle` runs nothing",
            help: "",
        },
        Case {
            replace: "      - { name: node1, services: [etcd, patroni] }\n      - { name: node2, services: [etcd, patroni] }",
            by: "      - { name: node1, services: [patroni] }\n      - { name: node2, services: [patroni] }",
            at: (4, 1),
            message: "no host runs a member of a DCS",
            help: "leader key",
        },
        Case {
            replace: "services: [haproxy]",
            by: "services: [haproxy, patroni]",
            at: (13, 31),
            message: "port 5432 of the host `proxy` is taken by patroni (PostgreSQL) and by haproxy (the endpoint `write`)",
            help: "another port",
        },
    ]);
    let lonely = SOUND
        .replace("[etcd, patroni]", "[etcd]")
        .replace("links:\n  - { from: node1, to: node2, shaped_ports: [5432] }\n", "");
    let error = parse("broken.yaml", &lonely).expect_err("no node");
    assert_eq!(error.to_string(), "broken.yaml:4:1: no host runs patroni or postgresql");
}

/// A sound topology without agents, which each case breaks.
const BY_HAND: &str = "\
name: broken
description: a topology to break
follows: nothing
regions:
  - name: main
    hosts:
      - { name: node1, services: [postgresql] }
      - { name: node2, services: [postgresql] }
endpoints:
  write: { host: node1, port: 5432 }
";

#[test]
fn nodes_without_an_agent() {
    parse("broken.yaml", BY_HAND).expect("it is sound");
    let one = "clusters:\n  - { name: one, nodes: [node1, node2], dcs: [] }\nendpoints:";
    parse("broken.yaml", &BY_HAND.replace("endpoints:", one)).expect("a cluster needs no DCS");
    for (replace, by, message, help) in [
        (
            "node2, services: [postgresql]",
            "node2, services: [postgresql, etcd]",
            "no agent has a key in the DCS",
            "leave",
        ),
        (
            "node2, services: [postgresql]",
            "node2, services: [patroni, etcd]",
            "an agent keeps the node `node2` of the cluster `main`, and none keeps `node1`",
            "on every node",
        ),
        (
            "node2, services: [postgresql]",
            "node2, services: [postgresql, patroni, etcd]",
            "port 5432 of the host `node2` is taken by postgresql (PostgreSQL) and by patroni (PostgreSQL)",
            "",
        ),
        (
            "{ name: node2, services: [postgresql] }\nendpoints:\n  write: { host: node1",
            "{ name: node2, services: [haproxy] }\nendpoints:\n  write: { host: node2",
            "no agent tells the balancer of the endpoint `write` which node leads",
            "step of a runbook",
        ),
        (
            "endpoints:\n",
            "clusters:\n  - { name: one, nodes: [node1, node2], dcs: [node1] }\nendpoints:\n",
            "no agent of",
            "[]",
        ),
        (
            "endpoints:\n",
            "clusters:\n  - { name: one, nodes: [node1], dcs: [] }\n  - { name: two, nodes: [node2], dcs: [], follows: { \
             cluster: one, host: node1 } }\nendpoints:\n",
            "no agent lets the cluster `two` follow",
            "of their own cluster",
        ),
    ] {
        let error = parse("broken.yaml", &BY_HAND.replacen(replace, by, 1)).expect_err(by);
        let found = error.mistakes().iter().find(|mistake| mistake.message.contains(message));
        let told = found.unwrap_or_else(|| panic!("{by}: {:?}", error.mistakes()));
        assert!(told.help.as_deref().unwrap_or_default().contains(help), "{by}: {:?}", told.help);
    }
}

#[test]
fn clusters_that_follow_each_other_run_one_major_version() {
    let built_in = include_str!("../../topologies/two-region.yaml");
    let west = "scope: postgres-cluster\n    follows:";
    assert!(built_in.contains(west));
    let with = |settings: &str| {
        built_in.replace(
            west,
            &format!("scope: postgres-cluster\n    settings: {{ postgresql: {settings} }}\n    follows:"),
        )
    };
    parse("two-region.yaml", &with("{ parameters: { work_mem: 8MB } }")).expect("one major version");
    let error = parse("two-region.yaml", &with("{ major_version: 16 }")).expect_err("two of them");
    let [mistake] = error.mistakes() else { panic!("{error:?}") };
    assert_eq!(mistake.message, "`west` runs PostgreSQL 16, and can't replay the WAL of `east`, which runs 17");
    assert_eq!((mistake.line, mistake.column), (52, 46));
}

#[test]
fn endpoints_and_links_to_nowhere() {
    check(&[
        Case {
            replace: "write: { host: proxy",
            by: "write: { host: porxy",
            at: (13, 18),
            message: "no host is called `porxy`",
            help: "did you mean `proxy`? known: node1, node2 or proxy",
        },
        Case {
            replace: "read: { host: proxy, port: 5433",
            by: "read: { host: node2, port: 5433",
            at: (14, 30),
            message: "nothing on `node2` serves port 5433 to clients",
            help: "PostgreSQL listens on 5432",
        },
        Case {
            replace: "port: 5433",
            by: "port: 5432",
            at: (14, 30),
            message: "the endpoints `write` and `read` share port 5432",
            help: "must differ",
        },
        Case {
            replace: "port: 5433",
            by: "port: 8404",
            at: (14, 30),
            message: "port 8404 of the host `proxy` is taken by haproxy (statistics) and by haproxy (the endpoint `read`)",
            help: "another port",
        },
        Case {
            replace: "shaped_ports: [5432]",
            by: "shaped_ports: [5432, 5433]",
            at: (11, 52),
            message: "nothing on `node1` or `node2` listens on port 5433",
            help: "5432 patroni (PostgreSQL)",
        },
        Case {
            replace: "shaped_ports: [5432]",
            by: "shaped_ports: []",
            at: (11, 31),
            message: "the link from `node1` to `node2` shapes no port",
            help: "direct",
        },
        Case {
            replace: "to: node2",
            by: "to: node1",
            at: (11, 24),
            message: "a link from `node1` to itself",
            help: "without a network",
        },
    ]);
}

#[test]
fn rules_that_patroni_and_etcd_hold() {
    check(&[
        Case {
            replace: "ttl_s: 30\n    loop_wait_s: 10\n    retry_timeout_s: 10",
            by: "ttl_s: 15\n    loop_wait_s: 3\n    retry_timeout_s: 5",
            at: (17, 12),
            message: "ttl_s is 15; Patroni wants at least 20",
            help: "",
        },
        Case {
            replace: "ttl_s: 30",
            by: "ttl_s: 20",
            at: (17, 12),
            message: "loop_wait_s + 2 × retry_timeout_s is 30 (10 + 2 × 10) and exceeds ttl_s, which is 20",
            help: "raise ttl_s",
        },
        Case {
            replace: "    ttl_s: 30\n    loop_wait_s: 10\n    retry_timeout_s: 10",
            by: "    retry_timeout_s: 20",
            at: (17, 22),
            message: "loop_wait_s + 2 × retry_timeout_s is 50 (10 + 2 × 20) and exceeds ttl_s, which is 30",
            help: "raise ttl_s",
        },
        Case {
            replace: "retry_timeout_s: 10",
            by: "retry_timeout_s: 2",
            at: (19, 22),
            message: "retry_timeout_s is 2; Patroni wants at least 3",
            help: "",
        },
        Case {
            replace: "  patroni:",
            by: "  etcd: { election_timeout_ms: 400 }\n  patroni:",
            at: (16, 32),
            message: "election_timeout_ms is 400, less than 5 × heartbeat_interval_ms (100)",
            help: "refuses to start",
        },
        Case {
            replace: "  patroni:",
            by: "  etcd: { quota_backend_bytes: 0 }\n  patroni:",
            at: (16, 32),
            message: "quota_backend_bytes is less than 1048576, in which a cluster's keys have no room",
            help: "would switch etcd's quota off",
        },
        Case {
            replace: "  patroni:",
            by: "  etcd: { quota_backend_bytes: 18446744073709551615 }\n  patroni:",
            at: (16, 32),
            message: "quota_backend_bytes is more than 70368744177664, for which no process has room among its addresses",
            help: "etcd refuses to start with that",
        },
        Case {
            replace: "  patroni:",
            by: "  etcd: { auto_compaction_revisions: 0 }\n  patroni:",
            at: (16, 38),
            message: "auto_compaction_revisions must be at least 1",
            help: "as etcd has it",
        },
        Case {
            replace: "  patroni:",
            by: "  etcd: { auto_compaction_s: 60, auto_compaction_revisions: 9 }\n  patroni:",
            at: (16, 61),
            message: "etcd compacts by age or by number, and not by both",
            help: "leave one of them out",
        },
        Case {
            replace: "  patroni:",
            by: "  haproxy: { fall: 0 }\n  patroni:",
            at: (16, 20),
            message: "fall must be at least 1",
            help: "",
        },
    ]);
}

#[test]
fn tags_and_keys_of_the_dynamic_configuration() {
    let dynamic = |line: &str| format!("    ttl_s: 30\n    dynamic:\n      {line}");
    let tags = |tags: &str| SOUND.replacen("name: node2,", &format!("name: node2, tags: {{ {tags} }},"), 1);
    let told = |text: &str| {
        let error = parse("broken.yaml", text).expect_err(text);
        format!("{error}; {}", help(&error))
    };
    for (line, part) in [
        ("synchronous_node_cuont: 2", "Patroni has no key `synchronous_node_cuont`"),
        ("synchronous_node_count: none", "`none` can't be the value of `synchronous_node_count`"),
        ("ttl: 20", "a topology says it by `settings.patroni.ttl_s`"),
        ("postgresql.parameters.work_mem: 8MB", "a topology says it by `settings.postgresql.parameters`"),
        ("postgresql.listen: 127.0.0.1", "`postgresql.listen` would change nothing"),
        ("postgresql: { parameters: { work_mem: 8MB } }", "a topology says it by `settings.postgresql.parameters`"),
        ("slots:", "leave out what is not to be there"),
        ("slots: { mine: 5 }", "`5` can't be the value of `slots.mine`"),
        ("permanent_slots: { mine: {} }", "a topology says it by `slots`"),
        ("postgresql.recovery_conf: { restore_comand: cp }", "has no key `postgresql.recovery_conf.restore_comand`"),
        ("postgresql: { use_slots: false }\n      postgresql.use_slots: true", "`postgresql.use_slots` is said twice"),
    ] {
        let said = told(&SOUND.replace("    ttl_s: 30", &dynamic(line)));
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    for (text, part) in [
        (tags("nofailovr: true"), "did you mean `nofailover`?"),
        (tags("replicatefrom: node9"), "no other node of the cluster is called `node9`"),
        (tags("nofailover: false, failover_priority: 0"), "say that it may lead and that it may not"),
        (tags("nofailover: true, failover_priority: 2"), "say that it may lead and that it may not"),
        (
            tags("replicatefrom: node1").replacen("name: node1,", "name: node1, tags: { replicatefrom: node2 },", 1),
            "would stream from itself",
        ),
        (tags("replicatefrom: node2"), "no other node of the cluster is called `node2`"),
        (SOUND.replacen("name: node1,", "name: node1, tags: { nofailover: true },", 1), "`node1` is the first primary"),
        (SOUND.replacen("name: proxy,", "name: proxy, tags: { nosync: true },", 1), "nobody reads the tags of `proxy`"),
    ] {
        let said = told(&text);
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    parse("broken.yaml", &tags("nofailover: true, replicatefrom: node1")).expect("sound tags");
}

/// What Patroni would take from another place, or what something else of the topology would lose.
#[test]
fn keys_that_other_parts_of_a_topology_need() {
    for (name, key, part) in [
        ("single-region-archive", "postgresql.recovery_conf.restore_command: cp", "take WAL from the archive"),
        ("production-repointed", "postgresql.callbacks.on_stop: /bin/true", "points pools at the primary"),
        ("logical", "slots: { reports: { type: physical } }", "the slot `reports` is that of the subscription"),
        ("two-region", "slots.standby_cluster: {}", "is that of the cluster `west`, which follows by it"),
    ] {
        let text = BUILT_IN.iter().find(|(known, _)| *known == name).expect("it is built in").1;
        let with = text.replace("slot_kept: failover", "slot_kept: permanent");
        let with = with.replacen("  patroni: {", &format!("  patroni: {{ dynamic: {{ {key} }},"), 1);
        let with = with.replacen("  patroni:\n", &format!("  patroni:\n    dynamic: {{ {key} }}\n"), 1);
        let error = parse(&format!("{name}.yaml"), &with).expect_err(name);
        assert!(error.to_string().contains(part), "{name}: {error}");
    }
}

#[test]
fn postgresql_and_claims() {
    check(&[
        Case {
            replace: "    parameters:",
            by: "    major_version: 14\n    parameters:",
            at: (21, 20),
            message: "PostgreSQL 14 can't be had",
            help: "known: 15, 16 (16.11, 16.14), 17, 18",
        },
        Case {
            replace: "    parameters:",
            by: "    minor_version: 4\n    parameters:",
            at: (21, 20),
            message: "PostgreSQL 17.4 can't be had",
            help: "known: 15, 16 (16.11, 16.14), 17, 18",
        },
        Case {
            replace: "  patroni:",
            by: "  etcd: { version: \"3.4\" }\n  patroni:",
            at: (16, 20),
            message: "etcd 3.4 can't be had",
            help: "known: 3.5, 3.6",
        },
        Case {
            replace: "max_connections: 100",
            by: "listen_addresses: '*'",
            at: (22, 7),
            message: "`listen_addresses` is not free to be set",
            help: "Patroni",
        },
        Case {
            replace: "max_connections: 100",
            by: "\"max connections\": 100",
            at: (22, 7),
            message: "`max connections` can't be the name of a parameter",
            help: "has a dot in its name",
        },
        Case {
            replace: "RTO-30",
            by: "RTO-30, RTO-31",
            at: (23, 18),
            message: "no claim has the id `RTO-31`",
            help: "did you mean `RTO-30`? `pgquake list claims`",
        },
        Case {
            replace: "RTO-30",
            by: "RTO-30, RTO-30",
            at: (23, 18),
            message: "the claim `RTO-30` stands twice",
            help: "",
        },
    ]);
}

#[test]
fn what_would_fail_at_the_start() {
    let case = |replace, by, at, message, help| Case { replace, by, at, message, help };
    check(&[
        case(
            "- { name: proxy",
            "- { name: clients, services: [etcd] }\n      - { name: proxy",
            (9, 17),
            "a host can't be called `clients`",
            "a scenario has that name",
        ),
        case("port: 5433", "port: 5433, publish: 0", (14, 45), "an endpoint can't be published at port 0", "leave"),
        case(
            "5432 }\n  read: { host: proxy, port: 5433",
            "5432, publish: 7000 }\n  read: { host: proxy, port: 5433, publish: 7000",
            (14, 45),
            "port 7000 of this machine is taken by the endpoint `write`",
            "of its own",
        ),
        case(
            "port: 5433",
            "port: 8474",
            (14, 30),
            "port 8474 is Toxiproxy's, which comes where links are shaped",
            "another",
        ),
        case(
            "  patroni:",
            "  haproxy: { inter_ms: 4294967295 }\n  patroni:",
            (16, 24),
            "inter_ms is 4294967295; HAProxy takes at most 1073741823",
            "",
        ),
    ]);
}

#[test]
fn parameters_of_postgresql() {
    let case = |by, at, message, help| Case { replace: "max_connections: 100", by, at, message, help };
    check(&[
        case("work_mme: 8MB", (22, 7), "PostgreSQL 17 has no parameter `work_mme`", "did you mean `work_mem`?"),
        case("zzz_qqq_xxx_www: 1", (22, 7), "PostgreSQL 17 has no parameter `zzz_qqq_xxx_www`", "pg_settings"),
        case("work_mem: 8mb", (22, 17), "`8mb` can't be the value of `work_mem`", "in B, kB, MB, GB or TB"),
        case("work_mem: 8 MiB", (22, 17), "`8 MiB` can't be the value of `work_mem`", "a size from 64kB"),
        case(
            "checkpoint_timeout: 5 m",
            (22, 27),
            "`5 m` can't be the value of `checkpoint_timeout`",
            "a time from 30s",
        ),
        case("max_connections: 5", (22, 24), "`5` can't be the value of `max_connections`", "Patroni takes no less"),
        case("max_connections: 1e99", (22, 24), "`1e99` can't be the value of `max_connections`", "to 262143"),
        case("fsync: maybe", (22, 14), "`maybe` can't be the value of `fsync`", "on or off"),
        case("wal_level: minimal", (22, 18), "`minimal` can't be the value of `wal_level`", "replica or logical"),
        case(
            "synchronous_commit: remote_aply",
            (22, 27),
            "`remote_aply` can't be the value of `synchronous_commit`",
            "did you mean `remote_apply`?",
        ),
        case("block_size: 8192", (22, 7), "`block_size` can't be set in a configuration", "built"),
        case(
            "transaction_read_only: on",
            (22, 7),
            "`transaction_read_only` can't be set in a configuration",
            "default_",
        ),
        case("archive_command: \"a\\nb\"", (22, 24), "`a\nb` can't be the value of `archive_command`", "one line"),
        case("work_mem: 8MB\n      Work_Mem: 9MB", (22, 7), "`work_mem` stands twice", "upper and lower case"),
        case("superuser_reserved_connections: 400", (22, 39), "400 connections are reserved, of 400 in all", "refuses"),
        case(
            "auto explain.log_min_duration: 1s",
            (22, 7),
            "`auto explain.log_min_duration` can't be the name of a parameter",
            "dot",
        ),
    ]);
    let sound = "work_mem: 8MB\n      fsync: off\n      WAL_Level: logical\n      auto_explain.log_min_duration: 1s\n      \
                 random_page_cost: 1.1\n      archive_command: /bin/true\n      max_connections: \"200\"";
    if let Err(error) = parse("broken.yaml", &SOUND.replace("max_connections: 100", sound)) {
        panic!("{error}");
    }
    // Four standbys beside the one that SOUND has.
    let many: String =
        (3..=6).map(|number| format!("      - {{ name: node{number}, services: [patroni] }}\n")).collect();
    let text = SOUND
        .replace("      - { name: proxy", &format!("{many}      - {{ name: proxy"))
        .replace("max_connections: 100", "max_wal_senders: 4");
    let error = parse("broken.yaml", &text).expect_err("too few");
    assert_eq!(error.to_string(), "broken.yaml:26:24: `max_wal_senders` is 4, and 5 standbys need one each");
}

#[test]
fn every_mistake_is_told_at_once_in_the_order_of_the_file() {
    let text = SOUND.replace("ttl_s: 30", "ttl_s: 20").replace("host: proxy", "host: porxy").replace("RTO-30", "RTO-3");
    let error = parse("broken.yaml", &text).expect_err("four mistakes");
    let lines: Vec<_> = error.mistakes().iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, [13, 14, 17, 23]);
    assert_eq!(
        error.to_string(),
        "broken.yaml has 4 mistakes, the first in line 13, column 18: no host is called `porxy`"
    );
}

#[test]
fn the_report_shows_the_line_and_what_was_meant() {
    let text = SOUND.replace("    ttl_s: 30", "    ttl: 30");
    let error = parse("topologies/broken.yaml", &text).expect_err("a typo");
    insta::assert_snapshot!(drawn(&error), @r"
    × topologies/broken.yaml:17:5: unknown field `ttl` in `settings.patroni`
      ╭─[topologies/broken.yaml:17:5]
   16 │   patroni:
   17 │     ttl: 30
      ·     ─┬─
      ·      ╰── here
   18 │     loop_wait_s: 10
      ╰────
    help: did you mean `ttl_s`? known: ttl_s, loop_wait_s, retry_timeout_s, maximum_lag_on_failover_bytes,
          primary_start_timeout_s, synchronous_mode, synchronous_mode_strict, failsafe_mode, dynamic, version or
          watchdog
    ");
}

fn drawn(error: &TopologyError) -> String {
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(120);
    handler.render_report(&mut text, error).expect("it can be drawn");
    text
}

fn help(error: &TopologyError) -> String {
    error.help().map(|help| help.to_string()).unwrap_or_default()
}

#[test]
fn a_topology_that_does_not_exist() {
    let error = load("single-regoin", &[]).expect_err("no such topology");
    assert_eq!(error.to_string(), "no topology is called `single-regoin`");
    let expected = "did you mean `single-region`? known: archive-as-written, async-manual, dcs-consul, dcs-consul-sessions-kept, dcs-zookeeper, \
                    documented-ha, \
                    documented-ha-firewall, documented-ha-firewall-drop, documented-ha-tls, documented-ha-untracked, envoy, envoy-panic, etcd-passwords, etcd-small-quota, \
                    haproxy-fall-30, haproxy-pgsql-check, haproxy-select-1, hba-as-written, hba-corrected, logical, node-tags, pooled, \
                    pooled-sessions-kept, production, production-repointed, shared-archive, shared-archive-unread, single-region, single-region-archive, \
                    single-region-archive-async, \
                    single-region-archive-unread, single-region-fast, single-region-sync, stretched, swarm-overlay, \
                    sync-az-async-dr, sync-manual, three-region-cascade, tls, two-balancers, two-databases, \
                    two-databases-unlogged, two-databases-vector, two-nodes, two-region, two-region-as-written, \
                    two-region-backups, two-region-hybrid, two-region-shipping, two-region-shipping-as-written, two-region-tls or watchdog";
    assert_eq!(help(&error), expected);
}

#[test]
fn a_file_that_does_not_exist_or_is_not_text() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("broken.yaml"), SOUND).expect("a file");
    let missing = folder.path().join("brokn.yaml");
    let error = load(&missing.display().to_string(), &[]).expect_err("no such file");
    assert_eq!(error.to_string(), format!("failed to read the topology {}", missing.display()));
    assert_eq!(help(&error), format!("did you mean `{}`?", folder.path().join("broken.yaml").display()));

    let binary = folder.path().join("binary.yaml");
    fs::write(&binary, [0xff, 0xfe, 0x00]).expect("a file");
    let error = load(&binary.display().to_string(), &[]).expect_err("no text");
    assert_eq!(help(&error), "save the file as UTF-8");
    assert!(error.to_string().contains("binary.yaml:1:1: here is a byte that is no UTF-8 text"), "{error}");
}

#[test]
fn a_folder_comes_before_the_built_in_topologies() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, built_in) = BUILT_IN.iter().find(|(name, _)| *name == "single-region").expect("it is built in");
    let own = built_in.replace("ttl_s: 30", "ttl_s: 40");
    fs::write(folder.path().join("single-region.yaml"), own).expect("a file");
    let folders = [PathBuf::from("nowhere"), folder.path().to_owned()];
    let loaded = load("single-region", &folders).expect("it is sound");
    assert_eq!(loaded.settings.patroni.ttl_s, 40);
    assert_eq!(load("single-region", &[]).expect("it is sound").settings.patroni.ttl_s, 30);
}

#[test]
fn the_list_has_own_built_in_and_broken_topologies() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("broken.yaml"), SOUND).expect("a file");
    fs::write(folder.path().join("empty.yaml"), "").expect("a file");
    fs::write(folder.path().join("readme.txt"), "").expect("a file");
    let list = known(&[folder.path().to_owned()]);
    let names: Vec<_> = list.iter().map(|summary| (summary.name.as_str(), summary.file.is_some())).collect();
    let built_in = BUILT_IN.iter().map(|(name, _)| (*name, false));
    let mut wanted: Vec<_> = built_in.chain([("broken", true), ("empty", true)]).collect();
    wanted.sort();
    assert_eq!(names, wanted);
    for summary in &list {
        match (summary.name.as_str(), &summary.description) {
            ("broken", told) => assert_eq!(told.as_deref().ok(), Some("a topology to break")),
            ("empty", told) => assert!(told.is_err()),
            (name, told) => assert!(told.is_ok(), "the built-in topology {name} is broken"),
        }
    }
}

#[test]
fn every_file_is_built_in_and_sound_and_says_what_it_follows() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("topologies");
    let files = fs::read_dir(&folder).expect("the folder").filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut stems: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|ending| ending == "yaml"))
        .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()))
        .collect();
    stems.sort();
    assert_eq!(stems, BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, text) in BUILT_IN {
        let topology = load(name, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert!(!topology.follows.is_empty(), "{name} does not say what it follows");
        // What a document writes may be worth a warning; what stands for itself is sound.
        assert!(name.ends_with("as-written") || topology.warnings().is_empty(), "{name}: {:?}", topology.warnings());
        assert!(text.starts_with("# yaml-language-server: $schema=topology.schema.json\n"), "{name}");
    }
}

/// `UPDATE=1 cargo test --test topology` writes it anew.
#[test]
fn the_schema_in_the_folder_is_that_of_the_program() {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("topologies/topology.schema.json");
    let schema = pgquake_judge::topology::schema();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &schema).expect("the schema can be written");
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == schema, "topologies/topology.schema.json is stale: UPDATE=1 cargo test --test topology");
}

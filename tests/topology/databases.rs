//! Further databases of a topology: what mistakes get, and what nodes are started with.

use pgquake_judge::{
    credentials::Credentials,
    plan::Plan,
    services::{ServiceKind, service},
    topology::{parse, text as built_in},
};

use super::{broken, is_the_one, marked};

/// A sound topology, which each case breaks.
const SOUND: &str = "\
name: broken
description: a topology to break
follows: nothing
regions:
  - name: main
    hosts:
      - { name: node1, services: [etcd, patroni] }
      - { name: proxy, services: [haproxy] }
endpoints:
  write: { host: proxy, port: 5432 }
settings:
  patroni: { ttl_s: 30 }
  postgresql:
    major_version: 17
    databases:
      project: {}
      shared: { extensions: [vector] }
";

/// Breaks it, and holds the one mistake to its place, which `by` marks with a `^`, or else at the extensions.
fn check(replace: &str, by: &str, message: &str, help: &str) {
    let marked = marked(SOUND, replace, by);
    let marked = if marked.contains('^') { marked } else { marked.replacen("extensions: ", "^extensions: ", 1) };
    let (error, at) = broken(&marked);
    is_the_one(&error, at, message, help);
}

fn with(replace: &str, by: &str) -> Plan {
    assert!(SOUND.contains(replace), "the sound topology has no {replace:?}");
    let text = SOUND.replacen(replace, by, 1);
    Plan::new(parse("broken.yaml", &text).unwrap_or_else(|error| panic!("{by:?}: {error}")))
}

#[test]
fn names_that_can_not_be_and_extensions_that_stand_twice() {
    for name in ["Project", "my-project", "1st", "pro\u{e9}ject"] {
        let message = format!("`{name}` can't be the name of a database");
        check("project: {}", &format!("^{name}: {{}}"), &message, "lower-case letters");
    }
    for name in ["postgres", "template1", "pgbouncer"] {
        let message = format!("a further database can't be called `{name}`");
        check("project: {}", &format!("^{name}: {{}}"), &message, "every cluster has that one");
    }
    check("[vector]", "[vector, vector]", "the extension `vector` stands twice", "");
}

#[test]
fn an_extension_that_can_not_be_had_is_told_before_anything_starts() {
    check("[vector]", "[^vectors]", "unknown value `vectors`", "did you mean `vector`?");
    check("major_version: 17", "major_version: 15", "PostgreSQL 15 can't be had with `vector`", "16, 17 and 18");
    let beside = "PostgreSQL 17 can't be had with `vector` beside a version of Patroni that is named";
    check("ttl_s: 30", "ttl_s: 30, version: \"4.1\"", beside, "leave Patroni's version out");
    let own = "own: { patroni: { image: registry.example.com/node:1 } }\nsettings:";
    check(
        "settings:",
        own,
        "whether an image of your own has `vector` can't be known before it runs",
        "leave the extension",
    );
    let backups = "\
buckets: [{ name: wal, host: store, port: 9000 }]
backups: [{ tool: pgbackrest, bucket: wal, stanza: main }]
settings:";
    let text = SOUND.replacen("settings:", backups, 1);
    let text =
        text.replacen("      - { name: proxy", "      - { name: store, services: [minio] }\n      - { name: proxy", 1);
    let error = parse("broken.yaml", &text).expect_err("no image has both");
    let told: Vec<&str> = error.mistakes().iter().map(|own| own.message.as_str()).collect();
    assert_eq!(told, ["no image has both what takes backups and `vector`"]);
    let text = SOUND.replace("[etcd, patroni]", "[postgresql]").replace("[haproxy]", "[pgbouncer]");
    let error = parse("broken.yaml", &text).expect_err("no image");
    let told = |message: &str| error.mistakes().iter().any(|own| own.message == message);
    assert!(told("the node `node1` has no image with `vector`"), "{error}");
}

#[test]
fn every_cluster_has_the_same_databases() {
    let text = built_in("two-region", &[]).expect("its text").1;
    let west = "    settings: { postgresql: { databases: { shared: {} } } }\n";
    let (before, after) = text.split_once("  - name: west\n").expect("the cluster");
    let error =
        parse("two-region.yaml", &format!("{before}  - name: west\n{west}{after}")).expect_err("other databases");
    assert_eq!(error.mistakes()[0].message, "the cluster `west` has other databases than the others");
}

/// The image with pgvector stands on top of a node's, and is asked for by topologies with vectors alone.
#[test]
fn only_vectors_need_another_image() {
    let image = |plan: &Plan| plan.image_of("node1", ServiceKind::Patroni).name();
    assert_eq!(image(&with("project", "project")), "patroni-vector");
    assert_eq!(image(&with("{ extensions: [vector] }", "{}")), "patroni");
    // The wheels of 16 and 18 have it.
    for major in [16, 18] {
        assert_eq!(image(&with("major_version: 17", &format!("major_version: {major}"))), "patroni-versions");
    }
    let node = service(ServiceKind::Patroni).node().expect("a node");
    let below = node.with_vector.and_then(|recipe| recipe.on).map(|recipe| recipe.name);
    assert_eq!(below, Some("patroni"));
}

#[test]
fn the_first_primary_makes_the_databases_and_a_plan_without_any_says_nothing_of_them() {
    let plan = with("project", "project");
    let rendered = (service(ServiceKind::Patroni).render)(&plan.site("node1"), &Credentials::default());
    let file = |name: &str| rendered.files.iter().find(|(path, _)| path == name).map(|(_, text)| text.as_str());
    let sql = file("/etc/patroni/first-start.sql").expect("what it runs first");
    assert!(sql.ends_with("\n\nCREATE DATABASE \"shared\" OWNER pgquake;\n"), "{sql}");
    let own = file("/etc/pgquake/databases/shared.sql").expect("what the database gets");
    assert!(own.contains("CREATE EXTENSION vector;"), "{own}");
    assert!(file("/etc/pgquake/databases/project.sql").is_some_and(|own| !own.contains("vector")));
    let without = with("    databases:\n      project: {}\n      shared: { extensions: [vector] }\n", "");
    assert!(!serde_json::to_string(&without).expect("a plan").contains("databases"));
}

/// PgBouncer passes over every database that its configuration does not name.
#[test]
fn pools_of_a_role_lead_to_every_database() {
    let text = built_in("production", &[]).expect("its text").1;
    let mut topology = parse("production.yaml", &text).expect("sound");
    topology.settings.postgresql.databases = serde_json::from_str("{\"shared\": {}}").expect("a database");
    let plan = Plan::new(topology);
    let pooler = plan.services.iter().find(|own| own.kind == ServiceKind::Pgbouncer).expect("a pooler");
    let rendered = (service(ServiceKind::Pgbouncer).render)(&plan.site_of(pooler), &Credentials::default());
    let (_, configuration) = &rendered.files[0];
    for database in ["postgres = host=", "shared = host="] {
        assert!(configuration.lines().any(|line| line.starts_with(database)), "{configuration}");
    }
}

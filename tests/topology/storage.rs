//! What mistakes in buckets and backups get: a message and the place.

use pgquake_judge::{
    credentials::Credentials,
    plan::Plan,
    services::{ServiceKind, patroni, service},
    topology::parse,
};

/// A sound topology, which each case breaks.
const SOUND: &str = "\
name: broken
description: a topology to break
follows: nothing
regions:
  - name: main
    hosts:
      - { name: node1, services: [etcd, patroni] }
      - { name: store, aliases: [s3.main], services: [minio] }
      - { name: other, services: [minio] }
      - { name: spare, services: [restore] }
endpoints:
  write: { host: node1, port: 5432 }
buckets:
  - { name: wal-of-main, host: store, versioned: true, replicates_to: copy-of-main }
  - { name: copy-of-main, host: other, versioned: true }
backups:
  - { tool: pgbackrest, bucket: wal-of-main, stanza: main, archive_async: true, restore_on: spare }
";

/// Breaks it, and holds the one mistake to its place, which `by` marks with a `^`.
fn check(replace: &str, by: &str, message: &str, help: &str) {
    super::check(SOUND, replace, by, message, help);
}

#[test]
fn the_unbroken_topology_is_sound_and_its_nodes_know_their_archive() {
    let topology = parse("broken.yaml", SOUND).unwrap_or_else(|error| panic!("{error}"));
    let plan = Plan::new(topology);
    let archive = plan.archive_of("main").expect("an archive");
    assert_eq!((archive.bucket.name, archive.bucket.host, archive.bucket.port), ("wal-of-main", "store", 9000));
    assert_eq!(plan.site("node1").archive, Some(archive));
    assert_eq!(plan.site("spare").archive, Some(archive));
    assert_eq!(plan.site("store").archive, None);
    assert_eq!(plan.speak_tls().next(), Some(("store", vec!["store", "s3.main"])));
    let images: Vec<_> = plan.images().map(|image| image.name()).collect();
    assert_eq!(images, ["etcd", "patroni-backups", "minio", "minio", "patroni-backups"]);
}

/// The machine that restores runs the PostgreSQL of the cluster whose backups it restores.
#[test]
fn a_cluster_with_backups_runs_in_the_version_that_it_names() {
    let text = format!("{SOUND}settings:\n  postgresql: {{ major_version: 16 }}\n");
    let plan = Plan::new(parse("broken.yaml", &text).unwrap_or_else(|error| panic!("{error}")));
    let images: Vec<_> = plan.images().map(|image| image.name()).collect();
    assert_eq!(images, ["etcd", "patroni-versions-backups", "minio", "minio", "patroni-versions-backups"]);
    assert!(plan.has_other_versions("node1", ServiceKind::Patroni));
    for (host, kind) in [("node1", ServiceKind::Patroni), ("spare", ServiceKind::Restore)] {
        let rendered = (service(kind).render)(&plan.site(host), &Credentials::default());
        let versions =
            rendered.files.iter().find(|(path, _)| path == "/etc/pgquake/versions").map(|(_, text)| text.as_str());
        assert_eq!(versions, Some("patroni debian\npostgresql 16.14\n"), "{host}");
    }
}

/// A machine that restores the backups of one cluster on a host of another one, which runs another PostgreSQL.
const ELSEWHERE: &str = "\
name: broken
description: a topology to break
follows: nothing
regions:
  - name: main
    hosts:
      - { name: node1, services: [etcd, patroni] }
      - { name: node2, services: [etcd, patroni, restore] }
      - { name: store, services: [minio] }
clusters:
  - { name: one, nodes: [node1], dcs: [node1], settings: { postgresql: { major_version: 16 } } }
  - { name: two, nodes: [node2], dcs: [node2], settings: { patroni: { version: '4.1' } } }
endpoints:
  - { name: write, serves: primary, of: one, host: node1, port: 5432 }
buckets:
  - { name: wal-of-one, host: store }
backups:
  - { of: one, tool: pgbackrest, bucket: wal-of-one, stanza: main, restore_on: node2 }
";

#[test]
fn a_machine_restores_in_the_version_of_the_backups_whatever_else_is_on_its_host() {
    let plan = Plan::new(parse("broken.yaml", ELSEWHERE).unwrap_or_else(|error| panic!("{error}")));
    let of = |kind: ServiceKind| {
        let planned = plan.services.iter().find(|own| own.host == "node2" && own.kind == kind).expect("the service");
        let site = plan.site_of(planned);
        let rendered = (service(kind).render)(&site, &Credentials::default());
        let versions = rendered.files.into_iter().find(|(path, _)| path == "/etc/pgquake/versions");
        (
            plan.image_of("node2", kind).name(),
            site.archive.is_some(),
            versions.map(|(_, text)| text).unwrap_or_default(),
        )
    };
    let restores = ("patroni-versions-backups".to_owned(), true, "patroni debian\npostgresql 16.14\n".to_owned());
    assert_eq!(of(ServiceKind::Restore), restores);
    assert_eq!(
        of(ServiceKind::Patroni),
        ("patroni-versions".to_owned(), false, "patroni 4.1.5\npostgresql 17\n".to_owned())
    );
    let both =
        format!("{ELSEWHERE}  - {{ of: two, tool: pgbackrest, bucket: wal-of-one, stanza: two, restore_on: node2 }}\n");
    let error = parse("broken.yaml", &both).expect_err("two clusters on one machine");
    let [mistake] = error.mistakes() else { panic!("{error:?}") };
    assert_eq!(mistake.message, "the backups of two clusters are restored on `node2`");
    assert_eq!((mistake.line, mistake.column), (19, 79));
}

#[test]
fn without_backups_nodes_are_built_on_nothing_more() {
    let text = SOUND.replace("bucket: wal-of-main, stanza: main, archive_async: true, restore_on: spare", "");
    let without =
        text.replace("backups:\n  - { tool: pgbackrest,  }\n", "").replace("services: [restore]", "services: [etcd]");
    let plan = Plan::new(parse("broken.yaml", &without).unwrap_or_else(|error| panic!("{error}")));
    assert!(plan.images().all(|image| image.name() != "patroni-backups"));
    assert!(plan.archive_of("main").is_none() && plan.site("node1").archive.is_none());
}

#[test]
fn buckets_that_can_not_be() {
    let first = "buckets:\n  - { name: ^Wal, host: store }\n";
    check("buckets:\n", first, "`Wal` can't be the name of a bucket", "lower-case");
    check("host: store,", "host: ^stor,", "no host is called `stor`", "did you mean `store`?");
    check("host: store,", "host: ^node1,", "the host `node1` serves no buckets", "add `minio`");
    let twice = "backups:\n  - { tool";
    let by = "  - { name: ^copy-of-main, host: other }\nbackups:\n  - { tool";
    check(twice, by, "two buckets are called `copy-of-main`", "");
}

#[test]
fn copies_that_can_not_be() {
    let message = "no bucket is called `copy`";
    check("replicates_to: copy-of-main", "replicates_to: ^copy", message, "did you mean `copy-of-main`?");
    let message = "`wal-of-main` is on the same server as its copy";
    check("replicates_to: copy-of-main", "replicates_to: ^wal-of-main", message, "another server");
    let message = "`wal-of-main` and `copy-of-main` do not both keep versions";
    let by = "replicates_to: ^copy-of-main }\n  - { name: copy-of-main, host: other }\n";
    check(
        "replicates_to: copy-of-main }\n  - { name: copy-of-main, host: other, versioned: true }\n",
        by,
        message,
        "versioned",
    );
}

#[test]
fn backups_that_can_not_be() {
    check("bucket: wal-of-main", "bucket: ^wal", "no bucket is called `wal`", "did you mean `wal-of-main`?");
    check("tool: pgbackrest", "tool: ^pgbackres", "unknown value `pgbackres`", "did you mean `pgbackrest`?");
    let message = "`s3cmd` sends one file at a time";
    check(
        "tool: pgbackrest, bucket: wal-of-main, stanza: main, archive_async: true",
        "tool: s3cmd, bucket: wal-of-main, archive_async: ^true",
        message,
        "`pgbackrest` can",
    );
    for (field, message, help) in [
        ("from_standby", "`s3cmd` copies a standby in any case", "leave it out"),
        ("restored_archives", "`s3cmd` restores a server that archives in any case", "leave it out"),
    ] {
        let by = format!("tool: s3cmd, bucket: wal-of-main, {field}: ^true");
        check("tool: pgbackrest, bucket: wal-of-main, stanza: main, archive_async: true", &by, message, help);
    }
    check("{ tool: pgbackrest", "{ of: ^east, tool: pgbackrest", "no cluster is called `east`", "known: main");
}

/// The backups' machine is another one than the one that waits for them: both places are named.
#[test]
fn a_machine_that_restores_nothing_and_one_that_can_not() {
    let text = SOUND.replace("restore_on: spare", "restore_on: store");
    let error = parse("broken.yaml", &text).expect_err("nothing can be restored on it");
    let messages: Vec<&str> = error.mistakes().iter().map(|mistake| mistake.message.as_str()).collect();
    assert_eq!(messages, ["no backups are restored on `spare`", "no backup is restored on the host `store`"]);
}

/// The cluster `west` follows `east` without a host that it streams from.
fn shipped(follows: &str, backups: &str) -> String {
    let text = include_str!("../../topologies/two-region-shipping.yaml");
    let own = "  - { of: west, tool: pgbackrest, bucket: west-backups, stanza: main }\n";
    assert!(text.contains(own) && text.contains("follows: { cluster: east }"));
    text.replace("follows: { cluster: east }", follows).replace(own, backups)
}

#[test]
fn a_cluster_that_is_fed_by_its_archive_alone_must_read_one() {
    let unread = "  - { of: west, tool: pgbackrest, bucket: west-backups, stanza: main, restore_command: false }\n";
    for backups in ["", unread] {
        let error = parse("two-region-shipping.yaml", &shipped("follows: { cluster: east }", backups))
            .expect_err("nothing feeds it");
        let [mistake] = error.mistakes() else { panic!("not one mistake: {error}") };
        assert_eq!(mistake.message, "`west` has nothing to take its WAL from");
        assert!(mistake.help.as_ref().is_some_and(|help| help.contains("`restore_command`")));
    }
    let read = "  - { of: west, tool: pgbackrest, bucket: west-backups, stanza: main }\n";
    let error = parse("two-region-shipping.yaml", &shipped("follows: { cluster: east, slot: own }", read))
        .expect_err("no slot");
    assert_eq!(error.mistakes()[0].message, "`west` streams from nobody, and uses no slot `own`");

    let plan = Plan::new(
        parse("two-region-shipping.yaml", &shipped("follows: { cluster: east }", read)).expect("a sound topology"),
    );
    let standby_cluster = &patroni::dynamic(&plan.site("west1"))["standby_cluster"];
    assert!(standby_cluster.get("host").is_none(), "Patroni would stream: {standby_cluster}");
    let command = standby_cluster["restore_command"].as_str().unwrap_or_default();
    assert!(command.starts_with("pgbackrest --stanza=main archive-get"), "{standby_cluster}");
}

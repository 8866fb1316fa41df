//! Disks: each fault is felt on its volume and nowhere else, and what was not synced is gone after a power loss.

use pgquake::{faults, history::Occurrence, topology};

use super::bench::{Bench, sql_gives};

pub const DATA: &str = "/var/lib/postgresql/data";

/// What a script in the container of a node's PostgreSQL comes to: its exit status and output.
async fn in_postgresql(bench: &Bench, node: &str, script: &str) -> (i32, String) {
    let service = bench.system.service(node, topology::ServiceKind::Patroni).unwrap();
    let told = bench.engine.shell_in(service).run(script).await.unwrap();
    (told.status, told.text)
}

pub async fn writes(bench: &Bench, node: &str, folder: &str) -> (i32, String) {
    let file = format!("{folder}/.pgquake-test");
    in_postgresql(bench, node, &format!("(dd if=/dev/zero of={file} bs=8k count=1 2>&1; s=$?; rm -f {file}; exit $s)"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_break_and_heal() {
    let mut topology = topology::load("single-region-fast", &[]).unwrap();
    topology.prepare.disks = true;
    let mut bench = Bench::of("disk", topology).await;

    bench.inject("disk_full", "node2", &[("volume", "WAL")]).await;
    let (status, told) = writes(&bench, "node2", &format!("{DATA}/pg_wal")).await;
    assert!(status != 0 && told.contains("No space left"), "{told}");
    assert_eq!(writes(&bench, "node2", DATA).await.0, 0, "the rest of the data directory is full too");
    assert_eq!(writes(&bench, "node3", &format!("{DATA}/pg_wal")).await.0, 0, "another host's disk is full too");
    bench.heal().await;
    assert_eq!(writes(&bench, "node2", &format!("{DATA}/pg_wal")).await.0, 0);

    bench.inject("disk_error", "node3", &[("operation", "write")]).await;
    let (status, told) = writes(&bench, "node3", DATA).await;
    assert!(status != 0 && told.contains("Input/output error"), "{told}");
    assert_eq!(writes(&bench, "node2", DATA).await.0, 0);
    bench.heal().await;

    bench.inject("disk_slow", "node2", &[("delay", "200 ms")]).await;
    bench.heal().await;
    bench.inject("disk_stall", "node3", &[("volume", "DCS")]).await;
    assert_eq!(writes(&bench, "node3", DATA).await.0, 0, "PostgreSQL's disk hangs with etcd's");
    bench.heal().await;

    // Two files, one synced: after the power loss one is there, and the other is empty.
    let script = format!(
        "cd {DATA} && echo kept > kept && sync kept && echo lost > lost && cat kept lost | xargs; chown postgres: kept lost"
    );
    assert_eq!(in_postgresql(&bench, "node3", &script).await.1, "kept lost");
    bench.inject("power_loss", "node3", &[]).await;
    assert!(bench.is_silent("node2", "node3", 9).await);
    bench.heal().await;
    assert_eq!(in_postgresql(&bench, "node3", &format!("cd {DATA} && cat kept && wc -c < lost")).await.1, "kept\n0");
    bench.wait_for_answer("node3", 8008, true).await;

    // A service that stands still with its disk runs on with it.
    bench.inject("service_freeze", "node3", &[("service", "patroni")]).await;
    bench.heal().await;
    assert_eq!(writes(&bench, "node3", DATA).await.0, 0);
    let refused = bench.refused("disk_full", "proxy", &[]).await;
    assert!(refused.contains("proxy does not run patroni"), "{refused}");
    bench.finish(6, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_damaged_and_repaired() {
    let mut bench = Bench::new("files").await;
    let primary = bench.session("node1").await;
    let fill = "INSERT INTO pgquake.ledger SELECT 99, n, '', '' FROM generate_series(1, 5000) AS n";
    primary.simple_query(fill).await.unwrap();
    let count = "SELECT count(*) FROM pgquake.ledger WHERE client = 99";
    sql_gives(&bench, "node2", count, "5000").await;

    // The first page of the table, on one node: found only by who reads it from the disk.
    bench.inject("page_corrupted", "node2", &[("of", "table")]).await;
    bench.inject("postgresql_restart", "node2", &[]).await;
    let failed = bench.system.sql_value("node2", count).await.unwrap_err();
    assert!(failed.contains("invalid page in block 0"), "{failed}");
    // The page after it, and the same page on other nodes, are whole.
    let after = "SELECT count(*) > 0 FROM pgquake.ledger WHERE ctid >= '(1,0)' AND ctid < '(2,0)'";
    sql_gives(&bench, "node2", after, "t").await;
    sql_gives(&bench, "node3", count, "5000").await;
    bench.heal().await;
    sql_gives(&bench, "node2", count, "5000").await;

    // The last whole page of the WAL: PostgreSQL's own reader finds it damaged.
    let reads = "end=$(psql -XAtc 'SELECT pg_current_wal_flush_lsn()'); \
                 tli=$(psql -XAtc 'SELECT timeline_id FROM pg_control_checkpoint()'); \
                 start=$(psql -XAtc 'SELECT redo_lsn FROM pg_control_checkpoint()'); \
                 $(ls -d /usr/lib/postgresql/*/bin)/pg_waldump -q -p /var/lib/postgresql/data/pg_wal -t $tli -s $start -e $end";
    let reads = format!("setpriv --reuid=postgres --clear-groups sh -c \"$(cat <<'END'\n{reads}\nEND\n)\"");
    primary.simple_query("CHECKPOINT").await.unwrap();
    primary
        .simple_query("INSERT INTO pgquake.ledger SELECT 98, n, '', '' FROM generate_series(1, 5000) AS n")
        .await
        .unwrap();
    let before = in_postgresql(&bench, "node1", &reads).await;
    assert_eq!(before.0, 0, "{}", before.1);
    bench.inject("page_corrupted", "node1", &[("of", "WAL")]).await;
    assert_ne!(in_postgresql(&bench, "node1", &reads).await.0, 0, "pg_waldump reads a damaged page");
    bench.heal().await;
    assert_eq!(in_postgresql(&bench, "node1", &reads).await.0, 0);

    // Everything gone: the others keep theirs, and the node gets a copy.
    bench.inject("data_directory_wiped", "node3", &[]).await;
    sql_gives(&bench, "node2", count, "5000").await;
    bench.heal().await;
    sql_gives(&bench, "node3", count, "5000").await;

    // A file that the dying server writes after it: Patroni takes that for a database, and an operator has to step in.
    // Its agent stands still meanwhile, as it may look before the file is there.
    let agents = faults::Process::AGENT.pids(bench.system.pod("node3").unwrap()).await.unwrap();
    let agents = agents.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    bench.output("node3", &format!("kill -STOP {agents}")).await;
    bench.inject("data_directory_wiped", "node3", &[]).await;
    in_postgresql(&bench, "node3", &format!("mkdir -p {DATA}/base/5 && touch {DATA}/base/5/1")).await;
    bench.output("node3", &format!("kill -CONT {agents}")).await;
    bench.heal().await;
    sql_gives(&bench, "node3", count, "5000").await;
    let last = bench.events().into_iter().rev().find_map(|event| match event.what {
        Occurrence::FaultHealed { evidence, .. } => Some(evidence),
        _ => None,
    });
    assert!(last.as_deref().is_some_and(|evidence| evidence.contains("after `patronictl reinit`")), "{last:?}");

    let refused = bench.refused("page_corrupted", "node2", &[("relation", "nowhere")]).await;
    assert!(refused.contains("\"nowhere\" does not exist"), "{refused}");
    let refused = bench.refused("page_corrupted", "node2", &[("page", "100000")]).await;
    assert!(refused.contains("is not on its disk"), "{refused}");
    for fault in ["disk_full", "power_loss"] {
        let refused = bench.refused(fault, "node1", &[]).await;
        assert!(refused.contains("write `Given the disks can fail`"), "{refused}");
    }
    let refused = bench.refused("data_directory_wiped", "the proxy", &[]).await;
    assert!(refused.contains("runs no Patroni"), "{refused}");
    bench.finish(5, false).await;
}

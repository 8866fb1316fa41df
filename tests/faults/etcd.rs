//! What is done to etcd's members and their data.

use std::time::Duration;

use pgquake::{
    topology::{self, ServiceKind},
    waiting::wait_until,
};

use super::bench::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_steps_at_etcd_do_what_they_say_and_leave_the_database_alone() {
    let mut bench = Bench::of("etcd", topology::load("etcd-small-quota", &[]).unwrap()).await;

    bench.inject("etcd_compaction", "node2", &[]).await;
    bench.heal().await;
    bench.inject("etcd_defragmentation", "the etcd members", &[]).await;
    bench.heal().await;

    // Full: writes are refused, and a lease is still refreshed. Healed, there is room again.
    bench.inject("etcd_no_space", "node2", &[]).await;
    let put = "ETCDCTL_ENDPOINTS=http://node1:2379 etcdctl put probe x";
    let refused = bench.system.at_member("node1", put).await.unwrap();
    assert!(refused.status != 0 && refused.text.contains("database space exceeded"), "{refused:?}");
    assert_eq!(bench.system.leader().await.as_deref(), Some("node1"));
    bench.heal().await;
    assert_eq!(bench.system.at_member("node1", put).await.unwrap().status, 0);

    // A member is replaced: another id, and what the others have. How it was started is forgotten.
    let ids = "etcdctl member list | cut -d, -f1,3 | sort";
    let before = bench.system.at_member("node1", ids).await.unwrap().text;
    bench.inject("etcd_member_replaced", "node3", &[]).await;
    bench.heal().await;
    let after = bench.system.at_member("node1", ids).await.unwrap().text;
    let kept = before.lines().filter(|line| after.contains(*line)).count();
    assert_eq!((kept, after.lines().count()), (2, 3), "{before} and {after}");
    let own = bench.system.at_member("node3", "etcdctl get probe; ls /var/lib/etcd").await.unwrap().text;
    assert!(own.starts_with("probe\nx\n") && !own.contains("flags"), "{own}");

    let refused = bench.refused("etcd_member_replaced", "the proxy", &[]).await;
    assert!(refused.contains("does not run etcd"), "{refused}");
    assert!(bench.system.sql_value("node1", "SELECT 1").await.is_ok());
    bench.finish(4, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_lost_loses_its_data_and_commands_reach_what_is_left() {
    let mut bench = Bench::new("etcd-lost").await;
    let saved = bench.system.at_member("node1", "etcdctl snapshot save /backup/snapshot.db").await.unwrap();
    assert_eq!(saved.status, 0, "{saved:?}");
    bench.system.copy_between_members("/backup/snapshot.db", "node1", "node2").await.unwrap();

    bench.inject("etcd_member_lost", "the etcd members", &[]).await;
    // The snapshot outlived the data, on stopped members.
    for (member, status) in [("node1", 0), ("node2", 0), ("node3", 2)] {
        let listed = bench.system.at_member(member, "id -un; ls /backup/snapshot.db; test ! -e /var/lib/etcd/pgquake");
        let listed = listed.await.unwrap();
        assert!(listed.text.starts_with("etcd\n") && listed.status == 0, "{listed:?}");
        let there = bench.system.at_member(member, "ls /backup/snapshot.db").await.unwrap();
        assert_eq!(there.status, status, "{there:?}");
    }
    assert!(!bench.answers("node1", 2379).await);
    bench.heal().await;
    // Each began with nothing, and they form an etcd.
    let dcs = &bench.system.plan().dcs[0];
    wait_until("a leader of etcd", Duration::from_secs(30), || async {
        bench.system.dcs_leader(dcs).await.ok_or_else(|| "nobody leads".to_owned())
    })
    .await
    .unwrap();
    let refused = bench.refused("etcd_member_lost", "the proxy", &[]).await;
    assert!(refused.contains("does not run etcd"), "{refused}");
    assert!(bench.system.service("node1", ServiceKind::Etcd).is_some());
    bench.finish(1, false).await;
}

//! Processes and services.

use pgquake::{faults, system::Session, topology};

use super::bench::Bench;

const ETCD: u16 = 2379;
const PATRONI: u16 = 8008;
const STATS: u16 = 8404;

#[tokio::test(flavor = "multi_thread")]
async fn they_bite_leave_others_alone_and_heal() {
    let mut bench = Bench::timed("process", topology::load("single-region-fast", &[]).unwrap()).await;

    // A service: its processes die, its host and its neighbours live.
    bench.inject("service_kill", "node3", &[("service", "etcd")]).await;
    assert!(!bench.answers("node3", ETCD).await);
    assert!(bench.answers("node3", PATRONI).await, "the neighbour on the host died too");
    // Not at once when it has lost its leader.
    bench.wait_for_answer("node2", ETCD, true).await;
    bench.heal().await;
    bench.wait_for_answer("node3", ETCD, true).await;

    // The proxy.
    bench.inject("process_kill", "the proxy", &[("process", "HAProxy")]).await;
    bench.wait_for_answer("proxy", STATS, false).await;
    bench.heal().await;
    bench.wait_for_answer("proxy", STATS, true).await;

    // The agent alone: PostgreSQL under it lives, with the same postmaster.
    let pod = bench.system.pod("node2").unwrap();
    let before = faults::Process::POSTMASTER.pids(pod).await.unwrap();
    bench.inject("process_kill", "node2", &[("process", "the Patroni agent")]).await;
    bench.wait_for_answer("node2", PATRONI, false).await;
    let pod = bench.system.pod("node2").unwrap();
    assert_eq!(faults::Process::POSTMASTER.pids(pod).await.unwrap(), before, "PostgreSQL died with its agent");
    bench.heal().await;
    bench.wait_for_answer("node2", PATRONI, true).await;

    // Frozen, not dead: the same process runs on after it.
    let frozen = faults::Process::AGENT.pids(bench.system.pod("node3").unwrap()).await.unwrap();
    bench.inject("process_freeze", "node3", &[("process", "the Patroni agent")]).await;
    assert!(!bench.answers("node3", PATRONI).await);
    assert!(bench.answers("node2", PATRONI).await);
    bench.heal().await;
    bench.wait_for_answer("node3", PATRONI, true).await;
    assert_eq!(faults::Process::AGENT.pids(bench.system.pod("node3").unwrap()).await.unwrap(), frozen);

    // One of PostgreSQL's own processes: the postmaster lives and starts another.
    let postmaster = "pgrep --oldest --full '^/usr/lib/postgresql/'";
    let before = bench.output("node2", postmaster).await;
    bench.inject("process_kill", "node2", &[("process", "the WAL receiver")]).await;
    bench.heal().await;
    assert_eq!(bench.output("node2", postmaster).await, before, "PostgreSQL died with its WAL receiver");

    // The same one told to end: PostgreSQL lives, another WAL receiver comes.
    bench.inject("process_terminate", "node2", &[("process", "the WAL receiver")]).await;
    bench.heal().await;
    assert_eq!(bench.output("node2", postmaster).await, before, "PostgreSQL died with its WAL receiver");

    // A killed WAL sender takes all of PostgreSQL's processes with it, not the postmaster.
    let checkpointer = "pgrep --full '^postgres: .*checkpointer'";
    let (before, checkpointed) = (bench.output("node1", postmaster).await, bench.output("node1", checkpointer).await);
    bench.inject("process_kill", "node1", &[("process", "a WAL sender")]).await;
    bench.heal().await;
    assert_eq!(bench.output("node1", postmaster).await, before, "PostgreSQL died with its WAL sender");
    bench.wait_for_other_output("node1", checkpointer, &checkpointed).await;

    // PostgreSQL told to end: it serves the session that it has, and takes no other one.
    let address = bench.system.access().address("node2", 5432).unwrap();
    let login = bench.system.access().login();
    let session = bench.session("node2").await;
    let before = bench.output("node2", postmaster).await;
    bench.inject("process_terminate", "node2", &[("process", "PostgreSQL")]).await;
    session.simple_query("SELECT 1").await.unwrap();
    assert!(Session::open(address, &login, "fresh").await.is_err());
    assert_eq!(bench.system.refuses_sessions("node3").await, None);
    bench.heal().await;
    assert_ne!(bench.output("node2", postmaster).await, before);
    bench.session("node2").await;

    // A crash loop: more than one process dies, those of the neighbours live.
    let neighbour = bench.output("node3", postmaster).await;
    bench.inject("process_crash_loop", "node2", &[("process", "the Patroni agent")]).await;
    let agent = "pgrep --oldest --full 'python3 /usr/bin/patroni '";
    let postgres = bench.output("node2", postmaster).await;
    let first = bench.wait_for_other_output("node2", agent, "").await;
    bench.wait_for_other_output("node2", agent, &first).await;
    assert_eq!(bench.output("node2", postmaster).await, postgres, "PostgreSQL died with its agent");
    bench.heal().await;
    bench.wait_for_answer("node2", PATRONI, true).await;
    let stays = bench.output("node2", agent).await;
    assert_eq!(bench.output("node3", postmaster).await, neighbour);
    assert_eq!(bench.output("node2", agent).await, stays);

    // A whole service stands still; the other one on the host does not.
    bench.inject("service_freeze", "node3", &[("service", "patroni")]).await;
    assert!(!bench.answers("node3", PATRONI).await);
    assert_eq!(bench.output("node3", &format!("ps -o state= -p $({postmaster})")).await, "T");
    assert!(bench.answers("node3", ETCD).await);
    bench.heal().await;
    bench.wait_for_answer("node3", PATRONI, true).await;
    assert_eq!(bench.output("node3", postmaster).await, neighbour);

    // Refused: a target that the fault can't apply to, with the reason; and nothing was recorded of it.
    let refused = bench.refused("service_kill", "node1", &[("service", "haproxy")]).await;
    assert!(refused.contains("node1 does not run haproxy"), "{refused}");
    let refused = bench.refused("process_kill", "node1 and the proxy", &[("process", "etcd")]).await;
    assert!(refused.contains("proxy does not run etcd"), "{refused}");
    let refused = bench.refused("process_kill", "node1", &[("proces", "etcd")]).await;
    assert!(refused.contains("did you mean `process`"), "{refused}");
    let refused = bench.refused("process_terminate", "node1", &[("process", "the checkpointer")]).await;
    assert!(refused.contains("ignores SIGTERM"), "{refused}");
    let refused = bench.refused("process_crash_loop", "node1", &[("process", "etcd")]).await;
    assert!(refused.contains("nothing starts etcd again"), "{refused}");
    let refused = bench.refused("service_freeze", "the proxy", &[("service", "etcd")]).await;
    assert!(refused.contains("does not run etcd"), "{refused}");

    bench.finish_but(10, &["process_crash_loop"]).await;
}

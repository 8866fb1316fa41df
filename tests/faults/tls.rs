//! Certificates that are no good, of a host that speaks TLS.

use pgquake::{topology, workload::sessions_at};

use super::bench::{Bench, sql_gives};

/// The quick lease with everything over TLS.
async fn bench() -> Bench {
    let mut topology = topology::load("tls", &[]).unwrap();
    for (name, value) in [("loop_wait", "3"), ("retry_timeout", "5"), ("ttl", "20")] {
        topology.set_patroni(name, value).unwrap();
    }
    Bench::of("tls", topology).await
}

const STREAMING: &str = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes a minute: .ci/nightly runs it"]
async fn a_certificate_that_is_no_good_is_refused_for_that_reason_until_it_is_mended() {
    let mut bench = bench().await;
    sql_gives(&bench, "node1", STREAMING, "2").await;
    for fault in ["certificate_expired", "certificate_foreign", "certificate_misnamed", "certificate_revoked"] {
        bench.inject(fault, "node3", &[]).await;
        // Its neighbours serve as before, and so do connections that were open.
        for node in ["node1", "node2"] {
            bench.session(node).await;
        }
        sql_gives(&bench, "node1", STREAMING, "2").await;
        bench.heal().await;
        bench.session("node3").await;
        println!("{fault} bit and was healed");
    }
    // Everything that nodes show of their sessions is encrypted.
    for node in ["node1", "node2", "node3"] {
        let seen = sessions_at(node, bench.system.access()).await.unwrap();
        assert!(!seen.is_empty() && seen.iter().all(|own| own.tls.is_some()), "{node}: {seen:?}");
    }
    let refused = bench.refused("certificate_foreign", "proxy", &[]).await;
    assert!(refused.contains("proxy shows no certificate"), "{refused}");
    no_key_is_left_behind(&bench);
    bench.finish(4, false).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes a minute: .ci/nightly runs it"]
async fn flaws_of_several_hosts_and_of_one_host_do_not_undo_each_other() {
    let mut bench = bench().await;
    sql_gives(&bench, "node1", STREAMING, "2").await;
    // One list has them all, and healing another certificate leaves it as it is.
    bench.inject("certificate_revoked", "node2 and node3", &[]).await;
    bench.inject("certificate_expired", "node1", &[]).await;
    bench.heal().await;
    // What comes second on a host takes the place of what came first, which is put back or healed with it.
    bench.inject("certificate_expired", "node3", &[]).await;
    bench.inject("certificate_foreign", "node3", &[]).await;
    bench.heal().await;
    bench.session("node3").await;
    bench.finish(4, false).await;
}

/// Neither history nor log shows a password or a line of a key.
fn no_key_is_left_behind(bench: &Bench) {
    let secrets = bench.system.access().credentials.secrets();
    let mut folders = vec![bench.recorder.path().parent().unwrap().to_owned()];
    let mut looked_at = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
            assert!(
                !secrets.iter().any(|own| text.contains(own.as_str())),
                "{} shows a secret",
                entry.path().display()
            );
            looked_at += 1;
        }
    }
    assert!(looked_at > 5, "{looked_at} files are not all of a run");
}

//! In which circumstances a fault can come, before anything starts.

use super::{listed, refused, refused_steps, scenario};

const JUST_AFTER: &str = "just after the lease was refreshed";
const WITH_LEADER: &str = "together with the DCS leader";

#[test]
fn either_can_stand_behind_any_step_that_injects_a_fault() {
    for step in [
        "the host of the primary dies",
        "PostgreSQL on the primary is killed",
        "the fault \"service_kill\" hits node1",
        "node1 and node2 is partitioned from node3",
    ] {
        let table = step.contains("service_kill").then_some("  | service | patroni |");
        for behind in [JUST_AFTER.to_owned(), WITH_LEADER.to_owned(), format!("{WITH_LEADER} {JUST_AFTER}")] {
            let when = format!("When {step} {behind}");
            listed(&[&[when.as_str()][..], table.as_slice()].concat());
        }
    }
}

#[test]
fn what_injects_no_fault_has_no_worst_moment() {
    let step = format!("When clients can write again {JUST_AFTER}");
    refused_steps(
        &["When the host of node1 dies", &step],
        &["own.feature:5:5", "only a fault can come `just after the lease was refreshed`"],
    );
    // In this order both are read, and in no other.
    let turned = format!("When the host of node1 dies {JUST_AFTER} {WITH_LEADER}");
    refused_steps(&[&turned], &["own.feature:4:5: there is no step"]);
    let misspelt = "When the host of node1 dies just after the lease is refreshed";
    refused_steps(&[misspelt], &["own.feature:4:5: there is no step", "did you mean"]);
}

#[test]
fn a_topology_without_a_lease_has_no_worst_moment_of_it() {
    let when = format!("When the host of the primary dies {JUST_AFTER}");
    let by_hand = scenario(&["Given the topology \"async-manual\"", &when]);
    refused(&by_hand, &["own.feature:4:5", "no agent of this topology keeps a lease in a DCS"]);
    let apart = |target: &str| {
        scenario(&["Given the topology \"two-nodes\"", &format!("When the host of {target} dies {WITH_LEADER}")])
    };
    refused(&apart("the primary"), &["own.feature:4:5", "the primary may have no member of the DCS beside it"]);
    let beside = apart("the primary and dcs2");
    super::told(&beside, &["features", "--list"], 0);
}

#[test]
fn where_an_election_alone_chooses_nobody_is_made_the_leader_of_the_dcs() {
    let over = |behind: &str| {
        let when = format!("When the host of the primary dies {behind}");
        scenario(&["Given the topology \"dcs-zookeeper\"", &when])
    };
    refused(&over(WITH_LEADER), &["own.feature:4:5", "ZooKeeper has no request that hands the leadership"]);
    super::told(&over(JUST_AFTER), &["features", "--list"], 0);
}

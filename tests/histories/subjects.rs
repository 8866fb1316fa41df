//! What a trial is about, where faults and runbooks that no course has say so.

use std::collections::BTreeMap;

use pgquake_judge::{
    claims::Subject,
    history::{
        Event, Occurrence,
        event::{BackupTaken, FaultInjecting, LedgerCounts, RestoreOutcome, RestoreTarget, Restored, RunbookStep},
    },
};

use super::{
    course::{Course, run},
    edits::with,
    verdict_of,
};

/// A fault of a node that is proven, and healed.
fn with_fault(events: Vec<Event>, fault: u32, name: &str, node: &str, at_ms: u64) -> Vec<Event> {
    let injecting = FaultInjecting {
        fault,
        name: name.to_owned(),
        target: node.to_owned(),
        hosts: vec![node.to_owned()],
        services: vec![format!("{node}/patroni")],
        parameters: BTreeMap::new(),
        hands_over: false,
        primary_before: None,
        dcs_leader_before: None,
        worst: Default::default(),
    };
    let (effect_from_us, effect_to_us) = ((at_ms + 101) * 1000, (at_ms + 102) * 1000);
    let evidence = || "seen".to_owned();
    let confirmed = Occurrence::FaultConfirmed { fault, effect_from_us, effect_to_us, evidence: evidence() };
    let course = [
        (0, Occurrence::FaultInjecting(injecting)),
        (5, confirmed),
        (10, Occurrence::FaultHealing { fault }),
        (20, Occurrence::FaultHealed { fault, evidence: evidence() }),
    ];
    course.into_iter().fold(events, |events, (after_ms, what)| with(events, at_ms + after_ms, what))
}

/// Whether this happened in the only trial.
fn happened(subject: Subject, change: impl Fn(Vec<Event>) -> Vec<Event>) -> bool {
    let verdict = verdict_of(&change(run(&[Course::default()])));
    verdict.scenarios[0].happened.contains(&subject)
}

#[test]
fn a_node_is_rebuilt_after_it_was_corrupted_and_not_before() {
    let rebuilt = |corrupted: &'static str, first_ms: u64, then_ms: u64| {
        happened(Subject::CorruptedRebuilt, move |events| {
            let events = with_fault(events, 2, "page_corrupted", corrupted, first_ms);
            with_fault(events, 3, "reinitialize", "node2", then_ms)
        })
    };
    assert!(rebuilt("node2", 2_000, 2_500));
    assert!(!rebuilt("node3", 2_000, 2_500), "another node was corrupted");
    assert!(!rebuilt("node2", 2_500, 2_000), "it was rebuilt before");
}

#[test]
fn the_full_disk_is_that_of_a_standby() {
    let full = |node: &'static str| {
        happened(Subject::StandbyDiskFull, move |events| with_fault(events, 2, "disk_full", node, 500))
    };
    assert_eq!((full("node1"), full("node3")), (false, true));
}

#[test]
fn both_disks_are_full_by_a_fault_of_each() {
    let both = |one: &'static str, other: &'static str| {
        happened(Subject::BothDisksFull, move |events| {
            let events = with_fault(events, 2, "disk_full", one, 500);
            with_fault(events, 3, "disk_full", other, 600)
        })
    };
    assert!(both("node3", "node1"));
    assert!(!both("node3", "node2") && !both("node1", "node1"), "one kind of disk alone");
}

#[test]
fn what_is_restored_was_promoted_before() {
    let (step, cluster, evidence) = (RunbookStep::Promoted, "main".to_owned(), "it accepts writes".to_owned());
    let promoted = Occurrence::Runbook { step, cluster, evidence };
    let outcome = RestoreOutcome::Open {
        took_ms: 4_000,
        accepts_writes: true,
        timeline: 2,
        found: Vec::new(),
        counts: LedgerCounts::default(),
        bad_changes: 0,
    };
    let restored = Occurrence::Restored(Restored {
        cluster: "main".to_owned(),
        host: "spare".to_owned(),
        target: RestoreTarget::Latest { archived_us: 1 },
        began_us: 2_900_000,
        outcome,
    });
    let about = |at_ms: u64| {
        happened(Subject::PromotedRestored, |events| {
            with(with(events, at_ms, promoted.clone()), 3_000, restored.clone())
        })
    };
    assert!(about(2_500));
    assert!(!about(3_500), "it was promoted afterwards");
    assert!(!about(2_950), "it was promoted while it was restored");
    let backup_of = |cluster: &str| {
        let (cluster, host, label) = (cluster.to_owned(), "node1".to_owned(), "full".to_owned());
        let taken = Occurrence::BackupTaken(BackupTaken { cluster, host, label, began_us: 1 });
        happened(Subject::BackupRestored, |events| with(with(events, 2_000, taken.clone()), 3_000, restored.clone()))
    };
    assert!(backup_of("main") && !backup_of("other"), "a backup of its own");
}

#[test]
fn all_nodes_are_down_only_at_one_instant() {
    let one_by_one =
        |events| with_fault(with_fault(events, 2, "host_crash", "node2", 3_000), 3, "host_crash", "node3", 3_300);
    assert!(!happened(Subject::AllDown, one_by_one));
    let at_once = |mut events: Vec<Event>| {
        for event in &mut events {
            if let Occurrence::FaultInjecting(injecting) = &mut event.what {
                injecting.services = ["node1", "node2", "node3"].map(|node| format!("{node}/patroni")).into();
            }
        }
        events
    };
    assert!(happened(Subject::AllDown, at_once));
}

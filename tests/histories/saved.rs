//! Saved histories: as a run leaves them on disk, each with the verdict that it must get.

use std::{collections::BTreeMap, fs, path::PathBuf};

use pgquake_judge::{
    checks::{
        Outcome,
        course::phases::{Course as FailoverCourse, PhaseName},
    },
    history::{Event, event::Bound, read_history},
    plan::Plan,
    verdict::{RunVerdict, judge},
};

use crate::{
    course::{Course, plan, run},
    finding, value, with_outcome,
};

/// A saved history: its name, whether the topology is synchronous, what happens.
fn saved() -> Vec<(&'static str, bool, Vec<Event>)> {
    let outage_at_most = |most: f64| vec![("recovery_time", "write_outage_ms", Bound::AtMost(most))];
    let clean = Course { expected: outage_at_most(1500.0), ..Course::default() };
    let restart = Course { key: None, direct_ms: 2600, up_ms: 2800, unknown_kept: true, ..clean.clone() };
    let two_writers = Course { old_until_ms: 3210, control: Some("single_writer"), ..Course::default() };
    vec![
        ("clean", true, run(&[Course { unknown_kept: true, ..clean.clone() }])),
        ("outage_too_long", false, run(&[Course { expected: outage_at_most(1000.0), ..clean.clone() }])),
        ("row_lost", true, run(&[Course { lost_ms: 21, ..clean.clone() }])),
        ("unknown_write_missing", true, run(std::slice::from_ref(&clean))),
        ("two_writers", false, run(&[two_writers])),
        ("observer_dead", false, run(&[Course { blind_from_ms: 100, ..clean.clone() }])),
        ("load_too_thin", false, run(&[Course { probe_every_ms: 100, ..clean.clone() }])),
        ("fault_unconfirmed", false, run(&[Course { confirmed: false, ..clean.clone() }])),
        ("restarted_in_place", false, run(&[restart])),
        ("run_killed", false, cut_off(run(&[clean]), 3_000_000)),
    ]
}

fn cut_off(mut events: Vec<Event>, at_us: u64) -> Vec<Event> {
    events.retain(|event| event.at_us < at_us);
    events
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/histories/saved")
}

fn plan_path(synchronous: bool) -> PathBuf {
    folder().join(if synchronous { "synchronous.plan.json" } else { "asynchronous.plan.json" })
}

/// The verdict on a saved history.
fn verdict_on(name: &str, synchronous: bool) -> RunVerdict {
    let events = read_history(&folder().join(format!("{name}.jsonl"))).unwrap();
    judge(&BTreeMap::from([(1, kept_plan(synchronous))]), &events)
}

/// The plan as a run of schema 1 wrote it, with what that schema does not say.
fn kept_plan(synchronous: bool) -> Plan {
    let mut plan: Plan = serde_json::from_str(&fs::read_to_string(plan_path(synchronous)).unwrap()).unwrap();
    assert!(plan.clusters.is_empty() && plan.dcs.is_empty(), "the file is no longer of schema 1");
    plan.complete();
    plan
}

#[test]
fn a_plan_of_the_first_schema_means_what_it_means_today() {
    for synchronous in [false, true] {
        assert_eq!(kept_plan(synchronous), plan(synchronous));
    }
}

#[test]
fn the_files_are_what_the_courses_make() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for (name, _, events) in saved() {
        let mut lines: String = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
        if name == "run_killed" {
            lines.truncate(lines.len() - 40);
        }
        files.push((folder().join(format!("{name}.jsonl")), lines));
    }
    for (path, made) in files {
        assert!(made.len() < 150_000, "{} is too large: {}", path.display(), made.len());
        if update {
            fs::write(&path, made).unwrap();
        } else {
            let kept = fs::read_to_string(&path).unwrap_or_default();
            assert!(kept == made, "{} is out of step: run with UPDATE=1", path.display());
        }
    }
}

#[test]
fn a_clean_failover_passes_with_its_phases() {
    let verdict = verdict_on("clean", true);
    assert_eq!(with_outcome(&verdict, Outcome::Fail), [""; 0], "{:#?}", verdict.scenarios[0].findings);
    assert_eq!(with_outcome(&verdict, Outcome::Inconclusive), [""; 0], "{:#?}", verdict.scenarios[0].findings);
    assert_eq!((verdict.outcome, verdict.doubts.len()), (Outcome::Pass, 0));
    let recovery = finding(&verdict, "recovery_time");
    // The fault strikes at 2000; the first write that is due from 3100 on is answered 4 ms later.
    assert_eq!(value(recovery, "write_outage_ms"), 1104.0);
    let phases =
        ["detect_ms", "elect_ms", "promote_ms", "route_ms", "first_write_ms"].map(|name| value(recovery, name));
    assert_eq!(phases, [600.0, 100.0, 206.0, 194.0, 4.0]);
    let predicted = &recovery.measure.as_ref().unwrap().predicted;
    assert_eq!(*predicted, Some((3050.0, 11_000.0)));
    assert_eq!(value(finding(&verdict, "data_loss"), "lost_rows"), 0.0);
    assert_eq!(value(finding(&verdict, "single_writer"), "overlap_ms"), 0.0);
    // Healed at 5250, seen streaming at 5300.
    assert_eq!(value(finding(&verdict, "rejoin"), "rejoin_ms"), 50.0);
}

#[test]
fn an_outage_over_the_target_fails() {
    let verdict = verdict_on("outage_too_long", false);
    assert_eq!((verdict.outcome, with_outcome(&verdict, Outcome::Fail)), (Outcome::Fail, vec!["recovery_time"]));
    let recovery = finding(&verdict, "recovery_time");
    assert_eq!((value(recovery, "write_outage_ms"), recovery.target), (1104.0, Some(Bound::AtMost(1000.0))));
    assert!(
        recovery.summary.contains("longest phase was detect") && recovery.summary.contains("by 104"),
        "{}",
        recovery.summary
    );
    assert!(!recovery.evidence.is_empty());
}

#[test]
fn one_lost_row_fails_where_none_may_be_lost() {
    let verdict = verdict_on("row_lost", true);
    assert_eq!((verdict.outcome, with_outcome(&verdict, Outcome::Fail)), (Outcome::Fail, vec!["data_loss"]));
    let loss = finding(&verdict, "data_loss");
    assert_eq!((value(loss, "lost_rows"), value(loss, "unknown_rows")), (1.0, 1.0));
    // Acknowledged at 1984, clients lost service at 2000; 100 bytes beyond where the new timeline left the old one.
    assert_eq!((value(loss, "lost_ms"), value(loss, "lost_wal_bytes")), (16.0, 100.0));
}

#[test]
fn an_unknown_write_that_is_missing_is_not_lost() {
    let verdict = verdict_on("unknown_write_missing", true);
    let loss = finding(&verdict, "data_loss");
    assert_eq!((loss.outcome, value(loss, "lost_rows")), (Outcome::Pass, 0.0));
    assert_eq!((value(loss, "unknown_rows"), value(loss, "unknown_missing_rows")), (1.0, 1.0));
    assert_eq!(verdict.outcome, Outcome::Pass);
}

#[test]
fn two_writers_fail_with_the_time_of_their_overlap_and_are_caught() {
    let verdict = verdict_on("two_writers", false);
    let writers = finding(&verdict, "single_writer");
    // The new primary's first write is acknowledged at 2906, the old one's last starts at 3206.
    assert_eq!((writers.outcome, value(writers, "overlap_ms")), (Outcome::Fail, 300.0));
    assert!(
        writers.summary.contains("did not hold the leader key") || writers.summary.contains("leader key's history")
    );
    let control = verdict.scenarios[0].control.as_ref().unwrap();
    assert!(control.caught, "{}", control.reason);
    assert_eq!((verdict.outcome, verdict.scenarios[0].worst_finding), (Outcome::Pass, Outcome::Fail));
}

#[test]
fn a_dead_observer_is_inconclusive() {
    let verdict = verdict_on("observer_dead", false);
    assert_eq!(
        (verdict.outcome, with_outcome(&verdict, Outcome::Inconclusive)),
        (Outcome::Inconclusive, vec!["harness_was_sound"])
    );
    assert!(finding(&verdict, "harness_was_sound").summary.contains("leader_key of node2"));
}

#[test]
fn too_thin_a_load_is_inconclusive() {
    let verdict = verdict_on("load_too_thin", false);
    assert_eq!(
        (verdict.outcome, with_outcome(&verdict, Outcome::Inconclusive)),
        (Outcome::Inconclusive, vec!["load_was_real"])
    );
    assert_eq!(value(finding(&verdict, "load_was_real"), "prober_schedule_ms"), 100.0);
}

#[test]
fn an_unconfirmed_fault_is_inconclusive() {
    let verdict = verdict_on("fault_unconfirmed", false);
    let unproven = with_outcome(&verdict, Outcome::Inconclusive);
    assert_eq!((verdict.outcome, unproven), (Outcome::Inconclusive, vec!["recovery_time", "faults_took_effect"]));
    assert!(finding(&verdict, "faults_took_effect").summary.contains("node1 still answers"));
}

#[test]
fn a_restart_in_place_has_phases_of_its_own() {
    let verdict = verdict_on("restarted_in_place", false);
    assert_eq!(verdict.outcome, Outcome::Pass, "{:#?}", verdict.scenarios[0].findings);
    // Nobody had to follow a new primary: the one that was hit acknowledged a write as soon as the fault was gone.
    assert_eq!(value(finding(&verdict, "rejoin"), "rejoin_ms"), 14.0);
    let failover = &verdict.scenarios[0].failovers[0];
    assert_eq!(failover.course, FailoverCourse::RestartInPlace);
    let phases: Vec<_> = failover.phases.iter().map(|phase| (phase.name, phase.duration_ms())).collect();
    assert_eq!(phases, [(PhaseName::Restart, 604.0), (PhaseName::Route, 196.0), (PhaseName::FirstWrite, 4.0)]);
    assert_eq!(value(finding(&verdict, "recovery_time"), "write_outage_ms"), 804.0);
}

#[test]
fn a_killed_run_is_inconclusive() {
    let verdict = verdict_on("run_killed", false);
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert_eq!(with_outcome(&verdict, Outcome::Fail), [""; 0]);
    let unproven = with_outcome(&verdict, Outcome::Inconclusive);
    assert!(
        unproven.contains(&"ran_to_the_end") && unproven.contains(&"data_loss") && unproven.contains(&"recovery_time")
    );
    assert!(verdict.doubts[0].contains("breaks off"));
}

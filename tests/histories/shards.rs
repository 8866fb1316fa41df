//! Several runs that are one together: the verdict is that of one run, and nothing is missing, twice or foreign unnamed.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::Outcome,
    claims::Claims,
    history::{
        Event, Occurrence,
        event::{Rule, RunStarted, Shard},
    },
    plan::Plan,
    saved::SavedRun,
    verdict::{Judge, JudgedRun, RunVerdict, combine},
};
use proptest::prelude::*;

use super::course::{Course, number, plan, run};

/// A run of these trials, of which some miss their target.
fn whole(trials: u32, missed: &[u32]) -> Vec<Event> {
    let courses: Vec<Course> = (1..=trials)
        .map(|trial| {
            let late = if missed.contains(&trial) { 900 } else { 0 };
            Course {
                scenario: trial,
                trial,
                trials,
                start_ms: 100 + u64::from(trial) * 10_000,
                claims: vec!["RTO-30", "NO-SPLIT-BRAIN"],
                expected: vec![(
                    "recovery_time",
                    "write_outage_ms",
                    pgquake_judge::history::event::Bound::AtMost(1500.0),
                )],
                up_ms: 3100 + late,
                heal_ms: 5150 + late,
                rejoined_ms: 5350 + late,
                stop_ms: 5400 + late,
                ..Course::default()
            }
        })
        .collect();
    begins(run(&courses), |started| {
        started.scenarios = trials;
        started.rule = Some(Rule::Trials(trials));
        started.recipe = "recipe".to_owned();
    })
}

fn begins(mut events: Vec<Event>, change: impl Fn(&mut RunStarted)) -> Vec<Event> {
    for event in &mut events {
        if let Occurrence::RunStarted(started) = &mut event.what {
            change(started);
        }
    }
    events
}

/// The part of a run that a shard of it would have been, as a run of its own.
fn shard(events: &[Event], index: u32, of: u32) -> Vec<Event> {
    let is_own = |scenario: u32| scenario == 0 || (scenario - 1) % of == index - 1;
    let own: Vec<Event> = events.iter().filter(|event| is_own(event.scenario)).cloned().collect();
    let mut numbers: Vec<u32> = own.iter().map(|event| event.scenario).filter(|number| *number > 0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let own = begins(own, |started| {
        started.run = format!("run-{index}");
        started.shard = Some(Shard { index, of });
        started.scenarios = numbers.len() as u32;
        started.numbers = numbers.iter().map(|number| (*number, *number)).collect();
    });
    number(own)
}

fn plans(events: &[Event]) -> BTreeMap<u32, Plan> {
    events.iter().map(|event| event.scenario).filter(|number| *number > 0).map(|number| (number, plan(false))).collect()
}

fn judged(events: &[Event]) -> JudgedRun {
    let plans = plans(events);
    let mut judge = Judge::new(&plans, |_, _| {});
    events.iter().for_each(|event| judge.take(event.clone()));
    judge.close((&[], 0))
}

fn together(histories: &[Vec<Event>]) -> RunVerdict {
    combine(histories.iter().map(|events| judged(events)).collect(), Claims::documented())
}

/// Without what says where it stands: the run, and the numbers of events.
fn bare(mut verdict: RunVerdict) -> RunVerdict {
    for scenario in &mut verdict.scenarios {
        scenario.run.clear();
        scenario.findings.iter_mut().for_each(|finding| finding.evidence.clear());
        scenario.reigns.clear();
        scenario.failovers.clear();
    }
    verdict.claims.iter_mut().flat_map(|claim| &mut claim.trials).for_each(|trial| trial.evidence.clear());
    verdict
}

#[track_caller]
fn doubted(verdict: &RunVerdict, doubt: &str) {
    assert!(verdict.outcome != Outcome::Pass, "{:?}", verdict.doubts);
    assert!(verdict.doubts.iter().any(|own| own.contains(doubt)), "no `{doubt}` in {:?}", verdict.doubts);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_run_that_is_split_has_the_verdict_of_the_whole(
        trials in 1..7u32, of in 1..5u32, missed in prop::collection::vec(1..7u32, 0..3), turn in 0..5usize,
    ) {
        let of = of.min(trials);
        let whole = whole(trials, &missed);
        let mut shards: Vec<Vec<Event>> = (1..=of).map(|index| shard(&whole, index, of)).collect();
        let turn = turn % shards.len();
        shards.rotate_left(turn);
        let (one, several) = (bare(combine(vec![judged(&whole)], Claims::documented())), bare(together(&shards)));
        if of > 1 {
            prop_assert_eq!(several, one);
        }
    }
}

#[test]
fn a_shard_alone_is_judged_as_what_it_is() {
    let verdict = together(&[shard(&whole(6, &[]), 2, 3)]);
    assert_eq!((verdict.outcome, verdict.doubts.len()), (Outcome::Pass, 0), "{:?}", verdict.doubts);
    let summary = &verdict.claims[0].summary;
    assert!(
        summary.starts_with("kept in 2 of 6, and 4 prove nothing (4 are of other shards, or never began)"),
        "{summary}"
    );
}

#[test]
fn a_missing_shard_is_named() {
    let whole = whole(6, &[]);
    let verdict = together(&[shard(&whole, 1, 3), shard(&whole, 3, 3)]);
    doubted(&verdict, "shard 2 of 3 is missing");
    doubted(&verdict, "trials 2, 5 never began");
    let cut = shard(&whole, 2, 3).into_iter().filter(|event| event.scenario != 5).collect();
    let verdict = together(&[shard(&whole, 1, 3), number(cut), shard(&whole, 3, 3)]);
    doubted(&verdict, "run run-2: the run was to have 2 scenarios, and number 5 never began");
}

#[test]
fn a_shard_that_is_there_twice_is_named_and_the_worse_result_counts() {
    let (good, bad) = (whole(4, &[]), whole(4, &[2]));
    let again = begins(shard(&good, 2, 2), |started| started.run = "again".to_owned());
    for runs in [[shard(&good, 1, 2), shard(&bad, 2, 2), again.clone()], [again, shard(&bad, 2, 2), shard(&good, 1, 2)]]
    {
        let verdict = together(&runs);
        doubted(&verdict, "shard 2 of 2 is there twice");
        assert_eq!((verdict.outcome, verdict.scenarios.len()), (Outcome::Fail, 4));
    }
    let verdict = together(&[shard(&good, 1, 2), shard(&good, 2, 2), shard(&good, 2, 2)]);
    doubted(&verdict, "the run run-2 was given twice");
}

#[test]
fn a_foreign_run_is_named_and_left_out() {
    let whole = whole(4, &[]);
    let first = shard(&whole, 1, 2);
    let with = |change: &dyn Fn(&mut RunStarted)| together(&[first.clone(), begins(shard(&whole, 2, 2), change)]);
    for (verdict, why) in [
        (with(&|started| started.recipe = "another".to_owned()), "its recipe is another one"),
        (with(&|started| started.seed = 99), "its seed is 99, and not 1"),
        (with(&|started| started.shard = Some(Shard { index: 2, of: 3 })), "it is shard 2 of 3, and not of 2"),
        (with(&|started| started.shard = None), "is no shard: it is whole by itself"),
    ] {
        doubted(&verdict, why);
        doubted(&verdict, "shard 2 of 2 is missing");
        assert_eq!(verdict.scenarios.len(), 2);
    }
    let of_two = [begins(whole.clone(), |_| {}), begins(whole, |started| started.run = "other".to_owned())];
    doubted(&together(&of_two), "never pooled");
}

#[test]
fn billions_of_missing_shards_are_counted_and_not_listed() {
    let own = |index: u32| {
        begins(shard(&whole(4, &[]), index, 2), |started| {
            started.shard = Some(Shard { index, of: u32::MAX });
        })
    };
    let verdict = together(&[own(1), own(2)]);
    doubted(&verdict, "shard 3 of 4294967295 is missing");
    doubted(&verdict, "4294967283 more shards of 4294967295 are missing");
}

#[test]
fn other_versions_are_named_and_other_machines_are_not() {
    let whole = whole(2, &[]);
    let version = |version: &str| ("patroni".to_owned(), version.to_owned());
    let old = begins(shard(&whole, 1, 2), |started| started.versions = [version("4.0.6")].into());
    let new = begins(shard(&whole, 2, 2), |started| started.versions = [version("4.0.7")].into());
    doubted(&together(&[old, new]), "had other versions than the run run-1: patroni 4.0.7 instead of 4.0.6");
    let elsewhere = begins(shard(&whole, 2, 2), |started| {
        started.machine.insert("cores".to_owned(), "64".to_owned());
        started.binary = "another".to_owned();
    });
    assert_eq!(together(&[shard(&whole, 1, 2), elsewhere]).outcome, Outcome::Pass);
}

/// A combination of a matrix may have all its trials in one shard.
#[test]
fn packages_of_scenarios_that_one_shard_has_alone_are_none_that_differ() {
    let whole = whole(2, &[]);
    let with = |index: u32, package: &str, version: &str| {
        let own = (package.to_owned(), version.to_owned());
        begins(shard(&whole, index, 2), |started| started.versions = [own.clone()].into())
    };
    let shards = [with(1, "postgresql-16.14", "16.14"), with(2, "postgresql-18", "18.1")];
    assert_eq!(together(&shards).outcome, Outcome::Pass);
    let folder = tempfile::tempdir().unwrap();
    let folders = [1, 2].map(|index| folder.path().join(format!("run-{index}")));
    shards.iter().zip(&folders).for_each(|(own, place)| saved(place, own));
    let merged = SavedRun::read_all(&folders).unwrap();
    let out = folder.path().join("merged");
    std::fs::create_dir(&out).unwrap();
    merged.write_report_to(&out).unwrap();
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("postgresql-16.14 16.14, postgresql-18 18.1"), "the versions of both");
}

/// A run's folder.
fn saved(folder: &std::path::Path, events: &[Event]) {
    std::fs::create_dir_all(folder).unwrap();
    let lines: Vec<String> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    std::fs::write(folder.join("history.jsonl"), lines.join("\n")).unwrap();
    std::fs::write(folder.join("plan.json"), serde_json::to_string(&plans(events)).unwrap()).unwrap();
}

#[test]
fn folders_of_shards_are_read_and_rendered_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole(4, &[]);
    let folders = [1, 2].map(|index| folder.path().join(format!("run-{index}")));
    for (index, own) in (1..).zip(&folders) {
        saved(own, &shard(&whole, index, 2));
    }
    let saved = SavedRun::read_all(&folders).unwrap();
    assert_eq!((saved.verdict.outcome, saved.records.len(), saved.plans.len()), (Outcome::Pass, 4, 4));
    assert!(saved.verdict.scenarios.iter().all(|own| own.run == format!("run-{}", 2 - own.number % 2)));
    let out = folder.path().join("merged");
    std::fs::create_dir(&out).unwrap();
    let json = std::fs::read_to_string(&saved.write_report_to(&out).unwrap()[1]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["runs"].as_array().unwrap().len(), 2);
    assert!(std::fs::read_to_string(out.join("report.html")).unwrap().contains("2 runs as one"));
}

/// A recipe stands for all that was tried and how it is judged.
#[test]
fn a_shard_with_other_claims_under_the_same_recipe_is_foreign() {
    let whole = whole(4, &[]);
    let with_claims = |index: u32, digest: &str| {
        begins(shard(&whole, index, 2), |started| {
            started.inputs = BTreeMap::from([("claims.yaml".to_owned(), digest.to_owned())]);
        })
    };
    assert_eq!(together(&[with_claims(1, "a"), with_claims(2, "a")]).outcome, Outcome::Pass);
    doubted(&together(&[with_claims(1, "a"), with_claims(2, "b")]), "its claims.yaml is another one");
}

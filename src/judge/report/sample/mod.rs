//! Made-up runs for the tests of the formats.

mod history;
mod many;

use std::collections::{BTreeMap, BTreeSet};

pub use history::{FAULT_AT_MS, Failover, HOST_KILL, TWO_WRITERS, plan, scenario, started};

use super::{ReportInput, ScenarioRecord};
use crate::{
    checks::{
        Finding, Measure, Outcome,
        course::{
            outage::Outage,
            phases::{self, Course, Phase, PhaseName},
            record,
            reigns::{Beside, overlaps, reigns},
        },
    },
    claims,
    history::{
        Event,
        event::{Bound, Occurrence, RunStarted, ScenarioStarted},
    },
    plan::{Plan, Span},
    verdict::{
        self, ClaimState, ClaimTrial, ClaimVerdict, ControlVerdict, RunVerdict, ScenarioGroup, ScenarioVerdict,
        Statistics, TrialValue,
    },
};

/// A name that must not become markup.
pub const HOSTILE_NAME: &str = "the <script>alert(\"1\")</script> & 'quoted' | `primary`";

/// Trials of the host kill, the second as measured by hand, the third beyond 30 s.
const TRIALS: [Failover; 3] = [
    Failover {
        detected_ms: 22_700,
        elected_ms: 23_020,
        promoted_ms: 23_900,
        routed_ms: 27_360,
        written_ms: 27_381,
        old_writes_until_ms: 0,
    },
    HOST_KILL,
    Failover {
        detected_ms: 26_300,
        elected_ms: 26_600,
        promoted_ms: 27_850,
        routed_ms: 31_700,
        written_ms: 31_718,
        old_writes_until_ms: 0,
    },
];

/// A run with its verdict.
pub struct Run {
    pub verdict: RunVerdict,
    pub plans: BTreeMap<u32, Plan>,
    pub records: BTreeMap<u32, ScenarioRecord>,
    pub run: RunStarted,
}

impl Run {
    pub fn input(&self) -> ReportInput<'_> {
        let runs = std::slice::from_ref(&self.run);
        ReportInput { verdict: &self.verdict, plans: &self.plans, records: &self.records, runs }
    }

    pub fn every() -> Vec<(&'static str, Run)> {
        vec![
            ("host_kill", Self::host_kill()),
            ("two_writers", Self::two_writers()),
            ("inconclusive", Self::inconclusive()),
            ("hostile_names", Self::hostile_names()),
            ("pass", Self::pass()),
            ("judged", Self::judged()),
            ("many", Self::many(8)),
        ]
    }

    /// Three trials of a host kill, one of which misses the target of 30 s.
    pub fn host_kill() -> Run {
        trials("The primary's host dies", &TRIALS)
    }

    /// One trial that keeps its target.
    pub fn pass() -> Run {
        trials("The primary's host dies", &TRIALS[1..2])
    }

    pub fn hostile_names() -> Run {
        trials(HOSTILE_NAME, &TRIALS[1..2])
    }

    /// Two trials as the checks themselves judge them.
    pub fn judged() -> Run {
        let started = |trial| started("The primary's host dies", trial, 2);
        let mut events = scenario(1, started(1), HOST_KILL);
        events.extend(scenario(2, started(2), TWO_WRITERS));
        let of_the_run = |at_us, what| Event { seq: 0, at_us, scenario: 0, what };
        events.push(of_the_run(0, Occurrence::RunStarted(history::run())));
        events.push(of_the_run(300_000_000, Occurrence::RunEnded { interrupted: None }));
        let events = history::finish(events);
        let plans = BTreeMap::from([(1, plan()), (2, plan())]);
        let verdict = verdict::judge(&plans, &events);
        Run { records: records(&plans, &verdict, &events), verdict, plans, run: history::run() }
    }

    /// A negative control that is caught.
    pub fn two_writers() -> Run {
        let mut started = started("A frozen agent leaves two primaries", 1, 1);
        started.control = Some("single_writer".to_owned());
        started.claims = vec!["NO-SPLIT-BRAIN".to_owned()];
        let mut one = judged(1, started, TWO_WRITERS);
        let overlap_ms = (TWO_WRITERS.old_writes_until_ms - TWO_WRITERS.promoted_ms) as f64;
        let mut split = Finding::new(
            "single_writer",
            Outcome::Fail,
            "node1 and node2 both acknowledged writes for 10.6 s, node1 on timeline 1 and node2 on timeline 2",
        )
        .with_measure(Measure::new("overlap_ms", overlap_ms))
        .with_evidence([812, 4410, 4411, 4412]);
        split.target = Some(Bound::Exactly(0.0));
        one.0.findings.push(split);
        one.0.worst_finding = Outcome::Fail;
        one.0.outcome = Outcome::Pass;
        one.0.control = Some(ControlVerdict {
            check: "single_writer".to_owned(),
            caught: true,
            reason: "single_writer failed as it must: two writers for 10.6 s".to_owned(),
            consequences: vec!["data_loss".to_owned()],
        });
        let overlap =
            Statistics { trials: vec![value(1, overlap_ms)], ..statistics("overlap_ms", &[overlap_ms], None) };
        run(vec![one], vec![claim("NO-SPLIT-BRAIN", ClaimState::Refuted, overlap, |_| false)])
    }

    /// An observer died, so nothing is proven.
    pub fn inconclusive() -> Run {
        let mut one = judged(1, started("The primary's host dies", 1, 1), HOST_KILL);
        one.0.findings.push(Finding::new(
            "load_was_real",
            Outcome::Inconclusive,
            "the observer of node2 was lost 3.2 s after the fault (connection reset), so its role is unknown since",
        ));
        // As when the observer saw the promotion and not the route.
        one.0.failovers[0].phases[3].seen = false;
        one.0.findings.rotate_right(1);
        one.0.outcome = Outcome::Inconclusive;
        one.0.worst_finding = Outcome::Inconclusive;
        let at_us = (FAULT_AT_MS + 3_200) * 1000;
        one.1.retain(|event| {
            event.at_us < at_us || !matches!(&event.what, Occurrence::NodeState(state) if state.node == "node2")
        });
        run(vec![one], Vec::new())
    }
}

fn trials(name: &str, failovers: &[Failover]) -> Run {
    let count = failovers.len() as u32;
    let judged: Vec<_> = (1..)
        .zip(failovers)
        .map(|(number, failover)| judged(number, started(name, number, count), *failover))
        .collect();
    let outages: Vec<_> = failovers.iter().map(|failover| failover.written_ms as f64).collect();
    let outage = statistics("write_outage_ms", &outages, predicted_outage());
    let kept = outages.iter().all(|outage_ms| *outage_ms <= 30_000.0);
    let state = if kept { ClaimState::Confirmed } else { ClaimState::Refuted };
    run(judged, vec![claim("RTO-30", state, outage, |outage_ms| outage_ms <= 30_000.0)])
}

fn predicted_outage() -> Option<(f64, f64)> {
    let Span { least_ms, most_ms } = plan().predicted.outage(false);
    Some((least_ms as f64, most_ms as f64))
}

fn value(trial: u32, value: f64) -> TrialValue {
    TrialValue { scenario: trial, trial, value, at_least: false }
}

fn statistics(measure: &str, values: &[f64], predicted: Option<(f64, f64)>) -> Statistics {
    let trials = (1..).zip(values).map(|(trial, one)| value(trial, *one)).collect();
    Statistics::of(measure, predicted, trials).unwrap()
}

fn claim(id: &str, state: ClaimState, statistics: Statistics, keeps: impl Fn(f64) -> bool) -> ClaimVerdict {
    let trials = statistics.trials.iter().map(|trial| ClaimTrial {
        scenario: trial.scenario,
        trial: trial.trial,
        value: Some(trial.value),
        at_least: false,
        about: true,
        kept: Some(keeps(trial.value)),
        evidence: vec![12, 80],
    });
    let trials: Vec<_> = trials.collect();
    let missed = trials.iter().filter(|trial| trial.kept == Some(false)).count();
    let summary = format!("{missed} of {} trials missed it", trials.len());
    ClaimVerdict {
        claim: claims::find(id).unwrap().clone(),
        state,
        summary,
        trials,
        absent: 0,
        statistics: Some(statistics),
    }
}

/// A trial with its verdict and events.
fn judged(number: u32, started: ScenarioStarted, failover: Failover) -> (ScenarioVerdict, Vec<Event>) {
    let events = scenario(number, started.clone(), failover);
    let found = failover_found(number, failover);
    let outage_ms = failover.written_ms as f64;
    let mut recovery = Finding::new(
        "recovery_time",
        if outage_ms <= 30_000.0 { Outcome::Pass } else { Outcome::Fail },
        format!("clients could not write for {:.1} s after the host of node1 died; node2 took over", outage_ms / 1e3),
    )
    .with_measure(Measure { predicted: predicted_outage(), ..Measure::new("write_outage_ms", outage_ms) })
    .with_details(found.phases.iter().map(measure).collect())
    .with_evidence([7, 8, 9, 10, 214, 980, 1012, 1013, 1500, 1501, 1733, 1800, 1900, 2000]);
    recovery.target = Some(Bound::AtMost(30_000.0));
    recovery.claims = vec!["RTO-30".to_owned()];
    let loss = Finding::new(
        "data_loss",
        Outcome::Pass,
        "every one of 4,812 acknowledged writes is on every node; 4 unknown writes are neither lost nor kept",
    )
    .with_measure(Measure::new("lost_rows", 0.0))
    .with_details(vec![Measure::new("unknown_writes", 4.0), Measure::new("lost_wal_bytes", 0.0)])
    .with_evidence([7_001, 7_002]);
    let load = Finding::new("load_was_real", Outcome::Pass, "clients tried 50 times a second throughout")
        .with_details(vec![Measure::new("attempts_per_second", 50.0), Measure::new("latest_timer_ms", 3.2)]);
    let outcome = recovery.outcome;
    let reigns = reigns(&record::attempts(&events), &Beside::default());
    let verdict = ScenarioVerdict {
        number,
        scenario: Some(started),
        topology: "single-region".to_owned(),
        outcome,
        worst_finding: outcome,
        control: None,
        findings: vec![recovery, loss, load],
        happened: BTreeSet::new(),
        failovers: vec![found],
        two_writers_us: overlaps(&reigns),
        reigns,
        run: String::new(),
        cell: None,
        beside_its_cell: None,
        starved_before_fault_us: None,
    };
    (verdict, events)
}

fn measure(phase: &Phase) -> Measure {
    let predicted = phase.predicted.map(|span| (span.least_ms as f64, span.most_ms as f64));
    Measure { predicted, ..Measure::new(phase.name.measure(), phase.duration_ms()) }
}

fn failover_found(number: u32, failover: Failover) -> phases::Failover {
    let effect_us = u64::from(number - 1) * 90_000_000 + FAULT_AT_MS * 1000;
    let at = |ms: u64| effect_us + ms * 1000;
    let predicted = plan().predicted;
    let ends = [
        (PhaseName::Detect, failover.detected_ms, Some(predicted.detect)),
        (PhaseName::Elect, failover.elected_ms, Some(predicted.elect)),
        (PhaseName::Promote, failover.promoted_ms, Some(predicted.promote)),
        (PhaseName::Route, failover.routed_ms, Some(predicted.route)),
        (PhaseName::FirstWrite, failover.written_ms, None),
    ];
    let mut from_us = effect_us;
    let phases = ends.map(|(name, end_ms, predicted)| {
        let phase = Phase { name, from_us, to_us: at(end_ms), predicted, seen: true };
        from_us = at(end_ms);
        phase
    });
    phases::Failover {
        of: None,
        faults: vec![1],
        effect_from_us: effect_us,
        effect_to_us: effect_us + 4_000,
        outage_from_us: effect_us,
        recovered_us: Some(at(failover.written_ms)),
        settled: true,
        began_before_fault: false,
        outages: vec![Outage {
            from_us: effect_us,
            to_us: Some(at(failover.written_ms)),
            settled: true,
            first_seq: Some(214),
            last_seq: Some(1_733),
            onset_error_us: 0,
        }],
        watched_until_us: at(58_000),
        course: Course::Failover,
        old_primary: Some("node1".to_owned()),
        new_primary: Some("node2".to_owned()),
        dcs_leader_lost: false,
        marked_down_us: None,
        phases: phases.to_vec(),
        predicted: Some(predicted.outage(false)),
        evidence: vec![7, 8, 9],
    }
}

/// Puts trials together: they are one scenario.
fn run(judged: Vec<(ScenarioVerdict, Vec<Event>)>, claims: Vec<ClaimVerdict>) -> Run {
    let (scenarios, events): (Vec<_>, Vec<_>) = judged.into_iter().unzip();
    let started = scenarios[0].scenario.clone().unwrap();
    let outcome = scenarios.iter().map(|scenario| scenario.outcome).max().unwrap();
    let group = ScenarioGroup {
        feature: started.feature,
        name: started.name,
        file: started.file,
        line: started.line,
        topology: "single-region".to_owned(),
        outcome,
        proofs: Vec::new(),
        scenarios: scenarios.iter().map(|scenario| scenario.number).collect(),
        statistics: all_statistics(&scenarios),
    };
    let plans = scenarios.iter().map(|scenario| (scenario.number, plan())).collect();
    let verdict =
        RunVerdict { outcome, doubts: Vec::new(), scenarios, groups: vec![group], claims, begun_again: Vec::new() };
    let records = records(&plans, &verdict, &history::finish(events.concat()));
    Run { verdict, plans, records, run: history::run() }
}

fn records(plans: &BTreeMap<u32, Plan>, verdict: &RunVerdict, events: &[Event]) -> BTreeMap<u32, ScenarioRecord> {
    let record = |scenario: &ScenarioVerdict| {
        let own: Vec<_> = events.iter().filter(|event| event.scenario == scenario.number).cloned().collect();
        (scenario.number, ScenarioRecord::new(plans.get(&scenario.number), scenario, &own))
    };
    verdict.scenarios.iter().map(record).collect()
}

fn all_statistics(scenarios: &[ScenarioVerdict]) -> Vec<Statistics> {
    let measures = |scenario: &ScenarioVerdict| -> Vec<Measure> {
        scenario.findings.iter().flat_map(|finding| finding.measure.iter().chain(&finding.details)).cloned().collect()
    };
    let mut seen = BTreeSet::new();
    let names = scenarios.iter().flat_map(measures).filter(|measure| seen.insert(measure.name.clone()));
    names
        .map(|measure| {
            let of = |scenario: &ScenarioVerdict| measures(scenario).into_iter().find(|one| one.name == measure.name);
            let values: Vec<_> = scenarios.iter().filter_map(of).map(|one| one.value).collect();
            statistics(&measure.name, &values, measure.predicted)
        })
        .collect()
}

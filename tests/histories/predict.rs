//! What settings predict, held against what was measured.

use pgquake_judge::{
    claims::Claims,
    plan::Plan,
    predict::{self, PredictError, Prediction, Rest},
    topology::load,
};
use serde_json::Value;

use super::{course::Course, verdict_of};

fn predicted(topology: &str, settings: &[(&str, &str)]) -> Prediction {
    let mut topology = load(topology, &[]).unwrap();
    settings.iter().for_each(|(name, value)| topology.set(name, value).unwrap());
    topology.settings_go_together().unwrap();
    Prediction::of(&Plan::new(topology), Rest::of_the_example(), &Claims::default()).unwrap()
}

/// The trials of the committed report: whether the leader of the DCS was lost, and each phase in milliseconds.
fn measured() -> Vec<(bool, Vec<(String, f64)>)> {
    let text = std::fs::read_to_string("../../reports/example/report.json")
        .or_else(|_| std::fs::read_to_string("reports/example/report.json"))
        .unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    let trials = report["scenarios"].as_array().unwrap().iter().map(|scenario| {
        let failover = &scenario["failovers"][0];
        let phase = |phase: &Value| {
            let ms = (phase["to_us"].as_f64().unwrap() - phase["from_us"].as_f64().unwrap()) / 1e3;
            (phase["name"].as_str().unwrap().to_owned(), ms)
        };
        let phases = failover["phases"].as_array().unwrap().iter().map(phase).collect();
        (failover["dcs_leader_lost"].as_bool().unwrap(), phases)
    });
    trials.collect()
}

#[test]
fn the_prediction_for_the_default_topology_covers_what_was_measured() {
    let prediction = predicted("single-region", &[]);
    let without = prediction.without_dcs_leader.clone().unwrap();
    for (dcs_leader_lost, phases) in measured() {
        let outage_ms: f64 = phases.iter().map(|(_, ms)| ms).sum();
        let way = if dcs_leader_lost { &without } else { &prediction.with_dcs_leader };
        assert!((way.least_ms()..=way.most_ms()).contains(&outage_ms), "{outage_ms} is outside of what was predicted");
        assert!((prediction.outage.least_ms()..=prediction.outage.most_ms()).contains(&outage_ms));
    }
    // The lease is 20 to 30 s and more of what is spread than all else: a third of the trials lose the DCS's leader too.
    assert!((prediction.dcs_leader_lost - 1.0 / 3.0).abs() < 1e-9);
    let middle_ms = prediction.outage.quantile_ms(0.5);
    assert!((30_000.0..35_000.0).contains(&middle_ms), "{middle_ms}");
}

#[test]
fn the_rest_is_what_the_committed_report_measured() {
    let rest = measured().into_iter().map(|(_, phases)| {
        let of = |name: &str| phases.iter().find(|(own, _)| own == name).unwrap().1;
        of("elect") + of("promote")
    });
    for (known, measured) in Rest::of_the_example().each_ms.iter().zip(rest) {
        assert!((known - measured).abs() <= 1.0, "{known} was measured as {measured}");
    }
}

#[test]
fn settings_move_the_outage_and_the_share_that_misses_a_target() {
    let documented = predicted("single-region", &[]);
    let quick = [("patroni.ttl_s", "20"), ("patroni.loop_wait_s", "5"), ("patroni.retry_timeout_s", "5")];
    let quick = predicted("single-region", &quick);
    let missed = |prediction: &Prediction, claim: &str| {
        prediction.targets.iter().find(|target| target.claim == claim).unwrap().missed
    };
    assert!(quick.outage.most_ms() < documented.outage.least_ms() + 10_000.0);
    assert!(missed(&documented, "RTO-30") > 0.5 && missed(&quick, "RTO-30") < 0.01);
    assert!(missed(&documented, "RTO-30-60") < 1e-9 && missed(&documented, "RTO-10-15") > 1.0 - 1e-9);
    // A proxy that takes longer to give the dead server up than a failover takes decides alone.
    let slow = predicted("haproxy-fall-30", &[]);
    let is_near = |found: f64, expected: f64| (found - expected).abs() <= 20.0;
    assert!(is_near(slow.outage.least_ms(), 118_000.0) && is_near(slow.outage.most_ms(), 120_000.0));
}

#[test]
fn a_saved_run_gives_the_rest_and_one_without_a_failover_none() {
    let failover = verdict_of(&super::course::run(&[Course::default()]));
    let rest = Rest::of_a_run("saved", &failover).unwrap();
    assert_eq!(rest.source, "one failover of the run saved");
    // From the end of the key at 2600 ms to the first write that was acknowledged directly.
    assert_eq!(rest.each_ms, [306.0]);
    let in_place = verdict_of(&super::course::run(&[Course { key: None, ..Course::default() }]));
    assert_eq!(Rest::of_a_run("saved", &in_place), Err(PredictError::NothingMeasured("saved".to_owned())));
}

#[test]
fn where_nobody_takes_over_nothing_is_predicted() {
    let of = |name: &str| {
        let plan = Plan::new(load(name, &[]).unwrap());
        Prediction::of(&plan, Rest::of_the_example(), &Claims::default()).map(|_| ()).unwrap_err().to_string()
    };
    assert!(of("async-manual").contains("no agent keeps the nodes"));
}

#[test]
fn text_and_drawing_say_that_they_are_a_prediction() {
    let prediction = predicted("single-region", &[]);
    let text = predict::text(&prediction);
    for part in
        ["A prediction", "nothing was run", "RTO-30: ", "its leader is lost too (33 %)", "measured in 10 trials"]
    {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    let svg = predict::svg(&prediction);
    assert!(svg.contains("Predicted, not measured") && !svg.contains("NaN"), "{svg}");
    assert!(svg.matches("class=\"bar").count() > 10 && svg.contains("class=\"target\""));
}

/// What was measured of each (docs/measured.md) is within.
#[test]
fn each_kind_of_dcs_predicts_by_its_own_rules() {
    let detect = |topology: &str, settings: &[(&str, &str)]| {
        let parts = predicted(topology, settings).parts;
        (parts.lease.least_ms + parts.expiry.least_ms, parts.lease.most_ms + parts.expiry.most_ms)
    };
    assert_eq!(detect("single-region", &[]), (20_000, 30_500));
    // The agent pings every 4 s, followers tell twice a tick of 2 s, and sessions end at ticks.
    assert_eq!(detect("dcs-zookeeper", &[]), (25_000, 33_000));
    assert_eq!(detect("dcs-zookeeper", &[("patroni.loop_wait", "4")]), (28_000, 33_000));
    assert_eq!(detect("dcs-consul", &[]), (5_000, 18_500));
    assert_eq!(detect("dcs-consul", &[("consul.cleanup_dead_servers", "false")]), (20_000, 30_500));
}

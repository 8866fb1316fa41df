//! Versions that ran, beside those that the topology names.

use pgquake_judge::{
    checks::{Finding, Outcome},
    history::{Event, Occurrence},
    verdict::judge,
};

use super::{
    course::{Course, plan, run},
    edits::{clean, with},
};

fn told(events: Vec<Event>, at_ms: u64, program: &str, version: &str) -> Vec<Event> {
    let (host, program, version) = ("node1".to_owned(), program.to_owned(), version.to_owned());
    with(events, at_ms, Occurrence::VersionTold { host, program, version })
}

/// What a verdict says of versions, where the topology names this one of Patroni and a line of etcd.
fn doubts(patroni: &str, events: &[Event]) -> Vec<Finding> {
    let mut plan = plan(false);
    plan.topology.settings.patroni.version = Some(patroni.to_owned());
    plan.topology.settings.etcd.version = Some("3.5".to_owned());
    let mut verdict = judge(&[(1, plan)].into(), events);
    let mut findings = std::mem::take(&mut verdict.scenarios[0].findings);
    findings.retain(|finding| finding.check == "verdict");
    findings
}

#[test]
fn a_version_that_the_topology_does_not_name_is_in_doubt() {
    for (program, version) in [("patroni", "4.1.5"), ("postgresql", "17.6"), ("etcd", "3.5.16")] {
        assert_eq!(doubts("4.1", &told(clean(), 60, program, version)), [], "{program} {version}");
    }
    for (program, version, named) in
        [("patroni", "4.0.7", "4.1"), ("postgresql", "16.14", "17"), ("etcd", "3.6.8", "3.5")]
    {
        let found = doubts("4.1", &told(clean(), 60, program, version));
        let [one] = found.as_slice() else { panic!("{program} {version}: {found:#?}") };
        assert_eq!(one.outcome, Outcome::Inconclusive);
        assert_eq!(one.summary, format!("node1 ran {program} {version}, and the topology names {named}"));
    }
}

#[test]
fn a_version_that_an_operator_upgrades_to_is_none_before_and_no_other() {
    let mut events = run(&[Course::default()]);
    for event in &mut events {
        if let Occurrence::FaultInjecting(injecting) = &mut event.what {
            injecting.name = "patroni_upgrade".to_owned();
            injecting.parameters = [("to".to_owned(), "4.1".to_owned())].into();
        }
    }
    let events = told(events, 60, "patroni", "4.0.11");
    assert_eq!(doubts("4.0", &told(events.clone(), 5_200, "patroni", "4.1.5")), []);
    assert_eq!(doubts("4.0", &told(events.clone(), 5_200, "patroni", "3.3.11")).len(), 1);
    assert_eq!(doubts("4.0", &told(events, 1_000, "patroni", "4.1.5")).len(), 1, "nobody had upgraded yet");
}

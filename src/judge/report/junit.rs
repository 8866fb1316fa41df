//! `junit.xml`: a test suite a feature, a test case a scenario and trial, for CI systems.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{
    Format, RenderError, ReportInput, figures,
    page::{outcome_word, reason},
};
use crate::{checks::Outcome, verdict::ScenarioVerdict};

pub const FORMAT: Format = Format { name: "junit", file: "junit.xml", render };

fn render(input: &ReportInput<'_>) -> Result<String, RenderError> {
    let mut suites: Vec<TestSuite> = Vec::new();
    for scenario in &input.verdict.scenarios {
        let duration_us = input.records.get(&scenario.number).map_or(0, |record| record.duration_us);
        let mut case = test_case(scenario);
        case.set_time(Duration::from_micros(duration_us));
        let feature = scenario.scenario.as_ref().map_or("unknown feature", |started| &started.feature);
        if let Some(suite) = suites.iter_mut().find(|suite| suite.name.as_str() == feature) {
            suite.add_test_case(case);
        } else {
            let mut suite = TestSuite::new(feature);
            suite.add_test_case(case);
            suites.push(suite);
        }
    }
    suites.extend(proofs(input));
    if let Some(suite) = doubts(input) {
        suites.push(suite);
    }
    let mut report = Report::new(format!("pgquake {}", input.run().run));
    report.add_test_suites(suites);
    Ok(figures::visible(&report.to_string()?))
}

/// What the trials decide over all of them: a case for each claim of each scenario.
fn proofs(input: &ReportInput<'_>) -> Option<TestSuite> {
    let mut suite = TestSuite::new("over the trials");
    let proofs = input.verdict.groups.iter().flat_map(|group| group.proofs.iter().map(move |proof| (group, proof)));
    for (group, proof) in proofs {
        let status = match non_success(proof.outcome()) {
            None => TestCaseStatus::success(),
            Some((kind, name)) => {
                let mut status = TestCaseStatus::non_success(kind);
                status.set_type(name).set_message(proof.in_words()).set_description(&proof.plan);
                status
            }
        };
        suite.add_test_case(TestCase::new(format!("{}: {} at {}", group.name, proof.claim, proof.level), status));
    }
    (!suite.test_cases.is_empty()).then_some(suite)
}

fn non_success(outcome: Outcome) -> Option<(NonSuccessKind, &'static str)> {
    match outcome {
        Outcome::Pass => None,
        Outcome::Fail => Some((NonSuccessKind::Failure, "fail")),
        Outcome::Inconclusive => Some((NonSuccessKind::Error, "inconclusive")),
    }
}

/// What makes the run itself inconclusive is an error of its own: CI must not take the rest for everything.
fn doubts(input: &ReportInput<'_>) -> Option<TestSuite> {
    if input.verdict.doubts.is_empty() {
        return None;
    }
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type("inconclusive").set_message(input.verdict.doubts.join("; "));
    let mut suite = TestSuite::new("the run itself");
    suite.add_test_case(TestCase::new("the run was complete", status));
    Some(suite)
}

fn test_case(scenario: &ScenarioVerdict) -> TestCase {
    let status = match non_success(scenario.outcome) {
        None => TestCaseStatus::success(),
        Some((kind, name)) => {
            let mut status = TestCaseStatus::non_success(kind);
            status.set_type(name).set_message(reason(scenario)).set_description(findings(scenario));
            status
        }
    };
    let name = match &scenario.scenario {
        Some(started) if started.trials > 1 => {
            format!("{}, trial {} of {}", started.name, started.trial, started.trials)
        }
        Some(started) => started.name.clone(),
        None => format!("scenario {}", scenario.number),
    };
    let mut case = TestCase::new(name, status);
    if let Some(started) = &scenario.scenario {
        case.set_classname(started.feature.as_str());
        case.extra.insert("file".into(), started.file.as_str().into());
        case.extra.insert("line".into(), started.line.to_string().into());
    }
    case.set_system_out(findings(scenario));
    case
}

/// Every finding on a line, with its figures.
fn findings(scenario: &ScenarioVerdict) -> String {
    let lines = scenario.findings.iter().map(|finding| {
        let held = finding.measure.as_ref().zip(finding.target).map(|(measure, target)| {
            format!(" [{}, target {}]", figures::measure(measure), figures::bound(&measure.name, target))
        });
        format!("{} {}: {}{}", outcome_word(finding.outcome), finding.check, finding.summary, held.unwrap_or_default())
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_failure_and_an_error_are_told_apart() {
        let failed = render(&sample::Run::host_kill().input()).unwrap();
        assert!(failed.contains("tests=\"3\" skipped=\"0\" failures=\"1\" errors=\"0\""), "{failed}");
        assert!(failed.contains("<testsuite name=\"Loss of the primary\""));
        assert!(failed.contains("trial 2 of 3"));
        let unproven = render(&sample::Run::inconclusive().input()).unwrap();
        assert!(unproven.contains("failures=\"0\" errors=\"1\""), "{unproven}");
        assert!(unproven.contains("<error message=\"the observer of node2 was lost"), "{unproven}");
    }

    #[test]
    fn a_caught_control_is_a_success() {
        let xml = render(&sample::Run::two_writers().input()).unwrap();
        assert!(xml.contains("failures=\"0\" errors=\"0\""), "{xml}");
    }

    #[test]
    fn names_are_escaped() {
        let xml = render(&sample::Run::hostile_names().input()).unwrap();
        assert!(!xml.contains(sample::HOSTILE_NAME) && xml.contains("&lt;script&gt;"), "{xml}");
    }
}

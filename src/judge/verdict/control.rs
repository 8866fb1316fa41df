//! Negative controls: a system that is known to be bad, which one check must catch.

use super::ControlVerdict;
use crate::checks::{Check, Finding, Outcome, archive, data_loss, pool, recovery_time, restore, single_writer};

/// Whether what was found follows by itself from the defect that the control means, and from nothing else: where two nodes
/// write, what the superseded one acknowledged is rewound away, or stays behind on it. Any other row is a defect of its own.
/// A restore that lacks rows goes with an archive that lacks files, and a writer that stays unserved is one of the clients that a
/// pooler left behind. Whether such a loss misses its own bound, keeps it, or
/// lies too near to it to say is of no account.
fn follows_from(check: &str, finding: &Finding) -> bool {
    (check == single_writer::CHECK.name && data_loss::follows_from_two_writers(finding))
        || (check == restore::CHECK.name && archive::lacks_files_alone(finding))
        || (check == pool::CHECK.name && recovery_time::is_unserved_writer(finding))
}

/// Judges a scenario with a `@control:CHECK` tag by its findings.
///
/// Caught: the check failed with events that show it, no other check failed but its consequences, and nothing else was
/// in doubt. In doubt, the control is inconclusive: a check that fails on a run that went wrong has shown nothing.
pub(super) fn judge(check: &str, findings: &[Finding], table: &[Check]) -> (ControlVerdict, Outcome) {
    let failed = |name: &str| findings.iter().any(|finding| finding.check == name && finding.outcome == Outcome::Fail);
    let is_consequence = |finding: &&Finding| finding.outcome != Outcome::Pass && follows_from(check, finding);
    let allowed = |finding: &&Finding| finding.check == check || is_consequence(finding);
    let others: Vec<&Finding> = findings.iter().filter(|finding| !allowed(finding)).collect();
    let of_others = |outcome: Outcome| others.iter().find(move |finding| finding.outcome == outcome);
    let shown = findings
        .iter()
        .any(|finding| finding.check == check && finding.outcome == Outcome::Fail && !finding.evidence.is_empty());
    let doubted = findings.iter().find(|finding| finding.check == check && finding.outcome == Outcome::Inconclusive);
    let (outcome, reason) = if !table.iter().any(|row| row.name == check) {
        (Outcome::Inconclusive, format!("there is no check {check}"))
    } else if let Some(other) = of_others(Outcome::Fail) {
        (Outcome::Fail, format!("{} failed too, which this control does not mean: {}", other.check, other.summary))
    } else if let Some(other) = of_others(Outcome::Inconclusive) {
        (Outcome::Inconclusive, format!("the run itself is in doubt ({}): {}", other.check, other.summary))
    } else if shown {
        (Outcome::Pass, format!("caught: {check} failed, as it must on this system"))
    } else if failed(check) {
        (Outcome::Inconclusive, format!("{check} failed, but names no event that shows it"))
    } else if let Some(doubted) = doubted {
        (Outcome::Inconclusive, format!("{check} could not decide: {}", doubted.summary))
    } else {
        (Outcome::Fail, format!("not caught: {check} did not fail on a system that is known to be bad"))
    };
    let mut consequences: Vec<String> = findings.iter().filter(is_consequence).map(|own| own.check.clone()).collect();
    consequences.dedup();
    let caught = outcome == Outcome::Pass;
    (ControlVerdict { check: check.to_owned(), caught, reason, consequences }, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{ALL, Measure};

    fn finding(check: &str, outcome: Outcome) -> Finding {
        Finding::new(check, outcome, "summary").with_evidence([1])
    }

    #[test]
    fn a_restore_that_lacks_rows_goes_with_an_archive_that_lacks_files() {
        let of_archive = |missing: f64, overwritten: f64| {
            finding("archive", Outcome::Fail)
                .with_measure(Measure::new("archive_missing_files", missing))
                .with_details(vec![Measure::new("archive_overwritten_files", overwritten)])
        };
        let caught = |check: &str, other: Finding| judge(check, &[finding(check, Outcome::Fail), other], ALL).0.caught;
        assert!(caught("restore", of_archive(3.0, 0.0)));
        assert!(!caught("restore", of_archive(3.0, 1.0)), "files that were overwritten are a defect of their own");
        assert!(!caught("slot", of_archive(3.0, 0.0)));
        assert!(!caught("archive", finding("restore", Outcome::Fail)));
    }

    /// A failure of data_loss by this many rows, of which a superseded writer had acknowledged some.
    fn gone(measure: &str, rows: f64, superseded: Option<f64>) -> Finding {
        let details = [("lost_rows", Some(rows)), ("superseded_rows", superseded)];
        let details = details.iter().filter(|(name, _)| *name != measure);
        let details = details.filter_map(|(name, value)| Some(Measure::new(name, (*value)?))).collect();
        finding("data_loss", Outcome::Fail).with_measure(Measure::new(measure, rows)).with_details(details)
    }

    fn outcome_of(findings: &[Finding]) -> Outcome {
        judge("single_writer", findings, ALL).1
    }

    #[test]
    fn only_the_check_itself_and_its_consequences_may_fail() {
        let caught = finding("single_writer", Outcome::Fail);
        assert_eq!(outcome_of(&[caught.clone(), finding("rejoin", Outcome::Pass)]), Outcome::Pass);
        let of_the_superseded = gone("lost_rows", 7.0, Some(7.0));
        let (control, outcome) = judge("single_writer", &[caught.clone(), of_the_superseded], ALL);
        assert_eq!(
            (outcome, control.caught, control.consequences),
            (Outcome::Pass, true, vec!["data_loss".to_owned()])
        );
        // So near to its bound that nobody can say whether it is missed.
        let near = |rows: f64| Finding { outcome: Outcome::Inconclusive, ..gone("lost_rows", 7.0, Some(rows)) };
        assert_eq!(outcome_of(&[caught.clone(), near(7.0)]), Outcome::Pass);
        assert_eq!(outcome_of(&[caught.clone(), near(6.0)]), Outcome::Inconclusive);
        assert_eq!(outcome_of(&[caught.clone(), finding("data_loss", Outcome::Inconclusive)]), Outcome::Inconclusive);
        assert_eq!(outcome_of(&[caught.clone(), finding("rejoin", Outcome::Fail)]), Outcome::Fail);
        assert_eq!(outcome_of(&[caught, finding("load_was_real", Outcome::Inconclusive)]), Outcome::Inconclusive);
    }

    #[test]
    fn rows_that_no_superseded_writer_acknowledged_are_no_consequence_of_two_writers() {
        let caught = finding("single_writer", Outcome::Fail);
        let with = |other: Finding| outcome_of(&[caught.clone(), other]);
        assert_eq!(with(gone("diverged_rows", 19.0, Some(19.0))), Outcome::Pass);
        for other in [
            gone("diverged_rows", 19.0, Some(0.0)),
            gone("lost_rows", 7.0, Some(6.0)),
            gone("unexcused_rows", 7.0, Some(7.0)),
            gone("refused_but_kept_rows", 1.0, None),
            gone("lost_rows", 7.0, None),
        ] {
            assert_eq!(with(other.clone()), Outcome::Fail, "{other:?}");
        }
        // Of another defect nothing follows by itself.
        let rejoin = finding("rejoin", Outcome::Fail);
        assert_eq!(judge("rejoin", &[rejoin, gone("lost_rows", 7.0, Some(7.0))], ALL).1, Outcome::Fail);
    }

    #[test]
    fn a_check_that_lets_a_bad_system_pass_fails_the_control() {
        assert_eq!(outcome_of(&[finding("single_writer", Outcome::Pass)]), Outcome::Fail);
        assert_eq!(outcome_of(&[finding("single_writer", Outcome::Inconclusive)]), Outcome::Inconclusive);
    }

    #[test]
    fn a_failure_without_evidence_is_no_catch() {
        let without = Finding::new("single_writer", Outcome::Fail, "summary");
        assert_eq!(outcome_of(&[without]), Outcome::Inconclusive);
        assert_eq!(judge("two_writers", &[finding("two_writers", Outcome::Fail)], ALL).1, Outcome::Inconclusive);
    }
}

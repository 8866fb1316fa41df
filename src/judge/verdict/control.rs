//! Negative controls: a system that is known to be bad, which one check must catch.

use super::{CONSEQUENCES, ControlVerdict};
use crate::checks::{Check, Finding, Outcome};

/// Judges a scenario with a `@control:CHECK` tag by its findings.
///
/// Caught: the check failed with events that show it, no other check failed but its consequences, and nothing else was
/// in doubt. In doubt, the control is inconclusive: a check that fails on a run that went wrong has shown nothing.
pub(super) fn judge(check: &str, findings: &[Finding], table: &[Check]) -> (ControlVerdict, Outcome) {
    let failed = |name: &str| findings.iter().any(|finding| finding.check == name && finding.outcome == Outcome::Fail);
    let consequences_of =
        |name: &str| CONSEQUENCES.iter().find(|(cause, _)| *cause == name).map_or(&[][..], |row| row.1);
    let allowed =
        |finding: &&Finding| finding.check == check || consequences_of(check).contains(&finding.check.as_str());
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
    let listed = consequences_of(check).iter().filter(|name| failed(name)).map(|name| (*name).to_owned());
    let caught = outcome == Outcome::Pass;
    (ControlVerdict { check: check.to_owned(), caught, reason, consequences: listed.collect() }, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::ALL;

    fn finding(check: &str, outcome: Outcome) -> Finding {
        Finding::new(check, outcome, "summary").with_evidence([1])
    }

    fn outcome_of(findings: &[Finding]) -> Outcome {
        judge("single_writer", findings, ALL).1
    }

    #[test]
    fn only_the_check_itself_and_its_consequences_may_fail() {
        let caught = finding("single_writer", Outcome::Fail);
        assert_eq!(outcome_of(&[caught.clone(), finding("rejoin", Outcome::Pass)]), Outcome::Pass);
        let (control, outcome) = judge("single_writer", &[caught.clone(), finding("data_loss", Outcome::Fail)], ALL);
        assert_eq!(
            (outcome, control.caught, control.consequences),
            (Outcome::Pass, true, vec!["data_loss".to_owned()])
        );
        assert_eq!(outcome_of(&[caught.clone(), finding("rejoin", Outcome::Fail)]), Outcome::Fail);
        assert_eq!(outcome_of(&[caught, finding("load_was_real", Outcome::Inconclusive)]), Outcome::Inconclusive);
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

//! A run as a target of `cargo test`: its arguments, its list, its closing line.

use std::process::ExitCode;

use super::{FeatureError, Harness, RunError, RunResult};
use crate::{checks::Outcome, verdict::ScenarioVerdict};

/// What `cargo test -- …` may say to a target. Options that mean nothing here are passed over, because cargo gives
/// the same ones to every target.
#[derive(Debug, Default, PartialEq, Eq)]
struct TestArguments {
    list: bool,
    names: Vec<String>,
}

/// Options of libtest that take a value as the next argument.
const WITH_VALUE: &[&str] = &["--skip", "--test-threads", "--format", "--color", "--logfile", "-Z", "--shuffle-seed"];

impl TestArguments {
    fn read(arguments: impl Iterator<Item = String>) -> Self {
        let mut read = Self::default();
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => read.list = true,
                option if WITH_VALUE.contains(&option) => drop(arguments.next()),
                option if option.starts_with('-') => {}
                name => read.names.push(name.to_owned()),
            }
        }
        read
    }
}

impl Harness {
    /// Runs as the `main` of a test target with `harness = false`: takes `cargo test`'s arguments (scenarios are
    /// filtered by name), prints the verdict and a closing line as other tests do, and returns the exit code.
    pub fn test_main(self) -> ExitCode {
        let arguments = TestArguments::read(std::env::args().skip(1));
        let harness = self.names(arguments.names.clone());
        if arguments.list {
            return list(&harness);
        }
        // `cargo test NAME` asks every target; a name that means another one is no mistake.
        let nothing = matches!(harness.list(), Err(RunError::Feature(FeatureError::Nothing { .. })));
        if nothing && !arguments.names.is_empty() {
            println!("\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n");
            return ExitCode::SUCCESS;
        }
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("failed to start the runtime: {error}");
                return ExitCode::from(3);
            }
        };
        match runtime.block_on(runs(harness)) {
            Ok(scenarios) => {
                let failed = scenarios.iter().filter(|outcome| **outcome != Outcome::Pass).count();
                let (passed, word) = (scenarios.len() - failed, if failed == 0 { "ok" } else { "FAILED" });
                println!(
                    "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out\n"
                );
                if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(error) => {
                eprintln!("{:?}", miette::Report::new(error));
                ExitCode::FAILURE
            }
        }
    }
}

/// Runs, and once more what proved nothing where that was asked for. Returns what each scenario came to, and the run itself
/// where that is in doubt.
async fn runs(harness: Harness) -> Result<Vec<Outcome>, RunError> {
    let result = harness.clone().run().await?;
    println!("{}", result.summary());
    let Some(again) = unproven(&result).and_then(|scenarios| harness.once_more(scenarios)) else {
        return Ok(outcomes(&result));
    };
    println!("\nNothing failed: what was not proven is tried once more, as a run of its own.\n");
    let second = again.run().await?;
    println!("{}", second.summary());
    let proven = outcomes(&result).into_iter().filter(|outcome| *outcome == Outcome::Pass);
    Ok(proven.chain(outcomes(&second)).collect())
}

fn outcomes(result: &RunResult) -> Vec<Outcome> {
    let scenarios = result.saved.verdict.scenarios.iter().map(|scenario| scenario.outcome);
    let of_all: Vec<Outcome> = scenarios.collect();
    let is_told = of_all.iter().any(|outcome| *outcome != Outcome::Pass);
    let of_run = (!result.passed() && !is_told).then(|| result.outcome());
    of_all.into_iter().chain(of_run).collect()
}

/// The scenarios that proved nothing, as `FILE:LINE`, if nothing failed and the run came to its end.
fn unproven(result: &RunResult) -> Option<Vec<String>> {
    let is_whole = result.interrupted.is_none() && result.outcome() == Outcome::Inconclusive;
    let found = places(&result.saved.verdict.scenarios);
    (is_whole && !found.is_empty()).then_some(found)
}

/// Where the scenarios stand that proved nothing; a scenario with several trials once.
fn places(scenarios: &[ScenarioVerdict]) -> Vec<String> {
    let unproven = scenarios.iter().filter(|scenario| scenario.outcome == Outcome::Inconclusive);
    let started = unproven.filter_map(|scenario| scenario.scenario.as_ref());
    let mut found: Vec<String> = started.map(|started| format!("{}:{}", started.file, started.line)).collect();
    found.dedup();
    found
}

fn list(harness: &Harness) -> ExitCode {
    match harness.list() {
        Ok(scenarios) => {
            for scenario in scenarios {
                println!("{}: test", scenario.started.name);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{:?}", miette::Report::new(error));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> TestArguments {
        TestArguments::read(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn arguments_of_libtest_do_no_harm() {
        assert_eq!(read(&["--nocapture", "--test-threads", "1", "-q"]), TestArguments::default());
        assert_eq!(read(&["--skip", "this", "primary"]).names, ["primary"]);
        assert!(read(&["--list", "--format", "terse"]).list);
    }

    #[test]
    fn what_proved_nothing_is_tried_once_more_where_that_was_asked_for() {
        let scenario = |line: u32, outcome: &str| -> ScenarioVerdict {
            let started = serde_json::json!({ "feature": "F", "name": "N", "file": "a.feature", "line": line, "tags": [],
                "claims": [], "control": null, "trial": 1, "trials": 2 });
            let verdict = serde_json::json!({ "number": 1, "scenario": started, "topology": "t", "outcome": outcome,
                "worst_finding": outcome, "control": null, "findings": [], "failovers": [] });
            serde_json::from_value(verdict).unwrap()
        };
        let two_of_three = [scenario(4, "inconclusive"), scenario(4, "inconclusive"), scenario(9, "pass")];
        assert_eq!(places(&two_of_three), ["a.feature:4"]);
        assert!(places(&[scenario(4, "fail"), scenario(9, "pass")]).is_empty());
        let harness = Harness::new().tags("@quick").names(["one".to_owned()]);
        assert!(harness.once_more(["a.feature:4".to_owned()]).is_none());
        let again = harness.again_if_unproven(true).once_more(["a.feature:4".to_owned()]).unwrap();
        assert!(again.once_more(["a.feature:4".to_owned()]).is_none(), "once");
    }
}

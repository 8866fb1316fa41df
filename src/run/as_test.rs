//! A run as a target of `cargo test`: its arguments, its list, its closing line.

use std::process::ExitCode;

use super::{FeatureError, Harness, RunError};
use crate::checks::Outcome;

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
        match runtime.block_on(harness.run()) {
            Ok(result) => {
                println!("{}", result.summary());
                let scenarios = &result.saved.verdict.scenarios;
                let passed = scenarios.iter().filter(|scenario| scenario.outcome == Outcome::Pass).count();
                let failed = scenarios.len() - passed;
                let word = if result.passed() { "ok" } else { "FAILED" };
                println!(
                    "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out\n"
                );
                if result.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(error) => {
                eprintln!("{:?}", miette::Report::new(error));
                ExitCode::FAILURE
            }
        }
    }
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
}

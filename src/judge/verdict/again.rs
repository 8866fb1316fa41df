//! Trials that were begun again, because the machine was starved before their fault.
//!
//! Only a trial of which nothing can be known may be left out: no fault had been injected in it, and the harness's own
//! timers show that the machine was starved. Whoever leaves out another one chooses among results.

use serde::{Deserialize, Serialize};

use super::ScenarioVerdict;
use crate::{
    checks::course::grouping::TIMER_LATE_US,
    history::{Event, Occurrence},
};

/// A trial that was ended before its fault and begun again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BegunAgain {
    /// Its number in the history.
    pub scenario: u32,
    /// The number under which it was begun again.
    pub again: u32,
    /// The scenario's name.
    pub name: String,
    pub trial: u32,
    /// How late the harness's own timers fired.
    pub late_ms: f64,
}

/// How late the harness's timers fired, in microseconds, if the scenario was starved before any fault was injected.
pub(super) fn starved_before_fault(events: &[Event]) -> Option<u64> {
    let is_injected = events.iter().any(|event| matches!(event.what, Occurrence::FaultInjecting(_)));
    let ended = events.iter().find_map(|event| match event.what {
        Occurrence::StarvedBeforeFault { late_us } => Some(late_us),
        _ => None,
    });
    let shown =
        events.iter().any(|event| matches!(event.what, Occurrence::TimerLate { late_us } if late_us > TIMER_LATE_US));
    ended.filter(|_| !is_injected && shown)
}

/// Takes the trials that were begun again out of the scenarios. Where that was not allowed both stay, and a doubt says so.
pub(super) fn take_out(scenarios: &mut Vec<ScenarioVerdict>) -> (Vec<BegunAgain>, Vec<String>) {
    let (mut begun_again, mut doubts) = (Vec::new(), Vec::new());
    let repeats: Vec<(u32, u32)> = scenarios
        .iter()
        .filter_map(|verdict| Some((verdict.scenario.as_ref()?.begins_again?, verdict.number)))
        .collect();
    for (number, again) in repeats {
        let Some(place) = scenarios.iter().position(|verdict| verdict.number == number) else {
            doubts.push(format!("scenario {again} begins scenario {number} again, which is not there"));
            continue;
        };
        let verdict = &scenarios[place];
        match (verdict.starved_before_fault_us, &verdict.scenario) {
            (Some(late_us), Some(scenario)) => {
                let (name, trial) = (scenario.name.clone(), scenario.trial);
                begun_again.push(BegunAgain { scenario: number, again, name, trial, late_ms: late_us as f64 / 1e3 });
                scenarios.remove(place);
            }
            _ => doubts.push(format!(
                "scenario {number} was begun again as {again}, and nothing shows that it was starved before its fault"
            )),
        }
    }
    (begun_again, doubts)
}

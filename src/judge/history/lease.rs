//! How a trial's first fault meets the lease of the leader key.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A cell: one part of all ways in which a fault can meet the lease. Trials of one scenario share the cells out, each as
/// likely as any other, so that their outages are spread as evenly as those of all possible faults are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// The member that leads the DCS when the fault comes; `None`: there is no choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dcs_leader: Option<String>,
    /// How much of the agent's loop has passed since the lease was refreshed: this share of it at least …
    pub phase_from: f64,
    /// … and less than this. From 0 to 1.
    pub phase_to: f64,
    /// The share that was drawn between the two.
    pub phase: f64,
}

impl Cell {
    /// The cell in a sentence without its full stop: `the DCS is led by node2, and 41 % of the agent's loop have passed since
    /// the lease was refreshed (a cell from 33 to 67 %)`.
    pub fn in_words(&self) -> String {
        let percent = |share: f64| format!("{:.0}", share * 100.0);
        let led = self.dcs_leader.as_ref().map(|member| format!("the DCS is led by {member}, and "));
        let whole = self.phase_from <= 0.0 && self.phase_to >= 1.0;
        let (from, to) = (percent(self.phase_from), percent(self.phase_to));
        let cell = if whole { String::new() } else { format!(" (a cell from {from} to {to} %)") };
        let phase = percent(self.phase);
        let led = led.unwrap_or_default();
        format!("{led}{phase} % of the agent's loop have passed since the lease was refreshed{cell}")
    }
}

/// A circumstance in which a fault costs clients the most time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worst {
    /// The fault's host leads the DCS: a new DCS leader is elected first, and grants the lease its whole time again.
    TogetherWithDcsLeader,
    /// The lease has its whole time before it.
    JustAfterRefresh,
}

impl Worst {
    /// Every one, in the order in which a step may name them.
    pub const ALL: [Worst; 2] = [Worst::TogetherWithDcsLeader, Worst::JustAfterRefresh];

    /// How a step says it, behind its other words.
    pub fn words(self) -> &'static str {
        match self {
            Worst::TogetherWithDcsLeader => "together with the DCS leader",
            Worst::JustAfterRefresh => "just after the lease was refreshed",
        }
    }

    /// What a step asks for with it, in a sentence.
    pub fn help(self) -> &'static str {
        match self {
            Worst::TogetherWithDcsLeader => {
                "behind a step that injects a fault: its host is made the leader of the DCS first"
            }
            Worst::JustAfterRefresh => {
                "behind a step that injects a fault: it waits until the agent has refreshed the leader's lease, and strikes \
                 at once"
            }
        }
    }

    /// Those that stand at the end of a step.
    pub fn at_the_end_of(step: &str) -> BTreeSet<Self> {
        let mut rest = step.trim_end();
        let mut found = BTreeSet::new();
        for worst in Self::ALL.into_iter().rev() {
            if let Some(before) = rest.strip_suffix(worst.words()) {
                found.insert(worst);
                rest = before.trim_end();
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_says_at_its_end_is_read_in_its_order() {
        let read = |step: &str| Worst::at_the_end_of(step).into_iter().collect::<Vec<_>>();
        assert_eq!(read("the host of the primary dies"), []);
        assert_eq!(read("the host of node1 dies just after the lease was refreshed"), [Worst::JustAfterRefresh]);
        assert_eq!(read("the host of node1 dies together with the DCS leader"), [Worst::TogetherWithDcsLeader]);
        let both = "the host of node1 dies together with the DCS leader just after the lease was refreshed";
        assert_eq!(read(both), Worst::ALL);
        assert_eq!(read("just after the lease was refreshed the host of node1 dies"), []);
    }

    #[test]
    fn a_cell_is_told_as_a_person_reads_it() {
        let cell = Cell { dcs_leader: Some("node2".to_owned()), phase_from: 0.0, phase_to: 1.0 / 3.0, phase: 0.125 };
        let told = "the DCS is led by node2, and 12 % of the agent's loop have passed since the lease was refreshed \
                    (a cell from 0 to 33 %)";
        assert_eq!(cell.in_words(), told);
        let alone = Cell { dcs_leader: None, phase_from: 0.0, phase_to: 1.0, phase: 0.5 };
        assert_eq!(alone.in_words(), "50 % of the agent's loop have passed since the lease was refreshed");
    }
}

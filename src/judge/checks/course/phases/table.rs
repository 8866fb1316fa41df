//! The phases of an outage: steps, columns of reports and texts are made of this table.

use serde::{Deserialize, Serialize};

/// What is known of a phase beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseRow {
    pub phase: PhaseName,
    /// Its name in reports, and in steps.
    pub name: &'static str,
    /// The name of its measure.
    pub measure: &'static str,
    /// What it begins and ends with, in words.
    pub from: &'static str,
    pub to: &'static str,
}

/// Makes the enum and the table of one list.
macro_rules! phases {
    ($($(#[$about:meta])* $phase:ident: $name:literal, $measure:literal, $from:literal to $to:literal;)*) => {
        /// The phases, each from the end of the one before.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum PhaseName { $($(#[$about])* $phase),* }

        /// Every phase, in the order in which they can come.
        pub const PHASES: &[PhaseRow] = &[$(PhaseRow {
            phase: PhaseName::$phase,
            name: $name,
            measure: $measure,
            from: $from,
            to: $to,
        }),*];
    };
}

phases! {
    /// Until the leader key is gone, as the earliest member of the DCS reports it, at a revision after the fault.
    Detect: "detect", "detect_ms", "fault" to "leader key gone";
    /// Until the node holds the leader key that will acknowledge the recovering write.
    Elect: "elect", "elect_ms", "key gone" to "held by another member";
    /// By a runbook: until the loss of a cluster is confirmed, and decided to promote another one.
    Decide: "decide", "decide_ms", "fault" to "decided to promote another cluster";
    /// By a runbook: whatever is done before the promotion.
    Prepare: "prepare", "prepare_ms", "decided, or clients stopped" to "promotion ordered";
    /// Until the new primary acknowledges a write directly (at its own port, or on a writer's session). By a runbook: until
    /// it was seen to accept writes.
    Promote: "promote", "promote_ms", "key held, or promotion ordered" to "direct write on the new primary";
    /// In place of the others up to here, when the key never changed hands: until the same node writes directly again.
    Restart: "restart", "restart_ms", "fault" to "direct write on the same node";
    /// By a runbook: until clients were pointed at the promoted cluster.
    Repoint: "repoint", "repoint_ms", "promoted" to "clients are pointed at the cluster";
    /// By a runbook: until the first client tried there.
    Resolve: "resolve", "resolve_ms", "pointed at the cluster" to "the first client tries there";
    /// Until the last of the pools that writes go through is seen to lead to the new primary, where they go through pools that
    /// lead to nodes of a role.
    RepointPools: "repoint pools", "repoint_pools_ms", "direct write" to "every write pool leads to the new primary";
    /// Until the balancer has the server of this node UP.
    Route: "route", "route_ms", "direct write" to "balancer has the server up";
    /// Until the balancer has the server of the old primary DOWN, if that came last: it sends clients to both. Only where
    /// that took time.
    MarkDown: "mark down", "mark_down_ms", "server up" to "the old primary's server DOWN";
    /// Until the client's recovery (see [`crate::checks::course::outage`]).
    FirstWrite: "first write", "first_write_ms", "server up" to "the client's first write";
}

impl PhaseName {
    /// Its row: the table has them in the order of the enum.
    pub const fn row(self) -> &'static PhaseRow {
        &PHASES[self as usize]
    }

    /// The name in reports, and in steps.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The name of its measure.
    pub const fn measure(self) -> &'static str {
        self.row().measure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_its_own_row_and_name() {
        for (index, row) in PHASES.iter().enumerate() {
            assert_eq!(row.phase as usize, index);
            assert_eq!(PHASES.iter().filter(|other| other.name == row.name || other.measure == row.measure).count(), 1);
        }
    }
}

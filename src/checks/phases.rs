//! The client's outage after a fault, cut into the phases of a failover.

use serde::{Deserialize, Serialize};

use crate::plan::Span;

/// One outage of the `write` endpoint, as fresh clients saw it, and what the cluster did meanwhile.
///
/// Times are microseconds on the run's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failover {
    /// The faults that it follows. More than one when a fault struck before the outage of another had ended.
    pub faults: Vec<u32>,
    /// The fault surely had not taken effect before this instant …
    pub effect_from_us: u64,
    /// … and surely had at this one.
    pub effect_to_us: u64,
    /// When the outage began for clients: see `checks::outage`. Equal to `recovered_us` if there was none.
    pub outage_from_us: u64,
    /// The first acknowledged write of the following uninterrupted run; `None`: it never came.
    pub recovered_us: Option<u64>,
    /// Until when clients tried.
    pub watched_until_us: u64,
    pub course: Course,
    /// The primary when the fault was injected.
    pub old_primary: Option<String>,
    /// The node that acknowledged the first write after the outage.
    pub new_primary: Option<String>,
    /// The raft leader of the DCS was hit by the fault too: its successor grants the lease its full time again.
    pub dcs_leader_lost: bool,
    /// In the order of time, without gaps: they add up to the outage. Empty if there was no outage, or no end of it.
    pub phases: Vec<Phase>,
    /// What the settings predict for the whole outage, where they predict something.
    pub predicted: Option<Span>,
    /// `seq` of the events that show it.
    pub evidence: Vec<u64>,
}

/// How the cluster got its primary back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// No fresh attempt failed or stalled.
    NoOutage,
    /// Another member took the leader key over.
    Failover,
    /// The leader key stayed: the same node accepted writes again.
    RestartInPlace,
    /// Writes did not come back while clients tried.
    NotRecovered,
}

/// The phases, each from the end of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// Fault to leader key gone.
    Detect,
    /// Leader key gone to leader key held by another member.
    Elect,
    /// Leader key held to a write on the new primary.
    Promote,
    /// Fault to a write on the same node, when PostgreSQL was restarted in place of a failover.
    Restart,
    /// A write is possible on the node to the proxy's server UP.
    Route,
    /// The proxy's server is UP to the first acknowledged write of the client.
    FirstWrite,
}

/// A phase of an outage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    pub name: PhaseName,
    pub from_us: u64,
    pub to_us: u64,
    pub predicted: Option<Span>,
    /// Whether its end was seen. If not, the phase is empty and its time belongs to the next one.
    pub seen: bool,
}

impl PhaseName {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            PhaseName::Detect => "detect",
            PhaseName::Elect => "elect",
            PhaseName::Promote => "promote",
            PhaseName::Restart => "restart",
            PhaseName::Route => "route",
            PhaseName::FirstWrite => "first write",
        }
    }

    /// The name of its measure.
    pub fn measure(self) -> &'static str {
        match self {
            PhaseName::Detect => "detect_ms",
            PhaseName::Elect => "elect_ms",
            PhaseName::Promote => "promote_ms",
            PhaseName::Restart => "restart_ms",
            PhaseName::Route => "route_ms",
            PhaseName::FirstWrite => "first_write_ms",
        }
    }
}

impl Phase {
    pub fn duration_ms(&self) -> f64 {
        milliseconds(self.to_us.saturating_sub(self.from_us))
    }
}

impl Failover {
    /// How long fresh clients could not write; `None` if they never could again.
    pub fn outage_ms(&self) -> Option<f64> {
        self.recovered_us.map(|recovered_us| milliseconds(recovered_us.saturating_sub(self.outage_from_us)))
    }
}

/// Microseconds as milliseconds.
pub(crate) fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}

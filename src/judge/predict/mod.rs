//! What settings predict for the loss of the primary's host: how long clients can't write, as a distribution.
//!
//! The outage is the sum of the phases that a drill measures. Chance decides two of them: the lease, of which the loss meets
//! any part as likely as any other, and the member that leads the DCS, which is lost with the host or is not. Spans come from
//! the rows of the services, as the plan's do. What no setting decides, the election and the promotion, is taken from
//! measurements. A balancer that goes on leading clients to the dead node for longer than that holds them up until it ends.
//!
//! Architecture invariant: pure. A prediction says that it is one, and is no verdict.

mod distribution;
mod drawing;
mod words;

use serde::Serialize;

pub use distribution::Distribution;
pub use drawing::svg;
pub use words::text;

use crate::{
    checks::course::phases::{Course, PhaseName},
    claims::Claims,
    history::event::Bound,
    plan::{FailoverParts, Plan},
    span::Span,
    verdict::RunVerdict,
};

/// What ten trials of the default drill took to elect and to promote (`reports/example`), in milliseconds.
const MEASURED: [(f64, f64); 10] = [
    (2125.0, 100.0),
    (2102.0, 104.0),
    (2105.0, 104.0),
    (1837.0, 92.0),
    (2109.0, 106.0),
    (2100.0, 117.0),
    (1559.0, 112.0),
    (2102.0, 109.0),
    (2102.0, 100.0),
    (2103.0, 114.0),
];

/// Nothing can be predicted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PredictError {
    /// An operator promotes, in his own time.
    #[error("no agent keeps the nodes of {0}, so an operator promotes one, and nothing predicts his time")]
    ByHand(String),
    /// The rest of the DCS can't elect a leader.
    #[error(
        "with the host of {primary} its DCS loses its quorum ({left} of {members} members are left), so nobody takes over"
    )]
    NoQuorum {
        /// The primary.
        primary: String,
        /// Members that are left.
        left: usize,
        /// Members of the DCS.
        members: usize,
    },
    /// No other node can take over.
    #[error("{0} is the only node of its cluster, so nobody takes over")]
    Alone(String),
    /// A run has no failover whose rest could be taken.
    #[error("the run {0} has no failover of which election and promotion were seen")]
    NothingMeasured(String),
}

/// What no setting decides, as it was measured: election and promotion together, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rest {
    /// Where it was measured.
    pub source: String,
    pub each_ms: Vec<f64>,
}

impl Rest {
    /// As ten trials of the default drill measured it.
    pub fn of_the_example() -> Self {
        let each_ms = MEASURED.iter().map(|(elect, promote)| elect + promote).collect();
        Self { source: "10 trials of the default drill (reports/example)".to_owned(), each_ms }
    }

    /// As the failovers of a run measured it.
    ///
    /// # Errors
    /// The run has none of which both phases were seen.
    pub fn of_a_run(name: &str, verdict: &RunVerdict) -> Result<Self, PredictError> {
        let failovers = verdict.scenarios.iter().flat_map(|scenario| &scenario.failovers);
        let rest = failovers.filter(|failover| failover.course == Course::Failover).filter_map(|failover| {
            let seen = |name: PhaseName| {
                let own = failover.phases.iter().find(|phase| phase.name == name && phase.seen);
                own.map(|phase| phase.duration_ms())
            };
            Some(seen(PhaseName::Elect)? + seen(PhaseName::Promote)?)
        });
        let each_ms: Vec<f64> = rest.collect();
        if each_ms.is_empty() {
            return Err(PredictError::NothingMeasured(name.to_owned()));
        }
        let failovers =
            if each_ms.len() == 1 { "one failover".to_owned() } else { format!("{} failovers", each_ms.len()) };
        Ok(Self { source: format!("{failovers} of the run {name}"), each_ms })
    }
}

/// What the settings of a topology predict for the loss of the primary's host.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    pub topology: String,
    pub parts: FailoverParts,
    pub mark_down: Option<Span>,
    pub rest: Rest,
    /// The probability that the leader of the DCS is lost with the host, each member leading as likely as any other.
    pub dcs_leader_lost: f64,
    pub outage: Distribution,
    /// While the DCS keeps its leader.
    pub with_dcs_leader: Distribution,
    /// When it loses it, if it can.
    pub without_dcs_leader: Option<Distribution>,
    /// The targets of the topology's claims that bound the outage, in milliseconds, and how likely each is missed.
    pub targets: Vec<Target>,
}

/// A claim's bound of the outage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Target {
    pub claim: String,
    pub most_ms: f64,
    /// The share of failovers that miss it.
    pub missed: f64,
}

impl Prediction {
    /// What the settings of a plan predict, for the cluster that leads.
    ///
    /// # Errors
    /// Nobody takes over, or an operator does.
    pub fn of(plan: &Plan, rest: Rest, claims: &Claims) -> Result<Self, PredictError> {
        let by_hand = || PredictError::ByHand(plan.topology.name.clone());
        let cluster = plan.leading().next().ok_or_else(by_hand)?;
        let parts = FailoverParts::of(plan, cluster).filter(|_| plan.fails_over_by_itself()).ok_or_else(by_hand)?;
        let primary = cluster.nodes.first().ok_or_else(by_hand)?.clone();
        if cluster.nodes.len() < 2 {
            return Err(PredictError::Alone(primary));
        }
        let members = cluster.dcs.len();
        let is_member = cluster.dcs.contains(&primary);
        if is_member && 2 * (members - 1) <= members {
            return Err(PredictError::NoQuorum { primary, left: members - 1, members });
        }
        let mark_down = plan.predicted_mark_down_of_silent(cluster);
        let most_ms = plan.predicted.outage(true).most_ms + mark_down.map_or(0, |span| span.most_ms) + longest(&rest);
        let outage = |spans: &[Span]| {
            let begun = Distribution::of_no_time(most_ms);
            let detected = spans.iter().fold(begun, |so_far, span| so_far.and_then(*span));
            let routed = detected.and_then_one_of(&rest.each_ms).and_then(parts.route);
            mark_down.map_or(routed.clone(), |span| routed.or_later(span))
        };
        let with_dcs_leader = outage(&[parts.lease, parts.expiry]);
        let without_dcs_leader = is_member.then(|| outage(&[parts.whole_lease, parts.expiry_with_loss]));
        let lost = if is_member { 1.0 / members as f64 } else { 0.0 };
        let ways = [(1.0 - lost, Some(&with_dcs_leader)), (lost, without_dcs_leader.as_ref())];
        let outage = Distribution::any_of(ways.into_iter().filter_map(|(likely, way)| Some((likely, way?.clone()))));
        let targets = targets(plan, claims, &outage);
        let topology = plan.topology.name.clone();
        Ok(Self {
            topology,
            parts,
            mark_down,
            rest,
            dcs_leader_lost: lost,
            outage,
            with_dcs_leader,
            without_dcs_leader,
            targets,
        })
    }
}

fn longest(rest: &Rest) -> u64 {
    rest.each_ms.iter().fold(0.0, |most: f64, own| most.max(*own)).ceil() as u64
}

/// The bounds of the outage that the topology's claims state, the smallest first.
fn targets(plan: &Plan, claims: &Claims, outage: &Distribution) -> Vec<Target> {
    let bound = |id: &String| {
        let claim = claims.find(id)?;
        let target = claim.target.as_ref().filter(|target| target.measure == "write_outage_ms")?;
        match target.bound {
            Bound::AtMost(most_ms) | Bound::Between(_, most_ms) => {
                Some(Target { claim: id.clone(), most_ms, missed: outage.beyond(most_ms) })
            }
            Bound::AtLeast(_) | Bound::Exactly(_) => None,
        }
    };
    let mut targets: Vec<Target> = plan.topology.claims.iter().filter_map(bound).collect();
    targets.sort_by(|one, other| one.most_ms.total_cmp(&other.most_ms));
    targets
}

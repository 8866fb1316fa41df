//! When a cluster follows another one. If the plan has it so, from the beginning until a runbook orders its promotion. If a
//! runbook told it to, from when a node of it streams from outside the cluster. As long as it follows, it accepts no write.

use crate::{
    history::{
        Event, Occurrence,
        event::{NodeState, Role, RunbookStep},
    },
    plan::Plan,
    topology::Cluster,
};

/// A time in which a cluster follows another one.
#[derive(Debug, Clone, Copy)]
pub struct Following<'a> {
    pub cluster: &'a Cluster,
    pub from_us: u64,
    /// When its promotion was ordered; `None`: it follows to the end.
    pub until_us: Option<u64>,
    /// It follows as the plan says, and not because a runbook made it.
    pub by_plan: bool,
}

impl Following<'_> {
    /// Whether it follows at this instant.
    pub fn contains(&self, at_us: u64) -> bool {
        self.from_us <= at_us && self.until_us.is_none_or(|until_us| at_us < until_us)
    }
}

/// Every such time, by cluster.
pub fn spans<'a>(plan: &'a Plan, events: &[Event]) -> Vec<Following<'a>> {
    plan.clusters.iter().flat_map(|cluster| spans_of(cluster, events)).collect()
}

fn spans_of<'a>(cluster: &'a Cluster, events: &[Event]) -> Vec<Following<'a>> {
    let mut found = Vec::new();
    let mut open = cluster.follows.is_some().then_some((0, true));
    // It was told to, and does not yet.
    let mut is_told = false;
    for event in events {
        match &event.what {
            Occurrence::Runbook { step, cluster: of, .. } if *of == cluster.name => match step {
                RunbookStep::PromotionOrdered | RunbookStep::Promoted => {
                    let until_us = Some(event.at_us);
                    let ended = open.take().map(|(from_us, by_plan)| Following { cluster, from_us, until_us, by_plan });
                    found.extend(ended);
                    is_told = false;
                }
                RunbookStep::FollowOrdered => is_told = open.is_none(),
                _ => {}
            },
            Occurrence::NodeState(state) if is_told && streams_from_outside(state, cluster) => {
                open = Some((event.at_us, false));
                is_told = false;
            }
            _ => {}
        }
    }
    found.extend(open.map(|(from_us, by_plan)| Following { cluster, from_us, until_us: None, by_plan }));
    found
}

/// Whether a node was seen as a standby that gets its WAL from outside its cluster: as its standby leader. Where the plan has
/// it come from an archive alone, that is one that streams from nobody.
pub fn gets_wal_from_outside(state: &NodeState, cluster: &Cluster, by_plan: bool) -> bool {
    streams_from_outside(state, cluster)
        || (by_plan && cluster.is_shipped() && cluster.nodes.contains(&state.node) && state.takes_from_an_archive())
}

/// Whether a node was seen as a standby that streams from outside its cluster.
pub fn streams_from_outside(state: &NodeState, cluster: &Cluster) -> bool {
    let is_own = |node: &str| cluster.nodes.iter().any(|own| own == node);
    let source = state.streaming_from.as_deref();
    is_own(&state.node) && state.role == Some(Role::Standby) && source.is_some_and(|source| !is_own(source))
}

/// Whether a cluster follows another one at this instant.
pub fn follows(spans: &[Following<'_>], cluster: &str, at_us: u64) -> bool {
    spans.iter().any(|span| span.cluster.name == cluster && span.contains(at_us))
}

//! When a cluster follows another one: from the beginning, if the plan has it so, until a runbook orders its promotion; and
//! from its rebuilding by a runbook on. As long as it follows, it accepts no write.

use crate::{
    history::{Event, Occurrence, event::RunbookStep},
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
    let mut found = Vec::new();
    for cluster in &plan.clusters {
        let mut open = cluster.follows.is_some().then_some((0, true));
        for event in events {
            let Occurrence::Runbook { step, cluster: of, .. } = &event.what else { continue };
            if *of != cluster.name {
                continue;
            }
            match step {
                RunbookStep::PromotionOrdered | RunbookStep::Promoted => {
                    let until_us = Some(event.at_us);
                    let ended = open.take().map(|(from_us, by_plan)| Following { cluster, from_us, until_us, by_plan });
                    found.extend(ended);
                }
                RunbookStep::Rebuilt => open = open.or(Some((event.at_us, false))),
                _ => {}
            }
        }
        found.extend(open.map(|(from_us, by_plan)| Following { cluster, from_us, until_us: None, by_plan }));
    }
    found
}

/// Whether a cluster follows another one at this instant.
pub fn follows(spans: &[Following<'_>], cluster: &str, at_us: u64) -> bool {
    spans.iter().any(|span| span.cluster.name == cluster && span.contains(at_us))
}

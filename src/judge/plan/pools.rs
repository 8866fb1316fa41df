//! Poolers: those of nodes, and pools that lead to the nodes of a role.

use super::{Plan, PlannedEndpoint, PlannedService};
use crate::{
    services::{PoolAt, PoolOf, Serves, service},
    topology::NamedEndpoint,
};

/// A pooler of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedPooler<'a> {
    /// What observers and reports call it: its own name, or else its host's.
    pub called: &'a str,
    pub host: &'a str,
    /// Where clients reach it.
    pub port: u16,
    /// Whom it leads to; `None`: the node of its host.
    pub leads_to: Option<PoolOf>,
    /// Whether the agent of a node that becomes primary points it there.
    pub is_repointed: bool,
}

impl Plan {
    /// Every pooler.
    pub fn poolers(&self) -> impl Iterator<Item = PlannedPooler<'_>> {
        let pooler = |planned: &'_ PlannedService| {
            let (row, settings) = (service(planned.kind).pooler()?, self.settings_for(planned));
            Some(((row.port)(&settings), (row.leads_to)(&settings), (row.is_repointed)(&settings)))
        };
        self.services.iter().filter_map(move |planned| {
            let (port, leads_to, is_repointed) = pooler(planned)?;
            Some(PlannedPooler { called: planned.called(), host: &planned.host, port, leads_to, is_repointed })
        })
    }

    /// The pools behind an endpoint that lead to the nodes of a role; none where its clients are led to nodes.
    pub fn pools_behind<'a>(&'a self, endpoint: &PlannedEndpoint) -> Vec<PlannedPooler<'a>> {
        if endpoint.pooled { self.pools_for(endpoint.serves) } else { Vec::new() }
    }

    fn pools_for(&self, serves: Serves) -> Vec<PlannedPooler<'_>> {
        let of = match serves {
            Serves::Primary => PoolOf::Primary,
            Serves::Standbys => PoolOf::Standbys,
            Serves::Leader | Serves::Node => return Vec::new(),
        };
        self.poolers().filter(|pooler| pooler.leads_to == Some(of)).collect()
    }

    /// The same pools, as a balancer leads clients to them.
    pub(super) fn pools_led_to(&self, endpoint: &NamedEndpoint) -> Vec<PoolAt<'_>> {
        let pools = if endpoint.pooled { self.pools_for(endpoint.serves) } else { Vec::new() };
        pools.into_iter().filter_map(PlannedPooler::at).collect()
    }

    /// The pools that agents point at the primary; where there are several clusters, there are none.
    pub(super) fn pools_repointed(&self) -> Vec<PoolAt<'_>> {
        self.poolers().filter(|pooler| pooler.is_repointed).filter_map(PlannedPooler::at).collect()
    }
}

impl<'a> PlannedPooler<'a> {
    fn at(self) -> Option<PoolAt<'a>> {
        Some(PoolAt { called: self.called, host: self.host, port: self.port, of: self.leads_to? })
    }
}

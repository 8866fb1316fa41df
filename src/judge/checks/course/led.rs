//! Where global names lead clients.

use crate::{
    plan::Plan,
    topology::{Cluster, Serves},
};

/// The cluster to whose primary clients come that are led to a host; `None`: to none, or to several.
pub fn cluster_behind<'a>(plan: &'a Plan, host: &str) -> Option<&'a Cluster> {
    let there = plan.endpoints.iter().filter(|endpoint| endpoint.at.host == host && endpoint.serves == Serves::Primary);
    let mut clusters = there.filter_map(|endpoint| endpoint.of.as_deref());
    let first = clusters.next()?;
    clusters.all(|other| other == first).then(|| plan.cluster(first))?
}

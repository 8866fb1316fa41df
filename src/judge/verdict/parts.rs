//! The parts of a plan for which checks are run one by one: lineages and clusters.

use crate::{
    checks::{Evidence, Over},
    plan::Plan,
    topology::Cluster,
};

/// The plans of the parts, by name. There are none where the plan has one of a kind: then the whole plan is the part.
pub(super) struct Parts {
    lineages: Vec<(String, Plan)>,
    clusters: Vec<(String, Plan)>,
}

impl Parts {
    pub(super) fn of(plan: &Plan) -> Self {
        let named = |clusters: &[&Cluster]| (plan.lineage_of(clusters[0]).name.clone(), plan.part(clusters));
        let mut lineages: Vec<_> = plan.lineages().iter().map(|clusters| named(clusters)).collect();
        let mut clusters: Vec<_> =
            plan.clusters.iter().map(|cluster| (cluster.name.clone(), plan.part(&[cluster]))).collect();
        for parts in [&mut lineages, &mut clusters] {
            if parts.len() < 2 {
                parts.clear();
            }
        }
        Self { lineages, clusters }
    }
}

/// The evidence of each part.
pub(super) struct Views<'a> {
    whole: Evidence<'a>,
    lineages: Vec<(&'a str, Evidence<'a>)>,
    clusters: Vec<(&'a str, Evidence<'a>)>,
}

impl<'a> Views<'a> {
    pub(super) fn new(parts: &'a Parts, whole: Evidence<'a>) -> Self {
        let views = |parts: &'a [(String, Plan)]| {
            parts.iter().map(|(name, plan)| (name.as_str(), whole.narrowed_to(plan))).collect()
        };
        let (lineages, clusters) = (views(&parts.lineages), views(&parts.clusters));
        Self { whole, lineages, clusters }
    }

    pub(super) fn whole(&self) -> &Evidence<'a> {
        &self.whole
    }

    /// Each part that a check is run for, with its name where there are several.
    pub(super) fn over(&self, over: Over) -> impl Iterator<Item = (Option<&'a str>, &Evidence<'a>)> {
        let parts = match over {
            Over::Scenario => &[][..],
            Over::Lineage => &self.lineages,
            Over::Cluster => &self.clusters,
        };
        let whole = parts.is_empty().then_some((None, &self.whole));
        whole.into_iter().chain(parts.iter().map(|(name, evidence)| (Some(*name), evidence)))
    }

    pub(super) fn of_lineages(&self) -> impl Iterator<Item = &Evidence<'a>> {
        self.over(Over::Lineage).map(|(_, evidence)| evidence)
    }
}

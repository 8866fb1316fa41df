//! Did each cluster's DCS name none but its own nodes as the leader?
//!
//! Where several clusters have one scope name, each in a DCS of its own, one that wrote to the DCS of another would overwrite
//! its leader key. Every holder of a cluster's key that a member of its DCS reported, from the beginning to the end and however
//! late, is a node of that cluster, or it is a failure. A key that no member of its DCS reported is in doubt.
//!
//! It says nothing where fewer than two clusters have a DCS.

use std::collections::BTreeSet;

use super::{Check, Evidence, Finding, Measure, Outcome, Over, SHOWN_EVENTS};
use crate::{history::Occurrence, topology::Cluster};

const NAME: &str = "dcs_isolation";
pub const FOREIGN_LEADERS: &str = "foreign_leaders";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did each cluster's DCS name none but its own nodes as the leader?",
    measures: &[FOREIGN_LEADERS],
    over: Over::Scenario,
    judge,
};

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let watched: Vec<_> = evidence.plan.clusters.iter().filter(|cluster| !cluster.dcs.is_empty()).collect();
    if watched.len() < 2 {
        let summary = "there are no two clusters with a DCS, so none could disturb another";
        let none = Finding::new(NAME, Outcome::Inconclusive, summary);
        return evidence.expectations(NAME).map(|own| none.clone().held_against(own)).collect();
    }
    let mut foreign: Vec<(u64, &str, &str)> = Vec::new();
    let mut untold: Vec<&str> = Vec::new();
    let mut scopes: BTreeSet<&str> = BTreeSet::new();
    for cluster in &watched {
        let reported = reported(evidence, cluster);
        if reported.is_empty() {
            untold.push(&cluster.name);
        }
        // Several members report one change.
        let mut seen: BTreeSet<(i64, &str)> = BTreeSet::new();
        for (seq, revision, holder) in reported {
            if !cluster.nodes.iter().any(|node| node == holder) && seen.insert((revision, holder)) {
                foreign.push((seq, cluster.name.as_str(), holder));
            }
        }
        scopes.insert(&cluster.scope);
    }
    let count = watched.len();
    let of_one_scope = if scopes.len() == 1 { ", all of one scope," } else { "" };
    let (outcome, summary) = match (foreign.first(), untold.first()) {
        (Some((_, cluster, holder)), _) => {
            (Outcome::Fail, format!("the leader key of {cluster} was held by {holder}, which is none of its nodes"))
        }
        (None, Some(cluster)) => (Outcome::Inconclusive, format!("nobody told who held the leader key of {cluster}")),
        (None, None) => {
            (Outcome::Pass, format!("{count} clusters{of_one_scope} had none but their own nodes as leaders"))
        }
    };
    let finding = Finding::new(NAME, outcome, summary)
        .with_measure(Measure::new(FOREIGN_LEADERS, foreign.len() as f64))
        .with_evidence(foreign.iter().map(|(seq, ..)| *seq).take(SHOWN_EVENTS));
    evidence.held(NAME, vec![finding], "")
}

/// Every holder of a cluster's leader key that a member of its DCS reported, with the event and its revision. One that lags
/// behind reports what the others may have passed over.
fn reported<'a>(evidence: &Evidence<'a>, cluster: &Cluster) -> Vec<(u64, i64, &'a str)> {
    let reported = evidence.events.iter().filter_map(|event| match &event.what {
        Occurrence::LeaderKey { member, holder: Some(holder), revision, cluster: of, .. }
            if of.as_deref() == Some(cluster.name.as_str()) && cluster.dcs.contains(member) =>
        {
            Some((event.seq, *revision, holder.as_str()))
        }
        _ => None,
    });
    reported.collect()
}

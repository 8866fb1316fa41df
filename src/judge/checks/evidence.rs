//! What a check may look at: a part of the plan, and the events of one scenario.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    Finding, Outcome,
    course::{
        phases::{self, Failover},
        primaries::{self, Sign},
        record::{self, FaultRecord, KeyChange, Tried},
        reigns::{self, Beside, Reign},
        watched::{dead_spans, forged_resets},
    },
};
use crate::{
    history::{
        Event,
        event::{Attempt, AttemptOutcome, Expectation, Occurrence, RunStarted, RunbookStep, ScenarioStarted},
    },
    plan::Plan,
    topology::{Cluster, Settings, WRITE},
};

/// What a check may look at: the plan and the events of one scenario, in the order of the clock.
///
/// What several checks need is worked out once, by the first that asks. Of a part of the plan, attempts and signs are
/// those of its own nodes and endpoints; events are all that the scenario has.
pub struct Evidence<'a> {
    /// The part that the check is about: a lineage, a cluster, or all of the scenario's plan.
    pub plan: &'a Plan,
    /// All of the scenario's plan.
    pub whole: &'a Plan,
    /// What the run says of itself; `None` if the history's beginning is missing.
    pub run: Option<&'a RunStarted>,
    pub events: &'a [Event],
    parsed: Rc<Parsed<'a>>,
    attempts: OnceCell<Vec<Tried<'a>>>,
    signs: OnceCell<Vec<Sign<'a>>>,
    reigns: OnceCell<Vec<Reign>>,
    failovers: OnceCell<Vec<Failover>>,
}

/// What is worked out of the events once, whichever part of the plan is looked at.
#[derive(Default)]
struct Parsed<'a> {
    attempts: OnceCell<Vec<Tried<'a>>>,
    faults: OnceCell<Vec<FaultRecord<'a>>>,
    /// The leader key of each cluster.
    leader_keys: OnceCell<BTreeMap<&'a str, Vec<KeyChange<'a>>>>,
    signs: OnceCell<Vec<Sign<'a>>>,
}

impl<'a> Evidence<'a> {
    /// All that the scenario has.
    pub fn new(plan: &'a Plan, run: Option<&'a RunStarted>, events: &'a [Event]) -> Self {
        Self::of(plan, plan, run, events, Rc::default())
    }

    /// The same, of which a part of the plan is looked at.
    pub fn narrowed_to(&self, part: &'a Plan) -> Self {
        Self::of(part, self.whole, self.run, self.events, Rc::clone(&self.parsed))
    }

    fn of(
        plan: &'a Plan,
        whole: &'a Plan,
        run: Option<&'a RunStarted>,
        events: &'a [Event],
        parsed: Rc<Parsed<'a>>,
    ) -> Self {
        let (attempts, signs) = (OnceCell::new(), OnceCell::new());
        let (reigns, failovers) = (OnceCell::new(), OnceCell::new());
        Self { plan, whole, run, events, parsed, attempts, signs, reigns, failovers }
    }

    /// Whether this is about a part of the plan alone.
    pub fn is_part(&self) -> bool {
        self.plan.clusters.len() < self.whole.clusters.len()
    }

    /// Every attempt of this part ([`Evidence::is_own`]), in the order in which they started.
    pub fn attempts(&self) -> &[Tried<'a>] {
        let all = self.parsed.attempts.get_or_init(|| record::attempts(self.events));
        if !self.is_part() {
            return all;
        }
        self.attempts.get_or_init(|| all.iter().filter(|tried| self.is_own(tried.attempt)).copied().collect())
    }

    /// Whether an attempt was made at an endpoint of this part, or answered by a node of it. What was tried at no endpoint, as by an
    /// application that knows the nodes, and that nobody answered may belong to any part.
    pub fn is_own(&self, attempt: &Attempt) -> bool {
        let of_answer = || match &attempt.outcome {
            AttemptOutcome::Acknowledged { node, .. } => self.plan.cluster_of(node).is_some(),
            AttemptOutcome::Refused { .. } | AttemptOutcome::Unknown { .. } => {
                self.whole.endpoint(&attempt.endpoint).is_none()
            }
        };
        !self.is_part() || self.plan.endpoint(&attempt.endpoint).is_some() || of_answer()
    }

    /// Every fault of the scenario, in the order of injection.
    pub fn faults(&self) -> &[FaultRecord<'a>] {
        self.parsed.faults.get_or_init(|| record::faults(self.events))
    }

    /// Whether a fault that took effect hit a host of this part. Where there is one part, each is its own.
    pub fn is_hit(&self) -> bool {
        let hit = |fault: &FaultRecord<'_>| self.plan.hosts().any(|host| fault.touches(host));
        !self.is_part() || self.faults().iter().filter(|fault| fault.effect.is_some()).any(hit)
    }

    /// The cluster of this part that accepts writes when the scenario begins.
    pub fn leading(&self) -> Option<&'a Cluster> {
        self.plan.leading().next().or(self.plan.clusters.first())
    }

    /// Its settings.
    pub fn settings(&self) -> &'a Settings {
        self.leading().map_or(&self.plan.topology.settings, |cluster| self.plan.settings_of(cluster))
    }

    /// The endpoint at which writes are measured.
    pub fn write_endpoint(&self) -> &'a str {
        self.plan.write_endpoint().map_or(WRITE, |endpoint| endpoint.name.as_str())
    }

    /// The history of the leader key of the cluster that accepts writes when the scenario begins.
    pub fn leader_key(&self) -> &[KeyChange<'a>] {
        self.leading().map_or(&[], |cluster| self.leader_key_of(&cluster.name))
    }

    /// The history of a cluster's leader key.
    pub fn leader_key_of(&self, cluster: &str) -> &[KeyChange<'a>] {
        let keys = self.parsed.leader_keys.get_or_init(|| {
            let of = |cluster: &'a Cluster| record::leader_key(self.events, Some(&cluster.name));
            self.whole.clusters.iter().map(|cluster| (cluster.name.as_str(), of(cluster))).collect()
        });
        keys.get(cluster).map_or(&[], Vec::as_slice)
    }

    /// What shows that a node of this part was primary, in the order of time.
    pub fn signs(&self) -> &[Sign<'a>] {
        let all = self.signs_of_all();
        if !self.is_part() {
            return all;
        }
        let own = |sign: &&Sign<'a>| self.plan.cluster_of(sign.node).is_some();
        self.signs.get_or_init(|| all.iter().filter(own).copied().collect())
    }

    /// What shows that any node was primary, in the order of time.
    pub fn signs_of_all(&self) -> &[Sign<'a>] {
        let attempts = || self.parsed.attempts.get_or_init(|| record::attempts(self.events));
        self.parsed.signs.get_or_init(|| primaries::signs(self.events, attempts()))
    }

    /// When each node of this part acknowledged writes.
    pub fn reigns(&self) -> &[Reign] {
        self.reigns.get_or_init(|| {
            let forged = forged_resets(self.faults());
            let (standbys, dead) = (primaries::standbys(self.events), dead_spans(self, &forged));
            reigns::reigns(self.attempts(), &Beside { forged, standbys, dead })
        })
    }

    /// The outage after each fault, with its phases.
    pub fn failovers(&self) -> &[Failover] {
        self.failovers.get_or_init(|| phases::failovers(self))
    }

    /// Clusters that the runbook left as they were: nobody waits for their nodes.
    pub fn given_up(&self) -> BTreeSet<&'a str> {
        let named = record::runbook(self.events).filter(|done| done.step == RunbookStep::GivenUp);
        named.map(|done| done.cluster).collect()
    }

    /// Whether nobody waits for a node any more: its cluster was given up, or a fault that was never healed keeps all of
    /// that away.
    pub fn is_lost(&self, node: &str) -> bool {
        let Some(cluster) = self.whole.cluster_of(node).filter(|_| self.whole.clusters.len() > 1) else { return false };
        self.given_up().contains(cluster.name.as_str())
            || cluster.nodes.iter().all(|own| record::is_down(self.faults(), own))
    }

    /// Nodes of this part that must be there in the end: not those that a fault keeps away for good, and not those of a
    /// cluster that was given up.
    pub fn asked(&self) -> Vec<&'a str> {
        let nodes = self.plan.nodes.iter().map(String::as_str);
        nodes.filter(|node| !record::is_down(self.faults(), node) && !self.is_lost(node)).collect()
    }

    /// The scenario's own description, if it was recorded.
    pub fn scenario(&self) -> Option<&'a ScenarioStarted> {
        self.events.iter().find_map(|event| match &event.what {
            Occurrence::ScenarioStarted(started) => Some(started),
            _ => None,
        })
    }

    /// A check's findings, each held against everything that the scenario expects of it; as they are where it expects
    /// nothing. Without a finding, what it expects is in doubt for this reason.
    pub fn held(&self, check: &str, findings: Vec<Finding>, doubt: &str) -> Vec<Finding> {
        self.held_by(check, findings, doubt, |finding, expectation| finding.held_against(expectation))
    }

    /// The same by a way of holding of the check's own.
    pub fn held_by(
        &self,
        check: &str,
        findings: Vec<Finding>,
        doubt: &str,
        hold: impl Fn(Finding, &Expectation) -> Finding,
    ) -> Vec<Finding> {
        let expectations: Vec<_> = self.expectations(check).collect();
        match (expectations.is_empty(), findings.is_empty()) {
            (true, _) => findings,
            (false, true) => vec![Finding::new(check, Outcome::Inconclusive, doubt)],
            (false, false) => {
                let hold =
                    |finding: &Finding| expectations.iter().map(|own| hold(finding.clone(), own)).collect::<Vec<_>>();
                findings.iter().flat_map(hold).collect()
            }
        }
    }

    /// The same for findings of several kinds: each is held against what the scenario expects of the measures that it has, and
    /// one that is in doubt stays so. What is expected of a measure that none of them has is in doubt for this reason.
    pub fn held_by_measure(&self, check: &str, findings: Vec<Finding>, doubt: &str) -> Vec<Finding> {
        let has = |finding: &Finding, expected: &Expectation| finding.value_of(&expected.measure).is_some();
        let mut held = Vec::new();
        for finding in &findings {
            let own: Vec<_> = self.expectations(check).filter(|expected| has(finding, expected)).collect();
            match own.as_slice() {
                [] => held.push(finding.clone()),
                own => held.extend(own.iter().map(|expected| finding.clone().held_where_known(expected))),
            }
        }
        for expected in self.expectations(check) {
            if !findings.iter().any(|finding| has(finding, expected)) {
                let doubt = format!("{doubt} what `{}` asks for", expected.text);
                held.push(Finding::new(check, Outcome::Inconclusive, doubt));
            }
        }
        held
    }

    /// The expectations that the scenario states for a check.
    pub fn expectations(&self, check: &str) -> impl Iterator<Item = &'a Expectation> {
        self.events.iter().filter_map(move |event| match &event.what {
            Occurrence::Expected(expectation) if expectation.check == check => Some(expectation),
            _ => None,
        })
    }
}

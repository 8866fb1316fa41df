//! How much WAL did a node lack when it was promoted, and how often was one?
//!
//! A promotion is the beginning of a timeline after the steady state. It is known by the timeline's history file, which
//! says where it left the old one, that is how far the node had come, or by a node that was primary on it. Two nodes that
//! began one number are two promotions ([`crate::checks::timelines`]). The highest position that the old timeline's writer
//! is known to have reached (by the node's own word, or by a write that it acknowledged) until the node was elected is how
//! far it should have been. What an old primary writes after that is not counted: it is the business of `single_writer`
//! and `data_loss`.
//!
//! Patroni holds a candidate to `maximum_lag_on_failover` by the position that the primary told the DCS in its last loop,
//! so what was written since then may be missing beyond that. Here the real position counts.
//!
//! A cluster that follows another one elects nobody to be promoted: there, what was written until the promotion was ordered
//! counts, and what it lacked is the lag of that moment.
//!
//! `promotions` counts them, `barred_promotions` those of nodes that Patroni's tags keep from leading, and `primary_changes` how
//! often another node than before became primary: a node that is demoted and promoted again counts as the first alone. Both are stated also if nothing was promoted, where a scenario
//! asks. A promotion whose history nobody read, or from a timeline on which nobody saw a position, is inconclusive. So is a
//! timeline that no node was seen to lead while the primary went on on an older one: a node may have its history from an
//! archive that another server shares.

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        primaries::Sign,
        record::{reached_us, runbook},
    },
    timelines::{Switch, switch_of, switches},
};
use crate::{
    history::event::{Milestone, RunbookStep},
    quantity::written::number,
    topology::Cluster,
};

const NAME: &str = "promotion";

pub const CHECK: Check = Check {
    name: NAME,
    question: "How much of the old primary's WAL did a node lack when it was promoted?",
    measures: &["promoted_behind_bytes", "promotions", "barred_promotions", "primary_changes"],
    over: Over::Lineage,
    judge,
};

/// A node's rise to primary on a timeline of its own.
struct Promotion<'a> {
    node: &'a str,
    timeline: u32,
    /// Where it left its parent; `None` if nobody read it.
    switch: Option<&'a Switch<'a>>,
    /// What it lacked of its parent, in bytes, and the event that shows the most; `None` if that is not known.
    lacked: Option<(u64, u64)>,
    /// The primary that went on on an older timeline, where nobody was seen to lead this one: the node may not have begun it.
    went_on: Option<&'a str>,
    /// Whether it was seen as a primary on it; else another node may have begun it, of which it has the history.
    is_seen: bool,
    evidence: Vec<u64>,
}

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let expectations: Vec<_> = evidence.expectations(NAME).collect();
    let first_fault_us = evidence.faults().first().map(|fault| fault.injecting_us);
    // Without a steady state nothing was promised before the fault.
    let Some(after_us) = reached_us(evidence.events, Milestone::SteadyState).or(first_fault_us) else {
        let summary = "no steady state was reached, so what was promoted after it is unknown";
        let unknown = Finding::new(NAME, Outcome::Inconclusive, summary);
        return expectations.iter().map(|expectation| unknown.clone().held_against(expectation)).collect();
    };
    let signs = evidence.signs();
    let mut switches = switches(evidence.events);
    // Clusters of which none follows the other begin timelines of their own.
    let is_own = |switch: &Switch<'_>| switch.told_by.iter().any(|node| evidence.plan.cluster_of(node).is_some());
    switches.retain(|switch| !evidence.is_part() || is_own(switch));
    let promotions = Seen { evidence, signs, switches: &switches }.promotions(after_us);
    if promotions.is_empty() && expectations.is_empty() {
        return Vec::new();
    }
    let mut details = vec![
        Measure::new("promotions", promotions.len() as f64),
        Measure::new("primary_changes", primary_changes(&promotions, signs, after_us) as f64),
    ];
    let is_barred = |node: &str| evidence.plan.topology.hosts().any(|host| host.name == node && host.tags.is_barred());
    let is_anybody_barred = evidence.plan.nodes.iter().any(|node| is_barred(node));
    // Where nobody was seen to begin a timeline, a node that must not may have done so.
    if !is_anybody_barred || promotions.iter().all(|own| own.is_seen) {
        let barred = promotions.iter().filter(|own| is_barred(own.node)).count();
        details.insert(1, Measure::new("barred_promotions", barred as f64));
    }
    let base = finding(&promotions, signs).with_details(details);
    if expectations.is_empty() {
        return vec![base];
    }
    expectations.iter().map(|expectation| base.clone().held_against(expectation)).collect()
}

/// What the promotion says that lacked most, or one of which that is not known.
fn finding(promotions: &[Promotion<'_>], signs: &[Sign<'_>]) -> Finding {
    let measured = |bytes: u64| Measure::new("promoted_behind_bytes", bytes as f64);
    let unknown = promotions.iter().find(|own| own.lacked.is_none());
    if let Some(Promotion { node, timeline, evidence, went_on: Some(primary), .. }) = unknown {
        let summary = format!(
            "{node} has the history of timeline {timeline}, which no node was seen to lead, and {primary} went on as the \
             primary of an older one: who began it is unknown"
        );
        return Finding::new(NAME, Outcome::Inconclusive, summary).with_evidence(evidence.iter().copied());
    }
    if let Some(Promotion { node, timeline, switch, evidence, .. }) = unknown {
        let why = match switch {
            Some(switch) => format!("nobody saw what was written on timeline {}", switch.origin.parent),
            None => "nobody read where that left its parent".to_owned(),
        };
        let summary = format!("{node} was promoted to timeline {timeline}, and {why}");
        return Finding::new(NAME, Outcome::Inconclusive, summary).with_evidence(evidence.iter().copied());
    }
    let lacked = promotions.iter().filter_map(|own| Some((own, own.lacked?)));
    let Some((worst, (bytes, seq))) = lacked.max_by_key(|(_, lacked)| lacked.0) else {
        if signs.is_empty() {
            return Finding::new(NAME, Outcome::Inconclusive, "no node was seen as a primary");
        }
        return Finding::new(NAME, Outcome::Pass, "no node was promoted").with_measure(measured(0));
    };
    let summary = format!(
        "{} was promoted to timeline {} and lacked {} bytes of WAL that were written by then",
        worst.node,
        worst.timeline,
        number(bytes as f64)
    );
    let finding = Finding::new(NAME, Outcome::Pass, summary).with_measure(measured(bytes));
    finding.with_evidence(worst.evidence.iter().copied().chain([seq]))
}

/// What was seen of primaries and timelines.
struct Seen<'a, 'e> {
    evidence: &'a Evidence<'e>,
    signs: &'a [Sign<'a>],
    switches: &'a [Switch<'a>],
}

impl<'a> Seen<'a, '_> {
    /// Every timeline that was begun after this instant, in the order of their beginning. The one that was led before it
    /// was there already, whenever its history was read.
    fn promotions(&self, after_us: u64) -> Vec<Promotion<'a>> {
        let mut found: Vec<(u64, Promotion<'a>)> = Vec::new();
        for switch in self.switches {
            let first = self.first_sign(switch);
            let begun_us = first.map_or(switch.at_us, |sign| sign.to_us.min(switch.at_us));
            let before = self.signs.iter().any(|sign| sign.timeline == switch.timeline && sign.to_us < after_us);
            if begun_us >= after_us && !(before && self.is_only(switch)) && !self.is_past(switch) {
                let (node, primary_us) =
                    first.map_or((self.teller(switch), switch.at_us), |sign| (sign.node, sign.to_us));
                let went_on = if first.is_none() { self.went_on(switch) } else { None };
                let written =
                    self.written(node, switch.origin.parent, self.elected_us(node, switch.timeline, primary_us));
                let lacked = written
                    .filter(|_| went_on.is_none())
                    .map(|(lsn, seq)| (lsn.saturating_sub(switch.origin.switch_lsn), seq));
                let evidence = first.map(|sign| sign.seq).into_iter().chain([switch.seq]).collect();
                let (timeline, switch, is_seen) = (switch.timeline, Some(switch), first.is_some());
                found.push((begun_us, Promotion { node, timeline, switch, lacked, went_on, is_seen, evidence }));
            }
        }
        found.extend(self.unread(after_us));
        found.sort_by_key(|(begun_us, own)| (*begun_us, own.timeline));
        found.into_iter().map(|(_, own)| own).collect()
    }

    /// Nodes that were primaries on a timeline whose history nobody read.
    fn unread(&self, after_us: u64) -> Vec<(u64, Promotion<'a>)> {
        let mut found: Vec<(u64, Promotion<'a>)> = Vec::new();
        for sign in self.signs {
            let Sign { node, timeline, to_us, seq, .. } = *sign;
            let initial = self.signs.first().is_some_and(|first| first.timeline == timeline);
            let known = self.switches.iter().any(|switch| switch.timeline == timeline);
            let counted = found.iter().any(|(_, own)| own.timeline == timeline);
            if to_us >= after_us && !initial && !known && !counted {
                let evidence = vec![seq];
                let own =
                    Promotion { node, timeline, switch: None, lacked: None, went_on: None, is_seen: true, evidence };
                found.push((to_us, own));
            }
        }
        found
    }

    /// Whether the timeline's number has one history.
    fn is_only(&self, switch: &Switch<'_>) -> bool {
        self.switches.iter().filter(|other| other.timeline == switch.timeline).count() == 1
    }

    /// Whether the timeline had been left before the scenario began: the ancestry of the first one that was led, which
    /// history files tell too.
    fn is_past(&self, switch: &Switch<'_>) -> bool {
        self.signs.first().is_some_and(|first| switch.timeline < first.timeline)
    }

    /// The first sign of who began a timeline: a node whose own history file has this switch, or anyone where the number
    /// has one history.
    fn first_sign(&self, switch: &Switch<'_>) -> Option<&'a Sign<'a>> {
        let own = |sign: &&Sign<'_>| sign.timeline == switch.timeline;
        let tells = |sign: &&Sign<'_>| self.is_only(switch) || switch.told_by.contains(sign.node);
        self.signs.iter().filter(own).find(tells)
    }

    /// Who was seen as the primary of an older timeline when somebody had the history of this one.
    fn went_on(&self, switch: &Switch<'_>) -> Option<&'a str> {
        let older = |sign: &&Sign<'_>| sign.timeline < switch.timeline && sign.to_us > switch.at_us;
        self.signs.iter().find(older).map(|sign| sign.node)
    }

    fn teller(&self, switch: &'a Switch<'a>) -> &'a str {
        switch.told_by.first().copied().unwrap_or_default()
    }

    /// When the node got the leader key, before it was seen as a primary; that instant if nobody saw the key. In a cluster
    /// that followed until then, when its promotion was ordered.
    fn elected_us(&self, node: &str, timeline: u32, primary_us: u64) -> u64 {
        let cluster = self.evidence.whole.cluster_of(node).or(self.evidence.leading());
        let keys = cluster.map(|cluster| self.evidence.leader_key_of(&cluster.name)).unwrap_or_default();
        let mut own = keys.iter().filter(|change| change.holder == Some(node) && change.at_us <= primary_us);
        let key_us = own.next_back().map_or(primary_us, |change| change.at_us);
        // A key that was its own all along, while it led an older timeline, was not given for this one.
        let led_since = |sign: &Sign<'_>| {
            sign.node == node && sign.timeline < timeline && key_us < sign.to_us && sign.to_us <= primary_us
        };
        if self.signs.iter().any(led_since) {
            return primary_us;
        }
        let Some(cluster) = cluster.filter(|cluster| cluster.follows.is_some()) else { return key_us };
        let led = |sign: &Sign<'_>| cluster.nodes.iter().any(|own| own == sign.node) && sign.to_us < key_us;
        match self.signs.iter().any(led) {
            true => key_us,
            false => self.ordered_us(cluster, primary_us).unwrap_or(primary_us),
        }
    }

    /// When a cluster was last told to follow no more, until an instant.
    fn ordered_us(&self, cluster: &Cluster, until_us: u64) -> Option<u64> {
        let steps = runbook(self.evidence.events).filter(|done| done.at_us <= until_us);
        let mut ordered =
            steps.filter(|done| done.step == RunbookStep::PromotionOrdered && done.cluster == cluster.name);
        ordered.next_back().map(|done| done.at_us)
    }

    /// The highest position on a node's timeline of this number that anyone saw until an instant, and the event that shows
    /// it.
    fn written(&self, node: &str, on: u32, until_us: u64) -> Option<(u64, u64)> {
        let begun = |node: &str| switch_of(self.switches, self.evidence.whole, node, on).map(|switch| switch.origin);
        // Another cluster may have led on another timeline of that number.
        let is_other = |of: &str| begun(of).zip(begun(node)).is_some_and(|(one, other)| one != other);
        let until = self.signs.iter().filter(|sign| sign.timeline == on && sign.to_us <= until_us);
        until.filter(|sign| !is_other(sign.node)).filter_map(|sign| Some((sign.lsn?, sign.seq))).max()
    }
}

/// How often another node than before became primary. One that was promoted and never seen as a primary counts too.
fn primary_changes(promotions: &[Promotion<'_>], signs: &[Sign<'_>], after_us: u64) -> usize {
    let seen: Vec<&str> = signs.iter().map(|sign| sign.node).collect();
    let before = signs.iter().rposition(|sign| sign.to_us < after_us).unwrap_or(0);
    let changes = seen[before.min(seen.len())..].windows(2).filter(|pair| pair[0] != pair[1]).count();
    let unseen = promotions.iter().filter(|own| !seen.contains(&own.node)).count();
    changes + unseen
}

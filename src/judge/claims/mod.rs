//! Claims: what is promised, as data. Those of the reference documents are the project's own and hold where nobody names
//! others; a user's stand in a file of the user's.
//!
//! Topologies and scenarios name claims by their ids; the verdict says of each whether the findings confirm it,
//! refute it or leave it undecided.

mod file;

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::history::event::Bound;

pub use file::{CheckMeasures, ClaimsError, schema};

/// What is promised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Stable: topologies, tags (`@claim:ID`) and reports use it.
    pub id: String,
    #[serde(default)]
    pub area: Area,
    /// The documents that state it, with the place where that helps.
    #[serde(default)]
    pub documents: Vec<String>,
    /// The promise, in a sentence.
    pub claim: String,
    /// What has to be measured to confirm or refute it.
    #[serde(default)]
    pub measured_by: String,
    /// How it is judged where that is open to doubt, and what speaks against it beforehand.
    #[serde(default)]
    pub note: Option<String>,
    /// What decides it. `None`: no check decides it yet, so it stays undecided.
    #[serde(default)]
    pub target: Option<ClaimTarget>,
}

/// Sections of the certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    OneRegion,
    TwoRegions,
    Operations,
    /// What a service has to keep, whatever its architecture.
    #[default]
    Objectives,
}

impl Area {
    /// The section's heading.
    pub fn title(self) -> &'static str {
        match self {
            Area::OneRegion => "Automatic failover in one region",
            Area::TwoRegions => "Two regions",
            Area::Operations => "Other architectures and operations",
            Area::Objectives => "Service objectives",
        }
    }
}

/// The measure that decides a claim. A finding of that check keeps the claim if the bound holds for its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimTarget {
    /// A row of the table of checks.
    pub check: String,
    /// One of that check's measures.
    pub measure: String,
    pub bound: Bound,
    /// What the claim is about: a trial in which none of these happened decides nothing.
    pub about: Vec<Subject>,
    /// The share of failovers, above 0 and below 1, that has to keep the bound. Then exact bounds at 95 % confidence decide
    /// whether that share does, or the plan of `run --prove`. `None`: the promise is universal, so one miss refutes it and no number
    /// of trials confirms it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

/// What can happen in a trial that claims are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A fault took effect.
    Fault,
    /// Clients could not write after a fault.
    Outage,
    /// After an outage that followed a fault another node led, and the primary had not handed over in order.
    Failover,
    /// A node was promoted, with an outage or without.
    Promotion,
    /// The primary was made to hand over in order, and clients felt no other fault.
    Switchover,
    /// The old primary of a failover that was not in order came back, so that what it had written alone had to be rewound.
    Rewind,
    /// The primary lived on, and its network was broken, while another node took over.
    CutOff,
    /// Faults hit every node, so that none was left to lead.
    AllDown,
    /// A node was taken out of the cluster, and clients felt no other fault.
    MemberRemoved,
    /// A cluster followed another one, while clients wrote there.
    Follows,
    /// A whole cluster was lost, and one that followed it was promoted by a runbook.
    RegionLost,
    /// A cluster that followed another one caught up with it, and was promoted by a runbook.
    RegionHandedOver,
    /// Another node became the standby leader of a cluster that follows another one.
    StandbyLeaderChanged,
    /// A fault hit every node of a cluster that follows another one and is itself followed.
    MiddleLost,
    /// A global name led clients to another cluster.
    NameMoved,
    /// A standby for which commits may wait was slowed by itself.
    StandbySlowed,
    /// A follower's slot was needed: nobody used it for a while, or another node of the cluster became primary.
    SlotNeeded,
    /// A backup was taken, and restored afterwards.
    BackupRestored,
    /// A cluster was restored to a time, to before a change that nobody wanted.
    RestoredToATime,
    /// A cluster that a runbook had promoted was restored.
    PromotedRestored,
    /// A node's data was corrupted, and the node rebuilt from another one afterwards.
    CorruptedRebuilt,
    /// Streaming to a cluster that reads an archive was broken for a while.
    StreamingBroken,
    /// The disk of a standby was full.
    StandbyDiskFull,
    /// The disk of a standby was full, and that of the primary by another fault of the same trial.
    BothDisksFull,
    /// The host that held a virtual address, or its balancer, was lost.
    AddressHolderLost,
    /// The member that led a DCS was lost.
    DcsLeaderLost,
    /// Every member of a DCS was lost, with its data.
    DcsLost,
    /// A node died while a balancer led to it.
    BalancedNodeDied,
    /// Commits waited for none, and for one or two synchronous standbys, in one run.
    CommitsCompared,
    /// Clients wrote, and standbys of the primary streamed.
    StandbysStreamed,
    /// A node was rebuilt by its agent, on order.
    Reinitialized,
    /// A failover of a cluster whose DCS is not etcd.
    FailoverOverAnotherDcs,
    /// Connections that must fail were tried.
    EntriesTried,
    /// A failover of a cluster with further databases, of which one has vectors.
    DatabasesFailedOver,
    /// Somebody subscribed to a cluster, and another node of it became primary, or a column was added or a sequence used.
    SubscriptionTried,
}

impl Subject {
    /// As words that follow "there was".
    pub fn words(self) -> &'static str {
        match self {
            Subject::Fault => "a fault",
            Subject::Outage => "an outage after a fault",
            Subject::Failover => "a failover",
            Subject::Promotion => "a promotion",
            Subject::Switchover => "a switchover",
            Subject::Rewind => "a failover whose old primary came back",
            Subject::CutOff => "a failover from a primary that was cut off",
            Subject::AllDown => "an outage with every node hit",
            Subject::MemberRemoved => "a node taken out of the cluster",
            Subject::Follows => "a cluster that follows another one",
            Subject::RegionLost => "the loss of a cluster and the promotion of one that followed it",
            Subject::RegionHandedOver => "a cluster that handed over to one that followed it",
            Subject::StandbyLeaderChanged => "a change of the standby leader",
            Subject::MiddleLost => "the loss of a cluster between two others",
            Subject::NameMoved => "a global name that led clients to another cluster",
            Subject::StandbySlowed => "a synchronous standby that was slower than the others",
            Subject::BackupRestored => "a restore of a backup that was taken meanwhile",
            Subject::RestoredToATime => "a restore to a time",
            Subject::PromotedRestored => "a restore of a cluster that a runbook had promoted",
            Subject::CorruptedRebuilt => "a node whose data was corrupted and which was rebuilt",
            Subject::StreamingBroken => "a cluster that reads an archive, to which streaming was broken",
            Subject::AddressHolderLost => "a virtual address whose holder was lost",
            Subject::DcsLeaderLost => "a DCS whose leader was lost",
            Subject::DcsLost => "a DCS that lost every member",
            Subject::BalancedNodeDied => "a node that died while a balancer led to it",
            Subject::CommitsCompared => "commits that waited for none, and for one or two synchronous standbys",
            Subject::StandbysStreamed => "a standby that streamed while clients wrote",
            Subject::Reinitialized => "a node that was rebuilt on order",
            Subject::FailoverOverAnotherDcs => "a failover over a DCS that is not etcd",
            Subject::DatabasesFailedOver => "a failover of a cluster with further databases and vectors",
            Subject::SubscriptionTried => "a subscription, and a new primary, a new column or a sequence in use",
            Subject::EntriesTried => "an attempt that must fail",
            Subject::StandbyDiskFull => "a standby whose disk was full",
            Subject::BothDisksFull => "a standby whose disk was full, and a primary whose disk was",
            Subject::SlotNeeded => {
                "a follower's slot that was unused for a while, or a new primary that had to have it"
            }
        }
    }
}

/// The claims that a run is judged by, with the text that they were read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    rows: Vec<Claim>,
    text: String,
}

/// The documented claims, as a file.
const DOCUMENTED: &str = include_str!("claims.yaml");

static CLAIMS: LazyLock<Claims> = LazyLock::new(|| match serde_saphyr::from_str(DOCUMENTED) {
    Ok(rows) => Claims { rows, text: DOCUMENTED.to_owned() },
    Err(error) => unreachable!("claims.yaml is part of the program and a test parses it: {error}"),
});

/// The documented ones.
impl Default for Claims {
    fn default() -> Self {
        Self::documented().clone()
    }
}

impl Claims {
    /// What the reference documents promise.
    pub fn documented() -> &'static Self {
        &CLAIMS
    }

    /// Every claim, in the order of the file.
    pub fn all(&self) -> &[Claim] {
        &self.rows
    }

    /// The claim with this id.
    pub fn find(&self, id: &str) -> Option<&Claim> {
        self.rows.iter().find(|claim| claim.id == id)
    }

    /// The text that they were read from, as it was.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Every documented claim, in the order of the certificate.
pub fn all() -> &'static [Claim] {
    Claims::documented().all()
}

/// The documented claim with this id.
pub fn find(id: &str) -> Option<&'static Claim> {
    Claims::documented().find(id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_file_parses() {
        if let Err(error) = serde_saphyr::from_str::<Vec<Claim>>(DOCUMENTED) {
            panic!("{error}");
        }
    }

    #[test]
    fn ids_are_unique_and_shouted() {
        let ids: BTreeSet<_> = all().iter().map(|claim| claim.id.as_str()).collect();
        assert_eq!(ids.len(), all().len(), "an id stands twice");
        for id in ids {
            let shouted =
                id.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '-');
            assert!(shouted, "{id} is not made of capitals, digits and dashes");
        }
    }

    #[test]
    fn every_claim_is_complete() {
        for claim in all() {
            assert!(!claim.documents.is_empty(), "{} names no document", claim.id);
            for document in &claim.documents {
                let digits: String = document.chars().take(3).collect();
                assert!(
                    ["000", "001", "002", "003", "004"].contains(&digits.as_str()),
                    "{}: no such document: {document}",
                    claim.id
                );
            }
            assert!(!claim.claim.is_empty() && !claim.measured_by.is_empty(), "{} is incomplete", claim.id);
        }
    }

    #[test]
    fn claims_that_point_at_another_name_one_that_exists() {
        for claim in all() {
            if let Some(other) = claim.measured_by.strip_prefix("as ") {
                assert!(find(other).is_some(), "{}: no claim {other}", claim.id);
            }
        }
    }

    #[test]
    fn a_bound_is_read_as_it_is_written() {
        let target = find("RTO-30").and_then(|claim| claim.target.clone()).expect("RTO-30 has a target");
        assert_eq!(target.bound, Bound::AtMost(30_000.0));
        assert_eq!((target.check.as_str(), target.measure.as_str()), ("recovery_time", "write_outage_ms"));
        let target = find("NO-SPLIT-BRAIN").and_then(|claim| claim.target.clone()).expect("it has a target");
        assert_eq!(target.bound, Bound::Exactly(0.0));
    }

    #[test]
    fn an_unknown_id_is_not_found() {
        assert_eq!(find("RTO-31"), None);
    }
}

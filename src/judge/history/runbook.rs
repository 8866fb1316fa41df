//! The steps of a runbook, as the history records them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A step that an operator takes by a runbook. A report splits the outage of a region by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunbookStep {
    /// What follows has replayed every byte of whom it follows.
    CaughtUp,
    /// The loss was confirmed, and the decision to promote taken.
    Decided,
    /// The cluster was told to follow no more, or a standby to promote itself.
    PromotionOrdered,
    /// A node of the cluster accepts writes.
    Promoted,
    /// A node that was to be promoted was still a standby when the time for that was over.
    NotPromoted,
    /// What clients connect to was pointed at the cluster.
    Repointed,
    /// The cluster, or a node of it, was told to follow another one; whether it does, nodes show.
    FollowOrdered,
    /// A machine was kept from starting its PostgreSQL when it boots.
    KeptDown,
    /// PostgreSQL on a node got another parameter.
    Reconfigured,
    /// A change was made in the database that nobody wanted.
    BadChange,
    /// The cluster is left as it is: what hit it is not healed, and its nodes are not waited for.
    GivenUp,
}

/// A command that an operator ran on a node, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandRun {
    pub node: String,
    pub command: String,
    /// How it ended; `None`: it could not be run.
    pub status: Option<i32>,
    /// What it printed, or why it could not be run.
    pub output: String,
}

impl RunbookStep {
    /// How reports call it.
    pub fn words(self) -> &'static str {
        match self {
            RunbookStep::CaughtUp => "caught up",
            RunbookStep::Decided => "decided",
            RunbookStep::PromotionOrdered => "promotion ordered",
            RunbookStep::Promoted => "promoted",
            RunbookStep::NotPromoted => "not promoted",
            RunbookStep::Repointed => "re-pointed",
            RunbookStep::FollowOrdered => "told to follow",
            RunbookStep::KeptDown => "kept from starting",
            RunbookStep::Reconfigured => "reconfigured",
            RunbookStep::BadChange => "bad change",
            RunbookStep::GivenUp => "given up",
        }
    }
}

impl fmt::Display for RunbookStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.words())
    }
}

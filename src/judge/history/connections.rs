//! Connections that hosts tried to each other, to show what a firewall does.

use serde::{Deserialize, Serialize};

/// A connection that a host tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionTried {
    pub from: String,
    pub to: String,
    pub port: u16,
    pub answer: ConnectionAnswer,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionAnswer {
    Accepted,
    /// It was refused: nobody listens, and the packet got there.
    Refused,
    /// Nothing answered.
    Silence,
}

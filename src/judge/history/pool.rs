//! What a pooler shows of its pools, and the idle clients that fill them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The pools of the load's role at one pooler, together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolState {
    /// What it is called: its own name, or else its host's.
    pub pooler: String,
    /// Whether it answered; if not, the rest is empty.
    pub reachable: bool,
    /// Clients that have a session with PostgreSQL, or have asked for none.
    pub active_clients: u32,
    /// Clients that wait for a session with PostgreSQL.
    pub waiting_clients: u32,
    /// For how long the first of these has waited.
    pub longest_wait_us: u64,
    /// Sessions with PostgreSQL, those that are being opened among them, by the address and port that they lead to.
    pub sessions: BTreeMap<String, u32>,
    /// The hosts that it is configured to lead to; empty where they were not asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leads_to: Vec<String>,
}

/// The sessions of an application's clients so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplicationState {
    pub application: String,
    /// How many sessions were opened.
    pub opened: u64,
    /// How often none came.
    pub refused: u64,
}

/// Clients that have a session at an endpoint and say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdleClients {
    pub endpoint: String,
    /// How many there are to be.
    pub wanted: u32,
    /// How many have a session.
    pub connected: u32,
    /// How many sessions have broken so far.
    pub broken: u64,
    /// How often one was refused so far.
    pub refused: u64,
}

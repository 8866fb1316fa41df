//! What clients tried, how it ended, and what is left of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a client reaches PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientKind {
    /// A writer of the load: one connection, reconnects after an error.
    Writer,
    /// The open-loop prober: each attempt on a fresh connection.
    Fresh,
    /// A session that was opened before the fault and is held.
    Held,
    /// A client of an application: one session, with the application's own timeouts.
    Application,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Write,
    Read,
}

/// One attempt of a client, from its start to its outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    pub client_kind: ClientKind,
    /// `write`, `read`, or a node's name: where the client connects.
    pub endpoint: String,
    pub operation: Operation,
    /// The client's number, unique in the scenario.
    pub client: u32,
    /// The attempt's number of this client; with `client` the unique id of a write.
    pub sequence: u64,
    /// When it began: for the prober, when it was due on its fixed schedule.
    pub started_us: u64,
    pub outcome: AttemptOutcome,
    /// What a read saw of the first writers of the load: of each, the sequence of its newest row, or 0. `None`: it was
    /// no read, it was not answered, or this was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saw: Option<BTreeMap<u32, u64>>,
    /// The host that a global name led the client to, if this attempt connected through one. `None`: its session was
    /// open already, its endpoint is at a host, or this was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub led_to: Option<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AttemptOutcome {
    /// The server confirmed the commit (or answered the read).
    Acknowledged {
        /// The node that answered, as its answer names it.
        node: String,
        timeline: u32,
        /// The node's WAL position just after the write was inserted (writes on a primary), else 0.
        lsn: u64,
    },
    /// It surely had no effect: no connection, or the server refused it.
    Refused {
        /// PostgreSQL's SQLSTATE, when a server answered.
        sqlstate: Option<String>,
        message: String,
        /// What it met; `None` in histories of schema 1 (see [`AttemptOutcome::contact`]).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contact: Option<Contact>,
    },
    /// It may or may not have had effect: the connection broke after the statement was sent, or the server
    /// warned that the commit may not be replicated. Neither lost nor kept.
    Unknown { message: String },
}

/// What an attempt that was refused met where it connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contact {
    /// Nothing came in time, or nothing was sent: whether a server lives there is unknown.
    Silence,
    /// The connection was refused, or closed before a word of a server: none takes sessions there.
    Reset,
    /// A server answered, with an error.
    Answer,
}

impl AttemptOutcome {
    /// What a refused attempt met; `None` if it was not refused.
    ///
    /// Histories of schema 1 have only the text of the error. These are the texts of their writers: the operating
    /// system's for a connection that was refused or reset, and the client library's for one that was closed. Whatever
    /// else they say proves no contact.
    pub fn contact(&self) -> Option<Contact> {
        let AttemptOutcome::Refused { sqlstate, message, contact } = self else { return None };
        let closed = ["Connection refused", "Connection reset", "connection closed", "unexpected end of file"];
        Some(contact.unwrap_or(match sqlstate {
            Some(_) => Contact::Answer,
            None if message.starts_with("failed to") && closed.iter().any(|text| message.contains(text)) => {
                Contact::Reset
            }
            None => Contact::Silence,
        }))
    }
}

/// What a ledger table holds beside its distinct rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerCounts {
    /// Rows of the table, each occurrence counted.
    pub rows: u64,
    /// Rows whose payload is not the hash of their client, sequence and content.
    pub changed_rows: u64,
    /// Rows that the table has and its index does not.
    pub missing_in_index: u64,
    /// Rows that the index has and the table does not.
    pub missing_in_table: u64,
}

/// Writes `from..=to` of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceRange {
    pub client: u32,
    pub from: u64,
    pub to: u64,
}

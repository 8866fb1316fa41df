//! Settings of the services. Defaults are those of document 002, which the first topology follows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of each kind of service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub etcd: EtcdSettings,
    pub patroni: PatroniSettings,
    pub postgresql: PostgresqlSettings,
    pub haproxy: HaproxySettings,
}

/// etcd, as document 002 sets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EtcdSettings {
    pub heartbeat_interval_ms: u32,
    pub election_timeout_ms: u32,
}

impl Default for EtcdSettings {
    fn default() -> Self {
        Self { heartbeat_interval_ms: 100, election_timeout_ms: 1000 }
    }
}

/// Patroni's dynamic configuration, under Patroni's own names with their units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PatroniSettings {
    /// How long the leader key outlives its last refresh. Patroni wants at least 20.
    pub ttl_s: u32,
    /// How long the agent sleeps between two runs of its loop.
    pub loop_wait_s: u32,
    /// How long DCS and PostgreSQL operations are retried. Patroni wants
    /// `loop_wait_s + 2 × retry_timeout_s <= ttl_s`.
    pub retry_timeout_s: u32,
    /// A standby that is further behind is not promoted.
    pub maximum_lag_on_failover_bytes: u64,
    /// How long a crashed primary may take to start before a standby takes over; 0: at once.
    pub primary_start_timeout_s: u32,
    /// Commits wait for a synchronous standby that Patroni chooses.
    pub synchronous_mode: bool,
    /// With `synchronous_mode`: without a standby, writes block instead of becoming asynchronous.
    pub synchronous_mode_strict: bool,
    /// The primary stays while the DCS is down and every member answers it.
    pub failsafe_mode: bool,
}

impl Default for PatroniSettings {
    fn default() -> Self {
        Self {
            ttl_s: 30,
            loop_wait_s: 10,
            retry_timeout_s: 10,
            maximum_lag_on_failover_bytes: 1_048_576,
            primary_start_timeout_s: 300,
            synchronous_mode: false,
            synchronous_mode_strict: false,
            failsafe_mode: false,
        }
    }
}

/// PostgreSQL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresqlSettings {
    /// The major version. Images are made for this one.
    pub major_version: u32,
    /// Parameters as in `postgresql.conf`, the same on every node.
    // Any scalar of YAML is taken as its text; the schema must not tell an editor that `100` is wrong.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub parameters: BTreeMap<String, String>,
}

impl Default for PostgresqlSettings {
    fn default() -> Self {
        Self { major_version: 17, parameters: BTreeMap::new() }
    }
}

/// HAProxy's health checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HaproxySettings {
    /// Time between two checks of a server.
    pub inter_ms: u32,
    /// Failed checks in a row until a server is DOWN.
    pub fall: u32,
    /// Good checks in a row until it is UP again.
    pub rise: u32,
    /// Whether sessions to a server that goes DOWN are closed.
    pub close_sessions_of_down_server: bool,
}

impl Default for HaproxySettings {
    fn default() -> Self {
        Self { inter_ms: 2000, fall: 3, rise: 2, close_sessions_of_down_server: true }
    }
}

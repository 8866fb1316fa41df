//! Toxics, as Toxiproxy's API names them (<https://github.com/Shopify/toxiproxy>, 2.12), with their units.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One toxic of a listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Toxic {
    /// Unique in its listener.
    pub name: String,
    pub stream: Stream,
    /// The share of connections that it hits, 0 to 1; drawn when a connection begins.
    pub toxicity: f32,
    #[serde(flatten)]
    pub kind: ToxicKind,
}

/// Which way the data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// From the host at which the link begins to the far one.
    Upstream,
    /// Back from the far host.
    Downstream,
}

/// What a toxic does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "attributes", rename_all = "snake_case")]
pub enum ToxicKind {
    /// Delays all data.
    Latency {
        #[serde(rename = "latency")]
        latency_ms: u64,
        /// Up to this much more or less, evenly spread.
        #[serde(rename = "jitter")]
        jitter_ms: u64,
    },
    /// Lets at most this much data pass in a second.
    Bandwidth {
        #[serde(rename = "rate")]
        rate_kb_per_s: u64,
    },
    /// Delays the end of a connection.
    SlowClose {
        #[serde(rename = "delay")]
        delay_ms: u64,
    },
    /// Stops all data, and ends the connection after this time; 0: never.
    Timeout {
        #[serde(rename = "timeout")]
        timeout_ms: u64,
    },
    /// Swallows all data, and resets the connection this long after the first of it.
    ResetPeer {
        #[serde(rename = "timeout")]
        timeout_ms: u64,
    },
    /// Cuts data into small packets.
    Slicer {
        #[serde(rename = "average_size")]
        average_bytes: u64,
        #[serde(rename = "size_variation")]
        variation_bytes: u64,
        #[serde(rename = "delay")]
        delay_us: u64,
    },
    /// Ends the connection when this much data has passed.
    LimitData { bytes: u64 },
}

impl ToxicKind {
    /// How long an open connection may hold up a removal: Toxiproxy waits until the connection's toxic can be
    /// interrupted, which one that is about to reset it, or about to pass the rest of its data on, can't be.
    pub fn lets_go_within(&self) -> Duration {
        match self {
            ToxicKind::ResetPeer { timeout_ms } => Duration::from_millis(*timeout_ms),
            ToxicKind::Bandwidth { .. } => Duration::from_secs(5),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toxic_is_written_as_the_api_wants_it_and_read_back() {
        let toxic = Toxic {
            name: "slow".to_owned(),
            stream: Stream::Downstream,
            toxicity: 1.0,
            kind: ToxicKind::Latency { latency_ms: 40, jitter_ms: 5 },
        };
        let written = serde_json::to_value(&toxic).unwrap();
        let expected = serde_json::json!({
            "name": "slow", "stream": "downstream", "toxicity": 1.0,
            "type": "latency", "attributes": { "latency": 40, "jitter": 5 },
        });
        assert_eq!(written, expected);
        assert_eq!(serde_json::from_value::<Toxic>(written).unwrap(), toxic);
    }
}

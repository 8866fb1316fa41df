//! The failover times that settings predict.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Plan, Span};
use crate::{
    services::{PatroniSettings, ServiceKind, service},
    topology::Cluster,
};

/// What the settings predict for the loss of the primary's host.
///
/// The DCS hears of the holder again and again, under etcd once a loop, so a dead primary's key lives for `ttl − [0, loop_wait]`
/// more. When the host takes the DCS's leader with it, a new leader is elected first and grants every lease its full time again,
/// so the key then lives for the election plus the whole ttl. How often, and how long it takes, stands in the DCS's row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictedFailover {
    /// Fault to key gone, when the DCS's leader survives.
    pub detect: Span,
    /// Fault to key gone, when the DCS's leader dies with the primary.
    pub detect_with_dcs_leader: Span,
    /// Key gone to key held: standbys watch the key and race for it at once, after asking each other.
    pub elect: Span,
    /// Key held to a direct write on the new primary.
    pub promote: Span,
    /// Direct write possible to the proxy's server UP: `rise` checks, the first up to one interval away.
    pub route: Span,
    /// Where nodes have a watchdog: what it predicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<PredictedReset>,
}

/// What a watchdog predicts for the host of a primary whose agent does not get to feed it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictedReset {
    /// Last feed to reset: the watchdog's timeout.
    pub reset: Span,
    /// Reset to key gone, when the DCS's leader survives: what was left of the lease.
    pub detect: Span,
}

/// How long after the lease the watchdog is fed: the agent feeds it once the refresh is answered and it has written its state
/// into the DCS.
const FED_AFTER_MS: u64 = 250;
/// How late a reset may come: the device's program gets the processor, and takes the host off the network first.
const RESET_WITHIN_MS: u64 = 250;

impl PredictedFailover {
    /// Where no agent keeps a node: nothing is detected, and nobody elected.
    pub(super) const NONE: Self = Self {
        detect: Span::NONE,
        detect_with_dcs_leader: Span::NONE,
        elect: Span::NONE,
        promote: Span::NONE,
        route: Span::NONE,
        watchdog: None,
    };

    /// What settings predict for a cluster of a plan.
    pub(super) fn of(plan: &Plan, cluster: &Cluster) -> Self {
        let Some(parts) = FailoverParts::of(plan, cluster) else { return Self::NONE };
        Self {
            detect: parts.lease.plus(parts.expiry),
            detect_with_dcs_leader: parts.whole_lease.plus(parts.expiry_with_loss),
            elect: parts.elect,
            promote: parts.promote,
            route: parts.route,
            watchdog: PredictedReset::of(&plan.settings_of(cluster).patroni, parts.expiry),
        }
    }

    /// The client's outage, as the sum of the phases.
    pub fn outage(&self, dcs_leader_lost: bool) -> Span {
        let detect = if dcs_leader_lost { self.detect_with_dcs_leader } else { self.detect };
        detect.plus(self.elect).plus(self.promote).plus(self.route)
    }
}

impl PredictedReset {
    /// Of a cluster with these settings, in whose DCS a key is gone so long after its lease.
    fn of(settings: &PatroniSettings, expiry: Span) -> Option<Self> {
        let timeout_ms = u64::from(settings.watchdog_timeout_s()?) * 1000;
        let left_ms = u64::from(settings.left_after_reset_s()?) * 1000;
        let left = Span { least_ms: left_ms.saturating_sub(FED_AFTER_MS + RESET_WITHIN_MS), most_ms: left_ms };
        Some(Self {
            reset: Span { least_ms: timeout_ms, most_ms: timeout_ms + RESET_WITHIN_MS },
            detect: left.plus(expiry),
        })
    }
}

/// The times of which a failover is the sum, each apart: in every one, any time is as likely as any other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FailoverParts {
    /// What is left of the lease when its holder dies.
    pub lease: Span,
    /// How long after its lease a key is gone.
    pub expiry: Span,
    /// The lease when the leader of the DCS is lost with its holder.
    pub whole_lease: Span,
    /// How much longer the key lives then.
    pub expiry_with_loss: Span,
    /// Key gone to key held.
    pub elect: Span,
    /// Key held to a direct write on the new primary.
    pub promote: Span,
    /// Direct write possible to the balancer leading clients there.
    pub route: Span,
}

impl FailoverParts {
    /// Of a cluster of a plan; `None`: no agent keeps its nodes.
    pub fn of(plan: &Plan, cluster: &Cluster) -> Option<Self> {
        let settings = plan.settings_of(cluster);
        let kinds: BTreeSet<ServiceKind> = plan.services.iter().map(|planned| planned.kind).collect();
        let mut nodes = kinds.iter().filter_map(|kind| service(*kind).node());
        nodes.any(|node| node.agent.is_some()).then_some(())?;
        let ttl_ms = u64::from(settings.patroni.ttl_s) * 1000;
        let dcs = plan.dcs_of(cluster).and_then(|dcs| service(dcs.kind).dcs());
        let refreshed_within_ms = dcs.map_or(0, |dcs| (dcs.refreshed_within_ms)(settings));
        let (expiry, expiry_with_loss) = dcs.map_or((Span::NONE, Span::NONE), |dcs| (dcs.expiry)(settings));
        let lease = Span { least_ms: ttl_ms - refreshed_within_ms.min(ttl_ms), most_ms: ttl_ms };
        let whole_lease = Span { least_ms: ttl_ms, most_ms: ttl_ms };
        let own = Self { lease, expiry, whole_lease, expiry_with_loss, ..Self::NONE };
        let is_member = cluster.nodes.first().is_some_and(|primary| cluster.dcs.contains(primary));
        let with_host = dcs.filter(|_| is_member).and_then(|dcs| (dcs.ends_with_host)(settings));
        let own = with_host.map_or(own, |span| own.or_earlier(span));
        let routes = plan
            .balancers_of(cluster)
            .into_iter()
            .filter_map(|planned| Some((service(planned.kind).balancer()?.route)(&plan.settings_for(planned))));
        Some(Self {
            // A candidate asks every member's REST API first; a dead host answers nothing for up to 2 s
            // (Patroni's timeout for that request).
            elect: Span { least_ms: 0, most_ms: 2500 },
            promote: Span { least_ms: 50, most_ms: 2000 },
            route: routes.reduce(Span::later).unwrap_or(Span::NONE),
            ..own
        })
    }

    const NONE: Self = Self {
        lease: Span::NONE,
        expiry: Span::NONE,
        whole_lease: Span::NONE,
        expiry_with_loss: Span::NONE,
        elect: Span::NONE,
        promote: Span::NONE,
        route: Span::NONE,
    };

    /// The same where the key is gone after this time at the latest: what is left of the lease is no part of it then.
    fn or_earlier(self, span: Span) -> Self {
        Self {
            lease: Span::NONE,
            expiry: self.lease.plus(self.expiry).earlier(span),
            whole_lease: Span::NONE,
            expiry_with_loss: self.whole_lease.plus(self.expiry_with_loss).earlier(span),
            ..self
        }
    }
}

//! The PostgreSQL nodes of a plan, whatever kind of service each is.

use super::{Plan, PlannedService};
use crate::{
    services::{Agent, ServiceKind, service},
    topology::Cluster,
};

impl Plan {
    /// The kind of service by which a host is a PostgreSQL node; `None`: it is none.
    pub fn node_kind(&self, host: &str) -> Option<ServiceKind> {
        self.node_service(host).map(|planned| planned.kind)
    }

    /// The service by which a host is a PostgreSQL node; `None`: it is none.
    pub fn node_service(&self, host: &str) -> Option<&PlannedService> {
        self.services.iter().find(|planned| planned.host == host && planned.kind.is_node())
    }

    /// The kinds of service that are nodes here, each once.
    pub fn node_kinds(&self) -> Vec<ServiceKind> {
        self.kinds().into_iter().filter(|kind| service(*kind).is_node()).collect()
    }

    /// The agent that keeps a node; `None`: nobody does, or it is no node.
    pub fn agent_of(&self, node: &str) -> Option<&'static Agent> {
        service(self.node_kind(node)?).node()?.agent.as_ref()
    }

    /// The nodes that an agent keeps.
    pub fn nodes_with_agents(&self) -> impl Iterator<Item = (&String, &'static Agent)> {
        self.nodes.iter().filter_map(|node| Some((node, self.agent_of(node)?)))
    }

    /// The nodes whose hosts have a watchdog.
    pub fn nodes_with_watchdogs(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(String::as_str).filter(|node| self.watchdog_timeout_s(node).is_some())
    }

    /// How long a leader may leave the watchdog of its host unfed, in seconds; `None`: it has none.
    pub fn watchdog_timeout_s(&self, node: &str) -> Option<u32> {
        self.agent_of(node)?;
        self.settings_of(self.cluster_of(node)?).patroni.watchdog_timeout_s()
    }

    /// Whether a node of the plan takes over by itself when a primary is lost.
    pub fn fails_over_by_itself(&self) -> bool {
        self.nodes_with_agents().next().is_some()
    }

    /// Whether the primary of a cluster waits for a standby before it acknowledges a commit.
    pub fn is_synchronous(&self, cluster: &Cluster) -> bool {
        let settings = self.settings_of(cluster);
        let parameters = &settings.postgresql.parameters;
        let named = |(name, value): (&String, &String)| {
            name.eq_ignore_ascii_case("synchronous_standby_names") && !value.trim().is_empty()
        };
        settings.patroni.synchronous_mode || parameters.iter().any(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::load;

    fn plan(name: &str) -> Plan {
        Plan::new(load(name, &[]).expect("a built-in topology"))
    }

    #[test]
    fn nodes_without_an_agent_are_nodes_and_nothing_is_predicted_of_them() {
        let by_hand = plan("sync-manual");
        assert_eq!(by_hand.nodes, ["node1", "node2", "node3"]);
        assert_eq!(by_hand.node_kinds(), [ServiceKind::Postgresql]);
        assert!(by_hand.nodes_with_agents().next().is_none() && !by_hand.fails_over_by_itself());
        assert!(by_hand.dcs.is_empty() && by_hand.predicted.outage(true).most_ms == 0);
        assert!(by_hand.is_synchronous(&by_hand.clusters[0]));
        let asynchronous = plan("async-manual");
        assert!(!asynchronous.is_synchronous(&asynchronous.clusters[0]));
    }

    #[test]
    fn nodes_under_patroni_have_agents() {
        let kept = plan("single-region-sync");
        assert_eq!(kept.node_kind("node1"), Some(ServiceKind::Patroni));
        assert_eq!(kept.node_kind("proxy"), None);
        assert!(kept.agent_of("node2").is_some() && kept.agent_of("proxy").is_none());
        assert!(kept.is_synchronous(&kept.clusters[0]) && kept.fails_over_by_itself());
    }
}

//! What a scenario can aim a fault at: a host by name, or by the role that it has when the fault comes.

use std::fmt;

use super::FaultError;
use crate::{cluster::Cluster, topology::ServiceKind};

/// A host, named or by its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Primary,
    Standby,
    SynchronousStandby,
    DcsLeader,
    Proxy,
    Host(String),
}

/// The words for roles, as scenarios write them.
const ROLES: &[(&str, Target)] = &[
    ("the primary", Target::Primary),
    ("a standby", Target::Standby),
    ("the synchronous standby", Target::SynchronousStandby),
    ("the etcd leader", Target::DcsLeader),
    ("the proxy", Target::Proxy),
];

impl Target {
    /// What the regular expression of the step parameter `{target}` matches.
    pub const PATTERN: &str = "the primary|a standby|the synchronous standby|the etcd leader|the proxy|[a-z][a-z0-9-]*";

    /// Reads what a step says. Any other word is taken for a host's name.
    pub fn parse(text: &str) -> Self {
        let role = ROLES.iter().find(|(words, _)| *words == text);
        role.map_or_else(|| Target::Host(text.to_owned()), |(_, target)| target.clone())
    }

    /// The host that it means now.
    pub async fn resolve(&self, cluster: &Cluster) -> Result<String, FaultError> {
        let missing = |what: &str| FaultError::NoTarget(what.to_owned());
        match self {
            Target::Primary => cluster.primary().await.ok_or_else(|| missing("primary")),
            Target::Standby => cluster.standbys().await.into_iter().next().ok_or_else(|| missing("standby")),
            Target::SynchronousStandby => {
                cluster.synchronous_standby().await.ok_or_else(|| missing("synchronous standby"))
            }
            Target::DcsLeader => cluster.dcs_leader().await.ok_or_else(|| missing("etcd leader")),
            Target::Proxy => cluster
                .plan()
                .hosts_with(ServiceKind::Haproxy)
                .next()
                .map(str::to_owned)
                .ok_or_else(|| missing("proxy")),
            Target::Host(name) if cluster.pod(name).is_some() => Ok(name.clone()),
            Target::Host(name) => {
                let known: Vec<&str> = cluster.pods().map(|pod| pod.host.as_str()).collect();
                Err(missing(&format!("host `{name}` (there are {})", known.join(", "))))
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Host(name) => formatter.write_str(name),
            role => {
                let words = ROLES.iter().find(|(_, target)| target == role).map_or("", |(words, _)| words);
                formatter.write_str(words)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_names_are_told_apart() {
        assert_eq!(Target::parse("the primary"), Target::Primary);
        assert_eq!(Target::parse("node2"), Target::Host("node2".to_owned()));
        let pattern = regex::Regex::new(&format!("^(?:{})$", Target::PATTERN)).unwrap();
        assert!(ROLES.iter().all(|(words, _)| pattern.is_match(words)));
    }
}

//! What a scenario can aim a fault at: hosts by name, or by the role that they have when the fault comes.

use std::{fmt, sync::LazyLock};

use regex::Regex;

use super::FaultError;
use crate::{
    plan::Plan,
    suggestion::did_you_mean,
    system::{Found, System},
};

/// Hosts, each named or by its role: `the primary`, `node1 and node2`, `region eu`, `zone a`, `the rest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Role(Role),
    Region(String),
    Zone(String),
    Host(String),
}

/// What a host can be at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Primary,
    Standby,
    Standbys,
    SynchronousStandby,
    DcsLeader,
    DcsFollower,
    DcsMembers,
    Nodes,
    Proxy,
    Everything,
    Rest,
    Clients,
}

/// The words for roles, as scenarios write them.
const ROLES: &[(&str, Role)] = &[
    ("the primary", Role::Primary),
    ("a standby", Role::Standby),
    ("the standbys", Role::Standbys),
    ("the synchronous standby", Role::SynchronousStandby),
    ("the etcd leader", Role::DcsLeader),
    ("an etcd follower", Role::DcsFollower),
    ("the etcd members", Role::DcsMembers),
    ("the nodes", Role::Nodes),
    ("the proxy", Role::Proxy),
    ("every host", Role::Everything),
    ("the rest", Role::Rest),
    ("the clients", Role::Clients),
];

/// What stands for the harness's own clients in a list of hosts. They come from outside, through the network's
/// gateway; only a partition can be aimed at them.
pub const CLIENTS: &str = "clients";

impl Target {
    /// What the regular expression of the step parameter `{target}` matches.
    #[doc(hidden)]
    pub fn pattern() -> String {
        let roles: Vec<&str> = ROLES.iter().map(|(words, _)| *words).collect();
        let part = format!("(?:{}|(?:region|zone) [a-z][a-z0-9-]*|[a-z][a-z0-9-]*)", roles.join("|"));
        format!("{part}(?:(?:, | and ){part})*")
    }

    /// Reads what a step says at `{target}`. Any other word is taken for a host's name.
    pub fn parse(text: &str) -> Self {
        let listed = text.replace(" and ", ", ");
        let part = |words: &str| match ROLES.iter().find(|(role, _)| *role == words) {
            Some((_, role)) => Part::Role(*role),
            None => match words.split_once(' ') {
                Some(("region", region)) => Part::Region(region.to_owned()),
                Some(("zone", zone)) => Part::Zone(zone.to_owned()),
                _ => Part::Host(words.to_owned()),
            },
        };
        Self(listed.split(", ").map(|words| part(words.trim())).collect())
    }

    /// The primary, whoever it is when the fault comes.
    pub fn primary() -> Self {
        Self(vec![Part::Role(Role::Primary)])
    }

    /// Reads a list of hosts that stands anywhere; `None` if it is none.
    #[doc(hidden)]
    pub fn read(text: &str) -> Option<Self> {
        static WHOLE: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(&format!("^(?:{})$", Target::pattern())).ok());
        WHOLE.as_ref().is_some_and(|whole| whole.is_match(text)).then(|| Self::parse(text))
    }

    /// The hosts that it means while these roles hold, each once. `the rest` is every host but those of `aimed`.
    #[doc(hidden)]
    pub fn resolve(&self, plan: &Plan, roles: &Roles, aimed: &[String]) -> Result<Vec<String>, FaultError> {
        let mut hosts = Vec::new();
        for part in &self.0 {
            for host in part.resolve(plan, roles, aimed)? {
                if !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
        }
        Ok(hosts)
    }

    /// What the report says of how its hosts were found.
    #[doc(hidden)]
    pub fn note(&self, roles: &Roles) -> Option<&'static str> {
        roles.primary_note.filter(|_| self.names(Role::Primary))
    }

    fn names(&self, role: Role) -> bool {
        self.0.contains(&Part::Role(role))
    }
}

impl Part {
    fn resolve(&self, plan: &Plan, roles: &Roles, aimed: &[String]) -> Result<Vec<String>, FaultError> {
        match self {
            Part::Role(role) => {
                let hosts = role.hosts(plan, roles, aimed);
                if hosts.is_empty() { Err(FaultError::NoTarget(role.words().to_owned())) } else { Ok(hosts) }
            }
            Part::Region(name) => {
                let regions = &plan.topology.regions;
                let names: Vec<&str> = regions.iter().map(|region| region.name.as_str()).collect();
                let missing = || FaultError::NoTarget(format!("region `{name}` ({})", did_you_mean(name, &names)));
                let region = regions.iter().find(|region| region.name == *name).ok_or_else(missing)?;
                Ok(region.hosts.iter().map(|host| host.name.clone()).collect())
            }
            Part::Zone(name) => {
                let placed = plan.topology.hosts().filter_map(|host| Some((host.zone.as_deref()?, &host.name)));
                let placed: Vec<_> = placed.collect();
                let here: Vec<String> =
                    placed.iter().filter(|(zone, _)| zone == name).map(|(_, host)| (*host).clone()).collect();
                if placed.is_empty() {
                    return Err(FaultError::NoTarget(format!("zone `{name}` (no host of the topology has a `zone`)")));
                }
                if here.is_empty() {
                    let mut zones: Vec<&str> = placed.iter().map(|(zone, _)| *zone).collect();
                    zones.dedup();
                    return Err(FaultError::NoTarget(format!("zone `{name}` ({})", did_you_mean(name, &zones))));
                }
                Ok(here)
            }
            Part::Host(name) if plan.topology.hosts().any(|host| host.name == *name) => Ok(vec![name.clone()]),
            Part::Host(name) => {
                let known: Vec<&str> = plan.topology.hosts().map(|host| host.name.as_str()).collect();
                Err(FaultError::NoTarget(format!("host `{name}` ({})", did_you_mean(name, &known))))
            }
        }
    }
}

impl Role {
    fn words(self) -> &'static str {
        ROLES.iter().find(|(_, role)| *role == self).map_or("", |(words, _)| words)
    }

    fn hosts(self, plan: &Plan, roles: &Roles, aimed: &[String]) -> Vec<String> {
        let members = || plan.dcs_members().map(str::to_owned);
        let everything = || plan.topology.hosts().map(|host| host.name.clone());
        match self {
            Role::Primary => roles.primary.iter().cloned().collect(),
            Role::Standby => roles.standbys.iter().take(1).cloned().collect(),
            Role::Standbys => roles.standbys.clone(),
            Role::SynchronousStandby => roles.synchronous_standby.iter().cloned().collect(),
            Role::DcsLeader => roles.dcs_leader.iter().cloned().collect(),
            Role::DcsFollower => members().filter(|member| Some(member) != roles.dcs_leader.as_ref()).take(1).collect(),
            Role::DcsMembers => members().collect(),
            Role::Nodes => plan.nodes.clone(),
            Role::Proxy => plan.balancers().map(|(host, _)| host.to_owned()).take(1).collect(),
            Role::Everything => everything().collect(),
            Role::Rest => everything().filter(|host| !aimed.contains(host)).collect(),
            Role::Clients => vec![CLIENTS.to_owned()],
        }
    }
}

/// Who has which role at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    pub primary: Option<String>,
    /// How the primary was found, if it does not say itself that it leads.
    pub primary_note: Option<&'static str>,
    /// The first is `a standby`.
    pub standbys: Vec<String>,
    pub synchronous_standby: Option<String>,
    pub dcs_leader: Option<String>,
}

impl Roles {
    /// Asks a system for the roles that targets name, and no others: a fault must come at its instant.
    pub async fn ask(system: &System, targets: &[&Target]) -> Self {
        let named = |role| targets.iter().any(|target| target.names(role));
        let mut roles = Self::default();
        if named(Role::Primary) {
            let primary = system.leader_or_last().await;
            roles.primary_note = match primary.as_ref().map(|primary| primary.found) {
                None | Some(Found::Answered) => None,
                Some(Found::HoldsLeaderKey) => Some("by the leader key, as no node says that it leads"),
                Some(Found::LedLast) => {
                    Some("which led last, as no node says that it leads and no leader key is found")
                }
            };
            roles.primary = primary.map(|primary| primary.node);
        }
        if named(Role::Standby) || named(Role::Standbys) {
            roles.standbys = system.standbys().await;
        }
        if named(Role::SynchronousStandby) {
            roles.synchronous_standby = system.synchronous_standby().await;
        }
        if named(Role::DcsLeader) || named(Role::DcsFollower) {
            roles.dcs_leader = system.dcs_leader().await;
        }
        roles
    }

    /// Every way in which the hosts of a plan can have the roles, while all of them live.
    pub fn possible(plan: &Plan) -> Vec<Self> {
        let members: Vec<&str> = plan.dcs_members().collect();
        let mut found = Vec::new();
        for primary in &plan.nodes {
            let others: Vec<String> = plan.nodes.iter().filter(|node| *node != primary).cloned().collect();
            // Any of the others can be the one that `a standby` or `the synchronous standby` means.
            for first in 0..others.len().max(1) {
                let mut standbys = others.clone();
                standbys.rotate_left(first);
                let synchronous_mode = plan.topology.settings.patroni.synchronous_mode;
                let synchronous_standby = standbys.first().filter(|_| synchronous_mode).cloned();
                found.extend(members.iter().map(|member| Self {
                    primary: Some(primary.clone()),
                    primary_note: None,
                    standbys: standbys.clone(),
                    synchronous_standby: synchronous_standby.clone(),
                    dcs_leader: Some((*member).to_owned()),
                }));
            }
        }
        found
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        match parts.split_last() {
            Some((last, others)) if !others.is_empty() => write!(formatter, "{} and {last}", others.join(", ")),
            _ => formatter.write_str(&parts.concat()),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Role(role) => formatter.write_str(role.words()),
            Part::Region(name) => write!(formatter, "region {name}"),
            Part::Zone(name) => write!(formatter, "zone {name}"),
            Part::Host(name) => formatter.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_regions_and_names_are_told_apart_and_listed() {
        assert_eq!(Target::parse("the primary"), Target::primary());
        assert_eq!(Target::parse("node2"), Target(vec![Part::Host("node2".to_owned())]));
        let listed = Target::parse("region eu, the etcd leader, zone a and node1");
        assert_eq!(listed.0[0], Part::Region("eu".to_owned()));
        assert_eq!(listed.0[1], Part::Role(Role::DcsLeader));
        assert_eq!(listed.to_string(), "region eu, the etcd leader, zone a and node1");
        assert_eq!(listed.0[2], Part::Zone("a".to_owned()));
        assert_eq!(Target::parse(&listed.to_string()), listed);
    }

    #[test]
    fn the_pattern_takes_every_role_and_lists_of_them() {
        let pattern = regex::Regex::new(&format!("^(?:{})$", Target::pattern())).unwrap();
        assert!(ROLES.iter().all(|(words, _)| pattern.is_match(words)));
        assert!(pattern.is_match("node1, node2 and the proxy"));
        assert!(pattern.is_match("region eu-west"));
        assert!(!pattern.is_match("node1 or node2"));
    }
}

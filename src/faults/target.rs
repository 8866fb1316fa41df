//! What a scenario can aim a fault at: hosts by name, or by the role that they have in a cluster when the fault comes.

use std::{collections::BTreeMap, fmt, sync::LazyLock};

use regex::Regex;

use super::FaultError;
use crate::{
    plan::{Plan, PlannedService},
    services::{self, Instance, Instances, ServiceKind},
    suggestion::did_you_mean,
    system::{Found, RunningCluster, System},
    topology::Cluster,
};

/// Hosts, each named or by its role: `the primary`, `a standby of east`, `node1 and node2`, `region eu`, `zone a`, `the
/// haproxy west-balancer`, `the rest`. Where there are several clusters, a role names the one that it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// A role, in the cluster of this name if the words name one.
    Role(Role, Option<String>),
    Region(String),
    Zone(String),
    /// The host of the service of this kind and name.
    Service(Instance),
    Host(String),
}

/// What a host can be at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Primary,
    StandbyLeader,
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
    ("the standby leader", Role::StandbyLeader),
    ("a standby", Role::Standby),
    ("the standbys", Role::Standbys),
    ("the synchronous standby", Role::SynchronousStandby),
    ("the DCS leader", Role::DcsLeader),
    ("the etcd leader", Role::DcsLeader),
    ("a DCS follower", Role::DcsFollower),
    ("an etcd follower", Role::DcsFollower),
    ("the DCS members", Role::DcsMembers),
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
        let name = "[a-z][a-z0-9-]*";
        let kinds = kinds_with_names().map(ServiceKind::name).collect::<Vec<_>>().join("|");
        let part =
            format!("(?:(?:{})(?: of {name})?|the (?:{kinds}) {name}|(?:region|zone) {name}|{name})", roles.join("|"));
        format!("{part}(?:(?:, | and ){part})*")
    }

    /// Reads what a step says at `{target}`. Any other word is taken for a host's name.
    pub fn parse(text: &str) -> Self {
        let listed = text.replace(" and ", ", ");
        let role = |words: &str| ROLES.iter().find(|(known, _)| *known == words).map(|(_, role)| *role);
        let part = |words: &str| {
            let (of, owner) =
                words.split_once(" of ").map_or((words, None), |(of, owner)| (of, Some(owner.to_owned())));
            if let Some(role) = role(of) {
                return Part::Role(role, owner);
            }
            if let Some(service) = service_called(words) {
                return Part::Service(service);
            }
            match words.split_once(' ') {
                Some(("region", region)) => Part::Region(region.to_owned()),
                Some(("zone", zone)) => Part::Zone(zone.to_owned()),
                _ => Part::Host(words.to_owned()),
            }
        };
        Self(listed.split(", ").map(|words| part(words.trim())).collect())
    }

    /// The primary, whoever it is when the fault comes.
    pub fn primary() -> Self {
        Self(vec![Part::Role(Role::Primary, None)])
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

    /// The services that it names.
    #[doc(hidden)]
    pub fn services(&self) -> Vec<Instance> {
        let named = |part: &Part| if let Part::Service(service) = part { Some(service.clone()) } else { None };
        self.0.iter().filter_map(named).collect()
    }

    /// What the report says of how its hosts were found.
    #[doc(hidden)]
    pub fn note(&self, roles: &Roles) -> Option<&'static str> {
        roles.primary_note.filter(|_| self.0.iter().any(|part| matches!(part, Part::Role(Role::Primary, _))))
    }

    /// Whether it names one of these roles in a cluster of this name; a role without an owner is that of any.
    fn names(&self, wanted: &[Role], cluster: &str) -> bool {
        let is_meant = |part: &Part| match part {
            Part::Role(role, of) => wanted.contains(role) && of.as_ref().is_none_or(|of| of == cluster),
            _ => false,
        };
        self.0.iter().any(is_meant)
    }
}

/// The kinds of service of which a topology may give each a name.
fn kinds_with_names() -> impl Iterator<Item = ServiceKind> {
    services::ALL.iter().filter(|row| row.instances == Instances::Several).map(|row| row.kind)
}

/// The service that words such as `the haproxy west-balancer` name.
fn service_called(words: &str) -> Option<Instance> {
    let (kind, name) = words.strip_prefix("the ")?.split_once(' ')?;
    let kind = kinds_with_names().find(|known| known.name() == kind)?;
    Some(Instance { kind, own_name: Some(name.to_owned()) })
}

impl Part {
    fn resolve(&self, plan: &Plan, roles: &Roles, aimed: &[String]) -> Result<Vec<String>, FaultError> {
        match self {
            Part::Role(role, of) => {
                let cluster = owner(plan, *role, of.as_deref())?;
                if *role == Role::Proxy {
                    only_balancer(plan, cluster, role.words())?;
                }
                let hosts = role.hosts(plan, cluster, roles.of(cluster), aimed);
                if hosts.is_empty() { Err(FaultError::NoTarget(self.to_string())) } else { Ok(hosts) }
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
            Part::Service(service) => {
                let of_kind = || plan.services.iter().filter(|planned| planned.kind == service.kind);
                if let Some(planned) = of_kind().find(|planned| planned.instance() == *service) {
                    return Ok(vec![planned.host.clone()]);
                }
                let known: Vec<&str> = of_kind().filter_map(|planned| planned.name.as_deref()).collect();
                let hint = match known.is_empty() {
                    true => "the topology gives none a name".to_owned(),
                    false => did_you_mean(service.name(), &known),
                };
                Err(FaultError::NoTarget(format!("{} `{}` ({hint})", service.kind.name(), service.name())))
            }
            Part::Host(name) if plan.topology.hosts().any(|host| host.name == *name) => Ok(vec![name.clone()]),
            Part::Host(name) => {
                let known: Vec<&str> = plan.topology.hosts().map(|host| host.name.as_str()).collect();
                Err(FaultError::NoTarget(format!("host `{name}` ({})", did_you_mean(name, &known))))
            }
        }
    }
}

/// The balancers that stand beside a cluster.
fn balancers<'p>(plan: &'p Plan, cluster: &'p Cluster) -> impl Iterator<Item = &'p PlannedService> {
    let is_beside = |own: &&PlannedService| plan.cluster_beside(own).is_some_and(|beside| beside.name == cluster.name);
    plan.balancers().filter(is_beside)
}

/// Refuses words for the one balancer of a cluster that has several.
fn only_balancer(plan: &Plan, cluster: &Cluster, words: &'static str) -> Result<(), FaultError> {
    let ways = balancers(plan, cluster).map(|own| match &own.name {
        Some(_) => format!("`the {}`", own.instance()),
        None => format!("`{}`", own.host),
    });
    let ways: Vec<String> = ways.collect();
    if ways.len() > 1 { Err(FaultError::Ambiguous { words, ways: ways.join(" or ") }) } else { Ok(()) }
}

/// The cluster in which a role is meant.
fn owner<'p>(plan: &'p Plan, role: Role, of: Option<&str>) -> Result<&'p Cluster, FaultError> {
    let known: Vec<&str> = plan.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    match of {
        Some(name) if !role.is_of_a_cluster() => {
            Err(FaultError::NoTarget(format!("`{} of {name}`: these words mean no cluster's", role.words())))
        }
        Some(name) => plan
            .cluster(name)
            .ok_or_else(|| FaultError::NoTarget(format!("cluster `{name}` ({})", did_you_mean(name, &known)))),
        None if known.len() > 1 && role.is_of_a_cluster() => {
            let ways: Vec<String> = known.iter().map(|name| format!("`{} of {name}`", role.words())).collect();
            Err(FaultError::Ambiguous { words: role.words(), ways: ways.join(" or ") })
        }
        None => plan.clusters.first().ok_or_else(|| FaultError::NoTarget("cluster".to_owned())),
    }
}

impl Role {
    fn words(self) -> &'static str {
        ROLES.iter().find(|(_, role)| *role == self).map_or("", |(words, _)| words)
    }

    /// Whether each cluster has its own.
    fn is_of_a_cluster(self) -> bool {
        !matches!(self, Role::Everything | Role::Rest | Role::Clients)
    }

    fn hosts(self, plan: &Plan, cluster: &Cluster, roles: &ClusterRoles, aimed: &[String]) -> Vec<String> {
        let everything = || plan.topology.hosts().map(|host| host.name.clone());
        match self {
            Role::Primary => roles.primary.iter().cloned().collect(),
            Role::StandbyLeader => roles.standby_leader.iter().cloned().collect(),
            Role::Standby => roles.standbys.iter().take(1).cloned().collect(),
            Role::Standbys => roles.standbys.clone(),
            Role::SynchronousStandby => roles.synchronous_standby.iter().cloned().collect(),
            Role::DcsLeader => roles.dcs_leader.iter().cloned().collect(),
            Role::DcsFollower => {
                let others = cluster.dcs.iter().filter(|member| Some(*member) != roles.dcs_leader.as_ref());
                others.take(1).cloned().collect()
            }
            Role::DcsMembers => cluster.dcs.clone(),
            Role::Nodes => cluster.nodes.clone(),
            Role::Proxy => balancers(plan, cluster).map(|own| own.host.clone()).collect(),
            Role::Everything => everything().collect(),
            Role::Rest => everything().filter(|host| !aimed.contains(host)).collect(),
            Role::Clients => vec![CLIENTS.to_owned()],
        }
    }
}

/// Who has which role at one moment, in each cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    clusters: BTreeMap<String, ClusterRoles>,
    /// How the primary was found, if it does not say itself that it leads.
    pub primary_note: Option<&'static str>,
}

/// Who has which role in a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterRoles {
    pub primary: Option<String>,
    /// The node that leads while the cluster follows another one.
    pub standby_leader: Option<String>,
    /// The first is `a standby`.
    pub standbys: Vec<String>,
    pub synchronous_standby: Option<String>,
    pub dcs_leader: Option<String>,
}

impl Roles {
    /// The roles in a cluster.
    fn of(&self, cluster: &Cluster) -> &ClusterRoles {
        static NOBODY: ClusterRoles = ClusterRoles {
            primary: None,
            standby_leader: None,
            standbys: Vec::new(),
            synchronous_standby: None,
            dcs_leader: None,
        };
        self.clusters.get(&cluster.name).unwrap_or(&NOBODY)
    }

    /// Whether a node is the primary of its cluster.
    pub fn is_primary(&self, node: &str) -> bool {
        self.clusters.values().any(|roles| roles.primary.as_deref() == Some(node))
    }

    /// Asks a system for the roles that targets name, and no others: a fault must come at its instant.
    pub async fn ask(system: &System, targets: &[&Target]) -> Self {
        let mut found = Self::default();
        for cluster in system.clusters() {
            let named = |roles: &[Role]| targets.iter().any(|target| target.names(roles, &cluster.plan().name));
            let mut roles = ClusterRoles::default();
            if named(&[Role::Primary]) {
                (roles.primary, found.primary_note) = primary(system, cluster).await;
            }
            if named(&[Role::StandbyLeader]) {
                roles.standby_leader = cluster.standby_leader().await;
            }
            if named(&[Role::Standby, Role::Standbys]) {
                roles.standbys = cluster.standbys().await;
            }
            if named(&[Role::SynchronousStandby]) {
                roles.synchronous_standby = cluster.synchronous_standby().await;
            }
            if named(&[Role::DcsLeader, Role::DcsFollower]) {
                roles.dcs_leader = match system.plan().dcs_of(cluster.plan()) {
                    Some(dcs) => system.dcs_leader(dcs).await,
                    None => None,
                };
            }
            found.clusters.insert(cluster.plan().name.clone(), roles);
        }
        found
    }

    /// Ways in which the hosts of a plan can have the roles, while all of them live: of one cluster every way, of several
    /// each cluster's ways side by side.
    pub fn possible(plan: &Plan) -> Vec<Self> {
        let ways: Vec<(&String, Vec<ClusterRoles>)> =
            plan.clusters.iter().map(|cluster| (&cluster.name, ClusterRoles::possible(plan, cluster))).collect();
        let most = ways.iter().map(|(_, ways)| ways.len()).max().unwrap_or_default();
        let nth = |index: usize| {
            let of = |(name, ways): &(&String, Vec<ClusterRoles>)| {
                Some(((*name).clone(), ways.get(index % ways.len().max(1))?.clone()))
            };
            Self { clusters: ways.iter().filter_map(of).collect(), primary_note: None }
        };
        (0..most).map(nth).collect()
    }
}

impl ClusterRoles {
    fn possible(plan: &Plan, cluster: &Cluster) -> Vec<Self> {
        let synchronous = plan.is_synchronous(cluster);
        // Without a DCS nobody leads one.
        let members: Vec<Option<&String>> = match cluster.dcs.as_slice() {
            [] => vec![None],
            members => members.iter().map(Some).collect(),
        };
        let mut found = Vec::new();
        for leader in &cluster.nodes {
            let others: Vec<String> = cluster.nodes.iter().filter(|node| *node != leader).cloned().collect();
            // Any of the others can be the one that `a standby` or `the synchronous standby` means.
            for first in 0..others.len().max(1) {
                let mut standbys = others.clone();
                standbys.rotate_left(first);
                found.extend(members.iter().map(|member| Self {
                    // One that follows becomes a primary when it is promoted.
                    primary: Some(leader.clone()),
                    standby_leader: cluster.follows.as_ref().map(|_| leader.clone()),
                    standbys: standbys.clone(),
                    synchronous_standby: standbys.first().filter(|_| synchronous).cloned(),
                    dcs_leader: member.cloned(),
                }));
            }
        }
        found
    }
}

/// The primary of a cluster, with a note if it does not say itself that it leads.
async fn primary(system: &System, cluster: RunningCluster<'_>) -> (Option<String>, Option<&'static str>) {
    let found = system.primary_of(cluster).await;
    let note = match found.as_ref().map(|primary| primary.found) {
        None | Some(Found::Answered) => None,
        Some(Found::HoldsLeaderKey) => Some("by the leader key, as no node says that it leads"),
        Some(Found::LedLast) => Some("which led last, as no node says that it leads and no leader key is found"),
    };
    (found.map(|primary| primary.node), note)
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
            Part::Role(role, None) => formatter.write_str(role.words()),
            Part::Role(role, Some(of)) => write!(formatter, "{} of {of}", role.words()),
            Part::Region(name) => write!(formatter, "region {name}"),
            Part::Zone(name) => write!(formatter, "zone {name}"),
            Part::Service(service) => write!(formatter, "the {service}"),
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
        assert_eq!(listed.0[1], Part::Role(Role::DcsLeader, None));
        assert_eq!(listed.to_string(), "region eu, the DCS leader, zone a and node1");
        assert_eq!(Target::parse("a standby of east").0, [Part::Role(Role::Standby, Some("east".to_owned()))]);
        assert_eq!(listed.0[2], Part::Zone("a".to_owned()));
        assert_eq!(Target::parse(&listed.to_string()), listed);
    }

    fn two_balancers() -> Plan {
        Plan::new(crate::topology::load("two-balancers", &[]).unwrap())
    }

    #[test]
    fn a_service_is_called_by_its_kind_and_name() {
        let reads = Target::parse("the haproxy reads");
        assert_eq!(reads.to_string(), "the haproxy reads");
        assert_eq!(reads.services(), [Instance { kind: ServiceKind::Haproxy, own_name: Some("reads".to_owned()) }]);
        let hosts = |words: &str| Target::parse(words).resolve(&two_balancers(), &Roles::default(), &[]);
        assert_eq!(hosts("the haproxy reads and node1").unwrap(), ["proxy", "node1"]);
        let unknown = hosts("the haproxy raeds").unwrap_err().to_string();
        assert!(unknown.contains("haproxy `raeds` (did you mean `reads`?"), "{unknown}");
    }

    #[test]
    fn the_proxy_of_several_is_none() {
        let several = Target::parse("the proxy").resolve(&two_balancers(), &Roles::default(), &[]).unwrap_err();
        assert_eq!(
            several.to_string(),
            "`the proxy` can mean several: write `the haproxy writes` or `the haproxy reads`"
        );
    }

    #[test]
    fn the_pattern_takes_every_role_and_lists_of_them() {
        let pattern = regex::Regex::new(&format!("^(?:{})$", Target::pattern())).unwrap();
        assert!(ROLES.iter().all(|(words, _)| pattern.is_match(words)));
        assert!(pattern.is_match("node1, node2 and the proxy"));
        assert!(pattern.is_match("region eu-west"));
        assert!(pattern.is_match("the haproxy west-balancer and node1"));
        assert!(pattern.is_match("the primary of west and a standby of east"));
        assert!(!pattern.is_match("node1 or node2"));
    }
}

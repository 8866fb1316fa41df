//! What faults of shaped links share: which listeners they hit, their toxics, and how each is measured.

mod fault;
mod probe;

use std::{collections::BTreeMap, time::Duration};

use futures::future::try_join_all;

use super::{Aim, FaultError, Parameter, Takes};
use crate::{
    cluster::Cluster,
    links::{Stream, Toxic, ToxicKind, listener_name},
    plan::Plan,
};

pub(super) use fault::{LinkFault, Measure, PADDING_BYTES, Shape};

/// Where a link ends; it begins at the hosts that the fault is aimed at.
pub(super) const TO: Parameter = Parameter::required("to", Takes::Hosts, "where the links end");
pub(super) const PORTS: Parameter =
    Parameter::optional("ports", Takes::Ports, "ports of the far host; without it, all that are shaped");
pub(super) const SHARE: Parameter =
    Parameter::with_default("share", Takes::Share, "100 %", "the share of connections that it hits");
pub(super) const LIMITS: &str = "only links that are shaped: those that the topology names under `links`, those that \
                                 cross regions, and those of `Given every link is shaped`";

/// A duration in the unit of Toxiproxy's API.
pub(super) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One listener of a shaped link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    pub from: String,
    pub to: String,
    pub port: u16,
}

/// The listeners that a fault is aimed at.
pub(super) fn ways(fault: &'static str, plan: &Plan, aim: &Aim) -> Result<Vec<Way>, FaultError> {
    let ports = aim.parameters.ports("ports");
    let far = aim.parameters.hosts("to");
    let mut ways = Vec::new();
    for from in &aim.hosts {
        for to in far.iter().filter(|to| *to != from) {
            let link = plan.link(from, to).ok_or_else(|| {
                aim.refuse(
                    fault,
                    format!("the link from {from} to {to} is not shaped; write `Given every link is shaped`"),
                )
            })?;
            if let Some(missing) = ports.iter().find(|port| !link.ports.contains(port)) {
                let reason = format!("port {missing} of the link from {from} to {to} is not shaped");
                return Err(aim.refuse(fault, reason));
            }
            let hit = link.ports.iter().filter(|port| ports.is_empty() || ports.contains(port));
            ways.extend(hit.map(|port| Way { from: from.clone(), to: to.clone(), port: *port }));
        }
    }
    if ways.is_empty() { Err(aim.refuse(fault, "it names no link")) } else { Ok(ways) }
}

impl std::fmt::Display for Way {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} to {}:{}", self.from, self.to, self.port)
    }
}

/// What a Toxiproxy is told of a toxic.
#[derive(Debug, Clone, Copy)]
enum Order {
    Add,
    Change,
    Remove,
}

/// Toxics on the listeners of some links, all of one kind.
struct Toxics {
    ways: Vec<Way>,
    toxics: Vec<Toxic>,
}

impl Toxics {
    /// Toxics of a fault, one for each stream; their names tell faults apart that are on at the same time.
    pub fn new(fault: &str, ways: Vec<Way>, share: f64, kinds: &[(Stream, ToxicKind)]) -> Self {
        let number = rand::random::<u32>();
        let toxic = |(index, (stream, kind)): (usize, &(Stream, ToxicKind))| Toxic {
            name: format!("{fault}-{number:08x}-{index}"),
            stream: *stream,
            // A share is between 0 and 1: nothing is lost that matters.
            toxicity: share as f32,
            kind: kind.clone(),
        };
        Self { ways, toxics: kinds.iter().enumerate().map(toxic).collect() }
    }

    /// The same toxics with other attributes; what they are called, and which stream they hit, stays.
    pub fn become_like(&mut self, kinds: &[(Stream, ToxicKind)], share: f64) {
        for (toxic, (_, kind)) in self.toxics.iter_mut().zip(kinds) {
            (toxic.kind, toxic.toxicity) = (kind.clone(), share as f32);
        }
    }

    /// Adds every toxic to every listener; each is read back.
    pub async fn add(&self, cluster: &Cluster) -> Result<(), FaultError> {
        self.tell(cluster, Order::Add).await
    }

    /// Has every listener's toxics changed to what they are now; each is read back.
    pub async fn change(&self, cluster: &Cluster) -> Result<(), FaultError> {
        self.tell(cluster, Order::Change).await
    }

    /// Removes the toxics from every listener.
    pub async fn remove(&self, cluster: &Cluster) -> Result<(), FaultError> {
        self.tell(cluster, Order::Remove).await
    }

    async fn tell(&self, cluster: &Cluster, order: Order) -> Result<(), FaultError> {
        let tell = |way: &Way| {
            let (toxiproxy, listener) = (cluster.toxiproxy(&way.from), listener_name(&way.to, way.port));
            async move {
                let Some(toxiproxy) = toxiproxy else { return Ok(()) };
                for toxic in &self.toxics {
                    match order {
                        Order::Add => toxiproxy.add(&listener, toxic).await?,
                        Order::Change => toxiproxy.change(&listener, toxic).await?,
                        Order::Remove => toxiproxy.remove(&listener, &toxic.name).await?,
                    }
                }
                Ok::<_, FaultError>(())
            }
        };
        try_join_all(self.ways.iter().map(tell)).await.map(|_| ())
    }

    /// On how many listeners the toxics are, by the Toxiproxies' own word.
    pub async fn listed(&self, cluster: &Cluster) -> Result<usize, String> {
        let mut listed = 0;
        for way in &self.ways {
            let Some(toxiproxy) = cluster.toxiproxy(&way.from) else { continue };
            let held = toxiproxy.toxics(&listener_name(&way.to, way.port)).await.map_err(|error| error.to_string())?;
            listed += usize::from(self.toxics.iter().all(|toxic| held.contains(toxic)));
        }
        Ok(listed)
    }

    /// The proof that every listener has them.
    pub async fn are_listed(&self, cluster: &Cluster) -> Result<String, String> {
        let (listed, wanted) = (self.listed(cluster).await?, self.ways.len());
        if listed == wanted {
            Ok(format!("Toxiproxy lists it on {listed} of {wanted} listeners"))
        } else {
            Err(format!("Toxiproxy lists it on {listed} of {wanted} listeners only"))
        }
    }

    /// The proof that no listener has any of them.
    pub async fn are_gone(&self, cluster: &Cluster) -> Result<String, String> {
        match self.listed(cluster).await? {
            0 => Ok(format!("Toxiproxy lists it on none of {} listeners", self.ways.len())),
            left => Err(format!("Toxiproxy still lists it on {left} listeners")),
        }
    }

    /// One listener for each pair of hosts, to probe: the first that serves a protocol the probes speak.
    pub fn one_a_link(&self) -> Vec<&Way> {
        let mut links: BTreeMap<(&str, &str), &Way> = BTreeMap::new();
        for way in &self.ways {
            links.entry((&way.from, &way.to)).or_insert(way);
        }
        links.into_values().collect()
    }
}

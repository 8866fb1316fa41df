//! What faults of shaped links share: which connections they hit, their toxics, and how each is measured.
//!
//! A link is the data that one host sends to another. It runs over connections that either of the two has opened, so a
//! fault has toxics at both ends: upstream where the sender opened the connection, downstream where the receiver did.

mod effect;
mod fault;
pub(super) mod link_bandwidth;
pub(super) mod link_latency;
pub(super) mod link_limit_data;
pub(super) mod link_reset_peer;
pub(super) mod link_slicer;
pub(super) mod link_slow_close;
pub(super) mod link_timeout;
mod probe;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::try_join_all;

use super::{Aim, FaultError, Parameter, Takes};
use crate::{
    links::{Stream, Toxic, ToxicKind, listener_name},
    plan::{Plan, PlannedService},
    system::System,
    topology::Instance,
};

pub(super) use fault::{LinkFault, Shape};

/// Where a link ends; it begins at the hosts that the fault is aimed at.
pub(super) const TO: Parameter = Parameter::required("to", Takes::Hosts, "where the links end");
pub(super) const PORTS: Parameter = Parameter::optional(
    "ports",
    Takes::Ports,
    "only connections to a service at one of these ports, at either end; without it, at all that are shaped",
);
pub(super) const SHARE: Parameter =
    Parameter::with_default("share", Takes::Share, "100 %", "the share of connections that it hits");
/// Which data a fault hits.
pub(super) const DIRECTION: Parameter = direction("out");
pub(super) const LIMITS: &str = "only links that are shaped: those that the topology names under `links`, those that \
                                 cross regions, and those of `Given every link is shaped`";

/// The parameter `direction`, for a fault that hits this one by itself.
pub(super) const fn direction(default: &'static str) -> Parameter {
    let meaning = "which data it hits, as the hosts that it is aimed at see it, whoever opened the connection";
    Parameter::with_default("direction", Takes::OneOf(&["out", "in", "both"]), default, meaning)
}

/// A duration in the unit of Toxiproxy's API.
pub(super) fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Connections that one host opens to a port of another: one listener of the opener's Toxiproxy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    /// The host that opens the connections.
    pub opener: String,
    pub far: String,
    /// The far host's port.
    pub port: u16,
}

/// What a fault does to the connections of one way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hit {
    pub way: Way,
    /// The services that listen at its end.
    pub behind: Vec<Instance>,
    /// What becomes of the data that the opener sends.
    pub there: Option<ToxicKind>,
    /// What becomes of the data that the opener gets.
    pub back: Option<ToxicKind>,
}

/// What a fault does to every way between the hosts that it names. Data that is named twice (`every host` to `every
/// host`) is hit once.
pub(super) fn hits(fault: &'static str, plan: &Plan, aim: &Aim, shape: &Shape) -> Result<Vec<Hit>, FaultError> {
    let ports = aim.parameters.ports("ports");
    let far = aim.parameters.hosts("to");
    let mut data: BTreeMap<(&str, &str), &ToxicKind> = BTreeMap::new();
    for from in &aim.hosts {
        for to in far.iter().filter(|to| *to != from) {
            check_shaped(fault, plan, aim, (from, to))?;
            if let Some(kind) = &shape.out {
                data.entry((from, to)).or_insert(kind);
            }
            if let Some(kind) = &shape.inward {
                data.entry((to, from)).or_insert(kind);
            }
        }
    }
    let ends: BTreeSet<(&str, &str)> = data.keys().flat_map(|(from, to)| [(*from, *to), (*to, *from)]).collect();
    let links = ends.iter().filter_map(|(from, to)| plan.link(from, to));
    let hits: Vec<Hit> = links
        .flat_map(|link| link.ports.iter().map(move |port| (link, *port)))
        .filter(|(_, port)| ports.is_empty() || ports.contains(port))
        .map(|(link, port)| Hit {
            way: Way { opener: link.from.clone(), far: link.to.clone(), port },
            behind: plan.watched_at(&link.to, port).map(PlannedService::instance).collect(),
            there: data.get(&(link.from.as_str(), link.to.as_str())).map(|kind| (*kind).clone()),
            back: data.get(&(link.to.as_str(), link.from.as_str())).map(|kind| (*kind).clone()),
        })
        .collect();
    if hits.is_empty() { Err(aim.refuse(fault, "it names no link")) } else { Ok(hits) }
}

/// Refuses two hosts whose connections are not led through Toxiproxies.
fn check_shaped(fault: &'static str, plan: &Plan, aim: &Aim, (from, to): (&str, &str)) -> Result<(), FaultError> {
    let links = [plan.link(from, to), plan.link(to, from)];
    let shaped: Vec<u16> = links.into_iter().flatten().flat_map(|link| link.ports.iter().copied()).collect();
    if shaped.is_empty() {
        let reason = format!("the link from {from} to {to} is not shaped; write `Given every link is shaped`");
        return Err(aim.refuse(fault, reason));
    }
    match aim.parameters.ports("ports").iter().find(|port| !shaped.contains(port)) {
        Some(port) => Err(aim.refuse(fault, format!("port {port} of the link from {from} to {to} is not shaped"))),
        None => Ok(()),
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} to {}:{}", self.opener, self.far, self.port)
    }
}

/// What is done with a toxic at its Toxiproxy.
#[derive(Debug, Clone, Copy)]
enum Order {
    Add,
    Change,
    Remove,
}

/// The toxics of a fault, on the listeners of every way that it hits.
struct Toxics {
    hits: Vec<Hit>,
    /// Distinguishes faults that are on at the same time.
    name: String,
    /// The share of connections that they hit.
    share: f64,
}

impl Toxics {
    pub fn new(fault: &str, hits: Vec<Hit>, share: f64) -> Self {
        Self { hits, name: format!("{fault}-{:08x}", rand::random::<u32>()), share }
    }

    /// The toxics of one way's listener.
    fn of(&self, hit: &Hit) -> Vec<Toxic> {
        let toxic = |stream, kind: &Option<ToxicKind>, word: &str| {
            let name = format!("{}-{word}", self.name);
            // A share is between 0 and 1: nothing is lost that matters.
            kind.clone().map(|kind| Toxic { name, stream, toxicity: self.share as f32, kind })
        };
        let there = toxic(Stream::Upstream, &hit.there, "there");
        there.into_iter().chain(toxic(Stream::Downstream, &hit.back, "back")).collect()
    }

    /// Adds every toxic to its listener; each is read back.
    pub async fn add(&self, system: &System) -> Result<(), FaultError> {
        self.tell(system, Order::Add).await
    }

    /// Has every toxic changed to what it is now; each is read back.
    pub async fn change(&self, system: &System) -> Result<(), FaultError> {
        self.tell(system, Order::Change).await
    }

    /// Removes every toxic.
    pub async fn remove(&self, system: &System) -> Result<(), FaultError> {
        self.tell(system, Order::Remove).await
    }

    async fn tell(&self, system: &System, order: Order) -> Result<(), FaultError> {
        let tell = |hit: &Hit| {
            let (toxiproxy, toxics) = (system.toxiproxy(&hit.way.opener), self.of(hit));
            let listener = listener_name(&hit.way.far, hit.way.port);
            async move {
                let Some(toxiproxy) = toxiproxy else { return Ok(()) };
                for toxic in &toxics {
                    match order {
                        Order::Add => toxiproxy.add(&listener, toxic).await?,
                        Order::Change => toxiproxy.change(&listener, toxic).await?,
                        Order::Remove => toxiproxy.remove(&listener, toxic).await?,
                    }
                }
                Ok::<_, FaultError>(())
            }
        };
        try_join_all(self.hits.iter().map(tell)).await.map(|_| ())
    }

    /// How many of the toxics there are, as the Toxiproxies say, and how many there should be.
    async fn listed(&self, system: &System) -> Result<(usize, usize), String> {
        let (mut listed, mut wanted) = (0, 0);
        for hit in &self.hits {
            let Some(toxiproxy) = system.toxiproxy(&hit.way.opener) else { continue };
            let listener = listener_name(&hit.way.far, hit.way.port);
            let held = toxiproxy.toxics(&listener).await.map_err(|error| error.to_string())?;
            let own = self.of(hit);
            wanted += own.len();
            listed += own.iter().filter(|toxic| held.contains(toxic)).count();
        }
        Ok((listed, wanted))
    }

    /// The proof that every listener has its own.
    pub async fn are_listed(&self, system: &System) -> Result<String, String> {
        let (listed, wanted) = self.listed(system).await?;
        let told = format!("Toxiproxy lists {listed} of {wanted} toxics, on {} listeners", self.hits.len());
        if listed == wanted { Ok(told) } else { Err(told) }
    }

    /// The proof that no listener has any of them.
    pub async fn are_gone(&self, system: &System) -> Result<String, String> {
        match self.listed(system).await? {
            (0, wanted) => Ok(format!("Toxiproxy lists none of {wanted} toxics")),
            (left, _) => Err(format!("Toxiproxy still lists {left} toxics")),
        }
    }
}

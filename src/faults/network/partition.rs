//! `partition`: hosts on two sides hear nothing of each other, or one side nothing of the other.

use async_trait::async_trait;
use futures::future::{join, join_all, try_join, try_join_all};

use super::{
    cut::{Cut, Cuts, Manner},
    names::Nameless,
    probe::ask,
    reach,
};
use crate::{
    faults::{Aim, CLIENTS, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Takes},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "partition",
    effect: "packets between the hosts and those of `from` are dropped where they would arrive, those of established \
             connections too; a host that stands on both sides loses its own services behind the ports",
    confirmed_by: "over each way a connection gets no answer (or a reset) while the way's own rule counts packets; \
                   healed when no rule is left and connections are answered",
    limits: "clients reach hosts only through the ports of the topology's endpoints, and only those are cut; the \
             harness goes on watching through published ports",
    parameters: &[
        Parameter::with_default("from", Takes::Hosts, "the rest", "the other side"),
        Parameter::with_default(
            "direction",
            Takes::OneOf(&["both", "in", "out"]),
            "both",
            "which packets are cut off, as the hosts that it is aimed at see them",
        ),
        Parameter::optional("ports", Takes::Ports, "only conversations with services at these ports, on either side"),
        Parameter::optional(
            "conversations",
            Takes::OneOf(&["DCS"]),
            "only those between members of the DCS and their clients, at whatever ports its kind has",
        ),
        Parameter::with_default("by", Takes::OneOf(&["drop", "reject"]), "drop", "silence, or a reset at once"),
        Parameter::with_default(
            "names",
            Takes::OneOf(&["keep", "lose"]),
            "keep",
            "whether the hosts it is aimed at keep their name service",
        ),
    ],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Together,
    reaches_clients: true,
    aim,
};

struct Partition {
    cuts: Cuts,
    nameless: Option<Nameless>,
    services: Vec<(String, Instance)>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let parameters = &aim.parameters;
    let text = |name| parameters.text(name).unwrap_or_default();
    let ways = match text("direction").as_str() {
        "in" => (false, true),
        "out" => (true, false),
        _ => (true, true),
    };
    let mut ports = parameters.ports("ports");
    if text("conversations") == "DCS" {
        ports.extend(plan.dcs_client_ports());
    }
    let wanted = Cut::between(&aim.hosts, &parameters.hosts("from"), ways, &ports);
    let mut cuts = Vec::new();
    for cut in wanted {
        cuts.extend(as_clients_can(plan, aim, cut)?);
    }
    if cuts.is_empty() {
        return Err(aim.refuse(KIND.name, "there is nothing between it and the other side that could be cut"));
    }
    let services = reach::services_hit(plan, &cuts, &aim.hosts);
    let manner = if text("by") == "reject" { Manner::Reject } else { Manner::Drop };
    let hosts = aim.hosts.iter().filter(|host| *host != CLIENTS).cloned();
    let nameless = (text("names") == "lose").then(|| Nameless::new(hosts.collect()));
    Ok(Box::new(Partition { cuts: Cuts::new(cuts, manner), nameless, services }))
}

/// Between clients and a host there are only the ports of endpoints; without one there is nothing to cut.
fn as_clients_can(plan: &Plan, aim: &Aim, cut: Cut) -> Result<Option<Cut>, FaultError> {
    let host = match (cut.from.as_str(), cut.to.as_str()) {
        (CLIENTS, CLIENTS) => return Ok(None),
        (CLIENTS, host) | (host, CLIENTS) => host,
        _ => return Ok(Some(cut)),
    };
    if let Some(port) = cut.ports.iter().find(|port| !plan.published_ports(host).contains_key(port)) {
        return Err(aim.refuse(KIND.name, format!("clients do not reach port {port} of {host}: it is not published")));
    }
    let mut ports = cut.ports.clone();
    if ports.is_empty() {
        ports.extend(plan.endpoints_at(host).map(|endpoint| endpoint.at.port));
        ports.sort_unstable();
        ports.dedup();
    }
    Ok((!ports.is_empty()).then_some(Cut { ports, ..cut }))
}

#[async_trait]
impl Fault for Partition {
    fn services(&self) -> Vec<(String, Instance)> {
        self.services.clone()
    }

    fn stands_on(&self) -> Vec<Place> {
        let names = self.nameless.iter().flat_map(Nameless::stands_on);
        self.cuts.paths().into_iter().chain(names).collect()
    }

    fn takes_away(&self) -> Vec<Place> {
        self.cuts.paths_taken()
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        self.cuts.prepare(system);
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let names = join_all(self.nameless.iter().map(|nameless| nameless.inject(system)));
        let (cuts, names) = join(self.cuts.inject(system), names).await;
        names.into_iter().fold(cuts, Result::and)
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        // All at once: the proof must not take longer than that of one of them.
        let mut probes = self.cuts.probes();
        let of_cuts = probes.len();
        probes.extend(self.nameless.iter().flat_map(|nameless| nameless.probes(system)));
        let answers = ask(system, &probes).await?;
        let (of_cuts, of_names) = answers.split_at(of_cuts);
        let names = try_join_all(self.nameless.iter().map(|nameless| nameless.judge(system, of_names)));
        let (proof, names) = try_join(self.cuts.judge(system, of_cuts), names).await?;
        Ok([vec![proof], names].concat().join("; "))
    }

    fn heals_while_suspended(&self) -> bool {
        true
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        // Both are tried: what one can't undo must not stay because of the other.
        let cuts = self.cuts.heal(system).await;
        let names = match &self.nameless {
            Some(nameless) => nameless.heal(system).await,
            None => Ok(()),
        };
        cuts.and(names)
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let names = try_join_all(self.nameless.iter().map(|nameless| nameless.is_gone(system)));
        let (proof, names) = try_join(self.cuts.is_gone(system), names).await?;
        Ok([vec![proof], names].concat().join("; "))
    }
}

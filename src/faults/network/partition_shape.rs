//! `partition_shape`: hosts are cut from one another in one of the shapes that break distributed systems.

use async_trait::async_trait;

use super::{
    cut::{Cut, Cuts, Manner},
    reach,
};
use crate::{
    faults::{Aim, CLIENTS, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Takes},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "partition_shape",
    effect: "packets between some of the hosts are dropped both ways, those of established connections too: isolate \
             (one hears no other), halves (two groups that hear only themselves), majorities_ring (each hears a \
             majority, no two the same) or bridge (two groups that only one host connects)",
    confirmed_by: "over each way that is cut a connection gets no answer while the way's own rule counts packets; \
                   healed when no rule is left and connections are answered",
    limits: "two hosts at least, for a ring and a bridge three; who is not among the hosts still hears them all",
    parameters: &[
        Parameter::required("shape", Takes::OneOf(SHAPES), "the shape"),
        Parameter::optional(
            "pivot",
            Takes::Hosts,
            "the host that is isolated, that is in the smaller half, with which the ring begins, or that connects; \
             else the first of the hosts",
        ),
    ],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Together,
    reaches_clients: false,
    aim,
};

const SHAPES: &[&str] = &["isolate", "halves", "majorities_ring", "bridge"];

struct PartitionShape {
    cuts: Cuts,
    services: Vec<(String, Instance)>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let shape = aim.parameters.text("shape").unwrap_or_default();
    let pivot = aim.parameters.hosts("pivot");
    let mut hosts = aim.hosts.clone();
    match pivot.as_slice() {
        [] => {}
        [one] if hosts.contains(one) => {
            hosts.retain(|host| host != one);
            hosts.insert(0, one.clone());
        }
        _ => return Err(aim.refuse(KIND.name, "the pivot must be one of its hosts")),
    }
    let least = if ["isolate", "halves"].contains(&shape.as_str()) { 2 } else { 3 };
    if hosts.len() < least || pivot.iter().any(|host| host == CLIENTS) {
        return Err(aim.refuse(KIND.name, format!("the shape {shape} takes {least} hosts at least")));
    }
    let pairs = pairs(&shape, hosts.len());
    let both = |(one, other): (usize, usize)| {
        let side = |index: usize| std::slice::from_ref(&hosts[index]);
        Cut::between(side(one), side(other), (true, true), &[])
    };
    let cuts: Vec<Cut> = pairs.into_iter().flat_map(both).collect();
    let services = reach::services_hit(plan, &cuts, &[]);
    Ok(Box::new(PartitionShape { cuts: Cuts::new(cuts, Manner::Drop), services }))
}

/// The pairs of hosts, by their places, that are kept apart; the pivot is at place 0.
fn pairs(shape: &str, hosts: usize) -> Vec<(usize, usize)> {
    let all = (0..hosts).flat_map(|one| (one + 1..hosts).map(move |other| (one, other)));
    // Of those behind the pivot, the first half is on one side of a bridge.
    let side = hosts / 2;
    let apart = |(one, other): &(usize, usize)| match shape {
        "isolate" => *one == 0,
        "halves" => *one < hosts / 2 && *other >= hosts / 2,
        "bridge" => *one > 0 && *one <= side && *other > side,
        _ => !in_ring(*one, *other, hosts),
    };
    all.filter(apart).collect()
}

/// Whether two hosts of a ring hear each other: neighbours do, as far to both sides as a majority takes, and where that
/// is an odd number of an even ring, those opposite each other. Three hosts are a line: in a ring of three everybody
/// hears all.
fn in_ring(one: usize, other: usize, hosts: usize) -> bool {
    let apart = (other - one).min(hosts - (other - one));
    // A majority is the host itself and this many others.
    let others = hosts / 2;
    match (hosts, others % 2) {
        (3, _) => other - one == 1,
        (_, 0) => apart <= others / 2,
        _ if hosts.is_multiple_of(2) => apart <= others / 2 || apart == hosts / 2,
        _ => apart <= others.div_ceil(2),
    }
}

#[async_trait]
impl Fault for PartitionShape {
    fn services(&self) -> Vec<(String, Instance)> {
        self.services.clone()
    }

    fn stands_on(&self) -> Vec<Place> {
        self.cuts.paths()
    }

    fn takes_away(&self) -> Vec<Place> {
        self.cuts.paths_taken()
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        self.cuts.prepare(system);
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        self.cuts.inject(system).await
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        self.cuts.bite(system).await
    }

    fn heals_while_suspended(&self) -> bool {
        true
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        self.cuts.heal(system).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        self.cuts.is_gone(system).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Whom each host hears, itself among them.
    fn heard(shape: &str, hosts: usize) -> Vec<BTreeSet<usize>> {
        let apart = pairs(shape, hosts);
        let hears = |one: usize, other: usize| !apart.contains(&(one.min(other), one.max(other)));
        (0..hosts).map(|one| (0..hosts).filter(|other| hears(one, *other)).collect()).collect()
    }

    #[test]
    fn in_a_ring_each_hears_a_majority_and_no_two_the_same() {
        for hosts in 3..=12 {
            let heard = heard("majorities_ring", hosts);
            assert!(heard.iter().all(|own| own.len() * 2 > hosts), "{hosts}: {heard:?}");
            assert_eq!(heard.iter().collect::<BTreeSet<_>>().len(), hosts, "{hosts}: {heard:?}");
        }
    }

    #[test]
    fn the_other_shapes_are_what_they_are_called() {
        let set = |members: &[usize]| members.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(heard("isolate", 3), [set(&[0]), set(&[1, 2]), set(&[1, 2])]);
        assert_eq!(heard("halves", 3), [set(&[0]), set(&[1, 2]), set(&[1, 2])]);
        assert_eq!(heard("halves", 4)[..2], [set(&[0, 1]), set(&[0, 1])]);
        assert_eq!(heard("bridge", 3), [set(&[0, 1, 2]), set(&[0, 1]), set(&[0, 2])]);
        let bridge = heard("bridge", 5);
        assert_eq!(bridge, [set(&[0, 1, 2, 3, 4]), set(&[0, 1, 2]), set(&[0, 1, 2]), set(&[0, 3, 4]), set(&[0, 3, 4])]);
    }
}

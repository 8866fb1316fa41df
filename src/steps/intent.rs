//! What a step asks for, as a value: read from its words before anything starts, checked by a walk through the scenario
//! ([`super::rehearsal`]), and carried out in the run.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::StepError;
use crate::{
    drill::{Condition, Drill, Repetition, RunbookOrder, ShapedLinks},
    faults::Target,
    history::event::{Expectation, Worst},
    workload::LoadSpec,
};

/// What a step asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Intent {
    /// This topology, by name or path.
    Topology(String),
    ShapeLinks(ShapedLinks),
    PrepareDisks,
    PrepareClocks,
    PostgresqlParameter {
        name: String,
        value: String,
    },
    PatroniSetting {
        name: String,
        value: String,
    },
    /// This program runs in this version, as the topology's settings say it.
    Version {
        program: String,
        version: String,
    },
    EndpointHost {
        endpoint: String,
        host: String,
    },
    /// An application writes beside the load, with these settings.
    Application {
        name: String,
        settings: BTreeMap<String, String>,
    },
    /// The slot of a subscription is kept in this way.
    SlotKept {
        subscription: String,
        kept: String,
    },
    /// A subscription connects by this endpoint, or to the nodes.
    SubscriptionThrough {
        subscription: String,
        through: String,
    },
    Load(LoadSpec),
    /// Clients that have a session and say nothing.
    IdleClients(u32),
    Inject(FaultOrder),
    /// Inject and heal, again and again.
    Repeat(FaultOrder, Repetition),
    /// Give the fault of this name that is on other parameters.
    Change {
        fault: String,
        parameters: BTreeMap<String, String>,
    },
    /// Heal every fault.
    HealAll,
    /// Heal the faults of this name.
    HealNamed(String),
    /// Wait for a condition; `within` a time that the step states, or the plan's deadline for recovery.
    Wait {
        condition: Condition,
        within: Option<Duration>,
    },
    /// Pause for a time between these that the seed draws.
    Pause {
        least: Duration,
        most: Duration,
    },
    /// Have every host try the ports that a firewall's rules name.
    TryConnections,
    /// Try every way in that must fail.
    TryEntries,
    /// A step of a runbook.
    Runbook(RunbookOrder),
    TakeOver,
    Recover,
    Rejoin,
    /// Hold a measure of a check against a bound. Recorded when the scenario begins, not when the step comes: a step
    /// that fails before it must not hide that the target was missed.
    Expect(Expectation),
}

/// A fault as a scenario orders it, in its own words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FaultOrder {
    /// The fault's name in the table.
    pub fault: String,
    pub target: Target,
    pub parameters: BTreeMap<String, String>,
    /// In which circumstances it is to come.
    pub worst: BTreeSet<Worst>,
}

impl Intent {
    /// Has the drill do it.
    pub(super) async fn carry_out(self, drill: &mut Drill) -> Result<(), StepError> {
        match self {
            Intent::Topology(name) => drill.choose_topology(&name)?,
            Intent::ShapeLinks(which) => drill.shape_links(which)?,
            Intent::PrepareDisks => drill.prepare_disks()?,
            Intent::PrepareClocks => drill.prepare_clocks()?,
            Intent::PostgresqlParameter { name, value } => drill.set_postgresql(&name, &value)?,
            Intent::PatroniSetting { name, value } => drill.set_patroni(&name, &value)?,
            Intent::Version { program, version } => drill.set_version(&program, &version)?,
            Intent::EndpointHost { endpoint, host } => drill.set_endpoint_host(&endpoint, &host)?,
            Intent::Application { name, settings } => drill.set_application(&name, &settings)?,
            Intent::SlotKept { subscription, kept } => drill.set_slot_kept(&subscription, &kept)?,
            Intent::SubscriptionThrough { subscription, through } => {
                drill.set_subscription_through(&subscription, &through)?
            }
            Intent::Load(load) => drill.choose_load(load),
            Intent::IdleClients(count) => drill.choose_idle_clients(count),
            Intent::Inject(FaultOrder { fault, target, parameters, worst }) => {
                drill.inject_at_worst(&fault, &target, parameters, worst).await?;
            }
            Intent::Repeat(order, repetition) => {
                drill.repeat(&order.fault, &order.target, &order.parameters, &repetition).await?;
            }
            Intent::Change { fault, parameters } => drill.change(&fault, parameters).await?,
            Intent::HealAll => drill.heal().await?,
            Intent::HealNamed(fault) => drill.heal_named(&fault).await?,
            Intent::Wait { condition, within } => drill.wait_for(condition, within).await?,
            Intent::Pause { least, most } => drill.pause(least, most).await?,
            Intent::TryConnections => drill.try_connections().await?,
            Intent::TryEntries => drill.try_entries().await?,
            Intent::Runbook(order) => drill.follow_runbook(&order).await?,
            Intent::TakeOver => drill.take_over().await?,
            Intent::Recover => drill.recover().await?,
            Intent::Rejoin => drill.rejoin().await?,
            Intent::Expect(_) => {}
        }
        Ok(())
    }
}

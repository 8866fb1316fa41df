//! What a scenario asks for before anything runs. The walk before the start and the run change a topology by the same
//! functions, so that what the one takes the other takes too.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::DrillError;
use crate::{
    claims::Claims,
    topology::{self, Topology},
    workload::LoadSpec,
};

/// The load of a scenario that names none.
const DEFAULT_WRITERS: u32 = 4;
const DEFAULT_RATE_PER_S: u32 = 25;

/// Links that a scenario can ask to be shaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShapedLinks {
    /// Those between all hosts.
    All,
    /// Those between PostgreSQL's nodes, with the etcd members beside them.
    BetweenNodes,
}

/// Where topologies come from.
#[doc(hidden)]
#[derive(Debug, Clone, Default)]
pub struct TopologySources {
    /// Where topologies are looked for before the built-in ones.
    pub folders: Vec<PathBuf>,
    /// The topology that the command line names for every scenario.
    pub for_every_scenario: Option<String>,
    /// The claims that topologies may name beside the documented ones.
    pub claims: Arc<Claims>,
}

/// What a scenario has asked for: its topology with its changes, and its load.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    topology: Option<Topology>,
    load: LoadSpec,
}

impl Default for Setup {
    fn default() -> Self {
        let (writers, rate_per_s) = (DEFAULT_WRITERS, DEFAULT_RATE_PER_S);
        let load = LoadSpec::of(writers, rate_per_s);
        Self { topology: None, load }
    }
}

impl Setup {
    /// The topology with what was changed in it so far.
    ///
    /// # Errors
    /// None was chosen, or the changes do not go together by Patroni's rules.
    pub fn topology(&self) -> Result<&Topology, DrillError> {
        let topology = self.topology.as_ref().ok_or(DrillError::NoTopology)?;
        topology.settings_go_together()?;
        Ok(topology)
    }

    /// The load that was chosen, or the default.
    pub fn load(&self) -> &LoadSpec {
        &self.load
    }

    /// Chooses the topology, by name or path, unless the command line names one for every scenario.
    pub fn choose_topology(&mut self, name: &str, sources: &TopologySources) -> Result<(), DrillError> {
        let name = sources.for_every_scenario.as_deref().unwrap_or(name);
        self.topology = Some(topology::load_with(name, &sources.folders, &sources.claims)?);
        Ok(())
    }

    /// Shapes links, beside those that the topology names.
    pub fn shape_links(&mut self, which: ShapedLinks) -> Result<(), DrillError> {
        let topology = self.chosen()?;
        let hosts = match which {
            ShapedLinks::All => topology.hosts().map(|host| host.name.clone()).collect(),
            ShapedLinks::BetweenNodes => topology.nodes(),
        };
        topology.shape_links_between(&hosts);
        Ok(())
    }

    /// Sets a parameter of PostgreSQL on every node.
    pub fn set_postgresql(&mut self, parameter: &str, value: &str) -> Result<(), DrillError> {
        Ok(self.chosen()?.set_postgresql(parameter, value)?)
    }

    /// Has clients of an endpoint connect to another host or global name.
    pub fn set_endpoint_host(&mut self, endpoint: &str, host: &str) -> Result<(), DrillError> {
        Ok(self.chosen()?.set_endpoint_host(endpoint, host)?)
    }

    /// Gives a Patroni setting another value than the topology has.
    pub fn set_patroni(&mut self, name: &str, value: &str) -> Result<(), DrillError> {
        Ok(self.chosen()?.set_patroni(name, value)?)
    }

    /// Has a program run in another version than the topology has.
    pub fn set_version(&mut self, program: &str, version: &str) -> Result<(), DrillError> {
        Ok(self.chosen()?.set_version(program, version)?)
    }

    /// Has an application write beside the load, or changes the settings of one.
    pub fn set_application(&mut self, name: &str, settings: &BTreeMap<String, String>) -> Result<(), DrillError> {
        Ok(self.chosen()?.set_application(name, settings)?)
    }

    /// Has the slot of a subscription kept in another way.
    pub fn set_slot_kept(&mut self, subscription: &str, kept: &str) -> Result<(), DrillError> {
        Ok(self.chosen()?.set_slot_kept(subscription, kept)?)
    }

    /// Has a subscription connect by another endpoint, or to the nodes.
    pub fn set_subscription_through(&mut self, subscription: &str, through: &str) -> Result<(), DrillError> {
        Ok(self.chosen()?.set_subscription_through(subscription, through)?)
    }

    /// Puts data directories on disks that can be broken.
    pub fn prepare_disks(&mut self) -> Result<(), DrillError> {
        self.chosen()?.prepare.disks = true;
        Ok(())
    }

    /// Has clocks prepared that can be set.
    pub fn prepare_clocks(&mut self) -> Result<(), DrillError> {
        self.chosen()?.prepare.clocks = true;
        Ok(())
    }

    /// Changes the load, but for the idle clients beside it.
    pub fn choose_load(&mut self, load: LoadSpec) {
        let idle_clients = self.load.idle_clients;
        self.load = LoadSpec { idle_clients, ..load };
    }

    /// Changes how many idle clients there are.
    pub fn choose_idle_clients(&mut self, idle_clients: u32) {
        self.load.idle_clients = idle_clients;
    }

    fn chosen(&mut self) -> Result<&mut Topology, DrillError> {
        self.topology.as_mut().ok_or(DrillError::NoTopology)
    }
}

//! The row of a service.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{PoolOf, Recipe, ServiceKind, Settings, Site, own::Format, recipe::ON_OWN_IMAGE};
use crate::{credentials::Credentials, span::Span};

/// A kind of service: what it is and how it is run.
pub struct Service {
    pub kind: ServiceKind,
    /// What it is, in a sentence.
    pub summary: &'static str,
    /// Whether a topology may place it on a host; else the plan does.
    pub placed_by_topologies: bool,
    pub image: Recipe,
    /// The ports on which it listens by itself. A balancer also listens on the endpoints' ports.
    pub ports: &'static [Port],
    /// Processes that a fault can single out.
    pub processes: &'static [Process],
    /// Where it keeps its data, if it keeps any.
    pub storage: Option<Storage>,
    /// What its container may do beside what every container may, in the engine's words.
    pub capabilities: &'static [&'static str],
    pub clock: Clock,
    pub starts: Starts,
    /// A machine that is shut down stops services of a lower rank first.
    pub stop_rank: u8,
    /// What is run in its container to know that it is up, in the words of a Compose file; `None`: nothing.
    pub health: Option<fn() -> Vec<String>>,
    pub role: Role,
    /// The formats of configuration that a team may bring of its own, in the order in which they are put in.
    pub formats: &'static [Format],
    /// What the names of variables begin with that would win over what the harness has to set.
    pub variables: &'static [&'static str],
    pub instances: Instances,
    /// What its settings break, in a topology with this many nodes: rules that the software holds itself to.
    pub rules: fn(&Settings, usize) -> Vec<Broken>,
    pub render: fn(&Site<'_>, &Credentials) -> Rendered,
}

impl Service {
    /// The ports that the harness watches of a service with these settings, beside those of the topology's endpoints.
    pub fn watched_ports(&self, settings: &Settings) -> impl Iterator<Item = u16> {
        self.ports.iter().filter(|port| port.watched).map(|port| port.number(settings))
    }

    /// Whether it runs also in an image of the team's own, with what pgquake puts on top of it.
    pub fn takes_own_image(&self) -> bool {
        self.image.files.iter().any(|file| file.path == ON_OWN_IMAGE)
    }

    pub fn is_node(&self) -> bool {
        self.node().is_some()
    }

    /// What the others ask of it as a PostgreSQL node, if it is one.
    pub fn node(&self) -> Option<&Node> {
        if let Role::Node(node) = &self.role { Some(node) } else { None }
    }

    /// What it runs in where its settings name a version other than that of Debian's package; `None`: they can't.
    pub fn with_versions(&self) -> Option<&'static Recipe> {
        match &self.role {
            Role::Node(node) => node.with_versions,
            Role::Dcs(dcs) => dcs.with_versions,
            _ => None,
        }
    }

    /// What the others ask of it as a pooler, if it is one.
    pub fn pooler(&self) -> Option<&Pooler> {
        if let Role::Pooler(pooler) = &self.role { Some(pooler) } else { None }
    }

    /// Whether clients ask it for the addresses of global names.
    pub fn answers_names(&self) -> bool {
        matches!(self.role, Role::Names)
    }

    /// Whether it keeps objects in buckets.
    pub fn keeps_buckets(&self) -> bool {
        matches!(self.role, Role::Buckets)
    }

    /// What the others ask of it as a DCS, if it is one.
    pub fn dcs(&self) -> Option<&Dcs> {
        if let Role::Dcs(dcs) = &self.role { Some(dcs) } else { None }
    }

    /// What the others ask of it as a balancer, if it is one.
    pub fn balancer(&self) -> Option<&Balancer> {
        if let Role::Balancer(balancer) = &self.role { Some(balancer) } else { None }
    }
}

/// Whether a topology may give services of a kind names and settings of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    /// Each may have a name and settings of its own, and a host may run several.
    Several,
    /// A host runs one, without a name and settings of its own, for this reason.
    OneOnAHost(&'static str),
}

/// A port on which a service listens.
#[derive(Debug, Clone, Copy)]
pub struct Port {
    /// Its number where no setting says another one.
    default: u16,
    /// What it is for, as `clients`.
    pub purpose: &'static str,
    /// Whether observers, probers or clients reach it.
    pub watched: bool,
    /// The setting that says its number.
    setting: Option<PortSetting>,
}

/// A setting that is a port: the field's name, and its value.
type PortSetting = (&'static str, fn(&Settings) -> u16);

impl Port {
    pub(super) const fn watched(default: u16, purpose: &'static str) -> Self {
        Self { default, purpose, watched: true, setting: None }
    }

    pub(super) const fn unwatched(default: u16, purpose: &'static str) -> Self {
        Self { default, purpose, watched: false, setting: None }
    }

    /// The same port, whose number is a setting.
    pub(super) const fn set_by(self, field: &'static str, value: fn(&Settings) -> u16) -> Self {
        Self { setting: Some((field, value)), ..self }
    }

    /// Its number under these settings.
    pub fn number(&self, settings: &Settings) -> u16 {
        self.setting.map_or(self.default, |(_, value)| value(settings))
    }

    /// The field of the kind's settings that says its number.
    pub fn field(&self) -> Option<&'static str> {
        self.setting.map(|(field, _)| field)
    }
}

/// A process that a fault can single out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its word in scenarios and reports, as `the checkpointer`.
    pub word: &'static str,
    /// The regular expression (of `pgrep -f`) that finds it by its command line.
    pub pattern: &'static str,
    pub revived_by: RevivedBy,
    pub runs_on: RunsOn,
}

impl Process {
    /// The service's main process.
    pub(super) const fn main(word: &'static str, pattern: &'static str) -> Self {
        Self { word, pattern, revived_by: RevivedBy::Engine, runs_on: RunsOn::Every }
    }

    /// One that PostgreSQL's postmaster starts.
    pub(super) const fn of_postmaster(word: &'static str, pattern: &'static str) -> Self {
        Self { word, pattern, revived_by: RevivedBy::Postmaster, runs_on: RunsOn::Every }
    }

    pub(super) const fn only_on(self, runs_on: RunsOn) -> Self {
        Self { runs_on, ..self }
    }
}

/// Which hosts of its service have a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunsOn {
    Every,
    /// The primary alone; the reason why a standby has none.
    Primary(&'static str),
    /// Standbys alone; the reason why a primary has none.
    Standbys(&'static str),
}

/// Who starts a process again that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevivedBy {
    /// Nobody inside the host: its container has ended with it.
    Engine,
    /// The service's main process, which outlives it, on a hang-up: nobody by himself.
    EntryPoint,
    /// The Patroni agent.
    Agent,
    /// The postmaster, which ends all its children when one of them was killed.
    Postmaster,
}

/// Where a service keeps its data, and how it is started once that is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// The directory that a prepared disk is mounted over; the data directory is inside.
    pub directory: &'static str,
    /// The data directory, below it.
    pub data: &'static str,
    /// Parts of it that a fault can single out, each with its word in scenarios.
    pub volumes: &'static [Volume],
    /// The user that the service runs as.
    pub user: &'static str,
    /// The image's entry point.
    pub entry_point: &'static str,
    /// The port of the disk's control, on the host's loopback address.
    pub control_port: u16,
}

/// A part of a service's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// Its word in scenarios, as `WAL`.
    pub word: &'static str,
    /// Where it is, below the data directory; empty: all of that.
    pub below: &'static str,
}

/// Whether a fault can set the clock that a service sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// It asks libfaketime, where the topology prepares clocks.
    Prepared,
    /// It can't be set, for this reason.
    Kernel(&'static str),
}

/// What a service waits for before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starts {
    /// Nothing.
    AtOnce,
    /// A primary that leads.
    BehindAPrimary,
}

/// What others ask of a service, whatever its kind.
pub enum Role {
    /// PostgreSQL, alone or with an agent that decides whether it leads.
    Node(Node),
    /// A member of the DCS.
    Dcs(Dcs),
    /// Leads clients to a node that may serve them.
    Balancer(Balancer),
    /// Pools clients' sessions with nodes.
    Pooler(Pooler),
    /// Holds a virtual address.
    Address,
    /// Answers global names.
    Names,
    /// Keeps objects in buckets.
    Buckets,
    /// Nobody asks anything of it.
    None,
}

/// What others ask of a PostgreSQL node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// What it runs in where its cluster has backups; `None`: it can't have any.
    pub with_backups: Option<&'static Recipe>,
    /// What it runs in where its cluster names a version other than that of Debian's package; `None`: it can't.
    pub with_versions: Option<&'static Recipe>,
    /// What it runs in where both is so.
    pub with_versions_and_backups: Option<&'static Recipe>,
    /// What it runs in where a database of its cluster has pgvector, in the version of Debian's package; `None`: it can't have it.
    pub with_vector: Option<&'static Recipe>,
    /// Who keeps it: starts it again, promotes it, and says at a port what it is. `None`: nobody does. Then a node is
    /// what it says of itself in SQL, an operator promotes it, and it holds no key in a DCS.
    pub agent: Option<Agent>,
}

/// What others ask of a node's agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agent {
    /// Where it answers by HTTP what its node is, as balancers ask.
    pub rest_port: u16,
}

/// What others ask of a DCS.
pub struct Dcs {
    /// Where clients reach a member.
    pub client_port: u16,
    /// Where members reach each other.
    pub peer_port: u16,
    /// The section of an agent's configuration that leads it to the members, and its name.
    pub agent_settings: fn(&Site<'_>, &Credentials) -> (&'static str, Value),
    /// How long ago, at most, the DCS last heard of a holder that lives, in milliseconds: when it dies, its key has at least
    /// its time to live less this.
    pub refreshed_within_ms: fn(&Settings) -> u64,
    /// How long after the end of its time to live a key is gone: with the DCS's leader alive, and when the leader is lost
    /// with the key's holder; then counted from the loss, beside a whole time to live.
    pub expiry: fn(&Settings) -> (Span, Span),
    /// Where the DCS ends the sessions of a member's host by itself once that is lost, before their time is over: how long after the
    /// loss a key is gone whose holder was there.
    pub ends_with_host: fn(&Settings) -> Option<Span>,
    pub leadership: Leadership,
    /// Whether agents that found no leader key are told of the first one. If not, they sleep for a whole loop.
    pub tells_of_a_first_leader: bool,
    /// What a member runs in where the topology names a version other than that of Debian's package; `None`: it can't.
    pub with_versions: Option<&'static Recipe>,
}

/// Who chooses the member that leads a DCS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leadership {
    /// Whoever asks: the leader hands over to any member that it is told.
    HandedOver,
    /// An election alone, for this reason. Of members that know the same, the last of [`Site::dcs_members`] wins.
    Elected(&'static str),
    /// An election alone, for this reason, in which chance favours nobody.
    Drawn(&'static str),
}

/// What others ask of a balancer.
pub struct Balancer {
    /// The name of its main process, as `pgrep -x` finds it.
    pub program: &'static str,
    /// Whether its checks ask what role a node has. If not, nothing is predicted of where it leads clients.
    pub asks_for_role: fn(&Settings) -> bool,
    /// Whether it closes the sessions to a node when it leads no client there any more.
    pub closes_sessions: fn(&Settings) -> bool,
    /// From a node that can serve clients until clients are led there.
    pub route: fn(&Settings) -> Span,
    /// From a node's death until no client is led there.
    pub mark_down: fn(&Settings) -> Span,
    /// The same from the death of its whole host, which answers nothing any more.
    pub mark_down_of_silent: fn(&Settings) -> Span,
}

/// What others ask of a pooler.
pub struct Pooler {
    /// Where clients connect.
    pub port: fn(&Settings) -> u16,
    /// Whom it leads to by its settings; `None`: to the node of its host.
    pub leads_to: fn(&Settings) -> Option<PoolOf>,
    /// Whether the agent of a node that becomes primary points it there.
    pub is_repointed: fn(&Settings) -> bool,
}

/// A rule that settings break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The fields that break it together, each as a path below the settings.
    pub fields: Vec<Vec<String>>,
    /// Whether it is the field's name that can't be, whatever its value is.
    pub is_of_name: bool,
    pub message: String,
    pub help: Option<String>,
}

impl Broken {
    pub(super) fn new<const N: usize>(field: [&str; N], message: String) -> Self {
        Self::together(&[field], message)
    }

    pub(super) fn of_name<const N: usize>(field: [&str; N], message: String) -> Self {
        Self { is_of_name: true, ..Self::new(field, message) }
    }

    pub(super) fn together<const N: usize>(fields: &[[&str; N]], message: String) -> Self {
        let fields = fields.iter().map(|field| field.map(str::to_owned).into()).collect();
        Self { fields, is_of_name: false, message, help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What a container is started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Arguments of the image's entry point.
    pub command: Vec<String>,
    /// Files to write before the start: path and content.
    pub files: Vec<(String, String)>,
    /// Variables of its environment, beside those of the image.
    pub environment: BTreeMap<String, String>,
}

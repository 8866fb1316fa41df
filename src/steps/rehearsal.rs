//! A walk through a scenario before anything starts: each step's words are read, what it asks for is held against the
//! topology and against the steps before it, and nothing is done. Topologies are changed and faults aimed by the
//! functions of the run itself.

mod asked;
mod runbook;
mod upgrades;
mod worst;

use std::collections::{BTreeMap, BTreeSet};

use cucumber::gherkin::Step;

use super::{Intent, WordError, intent::FaultOrder};
use crate::{
    drill::{Condition, DrillError, Setup, ShapedLinks, TopologySources},
    faults::{self, FaultError, FaultKind, ParameterError},
    history::event::Expectation,
    plan::Plan,
    services::patroni,
    suggestion::did_you_mean,
    topology::{SettingError, Topology, TopologyError, dynamic},
};

/// Something in a scenario that can't be carried out.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// The place of the step in the scenario, counted from 0.
    pub step: usize,
    pub at: At,
    pub message: String,
    pub help: Option<String>,
    /// What is wrong with the topology that the step names, with its own lines.
    pub topology: Option<TopologyError>,
}

/// Which part of a step is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum At {
    Step,
    /// What stands in quotes in the step's text; `last`: where it does so for the last time.
    Quoted {
        text: String,
        last: bool,
    },
    /// A cell of the step's table, both counted from 0.
    Cell {
        row: usize,
        column: usize,
    },
}

/// What a scenario comes to.
#[derive(Debug, Default)]
pub(crate) struct Rehearsed {
    pub wrong: Vec<Wrong>,
    /// Every expectation that a `Then` states, in their order.
    pub expectations: Vec<Expectation>,
    /// The topology as the scenario changes it, if that is known.
    pub topology: Option<Topology>,
    /// The name or path by which the scenario, or the command line, chose it.
    pub topology_named: Option<String>,
    /// The packages that an operator upgrades to.
    pub upgrades: BTreeSet<String>,
}

/// Walks through a scenario's steps, those of its background first.
pub(crate) fn rehearse<'a>(steps: impl Iterator<Item = &'a Step>, sources: &TopologySources) -> Rehearsed {
    let mut walk = Walk::new(sources);
    for (index, step) in steps.enumerate() {
        walk.index = index;
        match super::read(step) {
            None => walk.own_steps = true,
            Some(Err(error)) => walk.misread(step, error),
            Some(Ok(intent)) => walk.take(step, intent),
        }
    }
    if !walk.runs {
        walk.settings_go_together();
        walk.something_runs();
    }
    let topology = walk.setup.topology().ok().cloned();
    let named = walk.named.clone();
    let topology_named = sources.for_every_scenario.clone().or(named).filter(|_| topology.is_some());
    let Walk { wrong, expectations, upgrades, .. } = walk;
    let upgrades = upgrades.into_iter().map(|(_, package)| package).collect();
    Rehearsed { wrong, expectations, topology, topology_named, upgrades }
}

/// Each takes a port of this machine, of which there are some 28,000 to one address.
const MOST_IDLE_CLIENTS: u32 = 20_000;

/// How often a fault can come by one step.
const MOST_TIMES: u32 = 1000;

/// The fault that changes Patroni's configuration.
const CONFIGURATION_CHANGE: &str = "configuration_change";

/// The change that was ordered, if it is one.
fn change_of(order: &FaultOrder) -> Option<dynamic::Change> {
    let kind = faults::find(CONFIGURATION_CHANGE)?;
    faults::change_of(&faults::Parameters::read(kind.parameters, &order.parameters).ok()?).ok()
}

struct Walk<'a> {
    sources: &'a TopologySources,
    /// The place of the step under way.
    index: usize,
    setup: Setup,
    /// The name of the topology, once a step has said it.
    named: Option<String>,
    /// The place of the last step that changed a setting.
    last_setting: usize,
    /// The place of the step that chose the load, and its clients.
    load: Option<(usize, u32)>,
    /// Whether the system runs by now.
    runs: bool,
    /// Whether a step of the user's own came, which may have done anything.
    own_steps: bool,
    /// Whether Patroni's configuration is changed while it runs.
    reconfigured: bool,
    /// Whether a change was made that can be regretted.
    bad_change: bool,
    /// Whether the topology is unknown, because a mistake in it has been reported already.
    lost: bool,
    faulted: bool,
    /// Steps that could not be taken as they are, which may have named an application.
    refused: Vec<String>,
    /// Faults that are on, with the words that they were ordered in.
    on: Vec<(&'static FaultKind, FaultOrder)>,
    wrong: Vec<Wrong>,
    expectations: Vec<Expectation>,
    /// What operators upgrade to: the program and its package.
    upgrades: BTreeSet<(&'static str, String)>,
}

impl<'a> Walk<'a> {
    fn new(sources: &'a TopologySources) -> Self {
        Self {
            sources,
            index: 0,
            setup: Setup::default(),
            named: None,
            last_setting: 0,
            load: None,
            runs: false,
            own_steps: false,
            reconfigured: false,
            bad_change: false,
            lost: false,
            faulted: false,
            refused: Vec::new(),
            on: Vec::new(),
            wrong: Vec::new(),
            expectations: Vec::new(),
            upgrades: BTreeSet::new(),
        }
    }

    fn add(&mut self, at: At, message: impl Into<String>, help: Option<String>) {
        self.wrong.push(Wrong { step: self.index, at, message: message.into(), help, topology: None });
    }

    fn add_here(&mut self, message: impl Into<String>) {
        self.add(At::Step, message, None);
    }

    fn misread(&mut self, step: &Step, error: WordError) {
        let last_column = |row: usize| {
            let cells = step.table.iter().flat_map(|table| table.rows.get(row)).map(Vec::len).next();
            cells.unwrap_or(1).saturating_sub(1)
        };
        let at = match &error {
            WordError::Table { row } => At::Cell { row: *row, column: last_column(*row) },
            WordError::Twice { row, .. } | WordError::Said { row, .. } => At::Cell { row: *row, column: 0 },
            WordError::NeedlessTable => At::Cell { row: 0, column: 0 },
            _ => At::Step,
        };
        self.refused.push(step.value.clone());
        self.add(at, error.to_string(), None);
    }

    fn take(&mut self, step: &Step, intent: Intent) {
        match intent {
            Intent::Topology(name) => self.choose(&name),
            Intent::ShapeLinks(which) => self.set_up(|setup| setup.shape_links(which)),
            Intent::PrepareDisks => self.set_up(Setup::prepare_disks),
            Intent::PrepareClocks => self.set_up(Setup::prepare_clocks),
            Intent::PostgresqlParameter { name, value } => self.set(|setup| setup.set_postgresql(&name, &value)),
            Intent::PatroniSetting { name, value } => self.set(|setup| setup.set_patroni(&name, &value)),
            Intent::Version { program, version } => self.set(|setup| setup.set_version(&program, &version)),
            Intent::EndpointHost { endpoint, host: at } => self.set(|setup| setup.set_endpoint_host(&endpoint, &at)),
            Intent::Application { name, settings } => self.application(step, &name, settings),
            Intent::SlotKept { .. } | Intent::SubscriptionThrough { .. } => self.subscribe(intent),
            Intent::Load(load) => {
                self.is_a_load(&load);
                self.load = Some((self.index, load.writers));
                self.set_up(|setup| {
                    setup.choose_load(load);
                    Ok(())
                });
            }
            Intent::IdleClients(count) => {
                if count == 0 || count > MOST_IDLE_CLIENTS {
                    let help = format!("at least 1 and at most {MOST_IDLE_CLIENTS}");
                    self.add(At::Step, "that many idle clients are not held", Some(help));
                }
            }
            Intent::Inject(order) => {
                self.begin();
                self.circumstances(&order);
                if let Some(kind) = self.order(step, &order) {
                    self.on.push((kind, order));
                }
            }
            Intent::Repeat(order, repetition) => {
                self.begin();
                if repetition.times == 0 {
                    self.add_here("a fault that comes 0 times is none");
                } else if repetition.times > MOST_TIMES {
                    self.add_here(format!("a fault comes at most {MOST_TIMES} times"));
                }
                self.in_order(repetition.least, repetition.most);
                self.order(step, &order);
            }
            Intent::Change { fault, parameters } => self.change(step, &fault, parameters),
            Intent::HealAll => {
                if !self.faulted && !self.own_steps {
                    self.add_here("no fault was injected before this step");
                }
                self.on.clear();
            }
            Intent::HealNamed(fault) => {
                self.is_on(&fault);
                self.on.retain(|(kind, _)| kind.name != fault);
            }
            Intent::Wait { condition, within } => {
                self.begin();
                if within.is_some_and(|within| within.is_zero()) {
                    self.add_here("a wait of no time ends before anything can be seen");
                }
                if matches!(condition, Condition::StandbyBehind { lag_bytes: 0 }) {
                    self.add_here("a standby is always 0 bytes behind, or more: there is nothing to wait for");
                }
                let of_the_key = matches!(condition, Condition::LeaderKeyGone | Condition::LeaderElected);
                if of_the_key && !self.lost && self.plan().is_some_and(|plan| plan.dcs.is_empty()) {
                    self.add_here("there is no DCS, and so no leader key to wait for");
                }
                let of_agents = matches!(condition, Condition::PendingRestart { .. });
                if of_agents && !self.lost && self.plan().is_some_and(|plan| !plan.fails_over_by_itself()) {
                    self.add_here("no agent runs there, which would say that PostgreSQL waits for a restart");
                }
                let needs_another = matches!(condition, Condition::Promoted | Condition::StandbyBehind { .. });
                self.another_node(needs_another);
            }
            Intent::Runbook(order) => {
                self.begin();
                self.runbook(&order);
            }
            Intent::TakeOver => {
                self.begin();
                self.another_node(true);
            }
            Intent::Pause { least, most } => {
                self.begin();
                self.in_order(least, most);
            }
            Intent::TryConnections => {
                self.begin();
                self.firewall();
            }
            Intent::TryEntries | Intent::Recover | Intent::Rejoin => self.begin(),
            Intent::Expect(expectation) => self.expect(expectation),
        }
    }

    fn choose(&mut self, name: &str) {
        if let Some(named) = &self.named {
            let message = format!("the scenario has a topology already: `{named}`");
            return self.add(At::Step, message, Some("what was changed in it would be lost".to_owned()));
        }
        self.named = Some(name.to_owned());
        let sources = self.sources;
        self.set_up(|setup| setup.choose_topology(name, sources));
    }

    fn set(&mut self, change: impl FnOnce(&mut Setup) -> Result<(), DrillError>) {
        self.last_setting = self.index;
        self.set_up(change);
    }

    /// Changes what is built, which must not be built yet.
    fn set_up(&mut self, change: impl FnOnce(&mut Setup) -> Result<(), DrillError>) {
        if self.runs {
            let help = "move it before the first `When`".to_owned();
            return self.add(At::Step, "the system runs by then, and is as it was built", Some(help));
        }
        if self.lost {
            return;
        }
        match change(&mut self.setup) {
            Ok(()) => {}
            Err(DrillError::NoTopology) => self.no_topology(),
            Err(DrillError::Topology(error)) => {
                self.lost = true;
                let name = self.named.clone().unwrap_or_default();
                let (message, help) = match &error {
                    TopologyError::Unknown { help, .. } => (error.to_string(), Some(help.clone())),
                    TopologyError::Unreadable { cause, help, .. } => (format!("{error}: {cause}"), help.clone()),
                    _ => (format!("the topology `{name}` can't be used"), None),
                };
                let topology = (!error.mistakes().is_empty()).then_some(error);
                self.wrong.push(Wrong { step: self.index, at: At::Step, message, help, topology });
            }
            Err(DrillError::Setting(error)) => {
                let is_of_value = error.is_of_value();
                let at = is_of_value.map_or(At::Step, |last| At::Quoted { text: error.text().to_owned(), last });
                self.add(at, error.to_string(), error.help());
            }
            Err(error) => self.add_here(error.to_string()),
        }
    }

    /// A step of the user's own may have chosen one.
    fn no_topology(&mut self) {
        self.lost = true;
        if !self.own_steps {
            self.add_here(DrillError::NoTopology.to_string());
        }
    }

    /// From here on the system runs.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.runs, true) || self.lost {
            return;
        }
        match self.setup.topology() {
            Err(DrillError::NoTopology) => self.no_topology(),
            _ => self.settings_go_together(),
        }
        self.clients_get_in();
    }

    /// A scenario in which nothing is done or waited for starts no system, and so proves nothing.
    fn something_runs(&mut self) {
        if !self.runs && !self.own_steps && self.wrong.is_empty() {
            let help = "add a `When`: a fault, or something to wait for as `When every node has rejoined`".to_owned();
            self.add(At::Step, "the scenario ends here, and has started nothing", Some(help));
        }
    }

    fn settings_go_together(&mut self) {
        if let Err(DrillError::Setting(error @ SettingError::Together(_))) = self.setup.topology() {
            self.lost = true;
            let (step, message) = (self.last_setting, error.to_string());
            self.wrong.push(Wrong { step, at: At::Step, message, help: None, topology: None });
        }
    }

    /// The plan by which faults are aimed, if it is known. What steps of the user's own may have changed is taken for
    /// changed.
    fn plan(&self) -> Option<Plan> {
        let mut setup = self.setup.clone();
        if self.own_steps {
            let _ = setup.prepare_disks().and_then(|()| setup.prepare_clocks());
            let _ = setup.shape_links(ShapedLinks::All);
        }
        let mut topology = setup.topology().ok()?.clone();
        topology.settings.patroni.synchronous_mode |= self.own_steps || self.reconfigured;
        Some(Plan::new(topology))
    }

    fn another_node(&mut self, needed: bool) {
        if needed && !self.lost && self.plan().is_some_and(|plan| plan.nodes.len() < 2) {
            self.add_here("there is one PostgreSQL node: nothing can take over or fall behind");
        }
    }

    fn known_fault(&mut self, name: &str) -> Option<&'static FaultKind> {
        let kind = faults::find(name);
        if kind.is_none() {
            let names: Vec<&str> = faults::ALL.iter().map(|kind| kind.name).collect();
            let meant = crate::suggestion::nearest(name, names.iter().copied());
            let question = meant.map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
            let help = format!("{question}`pgquake list faults` shows them all");
            self.add(At::Step, format!("there is no fault `{name}`"), Some(help));
        }
        kind
    }

    /// Aims a fault, and returns its row if there is one.
    fn order(&mut self, step: &Step, order: &FaultOrder) -> Option<&'static FaultKind> {
        self.faulted = true;
        let kind = self.known_fault(&order.fault)?;
        self.reconfigured |= kind.name == CONFIGURATION_CHANGE;
        let refused = match self.plan().filter(|_| !self.lost) {
            Some(plan) => faults::foresee(kind, &plan, &order.target, &order.parameters).err(),
            None => faults::Parameters::read(kind.parameters, &order.parameters).err().map(FaultError::from),
        };
        match refused {
            Some(error) => self.refused(step, kind, error),
            None if kind.name == CONFIGURATION_CHANGE => self.reconfigure(step, order),
            None => self.upgrade(kind, order),
        }
        Some(kind)
    }

    /// Holds a change of Patroni's configuration against what that is by then.
    fn reconfigure(&mut self, step: &Step, order: &FaultOrder) {
        // A step of the user's own may have changed it.
        let known = self.setup.topology().ok().filter(|_| !self.lost && !self.own_steps).cloned();
        let (Some(topology), Some(change)) = (known, change_of(order)) else { return };
        let plan = Plan::new(topology);
        let Some(node) = plan.nodes.first() else { return };
        let mut configuration = patroni::dynamic(&plan.site(node));
        let before = self.on.iter().filter(|(on, _)| on.name == CONFIGURATION_CHANGE);
        before.filter_map(|(_, order)| change_of(order)).for_each(|change| change.make(&mut configuration));
        let (key, value) = (change.key(), change.value());
        let settings = plan.cluster_of(node).map_or(&plan.topology.settings, |cluster| plan.settings_of(cluster));
        if let Err(problem) = change.fits(settings.postgresql.major_version) {
            return self.add(At::Step, problem.to_string(), Some(problem.help()));
        }
        let said = order.parameters.get("value").cloned().unwrap_or_default();
        let row = |step: &Step| {
            let rows = step.table.as_ref().map(|table| table.rows.as_slice()).unwrap_or_default();
            rows.iter().position(|row| row.first().is_some_and(|first| first == "value"))
        };
        let at = row(step).map_or(At::Quoted { text: said, last: true }, |row| At::Cell { row, column: 1 });
        if change.found(&configuration) == *value {
            let help = "a change that changes nothing can't be distinguished from none".to_owned();
            return self.add(at, format!("{key} is {value} already"), Some(help));
        }
        change.make(&mut configuration);
        if let Err(broken) = dynamic::goes_together(&configuration) {
            let help = "Patroni would lower loop_wait or retry_timeout by itself: change them first".to_owned();
            self.add(at, broken, Some(help));
        }
    }

    fn change(&mut self, step: &Step, fault: &str, parameters: BTreeMap<String, String>) {
        let Some(kind) = self.is_on(fault) else { return };
        let changes_nothing = parameters.is_empty();
        let Some(at) = self.on.iter().rposition(|(on, _)| on.name == kind.name) else { return };
        self.on[at].1.parameters.extend(parameters);
        let order = self.on[at].1.clone();
        let Some(plan) = self.plan().filter(|_| !self.lost) else { return };
        match faults::foresee(kind, &plan, &order.target, &order.parameters) {
            Ok(foreseen) if !foreseen.can_change => {
                let help = "heal it, and inject it anew".to_owned();
                self.add(At::Step, format!("{} can't be changed while it is on", kind.name), Some(help));
            }
            Ok(_) if changes_nothing => {
                let help = "name the parameters that change in the step's table".to_owned();
                self.add(At::Step, "this changes nothing", Some(help));
            }
            Ok(_) => {}
            Err(error) => self.refused(step, kind, error),
        }
    }

    /// The row of a fault that must be on by now.
    fn is_on(&mut self, fault: &str) -> Option<&'static FaultKind> {
        let kind = self.known_fault(fault)?;
        if !self.own_steps && !self.on.iter().any(|(on, _)| on.name == kind.name) {
            let on: Vec<&str> = self.on.iter().map(|(on, _)| on.name).collect();
            let help = if on.is_empty() { "no fault is on by then".to_owned() } else { did_you_mean(fault, &on) };
            self.add(At::Step, format!("no fault `{fault}` was injected before this step"), Some(help));
        }
        Some(kind)
    }

    fn refused(&mut self, step: &Step, kind: &FaultKind, error: FaultError) {
        let row_of = |name: &str| {
            let rows = step.table.as_ref().map(|table| table.rows.as_slice()).unwrap_or_default();
            rows.iter().position(|row| row.first().is_some_and(|first| first == name))
        };
        let cell = |name: &str, column| row_of(name).map(|row| At::Cell { row, column });
        let value = |name: &str, text: &String| {
            cell(name, 1).unwrap_or_else(|| At::Quoted { text: text.clone(), last: name != "key" })
        };
        let at = match &error {
            FaultError::Parameter(ParameterError::Unknown { name, .. }) => cell(name, 0).unwrap_or(At::Step),
            FaultError::Parameter(
                ParameterError::Value { name, text, .. } | ParameterError::Refused { name, text, .. },
            ) => value(name, text),
            _ => At::Step,
        };
        let message = match &error {
            FaultError::NotApplicable { .. } => error.to_string(),
            FaultError::NoTarget(target) => format!("the topology has no {}", target.trim_start_matches("the ")),
            FaultError::Parameter(ParameterError::Refused { reason, .. }) => reason.clone(),
            _ => format!("{} can't be injected so: {error}", kind.name),
        };
        let help = match error {
            FaultError::Parameter(ParameterError::Refused { help, .. }) => help,
            _ => "`pgquake list faults` shows what each fault takes".to_owned(),
        };
        self.add(at, message, Some(help));
    }
}

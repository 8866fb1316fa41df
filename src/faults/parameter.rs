//! Parameters of faults: what each takes, and reading them from a scenario's words before anything is done.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use super::{Process, Roles, Target};
use crate::{
    plan::Plan,
    quantity,
    services::service,
    suggestion::{did_you_mean, one_of},
    topology::ServiceKind,
};

/// One row of a fault's table of parameters.
pub struct Parameter {
    pub name: &'static str,
    pub takes: Takes,
    /// What holds when the scenario does not say; `None`: the scenario must say, unless the parameter is
    /// [`Parameter::optional`].
    pub default: Option<&'static str>,
    pub optional: bool,
    pub meaning: &'static str,
}

impl Parameter {
    /// The scenario must name it.
    pub const fn required(name: &'static str, takes: Takes, meaning: &'static str) -> Self {
        Self { name, takes, default: None, optional: false, meaning }
    }

    /// Without it, this value holds.
    pub const fn with_default(name: &'static str, takes: Takes, default: &'static str, meaning: &'static str) -> Self {
        Self { name, takes, default: Some(default), optional: true, meaning }
    }

    /// Without it, the fault does without.
    pub const fn optional(name: &'static str, takes: Takes, meaning: &'static str) -> Self {
        Self { name, takes, default: None, optional: true, meaning }
    }
}

/// What kind of value a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A process by its word: see [`Process`].
    Process,
    /// A kind of service.
    Service,
    /// Hosts, as a scenario names them.
    Hosts,
    /// `80 ms`, `30 s`: at most a day.
    Duration,
    /// How far a clock is off, as a duration: at most ten years.
    ClockOffset,
    /// `1 MB`.
    Bytes,
    /// `30 %`.
    Share,
    /// `5432, 8008`.
    Ports,
    /// A number, with or without a fraction.
    Number,
    OneOf(&'static [&'static str]),
    /// Anything.
    Text,
}

impl Takes {
    /// What may be written, for lists, documentation and errors.
    pub fn words(self) -> String {
        match self {
            Takes::Process => one_of(Process::words()),
            Takes::Service => one_of(services().map(ServiceKind::name)),
            Takes::Hosts => "hosts, by name or role".to_owned(),
            Takes::Duration => "a duration of at most a day, as 80 ms or 30 s".to_owned(),
            Takes::ClockOffset => "a duration from 1 s to ten years, as 30 s or 90 min".to_owned(),
            Takes::Bytes => "a size, as 64 kB or 1 MB".to_owned(),
            Takes::Share => "a share, as 30 %".to_owned(),
            Takes::Ports => "ports, as 5432 and 8008".to_owned(),
            Takes::Number => "a number".to_owned(),
            Takes::OneOf(words) => one_of(words.iter().copied()),
            Takes::Text => "text".to_owned(),
        }
    }

    fn read(self, text: &str) -> Option<Value> {
        match self {
            Takes::Process => Process::parse(text).map(Value::Process),
            // A kind, or the name of one service, which the plan knows.
            Takes::Service => is_name(text).then(|| Value::Service(text.to_owned())),
            Takes::Hosts => Target::read(text).map(Value::Target),
            Takes::Duration => quantity::duration(text).filter(|time| *time <= quantity::LONGEST).map(Value::Duration),
            Takes::ClockOffset => quantity::duration(text).filter(|by| CLOCK_OFFSETS.contains(by)).map(Value::Duration),
            Takes::Bytes => quantity::bytes(text).map(Value::Bytes),
            Takes::Share => quantity::share(text).map(Value::Number),
            Takes::Ports => quantity::ports(text).map(Value::Ports),
            Takes::Number => text.trim().parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Number),
            Takes::OneOf(words) => words.contains(&text).then(|| Value::Text(text.to_owned())),
            Takes::Text => Some(Value::Text(text.to_owned())),
        }
    }
}

/// How far a clock can be off: a smaller offset can't be distinguished from none, and PostgreSQL's times end somewhere.
const CLOCK_OFFSETS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10 * 365 * 24 * 3600);

/// Whether a service can have this name.
fn is_name(text: &str) -> bool {
    let letters = text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-');
    letters && text.starts_with(|first: char| first.is_ascii_lowercase())
}

/// The services that are part of the system under test.
fn services() -> impl Iterator<Item = ServiceKind> {
    ServiceKind::ALL.iter().copied().filter(|kind| service(*kind).placed_by_topologies)
}

/// A parameter that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    #[error("it has no parameter `{name}`: {hint}")]
    Unknown { name: String, hint: String },
    #[error("it needs the parameter `{name}`: {takes}")]
    Missing { name: &'static str, takes: String },
    #[error("`{text}` can't be its parameter `{name}`: it takes {takes}")]
    Value { name: &'static str, text: String, takes: String },
    /// It can be read, and the fault can do nothing with it.
    #[error("{reason}: {help}")]
    Refused { name: &'static str, text: String, reason: String, help: String },
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Process(Process),
    /// A kind of service, or the name of one.
    Service(String),
    /// Hosts in the scenario's words.
    Target(Target),
    /// Hosts, once it is known who has which role.
    Hosts(Vec<String>),
    Duration(Duration),
    Bytes(u64),
    Ports(Vec<u16>),
    /// A share is a number between 0 and 1.
    Number(f64),
    Text(String),
}

/// The parameters of a fault under way, read and complete.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    values: BTreeMap<&'static str, Value>,
}

impl Parameters {
    /// Reads what the scenario gave, by a fault's table. Hosts are still words; [`Parameters::resolve`] finds them.
    pub fn read(table: &'static [Parameter], given: &BTreeMap<String, String>) -> Result<Self, ParameterError> {
        let names: Vec<&str> = table.iter().map(|row| row.name).collect();
        if let Some(unknown) = given.keys().find(|name| !names.contains(&name.as_str())) {
            let hint = if names.is_empty() { "it takes none".to_owned() } else { did_you_mean(unknown, &names) };
            return Err(ParameterError::Unknown { name: unknown.clone(), hint });
        }
        let mut values = BTreeMap::new();
        for row in table {
            let Some(text) = given.get(row.name).map(String::as_str).or(row.default) else {
                if row.optional {
                    continue;
                }
                return Err(ParameterError::Missing { name: row.name, takes: row.takes.words() });
            };
            let wrong = || ParameterError::Value { name: row.name, text: text.to_owned(), takes: row.takes.words() };
            values.insert(row.name, row.takes.read(text).ok_or_else(wrong)?);
        }
        Ok(Self { values })
    }

    /// Finds the hosts that parameters of the kind [`Takes::Hosts`] mean while these roles hold.
    pub(super) fn resolve(
        &mut self,
        table: &'static [Parameter],
        plan: &Plan,
        roles: &Roles,
        aimed: &[String],
    ) -> Result<(), super::FaultError> {
        for row in table.iter().filter(|row| row.takes == Takes::Hosts) {
            let Some(Value::Target(target)) = self.values.get(row.name) else { continue };
            let hosts = target.resolve(plan, roles, aimed)?;
            self.values.insert(row.name, Value::Hosts(hosts));
        }
        Ok(())
    }

    /// These targets, and those that parameters name.
    pub(super) fn targets<'a>(&'a self, others: &[&'a Target]) -> Vec<&'a Target> {
        let named = self.values.values().filter_map(|value| match value {
            Value::Target(target) => Some(target),
            _ => None,
        });
        others.iter().copied().chain(named).collect()
    }

    pub fn process(&self, name: &str) -> Option<Process> {
        self.get(name, |value| if let Value::Process(process) = value { Some(*process) } else { None })
    }

    pub fn service(&self, name: &str) -> Option<String> {
        self.get(name, |value| if let Value::Service(word) = value { Some(word.clone()) } else { None })
    }

    pub fn duration(&self, name: &str) -> Option<Duration> {
        self.get(name, |value| if let Value::Duration(duration) = value { Some(*duration) } else { None })
    }

    pub fn bytes(&self, name: &str) -> Option<u64> {
        self.get(name, |value| if let Value::Bytes(bytes) = value { Some(*bytes) } else { None })
    }

    /// A number, or a share between 0 and 1.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name, |value| if let Value::Number(number) = value { Some(*number) } else { None })
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name, |value| if let Value::Text(text) = value { Some(text.clone()) } else { None })
    }

    /// Ports; empty if none are named.
    pub fn ports(&self, name: &str) -> Vec<u16> {
        let ports = |value: &Value| if let Value::Ports(ports) = value { Some(ports.clone()) } else { None };
        self.get(name, ports).unwrap_or_default()
    }

    /// Hosts; empty if none are named.
    pub fn hosts(&self, name: &str) -> Vec<String> {
        let hosts = |value: &Value| if let Value::Hosts(hosts) = value { Some(hosts.clone()) } else { None };
        self.get(name, hosts).unwrap_or_default()
    }

    fn get<T>(&self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        self.values.get(name).and_then(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Parameter] = &[
        Parameter::required("latency", Takes::Duration, "how long"),
        Parameter::with_default("direction", Takes::OneOf(&["both", "out"]), "both", "which way"),
        Parameter::optional("ports", Takes::Ports, "which ports"),
    ];

    fn read(given: &[(&str, &str)]) -> Result<Parameters, ParameterError> {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Parameters::read(TABLE, &given)
    }

    #[test]
    fn values_are_read_by_their_kind_and_defaults_fill_in() {
        let read = read(&[("latency", "80 ms"), ("ports", "5432")]).unwrap();
        assert_eq!(read.duration("latency"), Some(Duration::from_millis(80)));
        assert_eq!(read.text("direction").as_deref(), Some("both"));
        assert_eq!(read.ports("ports"), [5432]);
        assert_eq!(read.duration("direction"), None);
    }

    #[test]
    fn what_can_not_be_used_is_told_with_what_can() {
        let unknown = read(&[("latencey", "80 ms")]).unwrap_err();
        assert!(unknown.to_string().contains("did you mean `latency`"), "{unknown}");
        let missing = read(&[]).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "it needs the parameter `latency`: a duration of at most a day, as 80 ms or 30 s"
        );
        let wrong = read(&[("latency", "1 s"), ("direction", "sideways")]).unwrap_err();
        assert_eq!(wrong.to_string(), "`sideways` can't be its parameter `direction`: it takes both or out");
    }
}

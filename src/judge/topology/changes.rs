//! What a scenario changes in a topology before it is built.

use serde_json::Value;

use super::{
    Settings, SlotKept, Subscription, Topology,
    postgresql::{self, ParameterProblem},
    validate,
};
use crate::{services::versions, suggestion::did_you_mean};

/// A setting that a scenario can't have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error("{of} has no setting `{name}` here: {hint}")]
    Unknown { of: String, name: String, hint: String },
    #[error("`{text}` can't be the {of} setting `{name}`: {reason}")]
    Value { of: String, name: String, text: String, reason: String },
    #[error("there are no settings `{name}`: {hint}")]
    NoSection { name: String, hint: String },
    #[error("`{0}` is no setting: write it with its section, as `patroni.ttl_s`")]
    NoPath(String),
    #[error(transparent)]
    Parameter(#[from] ParameterProblem),
    #[error("`{text}` can't be the PostgreSQL parameter `{name}`: {reason}")]
    Postgresql { name: String, text: String, reason: String },
    #[error("no version of `{program}` can be chosen: {hint}")]
    NoProgram { program: String, hint: String },
    #[error("`{program}` can't run in the version `{version}`: {reason}")]
    Version { program: String, version: String, reason: String },
    #[error("no endpoint is called `{name}`: {hint}")]
    NoEndpoint { name: String, hint: String },
    #[error("clients of the endpoint `{endpoint}` can't connect to `{host}`: {reason}")]
    Endpoint { endpoint: String, host: String, reason: String },
    #[error("no subscription is called `{name}`: {hint}")]
    NoSubscription { name: String, hint: String },
    #[error("the {part} of the subscription `{name}` can't be `{text}`: {reason}")]
    Subscription { name: String, part: &'static str, text: String, reason: String },
    #[error("the application `{name}` can't be as the step says: {reason}")]
    Application { name: String, reason: String },
    #[error("the settings do not go together: {0}")]
    Together(String),
}

impl SettingError {
    /// What was probably meant, or what is possible, where the message does not say it.
    pub fn help(&self) -> Option<String> {
        match self {
            SettingError::Parameter(problem) => Some(problem.help()),
            _ => None,
        }
    }

    /// What can't be: the name or the value, as it was written.
    pub fn text(&self) -> &str {
        match self {
            SettingError::Unknown { name, .. } | SettingError::Postgresql { name, .. } => name,
            SettingError::Value { text, .. } => text,
            SettingError::NoProgram { program, .. } => program,
            SettingError::Version { version, .. } => version,
            SettingError::NoEndpoint { name, .. } | SettingError::NoSection { name, .. } => name,
            SettingError::NoPath(path) => path,
            SettingError::NoSubscription { name, .. } | SettingError::Application { name, .. } => name,
            SettingError::Subscription { text, .. } => text,
            SettingError::Endpoint { host, .. } => host,
            SettingError::Parameter(problem) => problem.text(),
            SettingError::Together(_) => "",
        }
    }

    /// Whether it is the value that can't be, and not the name; `None`: neither by itself.
    pub fn is_of_value(&self) -> Option<bool> {
        match self {
            SettingError::Unknown { .. }
            | SettingError::NoEndpoint { .. }
            | SettingError::NoSection { .. }
            | SettingError::NoProgram { .. }
            | SettingError::NoSubscription { .. }
            | SettingError::NoPath(_) => Some(false),
            SettingError::Subscription { .. }
            | SettingError::Value { .. }
            | SettingError::Version { .. }
            | SettingError::Endpoint { .. } => Some(true),
            SettingError::Parameter(problem) => Some(problem.is_of_value()),
            SettingError::Postgresql { .. } => Some(false),
            SettingError::Together(_) | SettingError::Application { .. } => None,
        }
    }
}

impl Topology {
    /// Gives a setting another value, under its section and name in topology files, as `patroni.ttl_s`; of `postgresql` it is
    /// a parameter. Services and clusters with a value of their own keep it, but for Patroni's. The topology stays as it was
    /// when the value can't be used.
    pub fn set(&mut self, path: &str, text: &str) -> Result<(), SettingError> {
        let (section, name) = path.split_once('.').ok_or_else(|| SettingError::NoPath(path.to_owned()))?;
        match section {
            "patroni" => self.set_patroni(name, text),
            "postgresql" => self.set_postgresql(name, text),
            _ => self.set_in(section, section, name, text),
        }
    }

    /// Gives a Patroni setting another value, under its name in topology files (`failsafe_mode`, `ttl_s`) or in Patroni
    /// (`ttl`). The topology stays as it was when the value can't be used.
    pub fn set_patroni(&mut self, name: &str, text: &str) -> Result<(), SettingError> {
        self.set_in("patroni", "Patroni", name, text)
    }

    /// Gives a field of a section another value, under its name or the one without the unit.
    fn set_in(&mut self, section: &str, of: &str, name: &str, text: &str) -> Result<(), SettingError> {
        let wrong = |reason: String| {
            let [of, name, text] = [of, name, text].map(str::to_owned);
            SettingError::Value { of, name, text, reason }
        };
        let settings = serde_json::to_value(&self.settings).map_err(|error| wrong(error.to_string()))?;
        let keys =
            |map: &Value| -> Vec<String> { map.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect() };
        let hint =
            |name: &str, known: &[String]| did_you_mean(name, &known.iter().map(String::as_str).collect::<Vec<_>>());
        let sections = keys(&settings);
        if !sections.iter().any(|known| known == section) {
            return Err(SettingError::NoSection { name: section.to_owned(), hint: hint(section, &sections) });
        }
        let known = keys(&settings[section]);
        let written = ["", "_s", "_ms", "_bytes"].map(|unit| format!("{name}{unit}"));
        let Some(key) = written.into_iter().find(|key| known.contains(key)) else {
            return Err(SettingError::Unknown { of: of.to_owned(), name: name.to_owned(), hint: hint(name, &known) });
        };
        if self.is_said_by_own(section, &key) {
            return Err(wrong("the team's own file says it, and runs as it is".to_owned()));
        }
        let value = match text {
            "on" => Value::Bool(true),
            "off" => Value::Bool(false),
            _ => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        };
        let takes = match (&settings[section][&key], key.rsplit('_').next()) {
            (Value::Bool(_), _) => "it takes on or off",
            (_, Some("bytes")) => "it takes a whole number of bytes",
            (_, Some("s")) => "it takes a whole number of seconds",
            (_, Some("ms")) => "it takes a whole number of milliseconds",
            _ => "it takes a whole number",
        };
        let mut changed = self.clone();
        for own in changed.every_settings() {
            let mut settings = serde_json::to_value(&*own).map_err(|error| wrong(error.to_string()))?;
            settings[section][&key] = value.clone();
            *own = serde_json::from_value(settings).map_err(|_| wrong(takes.to_owned()))?;
        }
        changed.takes_each_setting().map_err(wrong)?;
        *self = changed;
        Ok(())
    }

    /// Sets a parameter of PostgreSQL on every node, as in `postgresql.conf`. The topology stays as it was when it can't
    /// be set.
    pub fn set_postgresql(&mut self, name: &str, text: &str) -> Result<(), SettingError> {
        postgresql::check(self.settings.postgresql.major_version, name, text)?;
        let mut changed = self.clone();
        for own in changed.every_settings() {
            // Upper and lower case are the same: what is set last holds.
            own.postgresql.parameters.retain(|known, _| !known.eq_ignore_ascii_case(name));
            own.postgresql.parameters.insert(name.to_owned(), text.to_owned());
        }
        let wrong = |reason| SettingError::Postgresql { name: name.to_owned(), text: text.to_owned(), reason };
        changed.takes_each_setting().map_err(wrong)?;
        *self = changed;
        Ok(())
    }

    /// Has a program run in this version, in every cluster. The topology stays as it was when it can't.
    pub fn set_version(&mut self, program: &str, version: &str) -> Result<(), SettingError> {
        let mut changed = self.clone();
        for own in changed.every_settings() {
            own.set_version(program, version)?;
        }
        let wrong = |reason| SettingError::Version { program: program.to_owned(), version: version.to_owned(), reason };
        changed.takes_each_setting().map_err(wrong)?;
        *self = changed;
        Ok(())
    }

    /// Has clients of an endpoint connect to another host, or to another global name. The topology stays as it was when
    /// they can't.
    pub fn set_endpoint_host(&mut self, endpoint: &str, host: &str) -> Result<(), SettingError> {
        let mut changed = self.clone();
        if !changed.endpoints.move_to(endpoint, host) {
            let known: Vec<&str> = self.endpoints.iter().map(|own| own.name.as_str()).collect();
            return Err(SettingError::NoEndpoint { name: endpoint.to_owned(), hint: did_you_mean(endpoint, &known) });
        }
        let wrong = |reason| SettingError::Endpoint { endpoint: endpoint.to_owned(), host: host.to_owned(), reason };
        changed.takes_each_setting().map_err(wrong)?;
        *self = changed;
        Ok(())
    }

    /// Has the slot of a subscription kept in another way: `plain`, `failover` or `permanent`. The topology stays as it was when
    /// it can't.
    pub fn set_slot_kept(&mut self, name: &str, text: &str) -> Result<(), SettingError> {
        let words = SlotKept::ALL.map(SlotKept::word);
        let kept = SlotKept::ALL.into_iter().find(|kept| kept.word() == text);
        self.change_subscription(name, ("slot", text), |own| {
            own.slot_kept = kept.ok_or_else(|| did_you_mean(text, &words))?;
            Ok(())
        })
    }

    /// Has a subscription connect by another endpoint, or to the nodes themselves. The topology stays as it was when it can't.
    pub fn set_subscription_through(&mut self, name: &str, text: &str) -> Result<(), SettingError> {
        self.change_subscription(name, ("endpoint", text), |own| {
            own.through = text.to_owned();
            Ok(())
        })
    }

    fn change_subscription(
        &mut self,
        name: &str,
        (part, text): (&'static str, &str),
        change: impl Fn(&mut Subscription) -> Result<(), String>,
    ) -> Result<(), SettingError> {
        let wrong = |reason| SettingError::Subscription { name: name.to_owned(), part, text: text.to_owned(), reason };
        let mut changed = self.clone();
        let known: Vec<&str> = self.subscriptions.iter().map(|own| own.name.as_str()).collect();
        let own = changed.subscriptions.iter_mut().find(|own| own.name == name);
        let missing = || SettingError::NoSubscription { name: name.to_owned(), hint: did_you_mean(name, &known) };
        change(own.ok_or_else(missing)?).map_err(wrong)?;
        changed.takes_each_setting().map_err(wrong)?;
        *self = changed;
        Ok(())
    }

    /// The settings of the topology, and those that clusters have of their own.
    fn every_settings(&mut self) -> impl Iterator<Item = &mut Settings> {
        std::iter::once(&mut self.settings).chain(self.clusters.iter_mut().filter_map(|own| own.settings.as_mut()))
    }

    /// Whether the settings keep the rules that several of them share. Scenarios set one after the other, so this is
    /// asked when all are set.
    pub fn settings_go_together(&self) -> Result<(), SettingError> {
        let shared = validate::problems(self, None, None).into_iter().find(|problem| problem.paths.len() > 1);
        shared.map_or(Ok(()), |problem| Err(SettingError::Together(in_words(problem))))
    }

    /// Why a setting can't be used, whatever the others are.
    pub(super) fn takes_each_setting(&self) -> Result<(), String> {
        let own = validate::problems(self, None, None).into_iter().find(|problem| problem.paths.len() == 1);
        own.map_or(Ok(()), |problem| Err(in_words(problem)))
    }
}

impl Settings {
    fn set_version(&mut self, program: &str, version: &str) -> Result<(), SettingError> {
        match program {
            "patroni" => self.patroni.version = Some(version.to_owned()),
            "postgresql" => {
                // A word that is no number is none of the versions, and is said to be none with those that are.
                let named = versions::read_postgresql(version).ok_or_else(|| SettingError::Version {
                    program: program.to_owned(),
                    version: version.to_owned(),
                    reason: "it is a whole number, as 16, or one of its minor versions, as 16.11".to_owned(),
                })?;
                (self.postgresql.major_version, self.postgresql.minor_version) = named;
            }
            "etcd" => self.etcd.version = Some(version.to_owned()),
            _ => {
                let hint = did_you_mean(program, versions::PROGRAMS);
                return Err(SettingError::NoProgram { program: program.to_owned(), hint });
            }
        }
        Ok(())
    }
}

fn in_words(problem: validate::Problem) -> String {
    let help = problem.help.map(|help| format!(": {help}")).unwrap_or_default();
    format!("{}{help}", problem.message)
}

#[cfg(test)]
mod tests {
    use crate::topology::load;

    #[test]
    fn a_setting_is_changed_under_either_name() {
        let mut topology = load("single-region", &[]).unwrap();
        topology.set_patroni("failsafe_mode", "on").unwrap();
        topology.set_patroni("primary_start_timeout", "0").unwrap();
        topology.set_patroni("loop_wait_s", "5").unwrap();
        let patroni = &topology.settings.patroni;
        assert_eq!((patroni.failsafe_mode, patroni.primary_start_timeout_s, patroni.loop_wait_s), (true, 0, 5));
    }

    #[test]
    fn a_setting_is_named_with_its_section() {
        let mut topology = load("single-region", &[]).unwrap();
        for (path, value) in [("patroni.ttl", "40"), ("haproxy.inter_ms", "1000"), ("etcd.election_timeout", "2000")] {
            topology.set(path, value).unwrap();
        }
        topology.set("postgresql.work_mem", "8MB").unwrap();
        let settings = topology.settings.clone();
        assert_eq!(
            (settings.patroni.ttl_s, settings.haproxy.inter_ms, settings.etcd.election_timeout_ms),
            (40, 1000, 2000)
        );
        for (path, value, told) in [
            ("patrni.ttl_s", "20", "there are no settings `patrni`: did you mean `patroni`"),
            ("haproxy.intr_ms", "20", "haproxy has no setting `intr_ms` here: did you mean `inter_ms`"),
            ("haproxy.rise", "two", "`two` can't be the haproxy setting `rise`: it takes a whole number"),
            ("haproxy.rise", "0", "rise must be at least 1"),
            ("ttl_s", "20", "`ttl_s` is no setting: write it with its section, as `patroni.ttl_s`"),
        ] {
            let refused = topology.set(path, value).unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
        assert_eq!(topology.settings, settings);
    }

    #[test]
    fn a_parameter_is_set_once_however_its_name_is_written() {
        let mut topology = load("single-region", &[]).unwrap();
        topology.set_postgresql("work_mem", "8MB").unwrap();
        topology.set_postgresql("Work_Mem", "16MB").unwrap();
        assert_eq!(topology.settings.postgresql.parameters.len(), 1);
        let wrong = topology.set_postgresql("work_mem", "16mb").unwrap_err();
        assert_eq!(wrong.to_string(), "`16mb` can't be the value of `work_mem`");
        assert_eq!((wrong.is_of_value(), wrong.help().is_some()), (Some(true), true));
        // More standbys than places for them.
        topology.set_postgresql("max_wal_senders", "3").unwrap();
        topology.set_postgresql("superuser_reserved_connections", "100").unwrap();
        topology.set_postgresql("max_connections", "100").unwrap();
        assert!(topology.settings_go_together().unwrap_err().to_string().contains("are reserved"));
        topology.set_postgresql("max_connections", "101").unwrap();
        topology.settings_go_together().unwrap();
    }

    #[test]
    fn settings_are_held_against_each_other_when_all_are_set() {
        let mut topology = load("single-region", &[]).unwrap();
        topology.set_patroni("ttl", "20").unwrap();
        assert!(topology.settings_go_together().unwrap_err().to_string().contains("exceeds ttl_s"));
        topology.set_patroni("loop_wait", "5").unwrap();
        topology.set_patroni("retry_timeout", "5").unwrap();
        topology.settings_go_together().unwrap();
    }

    #[test]
    fn clients_of_an_endpoint_are_sent_to_another_name() {
        let mut topology = load("two-region", &[]).unwrap();
        topology.set_endpoint_host("write", "db-failover").unwrap();
        assert_eq!(topology.endpoints.find("write").unwrap().host, "db-failover");
        let before = topology.clone();
        let unknown = topology.set_endpoint_host("wriet", "db-primary").unwrap_err();
        assert!(unknown.to_string().contains("did you mean `write`"), "{unknown}");
        let wrong = topology.set_endpoint_host("write", "db-failovr").unwrap_err();
        assert!(wrong.to_string().contains("did you mean `db-failover`"), "{wrong}");
        assert_eq!(topology, before);
    }

    #[test]
    fn what_can_not_be_set_is_told_and_changes_nothing() {
        let before = load("single-region", &[]).unwrap();
        let mut topology = before.clone();
        let unknown = topology.set_patroni("failsave_mode", "on").unwrap_err();
        assert!(unknown.to_string().contains("did you mean `failsafe_mode`"), "{unknown}");
        let wrong = topology.set_patroni("failsafe_mode", "maybe").unwrap_err();
        assert!(wrong.to_string().contains("`maybe` can't be the Patroni setting `failsafe_mode`"), "{wrong}");
        // Patroni takes no ttl below 20.
        assert!(topology.set_patroni("ttl", "5").is_err());
        assert_eq!(topology, before);
    }
}

//! Applications: clients of one kind, with the settings of their own by which they find out that they have lost their server.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{SettingError, Topology, WRITE};
use crate::suggestion::did_you_mean;

/// Clients that write beside the load, each on a session of its own.
///
/// What libpq has a parameter for is called as there, with its unit and its meaning of 0 (PostgreSQL's documentation, "Parameter
/// Key Words"). The defaults are libpq's: nothing ends a wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Its name in scenarios and reports.
    pub name: String,
    /// How many clients it has.
    #[serde(default = "one")]
    pub clients: u32,
    /// How many rows each of them writes in a second, one after the other.
    #[serde(default = "one")]
    pub rows_per_s: u32,
    /// The endpoint that they connect to; or `nodes`: each node in turn, until one accepts writes, as libpq does with several
    /// hosts and `target_session_attrs=read-write`.
    #[serde(default = "write")]
    pub endpoint: String,
    /// How long a client waits for a connection to one host, in seconds; 0: for as long as the kernel does.
    #[serde(default)]
    pub connect_timeout: u32,
    /// Whether the kernel asks a silent peer whether it is still there: 1 or 0.
    #[serde(default = "one")]
    pub keepalives: u32,
    /// After how much silence it asks, in seconds; 0: as the machine is set, mostly two hours.
    #[serde(default)]
    pub keepalives_idle: u32,
    /// How long after a question without an answer it asks again, in seconds; 0: as the machine is set.
    #[serde(default)]
    pub keepalives_interval: u32,
    /// After how many questions without an answer the connection is given up; 0: as the machine is set.
    #[serde(default)]
    pub keepalives_count: u32,
    /// For how long what was sent may stay without an acknowledgement until the kernel gives the connection up, in
    /// milliseconds; 0: as the machine is set, about a quarter of an hour.
    #[serde(default)]
    pub tcp_user_timeout: u32,
    /// After how long the server ends a statement (PostgreSQL's parameter), in milliseconds; 0: never.
    #[serde(default)]
    pub statement_timeout: u32,
    /// After how long the client itself gives up an answer, and its session with it, in milliseconds; 0: never.
    #[serde(default)]
    pub answer_timeout_ms: u32,
    /// How long a transaction stays open between its row and its commit, in milliseconds; 0: each row commits by itself.
    #[serde(default)]
    pub transaction_idle_ms: u32,
    /// What becomes of the session when the server refuses a write because it is read-only (SQLSTATE 25006).
    #[serde(default)]
    pub after_read_only: AfterReadOnly,
    /// How long a client pauses after an attempt that got no session, in milliseconds. After a session that broke it connects at
    /// once: all that lost theirs together come back together.
    #[serde(default = "pause")]
    pub reconnect_pause_ms: u32,
}

/// What a client does with a session by which it can't write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AfterReadOnly {
    /// It takes another one.
    #[default]
    Reconnect,
    /// It goes on with it, as a pool of connections in an application does that looks only whether they are open.
    Keep,
}

/// The pause of a client that got no session, unless it has one of its own.
const PAUSE_MS: u32 = 200;

fn one() -> u32 {
    1
}

fn pause() -> u32 {
    PAUSE_MS
}

fn write() -> String {
    WRITE.to_owned()
}

impl Application {
    /// One of this name, with libpq's defaults.
    ///
    /// # Errors
    /// A setting has no default.
    fn called(name: &str) -> Result<Self, SettingError> {
        let broken =
            |error: serde_json::Error| SettingError::Application { name: name.to_owned(), reason: error.to_string() };
        serde_json::from_value(json!({ "name": name })).map_err(broken)
    }

    /// How long a client waits for a connection to one host; `None`: as long as the kernel does.
    pub fn connect_timeout(&self) -> Option<Duration> {
        (self.connect_timeout > 0).then(|| Duration::from_secs(self.connect_timeout.into()))
    }

    /// How long a client waits for an answer; `None`: until the connection is given up.
    pub fn answer_timeout(&self) -> Option<Duration> {
        (self.answer_timeout_ms > 0).then(|| Duration::from_millis(self.answer_timeout_ms.into()))
    }

    /// What would end a client's wait for a server that is silent, in words.
    pub fn patience(&self) -> String {
        let timeouts = [
            ("connect_timeout", self.connect_timeout, " s"),
            ("answer_timeout_ms", self.answer_timeout_ms, ""),
            ("statement_timeout", self.statement_timeout, " ms"),
            ("tcp_user_timeout", self.tcp_user_timeout, " ms"),
            ("keepalives_idle", self.keepalives_idle.saturating_mul(self.keepalives), " s"),
        ];
        let set: Vec<String> = timeouts
            .iter()
            .filter(|(_, value, _)| *value > 0)
            .map(|(name, value, unit)| format!("{name} {value}{unit}"))
            .collect();
        if set.is_empty() { "no timeout".to_owned() } else { set.join(", ") }
    }

    /// The same with one setting changed.
    ///
    /// # Errors
    /// There is no such setting, or it does not take that value: the reason.
    fn with(&self, name: &str, text: &str) -> Result<Self, SettingError> {
        let of = format!("application `{}`", self.name);
        let wrong = |reason: String| {
            let (of, name, text) = (of.clone(), name.to_owned(), text.to_owned());
            SettingError::Value { of, name, text, reason }
        };
        let mut written = serde_json::to_value(self).map_err(|error| wrong(error.to_string()))?;
        let known = written.as_object().into_iter().flat_map(|fields| fields.keys().map(String::as_str));
        let known: Vec<&str> = known.filter(|field| *field != "name").collect();
        if !known.contains(&name) {
            return Err(SettingError::Unknown { of, name: name.to_owned(), hint: did_you_mean(name, &known) });
        }
        let value = match (written[name].is_number(), text.parse::<u32>()) {
            (true, Ok(number)) => Value::from(number),
            (true, Err(_)) => return Err(wrong(format!("it takes a whole number, at most {}", u32::MAX))),
            (false, _) => Value::from(text),
        };
        written[name] = value;
        serde_json::from_value(written).map_err(|error| wrong(error.to_string()))
    }
}

impl Topology {
    /// The application of this name.
    pub fn application(&self, name: &str) -> Option<&Application> {
        self.applications.iter().find(|own| own.name == name)
    }

    /// Has an application write beside the load, or changes the settings of one that does. The topology stays as it was when
    /// it can't.
    ///
    /// # Errors
    /// A setting is unknown, or can't have its value.
    pub fn set_application(&mut self, name: &str, settings: &BTreeMap<String, String>) -> Result<(), SettingError> {
        let mut changed = self.clone();
        let mut own = self.application(name).cloned().map_or_else(|| Application::called(name), Ok)?;
        for (setting, text) in settings {
            own = own.with(setting, text)?;
        }
        match changed.applications.iter_mut().find(|known| known.name == name) {
            Some(known) => *known = own,
            None => changed.applications.push(own),
        }
        changed.takes_each_setting().map_err(|reason| SettingError::Application { name: name.to_owned(), reason })?;
        *self = changed;
        Ok(())
    }
}

//! What a team brings of its own for the services of a kind: the image that they run in, their configuration, further files and
//! variables of the environment. What runs is the team's file; the keys that the harness has to set are in one table for each
//! format, with the reason, and a run prints them.
//!
//! A format is one file here and one row in its service's table: how it is read when the topology is, and how it is put in the
//! place of what would be rendered. What a file says that predictions and checks go by (a lease's time to live, the interval of a
//! health check) is read into the topology's settings.

mod haproxy_cfg;
mod ini;
mod patroni_yml;
mod pgbouncer_ini;
mod postgresql_conf;

use std::{collections::BTreeMap, net::IpAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Rendered, Serves, ServiceKind, Site, versions};
use crate::suggestion::did_you_mean;
pub use haproxy_cfg::{Names, names as names_of_haproxy};
pub(super) use {
    haproxy_cfg::FILE as HAPROXY_CFG, patroni_yml::FILE as PATRONI_YML, patroni_yml::VARIABLES as PATRONI_VARIABLES,
    pgbouncer_ini::FILE as PGBOUNCER_INI, postgresql_conf::FILE as POSTGRESQL_CONF,
};

/// What the services of a kind have of the team's own. Paths of files are those from the topology's own folder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Own {
    /// The image that they run in, as `registry/our-patroni:1.2`. pgquake puts its entry point on top of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Their configuration: a format's name, as `patroni.yml`, and the file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub configuration: BTreeMap<String, String>,
    /// Further files: where each is in the container, and the file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Variables of their environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// What each file held when the topology was read: a saved run has it too.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(skip)]
    pub texts: BTreeMap<String, String>,
}

impl Own {
    /// The content of the team's file of this format, if there is one.
    pub fn text_of(&self, format: &str) -> Option<&str> {
        self.texts.get(self.configuration.get(format)?).map(String::as_str)
    }
}

/// A format of configuration that a team may bring.
pub struct Format {
    /// What it is called in a topology, as `patroni.yml`.
    pub name: &'static str,
    /// Reads a file of it, in these surroundings.
    pub read: fn(&str, &Surroundings<'_>) -> Result<Reading, Vec<Flaw>>,
    /// Puts it in the place of what is rendered for a service.
    pub put: fn(&str, &Site<'_>, &mut Rendered),
}

/// What a file may name: what the topology has.
pub struct Surroundings<'a> {
    /// Every name of every host, with the ports on which its services listen.
    pub hosts: Vec<(&'a str, Vec<u16>)>,
    /// The port of the page of statistics that is added to a balancer's file.
    pub statistics_port: u16,
    /// The kind of the DCS, if there is one.
    pub dcs: Option<ServiceKind>,
    /// The endpoints that hosts with this kind of service have.
    pub endpoints: Vec<Served<'a>>,
    /// The databases into which clients of the run write, beside the first one.
    pub further_databases: Vec<&'a str>,
    /// Every format that the team brings for the same services.
    pub formats: Vec<&'a str>,
    /// Whether agents point pools to the node that becomes primary.
    pub pools_are_repointed: bool,
}

/// An endpoint that a balancer's file has to serve.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    pub name: &'a str,
    pub port: u16,
    pub serves: Serves,
}

impl Surroundings<'_> {
    /// Why a place can't be led to: no host has this name, or nothing listens there; with what may be meant.
    fn refuses(&self, host: &str, port: Option<u16>) -> Option<(String, String)> {
        let Some((_, ports)) = self.hosts.iter().find(|(known, _)| *known == host) else {
            let known: Vec<&str> = self.hosts.iter().map(|(name, _)| *name).collect();
            let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
            let by_name = "write a host's name, because addresses are given out when hosts start: ";
            let help = if is_address { by_name } else { "" }.to_owned() + &did_you_mean(host, &known);
            return Some((format!("no host of the topology is called `{host}`"), help));
        };
        let port = port.filter(|port| !ports.contains(port))?;
        let known: Vec<String> = ports.iter().map(u16::to_string).collect();
        let help = format!(
            "its services listen on {}; ports are the topology's to say, not those of other files",
            known.join(", ")
        );
        Some((format!("nothing listens on port {port} of `{host}`"), help))
    }
}

/// What a file says.
#[derive(Debug, Default)]
pub struct Reading {
    /// What of it belongs into the topology's settings.
    pub settings: Vec<Stated>,
    /// What the harness has to set in its place, in the order of the file.
    pub overridden: Vec<Overridden>,
}

/// A setting of the topology that a file states.
#[derive(Debug, PartialEq)]
pub struct Stated {
    /// Its path below the settings; the last part of `patroni.dynamic` is a whole key of Patroni's.
    pub path: Vec<String>,
    pub value: Value,
    pub spot: Spot,
    /// Whether the file says nothing of it, and this is what the software takes then.
    pub is_default: bool,
}

/// A key of a file that the harness has to set or leave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overridden {
    pub key: String,
    /// Counted from 1.
    pub line: usize,
    pub why: &'static str,
}

/// A value that the software has where a file says nothing.
type Unsaid = fn() -> Value;

/// A place in a file; both are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    pub line: usize,
    pub column: usize,
}

impl Spot {
    /// The beginning of a line.
    pub(super) fn of_line(line: usize) -> Self {
        Self { line, column: 1 }
    }
}

/// Something in a file that can't be, or that the harness can't drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    pub spot: Spot,
    pub message: String,
    pub help: Option<String>,
}

impl Flaw {
    fn new(spot: Spot, message: impl Into<String>) -> Self {
        Self { spot, message: message.into(), help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What a service is started with: what is rendered for it, with what the team brings.
pub fn put(formats: &[Format], own: &Own, site: &Site<'_>, mut rendered: Rendered) -> Rendered {
    if own.image.is_some() {
        // Such an image has one version of each program.
        rendered.files.retain(|(path, _)| path != versions::FILE);
    }
    for format in formats {
        if let Some(text) = own.text_of(format.name) {
            (format.put)(text, site, &mut rendered);
        }
    }
    for (path, from) in &own.files {
        let text = own.texts.get(from).cloned().unwrap_or_default();
        rendered.files.retain(|(known, _)| known != path);
        rendered.files.push((path.clone(), text));
    }
    rendered.environment.extend(own.environment.clone());
    rendered
}

/// A text without some of its lines, counted from 1.
fn without_lines(text: &str, dropped: &[usize]) -> String {
    let kept = text.lines().enumerate().filter(|(index, _)| !dropped.contains(&(index + 1)));
    kept.flat_map(|(_, line)| [line, "\n"]).collect()
}

/// The content of a rendered file.
fn rendered_file<'a>(rendered: &'a mut Rendered, path: &str) -> Option<&'a mut String> {
    rendered.files.iter_mut().find(|(known, _)| known == path).map(|(_, content)| content)
}

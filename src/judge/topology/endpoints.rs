//! What clients connect to: one endpoint for writes and one for reads, or a list.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};

use super::position::{Path, steps};
use crate::services::Serves;

/// The name of the endpoint at which applications write: the load does, and outages of writes are those of this one.
pub const WRITE: &str = "write";
/// The name of the endpoint at which applications read.
pub const READ: &str = "read";

/// What clients connect to, beside every node directly. A file names the two that a topology of one cluster has
/// (`write`, and perhaps `read`), or lists any number of them, of which one is called `write`.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoints {
    list: Vec<NamedEndpoint>,
    /// Whether the file lists them.
    is_list: bool,
}

/// An endpoint of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedEndpoint {
    /// `write`, `read`, or any other name that is no host's.
    pub name: String,
    pub serves: Serves,
    /// The cluster whose nodes it leads to; left out where there is one, or where a name leads to several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The name of the balancer that serves it alone. Left out: every balancer near its host that no endpoint names here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
    /// Whether its balancer leads clients to the pooler of a node, and not to PostgreSQL itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pooled: bool,
    /// The host that clients connect to, or the global name that leads them to one.
    pub host: String,
    pub port: u16,
    /// Where the host is a global name: whether clients ask for it whenever they connect. If not, they keep an answer as
    /// long as it may be kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks_each_time: bool,
    /// See [`Endpoint::publish`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<u16>,
}

/// A port on a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
    /// The port of 127.0.0.1 at which the harness reaches it; without one, any that is free. Name one to connect
    /// your own client to a system of `pgquake up`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<u16>,
}

/// The form of a topology with one cluster.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WriteAndRead {
    /// Where clients write.
    write: Endpoint,
    /// Where clients read.
    #[serde(default)]
    read: Option<Endpoint>,
}

impl NamedEndpoint {
    /// Where it is.
    pub fn at(&self) -> Endpoint {
        Endpoint { host: self.host.clone(), port: self.port, publish: self.publish }
    }

    fn new(name: &str, serves: Serves, at: Endpoint) -> Self {
        let Endpoint { host, port, publish } = at;
        Self {
            name: name.to_owned(),
            serves,
            of: None,
            through: None,
            pooled: false,
            host,
            port,
            asks_each_time: false,
            publish,
        }
    }
}

impl Endpoints {
    /// Those of a topology with one cluster.
    pub fn write_and_read(write: Endpoint, read: Option<Endpoint>) -> Self {
        let write = NamedEndpoint::new(WRITE, Serves::Primary, write);
        let read = read.map(|read| NamedEndpoint::new(READ, Serves::Standbys, read));
        Self { list: std::iter::once(write).chain(read).collect(), is_list: false }
    }

    /// Whether the file lists them, each with its name.
    pub fn is_list(&self) -> bool {
        self.is_list
    }

    /// Each, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &NamedEndpoint> {
        self.list.iter()
    }

    /// The one of this name.
    pub fn find(&self, name: &str) -> Option<&NamedEndpoint> {
        self.list.iter().find(|endpoint| endpoint.name == name)
    }

    /// Has clients of an endpoint connect to another host or global name; `false` if there is no such endpoint.
    pub(super) fn move_to(&mut self, name: &str, host: &str) -> bool {
        let found = self.list.iter_mut().find(|endpoint| endpoint.name == name);
        found.map(|endpoint| endpoint.host = host.to_owned()).is_some()
    }

    /// Where the file says something of the endpoint of this place.
    pub(super) fn path(&self, index: usize, field: &str) -> Path {
        match self.list.get(index) {
            Some(endpoint) if !self.is_list => steps!["endpoints", endpoint.name.as_str(), field],
            _ => steps!["endpoints", index, field],
        }
    }
}

impl Serialize for Endpoints {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_list {
            return self.list.serialize(serializer);
        }
        let at = |name| self.find(name).map(NamedEndpoint::at);
        match at(WRITE) {
            Some(write) => WriteAndRead { write, read: at(READ) }.serialize(serializer),
            None => self.list.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Endpoints {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EitherForm;
        impl<'de> Visitor<'de> for EitherForm {
            type Value = Endpoints;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the endpoints `write` and `read`, or a list of endpoints")
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Endpoints, M::Error> {
                let WriteAndRead { write, read } = Deserialize::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Endpoints::write_and_read(write, read))
            }

            fn visit_seq<S: SeqAccess<'de>>(self, sequence: S) -> Result<Endpoints, S::Error> {
                let list = Deserialize::deserialize(SeqAccessDeserializer::new(sequence))?;
                Ok(Endpoints { list, is_list: true })
            }
        }
        deserializer.deserialize_any(EitherForm)
    }
}

impl JsonSchema for Endpoints {
    fn schema_name() -> Cow<'static, str> {
        "Endpoints".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let forms = [generator.subschema_for::<WriteAndRead>(), generator.subschema_for::<Vec<NamedEndpoint>>()];
        schemars::json_schema!({
            "description": "What clients connect to, beside every node directly: `write` and perhaps `read`, or a list.",
            "anyOf": forms,
        })
    }
}

//! A service on a host: by its kind alone, or with a name and settings of its own.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::{Map, Value, json};

use super::{Cluster, Host, NamedEndpoint, Topology};
use crate::services::{self, Instance, Instances, ServiceKind, Settings, service};

/// A service on a host. A file names its kind (`haproxy`), or gives it a name and settings of its own:
/// `haproxy: { name: west-balancer, settings: { inter_ms: 1000 } }`.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedService {
    pub kind: ServiceKind,
    /// The name by which scenarios call it and endpoints lead through it. No other service has it.
    pub name: Option<String>,
    /// The fields of its kind's settings that it has otherwise than its cluster or the topology.
    settings: Map<String, Value>,
}

impl From<ServiceKind> for PlacedService {
    fn from(kind: ServiceKind) -> Self {
        Self { kind, name: None, settings: Map::new() }
    }
}

impl PlacedService {
    /// Which of the services of its host it is.
    pub fn instance(&self) -> Instance {
        Instance { kind: self.kind, own_name: self.name.clone() }
    }

    /// Whether its kind is all that the file says of it.
    pub fn is_plain(&self) -> bool {
        self.name.is_none() && self.settings.is_empty()
    }

    /// The fields of its settings that it names.
    pub(super) fn own_fields(&self) -> impl Iterator<Item = &str> {
        self.settings.keys().map(String::as_str)
    }

    /// What it runs with: its own settings, and these for all that it does not name.
    pub fn settings_over<'a>(&self, shared: &'a Settings) -> Cow<'a, Settings> {
        match self.settings.is_empty() {
            true => Cow::Borrowed(shared),
            false => Cow::Owned(shared.with_own(self.kind, &self.settings)),
        }
    }
}

impl fmt::Display for PlacedService {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.instance().fmt(formatter)
    }
}

impl Topology {
    /// Whether a balancer of a host listens for an endpoint. One that endpoints go through serves those alone. Any other
    /// serves every endpoint that goes through none: where there is one cluster all of them, so that one balancer can take
    /// over from another; else those of its own region.
    pub(crate) fn is_served_by(&self, endpoint: &NamedEndpoint, host: &str, balancer: &Instance) -> bool {
        if endpoint.through.is_some() {
            return endpoint.through == balancer.own_name;
        }
        let is_near = self.clusters.len() <= 1 || self.region_of(&endpoint.host) == self.region_of(host);
        is_near && !self.is_gone_through(balancer)
    }

    /// Whether an endpoint names this balancer as the one that serves it.
    pub(crate) fn is_gone_through(&self, balancer: &Instance) -> bool {
        let name = balancer.own_name.as_ref();
        name.is_some() && self.endpoints.iter().any(|endpoint| endpoint.through.as_ref() == name)
    }

    /// The settings that a service of a host runs with: its own, else those of its cluster, else the topology's.
    pub fn settings_on(&self, host: &Host, placed: &PlacedService) -> Cow<'_, Settings> {
        let cluster = self.cluster_beside(&self.clusters, &host.name, &placed.instance());
        placed.settings_over(cluster.map_or(&self.settings, |cluster| self.settings_of(cluster)))
    }

    /// Which of these clusters a service of a host belongs to: that of the endpoints that go through it, the first whose DCS it is a
    /// member of, or else that of its host: with a node, with a member of its DCS, or with an endpoint that leads to it.
    pub(crate) fn cluster_beside<'a>(
        &self,
        clusters: &'a [Cluster],
        host: &str,
        instance: &Instance,
    ) -> Option<&'a Cluster> {
        let called = |name: &str| clusters.iter().find(|cluster| cluster.name == name);
        let is_through =
            |through: &Option<String>| instance.own_name.is_some() && through.as_deref() == Some(instance.name());
        let through = self.endpoints.iter().find(|endpoint| is_through(&endpoint.through) && endpoint.of.is_some());
        let is_member = |cluster: &&Cluster| cluster.dcs.iter().any(|member| member == host);
        let by_dcs = || service(instance.kind).dcs().and_then(|_| clusters.iter().find(is_member));
        let by_host = || self.cluster_at(clusters, host);
        through.and_then(|endpoint| called(endpoint.of.as_deref()?)).or_else(by_dcs).or_else(by_host)
    }

    /// Which of these clusters a host belongs to.
    pub(crate) fn cluster_at<'a>(&self, clusters: &'a [Cluster], host: &str) -> Option<&'a Cluster> {
        let by_node = clusters.iter().find(|cluster| cluster.nodes.iter().any(|node| node == host));
        let by_dcs = || clusters.iter().find(|cluster| cluster.dcs.iter().any(|member| member == host));
        let by_endpoint = || {
            let leads = self.endpoints.iter().find(|endpoint| endpoint.host == host && endpoint.of.is_some());
            let of = leads?.of.as_deref()?;
            clusters.iter().find(|cluster| cluster.name == of)
        };
        let only = || if let [only] = clusters { Some(only) } else { None };
        by_node.or_else(by_dcs).or_else(by_endpoint).or_else(only)
    }
}

impl Serialize for PlacedService {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_plain() {
            return self.kind.serialize(serializer);
        }
        let mut own = Map::new();
        own.extend(self.name.as_ref().map(|name| ("name".to_owned(), json!(name))));
        if !self.settings.is_empty() {
            own.insert("settings".to_owned(), json!(self.settings));
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.kind.name(), &own)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for PlacedService {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EitherForm;
        impl<'de> Visitor<'de> for EitherForm {
            type Value = PlacedService;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a service by its kind, or a kind with a name and settings")
            }

            fn visit_str<E: Error>(self, kind: &str) -> Result<PlacedService, E> {
                ServiceKind::deserialize(kind.into_deserializer()).map(PlacedService::from)
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<PlacedService, M::Error> {
                let Some(kind) = map.next_key::<ServiceKind>()? else {
                    return Err(M::Error::custom("a service must have a kind"));
                };
                let placed = map.next_value_seed(Own(kind))?;
                match map.next_key::<String>()? {
                    None => Ok(placed),
                    Some(other) => Err(M::Error::custom(format!(
                        "`{other}` stands beside `{}`: each service is an entry of its own in the list",
                        kind.name()
                    ))),
                }
            }
        }
        deserializer.deserialize_any(EitherForm)
    }
}

/// What stands below a kind.
struct Own(ServiceKind);

const FIELDS: &[&str] = &["name", "settings"];

impl<'de> DeserializeSeed<'de> for Own {
    type Value = PlacedService;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<PlacedService, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Own {
    type Value = PlacedService;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a `name` and `settings`")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<PlacedService, M::Error> {
        let mut placed = PlacedService::from(self.0);
        while let Some(field) = map.next_key_seed(Field)? {
            match field {
                "name" => placed.name = Some(map.next_value()?),
                _ => placed.settings = map.next_value_seed(OwnSettings(self.0))?,
            }
        }
        Ok(placed)
    }
}

/// One of [`FIELDS`].
struct Field;

impl<'de> DeserializeSeed<'de> for Field {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'static str, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = FIELDS.iter().copied().find(|known| *known == name);
        known.ok_or_else(|| D::Error::unknown_field(&name, FIELDS))
    }
}

struct OwnSettings(ServiceKind);

impl<'de> DeserializeSeed<'de> for OwnSettings {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Map<String, Value>, D::Error> {
        services::read_own(self.0, deserializer)
    }
}

impl JsonSchema for PlacedService {
    fn schema_name() -> Cow<'static, str> {
        "PlacedService".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let several = services::ALL.iter().filter(|row| row.instances == Instances::Several);
        let with_own = several.map(|row| {
            let mut fields = Map::new();
            fields.insert("name".to_owned(), json!({ "type": "string" }));
            if let Some(settings) = services::own_schema(row.kind, generator) {
                fields.insert("settings".to_owned(), settings.to_value());
            }
            let own = json!({ "type": "object", "properties": fields, "additionalProperties": false });
            let name = row.kind.name();
            json!({ "type": "object", "properties": { name: own }, "required": [name], "additionalProperties": false })
        });
        let with_own: Vec<Value> = with_own.collect();
        let by_kind = generator.subschema_for::<ServiceKind>().to_value();
        let forms: Vec<Value> = std::iter::once(by_kind).chain(with_own).collect();
        schemars::json_schema!({
            "description": "A service by its kind, or a kind with a name and settings of its own.",
            "anyOf": forms,
        })
    }
}

/// Why services of this kind have no names and settings of their own; `None`: they may.
pub(super) fn refuses_own(kind: ServiceKind) -> Option<&'static str> {
    match service(kind).instances {
        Instances::Several => None,
        Instances::OneOnAHost(reason) => Some(reason),
    }
}

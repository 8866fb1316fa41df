//! Settings of which only the fields that a file names are kept, so that all others go on being those of the cluster or of
//! the topology.

use std::{fmt, marker::PhantomData};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, Error, IntoDeserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};

/// Fields of a section, each with its value.
pub(crate) type Fields = Map<String, Value>;

/// The settings of a kind that has none.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Nothing {}

/// Reads a section as its settings are read, with the same mistakes at the same places.
pub(crate) fn read<'de, T, D>(deserializer: D) -> Result<Fields, D::Error>
where
    T: Deserialize<'de> + Serialize,
    D: Deserializer<'de>,
{
    struct Section<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de> + Serialize> Visitor<'de> for Section<T> {
        type Value = Fields;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("settings, each with its value")
        }

        fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Fields, M::Error> {
            let mut named = Vec::new();
            let whole = T::deserialize(MapAccessDeserializer::new(Noting { map, named: &mut named }))?;
            let whole = serde_json::to_value(whole).map_err(M::Error::custom)?;
            let value = |field: String| {
                let value = whole.get(&field).cloned().unwrap_or_default();
                (field, value)
            };
            Ok(named.into_iter().map(value).collect())
        }
    }
    deserializer.deserialize_map(Section::<T>(PhantomData))
}

/// A map that notes the keys that it gives away.
struct Noting<'a, M> {
    map: M,
    named: &'a mut Vec<String>,
}

impl<'de, M: MapAccess<'de>> MapAccess<'de> for Noting<'_, M> {
    type Error = M::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, M::Error> {
        self.map.next_key_seed(Key { seed, named: self.named })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, M::Error> {
        self.map.next_value_seed(seed)
    }
}

struct Key<'a, K> {
    seed: K,
    named: &'a mut Vec<String>,
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Key<'_, K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K::Value, D::Error> {
        let name = String::deserialize(deserializer)?;
        self.named.push(name.clone());
        self.seed.deserialize(IntoDeserializer::<D::Error>::into_deserializer(name))
    }
}

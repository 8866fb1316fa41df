//! Reads one line of a history into its [`Event`] as it streams, in one pass.
//!
//! serde's own way with a flattened and tagged enum keeps the whole line as a tree before it fills the variant, which
//! costs several times more, and lets unknown fields pass. A run has up to a million lines.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, EnumAccess, Error, IntoDeserializer, MapAccess, VariantAccess, Visitor,
        value::{EnumAccessDeserializer, MapAccessDeserializer, MapDeserializer},
    },
};
use serde_json::Value;

use super::event::{Event, KnownOccurrence};

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Line)
    }
}

/// A key of the line: what every event has, or what its kind has.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    Seq,
    AtUs,
    Scenario,
    Kind,
    Other(String),
}

/// What every event has, as far as it has been read.
#[derive(Default)]
struct Head {
    seq: Option<u64>,
    at_us: Option<u64>,
    scenario: Option<u32>,
    kind: Option<String>,
}

impl Head {
    /// Takes the value of a key that every event has; gives back the name of any other.
    fn take<'de, M: MapAccess<'de>>(&mut self, key: Key, map: &mut M) -> Result<Option<String>, M::Error> {
        match key {
            Key::Seq => once(&mut self.seq, "seq", map)?,
            Key::AtUs => once(&mut self.at_us, "at_us", map)?,
            Key::Scenario => once(&mut self.scenario, "scenario", map)?,
            Key::Kind => once(&mut self.kind, "kind", map)?,
            Key::Other(name) => return Ok(Some(name)),
        }
        Ok(None)
    }

    fn is_whole(&self) -> bool {
        self.seq.is_some() && self.at_us.is_some() && self.scenario.is_some() && self.kind.is_some()
    }

    /// The event, with its variant's fields from `rest`.
    fn with<'de, M: MapAccess<'de>>(self, rest: M) -> Result<Event, M::Error> {
        let missing = |name| move || M::Error::missing_field(name);
        let seq = self.seq.ok_or_else(missing("seq"))?;
        let at_us = self.at_us.ok_or_else(missing("at_us"))?;
        let scenario = self.scenario.ok_or_else(missing("scenario"))?;
        let kind = self.kind.ok_or_else(missing("kind"))?;
        let what = KnownOccurrence::deserialize(EnumAccessDeserializer::new(OfKind { kind, rest }))?;
        Ok(Event { seq, at_us, scenario, what })
    }
}

fn once<'de, T: Deserialize<'de>, M: MapAccess<'de>>(
    slot: &mut Option<T>,
    name: &'static str,
    map: &mut M,
) -> Result<(), M::Error> {
    if slot.is_some() {
        return Err(M::Error::duplicate_field(name));
    }
    *slot = Some(map.next_value()?);
    Ok(())
}

struct Line;

impl<'de> Visitor<'de> for Line {
    type Value = Event;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an event")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Event, M::Error> {
        let mut head = Head::default();
        while let Some(key) = map.next_key()? {
            if let Some(name) = head.take(key, &mut map)? {
                return in_another_order(head, name, map);
            }
            if head.is_whole() {
                // As the recorder writes it: the rest is the variant's.
                return head.with(map);
            }
        }
        head.with(map)
    }
}

/// A field of the variant came before it was known which variant it is: the fields are kept until then.
fn in_another_order<'de, M: MapAccess<'de>>(mut head: Head, first: String, mut map: M) -> Result<Event, M::Error> {
    let mut rest: Vec<(String, Value)> = vec![(first, map.next_value()?)];
    while let Some(key) = map.next_key()? {
        if let Some(name) = head.take(key, &mut map)? {
            rest.push((name, map.next_value()?));
        }
    }
    head.with(MapDeserializer::<_, serde_json::Error>::new(rest.into_iter())).map_err(M::Error::custom)
}

/// A variant by its name, and its fields in what is left of the line's map.
struct OfKind<M> {
    kind: String,
    rest: M,
}

impl<'de, M: MapAccess<'de>> EnumAccess<'de> for OfKind<M> {
    type Error = M::Error;
    type Variant = Fields<M>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Fields<M>), M::Error> {
        Ok((seed.deserialize(self.kind.into_deserializer())?, Fields(self.rest)))
    }
}

struct Fields<M>(M);

impl<'de, M: MapAccess<'de>> VariantAccess<'de> for Fields<M> {
    type Error = M::Error;

    fn unit_variant(mut self) -> Result<(), M::Error> {
        match self.0.next_key::<String>()? {
            Some(name) => Err(M::Error::unknown_field(&name, &[])),
            None => Ok(()),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, M::Error> {
        seed.deserialize(MapAccessDeserializer::new(self.0))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _fields: usize, visitor: V) -> Result<V::Value, M::Error> {
        visitor.visit_map(self.0)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, M::Error> {
        visitor.visit_map(self.0)
    }
}

#[cfg(test)]
mod tests {
    use crate::history::{Event, Occurrence};

    fn read(line: &str) -> Result<Event, String> {
        serde_json::from_str(line).map_err(|error| error.to_string())
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let event = Event { seq: 1, at_us: 5, scenario: 2, what: Occurrence::TimerLate { late_us: 7 } };
        assert_eq!(read(&serde_json::to_string(&event).unwrap()), Ok(event.clone()));
        assert_eq!(read(r#"{"late_us":7,"kind":"timer_late","scenario":2,"at_us":5,"seq":1}"#), Ok(event));
        let nested = r#"{"outcome":{"refused":{"sqlstate":null,"message":"m"}},"client_kind":"fresh","endpoint":"write",
            "operation":"write","client":1,"sequence":2,"started_us":3,"seq":1,"at_us":5,"scenario":2,"kind":"attempt"}"#;
        assert!(matches!(read(nested).unwrap().what, Occurrence::Attempt(_)));
    }

    #[test]
    fn what_is_unknown_missing_or_twice_is_refused_by_its_name() {
        let refused = |line: &str, why: &str| {
            let error = read(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        };
        let head = r#"{"seq":1,"at_us":5,"scenario":1"#;
        refused(&format!(r#"{head},"kind":"timer_late","late_us":7,"new":1}}"#), "unknown field `new`");
        refused(&format!(r#"{head},"new":1,"kind":"timer_late","late_us":7}}"#), "unknown field `new`");
        refused(&format!(r#"{head},"kind":"scenario_ended","new":1}}"#), "unknown field `new`");
        refused(&format!(r#"{head},"kind":"timer_later","late_us":7}}"#), "unknown variant `timer_later`");
        refused(&format!(r#"{head},"kind":"timer_late","late_us":7,"late_us":8}}"#), "duplicate field `late_us`");
        refused(&format!(r#"{head},"at_us":5,"kind":"scenario_ended"}}"#), "duplicate field `at_us`");
        refused(&format!(r#"{head},"kind":"timer_late"}}"#), "missing field `late_us`");
        refused(&format!(r#"{head}}}"#), "missing field `kind`");
        let range = r#"{"client":1,"from":1,"to":2,"new":1}"#;
        let ledger = format!(r#"{head},"kind":"ledger_read","node":"n","timeline":1,"found":[{range}]}}"#);
        refused(&ledger, "unknown field `new`");
    }
}

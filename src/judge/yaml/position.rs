//! Where in a YAML text each value stands, so that a mistake found after parsing can still be pointed at.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

/// One step from a value into what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Step::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Step::Index(index)
    }
}

/// The way from the top of the file to a value.
pub(crate) type Path = Vec<Step>;

/// A path as people write it: `regions[0].name`.
pub(crate) fn spoken(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.extend([".", key]),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// Writes a [`Path`] down: `steps!["regions", 0, "name"]`.
macro_rules! steps {
    ($($step:expr),* $(,)?) => { $crate::yaml::position::Path::from([$($crate::yaml::position::Step::from($step)),*]) };
}
pub(crate) use steps;

/// A YAML text as positions only.
#[derive(Debug)]
pub(crate) enum Positions {
    Scalar,
    List(Vec<Spanned<Positions>>),
    Map(Vec<(Spanned<String>, Spanned<Positions>)>),
}

/// Where something stands: bytes from the start of the text, and line and column counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub offset: usize,
    pub length: usize,
    pub line: usize,
    pub column: usize,
}

impl Positions {
    /// Reads any text that is sound YAML, whatever it says. Of a field that stands twice, the second place counts.
    pub fn read(text: &str) -> Result<Self, serde_saphyr::Error> {
        // What a number is worth is not looked at here.
        let options = serde_saphyr::options! {
            duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
            non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
        };
        serde_saphyr::from_str_with_options::<Spanned<Self>>(text, options).map(|read| read.value)
    }

    fn step(&self, step: &Step) -> Option<(&Spanned<Positions>, &Location)> {
        match (self, step) {
            (Positions::Map(entries), Step::Key(key)) => {
                let (key, value) = entries.iter().find(|(known, _)| known.value == *key)?;
                // A block that is a value stands on the lines after its key: the key is where people look.
                let at = if matches!(value.value, Positions::Scalar) { &value.referenced } else { &key.referenced };
                Some((value, at))
            }
            (Positions::List(items), Step::Index(index)) => items.get(*index).map(|item| (item, &item.referenced)),
            _ => None,
        }
    }

    /// Whether the file says something at this path, and does not leave it to the default.
    pub fn holds(&self, path: &[Step]) -> bool {
        let mut at = self;
        path.iter().all(|step| at.step(step).map(|(value, _)| at = &value.value).is_some())
    }

    /// Where the value at this path stands; when it is left to its default, the nearest that holds it.
    pub fn find(&self, path: &[Step]) -> Option<&Location> {
        let (mut at, mut found) = (self, None);
        for step in path {
            let Some((value, location)) = at.step(step) else { break };
            (at, found) = (&value.value, Some(location));
        }
        found
    }

    /// Where the key at the end of this path stands, whatever its value is.
    pub fn find_key(&self, path: &[Step]) -> Option<&Location> {
        let (last, above) = path.split_last()?;
        let block = above.iter().try_fold(self, |at, step| at.step(step).map(|(value, _)| &value.value))?;
        match (block, last) {
            (Positions::Map(entries), Step::Key(last)) => {
                entries.iter().find(|(key, _)| key.value == *last).map(|(key, _)| &key.referenced)
            }
            _ => None,
        }
    }

    /// The path of the key that stands at this line and column.
    pub fn key_at(&self, line: u64, column: u64) -> Option<Path> {
        self.search(&mut Vec::new(), &|key, _| key.is_some_and(|key| stands_at(key, line, column)))
    }

    /// The path of the value that stands at this line and column: of a block and what it begins with, the block.
    pub fn value_at(&self, line: u64, column: u64) -> Option<Path> {
        self.search(&mut Vec::new(), &|_, value| stands_at(value, line, column))
    }

    /// The first path, from the outside in, whose key and value stand where they should.
    fn search(&self, above: &mut Path, wanted: &dyn Fn(Option<&Location>, &Location) -> bool) -> Option<Path> {
        let mut visit = |step: Step, key: Option<&Location>, value: &Spanned<Positions>| {
            above.push(step);
            let hit = wanted(key, &value.referenced).then(|| above.clone());
            let found = hit.or_else(|| value.value.search(above, wanted));
            above.pop();
            found
        };
        match self {
            Positions::Scalar => None,
            Positions::List(items) => {
                items.iter().enumerate().find_map(|(index, item)| visit(Step::Index(index), None, item))
            }
            Positions::Map(entries) => entries
                .iter()
                .find_map(|(key, value)| visit(Step::from(key.value.as_str()), Some(&key.referenced), value)),
        }
    }
}

fn stands_at(location: &Location, line: u64, column: u64) -> bool {
    location.line() == line && location.column() == column
}

impl Place {
    /// From the parser's location to bytes. The parser counts columns in characters.
    pub fn new(text: &str, location: &Location) -> Self {
        let number = |told: u64| usize::try_from(told).unwrap_or(1).max(1);
        Self::of_spot(text, number(location.line()), number(location.column()))
    }

    /// From a line and a column in characters, both counted from 1.
    pub fn of_spot(text: &str, line: usize, column: usize) -> Self {
        let before: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let rest = &text[before..];
        let within = rest.char_indices().nth(column - 1).map_or(rest.len(), |(at, _)| at);
        let offset = before + within;
        let length = word_length(&text[offset..]);
        Self { offset, length, line, column }
    }

    /// The first line that says something.
    pub fn start(text: &str) -> Self {
        let says = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        Self::of_line(text, text.lines().position(says).map_or(1, |before| before + 1))
    }

    /// A whole line, counted from 1.
    pub fn of_line(text: &str, line: usize) -> Self {
        let offset = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let length = text[offset..].lines().next().map_or(0, str::len);
        Self { offset, length, line, column: 1 }
    }
}

/// The length of the word that begins here: what a label underlines.
fn word_length(text: &str) -> usize {
    let line = text.lines().next().unwrap_or_default();
    if let Some(quote @ ('"' | '\'')) = line.chars().next()
        && let Some(end) = line[1..].find(quote)
    {
        return end + 2;
    }
    line.find(|letter: char| letter.is_whitespace() || ":,[]{}".contains(letter)).unwrap_or(line.len())
}

impl<'de> Deserialize<'de> for Positions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyShape;

        impl<'de> Visitor<'de> for AnyShape {
            type Value = Positions;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any YAML")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Positions, E> {
                Ok(Positions::Scalar)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Positions, E> {
                Ok(Positions::Scalar)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Positions, E> {
                Ok(Positions::Scalar)
            }

            fn visit_i128<E>(self, _: i128) -> Result<Positions, E> {
                Ok(Positions::Scalar)
            }

            fn visit_u128<E>(self, _: u128) -> Result<Positions, E> {
                Ok(Positions::Scalar)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Positions, E> {
                Ok(Positions::Scalar)
            }

            fn visit_str<E>(self, _: &str) -> Result<Positions, E> {
                Ok(Positions::Scalar)
            }

            fn visit_unit<E>(self) -> Result<Positions, E> {
                Ok(Positions::Scalar)
            }

            fn visit_none<E>(self) -> Result<Positions, E> {
                Ok(Positions::Scalar)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Positions, D::Error> {
                IgnoredAny::deserialize(deserializer).map(|_| Positions::Scalar)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Positions, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Positions::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Positions, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Positions::Map(map))
            }
        }

        deserializer.deserialize_any(AnyShape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
name: x
regions:
  - name: one
    hosts:
      - { name: 'nöde1', services: [etcd, patroni] }
settings:
  patroni:
    ttl_s: 20
";

    fn place(path: &[Step]) -> (usize, usize, &'static str) {
        let positions = Positions::read(TEXT).expect("sound YAML");
        let place = Place::new(TEXT, positions.find(path).expect("a place"));
        (place.line, place.column, &TEXT[place.offset..place.offset + place.length])
    }

    #[test]
    fn a_scalar_is_found_where_it_stands() {
        assert_eq!(place(&steps!["settings", "patroni", "ttl_s"]), (8, 12, "20"));
        assert_eq!(place(&steps!["regions", 0, "hosts", 0, "name"]), (5, 17, "'nöde1'"));
        assert_eq!(place(&steps!["regions", 0, "hosts", 0, "services", 1]), (5, 43, "patroni"));
    }

    #[test]
    fn a_block_is_found_at_its_key() {
        assert_eq!(place(&steps!["settings", "patroni"]), (7, 3, "patroni"));
    }

    #[test]
    fn what_is_left_to_its_default_is_found_at_the_nearest_that_holds_it() {
        assert_eq!(place(&steps!["settings", "patroni", "loop_wait_s"]), (7, 3, "patroni"));
        let positions = Positions::read(TEXT).expect("sound YAML");
        assert!(!positions.holds(&steps!["settings", "patroni", "loop_wait_s"]));
        assert!(positions.holds(&steps!["settings", "patroni", "ttl_s"]));
    }

    #[test]
    fn a_place_leads_back_to_its_path() {
        let positions = Positions::read(TEXT).expect("sound YAML");
        assert_eq!(positions.value_at(8, 12), Some(steps!["settings", "patroni", "ttl_s"]));
        assert_eq!(positions.value_at(5, 43), Some(steps!["regions", 0, "hosts", 0, "services", 1]));
        assert_eq!(positions.value_at(99, 1), None);
        // A block and its first key stand at one place.
        assert_eq!(positions.value_at(8, 5), Some(steps!["settings", "patroni"]));
        assert_eq!(positions.key_at(8, 5), Some(steps!["settings", "patroni", "ttl_s"]));
        assert_eq!(positions.key_at(8, 12), None);
    }
}

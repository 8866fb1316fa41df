//! From YAML to a valid topology, or to mistakes that stand where they were made.

use std::{path::Path as FilePath, sync::Arc};

use serde_saphyr::{Error as YamlError, Location};

use super::{
    ServiceKind, Settings, Topology, TopologyError,
    error::Mistake,
    own::{Misplaced, Origins, Wrong},
    position::{Path, Place, Positions, Step, spoken, steps},
    validate::{Problem, problems},
};
use crate::{
    claims::Claims,
    suggestion::{did_you_mean, nearest},
    yaml::words::{Misreading, is_empty, shape, twice, unsound, without_place},
};

/// Reads a topology from YAML and checks it.
///
/// `source_name` stands in messages; when it is a file's name, the topology's own name must equal its stem.
///
/// # Errors
/// What is wrong with the text, with lines and columns: one mistake if it is not what the format allows, every
/// mistake if it is but makes no sense.
pub fn parse(source_name: &str, text: &str) -> Result<Topology, TopologyError> {
    parse_with(source_name, text, Claims::documented())
}

/// The same, where a topology may name these claims beside the documented ones.
pub(super) fn parse_with(source_name: &str, text: &str, claims: &Claims) -> Result<Topology, TopologyError> {
    let shared: Arc<str> = Arc::from(text);
    let mistake = |place, message, help| Mistake::new(source_name, &shared, place, message, help);
    let found = match serde_saphyr::from_str::<Topology>(text) {
        Ok(mut topology) => {
            let positions = Positions::read(text).unwrap_or(Positions::Scalar);
            // Before clusters take from the topology what they do not state.
            let (origins, wrong) = topology.read_own(source_name, &positions);
            let names = |cluster: usize, section: &str, field: &str| {
                positions.holds(&steps!["clusters", cluster, "settings", section, field])
            };
            topology.inherit_settings(names).map_err(|error| {
                let place = Place::start(text);
                TopologyError::Mistake(Box::new(mistake(place, error.to_string(), None)))
            })?;
            let of_own = wrong.into_iter().map(|wrong| match wrong {
                Wrong::There(mistake) => mistake,
                Wrong::Here(Misplaced { path, message, help }) => {
                    let problem = Problem { paths: vec![path], message, help, is_of_key: true };
                    mistake(place_of(text, &positions, &problem), problem.message, problem.help)
                }
            });
            let mut mistakes: Vec<_> = of_own.collect();
            let problems = problems(&topology, file_stem(source_name), Some(claims)).into_iter();
            mistakes.extend(problems.map(|problem| {
                of_origin(&positions, &origins, &problem)
                    .unwrap_or_else(|| mistake(place_of(text, &positions, &problem), problem.message, problem.help))
            }));
            match TopologyError::from_mistakes(source_name, mistakes) {
                None => return Ok(topology),
                Some(error) => return Err(error),
            }
        }
        Err(error) => misreading(text, error.without_snippet()),
    };
    Err(TopologyError::Mistake(Box::new(mistake(found.place, found.message, found.help))))
}

/// The stem of a name that is a YAML file's.
fn file_stem(source_name: &str) -> Option<&str> {
    let path = FilePath::new(source_name);
    let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    path.file_stem().and_then(|stem| stem.to_str()).filter(|_| yaml)
}

/// A problem with what the topology's file does not state, but one that the team brings: it is shown there.
fn of_origin(positions: &Positions, origins: &Origins, problem: &Problem) -> Option<Mistake> {
    if problem.paths.iter().any(|path| positions.holds(path)) {
        return None;
    }
    problem.paths.iter().find_map(|path| origins.mistake(path, &problem.message, problem.help.as_deref()))
}

/// Where a problem is shown: at the first of its paths that the file holds, else near it.
fn place_of(text: &str, positions: &Positions, problem: &Problem) -> Place {
    let held = problem.paths.iter().find(|path| positions.holds(path)).or(problem.paths.first());
    let location = held.and_then(|path| {
        let key = if problem.is_of_key { positions.find_key(path) } else { None };
        key.or_else(|| positions.find(path))
    });
    location.map_or_else(|| Place::start(text), |location| Place::new(text, location))
}

/// The text as it is around an error: what stands there.
struct Spot<'a> {
    word: &'a str,
    /// The path of the key that stands there; empty if none does.
    key: Path,
    /// The path of the value that stands there; empty: the whole file.
    value: Path,
}

impl<'a> Spot<'a> {
    fn new(text: &'a str, place: Place, positions: &Positions, location: Location) -> Self {
        let word = &text[place.offset..place.offset + place.length];
        let (line, column) = (location.line(), location.column());
        let key = positions.key_at(line, column).unwrap_or_default();
        let value = positions.value_at(line, column).unwrap_or_default();
        Self { word, key, value }
    }

    /// The block that lacks a field: the parser points at the last key that it has, or at the block if it is empty.
    fn block(&self) -> &[Step] {
        self.key.split_last().map_or(self.value.as_slice(), |(_, block)| block)
    }
}

fn misreading(text: &str, error: &YamlError) -> Misreading {
    if is_empty(text) {
        let help = "a topology has a name, a description, what it follows, regions and endpoints".to_owned();
        return Misreading { place: Place::start(text), message: "the file is empty".to_owned(), help: Some(help) };
    }
    // Serde stops at the first thing that it does not want, which in a broken text is a mere consequence.
    match Positions::read(text) {
        Ok(positions) => misfit(text, &positions, error),
        Err(syntax) => unsound(text, syntax.without_snippet(), "one topology"),
    }
}

/// The text is YAML, but not of the shape that the format allows.
fn misfit(text: &str, positions: &Positions, error: &YamlError) -> Misreading {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let mut place = Place::new(text, &location);
    let spot = Spot::new(text, place, positions, location);
    let (message, help) = match error {
        YamlError::AliasError { error, .. } => return misfit(text, positions, error.without_snippet()),
        YamlError::SerdeUnknownField { field, expected, .. } => unknown_field(field, expected, &spot.key),
        YamlError::SerdeUnknownVariant { variant, expected, .. } => {
            let is_below = |name: &str| spot.value.iter().chain(&spot.key).any(|step| *step == Step::from(name));
            let kind = if is_below("services") && !is_below("settings") { "service" } else { "value" };
            let placed_by_the_plan = ServiceKind::Toxiproxy.name();
            let known: Vec<&str> = expected.iter().copied().filter(|name| *name != placed_by_the_plan).collect();
            (format!("unknown {kind} `{variant}`"), Some(did_you_mean(variant, &known)))
        }
        YamlError::SerdeMissingField { field, .. } => {
            place = positions.find(spot.block()).map_or_else(|| Place::start(text), |at| Place::new(text, at));
            (format!("the field `{field}` is missing{}", inside(spot.block())), None)
        }
        YamlError::InvalidScalar { ty, .. } => {
            (format!("{} must be {}, not `{}`", subject(&spot.value), wanted(ty, &spot.value), spot.word), None)
        }
        YamlError::InvalidBooleanStrict { .. } => {
            (format!("{} must be true or false, not `{}`", subject(&spot.value), spot.word), None)
        }
        YamlError::NullIntoString { .. } => (format!("{} is empty", subject(&spot.value)), None),
        YamlError::Unexpected { expected, .. } => {
            (format!("{} must be {}", subject(&spot.value), shape(expected)), None)
        }
        YamlError::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => {
            (format!("{} must be a single word", subject(&spot.value)), None)
        }
        YamlError::SerdeInvalidType { .. } if is_service(&spot.value) => {
            (format!("{} must be a kind of service, alone or with a name and settings", subject(&spot.value)), None)
        }
        YamlError::DuplicateMappingKey { key, .. } => twice(key.as_deref().unwrap_or(spot.word)),
        other => (without_place(other), None),
    };
    Misreading { place, message, help }
}

/// Whether an entry of a host's services stands there.
fn is_service(path: &[Step]) -> bool {
    matches!(path, [.., above, Step::Index(_)] if *above == Step::from("services"))
}

fn unknown_field(field: &str, expected: &[&'static str], path: &[Step]) -> (String, Option<String>) {
    let block = path.split_last().map(|(_, block)| block).unwrap_or_default();
    let message = format!("unknown field `{field}`{}", inside(block));
    let elsewhere = || {
        let fields = settings_fields();
        let meant = nearest(field, fields.iter().map(|(_, name)| name.as_str()))?;
        let (section, name) = fields.iter().find(|(_, name)| name == meant)?;
        Some(format!("did you mean `{name}`? it belongs in `settings.{section}`"))
    };
    let near = nearest(field, expected.iter().copied()).is_some();
    let help = if near { None } else { elsewhere() }.unwrap_or_else(|| did_you_mean(field, expected));
    (message, Some(help))
}

/// Every setting with the section that it belongs to.
fn settings_fields() -> Vec<(String, String)> {
    let sections = serde_json::to_value(Settings::default()).unwrap_or_default();
    let section_fields = |(section, fields): (&String, &serde_json::Value)| {
        let names = fields.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        names.into_iter().map(|name| (section.clone(), name)).collect::<Vec<_>>()
    };
    sections.as_object().map(|sections| sections.iter().flat_map(section_fields).collect()).unwrap_or_default()
}

/// How a message names the block that it is about; the whole file needs no name.
fn inside(block: &[Step]) -> String {
    if block.is_empty() { String::new() } else { format!(" in `{}`", spoken(block)) }
}

/// How a message names the value at a path.
fn subject(path: &[Step]) -> String {
    if path.is_empty() { "a topology".to_owned() } else { format!("`{}`", spoken(path)) }
}

/// What a value of a Rust type is called; the unit is in the field's name.
fn wanted(rust_type: &str, path: &[Step]) -> &'static str {
    let name = path.iter().rev().find_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    });
    let name = name.unwrap_or_default();
    match rust_type {
        "boolean" | "bool" => "true or false",
        "u16" => "a port, a whole number from 1 to 65535",
        _ if name.ends_with("_ms") => "a whole number of milliseconds",
        // What comes in a second is counted.
        _ if name.ends_with("_s") && !name.ends_with("_per_s") => "a whole number of seconds",
        _ if name.ends_with("_bytes") => "a whole number of bytes",
        "f32" | "f64" => "a number",
        _ => "a whole number",
    }
}

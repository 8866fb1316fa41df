//! What the YAML parser says, in our words.

use serde_saphyr::{Error as YamlError, Location};

use super::position::{Place, Positions};
use crate::suggestion::did_you_mean;

/// What was not understood, where it stands, and what to do.
pub(crate) struct Misreading {
    pub place: Place,
    pub message: String,
    pub help: Option<String>,
}

/// What was not understood of a text that is not of the form that its file has. `holds` is what one such file holds, for
/// example `one topology`.
pub(crate) fn misreading(text: &str, error: &YamlError, holds: &str) -> Misreading {
    // Serde stops at the first thing that it does not want, which in a broken text is a mere consequence.
    match Positions::read(text) {
        Ok(_) => misfit(text, error),
        Err(syntax) => unsound(text, syntax.without_snippet(), holds),
    }
}

/// Whether a text says nothing.
pub(crate) fn is_empty(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

/// The text is YAML, but not of the shape that the format allows.
fn misfit(text: &str, error: &YamlError) -> Misreading {
    let place = Place::new(text, &error.location().unwrap_or(Location::UNKNOWN));
    let word = &text[place.offset..place.offset + place.length];
    let (message, help) = match error {
        YamlError::AliasError { error, .. } => return misfit(text, error.without_snippet()),
        YamlError::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown field `{field}`"), Some(did_you_mean(field, expected)))
        }
        YamlError::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown value `{variant}`"), Some(did_you_mean(variant, expected)))
        }
        YamlError::SerdeMissingField { field, .. } => (format!("the field `{field}` is missing"), None),
        YamlError::InvalidScalar { ty, .. } if word.is_empty() => (format!("{} is missing", kind(ty)), None),
        YamlError::InvalidScalar { ty, .. } => (format!("`{word}` is not {}", kind(ty)), None),
        YamlError::NullIntoString { .. } => ("a text is missing".to_owned(), None),
        YamlError::Unexpected { expected, .. } => (format!("this must be {}", shape(expected)), None),
        YamlError::SerdeInvalidLength { len, .. } => (format!("a list of {len} does not belong here"), None),
        YamlError::ExpectedStringKeyForExternallyTaggedEnum { .. }
        | YamlError::ExternallyTaggedEnumExpectedScalarOrMapping { .. }
        | YamlError::ExpectedMappingEndAfterEnumVariantValue { .. } => {
            ("exactly one field belongs here, as `{ at_most: 5 }`".to_owned(), None)
        }
        YamlError::DuplicateMappingKey { key, .. } => twice(key.as_deref().unwrap_or(word)),
        other => (without_place(other), None),
    };
    Misreading { place, message, help }
}

/// A field that is given twice.
pub(crate) fn twice(key: &str) -> (String, Option<String>) {
    (format!("`{key}` stands twice"), Some("a field is given once; lists hold several of a thing".to_owned()))
}

/// The text is not YAML.
pub(crate) fn unsound(text: &str, error: &YamlError, holds: &str) -> Misreading {
    let indentation = |line: &str| line.chars().take_while(|letter| letter.is_whitespace()).collect::<String>();
    let tab = text.lines().position(|line| indentation(line).contains('\t'));
    let place = Place::new(text, &error.location().unwrap_or(Location::UNKNOWN));
    let (place, message, help) = match (error, tab) {
        (YamlError::MultipleDocuments { .. }, _) => {
            let help = format!("one file holds {holds}: remove the `---`");
            (place, "a second document begins".to_owned(), Some(help))
        }
        (_, Some(before)) => {
            let place = Place::of_line(text, before + 1);
            (place, "a tab stands in the indentation".to_owned(), Some("YAML is indented with spaces".to_owned()))
        }
        (other, None) => (place, format!("this is not YAML: {}", without_place(other)), None),
    };
    Misreading { place, message, help }
}

/// What a value of a Rust type is called.
fn kind(rust_type: &str) -> &'static str {
    match rust_type {
        "boolean" | "bool" => "true or false",
        "floating point" | "f32" | "f64" => "a number",
        _ => "a whole number",
    }
}

/// What the parser's word for a shape means.
pub(crate) fn shape(expected: &str) -> &str {
    match expected {
        "mapping start" => "a block of fields, `name: value` on a line each",
        "sequence start" => "a list, `[one, two]` or `- one` on a line each",
        "string scalar" => "a single value",
        other => other,
    }
}

/// The parser's message without its place, which stands in front of ours.
pub(crate) fn without_place(error: &YamlError) -> String {
    let message = error.to_string();
    let first = message.lines().next().unwrap_or_default();
    first.split(" at line ").next().unwrap_or_default().to_owned()
}

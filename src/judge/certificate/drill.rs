//! `drill.yaml`: what people supply to a certificate, because no harness knows it.

use std::{path::Path, sync::Arc};

use jiff::{SignedDuration, civil};
use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use serde_saphyr::{Error as YamlError, Location, Spanned};

use crate::{
    suggestion::did_you_mean,
    yaml::{Mistake, position::Place},
};

/// How long a certificate is valid if `valid_for` says nothing: a quarter and some days.
const VALID_FOR_DAYS: i64 = 100;

/// The longest that a certificate can be valid.
const LONGEST_DAYS: f64 = 3_660.0;

/// The occasion of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Quarterly,
    Yearly,
    PreRelease,
    AfterChange,
}

/// What people say of a drill. Only title, owner and operator have to be stated; a certificate says of the others that they
/// are not.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    pub title: String,
    #[serde(default)]
    pub kind: Option<Kind>,
    #[serde(default)]
    pub system: TestedSystem,
    /// What the drill was to show, in the words of the owner.
    #[serde(default)]
    pub objectives: Vec<String>,
    #[serde(default)]
    pub scope: Scope,
    pub people: People,
    #[serde(default)]
    pub approvals: Vec<Approval>,
    /// How long the certificate is valid after the last run, for example `100 d`.
    #[serde(default)]
    valid_for: Option<Spanned<String>>,
    /// What is done about claims that were refuted and about other findings.
    #[serde(default)]
    pub actions: Vec<Action>,
    /// The folder of the last certificate, from the place of this file.
    #[serde(default)]
    previous: Option<Spanned<String>>,
}

/// The system that the drill stands for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestedSystem {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub environment: String,
    #[serde(default)]
    pub tier: String,
    /// The business impact analysis, as a reference.
    #[serde(default)]
    pub bia: String,
    /// The continuity plan, as a reference.
    #[serde(default)]
    pub plan: String,
}

/// What the drill covers, and what it does not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    #[serde(default, rename = "in")]
    pub covered: Vec<String>,
    #[serde(default, rename = "out")]
    pub not_covered: Vec<String>,
}

/// Who answers for the drill. A name, an address, or both as `Ann Example <ann@example.org>`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    pub owner: String,
    pub operator: String,
    #[serde(default)]
    reviewer: Option<Spanned<String>>,
    #[serde(default)]
    pub observers: Vec<String>,
}

/// Somebody agreed to the drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    pub by: String,
    #[serde(default)]
    pub at: String,
    #[serde(default)]
    pub reference: String,
}

/// What is done about a finding.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// The id of a claim, or other words for what was found.
    pub finding: String,
    pub what: String,
    #[serde(default)]
    pub owner: String,
    #[serde(default)]
    due: Option<Spanned<String>>,
    #[serde(default)]
    pub ticket: String,
}

/// `drill.yaml` is wrong, or can't be read. As a miette diagnostic it shows the line.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum DrillError {
    #[error("failed to read {path}: {cause}")]
    Unreadable { path: String, cause: std::io::Error },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Mistake(Box<Mistake>),
}

impl Drill {
    /// Reads a drill from its file.
    ///
    /// # Errors
    ///
    /// The file can't be read, is no YAML of this form, or says what can't be: a reviewer who is the operator, a period that is
    /// none, a path of this machine.
    pub fn read(path: &Path) -> Result<Self, DrillError> {
        let name = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|cause| DrillError::Unreadable { path: name.clone(), cause })?;
        Self::parse(&name, &text)
    }

    /// Reads a drill from its text; `source_name` stands in messages.
    pub fn parse(source_name: &str, text: &str) -> Result<Self, DrillError> {
        let shared: Arc<str> = Arc::from(text);
        let mistake = |at: &Location, message: String, help: Option<String>| {
            DrillError::Mistake(Box::new(Mistake::new(source_name, &shared, Place::new(text, at), message, help)))
        };
        let drill: Self = serde_saphyr::from_str(text).map_err(|error| {
            let error = error.without_snippet();
            let (message, help) = in_words(error);
            mistake(&error.location().unwrap_or(Location::UNKNOWN), message, help)
        })?;
        if let Some(reviewer) =
            drill.people.reviewer.as_ref().filter(|reviewer| is_same(&reviewer.value, &drill.people.operator))
        {
            let help = "who ran a drill does not review it: name somebody else, or leave `reviewer` out";
            return Err(mistake(
                &reviewer.referenced,
                "the reviewer is the operator".to_owned(),
                Some(help.to_owned()),
            ));
        }
        if let Some(valid_for) = drill.valid_for.as_ref().filter(|valid_for| days(&valid_for.value).is_none()) {
            let message = format!("`{}` is no number of days", valid_for.value);
            return Err(mistake(&valid_for.referenced, message, Some("write it as `100 d`".to_owned())));
        }
        for due in drill.actions.iter().filter_map(|action| action.due.as_ref()) {
            if due.value.parse::<civil::Date>().is_err() {
                let message = format!("`{}` is no date", due.value);
                return Err(mistake(&due.referenced, message, Some("write it as `2027-01-31`".to_owned())));
            }
        }
        if let Some(previous) = drill.previous.as_ref().filter(|previous| previous.value.starts_with(['/', '~'])) {
            let help = "a certificate holds no path of a machine: name the folder from the place of this file";
            return Err(mistake(
                &previous.referenced,
                "this is a path of one machine".to_owned(),
                Some(help.to_owned()),
            ));
        }
        Ok(drill)
    }

    /// How long the certificate is valid after the last run.
    pub fn valid_for(&self) -> SignedDuration {
        let own = self.valid_for.as_ref().and_then(|valid_for| days(&valid_for.value));
        own.unwrap_or(SignedDuration::from_hours(24 * VALID_FOR_DAYS))
    }

    /// The folder of the last certificate, from the place of the file.
    pub fn previous(&self) -> Option<&str> {
        self.previous.as_ref().map(|previous| previous.value.as_str())
    }
}

impl People {
    /// Who looked at the result; `None`: nobody is stated.
    pub fn reviewer(&self) -> Option<&str> {
        self.reviewer.as_ref().map(|reviewer| reviewer.value.as_str())
    }
}

impl Action {
    /// The day by which it is to be done, if that is stated.
    pub fn due(&self) -> Option<&str> {
        self.due.as_ref().map(|due| due.value.as_str())
    }
}

/// By what a person signs: the address in angle brackets, or else all that is stated.
pub fn principal(person: &str) -> &str {
    let address = person.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(address, _)| address.trim());
    address.filter(|address| !address.is_empty()).unwrap_or(person.trim())
}

fn is_same(one: &str, other: &str) -> bool {
    let name = |person: &str| person.split('<').next().unwrap_or_default().trim().to_lowercase();
    let same_name = !name(one).is_empty() && name(one) == name(other);
    same_name || principal(one).to_lowercase() == principal(other).to_lowercase()
}

fn days(text: &str) -> Option<SignedDuration> {
    let number: f64 = text.trim().strip_suffix('d')?.trim().parse().ok()?;
    (number > 0.0 && number <= LONGEST_DAYS).then(|| SignedDuration::from_secs((number * 86_400.0) as i64))
}

/// What the parser did not understand, in our words.
fn in_words(error: &YamlError) -> (String, Option<String>) {
    match error {
        YamlError::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown field `{field}`"), Some(did_you_mean(field, expected)))
        }
        YamlError::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown value `{variant}`"), Some(did_you_mean(variant, expected)))
        }
        YamlError::SerdeMissingField { field, .. } => {
            let help = "a drill has a title, and people: an owner and an operator";
            (format!("the field `{field}` is missing"), Some(help.to_owned()))
        }
        other => {
            let message = other.to_string();
            let plain = message.lines().next().unwrap_or_default();
            (plain.split(" at line ").next().unwrap_or(plain).to_owned(), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "title: Drill\npeople:\n  owner: Olga\n  operator: Ann <ann@example.org>\n";

    fn refused(text: &str) -> String {
        match Drill::parse("drill.yaml", text) {
            Ok(drill) => panic!("taken: {drill:?}"),
            Err(DrillError::Mistake(mistake)) => format!("{mistake} ({})", mistake.help.clone().unwrap_or_default()),
            Err(other) => other.to_string(),
        }
    }

    #[test]
    fn title_owner_and_operator_are_enough() {
        let drill = Drill::parse("drill.yaml", LEAST).expect("a drill");
        assert_eq!((drill.people.reviewer(), drill.valid_for().as_hours()), (None, 2_400));
        assert_eq!(principal(&drill.people.operator), "ann@example.org");
        assert_eq!(principal(&drill.people.owner), "Olga");
    }

    #[test]
    fn the_reviewer_is_somebody_else() {
        for reviewer in ["ann@example.org", "Ann", "ann <a.nn@example.org>", "ANN <ann@example.org>"] {
            let found = refused(&format!("{LEAST}  reviewer: {reviewer}\n"));
            assert!(found.starts_with("drill.yaml:5:13: the reviewer is the operator"), "{found}");
        }
        let drill =
            Drill::parse("drill.yaml", &format!("{LEAST}  reviewer: Ben <ben@example.org>\n")).expect("a drill");
        assert_eq!(drill.people.reviewer(), Some("Ben <ben@example.org>"));
    }

    #[test]
    fn mistakes_are_shown_where_they_stand() {
        for (text, parts) in [
            (
                format!("{LEAST}approvls: []\n"),
                ["drill.yaml:5:1: unknown field `approvls`", "did you mean `approvals`"],
            ),
            (
                format!("{LEAST}kind: quaterly\n"),
                ["drill.yaml:5:7: unknown value `quaterly`", "did you mean `quarterly`"],
            ),
            (format!("{LEAST}valid_for: 3 weeks\n"), ["drill.yaml:5:12: `3 weeks` is no number of days", "`100 d`"]),
            (format!("{LEAST}previous: /home/ann/last\n"), ["drill.yaml:5:11: this is a path of one machine", ""]),
            (
                format!("{LEAST}actions:\n  - {{ finding: RTO-30, what: ttl 20, due: soon }}\n"),
                ["drill.yaml:6:43: `soon` is no date", "`2027-01-31`"],
            ),
            ("title: Drill\npeople:\n  owner: Olga\n".to_owned(), ["the field `operator` is missing", "an operator"]),
        ] {
            let found = refused(&text);
            assert!(parts.iter().all(|part| found.contains(part)), "{found}");
        }
    }
}

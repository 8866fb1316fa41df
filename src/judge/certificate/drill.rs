//! `drill.yaml`: what people supply to a certificate, because no harness knows it.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use jiff::{SignedDuration, civil};
use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use serde_saphyr::{Location, Spanned};

use crate::yaml::{
    self, Mistake,
    position::Place,
    words::{Misreading, is_empty, misreading},
};

/// What a drill has to say.
const WHAT_IT_HAS: &str = "a drill has a title, and people: an owner and an operator";

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
    title: Spanned<String>,
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
    owner: Spanned<String>,
    operator: Spanned<String>,
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
        let bytes = std::fs::read(path).map_err(|cause| DrillError::Unreadable { path: name.clone(), cause })?;
        Self::parse(&name, &yaml::text(&name, bytes).map_err(DrillError::Mistake)?)
    }

    /// Reads a drill from its text; `source_name` stands in messages.
    pub fn parse(source_name: &str, text: &str) -> Result<Self, DrillError> {
        let shared: Arc<str> = Arc::from(text);
        let mistake = |at: &Location, message: String, help: Option<String>| {
            DrillError::Mistake(Box::new(Mistake::new(source_name, &shared, Place::new(text, at), message, help)))
        };
        let misread = |place, message: String, help: Option<String>| {
            DrillError::Mistake(Box::new(Mistake::new(source_name, &shared, place, message, help)))
        };
        if is_empty(text) {
            return Err(misread(Place::start(text), "the file is empty".to_owned(), Some(WHAT_IT_HAS.to_owned())));
        }
        let drill: Self = serde_saphyr::from_str(text).map_err(|error| {
            let Misreading { place, message, help } = misreading(text, error.without_snippet(), "one drill");
            let is_missing = message.ends_with("is missing");
            misread(place, message, help.or_else(|| is_missing.then(|| WHAT_IT_HAS.to_owned())))
        })?;
        for (name, value) in drill.stated() {
            if value.value.trim().is_empty() {
                return Err(mistake(&value.referenced, format!("`{name}` says nothing"), None));
            }
        }
        if let Some(reviewer) =
            drill.people.reviewer.as_ref().filter(|reviewer| is_same(&reviewer.value, drill.people.operator()))
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

    /// What has to say something where it stands.
    fn stated(&self) -> impl Iterator<Item = (&'static str, &Spanned<String>)> {
        let People { owner, operator, reviewer, .. } = &self.people;
        let stated = [("title", &self.title), ("owner", owner), ("operator", operator)];
        stated.into_iter().chain(reviewer.iter().map(|reviewer| ("reviewer", reviewer)))
    }

    pub fn title(&self) -> &str {
        &self.title.value
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
    /// Who answers for the system.
    pub fn owner(&self) -> &str {
        &self.owner.value
    }

    /// Who ran the drill.
    pub fn operator(&self) -> &str {
        &self.operator.value
    }

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

/// Whether two texts name one person, by name or by address, in whichever place that stands.
fn is_same(one: &str, other: &str) -> bool {
    let known_by = |person: &str| {
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let name = plain(person.split('<').next().unwrap_or_default());
        [name, plain(principal(person))].into_iter().filter(|own| !own.is_empty()).collect::<BTreeSet<String>>()
    };
    !known_by(one).is_disjoint(&known_by(other))
}

fn days(text: &str) -> Option<SignedDuration> {
    let number: f64 = text.trim().strip_suffix('d')?.trim().parse().ok()?;
    (1.0..=LONGEST_DAYS).contains(&number).then(|| SignedDuration::from_secs((number * 86_400.0) as i64))
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
        assert_eq!(principal(drill.people.operator()), "ann@example.org");
        assert_eq!(principal(drill.people.owner()), "Olga");
    }

    #[test]
    fn the_reviewer_is_somebody_else() {
        for reviewer in [
            "ann@example.org",
            "Ann",
            "ann <a.nn@example.org>",
            "ANN <ann@example.org>",
            "\"  Ann\u{a0} <a.nn@example.org>\"",
            "ann@example.org <ben@example.org>",
        ] {
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
            (LEAST.replace("title: Drill", "title: \"\""), ["drill.yaml:1:8: `title` says nothing", ""]),
            (LEAST.replace("owner: Olga", "owner: \" \""), ["drill.yaml:3:10: `owner` says nothing", ""]),
            (format!("{LEAST}  reviewer: \"\"\n"), ["drill.yaml:5:13: `reviewer` says nothing", ""]),
            (LEAST.replace("title: Drill", "title:"), ["drill.yaml:1:6: a text is missing", "a drill has a title"]),
            (format!("{LEAST}title: Another\n"), ["drill.yaml:5:1: `title` stands twice", "given once"]),
            (format!("{LEAST}valid_for: 0.00001 d\n"), ["drill.yaml:5:12: `0.00001 d` is no number of days", ""]),
            (format!("{LEAST}---\n{LEAST}"), ["a second document begins", "one file holds one drill"]),
            ("# nothing\n".to_owned(), ["drill.yaml:1:1: the file is empty", "a drill has a title"]),
        ] {
            let found = refused(&text);
            assert!(parts.iter().all(|part| found.contains(part)), "{found}");
        }
    }
}

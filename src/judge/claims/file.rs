//! Claims of the user's, from a YAML file: typed, or mistakes that stand where they were made.

use std::{collections::BTreeSet, io, path::PathBuf, sync::Arc};

use miette::Diagnostic;
use schemars::schema_for;
use thiserror::Error;

use super::{Claim, ClaimTarget, Claims};
use crate::{
    history::event::Bound,
    suggestion::did_you_mean,
    yaml::{
        self, Mistake,
        position::{Path, Place, Positions, steps},
        words::{is_empty, misreading},
    },
};

/// A check by its name, with its measures: what a target may name.
pub type CheckMeasures = (&'static str, &'static [&'static str]);

/// Why claims could not be read. As a miette diagnostic it shows the lines in question; as plain text it names file,
/// line and column.
#[derive(Debug, Error, Diagnostic)]
pub enum ClaimsError {
    /// The file could not be read as text.
    #[error("failed to read the claims {}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    /// Two files could be meant.
    #[error("there are claims in {} and in {}", first.display(), second.display())]
    Several {
        first: PathBuf,
        second: PathBuf,
        #[help]
        help: String,
    },
    /// One mistake in the file.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Mistake(Box<Mistake>),
    /// Several mistakes in the file, in the order in which they stand there.
    #[error("{source_name} has {} mistakes", mistakes.len())]
    Mistakes {
        source_name: String,
        #[related]
        mistakes: Vec<Mistake>,
    },
}

/// The JSON Schema of a claims file, indented, with a newline at its end.
pub fn schema() -> String {
    let mut text = format!("{:#}", schema_for!(Vec<Claim>).as_value());
    text.push('\n');
    text
}

impl Claims {
    /// Reads claims from YAML and checks them. `source_name` stands in messages; `checks` are those that targets may name.
    ///
    /// # Errors
    /// What is wrong with the text, with lines and columns: one mistake if it is not what the format allows, every
    /// mistake if it is but makes no sense.
    pub fn parse(source_name: &str, text: &str, checks: &[CheckMeasures]) -> Result<Self, ClaimsError> {
        let shared: Arc<str> = Arc::from(text);
        let mistake = |place, message, help| Mistake::new(source_name, &shared, place, message, help);
        if is_empty(text) {
            let help = "a claims file is a list; each claim has an id, the claim in a sentence and a target".to_owned();
            let empty = mistake(Place::start(text), "the file is empty".to_owned(), Some(help));
            return Err(ClaimsError::Mistake(Box::new(empty)));
        }
        let rows = serde_saphyr::from_str::<Vec<Claim>>(text).map_err(|error| {
            let found = misreading(text, error.without_snippet(), "one list of claims");
            ClaimsError::Mistake(Box::new(mistake(found.place, found.message, found.help)))
        })?;
        let positions = Positions::read(text).unwrap_or(Positions::Scalar);
        let mut mistakes: Vec<Mistake> = problems(&rows, checks)
            .into_iter()
            .map(|Problem { path, message, help }| {
                let place = positions.find(&path).map_or_else(|| Place::start(text), |at| Place::new(text, at));
                mistake(place, message, help)
            })
            .collect();
        mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        match mistakes.len() {
            0 => Ok(Self { rows, text: text.to_owned() }),
            1 => Err(ClaimsError::Mistake(Box::new(mistakes.remove(0)))),
            _ => Err(ClaimsError::Mistakes { source_name: source_name.to_owned(), mistakes }),
        }
    }

    /// Reads a file of claims; see [`Claims::parse`].
    pub fn read(path: &std::path::Path, checks: &[CheckMeasures]) -> Result<Self, ClaimsError> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|cause| ClaimsError::Unreadable { path: path.to_owned(), cause })?;
        Self::parse(&name, &yaml::text(&name, bytes).map_err(ClaimsError::Mistake)?, checks)
    }
}

struct Problem {
    path: Path,
    message: String,
    help: Option<String>,
}

fn problems(claims: &[Claim], checks: &[CheckMeasures]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut ids = BTreeSet::new();
    for (index, claim) in claims.iter().enumerate() {
        let mut at = |path: Path, message: String, help: Option<String>| problems.push(Problem { path, message, help });
        let id = &claim.id;
        if id.is_empty() || id.contains(|letter: char| letter.is_whitespace() || ",;@:".contains(letter)) {
            let help = "an id stands in tags, as `@claim:ORDERS-RTO`".to_owned();
            at(steps![index, "id"], format!("`{id}` can't be the id of a claim"), Some(help));
        }
        if !ids.insert(id) {
            at(steps![index, "id"], format!("the claim `{id}` stands twice"), None);
        }
        if claim.claim.trim().is_empty() {
            at(steps![index, "claim"], format!("the claim `{id}` promises nothing"), None);
        }
        if let Some(target) = &claim.target {
            of_target(target, checks, |field, message, help| at(steps![index, "target", field], message, help));
        }
    }
    if claims.is_empty() {
        problems.push(Problem { path: Path::new(), message: "the file has no claim".to_owned(), help: None });
    }
    problems
}

fn of_target(target: &ClaimTarget, checks: &[CheckMeasures], mut at: impl FnMut(&str, String, Option<String>)) {
    let names: Vec<&str> = checks.iter().map(|(name, _)| *name).collect();
    match checks.iter().find(|(name, _)| *name == target.check) {
        None => at("check", format!("there is no check `{}`", target.check), Some(did_you_mean(&target.check, &names))),
        Some((_, measures)) if !measures.contains(&target.measure.as_str()) => {
            let message = format!("the check `{}` has no measure `{}`", target.check, target.measure);
            at("measure", message, Some(did_you_mean(&target.measure, measures)));
        }
        Some(_) => {}
    }
    // No measure is below 0.
    let is_bound = match target.bound {
        Bound::AtMost(edge) | Bound::Exactly(edge) => edge.is_finite() && edge >= 0.0,
        Bound::AtLeast(edge) => edge.is_finite() && edge > 0.0,
        Bound::Between(least, most) => least.is_finite() && most.is_finite() && least <= most && most >= 0.0,
    };
    if !is_bound {
        at("bound", "no value keeps this bound, or every one does".to_owned(), None);
    }
    if target.about.is_empty() {
        let help = "for example [outage] or [failover]: what has to happen in a trial for it to count".to_owned();
        at("about", "the target is about nothing".to_owned(), Some(help));
    }
    if let Some(share) = target.share.filter(|share| !(*share > 0.0 && *share < 1.0)) {
        let help = "0.95 means that 95 of 100 failovers have to keep it; all of them: leave `share` out".to_owned();
        at("share", format!("a share lies between 0 and 1, and {share} does not"), Some(help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKS: &[CheckMeasures] =
        &[("recovery_time", &["write_outage_ms", "detect_ms"]), ("data_loss", &["lost_rows"])];

    const SOUND: &str = "- id: ORDERS-RTO
  claim: writes are back within 45 s
  target: { check: recovery_time, measure: write_outage_ms, bound: { at_most: 45000 }, about: [outage], share: 0.95 }
";

    fn refused(text: &str) -> String {
        let error = Claims::parse("claims.yaml", text, CHECKS).unwrap_err();
        format!("{:?}", miette::Report::new(error))
            + &Claims::parse("claims.yaml", text, CHECKS).unwrap_err().to_string()
    }

    #[test]
    fn claims_of_the_users_are_read() {
        let claims = Claims::parse("claims.yaml", SOUND, CHECKS).unwrap();
        let claim = claims.find("ORDERS-RTO").unwrap();
        assert_eq!(claim.target.as_ref().unwrap().share, Some(0.95));
        assert_eq!((claim.area, claims.text()), (super::super::Area::Objectives, SOUND));
    }

    #[test]
    fn a_mistake_is_shown_where_it_stands_with_what_was_meant() {
        for (wrong, right, parts) in [
            ("recovery_tim", "recovery_time", &["claims.yaml:3:20", "did you mean `recovery_time`?"][..]),
            ("write_outage,", "write_outage_ms,", &["claims.yaml:3:", "did you mean `write_outage_ms`?"]),
            ("[outag]", "[outage]", &["claims.yaml:3:", "did you mean `outage`?"]),
            ("shar:", "share:", &["claims.yaml:3:", "did you mean `share`?"]),
            ("1.5", "0.95", &["claims.yaml:3:", "a share lies between 0 and 1"]),
            ("[]", "[outage]", &["claims.yaml:3:", "about nothing"]),
            ("ORDERS RTO", "ORDERS-RTO", &["claims.yaml:1:7", "can't be the id"]),
            ("{ between: [9, 1] }", "{ at_most: 45000 }", &["claims.yaml:3:", "no value keeps this bound"]),
            ("{ at_most: -1 }", "{ at_most: 45000 }", &["claims.yaml:3:", "no value keeps this bound"]),
            ("{ at_least: 0 }", "{ at_most: 45000 }", &["claims.yaml:3:", "or every one does"]),
            ("{ at_most: .nan }", "{ at_most: 45000 }", &["claims.yaml:3:61: no value keeps this bound"]),
            ("{ at_most: 45 s }", "{ at_most: 45000 }", &["claims.yaml:3:79: `45` is not a number"]),
            (
                "{ at_most: 1, at_least: 2 }",
                "{ at_most: 45000 }",
                &["claims.yaml:3:", "exactly one field belongs here"],
            ),
            ("{}", "{ at_most: 45000 }", &["claims.yaml:3:", "exactly one field belongs here"]),
            ("claim: x\n  claim: writes", "claim: writes", &["claims.yaml:3:3: `claim` stands twice"]),
            ("[ORDERS", "ORDERS", &["this is not YAML"]),
        ] {
            let said = refused(&SOUND.replace(right, wrong));
            for part in parts {
                assert!(said.contains(part), "no `{part}` for `{wrong}` in:\n{said}");
            }
        }
    }

    #[test]
    fn all_mistakes_are_told_together() {
        let said = refused(&format!("{SOUND}{}", SOUND.replace("outage]", "outage, failover]").replace("0.95", "7")));
        assert!(
            said.contains("stands twice") && said.contains("between 0 and 1") && said.contains("2 mistakes"),
            "{said}"
        );
    }

    #[test]
    fn what_is_no_list_of_claims_is_refused() {
        for (text, part) in [("", "empty"), ("# nothing\n", "empty"), ("[]", "no claim"), ("id: A", "claims.yaml:1:1")]
        {
            let said = refused(text);
            assert!(said.contains(part), "no `{part}` in:\n{said}");
        }
        assert!(refused("- id: A\n").contains("the field `claim` is missing"));
    }
}

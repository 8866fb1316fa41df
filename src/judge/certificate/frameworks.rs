//! Which clauses of standards and laws a claim bears on: data, worded as "supports".

use std::sync::LazyLock;

use serde::Deserialize;

use crate::claims::Claim;

/// A clause that asks for tested recovery.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clause {
    pub framework: String,
    pub clause: String,
    /// What it asks for, in our words.
    pub asks: String,
    /// What of a certificate an assessor looks at.
    pub shows: String,
    /// Claims that these checks decide bear on it.
    checks: Vec<String>,
}

static CLAUSES: LazyLock<Vec<Clause>> =
    LazyLock::new(|| match serde_saphyr::from_str(include_str!("frameworks.yaml")) {
        Ok(clauses) => clauses,
        Err(error) => unreachable!("frameworks.yaml is part of the program and a test parses it: {error}"),
    });

/// Every clause, in the order of the file.
pub fn all() -> &'static [Clause] {
    &CLAUSES
}

impl Clause {
    /// Whether a certificate with this claim supports it.
    pub fn is_supported_by(&self, claim: &Claim) -> bool {
        claim.target.as_ref().is_some_and(|target| self.checks.contains(&target.check))
    }

    /// As it is cited.
    pub fn cited(&self) -> String {
        format!("{} {}", self.framework, self.clause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks;

    #[test]
    fn every_clause_names_checks_that_exist_and_promises_nothing() {
        assert!(all().len() >= 6);
        for clause in all() {
            for name in &clause.checks {
                assert!(checks::ALL.iter().any(|check| check.name == name), "{}: {name}", clause.cited());
            }
            for text in [&clause.asks, &clause.shows] {
                assert!(!text.contains("compl"), "a certificate supports, and complies with nothing: {text}");
            }
        }
    }
}

//! A matrix: each scenario once for every combination of versions, as if its text named them.

use std::{collections::BTreeMap, str::FromStr};

use cucumber::gherkin::{Scenario, Step, StepType};

use super::{
    flatten::Flat,
    mistake::{Mistake, Source},
};
use crate::{
    services::versions,
    steps::{self, Intent},
    suggestion::did_you_mean,
};

/// Several versions of one program, as `postgresql=16,17,18`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// As `postgresql` or `patroni`.
    pub program: String,
    /// In the order in which they were named.
    pub versions: Vec<String>,
}

impl FromStr for Axis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((program, named)) = text.split_once('=') else {
            return Err(
                "it takes PROGRAM=VERSION,VERSION, as postgresql=16,17,18; name features before `--matrix`".into()
            );
        };
        if !versions::PROGRAMS.contains(&program) {
            return Err(format!(
                "no version of `{program}` can be chosen: {}",
                did_you_mean(program, versions::PROGRAMS)
            ));
        }
        let versions: Vec<String> = named.split(',').map(|version| version.trim().to_owned()).collect();
        if versions.iter().any(String::is_empty) {
            return Err(format!("a version of `{program}` is missing"));
        }
        let package = |version: &String| versions::package(program, version);
        if let Some(none) = versions.iter().find(|version| package(version).is_none()) {
            return Err(format!("`{program}` {none} can't be had: known: {}", versions::known_of(program)));
        }
        // A line and its newest release are one package.
        let mut later = versions.iter().enumerate();
        let is_known = |at: usize, own| versions[..at].iter().any(|before| package(before) == package(own));
        if let Some((_, twice)) = later.find(|(at, own)| is_known(*at, *own)) {
            return Err(format!("`{program}` {twice} stands twice"));
        }
        Ok(Self { program: program.to_owned(), versions })
    }
}

/// Why several axes are no matrix.
pub fn program_twice(axes: &[Axis]) -> Option<&str> {
    let before = |at: usize, own: &Axis| axes[..at].iter().any(|other| other.program == own.program);
    axes.iter().enumerate().find(|(at, own)| before(*at, own)).map(|(_, own)| own.program.as_str())
}

/// Every combination, the first axis slowest; of no axes the one that names nothing.
fn combinations(axes: &[Axis]) -> Vec<Vec<(&str, &str)>> {
    axes.iter().fold(vec![Vec::new()], |known, axis| {
        let with = |before: &Vec<(_, _)>| {
            let before = before.clone();
            let one = move |version| before.iter().copied().chain([(axis.program.as_str(), version)]).collect();
            axis.versions.iter().map(String::as_str).map(one).collect::<Vec<_>>()
        };
        known.iter().flat_map(with).collect()
    })
}

/// The scenarios in every combination, each with whether it is wanted. One that is not stays as it was written and takes as many
/// numbers, so that those of the others don't depend on it. One that names the version of a program of the matrix itself is a mistake.
pub(super) fn expand(
    axes: &[Axis],
    scenarios: Vec<(bool, Flat)>,
    source: &Source,
    mistakes: &mut Vec<Mistake>,
) -> Vec<(bool, Flat)> {
    if axes.is_empty() {
        return scenarios;
    }
    let mut expanded = Vec::new();
    for (is_wanted, flat) in scenarios {
        if !is_wanted {
            expanded.extend(combinations(axes).iter().map(|_| (false, flat.clone())));
            continue;
        }
        if let Some((step, program)) =
            flat.scenario.steps.iter().find_map(|step| Some((step, names_version(step, axes)?)))
        {
            let help = "leave the program out of the matrix, or choose scenarios that don't name it".to_owned();
            let message = format!("this scenario names its own version of `{program}`");
            mistakes.push(source.mistake(source.from(step.position), message, Some(help)));
        }
        let Some(chosen) = flat.scenario.steps.iter().position(chooses_topology) else {
            let help =
                "begin it with `Given the topology \"single-region\"`: versions are set in what that chose".to_owned();
            let message = "this scenario chooses no topology, so no matrix can set its versions".to_owned();
            mistakes.push(source.mistake(source.from(flat.scenario.position), message, Some(help)));
            continue;
        };
        expanded.extend(combinations(axes).iter().map(|combination| (true, in_versions(&flat, combination, chosen))));
    }
    expanded
}

/// One scenario in one combination: a step for each version behind the one that chooses the topology, and the versions in its name.
fn in_versions(flat: &Flat, combination: &[(&str, &str)], chosen: usize) -> Flat {
    let mut scenario: Scenario = flat.scenario.clone();
    let steps: Vec<Step> = combination
        .iter()
        .map(|(program, version)| Step {
            keyword: "And ".to_owned(),
            ty: StepType::Given,
            value: format!("the version of \"{program}\" is \"{version}\""),
            docstring: None,
            table: None,
            ..flat.scenario.steps[chosen].clone()
        })
        .collect();
    scenario.steps.splice(chosen + 1..chosen + 1, steps);
    let named: Vec<String> = combination.iter().map(|(program, version)| format!("{program} {version}")).collect();
    scenario.name = format!("{} [{}]", scenario.name, named.join(", "));
    let owned = |(program, version): &(&str, &str)| ((*program).to_owned(), (*version).to_owned());
    let versions: BTreeMap<String, String> = combination.iter().map(owned).collect();
    Flat { scenario, versions, ..flat.clone() }
}

fn chooses_topology(step: &Step) -> bool {
    matches!(steps::read(step), Some(Ok(Intent::Topology(_))))
}

fn names_version<'a>(step: &Step, axes: &'a [Axis]) -> Option<&'a str> {
    let Some(Ok(Intent::Version { program: named, .. })) = steps::read(step) else { return None };
    axes.iter().map(|axis| axis.program.as_str()).find(|program| *program == named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_is_a_program_and_its_versions() {
        let axis: Axis = "postgresql=16, 18".parse().unwrap();
        assert_eq!((axis.program.as_str(), axis.versions), ("postgresql", vec!["16".to_owned(), "18".to_owned()]));
        for (text, part) in [
            ("features/a.feature", "name features before"),
            ("postgres=16", "did you mean `postgresql`"),
            ("patroni=", "is missing"),
            ("patroni=4.0,,4.1", "is missing"),
            ("patroni=4.0,4.0", "stands twice"),
            ("patroni=4.0,4.0.11", "stands twice"),
            ("postgresql=16,14", "`postgresql` 14 can't be had: known: 15, 16 (16.11, 16.14), 17, 18"),
        ] {
            let said = text.parse::<Axis>().unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
    }

    #[test]
    fn every_combination_comes_once() {
        let axes: Vec<Axis> =
            ["postgresql=16,18", "patroni=4.0,4.1"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(program_twice(&axes), None);
        let all = combinations(&axes);
        assert_eq!(all.len(), 4);
        assert_eq!(all[1], [("postgresql", "16"), ("patroni", "4.1")]);
        assert_eq!(combinations(&[]), [Vec::new()]);
        assert_eq!(program_twice(&[axes[0].clone(), axes[0].clone()]), Some("postgresql"));
    }
}

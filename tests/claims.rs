//! Claims mean the same everywhere: the checks that decide them and the scenarios that name them exist.

use std::{fs, path::Path};

use pgquake_judge::{checks, claims};

#[test]
fn every_target_is_a_measure_of_a_check() {
    for claim in claims::all() {
        let Some(target) = &claim.target else { continue };
        let check = checks::find(&target.check).unwrap_or_else(|| panic!("{}: no check {}", claim.id, target.check));
        assert!(
            check.measures.contains(&target.measure.as_str()),
            "{}: {} measures no {}, only {:?}",
            claim.id,
            check.name,
            target.measure,
            check.measures
        );
    }
}

#[test]
fn every_claim_that_a_scenario_names_exists() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("features");
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        for id in text.split_whitespace().filter_map(|word| word.strip_prefix("@claim:")) {
            assert!(claims::find(id).is_some(), "{}: no claim {id}", entry.path().display());
        }
    }
}

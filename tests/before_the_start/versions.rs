//! Versions that a scenario names, and matrices of them.

use crate::{DRILL, told};

fn scenario(given: &str) -> String {
    format!(
        "Feature: Ours\n  Scenario: Versions\n    Given the topology \"single-region\"\n    {given}\n    \
         When the host of the primary dies\n"
    )
}

#[track_caller]
fn refused(feature: &str, arguments: &[&str], part: &str) {
    let (_folder, said) = told(feature, arguments, 2);
    assert!(said.contains(part), "no `{part}` in: {said}");
}

#[test]
fn a_version_that_can_not_be_had_is_told_with_those_that_can() {
    let list = &["features", "--list"];
    refused(
        &scenario("And the version of \"patroni\" is \"5.0\""),
        list,
        "own.feature:4:37: `patroni` can't run in the version `5.0`",
    );
    refused(&scenario("And the version of \"patroni\" is \"5.0\""), list, "known: 3.3.11, 4.0.6");
    refused(&scenario("And the version of \"postgresql\" is \"14\""), list, "known: 15, 16, 17, 18");
    refused(&scenario("And the version of \"postgresql\" is \"new\""), list, "it is a whole number, as 16");
    refused(&scenario("And the version of \"postgers\" is \"16\""), list, "did you mean `postgresql`?");
    let archive =
        scenario("And the version of \"postgresql\" is \"16\"").replace("single-region", "single-region-archive");
    refused(&archive, list, "a cluster with backups runs in the versions of Debian's packages");
}

#[test]
fn a_parameter_is_one_of_the_version_that_runs() {
    let feature = |version: &str| {
        scenario(&format!(
            "And the version of \"postgresql\" is \"{version}\"\n    And the PostgreSQL parameter \"io_method\" is \"sync\""
        ))
    };
    told(&feature("18"), &["features", "--list"], 0);
    refused(&feature("17"), &["features", "--list"], "PostgreSQL 17 has no parameter `io_method`");
    let later = scenario("And the version of \"postgresql\" is \"16\"").replace(
        "When the host of the primary dies",
        "When an operator sets \"postgresql.parameters.io_method\" to \"sync\"",
    );
    refused(&later, &["features", "--list"], "PostgreSQL 16 has no parameter `io_method`");
}

#[test]
fn a_matrix_has_each_scenario_once_for_every_combination() {
    let feature = format!("Feature: Ours\n  Scenario: One\n{DRILL}  @other\n  Scenario: Two\n{DRILL}");
    let matrix = ["features", "--list", "--matrix", "postgresql=16,18", "patroni=4.0,4.1"];
    let (_folder, said) = told(&feature, &matrix, 0);
    for combination in [
        "postgresql 16, patroni 4.0",
        "postgresql 16, patroni 4.1",
        "postgresql 18, patroni 4.0",
        "postgresql 18, patroni 4.1",
    ] {
        for name in ["One", "Two"] {
            assert_eq!(said.matches(&format!("{name} [{combination}]")).count(), 1, "{said}");
        }
    }
    let own = scenario("And the version of \"patroni\" is \"4.1\"");
    refused(&own, &matrix, "own.feature:4:5: this scenario names its own version of `patroni`");
    // One that is not asked for may name what it likes.
    let beside = own.replace("  Scenario: Versions", "  @other\n  Scenario: Versions") + "  Scenario: One\n" + DRILL;
    let (_folder, said) = told(&beside, &[&matrix[..], &["--tags", "not @other"]].concat(), 0);
    assert!(said.contains("One [postgresql 18, patroni 4.1]") && !said.contains("Versions"), "{said}");
    refused(&feature, &["features", "--list", "--matrix", "patroni=4.0", "patroni=4.1"], "names `patroni` twice");
    refused(&feature, &["--list", "--matrix", "patroni=4.0", "features"], "name features before `--matrix`");
    refused(&feature, &["features", "--list", "--matrix", "postgresql=14"], "PostgreSQL 14 can't be had");
}

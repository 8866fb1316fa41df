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
    refused(&scenario("And the version of \"postgresql\" is \"14\""), list, "known: 15, 16 (16.11, 16.14), 17, 18");
    refused(
        &scenario("And the version of \"postgresql\" is \"new\""),
        list,
        "it is a whole number, as 16, or one of its minor versions, as 16.11",
    );
    refused(&scenario("And the version of \"postgresql\" is \"17.4\""), list, "PostgreSQL 17.4 can't be had");
    refused(&scenario("And the version of \"etcd\" is \"3.4\""), list, "etcd 3.4 can't be had: known: 3.5, 3.6");
    let without = scenario("And the version of \"etcd\" is \"3.6\"").replace("single-region", "sync-manual");
    refused(&without, list, "no host runs etcd, whose version this is");
    refused(&scenario("And the version of \"postgers\" is \"16\""), list, "did you mean `postgresql`?");
    let archive =
        scenario("And the version of \"postgresql\" is \"16\"").replace("single-region", "single-region-archive");
    told(&archive, list, 0);
}

#[test]
fn an_upgrade_needs_the_image_of_versions_and_a_version_that_it_has() {
    let list = &["features", "--list"];
    let upgrade = |given: &str, step: &str| scenario(given).replace("When the host of the primary dies", step);
    let from_4_0 = "And the version of \"patroni\" is \"4.0\"";
    told(&upgrade(from_4_0, "When an operator upgrades Patroni on node2 to \"4.1\""), list, 0);
    refused(
        &upgrade(from_4_0, "When an operator upgrades Patroni on node2 to \"5.0\""),
        list,
        "own.feature:5:51: Patroni 5.0 can't be had",
    );
    refused(
        &upgrade(from_4_0, "When an operator upgrades Patroni on the proxy to \"4.1\""),
        list,
        "proxy runs no Patroni",
    );
    refused(
        &upgrade(
            "And 4 clients writing 25 rows per second each",
            "When an operator upgrades Patroni on node2 to \"4.1\"",
        ),
        list,
        "write `Given the version of \"patroni\" is \"4.0\"`",
    );
    // Of PostgreSQL, another minor version of the major one that runs; of etcd, a member of a topology that names one.
    let from_16_11 = "And the version of \"postgresql\" is \"16.11\"";
    told(&upgrade(from_16_11, "When an operator upgrades PostgreSQL on node2 to \"16.14\""), list, 0);
    for (to, part) in
        [("18", "known with their minor versions: 15, 16 (16.11, 16.14)"), ("16.12", "PostgreSQL 16.12 can't be had")]
    {
        refused(
            &upgrade(from_16_11, &format!("When an operator upgrades PostgreSQL on node2 to \"{to}\"")),
            list,
            part,
        );
    }
    let other_major = upgrade(from_4_0, "When an operator upgrades PostgreSQL on node2 to \"16.14\"");
    refused(&other_major, list, "PostgreSQL 17 runs there, whose data directory 16 can't take over");
    let etcd = "When an operator upgrades etcd on node1 to \"3.6\"";
    told(&upgrade("And the version of \"etcd\" is \"3.5\"", etcd), list, 0);
    refused(&upgrade(from_4_0, etcd), list, "write `Given the version of \"etcd\" is \"3.5\"`");
    let newer = etcd.replace("3.6", "3.7");
    refused(&upgrade("And the version of \"etcd\" is \"3.5\"", &newer), list, "etcd 3.7 can't be had");
    // The version that runs already can't be upgraded to, before another one has been.
    let again =
        upgrade("And the version of \"patroni\" is \"4.1.5\"", "When an operator upgrades Patroni on node2 to \"4.1\"");
    refused(&again, list, "own.feature:5:51: patroni 4.1 runs there already");
    let back = "When an operator upgrades Patroni on node2 to \"4.1\"\n    And an operator upgrades Patroni on node2 to \"4.0\"";
    told(&upgrade(from_4_0, back), list, 0);
    let newest = "When an operator upgrades PostgreSQL on node2 to \"16.14\"";
    refused(
        &upgrade("And the version of \"postgresql\" is \"16\"", newest),
        list,
        "postgresql 16.14 runs there already",
    );
    // What waits for a restart is known to an agent.
    let waits = scenario("").replace("When the host of the primary dies", "When every node waits for a restart");
    refused(&waits.replace("single-region", "sync-manual"), list, "no agent runs there");
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
    refused(&feature, &["features", "--list", "--matrix", "postgresql=14"], "`postgresql` 14 can't be had");
}

/// Gherkin takes a text in either kind of quotes.
#[test]
fn a_matrix_finds_the_topology_and_the_versions_in_single_quotes() {
    let list = |axis: &'static str| ["features", "--list", "--matrix", axis];
    let quoted = scenario("").replace("\"single-region\"", "'single-region'");
    told(&quoted, &list("postgresql=16,18"), 0);
    let newer = scenario("And the PostgreSQL parameter \"io_method\" is \"sync\"")
        .replace("\"single-region\"", "'single-region'");
    refused(&newer, &list("postgresql=16"), "PostgreSQL 16 has no parameter `io_method`");
    let own = scenario("And the version of 'patroni' is '4.1'");
    refused(&own, &list("patroni=4.0"), "own.feature:4:5: this scenario names its own version of `patroni`");
    let none =
        scenario("").replace("Given the topology \"single-region\"", "Given 4 clients writing 25 rows per second each");
    refused(&none, &list("patroni=4.0"), "own.feature:2:3: this scenario chooses no topology");
}

/// What follows the topology, in a background too, is held to the version of the combination.
#[test]
fn a_matrix_sets_versions_before_all_that_is_set_for_them() {
    let feature = "Feature: Ours\n  Background:\n    Given the topology \"single-region\"\n    \
         And the PostgreSQL parameter \"io_method\" is \"sync\"\n  Scenario Outline: Versions <n>\n    \
         When the host of the primary dies\n    Examples:\n      | n |\n      | 1 |\n";
    told(feature, &["features", "--list", "--matrix", "postgresql=18"], 0);
    let (_folder, said) = told(feature, &["features", "--list", "--matrix", "postgresql=16,18"], 2);
    assert!(said.contains("own.feature:4:34: PostgreSQL 16 has no parameter `io_method`"), "{said}");
    assert!(!said.contains("with the examples"), "a background has no examples: {said}");
}

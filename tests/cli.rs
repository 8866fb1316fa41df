//! What bad input gets: a clear message, the documented exit code, and nothing started.

use std::{fs, path::Path};

use assert_cmd::Command;

fn pgquake(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("pgquake").unwrap();
    command.current_dir(folder).env("NO_COLOR", "1").env("COLUMNS", "200");
    command
}

/// A folder with one feature file, which `run` takes by itself.
fn project(feature: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("features")).unwrap();
    fs::write(folder.path().join("features/own.feature"), feature).unwrap();
    folder
}

/// Runs, and returns standard error with white space folded, so that no line break hides a sentence.
fn refused(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = pgquake(folder).arg("run").args(arguments).assert().code(code).get_output().clone();
    assert!(!folder.join("reports").exists() || code == 3, "a run was begun");
    String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

const HEAD: &str = "Feature: Ours\n  @default\n  Scenario: One\n    Given the topology \"single-region\"\n    \
                    When every node has rejoined\n";

#[test]
fn an_unknown_step_is_shown_where_it_stands_with_the_one_that_was_meant() {
    let folder = project(&format!("{HEAD}    When the hots of the primary dies\n"));
    let said = refused(folder.path(), &[], 2);
    says(
        &said,
        &["features/own.feature:6:5", "the hots of the primary dies", "did you mean `the host of {target} dies`"],
    );
}

#[test]
fn a_feature_that_is_no_gherkin_is_shown_where_it_breaks() {
    let folder = project("Feature: Ours\n  Scenario One\n    Given nothing\n");
    says(&refused(folder.path(), &[], 2), &["own.feature:2:3: `Scenario` has no colon", "did you mean `Scenario:`?"]);
}

#[test]
fn an_unknown_topology_is_refused_before_anything_starts() {
    let folder = project(&HEAD.replace("single-region", "single-regoin"));
    says(&refused(folder.path(), &[], 2), &["single-regoin", "single-region"]);
}

#[test]
fn a_mistake_in_a_topology_is_shown_with_line_and_column() {
    let folder = project(HEAD);
    let text = include_str!("../topologies/single-region.yaml").replace("ttl_s", "ttl");
    fs::create_dir(folder.path().join("topologies")).unwrap();
    fs::write(folder.path().join("topologies/single-region.yaml"), text).unwrap();
    says(&refused(folder.path(), &[], 2), &["single-region.yaml:", "ttl_s"]);
}

#[test]
fn unknown_claims_and_checks_in_tags_are_refused() {
    let folder = project(&HEAD.replace("@default", "@default @claim:RTO-31"));
    says(&refused(folder.path(), &[], 2), &["there is no claim `RTO-31`", "own.feature:2:12"]);
    let folder = project(&HEAD.replace("@default", "@default @control:single_writr"));
    says(&refused(folder.path(), &[], 2), &["there is no check `single_writr`", "single_writer"]);
}

#[test]
fn a_choice_that_leaves_nothing_to_run_says_so() {
    let folder = project(HEAD);
    says(&refused(folder.path(), &["--tags", "@qick"], 2), &["no scenario is left to run with the tags `@qick`"]);
    says(&refused(folder.path(), &["--tags", "@a and"], 2), &["failed to read the tag expression `@a and`"]);
    says(&refused(folder.path(), &["nowhere.feature"], 2), &["there is nothing at nowhere.feature"]);
}

#[test]
fn without_an_engine_the_error_says_how_to_get_one() {
    let folder = project(HEAD);
    let socket = "unix:///nonexistent/docker.sock";
    let output = pgquake(folder.path()).arg("run").env("DOCKER_HOST", socket).assert().code(3).get_output().clone();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    says(&said, &["failed to reach a Docker engine", "pgquake doctor"]);
    assert!(!folder.path().join("reports").exists());
}

#[test]
fn the_command_line_has_its_usage_code() {
    let folder = tempfile::tempdir().unwrap();
    pgquake(folder.path()).arg("rnu").assert().code(2);
    pgquake(folder.path()).args(["run", "--trials", "0"]).assert().code(2);
    pgquake(folder.path()).arg("--help").assert().code(0);
    let output = pgquake(folder.path()).args(["check", "nowhere"]).assert().code(2).get_output().clone();
    says(&String::from_utf8_lossy(&output.stderr), &["failed to find a run at nowhere"]);
}

#[test]
fn every_list_has_rows() {
    let folder = tempfile::tempdir().unwrap();
    for table in ["faults", "checks", "services", "observers", "topologies", "steps", "claims"] {
        let output = pgquake(folder.path()).args(["list", table]).assert().code(0).get_output().clone();
        assert!(!output.stdout.is_empty(), "{table}");
    }
}

#[test]
fn the_schema_is_the_one_that_editors_find_beside_the_topologies() {
    let folder = tempfile::tempdir().unwrap();
    let output = pgquake(folder.path()).arg("schema").assert().code(0).get_output().clone();
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let beside: serde_json::Value = serde_json::from_str(include_str!("../topologies/topology.schema.json")).unwrap();
    assert_eq!(schema, beside);
}

/// A run's folder whose history has these lines.
fn saved_run(lines: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("history.jsonl"), lines.join("\n")).unwrap();
    folder
}

const RUN_STARTED: &str = r#"{"seq":1,"at_us":0,"scenario":0,"kind":"run_started","run":"r","version":"1","seed":1,"started_at":"","machine":{},"versions":{},"arguments":[]}"#;
const RUN_ENDED: &str = r#"{"seq":2,"at_us":9,"scenario":0,"kind":"run_ended","interrupted":null}"#;

#[test]
fn check_writes_no_report_and_names_none() {
    let folder = saved_run(&[RUN_STARTED, RUN_ENDED]);
    let output = pgquake(folder.path()).args(["check", "."]).assert().code(3).get_output().clone();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    says(&said, &["no scenario was recorded"]);
    assert!(!said.contains("report.html") && !folder.path().join("report.html").exists(), "{said}");
    let output = pgquake(folder.path()).args(["report", "."]).assert().code(3).get_output().clone();
    says(&String::from_utf8_lossy(&output.stdout), &["report.html"]);
    assert!(folder.path().join("report.html").exists());
}

#[test]
fn what_cannot_be_understood_in_a_saved_run_is_named_with_its_place() {
    let refused = |folder: &tempfile::TempDir, parts: &[&str]| {
        let output = pgquake(folder.path()).args(["check", "."]).assert().code(3).get_output().clone();
        // Without the bar with which lines are broken.
        let said = String::from_utf8_lossy(&output.stderr).replace('\u{2502}', " ");
        says(&said.split_whitespace().collect::<Vec<_>>().join(" "), parts);
    };
    let newer = RUN_STARTED.replace("\"run\":", "\"schema\":99,\"more\":1,\"run\":");
    refused(&saved_run(&[&newer, RUN_ENDED]), &["has schema 99", "use a newer one"]);
    let unknown = RUN_ENDED.replace("null}", "null,\"more\":1}");
    refused(&saved_run(&[RUN_STARTED, &unknown]), &["history.jsonl:2:", "unknown field `more`"]);
    let folder = saved_run(&[RUN_STARTED, RUN_ENDED]);
    for (plan, parts) in [
        ("{\"1\":{\"schema\":99}}", &["plan.json", "has schema 99"][..]),
        ("{\"1\":\n {\"more\":1}}", &["plan.json:2:", "unknown field `more`"]),
        ("no JSON", &["plan.json:1:"]),
        ("[]", &["plan.json:1:", "invalid type"]),
    ] {
        fs::write(folder.path().join("plan.json"), plan).unwrap();
        refused(&folder, parts);
    }
}

#[test]
fn a_broken_line_is_named_and_the_rest_is_judged() {
    let folder = saved_run(&[RUN_STARTED, &format!("{}{RUN_ENDED}", &RUN_ENDED[..20]), "\u{0}\u{0}"]);
    let output = pgquake(folder.path()).args(["check", "."]).assert().code(3).get_output().clone();
    says(
        &String::from_utf8_lossy(&output.stdout),
        &["line 2 of the history is broken", "line 3 of the history is broken"],
    );
}

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
    folded(&output.stderr)
}

/// Text without white space and the bars with which lines are broken, so that no line break hides a sentence.
fn folded(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text).replace('\u{2502}', " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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
fn a_topology_of_which_no_compose_file_can_be_made_is_wrong_there() {
    let folder = tempfile::tempdir().unwrap();
    for topology in ["tls", "single-region-archive", "etcd-passwords", "two-databases-vector"] {
        let output = pgquake(folder.path()).args(["compose", topology]).assert().code(2).get_output().clone();
        says(&folded(&output.stderr), &["no Compose file is made", "pgquake up"]);
    }
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

const CLAIMS: &str = "- id: OURS-RTO
  claim: writes are back within 45 s
  target: { check: recovery_time, measure: write_outage_ms, bound: { at_most: 45000 }, about: [outage], share: 0.95 }
";

const CLAIMED: &str = "Feature: Ours\n  @default @claim:OURS-RTO\n  Scenario: One\n    Given the topology \"single-region\"\n    \
                       When every node has rejoined\n";

/// A folder with one feature and claims beside it.
fn claimed(feature: &str, claims: &str) -> tempfile::TempDir {
    let folder = project(feature);
    fs::write(folder.path().join("features/claims.yaml"), claims).unwrap();
    folder
}

#[test]
fn claims_of_the_users_are_known_to_tags_and_topologies() {
    let folder = claimed(CLAIMED, CLAIMS);
    pgquake(folder.path()).args(["run", "--list"]).assert().code(0);
    // Theirs are in place of the documented ones.
    let folder = claimed(&CLAIMED.replace("OURS-RTO", "RTO-30"), CLAIMS);
    says(&refused(folder.path(), &[], 2), &["there is no claim `RTO-30`", "own.feature:2:12"]);
    let folder = claimed(CLAIMED, CLAIMS);
    let named = folder.path().join("objectives.yaml");
    fs::write(&named, CLAIMS.replace("OURS-RTO", "OTHER")).unwrap();
    let said = refused(folder.path(), &["--claims", "objectives.yaml"], 2);
    says(&said, &["there is no claim `OURS-RTO`"]);
    let topology = include_str!("../topologies/single-region.yaml");
    let own = topology.split("claims:").next().unwrap().to_owned() + "claims: [OURS-RTO, RTO-30]\n";
    fs::create_dir(folder.path().join("topologies")).unwrap();
    fs::write(folder.path().join("topologies/single-region.yaml"), &own).unwrap();
    pgquake(folder.path()).args(["run", "--list"]).assert().code(0);
    fs::write(folder.path().join("topologies/single-region.yaml"), own.replace("OURS", "OUR")).unwrap();
    says(&refused(folder.path(), &[], 2), &["no claim has the id `OUR-RTO`", "did you mean `OURS-RTO`?"]);
}

#[test]
fn a_mistake_in_a_claims_file_is_shown_with_line_and_column() {
    let folder = claimed(CLAIMED, &CLAIMS.replace("recovery_time", "recovery_tim"));
    let parts = ["features/claims.yaml:3:20", "there is no check `recovery_tim`", "did you mean `recovery_time`?"];
    says(&refused(folder.path(), &[], 2), &parts);
    let said = refused(folder.path(), &["--claims", "nowhere.yaml"], 2);
    says(&said, &["failed to read the claims nowhere.yaml"]);
}

#[test]
fn nothing_is_proven_that_has_no_share_or_another_one() {
    let folder = project(&HEAD.replace("@default", "@default @claim:RTO-30"));
    let said = refused(folder.path(), &["--prove", "95/95"], 2);
    says(&said, &["own.feature:3", "bears on no claim that asks for a share of 95 %", "share: 0.95"]);
    let folder = claimed(CLAIMED, CLAIMS);
    let said = refused(folder.path(), &["--prove", "90/95"], 2);
    says(&said, &["the claim OURS-RTO asks for a share of 95 %", "--prove 95/95"]);
    pgquake(folder.path()).args(["run", "--prove", "95/95", "--jointly", "--list"]).assert().code(0);
    for arguments in [
        &["--prove", "95/95", "--trials", "10"][..],
        &["--prove", "95/95", "--shard", "1/2", "--seed", "1"],
        &["--prove", "95"],
        &["--prove", "101/95"],
        &["--jointly"],
    ] {
        refused(folder.path(), arguments, 2);
    }
}

#[test]
fn a_shard_takes_its_part_of_the_trials() {
    let folder = project(HEAD);
    let says_usage = |arguments: &[&str], parts: &[&str]| says(&refused(folder.path(), arguments, 2), parts);
    says_usage(&["--shard", "1/2"], &["--seed"]);
    says_usage(
        &["--shard", "0/2", "--seed", "1"],
        &["shards count from 1; Kubernetes, Buildkite and CircleCI count from 0"],
    );
    says_usage(&["--shard", "3/2", "--seed", "1"], &["there is no shard 3 of 2"]);
    says_usage(&["--shard", "2/2", "--seed", "1"], &["shard 2 of 2 is empty: the selection has 1 trials"]);
    let listed = |shard: &str| {
        let arguments = ["run", "--list", "--trials", "5", "--seed", "1", "--shard", shard];
        let output = pgquake(folder.path()).args(arguments).assert().code(0).get_output().clone();
        String::from_utf8_lossy(&output.stdout).lines().count()
    };
    assert_eq!((listed("1/2"), listed("2/2")), (3, 2));
}

#[test]
fn the_schema_of_claims_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let output = pgquake(folder.path()).args(["schema", "claims"]).assert().code(0).get_output().clone();
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["type"], "array");
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

#[test]
fn a_run_is_judged_by_the_claims_that_it_kept() {
    let digest = pgquake_judge::saved::digest_of(CLAIMS.as_bytes());
    let inputs = format!("\"inputs\":{{\"claims.yaml\":\"{digest}\"}},\"run\":");
    let folder = saved_run(&[&RUN_STARTED.replace("\"run\":", &inputs), RUN_ENDED]);
    let check = || {
        let output = pgquake(folder.path()).args(["check", "."]).assert().code(3).get_output().clone();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    says(&check(), &["inputs/claims.yaml is gone"]);
    fs::create_dir(folder.path().join("inputs")).unwrap();
    let kept = folder.path().join("inputs/claims.yaml");
    fs::write(&kept, CLAIMS).unwrap();
    assert!(!check().contains("inputs/claims.yaml"));
    fs::write(&kept, CLAIMS.replace("45", "90")).unwrap();
    says(&check(), &["inputs/claims.yaml is not what the run recorded"]);
    fs::write(&kept, "no claims").unwrap();
    says(&check(), &["failed to read the claims that the run kept", "claims.yaml:1:1"]);
}

#[test]
fn several_runs_are_judged_as_one_and_need_a_folder_for_their_report() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        let started = RUN_STARTED.replace("\"run\":\"r\"", &format!("\"run\":\"{name}\""));
        fs::write(folder.path().join(name).join("history.jsonl"), format!("{started}\n{RUN_ENDED}")).unwrap();
    }
    let output = pgquake(folder.path()).args(["check", "one", "two"]).assert().code(3).get_output().clone();
    says(&String::from_utf8_lossy(&output.stdout), &["the run two is no shard: it is whole by itself", "never pooled"]);
    let output = pgquake(folder.path()).args(["report", "one", "two"]).assert().code(2).get_output().clone();
    says(&folded(&output.stderr), &["--out DIR"]);
    pgquake(folder.path()).args(["report", "one", "two", "--out", "both"]).assert().code(3);
    assert!(folder.path().join("both/report.html").exists() && !folder.path().join("one/report.html").exists());
    pgquake(folder.path()).arg("check").assert().code(2);
}

#[test]
fn a_byte_that_is_no_text_is_shown_where_it_stands() {
    let shown = "here is a byte that is no UTF-8 text";
    let folder = claimed(CLAIMED, CLAIMS);
    let spoilt = |text: &str| text.as_bytes().iter().copied().chain(*b"# \xff\n").collect::<Vec<u8>>();
    fs::write(folder.path().join("features/own.feature"), spoilt(CLAIMED)).unwrap();
    says(&refused(folder.path(), &[], 2), &["own.feature:6:3", shown, "save the file as UTF-8"]);
    let folder = claimed(CLAIMED, CLAIMS);
    fs::write(folder.path().join("features/claims.yaml"), spoilt(CLAIMS)).unwrap();
    says(&refused(folder.path(), &[], 2), &["claims.yaml:4:3", shown]);
    let folder = project(HEAD);
    fs::create_dir(folder.path().join("topologies")).unwrap();
    let topology = include_str!("../topologies/single-region.yaml");
    fs::write(folder.path().join("topologies/single-region.yaml"), spoilt(topology)).unwrap();
    let place = format!("single-region.yaml:{}:3", topology.lines().count() + 1);
    says(&refused(folder.path(), &[], 2), &[&place, shown]);
}

#[test]
fn a_prediction_needs_no_engine_and_a_misspelt_setting_says_what_was_meant() {
    let folder = project("Feature: None\n");
    let predict = |more: &[&str]| {
        let mut command = pgquake(folder.path());
        command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").args(["predict", "single-region"]).args(more);
        command
    };
    let told = predict(&["--svg", "outage.svg"]).assert().code(0).get_output().clone();
    says(&folded(&told.stdout), &["A prediction", "RTO-30"]);
    assert!(std::fs::read_to_string(folder.path().join("outage.svg")).unwrap().starts_with("<svg"));
    for (set, parts) in [
        ("patroni.tll_s=20", ["Patroni has no setting `tll_s`", "did you mean `ttl_s`"]),
        ("patrnoi.ttl_s=20", ["there are no settings `patrnoi`", "did you mean `patroni`"]),
        ("patroni.ttl_s", ["invalid value", "a setting is written as `patroni.ttl_s=20`"]),
        // What goes together is asked when all are set.
        ("patroni.ttl_s=20", ["the settings do not go together", "exceeds ttl_s"]),
    ] {
        let told = predict(&["--set", set]).assert().code(2).get_output().clone();
        says(&folded(&told.stderr), &parts);
    }
    let wrong = pgquake(folder.path()).args(["predict", "single-regoin"]).assert().code(2).get_output().clone();
    says(&folded(&wrong.stderr), &["did you mean `single-region`"]);
    let by_hand = pgquake(folder.path()).args(["predict", "async-manual"]).assert().code(2).get_output().clone();
    says(&folded(&by_hand.stderr), &["an operator promotes one"]);
}

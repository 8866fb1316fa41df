//! What can be known of a scenario before anything starts is told before anything starts, with file, line and column: by
//! `run --list`, and by `run` without an engine.

mod applications;
mod services;
mod versions;
mod worst;

use std::{fs, path::Path};

use assert_cmd::Command;

/// Runs on a folder that has one feature file; standard output and error, with white space folded.
fn told(feature: &str, arguments: &[&str], code: i32) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("features")).unwrap();
    fs::write(folder.path().join("features/own.feature"), feature).unwrap();
    let said = told_in(folder.path(), arguments, code);
    (folder, said)
}

#[track_caller]
fn told_in(folder: &Path, arguments: &[&str], code: i32) -> String {
    let mut command = Command::cargo_bin("pgquake").unwrap();
    command.current_dir(folder).env("NO_COLOR", "1").env("COLUMNS", "400");
    command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let output = command.arg("run").args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn refused(feature: &str, parts: &[&str]) {
    refused_when_asked(feature, &["features", "--list"], parts);
}

#[track_caller]
fn refused_when_asked(feature: &str, arguments: &[&str], parts: &[&str]) {
    let (folder, said) = told(feature, arguments, 2);
    for part in parts {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    assert!(!folder.path().join("reports").exists(), "a run was begun");
}

/// A scenario with these steps, the first in line 3, indented by four.
fn scenario(steps: &[&str]) -> String {
    let steps: Vec<String> = steps.iter().map(|step| format!("    {step}\n")).collect();
    format!("Feature: Ours\n  Scenario: One\n{}", steps.concat())
}

/// The steps stand after `Given the topology "single-region"`, so the first of them in line 4.
#[track_caller]
fn refused_steps(steps: &[&str], parts: &[&str]) {
    refused(&scenario(&[&["Given the topology \"single-region\""], steps].concat()), parts);
}

#[track_caller]
fn listed(steps: &[&str]) {
    let all = [&["Given the topology \"single-region\""], steps, &["When every node has rejoined"]].concat();
    told(&scenario(&all), &["features", "--list"], 0);
}

const DRILL: &str = "      Given the topology \"single-region\"\n      When the host of the primary dies\n";

#[test]
fn scenarios_of_rules_and_of_folders_below_are_listed_and_picked_by_line() {
    let rules = format!(
        "Feature: Ours\n  @sync\n  Rule: First\n    Background:\n      Given the topology \"single-region\"\n\n    \
         @quick\n    Scenario: In a rule\n      When the host of the primary dies\n\n    Scenario: Beside it\n      \
         When the host of node2 dies\n  Rule: Second\n    Scenario: Elsewhere\n{DRILL}"
    );
    let (folder, said) = told(&rules, &["features", "--list"], 0);
    for part in ["own.feature:8 In a rule [sync quick]", "own.feature:11 Beside it [sync]", "own.feature:14 Elsewhere"]
    {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    fs::create_dir_all(folder.path().join("features/below/further")).unwrap();
    let nested = format!("Feature: Below\n  Scenario: Nested\n{DRILL}");
    fs::write(folder.path().join("features/below/further/b.feature"), nested).unwrap();
    let said = told_in(folder.path(), &["features", "--list"], 0);
    assert!(said.contains("features/below/further/b.feature:2 Nested"), "{said}");

    for (line, names) in [
        ("7", "In a rule"),
        ("9", "In a rule"),
        ("12", "Beside it"),
        ("15", "Elsewhere"),
        ("4", "In a rule Beside it"),
        ("13", "Elsewhere"),
    ] {
        let said = told_in(folder.path(), &[&format!("features/own.feature:{line}"), "--list"], 0);
        let all = ["In a rule", "Beside it", "Elsewhere"];
        let found: Vec<&str> = all.into_iter().filter(|name| said.contains(name)).collect();
        assert_eq!(found.join(" "), names, "line {line}");
    }
    let said = told_in(folder.path(), &["features/own.feature:1", "--list"], 2);
    assert!(said.contains("failed to find a scenario at features/own.feature:1"), "{said}");
    let said = told_in(folder.path(), &["features/own.feature:8", "--trials", "3", "--list"], 0);
    assert_eq!(said.matches("In a rule").count(), 3, "{said}");
    assert!(told_in(folder.path(), &["features", "--tags", "@sync", "--list"], 0).contains("Beside it"));
}

#[test]
fn a_run_is_refused_as_its_list_is() {
    let topology = "Given the topology \"single-region\"";
    for (steps, part) in [
        (vec![topology, "When HAProxy on the primary is killed"], "own.feature:4:5: process_kill can't be applied"),
        (vec![topology, "And the Patroni setting \"ttl\" is \"soon\""], "own.feature:4:38: `soon` can't be"),
        (vec![topology, "When the fault \"partition\" hits node1", "  | by | shouting |"], "own.feature:5:14: "),
        (vec!["Given the topology \"single-regoin\""], "own.feature:3:5: no topology is called"),
    ] {
        refused_when_asked(&scenario(&steps), &["features"], &[part]);
    }
    refused_when_asked("Feature: Ours\n  @claims:RTO-30\n  Scenario: One\n", &["features"], &["own.feature:2:3: "]);
}

#[test]
fn a_background_of_a_rule_is_checked() {
    let feature = "Feature: Ours\n  Rule: First\n    Background:\n      Given the topology \"single-regoin\"\n    \
                   Scenario: In a rule\n      When the host of the primary dies\n    Scenario: Two\n      \
                   When the host of the primary dies\n";
    refused(feature, &["own.feature:4:7: no topology is called `single-regoin`", "did you mean `single-region`"]);
}

#[test]
fn rows_of_examples_are_scenarios_with_lines_and_tags_of_their_own() {
    let outline = "Feature: Ours\n  Scenario Outline: On <topology>\n    Given the topology \"<topology>\"\n    \
                   When the host of the primary dies\n\n    @quick\n    Examples:\n\n      | topology |\n      # why\n      \
                   | single-region |\n    Examples:\n      | topology |\n      | single-region-sync |\n";
    let (folder, said) = told(outline, &["features", "--list"], 0);
    for part in ["own.feature:11 On single-region [quick]", "own.feature:14 On single-region-sync []"] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    for (line, rows) in [("2", 2), ("14", 1), ("11", 1)] {
        let said = told_in(folder.path(), &[&format!("features/own.feature:{line}"), "--list"], 0);
        assert_eq!(said.matches("On single-region").count(), rows, "line {line}: {said}");
    }
    refused(
        &outline.replace("| single-region-sync |", "| single-regoin |"),
        &["own.feature:3:5: no topology is called `single-regoin` (with the examples of line 14)"],
    );
    refused(
        &outline.replace("\"<topology>\"", "\"<topolgy>\""),
        &["the examples have no column `topolgy`", "own.feature:3:5"],
    );
}

#[test]
fn what_would_drop_a_scenario_is_a_mistake() {
    let empty =
        "Feature: Ours\n  Scenario Outline: No row\n    Given the topology \"<t>\"\n    Examples:\n      | t |\n";
    refused(empty, &["own.feature:4:5: the examples of `No row` have no row"]);
    let without = format!("Feature: Ours\n  Scenario Outline: No table\n{DRILL}");
    refused(&without, &["own.feature:2:3: the outline `No table` has no examples"]);
    refused("Feature: Ours\n  Scenario: Nothing\n", &["own.feature:2:3: the scenario `Nothing` has no step"]);
    refused("Feature: Ours\n", &["own.feature:1:1: the feature `Ours` has no scenario"]);
    let rule = format!("Feature: Ours\n  Scenario: One\n{DRILL}  Rule: Empty\n");
    refused(&rule, &["own.feature:5:3: the rule `Empty` has no scenario"]);
    let twice = format!("Feature: Ours\n  Scenario: One\n{DRILL}  Scenario: One\n{DRILL}");
    refused(&twice, &["own.feature:5:3: a second scenario is called `One`", "the first stands in line 2"]);
    refused(
        &scenario(&["Wehn the host of the primary dies", "Given the topology \"single-region\""]),
        &["own.feature:3:5: this is taken for a description"],
    );
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("features")).unwrap();
    assert!(told_in(folder.path(), &["features", "--list"], 2).contains("there is none in features or below"));
}

#[test]
fn a_tag_that_says_nothing_is_a_mistake_where_it_stands() {
    for (tag, part) in [
        ("claims:RTO-30", "did you mean `@claim:RTO-30`"),
        ("Control:data_loss", "did you mean `@control:data_loss`"),
        ("claim", "write it as `@claim:ID`"),
        ("claim:", "names nothing"),
        ("RTO-30", "did you mean `@claim:RTO-30`"),
        ("jira:A-1", "there is no kind of tag `@jira:`"),
        ("claim:RTO-31", "there is no claim `RTO-31`"),
        ("control:single_writr", "did you mean `single_writer`"),
    ] {
        let at = |line: usize, column: usize| format!("own.feature:{line}:{column}: ");
        let on_scenario = format!("Feature: Ours\n  @quick @{tag}\n  Scenario: One\n{DRILL}");
        refused(&on_scenario, &[part, &at(2, 10)]);
        let on_feature = format!("@{tag}\nFeature: Ours\n  Scenario: One\n{DRILL}");
        refused(&on_feature, &[part, &at(1, 1)]);
    }
    let two = format!("@control:data_loss\nFeature: Ours\n  @control:single_writer\n  Scenario: One\n{DRILL}");
    refused(&two, &["own.feature:3:3: a scenario can have one `@control:` tag"]);
    let rule = format!("Feature: Ours\n  @claim:RTO-31\n  Rule: R\n    Scenario: One\n{DRILL}");
    refused(&rule, &["own.feature:2:3: there is no claim `RTO-31`"]);
    let examples = "Feature: Ours\n  Scenario Outline: One\n    Given the topology \"<t>\"\n    @Claims\n    Examples:\n      \
                    | t |\n      | single-region |\n";
    refused(examples, &["own.feature:4:5: the tag `@Claims` names nothing"]);
}

#[test]
fn settings_are_checked_and_held_against_each_other() {
    refused_steps(&["And the Patroni setting \"failsave_mode\" is \"on\""], &["own.feature:4:29", "`failsafe_mode`"]);
    refused_steps(&["And the Patroni setting \"ttl\" is \"soon\""], &["own.feature:4:38", "`soon` can't be"]);
    refused_steps(
        &["And the Patroni setting \"ttl\" is \"20\"", "And the Patroni setting \"failsafe_mode\" is \"on\""],
        &["own.feature:5:5", "exceeds ttl_s"],
    );
    refused_steps(&["And the PostgreSQL parameter \"port\" is \"1\""], &["own.feature:4:34", "`port` is not"]);
    refused_steps(&["And 0 clients writing 5 rows per second each"], &["own.feature:4:5", "at least 1"]);
    refused(&scenario(&["When the host of the primary dies"]), &["own.feature:3:5", "the scenario names no topology"]);
    refused_steps(
        &["When the host of node1 dies", "Given the disks can fail"],
        &["own.feature:5:5", "the system runs by then"],
    );
    refused_steps(&["And the topology \"single-region-sync\""], &["own.feature:4:5", "has a topology already"]);
    listed(&[
        "And the Patroni setting \"ttl\" is \"20\"",
        "And the Patroni setting \"loop_wait\" is \"5\"",
        "And the Patroni setting \"retry_timeout\" is \"5\"",
        "And the PostgreSQL parameter \"fsync\" is \"off\"",
    ]);
}

#[test]
fn faults_and_their_parameters_are_checked_in_the_cell() {
    let hits = "When the fault \"partition\" hits the primary";
    for (steps, parts) in [
        (vec!["When the fault \"partitoin\" hits node1"], ["own.feature:4:5", "did you mean `partition`"]),
        (vec![hits, "  | form | the standbys |"], ["own.feature:5:9", "did you mean `from`"]),
        (vec![hits, "  | ports | many |"], ["own.feature:5:17", "`many` can't be its parameter `ports`"]),
        (vec![hits, "  | by | drop |", "  | by | reject |"], ["own.feature:6:9", "names `by` twice"]),
        (vec![hits, "  | by |"], ["own.feature:5:9", "needs a name and a value"]),
        (vec![hits, "  | from | node9 |"], ["own.feature:4:5", "the topology has no host `node9`"]),
        (
            vec!["When the fault \"cpu_quota\" hits node1", "  | service | etcd |"],
            ["own.feature:4:5", "needs the parameter `share`"],
        ),
        (vec!["When \"etcd\" on node1 gets only \"0.1 %\" of a core"], ["own.feature:4:5", "below 1 %"]),
        (vec!["When the host of node1 reboots", "  | down_for | 10 ms |"], ["own.feature:4:5", "at least 1 s"]),
        (
            vec!["When a WAL sender on node1 is killed", "  | process | etcd |"],
            ["own.feature:5:9", "says `process` already"],
        ),
        (vec!["When every node has rejoined", "  | a | b |"], ["own.feature:5:9", "takes no table"]),
        (vec!["When the fault \"host_crash\" hits node1 0 times, each for 1 s to 2 s"], ["own.feature:4:5", "0 times"]),
        (vec!["Then clients can't write for between 9 s and 3 s"], ["own.feature:4:5", "lower bound"]),
    ] {
        refused_steps(&steps, &parts);
    }
}

#[test]
fn parameters_of_postgresql_are_checked() {
    let set = |name: &str, value: &str| format!("And the PostgreSQL parameter \"{name}\" is \"{value}\"");
    for (name, value, column, parts) in [
        ("work_mme", "8MB", 34, ["PostgreSQL 17 has no parameter `work_mme`", "did you mean `work_mem`?"]),
        ("work_mem", "8mb", 48, ["`8mb` can't be the value of `work_mem`", "it takes a size from 64kB"]),
        ("fsync", "fsync", 45, ["`fsync` can't be the value of `fsync`", "on or off"]),
        ("max_wal_senders", "2", 55, ["can't be the value of `max_wal_senders`", "Patroni takes no less"]),
    ] {
        let place = format!("own.feature:4:{column}: ");
        refused_steps(&[&set(name, value)], &[&place, parts[0], parts[1]]);
    }
    refused_steps(
        &[&set("superuser_reserved_connections", "50"), &set("max_connections", "50")],
        &["own.feature:5:5: the settings do not go together: 50 connections are reserved, of 50 in all"],
    );
    listed(&[&set("work_mem", "8MB"), &set("Work_Mem", "9MB"), &set("auto_explain.log_min_duration", "0")]);
}

#[test]
fn what_proves_nothing_or_never_ends_is_refused() {
    for (step, part) in [
        ("When 8 s to 2 s have passed", "the lower bound is above the upper one"),
        ("When 1 s to 1441 min have passed", "`1441 min` is longer than a day"),
        ("When the leader key is gone, within 0 s", "a wait of no time"),
        ("When a standby is 0 B behind", "there is nothing to wait for"),
        ("When the fault \"host_crash\" hits node1 4000000000 times, each for 1 s to 4 s", "at most 1000 times"),
        ("When the fault \"host_crash\" hits node1 3 times, each for 4 s to 1 s", "the lower bound is above"),
        ("When the clock of node1 is set 0 s ahead", "a duration from 1 s to ten years"),
        ("When an operator fails over to the primary", "it is the primary already"),
        ("When an operator reinitialises the nodes", "and not the primary itself"),
        ("And 4 clients writing 4294967295 rows per second each", "no client can write that many rows"),
        ("When an operator switches over to \"proxy\"", "proxy runs no Patroni"),
        ("When an operator switches over to \"the primary\"", "it would hand over to itself"),
        ("When the fault \"etcd_no_space\" hits node1", "etcd's quota is too large to fill"),
        ("When the fault \"etcd_member_lost\" hits the proxy", "proxy does not run etcd"),
        ("When the fault \"switchover\" hits a standby", "only the primary can hand over"),
        ("When the fault \"pause\" hits the proxy", "no Patroni runs there"),
        ("When the WAL receiver on the primary is killed", "a primary has no WAL receiver"),
        ("When a WAL sender on the standbys freezes", "only the primary has WAL senders"),
        ("Given the disks can fail", "the scenario ends here, and has started nothing"),
        ("Then no acknowledged write is lost", "the scenario ends here, and has started nothing"),
    ] {
        refused_steps(&[step], &["own.feature:4:5: ", part]);
    }
    let beside = "When an operator runs \"etcdctl version\" beside etcd on \"proxy\"";
    refused_steps(&[beside], &["own.feature:4:60: no host called `proxy` runs etcd"]);
    let many = "And 101 clients writing 1 rows per second each";
    refused_steps(
        &[many, "And the PostgreSQL parameter \"max_connections\" is \"100\"", "When the host of node1 dies"],
        &["own.feature:4:5: PostgreSQL takes 97 clients, and not 101"],
    );
    listed(&[many]);
    for (prepare, fault, row, part) in [
        ("the disks can fail", "disk_slow\" hits node1", "  | delay | 0 ms |", "at least one"),
        ("every link is shaped", "link_slicer\" hits node1", "  | size | 0 B |", "a packet has at least 1 B"),
        ("every link is shaped", "link_latency\" hits node1", "  | jitter | 6 ms |", "at most half of the round trip"),
        ("every link is shaped", "container_stop\" hits node1", "  | grace | 0.5 s |", "in whole seconds"),
        ("every link is shaped", "connections_exhausted\" hits node1", "  | at_most | 5.5 |", "a whole number"),
    ] {
        let needs: &[&str] = match row {
            "  | delay | 0 ms |" => &["  | volume | data |"],
            "  | size | 0 B |" => &["  | to | node2 |"],
            "  | jitter | 6 ms |" => &["  | to | node2 |", "  | round_trip | 10 ms |"],
            "  | grace | 0.5 s |" => &["  | service | etcd |"],
            _ => &[],
        };
        let (prepare, fault) = (format!("And {prepare}"), format!("When the fault \"{fault}"));
        refused_steps(&[&[prepare.as_str(), &fault, row], needs].concat(), &["own.feature:5:5: ", part]);
    }
    let slow = "When a round trip from node1 to node2 takes 80 ms longer";
    let change = "And the fault \"link_latency\" is changed";
    refused_steps(&["And every link is shaped", slow, change], &["own.feature:6:5: this changes nothing"]);
    listed(&["When an operator fails over to node2", "And an operator reinitialises node1"]);
}

#[test]
fn what_is_no_gherkin_is_told_in_words() {
    for (feature, parts) in [
        ("", ["own.feature:1:1: the file is empty", "`Feature: `"]),
        ("Scenario: One\n", ["own.feature:1:1: this stands before the feature", "`Feature: `"]),
        (
            &scenario(&["Given the topology \"single-region\"", "Wen it dies"]),
            ["own.feature:4:5: ", "did you mean `When`"],
        ),
        (
            "Feature: F\n  @quick, @a\n  Scenario: One\n",
            ["own.feature:2:3: the tag `@quick,` has a comma", "by spaces"],
        ),
        (
            "Feature: F\n  Scenario:\n",
            ["own.feature:2:3: the scenario has no name", "own.feature:2:3: the scenario `` has"],
        ),
    ] {
        refused(feature, &parts);
    }
    // The parser would cut it off without a word.
    refused_steps(
        &["When the fault \"partition\" hits node1", "  | from |", "  | node2 | node3 |"],
        &["own.feature:6:17: this row has 2 cells, the first of its table 1"],
    );
    let drill = format!("\u{feff}Feature: Ours\n  @quick\n  Scenario: One\n{DRILL}");
    let (folder, said) = told(&drill.replace("Feature", "@quick\nFeature"), &["features", "--list"], 0);
    assert!(said.contains("One [quick]"), "{said}");
    let said = told_in(folder.path(), &["features/own.feature:99", "--list"], 2);
    assert!(said.contains("failed to find a scenario at features/own.feature:99"), "{said}");
}

#[test]
fn what_an_operator_sets_is_checked() {
    let sets = |key: &str, value: &str| format!("When an operator sets \"{key}\" to \"{value}\"");
    for (key, value, column, parts) in [
        ("ttll", "20", 27, ["Patroni has no key `ttll`", "did you mean `ttl`?"]),
        ("work_mem", "8MB", 27, ["Patroni has no key `work_mem`", "`postgresql.parameters.work_mem`"]),
        ("ttl", "19", 36, ["`19` can't be the value of `ttl`", "at least 20"]),
        ("ttl", "30s", 36, ["`30s` can't be the value of `ttl`", "at least 20"]),
        ("maximum_lag_on_failover", "1MB", 56, ["`1MB` can't be", "a whole number of at least 0"]),
        ("synchronous_mode", "maybe", 49, ["`maybe` can't be", "true, false or quorum"]),
        ("postgresql.parameters.work_mem", "8mb", 63, ["`8mb` can't be", "a size from 64kB"]),
        ("postgresql.pg_hba", "x", 27, ["would change nothing", "what a node says itself"]),
        ("ttl", "30", 36, ["ttl is 30 already", "changes nothing"]),
        (
            "ttl",
            "29",
            36,
            ["loop_wait + 2 × retry_timeout is 30 (10 + 2 × 10) and exceeds ttl, which is 29", "Patroni would"],
        ),
    ] {
        let place = format!("own.feature:4:{column}: ");
        refused_steps(&[&sets(key, value)], &[&place, parts[0], parts[1]]);
    }
    refused_steps(
        &["When the fault \"configuration_change\" hits the primary", "  | key | ttl |", "  | value | soon |"],
        &["own.feature:6:17: `soon` can't be the value of `ttl`"],
    );
    // Held against what was changed before, and against what was put back.
    listed(&[&sets("loop_wait", "5"), &sets("ttl", "25"), &sets("synchronous_mode", "quorum")]);
    refused_steps(
        &[&sets("loop_wait", "5"), "And the fault is healed", &sets("ttl", "25")],
        &["own.feature:6:36: loop_wait + 2 × retry_timeout is 30"],
    );
    listed(&[&sets("ttl", "40"), "And the fault is healed", &sets("ttl", "40")]);
}

#[test]
fn targets_are_held_against_the_topology() {
    for (step, part) in [
        ("When the host of node9 dies", "no host `node9` (did you mean `node1`?"),
        ("When the host of region eu dies", "no region `eu`"),
        ("When the host of zone a dies", "no zone `a`"),
        ("When the service \"patroni\" on the synchronous standby dies", "no synchronous standby"),
        ("When HAProxy on the primary is killed", "does not run HAProxy"),
        ("When the service \"patroni\" on the proxy dies", "does not run patroni"),
        ("When the service \"etcd\" on node1 and proxy dies", "can't be applied to node1 and proxy"),
        (
            "When a round trip from node1 to node2 takes 80 ms longer",
            "is not shaped; write `Given every link is shaped`",
        ),
        ("When the data volume of node1 is full", "write `Given the disks can fail`"),
        ("When the power of node1 fails", "write `Given the disks can fail`"),
        ("When the clock of node1 is set 60 s ahead", "its clock is not prepared"),
        ("When the host of the clients dies", "clients are no host"),
        ("When an operator switches over to \"node1 and node2\"", "only one node can lead"),
        ("When an operator fails over to node1 and node2", "it takes one host"),
        ("When the fault \"host_crash\" is healed", "no fault `host_crash` was injected before"),
        ("When the fault \"host_crsh\" is healed", "did you mean `host_crash`"),
        ("When the fault \"host_crash\" is changed", "no fault `host_crash` was injected before"),
        ("When the fault is healed", "no fault was injected before"),
        ("When an operator resumes Patroni", "no fault `pause` was injected before"),
    ] {
        refused_steps(&[step], &["own.feature:4:5: ", part]);
    }
    refused_steps(
        &["When the host of node1 dies", "And the fault is healed", "And the fault \"host_crash\" is healed"],
        &["own.feature:6:5: no fault `host_crash`"],
    );
    refused_steps(
        &["When the host of node1 dies", "And the fault \"host_crash\" is changed"],
        &["own.feature:5:5: host_crash can't be changed"],
    );
}

/// The steps stand after `Given the topology "async-manual"`, so the first of them in line 4.
#[track_caller]
fn refused_by_hand(step: &str, parts: &[&str]) {
    refused(&scenario(&["Given the topology \"async-manual\"", step]), parts);
}

#[test]
fn what_needs_an_agent_is_refused_where_none_keeps_the_nodes_and_the_reverse() {
    for (step, part) in [
        ("When an operator switches over", "runs no Patroni"),
        ("When an operator pauses Patroni", "no Patroni runs there"),
        ("When an operator reinitialises node2", "runs no Patroni"),
        ("When the Patroni agent on node1 is killed", "does not run the Patroni agent"),
        ("When the service \"patroni\" on node1 dies", "does not run patroni"),
        ("When the leader key is gone", "no DCS, and so no leader key"),
        ("When the host of the etcd leader dies", "no DCS leader"),
        ("When the host of the proxy dies", "no proxy"),
        ("When an operator promotes \"node9\" by pg_ctl promote", "no PostgreSQL node is called `node9`"),
        ("When an operator sets the parameter \"work_mme\" to \"8MB\" on \"node1\"", "did you mean `work_mem`"),
    ] {
        refused_by_hand(step, &["own.feature:4:", part]);
    }
    for step in [
        "When an operator promotes \"node2\" by pg_promote()",
        "When an operator rewinds \"node1\" from \"node2\"",
        "When an operator keeps PostgreSQL on \"node1\" from starting",
    ] {
        refused_steps(&[step], &["own.feature:4:", "an agent keeps", "go past it"]);
    }
    listed(&["When the host of node1 dies", "And clients are pointed at \"node2\""]);
    let by_hand = [
        "Given the topology \"sync-manual\"",
        "When PostgreSQL on the primary is killed",
        "And the WAL receiver on a standby is killed",
        "And the host of the synchronous standby dies",
        "And the connections of the primary are exhausted",
        "And an operator promotes \"node2\" by a trigger file",
    ];
    told(&scenario(&by_hand), &["features", "--list"], 0);
}

#[test]
fn what_can_be_done_is_not_refused() {
    listed(&[
        "And the disks can fail",
        "And the clocks of the nodes can be set",
        "And every link is shaped",
        "When the data volume of the primary is full",
        "And the power of every host fails",
        "And the clock of a standby is set 60 s ahead",
        "And a round trip from the standbys to the primary takes 80 ms longer",
        "And the fault \"link_latency\" is changed",
        "  | round_trip | 5 s |",
        "And the fault \"link_latency\" is healed",
        "And etcd on an etcd follower is killed",
        "And HAProxy on the proxy is killed",
        "And clients are cut off from the proxy",
        "And an operator switches over to \"node2\"",
        "And an operator sets \"synchronous_mode\" to \"true\"",
        "And the service \"patroni\" on the synchronous standby dies",
        "And the nodes are partitioned as a majorities ring",
        "And every host loses power, to come back in the order \"proxy, node3, node2, node1\"",
        "And the fault is healed",
        "Then no acknowledged write is lost",
    ]);
}

#[test]
fn all_mistakes_are_told_together_and_a_broken_topology_once() {
    let (folder, said) =
        told(&scenario(&["Given the topology \"ours\"", "When the hots of node1 dies"]), &["features", "--list"], 2);
    assert!(said.contains("the features have 2 mistakes"), "{said}");
    fs::create_dir(folder.path().join("topologies")).unwrap();
    let broken = include_str!("../../topologies/single-region.yaml")
        .replace("ttl_s", "ttl")
        .replace("name: single-region", "name: ours");
    fs::write(folder.path().join("topologies/ours.yaml"), broken).unwrap();
    let two =
        format!("Feature: Ours\n  Scenario: One\n{DRILL}  Scenario: Two\n{DRILL}").replace("single-region", "ours");
    fs::write(folder.path().join("features/own.feature"), two).unwrap();
    let said = told_in(folder.path(), &["features", "--list"], 2);
    assert_eq!(said.matches("the topology `ours` can't be used").count(), 1, "{said}");
    assert!(said.contains("own.feature:3:7: ") && said.contains("topologies/ours.yaml:"), "{said}");
    let said = told_in(folder.path(), &["features", "--topology", "single-regoin", "--list"], 2);
    assert!(said.contains("did you mean `single-region`"), "{said}");
}

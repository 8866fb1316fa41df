//! What runs of several trials come to, by the commands that people use: exit codes of runs that set out to prove, and
//! certificates of them and of shards.

use std::{collections::BTreeMap, fs, path::Path};

use assert_cmd::Command;
use serde_json::{Value, json};

/// A share of 75 % at 80 % confidence is confirmed by nine trials without a miss.
const LEVEL: (f64, f64) = (0.75, 0.80);

/// The claim, with the outage that it allows. That of every trial here is 1104 ms.
fn claims(most_ms: u32) -> String {
    format!(
        "- id: OURS
  claim: writes are soon back
  target: {{ check: recovery_time, measure: write_outage_ms, bound: {{ at_most: {most_ms} }}, about: [outage], share: 0.75 }}
"
    )
}

/// What every trial keeps, and what every one misses.
const KEPT_MS: u32 = 1500;
const MISSED_MS: u32 = 1000;

/// When the saved histories are from, and some days later.
const SOON: &str = "2025-01-05T00:00:00Z";

fn saved(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(Path::new("tests/histories/saved").join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let people = "people: { owner: Olga, operator: ann@example.org, reviewer: ben@example.org }";
        fs::write(folder.path().join("drill.yaml"), format!("title: A drill\n{people}\n")).unwrap();
        Self { folder }
    }

    /// A run of these trials of `of` in all, made of saved ones; `more` stands in its first event.
    fn run(&self, id: &str, trials: &[u32], of: u32, most_ms: u32, more: &Value) -> &Self {
        let folder = self.folder.path().join("reports").join(id);
        fs::create_dir_all(folder.join("inputs")).unwrap();
        let claims = claims(most_ms);
        fs::write(folder.join("inputs/claims.yaml"), &claims).unwrap();
        let mut first = saved("clean.jsonl").remove(0);
        let digest = pgquake_judge::saved::digest_of(claims.as_bytes());
        let numbers: Vec<[u32; 2]> = trials.iter().map(|trial| [*trial, *trial]).collect();
        let begun = json!({ "run": id, "scenarios": trials.len(), "numbers": numbers, "recipe": "recipe",
                            "inputs": { "claims.yaml": digest } });
        for (key, value) in begun.as_object().unwrap().iter().chain(more.as_object().unwrap()) {
            first[key] = value.clone();
        }
        let mut events = vec![first];
        for (place, trial) in (0u64..).zip(trials) {
            let history = saved("clean.jsonl");
            events.extend(
                history
                    .into_iter()
                    .filter(|event| event["scenario"] == 1)
                    .map(|event| moved(event, *trial, of, place * 10_000_000)),
            );
        }
        let ended =
            json!({ "at_us": 10_000_000 * trials.len() + 1, "scenario": 0, "kind": "run_ended", "interrupted": null });
        events.push(ended);
        let lines = (1..).zip(&mut events).map(|(seq, event)| {
            event["seq"] = json!(seq);
            format!("{event}\n")
        });
        fs::write(folder.join("history.jsonl"), lines.collect::<String>()).unwrap();
        let plan = &saved_plan();
        let plans: BTreeMap<String, &Value> = trials.iter().map(|trial| (trial.to_string(), plan)).collect();
        fs::write(folder.join("plan.json"), serde_json::to_string(&plans).unwrap()).unwrap();
        self
    }

    /// A run that set out to prove.
    fn proving(&self, trials: u32, most_ms: u32) -> &Self {
        let rule = json!({ "rule": { "prove": { "level": { "share": LEVEL.0, "confidence": LEVEL.1 }, "decisions": 1 } },
                           "scenarios": 33, "numbers": [] });
        self.run("proving", &(1..=trials).collect::<Vec<_>>(), 33, most_ms, &rule)
    }

    fn pgquake(&self, arguments: &[&str], code: i32, parts: &[&str]) {
        let mut command = Command::cargo_bin("pgquake").unwrap();
        command.current_dir(self.folder.path()).env("NO_COLOR", "1").env("COLUMNS", "200").args(arguments);
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(code), "{text}");
        parts.iter().for_each(|part| assert!(text.contains(part), "no `{part}` in:\n{text}"));
    }
}

fn saved_plan() -> Value {
    let text = fs::read_to_string("tests/histories/saved/asynchronous.plan.json").unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The event as that of another trial, later by so much.
fn moved(mut event: Value, trial: u32, of: u32, by_us: u64) -> Value {
    for key in ["at_us", "started_us", "effect_from_us", "effect_to_us", "asked_us"] {
        if let Some(us) = event[key].as_u64() {
            event[key] = json!(us + by_us);
        }
    }
    event["scenario"] = json!(trial);
    if event["kind"] == "scenario_started" {
        event["trial"] = json!(trial);
        event["trials"] = json!(of);
        event["claims"] = json!(["OURS"]);
    }
    event
}

#[test]
fn what_is_confirmed_refuted_or_undecided_has_its_exit_code() {
    for (trials, most_ms, code, shown) in [
        (9, KEPT_MS, 0, "75/80 was confirmed with trial 9"),
        (9, MISSED_MS, 1, "75/80 was refuted"),
        (8, KEPT_MS, 3, "75/80 is not decided, and the trials broke off"),
    ] {
        let bench = Bench::new();
        bench.proving(trials, most_ms);
        bench.pgquake(&["check", "reports/proving"], code, &[shown]);
    }
}

#[test]
fn a_certificate_of_a_run_that_set_out_to_prove_says_what_was_decided() {
    for (trials, most_ms, code, state) in
        [(9, KEPT_MS, 0, "confirmed"), (9, MISSED_MS, 1, "refuted"), (8, KEPT_MS, 3, "undecided")]
    {
        let bench = Bench::new();
        bench.proving(trials, most_ms);
        let certify = ["certify", "reports/proving", "--drill", "drill.yaml", "--out", "certificate"];
        bench.pgquake(&certify, code, &[&format!("**{state}** | OURS")]);
        let statement = fs::read_to_string(bench.folder.path().join("certificate/certificate.json")).unwrap();
        let result = if code == 0 { "PASSED" } else { "FAILED" };
        assert!(statement.contains(result), "{state}: no {result} in {statement}");
        // It is what it says, and nobody has signed it.
        bench.pgquake(&["verify", "certificate", "--at", SOON], 3, &["unsigned"]);
    }
}

#[test]
fn a_certificate_of_shards_needs_all_of_them() {
    let bench = Bench::new();
    let shard = |index: u32| json!({ "rule": { "trials": 4 }, "shard": { "index": index, "of": 2 } });
    bench.run("one", &[1, 3], 4, KEPT_MS, &shard(1)).run("two", &[2, 4], 4, KEPT_MS, &shard(2));
    bench.pgquake(&["check", "reports/one", "reports/two"], 0, &["4 trials"]);
    let both = ["certify", "reports/one", "reports/two", "--drill", "drill.yaml", "--out", "both"];
    bench.pgquake(&both, 3, &[]);
    let statement = fs::read_to_string(bench.folder.path().join("both/certificate.json")).unwrap();
    assert!(!statement.contains("is missing"), "{statement}");
    for run in ["one", "two"] {
        assert!(bench.folder.path().join("both/evidence").join(run).join("history.jsonl.gz").is_file());
    }
    bench.pgquake(&["verify", "both", "--at", SOON], 3, &[]);
    // One alone is refused, or says what is missing.
    let alone = ["certify", "reports/one", "--without", "two=lost", "--drill", "drill.yaml", "--out", "alone"];
    bench.pgquake(
        &alone,
        3,
        &["one is shard 1 of 2, without the others", "kept in 2 of 4: at least 9 % at 95 %; 2 not there"],
    );
}

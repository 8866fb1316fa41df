//! Certificates and comparisons, by the commands that people use: what they hold, and what is refused by name.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command as Plain,
};

use assert_cmd::Command;
use pgquake_judge::certificate::{Certified, html, markdown, statement};

/// When the saved histories are from, and some days later.
const SOON: &str = "2025-01-05T00:00:00Z";

fn saved(name: &str) -> String {
    fs::read_to_string(Path::new("tests/histories/saved").join(name)).unwrap()
}

/// A folder for a test, with runs in `reports/` and a drill.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        bench.drill("");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn drill(&self, more: &str) {
        let people = "people: { owner: Olga, operator: ann@example.org, reviewer: ben@example.org }";
        fs::write(self.path("drill.yaml"), format!("title: A drill\n{people}\n{more}")).unwrap();
    }

    /// A run with this id, of a saved history.
    fn run(&self, id: &str, history: &str) -> &Self {
        let plan = if ["clean", "row_lost"].contains(&history) { "synchronous" } else { "asynchronous" };
        let plan = saved(&format!("{plan}.plan.json"));
        self.made_run(
            id,
            &saved(&format!("{history}.jsonl")).replace("\"run\":\"saved\"", &format!("\"run\":\"{id}\"")),
            &plan,
        )
    }

    fn made_run(&self, folder: &str, history: &str, plan: &str) -> &Self {
        let place = self.path("reports").join(folder);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("history.jsonl"), history).unwrap();
        fs::write(place.join("plan.json"), format!("{{\"1\": {plan}}}")).unwrap();
        self
    }

    fn pgquake(&self, arguments: &[&str]) -> Said {
        let mut command = Command::cargo_bin("pgquake").unwrap();
        command.current_dir(self.folder.path()).env("NO_COLOR", "1").env("COLUMNS", "200").args(arguments);
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        Said { code: output.status.code().unwrap(), text }
    }

    /// A certificate of one run, in `certificate/`.
    fn certified(&self) -> &Self {
        self.run("one", "outage_too_long");
        self.pgquake(&["certify", "reports/one", "--drill", "drill.yaml", "--out", "certificate"])
            .gets(1, &["refuted"]);
        self
    }

    /// Keys of a person, and the line of the allowed signers.
    fn key(&self, name: &str) -> String {
        let file = self.path(name);
        let made =
            Plain::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&file).status();
        assert!(made.unwrap().success());
        fs::read_to_string(file.with_extension("pub")).unwrap()
    }

    fn signed(&self) -> &Self {
        self.certified();
        let signers = ["ann", "ben"].map(|name| format!("{name}@example.org {}", self.key(name)));
        fs::write(self.path("allowed_signers"), signers.concat()).unwrap();
        for (role, key) in [("operator", "ann"), ("reviewer", "ben")] {
            self.pgquake(&["sign", "certificate", "--role", role, "--key", key, "--at", SOON]).gets(0, &["signed as"]);
        }
        self
    }

    fn verify(&self) -> Said {
        self.pgquake(&["verify", "certificate", "--signers", "allowed_signers", "--at", SOON])
    }
}

struct Said {
    code: i32,
    text: String,
}

impl Said {
    #[track_caller]
    fn gets(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{}", self.text);
        for part in parts {
            assert!(self.text.contains(part), "no `{part}` in:\n{}", self.text);
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn a_signed_certificate_holds() {
    let bench = Bench::new();
    bench
        .signed()
        .verify()
        .gets(0, &["the certificate holds", "ann@example.org as operator", "ben@example.org as reviewer"]);
    let checked =
        Plain::new("sha256sum").args(["-c", "--quiet", "SHA256SUMS"]).current_dir(bench.path("certificate")).status();
    assert!(checked.unwrap().success());
    bench.pgquake(&["check", "certificate/evidence/one"]).gets(1, &["FAIL"]);
}

#[test]
fn the_same_runs_give_the_same_bytes() {
    let bench = Bench::new();
    bench.certified();
    bench.pgquake(&["certify", "reports/one", "--drill", "drill.yaml", "--out", "again"]).gets(1, &[]);
    for file in files(&bench.path("certificate")) {
        let other = bench.path("again").join(file.strip_prefix(bench.path("certificate")).unwrap());
        assert!(fs::read(&file).unwrap() == fs::read(&other).unwrap(), "{} differs", file.display());
    }
}

#[test]
fn a_changed_byte_anywhere_is_refused_by_the_file_s_name() {
    let bench = Bench::new();
    bench.signed();
    for file in files(&bench.path("certificate")) {
        let whole = fs::read(&file).unwrap();
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(&file, &changed).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let found = bench.verify();
        match name {
            "SHA256SUMS" => found.gets(1, &["tampered: "]),
            name if name.ends_with(".sig") => found.gets(1, &["bad signature: the"]),
            name => found.gets(1, &["tampered: ", name, "was changed"]),
        }
        fs::write(&file, whole).unwrap();
    }
    bench.verify().gets(0, &[]);
    fs::write(bench.path("certificate/more.txt"), "more").unwrap();
    bench.verify().gets(1, &["tampered: more.txt is none of the files that a certificate has"]);
    fs::remove_file(bench.path("certificate/more.txt")).unwrap();
    fs::remove_file(bench.path("certificate/evidence/one/plan.json")).unwrap();
    bench.verify().gets(1, &["tampered: evidence/one/plan.json is gone"]);
}

/// Writes the list of digests anew, as somebody would who forges a certificate.
fn with_new_sums(folder: &Path) {
    let list = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    let names: Vec<&str> = list.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    let sums = Plain::new("sha256sum").args(names).current_dir(folder).output().unwrap();
    fs::write(folder.join("SHA256SUMS"), sums.stdout).unwrap();
}

#[test]
fn a_forged_verdict_is_found_by_judging_again() {
    let bench = Bench::new();
    bench.certified();
    let statement = bench.path("certificate/certificate.json");
    let forged = fs::read_to_string(&statement).unwrap().replace("\"outcome\": \"fail\"", "\"outcome\": \"pass\"");
    fs::write(&statement, forged).unwrap();
    with_new_sums(&bench.path("certificate"));
    bench
        .verify_unsigned()
        .gets(1, &["tampered: certificate.json is not what the evidence gives", "issued as pass, now fail"]);
}

/// Nobody signs the list of digests, so whoever changes a file can write it anew.
#[test]
fn what_the_statement_does_not_cover_is_neither_left_out_nor_added() {
    let bench = Bench::new();
    bench.signed();
    let folder = bench.path("certificate");
    let list = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    for made in ["certificate.html", "certificate.md"] {
        let whole = fs::read(folder.join(made)).unwrap();
        fs::remove_file(folder.join(made)).unwrap();
        let without = list.lines().filter(|line| !line.ends_with(made)).map(|line| format!("{line}\n"));
        fs::write(folder.join("SHA256SUMS"), without.collect::<String>()).unwrap();
        bench.verify().gets(1, &[&format!("tampered: {made} is gone")]);
        fs::write(folder.join(made), whole).unwrap();
    }
    for added in ["index.html", "evidence/one/summary.html", "evidence/note.txt", "inputs/note.txt"] {
        fs::write(folder.join(added), "<h1>Passed</h1>").unwrap();
        fs::write(folder.join("SHA256SUMS"), format!("{list}{:064}  {added}\n", 0)).unwrap();
        with_new_sums(&folder);
        bench.verify().gets(1, &[&format!("tampered: {added} is none of the files that a certificate has")]);
        fs::remove_file(folder.join(added)).unwrap();
    }
    fs::write(folder.join("SHA256SUMS"), list).unwrap();
    bench.verify().gets(0, &[]);
}

#[cfg(unix)]
#[test]
fn a_link_is_no_file_of_a_certificate() {
    let bench = Bench::new();
    bench.signed();
    for file in files(&bench.path("certificate")) {
        let elsewhere = bench.path("elsewhere");
        fs::rename(&file, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        bench.verify().gets(1, &["tampered: ", file.file_name().unwrap().to_str().unwrap(), "is a link, and no file"]);
        fs::remove_file(&file).unwrap();
        fs::rename(&elsewhere, &file).unwrap();
    }
    bench.verify().gets(0, &[]);
}

/// Makes everything of the folder's inputs and evidence anew, as somebody would who can build pgquake.
fn with_new_statement(folder: &Path) {
    let certified = Certified::read(folder).unwrap();
    let text = statement(&certified);
    fs::write(folder.join("certificate.json"), &text).unwrap();
    fs::write(folder.join("certificate.html"), html::render(&certified, &text).unwrap()).unwrap();
    fs::write(folder.join("certificate.md"), markdown::render(&certified, &text)).unwrap();
    with_new_sums(folder);
}

#[test]
fn a_report_of_a_run_is_what_its_history_gives() {
    let bench = Bench::new();
    bench.certified();
    let folder = bench.path("certificate");
    let report = folder.join("evidence/one/report.html");
    let forged = fs::read_to_string(&report).unwrap().replace("FAIL", "PASS");
    fs::write(&report, forged).unwrap();
    with_new_statement(&folder);
    bench.verify_unsigned().gets(1, &["tampered: report.html of the run one is not what its history gives"]);
}

#[test]
fn the_list_of_attempts_agrees_with_the_runs_and_leaves_none_out_unexplained() {
    let bench = Bench::new();
    bench.certified();
    let folder = bench.path("certificate");
    let list = folder.join("inputs/attempts.json");
    let whole = fs::read_to_string(&list).unwrap();
    let forge = |text: String| {
        fs::write(&list, text).unwrap();
        with_new_statement(&folder);
        bench.verify_unsigned()
    };
    let described = "tampered: inputs/attempts.json describes the run one otherwise than its evidence";
    forge(whole.replace("\"fail\"", "\"pass\"")).gets(1, &[described]);
    forge("[]".to_owned()).gets(1, &[described]);
    forge(whole.replace("\"is_certified\": true", "\"is_certified\": false"))
        .gets(1, &["leaves the run one out without a reason"]);
    forge(whole.clone()).gets(3, &["unsigned"]);
}

#[test]
fn nothing_is_certified_before_it_happened() {
    let bench = Bench::new();
    bench.signed();
    let at = |instant: &str| bench.pgquake(&["verify", "certificate", "--signers", "allowed_signers", "--at", instant]);
    // The saved runs began at the first instant of 2025. Clocks may be some minutes apart.
    at("2024-12-31T23:58:00Z").gets(0, &[]);
    at("2024-12-31T23:00:00Z").gets(1, &["not yet issued: its last event came at 2025-01-01T00:00:"]);
    let sign = ["sign", "certificate", "--role", "operator", "--key", "ann", "--at", "2024-06-01T00:00:00Z"];
    bench.pgquake(&sign).gets(2, &["failed to sign", "not yet issued"]);
}

#[test]
fn what_another_version_judged_otherwise_is_told_and_not_called_forged() {
    let bench = Bench::new();
    bench.certified();
    let statement = bench.path("certificate/certificate.json");
    let text = fs::read_to_string(&statement).unwrap();
    let own = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    let other = text.replace(&own, "\"version\": \"0.0.9\"").replace("\"outcome\": \"fail\"", "\"outcome\": \"pass\"");
    fs::write(&statement, other).unwrap();
    with_new_sums(&bench.path("certificate"));
    let found = bench.verify_unsigned();
    found
        .gets(3, &["judged differently: issued by pgquake 0.0.9", "The primary dies of one: issued as pass, now fail"]);
}

impl Bench {
    fn verify_unsigned(&self) -> Said {
        self.pgquake(&["verify", "certificate", "--at", SOON])
    }
}

#[test]
fn two_runs_under_one_id_are_refused() {
    let bench = Bench::new();
    bench.certified();
    let (own, other) = (bench.path("certificate/evidence/one"), bench.path("certificate/evidence/two"));
    fs::create_dir(&other).unwrap();
    let mut list = fs::read_to_string(bench.path("certificate/SHA256SUMS")).unwrap();
    for file in files(&own) {
        let name = file.file_name().unwrap().to_str().unwrap();
        fs::copy(&file, other.join(name)).unwrap();
        list.push_str(&format!("{:064}  evidence/two/{name}\n", 0));
    }
    fs::write(bench.path("certificate/SHA256SUMS"), list).unwrap();
    with_new_sums(&bench.path("certificate"));
    bench.verify_unsigned().gets(1, &["tampered: the run one is there twice"]);
}

/// The committed example: made by the commands of docs/quarterly.md, and verified as the README says.
#[test]
fn the_committed_example_holds() {
    let example = Path::new("reports/example-certificate");
    if std::env::var_os("UPDATE").is_some() {
        renew(example);
    }
    let mut command = Command::cargo_bin("pgquake").unwrap();
    let signers = "reports/example-certificate.allowed_signers";
    let said =
        command.args(["verify", "reports/example-certificate", "--signers", signers, "--at", "2026-12-01T00:00:00Z"]);
    let output = said.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\nif a verdict or its words have changed on purpose: UPDATE=1 cargo test --test certificate"
    );
    let bytes: u64 = files(example).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes <= 5_000_000, "the example has {bytes} bytes");
}

/// Certifies the example's own evidence again, and signs it with new keys, which nobody keeps.
fn renew(example: &Path) {
    let bench = Bench::new();
    let made = bench.path("certificate");
    let mut certify = Command::cargo_bin("pgquake").unwrap();
    certify.arg("certify").args(fs::read_dir(example.join("evidence")).unwrap().map(|run| run.unwrap().path()));
    certify.arg("--drill").arg(example.join("inputs/drill.yaml")).arg("--out").arg(&made);
    certify.assert().code(1);
    let signers = ["operator", "reviewer"].map(|name| format!("{name}@example.org {}", bench.key(name)));
    fs::write("reports/example-certificate.allowed_signers", signers.concat()).unwrap();
    for role in ["operator", "reviewer"] {
        bench.pgquake(&["sign", "certificate", "--role", role, "--key", role]).gets(0, &[]);
    }
    fs::remove_dir_all(example).unwrap();
    for file in files(&made) {
        let place = example.join(file.strip_prefix(&made).unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(&file, place).unwrap();
    }
}

#[test]
fn signatures_are_held_to_person_and_role() {
    let bench = Bench::new();
    bench.signed();
    let (operator, reviewer) = (
        bench.path("certificate/certificate.json.operator.sig"),
        bench.path("certificate/certificate.json.reviewer.sig"),
    );
    let own = fs::read(&reviewer).unwrap();
    // The operator's signature in the place of the reviewer's.
    fs::copy(&operator, &reviewer).unwrap();
    bench.verify().gets(1, &["bad signature: the reviewer's signature is not one of ben@example.org"]);
    fs::remove_file(&reviewer).unwrap();
    bench.verify().gets(3, &["unsigned: the reviewer, ben@example.org, has not signed"]);
    // Both by one key.
    bench
        .pgquake(&["sign", "certificate", "--role", "reviewer", "--key", "ann", "--at", SOON])
        .gets(2, &["with one key"]);
    assert!(!reviewer.exists());
    // A key that nobody allowed.
    bench.key("eve");
    bench.pgquake(&["sign", "certificate", "--role", "reviewer", "--key", "eve", "--at", SOON]).gets(0, &[]);
    bench.verify().gets(1, &["bad signature: the reviewer's signature is not one of ben@example.org"]);
    fs::write(&reviewer, own).unwrap();
    bench.verify_unsigned().gets(3, &["the operator's signature was not checked", "--signers"]);
}

#[test]
fn it_expires_and_is_void_when_what_it_stands_on_changes() {
    let bench = Bench::new();
    bench.drill("valid_for: 10 d\n");
    bench.signed();
    let at = |at: &str| bench.pgquake(&["verify", "certificate", "--signers", "allowed_signers", "--at", at]);
    at("2025-01-10T00:00:00Z").gets(0, &[]);
    at("2025-01-12T00:00:00Z").gets(1, &["expired: it was valid until 2025-01-11T00:00:"]);
    let against = |name: &str| {
        bench.pgquake(&["verify", "certificate", "--signers", "allowed_signers", "--at", SOON, "--against", name])
    };
    against("single-region").gets(1, &["void: the topology single-region was not tried"]);
    against("reports/one").gets(0, &[]);
    let faster = saved("asynchronous.plan.json").replace("\"ttl_s\": 2,", "\"ttl_s\": 3,");
    bench.made_run("two", &saved("outage_too_long.jsonl"), &faster);
    against("reports/two").gets(1, &["void: the topology asynchronous is not the one that was tried"]);
}

#[test]
fn it_is_void_when_a_package_of_any_of_its_runs_is_another_version() {
    let bench = Bench::new();
    let run = |id: &str, versions: &str| {
        let history = saved("outage_too_long.jsonl").replace("\"run\":\"saved\"", &format!("\"run\":\"{id}\""));
        let history = history.replacen("\"versions\":{}", &format!("\"versions\":{{{versions}}}"), 1);
        bench.made_run(id, &history, &saved("asynchronous.plan.json"));
    };
    run("one", r#""patroni-4.1.4":"4.1.4","postgresql-17":"17.6""#);
    run("two", r#""patroni-4.1.4":"4.1.4","postgresql-17":"17.7""#);
    run("newer", r#""patroni-4.1.5":"4.1.5","postgresql-17":"17.7""#);
    let certify = ["certify", "--drill", "drill.yaml", "--out", "certificate", "--without", "*=another day"];
    bench.pgquake(&[&certify[..], &["reports/one", "reports/two"]].concat()).gets(1, &["refuted"]);
    let statement = fs::read_to_string(bench.path("certificate/certificate.json")).unwrap();
    assert!(statement.contains("\"17.6\"") && statement.contains("\"17.7\""));
    let against = |run: &str| bench.pgquake(&["verify", "certificate", "--at", SOON, "--against", run]);
    against("reports/two").gets(1, &["void: postgresql-17 was 17.6 and is 17.7"]);
    // The topology names a line, whose newest release is another one by now.
    against("reports/newer").gets(1, &["void: patroni-4.1.4 was 4.1.4 and is 4.1.5"]);
}

#[test]
fn runs_of_the_same_plan_are_listed_and_left_out_only_with_a_reason() {
    let bench = Bench::new();
    bench
        .run("one", "outage_too_long")
        .run("two", "fault_unconfirmed")
        .run("three", "run_killed")
        .run("other", "clean");
    let certify = |more: &[&str]| {
        bench
            .pgquake(&[&["certify", "reports/one", "--drill", "drill.yaml", "--out", "certificate"][..], more].concat())
    };
    certify(&[]).gets(2, &["2 runs are of the same plan left out without a reason: three, two"]);
    assert!(!bench.path("certificate").exists());
    certify(&["--without", "two=the machine slept", "--without", "*=cut off"])
        .gets(1, &["left out: the machine slept", "cut off"]);
    let statement = fs::read_to_string(bench.path("certificate/certificate.json")).unwrap();
    assert!(statement.contains("\"left_out_because\": \"the machine slept\"") && !statement.contains("\"other\""));
}

#[test]
fn what_is_no_certificate_or_can_t_be_one_is_refused_as_usage() {
    let bench = Bench::new();
    bench.run("one", "outage_too_long");
    bench.pgquake(&["verify", "reports/one"]).gets(2, &["failed to find a certificate", "certificate.json"]);
    let certify = |run: &[&str]| {
        bench.pgquake(&[&["certify", "--drill", "drill.yaml", "--out", "certificate"][..], run].concat())
    };
    certify(&["reports/none"]).gets(2, &["failed to find a run"]);
    let copy = saved("outage_too_long.jsonl").replace("\"run\":\"saved\"", "\"run\":\"one\"");
    bench.made_run("copy", &copy, &saved("asynchronous.plan.json"));
    certify(&["reports/one", "reports/copy"]).gets(2, &["the run one is there twice"]);
    fs::remove_dir_all(bench.path("reports/copy")).unwrap();
    bench.drill("previos: ../last\n");
    certify(&["reports/one"]).gets(2, &["drill.yaml:3:1: unknown field `previos`", "did you mean `previous`"]);
    assert!(!bench.path("certificate").exists(), "a mistake left something behind");
    bench.drill("");
    fs::create_dir_all(bench.path("certificate/mine")).unwrap();
    certify(&["reports/one"]).gets(2, &["exists and is not empty"]);
}

#[test]
fn it_holds_no_path_of_the_machine_and_no_secret() {
    let bench = Bench::new();
    let here = bench.folder.path().canonicalize().unwrap().display().to_string();
    let history = saved("outage_too_long.jsonl")
        .replace(
            "\"arguments\":[]",
            &format!("\"arguments\":[\"run\",\"{here}/own.feature\",\"--out={here}/reports\"]"),
        )
        .replace("features/saved.feature", &format!("{here}/features/saved.feature"));
    bench.made_run("saved", &history, &saved("asynchronous.plan.json"));
    // Logs may hold what a program was started with, so none is kept.
    fs::create_dir_all(bench.path("reports/saved/logs")).unwrap();
    fs::write(bench.path("reports/saved/logs/node1.log"), "password=correct-horse").unwrap();
    bench.pgquake(&["certify", "reports/saved", "--drill", "drill.yaml", "--out", "certificate"]).gets(1, &[]);
    for file in files(&bench.path("certificate")) {
        let bytes = fs::read(&file).unwrap();
        let text = match file.extension() {
            Some(ending) if ending == "gz" => {
                let opened = Plain::new("gzip").args(["-dc"]).arg(&file).output().unwrap();
                String::from_utf8_lossy(&opened.stdout).into_owned()
            }
            _ => String::from_utf8_lossy(&bytes).into_owned(),
        };
        for word in [here.as_str(), "correct-horse"] {
            assert!(!text.contains(word), "{} names {word}", file.display());
        }
    }
    // What people type is theirs to mend.
    fs::remove_dir_all(bench.path("certificate")).unwrap();
    bench.drill(&format!("scope: {{ in: [\"{here}/system\"] }}\n"));
    let found = bench.pgquake(&["certify", "reports/saved", "--drill", "drill.yaml", "--out", "certificate"]);
    found.gets(2, &["would name a path of this machine"]);
    assert!(!bench.path("certificate").exists());
}

#[test]
fn certificates_make_a_chain_with_a_comparison() {
    let bench = Bench::new();
    bench.certified();
    bench.drill(
        "previous: certificate\nactions: [{ finding: The primary dies, what: ttl 20, owner: Olga, due: 2025-03-01 }]\n",
    );
    bench.run("two", "outage_too_long");
    let certify =
        ["certify", "reports/two", "--drill", "drill.yaml", "--out", "second", "--without", "one=the last drill"];
    bench.pgquake(&certify).gets(1, &["Against the last certificate", "A drill", "ttl 20, Olga, by 2025-03-01"]);
    let statement = fs::read_to_string(bench.path("second/certificate.json")).unwrap();
    let digest = Plain::new("sha256sum").arg(bench.path("certificate/certificate.json")).output().unwrap();
    let digest = String::from_utf8_lossy(&digest.stdout).split_whitespace().next().unwrap().to_owned();
    assert!(statement.contains(&format!("\"sha256\": \"{digest}\"")), "{statement}");
    bench.pgquake(&["verify", "second", "--at", SOON]).gets(3, &["unsigned"]);
}

#[test]
fn the_statement_is_an_in_toto_test_result() {
    let bench = Bench::new();
    bench.certified();
    let text = fs::read_to_string(bench.path("certificate/certificate.json")).unwrap();
    let statement: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://in-toto.io/attestation/test-result/v0.1");
    let predicate = &statement["predicate"];
    assert_eq!(predicate["result"], "FAILED");
    assert_eq!(predicate["failedTests"][0], "SCENARIO features/saved.feature:3 asynchronous");
    for subject in statement["subject"].as_array().unwrap().iter().chain(predicate["configuration"].as_array().unwrap())
    {
        assert_eq!(subject["digest"]["sha256"].as_str().unwrap().len(), 64, "{subject}");
    }
    // What is inconclusive is never WARNED, which policies let through.
    let bench = Bench::new();
    bench.run("one", "observer_dead");
    bench.pgquake(&["certify", "reports/one", "--drill", "drill.yaml", "--out", "certificate"]).gets(3, &["undecided"]);
    let text = fs::read_to_string(bench.path("certificate/certificate.json")).unwrap();
    assert!(text.contains("\"result\": \"FAILED\"") && text.contains("\"warnedTests\": []"), "{text}");
}

#[test]
fn few_trials_tell_nothing_and_say_how_many_would() {
    let bench = Bench::new();
    bench.run("one", "clean").run("two", "clean").run("other", "outage_too_long");
    bench
        .pgquake(&["compare", "reports/one", "reports/two"])
        .gets(3, &["can't tell", "about 3 more trials each would", "CAN'T TELL"]);
    bench.pgquake(&["compare", "reports/one", "reports/other"]).gets(3, &["no scenario in common"]);
    bench.pgquake(&["compare", "reports/one", "reports/none"]).gets(2, &["failed to find a run"]);
}

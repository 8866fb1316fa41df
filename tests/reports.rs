//! Every saved history becomes a whole set of reports that say what the verdict says.

use std::{collections::BTreeMap, fs, path::Path};

use pgquake_judge::{
    checks::Outcome,
    history::{Event, Occurrence, event::RunStarted, read_history},
    plan::Plan,
    report::{ReportInput, ScenarioRecord, terminal, write_all},
    verdict::{Judge, RunVerdict},
};

/// Text as it stands in HTML.
fn escaped(text: &str) -> String {
    [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")]
        .iter()
        .fold(text.to_owned(), |text, (letter, entity)| text.replace(*letter, entity))
}

fn started(events: &[Event]) -> RunStarted {
    let started = events.iter().find_map(|event| match &event.what {
        Occurrence::RunStarted(started) => Some(started.clone()),
        _ => None,
    });
    started.expect("a saved history begins with its run")
}

fn words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "PASS",
        Outcome::Fail => "FAIL",
        Outcome::Inconclusive => "INCONCLUSIVE",
    }
}

fn hold(name: &str, folder: &Path, verdict: &RunVerdict, summary: &str) {
    let read = |file| fs::read_to_string(folder.join(file)).expect("the report was written");
    let html = read("report.html");
    let word = words(verdict.outcome);
    assert!(html.contains(&format!("<p class=\"word\">{word}</p>")), "{name}: the banner does not say {word}");
    for finding in verdict.scenarios.iter().flat_map(|scenario| &scenario.findings) {
        // askama and the drawing write some letters as numbers, others as names.
        let plain =
            html.replace("&#38;", "&amp;").replace("&#60;", "&lt;").replace("&#62;", "&gt;").replace("&#34;", "&quot;");
        assert!(plain.contains(&escaped(finding.summary.trim())), "{name}: missing in HTML: {}", finding.summary);
    }
    assert!(html.contains("class=\"timeline\""), "{name}: no drawing");
    let json: RunVerdict = serde_json::from_str(&read("report.json")).expect("the JSON holds a verdict");
    assert_eq!(&json, verdict, "{name}");
    let junit = read("junit.xml");
    assert_eq!(junit.contains("<failure "), verdict.outcome == Outcome::Fail, "{name}: {junit}");
    assert_eq!(junit.contains("<error "), verdict.outcome == Outcome::Inconclusive, "{name}: {junit}");
    assert!(read("report.md").starts_with(&format!("## pgquake: {word}\n")), "{name}");
    assert!(summary.is_ascii(), "{name}: {summary}");
    assert!(summary.lines().any(|line| line.starts_with(word)), "{name}: {summary}");
}

#[test]
fn every_saved_history_becomes_reports_that_agree_with_its_verdict() {
    let saved = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/histories/saved");
    let plan = fs::read_to_string(saved.join("asynchronous.plan.json")).expect("the plan is there");
    let plan: Plan = serde_json::from_str(&plan).expect("the plan is one");
    let kept = std::env::var_os("PGQUAKE_REPORT_SAMPLES").map(std::path::PathBuf::from);
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let mut seen = 0;
    for entry in fs::read_dir(&saved).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let events = read_history(&path).expect("the history is whole");
        let plans = BTreeMap::from([(1, plan.clone())]);
        let mut records = BTreeMap::new();
        let mut judge = Judge::new(&plans, |verdict, own| {
            records.insert(verdict.number, ScenarioRecord::new(plans.get(&verdict.number), verdict, own));
        });
        events.iter().for_each(|event| judge.take(event.clone()));
        let verdict = judge.finish((&[], 0));
        let run = started(&events);
        let input = ReportInput { verdict: &verdict, plans: &plans, records: &records, runs: &[run] };
        let folder = kept.as_deref().unwrap_or(scratch.path()).join(format!("saved_{name}"));
        fs::create_dir_all(&folder).expect("a folder for the reports");
        write_all(&folder, &input).expect("every format is written");
        let summary = terminal::summary(&input, Some(&folder.join("report.html")), true);
        hold(&name, &folder, &verdict, &summary);
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} saved histories were found");
}

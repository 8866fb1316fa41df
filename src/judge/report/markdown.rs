//! `report.md`: a summary that fits into a comment on a pull request.

use std::fmt::Write as _;

use super::{
    Format, RenderError, ReportInput,
    figures::visible,
    page::{Cell, MatrixTable, Page, ScenarioBlock, TrialBlock},
};

pub const FORMAT: Format = Format { name: "markdown", file: "report.md", render };

fn render(input: &ReportInput<'_>) -> Result<String, RenderError> {
    let page = Page::new(input, false);
    let mut out = format!("## pgquake: {}\n\n{}\n", page.outcome_word, text(&page.headline));
    for doubt in &page.doubts {
        let _ = writeln!(out, "\n- not proven of the run itself: {}", text(&doubt.text));
    }
    let rows = page.overview.iter().map(|row| {
        let caught = if row.caught { ", caught" } else { "" };
        let trials = if row.trials.is_empty() { String::new() } else { format!(", {}", row.trials) };
        vec![
            format!("**{}**{caught}", row.outcome),
            format!("{} ({}{trials})", text(&row.name), text(&row.topology)),
            text(&row.figure),
            text(&row.target),
            text(&row.why),
        ]
    });
    out.push_str("\n### Scenarios\n\n");
    table(&mut out, &["verdict", "scenario", "measured", "target", "what failed or was not proven"], rows.collect());
    page.matrices.iter().for_each(|table| matrix(&mut out, table));
    if !page.claims.is_empty() {
        let rows = page.claims.iter().map(|claim| {
            vec![
                format!("**{}**", claim.verdict),
                format!("**{}**", text(&claim.id)),
                text(&claim.wording),
                text(&claim.target),
                text(&claim.measured),
                text(&claim.trials),
            ]
        });
        out.push_str("\n### Claims\n\n");
        table(&mut out, &["verdict", "claim", "what is promised", "target", "measured", "trials"], rows.collect());
    }
    for block in &page.scenarios {
        scenario(&mut out, block);
    }
    let command = super::page::command(input.run());
    let repeat = if command.is_empty() { String::new() } else { format!(". To repeat: {}", code(&command)) };
    let _ = writeln!(out, "\n<sub>{}{repeat}</sub>", text(&page.subline));
    Ok(visible(&out))
}

fn matrix(out: &mut String, of: &MatrixTable) {
    let cell = |cell: &Option<Cell>| match cell {
        Some(cell) => format!("**{}** {}", cell.outcome, text(&cell.figure)),
        None => "not run".to_owned(),
    };
    let rows =
        of.rows.iter().map(|(version, cells)| [text(version)].into_iter().chain(cells.iter().map(cell)).collect());
    let head: Vec<&str> = [of.program.as_str()].into_iter().chain(of.columns.iter().map(String::as_str)).collect();
    let _ = writeln!(out, "\n### {}, by version\n", text(&of.name));
    table(out, &head, rows.collect());
}

fn scenario(out: &mut String, block: &ScenarioBlock) {
    let _ = writeln!(out, "\n#### {}\n\n{}", text(&block.name), code(&block.place));
    if !block.control.is_empty() {
        let _ = writeln!(out, "\n{}", text(&block.control));
    }
    for proof in &block.proofs {
        let _ = writeln!(out, "\n**{}** {}: {}", proof.verdict, text(&proof.claim), text(&proof.told));
    }
    if block.trial_count > 1 {
        trials(out, block);
    }
    // The trial that asks most to be looked at stands for the others.
    let Some(trial) = block.trials.iter().find(|trial| trial.shown) else { return };
    if block.trial_count > 1 {
        let _ = writeln!(out, "\nTrial {}:", trial.trial);
    }
    one_trial(out, trial);
}

fn trials(out: &mut String, block: &ScenarioBlock) {
    let rows: Vec<_> = block
        .main_statistics
        .iter()
        .map(|row| [&row.name, &row.least, &row.median, &row.p95, &row.most, &row.predicted, &row.target, &row.kept])
        .map(|cells| cells.map(|cell| text(cell)).to_vec())
        .collect();
    if !rows.is_empty() {
        out.push('\n');
        table(out, &["measure", "min", "median", "p95", "max", "predicted", "target", "kept"], rows);
    }
    let rows = block.trials.iter().map(|trial| {
        let fixed = [trial.trial.to_string(), trial.outcome.to_owned()];
        fixed.into_iter().chain(trial.cells.iter().map(|cell| text(cell))).collect()
    });
    let head: Vec<_> = ["trial", "outcome"].into_iter().chain(block.trial_columns.iter().map(String::as_str)).collect();
    out.push('\n');
    table(out, &head, rows.collect());
}

fn one_trial(out: &mut String, trial: &TrialBlock) {
    for step in &trial.failed_steps {
        let _ =
            writeln!(out, "\n- step failed, {}: {}: {}", code(&step.place), text(&step.text), text(&step.message.text));
    }
    if !trial.expectations.is_empty() {
        let rows = trial
            .expectations
            .iter()
            .map(|row| vec![text(&row.text), text(&row.target), text(&row.measured), format!("**{}**", row.outcome)]);
        out.push('\n');
        table(out, &["expectation", "target", "measured", "verdict"], rows.collect());
    }
    for failover in trial.failovers.iter().filter(|failover| !failover.rows.is_empty()) {
        let _ = writeln!(out, "\n{}\n", text(&failover.summary));
        let rows = failover
            .rows
            .iter()
            .map(|row| vec![row.name.to_owned(), row.measured.clone(), row.predicted.clone(), row.judged.to_owned()])
            .chain([vec![
                "**outage**".to_owned(),
                failover.measured.clone(),
                failover.predicted.clone(),
                String::new(),
            ]]);
        table(out, &["phase", "measured, s", "predicted, s", ""], rows.collect());
    }
    out.push('\n');
    for row in &trial.findings {
        let intended = if row.intended { " (as it must)" } else { "" };
        let _ = writeln!(out, "- **{}**{intended} {}: {}", row.outcome, text(&row.check), text(&row.summary.text));
    }
}

/// A table whose cells are safe already.
pub fn table(out: &mut String, head: &[&str], rows: Vec<Vec<String>>) {
    let head: Vec<_> = head.iter().map(|cell| text(cell)).collect();
    let _ = writeln!(out, "| {} |\n|{}", head.join(" | "), " --- |".repeat(head.len()));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
}

/// Text that cannot become markup, nor end its line or cell.
pub fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\n' | '\r' => safe.push(' '),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' | '~' => safe.extend(['\\', letter]),
            // Else a name such as `@claim` would call for somebody of that name.
            '@' => safe.push_str("@\u{200b}"),
            other => safe.push(other),
        }
    }
    safe
}

/// Text in a fixed-width font.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace('|', "\\|").replace(['\n', '\r'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn it_says_outcome_claims_trials_and_phases() {
        let markdown = render(&sample::Run::host_kill().input()).unwrap();
        for part in [
            "## pgquake: FAIL",
            "| **RTO-30** |",
            "**refuted**",
            "| detect | 26.30 | 20.00–30.50 | within |",
            "| **outage** | 31.72 |",
            "| 2 | pass | 28.8 s |",
        ] {
            assert!(markdown.contains(part), "{part} is missing in\n{markdown}");
        }
    }

    #[test]
    fn every_row_of_a_table_has_as_many_cells_as_its_head() {
        for (name, sample) in sample::Run::every() {
            let markdown = render(&sample.input()).unwrap();
            let cells = |line: &str| line.replace("\\|", "").matches('|').count();
            for pair in markdown.lines().collect::<Vec<_>>().windows(2) {
                if pair.iter().all(|line| line.starts_with('|')) {
                    assert_eq!(cells(pair[0]), cells(pair[1]), "{name}: {pair:?}");
                }
            }
        }
    }

    #[test]
    fn names_cannot_become_markup() {
        let markdown = render(&sample::Run::hostile_names().input()).unwrap();
        assert!(!markdown.contains("<script>"), "{markdown}");
    }
}

//! The summary that a run ends with on the terminal.

use std::{fmt::Write as _, path::Path};

use super::{
    ReportInput,
    figures::visible,
    page::{MatrixTable, NOT_MEASURED, Page, ScenarioBlock, TrialBlock},
};

/// Columns that a word of an outcome takes, so that what follows lines up.
const WORD: usize = 12;

/// Words the outcome of a run: each scenario with its expectations, phases and trials, then the claims, the
/// outcome, and where the HTML report is, if it was written.
///
/// `plain` is for a file, a pipe or `NO_COLOR`: nothing but ASCII, no colours.
pub fn summary(input: &ReportInput<'_>, html: Option<&Path>, plain: bool) -> String {
    let page = Page::new(input, false);
    let paint = Paint { plain };
    let mut out = String::new();
    for block in &page.scenarios {
        scenario(&mut out, block, paint);
    }
    page.matrices.iter().for_each(|table| matrix(&mut out, table, paint));
    if !page.claims.is_empty() {
        let _ = writeln!(out, "{}", paint.bold("claims"));
        let widest = page.claims.iter().map(|claim| claim.id.chars().count()).max().unwrap_or(0);
        for claim in &page.claims {
            let _ = writeln!(
                out,
                "  {} {:widest$}  {}; measured {}; {}",
                paint.word(claim.verdict),
                claim.id,
                claim.target,
                claim.measured,
                claim.trials
            );
        }
        out.push('\n');
    }
    for row in &page.unproven {
        let _ = writeln!(out, "{} {}: {}", paint.bold("not proven:"), row.scenario, row.reason);
    }
    let _ = writeln!(out, "{} {}", paint.word(page.outcome), page.headline);
    if let Some(html) = html {
        let _ = writeln!(out, "{:WORD$} {}", "report", html.display());
    }
    if plain { ascii(&out) } else { coloured(&out) }
}

/// One line a combination: a terminal is too narrow for several across.
fn matrix(out: &mut String, table: &MatrixTable, paint: Paint) {
    let _ = writeln!(out, "{} {}", paint.bold("versions"), table.name);
    for (version, cells) in &table.rows {
        for (column, cell) in table.columns.iter().zip(cells) {
            let Some(cell) = cell else { continue };
            let others = if column == "verdict" { String::new() } else { format!(", {column}") };
            let _ =
                writeln!(out, "  {} {} {version}{others}: {}", paint.word(cell.outcome), table.program, cell.figure);
        }
    }
    out.push('\n');
}

fn scenario(out: &mut String, block: &ScenarioBlock, paint: Paint) {
    let trials = if block.trial_count > 1 { format!(", {} trials", block.trial_count) } else { String::new() };
    let caught = if block.caught { " (negative control: caught)" } else { "" };
    let _ = writeln!(out, "{} {}{caught}", paint.word(block.outcome), paint.bold(&block.name));
    let _ = writeln!(out, "{:WORD$} {}, topology {}{trials}", "", block.place, block.topology);
    // With several trials the one that asks most to be looked at stands for the others.
    if let Some(trial) = block.trials.iter().find(|trial| trial.shown) {
        one_trial(out, trial, block.trial_count > 1, paint);
    }
    for proof in &block.proofs {
        let _ = writeln!(out, "  {} {}: {}", paint.word(proof.verdict), proof.claim, proof.told);
    }
    if block.trial_count > 1 {
        for row in &block.main_statistics {
            let kept = if row.kept.is_empty() { String::new() } else { format!("; {} kept {}", row.kept, row.target) };
            let _ = writeln!(
                out,
                "{:WORD$} {}: min {}, median {}, 95th percentile {}, max {}{kept}",
                "", row.name, row.least, row.median, row.p95, row.most
            );
        }
    }
    out.push('\n');
}

fn one_trial(out: &mut String, trial: &TrialBlock, several: bool, paint: Paint) {
    if several {
        let _ = writeln!(out, "{:WORD$} trial {}:", "", trial.trial);
    }
    for step in &trial.failed_steps {
        let _ = writeln!(out, "  {} {} {}: {}", paint.word("fail"), step.place, step.text, step.message.text);
    }
    for row in &trial.expectations {
        let word = paint.word(row.outcome);
        let measured = match row.measured.as_str() {
            NOT_MEASURED => NOT_MEASURED.to_owned(),
            value => format!("measured {value}"),
        };
        let _ = writeln!(out, "  {word} {} (target {}, {})", row.text, row.target, measured);
    }
    // What an expectation does not already say.
    let told: Vec<_> = trial.expectations.iter().map(|row| row.check.replace('_', " ")).collect();
    for row in trial.findings.iter().filter(|row| row.outcome != "pass" || !told.contains(&row.check)) {
        let intended = if row.intended { " (as it must)" } else { "" };
        let _ = writeln!(out, "  {} {}: {}{intended}", paint.word(row.outcome), row.check, row.summary.text);
    }
    for failover in trial.failovers.iter().filter(|failover| !failover.rows.is_empty()) {
        let _ = writeln!(out, "  {:WORD$} {}", "phases", failover.sum);
        let predicted = failover.rows.iter().filter(|row| !row.predicted.is_empty());
        let predicted: Vec<_> = predicted.map(|row| format!("{} {}", row.name, row.predicted)).collect();
        if predicted.is_empty() {
            continue;
        }
        let _ = writeln!(
            out,
            "  {:WORD$} {}; outage {} s",
            "predicted",
            predicted.join(", "),
            if failover.predicted.is_empty() { "-" } else { &failover.predicted }
        );
    }
}

#[derive(Clone, Copy)]
struct Paint {
    plain: bool,
}

impl Paint {
    /// An outcome as a word in capitals, as wide as the column.
    fn word(self, outcome: &str) -> String {
        let word = format!("{:WORD$}", outcome.to_uppercase());
        let colour = match outcome {
            "pass" | "confirmed" => "32",
            "fail" | "refuted" => "31",
            _ => "33",
        };
        if self.plain { word } else { format!("\u{1b}[1;{colour}m{word}\u{1b}[0m") }
    }

    fn bold(self, text: &str) -> String {
        if self.plain { text.to_owned() } else { format!("\u{1b}[1m{text}\u{1b}[0m") }
    }
}

/// The same with no other control than that of colours. Names of scenarios may hold anything, also what moves the cursor.
fn coloured(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        let (before, from) = rest.split_at(at);
        out.push_str(&visible(before));
        let colour = from.find('m').map(|end| &from[..=end]).filter(|own| {
            let codes = own.strip_prefix("\u{1b}[").and_then(|own| own.strip_suffix('m'));
            codes.is_some_and(|codes| codes.chars().all(|letter| letter.is_ascii_digit() || letter == ';'))
        });
        out.push_str(colour.unwrap_or("\u{fffd}"));
        rest = &from[colour.map_or(1, str::len)..];
    }
    out + &visible(rest)
}

/// The same in ASCII. Names of scenarios may hold anything: what has no equivalent becomes `?`.
fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\u{2013}' | '\u{2212}' => plain.push('-'),
            '\u{2192}' => plain.push_str("->"),
            '\u{b7}' => plain.push('-'),
            '\u{2026}' => plain.push_str("..."),
            '\u{2018}' | '\u{2019}' => plain.push('\''),
            '\u{201c}' | '\u{201d}' => plain.push('"'),
            '\n' => plain.push('\n'),
            letter if letter.is_ascii() && !letter.is_ascii_control() => plain.push(letter),
            _ => plain.push('?'),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn plain_is_ascii_and_tells_outcome_target_and_phases() {
        let text = summary(&sample::Run::host_kill().input(), Some(Path::new("reports/x/report.html")), true);
        assert!(text.is_ascii() && !text.contains('\u{1b}'));
        for part in [
            "FAIL         The primary's host dies",
            "target at most 30.0 s, measured 31.7 s",
            "detect 26.3 s + elect 300 ms",
            "write outage: min 27.4 s, median 28.8 s, 95th percentile at least 28.8 s (n = 3), max 31.7 s; 2 of 3 kept at most 30.0 s",
            "REFUTED      RTO-30",
            "report       reports/x/report.html",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn what_is_inconclusive_says_why() {
        let text = summary(&sample::Run::inconclusive().input(), None, true);
        assert!(text.contains("INCONCLUSIVE Nothing failed, but not everything was proven."), "{text}");
        assert!(text.contains("the observer of node2 was lost"), "{text}");
        assert!(!text.contains("\nreport "), "{text}");
    }

    #[test]
    fn nothing_but_colours_moves_a_terminal() {
        let text = "\u{1b}[1;32mPASS\u{1b}[0m a\u{1b}[2Jb\u{1b}]0;title\u{7}c\u{202e}d\u{1b}";
        let mark = '\u{fffd}';
        let clean = format!("\u{1b}[1;32mPASS\u{1b}[0m a{mark}[2Jb{mark}]0;title{mark}c{mark}d{mark}");
        assert_eq!(coloured(text), clean);
    }

    #[test]
    fn colours_only_where_they_are_wanted() {
        let sample = sample::Run::two_writers();
        assert!(summary(&sample.input(), None, false).contains("\u{1b}[1;32mPASS"));
    }
}

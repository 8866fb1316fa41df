//! `certificate.md`: a summary for a ticket or a pull request.

use std::fmt::Write as _;

use super::{Certified, page::Sheet};
use crate::report::{
    figures::visible,
    markdown::{table, text},
};

/// The summary of a certificate with this statement.
pub fn render(certified: &Certified, statement: &str) -> String {
    let sheet = Sheet::new(certified, statement, false);
    let mut out = format!("## {}: {}\n\n{}\n\n", text(&sheet.title), sheet.verdict, text(&sheet.headline));
    for (name, value) in sheet.facts.iter().chain(&sheet.people) {
        let _ = writeln!(out, "- {name}: {}", text(value));
    }
    let _ = writeln!(out, "- versions: {}\n- id: `{}`", text(&sheet.versions), sheet.sha256);
    out.push_str("\n### Claims\n\n");
    let rows = sheet.claims.iter().map(|row| {
        let line = &row.line;
        let cells = [&line.id, &line.wording, &line.target, &line.measured, &line.trials];
        std::iter::once(format!("**{}**", line.verdict)).chain(cells.map(|cell| text(cell))).collect()
    });
    table(&mut out, &["verdict", "claim", "what is promised", "target", "measured", "trials"], rows.collect());
    if !sheet.deviations.is_empty() {
        out.push_str("\n### What does not hold, and what is done about it\n\n");
        let rows = sheet.deviations.iter().map(|row| {
            let action = if row.action.is_empty() { "**no action stated**".to_owned() } else { text(&row.action) };
            vec![text(&row.name), text(&row.why), action]
        });
        table(&mut out, &["finding", "why", "action"], rows.collect());
    }
    out.push_str("\n### What it rests on\n\n");
    for told in &sheet.rests_on {
        let _ = writeln!(out, "- {}", text(told));
    }
    out.push_str("\n### Every run of the same plan\n\n");
    let rows = sheet.attempts.iter().map(|row| {
        vec![text(&row.run), text(&row.started), row.trials.clone(), row.outcome.to_owned(), text(&row.why)]
    });
    table(&mut out, &["run", "started", "trials", "outcome", ""], rows.collect());
    out.push_str("\n### Not covered\n\n");
    for (name, value) in &sheet.not_covered {
        let _ = writeln!(out, "- {name}: {}", text(value));
    }
    if let Some((previous, comparison)) = &sheet.previous {
        let _ = writeln!(out, "\n### Against the last certificate\n\n{}", text(previous));
        for told in comparison {
            let _ = writeln!(out, "\n```\n{}\n```", told.trim_end().replace("```", "'''"));
        }
    }
    let _ = writeln!(
        out,
        "\n<sub>pgquake {}; `pgquake verify DIR --signers allowed_signers` judges every history again</sub>",
        sheet.version
    );
    visible(&out)
}

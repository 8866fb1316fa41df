//! `report.html`: one file that needs nothing else, for a screen, a phone or paper.

use askama::Template;

use super::{Format, RenderError, ReportInput, figures::visible, page::Page};

pub const FORMAT: Format = Format { name: "html", file: "report.html", render };

/// `templates/report.html`.
#[derive(Template)]
#[template(path = "report.html")]
struct Html {
    page: Page,
    css: &'static str,
}

fn render(input: &ReportInput<'_>) -> Result<String, RenderError> {
    Ok(visible(&Html { page: Page::new(input, true), css: include_str!("../templates/report.css") }.render()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{figures::escape, sample};

    #[test]
    fn it_loads_nothing_from_elsewhere() {
        for (name, sample) in sample::Run::every() {
            let html = render(&sample.input()).unwrap();
            for load in ["http://", "https://", "src=", "@import", "<link", "<script", "<iframe", "<object"] {
                assert!(!html.contains(load), "{name} holds {load}");
            }
            let outside: Vec<_> =
                html.match_indices("url(").filter(|(at, _)| !html[*at..].starts_with("url(#")).collect();
            assert!(outside.is_empty(), "{name} holds url(): {outside:?}");
            let hrefs: Vec<_> =
                html.match_indices("href=\"").filter(|(at, _)| !html[*at..].starts_with("href=\"#")).collect();
            assert!(hrefs.is_empty(), "{name} holds href: {hrefs:?}");
        }
    }

    #[test]
    fn it_holds_every_finding_expectation_and_claim() {
        for (name, sample) in sample::Run::every() {
            let html = render(&sample.input()).unwrap();
            for scenario in &sample.verdict.scenarios {
                for finding in &scenario.findings {
                    let told = finding.summary.lines().next().unwrap_or_default();
                    let summary = escape(told.trim_end_matches('.'));
                    assert!(html.contains(&summary), "{name}: {summary}");
                }
            }
            for claim in &sample.verdict.claims {
                assert!(html.contains(&claim.claim.id), "{name}: {}", claim.claim.id);
            }
        }
    }

    #[test]
    fn names_cannot_become_markup() {
        let sample = sample::Run::hostile_names();
        let html = render(&sample.input()).unwrap();
        assert!(!html.contains(sample::HOSTILE_NAME));
        assert!(html.contains("&lt;script&gt;") || html.contains("&#60;script&#62;"), "the name is still shown");
    }

    #[test]
    fn the_first_screen_tells_each_scenario_in_a_line_before_claims_and_details() {
        let html = render(&sample::Run::many(16).input()).unwrap();
        let at = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text} is missing"));
        let places =
            ["class=\"banner", "<h2>Scenarios</h2>", "<h2>Claims</h2>", "class=\"scenario\"", "<h2>The run</h2>"];
        assert!(places.map(at).is_sorted(), "{:?}", places.map(at));
        let overview = &html[at("<h2>Scenarios</h2>")..at("<h2>Claims</h2>")];
        assert_eq!(overview.matches("href=\"#scenario-").count(), 16);
        assert!(overview.contains("could not be carried out") && !overview.contains("INFO: no action"), "no logs here");
    }

    #[test]
    fn every_link_has_its_target() {
        for (name, sample) in sample::Run::every() {
            let html = render(&sample.input()).unwrap();
            for (at, found) in html.match_indices("href=\"#") {
                let target = html[at + found.len()..].split('"').next().unwrap_or_default();
                assert!(html.contains(&format!("id=\"{target}\"")), "{name}: nothing has the id {target}");
            }
        }
    }

    #[test]
    fn passed_scenarios_are_folded_and_the_others_are_not() {
        let sample = sample::Run::many(16);
        let html = render(&sample.input()).unwrap();
        let passed = sample.verdict.groups.iter().filter(|group| group.outcome == crate::checks::Outcome::Pass).count();
        assert_eq!(html.matches("<details class=\"scenario\">").count(), passed);
        assert_eq!(html.matches("<details class=\"scenario\" open>").count(), 16 - passed);
    }

    #[test]
    fn logs_are_folded_and_set_as_they_were_written() {
        let html = render(&sample::Run::many(4).input()).unwrap();
        assert!(html.contains("<pre>node1 patroni:\n  2026-03-01 10:15:04,113 INFO: no action."));
    }

    #[test]
    fn the_drawing_stands_before_the_tables() {
        let html = render(&sample::Run::pass().input()).unwrap();
        assert!(html.find("class=\"timeline\"").unwrap() < html.find("<h4>Expectations</h4>").unwrap());
    }

    #[test]
    fn what_was_not_proven_of_the_run_is_said_at_the_top() {
        let mut sample = sample::Run::pass();
        sample.verdict.doubts.push("the run was interrupted: SIGINT".to_owned());
        let html = render(&sample.input()).unwrap();
        assert!(html.find("the run was interrupted").unwrap() < html.find("<h2>Scenarios</h2>").unwrap());
    }

    #[test]
    fn a_control_that_did_its_work_is_called_caught() {
        let html = render(&sample::Run::two_writers().input()).unwrap();
        assert!(html.contains("<span class=\"mark caught\">caught</span>") && html.contains("as it must"));
        assert!(html.contains("two writers, 10.6 s"));
    }
}

//! `report.html`: one file that needs nothing else, for a screen, a phone or paper.

use askama::Template;

use super::{Format, RenderError, ReportInput, page::Page};

pub const FORMAT: Format = Format { name: "html", file: "report.html", render };

/// `templates/report.html`.
#[derive(Template)]
#[template(path = "report.html")]
struct Html {
    page: Page,
    css: &'static str,
}

fn render(input: &ReportInput<'_>) -> Result<String, RenderError> {
    Ok(Html { page: Page::new(input, true), css: include_str!("../templates/report.css") }.render()?)
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
                    let summary = escape(finding.summary.trim_end_matches('.'));
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
    fn what_was_not_proven_is_said_at_the_top() {
        let sample = sample::Run::inconclusive();
        let html = render(&sample.input()).unwrap();
        let at = html.find("Not proven").unwrap();
        assert!(at < html.find("The run").unwrap());
        assert!(html[at..].contains("the observer of node2 was lost"));
    }

    #[test]
    fn a_control_that_did_its_work_is_called_caught() {
        let html = render(&sample::Run::two_writers().input()).unwrap();
        assert!(html.contains("<span class=\"mark caught\">caught</span>") && html.contains("as it must"));
        assert!(html.contains("two writers, 10.6 s"));
    }
}

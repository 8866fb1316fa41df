//! What is wrong with a text that is no Gherkin, in words: the parser reports what it could have gone on with, at a
//! place where it had given up. And what the parser drops without a word: cells beyond the first row's.

use cucumber::gherkin::GherkinEnv;

use super::mistake::{Mistake, Place, Source};
use crate::suggestion::{nearest, one_of};

const STEPS: &[&str] = &["Given", "When", "Then", "And", "But", "*"];
const SCENARIOS: &[&str] = &["Scenario Outline:", "Scenario Template:", "Scenario:", "Example:"];
const EXAMPLES: &[&str] = &["Examples:", "Scenarios:"];

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Feature,
    Rule,
    Background,
    Scenario,
    Examples,
    Step,
    Tags,
    Row,
    /// The first line of a text below a step.
    Text,
    Other,
}

/// The lines that say something: their numbers, counted from 1, and what they are. Lines of a text below a step are left
/// out; the second value is the line of one that has no end.
fn lines(source: &Source) -> (Vec<(usize, &str, Kind)>, Option<usize>) {
    let mut said = Vec::new();
    let mut within: Option<(&str, usize)> = None;
    for (index, whole) in source.text().lines().enumerate() {
        let (line, text) = (index + 1, whole.trim());
        let fence = ["\"\"\"", "```"].into_iter().find(|fence| text.starts_with(fence));
        match (within, fence) {
            (Some((open, _)), Some(fence)) if open == fence => within = None,
            (Some(_), _) => {}
            (None, Some(fence)) => {
                said.push((line, text, Kind::Text));
                within = Some((fence, line));
            }
            (None, None) if text.is_empty() || text.starts_with('#') => {}
            (None, None) => said.push((line, text, kind(text))),
        }
    }
    (said, within.map(|(_, line)| line))
}

fn kind(text: &str) -> Kind {
    let begins = |keywords: &[&str]| keywords.iter().any(|keyword| text.starts_with(keyword));
    let is_step = || text.split_whitespace().next().is_some_and(|first| STEPS.contains(&first));
    match text.chars().next() {
        Some('@') => Kind::Tags,
        Some('|') => Kind::Row,
        _ if begins(&["Feature:"]) => Kind::Feature,
        _ if begins(&["Rule:"]) => Kind::Rule,
        _ if begins(&["Background:"]) => Kind::Background,
        _ if begins(SCENARIOS) => Kind::Scenario,
        _ if begins(EXAMPLES) => Kind::Examples,
        _ if is_step() => Kind::Step,
        _ => Kind::Other,
    }
}

/// The first thing that is wrong with a text that the parser did not understand, if it is one of those that people do.
pub(super) fn explain(source: &Source) -> Option<Mistake> {
    let at = |line: usize| {
        let text = source.line(line);
        let offset = text.len() - text.trim_start().len();
        Place { line, offset, length: text.trim().len().max(1) }
    };
    let mistake = |line: usize, message: String, help: &str| source.mistake(at(line), message, Some(help.to_owned()));
    let (said, open_text) = lines(source);
    if said.is_empty() {
        return Some(mistake(1, "the file is empty".to_owned(), "a feature begins with `Feature: ` and its name"));
    }
    let language = source.text().lines().position(|line| line.trim_start().starts_with("# language:"));
    if let Some(line) = language {
        let (_, name) = source.line(line + 1).split_once(':')?;
        return match GherkinEnv::new(name.trim()) {
            Err(_) => {
                Some(mistake(line + 1, format!("Gherkin knows no language `{}`", name.trim()), "as `en` or `de`"))
            }
            // Its keywords are others than those here.
            Ok(_) if name.trim() != "en" => None,
            Ok(_) => walk(source, &said, mistake),
        };
    }
    let first = walk(source, &said, mistake);
    let unended = open_text.map(|line| {
        let help = "end it with the same three characters on a line of their own";
        mistake(line, "this text has no end".to_owned(), help)
    });
    [first, unended].into_iter().flatten().min_by_key(|mistake| mistake.line)
}

/// Walks through the lines as the parser would.
fn walk(
    source: &Source,
    said: &[(usize, &str, Kind)],
    mistake: impl Fn(usize, String, &str) -> Mistake,
) -> Option<Mistake> {
    let mut before: Option<Kind> = None;
    // Whether a scenario has begun since the feature or the rule did, and whether there was a background.
    let (mut has_scenario, mut has_background) = (false, false);
    for (index, (line, text, kind)) in said.iter().copied().enumerate() {
        let is_first = said[..index].iter().all(|(_, _, kind)| *kind == Kind::Tags);
        let below_step = matches!(before, Some(Kind::Step | Kind::Row | Kind::Text));
        match kind {
            Kind::Tags => {
                if let Some(word) = tag_that_is_none(text) {
                    let help = "a tag begins with @ and has no space in it";
                    return Some(mistake(line, format!("`{word}` is no tag"), help));
                }
                if index + 1 == said.len() {
                    return Some(mistake(line, "these tags stand above nothing".to_owned(), "remove them"));
                }
                continue;
            }
            _ if is_first && kind != Kind::Feature => {
                let help = "a feature begins with `Feature: ` and its name";
                return Some(mistake(line, "this stands before the feature".to_owned(), help));
            }
            Kind::Feature if !is_first => {
                return Some(mistake(line, "a second feature begins".to_owned(), "one file holds one feature"));
            }
            Kind::Rule => (has_scenario, has_background) = (false, false),
            Kind::Background if has_background || has_scenario => {
                let help = "a feature and each of its rules have one, before their scenarios";
                return Some(mistake(line, "a background can't stand here".to_owned(), help));
            }
            Kind::Background => has_background = true,
            Kind::Scenario => has_scenario = true,
            Kind::Examples if !has_scenario => {
                return Some(mistake(
                    line,
                    "examples of no outline".to_owned(),
                    "they stand below a `Scenario Outline:`",
                ));
            }
            Kind::Step if !has_scenario && !has_background => {
                return Some(match heading_without_colon(&said[..index]) {
                    Some((line, word)) => {
                        mistake(line, format!("`{word}` has no colon"), &format!("did you mean `{word}:`?"))
                    }
                    None => {
                        let help = "begin one with `Scenario: ` and its name";
                        mistake(line, "a step of no scenario".to_owned(), help)
                    }
                });
            }
            Kind::Step if before == Some(Kind::Examples) || text.split_whitespace().nth(1).is_none() => {
                let help = "a step has words behind its keyword, and stands before the examples";
                return Some(mistake(line, "a step can't stand here so".to_owned(), help));
            }
            Kind::Row if !text.ends_with('|') || text.len() < 2 => {
                return Some(mistake(line, "this row has no end".to_owned(), "a row of a table ends with `|`"));
            }
            Kind::Row | Kind::Text if !below_step && before != Some(Kind::Examples) => {
                return Some(mistake(
                    line,
                    "this stands below no step".to_owned(),
                    "remove it, or put it below its step",
                ));
            }
            Kind::Other if below_step => {
                return Some(mistake(line, "this line begins with no keyword".to_owned(), &keyword_for(text)));
            }
            _ => {}
        }
        before = Some(kind);
    }
    ragged(source).into_iter().next()
}

/// The last line that would be a heading with a colon behind its first word.
fn heading_without_colon<'a>(said: &[(usize, &'a str, Kind)]) -> Option<(usize, &'a str)> {
    said.iter().rev().filter(|(_, _, kind)| *kind == Kind::Other).find_map(|(line, text, _)| {
        let word = text.split_whitespace().next()?;
        ["Scenario", "Background", "Example"].contains(&word).then_some((*line, word))
    })
}

/// The first word of a line of tags that is none.
fn tag_that_is_none(text: &str) -> Option<&str> {
    let words = text.split_whitespace().take_while(|word| !word.starts_with('#'));
    words.into_iter().find(|word| !word.starts_with('@') || *word == "@")
}

/// The keyword that was probably meant.
fn keyword_for(text: &str) -> String {
    let first = text.split_whitespace().next().unwrap_or_default();
    let headings = ["Scenario:", "Examples:", "Background:", "Rule:", "Feature:"];
    match nearest(first, STEPS.iter().copied().chain(headings)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("begin it with {}, or with `#` as a comment", one_of(STEPS.iter().copied())),
    }
}

/// Rows that have more or fewer cells than the first of their table: the parser cuts what is too much off.
pub(super) fn ragged(source: &Source) -> Vec<Mistake> {
    let mut found = Vec::new();
    let mut head: Option<usize> = None;
    for (line, text, kind) in lines(source).0 {
        if kind != Kind::Row {
            head = None;
            continue;
        }
        let cells = text.match_indices('|').filter(|(at, _)| !text[..*at].ends_with('\\')).count().saturating_sub(1);
        let wanted = *head.get_or_insert(cells);
        if cells != wanted {
            let message = format!("this row has {}, the first of its table {wanted}", counted(cells));
            let place = source.cell(line, wanted.min(cells.saturating_sub(1)));
            found.push(source.mistake(place, message, Some("a bar within a cell is written `\\|`".to_owned())));
        }
    }
    found
}

fn counted(cells: usize) -> String {
    if cells == 1 { "1 cell".to_owned() } else { format!("{cells} cells") }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn explained(text: &str) -> Option<(usize, usize, String, String)> {
        let found = explain(&Source::new(Path::new("a.feature"), text.to_owned()))?;
        Some((found.line, found.column, found.message, found.help.unwrap_or_default()))
    }

    const HEAD: &str = "Feature: F\n  Scenario: S\n    Given a step\n";

    #[test]
    fn what_is_no_gherkin_is_told_where_it_is() {
        for (text, line, column, message, help) in [
            ("", 1, 1, "the file is empty", "begins with `Feature: `"),
            ("# only\n\n", 1, 1, "the file is empty", "begins with `Feature: `"),
            ("Scenario: S\n", 1, 1, "this stands before the feature", "begins with `Feature: `"),
            ("@quick\nFeatur: F\n", 2, 1, "this stands before the feature", "begins with `Feature: `"),
            ("# language: xx\nFeature: F\n", 1, 1, "Gherkin knows no language `xx`", "en"),
            ("Feature: F\n  Given a step\n", 2, 3, "a step of no scenario", "Scenario: "),
            ("Feature: F\n  Scenario S\n  Given a step\n", 2, 3, "`Scenario` has no colon", "`Scenario:`"),
            ("Feature: F\n  | a |\n", 2, 3, "this stands below no step", "remove it"),
            ("Feature: F\n  Examples:\n", 2, 3, "examples of no outline", "below"),
            (&format!("{HEAD}    Thn it holds\n"), 4, 5, "this line begins with no keyword", "did you mean `Then`?"),
            (&format!("{HEAD}    zzzzzzz it\n"), 4, 5, "this line begins with no keyword", "begin it with Given"),
            (&format!("{HEAD}    \"\"\"\n    x\n"), 4, 5, "this text has no end", "three characters"),
            (&format!("{HEAD}      | a | b\n"), 4, 7, "this row has no end", "ends with `|`"),
            (
                &format!("{HEAD}      | a | b |\n      | c |\n"),
                5,
                9,
                "this row has 1 cell, the first of its table 2",
                "bar",
            ),
            (&format!("{HEAD}  Background:\n"), 4, 3, "a background can't stand here", "before their scenarios"),
            (&format!("{HEAD}  @end\n"), 4, 3, "these tags stand above nothing", "remove them"),
            (&format!("{HEAD}Feature: G\n"), 4, 1, "a second feature begins", "one file"),
            ("Feature: F\n  @claim: RTO-30\n  Scenario: S\n", 2, 3, "`RTO-30` is no tag", "no space"),
        ] {
            let found = explained(text).unwrap_or_else(|| panic!("nothing found in {text:?}"));
            assert_eq!((found.0, found.1, found.2.as_str()), (line, column, message), "{text:?}");
            assert!(found.3.contains(help), "{text:?}: {}", found.3);
        }
    }

    #[test]
    fn nothing_is_found_where_nothing_is() {
        let sound = format!("# a comment\n@a @b # why\nFeature: F\n  Words.\n{}", &HEAD[11..]);
        for text in [&sound, "# language: de\nFunktionalität: F\n"] {
            assert_eq!(explained(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_row_that_is_too_long_is_found_and_a_bar_in_a_cell_is_none() {
        let ragged = |rows: &str| {
            let source = Source::new(Path::new("a.feature"), format!("{HEAD}{rows}"));
            super::ragged(&source).into_iter().map(|found| (found.line, found.column)).collect::<Vec<_>>()
        };
        assert_eq!(ragged("| a |\n| b | c |\n"), [(5, 7)]);
        assert_eq!(ragged("| a | b |\n# why\n\n| b | c\\|d |\n"), []);
        assert_eq!(ragged("| a |\nThen x\n| b | c |\n"), []);
        assert_eq!(ragged("\"\"\"\n| a |\n| b | c |\n\"\"\"\n"), []);
    }
}

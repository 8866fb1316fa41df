//! Messages that carry logs: the sentence apart from the log lines below it.

/// How much of a sentence stands in a table's line.
const LINE_LETTERS: usize = 180;

/// A message as a page sets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prose {
    /// The sentence.
    pub text: String,
    /// Log lines that came with it, as a container wrote them; empty if none did.
    pub logs: String,
}

impl Prose {
    /// Takes a message apart. What the harness says stands on the first line, and logs on those below it.
    pub fn of(message: &str) -> Self {
        let (text, logs) = message.trim().split_once('\n').unwrap_or((message.trim(), ""));
        Self { text: super::sentence(text), logs: logs.trim_matches('\n').to_owned() }
    }
}

/// The sentence of a message, cut at a word where it is too long for one line of a table.
pub fn line(message: &str) -> String {
    let text = message.trim().lines().next().unwrap_or_default();
    if text.chars().count() <= LINE_LETTERS {
        return text.to_owned();
    }
    let cut: String = text.chars().take(LINE_LETTERS).collect();
    let whole = cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words);
    format!("{}\u{2026}", whole.trim_end_matches([',', ';', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_are_kept_apart_from_the_sentence() {
        let prose = Prose::of("a leader did not come within 60 s: nobody leads\nnode1 patroni:\n  INFO: no action");
        assert_eq!(prose.text, "a leader did not come within 60 s: nobody leads.");
        assert_eq!(prose.logs, "node1 patroni:\n  INFO: no action");
        assert_eq!(Prose::of("nothing else.").logs, "");
    }

    #[test]
    fn a_long_sentence_is_cut_at_a_word() {
        let long = "word, ".repeat(60);
        let cut = line(&long);
        assert!(cut.chars().count() <= LINE_LETTERS + 1 && cut.ends_with("word\u{2026}"), "{cut}");
        assert_eq!(line("short\nlogs"), "short");
    }
}

//! How values are written for people. The unit is the end of a measure's name.

use crate::{checks::Measure, history::event::Bound};

pub use crate::quantity::written::{seconds, value};

/// A measure's name in words, without its unit: `write_outage_ms` is `write outage`.
pub fn name(measure: &str) -> String {
    let units = ["_ms", "_us", "_s", "_bytes", "_percent"];
    let bare = units.iter().find_map(|unit| measure.strip_suffix(unit)).unwrap_or(measure);
    let words = bare.split('_').map(|word| match word {
        "wal" => "WAL",
        "lsn" => "LSN",
        "dcs" => "DCS",
        other => other,
    });
    words.collect::<Vec<_>>().join(" ")
}

pub fn measure(measure: &Measure) -> String {
    value(&measure.name, measure.value)
}

/// A bound, in words: `at most 30.0 s`.
pub fn bound(measure: &str, bound: Bound) -> String {
    match bound {
        Bound::AtMost(most) => format!("at most {}", value(measure, most)),
        Bound::AtLeast(least) => format!("at least {}", value(measure, least)),
        Bound::Between(least, most) => range(measure, (least, most)),
        Bound::Exactly(exact) => format!("exactly {}", value(measure, exact)),
    }
}

/// A range with one unit where both ends have the same: `20.0–30.5 s`.
pub fn range(measure: &str, (least, most): (f64, f64)) -> String {
    let (from, to) = (value(measure, least), value(measure, most));
    match (from.split_once(' '), to.split_once(' ')) {
        (Some((number, unit)), Some((_, same))) if unit == same => format!("{number}\u{2013}{to}"),
        _ if least == 0.0 => format!("0\u{2013}{to}"),
        _ => format!("{from}\u{2013}{to}"),
    }
}

/// Text that is safe inside XML and HTML, as content and as a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            unseen if is_unseen(unseen) => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

/// Whether a character shows nothing itself and changes what others show: a control character, or one that turns the
/// direction of writing. With either a name could look like another one, or like an outcome.
pub fn is_unseen(letter: char) -> bool {
    let turns =
        matches!(letter, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (letter.is_control() && !matches!(letter, '\n' | '\t'))
}

/// A text in which everything is seen: what is not shows as a mark.
pub fn visible(text: &str) -> String {
    text.chars().map(|letter| if is_unseen(letter) { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_ranges_share_a_unit() {
        assert_eq!(bound("write_outage_ms", Bound::AtMost(30_000.0)), "at most 30.0 s");
        assert_eq!(range("detect_ms", (20_000.0, 30_500.0)), "20.0–30.5 s");
        assert_eq!(range("elect_ms", (0.0, 2_500.0)), "0–2.50 s");
        assert_eq!(name("write_outage_ms"), "write outage");
        assert_eq!(name("lost_wal_bytes"), "lost WAL");
    }
}

//! How values are written for people. The unit is the end of a measure's name.

use crate::{checks::Measure, history::event::Bound};

/// A duration in the unit that reads best: `310 ms`, `28.8 s`, `4 min 10 s`.
pub fn seconds(ms: f64) -> String {
    let size = ms.abs();
    if size < 1.0 && size > 0.0 {
        format!("{ms:.1} ms")
    } else if size < 999.5 {
        format!("{ms:.0} ms")
    } else if size < 9_995.0 {
        format!("{:.2} s", ms / 1e3)
    } else if size < 119_950.0 {
        format!("{:.1} s", ms / 1e3)
    } else {
        let whole = (ms / 1e3).round() as i64;
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

fn bytes(count: f64) -> String {
    match count.abs() {
        size if size < 1024.0 => format!("{count:.0} B"),
        size if size < 1024.0 * 1024.0 => format!("{:.1} KiB", count / 1024.0),
        _ => format!("{:.1} MiB", count / 1024.0 / 1024.0),
    }
}

/// A number without needless digits, its thousands set apart.
pub fn number(value: f64) -> String {
    if value.fract() != 0.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{:.0}", value.abs());
    let grouped: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    format!("{}{}", if value < 0.0 { "-" } else { "" }, grouped.join(","))
}

/// A value of the measure of this name, with its unit.
pub fn value(measure: &str, value: f64) -> String {
    match measure.rsplit('_').next() {
        Some("ms") => seconds(value),
        Some("us") => seconds(value / 1e3),
        Some("s") => seconds(value * 1e3),
        Some("bytes") => bytes(value),
        Some("percent") => format!("{} %", number(value)),
        Some(unit @ ("rows" | "writes" | "nodes" | "attempts" | "events")) if measure.contains('_') => {
            let unit = if value == 1.0 { &unit[..unit.len() - 1] } else { unit };
            format!("{} {unit}", number(value))
        }
        _ => number(value),
    }
}

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
            control if control.is_control() && !matches!(control, '\n' | '\t') => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_with_their_unit() {
        assert_eq!(value("write_outage_ms", 28_812.4), "28.8 s");
        assert_eq!(value("write_outage_ms", 310.0), "310 ms");
        assert_eq!(value("write_outage_ms", 0.0), "0 ms");
        assert_eq!(value("lost_s", 1.5), "1.50 s");
        assert_eq!(value("rejoin_ms", 250_000.0), "4 min 10 s");
        assert_eq!(value("lost_rows", 1.0), "1 row");
        assert_eq!(value("lost_rows", 12_345.0), "12,345 rows");
        assert_eq!(value("lost_wal_bytes", 1_572_864.0), "1.5 MiB");
    }

    #[test]
    fn bounds_and_ranges_share_a_unit() {
        assert_eq!(bound("write_outage_ms", Bound::AtMost(30_000.0)), "at most 30.0 s");
        assert_eq!(range("detect_ms", (20_000.0, 30_500.0)), "20.0–30.5 s");
        assert_eq!(range("elect_ms", (0.0, 2_500.0)), "0–2.50 s");
        assert_eq!(name("write_outage_ms"), "write outage");
        assert_eq!(name("lost_wal_bytes"), "lost WAL");
    }
}

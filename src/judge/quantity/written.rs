//! Quantities as they are written for people. The unit is the end of a measure's name.

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
        Some(unit @ ("rows" | "writes" | "nodes" | "attempts" | "events" | "files" | "defects"))
            if measure.contains('_') =>
        {
            let unit = if value == 1.0 { &unit[..unit.len() - 1] } else { unit };
            format!("{} {unit}", number(value))
        }
        _ => number(value),
    }
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
}

//! Quantities as people write them, with their units: `80 ms`, `1 MB`, `30 %`, `5432, 8008`; and [`written`] for them.

pub mod written;

use std::time::Duration;

/// The longest time that a drill waits for anything, or leaves a fault of a certain length on.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// A duration: a number and `ms`, `s` or `min`, as in `500 ms` or `1.5min`.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "min" => 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * seconds).ok()
}

/// A size in bytes: a number and `B`, `kB`, `MB` or `GB`, each 1024 times the one before, as PostgreSQL counts them.
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let factor: u32 = match unit {
        "B" => 0,
        "kB" => 1,
        "MB" => 2,
        "GB" => 3,
        _ => return None,
    };
    let bytes = number * 1024_f64.powi(i32::try_from(factor).ok()?);
    // Beyond 2^53 a float can't tell neighbours apart; no disk here is that large.
    (bytes < 9e15).then_some(bytes.round() as u64)
}

/// A share between 0 and 1, written as a percentage.
pub fn share(text: &str) -> Option<f64> {
    let (number, unit) = number_and_unit(text)?;
    (unit == "%" && (0.0..=100.0).contains(&number)).then_some(number / 100.0)
}

/// Ports, with commas or `and` between them.
pub fn ports(text: &str) -> Option<Vec<u16>> {
    let ports: Option<Vec<u16>> =
        text.replace(" and ", ",").split(',').map(|port| port.trim().parse().ok().filter(|port| *port > 0)).collect();
    ports.filter(|ports| !ports.is_empty())
}

fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        assert_eq!(duration("500 ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("30 s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("1.5min"), Some(Duration::from_secs(90)));
        assert_eq!(duration("3 h"), None);
        assert_eq!(duration("3"), None);
        assert_eq!(duration("-3 s"), None);
    }

    #[test]
    fn sizes_count_as_postgresql_does() {
        assert_eq!(bytes("8 kB"), Some(8192));
        assert_eq!(bytes("1MB"), Some(1_048_576));
        assert_eq!(bytes("1 mb"), None);
    }

    #[test]
    fn shares_and_ports_are_bounded() {
        assert_eq!(share("30 %"), Some(0.3));
        assert_eq!(share("101 %"), None);
        assert_eq!(ports("5432, 8008"), Some(vec![5432, 8008]));
        assert_eq!(ports("2379 and 2380"), Some(vec![2379, 2380]));
        assert_eq!(ports("0"), None);
        assert_eq!(ports("70000"), None);
        assert_eq!(ports(""), None);
    }
}

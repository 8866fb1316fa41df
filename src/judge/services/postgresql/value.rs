//! Values of parameters, as PostgreSQL and Patroni both read them.

use super::table::{Kind, Numbers, Row};
use crate::suggestion::did_you_mean;

/// Units of sizes, in bytes. Upper and lower case matter.
const SIZES: &[(&str, f64)] =
    &[("B", 1.0), ("kB", 1024.0), ("MB", 1_048_576.0), ("GB", 1_073_741_824.0), ("TB", 1_099_511_627_776.0)];

/// Units of times, in milliseconds.
const TIMES: &[(&str, f64)] =
    &[("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("min", 60_000.0), ("h", 3_600_000.0), ("d", 86_400_000.0)];

/// Words for true and false that Patroni takes; PostgreSQL takes their beginnings too.
const FLAGS: &[&str] = &["on", "off", "true", "false", "yes", "no", "1", "0"];

/// Whether PostgreSQL reads this value as false: it takes any unambiguous beginning of these words.
pub fn is_false(value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    let begins = |word: &str, at_least: usize| value.len() >= at_least && word.starts_with(&value);
    value == "0" || begins("off", 2) || begins("false", 1) || begins("no", 1)
}

/// Checks a value. The error is what the parameter takes.
pub(super) fn check(row: &Row, text: &str) -> Result<(), String> {
    let is_one_of = |known: &[&str]| known.iter().any(|word| word.eq_ignore_ascii_case(text));
    let is_right = match &row.kind {
        Kind::Text => true,
        Kind::Flag => is_one_of(FLAGS),
        // One that can be on and off takes the other words for it too.
        Kind::OneOf(values) => is_one_of(values) || (values.contains(&"on") && is_one_of(FLAGS)),
        Kind::Whole(numbers) | Kind::Real(numbers) => {
            let in_steps = |number: f64| numbers.step == 0.0 || number % numbers.step == 0.0;
            number(row, text).is_some_and(|number| (numbers.least..=numbers.most).contains(&number) && in_steps(number))
        }
    };
    if is_right { Ok(()) } else { Err(takes(&row.kind, text)) }
}

/// What a parameter takes, in words.
fn takes(kind: &Kind, text: &str) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Flag => choice(text, &["on", "off"]),
        Kind::OneOf(values) => choice(text, values),
        Kind::Whole(numbers) => range(numbers, "a whole number"),
        Kind::Real(numbers) => range(numbers, "a number"),
    }
}

fn choice(text: &str, values: &[&str]) -> String {
    let named: Vec<&str> = values.iter().copied().filter(|value| !value.is_empty()).collect();
    format!("one of a few words: {}", did_you_mean(text, &named))
}

fn range(numbers: &Numbers, counted: &str) -> String {
    let Numbers { least, most, unit, step, least_is_patronis } = *numbers;
    let (what, units) = match family(unit) {
        Some((_, family)) => (if is_size(family) { "a size" } else { "a time" }, Some(family)),
        None => (counted, None),
    };
    let bounds = if most > 1e300 {
        format!("of at least {}", written(least, unit))
    } else {
        format!("from {} to {}", written(least, unit), written(most, unit))
    };
    let units = units.map_or_else(String::new, |family| {
        let names = crate::suggestion::one_of(family.iter().map(|(name, _)| *name));
        format!(", in {names}; a number alone counts {}", if unit == "8kB" { "blocks of 8 kB" } else { unit })
    });
    let steps = if step > 0.0 { format!(", in multiples of {}", written(step, unit)) } else { String::new() };
    let patroni = if least_is_patronis { "; Patroni takes no less" } else { "" };
    format!("{what} {bounds}{steps}{units}{patroni}")
}

/// A number of a unit in the largest unit that takes it whole.
fn written(number: f64, unit: &str) -> String {
    let Some((factor, family)) = family(unit).filter(|_| number > 0.0) else { return number.to_string() };
    let whole = |(_, size): &&(&str, f64)| (number * factor / size).fract() == 0.0;
    match family.iter().rev().find(whole) {
        Some((name, size)) => format!("{}{name}", number * factor / size),
        None => format!("{number}{unit}"),
    }
}

/// How much a parameter's unit is in the smallest one of its family, and the family.
fn family(unit: &str) -> Option<(f64, &'static [(&'static str, f64)])> {
    // The unit of what is counted in blocks.
    if unit == "8kB" {
        return Some((8192.0, SIZES));
    }
    [SIZES, TIMES].into_iter().find_map(|family| {
        let (_, factor) = family.iter().find(|(name, _)| *name == unit)?;
        Some((*factor, family))
    })
}

fn is_size(family: &[(&str, f64)]) -> bool {
    family.iter().any(|(name, _)| *name == "kB")
}

#[cfg(test)]
pub(super) fn knows(unit: &str) -> bool {
    unit.is_empty() || family(unit).is_some()
}

/// The number that a text stands for, in the parameter's unit; `None` if it is none. What is counted whole is rounded, as
/// PostgreSQL does.
pub(super) fn number(row: &Row, text: &str) -> Option<f64> {
    let (numbers, is_whole) = match &row.kind {
        Kind::Whole(numbers) => (numbers, true),
        Kind::Real(numbers) => (numbers, false),
        _ => return None,
    };
    let (number, rest) = leading_number(text.trim(), is_whole)?;
    let rest = rest.trim();
    let number = if rest.is_empty() {
        number
    } else {
        let (own, family) = family(numbers.unit)?;
        let at = family.iter().position(|(name, _)| *name == rest)?;
        let converted = number * family[at].1 / own;
        // As PostgreSQL rounds: 0.9999 GB are 1024 MB.
        let smaller = at.checked_sub(1).map(|below| family[below].1 / own);
        smaller.map_or(converted, |step| (converted / step).round_ties_even() * step)
    };
    Some(if is_whole { number.round_ties_even() } else { number })
}

/// The number at the beginning of a text, and the rest. A whole one may be hexadecimal or, with a zero before it, octal.
fn leading_number(text: &str, is_whole: bool) -> Option<(f64, &str)> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let end_of = |from: &str, is_part: fn(char) -> bool| from.find(|letter| !is_part(letter)).unwrap_or(from.len());
    let radix = |digits: &str, radix: u32| u64::from_str_radix(digits, radix).ok().map(|number| sign * number as f64);
    if let Some(digits) = unsigned.strip_prefix("0x").or(unsigned.strip_prefix("0X")).filter(|_| is_whole) {
        let (digits, rest) = digits.split_at(end_of(digits, |letter| letter.is_ascii_hexdigit()));
        return Some((radix(digits, 16)?, rest));
    }
    let whole = end_of(unsigned, |letter| letter.is_ascii_digit());
    let mut end = whole;
    if let Some(fraction) = unsigned[end..].strip_prefix('.') {
        let digits = end_of(fraction, |letter| letter.is_ascii_digit());
        // A point with no digit behind it belongs to no number.
        end += if digits == 0 { 0 } else { 1 + digits };
    }
    if let Some(exponent) = unsigned[end..].strip_prefix(['e', 'E']).filter(|_| end > 0) {
        let signed = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let digits = end_of(signed, |letter| letter.is_ascii_digit());
        end += if digits == 0 { 0 } else { 1 + (exponent.len() - signed.len()) + digits };
    }
    let (number, rest) = unsigned.split_at(end);
    if is_whole && end == whole && number.len() > 1 && number.starts_with('0') {
        return Some((radix(number, 8)?, rest));
    }
    let number: f64 = number.parse().ok()?;
    number.is_finite().then_some((sign * number, rest))
}

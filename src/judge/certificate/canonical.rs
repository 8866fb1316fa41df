//! JSON that has one form: the same value gives the same bytes in every version.

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// A value as text: keys in order, two spaces for each level, line feeds, no exponents, at most six decimals.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out.push('\n');
    out
}

fn write(out: &mut String, value: &Value, level: usize) {
    match value {
        Value::Number(own) => out.push_str(&number(own)),
        Value::Array(items) if !items.is_empty() => {
            let inner = items.iter().map(|item| (None, item));
            block(out, ('[', ']'), inner, level);
        }
        Value::Object(fields) if !fields.is_empty() => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            block(out, ('{', '}'), sorted.into_iter().map(|(name, inner)| (Some(name), inner)), level);
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

fn block<'v>(
    out: &mut String,
    (open, close): (char, char),
    inner: impl Iterator<Item = (Option<&'v String>, &'v Value)>,
    level: usize,
) {
    let indentation = "  ".repeat(level);
    out.push(open);
    for (place, (name, value)) in inner.enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let _ = write!(out, "{comma}\n{indentation}  ");
        if let Some(name) = name {
            let _ = write!(out, "{}: ", Value::from(name.as_str()));
        }
        write(out, value, level + 1);
    }
    let _ = write!(out, "\n{indentation}{close}");
}

fn number(number: &Number) -> String {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(value) => {
            let fixed = format!("{value:.6}");
            let short = fixed.trim_end_matches('0').trim_end_matches('.');
            if short == "-0" { "0".to_owned() } else { short.to_owned() }
        }
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_has_one_form() {
        let value = json!({ "b": [1, 2.5, 1e-9, 30000.0, 1e16], "a": { "z": null, "y": "q\"\n" }, "c": {}, "d": [] });
        let expected = "{\n  \"a\": {\n    \"y\": \"q\\\"\\n\",\n    \"z\": null\n  },\n  \"b\": [\n    1,\n    2.5,\n    0,\n    \
                        30000,\n    10000000000000000\n  ],\n  \"c\": {},\n  \"d\": []\n}\n";
        assert_eq!(text(&value), expected);
        assert_eq!(text(&serde_json::from_str(expected).expect("it is JSON")), expected);
    }
}

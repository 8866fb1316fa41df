//! To what level something is to be proven: which share of failovers, and how surely.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A share of failovers and the confidence at which it is to be proven. People write both in percent: `95/95`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// The share of failovers that has to keep a target, above 0 and below 1.
    pub share: f64,
    /// How surely that is to be known, above 0 and below 1.
    pub confidence: f64,
}

/// A text that is no level.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LevelError {
    #[error("a level is a share and a confidence in percent, as 95/95")]
    Form,
    #[error("{what} is from {least} to {most} percent")]
    Range { what: &'static str, least: f64, most: f64 },
}

/// Below this a plan has too few trials to tell luck from a share; above, a plan takes thousands of them.
const SHARE_PERCENT: (f64, f64) = (50.0, 99.0);
const CONFIDENCE_PERCENT: (f64, f64) = (80.0, 99.9);

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        let (share, confidence) = text.split_once('/').ok_or(LevelError::Form)?;
        let percent =
            |part: &str| part.trim().trim_end_matches('%').trim().parse::<f64>().map_err(|_| LevelError::Form);
        let within = |value: f64, what, (least, most): (f64, f64)| {
            (least..=most).contains(&value).then_some(value / 100.0).ok_or(LevelError::Range { what, least, most })
        };
        Ok(Self {
            share: within(percent(share)?, "the share", SHARE_PERCENT)?,
            confidence: within(percent(confidence)?, "the confidence", CONFIDENCE_PERCENT)?,
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", percent(self.share), percent(self.confidence))
    }
}

/// A share in percent, without the last digits of its binary form.
fn percent(share: f64) -> f64 {
    (share * 1e6).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_read_as_people_write_it() {
        let level: Level = "95/90".parse().unwrap();
        assert_eq!((level.share, level.confidence), (0.95, 0.90));
        assert_eq!(level.to_string(), "95/90");
        assert_eq!("97.5 % / 99.9 %".parse::<Level>().unwrap().to_string(), "97.5/99.9");
    }

    #[test]
    fn what_is_no_level_is_refused() {
        for text in ["95", "", "95/", "/95", "ninety/95", "95/95/95"] {
            assert_eq!(text.parse::<Level>(), Err(LevelError::Form), "{text}");
        }
        for text in ["100/95", "0/95", "95/100", "95/50", "NaN/95", "0.95/0.95"] {
            assert!(matches!(text.parse::<Level>(), Err(LevelError::Range { .. })), "{text}");
        }
    }
}

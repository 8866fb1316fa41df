//! A span of time that settings predict.

use serde::{Deserialize, Serialize};

/// A span of time that settings predict, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    pub least_ms: u64,
    pub most_ms: u64,
}

impl Span {
    pub(crate) const NONE: Span = Span { least_ms: 0, most_ms: 0 };

    /// The sum; a saved plan may say anything, so it stops at the largest number.
    pub(crate) fn plus(self, other: Span) -> Span {
        let (least_ms, most_ms) =
            (self.least_ms.saturating_add(other.least_ms), self.most_ms.saturating_add(other.most_ms));
        Span { least_ms, most_ms }
    }

    /// When the later of two is over that begin together.
    pub(crate) fn later(self, other: Span) -> Span {
        Span { least_ms: self.least_ms.max(other.least_ms), most_ms: self.most_ms.max(other.most_ms) }
    }

    /// When the earlier of two is over that begin together.
    pub(crate) fn earlier(self, other: Span) -> Span {
        Span { least_ms: self.least_ms.min(other.least_ms), most_ms: self.most_ms.min(other.most_ms) }
    }

    /// What is left of it after this time.
    pub(crate) fn after(self, ms: u64) -> Span {
        Span { least_ms: self.least_ms.saturating_sub(ms), most_ms: self.most_ms.saturating_sub(ms) }
    }
}

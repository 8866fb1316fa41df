//! Figures that are known to lie between two others, because what was measured happened at some instant between two.

use crate::{
    checks::{Finding, Measure, Outcome},
    history::event::{Bound, Expectation},
};

/// A value lies between the two, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bracket {
    pub least: u64,
    pub most: u64,
}

impl Bracket {
    pub fn width(self) -> u64 {
        self.most.saturating_sub(self.least)
    }
}

/// Values of which each is known by its bracket.
///
/// The figure at a place of the sorted values lies between that of the least and that of the most they can be.
#[derive(Debug, Clone, Default)]
pub struct Distribution {
    least: Vec<u64>,
    most: Vec<u64>,
}

impl FromIterator<Bracket> for Distribution {
    fn from_iter<I: IntoIterator<Item = Bracket>>(brackets: I) -> Self {
        let (mut least, mut most): (Vec<u64>, Vec<u64>) =
            brackets.into_iter().map(|bracket| (bracket.least, bracket.most)).unzip();
        least.sort_unstable();
        most.sort_unstable();
        Self { least, most }
    }
}

impl Distribution {
    pub fn count(&self) -> usize {
        self.least.len()
    }

    pub fn median(&self) -> Option<Bracket> {
        self.at(self.count().div_ceil(2))
    }

    /// The value that 95 of 100 do not exceed.
    pub fn p95(&self) -> Option<Bracket> {
        self.at((self.count() * 95).div_ceil(100))
    }

    pub fn max(&self) -> Option<Bracket> {
        self.at(self.count())
    }

    /// The value at this place, counted from 1.
    fn at(&self, place: usize) -> Option<Bracket> {
        let index = place.checked_sub(1)?;
        Some(Bracket { least: *self.least.get(index)?, most: *self.most.get(index)? })
    }
}

/// A measure that is known by its bracket. What is proven at least stands for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bracketed {
    pub name: &'static str,
    pub least: f64,
    pub most: f64,
}

impl Bracketed {
    /// A measure of time, in milliseconds.
    pub fn of_time(name: &'static str, bracket: Bracket) -> Self {
        Self { name, least: bracket.least as f64 / 1000.0, most: bracket.most as f64 / 1000.0 }
    }

    pub fn of_bytes(name: &'static str, bracket: Bracket) -> Self {
        Self { name, least: bracket.least as f64, most: bracket.most as f64 }
    }

    pub fn measure(self) -> Measure {
        Measure::new(self.name, self.least)
    }
}

/// Whether every value of the bracket keeps a bound, or none does; `None`: some do.
fn decided(bound: Bound, least: f64, most: f64) -> Option<bool> {
    let none = match bound {
        Bound::AtMost(edge) => least > edge,
        Bound::AtLeast(edge) => most < edge,
        Bound::Between(low, high) => least > high || most < low,
        Bound::Exactly(exact) => !(least..=most).contains(&exact),
    };
    // Bounds have no gaps: what both ends keep, all between them keep.
    match bound.holds(least) && bound.holds(most) {
        true => Some(true),
        false => none.then_some(false),
    }
}

/// The finding held to what the scenario expects of a measure that is among these.
pub fn held(finding: Finding, measures: &[Bracketed], expectation: &Expectation) -> Finding {
    let before = finding.outcome;
    let held = finding.held_against(expectation);
    let Some(own) = measures.iter().find(|own| own.name == expectation.measure) else { return held };
    match decided(expectation.bound, own.least, own.most) {
        Some(true) => Finding { outcome: before, ..held },
        Some(false) => Finding { outcome: Outcome::Fail, ..held },
        None => {
            let most = crate::quantity::written::value(own.name, own.most);
            let summary = format!("{}; it may be up to {most}, so the bound is neither kept nor missed", held.summary);
            Finding { outcome: before.max(Outcome::Inconclusive), summary, ..held }
        }
    }
}

/// What a bound on a time says that was at least this long, and is not known to have ended.
pub fn outcome_of_open(bound: Bound, least: f64) -> Outcome {
    match bound {
        Bound::AtLeast(edge) if least >= edge => Outcome::Pass,
        Bound::AtMost(edge) | Bound::Between(_, edge) | Bound::Exactly(edge) if least > edge => Outcome::Fail,
        _ => Outcome::Inconclusive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_at_a_place_lies_between_those_of_the_least_and_of_the_most() {
        let found: Distribution = (1..=20).map(|value| Bracket { least: value * 10, most: value * 10 + 5 }).collect();
        let figure = |least, most| Some(Bracket { least, most });
        assert_eq!((found.median(), found.p95(), found.max()), (figure(100, 105), figure(190, 195), figure(200, 205)));
        assert_eq!(Distribution::default().p95(), None);
    }

    #[test]
    fn a_bound_within_the_bracket_is_not_decided() {
        let between = Bound::Between(100.0, 500.0);
        assert_eq!(decided(between, 100.0, 500.0), Some(true));
        assert_eq!(decided(between, 90.0, 110.0), None);
        assert_eq!(decided(between, 90.0, 99.0), Some(false));
        assert_eq!(decided(between, 90.0, 600.0), None);
        assert_eq!(decided(Bound::AtMost(100.0), 90.0, 110.0), None);
        assert_eq!(decided(Bound::AtMost(100.0), 101.0, 110.0), Some(false));
        assert_eq!(decided(Bound::Exactly(0.0), 0.0, 3.0), None);
    }
}

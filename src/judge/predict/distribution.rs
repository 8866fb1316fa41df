//! The distribution of a time, on a grid: sums of spans in which every time is as likely as any other, and of measured times.

use crate::span::Span;

/// The finest step of the grid. Outages are measured to about 20 ms.
const FINEST_STEP_MS: u64 = 10;

/// A grid never has more steps than about this many.
const MOST_STEPS: u64 = 20_000;

/// How likely each time is. The time of step `i` is `from_ms + i × step_ms`.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    step_ms: u64,
    from_ms: u64,
    /// They sum to 1.
    likely: Vec<f64>,
}

impl Distribution {
    /// No time at all, on a grid that is fine enough for times up to `most_ms`.
    pub fn of_no_time(most_ms: u64) -> Self {
        let step_ms = FINEST_STEP_MS.max(most_ms.div_ceil(MOST_STEPS));
        Self { step_ms, from_ms: 0, likely: vec![1.0] }
    }

    /// This time and then another one, which lies in the span, each time in it as likely as any other.
    pub fn and_then(&self, span: Span) -> Self {
        let steps = (span.most_ms.saturating_sub(span.least_ms) / self.step_ms) as usize + 1;
        let share = 1.0 / steps as f64;
        let mut likely = Vec::with_capacity(self.likely.len() + steps);
        let mut sum: f64 = 0.0;
        for place in 0..self.likely.len() + steps - 1 {
            sum += self.likely.get(place).copied().unwrap_or(0.0);
            if let Some(gone) = place.checked_sub(steps) {
                sum -= self.likely.get(gone).copied().unwrap_or(0.0);
            }
            likely.push(sum.max(0.0) * share);
        }
        Self { from_ms: self.from_ms.saturating_add(span.least_ms), likely, ..*self }
    }

    /// This time and then one of those that were measured, each as likely as any other. None: no time more.
    pub fn and_then_one_of(&self, measured_ms: &[f64]) -> Self {
        if measured_ms.is_empty() {
            return self.clone();
        }
        let moved: Vec<Self> =
            measured_ms.iter().map(|ms| Self { from_ms: self.from_ms + ms.max(0.0) as u64, ..self.clone() }).collect();
        let share = 1.0 / moved.len() as f64;
        Self::any_of(moved.into_iter().map(|one| (share, one)))
    }

    /// One of these, each with its probability.
    pub fn any_of(ways: impl Iterator<Item = (f64, Self)>) -> Self {
        let ways: Vec<(f64, Self)> = ways.collect();
        let step_ms = ways.iter().map(|(_, way)| way.step_ms).max().unwrap_or(FINEST_STEP_MS);
        let from_ms = ways.iter().map(|(_, way)| way.from_ms).min().unwrap_or(0);
        let end = ways.iter().map(|(_, way)| way.place(from_ms, step_ms, way.likely.len())).max().unwrap_or(0);
        let mut likely = vec![0.0; end + 1];
        for (probability, way) in &ways {
            for (place, own) in way.likely.iter().enumerate() {
                likely[way.place(from_ms, step_ms, place)] += probability * own;
            }
        }
        Self { step_ms, from_ms, likely }.trimmed()
    }

    /// The later of this time and one in the span, which is independent of it.
    pub fn or_later(&self, span: Span) -> Self {
        let width = span.most_ms.saturating_sub(span.least_ms).max(1) as f64;
        let within = |ms: u64| ((ms as f64 - span.least_ms as f64) / width).clamp(0.0, 1.0);
        let end_ms = self.ms(self.likely.len()).max(span.most_ms);
        let steps = (end_ms.saturating_sub(self.from_ms) / self.step_ms) as usize + 1;
        let (mut own, mut before) = (0.0, 0.0);
        let likely = (0..steps).map(|place| {
            own += self.likely.get(place).copied().unwrap_or(0.0);
            let both = own * within(self.ms(place));
            let here = both - before;
            before = both;
            here.max(0.0)
        });
        Self { likely: likely.collect(), ..*self }.trimmed()
    }

    /// The probability of more than a time, in milliseconds.
    pub fn beyond(&self, bound_ms: f64) -> f64 {
        let over = self.likely.iter().enumerate().filter(|(place, _)| self.ms(*place) as f64 > bound_ms);
        over.map(|(_, likely)| likely).sum::<f64>().clamp(0.0, 1.0)
    }

    /// The time that this share of all times does not exceed.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let mut sum = 0.0;
        let place = self.likely.iter().position(|likely| {
            sum += likely;
            sum >= share - 1e-9
        });
        self.ms(place.unwrap_or(self.likely.len().saturating_sub(1))) as f64
    }

    /// The shortest time that can be.
    pub fn least_ms(&self) -> f64 {
        self.ms(0) as f64
    }

    /// The longest time that can be.
    pub fn most_ms(&self) -> f64 {
        self.ms(self.likely.len().saturating_sub(1)) as f64
    }

    /// The probability of the times from one to less than another, in milliseconds.
    pub fn between(&self, from_ms: f64, to_ms: f64) -> f64 {
        let inside = |(place, _): &(usize, &f64)| (from_ms..to_ms).contains(&(self.ms(*place) as f64));
        self.likely.iter().enumerate().filter(inside).map(|(_, likely)| likely).sum()
    }

    fn ms(&self, place: usize) -> u64 {
        self.from_ms + place as u64 * self.step_ms
    }

    /// The place on another grid.
    fn place(&self, from_ms: u64, step_ms: u64, place: usize) -> usize {
        ((self.ms(place).saturating_sub(from_ms) + step_ms / 2) / step_ms) as usize
    }

    /// Without times at either end that can't be.
    fn trimmed(mut self) -> Self {
        let first = self.likely.iter().position(|likely| *likely > 1e-12).unwrap_or(0);
        let last = self.likely.iter().rposition(|likely| *likely > 1e-12).unwrap_or(0);
        self.likely = self.likely.drain(first..=last.min(self.likely.len().saturating_sub(1))).collect();
        self.from_ms += first as u64 * self.step_ms;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(least_ms: u64, most_ms: u64) -> Span {
        Span { least_ms, most_ms }
    }

    fn close(found: f64, expected: f64, by: f64) {
        assert!((found - expected).abs() <= by, "{found} is not {expected}");
    }

    #[test]
    fn a_span_is_even_and_two_of_them_are_a_triangle() {
        let one = Distribution::of_no_time(10_000).and_then(span(1_000, 3_000));
        assert_eq!((one.least_ms(), one.most_ms()), (1_000.0, 3_000.0));
        close(one.quantile_ms(0.5), 2_000.0, 10.0);
        close(one.beyond(2_500.0), 0.25, 0.01);
        let two = one.and_then(span(0, 2_000));
        close(two.quantile_ms(0.5), 3_000.0, 10.0);
        // The sum of two even ones exceeds 4 of 1 to 5 with the probability 1/8.
        close(two.beyond(4_000.0), 0.125, 0.01);
    }

    #[test]
    fn measured_times_and_ways_are_mixed_by_their_probability() {
        let base = Distribution::of_no_time(10_000).and_then(span(1_000, 1_000));
        let mixed = base.and_then_one_of(&[100.0, 100.0, 100.0, 2_000.0]);
        close(mixed.beyond(1_500.0), 0.25, 1e-9);
        assert_eq!(base.and_then_one_of(&[]), base);
        let ways = Distribution::any_of([(0.75, base.clone()), (0.25, base.and_then(span(9_000, 9_000)))].into_iter());
        close(ways.beyond(5_000.0), 0.25, 1e-9);
        assert_eq!((ways.least_ms(), ways.most_ms()), (1_000.0, 10_000.0));
    }

    #[test]
    fn the_later_of_two_is_never_before_either() {
        let failover = Distribution::of_no_time(200_000).and_then(span(20_000, 40_000));
        assert!((failover.or_later(span(4_000, 14_000)).quantile_ms(0.5) - failover.quantile_ms(0.5)).abs() <= 10.0);
        let held_up = failover.or_later(span(60_000, 120_000));
        close(held_up.quantile_ms(0.5), 90_000.0, 20.0);
        close(held_up.beyond(0.0), 1.0, 1e-9);
    }

    #[test]
    fn a_long_time_has_a_coarse_grid() {
        let long = Distribution::of_no_time(86_400_000).and_then(span(0, 86_400_000));
        assert!(long.likely.len() < 21_000);
        close(long.quantile_ms(0.5), 43_200_000.0, 10_000.0);
    }
}

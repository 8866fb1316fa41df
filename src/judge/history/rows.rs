//! Sets of ledger rows, kept as ranges: a run writes tens of thousands of rows, nearly all in a row.

use std::collections::BTreeMap;

use super::event::SequenceRange;

/// Which writes a node holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// Of each client: ranges `from..=to`, sorted, neither overlapping nor touching.
    ranges: BTreeMap<u32, Vec<(u64, u64)>>,
}

impl Rows {
    /// The rows of these ranges, which may overlap and come in any order. One that ends before it begins has no rows.
    pub fn new(found: &[SequenceRange]) -> Self {
        let mut ranges: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
        for range in found.iter().filter(|range| range.from <= range.to) {
            ranges.entry(range.client).or_default().push((range.from, range.to));
        }
        for own in ranges.values_mut() {
            own.sort_unstable();
            own.dedup_by(|later, earlier| {
                let joined = later.0 <= earlier.1.saturating_add(1);
                if joined {
                    earlier.1 = earlier.1.max(later.1);
                }
                joined
            });
        }
        Self { ranges }
    }

    /// The rows of both sets.
    pub fn with(&self, other: &Rows) -> Self {
        let all = [self, other].into_iter().flat_map(|set| &set.ranges);
        let all = all.flat_map(|(client, own)| {
            own.iter().map(|(from, to)| SequenceRange { client: *client, from: *from, to: *to })
        });
        Self::new(&all.collect::<Vec<_>>())
    }

    pub fn contains(&self, client: u32, sequence: u64) -> bool {
        let Some(own) = self.ranges.get(&client) else { return false };
        let after = own.partition_point(|(from, _)| *from <= sequence);
        after.checked_sub(1).is_some_and(|index| sequence <= own[index].1)
    }

    /// How many rows there are; what is more than `u64` can hold counts as its maximum.
    pub fn count(&self) -> u64 {
        saturated(self.total())
    }

    fn total(&self) -> u128 {
        self.ranges.values().flatten().map(|(from, to)| length(*from, *to)).sum()
    }

    /// How many rows of these ranges repeat one that is in them already.
    pub fn repeated(found: &[SequenceRange]) -> u64 {
        let forward = found.iter().filter(|range| range.from <= range.to);
        let named: u128 = forward.map(|range| length(range.from, range.to)).sum();
        saturated(named.saturating_sub(Self::new(found).total()))
    }

    /// How many of these rows the other set does not have.
    pub fn missing_in(&self, other: &Rows) -> u64 {
        let own = self.ranges.iter().flat_map(|(client, own)| own.iter().map(|(from, to)| (*client, *from, *to)));
        saturated(own.map(|(client, from, to)| length(from, to) - other.shared(client, from, to)).sum())
    }

    /// The first of these rows, by client and sequence, that the other set does not have.
    pub fn first_missing_in(&self, other: &Rows) -> Option<(u32, u64)> {
        let mut own = self.ranges.iter().flat_map(|(client, own)| own.iter().map(|(from, to)| (*client, *from, *to)));
        own.find_map(|(client, from, to)| {
            let theirs = other.ranges.get(&client).map(Vec::as_slice).unwrap_or_default();
            let around = theirs.iter().find(|(their_from, their_to)| *their_from <= from && *their_to >= from);
            let first = around.map_or(Some(from), |(_, their_to)| their_to.checked_add(1))?;
            (first <= to).then_some((client, first))
        })
    }

    /// How many rows of a range are in this set.
    fn shared(&self, client: u32, from: u64, to: u64) -> u128 {
        let own = self.ranges.get(&client).map(Vec::as_slice).unwrap_or_default();
        let first = own.partition_point(|(_, own_to)| *own_to < from);
        let touching = own[first..].iter().take_while(|(own_from, _)| *own_from <= to);
        touching.map(|(own_from, own_to)| length(from.max(*own_from), to.min(*own_to))).sum()
    }
}

/// Rows of a range that does not end before it begins.
fn length(from: u64, to: u64) -> u128 {
    u128::from(to - from) + 1
}

fn saturated(rows: u128) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(ranges: &[(u32, u64, u64)]) -> Vec<SequenceRange> {
        ranges.iter().map(|&(client, from, to)| SequenceRange { client, from, to }).collect()
    }

    fn rows(own: &[(u32, u64, u64)]) -> Rows {
        Rows::new(&ranges(own))
    }

    #[test]
    fn overlapping_and_touching_ranges_are_one() {
        let rows = rows(&[(1, 5, 9), (1, 1, 4), (1, 8, 12), (2, 3, 3)]);
        assert_eq!(rows.count(), 13);
        assert!(rows.contains(1, 1) && rows.contains(1, 12) && rows.contains(2, 3));
        assert!(!rows.contains(1, 0) && !rows.contains(1, 13) && !rows.contains(2, 2) && !rows.contains(3, 1));
    }

    #[test]
    fn missing_rows_are_counted_one_way() {
        let (one, other) = (rows(&[(1, 1, 10), (2, 1, 5)]), rows(&[(1, 1, 3), (1, 6, 20)]));
        assert_eq!((one.missing_in(&other), other.missing_in(&one), one.missing_in(&one)), (7, 10, 0));
        assert_eq!((one.first_missing_in(&other), other.first_missing_in(&one)), (Some((1, 4)), Some((1, 11))));
        assert_eq!(one.first_missing_in(&one), None);
    }

    #[test]
    fn repeated_rows_are_those_beyond_the_distinct_ones() {
        assert_eq!(Rows::repeated(&ranges(&[(1, 1, 10), (1, 8, 12), (1, 8, 9), (2, 1, 5)])), 5);
        assert_eq!(Rows::repeated(&ranges(&[(1, 1, 10), (1, 11, 12), (2, 1, 5)])), 0);
    }

    #[test]
    fn ranges_of_any_size_are_counted_without_overflow() {
        let all = rows(&[(1, 0, u64::MAX), (2, 0, u64::MAX), (3, 9, 3)]);
        assert_eq!((all.count(), all.missing_in(&Rows::default()), all.missing_in(&all)), (u64::MAX, u64::MAX, 0));
        assert_eq!(Rows::default().missing_in(&all), 0);
    }
}

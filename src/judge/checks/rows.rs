//! Sets of ledger rows, kept as ranges: a run writes tens of thousands of rows, nearly all in a row.

use std::collections::BTreeMap;

use crate::history::event::SequenceRange;

/// Which writes a node holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// Of each client: ranges `from..=to`, sorted, neither overlapping nor touching.
    ranges: BTreeMap<u32, Vec<(u64, u64)>>,
}

impl Rows {
    /// The rows of these ranges, which may overlap and come in any order.
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

    pub fn contains(&self, client: u32, sequence: u64) -> bool {
        let Some(own) = self.ranges.get(&client) else { return false };
        let after = own.partition_point(|(from, _)| *from <= sequence);
        after.checked_sub(1).is_some_and(|index| sequence <= own[index].1)
    }

    pub fn count(&self) -> u64 {
        self.ranges.values().flatten().map(|(from, to)| to - from + 1).sum()
    }

    /// How many of these rows the other set does not have.
    pub fn missing_in(&self, other: &Rows) -> u64 {
        let shared = |(client, from, to): (u32, u64, u64)| {
            let theirs = other.ranges.get(&client).map(Vec::as_slice).unwrap_or_default();
            theirs
                .iter()
                .filter(|their| their.0 <= to && their.1 >= from)
                .map(|their| to.min(their.1) - from.max(their.0) + 1)
                .sum::<u64>()
        };
        let own = self.ranges.iter().flat_map(|(client, own)| own.iter().map(|(from, to)| (*client, *from, *to)));
        self.count() - own.map(shared).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(ranges: &[(u32, u64, u64)]) -> Rows {
        let ranges: Vec<_> = ranges.iter().map(|&(client, from, to)| SequenceRange { client, from, to }).collect();
        Rows::new(&ranges)
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
    }
}

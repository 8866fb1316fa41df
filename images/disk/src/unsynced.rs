//! Bytes of one file that were written and not yet synced: pure data, byte exact, in order of offset.

use std::collections::BTreeMap;

/// Writes that follow each other are joined up to this length, which bounds what a later split has to copy.
const EXTENT_MAX_BYTES: usize = 128 * 1024;

/// Sparse extents over a backing file. They are never empty and never overlap.
#[derive(Debug, Default)]
pub struct Unsynced {
    extents: BTreeMap<u64, Vec<u8>>,
    bytes: u64,
}

impl Unsynced {
    /// How many bytes are held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    /// Every extent with its offset, in order.
    pub fn extents(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.extents.iter().map(|(offset, bytes)| (*offset, bytes.as_slice()))
    }

    /// Puts `data` at `offset`, over whatever was there.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        if data.is_empty() || self.overwrite(offset, data) {
            return;
        }
        self.remove(offset, end_of(offset, data));
        self.bytes += length(data);
        if let Some((start, extent)) = self.extents.range_mut(..offset).next_back() {
            if end_of(*start, extent) == offset && extent.len() + data.len() <= EXTENT_MAX_BYTES {
                extent.extend_from_slice(data);
                return;
            }
        }
        self.extents.insert(offset, data.to_vec());
    }

    /// The common case of a page written again: copies into the extent that has the whole range, if one has.
    fn overwrite(&mut self, offset: u64, data: &[u8]) -> bool {
        let Some((start, extent)) = self.extents.range_mut(..=offset).next_back() else { return false };
        let from = index(offset - start);
        match extent.get_mut(from..from.saturating_add(data.len())) {
            Some(place) => {
                place.copy_from_slice(data);
                true
            }
            None => false,
        }
    }

    /// Lays what is held over `buffer`, which has the backing file's bytes from `offset` on.
    pub fn read_into(&self, offset: u64, buffer: &mut [u8]) {
        let end = end_of(offset, buffer);
        let before = self.extents.range(..offset).next_back();
        for (start, extent) in before.into_iter().chain(self.extents.range(offset..end)) {
            let from = offset.max(*start);
            let to = end.min(end_of(*start, extent));
            if from < to {
                buffer[index(from - offset)..index(to - offset)]
                    .copy_from_slice(&extent[index(from - start)..index(to - start)]);
            }
        }
    }

    /// Forgets what is held from `from` up to and without `to`.
    pub fn remove(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let mut tail = None;
        if let Some((start, extent)) = self.extents.range_mut(..from).next_back() {
            let end = end_of(*start, extent);
            if end > from {
                tail = (end > to).then(|| extent.split_off(index(to - start)));
                extent.truncate(index(from - start));
                self.bytes -= end.min(to) - from;
            }
        }
        while let Some((&start, _)) = self.extents.range(from..to).next() {
            let Some(mut extent) = self.extents.remove(&start) else { break };
            let end = end_of(start, &extent);
            tail = (end > to).then(|| extent.split_off(index(to - start)));
            self.bytes -= end.min(to) - start;
        }
        if let Some(tail) = tail {
            self.extents.insert(to, tail);
        }
    }

    /// Forgets what is held from `size` on.
    pub fn truncate(&mut self, size: u64) {
        self.remove(size, u64::MAX);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A distance inside an extent or a buffer: as both are in memory, it fits.
fn index(distance: u64) -> usize {
    usize::try_from(distance).unwrap_or(usize::MAX)
}

fn length(data: &[u8]) -> u64 {
    u64::try_from(data.len()).unwrap_or(u64::MAX)
}

fn end_of(offset: u64, data: &[u8]) -> u64 {
    offset.saturating_add(length(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same as a plain vector with a hole where nothing is held.
    #[derive(Clone)]
    struct Model(Vec<Option<u8>>);

    impl Model {
        fn write(&mut self, offset: usize, data: &[u8]) {
            data.iter().enumerate().for_each(|(at, byte)| self.0[offset + at] = Some(*byte));
        }

        fn remove(&mut self, from: usize, to: usize) {
            self.0[from..to].fill(None);
        }

        fn agrees_with(&self, unsynced: &Unsynced) {
            let held = self.0.iter().flatten().count();
            assert_eq!(unsynced.bytes(), held as u64);
            assert_eq!(unsynced.is_empty(), held == 0);
            let mut end = 0;
            for (offset, extent) in unsynced.extents() {
                assert!(!extent.is_empty() && offset >= end, "extent at {offset} is empty or overlaps");
                end = offset + extent.len() as u64;
            }
            assert_eq!(unsynced.extents().map(|(_, extent)| extent.len()).sum::<usize>(), held);
        }

        /// Over a backing file of 0xff, the bytes of `from..to`.
        fn read(&self, from: usize, to: usize) -> Vec<u8> {
            self.0[from..to].iter().map(|byte| byte.unwrap_or(0xff)).collect()
        }
    }

    fn read(unsynced: &Unsynced, from: usize, to: usize) -> Vec<u8> {
        let mut buffer = vec![0xff; to - from];
        unsynced.read_into(from as u64, &mut buffer);
        buffer
    }

    /// Every sequence of three writes and removals over five bytes.
    #[test]
    fn it_agrees_with_a_plain_vector_in_every_small_case() {
        const SIZE: usize = 5;
        let ranges: Vec<(usize, usize)> =
            (0..SIZE).flat_map(|from| (from + 1..=SIZE).map(move |to| (from, to))).collect();
        let steps: Vec<(bool, usize, usize)> =
            [true, false].iter().flat_map(|write| ranges.iter().map(|(from, to)| (*write, *from, *to))).collect();
        for code in 0..steps.len().pow(3) {
            let (mut unsynced, mut model) = (Unsynced::default(), Model(vec![None; SIZE]));
            for turn in 0..3 {
                let (write, from, to) = steps[code / steps.len().pow(turn) % steps.len()];
                if write {
                    let data = vec![turn as u8; to - from];
                    unsynced.write(from as u64, &data);
                    model.write(from, &data);
                } else {
                    unsynced.remove(from as u64, to as u64);
                    model.remove(from, to);
                }
            }
            model.agrees_with(&unsynced);
            assert_eq!(read(&unsynced, 0, SIZE), model.read(0, SIZE), "sequence {code}");
            let (_, from, to) = steps[code % steps.len()];
            assert_eq!(read(&unsynced, from, to), model.read(from, to), "sequence {code}, {from}..{to}");
        }
    }

    /// A fixed sequence of numbers that look random (xorshift64).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % limit as u64) as usize
        }
    }

    /// Long random runs with lengths around the one up to which extents are joined.
    #[test]
    fn it_agrees_with_a_plain_vector_in_long_random_runs() {
        const SIZE: usize = 4 * EXTENT_MAX_BYTES;
        for seed in 1..=8 {
            let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 ^ seed);
            let (mut unsynced, mut model) = (Unsynced::default(), Model(vec![None; SIZE]));
            let mut next = 0;
            for turn in 0..400 {
                let length = [1, 8192, 100_000][numbers.below(3)].min(SIZE);
                // Every other write goes on where the last one ended, as a log does.
                let from = if numbers.below(2) == 0 { next } else { numbers.below(SIZE) };
                let to = (from + length).min(SIZE);
                match numbers.below(8) {
                    0 => {
                        unsynced.remove(from as u64, to as u64);
                        model.remove(from, to);
                    }
                    1 if turn % 7 == 0 => {
                        unsynced.truncate(from as u64);
                        model.remove(from, SIZE);
                    }
                    _ => {
                        let data: Vec<u8> = (from..to).map(|at| (at + turn) as u8).collect();
                        unsynced.write(from as u64, &data);
                        model.write(from, &data);
                        next = to % SIZE;
                    }
                }
                assert_eq!(read(&unsynced, from, to), model.read(from, to), "seed {seed}, turn {turn}");
            }
            model.agrees_with(&unsynced);
            assert_eq!(read(&unsynced, 0, SIZE), model.read(0, SIZE), "seed {seed}");
        }
    }

    #[test]
    fn writes_that_follow_each_other_are_one_extent_up_to_a_length() {
        let mut unsynced = Unsynced::default();
        let page = [7; 8192];
        (0..16).for_each(|number| unsynced.write(number * 8192, &page));
        assert_eq!(unsynced.extents().count(), 1);
        unsynced.write(16 * 8192, &page);
        assert_eq!(unsynced.extents().count(), 2);
        unsynced.clear();
        assert!(unsynced.is_empty() && unsynced.bytes() == 0);
    }
}

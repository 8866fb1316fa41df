//! Places labels above a bar so that neither they nor the lines that lead to them touch.

/// A label that starts at the line leading up to it, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flag {
    pub x: f64,
    pub width: f64,
}

/// The row of each flag, 0 being next to the bar. Flags are given from left to right.
///
/// Placed from right to left, each above every flag that starts under it: so it covers neither their texts nor the
/// lines that lead up to them.
pub fn rows(flags: &[Flag]) -> Vec<usize> {
    let mut rows = vec![0; flags.len()];
    for (place, flag) in flags.iter().enumerate().rev() {
        let right = flags.iter().zip(&rows).skip(place + 1);
        let covered = right.filter(|(other, _)| other.x < flag.x + flag.width).map(|(_, row)| row + 1);
        rows[place] = covered.max().unwrap_or(0);
    }
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn far_apart_labels_share_the_first_row() {
        assert_eq!(rows(&[Flag { x: 0.0, width: 40.0 }, Flag { x: 50.0, width: 40.0 }]), [0, 0]);
    }

    #[test]
    fn close_labels_climb_to_the_left() {
        let flags = [0.0, 5.0, 10.0].map(|x| Flag { x, width: 40.0 });
        assert_eq!(rows(&flags), [2, 1, 0]);
    }

    proptest! {
        #[test]
        fn neither_labels_nor_lines_touch(mut widths in prop::collection::vec((0.0..900.0f64, 10.0..200.0f64), 1..12)) {
            widths.sort_by(|a, b| a.0.total_cmp(&b.0));
            let flags: Vec<_> = widths.into_iter().map(|(x, width)| Flag { x, width }).collect();
            let rows = rows(&flags);
            for (left, a) in flags.iter().enumerate() {
                for (right, b) in flags.iter().enumerate().skip(left + 1) {
                    if rows[left] == rows[right] {
                        prop_assert!(a.x + a.width <= b.x);
                    }
                    // The line of b passes all rows below its own.
                    if rows[left] < rows[right] {
                        prop_assert!(!(a.x < b.x && b.x < a.x + a.width));
                    }
                }
            }
        }
    }
}

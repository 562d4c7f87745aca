//! What is read again is read in portions, so that it has room.

use std::ops::Range;

/// Divides what costs `costs`, in its order, into portions that cost at most `most` each. What costs more
/// by itself is a portion of its own.
pub(crate) fn portions(costs: impl IntoIterator<Item = u64>, most: u64) -> Vec<Range<usize>> {
    let (mut all, mut begin, mut end, mut taken) = (Vec::new(), 0, 0, 0);
    for cost in costs {
        if end > begin && taken + cost > most {
            all.push(begin..end);
            (begin, taken) = (end, 0);
        }
        taken += cost;
        end += 1;
    }
    if begin < end {
        all.push(begin..end);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::portions;

    #[test]
    fn each_has_room_or_stands_alone() {
        assert!(portions([], 10).is_empty());
        assert_eq!(portions([4, 6, 1, 30, 2, 8, 1], 10), [0..2, 2..3, 3..4, 4..6, 6..7]);
        assert_eq!(portions([0, 0, 1], 0), [0..2, 2..3]);
    }
}

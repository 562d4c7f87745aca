//! Who brings the copies of a storm: the most frequent sources, counted in bounded room.

use crate::facts::SourceId;

/// Sources kept for one storm.
pub const MAX_SOURCES: usize = 32;

/// Bytes kept of a source's name; [`crate::facts::Source::id`] makes none longer than 45, but for users
/// with long names: those that begin alike are one source here.
const MAX_SOURCE_BYTES: usize = 64;

/// One source and its copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceCount {
    /// Who.
    pub source: SourceId,
    /// Copies, never fewer than it brought.
    pub copies: u64,
    /// By how much `copies` may be too many: what stood in the place it took over. 0: exact.
    pub over: u64,
}

/// The most frequent sources by *space-saving* (Metwally, Agrawal, El Abbadi, "Efficient
/// Computation of Frequent and Top-k Elements in Data Streams", ICDT 2005): any source with more
/// than 1/32 of the copies is in it. When it is full, a new source takes the place of the rarest
/// one and inherits its count as possible error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    counts: Vec<SourceCount>,
}

impl Sources {
    /// Counts one copy from `source`. Allocates only for the first 32 sources.
    pub fn add(&mut self, source: &SourceId) {
        let name = cut(&source.0, MAX_SOURCE_BYTES);
        if let Some(known) = self.counts.iter_mut().find(|c| c.source.0 == name) {
            known.copies += 1;
        } else if self.counts.len() < MAX_SOURCES {
            let mut text = String::with_capacity(MAX_SOURCE_BYTES);
            text.push_str(name);
            self.counts.push(SourceCount { source: SourceId(text), copies: 1, over: 0 });
        } else if let Some(rarest) = self.counts.iter_mut().min_by_key(|c| c.copies) {
            rarest.over = rarest.copies;
            rarest.copies += 1;
            rarest.source.0.clear();
            rarest.source.0.push_str(name);
        }
    }

    /// Takes back what was stored; beyond [`MAX_SOURCES`] the most frequent stay.
    pub fn restore(counts: impl IntoIterator<Item = SourceCount>) -> Self {
        let mut all = Self { counts: counts.into_iter().collect() };
        all.counts.sort_by_key(|c| std::cmp::Reverse(c.copies));
        all.counts.truncate(MAX_SOURCES);
        all
    }

    /// The most frequent first; equal ones by name.
    pub fn top(&self) -> Vec<&SourceCount> {
        let mut top: Vec<_> = self.counts.iter().collect();
        top.sort_by(|a, b| b.copies.cmp(&a.copies).then_with(|| a.source.cmp(&b.source)));
        top
    }

    /// True once sources have had to give way: then there were more than are listed.
    pub fn is_partial(&self) -> bool {
        self.counts.iter().any(|c| c.over > 0)
    }
}

/// `text` up to `max_bytes`, whole characters only.
pub(crate) fn cut(text: &str, max_bytes: usize) -> &str {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn bounds_hold_against_exact_counts(stream in prop::collection::vec(0u8..80, 0..2000)) {
            let (mut sources, mut exact) = (Sources::default(), HashMap::new());
            for n in &stream {
                sources.add(&SourceId(n.to_string()));
                *exact.entry(n.to_string()).or_insert(0u64) += 1;
            }
            prop_assert!(sources.counts.len() <= MAX_SOURCES);
            for c in &sources.counts {
                let truth = exact[&c.source.0];
                prop_assert!(c.copies >= truth && c.copies - c.over <= truth);
            }
            for (name, n) in exact {
                if n > stream.len() as u64 / MAX_SOURCES as u64 {
                    prop_assert!(sources.counts.iter().any(|c| c.source.0 == name));
                }
            }
        }

        #[test]
        fn cuts_between_characters(text: String, max in 0usize..20) {
            let short = cut(&text, max);
            prop_assert!(short.len() <= max && text.starts_with(short));
        }
    }
}

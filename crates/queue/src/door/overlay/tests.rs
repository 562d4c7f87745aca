use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A value with the count that is written beside it, and how large it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Value {
    state: u32,
    count: u32,
    bytes: usize,
}

fn value(state: u32, count: u32) -> Value {
    Value { state, count, bytes: 8 }
}

impl Bulk for Value {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

#[derive(Debug, Clone)]
enum Op {
    Put(u8, Option<u32>),
    Count(u8, u32),
    Read(u8),
    Take,
    Durable,
    Fail,
    Passes(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let key = 0u8..6;
    prop_oneof![
        4 => (key.clone(), any::<Option<u32>>()).prop_map(|(k, v)| Op::Put(k, v)),
        2 => (key.clone(), any::<u32>()).prop_map(|(k, v)| Op::Count(k, v)),
        4 => key.prop_map(Op::Read),
        3 => Just(Op::Take),
        3 => Just(Op::Durable),
        1 => Just(Op::Fail),
        3 => (0..KEPT_MS).prop_map(Op::Passes),
    ]
}

/// What the layer and the store below it must say.
#[derive(Default)]
struct Model {
    store: BTreeMap<u8, Value>,
    writing: Option<BTreeMap<u8, Option<Value>>>,
    gathered: BTreeMap<u8, Option<Value>>,
    /// Counts written with the batch being gathered, and with the one being written.
    counts: [BTreeMap<u8, u32>; 2],
    /// The batch being gathered.
    number: u64,
    now_ms: u64,
    /// When each key was last written or read.
    touched_ms: BTreeMap<u8, u64>,
}

impl Model {
    /// As it will stand when all is durable.
    fn will_be(&self, key: u8) -> Option<Value> {
        let of_writing = || self.writing.as_ref().and_then(|w| w.get(&key).copied());
        let decided = self.gathered.get(&key).copied().or_else(of_writing);
        let value = decided.unwrap_or_else(|| self.store.get(&key).copied());
        value.map(|v| Value { count: self.count(key).unwrap_or(v.count), ..v })
    }

    /// A count under way.
    fn count(&self, key: u8) -> Option<u32> {
        self.counts.iter().find_map(|counts| counts.get(&key).copied())
    }

    fn batch(&self, key: u8) -> Option<u64> {
        if self.gathered.contains_key(&key) {
            return Some(self.number);
        }
        self.writing.as_ref().filter(|w| w.contains_key(&key)).map(|_| self.number - 1)
    }

    fn take(&mut self, layer: &mut Layer<u8, Value>) {
        if self.writing.is_some() {
            return;
        }
        let mut taken = BTreeMap::new();
        layer.take_dirty(|key, value| {
            assert!(taken.insert(*key, value).is_none(), "{key} was taken twice");
        });
        let gathered = std::mem::take(&mut self.gathered);
        assert_eq!(taken, gathered);
        self.writing = Some(gathered);
        self.counts[1] = std::mem::take(&mut self.counts[0]);
        self.number += 1;
    }

    /// In the order of [`crate::store::Store::commit`].
    fn durable(&mut self, layer: &mut Layer<u8, Value>) {
        let Some(written) = self.writing.take() else { return };
        self.touched_ms.extend(written.keys().map(|key| (*key, self.now_ms)));
        let rows = written.iter().filter_map(|(key, value)| Some((*key, (*value)?)));
        self.store.extend(rows);
        for (key, count) in std::mem::take(&mut self.counts[1]) {
            self.store.entry(key).and_modify(|v| v.count = count);
        }
        self.store.retain(|key, _| written.get(key) != Some(&None));
        layer.durable(self.number - 1, self.now_ms);
    }

    fn run(&mut self, layer: &mut Layer<u8, Value>, op: Op) {
        match op {
            Op::Put(key, state) => {
                let count = self.count(key).or(self.will_be(key).map(|v| v.count));
                let value = state.map(|state| value(state, count.unwrap_or(0)));
                layer.put(key, value, self.number);
                self.gathered.insert(key, value);
            }
            Op::Count(key, _) if self.will_be(key).is_none() => {}
            Op::Count(key, count) => {
                layer.patch(&key, |v| v.count = count);
                self.counts[0].insert(key, count);
                self.gathered.entry(key).and_modify(|v| *v = v.map(|v| Value { count, ..v }));
            }
            Op::Read(key) => {
                let counts = self.counts.iter().any(|counts| !counts.is_empty());
                if layer.get(&key).is_none()
                    && !counts
                    && let Some(value) = self.store.get(&key)
                {
                    layer.keep(key, *value, self.now_ms);
                    self.touched_ms.insert(key, self.now_ms);
                }
            }
            Op::Take => self.take(layer),
            Op::Durable => self.durable(layer),
            Op::Fail => {
                layer.clear();
                (self.writing, self.gathered, self.counts) = Default::default();
                self.touched_ms.clear();
                self.number += 1;
            }
            Op::Passes(ms) => {
                self.now_ms += ms;
                layer.forget_old(self.now_ms);
            }
        }
    }

    fn check(&self, layer: &Layer<u8, Value>) -> Result<(), TestCaseError> {
        for key in 0..6 {
            prop_assert_eq!(layer.batch(&key), self.batch(key), "the batch of {}", key);
            match layer.get(&key) {
                Some(value) => prop_assert_eq!(value.copied(), self.will_be(key), "the value of {}", key),
                None => prop_assert_eq!(self.batch(key), None, "{} waits and is not here", key),
            }
            let touched = self.touched_ms.get(&key).filter(|at| *at + KEPT_MS > self.now_ms);
            let kept = self.batch(key).is_none() && layer.get(&key).is_some();
            prop_assert!(!kept || touched.is_some(), "{} is kept for too long", key);
        }
        prop_assert_eq!(layer.has_dirty(), !self.gathered.is_empty());
        Ok(())
    }
}

proptest! {
    /// Whatever happens in whatever order: what stands here is what the store will say, what waits
    /// for a batch says so and stays, and what is clean goes in its time.
    #[test]
    fn says_what_the_store_will_say(ops in prop::collection::vec(op(), 0..60)) {
        let (mut layer, mut model) = (Layer::default(), Model { number: 1, ..Model::default() });
        for op in ops {
            model.run(&mut layer, op);
            model.check(&layer)?;
        }
    }

    #[test]
    fn clean_values_are_bounded_and_others_are_not(sizes in prop::collection::vec(0..KEPT_BYTES / 3, 1..40)) {
        let mut layer: Layer<usize, Value> = Layer::default();
        for (key, size) in sizes.iter().enumerate() {
            layer.put(key, Some(Value { bytes: *size, ..value(0, 0) }), 1);
        }
        prop_assert!((0..sizes.len()).all(|key| layer.batch(&key) == Some(1)));
        layer.take_dirty(|_, _| ());
        layer.durable(1, 0);
        let kept = |key: &usize| layer.get(key).is_some();
        let bytes: usize = (0..sizes.len()).filter(kept).map(|key| sizes[key]).sum();
        prop_assert!(bytes <= KEPT_BYTES);
        prop_assert!((0..sizes.len()).map(|key| kept(&key)).is_sorted(), "the oldest go first");
        prop_assert!(kept(&(sizes.len() - 1)));
        prop_assert_eq!(layer.entries.len(), layer.clean.len());
    }
}

#[test]
fn a_value_that_changed_again_waits_for_the_later_batch() {
    let mut layer: Layer<u8, Value> = Layer::default();
    layer.put(1, Some(value(1, 0)), 1);
    layer.take_dirty(|_, _| ());
    layer.put(1, Some(value(2, 0)), 2);
    layer.durable(1, 0);
    assert_eq!((layer.batch(&1), layer.get(&1)), (Some(2), Some(Some(&value(2, 0)))));
    layer.take_dirty(|_, _| ());
    layer.durable(2, 5);
    assert_eq!((layer.batch(&1), layer.get(&1)), (None, Some(Some(&value(2, 0)))));
    layer.forget_old(4 + KEPT_MS);
    assert!(layer.get(&1).is_some());
    layer.forget_old(5 + KEPT_MS);
    assert_eq!(layer.get(&1), None);
}

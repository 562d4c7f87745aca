//! What next hops have said of recipients.

use std::collections::{HashMap, VecDeque};

use quell_relay::reception::Asked;
use tokio::time::Instant;

/// Recipients remembered that are there, and as many that are not; beyond that the one asked for
/// first is forgotten. They are counted apart: whoever guesses at names shall not push out those that
/// exist.
const REMEMBERED: usize = 100_000;

/// What is remembered of a recipient.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub asked: Asked,
    pub at: Instant,
}

/// The answers, by next hop and recipient.
#[derive(Debug)]
pub(super) struct Answers {
    there: Bounded,
    nobody: Bounded,
}

impl Default for Answers {
    fn default() -> Self {
        Self::holding(REMEMBERED)
    }
}

impl Answers {
    fn holding(most: usize) -> Self {
        let empty = || Bounded { most, at: HashMap::new(), order: VecDeque::new(), next: 0 };
        Self { there: empty(), nobody: empty() }
    }

    /// What is known.
    pub fn get(&self, key: &str) -> Option<Known> {
        let known = |asked, of: &Bounded| of.at.get(key).map(|known| Known { asked, at: known.0 });
        known(Asked::Exists, &self.there).or_else(|| known(Asked::Unknown, &self.nobody))
    }

    /// Remembers an answer. That nobody could say is none.
    pub fn put(&mut self, key: String, known: Known) {
        let (of, other) = match known.asked {
            Asked::Exists => (&mut self.there, &mut self.nobody),
            Asked::Unknown => (&mut self.nobody, &mut self.there),
            Asked::CannotTell => return,
        };
        other.at.remove(&key);
        of.put(key, known.at);
    }
}

#[derive(Debug)]
struct Bounded {
    most: usize,
    at: HashMap<String, (Instant, u64)>,
    /// In the order in which they came, each with its number. May name some that are gone; at most
    /// twice as many as are remembered.
    order: VecDeque<(String, u64)>,
    next: u64,
}

impl Bounded {
    fn put(&mut self, key: String, at: Instant) {
        if let Some(known) = self.at.get_mut(&key) {
            known.0 = at;
            return;
        }
        self.next += 1;
        self.at.insert(key.clone(), (at, self.next));
        self.order.push_back((key, self.next));
        while self.at.len() > self.most || self.order.len() > 2 * self.most {
            let Some((oldest, number)) = self.order.pop_front() else { return };
            // It may have gone, and come again since.
            if self.at.get(&oldest).is_some_and(|known| known.1 == number) {
                self.at.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessed_names_do_not_push_out_those_that_are_there() {
        let (mut answers, at) = (Answers::holding(10), Instant::now());
        let put = |answers: &mut Answers, key: &str, asked| answers.put(key.to_owned(), Known { asked, at });
        put(&mut answers, "jane", Asked::Exists);
        put(&mut answers, "bob", Asked::Unknown);
        (0..1000).for_each(|n| put(&mut answers, &format!("guess-{n}"), Asked::Unknown));
        let asked = |answers: &Answers, key: &str| answers.get(key).map(|known| known.asked);
        assert_eq!(asked(&answers, "jane"), Some(Asked::Exists));
        assert_eq!(asked(&answers, "bob"), None);
        assert_eq!((answers.nobody.at.len(), answers.nobody.order.len()), (10, 10));
        put(&mut answers, "guess-999", Asked::Exists);
        put(&mut answers, "jane", Asked::Unknown);
        put(&mut answers, "jane", Asked::CannotTell);
        assert_eq!(asked(&answers, "guess-999"), Some(Asked::Exists));
        assert_eq!(asked(&answers, "jane"), Some(Asked::Unknown), "the last answer counts");
    }

    #[test]
    fn one_that_comes_and_goes_takes_no_room() {
        let (mut answers, at) = (Answers::holding(10), Instant::now());
        for n in 0..1000 {
            let asked = if n % 2 == 0 { Asked::Exists } else { Asked::Unknown };
            answers.put("jane".to_owned(), Known { asked, at });
            assert!(answers.there.order.len() <= 20 && answers.nobody.order.len() <= 20);
            assert_eq!(answers.get("jane").map(|known| known.asked), Some(asked));
        }
    }
}

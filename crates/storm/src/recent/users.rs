//! What each user who signs in has sent, and to whom: for `user_limit`.

use std::collections::BTreeMap;

use super::{Looked, Recent};
use crate::facts::{Facts, Ms};
use crate::limits::Limits;
use crate::rules::user_limit::is_over_new_recipients;
use crate::signs::Sent;
use crate::verdict::Class;

const MINUTE: Ms = 60_000;
const HOUR: Ms = 60 * MINUTE;
const DAY: Ms = 24 * HOUR;
/// Recipients remembered of one user. Of more, those written to longest ago are new again: 8 KiB a user.
const MAX_KNOWN: usize = 1 << 10;
/// So many days a recipient is remembered after the last message to it.
const KNOWN_DAYS: u16 = 30;
/// For so long from their first message it is not known whom a user writes to.
const SETTLED_AFTER: Ms = 14 * DAY;

/// What came within a sliding window, in `N` parts of `part_ms`: the oldest is counted whole or not at all, so
/// that the window is up to one part shorter than it says.
#[derive(Debug, Clone)]
struct Parts<const N: usize> {
    part_ms: Ms,
    /// Number of the newest part since 1970.
    newest: Ms,
    counts: [u32; N],
}

impl<const N: usize> Parts<N> {
    fn new(part_ms: Ms) -> Self {
        Self { part_ms, newest: 0, counts: [0; N] }
    }

    fn place(part: Ms) -> usize {
        usize::try_from(part.rem_euclid(N as Ms)).unwrap_or(0)
    }

    /// How many came within the window.
    fn count(&self, now: Ms) -> u32 {
        let oldest = now.div_euclid(self.part_ms) - N as Ms + 1;
        let parts = oldest.max(self.newest - N as Ms + 1)..=self.newest;
        parts.map(|part| self.counts[Self::place(part)]).fold(0, u32::saturating_add)
    }

    fn add(&mut self, count: u32, now: Ms) {
        let part = now.div_euclid(self.part_ms).max(self.newest);
        // Parts in which nothing came.
        for gone in (self.newest + 1..=part).rev().take(N) {
            self.counts[Self::place(gone)] = 0;
        }
        self.newest = part;
        let slot = &mut self.counts[Self::place(part)];
        *slot = slot.saturating_add(count);
    }
}

/// One user.
#[derive(Debug, Clone)]
pub(super) struct User {
    began_ms: Ms,
    hour: Parts<12>,
    day: Parts<24>,
    new_recipients: Parts<24>,
    /// Hashes of recipients, in their order, and the day of the last message to each.
    known: Vec<(u32, u16)>,
}

impl User {
    fn new(now: Ms) -> Self {
        let (hour, day, new_recipients) = (Parts::new(5 * MINUTE), Parts::new(HOUR), Parts::new(HOUR));
        Self { began_ms: now, hour, day, new_recipients, known: Vec::new() }
    }

    pub fn heap_bytes(&self) -> usize {
        self.known.capacity() * size_of::<(u32, u16)>()
    }

    fn knows(&self, recipient: u32, now: Ms) -> bool {
        let found = self.known.binary_search_by_key(&recipient, |known| known.0);
        found.is_ok_and(|at| day_of(now).wrapping_sub(self.known[at].1) < KNOWN_DAYS)
    }

    fn learn(&mut self, recipient: u32, now: Ms) {
        let today = day_of(now);
        if let Ok(at) = self.known.binary_search_by_key(&recipient, |known| known.0) {
            self.known[at].1 = today;
            return;
        }
        if self.known.len() >= MAX_KNOWN {
            let age = |known: &(u32, u16)| today.wrapping_sub(known.1);
            let oldest = self.known.iter().enumerate().max_by_key(|(_, known)| age(known)).map(|(at, _)| at);
            if let Some(at) = oldest {
                self.known.remove(at);
            }
        }
        let at = self.known.partition_point(|known| known.0 < recipient);
        self.known.insert(at, (recipient, today));
    }
}

fn day_of(now: Ms) -> u16 {
    (now.div_euclid(DAY) & 0xffff) as u16
}

impl Recent {
    /// What the user will have sent with this message, for each recipient; None: nobody has signed in.
    pub(super) fn sent(&self, facts: &Facts, user: u64, now: Ms) -> Option<Vec<Sent>> {
        facts.source.user.as_ref()?;
        let fresh = User::new(now);
        let user = self.users.get(user).unwrap_or(&fresh);
        let before = user.new_recipients.count(now);
        // The numbers of the new ones among these, who may stand there twice.
        let mut numbers = BTreeMap::new();
        let sent = facts.recipients.iter().map(|recipient| {
            let hash = self.text_hash(&recipient.identity) as u32;
            let next = before.saturating_add(numbers.len() as u32).saturating_add(1);
            let number = (!user.knows(hash, now)).then(|| *numbers.entry(hash).or_insert(next));
            Sent {
                hour: user.hour.count(now).saturating_add(1),
                day: user.day.count(now).saturating_add(1),
                new_recipients: number,
                is_settled: now.saturating_sub(user.began_ms) >= SETTLED_AFTER,
            }
        });
        Some(sent.collect())
    }

    /// Counts a message. A recipient who was one too many is not remembered: the next message to them would
    /// pass.
    pub(super) fn note_sent_by_user(
        &mut self,
        facts: &Facts,
        looked: &Looked,
        is_new: &[bool],
        limits: &Limits,
        now: Ms,
    ) {
        let learned =
            facts.recipients.iter().zip(&looked.signs).zip(is_new).filter(|((_, signs), is_new)| {
                let over = signs.sent.is_some_and(|sent| is_over_new_recipients(&sent, &limits.user));
                **is_new && (!over || signs.released.has(Class::UserLimit))
            });
        let learned: Vec<u32> =
            learned.map(|((recipient, _), _)| self.text_hash(&recipient.identity) as u32).collect();
        if facts.source.user.is_none() {
            return;
        }
        let Some(user) = self.users.entry(looked.source, looked.source, now, || User::new(now)) else {
            return;
        };
        user.hour.add(1, now);
        user.day.add(1, now);
        for recipient in learned {
            if !user.knows(recipient, now) {
                user.new_recipients.add(1, now);
            }
            user.learn(recipient, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Ms = 1_795_000_000_000;

    proptest! {
        /// Beside the times themselves: never more than came within the window, and all that came within the window
        /// less one part.
        #[test]
        fn parts_count_as_a_list_of_times_does(steps in prop::collection::vec((0i64..900_000, 0u32..4), 0..80)) {
            let (mut parts, mut times, mut now) = (Parts::<12>::new(5 * MINUTE), Vec::new(), NOW);
            for (step, count) in steps {
                now += step;
                parts.add(count, now);
                times.push((now, count));
                let within = |window: Ms| times.iter().filter(|(at, _)| now - at < window).map(|(_, n)| n).sum::<u32>();
                let counted = parts.count(now);
                prop_assert!((within(55 * MINUTE)..=within(HOUR)).contains(&counted), "{}", counted);
            }
            prop_assert_eq!(parts.count(now + HOUR), 0);
        }

        #[test]
        fn recipients_are_remembered_in_bounded_room(steps in prop::collection::vec((0u32..3000, 0i64..3), 0..3000)) {
            let (mut user, mut now) = (User::new(NOW), NOW);
            for (recipient, days) in steps {
                now += days * DAY / 8;
                user.learn(recipient, now);
                prop_assert!(user.knows(recipient, now) && user.known.len() <= MAX_KNOWN);
                prop_assert!(user.known.is_sorted_by(|a, b| a.0 < b.0));
                prop_assert!(!user.knows(recipient, now + Ms::from(KNOWN_DAYS) * DAY));
            }
        }
    }

    #[test]
    fn whoever_was_written_to_longest_ago_gives_way() {
        let mut user = User::new(NOW);
        user.learn(7, NOW);
        (1000..1000 + MAX_KNOWN as u32).for_each(|n| user.learn(n, NOW + DAY));
        assert!(!user.knows(7, NOW + DAY) && user.knows(1000, NOW + DAY));
    }
}

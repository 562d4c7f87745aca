//! Reports, and what was sent that they may be about: for `bounces`.

use quell_mail::letter::address_hash;

use super::{Looked, Recent};
use crate::facts::{Facts, Ms};
use crate::signs::Reports;

const HOUR: Ms = 3_600_000;
/// So long after it was sent a message may come back (RFC 5321 §4.5.4.1).
const SENT_MS: Ms = 5 * 24 * HOUR;
/// So long after the first message went out it is known what did. Where none ever does, mail goes out
/// another way, and it never is.
const SETTLED_MS: Ms = 24 * HOUR;
/// The windows in which reports are counted.
const OF_RECIPIENT_MS: Ms = HOUR;
const OF_MESSAGE_MS: Ms = 24 * HOUR;

/// A count in a sliding window, of two buckets: within 1/2 of the truth at worst, and exact for what came
/// evenly.
#[derive(Debug, Clone, Copy, Default)]
struct Sliding {
    began_ms: Ms,
    before: u32,
    now: u32,
}

impl Sliding {
    fn at(mut self, window_ms: Ms, now: Ms) -> Self {
        let passed = now.saturating_sub(self.began_ms).div_euclid(window_ms);
        match passed {
            0 => {}
            1 => (self.before, self.now, self.began_ms) = (self.now, 0, self.began_ms + window_ms),
            _ => self = Self { began_ms: now, ..Self::default() },
        }
        self
    }

    fn count(self, window_ms: Ms, now: Ms) -> u32 {
        let slid = self.at(window_ms, now);
        let left = (window_ms - (now - slid.began_ms).clamp(0, window_ms)).unsigned_abs();
        let of_before = u64::from(slid.before) * left / window_ms.unsigned_abs().max(1);
        slid.now.saturating_add(u32::try_from(of_before).unwrap_or(u32::MAX))
    }

    fn add(&mut self, n: u32, window_ms: Ms, now: Ms) {
        *self = self.at(window_ms, now);
        self.now = self.now.saturating_add(n);
    }
}

/// An address that sends and gets reports.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Address {
    sent: Sliding,
    reports: Sliding,
}

/// A message that was sent and comes back.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Message {
    sent: Sliding,
    reports: Sliding,
}

impl Recent {
    pub(super) fn address_key(&self, facts: &Facts, i: usize) -> u64 {
        facts.recipients.get(i).map_or(0, |r| self.hash(b"address", &[plain_hash(&r.as_given)]))
    }

    /// The key of the message that a report for recipient `i` is about.
    /// Its sender is part of it: reports that somebody else gets say nothing of it.
    pub(super) fn report_key(&self, facts: &Facts, i: usize) -> Option<u64> {
        let original = facts.said.letter.report.as_ref()?.original?;
        let sender = facts.recipients.get(i).map_or(0, |r| plain_hash(&r.as_given));
        Some(self.hash(b"message", &[original, sender]))
    }

    /// What is counted of a report with this one; None: it is none.
    pub(super) fn reports(&self, facts: &Facts, i: usize, now: Ms) -> Option<Reports> {
        facts.said.letter.report.as_ref()?;
        let address = self.addresses.get(self.address_key(facts, i)).copied().unwrap_or_default();
        let key = self.report_key(facts, i);
        let message = key.and_then(|key| self.messages.get(key)).copied().unwrap_or_default();
        let message_sent = message.sent.count(SENT_MS, now);
        let of_recipient = address.reports.count(OF_RECIPIENT_MS, now);
        Some(Reports {
            of_recipient: of_recipient.saturating_add(u32::from(message_sent == 0)),
            sent: address.sent.count(SENT_MS, now),
            is_settled: self.began_sending_ms.is_some_and(|began| now.saturating_sub(began) >= SETTLED_MS),
            of_message: if key.is_some() {
                message.reports.count(OF_MESSAGE_MS, now).saturating_add(1)
            } else {
                0
            },
            message_sent,
        })
    }

    pub(super) fn note_reports(&mut self, facts: &Facts, looked: &Looked, is_new: &[bool], now: Ms) {
        if facts.said.letter.report.is_some() {
            for i in (0..facts.recipients.len()).filter(|i| is_new.get(*i) == Some(&true)) {
                self.note_report_of_message(facts, looked, i, now);
                let is_ours = looked.signs.get(i).and_then(|s| s.reports).is_some_and(|r| r.message_sent > 0);
                if is_ours {
                    continue;
                }
                let key = self.address_key(facts, i);
                if let Some(address) = self.addresses.entry(key, looked.source, now, Address::default) {
                    address.reports.add(1, OF_RECIPIENT_MS, now);
                }
            }
        } else if facts.source.inside && !facts.reverse_path.is_empty() {
            self.note_sent(facts, looked.source, now);
        }
    }

    fn note_report_of_message(&mut self, facts: &Facts, looked: &Looked, i: usize, now: Ms) {
        if let Some(key) = self.report_key(facts, i)
            && let Some(message) = self.messages.entry(key, looked.source, now, Message::default)
        {
            message.reports.add(1, OF_MESSAGE_MS, now);
        }
    }

    /// One of ours sends: so many reports may come back.
    fn note_sent(&mut self, facts: &Facts, source: u64, now: Ms) {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let to = count(facts.recipients.len());
        let outside = count(facts.recipients.iter().filter(|r| !r.is_ours).count());
        let from = self.hash(b"address", &[plain_hash(&facts.reverse_path)]);
        if let Some(address) = self.addresses.entry(from, source, now, Address::default) {
            address.sent.add(outside, SENT_MS, now);
        }
        self.began_sending_ms.get_or_insert(now);
        let Some(id) = facts.said.letter.message_id else { return };
        let key = self.hash(b"message", &[id, plain_hash(&facts.reverse_path)]);
        if let Some(message) = self.messages.entry(key, source, now, Message::default) {
            message.sent.add(to, SENT_MS, now);
        }
    }
}

/// The address without what stands behind a `+`: reports come back to a sender's address with a detail for
/// each recipient.
fn plain_hash(address: &str) -> u64 {
    match (address.split_once('+'), address.rsplit_once('@')) {
        (Some((local, _)), Some((_, domain))) if !local.contains('@') => {
            address_hash(&format!("{local}@{domain}"))
        }
        _ => address_hash(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_detail_does_not_count() {
        assert_eq!(plain_hash("bounces+7@firm.example"), plain_hash("Bounces@firm.example"));
        assert_ne!(plain_hash("bounces@other.example"), plain_hash("bounces@firm.example"));
        plain_hash("");
        plain_hash("a@b+c");
    }

    #[test]
    fn slides() {
        let mut count = Sliding::default();
        count.add(100, HOUR, 10 * HOUR);
        assert_eq!(count.count(HOUR, 10 * HOUR + HOUR / 2), 100);
        assert_eq!(count.count(HOUR, 11 * HOUR), 100);
        assert_eq!(count.count(HOUR, 11 * HOUR + HOUR / 2), 50);
        assert_eq!(count.count(HOUR, 12 * HOUR), 0);
    }

    proptest! {
        #[test]
        fn never_more_than_all_and_never_less_than_the_last(steps in prop::collection::vec((0i64..HOUR / 4, 0u32..9), 1..60)) {
            let (mut count, mut now, mut all) = (Sliding::default(), 1_800_000_000_000, 0);
            for (step, n) in steps {
                now += step;
                count.add(n, HOUR, now);
                all += n;
                let counted = count.count(HOUR, now);
                prop_assert!(counted <= all && counted >= n, "{counted} of {all}, {n} of these now");
            }
        }
    }
}

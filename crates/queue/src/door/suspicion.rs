//! The classes that look at what else came lately: what they are told, and the storms they find.

use quell_mail::key::LedgerKey;
use quell_storm::book::{CopySeen, Fate, KeyTotals};
use quell_storm::facts::{Counts, Facts, RowState, RowView, SourceId};
use quell_storm::judge::judge;
use quell_storm::policy::Policy;
use quell_storm::recent::Looked;
use quell_storm::signs::{ClassSet, Suspicion};
use quell_storm::storm_id::StormId;
use quell_storm::tell::Alert;
use quell_storm::verdict::{Class, Reason, Verdict};

use super::{Door, Effect, Incoming};
use crate::clock::Now;
use crate::store::Reader;

impl<R: Reader, T> Door<R, T> {
    /// What the tables say of an arrival. Of one that every recipient has already they are not asked.
    pub(super) fn look_at_what_came_lately(
        &self,
        facts: &Facts,
        rows: &[Option<RowView>],
        now: &Now,
    ) -> Looked {
        let may_be_new = |row: &Option<RowView>| row.as_ref().is_none_or(|row| row.state == RowState::Held);
        if !rows.iter().any(may_be_new) {
            return Looked::default();
        }
        let mut looked = self.recent.look(facts, &self.settings.limits, now.ms);
        if self.comes_in_parts {
            looked.is_part_of_a_message();
        }
        if self.book.has_released() {
            for i in 0..facts.recipients.len() {
                let released = self.released(facts, &looked, i);
                looked.release(i, released);
            }
        }
        looked
    }

    /// Why there is no room for an arrival: every recipient's storm holds as much as it may.
    pub(super) fn no_room_to_hold(
        &self,
        facts: &Facts,
        looked: &Looked,
        verdicts: &[Verdict],
    ) -> Option<String> {
        let mut id = None;
        for (i, verdict) in verdicts.iter().enumerate() {
            let Verdict::Hold(_, Reason::Suspect(suspicion, _)) = verdict else { return None };
            let (key, _) = self.recent.storm_key(facts, looked, i, suspicion.class());
            id = self.book.by_key(&key).filter(|_| self.book.is_full(&key)).map(|storm| storm.id);
            id?;
        }
        id.map(|id| format!("storm {id} holds as much as one may: release or discard its mail"))
    }

    /// Classes whose storm, if this were part of one, a person has released.
    fn released(&self, facts: &Facts, looked: &Looked, i: usize) -> ClassSet {
        let mut classes = ClassSet::default();
        for class in Class::ALL.into_iter().filter(|class| class.suspects()) {
            let (key, _) = self.recent.storm_key(facts, looked, i, class);
            if self.book.by_key(&key).is_some_and(|storm| storm.released) {
                classes.add(class);
            }
        }
        classes
    }

    /// Counts an arrival for those recipients for whom it is new.
    pub(super) fn note_what_came(&mut self, facts: &Facts, looked: &Looked, verdicts: &[Verdict], now: &Now) {
        let is_new = |verdict: &Verdict| {
            matches!(
                verdict.reason(),
                Reason::Suspect(..)
                    | Reason::Excepted(..)
                    | Reason::FirstArrival
                    | Reason::NoExactKey
                    | Reason::TokenWithoutRow
                    | Reason::OtherSourceThanHeld
            )
        };
        let new: Vec<bool> = verdicts.iter().map(is_new).collect();
        if !looked.signs.is_empty() {
            self.recent.note(facts, looked, &new, &self.settings.limits, now.ms);
        }
    }

    /// Whether what comes from now on is a further copy, for another recipient, of a message that a server got
    /// once for all of them: in an archive each mailbox has its own. It counts for everything but its source's
    /// volume.
    pub fn comes_in_parts(&mut self, does: bool) {
        self.comes_in_parts = does;
    }

    /// Judges an arrival that meets no row, and whose rows nobody will ever ask for; if it passes without a
    /// suspicion, the classes count it and nothing of it is kept: for a replay of old mail. None: it is to
    /// be accepted like any other.
    pub fn passes_by(&mut self, facts: &Facts, now: &Now) -> Option<(Reason, ClassSet)> {
        let rows = vec![None; facts.recipients.len()];
        let looked = self.look_at_what_came_lately(facts, &rows, now);
        let zeros = vec![0; facts.recipients.len()];
        let counts = Counts { key_copies: 0, rcpt_copies: zeros, signs: looked.signs.clone() };
        let verdicts = judge(facts, &rows, &counts, &self.settings.limits, now.ms);
        let passes = |v: &Verdict| matches!(v, Verdict::Pass(_, why) if !matches!(why, Reason::Suspect(..)));
        let reason = verdicts.first().filter(|_| verdicts.iter().all(passes))?.reason().clone();
        self.note_what_came(facts, &looked, &verdicts, now);
        Some((reason, looked.opportunities()))
    }

    /// Where the book of storms is full nobody could be told of what is held: it passes, as all mail does that
    /// finds no room.
    pub(super) fn let_pass_what_finds_no_storm(
        &self,
        facts: &Facts,
        looked: &Looked,
        verdicts: &mut [Verdict],
    ) {
        for (i, verdict) in verdicts.iter_mut().enumerate() {
            let Verdict::Hold(_, Reason::Suspect(suspicion, _)) = verdict else { continue };
            let (key, _) = self.recent.storm_key(facts, looked, i, suspicion.class());
            if self.book.has_room_for(&key) {
                continue;
            }
            let reason = Reason::Suspect(*suspicion, Policy::Tell);
            let held = std::mem::replace(verdict, Verdict::Absorb(reason.clone()));
            if let Verdict::Hold(permit, _) = held {
                *verdict = Verdict::Pass(permit, reason);
            }
        }
    }

    /// A message that a class suspects is part of a storm, whatever becomes of it. `counted`: the storms for
    /// which its bytes are counted already.
    #[expect(clippy::too_many_arguments, reason = "what one recipient of an arrival is judged by")]
    pub(super) fn suspect(
        &mut self,
        incoming: &Incoming,
        source: &SourceId,
        looked: &Looked,
        i: usize,
        verdict: &Verdict,
        counted: &mut Vec<LedgerKey>,
        now: &Now,
    ) -> Option<StormId> {
        let Reason::Suspect(suspicion, _) = verdict.reason() else { return None };
        let facts = &incoming.facts;
        let (key, public) = self.recent.storm_key(facts, looked, i, suspicion.class());
        let fate = Fate::of(verdict);
        let held = u64::from(fate == Fate::Held);
        let copy = CopySeen {
            key,
            public,
            recipient: facts.recipients.get(i).map_or("", |r| &r.identity),
            class: suspicion.class(),
            fate,
            key_copies: 1,
            rcpt_copies: 1,
            totals: KeyTotals { first_seen_ms: now.ms, copies: 1, absorbed: 0, held },
            source,
            header: &incoming.header,
            received: std::str::from_utf8(&incoming.front).ok(),
            queue_id: facts.queue_id,
            now: now.ms,
        };
        let events = self.book.copy(&copy, &mut *self.rng);
        self.storm_events(events, now);
        if fate == Fate::Held && !counted.contains(&key) {
            counted.push(key);
            self.book.holds(&key, facts.size_bytes);
        }
        let storm = self.book.by_key(&key)?;
        self.recent.keep(facts, looked, i, suspicion, &key);
        if let (Suspicion::ReplyAll { replies, .. }, Fate::Held) = (suspicion, fate)
            && let Some(author) = &facts.said.letter.author
            // What is told goes to the reverse-path, never to an address that stands in a header alone.
            && author.eq_ignore_ascii_case(&facts.reverse_path)
            && self.recent.is_author_to_be_told(facts, looked, now.ms)
        {
            let notice = Alert::reply_held(author, storm, replies.people);
            self.effects.push(Effect::Tell(Box::new(notice)));
        }
        Some(storm.id)
    }

    /// Messages that passed a class because its counters found no room.
    pub fn recent_without_room(&self) -> u64 {
        self.recent.no_room()
    }

    /// Bytes of the tables of what came lately.
    pub fn recent_bytes(&self) -> usize {
        self.recent.bytes()
    }
}

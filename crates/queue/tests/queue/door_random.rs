//! Random histories of the door against an oracle that watches the promises.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use quell_mail::id::QueueId;
use quell_queue::claim::Claim;
use quell_queue::door::{Answer, Phase};
use quell_queue::dots::DotRecord;
use quell_queue::ledger::{self, Outcome};
use quell_queue::store::{Reader, Row, RowId};
use quell_storm::facts::{Answered, Ms, RowState};

use crate::make::*;

/// Beside the outcomes: the claim comes back untried.
const GIVEN_BACK: u8 = 6;

#[derive(Debug, Clone)]
enum Op {
    Accept { key: u8, from: u8, rcpts: u8, notify: u8 },
    Answered(usize, bool),
    Withdraw(usize),
    AnswerLost(usize),
    Begin,
    End(End),
    Claim(usize),
    Dot(usize),
    Settle(usize, u8),
    Time(Ms),
    Retry(usize),
    Remove(usize),
    Forget(usize),
    FailReads(i64),
    Reopen,
    Restart,
    Flush,
}

fn op() -> impl Strategy<Value = Op> {
    let n = any::<u16>().prop_map(usize::from);
    prop_oneof![
        14 => (0u8..4, 1u8..4, 1u8..16, 0u8..4)
            .prop_map(|(key, from, rcpts, notify)| Op::Accept { key, from, rcpts, notify }),
        10 => (n.clone(), any::<bool>()).prop_map(|(i, late)| Op::Answered(i, late)),
        3 => n.clone().prop_map(Op::Withdraw),
        1 => n.clone().prop_map(Op::AnswerLost),
        10 => Just(Op::Begin),
        10 => Just(Op::End(End::Durable)),
        1 => Just(Op::End(End::Lost)),
        1 => Just(Op::End(End::DurableButFailed)),
        8 => (1usize..4).prop_map(Op::Claim),
        5 => n.clone().prop_map(Op::Dot),
        9 => (n.clone(), 0u8..=GIVEN_BACK).prop_map(|(i, how)| Op::Settle(i, how)),
        4 => prop::sample::select(vec![1, SECOND, MINUTE, 31 * MINUTE, 3 * HOUR, DAY]).prop_map(Op::Time),
        2 => n.clone().prop_map(Op::Retry),
        1 => n.clone().prop_map(Op::Remove),
        1 => n.clone().prop_map(Op::Forget),
        1 => (1i64..12).prop_map(Op::FailReads),
        5 => Just(Op::Reopen),
        1 => Just(Op::Restart),
        1 => Just(Op::Flush),
    ]
}

const RCPTS: [&str; 4] = ["a@firm.example", "b@firm.example", "c@firm.example", "d@firm.example"];

struct Taken {
    key: u8,
    queue_id: QueueId,
    rcpts: Vec<&'static str>,
    /// What this test, as the server, did about its answer.
    handed_over: bool,
    withdrawn: bool,
    accepted: bool,
}

struct World {
    rig: Rig,
    taken: HashMap<u32, Taken>,
    claims: Vec<Claim>,
    /// The dot log.
    records: Vec<DotRecord>,
    delivered: HashMap<RowId, u32>,
    allowed: HashMap<RowId, u32>,
    forgotten: HashSet<(u8, &'static str)>,
    seen_answers: usize,
    seen_releases: usize,
    /// Arrivals of lives before the last restart count as answered.
    old: HashSet<QueueId>,
}

impl World {
    fn new() -> Self {
        Self {
            rig: Rig::new(),
            taken: HashMap::new(),
            claims: Vec::new(),
            records: Vec::new(),
            delivered: HashMap::new(),
            allowed: HashMap::new(),
            forgotten: HashSet::new(),
            seen_answers: 0,
            seen_releases: 0,
            old: HashSet::new(),
        }
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Accept { key, from, rcpts, notify } => self.accept(*key, *from, *rcpts, *notify),
            Op::Answered(i, late) => self.answered(*i, *late),
            Op::Withdraw(i) => self.withdraw(*i),
            Op::AnswerLost(i) => {
                if let Some(id) = self.pick_arrival(*i).map(|(_, t)| t.queue_id) {
                    self.rig.door.answer_lost(&id);
                }
            }
            Op::Begin => drop(self.rig.begin()),
            Op::End(end) => self.end(*end),
            Op::Claim(n) => self.claim(*n),
            Op::Dot(i) => self.dot(*i),
            Op::Settle(i, how) => self.settle(*i, *how),
            Op::Time(step) => self.rig.tick(*step),
            Op::Retry(i) => {
                let (id, now) = (self.pick_row(*i), self.rig.at());
                id.map(|(id, ..)| self.rig.door.retry(&id, &now));
            }
            Op::Remove(i) => {
                let (id, now) = (self.pick_row(*i), self.rig.at());
                id.map(|(id, ..)| self.rig.door.remove(&id, i % 2 == 0, &now));
            }
            Op::Forget(i) => self.forget(*i),
            Op::FailReads(n) => self.rig.fuse.burn_in(*n),
            Op::Reopen => self.reopen_if_shut(),
            Op::Restart => self.restart(),
            Op::Flush => {
                let now = self.rig.at();
                self.rig.door.flush(&now);
            }
        }
        self.rig.drain();
        self.watch();
    }

    fn accept(&mut self, key: u8, from: u8, rcpts: u8, notify: u8) {
        let to: Vec<_> =
            RCPTS.iter().enumerate().filter(|(i, _)| rcpts >> i & 1 == 1).map(|(_, r)| *r).collect();
        let mut facts = self.rig.facts(key, from, &to);
        for r in &mut facts.recipients {
            let n =
                quell_storm::facts::Notify { success: notify == 1, never: notify == 2, ..Default::default() };
            r.notify = (notify > 0).then_some(n);
        }
        let queue_id = facts.queue_id;
        let judged = self.rig.judged.len();
        let ticket = self.rig.accept(facts);
        let mut rcpts = to;
        if let Some(verdicts) = self.rig.judged.get(judged) {
            rcpts.retain(|r| {
                verdicts.recipients.iter().any(|(to, verdict, _)| to == r && *verdict != "refuse")
            });
        }
        let taken = Taken { key, queue_id, rcpts, handed_over: false, withdrawn: false, accepted: false };
        self.taken.insert(ticket, taken);
    }

    fn pick_arrival(&mut self, i: usize) -> Option<(u32, &mut Taken)> {
        let mut all: Vec<_> = self.taken.iter_mut().filter(|(_, t)| !t.handed_over && !t.withdrawn).collect();
        all.sort_by_key(|(ticket, _)| **ticket);
        let n = all.len();
        (n > 0).then(|| all.swap_remove(i % n)).map(|(ticket, t)| (*ticket, t))
    }

    fn answered(&mut self, i: usize, late: bool) {
        let Some((_, taken)) = self.pick_arrival(i) else { return };
        taken.handed_over = true;
        let (id, now) = (taken.queue_id, self.rig.at());
        let how = if late { Answered::Late } else { Answered::Fine };
        self.rig.door.answered(&id, how, &now);
    }

    fn withdraw(&mut self, i: usize) {
        let Some((_, taken)) = self.pick_arrival(i) else { return };
        taken.withdrawn = true;
        let (id, now) = (taken.queue_id, self.rig.at());
        self.rig.door.withdraw(&id, &now);
    }

    fn end(&mut self, end: End) {
        let under_way = self.rig.in_flight.is_some();
        if self.rig.door.is_shut() {
            // The door has already given it up; the disk may have taken it all the same.
            if let (Some((work, _)), true) = (self.rig.in_flight.take(), end != End::Lost) {
                quell_queue::store::Store::commit(&mut self.rig.store, &work.batch).unwrap();
            }
            return;
        }
        self.rig.end(end);
        if under_way && end == End::Durable {
            self.check_bodies();
        }
    }

    fn claim(&mut self, n: usize) {
        for claim in self.rig.claim(n) {
            let row = self.rig.reader().row(claim.row()).unwrap().expect("a claimed row is durable");
            assert!(matches!(row.state, RowState::Waiting | RowState::Unknown), "{row:?}");
            assert!(self.claims.iter().all(|c| c.row() != claim.row()), "two claims on {}", claim.row());
            let at_dot = self.records.iter().any(|r| r.row == *claim.row());
            assert!(!at_dot, "{} is tried, and what a former life sent is not settled", claim.row());
            let id = claim.queue_id();
            let by = self.taken.values().find(|t| t.queue_id == id).unwrap();
            assert!(
                by.handed_over || by.withdrawn || self.old.contains(&id),
                "claimed before its answer: {id}"
            );
            let bodies = self.rig.reader().bodies().unwrap();
            assert!(
                bodies.iter().any(|b| b.body == *claim.body() && b.queue_id == id),
                "a body that is gone"
            );
            self.claims.push(claim);
        }
    }

    fn dot(&mut self, i: usize) {
        let n = self.claims.len().max(1);
        let Some(row) = self.claims.get(i % n).map(|c| c.row().clone()) else { return };
        let now = self.rig.at();
        if self.rig.door.phase(&row) == Some(Phase::Opened) {
            self.records.extend(self.rig.door.at_dot(&[row], &now));
        }
    }

    fn settle(&mut self, i: usize, how: u8) {
        if self.claims.is_empty() {
            return;
        }
        let claim = self.claims.swap_remove(i % self.claims.len());
        if how == GIVEN_BACK {
            let now = self.rig.at();
            return self.rig.door.give_back(claim, &now);
        }
        let outcome = match how {
            0 | 1 => Outcome::Delivered,
            2 => temporary(),
            3 => failed(true),
            4 => failed(false),
            _ => unknown(),
        };
        if outcome == Outcome::Delivered {
            let times = self.delivered.entry(claim.row().clone()).or_insert(0);
            *times += 1;
            let allowed = 1 + self.allowed.get(claim.row()).copied().unwrap_or(0);
            assert!(*times <= allowed, "{} delivered {times} times, allowed {allowed}", claim.row());
        }
        self.rig.settle(claim, outcome);
    }

    /// A row that some arrival has made.
    fn pick_row(&self, i: usize) -> Option<(RowId, u8, &'static str)> {
        let reader = self.rig.reader();
        let mut rows: Vec<_> =
            self.taken.values().flat_map(|t| t.rcpts.iter().map(move |r| (t, *r))).collect();
        rows.sort_by_key(|(t, r)| (t.queue_id, *r));
        let (taken, rcpt) = rows.get(i % rows.len().max(1))?;
        let kid = self.kid(taken, &reader)?;
        Some((RowId { kid, rcpt: (*rcpt).to_owned() }, taken.key, rcpt))
    }

    fn kid(&self, taken: &Taken, reader: &impl Reader) -> Option<QueueId> {
        if taken.key == 0 {
            return Some(taken.queue_id);
        }
        let key = secret().ledger_key(&quell_mail::key::ExactKey([taken.key; 32]));
        reader.key(&key).unwrap().map(|k| k.kid)
    }

    fn forget(&mut self, i: usize) {
        let Some((id, key, rcpt)) = self.pick_row(i) else { return };
        if self.rig.door.forget(std::slice::from_ref(&id), 0).unwrap_or(0) == 1 {
            *self.allowed.entry(id).or_insert(0) += 1;
            self.forgotten.insert((key, rcpt));
        }
    }

    fn reopen_if_shut(&mut self) {
        if self.rig.door.is_shut() {
            self.end(End::Lost);
            self.rig.reopen();
        }
    }

    /// A crash: what was not durable is gone, also outcomes.
    fn restart(&mut self) {
        self.rig.in_flight = None;
        self.rig.fuse.repair();
        self.claims.clear();
        let reader = self.rig.reader();
        for (id, times) in &self.delivered {
            let state = reader.row(id).unwrap().map(|r| r.state);
            if state != Some(RowState::Delivered) {
                let allowed = self.allowed.entry(id.clone()).or_insert(0);
                *allowed = (*allowed).max(*times);
            }
        }
        self.old.extend(self.taken.values().map(|t| t.queue_id));
        self.taken.values_mut().for_each(|t| t.handed_over = true);
        self.rig.door = open_door(&self.rig.store, &self.rig.fuse, self.rig.now);
        let now = self.rig.at();
        self.rig.door.restore_dots(self.records.clone(), &now);
    }

    /// What must hold whenever the door has spoken.
    fn watch(&mut self) {
        let over: HashSet<RowId> = self.rig.over.drain(..).collect();
        self.records.retain(|r| !over.contains(&r.row));
        let reader = self.rig.reader();
        for (ticket, answer) in &self.rig.answers[self.seen_answers..] {
            // The answer may come within `accept`, before the arrival is known here.
            let Some(taken) = self.taken.get(ticket) else { panic!("an answer to nobody") };
            assert!(!taken.accepted, "two answers");
            if !matches!(answer, Answer::Accepted(_)) {
                continue;
            }
            for rcpt in &taken.rcpts {
                if taken.withdrawn || self.forgotten.contains(&(taken.key, *rcpt)) {
                    continue;
                }
                let kid = self.kid(taken, &reader).expect("answered 250 and no key");
                let row = reader.row(&RowId { kid, rcpt: (*rcpt).to_owned() }).unwrap();
                assert!(row.is_some(), "answered 250 and no row for {rcpt}");
            }
        }
        for (ticket, answer) in &self.rig.answers[self.seen_answers..] {
            let accepted = matches!(answer, Answer::Accepted(_));
            let Some(taken) = self.taken.get_mut(ticket) else { continue };
            taken.accepted = accepted;
            if !accepted {
                // Answered 451; what the disk has of it nevertheless may be delivered.
                self.old.insert(taken.queue_id);
            }
        }
        self.seen_answers = self.rig.answers.len();
        let kept = reader.bodies().unwrap();
        for body in &self.rig.released[self.seen_releases..] {
            assert!(kept.iter().all(|k| k.body != *body), "released a body that is needed");
            assert_eq!(self.rig.released.iter().filter(|b| *b == body).count(), 1, "released twice");
        }
        self.seen_releases = self.rig.released.len();
    }

    /// An arrival counts the rows that need its body, and has it as long as there is one, or one that
    /// failed less than five days ago.
    fn check_bodies(&self) {
        let reader = self.rig.reader();
        let open =
            reader.list(&[RowState::Waiting, RowState::Unknown, RowState::Held], None, 10_000).unwrap();
        let failed = reader.list(&[RowState::Failed], None, 10_000).unwrap();
        for taken in self.taken.values() {
            let Some(arrival) = reader.find_arrival(&taken.queue_id).unwrap() else { continue };
            let need =
                open.iter().filter(|r| r.queue_id == taken.queue_id && r.id.kid == arrival.kid).count();
            assert_eq!(arrival.open as usize, need, "{arrival:?}");
            assert_eq!(arrival.body.is_some(), arrival.is_wanted(), "{arrival:?}");
            let asks = |r: &&Row| r.queue_id == taken.queue_id && r.id.kid == arrival.kid;
            let until = failed.iter().filter(asks).filter_map(ledger::keeps_body_until).max();
            if until.is_some_and(|until| until > self.rig.now) {
                assert!(arrival.body.is_some() && arrival.release_ms >= until, "{arrival:?}");
            }
            let asking = failed.iter().filter(asks).count();
            assert!(arrival.body.is_none() || asking <= arrival.asking as usize, "{arrival:?}");
        }
    }

    /// Ends everything well: then nothing may be left, and nothing may be missing.
    fn finish(&mut self) {
        self.rig.fuse.repair();
        self.reopen_if_shut();
        self.end(End::Durable);
        self.rig.commit();
        self.watch();
        while self.pick_arrival(0).is_some() {
            self.answered(0, false);
        }
        for _ in 0..12 {
            self.rig.commit();
            self.claim(1000);
            while !self.claims.is_empty() {
                self.settle(0, 0);
            }
            self.rig.commit();
            self.rig.tick(6 * DAY);
        }
        self.rig.commit();
        self.watch();
        self.check_bodies();
        let reader = self.rig.reader();
        assert_eq!(reader.open_counts().unwrap(), [], "rows nobody tries any more");
        assert_eq!(self.records, [], "dots that are never over");
        assert!(self.rig.door.open_rows().all(|(_, n)| n == 0), "the gauges drift");
        assert_eq!(reader.bodies().unwrap(), [], "bodies nobody needs");
        for taken in self.taken.values().filter(|t| t.accepted && !t.withdrawn) {
            for rcpt in taken.rcpts.iter().filter(|r| !self.forgotten.contains(&(taken.key, **r))) {
                let kid = self.kid(taken, &reader).expect("a key");
                let row = reader.row(&RowId { kid, rcpt: (*rcpt).to_owned() }).unwrap();
                assert!(
                    row.is_some_and(|r| ledger::is_final(r.state)),
                    "{rcpt} of {} is lost",
                    taken.queue_id
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, max_shrink_iters: 4000, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_nothing_is_lost_and_nothing_comes_twice(ops in prop::collection::vec(op(), 60..140)) {
        let mut world = World::new();
        for op in &ops {
            world.step(op);
        }
        world.finish();
    }
}

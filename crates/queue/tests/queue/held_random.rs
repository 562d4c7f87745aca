//! Random histories of held mail: whatever fails between, each message ends released, thrown away by a
//! person, or in exactly one digest.

use proptest::prelude::*;
use quell_mail::id::QueueId;
use quell_queue::door::{DigestJob, MAX_ROWS_PER_DIGEST};
use quell_queue::ledger::Outcome;
use quell_queue::store::{Reader, RowId};
use quell_storm::facts::{Ms, RowState};

use crate::held::{JANE, JOE, KEEP, OUT, STORM, due, hold, submit};
use crate::make::*;

const TO: [&str; 3] = [JANE, JOE, OUT];

#[derive(Debug, Clone)]
enum Step {
    Hold { rcpts: u8, storm: bool },
    Time(Ms),
    Due(usize),
    HandIn(usize),
    Later(usize),
    Release(usize),
    Discard(usize),
    Wish(Option<usize>),
    Deliver,
    Begin,
    End(End),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let n = any::<u8>().prop_map(usize::from);
    prop_oneof![
        6 => (1u8..8, any::<bool>()).prop_map(|(rcpts, storm)| Step::Hold { rcpts, storm }),
        6 => prop::sample::select(vec![SECOND, MINUTE, 5 * HOUR, 30 * HOUR, KEEP]).prop_map(Step::Time),
        9 => (1usize..4).prop_map(Step::Due),
        9 => n.clone().prop_map(Step::HandIn),
        1 => n.clone().prop_map(Step::Later),
        3 => n.clone().prop_map(Step::Release),
        2 => n.clone().prop_map(Step::Discard),
        2 => proptest::option::of(0usize..3).prop_map(Step::Wish),
        2 => Just(Step::Deliver),
        6 => Just(Step::Begin),
        6 => Just(Step::End(End::Durable)),
        1 => Just(Step::End(End::Lost)),
        1 => Just(Step::End(End::DurableButFailed)),
        1 => Just(Step::Restart),
    ]
}

struct History {
    rig: Rig,
    keys: u8,
    rows: Vec<RowId>,
    jobs: Vec<DigestJob>,
    /// Digests handed in, and what they tell of.
    handed_in: Vec<(QueueId, Vec<RowId>)>,
}

impl History {
    fn new() -> Self {
        let (jobs, handed_in) = Default::default();
        Self { rig: Rig::new(), keys: 0, rows: Vec::new(), jobs, handed_in }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Hold { rcpts, storm } => self.hold(*rcpts, *storm),
            Step::Time(ms) => self.rig.tick(*ms),
            Step::Due(limit) => {
                let jobs = due(&mut self.rig, *limit);
                assert!(jobs.iter().all(|job| (1..=MAX_ROWS_PER_DIGEST).contains(&job.messages.len())));
                self.jobs.extend(jobs);
            }
            Step::HandIn(n) => self.hand_in(*n),
            Step::Later(n) => {
                if let Some(job) = self.job(*n) {
                    let now = self.rig.at();
                    self.rig.door.report_later(job.token, &now);
                }
            }
            Step::Release(n) => self.decide(*n, true),
            Step::Discard(n) => self.decide(*n, false),
            Step::Wish(whose) => drop(self.rig.door.wish_digest(STORM, whose.map(|n| TO[n]))),
            Step::Deliver => self.deliver(),
            Step::Begin => drop(self.rig.begin()),
            Step::End(end) => {
                if self.rig.in_flight.is_some() {
                    self.rig.end(*end);
                    if *end != End::Durable {
                        self.rig.reopen();
                    }
                }
            }
            Step::Restart => {
                // Nobody outlives the process, and ids are never used again.
                self.jobs.clear();
                let rig = std::mem::replace(&mut self.rig, Rig::new());
                self.rig = Rig::on(rig.store, rig.now + SECOND);
            }
        }
        for (_, answer) in std::mem::take(&mut self.rig.answers) {
            if let quell_queue::door::Answer::Accepted(id) = answer {
                self.rig.answered(id);
            }
        }
    }

    fn hold(&mut self, rcpts: u8, storm: bool) {
        if self.keys == u8::MAX {
            return;
        }
        self.keys += 1;
        let to: Vec<&str> = (0..3).filter(|n| rcpts >> n & 1 == 1).map(|n| TO[n]).collect();
        self.rig.commit();
        hold(&mut self.rig, self.keys, &to, storm.then_some(STORM));
        let kid = self.rig.kid(self.keys);
        self.rows.extend(to.iter().map(|to| RowId { kid, rcpt: (*to).to_owned() }));
    }

    fn job(&mut self, n: usize) -> Option<DigestJob> {
        let jobs = self.jobs.len();
        (jobs > 0).then(|| self.jobs.swap_remove(n % jobs))
    }

    fn hand_in(&mut self, n: usize) {
        let Some(job) = self.job(n) else { return };
        let told = job.messages.iter().map(|m| RowId { kid: m.kid, rcpt: m.recipient.clone() }).collect();
        let (id, _) = submit(&mut self.rig, JANE, job.token);
        self.handed_in.push((id, told));
    }

    /// A person decides by what is durable.
    fn decide(&mut self, n: usize, release: bool) {
        self.rig.commit();
        let Some(id) = self.rows.get(n % self.rows.len().max(1)).cloned() else { return };
        let row = self.rig.reader().row(&id).unwrap();
        if row.is_some_and(|row| row.state == RowState::Held) {
            let now = self.rig.at();
            let door = &mut self.rig.door;
            let done = if release { door.release_held(&id, &now) } else { door.discard_held(&id, &now) };
            done.unwrap();
        }
    }

    fn deliver(&mut self) {
        for claim in self.rig.claim(100) {
            self.rig.settle(claim, Outcome::Delivered);
        }
    }
}

proptest! {
    #[test]
    fn each_message_has_one_end(steps in proptest::collection::vec(step(), 1..70)) {
        let mut history = History::new();
        for step in &steps {
            history.take(step);
        }
        // All that is under way comes to its end.
        for _ in 0..12 {
            for step in [Step::Time(20 * HOUR), Step::Due(100), Step::Deliver] {
                history.rig.commit();
                history.take(&step);
            }
            while !history.jobs.is_empty() {
                history.take(&Step::HandIn(0));
            }
            history.rig.commit();
            history.take(&Step::Begin);
        }
        let reader = history.rig.reader();
        let stored = |id: &QueueId| reader.find_arrival(id).unwrap().is_some();
        for id in &history.rows {
            let row = reader.row(id).unwrap().expect("no row is lost");
            let digests = history.handed_in.iter().filter(|(digest, told)| told.contains(id) && stored(digest));
            let digests = digests.count();
            let told = row.status.contains("told in a digest");
            match row.state {
                RowState::Delivered => prop_assert_eq!(digests, 0, "{:?}", row),
                RowState::Discarded => prop_assert_eq!(digests, usize::from(told), "{:?}", row),
                _ => prop_assert!(false, "no end: {:?}", row),
            }
        }
    }
}

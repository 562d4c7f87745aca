//! Reports in random histories: messages, outcomes, time, lost commits and restarts.

use proptest::prelude::*;
use quell_mail::dsn::Action;
use quell_queue::door::{Answer, ReportJob};
use quell_queue::ledger::Outcome;
use quell_queue::store::Reader;
use quell_storm::facts::{Ms, RowState};

use crate::door_report_jobs::{ANN, BOB, due, submit};
use crate::make::*;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// A message for so many recipients; whose, and what it wants.
    Arrives(usize, &'static str, &'static str),
    /// Attempts end: so many, so.
    Ends(usize, u8),
    /// Jobs are taken: handed in, put off, or kept for later.
    Reports(u8),
    Passes(Ms),
    Commits(End),
    Restarts,
}

fn step() -> impl Strategy<Value = Step> {
    let path = prop::sample::select(vec![ANN, ANN, BOB, ""]);
    let letters = prop::sample::select(vec!["-", "f", "sf", "s", "d", "n"]);
    let pause = prop::sample::select(vec![SECOND, MINUTE, 6 * MINUTE, HOUR, 5 * HOUR, DAY]);
    let end = prop::sample::select(vec![End::Durable, End::Durable, End::Lost, End::DurableButFailed]);
    prop_oneof![
        (1..4usize, path, letters).prop_map(|(n, path, letters)| Step::Arrives(n, path, letters)),
        (1..4usize, 0..5u8).prop_map(|(n, outcome)| Step::Ends(n, outcome)),
        (0..4u8).prop_map(Step::Reports),
        pause.prop_map(Step::Passes),
        end.prop_map(Step::Commits),
        Just(Step::Restarts),
    ]
}

/// A report handed in: its id, and what it tells of which row to whom.
struct HandedIn {
    id: quell_mail::id::QueueId,
    at: Ms,
    kid: quell_mail::id::QueueId,
    to: String,
    told: Vec<(String, Action)>,
}

struct History {
    rig: Rig,
    keys: u8,
    /// Jobs that come late, or never.
    kept: Vec<ReportJob>,
    handed_in: Vec<HandedIn>,
}

impl History {
    fn take(&mut self, step: &Step) {
        match *step {
            Step::Arrives(n, path, letters) => self.arrives(n, path, letters),
            Step::Ends(n, outcome) => self.ends(n, outcome),
            Step::Reports(how) => self.reports(how),
            Step::Passes(ms) => self.rig.tick(ms),
            Step::Commits(end) => {
                if self.rig.begin() {
                    self.rig.end(end);
                    if end != End::Durable {
                        self.rig.reopen();
                    }
                }
                self.answer();
            }
            Step::Restarts => {
                // Nobody outlives the process.
                self.kept.clear();
                let answers = std::mem::take(&mut self.rig.answers);
                let rig = std::mem::replace(&mut self.rig, Rig::new());
                // Ids are never used again.
                self.rig = Rig::on(rig.store, rig.now + SECOND);
                self.rig.answers = answers;
            }
        }
    }

    fn answer(&mut self) {
        for (_, answer) in std::mem::take(&mut self.rig.answers) {
            if let Answer::Accepted(id) = answer {
                self.rig.answered(id);
            }
        }
    }

    fn arrives(&mut self, n: usize, path: &str, letters: &str) {
        self.keys += 1;
        let names: Vec<_> = (0..n).map(|i| format!("r{i}@firm.example")).collect();
        let to: Vec<_> = names.iter().map(String::as_str).collect();
        let mut facts = self.rig.facts(self.keys, 1, &to);
        facts.reverse_path = path.to_owned();
        facts.recipients.iter_mut().for_each(|r| r.notify = notify(letters));
        self.rig.accept(facts);
    }

    fn ends(&mut self, n: usize, outcome: u8) {
        let outcome = match outcome {
            0 | 1 => failed(true),
            2 => Outcome::Delivered,
            3 => temporary(),
            _ => unknown(),
        };
        for claim in self.rig.claim(n) {
            let ours = claim.identity().ends_with("@firm.example");
            self.rig.settle(claim, if ours { outcome.clone() } else { Outcome::Delivered });
        }
    }

    fn reports(&mut self, how: u8) {
        if how == 2 {
            let kept = std::mem::take(&mut self.kept);
            kept.into_iter().for_each(|job| self.hand_in(job));
        }
        for job in due(&mut self.rig) {
            let now = self.rig.at();
            match how {
                0 => self.rig.door.report_later(job.token, &now),
                1 => self.kept.push(job),
                _ => self.hand_in(job),
            }
        }
    }

    fn hand_in(&mut self, job: ReportJob) {
        let told = job.rows.iter().map(|row| (row.identity.clone(), row.action)).collect();
        let (kid, to, at) = (job.kid, job.reverse_path.clone(), self.rig.now);
        let before = self.rig.judged.len();
        submit(&mut self.rig, &to, job.token);
        // A job that comes too late is refused at once.
        let Some(id) = self.rig.judged.get(before).map(|v| v.queue_id) else { return };
        self.handed_in.push(HandedIn { id, at, kid, to, told });
    }

    /// Reports that are really stored.
    fn stored(&self) -> Vec<&HandedIn> {
        let reader = self.rig.reader();
        self.handed_in.iter().filter(|r| reader.find_arrival(&r.id).unwrap().is_some()).collect()
    }
}

proptest! {
    /// Whatever fails between: who is owed a report gets one, and nobody gets more than one a day of
    /// a row, and nobody at a null reverse-path any.
    #[test]
    fn reports_are_neither_lost_nor_repeated(steps in proptest::collection::vec(step(), 1..60)) {
        let rig = Rig::new();
        let mut history = History { rig, keys: 0, kept: Vec::new(), handed_in: Vec::new() };
        for step in &steps {
            history.take(step);
        }
        // All that is on its way comes to its end: whatever still waits fails.
        for _ in 0..200 {
            history.rig.commit();
            history.answer();
            history.ends(100, 0);
            history.rig.commit();
            history.reports(9);
            history.rig.commit();
            history.answer();
            history.rig.tick(7 * MINUTE);
        }
        let reader = history.rig.reader();
        let first = quell_queue::store::RowId { kid: quell_mail::id::QueueId::from_bytes([0; 10]), rcpt: String::new() };
        prop_assert_eq!(reader.owing(&first, 9).unwrap(), vec![]);
        let stored = history.stored();
        prop_assert!(stored.iter().all(|r| !r.to.is_empty()));
        let told = |kid, rcpt: &str, action| {
            let of = |r: &&&HandedIn| r.kid == kid && r.told.contains(&(rcpt.to_owned(), action));
            stored.iter().filter(of).map(|r| (r.to.as_str(), r.at)).collect::<Vec<_>>()
        };
        for row in reader.list(&[RowState::Failed, RowState::Delivered], None, 10_000).unwrap() {
            let arrival = reader.find_arrival(&row.queue_id).unwrap().unwrap();
            if arrival.source.0 == "self" {
                continue;
            }
            let failure = row.state == RowState::Failed;
            let (what, action) = match failure {
                true => (quell_queue::ledger::Report::Failure, Action::Failed),
                false => (quell_queue::ledger::Report::Success, Action::Delivered),
            };
            let wanted = quell_queue::ledger::wants(&row, &arrival.reverse_path, what);
            let reports = told(row.id.kid, &row.id.rcpt, action);
            prop_assert_eq!(reports.len(), usize::from(wanted), "{:?} {:?}", row, reports);
            prop_assert!(told(row.id.kid, &row.id.rcpt, Action::Delayed).len() <= 1);
        }
    }
}

//! How the judge does on offices: what of real mail it holds, which storms it finds, and when.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use quell_sim::offices::{Kind, Office, Posting, Shape, StormKind, Truth};
use quell_storm::limits::Limits;
use quell_storm::signs::Suspicion;
use quell_storm::verdict::{Class, Reason};

use super::desk::{Desk, Judged};
use super::opportunity::Opportunities;

/// Failures kept with their words.
const MAX_FAILURES: usize = 2_000;

/// Messages of a kind, or on which a class had something to decide.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub messages: u64,
    /// Held, refused, or absorbed though the recipient does not have it.
    pub wrong: u64,
}

/// Storms of a kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Storms {
    pub all: u64,
    /// A message was held, absorbed or refused, or the operator was told.
    pub found: u64,
    /// The most that one recipient had before the first hold; of machines that answer each other, both.
    pub worst_before: u64,
    /// The same in all.
    pub worst_in_all: u64,
    /// More than may pass did: in all, or, where a storm has a pace and is over when that slackens, before the
    /// hold.
    pub over: u64,
}

#[derive(Debug, Default)]
pub struct Score {
    pub offices: u64,
    pub people: u64,
    pub kinds: BTreeMap<Kind, Count>,
    pub classes: BTreeMap<Class, Count>,
    pub storms: BTreeMap<StormKind, Storms>,
    /// Real messages at which the operator was told that a flood began.
    pub told: u64,
    /// Deliveries of an exact copy to somebody who had it.
    pub twice: u64,
    /// Seed, and what was wrong.
    pub failures: Vec<(u64, String)>,
}

impl Score {
    /// One office after the other.
    pub fn of(first: u64, offices: u64, shape: &Shape, limits: &Limits) -> Self {
        let mut score = Self::default();
        for seed in first..first + offices {
            score.look(seed, shape, limits);
        }
        score
    }

    /// Lets an office's mail go through quell.
    fn look(&mut self, seed: u64, shape: &Shape, limits: &Limits) {
        let office = Office::new(seed, shape);
        self.offices += 1;
        self.people += office.people() as u64;
        let mut desk = Desk::new(&office, limits);
        let mut run = Run { seed, ..Run::default() };
        for posting in office {
            let judged = desk.take(&posting);
            run.note(self, &posting, &judged);
        }
        run.storms.into_values().for_each(|seen| seen.count(seed, self));
    }

    fn fail(&mut self, seed: u64, what: String) {
        if self.failures.len() < MAX_FAILURES {
            self.failures.push((seed, what));
        }
    }

    /// All of both.
    pub fn merge(&mut self, other: Self) {
        self.offices += other.offices;
        self.people += other.people;
        self.told += other.told;
        self.twice += other.twice;
        for (kind, count) in other.kinds {
            self.kinds.entry(kind).or_default().add(count);
        }
        for (class, count) in other.classes {
            self.classes.entry(class).or_default().add(count);
        }
        for (kind, storms) in other.storms {
            self.storms.entry(kind).or_default().add(storms);
        }
        self.failures.extend(other.failures);
        self.failures.truncate(MAX_FAILURES);
    }

    /// Real messages in all.
    pub fn real(&self) -> Count {
        let mut all = Count::default();
        self.kinds.values().for_each(|count| all.add(*count));
        all
    }
}

impl Count {
    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.wrong += other.wrong;
    }
}

impl Storms {
    fn add(&mut self, other: Self) {
        self.all += other.all;
        self.found += other.found;
        self.over += other.over;
        self.worst_before = self.worst_before.max(other.worst_before);
        self.worst_in_all = self.worst_in_all.max(other.worst_in_all);
    }
}

/// One office.
#[derive(Default)]
struct Run {
    seed: u64,
    hasher: RandomState,
    /// Who has which exact key.
    has: HashSet<u64>,
    opportunities: Opportunities,
    storms: BTreeMap<u32, Seen>,
}

/// A storm while it goes on.
struct Seen {
    kind: StormKind,
    storm: u32,
    may_pass: Option<u32>,
    found: bool,
    /// By recipient; of machines that answer each other, together: passed before the first was held, passed in
    /// all, whether one was held.
    passed: HashMap<String, (u64, u64, bool)>,
}

impl Run {
    fn note(&mut self, score: &mut Score, posting: &Posting, judged: &Judged) {
        match posting.truth {
            Truth::Real(kind) => self.real(score, posting, kind, judged),
            Truth::Storm { kind, storm, may_pass } => {
                let passed = HashMap::new();
                let fresh = Seen { kind, storm, may_pass, found: false, passed };
                self.storms.entry(storm).or_insert(fresh).note(judged);
            }
        }
        for (identity, verdict, _) in &judged.verdicts.recipients {
            let had = self.already(judged, identity);
            if *verdict == "pass" && had == Some(false) {
                self.remember(judged, identity);
            } else if *verdict == "pass" && had == Some(true) {
                score.twice += 1;
                score.fail(self.seed, format!("delivered twice to {identity}: {}", id_of(judged)));
            }
        }
    }

    fn hash(&self, judged: &Judged, identity: &str) -> Option<u64> {
        judged.verdicts.key.map(|key| self.hasher.hash_one((key, identity)))
    }

    /// None: without an exact key nobody can tell.
    fn already(&self, judged: &Judged, identity: &str) -> Option<bool> {
        self.hash(judged, identity).map(|hash| self.has.contains(&hash))
    }

    fn remember(&mut self, judged: &Judged, identity: &str) {
        self.has.extend(self.hash(judged, identity));
    }

    fn real(&mut self, score: &mut Score, posting: &Posting, kind: Kind, judged: &Judged) {
        let is_wrong = |(identity, verdict, _): &&(String, &'static str, Reason)| match *verdict {
            "pass" => false,
            "absorb" => self.already(judged, identity) != Some(true),
            _ => true,
        };
        let wrong = judged.verdicts.recipients.iter().find(is_wrong).cloned();
        let begins = |why: &Reason| matches!(why, Reason::Suspect(Suspicion::Flood(flood), _) if flood.began);
        let told =
            judged.verdicts.recipients.iter().any(|(_, verdict, why)| *verdict == "pass" && begins(why));
        score.told += u64::from(told && wrong.is_none());
        let count = Count { messages: 1, wrong: u64::from(wrong.is_some()) };
        score.kinds.entry(kind).or_default().add(count);
        for class in self.opportunities.of(&judged.facts) {
            score.classes.entry(class).or_default().messages += 1;
        }
        if let Some((identity, verdict, why)) = wrong {
            score.classes.entry(why.class()).or_default().wrong += 1;
            let (name, id, subject) = (kind.name(), id_of(judged), subject(&posting.message));
            score.fail(self.seed, format!("{name}: {verdict} for {identity}: {why:?}; {id} {subject:?}"));
        }
    }
}

impl Seen {
    fn is_of_machines(&self) -> bool {
        use StormKind::{AutoReply, AutoReplyDesks, AutoReplyPlain};
        matches!(self.kind, AutoReply | AutoReplyPlain | AutoReplyDesks)
    }

    fn has_a_pace(&self) -> bool {
        use StormKind::{ReplyAll12, ReplyAll50, ReplyAll200};
        self.is_of_machines() || matches!(self.kind, ReplyAll12 | ReplyAll50 | ReplyAll200)
    }

    fn note(&mut self, judged: &Judged) {
        for (identity, verdict, why) in &judged.verdicts.recipients {
            let whose = if self.is_of_machines() { String::new() } else { identity.clone() };
            let (before, in_all, held) = self.passed.entry(whose).or_default();
            self.found |= *verdict != "pass" || why.class().suspects();
            match *verdict {
                "pass" => {
                    *in_all += 1;
                    *before += u64::from(!*held);
                }
                "hold" => *held = true,
                _ => {}
            }
        }
    }

    fn count(&self, seed: u64, score: &mut Score) {
        let worst_before = self.passed.values().map(|(before, ..)| *before).max().unwrap_or(0);
        let worst_in_all = self.passed.values().map(|(_, in_all, _)| *in_all).max().unwrap_or(0);
        let counts = if self.has_a_pace() { worst_before } else { worst_in_all };
        let over = self.may_pass.is_some_and(|most| counts > u64::from(most));
        let name = self.kind.name();
        if !self.found {
            score.fail(seed, format!("storm {} ({name}) was not found", self.storm));
        } else if over {
            let most = self.may_pass.unwrap_or(0);
            let told = format!("{worst_before} passed before the hold and {worst_in_all} in all, not {most}");
            score.fail(seed, format!("storm {} ({name}): {told}", self.storm));
        }
        let (found, over) = (u64::from(self.found), u64::from(over));
        let one = Storms { all: 1, found, worst_before, worst_in_all, over };
        score.storms.entry(self.kind).or_default().add(one);
    }
}

fn id_of(judged: &Judged) -> String {
    judged.verdicts.message_id.clone().unwrap_or_default()
}

fn subject(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default().to_owned()
}

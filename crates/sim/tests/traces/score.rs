//! How well the tracer does on worlds whose truth is known. The tracer sees the mails and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use quell_sim::traces::{Kind, TrueCulprit, TrueGroup, World, world};
use quell_storm::storm::Culprit;
use quell_storm::trace::report::{Group, Report};
use quell_storm::trace::whole::{Mail, report};
use quell_storm::trace::{Bounds, Place};

/// The numbers of one kind of world, or of all.
#[derive(Debug, Default, Clone)]
pub struct Score {
    /// Worlds looked at.
    pub worlds: u64,
    /// Culprits named that are culprits.
    pub right: u64,
    /// Culprits named that are none.
    pub wrong: u64,
    /// Culprits not named, of whom evidence survives.
    pub missed: u64,
    /// Worlds without a culprit, or without evidence, in which somebody was named.
    pub alarms: u64,
    /// Of the right ones, those with the right class.
    pub class_right: u64,
    /// Of the right ones, those whose copies were counted rightly: within one, or 5 %.
    pub copies_right: u64,
    /// Groups with a verdict to be had, and those of them with the right one.
    pub verdicts: (u64, u64),
    /// Seeds at which something was wrong, and what.
    pub failures: Vec<(u64, String)>,
}

impl Score {
    /// Looks at the worlds of `kind` with seeds from `first` on.
    pub fn of(kind: Kind, first: u64, worlds: u64) -> Self {
        let mut score = Self::default();
        for seed in first..first + worlds {
            score.look(&world(kind, seed));
        }
        score
    }

    /// Puts two together.
    pub fn merge(&mut self, other: &Self) {
        self.worlds += other.worlds;
        self.right += other.right;
        self.wrong += other.wrong;
        self.missed += other.missed;
        self.alarms += other.alarms;
        self.class_right += other.class_right;
        self.copies_right += other.copies_right;
        self.verdicts = (self.verdicts.0 + other.verdicts.0, self.verdicts.1 + other.verdicts.1);
    }

    /// Of the culprits named, the part that is culprits; of nobody named 1.
    pub fn precision(&self) -> f64 {
        part(self.right, self.right + self.wrong)
    }

    /// Of the culprits of whom evidence survives, the part that was named.
    pub fn recall(&self) -> f64 {
        part(self.right, self.right + self.missed)
    }

    /// Looks at one world.
    pub fn look(&mut self, world: &World) {
        self.worlds += 1;
        let report = traced(world);
        let named: Vec<(&Group, &Culprit)> =
            report.groups.iter().flat_map(|group| group.culprits.iter().map(move |c| (group, c))).collect();
        let expected: BTreeSet<usize> =
            world.truth.groups.iter().flat_map(|group| group.culprits.iter().copied()).collect();
        let mut found: BTreeMap<usize, Vec<&Culprit>> = BTreeMap::new();
        for (_, culprit) in &named {
            match world.truth.culprits.iter().position(|truth| is_same(culprit, truth)) {
                Some(i) => found.entry(i).or_default().push(culprit),
                None => {
                    self.wrong += 1;
                    self.fail(world, format!("named {:?} {:?}", culprit.host, culprit.ip));
                }
            }
        }
        let is_alarm = expected.is_empty() && !named.is_empty();
        self.alarms += u64::from(is_alarm);
        for i in &expected {
            let truth = &world.truth.culprits[*i];
            let Some(culprits) = found.get(i) else {
                self.missed += 1;
                self.fail(world, format!("missed {:?} {:?}", truth.names, truth.ip));
                continue;
            };
            self.right += 1;
            self.class_right +=
                u64::from(culprits.iter().any(|c| c.class.is_some_and(|c| c.name() == truth.class)));
            let counted: u64 = culprits.iter().filter_map(|culprit| culprit.copies).sum();
            self.copies_right += u64::from(is_about(counted, true_copies(world, *i)));
        }
        for group in &world.truth.groups {
            self.verdict(world, group, &report);
        }
    }

    /// The verdict on a group, as far as the group is one for the tracer too.
    fn verdict(&mut self, world: &World, truth: &TrueGroup, report: &Report) {
        let ids: BTreeSet<String> = world
            .mails
            .iter()
            .filter(|mail| mail.message == truth.message)
            .filter_map(|m| id_of(&m.bytes))
            .collect();
        let mine = report.groups.iter().filter(|group| group.message_ids.iter().any(|id| ids.contains(id)));
        let Some(group) = mine.max_by_key(|group| group.copies) else { return };
        let innocent = ["list", "no_culprit"];
        let verdict = group.finding.name();
        let right = match truth.verdict {
            // Without evidence nobody can be named; what the copies look like without it is another matter.
            _ if !truth.decidable => group.culprits.is_empty(),
            wanted if innocent.contains(&wanted) => innocent.contains(&verdict),
            wanted => verdict == wanted,
        };
        self.verdicts.0 += 1;
        self.verdicts.1 += u64::from(right);
        if !right {
            self.fail(world, format!("verdict {verdict}, not {}", truth.verdict));
        }
    }

    fn fail(&mut self, world: &World, what: String) {
        self.failures.push((world.seed, what));
    }
}

fn part(of: u64, all: u64) -> f64 {
    if all == 0 { 1.0 } else { of as f64 / all as f64 }
}

/// What the tracer says to the mails of `world`, each mailbox a file.
pub fn traced(world: &World) -> Report {
    let boxes: BTreeSet<&str> = world.mails.iter().map(|mail| mail.mailbox.as_str()).collect();
    let boxes: Vec<&str> = boxes.into_iter().collect();
    let mut offset = 0;
    let mails = world.mails.iter().map(|mail| {
        let file = boxes.iter().position(|name| *name == mail.mailbox).unwrap_or(0) as u32;
        let place = Place { file, offset };
        offset += mail.bytes.len() as u64 + 64;
        Mail { place, bytes: &mail.bytes, mailbox: &mail.mailbox }
    });
    let mails: Vec<Mail<'_>> = mails.collect();
    report(&mails, Bounds::ARCHIVE, &|file| boxes.get(file as usize).map(ToString::to_string))
}

/// Whether a culprit is the one that the truth means: by address; a pool of outgoing servers, and a machine
/// whose address no stamp shows, by a name. Inner names alone never tell two machines with addresses apart.
fn is_same(culprit: &Culprit, truth: &TrueCulprit) -> bool {
    let is_public = |name: &str| name.contains('.') && !name.ends_with(".local") && !name.ends_with(".lan");
    let shares = |public: bool| {
        let known = |name: &&String| truth.names.iter().any(|other| other.eq_ignore_ascii_case(name));
        culprit.names.iter().filter(known).any(|name| !public || is_public(name))
    };
    match (culprit.ip, truth.ip) {
        (Some(a), Some(b)) => a == b || shares(true),
        (None, None) if truth.names.is_empty() => culprit.names.is_empty(),
        _ => shares(false),
    }
}

/// Copies that a culprit has made. Of what was sent again from the start the first is the mail itself, for
/// each mailbox; and a mail kept twice counts once.
fn true_copies(world: &World, culprit: usize) -> u64 {
    let mine = world.mails.iter().filter(|mail| mail.maker == Some(culprit));
    let distinct: BTreeSet<(&str, usize, &[u8])> =
        mine.map(|mail| (mail.mailbox.as_str(), mail.message, mail.bytes.as_slice())).collect();
    let firsts: BTreeSet<(&str, usize)> =
        distinct.iter().map(|(mailbox, message, _)| (*mailbox, *message)).collect();
    let begins = matches!(world.truth.culprits[culprit].class, "retries" | "injects");
    (distinct.len() - if begins { firsts.len() } else { 0 }) as u64
}

fn is_about(counted: u64, truth: u64) -> bool {
    counted.abs_diff(truth) <= 1.max(truth / 20)
}

/// The Message-ID, read as plainly as can be: what parses mail for the tracer is not asked.
fn id_of(mail: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(mail);
    let line = text
        .lines()
        .find(|line| line.get(..11).is_some_and(|start| start.eq_ignore_ascii_case("message-id:")))?;
    Some(line[11..].trim().to_owned())
}

//! A world while it is made: what happens, what is seen of it, and the truth.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::clock::{DAY, HOUR, MINUTE, SECOND, ZONES, Zone};
use super::copy::Copy;
use super::dice::Dice;
use super::letter::Person;
use super::machine::{Machine, Software};
use super::truth::{self, Draft, Plan, Suspect};
use super::{Kind, Mail, TrueCulprit, Truth, World};

/// Mails of a world at most; what comes after is not seen. (The kinds stay far below.)
pub(super) const MAX_MAILS: usize = 2_500;
/// Bytes of a world at most; what comes after is not seen.
pub(super) const MAX_BYTES: usize = 14 << 20;

/// See the module.
pub(super) struct Case {
    kind: Kind,
    seed: u64,
    pub dice: Dice,
    /// 2003 to 2008; else 2010 to 2025.
    pub old: bool,
    pub start: i64,
    pub zone: Zone,
    /// Clocks are off by up to a day.
    skewed: bool,
    /// Legitimate mails have forged stamps at the very bottom.
    pub forged_bottom: bool,
    /// Some gateways leave no stamp.
    pub silent_gateways: bool,
    /// Every office's server has this internal name.
    pub generic_name: Option<&'static str>,
    crlf: bool,
    drafts: Vec<Draft>,
    bytes: usize,
    culprits: Vec<Suspect>,
    plans: Vec<Plan>,
    seen: BTreeSet<String>,
    pub used: BTreeSet<String>,
    used_ips: BTreeSet<IpAddr>,
    deeds: u64,
}

impl Case {
    /// Nothing has happened yet.
    pub fn new(kind: Kind, seed: u64) -> Self {
        let mut dice = Dice::new(kind.name(), seed);
        let old = dice.one_in(2);
        let start = if old {
            dice.between(1_041_379_200, 1_230_000_000)
        } else {
            dice.between(1_262_304_000, 1_760_000_000)
        };
        Self {
            kind,
            seed,
            old,
            start: start * SECOND,
            zone: dice.pick(ZONES),
            skewed: dice.one_in(5),
            forged_bottom: dice.one_in(10),
            silent_gateways: true,
            generic_name: None,
            crlf: dice.one_in(6),
            dice,
            drafts: Vec::new(),
            bytes: 0,
            culprits: Vec::new(),
            plans: Vec::new(),
            seen: BTreeSet::new(),
            used: BTreeSet::new(),
            used_ips: BTreeSet::new(),
            deeds: 0,
        }
    }

    /// The number of a new message, and what is right to say of it.
    pub fn message(&mut self, verdict: &'static str) -> usize {
        let decidable = verdict != "cannot_tell";
        self.plans.push(Plan { verdict, decidable, one_convicts: false });
        self.plans.len() - 1
    }

    /// One copy is enough to name the maker.
    pub fn one_convicts(&mut self, message: usize) {
        self.plans[message].one_convicts = true;
    }

    /// The number of a faulty machine.
    pub fn culprit(&mut self, machine: &Machine, class: &'static str) -> usize {
        self.culprit_of(machine.names(), Some(machine.ip), class)
    }

    /// The number of a faulty machine of which this much can be known.
    pub fn culprit_of(&mut self, names: Vec<String>, ip: Option<IpAddr>, class: &'static str) -> usize {
        let unknown = names.is_empty() && ip.is_none();
        self.culprits.push(Suspect { culprit: TrueCulprit { names, ip, class }, unknown });
        self.culprits.len() - 1
    }

    /// This machine makes a copy of it: a deed of its own, unlike all others.
    pub fn deed(&mut self, culprit: usize, copy: &mut Copy) {
        self.deeds += 1;
        copy.made.push((culprit, self.deeds));
    }

    /// The investigator has the mailboxes of these.
    pub fn see<'a>(&mut self, people: impl IntoIterator<Item = &'a Person>) {
        self.seen.extend(people.into_iter().map(|person| person.address.clone()));
    }

    /// The investigator has no mailbox after all.
    pub fn see_nothing(&mut self) {
        self.seen.clear();
    }

    /// Whether the investigator has this mailbox.
    pub fn sees(&self, person: &Person) -> bool {
        self.seen.contains(&person.address)
    }

    /// How many copies of everything there can be, so that the world stays small: `wanted` by chance, fewer
    /// where many mailboxes are seen.
    pub fn copies(&mut self, low: usize, high: usize) -> usize {
        let room = 600 / self.seen.len().max(1);
        self.dice.few(low, high.min(room.max(low)))
    }

    /// A clock's error. In one world of five, some machines' are off by up to a day.
    pub fn skew(&mut self) -> i64 {
        match (self.skewed, self.dice.below(4)) {
            (true, 0) => self.dice.between(-DAY, DAY),
            (true, 1) => {
                self.dice.pick([HOUR, -HOUR, DAY, -DAY, 10 * MINUTE]) + self.dice.between(-MINUTE, MINUTE)
            }
            (true, _) => self.dice.between(-5 * MINUTE, 5 * MINUTE),
            (false, 0) => self.dice.between(-2 * MINUTE, 2 * MINUTE),
            (false, _) => self.dice.between(-3 * SECOND, 3 * SECOND),
        }
    }

    /// A public address that nobody has yet: of the documentation blocks, or one that looks like others.
    pub fn ip(&mut self) -> IpAddr {
        loop {
            let last = self.dice.count(1, 254);
            let (b, c) = (self.dice.count(1, 250), self.dice.count(1, 250));
            let text = match self.dice.below(9) {
                0 => format!("192.0.2.{last}"),
                1 => format!("198.51.100.{last}"),
                2 => format!("203.0.113.{last}"),
                3 | 4 => format!("81.{b}.{c}.{last}"),
                5 => format!("62.{b}.{c}.{last}"),
                6 => format!("213.{b}.{c}.{last}"),
                7 if !self.old => {
                    format!("2001:db8:{}:{}::{}", self.dice.hex(4), self.dice.hex(3), self.dice.hex(2))
                }
                _ => format!("194.{b}.{c}.{last}"),
            };
            if let Ok(ip) = text.parse()
                && self.used_ips.insert(ip)
            {
                return ip;
            }
        }
    }

    /// An address inside a house. Two houses may have the same.
    pub fn inside_ip(&mut self) -> IpAddr {
        let last = self.dice.below(250) as u8;
        match self.dice.below(3) {
            0 => [10, self.dice.below(9) as u8, self.dice.below(200) as u8, last + 1].into(),
            1 => [192, 168, self.dice.below(3) as u8, last + 1].into(),
            _ => [192, 168, 16, 2].into(),
        }
    }

    /// It lies in the mailbox now: with the fields that the last server puts on top, if the mailbox is seen.
    pub fn deliver(&mut self, mut copy: Copy, to: &Person, last: &Machine) {
        if self.sees(to) {
            on_top(&mut copy, to, last);
            if to.address.len().is_multiple_of(7) {
                copy.note(format!("X-UIDL: {}", self.dice.hex(16)));
                copy.note("Status: RO".to_owned());
            }
            self.keep(copy, to);
        }
    }

    /// It lies in the mailbox as it is.
    pub fn keep(&mut self, copy: Copy, to: &Person) {
        let text = copy.text();
        if !self.sees(to) || self.drafts.len() >= MAX_MAILS || self.bytes + text.len() > MAX_BYTES {
            return;
        }
        let bytes = if self.crlf { text.replace('\n', "\r\n").into_bytes() } else { text.into_bytes() };
        self.bytes += bytes.len();
        let maker = copy.made.last().map(|(culprit, _)| *culprit);
        let mail =
            Mail { bytes, mailbox: to.address.clone(), arrived_ms: copy.at, message: copy.message, maker };
        self.drafts.push(Draft { mail, made: copy.made, times: copy.times });
    }

    /// The last mail once more, in this mailbox: the same bytes.
    pub fn twice(&mut self, to: &str) {
        if let Some(last) = self.drafts.last().cloned() {
            let mail = Mail { mailbox: to.to_owned(), ..last.mail };
            self.drafts.push(Draft { mail, ..last });
        }
    }

    /// Some mails stand twice in their files, byte for byte, as where two archives overlap. (Not in the kind
    /// that is about two copies.)
    fn repeat_some(&mut self) {
        if self.drafts.is_empty() || self.kind.name() == "pair" || !self.dice.one_in(12) {
            return;
        }
        for _ in 0..self.dice.count(1, 3) {
            let again = self.dice.of(&self.drafts).clone();
            self.drafts.push(again);
        }
    }

    /// The world, and the true times of the stamps of each mail.
    pub fn finish(mut self) -> (World, Vec<Vec<i64>>) {
        self.repeat_some();
        match self.dice.below(12) {
            0 => self.dice.shuffle(&mut self.drafts),
            1 => self.drafts.sort_by_key(|draft| std::cmp::Reverse(draft.mail.arrived_ms)),
            _ => self.drafts.sort_by_key(|draft| draft.mail.arrived_ms),
        }
        truth::forget_unseen(&mut self.culprits, &self.drafts);
        let groups = truth::groups(&self.plans, &self.drafts, &self.culprits);
        let times = self.drafts.iter().map(|draft| draft.times.clone()).collect();
        let mails = self.drafts.into_iter().map(|draft| draft.mail).collect();
        let truth =
            Truth { culprits: self.culprits.into_iter().map(|suspect| suspect.culprit).collect(), groups };
        (World { kind: self.kind, seed: self.seed, mails, truth }, times)
    }
}

/// What the last server writes on top: who it is for, who it is from.
fn on_top(copy: &mut Copy, to: &Person, last: &Machine) {
    let (sender, to) = (&copy.sender, &to.address);
    let notes = match last.soft {
        Software::Postfix if !last.by.len().is_multiple_of(4) => vec![
            format!("Delivered-To: {to}"),
            format!("X-Original-To: {to}"),
            format!("Return-Path: <{sender}>"),
        ],
        Software::Postfix => vec![format!("Delivered-To: {to}"), format!("Return-Path: <{sender}>")],
        Software::Exim => vec![format!("Envelope-to: {to}"), format!("Return-path: <{sender}>")],
        Software::Qmail => vec![format!("Delivered-To: {to}"), format!("Return-Path: <{sender}>")],
        Software::Courier => vec![format!("Return-Path: <{sender}>"), format!("Delivered-To: {to}")],
        Software::Sendmail | Software::OpenSmtpd | Software::CommuniGate | Software::Zmailer => {
            vec![format!("Return-Path: <{sender}>")]
        }
        Software::Google => vec![format!("Return-Path: <{sender}>"), format!("Delivered-To: {to}")],
        Software::MDaemon => vec![
            format!("Return-path: <{sender}>"),
            format!("X-MDaemon-Deliver-To: {to}"),
            format!("X-MDRcpt-To: {to}"),
        ],
        Software::Microsoft365 | Software::Exchange if last.by.len().is_multiple_of(2) => vec![
            format!("X-MS-Exchange-Organization-AuthSource: {}", last.by),
            format!("Return-Path: {sender}"),
        ],
        _ => Vec::new(),
    };
    notes.into_iter().for_each(|note| copy.note(note));
}

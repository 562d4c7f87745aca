//! The office while its days pass.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;

use super::cast::{Cast, DOMAIN, Home, SERVER};
use super::hours::Hours;
use super::kinds::{self, Habits};
use super::letter::{Form, Letter, Party};
use super::way::Way;
use super::{Aliases, Posting, Shape, StormKind, Truth, storms, words};
use crate::clock::{DAY, SECOND, ZONES};
use crate::dice::Dice;

/// Days after the last one on which what has begun may end; what comes later is left out.
const DAYS_AFTER: i64 = 10;

/// The mail of an office: an iterator over what reaches quell, in order of time. The same seed and shape give
/// the same mail. In memory are what the present day sends, and what it makes others send later: in the largest
/// offices about 100 MB.
pub struct Office {
    pub(super) dice: Dice,
    pub(super) cast: Cast,
    pub(super) hours: Hours,
    pub(super) habits: Habits,
    shape: Shape,
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// The day that comes next, as days since 1970.
    day: i64,
    first_day: i64,
    end_day: i64,
    /// Messages and other things that were given a number.
    numbers: u64,
    /// When somebody's program has answered somebody for the last time.
    pub(super) answered: HashMap<(usize, String), i64>,
    pub(super) storms: u32,
}

/// In order of time, then of making.
struct Waiting(u64, Posting);

impl Waiting {
    fn order(&self) -> (i64, u64) {
        (self.1.ms, self.0)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

impl std::fmt::Debug for Office {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Office")
            .field("people", &self.cast.ours)
            .field("day", &self.day)
            .finish_non_exhaustive()
    }
}

impl Office {
    /// The office of this seed on the morning of its first day.
    pub fn new(seed: u64, shape: &Shape) -> Self {
        let mut dice = Dice::new("office", seed);
        // Each doubling of the size is equally likely: 5 to 250.
        let by_chance = (5.0 * 50_f64.powf(dice.below(10_001) as f64 / 10_000.0)) as usize;
        let people = shape.people.unwrap_or(by_chance).clamp(2, 1_000);
        let zone = dice.pick(ZONES);
        let day = dice.between(17_532, 20_454);
        let hours = Hours::new(zone, day, &mut dice);
        let mut cast = Cast::new(people, &mut dice);
        let habits = Habits::new(&mut cast, &mut dice);
        Self {
            cast,
            hours,
            habits,
            dice,
            shape: shape.clone(),
            waiting: BinaryHeap::new(),
            day,
            first_day: day,
            end_day: day + i64::from(shape.days),
            numbers: 0,
            answered: HashMap::new(),
            storms: 0,
        }
    }

    /// How many people work there.
    pub fn people(&self) -> usize {
        self.cast.ours
    }

    /// When its first day begins; ms since 1970.
    pub fn begins_ms(&self) -> i64 {
        self.hours.midnight(self.day)
    }

    /// Our addresses that have a mailbox: people's, and those of programs.
    pub fn mailboxes(&self) -> Vec<String> {
        let people = self.cast.people[..self.cast.ours].iter().map(|person| person.party.address.clone());
        let programs = ["support", "newsletter", "invoices", "accounts-robot", "root", "reports"];
        people.chain(programs.map(|name| format!("{name}@{DOMAIN}"))).collect()
    }

    /// Our addresses that stand for several.
    pub fn aliases(&self) -> &Aliases {
        &self.cast.aliases
    }

    /// Lets a day pass.
    fn live(&mut self) {
        let day = self.day;
        let midnight = self.hours.midnight(day);
        self.answered.retain(|_, last| *last > midnight - 8 * DAY);
        for at in 0..self.cast.people.len() {
            if self.cast.people[at].away_until < midnight && self.dice.one_in(60) {
                let days = self.dice.tail(1, 21) as i64;
                self.cast.people[at].away_until = midnight + days * DAY;
            }
        }
        if self.dice.one_in(60) {
            // The office moves, or its server is replaced.
            self.cast.inside[SERVER].ip = [10, 0, 0, 40 + self.dice.below(99) as u8].into();
        }
        kinds::day(self, day);
        if self.shape.days_per_storm > 0 && self.dice.one_in(u64::from(self.shape.days_per_storm)) {
            let kinds = std::mem::take(&mut self.shape.storms);
            // What is unusual of a source can be known after a week.
            let is_early = day < self.first_day + 8;
            let kind = (!kinds.is_empty()).then(|| *self.dice.of(&kinds));
            if let Some(kind) = kind.filter(|kind| *kind != StormKind::Flood || !is_early) {
                self.storms += 1;
                storms::begin(self, kind, day);
            }
            self.shape.storms = kinds;
        }
        self.day += 1;
    }

    /// A number that nothing else has.
    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// A Message-ID as programs of this domain make it.
    pub(super) fn id(&mut self, domain: &str) -> String {
        let number = self.number();
        match domain.len() % 4 {
            0 => format!("<{}.{number}@{domain}>", self.dice.hex(16)),
            1 => format!("<CA{}{number}@mail.{domain}>", self.dice.letters(40)),
            2 => format!("<{}.{number}.{}@{domain}>", self.dice.digits(14), self.dice.letters(6)),
            _ => format!("<{}{number}@{domain}>", self.dice.upper_hex(24)),
        }
    }

    /// A letter of somebody to these, about something new.
    pub(super) fn letter(&mut self, from: usize, to: &[usize], ms: i64) -> Letter {
        let first = to.first().map_or_else(String::new, |at| self.cast.people[*at].party.name.clone());
        let author = self.cast.party(from);
        let sentences = self.dice.tail(2, 40);
        let mut text = words::letter(&first, &author.name, sentences, &mut self.dice);
        text += &self.cast.people[from].signature;
        let to = to.iter().map(|at| self.cast.party(*at)).collect();
        let subject = words::topic(&mut self.dice);
        self.plain(author, to, subject, text, ms)
    }

    /// A letter of which all is given.
    pub(super) fn plain(
        &mut self,
        from: Party,
        to: Vec<Party>,
        subject: String,
        text: String,
        ms: i64,
    ) -> Letter {
        let domain = from.address.rsplit('@').next().unwrap_or_default().to_owned();
        let id = self.id(&domain);
        let zone =
            if Cast::is_ours(&from.address) { self.hours.zone } else { ZONES[domain.len() % ZONES.len()] };
        let form = Form::any(&mut self.dice);
        let (cc, references, fields) = (Vec::new(), Vec::new(), Vec::new());
        Letter { from, to, cc, subject, text, id, date_ms: ms, zone, references, fields, form }
    }

    /// Somebody's answer: often with what it answers beneath.
    pub(super) fn answer(&mut self, to: &Letter, from: usize, all: bool, text: String, ms: i64) -> Letter {
        let author = self.cast.party(from);
        let domain = author.address.rsplit('@').next().unwrap_or_default().to_owned();
        let id = self.id(&domain);
        let text = if self.dice.one_in(3) { text } else { text + &to.quoted() };
        let mut letter = to.answer(author, all, text, ms, id);
        letter.form = if self.dice.one_in(2) { Form::Plain } else { Form::Alternative };
        letter
    }

    /// Sends it to To and Cc, by the author's servers.
    pub(super) fn send(&mut self, letter: Letter, truth: Truth) -> Rc<Letter> {
        let home = self.cast.find(&letter.from.address).map(|at| self.cast.people[at].home);
        let home = home.unwrap_or(Home::Outside(0));
        let reverse_path = letter.from.address.clone();
        self.send_by(home, &reverse_path, letter.addresses(), letter, truth)
    }

    /// Sends it to these; whoever is away answers.
    pub(super) fn send_by(
        &mut self,
        home: Home,
        reverse_path: &str,
        to: Vec<String>,
        letter: Letter,
        truth: Truth,
    ) -> Rc<Letter> {
        let ms = letter.date_ms + 5 * SECOND + self.dice.wait(2 * SECOND);
        let transactions = self.transactions(home, to.clone());
        let printed = letter.print();
        let mut last = None;
        for (nth, recipients) in transactions.into_iter().enumerate() {
            let at = ms + nth as i64 * 300;
            let way = self.way(home, at);
            self.push(at, &way, reverse_path, recipients, &printed, truth);
            last = Some(way);
        }
        if let (Truth::Real(_), Some(way)) = (truth, last) {
            self.forward(ms, &way, reverse_path, &to, &printed);
        }
        let letter = Rc::new(letter);
        self.absent_answer(ms, &letter, reverse_path, &to);
        letter
    }

    /// Who is in one transaction. From outside we see our own people only.
    fn transactions(&self, home: Home, mut to: Vec<String>) -> Vec<Vec<String>> {
        let mut seen = std::collections::HashSet::new();
        to.retain(|address| seen.insert(address.clone()));
        let one_each = match home {
            Home::Inside(_) => false,
            Home::Outside(at) => {
                to.retain(|address| Cast::is_ours(address));
                self.cast.providers[at].one_each
            }
        };
        match one_each {
            _ if to.is_empty() => Vec::new(),
            true => to.into_iter().map(|address| vec![address]).collect(),
            // RFC 5321 §4.5.3.1.8: a client may send so many at a time.
            false => to.chunks(100).map(<[String]>::to_vec).collect(),
        }
    }

    /// It reaches quell.
    pub(super) fn push(
        &mut self,
        ms: i64,
        way: &Way,
        reverse_path: &str,
        recipients: Vec<String>,
        printed: &str,
        truth: Truth,
    ) {
        let message = [way.stamps.as_bytes(), printed.as_bytes()].concat();
        let posting = Posting {
            ms,
            source: way.last.ip,
            helo: way.last.helo.clone(),
            inside: way.inside,
            reverse_path: reverse_path.to_owned(),
            recipients,
            message,
            truth,
        };
        let number = self.number();
        self.waiting.push(Reverse(Waiting(number, posting)));
    }
}

impl Iterator for Office {
    type Item = Posting;

    fn next(&mut self) -> Option<Posting> {
        loop {
            let is_over = self.day >= self.end_day;
            let end = if is_over { self.end_day + DAYS_AFTER } else { self.day };
            let end_ms = self.hours.midnight(end);
            match self.waiting.peek() {
                Some(Reverse(next)) if next.1.ms < end_ms => {
                    return self.waiting.pop().map(|Reverse(next)| next.1);
                }
                _ if is_over => return None,
                _ => self.live(),
            }
        }
    }
}

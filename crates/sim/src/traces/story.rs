//! How a world begins: providers, firms, a publisher, who reads what, and what else lies in the mailboxes.

use std::rc::Rc;

use super::case::Case;
use super::cast::{Firm, Isp};
use super::clock::{DAY, HOUR, MINUTE, SECOND};
use super::copy::Copy;
use super::letter::{self, Letter, Person};
use super::machine::Machine;
use super::stamp::{self, Envelope};

/// Where it plays.
pub(super) struct Stage {
    pub isps: Vec<Rc<Isp>>,
    /// The firms of the readers.
    pub firms: Vec<Rc<Firm>>,
    /// Where the message comes from.
    pub publisher: Rc<Firm>,
    /// All readers.
    pub readers: Vec<Person>,
}

impl Stage {
    /// The firm of this reader.
    pub fn firm_of(&self, person: &Person) -> &Rc<Firm> {
        let found = self.firms.iter().find(|firm| firm.people.contains(person));
        found.unwrap_or(&self.publisher)
    }
}

impl Case {
    /// A stage with at most so many readers, and the mailboxes that are seen: one reader's, one firm's, or
    /// those of many.
    pub fn stage(&mut self, least: usize, most: usize) -> Stage {
        let isps: Vec<Rc<Isp>> = (0..self.dice.count(1, 4)).map(|_| self.isp()).collect();
        self.stage_at(isps, least, most)
    }

    /// The same at these providers.
    pub fn stage_at(&mut self, isps: Vec<Rc<Isp>>, least: usize, most: usize) -> Stage {
        let count = self.dice.few(least, most);
        let firms = self.dice.few(1, count.clamp(1, 12));
        let firms = self.firms(&isps, firms, count);
        let home = isps[self.dice.below(isps.len())].clone();
        let publisher = self.firm(&home, 3);
        let readers: Vec<Person> = firms.iter().flat_map(|firm| firm.people.iter().cloned()).collect();
        let stage = Stage { isps, firms, publisher, readers };
        self.choose_seen(&stage);
        stage
    }

    fn choose_seen(&mut self, stage: &Stage) {
        match self.dice.below(5) {
            0 | 1 => {
                let one = stage.readers[self.dice.below(stage.readers.len())].clone();
                self.see([&one]);
            }
            2 => {
                let firm = stage.firms[self.dice.below(stage.firms.len())].clone();
                self.see(&firm.people);
            }
            3 => {
                let count = self.dice.count(1, stage.readers.len());
                let some = self.dice.some_of(stage.readers.len(), count);
                self.see(some.iter().map(|at| &stage.readers[*at]));
            }
            _ => self.see(&stage.readers),
        }
    }

    /// A Message-ID as mail programs make it.
    pub fn message_id(&mut self, domain: &str) -> String {
        let (old, dice) = (self.old, &mut self.dice);
        match dice.below(6) {
            0 => format!(
                "<{}${}${}@{}>",
                dice.hex(12),
                dice.hex(8),
                dice.hex(8),
                dice.letters(7).to_uppercase()
            ),
            1 => format!("<{}.{}@{domain}>", dice.digits(8), dice.digits(7)),
            2 => format!("<{}.JavaMail.root@mail.{domain}>", dice.digits(18)),
            3 => format!("<{}{}{}@{domain}>", dice.upper_hex(8), dice.letters(6), dice.digits(5)),
            4 if !old => format!("<CA{}=_{}@mail.{domain}>", dice.letters(30), dice.letters(12)),
            _ => format!(
                "<{}-{}-{}-{}-{}@{domain}>",
                dice.hex(8),
                dice.hex(4),
                dice.hex(4),
                dice.hex(4),
                dice.hex(12)
            ),
        }
    }

    /// A letter with all that letters have.
    pub fn letter(&mut self, author: &Person, to: &[Person]) -> Letter {
        let message_id = self.message_id(author.domain());
        let bytes = self.dice.few(200, 4_000);
        let text = letter::prose(bytes, &mut self.dice);
        let subject = letter::subject(&mut self.dice);
        let (cc, to) =
            if to.len() > 1 && self.dice.one_in(4) { to.split_at(to.len() / 2) } else { (&to[..0], to) };
        Letter {
            author: author.clone(),
            to: to.to_vec(),
            cc: cc.to_vec(),
            subject,
            date_ms: self.start,
            zone: self.zone,
            message_id,
            references: Vec::new(),
            text,
        }
    }

    /// The letter as it is when its author sends it; with forged stamps already, in some worlds.
    pub fn written(&mut self, message: usize, letter: &Letter) -> Copy {
        let (fields, body) = letter::fields(letter, self.old, &mut self.dice);
        let mut copy = Copy::new(message, &letter.author.address, fields, body, letter.date_ms);
        if self.forged_bottom {
            for _ in 0..self.dice.count(1, 2) {
                let stamp = self.forged_stamp();
                copy.forged(stamp);
            }
        }
        copy.at += self.dice.between(200, 30_000);
        copy
    }

    /// A stamp of a server that never saw the message.
    pub fn forged_stamp(&mut self) -> String {
        let (one, other) = (self.domain(true), self.domain(false));
        let from = self.unix_server(&one, "mail");
        let to = self.unix_server(&other, "mx");
        let at = self.start - self.dice.between(0, 3 * DAY);
        self.forged_line(&from, &to, at)
    }

    /// A stamp that says that `to` had it from `from`.
    pub fn forged_line(&mut self, from: &Machine, to: &Machine, at: i64) -> String {
        let env = Envelope { from: "", to: None };
        let mut honest = to.clone();
        honest.stampless = false;
        let lines = stamp::by_smtp(&honest, &from.outside(), env, at, &mut self.dice);
        // The line that names both: others of the same server stand above it.
        lines.into_iter().next().unwrap_or_default()
    }

    /// The publisher's mail to all readers, with some hundred strangers in it now and then; and the machine
    /// that speaks to the world.
    pub fn mailing(&mut self, stage: &Stage, message: usize, more: &[Person]) -> (Copy, Rc<Machine>) {
        let author = stage.publisher.people[0].clone();
        let mut to = [more, &stage.readers[..]].concat();
        let room = if self.dice.one_in(8) { 250 } else { 12 };
        for _ in 0..self.dice.few(0, room) {
            let number = self.dice.count(1, 400);
            let stranger = self.person(&format!("firm{number}.example"));
            to.push(stranger);
        }
        self.dice.shuffle(&mut to);
        let mut letter = self.letter(&author, &to);
        if more.is_empty() && self.dice.one_in(6) {
            (letter.to, letter.cc) = (Vec::new(), Vec::new());
        }
        let mut copy = self.written(message, &letter);
        let out = self.send(&stage.publisher, &mut copy);
        (copy, out)
    }

    /// The original reaches its readers, one copy each.
    pub fn original(&mut self, stage: &Stage, copy: &Copy, out: &Machine) {
        self.spread(copy, out, &stage.firms, &stage.readers);
    }

    /// What else lies in the mailboxes: none to ten letters that have nothing to do with it.
    pub fn innocents(&mut self, stage: &Stage) {
        for _ in 0..self.dice.below(11) {
            let from = stage.firms[self.dice.below(stage.firms.len())].clone();
            // Nobody writes to himself.
            let alone = stage.readers.len() == 1;
            let from = if alone || self.dice.one_in(2) { stage.publisher.clone() } else { from };
            let author = from.people[self.dice.below(from.people.len())].clone();
            let count = self.dice.few(1, 4);
            let some = self.dice.some_of(stage.readers.len(), count);
            let to = some.iter().map(|at| &stage.readers[*at]).filter(|reader| **reader != author);
            let to: Vec<Person> = to.cloned().collect();
            let mut letter = self.letter(&author, &to);
            letter.date_ms += self.dice.between(-2 * DAY, 2 * DAY);
            let message = self.message("no_culprit");
            let mut copy = self.written(message, &letter);
            let out = self.send(&from, &mut copy);
            self.spread(&copy, &out, &stage.firms, &to);
            if let (Some(first), true) = (to.first(), self.dice.one_in(6)) {
                // Some have it twice, for a good reason.
                let old = self.old_address();
                self.forwarded(&copy, &out, &old, stage, first);
            }
        }
    }

    /// Times between two things that are done again and again: a poll of 15 to 60 minutes with a little
    /// unrest, and now and then a missed one. Some servers send several times at each poll.
    pub fn poll_times(&mut self, from: i64, count: usize) -> Vec<i64> {
        let every = self.dice.pick([15, 15, 20, 30, 45, 60]) * MINUTE;
        let mut at = from + self.dice.between(MINUTE, HOUR);
        let burst = if self.dice.one_in(5) { self.dice.count(2, 5) } else { 1 };
        (0..count)
            .map(|turn| {
                if turn % burst > 0 {
                    return at - every + self.dice.between(SECOND, MINUTE);
                }
                let now = at + self.dice.between(0, 20_000);
                at += if self.dice.one_in(15) { 2 * every } else { every };
                now
            })
            .collect()
    }
}

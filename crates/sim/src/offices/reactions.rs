//! What a message sets off by itself: redirects, and the answers of those who are away.

use super::cast::{Cast, Home, Responder, SERVER};
use super::letter::{Letter, Party};
use super::office::Office;
use super::way::Way;
use super::{Kind, Truth};
use crate::clock::{DAY, MINUTE, SECOND};

impl Office {
    /// Those of ours who have their mail elsewhere: it leaves the house once more, with a longer trace.
    pub(super) fn forward(&mut self, ms: i64, first: &Way, reverse_path: &str, to: &[String], printed: &str) {
        for address in to.iter().filter(|address| Cast::is_ours(address)) {
            let members = self.cast.aliases.get(address).cloned();
            for address in members.unwrap_or_else(|| vec![address.clone()]) {
                let person = self.cast.find(&address).map(|at| &self.cast.people[at]);
                let Some(elsewhere) = person.and_then(|person| person.forwards_to.clone()) else { continue };
                let at = ms + 10 * SECOND + self.dice.wait(10 * SECOND);
                let way = self.way_on(first, Home::Inside(SERVER), at);
                self.push(at, &way, reverse_path, vec![elsewhere], printed, Truth::Real(Kind::Redirect));
            }
        }
    }

    pub(super) fn absent_answer(&mut self, ms: i64, letter: &Letter, reverse_path: &str, to: &[String]) {
        if reverse_path.is_empty() {
            return;
        }
        let is_bulk = letter
            .fields
            .iter()
            .any(|(name, _)| ["List-Id", "Precedence", "Auto-Submitted", "List-Unsubscribe"].contains(name));
        for address in to {
            let members = self.cast.aliases.get(address).cloned();
            for address in members.unwrap_or_else(|| vec![address.clone()]) {
                let Some(at) = self.cast.find(&address) else { continue };
                let person = &self.cast.people[at];
                let answers = match person.responder {
                    Responder::None => false,
                    Responder::Polite => !is_bulk,
                    Responder::Plain => true,
                };
                if answers && person.away_until > ms && address != letter.from.address {
                    self.absent(at, letter, ms);
                }
            }
        }
    }

    /// Somebody's program answers for him, unless it has just done so.
    fn absent(&mut self, at: usize, to: &Letter, ms: i64) {
        let is_plain = self.cast.people[at].responder == Responder::Plain;
        let pause = if is_plain { DAY } else { 7 * DAY };
        let key = (at, to.from.address.clone());
        if self.answered.get(&key).is_some_and(|last| ms - last < pause) {
            return;
        }
        self.answered.insert(key, ms);
        let later = ms + self.dice.wait(20 * SECOND).min(10 * MINUTE) + SECOND;
        let letter = self.absence(at, to, later);
        let (home, author) = (self.cast.people[at].home, letter.from.address.clone());
        let reverse_path = if is_plain { author } else { String::new() };
        let recipients = vec![to.from.address.clone()];
        self.send_by(home, &reverse_path, recipients, letter, Truth::Real(Kind::OutOfOffice));
    }

    /// What the program of somebody who is away writes: to everybody the same.
    pub(super) fn absence(&mut self, at: usize, to: &Letter, ms: i64) -> Letter {
        let Party { name, address } = self.cast.party(at);
        let back = crate::clock::plain(self.cast.people[at].away_until, self.hours.zone);
        let back = back.get(..16).unwrap_or_default().to_owned();
        let domain = address.rsplit('@').next().unwrap_or_default().to_owned();
        let id = self.id(&domain);
        let text = format!(
            "I am out of the office until {back}.\nI will answer your mail when I am back.\n\n{name}\n"
        );
        let mut letter = to.answer(Party { name, address }, false, text, ms, id);
        let (start, subject) = (at % 4, to.subject.clone());
        letter.subject = match start {
            0 => format!("Automatic reply: {subject}"),
            1 => format!("Out of office: {subject}"),
            2 => "Out of office".to_owned(),
            _ => letter.subject,
        };
        if self.cast.people[at].responder != Responder::Plain {
            letter.fields.push(("Auto-Submitted", "auto-replied".to_owned()));
        }
        letter
    }
}

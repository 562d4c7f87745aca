//! Two machines answer each other.

use std::rc::Rc;

use super::part;
use crate::clock::{MINUTE, SECOND};
use crate::offices::cast::Home;
use crate::offices::kinds::desks as real;
use crate::offices::letter::{Form, Letter};
use crate::offices::office::Office;
use crate::offices::{Kind, StormKind, Truth};

/// Turns that may pass (DESIGN.md, "The judge").
const TURNS: u32 = 4;

/// One of ours is away and one of the others is, and neither's program asks what it answers.
pub(super) fn absent(office: &mut Office, kind: StormKind, ms: i64) {
    let (ours, other) = (office.cast.colleague(&mut office.dice), office.cast.outsider(&mut office.dice));
    let letter = office.letter(ours, &[other], ms);
    let (plain, homes) =
        (kind == StormKind::AutoReplyPlain, [office.cast.people[other].home, office.cast.people[ours].home]);
    let truth = part(office, kind, Some(TURNS));
    let mut last = office.send(letter, Truth::Real(Kind::Person));
    let quotes = office.dice.one_in(2);
    for turn in 0..office.dice.count(12, 150) {
        let (side, at) = (turn % 2, next(office, &last));
        let who = [other, ours][side];
        let mut letter = office.absence(who, &last, at);
        letter.form = Form::Plain;
        letter.fields.clear();
        if plain {
            letter.subject = format!("Re: {}", last.subject);
            if quotes {
                letter.text += &last.quoted();
            }
        } else {
            letter.fields.push(("Auto-Submitted", "auto-replied".to_owned()));
        }
        last = sends(office, homes[side], letter, truth);
    }
}

/// Our help desk and another one: each takes the other's acknowledgement for a new question.
pub(super) fn desks(office: &mut Office, kind: StormKind, ms: i64) {
    let desks = [real::other_desk(office), real::our_desk(false)];
    let truth = part(office, kind, Some(TURNS));
    let asks = office.cast.colleague(&mut office.dice);
    let mut letter = office.letter(asks, &[], ms);
    letter.from = desks[1].party.clone();
    letter.to = vec![desks[0].party.clone()];
    let mut last = sends(office, desks[1].home, letter, Truth::Real(Kind::Ticket));
    let new_tickets = office.dice.one_in(2);
    let mut numbers = [office.habits.tickets + 1, office.habits.tickets + 2];
    office.habits.tickets += 200;
    for turn in 0..office.dice.count(12, 150) {
        let (side, at) = (turn % 2, next(office, &last));
        if new_tickets && turn > 1 {
            numbers[side] += 2;
        }
        let number = numbers[side];
        let text = format!(
            "Thank you for your message. It was added to ticket {number} as comment {turn}.\n\
             Reference {}-{}.\nWe will answer soon.\n",
            office.dice.upper_hex(6),
            office.dice.digits(5)
        );
        let mut letter = desks[side].says(office, number, &last, text, at);
        letter.fields.clear();
        letter.subject = match new_tickets {
            true => format!("[#{number}] Re: {}", last.subject.chars().take(150).collect::<String>()),
            false => letter.subject,
        };
        last = sends(office, desks[side].home, letter, truth);
    }
}

fn next(office: &mut Office, last: &Letter) -> i64 {
    last.date_ms + 8 * SECOND + office.dice.wait(30 * SECOND).min(2 * MINUTE)
}

/// Without the answers of others who are away: these two are enough.
fn sends(office: &mut Office, home: Home, letter: Letter, truth: Truth) -> Rc<Letter> {
    let at = letter.date_ms + 2 * SECOND;
    let way = office.way(home, at);
    let to = letter.addresses();
    office.push(at, &way, &letter.from.address, to, &letter.print(), truth);
    Rc::new(letter)
}

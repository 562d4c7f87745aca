//! One writes to another; chats; somebody new.

use std::rc::Rc;

use crate::clock::{HOUR, MINUTE, SECOND};
use crate::offices::cast::{Cast, Home};
use crate::offices::letter::{Letter, Party};
use crate::offices::office::Office;
use crate::offices::{Kind, Truth, words};

/// Letters that a person begins on a working day, and chats, in thousandths.
const LETTERS_MILLI: usize = 2_500;
const CHATS_MILLI: usize = 80;

pub(super) fn day(office: &mut Office, day: i64) {
    let ours = office.cast.ours;
    for _ in 0..office.hours.happen(day, ours, LETTERS_MILLI, &mut office.dice) {
        let ms = office.hours.moment(day, &mut office.dice);
        letter(office, ms);
    }
    for _ in 0..office.hours.happen(day, ours, CHATS_MILLI, &mut office.dice) {
        let ms = office.hours.moment(day, &mut office.dice);
        chat(office, ms);
    }
    if office.hours.is_working_day(day) && office.dice.one_in(1 + 600 / ours as u64) {
        first_day(office, day);
    }
}

/// Who writes and who reads: one of them is ours.
fn pair(office: &mut Office) -> (usize, usize) {
    let ours = office.cast.colleague(&mut office.dice);
    match office.dice.below(5) {
        0 | 1 => (ours, office.cast.outsider(&mut office.dice)),
        2 | 3 => (office.cast.outsider(&mut office.dice), ours),
        _ => (ours, office.cast.another(ours, &mut office.dice)),
    }
}

fn letter(office: &mut Office, ms: i64) {
    let (from, to) = pair(office);
    let mut letter = office.letter(from, &[to], ms);
    if office.dice.one_in(4) {
        let wanted = office.dice.few(1, 6);
        let copies = office.cast.circle(wanted, true, &mut office.dice);
        letter.cc = copies.into_iter().map(|at| office.cast.party(at)).collect();
    }
    let mut last = office.send(letter, Truth::Real(Kind::Person));
    let (mut writes, mut reads) = (to, from);
    while office.dice.one_in(2) {
        let delay = office.dice.wait(3 * HOUR) + MINUTE;
        let at = office.hours.at_work(last.date_ms + delay, &mut office.dice);
        let sentences = office.dice.tail(1, 20);
        let text = match office.dice.below(4) {
            0 => words::quick(&mut office.dice),
            _ => {
                let (a, b) = (office.cast.party(reads).name, office.cast.party(writes).name);
                words::letter(&a, &b, sentences, &mut office.dice) + &office.cast.people[writes].signature
            }
        };
        let all = office.dice.one_in(2);
        let answer = office.answer(&last, writes, all, text, at);
        last = office.send(answer, Truth::Real(Kind::Person));
        std::mem::swap(&mut writes, &mut reads);
    }
}

/// Up to a dozen turns within minutes.
fn chat(office: &mut Office, ms: i64) {
    let (mut writes, mut reads) = pair(office);
    let first = office.letter(writes, &[reads], ms);
    let mut last: Rc<Letter> = office.send(first, Truth::Real(Kind::Chat));
    for _ in 0..office.dice.count(4, 14) {
        std::mem::swap(&mut writes, &mut reads);
        let at = last.date_ms + 15 * SECOND + office.dice.wait(45 * SECOND);
        let text = words::quick(&mut office.dice);
        let answer = office.answer(&last, writes, false, text, at);
        last = office.send(answer, Truth::Real(Kind::Chat));
        // Now and then the same one adds something at once.
        if office.dice.one_in(8) {
            let text = words::quick(&mut office.dice);
            let at = last.date_ms + office.dice.wait(30 * SECOND) + SECOND;
            let mut more = office.answer(&last, writes, false, text, at);
            more.to = vec![office.cast.party(reads)];
            last = office.send(more, Truth::Real(Kind::Chat));
        }
    }
}

/// A new colleague: dozens of accounts are made within an hour, some by one machine in equal words, and many
/// say welcome.
fn first_day(office: &mut Office, day: i64) {
    let start = office.hours.midnight(day) + 9 * HOUR;
    let new = office.cast.colleague(&mut office.dice);
    let who = office.cast.party(new);
    for nth in 0..office.dice.count(6, 25) {
        let ms = start + office.dice.between(0, HOUR);
        let service = *office.dice.of(&words::HOUSES);
        let (own, publisher) = (office.dice.one_in(3), *office.dice.of(&office.cast.publishers));
        let (home, address) = match own {
            true => (Home::Inside(crate::offices::cast::PROGRAMS), "accounts-robot@firm.example".to_owned()),
            false => (Home::Outside(publisher), format!("no-reply@{service}.example")),
        };
        let text = format!(
            "Hello {},\n\nan account has been made for you at {service}. Please choose a password:\n\n\
             https://{service}.example/start/{}\n\nIf it was not you, you need not do anything.\n",
            who.name,
            office.dice.letters(32)
        );
        let subject = if nth % 3 == 0 { "Welcome".to_owned() } else { format!("Your account at {service}") };
        let mut letter = office.plain(Party::new(service, &address), vec![who.clone()], subject, text, ms);
        letter.fields.push(("Auto-Submitted", "auto-generated".to_owned()));
        office.send_by(home, &address, vec![who.address.clone()], letter, Truth::Real(Kind::Staff));
    }
    announce(office, new, start);
}

fn announce(office: &mut Office, new: usize, start: i64) {
    let boss = office.cast.another(new, &mut office.dice);
    let mut letter = office.letter(boss, &[], start + HOUR);
    letter.to = vec![Party::new("", &format!("all@{}", crate::offices::cast::DOMAIN))];
    letter.subject = format!("Welcome, {}!", office.cast.party(new).name);
    let sent = office.send(letter, Truth::Real(Kind::Staff));
    // A few answer to all, most to the two alone.
    for nth in 0..office.dice.few(2, 12.min(office.cast.ours)) {
        let ms = sent.date_ms + office.dice.wait(HOUR) + MINUTE;
        let from = office.cast.colleague(&mut office.dice);
        let text = format!("Welcome! {}\n", words::sentence(&mut office.dice));
        let mut answer = office.answer(&sent, from, nth < 3, text, ms);
        answer.cc.push(office.cast.party(new));
        debug_assert!(Cast::is_ours(&answer.from.address));
        office.send(answer, Truth::Real(Kind::Staff));
    }
}

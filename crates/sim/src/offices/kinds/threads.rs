//! Several people talk to all: most threads are small and slow, few are large, and some are quick.

use std::rc::Rc;

use crate::clock::{HOUR, MINUTE};
use crate::offices::letter::{Letter, Party};
use crate::offices::office::Office;
use crate::offices::{Kind, Truth, words};

/// Threads that a person begins on a working day, in thousandths.
const THREADS_MILLI: usize = 120;

pub(super) fn day(office: &mut Office, day: i64) {
    let ours = office.cast.ours;
    for _ in 0..office.hours.happen(day, ours, THREADS_MILLI, &mut office.dice) {
        let ms = office.hours.moment(day, &mut office.dice);
        match office.dice.below(12) {
            0 => busy(office, ms),
            1 if office.dice.one_in(3) => invitation(office, ms),
            _ => slow(office, ms),
        }
    }
}

/// How the first one names the others.
fn addressed(office: &mut Office, letter: &mut Letter, circle: &[usize]) {
    let parties: Vec<Party> = circle.iter().map(|at| office.cast.party(*at)).collect();
    match office.dice.below(4) {
        0 => {
            let (to, cc) = parties.split_at(1.min(parties.len()));
            (letter.to, letter.cc) = (to.to_vec(), cc.to_vec());
        }
        1 if circle.iter().all(|at| *at < office.cast.ours) => {
            let names: Vec<String> = office.cast.aliases.keys().cloned().collect();
            let name = office.dice.of(&names).as_str();
            letter.to = vec![Party::new("", name)];
        }
        _ => letter.to = parties,
    }
}

/// Somebody of the circle answers to all.
fn answer_to_all(office: &mut Office, circle: &[usize], to: &Letter, ms: i64, kind: Kind) -> Rc<Letter> {
    let from = *office.dice.of(circle);
    let text = match office.dice.below(3) {
        0 => words::quick(&mut office.dice),
        _ => {
            let sentences = office.dice.tail(1, 15);
            words::prose(sentences, &mut office.dice) + &office.cast.people[from].signature
        }
    };
    let answer = office.answer(to, from, true, text, ms);
    office.send(answer, Truth::Real(kind))
}

/// Three to sixty people; one to sixty answers, over hours and days.
fn slow(office: &mut Office, ms: i64) {
    let wanted = office.dice.tail(3, 60.min(office.cast.people.len()));
    let mixed = office.dice.one_in(2);
    let circle = office.cast.circle(wanted, mixed, &mut office.dice);
    let mut first = office.letter(circle[0], &[], ms);
    addressed(office, &mut first, &circle[1..]);
    let mut last = office.send(first, Truth::Real(Kind::Thread));
    let first = last.clone();
    for _ in 0..office.dice.tail(1, 60) - 1 {
        // The more people there are, the sooner one of them answers, but not within minutes again and again.
        let mean = (3 * HOUR / circle.len() as i64).max(20 * MINUTE);
        let delay = office.dice.wait(mean) + MINUTE;
        let at = office.hours.at_work(last.date_ms + delay, &mut office.dice);
        let to = if office.dice.one_in(4) { first.clone() } else { last.clone() };
        let ms = at.max(last.date_ms + MINUTE);
        last = answer_to_all(office, &circle, &to, ms, Kind::Thread);
    }
}

/// Six to fifteen people, four to twelve answers within an hour.
fn busy(office: &mut Office, ms: i64) {
    let wanted = office.dice.count(6, 15);
    let mixed = office.dice.one_in(2);
    let circle = office.cast.circle(wanted, mixed, &mut office.dice);
    let mut first = office.letter(circle[0], &[], ms);
    addressed(office, &mut first, &circle[1..]);
    let mut last = office.send(first, Truth::Real(Kind::BusyThread));
    let mut times: Vec<i64> =
        (0..office.dice.few(4, 12)).map(|_| office.dice.between(MINUTE, HOUR)).collect();
    times.sort_unstable();
    for at in times {
        last = answer_to_all(office, &circle, &last.clone(), ms + at, Kind::BusyThread);
    }
}

/// Thirty are invited; eight answer to all within minutes, some more in the course of the day, others to the
/// one who invites.
fn invitation(office: &mut Office, ms: i64) {
    let wanted = office.dice.count(20, 40);
    let mixed = office.dice.one_in(3);
    let circle = office.cast.circle(wanted, mixed, &mut office.dice);
    let mut letter = office.letter(circle[0], &[], ms);
    letter.to = circle[1..].iter().map(|at| office.cast.party(*at)).collect();
    letter.subject = format!("Party: {}", letter.subject);
    let sent = office.send(letter, Truth::Real(Kind::BusyThread));
    let (quick, slow) = (office.dice.count(2, 8), office.dice.count(0, 8));
    for nth in 0..quick + slow {
        let within = if nth < quick { 25 * MINUTE } else { 8 * HOUR };
        let from = *office.dice.of(&circle[1..]);
        let at = ms + MINUTE + office.dice.between(0, within) + if nth < quick { 0 } else { HOUR };
        let text = format!("{}{}", words::quick(&mut office.dice), office.cast.people[from].signature);
        let all = nth < quick || office.dice.one_in(2);
        let answer = office.answer(&sent, from, all, text, at);
        office.send(answer, Truth::Real(Kind::BusyThread));
    }
}

//! Mail that looks like a copy, and is none: sent again by hand, passed on, form letters, patches; and the one
//! that is, from a server that had no answer.

use crate::clock::{DAY, HOUR, MINUTE, SECOND};
use crate::dice::Dice;
use crate::offices::cast::Home;
use crate::offices::letter::{Form, Letter, Party};
use crate::offices::office::Office;
use crate::offices::{Kind, Truth, words};

/// Each kind for each of ours on a working day, in thousandths.
const MILLI: usize = 20;

pub(super) fn day(office: &mut Office, day: i64) {
    let ours = office.cast.ours;
    for story in [by_hand, tests, redirect, two_addresses, retry, form_letters, patches] {
        for _ in 0..office.hours.happen(day, ours, MILLI, &mut office.dice) {
            let ms = office.hours.moment(day, &mut office.dice);
            story(office, ms);
        }
    }
}

fn either(office: &mut Office) -> (usize, usize) {
    let (ours, other) = (office.cast.colleague(&mut office.dice), office.cast.outsider(&mut office.dice));
    if office.dice.one_in(2) { (ours, other) } else { (other, ours) }
}

/// "I did not get it": the same text again, with a new identity, once or twice.
fn by_hand(office: &mut Office, ms: i64) {
    let (from, to) = either(office);
    let mut letter = office.letter(from, &[to], ms);
    if office.dice.one_in(3) {
        let wanted = office.dice.count(1, 8);
        let more = office.cast.circle(wanted, true, &mut office.dice);
        letter.cc = more.into_iter().map(|at| office.cast.party(at)).collect();
    }
    office.send(letter.clone(), Truth::Real(Kind::Again));
    let mut at = ms;
    for _ in 0..office.dice.few(1, 3) {
        at += office.dice.wait(2 * HOUR) + 2 * MINUTE;
        let domain = letter.from.address.rsplit('@').next().unwrap_or_default().to_owned();
        let mut again = Letter { id: office.id(&domain), date_ms: at, ..letter.clone() };
        if office.dice.one_in(3) {
            again.subject = format!("{} (again)", again.subject);
        }
        office.send(again, Truth::Real(Kind::Again));
    }
}

/// Somebody sets up mail: "test", several times, from several machines.
fn tests(office: &mut Office, ms: i64) {
    if !office.dice.one_in(3) {
        return;
    }
    let (from, to) = either(office);
    let mut at = ms;
    for _ in 0..office.dice.few(2, 9) {
        let mut letter = office.letter(from, &[to], at);
        letter.subject = "test".to_owned();
        letter.text = office.dice.pick(["test\n", "test\n", "test 123\n", "\n"]).to_owned();
        letter.form = Form::Plain;
        let home = match office.cast.people[from].home {
            Home::Outside(_) if office.dice.one_in(2) => Home::Outside(office.dice.below(office.cast.large)),
            home => home,
        };
        let (reverse_path, recipients) = (letter.from.address.clone(), letter.addresses());
        office.send_by(home, &reverse_path, recipients, letter, Truth::Real(Kind::Again));
        at += office.dice.wait(4 * MINUTE) + 10 * SECOND;
    }
}

/// What came for one of ours goes on to his address elsewhere, by his rule: same message, longer trace.
fn redirect(office: &mut Office, ms: i64) {
    let (ours, other) = (office.cast.colleague(&mut office.dice), office.cast.outsider(&mut office.dice));
    let private = format!("{}.private@webmail0.example", office.cast.party(ours).address.replace('@', "."));
    for nth in 0..office.dice.few(1, 5) as i64 {
        let at = ms + nth * office.dice.between(MINUTE, HOUR);
        let mut letter = office.letter(other, &[ours], at);
        if office.dice.one_in(2) {
            let wanted = office.dice.count(1, 6);
            let more = office.cast.circle(wanted, true, &mut office.dice);
            letter.cc = more.into_iter().map(|at| office.cast.party(at)).collect();
        }
        let sent = office.send(letter, Truth::Real(Kind::Redirect));
        let at = sent.date_ms + 20 * SECOND;
        let first = office.way(office.cast.people[other].home, at);
        let way = office.way_on(&first, office.cast.people[ours].home, at);
        let reverse_path = sent.from.address.clone();
        let recipients = vec![private.clone()];
        office.push(at, &way, &reverse_path, recipients, &sent.print(), Truth::Real(Kind::Redirect));
    }
}

/// To somebody's address here and to his old one, from which a provider passes it on to the one here.
fn two_addresses(office: &mut Office, ms: i64) {
    let (ours, other) = (office.cast.colleague(&mut office.dice), office.cast.outsider(&mut office.dice));
    let old = Party::new(&office.cast.party(ours).name, "old.address@webmail1.example");
    let mut letter = office.letter(other, &[ours], ms);
    letter.cc = vec![old.clone()];
    let second = office.dice.one_in(3).then(|| Party::new(&old.name, "older@webmail2.example"));
    letter.cc.extend(second.clone());
    let sent = office.send(letter, Truth::Real(Kind::TwoAddresses));
    let address = office.cast.party(ours).address;
    for nth in 0..1 + usize::from(second.is_some()) {
        let at = sent.date_ms + 10 * SECOND + office.dice.wait(MINUTE);
        let first = office.way(office.cast.people[other].home, at);
        let way = office.way_on(&first, Home::Outside((nth + 1) % office.cast.large), at);
        let reverse_path = sent.from.address.clone();
        let recipients = vec![address.clone()];
        office.push(at, &way, &reverse_path, recipients, &sent.print(), Truth::Real(Kind::TwoAddresses));
    }
}

/// A server that had no answer sends it again, from another of its machines if it has several.
fn retry(office: &mut Office, ms: i64) {
    let other = office.cast.outsider(&mut office.dice);
    let wanted = office.dice.few(1, 6);
    let readers: Vec<usize> = office.dice.some_of(office.cast.ours, wanted);
    let letter = office.letter(other, &readers, ms);
    let sent = office.send(letter, Truth::Real(Kind::Retry));
    let mut at = sent.date_ms;
    for _ in 0..office.dice.few(1, 4) {
        at += 5 * MINUTE + office.dice.wait(20 * MINUTE);
        let way = office.way(office.cast.people[other].home, at);
        let reverse_path = sent.from.address.clone();
        office.push(at, &way, &reverse_path, sent.addresses(), &sent.print(), Truth::Real(Kind::Retry));
    }
}

/// The same text for many with other names: offers, reminders, job applications.
fn form_letters(office: &mut Office, ms: i64) {
    let (inwards, count) = (office.dice.one_in(2), office.dice.tail(3, 40));
    let author = match inwards {
        true => office.cast.outsider(&mut office.dice),
        false => office.cast.colleague(&mut office.dice),
    };
    let sentences = office.dice.count(3, 12);
    let (text, subject) = (words::prose(sentences, &mut office.dice), words::topic(&mut office.dice));
    for nth in 0..count as i64 {
        let to = match inwards {
            true => office.cast.colleague(&mut office.dice),
            false => office.cast.outsider(&mut office.dice),
        };
        let at = ms + nth * (20 * SECOND + office.dice.wait(MINUTE));
        let mut letter = office.letter(author, &[to], at);
        letter.text =
            format!("Dear {},\n\n{text}\n{}\n", office.cast.party(to).name, office.cast.party(author).name);
        letter.subject.clone_from(&subject);
        letter.form = Form::Plain;
        office.send(letter, Truth::Real(Kind::FormLetter));
    }
}

/// A series of patches to several people, and its second and third version on other days.
fn patches(office: &mut Office, ms: i64) {
    let (from, to) = either(office);
    let wanted = office.dice.count(1, 6);
    let circle = office.cast.circle(wanted, true, &mut office.dice);
    let parts = office.dice.few(1, 9);
    let subjects: Vec<String> = (0..parts).map(|_| words::topic(&mut office.dice)).collect();
    let mut texts: Vec<String> = (0..parts).map(|_| diff(&mut office.dice)).collect();
    let mut at = ms;
    for version in 1..=office.dice.count(1, 4) {
        for part in 0..parts {
            let tag = if version > 1 { format!(" v{version}") } else { String::new() };
            let mut letter = office.letter(from, &[to], at + part as i64 * 2 * SECOND);
            letter.cc = circle.iter().map(|at| office.cast.party(*at)).collect();
            letter.subject = format!("[PATCH{tag} {}/{parts}] {}", part + 1, subjects[part]);
            letter.text.clone_from(&texts[part]);
            letter.form = Form::Plain;
            office.send(letter, Truth::Real(Kind::Patch));
            // Most parts stay as they are.
            if office.dice.one_in(3) {
                texts[part] += &format!("+{}\n", words::sentence(&mut office.dice));
            }
        }
        at += HOUR + office.dice.wait(DAY);
    }
}

fn diff(dice: &mut Dice) -> String {
    let mut text = format!("{}\n---\n--- a/main.c\n+++ b/main.c\n", words::prose(2, dice));
    for _ in 0..dice.count(4, 30) {
        let sign = dice.pick(["+", "-", " "]);
        text += &format!("{sign}{}\n", words::sentence(dice));
    }
    text
}

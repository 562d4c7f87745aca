//! Invitations with their answers, receipts, and single bounces.

use super::bulk;
use crate::clock::{HOUR, MINUTE, SECOND};
use crate::offices::letter::{Form, Letter};
use crate::offices::office::Office;
use crate::offices::{Kind, Truth, words};

/// Meetings, letters that want a receipt, and letters to nobody, for each of ours on a working day; thousandths.
const MEETINGS_MILLI: usize = 100;
const RECEIPTS_MILLI: usize = 40;
const LOST_MILLI: usize = 80;

pub(super) fn day(office: &mut Office, day: i64) {
    let ours = office.cast.ours;
    for (milli, story) in
        [(MEETINGS_MILLI, meeting as fn(&mut Office, i64)), (RECEIPTS_MILLI, receipt), (LOST_MILLI, lost)]
    {
        for _ in 0..office.hours.happen(day, ours, milli, &mut office.dice) {
            let ms = office.hours.moment(day, &mut office.dice);
            story(office, ms);
        }
    }
}

fn event(method: &str, uid: &str, version: usize, summary: &str) -> Form {
    let body = format!(
        "BEGIN:VCALENDAR\nVERSION:2.0\nMETHOD:{method}\nBEGIN:VEVENT\nUID:{uid}\nSEQUENCE:{version}\n\
         SUMMARY:{summary}\nEND:VEVENT\nEND:VCALENDAR\n"
    );
    Form::Raw(format!("text/calendar; charset=utf-8; method={method}"), body)
}

/// An invitation, answered by programs within minutes or by people within hours; sometimes it is moved, and all
/// answer again, in the same words.
fn meeting(office: &mut Office, ms: i64) {
    let wanted = office.dice.tail(2, 40.min(office.cast.people.len()));
    let mixed = office.dice.one_in(2);
    let circle = office.cast.circle(wanted, mixed, &mut office.dice);
    let (uid, summary) = (office.dice.hex(30), words::topic(&mut office.dice));
    let mut at = ms;
    for version in 0..office.dice.few(1, 4) {
        let mut letter = office.letter(circle[0], &circle[1..], at);
        letter.subject = if version > 0 { format!("Updated: {summary}") } else { summary.clone() };
        letter.form = event("REQUEST", &uid, version, &summary);
        letter.text = String::new();
        let sent = office.send(letter, Truth::Real(Kind::Calendar));
        for guest in &circle[1..] {
            if !office.dice.one_in(4) {
                let mean = if office.dice.one_in(3) { MINUTE } else { 3 * HOUR };
                let at = at + office.dice.wait(mean) + 30 * SECOND;
                accept(office, &sent, *guest, at, (&uid, version, &summary));
            }
        }
        at += HOUR + office.dice.wait(10 * HOUR);
    }
}

fn accept(
    office: &mut Office,
    to: &Letter,
    guest: usize,
    ms: i64,
    (uid, version, summary): (&str, usize, &str),
) {
    let mut answer = office.answer(to, guest, false, String::new(), ms);
    let word = office.dice.pick(["Accepted", "Accepted", "Accepted", "Tentative", "Declined"]);
    answer.subject = format!("{word}: {summary}");
    answer.form = event("REPLY", uid, version, summary);
    office.send(answer, Truth::Real(Kind::Calendar));
}

/// A letter, and its reader's program that says it was read.
fn receipt(office: &mut Office, ms: i64) {
    let (ours, other) = (office.cast.colleague(&mut office.dice), office.cast.outsider(&mut office.dice));
    let (from, to) = if office.dice.one_in(2) { (ours, other) } else { (other, ours) };
    let letter = office.letter(from, &[to], ms);
    let sent = office.send(letter, Truth::Real(Kind::Calendar));
    let at = ms + office.dice.wait(HOUR) + MINUTE;
    let mut answer = office.answer(&sent, to, false, "Your message was read.\n".to_owned(), at);
    answer.subject = format!("Read: {}", sent.subject);
    answer.fields.push(("Auto-Submitted", "auto-replied".to_owned()));
    let (home, recipients) = (office.cast.people[to].home, answer.addresses());
    office.send_by(home, "", recipients, answer, Truth::Real(Kind::Calendar));
}

/// One of ours mistypes an address.
fn lost(office: &mut Office, ms: i64) {
    let ours = office.cast.colleague(&mut office.dice);
    let mut letter = office.letter(ours, &[], ms);
    let address = format!("nobody{}@webmail0.example", office.number());
    letter.to = vec![crate::offices::letter::Party::new("", &address)];
    let sent = office.send(letter, Truth::Real(Kind::Bounce));
    let at = ms + 2 * SECOND + office.dice.wait(MINUTE);
    bulk::bounces(office, &sent, &address, at);
}

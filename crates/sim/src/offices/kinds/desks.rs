//! Help desks: ours and others', and two that work on one ticket.

use std::rc::Rc;

use crate::clock::{DAY, HOUR, MINUTE, SECOND};
use crate::offices::cast::{Home, PROGRAMS};
use crate::offices::letter::{Form, Letter, Party};
use crate::offices::office::Office;
use crate::offices::{Kind, Truth, words};

/// Tickets for each of ours on a working day, in thousandths.
const TICKETS_MILLI: usize = 60;

/// A help desk's program.
#[derive(Debug, Clone)]
pub(in crate::offices) struct Desk {
    pub party: Party,
    pub home: Home,
    /// It says that it is a machine.
    pub marked: bool,
}

pub(super) fn day(office: &mut Office, day: i64) {
    let ours = office.cast.ours;
    for _ in 0..office.hours.happen(day, ours, TICKETS_MILLI, &mut office.dice) {
        let ms = office.hours.moment(day, &mut office.dice);
        match office.dice.below(12) {
            0 => two_desks(office, ms),
            _ => ticket(office, ms),
        }
    }
}

/// Our own help desk.
pub(in crate::offices) fn our_desk(marked: bool) -> Desk {
    Desk { party: Party::new("Support", "support@firm.example"), home: Home::Inside(PROGRAMS), marked }
}

/// Somebody else's.
pub(in crate::offices) fn other_desk(office: &mut Office) -> Desk {
    let at = office.cast.outsider(&mut office.dice);
    let home = office.cast.people[at].home;
    let domain = office.cast.party(at).address.rsplit('@').next().unwrap_or_default().to_owned();
    let name = office.dice.pick(["helpdesk", "support", "service", "tickets"]);
    let marked = domain.len().is_multiple_of(2);
    Desk { party: Party::new("Service Desk", &format!("{name}@{domain}")), home, marked }
}

impl Desk {
    /// What its program writes about a ticket, as an answer to `to`.
    pub fn says(&self, office: &mut Office, number: u64, to: &Letter, text: String, ms: i64) -> Letter {
        let domain = self.party.address.rsplit('@').next().unwrap_or_default().to_owned();
        let id = office.id(&domain);
        let mut letter = to.answer(self.party.clone(), false, text, ms, id);
        let tag = format!("[#{number}]");
        if !letter.subject.contains(&tag) {
            letter.subject = format!("{tag} {}", letter.subject.trim_start_matches("Re: "));
        }
        letter.form = Form::Plain;
        if self.marked {
            letter.fields.push(("Auto-Submitted", "auto-generated".to_owned()));
        }
        letter
    }

    pub fn sends(&self, office: &mut Office, letter: Letter, truth: Truth) -> Rc<Letter> {
        let to = letter.addresses();
        office.send_by(self.home, &self.party.address.clone(), to, letter, truth)
    }
}

fn acknowledgement(number: u64) -> String {
    format!(
        "Thank you for your message. We have received it and given it the number {number}.\n\
         Please keep this number in the subject of all further mail about it.\n\nYour support team\n"
    )
}

fn next_ticket(office: &mut Office) -> u64 {
    office.habits.tickets += 1;
    office.habits.tickets
}

/// Somebody asks: the program says that it has it, people talk, and the program says that it is closed.
fn ticket(office: &mut Office, ms: i64) {
    let truth = Truth::Real(Kind::Ticket);
    let own = office.dice.one_in(2);
    let (desk, asks) = match own {
        true => (our_desk(true), office.cast.outsider(&mut office.dice)),
        false => (other_desk(office), office.cast.colleague(&mut office.dice)),
    };
    let number = next_ticket(office);
    let mut question = office.letter(asks, &[], ms);
    question.to = vec![desk.party.clone()];
    let question = office.send(question, truth);
    let at = ms + 20 * SECOND + office.dice.wait(MINUTE);
    let letter = desk.says(office, number, &question, acknowledgement(number), at);
    let mut last = desk.sends(office, letter, truth);
    for _ in 0..office.dice.tail(1, 12) {
        let delay = office.dice.wait(4 * HOUR) + 2 * MINUTE;
        let at = office.hours.at_work(last.date_ms + delay, &mut office.dice);
        let sentences = office.dice.count(1, 8);
        let text = words::prose(sentences, &mut office.dice);
        let letter = desk.says(office, number, &last, text.clone() + &last.quoted(), at);
        let mut letter = Letter { to: vec![office.cast.party(asks)], ..letter };
        letter.fields.clear();
        last = desk.sends(office, letter, truth);
        if office.dice.one_in(2) {
            let at = at + office.dice.wait(2 * HOUR) + MINUTE;
            let text = words::quick(&mut office.dice);
            let answer = office.answer(&last, asks, false, text, at);
            let answer = office.send(answer, truth);
            // Some programs acknowledge each of them.
            if office.dice.one_in(3) {
                let text = format!("Your message was added to ticket {number}.\n");
                let at = at + 15 * SECOND + office.dice.wait(MINUTE);
                let letter = desk.says(office, number, &answer, text, at);
                last = desk.sends(office, letter, truth);
            }
        }
    }
    let at = last.date_ms + office.dice.wait(2 * DAY);
    let text = format!("Ticket {number} has been closed.\nHow did we do? https://{number}.desk.example/\n");
    let closing = desk.says(office, number, &last, text, at);
    desk.sends(office, Letter { to: vec![office.cast.party(asks)], ..closing }, truth);
}

/// Our help desk asks another one, and people on both sides write by their programs: each program acknowledges
/// once, then people take their time.
fn two_desks(office: &mut Office, ms: i64) {
    let truth = Truth::Real(Kind::TwoDesks);
    let (marked, other) = (office.dice.one_in(2), other_desk(office));
    let desks = [our_desk(marked), other];
    let numbers = [next_ticket(office), next_ticket(office)];
    let subject = words::topic(&mut office.dice);
    let text = words::prose(4, &mut office.dice);
    let mut first = office.plain(desks[0].party.clone(), vec![desks[1].party.clone()], subject, text, ms);
    first.subject = format!("[#{}] {}", numbers[0], first.subject);
    let mut last = desks[0].sends(office, first, truth);
    let at = ms + 30 * SECOND + office.dice.wait(MINUTE);
    let letter = desks[1].says(office, numbers[1], &last, acknowledgement(numbers[1]), at);
    last = desks[1].sends(office, letter, truth);
    for turn in 0..office.dice.few(2, 14) {
        let side = turn % 2;
        let delay = office.dice.wait(3 * HOUR) + 4 * MINUTE;
        let at = office.hours.at_work(last.date_ms + delay, &mut office.dice);
        let sentences = office.dice.count(1, 6);
        let text = words::prose(sentences, &mut office.dice) + &last.quoted();
        let mut letter = desks[side].says(office, numbers[side], &last, text, at);
        letter.to = vec![desks[1 - side].party.clone()];
        last = desks[side].sends(office, letter, truth);
    }
}

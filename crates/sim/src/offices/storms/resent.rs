//! As in 2005: a server that collects its firm's mail sends a newsletter on to all who stand in its header, at
//! each poll again.

use std::rc::Rc;

use quell_mail::header::{Field, fields, split};

use super::part;
use crate::clock::{MINUTE, SECOND};
use crate::faulty_server::rewrite;
use crate::faulty_server::{Habits, Shape};
use crate::host::Moment;
use crate::offices::cast::{Cast, DOMAIN, Home, Machine};
use crate::offices::letter::{Letter, Party};
use crate::offices::office::Office;
use crate::offices::way::Way;
use crate::offices::{Kind, StormKind, Truth, words};
use crate::random::Random;

/// The time from one poll to the next.
const POLL_MS: i64 = 15 * MINUTE;

/// A newsletter with its readers in To, some of them ours.
fn newsletter(office: &mut Office, ms: i64) -> Rc<Letter> {
    let publisher = *office.dice.of(&office.cast.publishers);
    let house = *office.dice.of(&words::HOUSES);
    let from = Party::new(&format!("{house} News"), &format!("news@{house}.example"));
    let wanted = office.dice.tail(3, 60.min(office.cast.ours));
    let mut readers: Vec<usize> = office.dice.some_of(office.cast.ours, wanted);
    for _ in 0..office.dice.tail(8, 120) {
        readers.push(office.cast.outsider(&mut office.dice));
    }
    readers.sort_unstable();
    readers.dedup();
    office.dice.shuffle(&mut readers);
    let to = readers.into_iter().map(|at| office.cast.party(at)).collect();
    let sentences = office.dice.count(10, 40);
    let (subject, text) = (words::topic(&mut office.dice), words::prose(sentences, &mut office.dice));
    let letter = office.plain(from.clone(), to, subject, text, ms);
    let recipients = letter.addresses();
    let home = Home::Outside(publisher);
    office.send_by(home, &from.address, recipients, letter, Truth::Real(Kind::Newsletter))
}

fn habits(office: &mut Office, kind: StormKind, domain: &str) -> Habits {
    Habits {
        shape: if kind == StormKind::ResentTrace { Shape::Trace } else { Shape::Identity },
        internal_name: match kind {
            StormKind::ResentUnmarked => format!("mail.{domain}"),
            _ => office.dice.pick(["server.sbs.local", "server", "sbs2003.local"]).to_owned(),
        },
        pop3_user: "firm7".to_owned(),
        domain: domain.to_owned(),
        tears_one_in: if office.dice.one_in(4) { 5 } else { 0 },
        requotes_from: office.dice.one_in(2),
        adds_pickup_address: kind != StormKind::ResentUnmarked && office.dice.one_in(2),
        says_mailer: office.dice.one_in(3),
    }
}

/// One copy as the faulty server makes it, without a trace above.
fn copy(office: &mut Office, received: &str, habits: &Habits, ms: i64, marked: bool) -> String {
    let (serial, seed) = (office.number(), office.number());
    let mut random = Random::new(seed);
    let made = rewrite::copy(received.as_bytes(), habits, Moment { ms }, serial, &mut random);
    let text = String::from_utf8_lossy(&made).into_owned();
    if marked { text } else { without_marks(&text) }
}

fn without_marks(text: &str) -> String {
    let (header, body) = split(text.as_bytes());
    let is_mark = |field: &Field<'_>| {
        ["received", "x-mimeole", "x-mailer", "x-originalarrivaltime"].iter().any(|name| field.is(name))
    };
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len());
    fields(header).filter(|field| !is_mark(field)).for_each(|field| bytes.extend_from_slice(field.whole));
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Somebody else's server does it.
pub(super) fn by_others(office: &mut Office, kind: StormKind, ms: i64) {
    let sent = newsletter(office, ms);
    let domain = format!("firm{}.example", office.number());
    let ip = office.cast.ip(&mut office.dice);
    let faulty = Machine { helo: format!("mail.{domain}"), ip };
    let habits = habits(office, kind, &domain);
    let received = office.way(Home::Outside(office.cast.publishers[0]), sent.date_ms).stamps + &sent.print();
    let to: Vec<String> = sent.addresses().into_iter().filter(|address| Cast::is_ours(address)).collect();
    let may_pass = u32::from(kind == StormKind::ResentUnmarked);
    let truth = part(office, kind, Some(may_pass));
    let (polls, one_each) = (office.dice.count(10, 80) as i64, office.dice.one_in(2));
    let first = ms + office.dice.between(2 * MINUTE, POLL_MS);
    for poll in 0..polls {
        for nth in 0..office.dice.few(1, 4) as i64 {
            let at = first + poll * POLL_MS + nth * 20 * SECOND + office.dice.between(0, 5 * SECOND);
            let text = copy(office, &received, &habits, at, kind != StormKind::ResentUnmarked);
            let size = if one_each { 1 } else { 100 };
            for some in to.chunks(size) {
                let way = Way { last: faulty.clone(), inside: false, stamps: String::new() };
                office.push(at + 2 * SECOND, &way, &sent.from.address, some.to_vec(), &text, truth);
            }
        }
    }
}

/// A machine of our own does it, with all who are not ours.
pub(super) fn by_us(office: &mut Office, kind: StormKind, ms: i64) {
    let sent = newsletter(office, ms);
    let ours = Machine { helo: "server.sbs.local".to_owned(), ip: [10, 0, 0, 9].into() };
    let habits = habits(office, kind, DOMAIN);
    let received = office.way(Home::Outside(office.cast.publishers[0]), sent.date_ms).stamps + &sent.print();
    let to: Vec<String> = sent.addresses().into_iter().filter(|address| !Cast::is_ours(address)).collect();
    // To one alone it might be a redirect: the second is the first that tells.
    // One each at most: where nothing shows that the original came in here, the second tells.
    let truth = part(office, kind, Some(1));
    let keeps_identity = office.dice.one_in(3);
    let first = ms + office.dice.between(2 * MINUTE, POLL_MS);
    for poll in 0..office.dice.count(1, 40) as i64 {
        let at = first + poll * POLL_MS + office.dice.between(0, 5 * SECOND);
        let text = match keeps_identity {
            true => received.clone(),
            false => copy(office, &received, &habits, at, true),
        };
        let size = if kind == StormKind::ReinjectedSingly { 1 } else { 100 };
        for some in to.chunks(size) {
            let way = Way { last: ours.clone(), inside: true, stamps: String::new() };
            office.push(at + 2 * SECOND, &way, &sent.from.address, some.to_vec(), &text, truth);
        }
    }
}

//! Floods of bounces.

use super::part;
use crate::clock::{HOUR, MINUTE, SECOND};
use crate::offices::cast::{Home, Machine};
use crate::offices::dsn::{self, Lost};
use crate::offices::letter::Party;
use crate::offices::office::Office;
use crate::offices::way::Way;
use crate::offices::{Kind, StormKind, Truth, words};

/// Somebody sends under the address of one of ours: hundreds of servers send back what we never sent.
pub(super) fn of_address(office: &mut Office, ms: i64) {
    let ours = office.cast.colleague(&mut office.dice);
    let from = office.cast.party(ours).address;
    let truth = part(office, StormKind::BouncesOfAddress, None);
    let hosts: Vec<Machine> = (0..office.dice.count(30, 200))
        .map(|nth| {
            let ip = office.cast.ip(&mut office.dice);
            Machine { helo: format!("mx{nth}.{}.example", office.dice.of(&words::HOUSES)), ip }
        })
        .collect();
    let over = office.dice.between(20 * MINUTE, 3 * HOUR);
    for _ in 0..office.dice.count(100, 1_000) {
        let at = ms + office.dice.between(0, over);
        let host = office.dice.of(&hosts).clone();
        let lost = Lost {
            from: from.clone(),
            to: format!("{}@{}", office.dice.of(&words::FIRST), host.helo),
            subject: words::topic(&mut office.dice),
            id: format!("<{}@{}.example>", office.dice.hex(20), office.dice.of(&words::HOUSES)),
        };
        let report = dsn::report(&lost, &host.helo, at, office.hours.zone, &mut office.dice);
        let way = Way { last: host, inside: false, stamps: String::new() };
        office.push(at, &way, "", vec![from.clone()], &report.print(), truth);
    }
}

/// A server that cannot deliver one message of ours says so again and again.
pub(super) fn of_message(office: &mut Office, ms: i64) {
    let ours = office.cast.colleague(&mut office.dice);
    let provider = office.dice.below(office.cast.large);
    let address = format!("gone{}@{}", office.number(), office.cast.providers[provider].domain);
    let mut letter = office.letter(ours, &[], ms);
    letter.to = vec![Party::new("", &address)];
    let sent = office.send(letter, Truth::Real(Kind::Bounce));
    let truth = part(office, StormKind::BouncesOfMessage, None);
    let server = office.cast.providers[provider].pool[0].helo.clone();
    let every = office.dice.pick([2 * SECOND, 20 * SECOND, MINUTE, 5 * MINUTE]);
    for nth in 0..office.dice.count(40, 400) as i64 {
        let at = ms + MINUTE + nth * every + office.dice.between(0, SECOND);
        let lost = Lost::new(&sent, &address);
        let report = dsn::report(&lost, &server, at, office.hours.zone, &mut office.dice);
        let way = office.way(Home::Outside(provider), at);
        office.push(at, &way, "", vec![sent.from.address.clone()], &report.print(), truth);
    }
}

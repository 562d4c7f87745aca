//! Far more than ever from one source.

use super::part;
use crate::clock::HOUR;
use crate::offices::cast::{Home, SERVER};
use crate::offices::letter::Party;
use crate::offices::office::Office;
use crate::offices::{StormKind, words};

/// Somebody's password was stolen: one of ours, or one of those who write to us, sends hundreds within an hour.
pub(super) fn storm(office: &mut Office, ms: i64) {
    let truth = part(office, StormKind::Flood, None);
    let outgoing = office.dice.one_in(2);
    let from = match outgoing {
        true => office.cast.colleague(&mut office.dice),
        false => office.cast.outsider(&mut office.dice),
    };
    let (author, home) = (office.cast.party(from), office.cast.people[from].home);
    // From one server, even where there is a pool.
    let mut way = office.way(home, ms);
    // More than ten times what a busy source brings in an hour.
    for _ in 0..office.dice.count(2_000, 4_000) + 14 * office.cast.ours {
        let at = ms + office.dice.between(0, HOUR);
        let to = match outgoing {
            true => Party::new(
                "",
                &format!("{}{}@webmail0.example", office.dice.of(&words::FIRST), office.dice.below(9_999)),
            ),
            false => office.cast.party(office.cast.colleague(&mut office.dice)),
        };
        let sentences = office.dice.count(2, 8);
        let (subject, text) = (words::topic(&mut office.dice), words::prose(sentences, &mut office.dice));
        let letter = office.plain(author.clone(), vec![to], subject, text, at);
        if outgoing {
            way = office.way(Home::Inside(SERVER), at);
        }
        office.push(at, &way, &author.address, letter.addresses(), &letter.print(), truth);
    }
}

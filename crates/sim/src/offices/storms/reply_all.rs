//! Many answer to all, most of them to say that they do not want to be answered.

use super::part;
use crate::clock::{HOUR, MINUTE, SECOND};
use crate::offices::cast::Home;
use crate::offices::office::Office;
use crate::offices::{Kind, StormKind, Truth, words};

const WORDS: [&str; 12] = [
    "Please remove me from this list.",
    "Please stop replying to all!",
    "Me too.",
    "Why do I get this?",
    "Unsubscribe",
    "+1",
    "I think this was not meant for me.",
    "Everybody, do NOT reply to all.",
    "Who are all these people?",
    "lol",
    "Remove me as well please",
    "Wrong address?",
];

/// Among so many people. From the third answer on it is fast; the threshold is reached within minutes.
pub(super) fn storm(office: &mut Office, kind: StormKind, people: usize, ms: i64) {
    let circle = circle(office, people);
    let allowed = 10.max(circle.len() / 5);
    let truth = part(office, kind, u32::try_from(allowed).ok());
    let first = office.letter(circle[0], &circle[1..], ms);
    let first = office.send(first, Truth::Real(Kind::Thread));
    let (quick, slow) = (allowed + office.dice.count(8, 40), office.dice.count(0, 40));
    let mut times: Vec<i64> = (0..quick).map(|_| office.dice.between(30 * SECOND, 24 * MINUTE)).collect();
    times.extend((0..slow).map(|_| office.dice.between(24 * MINUTE, 3 * HOUR)));
    times.sort_unstable();
    let mut last = first.clone();
    for (nth, at) in times.into_iter().enumerate() {
        // At first another one each time: a storm is of many.
        let from = if nth < 8 { circle[1 + nth] } else { *office.dice.of(&circle[1..]) };
        let mut text = format!("{}\n", office.dice.of(&WORDS));
        if office.dice.one_in(3) {
            text += &words::prose(2, &mut office.dice);
        }
        text += &office.cast.people[from].signature;
        let to = if office.dice.one_in(2) { first.clone() } else { last.clone() };
        // Some say it to the author alone: that is real.
        let is_own = to.from.address == office.cast.people[from].party.address;
        let all = is_own || !office.dice.one_in(12);
        let answer = office.answer(&to, from, all, text, ms + at);
        let sent = office.send(answer, if all { truth } else { Truth::Real(Kind::Thread) });
        if all {
            last = sent;
        }
    }
}

/// As many people as are wanted; where too few are known, strangers.
fn circle(office: &mut Office, people: usize) -> Vec<usize> {
    let mixed = office.dice.one_in(2);
    let mut circle = office.cast.circle(people, mixed, &mut office.dice);
    while circle.len() < people {
        let provider = office.dice.below(office.cast.large);
        let domain = office.cast.providers[provider].domain.clone();
        circle.push(office.cast.person(&domain, Home::Outside(provider), &mut office.dice));
    }
    circle
}

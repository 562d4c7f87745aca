//! What open storms keep in the tables of what came lately, and what the tables say that they need.

use quell_mail::content::content;
use quell_mail::key::LedgerKey;
use quell_mail::letter::Letter;
use quell_storm::facts::{Facts, Source};
use quell_storm::limits::Limits;
use quell_storm::recent::Recent;
use quell_storm::said::{Mark, Said};
use quell_storm::signs::{Again, Suspicion};

use crate::make::*;

fn limits() -> Limits {
    Limits { recent_entries: 0, ..Limits::default() }
}

/// Message `n`, brought from network `n`.
fn message(n: u32) -> Facts {
    let header = format!("From: a{n}@client.example\r\nSubject: Matter {n}\r\n");
    let content = Some(Box::new(content(header.as_bytes(), b"Please find the papers enclosed\r\n")));
    let letter = Letter { author: Some(format!("a{n}@client.example")), ..Letter::default() };
    let source = Source { address: Some((0x0a00_0001 + (n << 8)).to_be_bytes().into()), ..source(1) };
    let said = Said { letter, content, mark: Mark::Strong, ..Said::default() };
    Facts { source, said, queue_id: id(n), ..arrival(&["jane@firm.example"]) }
}

fn take(recent: &mut Recent, facts: &Facts) {
    let looked = recent.look(facts, &limits(), NOW);
    recent.note(facts, &looked, &[true], &limits(), NOW);
}

#[test]
fn what_two_storms_keep_stays_until_both_are_over() {
    let mut recent = Recent::new(7, &limits());
    take(&mut recent, &message(0));
    let looked = recent.look(&message(0), &limits(), NOW);
    let what = Suspicion::Resent {
        again: Again { arrivals: 2, other_way: true, marked: true, words: 5, sendings: 1, same_source: true },
        limit: 1,
    };
    let storms = [LedgerKey([1; 16]), LedgerKey([2; 16])];
    for storm in &storms {
        recent.keep(&message(0), &looked, 0, &what, storm);
        recent.keep(&message(0), &looked, 0, &what, storm);
    }
    let mut flood = 1;
    for (over, is_kept) in storms.iter().zip([true, false]) {
        recent.storm_over(over);
        recent.storm_over(over);
        (0..3_000).for_each(|n| take(&mut recent, &message(flood + n)));
        flood += 3_000;
        let again = recent.look(&message(0), &limits(), NOW).signs[0].again;
        assert_eq!(again.is_some(), is_kept);
    }
}

#[test]
fn storms_that_keep_nothing_take_no_room() {
    let mut recent = Recent::new(7, &limits());
    let looked = recent.look(&message(0), &limits(), NOW);
    let before = recent.bytes();
    for n in 0..10_000u128 {
        let what = Suspicion::Reinjected(quell_storm::signs::Leaving {
            came_in: true,
            marked: true,
            addressed: 2,
            stands: true,
            had: false,
        });
        recent.keep(&message(0), &looked, 0, &what, &LedgerKey(n.to_le_bytes()));
    }
    assert_eq!(recent.bytes(), before);
}

/// Of one conversation 256 replies are kept, of 16 bytes each.
#[test]
fn replies_are_in_the_bytes() {
    let mut recent = Recent::new(7, &limits());
    let reply = |thread: u32, n: u32| {
        let mut facts = message(thread);
        let letter = &mut facts.said.letter;
        (letter.thread, letter.message_id) = (Some(thread.into()), Some(n.into()));
        (letter.is_reply, letter.addressed_total) = (true, 50);
        facts
    };
    (0..100).for_each(|thread| take(&mut recent, &reply(thread, 0)));
    let before = recent.bytes();
    for thread in 0..100 {
        (0..300).for_each(|n| take(&mut recent, &reply(thread, n)));
    }
    assert!(recent.bytes() - before >= 100 * 250 * 16, "{}", recent.bytes() - before);
}

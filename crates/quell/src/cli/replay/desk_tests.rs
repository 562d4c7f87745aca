//! The desk, letter by letter.

use std::net::IpAddr;

use proptest::prelude::*;
use quell_mail::key::ExactKey;
use quell_storm::facts::Ms;
use quell_storm::limits::Limits;

use super::again::Again;
use super::desk::{Desk, Letter};

const MINUTE: Ms = 60_000;
const DAY: Ms = 24 * 60 * MINUTE;
const T: Ms = 1_795_000_000_000;

fn letter(ms: Ms, key: Option<u8>, same: u32, recipient: &str) -> Letter<'_> {
    let (source, header) = (IpAddr::from([192, 0, 2, 1]), b"Subject: x\n".to_vec());
    let key = key.map(|key| ExactKey([key; 32]));
    let again = Again { header, reverse_path: "ann@client.example".to_owned(), ..Again::default() };
    Letter { ms, key, same, source, recipient, size_bytes: 100, hops: 3, idle_ms: 0, is_part: false, again }
}

/// What becomes of letters with the key 7, each for whom and at which time.
fn judged(letters: &[(Ms, &'static str)]) -> Vec<&'static str> {
    let mut desk = Desk::open(&Limits::default(), T).unwrap();
    let same = letters.len() as u32;
    let mut last = std::collections::HashMap::new();
    let mut judge = |(ms, to): &(Ms, &'static str)| {
        let idle_ms = last.insert(*to, *ms).map_or(0, |before: Ms| ms - before);
        desk.judge(Letter { idle_ms, ..letter(T + ms, Some(7), same, to) }).unwrap().1.name()
    };
    letters.iter().map(&mut judge).collect()
}

#[test]
fn what_passed_is_delivered_at_once_and_absorbs_its_copies() {
    let (jane, bob) = ("jane@firm.example", "bob@firm.example");
    assert_eq!(judged(&[(0, jane), (0, jane)]), ["first_arrival", "copy_of_delivered"]);
    assert_eq!(judged(&[(0, jane), (MINUTE, bob)]), ["first_arrival"; 2]);
    let later = judged(&[(0, jane), (2 * DAY, jane), (13 * DAY, jane), (26 * DAY, jane)]);
    assert_eq!(later, ["first_arrival", "copy_of_delivered", "copy_of_delivered", "copy_of_delivered"]);
}

#[test]
fn after_fourteen_days_nothing_is_known_of_it_as_on_a_server() {
    assert_eq!(judged(&[(0, "a@b"), (16 * DAY, "a@b")]), ["first_arrival"; 2]);
    // That somebody else has had it meanwhile changes nothing.
    assert_eq!(judged(&[(0, "a@b"), (10 * DAY, "c@d"), (16 * DAY, "a@b")]), ["first_arrival"; 3]);
}

#[test]
fn without_a_key_it_is_compared_with_nothing_and_many_hops_are_refused() {
    let mut desk = Desk::open(&Limits::default(), T).unwrap();
    for _ in 0..2 {
        assert_eq!(desk.judge(letter(T, None, 1, "a@b")).unwrap().1.name(), "no_exact_key");
    }
    let round = Letter { hops: 100, ..letter(T, Some(1), 1, "a@b") };
    let (verdict, reason, _) = desk.judge(round).unwrap();
    assert_eq!((verdict, reason.name()), ("refuse", "too_many_hops"));
}

#[test]
fn the_fifth_copy_opens_a_storm_which_the_end_shows() {
    let mut desk = Desk::open(&Limits::default(), T).unwrap();
    let letters = |n: u32, desk: &mut Desk| {
        (0..n).for_each(|i| drop(desk.judge(letter(T + Ms::from(i) * MINUTE, Some(7), n, "a@b")).unwrap()));
    };
    letters(5, &mut desk);
    assert_eq!(desk.storms().unwrap().len(), 0);
    let mut desk = Desk::open(&Limits::default(), T).unwrap();
    letters(9, &mut desk);
    // The mail goes on for two months.
    desk.judge(letter(T + 60 * DAY, Some(8), 1, "a@b")).unwrap();
    let storms = desk.storms().unwrap();
    assert_eq!(storms.len(), 1);
    let storm = &storms[0];
    assert_eq!((storm.copies, storm.absorbed, storm.state.name()), (8, 8, "closed"));
    assert_eq!((storm.recipients, storm.delivered), (Some(1), Some(1)));
    assert_eq!((storm.first_seen_ms, storm.last_seen_ms), (T + MINUTE, T + 8 * MINUTE));
}

#[test]
fn rows_that_nobody_will_ask_for_are_forgotten() {
    let mut desk = Desk::open(&Limits::default(), T).unwrap();
    for n in 0..200 {
        let ms = T + Ms::from(n) * MINUTE;
        for to in ["a@b", "c@d"] {
            desk.judge(letter(ms, Some(n), 2, to)).unwrap();
        }
        desk.judge(letter(ms, None, 1, "a@b")).unwrap();
    }
    desk.storms().unwrap();
    assert_eq!(desk.rows_kept(), 0);
    // A copy is still to come.
    desk.judge(letter(T + DAY, Some(7), 2, "a@b")).unwrap();
    desk.storms().unwrap();
    assert_eq!(desk.rows_kept(), 1);
}

proptest! {
    /// That lonely letters go to the judge alone changes nothing.
    #[test]
    fn with_the_door_for_all_it_is_the_same(
        letters in prop::collection::vec((0i64..400, 0u8..60, 0u8..3, any::<bool>(), 1usize..120), 1..120),
    ) {
        let mut letters = letters;
        letters.sort_unstable();
        let people = ["a@b", "c@d", "e@f"];
        let count = |key: u8| letters.iter().filter(|l| l.1 == key && !l.3).count() as u32;
        let run = |all_through_door: bool| {
            let mut desk = Desk::open(&Limits::default(), T).unwrap();
            if all_through_door {
                desk.let_all_through_the_door();
            }
            let mut judged: Vec<String> = Vec::new();
            for (minutes, key, to, keyless, hops) in &letters {
                let key = (!keyless).then_some(*key);
                let same = key.map_or(1, count);
                let letter = letter(T + minutes * 37 * MINUTE, key, same, people[usize::from(*to)]);
                judged.push(format!("{:?}", desk.judge(Letter { hops: *hops, ..letter }).unwrap()));
            }
            let storms = desk.storms().unwrap();
            // Their names are drawn, and more was drawn with the door for all.
            let storms: Vec<_> = storms.iter().map(|s| (s.key, s.copies, s.first_seen_ms, s.state)).collect();
            (judged, storms)
        };
        prop_assert_eq!(run(false), run(true));
    }
}

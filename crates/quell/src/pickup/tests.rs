//! What is remembered, and what is done with what a server lists.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use quell_mail::id::QueueId;
use quell_queue::pickups::{Fate, MemoryPickups, Remembered};
use quell_relay::collect::Digest;
use quell_storm::facts::Ms;

use super::account::Keep;
use super::listing::{Listed, What, what};
use super::memory::{Known, Memory, Store};

const NOW: Ms = 1_796_022_000_000;
const DAY: Ms = 86_400_000;

fn store() -> Store {
    Arc::new(Mutex::new(MemoryPickups::default()))
}

fn load(store: &Store) -> (Memory, Vec<(String, QueueId)>) {
    Memory::load(Arc::clone(store), "office").unwrap()
}

fn digest(n: u8, is_exact: bool, tells: bool) -> Digest {
    Digest { bytes: [n; 16], is_exact, tells }
}

fn message(uid: &str, n: u8, fate: Fate, at_ms: Ms) -> Remembered {
    Remembered { uid: uid.to_owned(), size_bytes: 100, digest: [n; 16], fate, at_ms, seen_ms: at_ms }
}

fn listed(uid: &str, size_bytes: u64) -> Listed {
    Listed { number: 1, uid: Some(uid.to_owned()), size_bytes }
}

#[test]
fn what_was_taken_is_known_by_name_and_size() {
    let store = store();
    let (mut memory, _) = load(&store);
    memory
        .note(&[message("a", 1, Fate::Taken, NOW), message("b", 2, Fate::Refused("no".into()), NOW)])
        .unwrap();
    let (memory, taking) = load(&store);
    assert!(taking.is_empty());
    let later = NOW + 2 * DAY;
    for (uid, size, now, wanted) in [
        ("a", 100, NOW, Known::Taken(NOW)),
        // A server that gives names twice.
        ("a", 101, NOW, Known::No),
        ("b", 100, NOW, Known::Refused { was_read: true }),
        ("b", 100, later, Known::No),
        ("c", 100, NOW, Known::No),
    ] {
        assert_eq!(memory.of(uid, Some(size), now), wanted, "{uid} {size}");
    }
    for (keep, names_last, now, wanted) in [
        (Keep::Yes, true, later, What::Nothing),
        (Keep::Yes, false, later, What::Nothing),
        (Keep::Days(3), true, later, What::Nothing),
        (Keep::Days(2), true, later, What::Delete),
        // By POP3 nothing is deleted that was not read in the same session.
        (Keep::Days(2), false, later, What::Fetch),
        (Keep::No, false, NOW, What::Fetch),
        (Keep::No, true, NOW, What::Delete),
    ] {
        assert_eq!(
            what(&listed("a", 100), &memory, keep, (names_last, false), now),
            wanted,
            "{keep:?} {names_last}"
        );
    }
    assert_eq!(what(&listed("b", 100), &memory, Keep::No, (false, false), NOW), What::Nothing);
    assert_eq!(what(&listed("b", 100), &memory, Keep::No, (false, true), NOW), What::Fetch);
    assert_eq!(what(&listed("b", 100), &memory, Keep::No, (false, false), later), What::Fetch);
    assert_eq!(what(&listed("b", 100), &memory, Keep::No, (false, true), NOW), What::Fetch, "a person asks");
    assert_eq!((memory.stay(), memory.refused("b")), (1, Some("no")));
    let nameless = Listed { uid: None, ..listed("a", 100) };
    assert_eq!(what(&nameless, &memory, Keep::No, (false, false), NOW), What::Fetch);
}

/// Name, size, digest, age: whether it was taken, now that it is read.
#[test]
fn a_message_with_another_name_is_known_where_the_ledger_may_not_know_it() {
    let (mut memory, _) = load(&store());
    memory.note(&[message("a", 1, Fate::Taken, NOW)]).unwrap();
    for (uid, size, digest, age, known) in [
        (Some("a"), 100, digest(1, true, true), 0, true),
        // Another message under that name.
        (Some("a"), 100, digest(2, true, true), 0, false),
        (Some("a"), 100, digest(2, true, true), 30 * DAY, false),
        // Another name: the ledger absorbs and counts it, as long as it surely knows it.
        (Some("b"), 100, digest(1, true, true), DAY, false),
        (Some("b"), 100, digest(1, true, true), 14 * DAY, true),
        (None, 100, digest(1, true, true), 14 * DAY, true),
        // Without an exact key the ledger cannot.
        (Some("b"), 100, digest(1, false, true), 0, true),
        // Without a trace either, equal messages may be two.
        (Some("b"), 100, digest(1, false, false), 0, false),
        (Some("a"), 100, digest(1, false, false), 0, true),
        (Some("a"), 99, digest(1, false, false), 0, false),
    ] {
        let taken = memory.taken(uid, size, &digest, NOW + age);
        assert_eq!(taken.is_some(), known, "{uid:?} {size} {digest:?} {age}");
    }
}

#[test]
fn what_was_being_handed_in_is_asked_of_the_ledger_after_a_crash() {
    let store = store();
    let (mut memory, _) = load(&store);
    let (first, second) = (QueueId::new(1, 1, 1), QueueId::new(1, 1, 2));
    memory
        .note(&[message("a", 1, Fate::Taking(first), NOW), message("b", 2, Fate::Taking(second), NOW)])
        .unwrap();
    assert_eq!((memory.of("a", Some(100), NOW), memory.of("b", Some(100), NOW)), (Known::No, Known::No));
    let (mut memory, taking) = load(&store);
    assert_eq!(taking, [("a".to_owned(), first), ("b".to_owned(), second)]);
    memory.was_taken("a", true, NOW + 1).unwrap();
    memory.was_taken("b", false, NOW + 1).unwrap();
    assert_eq!(
        (memory.of("a", Some(100), NOW), memory.of("b", Some(100), NOW)),
        (Known::Taken(NOW + 1), Known::No)
    );
    assert!(memory.taken(Some("b"), 100, &digest(2, false, true), NOW).is_none());
    let (_, taking) = load(&store);
    assert_eq!(taking, [("b".to_owned(), second)], "it is asked for once more, and the answer is the same");
}

#[test]
fn what_could_not_be_written_down_is_read_again_and_known_then() {
    let store = store();
    let (mut memory, _) = load(&store);
    let (a, bad) = (message("a", 1, Fate::Taken, NOW), message("no uid", 2, Fate::Taken, NOW));
    assert!(memory.note(&[a.clone(), bad]).is_err());
    assert!(load(&store).0.taken(Some("a"), 100, &digest(1, false, false), NOW).is_none());
    for names_last in [true, false] {
        assert_eq!(what(&listed("a", 100), &memory, Keep::No, (names_last, false), NOW), What::Fetch);
    }
    assert_eq!(memory.taken(Some("a"), 100, &digest(1, false, false), NOW), Some(NOW));
    memory.note(&[a]).unwrap();
    assert_eq!(what(&listed("a", 100), &memory, Keep::No, (true, false), NOW), What::Delete);
}

#[test]
fn a_message_is_refused_at_which_sessions_break_off_one_after_the_other() {
    let (mut memory, _) = load(&store());
    let found: Vec<bool> =
        ["a", "a", "b", "a", "a", "a", "a"].iter().map(|uid| memory.broke_off_at(uid)).collect();
    assert_eq!(found, [false, false, false, false, false, true, false]);
}

#[test]
fn a_name_that_several_messages_have_is_told_apart_by_their_sizes() {
    let long = "x".repeat(70);
    let mut all =
        [listed("a", 16), listed("b", 1), listed("a", 17), listed(&long, u64::MAX), listed(&long, 1)];
    super::pop3::tell_apart(&mut all);
    let names: Vec<&str> = all.iter().filter_map(|one| one.uid.as_deref()).collect();
    assert_eq!(names[..3], ["a#10", "b", "a#11"]);
    assert!(names[3].len() == 80 && names[3].ends_with("#ffffffffffffffff") && names[4].ends_with("x#1"));
}

#[test]
fn what_a_server_no_longer_lists_is_forgotten_late() {
    let store = store();
    let (mut memory, _) = load(&store);
    memory.note(&[message("a", 1, Fate::Taken, NOW), message("b", 2, Fate::Taken, NOW)]).unwrap();
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    // A provider that loses its listing for a day, or gives new names.
    memory.listed(&names(&[]), NOW + 2 * DAY).unwrap();
    memory.listed(&names(&["a"]), NOW + 20 * DAY).unwrap();
    assert_eq!(memory.of("b", Some(100), NOW + 20 * DAY), Known::Taken(NOW));
    memory.listed(&names(&["a"]), NOW + 31 * DAY).unwrap();
    assert_eq!(memory.of("b", Some(100), NOW), Known::No);
    assert!(memory.taken(None, 100, &digest(2, false, true), NOW).is_none(), "it is kept nowhere");
    for memory in [memory, load(&store).0] {
        assert_eq!(
            (memory.of("a", Some(100), NOW), memory.of("b", Some(100), NOW)),
            (Known::Taken(NOW), Known::No)
        );
    }
}

proptest! {
    /// What is known after a restart is what was known before it.
    #[test]
    fn a_restart_changes_nothing(steps in proptest::collection::vec((0u8..4, 0u8..4, 0u8..3, 0i64..20), 0..30)) {
        let store = store();
        let (mut memory, _) = load(&store);
        let mut at = NOW;
        for (uid, n, what, days) in steps {
            at += days * DAY;
            let uid = format!("u{uid}");
            match what {
                0 => memory.note(&[message(&uid, n, Fate::Taken, at)]).unwrap(),
                1 => memory.note(&[message(&uid, n, Fate::Refused("x".into()), at)]).unwrap(),
                _ => memory.listed(&[uid], at).unwrap(),
            }
        }
        let (again, _) = load(&store);
        for uid in ["u0", "u1", "u2", "u3"] {
            prop_assert_eq!(memory.of(uid, Some(100), at), again.of(uid, Some(100), at));
            for n in 0..4 {
                for exact in [true, false] {
                    let digest = digest(n, exact, true);
                    let now = at + 60 * DAY;
                    let (one, other) = (memory.taken(Some(uid), 100, &digest, now), again.taken(Some(uid), 100, &digest, now));
                    // What was forgotten on the disk may be known on until the restart: never the other way round.
                    prop_assert!(one.is_some() || other.is_none(), "{:?} {:?}", one, other);
                }
            }
        }
    }
}

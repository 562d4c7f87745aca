use std::collections::HashMap;

use quell_storm::facts::SourceId;

use super::*;

fn row(n: u32) -> RowId {
    RowId { kid: QueueId::new(1, 1, n), rcpt: "jane@firm.example".to_owned() }
}

fn place(destination: &str, source: &str, n: u32) -> Place {
    Place {
        destination: Destination::new(destination),
        source: SourceId(source.to_owned()),
        queue_id: QueueId::new(1, 1, n),
        sent: false,
    }
}

/// The next row, one from each destination and source in turn.
fn next(turns: &mut Turns, now: Ms) -> Option<(Destination, RowId)> {
    let destination = turns.next_destination(now, |_| true)?;
    let row = turns.take(&destination, 1, now).pop()?;
    Some((destination, row))
}

/// As the door does with what it reads; the rest is read again.
fn take_in(turns: &mut Turns, due: Due, place: Place, now: Ms) {
    let stopped = turns.rest_from().is_some_and(|rest| rest <= due);
    if !stopped && !turns.knows(&due.1) && turns.admit(&place.destination, &due, now) == Admit::Takes {
        turns.add(due.1, place, due.0, now);
    }
}

/// A store with more rows than there is room for: all get their turn, in the order of their
/// times, and each is fetched about once.
#[test]
fn rows_beyond_the_room_come_in_their_time_and_are_read_once() {
    let mut store: Vec<Due> = (0..1000).map(|n| (Ms::from(n), row(n))).collect();
    let mut turns = Turns::holding(100);
    let (mut tried, mut read) = (Vec::new(), 0);
    for now in 0..1100 {
        if turns.wants_more(now)
            && let Some(from) = turns.rest_from()
        {
            let found: Vec<Due> = store.iter().filter(|d| **d >= from).take(20).cloned().collect();
            read += found.len();
            turns.fetched_up_to(found.last().filter(|_| found.len() == 20).cloned());
            for (due, row) in found {
                take_in(&mut turns, (due, row), place("x", "a", 1), now);
            }
        }
        while let Some((_, row)) = next(&mut turns, now) {
            turns.done(&row);
            store.retain(|(_, r)| *r != row);
            tried.push(row);
        }
        assert!(turns.known.len() <= 100);
    }
    assert_eq!(tried.len(), 1000);
    assert!(tried.is_sorted());
    assert!(read < 1200, "{read} rows read for 1000");
}

/// A next hop that is down, with more rows than there is room for, in front of all others in the
/// store: the others are found and tried, and when it is up again its own are, all of them.
#[test]
fn the_rows_of_a_dead_destination_leave_room_for_all_others() {
    let dead = |n: u32| n < 900;
    let mut store: Vec<Due> = (0..1000).map(|n| (Ms::from(n / 10), row(n))).collect();
    let mut turns = Turns::holding(100);
    let mut tried: Vec<RowId> = Vec::new();
    for now in 1000..1400 {
        if turns.wants_more(now)
            && let Some(from) = turns.rest_from()
        {
            let found: Vec<Due> = store.iter().filter(|d| **d >= from).take(50).cloned().collect();
            turns.fetched_up_to(found.last().filter(|_| found.len() == 50).cloned());
            for (due, id) in found {
                let n = (0..1000).find(|n| row(*n) == id).unwrap();
                let to = if dead(n) { "dead".to_owned() } else { format!("d{}", n % 7) };
                take_in(&mut turns, (due, id), place(&to, "a", n), now);
            }
        }
        let up = now >= 1050;
        for _ in 0..10 {
            let wanted = |d: &Destination| up || d.as_str() != "dead";
            let Some(destination) = turns.next_destination(now, wanted) else { break };
            let row = turns.take(&destination, 1, now).pop().unwrap();
            turns.done(&row);
            store.retain(|(_, r)| *r != row);
            tried.push(row);
        }
        assert!(turns.known.len() <= 100);
        if now == 1049 {
            assert_eq!(tried.len(), 100, "all of the living, none of the dead");
        }
    }
    assert_eq!((tried.len(), store.len()), (1000, 0));
}

#[test]
fn rows_that_wait_for_hours_leave_room_for_new_ones() {
    let mut turns = Turns::holding(10);
    turns.fetched_up_to(None);
    (0..10).for_each(|n| turns.add(row(n), place("x", "a", n), 1000 + Ms::from(n), 0));
    turns.add(row(99), place("x", "b", 99), 0, 0);
    assert_eq!(next(&mut turns, 0).map(|(_, row)| row), Some(row(99)));
    turns.done(&row(99));
    assert!(turns.wants_more(0) || turns.rest_from().is_none());
    assert_eq!(turns.lanes.values().next().unwrap().left, Some((1004, row(4))), "in the store only");
}

#[test]
fn one_from_each_source_in_turn() {
    let mut turns = Turns::holding(20);
    (0..4).for_each(|n| turns.add(row(n), place("x", "flood", n), 0, 0));
    turns.add(row(7), place("x", "b", 7), 0, 0);
    turns.add(row(7), place("x", "b", 7), 0, 0);
    let order: Vec<_> = std::iter::from_fn(|| next(&mut turns, 0)).map(|(_, row)| row).collect();
    assert_eq!(order, [0, 7, 1, 2, 3].map(row));
}

/// One destination with a thousand rows, one bulk source: nobody else waits for more than one turn
/// of each.
#[test]
fn one_from_each_destination_in_turn() {
    let mut turns = Turns::holding(10_000);
    (0..1000).for_each(|n| turns.add(row(n), place("big", "bulk", n / 100), 0, 0));
    (0..3).for_each(|n| turns.add(row(2000 + n), place("small", "bulk", 50 + n), 0, 0));
    turns.add(row(3000), place("big", "jane", 90), 0, 0);
    let order: Vec<_> = std::iter::from_fn(|| next(&mut turns, 0)).collect();
    let at = |n| order.iter().position(|(_, r)| *r == row(n)).unwrap();
    assert!((0..3).all(|n| at(2000 + n) == 2 * n as usize + 1), "turn about with the big one");
    assert!(at(3000) <= 3, "{}", at(3000));
    assert_eq!(order.len(), 1004);
}

#[test]
fn whom_nobody_wants_keeps_the_turn() {
    let mut turns = Turns::holding(100);
    for n in 0..4 {
        turns.add(row(n), place(&format!("d{n}"), "a", n), 0, 0);
        turns.add(row(n + 10), place(&format!("d{n}"), "a", n), 0, 0);
    }
    let mut declined = 0;
    for _ in 0..2 {
        let found = turns.next_destination(0, |d| {
            declined += usize::from(d.as_str() == "d0");
            d.as_str() != "d0"
        });
        assert!(found.is_some());
    }
    assert_eq!(declined, 2);
    assert_eq!(turns.next_destination(0, |_| true), Some(Destination::new("d0")));
}

#[test]
fn rows_of_one_arrival_are_taken_together() {
    let mut turns = Turns::holding(1000);
    for n in 0..60 {
        turns.add(row(n), place("x", "a", n / 30), 0, 0);
    }
    turns.add(row(100), place("x", "b", 9), 0, 0);
    let x = Destination::new("x");
    let sizes: Vec<_> = std::iter::from_fn(|| Some(turns.take(&x, 20, 0).len()).filter(|n| *n > 0)).collect();
    assert_eq!(sizes, [20, 1, 10, 20, 10]);
}

#[test]
fn other_destinations_keep_every_row() {
    let mut turns = Turns::holding(100);
    (0..10).for_each(|n| turns.add(row(n), place("old", "a", n), Ms::from(n % 2) * 50, 0));
    let taken = next(&mut turns, 0).unwrap().1;
    let to = |row: &RowId| Destination::new(if row.kid.bytes()[9] < 4 { "new" } else { "newer" });
    turns.regroup(to);
    let mut seen = HashMap::new();
    while let Some((destination, row)) = next(&mut turns, 60) {
        assert_eq!(destination, to(&row));
        *seen.entry(row).or_insert(0) += 1;
    }
    assert_eq!((seen.len(), seen.contains_key(&taken)), (9, false));
    seen.keys().chain([&taken]).for_each(|row| turns.done(row));
    assert!(turns.known.is_empty() && turns.lanes.is_empty() && turns.dues.is_empty());
}

proptest::proptest! {
    /// Every row of a wanted destination is taken once, none of an unwanted one; and nobody has two
    /// turns while another who has rows ready has none: destinations among each other, and sources
    /// within one.
    #[test]
    fn turns_are_fair_and_lose_nothing(
        rows in proptest::collection::vec((0u8..5, 0u8..4, 0u32..6), 1..120),
        dead in 0u8..32, limit in 1usize..5,
    ) {
        let mut turns = Turns::holding(10_000);
        let mut left: Vec<(String, String, RowId)> = Vec::new();
        for (n, (destination, source, message)) in rows.iter().enumerate() {
            let place = place(&format!("d{destination}"), &format!("s{source}"), *message);
            left.push((format!("d{destination}"), format!("s{source}"), row(n as u32)));
            turns.add(row(n as u32), place, 0, 0);
        }
        let wanted = |d: &str| dead >> d[1..].parse::<u8>().unwrap() & 1 == 0;
        let mut since: HashMap<String, Vec<String>> = HashMap::new();
        while let Some(destination) = turns.next_destination(0, |d| wanted(d.as_str())) {
            let to = destination.as_str().to_owned();
            let taken = turns.take(&destination, limit, 0);
            assert!((1..=limit).contains(&taken.len()));
            let source = left.iter().find(|(_, _, r)| *r == taken[0]).unwrap().1.clone();
            for (turn, others) in [
                (to.clone(), left.iter().map(|(d, ..)| d.clone()).filter(|d| wanted(d)).collect::<Vec<_>>()),
                (
                    format!("{to} {source}"),
                    left.iter().filter(|(d, ..)| *d == to).map(|(_, s, _)| format!("{to} {s}")).collect(),
                ),
            ] {
                if let Some(came) = since.get(&turn) {
                    let waits = others.iter().find(|o| **o != turn && !came.contains(o));
                    assert_eq!(waits, None, "{turn} has its second turn");
                }
                since.values_mut().for_each(|came| came.push(turn.clone()));
                since.insert(turn, Vec::new());
            }
            for id in &taken {
                let before = left.len();
                left.retain(|(d, s, r)| !(r == id && *d == to && *s == source));
                assert_eq!(left.len(), before - 1, "taken twice, or from another place");
                turns.done(id);
            }
        }
        assert!(left.iter().all(|(d, ..)| !wanted(d)));
        assert_eq!(turns.known.len(), left.len());
    }
}

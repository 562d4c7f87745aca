//! Random events on one row: only legal steps, five sendings, nothing wakes what has ended.

use proptest::prelude::*;
use quell_mail::id::QueueId;
use quell_queue::ledger::{self, Event, MAX_SENDINGS, Outcome, UNKNOWN_WAITS_MS};
use quell_queue::store::{Row, RowId};
use quell_storm::facts::{Ms, RowState};

use crate::make::*;

fn waiting() -> Row {
    let id = QueueId::new(START as u64, 1, 1);
    Row {
        id: RowId { kid: id, rcpt: "jane@firm.example".into() },
        queue_id: id,
        state: RowState::Waiting,
        since_ms: START,
        next_ms: START,
        tenant: "firm.example".into(),
        gateway: 1,
        key_version: 1,
        attempts: 0,
        sendings: 0,
        copies: 0,
        last_copy_ms: 0,
        times: Vec::new(),
        status: String::new(),
        extra: Default::default(),
    }
}

fn event() -> impl Strategy<Value = Event> {
    let rule = "copies".to_owned();
    prop_oneof![
        6 => Just(Event::Dot),
        1 => Just(Event::Ended(Outcome::Delivered)),
        1 => Just(Event::Ended(Outcome::Relayed { reports: false })),
        1 => Just(Event::Ended(failed(false))),
        4 => Just(Event::Ended(temporary())),
        6 => Just(Event::Ended(unknown())),
        2 => Just(Event::Restarted),
        2 => Just(Event::Retry),
        1 => Just(Event::Remove),
        1 => Just(Event::Discard),
        1 => Just(Event::Release { rule }),
    ]
}

fn is_legal(from: RowState, event: &Event, to: RowState) -> bool {
    use RowState::*;
    match event {
        Event::Dot => matches!(from, Waiting | Unknown) && to == Dot,
        Event::Ended(outcome) if matches!(from, Waiting | Dot | Unknown) => match outcome {
            Outcome::Delivered => to == Delivered,
            Outcome::Relayed { .. } => to == Relayed,
            Outcome::Failed { .. } => to == Failed,
            Outcome::Temporary { .. } => matches!(to, Waiting | Unknown | Failed),
            Outcome::Unknown { .. } => matches!(to, Unknown | Failed),
        },
        Event::Ended(_) => false,
        Event::Restarted => matches!((from, to), (Dot, Unknown | Failed) | (Waiting, Waiting)),
        Event::Retry => matches!((from, to), (Waiting, Waiting) | (Unknown, Unknown) | (Failed, Waiting)),
        Event::Remove => matches!(from, Waiting | Unknown | Held) && to == Discarded,
        Event::Discard => from == Held && to == Discarded,
        Event::Release { .. } => matches!(from, Held | Discarded) && to == Waiting,
    }
}

proptest! {
    #[test]
    fn only_legal_steps(
        events in prop::collection::vec((event(), 0..2 * DAY, any::<bool>()), 1..60),
        held: bool,
    ) {
        let (mut row, mut now): (Row, Ms) = (waiting(), START);
        if held {
            row.state = RowState::Held;
        }
        for (event, later, may_expire) in events {
            now += later;
            let before = row.clone();
            let stepped = ledger::step(&mut row, &event, now, may_expire);
            match &stepped {
                Err(_) => prop_assert_eq!(&row, &before, "a refused step changes nothing"),
                Ok(()) => prop_assert!(is_legal(before.state, &event, row.state), "{:?} {:?}", before, event),
            }
            prop_assert!(row.sendings <= MAX_SENDINGS);
            prop_assert!(row.extra.maybe_delivered || !before.extra.maybe_delivered, "it stays for good");
            if ledger::is_final(before.state) && row.state != before.state {
                let woken = matches!(event, Event::Retry | Event::Release { .. });
                prop_assert!(woken);
            }
            prop_assert_eq!(row.extra.report_due, before.extra.report_due, "the door knows who wants one");
            let silent = matches!(event, Event::Ended(Outcome::Unknown { .. }) | Event::Restarted);
            if stepped.is_ok() && silent && row.state == RowState::Unknown {
                let wait = UNKNOWN_WAITS_MS[row.sendings as usize - 1];
                prop_assert_eq!(row.next_ms, now + wait);
            }
            let expired = row.status.starts_with("4.4.7");
            if expired && row.state == RowState::Failed && before.state != RowState::Failed {
                prop_assert!(may_expire && now - ledger::life_began(&before) > ledger::LIFETIME_MS);
            }
        }
    }
}

#[test]
fn what_was_answered_4xx_uses_up_no_sending() {
    let mut row = waiting();
    for _ in 0..9 {
        ledger::step(&mut row, &Event::Dot, START, true).unwrap();
        ledger::step(&mut row, &Event::Ended(temporary()), START, true).unwrap();
    }
    assert_eq!((row.state, row.sendings, row.attempts), (RowState::Waiting, 0, 9));
}

#[test]
fn the_schedule_of_unknown() {
    let (mut row, mut now) = (waiting(), START);
    let mut waits = Vec::new();
    while row.state != RowState::Failed {
        ledger::step(&mut row, &Event::Dot, now, true).unwrap();
        ledger::step(&mut row, &Event::Ended(unknown()), now, true).unwrap();
        waits.push((row.next_ms - now) / MINUTE);
        now = row.next_ms.max(now + 1);
    }
    assert_eq!(waits[..4], [30, 120, 480, 1440]);
    assert_eq!((row.sendings, waits.len()), (5, 5));
}

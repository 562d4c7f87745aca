//! What is kept for how long: bodies, rows, keys.

use super::*;

/// Kept bodies are listed, fall due in the order of their times, move, outlive their day, and are
/// gone once an arrival without one is written.
pub(super) fn bodies_due<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    let kept = |n: u32, ms: Ms, at: Ms, open: u32| Arrival {
        open,
        release_ms: Some(at),
        ..arrival(id(ms, n), id(ms, n), body(n.into()))
    };
    let mut all = vec![
        kept(1, NOON, NOON + 40 * DAY, 0),
        kept(2, NOON - DAY, NOON + 5 * DAY, 0),
        kept(3, NOON, NOON + 5 * DAY, 1),
        kept(4, NOON, NOON + 4 * DAY, 0),
    ];
    bench.commit(Batch { arrivals: all.clone(), ..Batch::default() })?;
    let place = |a: &Arrival| a.body.map(|body| KeptBody { kid: a.kid, queue_id: a.queue_id, body });
    let places = |all: &[Arrival], which: &[usize]| -> Vec<KeptBody> {
        which.iter().filter_map(|i| place(all.get(*i)?)).collect()
    };
    bench.look(|r| {
        Ok(same("all", r.bodies()?.len(), 4)
            .and(same("none yet", r.bodies_due(NOON + 4 * DAY - 1, 9)?, vec![]))
            .and(same("one", r.bodies_due(NOON + 4 * DAY, 9)?, places(&all, &[3])))
            .and(same("two", r.bodies_due(NOON + 39 * DAY, 9)?, places(&all, &[3, 1])))
            .and(same("the first", r.bodies_due(Ms::MAX, 1)?, places(&all, &[3])))
            .and(same("three", r.bodies_due(Ms::MAX, 9)?, places(&all, &[3, 1, 0]))))
    })?;
    let to = BodyRef { file: 50, offset: 1, len: 2 };
    let moves: Vec<_> = places(&all, &[0]).into_iter().map(|kept| (kept, to)).collect();
    bench.store()?.move_bodies(&moves).map_err(|e| e.to_string())?;
    all[0].body = Some(to);
    (all[1].release_ms, all[1].body) = (None, None);
    bench.commit(Batch { arrivals: vec![all[1].clone()], ..Batch::default() })?;
    bench.upkeep(NOON + 20 * DAY)?;
    bench.look(|r| Ok(same("later", r.bodies_due(Ms::MAX, 9)?, places(&all, &[3, 0]))))?;
    all.iter_mut().for_each(|a| (a.open, a.release_ms, a.body) = (0, None, None));
    bench.commit(Batch { arrivals: all.clone(), ..Batch::default() })?;
    bench.upkeep(NOON + 60 * DAY)?;
    bench.look(|r| {
        let left = all.iter().filter_map(|a| r.find_arrival(&a.queue_id).transpose());
        Ok(same("at last", (left.count(), r.bodies()?.len()), (0, 0)))
    })
}

/// Held rows come in the order in which they were held, from any place on, and none that is not held.
pub(super) fn held_order<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    let held = |day: Ms, n: u32, rcpt: &str, since_ms: Ms| Row {
        since_ms,
        ..row(id(NOON - day * DAY, n), rcpt, RowState::Held)
    };
    let mut rows = vec![
        held(0, 1, "a@x", NOON + 5),
        held(0, 1, "b@x", NOON + 3),
        held(1, 2, "a@x", NOON + 5),
        held(1, 2, "c@x", NOON + 9),
        held(0, 3, "a@x", NOON),
    ];
    let writes = rows.iter().cloned().chain([row(id(NOON, 4), "a@x", RowState::Waiting)]);
    let writes = writes.map(new).collect::<Result<_, _>>()?;
    bench.commit(Batch { rows: writes, ..Batch::default() })?;
    rows.sort_by(|a, b| (a.since_ms, &a.id).cmp(&(b.since_ms, &b.id)));
    bench.look(|r| {
        let start = (0, RowId { kid: QueueId::from_bytes([0; 10]), rcpt: String::new() });
        let mut found = same("all", r.held_from(start, 99)?, rows.clone());
        for (i, row) in rows.iter().enumerate() {
            let some = r.held_from((row.since_ms, row.id.clone()), 2)?;
            found = found.and(same("from", some, rows.iter().skip(i).take(2).cloned().collect()));
        }
        Ok(found)
    })
}

/// Held rows are counted by their storm; those that are held for none, or no longer, by none.
pub(super) fn held_by_storm<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    let held = |ms: Ms, n: u32, rcpt: &str, storm: Option<&str>| Row {
        extra: Extra { storm: storm.map(str::to_owned), ..Extra::default() },
        ..row(id(ms, n), rcpt, RowState::Held)
    };
    let mut rows = [
        held(NOON - DAY, 1, "a@x", Some("one")),
        held(NOON, 2, "a@x", Some("one")),
        held(NOON, 2, "b@x", Some("two")),
        held(NOON, 3, "a@x", None),
        held(NOON, 4, "a@x", Some("two")),
    ];
    let writes = rows.iter().cloned().map(new).collect::<Result<Vec<_>, _>>()?;
    bench.commit(Batch { rows: writes, ..Batch::default() })?;
    let counted = |n: [u64; 2]| vec![("one".to_owned(), n[0]), ("two".to_owned(), n[1])];
    bench.look(|r| Ok(same("held", r.held_counts()?, counted([2, 2]))))?;
    rows[4].state = RowState::Discarded;
    bench.commit(Batch { rows: vec![RowWrite::Step(rows[4].clone())], ..Batch::default() })?;
    bench.look(|r| Ok(same("later", r.held_counts()?, counted([2, 1]))))
}

/// Rows that owe a report are found by day and key, also after their day is gone, and no more once
/// they owe none; how many were made is kept.
pub(super) fn owing<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    let owes = |ms: Ms, n: u32, rcpt: &str, report_due: bool| Row {
        extra: Extra { report_due, ..Extra::default() },
        ..row(id(ms, n), rcpt, RowState::Unknown)
    };
    let mut rows = [
        owes(NOON - DAY, 1, "a@x", true),
        owes(NOON, 2, "b@x", true),
        owes(NOON, 2, "c@x", true),
        owes(NOON, 2, "d@x", false),
        owes(NOON, 3, "a@x", true),
    ];
    let writes = rows.iter().cloned().map(new).collect::<Result<Vec<_>, _>>()?;
    let told = Arrival { reports: 8, ..arrival(id(NOON, 2), id(NOON, 2), body(2)) };
    let arrivals = vec![Arrival { reports: 7, ..told.clone() }];
    bench.commit(Batch { rows: writes, arrivals, ..Batch::default() })?;
    bench.commit(Batch { arrivals: vec![told], ..Batch::default() })?;
    let from = |row: &Row| row.id.clone();
    let first = RowId { kid: QueueId::from_bytes([0; 10]), rcpt: String::new() };
    let of = |which: &[usize]| which.iter().filter_map(|i| rows.get(*i).cloned()).collect::<Vec<_>>();
    bench.look(|r| {
        let reports = r.find_arrival(&id(NOON, 2))?.map(|a| a.reports);
        Ok(same("all", r.owing(&first, 9)?, of(&[0, 1, 2, 4]))
            .and(same("two", r.owing(&first, 2)?, of(&[0, 1])))
            .and(same("from one on", r.owing(&from(&rows[2]), 9)?, of(&[2, 4])))
            .and(same("from one that owes none", r.owing(&from(&rows[3]), 9)?, of(&[4])))
            .and(same("reports", reports, Some(8))))
    })?;
    rows[1].extra.report_due = false;
    bench.commit(Batch { rows: vec![RowWrite::Step(rows[1].clone())], ..Batch::default() })?;
    bench.upkeep(NOON + 20 * DAY)?;
    bench.look(|r| {
        let ids: Vec<_> = r.owing(&first, 9)?.into_iter().map(|r| r.id).collect();
        Ok(same("later", ids, [0, 2, 4].map(|i| rows[i].id.clone()).into()))
    })
}

/// Days, and what must be left of a Delivered row made at `NOON`.
pub(super) fn retention_forgets<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    bench.commit(message(NOON, 1, RowState::Delivered)?)?;
    let (k, id) = (LedgerKey([1; 16]), RowId { kid: id(NOON, 1), rcpt: "jane@firm.example".to_owned() });
    bench.upkeep(NOON + 14 * DAY - 1)?;
    bench.look(|r| Ok(same("after 14 days", (r.key(&k)?.is_some(), r.row(&id)?.is_some()), (true, true))))?;
    bench.upkeep(NOON + 16 * DAY)?;
    bench.look(|r| {
        let left = (r.key(&k)?, r.row(&id)?, r.find_arrival(&id.kid)?);
        Ok(same("after 16 days", left, (None, None, None)))
    })
}

pub(super) fn retention_keeps<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    use RowState::*;
    for (n, state) in [Waiting, Held, Unknown, Delivered, Failed, Delivered].iter().enumerate() {
        bench.commit(message(NOON, n as u8 + 1, *state)?)?;
    }
    let jane = |n: u32| RowId { kid: id(NOON, n), rcpt: "jane@firm.example".to_owned() };
    // The 4th has a late copy; the 5th became final late; the body of the 6th is kept.
    let mut late = row(id(NOON, 5), "jane@firm.example", Failed);
    late.since_ms = NOON + 10 * DAY;
    bench.commit(Batch {
        touches: vec![Touch { id: jane(4), copies: 9, last_copy_ms: NOON + 10 * DAY, times: vec![] }],
        rows: vec![RowWrite::Step(late)],
        arrivals: vec![arrival(id(NOON, 6), id(NOON, 6), body(6))],
        ..Batch::default()
    })?;
    let all = |r: &S::Reader, wanted: [bool; 6]| -> Result<Found, StoreError> {
        let mut found = Ok(());
        for (n, wanted) in (1u8..).zip(wanted) {
            let kept = (r.key(&LedgerKey([n; 16]))?.is_some(), r.row(&jane(n.into()))?.is_some());
            found = found.and(same(&format!("message {n}"), kept, (wanted, wanted)));
        }
        Ok(found)
    };
    bench.upkeep(NOON + 20 * DAY)?;
    bench.look(|r| all(r, [true; 6]))?;
    bench.look(|r| Ok(same("due", r.due(Ms::MAX, 9)?.len(), 2).and(same("bodies", r.bodies()?.len(), 4))))?;
    // Moved a second time; what ended meanwhile goes.
    bench.upkeep(NOON + 50 * DAY)?;
    bench.look(|r| all(r, [true, true, true, false, false, true]))
}

/// Rows made and changed after their key's own day is long gone.
pub(super) fn key_goes_on<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    bench.commit(message(NOON, 1, RowState::Waiting)?)?;
    bench.upkeep(NOON + 20 * DAY)?;
    let kid = id(NOON, 1);
    let (ended, second) = (row(kid, "jane@firm.example", RowState::Delivered), id(NOON + 20 * DAY, 7));
    let joe = Row { queue_id: second, ..row(kid, "joe@firm.example", RowState::Waiting) };
    bench.commit(Batch {
        keys: vec![KeyRow { copies: 50, storm_ended_ms: Some(NOON), ..key(NOON, 1) }],
        arrivals: vec![arrival(kid, kid, None), arrival(kid, second, body(9))],
        rows: vec![RowWrite::Step(ended.clone()), new(joe.clone())?],
        touches: vec![Touch { id: joe.id.clone(), copies: 4, last_copy_ms: 0, times: vec![9] }],
        ..Batch::default()
    })?;
    bench.look(|r| {
        let rows = r.rows_of_key(&kid, None, 9)?;
        let copies = r.key(&LedgerKey([1; 16]))?.map(|k| (k.copies, k.storm_ended_ms));
        let bodies = (
            r.bodies()?.len(),
            r.find_arrival(&second)?.and_then(|a| a.body),
            r.arrival(&kid, &kid)?.map(|a| a.body),
        );
        Ok(same("rows", rows, vec![ended.clone(), joe.clone()])
            .and(same("copies", copies, Some((50, Some(NOON)))))
            .and(same("bodies", bodies, (1, body(9), Some(None)))))
    })
}

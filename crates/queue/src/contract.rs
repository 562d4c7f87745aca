//! The contract of [`crate::store`] as a suite that runs on any store: every new store passes it
//! before it is believed. Each case is looked at twice, as written and after reopening.

mod keeping;

use quell_mail::id::QueueId;
use quell_mail::key::LedgerKey;
use quell_storm::facts::{Answered, Counts, Facts, Ms, Recipient, RowState, Source, SourceId};
use quell_storm::judge::judge;
use quell_storm::limits::Limits;
use quell_storm::said::Said;
use quell_storm::verdict::{Permit, Verdict};

use self::keeping::{
    bodies_due, held_by_storm, held_order, key_goes_on, owing, retention_forgets, retention_keeps,
};
use crate::body::BodyRef;
use crate::store::{
    Arrival, Batch, Extra, KeptBody, KeyRow, Reader, Retention, Row, RowId, RowWrite, Store, StoreError,
    StoredEvidence, StoredStorm, Tally, Touch,
};

/// A day in milliseconds.
const DAY: Ms = 86_400_000;
/// Noon of a day in 2026, when the cases begin.
const NOON: Ms = 20_700 * DAY + DAY / 2;

/// Where a store breaks its contract.
#[derive(Debug, thiserror::Error)]
#[error("{case}: {what}")]
pub struct Breach {
    /// The case.
    pub case: &'static str,
    /// What was not as it must be.
    pub what: String,
}

type Found = Result<(), String>;

/// One store under test.
struct Bench<'a, S> {
    store: Option<S>,
    reopen: &'a mut dyn FnMut(S) -> S,
}

/// Runs all cases. `fresh` makes an empty store, `reopen` closes one and opens it again.
///
/// # Errors
/// The first [`Breach`].
pub fn check<S: Store>(fresh: &mut dyn FnMut() -> S, reopen: &mut dyn FnMut(S) -> S) -> Result<(), Breach> {
    type Case<S> = fn(&mut Bench<'_, S>) -> Found;
    let cases: [(&'static str, Case<S>); 16] = [
        ("what is written is read", written_is_read),
        ("a batch is all or nothing", all_or_nothing),
        ("rows are stepped, replaced, touched, forgotten", rows_change),
        ("order of what falls due", due_order),
        ("order of what is held", held_order),
        ("what each storm holds", held_by_storm),
        ("pages of a list", list_pages),
        ("open rows and bodies", open_and_bodies),
        ("bodies whose time is over", bodies_due),
        ("rows of one key", rows_of_key),
        ("rows that owe a report", owing),
        ("storms and evidence", storms_and_evidence),
        ("high water", high_water),
        ("retention forgets", retention_forgets),
        ("retention keeps", retention_keeps),
        ("a key goes on after its day is gone", key_goes_on),
    ];
    for (case, run) in cases {
        let mut bench = Bench { store: Some(fresh()), reopen: &mut *reopen };
        run(&mut bench).map_err(|what| Breach { case, what })?;
    }
    Ok(())
}

impl<S: Store> Bench<'_, S> {
    fn store(&mut self) -> Result<&mut S, String> {
        self.store.as_mut().ok_or_else(|| "the store is closed".to_owned())
    }

    fn commit(&mut self, batch: Batch) -> Found {
        self.store()?.commit(&batch).map_err(|e| e.to_string())
    }

    /// Looks now, and after reopening.
    fn look(&mut self, look: impl Fn(&S::Reader) -> Result<Found, StoreError>) -> Found {
        for when in ["as written", "reopened"] {
            let reader = self.store()?.reader().map_err(|e| e.to_string())?;
            look(&reader).map_err(|e| e.to_string()).flatten().map_err(|what| format!("{when}: {what}"))?;
            drop(reader);
            let reopened = self.store.take().map(&mut *self.reopen);
            self.store = reopened;
        }
        Ok(())
    }

    /// Upkeep until there is no more to do.
    fn upkeep(&mut self, now: Ms) -> Found {
        for _ in 0..1000 {
            if !self.store()?.upkeep(now, &Retention::default()).map_err(|e| e.to_string())? {
                return Ok(());
            }
        }
        Err("upkeep never ends".to_owned())
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, wanted: T) -> Found {
    if found == wanted { Ok(()) } else { Err(format!("{what}: found {found:?}, wanted {wanted:?}")) }
}

/// A permit, as the judge gives it to any plain arrival.
fn permit() -> Result<Permit, String> {
    let recipient = Recipient {
        identity: "jane@firm.example".to_owned(),
        as_given: "jane@firm.example".to_owned(),
        tenant: "firm.example".to_owned(),
        is_ours: true,
        notify: None,
        orcpt: None,
    };
    let facts = Facts {
        queue_id: QueueId::new(NOON as u64, 1, 1),
        received_ms: NOON,
        source: Source::own(),
        reverse_path: String::new(),
        reports_to: None,
        envid: None,
        ret_full: None,
        smtputf8: false,
        size_bytes: 1,
        exact_key: None,
        message_id: None,
        hops: 0,
        tokens: Vec::new(),
        recipients: vec![recipient],
        is_author_ours: false,
        is_to_us: false,
        said: Said::default(),
    };
    match judge(&facts, &[None], &Counts::default(), &Limits::default(), NOON).pop() {
        Some(Verdict::Pass(permit, _)) => Ok(permit),
        other => Err(format!("no permit for a plain arrival: {other:?}")),
    }
}

fn id(ms: Ms, n: u32) -> QueueId {
    QueueId::new(ms as u64, 1, n)
}

fn key(ms: Ms, n: u8) -> KeyRow {
    KeyRow {
        key: LedgerKey([n; 16]),
        kid: id(ms, n.into()),
        key_version: 1,
        secret_id: 2,
        last_seen_ms: ms,
        copies: 3,
        base_copies: 7,
        storm_ended_ms: Some(ms - 1).filter(|_| n > 1),
        times: vec![1, 2],
    }
}

fn arrival(kid: QueueId, queue_id: QueueId, body: Option<BodyRef>) -> Arrival {
    Arrival {
        queue_id,
        kid,
        source: SourceId("192.0.2.1".to_owned()),
        reverse_path: "ann@client.example".to_owned(),
        envid: Some("env".to_owned()),
        ret_full: Some(queue_id.ms() % 2 == 0),
        smtputf8: queue_id.ms() % 2 == 0,
        received_ms: queue_id.ms(),
        size_bytes: 1 << 40,
        message_id: None,
        by_redirect: true,
        answered: Answered::Late,
        open: u32::from(body.is_some()),
        asking: 3,
        release_ms: Some(NOON + 1),
        reports: 7,
        body,
    }
}

fn body(n: u64) -> Option<BodyRef> {
    Some(BodyRef { file: n, offset: u64::MAX, len: 7 })
}

fn row(kid: QueueId, rcpt: &str, state: RowState) -> Row {
    Row {
        id: RowId { kid, rcpt: rcpt.to_owned() },
        queue_id: kid,
        state,
        since_ms: kid.ms(),
        next_ms: kid.ms(),
        tenant: "firm.example".to_owned(),
        gateway: 1,
        key_version: 1,
        attempts: 2,
        sendings: 1,
        copies: 4,
        last_copy_ms: 0,
        times: vec![9],
        status: "2.0.0 fine".to_owned(),
        extra: Extra { as_given: Some("Jane@firm.example".to_owned()), ..Extra::default() },
    }
}

fn new(row: Row) -> Result<RowWrite, String> {
    Ok(RowWrite::by_permit(row, permit()?))
}

/// A message with one row in `state`, and a body if that needs one.
fn message(ms: Ms, n: u8, state: RowState) -> Result<Batch, String> {
    let key = key(ms, n);
    let needs = crate::ledger::needs_body(state);
    let body = body(n.into()).filter(|_| needs);
    Ok(Batch {
        arrivals: vec![arrival(key.kid, key.kid, body)],
        rows: vec![new(row(key.kid, "jane@firm.example", state))?],
        keys: vec![key],
        ..Batch::default()
    })
}

fn written_is_read<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    let (k, other) = (key(NOON, 1), id(NOON + 5, 9));
    let kid = k.kid;
    let (first, second) = (arrival(kid, kid, body(2)), arrival(kid, other, None));
    let plain = Row { extra: Extra::default(), ..row(kid, "b@firm.example", RowState::Held) };
    let rich = row(kid, "a@firm.example", RowState::Waiting);
    bench.commit(Batch {
        keys: vec![k.clone()],
        arrivals: vec![first.clone(), second.clone()],
        rows: vec![new(rich.clone())?, new(plain.clone())?],
        ..Batch::default()
    })?;
    bench.look(|r| {
        let found = (r.key(&k.key)?, r.key(&LedgerKey([9; 16]))?);
        let arrivals = (r.arrival(&kid, &kid)?, r.arrival(&kid, &other)?, r.arrival(&other, &other)?);
        let by_id = (r.find_arrival(&kid)?, r.find_arrival(&other)?, r.find_arrival(&id(NOON, 77))?);
        let rows = (r.row(&rich.id)?, r.row(&plain.id)?);
        let nobody = r.row(&RowId { kid, rcpt: "c@firm.example".to_owned() })?;
        Ok(same("keys", found, (Some(k.clone()), None))
            .and(same("arrivals", arrivals, (Some(first.clone()), Some(second.clone()), None)))
            .and(same("by id", by_id, (Some(first.clone()), Some(second.clone()), None)))
            .and(same("rows", rows, (Some(rich.clone()), Some(plain.clone()))))
            .and(same("nobody", nobody, None)))
    })
}

fn all_or_nothing<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    let mut batch = message(NOON, 1, RowState::Waiting)?;
    let missing = row(id(NOON, 1), "nobody@firm.example", RowState::Failed);
    batch.rows.push(RowWrite::Step(missing.clone()));
    batch.high_water = Some(NOON);
    match bench.store()?.commit(&batch) {
        Err(StoreError::NoRow(id)) => same("the row named", id, missing.id)?,
        other => return Err(format!("a step without a row: {other:?}")),
    }
    let kid = id(NOON, 1);
    bench.look(|r| {
        let all = (r.key(&LedgerKey([1; 16]))?, r.find_arrival(&kid)?, r.high_water()?);
        let rows = r.list(&[RowState::Waiting], None, 9)?;
        Ok(same("kept of it", all, (None, None, 0)).and(same("rows", rows, vec![])))
    })?;
    bench.commit(message(NOON, 1, RowState::Waiting)?)
}

fn rows_change<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    bench.commit(message(NOON, 1, RowState::Waiting)?)?;
    let kid = id(NOON, 1);
    let mut stepped = row(kid, "jane@firm.example", RowState::Unknown);
    stepped.extra = Extra { report_due: true, lives_ms: vec![1, 2], ..Extra::default() };
    let fresh = row(kid, "joe@firm.example", RowState::Waiting);
    let gone = row(kid, "gone@firm.example", RowState::Waiting);
    let touch = |id: &RowId| Touch { id: id.clone(), copies: 8, last_copy_ms: NOON + 9, times: vec![7] };
    let nobody = RowId { kid: id(NOON, 99), rcpt: "nobody@firm.example".to_owned() };
    bench.commit(Batch {
        rows: vec![RowWrite::Step(stepped.clone()), new(fresh.clone())?, new(gone.clone())?],
        touches: vec![touch(&stepped.id), touch(&nobody)],
        forget: vec![gone.id.clone(), nobody.clone()],
        forget_arrivals: vec![(kid, kid)],
        ..Batch::default()
    })?;
    (stepped.copies, stepped.last_copy_ms, stepped.times) = (8, NOON + 9, vec![7]);
    bench.look(|r| {
        let rows = (r.row(&stepped.id)?, r.row(&fresh.id)?, r.row(&gone.id)?, r.row(&nobody)?);
        Ok(same("rows", rows, (Some(stepped.clone()), Some(fresh.clone()), None, None)).and(same(
            "the arrival",
            r.find_arrival(&kid)?,
            None,
        )))
    })
}

fn due_order<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    // Two days, equal times, all states.
    let mut rows = Vec::new();
    for (n, state) in [RowState::Waiting, RowState::Dot, RowState::Unknown, RowState::Held].iter().enumerate()
    {
        for day in 0..2 {
            let mut row = row(id(NOON - day * DAY, n as u32), "jane@firm.example", *state);
            row.next_ms = NOON + (n as Ms % 2) * 1000;
            rows.push(row);
        }
    }
    let writes = rows.iter().cloned().map(new).collect::<Result<_, _>>()?;
    bench.commit(Batch { rows: writes, ..Batch::default() })?;
    let mut wanted: Vec<_> = rows.into_iter().filter(|r| r.state != RowState::Held).collect();
    wanted.sort_by(|a, b| (a.next_ms, &a.id).cmp(&(b.next_ms, &b.id)));
    let early: Vec<_> = wanted.iter().filter(|r| r.next_ms <= NOON).cloned().collect();
    bench.look(|r| {
        let mut found = same("all", r.due(Ms::MAX, 99)?, wanted.clone())
            .and(same("early", r.due(NOON, 99)?, early.clone()))
            .and(same("one", r.due(Ms::MAX, 1)?, wanted[..1].to_vec()));
        for (i, row) in wanted.iter().enumerate() {
            let some = r.due_from((row.next_ms, row.id.clone()), 2)?;
            found = found.and(same("from", some, wanted.iter().skip(i).take(2).cloned().collect()));
        }
        Ok(found)
    })
}

fn list_pages<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    use RowState::*;
    let states = [Waiting, Dot, Unknown, Held, Delivered, Relayed, Failed, Discarded];
    let mut rows = Vec::new();
    for (n, state) in states.iter().enumerate() {
        for day in 0..2 {
            let kid = id(NOON - day * DAY, n as u32);
            rows.extend(["a@firm.example", "b@firm.example"].map(|to| row(kid, to, *state)));
        }
    }
    let writes = rows.iter().cloned().map(new).collect::<Result<_, _>>()?;
    bench.commit(Batch { rows: writes, ..Batch::default() })?;
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    bench.look(|r| {
        let mut found = Ok(());
        for wanted in [&states[..1], &states[3..4], &states[..4], &states[2..6], &states[..]] {
            let all: Vec<Row> = rows.iter().filter(|r| wanted.contains(&r.state)).cloned().collect();
            let (mut paged, mut after) = (Vec::new(), None);
            loop {
                let page = r.list(wanted, after.as_ref(), 3)?;
                after = page.last().map(|r| r.id.clone());
                paged.extend(page);
                if after.is_none() || paged.len() > all.len() {
                    break;
                }
            }
            found = found.and(same("pages", paged, all));
        }
        Ok(found)
    })
}

fn open_and_bodies<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    use RowState::*;
    for (n, state) in [Waiting, Waiting, Held, Unknown, Delivered, Failed].iter().enumerate() {
        bench.commit(message(NOON - n as Ms % 2 * DAY, n as u8 + 1, *state)?)?;
    }
    let kept = |n: u8, ms: Ms| KeptBody {
        kid: id(ms, n.into()),
        queue_id: id(ms, n.into()),
        body: BodyRef { file: n.into(), offset: u64::MAX, len: 7 },
    };
    let to = BodyRef { file: 50, offset: 1, len: 2 };
    let moves = [(kept(1, NOON), to), (kept(5, NOON), to)];
    bench.store()?.move_bodies(&moves).map_err(|e| e.to_string())?;
    let mut wanted =
        vec![KeptBody { body: to, ..kept(1, NOON) }, kept(2, NOON - DAY), kept(3, NOON), kept(4, NOON - DAY)];
    wanted.sort_by_key(|k| k.queue_id);
    bench.look(|r| {
        let mut bodies = r.bodies()?;
        bodies.sort_by_key(|k| k.queue_id);
        let mut counts = r.open_counts()?;
        counts.sort();
        Ok(same("bodies; one that is gone does not come back", bodies, wanted.clone()).and(same(
            "open",
            counts,
            vec![(Waiting, 2), (Held, 1), (Unknown, 1)],
        )))
    })
}

fn rows_of_key<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    let kid = id(NOON, 1);
    let rows: Vec<_> = ["a@x", "b@x", "c@x"].map(|to| row(kid, to, RowState::Delivered)).into();
    let mut writes = rows.iter().cloned().map(new).collect::<Result<Vec<_>, _>>()?;
    writes.push(new(row(kid, "d@x", RowState::Failed))?);
    writes.push(new(row(id(NOON, 2), "a@x", RowState::Relayed))?);
    bench.commit(Batch { rows: writes, ..Batch::default() })?;
    bench.look(|r| {
        let (two, rest) = (r.rows_of_key(&kid, None, 2)?, r.rows_of_key(&kid, Some("b@x"), 1)?);
        let none = (r.rows_of_key(&kid, Some("d@x"), 9)?, r.tally(&id(NOON, 3))?);
        let tallies = (r.tally(&kid)?, r.tally(&id(NOON, 2))?);
        let wanted = (Tally { recipients: 4, delivered: 3 }, Tally { recipients: 1, delivered: 1 });
        Ok(same("two", two, rows[..2].to_vec())
            .and(same("rest", rest, rows[2..].to_vec()))
            .and(same("none", none, (vec![], Tally::default())))
            .and(same("tallies", tallies, wanted)))
    })
}

fn storms_and_evidence<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    let storm =
        |id: &str, open, at| StoredStorm { id: id.to_owned(), open, last_seen_ms: at, json: format!("{at}") };
    let sample =
        |place, at_ms| StoredEvidence { storm: "a".to_owned(), place, at_ms, sample: vec![place; 3] };
    let (old, recent) = (NOON - 31 * DAY, NOON - DAY);
    bench.commit(Batch {
        storms: vec![
            storm("a", true, old),
            storm("b", false, recent),
            storm("c", false, old),
            storm("a", true, old + 1),
        ],
        evidence: vec![sample(2, recent), sample(0, old), sample(0, recent), sample(1, old)],
        ..Batch::default()
    })?;
    let (a, b, c) = (storm("a", true, old + 1), storm("b", false, recent), storm("c", false, old));
    bench.look(|r| {
        Ok(same("all", r.storms(false, 9)?, vec![b.clone(), a.clone(), c.clone()])
            .and(same("open", r.storms(true, 9)?, vec![a.clone()]))
            .and(same("newest", r.storms(false, 1)?, vec![b.clone()]))
            .and(same("one", (r.storm("c")?, r.storm("d")?), (Some(c.clone()), None)))
            .and(same(
                "evidence",
                r.evidence("a")?,
                vec![sample(0, recent), sample(1, old), sample(2, recent)],
            )))
    })?;
    bench.upkeep(NOON)?;
    bench.look(|r| {
        Ok(same("open ones and young ones stay", r.storms(false, 9)?, vec![b.clone(), a.clone()]).and(same(
            "evidence",
            r.evidence("a")?,
            vec![sample(0, recent), sample(2, recent)],
        )))
    })
}

fn high_water<S: Store>(bench: &mut Bench<'_, S>) -> Found {
    bench.look(|r| Ok(same("at first", r.high_water()?, 0)))?;
    bench.commit(Batch { high_water: Some(NOON), ..Batch::default() })?;
    bench.commit(message(NOON, 1, RowState::Waiting)?)?;
    bench.look(|r| Ok(same("later", r.high_water()?, NOON)))
}

use quell_mail::id::QueueId;
use quell_queue::door::{Bytes, Incoming};
use quell_queue::ledger::Outcome;
use quell_queue::store::memory::MemoryStore;
use quell_queue::store::sqlite::SqliteStore;
use quell_queue::store::{Reader, Store};
use quell_storm::facts::{Facts, Recipient, RowState, Source};
use quell_storm::said::Said;

use crate::ops::testing::Bench;
use crate::ops::{
    Changed, ErrorKind, Failure, Filter, HeldShown, HeldWhich, Request, Response, RowRef, RowShown, SLICE,
    State, StormDone,
};

const JANE: &str = "jane@firm.example";
const TOM: &str = "tom@firm.example";

type Memory = Bench<MemoryStore>;
type Wish = fn(HeldWhich, Option<RowRef>) -> Request;

const RELEASE: Wish = |which, after| Request::StormRelease { which, after };
const DISCARD: Wish = |which, after| Request::StormDiscard { which, after };
const DIGEST: Wish = |which, after| Request::StormDigest { which, after };

fn of(storm: &str) -> HeldWhich {
    HeldWhich { storm: Some(storm.to_owned()), ..HeldWhich::default() }
}

fn changed(bench: &mut Memory, wish: Wish, which: &HeldWhich) -> Changed {
    let mut all = Changed::default();
    loop {
        match bench.ask(&wish(which.clone(), all.next.take())) {
            Response::Changed(slice) => all.add(slice),
            other => panic!("{other:?}"),
        }
        if all.next.is_none() {
            return all;
        }
    }
}

fn failure(bench: &mut Memory, wish: Wish, which: &HeldWhich) -> Failure {
    match bench.ask(&wish(which.clone(), None)) {
        Response::Error(failed) => failed,
        other => panic!("{other:?}"),
    }
}

fn held(bench: &mut Memory, which: &HeldWhich, limit: usize) -> Vec<HeldShown> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        match bench.ask(&Request::StormHeld { which: which.clone(), after, limit }) {
            Response::Held(slice) => {
                assert!(slice.rows.len() <= limit);
                rows.extend(slice.rows);
                after = slice.next;
            }
            other => panic!("{other:?}"),
        }
        if after.is_none() {
            return rows;
        }
    }
}

fn rows(bench: &mut Memory, state: State) -> Vec<RowShown> {
    let request =
        Request::QueueList { states: vec![state], filter: Filter::default(), after: None, limit: SLICE };
    match bench.ask(&request) {
        Response::Rows(rows) => rows.rows,
        other => panic!("{other:?}"),
    }
}

/// A storm that holds message 2 for Jane and Tom and message 3 for Jane; another message is held for
/// another storm. The id, and those of the two.
fn storm(bench: &mut Memory) -> (String, String, String) {
    let storm = bench.storm();
    let second = bench.hold(2, &[JANE, TOM], &storm).to_string();
    let third = bench.hold(3, &[JANE], &storm).to_string();
    bench.hold(4, &[JANE], "another000000000");
    (storm, second, third)
}

#[test]
fn held_mail_is_listed_and_the_queue_says_why() {
    let mut bench = Bench::new();
    let (id, second, third) = storm(&mut bench);
    for limit in [1, 2, SLICE] {
        let shown = held(&mut bench, &of(&id), limit);
        let ids: Vec<_> = shown.iter().map(|row| (row.id.as_str(), row.recipient.as_str())).collect();
        assert_eq!(ids, [(second.as_str(), JANE), (second.as_str(), TOM), (third.as_str(), JANE)]);
        assert_eq!(shown[0].reason.as_deref(), Some("a_test"));
        assert_eq!((shown[0].size_bytes, shown[0].source.as_deref()), (Some(2048), Some("192.0.2.1")));
    }
    let to_tom = HeldWhich { recipient: Some("TOM@firm.example".into()), ..of(&id) };
    assert_eq!(held(&mut bench, &to_tom, 9).len(), 1);
    let queue = rows(&mut bench, State::Held);
    assert_eq!(
        (queue.len(), queue[0].storm.as_deref(), queue[0].class.as_deref()),
        (4, Some(&*id), Some("copies"))
    );
    assert_eq!((queue[3].storm.as_deref(), queue[3].class.as_deref()), (Some("another000000000"), None));
}

#[test]
fn what_is_named_is_released_and_delivered_and_nothing_else() {
    for (recipient, message, meant) in
        [(None, None, 3), (Some(JANE), None, 2), (None, Some(2), 2), (Some(TOM), Some(2), 1)]
    {
        let mut bench = Bench::new();
        let (id, second, _) = storm(&mut bench);
        let which = HeldWhich {
            recipient: recipient.map(str::to_owned),
            message: message.map(|_| second.clone()),
            ..of(&id)
        };
        assert_eq!(changed(&mut bench, RELEASE, &which).done, meant);
        assert_eq!(rows(&mut bench, State::Held).len(), 4 - meant as usize);
        let released: Vec<_> =
            rows(&mut bench, State::Waiting).into_iter().filter(|row| row.exempt.is_some()).collect();
        assert!(released.iter().all(|row| row.exempt.as_deref() == Some("copies")), "named after the class");
        assert_eq!(released.len(), meant as usize);
        bench.deliver(&Outcome::Delivered);
        let again = failure(&mut bench, RELEASE, &which);
        assert_eq!(again.kind, ErrorKind::Conflict, "{again}");
    }
}

#[test]
fn what_was_discarded_can_be_released_and_what_was_removed_cannot() {
    let mut bench = Bench::new();
    let (id, second, third) = storm(&mut bench);
    let remove = Request::QueueRemove { id: third, recipient: None, report: false, after: None };
    assert!(matches!(bench.ask(&remove), Response::Changed(changed) if changed.done == 1));
    assert_eq!(changed(&mut bench, DISCARD, &of(&id)).done, 2);
    let Response::Storm(shown) = bench.ask(&Request::Storm { id: id.clone() }) else { panic!() };
    assert_eq!(shown.storm["state"], "discarded");
    assert!(held(&mut bench, &of(&id), 9).is_empty());
    let twice = failure(&mut bench, DISCARD, &of(&id));
    assert!(twice.message.contains("holds no mail"), "{twice}");
    let which = HeldWhich { message: Some(second), ..HeldWhich::default() };
    assert_eq!(changed(&mut bench, RELEASE, &which).done, 2, "without its storm, too");
}

#[test]
fn discarding_a_part_does_not_discard_the_storm() {
    let mut bench = Bench::new();
    let (id, ..) = storm(&mut bench);
    let which = HeldWhich { recipient: Some(TOM.into()), ..of(&id) };
    assert_eq!(changed(&mut bench, DISCARD, &which).done, 1);
    let Response::Storm(shown) = bench.ask(&Request::Storm { id }) else { panic!() };
    assert_eq!(shown.storm["state"], "open");
}

/// Their rows are decided on one by one, and then the storm is.
#[test]
fn a_storm_that_holds_nothing_is_released_or_discarded_for_what_still_comes() {
    for (wish, done, verdict) in
        [(RELEASE, StormDone::Released, State::Waiting), (DISCARD, StormDone::Discarded, State::Held)]
    {
        let mut bench = Bench::new();
        bench.put_back(1, &[JANE]);
        bench.put_back(2, &[JANE]);
        let row = rows(&mut bench, State::Held).remove(0);
        let id = row.storm.clone().unwrap();
        let message = HeldWhich { message: Some(row.id), ..HeldWhich::default() };
        let singly = changed(&mut bench, wish, &message);
        assert_eq!((singly.done, singly.storm), (1, None), "a message is no storm");
        assert_eq!(storm_of(&mut bench, &id)["held_now"], 0);
        let whole = changed(&mut bench, wish, &of(&id));
        assert_eq!(whole.storm, Some(done), "{whole:?}");
        let next = bench.put_back(3, &[JANE]).to_string();
        assert!(rows(&mut bench, verdict).iter().any(|row| row.id == next), "{done:?}");
        let shown = storm_of(&mut bench, &id);
        let (released, held) = if done == StormDone::Released { (true, 1) } else { (false, 2) };
        assert_eq!((&shown["released"], &shown["held"]), (&released.into(), &held.into()));
    }
}

fn storm_of(bench: &mut Memory, id: &str) -> serde_json::Value {
    match bench.ask(&Request::Storm { id: id.to_owned() }) {
        Response::Storm(shown) => shown.storm,
        other => panic!("{other:?}"),
    }
}

#[test]
fn large_storms_are_gone_through_in_slices() {
    let mut bench = Bench::new();
    let id = bench.storm();
    let to: Vec<String> = (0..2_300).map(|n| format!("r{n:04}@firm.example")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    bench.hold(2, &to, &id);
    let first = bench.ask(&RELEASE(of(&id), None));
    let Response::Changed(first) = first else { panic!("{first:?}") };
    assert!(first.done <= SLICE as u64 && first.next.is_some());
    assert_eq!(first.done + changed(&mut bench, RELEASE, &of(&id)).done, 2_300);
}

#[test]
fn a_digest_is_asked_for_and_nonsense_refused() {
    let mut bench = Bench::new();
    let (id, second, _) = storm(&mut bench);
    let to_jane = HeldWhich { recipient: Some(JANE.into()), ..of(&id) };
    assert_eq!(changed(&mut bench, DIGEST, &to_jane).done, 2);
    let rules = quell_queue::door::HoldRules { keep_ms: 1_000_000, remind_ms: &[], is_ours: &|_| true };
    let now = bench.now();
    let jobs = bench.door.digests_due(&rules, &now, 9);
    assert_eq!(jobs.iter().map(|job| job.messages.len()).collect::<Vec<_>>(), [2]);
    let kind = |bench: &mut Memory, wish: Wish, which: HeldWhich| failure(bench, wish, &which).kind;
    let message = HeldWhich { message: Some(second), ..of(&id) };
    assert_eq!(kind(&mut bench, DIGEST, message), ErrorKind::BadRequest);
    assert_eq!(kind(&mut bench, RELEASE, HeldWhich::default()), ErrorKind::BadRequest);
    assert_eq!(kind(&mut bench, RELEASE, of("../etc")), ErrorKind::NotFound);
    let nobody = HeldWhich { recipient: Some("nobody@firm.example".into()), ..of(&id) };
    assert_eq!(kind(&mut bench, DISCARD, nobody), ErrorKind::Conflict);
    let unknown = HeldWhich { message: Some("0000000000000000".into()), ..HeldWhich::default() };
    assert_eq!(kind(&mut bench, DISCARD, unknown), ErrorKind::NotFound);
}

/// Hands in a digest that settles `token`.
fn hand_in(bench: &mut Bench<SqliteStore>, n: u32, token: quell_queue::door::ReportToken) -> QueueId {
    let queue_id = QueueId::new(bench.ms as u64, 3, n);
    let recipient = Recipient {
        identity: JANE.into(),
        as_given: JANE.into(),
        tenant: "firm.example".into(),
        is_ours: true,
        notify: None,
        orcpt: None,
    };
    let facts = Facts {
        queue_id,
        received_ms: bench.ms,
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
        is_author_ours: true,
        is_to_us: false,
        said: Said::default(),
    };
    let bytes = Bytes::Small(b"x".to_vec());
    let digest = Incoming { facts, front: vec![], bytes, header: vec![], settles: Some(token) };
    let now = bench.now();
    bench.door.accept(digest, n, &now);
    queue_id
}

/// On the disk, over restarts: each row is in one digest that is there, and none is left.
#[test]
fn the_end_comes_once_on_sqlite_over_restarts() {
    const HOUR: i64 = 3_600_000;
    let dir = std::env::temp_dir().join(format!("quell-held-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    let open = |ms| {
        let store = SqliteStore::open(&dir.join("ledger.db")).unwrap();
        Bench::on(store, quell_mail::key::Secret::new(1, [5; 32]), ms)
    };
    let (mut bench, mut told, mut made) = (open(crate::ops::testing::NOW), Vec::new(), 0);
    bench.hold(2, &[JANE, TOM], "storm00000000001");
    bench.ms += 30 * HOUR;
    bench.hold(3, &[JANE], "storm00000000002");
    let rules = quell_queue::door::HoldRules { keep_ms: 48 * HOUR, remind_ms: &[], is_ours: &|_| true };
    // The first digest of each life gets lost, but for the last.
    for commit in [false, true, false, true, true, true] {
        bench = open(bench.ms + 11 * HOUR);
        let now = bench.now();
        for job in bench.door.digests_due(&rules, &now, 1) {
            let rows: Vec<_> = job.messages.iter().map(|m| (m.kid, m.recipient.clone())).collect();
            made += 1;
            let id = hand_in(&mut bench, made, job.token);
            told.extend(rows.into_iter().map(|row| (id, row)));
        }
        if commit {
            bench.commit();
        }
    }
    let reader = bench.store.reader().unwrap();
    told.retain(|(id, _)| reader.find_arrival(id).unwrap().is_some());
    let mut rows: Vec<_> = told.into_iter().map(|(_, row)| row).collect();
    rows.sort();
    let discarded = reader.list(&[RowState::Discarded], None, 9).unwrap();
    assert_eq!(rows, discarded.into_iter().map(|row| (row.id.kid, row.id.rcpt)).collect::<Vec<_>>());
    assert_eq!(rows.len(), 3);
    std::fs::remove_dir_all(&dir).unwrap();
}

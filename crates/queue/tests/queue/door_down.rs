//! Destinations: fair turns between them, and those that are down.

use quell_queue::claim::Claim;
use quell_queue::destination::Destination;
use quell_queue::door::{DownView, Together};
use quell_queue::ledger::{Outcome, RETRY_WAITS_MS};
use quell_queue::store::{Reader, RowId};
use quell_storm::facts::{Ms, RowState};

use crate::make::*;

const DEAD: &str = "joe@dead.example";
const ALIVE: &str = "ann@alive.example";

fn dead() -> Destination {
    Destination::new("dead.example")
}

fn relayed() -> Outcome {
    Outcome::Relayed { reports: false }
}

fn unreachable() -> Outcome {
    Outcome::Temporary { status: "4.4.1 nobody is there".to_owned() }
}

/// A message without key, which waits for delivery.
fn wait(rig: &mut Rig, from: u8, to: &[&str]) -> RowId {
    let facts = rig.facts(0, from, to);
    let kid = rig.take(facts);
    RowId { kid, rcpt: to[0].to_owned() }
}

/// The next message's claims, as a session takes them; whether they are a probe.
fn next(rig: &mut Rig) -> Option<(Destination, bool, Vec<Claim>)> {
    let (now, mut probe) = (rig.at(), false);
    let taken = rig.door.next_destination(&now, &mut |_, down| {
        probe = down;
        true
    })?;
    let claims = rig.door.claim_for(&taken, 100, Together::OneMessage, &now);
    Some((taken, probe, claims))
}

/// An attempt on a destination that cannot be reached.
fn fail(rig: &mut Rig, destination: &Destination, claims: Vec<Claim>) {
    let now = rig.at();
    rig.door.destination_down(destination, "4.4.1 nobody is there", &now);
    claims.into_iter().for_each(|claim| rig.settle(claim, unreachable()));
    rig.commit();
}

fn down(rig: &Rig) -> Option<DownView> {
    let all = rig.door.destinations(&rig.at());
    all.into_iter().find(|v| v.destination == dead()).and_then(|v| v.down)
}

fn found(rig: &Rig, id: &RowId) -> quell_queue::store::Row {
    rig.reader().row(id).unwrap().expect("a row")
}

fn within_a_quarter(wait: Ms, of: Ms) -> bool {
    (of..=of + of / 4).contains(&wait)
}

/// A bulk sender with hundreds of messages for each of two destinations, one of them dead: whoever
/// else comes is claimed after no more than one message of each source and destination.
#[test]
fn neither_a_dead_destination_nor_a_bulk_source_delays_another() {
    let mut rig = Rig::new();
    for _ in 0..200 {
        wait(&mut rig, 1, &[DEAD]);
        wait(&mut rig, 1, &["joe@big.example"]);
    }
    let (mut dead_claims, mut others) = (0, 0);
    for round in 0..20 {
        let late = wait(&mut rig, 2, &["late@big.example"]);
        let alive = wait(&mut rig, 3, &[ALIVE]);
        let mut waits = vec![late, alive];
        for turn in 0.. {
            assert!(turn <= 5, "round {round}: {waits:?} wait behind a flood");
            let (destination, _, claims) = next(&mut rig).expect("rows are ready");
            waits.retain(|id| claims.iter().all(|c| c.row() != id));
            if destination == dead() {
                dead_claims += claims.len();
                fail(&mut rig, &destination, claims);
            } else {
                others += claims.len();
                claims.into_iter().for_each(|c| rig.settle(c, relayed()));
                rig.commit();
            }
            if waits.is_empty() {
                break;
            }
        }
        rig.tick(10 * SECOND);
    }
    assert!(others >= 40 && dead_claims <= 4, "{others}, and {dead_claims} attempts on the dead one");
}

#[test]
fn one_attempt_shows_that_a_destination_is_down_and_one_probe_at_a_time_that_it_still_is() {
    let mut rig = Rig::new();
    let rows: Vec<_> = (0..30).map(|_| wait(&mut rig, 1, &[DEAD])).collect();
    let (destination, probe, claims) = next(&mut rig).unwrap();
    assert_eq!((probe, claims.len()), (false, 1));
    fail(&mut rig, &destination, claims);
    let mut last = found(&rig, &rows[0]).next_ms;
    for failures in 1..10_u32 {
        let view = down(&rig).unwrap();
        let wait = RETRY_WAITS_MS[(failures as usize).min(RETRY_WAITS_MS.len()) - 1];
        assert!(within_a_quarter(view.until_ms - rig.now, wait), "{view:?}");
        assert_eq!((view.failures, view.since_ms), (failures, START));
        assert_eq!(last, view.until_ms, "its row wakes with it");
        assert!(next(&mut rig).is_none());
        rig.now = view.until_ms - 1;
        assert!(next(&mut rig).is_none(), "not before its time");
        rig.now += 1;
        let (destination, probe, claims) = next(&mut rig).unwrap();
        assert_eq!((destination, probe, claims.len()), (dead(), true, 1));
        assert!(next(&mut rig).is_none(), "one probe at a time");
        let row = claims[0].row().clone();
        fail(&mut rig, &dead(), claims);
        last = found(&rig, &row).next_ms;
    }
    let tried = rows.iter().filter(|id| found(&rig, id).attempts > 0).count();
    assert!((5..=10).contains(&tried), "each probe takes the turn of another row: {tried}");
}

#[test]
fn sessions_that_fail_together_count_as_one_failure() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        wait(&mut rig, 1, &[DEAD]);
    }
    let taken: Vec<_> = (0..3).filter_map(|_| next(&mut rig)).collect();
    assert_eq!(taken.len(), 3, "nothing is known against it yet");
    for (destination, _, claims) in taken {
        fail(&mut rig, &destination, claims);
        rig.now += SECOND;
    }
    assert_eq!(down(&rig).unwrap().failures, 1);
}

#[test]
fn a_probe_that_tells_nothing_is_followed_by_another() {
    let mut rig = Rig::new();
    wait(&mut rig, 1, &[DEAD]);
    wait(&mut rig, 1, &[DEAD]);
    let (destination, _, claims) = next(&mut rig).unwrap();
    fail(&mut rig, &destination, claims);
    rig.now = down(&rig).unwrap().until_ms;
    let (_, probe, mut claims) = next(&mut rig).unwrap();
    assert!(probe && next(&mut rig).is_none());
    rig.settle(claims.pop().unwrap(), failed(true));
    assert!(next(&mut rig).is_none(), "its outcome is not durable yet");
    rig.commit();
    let (_, probe, _) = next(&mut rig).expect("another probe");
    assert!(probe);
}

#[test]
fn a_destination_that_is_up_again_wakes_all_its_rows_together() {
    let mut rig = Rig::new();
    let rows: Vec<_> = (0..3).map(|_| wait(&mut rig, 1, &[DEAD])).collect();
    let taken: Vec<_> = (0..3).filter_map(|_| next(&mut rig)).collect();
    for (destination, _, claims) in taken {
        fail(&mut rig, &destination, claims);
    }
    let until = down(&rig).unwrap().until_ms;
    assert!(rows.iter().all(|id| found(&rig, id).next_ms == until));
    let now = rig.at();
    rig.door.destination_up(&dead(), &now);
    assert_eq!((rig.claim(9).len(), down(&rig)), (3, None));
}

#[test]
fn what_a_person_wants_tried_is_tried_now() {
    for by_row in [true, false] {
        let mut rig = Rig::new();
        let rows: Vec<_> = (0..3).map(|_| wait(&mut rig, 1, &[DEAD])).collect();
        let sent = wait(&mut rig, 1, &["sent@dead.example"]);
        let claims = rig.claim(9);
        for claim in claims {
            let outcome = if *claim.row() == sent { unknown() } else { unreachable() };
            rig.settle(claim, outcome);
        }
        let now = rig.at();
        rig.door.destination_down(&dead(), "4.4.1 nobody is there", &now);
        rig.commit();
        rig.now += MINUTE / 2;
        let now = rig.at();
        assert!(next(&mut rig).is_none());
        if by_row {
            rig.door.retry(&rows[1], &now).unwrap();
        } else {
            rig.door.retry_destination(&dead(), &now);
        }
        let due = down(&rig).unwrap();
        assert_eq!((due.since_ms, due.failures, due.until_ms), (START, 1, rig.now));
        let claims = rig.claim(9);
        let woken = if by_row { 1 } else { 3 };
        assert_eq!(claims.len(), woken, "what was sent waits for its own time");
        assert!(claims.iter().all(|c| *c.row() != sent));
    }
}

/// Another route, or its last row: nobody is told of it any more.
#[test]
fn a_destination_that_no_mail_is_for_is_not_down() {
    for rerouted in [true, false] {
        let mut rig = Rig::new();
        let row = wait(&mut rig, 1, &[DEAD]);
        let other = wait(&mut rig, 1, &["other@dead.example"]);
        let (_, _, mut claims) = next(&mut rig).unwrap();
        let (_, _, probe) = next(&mut rig).unwrap();
        let now = rig.at();
        rig.door.destination_down(&dead(), "4.4.1 nobody is there", &now);
        rig.settle(claims.pop().unwrap(), unreachable());
        rig.commit();
        if rerouted {
            rig.door.set_destinations(Box::new(|_| Destination::new("smtp://10.0.0.2:25")));
        } else {
            rig.door.remove(&row, false, &now).unwrap();
        }
        rig.tick(SECOND);
        assert_eq!(down(&rig).map(|d| d.since_ms), Some(START), "an attempt is under way");
        probe.into_iter().for_each(|claim| rig.settle(claim, unreachable()));
        rig.commit();
        if !rerouted {
            rig.tick(SECOND);
            assert!(down(&rig).is_some(), "one row waits");
            let now = rig.at();
            rig.door.remove(&other, false, &now).unwrap();
        }
        rig.tick(SECOND);
        assert_eq!((down(&rig), rig.door.destinations_down()), (None, 0));
    }
}

/// DOWN FOR is the time since it was last reached, however often a person tries.
#[test]
fn a_retry_does_not_make_a_destination_up() {
    let mut rig = Rig::new();
    let rows: Vec<_> = (0..3).map(|_| wait(&mut rig, 1, &[DEAD])).collect();
    let (_, _, claims) = next(&mut rig).unwrap();
    fail(&mut rig, &dead(), claims);
    for failures in 2..5 {
        rig.tick(10 * SECOND);
        let now = rig.at();
        rig.door.retry_destination(&dead(), &now);
        rig.door.retry(&rows[0], &now).unwrap();
        let (_, probe, claims) = next(&mut rig).expect("it is tried now");
        assert!(probe && next(&mut rig).is_none(), "one probe at a time");
        fail(&mut rig, &dead(), claims);
        let view = down(&rig).unwrap();
        assert_eq!((view.since_ms, view.failures), (START, failures));
        assert!(within_a_quarter(view.until_ms - rig.now, RETRY_WAITS_MS[failures as usize - 1]));
        assert!(next(&mut rig).is_none());
    }
    let now = rig.at();
    rig.door.retry_destination(&dead(), &now);
    let (_, _, claims) = next(&mut rig).expect("it is tried now");
    rig.door.destination_up(&dead(), &now);
    assert_eq!((claims.len() + rig.claim(9).len(), down(&rig)), (3, None));
}

#[test]
fn a_destination_renamed_takes_its_rows_along() {
    let mut rig = Rig::new();
    let row = wait(&mut rig, 1, &[DEAD]);
    let out = wait(&mut rig, 2, &["out@dead.example"]);
    let mut claims = rig.claim(1);
    claims.extend(rig.claim(1));
    let first = claims.swap_remove(0);
    rig.settle(first, unreachable());
    rig.commit();
    rig.door.set_destinations(Box::new(|_| Destination::new("smtp://10.0.0.2:25")));
    rig.settle(claims.pop().unwrap(), unreachable());
    rig.commit();
    rig.now += 2 * MINUTE;
    let (destination, probe, claims) = next(&mut rig).unwrap();
    assert_eq!((destination.as_str(), probe, claims.len()), ("smtp://10.0.0.2:25", false, 1));
    let other = next(&mut rig).unwrap().2;
    let mut both = [claims[0].row().clone(), other[0].row().clone()];
    both.sort();
    assert_eq!(both, [row, out]);
    let views = rig.door.destinations(&rig.at());
    assert_eq!(
        views.iter().map(|v| (v.destination.as_str(), v.claimed)).collect::<Vec<_>>(),
        [("smtp://10.0.0.2:25", 2)]
    );
}

/// At a reload: the waits came from the old next hop. What was sent before keeps its time.
#[test]
fn what_waited_for_an_old_next_hop_is_tried_by_the_new_one_at_once() {
    let mut rig = Rig::new();
    let waits = wait(&mut rig, 1, &[DEAD]);
    let sent = wait(&mut rig, 1, &["sent@dead.example"]);
    let stays = wait(&mut rig, 1, &[ALIVE]);
    for claim in rig.claim(9) {
        let outcome = if *claim.row() == sent { unknown() } else { temporary() };
        rig.settle(claim, outcome);
    }
    let out = wait(&mut rig, 1, &["out@dead.example"]);
    let late = wait(&mut rig, 1, &["late@dead.example"]);
    let claims = rig.claim(2);
    rig.commit();
    assert!(rig.claim(9).is_empty());
    let new = |to: &str| if to == ALIVE { "alive.example" } else { "smtp://10.0.0.2:25" };
    rig.door.set_destinations(Box::new(move |to| Destination::new(new(to))));
    let (to, probe, now) = next(&mut rig).unwrap();
    assert_eq!((to.as_str(), probe, now[0].row(), now.len()), ("smtp://10.0.0.2:25", false, &waits, 1));
    assert!(next(&mut rig).is_none(), "the others keep their time");
    // What was under way to the old one ends only now.
    for claim in claims {
        let outcome = if *claim.row() == late { unknown() } else { unreachable() };
        rig.settle(claim, outcome);
    }
    rig.commit();
    assert_eq!(rig.claim(9).iter().map(|c| c.row().clone()).collect::<Vec<_>>(), [out]);
    rig.now = found(&rig, &stays).next_ms;
    assert_eq!(rig.claim(9).iter().map(|c| c.row().clone()).collect::<Vec<_>>(), [stays]);
    rig.now = found(&rig, &sent).next_ms - 1;
    assert!(rig.claim(9).is_empty());
    rig.now += 1;
    let mut again: Vec<_> = rig.claim(9).iter().map(|c| c.row().clone()).collect();
    again.sort();
    assert_eq!(again, [sent, late]);
}

/// DESIGN: a row expires after 5 days, and only after an attempt, or a probe of its destination,
/// made past its age. Of 1,200 rows only a few are ever tried.
#[test]
fn rows_behind_a_dead_destination_expire_by_its_probes() {
    let mut rig = Rig::new();
    let rows: Vec<_> = (0..1200).map(|n| wait(&mut rig, 1, &[&format!("r{n}@dead.example")])).collect();
    let young_at = START + 2 * DAY;
    let mut young = None;
    let mut last_probe = START;
    while rig.now < START + 5 * DAY + 6 * HOUR {
        if rig.now >= young_at && young.is_none() {
            young = Some(wait(&mut rig, 1, &["young@dead.example"]));
        }
        let failed = |rig: &Rig| rig.reader().list(&[RowState::Failed], None, 9999).unwrap().len();
        if rig.now - START <= 5 * DAY {
            assert_eq!(failed(&rig), 0, "too early");
        }
        if let Some((destination, _, claims)) = next(&mut rig) {
            last_probe = rig.now;
            fail(&mut rig, &destination, claims);
        } else if rig.now - last_probe > 10 * SECOND {
            rig.now = down(&rig).unwrap().until_ms;
            continue;
        }
        rig.tick(SECOND);
        rig.commit();
    }
    let open = rig.reader().list(&[RowState::Waiting], None, 9999).unwrap();
    assert_eq!(open.len(), 1, "the young one waits on");
    assert_eq!(open[0].id, young.unwrap());
    for id in &rows {
        let row = found(&rig, id);
        assert_eq!(row.state, RowState::Failed);
        assert!(row.status.starts_with("4.4.7 ") && row.status.ends_with("4.4.1 nobody is there"), "{row:?}");
        assert!(row.extra.report_due);
        assert!(rig.reader().arrival(&id.kid, &id.kid).unwrap().unwrap().body.is_some(), "for the report");
    }
    assert_eq!(rig.given_up.len(), rows.len());
    assert_eq!(down(&rig).map(|d| d.since_ms), Some(START));
    let ready: usize = rig.door.destinations(&rig.at()).iter().map(|v| v.ready + v.waiting).sum();
    assert_eq!(ready, 1, "what expired stands in no line");
}

#[test]
fn nothing_expires_while_the_clock_is_not_trusted() {
    let mut rig = Rig::new();
    let rows: Vec<_> = (0..3).map(|_| wait(&mut rig, 1, &[DEAD])).collect();
    let (destination, _, claims) = next(&mut rig).unwrap();
    fail(&mut rig, &destination, claims);
    (rig.now, rig.may_expire) = (START + 6 * DAY, false);
    let (_, probe, claims) = next(&mut rig).unwrap();
    fail(&mut rig, &destination, claims);
    rig.tick(SECOND);
    rig.commit();
    assert!(probe && rows.iter().all(|id| found(&rig, id).state == RowState::Waiting));
    rig.may_expire = true;
    rig.tick(SECOND);
    rig.commit();
    let failed = rows.iter().filter(|id| found(&rig, id).state == RowState::Failed).count();
    assert_eq!(failed, 2, "the third was claimed by the probe, and has its attempt");
}

#[test]
fn one_message_goes_out_in_one_piece() {
    let mut rig = Rig::new();
    let many: Vec<String> = (0..150).map(|n| format!("r{n}@list.example")).collect();
    let to: Vec<&str> = many.iter().map(String::as_str).chain([ALIVE]).collect();
    let first = wait(&mut rig, 1, &to).kid;
    wait(&mut rig, 1, &["other@list.example"]);
    let list = Destination::new("list.example");
    let now = rig.at();
    let mut sizes = Vec::new();
    loop {
        let claims = rig.door.claim_for(&list, 100, Together::OneMessage, &now);
        let Some(one) = claims.first().map(Claim::queue_id) else { break };
        assert!(claims.iter().all(|c| c.queue_id() == one));
        sizes.push((one == first, claims.len()));
        // What fails for now goes out together again.
        claims.into_iter().filter(|c| c.queue_id() == first).for_each(|c| rig.settle(c, temporary()));
    }
    assert_eq!(sizes, [(true, 100), (true, 50), (false, 1)]);
    rig.commit();
    rig.now += 2 * MINUTE;
    let now = rig.at();
    assert_eq!(rig.door.claim_for(&list, 100, Together::OneMessage, &now).len(), 100);
    let claims = rig.door.claim_for(&list, 100, Together::OneMessage, &now);
    assert!(claims.iter().all(|c| (c.attempts(), c.sendings()) == (1, 0)) && claims.len() == 50);
}

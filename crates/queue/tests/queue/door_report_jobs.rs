//! Which reports are made, when, of what and to whom; and that none is lost and none made twice.

use quell_mail::dsn::Action;
use quell_queue::door::{Answer, Bytes, Incoming, MAX_REPORTS_PER_MESSAGE, ReportJob, ReportToken};
use quell_queue::ledger::Outcome;
use quell_queue::store::Reader;
use quell_storm::facts::{RowState, Source};

use crate::make::*;

const JANE: &str = "jane@firm.example";
pub const ANN: &str = "ann@client.example";
pub const BOB: &str = "bob@other.example";

/// Takes a message for `n` recipients in our domain.
fn many(rig: &mut Rig, key: u8, n: usize) -> Vec<String> {
    let names: Vec<_> = (0..n).map(|i| format!("r{i:04}@firm.example")).collect();
    let to: Vec<_> = names.iter().map(String::as_str).collect();
    let facts = rig.facts(key, 1, &to);
    rig.take(facts);
    names
}

/// Ends attempts for our domain so, at most `limit`; reports on their way are delivered.
fn settle_all(rig: &mut Rig, limit: usize, outcome: &Outcome) -> usize {
    let mut n = 0;
    while n < limit {
        let Some(claim) = rig.claim(1).pop() else { break };
        let ours = claim.identity().ends_with("@firm.example");
        n += usize::from(ours);
        rig.settle(claim, if ours { outcome.clone() } else { Outcome::Delivered });
    }
    rig.commit();
    n
}

pub fn due(rig: &mut Rig) -> Vec<ReportJob> {
    let now = rig.at();
    rig.door.reports_due(&now, 100)
}

/// Hands in the report of a job; its ticket.
pub fn submit(rig: &mut Rig, to: &str, token: ReportToken) -> u32 {
    let mut facts = rig.facts(0, 1, &[to]);
    (facts.source, facts.reverse_path) = (Source::own(), String::new());
    let incoming = Incoming {
        facts,
        front: b"Received: x\r\n".to_vec(),
        bytes: Bytes::Small(b"Subject: report\r\n\r\n".to_vec()),
        header: Vec::new(),
        settles: Some(token),
    };
    let now = rig.at();
    let ticket = 1_000_000 + rig.commits as u32 * 1000 + rig.answers.len() as u32;
    rig.door.accept(incoming, ticket, &now);
    rig.drain();
    ticket
}

fn send(rig: &mut Rig, job: ReportJob) {
    let ticket = submit(rig, &job.reverse_path, job.token);
    rig.commit();
    let Some(Answer::Accepted(id)) = rig.answer(ticket).cloned() else { panic!("the report was not taken") };
    rig.answered(id);
}

/// Makes and sends all that is due; what was told: to whom, of how many, what of the first.
fn reports(rig: &mut Rig) -> Vec<(String, usize, Action)> {
    let mut told = Vec::new();
    loop {
        let jobs = due(rig);
        if jobs.is_empty() {
            return told;
        }
        for job in jobs {
            told.push((job.reverse_path.clone(), job.rows.len(), job.rows[0].action));
            send(rig, job);
        }
    }
}

fn one(to: &str, action: Action) -> Vec<(String, usize, Action)> {
    vec![(to.to_owned(), 1, action)]
}

#[test]
fn a_failure_is_told_at_once_where_nothing_else_is_open() {
    let mut rig = Rig::new();
    let mut facts = from(&mut rig, 1, ANN, "f");
    (facts.envid, facts.ret_full, facts.smtputf8) = (Some("env".into()), Some(true), true);
    facts.recipients[0].orcpt = Some("rfc822;sales@firm.example".into());
    facts.recipients[0].as_given = "Jane@firm.example".into();
    let id = rig.take(facts);
    settle_all(&mut rig, 1, &failed(true));
    let job = due(&mut rig).pop().unwrap();
    assert_eq!((job.kid, job.queue_id, job.reverse_path.as_str()), (id, id, ANN));
    assert_eq!((job.envid.as_deref(), job.ret_full, job.smtputf8), (Some("env"), Some(true), true));
    assert!(job.body.is_some() && job.received_ms == START && job.size_bytes == 2000);
    let row = &job.rows[0];
    assert_eq!((row.identity.as_str(), row.as_given.as_str()), (JANE, "Jane@firm.example"));
    assert_eq!((row.action, row.status.as_str(), row.maybe_delivered), (Action::Failed, "5.1.1 no", false));
    assert_eq!((row.orcpt.as_deref(), row.last_attempt_ms), (Some("rfc822;sales@firm.example"), Some(START)));
    assert!(due(&mut rig).is_empty(), "one is out");
    send(&mut rig, job);
    assert!(due(&mut rig).is_empty());
    assert!(!rig.row(1, JANE).unwrap().extra.report_due);
    assert_eq!(rig.door.report_counts().made, 1);
    // Never of a report.
    let claim = rig.claim(9).pop().unwrap();
    assert_eq!((claim.identity(), claim.reverse_path()), (ANN, ""));
    rig.settle(claim, failed(true));
    rig.commit();
    rig.tick(HOUR);
    assert!(due(&mut rig).is_empty());
}

#[test]
fn what_fails_within_five_minutes_shares_a_report() {
    let mut rig = Rig::new();
    many(&mut rig, 1, 101);
    assert_eq!(settle_all(&mut rig, 60, &failed(true)), 60);
    rig.tick(4 * MINUTE);
    assert_eq!(reports(&mut rig), []);
    assert_eq!(settle_all(&mut rig, 40, &failed(true)), 40);
    rig.tick(MINUTE);
    assert_eq!(reports(&mut rig), [(ANN.to_owned(), 100, Action::Failed)]);
    rig.tick(DAY);
    assert_eq!(reports(&mut rig), []);
    // The last one, a day later: nothing is open any more.
    assert_eq!(settle_all(&mut rig, 40, &failed(true)), 1);
    assert_eq!(reports(&mut rig), one(ANN, Action::Failed));
}

#[test]
fn a_hundred_failures_are_told_as_soon_as_nothing_is_open() {
    let mut rig = Rig::new();
    many(&mut rig, 1, 101);
    assert_eq!(settle_all(&mut rig, 100, &failed(true)), 100);
    assert_eq!(reports(&mut rig), []);
    // The last one is delivered, and owes nothing itself.
    assert_eq!(settle_all(&mut rig, 9, &Outcome::Delivered), 1);
    assert_eq!(reports(&mut rig), [(ANN.to_owned(), 100, Action::Failed)]);
}

#[test]
fn failures_six_minutes_apart_are_two_reports() {
    let mut rig = Rig::new();
    many(&mut rig, 1, 3);
    settle_all(&mut rig, 1, &failed(true));
    rig.tick(6 * MINUTE);
    assert_eq!(reports(&mut rig), one(ANN, Action::Failed));
    settle_all(&mut rig, 1, &failed(true));
    assert_eq!(reports(&mut rig), []);
    rig.tick(6 * MINUTE);
    assert_eq!(reports(&mut rig), one(ANN, Action::Failed));
}

#[test]
fn the_twenty_first_is_not_made() {
    let mut rig = Rig::new();
    many(&mut rig, 1, 30);
    let mut made = 0;
    for _ in 0..25 {
        settle_all(&mut rig, 1, &failed(true));
        rig.tick(6 * MINUTE);
        made += reports(&mut rig).len();
    }
    assert_eq!(made as u32, MAX_REPORTS_PER_MESSAGE);
    assert_eq!(rig.door.report_counts().suppressed, 5);
    // Also not after a restart.
    settle_all(&mut rig, 5, &failed(true));
    let mut rig = Rig::on(rig.store, rig.now + HOUR);
    rig.tick(SECOND);
    assert_eq!(reports(&mut rig), []);
    rig.commit();
    let kid = rig.kid(1);
    assert!(rig.reader().rows_of_key(&kid, None, 99).unwrap().iter().all(|r| !r.extra.report_due));
}

#[test]
fn more_recipients_than_a_report_holds_come_in_the_next() {
    let mut rig = Rig::new();
    many(&mut rig, 1, 2_100);
    assert_eq!(settle_all(&mut rig, 5_000, &failed(true)), 2_100);
    let told = reports(&mut rig);
    assert_eq!(told.iter().map(|t| t.1).collect::<Vec<_>>(), [1000, 1000, 100]);
}

/// NOTIFY of one arrival, and what its sender is told of each outcome.
#[test]
fn notify_says_what_is_told() {
    let relayed = |reports| Outcome::Relayed { reports };
    for (path, letters, failure, success) in [
        (ANN, "-", true, false),
        (ANN, "n", false, false),
        (ANN, "f", true, false),
        (ANN, "s", false, true),
        (ANN, "d", false, false),
        (ANN, "sfd", true, true),
        ("", "-", false, false),
        ("", "sfd", false, false),
    ] {
        for (outcome, action, wanted) in [
            (failed(true), Action::Failed, failure),
            (Outcome::Delivered, Action::Delivered, success),
            (relayed(false), Action::Relayed, success),
            (relayed(true), Action::Relayed, false),
        ] {
            let mut rig = Rig::new();
            let facts = from(&mut rig, 1, path, letters);
            rig.take(facts);
            settle_all(&mut rig, 1, &outcome);
            let wanted = if wanted { one(path, action) } else { Vec::new() };
            assert_eq!(reports(&mut rig), wanted, "{path:?} {letters} {outcome:?}");
        }
    }
}

#[test]
fn each_reverse_path_of_copies_is_told_once() {
    for reports_itself in [false, true] {
        let mut rig = Rig::new();
        let facts = from(&mut rig, 1, ANN, "s");
        rig.take(facts);
        for (path, letters) in [(BOB, "s"), (BOB, "sf"), (ANN, "sf"), ("", "s"), ("carl@x.example", "f")] {
            let facts = from(&mut rig, 1, path, letters);
            rig.accept(facts);
        }
        settle_all(&mut rig, 1, &Outcome::Relayed { reports: reports_itself });
        let mut told: Vec<_> = reports(&mut rig).into_iter().map(|t| t.0).collect();
        told.sort();
        assert_eq!(told, if reports_itself { vec![BOB] } else { vec![ANN, BOB] });
        // A copy that comes later is told as well, once.
        for _ in 0..3 {
            let facts = from(&mut rig, 1, "dora@x.example", "s");
            rig.accept(facts);
            rig.commit();
        }
        assert_eq!(reports(&mut rig), one("dora@x.example", Action::Relayed));
        rig.tick(2 * DAY);
        assert_eq!(reports(&mut rig), []);
    }
}

#[test]
fn a_delay_is_told_once_after_four_hours_where_notify_permits() {
    for (path, letters, wanted) in
        [(ANN, "-", true), (ANN, "d", true), (ANN, "f", false), (ANN, "n", false), ("", "-", false)]
    {
        for outcome in [temporary(), unknown()] {
            let mut rig = Rig::new();
            let facts = from(&mut rig, 1, path, letters);
            rig.take(facts);
            let mut told = Vec::new();
            for _ in 0..40 {
                settle_all(&mut rig, 1, &outcome);
                assert!(told.is_empty() || rig.now > START);
                let before = told.len();
                told.extend(reports(&mut rig));
                assert!(before == told.len() || rig.now >= START + 4 * HOUR, "too early");
                rig.tick(20 * MINUTE);
            }
            told.retain(|t| t.2 == Action::Delayed);
            let wanted = if wanted { one(path, Action::Delayed) } else { Vec::new() };
            assert_eq!(told, wanted, "{path:?} {letters} {outcome:?}");
        }
    }
}

#[test]
fn a_delay_that_needs_no_notice_is_not_asked_about_again() {
    let mut rig = Rig::new();
    let facts = from(&mut rig, 1, ANN, "-");
    rig.take(facts);
    let mut asked = 0;
    for _ in 0..60 {
        settle_all(&mut rig, 1, &temporary());
        for job in due(&mut rig) {
            let (row, now) = (&job.rows[0], rig.at());
            assert_eq!((row.action, row.status.as_str()), (Action::Delayed, "4.3.0 not now"));
            assert_eq!(row.will_retry_until_ms, Some(START + 5 * DAY));
            rig.door.report_dropped(job.token, &now);
            asked += 1;
        }
        rig.tick(20 * MINUTE);
    }
    assert_eq!((asked, rig.door.report_counts().dropped), (1, 1));
    // Of its failure its sender is told all the same.
    rig.tick(HOUR * 3);
    settle_all(&mut rig, 1, &failed(false));
    assert_eq!(reports(&mut rig), one(ANN, Action::Failed));
}

#[test]
fn what_is_told_is_what_is_true_when_the_report_is_made() {
    for (letters, wanted) in [("-", vec![]), ("sf", one(ANN, Action::Delivered))] {
        let mut rig = Rig::new();
        let mut facts = rig.facts(1, 1, &[JANE, "x@firm.example"]);
        facts.recipients[0].notify = notify(letters);
        rig.take(facts);
        // One of two fails: its report would wait for five minutes.
        let mut claims = rig.claim(2);
        let jane = claims.iter().position(|c| c.identity() == JANE).unwrap();
        let claim = claims.swap_remove(jane);
        let id = claim.row().clone();
        rig.settle(claim, failed(true));
        rig.commit();
        let now = rig.at();
        rig.door.retry(&id, &now).unwrap();
        rig.commit();
        let again = rig.claim(1).pop().unwrap();
        rig.settle(again, Outcome::Delivered);
        rig.commit();
        rig.tick(6 * MINUTE);
        assert_eq!(reports(&mut rig), wanted, "{letters}");
        assert!(!rig.row(1, JANE).unwrap().extra.report_due);
    }
}

#[test]
fn of_one_row_a_reverse_path_is_told_once_a_day() {
    let mut rig = Rig::new();
    let facts = from(&mut rig, 1, ANN, "-");
    let id = rig.take(facts);
    settle_all(&mut rig, 1, &failed(false));
    assert_eq!(reports(&mut rig).len(), 1);
    let row = quell_queue::store::RowId { kid: id, rcpt: JANE.into() };
    for (after, wanted, suppressed) in [(HOUR, 0, 1), (22 * HOUR, 0, 2), (2 * HOUR, 1, 2)] {
        rig.tick(after);
        let now = rig.at();
        rig.door.retry(&row, &now).unwrap();
        rig.commit();
        assert_eq!(settle_all(&mut rig, 9, &failed(false)), 1);
        assert_eq!(reports(&mut rig).len(), wanted);
        assert_eq!(rig.door.report_counts().suppressed, suppressed);
    }
}

#[test]
fn what_a_person_removes_is_told_only_if_the_person_says_so() {
    for report in [true, false] {
        let mut rig = Rig::new();
        let facts = from(&mut rig, 1, ANN, "-");
        let id = rig.take(facts);
        // A notice of the delay is due when it is removed.
        rig.tick(5 * HOUR);
        settle_all(&mut rig, 1, &temporary());
        let now = rig.at();
        rig.door.remove(&quell_queue::store::RowId { kid: id, rcpt: JANE.into() }, report, &now).unwrap();
        rig.commit();
        rig.tick(HOUR);
        let jobs = due(&mut rig);
        let told: Vec<_> = jobs.iter().map(|j| (j.rows[0].action, j.rows[0].status.as_str())).collect();
        let wanted = (Action::Failed, "5.3.0 taken out of the queue by the postmaster");
        assert_eq!(told, if report { vec![wanted] } else { vec![] });
    }
}

/// A report that is stored pays; one that is not, or whose commit is not known, does not.
#[test]
fn a_crash_makes_neither_two_reports_nor_none() {
    for end in [End::Durable, End::Lost, End::DurableButFailed] {
        for restart in [false, true] {
            let mut rig = Rig::new();
            let facts = from(&mut rig, 1, ANN, "-");
            rig.take(facts);
            settle_all(&mut rig, 1, &failed(true));
            let job = due(&mut rig).pop().unwrap();
            submit(&mut rig, ANN, job.token);
            assert!(rig.begin());
            rig.end(end);
            if restart {
                rig = Rig::on(rig.store, rig.now);
            } else if end != End::Durable {
                rig.reopen();
            }
            rig.tick(SECOND);
            let stored = rig.reader().list(&[RowState::Waiting], None, 9).unwrap().len();
            let again = reports(&mut rig).len();
            assert_eq!(stored + again, 1, "{end:?} restart {restart}");
            assert_eq!(stored, usize::from(end != End::Lost));
        }
    }
}

#[test]
fn a_report_composed_before_the_store_failed_is_refused_after_it() {
    let mut rig = Rig::new();
    let facts = from(&mut rig, 1, ANN, "-");
    rig.take(facts);
    settle_all(&mut rig, 1, &failed(true));
    let old = due(&mut rig).pop().unwrap();
    rig.door.failed(&quell_queue::store::StoreError::Broken("no sync".to_owned()));
    rig.drain();
    assert!(due(&mut rig).is_empty(), "shut");
    rig.reopen();
    rig.tick(SECOND);
    let new = due(&mut rig).pop().unwrap();
    let ticket = submit(&mut rig, ANN, old.token);
    assert!(matches!(rig.answer(ticket), Some(Answer::Trouble(_))));
    send(&mut rig, new);
    assert_eq!(rig.door.report_counts().made, 1);
}

#[test]
fn a_job_that_does_not_come_back_comes_again() {
    let mut rig = Rig::new();
    let facts = from(&mut rig, 1, ANN, "-");
    rig.take(facts);
    settle_all(&mut rig, 1, &failed(true));
    rig.tick(SECOND);
    let lost = due(&mut rig).pop().unwrap();
    rig.tick(9 * MINUTE);
    assert!(due(&mut rig).is_empty());
    rig.tick(7 * MINUTE);
    assert!(due(&mut rig).is_empty(), "taken back, and due in a while");
    rig.tick(6 * MINUTE);
    let again = due(&mut rig).pop().unwrap();
    let ticket = submit(&mut rig, ANN, lost.token);
    assert!(matches!(rig.answer(ticket), Some(Answer::Trouble(_))), "the lost one is worth nothing");
    let now = rig.at();
    rig.door.report_later(again.token, &now);
    assert!(due(&mut rig).is_empty());
    rig.tick(6 * MINUTE);
    assert_eq!(reports(&mut rig), one(ANN, Action::Failed));
}

/// The header is wanted for the report, also of what was delivered; for a time.
#[test]
fn the_body_is_kept_while_a_report_is_due() {
    for (letters, kept) in [("s", true), ("-", false)] {
        let mut rig = Rig::new();
        let facts = from(&mut rig, 1, ANN, letters);
        rig.take(facts);
        settle_all(&mut rig, 1, &Outcome::Delivered);
        assert_eq!(rig.released.len(), usize::from(!kept), "{letters}");
        let jobs = due(&mut rig);
        assert_eq!(jobs.iter().filter(|j| j.body.is_some()).count(), usize::from(kept));
        jobs.into_iter().for_each(|job| send(&mut rig, job));
        rig.tick(2 * HOUR);
        rig.commit();
        assert_eq!(rig.released.len(), 1, "{letters}");
    }
}

#[test]
fn reports_that_are_due_are_found_again_after_a_restart() {
    let mut rig = Rig::new();
    for key in 1..=5 {
        let facts = from(&mut rig, key, ANN, "-");
        rig.take(facts);
    }
    settle_all(&mut rig, 4, &failed(true));
    settle_all(&mut rig, 1, &temporary());
    let mut rig = Rig::on(rig.store, rig.now);
    assert_eq!(reports(&mut rig), []);
    rig.tick(SECOND);
    assert_eq!(reports(&mut rig).len(), 4);
    let mut rig = Rig::on(rig.store, rig.now + DAY);
    rig.tick(SECOND);
    assert_eq!(reports(&mut rig), []);
}

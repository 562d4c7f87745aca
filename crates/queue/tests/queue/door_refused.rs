//! A copy is refused for one recipient, and the answer is 250 for the sake of the others: a report
//! tells its sender, and never more than a report.

use quell_mail::dsn::Action;
use quell_queue::door::{Answer, Bytes, Incoming, ReportJob};
use quell_queue::ledger::Outcome;
use quell_storm::facts::{Notify, RowState, Source};

use crate::make::*;

const JANE: &str = "jane@firm.example";
const NEW: &str = "new@firm.example";
const ANN: &str = "ann@client.example";
const BOB: &str = "bob@other.example";

/// A copy of message 1 from `path` for Jane, who is refused, and for others.
fn copy(rig: &mut Rig, path: &str, notify: Option<Notify>, others: &[&str]) -> Answer {
    let mut facts = rig.facts(1, 1, &[&[JANE], others].concat());
    facts.reverse_path = path.into();
    facts.recipients[0].notify = notify;
    let sent = rig.row(1, JANE).filter(|row| row.state == RowState::Relayed);
    facts.tokens.extend(sent.map(|row| token(row.queue_id)));
    let id = facts.queue_id;
    let ticket = rig.accept(facts);
    rig.commit();
    assert_eq!(rig.last_verdict(0).0, "refuse");
    rig.answered(id);
    rig.answer(ticket).cloned().expect("an answer")
}

fn jobs(rig: &mut Rig) -> Vec<ReportJob> {
    rig.tick(6 * 60_000);
    let now = rig.at();
    rig.door.reports_due(&now, 100)
}

fn send(rig: &mut Rig, job: ReportJob) {
    let mut facts = rig.facts(0, 1, &[&job.reverse_path]);
    (facts.source, facts.reverse_path) = (Source::own(), String::new());
    let bytes = Bytes::Small(b"Subject: report\r\n\r\n".to_vec());
    let incoming = Incoming { facts, front: Vec::new(), bytes, header: Vec::new(), settles: Some(job.token) };
    let now = rig.at();
    rig.door.accept(incoming, 1_000_000 + rig.answers.len() as u32, &now);
    rig.drain();
    rig.commit();
}

#[test]
fn a_loop_beside_others_is_told_of_once_a_day() {
    let mut rig = Rig::new();
    rig.row_with(1, JANE, Outcome::Relayed { reports: false });
    assert!(matches!(copy(&mut rig, ANN, None, &[NEW]), Answer::Accepted(_)));
    assert_eq!(rig.state(1, JANE), RowState::Relayed, "a refusal changes no row");
    // Again, for somebody who has it by now: nothing is stored, and one report is due all the same.
    let batches = rig.commits;
    assert!(matches!(copy(&mut rig, ANN, None, &[NEW]), Answer::Accepted(_)));
    assert_eq!(rig.commits, batches, "nothing to write");
    let told = jobs(&mut rig);
    assert_eq!(told.len(), 1);
    let job = told.into_iter().next().unwrap();
    assert_eq!((job.reverse_path.as_str(), job.rows.len()), (ANN, 1));
    let row = &job.rows[0];
    assert_eq!((row.identity.as_str(), row.action), (JANE, Action::Failed));
    assert!(row.status.starts_with("5.4.6 "), "{}", row.status);
    assert_eq!(row.last_attempt_ms, Some(START), "when it was refused");
    send(&mut rig, job);
    let extra = rig.row(1, JANE).unwrap().extra;
    assert!(!extra.report_due && extra.refused.is_empty());
    copy(&mut rig, ANN, None, &[NEW]);
    assert!(jobs(&mut rig).is_empty(), "told today");
    rig.tick(25 * HOUR);
    copy(&mut rig, ANN, None, &[NEW]);
    assert_eq!(jobs(&mut rig).len(), 1);
}

#[test]
fn nobody_is_told_who_was_told_by_the_reply_or_must_not_be() {
    let never = Notify { never: true, ..Notify::default() };
    let cases = [(ANN, None, &[][..]), ("", None, &[NEW]), (ANN, Some(never), &[NEW])];
    for (path, notify, others) in cases {
        let mut rig = Rig::new();
        rig.row_with(1, JANE, Outcome::Relayed { reports: false });
        let answer = copy(&mut rig, path, notify, others);
        assert_eq!(matches!(answer, Answer::Refused(_)), others.is_empty(), "{path:?} {others:?}");
        assert!(!rig.row(1, JANE).unwrap().extra.report_due, "{path:?} {others:?}");
        assert!(jobs(&mut rig).is_empty());
    }
}

#[test]
fn each_sender_of_refused_copies_is_told_and_no_more_than_sixteen() {
    let mut rig = Rig::new();
    rig.row_with(1, JANE, failed(true));
    // Whom the failure itself is told of does not hear it twice.
    let job = jobs(&mut rig).pop().unwrap();
    let first = job.reverse_path.clone();
    send(&mut rig, job);
    copy(&mut rig, &first, None, &[NEW]);
    assert!(jobs(&mut rig).is_empty());
    for n in 0..20 {
        copy(&mut rig, &format!("s{n}@other.example"), None, &[NEW]);
    }
    assert_eq!(rig.row(1, JANE).unwrap().extra.refused.len(), 16);
    let mut told = Vec::new();
    while let Some(job) = jobs(&mut rig).pop() {
        assert_eq!((job.rows.len(), &job.rows[0].status[..6]), (1, "5.0.0 "), "{job:?}");
        told.push(job.reverse_path.clone());
        send(&mut rig, job);
    }
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), 16);
}

#[test]
fn a_crash_does_not_forget_who_is_to_be_told() {
    let mut rig = Rig::new();
    rig.row_with(1, JANE, Outcome::Relayed { reports: false });
    copy(&mut rig, BOB, None, &[NEW]);
    let mut rig = Rig::on(rig.store, rig.now);
    let job = jobs(&mut rig).pop().unwrap();
    assert_eq!((job.reverse_path.as_str(), job.rows[0].action), (BOB, Action::Failed));
}

#[test]
fn what_becomes_of_the_row_meanwhile_does_not_forget_it_either() {
    let mut rig = Rig::new();
    let facts = rig.facts(1, 1, &[JANE]);
    rig.take(facts);
    let claim = rig.claim(1).pop().unwrap();
    let (now, id) = (rig.at(), rig.row(1, JANE).unwrap().id);
    assert_eq!(rig.door.at_dot(std::slice::from_ref(&id), &now).len(), 1);
    let mut facts = rig.facts(1, 1, &[JANE, NEW]);
    (facts.reverse_path, facts.tokens) = (BOB.into(), vec![token(claim.queue_id())]);
    rig.accept(facts);
    rig.commit();
    assert_eq!(rig.last_verdict(0), ("refuse", "loop_sent"));
    rig.settle(claim, Outcome::Relayed { reports: false });
    rig.commit();
    let told: Vec<_> = jobs(&mut rig).into_iter().map(|job| (job.reverse_path, job.rows[0].action)).collect();
    assert_eq!(told, [(BOB.to_owned(), Action::Failed)]);
}

//! The disk fails while mail goes out: what cannot be written down is not sent, the log says so,
//! and once the disk is well again nothing is lost and nothing is sent twice.

use super::crash::{rows, wait_until_only_unknown};
use super::dots::domain;
use crate::crash::{retry_all, wait_until_empty};
use crate::operate::{JSON_LOG, LIMIT, accepted, mail};
use crate::support::peers::aiosmtpd::{At, Script, Scripted, available};
use crate::support::peers::counter::Counter;
use crate::support::server::config;
use crate::support::{Server, TempDir, wait_until};
use quell_powercut::{Fault, Recording};
use std::collections::BTreeSet;

/// Messages whose dot is out when the disk fails.
const AT_THE_DOT: usize = 8;
/// Messages that wait for their turn then.
const WAITING: usize = 12;

struct Patient {
    _work: TempDir,
    server: Server,
    recording: Recording,
    /// Takes all mail, and answers when it is told to.
    counter: Counter,
    /// Answers DATA two seconds late.
    slow: Scripted,
}

impl Patient {
    /// With messages at the dot, one before it, and others behind them.
    fn with_mail_on_its_way(name: &str) -> Self {
        let work = TempDir::in_memory(name);
        let (counter, late) =
            (Counter::start(), crate::support::peers::aiosmtpd::Fault::delay(At::Data, 2_000));
        let slow = Scripted::start(&work, &Script::with([late.times(1)]));
        let more = domain("counted.example", &format!("smtp://127.0.0.1:{}", counter.port))
            + &domain("slow.example", &format!("smtp://127.0.0.1:{}", slow.port))
            + &format!("[relay]\nmax_sessions_per_next_hop = {AT_THE_DOT}\n")
            + JSON_LOG;
        let mut server = Server::prepare(&work, &config(&more), Vec::new());
        let recording = Recording::begin(&work.join("data"), &work.join("log")).expect("a recording");
        server.set_environment(recording.environment().expect("the library"));
        server.restart();
        // One that is answered, so that the next hop is known to be there.
        accepted(&server, &["first@counted.example"], &mail("first"));
        wait_until_empty(&server, LIMIT);
        counter.hold_answers(true);
        for n in 0..AT_THE_DOT + WAITING {
            accepted(&server, &[&format!("x{n}@counted.example")], &mail(&format!("m{n}")));
        }
        let patient = Patient { _work: work, server, recording, counter, slow };
        assert!(wait_until(LIMIT, || patient.sent() == 1 + AT_THE_DOT), "{}", patient.server.output());
        accepted(&patient.server, &["y@slow.example"], &mail("slow"));
        assert!(wait_until(LIMIT, || !patient.slow.commands("DATA").is_empty()), "{}", patient.slow.log());
        patient
    }

    /// Dots that the counter saw.
    fn sent(&self) -> usize {
        self.counter.usage().dots
    }

    /// Whom it was for, without the first.
    fn recipients(&self) -> BTreeSet<String> {
        let all = self.counter.counts().into_keys().map(|copy| copy.recipient);
        all.filter(|to| !to.starts_with("first")).collect()
    }

    fn said(&self, event: &str) -> usize {
        let event = format!("\"event\":\"{event}\"");
        self.server.output().lines().filter(|line| line.contains(&event)).count()
    }
}

fn outcomes_cannot_be_written(name: &str, fault: Fault) {
    if !available() {
        return;
    }
    let patient = Patient::with_mail_on_its_way(name);
    patient.recording.fail(fault, 0, false).expect("a fault");
    patient.counter.hold_answers(false);
    let failed = || patient.said("commit_failed") > 0;
    assert!(wait_until(LIMIT, failed), "{}", patient.server.output());
    // The one that was before its dot, and is asked for it while nothing can be written.
    let asked = || patient.slow.replies("354").len() == 1;
    assert!(wait_until(LIMIT, asked), "{}\n{}", patient.slow.log(), patient.server.output());
    let (status, health) = patient.server.get("/healthz");
    assert_eq!(status, 503, "{health}");
    // Whoever was given the next message before the failure was known may have sent it.
    let sent = patient.sent();
    assert!(sent <= 1 + 2 * AT_THE_DOT, "{sent} sent");
    // The fault lasts, and a store that is opened again in vain lets nobody go on.
    let reopened = patient.said("commit_failed") + patient.said("reopen_failed");
    let again = || patient.said("commit_failed") + patient.said("reopen_failed") >= reopened + 3;
    assert!(wait_until(LIMIT, again), "{}", patient.server.output());
    assert_eq!(patient.sent(), sent, "sent on, although nothing could be written down");
    assert!(patient.slow.sendings().is_empty(), "its dot went out, and could not be written down");

    patient.recording.heal().expect("healed");
    assert!(wait_until(LIMIT, || patient.server.get("/healthz").0 == 200), "{}", patient.server.output());
    retry_all(&patient.server);
    wait_until_empty(&patient.server, LIMIT);
    let counts = patient.counter.counts();
    assert_eq!(counts.len(), 1 + AT_THE_DOT + WAITING);
    assert!(counts.values().all(|dots| dots.seen == 1), "sent twice: {:?}", patient.counter.repeated());
    patient.slow.expect(1);
    eprintln!("{name}: {} dots for {} messages", patient.sent(), counts.len());
}

#[test]
fn a_failed_sync_of_outcomes_stops_what_goes_out() {
    outcomes_cannot_be_written("outward-sync", Fault::Sync);
}

#[test]
fn a_full_disk_under_outcomes_stops_what_goes_out() {
    outcomes_cannot_be_written("outward-full", Fault::Full);
}

/// Its answers came, and could not be written down: for all that the next start knows they did not.
/// What was sent then, without the first that went through.
fn killed_before_outcomes_could_be_written(name: &str, fault: Fault) -> (Patient, BTreeSet<String>) {
    let mut patient = Patient::with_mail_on_its_way(name);
    patient.recording.fail(fault, 0, false).expect("a fault");
    patient.counter.hold_answers(false);
    let again = || patient.said("commit_failed") + patient.said("reopen_failed") > 2;
    assert!(wait_until(LIMIT, again), "{}", patient.server.output());
    patient.server.kill9();
    let sent = patient.recipients();
    assert!((AT_THE_DOT..AT_THE_DOT + WAITING).contains(&sent.len()), "{sent:?}");
    patient.recording.heal().expect("healed");
    patient.server.restart();
    retry_all(&patient.server);
    wait_until_only_unknown(&patient.server);
    assert!(patient.counter.repeated().is_empty(), "sent twice: {:?}", patient.counter.repeated());
    assert_eq!(patient.recipients().len(), AT_THE_DOT + WAITING, "the others went out");
    patient.slow.expect(1);
    (patient, sent)
}

#[test]
fn a_kill_on_a_full_disk_repeats_nothing_at_once() {
    if !available() {
        return;
    }
    let (patient, sent) = killed_before_outcomes_could_be_written("outward-full-kill", Fault::Full);
    assert_eq!(rows(&patient.server, &["unknown"]).into_keys().collect::<BTreeSet<_>>(), sent);
}

/// What was written and not synced is there for the next start: only the power could take it.
#[test]
fn a_kill_after_a_failed_sync_repeats_nothing_at_once() {
    if !available() {
        return;
    }
    let (patient, sent) = killed_before_outcomes_could_be_written("outward-sync-kill", Fault::Sync);
    let known = rows(&patient.server, &["unknown", "relayed"]);
    assert!(sent.iter().all(|to| known.contains_key(to)), "{sent:?} {known:?}");
}

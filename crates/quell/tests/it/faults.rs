//! Disks that are full, read-only, broken or damaged, and clocks that jump: what was
//! answered 250 stays promised, the rest is told to come again, and quell recovers by itself.

use super::crash::{five_mailboxes, retry_all, wait_until_empty};
use super::power::try_state;
use super::support::process::{run, try_run};
use super::support::promises::{Promises, Random, message};
use super::support::server::Server;
use super::support::smtp::{Client, date_now, dot_stuffed};
use super::support::{TempDir, wait_until};
use quell_powercut::{Fault, Model, Recording};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const DRAIN_LIMIT: Duration = Duration::from_secs(60);
const RECOVERY_LIMIT: Duration = Duration::from_secs(30);

/// A server whose disk fails on demand, and what it has promised.
struct Patient {
    work: TempDir,
    server: Server,
    recording: Recording,
    promises: Promises,
    random: Random,
    date: String,
    sent: u64,
    /// Queue ids, as the answers named them.
    ids: Vec<String>,
}

impl Patient {
    fn new(name: &str, seed: u64) -> Self {
        let work = TempDir::in_memory(name);
        let mut server = Server::prepare(&work, &five_mailboxes(), Vec::new());
        let recording = Recording::begin(&work.join("data"), &work.join("log")).expect("a recording");
        server.set_environment(recording.environment().expect("the library"));
        server.restart();
        let (promises, random, date) = (Promises::default(), Random::new(seed), date_now());
        Patient { work, server, recording, promises, random, date, sent: 0, ids: Vec::new() }
    }

    /// Sends one message; its reply, if there was one. Only a promise or "come again" will do.
    fn offer(&mut self, to: &[&str], bytes: usize) -> Option<u16> {
        self.sent += 1;
        let id = format!("f{}", self.sent);
        let bytes = message(&id, &self.date, bytes, &mut self.random);
        let addresses: Vec<String> = to.iter().map(|name| format!("{name}@firm.example")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        self.promises.sent(&id, to);
        self.recording.mark(&format!("sent {id} {}", to.join(" "))).expect("a mark");
        let reply = Client::connect(self.server.smtp_port).and_then(|(mut client, _)| {
            client.command("EHLO client.example")?;
            client.send("sender@client.example", &addresses, &bytes)
        });
        let reply = reply.ok()?;
        let code = reply.code;
        assert!([250, 421, 451, 452].contains(&code), "{code} to {id}");
        if code == 250 {
            self.ids.extend(reply.text().split_whitespace().last().map(str::to_owned));
            self.recording.mark(&format!("answered {id} {}", to.join(" "))).expect("a mark");
            self.promises.answered(&id, to);
        }
        Some(code)
    }

    /// A few messages while the fault is on; how many were answered 250.
    fn offer_some(&mut self) -> usize {
        let large = self.random.between(257 << 10, 300 << 10) as usize;
        let sizes = [500, 3_000, if self.random.one_in(3) { large } else { 100 }];
        let to = [["jane", "ann"], ["bob", "cid"], ["dee", "jane"]];
        sizes.into_iter().zip(to).filter(|(bytes, to)| self.offer(to, *bytes) == Some(250)).count()
    }

    /// The fault is over: without help, mail is taken again.
    fn recovers(&mut self) {
        self.recording.heal().expect("healed");
        if !wait_until(RECOVERY_LIMIT, || self.offer(&["jane"], 200) == Some(250)) {
            panic!("takes no mail again:\n{}", end_of(&self.server.output()));
        }
    }

    /// Everything is delivered, at once instead of after a minute's wait.
    fn all_is_kept(&mut self) {
        retry_all(&self.server);
        wait_until_empty(&self.server, DRAIN_LIMIT);
        self.check();
    }

    fn check(&self) -> usize {
        let domain = self.server.data.join("mail/firm.example");
        self.promises.check(&domain).unwrap_or_else(|wrong| panic!("{wrong}"))
    }
}

fn end_of(log: &str) -> &str {
    log.get(log.len().saturating_sub(6_000)..).unwrap_or(log)
}

/// Lets the disk fail at a call drawn at random, `times` times: at one call only, or from
/// then on until it is healed. Then the power is cut, too.
fn strike(name: &str, fault: Fault, times: u64, calls: u64, power_cuts: usize) -> String {
    let seed = Random::seed(name);
    let mut patient = Patient::new("faults", seed);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..times {
        let (after, once) = (patient.random.between(0, calls), patient.random.one_in(2));
        patient.recording.fail(fault, after, once).expect("a fault");
        let accepted = patient.offer_some();
        (taken, refused) = (taken + accepted, refused + 3 - accepted);
        patient.recovers();
    }
    patient.all_is_kept();
    assert!(patient.server.term().success());
    patient.server.restart();
    wait_until_empty(&patient.server, DRAIN_LIMIT);
    let lie = patient.check();
    let log = patient.server.output();
    patient.server.kill9();
    eprintln!(
        "{name}: {times} faults, {taken} messages answered 250 under them, {refused} not; {lie} lie there"
    );
    // On a read-only disk nothing may be taken, whatever came before.
    assert!(refused > 0 && (taken > 0 || fault == Fault::ReadOnly), "the faults hit nothing, or everything");
    power_is_cut_after(patient, seed, power_cuts);
    log
}

/// Also what was written around a failed sync is on the disk for certain.
fn power_is_cut_after(patient: Patient, seed: u64, power_cuts: usize) {
    let log = patient.recording.finish().expect("a log");
    let cuts = log.cut_points(power_cuts, seed);
    let mut totals = Default::default();
    for (number, state) in log.states(Model::Strict, &cuts, seed, 0).step_by(2).enumerate() {
        let state = state.expect("a state");
        if let Err(what) = try_state(&state, number, &mut totals) {
            panic!("power cut {} of {}, {:?}: {what}", state.cut(), log.len(), state.choice());
        }
    }
    drop(patient.work);
    eprintln!("then power cuts: {totals:?}");
}

#[test]
fn a_disk_full_at_any_call_breaks_no_promise() {
    strike("disk full", Fault::Full, 20, 40, 10);
}

#[test]
fn a_failed_sync_is_final_and_rewritten() {
    let log = strike("failed sync", Fault::Sync, 12, 12, 12);
    for event in ["commit_failed", "store_reopened"] {
        assert!(log.contains(event), "no {event} in\n{}", end_of(&log));
    }
}

#[test]
fn a_disk_that_turns_read_only_breaks_no_promise() {
    strike("read-only disk", Fault::ReadOnly, 8, 30, 6);
}

/// Runs `serve` that is to fail at once: its exit status and what it said.
fn fails_to_start(
    server: &Server,
    environment: Vec<(&'static str, std::ffi::OsString)>,
) -> (Option<i32>, String) {
    let serve = server.command(&["serve"]);
    let mut command = Command::new("timeout");
    command.arg("20").arg(serve.get_program()).args(serve.get_args()).envs(environment);
    let output = command.output().expect("serve");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_read_only_data_directory_is_named_and_ends_the_start() {
    let mut patient = Patient::new("faults-ro", 1);
    assert_eq!(patient.offer(&["jane"], 100), Some(250));
    wait_until_empty(&patient.server, DRAIN_LIMIT);
    patient.server.kill9();
    patient.recording.fail(Fault::ReadOnly, 0, false).expect("a fault");
    let (status, said) =
        fails_to_start(&patient.server, patient.recording.environment().expect("the library"));
    assert_eq!(status, Some(1), "{said}");
    let data = patient.server.data.to_str().expect("a path");
    assert!(said.contains("Read-only file system") && said.contains(data), "{said}");
    patient.recording.heal().expect("healed");
    patient.server.restart();
    patient.check();
}

/// Mail for jane stays in the queue until [`deliverable`]: her `tmp` is a link to itself.
pub(super) fn undeliverable(server: &Server) {
    let tmp = jane(server).join("tmp");
    std::fs::remove_dir(&tmp).expect("removed");
    std::os::unix::fs::symlink("tmp", &tmp).expect("a link");
}

pub(super) fn deliverable(server: &Server) {
    let tmp = jane(server).join("tmp");
    std::fs::remove_file(&tmp).expect("removed");
    std::fs::create_dir(&tmp).expect("a directory");
}

fn jane(server: &Server) -> PathBuf {
    server.maildir("firm.example", "jane")
}

/// A stopped server with three messages for jane in its queue, and one delivered to ann.
fn with_a_queue(name: &str, kill: bool) -> Patient {
    let mut patient = Patient::new(name, 7);
    patient.server.set_environment(Vec::new());
    patient.server.restart();
    assert_eq!(patient.offer(&["ann"], 500), Some(250));
    undeliverable(&patient.server);
    for bytes in [600, 900, 1_200] {
        assert_eq!(patient.offer(&["jane"], bytes), Some(250));
    }
    let tried = || patient.server.output().matches("event=\"deferred\"").count() >= 3;
    assert!(wait_until(DRAIN_LIMIT, tried), "{}", patient.server.output());
    if kill {
        patient.server.kill9();
    } else {
        assert!(patient.server.term().success());
    }
    deliverable(&patient.server);
    patient
}

/// Changes bytes of a file in place.
fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).expect("a file");
    change(&mut bytes);
    std::fs::write(path, bytes).expect("damaged");
}

/// The one segment that holds bodies.
pub(super) fn segment(server: &Server) -> PathBuf {
    let entries = std::fs::read_dir(server.data.join("spool")).expect("a spool");
    let mut paths = entries.map(|entry| entry.expect("an entry").path());
    paths.find(|path| path.extension().is_some_and(|kind| kind == "qs")).expect("a segment")
}

/// Where the content of message `id` stands in a segment.
fn place(bytes: &[u8], id: &str) -> usize {
    let wanted = "X-Test-Hash: ";
    let id = format!("X-Test-Id: {id}\r\n");
    let at = bytes.windows(id.len()).position(|window| window == id.as_bytes()).expect("the message");
    at + bytes[at..].windows(wanted.len()).position(|w| w == wanted.as_bytes()).expect("its hash") + 90
}

/// What the mailbox of jane holds: ids of whole messages; a damaged one panics.
fn in_janes_mailbox(patient: &Patient) -> Vec<String> {
    let mails = super::support::maildir::read(&jane(&patient.server));
    let whole = |mail: &super::support::maildir::Mail| super::support::promises::whole(&mail.content);
    let mut ids: Vec<String> = mails.iter().map(|mail| whole(mail).expect("a whole message")).collect();
    ids.sort();
    ids
}

/// Starts it after the damage: `lost` is not delivered and the log says why in `words`,
/// everything else is.
fn only_this_is_lost(patient: &mut Patient, lost: &str, words: &str) {
    patient.server.restart();
    retry_all(&patient.server);
    let kept: Vec<&str> = ["f2", "f3", "f4"].into_iter().filter(|id| *id != lost).collect();
    let came = wait_until(DRAIN_LIMIT, || in_janes_mailbox(patient) == kept);
    assert!(came, "{:?}\n{}", in_janes_mailbox(patient), patient.server.output());
    let said = wait_until(DRAIN_LIMIT, || patient.server.output().contains(words));
    assert!(said, "no {words:?} in\n{}", end_of(&patient.server.output()));
    // New mail passes, and the damaged one still is not delivered.
    assert_eq!(patient.offer(&["jane", "ann"], 300), Some(250));
    assert!(wait_until(DRAIN_LIMIT, || in_janes_mailbox(patient).len() == 3));
    assert!(!in_janes_mailbox(patient).contains(&lost.to_owned()));
}

#[test]
fn a_flipped_byte_in_a_body_is_named_and_not_delivered() {
    let mut patient = with_a_queue("faults-flip", false);
    damage(&segment(&patient.server), |bytes| {
        let at = place(bytes, "f3");
        bytes[at] ^= 1;
    });
    only_this_is_lost(&mut patient, "f3", "is damaged");
}

#[test]
fn a_torn_last_record_of_a_segment_is_named_and_the_others_are_delivered() {
    let mut patient = with_a_queue("faults-torn", false);
    damage(&segment(&patient.server), |bytes| {
        let at = place(bytes, "f4");
        bytes.truncate(at);
    });
    only_this_is_lost(&mut patient, "f4", "is damaged");
}

/// SQLite's log ends before a frame that does not fit its sum: what came before stands.
#[test]
fn a_damaged_end_of_the_ledgers_log_costs_at_most_what_stood_there() {
    let mut patient = with_a_queue("faults-wal", true);
    let log = patient.server.data.join("ledger.db-wal");
    damage(&log, |bytes| {
        let end = bytes.len();
        bytes[end - 10] ^= 0x40;
        bytes.extend_from_slice(&[0x55; 700]);
    });
    patient.server.restart();
    retry_all(&patient.server);
    wait_until_empty(&patient.server, DRAIN_LIMIT);
    let there = in_janes_mailbox(&patient);
    assert!(there.len() >= 2 && there.windows(2).all(|two| two[0] != two[1]), "{there:?}");
    assert_eq!(patient.offer(&["jane"], 300), Some(250));
    wait_until_empty(&patient.server, DRAIN_LIMIT);
}

#[test]
fn a_ledger_that_is_none_is_named_and_ends_the_start() {
    let mut patient = with_a_queue("faults-ledger", false);
    damage(&patient.server.data.join("ledger.db"), |bytes| bytes[..4096].fill(0x58));
    let (status, said) = fails_to_start(&patient.server, Vec::new());
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("ledger"), "{said}");
    patient.server.kill9();
}

const DAY_SECS: i64 = 86_400;

/// How often a delivery to jane has been put off.
pub(super) fn put_off(server: &Server) -> usize {
    server.output().lines().filter(|line| line.contains("deferred") && line.contains("jane")).count()
}

#[test]
fn a_clock_that_jumps_six_days_ahead_expires_nothing() {
    let mut patient = Patient::new("faults-ahead", 3);
    undeliverable(&patient.server);
    assert_eq!(patient.offer(&["jane", "ann"], 500), Some(250));
    // Written, not only logged: else the next try would be planned after the jump.
    let outcome = || try_run(&mut patient.server.command(&["queue", "list"])).1.contains("4.3.0 create");
    assert!(wait_until(DRAIN_LIMIT, outcome), "{}", patient.server.output());
    patient.recording.set_clock(6 * DAY_SECS).expect("a jump");
    // Due at once, not only after a minute, and older than five days; yet the clock is not
    // to be trusted.
    let soon = Duration::from_secs(30);
    assert!(wait_until(soon, || put_off(&patient.server) == 2), "{}", patient.server.output());
    retry_all(&patient.server);
    assert!(wait_until(DRAIN_LIMIT, || put_off(&patient.server) == 3), "{}", patient.server.output());
    assert_eq!(patient.offer(&["ann"], 500), Some(250));
    deliverable(&patient.server);
    patient.all_is_kept();
    assert!(!patient.server.output().contains("event=\"failed\""));

    // Six days pass while it is stopped: nothing expires without an attempt.
    undeliverable(&patient.server);
    assert_eq!(patient.offer(&["jane"], 500), Some(250));
    assert!(wait_until(DRAIN_LIMIT, || put_off(&patient.server) == 4));
    assert!(patient.server.term().success());
    patient.recording.set_clock(12 * DAY_SECS).expect("a jump");
    deliverable(&patient.server);
    patient.server.restart();
    wait_until_empty(&patient.server, DRAIN_LIMIT);
    patient.check();
}

#[test]
fn a_clock_set_back_a_day_gives_no_queue_id_twice_and_mail_passes() {
    let mut patient = Patient::new("faults-back", 4);
    for ahead in [0, -DAY_SECS, -DAY_SECS, 0, -3 * DAY_SECS] {
        patient.recording.set_clock(ahead).expect("a jump");
        for _ in 0..3 {
            assert_eq!(patient.offer(&["jane", "bob"], 300), Some(250));
        }
        if patient.sent.is_multiple_of(2) {
            patient.server.kill9();
            patient.server.restart();
        }
    }
    wait_until_empty(&patient.server, DRAIN_LIMIT);
    patient.check();
    let yesterday = run(Command::new("date").args(["-u", "-d", "1 day ago", "+%F"]));
    assert!(patient.server.output().contains(yesterday.trim()), "the clock was not set back");
    assert!(patient.ids.len() == 15 && patient.ids.is_sorted_by(|one, two| one < two), "{:?}", patient.ids);
}

/// A file system in memory of a few megabytes, unmounted at the end.
struct Mount(PathBuf);

impl Mount {
    fn new(path: PathBuf, mib: u64) -> Self {
        std::fs::create_dir_all(&path).expect("a directory");
        let size = format!("size={mib}m,mode=0700");
        // Only root may: a run that cannot prove it must not look as if it had.
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "quell-test"]).arg(&path));
        Mount(path)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A server that was killed a moment ago may still hold it: lazily.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn below_the_reserve_new_mail_is_put_off_and_a_begun_transfer_can_finish() {
    let work = TempDir::in_memory("faults-reserve");
    let mount = Mount::new(work.join("data"), 300);
    let mut server = Server::start(&work, &five_mailboxes());
    let promises = Promises::default();
    let bytes = message("begun", &date_now(), 100_000, &mut Random::new(5));
    let mut begun = Client::hello(server.smtp_port);
    let envelope = ["MAIL FROM:<a@client.example>", "RCPT TO:<jane@firm.example>", "DATA"].map(String::from);
    let replies = begun.pipelined(&envelope).expect("replies");
    assert_eq!(replies.last().expect("a reply").code, 354, "{replies:?}");
    let content = dot_stuffed(&bytes);
    begun.raw(&content[..40_000]).expect("sent");

    let filler = mount.0.join("filler");
    std::fs::write(&filler, vec![1; 40 << 20]).expect("a file");
    let mut late = Client::hello(server.smtp_port);
    let replies = late.pipelined(&envelope).expect("replies");
    let codes: Vec<u16> = replies.iter().map(|reply| reply.code).collect();
    assert_eq!(codes, [250, 250, 452], "{replies:?}");
    begun.raw(&content[40_000..]).expect("sent");
    assert_eq!(begun.reply().expect("a reply").code, 250);
    promises.answered("begun", &["jane"]);

    std::fs::remove_file(&filler).expect("removed");
    assert_eq!(late.command("DATA").expect("a reply").code, 354, "there is room again");
    late.data(&message("late", &date_now(), 500, &mut Random::new(6))).expect("sent");
    assert_eq!(late.reply().expect("a reply").code, 250);
    promises.answered("late", &["jane"]);
    wait_until_empty(&server, DRAIN_LIMIT);
    promises.check(&server.data.join("mail/firm.example")).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(server.term().success());
}

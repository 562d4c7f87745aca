//! The power is cut at any moment: started on whatever the disk may then hold, quell has all
//! that it answered 250, delivers it once, and never a second time what lay in a mailbox.

use super::crash::{five_mailboxes, retry_all, wait_until_empty};
use super::faults::{deliverable, put_off, segment, undeliverable};
use super::support::promises::{Promises, Random, message};
use super::support::server::Server;
use super::support::smtp::{Client, date_now};
use super::support::{TempDir, wait_until};
use quell_powercut::{Choice, Log, Model, Recording, State};
use std::path::Path;
use std::time::Duration;

/// Cuts in each model; each has one to seven states.
const CUTS: usize = 24;
/// Most states that a server is started on, in each model.
const STATES: usize = 60;
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

/// `QUELL_TEST_MORE=10` tries ten times as many states.
pub(super) fn more() -> usize {
    std::env::var("QUELL_TEST_MORE").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Says so in the log of the recording, too, when something was promised.
struct Recorded<'a> {
    recording: &'a Recording,
    date: String,
    random: Random,
}

impl Recorded<'_> {
    fn send(&mut self, client: &mut Client, id: &str, to: &[&str], bytes: &[u8]) {
        let addresses: Vec<String> = to.iter().map(|name| format!("{name}@firm.example")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        self.recording.mark(&format!("sent {id} {}", to.join(" "))).expect("a mark");
        let reply = client.send("sender@client.example", &addresses, bytes).expect("a reply");
        assert_eq!(reply.code, 250, "{reply:?}");
        self.recording.mark(&format!("answered {id} {}", to.join(" "))).expect("a mark");
    }

    fn new_mail(&mut self, client: &mut Client, id: &str, to: &[&str], bytes: usize) -> Vec<u8> {
        let bytes = message(id, &self.date, bytes, &mut self.random);
        self.send(client, id, to, &bytes);
        bytes
    }
}

/// Two lives of a server, from its very first start: small and large mail, copies, several
/// recipients, deliveries, mail that waits, a segment that is emptied.
fn record(work: &TempDir, seed: u64) -> Log {
    let mut server = Server::prepare(work, &five_mailboxes(), Vec::new());
    let recording = Recording::begin(&work.join("data"), &work.join("log")).expect("a recording");
    server.set_environment(recording.environment().expect("the library"));
    server.restart();
    let (date, random) = (date_now(), Random::new(seed));
    let mut out = Recorded { recording: &recording, date, random };
    let mut client = Client::hello(server.smtp_port);
    let first = out.new_mail(&mut client, "a1", &["jane", "ann"], 900);
    out.send(&mut client, "a1", &["jane", "bob"], &first);
    out.new_mail(&mut client, "a2", &["cid"], 300_000);
    for n in 0..6 {
        out.new_mail(&mut client, &format!("a-{n}"), &["jane", "dee"], 2_000);
    }
    wait_until_empty(&server, DRAIN_LIMIT);
    out.new_mail(&mut client, "a3", &["ann", "bob", "cid", "dee"], 4_000);
    wait_until_empty(&server, DRAIN_LIMIT);
    undeliverable(&server);
    for n in 0..3 {
        out.new_mail(&mut client, &format!("w-{n}"), &["jane", "ann"], 1_500);
    }
    assert!(wait_until(DRAIN_LIMIT, || put_off(&server) == 3), "{}", server.output());
    client.quit().expect("a reply");
    assert!(server.term().success());

    let old = segment(&server);
    server.restart();
    // The few bodies that still wait are moved to a new segment, and the old one goes.
    assert!(wait_until(DRAIN_LIMIT, || !old.exists()), "{}", server.output());
    deliverable(&server);
    let mut client = Client::hello(server.smtp_port);
    out.send(&mut client, "a1", &["jane", "cid"], &first);
    for n in 0..6 {
        out.new_mail(&mut client, &format!("b-{n}"), &["bob", "jane"], 1_000);
    }
    let large = out.new_mail(&mut client, "b1", &["jane", "ann"], 280_000);
    out.send(&mut client, "b1", &["ann", "bob"], &large);
    retry_all(&server);
    wait_until_empty(&server, DRAIN_LIMIT);
    assert!(server.term().success());
    recording.finish().expect("a log")
}

/// What had been promised when the power was cut.
fn promises(state: &State) -> Promises {
    let promises = Promises::default();
    for mark in state.marks() {
        let mut words = mark.split(' ');
        let (what, id) = (words.next().expect("a word"), words.next().expect("an id"));
        let to: Vec<&str> = words.collect();
        match what {
            "sent" => promises.sent(id, &to),
            _ => promises.answered(id, &to),
        }
    }
    promises
}

/// Someone reads their mail before quell is started again: `new/x` becomes `cur/x:2,S`.
fn read_some(domain: &Path) {
    for mailbox in ["jane", "bob"].map(|name| domain.join(name)) {
        for mail in std::fs::read_dir(mailbox.join("new")).into_iter().flatten() {
            let mail = mail.expect("an entry");
            let name = format!("{}:2,S", mail.file_name().to_string_lossy());
            std::fs::rename(mail.path(), mailbox.join("cur").join(name)).expect("renamed");
        }
    }
}

/// Starts a server on the state; what is wrong with it after it has delivered.
pub(super) fn try_state(state: &State, number: usize, totals: &mut Totals) -> Result<(), String> {
    let after = TempDir::in_memory("power-after");
    let mut server = Server::prepare(&after, &five_mailboxes(), Vec::new());
    state.write_to(&after.join("data")).expect("a state");
    let domain = server.data.join("mail/firm.example");
    let promises = promises(state);
    if number.is_multiple_of(2) && domain.join("bob/cur").is_dir() && domain.join("jane/cur").is_dir() {
        read_some(&domain);
    }
    let before = Promises::found(&domain);
    if !start(&mut server) {
        return Err(format!("does not start:\n{}", server.output()));
    }
    // What had been deferred when the power went waits for no minute.
    retry_all(&server);
    wait_until_empty(&server, DRAIN_LIMIT);
    totals.states += 1;
    totals.promised += promises.count();
    totals.delivered_after += promises.check(&domain)?.saturating_sub(before);
    Ok(())
}

/// As [`Server::restart`], without a panic.
fn start(server: &mut Server) -> bool {
    let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.restart()));
    started.is_ok() && wait_until(Duration::from_secs(5), || server.is_running())
}

#[derive(Default, Debug)]
pub(super) struct Totals {
    states: usize,
    promised: usize,
    delivered_after: usize,
}

/// Of many states some, evenly, all that leave nothing unsynced among them: those are what
/// the promises rest on.
fn choose(log: &Log, model: Model, seed: u64) -> Vec<State> {
    let cuts = log.cut_points(CUTS * more(), seed);
    let all: Vec<State> = log.states(model, &cuts, seed, 2).map(|state| state.expect("a state")).collect();
    let (bare, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|state| state.choice() == Choice::Nothing);
    let left = (STATES * more()).saturating_sub(bare.len()).max(1);
    let step = others.len().div_ceil(left).max(1);
    bare.into_iter().chain(others.into_iter().step_by(step)).collect()
}

fn cut_the_power(model: Model) {
    let name = format!("power cut, {model:?}");
    let seed = Random::seed(&name);
    let work = TempDir::in_memory("power");
    let log = record(&work, seed);
    assert!(log.marks().count() > 30, "{} marks", log.marks().count());
    let (mut totals, mut wrong) = (Totals::default(), Vec::new());
    for (number, state) in choose(&log, model, seed).iter().enumerate() {
        if let Err(what) = try_state(state, number, &mut totals) {
            wrong.push(format!("cut {} of {}, {:?}: {what}", state.cut(), log.len(), state.choice()));
        }
    }
    eprintln!("{name}: {} records, {totals:?}", log.len());
    assert!(wrong.is_empty(), "{} states break promises\n{}", wrong.len(), wrong.join("\n"));
    assert!(totals.states > 30 && totals.promised > 0 && totals.delivered_after > 0);
}

#[test]
fn a_power_cut_loses_nothing_by_the_letter_of_posix() {
    cut_the_power(Model::Strict);
}

#[test]
fn a_power_cut_loses_nothing_on_an_ordered_file_system() {
    cut_the_power(Model::Ordered);
}

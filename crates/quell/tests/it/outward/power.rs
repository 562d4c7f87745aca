//! The power is cut while mail goes out: started on whatever the disk may then hold, quell has all
//! that it accepted, sent or to be sent, and calls nothing sent that was not answered.

use super::dots::domain;
use crate::crash::wait_until_empty;
use crate::operate::{LIMIT, json};
use crate::power::more;
use crate::support::peers::counter::Counter;
use crate::support::process::try_run;
use crate::support::promises::{Random, message};
use crate::support::server::config;
use crate::support::smtp::{Client, date_now};
use crate::support::{Server, TempDir, wait_until};
use quell_powercut::{Choice, Log, Model, Recording, State};
use std::collections::{BTreeMap, BTreeSet};

/// Cuts in each model, and the states of these that a server is started on; `QUELL_TEST_MORE=10`
/// makes them ten times as many.
const CUTS: usize = 40;
const STATES: usize = 40;
/// Messages one after the other, then some at once.
const SINGLE: usize = 4;
const AT_ONCE: usize = 4;

fn server(work: &TempDir, counter: &Counter) -> Server {
    let hop = domain("away.example", &format!("smtp://127.0.0.1:{}", counter.port));
    Server::prepare(work, &config(&hop), Vec::new())
}

fn recipients(id: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{id}-{n}@away.example")).collect()
}

/// Two lives of a server; the marks say what it had been handed, what it had answered, and whose
/// answer the next hop was about to give.
fn record(work: &TempDir, seed: u64) -> Log {
    let counter = Counter::start();
    let mut server = server(work, &counter);
    let recording = Recording::begin(&work.join("data"), &work.join("log")).expect("a recording");
    server.set_environment(recording.environment().expect("the library"));
    server.restart();
    let (date, mut random) = (date_now(), Random::new(seed));
    let mark = |what: &str, id: &str| recording.mark(&format!("{what} {id}")).expect("a mark");
    let mut send = |server: &Server, id: &str| {
        let to = recipients(id, 3);
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let bytes = message(id, &date, 1_500, &mut random);
        let mut client = Client::hello(server.smtp_port);
        assert_eq!(client.send("jane@firm.example", &to, &bytes).expect("a reply").code, 250);
        mark("accepted", id);
        client.quit().expect("a reply");
    };
    for n in 0..SINGLE {
        let (id, before) = (format!("one{n}"), counter.usage().dots);
        counter.hold_answers(true);
        send(&server, &id);
        assert!(wait_until(LIMIT, || counter.usage().dots > before), "{}", server.output());
        mark("released", &id);
        counter.hold_answers(false);
        wait_until_empty(&server, LIMIT);
        if n == SINGLE / 2 {
            assert!(server.term().success());
            server.restart();
        }
    }
    for n in 0..AT_ONCE {
        let id = format!("many{n}");
        mark("released", &id);
        send(&server, &id);
    }
    wait_until_empty(&server, LIMIT);
    assert!(server.term().success());
    assert!(counter.repeated().is_empty(), "{:?}", counter.repeated());
    recording.finish().expect("a log")
}

#[derive(Debug, Default)]
struct Totals {
    states: usize,
    accepted: usize,
    /// Recipients sent to after the cut, and those that had been sent to before.
    sent_after: usize,
    sent_before: usize,
    unknown: usize,
}

/// Starts a server on the state; what is wrong with it.
fn try_state(state: &State, totals: &mut Totals) -> Result<(), String> {
    let (after, counter) = (TempDir::in_memory("outward-power-after"), Counter::start());
    let mut server = server(&after, &counter);
    state.write_to(&after.join("data")).expect("a state");
    server.restart();
    let rows = |states: &[&str]| {
        let states = states.iter().flat_map(|state| ["--state", state]);
        let arguments: Vec<&str> = ["queue", "list"].into_iter().chain(states).collect();
        json(&server, &arguments)["rows"].as_array().expect("rows").clone()
    };
    totals.unknown += rows(&["unknown"]).len();
    let retry = || {
        try_run(&mut server.command(&["queue", "retry", "--all", "--state", "unknown", "--state", "waiting"]))
            .0
    };
    // Again and again: what was at the dot can be tried only once it is durable that it is Unknown.
    let is_empty = || json(&server, &["queue", "list"])["rows"].as_array().expect("rows").is_empty();
    assert!(wait_until(LIMIT, || retry() && is_empty()), "{}", server.output());
    wait_until_empty(&server, LIMIT);
    let relayed: Vec<String> =
        rows(&["relayed"]).iter().map(|row| row["recipient"].as_str().expect("a text").to_owned()).collect();
    let relayed: BTreeSet<String> = relayed.into_iter().collect();
    let seen: BTreeMap<String, u32> =
        counter.counts().into_iter().map(|(copy, dots)| (copy.recipient, dots.seen)).collect();
    if let Some(twice) = seen.iter().find(|(_, times)| **times > 1) {
        return Err(format!("sent again within one life: {twice:?}"));
    }
    let marks: Vec<(&str, &str)> = state.marks().iter().filter_map(|mark| mark.split_once(' ')).collect();
    for (_, id) in marks.iter().filter(|(what, _)| *what == "accepted") {
        let released = marks.contains(&("released", *id));
        for to in recipients(id, 3) {
            match (relayed.contains(&to), seen.contains_key(&to)) {
                (true, true) => totals.sent_after += 1,
                (true, false) if released => totals.sent_before += 1,
                (true, false) => return Err(format!("{to} is called sent, and nobody had answered")),
                (false, _) => return Err(format!("{to} was accepted and is lost")),
            }
            totals.accepted += 1;
        }
    }
    totals.states += 1;
    Ok(())
}

/// Those that leave nothing unsynced first: the promises rest on them.
fn choose(log: &Log, model: Model, seed: u64) -> Vec<State> {
    let cuts = log.cut_points(CUTS * more(), seed);
    let states = log.states(model, &cuts, seed, 1).map(|state| state.expect("a state"));
    let (mut bare, others): (Vec<_>, Vec<_>) = states.partition(|state| state.choice() == Choice::Nothing);
    let (states, some) = (STATES * more(), STATES * more() / 3);
    let step = others.len().div_ceil(some).max(1);
    bare.truncate(states - some);
    bare.into_iter().chain(others.into_iter().step_by(step)).collect()
}

#[test]
fn a_power_cut_loses_nothing_on_its_way_out() {
    let seed = Random::seed("power cut on the way out");
    let work = TempDir::in_memory("outward-power");
    let log = record(&work, seed);
    let (mut totals, mut wrong) = (Totals::default(), Vec::new());
    for model in [Model::Strict, Model::Ordered] {
        for state in choose(&log, model, seed) {
            if let Err(what) = try_state(&state, &mut totals) {
                wrong.push(format!(
                    "{model:?}, cut {} of {}, {:?}: {what}",
                    state.cut(),
                    log.len(),
                    state.choice()
                ));
            }
        }
    }
    eprintln!("power cut on the way out: {} records, {totals:?}", log.len());
    assert!(wrong.is_empty(), "{} states break promises\n{}", wrong.len(), wrong.join("\n"));
    assert!(totals.states > 40 && totals.sent_after > 0 && totals.sent_before > 0, "{totals:?}");
}

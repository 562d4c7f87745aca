//! SIGKILL at any moment while thousands of recipients are being sent to: nothing accepted is
//! lost, and nothing goes out twice but what had been at the dot without a written outcome.

use crate::crash::{retry_all, wait_until_empty};
use crate::operate::{LIMIT, json};
use crate::support::peers::counter::{Counter, Dots};
use crate::support::process::run;
use crate::support::promises::{Random, message};
use crate::support::server::config;
use crate::support::smtp::{Client, date_now};
use crate::support::{Server, TempDir, wait_until};
use quell_powercut::Recording;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Kills before anything that is Unknown is sent again, and while it is.
const KILLS: [u64; 2] = [32, 20];
/// Recipients that are accepted and not sent to yet, at each kill.
const IN_FLIGHT: usize = 10_000;
/// Sessions that hand mail in.
const SENDERS: u64 = 2;
/// From dot to answer: most kills shall find somebody waiting for one.
const ANSWER_MS: u64 = 40;
/// Each a next hop of its own: two by SMTP, one by LMTP.
const DOMAINS: [&str; 3] = ["a.example", "b.example", "c.example"];
const DRAIN_LIMIT: Duration = Duration::from_secs(120);
pub(super) const HOUR_SECS: i64 = 3_600;

/// Next hops that count, and the settings that lead to them.
fn next_hops() -> (Vec<Counter>, String) {
    let sinks: Vec<Counter> = DOMAINS.iter().map(|_| Counter::start()).collect();
    let (a, b, c) = (sinks[0].port, sinks[1].port, sinks[2].port);
    let more = format!(
        "[domains.\"a.example\"]\ndeliver = \"smtp://127.0.0.1:{a}\"\nrecipients = [\"*\"]\n\
         [domains.\"b.example\"]\ndeliver = \"lmtp://127.0.0.1:{b}\"\nrecipients = [\"*\"]\n\
         [relay]\nvia = \"smtp://127.0.0.1:{c}\"\nmax_sessions_per_next_hop = 4\n\
         max_recipients_per_transaction = 25\n"
    );
    (sinks, config(&more))
}

/// A server whose wall clock can be moved, and whose writes are not recorded.
pub(super) fn with_a_clock(work: &TempDir, config: &str) -> (Server, Recording) {
    let nothing = work.join("nothing");
    std::fs::create_dir_all(&nothing).expect("a directory");
    let clock = Recording::begin(&nothing, &work.join("log")).expect("a recording");
    let environment = clock.environment().expect("the library");
    (Server::start_with(work, config, environment), clock)
}

/// Mail on its way in, until told to stop.
struct Senders<'a> {
    port: u16,
    date: String,
    sinks: &'a [Counter],
    /// Recipients, each with one message of its own.
    next: AtomicU64,
    accepted: Mutex<BTreeSet<String>>,
    stop: AtomicBool,
}

impl Senders<'_> {
    /// Accepted, and not seen by a sink.
    fn in_flight(&self) -> usize {
        let seen: usize = self.sinks.iter().map(Counter::distinct).sum();
        self.accepted().len().saturating_sub(seen)
    }

    fn accepted(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut random: Random) {
        while !self.stop.load(Ordering::Relaxed) {
            // The server was killed, or has enough for now.
            let _ = self.session(&mut random);
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    fn session(&self, random: &mut Random) -> Result<()> {
        let enough = || self.stop.load(Ordering::Relaxed) || self.in_flight() > IN_FLIGHT + 500;
        if enough() {
            return Ok(());
        }
        let (mut client, _) = Client::connect(self.port)?;
        client.command("EHLO client.example")?;
        while !enough() {
            self.transaction(&mut client, random)?;
        }
        client.quit().map(drop)
    }

    fn transaction(&self, client: &mut Client, random: &mut Random) -> Result<()> {
        let address = |_| {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            format!("r{number}@{}", DOMAINS[(number % 3) as usize])
        };
        let addresses: Vec<String> = (0..random.between(20, 300)).map(address).collect();
        let to: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let bytes = message(&addresses[0].replace('@', "-"), &self.date, 500, random);
        let replies = client.send_pipelined("sender@firm.example", &to, &bytes)?;
        match replies.last().map(|reply| reply.code) {
            Some(250) => self.accepted().extend(addresses),
            Some(421 | 451 | 452) | None => return Err(Error::other("not now")),
            _ => panic!("{replies:?}"),
        }
        Ok(())
    }
}

/// How often each recipient came to its next hop.
fn seen(sinks: &[Counter]) -> BTreeMap<String, Dots> {
    let counts = sinks.iter().flat_map(Counter::counts);
    counts.map(|(copy, dots)| (copy.recipient, dots)).collect()
}

/// Rows of the ledger, from the metrics.
fn open_rows(server: &Server, state: &str) -> u64 {
    let metrics = server.get("/metrics").1;
    let name = format!("quell_queue_rows{{state=\"{state}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("no {name}in\n{metrics}")).parse().expect("a number")
}

/// Waits until all that is left was sent and not answered.
pub(super) fn wait_until_only_unknown(server: &Server) {
    let none = |state| open_rows(server, state) == 0;
    let done = wait_until(DRAIN_LIMIT, || none("waiting") && none("claimed"));
    assert!(
        done,
        "does not come to an end:\n{}",
        run(&mut server.command(&["queue", "list", "--limit", "20"]))
    );
}

/// Rows of one state by recipient.
pub(super) fn rows(server: &Server, states: &[&str]) -> BTreeMap<String, Value> {
    let states = states.iter().flat_map(|state| ["--state", state]);
    let arguments: Vec<&str> = ["queue", "list", "--limit", "1000000"].into_iter().chain(states).collect();
    let list = json(server, &arguments);
    let rows = list["rows"].as_array().expect("rows").iter();
    let rows: Vec<_> =
        rows.map(|row| (row["recipient"].as_str().expect("a text").to_owned(), row.clone())).collect();
    let count = rows.len();
    let rows: BTreeMap<_, _> = rows.into_iter().collect();
    assert_eq!(rows.len(), count, "two rows of one recipient");
    rows
}

/// Kills it so many times, always with enough on its way.
fn kill(server: &mut Server, senders: &Senders<'_>, times: u64, random: &mut Random) {
    for _ in 0..times {
        let enough = wait_until(LIMIT, || senders.in_flight() >= IN_FLIGHT);
        assert!(enough, "{} in flight", senders.in_flight());
        std::thread::sleep(Duration::from_millis(random.between(0, 180)));
        server.kill9();
        server.restart();
        if random.one_in(25) {
            // What waits is tried now; what was sent is not meant.
            retry_all(server);
        }
    }
}

/// Before anything is sent again: all that was accepted came once, or is Unknown; and Unknown is
/// all that came without an answer. The number that came although Unknown.
fn check_before_sent_again(server: &Server, senders: &Senders<'_>) -> usize {
    let (seen, unknown) = (seen(senders.sinks), rows(server, &["unknown"]));
    let of = |recipient: &String| seen.get(recipient).copied().unwrap_or_default();
    let twice: Vec<_> = seen.iter().filter(|(_, dots)| dots.seen > 1).take(20).collect();
    assert!(twice.is_empty(), "sent twice without need: {twice:?}");
    let lost: Vec<_> = senders
        .accepted()
        .iter()
        .filter(|to| of(to).seen == 0 && !unknown.contains_key(*to))
        .cloned()
        .collect();
    assert!(lost.is_empty(), "{} accepted and lost: {:?}", lost.len(), &lost[..lost.len().min(20)]);
    let unanswered = seen.iter().filter(|(to, dots)| dots.answered == 0 && !unknown.contains_key(*to));
    let unanswered: Vec<_> = unanswered.take(20).collect();
    assert!(unanswered.is_empty(), "taken for sent, and never answered: {unanswered:?}");
    for (to, row) in &unknown {
        assert_eq!((&row["sendings"], &row["maybe_delivered"]), (&1.into(), &true.into()), "{to}: {row}");
    }
    let uncommitted = unknown.keys().filter(|to| of(to).answered > 0).count();
    let came = unknown.keys().filter(|to| of(to).seen > 0).count();
    eprintln!(
        "{} accepted, {} unknown: {} never came, {came} came, of these {uncommitted} were answered",
        senders.accepted().len(),
        unknown.len(),
        unknown.len() - came
    );
    assert!(came > 0, "no kill came between a dot and its outcome: nothing is proven");
    came
}

/// In the end: everything accepted came; what came again had been Unknown before each time.
fn check_in_the_end(server: &Server, senders: &Senders<'_>) -> usize {
    let (seen, rows) = (seen(senders.sinks), rows(server, &["relayed", "delivered"]));
    let lost: Vec<_> = senders.accepted().iter().filter(|to| !seen.contains_key(*to)).cloned().collect();
    assert!(lost.is_empty(), "{} accepted and lost: {:?}", lost.len(), &lost[..lost.len().min(20)]);
    let mut again = 0;
    for (to, dots) in &seen {
        let row = rows.get(to).unwrap_or_else(|| panic!("{to} came, and its row is gone or not sent"));
        let sendings = row["sendings"].as_u64().expect("a number");
        assert!(u64::from(dots.seen) <= sendings && sendings <= 5, "{to} {dots:?}: {row}");
        assert_eq!(row["maybe_delivered"], sendings > 1, "{to} {dots:?}: {row}");
        again += (dots.seen - 1) as usize;
    }
    again
}

#[test]
fn killed_again_and_again_while_it_sends() {
    let seed = Random::seed("killed while it sends");
    let mut random = Random::new(seed);
    let work = TempDir::in_memory("outward-crash");
    let (sinks, config) = next_hops();
    let (mut server, clock) = with_a_clock(&work, &config);
    sinks.iter().for_each(|sink| sink.delay_answers(ANSWER_MS));
    let mut senders = Senders {
        port: server.smtp_port,
        date: date_now(),
        sinks: &sinks,
        next: AtomicU64::new(0),
        accepted: Mutex::default(),
        stop: AtomicBool::new(false),
    };
    let mut came = 0;
    for (round, times) in KILLS.into_iter().enumerate() {
        *senders.stop.get_mut() = false;
        std::thread::scope(|scope| {
            for name in 0..SENDERS {
                let random = Random::new(seed.wrapping_add(1 + name + round as u64 * SENDERS));
                let senders = &senders;
                scope.spawn(move || senders.run(random));
            }
            let _stop = StopAtEnd(&senders.stop);
            kill(&mut server, &senders, times, &mut random);
        });
        sinks.iter().for_each(|sink| sink.delay_answers(0));
        wait_until_only_unknown(&server);
        sinks.iter().for_each(|sink| sink.delay_answers(ANSWER_MS));
        if round == 0 {
            came = check_before_sent_again(&server, &senders);
            // From here on they are sent again, and killed at it.
            clock.set_clock(HOUR_SECS).expect("a jump");
        }
    }
    sinks.iter().for_each(|sink| sink.delay_answers(0));
    for days in 1..=4 {
        clock.set_clock(HOUR_SECS + days * 25 * HOUR_SECS).expect("a jump");
        wait_until_only_unknown(&server);
    }
    wait_until_empty(&server, LIMIT);
    let again = check_in_the_end(&server, &senders);
    eprintln!(
        "{} kills, {} recipients accepted, each came; {again} came again, all of them unknown before",
        KILLS.iter().sum::<u64>(),
        senders.accepted().len()
    );
    assert!(again >= came, "{came} came although unknown, and only {again} came again");
}

/// Whatever happens the senders end, or the test would hang where it should fail.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

//! Collecting a maildrop from a provider's server into a Maildir: quell beside the programs that people use for it.

use crate::cpu;
use crate::figures::{Aim, Section};
use crate::machine;
use crate::options::Options;
use crate::run::SETTLE;
use crate::support::TempDir;

mod floor;
mod letters;
mod maildrop;
mod ours;
mod peers;
mod syncs;

use letters::Letters;
use maildrop::Maildrop;
use peers::Peer;
use syncs::Traced;

const MESSAGES: usize = 5_000;
/// Of fetchmail, which needs a process for each; what a message costs does not grow with their number.
const FETCHMAIL_MESSAGES: usize = 1_000;
/// Of getmail6, which needs one, too, and now and then waits for one that has ended already: it gives up after a
/// minute, and the more messages the less often a run comes to its end.
const GETMAIL_MESSAGES: usize = 200;
/// So often it may begin anew.
const GETMAIL_TRIES: usize = 4;
/// Syncs are counted over so many at most.
const TRACED_MESSAGES: usize = 500;
const COLUMNS: [&str; 7] =
    ["collected", "a second", "CPU collector", "CPU Dovecot", "syncs each", "MiB at most", "load average"];
const TIMES_PEERS: f64 = 6.0;
const TIMES_PEERS_TAKEN: f64 = 20.0;
const FLOOR: &str = "raw RETR, DELE, QUIT";
const QUELL: &str = "quell, in the Maildir";
const QUELL_TAKEN: &str = "quell, taken";

/// What collecting came to.
pub struct Ran {
    /// From the start until all lies where it belongs, and the server has nothing left.
    pub secs: f64,
    pub cpu_secs: f64,
    /// Not a number where that cannot be said.
    pub peak_mib: f64,
    /// CPU seconds of threads by name.
    pub threads: std::collections::BTreeMap<String, f64>,
    /// What is lost, doubled or changed.
    pub faults: Vec<String>,
}

/// Collects once from a maildrop that it fills, with its files in a directory. With `Traced`, syncs are
/// counted, and the rest of the figures are of no use.
type Collect<'a> = &'a dyn Fn(&TempDir, &Maildrop, &Letters, Option<&Traced>) -> Result<Ran, String>;

/// A program that collects.
struct Program<'a> {
    who: &'a str,
    messages: usize,
    tries: usize,
    collect: Collect<'a>,
}

/// 5,000 messages of 5 KiB from Dovecot, over POP3 on loopback.
pub fn from_dovecot(options: &Options) -> Section {
    let title = "Collecting by POP3, 5 KiB".to_owned();
    let mut section = Section { title, columns: COLUMNS.to_vec(), ..Section::default() };
    let ours = |delivers| {
        move |directory: &TempDir, maildrop: &Maildrop, letters: &Letters, traced: Option<&Traced>| {
            ours::collect(options, delivers, (directory, maildrop), letters, traced)
        }
    };
    let peer = |peer: Peer| {
        move |directory: &TempDir, maildrop: &Maildrop, letters: &Letters, traced: Option<&Traced>| {
            peers::collect(&peer, (directory, maildrop), letters, traced)
        }
    };
    let (in_maildir, taken) = (ours(true), ours(false));
    let (mpop, getmail, fetchmail) = (peer(Peer::Mpop), peer(Peer::Getmail), peer(Peer::Fetchmail));
    let all: [Program<'_>; 6] = [
        Program { who: FLOOR, messages: MESSAGES, tries: 1, collect: &floor::collect },
        Program { who: "mpop", messages: MESSAGES, tries: 1, collect: &mpop },
        Program { who: "getmail6", messages: GETMAIL_MESSAGES, tries: GETMAIL_TRIES, collect: &getmail },
        Program { who: "fetchmail", messages: FETCHMAIL_MESSAGES, tries: 1, collect: &fetchmail },
        Program { who: QUELL, messages: MESSAGES, tries: 1, collect: &in_maildir },
        Program { who: QUELL_TAKEN, messages: MESSAGES, tries: 1, collect: &taken },
    ];
    let mut kept = Vec::new();
    let syncs: Vec<f64> = all.iter().map(|program| syncs_each(&mut section, &mut kept, program)).collect();
    for _ in 0..options.rounds {
        for (program, syncs) in all.iter().zip(&syncs) {
            let letters = Letters::new(options.scaled(program.messages));
            run(&mut section, &mut kept, program, &letters, *syncs);
        }
    }
    section.note(HOW);
    figures(&mut section);
    section
}

const HOW: &str = "From Dovecot (POP3, in the clear, 127.0.0.1), a maildrop in memory, filled anew for each run, everything deleted \
    there; each Message-ID and text is looked for in the end. Measured from the start of the program, for quell of `quell pickup \
    run`, until all lies in the Maildir and the maildrop is empty; *taken*: until all is durable in the queue and the maildrop is \
    empty, with the next hop down. fetchmail delivers by maildrop, as its manual advises; mpop and getmail6 into Maildirs by themselves. \
    Who syncs each message has one or more syncs each (fsync, fdatasync; strace, in a run of its own); quell also syncs `new/`, so \
    that the name is durable, too. The first row is a loop that asks for all at once and keeps nothing: what Dovecot gives. \
    getmail6 and fetchmail collect fewer, since they would take minutes for more; a run in which getmail6 waits a minute for a \
    process that has ended, and gives up, is done again. Load averages are of the \
    minute before the end of a run.";

/// Against the best of the others.
fn figures(section: &mut Section) {
    let rate = |who: &&str| section.median(who, "a second");
    let best = ["mpop", "getmail6", "fetchmail"].into_iter().max_by(|a, b| rate(a).total_cmp(&rate(b)));
    let best = best.unwrap_or("mpop");
    for (who, least) in [(QUELL, TIMES_PEERS), (QUELL_TAKEN, TIMES_PEERS_TAKEN)] {
        let times = section.ratio(who, best, "a second");
        section.figure(format!("{who}, rate against {best}"), Aim::AtLeast(least), times, " ×");
    }
}

/// Directories are kept until all is measured: ext4 gives numbers of files that were removed a moment ago to no new
/// file, and looks at each of them whenever one is made.
type Kept = Vec<TempDir>;

/// What a run has left.
struct Collected {
    ran: Ran,
    maildrop: Maildrop,
    /// CPU seconds of its server before.
    before: f64,
    /// If they were counted.
    syncs: usize,
}

/// Not a number if the run did not come to its end.
fn syncs_each(section: &mut Section, kept: &mut Kept, program: &Program<'_>) -> f64 {
    let messages = program.messages.min(TRACED_MESSAGES);
    match collected(kept, program, &Letters::new(messages), true) {
        Ok(collected) => collected.syncs as f64 / messages as f64,
        Err(error) => {
            section.fault(program.who, &format!("under strace: {error}"));
            f64::NAN
        }
    }
}

/// From a new maildrop.
fn collected(
    kept: &mut Kept,
    program: &Program<'_>,
    letters: &Letters,
    counts_syncs: bool,
) -> Result<Collected, String> {
    let mut tries = 0;
    loop {
        tries += 1;
        let (directory, maildrop) = (TempDir::new("bench-pickup"), Maildrop::start());
        let before = cpu::of_family(maildrop.pid());
        let traced = counts_syncs.then(|| Traced::new(directory.join("syncs")));
        let ran = (program.collect)(&directory, &maildrop, letters, traced.as_ref());
        let syncs = traced.map_or(0, |traced| traced.syncs());
        kept.push(directory);
        match ran {
            Ok(ran) => return Ok(Collected { ran, maildrop, before, syncs }),
            Err(error) if tries < program.tries => println!("  {}: once more: {error}", program.who),
            Err(error) => return Err(error),
        }
    }
}

fn run(section: &mut Section, kept: &mut Kept, program: &Program<'_>, letters: &Letters, syncs: f64) {
    let who = program.who;
    let Collected { ran, maildrop, before, .. } = match collected(kept, program, letters, false) {
        Ok(collected) => collected,
        Err(error) => return section.fault(who, &error),
    };
    // What a process of Dovecot's took stands with its parent when it has ended.
    std::thread::sleep(SETTLE);
    let (count, each) = (letters.count() as f64, 1000.0 / letters.count() as f64);
    let dovecot = (cpu::of_family(maildrop.pid()) - before) * each;
    ran.faults.iter().for_each(|fault| section.fault(who, fault));
    if maildrop.messages() > 0 {
        section.fault(who, &format!("{} are still at the server", maildrop.messages()));
    }
    let (rate, cpu) = (count / ran.secs, ran.cpu_secs * each);
    let load =
        machine::load_average().split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN);
    println!(
        "  {who}: {rate:.0} a second; CPU ms each: collector {cpu:.4}, Dovecot {dovecot:.4}; syncs each {syncs:.2}; load {load}"
    );
    section.add(who, &[count, rate, cpu, dovecot, syncs, ran.peak_mib, load]);
    let each_ms = |(name, secs): (String, f64)| (name, secs * each);
    section.threads.insert(who.to_owned(), ran.threads.into_iter().map(each_ms).collect());
}

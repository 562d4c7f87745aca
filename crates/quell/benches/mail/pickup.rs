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
/// Of those that need a minute for a thousand; what a message costs them does not grow with their number.
const SLOW_MESSAGES: usize = 1_000;
/// Syncs are counted over so many.
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
    let all: [(&str, usize, Collect<'_>); 6] = [
        (FLOOR, MESSAGES, &floor::collect),
        ("mpop", MESSAGES, &mpop),
        ("getmail6", SLOW_MESSAGES, &getmail),
        ("fetchmail", SLOW_MESSAGES, &fetchmail),
        (QUELL, MESSAGES, &in_maildir),
        (QUELL_TAKEN, MESSAGES, &taken),
    ];
    let mut kept = Vec::new();
    let syncs = all.map(|(who, _, collect)| syncs_each(&mut section, &mut kept, who, collect));
    for _ in 0..options.rounds {
        for ((who, messages, collect), syncs) in all.iter().zip(syncs) {
            let directory = TempDir::new("bench-pickup");
            run(&mut section, who, &directory, &Letters::new(options.scaled(*messages)), (*collect, syncs));
            kept.push(directory);
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
    Who syncs each message has one or more syncs each (fsync, fdatasync; strace, 500 messages); quell also syncs `new/`, so \
    that the name is durable, too. The first row is a loop that asks for all at once and keeps nothing: what Dovecot gives. \
    getmail6 and fetchmail collect 1,000, since they would take minutes for more. Load averages are of the \
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

/// Not a number if the run did not come to its end. Directories are kept until all is measured: ext4 gives numbers of
/// files that were removed a moment ago to no new file, and looks at each of them whenever one is made.
fn syncs_each(section: &mut Section, kept: &mut Vec<TempDir>, who: &str, collect: Collect<'_>) -> f64 {
    let (directory, maildrop) = (TempDir::new("bench-pickup"), Maildrop::start());
    let traced = Traced::new(directory.join("syncs"));
    let ran = collect(&directory, &maildrop, &Letters::new(TRACED_MESSAGES), Some(&traced));
    kept.push(directory);
    match ran {
        Ok(_) => traced.syncs() as f64 / TRACED_MESSAGES as f64,
        Err(error) => {
            section.fault(who, &format!("under strace: {error}"));
            f64::NAN
        }
    }
}

fn run(
    section: &mut Section,
    who: &str,
    directory: &TempDir,
    letters: &Letters,
    (collect, syncs): (Collect<'_>, f64),
) {
    let maildrop = Maildrop::start();
    let before = cpu::of_family(maildrop.pid());
    let ran = match collect(directory, &maildrop, letters, None) {
        Ok(ran) => ran,
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

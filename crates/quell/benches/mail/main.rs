//! `make bench`: quell beside Postfix, and beside what the load itself costs, on this machine; and
//! `quell trace` beside what else reads mail.
//!
//! Each measurement is a file; [`plan`] names them all. Every message that goes through is counted
//! by its Message-ID and recipient where it arrives: a run in which one is lost or comes twice
//! fails, whatever its rate. All load goes to 127.0.0.1. Programs run one after the other, each with
//! a time limit, and are ended by their own ids; their directories are removed.
//!
//! The same program is, under another first argument, the sink that counts ([`sink`]), the generator
//! that pipelines ([`generator`]) and the sender that takes turns ([`sender`]): processes of their own, so that their CPU time can be told from the rest.

// A program for people: it prints, and what it cannot do without ends it.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "../../tests/support/mod.rs"]
mod support;

mod cpu;
mod figures;
mod generator;
mod handshakes;
mod header;
mod latency;
mod ledger;
mod line;
mod load;
mod machine;
mod options;
mod pickup;
mod recipients;
mod relay;
mod relay_tls;
mod report;
mod run;
mod sender;
mod servers;
mod sink;
mod startup;
mod storm;
mod trace;

use figures::Section;
use options::Options;

/// A measurement: its name for `ONLY=`, and what measures it.
type Measurement = (&'static str, fn(&Options) -> Section);

/// All of them, in the order in which they run.
fn plan() -> Vec<Measurement> {
    vec![
        ("relay", relay::kept),
        ("relay-connections", relay::connection_each),
        ("relay-tls", relay_tls::kept),
        ("handshakes", handshakes::full_and_resumed),
        ("ledger", ledger::ten_million),
        ("storm", storm::kept),
        ("storm-pipelined", storm::pipelined),
        ("dublin", storm::dublin),
        ("recipients", recipients::many),
        ("latency", latency::beside_storm),
        ("header", header::million),
        ("startup", startup::queued),
        ("pickup", pickup::from_dovecot),
        ("trace", trace::mailbox),
        ("trace-storm", trace::storm),
    ]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(sink::ROLE) => return sink::run(&arguments[1..]),
        Some(generator::ROLE) => return generator::run(&arguments[1..]),
        Some(sender::ROLE) => return sender::run(&arguments[1..]),
        _ => {}
    }
    let options = Options::from_environment();
    let load_before = machine::load_average();
    let chosen: Vec<Measurement> = plan().into_iter().filter(|(name, _)| options.wants(name)).collect();
    assert!(!chosen.is_empty(), "ONLY={:?} names none of {}", options.only, names());
    let sections: Vec<Section> = chosen.iter().map(|(name, measure)| run(name, *measure, &options)).collect();
    let text = report::text(&sections, &options, &load_before);
    println!("\n{text}");
    if options.is_whole() {
        report::write(&text);
    }
    let faults: Vec<&String> = sections.iter().flat_map(|section| &section.faults).collect();
    if !faults.is_empty() {
        eprintln!("FAILED: {} broken promises", faults.len());
        faults.iter().for_each(|fault| eprintln!("  {fault}"));
        std::process::exit(1);
    }
}

fn names() -> String {
    plan().iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn run(name: &str, measure: fn(&Options) -> Section, options: &Options) -> Section {
    let start = std::time::Instant::now();
    println!("== {name}");
    // The others go on: a whole run takes long.
    let section = std::panic::catch_unwind(|| measure(options)).unwrap_or_else(|_| {
        let faults = vec![format!("{name}: did not come to its end; see above")];
        Section { title: name.to_owned(), faults, ..Section::default() }
    });
    println!("== {name} took {:.0} s", start.elapsed().as_secs_f64());
    section
}

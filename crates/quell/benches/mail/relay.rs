//! Relaying different messages: from `smtp-source` through the server to a sink, end to end.
//!
//! `smtp-source` gives each message a Message-ID and a Date of its own run, so each has an exact key,
//! and no two have the same.

use crate::figures::{Aim, Section};
use crate::options::Options;
use crate::run::{COLUMNS, Pairs, ceiling, postfix, quell, source, through};
use crate::support::peers::smtp_source::Load;

/// Bytes of a body; the header that `smtp-source` makes is some 200 more.
const BODY_BYTES: usize = 4096;
const SESSIONS: usize = 50;

/// What differs between the two ways of sending.
struct Way {
    title: &'static str,
    /// Options of `smtp-source`.
    more: &'static [&'static str],
    messages: Messages,
    /// Rate against Postfix's.
    times_postfix: f64,
    /// CPU against source and sink together.
    times_load: f64,
}

/// So many that each run lasts some seconds.
struct Messages {
    ceiling: usize,
    postfix: usize,
    quell: usize,
}

/// 50 sessions that stay open.
pub fn kept(options: &Options) -> Section {
    let messages = Messages { ceiling: 100_000, postfix: 10_000, quell: 50_000 };
    measure(
        options,
        &Way {
            title: "Relay, 4 KiB, 50 sessions, kept",
            more: &["-d"],
            messages,
            times_postfix: 8.0,
            times_load: 2.0,
        },
    )
}

/// A connection for each message.
pub fn connection_each(options: &Options) -> Section {
    let messages = Messages { ceiling: 50_000, postfix: 10_000, quell: 40_000 };
    measure(
        options,
        &Way {
            title: "Relay, 4 KiB, 50 sessions, a connection each",
            more: &[],
            messages,
            times_postfix: 5.0,
            times_load: 1.6,
        },
    )
}

fn measure(options: &Options, way: &Way) -> Section {
    let mut section =
        Section { title: way.title.to_owned(), columns: COLUMNS.to_vec(), ..Section::default() };
    section.note(
        "End to end: from the start of smtp-source to the last message at the sink. The ceiling is smtp-source \
         straight into smtp-sink; the servers hand over to our own sink, which counts each message.",
    );
    for _ in 0..options.rounds {
        let load = |messages| Load { messages: options.scaled(messages), ..relay_load(way.more) };
        let (most, few, many) =
            (load(way.messages.ceiling), load(way.messages.postfix), load(way.messages.quell));
        ceiling(&mut section, "ceiling", most.messages, &source(&most));
        through(&mut section, "Postfix", Pairs::each_once(few.messages), &postfix, &source(&few));
        through(&mut section, "quell", Pairs::each_once(many.messages), &quell(options), &source(&many));
    }
    let times = section.ratio("quell", "Postfix", "a second, end to end");
    let cost = section.median("ceiling", "CPU source") + section.median("ceiling", "CPU sink");
    let cpu = section.median("quell", "CPU server") / cost;
    section.figure("rate against Postfix", Aim::AtLeast(way.times_postfix), times, " ×");
    section.figure("CPU a message against source and sink", Aim::AtMost(way.times_load), cpu, " ×");
    section
}

/// Different messages of 4 KiB in 50 sessions.
pub fn relay_load(more: &'static [&'static str]) -> Load<'static> {
    Load { to: "jane@other.example", sessions: SESSIONS, bytes: BODY_BYTES, more, ..Load::default() }
}

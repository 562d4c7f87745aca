//! `quell pickup run`: asks the server to look now, and watches.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::super::ask::refused;
use super::{Failure, Server};
use crate::config::Config;
use crate::ops::time::size_text as size;
use crate::ops::{PickupRequest, Response};
use crate::pickup::{Account, Counts, Phase, Status};

/// How often the server is asked.
const EVERY: Duration = Duration::from_millis(200);
/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Until each has been looked at.
pub fn run(
    config: &Config,
    accounts: &[Arc<Account>],
    quiet: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Some(mut server) = Server::connect(config)? else {
        let why = "the server does not run, and it is what collects: `quell serve` starts it; `quell pickup test` tries an account without it";
        return Err(Failure::Failed(why.to_owned()));
    };
    let mut wanted: HashMap<String, (u64, Counts)> = HashMap::new();
    let before = server.statuses()?;
    for account in accounts {
        let name = account.name();
        let Some(status) = before.iter().find(|status| status.account == name) else {
            let why =
                format!("{name} is not in the running server's configuration; SIGHUP makes it read it again");
            return Err(Failure::Failed(why));
        };
        // What is under way may have listed before the latest mail came.
        let is_busy = matches!(status.phase, Phase::Connecting | Phase::Collecting);
        wanted.insert(name.to_owned(), (status.rounds + 1 + u64::from(is_busy), status.counts));
        match server.ask(PickupRequest::Run { account: name.to_owned() })? {
            Response::Done => {}
            other => return Err(refused(other)),
        }
    }
    let mut told = Told::new(quiet);
    let mut failed = false;
    while !wanted.is_empty() {
        std::thread::sleep(EVERY);
        let now = server.statuses()?;
        for status in &now {
            let Some((rounds, counts)) = wanted.get(&status.account) else { continue };
            if status.rounds < *rounds || is_under_way(status) {
                continue;
            }
            told.above(|| writeln!(out, "{}", summary(status, status.counts.since(*counts))))?;
            wanted.remove(&status.account);
            failed |= status.trouble.is_some();
        }
        wanted.retain(|name, _| now.iter().any(|status| status.account == *name));
        told.tell(now.iter().filter(|status| wanted.contains_key(&status.account)));
    }
    if failed { Err(Failure::Failed("not all accounts could be collected".to_owned())) } else { Ok(()) }
}

fn is_under_way(status: &Status) -> bool {
    matches!(status.phase, Phase::Connecting | Phase::Collecting)
}

fn summary(status: &Status, counts: Counts) -> String {
    let Counts { bytes, taken, known, refused, deleted } = counts;
    let account = &status.account;
    let mut text = format!("{account}: {taken} taken ({}), {deleted} deleted there", size(bytes));
    if known > 0 {
        text += &format!(", {known} known already");
    }
    if refused > 0 {
        text += &format!(", {refused} left there that cannot be taken (see the log: pickup_refused)");
    }
    match &status.trouble {
        Some(trouble) => format!("{text}; {trouble}"),
        None => text,
    }
}

/// A bar on a terminal as soon as there is something to fetch, else a line now and then; on standard error.
struct Told {
    bar: Option<ProgressBar>,
    is_drawn: bool,
    quiet: bool,
    line_at: Instant,
}

impl Told {
    fn new(quiet: bool) -> Self {
        let is_drawn = !quiet && io::stderr().is_terminal();
        Self { bar: None, is_drawn, quiet, line_at: Instant::now() + LINE_EVERY }
    }

    fn tell<'a>(&mut self, under_way: impl Iterator<Item = &'a Status>) {
        let all: Vec<&Status> = under_way.collect();
        let (fetched, to_fetch) = all.iter().fold((0, 0), |(f, t), s| (f + s.fetched, t + s.to_fetch));
        let names: Vec<&str> = all.iter().map(|status| status.account.as_str()).take(3).collect();
        match self.is_drawn {
            true if to_fetch > 0 => {
                let bar = self.bar.get_or_insert_with(|| bar(to_fetch, names.join(", ")));
                bar.set_message(names.join(", "));
                bar.set_length(to_fetch);
                bar.set_position(fetched);
            }
            false if !self.quiet && Instant::now() >= self.line_at => {
                self.line_at = Instant::now() + LINE_EVERY;
                // Nobody reads it any more: nothing to be done.
                let _told = writeln!(io::stderr(), "{}: {fetched} of {to_fetch} messages", names.join(", "));
            }
            _ => {}
        }
    }

    /// Writes above the bar.
    fn above<V>(&self, write: impl FnOnce() -> V) -> V {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

/// As wide as the terminal.
fn bar(to_fetch: u64, names: String) -> ProgressBar {
    let form = "{msg} {wide_bar} {pos} of {len} messages, {rate}/s, {eta} left";
    let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
    let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
        // The bar's own text cannot fail to be written.
        let _written = write!(text, "{:.0}", state.per_sec());
    };
    let bar = ProgressBar::with_draw_target(Some(to_fetch), ProgressDrawTarget::stderr());
    bar.set_style(style.with_key("rate", rate));
    bar.with_message(names)
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

//! `quell trace` from its arguments to its answers.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use quell_storm::facts::Ms;
use quell_storm::trace::report::Report;

use super::args::Args;
use super::clean::harmless;
use super::html::{PageOptions, page};
use super::interrupt::Leftovers;
use super::json::json;
use super::output::Output;
use super::owner::{self, Owner};
use super::passes::{Reading, Traced, trace};
use super::text::text;
use super::{evidence, screen, words};
use crate::archive::{Archive, Damage, Limits, threads};
use crate::cli::Failure;

/// Damaged places that are named.
const MAX_DAMAGES: usize = 5;

/// Does it.
///
/// # Errors
/// Nothing could be read, an answer could not be written, or there is no such server.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    check(args)?;
    let mut outputs = Outputs::begin(args)?;
    let limits = Limits::for_messages_of(args.max_message);
    let archive =
        Archive::open(&args.paths, limits).map_err(|why| Failure::Failed(harmless(&why.to_string())))?;
    outputs.files().try_for_each(|output| output.refuse_input(&archive))?;
    let reading = Reading { threads: args.threads.map_or_else(threads, usize::from), quiet: args.quiet };
    let traced = trace(&archive, reading);
    tell_damage(&traced.damages, traced.report.damaged);
    if traced.report.messages == 0 && traced.report.damaged > 0 {
        return Err(Failure::Failed("nothing could be read: see above".to_owned()));
    }
    if traced.report.messages == 0 && args.paths.iter().all(|path| path == Path::new("-")) {
        // An empty file can be a mailbox; an empty pipe is a command that failed.
        return Err(Failure::Failed("no mail came on standard input".to_owned()));
    }
    let owner = owner_in(args, &traced.report)?;
    if let Some(output) = outputs.html.take() {
        write_page(output, &traced.report, owner.as_ref(), args.quiet)?;
    }
    if let Some(output) = outputs.mbox.take() {
        write_evidence(output, &archive, &traced, reading)?;
    }
    answer(args, &archive, &traced, owner.as_ref(), reading, out)
}

fn check(args: &Args) -> Result<(), Failure> {
    let usage = |text: &str| Err(Failure::Usage(text.to_owned()));
    if args.paths.is_empty() {
        return usage(
            "name what is to be read: mbox files, Maildirs, folders of messages (.eml), or - for standard \
             input; `quell trace --help` has examples",
        );
    }
    let on_stdout = [args.json, is_stdout(args.html.as_ref()), is_stdout(args.mbox.as_ref())];
    if on_stdout.into_iter().filter(|is| *is).count() > 1 {
        return usage("only one of --json, --html - and --mbox - can go to standard output: name a file");
    }
    Ok(())
}

fn is_stdout(path: Option<&PathBuf>) -> bool {
    path.is_some_and(|path| path == Path::new("-"))
}

/// Files that were asked for. They are begun before anything is read: that one cannot be written should
/// be known at once.
#[derive(Default)]
struct Outputs {
    html: Option<Output>,
    mbox: Option<Output>,
}

impl Outputs {
    fn begin(args: &Args) -> Result<Self, Failure> {
        let file = |path: &Option<PathBuf>| path.clone().filter(|path| path != Path::new("-"));
        let (html, mbox) = (file(&args.html), file(&args.mbox));
        if html.is_none() && mbox.is_none() {
            return Ok(Self::default());
        }
        if html == mbox {
            return Err(Failure::Usage("--html and --mbox want two files".to_owned()));
        }
        let leftovers = Leftovers::watch()?;
        let begin = |path: Option<PathBuf>| path.map(|path| Output::begin(&path, &leftovers)).transpose();
        Ok(Self { html: begin(html)?, mbox: begin(mbox)? })
    }

    fn files(&self) -> impl Iterator<Item = &Output> {
        self.html.iter().chain(&self.mbox)
    }
}

/// What could not be read, on standard error; a closed one changes nothing. `count` is all of it,
/// `examples` the first.
pub(in crate::cli) fn tell_damage(examples: &[Damage], count: u64) {
    let mut err = io::stderr().lock();
    for damage in examples.iter().take(MAX_DAMAGES) {
        let _told = writeln!(err, "damaged: {}", harmless(&damage.to_string()));
    }
    let more = count.saturating_sub(MAX_DAMAGES as u64);
    if more > 0 {
        let _told =
            writeln!(err, "and {}", words::counted(more, "damaged place more", "damaged places more"));
    }
}

/// For whom the answer is. A name or an address must mean one server: a page for one firm must not name
/// another as guilty.
fn owner_in(args: &Args, report: &Report) -> Result<Option<Owner>, Failure> {
    let Some(who) = &args.for_owner else { return Ok(None) };
    let found = owner::candidates(report, who);
    let listed =
        |names: &[String]| names.iter().map(|name| format!("\n  {}", harmless(name))).collect::<String>();
    match found.as_slice() {
        [_] if who.is_empty() => Ok(Some(Owner::Any)),
        [_] => Ok(Some(Owner::Of(who.clone()))),
        [] if who.is_empty() => Ok(Some(Owner::Any)),
        [] => {
            let all = owner::candidates(report, "");
            let what = if all.is_empty() { "; none was found at all" } else { "; these do:" };
            let (who, all) = (harmless(who), listed(&all));
            Err(Failure::Failed(format!("no server called {who} was found to make copies{what}{all}")))
        }
        many if who.is_empty() => Err(Failure::Failed(format!(
            "several servers make copies, and what is sent to one's owner should not name the others: choose \
             one with --for-owner=NAME or --for-owner=ADDRESS{}",
            listed(many)
        ))),
        many => Err(Failure::Failed(format!(
            "several servers that make copies are called {}: choose one by its address{}",
            harmless(who),
            listed(many)
        ))),
    }
}

fn page_for(report: &Report, owner: Option<&Owner>) -> String {
    let made_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let made_ms = Ms::try_from(made_ms).unwrap_or(Ms::MAX);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    page(report, &PageOptions { for_owner: owner.cloned(), made_ms, version })
}

fn write_page(
    mut output: Output,
    report: &Report,
    owner: Option<&Owner>,
    quiet: bool,
) -> Result<(), Failure> {
    let page = page_for(report, owner);
    output.write_all(page.as_bytes()).map_err(|why| output.failed(&why))?;
    let path = output.finish()?;
    if quiet {
        return Ok(());
    }
    let what = match owner {
        Some(_) => {
            "look at it in a browser, then send it to whoever runs the server. It holds server lines only: \
             no people, no subjects"
        }
        None => {
            "look at it in a browser. It names people and subjects: before it leaves the house, make it with \
             --for-owner"
        }
    };
    let _told = writeln!(io::stderr(), "written: {}: {what}", harmless(&path.display().to_string()));
    Ok(())
}

fn write_evidence(
    mut output: Output,
    archive: &Archive,
    traced: &Traced,
    reading: Reading,
) -> Result<(), Failure> {
    let written =
        evidence::write(archive, traced, reading, &mut output).map_err(|why| output.failed(&why))?;
    let path = output.finish()?;
    if !reading.quiet {
        let count = words::counted(written, "message", "messages");
        let path = harmless(&path.display().to_string());
        let _told = writeln!(io::stderr(), "written: {path}: {count}, whole: they are people's mail");
    }
    Ok(())
}

/// What goes to standard output.
fn answer(
    args: &Args,
    archive: &Archive,
    traced: &Traced,
    owner: Option<&Owner>,
    reading: Reading,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if is_stdout(args.html.as_ref()) {
        out.write_all(page_for(&traced.report, owner).as_bytes())?;
    } else if is_stdout(args.mbox.as_ref()) {
        evidence::write(archive, traced, reading, &mut BufWriter::new(&mut *out))?;
    } else {
        let for_owner = owner.map(|owner| owner::report_for(&traced.report, owner));
        let report = for_owner.as_ref().unwrap_or(&traced.report);
        if args.json {
            json(report, out)?;
        } else {
            out.write_all(text(report, &screen::options(args.all)).as_bytes())?;
        }
    }
    Ok(out.flush()?)
}

//! `quell replay` from its arguments to its answer.

use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use quell_storm::limits::Limits as Thresholds;

use super::again;
use super::args::Args;
use super::mails::scan;
use super::replaying::replay;
use super::text::{Settings, text};
use crate::archive::{Archive, Limits, threads};
use crate::cli::Failure;
use crate::cli::trace::clean::harmless;
use crate::cli::trace::json::json;
use crate::cli::trace::{screen, tell_damage};
use crate::config::Config;

/// Does it. `config` is the file that was named; without one the defaults count, whatever lies about: the
/// mail may be another firm's.
///
/// # Errors
/// Nothing could be read, the answer could not be written, or the configuration has faults.
pub fn run(args: &Args, config: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    if args.paths.is_empty() {
        return Err(Failure::Usage(
            "name what is to be read: mbox files, Maildirs, folders of messages (.eml), or - for standard \
             input; `quell replay --help` has examples"
                .to_owned(),
        ));
    }
    let thresholds = config.map(Config::load).transpose()?.map_or_else(Thresholds::default, |c| c.limits);
    let limits = Limits::for_messages_of(args.max_message);
    let archive =
        Archive::open(&args.paths, limits).map_err(|why| Failure::Failed(harmless(&why.to_string())))?;
    let threads = args.threads.map_or_else(threads, usize::from);
    let (mails, mut damages) = scan(&archive, threads, args.quiet, now_ms());
    let (answer, more) =
        replay(&mails, &thresholds, args.exact, &|wanted| again::read(&archive, wanted, threads))
            .map_err(|why| Failure::Failed(format!("the replay cannot go on: {why}")))?;
    damages.count += more.count;
    damages.examples.extend(more.examples);
    tell_damage(&damages.examples, damages.count);
    if answer.messages == 0 && damages.count > 0 {
        return Err(Failure::Failed("nothing could be read: see above".to_owned()));
    }
    if args.json {
        json(&answer, out)?;
    } else {
        let settings = Settings { limits: &thresholds, file: config, exact: args.exact };
        out.write_all(text(&answer, &settings, &screen::options(false)).as_bytes())?;
    }
    Ok(out.flush()?)
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    i64::try_from(now).unwrap_or(i64::MAX)
}

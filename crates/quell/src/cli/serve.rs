//! `quell serve`: the server itself is in [`crate::serve`].

use std::io::Write;

use super::Failure;
use crate::config::Config;

/// Run the server until SIGTERM; SIGHUP reads the configuration again.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// First say where it listens, how to send a first mail, and where that mail will lie
    #[arg(long)]
    pub first_steps: bool,
}

/// Runs it.
///
/// # Errors
/// What keeps the server from starting.
pub fn run(args: &Args, config: Config, out: &mut dyn Write) -> Result<(), Failure> {
    if args.first_steps {
        out.write_all(crate::serve::first_steps(&config).as_bytes())?;
        out.flush()?;
    }
    crate::serve::run(config).map_err(|why| Failure::Failed(why.to_string()))
}

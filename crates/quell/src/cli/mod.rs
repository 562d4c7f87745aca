//! What is typed at a shell. Exit status: 0 done, 1 what was asked for failed, 2 wrong usage or
//! configuration.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Faults};

mod ask;
pub mod check;
pub mod completion;
pub mod demo;
pub mod explain;
pub mod ledger;
pub mod mailbox;
pub mod manual;
pub mod pickup;
pub mod queue;
pub mod replay;
pub mod serve;
pub mod storms;
pub mod trace;
pub mod user;

/// The mail server that hands each message to each recipient once, and stops mail storms.
#[derive(Debug, Parser)]
#[command(name = "quell", version, max_term_width = 100)]
pub struct Cli {
    /// Configuration; without it ./quell.toml, else /etc/quell/quell.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(serve::Args),
    /// Check the configuration and explain it
    Check(check::Args),
    /// Add, list and remove mailboxes
    Mailbox(mailbox::Args),
    /// Add, list and change users who may sign in
    User(user::Args),
    /// See, try and collect accounts at providers
    Pickup(pickup::Args),
    /// See and change what waits
    Queue(queue::Args),
    /// See the storms, and decide on the mail they hold
    Storms(storms::Args),
    /// Change what is remembered as delivered
    Ledger(ledger::Args),
    /// Explain what was decided about a message and why
    Explain(explain::Args),
    /// Find the server that makes copies
    Trace(trace::Args),
    /// Say what quell would have done with mail that already came
    Replay(replay::Args),
    /// Show a mail storm on this machine, without quell and with it
    Demo(demo::Args),
    /// Print a script that makes a shell complete quell's commands
    Completion(completion::Args),
    /// Print the manual of settings, or an example configuration
    #[command(hide = true)]
    Manual(manual::Args),
    /// The plain relay of the demonstration
    #[command(hide = true)]
    DemoRelay(demo::relay::Args),
}

/// Why a command ends with a status other than 0.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Status 2.
    #[error("{0}")]
    Configuration(#[from] Faults),
    /// Status 2.
    #[error("{0}\n")]
    Usage(String),
    /// Status 1.
    #[error("{0}\n")]
    Failed(String),
    /// Status 1: mostly a closed pipe.
    #[error("{0}\n")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The exit status.
    pub fn status(&self) -> u8 {
        match self {
            Self::Configuration(_) | Self::Usage(_) => 2,
            Self::Failed(_) | Self::Output(_) => 1,
        }
    }
}

/// Runs the command that `cli` names; results go to `out`.
pub fn run(cli: Cli, out: &mut dyn Write) -> Result<(), Failure> {
    let file = Config::search(cli.config.as_deref());
    match cli.command {
        Command::Serve(args) => serve::run(&args, Config::load(&file)?, out),
        Command::Check(args) => check::run(&args, file, out),
        Command::Mailbox(args) => mailbox::run(&args, &Config::load_for_command(&file)?, out),
        Command::User(args) => user::run(&args, &Config::load_for_command(&file)?, out),
        Command::Pickup(args) => pickup::run(&args, &file, out),
        Command::Queue(args) => queue::run(&args, &Config::load_for_command(&file)?, out),
        Command::Storms(args) => storms::run(&args, &Config::load_for_command(&file)?, out),
        Command::Ledger(args) => ledger::run(&args, &Config::load_for_command(&file)?, out),
        Command::Explain(args) => explain::run(&args, &Config::load_for_command(&file)?, out),
        Command::Trace(args) => trace::run(&args, out),
        Command::Replay(args) => replay::run(&args, cli.config.as_deref(), out),
        Command::Completion(args) => Ok(completion::run(&args, out)?),
        Command::Manual(args) => Ok(manual::run(&args, out)?),
        Command::Demo(args) => demo::run(&args, out),
        Command::DemoRelay(args) => demo::relay::run(&args, out),
    }
}

/// The whole program: arguments, command, exit status.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // `quell … | head`: whoever read has read enough.
        Err(Failure::Output(why)) if why.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing can be said where standard error is closed; the status still tells.
            let _ = write!(io::stderr(), "{failure}");
            ExitCode::from(failure.status())
        }
    }
}

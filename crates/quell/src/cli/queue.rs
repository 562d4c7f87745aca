//! `quell queue`: arguments.

/// See and change what waits.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with the queue.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// List the rows that are open
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show all rows of a message
    Show {
        /// Queue id
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Try now: waiting, unknown and failed rows
    Retry {
        /// Queue id
        id: String,
        /// Only this recipient
        #[arg(long, value_name = "ADDRESS")]
        to: Option<String>,
    },
    /// Give up: the rows become discarded, without a report to the sender
    Remove {
        /// Queue id
        id: String,
        /// Only this recipient
        #[arg(long, value_name = "ADDRESS")]
        to: Option<String>,
        /// Report to the sender
        #[arg(long)]
        report: bool,
    },
}

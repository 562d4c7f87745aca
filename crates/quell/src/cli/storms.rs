//! `quell storms`: arguments.

/// See the storms.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with storms.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// List storms, open ones first
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one storm with its evidence
    Show {
        /// Storm id
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

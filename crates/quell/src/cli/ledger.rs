//! `quell ledger`: arguments.

/// Change what is remembered as delivered.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with the ledger.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Make redelivery possible, after a mailbox was restored from a backup
    Forget {
        /// Address or domain
        #[arg(long, value_name = "ADDRESS|DOMAIN")]
        to: String,
        /// Only rows since then: RFC 3339, such as 2026-11-20T08:00:00Z
        #[arg(long, value_name = "TIME")]
        since: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

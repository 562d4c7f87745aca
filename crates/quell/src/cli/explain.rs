//! `quell explain`: arguments.

/// Explain what was decided about a message and why.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Queue id, as in `Received`, in the 250 and in the log
    pub id: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

//! What can be asked of `quell replay`.

use std::path::PathBuf;

use clap::ValueHint;

/// Shown below the options.
const EXAMPLES: &str = "\
Examples:
  quell replay ~/Maildir                         a mailbox
  quell replay /var/mail/* old/*.mbox.gz         several, also packed (gzip, xz, zstd)
  quell replay --config quell.toml ~/Maildir     with the settings of [judge]
  ssh mx cat /var/mail/jane | quell replay -     from a pipe

The more mailboxes of the same firm are read, the truer the answer. Nothing is delivered, nothing is
changed, nothing leaves this machine. Exit status: 0 whatever quell would have done; 1 nothing could be
read, or the answer could not be written; 2 wrong usage or configuration.";

/// Say what quell would have done with mail that already came
///
/// Reads mail, lets it arrive once more in the order of its own times, and says what would have been
/// delivered, absorbed as a copy, held or refused, and why.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Mbox files, Maildirs, folders of messages, single messages; - is standard input
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Ask only the classes that no threshold decides (copies, retry, loop): twice as fast
    #[arg(long)]
    pub exact: bool,
    /// Do not tell how far it is
    #[arg(long, short)]
    pub quiet: bool,
    /// How many threads read; without it one for each processor
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Largest message; of a larger one only the header is read, and it is compared with nothing
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20,
          value_parser = clap::value_parser!(u64).range(1 << 10..=1 << 30))]
    pub max_message: u64,
}

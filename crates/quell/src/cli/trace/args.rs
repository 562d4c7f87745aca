//! What can be asked of `quell trace`.

use std::path::PathBuf;

use clap::ValueHint;

/// Shown below the options.
const EXAMPLES: &str = "\
Examples:
  quell trace inbox.mbox                         one mailbox
  quell trace ~/Maildir old/*.mbox.gz            several, also packed (gzip, xz, zstd)
  ssh mx cat /var/mail/jane | quell trace -      from a pipe
  quell trace --html storm.html inbox.mbox       a page with pictures, to look at
  quell trace --for-owner=mail.firm.example --html page.html inbox.mbox
                                                 a page to send to whoever runs that server
  quell trace --mbox evidence.mbox inbox.mbox    the copies themselves, in one file

The more mailboxes of the same firm are read, the surer the answer. Nothing is changed, nothing leaves
this machine. Exit status: 0 also if a server makes copies; 1 nothing could be read, or an answer could
not be written; 2 wrong usage.";

/// Find the server that makes copies
///
/// Reads mail, puts together what is copies of one message, and says which servers made them, with the
/// lines that show it.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Mbox files, Maildirs, folders of messages, single messages; - is standard input
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub paths: Vec<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "all")]
    pub json: bool,
    /// Write a page with pictures to FILE; - is standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    /// Write the copies that tell of a culprit, or that nothing can be told of, to FILE as an mbox
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "for_owner")]
    pub mbox: Option<PathBuf>,
    /// Say only what may leave the house: server lines without people, subjects and file names. With a
    /// name or an address, only of that server
    #[arg(long, value_name = "NAME|IP", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub for_owner: Option<String>,
    /// Show innocent groups too, and all lines
    #[arg(long)]
    pub all: bool,
    /// Do not tell how far it is
    #[arg(long, short)]
    pub quiet: bool,
    /// How many threads read; without it one for each processor
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Largest message; of a larger one only the header is read
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20,
          value_parser = clap::value_parser!(u64).range(1 << 10..=1 << 30))]
    pub max_message: u64,
}

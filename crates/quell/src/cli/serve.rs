//! `quell serve`: arguments. The server itself is started elsewhere.

/// Run the server until SIGTERM; SIGHUP reads the configuration again.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {}

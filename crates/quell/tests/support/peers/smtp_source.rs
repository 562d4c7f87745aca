//! Postfix's load generator.

use super::program;
use crate::support::process::run;
use std::process::Command;

pub fn available() -> bool {
    super::available(&["smtp-source"])
}

/// What to send.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub messages: usize,
    pub sessions: usize,
    /// Bytes of each message.
    pub bytes: usize,
    /// More options, such as `-d` (keep connections), `-N` (number the recipients), `-r N`
    /// (recipients of a transaction).
    pub more: &'a [&'a str],
}

impl Default for Load<'_> {
    fn default() -> Self {
        let (from, to) = ("source@client.example", "jane@firm.example");
        Load { from, to, messages: 1, sessions: 1, bytes: 1000, more: &[] }
    }
}

/// Sends it to 127.0.0.1, within 60 s; panics if a message was not taken.
pub fn send(port: u16, load: &Load<'_>) {
    let mut command = command(port, load);
    run(&mut command);
}

/// The command, for a test that wants it to run beside something else.
pub fn command(port: u16, load: &Load<'_>) -> Command {
    let mut command = Command::new(program("smtp-source"));
    command.args(["-M", "source.example", "-f", load.from, "-t", load.to]);
    command.args(["-m", &load.messages.to_string(), "-s", &load.sessions.to_string()]);
    command.args(["-l", &load.bytes.to_string()]).args(load.more);
    command.arg(format!("127.0.0.1:{port}"));
    command
}

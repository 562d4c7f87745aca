//! swaks: one transaction, as told by its options.

use super::program;
use crate::support::process::try_run;
use std::process::Command;

pub fn available() -> bool {
    super::available(&["swaks"])
}

/// Sends one mail to 127.0.0.1; whether swaks was content, and the session as it shows it.
/// `more` are options such as `--pipeline`, `--data FILE`, `--header "X-Test-Id: 1"`.
pub fn send(port: u16, from: &str, to: &str, more: &[&str]) -> (bool, String) {
    let mut command = Command::new(program("swaks"));
    command.arg("--server").arg(format!("127.0.0.1:{port}"));
    command.args(["--helo", "swaks.example", "--from", from, "--to", to]).args(more);
    try_run(&mut command)
}

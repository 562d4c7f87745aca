//! The helpers of the integration tests, tried without quell: each peer does what tests rely on.

// Helpers of a test are test code too, which clippy cannot see.
#![allow(clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod counter;
mod dns;
mod lmtp;
mod mailboxes;
mod pickup;
mod scripted;
mod senders;

use support::smtp;

const FROM: &str = "sender@client.example";
const TO: [&str; 2] = ["jane@firm.example", "john@firm.example"];

fn message(id: &str) -> Vec<u8> {
    smtp::message(id, &smtp::date_now(), "hello\r\n.a line with a dot")
}

/// Codes of the replies to these lines, one after the other.
fn codes(client: &mut smtp::Client, lines: &[&str]) -> Vec<u16> {
    lines.iter().map(|line| client.command(line).expect("a reply").code).collect()
}

//! What the integration tests have in common: directories, ports, the server under test,
//! a client, other mail programs as peers.
//!
//! Everything here panics on failure: it is test code, and a test that cannot do its work
//! has failed. All servers listen on 127.0.0.1 only and are ended by their own ids.

// Each test program uses a part of it. Panics and prints are what tests speak with.
#![allow(dead_code, unused_imports, unreachable_pub, missing_docs)]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

/// Certificates by an authority of the tests' own.
#[path = "../../src/tls/testing.rs"]
pub mod authority;
pub mod maildir;
pub mod peers;
pub mod process;
pub mod promises;
pub mod server;
pub mod smtp;
pub mod temp;
pub mod tls;

pub use process::Running;
pub use server::Server;
pub use temp::{TempDir, free_port};

use std::time::{Duration, Instant};

/// Asks `done` every few milliseconds until it says yes. Returns whether it did in time.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if done() {
            return true;
        }
        if start.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

//! quell as a service of the machine: what it may do, what the service manager does with it, what it
//! keeps to itself.

mod handed_in;
mod modes;
mod notify;
mod privileges;
mod secrets;
mod unit;

use crate::support::peers;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// Only root can start a server that gives root up; setup-tests needs it as well.
fn assert_root() {
    assert!(peers::is_root(), "this test starts the server as root: run it as root");
}

/// A port of 127.0.0.1 that only root, or a capability, may open.
fn privileged_port() -> u16 {
    let number = |port: u16| (port.wrapping_mul(7) ^ std::process::id() as u16) % 512 + 512;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..512).map(number).find(free).expect("a free port below 1024")
}

/// A folder of the user nobody, which stands in for a system user of the server's own.
fn make_nobodys(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    let made = Command::new("chown").arg("nobody:").arg(folder).status();
    assert!(made.expect("chown").success());
    let closed = Command::new("chmod").arg("700").arg(folder).status();
    assert!(closed.expect("chmod").success());
}

//! What others may read or write, and whose the data directory is.

use super::{assert_root, make_nobodys};
use crate::operate::{Said, done, wait_for_log};
use crate::support::server::config;
use crate::support::{Server, TempDir};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
}

/// Starts it as it is; it must refuse, with these words.
fn refuses(server: &Server, starter: &[&str], words: &str) {
    let serve = server.command(&["serve"]);
    let mut command = Command::new("timeout");
    command.arg("30").args(starter).arg(serve.get_program()).args(serve.get_args());
    let said = Said::of(command);
    assert!(said.status == 1 && said.err.contains(words), "{words}: {said:?}");
}

#[test]
fn what_others_may_read_or_write_is_refused_or_warned_of() {
    let directory = TempDir::new("service-modes");
    let mut server = Server::start(&directory, &config(""));
    assert_eq!(server.term().code(), Some(0));
    assert!(!server.output().contains("open_to_others"), "{}", server.output());
    for (name, open, closed) in [("token", 0o604, 0o600), ("secret", 0o660, 0o600), ("", 0o777, 0o700)] {
        let path = if name.is_empty() { server.data.clone() } else { server.data.join(name) };
        chmod(&path, open);
        let command = if name.is_empty() { "chmod go-w" } else { "chmod 600" };
        refuses(&server, &[], &format!("run `{command} {}`", path.display()));
        let warned = format!("run `chmod {closed:o} {}`", path.display());
        assert!(done(&server, &["check"]).contains(&warned), "{warned}");
        chmod(&path, closed);
    }
    let ledger = server.data.join("ledger.db");
    chmod(&ledger, 0o644);
    server.restart();
    wait_for_log(&server, &["event=\"open_to_others\"", &format!("run `chmod 600 {}`", ledger.display())]);
}

#[test]
fn another_users_data_is_not_served() {
    assert_root();
    let directory = TempDir::new("service-owner");
    let server = Server::prepare(&directory, &config(""), Vec::new());
    make_nobodys(&server.data);
    let as_daemon = ["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups"];
    let words = format!(
        "belongs to the user nobody, and the server runs as daemon; run `chown -R daemon {}`",
        server.data.display()
    );
    refuses(&server, &as_daemon, &words);
}

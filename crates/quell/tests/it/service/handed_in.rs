//! Socket activation, by systemd's own program for trying it out, systemd-socket-activate(1).

use super::{assert_root, make_nobodys, privileged_port};
use crate::operate::{Said, accepted, mail, wait_for_log, wait_for_mails};
use crate::support::server::config;
use crate::support::{Server, TempDir, free_port};
use std::net::TcpStream;
use std::process::Command;

const STARTER: &str = "systemd-socket-activate";

#[test]
fn sockets_that_are_handed_in_are_used_by_name_and_by_address() {
    let directory = TempDir::new("service-sockets");
    let mut server = Server::prepare(&directory, &config(""), Vec::new());
    let (smtp, console) = (server.smtp_port, server.console_port);
    let other = free_port();
    let at = |port: u16| format!("127.0.0.1:{port}");
    // Names first: `smtp` counts wherever it is, and the address of the configuration is not opened.
    server.smtp_port = other;
    server.restart_by(&[STARTER, "-l", &at(other), "-l", &at(console), "--fdname=smtp:quell.socket"]);
    accepted(&server, &["jane@firm.example"], &mail("one"));
    wait_for_mails(&server, "jane", 1);
    assert!(TcpStream::connect(at(smtp)).is_err(), "the configured address was opened, too");
    assert_eq!(server.get("/healthz").0, 200);
    wait_for_log(&server, &["event=\"handed_in_elsewhere\"", &at(other), &at(smtp)]);
    assert_eq!(server.output().matches("event=\"handed_in\"").count(), 2, "{}", server.output());
    assert_eq!(server.term().code(), Some(0));
    assert!(TcpStream::connect(at(other)).is_err(), "somebody still has the socket");
    // Without a name that we know, by the address.
    server.smtp_port = smtp;
    server.restart_by(&[STARTER, "-l", &at(smtp)]);
    accepted(&server, &["jane@firm.example"], &mail("two"));
    wait_for_mails(&server, "jane", 2);
    assert_eq!(server.get("/healthz").0, 200);
}

#[test]
fn with_a_socket_handed_in_no_right_is_needed_at_any_time() {
    assert_root();
    let directory = TempDir::new("service-unprivileged");
    let port = privileged_port();
    let text = config("").replace("{smtp}", &port.to_string());
    let mut server = Server::prepare(&directory, &text, Vec::new());
    server.smtp_port = port;
    make_nobodys(&server.data);
    let listen = format!("127.0.0.1:{port}");
    let bare = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--bounding-set=-all"];
    server.restart_by(&[&[STARTER, "-l", &listen, "--fdname=smtp"], &bare[..]].concat());
    accepted(&server, &["jane@firm.example"], &mail("one"));
    wait_for_mails(&server, "jane", 1);
}

#[test]
fn a_socket_that_nobody_wants_stops_the_start() {
    let directory = TempDir::new("service-unwanted");
    let server = Server::prepare(&directory, &config(""), Vec::new());
    let serve = server.command(&["serve"]);
    // It starts the program at the first connection.
    let (port, mut ended) = (free_port(), None);
    let mut command = Command::new(STARTER);
    command.args(["-l", &format!("127.0.0.1:{port}"), "--fdname=imap"]);
    command.arg(serve.get_program()).args(serve.get_args());
    let mut running = crate::support::Running::start(command, &directory.join("starter.log"));
    crate::support::wait_until(crate::operate::LIMIT, || {
        let _knocked = TcpStream::connect(("127.0.0.1", port));
        ended = running.ended();
        ended.is_some()
    });
    let said = running.output();
    assert_eq!(ended.and_then(|status| status.code()), Some(1), "{said}");
    for words in [
        &*format!("127.0.0.1:{port} (FileDescriptorName=imap)"),
        "smtp, smtp-tls, submission, submissions, console",
    ] {
        assert!(said.contains(words), "{said}");
    }
    // Meant for another process.
    let others = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map(|name| (name, "7".into()));
    Server::start_with(&directory, &config(""), others.into());
    // Ours, and nonsense.
    let mut broken = Command::new("sh");
    broken
        .args(["-c", "LISTEN_PID=$$ LISTEN_FDS=9 exec \"$@\"", "sh"])
        .arg(serve.get_program())
        .args(serve.get_args());
    let said = Said::of(broken);
    assert!(said.status == 1 && said.err.contains("LISTEN_FDS"), "{said:?}");
}

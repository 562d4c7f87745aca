//! Started as root, or with one capability; serving with nothing.

use super::{assert_root, make_nobodys, privileged_port};
use crate::operate::{Said, accepted, done, mail, quell, wait_for_log, wait_for_mails};
use crate::support::process::{run, signal};
use crate::support::server::config;
use crate::support::{Server, TempDir};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

/// A server on a port below 1024 whose data directory is nobody's.
fn prepared(directory: &TempDir, user: &str) -> Server {
    let port = privileged_port();
    let text = config("").replace("{smtp}", &port.to_string());
    let text = text.replace("[server]\n", &format!("[server]\n{user}"));
    let mut server = Server::prepare(directory, &text, Vec::new());
    server.smtp_port = port;
    make_nobodys(&server.data);
    server
}

/// `/proc/PID/task/*/status`.
fn threads(server: &Server) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("a running server");
    let status = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("status")).ok();
    tasks.filter_map(|task| status(task.expect("a thread"))).collect()
}

fn field<'a>(status: &'a str, name: &str) -> Vec<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).split_whitespace().collect()
}

/// Every thread is nobody, with no capability, and can never have more; nobody else of its user can look
/// into it, and it leaves no core file.
fn assert_bare(server: &Server, bounding_too: bool) {
    let id = |option| run(Command::new("id").args([option, "nobody"])).trim().to_owned();
    let (uid, gid) = (id("-u"), id("-g"));
    let threads = threads(server);
    assert!(threads.len() >= 8, "{} threads", threads.len());
    for status in &threads {
        assert_eq!(field(status, "Uid"), [&*uid; 4], "{status}");
        assert_eq!(field(status, "Gid"), [&*gid; 4], "{status}");
        assert!(field(status, "Groups").iter().all(|group| *group == gid), "{status}");
        let sets = if bounding_too { 5 } else { 4 };
        for set in &["CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"][..sets] {
            assert_eq!(field(status, set), ["0000000000000000"], "{set} in {status}");
        }
        assert_eq!(field(status, "NoNewPrivs"), ["1"], "{status}");
    }
    let process = PathBuf::from(format!("/proc/{}", server.pid()));
    let limits = std::fs::read_to_string(process.join("limits")).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    // proc(5): the files of a process that is not dumpable belong to root.
    assert_eq!(std::fs::metadata(process.join("environ")).expect("a file").uid(), 0);
    let mut look = Command::new("setpriv");
    look.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "cat"]).arg(process.join("environ"));
    let said = Said::of(look);
    assert!(said.status != 0 && said.err.contains("Permission denied"), "{said:?}");
}

fn assert_serves(server: &mut Server) {
    accepted(server, &["jane@firm.example"], &mail("one"));
    wait_for_mails(server, "jane", 1);
    signal(server.pid(), "HUP");
    wait_for_log(server, &["event=\"reloaded\""]);
    accepted(server, &["jane@firm.example"], &mail("two"));
    wait_for_mails(server, "jane", 2);
    assert_eq!(server.term().code(), Some(0));
}

#[test]
fn every_thread_of_a_server_started_as_root_is_its_user_alone() {
    assert_root();
    let directory = TempDir::new("service-root");
    let mut server = prepared(&directory, "user = \"nobody\"\n");
    // Groups and an inheritable capability of whoever started it are not taken along.
    server.restart_by(&["setpriv", "--groups=0,4", "--inh-caps=+net_bind_service"]);
    assert_bare(&server, true);
    assert_serves(&mut server);
    assert!(!server.output().contains("runs_as_root"), "{}", server.output());
}

#[test]
fn a_capability_for_the_port_is_given_up_once_it_is_open() {
    assert_root();
    let directory = TempDir::new("service-ambient");
    for user in ["", "user = \"nobody\"\n"] {
        let mut server = prepared(&directory, user);
        let capability = ["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"];
        let who = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"];
        server.restart_by(&[&who[..], &capability].concat());
        assert_bare(&server, false);
        assert_eq!(server.term().code(), Some(0));
        if user.is_empty() {
            server.restart_by(&[&who[..], &capability].concat());
            assert_serves(&mut server);
        }
    }
}

#[test]
fn a_start_that_cannot_become_its_user_serves_nobody() {
    assert_root();
    let directory = TempDir::new("service-other");
    let as_nobody = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"];
    for (user, options, words) in [
        ("no-such-user", &[][..], "there is no such user"),
        ("root", &as_nobody[..], "the start must be as root, or as that user"),
    ] {
        let mut server = prepared(&directory, &format!("user = \"{user}\"\n"));
        // The port is not the point here.
        let text = std::fs::read_to_string(server.config_path()).expect("a configuration");
        let port = crate::support::free_port();
        let text = text.replace(&format!(":{}\"", server.smtp_port), &format!(":{port}\""));
        std::fs::write(server.config_path(), text).expect("a configuration");
        server.smtp_port = port;
        let serve = server.command(&["serve"]);
        let mut command = Command::new("setpriv");
        command.args(options).arg(serve.get_program()).args(serve.get_args());
        let said = Said::of(command);
        assert_eq!(said.status, 1, "{said:?}");
        assert!(said.err.contains(&format!("cannot become the user {user}: {words}")), "{said:?}");
        assert!(!server.data.join("lock").exists(), "nothing was begun");
    }
}

#[test]
fn a_server_that_stays_root_says_so() {
    assert_root();
    let directory = TempDir::new("service-stays");
    let server = Server::start(&directory, &config(""));
    wait_for_log(&server, &["event=\"runs_as_root\"", "set [server] user"]);
    assert!(done(&server, &["check"]).contains("stays root"));
    // What it runs can have no more than it has, all the same.
    for status in threads(&server) {
        assert_eq!(field(&status, "NoNewPrivs"), ["1"], "{status}");
    }
    let text = std::fs::read_to_string(server.config_path()).expect("a configuration");
    let text = text.replace("[server]\n", "[server]\nuser = \"nobody\"\n");
    std::fs::write(server.config_path(), text).expect("a configuration");
    let said = quell(&server, &["check"]);
    assert!(!said.out.contains("stays root") && said.out.contains("chown -R nobody"), "{said:?}");
}

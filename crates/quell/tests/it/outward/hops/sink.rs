//! `smtp-sink` with its faults: one message to a recipient at each.

use super::*;
use crate::support::peers;
use crate::support::{Running, free_port};
use std::process::Command;

/// `smtp-sink` with further arguments, and its port.
fn sink(directory: &TempDir, number: usize, arguments: &[&str]) -> (Running, u16) {
    let port = free_port();
    let mut command = Command::new(peers::program("smtp-sink"));
    if peers::is_root() {
        command.args(["-u", "nobody"]);
    }
    command.args(arguments).arg(format!("127.0.0.1:{port}")).arg("100");
    let running = Running::start(command, &directory.join(format!("sink{number}.log")));
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(wait_until(peers::START_LIMIT, listens), "{}", running.output());
    (running, port)
}

#[test]
fn one_message_meets_each_fault_of_smtp_sink() {
    if !peers::available(&["smtp-sink"]) {
        return;
    }
    // -f 5xx, -r 4xx, -q closes without an answer, -Q says 421 and closes, -L LMTP, -e no EHLO,
    // -p no PIPELINING, -8 no 8BITMIME.
    let cases: [(&[&str], &str, u64); 18] = [
        (&[], "relayed", 1),
        (&["-e", "-p", "-8"], "relayed", 1),
        (&["-L"], "delivered", 1),
        (&["-f", "MAIL"], "failed", 0),
        (&["-f", "RCPT"], "failed", 0),
        (&["-f", "DATA"], "failed", 0),
        (&["-f", "."], "failed", 1),
        (&["-L", "-f", "."], "failed", 1),
        (&["-r", "MAIL"], "waiting", 0),
        (&["-r", "RCPT"], "waiting", 0),
        (&["-r", "."], "waiting", 0),
        (&["-L", "-r", "."], "waiting", 0),
        (&["-q", "CONNECT"], "waiting", 0),
        (&["-q", "EHLO"], "waiting", 0),
        (&["-q", "DATA"], "waiting", 0),
        (&["-Q", "."], "waiting", 0),
        (&["-q", "."], "unknown", 1),
        (&["-L", "-q", "."], "unknown", 1),
    ];
    let directory = TempDir::new("hops-sink");
    let sinks: Vec<(Running, u16)> =
        cases.iter().enumerate().map(|(number, case)| sink(&directory, number, case.0)).collect();
    let routes: Vec<(String, String)> = (cases.iter().zip(&sinks).enumerate())
        .map(|(number, (case, (_, port)))| {
            let scheme = if case.0.contains(&"-L") { "lmtp" } else { "smtp" };
            (format!("d{number}.example"), format!("{scheme}://127.0.0.1:{port}"))
        })
        .collect();
    let routes: Vec<(&str, &str)> = routes.iter().map(|(domain, hop)| (&**domain, &**hop)).collect();
    let server = server(&directory, &routes, "");
    let to: Vec<String> = routes.iter().map(|(domain, _)| format!("jane@{domain}")).collect();
    let all: Vec<&str> = to.iter().map(String::as_str).collect();
    let id = submit(&server, &all, &mail("sinks"));
    let states: Vec<(&str, &str)> = all.iter().zip(&cases).map(|(to, case)| (*to, case.1)).collect();
    let rows = wait_for_states(&server, &id, &states);
    for (to, (arguments, state, sendings)) in all.iter().zip(&cases) {
        let row = &rows[*to];
        assert_eq!(row["sendings"], *sendings, "{arguments:?}: {row}");
        let event = if *state == "waiting" { "deferred" } else { state };
        let line = outcomes(&server, &id, to).pop().expect("an outcome");
        assert_eq!(line["event"], event, "{arguments:?}: {line}");
    }
}

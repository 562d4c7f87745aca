//! The first minutes: what `make run` prints, the first mail, completion.

use super::*;
use crate::support::server::config;
use crate::support::{Running, TempDir};

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Starts with `--first-steps`, does what it says, and finds the mail where it says.
fn first_steps_are_true(name: &str, config: &str) {
    let directory = TempDir::new(name);
    let server = Server::prepare(&directory, config, Vec::new());
    let log = directory.join("first.log");
    let mut command = server.command(&["serve", "--first-steps"]);
    command.current_dir(REPOSITORY);
    let mut running = Running::start(command, &log);
    assert!(wait_until(LIMIT, || running.output().contains("quell is ready")), "{}", running.output());
    let said = running.output();
    let line = said.lines().find(|line| line.contains("scripts/send-first-mail")).expect("a command");
    let place = said.lines().find_map(|line| line.strip_prefix("It then lies in ")).expect("a place");
    let mut bash = Command::new("bash");
    bash.args(["-c", line.trim()]).current_dir(REPOSITORY);
    let sent = Said::of(bash);
    assert_eq!(sent.status, 0, "{sent:?}\n{said}");
    let folder = Path::new(REPOSITORY).join(place);
    let there = || std::fs::read_dir(&folder).is_ok_and(|entries| entries.count() == 1);
    assert!(wait_until(LIMIT, there), "nothing in {place}\n{}", running.output());
    let console = said.split("the console on http://").nth(1).expect("the console");
    let console = console.split('/').next().expect("an address");
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "20", &format!("http://{console}/healthz")]);
    let health = Said::of(curl);
    assert_eq!((health.status, health.out.trim()), (0, "ok"), "{health:?}");
    assert_eq!(running.term(LIMIT).and_then(|status| status.code()), Some(0));
}

#[test]
fn first_steps_hold_for_the_starter_configuration() {
    first_steps_are_true("first", &config(""));
}

#[test]
fn first_steps_hold_on_ipv6_for_a_domain_without_a_list() {
    let text = r#"[server]
hostname = "mx.firm.example"
data = "{data}"
[smtp]
listen = ["[::1]:{smtp}"]
[console]
listen = "[::1]:{console}"
[domains."firm.example"]
"#;
    first_steps_are_true("first6", text);
}

#[test]
fn first_steps_hold_where_it_listens_everywhere() {
    let text = config("").replace("127.0.0.1:{smtp}", "0.0.0.0:{smtp}");
    first_steps_are_true("first0", &text);
}

#[test]
fn completion_loads_in_bash() {
    let directory = TempDir::new("completion");
    let server = Server::prepare(&directory, &config(""), Vec::new());
    let script = done(&server, &["completion", "bash"]);
    let mut bash = Command::new("bash");
    let text = format!("{script}\ncomplete -p quell");
    bash.args(["--norc", "--noprofile", "-c", &text]);
    let said = Said::of(bash);
    assert_eq!(said.status, 0, "{said:?}");
    assert!(said.out.contains("-F _quell") && said.out.trim().ends_with("quell"), "{said:?}");
    let mut check = Command::new("bash");
    check.args(["-n", "-c", &script]);
    assert_eq!(Said::of(check).status, 0);
}

/// "`--help` everywhere", "exit status 2: wrong usage".
#[test]
fn every_command_has_help_and_refuses_wrong_usage() {
    let directory = TempDir::new("help");
    let server = Server::prepare(&directory, &config(""), Vec::new());
    let commands = "serve|check|mailbox|mailbox add|mailbox list|mailbox remove|queue|queue list|queue show|\
        queue retry|queue remove|storms|storms list|storms show|ledger|ledger forget|explain|replay|completion";
    for command in commands.split('|') {
        let mut words: Vec<&str> = command.split(' ').collect();
        words.push("--help");
        let help = done(&server, &words);
        assert!(help.contains("Usage: quell") && help.contains("--config"), "{command}: {help}");
        words.pop();
        words.push("--no-such-option");
        let said = quell(&server, &words);
        assert_eq!(said.status, 2, "{command}: {said:?}");
        assert!(said.err.contains("--no-such-option"), "{command}: {said:?}");
    }
    for wrong in ["queue retry", "queue show", "explain", "ledger forget --to x@y.example", "nonsense"] {
        let words: Vec<&str> = wrong.split(' ').collect();
        assert_eq!(quell(&server, &words).status, 2, "{wrong}");
    }
}

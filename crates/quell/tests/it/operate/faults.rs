//! Faulty configurations: file, line, column, key, caret, what to do, exit status 2.

use super::*;
use crate::support::TempDir;
use crate::support::server::config;

/// The file; line and column of the fault, 0 where it has none; its key; what is drawn above the
/// carets; what the message or the help says.
type Case = (&'static str, (usize, usize), &'static str, &'static str, &'static str);

const CASES: &[Case] = &[
    ("[server]\nhostnam = \"mx.firm.example\"\n", (2, 1), "server.hostnam", "hostnam", "hostname"),
    ("[sever]\nhostname = \"x.example\"\n", (1, 2), "sever", "sever", "server"),
    ("[smtp]\nmax_errors = 0\n", (2, 14), "smtp.max_errors", "0", "from 1 to 100000"),
    ("[smtp]\nmax_errors = -1\n", (2, 14), "smtp.max_errors", "-1", ""),
    ("[smtp]\nmax_errors = \"7\"\n", (2, 14), "smtp.max_errors", "\"7\"", "expected"),
    (
        "[smtp]\nlisten = [\"127.0.0.1:2525\", \"localhost\"]\n",
        (2, 29),
        "smtp.listen",
        "\"localhost\"",
        "address and port",
    ),
    ("[smtp]\nlisten = []\n", (2, 10), "smtp.listen", "[]", "at least one"),
    ("[console]\nlisten = \"8025\"\n", (2, 10), "console.listen", "\"8025\"", "address and port"),
    ("[server]\nhostname = \"no host\"\n", (2, 12), "server.hostname", "\"no host\"", "mx.firm.example"),
    ("[relay]\nfrom = [\"10.0.0.0/33\"]\n", (2, 9), "relay.from", "\"10.0.0.0/33\"", ""),
    ("[relay]\nvia = \"10.0.0.2:25\"\n", (2, 7), "relay.via", "\"10.0.0.2:25\"", "smtp://10.0.0.2:25"),
    (
        "[relay]\nvia = \"smtp://127.0.0.1:2525\"\n",
        (2, 7),
        "relay.via",
        "\"smtp://",
        "leads back to this server",
    ),
    (
        "[smtp]\nlisten = [\"0.0.0.0:25\"]\n[relay]\nfrom = [\"0.0.0.0/0\"]\n",
        (4, 9),
        "relay.from",
        "\"0.0.0.0/0\"",
        "allow_wide_relay",
    ),
    (
        "[domains.\"f.example\"]\ndeliver = \"smtp://127.0.0.1:no\"\n",
        (2, 11),
        "deliver",
        "\"smtp://127.0.0.1:no\"",
        "lmtp:///run/dovecot/lmtp",
    ),
    (
        "[domains.\"f.example\"]\nrecipients = \"ask\"\n",
        (2, 14),
        "recipients",
        "\"ask\"",
        "no next hop to ask",
    ),
    (
        "[domains.\"f.example\"]\ndeliver = \"smtp://10.0.0.2\"\nrecipients = [\"*\"]\ncatch_all = \"jane\"\n",
        (4, 13),
        "catch_all",
        "\"jane\"",
        "remove catch_all",
    ),
    ("[domains.\"f.example\"]\nrecipients = \"file:none\"\n", (2, 14), "recipients", "\"file:none\"", "none"),
    (
        "[domains.\"f.example\"]\nrecipients = [\"jane\"]\ncatch_all = \"jane\"\n",
        (3, 13),
        "catch_all",
        "\"jane\"",
        "\"*\"",
    ),
    ("[domains.\"f..example\"]\n", (1, 10), "domains.\"f..example\"", "\"f..example\"", "domain"),
    (
        "[server]\npostmaster = \"x@other.example\"\n[domains.\"f.example\"]\n",
        (2, 14),
        "server.postmaster",
        "\"x@",
        "[domains]",
    ),
    (
        "[domains.\"f.example\"]\n[aliases]\n\"a@f.example\" = [\"b@f.example\"]\n\"b@f.example\" = [\"a@f.example\"]\n",
        (3, 17),
        "aliases.",
        "",
        "circle",
    ),
    ("[log]\nformat = \"xml\"\n", (2, 10), "log.format", "\"xml\"", "\"json\" or \"text\""),
    ("[tell]\nmail = \"x@other..example\"\n", (2, 8), "tell.mail", "\"x@", "jane@firm.example"),
    ("[dns]\nservers = [\"dns.example\"]\n", (2, 12), "dns.servers", "\"dns.example\"", "write an address"),
    (
        "[judge]\nquiet_after_secs = 600\nclosed_after_secs = 600\n",
        (3, 21),
        "judge.closed_after_secs",
        "600",
        "quiet_after_secs",
    ),
    ("[smtp]\nidle_secs = 1\nidle_secs = 2\n", (3, 1), "", "idle_secs", ""),
    ("[smtp\n", (1, 6), "", "", ""),
];

#[test]
fn every_fault_is_pointed_at() {
    let directory = TempDir::new("operate-faults");
    for (number, (text, (line, column), key, marked, says)) in CASES.iter().enumerate() {
        let file = directory.join(format!("{number}.toml"));
        std::fs::write(&file, text).expect("a file");
        let run = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
            command.args(arguments).arg(&file);
            Said::of(command)
        };
        let said = run(&["check"]);
        assert_eq!((said.status, &*said.out), (2, ""), "{text}: {said:?}");
        let place = format!("{}:{line}:{column}:", file.display());
        let shown = said.err.clone();
        assert!(shown.contains(&place), "{place} is not in\n{shown}");
        let first = shown.lines().find(|l| l.contains(&place)).expect("a line");
        assert!(first.contains(key), "{key}: {shown}");
        assert!(shown.contains(says), "{says}: {shown}");
        assert!(
            shown.lines().any(|l| l.trim_start().starts_with("help: ") && l.trim().len() > 10),
            "{shown}"
        );
        carets_stand_below(&shown, *column, marked);
        for command in [&["serve", "--config"][..], &["queue", "list", "--config"]] {
            let same = run(command);
            assert_eq!((same.status, same.err), (2, shown.clone()), "{command:?}");
        }
        let json: Value = serde_json::from_str(&run(&["check", "--json"]).out).expect("JSON");
        let error = &json["errors"][0];
        assert_eq!(
            (&json["ok"], &error["line"], &error["column"]),
            (&false.into(), &(*line).into(), &(*column).into())
        );
    }
}

/// The line is drawn, and the carets stand under what is wrong.
fn carets_stand_below(shown: &str, column: usize, marked: &str) {
    let lines: Vec<&str> = shown.lines().collect();
    let at = lines.iter().position(|line| line.contains('^') && line.contains(" | ")).expect("carets");
    let behind = |line: &str| line.split_once(" | ").expect("a margin").1.to_owned();
    let (text, carets) = (behind(lines[at - 1]), behind(lines[at]));
    assert_eq!(carets.find('^'), Some(column - 1), "{shown}");
    let from: String = text.chars().skip(column - 1).collect();
    assert!(from.starts_with(marked), "{marked}: {shown}");
    assert!(carets.trim().chars().all(|c| c == '^'), "{shown}");
}

/// All faults are shown, not the first alone; in the order of the file.
#[test]
fn all_faults_are_shown_at_once() {
    let directory = TempDir::new("operate-allfaults");
    let text = "[smtp]\nmax_errors = 0\nidle_secs = 0\n[log]\nlevel = \"loud\"\n";
    let file = directory.join("quell.toml");
    std::fs::write(&file, text).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_quell"));
    command.arg("check").current_dir(directory.path());
    let said = Said::of(command);
    let lines: Vec<_> = said.err.lines().filter(|line| line.starts_with("quell.toml:")).collect();
    assert_eq!(lines.len(), 3, "{said:?}");
    for (line, place) in lines.iter().zip(["quell.toml:2:14:", "quell.toml:3:13:", "quell.toml:5:9:"]) {
        assert!(line.starts_with(place), "{line}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let directory = TempDir::new("operate-nofile");
    for command in ["serve", "check", "queue list"] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_quell"));
        program.args(command.split(' ')).args(["--config", "none.toml"]).current_dir(directory.path());
        let said = Said::of(program);
        assert_eq!(said.status, 2, "{command}: {said:?}");
        assert!(said.err.contains("none.toml") && said.err.contains("help: "), "{command}: {said:?}");
    }
}

/// "`quell check` explains the configuration", before and after the first start.
#[test]
fn check_explains() {
    let directory = TempDir::new("operate-check");
    let mut server = Server::prepare(&directory, &config("[smtp.x]\n"), Vec::new());
    assert_eq!(quell(&server, &["check"]).status, 2);
    let text =
        std::fs::read_to_string(server.config_path()).expect("a configuration").replace("[smtp.x]\n", "");
    std::fs::write(server.config_path(), text).expect("a configuration");
    let said = done(&server, &["check"]);
    assert!(said.contains("warning: the postmaster's mailbox jane@firm.example is not there yet"), "{said}");
    assert!(!server.data.exists(), "check makes nothing");
    for part in [
        "firm.example: jane; all others go to jane@firm.example",
        "postmaster's mail goes to jane@firm.example",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    server.restart();
    // Of root it warns where there is nothing else to say.
    let warns = |line: &&str| line.starts_with("warning:") && !line.contains("stays root");
    let said = done(&server, &["check"]);
    assert_eq!(said.lines().find(warns), None, "{said}");
    assert_eq!(json(&server, &["check"])["ok"], true);
}

/// "A relative path starts at the folder of the configuration file", wherever one stands.
#[test]
fn relative_data_lies_beside_the_configuration() {
    let directory = TempDir::new("operate-relative");
    let text = config("").replace("{data}", "here/kept");
    std::fs::create_dir(directory.join("here")).expect("a folder");
    let server = Server::start(&directory, &text);
    let reply = send(&server, &["jane@firm.example"], &mail("one"));
    assert_eq!(reply.code, 250);
    let folder = directory.join("here/kept/mail/firm.example/jane");
    assert!(wait_until(LIMIT, || maildir::count(&folder) == 1), "{}", server.output());
}

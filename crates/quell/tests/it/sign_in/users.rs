//! `quell user`, with the server running and stopped.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

use crate::operate::{Said, done, json, quell};
use crate::support::server::config;
use crate::support::{Server, TempDir};

/// Adds a user with the password on standard input; whether that succeeded, and all that was said.
fn add(server: &Server, name: &str, more: &[&str], password: &str) -> (bool, String) {
    let mut command = server.command(&[&["user", "add", name, "--password-stdin"], more].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a command");
    let mut input = child.stdin.take().expect("standard input");
    // One that is refused for its name does not read it.
    let _ = input.write_all(password.as_bytes());
    drop(input);
    let output = child.wait_with_output().expect("an end");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn users_come_and_go_under_a_running_server() {
    let directory = TempDir::new("sign-in-users");
    let mut server = Server::start(&directory, &config("[log]\nlevel = \"trace\"\n"));
    let said = add(&server, "Jane@Firm.example", &["--address", "*@firm.example"], "correct horse\n");
    assert_eq!(said, (true, "made: jane@firm.example\n".to_owned()));
    let (ok, said) = add(&server, "jane@firm.example", &[], "correct horse\n");
    assert!(!ok && said.contains("there is a user jane@firm.example"), "{said}");
    let (ok, said) = add(&server, "jane@elsewhere.example", &[], "correct horse\n");
    assert!(!ok && said.contains("elsewhere.example is not ours"), "{said}");
    assert_eq!(done(&server, &["user", "disable", "jane@firm.example"]), "disabled: jane@firm.example\n");
    let user = &json(&server, &["user", "list"])["users"][0];
    assert_eq!((&user["name"], &user["disabled"]), (&"jane@firm.example".into(), &true.into()));
    assert_eq!(user["addresses"], serde_json::json!(["*@firm.example"]));
    assert!(user["last_sign_in"].is_null() && user["made"].is_string(), "{user}");
    let said = quell(&server, &["user", "enable", "bob@firm.example"]);
    assert_eq!((said.status, said.err.contains("there is no user bob@firm.example")), (1, true), "{said:?}");
    no_terminal(&server);
    // The file is closed to others, and neither it nor the log has the password.
    let file = server.data.join("users.db");
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    let bytes = std::fs::read(&file).expect("a file");
    assert!(!bytes.windows(7).any(|part| part == b"correct"));
    let log = server.output();
    assert!(!log.contains("correct horse") && !log.contains("argon2id"), "{log}");
    // Stopped, and started again.
    assert_eq!(server.term().code(), Some(0));
    assert_eq!(done(&server, &["user", "enable", "jane@firm.example"]), "enabled: jane@firm.example\n");
    assert!(add(&server, "bob@firm.example", &[], "bobs own").0);
    server.restart();
    let list = json(&server, &["user", "list"]);
    let (users, jane) = (list["users"].as_array().map(Vec::len), &list["users"][1]["disabled"]);
    assert_eq!((users, jane), (Some(2), &false.into()));
    assert_eq!(done(&server, &["user", "remove", "bob@firm.example"]), "removed: bob@firm.example\n");
    let table = done(&server, &["user", "list"]);
    assert!(table.starts_with("enabled   jane@firm.example  made ") && table.lines().count() == 1, "{table}");
}

/// Without a terminal there is nothing to ask at.
fn no_terminal(server: &Server) {
    let command = server.command(&["user", "password", "jane@firm.example"]);
    let mut alone = Command::new("setsid");
    alone.arg("-w").arg(command.get_program()).args(command.get_args());
    let said = Said::of(alone);
    assert_eq!(said.status, 2, "{said:?}");
    assert!(said.err.contains("give --password-file or --password-stdin"), "{said:?}");
}

/// At a terminal the password is asked for twice, and not shown.
#[test]
fn a_password_is_typed_unseen() {
    let directory = TempDir::new("sign-in-typed");
    let server = Server::start(&directory, &config(""));
    let typed = |name: &str, lines: [&str; 2]| {
        let command = server.command(&["user", "add", name]);
        let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
        let words: Vec<_> = words.iter().map(|word| format!("'{}'", word.to_str().expect("text"))).collect();
        let mut script = Command::new("script");
        script.args(["-qec", &words.join(" "), "/dev/null"]);
        let mut child = script
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("script");
        let mut input = child.stdin.take().expect("standard input");
        // What is typed before the prompt is thrown away, as getpass(3) does.
        let mut output = child.stdout.take().expect("standard output");
        let mut seen = String::new();
        for (prompt, line) in ["Password: ", "Once more: "].into_iter().zip(lines) {
            read_until(&mut output, prompt, &mut seen);
            writeln!(input, "{line}").expect("typed");
        }
        std::io::Read::read_to_string(&mut output, &mut seen).expect("text");
        child.wait().expect("an end");
        seen
    };
    let seen = typed("jane@firm.example", ["correct horse", "correct horse"]);
    assert!(seen.contains("made: jane@firm.example") && !seen.contains("horse"), "{seen}");
    let seen = typed("bob@firm.example", ["correct horse", "battery staple"]);
    assert!(seen.contains("the two are not the same") && !seen.contains("staple"), "{seen}");
    let list = json(&server, &["user", "list"]);
    assert_eq!(list["users"].as_array().map(Vec::len), Some(1), "{list}");
}

fn read_until(output: &mut impl std::io::Read, wanted: &str, seen: &mut String) {
    let mut byte = [0];
    while !seen.ends_with(wanted) {
        assert_eq!(output.read(&mut byte).expect("text"), 1, "it ended: {seen}");
        seen.push(char::from(byte[0]));
    }
}

/// A users' file that others may read is not used, and a stopped server's data is left to its owner.
#[test]
fn the_users_file_is_the_servers_own() {
    let directory = TempDir::new("sign-in-file");
    let mut server = Server::start(&directory, &config(""));
    assert_eq!(server.term().code(), Some(0));
    let file = server.data.join("users.db");
    if nix::unistd::geteuid().is_root() {
        let nobody = nix::unistd::User::from_name("nobody").expect("users").expect("a user");
        std::os::unix::fs::chown(&server.data, Some(nobody.uid.as_raw()), None).expect("root may");
        std::fs::remove_file(&file).expect("a file");
        assert!(add(&server, "jane@firm.example", &[], "pw").0);
        assert_eq!(std::fs::metadata(&file).expect("a file").uid(), nobody.uid.as_raw());
    }
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("permissions");
    let said = quell(&server, &["user", "list"]);
    let part = "lets others read or write it; run `chmod 600";
    assert!(said.status == 1 && said.err.contains(part), "{said:?}");
}

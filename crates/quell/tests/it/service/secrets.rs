//! The secret and the token are in no log, argument, environment or answer.

use crate::operate::{accepted, done, json, mail, quell, wait_for_log, wait_for_mails};
use crate::support::process::{run, signal};
use crate::support::server::config;
use crate::support::{Server, TempDir};
use std::process::Command;

#[test]
fn secret_and_token_are_told_to_nobody() {
    let directory = TempDir::new("service-secrets");
    let more = "[log]\nlevel = \"trace\"\n[domains.\"out.example\"]\ndeliver = \"smtp://127.0.0.1:9\"\nrecipients = [\"*\"]\n";
    let mut server = Server::start(&directory, &config(more));
    let read =
        |name: &str| std::fs::read_to_string(server.data.join(name)).expect("a file").trim().to_owned();
    let token = read("token");
    let secret = read("secret").split_once(' ').expect("id and digits").1.to_owned();
    let mut said = String::new();
    for _ in 0..12 {
        accepted(&server, &["jane@firm.example", "tom@out.example"], &mail("one"));
    }
    wait_for_mails(&server, "jane", 1);
    let id = json(&server, &["storms", "list"])["storms"][0]["id"].as_str().expect("an id").to_owned();
    for arguments in
        [&["queue", "list", "--json"][..], &["storms", "show", &id, "--json"], &["check", "--json"]]
    {
        said += &done(&server, arguments);
    }
    let at = |path: &str| format!("http://127.0.0.1:{}{path}", server.console_port);
    for path in ["/healthz", "/metrics", "/api/v1/storms", &format!("/api/v1/storms/{id}")] {
        said += &run(Command::new("curl").args([
            "-sSi",
            "-H",
            &format!("Authorization: Bearer {token}"),
            &at(path),
        ]));
    }
    for given in [&*token, "wrong", &secret] {
        let bearer = format!("Authorization: Bearer {given}");
        let path = at(&format!("/api/v1/storms/{id}/release"));
        let answer = run(Command::new("curl").args(["-sSi", "-X", "POST", "-H", &bearer, &path]));
        // The storm holds nothing; but the right token comes as far as to be told so.
        let status = if given == token { "HTTP/1.1 409 " } else { "HTTP/1.1 401 " };
        assert!(answer.contains(status), "{answer}");
        said += &answer;
    }
    signal(server.pid(), "HUP");
    wait_for_log(&server, &["event=\"reloaded\""]);
    for file in ["cmdline", "environ", "status"] {
        let bytes = std::fs::read(format!("/proc/{}/{file}", server.pid())).expect("a running server");
        said += &String::from_utf8_lossy(&bytes);
    }
    assert_eq!(server.term().code(), Some(0));
    // With faults at its start, too.
    for name in ["secret", "token"] {
        let path = server.data.join(name);
        let text = std::fs::read_to_string(&path).expect("a file");
        std::fs::write(&path, format!("x{text}x y")).expect("a file");
        let failed = quell(&server, &["serve"]);
        assert_eq!(failed.status, 1, "{failed:?}");
        assert!(failed.err.contains(name), "{failed:?}");
        said += &(failed.out + &failed.err);
        std::fs::write(&path, text).expect("a file");
    }
    said += &server.output();
    assert!(said.contains("TRACE"), "the log was not at its most talkative");
    for hidden in [&token, &secret] {
        // Not even the half of it.
        assert_eq!(hidden.len(), 64);
        for half in [&hidden[..32], &hidden[32..]] {
            let line = said.lines().find(|line| line.contains(half));
            assert!(line.is_none(), "told: {line:?}");
        }
    }
}

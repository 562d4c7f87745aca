//! `quell mailbox`, with the server running, and the data directory.

use super::*;
use crate::support::TempDir;
use crate::support::server::config;
use std::os::unix::fs::PermissionsExt;

#[test]
fn mailboxes_come_and_go_under_a_running_server() {
    let text = config("").replace("recipients = [\"jane\", \"*\"]\n", "");
    let directory = TempDir::new("operate-boxes");
    let server = Server::start(&directory, &text);
    let bob = ["bob@firm.example"];
    assert_eq!(send(&server, &bob, &mail("early")).code, 550);
    let said = done(&server, &["mailbox", "add", "Bob@Firm.example"]);
    assert_eq!(said, format!("made: {}\n", server.maildir("firm.example", "bob").display()));
    assert!(done(&server, &["mailbox", "add", "bob@firm.example"]).starts_with("was there: "));
    accepted(&server, &bob, &mail("one"));
    wait_for_mails(&server, "bob", 1);
    let list = json(&server, &["mailbox", "list"]);
    let of = |address: &str| {
        let all = list["mailboxes"].as_array().expect("mailboxes");
        all.iter().find(|one| one["address"] == address).map(|one| one["messages"].clone())
    };
    assert_eq!((of("bob@firm.example"), of("jane@firm.example")), (Some(1.into()), Some(0.into())));
    let table = done(&server, &["mailbox", "list"]);
    assert!(table.contains("1  bob@firm.example\n"), "{table}");
    refusals(&server);
    let said = done(&server, &["mailbox", "remove", "bob@firm.example", "--force"]);
    assert_eq!(said, "removed: bob@firm.example\n");
    assert_eq!(send(&server, &bob, &mail("late")).code, 550);
    assert!(!server.maildir("firm.example", "bob").exists());
    // A mailbox of that name once more: what was delivered to the old one is not sent again.
    done(&server, &["mailbox", "add", "bob@firm.example"]);
    accepted(&server, &bob, &mail("two"));
    wait_for_mails(&server, "bob", 1);
}

fn refusals(server: &Server) {
    let cases = [
        (vec!["mailbox", "remove", "bob@firm.example"], 1, "--force"),
        (vec!["mailbox", "remove", "nobody@firm.example"], 1, "no such mailbox"),
        // It is the postmaster's: mail for it is accepted whether it is there or not.
        (vec!["mailbox", "remove", "jane@firm.example", "--force"], 1, "names it"),
        (vec!["mailbox", "add", "bob@other.example"], 1, "is not ours"),
        (vec!["mailbox", "add", "bob"], 2, "write an address"),
        (vec!["mailbox", "add", "../x@firm.example/.."], 2, "write an address"),
    ];
    for (command, status, part) in cases {
        let said = quell(server, &command);
        assert_eq!(said.status, status, "{command:?}: {said:?}");
        assert!(said.err.contains(part), "{command:?}: {said:?}");
    }
}

/// "The data directory is made at the first start (0700)"; keys and socket are 0600.
#[test]
fn what_is_kept_is_closed_to_others() {
    let directory = TempDir::new("operate-modes");
    let server = Server::start(&directory, &config(""));
    accepted(&server, &["jane@firm.example"], &mail("one"));
    let mails = wait_for_mails(&server, "jane", 1);
    let mode = |path: &Path| std::fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(&server.data), 0o700);
    for file in ["secret", "token", "control.sock", "ledger.db"] {
        assert_eq!(mode(&server.data.join(file)), 0o600, "{file}");
    }
    assert_eq!(mode(&mails[0].path), 0o600);
    for folder in ["mail", "mail/firm.example", "mail/firm.example/jane", "mail/firm.example/jane/new"] {
        assert_eq!(mode(&server.data.join(folder)), 0o700, "{folder}");
    }
}

/// `[server] user`: started by root, it runs as that user, and what root makes later is that user's.
#[test]
fn the_server_gives_up_root_and_mailboxes_are_its_own() {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "CI must run this as root");
        return eprintln!("SKIPPED: only root can start a server that becomes another user");
    }
    let directory = TempDir::new("operate-user");
    let text = config("").replace("recipients = [\"jane\", \"*\"]\n", "");
    let text = text.replace("[smtp]", "user = \"nobody\"\n[smtp]");
    let mut server = Server::prepare(&directory, &text, Vec::new());
    let nobody = nix::unistd::User::from_name("nobody").expect("a user").expect("a user");
    // Before the first start, too.
    std::fs::create_dir(&server.data).expect("a folder");
    std::fs::set_permissions(&server.data, std::fs::Permissions::from_mode(0o700)).expect("permissions");
    done(&server, &["mailbox", "add", "early@firm.example"]);
    server.restart();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("a server");
    let uid = format!("Uid:\t{0}\t{0}\t{0}\t{0}", nobody.uid);
    assert!(status.contains(&uid), "{status}");
    done(&server, &["mailbox", "add", "late@firm.example"]);
    accepted(&server, &["early@firm.example", "late@firm.example"], &mail("one"));
    for local in ["early", "late"] {
        let mails = wait_for_mails(&server, local, 1);
        assert_eq!(owner(&mails[0].path), nobody.uid.as_raw());
        assert_eq!(owner(&server.maildir("firm.example", local)), nobody.uid.as_raw());
    }
    // Commands of root on the stopped store leave it usable for the server.
    assert_eq!(server.term().code(), Some(0));
    assert_eq!(json(&server, &["ledger", "forget", "--to", "firm.example", "--since", "1d"])["forgotten"], 2);
    server.restart();
    accepted(&server, &["late@firm.example"], &mail("two"));
    wait_for_mails(&server, "late", 2);
}

fn owner(path: &Path) -> u32 {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).expect("a file"))
}

//! `quell pickup status`, `run`, `test`, and what `check` says of accounts.

use super::{LIMIT, OFFICE, PASSWORD, World, account, mode, two_mailboxes};
use crate::operate::{Said, json, quell};
use crate::support::peers::provider::{NAME, Options, Provider};
use crate::support::{Server, TempDir, wait_until};
use serde_json::Value;

const CATCH_ALL: &str = "envelope = \"Delivered-To\"\nstamped_by = [\"mx.provider.example\"]\nunplaced = \"john@firm.example\"\n{ca}";

/// Who has the catch-all mailbox.
const ALL: &str = "all@provider.example";

/// One account of jane's, by POP3, and a catch-all, `all`, by IMAP.
fn two(provider: &Provider, directory: &TempDir) -> String {
    provider.add_user(ALL, PASSWORD);
    let one = account(directory, "office", &provider.url("pop3s"), "to = [\"jane@firm.example\"]\n{ca}");
    one + &account(directory, "all", &provider.url("imaps"), CATCH_ALL).replace(OFFICE, ALL)
}

/// Both have been looked into, and will not be for a day.
fn two_at_rest(name: &str) -> Option<World> {
    let world = World::start(name, Options::default(), two)?;
    assert!(wait_until(LIMIT, || world.provider.sessions_over() == 2), "{}", world.provider.said());
    Some(world)
}

/// What `status --json` says of an account, wherever it stands.
fn status(server: &Server, name: &str) -> Value {
    let said = json(server, &["pickup", "status"]);
    let all = said.as_array().or_else(|| said["accounts"].as_array()).expect("a list").clone();
    let found = all.iter().find(|one| one["account"] == name || one["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {said}")).clone()
}

#[test]
fn status_tells_of_each_account() {
    let Some(mut world) = World::start("status", Options::default(), two) else { return };
    world.deliver(&["jane"], 3, 100);
    world.collects("office");
    let said = quell(&world.server, &["pickup", "status"]);
    assert!(said.status == 0 && said.out.contains("office") && said.out.contains("all"), "{said:?}");
    assert_ne!(status(&world.server, "office"), Value::Null);
    assert_ne!(status(&world.server, "all"), Value::Null);
    let one = quell(&world.server, &["pickup", "status", "office"]);
    assert!(one.status == 0 && !one.out.contains("mx.provider.example"), "{one:?}");
    let none = quell(&world.server, &["pickup", "status", "nobody"]);
    assert!(none.status != 0 && none.err.contains("nobody"), "{none:?}");
    // Its trouble stands there, too.
    world.provider.stop();
    assert!(!world.run("office").0);
    let trouble = quell(&world.server, &["pickup", "status", "office"]);
    assert!(trouble.out.contains(NAME), "{trouble:?}");
    assert_ne!(trouble.out, one.out);
}

#[test]
fn run_collects_one_account_or_all() {
    let Some(mut world) = two_at_rest("run") else { return };
    world.deliver(&["jane"], 3, 100);
    let said = quell(&world.server, &["pickup", "run", "office"]);
    assert!(said.status == 0 && (said.out.clone() + &said.err).contains('3'), "{said:?}");
    world.all_is_here();
    world.deliver(&["jane"], 2, 100);
    let message = world.message(&["john"], 100);
    world.provider.deliver(ALL, &message);
    let said = quell(&world.server, &["pickup", "run"]);
    assert_eq!(said.status, 0, "{said:?}");
    world.provider.expect_left(OFFICE, 0);
    world.provider.expect_left(ALL, 0);
    world.all_is_here();
    let none = quell(&world.server, &["pickup", "run", "nobody"]);
    assert!(none.status != 0 && none.err.contains("nobody"), "{none:?}");
}

/// `test` shows who would get what, and nothing is changed by it: not there, and not here.
#[test]
fn test_changes_nothing() {
    let Some(mut world) = two_at_rest("test") else { return };
    let stamp = "Received: from a.client.example by mx.provider.example with ESMTP id 1;\r\n\tMon, 1 Jan 2024 10:00:00 +0000\r\n";
    let date = world.date.clone();
    for (id, header) in [("t1", "Delivered-To: jane@firm.example\r\n"), ("t2", "")] {
        let text = format!(
            "{header}{stamp}From: a@client.example\r\nDate: {date}\r\nX-Test-Id: {id}\r\nSubject: {id}\r\nMessage-ID: <{id}@client.example>\r\n\r\nx\r\n"
        );
        world.provider.deliver(ALL, text.as_bytes());
        world.provider.deliver(OFFICE, text.as_bytes());
    }
    let before = [OFFICE, ALL].map(|user| world.provider.messages(user, "INBOX"));
    let tries = |world: &World| {
        for (name, expected) in
            [("office", &["jane@firm.example"][..]), ("all", &["jane@firm.example", "john@firm.example"])]
        {
            let said = quell(&world.server, &["pickup", "test", name]);
            assert_eq!(said.status, 0, "{said:?}\n{}", world.provider.said());
            assert!(expected.iter().all(|address| said.out.contains(address)), "{name}: {said:?}");
        }
    };
    tries(&world);
    // Without a server that runs, too.
    assert!(world.server.term().success());
    tries(&world);
    assert_eq!([OFFICE, ALL].map(|user| world.provider.messages(user, "INBOX")), before);
    assert_eq!((world.count("jane"), world.count("john")), (0, 0));
    world.server.restart();
    world.collects("all");
    world.collects("office");
    crate::crash::wait_until_empty(&world.server, LIMIT);
    // To jane both of hers, of which one came by both ways; to john what cannot be placed.
    assert_eq!((world.count("jane"), world.count("john")), (2, 1));
}

/// Nor does it say to IMAP that somebody has read them.
#[test]
fn test_leaves_them_unread() {
    let Some(world) = two_at_rest("test-unread") else { return };
    world.provider.deliver(ALL, b"Subject: t1\r\n\r\nx\r\n");
    assert_eq!(quell(&world.server, &["pickup", "test", "all"]).status, 0);
    assert_eq!((world.provider.left(ALL), world.provider.seen(ALL)), (1, 0));
}

#[test]
fn test_says_what_is_wrong() {
    let Some(world) = World::start("test-wrong", Options::default(), two) else { return };
    [OFFICE, ALL].iter().for_each(|user| world.provider.add_user(user, "another password"));
    for name in ["office", "all"] {
        let said = quell(&world.server, &["pickup", "test", name]);
        let text = said.out.clone() + &said.err;
        assert!(said.status != 0 && text.contains(NAME), "{said:?}");
        assert!(!text.contains(PASSWORD), "{said:?}");
    }
}

/// What `check` says of a configuration with these lines in its only account.
fn check(directory: &TempDir, account: &str) -> Said {
    let server = Server::prepare(directory, &two_mailboxes(account), Vec::new());
    quell(&server, &["check", "--no-dns"])
}

#[test]
fn accounts_that_cannot_be_are_refused() {
    let directory = TempDir::new("pickup-check");
    let good = account(&directory, "office", "pop3s://mail.provider.example", "to = [\"jane@firm.example\"]");
    let said = check(&directory, &good);
    assert_eq!(said.status, 0, "{said:?}");
    let password = good.lines().find(|line| line.starts_with("password_file")).expect("a line").to_owned();
    let with = |old: &str, new: &str| {
        let changed = good.replace(old, new);
        assert_ne!(changed, good, "{old}");
        changed
    };
    let to = "to = [\"jane@firm.example\"]";
    let wrong = [
        ("nobody gets it", with(to, "")),
        (
            "to and envelope",
            with(to, &format!("{to}\nenvelope = \"Delivered-To\"\nstamped_by = [\"mx.example\"]")),
        ),
        ("an envelope without a host", with(to, "envelope = \"Delivered-To\"")),
        ("To is no envelope", with(to, "envelope = \"To\"\nstamped_by = [\"mx.example\"]")),
        ("nor is Cc", with(to, "envelope = \"cc\"\nstamped_by = [\"mx.example\"]")),
        ("not our domain", with("jane@firm.example", "jane@client.example")),
        ("no such mailbox", with("jane@firm.example", "nobody@firm.example")),
        ("no scheme", with("pop3s://", "")),
        ("another scheme", with("pop3s://", "smtp://")),
        ("a path", with("mail.provider.example", "mail.provider.example/x")),
        ("TLS that is none", with(to, &format!("{to}\ntls = \"never\""))),
        ("TLS by a word of its own", with(to, &format!("{to}\ntls = \"maybe\""))),
        ("no password", with(&password, "")),
        ("two passwords", with(&password, &format!("{password}\npassword_env = \"X\""))),
        ("a password and a token", with(&password, &format!("{password}\ntoken_command = [\"cat\"]"))),
        ("a mechanism without a token", with(to, &format!("{to}\nauth = \"xoauth2\""))),
        ("an unknown mechanism", with(&password, "token_command = [\"cat\"]\nauth = \"plain\"")),
        ("a name with a slash", with("name = \"office\"", "name = \"of/fice\"")),
        ("a name without end", with("name = \"office\"", &format!("name = \"{}\"", "x".repeat(65)))),
        ("the same name twice", good.clone() + &good),
        ("no days", with(to, &format!("{to}\nkeep = -1"))),
        ("a word for days", with(to, &format!("{to}\nkeep = \"2\""))),
        ("an unknown setting", with(to, &format!("{to}\nbcc = true"))),
    ];
    let mut taken = Vec::new();
    for (what, text) in wrong {
        let said = check(&directory, &text);
        if said.status == 0 || !(said.out.clone() + &said.err).contains("quell.toml:") {
            taken.push((what, said));
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
}

/// Whoever may read the password is no secret's friend.
#[test]
fn a_password_that_all_may_read_is_told() {
    let directory = TempDir::new("pickup-mode");
    let text = account(&directory, "office", "pop3s://mail.provider.example", "to = [\"jane@firm.example\"]");
    mode(&directory.join("office.password"), 0o644);
    let said = check(&directory, &text);
    assert!((said.out.clone() + &said.err).contains("office.password"), "{said:?}");
}
